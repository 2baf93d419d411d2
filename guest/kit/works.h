/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inside of a worker: what it shares with the process that runs the scenario, and how each kind
 * of work is made. Counters have one writer, the worker, and are read at any time.
 */
#ifndef KTSTR_KIT_WORKS_H
#define KTSTR_KIT_WORKS_H

#include <ktstr/scenario.h>

#include <stdatomic.h>
#include <sys/types.h>

#include "cpus.h"

#define KIT_WHY_SIZE 96u

/* How far a worker is. */
enum kit_worker_state {
	KIT_WORKER_NONE = 0,
	KIT_WORKER_READY,  /* set up, and waits for the start */
	KIT_WORKER_FAILED, /* could not be set up, or its work is lost: see .why */
};

/* What one worker has counted. In shared memory. */
struct worker_shared {
	_Atomic uint32_t state; /* futex */
	_Atomic int32_t tid, err;
	_Atomic uint64_t units, migrations, lost, outside, deadlines, missed, children_ns;
	_Atomic uint64_t longest_gap_ns;
	struct ktstr_worker_event gap, first_outside;
	struct ktstr_latencies wake;
	char why[KIT_WHY_SIZE]; /* of the first loss, or of KIT_WORKER_FAILED */
	/* What others gave it; 0 at its start. */
	_Atomic uint32_t turn;	   /* futex: FUTEX's token, FANOUT's round, a slot of MUTEX */
	_Atomic uint64_t stamp_ns; /* when it was about to be woken for that */
	_Atomic uint64_t passed;   /* MUTEX: times that it had the lock; written under it */
} __attribute__((aligned(64)));

/* What a set of workers has in common. In shared memory. */
struct set_shared {
	_Atomic uint32_t go;	    /* futex: 1 from the start on */
	_Atomic uint64_t thawed_ns; /* when it was last; what passed before is no gap */
	struct cpu_bits allowed;    /* changes only while kit_shared.epoch is odd */
	/* What follows is 0 at the set's start. */
	_Atomic uint64_t next, serving;		   /* tickets of MUTEX's lock */
	_Atomic uint64_t protected;		   /* counted under the lock, not atomically */
	_Atomic uint32_t round, done;		   /* of FANOUT; futexes */
	_Atomic uint64_t stamp_ns;		   /* when the round began */
	_Atomic uint32_t computed[KTSTR_MAX_CPUS]; /* chunks of computing, by CPU */
} __attribute__((aligned(64)));

/* What the whole scenario has in common. In shared memory, before its sets and workers. */
struct kit_shared {
	_Atomic uint32_t epoch; /* odd: what workers may do is being changed */
	_Atomic uint32_t step;
	uint64_t start_ns;
	double loops_per_us; /* of works__loop() */
};

/* A worker, in its own process. */
struct ktstr_worker {
	const struct ktstr_workers *spec;
	const struct kit_shared *kit;
	struct set_shared *set;
	struct worker_shared *me, *all; /* @all: of the set, [nr] */
	const int *fds;			/* of the set, made by .open() */
	uint32_t index, nr;
	uint64_t last_ns; /* when it last ran, as far as it knows */
	int32_t last_cpu; /* -1: not known */
	uint64_t random;
	uint64_t number; /* of the work's last token, round or the like; 0 at its start */
	void *data;	 /* of the work */
	/*
	 * It binds itself, or is a child of a worker: what it may use is set_shared.allowed in this
	 * epoch alone.
	 */
	bool in_one_epoch;
	uint32_t epoch;
};

struct work_ops {
	const char *name;
	uint32_t multiple, least; /* of workers in a set; 0: 1 */
	/*
	 * In the process that runs the scenario, before the workers are there: how many descriptors
	 * the set needs, which are made by .open(); each worker has all of them.
	 */
	uint32_t (*nr_fds)(uint32_t nr_workers);
	int (*open)(int *fds, uint32_t nr_workers); /* 0 or -errno, and then none is open */
	int (*init)(struct ktstr_worker *w);	    /* in the worker, before the start */
	int (*unit)(struct ktstr_worker *w);	    /* -errno: lost, and the worker ends */
};

/* By kind; NULL: there is none. */
const struct work_ops *works__ops(enum ktstr_work_kind kind);
uint32_t works__multiple(enum ktstr_work_kind kind);
uint32_t works__least(enum ktstr_work_kind kind);

/* One run of the loop that computing is made of. */
void works__loop(uint32_t loops);

/* CLOCK_MONOTONIC */
uint64_t kit__now_ns(void);
/* Sleeps until then, whatever interrupts. */
void kit__sleep_until(uint64_t ns);
/* futex(2), shared between processes: 0, also when *@word is no longer @value. */
void kit__futex_wait(_Atomic uint32_t *word, uint32_t value);
void kit__futex_wake(_Atomic uint32_t *word, uint32_t nr);

/*
 * Notes that the worker runs now: on which CPU, whether it may be there, and how long it did not.
 * To be called often while it wants to run.
 */
void worker__tick(struct ktstr_worker *w);
/* It is about to wait for something: what passes until worker__tick() is no gap. */
void worker__before_wait(struct ktstr_worker *w);
void worker__after_wait(struct ktstr_worker *w);
/* .run_us and the like: @value, or @otherwise where that is 0. */
static inline uint32_t worker__or(uint32_t value, uint32_t otherwise)
{
	return value ? value : otherwise;
}
uint64_t worker__random(struct ktstr_worker *w);
/* ktstr_worker__lost(), formatted */
void worker__lost(struct ktstr_worker *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* It has computed, or touched memory, for about 20 us: worker__tick(), counted for its CPU. */
void worker__computed(struct ktstr_worker *w);

/*
 * What a worker may do, and its attributes, are changed from outside only while the epoch is odd:
 * what was read in an epoch that is even, and is the same afterwards, is its own doing.
 */
static inline uint32_t worker__epoch(const struct ktstr_worker *w)
{
	return atomic_load_explicit(&w->kit->epoch, memory_order_acquire);
}

static inline bool worker__is_unchanged(const struct ktstr_worker *w, uint32_t epoch)
{
	atomic_thread_fence(memory_order_seq_cst);
	return epoch % 2 == 0 &&
	       atomic_load_explicit(&w->kit->epoch, memory_order_relaxed) == epoch;
}

/* Body of a worker's process or thread: set-up, start, units. Does not return. */
void worker__main(struct ktstr_worker *w) __attribute__((noreturn));

/* The tables of the kinds, each in its own file. */
extern const struct work_ops work_spin, work_yield, work_burst, work_periodic, work_cache;
extern const struct work_ops work_pipe, work_futex, work_fanout, work_mutex;
extern const struct work_ops work_io, work_fork, work_fault, work_nice, work_affinity, work_policy;
extern const struct work_ops work_custom;

#endif /* KTSTR_KIT_WORKS_H */
