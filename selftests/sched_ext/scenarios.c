// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios as data: each operation does what it says, what can't be is refused, and each
 * functional check sees the fault that it is for.
 */
#include <ktstr/harness.h>
#include <ktstr/scenario.h>

#include <sched.h>

#include "workload.h"

/* ---- Operations ---- */

static const struct ktstr_scenario moved = {
	.cgroups = KTSTR_CGROUPS({.name = "left", .cpus = CPUS_LLC(0)},
				 {.name = "right", .cpus = CPUS_LLC(1), .weight = 200}),
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 4, .cgroup = "left"},
				 {.work = KTSTR_WORK_BURST, .nr = 2, .threads = true}),
	.steps = KTSTR_STEPS(
		{.hold_ms = 300}, {.ops = KTSTR_OPS(OP_MOVE("spin", "right")), .hold_ms = 300},
		{.ops = KTSTR_OPS(OP_FREEZE("right")), .hold_ms = 300},
		{.ops = KTSTR_OPS(OP_THAW("right"), OP_CPUS("burst", CPUS_LLC(0))), .hold_ms = 300},
		{.ops = KTSTR_OPS(OP_CGROUP_CPUS("right", CPUS_LIST("1-2"))), .hold_ms = 300}),
};
KTSTR_SCENARIO_TEST(workers_are_where_they_were_put, moved, .topology = TOPO(1, 2, 2, 1))
KTSTR_SCENARIO_TEST(workers_are_where_they_were_put_under_a_scheduler, moved,
		    .topology = TOPO(1, 2, 2, 1), .scheduler = "scx_ktstr",
		    .scheduler_ops = "ktstr")

static int read_count(void *count)
{
	char text[64];
	int err = file__read("/sys/fs/cgroup/ktstr-scenario/a/b/cgroup.procs", text, sizeof(text));

	*(int *)count += !err && text[0];
	return err;
}

static int is_off(void *cpus)
{
	char text[64];
	int err = file__read("/sys/devices/system/cpu/online", text, sizeof(text));

	return err ? err : strcmp(text, cpus) ? -EINVAL : 0;
}

/* A limit of the guest's clock, which an emulated host lets run on while it does something else. */
#define AROUND_MOST_MS 50

KTSTR_TEST(a_scenario_takes_little_time_beyond_its_steps, .topology = TOPO(1, 1, 2, 1))
{
	const struct ktstr_scenario scenario = {
		.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LIST("0")}),
		.workers = KTSTR_WORKERS({.nr = 4}, {.name = "in", .nr = 2, .cgroup = "a"}),
		.steps = KTSTR_STEPS({.hold_ms = 100}),
	};
	struct ktstr_scenario_result result;
	double around_ms;
	bool disturbed;

	ASSERT_EQ(0, ktstr_scenario__run(&scenario, NULL, &result));
	EXPECT_EQ(KTSTR_SCENARIO_PASSED, result.verdict);
	around_ms = (double)result.around_ns / 1e6;
	disturbed = result.disturbed[0];
	ktstr_scenario_result__free(&result);
	TH_LOG("%.1f ms, at most %d", around_ms, AROUND_MOST_MS);
	if (around_ms > AROUND_MOST_MS && disturbed && __test_passed(_metadata))
		SKIP(return, KTSTR_SKIP_INCONCLUSIVE);
	EXPECT_GE(AROUND_MOST_MS, around_ms);
}

/* What is done is so in the kernel when the next operation comes. */
KTSTR_TEST(operations_are_done, .topology = TOPO(1, 1, 3, 1))
{
	static int inhabited;
	const struct ktstr_scenario scenario = {
		.cgroups = KTSTR_CGROUPS({.name = "a", .later = true},
					 {.name = "a/b", .later = true, .max_percent = 50}),
		.workers = KTSTR_WORKERS({.name = "one", .nr = 2},
					 {.name = "two", .nr = 1, .cgroup = "a/b", .later = true}),
		.steps = KTSTR_STEPS(
			{.ops = KTSTR_OPS(OP_ADD_CGROUP("a"), OP_ADD_CGROUP("a/b"),
					  OP_MOVE("one", "a/b"), OP_CALL(read_count, &inhabited),
					  OP_CPU_OFF(2), OP_CALL(is_off, "0-1")),
			 .hold_ms = 200},
			{.ops = KTSTR_OPS(OP_CGROUP_MAX("a/b", 0), OP_CGROUP_WEIGHT("a/b", 50),
					  OP_START("two"), OP_NICE("two", 5),
					  OP_POLICY("one", SCHED_BATCH), OP_CPU_ON(2),
					  OP_CALL(is_off, "0-2")),
			 .hold_ms = 200},
			{.ops = KTSTR_OPS(OP_STOP("two"), OP_MOVE("one", NULL),
					  OP_REMOVE_CGROUP("a/b"), OP_REMOVE_CGROUP("a")),
			 .hold_ms = 200}),
		.repeat = 2,
	};

	EXPECT_SCENARIO_OK(&scenario);
	EXPECT_EQ(2, inhabited);
	/* Nothing of it stays. */
	EXPECT_NE(0, access("/sys/fs/cgroup/ktstr-scenario", F_OK));
}

/* ---- What can't be ---- */

static const struct ktstr_scenario nowhere = {
	.workers = KTSTR_WORKERS({.cpus = CPUS_LLC(2)}),
	.steps = KTSTR_STEPS({.hold_ms = 100}),
};
KTSTR_SCENARIO_TEST(cpus_outside_of_the_topology_are_refused, nowhere, .topology = TOPO(1, 2, 1, 1),
		    .expect_verdict = KTSTR_VERDICT_FAIL,
		    .expect_cause = "spin: there is no LLC 2: the machine has 2")

/* ---- Faults, each of a worker that does something else than its work ---- */

static int sleep_for_ever(struct ktstr_worker *worker, void *arg)
{
	(void)arg;
	while (ktstr_worker__index(worker) == 1)
		sleep_ms(1000);
	ktstr_worker__compute(worker, 100);
	return 0;
}

static int break_out(struct ktstr_worker *worker, void *arg)
{
	cpu_set_t cpus;

	(void)arg;
	CPU_ZERO(&cpus);
	CPU_SET(ktstr_worker__index(worker), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	ktstr_worker__compute(worker, 100);
	return 0;
}

static int be_lost(struct ktstr_worker *worker, void *arg)
{
	(void)arg;
	ktstr_worker__compute(worker, 1000);
	if (ktstr_worker__index(worker) == 1)
		ktstr_worker__lost(worker, "dropped on purpose");
	return 0;
}

static int die(struct ktstr_worker *worker, void *arg)
{
	(void)arg;
	ktstr_worker__compute(worker, 1000);
	return ktstr_worker__index(worker) == 1 ? raise(SIGSEGV) : 0;
}

/* All workers may use CPU 0 alone. */
static enum ktstr_scenario_verdict run_custom(int (*unit)(struct ktstr_worker *, void *),
					      struct ktstr_scenario_result *result)
{
	const struct ktstr_scenario scenario = {
		.workers = KTSTR_WORKERS(
			{.work = KTSTR_WORK_CUSTOM, .nr = 2, .unit = unit, .cpus = CPUS_LIST("0")}),
		.steps = KTSTR_STEPS({.hold_ms = 1500}),
		.checks = {.limit = {[KTSTR_CHECK_GAP] = 60000}},
	};

	ktstr_scenario__run(&scenario, "custom", result);
	ktstr_scenario_result__free(result);
	return result->verdict;
}

KTSTR_TEST(faults_of_one_worker_are_each_seen_by_their_check, .topology = TOPO(1, 1, 2, 1))
{
	static const struct {
		int (*unit)(struct ktstr_worker *worker, void *arg);
		enum ktstr_check_kind kind;
	} faults[] = {
		{sleep_for_ever, KTSTR_CHECK_STARVATION},
		{break_out, KTSTR_CHECK_ISOLATION},
		{be_lost, KTSTR_CHECK_LOST_WORK},
		{die, KTSTR_CHECK_LOST_WORK},
	};
	static struct ktstr_scenario_result result;

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		EXPECT_EQ(KTSTR_SCENARIO_FAILED, run_custom(faults[i].unit, &result));
		ASSERT_EQ(1, result.nr_failures);
		EXPECT_EQ(faults[i].kind, result.failures[0].kind);
		EXPECT_EQ(1, result.failures[0].worker);
	}
}

/* ---- A disturbed host ---- */

static const struct ktstr_scenario impossible = {
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_BURST, .nr = 2}),
	.steps = KTSTR_STEPS({.hold_ms = 200}),
	.checks = {.limit = {[KTSTR_CHECK_WAKE_P99] = 1e-6}},
};

KTSTR_TEST(a_broken_limit_is_inconclusive_on_a_disturbed_host,
	   .expect_verdict = KTSTR_VERDICT_INCONCLUSIVE)
{
	setenv(KTSTR_DISTURBED_ENV, "the test says so", 1);
	EXPECT_SCENARIO_OK(&impossible);
}

KTSTR_TEST(a_failure_stays_one_on_a_disturbed_host, .expect_verdict = KTSTR_VERDICT_FAIL)
{
	setenv(KTSTR_DISTURBED_ENV, "the test says so", 1);
	EXPECT_EQ(1, 2);
	EXPECT_SCENARIO_OK(&impossible);
}

KTSTR_HARNESS_MAIN
