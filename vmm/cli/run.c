// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr run` and `ktstr shell`: their options. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ktstr/vm.h>

#include "../arch/arch.h"
#include "../disk.h"
#include "../disk_image.h"
#include "../disk_options.h"
#include "../emulated/emulated.h"
#include "../kernel.h"
#include "../nic.h"
#include "../performance.h"
#include "../root.h"
#include "cli.h"
#include "files.h"
#include "session.h"

#define MAX_INCLUDES 256
#define DEFAULT_RUN_TIMEOUT_S 3600u
#define NO_TIMEOUT_S 0x7fffffffu
#define STATS_MIN_MS 10u
#define STATS_MAX_MS 3600000u

struct run_options {
	struct session session;
	struct cli_machine machine; /* @session.config points into it */
	const char *includes[MAX_INCLUDES];
	size_t nr_includes;
	struct cli_extract extract; /* no .command: none */
	const char *scheduler_args[64];
	size_t nr_scheduler_args;
	struct ktstr_disk disks[KTSTR_MAX_DISKS]; /* their text is disk_text */
	char disk_text[KTSTR_MAX_DISKS][PATH_MAX];
	size_t nr_disks;
	struct ktstr_nic nics[KTSTR_MAX_NICS]; /* their text is nic_text */
	char nic_text[KTSTR_MAX_NICS][256];
	size_t nr_nics;
	bool help;
};

static void usage(const struct run_options *o, FILE *to)
{
	bool shell = !strcmp(o->session.command, "shell");

	fprintf(to,
		"Usage: ktstr %s [OPTIONS]%s\n"
		"\n"
		"  -k, --kernel K         bzImage (arm64: Image), vmlinux, build tree or version\n"
		"                         [KTSTR_KERNEL or the newest fetched one]\n"
		"  -t, --topology T       NUMA nodes, LLCs, cores per LLC, threads per core "
		"[1n1l1c1t],\n"
		"                         and p: packages [one for each node with CPUs]; or a "
		"preset's name\n"
		"      --node N           what a NUMA node has: llcs=N (0: memory alone), "
		"memory=MIB,\n"
		"                         latency=NS, bandwidth=MBS, cache=MIB, joined by commas; "
		"once for\n"
		"                         each node\n"
		"      --distance D       between two nodes, as in 0,1=17 [20]; may be repeated\n"
		"      --cache C          l1d=KIB, l1i=KIB, l2=KIB, l3=KIB, joined by commas [as "
		"server parts]\n"
		"      --capacity C       arm64: of cores, as in 4-7=446 [1024: all are alike]; "
		"may be\n"
		"                         repeated\n"
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
		"      --disk PATH[,...]  give the guest this image as its next disk, with ro "
		"(read-only),\n"
		"                         iops=N, bps=N, burst-ops=N, burst-bytes=N, queues=N, "
		"serial=S;\n"
		"                         may be repeated\n"
		"      --disk fs=F[,...]  a fresh disk: btrfs, ext4, xfs or none (zeros); beside "
		"the "
		"above\n"
		"                         size=S (512M, 2G) [512M], mount=DIR, where the guest has "
		"it\n"
		"      --nic OPTIONS      give the guest a network interface, with network=NAME "
		"(those "
		"of one\n"
		"                         NAME are on one switch; one that is alone gets back what "
		"it\n"
		"                         sends), rate=N[KMG], delay=US, queues=N, mtu=N, mac=M,\n"
		"                         joined by commas; may be repeated\n"
		"  -a, --append ARGS      add to the kernel command line\n"
		"      --timeout S        end the VM S seconds after the command started [%s]\n"
		"      --cpu-cap N        use N CPUs of this host at most [KTSTR_CPU_CAP or all]\n"
		"      --root R           where the guest has its files: cpio (in RAM), erofs (on "
		"a "
		"disk),\n"
		"                         auto (by their size) [auto]\n"
		"      --performance[=P]  give the machine a part of the host for itself: required "
		"(an error\n"
		"                         where it cannot be had), or best-effort [required]\n"
		"      --max-steal-pct P  fail when a vCPU waited for a CPU of this host for more "
		"than P %%\n"
		"                         of CMD's time\n"
		"      --irqchip I        auto, or split: the IOAPIC in the monitor, not in KVM "
		"[auto]\n"
		"      --vendor V         show the guest an intel or an amd CPU, for tests of "
		"topology\n"
		"                         [the host's]\n"
		"%s"
		"      --no-emulated-host fail where KVM cannot run a kernel\n"
		"      --no-sandbox       leave the VM's threads all rights of this process\n"
		"      --report FILE      write verdict, times and exits to FILE as JSON\n"
		"      --artifacts DIR    leave the run's record in DIR, for ktstr rerun\n"
		"      --watch            show exits and CPU time each second while it runs\n"
		"  -v, --verbose          show the kernel's console and the scheduler's output\n"
		"  -h, --help\n"
		"\n"
		"%s",
		o->session.command, shell ? "" : " [--] CMD ARGS...", shell ? "none" : "3600",
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
	return cli_bad(o->session.command, option, why);
}

static bool parse_percent(const char *text, double *percent)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*percent = strtod(text, &end);
	return !*end && *percent > 0 && *percent <= 100;
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
	o->session.config.stats_interval_ms = (uint32_t)ms;
	o->session.stats = *value ? value + 1 : NULL;
	return true;
}

/* PATH[,OPTION...] or fs=F[,OPTION...]; a copy is taken, as the argument is needed whole where the
 * command runs again.
 */
static int parse_disk(struct run_options *o, const char *value)
{
	const char *wrong;
	struct ktstr_disk *disk;
	char *text, *comma;

	if (o->nr_disks == KTSTR_MAX_DISKS)
		return bad(o, "--disk", "more than 8");
	if (strlen(value) >= PATH_MAX)
		return bad(o, "--disk", strerror(ENAMETOOLONG));
	disk = &o->disks[o->nr_disks];
	text = o->disk_text[o->nr_disks];
	strcpy(text, value);
	o->nr_disks++;
	*disk = (struct ktstr_disk){.path = NULL};
	if (!strncmp(text, "fs=", 3)) {
		wrong = disk_options__parse(text, disk);
		return wrong ? bad(o, "--disk", wrong) : 0;
	}
	comma = strchr(text, ',');
	if (comma)
		*comma++ = '\0';
	disk->path = text;
	wrong = text[0] ? disk_options__parse(comma ? comma : text + strlen(text), disk)
			: "has no path";
	return wrong ? bad(o, "--disk", wrong) : 0;
}

static int parse_nic(struct run_options *o, const char *value)
{
	char *text;
	const char *wrong;

	if (o->nr_nics == KTSTR_MAX_NICS)
		return bad(o, "--nic", "more than 6");
	if (strlen(value) >= sizeof(o->nic_text[0]))
		return bad(o, "--nic", strerror(ENAMETOOLONG));
	text = o->nic_text[o->nr_nics];
	strcpy(text, value);
	wrong = nic_options__parse(text, &o->nics[o->nr_nics++]);
	return wrong ? bad(o, "--nic", wrong) : 0;
}

static int parse_option(struct run_options *o, int c)
{
	switch (c) {
	case 'd':
		return parse_disk(o, optarg);
	case 'n':
		return parse_nic(o, optarg);
	case 'k':
		o->session.config.kernel = optarg;
		return 0;
	case 's':
		o->session.config.scheduler = optarg;
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
		o->session.config.append = optarg;
		return 0;
	case 'T':
		return cli_parse_u32(optarg, 1, &o->session.config.timeout_s)
			       ? 0
			       : bad(o, "--timeout", "takes a number of seconds");
	case 'I':
		if (strcmp(optarg, "auto") != 0 && strcmp(optarg, "split") != 0)
			return bad(o, "--irqchip", "takes auto or split");
		o->session.config.irqchip =
			!strcmp(optarg, "split") ? KTSTR_IRQCHIP_SPLIT : KTSTR_IRQCHIP_AUTO;
		return 0;
	case 'U':
		return cli_parse_u32(optarg, 1, &o->session.config.cpu_cap)
			       ? 0
			       : bad(o, "--cpu-cap", "takes a number of CPUs, from 1");
	case 'O':
		if (!root__parse(optarg, &o->session.config.root))
			return bad(o, "--root", "takes auto, cpio or erofs");
		return 0;
	case 'p':
		if (!performance__parse(optarg ? optarg : "", &o->session.config.performance_mode))
			return bad(o, "--performance", "takes required or best-effort");
		return 0;
	case 'L':
		return parse_percent(optarg, &o->session.config.max_steal_pct)
			       ? 0
			       : bad(o, "--max-steal-pct", "takes a percentage above 0");
	case 'B':
		o->session.config.no_sandbox = true;
		return 0;
	case 'R':
		o->session.report = optarg;
		return 0;
	case 'A':
		o->session.artifacts = optarg;
		return 0;
	case 'W':
		o->session.watching = true;
		return 0;
	case 'P':
		return parse_stats(o, optarg)
			       ? 0
			       : bad(o, "--stats", "takes SECONDS or SECONDS:FILE, 0.01 to 3600");
	case 'x':
		if (strcmp(o->session.command, "run") != 0)
			return bad(o, "--extract", "is for run");
		o->extract.command = optarg;
		return 0;
	case 'E':
		o->session.no_emulated_host = true;
		return 0;
	case 'v':
		o->session.verbose = true;
		return 0;
	case 'h':
		o->help = true;
		return 0;
	default:
		return cli_machine__option(&o->machine, o->session.command, c, optarg);
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
		{"disk", required_argument, NULL, 'd'},
		{"nic", required_argument, NULL, 'n'},
		{"append", required_argument, NULL, 'a'},
		{"timeout", required_argument, NULL, 'T'},
		{"irqchip", required_argument, NULL, 'I'},
		{"cpu-cap", required_argument, NULL, 'U'},
		{"root", required_argument, NULL, 'O'},
		{"performance", optional_argument, NULL, 'p'},
		{"max-steal-pct", required_argument, NULL, 'L'},
		{"extract", required_argument, NULL, 'x'},
		{"no-emulated-host", no_argument, NULL, 'E'},
		{"no-sandbox", no_argument, NULL, 'B'},
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
			return cli_bad_option(o->session.command, c, argv[index]);
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
	if (o->extract.command && (o->session.artifacts || o->session.report))
		return bad(o, "--extract",
			   "cannot go with --artifacts or --report, which are written "
			   "before it has judged");
	if (o->nr_scheduler_args && !o->session.config.scheduler)
		return bad(o, "--scheduler-args", "needs --scheduler");
	if (o->session.config.stats_interval_ms && !o->session.config.scheduler)
		return bad(o, "--stats", "needs --scheduler, which is asked");
	if (o->session.config.stats_interval_ms && !o->session.stats &&
	    !strcmp(o->session.command, "shell"))
		return bad(o, "--stats", "needs a file in a shell: SECONDS:FILE");
	return 0;
}

/* The device's own checks, and none of what is kept while it exists. */
static int check_disks(const struct run_options *o)
{
	struct ktstr_error error = {0};

	if (disk__check(o->disks, o->nr_disks, &error))
		return cli_error(o->session.command, &error);
	for (uint32_t i = 0; i < o->nr_disks; i++) {
		const char *fs = o->disks[i].fs;
		struct virtio_blk_options options;

		if (fs &&
		    disk_image__check_program(disk_image__find_fs(fs), getenv("PATH"), &error))
			return cli_error(o->session.command, &error);
		if (fs)
			continue;
		if (disk__open(&o->disks[i], i, &options, &error))
			return cli_error(o->session.command, &error);
		close(options.fd);
	}
	return 0;
}

static int check_nics(const struct run_options *o)
{
	struct virtio_net_options options[KTSTR_MAX_NICS];
	uint32_t networks[KTSTR_MAX_NICS];
	struct ktstr_error error = {0};

	return nic__describe(o->nics, o->nr_nics, options, networks, &error)
		       ? cli_error(o->session.command, &error)
		       : 0;
}

/* What can be said about the input without a machine, before an emulated host is started for it. */
static int check_input(const struct run_options *o)
{
	struct ktstr_error error = {0};
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	const char *scheduler = o->session.config.scheduler;
	int status = 0;

	if (!kernel)
		return bad(o, "memory", strerror(ENOMEM));
	if (arch__this->check_config(&o->session.config.topology, o->session.config.cpu_vendor,
				     o->session.config.irqchip, &error)) {
		free(kernel);
		return cli_error(o->session.command, &error);
	}
	if (kernel__resolve(o->session.config.kernel, kernel, &error)) {
		ktstr_error__hint(&error, "give a kernel image, a build tree or a version of "
					  "`ktstr kernel list`");
		status = cli_error(o->session.command, &error);
	} else if (access(kernel->image, R_OK)) {
		ktstr_error__set(&error, errno, "open kernel", kernel->image, NULL);
		ktstr_error__hint(&error, "make it readable for this user, or copy it");
		status = cli_error(o->session.command, &error);
	} else if (scheduler && (!cli_files__is_regular(scheduler) || access(scheduler, X_OK))) {
		fprintf(stderr,
			"ktstr: %s: --scheduler %s: %s; give the path of an executable file\n",
			o->session.command, scheduler,
			cli_files__is_regular(scheduler) ? "not executable" : "no such file");
		status = CLI_EXIT_USAGE;
	} else if (scheduler && kernel__config_has(kernel, "CONFIG_SCHED_CLASS_EXT") == 0) {
		ktstr_error__set(&error, EOPNOTSUPP, "--scheduler", kernel->image,
				 "the kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT is not set)");
		ktstr_error__hint(&error,
				  "give another --kernel, or get one by ktstr kernel fetch");
		status = cli_error(o->session.command, &error);
	}
	free(kernel);
	if (!status)
		status = check_disks(o);
	return status ? status : check_nics(o);
}

/* The machine that the options describe, and whether its memory is enough. */
static int finish_machine(struct run_options *o)
{
	int status = cli_machine__finish(&o->machine, o->session.command);

	o->session.config.topology = o->machine.options.topology;
	o->session.config.memory_mb = o->machine.memory_mb;
	o->session.config.cpu_vendor = o->machine.vendor;
	if (!status)
		o->session.config.boot_timeout_s =
			ktstr_vm__boot_allowance_s(&o->session.config.topology);
	return status;
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
	o->session.config.scheduler_args = o->scheduler_args;
	o->session.config.disks = o->disks;
	o->session.config.nr_disks = o->nr_disks;
	o->session.config.nics = o->nics;
	o->session.config.nr_nics = o->nr_nics;
	session__set_output(&o->session);
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

	*status = session__check(&o->session);
	if (!*status)
		*status = check_input(o);
	if (*status)
		return -1;
	ret = emulated_host__enter(argv, !o->session.no_emulated_host, status, &error);
	if (ret < 0)
		*status = cli_error(o->session.command, &error);
	return ret ? -1 : 0;
}

int cli_run(int argc, char **argv)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		NULL};
	struct run_options o = {.session.command = "run"};
	struct ktstr_file *files = NULL;
	char cwd[PATH_MAX];
	int status;

	ktstr_vm_config__defaults(&o.session.config);
	o.session.config.timeout_s = DEFAULT_RUN_TIMEOUT_S;
	if (read_options(&o, argc, argv, &status))
		return status;
	if (!argv[optind])
		return bad(&o, "CMD", "missing");
	status = cli_files__gather(o.session.command, argv + optind, o.includes, o.nr_includes,
				   &o.session.config, &files);
	if (status)
		return status;
	o.session.config.role = KTSTR_ROLE_COMMAND;
	o.session.config.argv = (const char *const *)(argv + optind);
	o.session.config.env = env;
	o.session.config.cwd = getcwd(cwd, sizeof(cwd));
	if (o.extract.command) {
		status = cli_extract__begin(&o.extract);
		if (status)
			goto out;
	}
	if (!enter_host(&o, argv, &status))
		status = session__run(&o.session);
	if (o.extract.command)
		status = cli_extract__end(&o.extract,
					  cli_files__base_name(o.session.config.argv[0]), status);
out:
	free(files);
	return status;
}

int cli_shell(int argc, char **argv)
{
	static const char *const bash[] = {"bash", "--norc", NULL};
	static const char *const sh[] = {"sh", NULL};
	struct run_options o = {.session.command = "shell"};
	struct winsize size = {0};
	struct stat st;
	struct ktstr_file *files = NULL;
	char path[PATH_MAX], term[64];
	const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			     "HOME=/root", "PS1=ktstr# ", term, NULL};
	int status;

	ktstr_vm_config__defaults(&o.session.config);
	o.session.config.timeout_s = NO_TIMEOUT_S;
	if (read_options(&o, argc, argv, &status))
		return status;
	if (argv[optind])
		return bad(&o, argv[optind], "not an option");
	if (!fstat(STDIN_FILENO, &st) && S_ISREG(st.st_mode))
		return bad(&o, "standard input", "is a file; give a terminal or a pipe");
	o.session.config.argv = cli_files__find("bash", path, sizeof(path)) ? bash : sh;
	status = cli_files__gather(o.session.command, (char **)(uintptr_t)o.session.config.argv,
				   o.includes, o.nr_includes, &o.session.config, &files);
	if (status)
		return status;
	snprintf(term, sizeof(term), "TERM=%s", getenv("TERM") ? getenv("TERM") : "dumb");
	o.session.config.role = KTSTR_ROLE_SHELL;
	o.session.config.env = env;
	o.session.config.terminal_in = STDIN_FILENO;
	o.session.config.terminal_out = STDOUT_FILENO;
	if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &size)) {
		o.session.config.terminal_rows = size.ws_row;
		o.session.config.terminal_columns = size.ws_col;
	}
	if (!enter_host(&o, argv, &status))
		status = session__run(&o.session);
	free(files);
	return status;
}
