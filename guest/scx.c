// SPDX-License-Identifier: GPL-2.0-only
/* State, uevents and exit lines of sched_ext. */
#include "scx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

void scx_state__read(const char *dir, struct scx_state *state)
{
	char path[512], seq[32];

	memset(state, 0, sizeof(*state));
	snprintf(path, sizeof(path), "%s/state", dir);
	if (guest__read_line(path, state->state, sizeof(state->state)))
		return;
	state->present = true;
	snprintf(path, sizeof(path), "%s/enable_seq", dir);
	if (!guest__read_line(path, seq, sizeof(seq))) {
		state->have_seq = true;
		state->enable_seq = strtoll(seq, NULL, 10);
	}
	snprintf(path, sizeof(path), "%s/root/ops", dir);
	(void)guest__read_line(path, state->ops, sizeof(state->ops));
}

bool scx_state__attached(const struct scx_state *now, const struct scx_state *before)
{
	/* root/ops can be gone already while state still says "enabled" */
	if (strcmp(now->state, "enabled") || !now->ops[0])
		return false;
	return !now->have_seq || now->enable_seq > before->enable_seq;
}

bool scx__is_uevent(const char *message, size_t length)
{
	/* first string: ACTION@DEVPATH (lib/kobject_uevent.c) */
	size_t n = strnlen(message, length);
	const char *at = memchr(message, '@', n);
	static const char path[] = "/kernel/sched_ext/";

	if (!at)
		return false;
	n -= (size_t)(at + 1 - message);
	return n >= sizeof(path) - 1 && !memcmp(at + 1, path, sizeof(path) - 1);
}

static void end_line(struct scx_exit_line *parser)
{
	static const char prefix[] = "EXIT: ";

	parser->line[parser->used] = '\0';
	if (!strncmp(parser->line, prefix, sizeof(prefix) - 1))
		snprintf(parser->exit, sizeof(parser->exit), "%s",
			 parser->line + sizeof(prefix) - 1);
	if (parser->used)
		memcpy(parser->last, parser->line, parser->used + 1);
	parser->used = 0;
}

void scx_exit_line__feed(struct scx_exit_line *parser, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] == '\n')
			end_line(parser);
		else if (parser->used + 1 < sizeof(parser->line))
			parser->line[parser->used++] = data[i] ? data[i] : ' ';
	}
}

void scx_exit_line__end(struct scx_exit_line *parser)
{
	if (parser->used)
		end_line(parser);
}
