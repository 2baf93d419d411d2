// SPDX-License-Identifier: GPL-2.0-only
/* Lines of runs, good and bad, and what is made of two sets of them. */
#include "kselftest_harness.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/compare.h"

FIXTURE(compare)
{
	struct runs a, b;
	struct compare_gate gates[4];
	struct compare_options options;
	struct comparison c;
	struct ktstr_error error;
	int nr_lines;
};

FIXTURE_SETUP(compare)
{
	self->gates[0].relative = 0.05;
	self->options =
		(struct compare_options){.gates = self->gates, .nr_gates = 1, .confidence = 0.95};
}

FIXTURE_TEARDOWN(compare)
{
	comparison__free(&self->c);
	runs__free(&self->a);
	runs__free(&self->b);
}

#define HEAD                                                                          \
	"{\"version\": 1, \"part\": %d, \"parts\": %d, \"run\": \"r%d\", \"time\": "  \
	"\"t%d\", \"program\": \"p\", \"test\": \"%s\", \"topology\": \"1n1l2c1t\", " \
	"\"kernel\": \"7.3\", \"verdict\": \"%s\", \"judged\": \"%s\", \"metrics\": [%s]}"

static int add(FIXTURE_DATA(compare) * self, struct runs *runs, const char *text)
{
	self->error = (struct ktstr_error){.err = 0};
	return runs__add_line(runs, "file:7", text, strlen(text), &self->error);
}

/* One run of a test; what it ends with, and its metrics as JSON. */
static void add_run(FIXTURE_DATA(compare) * self, struct runs *runs, const char *test,
		    const char *verdict, const char *judged, const char *metrics)
{
	int n = self->nr_lines++;
	char *text;

	if (asprintf(&text, HEAD, 1, 1, n, n, test, verdict, judged, metrics) < 0 ||
	    add(self, runs, text))
		abort();
	free(text);
}

static char *metric(const char *name, double value, const char *unit, const char *better)
{
	static char text[512];

	snprintf(text, sizeof(text),
		 "{\"source\": \"s\", \"name\": \"%s\", \"value\": %.17g, \"unit\": \"%s\", "
		 "\"better\": %s}",
		 name, value, unit, better);
	return text;
}

#define LOWER "\"lower\""
#define HIGHER "\"higher\""

/* Runs of one metric "m" in us: @nr values. */
static void add_values(FIXTURE_DATA(compare) * self, struct runs *runs, const char *better, int nr,
		       ...)
{
	va_list values;

	va_start(values, nr);
	for (int i = 0; i < nr; i++)
		add_run(self, runs, "f.t", "PASS", "pass",
			metric("m", va_arg(values, double), "us", better));
	va_end(values);
}

static int run(FIXTURE_DATA(compare) * self)
{
	int err;

	self->error = (struct ktstr_error){.err = 0};
	err = runs__finish(&self->a, &self->error);
	if (!err)
		err = runs__finish(&self->b, &self->error);
	comparison__free(&self->c);
	return err ? err : compare__run(&self->a, &self->b, &self->options, &self->c, &self->error);
}

/* ---- metrics ---- */

TEST_F(compare, change_beyond_gate_and_interval_is_a_regression)
{
	add_values(self, &self->a, LOWER, 3, 100.0, 101.0, 102.0);
	add_values(self, &self->b, LOWER, 3, 120.0, 121.0, 122.0);
	ASSERT_EQ(0, run(self));
	ASSERT_EQ(1, self->c.nr_metrics);
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
	EXPECT_TRUE(self->c.regressed);
	EXPECT_EQ(20, self->c.metrics[0].difference);
	EXPECT_EQ(4, self->c.metrics[0].interval.degrees);
	EXPECT_STREQ("m", self->c.metrics[0].name);
	EXPECT_STREQ("us", self->c.metrics[0].unit);
}

TEST_F(compare, the_other_way_it_is_an_improvement)
{
	add_values(self, &self->a, HIGHER, 3, 100.0, 101.0, 102.0);
	add_values(self, &self->b, HIGHER, 3, 120.0, 121.0, 122.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_IMPROVEMENT, self->c.metrics[0].status);
	EXPECT_FALSE(self->c.regressed);
}

TEST_F(compare, without_a_direction_it_is_a_change_that_does_not_fail)
{
	add_values(self, &self->a, "null", 3, 100.0, 101.0, 102.0);
	add_values(self, &self->b, "null", 3, 120.0, 121.0, 122.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_CHANGED, self->c.metrics[0].status);
	EXPECT_FALSE(self->c.regressed);
	/* A gate says it. */
	self->gates[1] = (struct compare_gate){
		.pattern = "m", .relative = NAN, .absolute = NAN, .better = KTSTR_LOWER_IS_BETTER};
	self->options.nr_gates = 2;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
}

TEST_F(compare, change_within_the_gate_is_none_however_sure)
{
	add_values(self, &self->a, LOWER, 3, 100.0, 100.0, 100.0);
	add_values(self, &self->b, LOWER, 3, 104.9, 104.9, 104.9);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_SAME, self->c.metrics[0].status);
	self->gates[0].relative = 0.04;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
	self->gates[0].absolute = 10;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_SAME, self->c.metrics[0].status);
}

TEST_F(compare, change_that_may_be_noise_is_none_however_large)
{
	add_values(self, &self->a, LOWER, 3, 100.0, 10.0, 300.0);
	add_values(self, &self->b, LOWER, 3, 50.0, 400.0, 250.0);
	ASSERT_EQ(0, run(self));
	EXPECT_LT(0.5, self->c.metrics[0].relative);
	EXPECT_EQ(COMPARE_SAME, self->c.metrics[0].status);
}

TEST_F(compare, one_run_on_a_side_is_undecided_unless_the_gates_decide)
{
	add_values(self, &self->a, LOWER, 1, 100.0);
	add_values(self, &self->b, LOWER, 3, 200.0, 200.0, 200.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_UNDECIDED, self->c.metrics[0].status);
	EXPECT_FALSE(self->c.metrics[0].has_interval);
	EXPECT_FALSE(self->c.regressed);
	self->options.gates_alone = true;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
	EXPECT_TRUE(self->c.metrics[0].by_gate_alone);
}

TEST_F(compare, zero_before_has_no_share_and_any_change_counts)
{
	add_values(self, &self->a, LOWER, 2, 0.0, 0.0);
	add_values(self, &self->b, LOWER, 2, 3.0, 3.0);
	ASSERT_EQ(0, run(self));
	EXPECT_TRUE(isnan(self->c.metrics[0].relative));
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
	self->gates[0].absolute = 3;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_SAME, self->c.metrics[0].status);
}

TEST_F(compare, nothing_before_and_after_is_the_same)
{
	add_values(self, &self->a, LOWER, 2, 0.0, -0.0);
	add_values(self, &self->b, LOWER, 2, 0.0, 0.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_SAME, self->c.metrics[0].status);
}

TEST_F(compare, share_of_a_negative_mean_has_the_sign_of_the_change)
{
	add_values(self, &self->a, LOWER, 2, -100.0, -100.0);
	add_values(self, &self->b, LOWER, 2, -50.0, -50.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(0.5, self->c.metrics[0].relative);
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
}

TEST_F(compare, huge_values_are_undecided_and_not_the_same)
{
	add_values(self, &self->a, LOWER, 2, -1.7e308, -1.7e308);
	add_values(self, &self->b, LOWER, 2, 1.7e308, 1.7e308);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_UNDECIDED, self->c.metrics[0].status);
	self->options.gates_alone = true;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_UNDECIDED, self->c.metrics[0].status);
}

TEST_F(compare, values_of_one_run_are_one)
{
	char text[1024];

	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "%s, ", metric("m", 1, "us", LOWER));
		strcat(text, metric("m", 2, "us", LOWER));
		strcat(text, ", ");
		strcat(text, metric("m", 6, "us", LOWER));
		add_run(self, &self->a, "f.t", "PASS", "pass", text);
	}
	add_values(self, &self->b, LOWER, 2, 3.0, 3.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(2, self->c.metrics[0].of_a.nr);
	EXPECT_EQ(3, self->c.metrics[0].of_a.mean);
}

TEST_F(compare, units_that_differ_are_not_compared)
{
	add_run(self, &self->a, "f.t", "PASS", "pass", metric("m", 1, "ms", LOWER));
	add_run(self, &self->a, "f.t", "PASS", "pass", metric("n", 1, "us", LOWER));
	add_run(self, &self->a, "f.t", "PASS", "pass", metric("o", 1, "us", LOWER));
	add_run(self, &self->a, "f.t", "PASS", "pass", metric("o", 1, "ms", LOWER));
	add_run(self, &self->b, "f.t", "PASS", "pass", metric("m", 1000, "us", LOWER));
	add_run(self, &self->b, "f.t", "PASS", "pass", metric("n", 1, "us", LOWER));
	add_run(self, &self->b, "f.t", "PASS", "pass", metric("o", 1, "us", LOWER));
	ASSERT_EQ(0, run(self));
	ASSERT_EQ(3, self->c.nr_metrics);
	EXPECT_EQ(1, self->c.nr_compared);
	EXPECT_EQ(2, self->c.nr_metrics_of[COMPARE_DIFFERENT]);
	for (size_t i = 0; i < 3; i++) {
		const struct compare_metric *m = &self->c.metrics[i];

		EXPECT_EQ(*m->name == 'n' ? COMPARE_SAME : COMPARE_DIFFERENT, m->status);
		if (*m->name == 'm') {
			EXPECT_STREQ("ms", m->unit);
			EXPECT_STREQ("us", m->unit_b);
		}
	}
}

TEST_F(compare, metric_of_one_side_is_shown_as_such)
{
	add_values(self, &self->a, LOWER, 2, 1.0, 1.0);
	add_values(self, &self->b, LOWER, 2, 1.0, 1.0);
	add_run(self, &self->b, "f.t", "PASS", "pass", metric("new", 1, "us", LOWER));
	add_run(self, &self->a, "f.t", "PASS", "pass",
		"{\"source\": \"s\", \"name\": \"new\", \"value\": null, \"unit\": \"us\"}");
	ASSERT_EQ(0, run(self));
	ASSERT_EQ(2, self->c.nr_metrics);
	EXPECT_STREQ("new", self->c.metrics[0].name);
	EXPECT_EQ(COMPARE_DIFFERENT, self->c.metrics[0].status);
	EXPECT_EQ(0, self->c.metrics[0].of_a.nr);
}

TEST_F(compare, runs_that_failed_measured_nothing)
{
	add_values(self, &self->a, LOWER, 2, 1.0, 1.0);
	add_values(self, &self->b, LOWER, 2, 1.0, 1.0);
	add_run(self, &self->a, "f.t", "FAIL", "fail", metric("m", 50, "us", LOWER));
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(2, self->c.metrics[0].of_a.nr);
}

TEST_F(compare, the_worst_is_first)
{
	static const char *const order[] = {"worst", "bad", "odd", "good", "same"};
	static const double after[] = {200, 110, 120, 50, 100};

	for (int i = 0; i < 5; i++) {
		int j = i * 3 % 5; /* in another order */
		const char *better = j == 2 ? "null" : LOWER;

		for (int k = 0; k < 2; k++) {
			add_run(self, &self->a, "f.t", "PASS", "pass",
				metric(order[j], 100, "us", better));
			add_run(self, &self->b, "f.t", "PASS", "pass",
				metric(order[j], after[j], "us", better));
		}
	}
	ASSERT_EQ(0, run(self));
	for (size_t i = 0; i < 5; i++)
		EXPECT_STREQ(order[i], self->c.metrics[i].name);
}

TEST_F(compare, filters_choose_by_name_or_by_both_names)
{
	static const char *const tests[] = {"p/f.t"}, *const metrics[] = {"s/m*", "none"};
	static const char *const none[] = {"q/*"};

	add_values(self, &self->a, LOWER, 2, 1.0, 1.0);
	add_values(self, &self->b, LOWER, 2, 1.0, 1.0);
	add_run(self, &self->a, "f.u", "PASS", "pass", metric("x", 1, "us", LOWER));
	add_run(self, &self->b, "f.u", "PASS", "pass", metric("x", 1, "us", LOWER));
	self->options.tests = tests;
	self->options.nr_tests = 1;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(1, self->c.nr_metrics);
	EXPECT_EQ(1, self->c.nr_tests);
	self->options.nr_tests = 0;
	self->options.metrics = metrics;
	self->options.nr_metrics = 2;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(1, self->c.nr_metrics);
	EXPECT_EQ(2, self->c.nr_tests);
	self->options.tests = none;
	self->options.nr_tests = 1;
	EXPECT_EQ(-ENODATA, run(self));
}

TEST_F(compare, kernels_are_apart_when_asked)
{
	add_values(self, &self->a, LOWER, 2, 1.0, 1.0);
	add_values(self, &self->b, LOWER, 2, 1.0, 1.0);
	strcpy(self->b.list[1].kernel, "7.4");
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(1, self->c.nr_metrics);
	self->options.by_kernel = true;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(2, self->c.nr_metrics);
	EXPECT_EQ(2, self->c.nr_tests);
}

/* ---- gates ---- */

TEST(gates_are_parsed)
{
	struct compare_gate gate;
	char all[] = "s/a=b=5%,10,lower", off[] = "x=off";

	ASSERT_EQ(0, compare_gate__parse(all, &gate, NULL));
	EXPECT_STREQ("s/a=b", gate.pattern);
	EXPECT_EQ(0.05, gate.relative);
	EXPECT_EQ(10, gate.absolute);
	EXPECT_EQ(KTSTR_LOWER_IS_BETTER, gate.better);
	ASSERT_EQ(0, compare_gate__parse(off, &gate, NULL));
	EXPECT_TRUE(gate.off);
	EXPECT_TRUE(isnan(gate.relative));
}

TEST(gates_of_another_form_are_refused)
{
	static const char *const bad[] = {"",	   "x",	     "=5%",   "x=",	 "x=5%,",
					  "x=-1",  "x=nan",  "x=inf", "x=1e999", "x=5%%",
					  "x=-5%", "x=lowe", "x=5 %", "x=0x",	 "x= 5"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct compare_gate gate;
		char text[32];

		strcpy(text, bad[i]);
		EXPECT_EQ(-EINVAL, compare_gate__parse(text, &gate, NULL)) TH_LOG("%s", bad[i]);
	}
}

TEST_F(compare, own_gate_is_instead_of_that_of_all)
{
	add_values(self, &self->a, LOWER, 2, 100.0, 100.0);
	add_values(self, &self->b, LOWER, 2, 104.0, 104.0);
	self->gates[1] = (struct compare_gate){.pattern = "s/m", .relative = NAN, .absolute = 3};
	self->options.nr_gates = 2;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_REGRESSION, self->c.metrics[0].status);
	/* The last one counts. */
	self->gates[2] = (struct compare_gate){.pattern = "*", .relative = NAN, .absolute = 4};
	self->options.nr_gates = 3;
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(COMPARE_SAME, self->c.metrics[0].status);
	self->gates[3] = (struct compare_gate){
		.pattern = "m", .relative = NAN, .absolute = NAN, .off = true};
	self->options.nr_gates = 4;
	EXPECT_EQ(-ENODATA, run(self));
}

/* ---- tests ---- */

TEST_F(compare, ends_of_tests)
{
	static const struct {
		const char *a, *b; /* a letter a run */
		enum compare_status status;
	} cases[] = {
		{"pp", "pp", COMPARE_SAME},	   {"pp", "pf", COMPARE_REGRESSION},
		{"p", "f", COMPARE_REGRESSION},	   {"pf", "pf", COMPARE_SAME},
		{"pf", "ff", COMPARE_REGRESSION},  {"ff", "pp", COMPARE_IMPROVEMENT},
		{"pf", "pp", COMPARE_IMPROVEMENT}, {"p", "s", COMPARE_CHANGED},
		{"p", "i", COMPARE_CHANGED},	   {"s", "f", COMPARE_CHANGED},
		{"", "p", COMPARE_DIFFERENT},	   {"", "f", COMPARE_DIFFERENT},
		{"p", "", COMPARE_DIFFERENT},	   {"px", "p", COMPARE_SAME},
	};
	static const char *const verdicts[][2] = {['p'] = {"PASS", "pass"},
						  ['f'] = {"TIMEOUT", "fail"},
						  ['s'] = {"SKIP", "skip"},
						  ['i'] = {"INCONCLUSIVE", "fail"},
						  ['x'] = {"INTERRUPTED", "fail"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* So that there is something in common. */
		add_run(self, &self->a, "z", "PASS", "pass", metric("m", 1, "", "null"));
		add_run(self, &self->b, "z", "PASS", "pass", metric("m", 1, "", "null"));
		for (const char *p = cases[i].a; *p; p++)
			add_run(self, &self->a, "f.t", verdicts[(int)*p][0], verdicts[(int)*p][1],
				"");
		for (const char *p = cases[i].b; *p; p++)
			add_run(self, &self->b, "f.t", verdicts[(int)*p][0], verdicts[(int)*p][1],
				"");
		ASSERT_EQ(0, run(self));
		ASSERT_EQ(2, self->c.nr_tests);
		for (size_t j = 0; j < 2; j++) {
			if (strcmp(self->c.tests[j].test, "f.t") != 0)
				continue;
			EXPECT_EQ(cases[i].status, self->c.tests[j].status)
			{
				TH_LOG("%s to %s", cases[i].a, cases[i].b);
			}
		}
		EXPECT_EQ(cases[i].status == COMPARE_REGRESSION, self->c.regressed);
		comparison__free(&self->c);
		runs__free(&self->a);
		runs__free(&self->b);
	}
}

TEST_F(compare, missing_test_fails_when_asked)
{
	add_values(self, &self->a, LOWER, 1, 1.0);
	add_values(self, &self->b, LOWER, 1, 1.0);
	add_run(self, &self->a, "gone", "PASS", "pass", "");
	self->options.missing_fails = true;
	ASSERT_EQ(0, run(self));
	EXPECT_TRUE(self->c.regressed);
	EXPECT_STREQ("gone", self->c.tests[0].test);
}

/* All of B fails: that there is no metric is not bad input. */
TEST_F(compare, failure_of_all_is_a_regression_without_any_metric)
{
	add_values(self, &self->a, LOWER, 1, 1.0);
	add_run(self, &self->b, "f.t", "NO_BOOT", "fail", "");
	ASSERT_EQ(0, run(self));
	EXPECT_TRUE(self->c.regressed);
	EXPECT_STREQ("NO_BOOT", self->c.tests[0].verdict_b);
}

TEST_F(compare, nothing_in_common_is_an_error)
{
	add_values(self, &self->a, LOWER, 1, 1.0);
	add_run(self, &self->b, "other", "PASS", "pass", metric("m", 1, "us", LOWER));
	EXPECT_EQ(-ENODATA, run(self));
	EXPECT_EQ(0, self->c.nr_metrics);
}

/* ---- lines ---- */

TEST_F(compare, line_that_is_there_twice_counts_once)
{
	self->nr_lines = 0;
	add_values(self, &self->a, LOWER, 2, 1.0, 2.0);
	self->nr_lines = 0;
	add_values(self, &self->a, LOWER, 2, 1.0, 2.0);
	add_values(self, &self->b, LOWER, 2, 1.0, 2.0);
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(2, self->a.nr_repeated);
	EXPECT_EQ(2, self->c.metrics[0].of_a.nr);
}

TEST_F(compare, two_results_of_one_run_are_an_error)
{
	add_values(self, &self->a, LOWER, 1, 1.0);
	self->nr_lines = 0;
	add_values(self, &self->a, LOWER, 1, 2.0);
	add_values(self, &self->b, LOWER, 1, 1.0);
	EXPECT_EQ(-EBADMSG, run(self));
	EXPECT_STREQ("file:7", self->error.object);
}

TEST_F(compare, parts_are_one_run_and_a_missing_one_is_counted)
{
	char text[1024];

	for (int part = 3; part >= 1; part--) {
		snprintf(text, sizeof(text), HEAD, part, 3, 99, 99, "f.t", "PASS", "pass",
			 metric("m", part, "us", LOWER));
		ASSERT_EQ(0, add(self, &self->a, text));
		if (part != 2)
			ASSERT_EQ(0, add(self, &self->b, text));
	}
	ASSERT_EQ(0, run(self));
	EXPECT_EQ(1, self->a.nr);
	EXPECT_EQ(0, self->a.nr_incomplete);
	EXPECT_EQ(1, self->b.nr_incomplete);
	EXPECT_EQ(1, self->c.metrics[0].of_a.nr);
	EXPECT_EQ(2, self->c.metrics[0].of_a.mean);
}

TEST_F(compare, names_are_text_for_a_terminal)
{
	add_run(self, &self->a, "f\\u001b[2J\\u0085.t", "PASS", "pass", "");
	EXPECT_STREQ("f?[2J?.t", self->a.list[0].test);
}

static const char good[] =
	"{\"version\": 1, \"part\": 1, \"parts\": 1, \"run\": \"r\", \"time\": \"t\", "
	"\"program\": \"p\", \"test\": \"f.t\", \"topology\": \"x\", \"kernel\": null, "
	"\"verdict\": \"PASS\", \"judged\": \"pass\", \"metrics\": [{\"source\": \"s\", "
	"\"name\": \"m\", \"value\": 1.5, \"unit\": \"us\", \"better\": \"lower\"}]}";

TEST_F(compare, lines_of_another_form_are_refused_with_their_place)
{
	static const struct {
		const char *from, *to; /* put in place of the first */
		int err;
	} cases[] = {
		{"\"part\"", "\"part\"", 0},
		{"\"version\": 1", "\"version\": 2", -EPROTO},
		{"\"version\": 1", "\"version\": \"1\"", -EBADMSG},
		{"\"version\": 1, ", "", -EBADMSG},
		{"\"parts\": 1", "\"parts\": 0", -EBADMSG},
		{"\"part\": 1", "\"part\": 2", -EBADMSG},
		{"\"part\": 1", "\"part\": 1.5", -EBADMSG},
		{"\"f.t\"", "\"\"", -EBADMSG},
		{"\"f.t\"", "7", -EBADMSG},
		{"\"pass\"", "\"passed\"", -EBADMSG},
		{"\"judged\": \"pass\", ", "", -EBADMSG},
		{"1.5", "NaN", -EBADMSG},
		{"1.5", "1e999", -EBADMSG},
		{"1.5", "\"1.5\"", -EBADMSG},
		{"1.5", "null", 0},
		{"1.5", "-1e308", 0},
		{"\"m\"", "\"\"", -EBADMSG},
		{"\"m\"", "[]", -EBADMSG},
		{"\"us\"", "{}", -EBADMSG},
		{"\"lower\"", "\"sideways\"", 0},
		{"[{", "{\"a\": {", -EBADMSG},
		{"}]}", "}]", -EBADMSG},
		{"}]}", "}]} {}", -EBADMSG},
		{"\"run\"", "\"time\"", -EBADMSG}, /* twice */
		{"{\"version", "[{\"version", -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = strstr(good, cases[i].from);
		char text[1024];

		ASSERT_NE(NULL, at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, cases[i].to,
			 at + strlen(cases[i].from));
		EXPECT_EQ(cases[i].err, add(self, &self->a, text)) TH_LOG("%s", text);
		if (cases[i].err)
			EXPECT_STREQ("file:7", self->error.object);
	}
}

/*
 * Bytes of good lines changed, taken out and doubled, by a fixed sequence: whatever comes of it, it
 * is an error with its place or a run that can be compared. Some of either, or nothing was tried.
 */
TEST_F(compare, lines_with_damage_are_refused_or_compared)
{
	static const char bytes[] = "{}[]\",:\\0123456789eE+-.ntuf\x00\x1f\x7f\x80\xc3\xff <&";
	uint32_t state = 1, taken = 0, refused = 0;

	for (uint32_t i = 0; i < 20000; i++) {
		char text[2 * sizeof(good)];
		size_t length = strlen(good);

		memcpy(text, good, length);
		for (uint32_t left = 1 + i % 3; left; left--) {
			size_t at;

			/* Knuth's generator: the upper bits are good */
			state = state * 1664525 + 1013904223;
			at = (state >> 8) % length;
			state = state * 1664525 + 1013904223;
			if (state >> 30 == 0) {
				memmove(text + at, text + at + 1, --length - at);
			} else if (state >> 30 == 1) {
				memmove(text + at + 1, text + at, length++ - at);
			} else {
				text[at] = bytes[(state >> 8) % (sizeof(bytes) - 1)];
			}
		}
		self->error = (struct ktstr_error){.err = 0};
		if (runs__add_line(&self->a, "file:7", text, length, &self->error)) {
			refused++;
			ASSERT_NE(0, self->error.err);
			ASSERT_STREQ("file:7", self->error.object);
			continue;
		}
		taken++;
		ASSERT_EQ(0, add(self, &self->b, good));
		/* That two of them differ is refused as well. */
		if (!run(self))
			ASSERT_EQ(1, self->c.nr_compared);
		comparison__free(&self->c);
		runs__free(&self->a);
		runs__free(&self->b);
	}
	EXPECT_LT(1000, taken);
	EXPECT_LT(1000, refused);
}

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

TEST_F(compare, directory_has_its_files_and_those_of_its_directories)
{
	char dir[] = "/tmp/ktstr-compare-XXXXXX", path[96], line[2 * sizeof(good)];

	ASSERT_NE(NULL, mkdtemp(dir));
	self->error = (struct ktstr_error){.err = 0};
	EXPECT_EQ(-ENOENT, runs__load(&self->a, dir, &self->error));
	snprintf(path, sizeof(path), "%s/one", dir);
	ASSERT_EQ(0, mkdir(path, 0700));
	snprintf(path, sizeof(path), "%s/one/metrics.jsonl", dir);
	snprintf(line, sizeof(line), "\n%s\r\n \n", good);
	write_file(path, line);
	snprintf(path, sizeof(path), "%s/one/events.jsonl", dir);
	write_file(path, "{}\n");
	snprintf(path, sizeof(path), "%s/two.jsonl", dir);
	write_file(path, good); /* without its newline */
	self->error = (struct ktstr_error){.err = 0};
	EXPECT_EQ(0, runs__load(&self->a, dir, &self->error)) TH_LOG("%s", self->error.reason);
	EXPECT_EQ(2, self->a.nr_files);
	EXPECT_EQ(2, self->a.nr);
	EXPECT_EQ(0, runs__finish(&self->a, &self->error));
	EXPECT_EQ(1, self->a.nr);

	snprintf(line, sizeof(line), "%s\n%.50s\n", good, good);
	write_file(path, line);
	EXPECT_EQ(-EBADMSG, runs__load(&self->b, path, &self->error));
	strcat(path, ":2");
	EXPECT_STREQ(path, self->error.object);
	path[strlen(path) - 2] = '\0';
	unlink(path);
	snprintf(path, sizeof(path), "%s/one/events.jsonl", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/one/metrics.jsonl", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/one", dir);
	EXPECT_EQ(0, rmdir(path));
	EXPECT_EQ(0, rmdir(dir));
}

TEST_F(compare, file_that_is_not_there_is_an_error)
{
	EXPECT_EQ(-ENOENT, runs__load(&self->a, "/no/such/file", &self->error));
	EXPECT_STREQ("/no/such/file", self->error.object);
}

TEST_HARNESS_MAIN
