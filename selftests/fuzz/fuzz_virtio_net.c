// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: virtio-net with a hostile driver, alone on its switch or with another NIC,
 * whose driver is as it should be, and has memory of its own. The input is the first one's RAM from
 * IMAGE_GPA on, as it is when the driver notifies.
 *
 * Its first byte is flags; after it the image begins: receive, transmit and control queue of
 * QUEUE_SIZE entries, RING_BYTES each (descriptor table, available ring, used ring without a gap),
 * and then what descriptors may point to.
 */
#include "fuzz.h"

#include <string.h>

#include "../vmm/net_driver.h"

#define FLAG_ALONE 1u
#define FLAG_LINK 2u	    /* with a rate and a delay */
#define FLAG_NO_RINGS 4u    /* neither indirect descriptors nor event index */
#define FLAG_PLAIN 8u	    /* no offloads, no merged buffers */
#define FLAG_PLAIN_PEER 16u /* the same of the other one */
#define FLAG_AGAIN 32u	    /* the image is put back and notified a second time */
#define FLAG_RESET 64u	    /* the driver resets right after it has notified */
#define FLAG_HEARS 128u	    /* the other one sends, too */

#define IMAGE_GPA UINT64_C(0x1000)
#define IMAGE_BYTES 0x8000u
#define QUEUE_SIZE 8u
#define RING_BYTES 0x100u

#define PEER_BUFFERS 32u
#define PEER_BUFFER 2048u

struct target {
	struct net_rig g;
	struct gmem peer_mem;
};

/* One switch for each way in which they can differ, for the whole run. */
static struct target *targets[4];

static struct target *get_target(uint8_t flags)
{
	uint32_t which = flags & (FLAG_ALONE | FLAG_LINK);
	const struct virtio_net_options options = {
		.rate_bps = flags & FLAG_LINK ? UINT64_C(100000000000) : 0,
		.delay_ns = flags & FLAG_LINK ? 1000 : 0,
	};
	const struct virtio_net_options peer = {.mac = {2, 0, 0, 0, 0, 1}, .pairs = 1};
	struct target *t = targets[which];

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	FUZZ_CHECK(t);
	FUZZ_CHECK(!nd_create(&t->g, &options, 1));
	if (!(flags & FLAG_ALONE)) {
		FUZZ_CHECK(!gmem__layout(&t->peer_mem, ND_RAM, NULL));
		FUZZ_CHECK(!gmem__map(&t->peer_mem, NULL));
		FUZZ_CHECK(!nd_create_nic(&t->g, &peer, &t->peer_mem));
	}
	targets[which] = t;
	return t;
}

static uint64_t negotiate(uint8_t flags)
{
	uint64_t features = flags & FLAG_PLAIN ? ND_PLAIN | ND_CONTROL : ND_LINUX;

	if (flags & FLAG_NO_RINGS)
		features &=
			~(ND_BIT(VIRTIO_RING_F_INDIRECT_DESC) | ND_BIT(VIRTIO_RING_F_EVENT_IDX));
	return features;
}

static void set_up(struct target *t, uint8_t flags)
{
	struct nd_nic *nic = &t->g.nics[0], *peer = &t->g.nics[1];
	uint32_t status = nd_negotiate(nic, negotiate(flags));

	FUZZ_CHECK(status & VIRTIO_CONFIG_S_FEATURES_OK);
	for (uint32_t i = 0; i < 3; i++)
		nd_enable_queue(nic, i, IMAGE_GPA + i * RING_BYTES, QUEUE_SIZE);
	nd_wr(nic, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
	if (t->g.nr == 1)
		return;
	nd_probe(peer, flags & FLAG_PLAIN_PEER ? ND_PLAIN : ND_LINUX);
	nd_fill(peer, 0, PEER_BUFFERS, PEER_BUFFER);
	/* What is behind the buffers */
	memset(gmem__ptr(peer->mem, nd_rx_gpa(peer, 0, PEER_BUFFERS, PEER_BUFFER), 65536), 0xee,
	       65536);
}

/* Until nothing is under way: a NIC is at rest when its state can be saved, and loaded then. */
static void settle(struct target *t)
{
	static uint8_t state[8192];

	nd_run(&t->g);
	for (uint32_t i = 0; i < t->g.nr; i++) {
		struct nd_nic *nic = &t->g.nics[i];
		size_t size = virtio_mmio__state_size(nic->t);

		FUZZ_CHECK(size <= sizeof(state));
		while (virtio_mmio__save(nic->t, state, size, NULL)) {
			FUZZ_CHECK(loop__dispatch(net_switch__loop(t->g.sw), 10000) > 0);
			nd_run(&t->g);
		}
		FUZZ_CHECK(!virtio_mmio__load(nic->t, state, size, NULL));
		nd_run(&t->g);
	}
}

/* The other one got whole frames or nothing, in its buffers. */
static void check_peer(struct target *t)
{
	static uint8_t frame[ND_MAX_FRAME];
	struct nd_nic *peer = &t->g.nics[1];
	struct virtio_net_hdr_v1 header;
	const uint8_t *behind;
	int n;

	while ((n = nd_receive(peer, 0, frame, &header)) != -EAGAIN) {
		FUZZ_CHECK(n >= 14 && n <= 65536 + 18);
		FUZZ_CHECK(!(header.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
		FUZZ_CHECK(!header.flags || header.csum_start + header.csum_offset + 2 <= n);
		FUZZ_CHECK(!header.gso_type || (header.gso_size && header.hdr_len < n));
	}
	behind = gmem__ptr(peer->mem, nd_rx_gpa(peer, 0, PEER_BUFFERS, PEER_BUFFER), 65536);
	FUZZ_CHECK(behind[0] == 0xee && !memcmp(behind, behind + 1, 65535));
	FUZZ_CHECK(!peer->broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t flags = size ? data[0] : 0, frame[3000];
	struct target *t = get_target(flags);
	struct nd_nic *nic = &t->g.nics[0];
	uint8_t *ram = gmem__ptr(nic->mem, IMAGE_GPA, IMAGE_BYTES);
	uint32_t rounds = flags & FLAG_AGAIN ? 2 : 1;

	size = size ? size - 1 : 0;
	if (size > IMAGE_BYTES)
		size = IMAGE_BYTES;
	set_up(t, flags);
	nd_run(&t->g);
	nic->broken = 0;
	while (rounds--) {
		memset(ram, 0, IMAGE_BYTES);
		memcpy(ram, data + 1, size);
		for (uint32_t i = 0; i < 3; i++)
			nd_wr(nic, VIRTIO_MMIO_QUEUE_NOTIFY, i);
		loop__dispatch(net_switch__loop(t->g.sw), 0);
		if (flags & FLAG_HEARS && t->g.nr > 1) {
			nd_frame(frame, sizeof(frame), 0xff, 1, 1);
			nd_send(&t->g.nics[1], 0, frame, sizeof(frame), NULL);
			nd_send(&t->g.nics[1], 0, frame, 60, NULL);
		}
		if (flags & FLAG_RESET)
			nd_wr(nic, VIRTIO_MMIO_STATUS, 0);
		settle(t);
		FUZZ_CHECK(nic->broken <= 1);
		FUZZ_CHECK(!nic->broken || (flags & FLAG_RESET) ||
			   nd_rd(nic, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		if (t->g.nr > 1)
			check_peer(t);
	}
	return 0;
}
