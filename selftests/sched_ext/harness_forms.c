// SPDX-License-Identifier: GPL-2.0-only
/* kselftest's own forms mean in a guest what they mean everywhere. */
#include <ktstr/harness.h>

#include <signal.h>

#include "workload.h"

TEST(plain_test_runs_in_a_guest)
{
	char text[256];

	ASSERT_TRUE(ktstr_guest__is_guest());
	ASSERT_EQ(1, getppid());
	ASSERT_EQ(0, file__read("/proc/1/comm", text, sizeof(text)));
	EXPECT_STREQ("init", text);
}

KTSTR_TEST(skipped_test_is_skipped, .expect_verdict = KTSTR_VERDICT_SKIP)
{
	SKIP(return, "this test is always skipped");
}

TEST_SIGNAL(test_ends_by_the_signal_that_it_names, SIGUSR1)
{
	kill(getpid(), SIGUSR1);
}

FIXTURE(fixture)
{
	bool set_up_in_guest;
};

FIXTURE_VARIANT(fixture)
{
	int expected;
};

FIXTURE_VARIANT_ADD(fixture, good){
	.expected = 7,
};

FIXTURE_VARIANT_ADD(fixture, bad){
	.expected = 8,
};

FIXTURE_SETUP(fixture)
{
	/* On the host this and the teardown would fail. */
	ASSERT_TRUE(ktstr_guest__is_guest());
	self->set_up_in_guest = true;
}

FIXTURE_TEARDOWN(fixture)
{
	ASSERT_TRUE(ktstr_guest__is_guest());
	ASSERT_TRUE(self->set_up_in_guest);
}

TEST_F(fixture, set_up_body_and_variant_meet)
{
	ASSERT_TRUE(self->set_up_in_guest);
	ASSERT_EQ(7, variant->expected);
}

XFAIL_ADD(fixture, bad, set_up_body_and_variant_meet);

KTSTR_HARNESS_MAIN
