/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the test's processes hand frames to PID 1: messages of a socket, so that several writers
 * never mix. Large payloads travel as a sealed memfd.
 */
#ifndef KTSTR_GUEST_REPORT_H
#define KTSTR_GUEST_REPORT_H

#include <stddef.h>
#include <stdint.h>

/* Payload that is copied through the socket, at most; what is larger lies in a memfd. */
#define REPORT_INLINE_MAX (16u << 10)

struct report_header {
	uint32_t type;	 /* enum ktstr_frame_type */
	uint32_t length; /* payload bytes */
};

/* A payload as PID 1 gets it. */
struct report {
	uint32_t type, length;
	const uint8_t *data;
	void *mapped; /* NULL: @data lies in @inline_data */
	uint8_t inline_data[sizeof(struct report_header) + REPORT_INLINE_MAX];
};

/* fds[0]: PID 1's end, not blocking; fds[1]: the test's, blocking. -errno. */
int report__open(int fds[2]);

/* As ktstr_guest__send(). */
int report__send(int fd, uint32_t type, const void *head, size_t head_length, const void *body,
		 size_t body_length);

/*
 * Takes one message. 1: @report holds it, report__release() frees it; 0: the last writer has gone;
 * -EAGAIN: none is waiting; -EPROTO: a message that report__send() cannot have sent (skipped);
 * otherwise -errno, of this message alone.
 */
int report__receive(int fd, struct report *report);
void report__release(struct report *report);

#endif /* KTSTR_GUEST_REPORT_H */
