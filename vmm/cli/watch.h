/* SPDX-License-Identifier: GPL-2.0-only */
/* `ktstr run --watch`: the host monitor's samples as one line of the terminal that is rewritten. */
#ifndef KTSTR_VMM_CLI_WATCH_H
#define KTSTR_VMM_CLI_WATCH_H

#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch {
	bool rewrite; /* a terminal: one line; otherwise a line a sample */
	bool shown;   /* our line is on the terminal, and the cursor at its end */
	uint64_t last_ns, last_user_exits, last_exits, last_run_ns, last_steal_ns;
};

/* To stderr. A ktstr_sample_fn; @opaque is struct watch, zeroed but for @rewrite. */
void watch__sample(void *opaque, const struct ktstr_sample *sample);

/* What is shown, without its newline: "12.3 s  the test  exits 812 (+3/s) ..." As snprintf. */
int watch__format(struct watch *watch, const struct ktstr_sample *sample, char *buf, size_t size);

/* Takes our line off the terminal, before something else is written there. */
void watch__clear(struct watch *watch);

#endif /* KTSTR_VMM_CLI_WATCH_H */
