/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's decoder of the frames of ktstr/proto.h. Bytes are pushed in pieces of any size; whole
 * frames come out. The sender is hostile: memory is bounded, work is linear in what arrives, and
 * every byte or frame that is missing is counted and said.
 */
#ifndef KTSTR_VMM_CHANNEL_H
#define KTSTR_VMM_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* @payload lives until the callback returns. The callback does not call into the channel. */
typedef void (*channel_frame_fn)(void *opaque, uint32_t type, uint32_t sequence,
				 const uint8_t *payload, uint32_t length);

struct channel {
	channel_frame_fn frame;
	void *opaque;
	uint8_t *buf; /* [start, end) is not decoded yet */
	size_t size, start, end;
	uint64_t offset;       /* stream position of buf[start] */
	uint64_t check_credit; /* bytes that CRCs of damaged frames may still cost */
	uint32_t next_sequence;
	uint64_t frames; /* delivered */
	/* Damage */
	bool out_of_memory;
	bool in_damage; /* between frames nothing fits: the bytes belong to the last damage */
	uint64_t damages, bytes_skipped, frames_missing, frames_repeated;
	char first_damage[192];
	char first_gap[96];
};

void channel__init(struct channel *channel, channel_frame_fn frame, void *opaque);
void channel__destroy(struct channel *channel);

/* 0, or -ENOMEM: the bytes are dropped, and the channel is damaged. */
int channel__feed(struct channel *channel, const void *data, size_t length);

/* The stream is over: a frame that has not all arrived is damage. */
void channel__end(struct channel *channel);

/* Something was lost, repeated or wrong. */
bool channel__broken(const struct channel *channel);

/* One line: what was wrong first, and all that was lost; "" while nothing is. As snprintf. */
int channel__report(const struct channel *channel, char *buf, size_t size);

#endif /* KTSTR_VMM_CHANNEL_H */
