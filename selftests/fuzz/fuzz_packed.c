// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: packed modules and kernels that are damaged or want all memory: gzip, xz, zstd
 * and lz4. The first byte is the limit, in KiB; what comes out keeps to it.
 */
#include "fuzz.h"

#include <errno.h>

#include "initramfs/decompress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decompressed out;
	size_t limit;
	int err;

	if (!size)
		return 0;
	limit = (size_t)data[0] << 10;
	err = decompress(data + 1, size - 1, limit, &out);
	if (err) {
		FUZZ_CHECK(err == -ENOTSUP || err == -EBADMSG || err == -EFBIG || err == -ENOMEM);
		return 0;
	}
	FUZZ_CHECK(out.length <= limit);
	for (size_t i = 0; i < out.length; i++) { /* all of it is there */
		volatile uint8_t byte = ((const uint8_t *)out.data)[i];

		(void)byte;
	}
	free(out.data);
	return 0;
}
