/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the metrics of a payload from what it printed: by JSON paths or by patterns. */
#ifndef KTSTR_GUEST_PAYLOAD_H
#define KTSTR_GUEST_PAYLOAD_H

#include <ktstr/payload.h>

#include <regex.h>

#define PAYLOAD_LINE_MAX (64u << 10) /* bytes of a line that patterns are tried on */

/* The values that a metric's source has led to so far. */
struct payload_values {
	uint64_t count;
	double first, last, least, greatest, sum;
	bool not_number; /* something was there that is not a finite number */
};

/* Lines of one stream, found whatever the pieces that they come in. */
struct payload_lines {
	size_t length;
	char text[PAYLOAD_LINE_MAX + 1];
};

struct payload_reader {
	const struct ktstr_payload *payload;
	size_t nr_metrics, nr_regexes;
	regex_t regexes[KTSTR_PAYLOAD_MAX_METRICS];
	struct payload_values values[KTSTR_PAYLOAD_MAX_METRICS];
};

/* Checks the description. -EINVAL with what is wrong with it in @why; then there is nothing to
 * free. */
int payload_reader__init(struct payload_reader *reader, const struct ktstr_payload *payload,
			 char *why, size_t why_size);
void payload_reader__free(struct payload_reader *reader);

/* Tries the patterns on the lines that are complete with @data. */
void payload_reader__feed(struct payload_reader *reader, struct payload_lines *lines,
			  const char *data, size_t length);
/* The last line, when it has no newline. */
void payload_reader__end(struct payload_reader *reader, struct payload_lines *lines);

/* Follows the paths in one JSON value. -EBADMSG with where it is none in @why. */
int payload_reader__json(struct payload_reader *reader, const char *text, size_t length, char *why,
			 size_t why_size);

/*
 * The values and their flags to result->metrics. 0; -ENODATA or -ERANGE with the first metric that
 * is missing, or else beyond a limit, in @why.
 */
int payload_reader__finish(const struct payload_reader *reader, struct ktstr_payload_result *result,
			   char *why, size_t why_size);

/* "1234.5 1/s (at least 1000)" of the metric @index. */
void payload__describe(const struct ktstr_payload_result *result, size_t index, char *text,
		       size_t size);

/*
 * The PMET payload of a result, malloc'ed; NULL: no memory. payload_reader__init() has bounded its
 * strings.
 */
void *payload__encode(const struct ktstr_payload_result *result, uint64_t boot_ns, size_t *length);

#endif /* KTSTR_GUEST_PAYLOAD_H */
