/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes a tree as an uncompressed erofs image (Documentation/filesystems/erofs.rst of the kernel):
 * what a guest mounts where a cpio archive would cost it time and RAM. All is owned by root and
 * dated 0, so the same tree gives the same bytes.
 */
#ifndef KTSTR_INITRAMFS_EROFS_H
#define KTSTR_INITRAMFS_EROFS_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

#include "tree.h"

#define EROFS_BLOCK 4096u		    /* an image is a multiple of it; no page is smaller */
#define EROFS_MAX_FILE UINT64_C(0xffffffff) /* as cpio: what fits one root fits the other */

/*
 * The image becomes the whole content of the file @fd; *size: its bytes. Contents of files are
 * block-aligned. -EFBIG: a file over 4 GiB - 1, or more than 16 TiB in all; -ENAMETOOLONG: a name
 * over 255 bytes, or a link target that the kernel does not take; -ESTALE: a file changed its size
 * while it was read; -ENOMEM; else what a call failed with.
 */
int erofs__write(struct tree *tree, int fd, uint64_t *size, struct ktstr_error *error);

/* True: the file @fd begins with such an image. */
bool erofs__is_image(int fd);

#endif /* KTSTR_INITRAMFS_EROFS_H */
