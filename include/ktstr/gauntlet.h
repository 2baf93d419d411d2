/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gauntlet: one test on many machines (KTSTR_GAUNTLET() of harness.h). The machines are
 * presets; a test's limits say which of them it is for, and a time budget picks those that together
 * show most.
 */
#ifndef KTSTR_GAUNTLET_H
#define KTSTR_GAUNTLET_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ktstr_test_attrs;

/* A machine with a name. */
struct ktstr_preset {
	const char *name;
	struct ktstr_topology topology;
	uint32_t memory_mb;
	const char *what; /* what it is there for, in a few words */
};

/* All of them, in the order in which they are reported: [*nr]. */
const struct ktstr_preset *ktstr_presets(size_t *nr);
/* NULL: there is none of that name. */
const struct ktstr_preset *ktstr_preset__find(const char *name);

enum ktstr_smt { KTSTR_SMT_ANY, KTSTR_SMT_REQUIRED, KTSTR_SMT_FORBIDDEN };

/* Which presets a test is for. 0: no limit. */
struct ktstr_gauntlet_limits {
	uint32_t min_cpus, max_cpus;
	uint32_t min_llcs, max_llcs;   /* of the whole machine */
	uint32_t min_nodes, max_nodes; /* NUMA nodes, those of memory alone included */
	enum ktstr_smt smt;
	uint32_t run_s; /* seconds that the body takes, for KTSTR_BUDGET_S; 0: 2 */
};

/* For .gauntlet of a test: KTSTR_GAUNTLET_LIMITS(.min_llcs = 2, .smt = KTSTR_SMT_REQUIRED). */
#define KTSTR_GAUNTLET_LIMITS(...) (&(const struct ktstr_gauntlet_limits){__VA_ARGS__})

/* A way to start the scheduler: what is declared here goes before what the test declares. */
struct ktstr_profile {
	const char *name; /* as the test's in a selection: -t NAME */
	const char *scheduler;
	const char *const *scheduler_args; /* KTSTR_ARGS(...), instead of the test's */
	const char *scheduler_ops;
	const char *kernel_args;
};

/* For .profiles: KTSTR_PROFILES({.name = "default"}, {.name = "short_slice", ...}). */
#define KTSTR_PROFILES(...) ((const struct ktstr_profile[]){__VA_ARGS__, {.name = NULL}})
/* Of a test that declares no profiles. */
#define KTSTR_DEFAULT_PROFILE "default"

/* -EINVAL: @attrs of gauntlet test @name declare a machine, or profiles without names or with the
 * same one. */
int ktstr_gauntlet__check(const char *name, const struct ktstr_test_attrs *attrs,
			  struct ktstr_error *error);

/* Puts the preset and the profile of these names, where there are such, over the test's @attrs. */
void ktstr_gauntlet__apply(struct ktstr_test_attrs *attrs, const char *preset, const char *profile);

/* Where a gauntlet runs, and for how long it may. */
struct ktstr_gauntlet_host {
	uint32_t max_cpus; /* of a machine */
	uint32_t budget_s; /* 0: all the time that it takes */
	bool emulated;	   /* an emulated KVM host: what a machine costs */
};

/*
 * From KTSTR_MAX_CPUS (default: all; in an emulated KVM host 16) and KTSTR_BUDGET_S. -EINVAL: one
 * of these is no number above 0.
 */
int ktstr_gauntlet__host(struct ktstr_gauntlet_host *host, struct ktstr_error *error);

/* A test on a preset with a profile. */
struct ktstr_gauntlet_run {
	const char *test, *profile;
	const struct ktstr_preset *preset;
	const struct ktstr_gauntlet_limits *limits; /* NULL: none */
	/* ktstr_gauntlet__choose() says: */
	uint32_t cost_ms; /* that it takes, about */
	const char *skip; /* NULL: it runs; else why not, one of few constant strings */
	char why[120];	  /* more of that, for a person */
};

/*
 * Chooses the runs: within their limits and the host's, and of these, when there is a budget, those
 * that cover most for their time. -ENOMEM.
 */
int ktstr_gauntlet__choose(struct ktstr_gauntlet_run *runs, size_t nr,
			   const struct ktstr_gauntlet_host *host, struct ktstr_error *error);

#endif /* KTSTR_GAUNTLET_H */
