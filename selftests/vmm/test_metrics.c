// SPDX-License-Identifier: GPL-2.0-only
/* PMET frames as the host decodes them: right ones, hostile ones, and text that is none. */
#include "kselftest_harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/metrics.h"

struct frame {
	size_t length;
	uint8_t bytes[8192];
};

static void put(struct frame *frame, const void *data, size_t length)
{
	memcpy(frame->bytes + frame->length, data, length);
	frame->length += length;
}

static void begin(struct frame *frame, const char *name, uint32_t nr)
{
	const struct ktstr_metrics_payload head = {.boot_ns = 11,
						   .run_ns = 22,
						   .exit_code = 3,
						   .nr_metrics = nr,
						   .name_length = (uint32_t)strlen(name)};

	frame->length = 0;
	put(frame, &head, sizeof(head));
	put(frame, name, strlen(name));
}

static void add(struct frame *frame, const char *name, const char *unit,
		struct ktstr_metric_record record)
{
	record.name_length = (uint16_t)strlen(name);
	record.unit_length = (uint16_t)strlen(unit);
	put(frame, &record, sizeof(record));
	put(frame, name, strlen(name));
	put(frame, unit, strlen(unit));
}

#define NO_LIMIT ((double)NAN)

TEST(metrics_come_out_in_their_order)
{
	struct frame frame;
	struct metrics metrics;
	struct metric metric;
	char text[256];

	begin(&frame, "fio", 2);
	add(&frame, "iops", "1/s",
	    (struct ktstr_metric_record){.value = 1234.5, .minimum = 1000, .maximum = NO_LIMIT});
	add(&frame, "p99", "",
	    (struct ktstr_metric_record){.value = 7, .minimum = 8, .maximum = 9});
	ASSERT_EQ(0, metrics__open(&metrics, frame.bytes, frame.length));
	EXPECT_STREQ("fio", metrics.name);
	EXPECT_EQ(11, metrics.boot_ns);
	EXPECT_EQ(22, metrics.run_ns);
	EXPECT_EQ(3, metrics.exit_code);
	EXPECT_EQ(2, metrics.nr_metrics);
	ASSERT_TRUE(metrics__next(&metrics, &metric));
	EXPECT_STREQ("iops", metric.name);
	EXPECT_STREQ("1/s", metric.unit);
	EXPECT_EQ(1234.5, metric.value);
	EXPECT_EQ(0, metric.flags);
	EXPECT_TRUE(isnan(metric.maximum));
	metric__describe(&metric, text, sizeof(text));
	EXPECT_STREQ("1234.5 1/s (at least 1000)", text);
	ASSERT_TRUE(metrics__next(&metrics, &metric));
	EXPECT_STREQ("p99", metric.name);
	EXPECT_EQ(KTSTR_METRIC_TOO_LOW, metric.flags);
	metric__describe(&metric, text, sizeof(text));
	EXPECT_STREQ("7 (at least 8, at most 9): too low", text);
	EXPECT_FALSE(metrics__next(&metrics, &metric));
	EXPECT_FALSE(metrics__next(&metrics, &metric));
}

/* The numbers decide, not what the guest says of them. */
TEST(flags_are_what_the_numbers_say)
{
	const struct {
		struct ktstr_metric_record record;
		uint32_t flags;
	} cases[] = {
		{{.value = 5,
		  .minimum = NO_LIMIT,
		  .maximum = NO_LIMIT,
		  .flags = KTSTR_METRIC_TOO_LOW | 0x80},
		 0},
		{{.value = 5, .minimum = NO_LIMIT, .maximum = 4}, KTSTR_METRIC_TOO_HIGH},
		{{.value = 5, .minimum = 6, .maximum = 4},
		 KTSTR_METRIC_TOO_LOW | KTSTR_METRIC_TOO_HIGH},
		{{.value = (double)NAN, .minimum = 6, .maximum = NO_LIMIT}, KTSTR_METRIC_MISSING},
		{{.value = (double)INFINITY, .minimum = 6, .maximum = NO_LIMIT},
		 KTSTR_METRIC_MISSING},
		{{.value = 5,
		  .minimum = NO_LIMIT,
		  .maximum = NO_LIMIT,
		  .flags = KTSTR_METRIC_MISSING},
		 KTSTR_METRIC_MISSING},
		{{.value = 5, .minimum = (double)-INFINITY, .maximum = (double)INFINITY}, 0},
	};
	struct frame frame;
	struct metrics metrics;
	struct metric metric;

	begin(&frame, "p", ARRAY_SIZE(cases));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		add(&frame, "m", "", cases[i].record);
	ASSERT_EQ(0, metrics__open(&metrics, frame.bytes, frame.length));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ASSERT_TRUE(metrics__next(&metrics, &metric));
		EXPECT_EQ(cases[i].flags, metric.flags) TH_LOG("case %zu", i);
		EXPECT_EQ(!!(cases[i].flags & KTSTR_METRIC_MISSING), !!isnan(metric.value));
		EXPECT_FALSE(isinf(metric.minimum) || isinf(metric.maximum));
	}
}

TEST(frames_of_another_length_are_refused)
{
	struct frame frame;
	struct metrics metrics;
	uint8_t *exact;

	begin(&frame, "name", 2);
	add(&frame, "one", "s", (struct ktstr_metric_record){.value = 1});
	add(&frame, "two", "", (struct ktstr_metric_record){.value = 2});
	/* Each in memory of its own size: a read beyond is seen by the sanitizer. */
	for (size_t length = 0; length <= frame.length + 1; length++) {
		exact = malloc(length ? length : 1);
		ASSERT_NE(NULL, exact);
		memcpy(exact, frame.bytes, length);
		EXPECT_EQ(length == frame.length ? 0 : -EPROTO,
			  metrics__open(&metrics, exact, length))
		{
			TH_LOG("length %zu", length);
		}
		free(exact);
	}
}

TEST(numbers_that_lie_are_refused)
{
	static const struct {
		size_t offset;
		uint32_t value;
	} lies[] = {
		{offsetof(struct ktstr_metrics_payload, signal), 65},
		{offsetof(struct ktstr_metrics_payload, exit_code), 256},
		{offsetof(struct ktstr_metrics_payload, nr_metrics), 0},
		{offsetof(struct ktstr_metrics_payload, nr_metrics), 2},
		{offsetof(struct ktstr_metrics_payload, nr_metrics), UINT32_MAX},
		{offsetof(struct ktstr_metrics_payload, name_length), 0},
		{offsetof(struct ktstr_metrics_payload, name_length), UINT32_MAX},
		{sizeof(struct ktstr_metrics_payload) + 4 +
			 offsetof(struct ktstr_metric_record, name_length),
		 UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct metrics metrics;
		struct frame frame;

		begin(&frame, "name", 1);
		add(&frame, "one", "s", (struct ktstr_metric_record){.value = 1});
		ASSERT_EQ(0, metrics__open(&metrics, frame.bytes, frame.length));
		memcpy(frame.bytes + lies[i].offset, &lies[i].value, sizeof(lies[i].value));
		EXPECT_EQ(-EPROTO, metrics__open(&metrics, frame.bytes, frame.length))
		{
			TH_LOG("lie %zu", i);
		}
	}
}

/* Random damage: it is refused, or the walk ends after what was announced. */
TEST(damaged_frames_never_lead_out_of_the_frame)
{
	unsigned int seed = 1, opened = 0;

	for (unsigned int round = 0; round < 20000; round++) {
		struct metrics metrics;
		struct metric metric;
		struct frame frame;
		uint32_t n = 0;
		uint8_t *exact;

		begin(&frame, "name", 3);
		for (int i = 0; i < 3; i++)
			add(&frame, "metric", "unit", (struct ktstr_metric_record){.value = i});
		for (int i = rand_r(&seed) % 4; i >= 0; i--)
			frame.bytes[(size_t)rand_r(&seed) % frame.length] = (uint8_t)rand_r(&seed);
		exact = malloc(frame.length);
		ASSERT_NE(NULL, exact);
		memcpy(exact, frame.bytes, frame.length);
		if (!metrics__open(&metrics, exact, frame.length)) {
			while (metrics__next(&metrics, &metric))
				n++;
			EXPECT_EQ(metrics.nr_metrics, n);
			opened++;
		}
		free(exact);
	}
	EXPECT_GT(opened, 1000);
}

TEST(long_names_are_shortened_at_a_character)
{
	char longer[2000];
	struct frame frame;
	struct metrics metrics;
	struct metric metric;

	for (size_t i = 0; i + 3 < sizeof(longer); i += 3)
		memcpy(longer + i, "\xe2\x82\xac", 4);
	begin(&frame, longer, 1);
	add(&frame, longer, longer, (struct ktstr_metric_record){.value = 1});
	ASSERT_EQ(0, metrics__open(&metrics, frame.bytes, frame.length));
	EXPECT_EQ(255, strlen(metrics.name));
	ASSERT_TRUE(metrics__next(&metrics, &metric));
	EXPECT_EQ(255, strlen(metric.name));
	EXPECT_EQ(63, strlen(metric.unit));
	EXPECT_EQ(0, memcmp(longer, metric.unit, 63));
}

TEST(text_that_is_no_utf8_is_replaced)
{
#define R "\xef\xbf\xbd"
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"plain", "plain"},
		{"a\tb\nc\x7f", "a?b?c?"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"\xc2\x9b", "?"}, /* C1: CSI */
		{"\xff\xfe", R R},
		{"\xc0\x80", R R}, /* overlong */
		{"\xe0\x80\xaf", R R R},
		{"\xed\xa0\x80", R R R},       /* a surrogate */
		{"\xf4\x90\x80\x80", R R R R}, /* above U+10FFFF */
		{"a\xe2\x82", "a" R R},	       /* cut */
		{"\xe2\x82z", R R "z"},
	};
	char text[64], small[4], one[1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		metrics__clean(text, sizeof(text), cases[i].from, strlen(cases[i].from));
		EXPECT_STREQ(cases[i].to, text) TH_LOG("case %zu", i);
	}
	metrics__clean(text, sizeof(text), "a\0b", 3);
	EXPECT_STREQ("a?b", text);
	metrics__clean(small, sizeof(small), "ab\xc3\xa9", 4);
	EXPECT_STREQ("ab", small);
	metrics__clean(one, sizeof(one), "ab", 2);
	EXPECT_STREQ("", one);
}

TEST_HARNESS_MAIN
