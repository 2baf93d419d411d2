// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtqueues and the registers of their transport against a model (virtio 1.2 §2.1, §2.7, §4.2): a
 * driver that does at random what drivers may do and what they may not, and after each step all
 * that can be read is what the model says.
 *
 * KTSTR_SEED=N runs another sequence, KTSTR_STEPS=N a longer one; a failure names both.
 */
#include "vmm/virtio/mmio.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "virtq_driver.h"

#define STEPS 60000u
#define QUEUES 2u
#define MAX 64u	     /* entries of the larger queue */
#define MAX_CHAIN 6u /* buffers of one */
#define BUFFER 64u   /* bytes at most */
#define WRONG_CHAIN 0xffff

#define RAM_BYTES (UINT64_C(4) << 20)
#define RING_GPA(q) (UINT64_C(0x10000) + UINT64_C(0x10000) * (q))
#define DESC_GPA(q) RING_GPA(q)
#define AVAIL_GPA(q) (RING_GPA(q) + 0x2000)
#define USED_GPA(q) (RING_GPA(q) + 0x4000)
/* Of a chain: its buffers, and its indirect table. */
#define DATA_GPA(q, head) (UINT64_C(0x100000) + 0x40000 * (uint64_t)(q) + 0x400 * (uint64_t)(head))
#define TABLE_GPA(q, head) (UINT64_C(0x200000) + 0x40000 * (uint64_t)(q) + 0x400 * (uint64_t)(head))

#define BIT64(n) (UINT64_C(1) << (n))
#define OWN_FEATURES UINT64_C(0x5)
#define OFFERED                                                                          \
	(OWN_FEATURES | BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT64(VIRTIO_RING_F_EVENT_IDX))

enum {
	S_ACK = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	S_DRIVER = VIRTIO_CONFIG_S_DRIVER,
	S_FEATURES = VIRTIO_CONFIG_S_FEATURES_OK,
	S_OK = VIRTIO_CONFIG_S_DRIVER_OK,
	S_BROKEN = VIRTIO_CONFIG_S_NEEDS_RESET,
	S_FAILED = VIRTIO_CONFIG_S_FAILED,
};

static const uint16_t max_sizes[QUEUES] = {16, MAX};

/* ---- The device: holds the chains that it takes until it is told to return one ---- */

struct held {
	uint16_t head;
	uint32_t readable, writable, sum;
	struct iovec writable_iov[MAX_CHAIN];
	uint32_t nr_writable;
};

struct holder {
	struct virtio_device dev;
	struct held held[QUEUES][MAX];
	uint32_t nr_held[QUEUES];
};

static uint32_t sum_of(uint32_t sum, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum = sum * 31 + data[i];
	return sum;
}

static int holder_notify(struct virtio_device *dev, uint32_t queue, struct ktstr_error *error)
{
	struct holder *h = (struct holder *)dev;
	struct virtq *q = &dev->queues[queue];
	struct virtq_chain chain;
	int ret;

	do {
		while ((ret = virtq__pop(q, &chain, error)) > 0) {
			struct held *held = &h->held[queue][h->nr_held[queue]++];

			*held = (struct held){.head = chain.head,
					      .readable = chain.readable,
					      .writable = chain.writable,
					      .nr_writable = chain.nr_writable};
			for (uint32_t i = 0; i < chain.nr_readable; i++)
				held->sum = sum_of(held->sum, chain.iov[i].iov_base,
						   chain.iov[i].iov_len);
			memcpy(held->writable_iov, chain.iov + chain.nr_readable,
			       sizeof(struct iovec) * chain.nr_writable);
		}
	} while (!ret && virtq__enable_notify(q));
	return ret;
}

static void holder_stop_queue(struct virtio_device *dev, uint32_t queue)
{
	((struct holder *)dev)->nr_held[queue] = 0;
}

static void holder_reset(struct virtio_device *dev)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		holder_stop_queue(dev, i);
}

static const struct virtio_device_ops holder_ops = {
	.name = "holder",
	.id = 42,
	.notify = holder_notify,
	.stop_queue = holder_stop_queue,
	.reset = holder_reset,
};

/* ---- The model ---- */

struct chain {
	enum { CHAIN_FREE, CHAIN_OFFERED, CHAIN_TAKEN, CHAIN_RETURNED } state;
	uint32_t readable, writable, sum, returned;
	uint16_t length; /* descriptors of the main table */
};

struct queue {
	/* Registers */
	uint64_t desc, avail, used;
	uint32_t size;
	/* Latched */
	bool ready, live, event_idx, indirect;
	uint32_t n; /* entries */
	/* Counted from 0 at QueueReady; 16 bits of it are in the rings */
	uint64_t offered, taken, returned, signalled, seen;
	bool malformed; /* the next chain to be taken breaks the rules */
	struct chain chains[MAX];
	uint16_t order[MAX]; /* of offered, by number modulo n */
	uint16_t used_order[MAX];
};

struct model {
	uint8_t status;
	uint32_t generation;
	uint64_t driver_features, negotiated;
	uint32_t device_sel, driver_sel, queue_sel;
	uint32_t interrupt_status, edges, broken;
	struct queue q[QUEUES];
};

FIXTURE(model)
{
	struct gmem mem;
	struct virtio_mmio_wiring wiring;
	struct holder h;
	struct virtio_mmio *t;
	struct model m;
	uint64_t random, seed, step, total[QUEUES];
	int irq_fd;
	uint32_t broken; /* reports that came */
	char what[400];	 /* of a difference */
};

typedef FIXTURE_DATA(model) state;

static int note_irq(void *opaque, uint32_t gsi, int fd)
{
	(void)gsi;
	((state *)opaque)->irq_fd = fd;
	return 0;
}

static void note_broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	(void)device;
	(void)error;
	((state *)opaque)->broken++;
}

FIXTURE_SETUP(model)
{
	const char *seed = getenv("KTSTR_SEED");

	memset(self, 0, sizeof(*self));
	self->seed = self->random = seed ? strtoull(seed, NULL, 0) : UINT64_C(0x6b74737472);
	ASSERT_NE(0, self->seed);
	ASSERT_EQ(0, gmem__layout(&self->mem, RAM_BYTES, NULL));
	ASSERT_EQ(0, gmem__map(&self->mem, NULL));
	self->wiring = (struct virtio_mmio_wiring){
		.opaque = self, .assign_irq = note_irq, .broken = note_broken};
	self->h.dev = (struct virtio_device){.ops = &holder_ops,
					     .features = OWN_FEATURES,
					     .nr_queues = QUEUES,
					     .queue_sizes = max_sizes};
	ASSERT_EQ(0, virtio_mmio__create(&self->h.dev, &self->mem, 0xc0000000, 5, &self->wiring,
					 &self->t, NULL));
}

FIXTURE_TEARDOWN(model)
{
	virtio_mmio__destroy(self->t);
	gmem__unmap(&self->mem);
}

static uint32_t draw(state *self, uint32_t below)
{
	return (uint32_t)(vd_random(&self->random) >> 33) % below;
}

static bool one_in(state *self, uint32_t n)
{
	return !draw(self, n);
}

static uint32_t rd(state *self, uint64_t offset)
{
	return vd_read(&virtio_mmio_bus_ops, self->t, offset);
}

static void wr(state *self, uint64_t offset, uint32_t value)
{
	vd_write(&virtio_mmio_bus_ops, self->t, offset, value);
}

static struct vring_desc *desc_of(state *self, uint32_t q)
{
	return gmem__ptr(&self->mem, DESC_GPA(q), sizeof(struct vring_desc) * MAX);
}

static struct vring_avail *avail_of(state *self, uint32_t q)
{
	return gmem__ptr(&self->mem, AVAIL_GPA(q), 4 + 2 * (MAX + 1));
}

static struct vring_used *used_of(state *self, uint32_t q)
{
	return gmem__ptr(&self->mem, USED_GPA(q), 4 + 8 * MAX + 2);
}

static uint16_t *used_event_of(state *self, uint32_t q)
{
	return &avail_of(self, q)->ring[self->m.q[q].n];
}

static uint16_t *avail_event_of(state *self, uint32_t q)
{
	return (uint16_t *)&used_of(self, q)->ring[self->m.q[q].n];
}

/* ---- Rules ---- */

static void model_interrupt(struct model *m, uint32_t why)
{
	m->interrupt_status |= why;
	m->edges++;
}

static void model_break(struct model *m)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		m->q[i].live = false;
	if (m->status & S_BROKEN)
		return;
	m->status |= S_BROKEN;
	m->broken++;
	if (m->status & S_OK)
		model_interrupt(m, VIRTIO_MMIO_INT_CONFIG);
}

static void model_stop_queue(struct queue *q)
{
	*q = (struct queue){.desc = q->desc, .avail = q->avail, .used = q->used, .size = q->size};
}

static void model_reset(struct model *m)
{
	*m = (struct model){.generation = m->generation, .edges = m->edges, .broken = m->broken};
}

static void model_status(struct model *m, uint8_t value)
{
	if (!value) {
		model_reset(m);
		return;
	}
	m->status |= value & (S_ACK | S_DRIVER | S_FAILED);
	if ((value & S_FEATURES) && !(m->status & S_FEATURES) && (m->status & S_ACK) &&
	    (m->status & S_DRIVER) && (m->driver_features & BIT64(VIRTIO_F_VERSION_1)) &&
	    !(m->driver_features & ~OFFERED)) {
		m->status |= S_FEATURES;
		m->negotiated = m->driver_features;
	}
	if ((value & S_OK) && !(m->status & S_OK) && (m->status & S_FEATURES) &&
	    !(m->status & S_BROKEN)) {
		m->status |= S_OK;
		for (uint32_t i = 0; i < QUEUES; i++)
			m->q[i].live = m->q[i].ready;
	}
}

static bool geometry_is_good(const struct queue *q, uint32_t i)
{
	return q->size && !(q->size & (q->size - 1)) && q->size <= max_sizes[i] &&
	       q->desc == DESC_GPA(i) && q->avail == AVAIL_GPA(i) && q->used == USED_GPA(i);
}

static void model_ready(struct model *m, uint32_t value)
{
	struct queue *q = &m->q[m->queue_sel];

	if (!(value & 1)) {
		model_stop_queue(q);
		return;
	}
	if (q->ready || !(m->status & S_FEATURES) || (m->status & S_BROKEN))
		return;
	if (!geometry_is_good(q, m->queue_sel)) {
		model_break(m);
		return;
	}
	q->ready = true;
	q->n = q->size;
	q->event_idx = m->negotiated & BIT64(VIRTIO_RING_F_EVENT_IDX);
	q->indirect = m->negotiated & BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	q->live = m->status & S_OK;
}

/* The device looks at the queue: all that is offered is taken, up to what is wrong. */
static void model_run(struct model *m, uint32_t i)
{
	struct queue *q = &m->q[i];

	if (!q->live)
		return;
	for (; q->taken < q->offered; q->taken++)
		q->chains[q->order[q->taken % q->n]].state = CHAIN_TAKEN;
	if (q->malformed)
		model_break(m);
}

/* ---- What a driver does ---- */

static void write_status(state *self, uint8_t value)
{
	wr(self, VIRTIO_MMIO_STATUS, value | (one_in(self, 8) ? 0xabcd00u : 0));
	model_status(&self->m, value);
}

static void write_features(state *self, uint32_t sel, uint32_t value)
{
	struct model *m = &self->m;

	wr(self, VIRTIO_MMIO_DRIVER_FEATURES_SEL, sel);
	m->driver_sel = sel;
	wr(self, VIRTIO_MMIO_DRIVER_FEATURES, value);
	if (sel > 1 || (m->status & S_FEATURES))
		return;
	m->driver_features &= sel ? UINT32_MAX : ~(uint64_t)UINT32_MAX;
	m->driver_features |= (uint64_t)value << (32 * sel);
}

static void select_queue(state *self, uint32_t sel)
{
	wr(self, VIRTIO_MMIO_QUEUE_SEL, sel);
	self->m.queue_sel = sel;
}

static void write_geometry(state *self, uint64_t offset, uint32_t value)
{
	struct queue *q;

	wr(self, offset, value);
	if (self->m.queue_sel >= QUEUES || self->m.q[self->m.queue_sel].ready)
		return;
	q = &self->m.q[self->m.queue_sel];
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		q->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		q->desc = (q->desc & ~(uint64_t)UINT32_MAX) | value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		q->desc = (q->desc & UINT32_MAX) | (uint64_t)value << 32;
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		q->avail = (q->avail & ~(uint64_t)UINT32_MAX) | value;
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		q->avail = (q->avail & UINT32_MAX) | (uint64_t)value << 32;
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		q->used = (q->used & ~(uint64_t)UINT32_MAX) | value;
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		q->used = (q->used & UINT32_MAX) | (uint64_t)value << 32;
		break;
	}
}

static void write_good_geometry(state *self, uint32_t i, uint32_t size)
{
	write_geometry(self, VIRTIO_MMIO_QUEUE_NUM, size);
	write_geometry(self, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)DESC_GPA(i));
	write_geometry(self, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	write_geometry(self, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)AVAIL_GPA(i));
	write_geometry(self, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	write_geometry(self, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)USED_GPA(i));
	write_geometry(self, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
}

static void write_bad_geometry(state *self)
{
	static const uint32_t sizes[] = {0, 3, 12, 24, 65, 128, 256, 32768, 65536, UINT32_MAX};
	static const uint64_t registers[] = {
		VIRTIO_MMIO_QUEUE_DESC_LOW,  VIRTIO_MMIO_QUEUE_DESC_HIGH,
		VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
		VIRTIO_MMIO_QUEUE_USED_LOW,  VIRTIO_MMIO_QUEUE_USED_HIGH,
	};
	/* Misaligned for each part, or outside RAM. */
	static const uint32_t low[] = {1, 0x10001, 0x20001, RAM_BYTES - 2, RAM_BYTES, UINT32_MAX};
	uint32_t r = draw(self, 7);

	if (r == 6)
		write_geometry(self, VIRTIO_MMIO_QUEUE_NUM,
			       sizes[draw(self, sizeof(sizes) / sizeof(sizes[0]))]);
	else if (r & 1)
		write_geometry(self, registers[r], 1u << draw(self, 32));
	else
		write_geometry(self, registers[r], low[draw(self, sizeof(low) / sizeof(low[0]))]);
}

/* The memory of a queue that is not ready is the driver's: zeros, before it gets ready. */
static void write_ready(state *self, uint32_t value)
{
	uint32_t i = self->m.queue_sel;

	if (i < QUEUES && !self->m.q[i].ready) {
		memset(desc_of(self, i), 0, sizeof(struct vring_desc) * MAX);
		memset(avail_of(self, i), 0, 4 + 2 * (MAX + 1));
		memset(used_of(self, i), 0, 4 + 8 * MAX + 2);
	}
	wr(self, VIRTIO_MMIO_QUEUE_READY, value);
	if (i < QUEUES)
		model_ready(&self->m, value);
}

static void bring_up(state *self, bool large)
{
	uint64_t features = BIT64(VIRTIO_F_VERSION_1) | (OFFERED & vd_random(&self->random));

	write_status(self, 0);
	write_status(self, S_ACK);
	write_status(self, S_ACK | S_DRIVER);
	write_features(self, 0, (uint32_t)features);
	write_features(self, 1, (uint32_t)(features >> 32));
	write_status(self, S_ACK | S_DRIVER | S_FEATURES);
	for (uint32_t i = 0; i < QUEUES; i++) {
		select_queue(self, i);
		write_good_geometry(self, i, large ? max_sizes[i] : 1u << draw(self, i ? 7 : 5));
		write_ready(self, 1);
	}
	write_status(self, S_ACK | S_DRIVER | S_FEATURES | S_OK);
}

static void write_at_random(state *self)
{
	struct model *m = &self->m;

	switch (draw(self, 8)) {
	case 0:
		write_status(self, one_in(self, 4) ? 0 : (uint8_t)draw(self, 256));
		break;
	case 1:
		write_features(self, draw(self, 4),
			       (uint32_t)(one_in(self, 2) ? OFFERED >> (32 * draw(self, 2))
							  : vd_random(&self->random)));
		break;
	case 2:
		select_queue(self,
			     one_in(self, 8) ? UINT32_MAX - draw(self, 2) : draw(self, QUEUES + 1));
		break;
	case 3:
		write_bad_geometry(self);
		break;
	case 4:
		if (m->queue_sel < QUEUES)
			write_good_geometry(self, m->queue_sel, 1u << draw(self, 8));
		break;
	case 5:
	case 6:
		write_ready(self, one_in(self, 3) ? 0 : 1 + 2 * draw(self, 2));
		break;
	default:
		m->device_sel = draw(self, 3);
		wr(self, VIRTIO_MMIO_DEVICE_FEATURES_SEL, m->device_sel);
	}
}

/* Registers that are read-only, and none; and accesses of other widths: nothing happens. */
static void write_for_nothing(state *self)
{
	static const uint64_t offsets[] = {
		VIRTIO_MMIO_MAGIC_VALUE,
		VIRTIO_MMIO_VERSION,
		VIRTIO_MMIO_DEVICE_ID,
		VIRTIO_MMIO_VENDOR_ID,
		VIRTIO_MMIO_DEVICE_FEATURES,
		VIRTIO_MMIO_QUEUE_NUM_MAX,
		VIRTIO_MMIO_INTERRUPT_STATUS,
		VIRTIO_MMIO_CONFIG_GENERATION,
		VIRTIO_MMIO_SHM_SEL,
		0x18,
		0xf8,
		VIRTIO_MMIO_CONFIG,
		VIRTIO_MMIO_CONFIG + 0xfc,
	};
	uint64_t value = vd_random(&self->random);

	if (one_in(self, 2)) {
		wr(self, offsets[draw(self, sizeof(offsets) / sizeof(offsets[0]))],
		   (uint32_t)value);
		return;
	}
	/* A byte, half a register, two, or across two. */
	switch (draw(self, 4)) {
	case 0:
		virtio_mmio_bus_ops.write(self->t, draw(self, 0x100), (uint8_t *)&value, 1);
		break;
	case 1:
		virtio_mmio_bus_ops.write(self->t, draw(self, 0x100), (uint8_t *)&value, 2);
		break;
	case 2:
		virtio_mmio_bus_ops.write(self->t, draw(self, 0xf8), (uint8_t *)&value, 8);
		break;
	default:
		virtio_mmio_bus_ops.write(self->t, 4 * draw(self, 0x3f) + 1 + draw(self, 3),
					  (uint8_t *)&value, 4);
	}
}

/* A free place of the main table for a chain: its descriptors follow each other. */
static uint32_t find_room(const struct queue *q, uint32_t length, uint32_t *at)
{
	bool taken[MAX] = {false};

	for (uint32_t h = 0; h < q->n; h++)
		for (uint32_t i = 0; q->chains[h].state != CHAIN_FREE && i < q->chains[h].length;
		     i++)
			taken[h + i] = true;
	for (uint32_t h = 0; h + length <= q->n; h++) {
		uint32_t i = 0;

		while (i < length && !taken[h + i])
			i++;
		if (i == length) {
			*at = h;
			return true;
		}
	}
	return false;
}

static void fill_descriptors(state *self, uint32_t i, uint32_t head, struct vring_desc *table,
			     uint32_t first, uint32_t length, struct chain *c)
{
	uint32_t nr_readable = draw(self, length + 1);
	uint64_t gpa = DATA_GPA(i, head);

	for (uint32_t k = 0; k < length; k++, gpa += BUFFER) {
		uint32_t bytes = 1 + draw(self, BUFFER);
		uint8_t *data = gmem__ptr(&self->mem, gpa, bytes);
		bool writable = k >= nr_readable;

		for (uint32_t b = 0; b < bytes; b++)
			data[b] = writable ? 0xee : (uint8_t)vd_random(&self->random);
		if (writable) {
			c->writable += bytes;
		} else {
			c->readable += bytes;
			c->sum = sum_of(c->sum, data, bytes);
		}
		table[first + k] = (struct vring_desc){
			.addr = gpa,
			.len = bytes,
			.flags = (uint16_t)((writable ? VRING_DESC_F_WRITE : 0) |
					    (k + 1 < length ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(first + k + 1),
		};
	}
}

static void offer_chain(state *self, uint32_t i)
{
	struct queue *q = &self->m.q[i];
	uint32_t length, head;
	struct chain *c;
	bool indirect;

	if (!q->ready || q->malformed)
		return;
	length = 1 + draw(self, q->n < MAX_CHAIN ? q->n : MAX_CHAIN);
	indirect = q->indirect && one_in(self, 3);
	if (!find_room(q, indirect ? 1 : length, &head))
		return;
	c = &q->chains[head];
	*c = (struct chain){.state = CHAIN_OFFERED, .length = (uint16_t)(indirect ? 1 : length)};
	if (indirect) {
		fill_descriptors(self, i, head,
				 gmem__ptr(&self->mem, TABLE_GPA(i, head),
					   sizeof(struct vring_desc) * MAX_CHAIN),
				 0, length, c);
		desc_of(self, i)[head] =
			(struct vring_desc){.addr = TABLE_GPA(i, head),
					    .len = (uint32_t)sizeof(struct vring_desc) * length,
					    .flags = VRING_DESC_F_INDIRECT};
	} else {
		fill_descriptors(self, i, head, desc_of(self, i), head, length, c);
	}
	avail_of(self, i)->ring[q->offered % q->n] = (uint16_t)head;
	q->order[q->offered % q->n] = (uint16_t)head;
	q->offered++;
	self->total[i]++;
	__atomic_store_n(&avail_of(self, i)->idx, (uint16_t)q->offered, __ATOMIC_RELEASE);
}

/* A chain that no device may take; nothing can be offered after it. */
static void offer_wrong_chain(state *self, uint32_t i)
{
	struct queue *q = &self->m.q[i];
	struct vring_desc *desc = desc_of(self, i);
	uint32_t head;

	if (!q->ready || q->malformed || !find_room(q, 1, &head))
		return;
	desc[head] = (struct vring_desc){.addr = DATA_GPA(i, head), .len = 16};
	switch (draw(self, 7)) {
	case 0: /* a loop */
		desc[head].flags = VRING_DESC_F_NEXT;
		desc[head].next = (uint16_t)head;
		break;
	case 1: /* out of the table */
		desc[head].flags = VRING_DESC_F_NEXT;
		desc[head].next = (uint16_t)q->n;
		break;
	case 2: /* past the end of RAM */
		desc[head].addr = RAM_BYTES - 15;
		break;
	case 3:
		desc[head].len = 0;
		break;
	case 4: /* an address that wraps */
		desc[head].addr = UINT64_MAX - 4;
		break;
	case 5: /* a table that is none, or was not negotiated */
		desc[head].flags = VRING_DESC_F_INDIRECT;
		desc[head].len = 15;
		break;
	default: /* more chains than there can be */
		__atomic_store_n(&avail_of(self, i)->idx,
				 (uint16_t)(q->returned + q->n + 1 + draw(self, 1000)),
				 __ATOMIC_RELEASE);
		/* Seen before any chain is. */
		if (q->offered != q->taken)
			__atomic_store_n(&avail_of(self, i)->idx, (uint16_t)q->offered,
					 __ATOMIC_RELEASE);
		else
			q->malformed = true;
		return;
	}
	avail_of(self, i)->ring[q->offered % q->n] = (uint16_t)head;
	__atomic_store_n(&avail_of(self, i)->idx, (uint16_t)(q->offered + 1), __ATOMIC_RELEASE);
	q->malformed = true;
}

static void notify(state *self, uint32_t i)
{
	wr(self, VIRTIO_MMIO_QUEUE_NOTIFY, i);
	if (one_in(self, 8)) /* of no queue */
		wr(self, VIRTIO_MMIO_QUEUE_NOTIFY, QUEUES + draw(self, 70000));
}

/* Queues that were notified or that became live run; the model's others have nothing to take. */
static void run_device(state *self)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		notify(self, i);
	virtio_mmio__run_queues(self->t);
	for (uint32_t i = 0; i < QUEUES; i++)
		model_run(&self->m, i);
}

static bool wants_interrupt(state *self, uint32_t i, uint16_t now, uint16_t before)
{
	const struct queue *q = &self->m.q[i];

	if (q->event_idx) /* §2.7.10: the index that it waits for is among the new ones */
		for (uint16_t at = before; at != now; at++)
			if (at == *used_event_of(self, i))
				return true;
	return !q->event_idx && !(avail_of(self, i)->flags & VRING_AVAIL_F_NO_INTERRUPT);
}

/* The device returns some of what it holds, in any order, and tells once. */
static void return_some(state *self, uint32_t i)
{
	struct queue *q = &self->m.q[i];
	struct holder *h = &self->h;
	uint32_t nr = draw(self, 4) ? 1 + draw(self, 4) : MAX;

	for (; nr && h->nr_held[i]; nr--) {
		uint32_t which = draw(self, h->nr_held[i]);
		struct held held = h->held[i][which];
		struct chain *c = &q->chains[held.head];

		h->held[i][which] = h->held[i][--h->nr_held[i]];
		if (c->state != CHAIN_TAKEN || c->readable != held.readable ||
		    c->writable != held.writable || c->sum != held.sum)
			snprintf(self->what, sizeof(self->what),
				 "queue %u: chain %u was taken as %u, %u bytes, sum %x; it is "
				 "%u, %u, %x",
				 i, held.head, held.readable, held.writable, held.sum, c->readable,
				 c->writable, c->sum);
		c->returned = draw(self, held.writable + 1);
		for (uint32_t k = 0, left = c->returned; k < held.nr_writable && left; k++) {
			uint32_t n = (uint32_t)held.writable_iov[k].iov_len;

			n = n < left ? n : left;
			memset(held.writable_iov[k].iov_base, 0x77, n);
			left -= n;
		}
		virtq__push(&self->h.dev.queues[i], held.head, c->returned, NULL);
		c->state = CHAIN_RETURNED;
		q->used_order[q->returned++ % q->n] = held.head;
	}
	virtio_mmio__lock(self->t);
	virtio_mmio__signal(self->t, i);
	virtio_mmio__unlock(self->t);
	if (!q->live || q->signalled == q->returned)
		return;
	if (wants_interrupt(self, i, (uint16_t)q->returned, (uint16_t)q->signalled))
		model_interrupt(&self->m, VIRTIO_MMIO_INT_VRING);
	q->signalled = q->returned;
}

static void take_back(state *self, uint32_t i)
{
	struct queue *q = &self->m.q[i];
	const struct vring_used *used = used_of(self, i);

	while (q->ready && q->seen < q->returned && !one_in(self, 6)) {
		const struct vring_used_elem *e = &used->ring[q->seen % q->n];
		uint16_t head = q->used_order[q->seen % q->n];
		struct chain *c = &q->chains[head];

		if (e->id != head || e->len != c->returned)
			snprintf(self->what, sizeof(self->what),
				 "queue %u: used element %llu is %u of %u bytes, not %u of %u", i,
				 (unsigned long long)q->seen, e->id, e->len, head, c->returned);
		c->state = CHAIN_FREE;
		q->seen++;
	}
	if (!q->ready)
		return;
	if (q->event_idx)
		*used_event_of(self, i) =
			(uint16_t)(q->seen + (one_in(self, 4) ? draw(self, 65536) : 0));
	else
		avail_of(self, i)->flags = one_in(self, 2) ? VRING_AVAIL_F_NO_INTERRUPT : 0;
}

/* ---- Steps ---- */

static void move_data(state *self)
{
	uint32_t i = draw(self, QUEUES);

	switch (draw(self, 5)) {
	case 0:
	case 1:
		for (uint32_t n = draw(self, 2 * MAX); n; n--)
			offer_chain(self, i);
		break;
	case 2:
		run_device(self);
		break;
	case 3:
		return_some(self, i);
		break;
	default:
		take_back(self, i);
	}
}

static void acknowledge(state *self)
{
	uint32_t bits =
		one_in(self, 4) ? (uint32_t)vd_random(&self->random) : self->m.interrupt_status;

	wr(self, VIRTIO_MMIO_INTERRUPT_ACK, bits);
	self->m.interrupt_status &= ~bits;
}

static void change_config(state *self)
{
	virtio_mmio__lock(self->t);
	virtio_mmio__config_changed(self->t);
	virtio_mmio__unlock(self->t);
	self->m.generation++;
	if (self->m.status & S_OK)
		model_interrupt(&self->m, VIRTIO_MMIO_INT_CONFIG);
}

static bool is(state *self, const char *what, uint64_t found, uint64_t expected)
{
	if (found == expected)
		return true;
	if (!self->what[0])
		snprintf(self->what, sizeof(self->what), "%s is 0x%llx, not 0x%llx", what,
			 (unsigned long long)found, (unsigned long long)expected);
	return false;
}

static bool check_queue(state *self, uint32_t i)
{
	const struct queue *q = &self->m.q[i];
	const struct virtq *real = &self->h.dev.queues[i];
	bool same = is(self, "ready", real->s.ready, q->ready) &&
		    is(self, "live", real->s.live, q->live);

	if (!q->ready)
		return same && is(self, "held", self->h.nr_held[i], 0);
	return same && is(self, "size", real->s.size, q->n) &&
	       is(self, "descriptor table", real->s.desc_gpa, DESC_GPA(i)) &&
	       is(self, "available ring", real->s.avail_gpa, AVAIL_GPA(i)) &&
	       is(self, "used ring", real->s.used_gpa, USED_GPA(i)) &&
	       is(self, "taken", real->s.next_avail, (uint16_t)q->taken) &&
	       is(self, "held", self->h.nr_held[i], q->taken - q->returned) &&
	       is(self, "used index", used_of(self, i)->idx, (uint16_t)q->returned);
}

static bool check(state *self)
{
	const struct model *m = &self->m;
	uint32_t sel = m->queue_sel;
	uint64_t edges = 0;

	if (read(self->irq_fd, &edges, sizeof(edges)) < 0)
		edges = 0;
	if (!is(self, "interrupts", edges, m->edges) ||
	    !is(self, "reports of a broken driver", self->broken, m->broken) ||
	    !is(self, "Status", rd(self, VIRTIO_MMIO_STATUS), m->status) ||
	    !is(self, "InterruptStatus", rd(self, VIRTIO_MMIO_INTERRUPT_STATUS),
		m->interrupt_status) ||
	    !is(self, "QueueReady", rd(self, VIRTIO_MMIO_QUEUE_READY),
		sel < QUEUES && m->q[sel].ready) ||
	    !is(self, "QueueNumMax", rd(self, VIRTIO_MMIO_QUEUE_NUM_MAX),
		sel < QUEUES ? max_sizes[sel] : 0) ||
	    !is(self, "DeviceFeatures", rd(self, VIRTIO_MMIO_DEVICE_FEATURES),
		m->device_sel > 1 ? 0 : (uint32_t)(OFFERED >> (32 * m->device_sel))) ||
	    !is(self, "ConfigGeneration", rd(self, VIRTIO_MMIO_CONFIG_GENERATION), m->generation) ||
	    !is(self, "negotiated features", self->h.dev.negotiated, m->negotiated) ||
	    !is(self, "MagicValue", rd(self, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976) ||
	    !is(self, "Version", rd(self, VIRTIO_MMIO_VERSION), 2) ||
	    !is(self, "DeviceID", rd(self, VIRTIO_MMIO_DEVICE_ID), 42))
		return false;
	self->m.edges = 0;
	for (uint32_t i = 0; i < QUEUES; i++)
		if (!check_queue(self, i))
			return false;
	return !self->what[0];
}

/* After the device has run, the driver is asked to notify of the next chain (§2.7.10). */
static bool check_event(state *self)
{
	for (uint32_t i = 0; i < QUEUES; i++) {
		const struct queue *q = &self->m.q[i];

		if (q->live && q->event_idx &&
		    !is(self, "avail_event", *avail_event_of(self, i), (uint16_t)q->taken))
			return false;
		if (q->live && !q->event_idx && !is(self, "used flags", used_of(self, i)->flags, 0))
			return false;
	}
	return true;
}

#define CHECK(condition)                                                           \
	ASSERT_TRUE(condition)                                                     \
	TH_LOG("KTSTR_SEED=0x%llx, step %llu: %s", (unsigned long long)self->seed, \
	       (unsigned long long)self->step, self->what)

static uint64_t steps(void)
{
	const char *text = getenv("KTSTR_STEPS");

	return text ? strtoull(text, NULL, 0) : STEPS;
}

TEST_F(model, whatever_a_driver_does_registers_and_rings_are_what_the_model_says)
{
	uint64_t end = steps();

	for (; self->step < end; self->step++) {
		uint32_t kind = draw(self, 100);

		if (kind < 2)
			bring_up(self, one_in(self, 2));
		else if (kind < 8)
			write_at_random(self);
		else if (kind < 14)
			write_for_nothing(self);
		else if (kind < 20)
			acknowledge(self);
		else if (kind < 22)
			change_config(self);
		else if (kind < 23)
			offer_wrong_chain(self, draw(self, QUEUES));
		else
			move_data(self);
		/* What became live, or was notified in an attempt, runs before it is looked at. */
		run_device(self);
		CHECK(check(self) && check_event(self));
	}
	for (uint32_t i = 0; i < QUEUES; i++)
		EXPECT_LT(end / 60, self->total[i]);
}

/* Queues that are up for long: their 16-bit indexes wrap, more than once. */
TEST_F(model, indexes_wrap_at_65536_and_nothing_is_lost)
{
	bring_up(self, true);
	for (; self->step < 20 * STEPS && self->total[1] < (2 * 65536 + 1000); self->step++) {
		move_data(self);
		run_device(self);
		if (one_in(self, 10))
			acknowledge(self);
		if (one_in(self, 10))
			write_for_nothing(self);
		CHECK(check(self) && check_event(self));
	}
	EXPECT_LE(2 * 65536, self->total[1]);
}

TEST_HARNESS_MAIN
