// SPDX-License-Identifier: GPL-2.0-only
/*
 * scx_ktstr, user side: tells the kernel side which CPU belongs to which last-level cache, attaches
 * it, serves its statistics and waits for its end. It can be told to fail in ways that tests need.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <ftw.h>
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

#define SCENARIO_CGROUP "/sys/fs/cgroup/ktstr-scenario" /* guest/kit/cgroup.c */
#define WIDEN_MS 100					/* they may come later, and be changed */
#define STARVE_PERCENT 60u /* of the watchdog's time, which it looks at at each half of it */
#define SLOW_WAKE_MS 500u

struct options {
	unsigned long slice_us;
	unsigned long timeout_ms; /* of the kernel's watchdog; 0: the kernel's own */
	unsigned long fault_after_ms;
	bool fault_on_signal;
	enum ktstr_scx_fault fault;
	enum ktstr_scx_callback crash_in;
	char fault_comm[KTSTR_SCX_COMM_SIZE];
	bool verbose;
};

#define WORD(callback) " " #callback
#define OWN_CALLBACKS KTSTR_SCX_OWN(WORD)
#define EXTRA_CALLBACKS KTSTR_SCX_EXTRA(WORD)

static const char help[] =
	"Usage: scx_ktstr [--slice-us US] [--timeout-ms MS] [--fault FAULT [--fault-comm NAME]\n"
	"                 [--fault-after-ms MS | --fault-on-signal]] [-v]\n"
	"\n"
	"Weighted virtual time over a global queue and one queue per last-level cache.\n"
	"Statistics are served at " KTSTR_STATS_SOCKET ".\n"
	"\n"
	"  --slice-us US        time slice (default 5000)\n"
	"  --timeout-ms MS      a task that waits longer ends the scheduler (default: the "
	"kernel's)\n"
	"  --fault FAULT        do something wrong\n"
	"  --fault-after-ms MS  from so long after it is attached on (default 0)\n"
	"  --fault-on-signal    from SIGUSR1 on\n"
	"  --fault-comm NAME    tasks of this name are hit (default " KTSTR_SCX_FAULT_COMM ");\n"
	"                       \"\": all but kernel threads\n"
	"  -v, --verbose        libbpf's debug messages\n"
	"  -h, --help           this text\n"
	"\n"
	"Faults of the scheduler as a whole:\n"
	"  exit                 exit by itself\n"
	"  never-attach         do nothing, but live\n"
	"  widen-cpuset         give the cgroups of scenarios all CPUs\n"
	"  crash-CALLBACK       scx_bpf_error() in a callback:\n"
	"                      " OWN_CALLBACKS EXTRA_CALLBACKS "\n"
	"Faults that hit tasks:\n"
	"  stall                never run them\n"
	"  leak                 drop one in 64 that are queued, for good\n"
	"  starve               run one of them only before the kernel's watchdog sees it\n"
	"  unfair               charge one of them for an eighth of what it uses\n"
	"  slow-wake            run them 500 ms after they woke\n"
	"  migrate              move them to another CPU at each tick\n"
	"  remote               run them in other LLCs than the one where they were\n"
	"  pile                 run all on the first CPU that they may use\n"
	"  ignore-cpuset        run them on CPUs that they may not use\n";

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

/* One of @names, from 1 on; 0: none. */
static unsigned int find(const char *text, const char *const *names, unsigned int nr)
{
	while (--nr && (!names[nr] || strcmp(text, names[nr])))
		;
	return nr;
}

static bool parse_fault(const char *text, struct options *options)
{
	static const char *const faults[KTSTR_SCX_NR_FAULTS] = {
		[KTSTR_SCX_FAULT_EXIT] = "exit",
		[KTSTR_SCX_FAULT_NEVER_ATTACH] = "never-attach",
		[KTSTR_SCX_FAULT_STALL] = "stall",
		[KTSTR_SCX_FAULT_LEAK] = "leak",
		[KTSTR_SCX_FAULT_STARVE] = "starve",
		[KTSTR_SCX_FAULT_UNFAIR] = "unfair",
		[KTSTR_SCX_FAULT_SLOW_WAKE] = "slow-wake",
		[KTSTR_SCX_FAULT_MIGRATE] = "migrate",
		[KTSTR_SCX_FAULT_REMOTE] = "remote",
		[KTSTR_SCX_FAULT_PILE] = "pile",
		[KTSTR_SCX_FAULT_IGNORE_CPUSET] = "ignore-cpuset",
		[KTSTR_SCX_FAULT_WIDEN_CPUSET] = "widen-cpuset",
	};
#define NAME_OF(callback) [KTSTR_SCX_IN_##callback] = #callback,
	static const char *const callbacks[KTSTR_SCX_NR_CALLBACKS] = {
		KTSTR_SCX_OWN(NAME_OF) KTSTR_SCX_EXTRA(NAME_OF)};
	static const char crash[] = "crash-";

	if (strncmp(text, crash, strlen(crash))) {
		options->fault = find(text, faults, KTSTR_SCX_NR_FAULTS);
		return options->fault != KTSTR_SCX_FAULT_NONE;
	}
	options->fault = KTSTR_SCX_FAULT_CRASH;
	options->crash_in = find(text + strlen(crash), callbacks, KTSTR_SCX_NR_CALLBACKS);
	return options->crash_in != KTSTR_SCX_IN_NONE;
}

/* Returns -1 to go on, or what the process exits with. */
static int parse_options(int argc, char **argv, struct options *options)
{
	enum { SLICE = 256, TIMEOUT, FAULT, FAULT_AFTER, FAULT_ON_SIGNAL, FAULT_COMM };
	static const struct option table[] = {
		{"slice-us", required_argument, NULL, SLICE},
		{"timeout-ms", required_argument, NULL, TIMEOUT},
		{"fault", required_argument, NULL, FAULT},
		{"fault-after-ms", required_argument, NULL, FAULT_AFTER},
		{"fault-on-signal", no_argument, NULL, FAULT_ON_SIGNAL},
		{"fault-comm", required_argument, NULL, FAULT_COMM},
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
			ok = parse_fault(optarg, options);
			break;
		case FAULT_AFTER:
			ok = parse_number(optarg, 0, 3600000, &options->fault_after_ms);
			break;
		case FAULT_ON_SIGNAL:
			options->fault_on_signal = true;
			break;
		case FAULT_COMM:
			ok = strlen(optarg) < sizeof(options->fault_comm);
			if (ok)
				strcpy(options->fault_comm, optarg);
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

/* ---- Topology ---- */

/* Sets @list's CPUs, as of "4-7,12", in @cpus. False: the file cannot be read. */
static bool read_cpus(const char *path, bool cpus[KTSTR_SCX_MAX_CPUS])
{
	FILE *file = fopen(path, "re");
	unsigned int first, last;
	int read;

	memset(cpus, 0, KTSTR_SCX_MAX_CPUS * sizeof(*cpus));
	if (!file)
		return false;
	while ((read = fscanf(file, "%u-%u", &first, &last)) >= 1) {
		last = read == 1 ? first : last;
		for (; first <= last && first < KTSTR_SCX_MAX_CPUS; first++)
			cpus[first] = true;
		if (fgetc(file) != ',')
			break;
	}
	fclose(file);
	return true;
}

/* The CPUs online that share @cpu's largest cache (L3, else L2) with it; without one, all do. */
static void read_llc(int cpu, bool shared[KTSTR_SCX_MAX_CPUS])
{
	char path[128];
	int index;

	for (index = 3; index >= 2; index--) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/cpu/cpu%d/cache/index%d/shared_cpu_list", cpu, index);
		if (read_cpus(path, shared))
			return;
	}
	memset(shared, true, KTSTR_SCX_MAX_CPUS * sizeof(*shared));
}

/*
 * Gives the CPUs online that have no LLC yet the one of a CPU that they share it with, or the next
 * number. What sysfs says of a CPU goes away with it, so one that left keeps what it had.
 */
static void find_llcs(struct scx_ktstr *skel)
{
	static bool online[KTSTR_SCX_MAX_CPUS], shared[KTSTR_SCX_MAX_CPUS];
	unsigned int *llcs = skel->bss->cpu_to_llc, nr = skel->data->nr_llcs;
	unsigned int cpu, other, max = skel->rodata->nr_queues;

	if (!read_cpus("/sys/devices/system/cpu/online", online))
		online[0] = true;
	for (cpu = 0; cpu < skel->rodata->nr_cpu_ids; cpu++) {
		if (!online[cpu] || llcs[cpu] != KTSTR_SCX_NO_LLC)
			continue;
		read_llc((int)cpu, shared);
		for (other = 0; other < skel->rodata->nr_cpu_ids; other++)
			if (shared[other] && llcs[other] != KTSTR_SCX_NO_LLC)
				break;
		if (other < skel->rodata->nr_cpu_ids)
			llcs[cpu] = llcs[other];
		else if (nr < max)
			llcs[cpu] = nr++;
		else
			llcs[cpu] = 0; /* more than there is room for share the first queue */
		if (nr > skel->data->nr_llcs)
			skel->data->nr_llcs = nr;
	}
}

/* Before it is loaded. Each CPU that is not there yet could have an LLC of its own. */
static void init_llcs(struct scx_ktstr *skel)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	unsigned int missing = 0;

	if (cpus < 1 || cpus > KTSTR_SCX_MAX_CPUS)
		cpus = 1;
	skel->rodata->nr_cpu_ids = (unsigned int)cpus;
	skel->rodata->nr_queues = KTSTR_SCX_MAX_LLCS;
	skel->data->nr_llcs = 0;
	for (cpu = 0; cpu < KTSTR_SCX_MAX_CPUS; cpu++)
		skel->bss->cpu_to_llc[cpu] = KTSTR_SCX_NO_LLC;
	find_llcs(skel);
	for (cpu = 0; cpu < cpus; cpu++)
		missing += skel->bss->cpu_to_llc[cpu] == KTSTR_SCX_NO_LLC;
	missing += skel->data->nr_llcs;
	if (missing < KTSTR_SCX_MAX_LLCS)
		skel->rodata->nr_queues = missing;
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
		source->skel->data->nr_llcs);
	fprintf(out,
		"\"direct\":%llu,\"pinned\":%llu,\"kept\":%llu,\"stolen\":%llu,\"kicked\":%llu,"
		"\"dsqs\":{",
		sums.direct, sums.pinned, sums.kept, sums.stolen, sums.kicked);
	for (llc = 0; !ret && llc < source->skel->data->nr_llcs; llc++) {
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

enum event { EVENT_STOP, EVENT_FAULT, EVENT_RING, EVENT_TIMEOUT };

/* What @signals has: SIGUSR1 is for the fault. */
static enum event read_signal(int signals)
{
	struct signalfd_siginfo info;

	return read(signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1
		       ? EVENT_FAULT
		       : EVENT_STOP;
}

/* Waits for @timeout_ms (-1: for ever) at most, and serves statistics meanwhile. */
static enum event wait_event(int signals, int ring, struct stats_server *server, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
			       {.fd = ring, .events = POLLIN},
			       {.fd = server ? server->events : -1, .events = POLLIN}};
	long long deadline = now_ms() + timeout_ms;

	for (;;) {
		long long left = timeout_ms < 0 ? -1 : deadline - now_ms();
		int ready = poll(fds, 3, left < 0 && timeout_ms >= 0 ? 0 : (int)left);

		if (!ready)
			return EVENT_TIMEOUT;
		if (ready > 0 && fds[0].revents)
			return read_signal(signals);
		if (ready > 0 && fds[1].revents)
			return EVENT_RING;
		if (ready > 0)
			stats_server__run(server);
	}
}

/* ---- Faults ---- */

/* A cpuset without CPUs has its parent's. Others come and go: errors are nobody's. */
static int widen(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	char file[512];
	int fd;

	(void)st;
	(void)at;
	if (kind != FTW_D)
		return 0;
	snprintf(file, sizeof(file), "%s/cpuset.cpus", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (write(fd, "\n", 1) != 1)
		fprintf(stderr, "scx_ktstr: %s: %s\n", file, strerror(errno));
	close(fd);
	return 0;
}

static void begin_fault(struct scx_ktstr *skel, const struct options *options)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	skel->bss->fault_on = true;
	if (options->fault == KTSTR_SCX_FAULT_EXIT)
		bpf_prog_test_run_opts(bpf_program__fd(skel->progs.ktstr_fault_exit), &opts);
}

/* Before it is loaded: what the fault needs; of all that no fault needs nothing is left. */
static void prepare_fault(struct scx_ktstr *skel, const struct options *options)
{
	enum ktstr_scx_fault fault = options->fault;
	unsigned long timeout_ms = options->timeout_ms ? options->timeout_ms : 30000;
	bool one = fault == KTSTR_SCX_FAULT_STARVE || fault == KTSTR_SCX_FAULT_UNFAIR;
	bool holds = fault == KTSTR_SCX_FAULT_STARVE || fault == KTSTR_SCX_FAULT_SLOW_WAKE;

	skel->rodata->fault = fault;
	skel->rodata->crash_in = options->crash_in;
	skel->rodata->fault_all = !options->fault_comm[0];
	memcpy(skel->rodata->fault_comm, options->fault_comm, sizeof(options->fault_comm));
	skel->rodata->hold_ns = fault == KTSTR_SCX_FAULT_STARVE
					? timeout_ms * STARVE_PERCENT / 100 * 1000000
					: SLOW_WAKE_MS * UINT64_C(1000000);
	skel->bss->fault_on = !options->fault_on_signal && !options->fault_after_ms &&
			      fault != KTSTR_SCX_FAULT_EXIT;

	bpf_map__set_autocreate(skel->maps.fault_tasks, holds || fault == KTSTR_SCX_FAULT_REMOTE);
	bpf_map__set_autocreate(skel->maps.fault_timers, fault == KTSTR_SCX_FAULT_SLOW_WAKE);
	/* A task that may not go on where it is is queued again, also when it is the only one. */
	if (fault >= KTSTR_SCX_FAULT_STARVE && fault <= KTSTR_SCX_FAULT_PILE)
		skel->struct_ops.ktstr_ops->flags |= SCX_OPS_ENQ_LAST;
	if (options->crash_in == KTSTR_SCX_IN_update_idle)
		skel->struct_ops.ktstr_ops->flags |= SCX_OPS_KEEP_BUILTIN_IDLE;

#define TAKE_OUT(callback)                                               \
	if (options->crash_in != KTSTR_SCX_IN_##callback &&              \
	    !(one && KTSTR_SCX_IN_##callback == KTSTR_SCX_IN_exit_task)) \
		skel->struct_ops.ktstr_ops->callback = NULL;
	KTSTR_SCX_EXTRA(TAKE_OUT)
}

/* ---- Run ---- */

struct run {
	const struct options *options;
	struct scx_ktstr *skel;
	struct stats_server server;
	struct ring_buffer *ring;
	int signals;
	bool ended;
};

static int take_event(void *run, void *data, size_t size)
{
	struct run *r = run;

	if (size < sizeof(__u32))
		return 0;
	if (*(const __u32 *)data == KTSTR_SCX_ENDED)
		r->ended = true;
	else
		find_llcs(r->skel);
	return 0;
}

/* Until somebody stops it, or it has ended. True: it was stopped. */
static bool serve(struct run *r)
{
	const struct options *options = r->options;
	bool begun = r->skel->bss->fault_on || options->fault == KTSTR_SCX_FAULT_NONE;
	bool timed = !begun && !options->fault_on_signal;
	long long begin_ms = now_ms() + (long long)options->fault_after_ms;

	for (;;) {
		bool widens = options->fault == KTSTR_SCX_FAULT_WIDEN_CPUSET && begun;
		long long left = timed && !begun ? begin_ms - now_ms() : widens ? WIDEN_MS : -1;

		switch (wait_event(r->signals, ring_buffer__epoll_fd(r->ring), &r->server,
				   timed && !begun && left < 0 ? 0 : (int)left)) {
		case EVENT_STOP:
			return true;
		case EVENT_RING:
			ring_buffer__consume(r->ring);
			if (r->ended)
				return false;
			break;
		case EVENT_FAULT:
		case EVENT_TIMEOUT:
			if (!begun)
				begin_fault(r->skel, options);
			begun = true;
			if (options->fault == KTSTR_SCX_FAULT_WIDEN_CPUSET)
				nftw(SCENARIO_CGROUP, widen, 16, FTW_PHYS);
			break;
		}
	}
}

/* Attaches once and waits for the end. Returns true when the kernel asks for a new start. */
static bool run(const struct options *options, int signals, int *status)
{
	struct run r = {.options = options, .signals = signals};
	struct source source = {.options = options};
	struct scx_ktstr *skel;
	struct bpf_link *link;
	bool stopped;
	__u64 code;
	int ret;

	skel = r.skel = SCX_OPS_OPEN(ktstr_ops, scx_ktstr);
	skel->rodata->slice_ns = options->slice_us * 1000;
	skel->struct_ops.ktstr_ops->timeout_ms = (__u32)options->timeout_ms;
	prepare_fault(skel, options);
	init_llcs(skel);
	SCX_OPS_LOAD(skel, ktstr_ops, scx_ktstr, uei);
	r.ring = ring_buffer__new(bpf_map__fd(skel->maps.events), take_event, &r, NULL);
	SCX_BUG_ON(!r.ring, "Failed to read the ring of events");
	/* Before it is attached: who sees that finds the socket. */
	source.skel = skel;
	ret = stats_server__open(&r.server, KTSTR_STATS_SOCKET, answer, &source);
	if (ret)
		fprintf(stderr, "scx_ktstr: no statistics: " KTSTR_STATS_SOCKET ": %s\n",
			strerror(-ret));
	link = SCX_OPS_ATTACH(skel, ktstr_ops, scx_ktstr);
	printf("scx_ktstr: attached, %u CPUs in %u LLCs, slice %lu us\n", skel->rodata->nr_cpu_ids,
	       skel->data->nr_llcs, options->slice_us);
	fflush(stdout);

	stopped = serve(&r);

	stats_server__close(&r.server);
	ring_buffer__free(r.ring);
	bpf_link__destroy(link);
	code = UEI_REPORT(skel, uei);
	*status = stopped ? 0 : 1;
	scx_ktstr__destroy(skel);
	return !stopped && UEI_ECODE_RESTART(code);
}

int main(int argc, char **argv)
{
	struct options options = {.slice_us = 5000, .fault_comm = KTSTR_SCX_FAULT_COMM};
	int signals, status;
	sigset_t set;

	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		perror("scx_ktstr: signalfd");
		return 1;
	}

	if (options.fault == KTSTR_SCX_FAULT_NEVER_ATTACH) {
		printf("scx_ktstr: told not to attach by --fault never-attach\n");
		fflush(stdout);
		while (wait_event(signals, -1, NULL, -1) != EVENT_STOP)
			;
		return 0;
	}

	libbpf_set_print(options.verbose ? print_all : print_warnings);
	while (run(&options, signals, &status))
		;
	return status;
}
