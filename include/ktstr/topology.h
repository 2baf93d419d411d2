/* SPDX-License-Identifier: GPL-2.0-only */
/* The CPU topology that a test declares: plain data, shared by every consumer. */
#ifndef KTSTR_TOPOLOGY_H
#define KTSTR_TOPOLOGY_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

#define KTSTR_MAX_CPUS 4096u /* sanity bound; KVM's own limit is checked when a VM is created */
#define KTSTR_MAX_NUMA_NODES 64u

/* One NUMA node; 0 in a field stands for what its comment says. */
struct ktstr_numa_node {
	uint32_t llcs;	    /* 0: memory without CPUs, as of a CXL device; such nodes come last */
	uint32_t memory_mb; /* MiB; 0: an equal share of what the other nodes leave of the VM's RAM
			     */
	/* Of its memory, seen from the nearest CPUs, read and write alike; it goes to the HMAT. */
	uint32_t latency_ns;	/* 0: KTSTR_LATENCY_NS, without CPUs KTSTR_CXL_LATENCY_NS */
	uint32_t bandwidth_mbs; /* MB/s; 0: KTSTR_BANDWIDTH_MBS, KTSTR_CXL_BANDWIDTH_MBS */
	uint32_t cache_mb;	/* memory-side cache, MiB; 0: none */
};

#define KTSTR_LATENCY_NS 100u
#define KTSTR_CXL_LATENCY_NS 250u
#define KTSTR_BANDWIDTH_MBS 25600u
#define KTSTR_CXL_BANDWIDTH_MBS 12800u
/* Of the farthest CPUs too: ns in an entry of the HMAT (ACPI 6.5 §5.2.28.4; 65535: unreachable). */
#define KTSTR_MAX_LATENCY_NS 65534u
/* A node below this is dropped or starved by the kernel (x86: NODE_MIN_SIZE is 4 MiB). */
#define KTSTR_MIN_NODE_MEMORY_MB 16u

/* ACPI 6.5 §5.2.17: 10 is a node's distance to itself; 20 means twice as far. */
#define KTSTR_DISTANCE_LOCAL 10
#define KTSTR_DISTANCE_REMOTE 20
#define KTSTR_DISTANCE_UNREACHABLE 255

/* Of each core (L1, L2) and of each LLC (L3), KiB; 0: as server parts of the CPU's vendor have. */
struct ktstr_caches {
	uint32_t l1d_kb, l1i_kb, l2_kb, l3_kb;
};
/* 8 and 16 bits of KiB in CPUID 0x80000005 and 0x80000006; Linux counts bytes in 32 bits. */
#define KTSTR_MAX_L1_KB 255u
#define KTSTR_MAX_L2_KB 65535u
#define KTSTR_MAX_L3_KB 4194303u

/* How fast a core is beside the others (Linux's SCHED_CAPACITY_SCALE): the fastest has the most. */
#define KTSTR_MAX_CAPACITY 1024u

/*
 * A machine. Counts are machine-wide totals except cores_per_llc and threads_per_core:
 * CPUs = llcs * cores_per_llc * threads_per_core. Arrays stay the caller's. A zeroed struct with
 * the four counts is a uniform machine: @llcs, a multiple of @numa_nodes, and RAM are spread
 * evenly.
 */
struct ktstr_topology {
	uint32_t numa_nodes;
	uint32_t llcs;
	uint32_t cores_per_llc;
	uint32_t threads_per_core;
	/*
	 * Sockets; 0, or as many as NUMA nodes that have CPUs: one for each of these. Otherwise the
	 * LLCs are spread evenly over them, in order; a package holds whole nodes, or a node whole
	 * packages.
	 */
	uint32_t packages;
	const struct ktstr_numa_node *nodes; /* numa_nodes of them; NULL: uniform */
	/* numa_nodes * numa_nodes, row by row, ACPI SLIT units; NULL: 10 local, 20 remote */
	const uint8_t *distances;
	struct ktstr_caches caches;
	/*
	 * arm64: of each core, llcs * cores_per_llc of them in order, 1 to KTSTR_MAX_CAPACITY, as
	 * capacity-dmips-mhz of its CPUs; NULL: the cores are alike. Linux scales them so that the
	 * largest is 1024. The cores do not really differ: it is what schedulers are told.
	 */
	const uint32_t *capacities;
};

/* TOPO(numa_nodes, llcs, cores_per_llc, threads_per_core), for .topology = in a test. */
#define TOPO(n, l, c, t)          \
	((struct ktstr_topology){ \
		.numa_nodes = (n), .llcs = (l), .cores_per_llc = (c), .threads_per_core = (t)})

/* For .nodes, .distances and .capacities: as many nodes as .numa_nodes, and their rows of
 * distances; as many numbers as there are cores. */
#define KTSTR_NODES(...) ((const struct ktstr_numa_node[]){__VA_ARGS__})
#define KTSTR_DISTANCES(...) ((const uint8_t[]){__VA_ARGS__})
#define KTSTR_CAPACITIES(...) ((const uint32_t[]){__VA_ARGS__})

/* Number of CPUs of a validated topology. */
uint32_t ktstr_topology__cpus(const struct ktstr_topology *topology);

/*
 * Reads the compact form "2n4l4c2t" (each letter once, in any order, p for packages; what is
 * missing is 1, but LLCs that are missing are one a node, and packages are the default). -EINVAL:
 * not of this form, or what ktstr_topology__validate() refuses.
 */
int ktstr_topology__parse(const char *text, struct ktstr_topology *topology,
			  struct ktstr_error *error);

/* Writes the compact form, without nodes, distances, caches and capacities. Returns the length as snprintf
 * does. */
int ktstr_topology__format(const struct ktstr_topology *topology, char *buf, size_t size);

/*
 * Writes the options of a command line that describe it whole: "--topology 2n3l2c1t --node
 * llcs=2,memory=1024 --node llcs=1,latency=90 --distance 0,1=17 --cache l3=16384". Returns the
 * length as snprintf does.
 */
int ktstr_topology__format_options(const struct ktstr_topology *topology, char *buf, size_t size);

/*
 * A topology that is being read from such options, in any order. @topology points into it. Zeroed
 * at the start.
 */
struct ktstr_topology_options {
	struct ktstr_topology topology;
	struct ktstr_numa_node nodes[KTSTR_MAX_NUMA_NODES];
	uint8_t distances[KTSTR_MAX_NUMA_NODES * KTSTR_MAX_NUMA_NODES];
	uint32_t capacities[KTSTR_MAX_CPUS]; /* by core; 0: not given */
	/* as given */
	const char *text; /* of --topology */
	uint32_t nr_nodes, nr_distances;
	uint32_t nr_capacities; /* the last core that one was given for, and 1 */
	struct {
		uint32_t from, to;
		uint8_t value;
	} given[KTSTR_MAX_NUMA_NODES * KTSTR_MAX_NUMA_NODES];
};

/*
 * Takes option @name ("topology", "node", "distance", "cache", "capacity", without dashes) with its value,
 * which stays the caller's. Of a node, what is not given is the default, 1 LLC. "topology" is in the
 * compact form or the name of a preset (ktstr/gauntlet.h), and the last one counts. -ENOENT: no option of a topology; -EINVAL: the value is not of the option's
 * form.
 */
int ktstr_topology_options__add(struct ktstr_topology_options *options, const char *name,
				const char *value, struct ktstr_error *error);

/*
 * Puts together and validates what was given. With --node, numa_nodes and llcs may be missing in
 * the compact form. A distance holds both ways; one not given is 20. The capacity of a core that none
 * is given for is 1024, when one is given for any. -EINVAL.
 */
int ktstr_topology_options__finish(struct ktstr_topology_options *options,
				   struct ktstr_error *error);

/*
 * -EINVAL: a count is zero or too large, LLCs cannot be spread evenly or their sum over the nodes
 * is not @llcs, no node has CPUs, a node without CPUs comes before one that has some (Linux numbers
 * those with CPUs first), packages and nodes overlap, a distance is not 10 on the diagonal, not 11
 * to 254 elsewhere (255: unreachable) or not the same both ways, a node's memory is below its
 * minimum, a latency, scaled to the farthest CPUs, is above KTSTR_MAX_LATENCY_NS, a cache is above
 * its maximum, or a capacity 0 or above its own.
 */
int ktstr_topology__validate(const struct ktstr_topology *topology, struct ktstr_error *error);

/*
 * RAM of a machine, MiB: @memory_mb, or the sum over the nodes when that is 0 and each says its
 * own, or KTSTR_DEFAULT_MEMORY_MB. -EINVAL: the nodes say another sum, or leave less than the
 * minimum to those that say nothing.
 */
int ktstr_topology__memory_mb(const struct ktstr_topology *topology, uint32_t memory_mb,
			      uint32_t *total_mb, struct ktstr_error *error);
#define KTSTR_DEFAULT_MEMORY_MB 512u

#endif /* KTSTR_TOPOLOGY_H */
