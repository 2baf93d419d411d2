/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a virtio device is to its transport: an ops table and its offers. A device's own struct
 * embeds struct virtio_device; one device a file.
 *
 * Locking: the transport has one lock a device, recursive, and holds it in every op. A device's own
 * entry points take it with virtio_mmio__lock().
 */
#ifndef KTSTR_VMM_VIRTIO_DEVICE_H
#define KTSTR_VMM_VIRTIO_DEVICE_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "queue.h"

#define VIRTIO_MAX_QUEUES 128u

struct virtio_device;
struct virtio_mmio;

/*
 * Ops come from the thread that runs the device's queues, but for those marked *, which come from
 * any vCPU's. A negative return of an op that has @error: the driver broke the rules, @error says
 * how; the transport then sets DEVICE_NEEDS_RESET and reports it.
 */
struct virtio_device_ops {
	const char *name;
	uint32_t id; /* virtio 1.2 §5 */
	/* * Bytes of the configuration space; those past its end read as 0. May be NULL. */
	void (*read_config)(struct virtio_device *dev, uint32_t offset, uint8_t *data,
			    uint32_t length);
	/* * May be NULL: the space is read-only. */
	void (*write_config)(struct virtio_device *dev, uint32_t offset, const uint8_t *data,
			     uint32_t length);
	/*
	 * * The driver said DRIVER_OK: dev->negotiated and the queues that are ready are final. The
	 * transport lets every ready queue run once after this. May be NULL.
	 */
	void (*activate)(struct virtio_device *dev);
	/*
	 * Queue @queue may have work: the driver notified, or virtio_mmio__kick() was called. Also
	 * comes when the driver is not ready; virtq__pop() returns nothing then.
	 */
	int (*notify)(struct virtio_device *dev, uint32_t queue, struct ktstr_error *error);
	/*
	 * * The driver took back @queue, which has been reset: when this returns, nothing of its
	 * memory is used any more (§4.2.2.2). NULL: it never is outside of notify.
	 */
	void (*stop_queue)(struct virtio_device *dev, uint32_t queue);
	/* * Before the queues are reset: what the driver gave is still there. May be NULL. */
	void (*reset)(struct virtio_device *dev);
	/* The device's own state as plain data. */
	size_t state_size;
	/*
	 * Ends what is under way and ends on its own: it is waited for. What the driver is to be
	 * told of is told. May be NULL.
	 */
	void (*drain)(struct virtio_device *dev);
	/* -EBUSY: there is what is not state, and @error says what. */
	int (*save)(struct virtio_device *dev, void *state, struct ktstr_error *error);
	int (*load)(struct virtio_device *dev, const void *state); /* -EINVAL: cannot be */
};

struct virtio_device {
	const struct virtio_device_ops *ops;
	uint64_t features; /* offered beside the transport's own */
	uint32_t nr_queues;
	const uint16_t *queue_sizes; /* [nr_queues]: largest size of each */
	/* The transport's to fill */
	struct virtio_mmio *transport;
	struct virtq *queues; /* [nr_queues] */
	uint64_t negotiated;  /* features; 0 until FEATURES_OK */
};

/* For read_config: a part of @config, which has @size bytes. What is not in it leaves @data alone.
 */
static inline void virtio_device__copy_config(const void *config, size_t size, uint32_t offset,
					      uint8_t *data, uint32_t length)
{
	if (offset < size && length <= size - offset)
		memcpy(data, (const uint8_t *)config + offset, length);
}

#endif /* KTSTR_VMM_VIRTIO_DEVICE_H */
