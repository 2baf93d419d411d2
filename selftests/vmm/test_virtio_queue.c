// SPDX-License-Identifier: GPL-2.0-only
/* The device side of a virtqueue, run against a driver in user space that may be wrong on purpose.
 */
#include "vmm/virtio/queue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "virtq_driver.h"

#define SIZE 8u
#define RING_GPA UINT64_C(0x10000)
#define TABLE_GPA UINT64_C(0x20000)
#define DATA_GPA UINT64_C(0x40000)
#define RAM_BYTES (UINT64_C(4) << 20)

#define FEATURE(n) (UINT64_C(1) << (n))
#define ALL_FEATURES (FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC))

static struct virtq_geometry geometry_of(const struct virtq_driver *d)
{
	return (struct virtq_geometry){.desc_gpa = d->desc_gpa,
				       .avail_gpa = d->avail_gpa,
				       .used_gpa = d->used_gpa,
				       .size = d->size};
}

static int start_queue(struct virtq *q, const struct gmem *mem, const struct virtq_driver *d,
		       uint64_t features)
{
	struct virtq_geometry g = geometry_of(d);
	int ret;

	virtq__init(q, mem, VIRTQ_MAX_SIZE);
	ret = virtq__enable(q, &g, features, NULL);
	q->s.live = !ret;
	return ret;
}

FIXTURE(queue)
{
	struct gmem mem;
	struct virtq_driver d;
	struct virtq q;
	struct virtq_chain *chain; /* on the heap: ASan sees what is written past it */
	struct ktstr_error error;
};

FIXTURE_SETUP(queue)
{
	memset(self, 0, sizeof(*self));
	ASSERT_EQ(0, gmem__layout(&self->mem, RAM_BYTES, &self->error));
	ASSERT_EQ(0, gmem__map(&self->mem, &self->error));
	self->chain = malloc(sizeof(*self->chain));
	ASSERT_NE(NULL, self->chain);
	vd_init(&self->d, &self->mem, RING_GPA, SIZE, true);
	ASSERT_EQ(0, start_queue(&self->q, &self->mem, &self->d, ALL_FEATURES));
}

FIXTURE_TEARDOWN(queue)
{
	free(self->chain);
	gmem__unmap(&self->mem);
}

static const struct vd_buffer two_and_two[] = {
	{DATA_GPA, 16, false},
	{DATA_GPA + 0x1000, 100, false},
	{DATA_GPA + 0x2000, 1, true},
	{DATA_GPA + 0x3000, 512, true},
};

TEST_F(queue, pop_splits_a_chain_into_readable_and_writable_parts)
{
	int head = vd_add(&self->d, two_and_two, 4);

	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_EQ(head, self->chain->head);
	EXPECT_EQ(2, self->chain->nr_readable);
	EXPECT_EQ(2, self->chain->nr_writable);
	EXPECT_EQ(116, self->chain->readable);
	EXPECT_EQ(513, self->chain->writable);
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(gmem__ptr(&self->mem, two_and_two[i].gpa, 1),
			  self->chain->iov[i].iov_base);
		EXPECT_EQ(two_and_two[i].length, self->chain->iov[i].iov_len);
	}
	EXPECT_EQ(0, virtq__pop(&self->q, self->chain, &self->error));
}

TEST_F(queue, pop_follows_an_indirect_table_after_direct_descriptors)
{
	struct vring_desc *table = gmem__ptr(&self->mem, TABLE_GPA, 64);

	table[0] = (struct vring_desc){DATA_GPA + 0x1000, 20, VRING_DESC_F_NEXT, 2};
	table[2] = (struct vring_desc){DATA_GPA + 0x2000, 30, VRING_DESC_F_WRITE, 0};
	self->d.desc[5] = (struct vring_desc){DATA_GPA, 10, VRING_DESC_F_NEXT, 6};
	/* §2.7.5.3.2: the write flag of the reference is ignored */
	self->d.desc[6] =
		(struct vring_desc){TABLE_GPA, 48, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0};
	vd_offer(&self->d, 5);
	vd_publish(&self->d);

	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_EQ(5, self->chain->head);
	EXPECT_EQ(2, self->chain->nr_readable);
	EXPECT_EQ(1, self->chain->nr_writable);
	EXPECT_EQ(30, self->chain->readable);
	EXPECT_EQ(30, self->chain->writable);
}

TEST_F(queue, chains_as_long_as_the_queue_are_taken)
{
	struct vd_buffer buffers[SIZE];

	for (uint32_t i = 0; i < SIZE; i++)
		buffers[i] = (struct vd_buffer){DATA_GPA + i, 1, false};
	ASSERT_LE(0, vd_add(&self->d, buffers, SIZE));
	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_EQ(SIZE, self->chain->nr_readable);
	EXPECT_EQ(0, virtq__push(&self->q, self->chain->head, 0, NULL));
	virtq__publish(&self->q);
	ASSERT_LE(0, vd_get_used(&self->d, NULL));
	ASSERT_LE(0, vd_add_indirect(&self->d, TABLE_GPA, buffers, SIZE));
	EXPECT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_EQ(SIZE, self->chain->nr_readable);
}

TEST_F(queue, nothing_is_taken_before_the_queue_is_live)
{
	self->q.s.live = false;
	ASSERT_LE(0, vd_add(&self->d, two_and_two, 4));
	EXPECT_EQ(0, virtq__pop(&self->q, self->chain, &self->error));
	self->q.s.live = true;
	EXPECT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
}

TEST_F(queue, unpop_makes_the_same_chain_come_again)
{
	int head = vd_add(&self->d, two_and_two, 4);

	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	virtq__unpop(&self->q);
	self->chain->head = 99;
	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_EQ(head, self->chain->head);
}

TEST_F(queue, pushes_are_seen_when_published_and_carry_lengths)
{
	uint32_t length = 0;
	int a = vd_add(&self->d, two_and_two, 1);
	int b = vd_add(&self->d, two_and_two, 1);

	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
	ASSERT_EQ(0, virtq__push(&self->q, (uint16_t)b, 7, NULL));
	ASSERT_EQ(0, virtq__push(&self->q, (uint16_t)a, 9, NULL));
	EXPECT_EQ(-EAGAIN, vd_get_used(&self->d, &length));
	virtq__publish(&self->q);
	EXPECT_EQ(b, vd_get_used(&self->d, &length));
	EXPECT_EQ(7, length);
	EXPECT_EQ(a, vd_get_used(&self->d, &length));
	EXPECT_EQ(9, length);
	EXPECT_EQ(-EAGAIN, vd_get_used(&self->d, &length));
}

TEST_F(queue, indexes_wrap_at_65536)
{
	for (uint32_t i = 0; i < 70000; i++) {
		uint32_t length = 0;
		int head = vd_add(&self->d, two_and_two, 1 + i % 4);

		ASSERT_LE(0, head);
		ASSERT_EQ(1, virtq__pop(&self->q, self->chain, &self->error));
		ASSERT_EQ(0, virtq__push(&self->q, self->chain->head, i, NULL));
		virtq__publish(&self->q);
		/* the driver always wants to hear of the next one, across the wrap as well */
		ASSERT_TRUE(virtq__needs_interrupt(&self->q));
		ASSERT_EQ(head, vd_get_used(&self->d, &length));
		ASSERT_EQ(i, length);
	}
	EXPECT_EQ((uint16_t)70000, self->d.used->idx);
}

/* ---- Geometry ---- */

TEST_F(queue, enable_refuses_impossible_geometry)
{
	static const struct {
		const char *what;
		struct virtq_geometry g;
		int ret;
	} cases[] = {
		{"size 0", {0x1000, 0x2000, 0x3000, 0}, -EINVAL},
		{"no power of two", {0x1000, 0x2000, 0x3000, 12}, -EINVAL},
		{"above the device's maximum", {0x1000, 0x2000, 0x3000, 128}, -EINVAL},
		{"size above 16 bits", {0x1000, 0x2000, 0x3000, 0x10000}, -EINVAL},
		{"desc alignment", {0x1008, 0x2000, 0x3000, 8}, -EINVAL},
		{"avail alignment", {0x1000, 0x2001, 0x3000, 8}, -EINVAL},
		{"used alignment", {0x1000, 0x2000, 0x3002, 8}, -EINVAL},
		{"desc ends after RAM", {RAM_BYTES - 112, 0x2000, 0x3000, 8}, -EFAULT},
		{"avail ends after RAM", {0x1000, RAM_BYTES - 20, 0x3000, 8}, -EFAULT},
		{"used ends after RAM", {0x1000, 0x2000, RAM_BYTES - 68, 8}, -EFAULT},
		{"desc wraps", {UINT64_MAX - 15, 0x2000, 0x3000, 8}, -EFAULT},
		{"avail wraps", {0x1000, UINT64_MAX - 1, 0x3000, 8}, -EFAULT},
		{"used wraps", {0x1000, 0x2000, UINT64_MAX - 3, 8}, -EFAULT},
	};
	const struct virtq_geometry fits = {RAM_BYTES - 128, 0x2000, 0x3000, 8};
	struct virtq q;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ktstr_error error = {0};

		virtq__init(&q, &self->mem, 64);
		EXPECT_EQ(cases[i].ret, virtq__enable(&q, &cases[i].g, 0, &error))
		{
			TH_LOG("%s", cases[i].what);
		}
		EXPECT_EQ(-cases[i].ret, error.err);
		EXPECT_FALSE(q.s.ready);
	}
	EXPECT_EQ(0, virtq__enable(&q, &fits, 0, NULL));
	EXPECT_TRUE(q.s.ready);
}

TEST_F(queue, load_refuses_what_enable_or_arithmetic_would)
{
	struct virtq_state good = self->q.s, bad;

	EXPECT_EQ(0, virtq__load(&self->q, &good, NULL));
	bad = good;
	bad.size = 3;
	EXPECT_EQ(-EINVAL, virtq__load(&self->q, &bad, NULL));
	bad = good;
	bad.desc_gpa = RAM_BYTES;
	EXPECT_EQ(-EFAULT, virtq__load(&self->q, &bad, NULL));
	bad = good;
	bad.next_avail = SIZE + 1;
	EXPECT_EQ(-EINVAL, virtq__load(&self->q, &bad, NULL));
	bad = good;
	bad.next_used = 1; /* returned before it was taken */
	EXPECT_EQ(-EINVAL, virtq__load(&self->q, &bad, NULL));
	bad = (struct virtq_state){.live = true};
	EXPECT_EQ(-EINVAL, virtq__load(&self->q, &bad, NULL));
	EXPECT_EQ(0, memcmp(&good, &self->q.s, sizeof(good)));
}

TEST_F(queue, a_loaded_queue_goes_on_where_the_saved_one_was)
{
	struct virtq other;
	int b;

	vd_add(&self->d, two_and_two, 4);
	b = vd_add(&self->d, two_and_two, 2);
	ASSERT_EQ(1, virtq__pop(&self->q, self->chain, NULL));
	virtq__init(&other, &self->mem, VIRTQ_MAX_SIZE);
	ASSERT_EQ(0, virtq__load(&other, &self->q.s, NULL));
	ASSERT_EQ(0, virtq__push(&other, self->chain->head, 3, NULL));
	virtq__publish(&other);
	EXPECT_EQ(self->chain->head, vd_get_used(&self->d, NULL));
	ASSERT_EQ(1, virtq__pop(&other, self->chain, NULL));
	EXPECT_EQ(b, self->chain->head);
}

/* ---- Malformed rings: each is found, named, and stops the queue ---- */

static void one_desc(struct virtq_driver *d, uint64_t gpa, uint32_t length, uint16_t flags,
		     uint16_t next)
{
	d->desc[0] = (struct vring_desc){gpa, length, flags, next};
	vd_offer(d, 0);
	vd_publish(d);
}

static struct vring_desc *indirect(struct virtq_driver *d, uint32_t bytes)
{
	one_desc(d, TABLE_GPA, bytes, VRING_DESC_F_INDIRECT, 0);
	return gmem__ptr(d->mem, TABLE_GPA, 4096);
}

static void loop_of_one(struct virtq_driver *d)
{
	one_desc(d, DATA_GPA, 1, VRING_DESC_F_NEXT, 0);
}

static void loop_of_two(struct virtq_driver *d)
{
	d->desc[1] = (struct vring_desc){DATA_GPA, 1, VRING_DESC_F_NEXT, 0};
	one_desc(d, DATA_GPA, 1, VRING_DESC_F_NEXT, 1);
}

static void loop_in_table(struct virtq_driver *d)
{
	struct vring_desc *table = indirect(d, 32);

	table[0] = (struct vring_desc){DATA_GPA, 1, VRING_DESC_F_NEXT, 1};
	table[1] = (struct vring_desc){DATA_GPA, 1, VRING_DESC_F_NEXT, 0};
}

static void table_longer_than_queue(struct virtq_driver *d)
{
	struct vring_desc *table = indirect(d, 16 * (SIZE + 1));

	for (uint16_t i = 0; i < SIZE + 1; i++)
		table[i] = (struct vring_desc){DATA_GPA, 1, i < SIZE ? VRING_DESC_F_NEXT : 0,
					       (uint16_t)(i + 1)};
}

static void direct_and_table_longer_than_queue(struct virtq_driver *d)
{
	struct vring_desc *table = gmem__ptr(d->mem, TABLE_GPA, 4096);

	for (uint16_t i = 0; i < SIZE; i++)
		table[i] = (struct vring_desc){DATA_GPA, 1, i < SIZE - 1 ? VRING_DESC_F_NEXT : 0,
					       (uint16_t)(i + 1)};
	d->desc[1] = (struct vring_desc){TABLE_GPA, 16 * SIZE, VRING_DESC_F_INDIRECT, 0};
	one_desc(d, DATA_GPA, 1, VRING_DESC_F_NEXT, 1);
}

static void buffer_after_ram(struct virtq_driver *d)
{
	one_desc(d, RAM_BYTES, 1, 0, 0);
}

static void buffer_across_end_of_ram(struct virtq_driver *d)
{
	one_desc(d, RAM_BYTES - 8, 9, 0, 0);
}

static void buffer_wraps(struct virtq_driver *d)
{
	one_desc(d, UINT64_MAX - 3, 16, 0, 0);
}

static void buffer_in_the_hole(struct virtq_driver *d)
{
	one_desc(d, UINT64_C(0xfee00000), 4, VRING_DESC_F_WRITE, 0);
}

static void zero_length(struct virtq_driver *d)
{
	one_desc(d, DATA_GPA, 0, 0, 0);
}

static void zero_length_in_table(struct virtq_driver *d)
{
	indirect(d, 16)[0] = (struct vring_desc){DATA_GPA, 0, 0, 0};
}

static void next_outside_table(struct virtq_driver *d)
{
	one_desc(d, DATA_GPA, 1, VRING_DESC_F_NEXT, SIZE);
}

static void next_outside_indirect_table(struct virtq_driver *d)
{
	indirect(d, 16)[0] = (struct vring_desc){DATA_GPA, 1, VRING_DESC_F_NEXT, 1};
}

static void head_outside_table(struct virtq_driver *d)
{
	vd_offer(d, SIZE);
	vd_publish(d);
}

static void index_jump(struct virtq_driver *d)
{
	d->avail_idx = SIZE + 1;
	vd_publish(d);
}

static void index_backwards(struct virtq_driver *d)
{
	d->avail_idx = UINT16_MAX;
	vd_publish(d);
}

static void indirect_in_indirect(struct virtq_driver *d)
{
	indirect(d, 16)[0] = (struct vring_desc){TABLE_GPA + 0x100, 16, VRING_DESC_F_INDIRECT, 0};
}

static void indirect_with_next(struct virtq_driver *d)
{
	one_desc(d, TABLE_GPA, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
}

static void indirect_size_odd(struct virtq_driver *d)
{
	indirect(d, 24);
}

static void indirect_size_zero(struct virtq_driver *d)
{
	indirect(d, 0);
}

static void indirect_outside_ram(struct virtq_driver *d)
{
	one_desc(d, RAM_BYTES - 16, 32, VRING_DESC_F_INDIRECT, 0);
}

static void indirect_table_huge(struct virtq_driver *d)
{
	one_desc(d, TABLE_GPA, UINT32_MAX & ~15u, VRING_DESC_F_INDIRECT, 0);
}

static void readable_after_writable(struct virtq_driver *d)
{
	d->desc[1] = (struct vring_desc){DATA_GPA, 1, 0, 0};
	one_desc(d, DATA_GPA, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
}

static const struct {
	const char *what;
	void (*make)(struct virtq_driver *d);
	int ret;
	const char *reason;
} malformed[] = {
	{"loop of one", loop_of_one, -ELOOP, "more descriptors"},
	{"loop of two", loop_of_two, -ELOOP, "more descriptors"},
	{"loop in a table", loop_in_table, -ELOOP, "more descriptors"},
	{"table longer than the queue", table_longer_than_queue, -ELOOP, "more descriptors"},
	{"direct and table longer than the queue", direct_and_table_longer_than_queue, -ELOOP,
	 "more descriptors"},
	{"buffer after RAM", buffer_after_ram, -EFAULT, "buffer is not in RAM"},
	{"buffer across the end", buffer_across_end_of_ram, -EFAULT, "buffer is not in RAM"},
	{"buffer wraps", buffer_wraps, -EFAULT, "buffer is not in RAM"},
	{"buffer in device memory", buffer_in_the_hole, -EFAULT, "buffer is not in RAM"},
	{"zero length", zero_length, -EINVAL, "without length"},
	{"zero length in a table", zero_length_in_table, -EINVAL, "without length"},
	{"next outside", next_outside_table, -EINVAL, "outside its table"},
	{"next outside indirect", next_outside_indirect_table, -EINVAL, "outside its table"},
	{"head outside", head_outside_table, -EINVAL, "outside its table"},
	{"index jump", index_jump, -EINVAL, "available index"},
	{"index backwards", index_backwards, -EINVAL, "available index"},
	{"indirect in indirect", indirect_in_indirect, -EINVAL, "in an indirect table"},
	{"indirect with next", indirect_with_next, -EINVAL, "with a next"},
	{"indirect size odd", indirect_size_odd, -EINVAL, "whole number"},
	{"indirect size zero", indirect_size_zero, -EINVAL, "whole number"},
	{"indirect outside RAM", indirect_outside_ram, -EFAULT, "table is not in RAM"},
	{"indirect table huge", indirect_table_huge, -EFAULT, "table is not in RAM"},
	{"readable after writable", readable_after_writable, -EINVAL, "after a writable"},
};

TEST_F(queue, malformed_rings_are_named_and_stop_the_queue)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct ktstr_error error = {0};
		struct virtq_geometry g;

		vd_init(&self->d, &self->mem, RING_GPA, SIZE, true);
		memset(gmem__ptr(&self->mem, TABLE_GPA, 4096), 0, 4096);
		ASSERT_EQ(0, start_queue(&self->q, &self->mem, &self->d, ALL_FEATURES));
		malformed[i].make(&self->d);
		EXPECT_EQ(malformed[i].ret, virtq__pop(&self->q, self->chain, &error))
		{
			TH_LOG("%s", malformed[i].what);
		}
		EXPECT_NE(NULL, strstr(error.reason, malformed[i].reason))
		{
			TH_LOG("%s: reason \"%s\"", malformed[i].what, error.reason);
		}
		/* a repaired ring does not revive it, only a reset does */
		vd_init(&self->d, &self->mem, RING_GPA, SIZE, true);
		vd_add(&self->d, two_and_two, 1);
		EXPECT_EQ(0, virtq__pop(&self->q, self->chain, NULL));
		g = geometry_of(&self->d);
		virtq__reset(&self->q);
		ASSERT_EQ(0, virtq__enable(&self->q, &g, ALL_FEATURES, NULL));
		self->q.s.live = true;
		EXPECT_EQ(1, virtq__pop(&self->q, self->chain, NULL));
	}
}

TEST_F(queue, indirect_is_refused_unless_negotiated)
{
	ASSERT_EQ(0, start_queue(&self->q, &self->mem, &self->d, FEATURE(VIRTIO_RING_F_EVENT_IDX)));
	vd_add_indirect(&self->d, TABLE_GPA, two_and_two, 1);
	EXPECT_EQ(-EINVAL, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_NE(NULL, strstr(self->error.reason, "not negotiated"));
}

TEST_F(queue, more_chains_in_flight_than_the_queue_holds_is_malformed)
{
	for (uint32_t i = 0; i < SIZE; i++) {
		vd_add(&self->d, two_and_two, 1);
		ASSERT_EQ(1, virtq__pop(&self->q, self->chain, NULL));
	}
	vd_offer(&self->d, 0);
	vd_publish(&self->d);
	EXPECT_EQ(-EINVAL, virtq__pop(&self->q, self->chain, NULL));
}

TEST_F(queue, a_chain_of_4_gib_is_malformed)
{
	static const uint64_t gib3 = UINT64_C(3) << 30;
	struct virtq_driver d;
	struct gmem big;

	/* address space only: nothing of it is touched but the rings */
	ASSERT_EQ(0, gmem__layout(&big, gib3, &self->error));
	ASSERT_EQ(0, gmem__map(&big, &self->error));
	vd_init(&d, &big, RING_GPA, SIZE, false);
	ASSERT_EQ(0, start_queue(&self->q, &big, &d, 0));
	d.desc[1] = (struct vring_desc){0, 1u << 30, VRING_DESC_F_WRITE, 0};
	d.desc[0] = (struct vring_desc){0, (uint32_t)gib3, VRING_DESC_F_NEXT, 1};
	vd_offer(&d, 0);
	vd_publish(&d);
	EXPECT_EQ(-EINVAL, virtq__pop(&self->q, self->chain, &self->error));
	EXPECT_NE(NULL, strstr(self->error.reason, "2^32"));
	gmem__unmap(&big);
}

/* ---- Suppression of notifications and interrupts ---- */

static void push_one(struct virtq *q, struct virtq_driver *d, struct virtq_chain *chain)
{
	vd_add(d, two_and_two, 1);
	if (virtq__pop(q, chain, NULL) == 1)
		virtq__push(q, chain->head, 0, NULL);
	virtq__publish(q);
}

TEST_F(queue, interrupts_follow_the_flag_without_event_index)
{
	self->d.event_idx = false;
	ASSERT_EQ(0, start_queue(&self->q, &self->mem, &self->d, 0));
	EXPECT_FALSE(virtq__needs_interrupt(&self->q)); /* nothing published yet */
	push_one(&self->q, &self->d, self->chain);
	EXPECT_TRUE(virtq__needs_interrupt(&self->q));
	EXPECT_FALSE(virtq__needs_interrupt(&self->q)); /* asked before */
	self->d.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	push_one(&self->q, &self->d, self->chain);
	EXPECT_FALSE(virtq__needs_interrupt(&self->q));
}

TEST_F(queue, interrupts_follow_the_used_event)
{
	/* the flag must not matter here (§2.7.7.2) */
	self->d.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	*vd_used_event(&self->d) = 2;
	push_one(&self->q, &self->d, self->chain);
	EXPECT_FALSE(virtq__needs_interrupt(&self->q));
	push_one(&self->q, &self->d, self->chain);
	EXPECT_FALSE(virtq__needs_interrupt(&self->q));
	push_one(&self->q, &self->d, self->chain); /* entry 2 */
	EXPECT_TRUE(virtq__needs_interrupt(&self->q));
	*vd_used_event(&self->d) = 4;
	for (int i = 0; i < 3; i++) /* 3, 4, 5 in one batch */
		push_one(&self->q, &self->d, self->chain);
	EXPECT_TRUE(virtq__needs_interrupt(&self->q));
	push_one(&self->q, &self->d, self->chain);
	EXPECT_FALSE(virtq__needs_interrupt(&self->q));
}

TEST_F(queue, notifications_are_asked_for_and_races_are_seen)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		vd_init(&self->d, &self->mem, RING_GPA, SIZE, event_idx);
		ASSERT_EQ(0, start_queue(&self->q, &self->mem, &self->d,
					 event_idx ? ALL_FEATURES : 0));
		virtq__disable_notify(&self->q);
		vd_add(&self->d, two_and_two, 1);
		EXPECT_FALSE(vd_kick_needed(&self->d));
		EXPECT_TRUE(virtq__enable_notify(&self->q)); /* that one came unannounced */
		EXPECT_EQ(1, virtq__pop(&self->q, self->chain, NULL));
		EXPECT_FALSE(virtq__enable_notify(&self->q));
		vd_add(&self->d, two_and_two, 1);
		EXPECT_TRUE(vd_kick_needed(&self->d));
	}
}

/*
 * Two threads that sleep whenever the other side says it need not wake them: a lost notification
 * leaves both asleep, and the harness ends the test.
 */
struct pair {
	struct virtq_driver *d;
	int kick, irq;
	uint32_t count;
};

static void wait_fd(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		abort();
}

static void wake_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		abort();
}

static void *driver_thread(void *arg)
{
	static const struct vd_buffer one = {DATA_GPA, 4, true};
	struct pair *p = arg;
	uint32_t sent = 0, got = 0, length;

	while (got < p->count) {
		while (sent < p->count && vd_add(p->d, &one, 1) >= 0) {
			sent++;
			if (vd_kick_needed(p->d))
				wake_fd(p->kick);
		}
		while (vd_get_used(p->d, &length) >= 0)
			if (length != got++)
				return "wrong length";
		/* used_event was stored before this look at used->idx */
		if (got < p->count &&
		    p->d->last_used == __atomic_load_n(&p->d->used->idx, __ATOMIC_SEQ_CST) &&
		    (sent == p->count || !p->d->nr_free))
			wait_fd(p->irq);
	}
	return NULL;
}

TEST_F(queue, no_notification_is_lost_between_two_threads)
{
	struct pair p = {.d = &self->d, .count = 100000};
	void *failure = NULL;
	uint32_t done = 0;
	pthread_t thread;

	p.kick = eventfd(0, EFD_CLOEXEC);
	p.irq = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, pthread_create(&thread, NULL, driver_thread, &p));
	while (done < p.count) {
		int ret = virtq__pop(&self->q, self->chain, &self->error);

		ASSERT_LE(0, ret);
		if (!ret) {
			if (!virtq__enable_notify(&self->q))
				wait_fd(p.kick);
			continue;
		}
		ASSERT_EQ(0, virtq__push(&self->q, self->chain->head, done++, NULL));
		virtq__publish(&self->q);
		if (virtq__needs_interrupt(&self->q))
			wake_fd(p.irq);
	}
	ASSERT_EQ(0, pthread_join(thread, &failure));
	EXPECT_EQ(NULL, failure)
	{
		TH_LOG("%s", (const char *)failure);
	}
	close(p.kick);
	close(p.irq);
}

/* ---- Random sequences ---- */

#define SEED UINT64_C(0x6b74737472)

/* What the driver put in flight, by head: the device must see exactly this. */
struct in_flight {
	struct vd_buffer buffers[SIZE];
	uint32_t nr;
};

TEST_F(queue, random_sequences_return_every_chain_exactly_once)
{
	struct in_flight model[SIZE];
	uint16_t taken[SIZE];
	uint32_t nr_taken = 0, added = 0, returned = 0, expected[SIZE];
	uint64_t rng = SEED;

	TH_LOG("seed 0x%llx", (unsigned long long)SEED);
	for (int step = 0; step < 200000; step++) {
		uint32_t what = (uint32_t)(vd_random(&rng) >> 32) % 4;

		if (what == 0) {
			struct in_flight f = {.nr = 1 + (uint32_t)(vd_random(&rng) >> 40) % SIZE};
			uint32_t writable = (uint32_t)(vd_random(&rng) >> 40) % (f.nr + 1);
			bool table = vd_random(&rng) >> 63;
			int head;

			for (uint32_t i = 0; i < f.nr; i++)
				f.buffers[i] = (struct vd_buffer){
					DATA_GPA + (vd_random(&rng) >> 48),
					1 + (uint32_t)(vd_random(&rng) >> 52),
					i >= f.nr - writable,
				};
			/* a table for each head that could be used */
			head = table ? vd_add_indirect(
					       &self->d,
					       TABLE_GPA +
						       256 * (uint64_t)(self->d.nr_free
										? self->d.free
											  [self->d.nr_free -
											   1]
										: 0),
					       f.buffers, f.nr)
				     : vd_add(&self->d, f.buffers, f.nr);
			if (head >= 0) {
				model[head] = f;
				added++;
			}
		} else if (what == 1) {
			int ret = virtq__pop(&self->q, self->chain, &self->error);

			ASSERT_LE(0, ret);
			if (!ret)
				continue;
			if (vd_random(&rng) >> 62 == 0) {
				virtq__unpop(&self->q);
				continue;
			}
			struct in_flight *f = &model[self->chain->head];

			ASSERT_EQ(f->nr, self->chain->nr_readable + self->chain->nr_writable);
			for (uint32_t i = 0; i < f->nr; i++) {
				ASSERT_EQ(gmem__ptr(&self->mem, f->buffers[i].gpa, 1),
					  self->chain->iov[i].iov_base);
				ASSERT_EQ(f->buffers[i].length, self->chain->iov[i].iov_len);
				ASSERT_EQ(f->buffers[i].writable, i >= self->chain->nr_readable);
			}
			taken[nr_taken++] = self->chain->head;
		} else if (what == 2 && !nr_taken) {
			virtq__publish(&self->q);
		} else if (what == 2) {
			uint32_t at = (uint32_t)(vd_random(&rng) >> 40) % nr_taken;
			uint16_t head = taken[at];

			expected[head] = (uint32_t)vd_random(&rng);
			ASSERT_EQ(0, virtq__push(&self->q, head, expected[head], NULL));
			taken[at] = taken[--nr_taken];
			if (vd_random(&rng) >> 63)
				virtq__publish(&self->q);
		} else if (what == 3) {
			uint32_t length;
			int head = vd_get_used(&self->d, &length);

			ASSERT_NE(-EPROTO, head);
			if (head < 0)
				continue;
			ASSERT_EQ(expected[head], length);
			returned++;
		}
	}
	EXPECT_LT(10000, returned);
	EXPECT_GE(SIZE, added - returned);
}

TEST_F(queue, random_garbage_in_the_rings_never_leaves_ram)
{
	const uint8_t *start = self->mem.regions[0].hva, *end = start + self->mem.regions[0].size;
	uint64_t rng = SEED;
	uint32_t good = 0, bad = 0;

	TH_LOG("seed 0x%llx", (unsigned long long)SEED);
	for (int round = 0; round < 20000; round++) {
		vd_init(&self->d, &self->mem, RING_GPA, SIZE, true);
		ASSERT_EQ(0, start_queue(&self->q, &self->mem, &self->d, ALL_FEATURES));
		for (uint32_t i = 0; i < SIZE; i++)
			self->d.desc[i] = (struct vring_desc){
				.addr = vd_random(&rng) >> (40 + vd_random(&rng) % 4),
				.len = (uint32_t)(vd_random(&rng) >> (44 + vd_random(&rng) % 12)) &
				       ~15u,
				.flags = (uint16_t)(vd_random(&rng) & 7),
				.next = (uint16_t)(vd_random(&rng) % (SIZE + 1)),
			};
		for (uint32_t i = 0; i < SIZE; i++)
			self->d.avail->ring[i] = (uint16_t)(vd_random(&rng) % (SIZE + 1));
		self->d.avail->idx = (uint16_t)(vd_random(&rng) % (SIZE + 2));
		for (;;) {
			int ret = virtq__pop(&self->q, self->chain, NULL);

			if (ret <= 0) {
				bad += ret < 0;
				break;
			}
			good++;
			ASSERT_GE(SIZE, self->chain->nr_readable + self->chain->nr_writable);
			for (uint32_t i = 0;
			     i < self->chain->nr_readable + self->chain->nr_writable; i++) {
				const uint8_t *p = self->chain->iov[i].iov_base;

				ASSERT_LE(start, p);
				ASSERT_GE(end, p + self->chain->iov[i].iov_len);
			}
			ASSERT_EQ(0, virtq__push(&self->q, self->chain->head, 0, NULL));
			virtq__publish(&self->q);
		}
	}
	EXPECT_LT(1000, good);
	EXPECT_LT(1000, bad);
}

TEST_HARNESS_MAIN
