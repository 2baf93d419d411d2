/* SPDX-License-Identifier: GPL-2.0-only */
/* What scheduler tests put on the CPUs, and what they read back: cgroups, spinners, usage. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define MAX_SPINNERS 64u

/* Reads a file's first bytes as a string, without its last newline. 0 or -errno. */
int file__read(const char *path, char *buf, size_t size);
int file__write(const char *path, const char *text);

/* "0-3,8" as a set of CPU numbers below 64; false when it is not of that form. */
bool cpu_list__parse(const char *text, uint64_t *cpus);

/* Makes CGROUP_ROOT/NAME with the cpu controller and cpu.weight @weight. 0 or -errno. */
int cgroup__create(const char *name, unsigned int weight);
/* usage_usec of cpu.stat: CPU time of the group, in microseconds. 0 or -errno. */
int cgroup__usage_us(const char *name, uint64_t *usage_us);

/* Processes that never sleep, in one cgroup. */
struct spinners {
	pid_t pids[MAX_SPINNERS];
	unsigned int nr;
	int start; /* pipe: each waits for a byte */
};

/* @nr processes in @cgroup (NULL: the caller's), which wait for spinners__start(). 0 or -errno. */
int spinners__create(struct spinners *spinners, const char *cgroup, unsigned int nr);
int spinners__start(struct spinners *spinners);
void spinners__stop(struct spinners *spinners);

/* CPU time of one process in nanoseconds (/proc/PID/schedstat). 0 or -errno. */
int process__cpu_ns(pid_t pid, uint64_t *ns);

/* The first process of this name; 0: there is none. The scheduler's is "scheduler". */
pid_t process__find(const char *name);

/* Sleeps until @ms of the machine's monotonic clock have gone by, whatever interrupts. */
void sleep_ms(unsigned int ms);

#endif /* WORKLOAD_H */
