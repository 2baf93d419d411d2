/* SPDX-License-Identifier: GPL-2.0-only */
/* Finds the kernel that a person named, and what belongs to it. */
#ifndef KTSTR_VMM_KERNEL_H
#define KTSTR_VMM_KERNEL_H

#include <ktstr/error.h>

#include <limits.h>
#include <stddef.h>

/* Absolute host paths; "" where there is none. */
struct kernel {
	char image[PATH_MAX];	    /* bzImage, vmlinux or Image; always there */
	char config[PATH_MAX];	    /* its .config */
	char modules_dir[PATH_MAX]; /* .../lib/modules/RELEASE */
	char release[256];	    /* "7.3.4+deb13-amd64" */
	char system_map[PATH_MAX];
};

/*
 * @spec: a kernel image; a build tree; a directory lib/modules/RELEASE, or one that has such as
 * (usr/)lib/modules/RELEASE; a release or the beginning of one ("7.3"), looked for in the cache and
 * in /lib/modules. NULL or "": KTSTR_KERNEL, else "ktstr-kernel" in the program's directory or the
 * one above, else the cache's default, else the running kernel, or the newest in /lib/modules, when
 * it has sched_ext. -ENOENT: there is none; -ENOEXEC:
 * not a kernel of this machine; -EACCES: cannot be read.
 */
int kernel__resolve(const char *spec, struct kernel *out, struct ktstr_error *error);

/*
 * "ktstr-kernel" in the program's directory, or the one above, as an installed suite has it: a
 * directory or an image. 1: there is none; errors as above.
 */
int kernel__beside(struct kernel *out, struct ktstr_error *error);

/* The image, to read from; may be a copy of it that is nearer. The descriptor is the caller's, or
 * -errno. */
int kernel__open(const struct kernel *kernel, struct ktstr_error *error);

/*
 * A name for the image @fd as it is now: another file, or the same one after a change, has another.
 * -errno of fstat(), -ENAMETOOLONG.
 */
int kernel__identity(int fd, char *buf, size_t size);

/*
 * "CONFIG_..." in the kernel's configuration. 1: y (or a value), 2: m, 0: not set; -ENOENT: there
 * is no configuration; otherwise -errno of reading it.
 */
int kernel__config_has(const struct kernel *kernel, const char *option);

#endif /* KTSTR_VMM_KERNEL_H */
