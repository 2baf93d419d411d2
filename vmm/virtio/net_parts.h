/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What NICs, links and switch know of each other.
 *
 * Locking: everything of a NIC is under its transport's lock. Only the switch's thread ever holds
 * two of them, a sender's and a receiver's, so the order does not matter.
 */
#ifndef KTSTR_VMM_VIRTIO_NET_PARTS_H
#define KTSTR_VMM_VIRTIO_NET_PARTS_H

#include <ktstr/vm.h>

#include "net.h"
#include "net_frame.h"

/* ---- Link: frames under way (net_link.c) ---- */

#define LINK_BYTES (16u << 20)
/*
 * Frames are taken from the queues so long before the link is free for them, LINK_AHEAD_BYTES at
 * most: Linux lets a connection have little in a queue (net.ipv4.tcp_limit_output_bytes and its
 * pacing), so that a guest which is told of it a little late would leave the link idle.
 */
#define LINK_AHEAD_NS 20000000u
#define LINK_AHEAD_BYTES (1u << 20)
/* So much that was not sent because the thread ran late is caught up; more is lost time. */
#define LINK_CATCH_UP_NS 20000000u

struct net_link {
	uint64_t rate_bps, delay_ns;
	uint64_t ahead_ns;
	uint64_t busy_until_ns; /* the frame that was taken last has left then */
	bool waiting;		/* maybe there was one more */
	/* Records of struct link_record and the frame, one behind the other; NULL: none ever */
	uint8_t *ring;
	uint32_t head, used; /* bytes */
};

/* -ENOMEM. Without rate and delay nothing is kept, and net_link__shapes() is false. */
int net_link__init(struct net_link *l, uint64_t rate_bps, uint64_t delay_ns);
void net_link__free(struct net_link *l);
bool net_link__shapes(const struct net_link *l);
/* Loses all that is under way. */
void net_link__reset(struct net_link *l);
/* Whether the next frame may be put on it at @now_ns; otherwise @waiting is set. */
bool net_link__ready(struct net_link *l, uint64_t now_ns);
/* Puts it there. False: there is no room, and the frame is lost. */
bool net_link__send(struct net_link *l, const struct net_frame *f, uint64_t now_ns);
/* The frame that is at the other end by @now_ns: *f and *iov, until net_link__taken(). */
bool net_link__arrived(const struct net_link *l, uint64_t now_ns, struct net_frame *f,
		       struct iovec *iov);
void net_link__taken(struct net_link *l);
/* When it has to be looked at again; 0: not before something is sent. */
uint64_t net_link__next_ns(const struct net_link *l);

/* ---- Switch (net_switch.c) ---- */

enum net_delivery {
	NET_DELIVERED, /* or dropped: the frame is done with */
	NET_HELD,      /* there is no room yet */
};

/* Number of the new port, or -ENOSPC. */
int net_switch__add(struct net_switch *sw, struct virtio_net *n);
void net_switch__remove(struct net_switch *sw, struct virtio_net *n);
/* @may_hold: the sender can wait. In the switch's thread, with the lock of the sender held. */
enum net_delivery net_switch__forward(struct net_switch *sw, uint32_t from,
				      const struct net_frame *f, bool may_hold);
/* Interrupts for what was delivered since the last call. */
void net_switch__flush(struct net_switch *sw);
/* A receiver has buffers again: the queues of those who wait are run. */
void net_switch__room(struct net_switch *sw);

/* ---- NIC (net.c), for the switch ---- */

/* Takes the lock. @plain: work space. */
enum net_delivery virtio_net__receive(struct virtio_net *n, const struct net_frame *f,
				      struct net_plain *plain, bool may_hold);
void virtio_net__flush(struct virtio_net *n);
/* Runs its transmit queues soon, if they are held. */
void virtio_net__resume(struct virtio_net *n);

#endif /* KTSTR_VMM_VIRTIO_NET_PARTS_H */
