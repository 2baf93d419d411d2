/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine, computed once from the declared topology and the RAM layout, as plain data: every
 * consumer (CPUID, MADT, SRAT, SLIT, loader) only reads it.
 */
#ifndef KTSTR_VMM_LAYOUT_H
#define KTSTR_VMM_LAYOUT_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdint.h>

#include "memory.h"

/* All numbers are machine-wide and from 0, but @thread, which is within its core. */
struct layout_cpu {
	uint32_t node, package, llc, core, thread;
	uint32_t hw_id; /* x86: APIC id */
};

/* A piece of RAM of one NUMA node; none crosses a struct gmem_region. */
struct layout_memory {
	uint64_t gpa, size;
	uint32_t node;
};

/* CPUs of a node are contiguous; so are those of a package. */
struct layout_node {
	uint32_t first_cpu, nr_cpus; /* 0 CPUs: memory only */
	uint64_t memory;	     /* bytes */
	uint32_t latency_ns;	     /* of its memory from the nearest CPUs */
	uint32_t bandwidth_mbs;
	uint64_t cache; /* memory-side cache, bytes; 0: none */
};

struct layout_package {
	uint32_t first_cpu, nr_cpus;
	uint32_t nr_nodes; /* that have CPUs in it; 1 where a node spans several packages */
};

struct layout {
	struct ktstr_topology topology; /* its counts and caches; the arrays are not kept */
	uint32_t nr_cpus;
	struct layout_cpu
		*cpus; /* in Linux's order: CPU number = index = MADT order; [0] is the BSP */
	uint32_t max_hw_id;
	/* x86: bits of an APIC id below each level; a level's field is as wide as it needs */
	uint32_t core_shift;	/* thread bits */
	uint32_t llc_shift;	/* thread and core bits: CPUs that share an LLC differ below it */
	uint32_t package_shift; /* all bits below the package */
	uint32_t nr_packages;
	struct layout_package *packages;
	uint32_t nr_memory;
	struct layout_memory *memory; /* sorted by gpa; covers all RAM, page aligned */
	uint32_t nr_nodes;
	struct layout_node *nodes;
	uint8_t *distances;   /* nr_nodes * nr_nodes, SLIT units: 10 local, 20 remote */
	uint32_t *capacities; /* of each CPU; NULL: they are alike */
};

/* -EINVAL: the topology is not valid, or a node would have no memory; -ENOMEM. */
int layout__create(const struct ktstr_topology *topology, const struct gmem *mem,
		   struct layout *layout, struct ktstr_error *error);
void layout__destroy(struct layout *layout);

/*
 * Access of @target's memory from the CPUs of @initiator: the target's own figures at the nearest
 * node with CPUs, elsewhere scaled by the distances.
 */
uint32_t layout__latency_ns(const struct layout *layout, uint32_t initiator, uint32_t target);
uint32_t layout__bandwidth_mbs(const struct layout *layout, uint32_t initiator, uint32_t target);

#endif /* KTSTR_VMM_LAYOUT_H */
