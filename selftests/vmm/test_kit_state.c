// SPDX-License-Identifier: GPL-2.0-only
/* The model of a scenario: what may be declared, what may be done, and who may use which CPUs. */
#include "kselftest_harness.h"

#include <sched.h>

#include "guest/kit/state.h"

/* What a scenario points to lives as long as its test, and is used no longer. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif

FIXTURE(state)
{
	struct machine machine;
	struct scenario_state s;
	struct ktstr_scenario scenario;
	char why[400];
};

static const struct ktstr_step one_step[] = {{.hold_ms = 1}, {.hold_ms = UINT32_MAX}};

/* 8 CPUs, 4 LLCs, 2 nodes */
FIXTURE_SETUP(state)
{
	struct machine *m = &self->machine;

	m->nr_cpus = 8;
	m->nr_llcs = 4;
	m->nr_nodes = 2;
	for (uint16_t cpu = 0; cpu < 8; cpu++) {
		cpu_bits__add(&m->online, cpu);
		m->order[cpu] = cpu;
		m->llc_of[cpu] = cpu / 2;
		m->node_of[cpu] = cpu / 4;
	}
	self->scenario.steps = one_step;
}

FIXTURE_TEARDOWN(state)
{
}

static int init(struct _test_data_state *self)
{
	self->why[0] = '\0';
	return state__init(&self->s, &self->scenario, &self->machine, self->why, sizeof(self->why));
}

#define apply(...) \
	state__apply(&self->s, &(const struct ktstr_op)__VA_ARGS__, self->why, sizeof(self->why))

#define EXPECT_ALLOWED(expected, set)                        \
	do {                                                 \
		struct cpu_bits bits;                        \
		char text[64];                               \
		state__allowed(&self->s, set, &bits);        \
		cpu_bits__format(&bits, text, sizeof(text)); \
		EXPECT_STREQ(expected, text);                \
	} while (0)

TEST_F(state, number_of_workers_is_that_of_their_cpus)
{
	self->scenario.cgroups = KTSTR_CGROUPS({.name = "a", .cpus = CPUS_RANGE(0, 38)});
	self->scenario.workers =
		KTSTR_WORKERS({.work = KTSTR_WORK_SPIN}, {.work = KTSTR_WORK_BURST, .cgroup = "a"},
			      {.work = KTSTR_WORK_YIELD, .cgroup = "a", .percent = 150},
			      {.work = KTSTR_WORK_CACHE, .cgroup = "a", .cpus = CPUS_LIST("1")},
			      {.work = KTSTR_WORK_FORK, .cgroup = "a", .percent = 1},
			      {.work = KTSTR_WORK_IO, .nr = 7});

	ASSERT_EQ(0, init(self));
	EXPECT_EQ(8, self->s.sets[0].nr);
	EXPECT_EQ(4, self->s.sets[1].nr);
	EXPECT_EQ(6, self->s.sets[2].nr);
	EXPECT_EQ(1, self->s.sets[3].nr);
	EXPECT_EQ(1, self->s.sets[4].nr);
	EXPECT_EQ(7, self->s.sets[5].nr);
	EXPECT_EQ(27, self->s.nr_workers);
	EXPECT_EQ(20, self->s.sets[5].first);
	EXPECT_STREQ("burst", self->s.sets[1].name);
}

TEST_F(state, what_cannot_be_declared_is_refused_with_the_reason)
{
	static const struct ktstr_step none[] = {{.hold_ms = UINT32_MAX}};
	const struct {
		const struct ktstr_cgroup *cgroups;
		const struct ktstr_workers *workers;
		const char *why;
	} bad[] = {
		{KTSTR_CGROUPS({.name = ""}), NULL, "\"\" is no name for a cgroup"},
		{KTSTR_CGROUPS({.name = "../a"}), NULL, "\"../a\" is no name for a cgroup"},
		{KTSTR_CGROUPS({.name = "a/"}), NULL, "\"a/\" is no name for a cgroup"},
		{KTSTR_CGROUPS({.name = "default"}), NULL, "\"default\" is no name for a cgroup"},
		{KTSTR_CGROUPS({.name = "a"}, {.name = "a"}), NULL, "there are two cgroups a"},
		{KTSTR_CGROUPS({.name = "a/b"}, {.name = "a"}), NULL,
		 "cgroup a/b: its parent does not come before it"},
		{KTSTR_CGROUPS({.name = "a", .later = true}, {.name = "a/b"}), NULL,
		 "cgroup a/b: its parent comes later"},
		{KTSTR_CGROUPS({.name = "a", .weight = 10001}), NULL,
		 "cgroup a: weight 10001 is above 10000"},
		{KTSTR_CGROUPS({.name = "a", .cpus = CPUS_LLC(4)}), NULL,
		 "a: there is no LLC 4: the machine has 4"},
		{KTSTR_CGROUPS({.name = "a", .memory_nodes = 4}), NULL,
		 "a: memory of node 2, but the machine has 2"},
		{NULL, KTSTR_WORKERS({.work = KTSTR_WORK_SPIN}, {.work = KTSTR_WORK_SPIN}),
		 "there are two sets of workers spin: name one"},
		{NULL, KTSTR_WORKERS({.name = "a/b"}), "\"a/b\" is no name for workers"},
		{NULL, KTSTR_WORKERS({.cgroup = "a"}), "spin: there is no cgroup a"},
		{KTSTR_CGROUPS({.name = "a"}, {.name = "a/b"}), KTSTR_WORKERS({.cgroup = "a"}),
		 "spin: cgroup a has others in it, and no workers"},
		{KTSTR_CGROUPS({.name = "a", .later = true}), KTSTR_WORKERS({.cgroup = "a"}),
		 "spin: cgroup a comes later"},
		{NULL, KTSTR_WORKERS({.work = KTSTR_WORK_PIPE, .nr = 3}),
		 "pipe: 3 workers, but this work takes a multiple of 2"},
		{NULL, KTSTR_WORKERS({.work = KTSTR_WORK_FANOUT, .nr = 1}),
		 "fanout: 1 workers, but this work takes at least 2"},
		{NULL, KTSTR_WORKERS({.work = KTSTR_WORK_CUSTOM}),
		 "custom: .unit belongs to KTSTR_WORK_CUSTOM"},
		{NULL, KTSTR_WORKERS({.nr = KTSTR_SCENARIO_MAX_WORKERS + 1}),
		 "more than 4096 workers"},
		{NULL, KTSTR_WORKERS({.policy = 4}), "spin: there is no scheduling policy 4"},
		{NULL, KTSTR_WORKERS({.priority = 1}),
		 "spin: priority 1 of a policy that has none"},
		{NULL, KTSTR_WORKERS({.policy = SCHED_FIFO, .priority = 100}),
		 "spin: priority 100 is not 1 to 99"},
		{NULL, KTSTR_WORKERS({.nice = 20}), "spin: nice 20 is not -20 to 19"},
		{NULL, KTSTR_WORKERS({.memory = KTSTR_MEMORY_BIND}),
		 "spin: a memory policy without nodes"},
		{NULL, KTSTR_WORKERS({.cpus = CPUS_LIST("9")}), "spin: the machine has no CPU 9"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		self->scenario.cgroups = bad[i].cgroups;
		self->scenario.workers = bad[i].workers;
		EXPECT_EQ(strstr(bad[i].why, "the machine ") ? -ERANGE : -EINVAL, init(self));
		EXPECT_STREQ(bad[i].why, self->why);
	}
	self->scenario.cgroups = NULL;
	self->scenario.workers = NULL;
	self->scenario.steps = none;
	EXPECT_EQ(-EINVAL, init(self));
	EXPECT_STREQ("it has no steps", self->why);
	self->scenario.steps = one_step;
	self->scenario.repeat = KTSTR_SCENARIO_MAX_STEPS + 1;
	EXPECT_EQ(-EINVAL, init(self));
	EXPECT_STREQ("it has more than 256 steps", self->why);
}

TEST_F(state, allowed_cpus_are_those_of_cgroups_affinity_and_hotplug)
{
	self->scenario.cgroups =
		KTSTR_CGROUPS({.name = "a", .cpus = CPUS_NODE(0)},
			      {.name = "a/b", .cpus = CPUS_LIST("2-5")}, {.name = "c"});
	self->scenario.workers = KTSTR_WORKERS({.name = "one", .cgroup = "a/b", .nr = 1},
					       {.name = "two", .cpus = CPUS_LIST("3,7"), .nr = 1});
	ASSERT_EQ(0, init(self));
	/* The nested one has what both have. */
	EXPECT_ALLOWED("2-3", 0);
	EXPECT_ALLOWED("3,7", 1);
	ASSERT_EQ(0, apply(OP_MOVE("two", "a/b")));
	EXPECT_ALLOWED("3", 1);
	/* Without any that its parent has, it is as its parent; so is an affinity of its cpuset. */
	ASSERT_EQ(0, apply(OP_CGROUP_CPUS("a/b", CPUS_NODE(1))));
	EXPECT_ALLOWED("0-3", 0);
	EXPECT_ALLOWED("3", 1);
	ASSERT_EQ(0, apply(OP_CPUS("two", CPUS_LIST("6"))));
	EXPECT_ALLOWED("0-3", 1);
	ASSERT_EQ(0, apply(OP_CPUS("two", CPUS_LIST("1"))));
	ASSERT_EQ(0, apply(OP_CPU_OFF(2)));
	EXPECT_ALLOWED("0-1,3", 0);
	/* An affinity whose last CPU goes is gone for good. */
	ASSERT_EQ(0, apply(OP_CPU_OFF(1)));
	EXPECT_ALLOWED("0,3", 1);
	ASSERT_EQ(0, apply(OP_CPU_ON(1)));
	EXPECT_ALLOWED("0-1,3", 1);
	ASSERT_EQ(0, apply(OP_CGROUP_CPUS("a", CPUS_ALL)));
	EXPECT_ALLOWED("4-7", 0);
	ASSERT_EQ(0, apply(OP_MOVE("one", NULL)));
	EXPECT_ALLOWED("0-1,3-7", 0);
}

TEST_F(state, who_is_frozen_or_not_there_is_not_active)
{
	self->scenario.cgroups = KTSTR_CGROUPS({.name = "a"}, {.name = "a/b"});
	self->scenario.workers =
		KTSTR_WORKERS({.name = "one", .cgroup = "a/b"}, {.name = "two", .later = true});
	ASSERT_EQ(0, init(self));
	EXPECT_TRUE(state__is_active(&self->s, 0));
	EXPECT_FALSE(state__is_active(&self->s, 1));
	ASSERT_EQ(0, apply(OP_FREEZE("a")));
	EXPECT_FALSE(state__is_active(&self->s, 0));
	ASSERT_EQ(0, apply(OP_START("two")));
	EXPECT_TRUE(state__is_active(&self->s, 1));
	ASSERT_EQ(0, apply(OP_THAW("a")));
	ASSERT_EQ(0, apply(OP_STOP("two")));
	EXPECT_TRUE(state__is_active(&self->s, 0));
	EXPECT_FALSE(state__is_active(&self->s, 1));
}

TEST_F(state, what_cannot_be_done_is_refused_with_the_reason)
{
	static const struct {
		struct ktstr_op op;
		const char *why;
	} bad[] = {
		{OP_ADD_CGROUP("none"), "there is no cgroup none"},
		{OP_ADD_CGROUP("a"), "cgroup a is already there"},
		{OP_REMOVE_CGROUP("later"), "cgroup later is not there"},
		{OP_ADD_CGROUP("later/in"), "cgroup later/in: its parent is not there"},
		{OP_REMOVE_CGROUP("a"), "cgroup a is not empty"},
		{OP_CGROUP_CPUS("a", CPUS_NODE(2)),
		 "a: there is no NUMA node 2 with CPUs: the machine has 2"},
		{OP_CGROUP_WEIGHT("a", 0), "cgroup a: weight 0 is not 1 to 10000"},
		{OP_CGROUP_MAX("a", -1), "cgroup a: a limit of -1 percent"},
		{OP_THAW("a"), "cgroup a is not frozen"},
		{OP_START("none"), "there are no workers none"},
		{OP_START("spin"), "workers spin are already there"},
		{OP_STOP("later"), "workers later are not there"},
		{OP_START("later"), "workers later: cgroup later/in is not there"},
		{OP_MOVE("spin", "none"), "spin: there is no cgroup none"},
		{OP_MOVE("spin", "later"), "spin: cgroup later has others in it, and no workers"},
		{OP_MOVE("spin", "empty"), "workers spin: cgroup empty is not there"},
		{OP_CPUS("spin", CPUS_LLC(9)), "spin: there is no LLC 9: the machine has 4"},
		{OP_POLICY("spin", 9), "spin: there is no scheduling policy 9"},
		{OP_NICE("spin", -21), "spin: nice -21 is not -20 to 19"},
		{OP_CPU_OFF(0), "CPU 0 can't be taken off"},
		{OP_CPU_OFF(8), "the machine has no CPU 8"},
		{OP_CPU_OFF(-1), "the machine has no CPU -1"},
		{OP_CPU_ON(1), "CPU 1 is already on"},
		{OP_CALL(NULL, NULL), "there is no operation 16"},
		{{.kind = 99}, "there is no operation 99"},
	};

	self->scenario.cgroups = KTSTR_CGROUPS({.name = "a"}, {.name = "later", .later = true},
					       {.name = "later/in", .later = true},
					       {.name = "empty", .later = true});
	self->scenario.workers = KTSTR_WORKERS(
		{.cgroup = "a"}, {.name = "later", .cgroup = "later/in", .later = true});
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ASSERT_EQ(0, init(self));
		EXPECT_EQ(strstr(bad[i].why, "the machine ") && bad[i].op.value >= 0 ? -ERANGE
										     : -EINVAL,
			  state__apply(&self->s, &bad[i].op, self->why, 256));
		EXPECT_STREQ(bad[i].why, self->why);
	}
}

/* A cgroup that a repeated step makes must be gone when it comes again. */
TEST_F(state, repeated_steps_are_rehearsed)
{
	self->scenario.cgroups = KTSTR_CGROUPS({.name = "a", .later = true});
	self->scenario.workers = KTSTR_WORKERS({.work = KTSTR_WORK_SPIN});
	self->scenario.steps =
		KTSTR_STEPS({.ops = KTSTR_OPS(OP_ADD_CGROUP("a"))},
			    {.name = "in it", .ops = KTSTR_OPS(OP_MOVE("spin", "a"))});
	ASSERT_EQ(0, init(self));
	EXPECT_EQ(0, state__rehearse(&self->s, self->why, sizeof(self->why)));
	self->scenario.repeat = 2;
	ASSERT_EQ(0, init(self));
	EXPECT_EQ(4, state__nr_steps(&self->scenario));
	EXPECT_EQ(-EINVAL, state__rehearse(&self->s, self->why, sizeof(self->why)));
	EXPECT_STREQ("step 3: cgroup a is already there", self->why);
	self->scenario.steps =
		KTSTR_STEPS({.ops = KTSTR_OPS(OP_ADD_CGROUP("a"), OP_MOVE("spin", "a"))},
			    {.ops = KTSTR_OPS(OP_MOVE("spin", NULL), OP_REMOVE_CGROUP("a"))});
	ASSERT_EQ(0, init(self));
	EXPECT_EQ(0, state__rehearse(&self->s, self->why, sizeof(self->why)));
}

TEST_F(state, operations_are_described)
{
	static const struct {
		struct ktstr_op op;
		const char *text;
	} ops[] = {
		{OP_CGROUP_CPUS("a", CPUS_LLC(1)), "cgroup a: CPUs 2-3"},
		{OP_MOVE("spin", NULL), "move spin to default"},
		{OP_CPUS("spin", CPUS_LIST("0,7")), "spin: affinity 0,7"},
		{OP_CPU_OFF(3), "CPU 3 off"},
	};
	char text[128];

	ASSERT_EQ(0, init(self));
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		state__describe(&self->s, &ops[i].op, text, sizeof(text));
		EXPECT_STREQ(ops[i].text, text);
	}
	for (int kind = 1; kind < KTSTR_NR_OPS; kind++) {
		state__describe(&self->s, &(struct ktstr_op){.kind = (enum ktstr_op_kind)kind},
				text, sizeof(text));
		EXPECT_NE(0, text[0]);
	}
}

TEST_HARNESS_MAIN
