// SPDX-License-Identifier: GPL-2.0-only
/* Requests by timerfd, responses by lines; see stats.h. */
#include "stats.h"

#include <ktstr/json.h>
#include <ktstr/stats.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "text.h"

#define FIRST_SIZE 4096u

void stats__init(struct stats *s, const struct stats_ops *ops)
{
	*s = (struct stats){.ops = *ops, .timer_fd = -1};
}

static void stop_timer(struct stats *s)
{
	loop__remove(s->source);
	s->source = NULL;
	if (s->timer_fd >= 0)
		close(s->timer_fd);
	s->timer_fd = -1;
}

void stats__destroy(struct stats *s)
{
	stop_timer(s);
	free(s->line);
	s->line = NULL;
	s->size = 0;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- Requests ---- */

void stats__tick(struct stats *s)
{
	static const char request[] = KTSTR_STATS_REQUEST "\n";

	if (s->ended)
		return;
	if (s->waiting) {
		s->late++;
		return;
	}
	s->requests++;
	/*
	 * One request at a time is far less than the port's queue holds. A piece of one would be
	 * the beginning of the next, so there is none.
	 */
	if (s->ops.send(s->ops.opaque, request, sizeof(request) - 1) == sizeof(request) - 1) {
		s->waiting = true;
	} else {
		s->not_sent++;
		s->ended = true;
	}
}

static void on_timer(void *opaque, uint32_t events)
{
	struct stats *s = opaque;
	uint64_t count;

	(void)events;
	if (read(s->timer_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		stats__tick(s);
}

int stats__start(struct stats *s, struct loop *loop, uint32_t interval_ms)
{
	/* not 0, which would disarm it */
	struct itimerspec spec = {
		.it_value = {.tv_nsec = 1},
		.it_interval = {.tv_sec = interval_ms / 1000,
				.tv_nsec = (long)(interval_ms % 1000) * 1000000},
	};
	int err;

	if (s->started_ns || s->ended)
		return 0;
	s->started_ns = now_ns();
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer_fd < 0)
		err = -errno;
	else
		err = loop__add(loop, s->timer_fd, EPOLLIN, on_timer, s, &s->source);
	if (!err && timerfd_settime(s->timer_fd, 0, &spec, NULL))
		err = -errno;
	if (err) {
		s->start_errno = -err;
		stop_timer(s);
	}
	return err;
}

void stats__end(struct stats *s)
{
	s->ended = true;
	stop_timer(s);
}

/* ---- Responses ---- */

static bool reserve(struct stats *s, size_t more)
{
	size_t size = s->size ? s->size : FIRST_SIZE;
	char *grown;

	while (size < s->used + more)
		size *= 2;
	if (size == s->size)
		return true;
	grown = realloc(s->line, size);
	if (!grown)
		return false;
	s->line = grown;
	s->size = size;
	return true;
}

static void add(struct stats *s, const char *data, size_t length)
{
	if (s->skipping)
		return;
	if (!s->waiting)
		s->unasked++;
	else if (length > STATS_RESPONSE_MAX - s->used)
		s->too_long++;
	else if (!reserve(s, length))
		s->no_memory++;
	else {
		memcpy(s->line + s->used, data, length);
		s->used += length;
		return;
	}
	s->skipping = true;
	s->used = 0;
}

/*
 * White space of JSON may hide a line on a terminal; within strings it is escaped. DEL and C1 are
 * allowed there, and no text that somebody reads has them.
 */
static void flatten(char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] == '\r')
			line[i] = ' ';
	text__show(line, length, '?', true);
}

static void end_line(struct stats *s)
{
	size_t length = s->used;
	bool counted = s->skipping;

	s->used = 0;
	s->waiting = false;
	s->skipping = false;
	if (counted)
		return;
	if (!length || s->line[0] != '{' || !ktstr_json__valid(s->line, length)) {
		s->not_json++;
		return;
	}
	s->responses++;
	flatten(s->line, length);
	if (s->ops.response)
		s->ops.response(s->ops.response_opaque, (now_ns() - s->started_ns) / 1000000u,
				s->line, length);
}

void stats__feed(struct stats *s, const void *data, size_t length)
{
	const char *from = data;
	char piece[4096];

	while (length && !s->ended) {
		size_t n = length < sizeof(piece) ? length : sizeof(piece);
		const char *at = piece, *end;

		/* What is looked at is ours. */
		memcpy(piece, from, n);
		from += n;
		length -= n;
		while (!s->ended && (end = memchr(at, '\n', n))) {
			add(s, at, (size_t)(end - at));
			end_line(s);
			n -= (size_t)(end + 1 - at);
			at = end + 1;
		}
		if (n && !s->ended)
			add(s, at, n);
	}
}

/* ---- What is said ---- */

struct problem {
	uint64_t count;
	const char *what;
};

int stats__report(const struct stats *s, char *buf, size_t size)
{
	const struct problem problems[] = {
		{s->requests && !s->responses ? s->requests : 0,
		 "requests, and not one response came"},
		{s->late, "times no response within the interval"},
		{s->not_json, "responses that are no JSON object"},
		{s->too_long, "responses longer than 1 MiB"},
		{s->unasked, "lines that were not asked for"},
		{s->no_memory, "responses for which the host had no memory"},
		{s->not_sent, "requests that the guest's port did not take"},
	};
	size_t used = 0;
	int n = 0;

	if (size)
		buf[0] = '\0';
	if (s->start_errno)
		return snprintf(buf, size, "no timer: %s", strerror(s->start_errno));
	for (size_t i = 0; i < sizeof(problems) / sizeof(*problems); i++) {
		if (!problems[i].count)
			continue;
		n = snprintf(used < size ? buf + used : NULL, used < size ? size - used : 0,
			     "%s%llu %s", used ? "; " : "", (unsigned long long)problems[i].count,
			     problems[i].what);
		if (n < 0)
			return n;
		used += (size_t)n;
	}
	return (int)used;
}
