/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's way to the scheduler's statistics: lines of requests from a virtio-console port go to
 * the scheduler's socket, its lines of responses come back. Each request gets one line: where the
 * scheduler gives none, it is one of ours, {"errno":N,"args":{"resp":"why"}}.
 *
 * It lives in the epoll set of its owner, never blocks, and holds no more than its two buffers:
 * whoever is slow is waited for by not reading from the other.
 */
#ifndef KTSTR_GUEST_RELAY_H
#define KTSTR_GUEST_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A request, newline included; a longer one is answered with EMSGSIZE. */
#define RELAY_REQUEST_MAX 4096u
#define RELAY_RESPONSE_BUFFER 65536u

struct relay_end {
	int fd;		 /* -1: closed */
	uint32_t events; /* asked for in the epoll set; 0: not in it */
};

struct relay {
	int epoll;
	const char *path;
	struct relay_end port, socket;
	bool scheduler_up;

	char requests[RELAY_REQUEST_MAX]; /* whole lines, and the beginning of one */
	size_t requests_length;
	size_t sent;	/* bytes of the first line that the socket took */
	bool skipping;	/* a line that is too long, until its end */
	bool half_shut; /* the scheduler reads no more; what it wrote is still to come */

	char responses[RELAY_RESPONSE_BUFFER];
	size_t responses_start, responses_end; /* what the port has not taken */
	bool in_response;		       /* the scheduler's last byte was no newline */

	uint32_t unanswered; /* requests that the scheduler has, or lost */
	uint32_t owed;	     /* lines of ours that are still to be written */
	int owed_errno;
	const char *owed_why;
};

/*
 * @port is non-blocking and then the relay's; -1: none, and the relay does nothing. @epoll and
 * @path stay the caller's.
 */
void relay__init(struct relay *relay, int epoll, int port, const char *path);
/* Also where it was never opened; a relay of zeroes is not one. */
void relay__close(struct relay *relay);

/* The scheduler is attached, or is gone; at first it is gone. */
void relay__set_scheduler(struct relay *relay, bool up);

/* An event of the set: true, and it is dealt with, when its @tag (data.ptr) is the relay's. */
bool relay__event(struct relay *relay, const void *tag, uint32_t events);

#endif /* KTSTR_GUEST_RELAY_H */
