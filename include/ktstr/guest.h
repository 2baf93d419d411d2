/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test binary can ask about its role. The constructor behind it (guest/dispatch.c) makes PID
 * 1 of a guest out of the same binary: a program that calls any of these functions is linked with
 * it (harness.h does); one that calls none is not.
 */
#ifndef KTSTR_GUEST_H
#define KTSTR_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/*
 * Sends the host one frame of enum ktstr_frame_type (ktstr/proto.h), whose payload is @head and
 * then
 * @body; either may be empty. From the test's process and any that it forks, but not after an
 * exec. Only SCST, SCEN, STIM, PRAW, PMET and RAWO; the others are PID 1's. Frames of one process
 * arrive in order, behind what it had printed. Returns when PID 1 has it; waits while the host is
 * slow. -ENOTCONN: not in a guest, or the descriptor was closed; -EINVAL: another type, or more
 * than KTSTR_FRAME_MAX_PAYLOAD; otherwise -errno of the kernel.
 */
int ktstr_guest__send(uint32_t type, const void *head, size_t head_length, const void *body,
		      size_t body_length);

/* Of ktstr_guest__send(): a scenario begins, and ends with @exit_code (KSFT_PASS, ...). */
int ktstr_scenario__start(const char *name);
int ktstr_scenario__end(const char *name, int exit_code);

/* Likewise: says that something was just done to the system under test, in step @step. */
int ktstr_stimulus__send(uint32_t step, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif /* KTSTR_GUEST_H */
