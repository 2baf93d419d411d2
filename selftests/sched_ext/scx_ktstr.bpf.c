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

const volatile u32 nr_queues = 1; /* of LLCs, those of CPUs that may come included */
const volatile u32 nr_cpu_ids = 1;
const volatile u64 slice_ns = 5000000;

/* User space adds to these when a CPU comes that was not there before. */
u32 nr_llcs = 1; /* at most nr_queues */
u32 cpu_to_llc[KTSTR_SCX_MAX_CPUS];

/* Constants to the verifier: of a fault that is not asked for, no code is left. */
const volatile u32 fault;    /* enum ktstr_scx_fault */
const volatile u32 crash_in; /* enum ktstr_scx_callback */
const volatile char fault_comm[KTSTR_SCX_COMM_SIZE] = KTSTR_SCX_FAULT_COMM;
const volatile bool fault_all; /* instead of those of that name all but kernel threads */
const volatile u64 hold_ns;    /* how long "starve" and "slow-wake" hold back */
bool fault_on;		       /* it has begun */

#define GLOBAL_DSQ KTSTR_SCX_GLOBAL_DSQ
#define HELD_DSQ KTSTR_SCX_HELD_DSQ

static u64 vtime_now; /* largest virtual time that has started to run */
UEI_DEFINE(uei);

/* enum ktstr_scx_event, a u32 each: wakes the user-space half. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

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
	u64 at = (u32)cpu; /* what is compared and what is used are one register to the verifier */
	u32 llc = 0;

	barrier_var(at);
	if (at < KTSTR_SCX_MAX_CPUS)
		llc = cpu_to_llc[at];
	return llc < KTSTR_SCX_MAX_LLCS ? llc : 0;
}

static void tell(u32 event)
{
	bpf_ringbuf_output(&events, &event, sizeof(event), BPF_RB_FORCE_WAKEUP);
}

/* ---- Faults ---- */

/* Of a task that a fault hits. */
struct fault_task {
	u64 held_until; /* ns */
	u32 home;	/* "remote": the LLC where it was at the fault, or bound to since, + 1 */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct fault_task);
} fault_tasks SEC(".maps");

struct fault_timer {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct fault_timer);
} fault_timers SEC(".maps");

static s32 victim; /* PID of the one task that "starve" or "unfair" hits; 0: not found yet */

#define CRASH_IN(callback)                                                                   \
	do {                                                                                 \
		if (fault == KTSTR_SCX_FAULT_CRASH && crash_in == KTSTR_SCX_IN_##callback && \
		    fault_on)                                                                \
			scx_bpf_error("told to crash in " #callback);                        \
	} while (0)

/* Whether the fault @which, when it is the one that was asked for, hits @p now. */
static bool hits(u32 which, const struct task_struct *p)
{
	if (fault != which || !fault_on || (p->flags & PF_KTHREAD))
		return false;
	return fault_all || !bpf_strncmp(p->comm, KTSTR_SCX_COMM_SIZE, (const char *)fault_comm);
}

/* Likewise, of faults that hit one task: the first that is seen, while it lives. */
static bool hits_one(u32 which, const struct task_struct *p)
{
	if (!hits(which, p))
		return false;
	if (!victim)
		__sync_val_compare_and_swap(&victim, 0, p->pid);
	return victim == p->pid;
}

/* Those that give a task a CPU that it should not have. */
static bool is_misplaced(const struct task_struct *p)
{
	return hits(KTSTR_SCX_FAULT_PILE, p) || hits(KTSTR_SCX_FAULT_MIGRATE, p) ||
	       hits(KTSTR_SCX_FAULT_REMOTE, p) || hits(KTSTR_SCX_FAULT_IGNORE_CPUSET, p);
}

/* Those that touch where, when or whether a task runs: it gets no CPU by the usual ways. */
static bool is_hit(const struct task_struct *p)
{
	return hits(KTSTR_SCX_FAULT_STALL, p) || hits_one(KTSTR_SCX_FAULT_STARVE, p) ||
	       hits(KTSTR_SCX_FAULT_SLOW_WAKE, p) || is_misplaced(p);
}

/* Queued nowhere: the kernel's watchdog ends the scheduler. */
static bool is_dropped(const struct task_struct *p)
{
	return hits(KTSTR_SCX_FAULT_STALL, p) ||
	       (hits(KTSTR_SCX_FAULT_LEAK, p) && !(bpf_get_prandom_u32() % KTSTR_SCX_LEAK));
}

static struct fault_task *fault_task_of(struct task_struct *p)
{
	return bpf_task_storage_get(&fault_tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* Puts @p among the held ones, when it is to be held. */
static bool hold(struct task_struct *p, u64 enq_flags)
{
	struct fault_task *task;
	u64 now;

	if (!hits_one(KTSTR_SCX_FAULT_STARVE, p) &&
	    !(hits(KTSTR_SCX_FAULT_SLOW_WAKE, p) && (enq_flags & SCX_ENQ_WAKEUP)))
		return false;
	task = fault_task_of(p);
	if (!task)
		return false;
	now = bpf_ktime_get_ns();
	if (time_before(task->held_until, now)) /* not one that is put back while it is held */
		task->held_until = now + hold_ns;
	scx_bpf_dsq_insert(p, HELD_DSQ, slice_ns, enq_flags);
	return true;
}

/* Whether the task that was held first has been held for long enough. All are held as long. */
static bool head_is_due(void)
{
	struct fault_task *task;
	struct task_struct *p;
	bool due = false;

	bpf_rcu_read_lock();
	p = __COMPAT_scx_bpf_dsq_peek(HELD_DSQ);
	task = p ? bpf_task_storage_get(&fault_tasks, p, 0, 0) : NULL;
	if (task)
		due = time_before(task->held_until, bpf_ktime_get_ns());
	bpf_rcu_read_unlock();
	return due;
}

static bool holds(void)
{
	return fault == KTSTR_SCX_FAULT_STARVE || fault == KTSTR_SCX_FAULT_SLOW_WAKE;
}

static bool is_wrong_cpu(struct task_struct *p, u32 cpu, u32 home)
{
	bool allowed = bpf_cpumask_test_cpu(cpu, p->cpus_ptr);

	if (fault == KTSTR_SCX_FAULT_IGNORE_CPUSET)
		return !allowed;
	return allowed && (fault != KTSTR_SCX_FAULT_REMOTE || llc_of(cpu) != home);
}

/* The CPU that the fault wants for @p; -1: none is. */
static s32 wrong_cpu(struct task_struct *p)
{
	u32 cpu = scx_bpf_task_cpu(p), home = llc_of(cpu), i;

	if (fault == KTSTR_SCX_FAULT_PILE)
		return bpf_cpumask_first(p->cpus_ptr);
	if (fault == KTSTR_SCX_FAULT_REMOTE) {
		struct fault_task *task = fault_task_of(p);

		if (!task)
			return -1;
		if (bpf_cpumask_weight(p->cpus_ptr) < nr_cpu_ids)
			task->home = llc_of(bpf_cpumask_first(p->cpus_ptr)) + 1;
		else if (!task->home)
			task->home = home + 1;
		home = task->home - 1;
	}
	bpf_for(i, fault == KTSTR_SCX_FAULT_MIGRATE ? 1 : 0, nr_cpu_ids)
	{
		u32 wrong = (cpu + i) % nr_cpu_ids;

		if (is_wrong_cpu(p, wrong, home))
			return wrong;
	}
	return -1;
}

static bool misplace(struct task_struct *p, u64 enq_flags)
{
	s32 cpu;

	if (!is_misplaced(p))
		return false;
	cpu = wrong_cpu(p);
	if (cpu < 0)
		return false;
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu,
			   fault == KTSTR_SCX_FAULT_MIGRATE ? KTSTR_SCX_MIGRATE_NS : slice_ns,
			   enq_flags);
	return true;
}

/* Idle CPUs look for tasks whose time has come. */
static int kick_idle(void *map, u32 *key, struct bpf_timer *timer)
{
	s32 cpu;

	bpf_for(cpu, 0, nr_cpu_ids) scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	bpf_timer_start(timer, slice_ns, 0);
	return 0;
}

static s32 init_fault(void)
{
	struct fault_timer *timer;
	u32 zero = 0;
	s32 err;

	if (!holds())
		return 0;
	err = scx_bpf_create_dsq(HELD_DSQ, -1);
	if (err || fault != KTSTR_SCX_FAULT_SLOW_WAKE)
		return err;
	timer = bpf_map_lookup_elem(&fault_timers, &zero);
	if (!timer)
		return -ENOENT;
	bpf_timer_init(&timer->timer, &fault_timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&timer->timer, kick_idle);
	return bpf_timer_start(&timer->timer, slice_ns, 0);
}

/* ---- Callbacks ---- */

s32 BPF_STRUCT_OPS(ktstr_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	bool is_idle = false;
	s32 cpu = scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, &is_idle);

	CRASH_IN(select_cpu);
	if (is_idle && !is_hit(p)) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, 0);
		COUNT(direct);
	}
	return cpu;
}

void BPF_STRUCT_OPS(ktstr_enqueue, struct task_struct *p, u64 enq_flags)
{
	s32 task_cpu = scx_bpf_task_cpu(p), idle;
	u64 vtime = p->scx.dsq_vtime, dsq;

	CRASH_IN(enqueue);
	if (is_dropped(p) || misplace(p, enq_flags))
		return;

	/* A kernel thread of one CPU serves everybody on it: first in line there. */
	if ((p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1) {
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice_ns, enq_flags);
		COUNT(pinned);
		return;
	}

	/* Sleep earns at most one slice. */
	if (time_before(vtime, vtime_now - slice_ns))
		vtime = vtime_now - slice_ns;

	if (!hold(p, enq_flags)) {
		dsq = p->nr_cpus_allowed < nr_cpu_ids ? GLOBAL_DSQ : llc_of(task_cpu);
		scx_bpf_dsq_insert_vtime(p, dsq, slice_ns, vtime, enq_flags);
		COUNT_DSQ(dsq, enqueued);
	}

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

	if (hits_one(KTSTR_SCX_FAULT_UNFAIR, p))
		used /= KTSTR_SCX_UNFAIR;

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
	bool can_keep = prev && (prev->scx.flags & SCX_TASK_QUEUED) && !is_hit(prev);
	u32 i;

	CRASH_IN(dispatch);
	if (holds() && head_is_due() && scx_bpf_dsq_move_to_local(HELD_DSQ, 0))
		return;

	if (head_vtime(GLOBAL_DSQ, &vtime) && (!have || time_before(vtime, least))) {
		best = GLOBAL_DSQ;
		least = vtime;
		have = true;
	}
	second = best == GLOBAL_DSQ ? own : GLOBAL_DSQ;

	/* Another LLC's queue, when it lags. From the next one on, so that stealing spreads. */
	bpf_for(i, 1, nr_llcs)
	{
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

	bpf_for(i, 1, nr_llcs)
	{
		if (take((own + i) % nr_llcs, own))
			return;
	}
	if (can_keep)
		keep_running(prev);
	else if (fault == KTSTR_SCX_FAULT_STARVE)
		scx_bpf_dsq_move_to_local(HELD_DSQ, 0); /* nobody else wants the CPU */
}

void BPF_STRUCT_OPS(ktstr_running, struct task_struct *p)
{
	CRASH_IN(running);
	advance_clock(p);
}

void BPF_STRUCT_OPS(ktstr_stopping, struct task_struct *p, bool runnable)
{
	CRASH_IN(stopping);
	charge(p);
}

void BPF_STRUCT_OPS(ktstr_enable, struct task_struct *p)
{
	CRASH_IN(enable);
	scx_bpf_task_set_dsq_vtime(p, vtime_now);
}

/*
 * That these two are there is what the kernel lets the scheduler live on for. Tasks that wait in
 * the queue of an LLC without a CPU are taken by those of others.
 */
void BPF_STRUCT_OPS(ktstr_cpu_online, s32 cpu)
{
	CRASH_IN(cpu_online);
	if (cpu >= 0 && cpu < KTSTR_SCX_MAX_CPUS && cpu_to_llc[cpu] == KTSTR_SCX_NO_LLC)
		tell(KTSTR_SCX_CPU_CAME);
}

void BPF_STRUCT_OPS(ktstr_cpu_offline, s32 cpu)
{
	CRASH_IN(cpu_offline);
}

s32 BPF_STRUCT_OPS_SLEEPABLE(ktstr_init)
{
	s32 err = scx_bpf_create_dsq(GLOBAL_DSQ, -1);
	u32 i;

	CRASH_IN(init);
	bpf_for(i, 0, nr_queues)
	{
		if (err)
			break;
		err = scx_bpf_create_dsq(i, -1);
	}
	if (!err)
		err = init_fault();
	if (err)
		scx_bpf_error("cannot create the queues of %u LLCs: %d", nr_queues, err);
	return err;
}

void BPF_STRUCT_OPS(ktstr_exit, struct scx_exit_info *ei)
{
	UEI_RECORD(uei, ei);
	tell(KTSTR_SCX_ENDED);
}

/* ---- Callbacks that are there for a fault alone: user space takes out the others ---- */

#define CRASH_ONLY(callback, ...)                          \
	void BPF_STRUCT_OPS(ktstr_##callback, __VA_ARGS__) \
	{                                                  \
		CRASH_IN(callback);                        \
	}

CRASH_ONLY(dequeue, struct task_struct *p, u64 deq_flags)
CRASH_ONLY(tick, struct task_struct *p)
CRASH_ONLY(runnable, struct task_struct *p, u64 enq_flags)
CRASH_ONLY(quiescent, struct task_struct *p, u64 deq_flags)
CRASH_ONLY(set_weight, struct task_struct *p, u32 weight)
CRASH_ONLY(set_cpumask, struct task_struct *p, const struct cpumask *cpumask)
CRASH_ONLY(update_idle, s32 cpu, bool idle)
CRASH_ONLY(cpu_acquire, s32 cpu, struct scx_cpu_acquire_args *args)
CRASH_ONLY(cpu_release, s32 cpu, struct scx_cpu_release_args *args)
CRASH_ONLY(disable, struct task_struct *p)
CRASH_ONLY(cgroup_exit, struct cgroup *cgrp)
CRASH_ONLY(cgroup_move, struct task_struct *p, struct cgroup *from, struct cgroup *to)
CRASH_ONLY(cgroup_set_weight, struct cgroup *cgrp, u32 weight)

bool BPF_STRUCT_OPS(ktstr_yield, struct task_struct *from, struct task_struct *to)
{
	CRASH_IN(yield);
	return false;
}

s32 BPF_STRUCT_OPS(ktstr_init_task, struct task_struct *p, struct scx_init_task_args *args)
{
	CRASH_IN(init_task);
	return 0;
}

/* Also for the faults of one task: the next of its name takes the place of one that is gone. */
void BPF_STRUCT_OPS(ktstr_exit_task, struct task_struct *p, struct scx_exit_task_args *args)
{
	CRASH_IN(exit_task);
	if (victim == p->pid)
		victim = 0;
}

s32 BPF_STRUCT_OPS_SLEEPABLE(ktstr_cgroup_init, struct cgroup *cgrp,
			     struct scx_cgroup_init_args *args)
{
	CRASH_IN(cgroup_init);
	return 0;
}

s32 BPF_STRUCT_OPS_SLEEPABLE(ktstr_cgroup_prep_move, struct task_struct *p, struct cgroup *from,
			     struct cgroup *to)
{
	CRASH_IN(cgroup_prep_move);
	return 0;
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

#define OP(callback) .callback = (void *)ktstr_##callback,

SCX_OPS_DEFINE(ktstr_ops, KTSTR_SCX_OWN(OP) KTSTR_SCX_EXTRA(OP).exit = (void *)ktstr_exit,
	       .name = "ktstr");
