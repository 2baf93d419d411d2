// SPDX-License-Identifier: GPL-2.0-only
/* What the subcommands have in common: values of options, and how bad input is told. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ktstr/gauntlet.h>

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

static bool parse_vendor(const char *text, enum ktstr_cpu_vendor *vendor)
{
	if (!strcmp(text, "intel"))
		*vendor = KTSTR_VENDOR_INTEL;
	else if (!strcmp(text, "amd"))
		*vendor = KTSTR_VENDOR_AMD;
	else
		return false;
	return true;
}

int cli_machine__option(struct cli_machine *machine, const char *command, int c, const char *value)
{
	static const struct {
		int c;
		const char *name;
	} of_topology[] = {{'t', "topology"},
			   {'N', "node"},
			   {'D', "distance"},
			   {'C', "cache"},
			   {'Y', "capacity"}};
	struct ktstr_error error = {0};

	for (size_t i = 0; i < sizeof(of_topology) / sizeof(of_topology[0]); i++) {
		if (c != of_topology[i].c)
			continue;
		return ktstr_topology_options__add(&machine->options, of_topology[i].name, value,
						   &error)
			       ? cli_error(command, &error)
			       : 0;
	}
	if (c == 'm')
		return cli_parse_u32(value, 1, &machine->memory_mb)
			       ? 0
			       : cli_bad(command, "--memory", "takes a number of MiB");
	if (c == 'V')
		return parse_vendor(value, &machine->vendor)
			       ? 0
			       : cli_bad(command, "--vendor", "takes intel or amd");
	return -1;
}

int cli_machine__finish(struct cli_machine *machine, const char *command)
{
	const char *topology = machine->options.text;
	const struct ktstr_preset *preset = topology ? ktstr_preset__find(topology) : NULL;
	struct ktstr_error error = {0};

	if (preset && !machine->memory_mb)
		machine->memory_mb = preset->memory_mb;
	if (ktstr_topology_options__finish(&machine->options, &error) ||
	    ktstr_topology__memory_mb(&machine->options.topology, machine->memory_mb,
				      &machine->memory_mb, &error))
		return cli_error(command, &error);
	return 0;
}
