// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's end of the statistics relay: when it asks, what of the guest's bytes it passes on, and
 * what it says of the rest.
 */
#include "kselftest_harness.h"

#include <stdlib.h>
#include <string.h>

#include <ktstr/stats.h>

#include "vmm/loop.h"
#include "vmm/stats.h"

FIXTURE(stats)
{
	struct stats stats;
	struct loop *loop;
	char sent[4096];
	size_t sent_length, take; /* the port takes so much */
	char *got;		  /* responses, each with a newline */
	size_t got_length, longest;
	unsigned int stop_after; /* requests; 0: never */
};

static size_t send_to_guest(void *opaque, const char *data, size_t length)
{
	FIXTURE_DATA(stats) *self = opaque;

	if (length > self->take)
		length = self->take;
	if (length > sizeof(self->sent) - 1 - self->sent_length)
		length = sizeof(self->sent) - 1 - self->sent_length;
	memcpy(self->sent + self->sent_length, data, length);
	self->sent_length += length;
	if (self->stop_after && self->stats.requests == self->stop_after)
		loop__stop(self->loop);
	return length;
}

static void on_response(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	FIXTURE_DATA(stats) *self = opaque;

	(void)at_ms;
	self->got = realloc(self->got, self->got_length + length + 2);
	memcpy(self->got + self->got_length, json, length);
	self->got_length += length;
	self->got[self->got_length++] = '\n';
	self->got[self->got_length] = '\0';
	self->longest = length > self->longest ? length : self->longest;
}

FIXTURE_SETUP(stats)
{
	struct stats_ops ops = {.opaque = self,
				.send = send_to_guest,
				.response = on_response,
				.response_opaque = self};

	self->take = SIZE_MAX;
	self->got = calloc(1, 1);
	ASSERT_EQ(0, loop__create(&self->loop));
	stats__init(&self->stats, &ops);
}

FIXTURE_TEARDOWN(stats)
{
	stats__destroy(&self->stats);
	loop__destroy(self->loop);
	free(self->got);
}

static void feed(FIXTURE_DATA(stats) * self, const char *text)
{
	stats__feed(&self->stats, text, strlen(text));
}

static const char *report(FIXTURE_DATA(stats) * self)
{
	static char text[320];

	stats__report(&self->stats, text, sizeof(text));
	return text;
}

TEST_F(stats, each_request_is_a_line_and_its_response_is_passed_on)
{
	stats__tick(&self->stats);
	EXPECT_STREQ(KTSTR_STATS_REQUEST "\n", self->sent);
	EXPECT_TRUE(ktstr_json__valid(self->sent, self->sent_length));
	feed(self, "{\"errno\":0,");
	EXPECT_STREQ("", self->got);
	feed(self, "\"args\":{}}\n");
	stats__tick(&self->stats);
	feed(self, "{\"errno\":2}\r\n");
	EXPECT_STREQ("{\"errno\":0,\"args\":{}}\n{\"errno\":2} \n", self->got);
	EXPECT_STREQ(KTSTR_STATS_REQUEST "\n" KTSTR_STATS_REQUEST "\n", self->sent);
	EXPECT_EQ(2, self->stats.responses);
	EXPECT_STREQ("", report(self));
}

TEST_F(stats, nothing_that_a_terminal_obeys_is_passed_on)
{
	stats__tick(&self->stats);
	feed(self, "{\"a\":\"\x7f\xc2\x9b\x31m\xc2\xb5\"\t}\n");
	EXPECT_STREQ("{\"a\":\"???1m\xc2\xb5\"\t}\n", self->got);
	EXPECT_STREQ("", report(self));
}

TEST_F(stats, timer_asks_at_once_and_each_interval)
{
	self->stop_after = 1;
	ASSERT_EQ(0, stats__start(&self->stats, self->loop, 3600000));
	ASSERT_EQ(0, loop__run(self->loop));
	EXPECT_EQ(1, self->stats.requests);
	stats__end(&self->stats);
	EXPECT_EQ(-1, self->stats.timer_fd);
}

static void answer_at_once(void *opaque, uint32_t events)
{
	FIXTURE_DATA(stats) *self = opaque;

	(void)events;
	feed(self, "{}\n");
}

TEST_F(stats, timer_goes_on)
{
	int ends[2];

	self->stop_after = 3;
	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(1, write(ends[1], "", 1));
	/* always ready: whatever is asked is answered before the next request is due */
	ASSERT_EQ(0, loop__add(self->loop, ends[0], 1 /* EPOLLIN */, answer_at_once, self, NULL));
	ASSERT_EQ(0, stats__start(&self->stats, self->loop, 10));
	ASSERT_EQ(0, loop__run(self->loop));
	EXPECT_EQ(3, self->stats.requests);
	EXPECT_GE(self->stats.responses, 2);
	close(ends[0]);
	close(ends[1]);
}

TEST_F(stats, missing_response_is_counted_and_no_second_request_is_sent)
{
	stats__tick(&self->stats);
	stats__tick(&self->stats);
	stats__tick(&self->stats);
	EXPECT_STREQ(KTSTR_STATS_REQUEST "\n", self->sent);
	EXPECT_STREQ("1 requests, and not one response came; 2 times no response within the "
		     "interval",
		     report(self));
	/* late is better than never */
	feed(self, "{\"a\":1}\n");
	EXPECT_STREQ("{\"a\":1}\n", self->got);
	stats__tick(&self->stats);
	EXPECT_EQ(2, self->stats.requests);
}

TEST_F(stats, only_json_objects_are_passed_on)
{
	static const char *const lines[] = {
		"",	 "ok 1 a result",	"{\"a\":}",	    "[1]",    "5",  "null",
		"{} {}", "{\"a\":\"\x1b[2J\"}", "{\"a\":\"\xff\"}", "\"{}\"", "x{}"};
	size_t nr = sizeof(lines) / sizeof(*lines);
	char text[64];

	for (size_t i = 0; i < nr; i++) {
		stats__tick(&self->stats);
		feed(self, lines[i]);
		feed(self, "\n");
	}
	stats__tick(&self->stats);
	stats__feed(&self->stats, "{}\0\n", 4);
	EXPECT_STREQ("", self->got);
	EXPECT_EQ(nr + 1, self->stats.not_json);
	snprintf(text, sizeof(text), "; %zu responses that are no JSON object", nr + 1);
	EXPECT_NE(NULL, strstr(report(self), text));
	stats__tick(&self->stats);
	feed(self, "{}\n");
	EXPECT_STREQ("{}\n", self->got);
}

TEST_F(stats, what_was_not_asked_for_is_not_passed_on)
{
	feed(self, "{\"early\":1}\n");
	stats__tick(&self->stats);
	feed(self, "{\"a\":1}\n{\"second\":1}\n{\"third\":1}\n");
	EXPECT_STREQ("{\"a\":1}\n", self->got);
	EXPECT_STREQ("3 lines that were not asked for", report(self));

	/* The rest of a line that began before the request is not its response. */
	feed(self, "garbage ");
	stats__tick(&self->stats);
	feed(self, "{\"rest\":1}\n");
	EXPECT_STREQ("{\"a\":1}\n", self->got);
	EXPECT_STREQ("4 lines that were not asked for", report(self));
	stats__tick(&self->stats);
	feed(self, "{\"b\":1}\n");
	EXPECT_STREQ("{\"a\":1}\n{\"b\":1}\n", self->got);
}

TEST_F(stats, longest_response_is_passed_on_and_a_longer_one_is_not)
{
	char *text = malloc(STATS_RESPONSE_MAX + 2);

	for (size_t more = 0; more <= 1; more++) {
		size_t length = STATS_RESPONSE_MAX + more;

		memset(text, ' ', length);
		text[0] = '{';
		text[length - 1] = '}';
		text[length] = '\n';
		stats__tick(&self->stats);
		/* in odd pieces */
		for (size_t at = 0; at <= length; at += 4099)
			stats__feed(&self->stats, text + at,
				    length + 1 - at < 4099 ? length + 1 - at : 4099);
	}
	EXPECT_EQ(1, self->stats.responses);
	EXPECT_EQ(STATS_RESPONSE_MAX, self->longest);
	EXPECT_STREQ("1 responses longer than 1 MiB", report(self));
	stats__tick(&self->stats);
	feed(self, "{}\n");
	EXPECT_EQ(2, self->stats.responses);
	free(text);
}

TEST_F(stats, endless_line_takes_no_memory)
{
	char block[65536];

	memset(block, '{', sizeof(block));
	stats__tick(&self->stats);
	for (size_t i = 0; i < 64 * STATS_RESPONSE_MAX / sizeof(block); i++)
		stats__feed(&self->stats, block, sizeof(block));
	EXPECT_LE(self->stats.size, STATS_RESPONSE_MAX);
	EXPECT_EQ(1, self->stats.too_long);
	EXPECT_STREQ("", self->got);
	feed(self, "\n");
	stats__tick(&self->stats);
	feed(self, "{}\n");
	EXPECT_STREQ("{}\n", self->got);
}

/* All that a hostile guest can do: whatever comes, what is passed on is a JSON object in one line.
 */
TEST_F(stats, random_bytes_never_get_through)
{
	static const char *const tokens[] = {"{",  "}", "{}",	  "[",	  "]",	     "\"",
					     ",",  ":", "\\u0d8", "\n",	  "\n",	     "\r",
					     "1e", "-", "\x1b",	  "\xff", "\"a\":1", "null"};
	size_t nr = sizeof(tokens) / sizeof(*tokens);

	srand(1);
	for (int i = 0; i < 200000; i++) {
		self->sent_length = 0;
		stats__tick(&self->stats);
		for (int n = rand() % 8; n; n--)
			feed(self, tokens[(size_t)rand() % nr]);
		if (i % 64 == 0)
			stats__feed(&self->stats, "\0", 1);
	}
	EXPECT_GT(self->stats.not_json, 1000);
	EXPECT_GT(self->stats.responses, 100);
	EXPECT_GT(self->stats.unasked, 1000);
	EXPECT_LE(self->stats.responses + self->stats.not_json, self->stats.requests);
	for (char *at = self->got, *end; (end = strchr(at, '\n')); at = end + 1) {
		ASSERT_EQ('{', *at);
		ASSERT_TRUE(ktstr_json__valid(at, (size_t)(end - at)));
		ASSERT_EQ(NULL, memchr(at, '\r', (size_t)(end - at)));
	}
}

TEST_F(stats, nothing_happens_after_the_end)
{
	stats__tick(&self->stats);
	stats__end(&self->stats);
	feed(self, "{}\n{}\n");
	stats__tick(&self->stats);
	EXPECT_STREQ("", self->got);
	EXPECT_STREQ("1 requests, and not one response came", report(self));
	ASSERT_EQ(0, stats__start(&self->stats, self->loop, 1));
	EXPECT_EQ(-1, self->stats.timer_fd);
}

TEST_F(stats, half_a_request_is_the_last_one)
{
	self->take = 5;
	stats__tick(&self->stats);
	stats__tick(&self->stats);
	EXPECT_STREQ("{\"req", self->sent);
	EXPECT_STREQ("1 requests, and not one response came; 1 requests that the guest's port did "
		     "not take",
		     report(self));
}

TEST_F(stats, report_is_cut_to_its_buffer)
{
	char text[8] = "xxxxxxx";

	feed(self, "\n");
	stats__tick(&self->stats);
	feed(self, "\n");
	EXPECT_EQ(strlen(report(self)), stats__report(&self->stats, text, 3));
	EXPECT_STREQ("1 ", text);
	EXPECT_EQ('x', text[3]);
}

TEST_HARNESS_MAIN
