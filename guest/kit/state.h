/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a scenario's cgroups, sets of workers and CPUs are at an instant. Nothing here touches the
 * machine: a scenario is gone through in advance to find what can't be, and what each worker may
 * do is known independently of what the kernel, or a scheduler, made of it.
 */
#ifndef KTSTR_KIT_STATE_H
#define KTSTR_KIT_STATE_H

#include "cpus.h"

struct cgroup_state {
	const struct ktstr_cgroup *spec;
	int32_t parent; /* -1: the scenario's own */
	bool exists, is_frozen;
	bool has_cpus; /* a cpuset of its own */
	struct cpu_bits cpus;
};

struct set_state {
	const struct ktstr_workers *spec;
	const char *name;
	uint32_t first, nr; /* of all workers */
	bool is_running;
	int32_t cgroup; /* -1: the scenario's own */
	bool has_cpus;	/* an affinity of its own */
	struct cpu_bits cpus;
};

struct scenario_state {
	const struct ktstr_scenario *scenario;
	const struct machine *machine;
	bool strict; /* the host is a quiet one, and its limits hold where none is given */
	struct cpu_bits online;
	uint32_t nr_cgroups, nr_sets, nr_workers;
	struct cgroup_state cgroups[KTSTR_SCENARIO_MAX_CGROUPS];
	struct set_state sets[KTSTR_SCENARIO_MAX_SETS];
};

/*
 * As it is before the first step. With the reason in @why, -ERANGE: it names CPUs or nodes that
 * this machine does not have; -EINVAL: it can't be on any.
 * @scenario and @machine have to live as long.
 */
int state__init(struct scenario_state *state, const struct ktstr_scenario *scenario,
		const struct machine *machine, char *why, size_t why_size);

/* What @op makes of it. Errors likewise. */
int state__apply(struct scenario_state *state, const struct ktstr_op *op, char *why,
		 size_t why_size);

/* Goes through all steps, as often as they are repeated. Errors likewise. */
int state__rehearse(const struct scenario_state *state, char *why, size_t why_size);

/* Number of steps, repeated ones counted as often. */
uint32_t state__nr_steps(const struct ktstr_scenario *scenario);

/* Of a name, or -1. A cgroup's NULL is not found. */
int32_t state__find_cgroup(const struct scenario_state *state, const char *name);
int32_t state__find_set(const struct scenario_state *state, const char *name);

/*
 * The CPUs that workers of set @set may use (cpuset(7), cgroup-v2.rst "cpuset.cpus.effective"): a
 * cpuset without any online CPU is as its parent; an affinity without any is not looked at.
 */
void state__allowed(const struct scenario_state *state, uint32_t set, struct cpu_bits *allowed);

/* Whether they are to work at all: running, and in no frozen cgroup. */
bool state__is_active(const struct scenario_state *state, uint32_t set);

/* "move spin to right": for stimulus events. */
void state__describe(const struct scenario_state *state, const struct ktstr_op *op, char *text,
		     size_t size);

#endif /* KTSTR_KIT_STATE_H */
