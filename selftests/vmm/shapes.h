/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine shapes that the layout, CPUID and ACPI tests go through, and RAM as gmem lays it. */
#ifndef KTSTR_SELFTESTS_SHAPES_H
#define KTSTR_SELFTESTS_SHAPES_H

#include <ktstr/topology.h>

#include "vmm/memory.h"

#define SHAPES_GIB (UINT64_C(1) << 30)

/* Shorter forms: counts and packages, and nodes of their own. */
#define SHAPE(n, p, l, c, t, ...)                                                      \
	{                                                                              \
		.numa_nodes = (n), .packages = (p), .llcs = (l), .cores_per_llc = (c), \
		.threads_per_core = (t), __VA_ARGS__                                   \
	}
#define SHAPE_NODES(...)                          \
	.nodes = (const struct ktstr_numa_node[]) \
	{                                         \
		__VA_ARGS__                       \
	}
#define SHAPE_DISTANCES(...)           \
	.distances = (const uint8_t[]) \
	{                              \
		__VA_ARGS__            \
	}

static const struct ktstr_topology shapes[] = {
	TOPO(1, 1, 1, 1),
	TOPO(1, 1, 2, 1),
	TOPO(1, 1, 1, 2),
	TOPO(1, 1, 4, 2),
	TOPO(1, 2, 2, 2),
	TOPO(1, 2, 4, 1),
	TOPO(1, 2, 4, 2),
	TOPO(1, 3, 3, 1),
	TOPO(1, 3, 5, 2),
	TOPO(1, 1, 3, 3),
	TOPO(1, 5, 1, 1),
	TOPO(1, 7, 1, 2),
	TOPO(1, 8, 8, 2),
	TOPO(1, 14, 18, 1),
	TOPO(1, 14, 9, 2),
	TOPO(1, 1, 252, 1),
	TOPO(2, 2, 1, 1),
	TOPO(2, 2, 2, 2),
	TOPO(2, 4, 4, 2),
	TOPO(2, 6, 3, 1),
	TOPO(2, 14, 9, 2),
	TOPO(3, 3, 3, 1),
	TOPO(3, 9, 2, 2),
	TOPO(4, 4, 4, 2),
	TOPO(4, 8, 3, 2),
	TOPO(4, 12, 5, 1),
	TOPO(4, 64, 8, 2),
	TOPO(8, 8, 1, 1),
	/* many CPUs in the one LLC of a package */
	TOPO(2, 2, 72, 1),
	TOPO(4, 4, 24, 2),
	TOPO(2, 2, 9, 4),
	/* every node possible */
	TOPO(64, 64, 1, 1),
	/* several nodes in a package, several packages in a node */
	SHAPE(2, 1, 2, 2, 2),
	SHAPE(2, 1, 6, 3, 1),
	SHAPE(3, 1, 3, 5, 2),
	SHAPE(4, 2, 8, 3, 2),
	SHAPE(6, 2, 6, 7, 1),
	SHAPE(8, 1, 8, 1, 1),
	SHAPE(16, 1, 16, 2, 1),
	SHAPE(1, 2, 2, 2, 1),
	SHAPE(1, 2, 4, 4, 2),
	SHAPE(2, 4, 8, 3, 1),
	SHAPE(1, 7, 14, 18, 1),
	/* nodes that differ; packages then do too, unless they are set */
	SHAPE(2, 0, 3, 2, 2, SHAPE_NODES({.llcs = 2}, {.llcs = 1})),
	SHAPE(2, 0, 4, 2, 1, SHAPE_NODES({.llcs = 1}, {.llcs = 3})),
	SHAPE(2, 0, 3, 1, 1, SHAPE_NODES({.llcs = 2}, {.llcs = 1})),
	SHAPE(3, 0, 7, 3, 2, SHAPE_NODES({.llcs = 4}, {.llcs = 1, .memory_mb = 128}, {.llcs = 2})),
	SHAPE(2, 1, 3, 2, 2, SHAPE_NODES({.llcs = 2}, {.llcs = 1})),
	SHAPE(3, 2, 4, 3, 1, SHAPE_NODES({.llcs = 2}, {.llcs = 1}, {.llcs = 1})),
	SHAPE(3, 4, 8, 2, 2, SHAPE_NODES({.llcs = 4}, {.llcs = 2}, {.llcs = 2})),
	/* memory without CPUs */
	SHAPE(2, 0, 2, 2, 2, SHAPE_NODES({.llcs = 2}, {.memory_mb = 256, .latency_ns = 300})),
	SHAPE(3, 0, 4, 4, 1, SHAPE_NODES({.llcs = 2}, {.llcs = 2}, {.bandwidth_mbs = 9000})),
	SHAPE(4, 1, 2, 2, 2, SHAPE_NODES({.llcs = 1}, {.llcs = 1}, {.cache_mb = 64}, {.llcs = 0})),
	/* distances of their own */
	SHAPE(2, 0, 2, 2, 1, SHAPE_DISTANCES(10, 17, 17, 10)),
	SHAPE(4, 2, 4, 2, 2,
	      SHAPE_DISTANCES(10, 12, 32, 32, 12, 10, 32, 32, 32, 32, 10, 12, 32, 32, 12, 10)),
	/* caches of their own */
	SHAPE(1, 0, 2, 2, 2, .caches = {.l1d_kb = 64, .l1i_kb = 16, .l2_kb = 1280, .l3_kb = 36608}),
	SHAPE(2, 0, 2, 3, 1, .caches = {.l1d_kb = 1, .l2_kb = 65535, .l3_kb = 1111111}),
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))
#define SHAPES_MAX_CPUS 1024

/* @bytes of RAM with the hole that the header of guest memory states. */
static inline struct gmem shapes_ram(uint64_t bytes)
{
	struct gmem mem = {.nr_regions = 1};

	mem.regions[0].size = bytes;
	if (bytes > GMEM_HOLE_START) {
		mem.regions[0].size = GMEM_HOLE_START;
		mem.regions[1].gpa = GMEM_HOLE_END;
		mem.regions[1].size = bytes - GMEM_HOLE_START;
		mem.nr_regions = 2;
	}
	return mem;
}

#endif /* KTSTR_SELFTESTS_SHAPES_H */
