// SPDX-License-Identifier: GPL-2.0-only
/* A test body's way to the scheduler's statistics: answers, errors, and never longer than its time.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ktstr/stats.h>

#define LONG_MS 60000u /* never waited for where all is right */

FIXTURE(client)
{
	char dir[32], scx[40], root[48], path[64];
	int listener, start;
	pid_t server;
	char buf[256];
};

FIXTURE_SETUP(client)
{
	strcpy(self->dir, "/tmp/ktstr-client-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->scx, sizeof(self->scx), "%s/scx", self->dir);
	snprintf(self->root, sizeof(self->root), "%s/root", self->scx);
	snprintf(self->path, sizeof(self->path), "%s/stats", self->root);
	self->listener = -1;
	strcpy(self->buf, "before");
}

FIXTURE_TEARDOWN(client)
{
	if (self->server > 0) {
		kill(self->server, SIGKILL);
		waitpid(self->server, NULL, 0);
	}
	unlink(self->path);
	rmdir(self->root);
	rmdir(self->scx);
	rmdir(self->dir);
}

static void make_socket(FIXTURE_DATA(client) * self)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	mkdir(self->scx, 0755);
	mkdir(self->root, 0755);
	strcpy(addr.sun_path, self->path);
	self->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(self->listener, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
}

/* One client, one line; then @answer, and (@hold) the connection stays open. */
static void __attribute__((noreturn))
serve_one(FIXTURE_DATA(client) * self, const char *expected, const char *answer, bool hold)
{
	char request[256];
	size_t used = 0;
	int fd;

	listen(self->listener, 1);
	fd = accept(self->listener, NULL, NULL);
	while (!memchr(request, '\n', used)) {
		ssize_t n = read(fd, request + used, sizeof(request) - used);

		if (n <= 0)
			_exit(1);
		used += (size_t)n;
	}
	if (used != strlen(expected) || memcmp(request, expected, used))
		_exit(2);
	/* byte by byte */
	for (; *answer; answer++)
		if (send(fd, answer, 1, MSG_NOSIGNAL) != 1)
			_exit(3);
	while (hold)
		pause();
	_exit(0);
}

static void start(FIXTURE_DATA(client) * self, const char *answer, bool hold)
{
	make_socket(self);
	listen(self->listener, 1);
	self->server = fork();
	if (!self->server)
		serve_one(self, KTSTR_STATS_REQUEST "\n", answer, hold);
	close(self->listener);
}

static int request(FIXTURE_DATA(client) * self, size_t size, uint32_t timeout_ms)
{
	return ktstr_stats__request(self->path, KTSTR_STATS_REQUEST, self->buf, size, timeout_ms);
}

TEST_F(client, response_comes_without_its_newline)
{
	start(self, "{\"errno\":0,\"args\":{}}\nmore", true);
	EXPECT_EQ(21, request(self, sizeof(self->buf), LONG_MS));
	EXPECT_STREQ("{\"errno\":0,\"args\":{}}", self->buf);
}

TEST_F(client, errno_of_the_response_is_the_result)
{
	start(self, "{\"errno\":22,\"args\":{\"resp\":\"no\"}}\n", true);
	EXPECT_EQ(-EINVAL, request(self, sizeof(self->buf), LONG_MS));
	EXPECT_STREQ("{\"errno\":22,\"args\":{\"resp\":\"no\"}}", self->buf);
}

TEST_F(client, what_is_no_response_is_refused)
{
	start(self, "{\"args\":{}}\n", true);
	EXPECT_EQ(-EBADMSG, request(self, sizeof(self->buf), LONG_MS));
}

TEST_F(client, longest_response_fits)
{
	start(self, "{\"errno\":0}\n", true);
	EXPECT_EQ(11, request(self, 12, LONG_MS));
}

TEST_F(client, longer_one_does_not)
{
	start(self, "{\"errno\":0}\n", true);
	EXPECT_EQ(-ENOSPC, request(self, 11, LONG_MS));
	EXPECT_STREQ("", self->buf);
}

TEST_F(client, response_that_breaks_off_is_none)
{
	start(self, "{\"errno\":0", false);
	EXPECT_EQ(-ECONNRESET, request(self, sizeof(self->buf), LONG_MS));
	EXPECT_STREQ("", self->buf);
}

TEST_F(client, server_that_says_nothing_is_not_waited_for_longer)
{
	start(self, "{\"errno\":0", true);
	EXPECT_EQ(-ETIMEDOUT, request(self, sizeof(self->buf), 50));
	EXPECT_STREQ("", self->buf);
}

TEST_F(client, no_server_is_not_waited_for_longer)
{
	EXPECT_EQ(-ENOENT, request(self, sizeof(self->buf), 50));
	make_socket(self);
	EXPECT_EQ(-ECONNREFUSED, request(self, sizeof(self->buf), 50));
	close(self->listener);
	EXPECT_EQ(-ECONNREFUSED, request(self, sizeof(self->buf), 0));
}

TEST_F(client, path_that_no_socket_can_have_is_refused)
{
	char path[200];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	EXPECT_EQ(-EINVAL, ktstr_stats__request(path, "", self->buf, sizeof(self->buf), 50));
	EXPECT_EQ(-EINVAL, request(self, 0, 50));
}

/* True when process @pid sleeps: it waits for something. */
static bool sleeps(pid_t pid)
{
	char path[64], text[512], *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	end = strrchr(text, ')');
	return end && end[1] == ' ' && end[2] == 'S';
}

/* The server comes step by step, each when the client waits for it. */
TEST_F(client, server_that_comes_later_is_waited_for)
{
	pid_t client = fork();
	int status;

	ASSERT_GE(client, 0);
	if (!client)
		_exit(request(self, sizeof(self->buf), LONG_MS) == 11 ? 0 : 1);
	while (!sleeps(client))
		usleep(1000);
	ASSERT_EQ(0, mkdir(self->scx, 0755));
	while (!sleeps(client))
		usleep(1000);
	ASSERT_EQ(0, mkdir(self->root, 0755));
	while (!sleeps(client))
		usleep(1000);
	start(self, "{\"errno\":0}\n", true);
	ASSERT_EQ(client, waitpid(client, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
