/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may use which of the host's LLCs: a machine whose measurements are to mean something has its
 * LLCs alone, all others share the rest. One protocol for all users and versions, over lock files
 * (lock_file.h) that a process of the machine's own holds (holder.h).
 *
 * Together with the budget: a share of the budget is taken first, and whoever has locks here never
 * waits for the budget, so one of the two waits for the other at most. Among the LLCs, who has to
 * wait takes them in ascending order, for each its gate and then the LLC; without waiting the order
 * does not matter. So there is no circle of waiters.
 */
#ifndef KTSTR_VMM_CPU_LOCKS_H
#define KTSTR_VMM_CPU_LOCKS_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "host_topology.h"
#include "lock_file.h"

#define CPU_LOCKS_TIMEOUT_VARIABLE "KTSTR_LOCK_TIMEOUT_S"
#define CPU_LOCKS_TIMEOUT_S 600u
#define CPU_CAP_VARIABLE "KTSTR_CPU_CAP"

/* From the environment, or CPU_LOCKS_TIMEOUT_S. -EINVAL: a bad variable. */
int cpu_locks__timeout(uint32_t *timeout_s, struct ktstr_error *error);
/* From the environment, or 0: none. -EINVAL: a bad variable. */
int cpu_locks__cap(uint32_t *cap, struct ktstr_error *error);

struct cpu_locks_request {
	const char *dir; /* of the lock files; NULL: the machine's, lock_dir__path() */
	/* With the CPUs that this process is allowed to use; until the call returns */
	const struct host_topology *host;
	/*
	 * Alone: these LLCs, all of them (llc of struct host_cpu). Where a CPU's LLC is not known
	 * (HOST_UNKNOWN_LLCS), there is one lock for all CPUs.
	 */
	bool exclusive;
	const uint32_t *llcs;
	uint32_t nr_llcs;
	/*
	 * Otherwise: so many CPUs as cpu_choice.h says, 0: those of all LLCs that nobody has alone
	 * or waits for, which is one at least.
	 */
	uint32_t cpus;
	uint32_t timeout_s; /* of all waiting together */
	int cancel_fd;	    /* readable: no longer wanted; -1: none */
	const char *what;   /* a command or a test, for others to see */
	/*
	 * Called once when it has to wait (@waits), with who has what; and once, with the reason,
	 * where there can be no locks: what is not exclusive runs then. May be NULL.
	 */
	void (*say)(void *opaque, bool waits, const char *text);
	void *opaque;
};

struct cpu_locks;

/*
 * Waits until it has all that the request wants. 0, and *@locks is to be given back; -ECANCELED;
 * -ETIMEDOUT: @error says who had it, and since when; -EINVAL: more CPUs than the process may use,
 * or an LLC that the host has not; exclusive: -errno where there can be no locks; -ENOMEM. The
 * calling thread must live until it is given back.
 */
int cpu_locks__take(const struct cpu_locks_request *request, struct cpu_locks **locks,
		    struct ktstr_error *error);
/* When it returns, others can have them. NULL is allowed. */
void cpu_locks__give_back(struct cpu_locks *locks);

/* The CPUs that were got: allowed ones of the LLCs, or the chosen of these. */
const struct host_set *cpu_locks__cpus(const struct cpu_locks *locks);
/* The LLCs that are held, by number; none where there are no locks. */
const struct host_set *cpu_locks__llcs(const struct cpu_locks *locks);
/* They are all that the process may use: there is nothing to confine. */
bool cpu_locks__has_all(const struct cpu_locks *locks);
bool cpu_locks__are_exclusive(const struct cpu_locks *locks);
/* The process that holds them; 0: none. */
pid_t cpu_locks__holder(const struct cpu_locks *locks);

/* ---- to look ---- */

/* LLCs that others use or wait for now, by cpu_locks__of(): no more than a hint. None where there
 * are no locks. */
void cpu_locks__in_use(const struct host_topology *host, struct host_set *llcs);

/*
 * Whether @host's LLCs have locks of their own; otherwise there is one, of its lowest CPU. The lock
 * of @cpu.
 */
bool cpu_locks__knows_llcs(const struct host_topology *host);
uint32_t cpu_locks__of(const struct host_topology *host, const struct host_cpu *cpu);
/*
 * "pid 12 (make check) alone since 12:30:00" into @buf, without what a terminal would obey. Of a
 * day before today, with the date.
 */
void cpu_locks__describe(const struct lock_user *user, char *buf, size_t size);

#endif /* KTSTR_VMM_CPU_LOCKS_H */
