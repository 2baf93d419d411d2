/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An Ethernet frame on its way from one NIC to another, with what its sender left to others to do
 * (virtio 1.2 §5.1.6.2): a checksum that is not computed, a TCP segment larger than the link's.
 * Whoever receives it gets the same offer passed on where it takes such offers, and the work done
 * where it does not.
 */
#ifndef KTSTR_VMM_VIRTIO_NET_FRAME_H
#define KTSTR_VMM_VIRTIO_NET_FRAME_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* An IP packet of 64 KiB behind an Ethernet header with a VLAN tag. */
#define NET_FRAME_MIN 14u
#define NET_FRAME_MAX (65536u + 18u)
/* Enough of a frame for addresses and ports. */
#define NET_FRAME_HEAD 64u

/* @iov is the whole frame, and may change at any time; @head is a copy that does not. */
struct net_frame {
	struct virtio_net_hdr_v1 header; /* checked; num_buffers is 0 */
	uint16_t headers;		 /* of a TCP segment that is to be cut: Ethernet to TCP */
	uint32_t length, head_length;
	const struct iovec *iov;
	uint32_t nr;
	uint8_t head[NET_FRAME_HEAD];
};

/*
 * Describes what @iov holds and checks what @header says of it, where the sender has negotiated
 * @features. False: no frame that could be; nobody is to get it. What the header says beyond its
 * flags and types is ignored as it has to be (§5.1.6.2.2).
 */
bool net_frame__init(struct net_frame *f, const struct virtio_net_hdr_v1 *header, uint64_t features,
		     const struct iovec *iov, uint32_t nr, uint32_t length);

/* Whether a receiver that has negotiated @features takes it as it is. */
bool net_frame__fits(const struct net_frame *f, uint64_t features);

/* How many frames it is to become for a receiver that does nothing itself. */
uint32_t net_frame__parts(const struct net_frame *f);

/* Whether each of these has at most @mtu bytes behind its Ethernet header and a VLAN tag. */
bool net_frame__within(const struct net_frame *f, uint32_t mtu);

/* Bytes on a link: of all the frames that it is to become, each with its own headers. */
uint64_t net_frame__wire_bytes(const struct net_frame *f);

/* The same for both directions of a TCP or UDP flow, and for all else the same for its addresses.
 */
uint8_t net_frame__flow(const struct net_frame *f);

/* Room for net_frame__next_plain(). */
struct net_plain {
	uint8_t whole[NET_FRAME_MAX], part[NET_FRAME_MAX];
	uint32_t length;
	uint32_t next, number; /* first byte of the next part, and its number */
	struct iovec iov;
};

/* A copy of @f to make plain frames of. False: it changed meanwhile to what cannot be. */
bool net_frame__begin_plain(const struct net_frame *f, struct net_plain *p);
/*
 * The next frame that @f has to become for a receiver that does nothing itself: *plain, with all
 * checksums, in @p until the next call. False: there is none.
 */
bool net_frame__next_plain(const struct net_frame *f, struct net_plain *p, struct net_frame *plain);

#endif /* KTSTR_VMM_VIRTIO_NET_FRAME_H */
