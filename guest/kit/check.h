/* SPDX-License-Identifier: GPL-2.0-only */
/* Judges what a scenario's workers have done. Pure: reports in, failures out. */
#ifndef KTSTR_KIT_CHECK_H
#define KTSTR_KIT_CHECK_H

#include "crew.h"

/* What a set of workers came to as a whole; NaN: nothing was measured. */
struct set_measures {
	uint64_t units;
	double units_per_s;	  /* of all, of the time during which they were to work */
	double cpu_percent;	  /* of one CPU, likewise */
	double spread_percent;	  /* (most - least) / mean of CPU time */
	double variation_percent; /* standard deviation / mean of units */
	double migrations_per_s;  /* of CPU time */
	double imbalance_percent; /* (busiest - mean) / mean of the CPUs that they may use */
	double local_percent;	  /* of pages */
	double missed_percent;	  /* of deadlines */
	double gap_ms;		  /* longest */
	struct ktstr_latencies wake;
};

void check__measure(const struct scenario_state *state, uint32_t set,
		    const struct set_shared *shared, const struct ktstr_scenario_result *result,
		    struct set_measures *measures);

/*
 * Fills result->failures, in the order of sets and checks, and result->verdict, from
 * result->workers, result->disturbed and @measures, one of each set.
 */
void check__judge(const struct scenario_state *state, const struct set_measures *measures,
		  struct ktstr_scenario_result *result);

/* The checks that hold for a set: its own, or the scenario's. */
const struct ktstr_checks *check__of(const struct scenario_state *state, uint32_t set);
bool check__is_made(const struct ktstr_checks *checks, enum ktstr_check_kind kind);
double check__limit(const struct scenario_state *state, const struct ktstr_checks *checks,
		    enum ktstr_check_kind kind);

/* -EINVAL with the reason in @why: a check that has no limit, or one that can't be. */
int check__validate(const struct scenario_state *state, char *why, size_t why_size);

#endif /* KTSTR_KIT_CHECK_H */
