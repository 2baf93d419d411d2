/* SPDX-License-Identifier: GPL-2.0-only */
/* System calls and the program's entry without a C library: arm64. */
#ifndef KTSTR_STAGE1_SYSCALL_H
#define KTSTR_STAGE1_SYSCALL_H

#include <asm/unistd.h>

/* The result as the kernel gives it: -errno from -4095 to -1. */
static inline long syscall5(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}

/* Calls start(sp), where sp points to argc, argv, NULL, envp, NULL (System V ABI). */
__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl start\n"
	"	brk #1\n");

#endif /* KTSTR_STAGE1_SYSCALL_H */
