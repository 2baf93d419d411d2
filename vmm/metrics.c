// SPDX-License-Identifier: GPL-2.0-only
/* Decodes PMET frames, and says what a metric's numbers mean. */
#include "metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Text ---- */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/*
 * Bytes of the well-formed sequence at @p (Unicode 15.0, table 3-7), 0: there is none. *code gets
 * its character.
 */
static size_t decode(const uint8_t *p, size_t length, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80	 ? 1
		   : p[0] < 0xc2 ? 0
		   : p[0] < 0xe0 ? 2
		   : p[0] < 0xf0 ? 3
		   : p[0] < 0xf5 ? 4
				 : 0;

	if (!n || n > length)
		return 0;
	*code = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return n;
}

void metrics__clean(char *to, size_t size, const void *from, size_t length)
{
	const uint8_t *p = from;
	size_t at = 0;

	while (length) {
		uint32_t code = 0;
		size_t n = decode(p, length, &code), room = n;
		const void *text = p;

		if (!n) {
			text = REPLACEMENT;
			room = strlen(REPLACEMENT);
			n = 1;
		} else if (code < ' ' || (code >= 0x7f && code < 0xa0)) {
			text = "?";
			room = 1;
		}
		if (at + room >= size)
			break;
		memcpy(to + at, text, room);
		at += room;
		p += n;
		length -= n;
	}
	to[at] = '\0';
}

/* ---- Numbers ---- */

void metric__check(struct metric *metric)
{
	if (!isfinite(metric->minimum))
		metric->minimum = (double)NAN;
	if (!isfinite(metric->maximum))
		metric->maximum = (double)NAN;
	metric->flags = 0;
	if (!isfinite(metric->value)) {
		metric->value = (double)NAN;
		metric->flags = KTSTR_METRIC_MISSING;
		return;
	}
	if (metric->value < metric->minimum)
		metric->flags |= KTSTR_METRIC_TOO_LOW;
	if (metric->value > metric->maximum)
		metric->flags |= KTSTR_METRIC_TOO_HIGH;
}

const char *metric__better_name(enum ktstr_better better)
{
	return better == KTSTR_LOWER_IS_BETTER	  ? "lower"
	       : better == KTSTR_HIGHER_IS_BETTER ? "higher"
						  : NULL;
}

enum ktstr_better metric__better(const char *name)
{
	return !name || (strcmp(name, "lower") != 0 && strcmp(name, "higher") != 0)
		       ? KTSTR_BETTER_UNKNOWN
	       : *name == 'l' ? KTSTR_LOWER_IS_BETTER
			      : KTSTR_HIGHER_IS_BETTER;
}

void metric__describe(const struct metric *metric, char *text, size_t size)
{
	bool low = !isnan(metric->minimum), high = !isnan(metric->maximum);
	char limits[80] = "";
	const char *wrong = "";

	if (low && high)
		snprintf(limits, sizeof(limits), " (at least %.10g, at most %.10g)",
			 metric->minimum, metric->maximum);
	else if (low)
		snprintf(limits, sizeof(limits), " (at least %.10g)", metric->minimum);
	else if (high)
		snprintf(limits, sizeof(limits), " (at most %.10g)", metric->maximum);
	if (metric->flags & KTSTR_METRIC_MISSING) {
		snprintf(text, size, "missing%s", limits);
		return;
	}
	if (metric->flags & KTSTR_METRIC_TOO_LOW)
		wrong = ": too low";
	else if (metric->flags & KTSTR_METRIC_TOO_HIGH)
		wrong = ": too high";
	snprintf(text, size, "%.10g%s%s%s%s", metric->value, metric->unit[0] ? " " : "",
		 metric->unit, limits, wrong);
}

/* ---- PMET ---- */

/* The record at @p, of @length bytes; its whole size, 0: it does not fit. */
static size_t read_record(const uint8_t *p, size_t length, struct ktstr_metric_record *record)
{
	size_t size;

	if (length < sizeof(*record))
		return 0;
	memcpy(record, p, sizeof(*record));
	size = sizeof(*record) + record->name_length + record->unit_length;
	return size > length ? 0 : size;
}

int metrics__open(struct metrics *metrics, const void *payload, size_t length)
{
	struct ktstr_metrics_payload head;
	struct ktstr_metric_record record;
	const uint8_t *p = payload;
	size_t at, size;

	*metrics = (struct metrics){.nr_left = 0};
	if (length < sizeof(head))
		return -EPROTO;
	memcpy(&head, p, sizeof(head));
	if (head.signal > 64 || head.exit_code > 255 || head.name_length > length - sizeof(head))
		return -EPROTO;
	at = sizeof(head) + head.name_length;
	/* A record has 32 bytes at least: the frame's length bounds their number. */
	for (uint32_t i = 0; i < head.nr_metrics; i++, at += size) {
		size = read_record(p + at, length - at, &record);
		if (!size)
			return -EPROTO;
	}
	if (at != length)
		return -EPROTO;
	metrics__clean(metrics->name, sizeof(metrics->name), p + sizeof(head), head.name_length);
	metrics->boot_ns = head.boot_ns;
	metrics->run_ns = head.run_ns;
	metrics->signal = head.signal;
	metrics->exit_code = head.exit_code;
	metrics->nr_metrics = head.nr_metrics;
	metrics->at = p + sizeof(head) + head.name_length;
	metrics->nr_left = head.nr_metrics;
	return 0;
}

bool metrics__next(struct metrics *metrics, struct metric *metric)
{
	struct ktstr_metric_record record;
	const uint8_t *text = metrics->at + sizeof(record);

	if (!metrics->nr_left)
		return false;
	memcpy(&record, metrics->at, sizeof(record));
	metrics__clean(metric->name, sizeof(metric->name), text, record.name_length);
	metrics__clean(metric->unit, sizeof(metric->unit), text + record.name_length,
		       record.unit_length);
	metric->value = record.flags & KTSTR_METRIC_MISSING ? (double)NAN : record.value;
	metric->minimum = record.minimum;
	metric->maximum = record.maximum;
	metric->better = record.flags & KTSTR_METRIC_LOWER_IS_BETTER	? KTSTR_LOWER_IS_BETTER
			 : record.flags & KTSTR_METRIC_HIGHER_IS_BETTER ? KTSTR_HIGHER_IS_BETTER
									: KTSTR_BETTER_UNKNOWN;
	metric__check(metric);
	metrics->at = text + record.name_length + record.unit_length;
	metrics->nr_left--;
	return true;
}
