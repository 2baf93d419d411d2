// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios ready to use (ktstr/canned.h). Each holds for as long as the fault that it is there to
 * see needs, and is small enough for an emulated host.
 */
#include <ktstr/canned.h>

#include <sched.h>

#define CANNED(id, ...) const struct ktstr_canned ktstr_canned_##id = {.name = #id, __VA_ARGS__}
/* One step, nothing is done. */
#define HOLD(ms) KTSTR_STEPS({.hold_ms = (ms)})
#define SCHED_EXT_POLICY 7 /* include/uapi/linux/sched.h */

#define SPINNERS(...)                                \
	{                                            \
		.work = KTSTR_WORK_SPIN, __VA_ARGS__ \
	}
#define SLEEPERS(...)                                 \
	{                                             \
		.work = KTSTR_WORK_BURST, __VA_ARGS__ \
	}

/* ---- Basics ---- */

CANNED(one_spinner_per_cpu, .area = "basic",
       .stresses = "as many as there are CPUs: none is left idle",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.name = "spin")),
		    .steps = HOLD(1200),
		    .checks = {.on = KTSTR_CHECK(IMBALANCE)}});

CANNED(four_spinners_per_cpu, .area = "basic", .stresses = "turns of equals",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.percent = 400)),
		    .steps = HOLD(1500),
		    .checks = {.on = KTSTR_CHECK(FAIRNESS)}});

CANNED(one_spinner_on_an_idle_machine, .area = "basic", .stresses = "staying where it is",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.nr = 1)),
		    .steps = HOLD(1000),
		    .checks = {.limit = {[KTSTR_CHECK_MIGRATIONS] = 20}}});

CANNED(yielders, .area = "basic", .stresses = "sched_yield()",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_YIELD, .percent = 300}),
		    .steps = HOLD(1000)});

CANNED(sleepers, .area = "basic", .stresses = "wake-ups by the clock",
       .scenario = {.workers = KTSTR_WORKERS(SLEEPERS(.percent = 200, .run_us = 200)),
		    .steps = HOLD(1000),
		    .checks = {.on = KTSTR_CHECK(WAKE_P99)}});

static const struct ktstr_checks wake_up_in_time = {.on = KTSTR_CHECK(WAKE_P99)};

CANNED(sleepers_among_spinners, .area = "basic", .stresses = "wake-ups on busy CPUs",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.percent = 200),
					     SLEEPERS(.run_us = 200, .checks = &wake_up_in_time)),
		    .steps = HOLD(1500)});

CANNED(nice_values, .area = "basic", .stresses = "weights from 15 to 9548, none starved",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.name = "favoured", .nice = -10),
					     SPINNERS(.name = "usual"),
					     SPINNERS(.name = "low", .nice = 5)),
		    .steps = HOLD(2500)});

CANNED(batch_and_idle, .area = "basic", .stresses = "SCHED_BATCH and SCHED_IDLE beside SCHED_OTHER",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.name = "usual"),
					     SPINNERS(.name = "batch", .policy = SCHED_BATCH),
					     SLEEPERS(.name = "idle", .policy = SCHED_IDLE)),
		    .steps = HOLD(1500)});

CANNED(periodic, .area = "basic", .stresses = "deadlines at a tenth of the CPU time",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_PERIODIC,
					      .period_us = 50000,
					      .run_us = 5000,
					      .checks = &wake_up_in_time}),
		    .steps = HOLD(1500)});

/* ---- Cpusets ---- */

CANNED(cpusets_by_llc, .area = "cpuset", .stresses = "each LLC by itself",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "left", .cpus = CPUS_LLC(0)},
					{.name = "right", .cpus = CPUS_LLC(1)}),
	       .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "left", .percent = 200),
					SPINNERS(.name = "two", .cgroup = "right", .percent = 200)),
	       .steps = HOLD(1200)});

CANNED(cpusets_by_node, .area = "cpuset", .stresses = "each NUMA node by itself",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "near", .cpus = CPUS_NODE(0), .memory_nodes = 1},
					{.name = "far", .cpus = CPUS_NODE(1), .memory_nodes = 2}),
	       .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "near", .percent = 200),
					SLEEPERS(.name = "two", .cgroup = "far", .percent = 200)),
	       .steps = HOLD(1200)});

CANNED(cpusets_disjoint, .area = "cpuset", .stresses = "three sets that share no CPU",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_PART(0, 3)},
					{.name = "b", .cpus = CPUS_PART(1, 3)},
					{.name = "c", .cpus = CPUS_PART(2, 3)}),
	       .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "a"),
					SLEEPERS(.name = "two", .cgroup = "b", .percent = 300),
					SPINNERS(.name = "three", .cgroup = "c", .percent = 200)),
	       .steps = HOLD(1200)});

CANNED(cpusets_overlapping, .area = "cpuset", .stresses = "sets that share some of their CPUs",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_OVERLAP(0, 3, 100)},
					     {.name = "b", .cpus = CPUS_OVERLAP(1, 3, 100)}),
		    .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "a"),
					     SPINNERS(.name = "two", .cgroup = "b")),
		    .steps = HOLD(1200)});

CANNED(cpuset_range, .area = "cpuset", .stresses = "half of the machine in use, half free",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "half", .cpus = CPUS_RANGE(0, 50)}),
		    .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "half", .percent = 200)),
		    .steps = HOLD(1200)});

CANNED(cpuset_of_one_cpu, .area = "cpuset", .stresses = "turns on one CPU while another is idle",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "one", .cpus = CPUS_LIST("1")}),
		    .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "one", .nr = 4)),
		    .steps = HOLD(1500),
		    .checks = {.on = KTSTR_CHECK(FAIRNESS)}});

CANNED(cpuset_shrinks_and_grows, .area = "cpuset",
       .stresses = "CPUs taken from tasks that run there",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_RANGE(0, 100)}),
	       .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a", .percent = 150)),
	       .steps = KTSTR_STEPS(
		       {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LIST("0-2"))), .hold_ms = 250},
		       {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LIST("1"))), .hold_ms = 250},
		       {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LIST("0,2"))), .hold_ms = 250}),
	       .repeat = 2});

CANNED(cpusets_change_places, .area = "cpuset", .stresses = "two sets of tasks change LLCs at once",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LLC(0)},
					{.name = "b", .cpus = CPUS_LLC(1)}),
	       .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "a", .percent = 200),
					SLEEPERS(.name = "two", .cgroup = "b", .percent = 200)),
	       .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LLC(1)),
						      OP_CGROUP_CPUS("b", CPUS_LLC(0))),
				     .hold_ms = 300},
				    {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LLC(0)),
						      OP_CGROUP_CPUS("b", CPUS_LLC(1))),
				     .hold_ms = 300}),
	       .repeat = 2});

/* ---- Affinity ---- */

CANNED(affinity_to_an_llc, .area = "affinity", .stresses = "bound and unbound tasks together",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.name = "bound", .cpus = CPUS_LLC(0),
						      .percent = 200),
					     SPINNERS(.name = "free")),
		    .steps = HOLD(1500)});

CANNED(affinity_of_each_unit, .area = "affinity",
       .stresses = "tasks that bind themselves elsewhere",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_AFFINITY, .percent = 200}),
		    .steps = HOLD(1200)});

CANNED(affinity_narrows_and_widens, .area = "affinity", .stresses = "all tasks bound to one CPU",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.percent = 200)),
		    .steps = KTSTR_STEPS(
			    {.ops = KTSTR_OPS(OP_CPUS("spin", CPUS_LIST("1"))), .hold_ms = 1300},
			    {.ops = KTSTR_OPS(OP_CPUS("spin", CPUS_ALL)), .hold_ms = 1300})});

CANNED(affinity_beyond_the_cpuset, .area = "affinity",
       .stresses = "affinity and cpuset that leave one CPU, then none",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LIST("0-1")}),
	       .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a", .nr = 3, .cpus = CPUS_LIST("1"))),
	       .steps = KTSTR_STEPS({.hold_ms = 400},
				    {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LIST("0"))),
				     .hold_ms = 600})});

/* ---- Nesting ---- */

CANNED(nested_weights, .area = "nesting", .stresses = "weights of cgroups in cgroups, none starved",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a", .weight = 300}, {.name = "a/x"},
					     {.name = "a/y", .weight = 50},
					     {.name = "b", .weight = 30}),
		    .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "a/x"),
					     SPINNERS(.name = "two", .cgroup = "a/y"),
					     SPINNERS(.name = "three", .cgroup = "b")),
		    .steps = HOLD(2500)});

CANNED(nested_cpusets, .area = "nesting", .stresses = "a cpuset within a cpuset",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LIST("0-1")},
					     {.name = "a/x", .cpus = CPUS_LIST("1-2")}),
		    .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a/x", .nr = 2), SLEEPERS()),
		    .steps = KTSTR_STEPS({.hold_ms = 500},
					 {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LIST("2"))),
					  .hold_ms = 500})});

CANNED(deep_nesting, .area = "nesting", .stresses = "tasks five cgroups deep",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a"}, {.name = "a/b"}, {.name = "a/b/c"},
					     {.name = "a/b/c/d"}, {.name = "a/b/c/d/e"}),
		    .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a/b/c/d/e"),
					     SLEEPERS(.cgroup = "a/b/c/d/e")),
		    .steps = HOLD(1000)});

/* ---- Dynamics ---- */

CANNED(workers_come_and_go, .area = "dynamic", .stresses = "tasks that start and are killed",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(), SLEEPERS(.later = true, .percent = 200)),
		    .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_START("burst")), .hold_ms = 200},
					 {.ops = KTSTR_OPS(OP_STOP("burst")), .hold_ms = 100}),
		    .repeat = 4});

CANNED(cgroups_come_and_go, .area = "dynamic", .stresses = "cgroups made and removed under tasks",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .later = true, .weight = 200},
					{.name = "b", .later = true}),
	       .workers = KTSTR_WORKERS(SPINNERS(.percent = 200)),
	       .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_ADD_CGROUP("a"), OP_MOVE("spin", "a")),
				     .hold_ms = 150},
				    {.ops = KTSTR_OPS(OP_ADD_CGROUP("b"), OP_MOVE("spin", "b"),
						      OP_REMOVE_CGROUP("a")),
				     .hold_ms = 150},
				    {.ops = KTSTR_OPS(OP_MOVE("spin", NULL), OP_REMOVE_CGROUP("b")),
				     .hold_ms = 100}),
	       .repeat = 3});

CANNED(workers_move, .area = "dynamic", .stresses = "running tasks from cgroup to cgroup",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LIST("0")},
					{.name = "b", .cpus = CPUS_LIST("1")}),
	       .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a", .nr = 3),
					SLEEPERS(.cgroup = "b", .nr = 3)),
	       .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_MOVE("spin", "b"), OP_MOVE("burst", "a")),
				     .hold_ms = 200},
				    {.ops = KTSTR_OPS(OP_MOVE("spin", "a"), OP_MOVE("burst", "b")),
				     .hold_ms = 200}),
	       .repeat = 3});

CANNED(freeze_and_thaw, .area = "dynamic",
       .stresses = "tasks that the freezer takes and gives back",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a"}),
		    .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a", .percent = 200), SLEEPERS()),
		    .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_FREEZE("a")), .hold_ms = 200},
					 {.ops = KTSTR_OPS(OP_THAW("a")), .hold_ms = 300}),
		    .repeat = 3});

CANNED(weights_change, .area = "dynamic", .stresses = "cgroup weights from 1 to 10000 under load",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a"}, {.name = "b"}),
	       .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "a"),
					SPINNERS(.name = "two", .cgroup = "b")),
	       .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_CGROUP_WEIGHT("a", 400)), .hold_ms = 1200},
				    {.ops = KTSTR_OPS(OP_CGROUP_WEIGHT("a", 25),
						      OP_CGROUP_WEIGHT("b", 200)),
				     .hold_ms = 1200})});

/* A worker that has used up its cgroup's share waits for as much as the rest of 100 ms. */
CANNED(limits_change, .area = "dynamic", .stresses = "cpu.max set, changed and lifted under load",
       .scenario = {
	       .cgroups = KTSTR_CGROUPS({.name = "a", .max_percent = 50}),
	       .workers = KTSTR_WORKERS(SPINNERS(.cgroup = "a", .nr = 2), SLEEPERS()),
	       .steps = KTSTR_STEPS({.hold_ms = 400},
				    {.ops = KTSTR_OPS(OP_CGROUP_MAX("a", 150)), .hold_ms = 400},
				    {.ops = KTSTR_OPS(OP_CGROUP_MAX("a", 0)), .hold_ms = 400})});

/* For those that have nearly no weight at times. */
#define PATIENT                                              \
	{                                                    \
		.limit = { [KTSTR_CHECK_STARVATION] = 3000 } \
	}

CANNED(policies_change, .area = "dynamic", .stresses = "tasks that enter and leave sched_ext",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.percent = 150), SLEEPERS()),
		    .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_POLICY("spin", SCHED_BATCH)),
					  .hold_ms = 200},
					 {.ops = KTSTR_OPS(OP_POLICY("spin", SCHED_EXT_POLICY),
							   OP_POLICY("burst", SCHED_FIFO)),
					  .hold_ms = 300},
					 {.ops = KTSTR_OPS(OP_POLICY("spin", SCHED_OTHER),
							   OP_POLICY("burst", SCHED_IDLE)),
					  .hold_ms = 300}),
		    .repeat = 2,
		    .checks = PATIENT});

CANNED(nice_value_of_each_unit, .area = "dynamic", .stresses = "weights that change all the time",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_NICE, .percent = 200}),
		    .steps = HOLD(1200),
		    .checks = PATIENT});

CANNED(policy_of_each_unit, .area = "dynamic", .stresses = "classes that change all the time",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_POLICY, .percent = 200}),
		    .steps = HOLD(1200),
		    .checks = PATIENT});

/* ---- Interaction ---- */

CANNED(pipes, .area = "interaction", .stresses = "pairs that wake each other, one works at a time",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_PIPE, .nr = 4}),
		    .steps = HOLD(1000),
		    .checks = {.on = KTSTR_CHECK(WAKE_P99)}});

CANNED(pipes_among_spinners, .area = "interaction",
       .stresses = "pairs that wake each other on busy CPUs",
       .scenario = {.workers = KTSTR_WORKERS(
			    SPINNERS(.percent = 150),
			    {.work = KTSTR_WORK_PIPE, .nr = 4, .checks = &wake_up_in_time}),
		    .steps = HOLD(1500)});

CANNED(futexes, .area = "interaction", .stresses = "pairs of threads that wake each other",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_FUTEX, .nr = 6, .threads = true}),
		    .steps = HOLD(1000)});

CANNED(fanout, .area = "interaction", .stresses = "one that wakes many at once",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_FANOUT, .nr = 8}),
		    .steps = HOLD(1500)});

CANNED(fanout_among_spinners, .area = "interaction",
       .stresses = "one that wakes many over two LLCs",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(),
					     {.work = KTSTR_WORK_FANOUT, .nr = 6, .threads = true}),
		    .steps = HOLD(1500),
		    .checks = {.on = KTSTR_CHECK(IMBALANCE)}});

CANNED(mutex, .area = "interaction", .stresses = "many that wait for one",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_MUTEX, .nr = 6}),
		    .steps = HOLD(1000)});

CANNED(mutex_of_unequal_threads, .area = "interaction",
       .stresses = "a lock that the lowest has at times",
       .scenario = {.workers = KTSTR_WORKERS(
			    {.work = KTSTR_WORK_MUTEX, .nr = 3, .threads = true, .nice = 5},
			    SPINNERS(.percent = 100)),
		    .steps = HOLD(2500)});

CANNED(forks, .area = "interaction", .stresses = "tasks that live for an instant",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_FORK, .percent = 150}),
		    .steps = HOLD(1200)});

/* ---- I/O ---- */

CANNED(writers, .area = "I/O", .stresses = "tasks that wait for the disk",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_IO, .nr = 3}),
		    .steps = HOLD(1000)});

CANNED(writers_among_spinners, .area = "I/O",
       .stresses = "tasks that wait for the disk on busy CPUs",
       .scenario = {
	       .workers = KTSTR_WORKERS(SPINNERS(.percent = 150), {.work = KTSTR_WORK_IO, .nr = 2}),
	       .steps = HOLD(2500)});

/* ---- Hotplug ---- */

CANNED(cpu_goes_and_comes, .area = "hotplug", .stresses = "a CPU taken off under load",
       .scenario = {.workers = KTSTR_WORKERS(SPINNERS(.percent = 150), SLEEPERS()),
		    .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_CPU_OFF(1)), .hold_ms = 300},
					 {.ops = KTSTR_OPS(OP_CPU_ON(1)), .hold_ms = 300}),
		    .repeat = 2});

CANNED(cpu_of_a_cpuset_goes_and_comes, .area = "hotplug",
       .stresses = "the last CPU of a cpuset taken off",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LIST("2")},
					     {.name = "b", .cpus = CPUS_LIST("0-1")}),
		    .workers = KTSTR_WORKERS(SPINNERS(.name = "one", .cgroup = "a", .nr = 2),
					     SPINNERS(.name = "two", .cgroup = "b", .nr = 2)),
		    .steps = KTSTR_STEPS({.hold_ms = 200},
					 {.ops = KTSTR_OPS(OP_CPU_OFF(2)), .hold_ms = 400},
					 {.ops = KTSTR_OPS(OP_CPU_ON(2)), .hold_ms = 400})});

/* ---- NUMA ---- */

/* Each begins at its memory, and may then go anywhere: both nodes are busy, so it need not. */
CANNED(memory_of_the_node, .area = "NUMA", .stresses = "tasks that stay at their memory",
       .scenario = {
	       .workers = KTSTR_WORKERS({.work = KTSTR_WORK_CACHE,
					 .name = "near",
					 .size_kb = 4096,
					 .nr = 1,
					 .cpus = CPUS_NODE(0),
					 .memory = KTSTR_MEMORY_BIND,
					 .memory_nodes = 1},
					{.work = KTSTR_WORK_CACHE,
					 .name = "far",
					 .size_kb = 4096,
					 .nr = 1,
					 .cpus = CPUS_NODE(1),
					 .memory = KTSTR_MEMORY_BIND,
					 .memory_nodes = 2}),
	       .steps = KTSTR_STEPS({.hold_ms = 100}, {.ops = KTSTR_OPS(OP_CPUS("near", CPUS_ALL),
									OP_CPUS("far", CPUS_ALL)),
						       .hold_ms = 1000}),
	       .checks = {.on = KTSTR_CHECK(LOCALITY)}});

CANNED(memory_interleaved, .area = "NUMA", .stresses = "memory of both nodes in use everywhere",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_CACHE,
					      .memory = KTSTR_MEMORY_INTERLEAVE,
					      .memory_nodes = 3,
					      .percent = 150},
					     {.work = KTSTR_WORK_FAULT, .nr = 1}),
		    .steps = HOLD(1000)});

CANNED(workers_change_nodes, .area = "NUMA",
       .stresses = "tasks that are sent away from their memory",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_NODE(0)},
					     {.name = "b", .cpus = CPUS_NODE(1)}),
		    .workers = KTSTR_WORKERS({.work = KTSTR_WORK_CACHE, .nr = 3, .cgroup = "a"}),
		    .steps = KTSTR_STEPS({.ops = KTSTR_OPS(OP_MOVE("cache", "b")), .hold_ms = 300},
					 {.ops = KTSTR_OPS(OP_MOVE("cache", "a")), .hold_ms = 300}),
		    .repeat = 2});

/* ---- Stress ---- */

CANNED(many_workers, .area = "stress", .stresses = "sixteen tasks a CPU",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_YIELD, .percent = 800},
					     SLEEPERS(.percent = 800, .threads = true,
						      .run_us = 100, .sleep_us = 10000)),
		    .steps = HOLD(2500)});

CANNED(caches, .area = "stress", .stresses = "working sets beyond the L2, on two LLCs",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_CACHE, .size_kb = 2048, .nr = 1}),
		    .steps = HOLD(1000),
		    .checks = {.limit = {[KTSTR_CHECK_MIGRATIONS] = 20}}});

CANNED(page_faults, .area = "stress", .stresses = "tasks that are in the kernel most of the time",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_FAULT, .percent = 200}),
		    .steps = HOLD(1000)});

CANNED(real_time_above, .area = "stress",
       .stresses = "real-time tasks that take half of the CPU time",
       .scenario = {
	       .workers = KTSTR_WORKERS(SLEEPERS(.name = "above", .policy = SCHED_FIFO,
						 .priority = 10, .run_us = 2000, .sleep_us = 2000),
					SPINNERS(.name = "below", .percent = 150)),
	       .steps = HOLD(2500)});

CANNED(deadline_above, .area = "stress", .stresses = "deadline tasks above those of the scheduler",
       .scenario = {.workers = KTSTR_WORKERS({.work = KTSTR_WORK_PERIODIC,
					      .name = "above",
					      .policy = SCHED_DEADLINE,
					      .deadline = {.runtime_us = 5000, .period_us = 50000},
					      .period_us = 50000,
					      .run_us = 1000,
					      .nr = 2},
					     SPINNERS(.name = "below", .percent = 150)),
		    .steps = HOLD(2500)});

CANNED(everything_at_once, .area = "stress",
       .stresses = "all kinds of work in two cgroups that change",
       .scenario = {.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LLC(0)},
					     {.name = "b", .weight = 300}),
		    .workers = KTSTR_WORKERS(
			    SPINNERS(.cgroup = "a", .nr = 2), SLEEPERS(.cgroup = "b", .nr = 2),
			    {.work = KTSTR_WORK_YIELD, .cgroup = "b", .nr = 2},
			    {.work = KTSTR_WORK_PIPE, .cgroup = "a", .nr = 2},
			    {.work = KTSTR_WORK_MUTEX, .cgroup = "b", .nr = 3, .threads = true},
			    {.work = KTSTR_WORK_FANOUT, .nr = 4},
			    {.work = KTSTR_WORK_FORK, .nr = 1}, {.work = KTSTR_WORK_IO, .nr = 1},
			    {.work = KTSTR_WORK_FAULT, .cgroup = "b", .nr = 1},
			    {.work = KTSTR_WORK_AFFINITY, .nr = 1},
			    {.work = KTSTR_WORK_NICE, .nr = 1}),
		    .steps = KTSTR_STEPS({.hold_ms = 500},
					 {.ops = KTSTR_OPS(OP_CGROUP_CPUS("a", CPUS_LLC(1)),
							   OP_MOVE("burst", "a")),
					  .hold_ms = 500},
					 {.ops = KTSTR_OPS(OP_CGROUP_WEIGHT("b", 20),
							   OP_MOVE("spin", "b"), OP_STOP("fork")),
					  .hold_ms = 500}),
		    .checks = PATIENT});
