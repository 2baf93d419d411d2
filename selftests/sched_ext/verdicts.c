// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs that go wrong end with the verdict that names what went wrong. Each test expects its own
 * verdict; any other, a pass included, is a failure.
 */
#include <ktstr/harness.h>

#include <signal.h>
#include <sys/prctl.h>

#include "scx_ktstr.h"
#include "workload.h"

static void __attribute__((noreturn)) wait_for_the_end(void)
{
	for (;;)
		pause();
}

KTSTR_TEST(scheduler_that_exits_by_itself, .scheduler = "scx_ktstr",
	   .scheduler_args = KTSTR_ARGS("--fault", "exit", "--fault-after-ms", "3000"),
	   .expect_sched_exit = KTSTR_SCX_EXIT_UNREG_BPF, .expect_cause = "told to exit")
{
	wait_for_the_end();
}

KTSTR_TEST(scheduler_that_never_attaches, .scheduler = "scx_ktstr",
	   .scheduler_args = KTSTR_ARGS("--fault", "never-attach"), .attach_timeout_s = 5,
	   .expect_verdict = KTSTR_VERDICT_SCHED_NOT_ATTACHED)
{
	ASSERT_TRUE(false)
	{
		TH_LOG("the test ran without its scheduler");
	}
}

KTSTR_TEST(scheduler_that_stalls_a_task, .scheduler = "scx_ktstr",
	   .scheduler_args = KTSTR_ARGS("--fault", "stall", "--timeout-ms", "2000"),
	   .expect_sched_exit = KTSTR_SCX_EXIT_ERROR_STALL,
	   .expect_cause = "EXIT: runnable task stall (")
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		prctl(PR_SET_NAME, KTSTR_SCX_FAULT_COMM);
		/* It stalls when it wakes. */
		for (;;)
			sleep_ms(1);
	}
	wait_for_the_end();
}

KTSTR_TEST(scheduler_that_sysrq_takes_off, .scheduler = "scx_ktstr",
	   .expect_sched_exit = KTSTR_SCX_EXIT_SYSRQ)
{
	ASSERT_EQ(0, file__write("/proc/sysrq-trigger", "S"));
	wait_for_the_end();
}

/* It has no time to say anything: the kernel does. Its program is /scheduler in the guest. */
KTSTR_TEST(scheduler_that_is_killed, .scheduler = "scx_ktstr",
	   .expect_sched_exit = KTSTR_SCX_EXIT_UNREG, .expect_cause = "killed by signal 9")
{
	pid_t pid = process__find("scheduler");

	ASSERT_LT(1, pid);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	wait_for_the_end();
}

KTSTR_TEST(failed_assertion_fails, .expect_verdict = KTSTR_VERDICT_FAIL,
	   .expect_cause = "Expected 1 (1) == 2 (2)")
{
	ASSERT_EQ(1, 2);
}

KTSTR_TEST(failed_expectation_fails, .expect_verdict = KTSTR_VERDICT_FAIL,
	   .expect_cause = "Expected 'a' == 'b'.")
{
	EXPECT_STREQ("a", "b");
}

KTSTR_TEST(hanging_test_times_out, .timeout_s = 8, .expect_verdict = KTSTR_VERDICT_TIMEOUT,
	   .expect_cause = "during the test; vCPU 0 ")
{
	wait_for_the_end();
}

/* The kernel's panic that follows a time-out is no verdict of its own. */
KTSTR_TEST(spinning_test_times_out, .topology = TOPO(1, 1, 2, 1), .timeout_s = 8,
	   .expect_verdict = KTSTR_VERDICT_TIMEOUT, .expect_cause = "during the test; vCPU ")
{
	for (;;)
		asm volatile("");
}

KTSTR_TEST(crash_of_init_ends_the_run, .expect_verdict = KTSTR_VERDICT_INIT_DIED,
	   .expect_cause = "got SIGSEGV")
{
	ASSERT_EQ(0, kill(1, SIGSEGV));
	wait_for_the_end();
}

KTSTR_HARNESS_MAIN
