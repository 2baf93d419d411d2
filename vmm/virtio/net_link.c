// SPDX-License-Identifier: GPL-2.0-only
/*
 * The link from a NIC to its switch: a rate, by how long each frame occupies the link, and a delay.
 * Arithmetic on a clock that the caller reads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iov.h"
#include "net_parts.h"

#define NS_PER_S UINT64_C(1000000000)

struct link_record {
	uint64_t due_ns;
	uint32_t length; /* of the frame; LINK_WRAP: go on at the start of the ring */
	uint16_t headers;
	struct virtio_net_hdr_v1 header;
	uint8_t head_length;
};

#define LINK_WRAP UINT32_MAX
#define LINK_ALIGN 64u

int net_link__init(struct net_link *l, uint64_t rate_bps, uint64_t delay_ns)
{
	*l = (struct net_link){.rate_bps = rate_bps, .delay_ns = delay_ns};
	if (!net_link__shapes(l))
		return 0;
	if (rate_bps) {
		uint64_t most_ns = LINK_AHEAD_BYTES * 8 * NS_PER_S / rate_bps;

		l->ahead_ns = most_ns < LINK_AHEAD_NS ? most_ns : LINK_AHEAD_NS;
	}
	l->ring = malloc(LINK_BYTES);
	return l->ring ? 0 : -ENOMEM;
}

void net_link__free(struct net_link *l)
{
	free(l->ring);
	l->ring = NULL;
}

bool net_link__shapes(const struct net_link *l)
{
	return l->rate_bps || l->delay_ns;
}

void net_link__reset(struct net_link *l)
{
	l->head = l->used = 0;
	l->busy_until_ns = 0;
	l->waiting = false;
}

bool net_link__ready(struct net_link *l, uint64_t now_ns)
{
	if (l->busy_until_ns <= now_ns + l->ahead_ns)
		return true;
	l->waiting = true;
	return false;
}

static uint32_t record_bytes(uint32_t length)
{
	return (uint32_t)(sizeof(struct link_record) + length + LINK_ALIGN - 1) & ~(LINK_ALIGN - 1);
}

/* Place for a record and @length bytes, all in one; NULL: there is none. */
static struct link_record *reserve(struct net_link *l, uint32_t length)
{
	uint32_t bytes = record_bytes(length), at = l->head + l->used, to_end;

	if (at >= LINK_BYTES)
		at -= LINK_BYTES;
	to_end = LINK_BYTES - at;
	if (bytes > to_end) {
		if (l->used + to_end + bytes > LINK_BYTES)
			return NULL;
		((struct link_record *)(void *)(l->ring + at))->length = LINK_WRAP;
		l->used += to_end;
		at = 0;
	} else if (l->used + bytes > LINK_BYTES) {
		return NULL;
	}
	l->used += bytes;
	return (struct link_record *)(void *)(l->ring + at);
}

/* When the frame has left the NIC: one that had to wait began right behind the one before. */
static uint64_t occupy(struct net_link *l, const struct net_frame *f, uint64_t now_ns)
{
	uint64_t start = now_ns;

	if (!l->rate_bps)
		return now_ns;
	if (l->busy_until_ns > now_ns)
		start = l->busy_until_ns;
	else if (l->waiting)
		start = now_ns - l->busy_until_ns > LINK_CATCH_UP_NS ? now_ns - LINK_CATCH_UP_NS
								     : l->busy_until_ns;
	l->busy_until_ns = start + (uint64_t)((unsigned __int128)net_frame__wire_bytes(f) * 8 *
					      NS_PER_S / l->rate_bps);
	return l->busy_until_ns;
}

bool net_link__send(struct net_link *l, const struct net_frame *f, uint64_t now_ns)
{
	struct iov_cursor c = iov_cursor__at(f->iov, f->nr);
	uint64_t left_ns = occupy(l, f, now_ns);
	struct link_record *r = reserve(l, f->length);

	if (!r)
		return false;
	*r = (struct link_record){
		.due_ns = left_ns + l->delay_ns,
		.length = f->length,
		.headers = f->headers,
		.header = f->header,
		.head_length = (uint8_t)f->head_length,
	};
	iov_cursor__read(&c, r + 1, f->length);
	/* What was checked is what arrives, whatever the guest has written meanwhile. */
	memcpy(r + 1, f->head, f->head_length);
	return true;
}

/* The oldest record; NULL: none. */
static const struct link_record *oldest(const struct net_link *l)
{
	const struct link_record *r = (const void *)(l->ring + l->head);

	if (!l->used)
		return NULL;
	return r->length == LINK_WRAP ? (const void *)l->ring : r;
}

bool net_link__arrived(const struct net_link *l, uint64_t now_ns, struct net_frame *f,
		       struct iovec *iov)
{
	const struct link_record *r = oldest(l);

	if (!r || r->due_ns > now_ns)
		return false;
	*iov = (struct iovec){.iov_base = (void *)(uintptr_t)(r + 1), .iov_len = r->length};
	f->header = r->header;
	f->headers = r->headers;
	f->length = r->length;
	f->head_length = r->head_length;
	f->iov = iov;
	f->nr = 1;
	memcpy(f->head, r + 1, r->head_length);
	return true;
}

void net_link__taken(struct net_link *l)
{
	const struct link_record *r = (const void *)(l->ring + l->head);
	uint32_t bytes;

	if (r->length == LINK_WRAP) {
		l->used -= LINK_BYTES - l->head;
		l->head = 0;
		r = (const void *)l->ring;
	}
	bytes = record_bytes(r->length);
	l->used -= bytes;
	l->head += bytes;
	if (l->head == LINK_BYTES)
		l->head = 0;
}

uint64_t net_link__next_ns(const struct net_link *l)
{
	const struct link_record *r = oldest(l);
	/* Not for each frame: when half of what is taken ahead has left. */
	uint64_t next = l->waiting ? l->busy_until_ns - l->ahead_ns / 2 : 0;

	if (r && (!next || r->due_ns < next))
		next = r->due_ns;
	return next;
}
