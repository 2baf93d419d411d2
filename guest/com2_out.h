/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test's output on COM2, while port 1 is not open: whole lines, escaped so that none can be
 * taken for a sentinel (ktstr/proto.h).
 */
#ifndef KTSTR_GUEST_COM2_OUT_H
#define KTSTR_GUEST_COM2_OUT_H

#include <stddef.h>

#define COM2_OUT_LINE 4096u

/* One a stream; zeroed at the start. */
struct com2_out {
	size_t used; /* of the line that has no end yet */
	char line[COM2_OUT_LINE];
};

/* @emit gets bytes ready for COM2. */
typedef void (*com2_emit_fn)(void *opaque, const char *data, size_t length);

void com2_out__write(struct com2_out *out, const char *data, size_t length, com2_emit_fn emit,
		     void *opaque);
/* Writes the last line when it has no newline. */
void com2_out__end(struct com2_out *out, com2_emit_fn emit, void *opaque);

#endif /* KTSTR_GUEST_COM2_OUT_H */
