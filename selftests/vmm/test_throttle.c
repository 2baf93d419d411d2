// SPDX-License-Identifier: GPL-2.0-only
/* Token buckets, on a clock that the tests keep. */
#include "vmm/virtio/throttle.h"

#include "kselftest_harness.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* Operations of @bytes that start within @ns when as many as may start do so, @late ns too late. */
static uint64_t count(struct throttle *t, uint64_t bytes, uint64_t ns, uint64_t late)
{
	uint64_t now = 0, started = 0;
	bool idle = true;

	while (now < ns) {
		uint64_t wait = throttle__wait_ns(t, now);

		if (wait) {
			now += wait + late;
			idle = false;
			continue;
		}
		throttle__take(t, bytes, now, idle);
		started++;
	}
	return started;
}

static bool is_within(uint64_t value, uint64_t expected, uint64_t permille)
{
	return value * 1000 >= expected * (1000 - permille) &&
	       value * 1000 <= expected * (1000 + permille);
}

static struct throttle limited(struct throttle_limit operations, struct throttle_limit bytes)
{
	struct throttle t;

	throttle__init(&t, &operations, &bytes);
	return t;
}

TEST(rates_hold_over_ten_seconds)
{
	static const uint64_t rates[] = {10, 100, 333, 2000, 77777, 1000000};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct throttle t = limited((struct throttle_limit){.rate = rates[i]},
					    (struct throttle_limit){0});

		EXPECT_TRUE(is_within(count(&t, 4096, 10 * NS_PER_S, 0), rates[i] * 10, 15));
		t = limited((struct throttle_limit){0},
			    (struct throttle_limit){.rate = rates[i] * 4096});
		EXPECT_TRUE(is_within(count(&t, 4096, 10 * NS_PER_S, 0), rates[i] * 10, 15));
	}
}

/* A host that is busy wakes us late: what could have started by then starts at once. */
TEST(late_timers_lose_nothing)
{
	struct throttle t =
		limited((struct throttle_limit){.rate = 2000}, (struct throttle_limit){0});

	EXPECT_TRUE(is_within(count(&t, 4096, 10 * NS_PER_S, 300 * NS_PER_MS), 20000, 40));
}

TEST(stricter_limit_holds)
{
	struct throttle t = limited((struct throttle_limit){.rate = 1000},
				    (struct throttle_limit){.rate = 100 * 4096});

	EXPECT_TRUE(is_within(count(&t, 4096, 10 * NS_PER_S, 0), 1000, 15));
}

TEST(burst_may_come_at_once_and_again_after_a_pause)
{
	struct throttle t = limited((struct throttle_limit){.rate = 10, .burst = 5},
				    (struct throttle_limit){0});
	uint64_t now = 0;

	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 5; i++) {
			ASSERT_EQ(0, throttle__wait_ns(&t, now));
			throttle__take(&t, 0, now, true);
		}
		EXPECT_EQ(100 * NS_PER_MS, throttle__wait_ns(&t, now));
		now += 3600 * NS_PER_S; /* and not an hour's worth */
	}
}

TEST(default_burst_is_what_comes_in_100_ms_and_one_more)
{
	struct throttle t =
		limited((struct throttle_limit){.rate = 1000}, (struct throttle_limit){0});
	uint32_t n = 0;

	for (; !throttle__wait_ns(&t, 0); n++)
		throttle__take(&t, 0, 0, true);
	EXPECT_EQ(101, n);
}

/* Larger than the bucket: it starts, and what comes after pays for it. */
TEST(operation_larger_than_the_bucket_starts)
{
	struct throttle t = limited((struct throttle_limit){0},
				    (struct throttle_limit){.rate = 1 << 20, .burst = 4096});

	ASSERT_EQ(0, throttle__wait_ns(&t, 0));
	throttle__take(&t, 10 << 20, 0, true);
	EXPECT_TRUE(is_within(throttle__wait_ns(&t, 0), 10 * NS_PER_S, 1));
}

TEST(extreme_numbers_do_not_overflow)
{
	struct throttle t = limited((struct throttle_limit){.rate = 1, .burst = UINT64_MAX},
				    (struct throttle_limit){.rate = UINT64_MAX, .burst = 1});

	for (uint32_t i = 0; i < 1000; i++)
		throttle__take(&t, UINT64_MAX, i, false);
	t = limited((struct throttle_limit){0}, (struct throttle_limit){.rate = 1});
	for (uint32_t i = 0; i < 1000; i++)
		throttle__take(&t, UINT64_MAX, i, false);
	EXPECT_LT(0, throttle__wait_ns(&t, 0));
	EXPECT_LT(0, throttle__wait_ns(&t, 86400 * NS_PER_S));
}

TEST(no_limit_never_waits)
{
	struct throttle t = limited((struct throttle_limit){0}, (struct throttle_limit){0});

	EXPECT_FALSE(throttle__limits(&t));
	throttle__take(&t, UINT64_MAX, 0, true);
	EXPECT_EQ(0, throttle__wait_ns(&t, 0));
}

TEST_HARNESS_MAIN
