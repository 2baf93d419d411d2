// SPDX-License-Identifier: GPL-2.0-only
/* A test waits for room on the host, and ends when it takes too long from there on. */
#include "harness_admit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

struct listener {
	FILE *out;
	bool quiet;
};

static void on_say(void *opaque, bool waits, const char *text)
{
	const struct listener *listener = opaque;

	if (waits && listener->quiet)
		return;
	harness__say(listener->out, false, "%s", text);
	fflush(listener->out);
}

/* In whatever thread: stdio's locks may be held by the one that hangs. */
static void on_limit(int sig, siginfo_t *info, void *context)
{
	const struct harness_admission *admission = info->si_value.sival_ptr;
	struct pollfd pfd = {.fd = admission->fd, .events = POLLOUT};
	ssize_t written = 0;

	(void)sig;
	(void)context;
	/* It may be a reader that takes nothing what holds up the test. */
	if (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLOUT))
		written = write(admission->fd, admission->text, strlen(admission->text));
	(void)written; /* the end itself is seen */
	if (admission->group)
		kill(0, SIGKILL);
	_exit(1);
}

static int arm(struct harness_admission *admission, uint64_t ms, struct ktstr_error *error)
{
	struct sigaction action = {.sa_sigaction = on_limit, .sa_flags = SA_SIGINFO};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
				 .sigev_signo = SIGALRM,
				 .sigev_value.sival_ptr = admission};
	const struct itimerspec when = {.it_value = {.tv_sec = (time_t)(ms / 1000),
						     .tv_nsec = (long)(ms % 1000) * 1000000}};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (sigaction(SIGALRM, &action, NULL) || pthread_sigmask(SIG_UNBLOCK, &set, NULL) ||
	    timer_create(CLOCK_MONOTONIC, &event, &admission->timer))
		return ktstr_error__set(error, errno, "limit", "test", NULL);
	admission->armed = true;
	if (timer_settime(admission->timer, 0, &when, NULL))
		return ktstr_error__set(error, errno, "limit", "test", NULL);
	return 0;
}

int harness_admit__wait(const struct harness_admit *admit, FILE *out,
			struct harness_admission *admission, struct ktstr_error *error)
{
	const struct ktstr_test_id *id = admit->id;
	struct listener listener = {out, id->parallel};
	const struct host_share_request request = {.key = admit->key,
						   .config = admit->config,
						   .what = admit->what,
						   .say = on_say,
						   .opaque = &listener};
	int err = host_share__take(&request, &admission->share, error);

	if (err)
		return err;
	admission->fd = fileno(out);
	admission->group = getpgrp() == getpid() && id->termsig != SIGKILL;
	snprintf(admission->text, sizeof(admission->text),
		 "# %s: Test terminated by timeout: no end within %llu s\n", id->test,
		 (unsigned long long)(admit->limit_ms / 1000));
	return arm(admission, admit->limit_ms, error);
}

void harness_admit__end(struct harness_admission *admission)
{
	if (admission->armed)
		timer_delete(admission->timer);
	admission->armed = false;
	host_share__give_back(&admission->share);
}
