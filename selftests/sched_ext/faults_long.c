// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rest of the table of faults against what sees them; faults.c has some more. Long: run by
 * make check-long.
 */
#include <ktstr/harness.h>

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fault_scenarios.h"
#include "scx_ktstr.h"
#include "workload.h"

#define UNDER_SCX_KTSTR                                                                 \
	.scheduler = "scx_ktstr", .scheduler_ops = "ktstr", .topology = FAULT_TOPOLOGY, \
	.timeout_s = 180
#define FAULT(fault, ...) \
	UNDER_SCX_KTSTR,  \
		.scheduler_args = KTSTR_ARGS("--fault", fault, "--fault-on-signal", ##__VA_ARGS__)

/* ---- Seen by a check of the kit ---- */

KTSTR_TEST(without_a_fault_all_scenarios_pass, UNDER_SCX_KTSTR)
{
	EXPECT_TRUE(fault_scenario__fails(&faults_busy, 0));
	EXPECT_TRUE(fault_scenario__fails(&faults_calm, 0));
	EXPECT_TRUE(fault_scenario__fails(&faults_wakes, 0));
	EXPECT_TRUE(fault_scenario__fails(&faults_confined, 0));
	EXPECT_TRUE(fault_scenario__fails(&faults_local, 0));
}

/* Workers that never run again can't be killed either. */
KTSTR_TEST(stall_is_seen_as_starvation_and_stall, FAULT("stall", "--fault-comm", "yield"))
{
	EXPECT_TRUE(
		fault_scenario__fails(&faults_calm, KTSTR_CHECK(STARVATION) | KTSTR_CHECK(STALL)));
}

KTSTR_TEST(unfair_is_seen_as_unfairness, FAULT("unfair", "--fault-comm", "spin"))
{
	EXPECT_TRUE(fault_scenario__fails(&faults_busy, KTSTR_CHECK(FAIRNESS)));
}

KTSTR_TEST(pile_is_seen_as_imbalance, FAULT("pile", "--fault-comm", "spin"))
{
	EXPECT_TRUE(fault_scenario__fails(&faults_busy, KTSTR_CHECK(IMBALANCE)));
}

KTSTR_TEST(slow_wake_is_seen_as_wake_up_latency, FAULT("slow-wake", "--fault-comm", "burst"))
{
	EXPECT_TRUE(fault_scenario__fails(&faults_wakes, KTSTR_CHECK(WAKE_P99)));
}

KTSTR_TEST(remote_is_seen_as_lost_locality, FAULT("remote", "--fault-comm", "cache"))
{
	EXPECT_TRUE(fault_scenario__fails(&faults_local, KTSTR_CHECK(LOCALITY)));
}

/* ---- Seen by the kernel ---- */

KTSTR_TEST(leak_ends_by_the_watchdog, FAULT("leak", "--fault-comm", "spin", "--timeout-ms", "2000"),
	   .expect_sched_exit = KTSTR_SCX_EXIT_ERROR_STALL,
	   .expect_cause = "EXIT: runnable task stall (spin[")
{
	fault_scenario__fails(&faults_busy, 0);
	pause();
}

KTSTR_TEST(crash_in_init_keeps_it_from_attaching, .scheduler = "scx_ktstr",
	   .scheduler_args = KTSTR_ARGS("--fault", "crash-init"),
	   .expect_verdict = KTSTR_VERDICT_SCHED_NOT_ATTACHED,
	   .expect_cause = "told to crash in init")
{
	ASSERT_TRUE(false)
	{
		TH_LOG("the test ran without its scheduler");
	}
}

/* ---- Crashes while it runs ---- */

#define PROVOKED "provoked"
#define OTHER_CPU "/sys/devices/system/cpu/cpu1/online"

FIXTURE(crash)
{
	struct spinners spinners;
};

FIXTURE_VARIANT(crash)
{
	const char *in;
};

#define CRASH_IN(callback)                                                            \
	KTSTR_FIXTURE_VARIANT_ADD(crash, in_##callback, FAULT("crash-" #callback),    \
				  .expect_sched_exit = KTSTR_SCX_EXIT_ERROR_BPF,      \
				  .expect_cause = "told to crash in " #callback ")"){ \
		.in = #callback,                                                      \
	};
CRASH_IN(select_cpu)
CRASH_IN(enqueue)
CRASH_IN(dequeue)
CRASH_IN(dispatch)
CRASH_IN(tick)
CRASH_IN(runnable)
CRASH_IN(running)
CRASH_IN(stopping)
CRASH_IN(quiescent)
CRASH_IN(yield)
CRASH_IN(set_weight)
CRASH_IN(set_cpumask)
CRASH_IN(update_idle)
CRASH_IN(cpu_acquire)
CRASH_IN(cpu_release)
CRASH_IN(cpu_online)
CRASH_IN(cpu_offline)
CRASH_IN(init_task)
CRASH_IN(exit_task)
CRASH_IN(enable)
CRASH_IN(disable)
CRASH_IN(cgroup_init)
CRASH_IN(cgroup_exit)
CRASH_IN(cgroup_prep_move)
CRASH_IN(cgroup_move)
CRASH_IN(cgroup_set_weight)

FIXTURE_SETUP(crash)
{
	ASSERT_EQ(0, spinners__create(&self->spinners, NULL, 4));
	ASSERT_EQ(0, spinners__start(&self->spinners));
}

FIXTURE_TEARDOWN(crash)
{
	spinners__stop(&self->spinners);
}

/* A task that comes, yields and goes. */
static void provoke_by_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		sched_yield();
		sleep_ms(1);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Attributes of a task that runs or waits, and back. */
static void provoke_by_change(pid_t pid)
{
	static const struct sched_param fifo = {.sched_priority = 1}, other = {.sched_priority = 0};
	cpu_set_t all, one;

	setpriority(PRIO_PROCESS, (id_t)pid, 5);
	setpriority(PRIO_PROCESS, (id_t)pid, 0);
	sched_getaffinity(pid, sizeof(all), &all);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(pid, sizeof(one), &one);
	sched_setaffinity(pid, sizeof(all), &all);
	sched_setscheduler(pid, SCHED_FIFO, &fifo);
	sleep_ms(1);
	sched_setscheduler(pid, SCHED_OTHER, &other);
}

static void provoke_by_cgroup(pid_t pid)
{
	char text[16];

	cgroup__create(PROVOKED, 100);
	file__write(CGROUP_ROOT "/" PROVOKED "/cpu.weight", "200");
	snprintf(text, sizeof(text), "%d", pid);
	file__write(CGROUP_ROOT "/" PROVOKED "/cgroup.procs", text);
	file__write(CGROUP_ROOT "/cgroup.procs", text);
	rmdir(CGROUP_ROOT "/" PROVOKED);
}

/* All callbacks are called by and by: the one that crashes ends the scheduler, and the test. */
TEST_F(crash, ends_the_scheduler)
{
	printf("# crash in %s\n", variant->in);
	ASSERT_EQ(0, fault__begin(NULL));
	for (unsigned int i = 0;; i++) {
		pid_t pid = self->spinners.pids[i % self->spinners.nr];

		provoke_by_child();
		provoke_by_change(pid);
		provoke_by_cgroup(pid);
		file__write(OTHER_CPU, "0");
		file__write(OTHER_CPU, "1");
	}
}

KTSTR_HARNESS_MAIN
