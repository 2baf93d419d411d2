// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: a stream from a hostile guest through the decoder of frames, and what judges
 * and records them.
 *
 * The input is a program that writes the stream, so that whole frames with a right CRC are within
 * reach: a byte of flags, a byte that seeds the sizes of pieces, then records of an operation byte
 * (enum op, modulo its count) and its operands. Operands that are missing are 0.
 */
#include "fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <ktstr/json.h>
#include <ktstr/proto.h>

#include "vmm/channel.h"
#include "vmm/metrics.h"
#include "vmm/outcome.h"
#include "vmm/record_event.h"

#define HEADER sizeof(struct ktstr_frame_header)

/* Bit 0 of the flags: CRCs are paid from what arrives alone, and how many are computed is bounded.
 */
#define FLAG_POOR 1u
#define MAX_STREAM (256u << 10)
#define MAX_STREAM_RICH (16u << 10) /* with credit without end, work grows with its square */

enum op {
	OP_RAW,	    /* N, then N bytes: as they are */
	OP_FRAME,   /* type, step of the sequence, N, N bytes: a frame that is right */
	OP_DAMAGED, /* the same, then position and mask: one of its bytes is wrong */
	OP_CUT,	    /* the same, then N: that many bytes of its end are missing */
	OP_HEADER,  /* 16 bytes: magic, and what they say of type, sequence, length and CRC */
	OP_AGAIN,   /* N: all that the last record wrote, N times more */
	OP_ZEROS,   /* N: N * 256 zeros */
	OPS,
};

struct input {
	const uint8_t *at, *end;
};

struct stream {
	uint8_t data[MAX_STREAM];
	size_t length, most;
	size_t last; /* where the last record begins */
	uint32_t sequence;
};

static uint8_t take(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static void put(struct stream *s, const void *data, size_t length)
{
	if (length > s->most - s->length)
		length = s->most - s->length;
	memcpy(s->data + s->length, data, length);
	s->length += length;
}

/* Returns what was written of it. */
static size_t put_frame(struct stream *s, struct input *in)
{
	static const uint32_t types[] = {
		KTSTR_FRAME_SCENARIO_START, KTSTR_FRAME_SCENARIO_END,	 KTSTR_FRAME_TEST_RESULT,
		KTSTR_FRAME_EXIT,	    KTSTR_FRAME_STIMULUS,	 KTSTR_FRAME_SCHED_EXIT,
		KTSTR_FRAME_PROFRAW,	    KTSTR_FRAME_PAYLOAD_METRICS, KTSTR_FRAME_RAW_OUTPUT,
		KTSTR_FRAME_LIFECYCLE,	    KTSTR_FRAME_OUTPUT,		 0x00ff1b0a,
	};
	struct ktstr_frame_header h = {.magic = KTSTR_FRAME_MAGIC};
	size_t before = s->length;
	uint8_t payload[255];
	int step;

	h.type = types[take(in) % (sizeof(types) / sizeof(types[0]))];
	step = (int8_t)take(in);
	h.sequence = s->sequence + (uint32_t)step;
	s->sequence = h.sequence + 1;
	h.length = take(in);
	for (uint32_t i = 0; i < h.length; i++)
		payload[i] = take(in);
	h.crc = (uint32_t)__real_crc32(0, (const uint8_t *)&h.type, 12);
	if (h.length)
		h.crc = (uint32_t)__real_crc32(h.crc, payload, h.length);
	put(s, &h, sizeof(h));
	put(s, payload, h.length);
	return s->length - before;
}

static void put_header(struct stream *s, struct input *in)
{
	const uint32_t magic = KTSTR_FRAME_MAGIC;
	uint8_t rest[HEADER - sizeof(magic)];

	for (size_t i = 0; i < sizeof(rest); i++)
		rest[i] = take(in);
	put(s, &magic, sizeof(magic));
	put(s, rest, sizeof(rest));
}

static void put_again(struct stream *s, unsigned int times)
{
	size_t length = s->length - s->last;

	while (times-- && s->length < s->most)
		put(s, s->data + s->last, length);
}

static void put_record(struct stream *s, struct input *in)
{
	static const uint8_t zeros[256];
	enum op op = take(in) % OPS;
	size_t before = s->length, size, n;
	uint8_t byte;

	switch (op) {
	case OP_RAW:
		for (n = take(in); n--;) {
			byte = take(in);
			put(s, &byte, 1);
		}
		break;
	case OP_FRAME:
		put_frame(s, in);
		break;
	case OP_DAMAGED:
		size = put_frame(s, in);
		n = take(in);
		byte = take(in);
		if (size)
			s->data[before + n % size] ^= byte;
		break;
	case OP_CUT:
		size = put_frame(s, in);
		n = take(in);
		s->length -= n < size ? n : size;
		break;
	case OP_HEADER:
		put_header(s, in);
		break;
	case OP_AGAIN:
		put_again(s, take(in));
		return; /* of the same record */
	case OP_ZEROS:
		for (n = take(in); n--;)
			put(s, zeros, sizeof(zeros));
		break;
	case OPS:
		break;
	}
	s->last = before;
}

/* ---- What comes out ---- */

struct seen {
	struct outcome outcome;
	uint64_t frames, bytes, last_end;
	uint32_t digest;
};

static bool is_shown(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

static void check_metrics(const uint8_t *payload, uint32_t length)
{
	struct metrics metrics;
	struct metric metric;
	char text[600];
	uint32_t nr = 0;

	FUZZ_CHECK(!metrics__open(&metrics, payload, length));
	FUZZ_CHECK(is_shown(metrics.name, strlen(metrics.name)));
	for (; metrics__next(&metrics, &metric); nr++) {
		FUZZ_CHECK(is_shown(metric.name, strlen(metric.name)));
		FUZZ_CHECK(isfinite(metric.value) || metric.flags == KTSTR_METRIC_MISSING);
		metric__describe(&metric, text, sizeof(text));
		FUZZ_CHECK(is_shown(text, strlen(text)));
	}
	FUZZ_CHECK(nr == metrics.nr_metrics);
}

/* What a record has of a frame whose form is right: one line of JSON. */
static void check_event(uint32_t type, uint32_t sequence, const uint8_t *payload, uint32_t length)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	FUZZ_CHECK(f);
	record_event__write(f, type, sequence, payload, length);
	FUZZ_CHECK(!fclose(f) && size && text[size - 1] == '\n');
	FUZZ_CHECK(is_shown(text, size - 1) && ktstr_json__valid(text, size - 1));
	free(text);
	if (type == KTSTR_FRAME_PAYLOAD_METRICS)
		check_metrics(payload, length);
}

static void on_frame(void *opaque, uint32_t type, uint32_t sequence, const uint8_t *payload,
		     uint32_t length)
{
	struct seen *seen = opaque;

	seen->frames++;
	seen->bytes += HEADER + length;
	seen->digest = (uint32_t)__real_crc32(seen->digest, (const uint8_t *)&type, 4);
	seen->digest = (uint32_t)__real_crc32(seen->digest, (const uint8_t *)&sequence, 4);
	if (length)
		seen->digest = (uint32_t)__real_crc32(seen->digest, payload, length);
	if (!outcome__frame(&seen->outcome, type, payload, length))
		check_event(type, sequence, payload, length);
}

static void check_line(const char *text, size_t size)
{
	FUZZ_CHECK(memchr(text, '\0', size));
	for (; *text; text++)
		FUZZ_CHECK((unsigned char)*text >= ' ' || *text == '\t');
}

static void check_text(const struct outcome_text *text)
{
	FUZZ_CHECK(text->length <= OUTCOME_TEXT_MAX);
	FUZZ_CHECK(!text->data || strlen(text->data) == text->length);
}

/* Whatever came, it has one verdict, and that is a pass only of a whole and passing run. */
static void check_outcome(struct outcome *o, const struct channel *ch)
{
	char report[320];

	if (channel__broken(ch)) {
		channel__report(ch, report, sizeof(report));
		outcome__fail(o, KTSTR_VERDICT_CHANNEL_BROKEN, "%s", report);
	}
	outcome__finish(o, true, "reset");
	FUZZ_CHECK(o->verdict > KTSTR_VERDICT_NONE && o->verdict <= KTSTR_VERDICT_PASS);
	if (o->verdict == KTSTR_VERDICT_PASS)
		FUZZ_CHECK(!channel__broken(ch) && o->have_status && o->complete && !o->exit_code &&
			   !o->signal);
	else
		FUZZ_CHECK(o->cause[0] || o->verdict == KTSTR_VERDICT_SKIP ||
			   o->verdict == KTSTR_VERDICT_XFAIL);
	FUZZ_CHECK(!channel__broken(ch) || o->verdict < KTSTR_VERDICT_TIMEOUT);
	FUZZ_CHECK(o->signal >= 0 && o->signal <= 64 && o->exit_code >= -1 && o->exit_code <= 255);
	check_line(o->cause, sizeof(o->cause));
	check_line(o->skip_reason, sizeof(o->skip_reason));
	check_line(o->scheduler_ops, sizeof(o->scheduler_ops));
	check_text(&o->scheduler);
}

static void check_channel(const struct channel *ch, const struct seen *seen, size_t length,
			  uint64_t credit)
{
	uint64_t accounted = seen->bytes + ch->bytes_skipped;

	FUZZ_CHECK(seen->frames == ch->frames);
	/* Each byte is delivered, skipped, or of a frame that was there before. */
	FUZZ_CHECK(accounted + ch->frames_repeated * HEADER <= length);
	FUZZ_CHECK(ch->frames_repeated || accounted == length);
	FUZZ_CHECK(channel__broken(ch) ==
		   (ch->bytes_skipped || ch->frames_missing || ch->frames_repeated));
	/* Memory follows what came, not what was claimed. */
	FUZZ_CHECK(ch->size <= 4 * length + (256u << 10));
	/* Each byte goes into a CRC once, and more only as paid for. */
	FUZZ_CHECK(fuzz_crc_bytes <= length + credit + 4 * (uint64_t)length);
}

/* @seed 0: all at once. */
static void decode(const struct stream *s, uint32_t seed, bool poor, struct seen *seen,
		   char report[512])
{
	uint64_t credit;
	struct channel ch;

	memset(seen, 0, sizeof(*seen));
	outcome__init(&seen->outcome);
	channel__init(&ch, on_frame, seen);
	ch.check_credit = credit = poor ? 0 : UINT64_MAX / 2;
	fuzz_crc_bytes = 0;
	for (size_t at = 0, n; at < s->length; at += n) {
		n = s->length - at;
		if (seed) {
			seed = seed * 1664525u + 1013904223u;
			if (n > seed >> 8 >> seed % 24)
				n = (seed >> 8 >> seed % 24) + !(seed >> 8 >> seed % 24);
		}
		FUZZ_CHECK(!channel__feed(&ch, s->data + at, n));
	}
	channel__end(&ch);
	channel__report(&ch, report, 512);
	check_line(report, 512);
	check_channel(&ch, seen, s->length, credit);
	check_outcome(&seen->outcome, &ch);
	channel__destroy(&ch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	bool poor = take(&in) & FLAG_POOR;
	uint32_t seed = take(&in) + 1u;
	char whole_report[512], pieces_report[512];
	struct seen whole, pieces;
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return 0;
	s->most = poor ? MAX_STREAM : MAX_STREAM_RICH;
	while (in.at < in.end)
		put_record(s, &in);
	decode(s, 0, poor, &whole, whole_report);
	decode(s, seed, poor, &pieces, pieces_report);
	if (!poor) {
		/* How it was cut into pieces is nothing that anybody sees. */
		FUZZ_CHECK(whole.digest == pieces.digest && whole.frames == pieces.frames);
		FUZZ_CHECK(!strcmp(whole_report, pieces_report));
		FUZZ_CHECK(whole.outcome.verdict == pieces.outcome.verdict);
		FUZZ_CHECK(!strcmp(whole.outcome.cause, pieces.outcome.cause));
	}
	outcome__free(&whole.outcome);
	outcome__free(&pieces.outcome);
	free(s);
	return 0;
}
