// SPDX-License-Identifier: GPL-2.0-only
/* The host's conditions, read from trees as /sys and /proc of real hosts have them. */
#include "kselftest_harness.h"

#include <sys/resource.h>

#include "host_tree.h"
#include "vmm/host_conditions.h"

#define CLOCKSOURCE "sys/devices/system/clocksource/clocksource0/"
#define COOLING "sys/class/thermal/cooling_device%u/"
#define LIMITS                                                                             \
	"Limit                     Soft Limit           Hard Limit           Units     \n" \
	"Max nice priority         0                    0                    \n"           \
	"Max realtime priority     %s                   %s                   \n"           \
	"Max realtime timeout      unlimited            unlimited            us        "

FIXTURE(host)
{
	struct host_tree tree;
	struct host_cpu cpus[2];
	struct host_topology topology;
	struct host_conditions conditions;
};

FIXTURE_SETUP(host)
{
	host_tree__create(&self->tree);
	memset(self->cpus, 0, sizeof(self->cpus));
	self->cpus[0].cpu = 1;
	self->cpus[1].cpu = 4;
	self->topology = (struct host_topology){.nr_cpus = 2, .cpus = self->cpus};
	memset(&self->conditions, 0, sizeof(self->conditions));
}

FIXTURE_TEARDOWN(host)
{
	host_conditions__free(&self->conditions);
	host_tree__destroy(&self->tree);
}

static int read_host(FIXTURE_DATA(host) * self)
{
	host_conditions__free(&self->conditions);
	return host_conditions__read(&self->conditions, self->tree.sys, self->tree.proc,
				     &self->topology, NULL);
}

TEST_F(host, of_which_nothing_is_known)
{
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->conditions.known);
	EXPECT_STREQ("", self->conditions.clocksource);
	EXPECT_STREQ("", self->conditions.cpus[1].governor);
	EXPECT_EQ(0, self->conditions.cooling);
	EXPECT_FALSE(self->conditions.tsc_offered);
	EXPECT_FALSE(self->conditions.in_machine);
}

TEST_F(host, governors_and_heat_of_each_cpu)
{
	host_tree__put(&self->tree, "powersave", HOST_TREE_CPU "cpufreq/scaling_governor", 1);
	host_tree__put(&self->tree, "schedutil", HOST_TREE_CPU "cpufreq/scaling_governor", 4);
	host_tree__put(&self->tree, "3", HOST_TREE_CPU "thermal_throttle/core_throttle_count", 4);
	host_tree__put(&self->tree, "7", HOST_TREE_CPU "thermal_throttle/package_throttle_count",
		       4);
	host_tree__put(&self->tree, "Fan", COOLING "type", 0);
	host_tree__put(&self->tree, "9", COOLING "cur_state", 0);
	host_tree__put(&self->tree, "Processor", COOLING "type", 1);
	host_tree__put(&self->tree, "0", COOLING "cur_state", 1);
	host_tree__put(&self->tree, "intel_powerclamp", COOLING "type", 2);
	host_tree__put(&self->tree, "-1", COOLING "cur_state", 2);
	host_tree__put(&self->tree, "cpufreq-cpu4", COOLING "type", 5);
	host_tree__put(&self->tree, "2", COOLING "cur_state", 5);
	ASSERT_EQ(0, read_host(self));
	ASSERT_EQ(2, self->conditions.nr_cpus);
	EXPECT_STREQ("powersave", self->conditions.cpus[0].governor);
	EXPECT_STREQ("schedutil", self->conditions.cpus[1].governor);
	EXPECT_EQ(0, self->conditions.cpus[0].throttled);
	EXPECT_EQ(7, self->conditions.cpus[1].throttled);
	EXPECT_EQ(1, self->conditions.cooling);
}

TEST_F(host, clocks)
{
	host_tree__put(&self->tree, "hpet", CLOCKSOURCE "current_clocksource");
	host_tree__put(&self->tree, "hpet acpi_pm tsc-early", CLOCKSOURCE "available_clocksource");
	host_tree__put(
		&self->tree,
		"processor\t: 0\nflags\t\t: fpu tsc constant_tsc hypervisor\n\nprocessor\t: 1",
		"proc/cpuinfo");
	ASSERT_EQ(0, read_host(self));
	EXPECT_STREQ("hpet", self->conditions.clocksource);
	EXPECT_FALSE(self->conditions.tsc_offered);
	EXPECT_FALSE(self->conditions.tsc_steady);
	EXPECT_TRUE(self->conditions.in_machine);
	EXPECT_EQ(HOST_KNOWS_CPUINFO, self->conditions.known);

	host_tree__put(&self->tree, "tsc", CLOCKSOURCE "current_clocksource");
	host_tree__put(&self->tree, "tsc hpet acpi_pm ", CLOCKSOURCE "available_clocksource");
	host_tree__put(&self->tree, "processor\t: 0\nflags\t\t: fpu nonstop_tsc constant_tsc",
		       "proc/cpuinfo");
	ASSERT_EQ(0, read_host(self));
	EXPECT_STREQ("tsc", self->conditions.clocksource);
	EXPECT_TRUE(self->conditions.tsc_offered);
	EXPECT_TRUE(self->conditions.tsc_steady);
	EXPECT_FALSE(self->conditions.in_machine);

	host_tree__put(&self->tree, "processor\t: 0\nflags\t\t: fpu nonstop_tsc tsc",
		       "proc/cpuinfo");
	ASSERT_EQ(0, read_host(self));
	EXPECT_FALSE(self->conditions.tsc_steady);
}

/* cpuinfo of many CPUs is long; the flags of the first are enough, but have to be whole. */
TEST_F(host, long_cpuinfo)
{
	static char text[40000];
	size_t length = (size_t)snprintf(text, sizeof(text), "processor\t: 0\nflags\t\t: %s\n",
					 "fpu nonstop_tsc constant_tsc hypervisor");

	memset(text + length, 'x', sizeof(text) - length - 1);
	host_tree__put(&self->tree, text, "proc/cpuinfo");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(HOST_KNOWS_CPUINFO, self->conditions.known);
	EXPECT_TRUE(self->conditions.in_machine);
	text[length - 1] = ' ';
	host_tree__put(&self->tree, text, "proc/cpuinfo");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->conditions.known);
	EXPECT_FALSE(self->conditions.in_machine);
}

TEST_F(host, load)
{
	host_tree__put(&self->tree, "1.88 1.54 1.84 4/104 26932", "proc/loadavg");
	host_tree__put(&self->tree,
		       "some avg10=15.05 avg60=12.67 avg300=11.02 total=3644452066\n"
		       "full avg10=1.00 avg60=0.00 avg300=0.00 total=0",
		       "proc/pressure/cpu");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(HOST_KNOWS_LOAD | HOST_KNOWS_PRESSURE, self->conditions.known);
	EXPECT_EQ(188, self->conditions.load_hundredths);
	EXPECT_EQ(1505, self->conditions.pressure_hundredths);

	host_tree__put(&self->tree, "1", "proc/loadavg");
	host_tree__put(&self->tree, "some avg60=15.05", "proc/pressure/cpu");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->conditions.known);
}

static void put_limits(const struct host_tree *tree, const char *priority)
{
	char text[512];

	snprintf(text, sizeof(text), LIMITS, priority, priority);
	host_tree__put(tree, text, "proc/self/limits");
}

TEST_F(host, rights_by_the_limit)
{
	static const struct {
		const char *limit;
		uint32_t priority;
	} limits[] = {{"0", 0}, {"1", 1}, {"95", 95}, {"100", 99}, {"unlimited", 99}};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		put_limits(&self->tree, limits[i].limit);
		ASSERT_EQ(0, read_host(self));
		EXPECT_EQ(HOST_KNOWS_RIGHTS, self->conditions.known);
		EXPECT_EQ(limits[i].priority, self->conditions.rt_priority);
	}
}

TEST_F(host, rights_by_the_capability)
{
	put_limits(&self->tree, "0");
	host_tree__put(&self->tree, "Name:\tktstr\nCapEff:\t0000000000800000\nCapBnd:\t0",
		       "proc/self/status");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(99, self->conditions.rt_priority);
	host_tree__put(&self->tree, "         0          0 4294967295", "proc/self/uid_map");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(99, self->conditions.rt_priority);
	host_tree__put(&self->tree, "         0       1000          1", "proc/self/uid_map");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->conditions.rt_priority);
	host_tree__put(&self->tree, "Name:\tktstr\nCapEff:\t000001ffff7fffff\nCapBnd:\t0",
		       "proc/self/status");
	host_tree__put(&self->tree, "         0          0 4294967295", "proc/self/uid_map");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->conditions.rt_priority);
}

TEST_F(host, nodes_whose_memory_is_allowed)
{
	host_tree__put(&self->tree, "Name:\tktstr\nMems_allowed_list:\t0,2-3", "proc/self/status");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(HOST_KNOWS_NODES, self->conditions.known);
	EXPECT_EQ(3, host_set__count(&self->conditions.nodes_allowed));
	EXPECT_FALSE(host_set__has(&self->conditions.nodes_allowed, 1));
	host_tree__put(&self->tree,
		       "Name:\tktstr\nMems_allowed_list:\tall\nx:", "proc/self/status");
	ASSERT_EQ(0, read_host(self));
	EXPECT_EQ(0, self->conditions.known);
}

/* Load and rights of another host are not this process's. */
TEST_F(host, without_its_proc)
{
	host_tree__put(&self->tree, "1.88 1.54 1.84 4/104 26932", "proc/loadavg");
	host_tree__put(&self->tree, "tsc", CLOCKSOURCE "current_clocksource");
	ASSERT_EQ(0, host_conditions__read(&self->conditions, self->tree.sys, NULL, &self->topology,
					   NULL));
	EXPECT_EQ(0, self->conditions.known);
	EXPECT_STREQ("tsc", self->conditions.clocksource);
}

/* The files of this host are in the form that is read. */
TEST(this_host)
{
	struct host_topology topology;
	struct host_conditions conditions;
	struct rlimit limit;

	ASSERT_EQ(0, host_topology__read(&topology, "/sys", NULL, NULL));
	ASSERT_EQ(0, host_conditions__read(&conditions, "/sys", "/proc", &topology, NULL));
	EXPECT_EQ(HOST_KNOWS_LOAD | HOST_KNOWS_RIGHTS | HOST_KNOWS_NODES,
		  conditions.known & (HOST_KNOWS_LOAD | HOST_KNOWS_RIGHTS | HOST_KNOWS_NODES));
	ASSERT_EQ(0, getrlimit(RLIMIT_RTPRIO, &limit));
	EXPECT_TRUE(conditions.rt_priority >= limit.rlim_cur || conditions.rt_priority == 99);
#if defined(__x86_64__)
	EXPECT_TRUE(conditions.known & HOST_KNOWS_CPUINFO);
#endif
	host_conditions__free(&conditions);
	host_topology__free(&topology);
}

TEST_HARNESS_MAIN
