// SPDX-License-Identifier: GPL-2.0-only
/* What of a scenario's workers is a failure, of which check, and when it cannot be judged. */
#include "kselftest_harness.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>

#include "guest/kit/check.h"

#define MS UINT64_C(1000000)

FIXTURE(check)
{
	struct machine machine;
	struct scenario_state s;
	struct ktstr_scenario scenario;
	struct ktstr_scenario_result result;
	struct ktstr_worker_report *w; /* [4] */
	struct set_shared *shared;
	struct set_measures measures[2];
	char why[256];
};

static const struct ktstr_step one_step[] = {{.hold_ms = 1}, {.hold_ms = UINT32_MAX}};
static const struct ktstr_workers four[] = {{.nr = 4}, {.work = KTSTR_NR_WORKS}};

/* Four workers on two CPUs for a second, each as the others, without a fault. */
FIXTURE_SETUP(check)
{
	self->machine.nr_cpus = 2;
	self->machine.order[1] = 1;
	self->machine.nr_llcs = self->machine.nr_nodes = 1;
	self->machine.online.words[0] = 3;
	self->scenario.steps = one_step;
	self->scenario.workers = four;
	ASSERT_EQ(0, state__init(&self->s, &self->scenario, &self->machine, self->why,
				 sizeof(self->why)));
	self->shared = aligned_alloc(64, sizeof(*self->shared));
	self->w = calloc(4, sizeof(*self->w));
	ASSERT_NE(NULL, self->shared);
	ASSERT_NE(NULL, self->w);
	memset(self->shared, 0, sizeof(*self->shared));
	self->shared->computed[0] = self->shared->computed[1] = 100;
	self->result.workers = self->w;
	self->result.nr_workers = 4;
	for (uint32_t i = 0; i < 4; i++) {
		self->w[i] = (struct ktstr_worker_report){
			.workers = "spin",
			.index = i,
			.units = 1000,
			.active_ns = 1000 * MS,
			.cpu_ns = 500 * MS,
			.migrations = 5,
			.longest_gap_ns = 10 * MS,
			.longest_idle_ns = 100 * MS,
			.pages = 100,
			.local_pages = 90,
			.gap = {.cpu = -1},
			.idle = {.cpu = -1},
			.first_outside = {.cpu = -1},
		};
		for (uint32_t n = 0; n < 100; n++)
			ktstr_latencies__add(&self->w[i].wake, 50000);
	}
}

FIXTURE_TEARDOWN(check)
{
	free(self->w);
	free(self->shared);
}

static enum ktstr_scenario_verdict judge(struct _test_data_check *self)
{
	self->result.nr_failures = self->result.nr_more = 0;
	check__measure(&self->s, 0, self->shared, &self->result, self->measures);
	check__judge(&self->s, self->measures, &self->result);
	return self->result.verdict;
}

TEST_F(check, measures_are_those_of_the_set)
{
	struct set_measures *m = self->measures;

	self->w[0].cpu_ns = 300 * MS;
	self->w[3].cpu_ns = 700 * MS;
	self->w[0].units = 600;
	self->w[3].units = 1400;
	self->w[1].longest_gap_ns = 30 * MS;
	self->shared->computed[1] = 300;
	self->w[2].deadlines = 50;
	self->w[2].missed = 5;
	EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
	EXPECT_EQ(4000, m->units);
	EXPECT_EQ(4000, (int)round(m->units_per_s));
	EXPECT_EQ(200, (int)round(m->cpu_percent));
	EXPECT_EQ(80, (int)round(m->spread_percent));
	EXPECT_EQ(283, (int)round(10 * m->variation_percent));
	EXPECT_EQ(10, (int)round(m->migrations_per_s));
	EXPECT_EQ(50, (int)round(m->imbalance_percent));
	EXPECT_EQ(90, (int)round(m->local_percent));
	EXPECT_EQ(10, (int)round(m->missed_percent));
	EXPECT_EQ(30, (int)round(m->gap_ms));
	EXPECT_EQ(400, m->wake.count);
}

TEST_F(check, workers_that_never_ran_measure_nothing)
{
	self->shared->computed[0] = self->shared->computed[1] = 0;
	for (uint32_t i = 0; i < 4; i++)
		self->w[i] = (struct ktstr_worker_report){.workers = "spin", .index = i};
	EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
	EXPECT_TRUE(isnan(self->measures->units_per_s));
	EXPECT_TRUE(isnan(self->measures->spread_percent));
	EXPECT_TRUE(isnan(self->measures->imbalance_percent));
	EXPECT_TRUE(isnan(self->measures->missed_percent));
}

TEST_F(check, a_check_that_measured_nothing_does_not_hold)
{
	static const struct ktstr_checks own = {.limit = {[KTSTR_CHECK_THROUGHPUT] = 1}};
	static const struct ktstr_workers sets[] = {{.name = "one", .nr = 3},
						    {.name = "two", .nr = 1, .checks = &own},
						    {.work = KTSTR_NR_WORKS}};

	self->scenario.workers = sets;
	ASSERT_EQ(0, state__init(&self->s, &self->scenario, &self->machine, self->why,
				 sizeof(self->why)));
	self->w[3].active_ns = 0;
	self->w[3].units = 0;
	self->scenario.checks.on = KTSTR_CHECK(DEADLINES) | KTSTR_CHECK(WAKE_P99);
	EXPECT_EQ(KTSTR_SCENARIO_FAILED, judge(self));
	ASSERT_EQ(2, self->result.nr_failures);
	EXPECT_STREQ("throughput: workers two had nothing to be measured, expected at least 1 /s",
		     self->result.failures[0].text);
	EXPECT_STREQ("deadlines: workers of all sets had nothing to be measured, expected at most "
		     "10 %",
		     self->result.failures[1].text);
}

/* Each check, a fault that it alone sees, and the words for it. */
struct fault {
	enum ktstr_check_kind kind;
	double limit;
	void (*inject)(struct ktstr_worker_report *w, struct set_shared *shared);
	const char *text;
};

static void starve(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].longest_idle_ns = 1000 * MS;
	w[2].idle = (struct ktstr_worker_event){.cpu = 1, .step = 2, .at_ns = 1500 * MS};
}

static void escape(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].outside = 7;
	w[2].first_outside = (struct ktstr_worker_event){.cpu = 5, .step = 0, .at_ns = 20 * MS};
}

static void be_late(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].was_late = true;
}

static void be_stuck(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].is_stuck = true;
}

static void lose(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].lost = 2;
	w[2].exit_code = 1;
	strcpy(w[2].why, "token 5 came twice");
}

static void die(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].exit_signal = 11;
}

static void leave(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].exit_code = 3;
}

static void pause_long(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].longest_gap_ns = 5001 * MS;
	w[2].gap = (struct ktstr_worker_event){.cpu = 0, .step = 0, .at_ns = 2200 * MS};
}

static void favour(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].cpu_ns = 900 * MS;
}

static void wake_late(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	for (int i = 0; i < 5; i++)
		ktstr_latencies__add(&w[2].wake, 128000000);
}

static void slow(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].units = 899;
}

static void hop(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].migrations = 51;
}

static void pile(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)w;
	shared->computed[0] = 999;
	shared->computed[1] = 0;
}

static void be_remote(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].local_pages = 49;
}

static void miss(struct ktstr_worker_report *w, struct set_shared *shared)
{
	(void)shared;
	w[2].missed = 44;
}

static const struct fault faults[] = {
	{KTSTR_CHECK_STARVATION, 0, starve,
	 "starvation: worker 2 of spin did nothing for 1000 ms of its time (limit 1000), on CPU 1 "
	 "at "
	 "1.500 s, in step 3"},
	{KTSTR_CHECK_ISOLATION, 0, escape,
	 "isolation: worker 2 of spin was 7 times on CPUs that it may not use, on CPU 5 at 0.020 "
	 "s, "
	 "in step 1"},
	{KTSTR_CHECK_STALL, 0, be_late, "stall: worker 2 of spin did not start within 10000 ms"},
	{KTSTR_CHECK_STALL, 0, be_stuck,
	 "stall: worker 2 of spin did not end when killed within 10000 ms"},
	{KTSTR_CHECK_LOST_WORK, 0, lose,
	 "lost work: worker 2 of spin lost work 2 times, first: token 5 came twice"},
	{KTSTR_CHECK_LOST_WORK, 0, die, "lost work: worker 2 of spin was ended by signal 11"},
	{KTSTR_CHECK_LOST_WORK, 0, leave, "lost work: worker 2 of spin ended with 3"},
	{KTSTR_CHECK_GAP, 0, pause_long,
	 "gap: worker 2 of spin had 5001 ms, expected at most 5000, on CPU 0 at 2.200 s, in step "
	 "1"},
	{KTSTR_CHECK_FAIRNESS, 0, favour,
	 "fairness: workers spin had 66.67 %, expected at most 50"},
	{KTSTR_CHECK_WAKE_P99, 0, wake_late,
	 "wake-up latency: workers spin had 1.28e+05 us, expected at most 1e+05"},
	{KTSTR_CHECK_THROUGHPUT, 900, slow,
	 "throughput: worker 2 of spin had 899 /s, expected at least 900"},
	{KTSTR_CHECK_VARIATION, 4, slow, "variation: workers spin had 4.487 %, expected at most 4"},
	{KTSTR_CHECK_MIGRATIONS, 100, hop,
	 "migrations: worker 2 of spin had 102 /s, expected at most 100"},
	{KTSTR_CHECK_IMBALANCE, 99, pile, "imbalance: workers spin had 100 %, expected at most 99"},
	{KTSTR_CHECK_LOCALITY, 0, be_remote,
	 "locality: worker 2 of spin had 49 %, expected at least 50"},
	{KTSTR_CHECK_DEADLINES, 0, miss, "deadlines: workers spin had 11 %, expected at most 10"},
};

TEST_F(check, each_fault_fails_its_check_and_no_other)
{
	for (size_t i = 0; i < 4; i++)
		self->w[i].deadlines = 100;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		const struct fault *f = &faults[i];
		struct ktstr_worker_report good[4];
		bool measured = ktstr_check__is_measured(f->kind);

		memcpy(good, self->w, sizeof(good));
		self->scenario.checks = (struct ktstr_checks){.on = 1u << f->kind};
		self->scenario.checks.limit[f->kind] = f->limit;
		EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
		f->inject(self->w, self->shared);
		EXPECT_EQ(KTSTR_SCENARIO_FAILED, judge(self));
		ASSERT_EQ(1, self->result.nr_failures);
		EXPECT_EQ(f->kind, self->result.failures[0].kind);
		EXPECT_STREQ(f->text, self->result.failures[0].text);
		/* A disturbed host excuses what is measured, and nothing else. */
		strcpy(self->result.disturbed, "so");
		EXPECT_EQ(measured ? KTSTR_SCENARIO_INCONCLUSIVE : KTSTR_SCENARIO_FAILED,
			  judge(self));
		EXPECT_EQ(measured, self->result.failures[0].inconclusive);
		self->result.disturbed[0] = '\0';
		/* Switched off, it is not made. */
		self->scenario.checks.off = 1u << f->kind;
		EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
		memcpy(self->w, good, sizeof(good));
		self->shared->computed[0] = self->shared->computed[1] = 100;
	}
}

/* A hundredth of another's weight is a hundred times the wait. */
TEST_F(check, policy_idle_is_waited_for)
{
	static const struct ktstr_workers idle[] = {{.nr = 4, .policy = SCHED_IDLE},
						    {.work = KTSTR_NR_WORKS}};

	self->scenario.workers = idle;
	ASSERT_EQ(0, state__init(&self->s, &self->scenario, &self->machine, self->why,
				 sizeof(self->why)));
	self->w[2].longest_idle_ns = 9999 * MS;
	EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
	self->w[2].longest_idle_ns = 10000 * MS;
	EXPECT_EQ(KTSTR_SCENARIO_FAILED, judge(self));
	self->scenario.checks.limit[KTSTR_CHECK_STARVATION] = 20000;
	EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
	self->scenario.checks.limit[KTSTR_CHECK_STARVATION] = 1000;
	EXPECT_EQ(KTSTR_SCENARIO_FAILED, judge(self));
}

TEST_F(check, a_functional_fault_is_not_excused_by_a_measured_one)
{
	strcpy(self->result.disturbed, "so");
	pause_long(self->w, self->shared);
	starve(self->w, self->shared);
	EXPECT_EQ(KTSTR_SCENARIO_FAILED, judge(self));
	ASSERT_EQ(2, self->result.nr_failures);
	EXPECT_EQ(KTSTR_CHECK_STARVATION, self->result.failures[0].kind);
	EXPECT_EQ(KTSTR_CHECK_GAP, self->result.failures[1].kind);
}

TEST_F(check, more_failures_than_there_is_room_for_are_counted)
{
	static const struct ktstr_workers many[] = {{.nr = 100}, {.work = KTSTR_NR_WORKS}};
	struct ktstr_worker_report *w = calloc(100, sizeof(*w));

	self->scenario.workers = many;
	ASSERT_EQ(0, state__init(&self->s, &self->scenario, &self->machine, self->why,
				 sizeof(self->why)));
	self->result.workers = w;
	for (uint32_t i = 0; i < 100; i++)
		w[i] = (struct ktstr_worker_report){.index = i, .outside = 1};
	EXPECT_EQ(KTSTR_SCENARIO_FAILED, judge(self));
	EXPECT_EQ(KTSTR_SCENARIO_MAX_FAILURES, self->result.nr_failures);
	EXPECT_EQ(100 - KTSTR_SCENARIO_MAX_FAILURES, self->result.nr_more);
	free(w);
}

TEST_F(check, sets_have_checks_of_their_own)
{
	static const struct ktstr_checks none = {.off = UINT32_MAX};
	static const struct ktstr_workers own[] = {{.nr = 4, .checks = &none},
						   {.work = KTSTR_NR_WORKS}};

	self->scenario.workers = own;
	ASSERT_EQ(0, state__init(&self->s, &self->scenario, &self->machine, self->why,
				 sizeof(self->why)));
	starve(self->w, self->shared);
	EXPECT_EQ(KTSTR_SCENARIO_PASSED, judge(self));
}

TEST_F(check, a_check_without_a_limit_is_refused)
{
	self->scenario.checks.on = KTSTR_CHECK(THROUGHPUT);
	EXPECT_EQ(-EINVAL, check__validate(&self->s, self->why, sizeof(self->why)));
	EXPECT_STREQ("spin: check throughput needs a limit", self->why);
	self->scenario.checks.limit[KTSTR_CHECK_THROUGHPUT] = 10;
	EXPECT_EQ(0, check__validate(&self->s, self->why, sizeof(self->why)));
	self->scenario.checks.limit[KTSTR_CHECK_GAP] = -1;
	EXPECT_EQ(-EINVAL, check__validate(&self->s, self->why, sizeof(self->why)));
	EXPECT_STREQ("spin: check gap: -1 is no limit", self->why);
	self->scenario.checks.off = KTSTR_CHECK(GAP);
	EXPECT_EQ(0, check__validate(&self->s, self->why, sizeof(self->why)));
}

TEST_F(check, a_quiet_host_has_strict_limits_where_none_is_given)
{
	const struct ktstr_checks *checks = &self->scenario.checks;

	EXPECT_EQ(ktstr_check__default(KTSTR_CHECK_GAP, false),
		  check__limit(&self->s, checks, KTSTR_CHECK_GAP));
	self->s.strict = true;
	EXPECT_EQ(ktstr_check__default(KTSTR_CHECK_GAP, true),
		  check__limit(&self->s, checks, KTSTR_CHECK_GAP));
	EXPECT_GT(ktstr_check__default(KTSTR_CHECK_GAP, false),
		  ktstr_check__default(KTSTR_CHECK_GAP, true));
	self->scenario.checks.limit[KTSTR_CHECK_GAP] = 12345;
	EXPECT_EQ(12345, check__limit(&self->s, checks, KTSTR_CHECK_GAP));
}

TEST(strict_limits_are_not_laxer)
{
	for (int i = 0; i < KTSTR_NR_CHECKS; i++) {
		enum ktstr_check_kind kind = (enum ktstr_check_kind)i;
		double lax = ktstr_check__default(kind, false);
		double strict = ktstr_check__default(kind, true);

		EXPECT_NE('\0', ktstr_check__name(kind)[0]);
		EXPECT_EQ(isnan(lax), isnan(strict));
		if (!isnan(lax))
			EXPECT_TRUE(kind == KTSTR_CHECK_LOCALITY ? strict >= lax : strict <= lax);
	}
	EXPECT_TRUE(isnan(ktstr_check__default(KTSTR_NR_CHECKS, false)));
}

TEST_HARNESS_MAIN
