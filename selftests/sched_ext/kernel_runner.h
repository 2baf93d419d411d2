/* SPDX-License-Identifier: GPL-2.0-only */
/* The runner of tools/testing/selftests/sched_ext, and what it says of one of its tests. */
#ifndef KERNEL_RUNNER_H
#define KERNEL_RUNNER_H

#include <stddef.h>

#define KERNEL_RUNNER_NAME_MAX 128u

enum kernel_runner_verdict {
	KERNEL_RUNNER_FAIL = 0,
	KERNEL_RUNNER_PASS,
	KERNEL_RUNNER_SKIP,
};

struct kernel_runner_result {
	enum kernel_runner_verdict verdict;
	char cause[256]; /* of a failure */
};

/*
 * Runs test @name of the runner @path, and no test behind it, though its -t takes every name that
 * has @name in it. Its lines go to descriptor @out; its standard error is the caller's. Passed and
 * skipped is what says so in a line of exactly this name, by a runner that then ends well.
 * 0, or -errno: it was not started.
 */
int kernel_runner__run(const char *path, const char *name, int out,
		       struct kernel_runner_result *result);

/*
 * The names of its tests, in its order: *names to be freed by kernel_runner__free(), never empty.
 * An old runner (Linux 6.12) has no -l; it tells what it skips. 0; -EPROTO: it lists none, or
 * something else; -errno.
 */
int kernel_runner__list(const char *path, char ***names, size_t *nr);
void kernel_runner__free(char **names, size_t nr);

#endif /* KERNEL_RUNNER_H */
