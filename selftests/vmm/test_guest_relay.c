// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1's relay between the host's port and the scheduler's statistics socket: a socket pair is the
 * port, the test is host and scheduler. Each request has one line as its answer, whatever happens.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ktstr/json.h>

#include "guest/relay.h"

FIXTURE(relay)
{
	char dir[32], path[64];
	int epoll, host, listener, client;
	struct relay relay;
	char *text; /* what the host got last */
	unsigned int wakes;
};

#define TEXT_MAX (4u << 20)

FIXTURE_SETUP(relay)
{
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	strcpy(self->dir, "/tmp/ktstr-relay-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/stats", self->dir);
	self->text = malloc(TEXT_MAX);
	self->listener = self->client = -1;
	self->epoll = epoll_create1(0);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
	self->host = ends[0];
	relay__init(&self->relay, self->epoll, ends[1], self->path);
	relay__set_scheduler(&self->relay, true);
}

FIXTURE_TEARDOWN(relay)
{
	relay__close(&self->relay);
	close(self->host);
	close(self->client);
	close(self->listener);
	close(self->epoll);
	unlink(self->path);
	rmdir(self->dir);
	free(self->text);
}

/* Deals with all that is ready. Level-triggered: a relay that spins never comes out of it. */
static void settle(FIXTURE_DATA(relay) * self)
{
	struct epoll_event events[8];
	int n;

	for (self->wakes = 0; self->wakes < 100000; self->wakes++) {
		n = epoll_wait(self->epoll, events, 8, 0);
		if (n <= 0)
			return;
		for (int i = 0; i < n; i++)
			if (!relay__event(&self->relay, events[i].data.ptr, events[i].events))
				abort();
	}
	fprintf(stderr, "# the relay spins\n");
	abort();
}

static void serve(FIXTURE_DATA(relay) * self)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(addr.sun_path, self->path);
	unlink(self->path);
	if (self->listener >= 0)
		close(self->listener);
	self->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (bind(self->listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(self->listener, 4))
		abort();
}

static bool accept_client(FIXTURE_DATA(relay) * self)
{
	if (self->client >= 0)
		close(self->client);
	self->client = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK);
	return self->client >= 0;
}

static void send_text(int fd, const char *text)
{
	if (send(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		abort();
}

/* What is there to read; "" for nothing. */
static const char *receive(FIXTURE_DATA(relay) * self, int fd)
{
	ssize_t n = recv(fd, self->text, TEXT_MAX - 1, 0);

	self->text[n < 0 ? 0 : n] = '\0';
	return self->text;
}

static void ask(FIXTURE_DATA(relay) * self, const char *text)
{
	send_text(self->host, text);
	settle(self);
}

/* The host got @lines lines of JSON that say @errnum, and nothing else. */
static bool got_errors(FIXTURE_DATA(relay) * self, int lines, int errnum)
{
	uint64_t n;

	receive(self, self->host);
	for (char *at = self->text, *end; lines; lines--, at = end + 1) {
		end = strchr(at, '\n');
		if (!end)
			return false;
		*end = '\0';
		if (ktstr_json__u64(at, "/errno", &n) || n != (uint64_t)errnum)
			return false;
		if (lines == 1)
			return !end[1];
	}
	return !self->text[0];
}

TEST_F(relay, request_and_response_go_through_in_pieces)
{
	serve(self);
	ask(self, "{\"req\":");
	/* half a line is nobody's business */
	EXPECT_FALSE(accept_client(self));
	ask(self, "1}\n");
	ASSERT_TRUE(accept_client(self));
	settle(self);
	EXPECT_STREQ("{\"req\":1}\n", receive(self, self->client));
	send_text(self->client, "{\"errno\":");
	settle(self);
	EXPECT_STREQ("{\"errno\":", receive(self, self->host));
	send_text(self->client, "0}\n");
	settle(self);
	EXPECT_STREQ("0}\n", receive(self, self->host));
	/* the connection is kept */
	ask(self, "a\nb\n");
	EXPECT_STREQ("a\nb\n", receive(self, self->client));
	EXPECT_FALSE(accept_client(self));
}

TEST_F(relay, without_a_server_each_request_gets_an_error)
{
	ask(self, "a\nb\nc");
	EXPECT_TRUE(got_errors(self, 2, ENOENT));
	EXPECT_NE(NULL, strstr(self->text, "serves no statistics"));
	ask(self, "\n");
	EXPECT_TRUE(got_errors(self, 1, ENOENT));
	/* one that died left its socket behind */
	serve(self);
	close(self->listener);
	self->listener = -1;
	ask(self, "d\n");
	EXPECT_TRUE(got_errors(self, 1, ECONNREFUSED));
	/* and there it is */
	serve(self);
	ask(self, "e\n");
	ASSERT_TRUE(accept_client(self));
	EXPECT_STREQ("e\n", receive(self, self->client));
}

TEST_F(relay, without_a_scheduler_nobody_is_asked)
{
	serve(self);
	relay__set_scheduler(&self->relay, false);
	ask(self, "a\n");
	EXPECT_TRUE(got_errors(self, 1, ESRCH));
	EXPECT_FALSE(accept_client(self));
	relay__set_scheduler(&self->relay, true);
	ask(self, "b\nc\n");
	ASSERT_TRUE(accept_client(self));
	/* it goes while it is asked */
	relay__set_scheduler(&self->relay, false);
	EXPECT_TRUE(got_errors(self, 2, ESRCH));
	EXPECT_NE(NULL, strstr(self->text, "the scheduler ended"));
}

TEST_F(relay, server_that_closes_is_connected_to_anew)
{
	serve(self);
	ask(self, "a\n");
	ASSERT_TRUE(accept_client(self));
	send_text(self->client, "A\n");
	close(self->client);
	self->client = -1;
	settle(self);
	EXPECT_STREQ("A\n", receive(self, self->host));
	ask(self, "b\n");
	ASSERT_TRUE(accept_client(self));
	EXPECT_STREQ("b\n", receive(self, self->client));
	send_text(self->client, "B\n");
	settle(self);
	EXPECT_STREQ("B\n", receive(self, self->host));
}

TEST_F(relay, server_that_closes_without_an_answer_is_answered_for)
{
	serve(self);
	ask(self, "a\nb\n");
	ASSERT_TRUE(accept_client(self));
	receive(self, self->client);
	send_text(self->client, "A\n");
	close(self->client);
	self->client = -1;
	settle(self);
	receive(self, self->host);
	EXPECT_EQ(0, strncmp(self->text, "A\n{\"errno\":104,", 15)) TH_LOG("%s", self->text);
	EXPECT_NE(NULL, strstr(self->text, "closed the connection"));
	EXPECT_EQ('\n', self->text[strlen(self->text) - 1]);
}

TEST_F(relay, response_that_breaks_off_ends_its_line_and_is_the_answer)
{
	serve(self);
	ask(self, "a\n");
	ASSERT_TRUE(accept_client(self));
	receive(self, self->client);
	send_text(self->client, "{\"half");
	close(self->client);
	self->client = -1;
	settle(self);
	EXPECT_STREQ("{\"half\n", receive(self, self->host));
	ask(self, "b\n");
	ASSERT_TRUE(accept_client(self));
	send_text(self->client, "B\n");
	settle(self);
	EXPECT_STREQ("B\n", receive(self, self->host));
}

TEST_F(relay, full_backlog_is_an_error_and_not_a_wait)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fds[8], n = 0;

	serve(self);
	strcpy(addr.sun_path, self->path);
	for (; n < 8; n++) {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fds[n], (struct sockaddr *)&addr, sizeof(addr)))
			break;
	}
	ASSERT_LT(n, 8);
	ask(self, "a\n");
	EXPECT_TRUE(got_errors(self, 1, EAGAIN));
	for (; n >= 0; n--)
		close(fds[n]);
}

TEST_F(relay, request_that_is_too_long_is_refused_and_the_next_one_is_not)
{
	char big[3 * RELAY_REQUEST_MAX + 1];

	serve(self);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ask(self, big);
	EXPECT_STREQ("", receive(self, self->host));
	ask(self, "end\nnext\n");
	EXPECT_TRUE(got_errors(self, 1, EMSGSIZE));
	ASSERT_TRUE(accept_client(self));
	EXPECT_STREQ("next\n", receive(self, self->client));
	/* the longest */
	big[RELAY_REQUEST_MAX - 1] = '\n';
	big[RELAY_REQUEST_MAX] = '\0';
	ask(self, big);
	EXPECT_STREQ(big, receive(self, self->client));
}

/* Bytes that are in the relay's hands, whatever the sockets hold. */
static size_t held(const FIXTURE_DATA(relay) * self)
{
	return self->relay.responses_end - self->relay.responses_start +
	       self->relay.requests_length;
}

TEST_F(relay, slow_host_stops_the_scheduler_and_loses_nothing)
{
	size_t sent = 0, got = 0, total = 3u << 20;
	char block[4096];
	int idle = 0;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)('a' + i % 26);
	serve(self);
	ask(self, "a\n");
	ASSERT_TRUE(accept_client(self));
	while (idle < 3) {
		size_t length = total - sent < sizeof(block) ? total - sent : sizeof(block);
		ssize_t n = length ? send(self->client, block, length, 0) : -1;

		idle = n < 0 ? idle + 1 : 0;
		sent += n > 0 ? (size_t)n : 0;
		settle(self);
		ASSERT_LE(held(self), sizeof(self->relay.responses));
		/* A block is sent whole or, at the end, not at all; the pattern goes on. */
		ASSERT_TRUE(n < 0 || n == (ssize_t)length);
	}
	/* Everybody waits for the host, and nobody is woken for it. */
	ASSERT_LT(sent, total);
	settle(self);
	EXPECT_EQ(0, self->wakes);
	/* It closes meanwhile, which wakes nobody either. */
	close(self->client);
	self->client = -1;
	settle(self);
	EXPECT_EQ(0, self->wakes);
	for (;;) {
		receive(self, self->host);
		if (!self->text[0])
			break;
		for (const char *at = self->text; *at && *at != '\n'; at++, got++)
			ASSERT_EQ(block[got % sizeof(block)], *at);
		settle(self);
	}
	EXPECT_EQ(sent, got);
	EXPECT_EQ(-1, self->relay.socket.fd);
}

TEST_F(relay, slow_scheduler_stops_the_host_and_loses_nothing)
{
	size_t sent = 0, got = 0;
	char line[32];
	int length;

	serve(self);
	for (;;) {
		length = snprintf(line, sizeof(line), "request %07zu\n", sent);
		if (send(self->host, line, (size_t)length, 0) != length)
			break;
		sent++;
		settle(self);
		ASSERT_LE(held(self), sizeof(self->relay.requests));
	}
	ASSERT_GT(sent, RELAY_REQUEST_MAX / sizeof(line));
	settle(self);
	EXPECT_EQ(0, self->wakes);
	ASSERT_TRUE(accept_client(self));
	for (;;) {
		size_t n = strlen(receive(self, self->client));

		if (!n)
			break;
		got += n;
		settle(self);
	}
	EXPECT_EQ(sent * (size_t)length, got);
	/* all of them are still to be answered */
	close(self->client);
	self->client = -1;
	got = 0;
	do {
		settle(self);
		receive(self, self->host);
		for (const char *at = self->text; *at; at++)
			got += *at == '\n';
	} while (self->text[0]);
	EXPECT_EQ(sent, got);
}

TEST_F(relay, server_that_closes_with_requests_on_their_way_answers_none_twice)
{
	size_t sent = 0, got = 0;
	char line[64];

	serve(self);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	/* until a line is stuck halfway in the socket and others are behind it */
	while (send(self->host, line, sizeof(line), 0) == (ssize_t)sizeof(line)) {
		sent++;
		settle(self);
	}
	ASSERT_TRUE(accept_client(self));
	/* nobody listens any more: those that were not sent find no server */
	close(self->listener);
	self->listener = -1;
	close(self->client);
	self->client = -1;
	do {
		settle(self);
		receive(self, self->host);
		for (const char *at = self->text; *at; at++)
			got += *at == '\n';
	} while (self->text[0]);
	EXPECT_EQ(sent, got);
}

/* A socket that holds so little that a long line is stuck halfway. */
TEST_F(relay, request_that_is_stuck_halfway_does_not_begin_the_next_connection)
{
	int small = 1, sent = 0, got = 0;
	char line[4001];

	serve(self);
	ask(self, "first\n");
	ASSERT_TRUE(accept_client(self));
	ASSERT_EQ(0,
		  setsockopt(self->relay.socket.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	memset(line, 'x', sizeof(line) - 1);
	line[0] = '<';
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	for (; sent < 100 && !self->relay.sent; sent++)
		ask(self, line);
	ASSERT_GT(self->relay.sent, 0);
	/* a whole one behind it */
	ask(self, "<\n");
	sent++;
	close(self->client);
	self->client = -1;
	settle(self);
	ASSERT_TRUE(accept_client(self));
	EXPECT_STREQ("<\n", receive(self, self->client));
	send_text(self->client, "answer\n");
	settle(self);
	receive(self, self->host);
	for (const char *at = self->text; *at; at++)
		got += *at == '\n';
	EXPECT_EQ(sent + 1, got);
	EXPECT_STREQ("\nanswer\n", self->text + strlen(self->text) - 8);
}

TEST_F(relay, server_that_reads_no_more_is_heard_to_its_end)
{
	serve(self);
	ask(self, "a\n");
	ASSERT_TRUE(accept_client(self));
	ASSERT_EQ(0, shutdown(self->client, SHUT_RD));
	ask(self, "b\n");
	EXPECT_STREQ("", receive(self, self->host));
	EXPECT_FALSE(accept4(self->listener, NULL, NULL, 0) >= 0);
	send_text(self->client, "A\n");
	settle(self);
	EXPECT_STREQ("A\n", receive(self, self->host));
	close(self->client);
	self->client = -1;
	settle(self);
	EXPECT_TRUE(got_errors(self, 1, ECONNRESET));

	/* The next one is asked as ever. With nothing to be heard, it is left at once. */
	ask(self, "c\n");
	ASSERT_TRUE(accept_client(self));
	EXPECT_STREQ("c\n", receive(self, self->client));
	send_text(self->client, "C\n");
	settle(self);
	EXPECT_STREQ("C\n", receive(self, self->host));
	ASSERT_EQ(0, shutdown(self->client, SHUT_RD));
	ask(self, "d\ne\n");
	EXPECT_TRUE(got_errors(self, 1, EPIPE));
	ASSERT_TRUE(accept_client(self));
	EXPECT_STREQ("e\n", receive(self, self->client));
}

TEST_F(relay, host_that_closes_ends_the_relay)
{
	serve(self);
	ask(self, "a\n");
	ASSERT_TRUE(accept_client(self));
	close(self->host);
	self->host = -1;
	settle(self);
	EXPECT_EQ(-1, self->relay.port.fd);
	EXPECT_EQ(-1, self->relay.socket.fd);
	/* the scheduler sees it, too */
	receive(self, self->client);
	EXPECT_EQ(0, recv(self->client, self->text, 1, 0));
}

TEST_F(relay, no_port_is_no_relay)
{
	relay__close(&self->relay);
	relay__init(&self->relay, self->epoll, -1, self->path);
	relay__set_scheduler(&self->relay, true);
	relay__set_scheduler(&self->relay, false);
	settle(self);
	EXPECT_EQ(0, self->wakes);
	relay__close(&self->relay);
}

TEST_HARNESS_MAIN
