// SPDX-License-Identifier: GPL-2.0-only
/* Scenarios as data: what is done to workers, and that what was declared is what they see. */
#include <ktstr/harness.h>
#include <ktstr/scenario.h>

static const struct ktstr_scenario moved = {
	.cgroups = KTSTR_CGROUPS({.name = "left", .cpus = CPUS_LLC(0)},
				 {.name = "right", .cpus = CPUS_LLC(1)}),
	.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 4, .cgroup = "left"},
				 {.work = KTSTR_WORK_BURST, .nr = 2, .threads = true}),
	.steps = KTSTR_STEPS({.hold_ms = 500},
			     {.ops = KTSTR_OPS(OP_MOVE("spin", "right")), .hold_ms = 500},
			     {.ops = KTSTR_OPS(OP_FREEZE("right")), .hold_ms = 300},
			     {.ops = KTSTR_OPS(OP_THAW("right")), .hold_ms = 300}),
};
KTSTR_SCENARIO_TEST(tasks_follow_their_cgroup, moved, .topology = TOPO(1, 2, 2, 1))
KTSTR_SCENARIO_TEST(tasks_follow_their_cgroup_under_a_scheduler, moved,
		    .topology = TOPO(1, 2, 2, 1), .scheduler = "scx_ktstr",
		    .scheduler_ops = "ktstr")

KTSTR_HARNESS_MAIN
