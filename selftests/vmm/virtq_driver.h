/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The driver's side of a split virtqueue (virtio 1.2 §2.7) in user space, over the same guest RAM
 * that the device under test sees, and small helpers for MMIO registers. For tests only: it trusts
 * itself, and lets a test write anything into the rings.
 */
#ifndef KTSTR_SELFTESTS_VIRTQ_DRIVER_H
#define KTSTR_SELFTESTS_VIRTQ_DRIVER_H

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vmm/bus.h"
#include "vmm/memory.h"

#define VD_MAX_SIZE 256u

struct vd_buffer {
	uint64_t gpa;
	uint32_t length;
	bool writable;
};

struct virtq_driver {
	struct gmem *mem;
	uint32_t size;
	bool event_idx;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx;	    /* as published, or to be at the next vd_publish() */
	uint16_t kicked;	    /* avail_idx when vd_kick_needed() was last asked */
	uint16_t last_used;	    /* next used entry to look at */
	uint16_t free[VD_MAX_SIZE]; /* descriptors that no chain uses: a stack */
	uint32_t nr_free;
	uint16_t chain_length[VD_MAX_SIZE]; /* by head; 0: not in flight */
};

/* Lays the three parts out from @gpa (page aligned); returns the first address after them. */
static inline uint64_t vd_init(struct virtq_driver *d, struct gmem *mem, uint64_t gpa,
			       uint32_t size, bool event_idx)
{
	uint64_t avail = gpa + sizeof(struct vring_desc) * size;
	uint64_t used = (avail + 4 + 2 * ((uint64_t)size + 1) + 3) & ~UINT64_C(3);
	uint64_t end = used + 4 + sizeof(struct vring_used_elem) * size + 2;

	*d = (struct virtq_driver){
		.mem = mem,
		.size = size,
		.event_idx = event_idx,
		.desc_gpa = gpa,
		.avail_gpa = avail,
		.used_gpa = used,
		.desc = gmem__ptr(mem, gpa, end - gpa),
		.avail = gmem__ptr(mem, avail, 4),
		.used = gmem__ptr(mem, used, 4),
		.nr_free = size,
	};
	memset(d->desc, 0, end - gpa);
	for (uint32_t i = 0; i < size; i++)
		d->free[i] = (uint16_t)(size - 1 - i);
	return (end + 4095) & ~UINT64_C(4095);
}

static inline uint16_t *vd_used_event(struct virtq_driver *d)
{
	return &d->avail->ring[d->size];
}

static inline uint16_t *vd_avail_event(struct virtq_driver *d)
{
	return (uint16_t *)&d->used->ring[d->size];
}

/* Puts @head into the available ring; visible after vd_publish(). */
static inline void vd_offer(struct virtq_driver *d, uint16_t head)
{
	d->avail->ring[d->avail_idx++ & (d->size - 1)] = head;
}

static inline void vd_publish(struct virtq_driver *d)
{
	__atomic_store_n(&d->avail->idx, d->avail_idx, __ATOMIC_RELEASE);
}

/* Builds a chain and publishes it. Returns its head, or -ENOSPC. */
static inline int vd_add(struct virtq_driver *d, const struct vd_buffer *buffers, uint32_t nr)
{
	uint16_t head = 0;

	if (nr > d->nr_free)
		return -ENOSPC;
	for (uint32_t i = 0; i < nr; i++) {
		uint16_t at = d->free[d->nr_free - 1 - i];
		bool more = i + 1 < nr;

		if (!i)
			head = at;
		d->desc[at] = (struct vring_desc){
			.addr = buffers[i].gpa,
			.len = buffers[i].length,
			.flags = (uint16_t)((buffers[i].writable ? VRING_DESC_F_WRITE : 0) |
					    (more ? VRING_DESC_F_NEXT : 0)),
			.next = more ? d->free[d->nr_free - 2 - i] : 0,
		};
	}
	d->nr_free -= nr;
	d->chain_length[head] = (uint16_t)nr;
	vd_offer(d, head);
	vd_publish(d);
	return head;
}

/* The same by an indirect table at @table_gpa. */
static inline int vd_add_indirect(struct virtq_driver *d, uint64_t table_gpa,
				  const struct vd_buffer *buffers, uint32_t nr)
{
	struct vring_desc *table = gmem__ptr(d->mem, table_gpa, sizeof(*table) * nr);
	struct vd_buffer ref = {.gpa = table_gpa, .length = (uint32_t)sizeof(*table) * nr};
	uint16_t head;

	if (!d->nr_free)
		return -ENOSPC;
	for (uint32_t i = 0; i < nr; i++)
		table[i] = (struct vring_desc){
			.addr = buffers[i].gpa,
			.len = buffers[i].length,
			.flags = (uint16_t)((buffers[i].writable ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < nr ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(i + 1),
		};
	head = d->free[--d->nr_free];
	d->desc[head] = (struct vring_desc){
		.addr = ref.gpa,
		.len = ref.length,
		.flags = VRING_DESC_F_INDIRECT,
	};
	d->chain_length[head] = 1;
	vd_offer(d, head);
	vd_publish(d);
	return head;
}

/* Takes back the next used chain: its head, -EAGAIN when there is none, -EPROTO for a wrong id. */
static inline int vd_get_used(struct virtq_driver *d, uint32_t *length)
{
	struct vring_used_elem *elem;
	uint32_t id;

	if (__atomic_load_n(&d->used->idx, __ATOMIC_ACQUIRE) == d->last_used)
		return -EAGAIN;
	elem = &d->used->ring[d->last_used & (d->size - 1)];
	id = elem->id;
	if (id >= d->size || !d->chain_length[id])
		return -EPROTO;
	if (length)
		*length = elem->len;
	d->last_used++;
	for (uint32_t left = d->chain_length[id], at = id; left; left--) {
		d->free[d->nr_free++] = (uint16_t)at;
		at = d->desc[at].next;
	}
	d->chain_length[id] = 0;
	if (d->event_idx)
		__atomic_store_n(vd_used_event(d), d->last_used, __ATOMIC_SEQ_CST);
	return (int)id;
}

/* Whether the device wants to be notified of what was published since the last call. */
static inline bool vd_kick_needed(struct virtq_driver *d)
{
	uint16_t old = d->kicked;

	d->kicked = d->avail_idx;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (d->event_idx)
		return vring_need_event(__atomic_load_n(vd_avail_event(d), __ATOMIC_RELAXED),
					d->avail_idx, old);
	return !(__atomic_load_n(&d->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
}

/* Registers, through the same functions that the bus calls. */
static inline uint32_t vd_read(const struct bus_ops *ops, void *opaque, uint64_t offset)
{
	uint32_t value = 0x5a5a5a5a;

	ops->read(opaque, offset, (uint8_t *)&value, sizeof(value));
	return value;
}

static inline void vd_write(const struct bus_ops *ops, void *opaque, uint64_t offset,
			    uint32_t value)
{
	ops->write(opaque, offset, (const uint8_t *)&value, sizeof(value));
}

/* xorshift64*: the same sequence on every machine. */
static inline uint64_t vd_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

#endif /* KTSTR_SELFTESTS_VIRTQ_DRIVER_H */
