/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the threads and the memory of a machine go on the host when what it measures is to mean
 * something, and what of that the host cannot give: a plan, made of data. Nothing is read here, and
 * nothing is applied.
 *
 * Each virtual LLC has a host LLC of its own, the smallest that it fits on; LLCs of a virtual node
 * are in one host node if they can. Each vCPU has a CPU of its own: threads of a virtual core are
 * on threads of a host core, other vCPUs on a core each; all on cores of one kind, the largest that
 * has room. Service threads (events, watchdog) have a CPU that no vCPU has, nor, if possible, a
 * sibling of it. The core of CPU 0, where the host's own work tends to be, is taken last. The same
 * input gives the same plan.
 */
#ifndef KTSTR_VMM_PLACEMENT_H
#define KTSTR_VMM_PLACEMENT_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "host_conditions.h"
#include "host_topology.h"
#include "layout.h"

#define PLACEMENT_HUGEPAGE (UINT64_C(2) << 20)
/* Of SCHED_FIFO: vCPU threads, and the watchdog above them. */
#define PLACEMENT_VCPU_PRIORITY 1u
#define PLACEMENT_WATCHDOG_PRIORITY 2u

enum placement_mode {
	PLACEMENT_REQUIRED,    /* a condition that is not met is an error */
	PLACEMENT_BEST_EFFORT, /* what cannot be is left out, and said */
};

enum placement_kind {
	/* Errors where the mode is required */
	PLACEMENT_TOO_FEW_CPUS, /* fewer than vCPUs */
	PLACEMENT_NO_SERVICE_CPU,
	PLACEMENT_TOO_FEW_LLCS,
	/* What is asked for and cannot be */
	PLACEMENT_HUGEPAGES,
	PLACEMENT_NODE_MEMORY,
	PLACEMENT_NODE_SPLIT, /* a virtual node on several host nodes */
	PLACEMENT_THREADS_APART,
	PLACEMENT_RT_RIGHTS,
	PLACEMENT_UNKNOWN_TOPOLOGY,
	/* What disturbs */
	PLACEMENT_SIBLINGS_SHARED,
	PLACEMENT_KINDS_MIXED, /* of hybrid cores */
	PLACEMENT_CPUSET,
	PLACEMENT_TSC,
	PLACEMENT_CLOCKSOURCE,
	PLACEMENT_GOVERNOR,
	PLACEMENT_BUSY,
	PLACEMENT_HEAT,
	PLACEMENT_IN_MACHINE,
	PLACEMENT_NR_KINDS,
};

enum placement_severity {
	PLACEMENT_ERROR,     /* there is no plan */
	PLACEMENT_DOWNGRADE, /* @instead is done */
	PLACEMENT_WARNING,   /* measured times may suffer */
};

struct placement_finding {
	enum placement_kind kind;
	enum placement_severity severity;
	char what[256];
	char remedy[192];
	char instead[128]; /* of a downgrade, and of what a warning leaves out; or "" */
};

#define PLACEMENT_ANY UINT32_MAX

/* Of a virtual node. */
struct placement_node {
	uint32_t host_node; /* its number; PLACEMENT_ANY: memory is not bound */
	uint64_t hugepages; /* that its RAM takes; 0: it is in small pages */
};

struct placement {
	enum placement_mode mode;
	/* Host CPUs by number: all are different, or all are PLACEMENT_ANY: not pinned. */
	uint32_t nr_vcpus;
	uint32_t *vcpus;
	/* Of each virtual LLC: the llc of struct host_cpu; PLACEMENT_ANY: it lies on several. */
	uint32_t nr_llcs;
	uint32_t *llcs;
	uint32_t nr_nodes;
	struct placement_node *nodes;
	uint32_t service_cpu; /* its number; PLACEMENT_ANY: all that the process may use */
	bool realtime;	      /* vCPU threads and the watchdog are SCHED_FIFO */
	uint32_t nr_findings;
	struct placement_finding *findings; /* errors first */
	uint32_t nr_unmet; /* findings that are errors where the mode is required */
};

/*
 * Plans @machine on the CPUs of @host that are allowed. -ENOSPC: the mode is required and cannot
 * be; @error has the first finding and its remedy, @placement all findings and nothing else.
 * -ENOMEM. placement__free() is for the caller, after a failure too.
 */
int placement__plan(struct placement *placement, const struct host_topology *host,
		    const struct host_conditions *conditions, const struct layout *machine,
		    enum placement_mode mode, struct ktstr_error *error);
void placement__free(struct placement *placement);

/* "0-3,8,10", in the order given. */
void placement__write_cpus(const uint32_t *cpus, uint32_t nr, FILE *to);

/* "service-cpu" and the like, for records. */
const char *placement__kind_name(enum placement_kind kind);

#endif /* KTSTR_VMM_PLACEMENT_H */
