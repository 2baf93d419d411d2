// SPDX-License-Identifier: GPL-2.0-only
/* Appends what a test run came to to the file of all runs. */
#include "run_metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "emulated/emulated.h"
#include "files.h"
#include "json_out.h"
#include "record.h"

/* What follows the metrics of a line. */
#define LINE_END "]}\n"

/* ---- What comes ---- */

void run_metrics__add(struct run_metrics *m, const char *source, const struct metric *metric)
{
	if (m->nr == m->size && m->size < RUN_METRICS_MAX) {
		size_t size = m->size ? 2 * m->size : 64;
		struct run_metric *list = reallocarray(m->list, size, sizeof(*list));

		if (list) {
			m->list = list;
			m->size = size;
		}
	}
	if (m->nr == m->size) {
		m->nr_lost++;
		return;
	}
	snprintf(m->list[m->nr].source, sizeof(m->list[m->nr].source), "%s", source);
	m->list[m->nr++].metric = *metric;
}

void run_metrics__frame(struct run_metrics *m, uint32_t type, const void *payload, uint32_t length)
{
	struct metrics metrics;
	struct metric metric;

	if (type != KTSTR_FRAME_PAYLOAD_METRICS || metrics__open(&metrics, payload, length))
		return;
	while (metrics__next(&metrics, &metric))
		run_metrics__add(m, metrics.name, &metric);
}

void run_metrics__free(struct run_metrics *m)
{
	free(m->list);
	*m = (struct run_metrics){.nr = 0};
}

void run_metrics__name_run(void)
{
	const char *given = getenv(RUN_ID_VARIABLE);
	struct utsname host;
	struct timespec now;
	uint32_t random = 0;
	struct tm tm;
	char id[64];

	clock_gettime(CLOCK_REALTIME, &now);
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint32_t)now.tv_nsec ^ (uint32_t)getpid();
	gmtime_r(&now.tv_sec, &tm);
	strftime(id, sizeof(id), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(id + strlen(id), sizeof(id) - strlen(id), "-%08x", random);
	if (!given || !*given)
		setenv(RUN_ID_VARIABLE, id, 1);
	/* An emulated KVM host has a name of its own. */
	if (!uname(&host))
		setenv(RUN_HOST_VARIABLE, host.nodename, !getenv(EMULATED_INSIDE_ENV));
}

/* ---- Lines ---- */

static void put_member(FILE *f, const char *name, const char *text)
{
	fprintf(f, "\"%s\": ", name);
	json__text(f, text);
	fputs(", ", f);
}

static void put_started(FILE *f, const struct timespec *at)
{
	char text[64];
	struct tm tm;

	gmtime_r(&at->tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(f, "\"time\": \"%s.%06ldZ\", ", text, at->tv_nsec / 1000);
}

static void put_topology(FILE *f, const struct ktstr_topology *t)
{
	int n = ktstr_topology__format_options(t, NULL, 0);
	char *text = n < 0 ? NULL : malloc((size_t)n + 1);

	if (text)
		ktstr_topology__format_options(t, text, (size_t)n + 1);
	put_member(f, "topology", text);
	free(text);
}

static void put_host(FILE *f)
{
	struct utsname host;

	put_member(f, "host", getenv(RUN_HOST_VARIABLE));
	put_member(f, "host_kernel", uname(&host) ? NULL : host.release);
	fprintf(f, "\"emulated\": %s, ", getenv(EMULATED_INSIDE_ENV) ? "true" : "false");
}

static void put_scheduler(FILE *f, const struct ktstr_result *result, const struct run_about *about)
{
	put_member(f, "scheduler", about->scheduler);
	fputs("\"scheduler_args\": [", f);
	for (size_t i = 0; about->scheduler_args && about->scheduler_args[i]; i++) {
		fputs(i ? ", " : "", f);
		json__text(f, about->scheduler_args[i]);
	}
	fputs("], ", f);
	put_member(f, "scheduler_ops", result->scheduler_ops);
}

/* Every part has it, but for "part" itself, which goes before. */
static void put_head(FILE *f, const struct ktstr_vm_config *config,
		     const struct ktstr_result *result, const struct run_about *about)
{
	const char *slash = about->program ? strrchr(about->program, '/') : NULL;

	put_member(f, "run", getenv(RUN_ID_VARIABLE));
	put_started(f, &about->started);
	put_member(f, "program", slash ? slash + 1 : about->program);
	put_member(f, "test", about->test);
	put_topology(f, &config->topology);
	fprintf(f, "\"memory_mb\": %" PRIu32 ", ", config->memory_mb);
	put_member(f, "kernel", result->kernel_release);
	put_scheduler(f, result, about);
	put_host(f);
	put_member(f, "ktstr", KTSTR_VERSION);
	put_member(f, "verdict", ktstr_verdict__name(result->verdict));
	put_member(f, "cause", result->cause);
	put_member(f, "judged", about->judged);
	fputs("\"metrics\": [", f);
}

static void put_metric(FILE *f, const struct run_metric *m)
{
	fputs("{", f);
	put_member(f, "source", m->source);
	put_member(f, "name", m->metric.name);
	fputs("\"value\": ", f);
	json__number(f, m->metric.value);
	fputs(", ", f);
	put_member(f, "unit", m->metric.unit);
	fputs("\"better\": ", f);
	json__text(f, metric__better_name(m->metric.better));
	fputs("}", f);
}

struct text {
	char *data;
	size_t length;
};

/* The metrics of the monitor itself. */
static void add_span(struct run_metrics *m, const char *name, uint64_t from_ns, uint64_t to_ns,
		     enum ktstr_better better)
{
	struct metric metric = {.value = (double)(to_ns - from_ns) / 1e3,
				.unit = "us",
				.minimum = (double)NAN,
				.maximum = (double)NAN,
				.better = better};

	/* A point that was not reached is 0. */
	if (!from_ns || to_ns < from_ns)
		return;
	snprintf(metric.name, sizeof(metric.name), "%s", name);
	run_metrics__add(m, RUN_METRICS_SOURCE, &metric);
}

static void add_own(struct run_metrics *m, const struct ktstr_result *result)
{
	const struct ktstr_times *t = &result->times;
	const struct metric exits = {.name = "total_exits",
				     .value = (double)result->total_exits,
				     .better = KTSTR_LOWER_IS_BETTER};

	if (!t->first_run_at_ns)
		return;
	add_span(m, "create_to_first_run", t->create_at_ns, t->first_run_at_ns,
		 KTSTR_LOWER_IS_BETTER);
	add_span(m, "first_run_to_init", t->first_run_at_ns, t->init_at_ns, KTSTR_LOWER_IS_BETTER);
	if (result->attach_ns)
		add_span(m, "scheduler_attach", 1, result->attach_ns + 1, KTSTR_LOWER_IS_BETTER);
	/* A test may be to last its time, or to be done with its work soon. */
	add_span(m, "init_to_result", t->init_at_ns, t->result_at_ns, KTSTR_BETTER_UNKNOWN);
	add_span(m, "result_to_exit", t->result_at_ns, t->exit_at_ns, KTSTR_LOWER_IS_BETTER);
	run_metrics__add(m, RUN_METRICS_SOURCE, &exits);
}

/* All lines are made before the first is written: each says how many there are. */
struct lines {
	struct text head;
	struct text *bodies; /* the metrics of a part */
	size_t nr;
};

static int make_head(struct lines *lines, const struct ktstr_vm_config *config,
		     const struct ktstr_result *result, const struct run_about *about)
{
	FILE *f = open_memstream(&lines->head.data, &lines->head.length);

	if (!f)
		return -ENOMEM;
	put_head(f, config, result, about);
	return fclose(f) ? -ENOMEM : 0;
}

/* One part from metric *at on, which becomes the first of the next. */
static int make_body(struct lines *lines, const struct run_metrics *m, size_t *at, size_t room)
{
	struct text *bodies = reallocarray(lines->bodies, lines->nr + 1, sizeof(*bodies)), *body;
	size_t first = *at;
	long end = 0;
	FILE *f;

	if (!bodies)
		return -ENOMEM;
	lines->bodies = bodies;
	body = &bodies[lines->nr];
	*body = (struct text){.data = NULL};
	f = open_memstream(&body->data, &body->length);
	if (!f)
		return -ENOMEM;
	lines->nr++;
	for (; *at < m->nr; (*at)++) {
		fputs(*at == first ? "" : ", ", f);
		put_metric(f, &m->list[*at]);
		if (ftell(f) > (long)room && *at > first)
			break;
		end = ftell(f);
	}
	if (fclose(f))
		return -ENOMEM;
	body->length = (size_t)end;
	return 0;
}

/* "{"version": 1, "part": 12, "parts": 13, " at most */
#define PART_HEAD_MAX 96u

static int make_lines(struct lines *lines, const struct run_metrics *m,
		      const struct ktstr_vm_config *config, const struct ktstr_result *result,
		      const struct run_about *about)
{
	int err = make_head(lines, config, result, about);
	size_t at = 0, fixed;

	if (err)
		return err;
	fixed = lines->head.length + PART_HEAD_MAX + strlen(LINE_END);
	if (fixed > RUN_METRICS_HEAD_MAX)
		return -E2BIG;
	do
		err = make_body(lines, m, &at,
				fixed < RUN_METRICS_LINE_MAX ? RUN_METRICS_LINE_MAX - fixed : 0);
	while (!err && at < m->nr);
	return err;
}

static void free_lines(struct lines *lines)
{
	for (size_t i = 0; i < lines->nr; i++)
		free(lines->bodies[i].data);
	free(lines->bodies);
	free(lines->head.data);
}

/* ---- The file ---- */

/*
 * An earlier line was cut off: ours must not be the rest of it. The file is locked, for a line that
 * is just being written would look so, too; where locks do nothing, nobody looks.
 */
static bool needs_newline(int fd, const struct stat *st)
{
	char last = '\n';

	return S_ISREG(st->st_mode) && st->st_size && !getenv(EMULATED_INSIDE_ENV) &&
	       pread(fd, &last, 1, st->st_size - 1) == 1 && last != '\n';
}

static int write_line(int fd, const char *line, size_t length)
{
	void *page;
	ssize_t n;

	/* From the start of a page: over 9p, what crosses one can become two writes. */
	if (posix_memalign(&page, RUN_METRICS_LINE_MAX, length))
		return -ENOMEM;
	memcpy(page, line, length);
	n = write(fd, page, length);
	free(page);
	if (n < 0)
		return -errno;
	if ((size_t)n == length)
		return 0;
	/* The rest could come behind the line of another: what is there is ended instead. */
	return write(fd, "\n", 1) < 0 ? -errno : -EIO;
}

static int write_part(int fd, const struct lines *lines, size_t part)
{
	const struct text *body = &lines->bodies[part];
	struct text line = {.data = NULL};
	FILE *f = open_memstream(&line.data, &line.length);
	struct stat st;
	int err;

	if (!f)
		return -ENOMEM;
	err = fstat(fd, &st) ? -errno : 0;
	if (!err && needs_newline(fd, &st))
		fputc('\n', f);
	fprintf(f, "{\"version\": %d, \"part\": %zu, \"parts\": %zu, ", RUN_METRICS_VERSION,
		part + 1, lines->nr);
	fwrite(lines->head.data, 1, lines->head.length, f);
	fwrite(body->data, 1, body->length, f);
	fputs(LINE_END, f);
	if (fclose(f))
		err = -ENOMEM;
	if (!err)
		err = write_line(fd, line.data, line.length);
	free(line.data);
	return err;
}

static int write_lines(const char *path, const struct lines *lines, struct ktstr_error *error)
{
	/* A pipe that nobody reads is not waited for. */
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644), err;
	void (*old)(int);

	if (fd < 0)
		return ktstr_error__set(error, errno, "open", path, NULL);
	err = record__check_outlives(path, error);
	/* Not for the order of lines, see needs_newline(): a file system without locks will do. */
	flock(fd, LOCK_EX);
	/* A limit on the size of files is an error of the write, not the end of the test. */
	old = signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < lines->nr && !err; i++)
		err = write_part(fd, lines, i);
	signal(SIGXFSZ, old);
	if (close(fd) && !err)
		err = -errno;
	return err ? ktstr_error__set(error, -err, "write", path, NULL) : 0;
}

int run_metrics__append(const struct run_metrics *given, const char *path,
			const struct ktstr_vm_config *config, const struct ktstr_result *result,
			const struct run_about *about, struct ktstr_error *error)
{
	struct run_metrics all = {.nr_lost = given->nr_lost};
	struct lines lines = {.nr = 0};
	char copy[PATH_MAX];
	int n = snprintf(copy, sizeof(copy), "%s", path), err;

	if (n < 0 || (size_t)n >= sizeof(copy))
		return ktstr_error__set(error, ENAMETOOLONG, "write", path, NULL);
	add_own(&all, result);
	for (size_t i = 0; i < given->nr; i++)
		run_metrics__add(&all, given->list[i].source, &given->list[i].metric);
	err = make_lines(&lines, &all, config, result, about);
	if (!err)
		err = files__make_parents(copy);
	if (err)
		ktstr_error__set(error, -err, "write", path, NULL);
	else
		err = write_lines(path, &lines, error);
	if (!err && all.nr_lost)
		err = ktstr_error__set(error, ENOBUFS, "write", path,
				       "%zu metrics of the run are missing in its line: more than "
				       "%u, or no memory",
				       all.nr_lost, RUN_METRICS_MAX);
	free_lines(&lines);
	run_metrics__free(&all);
	return err;
}
