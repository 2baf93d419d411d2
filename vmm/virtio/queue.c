// SPDX-License-Identifier: GPL-2.0-only
/* Split virtqueue, device side: takes descriptor chains from guest RAM and returns them. */
#include "queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stddef.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian (§2.6)");

#define BIT64(n) (UINT64_C(1) << (n))

/* Bytes of the three parts (§2.7); rings with the event field at their end (§2.7.7, §2.7.8). */
static uint64_t desc_bytes(uint32_t size)
{
	return sizeof(struct vring_desc) * (uint64_t)size;
}

static uint64_t avail_bytes(uint32_t size)
{
	return sizeof(struct vring_avail) + sizeof(uint16_t) * ((uint64_t)size + 1);
}

static uint64_t used_bytes(uint32_t size)
{
	return sizeof(struct vring_used) + sizeof(struct vring_used_elem) * (uint64_t)size +
	       sizeof(uint16_t);
}

static int malformed(struct virtq *q, struct ktstr_error *error, int err, const char *reason,
		     uint64_t value)
{
	q->s.live = false;
	ktstr_error__set(error, err, "virtqueue", NULL, "%s (0x%llx)", reason,
			 (unsigned long long)value);
	return -err;
}

/* The parts lie in RAM since they were latched, but are looked up at every access all the same. */
static uint16_t *ring_field(const struct virtq *q, uint64_t gpa, uint64_t offset)
{
	return gmem__ptr(q->mem, gpa + offset, sizeof(uint16_t));
}

static uint16_t *avail_idx(const struct virtq *q)
{
	return ring_field(q, q->s.avail_gpa, offsetof(struct vring_avail, idx));
}

static uint16_t *used_event(const struct virtq *q)
{
	return ring_field(q, q->s.avail_gpa, avail_bytes(q->s.size) - sizeof(uint16_t));
}

static uint16_t *avail_event(const struct virtq *q)
{
	return ring_field(q, q->s.used_gpa, used_bytes(q->s.size) - sizeof(uint16_t));
}

void virtq__init(struct virtq *q, const struct gmem *mem, uint32_t max_size)
{
	*q = (struct virtq){.mem = mem, .max_size = max_size};
}

static int check_part(const struct virtq *q, const char *part, uint64_t gpa, uint64_t bytes,
		      uint64_t align, struct ktstr_error *error)
{
	if (gpa & (align - 1))
		return ktstr_error__set(error, EINVAL, "virtqueue", NULL,
					"%s at 0x%llx is not aligned to %llu", part,
					(unsigned long long)gpa, (unsigned long long)align);
	if (!gmem__ptr(q->mem, gpa, bytes))
		return ktstr_error__set(error, EFAULT, "virtqueue", NULL,
					"%s at 0x%llx (%llu bytes) is not in RAM", part,
					(unsigned long long)gpa, (unsigned long long)bytes);
	return 0;
}

static int check_geometry(const struct virtq *q, const struct virtq_geometry *g,
			  struct ktstr_error *error)
{
	int ret;

	if (!g->size || (g->size & (g->size - 1)) || g->size > q->max_size)
		return ktstr_error__set(error, EINVAL, "virtqueue", NULL,
					"queue size %u is not a power of two up to %u", g->size,
					q->max_size);
	ret = check_part(q, "descriptor table", g->desc_gpa, desc_bytes(g->size),
			 VRING_DESC_ALIGN_SIZE, error);
	if (!ret)
		ret = check_part(q, "available ring", g->avail_gpa, avail_bytes(g->size),
				 VRING_AVAIL_ALIGN_SIZE, error);
	if (!ret)
		ret = check_part(q, "used ring", g->used_gpa, used_bytes(g->size),
				 VRING_USED_ALIGN_SIZE, error);
	return ret;
}

int virtq__enable(struct virtq *q, const struct virtq_geometry *geometry, uint64_t features,
		  struct ktstr_error *error)
{
	int ret = check_geometry(q, geometry, error);

	if (ret)
		return ret;
	q->s = (struct virtq_state){
		.desc_gpa = geometry->desc_gpa,
		.avail_gpa = geometry->avail_gpa,
		.used_gpa = geometry->used_gpa,
		.size = geometry->size,
		.ready = true,
		.event_idx = !!(features & BIT64(VIRTIO_RING_F_EVENT_IDX)),
		.indirect = !!(features & BIT64(VIRTIO_RING_F_INDIRECT_DESC)),
	};
	return 0;
}

void virtq__reset(struct virtq *q)
{
	q->s = (struct virtq_state){0};
	q->epoch++;
}

int virtq__load(struct virtq *q, const struct virtq_state *state, struct ktstr_error *error)
{
	struct virtq_geometry geometry = {
		.desc_gpa = state->desc_gpa,
		.avail_gpa = state->avail_gpa,
		.used_gpa = state->used_gpa,
		.size = state->size,
	};
	int ret;

	if (state->ready) {
		ret = check_geometry(q, &geometry, error);
		if (ret)
			return ret;
		if ((uint16_t)(state->next_avail - state->published) > state->size ||
		    (uint16_t)(state->next_used - state->published) >
			    (uint16_t)(state->next_avail - state->published))
			return ktstr_error__set(error, EINVAL, "virtqueue", NULL,
						"saved indexes contradict each other");
	} else if (state->live) {
		return ktstr_error__set(error, EINVAL, "virtqueue", NULL,
					"saved queue is live and not ready");
	}
	q->s = *state;
	q->epoch++;
	return 0;
}

/* Number of chains that the driver made available and we did not take; -EINVAL: impossible. */
static int available(struct virtq *q, struct ktstr_error *error)
{
	uint16_t *idx = avail_idx(q);
	uint16_t waiting;

	if (!idx)
		return malformed(q, error, EFAULT, "available ring is not in RAM", q->s.avail_gpa);
	/* Pairs with the driver's barrier between ring entries and index (§2.7.13.3). */
	waiting = (uint16_t)(__atomic_load_n(idx, __ATOMIC_ACQUIRE) - q->s.next_avail);
	/*
	 * Chains that are taken and not returned count as well: more than a ring of them cannot
	 * exist.
	 */
	if (waiting + (uint16_t)(q->s.next_avail - q->s.published) > (int)q->s.size)
		return malformed(q, error, EINVAL,
				 "available index is more than the queue size ahead", waiting);
	return waiting;
}

/* Where a walk through the descriptors is: the main table, or the one indirect table. */
struct walk {
	uint64_t table_gpa;
	uint32_t entries;
	uint32_t next;
	uint32_t ttl; /* descriptors that may still come */
	bool in_indirect;
};

/* One copy: what is checked is what is used, whatever the guest writes meanwhile. */
static int read_desc(struct virtq *q, struct walk *walk, struct vring_desc *desc,
		     struct ktstr_error *error)
{
	const void *p;

	if (!walk->ttl)
		return malformed(q, error, ELOOP, "more descriptors in a chain than the queue has",
				 q->s.size);
	walk->ttl--;
	if (walk->next >= walk->entries)
		return malformed(q, error, EINVAL, "descriptor index outside its table",
				 walk->next);
	p = gmem__ptr(q->mem, walk->table_gpa + sizeof(*desc) * (uint64_t)walk->next,
		      sizeof(*desc));
	if (!p)
		return malformed(q, error, EFAULT, "descriptor is not in RAM", walk->table_gpa);
	memcpy(desc, p, sizeof(*desc));
	__asm__ volatile("" : "+m"(*desc)); /* no second read of the guest's copy */
	return 0;
}

/* §2.7.5.3: one level, last in its chain, a whole number of descriptors. */
static int enter_indirect(struct virtq *q, struct walk *walk, const struct vring_desc *desc,
			  struct ktstr_error *error)
{
	if (!q->s.indirect)
		return malformed(q, error, EINVAL, "indirect descriptor was not negotiated",
				 desc->addr);
	if (walk->in_indirect)
		return malformed(q, error, EINVAL, "indirect descriptor in an indirect table",
				 desc->addr);
	if (desc->flags & VRING_DESC_F_NEXT)
		return malformed(q, error, EINVAL, "indirect descriptor with a next one",
				 desc->flags);
	if (!desc->len || desc->len % sizeof(*desc))
		return malformed(q, error, EINVAL,
				 "indirect table is not a whole number of descriptors", desc->len);
	if (!gmem__ptr(q->mem, desc->addr, desc->len))
		return malformed(q, error, EFAULT, "indirect table is not in RAM", desc->addr);
	walk->table_gpa = desc->addr;
	walk->entries = desc->len / (uint32_t)sizeof(*desc);
	walk->next = 0;
	walk->in_indirect = true;
	/* The descriptor that refers to the table is no buffer, and so not a part of the chain. */
	walk->ttl++;
	return 0;
}

static int add_buffer(struct virtq *q, struct virtq_chain *chain, const struct vring_desc *desc,
		      struct ktstr_error *error)
{
	bool writable = desc->flags & VRING_DESC_F_WRITE;
	uint32_t *bytes = writable ? &chain->writable : &chain->readable;
	void *p;

	if (!desc->len)
		return malformed(q, error, EINVAL, "descriptor without length", desc->addr);
	if (!writable && chain->nr_writable)
		return malformed(q, error, EINVAL, "readable descriptor after a writable one",
				 desc->addr);
	p = gmem__ptr(q->mem, desc->addr, desc->len);
	if (!p)
		return malformed(q, error, EFAULT, "buffer is not in RAM", desc->addr);
	/* §2.7.5: a chain holds less than 2^32 bytes. */
	if (__builtin_add_overflow(*bytes, desc->len, bytes) ||
	    (uint64_t)chain->readable + chain->writable > UINT32_MAX)
		return malformed(q, error, EINVAL, "chain of 2^32 bytes or more", desc->len);
	chain->iov[chain->nr_readable + chain->nr_writable] =
		(struct iovec){.iov_base = p, .iov_len = desc->len};
	if (writable)
		chain->nr_writable++;
	else
		chain->nr_readable++;
	return 0;
}

static int walk_chain(struct virtq *q, struct virtq_chain *chain, struct ktstr_error *error)
{
	struct walk walk = {
		.table_gpa = q->s.desc_gpa,
		.entries = q->s.size,
		.next = chain->head,
		.ttl = q->s.size,
	};
	struct vring_desc desc;
	int ret;

	for (;;) {
		ret = read_desc(q, &walk, &desc, error);
		if (ret)
			return ret;
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			ret = enter_indirect(q, &walk, &desc, error);
			if (ret)
				return ret;
			continue;
		}
		ret = add_buffer(q, chain, &desc, error);
		if (ret)
			return ret;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		walk.next = desc.next;
	}
}

int virtq__pop(struct virtq *q, struct virtq_chain *chain, struct ktstr_error *error)
{
	uint64_t offset;
	uint16_t *entry;
	int ret;

	if (!q->s.ready || !q->s.live)
		return 0;
	ret = available(q, error);
	if (ret <= 0)
		return ret;
	offset = offsetof(struct vring_avail, ring) +
		 sizeof(uint16_t) * (uint64_t)(q->s.next_avail & (q->s.size - 1));
	entry = ring_field(q, q->s.avail_gpa, offset);
	if (!entry)
		return malformed(q, error, EFAULT, "available ring is not in RAM", q->s.avail_gpa);
	chain->head = __atomic_load_n(entry, __ATOMIC_RELAXED);
	chain->nr_readable = 0;
	chain->nr_writable = 0;
	chain->readable = 0;
	chain->writable = 0;
	ret = walk_chain(q, chain, error);
	if (ret)
		return ret;
	q->s.next_avail++;
	return 1;
}

void virtq__unpop(struct virtq *q)
{
	q->s.next_avail--;
}

int virtq__push(struct virtq *q, uint16_t head, uint32_t written, struct ktstr_error *error)
{
	struct vring_used_elem elem = {.id = head, .len = written};
	uint64_t offset = offsetof(struct vring_used, ring) +
			  sizeof(elem) * (uint64_t)(q->s.next_used & (q->s.size - 1));

	if (!q->s.ready)
		return 0;
	if (gmem__write(q->mem, q->s.used_gpa + offset, &elem, sizeof(elem)))
		return malformed(q, error, EFAULT, "used ring is not in RAM", q->s.used_gpa);
	q->s.next_used++;
	return 0;
}

void virtq__publish(struct virtq *q)
{
	uint16_t *idx;

	if (!q->s.ready || q->s.published == q->s.next_used)
		return;
	idx = ring_field(q, q->s.used_gpa, offsetof(struct vring_used, idx));
	if (!idx)
		return;
	/* Elements and buffers before the index (§2.7.8.2). */
	__atomic_store_n(idx, q->s.next_used, __ATOMIC_RELEASE);
	q->s.published = q->s.next_used;
}

bool virtq__needs_interrupt(struct virtq *q)
{
	uint16_t old = q->s.signalled;
	uint16_t *field;

	if (!q->s.ready || !q->s.live || old == q->s.published)
		return false;
	q->s.signalled = q->s.published;
	/*
	 * The driver writes its wish, then looks at used->idx; we wrote used->idx and look at its
	 * wish. Without a full barrier on both sides each could miss the other's write.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	field = q->s.event_idx ? used_event(q) : ring_field(q, q->s.avail_gpa, 0);
	if (!field)
		return false;
	if (q->s.event_idx)
		return vring_need_event(__atomic_load_n(field, __ATOMIC_RELAXED), q->s.published,
					old);
	return !(__atomic_load_n(field, __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
}

bool virtq__enable_notify(struct virtq *q)
{
	uint16_t *field, *idx;

	if (!q->s.ready || !q->s.live)
		return false;
	field = q->s.event_idx ? avail_event(q) : ring_field(q, q->s.used_gpa, 0);
	idx = avail_idx(q);
	if (!field || !idx)
		return false;
	__atomic_store_n(field, q->s.event_idx ? q->s.next_avail : 0, __ATOMIC_RELAXED);
	/* The same race as above, the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(idx, __ATOMIC_RELAXED) != q->s.next_avail;
}

void virtq__disable_notify(struct virtq *q)
{
	uint16_t *field;

	if (!q->s.ready || !q->s.live)
		return;
	field = q->s.event_idx ? avail_event(q) : ring_field(q, q->s.used_gpa, 0);
	if (!field)
		return;
	/* An event index just behind is the one that the driver reaches last. */
	__atomic_store_n(field,
			 q->s.event_idx ? (uint16_t)(q->s.next_avail - 1) : VRING_USED_F_NO_NOTIFY,
			 __ATOMIC_RELAXED);
}
