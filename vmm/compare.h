/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compares two sets of runs, A before and B after. A metric's runs are those of its test that
 * passed; its change is the difference of their means, with Welch's interval (statistics.h). It
 * counts when it is beyond the gates *and* the interval excludes zero.
 */
#ifndef KTSTR_VMM_COMPARE_H
#define KTSTR_VMM_COMPARE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runs.h"
#include "statistics.h"

/* A change counts when it is beyond both. NaN: not said. */
struct compare_gate {
	const char *pattern; /* of metrics, as below; NULL: of all */
	double relative;     /* share of A's mean; where that is 0, only @absolute counts */
	double absolute;     /* in the metric's unit */
	enum ktstr_better better;
	bool off; /* it is not compared */
};

struct compare_options {
	/* Shell patterns (fnmatch(3)), any of which is to match; nr 0: all */
	const char *const *tests; /* of FIXTURE.VARIANT.TEST or PROGRAM/FIXTURE.VARIANT.TEST */
	size_t nr_tests;
	const char *const *metrics; /* of NAME or SOURCE/NAME */
	size_t nr_metrics;
	const struct compare_gate *gates; /* the last one that matches and says something counts */
	size_t nr_gates;
	double confidence; /* of intervals: 0.95 */
	bool by_kernel;	   /* runs on different kernels are different tests */
	bool gates_alone;  /* where there is no interval, the gates decide */
	bool missing_fails;
};

/* The worst first. */
enum compare_status {
	COMPARE_REGRESSION,
	COMPARE_UNDECIDED,   /* beyond the gates, and too few runs for an interval */
	COMPARE_CHANGED,     /* for better or worse is not known */
	COMPARE_DIFFERENT,   /* units differ, or it is on one side alone */
	COMPARE_IMPROVEMENT, /* likewise beyond gate and interval */
	COMPARE_SAME,
	COMPARE_NR_STATUSES,
};

struct compare_metric {
	const char *program, *test, *topology, *kernel; /* of the runs; kernel "": all of them */
	const char *source, *name, *unit, *unit_b;
	enum ktstr_better better;
	/* One value a run, in the order of their times: the mean where a run has several. */
	double *a, *b;
	struct statistics of_a, of_b;
	double difference, relative; /* NaN: A's mean is 0 */
	bool has_interval;
	struct statistics_interval interval; /* of the difference */
	enum compare_status status;
	bool by_gate_alone;
};

struct compare_test {
	const char *program, *test, *topology, *kernel;
	size_t a[RUN_NR_ENDS], b[RUN_NR_ENDS]; /* runs that ended so */
	size_t nr_a, nr_b;
	const char *verdict_b; /* of a run that failed */
	enum compare_status status;
};

struct comparison {
	struct compare_metric *metrics; /* the worst first */
	size_t nr_metrics, nr_compared; /* on both sides, in one unit */
	struct compare_test *tests;	/* likewise */
	size_t nr_tests;
	size_t nr_metrics_of[COMPARE_NR_STATUSES], nr_tests_of[COMPARE_NR_STATUSES];
	bool regressed;
};

/*
 * @a and @b stay the caller's, and have to live as long as *out. -ENODATA: nothing in common.
 */
int compare__run(const struct runs *a, const struct runs *b, const struct compare_options *options,
		 struct comparison *out, struct ktstr_error *error);
void comparison__free(struct comparison *c);

const char *compare_status__name(enum compare_status status);
const char *run_end__name(enum run_end end);

/* "NAME=5%,10,lower" as a gate; @text is changed and has to live as long. -EINVAL. */
int compare_gate__parse(char *text, struct compare_gate *gate, struct ktstr_error *error);
/* "5%" (@percent) or "10". False: neither, negative, or not finite. */
bool compare__parse_number(const char *text, bool percent, double *value);

#endif /* KTSTR_VMM_COMPARE_H */
