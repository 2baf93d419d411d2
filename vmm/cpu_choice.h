/* SPDX-License-Identifier: GPL-2.0-only */
/* Which of the host's CPUs a machine gets that is to have only so many. Plain data, no calls. */
#ifndef KTSTR_VMM_CPU_CHOICE_H
#define KTSTR_VMM_CPU_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "host_topology.h"

struct cpu_choice_cpu {
	uint32_t cpu, core; /* as in struct host_cpu */
	uint32_t llc;	    /* index in @llcs */
	uint32_t place;	    /* among the CPUs online of its LLC, ascending */
	bool allowed;
	uint32_t used; /* by so many machines */
	bool chosen;
};

struct cpu_choice_llc {
	uint32_t id, node; /* as in struct host_cpu; the node of its first CPU */
	uint32_t allowed;  /* CPUs */
	uint32_t holders;  /* machines that use it */
	bool available;
	bool chosen;
};

/*
 * Chooses @wanted allowed CPUs of LLCs that are available, 0: all of them. One LLC is filled before
 * the next, that with fewest machines first; in one node where one has enough, in that where fewest
 * machines are met. Of the last LLC, CPUs with fewest machines, whole cores before parts of others.
 * False: there are not so many.
 */
bool cpu_choice__make(struct cpu_choice_cpu *cpus, uint32_t nr_cpus, struct cpu_choice_llc *llcs,
		      uint32_t nr_llcs, uint32_t wanted);

#endif /* KTSTR_VMM_CPU_CHOICE_H */
