/* SPDX-License-Identifier: GPL-2.0-only */
/* What a kernel image is, and for which machine, by its bytes: those of other machines, too. */
#ifndef KTSTR_VMM_KERNEL_FORMAT_H
#define KTSTR_VMM_KERNEL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kernel_form {
	KERNEL_NONE = 0,
	KERNEL_BZIMAGE, /* x86: Documentation/arch/x86/boot.rst */
	KERNEL_VMLINUX, /* a 64-bit ELF file that is executed: may be a program, too */
	KERNEL_IMAGE,	/* arm64's (Documentation/arch/arm64/booting.rst §4), RISC-V's likewise */
	KERNEL_GZIP,	/* such an Image, packed */
	KERNEL_ZBOOT,	/* likewise, in a program of EFI (Linux's zboot-header.S) */
};

struct kernel_format {
	enum kernel_form form;
	uint16_t machine; /* e_machine; EM_NONE: not one that is known here */
	/* Of KERNEL_GZIP and KERNEL_ZBOOT: what is packed, in the file */
	uint64_t packed_start, packed_length;
};

/* Only a zboot file whose packed part is not all there has one that reaches beyond @size. */
struct kernel_format kernel_format__of(const void *data, size_t size);

/* "arm64" */
const char *kernel_format__machine_name(uint16_t machine);

#endif /* KTSTR_VMM_KERNEL_FORMAT_H */
