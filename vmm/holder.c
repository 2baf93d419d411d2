// SPDX-License-Identifier: GPL-2.0-only
/* Processes that hold locks and shares for the one that runs a machine. */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* To the child, when it is to give back */
#define END_SIGNAL SIGRTMIN

/* The parent's death kills, or ends in order. False: it was dead before. */
static bool follow_parent(pid_t parent, int sig)
{
	prctl(PR_SET_PDEATHSIG, sig);
	return getppid() == parent;
}

static void run_child(const char *name, holder_fn fn, void *opaque, pid_t parent, int news_fd)
{
	prctl(PR_SET_NAME, name);
	signal(END_SIGNAL, SIG_DFL);
	if (!follow_parent(parent, SIGKILL))
		return;
	/* Nobody's pipe or socket stays open because of us. */
	if (news_fd > 0)
		close_range(0, (unsigned int)news_fd - 1, 0);
	close_range((unsigned int)news_fd + 1, ~0u, 0);
	fn(opaque, parent, news_fd);
}

int holder__start(struct holder *holder, const char *name, holder_fn fn, void *opaque)
{
	sigset_t all, old;
	pid_t parent = getpid(), pid;
	int fds[2], err;

	*holder = (struct holder){.news_fd = -1};
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	/* Signals are for the parent: it gives back when it is through with its machine. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (!pid) {
		run_child(name, fn, opaque, parent, fds[1]);
		_exit(0);
	}
	err = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(fds[1]);
	if (err) {
		close(fds[0]);
		return err;
	}
	*holder = (struct holder){.pid = pid, .news_fd = fds[0]};
	return 0;
}

bool holder__keep(pid_t parent, void (*tell)(void *opaque), void *opaque)
{
	sigset_t end;
	int sig;

	if (!follow_parent(parent, END_SIGNAL))
		return false;
	tell(opaque);
	sigemptyset(&end);
	sigaddset(&end, END_SIGNAL);
	sigwait(&end, &sig);
	return true;
}

static void finish(struct holder *holder, int sig)
{
	if (holder->pid <= 0)
		return;
	kill(holder->pid, sig);
	while (waitpid(holder->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (holder->news_fd >= 0)
		close(holder->news_fd);
	*holder = (struct holder){.news_fd = -1};
}

void holder__end(struct holder *holder)
{
	finish(holder, END_SIGNAL);
}

void holder__kill(struct holder *holder)
{
	finish(holder, SIGKILL);
}
