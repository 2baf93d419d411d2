/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The workers of a running scenario as the process that runs it has them: starts and ends them,
 * and reads what they have done.
 */
#ifndef KTSTR_KIT_CREW_H
#define KTSTR_KIT_CREW_H

#include <sys/resource.h>
#include <sys/types.h>

#include "state.h"
#include "works.h"

/* A set is waited for so long: to be ready, and to end when it is killed. */
#define CREW_TIMEOUT_MS 10000u
/* Of a look at progress at most so much counts, so that a host that took the CPUs away starves
 * nobody. */
#define CREW_LOOK_MS 100u

/* What is known of a worker beside what it shares. */
struct crew_worker {
	pid_t pid; /* its process, or its leader's; 0: none */
	int pidfd; /* -1: none */
	uint64_t active_ns, cpu_ns, delay_ns, pages, local_pages;
	uint64_t set_up_cpu_ns, set_up_delay_ns; /* of this life, before it was to work */
	uint64_t seen_units, idle_ns;		 /* since it was last seen to have done one */
	uint64_t longest_idle_ns;
	struct ktstr_worker_event idle;	    /* when that was */
	int32_t exit_code, exit_signal;	    /* before it was told to end */
	bool has_ended, is_stuck, was_late; /* it was not ready in time */
	bool ended_by_itself;
};

struct crew_set {
	int *fds;
	uint32_t nr_fds;
	uint64_t since_ns; /* it has been active */
};

struct crew {
	struct scenario_state *state; /* the runner's */
	struct kit_shared *kit;	      /* the mapping, which the others lie in */
	struct set_shared *sets;
	struct worker_shared *shared;
	struct crew_worker *workers;
	struct crew_set own[KTSTR_SCENARIO_MAX_SETS];
	size_t mapped;
	struct rlimit files; /* as it was */
	uint64_t looked_ns;  /* when progress was last looked at */
};

/* Memory for all, and the speed of computing. 0 or -errno. */
int crew__create(struct crew *crew, struct scenario_state *state);
/* Ends whoever is left. */
void crew__destroy(struct crew *crew);

/* The set's workers as declared, in the state's cgroup, ready; @why has 256 bytes. -errno. */
int crew__start(struct crew *crew, uint32_t set, char *why);
/* They work from now on. */
void crew__go(struct crew *crew, uint32_t set);
/* Reads what is only there while they live, and kills them. */
void crew__stop(struct crew *crew, uint32_t set);
/* Of all sets: nobody has the machine for themselves meanwhile. */
void crew__stop_all(struct crew *crew);

/* It runs again in an instant: what passed until now was not its time. */
void crew__thaw(struct crew *crew, uint32_t set);

/* What the state now says of the set: -errno. */
int crew__move(struct crew *crew, uint32_t set);
int crew__set_cpus(struct crew *crew, uint32_t set, const struct cpu_bits *cpus);
int crew__set_policy(struct crew *crew, uint32_t set, int policy, int priority);
int crew__set_nice(struct crew *crew, uint32_t set, int nice);

/* Between these two, what workers may do is changed; the second one tells them. */
void crew__begin_change(struct crew *crew);
void crew__end_change(struct crew *crew, uint32_t step);

/* Since the last look the state was as it is now: notes progress, and who has ended. */
void crew__look(struct crew *crew);

/* The report of worker @index of all. */
void crew__report(const struct crew *crew, uint32_t set, uint32_t index,
		  struct ktstr_worker_report *report);

#endif /* KTSTR_KIT_CREW_H */
