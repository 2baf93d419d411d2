// SPDX-License-Identifier: GPL-2.0-only
/* Which of the host's files a command needs in its machine. */
#include "files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* What a person, or a script, expects beside a shell; those that the host has are taken along. */
static const char *const shell_tools[] = {
	"awk",	  "cat",   "chmod",   "chrt",	 "cp",	  "cut",    "date",    "dd",	 "df",
	"dmesg",  "echo",  "env",     "expr",	 "false", "find",   "free",    "grep",	 "head",
	"id",	  "kill",  "ln",      "ls",	 "lscpu", "lsmod",  "mkdir",   "mktemp", "mount",
	"mv",	  "nproc", "numactl", "pgrep",	 "pidof", "pkill",  "ps",      "pwd",	 "readlink",
	"reboot", "rm",	   "rmdir",   "sed",	 "seq",	  "setsid", "sh",      "sleep",	 "sort",
	"stat",	  "stty",  "tail",    "taskset", "tee",	  "test",   "timeout", "top",	 "touch",
	"tr",	  "true",  "tty",     "umount",	 "uname", "uniq",   "uptime",  "wc",	 "xargs",
};

/* Programs whose arguments are likely to be commands; of a script, by its "#!" line. */
static const char *const shells[] = {"ash", "bash", "dash", "sh", "zsh", "ksh"};

/* Where a name without a slash is in PATH. False: nowhere. */
bool cli_files__find(const char *name, char *buf, size_t size)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/')) {
		snprintf(buf, size, "%s", name);
		return access(buf, F_OK) == 0;
	}
	for (path = path ? path : "/usr/bin:/bin"; *path;) {
		size_t n = strcspn(path, ":");
		struct stat st;

		snprintf(buf, size, "%.*s/%s", (int)n, path, name);
		if (!access(buf, X_OK) && !stat(buf, &st) && S_ISREG(st.st_mode))
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

/* A host file becomes a guest file at its absolute path; the string lives until the process ends.
 */
static void add_path(struct ktstr_file *files, size_t *nr, const char *path)
{
	char cwd[PATH_MAX], absolute[2 * PATH_MAX];

	if (path[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		snprintf(absolute, sizeof(absolute), "%s", path);
	else
		snprintf(absolute, sizeof(absolute), "%s/%s", cwd, path);
	files[*nr].host_path = strdup(absolute);
	files[*nr].guest_path = NULL;
	if (files[*nr].host_path)
		(*nr)++;
}

static bool add_program(struct ktstr_file *files, size_t *nr, const char *name)
{
	char found[PATH_MAX];

	if (!cli_files__find(name, found, sizeof(found)))
		return false;
	add_path(files, nr, found);
	return true;
}

const char *cli_files__base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_shell(const char *path)
{
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (!strcmp(cli_files__base_name(path), shells[i]))
			return true;
	return false;
}

/* A shell, or a script that begins with "#!" and a shell, or with "#!/usr/bin/env" and one. */
static bool runs_shell(const char *program)
{
	char path[PATH_MAX], line[256] = "", *word, *save = NULL;
	FILE *f;

	if (is_shell(program))
		return true;
	f = cli_files__find(program, path, sizeof(path)) ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	if (strncmp(line, "#!", 2) != 0)
		return false;
	word = strtok_r(line + 2, " \t\n", &save);
	if (word && !strcmp(cli_files__base_name(word), "env"))
		word = strtok_r(NULL, " \t\n", &save);
	return word && is_shell(word);
}

bool cli_files__is_regular(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

int cli_files__gather(const char *command, char **argv, const char *const *includes,
		      size_t nr_includes, struct ktstr_vm_config *config, struct ktstr_file **out)
{
	size_t nr = 0, argc = 0;
	struct ktstr_file *files = NULL;

	while (argv[argc])
		argc++;
	files = calloc(argc + nr_includes + sizeof(shell_tools) / sizeof(shell_tools[0]) + 1,
		       sizeof(*files));
	if (!files)
		return cli_bad(command, "memory", strerror(ENOMEM));
	if (argc && !add_program(files, &nr, argv[0])) {
		fprintf(stderr, "ktstr: %s: %s: %s\n", command, argv[0],
			strchr(argv[0], '/') ? "no such file; check the path"
					     : "no such program in PATH; give its path");
		free(files);
		return CLI_EXIT_USAGE;
	}
	for (size_t i = 1; i < argc; i++)
		if (cli_files__is_regular(argv[i]))
			add_path(files, &nr, argv[i]);
	for (size_t i = 0; i < nr_includes; i++) {
		if (!access(includes[i], F_OK)) {
			add_path(files, &nr, includes[i]);
			continue;
		}
		if (add_program(files, &nr, includes[i]))
			continue;
		fprintf(stderr, "ktstr: %s: --include %s: %s; give a path, or a program of PATH\n",
			command, includes[i], strerror(ENOENT));
		free(files);
		return CLI_EXIT_USAGE;
	}
	if (argc && runs_shell(argv[0]))
		for (size_t i = 0; i < sizeof(shell_tools) / sizeof(shell_tools[0]); i++)
			add_program(files, &nr, shell_tools[i]);
	config->files = files;
	config->nr_files = nr;
	*out = files;
	return 0;
}
