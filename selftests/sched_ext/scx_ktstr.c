// SPDX-License-Identifier: GPL-2.0-only
/*
 * scx_ktstr, user side: tells the kernel side which CPU belongs to which last-level cache, attaches
 * it, serves its statistics and waits for its end. It can be told to fail in ways that tests need.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <getopt.h>
#include <poll.h>
#include <scx/common.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <time.h>

#include <ktstr/stats.h>

#include "scx_ktstr.h"
#include "scx_ktstr.bpf.skel.h"
#include "scx_stats_server.h"

enum fault { FAULT_NONE, FAULT_EXIT, FAULT_NEVER_ATTACH, FAULT_STALL };

struct options {
	unsigned long slice_us;
	unsigned long timeout_ms; /* of the kernel's watchdog; 0: the kernel's own */
	unsigned long fault_after_ms;
	enum fault fault;
	bool verbose;
};

static const char help[] =
	"Usage: scx_ktstr [--slice-us US] [--timeout-ms MS] [--fault FAULT [--fault-after-ms MS]] "
	"[-v]\n"
	"\n"
	"Weighted virtual time over a global queue and one queue per last-level cache.\n"
	"Statistics are served at " KTSTR_STATS_SOCKET ".\n"
	"\n"
	"  --slice-us US        time slice (default 5000)\n"
	"  --timeout-ms MS      a task that waits longer ends the scheduler (default: the "
	"kernel's)\n"
	"  --fault exit         exit by itself, --fault-after-ms after it attached (default 0)\n"
	"  --fault never-attach do nothing, but live\n"
	"  --fault stall        never run tasks named " KTSTR_SCX_STALL_COMM "\n"
	"  -v, --verbose        libbpf's debug messages\n"
	"  -h, --help           this text\n";

static int print_all(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	return vfprintf(stderr, format, args);
}

static int print_warnings(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, args);
}

static bool parse_number(const char *text, unsigned long min, unsigned long max,
			 unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end && *text != '-' && *value >= min && *value <= max;
}

static bool parse_fault(const char *text, enum fault *fault)
{
	static const char *const names[] = {[FAULT_EXIT] = "exit",
					    [FAULT_NEVER_ATTACH] = "never-attach",
					    [FAULT_STALL] = "stall"};
	size_t i;

	for (i = FAULT_EXIT; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*fault = (enum fault)i;
			return true;
		}
	}
	return false;
}

/* Returns -1 to go on, or what the process exits with. */
static int parse_options(int argc, char **argv, struct options *options)
{
	enum { SLICE = 256, TIMEOUT, FAULT, FAULT_AFTER };
	static const struct option table[] = {
		{"slice-us", required_argument, NULL, SLICE},
		{"timeout-ms", required_argument, NULL, TIMEOUT},
		{"fault", required_argument, NULL, FAULT},
		{"fault-after-ms", required_argument, NULL, FAULT_AFTER},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt, index = 0;

	while ((opt = getopt_long(argc, argv, "vh", table, &index)) != -1) {
		bool ok = true;

		switch (opt) {
		case SLICE:
			ok = parse_number(optarg, 1, 1000000, &options->slice_us);
			break;
		case TIMEOUT: /* the kernel's own maximum is 30 s (SCX_WATCHDOG_MAX_TIMEOUT) */
			ok = parse_number(optarg, 1, 30000, &options->timeout_ms);
			break;
		case FAULT:
			ok = parse_fault(optarg, &options->fault);
			break;
		case FAULT_AFTER:
			ok = parse_number(optarg, 0, 3600000, &options->fault_after_ms);
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			fputs(help, stderr);
			return 2;
		}
		if (!ok) {
			fprintf(stderr,
				"scx_ktstr: --%s %s: not a value that it takes; see --help\n",
				table[index].name, optarg);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "scx_ktstr: %s: unexpected argument; see --help\n", argv[optind]);
		return 2;
	}
	return -1;
}

/* First number of a CPU list such as "4-7,12"; -1 when the file cannot be read. */
static int first_cpu_of(const char *path)
{
	FILE *file = fopen(path, "re");
	int cpu = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &cpu) != 1)
		cpu = -1;
	fclose(file);
	return cpu;
}

/* The first CPU of the largest cache (L3, else L2) that @cpu shares; 0 when nothing is known. */
static int llc_leader(int cpu)
{
	char path[128];
	int index, leader = -1;

	for (index = 3; index >= 2 && leader < 0; index--) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, index);
		leader = first_cpu_of(path);
	}
	return leader < 0 ? 0 : leader;
}

/* Numbers the LLCs in the order of their first CPUs. */
static void find_llcs(struct scx_ktstr *skel)
{
	int leaders[KTSTR_SCX_MAX_LLCS];
	int cpus = libbpf_num_possible_cpus(), cpu;
	unsigned int nr = 0, llc;

	if (cpus < 1 || cpus > KTSTR_SCX_MAX_CPUS)
		cpus = 1;
	for (cpu = 0; cpu < cpus; cpu++) {
		int leader = llc_leader(cpu);

		for (llc = 0; llc < nr && leaders[llc] != leader; llc++)
			;
		if (llc == KTSTR_SCX_MAX_LLCS)
			llc = 0; /* more than there is room for share the first queue */
		else if (llc == nr)
			leaders[nr++] = leader;
		skel->rodata->cpu_to_llc[cpu] = llc;
	}
	skel->rodata->nr_llcs = nr;
	skel->rodata->nr_cpu_ids = (unsigned int)cpus;
}

/* ---- Statistics ---- */

/* What statistics are taken from. */
struct source {
	struct scx_ktstr *skel;
	const struct options *options;
};

/* Adds up the words of one entry of a per-CPU map. */
static int sum_cpus(const struct bpf_map *map, __u32 key, __u64 *sums, size_t nr)
{
	int cpus = libbpf_num_possible_cpus(), cpu, ret;
	__u64 *values;
	size_t i;

	if (cpus < 1)
		return cpus;
	values = calloc((size_t)cpus * nr, sizeof(*values));
	if (!values)
		return -ENOMEM;
	ret = bpf_map_lookup_elem(bpf_map__fd(map), &key, values);
	if (ret)
		ret = -errno;
	memset(sums, 0, nr * sizeof(*sums));
	for (cpu = 0; !ret && cpu < cpus; cpu++)
		for (i = 0; i < nr; i++)
			sums[i] += values[(size_t)cpu * nr + i];
	free(values);
	return ret;
}

#define WORDS(type) (sizeof(type) / sizeof(__u64))

static int put_dsq(const struct source *source, __u32 dsq, const char *name, FILE *out)
{
	struct ktstr_scx_queued queued = {.dsq = dsq};
	/* The program's changes come back in ctx_in (net/bpf/test_run.c). */
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &queued, .ctx_size_in = sizeof(queued));
	struct ktstr_scx_dsq_counters sums;
	int ret = sum_cpus(source->skel->maps.dsq_counters, dsq, (__u64 *)&sums,
			   WORDS(struct ktstr_scx_dsq_counters));

	if (!ret)
		ret = bpf_prog_test_run_opts(bpf_program__fd(source->skel->progs.ktstr_read_queued),
					     &opts);
	if (!ret && queued.queued < 0)
		ret = (int)queued.queued;
	if (!ret)
		fprintf(out, "\"%s\":{\"enqueued\":%llu,\"dispatched\":%llu,\"queued\":%lld}", name,
			sums.enqueued, sums.dispatched, queued.queued);
	return ret;
}

static int put_top(const struct source *source, FILE *out)
{
	struct ktstr_scx_counters sums;
	struct timespec now;
	char name[16];
	__u32 llc;
	int ret = sum_cpus(source->skel->maps.counters, 0, (__u64 *)&sums,
			   WORDS(struct ktstr_scx_counters));

	if (ret)
		return ret;
	clock_gettime(CLOCK_BOOTTIME, &now);
	fprintf(out, "{\"at_ns\":%llu,\"slice_us\":%lu,\"nr_cpus\":%u,\"nr_llcs\":%u,",
		(unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec,
		source->options->slice_us, source->skel->rodata->nr_cpu_ids,
		source->skel->rodata->nr_llcs);
	fprintf(out,
		"\"direct\":%llu,\"pinned\":%llu,\"kept\":%llu,\"stolen\":%llu,\"kicked\":%llu,"
		"\"dsqs\":{",
		sums.direct, sums.pinned, sums.kept, sums.stolen, sums.kicked);
	for (llc = 0; !ret && llc < source->skel->rodata->nr_llcs; llc++) {
		snprintf(name, sizeof(name), "%u", llc);
		ret = put_dsq(source, llc, name, out);
		fputc(',', out);
	}
	if (!ret)
		ret = put_dsq(source, KTSTR_SCX_GLOBAL_DSQ, "global", out);
	fputs("}}", out);
	return ret;
}

struct field {
	const char *name, *desc;
};

static void put_fields(FILE *out, const struct field *fields, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		fprintf(out, "%s\"%s\":{\"datum\":\"u64\",\"desc\":\"%s\"}", i ? "," : "",
			fields[i].name, fields[i].desc);
}

/* What "stats" has, described as a generic reader wants it. */
static void put_meta(FILE *out)
{
	static const struct field top[] = {
		{"at_ns", "time since boot"},
		{"slice_us", "time slice"},
		{"nr_cpus", "CPUs"},
		{"nr_llcs", "last-level caches"},
		{"direct", "woken tasks that an idle CPU got at once"},
		{"pinned", "kernel threads of one CPU, queued on it"},
		{"kept", "further slices for the task that ran"},
		{"stolen", "tasks taken from the queue of another LLC"},
		{"kicked", "idle CPUs told of a queued task"},
	};
	static const struct field dsq[] = {
		{"enqueued", "tasks put into it"},
		{"dispatched", "tasks that a CPU took from it"},
		{"queued", "tasks in it now"},
	};

	fputs("{\"KtstrStats\":{\"name\":\"KtstrStats\",\"top\":\"true\","
	      "\"desc\":\"scx_ktstr\",\"fields\":{",
	      out);
	put_fields(out, top, sizeof(top) / sizeof(*top));
	fputs(",\"dsqs\":{\"desc\":\"queues by LLC, and the global one\",\"dict\":{"
	      "\"key\":\"string\",\"datum\":{\"struct\":\"KtstrDsqStats\"}}}}},",
	      out);
	fputs("\"KtstrDsqStats\":{\"name\":\"KtstrDsqStats\",\"desc\":\"a queue\","
	      "\"fields\":{",
	      out);
	put_fields(out, dsq, sizeof(dsq) / sizeof(*dsq));
	fputs("}}}", out);
}

static int answer(void *opaque, const char *req, const char *target, FILE *out)
{
	int ret;

	if (!strcmp(req, "stats_meta")) {
		put_meta(out);
		return 0;
	}
	if (strcmp(req, "stats") || strcmp(target, "top"))
		return EINVAL;
	ret = put_top(opaque, out);
	return ret < 0 ? -ret : ret;
}

/* ---- Run ---- */

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/*
 * Waits for @signals, the scheduler's end, or @timeout_ms (-1: none), and serves statistics
 * meanwhile. True: a signal came.
 */
static bool wait_event(int signals, int ended, struct stats_server *server, int timeout_ms,
		       bool *timed_out)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
			       {.fd = ended, .events = POLLIN},
			       {.fd = server ? server->events : -1, .events = POLLIN}};
	long long deadline = now_ms() + timeout_ms;

	for (;;) {
		long long left = timeout_ms < 0 ? -1 : deadline - now_ms();
		int ready = poll(fds, 3, left < 0 && timeout_ms >= 0 ? 0 : (int)left);

		*timed_out = !ready;
		if (!ready || (ready > 0 && (fds[0].revents || fds[1].revents)))
			return ready && fds[0].revents;
		if (ready > 0)
			stats_server__run(server);
	}
}

/* Attaches once and waits for the end. Returns true when the kernel asks for a new start. */
static bool run(const struct options *options, int signals, int *status)
{
	LIBBPF_OPTS(bpf_test_run_opts, run_opts);
	struct source source = {.options = options};
	struct stats_server server;
	int timeout_ms = options->fault == FAULT_EXIT ? (int)options->fault_after_ms : -1;
	struct scx_ktstr *skel;
	struct bpf_link *link;
	bool stopped, timed_out = false;
	__u64 code;
	int ret;

	skel = SCX_OPS_OPEN(ktstr_ops, scx_ktstr);
	skel->rodata->slice_ns = options->slice_us * 1000;
	skel->rodata->stall_fault = options->fault == FAULT_STALL;
	skel->struct_ops.ktstr_ops->timeout_ms = (__u32)options->timeout_ms;
	find_llcs(skel);
	SCX_OPS_LOAD(skel, ktstr_ops, scx_ktstr, uei);
	/* Before it is attached: who sees that finds the socket. */
	source.skel = skel;
	ret = stats_server__open(&server, KTSTR_STATS_SOCKET, answer, &source);
	if (ret)
		fprintf(stderr, "scx_ktstr: no statistics: " KTSTR_STATS_SOCKET ": %s\n",
			strerror(-ret));
	link = SCX_OPS_ATTACH(skel, ktstr_ops, scx_ktstr);
	printf("scx_ktstr: attached, %u CPUs in %u LLCs, slice %lu us\n", skel->rodata->nr_cpu_ids,
	       skel->rodata->nr_llcs, options->slice_us);
	fflush(stdout);

	stopped =
		wait_event(signals, bpf_map__fd(skel->maps.ended), &server, timeout_ms, &timed_out);
	if (timed_out) {
		bpf_prog_test_run_opts(bpf_program__fd(skel->progs.ktstr_fault_exit), &run_opts);
		stopped =
			wait_event(signals, bpf_map__fd(skel->maps.ended), &server, -1, &timed_out);
	}

	stats_server__close(&server);
	bpf_link__destroy(link);
	code = UEI_REPORT(skel, uei);
	*status = stopped ? 0 : 1;
	scx_ktstr__destroy(skel);
	return !stopped && UEI_ECODE_RESTART(code);
}

int main(int argc, char **argv)
{
	struct options options = {.slice_us = 5000};
	bool timed_out;
	int signals, status;
	sigset_t set;

	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		perror("scx_ktstr: signalfd");
		return 1;
	}

	if (options.fault == FAULT_NEVER_ATTACH) {
		printf("scx_ktstr: told not to attach by --fault never-attach\n");
		fflush(stdout);
		wait_event(signals, -1, NULL, -1, &timed_out);
		return 0;
	}

	libbpf_set_print(options.verbose ? print_all : print_warnings);
	while (run(&options, signals, &status))
		;
	return status;
}
