/* SPDX-License-Identifier: GPL-2.0-only */
/* What scx_ktstr's two halves share: bounds, and the faults that it can be told to have. */
#ifndef SCX_KTSTR_H
#define SCX_KTSTR_H

#define KTSTR_SCX_MAX_CPUS 4096
#define KTSTR_SCX_MAX_LLCS 256
/* Instead of the number of an LLC: of a CPU that has not been there yet. */
#define KTSTR_SCX_NO_LLC (~0U)

/* Faults of tasks hit those of this name, unless the user says another. */
#define KTSTR_SCX_FAULT_COMM "ktstr_fault"
#define KTSTR_SCX_COMM_SIZE 16 /* TASK_COMM_LEN */
/* Exit code given to scx_bpf_exit() by the fault "exit". */
#define KTSTR_SCX_EXIT_CODE 42
/* The fault "unfair" charges for one part in so many of what was used. */
#define KTSTR_SCX_UNFAIR 8
/* The fault "leak" drops one task in so many that are enqueued. */
#define KTSTR_SCX_LEAK 64
/* The fault "migrate" moves tasks so often: at each of the kernel's ticks. */
#define KTSTR_SCX_MIGRATE_NS 100000

/* What the scheduler can be told to do wrong; scx_ktstr --help says what each is. */
enum ktstr_scx_fault {
	KTSTR_SCX_FAULT_NONE,
	KTSTR_SCX_FAULT_EXIT,
	KTSTR_SCX_FAULT_NEVER_ATTACH,
	KTSTR_SCX_FAULT_STALL,
	KTSTR_SCX_FAULT_LEAK,
	KTSTR_SCX_FAULT_STARVE,
	KTSTR_SCX_FAULT_UNFAIR,
	KTSTR_SCX_FAULT_SLOW_WAKE,
	KTSTR_SCX_FAULT_MIGRATE,
	KTSTR_SCX_FAULT_REMOTE,
	KTSTR_SCX_FAULT_PILE,
	KTSTR_SCX_FAULT_IGNORE_CPUSET,
	KTSTR_SCX_FAULT_WIDEN_CPUSET,
	KTSTR_SCX_FAULT_CRASH, /* in one callback */
	KTSTR_SCX_NR_FAULTS
};

/* clang-format off */
/*
 * Callbacks that can be told to crash. Of exit() and dump() nothing would be seen: the scheduler
 * ends already.
 */
#define KTSTR_SCX_OWN(X)                                                                      \
	X(select_cpu) X(enqueue) X(dispatch) X(running) X(stopping) X(enable) X(cpu_online)   \
	X(cpu_offline) X(init)
/* The scheduler has these only to crash in them. */
#define KTSTR_SCX_EXTRA(X)                                                                    \
	X(dequeue) X(tick) X(runnable) X(quiescent) X(yield) X(set_weight) X(set_cpumask)     \
	X(update_idle) X(cpu_acquire) X(cpu_release) X(init_task) X(exit_task) X(disable)     \
	X(cgroup_init) X(cgroup_exit) X(cgroup_prep_move) X(cgroup_move) X(cgroup_set_weight)
/* clang-format on */

#define __KTSTR_SCX_IN(callback) KTSTR_SCX_IN_##callback,
enum ktstr_scx_callback {
	KTSTR_SCX_IN_NONE,
	KTSTR_SCX_OWN(__KTSTR_SCX_IN) KTSTR_SCX_EXTRA(__KTSTR_SCX_IN) KTSTR_SCX_NR_CALLBACKS
};

/* What the kernel side tells the other one, as records of a ring. */
enum ktstr_scx_event {
	KTSTR_SCX_ENDED = 1,
	KTSTR_SCX_CPU_CAME, /* a CPU that was not there when LLCs were looked at */
};

/* What the kernel side counts, on each CPU for itself. */
struct ktstr_scx_counters {
	unsigned long long direct; /* woken tasks that an idle CPU got at once, without a queue */
	unsigned long long pinned; /* kernel threads of one CPU, queued on it */
	unsigned long long kept;   /* a task that ran got another slice as nobody was before it */
	unsigned long long stolen; /* of @dispatched: taken from another LLC's queue */
	unsigned long long kicked; /* idle CPUs that were told of a task in a queue */
};

/* Of one queue. */
struct ktstr_scx_dsq_counters {
	unsigned long long enqueued;
	unsigned long long dispatched; /* taken by a CPU; others left because they were changed */
};

/* The queue of tasks that are bound to some CPUs; those of the LLCs are 0, 1, ... */
#define KTSTR_SCX_GLOBAL_DSQ KTSTR_SCX_MAX_LLCS
/* The queue of tasks that a fault holds back. */
#define KTSTR_SCX_HELD_DSQ (KTSTR_SCX_MAX_LLCS + 1)

/* Argument of the program ktstr_read_queued: tasks in @dsq now, or a negative errno. */
struct ktstr_scx_queued {
	unsigned long long dsq;
	long long queued;
};

#endif /* SCX_KTSTR_H */
