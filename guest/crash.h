/* SPDX-License-Identifier: GPL-2.0-only */
/* Crash of PID 1: "PANIC: ..." with a backtrace on COM2 (descriptor 2), then the machine ends. */
#ifndef KTSTR_GUEST_CRASH_H
#define KTSTR_GUEST_CRASH_H

/* Handlers on a stack of their own, for this process. 0 or -errno. */
int crash__install(void);

/* Default actions again; a child calls it first. */
void crash__reset(void);

#endif /* KTSTR_GUEST_CRASH_H */
