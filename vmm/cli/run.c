// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr run` and `ktstr shell`: options, one machine, what it printed, its exit status. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <ktstr/vm.h>

#include "../emulated/emulated.h"
#include "../kernel.h"
#include "../profraw.h"
#include "../record.h"
#include "../saved.h"
#include "cli.h"
#include "watch.h"

#define MAX_INCLUDES 256
#define DEFAULT_RUN_TIMEOUT_S 3600u
#define NO_TIMEOUT_S 0x7fffffffu
#define CONSOLE_TAIL_LINES 40
#define STATS_MIN_MS 10u
#define STATS_MAX_MS 3600000u

struct run_options {
	const char *command; /* "run" or "shell", for messages */
	struct ktstr_vm_config config;
	struct cli_machine machine; /* @config points into it */
	const char *includes[MAX_INCLUDES];
	size_t nr_includes;
	const char *report;    /* file for result.json alone; NULL: none */
	const char *artifacts; /* directory of the run's record; NULL: none */
	bool watching;
	struct watch watch;
	enum ktstr_verdict verdict; /* of the run, when it is over */
	const char *stats;	    /* file for statistics; NULL: standard error */
	FILE *stats_to;
	struct cli_extract extract; /* no .command: none */
	const char *scheduler_args[64];
	size_t nr_scheduler_args;
	struct profraw profraw;
	bool no_emulated_host, verbose, help;
};

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

static void usage(const struct run_options *o, FILE *to)
{
	bool shell = !strcmp(o->command, "shell");

	fprintf(to,
		"Usage: ktstr %s [OPTIONS]%s\n"
		"\n"
		"  -k, --kernel K         bzImage, vmlinux, build tree or version [KTSTR_KERNEL or "
		"the\n"
		"                         newest fetched one]\n"
		"  -t, --topology T       NUMA nodes, LLCs, cores per LLC, threads per core "
		"[1n1l1c1t],\n"
		"                         and p: packages [one for each node with CPUs]\n"
		"      --node N           what a NUMA node has: llcs=N (0: memory alone), "
		"memory=MIB,\n"
		"                         latency=NS, bandwidth=MBS, cache=MIB, joined by commas; "
		"once for\n"
		"                         each node\n"
		"      --distance D       between two nodes, as in 0,1=17 [20]; may be repeated\n"
		"      --cache C          l1d=KIB, l1i=KIB, l2=KIB, l3=KIB, joined by commas [as "
		"server parts]\n"
		"  -m, --memory MB        guest RAM [the sum of the nodes' if each says its own, "
		"or "
		"512]\n"
		"  -s, --scheduler BIN    start this scheduler first, and wait until it is "
		"attached\n"
		"      --scheduler-args A one argument of it; may be repeated\n"
		"      --stats S[:FILE]   ask it for its statistics every S seconds and write them "
		"to FILE\n"
		"                         [standard error], a line of JSON each\n"
		"  -i, --include FILE     put FILE (a path, or a program of PATH) and the "
		"libraries that\n"
		"                         it needs into the guest; may be repeated\n"
		"  -a, --append ARGS      add to the kernel command line\n"
		"      --timeout S        end the VM S seconds after the command started [%s]\n"
		"      --irqchip I        auto, or split: the IOAPIC in the monitor, not in KVM "
		"[auto]\n"
		"      --vendor V         show the guest an intel or an amd CPU, for tests of "
		"topology\n"
		"                         [the host's]\n"
		"%s"
		"      --no-emulated-host fail where KVM cannot run a kernel\n"
		"      --report FILE      write verdict, times and exits to FILE as JSON\n"
		"      --artifacts DIR    leave the run's record in DIR, for ktstr rerun\n"
		"      --watch            show exits and CPU time each second while it runs\n"
		"  -v, --verbose          show the kernel's console and the scheduler's output\n"
		"  -h, --help\n"
		"\n"
		"%s",
		o->command, shell ? "" : " [--] CMD ARGS...", shell ? "none" : "3600",
		shell ? ""
		      : "      --extract COMMAND  give CMD's standard output to `sh -c COMMAND` on "
			"this host,\n"
			"                         which prints metrics as JSON; see ktstr-run(1)\n",
		shell ? ""
		      : "CMD, and arguments that name files, are taken along with the libraries "
			"that they\n"
			"need; beside a shell or a shell script, common tools too (ls, cat, lscpu, "
			"...).\n"
			"CMD's standard input is empty. Exit status: CMD's, or 128 + the signal "
			"that\n"
			"ended it; 2 for bad input; 125 when the machine gave none.\n");
}

static int bad(const struct run_options *o, const char *option, const char *why)
{
	return cli_bad(o->command, option, why);
}

/* SECONDS[:FILE], SECONDS with up to three decimals. */
static bool parse_stats(struct run_options *o, const char *value)
{
	uint64_t ms = 0;
	int decimals = -1;

	for (; *value && *value != ':'; value++) {
		if (*value == '.' && decimals < 0) {
			decimals = 0;
			continue;
		}
		if (*value < '0' || *value > '9' || decimals == 3 || ms > STATS_MAX_MS)
			return false;
		ms = ms * 10 + (uint64_t)(*value - '0');
		decimals += decimals >= 0;
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
		ms *= 10;
	if (ms < STATS_MIN_MS || ms > STATS_MAX_MS || (*value && !value[1]))
		return false;
	o->config.stats_interval_ms = (uint32_t)ms;
	o->stats = *value ? value + 1 : NULL;
	return true;
}

static int parse_option(struct run_options *o, int c)
{
	switch (c) {
	case 'k':
		o->config.kernel = optarg;
		return 0;
	case 's':
		o->config.scheduler = optarg;
		return 0;
	case 'S':
		if (o->nr_scheduler_args + 1 ==
		    sizeof(o->scheduler_args) / sizeof(o->scheduler_args[0]))
			return bad(o, "--scheduler-args", "too many");
		o->scheduler_args[o->nr_scheduler_args++] = optarg;
		return 0;
	case 'i':
		if (o->nr_includes == MAX_INCLUDES)
			return bad(o, "--include", "too many");
		o->includes[o->nr_includes++] = optarg;
		return 0;
	case 'a':
		o->config.append = optarg;
		return 0;
	case 'T':
		return cli_parse_u32(optarg, 1, &o->config.timeout_s)
			       ? 0
			       : bad(o, "--timeout", "takes a number of seconds");
	case 'I':
		if (strcmp(optarg, "auto") != 0 && strcmp(optarg, "split") != 0)
			return bad(o, "--irqchip", "takes auto or split");
		o->config.irqchip =
			!strcmp(optarg, "split") ? KTSTR_IRQCHIP_SPLIT : KTSTR_IRQCHIP_AUTO;
		return 0;
	case 'R':
		o->report = optarg;
		return 0;
	case 'A':
		o->artifacts = optarg;
		return 0;
	case 'W':
		o->watching = true;
		return 0;
	case 'P':
		return parse_stats(o, optarg)
			       ? 0
			       : bad(o, "--stats", "takes SECONDS or SECONDS:FILE, 0.01 to 3600");
	case 'x':
		if (strcmp(o->command, "run") != 0)
			return bad(o, "--extract", "is for run");
		o->extract.command = optarg;
		return 0;
	case 'E':
		o->no_emulated_host = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	default:
		return cli_machine__option(&o->machine, o->command, c, optarg);
	}
}

static int parse_options(struct run_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"kernel", required_argument, NULL, 'k'},
		CLI_MACHINE_OPTIONS,
		{"scheduler", required_argument, NULL, 's'},
		{"scheduler-args", required_argument, NULL, 'S'},
		{"stats", required_argument, NULL, 'P'},
		{"include", required_argument, NULL, 'i'},
		{"append", required_argument, NULL, 'a'},
		{"timeout", required_argument, NULL, 'T'},
		{"irqchip", required_argument, NULL, 'I'},
		{"extract", required_argument, NULL, 'x'},
		{"no-emulated-host", no_argument, NULL, 'E'},
		{"report", required_argument, NULL, 'R'},
		{"artifacts", required_argument, NULL, 'A'},
		{"watch", no_argument, NULL, 'W'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, index = 1;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+:k:t:m:s:i:a:vh", options, NULL)) != -1) {
		int status = parse_option(o, c);

		if (status < 0)
			return cli_bad_option(o->command, c, argv[index]);
		if (status)
			return status;
		if (c == 'x') {
			/* It is done here, not where the same command may run again. */
			memmove(argv + index, argv + optind,
				(size_t)(argc - optind + 1) * sizeof(*argv));
			argc -= optind - index;
			optind = index;
		}
		index = optind;
	}
	if (o->nr_scheduler_args && !o->config.scheduler)
		return bad(o, "--scheduler-args", "needs --scheduler");
	if (o->config.stats_interval_ms && !o->config.scheduler)
		return bad(o, "--stats", "needs --scheduler, which is asked");
	if (o->config.stats_interval_ms && !o->stats && !strcmp(o->command, "shell"))
		return bad(o, "--stats", "needs a file in a shell: SECONDS:FILE");
	return 0;
}

/* Where a name without a slash is in PATH. False: nowhere. */
static bool find_in_path(const char *name, char *buf, size_t size)
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

	if (!find_in_path(name, found, sizeof(found)))
		return false;
	add_path(files, nr, found);
	return true;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_shell(const char *path)
{
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (!strcmp(base_name(path), shells[i]))
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
	f = find_in_path(program, path, sizeof(path)) ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	if (strncmp(line, "#!", 2) != 0)
		return false;
	word = strtok_r(line + 2, " \t\n", &save);
	if (word && !strcmp(base_name(word), "env"))
		word = strtok_r(NULL, " \t\n", &save);
	return word && is_shell(word);
}

static bool is_regular_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

static int gather_files(struct run_options *o, char **argv, struct ktstr_file **out)
{
	size_t nr = 0, argc = 0;
	struct ktstr_file *files = NULL;

	while (argv[argc])
		argc++;
	files = calloc(argc + o->nr_includes + sizeof(shell_tools) / sizeof(shell_tools[0]) + 1,
		       sizeof(*files));
	if (!files)
		return bad(o, "memory", strerror(ENOMEM));
	if (argc && !add_program(files, &nr, argv[0])) {
		fprintf(stderr, "ktstr: %s: %s: %s\n", o->command, argv[0],
			strchr(argv[0], '/') ? "no such file; check the path"
					     : "no such program in PATH; give its path");
		free(files);
		return CLI_EXIT_USAGE;
	}
	for (size_t i = 1; i < argc; i++)
		if (is_regular_file(argv[i]))
			add_path(files, &nr, argv[i]);
	for (size_t i = 0; i < o->nr_includes; i++) {
		if (!access(o->includes[i], F_OK)) {
			add_path(files, &nr, o->includes[i]);
			continue;
		}
		if (add_program(files, &nr, o->includes[i]))
			continue;
		fprintf(stderr, "ktstr: %s: --include %s: %s; give a path, or a program of PATH\n",
			o->command, o->includes[i], strerror(ENOENT));
		free(files);
		return CLI_EXIT_USAGE;
	}
	if (argc && runs_shell(argv[0]))
		for (size_t i = 0; i < sizeof(shell_tools) / sizeof(shell_tools[0]); i++)
			add_program(files, &nr, shell_tools[i]);
	o->config.files = files;
	o->config.nr_files = nr;
	*out = files;
	return 0;
}

/*
 * Waits for a slow reader, which slows the guest down, but not when a signal is there: it could be
 * one that has stopped for good.
 */
static void write_all(const struct run_options *o, int fd, const char *data, size_t length)
{
	while (length) {
		struct pollfd pfd[] = {{.fd = fd, .events = POLLOUT},
				       {.fd = o->config.cancel_fd, .events = POLLIN}};
		/* a pipe that is writable takes that much at once */
		size_t most = length < PIPE_BUF ? length : PIPE_BUF;
		ssize_t n;

		if (poll(pfd, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (!pfd[0].revents)
			return;
		n = write(fd, data, most);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the reader has gone; the status still counts */
		data += n;
		length -= (size_t)n;
	}
}

static void on_output(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	struct run_options *o = opaque;

	watch__clear(&o->watch);
	if (stream == KTSTR_OUT)
		write_all(o, STDOUT_FILENO, data, length);
	else if (stream == KTSTR_ERR || o->verbose)
		write_all(o, STDERR_FILENO, data, length);
}

static void on_console(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	(void)stream;
	write_all(opaque, STDERR_FILENO, data, length);
}

/* A line as soon as it is there: who follows the file sees it. */
static void on_stats(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	const struct run_options *o = opaque;

	fprintf(o->stats_to, "{\"at_ms\":%llu,\"stats\":", (unsigned long long)at_ms);
	fwrite(json, 1, length, o->stats_to);
	fputs("}\n", o->stats_to);
	fflush(o->stats_to);
}

static void on_progress(void *opaque, const char *step)
{
	(void)opaque;
	/* One line that goes away again when the guest speaks. */
	if (!strcmp(step, "running"))
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "\r\033[Kktstr: %s ...", step);
	fflush(stderr);
}

/* All lines of @text: they explain the line before them. */
static void print_whole(const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, "\n");

		fprintf(stderr, "# | %.*s\n", n, text);
		text += n + (text[n] == '\n');
	}
}

/* The last lines of @text, each behind "# | ". */
static void print_tail(const char *text)
{
	const char *at = text + strlen(text);
	int lines = 0;

	while (at > text && lines <= CONSOLE_TAIL_LINES)
		if (*--at == '\n')
			lines++;
	while (*at) {
		size_t n = strcspn(at, "\n"), shown = n;

		while (shown && at[shown - 1] == '\r')
			shown--;
		if (shown)
			fprintf(stderr, "# | %.*s\n", (int)shown, at);
		at += n + (at[n] == '\n');
	}
}

static int report(struct run_options *o, const struct ktstr_result *r)
{
	bool judged = r->have_status && (r->verdict >= KTSTR_VERDICT_FAIL) &&
		      r->verdict != KTSTR_VERDICT_INTERRUPTED;

	watch__clear(&o->watch);
	if (judged)
		return r->signal ? 128 + r->signal : r->exit_code;
	fprintf(stderr, "ktstr: %s: %s\n", ktstr_verdict__name(r->verdict), r->cause);
	if (r->verdict == KTSTR_VERDICT_INTERRUPTED)
		return CLI_EXIT_LOST;
	print_whole(r->backtrace);
	print_whole(r->vcpus);
	if (!o->verbose) {
		print_tail(r->console);
		print_tail(r->com2);
		print_tail(r->scheduler_output);
	}
	return CLI_EXIT_LOST;
}

static int write_report(const struct run_options *o, const struct ktstr_result *r)
{
	FILE *f = fopen(o->report, "we");

	if (!f)
		return -errno;
	record__result(f, &o->config, r, NULL);
	return fclose(f) ? -errno : 0;
}

/* The status of a process that a signal ended, as a shell shows it. */
static int end_by_signal(int signal_fd, int status)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		return 128 + (int)info.ssi_signo;
	return status;
}

/* A record that was asked for and could not be written is a failure, whatever the run was. */
static int finish_record(const struct run_options *o, struct record *record, struct ktstr_vm *vm,
			 const struct ktstr_result *result, int status)
{
	struct record_about about = {.name = o->config.argv ? o->config.argv[0] : o->command,
				     .judged = status ? "fail" : "pass"};
	struct ktstr_error error = {0};

	return record__write(record, vm, ktstr_vm__save, result, &about, &error)
		       ? cli_error(o->command, &error)
		       : status;
}

static bool open_stats(struct run_options *o)
{
	if (!o->config.stats_interval_ms)
		return true;
	o->config.stats = on_stats;
	o->config.stats_opaque = o;
	o->stats_to = o->stats ? fopen(o->stats, "we") : stderr;
	return o->stats_to;
}

/* What was wrong with the statistics is said; only a file that could not be written is our failure.
 */
static int close_stats(struct run_options *o, const struct ktstr_result *result, int status)
{
	bool failed;

	if (result && result->stats_problem)
		fprintf(stderr, "ktstr: statistics: %s\n", result->stats_problem);
	if (!o->stats || !o->stats_to)
		return status;
	failed = ferror(o->stats_to);
	if (fclose(o->stats_to) || failed)
		return bad(o, o->stats, strerror(errno));
	return status;
}

static int boot_and_run(struct run_options *o, int signal_fd)
{
	struct ktstr_error error = {0};
	struct ktstr_result result;
	struct record *record = NULL;
	struct ktstr_vm *vm;
	char lost[1500];
	int status;

	o->config.cancel_fd = signal_fd;
	profraw__init(&o->profraw, getenv(PROFRAW_DIRECTORY_VARIABLE));
	o->config.frame = profraw__frame;
	o->config.frame_opaque = &o->profraw;
	if (!open_stats(o))
		return bad(o, o->stats, strerror(errno));
	if (o->artifacts && record__create(o->artifacts, true, &record, &error))
		return close_stats(o, NULL, cli_error(o->command, &error));
	if (record)
		record__attach(record, &o->config);
	if (ktstr_vm__create(&o->config, &vm, &error)) {
		record__destroy(record);
		return close_stats(o, NULL, cli_error(o->command, &error));
	}
	if (ktstr_vm__run(vm, &result, &error)) {
		status = close_stats(o, NULL, cli_error(o->command, &error));
	} else {
		o->verdict = result.verdict;
		status = report(o, &result);
		status = close_stats(o, &result, status);
		if (result.verdict == KTSTR_VERDICT_INTERRUPTED)
			status = end_by_signal(signal_fd, status);
		if (profraw__report(&o->profraw, lost, sizeof(lost)))
			fprintf(stderr, "ktstr: %s: %s\n", o->command, lost);
		if (o->report && write_report(o, &result))
			status = bad(o, o->report, strerror(errno));
		if (record)
			status = finish_record(o, record, vm, &result, status);
	}
	watch__clear(&o->watch);
	record__destroy(record);
	ktstr_vm__destroy(vm);
	return status;
}

/* A shell's terminal is the guest's while it runs. */
static int with_terminal(struct run_options *o, int signal_fd)
{
	struct termios saved, raw;
	int status;

	if (o->config.terminal_in < 0 || tcgetattr(o->config.terminal_in, &saved))
		return boot_and_run(o, signal_fd);
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* our own lines; the guest's have their \r already */
	tcsetattr(o->config.terminal_in, TCSANOW, &raw);
	status = boot_and_run(o, signal_fd);
	tcsetattr(o->config.terminal_in, TCSADRAIN, &saved);
	return status;
}

static int with_signals(struct run_options *o)
{
	sigset_t set, old;
	int fd, status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return bad(o, "signalfd", strerror(errno));
	status = with_terminal(o, fd);
	close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}

/* What can be said about the input without a machine, before an emulated host is started for it. */
static int check_input(const struct run_options *o)
{
	struct ktstr_error error = {0};
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	const char *scheduler = o->config.scheduler;
	int status = 0;

	if (!kernel)
		return bad(o, "memory", strerror(ENOMEM));
	if (kernel__resolve(o->config.kernel, kernel, &error)) {
		ktstr_error__hint(&error, "give a kernel image, a build tree or a version of "
					  "`ktstr kernel list`");
		status = cli_error(o->command, &error);
	} else if (access(kernel->image, R_OK)) {
		ktstr_error__set(&error, errno, "open kernel", kernel->image, NULL);
		ktstr_error__hint(&error, "make it readable for this user, or copy it");
		status = cli_error(o->command, &error);
	} else if (scheduler && (!is_regular_file(scheduler) || access(scheduler, X_OK))) {
		fprintf(stderr,
			"ktstr: %s: --scheduler %s: %s; give the path of an executable file\n",
			o->command, scheduler,
			is_regular_file(scheduler) ? "not executable" : "no such file");
		status = CLI_EXIT_USAGE;
	} else if (scheduler && kernel__config_has(kernel, "CONFIG_SCHED_CLASS_EXT") == 0) {
		ktstr_error__set(&error, EOPNOTSUPP, "--scheduler", kernel->image,
				 "the kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT is not set)");
		ktstr_error__hint(&error,
				  "give another --kernel, or get one by ktstr kernel fetch");
		status = cli_error(o->command, &error);
	}
	free(kernel);
	return status;
}

/* The machine that the options describe, and whether its memory is enough. */
static int finish_machine(struct run_options *o)
{
	int status = cli_machine__finish(&o->machine, o->command);

	o->config.topology = o->machine.options.topology;
	o->config.memory_mb = o->machine.memory_mb;
	o->config.cpu_vendor = o->machine.vendor;
	if (!status)
		o->config.boot_timeout_s = ktstr_vm__boot_allowance_s(&o->config.topology);
	return status;
}

/* Where output, console and samples go. */
static void set_output(struct run_options *o)
{
	o->config.output = on_output;
	o->config.output_opaque = o->config.console_opaque = o;
	if (o->verbose)
		o->config.console = on_console;
	else if (isatty(STDERR_FILENO) && !o->watching)
		o->config.progress = on_progress;
	if (o->watching) {
		o->watch.rewrite = isatty(STDERR_FILENO) && !o->verbose;
		o->config.sample = watch__sample;
		o->config.sample_opaque = &o->watch;
		o->config.sample_interval_ms = 1000;
	}
}

/* Options alone. 0: go on; otherwise *status is final. */
static int read_options(struct run_options *o, int argc, char **argv, int *status)
{
	*status = parse_options(o, argc, argv);
	if (*status)
		return -1;
	if (o->help) {
		usage(o, stdout);
		return -1;
	}
	*status = finish_machine(o);
	if (*status)
		return -1;
	o->config.scheduler_args = o->scheduler_args;
	set_output(o);
	return 0;
}
/*
 * Checks the input and finds out where the machine can run. 0: here; otherwise *status is final, of
 * bad input or of the same command (@argv as the subcommand got it) in an emulated host.
 */
static int enter_host(const struct run_options *o, char **argv, int *status)
{
	struct ktstr_error error = {0};
	int ret;

	*status = check_input(o);
	if (*status)
		return -1;
	ret = emulated_host__enter(argv, !o->no_emulated_host, status, &error);
	if (ret < 0)
		*status = cli_error(o->command, &error);
	return ret ? -1 : 0;
}

int cli_run(int argc, char **argv)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		NULL};
	struct run_options o = {.command = "run"};
	struct ktstr_file *files = NULL;
	char cwd[PATH_MAX];
	int status;

	ktstr_vm_config__defaults(&o.config);
	o.config.timeout_s = DEFAULT_RUN_TIMEOUT_S;
	if (read_options(&o, argc, argv, &status))
		return status;
	if (!argv[optind])
		return bad(&o, "CMD", "missing");
	status = gather_files(&o, argv + optind, &files);
	if (status)
		return status;
	o.config.role = KTSTR_ROLE_COMMAND;
	o.config.argv = (const char *const *)(argv + optind);
	o.config.env = env;
	o.config.cwd = getcwd(cwd, sizeof(cwd));
	if (o.extract.command) {
		status = cli_extract__begin(&o.extract);
		if (status)
			goto out;
	}
	if (!enter_host(&o, argv, &status))
		status = with_signals(&o);
	if (o.extract.command)
		status = cli_extract__end(&o.extract, base_name(o.config.argv[0]), status);
out:
	free(files);
	return status;
}

int cli_shell(int argc, char **argv)
{
	static const char *const bash[] = {"bash", "--norc", NULL};
	static const char *const sh[] = {"sh", NULL};
	struct run_options o = {.command = "shell"};
	struct winsize size = {0};
	struct stat st;
	struct ktstr_file *files = NULL;
	char path[PATH_MAX], term[64];
	const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			     "HOME=/root", "PS1=ktstr# ", term, NULL};
	int status;

	ktstr_vm_config__defaults(&o.config);
	o.config.timeout_s = NO_TIMEOUT_S;
	if (read_options(&o, argc, argv, &status))
		return status;
	if (argv[optind])
		return bad(&o, argv[optind], "not an option");
	if (!fstat(STDIN_FILENO, &st) && S_ISREG(st.st_mode))
		return bad(&o, "standard input", "is a file; give a terminal or a pipe");
	o.config.argv = find_in_path("bash", path, sizeof(path)) ? bash : sh;
	status = gather_files(&o, (char **)(uintptr_t)o.config.argv, &files);
	if (status)
		return status;
	snprintf(term, sizeof(term), "TERM=%s", getenv("TERM") ? getenv("TERM") : "dumb");
	o.config.role = KTSTR_ROLE_SHELL;
	o.config.env = env;
	o.config.terminal_in = STDIN_FILENO;
	o.config.terminal_out = STDOUT_FILENO;
	if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size)) {
		o.config.terminal_rows = size.ws_row;
		o.config.terminal_columns = size.ws_col;
	}
	if (!enter_host(&o, argv, &status))
		status = with_signals(&o);
	free(files);
	return status;
}

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

static int rerun_options(struct run_options *o, int argc, char **argv)
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
			return cli_bad_option(o->command, c, argv[index]);
		parse_option(o, c);
		index = optind;
	}
	if (o->help)
		return 0;
	if (!argv[optind] || argv[optind + 1])
		return bad(o, "DIR", argv[optind] ? "only one" : "missing");
	return 0;
}

static void rerun_usage(void)
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
	struct run_options o = {.command = "rerun"};
	struct ktstr_error error = {0};
	struct saved_machine machine;
	char before[64];
	int status = rerun_options(&o, argc, argv), ret;

	if (status)
		return status;
	if (o.help) {
		rerun_usage();
		return 0;
	}
	if (saved_machine__read(argv[optind], &machine, &error)) {
		saved_machine__free(&machine);
		return cli_error(o.command, &error);
	}
	o.config = machine.config;
	if (o.config.role == KTSTR_ROLE_SHELL)
		status = bad(&o, argv[optind], "is of a shell, which cannot be run again");
	set_output(&o);
	if (!status) {
		ret = emulated_host__enter(argv, !o.no_emulated_host, &status, &error);
		if (ret < 0)
			status = cli_error(o.command, &error);
		if (!ret)
			status = with_signals(&o);
		if (!ret && o.verdict && recorded_verdict(argv[optind], before, sizeof(before)))
			compare(before, o.verdict);
	}
	saved_machine__free(&machine);
	return status;
}
