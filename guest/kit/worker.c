// SPDX-License-Identifier: GPL-2.0-only
/* A worker's own side: its life, and what it notes of it. See works.h. */
#include "works.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A chunk of computing, between two looks at clock and CPU. */
#define CHUNK_US 20u

uint64_t kit__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void kit__sleep_until(uint64_t ns)
{
	const struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000),
				    .tv_nsec = (long)(ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

void kit__futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

void kit__futex_wake(_Atomic uint32_t *word, uint32_t nr)
{
	syscall(SYS_futex, word, FUTEX_WAKE, nr, NULL, NULL, 0);
}

void works__loop(uint32_t loops)
{
	for (uint32_t i = 0; i < loops; i++)
		__asm__ volatile("" ::: "memory");
}

/* One writer: no atomic addition is needed. */
static void add(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
			      memory_order_relaxed);
}

static struct ktstr_worker_event event_now(const struct ktstr_worker *w, int32_t cpu, uint64_t ns)
{
	return (struct ktstr_worker_event){
		.cpu = cpu,
		.step = atomic_load_explicit(&w->kit->step, memory_order_relaxed),
		.at_ns = ns - w->kit->start_ns};
}

/* Whether it may be on this CPU. */
static int32_t note_cpu(struct ktstr_worker *w, uint64_t now_ns)
{
	uint32_t epoch = worker__epoch(w);
	int32_t cpu = sched_getcpu();

	if (cpu_bits__has(&w->set->allowed, (uint32_t)cpu) || !worker__is_unchanged(w, epoch))
		return cpu;
	if (w->in_one_epoch && w->epoch != epoch)
		return cpu;
	if (!w->me->outside)
		w->me->first_outside = event_now(w, cpu, now_ns);
	add(&w->me->outside, 1);
	return cpu;
}

static void note_gap(struct ktstr_worker *w, uint64_t gap_ns, uint64_t now_ns)
{
	if (gap_ns <= atomic_load_explicit(&w->me->longest_gap_ns, memory_order_relaxed))
		return;
	w->me->gap = event_now(w, w->last_cpu, now_ns);
	atomic_store_explicit(&w->me->longest_gap_ns, gap_ns, memory_order_relaxed);
}

/* @ns, or when it was thawed after that: frozen, it could not run. */
static uint64_t since(const struct ktstr_worker *w, uint64_t ns, uint64_t now_ns)
{
	uint64_t thawed_ns = atomic_load_explicit(&w->set->thawed_ns, memory_order_relaxed);

	ns = thawed_ns > ns ? thawed_ns : ns;
	return ns < now_ns ? ns : now_ns;
}

void worker__tick(struct ktstr_worker *w)
{
	uint64_t now_ns = kit__now_ns();
	int32_t cpu = note_cpu(w, now_ns);

	if (w->last_cpu >= 0 && cpu != w->last_cpu)
		add(&w->me->migrations, 1);
	w->last_cpu = cpu;
	note_gap(w, now_ns - since(w, w->last_ns, now_ns), now_ns);
	w->last_ns = now_ns;
}

void worker__before_wait(struct ktstr_worker *w)
{
	worker__tick(w);
}

void worker__after_wait(struct ktstr_worker *w)
{
	w->last_ns = kit__now_ns();
	worker__tick(w);
}

void ktstr_worker__woken(struct ktstr_worker *w, uint64_t due_ns)
{
	uint64_t now_ns = kit__now_ns();

	w->last_ns = since(w, due_ns, now_ns);
	ktstr_latencies__add(&w->me->wake, now_ns - w->last_ns);
	worker__tick(w);
}

void worker__computed(struct ktstr_worker *w)
{
	worker__tick(w);
	atomic_fetch_add_explicit(&w->set->computed[w->last_cpu], 1, memory_order_relaxed);
}

void ktstr_worker__compute(struct ktstr_worker *w, uint32_t us)
{
	do {
		uint32_t chunk = us < CHUNK_US ? us : CHUNK_US;

		works__loop((uint32_t)(chunk * w->kit->loops_per_us) + 1);
		us -= chunk;
		worker__computed(w);
	} while (us);
}

void worker__lost(struct ktstr_worker *w, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (!w->me->lost)
		vsnprintf(w->me->why, sizeof(w->me->why), fmt, args);
	va_end(args);
	add(&w->me->lost, 1);
}

void ktstr_worker__lost(struct ktstr_worker *w, const char *why)
{
	worker__lost(w, "%s", why);
}

uint32_t ktstr_worker__index(const struct ktstr_worker *w)
{
	return w->index;
}

uint32_t ktstr_worker__nr(const struct ktstr_worker *w)
{
	return w->nr;
}

/* splitmix64: each worker's row is its own, and the same in every run. */
uint64_t worker__random(struct ktstr_worker *w)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- Its life ---- */

static int set_memory_policy(const struct ktstr_workers *spec)
{
	static const int mode[] = {
		[KTSTR_MEMORY_DEFAULT] = MPOL_DEFAULT,
		[KTSTR_MEMORY_BIND] = MPOL_BIND,
		[KTSTR_MEMORY_PREFERRED] = MPOL_PREFERRED,
		[KTSTR_MEMORY_INTERLEAVE] = MPOL_INTERLEAVE,
	};
	unsigned long nodes = spec->memory_nodes;

	if (spec->memory == KTSTR_MEMORY_DEFAULT)
		return 0;
	/* The kernel takes one bit less than it is told. */
	return syscall(SYS_set_mempolicy, mode[spec->memory], &nodes, 65ul) ? -errno : 0;
}

/* A thread of several leaves the others alone, unless none of them has started. */
static void __attribute__((noreturn)) end(struct ktstr_worker *w, int err, const char *what)
{
	if (!w->me->why[0])
		snprintf(w->me->why, sizeof(w->me->why), "%s: %s", what, strerror(-err));
	atomic_store(&w->me->err, err);
	atomic_store(&w->me->state, KIT_WORKER_FAILED);
	kit__futex_wake(&w->me->state, 1);
	if (w->spec->threads && atomic_load(&w->set->go))
		syscall(SYS_exit, 1);
	_exit(1);
}

void worker__main(struct ktstr_worker *w)
{
	const struct work_ops *ops = works__ops(w->spec->work);
	int err;

	/* Schedulers, and the kernel's messages about tasks, call it as its set. */
	prctl(PR_SET_NAME, w->spec->name ?: ktstr_work__name(w->spec->work));
	w->last_cpu = -1;
	w->random = w->index + 1;
	err = set_memory_policy(w->spec);
	if (err)
		end(w, err, "set_mempolicy");
	err = ops->init ? ops->init(w) : 0;
	if (err)
		end(w, err, "setting up its work");
	atomic_store(&w->me->tid, (int32_t)syscall(SYS_gettid));
	atomic_store(&w->me->state, KIT_WORKER_READY);
	kit__futex_wake(&w->me->state, 1);
	while (!atomic_load_explicit(&w->set->go, memory_order_acquire))
		kit__futex_wait(&w->set->go, 0);
	w->last_ns = kit__now_ns();
	worker__tick(w);
	for (;;) {
		err = ops->unit(w);
		if (err) {
			add(&w->me->lost, 1);
			end(w, err, "its work");
		}
		add(&w->me->units, 1);
	}
}
