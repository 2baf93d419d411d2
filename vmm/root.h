/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a guest has its files: in an archive that it unpacks, or on a disk. */
#ifndef KTSTR_VMM_ROOT_H
#define KTSTR_VMM_ROOT_H

#include <ktstr/error.h>

#include <ktstr/vm.h>

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"

/* "auto", "cpio" or "erofs". */
bool root__parse(const char *text, enum ktstr_root *root);

/* Bytes of content from which on a guest's files are on a disk; 0: never. */
uint64_t root__disk_from(enum ktstr_root root);

/*
 * 0: a guest with this kernel can have its files on a disk (erofs on virtio-blk, and a writable
 * layer over it): what that needs is built in, or a module that is there. -EOPNOTSUPP: it cannot,
 * and @error names the option that is missing, or it has no configuration to tell by. Else -errno
 * of reading it.
 */
int root__check_kernel(const struct kernel *kernel, struct ktstr_error *error);

#endif /* KTSTR_VMM_ROOT_H */
