// SPDX-License-Identifier: GPL-2.0-only
/* Joins two sets of runs by test and metric, and decides what has changed. */
#include "compare.h"

#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "compare", "runs", NULL);
}

const char *compare_status__name(enum compare_status status)
{
	static const char *const names[] = {
		[COMPARE_REGRESSION] = "regression", [COMPARE_UNDECIDED] = "undecided",
		[COMPARE_CHANGED] = "changed",	     [COMPARE_DIFFERENT] = "different",
		[COMPARE_IMPROVEMENT] = "improved",  [COMPARE_SAME] = "same",
	};

	return names[status];
}

const char *run_end__name(enum run_end end)
{
	static const char *const names[] = {
		[RUN_PASS] = "pass",   [RUN_FAIL] = "fail",   [RUN_SKIP] = "skip",
		[RUN_XFAIL] = "xfail", [RUN_XPASS] = "xpass", [RUN_INCONCLUSIVE] = "inconclusive",
	};

	return names[end];
}

/* ---- Gates ---- */

bool compare__parse_number(const char *text, bool percent, double *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*value = strtod(text, &end);
	if (percent) {
		if (*end != '%')
			return false;
		*value /= 100;
		end++;
	}
	return !*end && isfinite(*value);
}

static bool parse_word(const char *word, struct compare_gate *gate)
{
	if (!strcmp(word, "lower") || !strcmp(word, "higher")) {
		gate->better = metric__better(word);
		return true;
	}
	if (!strcmp(word, "off")) {
		gate->off = true;
		return true;
	}
	return strchr(word, '%') ? compare__parse_number(word, true, &gate->relative)
				 : compare__parse_number(word, false, &gate->absolute);
}

int compare_gate__parse(char *text, struct compare_gate *gate, struct ktstr_error *error)
{
	/* A name may have one, what follows has none. */
	char *equals = strrchr(text, '='), *rest, *word;

	*gate = (struct compare_gate){
		.pattern = text, .relative = (double)NAN, .absolute = (double)NAN};
	if (!equals || equals == text || !equals[1])
		return ktstr_error__set(error, EINVAL, NULL, text,
					"a gate is METRIC=5%%, METRIC=10 or METRIC=5%%,10,lower");
	*equals = '\0';
	for (rest = equals + 1; (word = strsep(&rest, ","));)
		if (!parse_word(word, gate))
			return ktstr_error__set(error, EINVAL, NULL, text,
						"'%s' is no share as 5%%, no number from 0 on, and "
						"not lower, higher or off",
						word);
	return 0;
}

/* @name or @before/@name */
static bool matches(const char *pattern, const char *before, const char *name)
{
	char *both;
	bool found = !fnmatch(pattern, name, 0);

	if (found || asprintf(&both, "%s/%s", before, name) < 0)
		return found;
	found = !fnmatch(pattern, both, 0);
	free(both);
	return found;
}

static bool is_chosen(const char *const *patterns, size_t nr, const char *before, const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (matches(patterns[i], before, name))
			return true;
	return !nr;
}

static struct compare_gate gate_of(const struct compare_options *o, const char *source,
				   const char *name)
{
	struct compare_gate all = {.relative = (double)NAN, .absolute = (double)NAN};
	bool has_relative, has_absolute;

	for (size_t i = 0; i < o->nr_gates; i++) {
		const struct compare_gate *gate = &o->gates[i];

		if (gate->pattern && !matches(gate->pattern, source, name))
			continue;
		has_relative = !isnan(gate->relative);
		has_absolute = !isnan(gate->absolute);
		/* A metric's own gate is instead of that of all. */
		if (gate->pattern && (has_relative || has_absolute))
			all.relative = all.absolute = 0;
		if (has_relative)
			all.relative = gate->relative;
		if (has_absolute)
			all.absolute = gate->absolute;
		if (gate->better)
			all.better = gate->better;
		all.off |= gate->off;
	}
	return all;
}

/* ---- Values of one side ---- */

/* A value with what it is joined by. */
struct sample {
	const struct run *run;
	const struct run_value *value;
	const char *kernel; /* "": does not matter */
};

struct samples {
	struct sample *list;
	size_t nr;
};

static int compare_tests(const struct run *a, const char *kernel_a, const struct run *b,
			 const char *kernel_b)
{
	int order = strcmp(a->program, b->program);

	if (!order)
		order = strcmp(a->test, b->test);
	if (!order)
		order = strcmp(a->topology, b->topology);
	return order ? order : strcmp(kernel_a, kernel_b);
}

static int compare_keys(const struct sample *a, const struct sample *b)
{
	int order = compare_tests(a->run, a->kernel, b->run, b->kernel);

	if (!order)
		order = strcmp(a->value->source, b->value->source);
	return order ? order : strcmp(a->value->name, b->value->name);
}

static int compare_samples(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	int order = compare_keys(x, y);

	if (!order)
		order = strcmp(x->run->time, y->run->time);
	if (!order)
		order = (x->run > y->run) - (x->run < y->run);
	return order ? order : (x->value > y->value) - (x->value < y->value);
}

static bool is_wanted(const struct run *run, const struct compare_options *o)
{
	return run->end != RUN_INTERRUPTED &&
	       is_chosen(o->tests, o->nr_tests, run->program, run->test);
}

static int gather(const struct runs *runs, const struct compare_options *o, struct samples *samples,
		  struct ktstr_error *error)
{
	size_t nr = 0;

	for (size_t i = 0; i < runs->nr; i++)
		nr += runs->list[i].nr_values;
	samples->list = calloc(nr ? nr : 1, sizeof(*samples->list));
	if (!samples->list)
		return no_memory(error);
	for (size_t i = 0; i < runs->nr; i++) {
		const struct run *run = &runs->list[i];

		/* What a run measured that failed is not what it was to measure. */
		if (run->end != RUN_PASS || !is_wanted(run, o))
			continue;
		for (size_t j = 0; j < run->nr_values; j++) {
			const struct run_value *v = &run->values[j];

			if (is_chosen(o->metrics, o->nr_metrics, v->source, v->name) &&
			    !gate_of(o, v->source, v->name).off)
				samples->list[samples->nr++] =
					(struct sample){run, v, o->by_kernel ? run->kernel : ""};
		}
	}
	if (samples->nr)
		qsort(samples->list, samples->nr, sizeof(*samples->list), compare_samples);
	return 0;
}

/* ---- One metric ---- */

/* The values of one key: [from, to) of the samples, which may be none. */
struct group {
	const struct sample *from;
	size_t nr;
	const char *unit; /* NULL: they differ */
	enum ktstr_better better;
};

static struct group next_group(const struct samples *samples, size_t at)
{
	struct group g = {.from = samples->list + at};

	if (at == samples->nr)
		return g;
	g.unit = g.from->value->unit;
	for (; at + g.nr < samples->nr && !compare_keys(g.from, g.from + g.nr); g.nr++) {
		const struct run_value *v = g.from[g.nr].value;

		if (g.unit && strcmp(g.unit, v->unit) != 0)
			g.unit = NULL;
		if (v->better)
			g.better = v->better;
	}
	return g;
}

/* One value a run: those of one run are no repetition. */
static double *values_of(const struct group *g, size_t *nr)
{
	double *values = calloc(g->nr ? g->nr : 1, sizeof(*values));
	size_t in_run = 0;

	*nr = 0;
	for (size_t i = 0; values && i < g->nr; i++) {
		if (i && g->from[i].run == g->from[i - 1].run) {
			in_run++;
			values[*nr - 1] +=
				(g->from[i].value->value - values[*nr - 1]) / (double)in_run;
		} else {
			in_run = 1;
			values[(*nr)++] = g->from[i].value->value;
		}
	}
	return values;
}

static bool is_beyond(const struct compare_metric *m, const struct compare_gate *gate)
{
	double change = fabs(m->difference);

	if (!isfinite(m->difference))
		return true;
	return change > 0 && !(change <= gate->absolute) &&
	       (isnan(m->relative) || !(fabs(m->relative) <= gate->relative));
}

static void decide(struct compare_metric *m, const struct compare_gate *gate,
		   const struct compare_options *o)
{
	bool worse;

	if (!is_beyond(m, gate)) {
		m->status = COMPARE_SAME;
		return;
	}
	m->by_gate_alone = !m->has_interval && o->gates_alone && isfinite(m->difference);
	if (!m->has_interval && !m->by_gate_alone) {
		m->status = COMPARE_UNDECIDED;
		return;
	}
	if (m->has_interval && m->interval.low <= 0 && m->interval.high >= 0) {
		m->status = COMPARE_SAME;
		return;
	}
	worse = m->better == KTSTR_LOWER_IS_BETTER ? m->difference > 0 : m->difference < 0;
	m->status = !m->better ? COMPARE_CHANGED : worse ? COMPARE_REGRESSION : COMPARE_IMPROVEMENT;
}

static int put_metric(struct comparison *c, const struct group *a, const struct group *b,
		      const struct compare_options *o, struct ktstr_error *error)
{
	const struct sample *first = a->nr ? a->from : b->from;
	struct compare_metric *m = &c->metrics[c->nr_metrics];
	struct compare_gate gate = gate_of(o, first->value->source, first->value->name);
	size_t nr_a, nr_b;

	*m = (struct compare_metric){
		.program = first->run->program,
		.test = first->run->test,
		.topology = first->run->topology,
		.kernel = first->kernel,
		.source = first->value->source,
		.name = first->value->name,
		.unit = !a->nr ? b->unit : a->unit,
		.unit_b = !b->nr ? a->unit : b->unit,
		.better = gate.better ? gate.better
			  : b->better ? b->better
				      : a->better,
		.a = values_of(a, &nr_a),
		.b = values_of(b, &nr_b),
		.status = COMPARE_DIFFERENT,
	};
	c->nr_metrics++;
	if (!m->a || !m->b)
		return no_memory(error);
	/* A side's values in several units are no values of one thing. */
	m->unit = m->unit ? m->unit : "several";
	m->unit_b = m->unit_b ? m->unit_b : "several";
	m->of_a = statistics__of(m->a, nr_a);
	m->of_b = statistics__of(m->b, nr_b);
	m->difference = m->of_b.mean - m->of_a.mean;
	m->relative = m->of_a.mean < 0 || m->of_a.mean > 0 ? m->difference / fabs(m->of_a.mean)
							   : (double)NAN;
	if (!a->unit || !b->unit || strcmp(a->unit, b->unit) != 0)
		return 0;
	c->nr_compared++;
	m->has_interval = statistics__welch(&m->of_a, &m->of_b, o->confidence, &m->interval);
	decide(m, &gate, o);
	return 0;
}

static int join_metrics(const struct samples *a, const struct samples *b,
			const struct compare_options *o, struct comparison *c,
			struct ktstr_error *error)
{
	size_t at_a = 0, at_b = 0, most = a->nr + b->nr;
	int err = 0;

	c->metrics = calloc(most ? most : 1, sizeof(*c->metrics));
	if (!c->metrics)
		return no_memory(error);
	while (!err && (at_a < a->nr || at_b < b->nr)) {
		struct group ga = next_group(a, at_a), gb = next_group(b, at_b);
		int order = !ga.nr ? 1 : !gb.nr ? -1 : compare_keys(ga.from, gb.from);

		if (order < 0)
			gb = (struct group){.nr = 0};
		if (order > 0)
			ga = (struct group){.nr = 0};
		err = put_metric(c, &ga, &gb, o, error);
		at_a += ga.nr;
		at_b += gb.nr;
	}
	return err;
}

/* ---- Tests ---- */

/* A run, its side and what it is joined by. */
struct end {
	const struct run *run;
	const char *kernel;
	bool of_b;
};

static int compare_ends(const void *a, const void *b)
{
	const struct end *x = a, *y = b;

	return compare_tests(x->run, x->kernel, y->run, y->kernel);
}

static enum compare_status status_of_test(const struct compare_test *t,
					  const struct compare_options *o)
{
	bool passed = t->a[RUN_PASS] || t->a[RUN_XFAIL] || t->a[RUN_XPASS];
	bool passes = t->b[RUN_PASS] || t->b[RUN_XFAIL] || t->b[RUN_XPASS];

	if (!t->nr_a)
		return COMPARE_DIFFERENT;
	if (!t->nr_b)
		return o->missing_fails ? COMPARE_REGRESSION : COMPARE_DIFFERENT;
	/* One that failed at times before, and does so now, has not changed for all we know. */
	if (passed && t->b[RUN_FAIL] && (!t->a[RUN_FAIL] || !passes))
		return COMPARE_REGRESSION;
	if (t->a[RUN_FAIL] && passes && !t->b[RUN_FAIL])
		return COMPARE_IMPROVEMENT;
	for (int i = 0; i < RUN_NR_ENDS; i++)
		if (!t->a[i] != !t->b[i])
			return COMPARE_CHANGED;
	return COMPARE_SAME;
}

static void count_run(struct compare_test *t, const struct end *end)
{
	size_t *ends = end->of_b ? t->b : t->a;

	ends[end->run->end]++;
	t->nr_a += !end->of_b;
	t->nr_b += end->of_b;
	if (end->of_b && (!t->verdict_b || end->run->end == RUN_FAIL))
		t->verdict_b = end->run->verdict;
}

static size_t put_wanted(struct end *to, const struct runs *runs, bool of_b,
			 const struct compare_options *o)
{
	size_t nr = 0;

	for (size_t i = 0; i < runs->nr; i++)
		if (is_wanted(&runs->list[i], o))
			to[nr++] = (struct end){.run = &runs->list[i],
						.kernel = o->by_kernel ? runs->list[i].kernel : "",
						.of_b = of_b};
	return nr;
}

static int join_tests(const struct runs *a, const struct runs *b, const struct compare_options *o,
		      struct comparison *c, struct ktstr_error *error)
{
	struct end *ends = calloc(a->nr + b->nr + 1, sizeof(*ends));
	struct compare_test *t = NULL;
	size_t nr;

	c->tests = calloc(a->nr + b->nr + 1, sizeof(*c->tests));
	if (!ends || !c->tests) {
		free(ends);
		return no_memory(error);
	}
	nr = put_wanted(ends, a, false, o);
	nr += put_wanted(ends + nr, b, true, o);
	qsort(ends, nr, sizeof(*ends), compare_ends);
	for (size_t i = 0; i < nr; i++) {
		if (!t || compare_ends(&ends[i - 1], &ends[i])) {
			t = &c->tests[c->nr_tests++];
			*t = (struct compare_test){.program = ends[i].run->program,
						   .test = ends[i].run->test,
						   .topology = ends[i].run->topology,
						   .kernel = ends[i].kernel};
		}
		count_run(t, &ends[i]);
	}
	for (size_t i = 0; i < c->nr_tests; i++)
		c->tests[i].status = status_of_test(&c->tests[i], o);
	free(ends);
	return 0;
}

/* ---- All ---- */

/* How much worse it got, to sort by. */
static double badness(const struct compare_metric *m)
{
	double by = isnan(m->relative) ? HUGE_VAL : m->relative;

	if (isnan(m->difference))
		return 0;
	if (isnan(m->relative) && m->difference < 0)
		by = -by;
	return m->better == KTSTR_LOWER_IS_BETTER    ? by
	       : m->better == KTSTR_HIGHER_IS_BETTER ? -by
						     : fabs(by);
}

static int worst_metric_first(const void *a, const void *b)
{
	const struct compare_metric *x = a, *y = b;
	double bad_x = badness(x), bad_y = badness(y);
	int order;

	if (x->status != y->status)
		return x->status < y->status ? -1 : 1;
	if (bad_x < bad_y || bad_x > bad_y)
		return bad_x > bad_y ? -1 : 1;
	order = strcmp(x->program, y->program);
	if (!order)
		order = strcmp(x->test, y->test);
	if (!order)
		order = strcmp(x->topology, y->topology);
	if (!order)
		order = strcmp(x->kernel, y->kernel);
	if (!order)
		order = strcmp(x->source, y->source);
	return order ? order : strcmp(x->name, y->name);
}

static int worst_test_first(const void *a, const void *b)
{
	const struct compare_test *x = a, *y = b;
	int order;

	if (x->status != y->status)
		return x->status < y->status ? -1 : 1;
	order = strcmp(x->program, y->program);
	if (!order)
		order = strcmp(x->test, y->test);
	if (!order)
		order = strcmp(x->topology, y->topology);
	return order ? order : strcmp(x->kernel, y->kernel);
}

static void count(struct comparison *c)
{
	for (size_t i = 0; i < c->nr_metrics; i++)
		c->nr_metrics_of[c->metrics[i].status]++;
	for (size_t i = 0; i < c->nr_tests; i++)
		c->nr_tests_of[c->tests[i].status]++;
	c->regressed = c->nr_metrics_of[COMPARE_REGRESSION] || c->nr_tests_of[COMPARE_REGRESSION];
}

int compare__run(const struct runs *a, const struct runs *b, const struct compare_options *options,
		 struct comparison *out, struct ktstr_error *error)
{
	struct samples of_a = {.nr = 0}, of_b = {.nr = 0};
	int err;

	*out = (struct comparison){.nr_metrics = 0};
	err = join_tests(a, b, options, out, error);
	if (!err)
		err = gather(a, options, &of_a, error);
	if (!err)
		err = gather(b, options, &of_b, error);
	if (!err)
		err = join_metrics(&of_a, &of_b, options, out, error);
	free(of_a.list);
	free(of_b.list);
	if (err) {
		comparison__free(out);
		return err;
	}
	if (out->nr_metrics)
		qsort(out->metrics, out->nr_metrics, sizeof(*out->metrics), worst_metric_first);
	if (out->nr_tests)
		qsort(out->tests, out->nr_tests, sizeof(*out->tests), worst_test_first);
	count(out);
	/* A test that fails now may be why. */
	if (!out->nr_compared && !out->regressed) {
		comparison__free(out);
		return ktstr_error__set(error, ENODATA, NULL, NULL,
					"A and B have no metric in common: the same test, topology "
					"and metric, in runs that passed");
	}
	return 0;
}

void comparison__free(struct comparison *c)
{
	for (size_t i = 0; i < c->nr_metrics; i++) {
		free(c->metrics[i].a);
		free(c->metrics[i].b);
	}
	free(c->metrics);
	free(c->tests);
	*c = (struct comparison){.nr_metrics = 0};
}
