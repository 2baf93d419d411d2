// SPDX-License-Identifier: GPL-2.0-only
/* Sets of CPUs of scenarios, over sysfs trees of several machines. */
#include "kselftest_harness.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/kit/cpus.h"

static void list_of(const struct cpu_bits *bits, char text[64])
{
	cpu_bits__format(bits, text, 64);
}

TEST(lists_of_cpus_are_read_and_written)
{
	static const char *const good[] = {"", "0", "0-3", "1,3,5-7", "63-65", "4095", "0-4095"};
	static const char *const bad[] = {"-",	  "a",	"0-",  "3-1",  ",1",	 "1,",
					  "1,,2", " 1", "0x1", "4096", "0-4096", "99999999999"};
	struct cpu_bits bits;
	char text[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ASSERT_EQ(0, cpu_bits__parse(good[i], &bits));
		EXPECT_EQ(strlen(good[i]), cpu_bits__format(&bits, text, sizeof(text)));
		EXPECT_STREQ(good[i], text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-EINVAL, cpu_bits__parse(bad[i], &bits))
		{
			TH_LOG("%s", bad[i]);
		}
	}
	ASSERT_EQ(0, cpu_bits__parse("1-2,2-3,3", &bits));
	list_of(&bits, text);
	EXPECT_STREQ("1-3", text);
	EXPECT_EQ(3, cpu_bits__count(&bits));
	/* What does not fit is cut, and its length said. */
	EXPECT_EQ(3, cpu_bits__format(&bits, text, 2));
	EXPECT_STREQ("1", text);
	EXPECT_EQ(3, cpu_bits__format(&bits, NULL, 0));
}

/* ---- Machines, as files ---- */

FIXTURE(machine)
{
	char sys[64];
	struct machine *m;
	struct cpu_bits bits;
	char why[256];
};

FIXTURE_SETUP(machine)
{
	strcpy(self->sys, "/tmp/kit-cpus-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->sys));
	self->m = malloc(sizeof(*self->m));
	ASSERT_NE(NULL, self->m);
}

FIXTURE_TEARDOWN(machine)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", self->sys);
	EXPECT_EQ(0, system(command));
	free(self->m);
}

static void put(const char *sys, const char *text, const char *format, ...)
{
	char path[256], command[600];
	va_list args;
	int n = snprintf(path, sizeof(path), "%s/", sys);

	va_start(args, format);
	vsnprintf(path + n, sizeof(path) - (size_t)n, format, args);
	va_end(args);
	snprintf(command, sizeof(command), "mkdir -p $(dirname %s) && echo '%s' >%s", path, text,
		 path);
	if (system(command))
		abort();
}

/* @llcs: a list of CPUs each; "": the CPU has no cache. */
static void put_caches(const char *sys, uint32_t first, uint32_t last, const char *list)
{
	for (uint32_t cpu = first; cpu <= last; cpu++) {
		put(sys, "1", "cpu/cpu%u/cache/index0/level", cpu);
		put(sys, "0", "cpu/cpu%u/cache/index0/shared_cpu_list", cpu);
		put(sys, "3", "cpu/cpu%u/cache/index3/level", cpu);
		put(sys, list, "cpu/cpu%u/cache/index3/shared_cpu_list", cpu);
	}
}

/* Two nodes; the first has two LLCs, one of which is of CPUs far apart; the second one, smaller. */
static void put_two_nodes(const char *sys)
{
	put(sys, "0-6", "cpu/online");
	put(sys, "0-1", "node/online");
	put(sys, "0-1,3-5", "node/node0/cpulist");
	put(sys, "2,6", "node/node1/cpulist");
	put_caches(sys, 0, 0, "0,5");
	put_caches(sys, 5, 5, "0,5");
	put_caches(sys, 1, 1, "1,3-4");
	put_caches(sys, 3, 4, "1,3-4");
	put_caches(sys, 2, 2, "2,6");
	put_caches(sys, 6, 6, "2,6");
}

TEST_F(machine, cpus_are_in_the_order_of_nodes_and_llcs)
{
	static const uint16_t order[] = {0, 5, 1, 3, 4, 2, 6};

	put_two_nodes(self->sys);
	ASSERT_EQ(0, machine__read(self->sys, self->m));
	EXPECT_EQ(7, self->m->nr_cpus);
	EXPECT_EQ(3, self->m->nr_llcs);
	EXPECT_EQ(2, self->m->nr_nodes);
	EXPECT_EQ(0, memcmp(order, self->m->order, sizeof(order)));
	EXPECT_EQ(0, self->m->llc_of[5]);
	EXPECT_EQ(1, self->m->llc_of[4]);
	EXPECT_EQ(2, self->m->llc_of[2]);
	EXPECT_EQ(1, self->m->node_of[6]);
}

#define EXPECT_CPUS(expected, ...)                                                           \
	do {                                                                                 \
		const struct ktstr_cpus cpus = __VA_ARGS__;                                  \
		char text[64];                                                               \
		EXPECT_EQ(0, machine__resolve(self->m, &cpus, &self->bits, self->why, 256)); \
		list_of(&self->bits, text);                                                  \
		EXPECT_STREQ(expected, text);                                                \
	} while (0)

TEST_F(machine, sets_mean_what_the_topology_has)
{
	put_two_nodes(self->sys);
	ASSERT_EQ(0, machine__read(self->sys, self->m));
	EXPECT_CPUS("0-6", CPUS_ALL);
	EXPECT_CPUS("0,5", CPUS_LLC(0));
	EXPECT_CPUS("1,3-4", CPUS_LLC(1));
	EXPECT_CPUS("2,6", CPUS_NODE(1));
	EXPECT_CPUS("0-1,3-5", CPUS_NODE(0));
	/* 7 CPUs in two: 3 and 4; in three: 2, 2, 3 */
	EXPECT_CPUS("0-1,5", CPUS_PART(0, 2));
	EXPECT_CPUS("2-4,6", CPUS_PART(1, 2));
	EXPECT_CPUS("0,5", CPUS_PART(0, 3));
	EXPECT_CPUS("2,4,6", CPUS_PART(2, 3));
	/* Half of the next part's, rounded up; the last one's next is the first. */
	EXPECT_CPUS("0-1,5", CPUS_OVERLAP(0, 3, 50));
	EXPECT_CPUS("0,2,4,6", CPUS_OVERLAP(2, 3, 50));
	EXPECT_CPUS("0-1,5", CPUS_OVERLAP(0, 2, 0));
	EXPECT_CPUS("0,5", CPUS_RANGE(0, 28));
	EXPECT_CPUS("2-4,6", CPUS_RANGE(50, 100));
	EXPECT_CPUS("1,6", CPUS_LIST("1,6"));
}

TEST_F(machine, sets_that_cannot_be_are_refused_with_the_reason)
{
	static const struct {
		struct ktstr_cpus cpus;
		const char *why;
	} bad[] = {
		/* First what a larger machine has */
		{CPUS_LLC(3), "there is no LLC 3: the machine has 3"},
		{CPUS_NODE(2), "there is no NUMA node 2 with CPUs: the machine has 2"},
		{CPUS_PART(0, 8), "there is no part 0 of 8: the machine has 7 CPUs"},
		{CPUS_LIST("7"), "the machine has no CPU 7"},
		{CPUS_PART(2, 2), "there is no part 2 of 2: the machine has 7 CPUs"},
		{CPUS_PART(0, 0), "there is no part 0 of 0: the machine has 7 CPUs"},
		{CPUS_OVERLAP(0, 2, 101), "an overlap of 101 percent is more than all"},
		{CPUS_RANGE(50, 50), "a set of CPUs without any"},
		{CPUS_RANGE(60, 50), "a set of CPUs without any"},
		{CPUS_RANGE(0, 101), "a set of CPUs without any"},
		{CPUS_LIST("1-"), "\"1-\" is not a list of CPUs"},
		{CPUS_LIST(NULL), "\"\" is not a list of CPUs"},
		{CPUS_LIST(""), "a set of CPUs without any"},
		{{.kind = 99}, "a set of CPUs without any"},
	};

	const size_t nr_absent = 4;

	put_two_nodes(self->sys);
	ASSERT_EQ(0, machine__read(self->sys, self->m));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(i < nr_absent ? -ERANGE : -EINVAL,
			  machine__resolve(self->m, &bad[i].cpus, &self->bits, self->why,
					   sizeof(self->why)));
		EXPECT_STREQ(bad[i].why, self->why);
	}
}

TEST_F(machine, without_numa_and_caches_all_cpus_are_one_llc)
{
	put(self->sys, "0-3", "cpu/online");
	ASSERT_EQ(0, machine__read(self->sys, self->m));
	EXPECT_EQ(4, self->m->nr_cpus);
	EXPECT_EQ(1, self->m->nr_llcs);
	EXPECT_EQ(1, self->m->nr_nodes);
}

TEST_F(machine, files_that_are_missing_or_wrong_are_errors)
{
	EXPECT_EQ(-ENOENT, machine__read(self->sys, self->m));
	put(self->sys, "none", "cpu/online");
	EXPECT_EQ(-EINVAL, machine__read(self->sys, self->m));
	put(self->sys, "0-1", "cpu/online");
	put(self->sys, "0", "node/online");
	EXPECT_EQ(-ENOENT, machine__read(self->sys, self->m));
	put(self->sys, "2-3", "node/node0/cpulist");
	EXPECT_EQ(-ENODATA, machine__read(self->sys, self->m));
}

TEST(this_machine_is_read)
{
	struct machine *m = malloc(sizeof(*m));

	ASSERT_EQ(0, machine__read("/sys/devices/system", m));
	EXPECT_EQ(sysconf(_SC_NPROCESSORS_ONLN), m->nr_cpus);
	EXPECT_EQ(m->nr_cpus, cpu_bits__count(&m->online));
	EXPECT_LE(1, m->nr_llcs);
	free(m);
}

TEST(latencies_are_right_to_a_sixteenth)
{
	struct ktstr_latencies l = {.count = 0}, other = {.count = 0};

	EXPECT_EQ(0, ktstr_latencies__percentile(&l, 99));
	for (uint64_t ns = 1; ns <= 1000; ns++)
		ktstr_latencies__add(&l, ns * 1000);
	EXPECT_EQ(1000, l.count);
	EXPECT_EQ(1000000, l.max_ns);
	for (uint32_t percent = 1; percent <= 100; percent++) {
		uint64_t right = percent * UINT64_C(10000);
		uint64_t got = ktstr_latencies__percentile(&l, percent);

		EXPECT_LE(right, got);
		EXPECT_GE(right + right / 16 + 1, got);
	}
	/* Of each size */
	for (uint32_t shift = 0; shift < 64; shift++) {
		uint64_t ns = UINT64_C(1) << shift;

		other = (struct ktstr_latencies){.count = 0};
		ktstr_latencies__add(&other, ns);
		ktstr_latencies__add(&other, ns + 1);
		EXPECT_EQ(ns + 1, ktstr_latencies__percentile(&other, 100));
		ktstr_latencies__merge(&l, &other);
	}
	EXPECT_EQ(1128, l.count);
	EXPECT_EQ((UINT64_C(1) << 63) + 1, l.max_ns);
}

TEST_HARNESS_MAIN
