// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-net: the queues of a NIC. What is sent goes through its link (net_link.c), if that takes
 * time, to the switch (net_switch.c), which hands it to the receive queues of others.
 */
#include "net.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../loop.h"
#include "iov.h"
#include "mmio.h"
#include "net_parts.h"

#define BIT64(n) (UINT64_C(1) << (n))
#define NS_PER_S UINT64_C(1000000000)

/* Before VIRTIO_NET_F_HASH_REPORT, always of this size in this version (§5.1.6). */
#define HEADER_BYTES ((uint32_t)sizeof(struct virtio_net_hdr_v1))

/* How many frames are sent before somebody is told, and before another queue has its turn. */
#define BATCH 32u
#define BUDGET 256u
/* So many parts of a segment are as much work as a frame. Linux makes no more than 46 of one. */
#define PARTS_OF_A_FRAME 64u

#define NO_PAIR 0xff
#define MAX_QUEUES (2 * VIRTIO_NET_MAX_PAIRS + 1)

#define FEATURES                                                                               \
	(BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_MAC) | \
	 BIT64(VIRTIO_NET_F_GUEST_TSO4) | BIT64(VIRTIO_NET_F_GUEST_TSO6) |                     \
	 BIT64(VIRTIO_NET_F_GUEST_ECN) | BIT64(VIRTIO_NET_F_HOST_TSO4) |                       \
	 BIT64(VIRTIO_NET_F_HOST_TSO6) | BIT64(VIRTIO_NET_F_HOST_ECN) |                        \
	 BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_STATUS) |                          \
	 BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_MQ))

struct rx_queue {
	bool pending;	/* frames were put into it that the driver was not told of */
	uint64_t since; /* it had no room, ns; 0: it had */
};

/* All that is state while nothing is under way; what the switch has learned, it learns again. */
struct net_state {
	uint8_t mac[VIRTIO_NET_MAC_BYTES];
	uint16_t pairs;
};

struct virtio_net {
	struct virtio_device dev;
	struct virtio_net_options options;
	struct net_switch *sw;
	int port;
	struct net_link link;
	int timer_fd;
	uint64_t timer_ns; /* when it goes off; 0: it is not set */
	struct loop_source *timer_source;
	uint32_t pairs; /* that the driver uses */
	uint32_t turn;	/* pair to be asked next for a frame */
	bool held;	/* a frame of ours waits for a receiver */
	struct rx_queue rx[VIRTIO_NET_MAX_PAIRS];
	uint8_t steering[256]; /* flow to the pair that last sent of it (§5.1.6.5.6) */
	struct ktstr_nic_counts counts;
	struct virtq_chain sent, first, next;
};

static const uint16_t queue_sizes[MAX_QUEUES] = {[0 ... MAX_QUEUES - 1] = VIRTQ_MAX_SIZE};

static struct virtio_net *to_net(struct virtio_device *dev)
{
	return (struct virtio_net *)((char *)dev - offsetof(struct virtio_net, dev));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* At @ns; 0: not. */
static void set_timer(struct virtio_net *n, uint64_t ns)
{
	struct itimerspec spec = {
		.it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)}};

	if (ns == n->timer_ns)
		return;
	n->timer_ns = ns;
	/* Fails only for values that can't be here. */
	(void)timerfd_settime(n->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* §5.1.2: receive and transmit queues in turn, and the control queue behind all that there are. */
static uint32_t rx_index(uint32_t pair)
{
	return 2 * pair;
}

static uint32_t tx_index(uint32_t pair)
{
	return 2 * pair + 1;
}

static bool has_mq(const struct virtio_net *n)
{
	return n->dev.negotiated & BIT64(VIRTIO_NET_F_MQ);
}

static uint32_t control_index(const struct virtio_net *n)
{
	return has_mq(n) ? 2 * n->options.pairs : 2;
}

static int malformed(const char *what, uint32_t bytes, struct ktstr_error *error)
{
	return ktstr_error__set(error, EINVAL, "virtio-net", NULL, "%s (%u bytes)", what, bytes);
}

/* ---- Receiving ---- */

static uint32_t pair_for(const struct virtio_net *n, const struct net_frame *f)
{
	uint8_t flow;

	if (n->pairs == 1)
		return 0;
	flow = net_frame__flow(f);
	return (n->steering[flow] == NO_PAIR ? flow : n->steering[flow]) % n->pairs;
}

/* What a frame was put into, until it is whole. */
struct filling {
	struct iov_cursor source;
	uint32_t left; /* bytes of it */
	uint32_t nr;
	uint16_t heads[VIRTQ_MAX_SIZE];
	uint32_t lengths[VIRTQ_MAX_SIZE];
};

enum fill { FILLED, NO_ROOM, NO_FIT, BROKEN };

/* Puts the header, or what is left of the frame, into @chain. */
static void fill_chain(struct filling *fill, const struct net_frame *f,
		       const struct virtq_chain *chain)
{
	struct iov_cursor to = iov_cursor__at(chain->iov, chain->nr_writable);
	struct virtio_net_hdr_v1 header = f->header;
	uint32_t length = 0;

	if (!fill->nr) {
		header.num_buffers = 1;
		length = (uint32_t)iov_cursor__write(&to, &header, HEADER_BYTES);
	}
	length += (uint32_t)iov_cursor__copy(&to, &fill->source, fill->left);
	fill->left -= length - (fill->nr ? 0 : HEADER_BYTES);
	fill->heads[fill->nr] = chain->head;
	fill->lengths[fill->nr++] = length;
}

/* Takes buffers until the frame is in them (§5.1.6.4). */
static enum fill fill_queue(struct virtio_net *n, struct virtq *q, const struct net_frame *f,
			    struct filling *fill, bool arm, struct ktstr_error *error)
{
	bool merge = n->dev.negotiated & BIT64(VIRTIO_NET_F_MRG_RXBUF);

	do {
		struct virtq_chain *chain = fill->nr ? &n->next : &n->first;
		int ret = virtq__pop(q, chain, error);

		if (ret < 0)
			return BROKEN;
		/* Armed for what comes behind all that is there, which is not enough. */
		if (!ret && (!arm || !virtq__enable_notify(q)))
			return NO_ROOM;
		if (!ret)
			continue;
		if (chain->nr_readable || chain->writable < HEADER_BYTES) {
			malformed(chain->nr_readable ? "receive buffer that is to be read"
						     : "receive buffer without room for a header",
				  chain->nr_readable ? chain->readable : chain->writable, error);
			return BROKEN;
		}
		fill_chain(fill, f, chain);
		if (fill->left && !merge)
			return NO_FIT;
	} while (fill->left);
	return FILLED;
}

static int push_filled(struct virtio_net *n, struct virtq *q, const struct filling *fill,
		       struct ktstr_error *error)
{
	struct iov_cursor to = iov_cursor__at(n->first.iov, n->first.nr_writable);
	uint16_t buffers = (uint16_t)fill->nr;
	int ret = 0;

	if (buffers > 1) {
		iov_cursor__skip(&to, offsetof(struct virtio_net_hdr_v1, num_buffers));
		iov_cursor__write(&to, &buffers, sizeof(buffers));
	}
	for (uint32_t i = 0; i < fill->nr && !ret; i++)
		ret = virtq__push(q, fill->heads[i], fill->lengths[i], error);
	return ret;
}

static void broken(struct virtio_net *n, const struct ktstr_error *error)
{
	virtio_mmio__fail(n->dev.transport, error);
}

/* Whether the sender is to wait: for a driver that runs, and not for too long. */
static bool may_wait(const struct virtio_net *n, struct rx_queue *rx, const struct virtq *q,
		     bool may_hold)
{
	uint64_t now;

	if (!may_hold || !q->s.live)
		return false;
	now = now_ns();
	if (!rx->since)
		rx->since = now;
	return now - rx->since < n->options.hold_ns;
}

static enum net_delivery receive(struct virtio_net *n, const struct net_frame *f, bool may_hold)
{
	uint32_t pair = pair_for(n, f);
	struct rx_queue *rx = &n->rx[pair];
	struct virtq *q = &n->dev.queues[rx_index(pair)];
	struct filling fill = {.source = iov_cursor__at(f->iov, f->nr), .left = f->length};
	struct ktstr_error error = {0};
	enum fill outcome = fill_queue(n, q, f, &fill, may_hold, &error);

	if (outcome == FILLED && push_filled(n, q, &fill, &error))
		outcome = BROKEN;
	switch (outcome) {
	case FILLED:
		rx->since = 0;
		rx->pending = true;
		n->counts.rx_frames++;
		n->counts.rx_bytes += f->length;
		return NET_DELIVERED;
	case BROKEN:
		broken(n, &error);
		n->counts.rx_dropped++;
		return NET_DELIVERED;
	default:
		while (fill.nr--)
			virtq__unpop(q);
	}
	if (outcome == NO_ROOM && may_wait(n, rx, q, may_hold))
		return NET_HELD;
	n->counts.rx_dropped++;
	return NET_DELIVERED;
}

/* Makes of @f what @n can take. Only the first part can be held: the others follow it. */
static enum net_delivery receive_plain(struct virtio_net *n, const struct net_frame *f,
				       struct net_plain *plain, bool may_hold)
{
	struct net_frame part;

	if (!net_frame__begin_plain(f, plain))
		return NET_DELIVERED;
	while (net_frame__next_plain(f, plain, &part)) {
		if (receive(n, &part, may_hold) == NET_HELD)
			return NET_HELD;
		may_hold = false;
	}
	return NET_DELIVERED;
}

enum net_delivery virtio_net__receive(struct virtio_net *n, const struct net_frame *f,
				      struct net_plain *plain, bool may_hold)
{
	enum net_delivery delivery;

	virtio_mmio__lock(n->dev.transport);
	if (n->options.mtu && !net_frame__within(f, n->options.mtu)) {
		n->counts.rx_too_long++;
		delivery = NET_DELIVERED;
	} else {
		delivery = net_frame__fits(f, n->dev.negotiated)
				   ? receive(n, f, may_hold)
				   : receive_plain(n, f, plain, may_hold);
	}
	virtio_mmio__unlock(n->dev.transport);
	return delivery;
}

void virtio_net__flush(struct virtio_net *n)
{
	virtio_mmio__lock(n->dev.transport);
	for (uint32_t i = 0; i < n->pairs; i++) {
		if (n->rx[i].pending)
			virtio_mmio__signal(n->dev.transport, rx_index(i));
		n->rx[i].pending = false;
	}
	virtio_mmio__unlock(n->dev.transport);
}

/* ---- Sending ---- */

static void kick_senders(struct virtio_net *n)
{
	for (uint32_t i = 0; i < n->pairs; i++)
		virtio_mmio__kick(n->dev.transport, tx_index(i));
}

void virtio_net__resume(struct virtio_net *n)
{
	virtio_mmio__lock(n->dev.transport);
	if (n->held) {
		n->held = false;
		kick_senders(n);
	}
	virtio_mmio__unlock(n->dev.transport);
}

/* What the chain in n->sent holds. False: it is dropped. -EINVAL: the driver broke the rules. */
static int read_frame(struct virtio_net *n, struct net_frame *f, bool *good,
		      struct ktstr_error *error)
{
	struct virtq_chain *chain = &n->sent;
	struct iov_cursor c = iov_cursor__at(chain->iov, chain->nr_readable);
	struct virtio_net_hdr_v1 header;
	struct iovec *rest;

	if (chain->nr_writable)
		return malformed("frame in a buffer that is to be written", chain->writable, error);
	if (iov_cursor__read(&c, &header, HEADER_BYTES) != HEADER_BYTES)
		return malformed("frame without a whole header", chain->readable, error);
	rest = &chain->iov[c.iov - chain->iov];
	if (c.nr) {
		rest->iov_base = (uint8_t *)rest->iov_base + c.at;
		rest->iov_len -= c.at;
	}
	*good = net_frame__init(f, &header, n->dev.negotiated, rest, c.nr,
				chain->readable - HEADER_BYTES);
	return 0;
}

/*
 * The next frame that @pair is to send: 1; 0: none, and the driver will tell of more. The bad ones
 * before it are counted and returned.
 */
static int take_frame(struct virtio_net *n, uint32_t pair, struct net_frame *f,
		      struct ktstr_error *error)
{
	struct virtq *q = &n->dev.queues[tx_index(pair)];

	for (uint32_t bad = 0; bad < BUDGET; bad++) {
		bool good = false;
		int ret = virtq__pop(q, &n->sent, error);

		if (!ret && virtq__enable_notify(q))
			continue;
		if (ret <= 0)
			return ret;
		if (read_frame(n, f, &good, error))
			return -EINVAL;
		if (good)
			return 1;
		n->counts.tx_bad++;
		ret = virtq__push(q, n->sent.head, 0, error);
		if (ret)
			return ret;
	}
	/* A guest that never stops leaves the others on the switch their turn. */
	virtio_mmio__kick(n->dev.transport, tx_index(pair));
	return 0;
}

static void count_sent(struct virtio_net *n, uint32_t pair, const struct net_frame *f)
{
	n->counts.tx_frames++;
	n->counts.tx_bytes += f->length;
	if (n->pairs > 1)
		n->steering[net_frame__flow(f)] = (uint8_t)pair;
}

static uint32_t work_of(const struct net_frame *f)
{
	return 1 + net_frame__parts(f) / PARTS_OF_A_FRAME;
}

static void tell(struct virtio_net *n, uint32_t pair)
{
	net_switch__flush(n->sw);
	virtio_mmio__signal(n->dev.transport, tx_index(pair));
}

/* Without a link that takes time: from the queue of one right into that of another. */
static int send_at_once(struct virtio_net *n, uint32_t pair, struct ktstr_error *error)
{
	struct virtq *q = &n->dev.queues[tx_index(pair)];
	struct net_frame f = {.length = 0};
	uint32_t sent, work = 0;
	int ret = 0;

	virtq__disable_notify(q);
	for (sent = 0; work < BUDGET; sent++) {
		ret = take_frame(n, pair, &f, error);
		if (ret <= 0)
			break;
		if (net_switch__forward(n->sw, (uint32_t)n->port, &f, true) == NET_HELD) {
			virtq__unpop(q);
			if (!n->held)
				set_timer(n, now_ns() + n->options.hold_ns);
			n->held = true;
			break;
		}
		count_sent(n, pair, &f);
		work += work_of(&f);
		ret = virtq__push(q, n->sent.head, 0, error);
		if (ret)
			break;
		if (sent % BATCH == BATCH - 1)
			tell(n, pair);
	}
	if (work >= BUDGET)
		virtio_mmio__kick(n->dev.transport, tx_index(pair));
	if (!n->held)
		set_timer(n, 0);
	tell(n, pair);
	return ret < 0 ? ret : 0;
}

static void deliver_arrived(struct virtio_net *n, uint64_t now)
{
	struct net_frame f;
	struct iovec iov;
	uint32_t done = 0, work = 0;

	/* For the rest the timer is due at once. */
	while (work < BUDGET && net_link__arrived(&n->link, now, &f, &iov)) {
		work += work_of(&f);
		net_switch__forward(n->sw, (uint32_t)n->port, &f, false);
		net_link__taken(&n->link);
		if (++done % BATCH == 0)
			net_switch__flush(n->sw);
	}
	net_switch__flush(n->sw);
}

/* The next frame of any pair, in turn; *pair: whose. */
static int take_in_turn(struct virtio_net *n, uint32_t *pair, struct net_frame *f,
			struct ktstr_error *error)
{
	for (uint32_t i = 0; i < n->pairs; i++) {
		int ret;

		*pair = n->turn++ % n->pairs;
		ret = take_frame(n, *pair, f, error);
		if (ret)
			return ret;
	}
	return 0;
}

static int put_on_link(struct virtio_net *n, uint64_t now, struct ktstr_error *error)
{
	struct net_frame f = {.length = 0};
	uint32_t pair, sent = 0;
	int ret = 0;

	for (uint32_t i = 0; i < n->pairs; i++)
		virtq__disable_notify(&n->dev.queues[tx_index(i)]);
	while (net_link__ready(&n->link, now)) {
		ret = sent++ < BUDGET ? take_in_turn(n, &pair, &f, error) : -EAGAIN;
		if (ret <= 0)
			break;
		count_sent(n, pair, &f);
		if (!net_link__send(&n->link, &f, now))
			n->counts.link_dropped++;
		ret = virtq__push(&n->dev.queues[tx_index(pair)], n->sent.head, 0, error);
		if (ret)
			break;
	}
	if (!ret && sent && net_link__ready(&n->link, now))
		n->link.waiting = false; /* all that there was is on it */
	if (ret == -EAGAIN) {
		kick_senders(n);
		ret = 0;
	}
	return ret;
}

/* What has arrived at the other end, and what there is to send. */
static int run_link(struct virtio_net *n, struct ktstr_error *error)
{
	uint64_t now = now_ns();
	int ret;

	deliver_arrived(n, now);
	ret = put_on_link(n, now, error);
	for (uint32_t i = 0; i < n->pairs; i++)
		virtio_mmio__signal(n->dev.transport, tx_index(i));
	set_timer(n, net_link__next_ns(&n->link));
	return ret;
}

static void on_timer(void *opaque, uint32_t events)
{
	struct virtio_net *n = opaque;
	struct ktstr_error error = {0};
	uint64_t count;

	(void)events;
	virtio_mmio__lock(n->dev.transport);
	/* Otherwise it was set anew in the meantime. */
	if (read(n->timer_fd, &count, sizeof(count)) == sizeof(count)) {
		n->timer_ns = 0;
		if (n->held) {
			n->held = false;
			kick_senders(n);
		}
		if (net_link__shapes(&n->link) && run_link(n, &error))
			broken(n, &error);
	}
	virtio_mmio__unlock(n->dev.transport);
}

/* ---- Control ---- */

/* §5.1.6.5: what a command comes to. */
static uint8_t do_command(struct virtio_net *n, const struct virtio_net_ctrl_hdr *header,
			  const struct iov_cursor *rest, uint32_t length)
{
	struct iov_cursor c = *rest;
	uint16_t pairs = 0;

	/* §5.1.6.5.6.2 */
	if (header->class != VIRTIO_NET_CTRL_MQ || header->cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !has_mq(n) || length != sizeof(pairs))
		return VIRTIO_NET_ERR;
	iov_cursor__read(&c, &pairs, sizeof(pairs));
	if (!pairs || pairs > n->options.pairs)
		return VIRTIO_NET_ERR;
	n->pairs = pairs;
	kick_senders(n);
	return VIRTIO_NET_OK;
}

static int run_control(struct virtio_net *n, struct ktstr_error *error)
{
	uint32_t index = control_index(n);
	struct virtq *q = &n->dev.queues[index];
	struct virtq_chain *chain = &n->sent;
	struct virtio_net_ctrl_hdr header;
	int ret;

	for (uint32_t done = 0; done < BUDGET; done++) {
		struct iov_cursor c, ack_at;
		uint8_t ack;

		ret = virtq__pop(q, chain, error);
		if (!ret && virtq__enable_notify(q))
			continue;
		if (ret <= 0)
			return ret;
		c = iov_cursor__at(chain->iov, chain->nr_readable);
		if (iov_cursor__read(&c, &header, sizeof(header)) != sizeof(header))
			return malformed("command without a whole header", chain->readable, error);
		/* Where it is missing there is no way to say so. */
		if (!chain->writable)
			return malformed("command without a byte for its end", 0, error);
		ack = do_command(n, &header, &c, chain->readable - (uint32_t)sizeof(header));
		ack_at = iov_cursor__at(chain->iov + chain->nr_readable, chain->nr_writable);
		iov_cursor__write(&ack_at, &ack, sizeof(ack));
		ret = virtq__push(q, chain->head, sizeof(ack), error);
		if (ret)
			return ret;
		virtio_mmio__signal(n->dev.transport, index);
	}
	virtio_mmio__kick(n->dev.transport, index);
	return 0;
}

/* ---- Device operations ---- */

static int net_notify(struct virtio_device *dev, uint32_t queue, struct ktstr_error *error)
{
	struct virtio_net *n = to_net(dev);
	uint32_t pair = queue / 2;

	if (queue == control_index(n))
		return run_control(n, error);
	if (pair >= n->pairs)
		return 0;
	if (queue == rx_index(pair)) {
		/* New buffers are of interest to those who wait for them alone: they ask again. */
		virtq__disable_notify(&dev->queues[queue]);
		net_switch__room(n->sw);
		return 0;
	}
	return net_link__shapes(&n->link) ? run_link(n, error) : send_at_once(n, pair, error);
}

static void net_reset(struct virtio_device *dev)
{
	struct virtio_net *n = to_net(dev);

	n->pairs = 1;
	n->turn = 0;
	n->held = false;
	memset(n->rx, 0, sizeof(n->rx));
	memset(n->steering, NO_PAIR, sizeof(n->steering));
	net_link__reset(&n->link);
	set_timer(n, 0);
}

static void net_read_config(struct virtio_device *dev, uint32_t offset, uint8_t *data,
			    uint32_t length)
{
	const struct virtio_net *n = to_net(dev);
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)n->options.pairs,
		.mtu = (uint16_t)n->options.mtu,
	};

	memcpy(config.mac, n->options.mac, sizeof(config.mac));
	virtio_device__copy_config(&config, sizeof(config), offset, data, length);
}

static void net_drain(struct virtio_device *dev)
{
	virtio_net__flush(to_net(dev));
}

/* A frame that waits for a receiver is still in its transmit queue. */
static int net_save(struct virtio_device *dev, void *state, struct ktstr_error *error)
{
	struct virtio_net *n = to_net(dev);
	struct net_state s = {.pairs = (uint16_t)n->pairs};

	if (n->link.used)
		return ktstr_error__set(error, EBUSY, "save", "virtio-net",
					"frames are under way on its link (%u bytes)",
					n->link.used);
	memcpy(s.mac, n->options.mac, sizeof(s.mac));
	memcpy(state, &s, sizeof(s));
	return 0;
}

static int net_load(struct virtio_device *dev, const void *state)
{
	struct virtio_net *n = to_net(dev);
	struct net_state s;

	memcpy(&s, state, sizeof(s));
	if (memcmp(s.mac, n->options.mac, sizeof(s.mac)) != 0 || !s.pairs ||
	    s.pairs > (has_mq(n) ? n->options.pairs : 1))
		return -EINVAL;
	net_reset(dev);
	n->pairs = s.pairs;
	return 0;
}

static const struct virtio_device_ops net_ops = {
	.name = "virtio-net",
	.id = VIRTIO_ID_NET,
	.read_config = net_read_config,
	.notify = net_notify,
	.reset = net_reset,
	.state_size = sizeof(struct net_state),
	.drain = net_drain,
	.save = net_save,
	.load = net_load,
};

/* ---- Life ---- */

static int create_parts(struct virtio_net *n)
{
	int err = net_link__init(&n->link, n->options.rate_bps, n->options.delay_ns);

	if (err)
		return err;
	n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (n->timer_fd < 0)
		return -errno;
	err = loop__add(net_switch__loop(n->sw), n->timer_fd, EPOLLIN, on_timer, n,
			&n->timer_source);
	if (err)
		return err;
	n->port = net_switch__add(n->sw, n);
	return n->port < 0 ? n->port : 0;
}

int virtio_net__create(const struct virtio_net_options *options, struct net_switch *sw,
		       struct virtio_net **nic, struct ktstr_error *error)
{
	struct virtio_net *n;
	int err;

	*nic = NULL;
	if (!options->pairs || options->pairs > VIRTIO_NET_MAX_PAIRS || options->mac[0] & 1 ||
	    options->delay_ns > VIRTIO_NET_MAX_DELAY_NS || options->mtu > VIRTIO_NET_MAX_MTU ||
	    (options->mtu && options->mtu < VIRTIO_NET_MIN_MTU))
		return ktstr_error__set(
			error, EINVAL, "virtio-net", NULL,
			"%u queue pairs, a group's address, a long delay or an MTU of %u",
			options->pairs, options->mtu);
	n = calloc(1, sizeof(*n));
	if (!n)
		return ktstr_error__set(error, ENOMEM, "virtio-net", NULL, NULL);
	n->options = *options;
	if (!n->options.hold_ns)
		n->options.hold_ns = VIRTIO_NET_HOLD_NS;
	n->sw = sw;
	n->timer_fd = n->port = -1;
	n->pairs = 1;
	memset(n->steering, NO_PAIR, sizeof(n->steering));
	n->dev = (struct virtio_device){
		.ops = &net_ops,
		.features = FEATURES | (options->mtu ? BIT64(VIRTIO_NET_F_MTU) : 0),
		.nr_queues = 2 * options->pairs + 1,
		.queue_sizes = queue_sizes,
	};
	err = create_parts(n);
	if (err) {
		ktstr_error__set(error, -err, "create", "virtio-net", NULL);
		virtio_net__destroy(n);
		return err;
	}
	*nic = n;
	return 0;
}

void virtio_net__destroy(struct virtio_net *n)
{
	if (!n)
		return;
	if (n->port >= 0)
		net_switch__remove(n->sw, n);
	loop__remove(n->timer_source);
	if (n->timer_fd >= 0)
		close(n->timer_fd);
	net_link__free(&n->link);
	free(n);
}

struct virtio_device *virtio_net__device(struct virtio_net *n)
{
	return &n->dev;
}

const struct ktstr_nic_counts *virtio_net__counts(const struct virtio_net *n)
{
	return &n->counts;
}
