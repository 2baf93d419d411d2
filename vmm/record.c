// SPDX-License-Identifier: GPL-2.0-only
/* Gathers what comes out of a machine and puts it into the directory of its record. */
#include "record.h"
#include "files.h"
#include "../initramfs/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <ktstr/proto.h>

#include "emulated/emulated.h"
#include "json_out.h"
#include "performance.h"
#include "record_event.h"

/* What is kept in memory of a stream of a run that may pass; cut off in pieces of PAGE. */
#define MEMORY_MAX (UINT64_C(8) << 20)
#define MEMORY_PIECE (UINT64_C(1) << 20)

/* Payloads that are files of their own; the others are in frames.bin alone. */
#define FILES_MAX 256u

enum { FRAMES, EVENTS, OUT, ERR, KERNEL, SCHEDULER, MONITOR, STATS, METRICS, NR_SINKS };
static const char *const sink_names[NR_SINKS] = {
	[FRAMES] = "frames.bin",     [EVENTS] = "events.jsonl", [OUT] = "stdout.txt",
	[ERR] = "stderr.txt",	     [KERNEL] = "kernel.txt",	[SCHEDULER] = "scheduler.txt",
	[MONITOR] = "monitor.jsonl", [STATS] = "stats.jsonl",	[METRICS] = "payload-metrics.jsonl",
};
/* The others that a record can have, beside raw-N.txt and profile-N.profraw. */
static const char *const other_names[] = {
	"result.json", "console.txt",  "com2.txt",	     "machine",	  "kernel",
	"initramfs",   "guest.config", "scheduler-dump.txt", "base.erofs"};

struct sink {
	int fd;		     /* a file of the directory, or a memfd; -1: nothing came */
	uint64_t start, end; /* of what is there: older bytes of a memfd are gone */
	int err;	     /* of the first write that failed: nothing more is written */
};

struct record {
	char dir[PATH_MAX];
	bool keep;
	const struct ktstr_vm_config *config;
	struct sink sinks[NR_SINKS];
	uint32_t nr_files; /* of payloads */
	/* Those that were there before us */
	ktstr_frame_fn frame;
	ktstr_output_fn output;
	ktstr_sample_fn sample;
	ktstr_stats_fn stats;
	void *frame_opaque, *output_opaque, *sample_opaque, *stats_opaque;
	time_t started;
};

/* ---- sinks ---- */

static void sink__write(struct record *r, unsigned int which, const void *data, size_t length)
{
	struct sink *s = &r->sinks[which];

	if (s->fd < 0 && !s->err) {
		s->fd = r->keep ? files__create(r->dir, sink_names[which])
				: memfd_create(sink_names[which], MFD_CLOEXEC);
		if (s->fd < 0)
			s->err = r->keep ? -s->fd : errno;
	}
	if (!s->err)
		s->err = -copy__write(s->fd, data, length);
	if (s->err)
		return;
	s->end += length;
	if (r->keep || s->end - s->start <= MEMORY_MAX + MEMORY_PIECE)
		return;
	/* The oldest pages go back to the system; the offsets stay. */
	fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->start,
		  (off_t)(s->end - s->start - MEMORY_MAX) & -(off_t)MEMORY_PIECE);
	s->start += (s->end - s->start - MEMORY_MAX) & -MEMORY_PIECE;
}

static int sink__copy_out(struct record *r, unsigned int which)
{
	struct sink *s = &r->sinks[which];
	int to = files__create(r->dir, sink_names[which]), err = s->err;
	char buf[65536];

	if (to < 0)
		return to;
	for (uint64_t at = s->start; at < s->end && !err;) {
		ssize_t n = pread(s->fd, buf, sizeof(buf), (off_t)at);

		err = n < 0 ? errno : n == 0 ? EIO : -copy__write(to, buf, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (close(to) && !err)
		err = errno;
	return -err;
}

/* A stream for formatted text, whose bytes go to a sink. */
static void sink__put_stream(struct record *r, unsigned int which, char *text, size_t length)
{
	sink__write(r, which, text, length);
	free(text);
}

/* ---- what comes ---- */

static void put_frame(struct record *r, uint32_t type, uint32_t sequence, const void *payload,
		      uint32_t length)
{
	struct ktstr_frame_header header = {
		.magic = KTSTR_FRAME_MAGIC, .type = type, .sequence = sequence, .length = length};
	uLong crc = crc32(0, (const Bytef *)&header.type, 3 * sizeof(uint32_t));

	header.crc = (uint32_t)(length ? crc32(crc, payload, length) : crc);
	sink__write(r, FRAMES, &header, sizeof(header));
	sink__write(r, FRAMES, payload, length);
}

/* A payload that is a file of its own. Only of a record that is kept: they can be large and many.
 */
static void put_file(struct record *r, const char *format, uint32_t sequence, const void *payload,
		     size_t length)
{
	char name[64];
	int fd, err;

	if (!r->keep || r->nr_files == FILES_MAX)
		return;
	r->nr_files++;
	snprintf(name, sizeof(name), format, sequence);
	fd = files__create(r->dir, name);
	err = fd < 0 ? fd : copy__write(fd, payload, length);
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	if (err && !r->sinks[FRAMES].err)
		r->sinks[FRAMES].err = -err;
}

static void put_event(struct record *r, uint32_t type, uint32_t sequence, const void *payload,
		      uint32_t length)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	record_event__write(f, type, sequence, payload, length);
	if (fclose(f))
		free(text);
	else
		sink__put_stream(r, EVENTS, text, size);
}

void record__metrics(struct record *r, const char *payload, const struct metric *metrics, size_t nr)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	for (size_t i = 0; i < nr; i++) {
		record_event__metric(f, payload, &metrics[i]);
		fputc('\n', f);
	}
	if (fclose(f))
		free(text);
	else
		sink__put_stream(r, METRICS, text, size);
}

static void put_metrics(struct record *r, const void *payload, uint32_t length)
{
	struct metrics metrics;
	struct metric metric;

	if (metrics__open(&metrics, payload, length))
		return;
	while (metrics__next(&metrics, &metric))
		record__metrics(r, metrics.name, &metric, 1);
}

static void on_frame(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
		     uint32_t length)
{
	struct record *r = opaque;
	struct ktstr_output_payload out;
	struct ktstr_raw_output_payload raw;

	put_frame(r, type, sequence, payload, length);
	if (type == KTSTR_FRAME_OUTPUT) {
		memcpy(&out, payload, sizeof(out));
		if (out.stream == KTSTR_STREAM_KERNEL)
			sink__write(r, KERNEL, (const char *)payload + sizeof(out),
				    length - sizeof(out));
	} else {
		put_event(r, type, sequence, payload, length);
	}
	if (type == KTSTR_FRAME_RAW_OUTPUT) {
		memcpy(&raw, payload, sizeof(raw));
		put_file(r, "raw-%u.txt", sequence,
			 (const char *)payload + sizeof(raw) + raw.name_length,
			 length - sizeof(raw) - raw.name_length);
	} else if (type == KTSTR_FRAME_PAYLOAD_METRICS) {
		put_metrics(r, payload, length);
	} else if (type == KTSTR_FRAME_PROFRAW) {
		put_file(r, "profile-%u.profraw", sequence, payload, length);
	}
	if (r->frame)
		r->frame(r->frame_opaque, type, sequence, payload, length);
}

static void on_output(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	static const unsigned int to[] = {
		[KTSTR_OUT] = OUT, [KTSTR_ERR] = ERR, [KTSTR_SCHED] = SCHEDULER};
	struct record *r = opaque;

	sink__write(r, to[stream], data, length);
	if (r->output)
		r->output(r->output_opaque, stream, data, length);
}

static void put_known(FILE *f, const char *name, uint64_t value)
{
	if (value != KTSTR_UNKNOWN)
		fprintf(f, ", \"%s\": %" PRIu64, name, value);
}

static void on_sample(void *opaque, const struct ktstr_sample *sample)
{
	struct record *r = opaque;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (f) {
		fprintf(f, "{\"at_ms\": %" PRIu64 ", \"step\": ", sample->at_ns / 1000000);
		json__text(f, sample->step);
		fputs(", \"vcpus\": [", f);
		for (uint32_t i = 0; i < sample->nr_vcpus; i++) {
			const struct ktstr_vcpu_sample *v = &sample->vcpus[i];

			fprintf(f, "%s{\"user_exits\": %" PRIu64, i ? ", " : "", v->user_exits);
			put_known(f, "exits", v->exits);
			put_known(f, "halts", v->halts);
			put_known(f, "run_ns", v->run_ns);
			put_known(f, "steal_ns", v->steal_ns);
			fputc('}', f);
		}
		fputs("]}\n", f);
		if (fclose(f))
			free(text);
		else
			sink__put_stream(r, MONITOR, text, size);
	}
	if (r->sample)
		r->sample(r->sample_opaque, sample);
}

/* @json is a JSON object (vmm/stats.c has looked). */
static void on_stats(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	struct record *r = opaque;
	char head[64];
	int n = snprintf(head, sizeof(head), "{\"at_ms\": %" PRIu64 ", \"stats\": ", at_ms);

	sink__write(r, STATS, head, (size_t)n);
	sink__write(r, STATS, json, length);
	sink__write(r, STATS, "}\n", 2);
	if (r->stats)
		r->stats(r->stats_opaque, at_ms, json, length);
}

void record__attach(struct record *r, struct ktstr_vm_config *config)
{
	r->frame = config->frame;
	r->frame_opaque = config->frame_opaque;
	r->output = config->output;
	r->output_opaque = config->output_opaque;
	r->sample = config->sample;
	r->sample_opaque = config->sample_opaque;
	r->stats = config->stats;
	r->stats_opaque = config->stats_opaque;
	config->stats = on_stats;
	config->stats_opaque = r;
	config->frame = on_frame;
	config->output = on_output;
	config->sample = on_sample;
	config->frame_opaque = config->output_opaque = config->sample_opaque = r;
	if (!config->sample_interval_ms)
		config->sample_interval_ms = 1000;
	config->kernel_log |= r->keep;
	r->config = config;
}

/* ---- directory ---- */

/* BEFORE, digits, AFTER */
static bool is_numbered(const char *name, const char *before, const char *after)
{
	size_t n = strlen(before), digits;

	if (strncmp(name, before, n) != 0)
		return false;
	digits = strspn(name + n, "0123456789");
	return digits && !strcmp(name + n + digits, after);
}

static bool is_ours(const char *name)
{
	for (unsigned int i = 0; i < NR_SINKS; i++)
		if (!strcmp(name, sink_names[i]))
			return true;
	for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++)
		if (!strcmp(name, other_names[i]))
			return true;
	return is_numbered(name, "raw-", ".txt") || is_numbered(name, "profile-", ".profraw");
}

static void empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_ours(entry->d_name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

void record__remove(const char *path)
{
	empty(path);
	rmdir(path);
}

/* Whether @path lies on a 9p mount: statfs() would show the file system behind it. */
static bool is_on_9p(const char *path)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[4096 + 512];
	struct statx stx;
	bool found = false;

	if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &stx) || !(stx.stx_mask & STATX_MNT_ID))
		found = true; /* a kernel before 5.8: not known, so not refused */
	/* "ID PARENT MAJ:MIN ROOT PATH OPTIONS ... - TYPE SOURCE ..." (proc_pid_mountinfo(5)) */
	while (!found && mounts && fgets(line, sizeof(line), mounts))
		found = strtoull(line, NULL, 10) == stx.stx_mnt_id && strstr(line, " - 9p ");
	if (mounts)
		fclose(mounts);
	return found;
}

/* There, only what is mounted from the outside outlives it. */
int record__check_outlives(const char *path, struct ktstr_error *error)
{
	int err;

	if (!getenv(EMULATED_INSIDE_ENV) || is_on_9p(path))
		return 0;
	err = ktstr_error__set(error, EXDEV, "record", path,
			       "is inside the emulated KVM host and would be lost with it");
	ktstr_error__hint(error, "give a directory below the working tree, or start the host "
				 "yourself: ktstr emulated-host start -w DIR");
	return err;
}

static int prepare(struct record *r, struct ktstr_error *error)
{
	int err = files__make_directory(r->dir);

	if (err || access(r->dir, W_OK)) {
		err = ktstr_error__set(error, err ? -err : errno, "record", r->dir, NULL);
		ktstr_error__hint(error, "give another directory by --artifacts or "
					 "KTSTR_ARTIFACTS");
		return err;
	}
	err = record__check_outlives(r->dir, error);
	if (!err)
		empty(r->dir);
	return err;
}

int record__create(const char *dir, bool keep, struct record **record, struct ktstr_error *error)
{
	struct record *r = calloc(1, sizeof(*r));
	int n, err = 0;

	*record = NULL;
	if (!r)
		return ktstr_error__set(error, ENOMEM, "allocate", "record", NULL);
	for (unsigned int i = 0; i < NR_SINKS; i++)
		r->sinks[i].fd = -1;
	r->keep = keep;
	r->started = time(NULL);
	n = snprintf(r->dir, sizeof(r->dir), "%s", dir);
	if (n < 0 || (size_t)n >= sizeof(r->dir))
		err = ktstr_error__set(error, ENAMETOOLONG, "record", dir, NULL);
	else if (keep)
		err = prepare(r, error);
	if (err) {
		free(r);
		return err;
	}
	*record = r;
	return 0;
}

void record__destroy(struct record *r)
{
	if (!r)
		return;
	for (unsigned int i = 0; i < NR_SINKS; i++)
		if (r->sinks[i].fd >= 0)
			close(r->sinks[i].fd);
	free(r);
}

/* ---- result.json ---- */

static void put_us(FILE *f, const char *name, uint64_t from_ns, uint64_t to_ns)
{
	/* A point that was not reached is 0. */
	fprintf(f, ", \"%s\": %.1f", name,
		from_ns && to_ns > from_ns ? (double)(to_ns - from_ns) / 1e3 : 0);
}

static void put_times(FILE *f, const struct ktstr_result *result)
{
	const struct ktstr_times *t = &result->times;

	fprintf(f, "\"us\": {\"memory\": %.1f, \"devices\": %.1f, \"kernel\": %.1f, ",
		(double)t->memory_ns / 1e3, (double)t->devices_ns / 1e3,
		(double)t->kernel_ns / 1e3);
	fprintf(f, "\"initramfs\": %.1f, \"vcpus\": %.1f", (double)t->initramfs_ns / 1e3,
		(double)t->vcpus_ns / 1e3);
	put_us(f, "create_to_first_run", t->create_at_ns, t->first_run_at_ns);
	put_us(f, "first_run_to_init", t->first_run_at_ns, t->init_at_ns);
	if (result->attach_ns)
		put_us(f, "scheduler_attach", 1, result->attach_ns + 1);
	put_us(f, "init_to_result", t->init_at_ns, t->result_at_ns);
	put_us(f, "result_to_exit", t->result_at_ns, t->exit_at_ns);
	fputs("}", f);
}

static void put_exits(FILE *f, const struct ktstr_result *r)
{
	fprintf(f, "\"total_exits\": %" PRIu64 ", \"exits\": [", r->total_exits);
	for (size_t i = 0; i < r->nr_exits; i++)
		fprintf(f,
			"%s{\"reason\": \"%s\", \"port\": %u, \"address\": %" PRIu64
			", \"count\": %" PRIu64 "}",
			i ? ", " : "", r->exits[i].reason, r->exits[i].port, r->exits[i].address,
			r->exits[i].count);
	fputs("]", f);
}

static void put_nics(FILE *f, const struct ktstr_result *r)
{
	fputs("\"nics\": [", f);
	for (size_t i = 0; i < r->nr_nics; i++) {
		const struct ktstr_nic_counts *c = &r->nics[i];

		fprintf(f,
			"%s{\"tx_frames\": %" PRIu64 ", \"tx_bytes\": %" PRIu64
			", \"rx_frames\": %" PRIu64 ", \"rx_bytes\": %" PRIu64
			", \"rx_dropped\": %" PRIu64 ", \"rx_too_long\": %" PRIu64
			", \"link_dropped\": %" PRIu64 ", \"tx_bad\": %" PRIu64 "}",
			i ? ", " : "", c->tx_frames, c->tx_bytes, c->rx_frames, c->rx_bytes,
			c->rx_dropped, c->rx_too_long, c->link_dropped, c->tx_bad);
	}
	fputs("]", f);
}

static void put_member(FILE *f, const char *name, const char *text)
{
	fprintf(f, "\"%s\": ", name);
	json__text(f, text);
}

static void put_strings(FILE *f, const char *name, const char *const *strings)
{
	fprintf(f, "\"%s\": [", name);
	for (size_t i = 0; strings && strings[i]; i++) {
		fputs(i ? ", " : "", f);
		json__text(f, strings[i]);
	}
	fputs("]", f);
}

static void put_scheduler_end(FILE *f, const struct ktstr_scheduler_end *end)
{
	fprintf(f, "\"scheduler_end\": {\"kind\": \"%s\", \"cpu\": %d, ",
		ktstr_scx_exit__name(end->kind), end->cpu);
	put_member(f, "reason", end->reason);
	fputs(", ", f);
	put_member(f, "message", end->message);
	fputs(", ", f);
	put_member(f, "events", end->events);
	fprintf(f,
		", \"enable_seq\": %" PRId64 ", \"hotplug_seq\": %" PRId64
		", \"nr_rejected\": %" PRId64 "}",
		end->enable_seq, end->hotplug_seq, end->nr_rejected);
}

static void put_config(FILE *f, const struct ktstr_vm_config *c)
{
	int n = ktstr_topology__format_options(&c->topology, NULL, 0);
	char *topology = n < 0 ? NULL : malloc((size_t)n + 1);

	if (topology)
		ktstr_topology__format_options(&c->topology, topology, (size_t)n + 1);
	fputs("\"config\": {", f);
	put_member(f, "topology", topology);
	free(topology);
	fprintf(f, ", \"memory_mb\": %u, ", c->memory_mb);
	put_member(f, "kernel", c->kernel);
	fputs(", ", f);
	put_member(f, "append", c->append);
	fputs(", ", f);
	put_member(f, "scheduler", c->scheduler);
	fputs(", ", f);
	put_strings(f, "scheduler_args", c->scheduler_args);
	fputs(", ", f);
	put_strings(f, "argv", c->argv);
	fprintf(f, ", \"boot_timeout_s\": %u, \"attach_timeout_s\": %u, \"timeout_s\": %u}",
		c->boot_timeout_s, c->attach_timeout_s, c->timeout_s);
}

static void put_performance(FILE *f, const struct ktstr_performance *p)
{
	if (!p) {
		fputs("\"performance\": null", f);
		return;
	}
	fputs("\"performance\": {", f);
	put_member(f, "mode", performance__mode_name(p->mode));
	fprintf(f, ", \"met\": %s, \"conditions\": [", p->met ? "true" : "false");
	for (uint32_t i = 0; i < p->nr_conditions; i++) {
		const struct ktstr_condition *c = &p->conditions[i];

		fputs(i ? ",\n  {" : "\n  {", f);
		put_member(f, "name", c->name);
		fputs(", ", f);
		put_member(f, "state", ktstr_condition_state__name(c->state));
		fputs(", ", f);
		put_member(f, "text", c->text);
		fputs(", ", f);
		put_member(f, "instead", c->instead);
		fputs(", ", f);
		put_member(f, "remedy", c->remedy);
		fputs("}", f);
	}
	fputs("]}", f);
}

/* What is not known is null. */
static void put_number(FILE *f, const char *name, uint64_t value)
{
	if (value == KTSTR_UNKNOWN)
		fprintf(f, "\"%s\": null", name);
	else
		fprintf(f, "\"%s\": %" PRIu64, name, value);
}

static void put_host_use(FILE *f, const struct ktstr_host_use *use)
{
	fprintf(f, "\"host_use\": {\"of\": \"%s\", ", use->of_test ? "test" : "run");
	put_number(f, "host_ns", use->host_ns);
	fputs(", ", f);
	put_number(f, "guest_ns", use->guest_ns);
	if (isnan(use->steal_percent))
		fputs(", \"steal_percent\": null", f);
	else
		fprintf(f, ", \"steal_percent\": %.3f, \"most_stolen\": %u", use->steal_percent,
			use->most_stolen);
	fputs(",\n  \"kvm\": {", f);
	for (size_t i = 0; i < use->nr_kvm_counts; i++) {
		fputs(i ? ", " : "", f);
		put_number(f, use->kvm_counts[i].name, use->kvm_counts[i].count);
	}
	fputs("},\n  \"vcpus\": [", f);
	for (uint32_t i = 0; i < use->nr_vcpus; i++) {
		const struct ktstr_vcpu_use *v = &use->vcpus[i];

		fputs(i ? ",\n   {" : "\n   {", f);
		put_number(f, "run_ns", v->run_ns);
		fputs(", ", f);
		put_number(f, "wait_ns", v->wait_ns);
		fputs(", ", f);
		put_number(f, "preempted", v->preempted);
		fputs(", ", f);
		put_number(f, "minor_faults", v->minor_faults);
		fputs(", ", f);
		put_number(f, "major_faults", v->major_faults);
		fputs("}", f);
	}
	fputs("]}", f);
}

static void put_host(FILE *f)
{
	struct utsname host;

	fputs("\"host\": {", f);
	put_member(f, "ktstr", KTSTR_VERSION);
	if (!uname(&host)) {
		fputs(", ", f);
		put_member(f, "kernel", host.release);
		fputs(", ", f);
		put_member(f, "machine", host.machine);
	}
	fprintf(f, ", \"emulated\": %s}", getenv(EMULATED_INSIDE_ENV) ? "true" : "false");
}

void record__result(FILE *f, const struct ktstr_vm_config *config,
		    const struct ktstr_result *result, const struct record_about *about)
{
	fputs("{\"format\": 1, ", f);
	put_member(f, "verdict", ktstr_verdict__name(result->verdict));
	fputs(", ", f);
	put_member(f, "cause", result->cause);
	fputs(", ", f);
	if (about) {
		put_member(f, "name", about->name);
		fputs(", ", f);
		put_member(f, "program", about->program);
		fputs(", ", f);
		put_member(f, "expected",
			   about->expect ? ktstr_verdict__name(about->expect) : NULL);
		fputs(", ", f);
		put_member(f, "judged", about->judged);
		fputs(", ", f);
		if (about->extractor)
			fputs("\"extractor\": true, ", f);
	}
	if (result->have_status)
		fprintf(f, "\"exit_code\": %d, \"signal\": %d, ", result->exit_code,
			result->signal);
	put_member(f, "skip_reason", result->skip_reason);
	fprintf(f, ", \"by_com2\": %s, ", result->by_com2 ? "true" : "false");
	put_member(f, "scheduler_ops", result->scheduler_ops);
	fputs(", ", f);
	put_member(f, "kernel_release", result->kernel_release);
	fputs(", ", f);
	put_member(f, "kaslr", ktstr_kaslr__name(result->kaslr));
	fputs(", ", f);
	put_member(f, "cache_problem", result->cache_problem);
	fputs(", ", f);
	put_member(f, "host_cpus", result->host_cpus);
	fputs(", ", f);
	put_member(f, "sandbox", result->sandbox);
	fputs(", ", f);
	put_member(f, "backtrace", result->backtrace);
	fputs(", ", f);
	put_member(f, "vcpus", result->vcpus);
	fputs(",\n ", f);
	if (result->scheduler_end.kind) {
		put_scheduler_end(f, &result->scheduler_end);
		fputs(",\n ", f);
	}
	put_config(f, config);
	fputs(",\n ", f);
	put_host(f);
	fputs(",\n ", f);
	put_performance(f, result->performance);
	fputs(",\n ", f);
	put_host_use(f, &result->host_use);
	fputs(",\n ", f);
	put_times(f, result);
	fputs(",\n ", f);
	put_exits(f, result);
	if (result->nr_nics) {
		fputs(",\n ", f);
		put_nics(f, result);
	}
	fputs("}\n", f);
}

/* ---- the end ---- */

static int write_file(struct record *r, const char *name, const char *text, size_t length)
{
	int fd = files__create(r->dir, name), err;

	if (fd < 0)
		return fd;
	err = copy__write(fd, text, length);
	return close(fd) && !err ? -errno : err;
}

static int write_result(struct record *r, const struct ktstr_result *result,
			const struct record_about *about)
{
	char *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);
	int err;

	if (!f)
		return -errno;
	record__result(f, r->config, result, about);
	err = fclose(f) ? -errno : write_file(r, "result.json", text, length);
	free(text);
	return err;
}

static int write_texts(struct record *r, const struct ktstr_result *result)
{
	const char *dump = result->scheduler_end.dump;
	int err = write_file(r, "console.txt", result->console, strlen(result->console));

	if (!err && dump && *dump)
		err = write_file(r, "scheduler-dump.txt", dump, strlen(dump));
	return err ? err : write_file(r, "com2.txt", result->com2, strlen(result->com2));
}

int record__write(struct record *r, struct ktstr_vm *vm, record_save_fn save,
		  const struct ktstr_result *result, const struct record_about *about,
		  struct ktstr_error *error)
{
	int err = r->keep ? 0 : prepare(r, error);

	if (err)
		return err;
	for (unsigned int i = 0; i < NR_SINKS && !err; i++) {
		if (!r->keep && r->sinks[i].fd >= 0)
			err = sink__copy_out(r, i);
		else
			err = -r->sinks[i].err;
	}
	if (!err)
		err = write_texts(r, result);
	if (!err)
		err = save(vm, r->dir, error);
	/* Last: what says how it ended is there when all is. */
	if (!err)
		err = write_result(r, result, about);
	return err ? ktstr_error__set(error, -err, "write", r->dir, NULL) : 0;
}
