/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test binary can ask about its role. The constructor behind it (guest/dispatch.c) makes PID
 * 1 of a guest out of the same binary: a program that calls any of these functions is linked with
 * it (harness.h does); one that calls none is not.
 */
#ifndef KTSTR_GUEST_H
#define KTSTR_GUEST_H

#include <stdbool.h>

/* True in the child of PID 1 that runs the test body, and in everything it forks. */
bool ktstr_guest__is_guest(void);

/*
 * The test's arguments from the configuration, [0] included, NULL-terminated; *argc gets their
 * number. NULL and 0 when this is not the guest. They live as long as the process and may be
 * reordered (getopt).
 */
char **ktstr_guest__argv(int *argc);

/*
 * Tells PID 1 why the test is skipped: the last reason given, from any process below the child, is
 * sent with the result. Shortened to KTSTR_GUEST_SKIP_MAX bytes. Nothing happens on the host.
 */
void ktstr_guest__set_skip_reason(const char *reason);
#define KTSTR_GUEST_SKIP_MAX 1023

#endif /* KTSTR_GUEST_H */
