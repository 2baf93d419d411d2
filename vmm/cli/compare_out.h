/* SPDX-License-Identifier: GPL-2.0-only */
/* What `ktstr compare` has found, for a terminal, a browser and programs. */
#ifndef KTSTR_VMM_CLI_COMPARE_OUT_H
#define KTSTR_VMM_CLI_COMPARE_OUT_H

#include <stdbool.h>
#include <stdio.h>

#include "../compare.h"

struct compare_report {
	const struct comparison *c;
	const char *path_a, *path_b; /* as given */
	size_t nr_runs_a, nr_runs_b, nr_intervals;
	double relative, absolute, confidence; /* of all metrics */
	bool all;			       /* what has not changed is shown, too */
};

#define COMPARE_CELL 64 /* bytes of what follows */

/* "1234 us" and the like: @unit may be ""; @sign: with its sign. */
void compare_put_number(char cell[COMPARE_CELL], double value, bool sign);
/* "+12.3%", or "-" where there is no such share. */
void compare_put_share(char cell[COMPARE_CELL], double share);
/* "[-1, 2]", or "-". */
void compare_put_interval(char cell[COMPARE_CELL], const struct compare_metric *m);
/* "pass 3, fail 2 (KERNEL_PANIC)", or "-": no run. @verdict may be NULL. */
void compare_put_ends(char *text, size_t size, const size_t ends[RUN_NR_ENDS], const char *verdict);
/* A topology without the option's name, where that is all there is. */
const char *compare_short_topology(const char *topology);
/* The counts, what they rest on, and what to know about them: one line each. */
void compare_put_summary(FILE *to, const struct compare_report *r, const char *before,
			 const char *after);

void compare_put_text(FILE *to, const struct compare_report *r);
void compare_put_html(FILE *to, const struct compare_report *r);
void compare_put_json(FILE *to, const struct compare_report *r);

#endif /* KTSTR_VMM_CLI_COMPARE_OUT_H */
