/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How quiet and how steady the host is, and what this process may do there: what decides whether
 * times that a machine measures mean something. Nothing is changed, and nothing is judged here.
 */
#ifndef KTSTR_VMM_HOST_CONDITIONS_H
#define KTSTR_VMM_HOST_CONDITIONS_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

#include "host_topology.h"

/* What could be read. */
enum {
	HOST_KNOWS_CPUINFO = 1 << 0,  /* x86: its flags */
	HOST_KNOWS_LOAD = 1 << 1,     /* load_hundredths */
	HOST_KNOWS_PRESSURE = 1 << 2, /* pressure_hundredths; kernels with PSI */
	HOST_KNOWS_RIGHTS = 1 << 3,   /* rt_priority */
	HOST_KNOWS_NODES = 1 << 4,    /* nodes_allowed */
};

struct host_cpu_condition {
	char governor[24];  /* of its frequency; "": none, or not known */
	uint64_t throttled; /* times that heat slowed its core down since boot; 0: or not known */
};

struct host_conditions {
	unsigned int known; /* HOST_KNOWS_* */
	uint32_t nr_cpus;
	struct host_cpu_condition *cpus; /* in the order of the topology's */
	char clocksource[32];		 /* "": not known */
	bool tsc_offered;		 /* as a clocksource: the kernel takes it for stable */
	bool tsc_steady;		 /* constant_tsc and nonstop_tsc */
	bool in_machine;		 /* the host is a virtual machine itself */
	uint32_t cooling;		 /* devices that slow CPUs down now, for heat or power */
	uint32_t load_hundredths;	 /* tasks that ran or waited, mean of the last minute */
	uint32_t pressure_hundredths;	 /* % of the last 10 s in which a task waited for a CPU */
	uint32_t rt_priority;		 /* highest that this process may give to its threads */
	struct host_set nodes_allowed;	 /* whose memory this process may have */
};

/*
 * Reads @sys and @proc, "/sys" and "/proc" or copies of them, for the CPUs of @topology. @proc is
 * NULL where the host is another one, whose load and rights do not count. Any file may be missing.
 * host_conditions__free() is for the caller, after a failure too. -ENOMEM.
 */
int host_conditions__read(struct host_conditions *conditions, const char *sys, const char *proc,
			  const struct host_topology *topology, struct ktstr_error *error);
void host_conditions__free(struct host_conditions *conditions);

#endif /* KTSTR_VMM_HOST_CONDITIONS_H */
