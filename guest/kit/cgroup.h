/* SPDX-License-Identifier: GPL-2.0-only */
/* A scenario's cgroups (cgroup-v2.rst): all below one, which is removed with them. */
#ifndef KTSTR_KIT_CGROUP_H
#define KTSTR_KIT_CGROUP_H

#include "cpus.h"

#include <sys/types.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
/* In the scenario's own: for workers that have none. */
#define CGROUP_DEFAULT "default"

/* All return 0 or -errno; @name is below the scenario's own, "a/b" for one in another. */

/* The scenario's own one, with CGROUP_DEFAULT in it; what an earlier scenario left goes first. */
int cgroup__begin(void);
/* Removes all of it. -EBUSY: a process is left. */
int cgroup__end(void);

int cgroup__add(const char *name);
int cgroup__remove(const char *name);
int cgroup__set_cpus(const char *name, const struct cpu_bits *cpus); /* NULL: as its parent */
int cgroup__set_memory_nodes(const char *name, uint64_t nodes);
int cgroup__set_weight(const char *name, uint32_t weight);
int cgroup__set_max(const char *name, uint32_t percent); /* of one CPU; 0: none */
/* Returns when it is so. -ETIMEDOUT: it is not within @timeout_ms. */
int cgroup__freeze(const char *name, bool freeze, uint32_t timeout_ms);
/* Puts process @pid, 0 the caller's, with its threads into it. */
int cgroup__enter(const char *name, pid_t pid);

#endif /* KTSTR_KIT_CGROUP_H */
