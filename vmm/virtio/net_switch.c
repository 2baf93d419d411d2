// SPDX-License-Identifier: GPL-2.0-only
/* A switch that learns (IEEE 802.1D §7): who gets a frame, and the thread in which all is done. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../loop.h"
#include "../sandbox.h"
#include "net_parts.h"

/* A guest that makes addresses up pushes others out: those are then unknown, and flooded. */
#define ADDRESSES 1024u

struct address {
	uint8_t mac[VIRTIO_NET_MAC_BYTES];
	uint8_t known, port;
};

struct net_switch {
	struct virtio_net *ports[KTSTR_MAX_NICS];
	uint32_t nr_ports;
	struct loop *loop;
	pthread_t thread;
	bool started;
	struct address addresses[ADDRESSES];
	struct net_plain plain;
};

int net_switch__create(struct net_switch **sw, struct ktstr_error *error)
{
	struct net_switch *s = calloc(1, sizeof(*s));
	int err = s ? loop__create(&s->loop) : -ENOMEM;

	*sw = NULL;
	if (err) {
		free(s);
		return ktstr_error__set(error, -err, "create", "network", NULL);
	}
	*sw = s;
	return 0;
}

void net_switch__destroy(struct net_switch *sw)
{
	if (!sw)
		return;
	net_switch__stop(sw);
	loop__destroy(sw->loop);
	free(sw);
}

struct loop *net_switch__loop(struct net_switch *sw)
{
	return sw->loop;
}

static void *switch_thread(void *opaque)
{
	struct net_switch *sw = opaque;

	/* An epoll that fails is one that is not there any more. */
	(void)loop__run(sw->loop);
	return NULL;
}

int net_switch__start(struct net_switch *sw, struct sandbox *sandbox, struct ktstr_error *error)
{
	int err = sandbox__thread(sandbox,
				  &(struct sandbox_thread){
					  .kind = SANDBOX_NETWORK,
					  .name = "network",
					  .run = switch_thread,
					  .opaque = sw,
				  },
				  &sw->thread, error);

	if (err)
		return err;
	sw->started = true;
	return 0;
}

void net_switch__stop(struct net_switch *sw)
{
	if (!sw->started)
		return;
	loop__stop(sw->loop);
	pthread_join(sw->thread, NULL);
	sw->started = false;
}

int net_switch__add(struct net_switch *sw, struct virtio_net *n)
{
	if (sw->nr_ports == KTSTR_MAX_NICS)
		return -ENOSPC;
	sw->ports[sw->nr_ports] = n;
	return (int)sw->nr_ports++;
}

/* The numbers of the others stay. */
void net_switch__remove(struct net_switch *sw, struct virtio_net *n)
{
	for (uint32_t i = 0; i < sw->nr_ports; i++)
		if (sw->ports[i] == n)
			sw->ports[i] = NULL;
	while (sw->nr_ports && !sw->ports[sw->nr_ports - 1])
		sw->nr_ports--;
}

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

static struct address *address_of(struct net_switch *sw, const uint8_t *mac)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (uint32_t i = 0; i < VIRTIO_NET_MAC_BYTES; i++)
		hash = (hash ^ mac[i]) * 16777619u;
	return &sw->addresses[(hash ^ hash >> 16) % ADDRESSES];
}

static void learn(struct net_switch *sw, const uint8_t *mac, uint32_t port)
{
	struct address *a;

	if (is_group(mac))
		return;
	a = address_of(sw, mac);
	memcpy(a->mac, mac, sizeof(a->mac));
	a->port = (uint8_t)port;
	a->known = true;
}

static bool find(struct net_switch *sw, const uint8_t *mac, uint32_t *port)
{
	const struct address *a;

	if (is_group(mac))
		return false;
	a = address_of(sw, mac);
	*port = a->port;
	return a->known && !memcmp(a->mac, mac, sizeof(a->mac)) && sw->ports[a->port];
}

enum net_delivery net_switch__forward(struct net_switch *sw, uint32_t from,
				      const struct net_frame *f, bool may_hold)
{
	const uint8_t *destination = f->head, *source = f->head + VIRTIO_NET_MAC_BYTES;
	uint32_t port;

	if (sw->nr_ports == 1)
		return virtio_net__receive(sw->ports[0], f, &sw->plain, may_hold);
	learn(sw, source, from);
	if (find(sw, destination, &port)) {
		if (port == from)
			return NET_DELIVERED; /* it is there already */
		return virtio_net__receive(sw->ports[port], f, &sw->plain, may_hold);
	}
	for (port = 0; port < sw->nr_ports; port++)
		if (port != from && sw->ports[port])
			virtio_net__receive(sw->ports[port], f, &sw->plain, false);
	return NET_DELIVERED;
}

void net_switch__flush(struct net_switch *sw)
{
	for (uint32_t i = 0; i < sw->nr_ports; i++)
		if (sw->ports[i])
			virtio_net__flush(sw->ports[i]);
}

void net_switch__room(struct net_switch *sw)
{
	for (uint32_t i = 0; i < sw->nr_ports; i++)
		if (sw->ports[i])
			virtio_net__resume(sw->ports[i]);
}
