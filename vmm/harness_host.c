// SPDX-License-Identifier: GPL-2.0-only
/* The harness's way to the real machine: signals, the parent's death, the emulated KVM host. */
#include "emulated/emulated.h"
#include "harness.h"
#include "harness_signals.h"
#include "run_metrics.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_ARTIFACTS "ktstr-artifacts"

/*
 * KTSTR_ARTIFACTS, or beside the binary: DIR/BINARY/FIXTURE.VARIANT.TEST. True when the user has
 * asked for records.
 */
static bool record_path(const char *binary, const struct ktstr_test_id *id, char *buf, size_t size)
{
	const char *asked = getenv("KTSTR_ARTIFACTS"), *slash = strrchr(binary, '/');
	const char *name = slash ? slash + 1 : binary;
	char test[512];

	snprintf(test, sizeof(test), "%s%s%s.%s", id->fixture, id->variant[0] ? "." : "",
		 id->variant, id->test);
	if (asked && *asked)
		snprintf(buf, size, "%s/%s/%s", asked, name, test);
	else
		snprintf(buf, size, "%.*s/" DEFAULT_ARTIFACTS "/%s/%s",
			 slash ? (int)(slash - binary) : 1, slash ? binary : ".", name, test);
	return asked && *asked;
}

/* KTSTR_METRICS, or the directory of records that were asked for; NULL: nowhere. */
static const char *metrics_path(char *buf, size_t size)
{
	const char *file = getenv(RUN_METRICS_VARIABLE), *dir = getenv("KTSTR_ARTIFACTS");

	if (file && *file)
		return file;
	if (!dir || !*dir)
		return NULL;
	snprintf(buf, size, "%s/" RUN_METRICS_FILE, dir);
	return buf;
}

void ktstr_harness__run_test(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			     struct ktstr_test_outcome *outcome)
{
	static const struct harness_vm_ops ops = {
		.create = ktstr_vm__create,
		.run = ktstr_vm__run,
		.save = ktstr_vm__save,
		.destroy = ktstr_vm__destroy,
		.admit = harness_admit__wait,
	};
	char binary[PATH_MAX], directory[PATH_MAX], record[2 * PATH_MAX], metrics[2 * PATH_MAX];
	struct harness_record where = {.dir = record, .program = binary};
	int cancel_fd;
	ssize_t length;

	cancel_fd = harness_signals__open();
	length = readlink("/proc/self/exe", binary, sizeof(binary) - 1);
	binary[length < 0 ? 0 : length] = '\0';
	memcpy(directory, binary, sizeof(directory));
	dirname(directory);
	where.metrics = metrics_path(metrics, sizeof(metrics));
	where.keep = record_path(binary, id, record, sizeof(record));
	harness__run_test(&ops, id, attrs, directory, &where, cancel_fd, stdout, outcome);
	harness_signals__close(cancel_fd);
}

int ktstr_harness__enter_host(int argc, char **argv, struct ktstr_error *error)
{
	const char *forbidden = getenv("KTSTR_NO_EMULATED_HOST");
	int status, ret;

	ret = host_share__check(error);
	if (ret)
		return ret;
	ret = emulated_host__enter(argv + (argc > 0), !forbidden || strcmp(forbidden, "1"), &status,
				   error);
	if (ret > 0)
		exit(status);
	return ret;
}
