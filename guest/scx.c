// SPDX-License-Identifier: GPL-2.0-only
/* State, uevents and exit reports of sched_ext. */
#include "scx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ktstr/vm.h>

#include "config.h"

#define LOG_RECORDS_MAX 65536u
#define LOG_RECORD_MAX 8192u /* more than a record of the kernel's log has */

static long long read_number(const char *dir, const char *name)
{
	char path[512], text[32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return guest__read_line(path, text, sizeof(text)) ? -1 : strtoll(text, NULL, 10);
}

void scx_state__read(const char *dir, struct scx_state *state)
{
	char path[512];

	memset(state, 0, sizeof(*state));
	snprintf(path, sizeof(path), "%s/state", dir);
	if (guest__read_line(path, state->state, sizeof(state->state)))
		return;
	state->present = true;
	state->enable_seq = read_number(dir, "enable_seq");
	state->have_seq = state->enable_seq >= 0;
	if (!state->have_seq)
		state->enable_seq = 0;
	state->hotplug_seq = read_number(dir, "hotplug_seq");
	state->nr_rejected = read_number(dir, "nr_rejected");
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

void scx__read_events(const char *dir, char events[KTSTR_SCX_EVENTS_MAX + 1])
{
	char path[512];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/root/events", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, events, KTSTR_SCX_EVENTS_MAX); /* one page at most: one read */
		close(fd);
	}
	events[n < 0 ? 0 : n] = '\0';
}

/* The texts of the kernel's scx_exit_reason(); the same since sched_ext came, in Linux 6.12. */
static uint32_t kind_of(const char *reason)
{
	static const struct {
		const char *text;
		enum ktstr_scx_exit kind;
	} reasons[] = {
		{"unregistered from user space", KTSTR_SCX_EXIT_UNREG},
		{"unregistered from BPF", KTSTR_SCX_EXIT_UNREG_BPF},
		{"unregistered from the main kernel", KTSTR_SCX_EXIT_UNREG_KERN},
		{"disabled by sysrq-S", KTSTR_SCX_EXIT_SYSRQ},
		{"parent exiting", KTSTR_SCX_EXIT_PARENT},
		{"killed by parent scheduler", KTSTR_SCX_EXIT_PARENT_KILL},
		{"runtime error", KTSTR_SCX_EXIT_ERROR},
		{"scx_bpf_error", KTSTR_SCX_EXIT_ERROR_BPF},
		{"runnable task stall", KTSTR_SCX_EXIT_ERROR_STALL},
		{"reenqueue limit", KTSTR_SCX_EXIT_ERROR_REENQ},
		{"rescue bandwidth overload", KTSTR_SCX_EXIT_ERROR_RESCUE},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (!strcmp(reason, reasons[i].text))
			return reasons[i].kind;
	return KTSTR_SCX_EXIT_NONE;
}

static void copy(char *to, size_t size, const char *from, size_t length)
{
	if (length > size - 1)
		length = size - 1;
	memcpy(to, from, length);
	to[length] = '\0';
}

/* Takes " on CPU N" off the end of the line of *length bytes. -1: it has none. */
static int32_t take_cpu(const char *line, size_t *length)
{
	static const char on[] = " on CPU ";
	const size_t on_length = sizeof(on) - 1;
	size_t digits = 0;
	long cpu;

	while (digits < *length && line[*length - digits - 1] >= '0' &&
	       line[*length - digits - 1] <= '9')
		digits++;
	if (!digits || digits > 6 || *length < digits + on_length ||
	    memcmp(line + *length - digits - on_length, on, on_length))
		return -1;
	cpu = strtol(line + *length - digits, NULL, 10);
	*length -= digits + on_length;
	return (int32_t)cpu;
}

void scx_exit__parse(struct scx_exit *exit, const char *line)
{
	size_t length = strlen(line);
	const char *open;

	*exit = (struct scx_exit){.cpu = take_cpu(line, &length)};
	open = memmem(line, length, " (", 2); /* no reason has one */
	if (open && line[length - 1] == ')') {
		copy(exit->reason, sizeof(exit->reason), line, (size_t)(open - line));
		copy(exit->message, sizeof(exit->message), open + 2,
		     (size_t)(line + length - 1 - (open + 2)));
	} else {
		copy(exit->reason, sizeof(exit->reason), line, length);
	}
	exit->kind = kind_of(exit->reason);
}

/* One line of the log, without the head of its record. */
static bool read_log_line(struct scx_exit *exit, const char *line, const char *ops)
{
	static const char disabled[] = "sched_ext: BPF scheduler \"";
	static const char prefix[] = "sched_ext: ";
	const char *name = line + sizeof(disabled) - 1, *at;
	size_t n = strlen(ops);

	if (!strncmp(line, disabled, sizeof(disabled) - 1)) {
		at = strstr(name, "\" disabled (");
		if (!at || line[strlen(line) - 1] != ')' ||
		    (n && ((size_t)(at - name) != n || memcmp(name, ops, n))))
			return false;
		at += strlen("\" disabled (");
		*exit = (struct scx_exit){.cpu = -1};
		copy(exit->reason, sizeof(exit->reason), at, strlen(at) - 1);
		exit->kind = kind_of(exit->reason);
		return true;
	}
	/* the message of an error follows its reason */
	if (exit->reason[0] && !exit->message[0] && n &&
	    !strncmp(line, prefix, sizeof(prefix) - 1) &&
	    !strncmp(line + sizeof(prefix) - 1, ops, n) &&
	    !strncmp(line + sizeof(prefix) - 1 + n, ": ", 2)) {
		at = line + sizeof(prefix) - 1 + n + 2;
		copy(exit->message, sizeof(exit->message), at, strlen(at));
	}
	return false;
}

bool scx_exit__read_log(struct scx_exit *exit, int fd, const char *ops)
{
	struct scx_exit found = {.cpu = -1};
	char buf[LOG_RECORD_MAX], *save, *line, *text;
	uint32_t records = LOG_RECORDS_MAX; /* a kernel may print faster than this reads */
	bool seen = false;
	ssize_t n;

	/* EPIPE: the oldest records are gone; the next read goes on with those that are left */
	while (records-- &&
	       ((n = read(fd, buf, sizeof(buf) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		if (n < 0)
			continue;
		buf[n] = '\0';
		for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			text = strchr(line, ';');
			/* Facility 0 is the kernel's: what programs wrote has another. */
			if (text && line[0] != ' ' && strtoul(line, NULL, 10) < 8 &&
			    read_log_line(&found, text + 1, ops))
				seen = true;
		}
	}
	if (seen)
		*exit = found;
	return seen;
}

/* tools/sched_ext draws 80 of them before and after the dump */
static bool is_rule(const char *line, size_t length)
{
	return length >= 20 && strspn(line, "=") == length;
}

/* What does not fit in whole is cut: nothing follows a gap. */
static void add_to_dump(struct scx_exit_line *parser)
{
	size_t room = sizeof(parser->dump) - parser->dump_used, n = parser->used;

	if (!n && !parser->dump_used) /* the empty line behind the rule */
		return;
	parser->line[n] = '\n';
	n = n + 1 < room ? n + 1 : room;
	memcpy(parser->dump + parser->dump_used, parser->line, n);
	parser->dump_used += n;
	parser->line[parser->used] = '\0';
}

static void end_line(struct scx_exit_line *parser)
{
	static const char prefix[] = "EXIT: ";

	parser->line[parser->used] = '\0';
	if (!strncmp(parser->line, prefix, sizeof(prefix) - 1)) {
		parser->dump_state = SCX_NO_DUMP;
		snprintf(parser->exit, sizeof(parser->exit), "%s",
			 parser->line + sizeof(prefix) - 1);
	} else if (!strcmp(parser->line, "DEBUG DUMP")) {
		parser->dump_state = SCX_DUMP_TITLE;
	} else if (is_rule(parser->line, parser->used)) {
		if (parser->dump_state == SCX_DUMP_TITLE)
			parser->dump_used = 0;
		parser->dump_state =
			parser->dump_state == SCX_DUMP_TITLE ? SCX_IN_DUMP : SCX_NO_DUMP;
	} else if (parser->dump_state == SCX_IN_DUMP) {
		add_to_dump(parser);
	} else {
		parser->dump_state = SCX_NO_DUMP;
	}
	if (parser->used)
		copy(parser->last, sizeof(parser->last), parser->line, parser->used);
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
	while (parser->dump_used && parser->dump[parser->dump_used - 1] == '\n')
		parser->dump_used--;
}
