// SPDX-License-Identifier: GPL-2.0-only
/* The host's topology, read from trees as /sys of real hosts has them. */
#include "kselftest_harness.h"

#include <sched.h>

#include "host_tree.h"
#include "vmm/host_topology.h"

FIXTURE(host)
{
	struct host_tree tree;
	struct host_topology topology;
	struct ktstr_error error;
};

FIXTURE_SETUP(host)
{
	host_tree__create(&self->tree);
	memset(&self->topology, 0, sizeof(self->topology));
	memset(&self->error, 0, sizeof(self->error));
}

FIXTURE_TEARDOWN(host)
{
	host_topology__free(&self->topology);
	host_tree__destroy(&self->tree);
}

static int read_host(FIXTURE_DATA(host) * self, const struct host_set *allowed)
{
	host_topology__free(&self->topology);
	return host_topology__read(&self->topology, self->tree.sys, allowed, &self->error);
}

TEST_F(host, one_llc_with_threads)
{
	static const char *const cores[] = {"0,2", "1,3"};

	host_tree__put(&self->tree, "0-3", "sys/devices/system/cpu/online");
	for (unsigned int i = 0; i < 4; i++)
		host_tree__put_cpu(&self->tree, i, cores[i % 2], "0-3");
	host_tree__put(&self->tree, "0", "sys/devices/system/node/online");
	host_tree__put_node(&self->tree, 0, "0-3", "64", "60");
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(0, self->topology.unknown);
	ASSERT_EQ(4, self->topology.nr_cpus);
	for (unsigned int i = 0; i < 4; i++) {
		EXPECT_EQ(i, self->topology.cpus[i].cpu);
		EXPECT_EQ(i % 2, self->topology.cpus[i].core);
		EXPECT_EQ(0, self->topology.cpus[i].llc);
		EXPECT_TRUE(self->topology.cpus[i].allowed);
	}
	ASSERT_EQ(1, self->topology.nr_nodes);
	EXPECT_EQ(64, self->topology.nodes[0].hugepages);
	EXPECT_EQ(60, self->topology.nodes[0].free_hugepages);
}

/* Eight chiplets of two single-thread cores (SMT off), four a socket. */
TEST_F(host, chiplets_in_two_sockets)
{
	host_tree__put(&self->tree, "0-15", "sys/devices/system/cpu/online");
	for (unsigned int i = 0; i < 16; i++) {
		char core[8], llc[16];

		snprintf(core, sizeof(core), "%u", i);
		snprintf(llc, sizeof(llc), "%u-%u", i & ~1u, i | 1u);
		host_tree__put_cpu(&self->tree, i, core, llc);
	}
	host_tree__put(&self->tree, "0-1", "sys/devices/system/node/online");
	host_tree__put_node(&self->tree, 0, "0-7", "0", "0");
	host_tree__put_node(&self->tree, 1, "8-15", "8", "8");
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(0, self->topology.unknown);
	ASSERT_EQ(16, self->topology.nr_cpus);
	for (unsigned int i = 0; i < 16; i++) {
		EXPECT_EQ(i, self->topology.cpus[i].core);
		EXPECT_EQ(i & ~1u, self->topology.cpus[i].llc);
		EXPECT_EQ(i / 8, self->topology.cpus[i].node);
	}
	ASSERT_EQ(2, self->topology.nr_nodes);
	EXPECT_EQ(8, self->topology.nodes[1].free_hugepages);
}

/* CPU 0 is offline and may still be in lists; the process may run on 2 and 3 only. */
TEST_F(host, offline_cpus_and_a_narrow_cpuset)
{
	struct host_set allowed;

	host_tree__put(&self->tree, "1-3", "sys/devices/system/cpu/online");
	for (unsigned int i = 1; i < 4; i++)
		host_tree__put_cpu(&self->tree, i, i == 1 ? "0-1" : "2-3", "0-3");
	host_tree__put(&self->tree, "0", "sys/devices/system/node/online");
	host_tree__put_node(&self->tree, 0, "1-3", "0", "0");
	ASSERT_EQ(0, host_set__parse("2-3", &allowed));
	ASSERT_EQ(0, read_host(self, &allowed));
	ASSERT_EQ(3, self->topology.nr_cpus);
	EXPECT_EQ(1, self->topology.cpus[0].cpu);
	EXPECT_EQ(1, self->topology.cpus[0].core);
	EXPECT_EQ(1, self->topology.cpus[2].llc);
	EXPECT_FALSE(self->topology.cpus[0].allowed);
	EXPECT_TRUE(self->topology.cpus[1].allowed);
	EXPECT_TRUE(self->topology.cpus[2].allowed);
}

/* A big core with two threads, and a small one with none. */
TEST_F(host, hybrid_cores)
{
	host_tree__put(&self->tree, "0-2", "sys/devices/system/cpu/online");
	for (unsigned int i = 0; i < 3; i++) {
		host_tree__put_cpu(&self->tree, i, i < 2 ? "0-1" : "2", "0-2");
		host_tree__put(&self->tree, i < 2 ? "1024" : "446",
			       "sys/devices/system/cpu/cpu%u/cpu_capacity", i);
	}
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(0, self->topology.cpus[1].core);
	EXPECT_EQ(2, self->topology.cpus[2].core);
	EXPECT_EQ(1024, self->topology.cpus[1].capacity);
	EXPECT_EQ(446, self->topology.cpus[2].capacity);
}

/* Where SMT is on, such a host says no capacities: a PMU of each kind does. */
TEST_F(host, hybrid_cores_by_their_pmus)
{
	host_tree__put(&self->tree, "0-2", "sys/devices/system/cpu/online");
	host_tree__put(&self->tree, "0-1", "sys/devices/cpu_core/cpus");
	host_tree__put(&self->tree, "2", "sys/devices/cpu_atom/cpus");
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_FALSE(self->topology.cpus[1].efficient);
	EXPECT_TRUE(self->topology.cpus[2].efficient);
}

/* Names of lists before Linux 5.3, packages that the firmware does not know, and sizes in MiB. */
TEST_F(host, other_forms_of_the_files)
{
	host_tree__put(&self->tree, "0-3", "sys/devices/system/cpu/online");
	for (unsigned int i = 0; i < 4; i++) {
		host_tree__put(&self->tree, i % 2 ? "1,3" : "0,2",
			       HOST_TREE_CPU "topology/thread_siblings_list", i);
		host_tree__put(&self->tree, i % 2 ? "1,3" : "0,2",
			       HOST_TREE_CPU "topology/core_siblings_list", i);
		host_tree__put(&self->tree, "-1", HOST_TREE_CPU "topology/physical_package_id", i);
	}
	host_tree__put(&self->tree, "Unified", HOST_TREE_CPU "cache/index2/type", 0);
	host_tree__put(&self->tree, "2", HOST_TREE_CPU "cache/index2/level", 0);
	host_tree__put(&self->tree, "2M", HOST_TREE_CPU "cache/index2/size", 0);
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(HOST_UNKNOWN_LLCS | HOST_UNKNOWN_NODES | HOST_UNKNOWN_HUGEPAGES,
		  self->topology.unknown);
	EXPECT_EQ(1, self->topology.cpus[3].core);
	EXPECT_EQ(1, self->topology.cpus[3].llc);
	EXPECT_EQ(0, self->topology.cpus[3].package);
	EXPECT_EQ(2048, self->topology.caches.l2_kb);
}

TEST_F(host, memory_of_nodes)
{
	host_tree__put(&self->tree, "0", "sys/devices/system/cpu/online");
	host_tree__put_cpu(&self->tree, 0, "0", "0");
	host_tree__put(&self->tree, "0,3", "sys/devices/system/node/online");
	host_tree__put_node(&self->tree, 0, "0", "0", "0");
	host_tree__put_node(&self->tree, 3, "", "16", "15");
	host_tree__put(&self->tree, "Node 3 MemTotal:   507904 kB\nNode 3 MemFree:  1 kB",
		       HOST_TREE_NODE "meminfo", 3);
	host_tree__put(&self->tree, "67108864", HOST_TREE_NODE "memory_side_cache/index1/size", 3);
	host_tree__put(&self->tree, "250", HOST_TREE_NODE "access1/initiators/read_latency", 3);
	host_tree__put(&self->tree, "9000", HOST_TREE_NODE "access0/initiators/read_bandwidth", 3);
	host_tree__put(&self->tree, "10 17", HOST_TREE_NODE "distance", 0);
	host_tree__put(&self->tree, "17 10", HOST_TREE_NODE "distance", 3);
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(0, self->topology.unknown);
	ASSERT_EQ(2, self->topology.nr_nodes);
	EXPECT_EQ(0, self->topology.nodes[0].memory_kb);
	EXPECT_EQ(3, self->topology.nodes[1].node);
	EXPECT_EQ(507904, self->topology.nodes[1].memory_kb);
	EXPECT_EQ(65536, self->topology.nodes[1].cache_kb);
	EXPECT_EQ(250, self->topology.nodes[1].latency_ns);
	EXPECT_EQ(9000, self->topology.nodes[1].bandwidth_mbs);
	EXPECT_EQ(15, self->topology.nodes[1].free_hugepages);
	EXPECT_EQ(17, self->topology.distances[1]);
	EXPECT_EQ(10, self->topology.distances[3]);
}

TEST_F(host, says_what_is_missing)
{
	host_tree__put(&self->tree, "0-1", "sys/devices/system/cpu/online");
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(HOST_UNKNOWN_CORES | HOST_UNKNOWN_LLCS | HOST_UNKNOWN_NODES |
			  HOST_UNKNOWN_HUGEPAGES | HOST_UNKNOWN_PACKAGES,
		  self->topology.unknown);
	ASSERT_EQ(2, self->topology.nr_cpus);
	EXPECT_EQ(1, self->topology.cpus[1].core);
	EXPECT_EQ(0, self->topology.cpus[1].llc);
	ASSERT_EQ(1, self->topology.nr_nodes);
}

/* Lists without the CPU itself, more free pages than there are, a CPU that is in no node. */
TEST_F(host, odd_files_are_unknown)
{
	host_tree__put(&self->tree, "0-1", "sys/devices/system/cpu/online");
	host_tree__put_cpu(&self->tree, 0, "0", "0");
	host_tree__put_cpu(&self->tree, 1, "0", "0");
	host_tree__put(&self->tree, "0", "sys/devices/system/node/online");
	host_tree__put_node(&self->tree, 0, "0", "1", "2");
	ASSERT_EQ(0, read_host(self, NULL));
	EXPECT_EQ(HOST_UNKNOWN_CORES | HOST_UNKNOWN_LLCS | HOST_UNKNOWN_NODES |
			  HOST_UNKNOWN_HUGEPAGES,
		  self->topology.unknown);
	EXPECT_EQ(1, self->topology.cpus[1].core);
	EXPECT_EQ(0, self->topology.nodes[0].free_hugepages);
}

TEST_F(host, without_cpus_is_an_error)
{
	EXPECT_EQ(-ENOENT, read_host(self, NULL));
	EXPECT_EQ(ENOENT, self->error.err);
	host_tree__put(&self->tree, "", "sys/devices/system/cpu/online");
	EXPECT_EQ(-EINVAL, read_host(self, NULL));
	host_tree__put(&self->tree, "0-x", "sys/devices/system/cpu/online");
	EXPECT_EQ(-EINVAL, read_host(self, NULL));
}

TEST(lists)
{
	static const char *const bad[] = {"x", "1-", "-1", "3-1", "0,", "0 1", "0-1-2", "\n\n"};
	struct host_set set, few;

	ASSERT_EQ(0, host_set__parse("0-2,8,8191\n", &set));
	EXPECT_EQ(5, host_set__count(&set));
	EXPECT_TRUE(host_set__has(&set, 2) && host_set__has(&set, 8) && host_set__has(&set, 8191));
	EXPECT_FALSE(host_set__has(&set, 3) || host_set__has(&set, 8192));
	ASSERT_EQ(0, host_set__parse("3-7,70-80,8191", &few));
	EXPECT_EQ(8191, host_set__lowest(&set, &few));
	ASSERT_EQ(0, host_set__parse("\n", &few));
	EXPECT_EQ(0, host_set__count(&few));
	EXPECT_EQ(HOST_MAX_CPUS, host_set__lowest(&set, &few));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, host_set__parse(bad[i], &set))
		{
			TH_LOG("'%s'", bad[i]);
		}
	}
	EXPECT_EQ(-ERANGE, host_set__parse("0-8192", &set));
	EXPECT_EQ(-ERANGE, host_set__parse("99999999999999999999", &set));
}

/* The longest list that there can be is read; the kernel's own mask has the same bits. */
TEST_F(host, set_of_every_second_cpu)
{
	static char text[HOST_MAX_CPUS * 3];
	struct host_set set, allowed;
	size_t length = 0;
	cpu_set_t own;

	for (unsigned int i = 0; i < HOST_MAX_CPUS; i += 2)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u",
					   i ? "," : "", i);
	host_tree__put(&self->tree, text, "sys/list");
	ASSERT_EQ(0, host_files__set(self->tree.sys, &set, "list"));
	EXPECT_EQ(HOST_MAX_CPUS / 2, host_set__count(&set));
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(own), &own));
	ASSERT_EQ(0, host_set__allowed(&allowed));
	for (unsigned int i = 0; i < CPU_SETSIZE; i++)
		ASSERT_EQ(!!CPU_ISSET(i, &own), host_set__has(&allowed, i));
}

TEST_HARNESS_MAIN
