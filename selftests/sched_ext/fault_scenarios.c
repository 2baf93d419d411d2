// SPDX-License-Identifier: GPL-2.0-only
/* See fault_scenarios.h. */
#include "fault_scenarios.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "workload.h"

#define BEFORE_MS 500
#define FAULT_MS 4000
#define STEPS                                                           \
	KTSTR_STEPS({.name = "before the fault", .hold_ms = BEFORE_MS}, \
		    {.name = "fault",                                   \
		     .ops = KTSTR_OPS(OP_CALL(fault__begin, NULL)),     \
		     .hold_ms = FAULT_MS})

const struct ktstr_scenario faults_busy = {
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 6}),
	.steps = STEPS,
	.checks.limit = {[KTSTR_CHECK_FAIRNESS] = 120, [KTSTR_CHECK_IMBALANCE] = 60},
};

const struct ktstr_scenario faults_calm = {
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_YIELD, .nr = 2}),
	.steps = STEPS,
	.checks.limit = {[KTSTR_CHECK_MIGRATIONS] = 50},
};

const struct ktstr_scenario faults_wakes = {
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_BURST, .nr = 2}),
	.steps = STEPS,
	.checks.limit = {[KTSTR_CHECK_WAKE_P99] = 400000, [KTSTR_CHECK_STARVATION] = 3000},
};

const struct ktstr_scenario faults_confined = {
	.cgroups = KTSTR_CGROUPS({.name = "confined", .cpus = CPUS_LLC(0)}),
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 3, .cgroup = "confined"}),
	.steps = STEPS,
};

/*
 * The other node is busy: nothing but the fault draws the task away from its own. Its memory is
 * bound there, or the kernel's NUMA balancing takes it along.
 */
const struct ktstr_scenario faults_local = {
	.workers =
		KTSTR_WORKERS({.work = KTSTR_WORK_CACHE,
			       .nr = 1,
			       .cpus = CPUS_NODE(0),
			       .size_kb = 8192,
			       .memory = KTSTR_MEMORY_BIND,
			       .memory_nodes = 1,
			       .checks = &(const struct ktstr_checks){.on = KTSTR_CHECK(LOCALITY)}},
			      {.work = KTSTR_WORK_SPIN, .nr = 2, .cpus = CPUS_NODE(1)}),
	.steps = KTSTR_STEPS(
		{.name = "before the fault", .hold_ms = BEFORE_MS},
		{.name = "fault",
		 .ops = KTSTR_OPS(OP_CPUS("cache", CPUS_ALL), OP_CALL(fault__begin, NULL)),
		 .hold_ms = FAULT_MS}),
};

int fault__begin(void *unused)
{
	pid_t pid = process__find("scheduler");

	(void)unused;
	if (!pid)
		return -ESRCH;
	return kill(pid, SIGUSR1) ? -errno : 0;
}

/* Whether a check says that something was wrong before the fault began. */
static bool is_early(const struct ktstr_check_failure *failure)
{
	return failure->event.cpu >= 0 && failure->event.step == 0;
}

static uint32_t checks_of(const struct ktstr_scenario_result *result)
{
	uint32_t checks = 0;

	for (uint32_t i = 0; i < result->nr_failures; i++)
		checks |= 1u << result->failures[i].kind;
	return checks;
}

bool fault_scenario__fails(const struct ktstr_scenario *scenario, uint32_t expected)
{
	struct ktstr_scenario_result result;
	uint32_t seen;
	bool ok = !ktstr_scenario__run(scenario, NULL, &result) && !result.nr_more;

	if (!ok)
		printf("# it did not run: %s\n", result.problem);
	seen = checks_of(&result);
	for (uint32_t i = 0; i < result.nr_failures; i++) {
		const struct ktstr_check_failure *f = &result.failures[i];

		if ((expected >> f->kind & 1 || !f->inconclusive) && is_early(f)) {
			printf("# too early: %s\n", f->text);
			ok = false;
		}
	}
	for (uint32_t kind = 0; kind < KTSTR_NR_CHECKS; kind++) {
		bool is_expected = expected >> kind & 1, is_seen = seen >> kind & 1;

		if (is_expected && !is_seen)
			printf("# not seen by the check %s\n", ktstr_check__name(kind));
		else if (!is_expected && is_seen && !ktstr_check__is_measured(kind))
			printf("# the check %s was to hold\n", ktstr_check__name(kind));
		else
			continue;
		ok = false;
	}
	if (!expected && result.verdict != KTSTR_SCENARIO_PASSED &&
	    result.verdict != KTSTR_SCENARIO_INCONCLUSIVE)
		ok = false;
	ktstr_scenario_result__free(&result);
	return ok;
}

bool fault_scenario__sees(const struct ktstr_scenario *scenario, uint32_t checks)
{
	struct ktstr_scenario_result result;
	uint32_t missing;

	if (ktstr_scenario__run(scenario, NULL, &result))
		printf("# it did not run: %s\n", result.problem);
	missing = checks & ~checks_of(&result);
	ktstr_scenario_result__free(&result);
	for (uint32_t kind = 0; kind < KTSTR_NR_CHECKS; kind++)
		if (missing >> kind & 1)
			printf("# not seen by the check %s\n", ktstr_check__name(kind));
	return !missing;
}
