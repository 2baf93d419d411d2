/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file that has a line for every test run, whoever wrote it: verdict, what was run, and its
 * metrics as a JSON object (ktstr-record(5)). Processes append to one file at once without relying
 * on locks, which a file of an emulated KVM host's 9p has not: a line is one write to a descriptor
 * with O_APPEND, with which QEMU's server of 9p opens the file, too, and within one page: longer
 * ones have been seen to arrive in pieces of pages, with lines of others between them.
 */
#ifndef KTSTR_VMM_RUN_METRICS_H
#define KTSTR_VMM_RUN_METRICS_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "metrics.h"

#define RUN_METRICS_VERSION 1
#define RUN_METRICS_FILE "metrics.jsonl"
#define RUN_METRICS_VARIABLE "KTSTR_METRICS" /* path of the file */
#define RUN_ID_VARIABLE "KTSTR_RUN_ID"
#define RUN_HOST_VARIABLE "KTSTR_RUN_HOST" /* name of the host that started it; our own */
/* The source of what the monitor measured; others are names of payloads. */
#define RUN_METRICS_SOURCE "ktstr"

/*
 * Bytes of a line, unless it is longer with one metric. A run with more metrics has several, its
 * parts: what is in one page goes over 9p in one piece.
 */
#define RUN_METRICS_LINE_MAX 4096u
#define RUN_METRICS_HEAD_MAX (256u << 10)
/* Of payloads, of one run: a guest could send them for ever. */
#define RUN_METRICS_MAX 16384u

struct run_metrics {
	struct run_metric {
		char source[METRIC_NAME_SIZE];
		struct metric metric;
	} * list; /* zeroed is empty */
	size_t nr, size;
	size_t nr_lost; /* above RUN_METRICS_MAX, or without memory */
};

struct run_about {
	const char *program; /* path of the test's binary; may be NULL */
	const char *test;    /* FIXTURE.VARIANT.TEST */
	const char *judged;  /* as in struct record_about */
	const char *scheduler;
	const char *const *scheduler_args;
	struct timespec started; /* CLOCK_REALTIME */
};

void run_metrics__add(struct run_metrics *m, const char *source, const struct metric *metric);
/* Takes PMET, and leaves all other frames alone. */
void run_metrics__frame(struct run_metrics *m, uint32_t type, const void *payload, uint32_t length);
void run_metrics__free(struct run_metrics *m);

/* Names the run in the environment, unless that has been done; before anything is forked. */
void run_metrics__name_run(void);

/*
 * Appends the run to the file @path, which is made with its directories. -errno, with @error: a
 * line, or a part of it, is missing in the file, or metrics are missing in the line; -EXDEV: the
 * file would be lost with an emulated KVM host; -E2BIG: the line is too long without any metric.
 */
int run_metrics__append(const struct run_metrics *m, const char *path,
			const struct ktstr_vm_config *config, const struct ktstr_result *result,
			const struct run_about *about, struct ktstr_error *error);

#endif /* KTSTR_VMM_RUN_METRICS_H */
