/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stops all vCPUs of a machine for a look, and lets them go on. Nobody waits for them: a vCPU may
 * be held back by a full queue that only the event loop empties, so the last one to stop writes an
 * eventfd.
 */
#ifndef KTSTR_VMM_PAUSE_H
#define KTSTR_VMM_PAUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vm;

struct vm_pause {
	pthread_mutex_t lock;
	pthread_cond_t go;
	_Atomic bool wanted;
	uint32_t parked;     /* vCPUs that have stopped for this pause */
	uint32_t generation; /* one more with each end of a pause */
	int fd;		     /* eventfd: all have stopped; -1: not created */
};

int vm_pause__create(struct vm_pause *pause); /* -EMFILE and the like */
void vm_pause__destroy(struct vm_pause *pause);

/* All vCPUs are to stop; pause->fd becomes readable when they have. From the event loop. */
void vm_pause__begin(struct vm *vm);
/* They go on; what they do first is to look whether the machine ends. */
void vm_pause__end(struct vm *vm);

/* In a vCPU's thread, outside KVM_RUN: it has to stop; and stops until the pause ends. */
bool vm_pause__wanted(const struct vm_pause *pause);
void vm_pause__park(struct vm *vm);

#endif /* KTSTR_VMM_PAUSE_H */
