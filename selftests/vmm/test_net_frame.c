// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work that a sender leaves to others: passed on where the receiver takes it, done where it does
 * not. Checked with sums and a reassembly of the test's own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "kselftest_harness.h"
#include "net_driver.h"
#include "vmm/virtio/net_frame.h"

#define BUFFER 4096u
#define HEADERS(f) ((f)->network + (f)->ip + 32u)

/* A TCP segment: where its parts are. */
struct form {
	uint32_t network, ip; /* offset and bytes of the network header */
	uint8_t gso_type;
};

static const struct form forms[] = {
	{14, 20, VIRTIO_NET_HDR_GSO_TCPV4}, {14, 40, VIRTIO_NET_HDR_GSO_TCPV6},
	{18, 20, VIRTIO_NET_HDR_GSO_TCPV4}, {18, 40, VIRTIO_NET_HDR_GSO_TCPV6},
	{14, 24, VIRTIO_NET_HDR_GSO_TCPV4}, /* with options */
};

FIXTURE(frame)
{
	struct net_rig g;
	uint8_t out[ND_MAX_FRAME], in[ND_MAX_FRAME], data[ND_MAX_FRAME];
	struct virtio_net_hdr_v1 header;
};

FIXTURE_SETUP(frame)
{
	static const struct virtio_net_options options[2];

	ASSERT_EQ(0, nd_create(&self->g, options, 2));
	nd_probe(&self->g.nics[0], ND_LINUX);
	nd_probe(&self->g.nics[1], ND_PLAIN);
	nd_fill(&self->g.nics[1], 0, 128, BUFFER);
	nd_run(&self->g);
}

FIXTURE_TEARDOWN(frame)
{
	nd_destroy(&self->g);
}

static bool is_v4(const struct form *f)
{
	return f->gso_type == VIRTIO_NET_HDR_GSO_TCPV4;
}

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put_word(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* RFC 1071, byte by byte; 0xffff: the sum with its checksum is right. */
static uint32_t sum_of(uint32_t sum, const uint8_t *p, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++) {
		sum += (uint32_t)p[i] << (i % 2 ? 0 : 8);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static uint32_t pseudo_sum(const struct form *f, const uint8_t *frame, uint32_t length)
{
	uint32_t sum = IPPROTO_TCP + length;

	sum = (sum & 0xffff) + (sum >> 16);
	return is_v4(f) ? sum_of(sum, frame + f->network + 12, 8)
			: sum_of(sum, frame + f->network + 8, 32);
}

/* What Linux sends: the checksum's place holds the sum of the pseudo header. */
static uint32_t make_segment(const struct form *f, uint8_t *frame, uint32_t data,
			     struct virtio_net_hdr_v1 *header)
{
	uint32_t tcp = f->network + f->ip, length = tcp + 32 + data;
	uint8_t *ip = frame + f->network;

	nd_frame(frame, length, 0xff, 0, 5);
	memset(frame + 12, 0, tcp + 32 - 12);
	if (f->network == 18)
		put_word(frame + 12, 0x8100);
	put_word(frame + f->network - 2, is_v4(f) ? 0x0800 : 0x86dd);
	if (is_v4(f)) {
		ip[0] = (uint8_t)(0x40 | f->ip / 4);
		put_word(ip + 2, length - f->network);
		put_word(ip + 4, 0xfffe); /* the identification wraps */
		ip[8] = 64;
		ip[9] = IPPROTO_TCP;
		memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
		put_word(ip + 10, ~sum_of(0, ip, f->ip));
	} else {
		ip[0] = 0x60;
		put_word(ip + 4, length - tcp);
		ip[6] = IPPROTO_TCP;
		memset(ip + 8, 0xfd, 16);
		memset(ip + 24, 0xfe, 16);
	}
	memcpy(frame + tcp + 4, "\xff\xff\xff\xf0", 4); /* the sequence wraps */
	frame[tcp + 12] = 0x80;				/* 32 bytes */
	frame[tcp + 13] = 0x80 | 0x10 | 0x08 | 0x01;	/* CWR ACK PSH FIN */
	put_word(frame + tcp + 16, pseudo_sum(f, frame, length - tcp));
	*header = (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					     .csum_start = (uint16_t)tcp,
					     .csum_offset = 16};
	return length;
}

static bool sums_are_right(const struct form *f, const uint8_t *frame, uint32_t length)
{
	uint32_t tcp = f->network + f->ip;

	return (!is_v4(f) || sum_of(0, frame + f->network, f->ip) == 0xffff) &&
	       sum_of(pseudo_sum(f, frame, length - tcp), frame + tcp, length - tcp) == 0xffff;
}

TEST_F(frame, receiver_without_checksums_gets_them_computed)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];

		for (uint32_t data = 0; data < 4; data++) {
			uint32_t n = make_segment(f, self->out, data, &self->header);

			ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, n, &self->header));
			nd_run(&self->g);
			nd_clean(&self->g.nics[0], 0);
			ASSERT_EQ((int)n, nd_receive(&self->g.nics[1], 0, self->in, &self->header));
			EXPECT_EQ(0, self->header.flags);
			EXPECT_TRUE(sums_are_right(f, self->in, n));
			memcpy(self->in + f->network + f->ip + 16,
			       self->out + f->network + f->ip + 16, 2);
			EXPECT_EQ(0, memcmp(self->in, self->out, n));
		}
	}
}

TEST_F(frame, receiver_without_segmentation_gets_frames_of_the_links_size)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];
		uint32_t tcp = f->network + f->ip, headers = HEADERS(f), data = 10 * 1400 + 123;
		uint32_t n = make_segment(f, self->out, data, &self->header), at = 0;

		self->header.gso_type = f->gso_type;
		self->header.gso_size = 1400;
		ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, n, &self->header));
		nd_run(&self->g);
		nd_clean(&self->g.nics[0], 0);
		for (uint32_t part = 0; part < 11; part++) {
			uint32_t bytes = part < 10 ? 1400 : 123;
			uint8_t flags = (uint8_t)(0x10 | (part ? 0 : 0x80) | (part < 10 ? 0 : 9));

			ASSERT_EQ((int)(headers + bytes),
				  nd_receive(&self->g.nics[1], 0, self->in, &self->header));
			EXPECT_EQ(0, self->header.flags);
			EXPECT_EQ(0, self->header.gso_type);
			EXPECT_TRUE(sums_are_right(f, self->in, headers + bytes));
			EXPECT_EQ(flags, self->in[tcp + 13]);
			EXPECT_EQ(0xfffffff0 + at,
				  word(self->in + tcp + 4) << 16 | word(self->in + tcp + 6));
			if (is_v4(f)) {
				EXPECT_EQ((0xfffe + part) & 0xffff,
					  word(self->in + f->network + 4));
				EXPECT_EQ(headers + bytes - f->network,
					  word(self->in + f->network + 2));
			} else {
				EXPECT_EQ(32 + bytes, word(self->in + f->network + 4));
			}
			memcpy(self->data + at, self->in + headers, bytes);
			at += bytes;
		}
		EXPECT_EQ(-EAGAIN, nd_receive(&self->g.nics[1], 0, self->in, &self->header));
		EXPECT_EQ(0, memcmp(self->data, self->out + headers, data));
	}
}

/* One version of IP is taken and the other is not. */
TEST_F(frame, receiver_gets_as_they_are_the_segments_that_it_takes)
{
	static const uint64_t takes = ND_PLAIN | ND_MERGE | ND_BIT(VIRTIO_NET_F_GUEST_CSUM) |
				      ND_BIT(VIRTIO_NET_F_GUEST_TSO4);
	uint32_t n = make_segment(&forms[0], self->out, 60000, &self->header);

	nd_probe(&self->g.nics[1], takes);
	nd_fill(&self->g.nics[1], 0, 64, BUFFER);
	nd_run(&self->g);
	self->header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	self->header.gso_size = 1400;
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, n, &self->header));
	nd_run(&self->g);
	ASSERT_EQ((int)n, nd_receive(&self->g.nics[1], 0, self->in, &self->header));
	EXPECT_EQ(0, memcmp(self->in, self->out, n));
	EXPECT_EQ(VIRTIO_NET_HDR_F_NEEDS_CSUM, self->header.flags);
	EXPECT_EQ(VIRTIO_NET_HDR_GSO_TCPV4, self->header.gso_type);
	EXPECT_EQ(1400, self->header.gso_size);
	EXPECT_EQ(HEADERS(&forms[0]), self->header.hdr_len);
	EXPECT_EQ(34, self->header.csum_start);
	EXPECT_EQ(16, self->header.csum_offset);

	n = make_segment(&forms[1], self->out, 2000, &self->header);
	self->header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	self->header.gso_size = 1400;
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, n, &self->header));
	nd_run(&self->g);
	EXPECT_EQ((int)HEADERS(&forms[1]) + 1400,
		  nd_receive(&self->g.nics[1], 0, self->in, &self->header));
	EXPECT_EQ((int)HEADERS(&forms[1]) + 600,
		  nd_receive(&self->g.nics[1], 0, self->in, &self->header));

	/* ECN is a feature of its own. */
	n = make_segment(&forms[0], self->out, 2000, &self->header);
	self->header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN;
	self->header.gso_size = 1400;
	ASSERT_LE(0, nd_send(&self->g.nics[0], 0, self->out, n, &self->header));
	nd_run(&self->g);
	EXPECT_EQ((int)HEADERS(&forms[0]) + 1400,
		  nd_receive(&self->g.nics[1], 0, self->in, &self->header));
}

static struct net_frame describe(const uint8_t *frame, uint32_t length,
				 const struct virtio_net_hdr_v1 *header, struct iovec *iov)
{
	struct net_frame f;

	*iov = (struct iovec){.iov_base = (void *)(uintptr_t)frame, .iov_len = length};
	if (!net_frame__init(&f, header, ND_LINUX, iov, 1, length))
		abort();
	return f;
}

TEST(bytes_on_a_link_are_those_of_all_frames)
{
	static uint8_t frame[ND_MAX_FRAME];
	struct virtio_net_hdr_v1 header;
	uint32_t n = make_segment(&forms[0], frame, 14000, &header);
	struct net_frame f;
	struct iovec iov;

	f = describe(frame, n, &header, &iov);
	EXPECT_EQ(n, net_frame__wire_bytes(&f));
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header.gso_size = 1400;
	f = describe(frame, n, &header, &iov);
	EXPECT_EQ(10 * (1400 + 66), net_frame__wire_bytes(&f));
	f = describe(frame, n - 1, &header, &iov);
	EXPECT_EQ(10 * (1400 + 66) - 1, net_frame__wire_bytes(&f));
	f = describe(frame, n - 1400, &header, &iov);
	EXPECT_EQ(9 * (1400 + 66), net_frame__wire_bytes(&f));
}

static void exchange(uint8_t *a, uint8_t *b, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		uint8_t t = a[i];

		a[i] = b[i];
		b[i] = t;
	}
}

TEST(flow_is_the_same_in_both_directions_and_another_for_other_ports)
{
	static uint8_t frame[ND_MAX_FRAME];

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *form = &forms[i];
		uint8_t *ip = frame + form->network, *tcp = ip + form->ip;
		struct virtio_net_hdr_v1 header;
		uint32_t n = make_segment(form, frame, 10, &header), others = 0;
		struct net_frame f;
		struct iovec iov;
		uint8_t flow;

		put_word(tcp, 1234);
		put_word(tcp + 2, 80);
		f = describe(frame, n, &header, &iov);
		flow = net_frame__flow(&f);
		exchange(tcp, tcp + 2, 2);
		exchange(frame, frame + 6, 6);
		if (is_v4(form))
			exchange(ip + 12, ip + 16, 4);
		else
			exchange(ip + 8, ip + 24, 16);
		f = describe(frame, n, &header, &iov);
		EXPECT_EQ(flow, net_frame__flow(&f));
		for (uint32_t port = 1; port < 100; port++) {
			put_word(tcp, port);
			f = describe(frame, n, &header, &iov);
			others += net_frame__flow(&f) != flow;
		}
		EXPECT_LE(95, others);
	}
}

TEST_HARNESS_MAIN
