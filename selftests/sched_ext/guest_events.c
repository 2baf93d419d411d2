// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can go wrong in a guest besides the test itself: init, the kernel and the machine end or
 * stall. Each has its own verdict, whose cause says what it was.
 */
#include <ktstr/harness.h>

#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>

#include "kernel_fault.h"
#include "workload.h"

static void __attribute__((noreturn)) wait_for_the_end(void)
{
	for (;;)
		pause();
}

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/*
 * A stall is noticed when somebody waits for a grace period, by the tick of a CPU that is not idle.
 * Starts one process for each on the caller's CPU. Returns the second one's id, or -1.
 */
static pid_t keep_rcu_busy(void)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (pid < 0)
		return pid;
	pid = fork();
	if (!pid)
		for (;;)
			;
	return pid;
}

/* The tests that meet it have set the kernel's own limits before, so that it notices in seconds. */
#define TRIGGER(fault)                                              \
	do {                                                        \
		int __ret = kernel_fault__trigger(fault);           \
                                                                    \
		if (__ret == -ENOENT)                               \
			SKIP(return, KERNEL_FAULT_NEEDS);           \
		ASSERT_EQ(0, __ret)                                 \
		{                                                   \
			TH_LOG("the module: %s", strerror(-__ret)); \
		}                                                   \
		wait_for_the_end();                                 \
	} while (0)

KTSTR_TEST(crash_of_init, .expect_verdict = KTSTR_VERDICT_INIT_DIED,
	   .expect_cause = "PID 1 (/init) got SIGSEGV")
{
	ASSERT_EQ(0, kill(1, SIGSEGV));
	wait_for_the_end();
}

KTSTR_TEST_SIGNAL(crash_of_the_test, SIGSEGV)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
}

KTSTR_TEST(out_of_memory, .memory_mb = 256, .expect_verdict = KTSTR_VERDICT_GUEST_OOM,
	   .expect_cause = "Out of memory: Killed process")
{
	const size_t size = 1u << 30; /* more than there is */
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, memory);
	for (size_t at = 0; at < size; at += 4096)
		memory[at] = 1;
}

KTSTR_TEST(kernel_oops, .expect_verdict = KTSTR_VERDICT_KERNEL_OOPS,
	   .expect_cause = "address: 0000000000000000; in ktstr_fault_null+0x")
{
	TRIGGER(KERNEL_FAULT_NULL);
}

/* A CPU that runs nothing else, seen by its own timer; its registers are warnings of the kernel. */
KTSTR_TEST(soft_lockup, .expect_verdict = KTSTR_VERDICT_GUEST_STALL,
	   .expect_cause = "; in ktstr_fault_spin+0x")
{
	ASSERT_EQ(0, file__write("/proc/sys/kernel/watchdog_thresh", "1"));
	TRIGGER(KERNEL_FAULT_SPIN);
}

/* A CPU that hears nothing, seen by the other one. */
KTSTR_TEST(rcu_stall, .topology = TOPO(1, 1, 2, 1), .expect_verdict = KTSTR_VERDICT_GUEST_STALL,
	   .expect_cause = "detected stalls on CPUs/tasks:; in ktstr_fault_spin_no_irqs+0x")
{
	ASSERT_EQ(0, file__write("/proc/sys/kernel/watchdog", "0"));
	ASSERT_EQ(0, file__write("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "3"));
	ASSERT_EQ(0, pin(0));
	ASSERT_LE(0, keep_rcu_busy());
	ASSERT_EQ(0, pin(1));
	TRIGGER(KERNEL_FAULT_SPIN_NO_IRQS);
}

KTSTR_TEST(hung_task, .expect_verdict = KTSTR_VERDICT_GUEST_STALL,
	   .expect_cause = "INFO: task init:")
{
	ASSERT_EQ(0, file__write("/proc/sys/kernel/hung_task_timeout_secs", "1"));
	TRIGGER(KERNEL_FAULT_SLEEP);
}

KTSTR_TEST(reboot_by_the_test, .expect_verdict = KTSTR_VERDICT_GUEST_REBOOT,
	   .expect_cause = "during the test (reset by the ACPI reset register")
{
	ASSERT_EQ(0, reboot(RB_AUTOBOOT));
}

KTSTR_TEST(power_off_by_the_test, .expect_verdict = KTSTR_VERDICT_GUEST_REBOOT,
	   .expect_cause = "during the test (guest powered off")
{
	ASSERT_EQ(0, reboot(RB_POWER_OFF));
}

KTSTR_HARNESS_MAIN
