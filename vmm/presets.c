// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machines of the gauntlet. Names and shapes of the first 24 are those of the original ktstr;
 * those after them have nodes, packages or distances of their own, and are shapes of
 * selftests/topology/golden, where what Linux shows of them is checked.
 */
#include <ktstr/gauntlet.h>

#include <string.h>

/* The kernel and a few tasks a CPU. */
#define MEMORY_A_CPU_MB 24u
#define MEMORY_MB(cpus)                                                             \
	((cpus)*MEMORY_A_CPU_MB < KTSTR_DEFAULT_MEMORY_MB ? KTSTR_DEFAULT_MEMORY_MB \
							  : (cpus)*MEMORY_A_CPU_MB)

#define UNIFORM(preset_name, n, l, c, t, text)                          \
	{                                                               \
		.name = (preset_name),                                  \
		.topology = {.numa_nodes = (n),                         \
			     .llcs = (l),                               \
			     .cores_per_llc = (c),                      \
			     .threads_per_core = (t)},                  \
		.memory_mb = MEMORY_MB((l) * (c) * (t)), .what = (text) \
	}

/* Nodes with CPUs share what those of memory alone leave. */
static const struct ktstr_numa_node asym_nodes[] = {{.llcs = 3}, {.llcs = 1}};
static const struct ktstr_numa_node asym_smt_nodes[] = {{.llcs = 1}, {.llcs = 3}, {.llcs = 2}};
static const struct ktstr_numa_node snc_asym_nodes[] = {{.llcs = 1}, {.llcs = 1}, {.llcs = 2}};
static const uint8_t snc_asym_distances[] = {10, 13, 20, 13, 10, 20, 20, 20, 10};
static const struct ktstr_numa_node cxl_nodes[] = {
	{.llcs = 2, .latency_ns = 80, .bandwidth_mbs = 20000},
	{.llcs = 0, .memory_mb = 256},
};
static const uint8_t cxl_distances[] = {10, 17, 17, 10};
static const struct ktstr_numa_node cxl_2node_nodes[] = {
	{.llcs = 1, .latency_ns = 90, .bandwidth_mbs = 30000},
	{.llcs = 1, .latency_ns = 95, .bandwidth_mbs = 28000},
	{.llcs = 0, .memory_mb = 256, .latency_ns = 190, .bandwidth_mbs = 11000},
};
static const uint8_t cxl_2node_distances[] = {10, 21, 31, 21, 10, 14, 31, 14, 10};
static const struct ktstr_numa_node cxl_large_nodes[] = {
	{.llcs = 2},
	{.llcs = 2},
	{.llcs = 2},
	{.llcs = 0, .memory_mb = 256, .latency_ns = 210, .bandwidth_mbs = 15000, .cache_mb = 128},
	{.llcs = 0, .memory_mb = 256},
};
static const uint8_t cxl_large_distances[] = {10, 20, 20, 14, 24, 20, 10, 20, 24, 24, 20, 20, 10,
					      24, 14, 14, 24, 24, 10, 34, 24, 24, 14, 34, 10};
static const struct ktstr_numa_node hbm_nodes[] = {
	{.llcs = 1, .latency_ns = 110, .bandwidth_mbs = 200000},
	{.llcs = 0, .memory_mb = 128, .latency_ns = 120, .bandwidth_mbs = 800000},
	{.llcs = 0, .memory_mb = 128, .latency_ns = 400, .bandwidth_mbs = 10000},
};
static const uint8_t hbm_distances[] = {10, 11, 40, 11, 10, 40, 40, 40, 10};
static const uint8_t snc_distances[] = {10, 12, 12, 10};
static const uint8_t snc_2pkg_distances[] = {10, 12, 21, 21, 12, 10, 21, 21,
					     21, 21, 10, 12, 21, 21, 12, 10};
static const uint8_t line_distances[] = {10, 20, 30, 40, 20, 10, 20, 30,
					 30, 20, 10, 20, 40, 30, 20, 10};

static const struct ktstr_preset presets[] = {
	UNIFORM("tiny-1llc", 1, 1, 4, 1, "one LLC"),
	UNIFORM("tiny-2llc", 1, 2, 2, 1, "the fewest CPUs with two LLCs to balance between"),
	UNIFORM("odd-3llc", 1, 3, 3, 1, "odd counts"),
	UNIFORM("odd-5llc", 1, 5, 3, 1, "five LLCs, odd counts"),
	UNIFORM("odd-7llc", 1, 7, 2, 1, "seven LLCs of two CPUs"),
	UNIFORM("smt-2llc", 1, 2, 2, 2, "SMT"),
	UNIFORM("smt-3llc", 1, 3, 2, 2, "SMT, three LLCs"),
	UNIFORM("medium-4llc", 1, 4, 4, 2, "32 CPUs"),
	UNIFORM("medium-8llc", 1, 8, 4, 2, "64 CPUs: a word of a CPU mask is full"),
	UNIFORM("large-4llc", 1, 4, 16, 2, "128 CPUs, few large LLCs"),
	UNIFORM("large-8llc", 1, 8, 8, 2, "128 CPUs, more LLCs"),
	UNIFORM("near-max-llc", 1, 15, 8, 2, "many LLCs"),
	UNIFORM("max-cpu", 1, 14, 9, 2, "252 CPUs, SMT"),
	UNIFORM("medium-4llc-nosmt", 1, 4, 8, 1, "32 CPUs without SMT"),
	UNIFORM("medium-8llc-nosmt", 1, 8, 8, 1, "64 CPUs without SMT"),
	UNIFORM("large-4llc-nosmt", 1, 4, 32, 1, "few large LLCs without SMT"),
	UNIFORM("large-8llc-nosmt", 1, 8, 16, 1, "128 CPUs without SMT"),
	UNIFORM("near-max-llc-nosmt", 1, 15, 16, 1, "many LLCs without SMT"),
	UNIFORM("max-cpu-nosmt", 1, 14, 18, 1, "252 CPUs without SMT"),
	UNIFORM("numa2-4llc", 2, 4, 4, 1, "two nodes"),
	UNIFORM("numa2-8llc", 2, 8, 8, 2, "two large nodes, SMT"),
	UNIFORM("numa2-8llc-nosmt", 2, 8, 16, 1, "two large nodes"),
	UNIFORM("numa4-8llc", 4, 8, 4, 1, "four nodes"),
	UNIFORM("numa4-12llc", 4, 12, 8, 2, "four large nodes, SMT"),
	{.name = "asym-4llc",
	 .topology = {.numa_nodes = 2,
		      .llcs = 4,
		      .cores_per_llc = 2,
		      .threads_per_core = 1,
		      .nodes = asym_nodes},
	 .memory_mb = 640,
	 .what = "three LLCs in one node, one in the other"},
	{.name = "asym-6llc-smt",
	 .topology = {.numa_nodes = 3,
		      .llcs = 6,
		      .cores_per_llc = 1,
		      .threads_per_core = 2,
		      .nodes = asym_smt_nodes},
	 .memory_mb = 640,
	 .what = "nodes of one, three and two LLCs"},
	{.name = "cxl",
	 .topology = {.numa_nodes = 2,
		      .llcs = 2,
		      .cores_per_llc = 2,
		      .threads_per_core = 1,
		      .nodes = cxl_nodes,
		      .distances = cxl_distances},
	 .memory_mb = 640,
	 .what = "a node of memory alone"},
	{.name = "cxl-2node",
	 .topology = {.numa_nodes = 3,
		      .llcs = 2,
		      .cores_per_llc = 2,
		      .threads_per_core = 2,
		      .nodes = cxl_2node_nodes,
		      .distances = cxl_2node_distances},
	 .memory_mb = 768,
	 .what = "memory alone that is nearer to one of two nodes"},
	{.name = "cxl-6llc",
	 .topology = {.numa_nodes = 5,
		      .llcs = 6,
		      .cores_per_llc = 4,
		      .threads_per_core = 2,
		      .nodes = cxl_large_nodes,
		      .distances = cxl_large_distances},
	 .memory_mb = 1536,
	 .what = "48 CPUs in three nodes, two of memory alone"},
	{.name = "hbm",
	 .topology = {.numa_nodes = 3,
		      .llcs = 1,
		      .cores_per_llc = 4,
		      .threads_per_core = 1,
		      .nodes = hbm_nodes,
		      .distances = hbm_distances},
	 .memory_mb = 640,
	 .what = "memory alone of two speeds"},
	{.name = "pkg4-in-2node",
	 .topology = {.numa_nodes = 2,
		      .packages = 4,
		      .llcs = 4,
		      .cores_per_llc = 2,
		      .threads_per_core = 2},
	 .memory_mb = KTSTR_DEFAULT_MEMORY_MB,
	 .what = "two packages in each node"},
	{.name = "snc2-1pkg",
	 .topology = {.numa_nodes = 2,
		      .packages = 1,
		      .llcs = 4,
		      .cores_per_llc = 2,
		      .threads_per_core = 2,
		      .distances = snc_distances},
	 .memory_mb = KTSTR_DEFAULT_MEMORY_MB,
	 .what = "two nodes in a package"},
	{.name = "snc2-2pkg",
	 .topology = {.numa_nodes = 4,
		      .packages = 2,
		      .llcs = 8,
		      .cores_per_llc = 2,
		      .threads_per_core = 1,
		      .distances = snc_2pkg_distances},
	 .memory_mb = KTSTR_DEFAULT_MEMORY_MB,
	 .what = "two nodes in each of two packages"},
	{.name = "snc-asym",
	 .topology = {.numa_nodes = 3,
		      .packages = 2,
		      .llcs = 4,
		      .cores_per_llc = 2,
		      .threads_per_core = 1,
		      .nodes = snc_asym_nodes,
		      .distances = snc_asym_distances},
	 .memory_mb = KTSTR_DEFAULT_MEMORY_MB,
	 .what = "one package of two nodes, one of one"},
	{.name = "numa4-line",
	 .topology = {.numa_nodes = 4,
		      .llcs = 4,
		      .cores_per_llc = 2,
		      .threads_per_core = 2,
		      .distances = line_distances},
	 .memory_mb = KTSTR_DEFAULT_MEMORY_MB,
	 .what = "four nodes in a line: up to three hops"},
};

const struct ktstr_preset *ktstr_presets(size_t *nr)
{
	*nr = sizeof(presets) / sizeof(presets[0]);
	return presets;
}

const struct ktstr_preset *ktstr_preset__find(const char *name)
{
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (!strcmp(presets[i].name, name))
			return &presets[i];
	return NULL;
}
