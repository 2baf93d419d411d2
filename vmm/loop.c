// SPDX-License-Identifier: GPL-2.0-only
/* epoll(7), with sources that may be removed from within any callback. */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32

struct loop_source {
	struct loop *loop;
	int fd;
	loop_fn fn;
	void *opaque;
	bool dead; /* removed during a batch; freed after it */
	struct loop_source *next;
};

struct loop {
	int epoll_fd;
	int stop_fd;
	bool stop;
	uint64_t waiting_since_ns, waited_until_ns;
	bool interrupted; /* the last wait was */
	struct loop_source *sources;
};

static void loop__on_stop(void *opaque, uint32_t events)
{
	struct loop *loop = opaque;

	(void)events;
	loop->stop = true;
}

int loop__create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err;

	*out = NULL;
	if (!loop)
		return -ENOMEM;
	loop->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0 || loop->stop_fd < 0)
		err = -errno;
	else
		err = loop__add(loop, loop->stop_fd, EPOLLIN, loop__on_stop, loop, NULL);
	if (err) {
		loop__destroy(loop);
		return err;
	}
	*out = loop;
	return 0;
}

void loop__destroy(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->sources) {
		struct loop_source *s = loop->sources;

		loop->sources = s->next;
		free(s);
	}
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	free(loop);
}

int loop__add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *opaque,
	      struct loop_source **source)
{
	struct loop_source *s = calloc(1, sizeof(*s));
	struct epoll_event event = {.events = events, .data.ptr = s};

	if (source)
		*source = NULL;
	if (!s)
		return -ENOMEM;
	*s = (struct loop_source){.loop = loop, .fd = fd, .fn = fn, .opaque = opaque};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		int err = -errno;

		free(s);
		return err;
	}
	s->next = loop->sources;
	loop->sources = s;
	if (source)
		*source = s;
	return 0;
}

int loop__modify(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) ? -errno : 0;
}

void loop__remove(struct loop_source *source)
{
	if (!source || source->dead)
		return;
	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->dead = true;
}

static void loop__reap(struct loop *loop)
{
	struct loop_source **link = &loop->sources;

	while (*link) {
		struct loop_source *s = *link;

		if (!s->dead) {
			link = &s->next;
			continue;
		}
		*link = s->next;
		free(s);
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;
	int err = errno;

	clock_gettime(CLOCK_MONOTONIC, &now);
	errno = err;
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int loop__dispatch(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[BATCH];
	uint64_t now = now_ns();
	int n;

	/* A process that is stopped and goes on has its wait interrupted, which is the same wait.
	 */
	if (!loop->interrupted)
		loop->waiting_since_ns = now;
	n = epoll_wait(loop->epoll_fd, events, BATCH, timeout_ms);
	loop->interrupted = n < 0 && errno == EINTR;
	loop->waited_until_ns = now_ns();
	if (n < 0)
		return loop->interrupted ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct loop_source *s = events[i].data.ptr;

		if (!s->dead)
			s->fn(s->opaque, events[i].events);
	}
	loop__reap(loop);
	return n;
}

void loop__last_wait(const struct loop *loop, uint64_t *since_ns, uint64_t *until_ns)
{
	*since_ns = loop->waiting_since_ns;
	*until_ns = loop->waited_until_ns;
}

int loop__run(struct loop *loop)
{
	uint64_t count;

	while (!loop->stop) {
		int n = loop__dispatch(loop, -1);

		if (n < 0)
			return n;
	}
	/* What is left to do, or another run, is not to find it stopped. */
	loop->stop = false;
	while (read(loop->stop_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	return 0;
}

void loop__stop(struct loop *loop)
{
	uint64_t one = 1;

	/* The counter can only be full when a stop is already pending. */
	if (write(loop->stop_fd, &one, sizeof(one)) < 0)
		return;
}
