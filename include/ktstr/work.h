/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Work that scenarios (ktstr/scenario.h) put on the CPUs, and what each worker reports of it.
 * A worker is a process, or a thread, that does units of its work until it is killed.
 */
#ifndef KTSTR_WORK_H
#define KTSTR_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a worker does in one unit. Numbers in brackets are the defaults of its fields. */
enum ktstr_work_kind {
	KTSTR_WORK_SPIN = 0, /* computes for .run_us (100), never sleeps */
	KTSTR_WORK_YIELD,    /* computes for .run_us (20), sched_yield() */
	KTSTR_WORK_BURST,    /* computes for .run_us (1000), sleeps for .sleep_us (2000) */
	KTSTR_WORK_IO, /* writes .size_kb (16) to a file of its own in .path ("/tmp"), past the page
			* cache (O_DIRECT) or with fdatasync(), and reads it back */
	KTSTR_WORK_PIPE,     /* pairs: a token goes to and fro over two pipes */
	KTSTR_WORK_FUTEX,    /* pairs: likewise over futexes */
	KTSTR_WORK_FANOUT,   /* the first wakes all others at once, and waits for each of them */
	KTSTR_WORK_MUTEX,    /* all contend one mutex, and compute for .run_us (50) in it */
	KTSTR_WORK_CACHE,    /* walks through .size_kb (1024) of its own memory, at random */
	KTSTR_WORK_FORK,     /* forks a child that computes for .run_us (200) and exits */
	KTSTR_WORK_FAULT,    /* maps .size_kb (256), touches each page, unmaps it */
	KTSTR_WORK_NICE,     /* as SPIN; each unit with the next nice value, -20 to 19 */
	KTSTR_WORK_AFFINITY, /* as SPIN; each unit bound to the next of the CPUs that it may use */
	KTSTR_WORK_POLICY, /* as SPIN; each unit with the next of NORMAL, BATCH, IDLE, EXT (if there
			    * is any), FIFO, RR; with the last two at most 1000 us */
	KTSTR_WORK_PERIODIC, /* every .period_us (20000) computes for .run_us (2000); a deadline
				each */
	KTSTR_WORK_CUSTOM,   /* .unit() */
	KTSTR_NR_WORKS
};

/* "spin" */
const char *ktstr_work__name(enum ktstr_work_kind kind);

/* How a worker's memory is placed (set_mempolicy(2)). */
enum ktstr_memory_policy {
	KTSTR_MEMORY_DEFAULT = 0, /* where it runs */
	KTSTR_MEMORY_BIND,	  /* on .memory_nodes alone */
	KTSTR_MEMORY_PREFERRED,	  /* on the first of .memory_nodes while it has room */
	KTSTR_MEMORY_INTERLEAVE,  /* over .memory_nodes in turn */
};

/*
 * Wake-up latencies, ns: how long after the instant at which it was to run a worker did. Each power
 * of two has KTSTR_LATENCY_STEPS buckets of equal width, so a percentile is right to 1/16.
 */
#define KTSTR_LATENCY_STEPS 16u
#define KTSTR_LATENCY_BUCKETS (48u * KTSTR_LATENCY_STEPS)
struct ktstr_latencies {
	uint64_t count, sum_ns, max_ns;
	uint32_t buckets[KTSTR_LATENCY_BUCKETS];
};

void ktstr_latencies__add(struct ktstr_latencies *latencies, uint64_t ns);
void ktstr_latencies__merge(struct ktstr_latencies *to, const struct ktstr_latencies *from);
/* The least number of ns that @percent of all are not above (its bucket's upper end); 0: none. */
uint64_t ktstr_latencies__percentile(const struct ktstr_latencies *latencies, double percent);

/* One instant of a worker at which something was longest or wrong. */
struct ktstr_worker_event {
	int32_t cpu;	/* -1: it did not happen */
	uint32_t step;	/* of the scenario, from 0 */
	uint64_t at_ns; /* since the scenario's start */
};

/* What one worker came to over its whole life. Times are of the machine's CLOCK_MONOTONIC. */
struct ktstr_worker_report {
	const char *workers; /* name of its set */
	uint32_t index;	     /* in its set */
	int32_t tid;	     /* in the initial PID namespace */
	uint64_t units;	     /* of work done */
	uint64_t active_ns;  /* during which it was to work: started, not frozen */
	uint64_t cpu_ns;     /* CPU time; of its children too (FORK) */
	uint64_t delay_ns;   /* runnable, but not running (/proc/PID/schedstat) */
	uint64_t migrations; /* times that it found itself on another CPU than before */
	struct ktstr_latencies wake;
	uint64_t longest_gap_ns; /* between two units, or within one that does not sleep */
	struct ktstr_worker_event gap;
	uint64_t outside; /* times that it found itself on a CPU that it may not use */
	struct ktstr_worker_event first_outside;
	uint64_t longest_idle_ns; /* of its time without a unit, as was seen from outside; at most
				   * 150 ms count of each 100 ms */
	struct ktstr_worker_event idle;
	uint64_t deadlines, missed;  /* PERIODIC */
	uint64_t lost;		     /* units that went wrong: a token, a lock or a child lost */
	char why[96];		     /* of the first one; "" */
	uint64_t pages, local_pages; /* of its memory; on the node where it last ran */
	int32_t exit_signal;	     /* that ended it before it was killed; 0: none */
	int32_t exit_code;	     /* likewise; 0: none */
	bool was_late;		     /* it was not ready to start in time */
	bool is_stuck;		     /* it did not end in time when it was killed */
};

/* ---- For .unit() of KTSTR_WORK_CUSTOM, which is killed (SIGKILL) when it is to stop ---- */

struct ktstr_worker;

/* In its set, from 0, and how many there are. */
uint32_t ktstr_worker__index(const struct ktstr_worker *worker);
uint32_t ktstr_worker__nr(const struct ktstr_worker *worker);
/* Computes for about @us of CPU time. */
void ktstr_worker__compute(struct ktstr_worker *worker, uint32_t us);
/* It runs now, and should have at @due_ns (CLOCK_MONOTONIC). */
void ktstr_worker__woken(struct ktstr_worker *worker, uint64_t due_ns);
/* Something of the work was lost: a failed check, with @why of the first one. */
void ktstr_worker__lost(struct ktstr_worker *worker, const char *why);

#endif /* KTSTR_WORK_H */
