// SPDX-License-Identifier: GPL-2.0-only
/* Port and socket as two ends of a pipe of lines; see relay.h. */
#include "relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "setup.h"

/* The longest line of ours; there is always room for the newline of a response that broke off. */
#define ERROR_MAX 256u
#define CLOSED "the scheduler closed the connection"

void relay__init(struct relay *r, int epoll, int port, const char *path)
{
	memset(r, 0, sizeof(*r));
	r->epoll = epoll;
	r->path = path;
	r->port.fd = port;
	r->socket.fd = -1;
	if (port < 0)
		return;
	r->port.events = EPOLLIN;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, port,
		      &(struct epoll_event){.events = EPOLLIN, .data.ptr = &r->port})) {
		guest__log("statistics: epoll_ctl: %s", strerror(errno));
		r->port.events = 0;
		relay__close(r);
	}
}

static void close_end(struct relay_end *end)
{
	if (end->fd >= 0)
		close(end->fd); /* leaves the epoll set by itself */
	end->fd = -1;
	end->events = 0;
}

void relay__close(struct relay *r)
{
	close_end(&r->socket);
	close_end(&r->port);
}

/* ---- To the host ---- */

static size_t room(const struct relay *r)
{
	return sizeof(r->responses) - r->responses_end;
}

/* Makes all free space lie at the end. */
static void compact(struct relay *r)
{
	size_t n = r->responses_end - r->responses_start;

	memmove(r->responses, r->responses + r->responses_start, n);
	r->responses_start = 0;
	r->responses_end = n;
}

static void owe(struct relay *r, uint32_t lines, int err, const char *why)
{
	if (!lines)
		return;
	r->owed += lines;
	r->owed_errno = err;
	r->owed_why = why;
}

static void put_owed(struct relay *r)
{
	while (r->owed && room(r) >= ERROR_MAX) {
		int n = snprintf(r->responses + r->responses_end, ERROR_MAX,
				 "{\"errno\":%d,\"args\":{\"resp\":\"%s: %s\"}}\n", r->owed_errno,
				 r->owed_why, strerror(r->owed_errno));

		r->responses_end += (size_t)n;
		r->owed--;
	}
}

static void flush_to_port(struct relay *r)
{
	while (r->port.fd >= 0 && r->responses_end > r->responses_start) {
		ssize_t n = write(r->port.fd, r->responses + r->responses_start,
				  r->responses_end - r->responses_start);

		if (n > 0) {
			r->responses_start += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			break;
		} else if (n == 0 || errno != EINTR) {
			guest__log("statistics: port: %s", n ? strerror(errno) : "closed");
			relay__close(r);
		}
	}
	compact(r);
}

/* ---- The scheduler's end ---- */

static size_t first_line(const struct relay *r)
{
	const char *end = memchr(r->requests, '\n', r->requests_length);

	return end ? (size_t)(end - r->requests) + 1 : 0;
}

static void drop_first_line(struct relay *r)
{
	size_t n = first_line(r);

	r->requests_length -= n;
	memmove(r->requests, r->requests + n, r->requests_length);
	r->sent = 0;
}

/* What the scheduler was asked and did not answer is answered by us. */
static void close_socket(struct relay *r, int err, const char *why)
{
	if (r->socket.fd < 0)
		return;
	close_end(&r->socket);
	r->half_shut = false;
	if (r->in_response) {
		/* the line that broke off is the answer, whatever it is worth */
		r->responses[r->responses_end++] = '\n';
		r->in_response = false;
		r->unanswered -= r->unanswered > 0;
	}
	if (r->sent) {
		drop_first_line(r);
		r->unanswered++;
	}
	owe(r, r->unanswered, err, why);
	r->unanswered = 0;
}

static void receive(struct relay *r)
{
	const char *at = r->responses + r->responses_end;
	ssize_t n;

	/* one byte is kept for close_socket() */
	if (room(r) <= 1)
		return;
	n = recv(r->socket.fd, r->responses + r->responses_end, room(r) - 1, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_socket(r, n ? errno : ECONNRESET, CLOSED);
		return;
	}
	r->responses_end += (size_t)n;
	r->in_response = at[n - 1] != '\n';
	for (; n; n--)
		r->unanswered -= *at++ == '\n' && r->unanswered;
}

static int connect_scheduler(struct relay *r)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err;

	if (strlen(r->path) >= sizeof(addr.sun_path))
		return ENAMETOOLONG;
	memcpy(addr.sun_path, r->path, strlen(r->path) + 1);
	r->socket.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* a full backlog is EAGAIN: the next request tries again */
	if (r->socket.fd >= 0 && !connect(r->socket.fd, (struct sockaddr *)&addr, sizeof(addr)))
		return 0;
	err = errno;
	close_end(&r->socket);
	return err;
}

/* There is a connection; otherwise the first request is answered for its want. */
static bool connected(struct relay *r)
{
	int err = ESRCH;

	if (r->socket.fd >= 0)
		return true;
	if (r->scheduler_up)
		err = connect_scheduler(r);
	if (!err)
		return true;
	drop_first_line(r);
	owe(r, 1, err,
	    r->scheduler_up ? "the scheduler serves no statistics" : "no scheduler is attached");
	return false;
}

/* Whole lines only: the rest of one must not begin another connection. */
static void send_requests(struct relay *r)
{
	size_t line;

	/* what is owed comes first, which also bounds it */
	while (!r->owed && !r->half_shut && (line = first_line(r))) {
		ssize_t n;

		if (!connected(r))
			break;
		n = send(r->socket.fd, r->requests + r->sent, line - r->sent, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			int err = errno;

			/* earlier answers are read first */
			r->half_shut = r->unanswered > 0;
			drop_first_line(r);
			r->unanswered++;
			if (!r->half_shut)
				close_socket(r, err, CLOSED);
			break;
		}
		r->sent += (size_t)n;
		if (r->sent < line)
			continue;
		drop_first_line(r);
		r->unanswered++;
	}
}

/* ---- The host's end ---- */

/* A line that no buffer holds, up to and without the end of the piece that is here. */
static void skip_too_long(struct relay *r)
{
	size_t line = first_line(r);

	if (!line && r->requests_length == sizeof(r->requests)) {
		r->skipping = true;
		r->requests_length = 0;
	} else if (r->skipping && line) {
		r->skipping = false;
		drop_first_line(r);
		owe(r, 1, EMSGSIZE, "the request is too long");
	} else if (r->skipping) {
		r->requests_length = 0;
	}
}

/* False at the end of what the host sends. */
static bool read_port(struct relay *r)
{
	size_t space = sizeof(r->requests) - r->requests_length;
	ssize_t n;

	if (!space)
		return true;
	n = read(r->port.fd, r->requests + r->requests_length, space);
	if (n > 0) {
		r->requests_length += (size_t)n;
		skip_too_long(r);
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_port(struct relay *r, uint32_t events)
{
	size_t before = r->requests_length;
	bool open = !(events & (EPOLLIN | EPOLLHUP)) || read_port(r);

	/* An end that has gone stays ready for ever: out of the set with it. */
	if (!open || ((events & (EPOLLHUP | EPOLLERR)) && r->requests_length == before)) {
		guest__log("statistics: the host closed its end");
		relay__close(r);
	}
}

/* ---- Events ---- */

static void ask_for(struct relay *r, struct relay_end *end, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = end};
	int op = !end->events ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	if (end->fd < 0 || events == end->events)
		return;
	end->events = events;
	if (epoll_ctl(r->epoll, op, end->fd, &event)) {
		guest__log("statistics: epoll_ctl: %s", strerror(errno));
		relay__close(r);
	}
}

/*
 * An end that nothing is wanted from is out of the set: a hang-up, which cannot be masked, would
 * wake us until there is room for what it left.
 */
static void ask(struct relay *r)
{
	bool waiting = r->responses_end > r->responses_start;
	uint32_t port =
		(r->requests_length < sizeof(r->requests) ? EPOLLIN : 0) | (waiting ? EPOLLOUT : 0);
	uint32_t sock = (room(r) > ERROR_MAX ? EPOLLIN : 0) |
			(!r->owed && !r->half_shut && first_line(r) ? EPOLLOUT : 0);

	ask_for(r, &r->port, port);
	ask_for(r, &r->socket, sock);
}

static void work(struct relay *r)
{
	do {
		put_owed(r);
		flush_to_port(r);
		send_requests(r);
	} while (r->port.fd >= 0 && r->owed && room(r) >= ERROR_MAX);
	ask(r);
}

void relay__set_scheduler(struct relay *r, bool up)
{
	r->scheduler_up = up;
	if (!up)
		close_socket(r, ESRCH, "the scheduler ended");
	if (r->port.fd >= 0)
		work(r);
}

bool relay__event(struct relay *r, const void *tag, uint32_t events)
{
	if (tag != &r->port && tag != &r->socket)
		return false;
	/* Earlier events of the same batch may have closed it. */
	if (r->port.fd < 0)
		return true;
	if (tag == &r->port)
		on_port(r, events);
	else if (r->socket.fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
		receive(r);
	if (r->port.fd >= 0)
		work(r);
	return true;
}
