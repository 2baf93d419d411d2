// SPDX-License-Identifier: GPL-2.0-only
/* Reads arm64 kernel images: Documentation/arch/arm64/booting.rst §4, and include/linux/pe.h and
 * drivers/firmware/efi/libstub/zboot-header.S of Linux for EFI zboot. */
#include "image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../../initramfs/copy.h"
#include "../../../initramfs/decompress.h"

#define HEADER_SIZE 64u
#define TEXT_OFFSET 8
#define IMAGE_SIZE 16
#define FLAGS 24
#define MAGIC 56
#define MAGIC_VALUE "ARM\x64"
#define FLAG_BIG_ENDIAN 1u
#define FLAG_PAGE_SHIFT 1
#define FLAG_PAGE_MASK 3u
/* Before 3.17 there was no size, and the offset was this one. */
#define OLD_TEXT_OFFSET UINT64_C(0x80000)
#define TEXT_OFFSET_MAX UINT64_C(0x200000)

#define ZBOOT_MAGIC 4 /* behind "MZ" */
#define ZBOOT_MAGIC_VALUE "zimg"
#define ZBOOT_START 8
#define ZBOOT_LENGTH 12

#define X86_SETUP_MAGIC 0x202
#define X86_SETUP_VALUE "HdrS"

static uint64_t get_le(const uint8_t *from, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | from[bytes];
	return value;
}

static int refuse(const char *path, int err, const char *why, struct ktstr_error *error)
{
	err = ktstr_error__set(error, err, "load kernel", path, "%s", why);
	ktstr_error__hint(error, "give an arm64 Image, plain, gzipped or as EFI zboot");
	return err;
}

static int read_file(int fd, const char *path, struct arm64_image *image, struct ktstr_error *error)
{
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return ktstr_error__set(error, errno, "stat", path, NULL);
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)HEADER_SIZE)
		return refuse(path, ENOEXEC, "is too short for a kernel image", error);
	if ((uint64_t)st.st_size > ARM64_IMAGE_MAX)
		return refuse(path, EFBIG, "is too large for a kernel image", error);
	image->length = (size_t)st.st_size;
	image->data = malloc(image->length);
	if (!image->data)
		return ktstr_error__set(error, ENOMEM, "read", path, NULL);
	err = copy__read(fd, image->data, image->length, 0);
	return err ? ktstr_error__set(error, -err, "read", path, NULL) : 0;
}

/* Puts what [start, start + length) unpacks to in the file's place. */
static int unpack(struct arm64_image *image, size_t start, size_t length, const char *path,
		  struct ktstr_error *error)
{
	struct decompressed out = {0};
	int err = decompress((const uint8_t *)image->data + start, length, ARM64_IMAGE_MAX, &out);

	if (err == -ENOSYS)
		return ktstr_error__set(error, ENOSYS, "unpack kernel", path, "%s is not installed",
					out.library);
	if (err == -ENOTSUP)
		return refuse(path, ENOEXEC, "is packed in a way that is not known here", error);
	if (err)
		return ktstr_error__set(error, -err, "unpack kernel", path, NULL);
	free(image->data);
	image->data = out.data;
	image->length = out.length;
	return 0;
}

static int unpack_zboot(struct arm64_image *image, const char *path, struct ktstr_error *error)
{
	const uint8_t *p = image->data;
	uint64_t start = get_le(p + ZBOOT_START, 4), length = get_le(p + ZBOOT_LENGTH, 4);

	if (start > image->length || length > image->length - start)
		return refuse(path, EBADMSG, "is shorter than its EFI zboot header says", error);
	return unpack(image, start, length, path, error);
}

static int read_header(struct arm64_image *image, const char *path, struct ktstr_error *error)
{
	static const uint32_t pages[] = {0, 4, 16, 64};
	const uint8_t *p = image->data;
	uint64_t flags;

	if (image->length > X86_SETUP_MAGIC + 4 &&
	    !memcmp(p + X86_SETUP_MAGIC, X86_SETUP_VALUE, 4) && memcmp(p + MAGIC, MAGIC_VALUE, 4))
		return refuse(path, ENOEXEC, "is an x86 kernel", error);
	if (image->length < HEADER_SIZE || memcmp(p + MAGIC, MAGIC_VALUE, 4) != 0)
		return refuse(path, ENOEXEC, "is not an arm64 kernel image", error);
	flags = get_le(p + FLAGS, 8);
	if (flags & FLAG_BIG_ENDIAN)
		return refuse(path, ENOEXEC, "is a big-endian kernel", error);
	image->page_kib = pages[flags >> FLAG_PAGE_SHIFT & FLAG_PAGE_MASK];
	image->text_offset = get_le(p + TEXT_OFFSET, 8);
	image->memory = get_le(p + IMAGE_SIZE, 8);
	if (!image->memory) {
		image->text_offset = OLD_TEXT_OFFSET;
		image->memory = image->length;
	}
	if (image->text_offset >= TEXT_OFFSET_MAX || image->memory > ARM64_IMAGE_MAX ||
	    image->length > image->memory)
		return refuse(path, ENOEXEC, "has an impossible size or offset in its header",
			      error);
	return 0;
}

int arm64_image__open(int fd, const char *path, struct arm64_image *image,
		      struct ktstr_error *error)
{
	const uint8_t *p;
	int err;

	*image = (struct arm64_image){0};
	err = read_file(fd, path, image, error);
	if (err)
		goto out;
	p = image->data;
	if (!memcmp(p, "MZ", 2) && !memcmp(p + ZBOOT_MAGIC, ZBOOT_MAGIC_VALUE, 4))
		err = unpack_zboot(image, path, error);
	else if (p[0] == 0x1f && p[1] == 0x8b)
		err = unpack(image, 0, image->length, path, error);
	if (!err)
		err = read_header(image, path, error);
out:
	if (err)
		arm64_image__close(image);
	return err;
}

void arm64_image__close(struct arm64_image *image)
{
	free(image->data);
	*image = (struct arm64_image){0};
}
