/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs of this build's architecture are, and where their libraries lie: initramfs/arch. */
#ifndef KTSTR_INITRAMFS_MACHINE_H
#define KTSTR_INITRAMFS_MACHINE_H

#include <stdint.h>

/*
 * The directories are Debian's and Fedora's; a link beside the C library makes up for what the
 * guest's ld.so lacks. Both lists end with NULL.
 */
struct machine {
	uint16_t elf_machine;		 /* e_machine */
	const char *const *library_dirs; /* that ld.so searches by default */
	const char *const *lib_tokens;	 /* what $LIB may stand for in a path of ld.so(8) */
};

extern const struct machine machine__this;

#endif /* KTSTR_INITRAMFS_MACHINE_H */
