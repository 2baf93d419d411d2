// SPDX-License-Identifier: GPL-2.0-only
/* Frames of the emulated KVM host: what arrives in pieces, damaged or not at all. */
#include "vmm/emulated/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

FIXTURE(wire)
{
	struct wire_buf from, to;
	struct wire_frame frame;
};

FIXTURE_SETUP(wire)
{
	memset(self, 0, sizeof(*self));
}

FIXTURE_TEARDOWN(wire)
{
	wire_buf__free(&self->from);
	wire_buf__free(&self->to);
}

TEST_F(wire, frame_that_comes_byte_by_byte_is_whole_only_at_the_end)
{
	size_t length;

	ASSERT_EQ(0, wire__put(&self->from, WIRE_STDOUT, "hello", 5));
	length = wire_buf__used(&self->from);
	for (size_t i = 0; i < length; i++) {
		EXPECT_EQ(0, wire__peek(&self->to, &self->frame));
		ASSERT_EQ(0, wire__append(&self->to, self->from.data + i, 1));
	}
	ASSERT_EQ(1, wire__peek(&self->to, &self->frame));
	EXPECT_EQ(WIRE_STDOUT, self->frame.type);
	ASSERT_EQ(5, self->frame.length);
	EXPECT_EQ(0, memcmp(self->frame.payload, "hello", 5));
	wire__drop(&self->to, &self->frame);
	EXPECT_EQ(0, wire_buf__used(&self->to));
}

TEST_F(wire, frames_keep_their_order_and_bounds)
{
	for (uint32_t i = 0; i < 1000; i++)
		ASSERT_EQ(0, wire__put(&self->from, i, &i, i % 4));
	for (uint32_t i = 0; i < 1000; i++) {
		ASSERT_EQ(1, wire__peek(&self->from, &self->frame));
		ASSERT_EQ(i, self->frame.type);
		ASSERT_EQ(i % 4, self->frame.length);
		wire__drop(&self->from, &self->frame);
	}
	EXPECT_EQ(0, wire__peek(&self->from, &self->frame));
}

TEST_F(wire, wrong_magic_is_refused)
{
	ASSERT_EQ(0, wire__put(&self->from, WIRE_EXIT, "1234", 4));
	self->from.data[self->from.start] ^= 1;
	EXPECT_EQ(-EPROTO, wire__peek(&self->from, &self->frame));
}

TEST_F(wire, length_above_the_limit_is_refused_before_it_is_waited_for)
{
	struct wire_header header = {WIRE_MAGIC, WIRE_STDIN, WIRE_MAX_PAYLOAD + 1};

	ASSERT_EQ(0, wire__append(&self->from, &header, sizeof(header)));
	EXPECT_EQ(-EPROTO, wire__peek(&self->from, &self->frame));
	EXPECT_EQ(-E2BIG, wire__put(&self->to, WIRE_STDIN, NULL, WIRE_MAX_PAYLOAD + 1ul));
	EXPECT_EQ(0, wire_buf__used(&self->to));
}

TEST_F(wire, full_pipe_keeps_the_rest_and_loses_nothing)
{
	static uint8_t data[300000], back[sizeof(data)];
	size_t at = 0;
	int fds[2];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK | O_CLOEXEC));
	ASSERT_EQ(0, wire__append(&self->from, data, sizeof(data)));
	ASSERT_EQ(0, wire__flush(&self->from, fds[1]));
	EXPECT_LT(0, wire_buf__used(&self->from));
	while (at < sizeof(back)) {
		ssize_t n = wire__fill(&self->to, fds[0]);

		if (n == -EAGAIN) {
			ASSERT_EQ(0, wire__flush(&self->from, fds[1]));
			continue;
		}
		ASSERT_LT(0, n);
		ASSERT_LE(at + (size_t)n, sizeof(back));
		memcpy(back + at, self->to.data + self->to.start, (size_t)n);
		self->to.start += (size_t)n;
		at += (size_t)n;
	}
	EXPECT_EQ(0, memcmp(data, back, sizeof(data)));
	close(fds[1]);
	EXPECT_EQ(0, wire__fill(&self->to, fds[0]));
	close(fds[0]);
}

TEST_F(wire, reader_that_is_gone_is_an_error)
{
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_NONBLOCK | O_CLOEXEC));
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, wire__put(&self->from, WIRE_READY, NULL, 0));
	EXPECT_EQ(-EPIPE, wire__flush(&self->from, fds[1]));
	close(fds[1]);
}

TEST_HARNESS_MAIN
