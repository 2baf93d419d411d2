/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of all that a test has left behind, whatever it did to escape it. */
#ifndef KTSTR_GUEST_PROCESSES_H
#define KTSTR_GUEST_PROCESSES_H

#include <stdint.h>
#include <sys/types.h>

/*
 * A procfs that belongs to PID 1 alone: the test may have unmounted /proc, or hidden it. The
 * descriptor of its directory; /proc where the kernel cannot; -errno.
 */
int processes__open(void);

/*
 * Sends SIGKILL to every process but PID 1 and those of session @spared (0: none), with their
 * process groups, which no fork can escape. Returns how many were alive, or -errno. Gives up at
 * @deadline_ns (CLOCK_BOOTTIME), when new ones come faster than they can be looked at.
 */
int processes__kill(int proc, pid_t spared, uint64_t deadline_ns);

/*
 * Sends SIGKILL to the children of this process and their process groups, but for its own group.
 * Returns how many were alive, without @counted_not; -errno.
 */
int processes__kill_children(int proc, pid_t counted_not);

#endif /* KTSTR_GUEST_PROCESSES_H */
