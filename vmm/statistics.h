/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The little statistics that comparing runs takes: Welch's interval for the difference of two
 * means. It assumes neither equal variances nor equal numbers of runs; runs are assumed to be
 * independent, and their means about normal. Without libm, which every guest of `ktstr run` would
 * get with it.
 */
#ifndef KTSTR_VMM_STATISTICS_H
#define KTSTR_VMM_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct statistics {
	size_t nr;
	double mean;	 /* NaN of none */
	double variance; /* of the sample, with nr - 1; 0 below two values */
	double minimum, maximum;
};

struct statistics statistics__of(const double *values, size_t nr);

/*
 * P(|T| < @t) for Student's distribution with @degrees >= 1 of freedom, @t >= 0. Above 1000 degrees
 * that of 1000.
 */
double statistics__t_probability(double t, uint32_t degrees);
/* The t with P(|T| < t) = @confidence, which is above 0 and below 1. */
double statistics__t_quantile(double confidence, uint32_t degrees);

struct statistics_interval {
	double low, high;
	uint32_t degrees; /* of freedom, rounded down: the interval is rather too wide */
};

/*
 * Of mean(b) - mean(a). False: there is none, as one has fewer than two values, or they are too
 * large for a double. Without any variance the interval is a point.
 */
bool statistics__welch(const struct statistics *a, const struct statistics *b, double confidence,
		       struct statistics_interval *interval);

#endif /* KTSTR_VMM_STATISTICS_H */
