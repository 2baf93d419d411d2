// SPDX-License-Identifier: GPL-2.0-only
/* Token buckets. */
#include "throttle.h"

#define PS_PER_S UINT64_C(1000000000000)
#define PS_PER_MS UINT64_C(1000000000)
#define PS_PER_NS 1000u
/* Nothing is paid for longer than this: a hundred days. */
#define MAX_PS (UINT64_C(100) * 86400 * PS_PER_S)

static uint64_t cost_ps(const struct throttle_bucket *b, uint64_t units)
{
	unsigned __int128 ps = (unsigned __int128)units * PS_PER_S / b->rate;

	return ps > MAX_PS ? MAX_PS : (uint64_t)ps;
}

static void init_bucket(struct throttle_bucket *b, const struct throttle_limit *limit)
{
	uint64_t unit_ps;

	*b = (struct throttle_bucket){.rate = limit->rate};
	if (!b->rate)
		return;
	unit_ps = cost_ps(b, 1);
	b->burst_ps = limit->burst ? cost_ps(b, limit->burst)
				   : THROTTLE_DEFAULT_BURST_MS * PS_PER_MS + unit_ps;
	b->burst_ps -= unit_ps;
}

void throttle__init(struct throttle *t, const struct throttle_limit *operations,
		    const struct throttle_limit *bytes)
{
	init_bucket(&t->operations, operations);
	init_bucket(&t->bytes, bytes);
}

bool throttle__limits(const struct throttle *t)
{
	return t->operations.rate || t->bytes.rate;
}

/* Until there is a unit in it. */
static uint64_t bucket_wait_ps(const struct throttle_bucket *b, uint64_t now_ps)
{
	uint64_t enough_ps;

	if (!b->rate || b->full_ps <= b->burst_ps)
		return 0;
	enough_ps = b->full_ps - b->burst_ps;
	return enough_ps > now_ps ? enough_ps - now_ps : 0;
}

uint64_t throttle__wait_ns(const struct throttle *t, uint64_t now_ns)
{
	uint64_t now_ps = now_ns * PS_PER_NS;
	uint64_t operations = bucket_wait_ps(&t->operations, now_ps);
	uint64_t bytes = bucket_wait_ps(&t->bytes, now_ps);

	uint64_t longer = operations > bytes ? operations : bytes;

	return longer / PS_PER_NS + (longer % PS_PER_NS != 0);
}

static void take(struct throttle_bucket *b, uint64_t units, uint64_t now_ps, bool idle)
{
	if (!b->rate)
		return;
	if (idle && b->full_ps < now_ps)
		b->full_ps = now_ps;
	if (__builtin_add_overflow(b->full_ps, cost_ps(b, units), &b->full_ps))
		b->full_ps = UINT64_MAX;
}

void throttle__take(struct throttle *t, uint64_t bytes, uint64_t now_ns, bool idle)
{
	uint64_t now_ps = now_ns * PS_PER_NS;

	take(&t->operations, 1, now_ps, idle);
	take(&t->bytes, bytes, now_ps, idle);
}
