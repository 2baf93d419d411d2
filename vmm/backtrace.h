/* SPDX-License-Identifier: GPL-2.0-only */
/* Names and source lines for the backtrace of a program that crashed in a guest. */
#ifndef KTSTR_VMM_BACKTRACE_H
#define KTSTR_VMM_BACKTRACE_H

#define BACKTRACE_FRAMES 64u /* more lines are not looked at */

/*
 * @report: a line, then one a frame as ktstr/proto.h has it for COM2; from a guest, so whatever is
 * in it. @init: the host's file that was /init there, or NULL. Libraries are those at the same
 * paths here. Returns the frames as "#0 function (file.c:12)" lines, as much of it as is known, to
 * be freed; NULL: no frames, or no memory. What cannot be found, and a host without libdw, leave a
 * frame's line as it came.
 */
char *backtrace__resolve(const char *report, const char *init);

#endif /* KTSTR_VMM_BACKTRACE_H */
