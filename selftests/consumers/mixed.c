// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every kind of end in one binary, for selftests/cli/consumers.t: what reads kselftest output has
 * to agree on each. It fails on purpose and is in no list of tests.
 */
#include <ktstr/harness.h>

#include <fcntl.h>
#include <signal.h>

/* All that some consumer would take for a result, a crash or an end, and no newline at its end. */
static void print_nasty_lines(void)
{
	printf("not ok 1 this is output\n"
	       "ok 2 this, too\n"
	       "# not ok 3 and this\n"
	       "# # ok 4 behind two signs # SKIP no\n"
	       "  ok 5 indented\n"
	       "okay\n"
	       "1..99\n"
	       "TAP version 13\n"
	       "KTAP version 1\n"
	       "# Subtest: none\n"
	       "#    Subtest: none\n"
	       "Bail out! no\n"
	       "[FAIL] no [fail] FAIL: no\n"
	       "[SKIP] SKIP: no # SKIP no\n"
	       "SKIP no\n"
	       "[    1.000000] RIP: 0010:nothing+0x1/0x2\n"
	       "[    1.000000] Call Trace:\n"
	       "[    1.000000] BUG: nothing happened\n"
	       "[    1.000000] Oops: no [#1] SMP\n"
	       "[    1.000000] WARNING: no\n"
	       "------------[ cut here ]------------\n"
	       "---[ end trace 0000000000000000 ]---\n"
	       "Kernel panic - not syncing: VFS: no\n"
	       "List of all partitions:\n"
	       "reboot: System halted\n"
	       "\033[31mred\033[0m\r\n"
	       "\n"
	       "not ok 6 without an end");
}

static void panic(struct __test_metadata *_metadata)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(1, write(fd, "c", 1));
}

/* ---- All is well: `mixed -f clean -f known` ---- */

FIXTURE(clean)
{
	int unused;
};

FIXTURE_SETUP(clean)
{
}

FIXTURE_TEARDOWN(clean)
{
}

TEST_F(clean, passes)
{
	ASSERT_EQ(0, getuid());
}

TEST_F(clean, passes_with_nasty_output)
{
	print_nasty_lines();
}

KTSTR_TEST_F(clean, fails_as_expected, .expect_verdict = KTSTR_VERDICT_FAIL,
	     .expect_cause = "not ok 6 without an end")
{
	print_nasty_lines();
	ASSERT_TRUE(false);
}

KTSTR_TEST_F(clean, panics_as_expected, .expect_verdict = KTSTR_VERDICT_KERNEL_PANIC,
	     .expect_cause = "Kernel panic - not syncing: sysrq triggered crash")
{
	panic(_metadata);
}

FIXTURE(known)
{
	int unused;
};

FIXTURE_VARIANT(known)
{
	int unused;
};

FIXTURE_VARIANT_ADD(known, fault){};

FIXTURE_SETUP(known)
{
}

FIXTURE_TEARDOWN(known)
{
}

TEST_F(known, fails)
{
	ASSERT_TRUE(false);
}

XFAIL_ADD(known, fault, fails);

/* ---- All goes wrong: `mixed -f troubled` ---- */

FIXTURE(troubled)
{
	int unused;
};

FIXTURE_SETUP(troubled)
{
}

FIXTURE_TEARDOWN(troubled)
{
}

TEST_F(troubled, fails_with_nasty_output)
{
	print_nasty_lines();
	EXPECT_STREQ("ok 1\nnot ok 2", "# SKIP");
}

/* kselftest prints a reason behind the "#" of the test's line, where "TODO" means a pass. */
TEST_F(troubled, fails_after_a_reason)
{
	strcpy(_metadata->results->reason, "TODO: find out");
	EXPECT_TRUE(false);
}

KTSTR_TEST_F(troubled, times_out, .timeout_s = 5)
{
	for (;;)
		pause();
}

TEST_F(troubled, crashes)
{
	signal(SIGSEGV, SIG_DFL);
	kill(getpid(), SIGSEGV);
}

TEST_F(troubled, panics)
{
	panic(_metadata);
}

TEST_F(troubled, skips)
{
	SKIP(return, "no such hardware");
}

/* What came before has cost it nothing. */
TEST_F(troubled, passes)
{
	ASSERT_EQ(0, getuid());
}

KTSTR_HARNESS_MAIN
