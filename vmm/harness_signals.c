// SPDX-License-Identifier: GPL-2.0-only
/* Signals of a test's process as a descriptor, and back. */
#include "harness_signals.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

int harness_signals__open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == 1)
		raise(SIGTERM);
	return fd;
}

void harness_signals__close(int fd)
{
	const struct rlimit no_core = {0, 0};
	sigset_t set;

	/* The end by the test's signal is a replay: no core of ours, and nothing may hold it up. */
	setrlimit(RLIMIT_CORE, &no_core);
	if (fd >= 0)
		close(fd);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}
