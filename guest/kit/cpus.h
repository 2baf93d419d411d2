/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of CPUs, and which CPUs, LLCs and NUMA nodes the machine has. */
#ifndef KTSTR_KIT_CPUS_H
#define KTSTR_KIT_CPUS_H

#include <ktstr/scenario.h>
#include <ktstr/topology.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu_bits {
	uint64_t words[KTSTR_MAX_CPUS / 64];
};

static inline bool cpu_bits__has(const struct cpu_bits *bits, uint32_t cpu)
{
	return cpu < KTSTR_MAX_CPUS && bits->words[cpu / 64] >> cpu % 64 & 1;
}

static inline void cpu_bits__add(struct cpu_bits *bits, uint32_t cpu)
{
	bits->words[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

static inline void cpu_bits__remove(struct cpu_bits *bits, uint32_t cpu)
{
	bits->words[cpu / 64] &= ~(UINT64_C(1) << cpu % 64);
}

uint32_t cpu_bits__count(const struct cpu_bits *bits);
void cpu_bits__intersect(struct cpu_bits *bits, const struct cpu_bits *with);
/* "0-3,8", "" when empty; as much of it as fits. Returns the length as snprintf does. */
size_t cpu_bits__format(const struct cpu_bits *bits, char *text, size_t size);
/* The same, read; "" is empty. -EINVAL: not of this form, or a CPU beyond KTSTR_MAX_CPUS. */
int cpu_bits__parse(const char *text, struct cpu_bits *bits);

/* What sysfs says of the machine, with all CPUs online. */
struct machine {
	struct cpu_bits online;
	uint32_t nr_cpus, nr_llcs, nr_nodes; /* nodes that have CPUs come first */
	uint16_t order[KTSTR_MAX_CPUS];	     /* [nr_cpus]: by node, LLC, number */
	uint16_t llc_of[KTSTR_MAX_CPUS];     /* by CPU; LLCs count from 0 in that order */
	uint16_t node_of[KTSTR_MAX_CPUS];
};

/* @sys: "/sys/devices/system". A CPU without caches is an LLC with the others of its node. */
int machine__read(const char *sys, struct machine *machine);

/*
 * The CPUs that @cpus means. With the reason in @why, -ERANGE: the machine does not have them;
 * -EINVAL: no machine does.
 */
int machine__resolve(const struct machine *machine, const struct ktstr_cpus *cpus,
		     struct cpu_bits *bits, char *why, size_t why_size);

#endif /* KTSTR_KIT_CPUS_H */
