/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host has, as data: its CPUs with their cores, LLCs, packages and NUMA nodes, the memory
 * and the hugepages of each node. For the placement of machines, and for pictures. Read below a
 * directory; nothing is changed.
 */
#ifndef KTSTR_VMM_HOST_TOPOLOGY_H
#define KTSTR_VMM_HOST_TOPOLOGY_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdbool.h>
#include <stdint.h>

#include "host_files.h"

#define HOST_MAX_NODES 1024u

/* What is not known: the files that say it are missing or make no sense. */
enum {
	HOST_UNKNOWN_CORES = 1 << 0,	 /* of a CPU at least: it is a core of its own */
	HOST_UNKNOWN_LLCS = 1 << 1,	 /* of a CPU at least: its package is its LLC */
	HOST_UNKNOWN_NODES = 1 << 2,	 /* all CPUs are in node 0, or a CPU is in no node */
	HOST_UNKNOWN_HUGEPAGES = 1 << 3, /* of a node at least: it has 0 */
	HOST_UNKNOWN_PACKAGES = 1 << 4,	 /* of a CPU at least: it is in package 0 */
};

struct host_cpu {
	uint32_t cpu;	   /* its number */
	bool allowed;	   /* for this process */
	bool taken;	   /* others have its LLC: nothing is to be planned there */
	bool efficient;	   /* a small core of a hybrid x86 */
	uint32_t core;	   /* the lowest online CPU of its core */
	uint32_t llc;	   /* the lowest online CPU that shares its last-level cache */
	uint32_t package;  /* its number */
	uint32_t node;	   /* its number */
	uint32_t capacity; /* relative, of hybrid cores; 0: not said */
};

/* Of figures, 0 is one that is not known. */
struct host_node {
	uint32_t node;			    /* its number */
	uint64_t memory_kb, cache_kb;	    /* memory in all, and its memory-side cache */
	uint64_t hugepages, free_hugepages; /* of 2 MiB */
	uint32_t latency_ns;		    /* of its memory from the nearest CPUs */
	uint32_t bandwidth_mbs;		    /* likewise */
};

/* Only CPUs that are online, and nodes that are; both ascending. */
struct host_topology {
	uint32_t nr_cpus, nr_nodes;
	struct host_cpu *cpus;
	struct host_node *nodes;
	uint32_t *distances;	    /* nr_nodes * nr_nodes; 0: not known */
	struct ktstr_caches caches; /* of the first CPU; 0: not known */
	unsigned int unknown;	    /* HOST_UNKNOWN_* */
};

/*
 * Reads @sys, "/sys" or a copy of it. @allowed is what the process may run on (sched_getaffinity(),
 * which cpusets narrow too); NULL: all CPUs. Files other than cpu/online may be missing:
 * @topology->unknown says what was assumed. host_topology__free() is for the caller, after a
 * failure too. -EINVAL, -ERANGE: cpu/online is no list of CPUs; -ENOENT and others: it cannot be
 * read; -ENOMEM.
 */
int host_topology__read(struct host_topology *topology, const char *sys,
			const struct host_set *allowed, struct ktstr_error *error);
void host_topology__free(struct host_topology *topology);

#endif /* KTSTR_VMM_HOST_TOPOLOGY_H */
