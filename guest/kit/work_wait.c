// SPDX-License-Identifier: GPL-2.0-only
/* Work that waits for other workers: over pipes and futexes. */
#include "works.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#define MUTEX_RUN_US 50u

/* What it waited for since worker__before_wait() was sent at @sent_ns: before that, nobody slept.
 */
static void arrived(struct ktstr_worker *w, uint64_t sent_ns)
{
	if (sent_ns > w->last_ns)
		ktstr_worker__woken(w, sent_ns);
	else
		worker__tick(w);
}

/* ---- A token between two workers ---- */

struct token {
	uint64_t number; /* one more at each time that the pair's first gives it */
	uint64_t sent_ns;
};

/* The first of a pair gives a token and takes it back, the second takes it and gives it back. */
static int pass_token(struct ktstr_worker *w, int (*give)(struct ktstr_worker *w, uint64_t number),
		      int (*take)(struct ktstr_worker *w, struct token *token))
{
	struct token token = {.number = ++w->number};
	bool is_first = w->index % 2 == 0;
	int err = is_first ? give(w, token.number) : 0;

	worker__before_wait(w);
	err = err ? err : take(w, &token);
	if (err)
		return err;
	arrived(w, token.sent_ns);
	if (token.number != w->number) {
		worker__lost(w, "token %" PRIu64 " came instead of %" PRIu64, token.number,
			     w->number);
		w->number = token.number;
	}
	return is_first ? 0 : give(w, token.number);
}

/* Worker i reads from the i-th pipe. */
static uint32_t pipe_nr_fds(uint32_t nr_workers)
{
	return nr_workers * 2;
}

static int pipe_open(int *fds, uint32_t nr_workers)
{
	for (uint32_t i = 0; i < nr_workers; i++) {
		int err;

		if (!pipe2(&fds[i * 2], O_CLOEXEC))
			continue;
		err = -errno;
		while (i--) {
			close(fds[i * 2]);
			close(fds[i * 2 + 1]);
		}
		return err;
	}
	return 0;
}

static int pipe_give(struct ktstr_worker *w, uint64_t number)
{
	struct token token = {.number = number, .sent_ns = kit__now_ns()};
	ssize_t n;

	do
		n = write(w->fds[(w->index ^ 1) * 2 + 1], &token, sizeof(token));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == sizeof(token) ? 0 : -EIO;
}

static int pipe_take(struct ktstr_worker *w, struct token *token)
{
	ssize_t n;

	do
		n = read(w->fds[w->index * 2], token, sizeof(*token));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n == sizeof(*token) ? 0 : -EIO;
}

static int pipe_unit(struct ktstr_worker *w)
{
	return pass_token(w, pipe_give, pipe_take);
}
const struct work_ops work_pipe = {
	.name = "pipe", .multiple = 2, .nr_fds = pipe_nr_fds, .open = pipe_open, .unit = pipe_unit};

static int futex_give(struct ktstr_worker *w, uint64_t number)
{
	struct worker_shared *other = &w->all[w->index ^ 1];

	atomic_store(&other->stamp_ns, kit__now_ns());
	atomic_store(&other->turn, (uint32_t)number);
	kit__futex_wake(&other->turn, 1);
	return 0;
}

static int futex_take(struct ktstr_worker *w, struct token *token)
{
	uint32_t expected = (uint32_t)token->number, before = expected - 1, turn;

	while ((turn = atomic_load(&w->me->turn)) == before)
		kit__futex_wait(&w->me->turn, before);
	token->number += (uint64_t)(int32_t)(turn - expected);
	token->sent_ns = atomic_load(&w->me->stamp_ns);
	return 0;
}

static int futex_unit(struct ktstr_worker *w)
{
	return pass_token(w, futex_give, futex_take);
}
const struct work_ops work_futex = {.name = "futex", .multiple = 2, .unit = futex_unit};

/* ---- One that wakes all others ---- */

static int fanout_first(struct ktstr_worker *w)
{
	uint32_t round = (uint32_t)++w->number, done;

	atomic_store(&w->set->done, 0);
	atomic_store(&w->set->stamp_ns, kit__now_ns());
	atomic_store(&w->set->round, round);
	kit__futex_wake(&w->set->round, INT_MAX);
	worker__before_wait(w);
	while ((done = atomic_load(&w->set->done)) < w->nr - 1)
		kit__futex_wait(&w->set->done, done);
	arrived(w, atomic_load(&w->me->stamp_ns));
	for (uint32_t i = 1; i < w->nr; i++) {
		uint32_t turn = atomic_load(&w->all[i].turn);

		if (turn == round)
			continue;
		worker__lost(w, "in round %u worker %u was in %u", round, i, turn);
		break;
	}
	return 0;
}

/* The last one finds nobody else counting: it wakes the first, and says when. */
static int fanout_other(struct ktstr_worker *w)
{
	uint32_t before = (uint32_t)w->number, round, done;

	worker__before_wait(w);
	while ((round = atomic_load(&w->set->round)) == before)
		kit__futex_wait(&w->set->round, before);
	arrived(w, atomic_load(&w->set->stamp_ns));
	if (round != before + 1)
		worker__lost(w, "round %u came instead of %u", round, before + 1);
	w->number = round;
	atomic_store(&w->me->turn, round);
	done = atomic_load(&w->set->done);
	do {
		if (done + 2 == w->nr)
			atomic_store(&w->all[0].stamp_ns, kit__now_ns());
	} while (!atomic_compare_exchange_weak(&w->set->done, &done, done + 1));
	if (done + 2 == w->nr)
		kit__futex_wake(&w->set->done, 1);
	return 0;
}

static int fanout_unit(struct ktstr_worker *w)
{
	return w->index ? fanout_other(w) : fanout_first(w);
}
const struct work_ops work_fanout = {.name = "fanout", .least = 2, .unit = fanout_unit};

/* ---- A mutex ---- */

/*
 * A queue of tickets: whoever comes first has it first. No two of the tickets that are out share
 * ticket modulo @nr, so each waits on a futex of its own, and only the next one is woken.
 */
static struct worker_shared *slot_of(const struct ktstr_worker *w, uint64_t ticket)
{
	return &w->all[ticket % w->nr];
}

static uint64_t lock(struct ktstr_worker *w)
{
	for (;;) {
		uint64_t ticket = atomic_fetch_add(&w->set->next, 1), serving;
		struct worker_shared *slot = slot_of(w, ticket);

		worker__before_wait(w);
		for (;;) {
			uint32_t turn = atomic_load(&slot->turn);

			serving = atomic_load(&w->set->serving);
			if ((int64_t)(serving - ticket) >= 0)
				break;
			kit__futex_wait(&slot->turn, turn);
		}
		arrived(w, atomic_load(&slot->stamp_ns));
		if (serving == ticket)
			return ticket;
		ktstr_worker__lost(w, "its turn to have the mutex was passed over");
	}
}

static void unlock(struct ktstr_worker *w, uint64_t ticket)
{
	struct worker_shared *slot = slot_of(w, ticket + 1);
	uint64_t serving = ticket;

	atomic_store(&slot->stamp_ns, kit__now_ns());
	if (!atomic_compare_exchange_strong(&w->set->serving, &serving, ticket + 1)) {
		ktstr_worker__lost(w, "the mutex was another's before it gave it up");
		return;
	}
	atomic_fetch_add(&slot->turn, 1);
	kit__futex_wake(&slot->turn, 1);
}

/* Under the lock; once in @nr units, so that the cost of each stays the same. */
static void check_sum(struct ktstr_worker *w, uint64_t counted)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w->nr; i++)
		sum += atomic_load_explicit(&w->all[i].passed, memory_order_relaxed);
	if (sum == counted)
		return;
	worker__lost(w, "counted %" PRIu64 " under the mutex, but all had it %" PRIu64 " times",
		     counted, sum);
	atomic_store_explicit(&w->set->protected, sum, memory_order_relaxed);
}

static int mutex_unit(struct ktstr_worker *w)
{
	uint64_t ticket = lock(w);
	uint64_t counted = atomic_load_explicit(&w->set->protected, memory_order_relaxed);

	ktstr_worker__compute(w, worker__or(w->spec->run_us, MUTEX_RUN_US));
	if (atomic_load_explicit(&w->set->protected, memory_order_relaxed) != counted)
		ktstr_worker__lost(w, "another counted while it had the mutex");
	counted++;
	atomic_store_explicit(&w->set->protected, counted, memory_order_relaxed);
	atomic_fetch_add_explicit(&w->me->passed, 1, memory_order_relaxed);
	if (counted % w->nr == 0)
		check_sum(w, counted);
	unlock(w, ticket);
	return 0;
}
const struct work_ops work_mutex = {.name = "mutex", .unit = mutex_unit};
