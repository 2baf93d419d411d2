/* SPDX-License-Identifier: GPL-2.0-only */
/* Signals to the process that stands for a test. */
#ifndef KTSTR_VMM_HARNESS_SIGNALS_H
#define KTSTR_VMM_HARNESS_SIGNALS_H

/*
 * From here on SIGINT, SIGTERM and SIGHUP arrive as something to read, and so does the parent's
 * death, as SIGTERM: kselftest gives each test a process group of its own, and nothing else tells
 * it of the end. Returns the descriptor or -1.
 */
int harness_signals__open(void);
/* Signals are signals again; the process may end by one, and leaves no core. */
void harness_signals__close(int fd);

#endif /* KTSTR_VMM_HARNESS_SIGNALS_H */
