// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr compare --json`: all that is known, for programs. */
#include <math.h>

#include "../json_out.h"
#include "compare_out.h"

#define FORMAT 1

static void put_text(FILE *to, const char *name, const char *text)
{
	fprintf(to, "\"%s\": ", name);
	json__text(to, text);
	fputs(", ", to);
}

static void put_number(FILE *to, const char *name, double value)
{
	fprintf(to, "\"%s\": ", name);
	json__number(to, value);
	fputs(", ", to);
}

static void put_key(FILE *to, const char *program, const char *test, const char *topology,
		    const char *kernel)
{
	put_text(to, "program", program);
	put_text(to, "test", test);
	put_text(to, "topology", topology);
	put_text(to, "kernel", *kernel ? kernel : NULL);
}

static void put_ends(FILE *to, const char *name, const size_t ends[RUN_NR_ENDS])
{
	bool first = true;

	fprintf(to, "\"%s\": {", name);
	for (int i = 0; i < RUN_NR_ENDS; i++) {
		if (!ends[i])
			continue;
		fprintf(to, "%s\"%s\": %zu", first ? "" : ", ", run_end__name((enum run_end)i),
			ends[i]);
		first = false;
	}
	fputs("}", to);
}

static void put_values(FILE *to, const char *name, const double *values, size_t nr)
{
	fprintf(to, "\"%s\": [", name);
	for (size_t i = 0; i < nr; i++) {
		fputs(i ? ", " : "", to);
		json__number(to, values[i]);
	}
	fputs("]", to);
}

static void put_metric(FILE *to, const struct compare_metric *m)
{
	put_key(to, m->program, m->test, m->topology, m->kernel);
	put_text(to, "source", m->source);
	put_text(to, "name", m->name);
	put_text(to, "unit_a", m->unit);
	put_text(to, "unit_b", m->unit_b);
	put_text(to, "better", metric__better_name(m->better));
	put_text(to, "status", compare_status__name(m->status));
	fprintf(to, "\"by_gate_alone\": %s, ", m->by_gate_alone ? "true" : "false");
	put_number(to, "mean_a", m->of_a.mean);
	put_number(to, "mean_b", m->of_b.mean);
	put_number(to, "difference", m->difference);
	put_number(to, "relative", m->relative);
	put_number(to, "low", m->has_interval ? m->interval.low : (double)NAN);
	put_number(to, "high", m->has_interval ? m->interval.high : (double)NAN);
	put_values(to, "a", m->a, m->of_a.nr);
	fputs(", ", to);
	put_values(to, "b", m->b, m->of_b.nr);
}

void compare_put_json(FILE *to, const struct compare_report *r)
{
	fprintf(to, "{\"format\": %d, ", FORMAT);
	put_text(to, "a", r->path_a);
	put_text(to, "b", r->path_b);
	put_number(to, "relative_gate", r->relative);
	put_number(to, "absolute_gate", r->absolute);
	put_number(to, "confidence", r->confidence);
	put_text(to, "interval", "Welch");
	fprintf(to, "\"regressed\": %s,\n \"tests\": [", r->c->regressed ? "true" : "false");
	for (size_t i = 0; i < r->c->nr_tests; i++) {
		const struct compare_test *t = &r->c->tests[i];

		fputs(i ? ",\n  {" : "\n  {", to);
		put_key(to, t->program, t->test, t->topology, t->kernel);
		put_text(to, "status", compare_status__name(t->status));
		put_ends(to, "a", t->a);
		fputs(", ", to);
		put_ends(to, "b", t->b);
		fputs("}", to);
	}
	fputs("],\n \"metrics\": [", to);
	for (size_t i = 0; i < r->c->nr_metrics; i++) {
		fputs(i ? ",\n  {" : "\n  {", to);
		put_metric(to, &r->c->metrics[i]);
		fputs("}", to);
	}
	fputs("]}\n", to);
}
