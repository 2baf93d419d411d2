// SPDX-License-Identifier: GPL-2.0-only
/* The frame encoder of the guest against the decoder of the host, whole and damaged streams. */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <ktstr/proto.h>

#include "guest/tlv.h"
#include "vmm/channel.h"

#define HEADER sizeof(struct ktstr_frame_header)

/* What came out, as a digest that has the order in it. */
struct seen {
	uint64_t frames, bytes;
	uint32_t types[64], sequences[64], lengths[64];
	uLong crc;
};

static void on_frame(void *opaque, uint32_t type, uint32_t sequence, const uint8_t *payload,
		     uint32_t length)
{
	struct seen *seen = opaque;

	if (seen->frames < 64) {
		seen->types[seen->frames] = type;
		seen->sequences[seen->frames] = sequence;
		seen->lengths[seen->frames] = length;
	}
	seen->frames++;
	seen->bytes += length;
	seen->crc = crc32(seen->crc, (const Bytef *)&type, sizeof(type));
	seen->crc = crc32(seen->crc, (const Bytef *)&length, sizeof(length));
	if (length)
		seen->crc = crc32(seen->crc, payload, length);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

struct stream {
	struct tlv tlv;
	uint8_t *data;
	size_t length;
};

static int stream_open(struct stream *s)
{
	memset(s, 0, sizeof(*s));
	s->tlv.fd = memfd_create("tlv", 0);
	return s->tlv.fd;
}

static int stream_send(struct stream *s, uint32_t type, const void *data, size_t length)
{
	return tlv__send(&s->tlv, type, NULL, 0, data, length);
}

/* Takes the bytes written so far. */
static void stream_read(struct stream *s)
{
	off_t end = lseek(s->tlv.fd, 0, SEEK_END);

	s->length = (size_t)end;
	s->data = malloc(s->length + 1);
	if (pread(s->tlv.fd, s->data, s->length, 0) != (ssize_t)s->length)
		s->length = 0;
}

static void stream_close(struct stream *s)
{
	close(s->tlv.fd);
	free(s->data);
}

/* Ten frames "frame 0" ... of type OUTP, all of the same size. */
static void ten_frames(struct stream *s, size_t *size)
{
	char text[] = "frame 0";

	stream_open(s);
	for (int i = 0; i < 10; i++) {
		text[6] = (char)('0' + i);
		stream_send(s, KTSTR_FRAME_OUTPUT, text, 7);
	}
	stream_read(s);
	*size = HEADER + 7;
}

static void decode(struct channel *ch, struct seen *seen, const void *data, size_t length)
{
	memset(seen, 0, sizeof(*seen));
	channel__init(ch, on_frame, seen);
	channel__feed(ch, data, length);
	channel__end(ch);
}

TEST(frames_survive_any_chunking)
{
	uint32_t random = 2463534242u;
	struct seen sent = {0}, seen = {0};
	uint8_t *payload = malloc(300000);
	struct channel ch;
	struct stream s;
	size_t at = 0;

	ASSERT_GE(stream_open(&s), 0);
	for (size_t i = 0; i < 300000; i++)
		payload[i] = (uint8_t)next_random(&random);
	for (int i = 0; i < 400; i++) {
		uint32_t length = next_random(&random) % (i % 16 ? 300 : 200000);
		uint32_t head = length ? next_random(&random) % length : 0;
		uint32_t type = i & 1 ? KTSTR_FRAME_OUTPUT : KTSTR_FRAME_LIFECYCLE;
		const uint8_t *p = payload + next_random(&random) % 1000;

		ASSERT_EQ(0, tlv__send(&s.tlv, type, p, head, p + head, length - head));
		on_frame(&sent, type, (uint32_t)i, p, length);
	}
	stream_read(&s);
	channel__init(&ch, on_frame, &seen);
	while (at < s.length) {
		size_t n = next_random(&random) % (at % 3 ? 50 : 150000);

		n = n > s.length - at ? s.length - at : n;
		ASSERT_EQ(0, channel__feed(&ch, s.data + at, n));
		at += n;
	}
	channel__end(&ch);
	EXPECT_FALSE(channel__broken(&ch));
	EXPECT_EQ(sent.frames, seen.frames);
	EXPECT_EQ(sent.bytes, seen.bytes);
	EXPECT_EQ(sent.crc, seen.crc);
	channel__destroy(&ch);
	stream_close(&s);
	free(payload);
}

TEST(largest_frame_passes_and_a_larger_one_is_refused)
{
	uint8_t *payload = calloc(1, KTSTR_FRAME_MAX_PAYLOAD + 1);
	struct channel ch;
	struct seen seen;
	struct stream s;

	ASSERT_GE(stream_open(&s), 0);
	EXPECT_EQ(-EINVAL,
		  stream_send(&s, KTSTR_FRAME_PROFRAW, payload, KTSTR_FRAME_MAX_PAYLOAD + 1));
	ASSERT_EQ(0, stream_send(&s, KTSTR_FRAME_PROFRAW, payload, KTSTR_FRAME_MAX_PAYLOAD));
	stream_read(&s);
	decode(&ch, &seen, s.data, s.length);
	EXPECT_FALSE(channel__broken(&ch));
	EXPECT_EQ(1, seen.frames);
	EXPECT_EQ(KTSTR_FRAME_MAX_PAYLOAD, seen.lengths[0]);
	channel__destroy(&ch);
	stream_close(&s);
	free(payload);
}

TEST(a_flipped_bit_loses_one_frame_and_says_which)
{
	struct channel ch;
	char report[512];
	struct seen seen;
	struct stream s;
	size_t size;

	ten_frames(&s, &size);
	/* every bit of the fourth frame in turn */
	for (size_t bit = 0; bit < size * 8; bit++) {
		s.data[3 * size + bit / 8] ^= (uint8_t)(1u << (bit % 8));
		decode(&ch, &seen, s.data, s.length);
		ASSERT_TRUE(channel__broken(&ch));
		ASSERT_EQ(9, seen.frames) TH_LOG("bit %zu", bit);
		ASSERT_EQ(9, seen.sequences[8]);
		ASSERT_EQ(size, ch.bytes_skipped);
		ASSERT_EQ(1, ch.frames_missing);
		channel__report(&ch, report, sizeof(report));
		ASSERT_NE(NULL, strstr(report, "1 frames missing (first 3 to 3)"));
		channel__destroy(&ch);
		s.data[3 * size + bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	stream_close(&s);
}

TEST(garbage_between_frames_is_counted_to_the_byte)
{
	static const char garbage[] = "KTKTLKTLVnot a frame, KTLV";
	uint8_t stream[1000];
	struct channel ch;
	struct seen seen;
	struct stream s;
	size_t size, n = sizeof(garbage) - 1;

	ten_frames(&s, &size);
	memcpy(stream, s.data, 2 * size);
	memcpy(stream + 2 * size, garbage, n);
	memcpy(stream + 2 * size + n, s.data + 2 * size, 8 * size);
	decode(&ch, &seen, stream, 10 * size + n);
	EXPECT_TRUE(channel__broken(&ch));
	EXPECT_EQ(10, seen.frames);
	EXPECT_EQ(n, ch.bytes_skipped);
	EXPECT_EQ(0, ch.frames_missing);
	channel__destroy(&ch);
	stream_close(&s);
}

TEST(a_missing_frame_is_a_gap)
{
	struct channel ch;
	char report[512];
	struct seen seen;
	struct stream s;
	size_t size;

	ten_frames(&s, &size);
	memmove(s.data + 4 * size, s.data + 6 * size, 4 * size);
	decode(&ch, &seen, s.data, 8 * size);
	EXPECT_EQ(8, seen.frames);
	EXPECT_EQ(2, ch.frames_missing);
	EXPECT_EQ(0, ch.bytes_skipped);
	channel__report(&ch, report, sizeof(report));
	EXPECT_NE(NULL, strstr(report, "sequence jumps from 4 to 6 (type OUTP)"));
	channel__destroy(&ch);
	stream_close(&s);
}

TEST(a_repeated_frame_is_not_delivered_twice)
{
	uint8_t stream[1000];
	struct channel ch;
	struct seen seen;
	struct stream s;
	size_t size;

	ten_frames(&s, &size);
	memcpy(stream, s.data, 5 * size);
	memcpy(stream + 5 * size, s.data + 4 * size, 6 * size);
	decode(&ch, &seen, stream, 11 * size);
	EXPECT_TRUE(channel__broken(&ch));
	EXPECT_EQ(10, seen.frames);
	EXPECT_EQ(1, ch.frames_repeated);
	EXPECT_EQ(0, ch.frames_missing);
	channel__destroy(&ch);
	stream_close(&s);
}

TEST(sequence_wraps_without_damage)
{
	struct channel ch;
	struct seen seen = {0};
	struct stream s;

	ASSERT_GE(stream_open(&s), 0);
	s.tlv.sequence = UINT32_MAX - 1;
	for (int i = 0; i < 4; i++)
		stream_send(&s, KTSTR_FRAME_STIMULUS, "x", 1);
	stream_read(&s);
	channel__init(&ch, on_frame, &seen);
	ch.next_sequence = UINT32_MAX - 1;
	channel__feed(&ch, s.data, s.length);
	channel__end(&ch);
	EXPECT_FALSE(channel__broken(&ch));
	EXPECT_EQ(4, seen.frames);
	EXPECT_EQ(1, seen.sequences[3]);
	channel__destroy(&ch);
	stream_close(&s);
}

TEST(a_stream_cut_anywhere_but_between_frames_is_broken)
{
	struct channel ch;
	struct seen seen;
	struct stream s;
	size_t size;

	ten_frames(&s, &size);
	for (size_t cut = 0; cut <= s.length; cut++) {
		decode(&ch, &seen, s.data, cut);
		ASSERT_EQ(cut % size != 0, channel__broken(&ch));
		ASSERT_EQ(cut / size, seen.frames);
		ASSERT_EQ(cut % size, ch.bytes_skipped);
		channel__destroy(&ch);
	}
	stream_close(&s);
}

TEST(frames_swallowed_by_a_false_length_come_out_at_the_end)
{
	struct ktstr_frame_header header;
	struct channel ch;
	struct seen seen;
	struct stream s;
	size_t size;

	ten_frames(&s, &size);
	memcpy(&header, s.data + 2 * size, sizeof(header));
	header.length = 8u << 20;
	memcpy(s.data + 2 * size, &header, sizeof(header));
	decode(&ch, &seen, s.data, s.length);
	EXPECT_TRUE(channel__broken(&ch));
	EXPECT_EQ(9, seen.frames);
	EXPECT_EQ(size, ch.bytes_skipped);
	EXPECT_EQ(1, ch.frames_missing);
	channel__destroy(&ch);
	stream_close(&s);
}

TEST(a_frame_over_the_limit_is_skipped_at_once)
{
	struct ktstr_frame_header header;
	struct seen seen = {0};
	struct channel ch;
	struct stream s;
	size_t size;

	ten_frames(&s, &size);
	memcpy(&header, s.data, sizeof(header));
	header.length = KTSTR_FRAME_MAX_PAYLOAD + 1;
	memcpy(s.data, &header, sizeof(header));
	channel__init(&ch, on_frame, &seen);
	channel__feed(&ch, s.data, s.length);
	EXPECT_EQ(9, seen.frames); /* before the end */
	EXPECT_NE(NULL, strstr(ch.first_damage, "at most 16777216"));
	channel__destroy(&ch);
	stream_close(&s);
}

TEST(a_claimed_length_alone_takes_no_memory)
{
	struct ktstr_frame_header header = {.magic = KTSTR_FRAME_MAGIC,
					    .length = KTSTR_FRAME_MAX_PAYLOAD};
	struct seen seen = {0};
	struct channel ch;

	channel__init(&ch, on_frame, &seen);
	channel__feed(&ch, &header, sizeof(header));
	EXPECT_LE(ch.size, 128u << 10);
	channel__destroy(&ch);
}

/* Forged headers side by side, each claiming 16 MiB: a naive search would read 16 MiB for each. */
TEST(endless_forged_headers_cost_bounded_memory_and_work)
{
	struct ktstr_frame_header header = {.magic = KTSTR_FRAME_MAGIC,
					    .length = KTSTR_FRAME_MAX_PAYLOAD};
	size_t piece = 1000 * sizeof(header), total = 0, largest = 0;
	uint8_t *data = malloc(piece);
	struct seen seen = {0};
	struct channel ch;

	for (size_t i = 0; i < 1000; i++)
		memcpy(data + i * sizeof(header), &header, sizeof(header));
	channel__init(&ch, on_frame, &seen);
	for (; total < 64u << 20; total += piece) {
		ASSERT_EQ(0, channel__feed(&ch, data, piece));
		largest = ch.size > largest ? ch.size : largest;
	}
	/* what has been spent on CRCs is what was granted less what is left */
	EXPECT_LE(ch.check_credit, 5 * (uint64_t)(16u << 20) + 4 * (uint64_t)total);
	EXPECT_LE(largest, (2u * (16u << 20)) + (128u << 10));
	EXPECT_EQ(0, seen.frames);
	EXPECT_TRUE(channel__broken(&ch));
	channel__destroy(&ch);
	free(data);
}

TEST(random_bytes_never_make_a_frame)
{
	uint32_t random = 88172645u;
	uint8_t data[4096];
	struct channel ch;
	struct seen seen = {0};

	channel__init(&ch, on_frame, &seen);
	for (int i = 0; i < 500; i++) {
		for (size_t j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)next_random(&random);
		/* magics at random places, so that the header is looked at */
		memcpy(data + next_random(&random) % 4000, "KTLV", 4);
		channel__feed(&ch, data, sizeof(data));
	}
	channel__end(&ch);
	EXPECT_EQ(0, seen.frames);
	EXPECT_EQ(500 * sizeof(data), ch.bytes_skipped);
	EXPECT_TRUE(channel__broken(&ch));
	channel__destroy(&ch);
}

/* ---- Any stream, any damage ---- */

#define PLAN_FRAMES 64

/* What was sent, where it lies in the stream, and what became of it. */
struct plan {
	struct sent {
		uint32_t type, length;
		uLong crc;
		size_t at; /* where it begins */
		bool lost;
	} frames[PLAN_FRAMES];
	uint32_t nr;
	struct stream stream;
	/* Expected */
	uint64_t skipped, repeated;
	char first[64]; /* in the report; "": nothing is wrong */
};

static size_t frame_size(const struct sent *f)
{
	return HEADER + f->length;
}

/* @most: bytes of the longest payload. */
static void plan_send(struct plan *plan, uint32_t *random, uint32_t most, const uint8_t *bytes)
{
	memset(plan, 0, sizeof(*plan));
	stream_open(&plan->stream);
	plan->nr = 1 + next_random(random) % PLAN_FRAMES;
	for (uint32_t i = 0; i < plan->nr; i++) {
		struct sent *f = &plan->frames[i];
		const uint8_t *p = bytes + next_random(random) % 4096;
		uint32_t head;

		f->type = next_random(random);
		f->length = next_random(random) % (i % 4 ? 64 : most + 1);
		head = f->length ? next_random(random) % f->length : 0;
		f->crc = f->length ? crc32(0, p, f->length) : 0;
		f->at = (size_t)lseek(plan->stream.tlv.fd, 0, SEEK_CUR);
		tlv__send(&plan->stream.tlv, f->type, p, head, p + head, f->length - head);
	}
	stream_read(&plan->stream);
}

static void replace_stream(struct stream *s, size_t at, size_t remove, const void *data, size_t add)
{
	uint8_t *grown = malloc(s->length - remove + add + 1);

	memcpy(grown, s->data, at);
	if (add)
		memcpy(grown + at, data, add);
	memcpy(grown + at + add, s->data + at + remove, s->length - at - remove);
	free(s->data);
	s->data = grown;
	s->length += add - remove;
}

static void expect_first(struct plan *plan, const char *format, unsigned long long value)
{
	snprintf(plan->first, sizeof(plan->first), format, value);
}

/* Bits turn anywhere in frame @i. */
static void damage_bits(struct plan *plan, uint32_t *random, uint32_t i)
{
	struct sent *f = &plan->frames[i];
	uint32_t bits = 1 + next_random(random) % 5; /* an odd number of one byte's cannot cancel */
	size_t at = f->at + next_random(random) % frame_size(f);

	plan->stream.data[at] ^= (uint8_t)((1u << bits) - 1);
	f->lost = true;
	plan->skipped += frame_size(f);
	expect_first(plan, "byte %llu", f->at);
}

/* Bytes are gone from within frame @i to within a later one, or the same. */
static void damage_cut(struct plan *plan, uint32_t *random, uint32_t i)
{
	uint32_t last = i + next_random(random) % 3;
	struct sent *f = &plan->frames[i], *l;
	size_t from, to, left;

	last = last < plan->nr ? last : plan->nr - 1;
	l = &plan->frames[last];
	from = f->at + 1 + next_random(random) % (frame_size(f) - 1);
	to = l->at + frame_size(l) - 1;
	to = to > from ? from + 1 + next_random(random) % (to - from) : from + 1;
	for (uint32_t k = i; k <= last; k++)
		if (plan->frames[k].at < to)
			plan->frames[k].lost = true;
	/* what is left of the first and of the last that were hit */
	left = from - f->at;
	for (uint32_t k = last;; k--) {
		if (plan->frames[k].lost) {
			left += plan->frames[k].at + frame_size(&plan->frames[k]) - to;
			break;
		}
	}
	replace_stream(&plan->stream, from, to - from, NULL, 0);
	plan->skipped += left;
	expect_first(plan, "byte %llu", f->at);
}

/* Bytes that are no frame come before or within frame @i. */
static void damage_insert(struct plan *plan, uint32_t *random, uint32_t i, const uint8_t *bytes)
{
	struct sent *f = &plan->frames[i];
	size_t into = next_random(random) % 2 ? next_random(random) % frame_size(f) : 0;
	size_t add = 1 + next_random(random) % 3000;

	replace_stream(&plan->stream, f->at + into, 0, bytes + next_random(random) % 512, add);
	if (into) {
		f->lost = true;
		plan->skipped += frame_size(f);
	}
	plan->skipped += add;
	expect_first(plan, "byte %llu", f->at);
}

/* Whole frames are missing, from @i on. */
static void damage_drop(struct plan *plan, uint32_t *random, uint32_t i)
{
	uint32_t last = i + next_random(random) % 3;
	size_t end;

	last = last < plan->nr ? last : plan->nr - 1;
	end = plan->frames[last].at + frame_size(&plan->frames[last]);
	replace_stream(&plan->stream, plan->frames[i].at, end - plan->frames[i].at, NULL, 0);
	for (uint32_t k = i; k <= last; k++)
		plan->frames[k].lost = true;
	/* of the last ones nothing can be known: that EXIT did not come says it */
	if (last + 1 < plan->nr)
		expect_first(plan, "sequence jumps from %llu to ", i);
}

/* An earlier frame, or the same, comes once more behind frame @i. */
static void damage_repeat(struct plan *plan, uint32_t *random, uint32_t i)
{
	uint32_t k = next_random(random) % (i + 1);
	const struct sent *f = &plan->frames[k];
	size_t at = plan->frames[i].at + frame_size(&plan->frames[i]);
	uint8_t *copy = malloc(frame_size(f));

	memcpy(copy, plan->stream.data + f->at, frame_size(f));
	replace_stream(&plan->stream, at, 0, copy, frame_size(f));
	free(copy);
	plan->repeated++;
	expect_first(plan, "sequence %llu (type", k);
}

struct check {
	const struct plan *plan;
	uint32_t next; /* of the plan's frames */
	uint64_t wrong, bytes;
};

static void on_planned(void *opaque, uint32_t type, uint32_t sequence, const uint8_t *payload,
		       uint32_t length)
{
	struct check *c = opaque;
	const struct sent *f;

	while (c->next < c->plan->nr && c->plan->frames[c->next].lost)
		c->next++;
	f = &c->plan->frames[c->next];
	if (c->next >= c->plan->nr || sequence != c->next || type != f->type ||
	    length != f->length || (length && crc32(0, payload, length) != f->crc))
		c->wrong++;
	c->next++;
	c->bytes += HEADER + length;
}

/* Feeds it in random pieces, and compares with what is expected to the byte. */
static void plan_check(struct __test_metadata *_metadata, const struct plan *plan, uint32_t *random,
		       const char *what)
{
	const uint32_t largest = 1u << next_random(random) % 22;
	struct check seen = {.plan = plan};
	uint64_t missing = 0, delivered = 0, repeated_bytes;
	uint32_t last = 0;
	struct channel ch;
	char report[512];

	channel__init(&ch, on_planned, &seen);
	for (size_t at = 0, n; at < plan->stream.length; at += n) {
		n = 1 + next_random(random) % largest;
		n = n < plan->stream.length - at ? n : plan->stream.length - at;
		ASSERT_EQ(0, channel__feed(&ch, plan->stream.data + at, n));
	}
	channel__end(&ch);
	for (uint32_t i = 0; i < plan->nr; i++) {
		delivered += !plan->frames[i].lost;
		last = plan->frames[i].lost ? last : i;
	}
	for (uint32_t i = 0; i < last; i++)
		missing += plan->frames[i].lost;
	channel__report(&ch, report, sizeof(report));
	EXPECT_EQ(0, seen.wrong);
	EXPECT_EQ(delivered, ch.frames);
	EXPECT_EQ(missing, ch.frames_missing);
	EXPECT_EQ(plan->repeated, ch.frames_repeated);
	EXPECT_EQ(plan->skipped, ch.bytes_skipped);
	EXPECT_NE(NULL, strstr(report, plan->first));
	EXPECT_EQ(plan->first[0] != '\0', channel__broken(&ch));
	/* no byte is unaccounted for */
	repeated_bytes = plan->stream.length - seen.bytes - ch.bytes_skipped;
	EXPECT_EQ(plan->repeated != 0, repeated_bytes != 0);
	if (!__test_passed(_metadata))
		TH_LOG("%s of %u frames, expected \"%s\": %s", what, plan->nr, plan->first, report);
	channel__destroy(&ch);
}

static void run_plans(struct __test_metadata *_metadata, uint32_t seed, int first, int rounds,
		      uint32_t most)
{
	uint8_t *bytes = malloc(KTSTR_FRAME_MAX_PAYLOAD + 8192);
	uint32_t random = seed;

	for (size_t i = 0; i < KTSTR_FRAME_MAX_PAYLOAD + 8192; i++)
		bytes[i] = (uint8_t)next_random(&random);
	for (int round = 0; round < rounds && __test_passed(_metadata); round++) {
		static const char *const names[] = {"nothing", "bits", "cut",
						    "insert",  "drop", "repeat"};
		int how = (first + round) % 6;
		struct plan plan;
		uint32_t i;

		plan_send(&plan, &random, most, bytes);
		i = next_random(&random) % plan.nr;
		if (how == 1)
			damage_bits(&plan, &random, i);
		else if (how == 2)
			damage_cut(&plan, &random, i);
		else if (how == 3)
			damage_insert(&plan, &random, i, bytes);
		else if (how == 4)
			damage_drop(&plan, &random, i);
		else if (how == 5)
			damage_repeat(&plan, &random, i);
		plan_check(_metadata, &plan, &random, names[how]);
		stream_close(&plan.stream);
	}
	free(bytes);
}

TEST(any_single_damage_loses_exactly_what_it_hit)
{
	run_plans(_metadata, 2654435769u, 0, 3000, 4096);
}

/* In parts: with sanitizers on a busy machine all at once are longer than a test may take. */
TEST(bits_and_cuts_of_frames_up_to_the_largest_lose_exactly_what_they_hit)
{
	run_plans(_metadata, 40503u, 0, 3, KTSTR_FRAME_MAX_PAYLOAD);
}

TEST(inserts_drops_and_repeats_of_frames_up_to_the_largest_lose_exactly_what_they_hit)
{
	run_plans(_metadata, 40503u, 3, 3, KTSTR_FRAME_MAX_PAYLOAD);
}

TEST(other_bits_and_cuts_of_frames_up_to_the_largest_lose_exactly_what_they_hit)
{
	run_plans(_metadata, 2246822519u, 0, 3, KTSTR_FRAME_MAX_PAYLOAD);
}

TEST(other_inserts_drops_and_repeats_of_frames_up_to_the_largest_lose_exactly_what_they_hit)
{
	run_plans(_metadata, 2246822519u, 3, 3, KTSTR_FRAME_MAX_PAYLOAD);
}

TEST(encoder_reports_a_closed_port_and_a_broken_one)
{
	int fds[2];
	struct tlv tlv = {.fd = -1};

	EXPECT_EQ(-EBADF, tlv__send(&tlv, KTSTR_FRAME_EXIT, NULL, 0, NULL, 0));
	ASSERT_EQ(0, pipe(fds));
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	tlv.fd = fds[1];
	EXPECT_EQ(-EPIPE, tlv__send(&tlv, KTSTR_FRAME_EXIT, NULL, 0, NULL, 0));
	close(fds[1]);
}

TEST_HARNESS_MAIN
