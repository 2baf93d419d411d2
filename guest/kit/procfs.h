/* SPDX-License-Identifier: GPL-2.0-only */
/* What /proc says of a task, and of the machine's CPU time. */
#ifndef KTSTR_KIT_PROCFS_H
#define KTSTR_KIT_PROCFS_H

#include <stdint.h>
#include <sys/types.h>

/* CPU time, and time runnable without running, ns (sched-stats.rst). 0 or -errno. */
int procfs__schedstat(pid_t tid, uint64_t *cpu_ns, uint64_t *delay_ns);
/* The CPU where it last ran; -1: not known. */
int32_t procfs__last_cpu(pid_t tid);
/* Adds pages of its own memory, and those of them on NUMA node @node (numa_maps). 0 or -errno. */
int procfs__pages(pid_t tid, uint32_t node, uint64_t *pages, uint64_t *local);

/* CPU time of all CPUs since boot, clock ticks: all of it, and what the host took away. */
struct cpu_time {
	uint64_t total, steal;
};
int procfs__cpu_time(struct cpu_time *time);

#endif /* KTSTR_KIT_PROCFS_H */
