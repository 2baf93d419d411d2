// SPDX-License-Identifier: GPL-2.0-only
/* One request to the scheduler's statistics socket, and one response, within a time. */
#include <ktstr/stats.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A socket that is bound listens right after that, which the kernel has no event for. */
#define LISTEN_TICK_MS 10

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

static int left_ms(uint64_t deadline_ms)
{
	uint64_t now = now_ms();

	if (now >= deadline_ms)
		return 0;
	return deadline_ms - now > INT_MAX ? INT_MAX : (int)(deadline_ms - now);
}

/* Until @fd is ready for @events. -ETIMEDOUT. */
static int wait_fd(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	int n;

	do
		n = poll(&pfd, 1, left_ms(deadline_ms));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

/* Watches the nearest directory of @path that exists. Returns the length of its name, 0: none. */
static size_t watch_nearest(int inotify, const char *path)
{
	char dir[PATH_MAX];
	size_t n = strlen(path);

	memcpy(dir, path, n + 1);
	for (char *slash = strrchr(dir, '/'); slash; slash = strrchr(dir, '/')) {
		bool root = slash == dir;

		slash[root] = '\0';
		if (inotify_add_watch(inotify, dir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0)
			return strlen(dir);
		if (root)
			break;
	}
	return 0;
}

/* Whatever of @path appears from here on is an event: nothing below what is watched exists. */
static void watch(int inotify, const char *path)
{
	size_t before, now = 0;

	if (inotify < 0)
		return;
	do {
		before = now;
		now = watch_nearest(inotify, path);
	} while (now != before);
}

static int try_connect(int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memcpy(addr.sun_path, path, strlen(path) + 1);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

/* Connects as soon as somebody listens. What it was that failed last, when nobody does in time. */
static int connect_in_time(int fd, const char *path, uint64_t deadline_ms)
{
	int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), ret;
	char events[4096];

	for (;;) {
		int ms;

		/* First the watch, then the look: what appears in between is an event. */
		watch(inotify, path);
		ret = try_connect(fd, path);
		if (ret != -ENOENT && ret != -ECONNREFUSED && ret != -EAGAIN)
			break;
		ms = left_ms(deadline_ms);
		if (!ms)
			break;
		if ((ret != -ENOENT || inotify < 0) && ms > LISTEN_TICK_MS)
			ms = LISTEN_TICK_MS;
		(void)wait_fd(inotify, POLLIN, now_ms() + (uint64_t)ms);
		while (inotify >= 0 && read(inotify, events, sizeof(events)) > 0)
			;
	}
	if (inotify >= 0)
		close(inotify);
	return ret;
}

static int send_all(int fd, const char *data, size_t length, uint64_t deadline_ms)
{
	while (length) {
		ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
		int ret = 0;

		if (n > 0) {
			data += n;
			length -= (size_t)n;
		} else if (errno == EAGAIN) {
			ret = wait_fd(fd, POLLOUT, deadline_ms);
		} else if (errno != EINTR) {
			ret = errno == EPIPE ? -ECONNRESET : -errno;
		}
		if (ret)
			return ret;
	}
	return 0;
}

/* A line, without its end. Returns its length. */
static int receive_line(int fd, char *buf, size_t size, uint64_t deadline_ms)
{
	size_t used = 0;

	for (;;) {
		ssize_t n = recv(fd, buf + used, size - used, 0);
		char *end = n > 0 ? memchr(buf + used, '\n', (size_t)n) : NULL;
		int ret = 0;

		if (end) {
			*end = '\0';
			return end - buf > INT_MAX ? -ENOSPC : (int)(end - buf);
		}
		if (n > 0)
			used += (size_t)n;
		else if (!n)
			return -ECONNRESET;
		else if (errno == EAGAIN)
			ret = wait_fd(fd, POLLIN, deadline_ms);
		else if (errno != EINTR)
			ret = -errno;
		if (ret)
			return ret;
		if (used == size)
			return -ENOSPC;
	}
}

/* What a response says of itself. */
static int check_response(const char *line, int length)
{
	uint64_t number;

	if (strlen(line) != (size_t)length || ktstr_json__u64(line, "/errno", &number))
		return -EBADMSG;
	return number > INT_MAX ? -EBADMSG : number ? -(int)number : length;
}

int ktstr_stats__request(const char *path, const char *request, char *buf, size_t size,
			 uint32_t timeout_ms)
{
	uint64_t deadline_ms = now_ms() + timeout_ms;
	int fd, ret;

	if (!size || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -EINVAL;
	buf[0] = '\0';
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = connect_in_time(fd, path, deadline_ms);
	if (!ret)
		ret = send_all(fd, request, strlen(request), deadline_ms);
	if (!ret)
		ret = send_all(fd, "\n", 1, deadline_ms);
	if (!ret)
		ret = receive_line(fd, buf, size, deadline_ms);
	close(fd);
	if (ret >= 0)
		return check_response(buf, ret);
	buf[0] = '\0';
	return ret;
}

int ktstr_stats__read(char *buf, size_t size, uint32_t timeout_ms)
{
	return ktstr_stats__request(KTSTR_STATS_SOCKET, KTSTR_STATS_REQUEST, buf, size, timeout_ms);
}
