// SPDX-License-Identifier: GPL-2.0-only
/* Student's distribution for whole degrees of freedom, and Welch's interval. */
#include "statistics.h"

#include <math.h>

#define DEGREES_MAX 1000u
#define PI 3.14159265358979323846

/* The Makefile has -fno-math-errno for this file: an instruction, no call. */
static double root(double x)
{
	return __builtin_sqrt(x);
}

struct statistics statistics__of(const double *values, size_t nr)
{
	struct statistics s = {.nr = nr, .mean = nr ? 0 : (double)NAN};
	double squares = 0;

	/* Welford: no difference of large sums. */
	for (size_t i = 0; i < nr; i++) {
		double from_old = values[i] - s.mean;

		s.mean += from_old / (double)(i + 1);
		squares += from_old * (values[i] - s.mean);
		if (!i || values[i] < s.minimum)
			s.minimum = values[i];
		if (!i || values[i] > s.maximum)
			s.maximum = values[i];
	}
	s.variance = nr > 1 ? squares / (double)(nr - 1) : 0;
	return s;
}

/* Of x >= 0: atan(x) = 2 atan(x / (1 + sqrt(1 + x^2))) makes it small, then its series. */
static double arc_tangent(double x)
{
	double square, power, sum = 0;

	for (int i = 0; i < 4; i++)
		x /= 1 + root(1 + x * x);
	square = x * x;
	power = x;
	for (int i = 1; i < 30; i += 2, power *= -square)
		sum += power / i;
	return 16 * sum;
}

/*
 * Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 (odd degrees) and 26.7.4
 * (even): finite sums in the angle whose tangent is t / sqrt(degrees).
 */
double statistics__t_probability(double t, uint32_t degrees)
{
	uint32_t n = degrees > DEGREES_MAX ? DEGREES_MAX : degrees;
	double tangent = t / root(n), cosine2 = 1 / (1 + tangent * tangent);
	double cosine = root(cosine2), sine = tangent * cosine;
	double term = n % 2 ? cosine : 1, sum = 0;

	for (uint32_t k = n % 2 ? 3 : 2; k <= n; k += 2) {
		sum += term;
		term *= cosine2 * (k - 1) / k;
	}
	if (n % 2)
		return 2 / PI * (arc_tangent(tangent) + sine * sum);
	return sine * sum;
}

double statistics__t_quantile(double confidence, uint32_t degrees)
{
	double low = 0, high = 1;

	while (statistics__t_probability(high, degrees) < confidence && high < 1e15)
		high *= 2;
	for (int i = 0; i < 100; i++) {
		double middle = low + (high - low) / 2;

		if (statistics__t_probability(middle, degrees) < confidence)
			low = middle;
		else
			high = middle;
	}
	return high;
}

bool statistics__welch(const struct statistics *a, const struct statistics *b, double confidence,
		       struct statistics_interval *interval)
{
	double difference = b->mean - a->mean, of_a, of_b, all, degrees, margin;

	if (a->nr < 2 || b->nr < 2)
		return false;
	of_a = a->variance / (double)a->nr;
	of_b = b->variance / (double)b->nr;
	all = of_a + of_b;
	*interval = (struct statistics_interval){difference, difference, 0};
	if (!isfinite(difference) || !isfinite(all))
		return false;
	if (all <= 0)
		return true;
	/* Welch and Satterthwaite, in shares of the sum: its square would be the first to overflow.
	 */
	of_a /= all;
	of_b /= all;
	degrees = 1 / (of_a * of_a / (double)(a->nr - 1) + of_b * of_b / (double)(b->nr - 1));
	interval->degrees = degrees > DEGREES_MAX ? DEGREES_MAX
			    : degrees < 1	  ? 1
						  : (uint32_t)degrees;
	margin = statistics__t_quantile(confidence, interval->degrees) * root(all);
	interval->low = difference - margin;
	interval->high = difference + margin;
	return true;
}
