// SPDX-License-Identifier: GPL-2.0-only
/* Console lines as kernels print them, and which verdict each gives. */
#include "kselftest_harness.h"

#include <string.h>

#include "vmm/console_scan.h"

static const char boot[] = "[    0.000000] Linux version 7.3.4\n[    0.1] Command line: panic=-1\n";

FIXTURE(scan)
{
	struct console_scan scan;
};
FIXTURE_SETUP(scan)
{
	console_scan__init(&self->scan);
}
FIXTURE_TEARDOWN(scan)
{
}
FIXTURE_VARIANT(scan)
{
	const char *text;
	enum ktstr_verdict verdict;
	const char *cause; /* NULL: not looked at */
};

#define SAMPLE(name, v, expected_cause, console)                                            \
	FIXTURE_VARIANT_ADD(scan, name)                                                     \
	{                                                                                   \
		.text = (console), .verdict = KTSTR_VERDICT_##v, .cause = (expected_cause), \
	}

SAMPLE(init_killed, INIT_DIED,
       "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
       "[    3.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n");
SAMPLE(sysrq_panic, KERNEL_PANIC, "Kernel panic - not syncing: sysrq triggered crash",
       "[   12.345678] Kernel panic - not syncing: sysrq triggered crash\n");
SAMPLE(printk_caller, KERNEL_PANIC, "Kernel panic - not syncing: x",
       "[   12.345678][    T1] Kernel panic - not syncing: x\n");
SAMPLE(no_timestamp, KERNEL_PANIC, NULL, "Kernel panic - not syncing: x\r\n");
SAMPLE(no_root, NO_BOOT, NULL,
       "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on "
       "unknown-block(0,0)\n");
SAMPLE(no_init, NO_BOOT, NULL,
       "[    1.0] Kernel panic - not syncing: No working init found.  Try passing init= option to "
       "kernel.\n");
SAMPLE(no_base, NO_BOOT, "ktstr-stage1: mount erofs of the disk: EINVAL (errno 22)",
       "[    1.0] ktstr-stage1: mount erofs of the disk: EINVAL (errno 22)\n"
       "[    1.1] reboot: Restarting system\n");
SAMPLE(oom_panic, GUEST_OOM, NULL,
       "[    1.0] Kernel panic - not syncing: System is deadlocked on memory\n");
SAMPLE(oom_compulsory, GUEST_OOM, NULL,
       "[    1.0] Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled\n");
SAMPLE(oom_kill, GUEST_OOM, NULL,
       "[   30.2] Out of memory: Killed process 123 (stress) total-vm:1024kB, anon-rss:512kB\n");
SAMPLE(memory_cgroup_oom_is_not_the_machine, NONE, NULL,
       "[   30.2] Memory cgroup out of memory: Killed process 123 (stress) total-vm:1024kB\n");
SAMPLE(null_pointer, KERNEL_OOPS,
       "BUG: kernel NULL pointer dereference, address: 0000000000000010; in scx_foo+0x1a/0x40",
       "[    5.1] BUG: kernel NULL pointer dereference, address: 0000000000000010\n"
       "[    5.1] #PF: supervisor read access in kernel mode\n"
       "[    5.1] Oops: Oops: 0000 [#1] SMP NOPTI\n"
       "[    5.1] CPU: 0 UID: 0 PID: 1 Comm: init Not tainted 7.3.4 #1\n"
       "[    5.1] RIP: 0010:scx_foo+0x1a/0x40\n"
       "[    5.1] RIP: 0010:later+0x1/0x2\n"
       "[    5.1] Kernel panic - not syncing: Fatal exception\n");
SAMPLE(user_rip_is_not_the_place, KERNEL_OOPS, "Oops: 0002 [#1] PREEMPT SMP",
       "[    5.1] Oops: 0002 [#1] PREEMPT SMP\n[    5.1] RIP: 0033:0x7f0012345678\n");
SAMPLE(general_protection, KERNEL_OOPS, NULL,
       "[    5.1] general protection fault, probably for non-canonical address "
       "0xdead000000000100: 0000 [#1] SMP\n");
SAMPLE(general_protection_new, KERNEL_OOPS, NULL,
       "[    5.1] Oops: general protection fault, probably for non-canonical address "
       "0xdead000000000100: 0000 [#1] SMP\n");
SAMPLE(bug_on, KERNEL_OOPS, "kernel BUG at kernel/sched/core.c:123!; in schedule+0x1/0x2",
       "[    5.1] kernel BUG at kernel/sched/core.c:123!\n"
       "[    5.1] RIP: 0010:schedule+0x1/0x2\n");
SAMPLE(soft_lockup, GUEST_STALL, NULL,
       "[   40.1] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/1:0]\n");
SAMPLE(soft_lockup_has_its_place, GUEST_STALL,
       "watchdog: BUG: soft lockup - CPU#0 stuck for 3s! [init:90]; in spin+0x12/0x1000",
       "[   40.1] watchdog: BUG: soft lockup - CPU#0 stuck for 3s! [init:90]\n"
       "[   40.1] CPU: 0 UID: 0 PID: 90 Comm: init Tainted: G           OE       7.3.4\n"
       "[   40.1] RIP: 0010:spin+0x12/0x1000 [module]\n");
SAMPLE(hard_lockup, GUEST_STALL, NULL,
       "[   40.1] watchdog: Watchdog detected hard LOCKUP on cpu 2\n");
SAMPLE(hard_lockup_new, GUEST_STALL, NULL,
       "[   40.1] watchdog: CPU2: Watchdog detected hard LOCKUP on cpu 2\n");
SAMPLE(hard_lockup_old, GUEST_STALL, NULL,
       "[   40.1] NMI watchdog: Watchdog detected hard LOCKUP on cpu 2\n");
SAMPLE(rcu_stall, GUEST_STALL, NULL,
       "[   60.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n");
SAMPLE(rcu_self_stall, GUEST_STALL, NULL,
       "[   60.1] rcu: INFO: rcu_sched self-detected stall on CPU\n");
SAMPLE(hung_task, GUEST_STALL, NULL,
       "[  242.6] INFO: task kworker/0:1:12 blocked for more than 120 seconds.\n");
SAMPLE(hung_task_is_on_no_cpu, GUEST_STALL, "INFO: task init:91 blocked for more than 1 seconds.",
       "[  242.6] INFO: task init:91 blocked for more than 1 seconds.\n"
       "[  242.6] RIP: 0010:other+0x12/0x1000\n");
SAMPLE(invalid_opcode_new, KERNEL_OOPS, "Oops: invalid opcode: 0000 [#1] SMP NOPTI; in f+0x4/0x10",
       "[    5.1] Oops: invalid opcode: 0000 [#1] SMP NOPTI\n"
       "[    5.1] RIP: 0010:f+0x4/0x10 [module]\n");
SAMPLE(workqueue_lockup, GUEST_STALL, NULL,
       "[   90.1] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 40s!\n");
SAMPLE(first_event_wins, GUEST_STALL, NULL,
       "[   60.1] rcu: INFO: rcu_sched self-detected stall on CPU\n"
       "[   61.1] Kernel panic - not syncing: x\n");
SAMPLE(warning_is_no_event, NONE, NULL,
       "[    1.0] WARNING: CPU: 0 PID: 1 at kernel/foo.c:1 foo+0x1/0x2\n");
SAMPLE(within_a_line_is_no_event, NONE, NULL,
       "[    1.0] test: Kernel panic - not syncing: quoted\n"
       "[ text ] Kernel panic - not syncing: no timestamp\n"
       "[    1.0] no BUG: here\n"
       "[    1.0] general protection fault is a phrase\n");

TEST_F(scan, verdict_and_cause)
{
	bool found = false;
	size_t n = strlen(variant->text);

	EXPECT_FALSE(console_scan__feed(&self->scan, boot, sizeof(boot) - 1));
	/* byte by byte: chunks do not matter */
	for (size_t i = 0; i < n; i++)
		found |= console_scan__feed(&self->scan, variant->text + i, 1);
	EXPECT_EQ(variant->verdict != KTSTR_VERDICT_NONE, found);
	EXPECT_EQ(variant->verdict, self->scan.first.verdict);
	if (variant->verdict != KTSTR_VERDICT_NONE) {
		EXPECT_EQ(sizeof(boot) - 1, self->scan.first.position);
		EXPECT_EQ(3, self->scan.first.line);
	}
	if (variant->cause)
		EXPECT_STREQ(variant->cause, self->scan.first.cause);
}

TEST(position_is_right_when_lines_come_in_one_piece)
{
	static const char text[] = "one\ntwo\nKernel panic - not syncing: x\nfour\n";
	struct console_scan scan;

	console_scan__init(&scan);
	EXPECT_FALSE(console_scan__feed(&scan, "zero\n", 5));
	EXPECT_TRUE(console_scan__feed(&scan, text, sizeof(text) - 1));
	EXPECT_EQ(13, scan.first.position);
	EXPECT_EQ(4, scan.first.line);
	EXPECT_TRUE(scan.panicked);
}

TEST(a_last_line_without_newline_counts_at_the_end)
{
	struct console_scan scan;

	console_scan__init(&scan);
	EXPECT_FALSE(console_scan__feed(&scan, "Kernel panic - not syncing: x", 29));
	EXPECT_TRUE(console_scan__end(&scan));
	EXPECT_EQ(KTSTR_VERDICT_KERNEL_PANIC, scan.first.verdict);
}

TEST(an_endless_line_is_bounded)
{
	struct console_scan scan;
	char piece[1000];

	memset(piece, 'x', sizeof(piece));
	console_scan__init(&scan);
	for (int i = 0; i < 1000; i++)
		EXPECT_FALSE(console_scan__feed(&scan, piece, sizeof(piece)));
	EXPECT_TRUE(console_scan__feed(&scan, "\nBUG: x\n", 8));
	EXPECT_EQ(1000001, scan.first.position);
}

TEST_HARNESS_MAIN
