// SPDX-License-Identifier: GPL-2.0-only
/* Kinds of work at once, as processes and as threads, while what they may use changes. */
#include <ktstr/harness.h>
#include <ktstr/scenario.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int compute(struct ktstr_worker *worker, void *arg)
{
	ktstr_worker__compute(worker, *(const uint32_t *)arg);
	return 0;
}
static uint32_t custom_us = 50;

/* A nice value of 19, and SCHED_IDLE, among so many others is little. */
static const struct ktstr_checks patient = {
	.off = KTSTR_CHECK(GAP),
	.limit = {[KTSTR_CHECK_STARVATION] = 5000},
};

#define BOTH(kind, number, ...)                                                                \
	{.work = KTSTR_WORK_##kind, .nr = (number), __VA_ARGS__},                              \
	{                                                                                      \
		.name = #kind "-threads", .work = KTSTR_WORK_##kind, .nr = 2, .threads = true, \
		__VA_ARGS__                                                                    \
	}

/* So many on an emulated CPU wait for long. */
#define CHECKS                                                                        \
	{                                                                             \
		.off = KTSTR_CHECK(GAP), .limit = { [KTSTR_CHECK_STARVATION] = 3000 } \
	}

static const struct ktstr_scenario by_themselves = {
	.workers = KTSTR_WORKERS(
		{.work = KTSTR_WORK_SPIN, .nr = 1}, {.work = KTSTR_WORK_YIELD, .nr = 1},
		{.work = KTSTR_WORK_BURST, .nr = 1}, {.work = KTSTR_WORK_CACHE, .nr = 1},
		{.work = KTSTR_WORK_PERIODIC, .nr = 1},
		{.work = KTSTR_WORK_CUSTOM, .nr = 1, .unit = compute, .arg = &custom_us},
		BOTH(PIPE, 2), BOTH(FUTEX, 2), BOTH(FANOUT, 3), BOTH(MUTEX, 2)),
	.steps = KTSTR_STEPS({.hold_ms = 800},
			     {.ops = KTSTR_OPS(OP_CPUS("mutex", CPUS_LIST("1")),
					       OP_POLICY("pipe", 3 /* SCHED_BATCH */)),
			      .hold_ms = 500}),
	.checks = CHECKS,
};

static const struct ktstr_scenario with_the_kernel = {
	.cgroups = KTSTR_CGROUPS({.name = "some", .cpus = CPUS_LIST("0-1")}),
	.workers = KTSTR_WORKERS(BOTH(IO, 1), BOTH(FORK, 1, .cgroup = "some"), BOTH(FAULT, 1),
				 BOTH(NICE, 1, .checks = &patient),
				 BOTH(AFFINITY, 1, .cgroup = "some"),
				 BOTH(POLICY, 1, .checks = &patient)),
	.steps = KTSTR_STEPS(
		{.hold_ms = 500},
		{.name = "elsewhere",
		 .ops = KTSTR_OPS(OP_CGROUP_CPUS("some", CPUS_LIST("1-2")), OP_NICE("nice", 5)),
		 .hold_ms = 300},
		{.ops = KTSTR_OPS(OP_MOVE("FORK-threads", NULL)), .hold_ms = 300}),
	.checks = CHECKS,
};

static const char *const wakes[] = {"burst", "pipe", "futex", "fanout", "mutex", "periodic"};

static bool is_woken(const char *set)
{
	for (size_t i = 0; i < sizeof(wakes) / sizeof(wakes[0]); i++)
		if (!strncasecmp(set, wakes[i], strlen(wakes[i])))
			return true;
	return false;
}

/* Each of them does something, and those that wait are woken. */
static void do_all(struct __test_metadata *_metadata, const struct ktstr_scenario *scenario)
{
	struct ktstr_scenario_result *result = malloc(sizeof(*result));

	ASSERT_NE(NULL, result);
	ktstr_scenario__run(scenario, _metadata->name, result);
	ASSERT_EQ(KTSTR_SCENARIO_PASSED, result->verdict)
	TH_LOG("%s%s", result->problem, result->nr_failures ? result->failures[0].text : "");
	for (uint32_t i = 0; i < result->nr_workers; i++) {
		const struct ktstr_worker_report *w = &result->workers[i];

		EXPECT_LT(0, w->units)
		TH_LOG("worker %u of %s did nothing", w->index, w->workers);
		EXPECT_EQ(is_woken(w->workers), w->wake.count > 0)
		TH_LOG("worker %u of %s: %ju wake-ups", w->index, w->workers,
		       (uintmax_t)w->wake.count);
	}
	ktstr_scenario_result__free(result);
	free(result);
}

KTSTR_TEST(work_by_itself_and_with_others, .topology = TOPO(1, 1, 3, 1), .timeout_s = 300)
{
	do_all(_metadata, &by_themselves);
}

KTSTR_TEST(work_with_the_kernel, .topology = TOPO(1, 1, 3, 1), .timeout_s = 300)
{
	do_all(_metadata, &with_the_kernel);
}

/* A scheduler that does not know of it ends then: under EEVDF alone. */
static const struct ktstr_scenario hotplug = {
	.cgroups = KTSTR_CGROUPS({.name = "some", .cpus = CPUS_LIST("1-2")}),
	.workers = KTSTR_WORKERS(BOTH(AFFINITY, 2), BOTH(FORK, 1, .cgroup = "some")),
	.steps = KTSTR_STEPS({.hold_ms = 200}, {.ops = KTSTR_OPS(OP_CPU_OFF(2)), .hold_ms = 200},
			     {.ops = KTSTR_OPS(OP_CPU_ON(2)), .hold_ms = 200}),
	.repeat = 2,
	.checks = CHECKS,
};
KTSTR_SCENARIO_TEST(a_cpu_that_comes_and_goes, hotplug, .topology = TOPO(1, 1, 3, 1))

KTSTR_TEST(all_work_under_a_scheduler, .topology = TOPO(1, 1, 3, 1), .timeout_s = 600,
	   .scheduler = "scx_ktstr", .scheduler_ops = "ktstr")
{
	do_all(_metadata, &by_themselves);
	do_all(_metadata, &with_the_kernel);
}

/*
 * Killed while they have a token, a mutex, a round or a child, they start as if they had not been
 * there. A worker that waited for what the one before it had would starve.
 */
static const struct ktstr_scenario again = {
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_PIPE, .nr = 2},
				 {.work = KTSTR_WORK_FUTEX, .nr = 2, .threads = true},
				 {.work = KTSTR_WORK_FANOUT, .nr = 3},
				 {.work = KTSTR_WORK_MUTEX, .nr = 2, .threads = true},
				 {.work = KTSTR_WORK_FORK, .nr = 2, .threads = true}),
	.steps = KTSTR_STEPS({.hold_ms = 100},
			     {.ops = KTSTR_OPS(OP_STOP("pipe"), OP_STOP("futex"), OP_STOP("fanout"),
					       OP_STOP("mutex"), OP_STOP("fork"), OP_START("pipe"),
					       OP_START("futex"), OP_START("fanout"),
					       OP_START("mutex"), OP_START("fork")),
			      .hold_ms = 2500}),
	.checks = {.off = KTSTR_CHECK(GAP), .limit = {[KTSTR_CHECK_STARVATION] = 2000}},
};
KTSTR_SCENARIO_TEST(workers_that_start_again_start_clean, again, .topology = TOPO(1, 1, 2, 1))

static int end_by_itself(struct ktstr_worker *worker, void *arg)
{
	(void)arg;
	ktstr_worker__compute(worker, 1000);
	if (ktstr_worker__index(worker))
		_exit(0);
	return 0;
}

static const struct ktstr_scenario deserters = {
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_CUSTOM, .nr = 2, .unit = end_by_itself}),
	.steps = KTSTR_STEPS({.hold_ms = 200}),
	.checks = {.off = KTSTR_CHECK(GAP)},
};

/* Nothing is wrong with its exit code, but it was to work until it is killed. */
KTSTR_TEST(a_worker_that_ends_by_itself_is_lost, .topology = TOPO(1, 1, 2, 1))
{
	struct ktstr_scenario_result *result = malloc(sizeof(*result));

	ASSERT_NE(NULL, result);
	ktstr_scenario__run(&deserters, NULL, result);
	EXPECT_EQ(KTSTR_SCENARIO_FAILED, result->verdict);
	ASSERT_EQ(1, result->nr_failures);
	EXPECT_EQ(KTSTR_CHECK_LOST_WORK, result->failures[0].kind);
	EXPECT_EQ(1, result->failures[0].worker);
	/* What it took to start them is not of their time. */
	EXPECT_LT(result->workers[0].cpu_ns, result->workers[0].active_ns * 5 / 4);
	ktstr_scenario_result__free(result);
	free(result);
}

/* A set that was moved out of a frozen cgroup could not run until then: that is no gap. */
static const struct ktstr_scenario out_of_the_cold = {
	.cgroups = KTSTR_CGROUPS({.name = "cold"}, {.name = "warm"}),
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 2, .cgroup = "cold"}),
	.steps = KTSTR_STEPS({.hold_ms = 200},
			     {.ops = KTSTR_OPS(OP_FREEZE("cold")), .hold_ms = 4000},
			     {.ops = KTSTR_OPS(OP_MOVE("spin", "warm")), .hold_ms = 200}),
};

KTSTR_TEST(moved_out_of_a_frozen_cgroup, .topology = TOPO(1, 1, 2, 1))
{
	struct ktstr_scenario_result *result = malloc(sizeof(*result));

	ASSERT_NE(NULL, result);
	EXPECT_EQ(0, ktstr_scenario__run(&out_of_the_cold, NULL, result))
	TH_LOG("%s", result->problem);
	for (uint32_t i = 0; i < result->nr_workers; i++) {
		EXPECT_LT(result->workers[i].longest_gap_ns, UINT64_C(3500000000));
		EXPECT_GT(result->workers[i].units, 0);
	}
	ktstr_scenario_result__free(result);
	free(result);
}

KTSTR_HARNESS_MAIN
