/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine whose time is over: what each of its CPUs was doing, with names; then the guest's own
 * word on it, which an NMI makes it say.
 */
#ifndef KTSTR_VMM_HANG_H
#define KTSTR_VMM_HANG_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

struct vm;

enum hang_stage {
	HANG_NONE = 0,
	HANG_LOOK,	 /* vCPUs are being stopped, to look at them */
	HANG_FIRST,	 /* one got an NMI, and the machine goes on */
	HANG_LOOK_AGAIN, /* it said nothing: vCPUs are being stopped, for an NMI to the others */
	HANG_LAST,	 /* all that could be done was; the machine goes on until the timer */
};

struct vm_hang {
	enum hang_stage stage;
	bool boot;		   /* init never spoke */
	bool recorded;		   /* @places is filled */
	bool decided;		   /* it is the first cause of the run's end */
	uint32_t first;		   /* vCPU that got the first NMI */
	uint32_t step;		   /* life-cycle step in which it was */
	uint64_t console;	   /* bytes of COM1 before the NMI */
	struct vcpu_place *places; /* [vm->nr_vcpus] */
	char *text;		   /* one line a vCPU; NULL: none */
};

/* Before and after a machine's run; destroy is allowed on what was not created. */
int vm_hang__create(struct vm *vm, struct ktstr_error *error);
void vm_hang__destroy(struct vm *vm);
/* Watches for stopped vCPUs; the event loop exists. */
int vm_hang__start(struct vm *vm, struct ktstr_error *error);

/* The time of the run is over, or @boot: of its boot. In the event loop. */
void vm_hang__begin(struct vm *vm, bool boot);
/* True from then on: the timer is vm_hang__timer()'s. */
bool vm_hang__active(const struct vm *vm);
void vm_hang__timer(struct vm *vm);

/* After the last vCPU has stopped for good: the verdict with names, and the text of all vCPUs. */
void vm_hang__finish(struct vm *vm);

#endif /* KTSTR_VMM_HANG_H */
