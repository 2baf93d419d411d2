// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr rerun`: boots once more what left a record. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../emulated/emulated.h"
#include "../metrics.h"
#include "../saved.h"
#include "cli.h"
#include "session.h"

/*
 * The verdict that a record holds, from result.json, and whether an extractor had a part in it.
 * False: there is none.
 */
static bool recorded_verdict(const char *dir, char *buf, size_t size, bool *extractor)
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
	*extractor = strstr(text, "\"extractor\": true");
	at = strstr(text, key);
	if (!at)
		return false;
	at += sizeof(key) - 1;
	metrics__clean(buf, size, at, strcspn(at, "\""));
	return true;
}

/* Says whether it ended as it did before. Returns @status, or that nothing can be said by it. */
static int compare(const char *dir, enum ktstr_verdict now, int status)
{
	const char *name = ktstr_verdict__name(now);
	char before[64];
	bool extractor;

	if (!recorded_verdict(dir, before, sizeof(before), &extractor)) {
		fprintf(stderr, "ktstr: rerun: %s; no verdict was recorded\n", name);
	} else if (!strcmp(before, name)) {
		fprintf(stderr, "ktstr: rerun: %s, as recorded\n", name);
	} else if (extractor && now == KTSTR_VERDICT_PASS) {
		fprintf(stderr,
			"ktstr: rerun: %s was recorded with the test's extractor, which is "
			"not run here\n",
			before);
		return CLI_EXIT_LOST;
	} else {
		fprintf(stderr, "ktstr: rerun: %s, but %s was recorded\n", name, before);
	}
	return status;
}

static bool is_same_directory(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
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
	if (s.artifacts && is_same_directory(s.artifacts, argv[optind]))
		status = cli_bad(s.command, "--artifacts",
				 "is the record that is run again; give another directory");
	session__set_output(&s);
	if (!status)
		status = session__check(&s);
	if (!status) {
		ret = emulated_host__enter(argv, !s.no_emulated_host, &status, &error);
		if (ret < 0)
			status = cli_error(s.command, &error);
		if (!ret)
			status = session__run(&s);
		if (!ret && s.verdict && s.verdict != KTSTR_VERDICT_INTERRUPTED)
			status = compare(argv[optind], s.verdict, status);
	}
	saved_machine__free(&machine);
	return status;
}
