// SPDX-License-Identifier: GPL-2.0-only
/* Frame decoder with bounded resynchronisation. */
#include "channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <ktstr/proto.h>

#define CHANNEL_PIECE (64u << 10)
#define CHANNEL_MAX_FRAME (sizeof(struct ktstr_frame_header) + KTSTR_FRAME_MAX_PAYLOAD)
/* Twice the largest frame: moving what is left to the front costs no more than was consumed. */
#define CHANNEL_MAX_BUFFER (2 * CHANNEL_MAX_FRAME + CHANNEL_PIECE)
/*
 * After a frame that fails its CRC the search goes on behind its magic, because its length may be
 * the lie. Forged headers could make that quadratic: such checks are paid from a credit that grows
 * with the bytes received; without it the whole claimed frame is skipped.
 */
#define CHANNEL_CREDIT_PER_BYTE 4u
#define CHANNEL_CREDIT_START ((uint64_t)CHANNEL_MAX_FRAME)

void channel__init(struct channel *channel, channel_frame_fn frame, void *opaque)
{
	memset(channel, 0, sizeof(*channel));
	channel->frame = frame;
	channel->opaque = opaque;
	channel->check_credit = CHANNEL_CREDIT_START;
}

void channel__destroy(struct channel *channel)
{
	free(channel->buf);
	memset(channel, 0, sizeof(*channel));
}

static void __attribute__((format(printf, 2, 3)))
damage(struct channel *channel, const char *fmt, ...)
{
	va_list args;

	channel->damages++;
	if (channel->first_damage[0])
		return;
	va_start(args, fmt);
	vsnprintf(channel->first_damage, sizeof(channel->first_damage), fmt, args);
	va_end(args);
}

static void consume(struct channel *channel, size_t length)
{
	channel->start += length;
	channel->offset += length;
}

static void skip(struct channel *channel, size_t length)
{
	consume(channel, length);
	channel->bytes_skipped += length;
	channel->in_damage = true;
}

/* "OUTP", or as hex when it is not text. */
static void type_name(uint32_t type, char name[16])
{
	for (int i = 0; i < 4; i++) {
		name[i] = (char)(type >> (8 * i));
		if (name[i] < 'A' || name[i] > 'Z') {
			snprintf(name, 16, "0x%08x", type);
			return;
		}
	}
	name[4] = '\0';
}

/* Skips to the next place where a magic begins, or may begin. False: nothing to look at yet. */
static bool find_magic(struct channel *channel)
{
	const uint32_t magic = KTSTR_FRAME_MAGIC;
	const uint8_t *at = channel->buf + channel->start;
	size_t left = channel->end - channel->start, n = 0;

	while (n < left) {
		const uint8_t *k = memchr(at + n, (uint8_t)magic, left - n);
		size_t have;

		if (!k) {
			n = left;
			break;
		}
		n = (size_t)(k - at);
		have = left - n < sizeof(magic) ? left - n : sizeof(magic);
		if (!memcmp(k, &magic, have))
			break;
		n++;
	}
	if (n) {
		if (!channel->in_damage)
			damage(channel, "no frame at byte %llu",
			       (unsigned long long)channel->offset);
		skip(channel, n);
	}
	return channel->end - channel->start >= sizeof(magic);
}

static void deliver(struct channel *channel, const struct ktstr_frame_header *header,
		    const uint8_t *payload)
{
	uint32_t ahead = header->sequence - channel->next_sequence;
	char name[16];

	type_name(header->type, name);
	if (ahead > UINT32_MAX / 2) {
		damage(channel, "sequence %u (type %s) came again or late, %u was next",
		       header->sequence, name, channel->next_sequence);
		channel->frames_repeated++;
		return;
	}
	if (ahead) {
		damage(channel, "sequence jumps from %u to %u (type %s)", channel->next_sequence,
		       header->sequence, name);
		channel->frames_missing += ahead;
		if (!channel->first_gap[0])
			snprintf(channel->first_gap, sizeof(channel->first_gap), "%u to %u",
				 channel->next_sequence, header->sequence - 1);
	}
	channel->next_sequence = header->sequence + 1;
	channel->frames++;
	channel->frame(channel->opaque, header->type, header->sequence, payload, header->length);
}

static void bad_crc(struct channel *channel, const struct ktstr_frame_header *header)
{
	size_t whole = sizeof(*header) + header->length;
	char name[16];

	type_name(header->type, name);
	if (!channel->in_damage)
		damage(channel, "bad CRC at byte %llu (type %s, sequence %u, %u bytes)",
		       (unsigned long long)channel->offset, name, header->sequence, header->length);
	if (channel->check_credit >= whole) {
		channel->check_credit -= whole;
		skip(channel, 1);
	} else {
		skip(channel, whole);
	}
}

/* One frame, or one step of resynchronisation. False: more bytes are needed. */
static bool decode_one(struct channel *channel)
{
	struct ktstr_frame_header header;
	const uint8_t *at, *payload;
	uLong crc;

	if (!find_magic(channel) || channel->end - channel->start < sizeof(header))
		return false;
	at = channel->buf + channel->start;
	memcpy(&header, at, sizeof(header));
	if (header.length > KTSTR_FRAME_MAX_PAYLOAD) {
		if (!channel->in_damage)
			damage(channel, "frame of %u bytes at byte %llu: at most %u are allowed",
			       header.length, (unsigned long long)channel->offset,
			       KTSTR_FRAME_MAX_PAYLOAD);
		skip(channel, 1);
		return true;
	}
	if (channel->end - channel->start < sizeof(header) + header.length)
		return false;
	payload = at + sizeof(header);
	crc = crc32(0, at + offsetof(struct ktstr_frame_header, type), 3 * sizeof(uint32_t));
	if (header.length) /* crc32() of no bytes at NULL is 0 */
		crc = crc32(crc, payload, header.length);
	if (crc != header.crc) {
		bad_crc(channel, &header);
		return true;
	}
	channel->in_damage = false;
	deliver(channel, &header, payload);
	consume(channel, sizeof(header) + header.length);
	return true;
}

static int make_room(struct channel *channel, size_t length)
{
	size_t used = channel->end - channel->start, size = channel->size;
	uint8_t *grown;

	if (channel->start == channel->end)
		channel->start = channel->end = 0;
	if (size - channel->end >= length)
		return 0;
	if (channel->start >= used && size - used >= length) {
		memmove(channel->buf, channel->buf + channel->start, used);
		channel->start = 0;
		channel->end = used;
		return 0;
	}
	while (size - channel->end < length)
		size = size ? size * 2 : 2 * CHANNEL_PIECE;
	if (size > CHANNEL_MAX_BUFFER)
		size = CHANNEL_MAX_BUFFER;
	grown = realloc(channel->buf, size);
	if (!grown)
		return -ENOMEM;
	channel->buf = grown;
	channel->size = size;
	return 0;
}

int channel__feed(struct channel *channel, const void *data, size_t length)
{
	const uint8_t *p = data;

	while (length) {
		size_t n = length < CHANNEL_PIECE ? length : CHANNEL_PIECE;

		if (make_room(channel, n)) {
			damage(channel, "out of memory at byte %llu",
			       (unsigned long long)channel->offset);
			channel->bytes_skipped += length;
			channel->out_of_memory = true;
			return -ENOMEM;
		}
		memcpy(channel->buf + channel->end, p, n);
		channel->end += n;
		p += n;
		length -= n;
		channel->check_credit += (uint64_t)n * CHANNEL_CREDIT_PER_BYTE;
		while (decode_one(channel))
			;
	}
	return 0;
}

void channel__end(struct channel *channel)
{
	while (channel->start < channel->end) {
		size_t left = channel->end - channel->start;

		if (!channel->in_damage)
			damage(channel,
			       "the stream ends in a frame: its last %zu bytes from byte %llu",
			       left, (unsigned long long)channel->offset);
		/* its length may be the lie: whole frames may lie behind it */
		skip(channel, 1);
		while (decode_one(channel))
			;
	}
}

bool channel__broken(const struct channel *channel)
{
	return channel->damages || channel->out_of_memory;
}

int channel__report(const struct channel *channel, char *buf, size_t size)
{
	if (!channel__broken(channel)) {
		if (size)
			buf[0] = '\0';
		return 0;
	}
	return snprintf(buf, size,
			"%s; in all %llu damages, %llu bytes skipped, %llu frames missing%s%s%s, "
			"%llu repeated",
			channel->first_damage, (unsigned long long)channel->damages,
			(unsigned long long)channel->bytes_skipped,
			(unsigned long long)channel->frames_missing,
			channel->first_gap[0] ? " (first " : "", channel->first_gap,
			channel->first_gap[0] ? ")" : "",
			(unsigned long long)channel->frames_repeated);
}
