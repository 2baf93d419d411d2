// SPDX-License-Identifier: GPL-2.0-only
/* virtio-console end to end, with a driver that does what Linux's drivers/char/virtio_console.c
 * does. */
#include "vmm/virtio/console.h"

#include <ktstr/proto.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "virtq_driver.h"
#include "vmm/virtio/mmio.h"

#define RAM_BYTES (UINT64_C(4) << 20)
#define RINGS_GPA UINT64_C(0x10000)
#define RX_GPA UINT64_C(0x100000) /* a page for each receive buffer: 16 a queue */
#define TX_GPA UINT64_C(0x200000) /* what is sent: 64 KiB a port */
#define PAGE 4096u
#define NR_QUEUES 8u
#define HOST_BYTES (1u << 20)

#define FEATURE(n) (UINT64_C(1) << (n))
#define FEATURES                                                              \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
	 FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_CONSOLE_F_SIZE) |  \
	 FEATURE(VIRTIO_CONSOLE_F_MULTIPORT))

struct host_port {
	uint8_t *bytes;
	size_t length, limit;
	bool open;
	uint32_t opens, closes, writable;
	size_t length_at_close;
};

struct host {
	struct host_port ports[KTSTR_PORTS];
	struct virtio_console *echo_to; /* port_output() on port 2 answers on port 2 */
	int irq_fd;
	uint32_t broken;
	char reason[600];
};

FIXTURE(console)
{
	struct gmem mem;
	struct host host;
	struct virtio_mmio_wiring wiring;
	struct virtio_console *c;
	struct virtio_mmio *t;
	struct virtq_driver q[NR_QUEUES];
};

static size_t host_output(void *opaque, uint32_t port, const struct iovec *iov, uint32_t nr)
{
	struct host *h = opaque;
	struct host_port *p = &h->ports[port];
	size_t taken = 0;

	for (uint32_t i = 0; i < nr; i++) {
		size_t n = iov[i].iov_len;

		if (n > p->limit - p->length)
			n = p->limit - p->length;
		memcpy(p->bytes + p->length, iov[i].iov_base, n);
		p->length += n;
		taken += n;
	}
	if (h->echo_to && port == KTSTR_PORT_PIPE)
		virtio_console__input(h->echo_to, port, p->bytes + p->length - taken, taken);
	return taken;
}

static void host_open(void *opaque, uint32_t port, bool open)
{
	struct host_port *p = &((struct host *)opaque)->ports[port];

	p->open = open;
	if (open) {
		p->opens++;
	} else {
		p->closes++;
		p->length_at_close = p->length;
	}
}

static void host_writable(void *opaque, uint32_t port)
{
	((struct host *)opaque)->ports[port].writable++;
}

static int host_irq(void *opaque, uint32_t gsi, int fd)
{
	(void)gsi;
	((struct host *)opaque)->irq_fd = fd;
	return 0;
}

static void host_broken(void *opaque, const char *device, const struct ktstr_error *error)
{
	struct host *h = opaque;

	h->broken++;
	snprintf(h->reason, sizeof(h->reason), "%s: %s", device, error->reason);
}

static uint64_t edges(struct host *h)
{
	uint64_t n = 0;

	return read(h->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

FIXTURE_SETUP(console)
{
	struct virtio_console_callbacks cb = {.opaque = &self->host,
					      .port_output = host_output,
					      .port_open = host_open,
					      .port_writable = host_writable};

	memset(self, 0, sizeof(*self));
	ASSERT_EQ(0, gmem__layout(&self->mem, RAM_BYTES, NULL));
	ASSERT_EQ(0, gmem__map(&self->mem, NULL));
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		self->host.ports[i].bytes = malloc(HOST_BYTES);
		ASSERT_NE(NULL, self->host.ports[i].bytes);
		self->host.ports[i].limit = HOST_BYTES;
	}
	self->wiring = (struct virtio_mmio_wiring){
		.opaque = &self->host, .assign_irq = host_irq, .broken = host_broken};
	ASSERT_EQ(0, virtio_console__create(&cb, &self->c, NULL));
	ASSERT_EQ(0, virtio_mmio__create(virtio_console__device(self->c), &self->mem, 0xc0000000, 5,
					 &self->wiring, &self->t, NULL));
}

FIXTURE_TEARDOWN(console)
{
	virtio_mmio__destroy(self->t);
	virtio_console__destroy(self->c);
	for (uint32_t i = 0; i < KTSTR_PORTS; i++)
		free(self->host.ports[i].bytes);
	gmem__unmap(&self->mem);
}

/* ---- The driver ---- */

#define GUEST FIXTURE_DATA(console)

static uint32_t rx(uint32_t port)
{
	return port ? 2 * port + 2 : 0;
}

static void wr(GUEST *g, uint64_t offset, uint32_t value)
{
	vd_write(&virtio_mmio_bus_ops, g->t, offset, value);
}

static uint32_t rd(GUEST *g, uint64_t offset)
{
	return vd_read(&virtio_mmio_bus_ops, g->t, offset);
}

static void kick(GUEST *g, uint32_t queue)
{
	if (vd_kick_needed(&g->q[queue]))
		wr(g, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static uint64_t rx_page(uint32_t queue, uint32_t i)
{
	return RX_GPA + (queue * 16 + i) * PAGE;
}

static void fill_queue(GUEST *g, uint32_t queue)
{
	for (uint32_t i = 0; i < g->q[queue].size; i++) {
		struct vd_buffer b = {rx_page(queue, i), PAGE, true};

		vd_add(&g->q[queue], &b, 1);
		kick(g, queue);
	}
}

static void probe(GUEST *g, uint64_t features)
{
	uint64_t gpa = RINGS_GPA;

	wr(g, VIRTIO_MMIO_STATUS, 0);
	wr(g, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	wr(g, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	wr(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	wr(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	wr(g, VIRTIO_MMIO_STATUS,
	   VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	for (uint32_t i = 0; i < (features & FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) ? NR_QUEUES : 2);
	     i++) {
		wr(g, VIRTIO_MMIO_QUEUE_SEL, i);
		gpa = vd_init(&g->q[i], &g->mem, gpa, rd(g, VIRTIO_MMIO_QUEUE_NUM_MAX),
			      features & FEATURE(VIRTIO_RING_F_EVENT_IDX));
		wr(g, VIRTIO_MMIO_QUEUE_NUM, g->q[i].size);
		wr(g, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)g->q[i].desc_gpa);
		wr(g, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)g->q[i].avail_gpa);
		wr(g, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)g->q[i].used_gpa);
		wr(g, VIRTIO_MMIO_QUEUE_READY, 1);
	}
	wr(g, VIRTIO_MMIO_STATUS,
	   VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
		   VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Linux spins until the message is back: true when it is. */
static bool control(GUEST *g, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control *m = gmem__ptr(&g->mem, TX_GPA, sizeof(*m));
	struct vd_buffer b = {TX_GPA, sizeof(*m), false};

	*m = (struct virtio_console_control){id, event, value};
	vd_add(&g->q[3], &b, 1);
	kick(g, 3);
	virtio_mmio__run_queues(g->t);
	return vd_get_used(&g->q[3], NULL) >= 0;
}

/* The next message of the device as text: "event id value extra". The buffer goes back. */
static const char *message(GUEST *g, char *text)
{
	const struct virtio_console_control *m;
	const uint8_t *extra;
	struct vd_buffer b;
	uint32_t length = 0;
	int head = vd_get_used(&g->q[2], &length);
	int n;

	if (head < 0)
		return "none";
	b = (struct vd_buffer){g->q[2].desc[head].addr, PAGE, true};
	m = gmem__ptr(&g->mem, b.gpa, PAGE);
	extra = (const uint8_t *)(m + 1);
	n = sprintf(text, "%u %u %u", m->event, m->id, m->value);
	if (m->event == VIRTIO_CONSOLE_RESIZE)
		sprintf(text + n, " %u %u", extra[0] | extra[1] << 8, extra[2] | extra[3] << 8);
	else if (length > sizeof(*m))
		sprintf(text + n, " %.*s", (int)(length - sizeof(*m)), (const char *)extra);
	vd_add(&g->q[2], &b, 1);
	kick(g, 2);
	return text;
}

#define EXPECT_MESSAGE(expected)                              \
	do {                                                  \
		char text_[PAGE];                             \
		EXPECT_STREQ(expected, message(self, text_)); \
	} while (0)

/* All the way to three open ports. */
static void connect_ports(GUEST *g)
{
	char text[PAGE];

	probe(g, FEATURES);
	fill_queue(g, 2);
	control(g, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		fill_queue(g, rx(i));
		control(g, i, VIRTIO_CONSOLE_PORT_READY, 1);
		control(g, i, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	while (strcmp(message(g, text), "none"))
		;
	edges(&g->host);
}

/* One write() to a port: queued and notified, not yet run. */
static int send(GUEST *g, uint32_t port, const void *data, uint32_t length)
{
	struct vd_buffer b = {TX_GPA + 0x10000 * (port + 1), length, false};
	int ret;

	while (vd_get_used(&g->q[rx(port) + 1], NULL) >= 0)
		;
	gmem__write(&g->mem, b.gpa, data, length);
	ret = vd_add(&g->q[rx(port) + 1], &b, 1);
	kick(g, rx(port) + 1);
	return ret;
}

/* What has arrived on a port, at most @size bytes; buffers go back. */
static uint32_t receive(GUEST *g, uint32_t port, uint8_t *data, uint32_t size)
{
	uint32_t total = 0, length;
	int head;

	while (total + PAGE <= size && (head = vd_get_used(&g->q[rx(port)], &length)) >= 0) {
		struct vd_buffer b = {g->q[rx(port)].desc[head].addr, PAGE, true};

		gmem__read(&g->mem, b.gpa, data + total, length);
		total += length;
		vd_add(&g->q[rx(port)], &b, 1);
		kick(g, rx(port));
	}
	return total;
}

/* ---- Tests ---- */

TEST_F(console, configuration_announces_three_ports_and_the_size)
{
	virtio_console__set_size(self->c, 132, 43);
	EXPECT_EQ(132 | 43 << 16, rd(self, 0x100));
	EXPECT_EQ(3, rd(self, 0x104));
	EXPECT_EQ(3, rd(self, VIRTIO_MMIO_DEVICE_ID));
}

TEST_F(console, handshake_goes_as_linux_does_it)
{
	virtio_console__set_size(self->c, 80, 25);
	probe(self, FEATURES);
	fill_queue(self, 2);
	ASSERT_TRUE(control(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1));
	EXPECT_MESSAGE("1 0 1");
	EXPECT_MESSAGE("1 1 1");
	EXPECT_MESSAGE("1 2 1");
	EXPECT_MESSAGE("none");
	ASSERT_TRUE(control(self, 0, VIRTIO_CONSOLE_PORT_READY, 1));
	EXPECT_MESSAGE("4 0 1");
	EXPECT_MESSAGE("5 0 1 80 25");
	EXPECT_MESSAGE("6 0 1");
	EXPECT_MESSAGE("none");
	ASSERT_TRUE(control(self, 1, VIRTIO_CONSOLE_PORT_READY, 1));
	EXPECT_MESSAGE("6 1 1");
	EXPECT_MESSAGE("7 1 1 ktstr.tlv");
	ASSERT_TRUE(control(self, 2, VIRTIO_CONSOLE_PORT_READY, 1));
	EXPECT_MESSAGE("6 2 1");
	EXPECT_MESSAGE("7 2 1 ktstr.pipe");
	EXPECT_MESSAGE("none");
	EXPECT_FALSE(self->host.ports[1].open);
	ASSERT_TRUE(control(self, 1, VIRTIO_CONSOLE_PORT_OPEN, 1));
	EXPECT_TRUE(self->host.ports[1].open);
	EXPECT_EQ(0, self->host.ports[0].opens + self->host.ports[2].opens);
	virtio_console__set_size(self->c, 100, 30);
	EXPECT_MESSAGE("5 0 1 100 30");
	EXPECT_EQ(0, self->host.broken);
}

TEST_F(console, control_messages_wait_for_buffers)
{
	probe(self, FEATURES);
	ASSERT_TRUE(control(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1));
	ASSERT_TRUE(control(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1));
	EXPECT_MESSAGE("none");
	fill_queue(self, 2);
	virtio_mmio__run_queues(self->t);
	EXPECT_MESSAGE("1 0 1");
	EXPECT_MESSAGE("1 1 1");
	EXPECT_MESSAGE("1 2 1");
	EXPECT_MESSAGE("none");
}

TEST_F(console, strange_control_messages_are_answered_and_ignored)
{
	struct vd_buffer shorter = {TX_GPA, 7, false};

	connect_ports(self);
	EXPECT_TRUE(control(self, 3, VIRTIO_CONSOLE_PORT_READY, 1));
	EXPECT_TRUE(control(self, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1));
	EXPECT_TRUE(control(self, 0, 99, 1));
	/* all but a byte of a close */
	*(struct virtio_console_control *)gmem__ptr(&self->mem, TX_GPA, 8) =
		(struct virtio_console_control){1, VIRTIO_CONSOLE_PORT_OPEN, 0};
	vd_add(&self->q[3], &shorter, 1);
	kick(self, 3);
	virtio_mmio__run_queues(self->t);
	EXPECT_LE(0, vd_get_used(&self->q[3], NULL));
	EXPECT_MESSAGE("none");
	EXPECT_EQ(0, self->host.ports[1].closes);
	EXPECT_EQ(0, self->host.broken);
}

TEST_F(console, data_flows_both_ways_on_three_ports)
{
	uint8_t in[2 * PAGE];
	char text[32];

	connect_ports(self);
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		uint32_t n = (uint32_t)sprintf(text, "guest to host %u", i);

		ASSERT_LE(0, send(self, i, text, n));
		virtio_mmio__run_queues(self->t);
		EXPECT_EQ(n, self->host.ports[i].length);
		EXPECT_EQ(0, memcmp(text, self->host.ports[i].bytes, n));
		n = (uint32_t)sprintf(text, "host to guest %u", i);
		EXPECT_EQ(n, virtio_console__input(self->c, i, text, n));
		EXPECT_EQ(n, receive(self, i, in, sizeof(in)));
		EXPECT_EQ(0, memcmp(text, in, n));
	}
}

TEST_F(console, a_large_stream_arrives_whole_and_in_order)
{
	uint8_t *data = malloc(32768);
	uint64_t rng = 1;
	uint32_t total = 0;

	ASSERT_NE(NULL, data);
	connect_ports(self);
	while (total < 900000) {
		uint32_t n = 1 + (uint32_t)(vd_random(&rng) >> 49);

		for (uint32_t i = 0; i < n; i++)
			data[i] = (uint8_t)((total + i) % 251);
		ASSERT_LE(0, send(self, KTSTR_PORT_TLV, data, n));
		virtio_mmio__run_queues(self->t);
		total += n;
	}
	ASSERT_EQ(total, self->host.ports[1].length);
	for (uint32_t i = 0; i < total; i++)
		ASSERT_EQ(i % 251, self->host.ports[1].bytes[i]);
	free(data);
}

/* Five buffers of the same memory, 10 MiB in all: others have their turn after each 4 MiB. */
TEST_F(console, a_chain_that_is_large_takes_turns)
{
	const uint32_t length = 0x1fff01, queue = rx(KTSTR_PORT_TLV) + 1;
	struct vd_buffer buffers[5];
	struct host_port *p = &self->host.ports[KTSTR_PORT_TLV];
	uint8_t *sent = gmem__ptr(&self->mem, TX_GPA, length);
	uint32_t turns = 0;

	free(p->bytes);
	p->limit = 5 * (size_t)length;
	p->bytes = malloc(p->limit);
	ASSERT_NE(NULL, p->bytes);
	connect_ports(self);
	for (uint32_t i = 0; i < length; i++)
		sent[i] = (uint8_t)(i * 7 + (i >> 8));
	for (uint32_t i = 0; i < 5; i++)
		buffers[i] = (struct vd_buffer){TX_GPA, length, false};
	ASSERT_LE(0, vd_add(&self->q[queue], buffers, 5));
	kick(self, queue);
	while (virtio_mmio__run_turn(self->t)) {
		turns++;
		EXPECT_EQ(turns < 3 ? turns << 22 : p->limit, p->length);
	}
	EXPECT_EQ(3, turns);
	for (uint32_t i = 0; i < 5; i++)
		EXPECT_EQ(0, memcmp(sent, p->bytes + i * (size_t)length, length));
	EXPECT_EQ(0, self->host.broken);
}

TEST_F(console, hvc_buffers_come_back_at_once_and_those_of_the_stream_in_batches)
{
	connect_ports(self);
	ASSERT_LE(0, send(self, KTSTR_PORT_CONSOLE, "x", 1));
	virtio_mmio__run_queues(self->t);
	EXPECT_LE(0, vd_get_used(&self->q[1], NULL));
	EXPECT_EQ(1, edges(&self->host));
	for (uint32_t i = 0; i < 31; i++) {
		ASSERT_LE(0, send(self, KTSTR_PORT_TLV, "x", 1));
		virtio_mmio__run_queues(self->t);
		ASSERT_EQ(i + 1, self->host.ports[1].length); /* the data is not held */
		ASSERT_EQ(63 - i, self->q[5].nr_free);	      /* the buffers are */
	}
	EXPECT_EQ(0, edges(&self->host));
	ASSERT_LE(0, send(self, KTSTR_PORT_TLV, "x", 1)); /* half the queue */
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(1, edges(&self->host));
	for (uint32_t i = 0; i < 32; i++)
		ASSERT_LE(0, vd_get_used(&self->q[5], NULL));
	ASSERT_LE(0, send(self, KTSTR_PORT_TLV, "x", 1));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(-EAGAIN, vd_get_used(&self->q[5], NULL));
	ASSERT_TRUE(control(self, KTSTR_PORT_TLV, VIRTIO_CONSOLE_PORT_OPEN, 0));
	EXPECT_LE(0, vd_get_used(&self->q[5], NULL));
}

TEST_F(console, a_driver_that_fills_the_queue_is_always_woken)
{
	connect_ports(self);
	for (int round = 0; round < 100; round++) {
		while (send(self, KTSTR_PORT_TLV, "y", 1) >= 0)
			;
		EXPECT_EQ(0, self->q[5].nr_free);
		edges(&self->host);
		virtio_mmio__run_queues(self->t);
		ASSERT_EQ(1, edges(&self->host));
	}
}

TEST_F(console, receive_queues_ask_for_no_notification_without_need)
{
	struct vd_buffer b = {RX_GPA, PAGE, true};

	probe(self, FEATURES); /* from the first buffer on: the queues have not run yet */
	vd_add(&self->q[4], &b, 1);
	EXPECT_FALSE(vd_kick_needed(&self->q[4]));
	connect_ports(self);
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		uint8_t in[2 * PAGE];

		virtio_console__input(self->c, i, "z", 1);
		ASSERT_EQ(1, receive(self, i, in, sizeof(in)));
		vd_kick_needed(&self->q[rx(i)]);
	}
	/* probe, fill and receive have offered 17 buffers a queue and written QueueNotify never */
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		uint64_t n;

		EXPECT_EQ(17, self->q[rx(i)].avail_idx);
		EXPECT_EQ(-1, read(virtio_mmio__queue_fd(self->t, rx(i)), &n, sizeof(n)));
	}
}

TEST_F(console, output_that_the_host_does_not_take_stays_and_comes_again)
{
	char text[] = "0123456789";

	connect_ports(self);
	self->host.ports[2].limit = 4;
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, text, 10));
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "ab", 2));
	gmem__write(&self->mem, TX_GPA + 0x30000, text, 10);
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(4, self->host.ports[2].length);
	virtio_console__resume(self->c, KTSTR_PORT_PIPE);
	EXPECT_EQ(4, self->host.ports[2].length);
	self->host.ports[2].limit = 7;
	virtio_console__resume(self->c, KTSTR_PORT_PIPE);
	EXPECT_EQ(7, self->host.ports[2].length);
	self->host.ports[2].limit = HOST_BYTES;
	virtio_console__resume(self->c, KTSTR_PORT_PIPE);
	EXPECT_EQ(12, self->host.ports[2].length);
	EXPECT_EQ(0, memcmp("012345678901", self->host.ports[2].bytes, 12));
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "tail", 4)); /* notifications work again */
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(16, self->host.ports[2].length);
}

TEST_F(console, a_chain_that_shrinks_while_half_taken_is_harmless)
{
	connect_ports(self);
	self->host.ports[2].limit = 8;
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "0123456789", 10));
	virtio_mmio__run_queues(self->t);
	self->q[7].desc[self->q[7].avail->ring[0]].len = 3;
	self->host.ports[2].limit = HOST_BYTES;
	virtio_console__resume(self->c, KTSTR_PORT_PIPE);
	EXPECT_EQ(8, self->host.ports[2].length);
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "next", 4));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(12, self->host.ports[2].length);
}

TEST_F(console, input_is_bounded_and_room_is_announced)
{
	const uint32_t all = 16 * PAGE + VIRTIO_CONSOLE_INPUT_SIZE;
	uint8_t *data = malloc(2 * all), *in = malloc(2 * all);

	ASSERT_NE(NULL, data);
	ASSERT_NE(NULL, in);
	for (uint32_t i = 0; i < 2 * all; i++)
		data[i] = (uint8_t)(i % 253);
	connect_ports(self);
	/* the guest's 16 pages and the host's buffer */
	EXPECT_EQ(all, virtio_console__input(self->c, KTSTR_PORT_PIPE, data, 2 * all));
	EXPECT_EQ(0, virtio_console__input(self->c, KTSTR_PORT_PIPE, data, 1));
	EXPECT_EQ(0, self->host.ports[2].writable);
	EXPECT_EQ(16 * PAGE, receive(self, KTSTR_PORT_PIPE, in, 2 * all));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(1, self->host.ports[2].writable);
	EXPECT_EQ(VIRTIO_CONSOLE_INPUT_SIZE,
		  receive(self, KTSTR_PORT_PIPE, in + 16 * PAGE, 2 * all - 16 * PAGE));
	EXPECT_EQ(0, memcmp(data, in, all));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(1, self->host.ports[2].writable);
	free(data);
	free(in);
}

TEST_F(console, input_waits_until_the_guest_opens_the_port)
{
	uint8_t in[2 * PAGE];

	connect_ports(self);
	ASSERT_TRUE(control(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 0));
	EXPECT_EQ(5, virtio_console__input(self->c, KTSTR_PORT_PIPE, "early", 5));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(0, receive(self, KTSTR_PORT_PIPE, in, sizeof(in)));
	ASSERT_TRUE(control(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 1));
	EXPECT_EQ(5, receive(self, KTSTR_PORT_PIPE, in, sizeof(in)));
}

TEST_F(console, a_close_by_the_host_comes_after_its_input)
{
	const uint32_t all = 16 * PAGE + 100;
	uint8_t *data = calloc(2, all);

	ASSERT_NE(NULL, data);
	connect_ports(self);
	ASSERT_EQ(all, virtio_console__input(self->c, KTSTR_PORT_PIPE, data, all));
	virtio_console__set_open(self->c, KTSTR_PORT_PIPE, false);
	EXPECT_MESSAGE("none");
	EXPECT_EQ(16 * PAGE, receive(self, KTSTR_PORT_PIPE, data, 2 * all));
	virtio_mmio__run_queues(self->t);
	EXPECT_MESSAGE("6 2 0");
	EXPECT_EQ(100, receive(self, KTSTR_PORT_PIPE, data, 2 * all));
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "lost", 4));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(0, self->host.ports[2].length);
	EXPECT_LE(0, vd_get_used(&self->q[7], NULL));
	virtio_console__set_open(self->c, KTSTR_PORT_PIPE, true);
	EXPECT_MESSAGE("6 2 1");
	free(data);
}

TEST_F(console, what_was_written_before_a_close_is_output_before_it)
{
	connect_ports(self);
	ASSERT_LE(0, send(self, KTSTR_PORT_TLV, "last", 4)); /* not run yet: the close overtakes */
	virtio_mmio__run_queue(self->t, 3);
	ASSERT_TRUE(control(self, KTSTR_PORT_TLV, VIRTIO_CONSOLE_PORT_OPEN, 0));
	EXPECT_EQ(1, self->host.ports[1].closes);
	EXPECT_EQ(4, self->host.ports[1].length_at_close);
}

TEST_F(console, a_reset_loses_no_output_and_calls_back_from_the_queue_thread)
{
	connect_ports(self);
	self->host.ports[2].limit = 3;
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "abcdef", 6));
	virtio_mmio__run_queues(self->t);
	ASSERT_LE(0, send(self, KTSTR_PORT_TLV, "one", 3));
	gmem__write(&self->mem, TX_GPA, "two", 3);
	vd_add(&self->q[5], &(struct vd_buffer){TX_GPA, 3, false}, 1);
	wr(self, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(0, self->host.ports[1].length);
	EXPECT_EQ(0, self->host.ports[1].closes);
	memset(gmem__ptr(&self->mem, TX_GPA, 0x40000), 0, 0x40000);
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(6, self->host.ports[1].length);
	EXPECT_EQ(0, memcmp("onetwo", self->host.ports[1].bytes, 6));
	EXPECT_EQ(1, self->host.ports[1].closes);
	EXPECT_EQ(6, self->host.ports[1].length_at_close);
	EXPECT_EQ(1, self->host.ports[0].closes); /* nothing was left in its queue */
	self->host.ports[2].limit = HOST_BYTES;
	virtio_console__resume(self->c, KTSTR_PORT_PIPE);
	EXPECT_EQ(0, memcmp("abcdef", self->host.ports[2].bytes, 6));
	EXPECT_EQ(6, self->host.ports[2].length);
	connect_ports(self); /* and it works once more */
	ASSERT_LE(0, send(self, KTSTR_PORT_TLV, "three", 5));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(11, self->host.ports[1].length);
	EXPECT_EQ(2, self->host.ports[1].opens);
}

TEST_F(console, callbacks_may_call_the_console)
{
	uint8_t in[2 * PAGE];

	connect_ports(self);
	self->host.echo_to = self->c;
	ASSERT_LE(0, send(self, KTSTR_PORT_PIPE, "echo", 4));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(4, receive(self, KTSTR_PORT_PIPE, in, sizeof(in)));
	EXPECT_EQ(0, memcmp("echo", in, 4));
}

TEST_F(console, without_multiport_there_is_one_console)
{
	struct vd_buffer b = {RX_GPA, PAGE, true};

	probe(self, FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_CONSOLE_F_SIZE));
	virtio_mmio__run_queues(self->t);
	EXPECT_TRUE(self->host.ports[0].open);
	vd_add(&self->q[0], &b, 1);
	EXPECT_EQ(2, virtio_console__input(self->c, KTSTR_PORT_CONSOLE, "hi", 2));
	EXPECT_LE(0, vd_get_used(&self->q[0], NULL));
	ASSERT_LE(0, send(self, KTSTR_PORT_CONSOLE, "out", 3));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(3, self->host.ports[0].length);
	edges(&self->host);
	virtio_console__set_size(self->c, 90, 20); /* by configuration change here */
	EXPECT_EQ(1, edges(&self->host));
	EXPECT_EQ(1, rd(self, VIRTIO_MMIO_CONFIG_GENERATION));
}

TEST_F(console, buffers_of_the_wrong_kind_are_named)
{
	struct vd_buffer readable = {RX_GPA, PAGE, false}, small = {RX_GPA, 7, true};

	probe(self, FEATURES);
	vd_add(&self->q[2], &small, 1);
	control(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	EXPECT_EQ(1, self->host.broken);
	EXPECT_NE(NULL, strstr(self->host.reason, "control buffer of 7 writable bytes"));
	probe(self, FEATURES);
	vd_add(&self->q[6], &readable, 1);
	control(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	virtio_console__input(self->c, KTSTR_PORT_PIPE, "x", 1);
	EXPECT_EQ(2, self->host.broken);
	EXPECT_NE(NULL, strstr(self->host.reason, "receive buffer of 0 writable bytes"));
	EXPECT_TRUE(rd(self, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

TEST_F(console, a_saved_console_goes_on_in_another)
{
	struct virtio_console_callbacks cb = {.opaque = &self->host, .port_output = host_output};
	size_t size = virtio_mmio__state_size(self->t);
	uint8_t *state = malloc(size), in[2 * PAGE];
	struct virtio_console *c;
	struct virtio_mmio *t;

	ASSERT_NE(NULL, state);
	connect_ports(self);
	control(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 0);
	virtio_console__input(self->c, KTSTR_PORT_PIPE, "kept", 4);
	self->host.ports[1].limit = 2;
	send(self, KTSTR_PORT_TLV, "abcd", 4);
	virtio_mmio__run_queues(self->t);
	ASSERT_EQ(0, virtio_mmio__save(self->t, state, size, NULL));
	ASSERT_EQ(0, virtio_console__create(&cb, &c, NULL));
	ASSERT_EQ(0, virtio_mmio__create(virtio_console__device(c), &self->mem, 0xc0000000, 5,
					 &self->wiring, &t, NULL));
	ASSERT_EQ(0, virtio_mmio__load(t, state, size, NULL));
	self->host.ports[1].limit = HOST_BYTES;
	virtio_mmio__destroy(self->t);
	virtio_console__destroy(self->c);
	self->t = t;
	self->c = c;
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(4, self->host.ports[1].length);
	EXPECT_EQ(0, memcmp("abcd", self->host.ports[1].bytes, 4));
	ASSERT_TRUE(control(self, 2, VIRTIO_CONSOLE_PORT_OPEN, 1));
	EXPECT_EQ(4, receive(self, KTSTR_PORT_PIPE, in, sizeof(in)));
	free(state);
}

TEST_F(console, state_is_not_saved_while_output_waits_outside_it)
{
	size_t size = virtio_mmio__state_size(self->t);
	uint8_t *state = malloc(size);

	ASSERT_NE(NULL, state);
	connect_ports(self);
	send(self, KTSTR_PORT_TLV, "abcd", 4);
	wr(self, VIRTIO_MMIO_STATUS, 0);
	EXPECT_EQ(-EBUSY, virtio_mmio__save(self->t, state, size, NULL));
	virtio_mmio__run_queues(self->t);
	EXPECT_EQ(0, virtio_mmio__save(self->t, state, size, NULL));
	free(state);
}

TEST_F(console, a_reset_at_any_step_leaves_a_working_device)
{
	uint64_t rng = 7;

	for (int round = 0; round < 300; round++) {
		uint32_t steps = (uint32_t)(vd_random(&rng) >> 59);
		uint32_t port = (uint32_t)(vd_random(&rng) >> 40) % KTSTR_PORTS;

		probe(self, FEATURES);
		if (steps > 0)
			fill_queue(self, 2);
		if (steps > 1)
			control(self, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
		if (steps > 2)
			control(self, port, VIRTIO_CONSOLE_PORT_READY, 1);
		if (steps > 3)
			fill_queue(self, rx(port));
		if (steps > 4)
			control(self, port, VIRTIO_CONSOLE_PORT_OPEN, 1);
		for (uint32_t i = 5; i < steps; i++) {
			send(self, port, "data", 4);
			if (vd_random(&rng) >> 63)
				virtio_mmio__run_queues(self->t);
			virtio_console__input(self->c, port, "in", 2);
		}
	}
	for (uint32_t i = 0; i < KTSTR_PORTS; i++)
		self->host.ports[i].length = 0;
	connect_ports(self);
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		self->host.ports[i].length = 0;
		ASSERT_LE(0, send(self, i, "works", 5));
		virtio_mmio__run_queues(self->t);
		EXPECT_EQ(5, self->host.ports[i].length);
	}
	EXPECT_EQ(0, self->host.broken)
	{
		TH_LOG("%s", self->host.reason);
	}
}

TEST_HARNESS_MAIN
