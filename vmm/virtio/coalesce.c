// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts for several requests at a time. */
#include "coalesce.h"

#define HOLD_MIN_NS UINT64_C(100000)
/* Of a driver that sends slowly, and of storage that is slow. */
#define GAP_MAX_NS UINT64_C(10000000)
#define HOLD_MAX_NS UINT64_C(100000000)
#define GAPS 4u		 /* without an arrival: the driver has stopped */
#define PROBE_TARGET 48u /* a depth of as many is deep enough */
#define WEIGHT 16u	 /* of the past against the present */

static uint64_t mean(uint64_t old, uint64_t now)
{
	return (old * (WEIGHT - 1) + now) / WEIGHT;
}

static uint64_t between(uint64_t ns, uint64_t least, uint64_t most)
{
	return ns < least ? least : ns > most ? most : ns;
}

void coalesce__arrived(struct coalesce *c, uint32_t nr, uint64_t now_ns)
{
	uint64_t gap;

	if (!nr)
		return;
	gap = (now_ns - c->last_ns) / nr;
	c->gap_ns = mean(c->gap_ns, gap < GAP_MAX_NS ? gap : GAP_MAX_NS);
	c->last_ns = now_ns;
	c->arrivals += nr;
}

void coalesce__ended(struct coalesce *c, uint64_t took_ns, uint64_t now_ns)
{
	if (took_ns)
		c->usual_ns =
			mean(c->usual_ns, took_ns < HOLD_MAX_NS * 4 ? took_ns : HOLD_MAX_NS * 4);
	if (!c->held++) {
		c->since_ns = now_ns;
		c->arrivals = 0;
	}
}

static void end_probe(struct coalesce *c)
{
	c->probing = false;
	if (c->depth >= 3)
		c->probe_every = COALESCE_PROBE_DEEP;
	else if (c->probe_every < COALESCE_PROBE_MAX)
		c->probe_every *= 2;
}

void coalesce__told(struct coalesce *c)
{
	c->held = 0;
	if (!c->probe_every)
		c->probe_every = COALESCE_PROBE_MIN;
	if (c->probing)
		end_probe(c);
	if (++c->interrupts < c->probe_every)
		return;
	c->interrupts = 0;
	c->probing = true;
}

bool coalesce__due(struct coalesce *c, uint32_t in_flight)
{
	uint32_t target;

	if (c->held + in_flight > c->depth)
		c->depth = c->held + in_flight;
	target = c->probing ? PROBE_TARGET : c->depth / 2;
	if (!c->held || c->held < target)
		return false;
	coalesce__told(c);
	return true;
}

uint64_t coalesce__deadline_ns(const struct coalesce *c, uint32_t in_flight)
{
	/* Storage that does one after the other is kept busy by the rest meanwhile. */
	if (in_flight)
		return c->since_ns + between(c->usual_ns / 4 * 3, HOLD_MIN_NS, HOLD_MAX_NS);
	return c->since_ns + between(c->gap_ns * GAPS, HOLD_MIN_NS, GAP_MAX_NS);
}

/* The driver has stopped, it seems: by a busy host's fault perhaps, so the past counts, too. */
static void note_stop(struct coalesce *c, uint32_t outstanding)
{
	uint32_t lower = c->depth - (c->depth + 3) / 4;

	c->depth = c->probing || outstanding > lower ? outstanding : lower;
}

bool coalesce__expired(struct coalesce *c, uint32_t in_flight, uint64_t now_ns)
{
	if (!c->held || now_ns < coalesce__deadline_ns(c, in_flight))
		return false;
	/* Not for ever: what it sends ends, and is held, until it is as many as wanted. */
	if (c->arrivals && (c->probing || !in_flight)) {
		c->arrivals = 0;
		c->since_ns = now_ns;
		return false;
	}
	if (!c->arrivals)
		note_stop(c, c->held + in_flight);
	coalesce__told(c);
	return true;
}
