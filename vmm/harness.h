/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside of the harness: what its unit tests reach. Test authors see include/ktstr/harness.h. */
#ifndef KTSTR_VMM_HARNESS_H
#define KTSTR_VMM_HARNESS_H

#include <ktstr/test.h>

#include <stdbool.h>
#include <stdio.h>

#include "harness_admit.h"

/* The machine behind a test; the unit tests put their own here. */
struct harness_vm_ops {
	int (*create)(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
		      struct ktstr_error *error);
	int (*run)(struct ktstr_vm *vm, struct ktstr_result *result, struct ktstr_error *error);
	int (*save)(struct ktstr_vm *vm, const char *dir, struct ktstr_error *error);
	void (*destroy)(struct ktstr_vm *vm);
	/* Room on the host, before @create (harness_admit.h); NULL: there is always some */
	int (*admit)(const struct harness_admit *admit, FILE *out,
		     struct harness_admission *admission, struct ktstr_error *error);
};

/* Where a test's record goes (record.h). */
struct harness_record {
	const char *dir;     /* NULL: nowhere */
	bool keep;	     /* whatever the end */
	const char *program; /* the test's binary */
	const char *metrics; /* the file of all runs (run_metrics.h); NULL: none */
};

/* ktstr_harness__run_test() with its surroundings: @cancel_fd as in struct ktstr_vm_config. @where
 * may be NULL. */
void harness__run_test(const struct harness_vm_ops *ops, const struct ktstr_test_id *id,
		       const struct ktstr_test_attrs *attrs, const char *binary_dir,
		       const struct harness_record *where, int cancel_fd, FILE *out,
		       struct ktstr_test_outcome *outcome);

/*
 * One line of ours as a TAP diagnostic. Texts that consumers of logs search for get a space, unless
 * @as_it_is: they are the verdict.
 */
void harness__say(FILE *out, bool as_it_is, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * From how a run ended to how its test does; writes the reason and the evidence to @out.
 * @cause_printed: a line of the test's own held attrs->expect_cause.
 */
void harness__judge(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
		    const struct ktstr_result *result, bool cause_printed, FILE *out,
		    struct ktstr_test_outcome *outcome);

/*
 * Text of a stream of the test's, in pieces of any length, comes out as lines of TAP diagnostics:
 * a line that is one already as it is, any other behind "# ". Bytes that are not text become '?'.
 */
#define HARNESS_LINE_MAX 4096u
struct harness_relay {
	FILE *out;
	const char *watch_for; /* @seen gets true when a line holds it; may be NULL */
	bool seen;
	bool in_line; /* a piece of an overlong line went out, so what follows is not a new one */
	size_t length;
	char line[HARNESS_LINE_MAX];
};

void harness_relay__init(struct harness_relay *relay, FILE *out, const char *watch_for);
void harness_relay__feed(struct harness_relay *relay, const char *data, size_t length);
/* Puts out a last line without its newline. */
void harness_relay__finish(struct harness_relay *relay);

#endif /* KTSTR_VMM_HARNESS_H */
