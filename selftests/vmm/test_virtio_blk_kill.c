// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine that is killed: what the guest saw acknowledged is in the file. Each round forks a
 * process that is device and driver, writes numbered blocks, and tells by a pipe which of them were
 * acknowledged; SIGKILL comes after a random number of them.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "blk_driver.h"

#define BLOCKS 256u
#define BLOCK 4096u
#define BLOCK_SECTORS (BLOCK / VIRTIO_BLK_SECTOR)
#define DEPTH 16u
#define ROUNDS 100u
#define SEED UINT64_C(0x6b74737472)

/* A block is written again and again: with numbers that only grow, each all over the block. */
static void fill_block(uint8_t *data, uint32_t number)
{
	for (uint32_t i = 0; i < BLOCK; i += sizeof(number))
		memcpy(data + i, &number, sizeof(number));
}

/* Tells what is acknowledged: one write, which a pipe takes whole or not at all. */
static void tell(int to, uint32_t number)
{
	if (write(to, &number, sizeof(number)) != sizeof(number))
		_exit(1);
}

/*
 * Number n is of block n % BLOCKS. Of DEPTH that are in flight all are written, and acknowledged;
 * every fourth time they are told after a flush alone.
 */
static void write_for_ever(int image, int to, enum file_io_engine engine, uint32_t number)
{
	struct virtio_blk_options options = {
		.fd = image, .sectors = BLOCKS * BLOCK_SECTORS, .queues = 1, .engine = engine};
	struct blk_rig g;

	if (blk_create(&g, &options) || blk_start(&g))
		_exit(2);
	blk_probe(&g, BLK_FEATURES);
	for (;; number += DEPTH) {
		for (uint32_t i = 0; i < DEPTH; i++) {
			fill_block(blk_data(&g, i), number + i);
			blk_write(&g, 0, i, (number + i) % BLOCKS * BLOCK_SECTORS, BLOCK);
		}
		for (uint32_t i = 0; i < DEPTH; i++)
			if (blk_wait(&g, 0, NULL) < 0)
				_exit(3);
		for (uint32_t i = 0; i < DEPTH; i++)
			if (*blk_status(&g, i) != VIRTIO_BLK_S_OK)
				_exit(4);
		if (number / DEPTH % 4 == 0) {
			blk_flush(&g, 0, 0);
			if (blk_wait(&g, 0, NULL) < 0 || *blk_status(&g, 0) != VIRTIO_BLK_S_OK)
				_exit(5);
		}
		for (uint32_t i = 0; i < DEPTH; i++)
			tell(to, number + i);
	}
}

/* What was acknowledged, by block; 0: nothing. */
struct acknowledged {
	uint32_t number[BLOCKS];
	uint32_t last;
};

static bool hear(int from, struct acknowledged *a)
{
	uint32_t number;

	if (read(from, &number, sizeof(number)) != sizeof(number))
		return false;
	a->number[number % BLOCKS] = a->last = number;
	return true;
}

/* Runs one process to its violent end, after @told numbers. 0, or what went wrong. */
static int run_and_kill(int image, enum file_io_engine engine, struct acknowledged *a,
			uint32_t told)
{
	/* None of those that may be in the file unacknowledged. */
	uint32_t first = (a->last / BLOCKS + 2) * BLOCKS;
	int pipe_fds[2], status;
	pid_t pid;

	if (pipe(pipe_fds))
		return -errno;
	pid = fork();
	if (!pid) {
		close(pipe_fds[0]);
		write_for_ever(image, pipe_fds[1], engine, first);
	}
	close(pipe_fds[1]);
	while (told-- && hear(pipe_fds[0], a))
		;
	kill(pid, SIGKILL);
	/* What it told until then counts, too. */
	while (hear(pipe_fds[0], a))
		;
	close(pipe_fds[0]);
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : -EINVAL;
	return a->last >= first ? 0 : -EAGAIN;
}

/* Every block holds, whole or cut by the kill, what was acknowledged last or something newer. */
static bool survived(int image, const struct acknowledged *a)
{
	uint32_t data[BLOCK / sizeof(uint32_t)];

	for (uint32_t block = 0; block < BLOCKS; block++) {
		if (!a->number[block])
			continue;
		if (pread(image, data, BLOCK, (off_t)block * BLOCK) != BLOCK)
			return false;
		for (uint32_t i = 0; i < BLOCK / sizeof(uint32_t); i++) {
			if (data[i] >= a->number[block] && data[i] % BLOCKS == block)
				continue;
			fprintf(stderr, "# block %u has %u, acknowledged was %u\n", block, data[i],
				a->number[block]);
			return false;
		}
	}
	return true;
}

FIXTURE(kill)
{
	int image;
};

FIXTURE_VARIANT(kill)
{
	enum file_io_engine engine;
};

FIXTURE_VARIANT_ADD(kill, any_engine){.engine = FILE_IO_ANY};
FIXTURE_VARIANT_ADD(kill, threads){.engine = FILE_IO_THREADS};

FIXTURE_SETUP(kill)
{
	char path[] = "ktstr-kill.XXXXXX"; /* on a real file system, where it may be slow */

	self->image = mkstemp(path);
	ASSERT_LE(0, self->image);
	unlink(path);
	ASSERT_EQ(0, ftruncate(self->image, BLOCKS * BLOCK));
}

FIXTURE_TEARDOWN(kill)
{
	close(self->image);
}

TEST_F_TIMEOUT(kill, every_acknowledged_block_survives_a_hundred_kills, 120)
{
	struct acknowledged a = {0};
	uint64_t rng = SEED;

	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t told = 1 + (uint32_t)(vd_random(&rng) >> 40) % 200;

		ASSERT_EQ(0, run_and_kill(self->image, variant->engine, &a, told));
		ASSERT_TRUE(survived(self->image, &a))
		{
			TH_LOG("round %u", round);
		}
	}
}

TEST_HARNESS_MAIN
