/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's end of the statistics relay (virtio-console port 2): a request each interval while the
 * test runs, one line of response each. The guest may send anything: memory is bounded, only JSON
 * objects that were asked for are passed on, and what else came is counted and said.
 */
#ifndef KTSTR_VMM_STATS_H
#define KTSTR_VMM_STATS_H

#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct loop_source;

/* A response, its newline not counted. */
#define STATS_RESPONSE_MAX (1u << 20)

struct stats_ops {
	void *opaque;
	/* To the guest; returns how much was taken. */
	size_t (*send)(void *opaque, const char *data, size_t length);
	/* May be NULL. */
	ktstr_stats_fn response;
	void *response_opaque;
};

struct stats {
	struct stats_ops ops;
	struct loop_source *source;
	int timer_fd;
	uint64_t started_ns; /* 0: not yet */
	bool ended;

	bool waiting;  /* for a response */
	bool skipping; /* what comes up to the next newline is of no use */
	char *line;    /* malloc'ed, grows */
	size_t used, size;

	uint64_t requests, responses;
	uint64_t late;	  /* times that a response was due and not there */
	uint64_t unasked; /* lines that no request was sent for */
	uint64_t too_long, not_json, no_memory, not_sent;
	int start_errno;
};

void stats__init(struct stats *stats, const struct stats_ops *ops);
void stats__destroy(struct stats *stats);

/*
 * The test has begun: the first request goes out from @loop at once, the next ones each
 * @interval_ms. -errno of the timer. Only the first call counts.
 */
int stats__start(struct stats *stats, struct loop *loop, uint32_t interval_ms);
/* The test has ended. Also before a start, which then has no effect. */
void stats__end(struct stats *stats);

/* Sends a request, unless the last one is not answered yet. What the timer does. */
void stats__tick(struct stats *stats);

/* Bytes of the guest's, in pieces of any size. The memory may change meanwhile. */
void stats__feed(struct stats *stats, const void *data, size_t length);

/* One line: what was missing or wrong; "" when nothing was. As snprintf. */
int stats__report(const struct stats *stats, char *buf, size_t size);

#endif /* KTSTR_VMM_STATS_H */
