/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metrics on the host: those of a PMET frame (ktstr/proto.h) and of an extractor. Nothing here
 * allocates, and nothing trusts the guest.
 */
#ifndef KTSTR_VMM_METRICS_H
#define KTSTR_VMM_METRICS_H

#include <ktstr/proto.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ktstr/payload.h>

#define METRIC_NAME_SIZE 256u
#define METRIC_UNIT_SIZE 64u

/* Names are whole characters of UTF-8 without control characters, shortened to fit. */
struct metric {
	char name[METRIC_NAME_SIZE];
	char unit[METRIC_UNIT_SIZE]; /* "": none */
	double value;		     /* finite, or NaN: missing */
	double minimum, maximum;     /* finite, or NaN: no limit */
	uint32_t flags;		     /* TOO_LOW, TOO_HIGH, MISSING, as the numbers say it */
	enum ktstr_better better;
};

/* One run of a payload, and where the walk through its metrics is. */
struct metrics {
	char name[METRIC_NAME_SIZE]; /* of the payload */
	uint64_t boot_ns, run_ns;
	uint32_t signal, exit_code, nr_metrics;
	const uint8_t *at;
	uint32_t nr_left;
};

/* -EPROTO: not of a PMET payload's form. @payload has to live as long as the walk. */
int metrics__open(struct metrics *metrics, const void *payload, size_t length);
/* The next metric; false: there was none left. */
bool metrics__next(struct metrics *metrics, struct metric *metric);

/* Gives flags their values; what is not finite becomes NaN. */
void metric__check(struct metric *metric);

/* "lower", "higher", or NULL when that is not known, and back; any other text is unknown. */
const char *metric__better_name(enum ktstr_better better);
enum ktstr_better metric__better(const char *name);

/* "1234.5 1/s (at least 1000)", "missing (at most 3)": one line for a person. */
void metric__describe(const struct metric *metric, char *text, size_t size);

/*
 * Copies text of others as far as @size has room: bytes that are no UTF-8 become U+FFFD, control
 * characters '?'. Always terminated.
 */
void metrics__clean(char *to, size_t size, const void *from, size_t length);

#endif /* KTSTR_VMM_METRICS_H */
