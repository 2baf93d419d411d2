// SPDX-License-Identifier: GPL-2.0-only
/* The topology that a test asks for is the one that the guest's kernel shows in sysfs. */
#include <ktstr/harness.h>

#include "workload.h"

#define MAX_CPUS 64u

FIXTURE(topology)
{
	struct ktstr_topology asked;
	unsigned int cpus;
};

FIXTURE_VARIANT(topology)
{
	char unused; /* what a variant asks for is an attribute */
};

KTSTR_FIXTURE_VARIANT_ADD(topology, one_cpu, .topology = TOPO(1, 1, 1, 1)){.unused = 0};
KTSTR_FIXTURE_VARIANT_ADD(topology, smt, .topology = TOPO(1, 1, 2, 2)){.unused = 0};
KTSTR_FIXTURE_VARIANT_ADD(topology, two_llcs, .topology = TOPO(1, 2, 2, 1)){.unused = 0};
KTSTR_FIXTURE_VARIANT_ADD(topology, two_nodes_of_two_llcs,
			  .topology = TOPO(2, 4, 1, 2)){.unused = 0};

FIXTURE_SETUP(topology)
{
	self->asked = KTSTR_ATTRS().topology;
	self->cpus = self->asked.llcs * self->asked.cores_per_llc * self->asked.threads_per_core;
	ASSERT_GT(self->cpus, 0);
	ASSERT_LE(self->cpus, MAX_CPUS);
}

FIXTURE_TEARDOWN(topology)
{
}

/* A list of CPUs in sysfs as a set; 0 when it cannot be read. */
static uint64_t cpu_set(const char *format, unsigned int number)
{
	char path[256], text[256];
	uint64_t set;

	snprintf(path, sizeof(path), format, number);
	if (file__read(path, text, sizeof(text)) || !cpu_list__parse(text, &set))
		return 0;
	return set;
}

/*
 * Each CPU's list names @size CPUs, itself among them, and all CPUs of one list have the same one.
 * Returns the number of different lists, 0 when that does not hold.
 */
static unsigned int count_groups(const char *format, unsigned int cpus, unsigned int size)
{
	uint64_t sets[MAX_CPUS];
	unsigned int cpu, other, groups = 0;

	for (cpu = 0; cpu < cpus; cpu++) {
		sets[cpu] = cpu_set(format, cpu);
		if (!(sets[cpu] >> cpu & 1) || __builtin_popcountll(sets[cpu]) != (int)size) {
			printf("# cpu%u: set %#jx, %u CPUs wanted\n", cpu, (uintmax_t)sets[cpu],
			       size);
			return 0;
		}
		groups += (unsigned int)__builtin_ctzll(sets[cpu]) == cpu;
		for (other = 0; other < cpu; other++) {
			if ((sets[cpu] >> other & 1) && sets[other] != sets[cpu])
				return 0;
		}
	}
	return groups;
}

TEST_F(topology, cpus_cores_llcs_packages_and_nodes_are_as_asked)
{
	const struct ktstr_topology *asked = &self->asked;
	const char *cpu = "/sys/devices/system/cpu/cpu%u/";
	char format[128];
	uint64_t all = self->cpus == 64 ? UINT64_MAX : (UINT64_C(1) << self->cpus) - 1;
	uint64_t nodes, seen = 0;
	unsigned int node;

	EXPECT_EQ(all, cpu_set("/sys/devices/system/cpu/online", 0));

	snprintf(format, sizeof(format), "%stopology/thread_siblings_list", cpu);
	EXPECT_EQ(asked->llcs * asked->cores_per_llc,
		  count_groups(format, self->cpus, asked->threads_per_core));

	snprintf(format, sizeof(format), "%scache/index3/shared_cpu_list", cpu);
	EXPECT_EQ(asked->llcs,
		  count_groups(format, self->cpus, asked->cores_per_llc * asked->threads_per_core));

	snprintf(format, sizeof(format), "%stopology/core_siblings_list", cpu);
	EXPECT_EQ(asked->numa_nodes,
		  count_groups(format, self->cpus, self->cpus / asked->numa_nodes));

	nodes = cpu_set("/sys/devices/system/node/online", 0);
	EXPECT_EQ((UINT64_C(1) << asked->numa_nodes) - 1, nodes);
	for (node = 0; node < asked->numa_nodes; node++) {
		uint64_t set = cpu_set("/sys/devices/system/node/node%u/cpulist", node);
		uint64_t llc;

		EXPECT_EQ(self->cpus / asked->numa_nodes, (unsigned int)__builtin_popcountll(set));
		EXPECT_EQ(0, set & seen);
		seen |= set;
		/* An LLC lies in one node. */
		ASSERT_NE(0, set);
		llc = cpu_set("/sys/devices/system/cpu/cpu%u/cache/index3/shared_cpu_list",
			      (unsigned int)__builtin_ctzll(set));
		EXPECT_EQ(llc, llc & set);
	}
	EXPECT_EQ(all, seen);
}

KTSTR_HARNESS_MAIN
