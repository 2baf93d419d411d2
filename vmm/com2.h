/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's reader of COM2 (ktstr/proto.h): PID 1's own lines, a crash of PID 1, and the result
 * while port 1 is not open. Memory is bounded whatever the guest writes.
 */
#ifndef KTSTR_VMM_COM2_H
#define KTSTR_VMM_COM2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM2_LINE 8192u	       /* a longer line is cut into pieces */
#define COM2_LOG (256u << 10)  /* of everything received; the oldest is dropped */
#define COM2_PANIC (16u << 10) /* the first bytes of a report */

/* The test's output, unescaped. */
typedef void (*com2_output_fn)(void *opaque, const char *data, size_t length);

struct com2 {
	com2_output_fn output; /* may be NULL */
	void *opaque;
	/* What was read: */
	bool spoke; /* PID 1 wrote something */
	bool result_started, result_ended;
	bool have_exit;
	uint8_t exit_code;
	uint32_t sched_kind; /* enum ktstr_sched_exit_kind; 0: none. The first one stays. */
	char sched_text[1024];
	char skip_reason[1024];
	bool mount_failed;
	char mount_text[384]; /* of the first one */
	bool panicked;
	char *panic; /* "PANIC: ..." and the lines after it; "" until then */
	char *log;   /* NUL-terminated, bounded */
	size_t log_length;
	uint64_t log_dropped; /* bytes */
	/* Parser: */
	size_t panic_length, line_length;
	bool newline_owed; /* of the test's output: it is known with the next line whether it is its
			    */
	bool continued;	   /* the line in hand is a piece of one that was too long */
	char *line;
};

/* -ENOMEM. */
int com2__init(struct com2 *com2, com2_output_fn output, void *opaque);
void com2__destroy(struct com2 *com2);
void com2__feed(struct com2 *com2, const void *data, size_t length);
/* No more comes: takes a last line that has no newline. */
void com2__end(struct com2 *com2);

#endif /* KTSTR_VMM_COM2_H */
