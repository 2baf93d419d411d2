// SPDX-License-Identifier: GPL-2.0-only
/* The `ktstr` command: finds the subcommand. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ktstr/guest.h>
#include <ktstr/vm.h>

#include "../emulated/emulated.h"
#include "cli.h"

static void usage(FILE *to)
{
	fputs("Usage: ktstr COMMAND [ARGS...]\n"
	      "\n"
	      "  run [OPTIONS] [--] CMD ARGS...  boot a VM, run CMD in it, exit with its status\n"
	      "  shell [OPTIONS]                 boot a VM with a shell on the terminal\n"
	      "  rerun DIR                       run again what left the record DIR\n"
	      "  topo [OPTIONS]                  show a topology, and what a guest is told of it\n"
	      "  compare [OPTIONS] A B           what changed between two sets of tests' runs\n"
	      "  locks                           who has this host's caches and CPUs, and who "
	      "waits\n"
	      "  probe                           say what this host's KVM can do\n"
	      "  cache list|clean                what is kept to start machines faster\n"
	      "  kernel list|fetch|build|path    kernels to test with\n"
	      "  emulated-host ...               a KVM host in emulation, where KVM is not usable\n"
	      "  --version, --help\n"
	      "\n"
	      "`ktstr COMMAND --help` says more. Exit status 2: bad input.\n",
	      to);
}

const char *cli_self(void)
{
	static char path[PATH_MAX]; /* the CLI's own, not the library's */
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	return path;
}

static int cmd_probe(int argc, char **argv)
{
	static const char *const kinds[] = {[KTSTR_KVM_NATIVE] = "native",
					    [KTSTR_KVM_EMULATED] = "emulated",
					    [KTSTR_KVM_ABSENT] = "absent"};
	struct ktstr_probe probe;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		puts("Usage: ktstr probe\n\n"
		     "Prints native, emulated or absent, and why: whether /dev/kvm can run a "
		     "kernel.");
		return 0;
	}
	if (argc > 1) {
		fprintf(stderr, "ktstr: probe: %s: takes no argument; see ktstr probe --help\n",
			argv[1]);
		return CLI_EXIT_USAGE;
	}
	ktstr_probe__run(&probe);
	printf("%s: %s\n", kinds[probe.kind], probe.detail);
	return 0;
}

static bool known_kernel_command(const char *name)
{
	static const char *const names[] = {"list", "fetch", "build",  "source",
					    "path", "ksrc",  "--help", "-h"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* scripts/kernel, where the build or the installation has it. */
static int cmd_kernel(int argc, char **argv)
{
	static const char *const places[] = {"/../libexec/ktstr/kernel", "/../scripts/kernel",
					     "/../../scripts/kernel"};
	char dir[PATH_MAX], path[PATH_MAX + 64];
	const char *given = getenv("KTSTR_SCRIPTS");
	char *slash;

	if (!known_kernel_command(argc > 1 ? argv[1] : "")) {
		fprintf(stderr,
			"ktstr: kernel: %s: not list, fetch, build, source, path or ksrc; "
			"see ktstr kernel --help\n",
			argc > 1 ? argv[1] : "command missing");
		return CLI_EXIT_USAGE;
	}
	snprintf(dir, sizeof(dir), "%s", cli_self());
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) + 1; i++) {
		if (i == 0 && !given)
			continue;
		if (i == 0)
			snprintf(path, sizeof(path), "%s/kernel", given);
		else
			snprintf(path, sizeof(path), "%s%s", dir, places[i - 1]);
		if (access(path, X_OK) == 0) {
			argv[0] = path;
			execv(path, argv);
			break;
		}
	}
	fprintf(stderr,
		"ktstr: kernel: the script was not found beside %s; "
		"set KTSTR_SCRIPTS to the folder that has it\n",
		cli_self());
	return CLI_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*main)(int argc, char **argv);
	} commands[] = {
		{"run", cli_run},	{"shell", cli_shell},
		{"rerun", cli_rerun},	{"topo", cli_topo},
		{"cache", cli_cache},	{"compare", cli_compare},
		{"locks", cli_locks},	{"probe", cmd_probe},
		{"kernel", cmd_kernel}, {"emulated-host", emulated_host__main},
	};

	/* The reference that links PID 1 into this program: it is /init of `run` and `shell`. */
	if (ktstr_guest__is_guest())
		return CLI_EXIT_LOST;
	if (argc < 2) {
		usage(stderr);
		return CLI_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("ktstr " KTSTR_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	fprintf(stderr, "ktstr: %s: unknown command; see ktstr --help\n", argv[1]);
	return CLI_EXIT_USAGE;
}
