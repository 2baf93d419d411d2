/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scenarios ready to use, over what a scheduler has to get right. A test program for a scheduler is
 *
 *	#include <ktstr/harness.h>
 *	#include <ktstr/canned.h>
 *
 *	KTSTR_CANNED_TESTS(.scheduler = "scx_mine")
 *	KTSTR_HARNESS_MAIN
 *
 * with a test a scenario, "canned.NAME.holds", each on the smallest machine on which it makes
 * sense; a .topology given here replaces that, and then scenarios that it has no room for are
 * skipped.
 */
#ifndef KTSTR_CANNED_H
#define KTSTR_CANNED_H

#include <ktstr/scenario.h>
#include <ktstr/topology.h>

/*
 * X(name, topology, seen_by, fault, comm): all of them, some of each area first. Each is there to
 * see a fault, that of `scx_ktstr --fault FAULT --fault-comm COMM`; SEEN_BY is what is to say so: a
 * check of enum ktstr_check_kind, or, where the scheduler ends of it, how, of enum ktstr_scx_exit.
 */
#define KTSTR_CANNED(X)             \
	KTSTR_CANNED_QUICK(X)       \
	KTSTR_CANNED_BASIC(X)       \
	KTSTR_CANNED_CPUSET(X)      \
	KTSTR_CANNED_AFFINITY(X)    \
	KTSTR_CANNED_NESTING(X)     \
	KTSTR_CANNED_DYNAMIC(X)     \
	KTSTR_CANNED_INTERACTION(X) \
	KTSTR_CANNED_IO(X)          \
	KTSTR_CANNED_HOTPLUG(X)     \
	KTSTR_CANNED_NUMA(X)        \
	KTSTR_CANNED_STRESS(X)

/* One or two of each area, for a short run. */
#define KTSTR_CANNED_QUICK(X)                                                          \
	X(four_spinners_per_cpu, TOPO(1, 1, 2, 1), FAIRNESS, "unfair", "spin")         \
	X(sleepers_among_spinners, TOPO(1, 1, 2, 1), WAKE_P99, "slow-wake", "burst")   \
	X(cpusets_by_llc, TOPO(1, 2, 1, 1), ISOLATION, "widen-cpuset", "")             \
	X(cpusets_overlapping, TOPO(1, 1, 3, 1), ERROR, "ignore-cpuset", "")           \
	X(affinity_narrows_and_widens, TOPO(1, 1, 2, 1), STARVATION, "starve", "spin") \
	X(nested_cpusets, TOPO(1, 1, 3, 1), ISOLATION, "widen-cpuset", "")             \
	X(workers_move, TOPO(1, 1, 2, 1), ISOLATION, "widen-cpuset", "")               \
	X(limits_change, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-running", "")             \
	X(fanout_among_spinners, TOPO(1, 2, 1, 1), IMBALANCE, "pile", "spin")          \
	X(writers_among_spinners, TOPO(1, 1, 2, 1), STARVATION, "starve", "io")        \
	X(cpu_goes_and_comes, TOPO(1, 1, 3, 1), ERROR_BPF, "crash-cpu_offline", "")    \
	X(workers_change_nodes, TOPO(2, 2, 1, 1), ISOLATION, "widen-cpuset", "")       \
	X(real_time_above, TOPO(1, 1, 2, 1), STARVATION, "starve", "below")            \
	X(everything_at_once, TOPO(1, 2, 2, 1), ERROR_STALL, "leak", "spin")

#define KTSTR_CANNED_BASIC(X)                                                              \
	X(one_spinner_per_cpu, TOPO(1, 1, 2, 1), IMBALANCE, "pile", "spin")                \
	X(one_spinner_on_an_idle_machine, TOPO(1, 1, 2, 1), MIGRATIONS, "migrate", "spin") \
	X(yielders, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-enqueue", "")                      \
	X(sleepers, TOPO(1, 1, 2, 1), WAKE_P99, "slow-wake", "burst")                      \
	X(nice_values, TOPO(1, 1, 2, 1), STARVATION, "starve", "usual")                    \
	X(batch_and_idle, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-enable", "")                 \
	X(periodic, TOPO(1, 1, 2, 1), WAKE_P99, "slow-wake", "periodic")

#define KTSTR_CANNED_CPUSET(X)                                                       \
	X(cpusets_by_node, TOPO(2, 2, 1, 1), ERROR, "ignore-cpuset", "")             \
	X(cpusets_disjoint, TOPO(1, 1, 3, 1), ISOLATION, "widen-cpuset", "")         \
	X(cpuset_range, TOPO(1, 1, 3, 1), ISOLATION, "widen-cpuset", "")             \
	X(cpuset_of_one_cpu, TOPO(1, 1, 2, 1), FAIRNESS, "unfair", "spin")           \
	X(cpuset_shrinks_and_grows, TOPO(1, 1, 3, 1), ISOLATION, "widen-cpuset", "") \
	X(cpusets_change_places, TOPO(1, 2, 1, 1), ISOLATION, "widen-cpuset", "")

#define KTSTR_CANNED_AFFINITY(X)                                                       \
	X(affinity_to_an_llc, TOPO(1, 2, 1, 1), ERROR, "ignore-cpuset", "")            \
	X(affinity_of_each_unit, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-set_cpumask", "") \
	X(affinity_beyond_the_cpuset, TOPO(1, 1, 2, 1), ISOLATION, "widen-cpuset", "")

#define KTSTR_CANNED_NESTING(X)                                          \
	X(nested_weights, TOPO(1, 1, 2, 1), STARVATION, "starve", "one") \
	X(deep_nesting, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-init_task", "")

#define KTSTR_CANNED_DYNAMIC(X)                                                         \
	X(workers_come_and_go, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-exit_task", "")      \
	X(cgroups_come_and_go, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-disable", "")        \
	X(freeze_and_thaw, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-stopping", "")           \
	X(weights_change, TOPO(1, 1, 2, 1), STARVATION, "starve", "one")                \
	X(policies_change, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-enable", "")             \
	X(nice_value_of_each_unit, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-set_weight", "") \
	X(policy_of_each_unit, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-disable", "")

#define KTSTR_CANNED_INTERACTION(X)                                                  \
	X(pipes, TOPO(1, 1, 2, 1), WAKE_P99, "slow-wake", "pipe")                    \
	X(pipes_among_spinners, TOPO(1, 1, 2, 1), WAKE_P99, "slow-wake", "pipe")     \
	X(futexes, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-select_cpu", "")              \
	X(fanout, TOPO(1, 1, 2, 1), ERROR_STALL, "leak", "fanout")                   \
	X(mutex, TOPO(1, 1, 2, 1), ERROR_STALL, "stall", "mutex")                    \
	X(mutex_of_unequal_threads, TOPO(1, 1, 2, 1), STARVATION, "starve", "mutex") \
	X(forks, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-init_task", "")

#define KTSTR_CANNED_IO(X) X(writers, TOPO(1, 1, 2, 1), UNREG_BPF, "exit", "")

#define KTSTR_CANNED_HOTPLUG(X) \
	X(cpu_of_a_cpuset_goes_and_comes, TOPO(1, 1, 3, 1), ERROR_BPF, "crash-cpu_online", "")

#define KTSTR_CANNED_NUMA(X)                                                \
	X(memory_of_the_node, TOPO(2, 2, 1, 1), LOCALITY, "remote", "near") \
	X(memory_interleaved, TOPO(2, 2, 1, 1), ERROR_BPF, "crash-dispatch", "")

#define KTSTR_CANNED_STRESS(X)                                            \
	X(many_workers, TOPO(1, 1, 2, 1), STARVATION, "starve", "yield")  \
	X(caches, TOPO(1, 2, 1, 1), MIGRATIONS, "migrate", "cache")       \
	X(page_faults, TOPO(1, 1, 2, 1), ERROR_BPF, "crash-stopping", "") \
	X(deadline_above, TOPO(1, 1, 2, 1), STARVATION, "starve", "below")

struct ktstr_canned {
	const char *name, *area;
	const char *stresses; /* in a few words */
	struct ktstr_scenario scenario;
};

#define __KTSTR_CANNED_DECLARE(id, ...) extern const struct ktstr_canned ktstr_canned_##id;
KTSTR_CANNED(__KTSTR_CANNED_DECLARE)

#define __KTSTR_CANNED_VARIANT(id, topo, ...)                        \
	KTSTR_FIXTURE_VARIANT_DEFAULT(canned, id, .topology = topo); \
	FIXTURE_VARIANT_ADD(canned, id){.canned = &ktstr_canned_##id};

/*
 * All scenarios as tests of the program, or those of a short run; the arguments are attributes of
 * each. Once in a program, as it makes a fixture.
 */
#define KTSTR_CANNED_TESTS(...) __KTSTR_CANNED_TESTS(KTSTR_CANNED, __VA_ARGS__)
#define KTSTR_CANNED_QUICK_TESTS(...) __KTSTR_CANNED_TESTS(KTSTR_CANNED_QUICK, __VA_ARGS__)
#define __KTSTR_CANNED_TESTS(list, ...)                                                       \
	FIXTURE(canned){};                                                                    \
	FIXTURE_VARIANT(canned)                                                               \
	{                                                                                     \
		const struct ktstr_canned *canned;                                            \
	};                                                                                    \
	list(__KTSTR_CANNED_VARIANT) FIXTURE_SETUP(canned)                                    \
	{                                                                                     \
	}                                                                                     \
	FIXTURE_TEARDOWN(canned)                                                              \
	{                                                                                     \
	}                                                                                     \
	KTSTR_TEST_F(canned, holds, __VA_ARGS__)                                              \
	{                                                                                     \
		__KTSTR_SCENARIO_OK(&variant->canned->scenario, variant->canned->name, true); \
	}

#endif /* KTSTR_CANNED_H */
