// SPDX-License-Identifier: GPL-2.0-only
/* Histograms of wake-up latencies (ktstr/work.h). */
#include <ktstr/work.h>

/* Buckets of powers of two, each of KTSTR_LATENCY_STEPS; the first ones are of 1 ns. */
static uint32_t bucket_of(uint64_t ns)
{
	uint32_t shift, index;

	if (ns < KTSTR_LATENCY_STEPS)
		return (uint32_t)ns;
	shift = 63 - (uint32_t)__builtin_clzll(ns) - 4;
	index = (shift + 1) * KTSTR_LATENCY_STEPS + (uint32_t)(ns >> shift) - KTSTR_LATENCY_STEPS;
	return index < KTSTR_LATENCY_BUCKETS ? index : KTSTR_LATENCY_BUCKETS - 1;
}

/* The largest latency that goes there; the last one has no end. */
static uint64_t upper_end(uint32_t bucket)
{
	uint32_t shift;

	if (bucket < KTSTR_LATENCY_STEPS)
		return bucket;
	if (bucket == KTSTR_LATENCY_BUCKETS - 1)
		return UINT64_MAX;
	shift = bucket / KTSTR_LATENCY_STEPS - 1;
	return ((uint64_t)(KTSTR_LATENCY_STEPS + bucket % KTSTR_LATENCY_STEPS + 1) << shift) - 1;
}

void ktstr_latencies__add(struct ktstr_latencies *l, uint64_t ns)
{
	l->count++;
	l->sum_ns += ns;
	if (ns > l->max_ns)
		l->max_ns = ns;
	l->buckets[bucket_of(ns)]++;
}

void ktstr_latencies__merge(struct ktstr_latencies *to, const struct ktstr_latencies *from)
{
	to->count += from->count;
	to->sum_ns += from->sum_ns;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
	for (uint32_t i = 0; i < KTSTR_LATENCY_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

uint64_t ktstr_latencies__percentile(const struct ktstr_latencies *l, double percent)
{
	double wanted = (double)l->count * percent / 100;
	uint64_t seen = 0, end;

	for (uint32_t i = 0; i < KTSTR_LATENCY_BUCKETS; i++) {
		seen += l->buckets[i];
		if (!l->buckets[i] || (double)seen < wanted)
			continue;
		end = upper_end(i);
		return end < l->max_ns ? end : l->max_ns;
	}
	return l->max_ns;
}
