// SPDX-License-Identifier: GPL-2.0-only
/* The link of a NIC: what its rate and its delay do to frames, on a clock of the test's own, and on
 * the host's. */
#include <time.h>

#include "kselftest_harness.h"
#include "net_driver.h"
#include "vmm/virtio/net_parts.h"

#define S UINT64_C(1000000000)
#define MBIT UINT64_C(1000000)

FIXTURE(link)
{
	struct net_link l;
	struct net_frame f;
	struct iovec iov;
	uint8_t frame[NET_FRAME_MAX];
};

FIXTURE_SETUP(link)
{
	self->iov = (struct iovec){.iov_base = self->frame};
}

FIXTURE_TEARDOWN(link)
{
	net_link__free(&self->l);
}

/* Puts frame @number of @length bytes on the link. */
static bool put(struct net_link *l, struct net_frame *f, struct iovec *iov, uint32_t length,
		uint32_t number, uint64_t now)
{
	static const struct virtio_net_hdr_v1 none;

	iov->iov_len = length;
	nd_frame(iov->iov_base, length, 1, 0, number);
	return net_frame__init(f, &none, 0, iov, 1, length) && net_link__send(l, f, now);
}

/* Whether it is frame @number that arrives at @now. */
static bool get(struct net_link *l, uint32_t length, uint32_t number, uint64_t now)
{
	static uint8_t expected[NET_FRAME_MAX];
	struct net_frame f;
	struct iovec iov;
	bool same;

	if (!net_link__arrived(l, now, &f, &iov))
		return false;
	nd_frame(expected, length, 1, 0, number);
	same = f.length == length && f.nr == 1 && f.iov->iov_len == length &&
	       !memcmp(f.iov->iov_base, expected, length) &&
	       !memcmp(f.head, expected, f.head_length);
	net_link__taken(l);
	return same;
}

TEST_F(link, without_rate_and_delay_nothing_is_kept)
{
	ASSERT_EQ(0, net_link__init(&self->l, 0, 0));
	EXPECT_FALSE(net_link__shapes(&self->l));
	EXPECT_EQ(NULL, self->l.ring);
}

TEST_F(link, delay_is_that_of_each_frame)
{
	struct net_link *l = &self->l;

	ASSERT_EQ(0, net_link__init(l, 0, 5000));
	EXPECT_EQ(0, net_link__next_ns(l));
	EXPECT_TRUE(put(l, &self->f, &self->iov, 60, 1, 1000));
	EXPECT_TRUE(net_link__ready(l, 1000));
	EXPECT_TRUE(put(l, &self->f, &self->iov, 9000, 2, 3000));
	EXPECT_EQ(6000, net_link__next_ns(l));
	EXPECT_FALSE(get(l, 60, 1, 5999));
	EXPECT_TRUE(get(l, 60, 1, 6000));
	EXPECT_EQ(8000, net_link__next_ns(l));
	EXPECT_FALSE(get(l, 9000, 2, 7999));
	EXPECT_TRUE(get(l, 9000, 2, 8000));
	EXPECT_EQ(0, net_link__next_ns(l));
}

/* 1250 bytes are 10000 bits: 1 ms at 10 Mbit/s. */
TEST_F(link, rate_is_how_long_a_frame_occupies_the_link)
{
	struct net_link *l = &self->l;

	ASSERT_EQ(0, net_link__init(l, 10 * MBIT, 7000));
	EXPECT_TRUE(net_link__ready(l, 100));
	EXPECT_TRUE(put(l, &self->f, &self->iov, 1250, 1, 100));
	EXPECT_EQ(1000100, l->busy_until_ns);
	EXPECT_TRUE(put(l, &self->f, &self->iov, 2500, 2, 200));
	EXPECT_EQ(3000100, l->busy_until_ns);
	EXPECT_FALSE(get(l, 1250, 1, 1007099));
	EXPECT_TRUE(get(l, 1250, 1, 1007100));
	EXPECT_FALSE(get(l, 2500, 2, 3007099));
	EXPECT_TRUE(get(l, 2500, 2, 3007100));
}

/* At 10 Mbit/s so much as leaves in 20 ms, at 10 Gbit/s 1 MiB. */
TEST_F(link, frames_are_taken_ahead_by_time_and_by_bytes)
{
	static const struct {
		uint64_t rate;
		uint32_t frames;
	} rates[] = {{10 * MBIT, 21}, {10000 * MBIT, 839}};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct net_link *l = &self->l;
		uint32_t taken = 0;

		net_link__free(l);
		ASSERT_EQ(0, net_link__init(l, rates[i].rate, 0));
		for (; net_link__ready(l, S); taken++)
			ASSERT_TRUE(put(l, &self->f, &self->iov, 1250, taken, S));
		EXPECT_EQ(rates[i].frames, taken);
		/* The next look is when there is room for many, and nothing has left but frame 0.
		 */
		EXPECT_TRUE(get(l, 1250, 0, S + 1250 * 8 * S / rates[i].rate));
		while (net_link__arrived(l, l->busy_until_ns, &self->f, &self->iov))
			net_link__taken(l);
		EXPECT_EQ(l->busy_until_ns - l->ahead_ns / 2, net_link__next_ns(l));
		self->iov.iov_base = self->frame;
	}
}

/* A thread that looks late loses nothing, and one frame after a pause gains nothing. */
TEST_F(link, rate_is_kept_in_the_mean_however_late_the_thread_is)
{
	struct net_link *l = &self->l;
	uint64_t now = S, bytes = 0, frames = 0, random = 3;
	struct net_frame f;
	struct iovec iov;

	ASSERT_EQ(0, net_link__init(l, 100 * MBIT, 0));
	while (now < 3 * S) {
		while (net_link__ready(l, now)) {
			uint32_t length = 60 + (uint32_t)(vd_random(&random) % 1400);

			ASSERT_TRUE(put(l, &self->f, &self->iov, length, 0, now));
			bytes += length;
			frames++;
		}
		now = l->busy_until_ns - l->ahead_ns + vd_random(&random) % 30000000;
		while (net_link__arrived(l, now, &f, &iov))
			net_link__taken(l);
	}
	/* All the time, and each frame's is rounded down to a ns. */
	EXPECT_GE(bytes * 80, l->busy_until_ns - S);
	EXPECT_LE(bytes * 80 - frames, l->busy_until_ns - S);
	EXPECT_LE(2 * S, l->busy_until_ns - S);
}

TEST_F(link, time_in_which_nothing_was_to_be_sent_is_not_made_up_for)
{
	struct net_link *l = &self->l;

	ASSERT_EQ(0, net_link__init(l, 10 * MBIT, 0));
	EXPECT_TRUE(put(l, &self->f, &self->iov, 1250, 1, 0));
	l->waiting = false;
	EXPECT_TRUE(net_link__ready(l, S));
	EXPECT_TRUE(put(l, &self->f, &self->iov, 1250, 2, S));
	EXPECT_EQ(S + 1000000, l->busy_until_ns);
	/* And a thread that was away for long makes up for some of it only. */
	l->waiting = true;
	EXPECT_TRUE(net_link__ready(l, 2 * S));
	EXPECT_TRUE(put(l, &self->f, &self->iov, 1250, 3, 2 * S));
	EXPECT_EQ(2 * S - LINK_CATCH_UP_NS + 1000000, l->busy_until_ns);
}

/* A connection that has @window bytes under way and is told at once of what arrived. */
struct flow {
	uint64_t window, under_way;
	uint32_t segment; /* bytes of a frame that is to be cut into ones of 1448 bytes of data */
	uint64_t late_ns; /* the thread looks up to so much later than it wants to */
	uint64_t wire_bytes, segments;
	uint64_t most_in_100ms; /* wire bytes */
};

static bool send_segment(struct net_link *l, struct flow *flow, struct net_frame *f,
			 struct iovec *iov, uint64_t now)
{
	static const struct virtio_net_hdr_v1 none;

	iov->iov_len = flow->segment;
	if (!net_frame__init(f, &none, 0, iov, 1, flow->segment))
		return false;
	if (flow->segment > 1514) {
		f->headers = 66;
		f->header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		f->header.gso_size = 1448;
	}
	flow->under_way += flow->segment;
	return net_link__send(l, f, now);
}

/* Until @end, from 0 on, as the NIC does it. */
static bool run_flow(struct net_link *l, struct flow *flow, struct iovec *iov, uint64_t end)
{
	uint64_t now = 0, random = 11, window_start = 0, in_window = 0;
	struct net_frame f;
	struct iovec got;

	while (now < end) {
		bool more = true, ready;

		while (net_link__arrived(l, now, &f, &got)) {
			uint64_t bytes = net_frame__wire_bytes(&f);

			net_link__taken(l);
			flow->under_way -= flow->segment;
			flow->wire_bytes += bytes;
			flow->segments++;
			if (now - window_start >= 100000000) {
				window_start = now;
				in_window = 0;
			}
			in_window += bytes;
			if (in_window > flow->most_in_100ms)
				flow->most_in_100ms = in_window;
		}
		while ((ready = net_link__ready(l, now))) {
			more = flow->under_way + flow->segment <= flow->window;
			if (!more)
				break;
			if (!send_segment(l, flow, &f, iov, now))
				return false;
		}
		if (ready && !more)
			l->waiting = false;
		now = net_link__next_ns(l);
		if (!now)
			return false;
		now += flow->late_ns ? vd_random(&random) % flow->late_ns : 0;
	}
	return true;
}

/* One with enough under way has the whole rate, and no more, with a thread that is on time or late.
 */
TEST_F(link, connection_has_the_rate_of_the_link)
{
	static const uint64_t rates[] = {10 * MBIT, 1000 * MBIT}, late[] = {1, 2000000};
	static const uint32_t segments[] = {1514, 65226};

	for (uint32_t i = 0; i < 8; i++) {
		uint64_t rate = rates[i & 1];
		struct flow flow = {.window = 2u << 20,
				    .segment = segments[i >> 1 & 1],
				    .late_ns = late[i >> 2 & 1]};

		net_link__free(&self->l);
		ASSERT_EQ(0, net_link__init(&self->l, rate, 5000000));
		ASSERT_TRUE(run_flow(&self->l, &flow, &self->iov, 2 * S));
		/* But for the first 5 ms, and what of the last frame is missing. */
		EXPECT_LE(rate / 8 * 2 * 99 / 100 - 70000, flow.wire_bytes)
		{
			TH_LOG("case %u", i);
		}
		EXPECT_GE(rate / 8 * 2 + rate / 8 / 1000 * 2, flow.wire_bytes);
		/* A late thread finds at once what came meanwhile. */
		EXPECT_GE(rate / 80 + rate / 8 * 4 / 1000 + 70000, flow.most_in_100ms);
	}
}

/* One with little under way is as fast as its round trip: 10 ms, and the time of the frame. */
TEST_F(link, connection_with_a_small_window_has_a_window_a_round_trip)
{
	static const uint64_t rates[] = {10 * MBIT, 1000 * MBIT};

	for (uint32_t i = 0; i < 2; i++) {
		struct flow flow = {.window = 1514, .segment = 1514};
		uint64_t trip = 10000000 + 1514 * 8 * S / rates[i];

		net_link__free(&self->l);
		ASSERT_EQ(0, net_link__init(&self->l, rates[i], 10000000));
		ASSERT_TRUE(run_flow(&self->l, &flow, &self->iov, 2 * S));
		EXPECT_EQ(2 * S / trip, flow.segments);
	}
}

/* Round and round its memory, with all sizes: what fits comes out whole, the rest is refused. */
TEST_F(link, what_is_under_way_is_bounded_and_in_order)
{
	struct net_link *l = &self->l;
	static uint32_t lengths[1u << 14];
	uint32_t in = 0, out = 0;
	uint64_t random = 5, under_way = 0, now = 0;
	bool full = false;

	ASSERT_EQ(0, net_link__init(l, 0, S));
	while (out < 4000) {
		uint32_t length = 14 + (uint32_t)(vd_random(&random) % (NET_FRAME_MAX - 13));

		now++;
		if (put(l, &self->f, &self->iov, length, in, now)) {
			lengths[in++] = length;
			under_way += length;
			ASSERT_GE(LINK_BYTES, under_way);
			continue;
		}
		full = true;
		/* No more than one record is lost at the end of the memory. */
		ASSERT_LE(LINK_BYTES - 2 * NET_FRAME_MAX - 200 * (in - out), under_way);
		for (uint64_t i = vd_random(&random) % 100; i && out < in; i--) {
			ASSERT_TRUE(get(l, lengths[out], out, now + S));
			under_way -= lengths[out++];
		}
	}
	EXPECT_TRUE(full);
	net_link__reset(l);
	EXPECT_EQ(0, net_link__next_ns(l));
	EXPECT_FALSE(net_link__arrived(l, UINT64_MAX, &self->f, &self->iov));
}

/* ---- NICs with links ---- */

static struct net_rig rig;
static uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME];

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * S + (uint64_t)ts.tv_nsec;
}

static int create_pair(const struct virtio_net_options *first)
{
	const struct virtio_net_options options[2] = {*first};
	int err = nd_create(&rig, options, 2);

	for (uint32_t i = 0; i < 2 && !err; i++) {
		nd_probe(&rig.nics[i], ND_LINUX);
		nd_fill(&rig.nics[i], 0, 200, 2048);
	}
	nd_run(&rig);
	return err;
}

/* Nothing is lost by a rate: it is the sender that waits. */
TEST(nic_with_a_rate_holds_frames_back_in_its_queue)
{
	struct virtio_net_options options = {.rate_bps = 10 * MBIT};
	struct virtio_net_hdr_v1 header;
	uint64_t start;

	ASSERT_EQ(0, create_pair(&options));
	nd_frame(out, 1250, 0xff, 0, 1);
	start = clock_ns();
	for (uint32_t i = 0; i < 100; i++)
		ASSERT_LE(0, nd_queue(&rig.nics[0], 0, out, 1250, NULL));
	nd_kick(&rig.nics[0], 1);
	loop__dispatch(net_switch__loop(rig.sw), -1);
	EXPECT_EQ(21, nd_clean(&rig.nics[0], 0));
	for (uint32_t i = 0; i < 100; i++)
		ASSERT_EQ(1250, nd_wait(&rig.nics[1], 0, in, &header));
	EXPECT_LE(100000000, clock_ns() - start);
	EXPECT_EQ(100, virtio_net__counts(rig.nics[0].n)->tx_frames);
	EXPECT_EQ(0, virtio_net__counts(rig.nics[0].n)->link_dropped);
	nd_destroy(&rig);
}

TEST(nic_with_a_delay_delivers_no_earlier)
{
	struct virtio_net_options options = {.delay_ns = 20000000};
	struct virtio_net_hdr_v1 header;
	uint64_t start;

	ASSERT_EQ(0, create_pair(&options));
	nd_frame(out, 60, 0xff, 0, 1);
	start = clock_ns();
	ASSERT_LE(0, nd_send(&rig.nics[0], 0, out, 60, NULL));
	nd_run(&rig);
	EXPECT_EQ(1, nd_clean(&rig.nics[0], 0));
	ASSERT_EQ(60, nd_wait(&rig.nics[1], 0, in, &header));
	EXPECT_EQ(0, memcmp(in, out, 60));
	EXPECT_LE(20000000, clock_ns() - start);
	/* The other direction has none. */
	nd_frame(out, 60, 0, 1, 2);
	ASSERT_LE(0, nd_send(&rig.nics[1], 0, out, 60, NULL));
	nd_run(&rig);
	EXPECT_EQ(60, nd_receive(&rig.nics[0], 0, in, &header));
	nd_destroy(&rig);
}

TEST(more_under_way_than_there_is_room_is_dropped_and_counted)
{
	struct virtio_net_options options = {.delay_ns = VIRTIO_NET_MAX_DELAY_NS};
	struct ktstr_error error = {0};
	uint32_t length = 65000, fit = 0;

	ASSERT_EQ(0, create_pair(&options));
	nd_frame(out, length, 0xff, 0, 1);
	for (uint32_t i = 0; i < 300; i++) {
		ASSERT_LE(0, nd_send(&rig.nics[0], 0, out, length, NULL));
		nd_run(&rig);
		fit += nd_clean(&rig.nics[0], 0);
	}
	EXPECT_EQ(300, fit); /* all were taken */
	EXPECT_EQ(300 - LINK_BYTES / 65088, virtio_net__counts(rig.nics[0].n)->link_dropped);
	/* What is under way is not state, and a reset loses it. */
	EXPECT_EQ(-EBUSY, virtio_mmio__save(rig.nics[0].t, in,
					    virtio_mmio__state_size(rig.nics[0].t), &error));
	EXPECT_NE(NULL, strstr(error.reason, "under way on its link"));
	nd_wr(&rig.nics[0], VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(0, virtio_mmio__save(rig.nics[0].t, in, virtio_mmio__state_size(rig.nics[0].t),
				       NULL));
	EXPECT_EQ(0, loop__dispatch(net_switch__loop(rig.sw), 0));
	nd_destroy(&rig);
}

/* Pairs of queues share the link in turn. */
TEST(pairs_share_a_rate)
{
	struct virtio_net_options options = {.rate_bps = 100 * MBIT, .pairs = 2};
	struct virtio_net_hdr_v1 header;
	uint8_t last = 0xff;

	ASSERT_EQ(0, create_pair(&options));
	ASSERT_EQ(VIRTIO_NET_OK, nd_set_pairs(&rig.nics[0], 2));
	nd_run(&rig);
	for (uint32_t i = 0; i < 16; i++) {
		nd_frame(out, 1250, 0xff, (uint8_t)(i / 8), i);
		ASSERT_LE(0, nd_queue(&rig.nics[0], i / 8, out, 1250, NULL));
	}
	nd_kick(&rig.nics[0], 1);
	nd_kick(&rig.nics[0], 3);
	for (uint32_t i = 0; i < 16; i++) {
		ASSERT_EQ(1250, nd_wait(&rig.nics[1], 0, in, &header));
		EXPECT_NE(last, in[11]);
		last = in[11];
	}
	nd_destroy(&rig);
}

TEST_HARNESS_MAIN
