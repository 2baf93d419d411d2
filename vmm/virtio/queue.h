/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Split virtqueue, device side (virtio 1.2 §2.7). The guest owns the ring and may write anything
 * into it at any time: whatever is read from it is read once and checked where it is used.
 *
 * A queue has no lock: whoever uses it holds the device's. Nothing here sleeps or loops for longer
 * than one queue size.
 */
#ifndef KTSTR_VMM_VIRTIO_QUEUE_H
#define KTSTR_VMM_VIRTIO_QUEUE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "../memory.h"

/* Our bound on a queue's size; the specification allows 32768 (§2.7). A power of two. */
#define VIRTQ_MAX_SIZE 256u

/*
 * All that a queue holds, as plain data. Size, addresses and features are latched by
 * virtq__enable() and do not change while @ready.
 */
struct virtq_state {
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint32_t size;	     /* a power of two, at most VIRTQ_MAX_SIZE; 0 unless ready */
	uint16_t next_avail; /* free-running: next entry of the available ring to take */
	uint16_t next_used;  /* free-running: next entry of the used ring to fill */
	uint16_t published;  /* used->idx as the driver sees it */
	uint16_t signalled;  /* @published when virtq__needs_interrupt() was last asked */
	uint8_t ready;	     /* geometry is latched */
	uint8_t live;	     /* the driver said DRIVER_OK and the ring was well formed so far */
	uint8_t event_idx;   /* VIRTIO_RING_F_EVENT_IDX was negotiated */
	uint8_t indirect;    /* VIRTIO_RING_F_INDIRECT_DESC was negotiated */
};

struct virtq {
	const struct gmem *mem;
	uint32_t max_size; /* what the device offers */
	uint32_t epoch;	   /* changes at each reset: a chain of another one is not to be pushed */
	struct virtq_state s;
};

/*
 * One descriptor chain: iov[0 .. nr_readable) is what the driver gives, the nr_writable entries
 * after it are what the device may fill. The memory is the guest's and may change under the
 * reader: copy before a check whose outcome matters.
 */
struct virtq_chain {
	uint16_t head; /* for virtq__push() */
	uint32_t nr_readable, nr_writable;
	uint32_t readable, writable; /* bytes */
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/* What a driver set up for a queue, before it is checked. */
struct virtq_geometry {
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint32_t size;
};

/* @max_size: a power of two, at most VIRTQ_MAX_SIZE. @mem must outlive the queue. */
void virtq__init(struct virtq *q, const struct gmem *mem, uint32_t max_size);

/*
 * Latches the geometry (§2.7: sizes, alignments) with the negotiated @features. -EINVAL: a size
 * that is 0, no power of two or above max_size, or a misaligned part; -EFAULT: a part outside RAM.
 */
int virtq__enable(struct virtq *q, const struct virtq_geometry *geometry, uint64_t features,
		  struct ktstr_error *error);

/* Back to the state after virtq__init(). */
void virtq__reset(struct virtq *q);

/*
 * Takes the next available chain. 1: *chain is filled; 0: there is none, or the queue is not ready
 * or not live; negative: the ring is malformed, @error says how, and the queue is not live any
 * more. -EINVAL: against the specification; -EFAULT: an address outside RAM; -ELOOP: more
 * descriptors than the queue's size (a loop, or a chain too long).
 */
int virtq__pop(struct virtq *q, struct virtq_chain *chain, struct ktstr_error *error);

/* Puts back the chain that was popped last: the next pop reads it again. */
void virtq__unpop(struct virtq *q);

/*
 * Returns a chain with @written bytes filled. The driver sees it after virtq__publish(): a device
 * may return many and publish once. -EFAULT: the used ring is not in RAM.
 */
int virtq__push(struct virtq *q, uint16_t head, uint32_t written, struct ktstr_error *error);

/* Shows the driver all that was pushed. */
void virtq__publish(struct virtq *q);

/*
 * Whether the driver wants an interrupt for what was published since the last call (§2.7.7.2,
 * §2.7.10): ask once after publishing, and signal when it says so.
 */
bool virtq__needs_interrupt(struct virtq *q);

/*
 * Asks the driver to notify when it adds a chain (§2.7.10). True: some came in the meantime, for
 * which no notification may follow.
 */
bool virtq__enable_notify(struct virtq *q);

/* Tells the driver that its notifications are not needed. It may still send some. */
void virtq__disable_notify(struct virtq *q);

/*
 * Takes over a saved state after the checks of virtq__enable(). On failure the queue is unchanged.
 */
int virtq__load(struct virtq *q, const struct virtq_state *state, struct ktstr_error *error);

#endif /* KTSTR_VMM_VIRTIO_QUEUE_H */
