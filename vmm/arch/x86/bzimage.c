// SPDX-License-Identifier: GPL-2.0-only
/* Finds the payload of a bzImage by its header and unpacks it. */
#include "bzimage.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../../initramfs/copy.h"
#include "../../../initramfs/decompress.h"

/* Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header": offsets in the file */
#define SETUP_SECTS 0x1f1
#define MAGIC 0x202
#define MAGIC_VALUE "HdrS"
#define VERSION 0x206
#define VERSION_PAYLOAD 0x0208 /* first with the two below */
#define PAYLOAD_OFFSET 0x248   /* from the protected-mode code, which follows the setup */
#define PAYLOAD_LENGTH 0x24c
#define HEADER_END 0x250
#define DEFAULT_SETUP_SECTS 4u
#define SECTOR 512u
/* The last bytes of every payload: its unpacked size (arch/x86/boot/compressed/mkpiggy.c). They are
 * gzip's own end; to all else they are added (size_append in scripts/Makefile.lib). */
#define SIZE_BYTES 4u

#define PACKED_MAX (UINT64_C(256) << 20)
/* KERNEL_IMAGE_SIZE, arch/x86/include/asm/page_64_types.h */
#define UNPACKED_MAX (UINT64_C(1) << 30)

static uint32_t get_le32(const uint8_t *from)
{
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static int find_payload(int fd, uint64_t *start, uint64_t *length)
{
	uint8_t header[HEADER_END];
	uint64_t sectors, file;
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return errno == EBADF ? -EBADF : -EIO;
	err = S_ISREG(st.st_mode) ? copy__read(fd, header, sizeof(header), 0) : -ENOEXEC;
	if (err == -ENODATA || (!err && memcmp(header + MAGIC, MAGIC_VALUE, 4) != 0))
		err = -ENOEXEC;
	if (err)
		return err;
	if ((header[VERSION] | header[VERSION + 1] << 8) < VERSION_PAYLOAD)
		return -ENOTSUP;
	file = (uint64_t)st.st_size;
	sectors = header[SETUP_SECTS] ? header[SETUP_SECTS] : DEFAULT_SETUP_SECTS;
	*start = (sectors + 1) * SECTOR + get_le32(header + PAYLOAD_OFFSET);
	*length = get_le32(header + PAYLOAD_LENGTH);
	if (!*length)
		return -ENOTSUP;
	if (*start > file || *length > file - *start || *length <= SIZE_BYTES ||
	    *length > PACKED_MAX)
		return -EBADMSG;
	return 0;
}

static int unpack(const uint8_t *payload, uint64_t length, struct decompressed *out)
{
	uint32_t size = get_le32(payload + length - SIZE_BYTES);
	bool gzip = payload[0] == 0x1f && payload[1] == 0x8b;
	int err;

	if (!size || size > UNPACKED_MAX)
		return -EBADMSG;
	err = decompress(payload, gzip ? length : length - SIZE_BYTES, size, out);
	if (!err && out->length != size) {
		free(out->data);
		err = -EBADMSG;
	}
	return err == -EFBIG ? -EBADMSG : err;
}

int bzimage__unpack(int fd, void **image, size_t *length)
{
	struct decompressed out;
	uint64_t start, packed;
	uint8_t *payload;
	int err = find_payload(fd, &start, &packed);

	*image = NULL;
	if (err)
		return err;
	payload = malloc(packed);
	if (!payload)
		return -ENOMEM;
	err = copy__read(fd, payload, packed, start);
	if (!err)
		err = unpack(payload, packed, &out);
	free(payload);
	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	*image = out.data;
	*length = out.length;
	return 0;
}
