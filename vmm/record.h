/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a run leaves behind in a directory (doc/man/ktstr-record.5):
 *
 *	result.json      verdict, cause, configuration, versions, times, exits
 *	console.txt      COM1, com2.txt COM2, kernel.txt the kernel's log, scheduler.txt
 *	stdout.txt, stderr.txt   of the test
 *	frames.bin       all frames of port 1; events.jsonl those that are events, as text
 *	metrics.jsonl    one metric of a payload on a line
 *	monitor.jsonl    the host's samples; stats.jsonl the scheduler's statistics
 *	machine, kernel, initramfs, guest.config   enough to run it again (saved.h)
 *
 * While it is not known whether the record is kept, what comes lies in memory, bounded: the newest
 * part of each stream.
 */
#ifndef KTSTR_VMM_RECORD_H
#define KTSTR_VMM_RECORD_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stdio.h>

struct metric;
struct record;

/* What a run was, beside its machine. */
struct record_about {
	const char *name;	   /* of the test, or the command */
	const char *program;	   /* path of the binary that ran it; may be NULL */
	enum ktstr_verdict expect; /* KTSTR_VERDICT_NONE: nothing in particular */
	bool extractor;		   /* one is run over its raw output after a pass */
	const char *judged;	   /* "pass", "fail", "skip", "xfail": what the caller made of it */
};

/*
 * @keep: the record is wanted whatever happens, and everything goes to files of @dir at once, which
 * is made and emptied; otherwise only record__write() makes it. -errno: @dir cannot be made or
 * written; -EXDEV: it lies inside an emulated KVM host and would be lost with it.
 */
int record__create(const char *dir, bool keep, struct record **record, struct ktstr_error *error);

/* Puts itself before the callbacks of @config, which are still called. */
void record__attach(struct record *record, struct ktstr_vm_config *config);

/* Metrics that were not the guest's: of an extractor. For payload-metrics.jsonl, before the record is
 * written. */
void record__metrics(struct record *record, const char *payload, const struct metric *metrics,
		     size_t nr);

/* ktstr_vm__save(), or what a test has in its place. */
typedef int (*record_save_fn)(struct ktstr_vm *vm, const char *dir, struct ktstr_error *error);

/* The run is over: everything is to be in the directory. @vm and @result are still there. */
int record__write(struct record *record, struct ktstr_vm *vm, record_save_fn save,
		  const struct ktstr_result *result, const struct record_about *about,
		  struct ktstr_error *error);

/* NULL is allowed. What was written stays. */
void record__destroy(struct record *record);

/* An old record, of a test that no longer fails: its files, and @dir when nothing else is in it. */
void record__remove(const char *dir);

/* -EXDEV: @path, which is there, is inside an emulated KVM host and would be lost with it. */
int record__check_outlives(const char *path, struct ktstr_error *error);

/* result.json alone. @about may be NULL. */
void record__result(FILE *f, const struct ktstr_vm_config *config,
		    const struct ktstr_result *result, const struct record_about *about);

#endif /* KTSTR_VMM_RECORD_H */
