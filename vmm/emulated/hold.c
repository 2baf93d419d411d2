// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps QEMU from asking its virtual CPU to stop for no interrupt.
 *
 * When TCG (7.2 to 10.0 at least) enters a nested guest with an interrupt to inject, it delivers it
 * and leaves its number behind as the CPU's pending exception. Another exit, exception or interrupt
 * forgets that; but when the CPU is asked to leave its loop before, without an interrupt, the
 * number is taken for an exception and is delivered once more, whether the guest takes interrupts
 * or not (helper_vmrun(), cpu_handle_interrupt()). A nested kernel then runs its timer's handler in
 * the middle of itself, with a lock held that it waits for: seen as CPUs that spin and halt in
 * __pv_queued_spin_lock_slowpath() for ever, once in some hundred boots.
 *
 * With one CPU the one thread that asks so is QEMU's RCU thread, which frees what others no longer
 * use: each time that the table of translations has grown, it wants the CPU out of its loop. So it
 * is stopped for good, once, while it waits for work. What it would have freed stays, some MiB.
 * That thread is the first that a QEMU starts, before main(). Where ptrace(2) is not allowed
 * nothing is done.
 */
#include "emulated.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../host_files.h"

/* Of what a thread waits in: its system call and what that waits for. */
#define WAIT_MAX 128u
/* It has waited so long without a break when it is idle; and how often it is looked at. */
#define IDLE_MS 250u
#define MAX_TRIES 40u

/* The thread with the lowest id but the first. 0: there is none. */
static pid_t first_thread(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	pid_t first = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > pid && (!first || tid < first))
			first = tid;
	}
	if (dir)
		closedir(dir);
	return first;
}

/*
 * What the thread waits in, and how often it has waited. False: it runs, or that cannot be told.
 */
static bool read_wait(pid_t pid, pid_t tid, char what[WAIT_MAX], uint64_t *times)
{
	char dir[64], text[4096];
	const char *at;

	snprintf(dir, sizeof(dir), "/proc/%d/task/%d", pid, tid);
	if (host_files__text(dir, text, sizeof(text), "syscall") || text[0] < '0' || text[0] > '9')
		return false;
	/* "NUMBER ARGUMENT ...": the first is the address of what it waits for. */
	at = strchr(text, ' ');
	at = at ? strchr(at + 1, ' ') : NULL;
	if (!at || (size_t)(at - text) >= WAIT_MAX)
		return false;
	memcpy(what, text, (size_t)(at - text));
	what[at - text] = '\0';
	if (host_files__text(dir, text, sizeof(text), "status"))
		return false;
	at = strstr(text, "\nvoluntary_ctxt_switches:");
	*times = at ? strtoull(strchr(at, ':') + 1, NULL, 10) : 0;
	return at;
}

/* It waited for one thing all the time. */
static bool is_idle(pid_t pid, pid_t tid, char what[WAIT_MAX])
{
	const struct timespec pause = {.tv_nsec = IDLE_MS * 1000000L};
	uint64_t before, after;
	char then[WAIT_MAX];

	if (!read_wait(pid, tid, then, &before))
		return false;
	nanosleep(&pause, NULL);
	return read_wait(pid, tid, what, &after) && before == after && !strcmp(what, then);
}

/* 1: it is stopped, where it waited; 0: not now; -errno: it cannot be. */
static int try_to_stop(pid_t pid, pid_t tid)
{
	char before[WAIT_MAX], stopped[WAIT_MAX];
	uint64_t unused;
	int status;

	if (!is_idle(pid, tid, before))
		return 0;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) || waitpid(tid, &status, __WALL) != tid ||
	    !WIFSTOPPED(status))
		return -ESRCH;
	/* Elsewhere it could have what others need. */
	if (read_wait(pid, tid, stopped, &unused) && !strcmp(before, stopped))
		return 1;
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	return 0;
}

/* A thread, as who traces has to be one that stays, and to see the end of what it traces. */
static void *hold(void *opaque)
{
	pid_t pid = (pid_t)(intptr_t)opaque, tid = first_thread(pid);
	const struct timespec pause = {.tv_nsec = IDLE_MS * 1000000L};
	int stopped = 0, status;

	for (uint32_t tries = 0; tid && !stopped && tries < MAX_TRIES; tries++) {
		stopped = try_to_stop(pid, tid);
		if (!stopped)
			nanosleep(&pause, NULL);
	}
	while (stopped > 0 && waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status))
		;
	return NULL;
}

void emulated_qemu__hold(const struct emulated_qemu *qemu)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	/* Without it the host works as well as it can. */
	(void)pthread_create(&thread, &attr, hold, (void *)(intptr_t)qemu->pid);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}
