/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes a cpio archive of the "newc" format (Documentation/driver-api/early-userspace/
 * buffer-format.rst of the kernel) into a file or into memory. All is owned by root and dated 0, so
 * the same calls give the same bytes. Parents have to be written before what lies in them.
 */
#ifndef KTSTR_INITRAMFS_CPIO_H
#define KTSTR_INITRAMFS_CPIO_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPIO_MAX_FILE UINT64_C(0xffffffff) /* the size field has 8 hexadecimal digits */
#define CPIO_BLOCK 512u			   /* an archive is padded to it */

struct cpio {
	int fd;		   /* written from its position on; -1: everything stays in @pending */
	uint64_t offset;   /* bytes of archive so far, those that are left out included */
	uint64_t content;  /* bytes of file content so far, each file in whole pages */
	uint32_t next_ino; /* every entry has its own: no hard links */
	char *pending;	   /* not yet in @fd */
	size_t nr_pending, capacity;
};

void cpio__init(struct cpio *cpio, int fd);
void cpio__free(struct cpio *cpio);

/*
 * @path is absolute; @mode holds permission bits. -ENAMETOOLONG: longer than the kernel takes
 * (PATH_MAX); -EFBIG: content over 4 GiB - 1; -ENOMEM; else what write(2) failed with.
 */
int cpio__dir(struct cpio *cpio, const char *path, uint32_t mode, struct ktstr_error *error);
int cpio__data(struct cpio *cpio, const char *path, uint32_t mode, const void *data, uint64_t size,
	       struct ktstr_error *error);
int cpio__symlink(struct cpio *cpio, const char *path, const char *target,
		  struct ktstr_error *error);
int cpio__char(struct cpio *cpio, const char *path, uint32_t mode, uint32_t major, uint32_t minor,
	       struct ktstr_error *error);
/* Exactly @size bytes of @source from its start. -ESTALE: it has fewer. @host names it in errors.
 */
int cpio__file(struct cpio *cpio, const char *path, uint32_t mode, int source, uint64_t size,
	       const char *host, struct ktstr_error *error);
/*
 * The same, but the whole pages of the content are left out of @cpio's file: they begin at *at of
 * the archive, a multiple of CPIO_PAGE. The name has NULs behind it for that, as the kernel's
 * format allows; it must be one for which there is room.
 */
#define CPIO_PAGE UINT64_C(4096)
bool cpio__can_be_outside(const char *path);
int cpio__file_outside(struct cpio *cpio, const char *path, uint32_t mode, int source,
		       uint64_t size, const char *host, uint64_t *at, struct ktstr_error *error);
/* Trailer and padding to CPIO_BLOCK; with a file, everything is written after it. */
int cpio__end(struct cpio *cpio, struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_CPIO_H */
