/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside of payloads: the supervisor, and what reads metrics by JSON paths or by patterns. */
#ifndef KTSTR_GUEST_PAYLOAD_H
#define KTSTR_GUEST_PAYLOAD_H

#include <ktstr/payload.h>

#include <regex.h>

#define PAYLOAD_LINE_MAX (64u << 10) /* bytes of a line that patterns are tried on */
#define PAYLOAD_TAIL_SIZE 4096u

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

/* The end of a stream, to be shown when something is wrong. */
struct payload_tail {
	size_t length;
	bool cut;
	char text[PAYLOAD_TAIL_SIZE];
};

/* What supervisor and test share. */
struct payload_shared {
	struct ktstr_payload_result result;
	struct payload_tail tails[2]; /* standard output and error */
	bool done;		      /* the result is whole */
};

/*
 * Of the process that is the supervisor: runs the payload of @reader. @test_fd: pidfd of the test's
 * process, with which the payload ends; @stop_fd: eventfd that stops it.
 */
void payload__supervise(struct payload_reader *reader, struct payload_shared *shared, int test_fd,
			int stop_fd) __attribute__((noreturn));

/* Sets the result's @err and problem, unless it has one: the first counts. Returns -err. */
int payload__problem(struct ktstr_payload_result *result, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

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
