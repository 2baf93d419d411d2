// SPDX-License-Identifier: GPL-2.0-only
/* Raw output of a test's payloads: kept while the machine runs, then given to the extractor. */
#include "harness_extract.h"
#include "harness.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void harness_extract__init(struct harness_extract *extract, const struct ktstr_extractor *extractor)
{
	memset(extract, 0, sizeof(*extract));
	extract->extractor = extractor;
}

void harness_extract__free(struct harness_extract *extract)
{
	for (size_t i = 0; i < extract->nr; i++) {
		free(extract->outputs[i].data);
		free(extract->outputs[i].extracted.metrics);
	}
	extract->nr = 0;
}

void harness_extract__frame(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
			    uint32_t length)
{
	struct harness_extract *extract = opaque;
	struct ktstr_raw_output_payload head;
	const char *text = (const char *)payload + sizeof(head);
	struct harness_raw_output *output;

	(void)sequence;
	if (!extract->extractor || type != KTSTR_FRAME_RAW_OUTPUT || length < sizeof(head))
		return;
	memcpy(&head, payload, sizeof(head));
	length -= (uint32_t)sizeof(head);
	if (head.name_length > length)
		return;
	if (extract->nr == HARNESS_EXTRACT_MAX_OUTPUTS) {
		extract->lost = "the test has sent too many raw outputs";
		return;
	}
	output = &extract->outputs[extract->nr];
	*output = (struct harness_raw_output){.length = length - head.name_length};
	output->data = malloc(output->length ? output->length : 1);
	if (!output->data) {
		extract->lost = "there is no memory for the raw output";
		return;
	}
	memcpy(output->data, text + head.name_length, output->length);
	metrics__clean(output->name, sizeof(output->name), text, head.name_length);
	extract->nr++;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* The first cause is that of the test. */
static void fail(struct harness_extract *extract, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void fail(struct harness_extract *extract, const char *fmt, ...)
{
	va_list args;

	if (extract->cause[0])
		return;
	va_start(args, fmt);
	vsnprintf(extract->cause, sizeof(extract->cause), fmt, args);
	va_end(args);
	for (char *c = extract->cause; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

static void print_metrics(struct harness_extract *extract, const struct harness_raw_output *output,
			  FILE *out)
{
	char text[256];

	for (size_t i = 0; i < output->extracted.nr; i++) {
		const struct metric *metric = &output->extracted.metrics[i];

		metric__describe(metric, text, sizeof(text));
		harness__say(out, false, "%s: %s %s", output->name, metric->name, text);
		if (metric->flags)
			fail(extract, "%s: %s is %s", output->name, metric->name, text);
	}
}

void harness_extract__finish(struct harness_extract *extract, struct ktstr_result *result,
			     int cancel_fd, FILE *out)
{
	uint64_t end_ms = now_ms() + HARNESS_EXTRACT_TIMEOUT_MS;
	struct ktstr_error error = {.err = 0};
	enum ktstr_verdict verdict = KTSTR_VERDICT_FAIL;
	char line[1400];

	if (!extract->extractor || result->verdict != KTSTR_VERDICT_PASS)
		return;
	if (extract->lost)
		fail(extract, "extract: %s", extract->lost);
	else if (!extract->nr)
		fail(extract, "extract: no payload has sent raw output");
	if (extract->cause[0])
		verdict = KTSTR_VERDICT_HOST_ERROR;
	for (size_t i = 0; i < extract->nr && !error.err; i++) {
		struct harness_raw_output *output = &extract->outputs[i];
		uint64_t now = now_ms();
		uint32_t left_ms = now < end_ms ? (uint32_t)(end_ms - now) : 0;
		int err = extract->extractor->run(extract->extractor->command, output->name,
						  output->data, output->length, left_ms, cancel_fd,
						  &output->extracted, &error);

		if (!err) {
			print_metrics(extract, output, out);
			continue;
		}
		/* Nothing is known of the metrics: no failure that a test could expect. */
		verdict = err == -EINTR ? KTSTR_VERDICT_INTERRUPTED : KTSTR_VERDICT_HOST_ERROR;
		ktstr_error__format(&error, line, sizeof(line));
		fail(extract, "%s: %s", output->name, line);
	}
	if (!extract->cause[0])
		return;
	result->verdict = verdict;
	result->cause = extract->cause;
	result->exit_code = 1;
	if (verdict == KTSTR_VERDICT_FAIL)
		harness__say(out, false, "%s", extract->cause);
}
