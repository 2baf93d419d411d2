// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr compare`: tables for a terminal, and the cells that the HTML page has, too. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "compare_out.h"

/* ---- Cells ---- */

void compare_put_number(char cell[COMPARE_CELL], double value, bool sign)
{
	double size = fabs(value);

	/* Counts as they are; four digits of anything else. */
	if (size >= 1000 && size < 1e15)
		snprintf(cell, COMPARE_CELL, sign ? "%+.0f" : "%.0f", value);
	else
		snprintf(cell, COMPARE_CELL, sign ? "%+.4g" : "%.4g", value);
}

void compare_put_share(char cell[COMPARE_CELL], double share)
{
	if (!isfinite(share))
		snprintf(cell, COMPARE_CELL, "-");
	else if (fabs(share) < 10)
		snprintf(cell, COMPARE_CELL, "%+.1f%%", 100 * share);
	else
		snprintf(cell, COMPARE_CELL, "%+.3g%%", 100 * share);
}

void compare_put_interval(char cell[COMPARE_CELL], const struct compare_metric *m)
{
	char low[COMPARE_CELL], high[COMPARE_CELL];

	compare_put_number(low, m->interval.low, true);
	compare_put_number(high, m->interval.high, true);
	if (!m->has_interval)
		snprintf(cell, COMPARE_CELL, "-");
	else
		snprintf(cell, COMPARE_CELL, "[%.28s, %.28s]", low, high);
}

void compare_put_ends(char *text, size_t size, const size_t ends[RUN_NR_ENDS], const char *verdict)
{
	size_t at = 0;

	snprintf(text, size, "-");
	for (int i = 0; i < RUN_NR_ENDS && at < size; i++)
		if (ends[i])
			at += (size_t)snprintf(text + at, size - at, "%s%s %zu", at ? ", " : "",
					       run_end__name((enum run_end)i), ends[i]);
	if (ends[RUN_FAIL] && verdict && at < size)
		snprintf(text + at, size - at, " (%s)", verdict);
}

const char *compare_short_topology(const char *topology)
{
	static const char option[] = "--topology ";
	size_t n = sizeof(option) - 1;

	return !strncmp(topology, option, n) && !strchr(topology + n, ' ') ? topology + n
									   : topology;
}

/* ---- Tables ---- */

#define MAX_COLUMNS 10

struct table {
	char ***rows; /* [nr][columns], malloc'ed */
	size_t nr, columns;
	bool failed; /* no memory */
};

/* Takes the strings. */
static void table__add(struct table *t, char *const *cells)
{
	char ***rows = reallocarray(t->rows, t->nr + 1, sizeof(*rows));
	char **row = malloc(t->columns * sizeof(*row));

	if (rows)
		t->rows = rows;
	t->failed |= !rows || !row;
	for (size_t i = 0; i < t->columns; i++) {
		t->failed |= !cells[i];
		if (rows && row)
			row[i] = cells[i];
		else
			free(cells[i]);
	}
	if (rows && row)
		rows[t->nr++] = row;
	else
		free(row);
}

static size_t width_of(const char *text)
{
	size_t n = 0;

	/* Characters of UTF-8 */
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* @right: columns that are flush right, a bit each. */
static void table__print(const struct table *t, FILE *to, unsigned int right)
{
	size_t most[MAX_COLUMNS] = {0};

	if (t->failed) {
		fputs("(there is no memory for this table)\n", to);
		return;
	}
	for (size_t i = 0; i < t->nr; i++)
		for (size_t j = 0; j < t->columns; j++)
			if (width_of(t->rows[i][j]) > most[j])
				most[j] = width_of(t->rows[i][j]);
	for (size_t i = 0; i < t->nr; i++) {
		for (size_t j = 0; j < t->columns; j++) {
			int space = (int)(most[j] - width_of(t->rows[i][j]));
			bool is_last = j + 1 == t->columns;

			if (right & 1u << j)
				fprintf(to, "%*s%s", space, "", t->rows[i][j]);
			else
				fprintf(to, "%s%*s", t->rows[i][j], is_last ? 0 : space, "");
			fputs(is_last ? "\n" : "  ", to);
		}
	}
}

/* Prints the table, unless it has its heading alone, and frees it. */
static void table__finish(struct table *t, FILE *to, unsigned int right)
{
	if (t->nr > 1 || t->failed) {
		table__print(t, to, right);
		fputc('\n', to);
	}
	for (size_t i = 0; i < t->nr; i++) {
		for (size_t j = 0; j < t->columns; j++)
			free(t->rows[i][j]);
		free(t->rows[i]);
	}
	free(t->rows);
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text(const char *format, ...)
{
	va_list args;
	char *s;
	int n;

	va_start(args, format);
	n = vasprintf(&s, format, args);
	va_end(args);
	return n < 0 ? NULL : s;
}

static char *name_of_test(const char *program, const char *test, const char *kernel)
{
	return text("%s%s%s%s%s", program, *program ? "/" : "", test, *kernel ? " on " : "",
		    kernel);
}

static void add_test(struct table *t, const struct compare_test *test)
{
	char a[256], b[256];

	compare_put_ends(a, sizeof(a), test->a, NULL);
	compare_put_ends(b, sizeof(b), test->b, test->verdict_b);
	table__add(t, (char *const[]){text("%s", compare_status__name(test->status)),
				      name_of_test(test->program, test->test, test->kernel),
				      text("%s", compare_short_topology(test->topology)),
				      text("%s", a), text("%s", b)});
}

static void put_tests(FILE *to, const struct compare_report *r)
{
	struct table t = {.columns = 5};

	table__add(&t, (char *const[]){text("TEST"), text("NAME"), text("TOPOLOGY"), text("A"),
				       text("B")});
	for (size_t i = 0; i < r->c->nr_tests; i++)
		if (r->all || r->c->tests[i].status != COMPARE_SAME)
			add_test(&t, &r->c->tests[i]);
	table__finish(&t, to, 0);
}

static void add_metric(struct table *t, const struct compare_metric *m)
{
	char a[COMPARE_CELL] = "-", b[COMPARE_CELL] = "-", change[COMPARE_CELL] = "-";
	char share[COMPARE_CELL], interval[COMPARE_CELL];
	bool units = strcmp(m->unit, m->unit_b) != 0;

	if (m->of_a.nr)
		compare_put_number(a, m->of_a.mean, false);
	if (m->of_b.nr)
		compare_put_number(b, m->of_b.mean, false);
	if (m->of_a.nr && m->of_b.nr && !units)
		compare_put_number(change, m->difference, true);
	compare_put_share(share, units ? (double)NAN : m->relative);
	compare_put_interval(interval, m);
	table__add(t, (char *const[]){
			      text("%s%s", compare_status__name(m->status),
				   m->by_gate_alone ? "*" : ""),
			      name_of_test(m->program, m->test, m->kernel),
			      text("%s", compare_short_topology(m->topology)),
			      text("%s%s%s%s%s%s%s%s", m->source, *m->source ? "/" : "", m->name,
				   *m->unit || units ? " (" : "", m->unit, units ? ", " : "",
				   units ? m->unit_b : "", *m->unit || units ? ")" : ""),
			      text("%s", a), text("%s", b), text("%s", change), text("%s", share),
			      text("%s", interval), text("%zu+%zu", m->of_a.nr, m->of_b.nr)});
}

static void put_metrics(FILE *to, const struct compare_report *r)
{
	struct table t = {.columns = MAX_COLUMNS};

	table__add(&t, (char *const[]){text("METRIC"), text("TEST"), text("TOPOLOGY"), text("NAME"),
				       text("A"), text("B"), text("CHANGE"), text("SHARE"),
				       text("%.4g%%", 100 * r->confidence), text("RUNS")});
	for (size_t i = 0; i < r->c->nr_metrics; i++)
		if (r->all || r->c->metrics[i].status != COMPARE_SAME)
			add_metric(&t, &r->c->metrics[i]);
	table__finish(&t, to, 0x3f0);
}

/* ---- The end ---- */

static void put_counts(FILE *to, const char *what, size_t nr, const size_t of[COMPARE_NR_STATUSES])
{
	fprintf(to, "%zu %s%s", nr, what, nr == 1 ? "" : "s");
	for (int i = 0; i < COMPARE_NR_STATUSES; i++)
		if (of[i])
			fprintf(to, ", %zu %s", of[i],
				compare_status__name((enum compare_status)i));
}

void compare_put_summary(FILE *to, const struct compare_report *r, const char *before,
			 const char *after)
{
	const struct comparison *c = r->c;
	char absolute[COMPARE_CELL];

	fputs(before, to);
	put_counts(to, "test", c->nr_tests, c->nr_tests_of);
	fprintf(to, "; ");
	put_counts(to, "metric", c->nr_metrics, c->nr_metrics_of);
	compare_put_number(absolute, r->absolute, false);
	fprintf(to,
		"%s%sA change counts beyond %.4g%% and %s, or the metric's own gate, where Welch's "
		"%.4g%% interval of the difference of the means excludes zero.%s",
		after, before, 100 * r->relative, absolute, 100 * r->confidence, after);
	if (r->nr_intervals > 1)
		fprintf(to,
			"%sOf %zu intervals, about %.2g exclude zero by chance alone, in either "
			"direction.%s",
			before, r->nr_intervals, (1 - r->confidence) * (double)r->nr_intervals,
			after);
	if (c->nr_metrics_of[COMPARE_UNDECIDED])
		fprintf(to,
			"%sUndecided: beyond the gate, but with one run on a side (or values too "
			"large) there is no interval. More runs, or --gates-alone, decide.%s",
			before, after);
	for (size_t i = 0; i < c->nr_metrics; i++) {
		if (!c->metrics[i].by_gate_alone)
			continue;
		fprintf(to, "%s* by the gate alone: one run on a side has no interval.%s", before,
			after);
		break;
	}
}

void compare_put_text(FILE *to, const struct compare_report *r)
{
	put_tests(to, r);
	put_metrics(to, r);
	compare_put_summary(to, r, "", "\n");
}
