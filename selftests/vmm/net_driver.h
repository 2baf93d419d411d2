/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio-net devices on one switch, with a driver in user space that does what Linux's
 * drivers/net/virtio_net.c does, and whatever else a test wants. The devices' work is done by
 * nd_run() in the caller's thread, or by the switch's own once nd_start() was called.
 */
#ifndef KTSTR_SELFTESTS_NET_DRIVER_H
#define KTSTR_SELFTESTS_NET_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "virtq_driver.h"
#include "vmm/loop.h"
#include "vmm/virtio/attach.h"
#include "vmm/virtio/mmio.h"
#include "vmm/virtio/net.h"

#define ND_RAM (UINT64_C(96) << 20)
#define ND_NIC_BYTES UINT64_C(0x1000000) /* of RAM that a NIC has: rings, tables, and buffers */
#define ND_TABLES UINT64_C(0x100000)
#define ND_TX UINT64_C(0x200000) /* 128 KiB a slot, 16 slots */
#define ND_TX_SLOT 0x20000u
#define ND_TX_SLOTS 16u
#define ND_RX UINT64_C(0x400000) /* 12 MiB for all queues */
#define ND_MMIO_BASE UINT64_C(0xd0000000)
#define ND_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define ND_MAX_FRAME 70000u
#define ND_MAX_QUEUES (2 * VIRTIO_NET_MAX_PAIRS + 1)

#define ND_BIT(n) (UINT64_C(1) << (n))
#define ND_PLAIN                                                            \
	(ND_BIT(VIRTIO_F_VERSION_1) | ND_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 ND_BIT(VIRTIO_RING_F_EVENT_IDX) | ND_BIT(VIRTIO_NET_F_MAC) | ND_BIT(VIRTIO_NET_F_STATUS))
#define ND_OFFLOADS                                                        \
	(ND_BIT(VIRTIO_NET_F_CSUM) | ND_BIT(VIRTIO_NET_F_GUEST_CSUM) |     \
	 ND_BIT(VIRTIO_NET_F_HOST_TSO4) | ND_BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 ND_BIT(VIRTIO_NET_F_HOST_ECN) | ND_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 ND_BIT(VIRTIO_NET_F_GUEST_TSO6) | ND_BIT(VIRTIO_NET_F_GUEST_ECN))
#define ND_CONTROL (ND_BIT(VIRTIO_NET_F_CTRL_VQ) | ND_BIT(VIRTIO_NET_F_MQ))
#define ND_MERGE ND_BIT(VIRTIO_NET_F_MRG_RXBUF)
#define ND_LINUX (ND_PLAIN | ND_OFFLOADS | ND_CONTROL | ND_MERGE)

struct nd_nic {
	struct net_rig *rig;
	struct gmem *mem;
	struct virtio_net *n;
	struct virtio_mmio *t;
	struct virtio_attachment *attachment;
	struct virtio_mmio_wiring wiring;
	struct virtq_driver q[ND_MAX_QUEUES];
	uint64_t features, ram;
	uint32_t tx_slot;
	int irq_fd;
	uint32_t broken;
	char reason[600];
};

struct net_rig {
	struct gmem mem;
	struct bus bus;
	struct net_switch *sw;
	struct nd_nic nics[KTSTR_MAX_NICS];
	uint32_t nr;
};

static inline int nd_irq(void *opaque, uint32_t gsi, int fd)
{
	(void)gsi;
	((struct nd_nic *)opaque)->irq_fd = fd;
	return 0;
}

static inline void nd_broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	struct nd_nic *nic = opaque;

	nic->broken++;
	snprintf(nic->reason, sizeof(nic->reason), "%s: %s", device, error->reason);
}

static inline int nd_create_nic(struct net_rig *g, const struct virtio_net_options *options,
				struct gmem *mem)
{
	struct nd_nic *nic = &g->nics[g->nr];
	uint64_t base = ND_MMIO_BASE + g->nr * 0x1000;
	int err = virtio_net__create(options, g->sw, &nic->n, NULL);

	if (err)
		return err;
	nic->rig = g;
	nic->mem = mem;
	nic->ram = g->nr++ * ND_NIC_BYTES;
	nic->wiring = (struct virtio_mmio_wiring){
		.opaque = nic, .assign_irq = nd_irq, .broken = nd_broken};
	err = virtio_mmio__create(virtio_net__device(nic->n), mem, base, 5, &nic->wiring, &nic->t,
				  NULL);
	return err ? err
		   : virtio_attachment__create(nic->t, base, &g->bus, net_switch__loop(g->sw),
					       &nic->attachment, NULL);
}

/* NICs with addresses 02:00:00:00:00:00, ...:01 and so on where the options have none. */
static inline int nd_create(struct net_rig *g, const struct virtio_net_options *options,
			    uint32_t nr)
{
	int err;

	memset(g, 0, sizeof(*g));
	err = bus__init(&g->bus);
	if (!err)
		err = gmem__layout(&g->mem, ND_RAM, NULL);
	if (!err)
		err = gmem__map(&g->mem, NULL);
	if (!err)
		err = net_switch__create(&g->sw, NULL);
	for (uint32_t i = 0; i < nr && !err; i++) {
		struct virtio_net_options o = options[i];

		o.pairs += !o.pairs;
		if (!o.mac[0]) {
			o.mac[0] = 2;
			o.mac[5] = (uint8_t)i;
		}
		err = nd_create_nic(g, &o, &g->mem);
	}
	return err;
}

static inline void nd_destroy(struct net_rig *g)
{
	if (g->sw)
		net_switch__stop(g->sw);
	for (uint32_t i = 0; i < g->nr; i++) {
		virtio_attachment__destroy(g->nics[i].attachment);
		virtio_mmio__destroy(g->nics[i].t);
	}
	for (uint32_t i = 0; i < g->nr; i++)
		virtio_net__destroy(g->nics[i].n);
	net_switch__destroy(g->sw);
	gmem__unmap(&g->mem);
	bus__fini(&g->bus);
}

static inline void nd_wr(struct nd_nic *nic, uint64_t offset, uint32_t value)
{
	vd_write(&virtio_mmio_bus_ops, nic->t, offset, value);
}

static inline uint32_t nd_rd(struct nd_nic *nic, uint64_t offset)
{
	return vd_read(&virtio_mmio_bus_ops, nic->t, offset);
}

static inline uint32_t nd_config(struct nd_nic *nic, uint64_t offset, uint32_t length)
{
	uint32_t value = 0;

	virtio_mmio_bus_ops.read(nic->t, VIRTIO_MMIO_CONFIG + offset, (uint8_t *)&value, length);
	return value;
}

static inline void nd_enable_queue(struct nd_nic *nic, uint32_t i, uint64_t gpa, uint32_t size)
{
	nd_wr(nic, VIRTIO_MMIO_QUEUE_SEL, i);
	vd_init(&nic->q[i], nic->mem, gpa, size, nic->features & ND_BIT(VIRTIO_RING_F_EVENT_IDX));
	nd_wr(nic, VIRTIO_MMIO_QUEUE_NUM, size);
	nd_wr(nic, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)nic->q[i].desc_gpa);
	nd_wr(nic, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)nic->q[i].avail_gpa);
	nd_wr(nic, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)nic->q[i].used_gpa);
	nd_wr(nic, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* From reset to FEATURES_OK; the status. */
static inline uint32_t nd_negotiate(struct nd_nic *nic, uint64_t features)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	nic->features = features;
	nic->broken = 0;
	nd_wr(nic, VIRTIO_MMIO_STATUS, 0);
	nd_wr(nic, VIRTIO_MMIO_STATUS, status);
	nd_wr(nic, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	nd_wr(nic, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	nd_wr(nic, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	nd_wr(nic, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	nd_wr(nic, VIRTIO_MMIO_STATUS, status);
	return nd_rd(nic, VIRTIO_MMIO_STATUS);
}

/* From reset to DRIVER_OK, with all of the device's queues, and no receive buffer. */
static inline void nd_probe(struct nd_nic *nic, uint64_t features)
{
	uint32_t status = nd_negotiate(nic, features);
	uint32_t nr = 2;

	if (features & ND_BIT(VIRTIO_NET_F_MQ))
		nr = 2 * nd_config(nic, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2);
	nr += !!(features & ND_BIT(VIRTIO_NET_F_CTRL_VQ));
	for (uint32_t i = 0; i < nr; i++)
		nd_enable_queue(nic, i, nic->ram + 0x10000 + i * 0x4000, VIRTQ_MAX_SIZE);
	nd_wr(nic, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void nd_kick(struct nd_nic *nic, uint32_t queue)
{
	if (vd_kick_needed(&nic->q[queue]))
		nd_wr(nic, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* All that can be done without waiting. */
static inline void nd_run(struct net_rig *g)
{
	while (loop__dispatch(net_switch__loop(g->sw), 0) > 0)
		;
}

/* ---- Receiving ---- */

static inline uint64_t nd_rx_gpa(const struct nd_nic *nic, uint32_t pair, uint32_t i,
				 uint32_t bytes)
{
	return nic->ram + ND_RX + pair * UINT64_C(0x300000) + (uint64_t)i * bytes;
}

/* Gives @nr buffers of @bytes each to the queue of @pair; all of them are 0xee. */
static inline void nd_fill(struct nd_nic *nic, uint32_t pair, uint32_t nr, uint32_t bytes)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct vd_buffer b = {nd_rx_gpa(nic, pair, i, bytes), bytes, true};

		memset(gmem__ptr(nic->mem, b.gpa, bytes), 0xee, bytes);
		if (vd_add(&nic->q[2 * pair], &b, 1) < 0)
			abort();
	}
	nd_kick(nic, 2 * pair);
}

/* Puts the buffer of chain @head back. */
static inline void nd_refill(struct nd_nic *nic, uint32_t pair, int head)
{
	struct vring_desc *d = &nic->q[2 * pair].desc[head];
	struct vd_buffer b = {d->addr, d->len, true};

	if (vd_add(&nic->q[2 * pair], &b, 1) < 0)
		abort();
	nd_kick(nic, 2 * pair);
}

/*
 * The next frame of @pair, put together: its length, *header; -EAGAIN: none; -EPROTO: buffers that
 * do not fit together. Its buffers are given back.
 */
static inline int nd_receive(struct nd_nic *nic, uint32_t pair, uint8_t *frame,
			     struct virtio_net_hdr_v1 *header)
{
	struct virtq_driver *q = &nic->q[2 * pair];
	uint32_t length, at = 0, left = 1;
	bool first = true;

	while (left--) {
		int head = vd_get_used(q, &length);
		const uint8_t *data;

		if (head < 0)
			return first ? head : -EPROTO;
		data = gmem__ptr(q->mem, q->desc[head].addr, length);
		if (!data || length > q->desc[head].len)
			return -EPROTO;
		if (first) {
			if (length < ND_HEADER)
				return -EPROTO;
			memcpy(header, data, ND_HEADER);
			left = header->num_buffers - 1u;
			data += ND_HEADER;
			length -= ND_HEADER;
		}
		first = false;
		if (at + length > ND_MAX_FRAME)
			return -EPROTO;
		memcpy(frame + at, data, length);
		at += length;
		nd_refill(nic, pair, head);
	}
	return (int)at;
}

/* Interrupts since the last call. */
static inline uint64_t nd_edges(struct nd_nic *nic)
{
	uint64_t n = 0;

	return read(nic->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* The same, and waits for it. The switch has no thread of its own. */
static inline int nd_wait(struct nd_nic *nic, uint32_t pair, uint8_t *frame,
			  struct virtio_net_hdr_v1 *header)
{
	int n;

	while ((n = nd_receive(nic, pair, frame, header)) == -EAGAIN)
		loop__dispatch(net_switch__loop(nic->rig->sw), -1);
	return n;
}

/* ---- Sending ---- */

static inline uint64_t nd_tx_gpa(struct nd_nic *nic)
{
	return nic->ram + ND_TX + (uint64_t)(nic->tx_slot++ % ND_TX_SLOTS) * ND_TX_SLOT;
}

/* Takes back what was sent. Returns how many chains. */
static inline uint32_t nd_clean(struct nd_nic *nic, uint32_t pair)
{
	uint32_t nr = 0;

	while (vd_get_used(&nic->q[2 * pair + 1], NULL) >= 0)
		nr++;
	return nr;
}

/* @header NULL: nothing is left to do. The chain's head, or -ENOSPC; not kicked. */
static inline int nd_queue(struct nd_nic *nic, uint32_t pair, const void *frame, uint32_t length,
			   const struct virtio_net_hdr_v1 *header)
{
	static const struct virtio_net_hdr_v1 none;
	struct vd_buffer b = {nd_tx_gpa(nic), ND_HEADER + length, false};
	struct gmem *mem = nic->mem;

	gmem__write(mem, b.gpa, header ? header : &none, ND_HEADER);
	gmem__write(mem, b.gpa + ND_HEADER, frame, length);
	return vd_add(&nic->q[2 * pair + 1], &b, 1);
}

static inline int nd_send(struct nd_nic *nic, uint32_t pair, const void *frame, uint32_t length,
			  const struct virtio_net_hdr_v1 *header)
{
	int head = nd_queue(nic, pair, frame, length, header);

	nd_kick(nic, 2 * pair + 1);
	return head;
}

/* A frame of @length bytes from one NIC's address to another's, whose content says @number. */
static inline void nd_frame(uint8_t *frame, uint32_t length, uint8_t to, uint8_t from,
			    uint32_t number)
{
	static const uint8_t start[] = {2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0x88, 0xb5};

	memcpy(frame, start, sizeof(start));
	if (to == 0xff)
		memset(frame, 0xff, 6);
	frame[5] = to;
	frame[11] = from;
	for (uint32_t i = sizeof(start); i < length; i++)
		frame[i] = (uint8_t)(number + i * 7 + (i >> 8));
}

/* ---- Control ---- */

/* Sends a command; the acknowledgement, or -EAGAIN: there is none. */
static inline int nd_command(struct nd_nic *nic, const void *command, uint32_t length)
{
	uint32_t nr =
		2 * nd_config(nic, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2);
	uint32_t queue = nic->features & ND_BIT(VIRTIO_NET_F_MQ) ? nr : 2;
	uint64_t gpa = nic->ram + ND_TABLES;
	const struct vd_buffer b[] = {{gpa, length, false}, {gpa + 256, 1, true}};
	uint8_t *ack = gmem__ptr(nic->mem, gpa + 256, 1);
	int head;

	gmem__write(nic->mem, gpa, command, length);
	*ack = 0xee;
	if (vd_add(&nic->q[queue], b, 2) < 0)
		abort();
	nd_kick(nic, queue);
	nd_run(nic->rig);
	head = vd_get_used(&nic->q[queue], NULL);
	return head < 0 ? head : *ack;
}

static inline int nd_set_pairs(struct nd_nic *nic, uint16_t pairs)
{
	uint8_t command[4] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, (uint8_t)pairs,
			      (uint8_t)(pairs >> 8)};

	return nd_command(nic, command, sizeof(command));
}

#endif /* KTSTR_SELFTESTS_NET_DRIVER_H */
