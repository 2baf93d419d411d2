// SPDX-License-Identifier: GPL-2.0-only
/* virtio-blk and drivers that break the rules: a status where there is one to give, else the device
 * stops and needs a reset; never a byte outside the request. */
#include <fcntl.h>

#include "kselftest_harness.h"
#include "blk_driver.h"

#define SECTORS 64u
#define TAIL 8u /* sectors of the file that are not the disk's */
#define S VIRTIO_BLK_SECTOR

FIXTURE(bad)
{
	struct blk_rig g;
	int image;
};

FIXTURE_SETUP(bad)
{
	struct virtio_blk_options options = {.sectors = SECTORS, .queues = 1};

	self->image = blk_image(SECTORS + TAIL);
	options.fd = dup(self->image);
	ASSERT_EQ(0, blk_create(&self->g, &options));
	blk_probe(&self->g, BLK_FEATURES_RW);
	memset(blk_data(&self->g, 0), 0xee, BLK_SLOT_BYTES);
}

FIXTURE_TEARDOWN(bad)
{
	blk_destroy(&self->g);
	close(self->image);
}

/* The file is as it was made. */
static bool is_untouched(int image)
{
	for (uint64_t i = 0; i < SECTORS + TAIL; i++) {
		uint64_t number = 0;

		if (pread(image, &number, sizeof(number), (off_t)(i * S)) != sizeof(number) ||
		    number != i + 1)
			return false;
	}
	return lseek(image, 0, SEEK_END) == (SECTORS + TAIL) * S;
}

/* Nothing was written to slot 0. */
static bool is_blank(struct blk_rig *g)
{
	const uint8_t *data = blk_data(g, 0);

	return data[0] == 0xee && !memcmp(data, data + 1, BLK_SLOT_BYTES - 1);
}

#define EXPECT_REFUSED(expected)                           \
	do {                                               \
		EXPECT_EQ(expected, blk_end(&self->g, 0)); \
		EXPECT_TRUE(is_untouched(self->image));    \
		EXPECT_TRUE(is_blank(&self->g));           \
		EXPECT_EQ(0, self->g.broken);              \
	} while (0)

TEST_F(bad, sectors_outside_the_disk_are_an_error)
{
	static const uint64_t sectors[] = {SECTORS,	      SECTORS - 1, SECTORS + 1,
					   UINT64_C(1) << 55, UINT64_MAX,  UINT64_MAX - 1,
					   UINT64_MAX / S};
	struct blk_rig *g = &self->g;

	for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
		ASSERT_LE(0, blk_read(g, 0, 0, sectors[i], 2 * S));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
		ASSERT_LE(0, blk_write(g, 0, 0, sectors[i], 2 * S));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
		ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, sectors[i], 2, 0));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
		ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, sectors[i], 2, 0));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	}
}

TEST_F(bad, types_that_are_not_known_are_unsupported)
{
	static const uint32_t types[] = {2, 3, 5, 7, 9, 10, 12, 14, 15, 0x80000000, UINT32_MAX};
	struct blk_rig *g = &self->g;
	struct vd_buffer data = {blk_data_gpa(0), S, true};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		ASSERT_LE(0, blk_add(g, 0, 0, types[i], 0, &data));
		EXPECT_REFUSED(VIRTIO_BLK_S_UNSUPP);
	}
}

TEST_F(bad, lengths_that_are_no_sectors_are_an_error)
{
	static const uint32_t lengths[] = {1, 511, 513, 1023};
	struct blk_rig *g = &self->g;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ASSERT_LE(0, blk_read(g, 0, 0, 0, lengths[i]));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
		ASSERT_LE(0, blk_write(g, 0, 0, 0, lengths[i]));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	}
}

TEST_F(bad, transfers_without_data_are_an_error)
{
	struct blk_rig *g = &self->g;

	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_IN, 0, NULL));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_OUT, 0, NULL));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
}

TEST_F(bad, data_in_the_wrong_direction_is_an_error)
{
	struct vd_buffer readable = {blk_data_gpa(0), S, false};
	struct vd_buffer writable = {blk_data_gpa(0), S, true};
	const struct {
		uint32_t type;
		struct vd_buffer *data;
	} wrong[] = {{VIRTIO_BLK_T_IN, &readable},	    {VIRTIO_BLK_T_OUT, &writable},
		     {VIRTIO_BLK_T_FLUSH, &readable},	    {VIRTIO_BLK_T_FLUSH, &writable},
		     {VIRTIO_BLK_T_GET_ID, &readable},	    {VIRTIO_BLK_T_DISCARD, &writable},
		     {VIRTIO_BLK_T_WRITE_ZEROES, &writable}};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ASSERT_LE(0, blk_add(&self->g, 0, 0, wrong[i].type, 0, wrong[i].data));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	}
}

TEST_F(bad, data_in_both_directions_is_an_error)
{
	struct blk_rig *g = &self->g;
	const struct vd_buffer both[] = {{blk_header_gpa(0), 16, false},
					 {blk_data_gpa(0), S, false},
					 {blk_data_gpa(0) + S, S, true},
					 {blk_status_gpa(0), 1, true}};

	for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
		blk_set_header(g, 0, type, 0);
		ASSERT_LE(0, vd_add(&g->q[0], both, 4));
		EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	}
}

TEST_F(bad, id_without_room_is_an_error)
{
	struct vd_buffer data = {blk_data_gpa(0), 19, true};

	ASSERT_LE(0, blk_add(&self->g, 0, 0, VIRTIO_BLK_T_GET_ID, 0, &data));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
}

TEST_F(bad, ranges_that_cannot_be_are_an_error)
{
	struct blk_rig *g = &self->g;
	struct vd_buffer data = {blk_ranges_gpa(0), 15, false};
	const struct virtio_blk_discard_write_zeroes two[] = {{0, 8, 0}, {SECTORS - 1, 2, 0}};

	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, &data));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	data.length = 17 * 16; /* more than we said that we take */
	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, &data));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, 0, 0));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	/* One bad range, and none is done. */
	gmem__write(&g->mem, blk_ranges_gpa(0), two, sizeof(two));
	data.length = sizeof(two);
	ASSERT_LE(0, blk_add(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &data));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
}

/* §5.2.6.2: flags that are not known, and the unmap flag of a discard. */
TEST_F(bad, flags_of_ranges_that_are_not_known_are_unsupported)
{
	struct blk_rig *g = &self->g;

	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, 8, 1));
	EXPECT_REFUSED(VIRTIO_BLK_S_UNSUPP);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2));
	EXPECT_REFUSED(VIRTIO_BLK_S_UNSUPP);
}

TEST_F(bad, what_was_not_negotiated_is_unsupported)
{
	struct blk_rig *g = &self->g;

	blk_probe(g, BLK_FEATURES);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	EXPECT_REFUSED(VIRTIO_BLK_S_UNSUPP);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0));
	EXPECT_REFUSED(VIRTIO_BLK_S_UNSUPP);
}

TEST_F(bad, read_only_disk_refuses_everything_that_writes)
{
	struct virtio_blk_options options = {
		.fd = dup(self->image), .sectors = SECTORS, .queues = 1, .read_only = true};
	struct blk_rig *g = &self->g;

	blk_destroy(g);
	ASSERT_EQ(0, blk_create(g, &options));
	memset(blk_data(g, 0), 0xee, BLK_SLOT_BYTES);
	blk_wr(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	EXPECT_EQ(BLK_BIT(VIRTIO_BLK_F_RO),
		  blk_rd(g, VIRTIO_MMIO_DEVICE_FEATURES) &
			  (BLK_BIT(VIRTIO_BLK_F_RO) | BLK_BIT(VIRTIO_BLK_F_DISCARD) |
			   BLK_BIT(VIRTIO_BLK_F_WRITE_ZEROES)));
	blk_probe(g, BLK_FEATURES); /* a driver that does not look at RO */
	ASSERT_LE(0, blk_write(g, 0, 0, 0, S));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_DISCARD, 0, 8, 0));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	ASSERT_LE(0, blk_range(g, 0, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
	ASSERT_LE(0, blk_read(g, 0, 0, 5, S));
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_end(g, 0));
	EXPECT_EQ(6, blk_data(g, 0)[0]);
}

/* ---- Without a place for the status: the device stops ---- */

/* It stopped because of @why, and after a reset it works. */
static bool stopped(struct blk_rig *g, const char *why)
{
	bool as_expected;

	blk_kick(g, 0);
	blk_run(g);
	as_expected = g->broken == 1 && strstr(g->reason, why) &&
		      blk_rd(g, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
	if (!as_expected)
		fprintf(stderr, "# broken %u: %s, not %s\n", g->broken, g->reason, why);
	g->broken = 0;
	blk_probe(g, BLK_FEATURES_RW);
	return as_expected && blk_read(g, 0, 1, 3, S) >= 0 && blk_end(g, 1) == VIRTIO_BLK_S_OK &&
	       blk_data(g, 1)[0] == 4;
}

#define EXPECT_STOPPED(why)                             \
	do {                                            \
		EXPECT_TRUE(stopped(&self->g, why));    \
		EXPECT_TRUE(is_untouched(self->image)); \
		EXPECT_TRUE(is_blank(&self->g));        \
	} while (0)

TEST_F(bad, missing_status_byte_stops_the_device)
{
	struct blk_rig *g = &self->g;
	const struct vd_buffer buffers[] = {{blk_header_gpa(0), 16, false},
					    {blk_data_gpa(0), S, false}};

	for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++) {
		blk_set_header(g, 0, type, 0);
		ASSERT_LE(0, vd_add(&g->q[0], buffers, 2));
		EXPECT_STOPPED("without a byte for its status");
	}
}

TEST_F(bad, header_that_is_cut_stops_the_device)
{
	struct blk_rig *g = &self->g;
	const struct vd_buffer buffers[] = {{blk_header_gpa(0), 15, false},
					    {blk_data_gpa(0), S + 1, true}};

	blk_set_header(g, 0, VIRTIO_BLK_T_IN, 0);
	ASSERT_LE(0, vd_add(&g->q[0], buffers, 2));
	EXPECT_STOPPED("without a whole header (15 bytes)");
	ASSERT_LE(0, vd_add(&g->q[0], buffers + 1, 1));
	EXPECT_STOPPED("without a whole header (0 bytes)");
}

TEST_F(bad, chains_that_cannot_be_stop_the_device)
{
	struct blk_rig *g = &self->g;
	int head;

	head = blk_read(g, 0, 0, 0, S);
	g->q[0].desc[g->q[0].desc[head].next].next = (uint16_t)head; /* never gets to its end */
	g->q[0].desc[head].flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE;
	EXPECT_STOPPED("more descriptors in a chain");

	head = blk_read(g, 0, 0, 0, S);
	g->q[0].desc[g->q[0].desc[head].next].addr = BLK_RAM - 1;
	EXPECT_STOPPED("not in RAM");

	head = blk_read(g, 0, 0, 0, S);
	g->q[0].desc[g->q[0].desc[head].next].addr = UINT64_MAX - 100;
	EXPECT_STOPPED("not in RAM");

	head = blk_read(g, 0, 0, 0, S);
	g->q[0].desc[g->q[0].desc[head].next].len = 0;
	EXPECT_STOPPED("without length");

	head = blk_read(g, 0, 0, 0, S);
	g->q[0].desc[head].next = VIRTQ_MAX_SIZE;
	EXPECT_STOPPED("index outside its table");

	head = blk_write(g, 0, 0, 0, S);
	g->q[0].desc[head].flags |= VRING_DESC_F_WRITE;
	EXPECT_STOPPED("readable descriptor after a writable one");

	vd_offer(&g->q[0], VIRTQ_MAX_SIZE + 1);
	vd_publish(&g->q[0]);
	EXPECT_STOPPED("index outside its table");

	g->q[0].avail_idx = (uint16_t)(g->q[0].avail_idx + VIRTQ_MAX_SIZE + 1);
	vd_publish(&g->q[0]);
	EXPECT_STOPPED("more than the queue size ahead");
}

/* The device reads where it is told to, be it a place that it writes as well: RAM is the guest's.
 */
TEST_F(bad, buffers_that_overlap_end_like_others)
{
	struct blk_rig *g = &self->g;
	const uint64_t data = blk_data_gpa(2);
	const struct vd_buffer buffers[] = {{data, 16, false},
					    {data, S, true},
					    {data + 256, S, true},
					    {g->q[0].used_gpa + 8, S, true},
					    {data + 511, 1, true}};
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN, .sector = 1};

	memcpy(blk_data(g, 2), &header, sizeof(header));
	ASSERT_LE(0, vd_add(&g->q[0], buffers, 5));
	blk_kick(g, 0);
	loop__dispatch(virtio_blk__loop(g->b), -1);
	blk_run(g);
	EXPECT_EQ(VIRTIO_BLK_S_OK, blk_data(g, 2)[511]);
	EXPECT_TRUE(is_untouched(self->image));
	EXPECT_TRUE(is_blank(g));
	EXPECT_EQ(0, g->broken);
}

/* 254 times all of RAM, to a disk of some KiB. */
TEST_F(bad, request_larger_than_the_disk_is_an_error)
{
	struct blk_rig *g = &self->g;
	struct vd_buffer buffers[] = {{blk_header_gpa(0), 16, false},
				      {0, BLK_RAM, true},
				      {0, BLK_RAM, true},
				      {blk_status_gpa(0), 1, true}};

	blk_set_header(g, 0, VIRTIO_BLK_T_IN, 0);
	ASSERT_LE(0, vd_add(&g->q[0], buffers, 4));
	EXPECT_REFUSED(VIRTIO_BLK_S_IOERR);
}

TEST_HARNESS_MAIN
