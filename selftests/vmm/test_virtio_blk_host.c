// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-blk on storage that is slow, full, broken or shorter than it was. The system calls that
 * threads do their work by are this file's own: a test says what becomes of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "blk_driver.h"

#define SECTORS 2048u
#define S VIRTIO_BLK_SECTOR

/* What becomes of the next calls. */
static struct storage {
	_Atomic int read_error, write_error, flush_error, allocate_error; /* 0: none */
	_Atomic size_t most;	     /* bytes that a call moves; 0: all */
	_Atomic uint32_t interrupts; /* calls that end by EINTR first */
	_Atomic bool closed;	     /* calls wait at the gate */
	_Atomic uint32_t at_gate, passed;
	_Atomic uint32_t slow_us; /* that a read takes */
	_Atomic uint32_t begun;	  /* of these */
	_Atomic uint32_t flushes, dsync_writes;
	sem_t gate;
} storage;

static ssize_t give(int error)
{
	errno = error;
	return -1;
}

/* The first part of @iov that a call may move. */
static int shorten(const struct iovec *iov, int nr, struct iovec *first)
{
	*first = iov[0];
	if (!storage.most)
		return nr;
	if (first->iov_len > storage.most)
		first->iov_len = storage.most;
	return 1;
}

static void pass_gate(void)
{
	if (!storage.closed)
		return;
	storage.at_gate++;
	while (sem_wait(&storage.gate))
		;
	storage.passed++;
}

ssize_t preadv2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	struct iovec first[VIRTQ_MAX_SIZE];

	if (flags & RWF_NOWAIT)
		return give(EAGAIN);
	pass_gate();
	if (storage.slow_us) {
		storage.begun++;
		usleep(storage.slow_us);
	}
	if (storage.read_error)
		return give(storage.read_error);
	if (storage.interrupts) {
		storage.interrupts--;
		return give(EINTR);
	}
	memcpy(first, iov, (size_t)nr * sizeof(*iov));
	return syscall(SYS_preadv, fd, first, shorten(iov, nr, first), offset, 0);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int nr, off_t offset, int flags)
{
	struct iovec first[VIRTQ_MAX_SIZE];

	if (flags & RWF_NOWAIT)
		return give(EAGAIN);
	pass_gate();
	storage.dsync_writes += !!(flags & RWF_DSYNC);
	if (storage.write_error)
		return give(storage.write_error);
	memcpy(first, iov, (size_t)nr * sizeof(*iov));
	return syscall(SYS_pwritev, fd, first, shorten(iov, nr, first), offset, 0);
}

int fdatasync(int fd)
{
	pass_gate();
	storage.flushes++;
	return storage.flush_error ? (int)give(storage.flush_error)
				   : (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	pass_gate();
	return storage.allocate_error ? (int)give(storage.allocate_error)
				      : (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static void open_gate(void)
{
	storage.closed = false;
	for (uint32_t i = 0; i < 64; i++)
		sem_post(&storage.gate);
}

/* For tests of what several requests at the same time do: so many have reached the storage. */
static void wait_at_gate(uint32_t nr)
{
	while (storage.at_gate < nr)
		sched_yield();
}

FIXTURE(host)
{
	struct blk_rig g;
	int image;
};

FIXTURE_SETUP(host)
{
	struct virtio_blk_options options = {
		.sectors = SECTORS, .queues = 2, .engine = FILE_IO_THREADS};

	sem_init(&storage.gate, 0, 0);
	self->image = blk_image(SECTORS);
	options.fd = dup(self->image);
	ASSERT_EQ(0, blk_create(&self->g, &options));
	blk_probe(&self->g, BLK_FEATURES_RW);
}

FIXTURE_TEARDOWN(host)
{
	blk_destroy(&self->g);
	close(self->image);
}

TEST_F(host, failed_read_is_an_error_of_that_request_alone)
{
	struct blk_rig *g = &self->g;
	uint32_t length = 7;

	storage.read_error = EIO;
	ASSERT_LE(0, blk_read(g, 0, 0, 0, S));
	ASSERT_LE(0, blk_wait(g, 0, &length));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, *blk_status(g, 0));
	EXPECT_EQ(0, length); /* nothing of the data was written */
	storage.read_error = 0;
	ASSERT_LE(0, blk_read(g, 0, 0, 0, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(0, g->broken);
}

TEST_F(host, full_file_system_is_an_error_and_no_end)
{
	struct blk_rig *g = &self->g;

	storage.write_error = ENOSPC;
	ASSERT_LE(0, blk_write(g, 0, 0, 0, S));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	storage.write_error = 0;
	ASSERT_LE(0, blk_write(g, 0, 0, 0, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	storage.allocate_error = ENOSPC;
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	EXPECT_EQ(0, g->broken);
}

/* What was acknowledged before it may be lost, and nobody can say that it is not. */
TEST_F(host, after_a_failed_flush_all_flushes_fail)
{
	struct blk_rig *g = &self->g;
	size_t size = virtio_mmio__state_size(g->t);
	void *state = malloc(size);

	ASSERT_LE(0, blk_flush(g, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	storage.flush_error = EIO;
	ASSERT_LE(0, blk_flush(g, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	storage.flush_error = 0;
	ASSERT_LE(0, blk_flush(g, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	blk_probe(g, BLK_FEATURES_RW);
	ASSERT_LE(0, blk_flush(g, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	/* And so it is in a copy of the machine. */
	ASSERT_EQ(0, virtio_mmio__save(g->t, state, size, NULL));
	ASSERT_EQ(0, virtio_mmio__load(g->t, state, size, NULL));
	ASSERT_LE(0, blk_flush(g, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	free(state);
}

TEST_F(host, pieces_and_interruptions_make_a_whole)
{
	struct blk_rig *g = &self->g;
	const struct vd_buffer read[] = {{blk_header_gpa(0), 16, false},
					 {blk_data_gpa(0), 1000, true},
					 {blk_data_gpa(0) + 1000, 8 * S - 1000, true},
					 {blk_status_gpa(0), 1, true}};
	uint64_t number;

	storage.most = 300;
	storage.interrupts = 3;
	blk_set_header(g, 0, VIRTIO_BLK_T_IN, 10);
	ASSERT_LE(0, vd_add(&g->q[0], read, 4));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	for (uint32_t i = 0; i < 8; i++) {
		memcpy(&number, blk_data(g, 0) + i * S, sizeof(number));
		EXPECT_EQ(11 + i, number);
	}
	ASSERT_LE(0, blk_write(g, 0, 0, 100, 8 * S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_EQ((ssize_t)sizeof(number), pread(self->image, &number, sizeof(number), 107 * S));
	EXPECT_EQ(18, number);
}

TEST_F(host, file_that_has_become_shorter_is_an_error_where_it_ends)
{
	struct blk_rig *g = &self->g;

	ASSERT_EQ(0, ftruncate(self->image, 100 * S + 7));
	ASSERT_LE(0, blk_read(g, 0, 0, 99, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_LE(0, blk_read(g, 0, 0, 100, S));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	ASSERT_LE(0, blk_read(g, 0, 0, 1000, S));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
}

/* §5.2.6.2: "stable" without flushes. */
TEST_F(host, without_flush_every_write_goes_to_the_storage)
{
	struct blk_rig *g = &self->g;

	ASSERT_LE(0, blk_write(g, 0, 0, 0, S));
	ASSERT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(0, atomic_load(&storage.dsync_writes));
	blk_probe(g, BLK_FEATURES_RW & ~BLK_BIT(VIRTIO_BLK_F_FLUSH));
	ASSERT_LE(0, blk_write(g, 0, 0, 0, S));
	ASSERT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(1, atomic_load(&storage.dsync_writes));
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1));
	ASSERT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(1, atomic_load(&storage.flushes));
}

TEST_F(host, file_system_that_cannot_discard_is_no_error)
{
	struct blk_rig *g = &self->g;
	uint8_t buf[8 * S], zero[8 * S] = {0};

	storage.allocate_error = EOPNOTSUPP;
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 8, 8, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 16, 8, 1));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_EQ((ssize_t)sizeof(buf), pread(self->image, buf, sizeof(buf), 16 * S));
	EXPECT_EQ(0, memcmp(buf, zero, sizeof(buf)));
	ASSERT_EQ((ssize_t)sizeof(buf), pread(self->image, buf, sizeof(buf), 24 * S));
	EXPECT_EQ(25, buf[0]);
}

/* ---- Several at a time ---- */

TEST_F(host, requests_overtake_one_that_is_slow)
{
	struct blk_rig *g = &self->g;

	storage.closed = true;
	ASSERT_LE(0, blk_read(g, 0, 0, 0, S));
	blk_kick(g, 0);
	blk_run(g);
	wait_at_gate(1);
	storage.closed = false;
	ASSERT_LE(0, blk_read(g, 0, 1, 1, S));
	ASSERT_LE(0, blk_wait(g, 0, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 1));
	EXPECT_EQ(BLK_PENDING, *blk_status(g, 0));
	open_gate();
	ASSERT_LE(0, blk_wait(g, 0, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 0));
}

/* As many as threads, one more waits for one of them; none is lost. */
TEST_F(host, sixteen_requests_are_done_at_the_same_time)
{
	struct blk_rig *g = &self->g;

	storage.closed = true;
	for (uint32_t i = 0; i < 20; i++)
		ASSERT_LE(0, blk_read(g, 0, i, i, S));
	blk_kick(g, 0);
	blk_run(g);
	wait_at_gate(16);
	open_gate();
	for (uint32_t i = 0; i < 20; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
	for (uint32_t i = 0; i < 20; i++)
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, i));
}

/* An interrupt for what has ended comes, though the rest of what is in flight does not end. */
TEST_F(host, interrupt_that_was_held_comes_by_its_timer)
{
	struct blk_rig *g = &self->g;
	struct pollfd irq = {.fd = g->irq_fd, .events = POLLIN};

	storage.closed = true;
	for (uint32_t i = 0; i < 10; i++)
		ASSERT_LE(0, blk_read(g, 0, i, i, S));
	blk_kick(g, 0);
	blk_run(g);
	wait_at_gate(10);
	blk_edges(g);
	sem_post(&storage.gate); /* for one */
	while (!poll(&irq, 1, 0))
		loop__dispatch(virtio_blk__loop(g->b), -1);
	EXPECT_EQ(1, blk_edges(g));
	ASSERT_LE(0, vd_get_used(&g->q[0], NULL));
	open_gate();
	for (uint32_t i = 0; i < 9; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
}

static void *reset_thread(void *opaque)
{
	struct blk_rig *g = opaque;

	blk_wr(g, VIRTIO_MMIO_STATUS, 0);
	return (void *)(uintptr_t)storage.passed;
}

/* The guest's memory is its own again when the register write that resets is done. */
TEST_F(host, reset_waits_for_what_is_in_flight)
{
	struct blk_rig *g = &self->g;
	void *passed = NULL;
	pthread_t thread;
	bool waits;

	ASSERT_EQ(0, blk_start(g));
	storage.closed = true;
	ASSERT_LE(0, blk_read(g, 0, 0, 0, S));
	ASSERT_LE(0, blk_read(g, 1, 1, 1, S));
	blk_kick(g, 0);
	blk_kick(g, 1);
	wait_at_gate(2);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_thread, g));
	/* Until then registers answer, and take nothing: a write that selects has no effect. */
	do {
		uint32_t low, high;

		blk_wr(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
		low = blk_rd(g, VIRTIO_MMIO_DEVICE_FEATURES);
		blk_wr(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
		high = blk_rd(g, VIRTIO_MMIO_DEVICE_FEATURES);
		waits = low == high;
	} while (!waits);
	EXPECT_NE(0, blk_rd(g, VIRTIO_MMIO_STATUS));
	blk_wr(g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	open_gate();
	ASSERT_EQ(0, pthread_join(thread, &passed));
	EXPECT_EQ(2, (uintptr_t)passed);
	EXPECT_EQ(0, blk_rd(g, VIRTIO_MMIO_STATUS));
	EXPECT_EQ(-EAGAIN, vd_get_used(&g->q[0], NULL));
	blk_probe(g, BLK_FEATURES_RW);
	ASSERT_LE(0, blk_read(g, 0, 2, 2, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 2));
	EXPECT_EQ(0, g->broken);
}

TEST_F(host, stop_waits_for_what_is_in_flight)
{
	struct blk_rig *g = &self->g;

	ASSERT_EQ(0, blk_start(g));
	storage.closed = true;
	ASSERT_LE(0, blk_write(g, 0, 0, 0, S));
	blk_kick(g, 0);
	wait_at_gate(1);
	open_gate();
	virtio_blk__stop(g->b);
	EXPECT_EQ(1, atomic_load(&storage.passed));
}

static void *stop_queue_thread(void *opaque)
{
	struct blk_rig *g = opaque;

	blk_wr(g, VIRTIO_MMIO_QUEUE_READY, 0);
	return (void *)(uintptr_t)storage.passed;
}

/* Queue 0, which is selected, is taken back by another vCPU. It is so at once for all to see. */
static bool begin_stop(struct blk_rig *g, pthread_t *thread)
{
	blk_wr(g, VIRTIO_MMIO_QUEUE_SEL, 0);
	if (pthread_create(thread, NULL, stop_queue_thread, g))
		return false;
	while (blk_rd(g, VIRTIO_MMIO_QUEUE_READY))
		sched_yield();
	return true;
}

/* §4.2.2.2: when it is, the memory of what was under way is the driver's; the other queue goes on.
 */
TEST_F(host, queue_that_is_taken_back_waits_for_its_requests_alone)
{
	struct blk_rig *g = &self->g;
	void *passed = NULL;
	pthread_t thread;

	ASSERT_EQ(0, blk_start(g));
	storage.closed = true;
	ASSERT_LE(0, blk_read(g, 1, 0, 0, S));
	blk_kick(g, 1);
	wait_at_gate(1);
	ASSERT_LE(0, blk_read(g, 0, 1, 1, S));
	blk_kick(g, 0);
	wait_at_gate(2);
	ASSERT_TRUE(begin_stop(g, &thread));
	sem_post(&storage.gate);
	sem_post(&storage.gate);
	ASSERT_EQ(0, pthread_join(thread, &passed));
	EXPECT_LE(1, (uintptr_t)passed);
	EXPECT_EQ(BLK_PENDING, *blk_status(g, 1));
	EXPECT_EQ(2, blk_data(g, 1)[0]);
	storage.closed = false;
	ASSERT_LE(0, blk_wait(g, 1, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 0));
	blk_enable_queue(g, 0, BLK_RINGS_GPA + 0x40000, VIRTQ_MAX_SIZE, true);
	ASSERT_LE(0, blk_read(g, 0, 5, 5, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 5));
	EXPECT_EQ(-EAGAIN, vd_get_used(&g->q[0], NULL)); /* what was under way does not come back */
	EXPECT_EQ(0, g->broken);
}

/* And again and again, with all of its requests under way, and given anew before they have ended.
 */
TEST_F(host, queue_that_is_taken_back_while_all_requests_are_taken_goes_on)
{
	struct blk_rig *g = &self->g;
	pthread_t threads[8];

	ASSERT_EQ(0, blk_start(g));
	storage.closed = true;
	for (uint32_t round = 0; round < 8; round++) {
		for (uint32_t i = 0; i < 85; i++)
			ASSERT_LE(0, blk_read(g, 0, i, i, S));
		blk_kick(g, 0);
		wait_at_gate(16);
		ASSERT_TRUE(begin_stop(g, &threads[round]));
		blk_enable_queue(g, 0, BLK_RINGS_GPA + 0x40000, VIRTQ_MAX_SIZE, true);
	}
	ASSERT_LE(0, blk_read(g, 0, 5, 5, S));
	open_gate();
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 5));
	for (uint32_t round = 0; round < 8; round++)
		pthread_join(threads[round], NULL);
	EXPECT_EQ(0, g->broken);
}

#define RESTLESS_ROUNDS 1500u
#define RESTLESS_SLOTS 64u /* of each queue */
#define GUARD 0xa5

static bool is_untouched(struct blk_rig *g, uint32_t queue)
{
	for (uint32_t i = 0; i < RESTLESS_SLOTS; i++) {
		uint32_t slot = queue * RESTLESS_SLOTS + i;
		const uint8_t *data = blk_data(g, slot);

		if (*blk_status(g, slot) != GUARD || data[0] != GUARD ||
		    memcmp(data, data + 1, S - 1) != 0)
			return false;
	}
	return true;
}

static void guard(struct blk_rig *g, uint32_t queue)
{
	for (uint32_t i = 0; i < RESTLESS_SLOTS; i++) {
		memset(blk_data(g, queue * RESTLESS_SLOTS + i), GUARD, S);
		*blk_status(g, queue * RESTLESS_SLOTS + i) = GUARD;
	}
}

/* Reads into some of the slots of @queue; what has come back is taken. */
static int read_some(struct blk_rig *g, uint32_t queue, uint64_t *random)
{
	while (vd_get_used(&g->q[queue], NULL) >= 0)
		;
	for (uint64_t i = vd_random(random) % 30; i && g->q[queue].nr_free >= 3; i--) {
		uint32_t slot = queue * RESTLESS_SLOTS +
				(uint32_t)(vd_random(random) >> 32) % RESTLESS_SLOTS;

		if (blk_read(g, queue, slot, slot, S) < 0)
			return -1;
	}
	blk_kick(g, queue);
	return 0;
}

static bool blk_queue_is_busy(struct blk_rig *g, uint32_t queue)
{
	struct virtq_driver *q = &g->q[queue];

	return __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE) != q->avail_idx;
}

/* At any instant of requests under way a reset, or a queue's end, gives the memory back. */
TEST_F(host, memory_is_the_drivers_after_resets_at_any_instant)
{
	struct blk_rig *g = &self->g;
	uint64_t random = 12;

	ASSERT_EQ(0, blk_start(g));
	storage.slow_us = 100;
	for (uint32_t round = 0; round < RESTLESS_ROUNDS; round++) {
		uint32_t queue = (uint32_t)(vd_random(&random) >> 40) % 2, begun = storage.begun;
		bool all = vd_random(&random) >> 62 == 0;

		ASSERT_EQ(0, read_some(g, 0, &random));
		ASSERT_EQ(0, read_some(g, 1, &random));
		/* Half of the time with one that is at the storage. */
		while (round % 2 && storage.begun == begun &&
		       (blk_queue_is_busy(g, 0) || blk_queue_is_busy(g, 1)))
			sched_yield();
		if (all) {
			blk_wr(g, VIRTIO_MMIO_STATUS, 0);
		} else {
			blk_wr(g, VIRTIO_MMIO_QUEUE_SEL, queue);
			blk_wr(g, VIRTIO_MMIO_QUEUE_READY, 0);
		}
		guard(g, queue);
		if (all)
			guard(g, !queue);
		usleep(round % 4 * 50);
		ASSERT_TRUE(is_untouched(g, queue));
		if (!all) {
			blk_enable_queue(g, queue, BLK_RINGS_GPA + queue * 0x4000, VIRTQ_MAX_SIZE,
					 true);
			continue;
		}
		ASSERT_TRUE(is_untouched(g, !queue));
		blk_probe(g, BLK_FEATURES_RW);
	}
	ASSERT_EQ(0, g->broken);
	blk_probe(g, BLK_FEATURES_RW);
	ASSERT_LE(0, blk_read(g, 0, 7, 7, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 7));
}

/* ---- Saving ---- */

/* Another device on the same image, with the RAM and the state of @g. */
static int copy_of(struct blk_rig *g, int image, struct virtio_blk_options options,
		   const void *state, size_t size, struct blk_rig *copy)
{
	int err;

	options.fd = dup(image);
	err = blk_create(copy, &options);
	if (err)
		return err;
	memcpy(gmem__ptr(&copy->mem, 0, BLK_RAM), gmem__ptr(&g->mem, 0, BLK_RAM), BLK_RAM);
	copy->nr_queues = g->nr_queues;
	for (uint32_t i = 0; i < g->nr_queues; i++) {
		copy->q[i] = g->q[i];
		copy->q[i].mem = &copy->mem;
		copy->q[i].desc = gmem__ptr(&copy->mem, g->q[i].desc_gpa, 1);
		copy->q[i].avail = gmem__ptr(&copy->mem, g->q[i].avail_gpa, 1);
		copy->q[i].used = gmem__ptr(&copy->mem, g->q[i].used_gpa, 1);
	}
	return virtio_mmio__load(copy->t, state, size, NULL);
}

struct saver {
	struct blk_rig *g;
	void *state;
	size_t size;
	int result;
};

static void *save_thread(void *opaque)
{
	struct saver *s = opaque;

	s->result = virtio_mmio__save(s->g->t, s->state, s->size, NULL);
	return NULL;
}

/* With what the driver has sent and nobody has looked at: in the copy all of it has ended, once. */
TEST_F(host, save_waits_for_what_is_in_flight)
{
	struct virtio_blk_options options = {
		.sectors = SECTORS, .queues = 2, .engine = FILE_IO_THREADS};
	struct saver s = {.g = &self->g, .size = virtio_mmio__state_size(self->g.t), .result = 1};
	struct blk_rig *g = &self->g, copy;
	pthread_t thread;

	s.state = malloc(s.size);
	ASSERT_EQ(0, blk_start(g));
	storage.closed = true;
	for (uint32_t i = 0; i < 20; i++)
		ASSERT_LE(0, blk_read(g, i % 2, i, i, S));
	blk_kick(g, 0);
	blk_kick(g, 1);
	wait_at_gate(16);
	ASSERT_EQ(0, pthread_create(&thread, NULL, save_thread, &s));
	ASSERT_LE(0, blk_read(g, 0, 20, 20, S));
	blk_kick(g, 0);
	open_gate();
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, s.result);
	ASSERT_EQ(0, copy_of(g, self->image, options, s.state, s.size, &copy));
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, blk_rd(&copy, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, blk_edges(&copy));
	blk_run(&copy);
	for (uint32_t i = 0; i < 21; i++) {
		ASSERT_LE(0, blk_wait(&copy, i % 2, NULL));
		EXPECT_EQ(i + 1, blk_data(&copy, i)[0]);
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&copy, i));
	}
	EXPECT_EQ(-EAGAIN, vd_get_used(&copy.q[0], NULL));
	EXPECT_EQ(-EAGAIN, vd_get_used(&copy.q[1], NULL));
	blk_destroy(&copy);
	free(s.state);
}

/* An interrupt that is held back for more is one that the copy's driver has not had. */
TEST_F(host, save_lets_no_interrupt_be_held)
{
	struct virtio_blk_options options = {
		.sectors = SECTORS, .queues = 2, .engine = FILE_IO_THREADS};
	size_t size = virtio_mmio__state_size(self->g.t);
	struct blk_rig *g = &self->g, copy;
	void *state = malloc(size);
	bool held = false;

	for (uint32_t i = 0; i < 10000 && !held; i++) {
		blk_edges(g);
		blk_wr(g, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
		ASSERT_LE(0, blk_read(g, 0, 0, 0, S));
		blk_kick(g, 0);
		while (__atomic_load_n(&g->q[0].used->idx, __ATOMIC_ACQUIRE) == g->q[0].last_used)
			loop__dispatch(virtio_blk__loop(g->b), -1);
		held = !blk_rd(g, VIRTIO_MMIO_INTERRUPT_STATUS);
		if (!held)
			ASSERT_LE(0, vd_get_used(&g->q[0], NULL));
	}
	ASSERT_TRUE(held);
	ASSERT_EQ(0, virtio_mmio__save(g->t, state, size, NULL));
	ASSERT_EQ(0, copy_of(g, self->image, options, state, size, &copy));
	EXPECT_EQ(VIRTIO_MMIO_INT_VRING, blk_rd(&copy, VIRTIO_MMIO_INTERRUPT_STATUS));
	EXPECT_EQ(1, blk_edges(&copy));
	blk_destroy(&copy);
	free(state);
}

/* What waits for the throttle is done, and the copy pays for it. */
TEST_F(host, save_does_not_wait_for_the_throttle)
{
	struct virtio_blk_options options = {.fd = dup(self->image),
					     .sectors = SECTORS,
					     .queues = 1,
					     .engine = FILE_IO_THREADS,
					     .operations = {.rate = 1, .burst = 2}};
	struct blk_rig g, copy;
	size_t size;
	void *state;

	ASSERT_EQ(0, blk_create(&g, &options));
	size = virtio_mmio__state_size(g.t);
	state = malloc(size);
	blk_probe(&g, BLK_FEATURES_RW);
	for (uint32_t i = 0; i < 80; i++)
		ASSERT_LE(0, blk_read(&g, 0, i, i, S));
	blk_kick(&g, 0);
	blk_run(&g);
	EXPECT_EQ(BLK_PENDING, *blk_status(&g, 79));
	ASSERT_EQ(0, virtio_mmio__save(g.t, state, size, NULL));
	for (uint32_t i = 0; i < 80; i++)
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, i));
	/* 78 s are owed. */
	ASSERT_EQ(0, copy_of(&g, self->image, options, state, size, &copy));
	for (uint32_t i = 0; i < 80; i++)
		ASSERT_LE(0, blk_wait(&copy, 0, NULL));
	ASSERT_LE(0, blk_read(&copy, 0, 0, 0, S));
	ASSERT_LE(0, blk_flush(&copy, 0, 1));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(&copy, 1));
	blk_run(&copy);
	EXPECT_EQ(BLK_PENDING, *blk_status(&copy, 0));
	blk_destroy(&copy);
	blk_destroy(&g);
	free(state);
}

/* ---- The throttle ---- */

TEST_F(host, throttled_requests_wait_and_are_dropped_by_a_reset)
{
	struct virtio_blk_options options = {.fd = dup(self->image),
					     .sectors = SECTORS,
					     .queues = 1,
					     .engine = FILE_IO_THREADS,
					     .operations = {.rate = 1, .burst = 2}};
	struct blk_rig g;

	ASSERT_EQ(0, blk_create(&g, &options));
	blk_probe(&g, BLK_FEATURES_RW);
	for (uint32_t i = 0; i < 4; i++)
		ASSERT_LE(0, blk_read(&g, 0, i, i, S));
	ASSERT_LE(0, blk_flush(&g, 0, 4)); /* costs nothing */
	for (uint32_t i = 0; i < 3; i++)
		ASSERT_LE(0, blk_wait(&g, 0, NULL));
	blk_run(&g);
	/* Two of the burst, and the flush. A third after a second at the earliest. */
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, 1));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, 4));
	EXPECT_EQ(BLK_PENDING, *blk_status(&g, 3));
	blk_probe(&g, BLK_FEATURES_RW);
	EXPECT_EQ(BLK_PENDING, *blk_status(&g, 3));
	ASSERT_LE(0, blk_flush(&g, 0, 5));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(&g, 5));
	EXPECT_EQ(0, g.broken);
	blk_destroy(&g);
}

/* They are not waited for, as nothing of them has begun, and take no room any more. */
TEST_F(host, throttled_requests_go_with_their_queue)
{
	struct virtio_blk_options options = {.fd = dup(self->image),
					     .sectors = SECTORS,
					     .queues = 2,
					     .engine = FILE_IO_THREADS,
					     .operations = {.rate = 1, .burst = 1}};
	struct vd_buffer id = {blk_data_gpa(100), 20, true};
	struct blk_rig g;

	ASSERT_EQ(0, blk_create(&g, &options));
	blk_probe(&g, BLK_FEATURES_RW);
	ASSERT_LE(0, blk_read(&g, 1, 90, 90, S));
	ASSERT_LE(0, blk_read(&g, 1, 91, 91, S));
	ASSERT_LE(0, blk_wait(&g, 1, NULL));
	for (uint32_t round = 0; round < 8; round++) {
		for (uint32_t i = 0; i < 85; i++)
			ASSERT_LE(0, blk_read(&g, 0, i, i, S));
		blk_kick(&g, 0);
		blk_run(&g);
		blk_wr(&g, VIRTIO_MMIO_QUEUE_SEL, 0);
		blk_wr(&g, VIRTIO_MMIO_QUEUE_READY, 0);
		blk_enable_queue(&g, 0, BLK_RINGS_GPA + 0x40000, VIRTQ_MAX_SIZE, true);
	}
	ASSERT_LE(0, blk_add(&g, 0, 100, VIRTIO_BLK_T_GET_ID, 0, &id));
	blk_kick(&g, 0);
	blk_run(&g);
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, 100)); /* which costs nothing */
	/* The other queue's is the only one that is left. */
	ASSERT_LE(0, blk_wait(&g, 1, NULL));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, 91));
	EXPECT_EQ(BLK_PENDING, *blk_status(&g, 84));
	blk_destroy(&g);
}

TEST_F(host, throttled_requests_go_on_by_the_timer)
{
	struct virtio_blk_options options = {.fd = dup(self->image),
					     .sectors = SECTORS,
					     .queues = 1,
					     .engine = FILE_IO_THREADS,
					     .bytes = {.rate = 100 * 1024 * 1024, .burst = S}};
	struct blk_rig g;

	ASSERT_EQ(0, blk_create(&g, &options));
	blk_probe(&g, BLK_FEATURES_RW);
	for (uint32_t i = 0; i < 64; i++)
		ASSERT_LE(0, blk_read(&g, 0, i, i, 64 * 1024));
	for (uint32_t i = 0; i < 64; i++)
		ASSERT_LE(0, blk_wait(&g, 0, NULL));
	for (uint32_t i = 0; i < 64; i++)
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(&g, i));
	blk_destroy(&g);
}

/* ---- Much at a time ---- */

#define LARGE (32u << 20)

/* A disk of that size, and eight requests for all of it, each to the same memory. */
FIXTURE(large)
{
	struct blk_rig g;
	int image;
};

FIXTURE_SETUP(large)
{
	struct virtio_blk_options options = {
		.sectors = LARGE / S, .queues = 1, .engine = FILE_IO_THREADS};

	sem_init(&storage.gate, 0, 0);
	storage.closed = true;
	self->image = blk_image(LARGE / S);
	options.fd = dup(self->image);
	ASSERT_EQ(0, blk_create(&self->g, &options));
	blk_probe(&self->g, BLK_FEATURES_RW);
}

FIXTURE_TEARDOWN(large)
{
	blk_destroy(&self->g);
	close(self->image);
}

static void read_all(struct __test_metadata *_metadata, struct blk_rig *g)
{
	for (uint32_t i = 0; i < 8; i++) {
		const struct vd_buffer read[] = {{blk_header_gpa(i), 16, false},
						 {BLK_DATA_GPA, LARGE, true},
						 {blk_status_gpa(i), 1, true}};

		blk_set_header(g, i, VIRTIO_BLK_T_IN, 0);
		ASSERT_LE(0, vd_add(&g->q[0], read, 3));
	}
	blk_kick(g, 0);
}

/* Two are 64 MiB: the others stay in the queue until one has ended. */
TEST_F(large, requests_for_much_are_taken_when_others_have_ended)
{
	struct blk_rig *g = &self->g;

	read_all(_metadata, g);
	blk_run(g);
	wait_at_gate(2);
	usleep(20000); /* for one more, which is not to come */
	EXPECT_EQ(2, atomic_load(&storage.at_gate));
	open_gate();
	for (uint32_t i = 0; i < 8; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
	for (uint32_t i = 0; i < 8; i++)
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, i));
	EXPECT_EQ(0, g->broken);
}

TEST_F(large, zeros_that_were_written_are_no_longer_counted)
{
	struct blk_rig *g = &self->g;

	/* 16 MiB at a time */
	storage.allocate_error = EOPNOTSUPP;
	for (uint32_t i = 0; i < 8; i++)
		ASSERT_LE(0, blk_range(g, 0, i, VIRTIO_BLK_T_WRITE_ZEROES, 0, LARGE / S, 0));
	storage.closed = false;
	for (uint32_t i = 0; i < 8; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
	for (uint32_t i = 0; i < 8; i++)
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, i));
	/* What was counted was taken off again: there is room as before. */
	storage.closed = true;
	read_all(_metadata, g);
	blk_run(g);
	wait_at_gate(2);
	open_gate();
	for (uint32_t i = 0; i < 8; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
}

/* What is under way when a machine ends is waited for; what is in the queue is not begun. */
TEST_F(large, nothing_is_begun_after_the_end)
{
	struct blk_rig *g = &self->g;

	ASSERT_EQ(0, blk_start(g));
	read_all(_metadata, g);
	wait_at_gate(2);
	loop__stop(virtio_blk__loop(g->b));
	open_gate();
	virtio_blk__stop(g->b);
	EXPECT_EQ(2, atomic_load(&storage.passed));
	EXPECT_EQ(BLK_PENDING, *blk_status(g, 7));
}

TEST_HARNESS_MAIN
