/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads files of runs (run_metrics.h). They may come from anybody: names are clean text after it.
 */
#ifndef KTSTR_VMM_RUNS_H
#define KTSTR_VMM_RUNS_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics.h"

/* What a run says of its test. */
enum run_end {
	RUN_PASS,
	RUN_FAIL,
	RUN_SKIP,
	RUN_XFAIL,
	RUN_XPASS,
	RUN_INCONCLUSIVE, /* the host was disturbed */
	RUN_NR_ENDS,
	RUN_INTERRUPTED = RUN_NR_ENDS, /* says nothing */
};

struct run_value {
	char *source, *name, *unit;
	double value; /* finite */
	enum ktstr_better better;
};

/* One run of one test, its parts put together. Strings are the run's own, never NULL. */
struct run {
	char *id, *time, *program, *test, *topology, *kernel, *verdict;
	enum run_end end;
	uint32_t nr_parts, nr_seen; /* parts that it has, and that were there */
	struct run_value *values;
	size_t nr_values;
	char *where; /* "FILE:LINE" of the first part */
	uint32_t part;
	char *text; /* of that line */
};

struct runs {
	struct run *list; /* zeroed is empty */
	size_t nr, size;
	size_t nr_files;
	size_t nr_repeated;   /* lines that were there already, and count once */
	size_t nr_incomplete; /* runs without all their parts */
};

/*
 * Adds the file @path, or of the directory @path its *.jsonl and those named metrics.jsonl of its
 * directories. -errno of a file; -ENOENT: a directory without any; -EBADMSG: a line is no JSON or
 * not of this form, -EPROTO: of another version; the error's object is FILE:LINE then.
 */
int runs__load(struct runs *runs, const char *path, struct ktstr_error *error);
/* The same of one line, which is @where. For each of a file; then runs__finish(). */
int runs__add_line(struct runs *runs, const char *where, const char *text, size_t length,
		   struct ktstr_error *error);
/*
 * After all files: puts parts together and takes out what is there twice. -EBADMSG: two lines are
 * of the same run and test, and differ.
 */
int runs__finish(struct runs *runs, struct ktstr_error *error);
void runs__free(struct runs *runs);

#endif /* KTSTR_VMM_RUNS_H */
