/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel says of sched_ext: /sys/kernel/sched_ext (Documentation/scheduler/sched-ext.rst),
 * its uevents, and the exit line that schedulers print
 * (tools/sched_ext/include/scx/user_exit_info.h).
 */
#ifndef KTSTR_GUEST_SCX_H
#define KTSTR_GUEST_SCX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ktstr/proto.h>

struct scx_state {
	bool present;	/* the directory exists: the kernel has sched_ext */
	bool have_seq;	/* kernels before 6.12 have no enable_seq */
	char state[16]; /* "enabled", "disabled", ... */
	long long enable_seq, hotplug_seq, nr_rejected; /* -1: not there; enable_seq: 0 then */
	char ops[128];					/* root/ops; "" while nothing is attached */
};

/* Reads the directory @dir (/sys/kernel/sched_ext). */
void scx_state__read(const char *dir, struct scx_state *state);

/* Enabled, and not the one that was seen in @before. */
bool scx_state__attached(const struct scx_state *now, const struct scx_state *before);

/* True when the uevent message (NUL-separated, @length bytes) is about sched_ext. */
bool scx__is_uevent(const char *message, size_t length);

/* root/events as it is, at most KTSTR_SCX_EVENTS_MAX bytes; "" while nothing is attached. */
void scx__read_events(const char *dir, char events[KTSTR_SCX_EVENTS_MAX + 1]);

/* How sched_ext ended a scheduler. */
struct scx_exit {
	uint32_t kind; /* enum ktstr_scx_exit */
	int32_t cpu;   /* -1: not known */
	char reason[KTSTR_SCX_REASON_MAX + 1], message[KTSTR_SCX_MESSAGE_MAX + 1];
};

/* From what follows "EXIT: " in a scheduler's output: "REASON (MESSAGE) on CPU N". */
void scx_exit__parse(struct scx_exit *exit, const char *line);

/*
 * From kernel log records (Documentation/ABI/testing/dev-kmsg) that @fd, which does not block, has
 * from its position on: the end of the scheduler @ops ("": of any). False when none says so.
 */
bool scx_exit__read_log(struct scx_exit *exit, int fd, const char *ops);

/* Collects the last "EXIT: ..." line and debug dump of a scheduler's output, in pieces of any size.
 */
struct scx_exit_line {
	size_t used;
	char line[1400]; /* current line; what is beyond is not kept */
	char exit[1400]; /* what followed "EXIT: " in the last such line; "" */
	char last[512];	 /* last line that is not empty */
	enum { SCX_NO_DUMP, SCX_DUMP_TITLE, SCX_IN_DUMP } dump_state;
	size_t dump_used;
	char dump[KTSTR_SCX_DUMP_MAX];
};

void scx_exit_line__feed(struct scx_exit_line *parser, const char *data, size_t length);
/* Takes a last line without a newline as well; takes the last newlines off the dump. */
void scx_exit_line__end(struct scx_exit_line *parser);

#endif /* KTSTR_GUEST_SCX_H */
