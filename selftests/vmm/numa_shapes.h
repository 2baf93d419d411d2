/* SPDX-License-Identifier: GPL-2.0-only */
/* Machines whose NUMA nodes differ, beside the uniform ones of shapes.h. */
#ifndef KTSTR_SELFTESTS_NUMA_SHAPES_H
#define KTSTR_SELFTESTS_NUMA_SHAPES_H

#include <ktstr/topology.h>

#include <stddef.h>
#include <stdint.h>

/* Each has @memory_mb of RAM, a share for each node that says nothing. */
struct numa_shape {
	const char *name;
	struct ktstr_topology topology;
	uint32_t memory_mb;
};

static const struct ktstr_numa_node asymmetric_nodes[] = {
	{.llcs = 2, .memory_mb = 768, .latency_ns = 80, .bandwidth_mbs = 20000},
	{.llcs = 1, .memory_mb = 256, .latency_ns = 95, .bandwidth_mbs = 17001},
};
static const struct ktstr_numa_node cxl_nodes[] = {{.llcs = 2}, {.memory_mb = 2048}};
static const struct ktstr_numa_node two_cxl_nodes[] = {
	{.llcs = 2, .memory_mb = 1024},
	{.llcs = 1, .memory_mb = 2048},
	{.memory_mb = 512, .latency_ns = 333, .bandwidth_mbs = 9999, .cache_mb = 64},
	{.memory_mb = 4096, .latency_ns = 1001, .bandwidth_mbs = 1},
};
/* Node 2 lies at node 1, node 3 as far from the one as from the other. */
static const uint8_t two_cxl_distances[] = {10, 21, 34, 28, 21, 10, 17, 28,
					    34, 17, 10, 40, 28, 28, 40, 10};
static const uint8_t line_distances[] = {10, 15, 31, 254, 15,  10, 16, 77,
					 31, 16, 10, 11,  254, 77, 11, 10};
static const struct ktstr_numa_node cached_nodes[] = {
	{.llcs = 1, .cache_mb = 1},
	{.llcs = 1},
	{.llcs = 1, .cache_mb = 98304},
	{.cache_mb = 4096},
};
/* Bandwidths past 16 bits with a common unit: 3200 MB/s. */
static const struct ktstr_numa_node fast_nodes[] = {
	{.llcs = 1, .latency_ns = 1, .bandwidth_mbs = 409600},
	{.llcs = 1, .latency_ns = 32767, .bandwidth_mbs = 3200},
	{.latency_ns = 7, .bandwidth_mbs = 819200},
};
/* Only what the nodes say of themselves has a common unit: 100. */
static const struct ktstr_numa_node wide_nodes[] = {
	{.llcs = 1, .bandwidth_mbs = 4000000},
	{.llcs = 1, .bandwidth_mbs = 300},
};
static const uint8_t wide_distances[] = {10, 13, 13, 10};
static const struct ktstr_numa_node big_nodes[] = {
	{.llcs = 5}, {.llcs = 4}, {.llcs = 3}, {.llcs = 2}, {.memory_mb = 1024}};
/* 64 nodes, the last 32 without CPUs. */
static const struct ktstr_numa_node many_nodes[64] = {
	[0 ... 31] = {.llcs = 1, .memory_mb = 64, .cache_mb = 16},
	[32 ... 63] = {.memory_mb = 32, .latency_ns = 400},
};

#define WITH_NODES(l, c, t, array)                                              \
	{                                                                       \
		.numa_nodes = sizeof(array) / sizeof((array)[0]), .llcs = (l),  \
		.cores_per_llc = (c), .threads_per_core = (t), .nodes = (array) \
	}

static const struct numa_shape numa_shapes[] = {
	{"asymmetric", WITH_NODES(3, 2, 2, asymmetric_nodes), 1024},
	{"cxl", WITH_NODES(2, 2, 1, cxl_nodes), 3072},
	{"two cxl",
	 {.numa_nodes = 4,
	  .llcs = 3,
	  .cores_per_llc = 3,
	  .threads_per_core = 1,
	  .nodes = two_cxl_nodes,
	  .distances = two_cxl_distances},
	 7680},
	{"distances",
	 {.numa_nodes = 4,
	  .llcs = 8,
	  .cores_per_llc = 2,
	  .threads_per_core = 1,
	  .distances = line_distances},
	 5120},
	{"caches", WITH_NODES(3, 1, 1, cached_nodes), 2048},
	{"fast", WITH_NODES(2, 1, 1, fast_nodes), 1024},
	{"wide",
	 {.numa_nodes = 2,
	  .llcs = 2,
	  .cores_per_llc = 1,
	  .threads_per_core = 1,
	  .nodes = wide_nodes,
	  .distances = wide_distances},
	 1024},
	{"252 CPUs", WITH_NODES(14, 9, 2, big_nodes), 8192},
	{"64 nodes",
	 {.numa_nodes = 64, .llcs = 64, .cores_per_llc = 4, .threads_per_core = 1},
	 4096},
	{"64 nodes, half of them memory", WITH_NODES(32, 2, 1, many_nodes), 3072},
	{"two nodes a package",
	 {.numa_nodes = 4, .llcs = 4, .cores_per_llc = 2, .threads_per_core = 1, .packages = 2},
	 1024},
	{"1024 CPUs",
	 {.numa_nodes = 8, .llcs = 64, .cores_per_llc = 8, .threads_per_core = 2},
	 8192},
};

#define NR_NUMA_SHAPES (sizeof(numa_shapes) / sizeof(numa_shapes[0]))

#endif /* KTSTR_SELFTESTS_NUMA_SHAPES_H */
