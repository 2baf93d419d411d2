/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel modules for a guest: found with libkmod, stored without compression (finit_module(2) then
 * needs no help from the kernel's configuration), listed in load order.
 */
#ifndef KTSTR_INITRAMFS_MODULES_H
#define KTSTR_INITRAMFS_MODULES_H

#include <ktstr/error.h>

#include "tree.h"

/*
 * Adds the modules @names (NULL-terminated) of @dir (.../lib/modules/RELEASE) with what they depend
 * on, as /lib/modules/@release/..., and KTSTR_GUEST_MODULES. What is built in gives nothing, and so
 * does a directory without any modules.* file. -ENOENT: a module or modules.dep is missing;
 * -EBADMSG: a module does not decompress; -ENOSYS: a library for that is not installed.
 */
int modules__add(struct tree *tree, const char *dir, const char *release, const char *const *names,
		 struct ktstr_error *error);

/*
 * Decompresses a .ko.xz, .ko.gz or .ko.zst by its first bytes; anything else is copied. *out is
 * malloc'ed. @name is for errors.
 */
int modules__decompress(const void *data, size_t length, const char *name, void **out,
			size_t *out_length, struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_MODULES_H */
