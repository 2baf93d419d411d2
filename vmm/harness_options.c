// SPDX-License-Identifier: GPL-2.0-only
/* Options of a test binary beside those of kselftest. They travel as environment variables. */
#include <ktstr/test.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_locks.h"
#include "performance.h"
#include "run_metrics.h"
#include "sandbox.h"

#define MAX_JOBS 1024u

static bool is_path(const char *value)
{
	return *value;
}

static bool parse_number(const char *text, unsigned long max, uint32_t *number)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || n < 1 || n > max)
		return false;
	*number = (uint32_t)n;
	return true;
}

static bool is_jobs(const char *value)
{
	uint32_t jobs;

	return parse_number(value, MAX_JOBS, &jobs);
}

static bool is_cap(const char *value)
{
	uint32_t cap;

	/* How many there are, is known where the machine runs. */
	return parse_number(value, HOST_MAX_CPUS, &cap);
}

static bool is_performance(const char *value)
{
	enum ktstr_performance_mode mode;

	return performance__parse(value, &mode);
}

static bool is_one(const char *value)
{
	return !strcmp(value, "1");
}

static const struct option {
	const char *name, *variable, *needs;
	bool (*is_valid)(const char *value);
	const char *usual; /* of an option whose value may be left out; NULL: it may not */
} options[] = {
	{"--artifacts", "KTSTR_ARTIFACTS", "needs a directory", is_path, NULL},
	{"--metrics", RUN_METRICS_VARIABLE, "needs a file", is_path, NULL},
	{"--cpu-cap", CPU_CAP_VARIABLE, "takes a number of CPUs from 1 to 8192", is_cap, NULL},
	{"--jobs", "KTSTR_JOBS", "takes a number from 1 to 1024", is_jobs, NULL},
	{"--performance", PERFORMANCE_VARIABLE, "takes required or best-effort", is_performance,
	 "required"},
	{"--no-sandbox", NO_SANDBOX_VARIABLE, "takes no value", is_one, "1"},
};

/* NULL: not one of ours. */
static const struct option *find(const char *arg)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t length = strlen(options[i].name);

		if (!strncmp(arg, options[i].name, length) && (!arg[length] || arg[length] == '='))
			return &options[i];
	}
	return NULL;
}

int ktstr_harness__take_options(int *argc, char **argv, struct ktstr_error *error)
{
	int kept = 1;

	run_metrics__name_run();
	for (int i = 1; i < *argc; i++) {
		const struct option *option = find(argv[i]);
		const char *value;

		if (!option) {
			argv[kept++] = argv[i];
			continue;
		}
		value = argv[i] + strlen(option->name);
		if (*value)
			value++;
		else if (option->usual)
			value = option->usual;
		else if (i + 1 < *argc)
			value = argv[++i];
		if (!option->is_valid(value) || setenv(option->variable, value, 1))
			return ktstr_error__set(error, EINVAL, NULL, option->name, "%s",
						option->needs);
	}
	/* Of a program that asks nothing of us, argv[0] may be missing. */
	if (kept < *argc) {
		argv[kept] = NULL;
		*argc = kept;
	}
	return 0;
}

int ktstr_harness__jobs(uint32_t *jobs, struct ktstr_error *error)
{
	const char *text = getenv("KTSTR_JOBS");

	*jobs = 1;
	if (!text || !*text || parse_number(text, MAX_JOBS, jobs))
		return 0;
	return ktstr_error__set(error, EINVAL, NULL, "KTSTR_JOBS",
				"'%s' is not a number from 1 to 1024", text);
}
