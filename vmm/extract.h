/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Extractors: a command on the host that reads what a payload printed and prints metrics as JSON:
 *	{"metrics": [{"name": "p99", "value": 3.5, "unit": "us", "minimum": 1, "maximum": 10,
 *		      "better": "lower"}]}
 * The last four may be missing or null; better: "lower" or "higher", for `ktstr compare`. What else is there is ignored.
 */
#ifndef KTSTR_VMM_EXTRACT_H
#define KTSTR_VMM_EXTRACT_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

#include "metrics.h"

#define EXTRACT_TIMEOUT_MS 300000u /* of host time */
#define EXTRACT_MAX_OUTPUT (1u << 20)
#define EXTRACT_MAX_METRICS 4096u
#define EXTRACT_NAME_ENV "KTSTR_PAYLOAD" /* the payload's name */

struct extracted {
	struct metric *metrics; /* malloc'ed */
	size_t nr;		/* at least one */
	size_t nr_bad;		/* beyond a limit */
};

/*
 * Runs `sh -c @command` with the @length bytes of @raw on its standard input and @name in its
 * environment; its standard error is the caller's. -ETIMEDOUT, -ECHILD: it ended by a signal or
 * with a code that is not 0, -EFBIG: it printed more than EXTRACT_MAX_OUTPUT, -EBADMSG: that is
 * not JSON of the form above, -EINTR: @cancel_fd (-1: none) became readable, -ENODATA: no metric;
 * or -errno of the kernel. @out needs extracted__free() after success alone.
 */
int extract__run(const char *command, const char *name, const void *raw, size_t length,
		 uint32_t timeout_ms, int cancel_fd, struct extracted *out,
		 struct ktstr_error *error);
void extracted__free(struct extracted *extracted);

/* Reads what an extractor printed; errors as above. @command: for messages. */
int extract__parse(const char *command, const char *text, size_t length, struct extracted *out,
		   struct ktstr_error *error);

#endif /* KTSTR_VMM_EXTRACT_H */
