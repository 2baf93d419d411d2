// SPDX-License-Identifier: GPL-2.0-only
/* Bytes between threads: order, when the reader is woken, and that a full queue holds the writer.
 */
#include "vmm/byte_queue.h"

#include <poll.h>
#include <stdlib.h>

#include "kselftest_harness.h"

FIXTURE(queue)
{
	struct byte_queue *q;
};

FIXTURE_SETUP(queue)
{
	self->q = malloc(sizeof(*self->q));
	ASSERT_NE(NULL, self->q);
	ASSERT_EQ(0, byte_queue__init(self->q));
}

FIXTURE_TEARDOWN(queue)
{
	byte_queue__fini(self->q);
	free(self->q);
}

static bool readable(const struct byte_queue *q, int timeout_ms)
{
	struct pollfd p = {.fd = q->fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void put_text(struct byte_queue *q, const char *text)
{
	while (*text)
		byte_queue__put(q, (uint8_t)*text++);
}

TEST_F(queue, a_line_wakes_and_the_last_byte_taken_ends_it)
{
	uint8_t buf[8];

	EXPECT_FALSE(readable(self->q, 0));
	put_text(self->q, "abc");
	EXPECT_FALSE(readable(self->q, 0));
	put_text(self->q, "\nd");
	EXPECT_TRUE(readable(self->q, 0));
	ASSERT_EQ(4, byte_queue__take(self->q, buf, 4));
	EXPECT_EQ(0, memcmp("abc\n", buf, 4));
	EXPECT_TRUE(readable(self->q, 0)); /* one is left */
	ASSERT_EQ(1, byte_queue__take(self->q, buf, 8));
	EXPECT_EQ('d', buf[0]);
	EXPECT_FALSE(readable(self->q, 0));
	EXPECT_EQ(0, byte_queue__take(self->q, buf, 8));
	put_text(self->q, "\n");
	EXPECT_TRUE(readable(self->q, 0));
}

TEST_F(queue, many_bytes_wake_without_a_line)
{
	for (uint32_t i = 0; i < BYTE_QUEUE_WAKE - 1; i++)
		byte_queue__put(self->q, 'x');
	EXPECT_FALSE(readable(self->q, 0));
	byte_queue__put(self->q, 'x');
	EXPECT_TRUE(readable(self->q, 0));
}

TEST_F(queue, what_did_not_wake_can_be_taken)
{
	uint8_t buf[8];

	put_text(self->q, "end");
	byte_queue__close(self->q);
	EXPECT_EQ(3, byte_queue__take(self->q, buf, 8));
}

#define TOTAL (3 * BYTE_QUEUE_SIZE + 7)

static void *write_all(void *opaque)
{
	for (uint32_t i = 0; i < TOTAL; i++)
		byte_queue__put(opaque, (uint8_t)(i * 7 + i / 251));
	byte_queue__put(opaque, '\n');
	return NULL;
}

/* The reader sleeps until it is woken: a lost wake-up would hang here. */
TEST_F(queue, more_than_it_holds_arrives_in_order)
{
	uint8_t buf[1000];
	pthread_t thread;
	uint32_t at = 0;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_all, self->q));
	while (at < TOTAL + 1) {
		size_t n;

		ASSERT_TRUE(readable(self->q, 20000));
		n = byte_queue__take(self->q, buf, sizeof(buf));
		for (size_t i = 0; i < n; i++, at++)
			ASSERT_EQ(at == TOTAL ? '\n' : (uint8_t)(at * 7 + at / 251), buf[i]);
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, byte_queue__take(self->q, buf, sizeof(buf)));
}

/* With nobody reading, the writer ends only because of the close. */
TEST_F(queue, close_lets_a_waiting_writer_go)
{
	pthread_t thread;
	struct timespec limit;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_all, self->q));
	ASSERT_TRUE(readable(self->q, 20000));
	for (;;) {
		bool full;

		pthread_mutex_lock(&self->q->lock);
		full = self->q->length == BYTE_QUEUE_SIZE;
		pthread_mutex_unlock(&self->q->lock);
		if (full)
			break;
		sched_yield();
	}
	EXPECT_NE(0, pthread_tryjoin_np(thread, NULL));
	byte_queue__close(self->q);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 20;
	EXPECT_EQ(0, pthread_timedjoin_np(thread, NULL, &limit));
	EXPECT_EQ(BYTE_QUEUE_SIZE, self->q->length);
}

TEST_HARNESS_MAIN
