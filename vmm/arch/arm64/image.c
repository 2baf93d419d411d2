// SPDX-License-Identifier: GPL-2.0-only
/* Reads arm64 kernel images: Documentation/arch/arm64/booting.rst §4. */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../../initramfs/copy.h"
#include "../../../initramfs/decompress.h"
#include "../../kernel_format.h"

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

#define ELF_MAX_SEGMENTS 32u

/* ID_AA64MMFR0_EL1 (Arm ARM): granules; 4 and 64 KiB are there unless 0xf, 16 unless 0. */
#define TGRAN4_SHIFT 28
#define TGRAN64_SHIFT 24
#define TGRAN16_SHIFT 20
#define TGRAN_MASK 0xfu

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
	ktstr_error__hint(error,
			  "give an arm64 Image, plain, gzipped or as EFI zboot, or a vmlinux");
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
	if (err == -EBADMSG || err == -EFBIG)
		return refuse(path, -err, "is damaged or cut off", error);
	if (err)
		return ktstr_error__set(error, -err, "unpack kernel", path, NULL);
	free(image->data);
	image->data = out.data;
	image->length = out.length;
	return 0;
}

static int unpack_format(struct arm64_image *image, const struct kernel_format *format,
			 const char *path, struct ktstr_error *error)
{
	if (format->packed_start > image->length ||
	    format->packed_length > image->length - format->packed_start)
		return refuse(path, EBADMSG, "is shorter than its EFI zboot header says", error);
	return unpack(image, format->packed_start, format->packed_length, path, error);
}

/* What the program headers load, in file order. Virtual and physical addresses are the same. */
static int read_segments(int fd, const Elf64_Phdr *ph, uint32_t nr, const char *path,
			 struct arm64_image *image, struct ktstr_error *error)
{
	uint64_t start = UINT64_MAX, end = 0, last;
	int err = 0;

	for (uint32_t i = 0; i < nr; i++) {
		if (ph[i].p_type != PT_LOAD || !ph[i].p_filesz)
			continue;
		if (__builtin_add_overflow(ph[i].p_paddr, ph[i].p_filesz, &last))
			return refuse(path, ENOEXEC, "has an impossible segment", error);
		start = ph[i].p_paddr < start ? ph[i].p_paddr : start;
		end = last > end ? last : end;
	}
	if (end <= start || end - start > ARM64_IMAGE_MAX)
		return refuse(path, ENOEXEC, "has no segments, or too large ones", error);
	image->length = end - start;
	image->data = calloc(1, image->length);
	if (!image->data)
		return ktstr_error__set(error, ENOMEM, "read", path, NULL);
	for (uint32_t i = 0; !err && i < nr; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_filesz)
			err = copy__read(fd, (uint8_t *)image->data + (ph[i].p_paddr - start),
					 ph[i].p_filesz, ph[i].p_offset);
	if (err == -ENODATA)
		return refuse(path, EBADMSG, "is shorter than its header says", error);
	return err ? ktstr_error__set(error, -err, "read", path, NULL) : 0;
}

/* An Image is what objcopy makes of a vmlinux: its segments, one behind the other. */
static int read_vmlinux(int fd, const Elf64_Ehdr *header, const char *path,
			struct arm64_image *image, struct ktstr_error *error)
{
	Elf64_Phdr ph[ELF_MAX_SEGMENTS];
	int err;

	if (header->e_machine != EM_AARCH64 || header->e_phentsize != sizeof(ph[0]) ||
	    !header->e_phnum || header->e_phnum > ELF_MAX_SEGMENTS)
		return refuse(path, ENOEXEC, "is an ELF file but no arm64 vmlinux", error);
	err = copy__read(fd, ph, header->e_phnum * sizeof(ph[0]), header->e_phoff);
	if (err == -ENODATA)
		return refuse(path, EBADMSG, "is shorter than its header says", error);
	if (err)
		return ktstr_error__set(error, -err, "read", path, NULL);
	return read_segments(fd, ph, header->e_phnum, path, image, error);
}

/* What is no arm64 Image may be another machine's kernel. */
static int refuse_other(const struct arm64_image *image, const char *path,
			struct ktstr_error *error)
{
	struct kernel_format format = kernel_format__of(image->data, image->length);
	char why[64];

	if (format.form == KERNEL_NONE)
		return refuse(path, ENOEXEC, "is not an arm64 kernel image", error);
	snprintf(why, sizeof(why), "is a kernel for %s",
		 kernel_format__machine_name(format.machine));
	return refuse(path, ENOEXEC, why, error);
}

static int read_header(struct arm64_image *image, const char *path, struct ktstr_error *error)
{
	static const uint32_t pages[] = {0, 4, 16, 64};
	const uint8_t *p = image->data;
	uint64_t flags;

	if (image->length < HEADER_SIZE || memcmp(p + MAGIC, MAGIC_VALUE, 4) != 0)
		return refuse_other(image, path, error);
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

/* A vmlinux is not read whole: it may have debug information. */
static int read_any(int fd, const char *path, struct arm64_image *image, struct ktstr_error *error)
{
	struct kernel_format format;
	Elf64_Ehdr header;
	int err;

	if (!copy__read(fd, &header, sizeof(header), 0) &&
	    kernel_format__of(&header, sizeof(header)).form == KERNEL_VMLINUX)
		return read_vmlinux(fd, &header, path, image, error);
	err = read_file(fd, path, image, error);
	if (err)
		return err;
	format = kernel_format__of(image->data, image->length);
	return format.packed_length ? unpack_format(image, &format, path, error) : 0;
}

int arm64_image__open(int fd, const char *path, struct arm64_image *image,
		      struct ktstr_error *error)
{
	int err;

	*image = (struct arm64_image){0};
	err = read_any(fd, path, image, error);
	if (!err)
		err = read_header(image, path, error);
	if (err)
		arm64_image__close(image);
	return err;
}

void arm64_image__close(struct arm64_image *image)
{
	free(image->data);
	*image = (struct arm64_image){0};
}

bool arm64_image__has_pages(uint64_t mmfr0, uint32_t kib)
{
	switch (kib) {
	case 4:
		return (mmfr0 >> TGRAN4_SHIFT & TGRAN_MASK) != TGRAN_MASK;
	case 16:
		return (mmfr0 >> TGRAN16_SHIFT & TGRAN_MASK) != 0;
	case 64:
		return (mmfr0 >> TGRAN64_SHIFT & TGRAN_MASK) != TGRAN_MASK;
	default:
		return true;
	}
}
