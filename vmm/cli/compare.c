// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr compare`: what has changed between two sets of runs. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "compare_out.h"

#define EXIT_REGRESSION 1
#define MAX_PATTERNS 256u

static void usage(FILE *to)
{
	fputs("Usage: ktstr compare [OPTIONS] A B\n"
	      "\n"
	      "What has changed from A to B: each a file of runs (metrics.jsonl of --artifacts, "
	      "or\n"
	      "--metrics of a test binary), or a directory of such files. Exit status 1: "
	      "something\n"
	      "got worse.\n"
	      "\n"
	      "  --relative P%       changes up to this share do not count (default: 5%)\n"
	      "  --absolute N        nor those up to N, in the metric's unit (default: 0)\n"
	      "  --gate METRIC=P%|N|lower|higher|off[,...]\n"
	      "                      gates of a metric's own, which way is better, or not "
	      "compared\n"
	      "  --confidence P%     of Welch's interval, which has to exclude zero (default: "
	      "95%)\n"
	      "  --gates-alone       the gates decide where one run on a side has no interval\n"
	      "  --missing-fails     a test without any run in B is a regression\n"
	      "  --by-kernel         runs on different kernels are different tests\n"
	      "  --test PATTERN      only tests like FIXTURE.TEST or PROGRAM/FIXTURE.TEST\n"
	      "  --metric PATTERN    only metrics like NAME or SOURCE/NAME\n"
	      "  --all               show what has not changed, too\n"
	      "  --html FILE         write a page with a plot of the runs of each metric\n"
	      "  --json FILE         write all that is known\n",
	      to);
}

struct arguments {
	struct compare_options options;
	const char *tests[MAX_PATTERNS], *metrics[MAX_PATTERNS];
	struct compare_gate gates[MAX_PATTERNS]; /* the first: of all metrics */
	const char *html, *json;
	bool all;
};

static int bad(const char *option, const char *why)
{
	return cli_bad("compare", option, why);
}

static int add_pattern(const char **patterns, size_t *nr, const char *option, const char *pattern)
{
	if (*nr == MAX_PATTERNS)
		return bad(option, "too many");
	if (!*pattern)
		return bad(option, "is empty");
	patterns[(*nr)++] = pattern;
	return 0;
}

static int add_gate(struct arguments *a, char *text)
{
	struct ktstr_error error = {.err = 0};

	if (a->options.nr_gates == MAX_PATTERNS)
		return bad("--gate", "too many");
	if (compare_gate__parse(text, &a->gates[a->options.nr_gates], &error))
		return cli_error("compare", &error);
	a->options.nr_gates++;
	return 0;
}

static int take_confidence(struct arguments *a, const char *text)
{
	double p;

	if (!compare__parse_number(text, true, &p) || p < 0.5 || p > 0.9999)
		return bad("--confidence", "is no share from 50% to 99.99%");
	a->options.confidence = p;
	return 0;
}

/* 0, or an exit status. */
static int take_option(struct arguments *a, int c, char *value)
{
	struct compare_options *o = &a->options;

	switch (c) {
	case 'r':
		return compare__parse_number(value, true, &a->gates[0].relative)
			       ? 0
			       : bad("--relative", "is no share like 5%");
	case 'a':
		return compare__parse_number(value, false, &a->gates[0].absolute)
			       ? 0
			       : bad("--absolute", "is no number from 0 on");
	case 'g':
		return add_gate(a, value);
	case 'c':
		return take_confidence(a, value);
	case 'G':
		o->gates_alone = true;
		return 0;
	case 'M':
		o->missing_fails = true;
		return 0;
	case 'k':
		o->by_kernel = true;
		return 0;
	case 't':
		return add_pattern(a->tests, &o->nr_tests, "--test", value);
	case 'm':
		return add_pattern(a->metrics, &o->nr_metrics, "--metric", value);
	case 'A':
		a->all = true;
		return 0;
	case 'H':
		a->html = value;
		return 0;
	default:
		a->json = value;
		return 0;
	}
}

static int load(struct runs *runs, const char *path)
{
	struct ktstr_error error = {.err = 0};
	int err = runs__load(runs, path, &error);

	if (!err)
		err = runs__finish(runs, &error);
	if (err)
		return cli_error("compare", &error);
	if (!runs->nr)
		return bad(path, "has no run");
	if (runs->nr_repeated)
		fprintf(stderr, "ktstr: compare: %s: %zu lines are there twice, and count once\n",
			path, runs->nr_repeated);
	if (runs->nr_incomplete)
		fprintf(stderr, "ktstr: compare: %s: parts of %zu runs are missing\n", path,
			runs->nr_incomplete);
	return 0;
}

static int write_to(const char *path, const struct compare_report *r,
		    void (*put)(FILE *to, const struct compare_report *r))
{
	FILE *to;
	bool failed;

	if (!path)
		return 0;
	to = fopen(path, "we");
	if (!to)
		return bad(path, strerror(errno));
	put(to, r);
	failed = fflush(to) || ferror(to);
	if (fclose(to) || failed)
		return bad(path, strerror(errno));
	return 0;
}

static int report(const struct arguments *a, const struct comparison *c, const char *const *paths,
		  const struct runs *runs)
{
	struct compare_report r = {
		.c = c,
		.path_a = paths[0],
		.path_b = paths[1],
		.nr_runs_a = runs[0].nr,
		.nr_runs_b = runs[1].nr,
		.relative = a->gates[0].relative,
		.absolute = a->gates[0].absolute,
		.confidence = a->options.confidence,
		.all = a->all,
	};
	int status;

	for (size_t i = 0; i < c->nr_metrics; i++)
		r.nr_intervals += c->metrics[i].has_interval;
	compare_put_text(stdout, &r);
	if (fflush(stdout) || ferror(stdout))
		return bad("standard output", strerror(errno));
	status = write_to(a->html, &r, compare_put_html);
	if (!status)
		status = write_to(a->json, &r, compare_put_json);
	return status ? status : c->regressed ? EXIT_REGRESSION : 0;
}

static int compare(struct arguments *a, char **paths)
{
	const char *const names[] = {paths[0], paths[1]};
	struct runs runs[2] = {{.nr = 0}, {.nr = 0}};
	struct ktstr_error error = {.err = 0};
	struct comparison c;
	int status = load(&runs[0], paths[0]);

	a->options.tests = a->tests;
	a->options.metrics = a->metrics;
	a->options.gates = a->gates;
	if (!status)
		status = load(&runs[1], paths[1]);
	if (!status && compare__run(&runs[0], &runs[1], &a->options, &c, &error)) {
		status = cli_error("compare", &error);
	} else if (!status) {
		status = report(a, &c, names, runs);
		comparison__free(&c);
	}
	runs__free(&runs[0]);
	runs__free(&runs[1]);
	return status;
}

int cli_compare(int argc, char **argv)
{
	static const struct option options[] = {
		{"relative", required_argument, NULL, 'r'},
		{"absolute", required_argument, NULL, 'a'},
		{"gate", required_argument, NULL, 'g'},
		{"confidence", required_argument, NULL, 'c'},
		{"gates-alone", no_argument, NULL, 'G'},
		{"missing-fails", no_argument, NULL, 'M'},
		{"by-kernel", no_argument, NULL, 'k'},
		{"test", required_argument, NULL, 't'},
		{"metric", required_argument, NULL, 'm'},
		{"all", no_argument, NULL, 'A'},
		{"html", required_argument, NULL, 'H'},
		{"json", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct arguments *a = calloc(1, sizeof(*a));
	int c, status = 0;

	if (!a)
		return bad("options", strerror(ENOMEM));
	a->options.nr_gates = 1;
	a->options.confidence = 0.95;
	a->gates[0].relative = 0.05;
	opterr = 0;
	while (!status && (c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			goto out;
		}
		status = c == '?' || c == ':' ? cli_bad_option("compare", c, argv[optind - 1])
					      : take_option(a, c, optarg);
	}
	if (!status && argc - optind != 2)
		status = bad("A B", "takes two files or directories");
	if (!status)
		status = compare(a, argv + optind);
out:
	free(a);
	return status;
}
