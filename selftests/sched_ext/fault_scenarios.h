/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Scenarios in whose second step the fault of scx_ktstr begins, each with the checks that are to
 * see one or the other, and limits that a slow host keeps by far. They are for FAULT_TOPOLOGY.
 */
#ifndef FAULT_SCENARIOS_H
#define FAULT_SCENARIOS_H

#include <ktstr/scenario.h>

#define FAULT_TOPOLOGY TOPO(2, 2, 1, 1)

extern const struct ktstr_scenario faults_busy;	    /* "spin": more tasks than CPUs */
extern const struct ktstr_scenario faults_calm;	    /* "yield": as many as CPUs */
extern const struct ktstr_scenario faults_wakes;    /* "burst": wake up often */
extern const struct ktstr_scenario faults_confined; /* "spin": in a cgroup of one LLC's CPUs */
extern const struct ktstr_scenario faults_local;    /* "cache": on the node of its memory */

/* Lets the fault of the scheduler that runs begin: SIGUSR1. 0 or -errno. */
int fault__begin(void *unused);

/*
 * Runs @scenario, and says whether the checks @expected (a bit each) have failed, all in the second
 * step as far as they say when, and of the functional ones no other; prints what is not so. With
 * @expected 0: whether it passed, or only measured limits were broken on a disturbed host.
 */
bool fault_scenario__fails(const struct ktstr_scenario *scenario, uint32_t expected);

/* Runs @scenario, of any kind, and says whether all of @checks have failed, and maybe others. */
bool fault_scenario__sees(const struct ktstr_scenario *scenario, uint32_t checks);

#endif /* FAULT_SCENARIOS_H */
