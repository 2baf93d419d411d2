// SPDX-License-Identifier: GPL-2.0-only
/* Options of a test binary beside those of kselftest. */
#include <ktstr/test.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ktstr_harness__take_options(int *argc, char **argv, struct ktstr_error *error)
{
	static const char option[] = "--artifacts";
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		const char *value = argv[i] + sizeof(option) - 1;

		if (strncmp(argv[i], option, sizeof(option) - 1) != 0 ||
		    (*value && *value != '=')) {
			argv[kept++] = argv[i];
			continue;
		}
		value = *value ? value + 1 : i + 1 < *argc ? argv[++i] : "";
		if (!*value || setenv("KTSTR_ARTIFACTS", value, 1))
			return ktstr_error__set(error, EINVAL, NULL, option, "needs a directory");
	}
	/* Of a program that asks nothing of us, argv[0] may be missing. */
	if (kept < *argc) {
		argv[kept] = NULL;
		*argc = kept;
	}
	return 0;
}
