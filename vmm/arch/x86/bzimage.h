/* SPDX-License-Identifier: GPL-2.0-only */
/* The vmlinux that a bzImage has packed (Documentation/arch/x86/boot.rst). */
#ifndef KTSTR_VMM_X86_BZIMAGE_H
#define KTSTR_VMM_X86_BZIMAGE_H

#include <stddef.h>

/*
 * Unpacks the payload of the bzImage @fd: an ELF file and, behind it, its relocations. *image is
 * malloc'ed. -ENOEXEC: no bzImage; -ENOTSUP: its payload cannot be found from outside, or is packed
 * with what only its own start-up code unpacks (lzma, bzip2, lzo); -ENOSYS: a library that unpacks
 * it is not installed; -EBADMSG: it is damaged; -ENOMEM; -errno of reading it.
 */
int bzimage__unpack(int fd, void **image, size_t *length);

#endif /* KTSTR_VMM_X86_BZIMAGE_H */
