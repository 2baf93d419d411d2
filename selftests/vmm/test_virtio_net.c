// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-net end to end with a driver in user space: frames on a switch, queues, buffers, links.
 * Bad input is in test_virtio_net_bad.c, work that is left to others in test_net_frame.c.
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "kselftest_harness.h"
#include "net_driver.h"

#define BUFFER 2048u
#define LONG_NS UINT64_C(3600000000000)

FIXTURE(net)
{
	struct net_rig g;
	uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];
	struct virtio_net_hdr_v1 header;
};

FIXTURE_VARIANT(net)
{
	uint64_t features;
};

FIXTURE_VARIANT_ADD(net, as_linux){.features = ND_LINUX};
FIXTURE_VARIANT_ADD(net,
		    without_event_index){.features = ND_LINUX & ~ND_BIT(VIRTIO_RING_F_EVENT_IDX)};

/* Three NICs on a switch, with buffers in their first queue. */
FIXTURE_SETUP(net)
{
	static const struct virtio_net_options options[3] = {
		{.pairs = 4, .hold_ns = LONG_NS},
		{.pairs = 4, .hold_ns = LONG_NS},
		{.pairs = 1, .hold_ns = LONG_NS},
	};

	ASSERT_EQ(0, nd_create(&self->g, options, 3));
	for (uint32_t i = 0; i < 3; i++) {
		nd_probe(&self->g.nics[i], variant->features);
		nd_fill(&self->g.nics[i], 0, 64, BUFFER);
	}
	nd_run(&self->g);
}

FIXTURE_TEARDOWN(net)
{
	nd_destroy(&self->g);
}

/* Sends frame @number and runs the switch. */
#define SEND(from, to, length, number)                                                  \
	do {                                                                            \
		nd_frame(self->out, length, to, from, number);                          \
		ASSERT_LE(0, nd_send(&self->g.nics[from], 0, self->out, length, NULL)); \
		nd_run(&self->g);                                                       \
	} while (0)

#define EXPECT_FRAME(nic, length, number)                                              \
	do {                                                                           \
		memset(self->in, 0, sizeof(self->in));                                 \
		EXPECT_EQ((int)(length),                                               \
			  nd_receive(&self->g.nics[nic], 0, self->in, &self->header)); \
		EXPECT_EQ(0, memcmp(self->in + 14, self->out + 14, (length)-14));      \
	} while (0)

#define EXPECT_NOTHING(nic) \
	EXPECT_EQ(-EAGAIN, nd_receive(&self->g.nics[nic], 0, self->in, &self->header))

TEST_F(net, configuration_says_what_the_nic_is)
{
	struct nd_nic *nic = &self->g.nics[1];

	EXPECT_EQ(1, nd_rd(nic, VIRTIO_MMIO_DEVICE_ID));
	EXPECT_EQ(2, nd_config(nic, 0, 4));
	EXPECT_EQ(0x0100, nd_config(nic, 4, 2));
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP,
		  nd_config(nic, offsetof(struct virtio_net_config, status), 2));
	EXPECT_EQ(4, nd_config(nic, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2));
	nd_wr(nic, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	EXPECT_EQ((uint32_t)ND_LINUX, nd_rd(nic, VIRTIO_MMIO_DEVICE_FEATURES));
	nd_wr(nic, VIRTIO_MMIO_QUEUE_SEL, 8);
	EXPECT_EQ(256, nd_rd(nic, VIRTIO_MMIO_QUEUE_NUM_MAX));
	nd_wr(nic, VIRTIO_MMIO_QUEUE_SEL, 9);
	EXPECT_EQ(0, nd_rd(nic, VIRTIO_MMIO_QUEUE_NUM_MAX));
}

TEST_F(net, frame_for_many_or_for_nobody_known_goes_to_all_others)
{
	SEND(0, 0xff, 60, 1);
	EXPECT_FRAME(1, 60, 1);
	EXPECT_FRAME(2, 60, 1);
	EXPECT_NOTHING(0);
	EXPECT_EQ(1, self->header.num_buffers);
	EXPECT_EQ(0, self->header.flags);

	SEND(0, 2, 60, 2); /* 2 has not been heard of */
	EXPECT_FRAME(1, 60, 2);
	EXPECT_FRAME(2, 60, 2);
	EXPECT_NOTHING(0);
}

TEST_F(net, frame_for_an_address_that_was_heard_of_goes_there_alone)
{
	SEND(2, 0xff, 60, 1);
	EXPECT_FRAME(0, 60, 1);
	EXPECT_FRAME(1, 60, 1);
	SEND(0, 2, 60, 2);
	EXPECT_FRAME(2, 60, 2);
	EXPECT_NOTHING(1);
	EXPECT_NOTHING(0);
	SEND(2, 0, 60, 3);
	EXPECT_FRAME(0, 60, 3);
	EXPECT_NOTHING(1);
}

/* As when the guest moves an address to another interface. */
TEST_F(net, address_that_moves_is_followed)
{
	SEND(2, 0xff, 60, 1);
	EXPECT_FRAME(0, 60, 1);
	EXPECT_FRAME(1, 60, 1);
	nd_frame(self->out, 60, 0xff, 2, 2);
	ASSERT_LE(0, nd_send(&self->g.nics[1], 0, self->out, 60, NULL));
	nd_run(&self->g);
	EXPECT_FRAME(0, 60, 2);
	EXPECT_FRAME(2, 60, 2);
	SEND(0, 2, 60, 3);
	EXPECT_FRAME(1, 60, 3);
	EXPECT_NOTHING(2);
}

TEST_F(net, frame_for_the_sender_itself_goes_nowhere)
{
	SEND(0, 0, 60, 1); /* learned by this one */
	EXPECT_NOTHING(0);
	EXPECT_NOTHING(1);
	EXPECT_NOTHING(2);
	EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));
}

TEST_F(net, frame_is_spread_over_buffers_where_these_are_merged)
{
	SEND(0, 0xff, 9000, 1);
	EXPECT_FRAME(1, 9000, 1);
	EXPECT_EQ(5, self->header.num_buffers); /* of 2048, of which the first has a header */
	EXPECT_FRAME(2, 9000, 1);
	SEND(0, 0xff, BUFFER - ND_HEADER, 2);
	EXPECT_FRAME(1, BUFFER - ND_HEADER, 2);
	EXPECT_EQ(1, self->header.num_buffers);
	SEND(0, 0xff, BUFFER - ND_HEADER + 1, 3);
	EXPECT_FRAME(1, BUFFER - ND_HEADER + 1, 3);
	EXPECT_EQ(2, self->header.num_buffers);
}

/* §2.7.4.2: the framing of a message into descriptors says nothing. */
TEST_F(net, frames_and_buffers_may_be_cut_into_descriptors_anywhere)
{
	struct nd_nic *from = &self->g.nics[0], *to = &self->g.nics[1];
	const uint64_t tx = from->ram + ND_TX, rx = to->ram + ND_RX;
	const struct vd_buffer cut[] = {{tx, 5, false},
					{tx + 5, 8, false},
					{tx + 13, 1, false},
					{tx + 14, 500, false},
					{tx + 514, 98, false}};
	const struct vd_buffer room[] = {{rx, 11, true}, {rx + 11, 2, true}, {rx + 13, 2000, true}};

	nd_probe(to, variant->features);
	memset(gmem__ptr(&self->g.mem, rx, 4096), 0xee, 4096);
	ASSERT_LE(0, vd_add_indirect(&to->q[0], to->ram + ND_TABLES, room, 3));
	ASSERT_LE(0, vd_add_indirect(&to->q[0], to->ram + ND_TABLES + 256,
				     &(struct vd_buffer){rx + 2048, 20, true}, 1));
	nd_kick(to, 0);
	nd_frame(self->out, 600, 0xff, 0, 1);
	memset(gmem__ptr(&self->g.mem, tx, 12), 0, 12);
	gmem__write(&self->g.mem, tx + 12, self->out, 600);
	ASSERT_LE(0, vd_add_indirect(&from->q[1], from->ram + ND_TABLES, cut, 5));
	nd_kick(from, 1);
	nd_run(&self->g);
	EXPECT_EQ(0, memcmp(gmem__ptr(&self->g.mem, rx + 12, 600), self->out, 600));
	EXPECT_EQ(1, *(uint16_t *)gmem__ptr(&self->g.mem, rx + 10, 2));
	EXPECT_EQ(0xee, *(uint8_t *)gmem__ptr(&self->g.mem, rx + 612, 1));
	EXPECT_EQ(0xee, *(uint8_t *)gmem__ptr(&self->g.mem, rx + 2048, 1));
}

/* 64 buffers hold 64 frames; nothing of the next one is left in any. */
TEST_F(net, broadcast_without_buffers_is_dropped_and_counted)
{
	for (uint32_t i = 0; i < 70; i++) {
		SEND(0, 0xff, 60, i);
		nd_clean(&self->g.nics[0], 0);
		EXPECT_FRAME(2, 60, i);
	}
	EXPECT_EQ(64, virtio_net__counts(self->g.nics[1].n)->rx_frames);
	EXPECT_EQ(64 * 60, virtio_net__counts(self->g.nics[1].n)->rx_bytes);
	EXPECT_EQ(6, virtio_net__counts(self->g.nics[1].n)->rx_dropped);
	EXPECT_EQ(70, virtio_net__counts(self->g.nics[2].n)->rx_frames);
	EXPECT_EQ(70, virtio_net__counts(self->g.nics[0].n)->tx_frames);
	nd_frame(self->out, 60, 0xff, 0, 0);
	EXPECT_FRAME(1, 60, 0);
}

/* Five buffers are there, and the frame needs more: none of them is lost by that. */
TEST_F(net, frame_that_does_not_fit_leaves_the_buffers_for_others)
{
	struct nd_nic *to = &self->g.nics[1];

	nd_probe(to, variant->features);
	nd_fill(to, 0, 5, BUFFER);
	nd_run(&self->g);
	SEND(0, 0xff, 5 * BUFFER, 1);
	EXPECT_NOTHING(1);
	SEND(0, 0xff, 5 * BUFFER - ND_HEADER, 2);
	EXPECT_FRAME(1, 5 * BUFFER - ND_HEADER, 2);
	EXPECT_EQ(5, self->header.num_buffers);
	EXPECT_EQ(1, virtio_net__counts(to->n)->rx_dropped);
}

TEST_F(net, frame_for_one_waits_until_there_is_a_buffer)
{
	struct nd_nic *from = &self->g.nics[0], *to = &self->g.nics[1];

	SEND(1, 0xff, 60, 1);
	EXPECT_FRAME(0, 60, 1);
	nd_probe(to, variant->features);
	nd_fill(to, 0, 1, BUFFER);
	nd_run(&self->g);
	SEND(0, 1, 60, 2);
	EXPECT_EQ(1, nd_clean(from, 0));
	SEND(0, 1, 5000, 3); /* no room, and then not enough */
	EXPECT_EQ(0, nd_clean(from, 0));
	EXPECT_EQ(60, nd_receive(to, 0, self->in, &self->header));
	nd_run(&self->g);
	EXPECT_EQ(0, nd_clean(from, 0));
	EXPECT_NOTHING(1);
	for (uint32_t i = 1; i < 4; i++) {
		struct vd_buffer b = {nd_rx_gpa(to, 0, i, BUFFER), BUFFER, true};

		ASSERT_LE(0, vd_add(&to->q[0], &b, 1));
	}
	EXPECT_TRUE(vd_kick_needed(&to->q[0])); /* the device has asked for it */
	nd_wr(to, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	nd_run(&self->g);
	EXPECT_FRAME(1, 5000, 3);
	EXPECT_EQ(1, nd_clean(from, 0));
	EXPECT_EQ(0, virtio_net__counts(to->n)->rx_dropped);
	EXPECT_EQ(2, virtio_net__counts(from->n)->tx_frames);
}

/* The driver is asked to tell of buffers as long as somebody waits, whatever fits meanwhile. */
TEST_F(net, frame_that_fits_takes_no_notification_from_one_that_waits)
{
	struct nd_nic *from = &self->g.nics[0], *to = &self->g.nics[1];

	SEND(1, 0xff, 60, 1);
	EXPECT_FRAME(0, 60, 1);
	EXPECT_FRAME(2, 60, 1);
	nd_probe(to, variant->features);
	nd_fill(to, 0, 2, BUFFER);
	nd_run(&self->g);
	SEND(0, 1, 5000, 2); /* three buffers */
	EXPECT_EQ(0, nd_clean(from, 0));
	SEND(2, 0xff, 60, 3);
	EXPECT_FRAME(0, 60, 3);
	for (uint32_t i = 2; i < 5; i++) {
		struct vd_buffer b = {nd_rx_gpa(to, 0, i, BUFFER), BUFFER, true};

		ASSERT_LE(0, vd_add(&to->q[0], &b, 1));
	}
	nd_kick(to, 0);
	nd_run(&self->g);
	EXPECT_EQ(1, nd_clean(from, 0));
	EXPECT_FRAME(1, 60, 3);
	nd_frame(self->out, 5000, 1, 0, 2);
	EXPECT_FRAME(1, 5000, 2);
}

/* In a copy it waits as well: it is in the sender's queue. */
TEST_F(net, frame_that_waits_is_saved_with_its_queue)
{
	struct nd_nic *from = &self->g.nics[0], *to = &self->g.nics[1];
	size_t size = virtio_mmio__state_size(from->t);
	uint8_t *state = calloc(2, size);

	SEND(1, 0xff, 60, 1);
	EXPECT_FRAME(0, 60, 1);
	nd_probe(to, variant->features);
	nd_run(&self->g);
	SEND(0, 1, 60, 2);
	EXPECT_EQ(0, nd_clean(from, 0));
	ASSERT_EQ(0, virtio_mmio__save(from->t, state, size, NULL));
	ASSERT_EQ(0, virtio_mmio__save(to->t, state + size, size, NULL));
	nd_wr(from, VIRTIO_MMIO_STATUS, 0);
	nd_wr(to, VIRTIO_MMIO_STATUS, 0);
	ASSERT_EQ(0, virtio_mmio__load(from->t, state, size, NULL));
	ASSERT_EQ(0, virtio_mmio__load(to->t, state + size, size, NULL));
	nd_run(&self->g);
	EXPECT_EQ(0, nd_clean(from, 0));
	nd_fill(to, 0, 1, BUFFER);
	nd_run(&self->g);
	EXPECT_FRAME(1, 60, 2);
	EXPECT_EQ(1, nd_clean(from, 0));
	EXPECT_EQ(0, virtio_net__counts(to->n)->rx_dropped);
	free(state);
}

TEST_F(net, frame_for_one_without_a_driver_is_dropped_at_once)
{
	SEND(1, 0xff, 60, 1);
	EXPECT_FRAME(0, 60, 1);
	nd_wr(&self->g.nics[1], VIRTIO_MMIO_STATUS, 0);
	SEND(0, 1, 60, 2);
	EXPECT_EQ(1, nd_clean(&self->g.nics[0], 0));
	EXPECT_EQ(1, virtio_net__counts(self->g.nics[1].n)->rx_dropped);
}

TEST_F(net, interrupts_and_notifications_are_for_many_frames)
{
	struct nd_nic *from = &self->g.nics[0], *to = &self->g.nics[1];
	uint32_t kicks = 0;

	if (!(variant->features & ND_BIT(VIRTIO_RING_F_EVENT_IDX)))
		return;
	nd_edges(from);
	nd_edges(to);
	nd_frame(self->out, 60, 0xff, 0, 1);
	for (uint32_t i = 0; i < 32; i++) {
		ASSERT_LE(0, nd_queue(from, 0, self->out, 60, NULL));
		if (vd_kick_needed(&from->q[1])) {
			nd_wr(from, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
			kicks++;
		}
	}
	EXPECT_EQ(1, kicks);
	nd_run(&self->g);
	EXPECT_EQ(32, nd_clean(from, 0));
	EXPECT_EQ(1, nd_edges(to));
	EXPECT_GE(1, nd_edges(from));
}

/* ---- Queues ---- */

TEST_F(net, pairs_are_used_once_the_driver_says_so)
{
	struct nd_nic *from = &self->g.nics[0];

	nd_frame(self->out, 60, 0xff, 0, 1);
	ASSERT_LE(0, nd_send(from, 2, self->out, 60, NULL));
	nd_run(&self->g);
	EXPECT_NOTHING(1);
	EXPECT_EQ(VIRTIO_NET_OK, nd_set_pairs(from, 3));
	nd_run(&self->g);
	EXPECT_FRAME(1, 60, 1);
	EXPECT_EQ(1, nd_clean(from, 2));
	EXPECT_EQ(VIRTIO_NET_ERR, nd_set_pairs(from, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, nd_set_pairs(from, 5));
	EXPECT_EQ(VIRTIO_NET_OK, nd_set_pairs(from, 4));
}

static void udp_frame(uint8_t *frame, uint8_t to, uint8_t from, uint8_t port)
{
	memset(frame, 0, 60);
	nd_frame(frame, 14, to, from, 0);
	frame[12] = 8;
	frame[13] = 0;
	frame[14] = 0x45;
	frame[23] = 17; /* UDP */
	frame[29] = from;
	frame[33] = to;
	frame[34 + (from ? 3 : 1)] = port; /* the same number on NIC 0 */
}

/* §5.1.6.5.6: what comes back of a flow comes in the pair that it was sent by. */
TEST_F(net, flow_comes_back_to_the_pair_that_sent_of_it)
{
	struct nd_nic *a = &self->g.nics[0], *b = &self->g.nics[1];

	ASSERT_EQ(VIRTIO_NET_OK, nd_set_pairs(a, 4));
	for (uint32_t i = 1; i < 4; i++)
		nd_fill(a, i, 16, BUFFER);
	nd_run(&self->g);
	for (uint32_t i = 0; i < 16; i++) {
		udp_frame(self->out, 1, 0, (uint8_t)(i + 1));
		ASSERT_LE(0, nd_send(a, i * 3 % 4, self->out, 60, NULL));
		nd_run(&self->g);
	}
	for (uint32_t i = 0; i < 16; i++) {
		udp_frame(self->out, 0, 1, (uint8_t)(i + 1));
		ASSERT_LE(0, nd_send(b, 0, self->out, 60, NULL));
		nd_run(&self->g);
		EXPECT_EQ(60, nd_receive(a, i * 3 % 4, self->in, &self->header));
		EXPECT_EQ(0, memcmp(self->in, self->out, 60));
	}
}

/* ---- A thread for each pair of queues, as Linux has a CPU for each ---- */

#define PAIRS 4u
#define PAIR_FRAMES 1500u
#define PAIR_SLOTS (ND_TX_SLOTS / PAIRS)
#define PAIR_MAX 12000u

struct cpu {
	struct nd_nic *nic;
	uint32_t pair;
	uint8_t me, other;
	uint32_t sent, got;
	const char *wrong;
	uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];
};

static uint32_t length_of(uint8_t from, uint32_t pair, uint32_t number)
{
	uint64_t state = ((uint64_t)from << 40 | (uint64_t)pair << 32) + number + 1;

	return 60 + (uint32_t)((vd_random(&state) >> 32) % (PAIR_MAX - 60));
}

/* Frame @number of the flow of @pair. */
static uint32_t flow_frame(uint8_t *frame, uint8_t to, uint8_t from, uint32_t pair, uint32_t number)
{
	uint32_t length = length_of(from, pair, number);

	udp_frame(frame, to, from, (uint8_t)(pair + 1));
	for (uint32_t i = 42; i < length; i++)
		frame[i] = (uint8_t)(number * 13 + pair + from * 5 + i * 7 + (i >> 8));
	return length;
}

static void send_of_flow(struct cpu *c)
{
	uint32_t length = flow_frame(c->out, c->other, c->me, c->pair, c->sent);
	uint32_t slot = c->pair * PAIR_SLOTS + c->sent++ % PAIR_SLOTS;
	struct vd_buffer b = {c->nic->ram + ND_TX + (uint64_t)slot * ND_TX_SLOT, ND_HEADER + length,
			      false};

	memset(gmem__ptr(c->nic->mem, b.gpa, ND_HEADER), 0, ND_HEADER);
	gmem__write(c->nic->mem, b.gpa + ND_HEADER, c->out, length);
	if (vd_add(&c->nic->q[2 * c->pair + 1], &b, 1) < 0)
		abort();
	nd_kick(c->nic, 2 * c->pair + 1);
}

static void *cpu_thread(void *opaque)
{
	struct cpu *c = opaque;
	uint32_t cleaned = c->sent;

	while ((c->sent < PAIR_FRAMES || c->got < PAIR_FRAMES) && !c->wrong) {
		struct virtio_net_hdr_v1 header;
		int n;

		cleaned += nd_clean(c->nic, c->pair);
		if (c->sent < PAIR_FRAMES && c->sent - cleaned < PAIR_SLOTS)
			send_of_flow(c);
		n = nd_receive(c->nic, c->pair, c->in, &header);
		if (n == -EAGAIN) {
			sched_yield();
			continue;
		}
		if (n != (int)flow_frame(c->out, c->me, c->other, c->pair, c->got++))
			c->wrong = "length";
		else if (memcmp(c->in, c->out, (size_t)n) != 0)
			c->wrong = "data";
	}
	return NULL;
}

/* Each flow in order and whole, in the queue of the thread that sends of it. */
TEST(pairs_of_several_threads_have_their_flows)
{
	static const struct virtio_net_options options[2] = {{.pairs = PAIRS, .hold_ns = LONG_NS},
							     {.pairs = PAIRS, .hold_ns = LONG_NS}};
	static struct cpu cpus[2 * PAIRS];
	static struct net_rig g;
	struct virtio_net_hdr_v1 header;
	pthread_t threads[2 * PAIRS];

	ASSERT_EQ(0, nd_create(&g, options, 2));
	for (uint8_t i = 0; i < 2 * PAIRS; i++)
		cpus[i] = (struct cpu){
			.nic = &g.nics[i % 2], .pair = i / 2, .me = i % 2, .other = !(i % 2)};
	for (uint32_t i = 0; i < 2; i++) {
		nd_probe(&g.nics[i], ND_LINUX);
		ASSERT_EQ(VIRTIO_NET_OK, nd_set_pairs(&g.nics[i], PAIRS));
		for (uint32_t pair = 0; pair < PAIRS; pair++)
			nd_fill(&g.nics[i], pair, 128, BUFFER);
	}
	nd_run(&g);
	/* The first of each flow, by which it has its pair at both ends. */
	for (uint32_t i = 0; i < 2 * PAIRS; i++) {
		send_of_flow(&cpus[i]);
		nd_run(&g);
	}
	for (uint32_t i = 0; i < 2 * PAIRS; i++) {
		ASSERT_EQ(1, nd_clean(cpus[i].nic, cpus[i].pair));
		while (nd_receive(cpus[i].nic, cpus[i].pair, cpus[i].in, &header) > 0)
			;
		cpus[i].got = 1;
	}
	ASSERT_EQ(0, net_switch__start(g.sw, NULL, NULL));
	for (uint32_t i = 0; i < 2 * PAIRS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, cpu_thread, &cpus[i]));
	for (uint32_t i = 0; i < 2 * PAIRS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(NULL, cpus[i].wrong)
		{
			TH_LOG("NIC %u, pair %u: %s of frame %u", cpus[i].me, cpus[i].pair,
			       cpus[i].wrong, cpus[i].got - 1);
		}
	}
	net_switch__stop(g.sw);
	for (uint32_t i = 0; i < 2; i++) {
		EXPECT_EQ(PAIRS * PAIR_FRAMES, virtio_net__counts(g.nics[i].n)->rx_frames);
		EXPECT_EQ(0, virtio_net__counts(g.nics[i].n)->rx_dropped);
		EXPECT_EQ(0, g.nics[i].broken);
	}
	nd_destroy(&g);
}

/* §5.1.2: without VIRTIO_NET_F_MQ the control queue is behind the first pair. */
TEST_F(net, control_queue_is_the_third_without_mq)
{
	struct nd_nic *nic = &self->g.nics[0];
	uint8_t command[3] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1};

	nd_probe(nic, variant->features & ~ND_BIT(VIRTIO_NET_F_MQ));
	nd_run(&self->g);
	EXPECT_EQ(VIRTIO_NET_ERR, nd_command(nic, command, sizeof(command)));
	EXPECT_EQ(VIRTIO_NET_ERR, nd_set_pairs(nic, 1)); /* not negotiated */
	EXPECT_EQ(0, nic->broken);
}

TEST_F(net, reset_returns_to_one_pair_and_no_offloads)
{
	struct nd_nic *nic = &self->g.nics[1];

	ASSERT_EQ(VIRTIO_NET_OK, nd_set_pairs(nic, 4));
	nd_probe(nic, ND_PLAIN);
	nd_fill(nic, 0, 8, BUFFER);
	for (uint32_t i = 0; i < 8; i++) {
		udp_frame(self->out, 1, 0, (uint8_t)(i + 1));
		ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, 60, NULL));
		nd_run(&self->g);
		EXPECT_FRAME(1, 60, 0);
	}
	SEND(0, 0xff, BUFFER, 1); /* buffers are not merged any more */
	EXPECT_NOTHING(1);
}

/* ---- One alone, links, state ---- */

TEST(loopback_gives_back_what_was_sent)
{
	static struct net_rig g;
	static uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];
	struct virtio_net_options options = {.pairs = 1};
	struct virtio_net_hdr_v1 header;
	static const uint8_t to[] = {0, 1, 0xff};

	ASSERT_EQ(0, nd_create(&g, &options, 1));
	nd_probe(&g.nics[0], ND_LINUX);
	nd_fill(&g.nics[0], 0, 64, BUFFER);
	for (uint32_t i = 0; i < 3; i++) {
		nd_frame(out, 4000, to[i], 0, i);
		ASSERT_LE(0, nd_send(&g.nics[0], 0, out, 4000, NULL));
		nd_run(&g);
		EXPECT_EQ(4000, nd_receive(&g.nics[0], 0, in, &header));
		EXPECT_EQ(0, memcmp(in, out, 4000));
		EXPECT_EQ(1, nd_clean(&g.nics[0], 0));
	}
	nd_destroy(&g);
}

TEST(frame_for_one_that_never_has_a_buffer_is_dropped_after_a_while)
{
	static const struct virtio_net_options options[3];
	static struct net_rig g;
	static uint8_t out[60], in[ND_MAX_FRAME];
	struct virtio_net_hdr_v1 header;
	uint32_t returned = 0, looks = 0;
	struct timespec start, end;

	ASSERT_EQ(0, nd_create(&g, options, 3));
	for (uint8_t i = 0; i < 3; i++) {
		nd_probe(&g.nics[i], ND_LINUX);
		nd_frame(out, 60, 0xff, i, 0);
		ASSERT_LE(0, nd_send(&g.nics[i], 0, out, 60, NULL)); /* they are known */
		nd_run(&g);
	}
	nd_clean(&g.nics[0], 0);
	nd_fill(&g.nics[2], 0, 8, BUFFER);
	nd_frame(out, 60, 1, 0, 2);
	ASSERT_LE(0, nd_queue(&g.nics[0], 0, out, 60, NULL));
	nd_frame(out, 60, 2, 0, 3); /* behind it in the queue */
	ASSERT_LE(0, nd_send(&g.nics[0], 0, out, 60, NULL));
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; (returned += nd_clean(&g.nics[0], 0)) < 2; looks++)
		ASSERT_LT(0, loop__dispatch(net_switch__loop(g.sw), 10000));
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* Not earlier, and nobody looks again and again: its notification, the timer, its queue. */
	EXPECT_LE(VIRTIO_NET_HOLD_NS, (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000 +
					      (uint64_t)end.tv_nsec - (uint64_t)start.tv_nsec);
	EXPECT_GE(3, looks);
	EXPECT_EQ(2 + 1, virtio_net__counts(g.nics[1].n)->rx_dropped);
	EXPECT_EQ(60, nd_receive(&g.nics[2], 0, in, &header));
	EXPECT_EQ(0, memcmp(in, out, 60));
	/* Further ones do not wait, until there is a buffer. */
	nd_frame(out, 60, 1, 0, 4);
	ASSERT_LE(0, nd_send(&g.nics[0], 0, out, 60, NULL));
	nd_run(&g);
	EXPECT_EQ(1, nd_clean(&g.nics[0], 0));
	EXPECT_EQ(2 + 2, virtio_net__counts(g.nics[1].n)->rx_dropped);
	nd_fill(&g.nics[1], 0, 1, BUFFER);
	ASSERT_LE(0, nd_send(&g.nics[0], 0, out, 60, NULL));
	nd_run(&g);
	EXPECT_EQ(60, nd_receive(&g.nics[1], 0, in, &header));
	nd_destroy(&g);
}

/* Random sizes and directions from a thread of its own: all arrives, in order. */
TEST(all_arrives_in_order_while_buffers_are_given_back)
{
	static struct net_rig g;
	static uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];
	static const struct virtio_net_options options[2] = {{.hold_ns = LONG_NS},
							     {.hold_ns = LONG_NS}};
	static uint32_t lengths[2][2048];
	uint32_t sent[2] = {0}, got[2] = {0};
	struct virtio_net_hdr_v1 header;
	uint64_t random = 7;

	ASSERT_EQ(0, nd_create(&g, options, 2));
	ASSERT_EQ(0, net_switch__start(g.sw, NULL, NULL));
	for (uint32_t i = 0; i < 2; i++) {
		nd_probe(&g.nics[i], ND_LINUX);
		nd_fill(&g.nics[i], 0, 200, BUFFER);
	}
	/* The first one is for all: then both are known, and senders wait for the slow. */
	while (got[0] < 2048 || got[1] < 2048) {
		for (uint8_t i = 0; i < 2; i++) {
			uint32_t length = 14 + (uint32_t)(vd_random(&random) % 20000);
			int n;

			nd_clean(&g.nics[i], 0);
			if (sent[i] < 2048 && g.nics[i].q[1].nr_free > VD_MAX_SIZE - 8) {
				lengths[i][sent[i]] = length;
				nd_frame(out, length, sent[i] ? !i : 0xff, i, sent[i]);
				ASSERT_LE(0, nd_send(&g.nics[i], 0, out, length, NULL));
				sent[i]++;
			}
			n = nd_receive(&g.nics[i], 0, in, &header);
			if (n == -EAGAIN)
				continue;
			ASSERT_EQ((int)lengths[!i][got[i]], n);
			nd_frame(out, (uint32_t)n, got[i] ? i : 0xff, !i, got[i]);
			ASSERT_EQ(0, memcmp(in, out, (uint32_t)n));
			got[i]++;
		}
	}
	net_switch__stop(g.sw);
	EXPECT_EQ(0, virtio_net__counts(g.nics[0].n)->rx_dropped);
	EXPECT_EQ(0, virtio_net__counts(g.nics[1].n)->rx_dropped);
	nd_destroy(&g);
}

TEST(saved_state_goes_on_where_it_was)
{
	static struct net_rig g;
	static uint8_t out[2048], in[ND_MAX_FRAME], state[8192];
	static const struct virtio_net_options options[2] = {{.pairs = 2}, {.pairs = 2}};
	struct nd_nic *a = &g.nics[0], *b = &g.nics[1];
	struct virtio_net_hdr_v1 header;
	size_t size;

	ASSERT_EQ(0, nd_create(&g, options, 2));
	for (uint32_t i = 0; i < 2; i++) {
		nd_probe(&g.nics[i], ND_LINUX);
		nd_fill(&g.nics[i], 0, 8, BUFFER);
	}
	nd_run(&g);
	ASSERT_EQ(VIRTIO_NET_OK, nd_set_pairs(a, 2));
	size = virtio_mmio__state_size(a->t);
	ASSERT_GE(sizeof(state), size);
	nd_frame(out, 60, 0xff, 0, 1);
	ASSERT_LE(0, nd_queue(a, 1, out, 60, NULL)); /* not looked at yet */
	ASSERT_EQ(0, virtio_mmio__save(a->t, state, size, NULL));
	nd_wr(a, VIRTIO_MMIO_STATUS, 0);
	ASSERT_EQ(0, virtio_mmio__load(a->t, state, size, NULL));
	nd_run(&g);
	EXPECT_EQ(60, nd_receive(b, 0, in, &header));
	EXPECT_EQ(0, memcmp(in, out, 60));
	/* Another NIC's state, and a number of pairs that there is not */
	EXPECT_EQ(-EINVAL, virtio_mmio__load(b->t, state, size, NULL));
	state[size - 2] = 3;
	EXPECT_EQ(-EINVAL, virtio_mmio__load(a->t, state, size, NULL));
	nd_destroy(&g);
}

/* With the switch at rest both have the same frames as before, and nothing is sent twice. */
TEST(switch_that_was_stopped_for_a_save_goes_on)
{
	static struct net_rig g;
	static uint8_t out[60], in[ND_MAX_FRAME], state[2][8192];
	static const struct virtio_net_options options[2];
	struct virtio_net_hdr_v1 header;

	ASSERT_EQ(0, nd_create(&g, options, 2));
	for (uint32_t i = 0; i < 2; i++) {
		nd_probe(&g.nics[i], ND_LINUX);
		nd_fill(&g.nics[i], 0, 64, BUFFER);
	}
	for (uint32_t round = 0; round < 50; round++) {
		ASSERT_EQ(0, net_switch__start(g.sw, NULL, NULL));
		nd_frame(out, 60, 1, 0, round);
		ASSERT_LE(0, nd_send(&g.nics[0], 0, out, 60, NULL));
		net_switch__stop(g.sw);
		for (uint32_t i = 0; i < 2; i++) {
			size_t size = virtio_mmio__state_size(g.nics[i].t);

			ASSERT_EQ(0, virtio_mmio__save(g.nics[i].t, state[i], size, NULL));
		}
		for (uint32_t i = 0; i < 2; i++) {
			size_t size = virtio_mmio__state_size(g.nics[i].t);

			nd_wr(&g.nics[i], VIRTIO_MMIO_STATUS, 0);
			ASSERT_EQ(0, virtio_mmio__load(g.nics[i].t, state[i], size, NULL));
		}
		nd_run(&g);
		EXPECT_EQ(60, nd_receive(&g.nics[1], 0, in, &header));
		EXPECT_EQ(0, memcmp(in, out, 60));
		EXPECT_EQ(-EAGAIN, nd_receive(&g.nics[1], 0, in, &header));
		EXPECT_EQ(1, nd_clean(&g.nics[0], 0));
	}
	nd_destroy(&g);
}

/* ---- MTU ---- */

static void send_on(struct net_rig *g, uint32_t from, uint32_t length, uint16_t type, uint8_t *out)
{
	nd_frame(out, length, 0xff, (uint8_t)from, length);
	out[12] = (uint8_t)(type >> 8);
	out[13] = (uint8_t)type;
	if (nd_send(&g->nics[from], 0, out, length, NULL) < 0)
		abort();
	nd_run(g);
}

/* NICs of 9000, 9000, 1500 and any: what is larger than a receiver's is lost to that one alone. */
TEST(frame_larger_than_the_mtu_does_not_arrive)
{
	static const struct virtio_net_options options[4] = {
		{.mtu = 9000}, {.mtu = 9000}, {.mtu = 1500}, {.mtu = 0}};
	static const struct {
		uint32_t length;
		uint16_t type;
		bool arrives[4];
	} frames[] = {
		{1514, 0x88b5, {0, 1, 1, 1}},  {1515, 0x88b5, {0, 1, 0, 1}},
		{1518, 0x8100, {0, 1, 1, 1}},  {1519, 0x8100, {0, 1, 0, 1}},
		{9014, 0x88b5, {0, 1, 0, 1}},  {9015, 0x88b5, {0, 0, 0, 1}},
		{65000, 0x88b5, {0, 0, 0, 1}},
	};
	static uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];
	static struct net_rig g;
	struct virtio_net_hdr_v1 header;

	ASSERT_EQ(0, nd_create(&g, options, 4));
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t mtu = options[i].mtu ? ND_BIT(VIRTIO_NET_F_MTU) : 0;

		nd_wr(&g.nics[i], VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
		EXPECT_EQ((uint32_t)(ND_LINUX | mtu),
			  nd_rd(&g.nics[i], VIRTIO_MMIO_DEVICE_FEATURES));
		EXPECT_EQ(options[i].mtu,
			  nd_config(&g.nics[i], offsetof(struct virtio_net_config, mtu), 2));
		nd_probe(&g.nics[i], ND_LINUX | mtu);
		nd_fill(&g.nics[i], 0, 64, BUFFER);
		nd_run(&g);
	}
	for (uint32_t f = 0; f < sizeof(frames) / sizeof(frames[0]); f++) {
		send_on(&g, 0, frames[f].length, frames[f].type, out);
		for (uint32_t i = 1; i < 4; i++) {
			int length = frames[f].arrives[i] ? (int)frames[f].length : -EAGAIN;

			EXPECT_EQ(length, nd_receive(&g.nics[i], 0, in, &header));
			if (length > 0)
				EXPECT_EQ(0, memcmp(in, out, frames[f].length));
		}
		nd_clean(&g.nics[0], 0);
	}
	EXPECT_EQ(2, virtio_net__counts(g.nics[1].n)->rx_too_long);
	EXPECT_EQ(5, virtio_net__counts(g.nics[2].n)->rx_too_long);
	EXPECT_EQ(0, virtio_net__counts(g.nics[3].n)->rx_too_long);
	EXPECT_EQ(0, virtio_net__counts(g.nics[2].n)->rx_dropped);
	nd_destroy(&g);
}

/* Multicast, as to a driver that has joined the group; nobody has to ask for it. */
TEST_F(net, frame_for_a_group_goes_to_all_others)
{
	static const uint8_t group[] = {0x01, 0x00, 0x5e, 0, 0, 0xfb};

	for (uint32_t i = 0; i < 2; i++) {
		nd_frame(self->out, 60, 0xff, 0, i);
		memcpy(self->out, group, sizeof(group));
		if (i) /* from the group: nobody is learned by it */
			memcpy(self->out + 6, group, sizeof(group));
		ASSERT_LE(0, nd_send(&self->g.nics[i], 0, self->out, 60, NULL));
		nd_run(&self->g);
		EXPECT_FRAME(1 - i, 60, i);
		EXPECT_EQ(0, memcmp(self->in, group, sizeof(group)));
		EXPECT_FRAME(2, 60, i);
		EXPECT_NOTHING(i);
	}
}

TEST(options_that_cannot_be_are_refused)
{
	struct virtio_net_options options = {.mac = {2}, .pairs = 17};
	struct net_switch *sw;
	struct virtio_net *n;

	ASSERT_EQ(0, net_switch__create(&sw, NULL));
	EXPECT_EQ(-EINVAL, virtio_net__create(&options, sw, &n, NULL));
	options.pairs = 0;
	EXPECT_EQ(-EINVAL, virtio_net__create(&options, sw, &n, NULL));
	options.pairs = 1;
	options.mac[0] = 1;
	EXPECT_EQ(-EINVAL, virtio_net__create(&options, sw, &n, NULL));
	options.mac[0] = 2;
	options.delay_ns = VIRTIO_NET_MAX_DELAY_NS + 1;
	EXPECT_EQ(-EINVAL, virtio_net__create(&options, sw, &n, NULL));
	options.delay_ns = 0;
	options.mtu = 67;
	EXPECT_EQ(-EINVAL, virtio_net__create(&options, sw, &n, NULL));
	options.mtu = 65536;
	EXPECT_EQ(-EINVAL, virtio_net__create(&options, sw, &n, NULL));
	net_switch__destroy(sw);
}

TEST_HARNESS_MAIN
