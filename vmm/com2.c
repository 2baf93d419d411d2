// SPDX-License-Identifier: GPL-2.0-only
/* Line-based reader of COM2. */
#include "com2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ktstr/proto.h>

int com2__init(struct com2 *com2, com2_output_fn output, void *opaque)
{
	memset(com2, 0, sizeof(*com2));
	com2->output = output;
	com2->opaque = opaque;
	com2->panic = calloc(1, COM2_PANIC + 1);
	com2->log = calloc(1, COM2_LOG + 1);
	com2->line = calloc(1, COM2_LINE + 1);
	if (com2->panic && com2->log && com2->line)
		return 0;
	com2__destroy(com2);
	return -ENOMEM;
}

void com2__destroy(struct com2 *com2)
{
	free(com2->panic);
	free(com2->log);
	free(com2->line);
	memset(com2, 0, sizeof(*com2));
}

static void keep(struct com2 *com2, const char *data, size_t length)
{
	if (length > COM2_LOG / 2) {
		com2->log_dropped += length - COM2_LOG / 2;
		data += length - COM2_LOG / 2;
		length = COM2_LOG / 2;
	}
	if (com2->log_length + length > COM2_LOG) { /* half at a time: each byte moves once */
		size_t drop = com2->log_length - COM2_LOG / 2;

		memmove(com2->log, com2->log + drop, COM2_LOG / 2);
		com2->log_length -= drop;
		com2->log_dropped += drop;
	}
	memcpy(com2->log + com2->log_length, data, length);
	com2->log_length += length;
	com2->log[com2->log_length] = '\0';
}

/* The rest of @line when it begins with @key; NULL otherwise. */
static const char *after(const char *line, const char *key)
{
	size_t n = strlen(key);

	return strncmp(line, key, n) ? NULL : line + n;
}

static void copy(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

static void output(struct com2 *com2, const char *data, size_t length)
{
	if (com2->output && length)
		com2->output(com2->opaque, data, length);
}

static void pay_newline(struct com2 *com2)
{
	if (com2->newline_owed)
		output(com2, "\n", 1);
	com2->newline_owed = false;
}

static void add_panic(struct com2 *com2, const char *line, size_t length)
{
	size_t room = COM2_PANIC - com2->panic_length;

	if (length + 1 > room)
		return;
	memcpy(com2->panic + com2->panic_length, line, length);
	com2->panic_length += length;
	com2->panic[com2->panic_length++] = '\n';
	com2->panic[com2->panic_length] = '\0';
}

static void read_exit(struct com2 *com2, const char *value)
{
	unsigned int code = 0;
	const char *p = value;

	for (; *p >= '0' && *p <= '9' && p - value < 4; p++)
		code = code * 10 + (unsigned int)(*p - '0');
	if (p == value || *p || code > 255 || com2->have_exit)
		return;
	com2->have_exit = true;
	com2->exit_code = (uint8_t)code;
}

static void read_sched(struct com2 *com2, const char *value)
{
	if (com2->sched_kind || value[0] < '1' || value[0] > '3' || value[1] != ' ')
		return;
	com2->sched_kind = (uint32_t)(value[0] - '0');
	copy(com2->sched_text, sizeof(com2->sched_text), value + 2);
}

/* Lines that are not the test's. False when @line is none of them. */
static bool read_own(struct com2 *com2, const char *line, size_t length)
{
	const char *value;

	if (after(line, KTSTR_COM2_PANIC)) {
		com2->panicked = true;
		add_panic(com2, line, length);
	} else if (!strcmp(line, KTSTR_COM2_RESULT_START)) {
		com2->result_started = true;
	} else if (!strcmp(line, KTSTR_COM2_RESULT_END)) {
		pay_newline(com2);
		com2->result_ended = com2->result_started;
	} else if ((value = after(line, KTSTR_COM2_SKIP))) {
		copy(com2->skip_reason, sizeof(com2->skip_reason), value);
	} else if ((value = after(line, KTSTR_COM2_SCHED))) {
		read_sched(com2, value);
	} else if ((value = after(line, KTSTR_COM2_EXIT))) {
		read_exit(com2, value);
	} else if ((value = after(line, KTSTR_COM2_MOUNT))) {
		if (!com2->mount_failed)
			copy(com2->mount_text, sizeof(com2->mount_text), value);
		com2->mount_failed = true;
	} else {
		return after(line, KTSTR_COM2_LOG) != NULL;
	}
	return true;
}

static void read_output(struct com2 *com2, const char *line, size_t length, bool whole)
{
	if (!com2->continued && !strcmp(line, KTSTR_COM2_ESCAPE)) {
		com2->newline_owed = false;
		return;
	}
	if (!com2->continued && after(line, KTSTR_COM2_ESCAPE)) {
		line += strlen(KTSTR_COM2_ESCAPE);
		length -= strlen(KTSTR_COM2_ESCAPE);
	}
	pay_newline(com2);
	output(com2, line, length);
	com2->newline_owed = whole;
}

static void end_line(struct com2 *com2, bool whole)
{
	size_t length = com2->line_length;
	char *line = com2->line;

	if (whole && length && line[length - 1] == '\r' && !com2->result_started)
		length--;
	line[length] = '\0';
	com2->line_length = 0;
	if (com2->panicked)
		add_panic(com2, line, length);
	else if ((com2->continued || !read_own(com2, line, length)) && com2->result_started &&
		 !com2->result_ended)
		read_output(com2, line, length, whole);
	com2->continued = !whole;
}

void com2__feed(struct com2 *com2, const void *data, size_t length)
{
	const char *p = data;

	if (!length)
		return;
	com2->spoke = true;
	keep(com2, p, length);
	while (length) {
		const char *end = memchr(p, '\n', length);
		size_t n = end ? (size_t)(end - p) : length;
		size_t room = COM2_LINE - com2->line_length;

		if (n > room) {
			n = room;
			end = NULL;
		}
		memcpy(com2->line + com2->line_length, p, n);
		com2->line_length += n;
		p += n;
		length -= n;
		if (end) {
			end_line(com2, true);
			p++;
			length--;
		} else if (com2->line_length == COM2_LINE) {
			end_line(com2, false);
		}
	}
}

void com2__end(struct com2 *com2)
{
	if (com2->line_length)
		end_line(com2, false);
	pay_newline(com2);
}
