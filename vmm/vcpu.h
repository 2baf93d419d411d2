/* SPDX-License-Identifier: GPL-2.0-only */
/* One virtual CPU: its KVM handle and the thread that runs it. */
#ifndef KTSTR_VMM_VCPU_H
#define KTSTR_VMM_VCPU_H

#include <ktstr/error.h>
#include <linux/kvm.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct vm;

#define VCPU_EXIT_REASONS 48u /* KVM_EXIT_* below this are counted one by one, others in [0] */

/*
 * Blocked in the thread and unblocked by KVM while the guest runs: a kick makes KVM_RUN return
 * -EINTR whenever it comes, without a handler, so the process's signal dispositions stay its own.
 */
#define VCPU_KICK_SIGNAL SIGRTMIN

struct vcpu {
	struct vm *vm;
	uint32_t index;
	int fd;
	struct kvm_run *run;
	uint64_t run_size;
	pthread_t thread;
	bool started;		 /* the thread exists and was not joined */
	_Atomic int schedstat;	 /* of the thread; -1: none */
	_Atomic clockid_t clock; /* of its CPU time, when @clock_known */
	_Atomic bool clock_known;
	/* Of the thread: it ran, it waited for a CPU. Never fall. */
	_Atomic uint64_t run_ns, steal_ns;
	_Atomic pid_t tid; /* while it lives; 0: it does not */
	/* Of a thread that has ended: what getrusage(2) said of it. */
	uint64_t preempted, minor_faults, major_faults;
	_Atomic uint64_t exits[VCPU_EXIT_REASONS];
	_Atomic uint64_t total_exits;
};

/* @run_size: KVM_GET_VCPU_MMAP_SIZE. */
int vcpu__create(struct vm *vm, uint32_t index, uint64_t run_size, struct vcpu *vcpu,
		 struct ktstr_error *error);
void vcpu__destroy(struct vcpu *vcpu);
/* The thread runs until vm__ending(); all its signals are blocked outside KVM_RUN. */
int vcpu__start(struct vcpu *vcpu, struct ktstr_error *error);
/* Gets the vCPU out of KVM_RUN; it does not enter again once vm__ending(). From any thread. */
void vcpu__kick(struct vcpu *vcpu);
void vcpu__join(struct vcpu *vcpu);
/* Brings run_ns and steal_ns up to date; a thread that has ended has left its last ones. */
void vcpu__update_times(struct vcpu *vcpu);
/* "io", "mmio", ...; "other" for what has no name here. */
const char *vcpu__exit_name(uint32_t reason);

#endif /* KTSTR_VMM_VCPU_H */
