/* SPDX-License-Identifier: GPL-2.0-only */
/* One machine run for a person, as `run`, `shell` and `rerun` do it. */
#ifndef KTSTR_VMM_CLI_SESSION_H
#define KTSTR_VMM_CLI_SESSION_H

#include <ktstr/vm.h>

#include <stdbool.h>
#include <stdio.h>

#include "../profraw.h"
#include "watch.h"

struct session {
	const char *command; /* "run", for messages */
	struct ktstr_vm_config config;
	const char *report;    /* file for result.json alone; NULL: none */
	const char *artifacts; /* directory of the run's record; NULL: none */
	const char *stats;     /* file for statistics; NULL: standard error */
	bool watching, verbose, no_emulated_host;
	enum ktstr_verdict verdict; /* of the run, when it is over */
	/* While it runs */
	struct watch watch;
	FILE *stats_to;
	int output_err; /* of the first write of output that failed; 0: none, or its reader has gone
			 */
	struct profraw profraw;
};

/* Where output, console and samples go; when all options are known. */
void session__set_output(struct session *s);

/* What the environment says wrongly, before a host is started for it: 0, or the exit status. */
int session__check(const struct session *s);

/*
 * Waits until the host has room for the machine, boots and runs it here. Returns the exit status:
 * that of the guest's command, or what ktstr-run(1) says of other ends, which are told on standard
 * error.
 */
int session__run(struct session *s);

#endif /* KTSTR_VMM_CLI_SESSION_H */
