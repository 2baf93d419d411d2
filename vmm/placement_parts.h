/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the planner share; for placement*.c alone. */
#ifndef KTSTR_VMM_PLACEMENT_PARTS_H
#define KTSTR_VMM_PLACEMENT_PARTS_H

#include "placement.h"

/* Numbers of this file are indexes, those of struct host_topology the host's. */
struct place_cpu {
	struct host_cpu host;
	uint32_t index; /* in the topology */
	uint32_t core, llc, node;
	uint32_t kind; /* of core; 0: the largest */
};

/* CPUs, or cores, that this process may use: @nr from @first on. */
struct place_core {
	uint32_t first, nr;
	uint32_t kind;
	uint32_t used; /* the first ones, which vCPUs have */
};

struct place_llc {
	uint32_t first, nr; /* cores */
	uint32_t nr_cpus;
	uint32_t node;
	bool has_cpu_0;
	bool used;
};

/* What virtual nodes leave of a host node, while they are placed. */
struct place_node {
	uint64_t kb;	    /* UINT64_MAX: not known; 0 where this process may have none */
	uint64_t hugepages; /* free */
	uint32_t users;	    /* virtual nodes on it */
	/* LLCs that a virtual one fits on, from planner.fit[first_fit] on; the first are taken */
	uint32_t first_fit, fits, taken;
};

struct planner {
	const struct host_topology *host;
	const struct host_conditions *conditions;
	const struct layout *machine;
	/* Of the machine: cores of an LLC, threads of a core, vCPUs of an LLC */
	uint32_t nr_llcs, cores, threads, llc_vcpus;
	/* What this process may use; CPUs by LLC, node, kind, and core, the core of CPU 0 last */
	uint32_t nr_cpus, nr_cores, nr_host_llcs, nr_kinds;
	struct place_cpu *cpu;
	struct place_core *core;
	struct place_llc *llc;
	struct place_node *node; /* as in the topology */
	uint32_t *fit;		 /* LLCs, by node */
	/* The plan: the CPU of each vCPU and the host node of each node, or PLACEMENT_ANY */
	uint32_t *vcpu, *node_of;
	uint32_t service; /* CPU, or PLACEMENT_ANY */
	/* Nodes that have CPUs, those of most LLCs first; and how long to search */
	uint32_t *by_llcs, nr_by_llcs;
	uint32_t steps;
};

/* -ENOMEM. placement_cpus__destroy() is for the caller, after a failure too. */
int placement_cpus__create(struct planner *p);
void placement_cpus__destroy(struct planner *p);
/* Gives each vCPU its CPU. False: not each virtual LLC finds a host LLC of its own. */
bool placement_cpus__place(struct planner *p);
/* The same with LLCs that are shared, or spread over several. False: not even CPUs are enough. */
bool placement_cpus__scatter(struct planner *p);
/* When vCPUs are placed, or are not to be: a CPU for service threads, if there is one. */
void placement_cpus__place_service(struct planner *p);
/* Host LLCs that a virtual LLC fits on. */
uint32_t placement_cpus__llcs_that_fit(const struct planner *p);

/* Gives each virtual node with CPUs the host node of most of them, the others what is left. */
void placement_memory__place(struct planner *p, struct placement *out);
/* As if no virtual node was there. */
void placement_memory__reset(struct planner *p);
/* Whether the process may have memory of the host node. */
bool placement_memory__is_allowed(const struct planner *p, uint32_t host_node);
/* Whether the host node has as much RAM, as many hugepages, as @node needs. */
bool placement_memory__fits(const struct planner *p, uint32_t node, uint32_t host_node);
bool placement_memory__has_hugepages(const struct planner *p, uint32_t node, uint32_t host_node);
void placement_memory__take(struct planner *p, uint32_t node, uint32_t host_node);
uint64_t placement_memory__hugepages(const struct planner *p, uint32_t node);

/* Adds what @out and the conditions lack to its findings. -ENOMEM. */
int placement_findings__add(const struct planner *p, struct placement *out);

#endif /* KTSTR_VMM_PLACEMENT_PARTS_H */
