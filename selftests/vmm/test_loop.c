// SPDX-License-Identifier: GPL-2.0-only
/* The event loop: who is called, removal from within callbacks, and how it ends. */
#include "vmm/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define FDS 3

FIXTURE(loop)
{
	struct loop *loop;
	struct loop_source *sources[FDS];
	int fds[FDS], calls[FDS];
	int remove; /* which callbacks remove all others; -1: none */
};

struct who {
	FIXTURE_DATA(loop) * self;
	int n;
};

static void called(void *opaque, uint32_t events)
{
	struct who *who = opaque;
	FIXTURE_DATA(loop) *self = who->self;

	(void)events;
	self->calls[who->n]++;
	if (self->remove < 0)
		return;
	for (int i = 0; i < FDS; i++)
		loop__remove(self->sources[i]);
}

static struct who whos[FDS];

FIXTURE_SETUP(loop)
{
	self->remove = -1;
	ASSERT_EQ(0, loop__create(&self->loop));
	for (int i = 0; i < FDS; i++) {
		whos[i] = (struct who){self, i};
		self->calls[i] = 0;
		self->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ASSERT_EQ(0, loop__add(self->loop, self->fds[i], EPOLLIN, called, &whos[i],
				       &self->sources[i]));
	}
}

FIXTURE_TEARDOWN(loop)
{
	loop__destroy(self->loop);
	for (int i = 0; i < FDS; i++)
		close(self->fds[i]);
}

static void signal_fd(int fd)
{
	eventfd_write(fd, 1);
}

TEST_F(loop, calls_who_is_ready_and_nobody_else)
{
	EXPECT_EQ(0, loop__dispatch(self->loop, 0));
	signal_fd(self->fds[1]);
	EXPECT_EQ(1, loop__dispatch(self->loop, -1));
	EXPECT_EQ(0, self->calls[0]);
	EXPECT_EQ(1, self->calls[1]);
	EXPECT_EQ(0, self->calls[2]);
	EXPECT_EQ(1, loop__dispatch(self->loop, -1)); /* level-triggered */
	EXPECT_EQ(2, self->calls[1]);
}

TEST_F(loop, none_that_was_removed_in_a_batch_is_called)
{
	self->remove = 0;
	for (int i = 0; i < FDS; i++)
		signal_fd(self->fds[i]);
	EXPECT_EQ(FDS, loop__dispatch(self->loop, -1));
	EXPECT_EQ(1, self->calls[0] + self->calls[1] + self->calls[2]);
	EXPECT_EQ(0, loop__dispatch(self->loop, 0));
}

TEST_F(loop, a_descriptor_can_come_back)
{
	loop__remove(self->sources[2]);
	EXPECT_EQ(0, loop__add(self->loop, self->fds[2], EPOLLIN, called, &whos[2],
			       &self->sources[2]));
	signal_fd(self->fds[2]);
	EXPECT_EQ(1, loop__dispatch(self->loop, -1));
	EXPECT_EQ(1, self->calls[2]);
}

TEST_F(loop, events_can_be_changed)
{
	signal_fd(self->fds[0]);
	EXPECT_EQ(0, loop__modify(self->sources[0], 0));
	EXPECT_EQ(0, loop__dispatch(self->loop, 0));
	EXPECT_EQ(0, loop__modify(self->sources[0], EPOLLIN));
	EXPECT_EQ(1, loop__dispatch(self->loop, 0));
}

TEST_F(loop, what_cannot_be_watched_is_said)
{
	struct loop_source *source = self->sources[0];
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	EXPECT_EQ(-EBADF, loop__add(self->loop, -1, EPOLLIN, called, &whos[0], &source));
	EXPECT_EQ(NULL, source);
	EXPECT_EQ(-EPERM, loop__add(self->loop, file, EPOLLIN, called, &whos[0], NULL));
	EXPECT_EQ(-EEXIST, loop__add(self->loop, self->fds[0], EPOLLIN, called, &whos[0], NULL));
	close(file);
	loop__remove(NULL);
}

TEST_F(loop, a_stop_before_the_run_ends_it)
{
	loop__stop(self->loop);
	loop__stop(self->loop);
	EXPECT_EQ(0, loop__run(self->loop));
}

static void *stop(void *opaque)
{
	loop__stop(opaque);
	return NULL;
}

TEST_F(loop, another_thread_can_stop_it)
{
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, stop, self->loop));
	EXPECT_EQ(0, loop__run(self->loop));
	pthread_join(thread, NULL);
}

TEST_F(loop, what_was_stopped_runs_again)
{
	loop__stop(self->loop);
	EXPECT_EQ(0, loop__run(self->loop));
	EXPECT_EQ(0, loop__dispatch(self->loop, 0)); /* nothing is left of the stop */
	signal_fd(self->fds[0]);
	loop__stop(self->loop);
	EXPECT_EQ(0, loop__run(self->loop));
	EXPECT_LE(1, self->calls[0]);
}

TEST_HARNESS_MAIN
