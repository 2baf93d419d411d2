/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Payloads: real programs that a test runs in its machine, and what is read of their output.
 *
 *	static const struct ktstr_payload hackbench = {
 *		.name = "hackbench",
 *		.argv = KTSTR_ARGS("hackbench", "-l", "100"),
 *		.output = KTSTR_OUTPUT_PATTERN,
 *		.metrics = KTSTR_METRICS({.name = "time", .unit = "s", .source = "^Time: ([0-9.]+)",
 *					  .maximum = KTSTR_LIMIT(60)}),
 *	};
 *
 *	KTSTR_TEST(messages_pass, .files = KTSTR_FILES("hackbench"))
 *	{
 *		struct ktstr_payload_result result;
 *
 *		ktstr_payload_run(&hackbench, &result);
 *		ASSERT_PAYLOAD_OK(&result);
 *	}
 *
 * Metrics go to the host (PMET of ktstr/proto.h) and, one a line, to standard output as TAP
 * diagnostics. Programs that use this need libjansson.
 */
#ifndef KTSTR_PAYLOAD_H
#define KTSTR_PAYLOAD_H

#include <ktstr/error.h>
#include <ktstr/proto.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extracted;

#define KTSTR_PAYLOAD_MAX_METRICS 64u
#define KTSTR_PAYLOAD_MAX_NAME 128u /* bytes of a payload's or a metric's name, and of a unit */
#define KTSTR_PAYLOAD_TIMEOUT_MS 60000u
/* Of the output that is kept to be read as JSON, or sent raw; more is an error, and said so. */
#define KTSTR_PAYLOAD_MAX_OUTPUT (KTSTR_FRAME_MAX_PAYLOAD - 4096u)

/* What the output is read as. */
enum ktstr_payload_output {
	KTSTR_OUTPUT_NONE = 0, /* nothing of it is read */
	KTSTR_OUTPUT_JSON,     /* standard output, or .output_file, is one JSON value */
	KTSTR_OUTPUT_PATTERN,  /* lines of standard output and error, or of .output_file */
	KTSTR_OUTPUT_RAW,      /* both streams in one, or .output_file, go to the host (RAWO) */
};

/* Of the values where a path or a pattern leads to more than one. */
enum ktstr_metric_pick {
	KTSTR_PICK_LAST = 0,
	KTSTR_PICK_FIRST,
	KTSTR_PICK_LEAST,
	KTSTR_PICK_GREATEST,
	KTSTR_PICK_SUM,
	KTSTR_PICK_MEAN,
};

/* Which way a metric is to go, for `ktstr compare`. */
enum ktstr_better {
	KTSTR_BETTER_UNKNOWN = 0,
	KTSTR_LOWER_IS_BETTER,
	KTSTR_HIGHER_IS_BETTER,
};

struct ktstr_limit {
	bool is_set;
	double value;
};
#define KTSTR_LIMIT(limit)     \
	{                      \
		true, (limit), \
	}

/* One number that a payload reports. */
struct ktstr_metric {
	const char *name; /* "read_iops" */
	const char *unit; /* of the value times @scale; may be NULL */
	/*
	 * KTSTR_OUTPUT_JSON: keys and indices with dots between them, "jobs.0.read.iops". A key's
	 * own dot or backslash has a backslash before it; "*" is every element or member.
	 * KTSTR_OUTPUT_PATTERN: a POSIX extended regular expression with one group, the number. It
	 * is tried on every line, of which the first 64 KiB count.
	 */
	const char *source;
	enum ktstr_metric_pick pick;
	double scale; /* 0: 1 */
	struct ktstr_limit minimum, maximum;
	enum ktstr_better better;
};
/* For .metrics: ends the list by itself. */
#define KTSTR_METRICS(...) ((const struct ktstr_metric[]){__VA_ARGS__, {.name = NULL}})

/* A program to run. Fields that are 0 or NULL have the default that stands beside them. */
struct ktstr_payload {
	const char *name;	 /* in reports */
	const char *const *argv; /* KTSTR_ARGS("fio", ...); [0] is a path or of PATH */
	const char *const *env;	 /* KTSTR_ARGS("K=V", ...), added; none */
	const char *input;	 /* its standard input; empty */
	const char *output_file; /* read this, written by it, instead of its streams */
	enum ktstr_payload_output output;
	const struct ktstr_metric *metrics; /* KTSTR_METRICS({...}, ...); none */
	int exit_code;			    /* that it has to end with; 0 */
	uint32_t timeout_ms;		    /* of the machine's clock; KTSTR_PAYLOAD_TIMEOUT_MS */
};

struct ktstr_metric_value {
	double value;	/* scaled; NaN when it is missing */
	uint32_t flags; /* KTSTR_METRIC_* */
};

/* What one run came to. */
struct ktstr_payload_result {
	const struct ktstr_payload *payload;
	int err;	   /* what ktstr_payload_run() returned */
	char problem[512]; /* why, in one line; "" while all is well */
	int exit_code;	   /* -1: a signal ended it, or it did not start */
	int signal;	   /* that ended it; 0: none */
	bool timed_out;
	bool stopped;	    /* by ktstr_payload_stop() */
	bool output_cut;    /* it printed more than KTSTR_PAYLOAD_MAX_OUTPUT that was to be kept */
	bool sent;	    /* the host has the metrics */
	uint32_t nr_killed; /* processes that it left behind, and that were killed */
	uint64_t run_ns;    /* from its start to its end, CLOCK_MONOTONIC */
	uint64_t nr_bytes;  /* of output, all that it printed */
	size_t nr_metrics;
	struct ktstr_metric_value metrics[KTSTR_PAYLOAD_MAX_METRICS]; /* as they were declared */
};

/*
 * Runs a payload to its end: reads its metrics, checks them against their limits, sends them to
 * the host and prints them, one a line; the end of its output too when something is wrong. At its
 * end, or when its time is over, all processes that it started are killed, whatever session they
 * are in. Works outside of a machine as well, where nothing is sent.
 *
 * 0, or the first of these, with *result->problem:
 * -EINVAL the description is wrong; -ENOENT, -EACCES, ... the program cannot be executed;
 * -ETIMEDOUT; -ECHILD it ended by a signal or with another exit code; -EFBIG the output was cut;
 * -EBADMSG the output is not JSON; -ENODATA a metric, or the file, is missing; -ERANGE a metric is
 * beyond a limit; another -errno of the kernel, when it could not be run or reported.
 */
int ktstr_payload_run(const struct ktstr_payload *payload, struct ktstr_payload_result *result);

/*
 * The same in parts, for a payload in the background: every start needs one wait or stop. Stop
 * sends SIGTERM, which is a right end then, and SIGKILL 5 s later. When the test's process ends, so
 * does the payload. @payload has to live until then. -EINVAL, -ENOMEM or -errno of fork(2) when
 * there is nothing to wait for.
 */
struct ktstr_payload_process;
int ktstr_payload_start(const struct ktstr_payload *payload,
			struct ktstr_payload_process **process);
int ktstr_payload_wait(struct ktstr_payload_process *process, struct ktstr_payload_result *result);
int ktstr_payload_stop(struct ktstr_payload_process *process, struct ktstr_payload_result *result);

/* A metric's value by its name; NaN when it is missing or not declared. */
double ktstr_payload_result__value(const struct ktstr_payload_result *result, const char *name);

/*
 * For .extractor: after a test that passed, `sh -c` @command gets on its standard input what each
 * KTSTR_OUTPUT_RAW payload printed, its name as KTSTR_PAYLOAD in its environment, and prints
 *	{"metrics": [{"name": "p99", "value": 3.5, "unit": "us", "minimum": 1, "maximum": 10}]}
 * of which name and value must be there. The test fails when a value is beyond its limit, when the
 * command fails or finds no metric, or takes more than 2 minutes in all, and when there was no raw
 * output. The command runs on the machine's host, which may be an emulated one.
 */
#define KTSTR_EXTRACTOR(command) (&(const struct ktstr_extractor){(command), ktstr_extractor__run})
int ktstr_extractor__run(const char *command, const char *name, const void *raw, size_t length,
			 uint32_t timeout_ms, int cancel_fd, struct extracted *out,
			 struct ktstr_error *error);

/* In a test's body: the run was as declared, or the test fails and says what was wrong. */
#define EXPECT_PAYLOAD_OK(result) __KTSTR_PAYLOAD_OK(result, 0)
#define ASSERT_PAYLOAD_OK(result) __KTSTR_PAYLOAD_OK(result, 1)
#define __KTSTR_PAYLOAD_OK(result, fatal)                                     \
	do {                                                                  \
		const struct ktstr_payload_result *__result = (result);       \
		if (__result->err) {                                          \
			__TH_LOG("Expected %s to end as declared, but %s",    \
				 __result->payload->name, __result->problem); \
			_metadata->exit_code = KSFT_FAIL;                     \
			_metadata->trigger = 1;                               \
		}                                                             \
	} while (0);                                                          \
	OPTIONAL_HANDLER(fatal)

#endif /* KTSTR_PAYLOAD_H */
