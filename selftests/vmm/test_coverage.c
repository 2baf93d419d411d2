// SPDX-License-Identifier: GPL-2.0-only
/* The guest's profile: counts of all processes come together, however these end. */
#include "kselftest_harness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_profile.h"

/* What a profile holds of @counter; takes it. */
static uint64_t counted(struct coverage *coverage, uint64_t counts[FAKE_COUNTERS])
{
	void *profile = NULL;
	size_t length = 0;

	if (coverage__take(coverage, &profile, &length) ||
	    length != sizeof(uint64_t[FAKE_COUNTERS]))
		return 0;
	memcpy(counts, profile, length);
	free(profile);
	return length;
}

TEST(counts_of_processes_that_end_by_exit_and_by_a_signal_are_there)
{
	uint64_t counts[FAKE_COUNTERS];
	struct coverage coverage;

	fake_profile__count(0); /* before PID 1 got here */
	ASSERT_EQ(0, coverage__start(&coverage, &fake_profile_runtime));
	EXPECT_TRUE(fake_profile.dumped);
	fake_profile__count(0);
	if (!fork()) {
		fake_profile__count(1);
		if (!fork()) {
			fake_profile__count(2);
			kill(getpid(), SIGKILL);
		}
		wait(NULL);
		fake_profile__count(1);
		_exit(0);
	}
	wait(NULL);
	ASSERT_NE(0, counted(&coverage, counts));
	EXPECT_EQ(2, counts[0]);
	EXPECT_EQ(2, counts[1]);
	EXPECT_EQ(1, counts[2]);
}

TEST(a_function_that_began_before_the_start_counts_too)
{
	uint64_t counts[FAKE_COUNTERS], *before = &fake_profile.counters[1];
	struct coverage coverage;

	ASSERT_EQ(0, coverage__start(&coverage, &fake_profile_runtime));
	++*before;
	fake_profile__count(1);
	ASSERT_NE(0, counted(&coverage, counts));
	EXPECT_EQ(2, counts[1]);
}

TEST(what_was_taken_is_not_counted_again)
{
	uint64_t counts[FAKE_COUNTERS];
	struct coverage coverage;

	fake_profile__count(2);
	ASSERT_EQ(0, coverage__start(&coverage, &fake_profile_runtime));
	fake_profile__count(2);
	ASSERT_NE(0, counted(&coverage, counts));
	EXPECT_EQ(2, counts[2]);
	fake_profile__count(0);
	ASSERT_NE(0, counted(&coverage, counts));
	EXPECT_EQ(1, counts[0]);
	EXPECT_EQ(0, counts[2]);
}

TEST(a_program_without_relocation_counts_for_pid_1_alone)
{
	struct coverage_runtime runtime = fake_profile_runtime;
	uint64_t counts[FAKE_COUNTERS];
	struct coverage coverage;

	runtime.bias = NULL;
	ASSERT_EQ(-ENOTSUP, coverage__start(&coverage, &runtime));
	EXPECT_TRUE(fake_profile.dumped);
	fake_profile__count(0);
	ASSERT_NE(0, counted(&coverage, counts));
	EXPECT_EQ(1, counts[0]);
}

TEST(a_runtime_that_fails_is_an_error)
{
	struct coverage coverage;
	void *profile = NULL;
	size_t length;

	ASSERT_EQ(0, coverage__start(&coverage, &fake_profile_runtime));
	fake_profile.result = -1;
	EXPECT_EQ(-EIO, coverage__take(&coverage, &profile, &length));
	EXPECT_EQ(NULL, profile);
}

/* The one that this program has, or not. */
TEST(the_runtime_is_there_exactly_when_it_was_built_with_it)
{
	struct coverage_runtime runtime;

#ifdef __LLVM_INSTR_PROFILE_GENERATE
	ASSERT_TRUE(coverage__runtime(&runtime));
	EXPECT_LT(0, runtime.end() - runtime.begin());
	EXPECT_LT(0, runtime.size());
	EXPECT_NE(NULL, runtime.bias);
	EXPECT_TRUE(runtime.set_dumped != NULL);
#else
	EXPECT_FALSE(coverage__runtime(&runtime));
	EXPECT_EQ(NULL, runtime.bias);
#endif
}

TEST_HARNESS_MAIN
