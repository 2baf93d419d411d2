// SPDX-License-Identifier: GPL-2.0-only
/* Against values of tables, and of samples whose interval is known. */
#include "kselftest_harness.h"

#include <math.h>

#include "vmm/statistics.h"

#define EXPECT_NEAR(expected, seen, by)                                  \
	do {                                                             \
		double e_ = (expected), s_ = (seen);                     \
		EXPECT_TRUE(e_ - s_ <= (by) && s_ - e_ <= (by))          \
		{                                                        \
			TH_LOG("%.10g, but %.10g was expected", s_, e_); \
		}                                                        \
	} while (0)

/* NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2: critical values of Student's t */
TEST(quantiles_are_those_of_the_table)
{
	static const struct {
		double confidence;
		uint32_t degrees;
		double t;
	} table[] = {
		{.80, 1, 3.078},   {.90, 1, 6.314},  {.95, 1, 12.706}, {.98, 1, 31.821},
		{.99, 1, 63.657},  {.80, 2, 1.886},  {.95, 2, 4.303},  {.99, 2, 9.925},
		{.95, 3, 3.182},   {.99, 3, 5.841},  {.95, 4, 2.776},  {.99, 4, 4.604},
		{.95, 5, 2.571},   {.95, 7, 2.365},  {.95, 8, 2.306},  {.95, 10, 2.228},
		{.99, 10, 3.169},  {.95, 15, 2.131}, {.95, 20, 2.086}, {.95, 29, 2.045},
		{.95, 30, 2.042},  {.99, 30, 2.750}, {.95, 60, 2.000}, {.95, 100, 1.984},
		{.99, 100, 2.626},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		EXPECT_NEAR(table[i].t,
			    statistics__t_quantile(table[i].confidence, table[i].degrees), 0.00051);
	/* Towards the normal distribution's 1.95996 */
	EXPECT_NEAR(1.9623, statistics__t_quantile(.95, 100000), 0.0001);
	EXPECT_NEAR(636.619, statistics__t_quantile(.999, 1), 0.001);
}

/* Of one degree it is 2 atan(t) / pi, of two t / sqrt(2 + t^2). */
TEST(probabilities_are_exact_where_they_are_simple)
{
	EXPECT_NEAR(0.5, statistics__t_probability(1, 1), 1e-14);
	EXPECT_NEAR(2.0 / 3, statistics__t_probability(1.7320508075688772, 1), 1e-14);
	EXPECT_NEAR(1 / 1.7320508075688772, statistics__t_probability(1, 2), 1e-14);
	EXPECT_NEAR(0, statistics__t_probability(0, 7), 0);
	EXPECT_NEAR(1, statistics__t_probability(1e9, 9), 1e-14);
}

TEST(probability_grows_with_t_and_with_degrees)
{
	for (uint32_t n = 1; n < 40; n++) {
		for (double t = 0.1; t < 8; t += 0.1) {
			EXPECT_LT(statistics__t_probability(t, n),
				  statistics__t_probability(t + 0.1, n));
			EXPECT_LT(statistics__t_probability(t, n),
				  statistics__t_probability(t, n + 1));
		}
	}
}

TEST(mean_and_variance)
{
	static const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
	struct statistics s = statistics__of(values, 8);

	EXPECT_EQ(8, s.nr);
	EXPECT_NEAR(5, s.mean, 1e-14);
	EXPECT_NEAR(32.0 / 7, s.variance, 1e-14);
	EXPECT_EQ(2, s.minimum);
	EXPECT_EQ(9, s.maximum);
	/* Small beside large: the sums of squares would be equal. */
	const double large[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};

	EXPECT_NEAR(30, statistics__of(large, 4).variance, 1e-6);
	EXPECT_TRUE(isnan(statistics__of(NULL, 0).mean));
	EXPECT_EQ(0, statistics__of(values, 1).variance);
}

/* Computed apart: t = 2.455356 with 24.9885 degrees, of which 24 are taken (2.063899). */
TEST(interval_of_unequal_samples)
{
	static const double a[] = {27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1,
				   21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4},
			    b[] = {27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0,
				   24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4};
	struct statistics sa = statistics__of(a, 15), sb = statistics__of(b, 15);
	struct statistics_interval interval;
	double margin, t;

	EXPECT_NEAR(20.82, sa.mean, 1e-9);
	EXPECT_NEAR(22.98667, sb.mean, 1e-5);
	ASSERT_TRUE(statistics__welch(&sa, &sb, .95, &interval));
	EXPECT_EQ(24, interval.degrees);
	margin = (interval.high - interval.low) / 2;
	/* The difference over its standard error, which the interval has times 2.0639. */
	t = (sb.mean - sa.mean) / (margin / 2.063899);
	EXPECT_NEAR(2.455356, t, 1e-5);
	EXPECT_NEAR(22.98667 - 20.82, (interval.high + interval.low) / 2, 1e-5);
}

TEST(two_runs_a_side_have_a_wide_interval)
{
	static const double a[] = {10, 12}, b[] = {20, 22};
	struct statistics sa = statistics__of(a, 2), sb = statistics__of(b, 2);
	struct statistics_interval interval;

	ASSERT_TRUE(statistics__welch(&sa, &sb, .95, &interval));
	EXPECT_EQ(2, interval.degrees);
	/* 10 +- 4.30265 * sqrt(2 / 2 + 2 / 2) */
	EXPECT_NEAR(10 - 6.08487, interval.low, 1e-4);
	EXPECT_NEAR(10 + 6.08487, interval.high, 1e-4);
}

TEST(one_run_has_none)
{
	static const double a[] = {10}, b[] = {20, 22};
	struct statistics sa = statistics__of(a, 1), sb = statistics__of(b, 2);
	struct statistics_interval interval;

	EXPECT_FALSE(statistics__welch(&sa, &sb, .95, &interval));
	EXPECT_FALSE(statistics__welch(&sb, &sa, .95, &interval));
}

TEST(equal_values_are_a_point)
{
	static const double a[] = {3, 3, 3}, b[] = {4, 4};
	struct statistics sa = statistics__of(a, 3), sb = statistics__of(b, 2);
	struct statistics_interval interval;

	ASSERT_TRUE(statistics__welch(&sa, &sb, .95, &interval));
	EXPECT_EQ(1, interval.low);
	EXPECT_EQ(1, interval.high);
}

TEST(values_too_large_have_none)
{
	static const double a[] = {1.7e308, -1.7e308}, b[] = {1, 2};
	struct statistics sa = statistics__of(a, 2), sb = statistics__of(b, 2);
	struct statistics_interval interval;

	EXPECT_FALSE(statistics__welch(&sa, &sb, .95, &interval));
}

TEST(tiny_values_have_one)
{
	static const double a[] = {1e-150, 2e-150, 3e-150}, b[] = {5e-150, 6e-150, 7e-150};
	struct statistics sa = statistics__of(a, 3), sb = statistics__of(b, 3);
	struct statistics_interval interval;

	ASSERT_TRUE(statistics__welch(&sa, &sb, .95, &interval));
	EXPECT_EQ(4, interval.degrees);
	EXPECT_LT(0, interval.low);
}

TEST_HARNESS_MAIN
