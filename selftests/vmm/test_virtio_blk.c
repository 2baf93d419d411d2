// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-blk end to end with a driver in user space, on files in memory: by io_uring where the host
 * has it, and by threads. Bad input is in test_virtio_blk_bad.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "blk_driver.h"

#define SECTORS 2048u
#define S VIRTIO_BLK_SECTOR

FIXTURE(blk)
{
	struct blk_rig g;
	int image; /* the same file as the device's */
};

FIXTURE_VARIANT(blk)
{
	enum file_io_engine engine;
	bool own_thread;
};

FIXTURE_VARIANT_ADD(blk, any_engine){.engine = FILE_IO_ANY};
FIXTURE_VARIANT_ADD(blk, threads){.engine = FILE_IO_THREADS};
FIXTURE_VARIANT_ADD(blk, own_thread){.own_thread = true};

static struct virtio_blk_options default_options(int image)
{
	return (struct virtio_blk_options){
		.fd = dup(image), .sectors = SECTORS, .serial = "serial-0123456789ab", .queues = 4};
}

FIXTURE_SETUP(blk)
{
	struct virtio_blk_options options;

	self->image = blk_image(SECTORS);
	options = default_options(self->image);
	options.engine = variant->engine;
	ASSERT_EQ(0, blk_create(&self->g, &options));
	if (variant->own_thread)
		ASSERT_EQ(0, blk_start(&self->g));
	blk_probe(&self->g, BLK_FEATURES_RW);
}

FIXTURE_TEARDOWN(blk)
{
	blk_destroy(&self->g);
	close(self->image);
}

/* The number at the beginning of a sector in the file. */
static uint64_t number_at(int image, uint64_t sector)
{
	uint64_t number = 0;

	if (pread(image, &number, sizeof(number), (off_t)(sector * S)) != sizeof(number))
		return UINT64_MAX;
	return number;
}

static bool is_zero(int image, uint64_t sector, uint64_t sectors)
{
	for (; sectors; sector++, sectors--) {
		uint8_t buf[S], zero[S] = {0};

		if (pread(image, buf, S, (off_t)(sector * S)) != S || memcmp(buf, zero, S) != 0)
			return false;
	}
	return true;
}

TEST_F(blk, configuration_says_what_the_disk_is)
{
	struct blk_rig *g = &self->g;

	EXPECT_EQ(2, blk_rd(g, VIRTIO_MMIO_DEVICE_ID));
	EXPECT_EQ(SECTORS, blk_config(g, offsetof(struct virtio_blk_config, capacity), 4));
	EXPECT_EQ(0, blk_config(g, offsetof(struct virtio_blk_config, capacity) + 4, 4));
	EXPECT_EQ(512, blk_config(g, offsetof(struct virtio_blk_config, blk_size), 4));
	EXPECT_EQ(254, blk_config(g, offsetof(struct virtio_blk_config, seg_max), 4));
	EXPECT_EQ(1u << 20, blk_config(g, offsetof(struct virtio_blk_config, size_max), 4));
	EXPECT_EQ(4, blk_config(g, offsetof(struct virtio_blk_config, num_queues), 2));
	EXPECT_EQ(8,
		  blk_config(g, offsetof(struct virtio_blk_config, discard_sector_alignment), 4));
	EXPECT_EQ(1, blk_config(g, offsetof(struct virtio_blk_config, write_zeroes_may_unmap), 1));
	blk_wr(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	EXPECT_EQ((uint32_t)BLK_FEATURES_RW | BLK_BIT(VIRTIO_BLK_F_SIZE_MAX) |
			  BLK_BIT(VIRTIO_BLK_F_SEG_MAX) | BLK_BIT(VIRTIO_BLK_F_BLK_SIZE),
		  blk_rd(g, VIRTIO_MMIO_DEVICE_FEATURES));
}

TEST_F(blk, read_gives_what_is_in_the_file)
{
	struct blk_rig *g = &self->g;
	uint32_t length = 0;
	uint64_t number;

	ASSERT_LE(0, blk_read(g, 0, 3, 100, 8 * S));
	ASSERT_LE(0, blk_wait(g, 0, &length));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 3));
	EXPECT_EQ(8 * S + 1, length);
	for (uint32_t i = 0; i < 8; i++) {
		memcpy(&number, blk_data(g, 3) + i * S, sizeof(number));
		EXPECT_EQ(101 + i, number);
	}
	EXPECT_EQ(0, blk_data(g, 3)[8 * S]);
}

TEST_F(blk, write_that_was_acknowledged_is_in_the_file)
{
	struct blk_rig *g = &self->g;
	uint32_t length = 0;
	uint8_t buf[2 * S];

	memset(blk_data(g, 0), 'w', 2 * S);
	ASSERT_LE(0, blk_write(g, 1, 0, SECTORS - 2, 2 * S));
	ASSERT_LE(0, blk_wait(g, 1, &length));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 0));
	EXPECT_EQ(1, length);
	ASSERT_EQ((ssize_t)sizeof(buf), pread(self->image, buf, sizeof(buf), (SECTORS - 2) * S));
	EXPECT_EQ(0, memcmp(buf, blk_data(g, 0), sizeof(buf)));
	EXPECT_EQ(SECTORS - 2, number_at(self->image, SECTORS - 3));
	ASSERT_LE(0, blk_flush(g, 1, 1));
	ASSERT_LE(0, blk_wait(g, 1, &length));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 1));
}

/* §2.7.4.2: the framing of a request into descriptors says nothing. */
TEST_F(blk, requests_may_be_cut_into_descriptors_anywhere)
{
	struct blk_rig *g = &self->g;
	uint64_t header = blk_header_gpa(0), data = blk_data_gpa(0);
	/* header in pieces of which the last goes on into the data */
	const struct vd_buffer write[] = {
		{header, 3, false},	      {header + 3, 10, false},	    {data, 3 + 100, false},
		{data + 103, S - 100, false}, {blk_status_gpa(0), 1, true},
	};
	/* data in odd pieces, of which the last holds the status too */
	const struct vd_buffer read[] = {
		{header, 16, false},
		{data + 4096, 1, true},
		{data + 4097, 500, true},
		{data + 4597, 11 + 1, true},
	};
	uint32_t length = 0;

	blk_set_header(g, 0, VIRTIO_BLK_T_OUT, 7);
	memcpy(blk_data(g, 0), gmem__ptr(&g->mem, header + 13, 3), 3);
	memset(blk_data(g, 0) + 3, 'x', S);
	ASSERT_LE(0, vd_add(&g->q[0], write, 5));
	ASSERT_LE(0, blk_wait(g, 0, &length));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 0));
	EXPECT_EQ(UINT64_C(0x7878787878787878), number_at(self->image, 7));
	EXPECT_EQ(9, number_at(self->image, 8));

	blk_set_header(g, 0, VIRTIO_BLK_T_IN, 7);
	memset(blk_data(g, 0) + 4096, 0xee, 600);
	ASSERT_LE(0, vd_add_indirect(&g->q[0], BLK_TABLES_GPA, read, 4));
	ASSERT_LE(0, blk_wait(g, 0, &length));
	EXPECT_EQ(S + 1, length);
	EXPECT_EQ('x', blk_data(g, 0)[4096]);
	EXPECT_EQ('x', blk_data(g, 0)[4096 + S - 1]);
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_data(g, 0)[4096 + S]);
	EXPECT_EQ(0xee, blk_data(g, 0)[4096 + S + 1]);
}

TEST_F(blk, id_is_20_bytes_and_the_rest_is_zero)
{
	struct blk_rig *g = &self->g;
	struct vd_buffer data = {blk_data_gpa(0), 24, true};
	uint32_t length = 0;

	memset(blk_data(g, 0), 0xee, 32);
	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_GET_ID, 0, &data));
	ASSERT_LE(0, blk_wait(g, 0, &length));
	EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, 0));
	EXPECT_EQ(25, length);
	EXPECT_EQ(0, memcmp(blk_data(g, 0), "serial-0123456789ab\0\0\0\0\0\xee", 25));
}

TEST_F(blk, discard_gives_the_range_back_to_the_file_system)
{
	struct blk_rig *g = &self->g;
	struct stat before, after;

	ASSERT_EQ(0, fstat(self->image, &before));
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 1024, 512, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_EQ(0, fstat(self->image, &after));
	EXPECT_TRUE(is_zero(self->image, 1024, 512));
	EXPECT_EQ(512, before.st_blocks - after.st_blocks);
	EXPECT_EQ(before.st_size, after.st_size);
	EXPECT_EQ(1024, number_at(self->image, 1023));
	EXPECT_EQ(1537, number_at(self->image, 1536));
}

/* Files in memory cannot keep the storage of zeros, so these are written: in more than one piece.
 */
TEST_F(blk, write_zeroes_makes_zeros_of_the_range_alone)
{
	struct blk_rig *g = &self->g;

	for (uint32_t unmap = 0; unmap < 2; unmap++) {
		uint64_t first = 100 + 1000 * unmap;

		ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, first, 777, unmap));
		EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
		EXPECT_TRUE(is_zero(self->image, first, 777));
		EXPECT_EQ(first, number_at(self->image, first - 1));
		EXPECT_EQ(first + 778, number_at(self->image, first + 777));
	}
}

TEST_F(blk, ranges_of_one_request_are_all_done)
{
	struct blk_rig *g = &self->g;
	struct virtio_blk_discard_write_zeroes ranges[16];
	struct vd_buffer data = {blk_ranges_gpa(0), sizeof(ranges), false};

	for (uint32_t i = 0; i < 16; i++)
		ranges[i] = (struct virtio_blk_discard_write_zeroes){i * 20, 10, i % 2};
	gmem__write(&g->mem, data.gpa, ranges, sizeof(ranges));
	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &data));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	for (uint32_t i = 0; i < 16; i++) {
		EXPECT_TRUE(is_zero(self->image, i * 20, 10));
		EXPECT_EQ(i * 20 + 11, number_at(self->image, i * 20 + 10));
	}
}

/* As many as the rings hold, on all queues, and all at the same time. */
TEST_F(blk, full_queues_come_back_whole)
{
	struct blk_rig *g = &self->g;
	uint32_t back = 0;

	for (uint32_t i = 0; i < 85 * 4; i++)
		ASSERT_LE(0, blk_read(g, i % 4, i, i * 5, S));
	for (uint32_t q = 0; q < 4; q++)
		blk_kick(g, q);
	for (uint32_t q = 0; q < 4; q++)
		for (uint32_t i = 0; i < 85; i++)
			back += blk_wait(g, q, NULL) >= 0;
	EXPECT_EQ(340, back);
	for (uint32_t i = 0; i < 85 * 4; i++) {
		uint64_t number;

		memcpy(&number, blk_data(g, i), sizeof(number));
		EXPECT_EQ(i * 5 + 1, number);
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, i));
	}
}

TEST_F(blk, state_goes_into_another_device)
{
	struct blk_rig *g = &self->g, other;
	struct virtio_blk_options options = default_options(self->image);
	size_t size = virtio_mmio__state_size(g->t);
	void *state = malloc(size), *again = malloc(size);

	if (variant->own_thread)
		virtio_blk__stop(g->b); /* at rest */
	g->own_thread = false;
	ASSERT_LE(0, blk_read(g, 0, 0, 0, S));
	ASSERT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	ASSERT_EQ(0, virtio_mmio__save(g->t, state, size, NULL));

	ASSERT_EQ(0, blk_create(&other, &options));
	memcpy(gmem__ptr(&other.mem, 0, BLK_RAM), gmem__ptr(&g->mem, 0, BLK_RAM), BLK_RAM);
	ASSERT_EQ(0, virtio_mmio__load(other.t, state, size, NULL));
	ASSERT_EQ(0, virtio_mmio__save(other.t, again, size, NULL));
	EXPECT_EQ(0, memcmp(state, again, size));
	/* The driver goes on where it was. */
	for (uint32_t i = 0; i < 4; i++) {
		other.q[i] = g->q[i];
		other.q[i].mem = &other.mem;
		other.q[i].desc = gmem__ptr(&other.mem, g->q[i].desc_gpa, 1);
		other.q[i].avail = gmem__ptr(&other.mem, g->q[i].avail_gpa, 1);
		other.q[i].used = gmem__ptr(&other.mem, g->q[i].used_gpa, 1);
	}
	ASSERT_LE(0, blk_read(&other, 0, 1, 9, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(&other, 1));
	EXPECT_EQ(10, blk_data(&other, 1)[0]);
	blk_destroy(&other);

	options.fd = dup(self->image);
	options.sectors = SECTORS - 1;
	ASSERT_EQ(0, blk_create(&other, &options));
	EXPECT_EQ(-EINVAL, virtio_mmio__load(other.t, state, size, NULL));
	blk_destroy(&other);
	free(state);
	free(again);
}

/* ---- Hosts that forbid io_uring ---- */

/* From here on the system call @number fails in this process. */
static bool forbid(uint32_t number)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The device of the fixture may have a ring by now: what it cannot start there, threads do. */
TEST_F(blk, ring_that_takes_nothing_is_left_for_threads)
{
	struct blk_rig *g = &self->g;

	ASSERT_TRUE(forbid(SYS_io_uring_enter));
	for (uint32_t i = 0; i < 20; i++)
		ASSERT_LE(0, blk_read(g, 0, i, i, S));
	for (uint32_t i = 0; i < 20; i++)
		ASSERT_LE(0, blk_wait(g, 0, NULL));
	for (uint32_t i = 0; i < 20; i++) {
		EXPECT_EQ(VIRTIO_BLK_S_OK, *blk_status(g, i));
		EXPECT_EQ(i + 1, blk_data(g, i)[0]);
	}
	ASSERT_LE(0, blk_flush(g, 0, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
}

TEST_F(blk, host_that_forbids_rings_has_disks)
{
	struct virtio_blk_options options = default_options(self->image);
	struct ktstr_error error = {0};
	struct virtio_blk *b;
	struct blk_rig g;

	ASSERT_TRUE(forbid(SYS_io_uring_setup));
	ASSERT_EQ(0, blk_create(&g, &options));
	blk_probe(&g, BLK_FEATURES);
	ASSERT_LE(0, blk_read(&g, 0, 0, 7, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(&g, 0));
	EXPECT_EQ(8, blk_data(&g, 0)[0]);
	blk_destroy(&g);
	options.fd = dup(self->image);
	options.engine = FILE_IO_URING;
	EXPECT_EQ(-EPERM, virtio_blk__create(&options, &b, &error));
	EXPECT_EQ(NULL, b);
}

/* ---- Random sequences against a model ---- */

#define SEED UINT64_C(0x6b74737472)
#define RANDOM_REQUESTS 20000u
#define CHUNK 16u /* sectors: what a request of the model touches lies in one */
#define CHUNKS (SECTORS / CHUNK)

struct planned {
	uint32_t type, slot, chunk, first, sectors;
	uint8_t expected; /* status */
	uint8_t fill;
};

struct model {
	uint8_t content[SECTORS];	 /* byte that fills each sector */
	uint32_t first_chunk, nr_chunks; /* that its requests are about */
	bool busy[CHUNKS];
	struct planned in_flight[VIRTIO_BLK_MAX_QUEUES][VIRTQ_MAX_SIZE]; /* by head */
	uint32_t slots[BLK_SLOTS], nr_slots;
};

/* A request that may be wrong; its chunk is its alone until it comes back. */
static int plan(struct blk_rig *g, struct model *m, uint64_t *rng, struct planned *p,
		uint32_t queue)
{
	uint64_t r = vd_random(rng);
	uint64_t sector;

	*p = (struct planned){.chunk = m->first_chunk + (uint32_t)(r >> 8) % m->nr_chunks,
			      .fill = (uint8_t)(r >> 20)};
	p->first = (uint32_t)(r >> 28) % CHUNK;
	p->sectors = 1 + (uint32_t)(r >> 33) % (CHUNK - p->first);
	p->slot = m->slots[m->nr_slots - 1];
	sector = p->chunk * CHUNK + p->first;
	if (m->busy[p->chunk])
		return -EBUSY;
	switch ((r >> 40) % 8) {
	case 0:
	case 1:
		p->type = VIRTIO_BLK_T_IN;
		return blk_read(g, queue, p->slot, sector, p->sectors * S);
	case 2:
	case 3:
		p->type = VIRTIO_BLK_T_OUT;
		memset(blk_data(g, p->slot), p->fill, p->sectors * S);
		return blk_write(g, queue, p->slot, sector, p->sectors * S);
	case 4:
		p->type = VIRTIO_BLK_T_WRITE_ZEROES;
		return blk_range(g, queue, p->slot, p->type, sector, p->sectors, p->fill & 1);
	case 5:
		p->type = VIRTIO_BLK_T_FLUSH;
		return blk_flush(g, queue, p->slot);
	case 6:
		p->type = VIRTIO_BLK_T_IN;
		p->expected = VIRTIO_BLK_S_IOERR;
		return blk_read(g, queue, p->slot, SECTORS - p->sectors + 1, p->sectors * S);
	default:
		p->type = 77;
		p->expected = VIRTIO_BLK_S_UNSUPP;
		return blk_add(g, queue, p->slot, p->type, sector, NULL);
	}
}

/* What came back is what the model says; what it changed is in the model. */
static const char *check(struct blk_rig *g, struct model *m, const struct planned *p)
{
	uint8_t *content = &m->content[p->chunk * CHUNK + p->first];

	if (*blk_status(g, p->slot) != p->expected)
		return "status";
	m->busy[p->chunk] = false;
	m->slots[m->nr_slots++] = p->slot;
	if (p->expected)
		return NULL;
	for (uint32_t i = 0; i < p->sectors; i++) {
		uint8_t *data = blk_data(g, p->slot) + i * S;

		if (p->type == VIRTIO_BLK_T_OUT)
			content[i] = p->fill;
		if (p->type == VIRTIO_BLK_T_WRITE_ZEROES)
			content[i] = 0;
		if (p->type == VIRTIO_BLK_T_IN &&
		    (data[0] != content[i] || memcmp(data, data + 1, S - 1) != 0))
			return "data";
	}
	return NULL;
}

TEST_F(blk, random_sequences_agree_with_a_model)
{
	struct blk_rig *g = &self->g;
	struct model *m = calloc(1, sizeof(*m));
	uint32_t sent = 0, got = 0;
	uint64_t rng = SEED;

	TH_LOG("seed 0x%llx", (unsigned long long)SEED);
	m->nr_chunks = CHUNKS;
	ASSERT_EQ(0, ftruncate(self->image, 0));
	ASSERT_EQ(0, ftruncate(self->image, SECTORS * S));
	for (uint32_t i = 0; i < BLK_SLOTS; i++)
		m->slots[m->nr_slots++] = i;
	while (got < RANDOM_REQUESTS) {
		uint32_t queue = (uint32_t)(vd_random(&rng) >> 40) % g->nr_queues;
		const char *wrong;
		struct planned p;
		int head = -ENOSPC;

		if (sent < RANDOM_REQUESTS && m->nr_slots && vd_random(&rng) >> 62)
			head = plan(g, m, &rng, &p, queue);
		if (head >= 0) {
			m->busy[p.chunk] = true;
			m->nr_slots--;
			m->in_flight[queue][head] = p;
			sent++;
			if (vd_random(&rng) >> 62 == 3)
				blk_kick(g, queue);
			continue;
		}
		if (m->nr_slots == BLK_SLOTS)
			continue;
		/* One that has requests in flight. */
		while (g->q[queue].nr_free == VIRTQ_MAX_SIZE)
			queue = (queue + 1) % g->nr_queues;
		head = blk_wait(g, queue, NULL);
		ASSERT_LE(0, head);
		wrong = check(g, m, &m->in_flight[queue][head]);
		ASSERT_EQ(NULL, wrong)
		{
			TH_LOG("request %u: %s", got, wrong);
		}
		got++;
	}
	for (uint32_t i = 0; i < SECTORS; i++) {
		uint8_t buf[S];

		ASSERT_EQ((ssize_t)S, pread(self->image, buf, S, (off_t)i * S));
		ASSERT_EQ(m->content[i], buf[0]);
		ASSERT_EQ(0, memcmp(buf, buf + 1, S - 1));
	}
	EXPECT_EQ(0, g->broken);
	free(m);
}

/* ---- A thread for each queue, as Linux has a CPU for each ---- */

#define THREADS 4u
#define THREAD_REQUESTS 8000u
#define THREAD_DEPTH 40u

/* What an interrupt wakes. */
static pthread_mutex_t irq_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t irq_cond = PTHREAD_COND_INITIALIZER;
static uint64_t irqs;
static _Atomic uint32_t threads_left;

struct cpu {
	struct blk_rig *g;
	struct model m;
	uint32_t queue;
	const char *wrong;
};

/* Waits for an interrupt if there is still nothing. */
static int take_used(struct cpu *c)
{
	struct virtq_driver *q = &c->g->q[c->queue];
	uint64_t seen;
	int head;

	for (;;) {
		pthread_mutex_lock(&irq_lock);
		seen = irqs;
		pthread_mutex_unlock(&irq_lock);
		head = vd_get_used(q, NULL);
		if (head != -EAGAIN)
			return head;
		pthread_mutex_lock(&irq_lock);
		while (seen == irqs)
			pthread_cond_wait(&irq_cond, &irq_lock);
		pthread_mutex_unlock(&irq_lock);
	}
}

static void *cpu_thread(void *opaque)
{
	struct cpu *c = opaque;
	uint64_t rng = SEED + c->queue;
	uint32_t sent = 0, got = 0, want = 1;

	while (got < THREAD_REQUESTS && !c->wrong) {
		struct planned p;
		int head;

		while (sent < THREAD_REQUESTS && sent - got < want) {
			head = plan(c->g, &c->m, &rng, &p, c->queue);
			if (head < 0)
				break;
			c->m.busy[p.chunk] = true;
			c->m.nr_slots--;
			c->m.in_flight[c->queue][head] = p;
			sent++;
		}
		blk_kick(c->g, c->queue);
		if (sent == got)
			continue;
		/* From time to time all that is under way, or one request at a time. */
		want = 1 + (uint32_t)(vd_random(&rng) >> 32) % THREAD_DEPTH;
		head = take_used(c);
		c->wrong = head < 0 ? "used ring"
				    : check(c->g, &c->m, &c->m.in_flight[c->queue][head]);
		got++;
	}
	if (!--threads_left)
		eventfd_write(c->g->irq_fd, 1);
	return NULL;
}

TEST_F(blk, queues_of_several_threads_agree_with_their_models)
{
	struct blk_rig *g = &self->g;
	struct cpu *cpus = calloc(THREADS, sizeof(*cpus));
	pthread_t threads[THREADS];

	if (!g->own_thread)
		ASSERT_EQ(0, blk_start(g));
	ASSERT_EQ(THREADS, g->nr_queues);
	ASSERT_EQ(0, ftruncate(self->image, 0));
	ASSERT_EQ(0, ftruncate(self->image, SECTORS * S));
	threads_left = THREADS;
	for (uint32_t i = 0; i < THREADS; i++) {
		cpus[i].g = g;
		cpus[i].queue = i;
		cpus[i].m.first_chunk = i * (CHUNKS / THREADS);
		cpus[i].m.nr_chunks = CHUNKS / THREADS;
		for (uint32_t slot = i; slot < BLK_SLOTS; slot += THREADS)
			cpus[i].m.slots[cpus[i].m.nr_slots++] = slot;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, cpu_thread, &cpus[i]));
	}
	while (threads_left) {
		struct pollfd irq = {.fd = g->irq_fd, .events = POLLIN};

		ASSERT_EQ(1, poll(&irq, 1, -1));
		blk_edges(g);
		pthread_mutex_lock(&irq_lock);
		irqs++;
		pthread_cond_broadcast(&irq_cond);
		pthread_mutex_unlock(&irq_lock);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(NULL, cpus[i].wrong)
		{
			TH_LOG("queue %u: %s", i, cpus[i].wrong);
		}
	}
	for (uint32_t i = 0; i < SECTORS; i++) {
		uint8_t buf[S];

		ASSERT_EQ((ssize_t)S, pread(self->image, buf, S, (off_t)i * S));
		ASSERT_EQ(cpus[i / (SECTORS / THREADS)].m.content[i], buf[0]);
		ASSERT_EQ(0, memcmp(buf, buf + 1, S - 1));
	}
	EXPECT_EQ(0, g->broken);
	free(cpus);
}

TEST_HARNESS_MAIN
