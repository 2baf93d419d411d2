// SPDX-License-Identifier: GPL-2.0-only
/*
 * Performance mode as it is applied, read back from the kernel: with guests of some instructions on
 * this host, whatever it has. selftests/cli/performance.t runs this on a host of 8 CPUs in 4 LLCs
 * and 2 nodes, with hugepages.
 */
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/kvm_para.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/cpu_locks.h"
#include "vmm/host_conditions.h"
#include "vmm/performance.h"
#include "vmm/placement.h"
#include "vmm/vm.h"

#define NO_KVM "no /dev/kvm here"
#define MAX_THREADS 64u

/* Until it is told enough: the time of the run ends it. */
GUEST_PROGRAM(spin)
{
	print(X86_COM2_PORT, GS("ktstr-init: up\n"));
	asm volatile("1: jmp 1b");
}

/* Of a thread of this process, while the machine runs. */
struct thread {
	char name[16];
	cpu_set_t cpus;
	int policy, priority;
};

struct seen {
	uint32_t nr;
	struct thread threads[MAX_THREADS];
	struct thread self; /* that of ktstr_vm__run() */
};

static void look_at(pid_t tid, struct thread *t)
{
	struct sched_param param = {0};

	CPU_ZERO(&t->cpus);
	sched_getaffinity(tid, sizeof(t->cpus), &t->cpus);
	t->policy = sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK;
	sched_getparam(tid, &param);
	t->priority = param.sched_priority;
}

static void look(void *opaque, const struct ktstr_sample *sample)
{
	struct seen *seen = opaque;
	char path[64];

	(void)sample;
	if (seen->nr)
		return;
	look_at(0, &seen->self);
	for (pid_t tid = getpid(); tid < getpid() + 4096 && seen->nr < MAX_THREADS; tid++) {
		struct thread *t = &seen->threads[seen->nr];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(t->name, sizeof(t->name), f)) {
			t->name[strcspn(t->name, "\n")] = '\0';
			look_at(tid, t);
			seen->nr++;
		}
		fclose(f);
	}
}

static const struct thread *vcpu(const struct seen *seen, uint32_t index)
{
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", index);
	for (uint32_t i = 0; i < seen->nr; i++)
		if (!strcmp(seen->threads[i].name, name))
			return &seen->threads[i];
	return NULL;
}

static int only_cpu(const struct thread *t)
{
	if (CPU_COUNT(&t->cpus) != 1)
		return -1;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &t->cpus))
			return (int)cpu;
	return -1;
}

static uint32_t allowed_cpus(void)
{
	struct host_set set;

	return host_set__allowed(&set) ? 0 : host_set__count(&set);
}

static bool may_be_realtime(void)
{
	const struct sched_param fifo = {.sched_priority = PLACEMENT_WATCHDOG_PRIORITY},
				 other = {0};
	bool may = !sched_setscheduler(0, SCHED_FIFO, &fifo);

	if (may)
		sched_setscheduler(0, SCHED_OTHER, &other);
	return may;
}

FIXTURE(performance)
{
	char kernel[64], locks[32];
	struct ktstr_vm_config config;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	struct seen *seen;
};

FIXTURE_SETUP(performance)
{
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, NO_KVM);
	memset(&self->error, 0, sizeof(self->error));
	self->vm = NULL;
	self->seen = calloc(1, sizeof(*self->seen));
	ASSERT_NE(NULL, self->seen);
	strcpy(self->locks, "/tmp/ktstr-test-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->locks));
	setenv(LOCK_DIR_VARIABLE, self->locks, 1);
	unsetenv(CPU_CAP_VARIABLE);
	ASSERT_TRUE(
		guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_spin, NULL, 0));
	ktstr_vm_config__defaults(&self->config);
	self->config.kernel = self->config.init = self->kernel;
	self->config.memory_mb = 65;
	self->config.timeout_s = 1;
	self->config.performance_mode = PERFORMANCE_REQUIRED;
	self->config.sample = look;
	self->config.sample_opaque = self->seen;
	self->config.sample_interval_ms = 100;
}

FIXTURE_TEARDOWN(performance)
{
	DIR *dir = opendir(self->locks);
	struct dirent *entry;

	ktstr_vm__destroy(self->vm);
	unlink(self->kernel);
	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(self->locks);
	free(self->seen);
}

static int create(struct __test_metadata *_metadata, FIXTURE_DATA(performance) * self)
{
	char line[1200];
	int err = ktstr_vm__create(&self->config, &self->vm, &self->error);

	if (err) {
		ktstr_error__format(&self->error, line, sizeof(line));
		TH_LOG("%s", line);
	}
	return err;
}

static void run(struct __test_metadata *_metadata, FIXTURE_DATA(performance) * self)
{
	char line[PERFORMANCE_LINE_MAX];

	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	ASSERT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	ASSERT_NE(NULL, self->result.performance);
	for (uint32_t i = 0; i < self->result.performance->nr_conditions; i++) {
		const struct ktstr_condition *c = &self->result.performance->conditions[i];

		performance__describe(c, line, sizeof(line));
		TH_LOG("%s: %s", ktstr_condition_state__name(c->state), line);
	}
}

static const struct ktstr_condition *find(const struct ktstr_performance *p, const char *name,
					  enum ktstr_condition_state state)
{
	for (uint32_t i = 0; p && i < p->nr_conditions; i++)
		if (!strcmp(p->conditions[i].name, name) && p->conditions[i].state == state)
			return &p->conditions[i];
	return NULL;
}

TEST_F(performance, threads_are_where_they_are_said_to_be)
{
	struct thread before, after;
	uint32_t vcpus = allowed_cpus() > 4 ? 4 : 1;
	bool realtime = may_be_realtime();
	int service;

	if (allowed_cpus() < 2)
		SKIP(return, "one CPU: nothing is left for service threads");
	self->config.topology = vcpus == 4 ? TOPO(2, 4, 1, 1) : TOPO(1, 1, 1, 1);
	self->config.memory_mb = 130;
	look_at(0, &before);
	ASSERT_EQ(0, create(_metadata, self));
	run(_metadata, self);
	service = only_cpu(&self->seen->self);
	EXPECT_GE(service, 0);
	EXPECT_NE(NULL, find(self->result.performance, "service", KTSTR_CONDITION_MET));
	EXPECT_NE(NULL, find(self->result.performance, "vcpus", KTSTR_CONDITION_MET));
	EXPECT_EQ(realtime, !!find(self->result.performance, "realtime", KTSTR_CONDITION_MET));
	EXPECT_EQ(realtime ? SCHED_FIFO : SCHED_OTHER, self->seen->self.policy);
	EXPECT_EQ(realtime ? (int)PLACEMENT_WATCHDOG_PRIORITY : 0, self->seen->self.priority);
	for (uint32_t i = 0; i < vcpus; i++) {
		const struct thread *t = vcpu(self->seen, i);

		ASSERT_NE(NULL, t);
		EXPECT_GE(only_cpu(t), 0);
		EXPECT_NE(service, only_cpu(t));
		EXPECT_EQ(realtime ? SCHED_FIFO : SCHED_OTHER, t->policy);
		EXPECT_EQ(realtime ? (int)PLACEMENT_VCPU_PRIORITY : 0, t->priority);
		for (uint32_t j = 0; j < i; j++)
			EXPECT_NE(only_cpu(vcpu(self->seen, j)), only_cpu(t));
	}
	look_at(0, &after);
	EXPECT_TRUE(CPU_EQUAL(&before.cpus, &after.cpus));
	EXPECT_EQ(before.policy, after.policy);
}

TEST_F(performance, memory_is_there_before_the_guest_is)
{
	unsigned char present;
	const struct vm *vm;

	self->config.performance_mode = PERFORMANCE_BEST_EFFORT;
	ASSERT_EQ(0, create(_metadata, self));
	vm = (const struct vm *)self->vm;
	for (uint64_t at = 0; at < vm->mem.regions[0].size; at += 4096) {
		ASSERT_EQ(0, mincore(vm->mem.regions[0].hva + at, 4096, &present));
		ASSERT_EQ(1, present & 1);
	}
	EXPECT_NE(NULL, find(ktstr_vm__performance(self->vm), "memory", KTSTR_CONDITION_MET));
}

static uint32_t llcs_in_use(void)
{
	struct host_topology host;
	struct host_set used;

	if (host_topology__read(&host, "/sys", NULL, NULL))
		return UINT32_MAX;
	cpu_locks__in_use(&host, &used);
	host_topology__free(&host);
	return host_set__count(&used);
}

/* On a host of one LLC, for which it waits, or of several, of which it takes another. */
TEST_F(performance, llcs_are_its_own)
{
	struct ktstr_vm_config config;
	struct ktstr_vm *other = NULL;
	struct host_topology host;
	uint32_t nr_llcs = 0;

	if (allowed_cpus() < 2)
		SKIP(return, "one CPU: nothing is left for service threads");
	ASSERT_EQ(0, host_topology__read(&host, "/sys", NULL, NULL));
	for (uint32_t i = 0; i < host.nr_cpus; i++)
		nr_llcs += host.cpus[i].llc == host.cpus[i].cpu;
	host_topology__free(&host);
	config = self->config;
	EXPECT_EQ(0, llcs_in_use());
	ASSERT_EQ(0, create(_metadata, self));
	EXPECT_EQ(1, llcs_in_use());
	setenv(CPU_LOCKS_TIMEOUT_VARIABLE, "1", 1);
	config.cancel_fd = -1;
	if (nr_llcs > 1) {
		EXPECT_EQ(0, ktstr_vm__create(&config, &other, &self->error));
		EXPECT_EQ(2, llcs_in_use());
	} else {
		EXPECT_EQ(-ETIMEDOUT, ktstr_vm__create(&config, &other, &self->error));
		EXPECT_NE(NULL, strstr(self->error.reason, "(a machine) alone since"));
	}
	ktstr_vm__destroy(other);
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
	EXPECT_EQ(0, llcs_in_use());
	ASSERT_EQ(0, ktstr_vm__create(&config, &other, &self->error));
	ktstr_vm__destroy(other);
}

TEST_F(performance, a_cap_on_cpus_does_not_go_with_it)
{
	self->config.cpu_cap = 1;
	EXPECT_EQ(-EINVAL, create(_metadata, self));
	EXPECT_NE(NULL, strstr(self->error.hint, "--cpu-cap"));
}

static uint32_t hints(const struct vm *vm)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES];
	} *cpuid = calloc(1, sizeof(*cpuid));
	uint32_t found = UINT32_MAX;

	cpuid->head.nent = CPUID_MAX_ENTRIES;
	if (!ioctl(vm->vcpus[0].fd, KVM_GET_CPUID2, cpuid))
		for (uint32_t i = 0; i < cpuid->head.nent; i++)
			if (cpuid->head.entries[i].function == 0x40000001)
				found = cpuid->head.entries[i].edx;
	free(cpuid);
	return found;
}

TEST_F(performance, the_guest_is_told_that_its_cpus_are_its_own)
{
	const struct ktstr_condition *exits;

	if (allowed_cpus() < 2)
		SKIP(return, "one CPU: nothing is left for service threads");
	ASSERT_EQ(0, create(_metadata, self));
	exits = find(ktstr_vm__performance(self->vm), "exits", KTSTR_CONDITION_MET);
	ASSERT_NE(NULL, exits);
	EXPECT_NE(NULL, strstr(exits->text, "KVM_HINTS_REALTIME"));
	EXPECT_EQ(1u << KVM_HINTS_REALTIME, hints((const struct vm *)self->vm));
}

TEST_F(performance, without_it_nothing_is_different)
{
	self->config.performance_mode = PERFORMANCE_OFF;
	ASSERT_EQ(0, create(_metadata, self));
	EXPECT_EQ(0, hints((const struct vm *)self->vm));
	EXPECT_EQ(NULL, ktstr_vm__performance(self->vm));
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	EXPECT_EQ(NULL, self->result.performance);
	ASSERT_NE(NULL, vcpu(self->seen, 0));
	EXPECT_EQ((int)allowed_cpus(), CPU_COUNT(&vcpu(self->seen, 0)->cpus));
	EXPECT_EQ(SCHED_OTHER, vcpu(self->seen, 0)->policy);
}

TEST_F(performance, what_cannot_be_had_is_an_error_with_a_remedy)
{
	self->config.topology = TOPO(1, 1, allowed_cpus(), 1);
	EXPECT_EQ(-ENOSPC, create(_metadata, self));
	EXPECT_EQ(NULL, self->vm);
	EXPECT_NE(NULL, strstr(self->error.reason, "service threads"));
	EXPECT_NE(0, self->error.hint[0]);
}

TEST_F(performance, best_effort_runs_anyway_and_says_what_it_lacks)
{
	self->config.topology = TOPO(1, 1, allowed_cpus() + 1, 1);
	self->config.performance_mode = PERFORMANCE_BEST_EFFORT;
	ASSERT_EQ(0, create(_metadata, self));
	run(_metadata, self);
	EXPECT_FALSE(self->result.performance->met);
	EXPECT_NE(NULL, find(self->result.performance, "cpus", KTSTR_CONDITION_DOWNGRADED));
	EXPECT_NE(NULL, find(self->result.performance, "exits", KTSTR_CONDITION_DOWNGRADED));
	EXPECT_EQ(NULL, find(self->result.performance, "vcpus", KTSTR_CONDITION_MET));
	EXPECT_EQ(0, hints((const struct vm *)self->vm));
	EXPECT_NE(NULL, performance__disturbed(((const struct vm *)self->vm)->performance));
	EXPECT_EQ((int)allowed_cpus(), CPU_COUNT(&vcpu(self->seen, 0)->cpus));
}

/* Not to be undone, so in a process of its own. */
static bool drop_realtime_rights(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	const struct rlimit none = {0, 0};

	if (syscall(SYS_capget, &head, data))
		return false;
	data[0].effective &= ~(1u << CAP_SYS_NICE);
	data[0].permitted &= ~(1u << CAP_SYS_NICE);
	data[0].inheritable &= ~(1u << CAP_SYS_NICE);
	return !syscall(SYS_capset, &head, data) && !setrlimit(RLIMIT_RTPRIO, &none) &&
	       !may_be_realtime();
}

TEST_F(performance, without_rights_it_says_so)
{
	ASSERT_TRUE(drop_realtime_rights());
	self->config.performance_mode = PERFORMANCE_BEST_EFFORT;
	ASSERT_EQ(0, create(_metadata, self));
	run(_metadata, self);
	EXPECT_FALSE(self->result.performance->met);
	EXPECT_NE(NULL, find(self->result.performance, "rt-rights", KTSTR_CONDITION_DOWNGRADED));
	EXPECT_EQ(NULL, find(self->result.performance, "realtime", KTSTR_CONDITION_MET));
	EXPECT_EQ(SCHED_OTHER, self->seen->self.policy);
	EXPECT_EQ(SCHED_OTHER, vcpu(self->seen, 0)->policy);
}

TEST_F(performance, of_a_narrow_cpuset_only_what_it_has_is_used)
{
	struct host_set all;
	cpu_set_t one;
	uint32_t cpu;

	ASSERT_EQ(0, host_set__allowed(&all));
	cpu = host_set__lowest(&all, &all);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	EXPECT_EQ(-ENOSPC, create(_metadata, self));
	memset(&self->error, 0, sizeof(self->error));
	self->config.performance_mode = PERFORMANCE_BEST_EFFORT;
	ASSERT_EQ(0, create(_metadata, self));
	run(_metadata, self);
	EXPECT_NE(NULL, find(self->result.performance, "service-cpu", KTSTR_CONDITION_DOWNGRADED));
	ASSERT_NE(NULL, vcpu(self->seen, 0));
	EXPECT_EQ((int)cpu, only_cpu(vcpu(self->seen, 0)));
	EXPECT_EQ(SCHED_OTHER, vcpu(self->seen, 0)->policy);
}

/* A hugepage of @kb KiB, and on which node it is: of the mapping that has @address. */
static uint64_t page_kb(const void *address)
{
	uint64_t from, to, kb = 0;
	bool inside = false;
	char line[256];
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		char *end;

		from = strtoull(line, &end, 16);
		if (end != line && *end == '-') {
			to = strtoull(end + 1, NULL, 16);
			inside = (uintptr_t)address >= from && (uintptr_t)address < to;
		}
		if (inside && !strncmp(line, "KernelPageSize:", 15))
			kb = strtoull(line + 15, NULL, 10);
	}
	if (f)
		fclose(f);
	return kb;
}

static int node_of(const void *address)
{
	int node = -1;

	syscall(SYS_get_mempolicy, &node, NULL, 0, address, MPOL_F_NODE | MPOL_F_ADDR);
	return node;
}

/* Where the pool has none, hugepages are what is missing, and nothing else. */
TEST_F(performance, memory_of_each_node_is_on_its_host_node_in_hugepages)
{
	const struct ktstr_performance *p;
	const struct vm *vm;
	struct host_topology host;
	bool huge;

	ASSERT_EQ(0, host_topology__read(&host, "/sys", NULL, NULL));
	if (host.nr_nodes < 2 || allowed_cpus() < 5)
		SKIP(goto out, "this host has not 2 nodes and 5 CPUs");
	huge = host.nodes[0].free_hugepages >= 35 && host.nodes[1].free_hugepages >= 35;
	self->config.topology = TOPO(2, 4, 1, 1);
	self->config.memory_mb = 130;
	ASSERT_EQ(0, create(_metadata, self));
	vm = (const struct vm *)self->vm;
	p = ktstr_vm__performance(self->vm);
	EXPECT_EQ(huge, !find(p, "hugepages", KTSTR_CONDITION_WARNING));
	for (uint32_t i = 0; i < vm->layout.nr_memory; i++) {
		const struct layout_memory *m = &vm->layout.memory[i];
		const uint8_t *hva = gmem__ptr(&vm->mem, m->gpa, m->size);

		for (uint64_t at = 0; at < m->size; at += 4096)
			ASSERT_EQ((int)m->node, node_of(hva + at));
		EXPECT_EQ(huge ? 2048u : 4u, page_kb(hva + 0x200000));
	}
	run(_metadata, self);
	EXPECT_TRUE(self->result.performance->met);
	/* Threads of a virtual LLC are on one of their own, and those of a node on its node. */
	for (uint32_t i = 0; i < 4; i++) {
		int cpu = only_cpu(vcpu(self->seen, i));

		ASSERT_GE(cpu, 0);
		for (uint32_t c = 0; c < host.nr_cpus; c++)
			if (host.cpus[c].cpu == (uint32_t)cpu)
				EXPECT_EQ(i / 2, host.cpus[c].node);
	}
out:
	host_topology__free(&host);
}

TEST_HARNESS_MAIN
