// SPDX-License-Identifier: GPL-2.0-only
/* Counts the work of crc32(), for all fuzz targets. */
#include "fuzz.h"

uint64_t fuzz_crc_bytes;

uLong __wrap_crc32(uLong crc, const Bytef *data, uInt length);

uLong __wrap_crc32(uLong crc, const Bytef *data, uInt length)
{
	/* the 12 bytes of the header go with it */
	fuzz_crc_bytes += length;
	return __real_crc32(crc, data, length);
}
