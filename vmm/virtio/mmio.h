/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MMIO transport, version 2 (virtio 1.2 §4.2): registers, device status, notifications in by
 * eventfd (or by a register access that exits), interrupts out by eventfd.
 */
#ifndef KTSTR_VMM_VIRTIO_MMIO_H
#define KTSTR_VMM_VIRTIO_MMIO_H

#include <ktstr/error.h>

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "../bus.h"
#include "../memory.h"
#include "device.h"

#define VIRTIO_MMIO_SIZE 0x200u /* bytes of guest address space a device takes */

/* How a transport is connected to the machine. Every function may be NULL. */
struct virtio_mmio_wiring {
	void *opaque;
	/*
	 * Makes a 4-byte write of @datamatch at @gpa signal @eventfd (KVM_IOEVENTFD with
	 * DATAMATCH). NULL: notifications come as writes to the bus.
	 */
	int (*assign_notify)(void *opaque, uint64_t gpa, uint32_t datamatch, int eventfd);
	/* Makes a write to @eventfd an edge on @gsi (KVM_IRQFD). */
	int (*assign_irq)(void *opaque, uint32_t gsi, int eventfd);
	/*
	 * The driver broke the rules and the device stopped until it is reset. From any thread,
	 * with the device's lock held: note it, wake somebody, return.
	 */
	void (*broken)(void *opaque, const char *device, const struct ktstr_error *error);
};

/*
 * Puts @dev behind a transport at [base, base + VIRTIO_MMIO_SIZE). @dev, @mem and *wiring must live
 * until virtio_mmio__destroy(). -ENOMEM, -EMFILE (eventfds), or what @wiring returned.
 */
int virtio_mmio__create(struct virtio_device *dev, const struct gmem *mem, uint64_t base,
			uint32_t gsi, const struct virtio_mmio_wiring *wiring,
			struct virtio_mmio **transport, struct ktstr_error *error);
/* No thread may be in it any more. NULL is allowed. */
void virtio_mmio__destroy(struct virtio_mmio *t);

/* For bus__add() with the transport as opaque: from any thread. */
extern const struct bus_ops virtio_mmio_bus_ops;

const char *virtio_mmio__name(const struct virtio_mmio *t); /* of the device; static */
uint32_t virtio_mmio__nr_queues(const struct virtio_mmio *t);

/* For the thread that runs the queues: when this eventfd is readable, call run_queue. */
int virtio_mmio__queue_fd(const struct virtio_mmio *t, uint32_t queue);
void virtio_mmio__run_queue(struct virtio_mmio *t, uint32_t queue);
/* Runs every queue that is notified once. True: one was, and may be again. */
bool virtio_mmio__run_turn(struct virtio_mmio *t);
/* Likewise, until none is. */
void virtio_mmio__run_queues(struct virtio_mmio *t);

/*
 * All state of the transport, its queues and its device as plain data of state_size() bytes. No
 * vCPU may run, and no switch of NICs (net_switch__stop()).
 *
 * save: what a disk has taken is done first, at the speed of its storage: the used rings then show
 * it, so RAM is saved after this. -EBUSY when the device holds something that is not state, such as
 * frames on a link; @error says what.
 *
 * load: what the driver was interrupted for and has not acknowledged interrupts again. -EINVAL when
 * @size or the content is not of such a device; what was loaded until then stays, so reset or
 * destroy it. Guest RAM must be in place before, and nothing under way.
 */
size_t virtio_mmio__state_size(const struct virtio_mmio *t);
int virtio_mmio__save(struct virtio_mmio *t, void *buf, size_t size, struct ktstr_error *error);
int virtio_mmio__load(struct virtio_mmio *t, const void *buf, size_t size,
		      struct ktstr_error *error);

/* ---- For devices ---- */

void virtio_mmio__lock(struct virtio_mmio *t);
void virtio_mmio__unlock(struct virtio_mmio *t);
/*
 * For the reset, stop_queue and drain ops of a device that has to wait for its own thread: the
 * lock, which is held once, is not held meanwhile. During a reset registers then read as before it,
 * and writes to them are ignored.
 */
void virtio_mmio__wait(struct virtio_mmio *t, pthread_cond_t *condition);
/* Publishes what was pushed on @queue, and interrupts the driver if it wants to be. Lock held. */
void virtio_mmio__signal(struct virtio_mmio *t, uint32_t queue);
/* Lets @queue run again soon, in its own thread. From any thread. */
void virtio_mmio__kick(struct virtio_mmio *t, uint32_t queue);
/* The configuration space changed (§2.5, §4.2.2.1 ConfigGeneration). Lock held. */
void virtio_mmio__config_changed(struct virtio_mmio *t);
/* The driver broke the rules: DEVICE_NEEDS_RESET (§2.1), once until the next reset. Lock held. */
void virtio_mmio__fail(struct virtio_mmio *t, const struct ktstr_error *error);

#endif /* KTSTR_VMM_VIRTIO_MMIO_H */
