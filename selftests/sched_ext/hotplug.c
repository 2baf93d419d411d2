// SPDX-License-Identifier: GPL-2.0-only
/* CPUs go and come under load, and scx_ktstr stays attached. */
#include <ktstr/harness.h>
#include <ktstr/scenario.h>
#include <ktstr/stats.h>

#include "workload.h"

#define SCX "/sys/kernel/sched_ext"
#define STATS_MS 30000u /* of the guest's time, for one answer */

/*
 * For a while the second LLC has no CPU, longer than anybody may starve: what waits in its queue
 * is not lost.
 */
static const struct ktstr_scenario to_and_fro = {
	.workers = KTSTR_WORKERS(
		{.work = KTSTR_WORK_SPIN, .nr = 3}, {.work = KTSTR_WORK_BURST, .nr = 2},
		{.name = "second", .work = KTSTR_WORK_BURST, .nr = 1, .cpus = CPUS_LLC(1)}),
	.steps = KTSTR_STEPS({.hold_ms = 300}, {.ops = KTSTR_OPS(OP_CPU_OFF(1)), .hold_ms = 3500},
			     {.ops = KTSTR_OPS(OP_CPU_ON(1)), .hold_ms = 300},
			     {.ops = KTSTR_OPS(OP_CPU_OFF(1), OP_CPU_ON(1)), .hold_ms = 300},
			     {.ops = KTSTR_OPS(OP_CPU_OFF(1), OP_CPU_ON(1)), .hold_ms = 300}),
	.checks.limit = {[KTSTR_CHECK_STARVATION] = 2500},
};

static const struct ktstr_scenario everywhere = {
	.workers = KTSTR_WORKERS(
		{.work = KTSTR_WORK_SPIN, .nr = 2, .cpus = CPUS_LLC(0)},
		{.name = "second", .work = KTSTR_WORK_BURST, .nr = 2, .cpus = CPUS_LLC(1)}),
	.steps = KTSTR_STEPS({.hold_ms = 1000}),
};

FIXTURE(hotplug)
{
	char attached[32]; /* how many schedulers have been */
};

FIXTURE_SETUP(hotplug)
{
	ASSERT_EQ(0, file__read(SCX "/enable_seq", self->attached, sizeof(self->attached)));
}

/* It is the same one: none has been attached since. */
FIXTURE_TEARDOWN(hotplug)
{
	char text[64];

	EXPECT_EQ(0, file__read(SCX "/enable_seq", text, sizeof(text)));
	EXPECT_STREQ(self->attached, text);
	EXPECT_EQ(0, file__read(SCX "/state", text, sizeof(text)));
	EXPECT_STREQ("enabled", text);
}

KTSTR_TEST_F(hotplug, cpus_go_and_come_under_load, .scheduler = "scx_ktstr",
	     .scheduler_ops = "ktstr", .topology = TOPO(1, 2, 1, 1), .timeout_s = 120)
{
	EXPECT_SCENARIO_OK(&to_and_fro);
}

static uint64_t read_llcs(struct __test_metadata *_metadata)
{
	char stats[4096];
	uint64_t nr = 0;

	EXPECT_LT(0, ktstr_stats__read(stats, sizeof(stats), STATS_MS));
	EXPECT_EQ(0, ktstr_json__u64(stats, "/args/resp/nr_llcs", &nr));
	return nr;
}

/* What LLC they have is known only when they come. */
KTSTR_TEST_F(hotplug, cpus_that_come_later_get_their_llc, .scheduler = "scx_ktstr",
	     .scheduler_ops = "ktstr", .topology = TOPO(1, 2, 2, 1), .kernel_args = "maxcpus=2")
{
	EXPECT_EQ(1, read_llcs(_metadata));
	ASSERT_EQ(0, file__write("/sys/devices/system/cpu/cpu3/online", "1"));
	ASSERT_EQ(0, file__write("/sys/devices/system/cpu/cpu2/online", "1"));
	EXPECT_SCENARIO_OK(&everywhere);
	EXPECT_EQ(2, read_llcs(_metadata));
}

KTSTR_HARNESS_MAIN
