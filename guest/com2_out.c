// SPDX-License-Identifier: GPL-2.0-only
/* Line buffer and escapes of the test's output on COM2. */
#include "com2_out.h"

#include <stdbool.h>
#include <string.h>

#include <ktstr/proto.h>

static bool must_escape(const char *line, size_t length)
{
	static const char *const sentinels[] = {
		KTSTR_COM2_RESULT_START, KTSTR_COM2_RESULT_END, KTSTR_COM2_SKIP,
		KTSTR_COM2_SCHED,	 KTSTR_COM2_EXIT,	KTSTR_COM2_PANIC,
		KTSTR_COM2_LOG,		 KTSTR_COM2_ESCAPE,	KTSTR_COM2_MOUNT,
	};

	for (size_t i = 0; i < sizeof(sentinels) / sizeof(*sentinels); i++) {
		size_t n = strlen(sentinels[i]);

		if (length >= n && !memcmp(line, sentinels[i], n))
			return true;
	}
	return false;
}

static void emit_line(struct com2_out *out, bool whole, com2_emit_fn emit, void *opaque)
{
	if (must_escape(out->line, out->used))
		emit(opaque, KTSTR_COM2_ESCAPE, strlen(KTSTR_COM2_ESCAPE));
	emit(opaque, out->line, out->used);
	emit(opaque, "\n", 1);
	if (!whole)
		emit(opaque, KTSTR_COM2_ESCAPE "\n", strlen(KTSTR_COM2_ESCAPE) + 1);
	out->used = 0;
}

void com2_out__write(struct com2_out *out, const char *data, size_t length, com2_emit_fn emit,
		     void *opaque)
{
	while (length) {
		const char *end = memchr(data, '\n', length);
		size_t n = end ? (size_t)(end - data) : length;
		size_t room = sizeof(out->line) - out->used;

		if (n > room) {
			n = room;
			end = NULL;
		}
		memcpy(out->line + out->used, data, n);
		out->used += n;
		data += n;
		length -= n;
		if (end) {
			emit_line(out, true, emit, opaque);
			data++;
			length--;
		} else if (out->used == sizeof(out->line)) {
			emit_line(out, false, emit, opaque);
		}
	}
}

void com2_out__end(struct com2_out *out, com2_emit_fn emit, void *opaque)
{
	if (out->used)
		emit_line(out, false, emit, opaque);
}
