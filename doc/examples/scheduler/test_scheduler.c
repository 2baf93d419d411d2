// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of a scheduler. Without one beside this program the kernel's own is tested: put the path of
 * yours into .scheduler, and what it is called in /sys/kernel/sched_ext/root/ops into .scheduler_ops.
 */
#include <ktstr/harness.h>
#include <ktstr/scenario.h>

/* Four tasks of the first LLC, and a cgroup that they are sent to, on the second one. */
static const struct ktstr_scenario moved = {
	.cgroups = KTSTR_CGROUPS({.name = "left", .cpus = CPUS_LLC(0)},
				 {.name = "right", .cpus = CPUS_LLC(1)}),
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 4, .cgroup = "left"}),
	.steps = KTSTR_STEPS({.hold_ms = 500},
			     {.ops = KTSTR_OPS(OP_MOVE("spin", "right")), .hold_ms = 500}),
	.checks = {.on = KTSTR_CHECK(FAIRNESS)},
};

KTSTR_SCENARIO_TEST(tasks_follow_their_cgroup, moved, .topology = TOPO(1, 2, 2, 1))

KTSTR_HARNESS_MAIN
