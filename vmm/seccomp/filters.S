/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs of vmm/seccomp/compile.c, found by -I. */
	.section .rodata
	.macro filter name
	.balign	8
	.globl	sandbox_filter_\name
	.globl	sandbox_filter_\name\()_end
	.type	sandbox_filter_\name, %object
sandbox_filter_\name:
	.incbin	"\name\().bpf"
sandbox_filter_\name\()_end:
	.size	sandbox_filter_\name, . - sandbox_filter_\name
	.endm

	filter loop
	filter vcpu
	filter disk
	filter network

	.section .note.GNU-stack, "", %progbits
