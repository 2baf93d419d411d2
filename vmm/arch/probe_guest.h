/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tiny guest by which ktstr_probe__run() tries a KVM: a timed loop, then, when it is told to,
 * what every stock kernel does. One implementation an architecture.
 */
#ifndef KTSTR_VMM_ARCH_PROBE_GUEST_H
#define KTSTR_VMM_ARCH_PROBE_GUEST_H

#include <stdint.h>
#include <stddef.h>

struct kvm_run;

#define PROBE_GUEST_BYTES 0x10000u

struct probe_vm {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *memory; /* [PROBE_GUEST_BYTES] */
	uint64_t have;	 /* what this KVM's CPUs have, of what can be tried */
};

enum probe_exit {
	PROBE_FAILED = 0,
	PROBE_GOES_ON, /* as it had to be, and it is not the last one */
	PROBE_ENDED,
};

struct probe_guest {
	const char *mode; /* in which kernels run, "ring 0" */
	uint64_t ram_gpa;
	uint32_t iterations, instructions; /* of the loop, and in each of its iterations */
	double native_minsn_per_s;	   /* a slower KVM interprets; 0: none does */
	uint32_t limit_ms;		   /* for all attempts */
	const char *const *stages;	   /* [nr_stages]: what it can be at */
	uint32_t nr_stages;
	/* What a machine needs and this KVM does not have; NULL: nothing. May be NULL itself. */
	const char *(*missing)(const struct probe_vm *p);
	/* Before and after the vCPU is made; RAM is there. NULL, or what failed: errno says why. */
	const char *(*prepare_vm)(struct probe_vm *p);
	const char *(*prepare_vcpu)(struct probe_vm *p);
	/* To the first instruction; @features: of @have, what is tried. 0, or -1: errno. */
	int (*reset)(struct probe_vm *p, uint64_t features);
	/* What KVM_RUN returned for. */
	enum probe_exit (*exited)(const struct probe_vm *p);
	/* Place in @stages. *left: iterations of the loop. */
	uint32_t (*progress)(const struct probe_vm *p, uint64_t *left);
};

#define PROBE_STAGE_LOOP 1u /* 0: its first instruction was not reached */

#endif /* KTSTR_VMM_ARCH_PROBE_GUEST_H */
