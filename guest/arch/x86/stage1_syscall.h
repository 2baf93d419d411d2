/* SPDX-License-Identifier: GPL-2.0-only */
/* System calls and the program's entry without a C library: x86-64. */
#ifndef KTSTR_STAGE1_SYSCALL_H
#define KTSTR_STAGE1_SYSCALL_H

#include <asm/unistd.h>

/* The result as the kernel gives it: -errno from -4095 to -1. */
static inline long syscall5(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

/* Calls start(sp), where sp points to argc, argv, NULL, envp, NULL (System V ABI). */
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	ud2\n");

#endif /* KTSTR_STAGE1_SYSCALL_H */
