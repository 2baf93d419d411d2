/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host has, as the placement of a machine needs it: its CPUs with their cores, LLCs and
 * NUMA nodes, and the hugepages of each node. Read below a root directory; nothing is changed.
 */
#ifndef KTSTR_VMM_HOST_TOPOLOGY_H
#define KTSTR_VMM_HOST_TOPOLOGY_H

#include <ktstr/error.h>

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#define HOST_MAX_CPUS CPU_SETSIZE
#define HOST_MAX_NODES 1024u

/* What is not known: the files that say it are missing or make no sense. */
enum {
	HOST_UNKNOWN_CORES = 1 << 0,	 /* of a CPU at least: it is a core of its own */
	HOST_UNKNOWN_LLCS = 1 << 1,	 /* of a CPU at least: its package is its LLC */
	HOST_UNKNOWN_NODES = 1 << 2,	 /* all CPUs are in node 0, or a CPU is in no node */
	HOST_UNKNOWN_HUGEPAGES = 1 << 3, /* of a node at least: it has 0 */
};

struct host_cpu {
	uint32_t cpu;	   /* its number */
	bool allowed;	   /* for this process */
	uint32_t core;	   /* the lowest online CPU of its core */
	uint32_t llc;	   /* the lowest online CPU that shares its last-level cache */
	uint32_t node;	   /* its number */
	uint32_t capacity; /* relative, of hybrid cores; 0: not said */
};

struct host_node {
	uint32_t node;			    /* its number */
	uint64_t hugepages, free_hugepages; /* of 2 MiB */
};

/* Only CPUs that are online, and nodes that are; both ascending. */
struct host_topology {
	uint32_t nr_cpus, nr_nodes;
	struct host_cpu *cpus;
	struct host_node *nodes;
	unsigned int unknown; /* HOST_UNKNOWN_* */
};

/*
 * Reads @root/sys/devices/system, "" being the host itself. @allowed is what the process may run on
 * (sched_getaffinity(), which cpusets narrow too). Files other than cpu/online may be missing:
 * @topology->unknown says what was assumed. host_topology__free() is for the caller, after a
 * failure too. -EINVAL: cpu/online is no list of CPUs; -ENOENT and others: it cannot be read;
 * -ENOMEM.
 */
int host_topology__read(struct host_topology *topology, const char *root, const cpu_set_t *allowed,
			struct ktstr_error *error);
void host_topology__free(struct host_topology *topology);

/*
 * Sets in @set the numbers of a list as in /sys ("0-3,8", an empty one too), with or without a
 * newline. -EINVAL: it is none; -ERANGE: a number is HOST_MAX_CPUS or more.
 */
int host_topology__parse_list(const char *text, cpu_set_t *set);

#endif /* KTSTR_VMM_HOST_TOPOLOGY_H */
