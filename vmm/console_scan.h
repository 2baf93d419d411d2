/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recognises in the kernel's console text (COM1) that the kernel died, oopsed, ran out of memory or
 * stalled, or that the program before init (guest/stage1/) gave up. A program in the guest that
 * writes to /dev/console or /dev/kmsg can imitate these lines: they must have a kernel message's
 * shape, but a hostile guest can fail its own run this way.
 */
#ifndef KTSTR_VMM_CONSOLE_SCAN_H
#define KTSTR_VMM_CONSOLE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ktstr/vm.h>

#define CONSOLE_SCAN_LINE 1024u /* what is beyond in a line is not looked at */

struct console_event {
	enum ktstr_verdict verdict; /* KTSTR_VERDICT_NONE: nothing was recognised */
	char cause[320];	    /* one line, without the timestamp */
	uint64_t position;	    /* byte of the stream at which the line begins */
	uint64_t line;		    /* its number, from 1 */
};

struct console_scan {
	struct console_event first;
	bool panicked; /* "Kernel panic - not syncing" came, first or later: no more will run */
	/* Parser: */
	uint64_t received, position, nr_line; /* position: where the line in hand begins */
	uint32_t rip_lines; /* lines in which the RIP of the first oops or stall is looked for */
	size_t length;
	char buf[CONSOLE_SCAN_LINE + 1];
};

void console_scan__init(struct console_scan *scan);

/* Returns true when this call recognised the first event (its RIP may be added to the cause later).
 */
bool console_scan__feed(struct console_scan *scan, const void *data, size_t length);
/* No more comes: looks at a last line that has no newline. Returns as feed. */
bool console_scan__end(struct console_scan *scan);

#endif /* KTSTR_VMM_CONSOLE_SCAN_H */
