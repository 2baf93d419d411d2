// SPDX-License-Identifier: GPL-2.0-only
/* Signals of a test's process as a descriptor, and back. */
#include "harness_signals.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int ends[] = {SIGINT, SIGTERM, SIGHUP};

int harness_signals__open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaddset(&set, ends[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* A file that may not grow (RLIMIT_FSIZE) is an error of who writes it. */
	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == 1)
		raise(SIGTERM);
	return fd;
}

void harness_signals__close(int fd)
{
	const struct rlimit no_core = {0, 0};
	sigset_t set;

	/*
	 * One that came has had its effect on the outcome. Pending, it would end the process now,
	 * whatever the outcome is: a test that is to end by SIGTERM would pass.
	 */
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], SIG_IGN);
	signal(SIGXFSZ, SIG_DFL);
	/* The end by the test's signal is a replay: no core of ours, and nothing may hold it up. */
	setrlimit(RLIMIT_CORE, &no_core);
	if (fd >= 0)
		close(fd);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}
