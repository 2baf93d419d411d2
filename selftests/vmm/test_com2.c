// SPDX-License-Identifier: GPL-2.0-only
/* COM2: what PID 1 writes there, escaped by the guest, read by the host. */
#include "kselftest_harness.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ktstr/proto.h>

#include "guest/com2_out.h"
#include "vmm/com2.h"

struct text {
	char data[400000];
	size_t length;
};

static void append(void *opaque, const char *data, size_t length)
{
	struct text *text = opaque;

	if (length > sizeof(text->data) - 1 - text->length)
		length = sizeof(text->data) - 1 - text->length;
	memcpy(text->data + text->length, data, length);
	text->length += length;
	text->data[text->length] = '\0';
}

FIXTURE(com2)
{
	struct com2 com2;
	struct text *out, *wire;
};

FIXTURE_SETUP(com2)
{
	self->out = calloc(1, sizeof(*self->out));
	self->wire = calloc(1, sizeof(*self->wire));
	ASSERT_EQ(0, com2__init(&self->com2, append, self->out));
}

FIXTURE_TEARDOWN(com2)
{
	com2__destroy(&self->com2);
	free(self->out);
	free(self->wire);
}

static void feed(struct com2 *com2, const char *text)
{
	com2__feed(com2, text, strlen(text));
}

/* The test's output through the guest's encoder, in pieces of @piece bytes. */
static void write_output(struct text *wire, const char *data, size_t length, size_t piece)
{
	struct com2_out *out = calloc(1, sizeof(*out));

	append(wire, KTSTR_COM2_RESULT_START "\n", strlen(KTSTR_COM2_RESULT_START) + 1);
	for (size_t at = 0; at < length; at += piece)
		com2_out__write(out, data + at, length - at < piece ? length - at : piece, append,
				wire);
	com2_out__end(out, append, wire);
	append(wire, KTSTR_COM2_RESULT_END "\n", strlen(KTSTR_COM2_RESULT_END) + 1);
	free(out);
}

TEST_F(com2, first_disk_that_is_not_mounted_is_told)
{
	feed(&self->com2, "ktstr-init: hello\n");
	EXPECT_FALSE(self->com2.mount_failed);
	feed(&self->com2, "KTSTR_MOUNT=/mnt: mount of /dev/vda: no\nKTSTR_MOUNT=second\n");
	EXPECT_TRUE(self->com2.mount_failed);
	EXPECT_STREQ("/mnt: mount of /dev/vda: no", self->com2.mount_text);
}

TEST_F(com2, hostile_output_comes_back_unchanged)
{
	static const char output[] =
		"plain\n"
		"KTSTR_EXIT=0\n" KTSTR_COM2_RESULT_END "\n" KTSTR_COM2_RESULT_START "\n"
		"PANIC: not really\n"
		"\\\n"
		"\\\\ backslashes\n"
		"KTSTR_SKIP=no\nKTSTR_SCHED=2 no\nktstr-init: no\nKTSTR_MOUNT=no\n"
		"\n\n"
		"KTSTR_EXIT=3";

	for (size_t piece = 1; piece <= sizeof(output); piece++) {
		struct com2 com2;

		self->wire->length = self->out->length = 0;
		ASSERT_EQ(0, com2__init(&com2, append, self->out));
		write_output(self->wire, output, sizeof(output) - 1, piece);
		com2__feed(&com2, self->wire->data, self->wire->length);
		com2__end(&com2);
		ASSERT_STREQ(output, self->out->data);
		ASSERT_FALSE(com2.have_exit);
		ASSERT_FALSE(com2.panicked);
		ASSERT_EQ(0, com2.sched_kind);
		ASSERT_TRUE(com2.result_ended);
		com2__destroy(&com2);
	}
	EXPECT_FALSE(self->com2.mount_failed);
}

TEST_F(com2, long_lines_and_missing_newlines_come_back_unchanged)
{
	static const size_t lengths[] = {0, 1, 4095, 4096, 4097, 8192, 8193, 100000};
	char *data = malloc(100002);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (int newline = 0; newline < 2; newline++) {
			struct com2 com2;

			memset(data, 'a', lengths[i]);
			data[lengths[i]] = newline ? '\n' : '\0';
			data[lengths[i] + (size_t)newline] = '\0';
			self->wire->length = self->out->length = 0;
			self->out->data[0] = '\0';
			ASSERT_EQ(0, com2__init(&com2, append, self->out));
			write_output(self->wire, data, strlen(data), 777);
			for (size_t at = 0; at < self->wire->length; at += 100)
				com2__feed(&com2, self->wire->data + at,
					   self->wire->length - at < 100 ? self->wire->length - at
									 : 100);
			com2__end(&com2);
			ASSERT_EQ(strlen(data), self->out->length) TH_LOG("length %zu", lengths[i]);
			ASSERT_STREQ(data, self->out->data);
			com2__destroy(&com2);
		}
	}
	free(data);
}

TEST_F(com2, a_line_longer_than_the_buffer_stays_one_line)
{
	feed(&self->com2, KTSTR_COM2_RESULT_START "\n");
	for (int i = 0; i < 3 * (int)COM2_LINE / 10; i++)
		feed(&self->com2, "0123456789");
	feed(&self->com2, "\n" KTSTR_COM2_RESULT_END "\n");
	EXPECT_EQ(3 * COM2_LINE / 10 * 10 + 1, self->out->length);
	EXPECT_EQ(self->out->data + self->out->length - 1, strchr(self->out->data, '\n'));
}

TEST_F(com2, result_skip_reason_and_exit_code_are_read)
{
	feed(&self->com2, "ktstr-init: step 1 \n" KTSTR_COM2_RESULT_START "\nout\n"
			  "ktstr-init: scheduler: hello\n" KTSTR_COM2_RESULT_END "\n"
			  "KTSTR_SKIP=needs two nodes\nKTSTR_SCHED=3 exited with code 0\n"
			  "KTSTR_EXIT=143\n");
	com2__end(&self->com2);
	EXPECT_STREQ("out\n", self->out->data);
	EXPECT_TRUE(self->com2.result_ended);
	EXPECT_STREQ("needs two nodes", self->com2.skip_reason);
	EXPECT_EQ(KTSTR_SCHED_STOPPED, self->com2.sched_kind);
	EXPECT_STREQ("exited with code 0", self->com2.sched_text);
	EXPECT_TRUE(self->com2.have_exit);
	EXPECT_EQ(143, self->com2.exit_code);
	EXPECT_NE(NULL, strstr(self->com2.log, "ktstr-init: scheduler: hello\n"));
}

TEST_F(com2, exit_codes_out_of_range_are_no_exit)
{
	static const char *const bad[] = {
		"KTSTR_EXIT=\n",   "KTSTR_EXIT=256\n",	       "KTSTR_EXIT=-1\n",
		"KTSTR_EXIT=1x\n", "KTSTR_EXIT=00000000000\n", " KTSTR_EXIT=1\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		feed(&self->com2, bad[i]);
		EXPECT_FALSE(self->com2.have_exit) TH_LOG("%s", bad[i]);
	}
	feed(&self->com2, "KTSTR_EXIT=7\nKTSTR_EXIT=0\n");
	EXPECT_EQ(7, self->com2.exit_code);
}

TEST_F(com2, panic_is_kept_with_its_backtrace)
{
	feed(&self->com2,
	     "ktstr-init: x\nPANIC: PID 1 got SIGSEGV\n/init(+0x12)[0x34]\n/init(+0x5)");
	com2__end(&self->com2);
	EXPECT_TRUE(self->com2.panicked);
	EXPECT_STREQ("PANIC: PID 1 got SIGSEGV\n/init(+0x12)[0x34]\n/init(+0x5)\n",
		     self->com2.panic);
}

TEST_F(com2, panic_within_the_output_is_seen)
{
	feed(&self->com2, KTSTR_COM2_RESULT_START "\nout\n\nPANIC: PID 1 got SIGBUS\nbt\n");
	com2__end(&self->com2);
	EXPECT_TRUE(self->com2.panicked);
	EXPECT_FALSE(self->com2.result_ended);
	EXPECT_STREQ("out\n\n", self->out->data);
}

TEST_F(com2, memory_is_bounded_and_the_newest_is_kept)
{
	char line[40] = "ktstr-init: line 0000000\n";

	for (int i = 0; i < 100000; i++) {
		snprintf(line, sizeof(line), "ktstr-init: line %07d\n", i);
		feed(&self->com2, line);
	}
	EXPECT_LE(self->com2.log_length, (size_t)COM2_LOG);
	EXPECT_GE(self->com2.log_length, (size_t)COM2_LOG / 2);
	EXPECT_EQ(100000 * strlen(line), self->com2.log_length + self->com2.log_dropped);
	EXPECT_STREQ("ktstr-init: line 0099999\n",
		     self->com2.log + self->com2.log_length - strlen(line));
	feed(&self->com2, "PANIC: x\n");
	for (int i = 0; i < 10000; i++)
		feed(&self->com2, line);
	EXPECT_LE(strlen(self->com2.panic), (size_t)COM2_PANIC);
}

TEST_HARNESS_MAIN
