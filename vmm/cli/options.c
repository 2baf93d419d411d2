// SPDX-License-Identifier: GPL-2.0-only
/* What the subcommands have in common: values of options, and how bad input is told. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int cli_bad(const char *command, const char *option, const char *why)
{
	fprintf(stderr, "ktstr: %s: %s: %s; see ktstr %s --help\n", command, option, why, command);
	return CLI_EXIT_USAGE;
}

int cli_error(const char *command, const struct ktstr_error *error)
{
	char line[1200];

	ktstr_error__format(error, line, sizeof(line));
	fprintf(stderr, "ktstr: %s: %s\n", command, line);
	return CLI_EXIT_USAGE;
}

int cli_bad_option(const char *command, int c, const char *arg)
{
	char name[128];

	if (!strncmp(arg, "--", 2))
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
	else
		snprintf(name, sizeof(name), "-%c", optopt);
	return cli_bad(command, name,
		       c == ':' ? "needs a value"
				: "unknown, ambiguous or with a value that it does not take");
}

bool cli_parse_u32(const char *text, uint32_t min, uint32_t *value)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > 0x7fffffff)
		return false;
	*value = (uint32_t)n;
	return true;
}

bool cli_parse_vendor(const char *text, enum ktstr_cpu_vendor *vendor)
{
	if (!strcmp(text, "intel"))
		*vendor = KTSTR_VENDOR_INTEL;
	else if (!strcmp(text, "amd"))
		*vendor = KTSTR_VENDOR_AMD;
	else
		return false;
	return true;
}
