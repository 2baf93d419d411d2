/* SPDX-License-Identifier: GPL-2.0-only */
/* What scx_ktstr's two halves share: bounds, and the faults that it can be told to have. */
#ifndef SCX_KTSTR_H
#define SCX_KTSTR_H

#define KTSTR_SCX_MAX_CPUS 4096
#define KTSTR_SCX_MAX_LLCS 256

/* A task of this name is never dispatched when the fault is a stall. */
#define KTSTR_SCX_STALL_COMM "ktstr_stall"
/* Exit code given to scx_bpf_exit() by the fault "exit". */
#define KTSTR_SCX_EXIT_CODE 42

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

/* Argument of the program ktstr_read_queued: tasks in @dsq now, or a negative errno. */
struct ktstr_scx_queued {
	unsigned long long dsq;
	long long queued;
};

#endif /* SCX_KTSTR_H */
