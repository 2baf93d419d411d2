/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A test's .extractor: keeps the raw output that its payloads send, and has it turned into metrics
 * when the machine has ended.
 */
#ifndef KTSTR_VMM_HARNESS_EXTRACT_H
#define KTSTR_VMM_HARNESS_EXTRACT_H

#include <ktstr/test.h>
#include <ktstr/vm.h>

#include <stdio.h>

#include "extract.h"

#define HARNESS_EXTRACT_MAX_OUTPUTS 8u /* of a test; each is a frame at most */
/* In all, host time. Added to the limit of a test that has an extractor. */
#define HARNESS_EXTRACT_TIMEOUT_MS 120000u

struct harness_extract {
	const struct ktstr_extractor *extractor; /* NULL: keep nothing */
	struct harness_raw_output {
		char name[METRIC_NAME_SIZE];
		void *data;
		size_t length;
		struct extracted extracted;
	} outputs[HARNESS_EXTRACT_MAX_OUTPUTS];
	size_t nr;
	const char *lost; /* why an output was not kept; NULL: all were */
	char cause[1024];
};

void harness_extract__init(struct harness_extract *extract,
			   const struct ktstr_extractor *extractor);
/* A ktstr_frame_fn, @opaque is the struct: takes RAWO, and leaves all others alone. */
void harness_extract__frame(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
			    uint32_t length);
/*
 * After a run that passed: prints the metrics as diagnostics to @out. When one is beyond its limit,
 * *result becomes a FAIL with that cause, when they cannot be had a HOST_ERROR, and INTERRUPTED
 * when
 * @cancel_fd has become readable. Any other run stays as it is.
 */
void harness_extract__finish(struct harness_extract *extract, struct ktstr_result *result,
			     int cancel_fd, FILE *out);
void harness_extract__free(struct harness_extract *extract);

#endif /* KTSTR_VMM_HARNESS_EXTRACT_H */
