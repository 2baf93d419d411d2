/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test's machine gets before it starts: room in the host's budget, and from then on a limit,
 * for which kselftest's own does not do: waiting for other machines must not count.
 */
#ifndef KTSTR_VMM_HARNESS_ADMIT_H
#define KTSTR_VMM_HARNESS_ADMIT_H

#include <ktstr/test.h>

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "host_share.h"

struct harness_admission {
	struct host_share share;
	/* What ends the process when it does not end by itself */
	bool armed;
	timer_t timer;
	int fd;	    /* that is told */
	bool group; /* the process has a group of its own, which ends with it */
	char text[512];
};

struct harness_admit {
	key_t key;
	const struct ktstr_vm_config *config;
	const char *what; /* the test, for others who wait */
	const struct ktstr_test_id *id;
	uint64_t limit_ms;
};

/*
 * Waits for room, and says so on @out unless the test is one of several. 0, and the limit runs:
 * when it is over, a line is written to @out's descriptor and the process fails, killed with its
 * group unless SIGKILL is what the test is to end by. @admission must stay where it is.
 * Then @admission->share is the machine's. -ECANCELED: @config->cancel_fd became readable; others
 * as of host_share__take(); -errno: no timer.
 */
int harness_admit__wait(const struct harness_admit *admit, FILE *out,
			struct harness_admission *admission, struct ktstr_error *error);
/* Takes the limit off and gives the room back. An @admission of zeros is allowed. */
void harness_admit__end(struct harness_admission *admission);

#endif /* KTSTR_VMM_HARNESS_ADMIT_H */
