// SPDX-License-Identifier: GPL-2.0-only
/* One machine run for a person: what it prints, its record, signals, its exit status. */
#include "session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "../evidence.h"
#include "../host_share.h"
#include "../performance.h"
#include "../record.h"
#include "../sandbox.h"
#include "../text.h"
#include "cli.h"

/*
 * Waits for a slow reader, which slows the guest down, but not when a signal is there: it could be
 * one that has stopped for good.
 */
static void write_all(struct session *s, int fd, const char *data, size_t length)
{
	while (length) {
		struct pollfd pfd[] = {{.fd = fd, .events = POLLOUT},
				       {.fd = s->config.cancel_fd, .events = POLLIN}};
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
		if (n <= 0) {
			/* A reader that has gone has what it wanted; a full disk loses output. */
			if (n < 0 && errno != EPIPE && !s->output_err)
				s->output_err = errno;
			return;
		}
		data += n;
		length -= (size_t)n;
	}
}

static void on_output(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	struct session *s = opaque;

	watch__clear(&s->watch);
	if (stream == KTSTR_OUT)
		write_all(s, STDOUT_FILENO, data, length);
	else if (stream == KTSTR_ERR || s->verbose)
		write_all(s, STDERR_FILENO, data, length);
}

static void on_console(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	(void)stream;
	write_all(opaque, STDERR_FILENO, data, length);
}

/* A line as soon as it is there: who follows the file sees it. */
static void on_stats(void *opaque, uint64_t at_ms, const char *json, size_t length)
{
	const struct session *s = opaque;

	fprintf(s->stats_to, "{\"at_ms\":%llu,\"stats\":", (unsigned long long)at_ms);
	fwrite(json, 1, length, s->stats_to);
	fputs("}\n", s->stats_to);
	fflush(s->stats_to);
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

/* A line of the guest's: nothing in it is a command to the terminal. */
static void print_line(const char *text, size_t length)
{
	char *line = strndup(text, length);

	if (!line)
		return;
	text__show(line, length, '?', true);
	fprintf(stderr, "# | %s\n", line);
	free(line);
}

/* All lines of @text: they explain the line before them. */
static void print_whole(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		print_line(text, n);
		text += n + (text[n] == '\n');
	}
}

/* What evidence__start() says of @text, each line behind "# | ". */
static void print_evidence(const char *text, const char *trouble)
{
	for (const char *at = evidence__start(text, trouble); *at;) {
		size_t n = strcspn(at, "\n"), shown = n;

		while (shown && at[shown - 1] == '\r')
			shown--;
		if (shown)
			print_line(at, shown);
		at += n + (at[n] == '\n');
	}
}

/* What of performance mode is not as it should be. */
static void say_performance(const struct ktstr_performance *p)
{
	char line[PERFORMANCE_LINE_MAX];

	for (uint32_t i = 0; p && i < p->nr_conditions; i++) {
		if (p->conditions[i].state == KTSTR_CONDITION_MET)
			continue;
		performance__describe(&p->conditions[i], line, sizeof(line));
		fprintf(stderr, "ktstr: performance mode: %s: %s\n",
			ktstr_condition_state__name(p->conditions[i].state), line);
	}
}

static int report(struct session *s, const struct ktstr_result *r)
{
	/* Of a limit, and not of the command. */
	bool failed = r->verdict == KTSTR_VERDICT_FAIL && !r->signal && !r->exit_code;
	bool judged = r->have_status && r->verdict >= KTSTR_VERDICT_FAIL &&
		      r->verdict != KTSTR_VERDICT_INTERRUPTED && !failed;

	watch__clear(&s->watch);
	say_performance(r->performance);
	if (r->cache_problem)
		fprintf(stderr, "ktstr: cache: %s\n", r->cache_problem);
	if (s->verbose)
		fprintf(stderr, "ktstr: KASLR: %s\n", ktstr_kaslr__text(r->kaslr));
	if (s->verbose && r->host_cpus && r->host_cpus[0])
		fprintf(stderr, "ktstr: host: %s\n", r->host_cpus);
	if (judged)
		return r->signal ? 128 + r->signal : r->exit_code;
	fprintf(stderr, "ktstr: %s: %s\n", ktstr_verdict__name(r->verdict), r->cause);
	if (r->verdict == KTSTR_VERDICT_INTERRUPTED)
		return CLI_EXIT_LOST;
	if (failed)
		return EXIT_FAILURE;
	print_whole(r->backtrace);
	print_whole(r->vcpus);
	if (!s->verbose) {
		print_evidence(r->console, r->console_trouble);
		print_evidence(r->com2, NULL);
		print_evidence(r->scheduler_output, NULL);
	}
	return CLI_EXIT_LOST;
}

static int write_report(const struct session *s, const struct ktstr_result *r)
{
	FILE *f = fopen(s->report, "we");

	if (!f)
		return -errno;
	record__result(f, &s->config, r, NULL);
	if (!ferror(f))
		return fclose(f) ? -errno : 0;
	fclose(f);
	errno = EIO;
	return -EIO;
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
static int finish_record(const struct session *s, struct record *record, struct ktstr_vm *vm,
			 const struct ktstr_result *result, int status)
{
	struct record_about about = {.name = s->config.argv ? s->config.argv[0] : s->command,
				     .judged = status ? "fail" : "pass"};
	struct ktstr_error error = {0};

	return record__write(record, vm, ktstr_vm__save, result, &about, &error)
		       ? cli_error(s->command, &error)
		       : status;
}

static bool open_stats(struct session *s)
{
	if (!s->config.stats_interval_ms)
		return true;
	s->config.stats = on_stats;
	s->config.stats_opaque = s;
	s->stats_to = s->stats ? fopen(s->stats, "we") : stderr;
	return s->stats_to;
}

/* What was wrong with the statistics is said; only a file that could not be written is our failure.
 */
static int close_stats(struct session *s, const struct ktstr_result *result, int status)
{
	bool failed;

	if (result && result->stats_problem)
		fprintf(stderr, "ktstr: statistics: %s\n", result->stats_problem);
	if (!s->stats || !s->stats_to)
		return status;
	failed = ferror(s->stats_to);
	if (fclose(s->stats_to) || failed)
		return cli_bad(s->command, s->stats, strerror(errno));
	return status;
}

static int boot_and_run(struct session *s, int signal_fd)
{
	struct ktstr_error error = {0};
	struct ktstr_result result;
	struct record *record = NULL;
	struct ktstr_vm *vm;
	char lost[1500];
	int status;

	s->config.cancel_fd = signal_fd;
	s->config.no_sandbox |= sandbox__is_unwanted();
	sandbox__explain();
	profraw__init(&s->profraw, getenv(PROFRAW_DIRECTORY_VARIABLE));
	s->config.frame = profraw__frame;
	s->config.frame_opaque = &s->profraw;
	if (!open_stats(s))
		return cli_bad(s->command, s->stats, strerror(errno));
	if (s->artifacts && record__create(s->artifacts, true, &record, &error))
		return close_stats(s, NULL, cli_error(s->command, &error));
	if (record)
		record__attach(record, &s->config);
	if (ktstr_vm__create(&s->config, &vm, &error)) {
		record__destroy(record);
		return close_stats(s, NULL, cli_error(s->command, &error));
	}
	if (ktstr_vm__run(vm, &result, &error)) {
		status = close_stats(s, NULL, cli_error(s->command, &error));
	} else {
		s->verdict = result.verdict;
		status = report(s, &result);
		status = close_stats(s, &result, status);
		if (result.verdict == KTSTR_VERDICT_INTERRUPTED)
			status = end_by_signal(signal_fd, status);
		if (profraw__report(&s->profraw, lost, sizeof(lost)))
			fprintf(stderr, "ktstr: %s: %s\n", s->command, lost);
		if (s->report && write_report(s, &result))
			status = cli_bad(s->command, s->report, strerror(errno));
		if (record)
			status = finish_record(s, record, vm, &result, status);
	}
	if (s->output_err) {
		fprintf(stderr, "ktstr: %s: output is lost: %s\n", s->command,
			strerror(s->output_err));
		status = status ? status : CLI_EXIT_LOST;
	}
	watch__clear(&s->watch);
	record__destroy(record);
	ktstr_vm__destroy(vm);
	return status;
}

/* A shell's terminal is the guest's while it runs. */
static int with_terminal(struct session *s, int signal_fd)
{
	struct termios saved, raw;
	int status;

	if (s->config.terminal_in < 0 || tcgetattr(s->config.terminal_in, &saved))
		return boot_and_run(s, signal_fd);
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* our own lines; the guest's have their \r already */
	tcsetattr(s->config.terminal_in, TCSANOW, &raw);
	status = boot_and_run(s, signal_fd);
	tcsetattr(s->config.terminal_in, TCSADRAIN, &saved);
	return status;
}

static void on_budget(void *opaque, bool waits, const char *text)
{
	(void)opaque;
	(void)waits;
	fprintf(stderr, "ktstr: %s\n", text);
}

/* Stopped before there was a machine. */
static int end_queued(struct session *s, int signal_fd)
{
	const struct ktstr_result result = {
		.verdict = KTSTR_VERDICT_INTERRUPTED,
		.cause = "stopped by the caller while it waited for other machines"};
	int status;

	s->verdict = result.verdict;
	status = end_by_signal(signal_fd, report(s, &result));
	if (s->report && write_report(s, &result))
		status = cli_bad(s->command, s->report, strerror(errno));
	return status;
}

/* Waits for room on the host, then runs. The terminal is still the user's: ^C is a signal. */
static int with_budget(struct session *s, int signal_fd)
{
	char what[256];
	struct host_share_request request = {
		.key = BUDGET_KEY, .config = &s->config, .what = what, .say = on_budget};
	struct host_share share;
	struct ktstr_error error = {0};
	int status, err;

	snprintf(what, sizeof(what), "ktstr %s %s", s->command,
		 s->config.argv && s->config.argv[0] ? s->config.argv[0] : "");
	s->config.cancel_fd = signal_fd;
	err = host_share__take(&request, &share, &error);
	if (err == -ECANCELED)
		return end_queued(s, signal_fd);
	if (err) {
		status = cli_error(s->command, &error);
		return err == -ETIMEDOUT ? CLI_EXIT_LOST : status;
	}
	s->config.cpu_share = host_share__cpus(&share);
	status = with_terminal(s, signal_fd);
	host_share__give_back(&share);
	return status;
}

int session__check(const struct session *s)
{
	struct ktstr_error error = {0};

	return host_share__check(&error) ? cli_error(s->command, &error) : 0;
}

int session__run(struct session *s)
{
	sigset_t set, old;
	int fd, status;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow (RLIMIT_FSIZE) is an error of who writes it. */
	signal(SIGXFSZ, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return cli_bad(s->command, "signalfd", strerror(errno));
	status = with_budget(s, fd);
	close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}

void session__set_output(struct session *s)
{
	s->config.output = on_output;
	s->config.output_opaque = s->config.console_opaque = s;
	if (s->verbose)
		s->config.console = on_console;
	else if (isatty(STDERR_FILENO) && !s->watching)
		s->config.progress = on_progress;
	if (s->watching) {
		s->watch.rewrite = isatty(STDERR_FILENO) && !s->verbose;
		s->config.sample = watch__sample;
		s->config.sample_opaque = &s->watch;
		s->config.sample_interval_ms = 1000;
	}
}
