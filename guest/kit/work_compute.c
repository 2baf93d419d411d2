// SPDX-License-Identifier: GPL-2.0-only
/* Work that computes, and sleeps by the clock alone. */
#include "works.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

static int spin(struct ktstr_worker *w)
{
	ktstr_worker__compute(w, worker__or(w->spec->run_us, 100));
	return 0;
}
const struct work_ops work_spin = {.name = "spin", .unit = spin};

static int yield(struct ktstr_worker *w)
{
	ktstr_worker__compute(w, worker__or(w->spec->run_us, 20));
	sched_yield();
	worker__tick(w);
	return 0;
}
const struct work_ops work_yield = {.name = "yield", .unit = yield};

static int burst(struct ktstr_worker *w)
{
	uint64_t due_ns;

	ktstr_worker__compute(w, worker__or(w->spec->run_us, 1000));
	due_ns = kit__now_ns() + worker__or(w->spec->sleep_us, 2000) * UINT64_C(1000);
	worker__before_wait(w);
	kit__sleep_until(due_ns);
	ktstr_worker__woken(w, due_ns);
	return 0;
}
const struct work_ops work_burst = {.name = "burst", .unit = burst};

/* Its next period; one that is over before it began is missed, and left out. */
static int periodic(struct ktstr_worker *w)
{
	uint64_t period_ns = worker__or(w->spec->period_us, 20000) * UINT64_C(1000);
	uint64_t *due_ns = w->data, now_ns;

	if (!due_ns) {
		w->data = due_ns = malloc(sizeof(*due_ns));
		if (!due_ns)
			return -ENOMEM;
		*due_ns = kit__now_ns();
	}
	worker__before_wait(w);
	kit__sleep_until(*due_ns);
	ktstr_worker__woken(w, *due_ns);
	ktstr_worker__compute(w, worker__or(w->spec->run_us, 2000));
	now_ns = kit__now_ns();
	*due_ns += period_ns;
	w->me->deadlines++;
	if (now_ns > *due_ns)
		w->me->missed++;
	while (now_ns > *due_ns) {
		*due_ns += period_ns;
		if (now_ns > *due_ns) {
			w->me->deadlines++;
			w->me->missed++;
		}
	}
	return 0;
}
const struct work_ops work_periodic = {.name = "periodic", .unit = periodic};

/* A page's first line at a time, 64 of them between two looks at the clock. */
static int cache(struct ktstr_worker *w)
{
	uint64_t size = worker__or(w->spec->size_kb, 1024) * UINT64_C(1024);
	volatile uint8_t *memory = w->data;

	for (uint32_t i = 0; i < 64; i++)
		memory[worker__random(w) % size]++;
	worker__computed(w);
	return 0;
}

static int cache_init(struct ktstr_worker *w)
{
	uint64_t size = worker__or(w->spec->size_kb, 1024) * UINT64_C(1024);
	uint8_t *memory = malloc(size);

	w->data = memory;
	if (!memory)
		return -ENOMEM;
	for (uint64_t i = 0; i < size; i += 512)
		memory[i] = 1;
	return 0;
}
const struct work_ops work_cache = {.name = "cache", .init = cache_init, .unit = cache};

static int custom(struct ktstr_worker *w)
{
	int ret = w->spec->unit(w, w->spec->arg);

	worker__tick(w);
	return ret > 0 ? -ret : ret;
}
const struct work_ops work_custom = {.name = "custom", .unit = custom};
