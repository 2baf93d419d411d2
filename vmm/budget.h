/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vCPUs and the memory that all machines of a host may have together. A machine that does not
 * fit waits, first come, first served, and one that is larger than the budget runs alone.
 *
 * A set of System V semaphores counts what is taken; a process of its own (holder.h) holds each
 * share, and the kernel gives back what it held (SEM_UNDO).
 */
#ifndef KTSTR_VMM_BUDGET_H
#define KTSTR_VMM_BUDGET_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "holder.h"

#define BUDGET_VCPUS_VARIABLE "KTSTR_MAX_VCPUS"
#define BUDGET_MEMORY_VARIABLE "KTSTR_MAX_MEMORY_MB"

/* Of the host's set: "ktst". */
#define BUDGET_KEY 0x6b747374
/* Memory is counted in units of so many MiB, as a semaphore counts to 32767 at most. */
#define BUDGET_UNIT_MB 64u

/*
 * How much all machines may have when one of ours starts. It is each process's own: who allows more
 * than others starts where these wait, and changes nothing for them.
 */
struct budget_limits {
	uint32_t vcpus;
	/* 0: 80% of what was available when no machine ran */
	uint32_t memory_mb;
};

/* From the environment; otherwise the host's online CPUs, and 0. -EINVAL: a bad variable. */
int budget__limits(struct budget_limits *limits, struct ktstr_error *error);

struct budget_request {
	key_t key;
	uint32_t vcpus, memory_mb;
	struct budget_limits limits;
	int cancel_fd; /* readable: no longer wanted; -1: none */
	/*
	 * Called once when it has to wait (@waits), with who has how much, or when the host has no
	 * budget, with the reason: the machine runs then. May be NULL.
	 */
	void (*say)(void *opaque, bool waits, const char *text);
	void *opaque;
};

/* What a machine with this topology and memory_mb (as in struct ktstr_vm_config) needs. False: it
 * is no machine, which ktstr_vm__create() will say. */
bool budget_request__size(struct budget_request *request, const struct ktstr_topology *topology,
			  uint32_t memory_mb);

struct budget_share {
	struct holder holder; /* no .pid: none */
};

/*
 * Waits until the request fits. 0, and the share is to be given back; or -ECANCELED. The calling
 * thread must live until then.
 */
int budget__take(const struct budget_request *request, struct budget_share *share);

struct budget_use {
	uint32_t vcpus, memory_mb; /* that machines have */
	uint32_t available_mb;	   /* for all; 0: nobody has looked yet */
	uint32_t waiters;
};
/* Zeros where no machine runs. -errno: there is no budget. */
int budget__look(key_t key, struct budget_use *use);

/* When it returns, others can have it. A share of zeros is allowed. */
void budget__give_back(struct budget_share *share);

#endif /* KTSTR_VMM_BUDGET_H */
