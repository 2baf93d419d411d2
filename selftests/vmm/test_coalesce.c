// SPDX-License-Identifier: GPL-2.0-only
/*
 * When interrupts come, with a simulated driver: it sends a request each @gap_ns while it has fewer
 * than @depth outstanding, and learns of what has ended by an interrupt alone. Storage does one
 * request after the other, in @service_ns.
 */
#include "vmm/virtio/coalesce.h"

#include "kselftest_harness.h"

#define NEVER UINT64_MAX

struct machine {
	struct coalesce c;
	uint32_t depth;
	uint64_t gap_ns, service_ns;
	/* Simulation */
	uint64_t now_ns, send_at, end_at, timer_at;
	uint64_t started_ns[64]; /* of those in flight, in their order */
	uint32_t in_flight, outstanding;
	uint64_t sent, interrupts;
	bool timer_set;
};

static void interrupt(struct machine *m)
{
	m->interrupts++;
	m->outstanding = m->in_flight;
	if (m->send_at == NEVER)
		m->send_at = m->now_ns + m->gap_ns;
}

static void look(struct machine *m)
{
	if (coalesce__due(&m->c, m->in_flight))
		interrupt(m);
	if (m->c.held && !m->timer_set) {
		m->timer_set = true;
		m->timer_at = coalesce__deadline_ns(&m->c, m->in_flight);
		if (m->timer_at < m->now_ns)
			m->timer_at = m->now_ns;
	}
}

static void send(struct machine *m)
{
	if (!m->in_flight)
		m->end_at = m->now_ns + m->service_ns;
	m->started_ns[m->in_flight++] = m->now_ns;
	m->sent++;
	coalesce__arrived(&m->c, 1, m->now_ns);
	m->send_at = ++m->outstanding < m->depth ? m->now_ns + m->gap_ns : NEVER;
}

static void end(struct machine *m)
{
	uint64_t took = m->now_ns - m->started_ns[0];

	memmove(m->started_ns, m->started_ns + 1, --m->in_flight * sizeof(m->started_ns[0]));
	coalesce__ended(&m->c, took ? took : 1, m->now_ns);
	m->end_at = m->in_flight ? m->now_ns + m->service_ns : NEVER;
	look(m);
}

static void expire(struct machine *m)
{
	m->timer_set = false;
	m->timer_at = NEVER;
	if (coalesce__expired(&m->c, m->in_flight, m->now_ns))
		interrupt(m);
	look(m);
}

/* Goes on for so many requests; how long they took, each, in ns. Never: it hung. */
static uint64_t run(struct machine *m, uint64_t requests)
{
	uint64_t until = m->sent + requests, begin = m->now_ns;

	m->interrupts = 0;
	while (m->sent < until) {
		uint64_t next = m->send_at < m->end_at ? m->send_at : m->end_at;

		next = m->timer_at < next ? m->timer_at : next;
		if (next == NEVER)
			return NEVER;
		m->now_ns = next;
		if (next == m->end_at)
			end(m);
		else if (next == m->send_at)
			send(m);
		else
			expire(m);
	}
	return (m->now_ns - begin) / requests;
}

static struct machine create(uint32_t depth, uint64_t gap_ns, uint64_t service_ns)
{
	return (struct machine){.depth = depth,
				.gap_ns = gap_ns,
				.service_ns = service_ns,
				.send_at = 1000000000,
				.end_at = NEVER,
				.timer_at = NEVER};
}

static const struct {
	uint64_t gap_ns, service_ns;
} speeds[] = {
	{2000, 10000},	   /* a fast machine on fast storage */
	{2000, 100000},	   /* on slower */
	{5000, 2000},	   /* storage is not waited for */
	{2000000, 20000},  /* an emulated machine */
	{100000, 4000000}, /* slow storage */
};
#define SPEEDS (sizeof(speeds) / sizeof(speeds[0]))

/* Two exits each: 0.2 a request. */
TEST(thirty_two_in_flight_are_interrupted_for_ten_at_a_time)
{
	for (size_t i = 0; i < SPEEDS; i++) {
		struct machine m = create(32, speeds[i].gap_ns, speeds[i].service_ns);

		ASSERT_NE(NEVER, run(&m, 1000));
		ASSERT_NE(NEVER, run(&m, 20000));
		EXPECT_LE(m.interrupts, 2000)
		{
			TH_LOG("speed %zu", i);
		}
	}
}

/* What it costs those who gain nothing: 3 % at most. */
TEST(one_in_flight_is_told_at_once)
{
	for (size_t i = 0; i < SPEEDS; i++) {
		struct machine m = create(1, speeds[i].gap_ns, speeds[i].service_ns);
		uint64_t ideal = speeds[i].gap_ns + speeds[i].service_ns, took;

		/* Not less than the shortest time that a probe takes. */
		ideal += 100000 / COALESCE_PROBE_MAX + 1;
		ASSERT_NE(NEVER, run(&m, 3000));
		took = run(&m, 10000);
		EXPECT_LE(took * 100, ideal * 103)
		{
			TH_LOG("speed %zu: %llu, not %llu", i, (unsigned long long)took,
			       (unsigned long long)ideal);
		}
	}
}

/* Storage that is the limit stays it. */
TEST(throughput_at_depth_is_that_of_the_storage)
{
	for (size_t i = 0; i < SPEEDS; i++) {
		struct machine m = create(32, speeds[i].gap_ns, speeds[i].service_ns);
		uint64_t ideal = speeds[i].gap_ns > speeds[i].service_ns ? speeds[i].gap_ns
									 : speeds[i].service_ns;
		uint64_t took;

		ASSERT_NE(NEVER, run(&m, 1000));
		took = run(&m, 20000);
		EXPECT_LE(took * 100, ideal * 105)
		{
			TH_LOG("speed %zu: %llu, not %llu", i, (unsigned long long)took,
			       (unsigned long long)ideal);
		}
	}
}

TEST(driver_that_sends_fewer_than_before_is_soon_told_at_once)
{
	for (size_t i = 0; i < SPEEDS; i++) {
		struct machine m = create(32, speeds[i].gap_ns, speeds[i].service_ns);

		run(&m, 5000);
		for (m.depth = 16; m.depth; m.depth /= 2) {
			run(&m, 5000);
			EXPECT_LE(m.c.depth, m.depth + m.depth / 2 + 1)
			{
				TH_LOG("speed %zu, depth %u: %u", i, m.depth, m.c.depth);
			}
		}
	}
}

TEST_HARNESS_MAIN
