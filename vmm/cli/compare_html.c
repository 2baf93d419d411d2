// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr compare --html`: one page without scripts and without anything from elsewhere. */
#include <math.h>
#include <string.h>

#include "compare_out.h"

/* Of a plot, in CSS pixels: a row of A above one of B. */
#define PLOT_WIDTH 300
#define PLOT_HEIGHT 44
#define PLOT_MARGIN 8
#define ROW_A 14
#define ROW_B 32

static const char style[] =
	":root{color-scheme:light dark;--bad:#b3261e;--good:#1b7f3b;--odd:#9a6700;--a:#57606a;"
	"--b:#0969da;--line:#d0d7de}\n"
	"@media (prefers-color-scheme:dark){:root{--bad:#ff7b72;--good:#3fb950;--odd:#d29922;"
	"--a:#9198a1;--b:#58a6ff;--line:#3d444d}}\n"
	"body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem}\n"
	"table{border-collapse:collapse;margin:0 0 1.5rem}\n"
	"th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:left;"
	"vertical-align:middle}\n"
	"td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
	"td.name{overflow-wrap:anywhere}\n"
	"small{color:var(--a)}\n"
	".regression{color:var(--bad);font-weight:bold}\n"
	".improved{color:var(--good)}\n"
	".changed,.undecided,.different{color:var(--odd)}\n"
	"svg .a{fill:var(--a);stroke:var(--a)}\n"
	"svg .b{fill:var(--b);stroke:var(--b)}\n"
	"svg circle{fill-opacity:.5;stroke:none}\n"
	"svg .axis{stroke:var(--line)}\n"
	".key{color:var(--a)}.key b{color:var(--b)}\n";

/* Text for XML and HTML, in an element or an attribute; what XML cannot hold becomes U+FFFD. */
static void put(FILE *to, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '<')
			fputs("&lt;", to);
		else if (*p == '>')
			fputs("&gt;", to);
		else if (*p == '&')
			fputs("&amp;", to);
		else if (*p == '"')
			fputs("&quot;", to);
		else if (*p == '\'')
			fputs("&#39;", to);
		else if (*p == 0x7f || *p < ' ')
			fputs("\xef\xbf\xbd", to);
		else if (p[0] == 0xef && p[1] == 0xbf && (p[2] == 0xbe || p[2] == 0xbf)) {
			/* U+FFFE and U+FFFF are no characters of XML 1.0 (§2.2). */
			fputs("\xef\xbf\xbd", to);
			p += 2;
		} else {
			fputc(*p, to);
		}
	}
}

static void put_cell(FILE *to, const char *class, const char *text)
{
	fprintf(to, "<td class=\"%s\">", class);
	put(to, text);
	fputs("</td>", to);
}

static void put_test_name(FILE *to, const char *program, const char *test, const char *topology,
			  const char *kernel)
{
	fputs("<td class=\"name\">", to);
	if (*program)
		put(to, program);
	fputs(*program ? "/" : "", to);
	put(to, test);
	fputs("<br/><small>", to);
	put(to, compare_short_topology(topology));
	fputs(*kernel ? ", " : "", to);
	put(to, kernel);
	fputs("</small></td>", to);
}

/* ---- Plots ---- */

/* Halves, so that no difference of two doubles is too large for one. */
static double x_of(double value, double low, double high)
{
	double span = high / 2 - low / 2;

	if (!(span > 0))
		return PLOT_WIDTH / 2.0;
	return PLOT_MARGIN + (PLOT_WIDTH - 2 * PLOT_MARGIN) * ((value / 2 - low / 2) / span);
}

static void put_side(FILE *to, const char *class, int y, const double *values,
		     const struct statistics *s, double low, double high)
{
	char cell[COMPARE_CELL];
	double x;

	if (!s->nr)
		return;
	fprintf(to, "<line class=\"axis\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", PLOT_WIDTH, y,
		y);
	for (size_t i = 0; i < s->nr; i++) {
		compare_put_number(cell, values[i], false);
		fprintf(to,
			"<circle class=\"%s\" cx=\"%.1f\" cy=\"%d\" r=\"4\"><title>%s</title>"
			"</circle>",
			class, x_of(values[i], low, high), y, cell);
	}
	if (!isfinite(s->mean))
		return;
	x = x_of(s->mean, low, high);
	fprintf(to,
		"<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" "
		"stroke-width=\"2\"/>",
		class, x, x, y - 8, y + 8);
}

static void put_plot(FILE *to, const struct compare_metric *m)
{
	double low = m->of_a.nr ? m->of_a.minimum : m->of_b.minimum;
	double high = m->of_a.nr ? m->of_a.maximum : m->of_b.maximum;
	char least[COMPARE_CELL], most[COMPARE_CELL];

	if (strcmp(m->unit, m->unit_b) != 0) {
		fputs("<td></td>", to);
		return;
	}
	if (m->of_b.nr && m->of_b.minimum < low)
		low = m->of_b.minimum;
	if (m->of_b.nr && m->of_b.maximum > high)
		high = m->of_b.maximum;
	compare_put_number(least, low, false);
	compare_put_number(most, high, false);
	fprintf(to,
		"<td><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"role=\"img\" aria-label=\"runs of A and B from %s to %s\">",
		PLOT_WIDTH, PLOT_HEIGHT, least, most);
	put_side(to, "a", ROW_A, m->a, &m->of_a, low, high);
	put_side(to, "b", ROW_B, m->b, &m->of_b, low, high);
	fprintf(to, "</svg><br/><small>%s to %s</small></td>", least, most);
}

/* ---- Tables ---- */

static void put_tests(FILE *to, const struct compare_report *r)
{
	char a[256], b[256];

	if (!r->all && r->c->nr_tests_of[COMPARE_SAME] == r->c->nr_tests)
		return;
	fputs("<h2>Tests</h2>\n<table><thead><tr><th></th><th>Test</th><th>A</th><th>B</th></tr>"
	      "</thead><tbody>\n",
	      to);
	for (size_t i = 0; i < r->c->nr_tests; i++) {
		const struct compare_test *t = &r->c->tests[i];
		const char *status = compare_status__name(t->status);

		if (!r->all && t->status == COMPARE_SAME)
			continue;
		compare_put_ends(a, sizeof(a), t->a, NULL);
		compare_put_ends(b, sizeof(b), t->b, t->verdict_b);
		fputs("<tr>", to);
		put_cell(to, status, status);
		put_test_name(to, t->program, t->test, t->topology, t->kernel);
		put_cell(to, "", a);
		put_cell(to, "", b);
		fputs("</tr>\n", to);
	}
	fputs("</tbody></table>\n", to);
}

static void put_mean(FILE *to, const struct statistics *s, const char *unit)
{
	char cell[COMPARE_CELL] = "-";

	if (s->nr)
		compare_put_number(cell, s->mean, false);
	fputs("<td class=\"n\">", to);
	put(to, cell);
	fputs(" ", to);
	put(to, s->nr ? unit : "");
	fprintf(to, "<br/><small>%zu run%s</small></td>", s->nr, s->nr == 1 ? "" : "s");
}

static void put_metric(FILE *to, const struct compare_metric *m)
{
	const char *status = compare_status__name(m->status);
	bool units = strcmp(m->unit, m->unit_b) != 0;
	char cell[COMPARE_CELL];

	fputs("<tr>", to);
	fprintf(to, "<td class=\"%s\">%s%s</td>", status, status, m->by_gate_alone ? "*" : "");
	put_test_name(to, m->program, m->test, m->topology, m->kernel);
	fputs("<td class=\"name\">", to);
	put(to, m->source);
	fputs(*m->source ? "/" : "", to);
	put(to, m->name);
	if (m->better)
		fprintf(to, "<br/><small>%s is better</small>", metric__better_name(m->better));
	fputs("</td>", to);
	put_mean(to, &m->of_a, m->unit);
	put_mean(to, &m->of_b, m->unit_b);
	compare_put_share(cell, units ? (double)NAN : m->relative);
	put_cell(to, "n", cell);
	compare_put_interval(cell, m);
	put_cell(to, "n", cell);
	put_plot(to, m);
	fputs("</tr>\n", to);
}

static void put_metrics(FILE *to, const struct compare_report *r)
{
	fprintf(to,
		"<h2>Metrics</h2>\n<p class=\"key\">A dot is a run, a line the mean: A, "
		"<b>B</b>.</p>\n<table><thead><tr><th></th><th>Test</th><th>Metric</th>"
		"<th class=\"n\">A</th><th class=\"n\">B</th><th class=\"n\">Change</th>"
		"<th class=\"n\">%.4g%% interval</th><th>Runs</th></tr></thead><tbody>\n",
		100 * r->confidence);
	/* A page has room: what has not changed is the plot of the machine's noise. */
	for (size_t i = 0; i < r->c->nr_metrics; i++)
		put_metric(to, &r->c->metrics[i]);
	fputs("</tbody></table>\n", to);
}

void compare_put_html(FILE *to, const struct compare_report *r)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src 'unsafe-inline'\"/>\n"
	      "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
	      "<title>ktstr compare</title>\n<style>\n",
	      to);
	fputs(style, to);
	fprintf(to, "</style></head><body>\n<h1 class=\"%s\">%s</h1>\n",
		r->c->regressed ? "regression" : "",
		r->c->regressed ? "Regression" : "No regression");
	fputs("<p>A: ", to);
	put(to, r->path_a);
	fprintf(to, ", %zu runs of tests. B: ", r->nr_runs_a);
	put(to, r->path_b);
	fprintf(to, ", %zu runs of tests.</p>\n", r->nr_runs_b);
	compare_put_summary(to, r, "<p>", "</p>\n");
	put_tests(to, r);
	put_metrics(to, r);
	fputs("</body></html>\n", to);
}
