/* SPDX-License-Identifier: GPL-2.0-only */
/* arm64 kernel images: the Image itself, and what it is found packed in. No guest is needed. */
#ifndef KTSTR_VMM_ARM64_IMAGE_H
#define KTSTR_VMM_ARM64_IMAGE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What it may be at most, packed or not; of a vmlinux, its loaded part. */
#define ARM64_IMAGE_MAX ((size_t)512 << 20)

struct arm64_image {
	void *data; /* malloc'ed */
	size_t length;
	uint64_t text_offset; /* of its first byte from a multiple of 2 MiB */
	uint64_t memory;      /* bytes that it uses from there on, bss included */
	uint32_t page_kib;    /* 4, 16, 64; 0: it does not say */
};

/*
 * Reads the kernel in @fd: an Image, plain, gzipped or in an EFI zboot file, or a vmlinux, which
 * has the Image in its segments. -ENOEXEC: it is none, or of another machine or byte order;
 * -EBADMSG: damaged or cut off; -EFBIG; -ENOSYS: a library that unpacks it is missing; -ENOMEM;
 * -errno of reading. @path is for errors.
 */
int arm64_image__open(int fd, const char *path, struct arm64_image *image,
		      struct ktstr_error *error);
void arm64_image__close(struct arm64_image *image);

/* CPUs with this ID_AA64MMFR0_EL1 have pages of so many KiB. 0, which no Image says: true. */
bool arm64_image__has_pages(uint64_t mmfr0, uint32_t kib);

#endif /* KTSTR_VMM_ARM64_IMAGE_H */
