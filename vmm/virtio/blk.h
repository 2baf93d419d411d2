/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio-blk (virtio 1.2 §5.2) on a file. A disk has a thread of its own for its queues and its
 * throttle, so that storage that is slow holds up no other device; what blocks is done elsewhere
 * still (file_io.h).
 *
 * A write that was acknowledged is in the file, whoever reads it; after FLUSH it is on the
 * storage. Without VIRTIO_BLK_F_FLUSH every write is on the storage before it is acknowledged. When
 * a FLUSH failed, what was acknowledged before may be lost, so every later one fails, too.
 */
#ifndef KTSTR_VMM_VIRTIO_BLK_H
#define KTSTR_VMM_VIRTIO_BLK_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "file_io.h"
#include "throttle.h"

struct loop;
struct sandbox;

#define VIRTIO_BLK_SECTOR 512u
#define VIRTIO_BLK_MAX_QUEUES 16u

struct virtio_blk_options {
	int fd;		  /* becomes the device's, in any case */
	uint64_t sectors; /* that the guest sees, of VIRTIO_BLK_SECTOR bytes */
	bool read_only;	  /* also: nothing is ever written to @fd */
	char serial[20];  /* padded with NUL (VIRTIO_BLK_ID_BYTES) */
	uint32_t queues;  /* 1 to VIRTIO_BLK_MAX_QUEUES */
	struct throttle_limit operations, bytes;
	enum file_io_engine engine;
};

struct virtio_blk;

/* -ENOMEM, -EMFILE, -EINVAL: no sector, or a number of queues. */
int virtio_blk__create(const struct virtio_blk_options *options, struct virtio_blk **blk,
		       struct ktstr_error *error);
/* Stops it. Before the transport is destroyed, and the RAM: requests write to it. NULL is allowed.
 */
void virtio_blk__destroy(struct virtio_blk *b);

/* For virtio_mmio__create(). */
struct virtio_device *virtio_blk__device(struct virtio_blk *b);
/* Where the transport's queues are watched; before start. */
struct loop *virtio_blk__loop(struct virtio_blk *b);

/*
 * The thread. Until it is started, and for tests that never do, loop__dispatch() of the loop above
 * does its work. In @sandbox, unless it is NULL. -EAGAIN: no thread.
 */
int virtio_blk__start(struct virtio_blk *b, struct sandbox *sandbox, struct ktstr_error *error);
/*
 * Ends the thread, and waits until no request touches the file or the RAM any more; those that wait
 * for the throttle are dropped, as by a power failure. No vCPU may run.
 */
void virtio_blk__stop(struct virtio_blk *b);

#endif /* KTSTR_VMM_VIRTIO_BLK_H */
