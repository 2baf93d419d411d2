/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio-net (virtio 1.2 §5.1) on a switch within the monitor: what one NIC of a machine sends is
 * copied from its transmit queues straight to the receive queues of another. The host's network has
 * no part in it. A switch has a thread of its own for the queues and links of all its NICs.
 *
 * A NIC alone on its switch gets back every frame that it sends, as it is. With others, the switch
 * learns behind which of them a MAC address is; what is for many, or for an address that it does
 * not know, goes to all the others.
 *
 * A link may have a rate and a delay, in the direction from the NIC to the switch. A rate holds
 * back what is to be sent in the transmit queues, as in real ones: nothing is lost by it. What has
 * been taken from there, for what the link can carry in the next LINK_AHEAD_NS and for its delay,
 * is kept in memory, LINK_BYTES at most; more is dropped. It is not a part of a NIC's saved state,
 * which cannot be had meanwhile; all else that was not delivered is in the guest's queues.
 *
 * A frame for one receiver without enough buffers waits in the transmit queue, VIRTIO_NET_HOLD_NS
 * at most, as by the PAUSE frames of IEEE 802.3 annex 31B, and is dropped then; so are further ones
 * until there are buffers. Frames for many, and those that a link has held, do not wait.
 *
 * What reaches a port is for its driver, whatever the address: multicast and unknown addresses are
 * flooded. VIRTIO_NET_F_CTRL_RX, by which a driver asks for less, or for all, is not offered.
 *
 * Checksums and segments that a sender leaves to others are passed on as they are to a receiver
 * that takes them, which within one machine costs nothing; for another they are done.
 */
#ifndef KTSTR_VMM_VIRTIO_NET_H
#define KTSTR_VMM_VIRTIO_NET_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdint.h>

#include "device.h"

struct loop;
struct sandbox;
struct net_switch;
struct virtio_net;

#define VIRTIO_NET_MAX_PAIRS 16u
#define VIRTIO_NET_MAC_BYTES 6u
#define VIRTIO_NET_HOLD_NS UINT64_C(20000000)
/* §5.1.4: an IPv4 packet that can be cut into no less, and all that 16 bits say */
#define VIRTIO_NET_MIN_MTU 68u
#define VIRTIO_NET_MAX_MTU 65535u
#define VIRTIO_NET_MAX_DELAY_NS UINT64_C(60000000000)

struct virtio_net_options {
	uint8_t mac[VIRTIO_NET_MAC_BYTES]; /* not of a group */
	uint32_t pairs;			   /* of queues: 1 to VIRTIO_NET_MAX_PAIRS */
	uint64_t rate_bps;		   /* bits a second; 0: no limit */
	uint64_t delay_ns;		   /* at most VIRTIO_NET_MAX_DELAY_NS */
	uint32_t mtu;	  /* VIRTIO_NET_MIN_MTU to VIRTIO_NET_MAX_MTU; 0: any */
	uint64_t hold_ns; /* how long frames for it may wait; 0: VIRTIO_NET_HOLD_NS */
};

/* ---- Switch ---- */

int net_switch__create(struct net_switch **sw, struct ktstr_error *error);
/* After its NICs. NULL is allowed. */
void net_switch__destroy(struct net_switch *sw);
/* Where the queues of its NICs' transports are watched; before start. */
struct loop *net_switch__loop(struct net_switch *sw);
/*
 * The thread. Until it is started, and for tests that never do, loop__dispatch() of the loop above
 * does its work. In @sandbox, unless it is NULL. -EAGAIN: no thread.
 */
int net_switch__start(struct net_switch *sw, struct sandbox *sandbox, struct ktstr_error *error);
/*
 * Ends the thread; frames on links stay there, and may be late when it is started again. No vCPU
 * may run.
 */
void net_switch__stop(struct net_switch *sw);

/* ---- NIC ---- */

/*
 * On @sw, whose thread is not started yet. -ENOMEM, -EMFILE; -EINVAL: options that cannot be;
 * -ENOSPC: KTSTR_MAX_NICS are on it.
 */
int virtio_net__create(const struct virtio_net_options *options, struct net_switch *sw,
		       struct virtio_net **nic, struct ktstr_error *error);
/* After net_switch__stop(). NULL is allowed. */
void virtio_net__destroy(struct virtio_net *n);
/* For virtio_mmio__create(). */
struct virtio_device *virtio_net__device(struct virtio_net *n);
/* What it has sent, got and lost; while its thread does not run. */
const struct ktstr_nic_counts *virtio_net__counts(const struct virtio_net *n);

#endif /* KTSTR_VMM_VIRTIO_NET_H */
