/* SPDX-License-Identifier: GPL-2.0-only */
/* The program of guest/stage1/ as bytes; STAGE1 is its file. See stage1.h. */
	.section .rodata
	.balign 16
	.globl stage1_start, stage1_size
	.hidden stage1_start, stage1_size
stage1_start:
	.incbin STAGE1
stage1_end:
	.balign 8
stage1_size:
	.quad stage1_end - stage1_start
	.section .note.GNU-stack, "", %progbits
