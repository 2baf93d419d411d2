/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a machine gets of the host before it starts, for who admits machines: room in the budget,
 * then CPUs that nobody has alone, or LLCs for itself (cpu_locks.h has why this order).
 */
#ifndef KTSTR_VMM_HOST_SHARE_H
#define KTSTR_VMM_HOST_SHARE_H

#include <ktstr/vm.h>

#include "budget.h"
#include "cpu_locks.h"
#include "placement.h"

struct host_share {
	struct budget_share budget;
	struct cpu_locks *cpus; /* NULL: none */
	/* In performance mode: where the machine goes, on LLCs that it has alone */
	struct placement plan;
};

struct host_share_request {
	key_t key; /* of the budget: BUDGET_KEY */
	/* The machine: @topology, @memory_mb, @cpu_cap, @performance_mode and @cancel_fd */
	const struct ktstr_vm_config *config;
	const char *what; /* as in struct cpu_locks_request */
	/* Both parts call it once at most. */
	void (*say)(void *opaque, bool waits, const char *text);
	void *opaque;
};

/* What the environment says of it: 0, or -EINVAL. */
int host_share__check(struct ktstr_error *error);

/*
 * Waits for both. 0, and the share is to be given back after the machine was destroyed, whose
 * config->cpu_share is to be host_share__cpus(). -ECANCELED, -ETIMEDOUT; -EINVAL: bad variables, or
 * more CPUs than the process may use; -ENOSPC: performance mode is required, and cannot be had.
 *
 * In performance mode the plan goes round LLCs that others use, where it can, and waits for them
 * otherwise.
 */
int host_share__take(const struct host_share_request *request, struct host_share *share,
		     struct ktstr_error *error);
/* A share of zeros is allowed. */
void host_share__give_back(struct host_share *share);

/* For struct ktstr_vm_config. */
const struct ktstr_cpu_share *host_share__cpus(const struct host_share *share);

/* The CPUs and no budget, for a machine that nobody admits. */
int host_share__take_cpus(const struct host_share_request *request, struct host_share *share,
			  struct ktstr_error *error);

#endif /* KTSTR_VMM_HOST_SHARE_H */
