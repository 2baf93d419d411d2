/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scenarios: who works where, what is done to them, and what has to hold, as data.
 *
 *	static const struct ktstr_scenario moved = {
 *		.cgroups = KTSTR_CGROUPS({.name = "left", .cpus = CPUS_LLC(0)},
 *					 {.name = "right", .cpus = CPUS_LLC(1)}),
 *		.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN, .nr = 4, .cgroup = "left"}),
 *		.steps = KTSTR_STEPS({.hold_ms = 500},
 *				     {.ops = KTSTR_OPS(OP_MOVE("spin", "right")), .hold_ms = 500}),
 *	};
 *
 *	KTSTR_SCENARIO_TEST(tasks_follow_their_cgroup, moved, .topology = TOPO(1, 2, 2, 1),
 *			    .scheduler = "scx_simple")
 *
 * It runs in a machine, under whatever scheduler is attached there, judges what it saw, and sends
 * each step and what was done in it to the host (SCST, STIM and SCEN of ktstr/proto.h), with its
 * metrics (PMET).
 */
#ifndef KTSTR_SCENARIO_H
#define KTSTR_SCENARIO_H

#include <ktstr/error.h>
#include <ktstr/proto.h>
#include <ktstr/work.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KTSTR_SCENARIO_MAX_WORKERS 4096u /* of all sets */
#define KTSTR_SCENARIO_MAX_SETS 32u
#define KTSTR_SCENARIO_MAX_CGROUPS 64u
#define KTSTR_SCENARIO_MAX_STEPS 256u /* repeated ones counted as often */

/* ---- CPUs, as a topology has them ---- */

enum ktstr_cpus_kind {
	KTSTR_CPUS_ALL = 0,
	KTSTR_CPUS_LLC,	    /* those of last-level cache @index */
	KTSTR_CPUS_NODE,    /* of NUMA node @index */
	KTSTR_CPUS_PART,    /* part @index of @of that share no CPU, in the order of LLCs */
	KTSTR_CPUS_OVERLAP, /* likewise, with @percent of the next part's CPUs as well */
	KTSTR_CPUS_RANGE,   /* from @index to @of percent of all, in the order of LLCs */
	KTSTR_CPUS_LIST,    /* just these */
};

struct ktstr_cpus {
	enum ktstr_cpus_kind kind;
	uint32_t index, of, percent;
	const char *list; /* "0-3,8" */
};
/* For .cpus = and in operations */
#define CPUS_ALL                       \
	{                              \
		.kind = KTSTR_CPUS_ALL \
	}
#define CPUS_LLC(llc)                                  \
	{                                              \
		.kind = KTSTR_CPUS_LLC, .index = (llc) \
	}
#define CPUS_NODE(node)                                  \
	{                                                \
		.kind = KTSTR_CPUS_NODE, .index = (node) \
	}
#define CPUS_PART(part, parts)                                          \
	{                                                               \
		.kind = KTSTR_CPUS_PART, .index = (part), .of = (parts) \
	}
#define CPUS_OVERLAP(part, parts, pct)                                                       \
	{                                                                                    \
		.kind = KTSTR_CPUS_OVERLAP, .index = (part), .of = (parts), .percent = (pct) \
	}
#define CPUS_RANGE(from_pct, to_pct)                                          \
	{                                                                     \
		.kind = KTSTR_CPUS_RANGE, .index = (from_pct), .of = (to_pct) \
	}
#define CPUS_LIST(cpus)                                 \
	{                                               \
		.kind = KTSTR_CPUS_LIST, .list = (cpus) \
	}

/* ---- Control groups ---- */

/*
 * All lie below one of the scenario's own, which goes with it. "a/b" is nested in "a", which must
 * come before it and can't have workers of its own then (cgroup v2: no internal processes).
 */
struct ktstr_cgroup {
	const char *name;
	struct ktstr_cpus cpus; /* cpuset.cpus; CPUS_ALL: as its parent */
	uint64_t memory_nodes;	/* cpuset.mems, a bit each; 0: as its parent */
	uint32_t weight;	/* cpu.weight, 1 to 10000; 0: 100 */
	uint32_t max_percent;	/* cpu.max, of one CPU's time each 100 ms; 0: no limit */
	bool later;		/* made by OP_ADD_CGROUP */
};
#define KTSTR_CGROUPS(...) ((const struct ktstr_cgroup[]){__VA_ARGS__, {.name = NULL}})

/* ---- Workers ---- */

/* Of SCHED_DEADLINE, us. */
struct ktstr_deadline {
	uint32_t runtime_us, deadline_us, period_us; /* [1000, = period, 20000] */
};

/* A set of workers that are alike. 0 or NULL in a field is the default beside it. */
struct ktstr_workers {
	const char *name; /* the work's: "spin"; no two sets of a scenario have the same */
	enum ktstr_work_kind work;
	uint32_t nr;		/* .percent of the CPUs that they may use, rounded up */
	uint32_t percent;	/* 100 */
	bool threads;		/* of one process; a process each */
	const char *cgroup;	/* the scenario's own */
	struct ktstr_cpus cpus; /* sched_setaffinity(2); those of the cgroup */
	int policy;		/* SCHED_OTHER, ... of sched.h; SCHED_EXT is 7 */
	int priority;		/* of FIFO and RR; 1 */
	int nice;		/* 0 */
	struct ktstr_deadline deadline;
	enum ktstr_memory_policy memory;
	uint64_t memory_nodes; /* a bit each */
	/* Of the work: see enum ktstr_work_kind */
	uint32_t run_us, sleep_us, period_us, size_kb;
	const char *path;
	/* One unit of KTSTR_WORK_CUSTOM; not 0: the work is lost, and the worker ends. */
	int (*unit)(struct ktstr_worker *worker, void *arg);
	void *arg;
	bool later;			   /* not there until OP_START */
	const struct ktstr_checks *checks; /* instead of the scenario's */
};
#define KTSTR_WORKERS(...) ((const struct ktstr_workers[]){__VA_ARGS__, {.work = KTSTR_NR_WORKS}})

/* ---- Steps ---- */

enum ktstr_op_kind {
	KTSTR_OP_NONE = 0,
	KTSTR_OP_ADD_CGROUP,
	KTSTR_OP_REMOVE_CGROUP, /* nobody may be in it */
	KTSTR_OP_CGROUP_CPUS,
	KTSTR_OP_CGROUP_WEIGHT,
	KTSTR_OP_CGROUP_MAX,
	KTSTR_OP_FREEZE,
	KTSTR_OP_THAW,
	KTSTR_OP_START, /* all of a set that was not there */
	KTSTR_OP_STOP,	/* all of a set: they end */
	KTSTR_OP_MOVE,	/* all of a set, to another cgroup */
	KTSTR_OP_CPUS,	/* affinity of all of a set */
	KTSTR_OP_POLICY,
	KTSTR_OP_NICE,
	KTSTR_OP_CPU_OFF, /* hotplug; CPU 0 stays */
	KTSTR_OP_CPU_ON,
	KTSTR_OP_CALL, /* a function of the test */
	KTSTR_NR_OPS
};

struct ktstr_op {
	enum ktstr_op_kind kind;
	const char *name;   /* of the cgroup, or of the set of workers */
	const char *cgroup; /* MOVE: to where; NULL: the scenario's own */
	struct ktstr_cpus cpus;
	int value;		/* weight, percent, policy, nice value, CPU */
	int (*call)(void *arg); /* 0, or -errno that ends the scenario as failed */
	void *arg;
};
#define KTSTR_OPS(...) ((const struct ktstr_op[]){__VA_ARGS__, {.kind = KTSTR_OP_NONE}})
#define __KTSTR_OP(k, ...)                        \
	{                                         \
		.kind = KTSTR_OP_##k, __VA_ARGS__ \
	}
#define OP_ADD_CGROUP(group) __KTSTR_OP(ADD_CGROUP, .name = (group))
#define OP_REMOVE_CGROUP(group) __KTSTR_OP(REMOVE_CGROUP, .name = (group))
#define OP_CGROUP_CPUS(group, set) __KTSTR_OP(CGROUP_CPUS, .name = (group), .cpus = set)
#define OP_CGROUP_WEIGHT(group, weight) \
	__KTSTR_OP(CGROUP_WEIGHT, .name = (group), .value = (weight))
#define OP_CGROUP_MAX(group, pct) __KTSTR_OP(CGROUP_MAX, .name = (group), .value = (pct))
#define OP_FREEZE(group) __KTSTR_OP(FREEZE, .name = (group))
#define OP_THAW(group) __KTSTR_OP(THAW, .name = (group))
#define OP_START(workers) __KTSTR_OP(START, .name = (workers))
#define OP_STOP(workers) __KTSTR_OP(STOP, .name = (workers))
#define OP_MOVE(workers, to) __KTSTR_OP(MOVE, .name = (workers), .cgroup = (to))
#define OP_CPUS(workers, set) __KTSTR_OP(CPUS, .name = (workers), .cpus = set)
#define OP_POLICY(workers, policy) __KTSTR_OP(POLICY, .name = (workers), .value = (policy))
#define OP_NICE(workers, nice) __KTSTR_OP(NICE, .name = (workers), .value = (nice))
#define OP_CPU_OFF(cpu) __KTSTR_OP(CPU_OFF, .value = (cpu))
#define OP_CPU_ON(cpu) __KTSTR_OP(CPU_ON, .value = (cpu))
#define OP_CALL(function, argument) __KTSTR_OP(CALL, .call = (function), .arg = (argument))

/* What is done, in this order, and how long it then stays so. */
struct ktstr_step {
	const char *name;	    /* in messages; NULL: its number alone */
	const struct ktstr_op *ops; /* KTSTR_OPS(...); NULL: none */
	uint32_t hold_ms;
};
#define KTSTR_STEPS(...) ((const struct ktstr_step[]){__VA_ARGS__, {.hold_ms = UINT32_MAX}})

/* ---- Checks ---- */

enum ktstr_check_kind {
	/* Functional: they judge on any host. */
	/* No worker is without a unit for .. ms of its time; 10 times the default for SCHED_IDLE.
	 */
	KTSTR_CHECK_STARVATION = 0,
	KTSTR_CHECK_ISOLATION, /* no worker is seen outside of the CPUs that it may use */
	KTSTR_CHECK_STALL,     /* workers start, and end when killed, within .. ms */
	KTSTR_CHECK_LOST_WORK, /* no token, lock, child or worker is lost */
	/* Measured: inconclusive when the host was too disturbed to judge. Limits: */
	KTSTR_CHECK_GAP,	/* ms between two units of a worker, at most */
	KTSTR_CHECK_FAIRNESS,	/* percent: (most - least) / mean CPU time in a set, at most */
	KTSTR_CHECK_WAKE_P99,	/* us of a set's wake-up latency, 99th percentile, at most */
	KTSTR_CHECK_THROUGHPUT, /* units a second of each worker, at least */
	KTSTR_CHECK_VARIATION,	/* percent: standard deviation / mean of units in a set, at most */
	KTSTR_CHECK_MIGRATIONS, /* of a worker per second of CPU time, at most */
	KTSTR_CHECK_IMBALANCE,	/* percent: (busiest - mean) / mean of the set's CPUs, at most */
	KTSTR_CHECK_LOCALITY,	/* percent of a worker's pages on the node where it ran, at least */
	KTSTR_CHECK_DEADLINES,	/* percent of PERIODIC's deadlines missed, at most */
	KTSTR_NR_CHECKS
};
#define KTSTR_CHECK(kind) (1u << KTSTR_CHECK_##kind)

/*
 * Which checks are made, and with what limit. Made unless switched off: STARVATION, ISOLATION,
 * STALL, LOST_WORK and GAP. The others are made when they have a limit here, or are switched on,
 * and then fail, too, when there was nothing to be measured (in any of the sets that they are for).
 */
struct ktstr_checks {
	uint32_t on, off;	       /* KTSTR_CHECK(FAIRNESS) | ... */
	double limit[KTSTR_NR_CHECKS]; /* [KTSTR_CHECK_GAP] = 500; 0: the default */
	/* Defaults of a quiet host; under performance mode they are in any case */
	bool strict;
};
/* The limit that holds where none is given; NaN: there is none, and one must be given. */
double ktstr_check__default(enum ktstr_check_kind kind, bool strict);
/* "starvation" */
const char *ktstr_check__name(enum ktstr_check_kind kind);
bool ktstr_check__is_measured(enum ktstr_check_kind kind);

/*
 * A host is disturbed when it says so (KTSTR_DISTURBED_ENV of ktstr/proto.h, as on emulated KVM),
 * or when it took away more than this of the machine's CPU time.
 */
#define KTSTR_DISTURBED_STEAL_PERCENT 5.0

/* ---- The whole ---- */

struct ktstr_scenario {
	const char *name; /* NULL: the test's */
	const struct ktstr_cgroup *cgroups;
	const struct ktstr_workers *workers;
	const struct ktstr_step *steps;
	uint32_t repeat; /* times that the steps are gone through; 0: once */
	struct ktstr_checks checks;
};

enum ktstr_scenario_verdict {
	KTSTR_SCENARIO_PASSED = 0,
	KTSTR_SCENARIO_INCONCLUSIVE, /* only measured limits were broken, on a disturbed host */
	KTSTR_SCENARIO_FAILED,
	KTSTR_SCENARIO_INVALID, /* it can't be on this machine, or could not be set up */
};

/* A check that did not hold. */
struct ktstr_check_failure {
	enum ktstr_check_kind kind;
	bool inconclusive;
	double expected, seen;
	const char *workers; /* set */
	int32_t worker;	     /* index; -1: the set as a whole */
	struct ktstr_worker_event event;
	char text[384]; /* all of it, for a person */
};
#define KTSTR_SCENARIO_MAX_FAILURES 64u

struct ktstr_scenario_result {
	enum ktstr_scenario_verdict verdict;
	int err;		       /* INVALID: -errno */
	char problem[512];	       /* INVALID: why */
	uint32_t nr_failures, nr_more; /* more than there was room for */
	struct ktstr_check_failure failures[KTSTR_SCENARIO_MAX_FAILURES];
	uint32_t nr_workers; /* of all sets, in their order */
	struct ktstr_worker_report *workers;
	uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC: of the first step, of the last one's end */
	uint64_t around_ns;	   /* that it took beyond its steps, to set up and to end */
	double steal_percent;	   /* of the machine's CPU time that the host took away meanwhile */
	char disturbed[128];	   /* why measured limits were not judged; "": they were */
};

/*
 * Runs a scenario to its end and judges it; prints what failed, and a line a set with what was
 * measured, as TAP diagnostics; sends events and metrics to the host. @name may be NULL. Nothing of
 * it stays but the result, whose memory ktstr_scenario_result__free() gives back.
 *
 * Before anything is started -ERANGE: it names CPUs, LLCs or nodes that the machine does not have;
 * -EINVAL: something else in it can't be (a cgroup or set that is not there, a name twice, more
 * workers than there may be, an operation out of order), with the reason in result->problem.
 * -errno: it could not be set up. 0: it ran; see result->verdict.
 */
int ktstr_scenario__run(const struct ktstr_scenario *scenario, const char *name,
			struct ktstr_scenario_result *result);
void ktstr_scenario_result__free(struct ktstr_scenario_result *result);

/* Why a test is skipped whose scenario names CPUs, LLCs or nodes that the machine does not have. */
#define KTSTR_SKIP_TOPOLOGY "the topology has no room for this scenario"

/*
 * In a test's body: the scenario passes, or the test fails; or is inconclusive. One that the
 * machine has no room for fails with EXPECT_SCENARIO_OK(), and skips with
 * EXPECT_SCENARIO_OK_OR_NO_ROOM().
 */
#define EXPECT_SCENARIO_OK(scenario) __KTSTR_SCENARIO_OK((scenario), _metadata->name, false)
#define EXPECT_SCENARIO_OK_OR_NO_ROOM(scenario) \
	__KTSTR_SCENARIO_OK((scenario), _metadata->name, true)
#define __KTSTR_SCENARIO_OK(scenario, name, may_skip)                                          \
	do {                                                                                   \
		struct ktstr_scenario_result __r;                                              \
		ktstr_scenario__run((scenario), (name), &__r);                                 \
		ktstr_scenario_result__free(&__r);                                             \
		if (__r.verdict == KTSTR_SCENARIO_INCONCLUSIVE && __test_passed(_metadata)) {  \
			SKIP((void)0, KTSTR_SKIP_INCONCLUSIVE);                                \
		} else if (__r.verdict == KTSTR_SCENARIO_FAILED) {                             \
			_metadata->exit_code = KSFT_FAIL;                                      \
			__TH_LOG("Expected all checks to hold, but %s", __r.failures[0].text); \
		} else if ((may_skip) && __r.err == -ERANGE && __test_passed(_metadata)) {     \
			printf("# %s\n", __r.problem);                                         \
			SKIP((void)0, KTSTR_SKIP_TOPOLOGY);                                    \
		} else if (__r.verdict == KTSTR_SCENARIO_INVALID) {                            \
			_metadata->exit_code = KSFT_FAIL;                                      \
			__TH_LOG("Expected the scenario to run, but %s", __r.problem);         \
		}                                                                              \
	} while (0)

/* A test that is one scenario: KTSTR_SCENARIO_TEST(name, scenario, attributes...) */
#define KTSTR_SCENARIO_TEST(test_name, scenario, ...) \
	KTSTR_TEST(test_name, __VA_ARGS__)            \
	{                                             \
		EXPECT_SCENARIO_OK(&(scenario));      \
	}

#endif /* KTSTR_SCENARIO_H */
