/* SPDX-License-Identifier: GPL-2.0-only */
/* The CPU topology that a test declares: plain data, shared by every consumer. */
#ifndef KTSTR_TOPOLOGY_H
#define KTSTR_TOPOLOGY_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

#define KTSTR_MAX_CPUS 4096u /* sanity bound; KVM's own limit is checked when a VM is created */
#define KTSTR_MAX_NUMA_NODES 64u

/*
 * A uniform machine. All counts are machine-wide totals except the last two:
 * CPUs = llcs * cores_per_llc * threads_per_core. @llcs is a multiple of @numa_nodes. Each NUMA
 * node is one package, which holds llcs / numa_nodes last-level caches.
 */
struct ktstr_topology {
	uint32_t numa_nodes;
	uint32_t llcs;
	uint32_t cores_per_llc;
	uint32_t threads_per_core;
};

/* TOPO(numa_nodes, llcs, cores_per_llc, threads_per_core), for .topology = in a test. */
#define TOPO(n, l, c, t)          \
	((struct ktstr_topology){ \
		.numa_nodes = (n), .llcs = (l), .cores_per_llc = (c), .threads_per_core = (t)})

/* Number of CPUs of a validated topology. */
uint32_t ktstr_topology__cpus(const struct ktstr_topology *topology);

/*
 * Reads "2n4l4c2t" (each letter once, in any order; what is missing is 1, but LLCs that are missing
 * are one a node). -EINVAL: not of this form, or what ktstr_topology__validate() refuses.
 */
int ktstr_topology__parse(const char *text, struct ktstr_topology *topology,
			  struct ktstr_error *error);

/* Writes the compact form. Returns the length as snprintf does. */
int ktstr_topology__format(const struct ktstr_topology *topology, char *buf, size_t size);

/* -EINVAL: a count is zero, LLCs are not divisible by nodes, or there are too many CPUs. */
int ktstr_topology__validate(const struct ktstr_topology *topology, struct ktstr_error *error);

#endif /* KTSTR_TOPOLOGY_H */
