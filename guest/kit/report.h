/* SPDX-License-Identifier: GPL-2.0-only */
/* Says what a scenario came to: on standard output as TAP diagnostics, and to the host (PMET). */
#ifndef KTSTR_KIT_REPORT_H
#define KTSTR_KIT_REPORT_H

#include "check.h"

/* A line for each failure, one for each set of workers; metrics of each set to the host. */
void kit_report__print(const struct scenario_state *state, const struct set_measures *measures,
		       const char *name, const struct ktstr_scenario_result *result);
void kit_report__send(const struct scenario_state *state, const struct set_measures *measures,
		      const char *name, const struct ktstr_scenario_result *result);

#endif /* KTSTR_KIT_REPORT_H */
