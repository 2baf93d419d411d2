/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's log (Documentation/ABI/testing/dev-kmsg) as text with a time on each line. */
#ifndef KTSTR_GUEST_KMSG_H
#define KTSTR_GUEST_KMSG_H

#include <stddef.h>

/*
 * One record of /dev/kmsg, @length bytes, as dmesg(1) prints it, with a newline, into @out. Returns
 * the length, 0 when it is no record. @out has room for KMSG_LINE_MAX bytes.
 */
#define KMSG_LINE_MAX 8192u
size_t kmsg__format(const char *record, size_t length, char *out);

/*
 * Reads from @fd (/dev/kmsg, not blocking) what is there into @buf, whole lines. Returns the
 * length; 0: no more is there. @size: at least 2 * KMSG_LINE_MAX.
 */
size_t kmsg__read(int fd, char *buf, size_t size);

#endif /* KTSTR_GUEST_KMSG_H */
