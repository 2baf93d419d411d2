/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio-blk device on a file, with a driver in user space that does what Linux's
 * drivers/block/virtio_blk.c does, and whatever else a test wants. The device's work is done by
 * blk_wait() and blk_run() in the caller's thread, or by its own once blk_start() was called.
 */
#ifndef KTSTR_SELFTESTS_BLK_DRIVER_H
#define KTSTR_SELFTESTS_BLK_DRIVER_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtq_driver.h"
#include "vmm/loop.h"
#include "vmm/virtio/attach.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/mmio.h"

#define BLK_RAM (UINT64_C(64) << 20)
#define BLK_RINGS_GPA UINT64_C(0x10000)
#define BLK_HEADERS_GPA UINT64_C(0x100000) /* 64 bytes a slot: header, status, ranges */
#define BLK_TABLES_GPA UINT64_C(0x200000)  /* 4 KiB a slot */
#define BLK_DATA_GPA UINT64_C(0x800000)	   /* 64 KiB a slot */
#define BLK_SLOT_BYTES 65536u
#define BLK_SLOTS 512u
#define BLK_MMIO_BASE UINT64_C(0xd0000000)

#define BLK_BIT(n) (UINT64_C(1) << (n))
#define BLK_FEATURES                                                          \
	(BLK_BIT(VIRTIO_F_VERSION_1) | BLK_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BLK_BIT(VIRTIO_RING_F_EVENT_IDX) | BLK_BIT(VIRTIO_BLK_F_FLUSH) |     \
	 BLK_BIT(VIRTIO_BLK_F_MQ))
#define BLK_FEATURES_RW \
	(BLK_FEATURES | BLK_BIT(VIRTIO_BLK_F_DISCARD) | BLK_BIT(VIRTIO_BLK_F_WRITE_ZEROES))

struct blk_rig {
	struct gmem mem;
	struct bus bus;
	struct virtio_mmio_wiring wiring;
	struct virtio_blk *b;
	struct virtio_mmio *t;
	struct virtio_attachment *attachment;
	struct virtq_driver q[VIRTIO_BLK_MAX_QUEUES];
	uint32_t nr_queues;
	int irq_fd;
	bool own_thread;
	uint32_t broken;
	char reason[600];
};

static inline int blk_rig_irq(void *opaque, uint32_t gsi, int fd)
{
	(void)gsi;
	((struct blk_rig *)opaque)->irq_fd = fd;
	return 0;
}

static inline void blk_rig_broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	struct blk_rig *g = opaque;

	g->broken++;
	snprintf(g->reason, sizeof(g->reason), "%s: %s", device, error->reason);
}

/* A file in memory of so many bytes, each sector of which begins with its number plus one. */
static inline int blk_image(uint64_t sectors)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(sectors * VIRTIO_BLK_SECTOR)))
		abort();
	for (uint64_t i = 0; i < sectors; i++) {
		uint64_t number = i + 1;

		if (pwrite(fd, &number, sizeof(number), (off_t)(i * VIRTIO_BLK_SECTOR)) !=
		    sizeof(number))
			abort();
	}
	return fd;
}

static inline int blk_create(struct blk_rig *g, const struct virtio_blk_options *options)
{
	int err;

	memset(g, 0, sizeof(*g));
	g->wiring = (struct virtio_mmio_wiring){
		.opaque = g, .assign_irq = blk_rig_irq, .broken = blk_rig_broken};
	err = bus__init(&g->bus);
	if (!err)
		err = gmem__layout(&g->mem, BLK_RAM, NULL);
	if (!err)
		err = gmem__map(&g->mem, NULL);
	if (!err)
		err = virtio_blk__create(options, &g->b, NULL);
	if (!err)
		err = virtio_mmio__create(virtio_blk__device(g->b), &g->mem, BLK_MMIO_BASE, 5,
					  &g->wiring, &g->t, NULL);
	return err ? err
		   : virtio_attachment__create(g->t, BLK_MMIO_BASE, &g->bus, virtio_blk__loop(g->b),
					       &g->attachment, NULL);
}

static inline void blk_destroy(struct blk_rig *g)
{
	if (g->b)
		virtio_blk__stop(g->b);
	virtio_attachment__destroy(g->attachment);
	virtio_mmio__destroy(g->t);
	virtio_blk__destroy(g->b);
	gmem__unmap(&g->mem);
	bus__fini(&g->bus);
}

static inline int blk_start(struct blk_rig *g)
{
	g->own_thread = true;
	return virtio_blk__start(g->b, NULL, NULL);
}

static inline void blk_wr(struct blk_rig *g, uint64_t offset, uint32_t value)
{
	vd_write(&virtio_mmio_bus_ops, g->t, offset, value);
}

static inline uint32_t blk_rd(struct blk_rig *g, uint64_t offset)
{
	return vd_read(&virtio_mmio_bus_ops, g->t, offset);
}

/* A field of the configuration space, of 1, 2 or 4 bytes. */
static inline uint32_t blk_config(struct blk_rig *g, uint64_t offset, uint32_t length)
{
	uint32_t value = 0;

	virtio_mmio_bus_ops.read(g->t, VIRTIO_MMIO_CONFIG + offset, (uint8_t *)&value, length);
	return value;
}

static inline void blk_enable_queue(struct blk_rig *g, uint32_t i, uint64_t gpa, uint32_t size,
				    bool event_idx)
{
	blk_wr(g, VIRTIO_MMIO_QUEUE_SEL, i);
	vd_init(&g->q[i], &g->mem, gpa, size, event_idx);
	blk_wr(g, VIRTIO_MMIO_QUEUE_NUM, size);
	blk_wr(g, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)g->q[i].desc_gpa);
	blk_wr(g, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)g->q[i].avail_gpa);
	blk_wr(g, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)g->q[i].used_gpa);
	blk_wr(g, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* From reset to DRIVER_OK, with all of the device's queues. */
static inline void blk_probe(struct blk_rig *g, uint64_t features)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	blk_wr(g, VIRTIO_MMIO_STATUS, 0);
	blk_wr(g, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	blk_wr(g, VIRTIO_MMIO_STATUS, status);
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	blk_wr(g, VIRTIO_MMIO_STATUS, status);
	g->nr_queues = blk_config(g, offsetof(struct virtio_blk_config, num_queues), 2);
	for (uint32_t i = 0; i < g->nr_queues; i++)
		blk_enable_queue(g, i, BLK_RINGS_GPA + i * 0x4000, VIRTQ_MAX_SIZE,
				 features & BLK_BIT(VIRTIO_RING_F_EVENT_IDX));
	blk_wr(g, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void blk_kick(struct blk_rig *g, uint32_t queue)
{
	if (vd_kick_needed(&g->q[queue]))
		blk_wr(g, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* ---- Slots: where a request's parts are ---- */

static inline uint64_t blk_header_gpa(uint32_t slot)
{
	return BLK_HEADERS_GPA + slot * 512u;
}

static inline uint64_t blk_status_gpa(uint32_t slot)
{
	return blk_header_gpa(slot) + 16;
}

static inline uint64_t blk_ranges_gpa(uint32_t slot)
{
	return blk_header_gpa(slot) + 32;
}

static inline uint64_t blk_data_gpa(uint32_t slot)
{
	return BLK_DATA_GPA + slot * (uint64_t)BLK_SLOT_BYTES;
}

static inline uint8_t *blk_data(struct blk_rig *g, uint32_t slot)
{
	return gmem__ptr(&g->mem, blk_data_gpa(slot), BLK_SLOT_BYTES);
}

static inline uint8_t *blk_status(struct blk_rig *g, uint32_t slot)
{
	return gmem__ptr(&g->mem, blk_status_gpa(slot), 1);
}

#define BLK_PENDING 0xee /* what the status holds before the device has written it */

static inline void blk_set_header(struct blk_rig *g, uint32_t slot, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr header = {.type = type, .sector = sector};

	gmem__write(&g->mem, blk_header_gpa(slot), &header, sizeof(header));
	*blk_status(g, slot) = BLK_PENDING;
}

/* Header, @data (NULL: none), status. The chain's head, or -ENOSPC. */
static inline int blk_add(struct blk_rig *g, uint32_t queue, uint32_t slot, uint32_t type,
			  uint64_t sector, const struct vd_buffer *data)
{
	struct vd_buffer buffers[3] = {{blk_header_gpa(slot), sizeof(struct virtio_blk_outhdr), 0}};
	uint32_t nr = 1;

	blk_set_header(g, slot, type, sector);
	if (data)
		buffers[nr++] = *data;
	buffers[nr++] = (struct vd_buffer){blk_status_gpa(slot), 1, true};
	return vd_add(&g->q[queue], buffers, nr);
}

static inline int blk_read(struct blk_rig *g, uint32_t queue, uint32_t slot, uint64_t sector,
			   uint32_t bytes)
{
	struct vd_buffer data = {blk_data_gpa(slot), bytes, true};

	return blk_add(g, queue, slot, VIRTIO_BLK_T_IN, sector, &data);
}

static inline int blk_write(struct blk_rig *g, uint32_t queue, uint32_t slot, uint64_t sector,
			    uint32_t bytes)
{
	struct vd_buffer data = {blk_data_gpa(slot), bytes, false};

	return blk_add(g, queue, slot, VIRTIO_BLK_T_OUT, sector, &data);
}

static inline int blk_flush(struct blk_rig *g, uint32_t queue, uint32_t slot)
{
	return blk_add(g, queue, slot, VIRTIO_BLK_T_FLUSH, 0, NULL);
}

/* Discard or write zeroes of one range. */
static inline int blk_range(struct blk_rig *g, uint32_t queue, uint32_t slot, uint32_t type,
			    uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = {sector, sectors, flags};
	struct vd_buffer data = {blk_ranges_gpa(slot), sizeof(range), false};

	gmem__write(&g->mem, blk_ranges_gpa(slot), &range, sizeof(range));
	return blk_add(g, queue, slot, type, 0, &data);
}

/* ---- Work ---- */

/* All that can be done without waiting. */
static inline void blk_run(struct blk_rig *g)
{
	while (loop__dispatch(virtio_blk__loop(g->b), 0) > 0)
		;
}

/* Interrupts since the last call. */
static inline uint64_t blk_edges(struct blk_rig *g)
{
	uint64_t n = 0;

	return read(g->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* Waits for the next chain to come back on @queue: its head; *length: bytes. */
static inline int blk_wait(struct blk_rig *g, uint32_t queue, uint32_t *length)
{
	int head;

	blk_kick(g, queue);
	while ((head = vd_get_used(&g->q[queue], length)) == -EAGAIN && !g->broken) {
		struct pollfd irq = {.fd = g->irq_fd, .events = POLLIN};

		if (!g->own_thread) {
			loop__dispatch(virtio_blk__loop(g->b), -1);
			continue;
		}
		/* As in the guest: an interrupt, and then the ring. */
		if (poll(&irq, 1, -1) == 1)
			blk_edges(g);
	}
	return head;
}

/* One request from its start to its end: the status. */
static inline uint8_t blk_end(struct blk_rig *g, uint32_t slot)
{
	if (blk_wait(g, 0, NULL) < 0)
		return BLK_PENDING;
	return *blk_status(g, slot);
}

#endif /* KTSTR_SELFTESTS_BLK_DRIVER_H */
