/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The archive of a guest whose base is an erofs image on a disk: the first program (guest/stage1/),
 * the drivers that it needs, and nothing else.
 */
#ifndef KTSTR_INITRAMFS_STAGE1_H
#define KTSTR_INITRAMFS_STAGE1_H

#include <ktstr/error.h>

#include <stdint.h>

#include "tree.h"

/* The program: a static ELF of this machine; bytes. */
extern const unsigned char stage1_start[];
extern const uint64_t stage1_size;

struct stage1_spec {
	const char *modules_dir; /* .../lib/modules/RELEASE; NULL: no modules */
	const char *release;	 /* of the kernel; NULL: the directory's name */
};

/*
 * Puts all of it into @tree: /init, the nodes to print to, and the modules for the disk and its
 * file systems as far as they are not built in. Errors: see tree__put_*() and modules__add().
 */
int stage1__fill(struct tree *tree, const struct stage1_spec *spec, struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_STAGE1_H */
