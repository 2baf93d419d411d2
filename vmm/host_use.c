// SPDX-License-Identifier: GPL-2.0-only
/* Threads by /proc and getrusage(2), KVM's counters by its binary statistics. */
#include "host_use.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_files.h"
#include "kvm_stats.h"
#include "vm.h"

#define TASKS "/proc/self/task"
#define FILE_MAX 4096u

/* Those that x86 and arm64 have of leaving the guest; others are not there, and not shown. */
static const char *const counters[] = {
	"exits",
	"io_exits",
	"mmio_exits",
	"mmio_exit_user",
	"mmio_exit_kernel",
	"halt_exits",
	"hypercalls",
	"irq_exits",
	"request_irq_exits",
	"irq_window_exits",
	"nmi_window_exits",
	"signal_exits",
	"hvc_exit_stat",
	"wfe_exit_stat",
	"wfi_exit_stat",
	"pf_taken",
	"insn_emulation",
	"preemption_reported",
};
#define NR_COUNTERS (sizeof(counters) / sizeof(counters[0]))

struct host_use {
	struct vm *vm;
	enum { USE_NONE, USE_RUN, USE_TEST, USE_ENDED } state;
	bool of_test;
	uint64_t start_ns, end_ns;
	uint32_t nr;
	struct ktstr_vcpu_use *start, *use; /* [nr]; @use is the difference at the end */
	struct ktstr_kvm_count counts[NR_COUNTERS];
	size_t nr_counts;
};

int host_use__create(struct vm *vm, struct host_use **out, struct ktstr_error *error)
{
	struct host_use *u = calloc(1, sizeof(*u));

	*out = u;
	if (u) {
		u->vm = vm;
		u->nr = vm->nr_vcpus;
		u->start = calloc(u->nr, sizeof(*u->start));
		u->use = calloc(u->nr, sizeof(*u->use));
	}
	if (u && u->start && u->use)
		return 0;
	host_use__destroy(u);
	*out = NULL;
	return ktstr_error__set(error, ENOMEM, "allocate", "vCPUs", NULL);
}

void host_use__destroy(struct host_use *u)
{
	if (!u)
		return;
	free(u->start);
	free(u->use);
	free(u);
}

/* ---- Threads ---- */

/* The number behind @name in the lines of /proc/PID/task/TID/status. */
static uint64_t status_number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : KTSTR_UNKNOWN;
}

/* proc_pid_stat(5): minflt is field 10, majflt 12; the second may have spaces, in parentheses. */
static void stat_faults(const char *text, struct ktstr_vcpu_use *use)
{
	const char *at = strrchr(text, ')');

	for (int field = 3; at; field++) {
		at = strchr(at + 1, ' ');
		if (at && field == 10)
			use->minor_faults = strtoull(at, NULL, 10);
		if (at && field == 12) {
			use->major_faults = strtoull(at, NULL, 10);
			return;
		}
	}
}

/* A thread that ends meanwhile has left its last numbers. */
static void read_vcpu(struct vcpu *vcpu, struct ktstr_vcpu_use *use)
{
	pid_t tid = atomic_load(&vcpu->tid);
	char text[FILE_MAX];

	vcpu__update_times(vcpu);
	*use = (struct ktstr_vcpu_use){
		.run_ns = atomic_load(&vcpu->run_ns),
		.wait_ns = atomic_load(&vcpu->steal_ns),
		.preempted = KTSTR_UNKNOWN,
		.minor_faults = KTSTR_UNKNOWN,
		.major_faults = KTSTR_UNKNOWN,
	};
	if (tid && !host_files__text(TASKS, text, sizeof(text), "%d/status", tid))
		use->preempted = status_number(text, "\nnonvoluntary_ctxt_switches:");
	if (tid && !host_files__text(TASKS, text, sizeof(text), "%d/stat", tid))
		stat_faults(text, use);
	if (!atomic_load(&vcpu->tid)) {
		use->preempted = vcpu->preempted;
		use->minor_faults = vcpu->minor_faults;
		use->major_faults = vcpu->major_faults;
	}
}

static void read_all(struct host_use *u, struct ktstr_vcpu_use *uses)
{
	for (uint32_t i = 0; i < u->nr; i++)
		read_vcpu(&u->vm->vcpus[i], &uses[i]);
}

static uint64_t since(uint64_t start, uint64_t end)
{
	return start == KTSTR_UNKNOWN || end == KTSTR_UNKNOWN || end < start ? KTSTR_UNKNOWN
									     : end - start;
}

static void end(struct host_use *u)
{
	u->end_ns = vm__now_ns();
	read_all(u, u->use);
	for (uint32_t i = 0; i < u->nr; i++) {
		const struct ktstr_vcpu_use *a = &u->start[i];
		struct ktstr_vcpu_use *b = &u->use[i];

		b->run_ns = since(a->run_ns, b->run_ns);
		b->wait_ns = since(a->wait_ns, b->wait_ns);
		b->preempted = since(a->preempted, b->preempted);
		b->minor_faults = since(a->minor_faults, b->minor_faults);
		b->major_faults = since(a->major_faults, b->major_faults);
	}
	u->state = USE_ENDED;
}

void host_use__run_starts(struct host_use *u)
{
	u->start_ns = vm__now_ns();
	/* No thread has run: all that it will have is this run's. */
	memset(u->start, 0, u->nr * sizeof(*u->start));
	u->state = USE_RUN;
}

void host_use__test_starts(struct host_use *u)
{
	if (u->state != USE_RUN)
		return;
	read_all(u, u->start);
	u->start_ns = vm__now_ns();
	u->of_test = true;
	u->state = USE_TEST;
}

void host_use__test_ends(struct host_use *u)
{
	if (u->state == USE_TEST)
		end(u);
}

/* ---- KVM ---- */

static void count_exits(struct host_use *u)
{
	uint64_t sums[NR_COUNTERS];

	for (size_t c = 0; c < NR_COUNTERS; c++)
		sums[c] = KTSTR_UNKNOWN;
	for (uint32_t i = 0; i < u->nr; i++) {
		struct kvm_stats stats;

		kvm_stats__open(u->vm->vcpus[i].fd, counters, NR_COUNTERS, &stats);
		for (size_t c = 0; c < NR_COUNTERS; c++) {
			uint64_t value = kvm_stats__read(&stats, c);

			if (value != KTSTR_UNKNOWN)
				sums[c] = sums[c] == KTSTR_UNKNOWN ? value : sums[c] + value;
		}
		kvm_stats__close(&stats);
	}
	for (size_t c = 0; c < NR_COUNTERS; c++)
		if (sums[c] != KTSTR_UNKNOWN)
			u->counts[u->nr_counts++] = (struct ktstr_kvm_count){counters[c], sums[c]};
}

void host_use__finish(struct host_use *u)
{
	if (u->state == USE_RUN || u->state == USE_TEST)
		end(u);
	count_exits(u);
}

/* ---- For others ---- */

static uint64_t guest_ns(const struct host_use *u)
{
	const uint64_t *at = u->vm->outcome.step_ns;

	return u->of_test && at[KTSTR_LIFE_TEST_ENDED] > at[KTSTR_LIFE_TEST_STARTED]
		       ? at[KTSTR_LIFE_TEST_ENDED] - at[KTSTR_LIFE_TEST_STARTED]
		       : KTSTR_UNKNOWN;
}

struct ktstr_host_use host_use__public(const struct host_use *u)
{
	struct ktstr_host_use use = {
		.of_test = u->of_test,
		.host_ns = u->end_ns - u->start_ns,
		.guest_ns = guest_ns(u),
		.steal_percent = NAN,
		.nr_vcpus = u->nr,
		.vcpus = u->use,
		.nr_kvm_counts = u->nr_counts,
		.kvm_counts = u->counts,
	};

	for (uint32_t i = 0; i < u->nr && use.host_ns; i++) {
		double percent = 100.0 * (double)u->use[i].wait_ns / (double)use.host_ns;

		if (u->use[i].wait_ns == KTSTR_UNKNOWN) {
			use.steal_percent = NAN;
			break;
		}
		if (!i || percent > use.steal_percent) {
			use.steal_percent = percent;
			use.most_stolen = i;
		}
	}
	return use;
}

bool host_use__exceeds(const struct ktstr_host_use *use, double percent, char *why, size_t size)
{
	if (use->steal_percent <= percent)
		return false;
	if (isnan(use->steal_percent))
		snprintf(why, size,
			 "how long vCPUs waited for CPUs of the host is not known "
			 "(/proc/PID/task/TID/schedstat)");
	else
		snprintf(why, size, "vCPU %u waited for a CPU of the host for %.1f %% of %.2f s",
			 use->most_stolen, use->steal_percent, (double)use->host_ns / 1e9);
	return true;
}
