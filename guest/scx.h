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

struct scx_state {
	bool present;	/* the directory exists: the kernel has sched_ext */
	bool have_seq;	/* kernels before 6.12 have no enable_seq */
	char state[16]; /* "enabled", "disabled", ... */
	long long enable_seq;
	char ops[128]; /* root/ops; "" while nothing is attached */
};

/* Reads the directory @dir (/sys/kernel/sched_ext). */
void scx_state__read(const char *dir, struct scx_state *state);

/* Enabled, and not the one that was seen in @before. */
bool scx_state__attached(const struct scx_state *now, const struct scx_state *before);

/* True when the uevent message (NUL-separated, @length bytes) is about sched_ext. */
bool scx__is_uevent(const char *message, size_t length);

/* Collects the last "EXIT: ..." line out of a scheduler's output, in pieces of any size. */
struct scx_exit_line {
	size_t used;
	char line[512]; /* current line; what is beyond is not kept */
	char exit[512]; /* what followed "EXIT: " in the last such line; "" */
	char last[512]; /* last line that is not empty */
};

void scx_exit_line__feed(struct scx_exit_line *parser, const char *data, size_t length);
/* Takes a last line without a newline as well. */
void scx_exit_line__end(struct scx_exit_line *parser);

#endif /* KTSTR_GUEST_SCX_H */
