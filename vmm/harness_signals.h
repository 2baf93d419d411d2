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
/*
 * The process may end by a signal of its own choice again, which leaves no core; the three above,
 * those included that have come, are ignored unless it sets them to SIG_DFL.
 */
void harness_signals__close(int fd);

#endif /* KTSTR_VMM_HARNESS_SIGNALS_H */
