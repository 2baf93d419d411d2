// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-blk: requests are checked and taken off the rings by one thread, done by file_io, and
 * returned in whatever order they end.
 *
 * What keeps exits few: what has ended is shown at once, but the interrupt for it is held until it
 * is for several (coalesce.h).
 */
#include "blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../loop.h"
#include "../sandbox.h"
#include "coalesce.h"
#include "mmio.h"

#define BIT64(n) (UINT64_C(1) << (n))
#define NS_PER_S 1000000000u

/* Header and status beside the data (§5.2.6). */
#define SEG_MAX (VIRTQ_MAX_SIZE - 2)
#define SIZE_MAX_BYTES (1u << 20)
/* Of one discard or write-zeroes request (§5.2.4): a file system wants few and large ones. */
#define MAX_RANGES 16u
#define MAX_RANGE_SECTORS (1u << 21)
/* A page, which is what most file systems of hosts give back. */
#define DISCARD_ALIGN_SECTORS 8u

#define ZEROS_BYTES 65536u

/*
 * Of reads and writes that are being done, from where on no request is taken: a reset and the end
 * of the machine wait for these, and a queue can ask for the whole disk as often as it is long.
 */
#define MOVING_BYTES (64u << 20)

struct request {
	struct file_io_op op;
	struct request *next;
	uint32_t queue, epoch; /* where it came from; another epoch: the driver has let go of it */
	uint32_t type;
	uint8_t *status;
	uint64_t start_ns;
	uint32_t used_length; /* when it succeeds */
	uint64_t bytes;	      /* for the throttle */
	uint64_t moving;      /* read or written in the step that is being done */
	/* Discard and write zeroes: one range at a time */
	struct virtio_blk_discard_write_zeroes ranges[MAX_RANGES];
	uint32_t nr_ranges, range;
	uint64_t done;	 /* bytes of the range */
	bool by_writing; /* the file system cannot do it otherwise */
	bool last_flush; /* it is on its way to the storage */
	struct virtq_chain chain;
};

struct blk_queue {
	uint32_t in_flight; /* being done */
	struct coalesce interrupts;
};

/* All that is state while no request is taken. */
struct blk_state {
	uint64_t sectors;
	uint64_t operations_owed_ps, bytes_owed_ps; /* until each bucket is full */
	uint64_t flush_failed;
};

struct virtio_blk {
	struct virtio_device dev;
	struct virtio_blk_options options;
	struct file_io *io;
	struct loop *loop;
	struct throttle throttle;
	uint64_t origin_ns;
	int throttle_fd, hold_fd; /* timers */
	uint64_t hold_ns;	  /* when the second goes off, at the latest; 0: it is not set */
	bool flush_failed;
	bool resetting, starved;
	uint64_t moving;     /* bytes of reads and writes that are being done */
	pthread_cond_t idle; /* nothing is being done, or nothing of a queue */
	pthread_t thread;
	bool started;
	struct blk_queue queues[VIRTIO_BLK_MAX_QUEUES];
	struct request *requests, *free;
	uint32_t nr_taken;
	struct request *waiting, **waiting_end; /* for the throttle, in their order */
};

static const uint16_t queue_sizes[VIRTIO_BLK_MAX_QUEUES] = {
	VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE,
	VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE,
	VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE,
	VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE, VIRTQ_MAX_SIZE,
};

static const uint8_t zeros[ZEROS_BYTES];

static struct virtio_blk *to_blk(struct virtio_device *dev)
{
	return (struct virtio_blk *)((char *)dev - offsetof(struct virtio_blk, dev));
}

static struct request *to_request(struct file_io_op *op)
{
	return (struct request *)((char *)op - offsetof(struct request, op));
}

static uint64_t now_ns(const struct virtio_blk *b)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec - b->origin_ns;
}

static void set_timer(int fd, uint64_t ns)
{
	struct itimerspec spec = {
		.it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)}};

	/* Fails only for values that can't be here. */
	(void)timerfd_settime(fd, 0, &spec, NULL);
}

/* ---- A request's parts ---- */

/* Takes @length bytes off the front of the readable part, to @buf. False: there are not as many. */
static bool take_readable(struct request *r, void *buf, uint32_t length)
{
	struct virtq_chain *c = &r->chain;
	struct iovec *iov = c->iov;
	uint32_t taken = 0, whole = 0;

	if (c->readable < length)
		return false;
	while (taken < length) {
		uint32_t n = length - taken;

		if (iov[whole].iov_len < n)
			n = (uint32_t)iov[whole].iov_len;
		memcpy((uint8_t *)buf + taken, iov[whole].iov_base, n);
		iov[whole].iov_base = (uint8_t *)iov[whole].iov_base + n;
		iov[whole].iov_len -= n;
		taken += n;
		whole += !iov[whole].iov_len;
	}
	c->readable -= length;
	c->nr_readable -= whole;
	memmove(iov, iov + whole, (c->nr_readable + c->nr_writable) * sizeof(*iov));
	return true;
}

/* The last writable byte (§5.2.6). */
static bool take_status(struct request *r)
{
	struct virtq_chain *c = &r->chain;
	struct iovec *last;

	if (!c->nr_writable)
		return false;
	last = &c->iov[c->nr_readable + c->nr_writable - 1];
	last->iov_len--;
	r->status = (uint8_t *)last->iov_base + last->iov_len;
	if (!last->iov_len)
		c->nr_writable--;
	c->writable--;
	return true;
}

static bool in_disk(const struct virtio_blk *b, uint64_t sector, uint64_t sectors)
{
	return sector <= b->options.sectors && sectors <= b->options.sectors - sector;
}

/* ---- Checks: each sets up what is to be done and returns VIRTIO_BLK_S_OK, or how it ends ---- */

static uint8_t check_transfer(const struct virtio_blk *b, struct request *r, uint64_t sector)
{
	bool reads = r->type == VIRTIO_BLK_T_IN;
	uint32_t bytes = reads ? r->chain.writable : r->chain.readable;

	if (!reads && b->options.read_only)
		return VIRTIO_BLK_S_IOERR;
	if ((reads ? r->chain.readable : r->chain.writable) || !bytes ||
	    bytes % VIRTIO_BLK_SECTOR || !in_disk(b, sector, bytes / VIRTIO_BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	r->op = (struct file_io_op){
		.kind = FILE_IO_READ,
		.iov = r->chain.iov,
		.nr = reads ? r->chain.nr_writable : r->chain.nr_readable,
		.offset = sector * VIRTIO_BLK_SECTOR,
		.length = bytes,
	};
	/* §5.2.6.2: without the means to flush, a write that is complete is stable. */
	if (!reads)
		r->op.kind = b->dev.negotiated & BIT64(VIRTIO_BLK_F_FLUSH) ? FILE_IO_WRITE
									   : FILE_IO_WRITE_SYNC;
	r->bytes = bytes;
	if (reads)
		r->used_length += bytes;
	return VIRTIO_BLK_S_OK;
}

static uint8_t check_flush(const struct virtio_blk *b, struct request *r)
{
	if (r->chain.readable || r->chain.writable || b->flush_failed)
		return VIRTIO_BLK_S_IOERR;
	r->op = (struct file_io_op){.kind = FILE_IO_FLUSH};
	return VIRTIO_BLK_S_OK;
}

static uint8_t check_range(const struct virtio_blk *b, const struct request *r, uint32_t i)
{
	const struct virtio_blk_discard_write_zeroes *range = &r->ranges[i];
	uint32_t known =
		r->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (range->flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (!range->num_sectors || range->num_sectors > MAX_RANGE_SECTORS ||
	    !in_disk(b, range->sector, range->num_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t check_ranges(const struct virtio_blk *b, struct request *r)
{
	uint32_t bytes = r->chain.readable;
	uint64_t feature = r->type == VIRTIO_BLK_T_DISCARD ? BIT64(VIRTIO_BLK_F_DISCARD)
							   : BIT64(VIRTIO_BLK_F_WRITE_ZEROES);

	if (b->options.read_only)
		return VIRTIO_BLK_S_IOERR;
	if (!(b->dev.negotiated & feature))
		return VIRTIO_BLK_S_UNSUPP;
	if (r->chain.writable || !bytes || bytes % sizeof(r->ranges[0]) ||
	    bytes > sizeof(r->ranges))
		return VIRTIO_BLK_S_IOERR;
	r->nr_ranges = bytes / (uint32_t)sizeof(r->ranges[0]);
	take_readable(r, r->ranges, bytes);
	for (uint32_t i = 0; i < r->nr_ranges; i++) {
		uint8_t status = check_range(b, r, i);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	return VIRTIO_BLK_S_OK;
}

/* §5.2.6: 20 bytes; what else the driver has room for is set to 0. */
static uint8_t give_id(const struct virtio_blk *b, struct request *r)
{
	const struct iovec *iov = r->chain.iov;
	uint32_t at = 0;

	if (r->chain.readable || r->chain.writable < VIRTIO_BLK_ID_BYTES)
		return VIRTIO_BLK_S_IOERR;
	for (uint32_t i = 0; i < r->chain.nr_writable; i++) {
		uint32_t left = VIRTIO_BLK_ID_BYTES - at, n = (uint32_t)iov[i].iov_len;

		memset(iov[i].iov_base, 0, n);
		if (n > left)
			n = left;
		memcpy(iov[i].iov_base, b->options.serial + at, n);
		at += n;
	}
	r->used_length += r->chain.writable;
	return VIRTIO_BLK_S_OK;
}

/* ---- Doing ---- */

static void return_request(struct virtio_blk *b, struct request *r)
{
	r->next = b->free;
	b->free = r;
	b->nr_taken--;
}

/* Tells the driver how @r ended, unless it has let go of it, and takes it back. */
static int finish(struct virtio_blk *b, struct request *r, uint8_t status,
		  struct ktstr_error *error)
{
	struct virtq *q = &b->dev.queues[r->queue];
	bool wanted = !b->resetting && q->epoch == r->epoch;
	uint32_t length = r->used_length;
	int ret = 0;

	/* §2.7.8.2: bytes from the first on. The status is behind data that was not all written. */
	if (status != VIRTIO_BLK_S_OK && r->chain.writable)
		length = 0;
	if (wanted) {
		uint64_t now = now_ns(b);

		__atomic_store_n(r->status, status, __ATOMIC_RELAXED);
		ret = virtq__push(q, r->chain.head, length, error);
		virtq__publish(q);
		coalesce__ended(&b->queues[r->queue].interrupts,
				r->start_ns ? now - r->start_ns : 0, now);
	}
	return_request(b, r);
	return ret;
}

static void submit(struct virtio_blk *b, struct request *r)
{
	bool moves = r->op.kind <= FILE_IO_WRITE_SYNC;

	r->moving = moves ? r->op.length : 0;
	b->moving += r->moving;
	b->queues[r->queue].in_flight++;
	file_io__submit(b->io, &r->op);
}

/* The next piece of a range, by writing. */
static void write_zeros(struct request *r, uint64_t offset, uint64_t bytes)
{
	uint32_t nr = 0;

	r->op = (struct file_io_op){.kind = FILE_IO_WRITE, .iov = r->chain.iov, .offset = offset};
	while (bytes && nr < VIRTQ_MAX_SIZE) {
		uint64_t n = bytes < ZEROS_BYTES ? bytes : ZEROS_BYTES;

		r->chain.iov[nr++] =
			(struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = n};
		r->op.length += n;
		bytes -= n;
	}
	r->op.nr = nr;
	r->done += r->op.length;
}

/* What comes next of a discard or write-zeroes request. False: nothing. */
static bool submit_range(struct virtio_blk *b, struct request *r)
{
	const struct virtio_blk_discard_write_zeroes *range = &r->ranges[r->range];
	uint64_t bytes, offset;

	if (r->range == r->nr_ranges) {
		if (r->last_flush || (b->dev.negotiated & BIT64(VIRTIO_BLK_F_FLUSH)))
			return false;
		r->last_flush = true;
		r->op = (struct file_io_op){.kind = FILE_IO_FLUSH};
		submit(b, r);
		return true;
	}
	bytes = (uint64_t)range->num_sectors * VIRTIO_BLK_SECTOR - r->done;
	offset = range->sector * VIRTIO_BLK_SECTOR + r->done;
	if (r->by_writing) {
		write_zeros(r, offset, bytes);
	} else {
		bool keep = r->type == VIRTIO_BLK_T_WRITE_ZEROES &&
			    !(range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);

		r->op = (struct file_io_op){.kind = keep ? FILE_IO_ZERO : FILE_IO_PUNCH,
					    .offset = offset,
					    .length = bytes};
		r->done += bytes;
	}
	submit(b, r);
	return true;
}

static void start(struct virtio_blk *b, struct request *r)
{
	/* Of a flush nobody waits for the usual time. */
	r->start_ns = r->type == VIRTIO_BLK_T_FLUSH ? 0 : now_ns(b);
	if (r->nr_ranges)
		submit_range(b, r);
	else
		submit(b, r);
}

/* A step of a discard or write-zeroes request ended. True: more of it is on its way. */
static bool next_range(struct virtio_blk *b, struct request *r)
{
	int result = r->op.result;
	bool unable = result == -EOPNOTSUPP || result == -EINVAL || result == -ENOSYS;

	if (unable && !r->by_writing && !r->last_flush) {
		/* §5.2.6.2: a discard is a wish. */
		result = 0;
		if (r->type == VIRTIO_BLK_T_WRITE_ZEROES) {
			r->by_writing = true;
			r->done = 0;
			return submit_range(b, r);
		}
	}
	r->op.result = result;
	if (result)
		return false;
	if (r->range < r->nr_ranges &&
	    r->done == (uint64_t)r->ranges[r->range].num_sectors * VIRTIO_BLK_SECTOR) {
		r->range++;
		r->done = 0;
	}
	return submit_range(b, r);
}

static int ended(struct virtio_blk *b, struct request *r, struct ktstr_error *error)
{
	b->moving -= r->moving;
	if (!--b->queues[r->queue].in_flight)
		pthread_cond_broadcast(&b->idle);
	if (r->nr_ranges && !b->resetting && next_range(b, r))
		return 0;
	if (r->op.kind == FILE_IO_FLUSH && r->op.result)
		b->flush_failed = true;
	return finish(b, r, r->op.result ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK, error);
}

/* ---- The throttle ---- */

static void wait_for_tokens(struct virtio_blk *b, struct request *r)
{
	r->next = NULL;
	*b->waiting_end = r;
	b->waiting_end = &r->next;
}

static struct request *take_waiting(struct virtio_blk *b)
{
	struct request *r = b->waiting;

	b->waiting = r->next;
	if (!b->waiting)
		b->waiting_end = &b->waiting;
	return r;
}

static void drop_waiting(struct virtio_blk *b)
{
	while (b->waiting)
		return_request(b, take_waiting(b));
}

/* Starts what may start, or all, and sets the timer for the rest. */
static void admit(struct virtio_blk *b, bool all)
{
	uint64_t now, wait = 0;

	if (!b->waiting)
		return;
	now = now_ns(b);
	while (b->waiting) {
		struct request *r;

		wait = throttle__wait_ns(&b->throttle, now);
		if (wait && !all)
			break;
		r = take_waiting(b);
		if (b->dev.queues[r->queue].epoch != r->epoch) {
			return_request(b, r);
			continue;
		}
		throttle__take(&b->throttle, r->bytes, now, false);
		start(b, r);
	}
	if (b->waiting)
		set_timer(b->throttle_fd, wait);
}

static void start_throttled(struct virtio_blk *b, struct request *r)
{
	uint64_t now;

	if (!throttle__limits(&b->throttle)) {
		start(b, r);
		return;
	}
	now = now_ns(b);
	if (b->waiting) {
		wait_for_tokens(b, r);
	} else if (throttle__wait_ns(&b->throttle, now)) {
		wait_for_tokens(b, r);
		admit(b, false);
	} else {
		throttle__take(&b->throttle, r->bytes, now, true);
		start(b, r);
	}
}

/* ---- Interrupts ---- */

/* One that is set goes off for all; only what is to be sooner sets it anew. */
static void set_hold_timer(struct virtio_blk *b)
{
	uint64_t first = UINT64_MAX, now;

	for (uint32_t i = 0; i < b->dev.nr_queues; i++) {
		const struct blk_queue *q = &b->queues[i];
		uint64_t deadline = coalesce__deadline_ns(&q->interrupts, q->in_flight);

		if (q->interrupts.held && deadline < first)
			first = deadline;
	}
	if (first == UINT64_MAX || (b->hold_ns && b->hold_ns <= first))
		return;
	b->hold_ns = first;
	now = now_ns(b);
	set_timer(b->hold_fd, first > now ? first - now : 1);
}

static void signal_ended(struct virtio_blk *b)
{
	for (uint32_t i = 0; i < b->dev.nr_queues; i++)
		if (coalesce__due(&b->queues[i].interrupts, b->queues[i].in_flight))
			virtio_mmio__signal(b->dev.transport, i);
	set_hold_timer(b);
}

/* ---- Queues ---- */

static int malformed(struct virtio_blk *b, struct request *r, const char *what, uint32_t bytes,
		     struct ktstr_error *error)
{
	return_request(b, r);
	return ktstr_error__set(error, EINVAL, "virtio-blk", NULL, "%s (%u bytes)", what, bytes);
}

static int handle(struct virtio_blk *b, struct request *r, struct ktstr_error *error)
{
	struct virtio_blk_outhdr header;
	uint32_t readable = r->chain.readable;
	uint8_t status;

	/* Where these are missing there is no way to say so in the request. */
	if (!take_readable(r, &header, sizeof(header)))
		return malformed(b, r, "request without a whole header", readable, error);
	if (!take_status(r))
		return malformed(b, r, "request without a byte for its status", 0, error);
	r->type = header.type;
	r->used_length = 1;
	r->start_ns = 0;
	r->bytes = 0;
	r->nr_ranges = r->range = 0;
	r->done = 0;
	r->by_writing = r->last_flush = false;
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		status = check_transfer(b, r, header.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		status = check_flush(b, r);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		status = check_ranges(b, r);
		break;
	case VIRTIO_BLK_T_GET_ID:
		return finish(b, r, give_id(b, r), error);
	default:
		status = VIRTIO_BLK_S_UNSUPP;
	}
	if (status != VIRTIO_BLK_S_OK)
		return finish(b, r, status, error);
	/* A flush costs nothing: what it waits for was paid for. */
	if (r->type == VIRTIO_BLK_T_FLUSH)
		start(b, r);
	else
		start_throttled(b, r);
	return 0;
}

static bool can_take(const struct virtio_blk *b)
{
	return b->free && b->moving < MOVING_BYTES;
}

/* At most a queue full, so that a guest that never stops leaves the other queues their turn. */
static int take_requests(struct virtio_blk *b, uint32_t queue, struct ktstr_error *error)
{
	struct virtq *q = &b->dev.queues[queue];
	uint32_t budget = q->max_size;

	virtq__disable_notify(q);
	while (can_take(b)) {
		struct request *r = b->free;
		int ret;

		if (!budget--) {
			virtio_mmio__kick(b->dev.transport, queue);
			return 0;
		}
		ret = virtq__pop(q, &r->chain, error);
		if (ret < 0)
			return ret;
		if (!ret) {
			if (virtq__enable_notify(q))
				continue;
			return 0;
		}
		b->free = r->next;
		b->nr_taken++;
		r->queue = queue;
		r->epoch = q->epoch;
		ret = handle(b, r, error);
		if (ret < 0)
			return ret;
	}
	/* Much is being done, or all of a queue that was set up anew since. */
	b->starved = true;
	return 0;
}

/* Takes in what has ended, and starts what waited for that. */
static int settle(struct virtio_blk *b, struct ktstr_error *error)
{
	struct file_io_op *op;
	int ret = 0;

	file_io__commit(b->io);
	while ((op = file_io__reap(b->io))) {
		int err = ended(b, to_request(op), error);

		if (!ret)
			ret = err;
	}
	if (can_take(b) && b->starved) {
		b->starved = false;
		for (uint32_t i = 0; i < b->dev.nr_queues; i++)
			virtio_mmio__kick(b->dev.transport, i);
	}
	signal_ended(b);
	if (!file_io__in_flight(b->io))
		pthread_cond_broadcast(&b->idle);
	return ret;
}

/* For work that did not start with a notification, and so fails on its own. Lock held. */
static void settle_or_fail(struct virtio_blk *b)
{
	struct ktstr_error error = {0};

	if (settle(b, &error) < 0)
		virtio_mmio__fail(b->dev.transport, &error);
}

static void on_ended(void *opaque, uint32_t events)
{
	struct virtio_blk *b = opaque;

	(void)events;
	virtio_mmio__lock(b->dev.transport);
	settle_or_fail(b);
	virtio_mmio__unlock(b->dev.transport);
}

static void on_throttle_timer(void *opaque, uint32_t events)
{
	struct virtio_blk *b = opaque;
	uint64_t count;

	(void)events;
	if (read(b->throttle_fd, &count, sizeof(count)) < 0)
		return; /* set anew in the meantime */
	virtio_mmio__lock(b->dev.transport);
	admit(b, false);
	settle_or_fail(b);
	virtio_mmio__unlock(b->dev.transport);
}

static void on_hold_timer(void *opaque, uint32_t events)
{
	struct virtio_blk *b = opaque;
	uint64_t count;

	(void)events;
	if (read(b->hold_fd, &count, sizeof(count)) < 0)
		return;
	virtio_mmio__lock(b->dev.transport);
	b->hold_ns = 0;
	for (uint32_t i = 0; i < b->dev.nr_queues; i++)
		if (coalesce__expired(&b->queues[i].interrupts, b->queues[i].in_flight, now_ns(b)))
			virtio_mmio__signal(b->dev.transport, i);
	set_hold_timer(b);
	virtio_mmio__unlock(b->dev.transport);
}

/* ---- Device operations ---- */

static int blk_notify(struct virtio_device *dev, uint32_t queue, struct ktstr_error *error)
{
	struct virtio_blk *b = to_blk(dev);
	const struct virtq_state *s = &dev->queues[queue].s;
	uint16_t before = s->next_avail;
	int ret, err;

	if (b->resetting)
		return 0;
	ret = take_requests(b, queue, error);
	coalesce__arrived(&b->queues[queue].interrupts, (uint16_t)(s->next_avail - before),
			  now_ns(b));
	err = settle(b, error);
	return ret < 0 ? ret : err;
}

/* Lets something end. The lock, which is held once, is not held meanwhile. */
static void wait_for_end(struct virtio_blk *b)
{
	if (b->started)
		virtio_mmio__wait(b->dev.transport, &b->idle);
	else
		loop__dispatch(b->loop, -1);
}

static void wait_idle(struct virtio_blk *b)
{
	while (file_io__in_flight(b->io))
		wait_for_end(b);
}

/* In a vCPU's thread, too. */
static void blk_stop_queue(struct virtio_device *dev, uint32_t queue)
{
	struct virtio_blk *b = to_blk(dev);
	struct request **link = &b->waiting;

	while (*link) {
		struct request *r = *link;

		if (r->queue != queue) {
			link = &r->next;
			continue;
		}
		*link = r->next;
		return_request(b, r);
	}
	b->waiting_end = link;
	/* Now: another vCPU may give it anew before the wait is over. */
	coalesce__told(&b->queues[queue].interrupts);
	while (b->queues[queue].in_flight)
		wait_for_end(b);
}

/* In a vCPU's thread: the guest may use its memory again when this returns. */
static void blk_reset(struct virtio_device *dev)
{
	struct virtio_blk *b = to_blk(dev);

	b->resetting = true;
	drop_waiting(b);
	wait_idle(b);
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		coalesce__told(&b->queues[i].interrupts);
	b->starved = false;
	b->resetting = false;
}

static void blk_read_config(struct virtio_device *dev, uint32_t offset, uint8_t *data,
			    uint32_t length)
{
	const struct virtio_blk *b = to_blk(dev);
	struct virtio_blk_config config = {
		.capacity = b->options.sectors,
		.size_max = SIZE_MAX_BYTES,
		.seg_max = SEG_MAX,
		.blk_size = VIRTIO_BLK_SECTOR,
		.num_queues = (uint16_t)b->options.queues,
	};

	if (!b->options.read_only) {
		config.max_discard_sectors = MAX_RANGE_SECTORS;
		config.max_discard_seg = MAX_RANGES;
		config.discard_sector_alignment = DISCARD_ALIGN_SECTORS;
		config.max_write_zeroes_sectors = MAX_RANGE_SECTORS;
		config.max_write_zeroes_seg = MAX_RANGES;
		config.write_zeroes_may_unmap = 1;
	}
	virtio_device__copy_config(&config, sizeof(config), offset, data, length);
}

static uint64_t owed_ps(const struct throttle_bucket *b, uint64_t now_ps)
{
	return b->full_ps > now_ps ? b->full_ps - now_ps : 0;
}

/* What waits for the throttle is done at once: its buckets owe that, here and in a copy. */
static void blk_drain(struct virtio_device *dev)
{
	struct virtio_blk *b = to_blk(dev);

	do {
		admit(b, true);
		file_io__commit(b->io);
		wait_idle(b);
		virtio_mmio__run_queues(dev->transport);
	} while (b->nr_taken);
	for (uint32_t i = 0; i < dev->nr_queues; i++)
		if (b->queues[i].interrupts.held) {
			coalesce__told(&b->queues[i].interrupts);
			virtio_mmio__signal(dev->transport, i);
		}
}

static int blk_save(struct virtio_device *dev, void *state, struct ktstr_error *error)
{
	struct virtio_blk *b = to_blk(dev);
	uint64_t now_ps = now_ns(b) * 1000;
	struct blk_state s = {
		.sectors = b->options.sectors,
		.operations_owed_ps = owed_ps(&b->throttle.operations, now_ps),
		.bytes_owed_ps = owed_ps(&b->throttle.bytes, now_ps),
		.flush_failed = b->flush_failed,
	};

	(void)error;
	memcpy(state, &s, sizeof(s));
	return 0;
}

static int blk_load(struct virtio_device *dev, const void *state)
{
	struct virtio_blk *b = to_blk(dev);
	uint64_t now_ps = now_ns(b) * 1000;
	struct blk_state s;

	memcpy(&s, state, sizeof(s));
	if (s.sectors != b->options.sectors || s.flush_failed > 1 ||
	    __builtin_add_overflow(now_ps, s.operations_owed_ps, &b->throttle.operations.full_ps) ||
	    __builtin_add_overflow(now_ps, s.bytes_owed_ps, &b->throttle.bytes.full_ps))
		return -EINVAL;
	b->flush_failed = s.flush_failed;
	return 0;
}

static const struct virtio_device_ops blk_ops = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.read_config = blk_read_config,
	.notify = blk_notify,
	.stop_queue = blk_stop_queue,
	.reset = blk_reset,
	.state_size = sizeof(struct blk_state),
	.drain = blk_drain,
	.save = blk_save,
	.load = blk_load,
};

/* ---- Life ---- */

static uint64_t features(const struct virtio_blk_options *options)
{
	uint64_t f = BIT64(VIRTIO_BLK_F_BLK_SIZE) | BIT64(VIRTIO_BLK_F_SEG_MAX) |
		     BIT64(VIRTIO_BLK_F_SIZE_MAX) | BIT64(VIRTIO_BLK_F_FLUSH) |
		     BIT64(VIRTIO_BLK_F_MQ);

	return f | (options->read_only
			    ? BIT64(VIRTIO_BLK_F_RO)
			    : BIT64(VIRTIO_BLK_F_DISCARD) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES));
}

static int create_requests(struct virtio_blk *b)
{
	uint32_t nr = b->options.queues * VIRTQ_MAX_SIZE;

	b->waiting_end = &b->waiting;
	b->requests = calloc(nr, sizeof(*b->requests));
	if (!b->requests)
		return -ENOMEM;
	for (uint32_t i = nr; i--;) {
		b->requests[i].next = b->free;
		b->free = &b->requests[i];
	}
	return 0;
}

static int create_sources(struct virtio_blk *b)
{
	int err = loop__create(&b->loop);

	if (err)
		return err;
	b->throttle_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	b->hold_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->throttle_fd < 0 || b->hold_fd < 0)
		return -errno;
	err = loop__add(b->loop, file_io__fd(b->io), EPOLLIN, on_ended, b, NULL);
	if (!err)
		err = loop__add(b->loop, b->throttle_fd, EPOLLIN, on_throttle_timer, b, NULL);
	if (!err)
		err = loop__add(b->loop, b->hold_fd, EPOLLIN, on_hold_timer, b, NULL);
	return err;
}

int virtio_blk__create(const struct virtio_blk_options *options, struct virtio_blk **blk,
		       struct ktstr_error *error)
{
	struct virtio_blk *b = calloc(1, sizeof(*b));
	int err;

	*blk = NULL;
	if (!b) {
		close(options->fd);
		return ktstr_error__set(error, ENOMEM, "virtio-blk", NULL, NULL);
	}
	b->options = *options;
	b->throttle_fd = b->hold_fd = -1;
	pthread_cond_init(&b->idle, NULL);
	throttle__init(&b->throttle, &options->operations, &options->bytes);
	b->origin_ns = now_ns(b);
	b->dev = (struct virtio_device){
		.ops = &blk_ops,
		.features = features(options),
		.nr_queues = options->queues,
		.queue_sizes = queue_sizes,
	};
	if (!options->sectors || !options->queues || options->queues > VIRTIO_BLK_MAX_QUEUES)
		err = ktstr_error__set(error, EINVAL, "virtio-blk", NULL, "%llu sectors, %u queues",
				       (unsigned long long)options->sectors, options->queues);
	else
		err = file_io__create(options->fd, options->engine, &b->io, error);
	if (!err) {
		err = create_requests(b);
		if (!err)
			err = create_sources(b);
		if (err)
			ktstr_error__set(error, -err, "create", "virtio-blk", NULL);
	}
	if (err) {
		virtio_blk__destroy(b);
		return err;
	}
	*blk = b;
	return 0;
}

void virtio_blk__destroy(struct virtio_blk *b)
{
	if (!b)
		return;
	virtio_blk__stop(b);
	file_io__destroy(b->io);
	loop__destroy(b->loop);
	if (b->throttle_fd >= 0)
		close(b->throttle_fd);
	if (b->hold_fd >= 0)
		close(b->hold_fd);
	if (b->options.fd >= 0)
		close(b->options.fd);
	pthread_cond_destroy(&b->idle);
	free(b->requests);
	free(b);
}

struct virtio_device *virtio_blk__device(struct virtio_blk *b)
{
	return &b->dev;
}

struct loop *virtio_blk__loop(struct virtio_blk *b)
{
	return b->loop;
}

static void *blk_thread(void *opaque)
{
	struct virtio_blk *b = opaque;

	/* An epoll that fails is one that is not there any more. */
	(void)loop__run(b->loop);
	/* Here, for whoever stops it may not be allowed to do it. */
	virtio_mmio__lock(b->dev.transport);
	b->resetting = true; /* nothing more is begun */
	drop_waiting(b);
	virtio_mmio__unlock(b->dev.transport);
	while (file_io__in_flight(b->io) && loop__dispatch(b->loop, -1) >= 0)
		;
	return NULL;
}

int virtio_blk__start(struct virtio_blk *b, struct sandbox *sandbox, struct ktstr_error *error)
{
	int err = sandbox__thread(sandbox,
				  &(struct sandbox_thread){
					  .kind = SANDBOX_DISK,
					  .name = "disk",
					  .run = blk_thread,
					  .opaque = b,
				  },
				  &b->thread, error);

	if (err)
		return err;
	b->started = true;
	return 0;
}

void virtio_blk__stop(struct virtio_blk *b)
{
	if (b->started) {
		loop__stop(b->loop);
		pthread_join(b->thread, NULL);
		b->started = false;
	}
	if (b->requests && b->dev.transport)
		blk_reset(&b->dev);
}
