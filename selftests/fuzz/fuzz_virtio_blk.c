// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: virtio-blk with a hostile driver. The input is the guest's RAM from IMAGE_GPA
 * on, as it is when the driver notifies: rings of QUEUE_SIZE entries, then whatever is there.
 *
 * Its first byte is flags; after it the image begins: descriptor table, available ring, used ring
 * (without a gap), and from HEADERS on what descriptors may point to.
 */
#include "fuzz.h"

#include <string.h>

#include "../vmm/blk_driver.h"

#define FLAG_READ_ONLY 1u
#define FLAG_NO_INDIRECT 2u
#define FLAG_NO_EVENT_IDX 4u
#define FLAG_NO_FLUSH 8u
#define FLAG_NO_RANGES 16u
#define FLAG_AGAIN 32u /* the image is put back and notified a second time */
#define FLAG_RESET 64u /* the driver resets right after it has notified */
#define FLAG_THROTTLE 128u

#define IMAGE_GPA UINT64_C(0x1000)
#define IMAGE_BYTES 0x8000u
#define QUEUE_SIZE 8u
#define SECTORS 32u
#define TAIL 2u /* sectors of the file behind the disk */

struct target {
	struct blk_rig g;
	int image;
	uint8_t content[(SECTORS + TAIL) * VIRTIO_BLK_SECTOR]; /* of the file */
};

/* One device for each way in which they can differ, for the whole run. */
static struct target *targets[4];

static struct target *get_target(uint8_t flags)
{
	uint32_t which = !!(flags & FLAG_READ_ONLY) + 2u * !!(flags & FLAG_THROTTLE);
	struct virtio_blk_options options = {
		.sectors = SECTORS,
		.queues = 1,
		.read_only = flags & FLAG_READ_ONLY,
		.engine = FILE_IO_THREADS,
	};
	struct target *t = targets[which];

	if (t)
		return t;
	if (flags & FLAG_THROTTLE)
		options.operations = (struct throttle_limit){.rate = 1000000, .burst = 1};
	t = calloc(1, sizeof(*t));
	FUZZ_CHECK(t);
	t->image = blk_image(SECTORS + TAIL);
	options.fd = dup(t->image);
	FUZZ_CHECK(!blk_create(&t->g, &options));
	targets[which] = t;
	return t;
}

static void restore_file(struct target *t)
{
	uint64_t number;

	memset(t->content, 0, sizeof(t->content));
	for (number = 1; number <= SECTORS + TAIL; number++)
		memcpy(t->content + (number - 1) * VIRTIO_BLK_SECTOR, &number, sizeof(number));
	FUZZ_CHECK(pwrite(t->image, t->content, sizeof(t->content), 0) ==
		   (ssize_t)sizeof(t->content));
}

static uint64_t negotiate(uint8_t flags)
{
	uint64_t features = BLK_FEATURES_RW & ~BLK_BIT(VIRTIO_BLK_F_MQ);

	if (flags & FLAG_NO_INDIRECT)
		features &= ~BLK_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (flags & FLAG_NO_EVENT_IDX)
		features &= ~BLK_BIT(VIRTIO_RING_F_EVENT_IDX);
	if (flags & FLAG_NO_FLUSH)
		features &= ~BLK_BIT(VIRTIO_BLK_F_FLUSH);
	if (flags & (FLAG_NO_RANGES | FLAG_READ_ONLY))
		features &= ~(BLK_BIT(VIRTIO_BLK_F_DISCARD) | BLK_BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	return features;
}

/* As blk_probe(), with a queue in the image. */
static void set_up(struct blk_rig *g, uint8_t flags)
{
	uint64_t features = negotiate(flags);
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	blk_wr(g, VIRTIO_MMIO_STATUS, 0);
	blk_wr(g, VIRTIO_MMIO_STATUS, status);
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	blk_wr(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	blk_wr(g, VIRTIO_MMIO_STATUS, status);
	FUZZ_CHECK(blk_rd(g, VIRTIO_MMIO_STATUS) == status);
	blk_enable_queue(g, 0, IMAGE_GPA, QUEUE_SIZE, features & BLK_BIT(VIRTIO_RING_F_EVENT_IDX));
	blk_wr(g, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Until the device has nothing to do: it is at rest when its state can be saved. */
static void settle(struct blk_rig *g)
{
	static uint8_t state[4096];
	size_t size = virtio_mmio__state_size(g->t);

	FUZZ_CHECK(size <= sizeof(state));
	blk_run(g);
	while (virtio_mmio__save(g->t, state, size, NULL)) {
		FUZZ_CHECK(loop__dispatch(virtio_blk__loop(g->b), 10000) > 0);
		blk_run(g);
	}
	/* And what is saved can be loaded. */
	FUZZ_CHECK(!virtio_mmio__load(g->t, state, size, NULL));
	blk_run(g);
}

static void check_file(struct target *t, uint8_t flags)
{
	const size_t disk = SECTORS * VIRTIO_BLK_SECTOR;
	uint8_t now[sizeof(t->content) + 1];

	FUZZ_CHECK(pread(t->image, now, sizeof(now), 0) == (ssize_t)sizeof(t->content));
	FUZZ_CHECK(!memcmp(now + disk, t->content + disk, sizeof(t->content) - disk));
	if (flags & FLAG_READ_ONLY)
		FUZZ_CHECK(!memcmp(now, t->content, disk));
	else if (memcmp(now, t->content, disk) != 0)
		restore_file(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t flags = size ? data[0] : 0;
	struct target *t = get_target(flags);
	struct blk_rig *g = &t->g;
	uint8_t *ram = gmem__ptr(&g->mem, IMAGE_GPA, IMAGE_BYTES);
	uint32_t rounds = flags & FLAG_AGAIN ? 2 : 1;

	if (!t->content[0])
		restore_file(t);
	size = size ? size - 1 : 0;
	if (size > IMAGE_BYTES)
		size = IMAGE_BYTES;
	set_up(g, flags);
	blk_run(g);
	g->broken = 0;
	while (rounds--) {
		memset(ram, 0, IMAGE_BYTES);
		memcpy(ram, data + 1, size);
		blk_wr(g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		loop__dispatch(virtio_blk__loop(g->b), 0);
		if (flags & FLAG_RESET)
			blk_wr(g, VIRTIO_MMIO_STATUS, 0);
		settle(g);
		FUZZ_CHECK(g->broken <= 1);
		FUZZ_CHECK(!g->broken || (flags & FLAG_RESET) ||
			   blk_rd(g, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	check_file(t, flags);
	return 0;
}
