// SPDX-License-Identifier: GPL-2.0-only
/* The host's topology, read from trees as /sys of real hosts has them. */
#include "kselftest_harness.h"

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <unistd.h>

#include "vmm/files.h"
#include "vmm/host_topology.h"

FIXTURE(host)
{
	char root[32];
	cpu_set_t allowed;
	struct host_topology topology;
	struct ktstr_error error;
};

FIXTURE_SETUP(host)
{
	strcpy(self->root, "/tmp/ktstr-host-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->root));
	memset(&self->allowed, 0xff, sizeof(self->allowed));
	memset(&self->topology, 0, sizeof(self->topology));
	memset(&self->error, 0, sizeof(self->error));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

FIXTURE_TEARDOWN(host)
{
	host_topology__free(&self->topology);
	nftw(self->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file of the tree with one line. */
__attribute__((format(printf, 3, 4))) static void put(const char *root, const char *text,
						      const char *name_fmt, ...)
{
	char name[128], path[PATH_MAX];
	va_list args;
	FILE *file;

	va_start(args, name_fmt);
	vsnprintf(name, sizeof(name), name_fmt, args);
	va_end(args);
	snprintf(path, sizeof(path), "%s/sys/devices/system/%s", root, name);
	if (files__make_parents(path))
		abort();
	file = fopen(path, "we");
	if (!file || fprintf(file, "%s\n", text) < 0 || fclose(file))
		abort();
}

static void put_cpu(const char *root, unsigned int cpu, const char *core, const char *llc)
{
	put(root, core, "cpu/cpu%u/topology/thread_siblings_list", cpu);
	put(root, "Data", "cpu/cpu%u/cache/index0/type", cpu);
	put(root, "1", "cpu/cpu%u/cache/index0/level", cpu);
	put(root, core, "cpu/cpu%u/cache/index0/shared_cpu_list", cpu);
	put(root, "Unified", "cpu/cpu%u/cache/index1/type", cpu);
	put(root, "3", "cpu/cpu%u/cache/index1/level", cpu);
	put(root, llc, "cpu/cpu%u/cache/index1/shared_cpu_list", cpu);
}

static void put_node(const char *root, unsigned int node, const char *cpus, const char *all,
		     const char *unused)
{
	const char *dir = "hugepages/hugepages-2048kB";

	put(root, cpus, "node/node%u/cpulist", node);
	put(root, all, "node/node%u/%s/nr_hugepages", node, dir);
	put(root, unused, "node/node%u/%s/free_hugepages", node, dir);
}

static int read_host(FIXTURE_DATA(host) * self)
{
	return host_topology__read(&self->topology, self->root, &self->allowed, &self->error);
}

TEST_F(host, one_llc_with_threads)
{
	static const char *const cores[] = {"0,2", "1,3"};

	put(self->root, "0-3", "cpu/online");
	for (unsigned int i = 0; i < 4; i++)
		put_cpu(self->root, i, cores[i % 2], "0-3");
	put(self->root, "0", "node/online");
	put_node(self->root, 0, "0-3", "64", "60");
	ASSERT_EQ(0, read_host(self));
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
	put(self->root, "0-15", "cpu/online");
	for (unsigned int i = 0; i < 16; i++) {
		char core[8], llc[16];

		snprintf(core, sizeof(core), "%u", i);
		snprintf(llc, sizeof(llc), "%u-%u", i & ~1u, i | 1u);
		put_cpu(self->root, i, core, llc);
	}
	put(self->root, "0-1", "node/online");
	put_node(self->root, 0, "0-7", "0", "0");
	put_node(self->root, 1, "8-15", "8", "8");
	ASSERT_EQ(0, read_host(self));
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
	put(self->root, "1-3", "cpu/online");
	for (unsigned int i = 1; i < 4; i++)
		put_cpu(self->root, i, i == 1 ? "0-1" : "2-3", "0-3");
	put(self->root, "0", "node/online");
	put_node(self->root, 0, "1-3", "0", "0");
	CPU_ZERO(&self->allowed);
	CPU_SET(2, &self->allowed);
	CPU_SET(3, &self->allowed);
	ASSERT_EQ(0, read_host(self));
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
	put(self->root, "0-2", "cpu/online");
	for (unsigned int i = 0; i < 3; i++) {
		put_cpu(self->root, i, i < 2 ? "0-1" : "2", "0-2");
		put(self->root, i < 2 ? "1024" : "446", "cpu/cpu%u/cpu_capacity", i);
	}
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->topology.cpus[1].core);
	EXPECT_EQ(2, self->topology.cpus[2].core);
	EXPECT_EQ(1024, self->topology.cpus[1].capacity);
	EXPECT_EQ(446, self->topology.cpus[2].capacity);
}

TEST_F(host, says_what_is_missing)
{
	put(self->root, "0-1", "cpu/online");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(HOST_UNKNOWN_CORES | HOST_UNKNOWN_LLCS | HOST_UNKNOWN_NODES |
			  HOST_UNKNOWN_HUGEPAGES,
		  self->topology.unknown);
	ASSERT_EQ(2, self->topology.nr_cpus);
	EXPECT_EQ(1, self->topology.cpus[1].core);
	EXPECT_EQ(0, self->topology.cpus[1].llc);
	ASSERT_EQ(1, self->topology.nr_nodes);
}

/* Lists without the CPU itself, more free pages than there are, a CPU that is in no node. */
TEST_F(host, odd_files_are_unknown)
{
	put(self->root, "0-1", "cpu/online");
	put_cpu(self->root, 0, "0", "0");
	put_cpu(self->root, 1, "0", "0");
	put(self->root, "0", "node/online");
	put_node(self->root, 0, "0", "1", "2");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(HOST_UNKNOWN_CORES | HOST_UNKNOWN_LLCS | HOST_UNKNOWN_NODES |
			  HOST_UNKNOWN_HUGEPAGES,
		  self->topology.unknown);
	EXPECT_EQ(1, self->topology.cpus[1].core);
	EXPECT_EQ(0, self->topology.nodes[0].free_hugepages);
}

TEST_F(host, without_cpus_is_an_error)
{
	EXPECT_EQ(-ENOENT, read_host(self));
	EXPECT_EQ(ENOENT, self->error.err);
	put(self->root, "", "cpu/online");
	EXPECT_EQ(-EINVAL, read_host(self));
	put(self->root, "0-x", "cpu/online");
	EXPECT_EQ(-EINVAL, read_host(self));
}

TEST(lists)
{
	static const char *const bad[] = {"x", "1-", "-1", "3-1", "0,", "0 1", "0-1-2", "\n\n"};
	cpu_set_t set;

	ASSERT_EQ(0, host_topology__parse_list("0-2,8,1023\n", &set));
	EXPECT_EQ(5, CPU_COUNT(&set));
	EXPECT_TRUE(CPU_ISSET(2, &set) && CPU_ISSET(8, &set) && CPU_ISSET(1023, &set));
	ASSERT_EQ(0, host_topology__parse_list("\n", &set));
	EXPECT_EQ(0, CPU_COUNT(&set));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, host_topology__parse_list(bad[i], &set))
		{
			TH_LOG("'%s'", bad[i]);
		}
	}
	EXPECT_EQ(-ERANGE, host_topology__parse_list("0-1024", &set));
	EXPECT_EQ(-ERANGE, host_topology__parse_list("99999999999999999999", &set));
}

TEST_HARNESS_MAIN
