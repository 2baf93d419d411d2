// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-console: three ports, each a pair of queues, and a pair of control queues.
 *
 * What keeps exits few: receive queues ask for no notification while there is nothing to send, a
 * run over a queue interrupts once, and written buffers of the two generic ports are returned in
 * batches (see complete_output()).
 */
#include "console.h"

#include <errno.h>
#include <ktstr/proto.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "mmio.h"

#define BIT64(n) (UINT64_C(1) << (n))

/* §5.3.2: port 0 has queues 0 and 1, control 2 and 3, port n >= 1 the pair at 2n + 2. */
#define CONTROL_RX 2u
#define CONTROL_TX 3u
#define NR_QUEUES (2u * (KTSTR_PORTS + 1))

/*
 * Linux fills every receive queue with buffers of a page, so these are short; what a port sends is
 * bounded by its queue, so those are longer.
 */
static const uint16_t queue_sizes[NR_QUEUES] = {16, 64, 16, 16, 16, 64, 16, 64};

/* Output of a generic port that was taken is returned to the guest at the latest at this size. */
#define HELD_BYTES 65536u
/* Output that a reset may leave behind for the host, at most. */
#define LATE_BYTES (4u << 20)
/*
 * Output of a port that the host takes before others have their turn. Linux never has as much in a
 * queue; but 64 chains can have 4 GiB each, all in the same memory.
 */
#define TURN_BYTES (4u << 20)

/* Control messages that wait for the guest's buffers: bits, sent in this order. */
enum {
	SEND_ADD = 1 << 0,
	SEND_CONSOLE = 1 << 1,
	SEND_RESIZE = 1 << 2,
	SEND_OPEN = 1 << 3, /* before the name: who finds the port by name can write at once */
	SEND_NAME = 1 << 4,
};

struct port_state {
	uint8_t guest_ready; /* PORT_READY came */
	uint8_t guest_open;  /* PORT_OPEN came */
	uint8_t host_open;
	uint8_t send;	    /* SEND_* */
	uint32_t taken;	    /* bytes of the first waiting output chain that the host took */
	uint32_t in_head;   /* first byte in @in */
	uint32_t in_length; /* bytes in @in, a ring */
	uint8_t in[VIRTIO_CONSOLE_INPUT_SIZE];
};

struct console_state {
	uint16_t cols, rows;
	struct port_state ports[KTSTR_PORTS];
};

struct port {
	struct port_state *s;
	bool told_open;			   /* what port_open() said last */
	bool owes_room;			   /* port_writable() has to be called when there is room */
	bool in_output;			   /* run_output() is on the stack */
	bool in_writable;		   /* port_writable() is on the stack */
	uint32_t held_bytes, held_buffers; /* output taken and not yet returned to the guest */
	uint8_t *late;			   /* output that a reset caught in the queue; malloc'ed */
	size_t late_length, late_taken;
};

struct virtio_console {
	struct virtio_device dev;
	struct virtio_console_callbacks cb;
	struct console_state s;
	struct port ports[KTSTR_PORTS];
};

static const char *const port_names[KTSTR_PORTS] = {
	[KTSTR_PORT_TLV] = KTSTR_PORT_TLV_NAME,
	[KTSTR_PORT_PIPE] = KTSTR_PORT_PIPE_NAME,
};

static struct virtio_console *to_console(struct virtio_device *dev)
{
	return (struct virtio_console *)((char *)dev - offsetof(struct virtio_console, dev));
}

static uint32_t rx_queue(uint32_t port)
{
	return port ? 2 * port + 2 : 0;
}

static uint32_t tx_queue(uint32_t port)
{
	return rx_queue(port) + 1;
}

static bool multiport(const struct virtio_console *c)
{
	return c->dev.negotiated & BIT64(VIRTIO_CONSOLE_F_MULTIPORT);
}

/* ---- Control messages to the guest (§5.3.6.2) ---- */

struct message {
	struct virtio_console_control control;
	uint8_t extra[32]; /* name without NUL, or struct virtio_console_resize */
} __attribute__((packed));

/* The size of the message for one SEND_* bit. */
static uint32_t build_message(const struct virtio_console *c, uint32_t port, uint32_t bit,
			      struct message *m)
{
	const uint16_t size[2] = {c->s.cols, c->s.rows}; /* §5.3.6.2, virtio_console_resize */
	const char *name = port_names[port] ? port_names[port] : "";
	uint32_t extra = 0;

	*m = (struct message){.control = {.id = port, .value = 1}};
	switch (bit) {
	case SEND_ADD:
		m->control.event = VIRTIO_CONSOLE_PORT_ADD;
		break;
	case SEND_CONSOLE:
		m->control.event = VIRTIO_CONSOLE_CONSOLE_PORT;
		break;
	case SEND_RESIZE:
		m->control.event = VIRTIO_CONSOLE_RESIZE;
		extra = sizeof(size);
		memcpy(m->extra, size, sizeof(size));
		break;
	case SEND_OPEN:
		m->control.event = VIRTIO_CONSOLE_PORT_OPEN;
		m->control.value = c->s.ports[port].host_open;
		break;
	case SEND_NAME:
		m->control.event = VIRTIO_CONSOLE_PORT_NAME;
		extra = (uint32_t)strlen(name);
		memcpy(m->extra, name, extra);
		break;
	}
	return (uint32_t)sizeof(m->control) + extra;
}

/* The next message to send: false when there is none. A close waits for the input before it. */
static bool next_message(const struct virtio_console *c, uint32_t *port, uint32_t *bit)
{
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		const struct port_state *s = &c->s.ports[i];
		uint32_t send = s->send;

		if (!s->host_open && s->guest_open && s->in_length)
			send &= ~(uint32_t)SEND_OPEN;
		if (send) {
			*port = i;
			*bit = send & -send;
			return true;
		}
	}
	return false;
}

/* Copies @length bytes into the writable part, which must be large enough. */
static void copy_to_chain(const struct virtq_chain *chain, const void *buf, uint32_t length)
{
	const struct iovec *iov = &chain->iov[chain->nr_readable];
	const uint8_t *p = buf;

	for (; length; iov++) {
		uint32_t n = iov->iov_len < length ? (uint32_t)iov->iov_len : length;

		memcpy(iov->iov_base, p, n);
		p += n;
		length -= n;
	}
}

static int no_room(struct ktstr_error *error, const char *what, uint32_t have, uint32_t need)
{
	return ktstr_error__set(error, EINVAL, "virtio-console", NULL,
				"%s buffer of %u writable bytes, %u needed", what, have, need);
}

static int send_control(struct virtio_console *c, struct ktstr_error *error)
{
	struct virtq *q = &c->dev.queues[CONTROL_RX];
	struct virtq_chain chain;
	uint32_t port, bit;
	int ret = 0;

	while (next_message(c, &port, &bit)) {
		struct message m;
		uint32_t length;

		ret = virtq__pop(q, &chain, error);
		if (ret < 0)
			return ret;
		if (!ret) {
			if (virtq__enable_notify(q))
				continue;
			break;
		}
		length = build_message(c, port, bit, &m);
		if (chain.writable < length)
			return no_room(error, "control", chain.writable, length);
		copy_to_chain(&chain, &m, length);
		ret = virtq__push(q, chain.head, length, error);
		if (ret)
			return ret;
		c->s.ports[port].send &= (uint8_t)~bit;
	}
	if (!next_message(c, &port, &bit))
		virtq__disable_notify(q);
	virtio_mmio__signal(c->dev.transport, CONTROL_RX);
	return 0;
}

/* ---- Output: guest to host ---- */

/* Returns how much the host took; all of it when nobody listens. */
static size_t give(struct virtio_console *c, uint32_t port, const struct iovec *iov, uint32_t nr,
		   size_t length)
{
	size_t taken;

	if (!c->cb.port_output || !c->s.ports[port].host_open)
		return length;
	taken = c->cb.port_output(c->cb.opaque, port, iov, nr);
	return taken < length ? taken : length;
}

/* Output that a reset caught. True: the host took it all. */
static bool give_late(struct virtio_console *c, uint32_t port)
{
	struct port *p = &c->ports[port];
	struct iovec iov;

	if (!p->late)
		return true;
	iov.iov_base = p->late + p->late_taken;
	iov.iov_len = p->late_length - p->late_taken;
	p->late_taken += give(c, port, &iov, 1, iov.iov_len);
	if (p->late_taken < p->late_length)
		return false;
	free(p->late);
	p->late = NULL;
	p->late_length = 0;
	p->late_taken = 0;
	return true;
}

/* Drops the first @skip bytes of the readable part. Returns the first entry with bytes left. */
static struct iovec *skip_bytes(struct virtq_chain *chain, uint32_t skip)
{
	struct iovec *iov = chain->iov;

	while (skip && skip >= iov->iov_len) {
		skip -= (uint32_t)iov->iov_len;
		iov++;
	}
	if (skip) {
		iov->iov_base = (uint8_t *)iov->iov_base + skip;
		iov->iov_len -= skip;
	}
	return iov;
}

/* Shortens @iov to @length bytes, of at least as many. Returns the number of entries. */
static uint32_t cut_bytes(struct iovec *iov, size_t length)
{
	uint32_t nr = 0;

	while (length > iov[nr].iov_len)
		length -= iov[nr++].iov_len;
	iov[nr].iov_len = length;
	return nr + 1;
}

enum given {
	GIVEN_ALL,   /* the host took the whole chain */
	GIVEN_LESS,  /* it has no room for the rest */
	GIVEN_LIMIT, /* it may have the rest in its next turn */
};

/* At most *@limit bytes, of which those that the host took are deducted; more than 0. */
static enum given give_chain(struct virtio_console *c, uint32_t port, struct virtq_chain *chain,
			     uint32_t *limit)
{
	struct port_state *s = &c->s.ports[port];
	uint32_t left, offered, taken;
	struct iovec *iov;

	/* The chain was read again since the host took a part: it may be another one by now. */
	if (s->taken < chain->readable) {
		left = chain->readable - s->taken;
		iov = skip_bytes(chain, s->taken);
		offered = left < *limit ? left : *limit;
		taken = (uint32_t)give(c, port, iov, cut_bytes(iov, offered), offered);
		*limit -= taken;
		s->taken += taken;
		if (taken < offered)
			return GIVEN_LESS;
		if (taken < left)
			return GIVEN_LIMIT;
	}
	s->taken = 0;
	return GIVEN_ALL;
}

/*
 * Linux waits for each buffer of hvc0, but not for those of a generic port: it takes back what was
 * returned when it writes next, and sleeps for an interrupt only when its queue is full. So these
 * are returned when half a queue of descriptors is used or HELD_BYTES are held, and when either
 * side closes: one interrupt, two exits, for many writes. Without indirect descriptors a chain
 * could need more descriptors than are left, so then none is held.
 */
static void complete_output(struct virtio_console *c, uint32_t port, bool all)
{
	struct port *p = &c->ports[port];
	struct virtq *q = &c->dev.queues[tx_queue(port)];

	if (!all && port != KTSTR_PORT_CONSOLE && q->s.indirect &&
	    p->held_buffers < q->s.size / 2 && p->held_bytes < HELD_BYTES)
		return;
	p->held_buffers = 0;
	p->held_bytes = 0;
	virtio_mmio__signal(c->dev.transport, tx_queue(port));
}

/* At most so much, so that a guest that never stops writing leaves the others their turn. */
static int drain_output(struct virtio_console *c, uint32_t port, struct ktstr_error *error)
{
	struct port *p = &c->ports[port];
	struct virtq *q = &c->dev.queues[tx_queue(port)];
	struct virtq_chain chain;
	uint32_t budget = q->max_size, limit = TURN_BYTES;
	enum given given;
	int ret;

	virtq__disable_notify(q);
	for (;;) {
		ret = virtq__pop(q, &chain, error);
		if (ret < 0)
			return ret;
		if (!ret) {
			if (virtq__enable_notify(q))
				continue;
			return 0;
		}
		given = budget-- && limit ? give_chain(c, port, &chain, &limit) : GIVEN_LIMIT;
		if (given != GIVEN_ALL) {
			virtq__unpop(q);
			if (given == GIVEN_LIMIT)
				virtio_mmio__kick(c->dev.transport, tx_queue(port));
			return 0; /* of GIVEN_LESS, virtio_console__resume() goes on */
		}
		p->held_bytes += chain.readable;
		p->held_buffers += chain.nr_readable + chain.nr_writable;
		ret = virtq__push(q, chain.head, 0, error);
		if (ret)
			return ret;
		if (port == KTSTR_PORT_CONSOLE)
			virtq__publish(q); /* a vCPU spins for it */
	}
}

static void tell_open(struct virtio_console *c, uint32_t port)
{
	struct port *p = &c->ports[port];

	if (p->told_open == p->s->guest_open)
		return;
	p->told_open = p->s->guest_open;
	if (c->cb.port_open)
		c->cb.port_open(c->cb.opaque, port, p->told_open);
}

static int run_output(struct virtio_console *c, uint32_t port, struct ktstr_error *error)
{
	struct port *p = &c->ports[port];
	int ret = 0;

	if (p->in_output)
		return 0;
	p->in_output = true;
	if (give_late(c, port)) {
		tell_open(c, port);
		ret = drain_output(c, port, error);
		complete_output(c, port, !p->s->host_open);
	}
	p->in_output = false;
	return ret;
}

/* ---- Input: host to guest ---- */

static uint32_t ring_put(struct port_state *s, const uint8_t *buf, size_t length)
{
	uint32_t room = VIRTIO_CONSOLE_INPUT_SIZE - s->in_length;
	uint32_t n = length < room ? (uint32_t)length : room;
	uint32_t tail = (s->in_head + s->in_length) % VIRTIO_CONSOLE_INPUT_SIZE;
	uint32_t first =
		VIRTIO_CONSOLE_INPUT_SIZE - tail < n ? VIRTIO_CONSOLE_INPUT_SIZE - tail : n;

	memcpy(s->in + tail, buf, first);
	memcpy(s->in, buf + first, n - first);
	s->in_length += n;
	return n;
}

/* Moves bytes from the ring into a chain; returns how many. */
static uint32_t ring_take(struct port_state *s, const struct virtq_chain *chain)
{
	uint32_t total = 0;

	for (uint32_t i = 0; i < chain->nr_writable && s->in_length; i++) {
		const struct iovec *iov = &chain->iov[chain->nr_readable + i];
		uint8_t *p = iov->iov_base;
		size_t room = iov->iov_len;

		while (room && s->in_length) {
			uint32_t n = VIRTIO_CONSOLE_INPUT_SIZE - s->in_head;

			if (n > s->in_length)
				n = s->in_length;
			if (n > room)
				n = (uint32_t)room;
			memcpy(p, s->in + s->in_head, n);
			s->in_head = (s->in_head + n) % VIRTIO_CONSOLE_INPUT_SIZE;
			s->in_length -= n;
			p += n;
			room -= n;
			total += n;
		}
	}
	return total;
}

/* Linux throws away what comes for a port that nobody has open, so input waits for PORT_OPEN. */
static int fill_input(struct virtio_console *c, uint32_t port, struct ktstr_error *error)
{
	struct virtq *q = &c->dev.queues[rx_queue(port)];
	struct port_state *s = &c->s.ports[port];
	struct virtq_chain chain;
	int ret;

	while (s->in_length && s->guest_open) {
		ret = virtq__pop(q, &chain, error);
		if (ret < 0)
			return ret;
		if (!ret) {
			if (virtq__enable_notify(q))
				continue;
			break;
		}
		if (!chain.writable)
			return no_room(error, "receive", 0, 1);
		ret = virtq__push(q, chain.head, ring_take(s, &chain), error);
		if (ret)
			return ret;
	}
	if (!s->in_length || !s->guest_open)
		virtq__disable_notify(q);
	virtio_mmio__signal(c->dev.transport, rx_queue(port));
	return s->in_length ? 0 : send_control(c, error); /* a close may have waited */
}

static int run_input(struct virtio_console *c, uint32_t port, struct ktstr_error *error)
{
	struct port *p = &c->ports[port];
	int ret = fill_input(c, port, error);

	if (ret || p->in_writable || !p->owes_room || p->s->in_length == VIRTIO_CONSOLE_INPUT_SIZE)
		return ret;
	p->owes_room = false;
	if (!c->cb.port_writable)
		return 0;
	p->in_writable = true;
	c->cb.port_writable(c->cb.opaque, port);
	p->in_writable = false;
	/* It gave more than there was room for, and the guest took some: its turn again, later. */
	if (p->owes_room && p->s->in_length < VIRTIO_CONSOLE_INPUT_SIZE)
		virtio_mmio__kick(c->dev.transport, rx_queue(port));
	return 0;
}

/* ---- Control messages from the guest ---- */

static int port_opened(struct virtio_console *c, uint32_t port, bool open,
		       struct ktstr_error *error)
{
	int ret = 0;

	if (!open) {
		/* What was written before the close counts, though its notification may be behind.
		 */
		ret = run_output(c, port, error);
		complete_output(c, port, true);
	}
	c->s.ports[port].guest_open = open;
	tell_open(c, port);
	if (ret)
		return ret;
	return run_input(c, port, error);
}

static int handle_control(struct virtio_console *c, const struct virtio_console_control *m,
			  struct ktstr_error *error)
{
	struct port_state *s;

	if (m->event == VIRTIO_CONSOLE_DEVICE_READY) {
		for (uint32_t i = 0; m->value && i < KTSTR_PORTS; i++)
			c->s.ports[i].send |= SEND_ADD;
		return send_control(c, error);
	}
	if (m->id >= KTSTR_PORTS)
		return 0;
	s = &c->s.ports[m->id];
	switch (m->event) {
	case VIRTIO_CONSOLE_PORT_READY:
		s->guest_ready = !!m->value;
		if (!m->value)
			return 0;
		s->send |= SEND_OPEN;
		if (port_names[m->id])
			s->send |= SEND_NAME;
		if (m->id == KTSTR_PORT_CONSOLE) {
			s->send |= SEND_CONSOLE;
			if (c->s.cols || c->s.rows)
				s->send |= SEND_RESIZE;
		}
		return send_control(c, error);
	case VIRTIO_CONSOLE_PORT_OPEN:
		return port_opened(c, m->id, !!m->value, error);
	}
	return 0;
}

/* Returns how many bytes of the readable part were copied to @buf, at most @length. */
static uint32_t copy_from_chain(const struct virtq_chain *chain, void *buf, uint32_t length)
{
	uint32_t done = 0;

	for (uint32_t i = 0; i < chain->nr_readable && done < length; i++) {
		uint32_t n = length - done;

		if (chain->iov[i].iov_len < n)
			n = (uint32_t)chain->iov[i].iov_len;
		memcpy((uint8_t *)buf + done, chain->iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* Linux spins for each message, so each is returned at once; what is too short is ignored. */
static int receive_control(struct virtio_console *c, struct ktstr_error *error)
{
	struct virtq *q = &c->dev.queues[CONTROL_TX];
	struct virtio_console_control m;
	struct virtq_chain chain;
	uint32_t budget = q->max_size;
	int ret;

	for (;;) {
		ret = virtq__pop(q, &chain, error);
		if (ret < 0)
			return ret;
		if (!ret) {
			if (virtq__enable_notify(q))
				continue;
			return 0;
		}
		if (!budget--) {
			virtq__unpop(q);
			virtio_mmio__kick(c->dev.transport, CONTROL_TX);
			return 0;
		}
		if (copy_from_chain(&chain, &m, sizeof(m)) == sizeof(m)) {
			ret = handle_control(c, &m, error);
			if (ret)
				return ret;
		}
		ret = virtq__push(q, chain.head, 0, error);
		if (ret)
			return ret;
		virtio_mmio__signal(c->dev.transport, CONTROL_TX);
	}
}

/* ---- Device operations ---- */

static int console_notify(struct virtio_device *dev, uint32_t queue, struct ktstr_error *error)
{
	struct virtio_console *c = to_console(dev);
	uint32_t port = queue < CONTROL_RX ? 0 : queue / 2 - 1;

	if (queue == CONTROL_RX)
		return send_control(c, error);
	if (queue == CONTROL_TX)
		return receive_control(c, error);
	if (queue & 1)
		return run_output(c, port, error);
	return run_input(c, port, error);
}

static void console_activate(struct virtio_device *dev)
{
	struct virtio_console *c = to_console(dev);

	/* §5.3.5: without multiport there is port 0 alone, and it is always open. */
	if (!multiport(c)) {
		c->s.ports[KTSTR_PORT_CONSOLE].guest_ready = true;
		c->s.ports[KTSTR_PORT_CONSOLE].guest_open = true;
	}
	for (uint32_t i = 0; i < NR_QUEUES; i += 2)
		virtq__disable_notify(&dev->queues[i]);
}

/* Room for @more bytes of late output. False: there is none, and the bytes are lost. */
static bool grow_late(struct port *p, size_t more)
{
	uint8_t *late;

	if (more > LATE_BYTES - p->late_length)
		return false;
	late = realloc(p->late, p->late_length + more);
	if (late)
		p->late = late;
	return late;
}

/*
 * A guest that reboots resets the device right after its last write. What still lies in the queue
 * is kept, and given to the host by the thread that does so always. Bytes that cannot be kept are
 * a gap in the stream, which its reader reports.
 */
static void keep_output(struct virtio_console *c, uint32_t port)
{
	struct virtq *q = &c->dev.queues[tx_queue(port)];
	struct port *p = &c->ports[port];
	struct virtq_chain chain;

	while (c->cb.port_output && p->s->host_open && virtq__pop(q, &chain, NULL) > 0) {
		uint32_t skip = p->s->taken < chain.readable ? p->s->taken : chain.readable;
		struct iovec *iov = skip_bytes(&chain, skip);

		p->s->taken = 0;
		if (skip == chain.readable)
			continue;
		if (!grow_late(p, chain.readable - skip))
			return;
		for (; iov < chain.iov + chain.nr_readable; iov++) {
			memcpy(p->late + p->late_length, iov->iov_base, iov->iov_len);
			p->late_length += iov->iov_len;
		}
	}
}

/* In a vCPU's thread: callbacks are left to the queue's. Input and the host's ends stay. */
static void console_reset(struct virtio_device *dev)
{
	struct virtio_console *c = to_console(dev);

	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		struct port *p = &c->ports[i];

		keep_output(c, i);
		p->s->guest_ready = false;
		p->s->guest_open = false;
		p->s->send = 0;
		p->s->taken = 0;
		p->held_bytes = 0;
		p->held_buffers = 0;
		if (p->late || p->told_open)
			virtio_mmio__kick(dev->transport, tx_queue(i));
	}
}

static void console_read_config(struct virtio_device *dev, uint32_t offset, uint8_t *data,
				uint32_t length)
{
	const struct virtio_console *c = to_console(dev);
	struct virtio_console_config config = {
		.cols = c->s.cols,
		.rows = c->s.rows,
		.max_nr_ports = KTSTR_PORTS,
	};

	virtio_device__copy_config(&config, sizeof(config), offset, data, length);
}

static int console_save(struct virtio_device *dev, void *state, struct ktstr_error *error)
{
	struct virtio_console *c = to_console(dev);

	for (uint32_t i = 0; i < KTSTR_PORTS; i++)
		if (c->ports[i].late)
			return ktstr_error__set(error, EBUSY, "save", "virtio-console",
						"output of port %u waits for its reader", i);
	memcpy(state, &c->s, sizeof(c->s));
	return 0;
}

static int console_load(struct virtio_device *dev, const void *state)
{
	struct virtio_console *c = to_console(dev);

	memcpy(&c->s, state, sizeof(c->s));
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		struct port_state *s = &c->s.ports[i];

		if (s->in_head >= VIRTIO_CONSOLE_INPUT_SIZE ||
		    s->in_length > VIRTIO_CONSOLE_INPUT_SIZE || s->guest_ready > 1 ||
		    s->guest_open > 1 || s->host_open > 1 || s->send >= SEND_NAME * 2 ||
		    ((s->send & SEND_NAME) && !port_names[i])) {
			memset(&c->s, 0, sizeof(c->s));
			return -EINVAL;
		}
	}
	return 0;
}

static const struct virtio_device_ops console_ops = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.read_config = console_read_config,
	.activate = console_activate,
	.notify = console_notify,
	.reset = console_reset,
	.state_size = sizeof(struct console_state),
	.save = console_save,
	.load = console_load,
};

/* ---- The host's side ---- */

int virtio_console__create(const struct virtio_console_callbacks *callbacks,
			   struct virtio_console **console, struct ktstr_error *error)
{
	struct virtio_console *c = calloc(1, sizeof(*c));

	*console = c;
	if (!c)
		return ktstr_error__set(error, ENOMEM, "virtio-console", NULL, NULL);
	c->cb = *callbacks;
	c->dev = (struct virtio_device){
		.ops = &console_ops,
		.features = BIT64(VIRTIO_CONSOLE_F_SIZE) | BIT64(VIRTIO_CONSOLE_F_MULTIPORT),
		.nr_queues = NR_QUEUES,
		.queue_sizes = queue_sizes,
	};
	for (uint32_t i = 0; i < KTSTR_PORTS; i++) {
		c->ports[i].s = &c->s.ports[i];
		c->s.ports[i].host_open = true;
	}
	return 0;
}

void virtio_console__destroy(struct virtio_console *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < KTSTR_PORTS; i++)
		free(c->ports[i].late);
	free(c);
}

struct virtio_device *virtio_console__device(struct virtio_console *c)
{
	return &c->dev;
}

/* For work that did not start with a notification, and so fails on its own. */
static void check(struct virtio_console *c, int ret, const struct ktstr_error *error)
{
	if (ret < 0)
		virtio_mmio__fail(c->dev.transport, error);
}

size_t virtio_console__input(struct virtio_console *c, uint32_t port, const void *buf,
			     size_t length)
{
	struct ktstr_error error = {0};
	struct port *p;
	size_t done = 0;
	uint32_t n;

	if (port >= KTSTR_PORTS)
		return 0;
	p = &c->ports[port];
	virtio_mmio__lock(c->dev.transport);
	do {
		n = ring_put(p->s, (const uint8_t *)buf + done, length - done);
		done += n;
		if (n)
			check(c, fill_input(c, port, &error), &error);
	} while (n && done < length);
	if (done < length)
		p->owes_room = true;
	virtio_mmio__unlock(c->dev.transport);
	return done;
}

void virtio_console__resume(struct virtio_console *c, uint32_t port)
{
	struct ktstr_error error = {0};

	if (port >= KTSTR_PORTS)
		return;
	virtio_mmio__lock(c->dev.transport);
	check(c, run_output(c, port, &error), &error);
	virtio_mmio__unlock(c->dev.transport);
}

void virtio_console__set_open(struct virtio_console *c, uint32_t port, bool open)
{
	struct ktstr_error error = {0};

	if (port >= KTSTR_PORTS)
		return;
	virtio_mmio__lock(c->dev.transport);
	if (c->s.ports[port].host_open != open) {
		c->s.ports[port].host_open = open;
		if (c->s.ports[port].guest_ready && multiport(c))
			c->s.ports[port].send |= SEND_OPEN;
		check(c, send_control(c, &error), &error);
		if (!open)
			check(c, run_output(c, port, &error), &error);
	}
	virtio_mmio__unlock(c->dev.transport);
}

void virtio_console__set_size(struct virtio_console *c, uint16_t cols, uint16_t rows)
{
	struct ktstr_error error = {0};

	virtio_mmio__lock(c->dev.transport);
	if (c->s.cols != cols || c->s.rows != rows) {
		c->s.cols = cols;
		c->s.rows = rows;
		if (!multiport(c)) {
			virtio_mmio__config_changed(c->dev.transport);
		} else if (c->s.ports[KTSTR_PORT_CONSOLE].guest_ready) {
			c->s.ports[KTSTR_PORT_CONSOLE].send |= SEND_RESIZE;
			check(c, send_control(c, &error), &error);
		}
	}
	virtio_mmio__unlock(c->dev.transport);
}
