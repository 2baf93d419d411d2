// SPDX-License-Identifier: GPL-2.0-only
/*
 * scx_ktstr, kernel side: weighted virtual time over one queue per last-level cache and a global
 * one.
 *
 * A task that may run everywhere waits in the queue of the LLC where it last ran; one that is bound
 * to some CPUs waits in the global queue. A CPU takes from whichever of its LLC's and the global
 * queue has the task with the least virtual time, so neither starves the other. It goes to another
 * LLC's queue when both are empty, or when the task there lags by more than one slice: the clock is
 * one for the whole machine, so LLCs of unequal load still share fairly.
 */
#include <scx/common.bpf.h>

#include "scx_ktstr.h"

char _license[] SEC("license") = "GPL";

const volatile u32 nr_llcs = 1;
const volatile u32 nr_cpu_ids = 1;
const volatile u32 cpu_to_llc[KTSTR_SCX_MAX_CPUS];
const volatile u64 slice_ns = 5000000;
const volatile bool stall_fault;

#define GLOBAL_DSQ KTSTR_SCX_GLOBAL_DSQ

static u64 vtime_now; /* largest virtual time that has started to run */
UEI_DEFINE(uei);

/* One record when the scheduler has ended: wakes the user-space half. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ended SEC(".maps");

/* Statistics: operations run with interrupts off, so plain additions on the CPU's own are exact. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ktstr_scx_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KTSTR_SCX_MAX_LLCS + 1);
	__type(key, u32);
	__type(value, struct ktstr_scx_dsq_counters);
} dsq_counters SEC(".maps");

#define COUNT(field)                                                                      \
	({                                                                                \
		u32 __zero = 0;                                                           \
		struct ktstr_scx_counters *__c = bpf_map_lookup_elem(&counters, &__zero); \
		if (__c)                                                                  \
			__c->field++;                                                     \
	})

#define COUNT_DSQ(dsq, field)                                                                    \
	({                                                                                       \
		u32 __key = (u32)(dsq);                                                          \
		struct ktstr_scx_dsq_counters *__c = bpf_map_lookup_elem(&dsq_counters, &__key); \
		if (__c)                                                                         \
			__c->field++;                                                            \
	})

static u32 llc_of(s32 cpu)
{
	u32 llc = 0;

	if (cpu >= 0 && cpu < KTSTR_SCX_MAX_CPUS)
		llc = cpu_to_llc[cpu];
	return llc < KTSTR_SCX_MAX_LLCS ? llc : 0;
}

static bool is_to_stall(const struct task_struct *p)
{
	return stall_fault && !bpf_strncmp(p->comm, sizeof(KTSTR_SCX_STALL_COMM),
					   KTSTR_SCX_STALL_COMM);
}

s32 BPF_STRUCT_OPS(ktstr_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	if (is_idle && !is_to_stall(p)) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
		COUNT(direct);
	}
	return cpu;
}

void BPF_STRUCT_OPS(ktstr_enqueue, struct task_struct *p, u64 enq_flags)
{
	s32 task_cpu = scx_bpf_task_cpu(p), idle;
	u64 vtime = p->scx.dsq_vtime, dsq;

	if (is_to_stall(p))
		return; /* queued nowhere: the kernel's watchdog ends the scheduler */

	/* A kernel thread of one CPU serves everybody on it: first in line there. */
	if ((p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, enq_flags);
		COUNT(pinned);
		return;
	}

	/* Sleep earns at most one slice. */
	if (time_before(vtime, vtime_now - slice_ns))
		vtime = vtime_now - slice_ns;

	dsq = p->nr_cpus_allowed < nr_cpu_ids ? GLOBAL_DSQ : llc_of(task_cpu);
	scx_bpf_dsq_insert_vtime(p, dsq, slice_ns, vtime, enq_flags);
	COUNT_DSQ(dsq, enqueued);

	idle = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
	if (idle >= 0) {
		scx_bpf_kick_cpu(idle, SCX_KICK_IDLE);
		COUNT(kicked);
	}
}

/* Takes a task from a queue; @own: of the LLC of this CPU. */
static bool take(u64 dsq, u64 own)
{
	if (!scx_bpf_dsq_move_to_local(dsq, 0))
		return false;
	COUNT_DSQ(dsq, dispatched);
	if (dsq != own && dsq != GLOBAL_DSQ)
		COUNT(stolen);
	return true;
}

/* Virtual time of the task at a queue's head; false when the queue is empty. */
static bool head_vtime(u64 dsq, u64 *vtime)
{
	struct task_struct *p;
	bool found = false;

	bpf_rcu_read_lock();
	p = __COMPAT_scx_bpf_dsq_peek(dsq);
	if (p) {
		*vtime = p->scx.dsq_vtime;
		found = true;
	}
	bpf_rcu_read_unlock();
	return found;
}

/* What @p has as virtual time once it is charged for what it used of its slice. */
static u64 charged_vtime(struct task_struct *p)
{
	u64 used = p->scx.slice < slice_ns ? slice_ns - p->scx.slice : 0;

	return p->scx.dsq_vtime + scale_by_task_weight_inverse(p, used);
}

static void charge(struct task_struct *p)
{
	scx_bpf_task_set_dsq_vtime(p, charged_vtime(p));
}

/* Racy between CPUs; an error is small and corrected by the next task that starts. */
static void advance_clock(const struct task_struct *p)
{
	if (time_before(vtime_now, p->scx.dsq_vtime))
		vtime_now = p->scx.dsq_vtime;
}

/* Gives @prev, which is in no queue here, another slice. */
static void keep_running(struct task_struct *prev)
{
	charge(prev);
	scx_bpf_task_set_slice(prev, slice_ns);
	advance_clock(prev);
	COUNT(kept);
}

void BPF_STRUCT_OPS(ktstr_dispatch, s32 cpu, struct task_struct *prev)
{
	u64 own = llc_of(cpu), least = 0, vtime, best = own, second;
	bool have = head_vtime(own, &least);
	bool can_keep = prev && (prev->scx.flags & SCX_TASK_QUEUED) && !is_to_stall(prev);
	u32 i;

	if (head_vtime(GLOBAL_DSQ, &vtime) && (!have || time_before(vtime, least))) {
		best = GLOBAL_DSQ;
		least = vtime;
		have = true;
	}
	second = best == GLOBAL_DSQ ? own : GLOBAL_DSQ;

	/* Another LLC's queue, when it lags. From the next one on, so that stealing spreads. */
	bpf_for(i, 1, nr_llcs) {
		u64 llc = (own + i) % nr_llcs;

		if (have && head_vtime(llc, &vtime) && time_before(vtime + slice_ns, least) &&
		    take(llc, own))
			return;
	}

	/* The kernel queues @prev after this: without a look at it two tasks would take turns. */
	if (have && can_keep && time_before(charged_vtime(prev), least)) {
		keep_running(prev);
		return;
	}

	/* A head that may not run here is passed over, so the first choice can fail. */
	if (take(best, own) || take(second, own))
		return;

	bpf_for(i, 1, nr_llcs) {
		if (take((own + i) % nr_llcs, own))
			return;
	}
	if (can_keep)
		keep_running(prev);
}

void BPF_STRUCT_OPS(ktstr_running, struct task_struct *p)
{
	advance_clock(p);
}

void BPF_STRUCT_OPS(ktstr_stopping, struct task_struct *p, bool runnable)
{
	charge(p);
}

void BPF_STRUCT_OPS(ktstr_enable, struct task_struct *p)
{
	scx_bpf_task_set_dsq_vtime(p, vtime_now);
}

s32 BPF_STRUCT_OPS_SLEEPABLE(ktstr_init)
{
	s32 err = scx_bpf_create_dsq(GLOBAL_DSQ, -1);
	u32 i;

	bpf_for(i, 0, nr_llcs) {
		if (err)
			break;
		err = scx_bpf_create_dsq(i, -1);
	}
	if (err)
		scx_bpf_error("cannot create the queues of %u LLCs: %d", nr_llcs, err);
	return err;
}

void BPF_STRUCT_OPS(ktstr_exit, struct scx_exit_info *ei)
{
	u32 one = 1;

	UEI_RECORD(uei, ei);
	bpf_ringbuf_output(&ended, &one, sizeof(one), BPF_RB_FORCE_WAKEUP);
}

/* Run by user space for the fault "exit". */
SEC("syscall")
int ktstr_fault_exit(void *ctx)
{
	scx_bpf_exit(KTSTR_SCX_EXIT_CODE, "told to exit by --fault exit");
	return 0;
}

/* Run by user space for its statistics. */
SEC("syscall")
int ktstr_read_queued(struct ktstr_scx_queued *arg)
{
	arg->queued = scx_bpf_dsq_nr_queued(arg->dsq);
	return 0;
}

SCX_OPS_DEFINE(ktstr_ops,
	       .select_cpu = (void *)ktstr_select_cpu,
	       .enqueue = (void *)ktstr_enqueue,
	       .dispatch = (void *)ktstr_dispatch,
	       .running = (void *)ktstr_running,
	       .stopping = (void *)ktstr_stopping,
	       .enable = (void *)ktstr_enable,
	       .init = (void *)ktstr_init,
	       .exit = (void *)ktstr_exit,
	       .name = "ktstr");
