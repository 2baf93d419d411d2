// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-net and drivers that break the rules: what is no frame is dropped and counted, what is no
 * chain stops the device until it is reset; the others on the switch go on, and nobody gets a byte
 * outside its buffers.
 */
#include <netinet/in.h>

#include "kselftest_harness.h"
#include "net_driver.h"

#define BUFFER 2048u
#define MAX_FRAME (65536u + 18u)

FIXTURE(bad)
{
	struct net_rig g;
	uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];
	struct virtio_net_hdr_v1 header;
};

FIXTURE_SETUP(bad)
{
	static const struct virtio_net_options options[2];

	ASSERT_EQ(0, nd_create(&self->g, options, 2));
	for (uint32_t i = 0; i < 2; i++) {
		nd_probe(&self->g.nics[i], ND_LINUX);
		nd_fill(&self->g.nics[i], 0, 64, BUFFER);
	}
	nd_frame(self->out, 200, 0xff, 0, 1);
	nd_run(&self->g);
}

FIXTURE_TEARDOWN(bad)
{
	nd_destroy(&self->g);
}

/* Frame and header as they are in @self: nobody gets it, and it is counted. */
#define EXPECT_DROPPED(length)                                                                \
	do {                                                                                  \
		uint64_t before_bad = virtio_net__counts(self->g.nics[0].n)->tx_bad;          \
		ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, length, &self->header)); \
		nd_run(&self->g);                                                             \
		EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));                                  \
		EXPECT_EQ(before_bad + 1, virtio_net__counts(self->g.nics[0].n)->tx_bad);     \
		EXPECT_EQ(-EAGAIN, nd_receive(&self->g.nics[1], 0, self->in, &self->header)); \
		EXPECT_EQ(0, self->g.nics[0].broken);                                         \
	} while (0)

#define EXPECT_PASSED(length)                                                                 \
	do {                                                                                  \
		ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, length, &self->header)); \
		nd_run(&self->g);                                                             \
		EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));                                  \
		EXPECT_EQ((int)(length),                                                      \
			  nd_receive(&self->g.nics[1], 0, self->in, &self->header));          \
		EXPECT_EQ(0, memcmp(self->in, self->out, length));                            \
	} while (0)

TEST_F(bad, frames_without_a_whole_header_or_too_long_are_dropped)
{
	EXPECT_DROPPED(0);
	EXPECT_DROPPED(1);
	EXPECT_DROPPED(13);
	EXPECT_PASSED(14);
	EXPECT_DROPPED(MAX_FRAME + 1);
	nd_frame(self->out, MAX_FRAME, 0xff, 0, 1);
	EXPECT_PASSED(MAX_FRAME);
}

TEST_F(bad, frame_of_all_of_ram_is_dropped)
{
	struct nd_nic *nic = &self->g.nics[0];
	const struct vd_buffer b[] = {{0, (uint32_t)ND_RAM, false}, {0, (uint32_t)ND_RAM, false}};

	ASSERT_LE(0, vd_add(&nic->q[1], b, 2));
	nd_kick(nic, 1);
	nd_run(&self->g);
	EXPECT_EQ(1, nd_clean(nic, 0));
	EXPECT_EQ(1, virtio_net__counts(nic->n)->tx_bad);
	EXPECT_EQ(-EAGAIN, nd_receive(&self->g.nics[1], 0, self->in, &self->header));
}

TEST_F(bad, checksum_outside_the_frame_is_dropped)
{
	static const struct {
		uint16_t start, offset;
	} places[] = {{199, 0},	      {198, 1},	  {0, 199},    {14, 185},
		      {65535, 65535}, {65535, 0}, {14, 65535}, {13, 0}};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		self->header = (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
							  .csum_start = places[i].start,
							  .csum_offset = places[i].offset};
		EXPECT_DROPPED(200);
	}
	self->header = (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 14, .csum_offset = 184};
	EXPECT_PASSED(200);
	EXPECT_EQ(VIRTIO_NET_HDR_F_NEEDS_CSUM, self->header.flags);
}

/* An IPv4 TCP segment of 1000 bytes to be cut at 100. */
static void tcp_segment(uint8_t *frame, struct virtio_net_hdr_v1 *header)
{
	nd_frame(frame, 1054, 0xff, 0, 1);
	memset(frame + 12, 0, 42);
	frame[12] = 8;
	frame[14] = 0x45;
	frame[23] = IPPROTO_TCP;
	frame[46] = 0x50;
	*header = (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					     .gso_size = 100,
					     .hdr_len = 65535, /* a hint, not to be trusted */
					     .csum_start = 34,
					     .csum_offset = 16};
}

#define EXPECT_SEGMENT_DROPPED(change)                 \
	do {                                           \
		tcp_segment(self->out, &self->header); \
		change;                                \
		EXPECT_DROPPED(1054);                  \
	} while (0)

TEST_F(bad, segments_that_cannot_be_cut_are_dropped)
{
	tcp_segment(self->out, &self->header);
	EXPECT_PASSED(1054);
	EXPECT_EQ(VIRTIO_NET_HDR_GSO_TCPV4, self->header.gso_type);
	EXPECT_EQ(54, self->header.hdr_len);
	EXPECT_EQ(100, self->header.gso_size);
	EXPECT_SEGMENT_DROPPED(self->header.gso_size = 0);
	EXPECT_SEGMENT_DROPPED(self->header.flags = 0);
	EXPECT_SEGMENT_DROPPED(self->header.gso_type = VIRTIO_NET_HDR_GSO_UDP);
	EXPECT_SEGMENT_DROPPED(self->header.gso_type = 2);
	EXPECT_SEGMENT_DROPPED(self->header.gso_type = 0x7f);
	EXPECT_SEGMENT_DROPPED(self->header.gso_type = VIRTIO_NET_HDR_GSO_ECN);
	EXPECT_SEGMENT_DROPPED(self->header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6);
	EXPECT_SEGMENT_DROPPED(self->header.csum_offset = 6);
	EXPECT_SEGMENT_DROPPED(self->header.csum_start = 33);
	EXPECT_SEGMENT_DROPPED(self->header.csum_start = 1000); /* data offset 0 or beyond */
	EXPECT_SEGMENT_DROPPED(self->out[46] = 0x40);
	EXPECT_SEGMENT_DROPPED(self->out[12] = 9);
	tcp_segment(self->out, &self->header);
	EXPECT_DROPPED(54); /* nothing to cut */
}

TEST_F(bad, work_that_was_not_negotiated_is_dropped)
{
	struct nd_nic *nic = &self->g.nics[0];

	nd_probe(nic, ND_PLAIN);
	nd_run(&self->g);
	tcp_segment(self->out, &self->header);
	self->header.gso_type = 0;
	EXPECT_DROPPED(1054);
	nd_probe(nic, ND_PLAIN | ND_BIT(VIRTIO_NET_F_CSUM));
	nd_run(&self->g);
	tcp_segment(self->out, &self->header);
	EXPECT_DROPPED(1054);
	tcp_segment(self->out, &self->header);
	self->header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	nd_probe(nic, ND_PLAIN | ND_BIT(VIRTIO_NET_F_CSUM) | ND_BIT(VIRTIO_NET_F_HOST_TSO4));
	nd_run(&self->g);
	EXPECT_DROPPED(1054);
	tcp_segment(self->out, &self->header);
	EXPECT_PASSED(1054);
}

/* §5.1.6.2.2: flags that are not known, and what has no meaning in what is sent. */
TEST_F(bad, rest_of_the_header_is_ignored)
{
	self->header = (struct virtio_net_hdr_v1){.flags = 0xfe,
						  .hdr_len = 65535,
						  .gso_size = 65535,
						  .csum_start = 65535,
						  .csum_offset = 65535,
						  .num_buffers = 65535};
	EXPECT_PASSED(200);
	EXPECT_EQ(0, self->header.flags);
	EXPECT_EQ(0, self->header.gso_size);
	EXPECT_EQ(0, self->header.csum_start);
	EXPECT_EQ(1, self->header.num_buffers);
}

/* ---- What stops the device ---- */

/* NIC @i stopped because of @why; the other did not; after a reset it works. */
static bool stopped(struct net_rig *g, uint32_t i, const char *why)
{
	static uint8_t out[200], in[ND_MAX_FRAME];
	struct nd_nic *nic = &g->nics[i], *other = &g->nics[!i];
	struct virtio_net_hdr_v1 header;
	bool as_expected;
	int n;

	nd_run(g);
	as_expected = nic->broken == 1 && strstr(nic->reason, why) && !other->broken &&
		      nd_rd(nic, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
	if (!as_expected)
		fprintf(stderr, "# broken %u: %s, not %s\n", nic->broken, nic->reason, why);
	nd_probe(nic, ND_LINUX);
	nd_fill(nic, 0, 64, BUFFER);
	nd_run(g);
	while (nd_receive(other, 0, in, &header) >= 0)
		;
	nd_frame(out, sizeof(out), 0xff, (uint8_t)i, 9);
	nd_send(nic, 0, out, sizeof(out), NULL);
	nd_run(g);
	n = nd_receive(other, 0, in, &header);
	return as_expected && n == (int)sizeof(out) && !memcmp(in, out, sizeof(out));
}

TEST_F(bad, frame_without_a_whole_header_stops_the_device)
{
	struct nd_nic *nic = &self->g.nics[0];
	struct vd_buffer b = {nic->ram + ND_TX, ND_HEADER - 1, false};

	ASSERT_LE(0, vd_add(&nic->q[1], &b, 1));
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "without a whole header (11 bytes)"));
}

TEST_F(bad, frame_in_the_wrong_direction_stops_the_device)
{
	struct nd_nic *nic = &self->g.nics[0];
	const struct vd_buffer b[] = {{nic->ram + ND_TX, 200, false},
				      {nic->ram + ND_TX + 4096, 100, true}};

	ASSERT_LE(0, vd_add(&nic->q[1], b, 2));
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "to be written (100 bytes)"));
	ASSERT_LE(0, vd_add(&nic->q[1], b + 1, 1));
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "to be written (100 bytes)"));
}

/* The sender has nothing to do with it. */
TEST_F(bad, receive_buffers_that_cannot_be_stop_the_receiver)
{
	struct nd_nic *to = &self->g.nics[1];
	const struct vd_buffer readable = {to->ram + ND_RX, BUFFER, false};
	const struct vd_buffer small = {to->ram + ND_RX, ND_HEADER - 1, true};

	nd_probe(to, ND_LINUX);
	ASSERT_LE(0, vd_add(&to->q[0], &readable, 1));
	nd_kick(to, 0);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 200, NULL));
	EXPECT_TRUE(stopped(&self->g, 1, "receive buffer that is to be read (2048 bytes)"));

	nd_probe(to, ND_LINUX);
	ASSERT_LE(0, vd_add(&to->q[0], &small, 1));
	nd_kick(to, 0);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 200, NULL));
	EXPECT_TRUE(stopped(&self->g, 1, "without room for a header (11 bytes)"));
	EXPECT_EQ(2, virtio_net__counts(to->n)->rx_dropped);
	EXPECT_EQ(2, nd_clean(&self->g.nics[0], 0));
}

TEST_F(bad, chains_that_cannot_be_stop_the_device)
{
	struct nd_nic *nic = &self->g.nics[0];
	struct virtq_driver *q = &nic->q[1];
	int head;

	head = nd_queue(nic, 0, self->out, 200, NULL);
	q->desc[head].flags = VRING_DESC_F_NEXT;
	q->desc[head].next = (uint16_t)head;
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "more descriptors in a chain"));

	head = nd_queue(nic, 0, self->out, 200, NULL);
	q->desc[head].addr = ND_RAM - 100;
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "not in RAM"));

	head = nd_queue(nic, 0, self->out, 200, NULL);
	q->desc[head].addr = UINT64_MAX - 100;
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "not in RAM"));

	head = nd_queue(nic, 0, self->out, 200, NULL);
	q->desc[head].len = 0;
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "without length"));

	vd_offer(q, VIRTQ_MAX_SIZE);
	vd_publish(q);
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "index outside its table"));

	q->avail_idx = (uint16_t)(q->avail_idx + VIRTQ_MAX_SIZE + 1);
	vd_publish(q);
	nd_kick(nic, 1);
	EXPECT_TRUE(stopped(&self->g, 0, "more than the queue size ahead"));
}

/* The second of two buffers that one frame needs: the first has been written by then. */
TEST_F(bad, receive_chain_that_breaks_in_the_middle_of_a_frame_stops_the_receiver)
{
	struct nd_nic *to = &self->g.nics[1];
	int head;

	nd_probe(to, ND_LINUX);
	nd_fill(to, 0, 2, BUFFER);
	head = (to->q[0].avail->ring[1]);
	to->q[0].desc[head].addr = ND_RAM - 1;
	nd_frame(self->out, 3000, 0xff, 0, 1);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 3000, NULL));
	EXPECT_TRUE(stopped(&self->g, 1, "not in RAM"));
}

/* ---- Buffers that are too small, commands ---- */

TEST_F(bad, buffer_too_small_is_left_where_buffers_are_not_merged)
{
	struct nd_nic *to = &self->g.nics[1];
	const uint8_t *data = gmem__ptr(&self->g.mem, to->ram + ND_RX, 4096);

	nd_probe(to, ND_PLAIN);
	nd_fill(to, 0, 1, 100 + ND_HEADER);
	nd_run(&self->g);
	memset((uint8_t *)(uintptr_t)data + 100 + ND_HEADER, 0xee, 200);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 101, NULL));
	nd_run(&self->g);
	EXPECT_EQ(-EAGAIN, nd_receive(to, 0, self->in, &self->header));
	EXPECT_EQ(1, virtio_net__counts(to->n)->rx_dropped);
	EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));
	EXPECT_EQ(0xee, data[100 + ND_HEADER]);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 100, NULL));
	nd_run(&self->g);
	EXPECT_EQ(100, nd_receive(to, 0, self->in, &self->header));
	EXPECT_EQ(1, self->header.num_buffers); /* §5.1.6.4.1 */
	EXPECT_EQ(0xee, data[100 + ND_HEADER]);
}

/* All of them are not enough for one frame: nobody waits for what can never be. */
TEST_F(bad, queue_of_smallest_buffers_drops_what_never_fits)
{
	struct nd_nic *to = &self->g.nics[1];

	ASSERT_LE(0, nd_send(to, 0, (nd_frame(self->in, 60, 0xff, 1, 0), self->in), 60, NULL));
	nd_probe(to, ND_LINUX);
	nd_fill(to, 0, 256, ND_HEADER);
	nd_run(&self->g);
	nd_frame(self->out, 4000, 1, 0, 1);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 4000, NULL));
	while (!nd_clean(&self->g.nics[0], 0))
		ASSERT_LT(0, loop__dispatch(net_switch__loop(self->g.sw), 10000));
	EXPECT_EQ(1, virtio_net__counts(to->n)->rx_dropped);
	EXPECT_EQ(0, to->broken);
	nd_frame(self->out, 255 * ND_HEADER, 1, 0, 1);
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 255 * ND_HEADER, NULL));
	nd_run(&self->g);
	EXPECT_EQ(255 * ND_HEADER, nd_receive(to, 0, self->in, &self->header));
	EXPECT_EQ(0, memcmp(self->in, self->out, 255 * ND_HEADER));
}

/*
 * The last buffer is where the driver says how many there are: the frame itself says that there are
 * more than the queue can hold.
 */
TEST_F(bad, frame_that_makes_more_buffers_than_the_queue_has_is_dropped)
{
	struct nd_nic *nic = &self->g.nics[1];
	const uint32_t at = (VIRTQ_MAX_SIZE - 2) * ND_HEADER;
	const uint16_t idx_and_ring[6] = {VIRTQ_MAX_SIZE + 200, 0, 1, 2, 3, 4};
	struct vd_buffer last;

	nd_probe(nic, ND_LINUX);
	nd_fill(nic, 0, VIRTQ_MAX_SIZE - 1, ND_HEADER);
	last = (struct vd_buffer){nic->q[0].avail_gpa + offsetof(struct vring_avail, idx),
				  sizeof(idx_and_ring), true};
	ASSERT_LE(0, vd_add(&nic->q[0], &last, 1));
	nd_kick(nic, 0);
	nd_run(&self->g);
	nd_frame(self->out, 6000, 0xff, 0, 1);
	memcpy(self->out + at, idx_and_ring, sizeof(idx_and_ring));
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 6000, NULL));
	nd_run(&self->g);
	EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));
	EXPECT_EQ(1, virtio_net__counts(nic->n)->rx_dropped);
	EXPECT_EQ(0, virtio_net__counts(nic->n)->rx_frames);
	EXPECT_EQ(0, self->g.nics[0].broken);
}

/* Each of them would be a copy of all headers: bytes by the square of what was sent. */
TEST_F(bad, segment_with_headers_longer_than_any_are_dropped)
{
	tcp_segment(self->out, &self->header);
	memmove(self->out + 1014, self->out + 34, 40);
	self->out[12] = 0x86;
	self->out[13] = 0xdd;
	self->header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	self->header.csum_start = 1014;
	EXPECT_DROPPED(1060);
}

/* A segment is as long as the frames that it becomes, whoever cuts it. */
TEST_F(bad, segment_of_frames_larger_than_the_mtu_does_not_arrive)
{
	static const struct virtio_net_options options[2] = {{.mtu = 0}, {.mtu = 1500}};

	nd_destroy(&self->g);
	ASSERT_EQ(0, nd_create(&self->g, options, 2));
	for (uint32_t i = 0; i < 2; i++) {
		nd_probe(&self->g.nics[i], ND_LINUX);
		nd_fill(&self->g.nics[i], 0, 64, BUFFER);
	}
	nd_run(&self->g);
	tcp_segment(self->out, &self->header);
	self->header.gso_size = 1460;
	EXPECT_PASSED(60000);
	tcp_segment(self->out, &self->header);
	self->header.gso_size = 1461;
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 60000, &self->header));
	nd_run(&self->g);
	EXPECT_EQ(-EAGAIN, nd_receive(&self->g.nics[1], 0, self->in, &self->header));
	EXPECT_EQ(1, virtio_net__counts(self->g.nics[1].n)->rx_too_long);
	EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));
	self->header.gso_size = 1461;
	EXPECT_PASSED(1514); /* the only one it becomes is shorter */
}

/* Each of them is 60000 frames for a receiver that cuts nothing. The others have their turn. */
static void queue_tiny_segments(FIXTURE_DATA(bad) * self)
{
	nd_probe(&self->g.nics[1], ND_PLAIN);
	tcp_segment(self->out, &self->header);
	memset(self->out, 0xff, 6);
	self->header.gso_size = 1;
	for (uint32_t i = 0; i < 12; i++)
		nd_queue(&self->g.nics[0], 0, self->out, 60054, &self->header);
	nd_kick(&self->g.nics[0], 1);
}

TEST_F(bad, segments_that_are_much_work_are_few_at_a_time)
{
	queue_tiny_segments(self);
	while (!nd_clean(&self->g.nics[0], 0))
		ASSERT_LT(0, loop__dispatch(net_switch__loop(self->g.sw), 0));
	EXPECT_EQ(60000, virtio_net__counts(self->g.nics[1].n)->rx_dropped);
	nd_run(&self->g);
	EXPECT_EQ(12 * 60000, virtio_net__counts(self->g.nics[1].n)->rx_dropped);
}

TEST_F(bad, segments_that_are_much_work_arrive_few_at_a_time)
{
	static const struct virtio_net_options options[2] = {{.delay_ns = 1}, {.delay_ns = 0}};
	const struct ktstr_nic_counts *counts;

	nd_destroy(&self->g);
	ASSERT_EQ(0, nd_create(&self->g, options, 2));
	nd_probe(&self->g.nics[0], ND_LINUX);
	nd_run(&self->g);
	queue_tiny_segments(self);
	counts = virtio_net__counts(self->g.nics[1].n);
	while (!counts->rx_dropped)
		ASSERT_LT(0, loop__dispatch(net_switch__loop(self->g.sw), -1));
	EXPECT_EQ(60000, counts->rx_dropped);
	while (counts->rx_dropped < 12 * 60000)
		ASSERT_LT(0, loop__dispatch(net_switch__loop(self->g.sw), -1));
}

TEST_F(bad, commands_that_are_not_known_or_cut_are_refused)
{
	struct nd_nic *nic = &self->g.nics[0];
	uint8_t command[16] = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1};

	EXPECT_EQ(VIRTIO_NET_ERR, nd_command(nic, command, 2));
	EXPECT_EQ(VIRTIO_NET_ERR, nd_command(nic, command, 3));
	EXPECT_EQ(VIRTIO_NET_ERR, nd_command(nic, command, 5));
	EXPECT_EQ(VIRTIO_NET_OK, nd_command(nic, command, 4));
	for (uint32_t class = 0; class < 256; class += 1) {
		command[0] = (uint8_t) class;
		command[1] = (uint8_t)(class == VIRTIO_NET_CTRL_MQ);
		EXPECT_EQ(VIRTIO_NET_ERR, nd_command(nic, command, 4));
	}
	EXPECT_EQ(0, nic->broken);
}

TEST_F(bad, command_without_a_place_for_its_end_stops_the_device)
{
	struct nd_nic *nic = &self->g.nics[0];
	const struct vd_buffer readable = {nic->ram + ND_TABLES, 4, false};
	const struct vd_buffer cut[] = {{nic->ram + ND_TABLES, 1, false},
					{nic->ram + ND_TABLES + 64, 1, true}};

	ASSERT_LE(0, vd_add(&nic->q[2], &readable, 1));
	nd_kick(nic, 2);
	EXPECT_TRUE(stopped(&self->g, 0, "without a byte for its end"));
	ASSERT_LE(0, vd_add(&nic->q[2], cut, 2));
	nd_kick(nic, 2);
	EXPECT_TRUE(stopped(&self->g, 0, "command without a whole header (1 bytes)"));
}

/* The device copies where it is told to, be it to what it is copying from: RAM is the guest's. */
TEST_F(bad, buffers_that_overlap_end_like_others)
{
	struct nd_nic *from = &self->g.nics[0], *to = &self->g.nics[1];
	struct vd_buffer b = {0, 1000, true};

	nd_probe(to, ND_LINUX);
	ASSERT_LE(0, nd_queue(from, 0, self->out, 200, NULL));
	b.gpa = from->ram + ND_TX + (from->tx_slot - 1) * ND_TX_SLOT + 7;
	ASSERT_LE(0, vd_add(&to->q[0], &b, 1));
	nd_kick(to, 0);
	nd_kick(from, 1);
	nd_run(&self->g);
	EXPECT_EQ(1, nd_clean(from, 0));
	EXPECT_EQ(0, from->broken + to->broken);
	EXPECT_EQ(1, virtio_net__counts(to->n)->rx_frames);
}

TEST_HARNESS_MAIN
