// SPDX-License-Identifier: GPL-2.0-only
/* What a run says of its host, measured by itself: guests of some instructions, on any KVM. */
#include <ktstr/vm.h>

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/host_files.h"
#include "vmm/host_use.h"
#include "vmm/record.h"

#define NO_KVM "no /dev/kvm here"

/* Some tenths of a second at least, where KVM interprets it or not. */
GUEST_PROGRAM(compute)
{
	uint32_t low, high;
	uint64_t start, now;

	print(X86_COM2_PORT, GS("ktstr-init: up\n"));
	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	start = (uint64_t)high << 32 | low;
	do {
		asm volatile("rdtsc" : "=a"(low), "=d"(high));
		now = (uint64_t)high << 32 | low;
	} while (now - start < UINT64_C(1) << 30);
	print(X86_COM2_PORT, GS("KTSTR_EXIT=0\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

FIXTURE(host_use)
{
	char kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	pid_t spinner;
};

FIXTURE_SETUP(host_use)
{
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, NO_KVM);
	memset(&self->error, 0, sizeof(self->error));
	self->vm = NULL;
	self->spinner = 0;
	ASSERT_TRUE(guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_compute,
				       NULL, 0));
	ktstr_vm_config__defaults(&self->config);
	self->config.kernel = self->config.init = self->kernel;
	self->config.memory_mb = 128;
}

FIXTURE_TEARDOWN(host_use)
{
	if (self->spinner > 0) {
		kill(self->spinner, SIGKILL);
		waitpid(self->spinner, NULL, 0);
	}
	ktstr_vm__destroy(self->vm);
	unlink(self->kernel);
}

/* All threads on one CPU, and a process that always wants it, too. */
static void share_a_cpu(struct __test_metadata *_metadata, FIXTURE_DATA(host_use) * self)
{
	struct host_set all;
	cpu_set_t one;

	ASSERT_EQ(0, host_set__allowed(&all));
	CPU_ZERO(&one);
	CPU_SET(host_set__lowest(&all, &all), &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	self->spinner = fork();
	if (!self->spinner)
		for (;;)
			;
	ASSERT_GT(self->spinner, 0);
}

static void run(struct __test_metadata *_metadata, FIXTURE_DATA(host_use) * self)
{
	ASSERT_EQ(0, ktstr_vm__create(&self->config, &self->vm, &self->error));
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	TH_LOG("%s: %s", ktstr_verdict__name(self->result.verdict),
	       self->result.cause ? self->result.cause : "");
}

TEST_F(host_use, a_run_without_a_channel_is_measured_as_a_whole)
{
	const struct ktstr_host_use *use = &self->result.host_use;
	char *text = NULL;
	size_t length;
	FILE *f;

	run(_metadata, self);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	EXPECT_FALSE(use->of_test);
	EXPECT_EQ(KTSTR_UNKNOWN, use->guest_ns);
	ASSERT_EQ(1, use->nr_vcpus);
	EXPECT_GT(use->vcpus[0].run_ns, 0);
	EXPECT_GE(use->host_ns + 20000000, use->vcpus[0].run_ns);
	EXPECT_NE(KTSTR_UNKNOWN, use->vcpus[0].wait_ns);
	EXPECT_NE(KTSTR_UNKNOWN, use->vcpus[0].preempted);
	EXPECT_NE(KTSTR_UNKNOWN, use->vcpus[0].minor_faults);
	EXPECT_NE(KTSTR_UNKNOWN, use->vcpus[0].major_faults);
	f = open_memstream(&text, &length);
	ASSERT_NE(NULL, f);
	record__result(f, &self->config, &self->result, NULL);
	ASSERT_EQ(0, fclose(f));
	EXPECT_NE(NULL, strstr(text, "\"host_use\": {\"of\": \"run\", \"host_ns\": "));
	EXPECT_NE(NULL, strstr(text, "\"guest_ns\": null"));
	EXPECT_NE(NULL, strstr(text, "\"wait_ns\": "));
	free(text);
}

TEST_F(host_use, a_shared_cpu_is_seen_and_limited)
{
	const struct ktstr_host_use *use = &self->result.host_use;

	share_a_cpu(_metadata, self);
	self->config.max_steal_pct = 5;
	run(_metadata, self);
	EXPECT_EQ(KTSTR_VERDICT_FAIL, self->result.verdict);
	ASSERT_NE(NULL, self->result.cause);
	EXPECT_NE(NULL, strstr(self->result.cause, "vCPU 0 waited for a CPU of the host for "));
	EXPECT_NE(NULL, strstr(self->result.cause, "; max_steal_pct is 5"));
	EXPECT_GT(use->steal_percent, 5);
	EXPECT_GT(use->vcpus[0].wait_ns, use->host_ns / 20);
	EXPECT_GT(use->vcpus[0].preempted, 0);
}

TEST_F(host_use, a_limit_that_holds_changes_nothing)
{
	self->config.max_steal_pct = 100;
	run(_metadata, self);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	EXPECT_EQ(NULL, self->result.cause);
}

TEST_F(host_use, a_limit_that_is_none_is_refused)
{
	static const double bad[] = {-1, 101, NAN};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		self->config.max_steal_pct = bad[i];
		EXPECT_EQ(-EINVAL, ktstr_vm__create(&self->config, &self->vm, NULL));
	}
}

TEST(what_is_not_known_does_not_hold)
{
	struct ktstr_host_use use = {.steal_percent = NAN, .host_ns = 1};
	char why[200];

	EXPECT_TRUE(host_use__exceeds(&use, 99, why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, "is not known"));
	use.steal_percent = 99;
	EXPECT_FALSE(host_use__exceeds(&use, 99, why, sizeof(why)));
	use.steal_percent = 99.5;
	EXPECT_TRUE(host_use__exceeds(&use, 99, why, sizeof(why)));
}

TEST_HARNESS_MAIN
