/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of the guest's kernel, on any kernel that loads unsigned modules: a module whose init
 * function is a few instructions that go wrong. It is made in memory after the pattern of a module
 * that the guest has anyway.
 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

enum kernel_fault {
	KERNEL_FAULT_NULL,	   /* reads address 0 */
	KERNEL_FAULT_SPIN,	   /* spins for ever, not to be preempted */
	KERNEL_FAULT_SPIN_NO_IRQS, /* the same with interrupts off */
	KERNEL_FAULT_SLEEP,	   /* sleeps for days, not to be interrupted */
};

/* Why a kernel cannot be made to fault: a constant, for SKIP(). */
#define KERNEL_FAULT_NEEDS "the guest has no kernel module to take the form from"

/*
 * Meets the fault in the calling process, so it returns for KERNEL_FAULT_NULL at most: the kernel
 * kills the process there. -ENOENT: see KERNEL_FAULT_NEEDS; -EPERM: the kernel wants signed
 * modules; -ENOEXEC: it does not take ours; -EOPNOTSUPP: not x86-64; 0: loaded, but no fault.
 */
int kernel_fault__trigger(enum kernel_fault fault);

#endif /* KERNEL_FAULT_H */
