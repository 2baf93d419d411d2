// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-blk on files to which things happen while requests are under way: shorter, gone, replaced,
 * no room, a limit of the process. By io_uring and by threads; each request ends, as an error if it
 * has to, and nothing but its own memory changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "blk_driver.h"

#define SECTORS 4096u
#define S VIRTIO_BLK_SECTOR
#define REQUEST 8192u /* bytes */
#define GUARD 0xa5

FIXTURE(file)
{
	struct blk_rig g;
	bool created;
	char dir[32], path[64];
	int image;
};

FIXTURE_VARIANT(file)
{
	enum file_io_engine engine;
};

FIXTURE_VARIANT_ADD(file, uring){.engine = FILE_IO_URING};
FIXTURE_VARIANT_ADD(file, threads){.engine = FILE_IO_THREADS};

FIXTURE_SETUP(file)
{
	strcpy(self->dir, "/tmp/ktstr-blk.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/image", self->dir);
	self->image = -1;
}

FIXTURE_TEARDOWN(file)
{
	if (self->created)
		blk_destroy(&self->g);
	if (self->image >= 0)
		close(self->image);
	unlink(self->path);
	umount2(self->dir, MNT_DETACH);
	unlink(self->path);
	rmdir(self->dir);
}

/* A sparse image at the fixture's path, whose device has its own thread. 0 or -errno. */
static int create(FIXTURE_DATA(file) * self, enum file_io_engine engine)
{
	struct virtio_blk_options options = {.sectors = SECTORS, .queues = 1, .engine = engine};
	int err;

	self->image = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (self->image < 0 || ftruncate(self->image, (off_t)SECTORS * S))
		return -errno;
	options.fd = dup(self->image);
	self->created = true;
	err = blk_create(&self->g, &options);
	if (!err)
		err = blk_start(&self->g);
	if (!err)
		blk_probe(&self->g, BLK_FEATURES_RW);
	return err;
}

#define CREATE()                                                                     \
	do {                                                                         \
		int created = create(self, variant->engine);                         \
		if (variant->engine == FILE_IO_URING &&                              \
		    (created == -EPERM || created == -ENOSYS || created == -ENOENT)) \
			SKIP(return, "no io_uring here");                            \
		ASSERT_EQ(0, created);                                               \
	} while (0)

/* A ring that could do more would be a way round the filter of the disk's thread. */
TEST_F(file, a_ring_takes_no_registration_any_more)
{
	char path[64], target[64] = "";
	int ring = -1;

	CREATE();
	for (int fd = 0; fd < 256 && ring < 0; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!strcmp(target, "anon_inode:[io_uring]"))
			ring = fd;
	}
	if (variant->engine != FILE_IO_URING) {
		EXPECT_EQ(-1, ring);
		return;
	}
	ASSERT_LE(0, ring);
	EXPECT_EQ(-1, syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_EVENTFD, NULL, 0));
	EXPECT_EQ(EACCES, errno);
}

struct shrinker {
	int image;
	_Atomic bool stop;
	_Atomic uint32_t rounds;
};

static void *shrink(void *opaque)
{
	struct shrinker *s = opaque;
	uint64_t random = 9;

	while (!s->stop) {
		off_t size = (off_t)(vd_random(&random) % (SECTORS * S));

		if (ftruncate(s->image, size) || ftruncate(s->image, (off_t)SECTORS * S))
			abort();
		s->rounds++;
		sched_yield();
	}
	return NULL;
}

/* Nothing beside a slot's request was written: it has REQUEST bytes of its slot's 64 KiB. */
static bool is_guarded(struct blk_rig *g, uint32_t slot)
{
	const uint8_t *rest = blk_data(g, slot) + REQUEST;

	return rest[0] == GUARD && !memcmp(rest, rest + 1, BLK_SLOT_BYTES - REQUEST - 1);
}

/* What was read is what was written, or zeros where the file had ended meanwhile. */
static bool is_written_or_zero(const uint8_t *data)
{
	for (uint32_t i = 0; i < REQUEST; i++)
		if (data[i] && data[i] != 0x77)
			return false;
	return true;
}

TEST_F(file, shrinks_and_grows_under_requests)
{
	struct blk_rig *g = &self->g;
	struct shrinker s = {.stop = false};
	uint32_t sent = 0, got = 0, failed = 0, length;
	uint64_t random = 5;
	uint32_t slots[VD_MAX_SIZE];
	pthread_t thread;

	CREATE();
	s.image = self->image;
	for (uint32_t i = 0; i < 80; i++)
		memset(blk_data(g, i), GUARD, BLK_SLOT_BYTES);
	ASSERT_EQ(0, pthread_create(&thread, NULL, shrink, &s));
	while (got < 4000 || s.rounds < 100) {
		int head;

		while (sent - got < 80) {
			uint64_t sector = vd_random(&random) % (SECTORS - REQUEST / S);
			uint32_t slot = sent % 80;
			bool reads = vd_random(&random) >> 63;

			memset(blk_data(g, slot), reads ? GUARD : 0x77, REQUEST);
			head = reads ? blk_read(g, 0, slot, sector, REQUEST)
				     : blk_write(g, 0, slot, sector, REQUEST);
			ASSERT_LE(0, head);
			slots[head] = slot | (uint32_t)reads << 31;
			sent++;
		}
		/* All of them, so that slots come back in their order. */
		while (got < sent) {
			uint32_t slot;

			head = blk_wait(g, 0, &length);
			ASSERT_LE(0, head);
			got++;
			slot = slots[head] & INT32_MAX;
			ASSERT_TRUE(is_guarded(g, slot));
			if (*blk_status(g, slot) == VIRTIO_BLK_S_IOERR) {
				failed++;
				ASSERT_EQ(slots[head] >> 31 ? 0 : 1, length);
				continue;
			}
			ASSERT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, slot));
			ASSERT_EQ(slots[head] >> 31 ? REQUEST + 1 : 1, length);
			if (slots[head] >> 31)
				ASSERT_TRUE(is_written_or_zero(blk_data(g, slot)));
		}
	}
	s.stop = true;
	pthread_join(thread, NULL);
	TH_LOG("%u requests, %u failed", got, failed);
	/* And it goes on. */
	ASSERT_EQ(0, ftruncate(self->image, (off_t)SECTORS * S));
	ASSERT_LE(0, blk_read(g, 0, 0, SECTORS - 1, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(0, g->broken);
}

/* A file that is too short: what lies behind its end cannot be read, and a write makes it grow. */
TEST_F(file, that_is_shorter_is_an_error_behind_its_end)
{
	struct blk_rig *g = &self->g;
	uint32_t length = 7;

	CREATE();
	memset(blk_data(g, 0), GUARD, BLK_SLOT_BYTES);
	ASSERT_EQ(0, ftruncate(self->image, 100 * S + 7));
	ASSERT_LE(0, blk_read(g, 0, 0, 99, REQUEST));
	ASSERT_LE(0, blk_wait(g, 0, &length));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, *blk_status(g, 0));
	EXPECT_EQ(0, length);
	EXPECT_TRUE(is_guarded(g, 0));
	ASSERT_LE(0, blk_write(g, 0, 0, 200, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_LE(0, blk_read(g, 0, 1, 199, 2 * S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 1));
	EXPECT_EQ(0, blk_data(g, 1)[0]);
	EXPECT_EQ(0, memcmp(blk_data(g, 1) + S, blk_data(g, 0), S));
	EXPECT_EQ(0, g->broken);
}

/* The file is what was opened, whatever has its name now. */
TEST_F(file, that_is_removed_or_replaced_stays_the_disk)
{
	struct blk_rig *g = &self->g;
	uint8_t byte = 0;
	int other;

	CREATE();
	ASSERT_EQ(0, unlink(self->path));
	memset(blk_data(g, 0), 0x77, S);
	ASSERT_LE(0, blk_write(g, 0, 0, 5, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	other = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, other);
	ASSERT_LE(0, blk_write(g, 0, 0, 6, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_LE(0, blk_flush(g, 0, 1));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 1));
	EXPECT_EQ(0, lseek(other, 0, SEEK_END));
	close(other);
	ASSERT_EQ(1, pread(self->image, &byte, 1, 6 * S));
	EXPECT_EQ(0x77, byte);
	ASSERT_LE(0, blk_read(g, 0, 2, 5, 2 * S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 2));
	EXPECT_EQ(0x77, blk_data(g, 2)[2 * S - 1]);
}

/* SIGXFSZ ends a process that does not know of it. */
TEST_F(file, beyond_the_limit_of_the_process_is_an_error)
{
	struct rlimit limit = {100 * S + 7, RLIM_INFINITY};
	struct blk_rig *g = &self->g;
	uint64_t number = 0;

	CREATE();
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	memset(blk_data(g, 0), 0x77, REQUEST);
	for (uint32_t i = 0; i < 40; i++)
		ASSERT_LE(0, blk_write(g, 0, i, i % 2 ? 1000 + i : i, S));
	for (uint32_t i = 0; i < 40; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
	for (uint32_t i = 0; i < 40; i++)
		EXPECT_EQ(i % 2 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK, *blk_status(g, i));
	/* One that is half on this side of it */
	ASSERT_LE(0, blk_write(g, 0, 0, 99, REQUEST));
	EXPECT_EQ(VIRTIO_BLK_S_IOERR, blk_end(g, 0));
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 200, 8, 0));
	EXPECT_NE(BLK_PENDING, blk_end(g, 0));
	ASSERT_LE(0, blk_read(g, 0, 0, 1000, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_EQ((ssize_t)sizeof(number), pread(self->image, &number, sizeof(number), 1001 * S));
	EXPECT_EQ(0, number);
	EXPECT_EQ(0, g->broken);
}

/* A file system of 1 MiB, with a disk of 2. */
TEST_F(file, on_a_full_file_system_is_an_error_until_there_is_room)
{
	struct blk_rig *g = &self->g;
	uint32_t failed = 0;

	if (mount("none", self->dir, "tmpfs", 0, "size=1m"))
		SKIP(return, "cannot mount a tmpfs");
	CREATE();
	for (uint32_t i = 0; i < 64; i++)
		memset(blk_data(g, i), 0x77, 32768);
	for (uint32_t i = 0; i < 64; i++)
		ASSERT_LE(0, blk_write(g, 0, i, i * 64, 32768));
	for (uint32_t i = 0; i < 64; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
	for (uint32_t i = 0; i < 64; i++) {
		uint8_t status = *blk_status(g, i);

		failed += status == VIRTIO_BLK_S_IOERR;
		EXPECT_TRUE(status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_OK);
	}
	EXPECT_LE(32, failed);
	EXPECT_GT(64, failed);
	/* What was acknowledged is there. */
	for (uint32_t i = 0; i < 64; i++) {
		uint8_t acknowledged = *blk_status(g, i);

		memset(blk_data(g, i), GUARD, BLK_SLOT_BYTES);
		ASSERT_LE(0, blk_read(g, 0, i, i * 64, 32768));
		EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, i));
		if (acknowledged != VIRTIO_BLK_S_OK)
			continue;
		EXPECT_EQ(0x77, blk_data(g, i)[0]);
		EXPECT_EQ(0, memcmp(blk_data(g, i), blk_data(g, i) + 1, 32767));
	}
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, SECTORS, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_LE(0, blk_write(g, 0, 0, 63 * 64, 32768));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(0, g->broken);
}

TEST_HARNESS_MAIN
