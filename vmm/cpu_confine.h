/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the threads of a machine on some CPUs of the host: by a cpuset cgroup where that is
 * permitted, and by their affinity, alone or as well.
 *
 * Threads are where the one that makes them is. So the thread that uses the machine is confined
 * while it creates and runs it, and is then as it was: nothing of it stays, and other threads of
 * the program are never touched. The cgroup is a threaded child (cgroup v2) of the cgroup that the
 * thread is in, which has to be delegated to the user with its cpuset controller; the process as
 * such stays where it is. A cgroup that a killed program left is removed by the next one there.
 */
#ifndef KTSTR_VMM_CPU_CONFINE_H
#define KTSTR_VMM_CPU_CONFINE_H

#include <ktstr/error.h>

#include "host_files.h"

struct cpu_confine;

/* On failure of both, -errno of sched_setaffinity(2). -ENOMEM. */
int cpu_confine__create(const struct host_set *cpus, struct cpu_confine **confine,
			struct ktstr_error *error);
/* When all threads have ended. NULL is allowed. */
void cpu_confine__destroy(struct cpu_confine *confine);

/* Of the calling thread, and of those that it makes until it leaves. NULL is allowed. */
int cpu_confine__enter(struct cpu_confine *confine, struct ktstr_error *error);
void cpu_confine__leave(struct cpu_confine *confine);

/* "CPUs 0-3, by the cgroup /a/ktstr-12-0", "CPUs 0-3, by affinity: why there is no cgroup" */
const char *cpu_confine__text(const struct cpu_confine *confine);

#endif /* KTSTR_VMM_CPU_CONFINE_H */
