// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults of a scheduler are seen by the check that is meant for them: a few; faults_long.c has the
 * others. Each test has a scheduler with one fault (scx_ktstr --help), and states what sees it.
 */
#include <ktstr/harness.h>

#include <signal.h>

#include "fault_scenarios.h"

#define FAULT(fault, ...)                                                               \
	.scheduler = "scx_ktstr", .scheduler_ops = "ktstr", .topology = FAULT_TOPOLOGY, \
	.timeout_s = 120,                                                               \
	.scheduler_args = KTSTR_ARGS("--fault", fault, "--fault-on-signal", ##__VA_ARGS__)

/* The same scenario for all faults of faults_long.c that it is to show. */
KTSTR_TEST(without_a_fault_a_busy_machine_passes, .scheduler = "scx_ktstr",
	   .scheduler_ops = "ktstr", .topology = FAULT_TOPOLOGY, .timeout_s = 120)
{
	EXPECT_TRUE(fault_scenario__fails(&faults_busy, 0));
}

KTSTR_TEST(starve_is_seen_as_starvation,
	   FAULT("starve", "--fault-comm", "spin", "--timeout-ms", "4000"))
{
	EXPECT_TRUE(fault_scenario__fails(&faults_busy, KTSTR_CHECK(STARVATION)));
}

KTSTR_TEST(widen_cpuset_is_seen_as_lost_isolation, FAULT("widen-cpuset"))
{
	EXPECT_TRUE(fault_scenario__fails(&faults_confined, KTSTR_CHECK(ISOLATION)));
}

/* The kernel does not let it do so. */
KTSTR_TEST(ignore_cpuset_ends_the_scheduler, FAULT("ignore-cpuset", "--fault-comm", "spin"),
	   .expect_sched_exit = KTSTR_SCX_EXIT_ERROR, .expect_cause = "not allowed for spin[")
{
	fault_scenario__fails(&faults_confined, 0);
	pause();
}

KTSTR_HARNESS_MAIN
