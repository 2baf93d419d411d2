// SPDX-License-Identifier: GPL-2.0-only
/* Machines that may use only some of the host's CPUs, read back from /proc while they run. */
#include <ktstr/vm.h>

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "kselftest_harness.h"

#include "guest_code.h"
#include "host_tree.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/cpu_locks.h"

#define NO_KVM "no /dev/kvm here"
#define ONE_CPU "needs two CPUs"
#define MAX_THREADS 32

GUEST_PROGRAM(spin)
{
	asm volatile("1: jmp 1b");
}

GUEST_PROGRAM(reset)
{
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

struct thread {
	pid_t tid;
	char name[32], allowed[256];
};

struct threads {
	uint32_t nr;
	bool full; /* once */
	struct thread threads[MAX_THREADS];
	int cancel_fd;
};

FIXTURE(cap)
{
	struct host_tree tree;
	char kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	struct host_set before;
	struct threads seen;
	int end_fd; /* of the bystander */
	pthread_t bystander;
	_Atomic pid_t bystander_tid;
};

static void *stand_by(void *opaque)
{
	struct _test_data_cap *self = opaque;
	uint64_t value;

	self->bystander_tid = gettid();
	if (eventfd_read(self->end_fd, &value))
		abort();
	return NULL;
}

static void read_status(struct thread *thread)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", thread->tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "Name:\t", 6))
			snprintf(thread->name, sizeof(thread->name), "%.31s", line + 6);
		if (!strncmp(line, "Cpus_allowed_list:\t", 19))
			snprintf(thread->allowed, sizeof(thread->allowed), "%.255s", line + 19);
	}
	if (f)
		fclose(f);
}

static unsigned int count_vcpus(const struct threads *seen)
{
	unsigned int nr = 0;

	for (uint32_t i = 0; i < seen->nr; i++)
		nr += !strncmp(seen->threads[i].name, "vcpu", 4);
	return nr;
}

/* All threads of the process, once the machine runs; then it is to end. */
static void on_sample(void *opaque, const struct ktstr_sample *sample)
{
	struct threads *seen = opaque;
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;

	(void)sample;
	while (!seen->full && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || seen->nr == MAX_THREADS)
			continue;
		seen->threads[seen->nr].tid = (pid_t)strtol(entry->d_name, NULL, 10);
		read_status(&seen->threads[seen->nr++]);
	}
	if (dir)
		closedir(dir);
	/* A thread gives itself its name, a moment after it was made. */
	if (!seen->full && count_vcpus(seen) < 2) {
		seen->nr = 0;
		return;
	}
	seen->full = true;
	eventfd_write(seen->cancel_fd, 1);
}

FIXTURE_SETUP(cap)
{
	static const struct ktstr_disk disks[] = {{.fs = "none", .size_mb = 1}};

	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, NO_KVM);
	host_tree__create(&self->tree);
	unsetenv("KTSTR_SCRATCH");
	unsetenv(CPU_CAP_VARIABLE);
	setenv("KTSTR_CACHE", self->tree.root, 1);
	setenv(LOCK_DIR_VARIABLE, self->tree.sys, 1);
	ASSERT_EQ(0, host_set__allowed(&self->before));
	memset(&self->error, 0, sizeof(self->error));
	memset(&self->seen, 0, sizeof(self->seen));
	self->vm = NULL;
	self->kernel[0] = '\0';
	self->seen.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	self->end_fd = eventfd(0, EFD_CLOEXEC);
	self->bystander_tid = 0;
	ASSERT_EQ(0, pthread_create(&self->bystander, NULL, stand_by, self));
	ktstr_vm_config__defaults(&self->config);
	self->config.topology = TOPO(1, 1, 2, 1);
	self->config.memory_mb = 128;
	self->config.disks = disks;
	self->config.nr_disks = 1;
	self->config.cpu_cap = 1;
	self->config.cancel_fd = self->seen.cancel_fd;
	self->config.sample = on_sample;
	self->config.sample_opaque = &self->seen;
	self->config.sample_interval_ms = 10;
}

FIXTURE_TEARDOWN(cap)
{
	ktstr_vm__destroy(self->vm);
	if (self->kernel[0])
		unlink(self->kernel);
	eventfd_write(self->end_fd, 1);
	pthread_join(self->bystander, NULL);
	host_tree__destroy(&self->tree);
}

static int create(struct __test_metadata *_metadata, FIXTURE_DATA(cap) * self, const uint8_t *entry)
{
	char line[1200];
	int err;

	if (!guest_write_kernel(self->kernel, sizeof(self->kernel), entry, NULL, 0))
		return -EIO;
	self->config.kernel = self->config.init = self->kernel;
	err = ktstr_vm__create(&self->config, &self->vm, &self->error);
	if (err) {
		ktstr_error__format(&self->error, line, sizeof(line));
		TH_LOG("%s", line);
	}
	return err;
}

static bool is_unchanged(const struct host_set *before)
{
	struct host_set now;

	return !host_set__allowed(&now) && !memcmp(&now, before, sizeof(now));
}

TEST_F(cap, threads_of_the_machine_use_its_cpus_and_no_other_thread_is_touched)
{
	char all[256], begin[64], cpu[16];
	unsigned int nr_others = 0;

	if (host_set__count(&self->before) < 2)
		SKIP(return, ONE_CPU);
	host_set__format(&self->before, all, sizeof(all));
	snprintf(cpu, sizeof(cpu), "%u", host_set__lowest(&self->before, &self->before));
	ASSERT_EQ(0, create(_metadata, self, guest_entry_spin));
	EXPECT_TRUE(is_unchanged(&self->before));
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	EXPECT_TRUE(is_unchanged(&self->before));
	EXPECT_EQ(KTSTR_VERDICT_INTERRUPTED, self->result.verdict);
	for (uint32_t i = 0; i < self->seen.nr; i++) {
		const struct thread *thread = &self->seen.threads[i];

		TH_LOG("%s: %s", thread->name, thread->allowed);
		if (thread->tid == self->bystander_tid) {
			EXPECT_STREQ(all, thread->allowed);
		} else {
			EXPECT_STREQ(cpu, thread->allowed);
			nr_others++;
		}
	}
	EXPECT_EQ(2, count_vcpus(&self->seen));
	/* This one, and that of the disk */
	EXPECT_LE(2 + 2, nr_others);
	snprintf(begin, sizeof(begin), "CPUs %s, by ", cpu);
	EXPECT_EQ(0, strncmp(begin, self->result.host_cpus, strlen(begin)));
	TH_LOG("%s", self->result.host_cpus);
}

TEST_F(cap, a_thread_that_may_use_fewer_keeps_to_these)
{
	struct host_set last = {0};
	char begin[64];

	if (host_set__count(&self->before) < 2)
		SKIP(return, ONE_CPU);
	for (uint32_t i = HOST_MAX_CPUS; i-- > 0 && !host_set__count(&last);)
		if (host_set__has(&self->before, i))
			host_set__add(&last, i);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(last.words), (cpu_set_t *)last.words));
	ASSERT_EQ(0, create(_metadata, self, guest_entry_reset));
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	EXPECT_TRUE(is_unchanged(&last));
	/* One of one: nothing to confine */
	EXPECT_STREQ("", self->result.host_cpus);
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
	unlink(self->kernel);
	self->config.cpu_cap = 2;
	EXPECT_EQ(-EINVAL, create(_metadata, self, guest_entry_reset));
	snprintf(begin, sizeof(begin), "2 are more than the 1 that this process may use");
	EXPECT_STREQ(begin, self->error.reason);
}

TEST_F(cap, without_one_the_machine_uses_all)
{
	self->config.cpu_cap = 0;
	ASSERT_EQ(0, create(_metadata, self, guest_entry_reset));
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	EXPECT_STREQ("", self->result.host_cpus);
}

TEST_F(cap, by_the_environment_it_is_for_who_names_none)
{
	setenv(CPU_CAP_VARIABLE, "9999", 1);
	ASSERT_EQ(0, create(_metadata, self, guest_entry_reset));
}

TEST_F(cap, a_machine_that_cannot_be_created_leaves_the_thread_as_it_was)
{
	if (host_set__count(&self->before) < 2)
		SKIP(return, ONE_CPU);
	self->config.kernel = "/nowhere/bzImage";
	EXPECT_EQ(-ENOENT, ktstr_vm__create(&self->config, &self->vm, &self->error));
	EXPECT_TRUE(is_unchanged(&self->before));
}

/* The lock is the machine's from its creation to its destruction. */
TEST_F(cap, its_llc_is_locked_as_long_as_it_exists)
{
	struct host_topology host;
	struct cpu_locks_request request = {
		.host = &host, .exclusive = true, .nr_llcs = 1, .timeout_s = 1, .cancel_fd = -1};
	struct cpu_locks *locks;

	ASSERT_EQ(0, host_topology__read(&host, "/sys", &self->before, NULL));
	request.llcs = &host.cpus[0].llc;
	ASSERT_EQ(0, create(_metadata, self, guest_entry_reset));
	EXPECT_EQ(-ETIMEDOUT, cpu_locks__take(&request, &locks, NULL));
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
	EXPECT_EQ(0, cpu_locks__take(&request, &locks, &self->error));
	/* And who has it alone keeps a machine out. */
	setenv(CPU_LOCKS_TIMEOUT_VARIABLE, "1", 1);
	unlink(self->kernel);
	EXPECT_EQ(cpu_locks__has_all(locks) ? -ETIMEDOUT : 0,
		  create(_metadata, self, guest_entry_reset));
	cpu_locks__give_back(locks);
	host_topology__free(&host);
}

TEST_HARNESS_MAIN
