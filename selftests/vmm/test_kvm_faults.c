// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM that fails: each ioctl of a machine's life in turn, and KVM_RUN with each errno and each
 * exit. What comes of it is an error or a verdict that says so, soon, and nothing is left behind.
 */
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/vm.h"

GUEST_PROGRAM(reset)
{
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* ---- The KVM that fails ---- */

static struct {
	_Atomic uint32_t calls, runs; /* ioctls but KVM_RUN, and KVM_RUN, of this machine */
	uint32_t fail_at, call_errno; /* the call that fails, from 1; 0: none */
	_Atomic unsigned long failed; /* what it asked for */
	int run_errno;
	uint32_t run_times;		   /* KVM_RUN fails so often, then works */
	void (*exit)(struct kvm_run *run); /* instead of the first KVM_RUN */
	struct vm *vm;
} plan;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

static int run_vcpu(int fd)
{
	uint32_t n = atomic_fetch_add(&plan.runs, 1);

	if (plan.run_errno && n < plan.run_times) {
		errno = plan.run_errno;
		return -1;
	}
	if (!plan.exit || n)
		return __real_ioctl(fd, KVM_RUN, 0);
	for (uint32_t i = 0; i < plan.vm->nr_vcpus; i++)
		if (plan.vm->vcpus[i].fd == fd)
			plan.exit(plan.vm->vcpus[i].run);
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	unsigned long argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, unsigned long);
	va_end(args);
	if (request == KVM_RUN)
		return run_vcpu(fd);
	if (atomic_fetch_add(&plan.calls, 1) + 1 == plan.fail_at) {
		atomic_store(&plan.failed, request);
		errno = (int)plan.call_errno;
		return -1;
	}
	return __real_ioctl(fd, request, argument);
}

/* ---- Machines ---- */

FIXTURE(kvm)
{
	char cache[32], kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	struct ktstr_disk disk;
	struct ktstr_nic nic;
};

typedef FIXTURE_DATA(kvm) state;

FIXTURE_SETUP(kvm)
{
	memset(self, 0, sizeof(*self));
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "no access to /dev/kvm");
	strcpy(self->cache, "/tmp/ktstr-test-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->cache));
	unsetenv("KTSTR_SCRATCH");
	setenv("KTSTR_CACHE", self->cache, 1);
	ASSERT_TRUE(
		guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_reset, NULL, 0));
	self->disk = (struct ktstr_disk){.fs = "none", .size_mb = 16};
	ktstr_vm_config__defaults(&self->config);
	self->config.memory_mb = 128;
	self->config.boot_timeout_s = 20;
	self->config.kernel = self->config.init = self->kernel;
	self->config.disks = &self->disk;
	self->config.nr_disks = 1;
	self->config.nics = &self->nic;
	self->config.nr_nics = 1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

FIXTURE_TEARDOWN(kvm)
{
	ktstr_vm__destroy(self->vm);
	if (self->kernel[0])
		unlink(self->kernel);
	if (self->cache[0])
		nftw(self->cache, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* Entries of /proc/self/fd or task. */
static uint32_t count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	uint32_t n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* 0 and *result, or -errno of either step. */
static int boot(state *self)
{
	int err;

	self->error = (struct ktstr_error){.err = 0};
	atomic_store(&plan.calls, 0);
	atomic_store(&plan.runs, 0);
	err = ktstr_vm__create(&self->config, &self->vm, &self->error);
	if (err)
		return err;
	plan.vm = (struct vm *)self->vm;
	return ktstr_vm__run(self->vm, &self->result, &self->error);
}

static void end(state *self)
{
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
}

static bool ended_by_reset(const state *self)
{
	return self->result.verdict == KTSTR_VERDICT_NO_BOOT &&
	       strstr(self->result.cause, "reset by the keyboard controller");
}

/* ---- Each ioctl in turn ---- */

static void fail_each_call(struct __test_metadata *_metadata, state *self, uint32_t err)
{
	uint32_t fds, refused = 0, survived = 0;

	/* One that works: what is made once, as a template of a disk, is there then. */
	plan.fail_at = 0;
	ASSERT_EQ(0, boot(self));
	ASSERT_TRUE(ended_by_reset(self)) TH_LOG("%s", self->result.cause);
	end(self);
	fds = count_entries("/proc/self/fd");
	plan.call_errno = err;
	for (plan.fail_at = 1;; plan.fail_at++) {
		int ret = boot(self);

		if (atomic_load(&plan.calls) < plan.fail_at && !ret)
			break;
		if (ret) {
			EXPECT_GT(0, ret);
			EXPECT_NE(0, self->error.operation[0]);
			refused++;
		} else if (ended_by_reset(self)) {
			survived++; /* what it asked for is a favour, or a question */
		} else {
			EXPECT_EQ(KTSTR_VERDICT_HOST_ERROR, self->result.verdict)
			TH_LOG("ioctl %u (0x%lx): %s", plan.fail_at, atomic_load(&plan.failed),
			       self->result.cause);
		}
		end(self);
		ASSERT_EQ(fds, count_entries("/proc/self/fd"))
		TH_LOG("ioctl %u (0x%lx)", plan.fail_at, atomic_load(&plan.failed));
		ASSERT_EQ(1 + 2, count_entries("/proc/self/task"))
		TH_LOG("ioctl %u (0x%lx)", plan.fail_at, atomic_load(&plan.failed));
	}
	TH_LOG("%u ioctls: %u end it, %u do not matter", plan.fail_at - 1, refused, survived);
	EXPECT_LT(20, refused);
	/* The one that did not fail, and one more. */
	EXPECT_TRUE(ended_by_reset(self));
	end(self);
	plan.fail_at = 0;
	EXPECT_EQ(0, boot(self));
	EXPECT_TRUE(ended_by_reset(self));
}

TEST_F(kvm, each_ioctl_may_fail)
{
	fail_each_call(_metadata, self, EIO);
}

TEST_F(kvm, each_ioctl_may_fail_with_the_ioapic_in_the_monitor)
{
	self->config.irqchip = KTSTR_IRQCHIP_SPLIT;
	self->config.topology = TOPO(1, 1, 2, 1);
	fail_each_call(_metadata, self, ENOMEM);
}

/* ---- KVM_RUN fails ---- */

TEST_F(kvm, an_errno_of_run_ends_the_machine_at_once)
{
	static const int errnos[] = {
		EFAULT, EINVAL, ENOEXEC, ENOSYS, EPERM, EIO,	ENOMEM, EBADF,	   ENOTTY,
		ENXIO,	ENODEV, EBUSY,	 ENOENT, E2BIG, ENOSPC, EACCES, ESHUTDOWN, EOPNOTSUPP,
	};

	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
		plan.run_errno = errnos[i];
		plan.run_times = UINT32_MAX;
		ASSERT_EQ(0, boot(self));
		EXPECT_EQ(KTSTR_VERDICT_HOST_ERROR, self->result.verdict);
		EXPECT_NE(NULL, strstr(self->result.cause, strerror(errnos[i])))
		TH_LOG("%s", self->result.cause);
		EXPECT_EQ(1, atomic_load(&plan.runs));
		end(self);
	}
	plan.run_errno = 0;
	EXPECT_EQ(0, boot(self));
	EXPECT_TRUE(ended_by_reset(self));
}

/* A signal, or a vCPU that waits for its start: it is tried again. */
TEST_F(kvm, run_that_is_interrupted_goes_on)
{
	static const int errnos[] = {EINTR, EAGAIN};

	for (size_t i = 0; i < 2; i++) {
		plan.run_errno = errnos[i];
		plan.run_times = 1000;
		ASSERT_EQ(0, boot(self));
		EXPECT_TRUE(ended_by_reset(self));
		EXPECT_LT(1000, atomic_load(&plan.runs));
		end(self);
	}
}

TEST_F(kvm, run_that_is_interrupted_for_ever_meets_the_time_limit)
{
	plan.run_errno = EINTR;
	plan.run_times = UINT32_MAX;
	self->config.boot_timeout_s = 1;
	ASSERT_EQ(0, boot(self));
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_NE(NULL, strstr(self->result.cause, "no init after 1 s"))
	TH_LOG("%s", self->result.cause);
}

/* ---- Exits ---- */

static struct kvm_run made; /* but for its exit_reason, what the exit says */
static uint32_t reason;

static void make_exit(struct kvm_run *run)
{
	uint64_t data_offset = run->io.data_offset;

	memcpy(run->padding, made.padding, sizeof(made.padding)); /* all of the union */
	run->exit_reason = reason;
	/* The kernel's, unless the test says otherwise. */
	if (reason == KVM_EXIT_IO && !run->io.data_offset)
		run->io.data_offset = data_offset ? data_offset : 4096;
}

static void boot_to_exit(struct __test_metadata *_metadata, state *self, uint32_t why)
{
	reason = why;
	plan.exit = make_exit;
	ASSERT_EQ(0, boot(self));
}

#define EXPECT_ENDED(verdict_, text)                               \
	do {                                                       \
		EXPECT_EQ(verdict_, self->result.verdict);         \
		EXPECT_NE(NULL, strstr(self->result.cause, text))  \
		TH_LOG("exit %u: %s", reason, self->result.cause); \
		EXPECT_EQ(1, atomic_load(&plan.runs));             \
		end(self);                                         \
	} while (0)

/* Those that nobody asked KVM for, and numbers that are none yet. */
TEST_F(kvm, exits_of_no_use_here_are_named)
{
	for (uint32_t why = 0; why < 80; why++) {
		char text[64];

		switch (why) {
		case KVM_EXIT_IO:
		case KVM_EXIT_MMIO:
		case KVM_EXIT_INTR:
		case KVM_EXIT_SHUTDOWN:
		case KVM_EXIT_SYSTEM_EVENT:
		case KVM_EXIT_INTERNAL_ERROR:
		case KVM_EXIT_FAIL_ENTRY:
			continue;
		default:
			break;
		}
		memset(&made, why & 1 ? 0xff : 0, sizeof(made));
		boot_to_exit(_metadata, self, why);
		snprintf(text, sizeof(text), "unexpected exit reason (0x%x)", why);
		EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, text);
	}
	memset(&made, 0, sizeof(made));
	boot_to_exit(_metadata, self, UINT32_MAX);
	EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, "unexpected exit reason (0xffffffff)");
}

TEST_F(kvm, internal_errors_and_failed_entries_are_named)
{
	for (uint32_t suberror = 0; suberror < 6; suberror++) {
		char text[64];

		memset(&made, 0xff, sizeof(made));
		made.internal.suberror = suberror;
		made.internal.ndata = suberror * 1000; /* more than there is room for */
		boot_to_exit(_metadata, self, KVM_EXIT_INTERNAL_ERROR);
		snprintf(text, sizeof(text), "internal error (0x%x)", suberror);
		EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, text);
	}
	memset(&made, 0, sizeof(made));
	made.fail_entry.hardware_entry_failure_reason = 0x80000021;
	boot_to_exit(_metadata, self, KVM_EXIT_FAIL_ENTRY);
	EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, "guest entry failed (0x80000021)");
}

TEST_F(kvm, events_of_the_system_are_told_apart)
{
	memset(&made, 0, sizeof(made));
	made.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	boot_to_exit(_metadata, self, KVM_EXIT_SYSTEM_EVENT);
	EXPECT_ENDED(KTSTR_VERDICT_NO_BOOT, "guest powered off");
	made.system_event.type = KVM_SYSTEM_EVENT_RESET;
	boot_to_exit(_metadata, self, KVM_EXIT_SYSTEM_EVENT);
	EXPECT_ENDED(KTSTR_VERDICT_NO_BOOT, "guest reset the machine");
	made.system_event.type = KVM_SYSTEM_EVENT_CRASH;
	boot_to_exit(_metadata, self, KVM_EXIT_SYSTEM_EVENT);
	EXPECT_ENDED(KTSTR_VERDICT_NO_BOOT, "guest told KVM that it crashed");
	for (uint32_t type = KVM_SYSTEM_EVENT_CRASH + 1; type < 12; type++) {
		char text[64];

		made.system_event.type = type;
		made.system_event.ndata = 99;
		boot_to_exit(_metadata, self, KVM_EXIT_SYSTEM_EVENT);
		snprintf(text, sizeof(text), "unexpected system event (0x%x)", type);
		EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, text);
	}
	boot_to_exit(_metadata, self, KVM_EXIT_SHUTDOWN);
	EXPECT_ENDED(KTSTR_VERDICT_NO_BOOT, "triple fault");
}

/* An access that is in no machine: it is not carried out. */
TEST_F(kvm, accesses_that_cannot_be_are_named)
{
	static const struct {
		uint8_t size;
		uint32_t count;
		uint64_t data_offset;
	} io[] = {
		{0, 1, 0},	    {3, 1, 0},	  {8, 1, 0},	      {255, 1, 0},
		{4, UINT32_MAX, 0}, {1, 1 << 20, 0}, {1, 1, UINT64_MAX}, {4, 2, 1 << 20},
	};
	static const uint32_t lengths[] = {0, 9, 255, UINT32_MAX};

	for (size_t i = 0; i < sizeof(io) / sizeof(io[0]); i++) {
		for (uint8_t direction = 0; direction < 2; direction++) {
			memset(&made, 0, sizeof(made));
			made.io.size = io[i].size;
			made.io.count = io[i].count;
			made.io.data_offset = io[i].data_offset;
			made.io.direction = direction;
			made.io.port = 0x3f8;
			boot_to_exit(_metadata, self, KVM_EXIT_IO);
			EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, "impossible access to a port");
		}
	}
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (uint8_t write = 0; write < 2; write++) {
			memset(&made, 0, sizeof(made));
			made.mmio.phys_addr = X86_VIRTIO_GPA;
			made.mmio.len = lengths[i];
			made.mmio.is_write = write;
			boot_to_exit(_metadata, self, KVM_EXIT_MMIO);
			EXPECT_ENDED(KTSTR_VERDICT_HOST_ERROR, "impossible access to memory");
		}
	}
}

/* What is an access, wherever it goes, is carried out, and the guest goes on. */
TEST_F(kvm, accesses_of_odd_places_are_none_of_the_hosts_business)
{
	static const uint64_t addresses[] = {0, X86_VIRTIO_GPA - 4, X86_VIRTIO_GPA + 0x1fd,
					     UINT64_C(1) << 52, UINT64_MAX - 3};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		for (uint32_t length = 1; length <= 8; length++) {
			memset(&made, 0xff, sizeof(made));
			made.mmio.phys_addr = addresses[i];
			made.mmio.len = length;
			made.mmio.is_write = (uint8_t)(i & 1);
			boot_to_exit(_metadata, self, KVM_EXIT_MMIO);
			EXPECT_TRUE(ended_by_reset(self)) TH_LOG("%s", self->result.cause);
			end(self);
		}
	}
	memset(&made, 0, sizeof(made));
	made.io.size = 4;
	made.io.count = 1;
	made.io.port = 0xffff;
	boot_to_exit(_metadata, self, KVM_EXIT_IO);
	EXPECT_TRUE(ended_by_reset(self));
}

TEST_HARNESS_MAIN
