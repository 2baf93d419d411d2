// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr rerun`: boots once more what left a record. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../emulated/emulated.h"
#include "../saved.h"
#include "cli.h"
#include "session.h"

/* The verdict that a record holds, from result.json. False: there is none. */
static bool recorded_verdict(const char *dir, char *buf, size_t size)
{
	static const char key[] = "\"verdict\": \"";
	char path[PATH_MAX], text[512] = "", *at;
	FILE *f;

	snprintf(path, sizeof(path), "%s/result.json", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	at = strstr(text, key);
	if (!at)
		return false;
	at += sizeof(key) - 1;
	snprintf(buf, size, "%.*s", (int)strcspn(at, "\""), at);
	return true;
}

/* Says whether it ended as it did before. */
static void compare(const char *before, enum ktstr_verdict now)
{
	const char *name = ktstr_verdict__name(now);

	if (!strcmp(before, name))
		fprintf(stderr, "ktstr: rerun: %s, as recorded\n", name);
	else
		fprintf(stderr, "ktstr: rerun: %s, but %s was recorded\n", name, before);
}

static int parse_options(struct session *s, int argc, char **argv, bool *help)
{
	static const struct option options[] = {
		{"no-emulated-host", no_argument, NULL, 'E'},
		{"artifacts", required_argument, NULL, 'A'},
		{"watch", no_argument, NULL, 'W'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, index = 1;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+:vh", options, NULL)) != -1) {
		if (c == '?' || c == ':')
			return cli_bad_option(s->command, c, argv[index]);
		switch (c) {
		case 'E':
			s->no_emulated_host = true;
			break;
		case 'A':
			s->artifacts = optarg;
			break;
		case 'W':
			s->watching = true;
			break;
		case 'v':
			s->verbose = true;
			break;
		default:
			*help = true;
			break;
		}
		index = optind;
	}
	if (*help)
		return 0;
	if (!argv[optind] || argv[optind + 1])
		return cli_bad(s->command, "DIR", argv[optind] ? "only one" : "missing");
	return 0;
}

static void usage(void)
{
	puts("Usage: ktstr rerun [OPTIONS] DIR\n"
	     "\n"
	     "Boots what left the record DIR once more, byte for byte, with the same settings, "
	     "and\n"
	     "says whether it ended in the same way. Exit status as of `ktstr run`.\n"
	     "\n"
	     "      --artifacts DIR    leave the record of the new run in DIR\n"
	     "      --watch            show exits and CPU time each second while it runs\n"
	     "      --no-emulated-host fail where KVM cannot run a kernel\n"
	     "  -v, --verbose          show the kernel's console and the scheduler's output\n"
	     "  -h, --help");
}

int cli_rerun(int argc, char **argv)
{
	struct session s = {.command = "rerun"};
	struct ktstr_error error = {0};
	struct saved_machine machine;
	char before[64];
	bool help = false;
	int status = parse_options(&s, argc, argv, &help), ret;

	if (status)
		return status;
	if (help) {
		usage();
		return 0;
	}
	if (saved_machine__read(argv[optind], &machine, &error)) {
		saved_machine__free(&machine);
		return cli_error(s.command, &error);
	}
	s.config = machine.config;
	if (s.config.role == KTSTR_ROLE_SHELL)
		status = cli_bad(s.command, argv[optind],
				 "is of a shell, which cannot be run again");
	session__set_output(&s);
	if (!status) {
		ret = emulated_host__enter(argv, !s.no_emulated_host, &status, &error);
		if (ret < 0)
			status = cli_error(s.command, &error);
		if (!ret)
			status = session__run(&s);
		if (!ret && s.verdict && recorded_verdict(argv[optind], before, sizeof(before)))
			compare(before, s.verdict);
	}
	saved_machine__free(&machine);
	return status;
}
