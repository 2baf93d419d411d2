// SPDX-License-Identifier: GPL-2.0-only
/*
 * The supervisor of a payload: starts the program, keeps its output and its time, kills all that it
 * leaves behind, reads the metrics and reports them.
 */
#include "payload.h"
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ktstr/guest.h>

#define STOP_MS 5000u /* from SIGTERM to SIGKILL */
#define READ_SIZE (64u << 10)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

struct stream {
	int fd; /* read end; -1: closed */
	struct payload_tail *tail;
	struct payload_lines lines;
};

struct supervisor {
	const struct ktstr_payload *payload;
	struct ktstr_payload_result *result;
	struct payload_reader *reader;
	struct stream out, err;
	char *kept; /* JSON and raw output */
	size_t nr_kept, capacity;
	int test_fd, stop_fd, signals;
	int proc; /* of processes__open() */
	pid_t pid;
	bool ended;
	uint64_t start_ns, deadline_ns;
	char buf[READ_SIZE];
};
static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}
int payload__problem(struct ktstr_payload_result *result, int err, const char *fmt, ...)
{
	va_list args;

	if (result->err)
		return -err;
	result->err = -err;
	va_start(args, fmt);
	vsnprintf(result->problem, sizeof(result->problem), fmt, args);
	va_end(args);
	for (char *c = result->problem; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return -err;
}
/* ---- Output ---- */

static void tail__add(struct payload_tail *tail, const char *data, size_t length)
{
	size_t room = sizeof(tail->text), keep;

	if (length > room) {
		tail->cut = true;
		data += length - room;
		length = room;
	}
	keep = tail->length < room - length ? tail->length : room - length;
	if (keep < tail->length)
		tail->cut = true;
	memmove(tail->text, tail->text + tail->length - keep, keep);
	memcpy(tail->text + keep, data, length);
	tail->length = keep + length;
}

static void keep_bytes(struct supervisor *s, const char *data, size_t length)
{
	size_t left = KTSTR_PAYLOAD_MAX_OUTPUT - s->nr_kept;

	if (length > left) {
		s->result->output_cut = true;
		length = left;
	}
	if (s->nr_kept + length > s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : READ_SIZE;
		char *grown = realloc(s->kept, capacity);

		/* A piece is READ_SIZE at most */
		if (!grown) {
			payload__problem(s->result, ENOMEM, "there is no memory for its output");
			return;
		}
		s->kept = grown;
		s->capacity = capacity;
	}
	memcpy(s->kept + s->nr_kept, data, length);
	s->nr_kept += length;
}

/* Something to read metrics from. */
static void take_text(struct supervisor *s, struct stream *stream, const char *data, size_t length)
{
	switch (s->payload->output) {
	case KTSTR_OUTPUT_PATTERN:
		payload_reader__feed(s->reader, &stream->lines, data, length);
		break;
	case KTSTR_OUTPUT_JSON:
		if (stream == &s->out)
			keep_bytes(s, data, length);
		break;
	case KTSTR_OUTPUT_RAW:
		keep_bytes(s, data, length);
		break;
	default:
		break;
	}
}

/* False: nothing more for now. */
static bool read_stream(struct supervisor *s, struct stream *stream)
{
	ssize_t n = stream->fd < 0 ? 0 : read(stream->fd, s->buf, sizeof(s->buf));

	if (n > 0) {
		s->result->nr_bytes += (uint64_t)n;
		tail__add(stream->tail, s->buf, (size_t)n);
		if (!s->payload->output_file)
			take_text(s, stream, s->buf, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (stream->fd >= 0 && (n == 0 || errno != EAGAIN)) {
		close(stream->fd);
		stream->fd = -1;
	}
	return false;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

/* What the payload has left in .output_file takes the place of its standard output. */
static void read_file(struct supervisor *s)
{
	const char *path = s->payload->output_file;
	int fd = open_file(path);
	ssize_t n;

	if (fd < 0) {
		payload__problem(s->result, ENODATA, "it did not leave its output in %s: %s", path,
				 strerror(-fd));
		return;
	}
	/* A file without end, as one with a hole can be, is not read without end. */
	while ((n = read(fd, s->buf, sizeof(s->buf))) > 0 && !s->result->output_cut)
		take_text(s, &s->out, s->buf, (size_t)n);
	if (n < 0)
		payload__problem(s->result, errno, "read %s: %s", path, strerror(errno));
	close(fd);
}

/* ---- Processes ---- */

/* The program's side of fork(): never returns. Errors go to @report. */
static void __attribute__((noreturn))
execute(const struct ktstr_payload *payload, int in, int out, int err, int report)
{
	sigset_t none;
	int cause;

	setsid();
	/* A supervisor that is killed takes the program along. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* No descriptor of the test's but the three streams; those here are to last until exec. */
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	sigemptyset(&none);
	/* What is ignored stays so over an exec; SIGPIPE is here. */
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (const char *const *env = payload->env; env && *env; env++)
		putenv((char *)(uintptr_t)*env);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(err, STDERR_FILENO) >= 0)
		execvp(payload->argv[0], (char *const *)(uintptr_t)payload->argv);
	cause = errno;
	if (write(report, &cause, sizeof(cause)) < 0)
		_exit(126);
	_exit(127);
}

/* Standard input: a file in memory, so that nobody has to write on. */
static int open_input(const char *text)
{
	size_t length = text ? strlen(text) : 0, done = 0;
	int fd;

	if (!length)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("ktstr-input", MFD_CLOEXEC);
	while (fd >= 0 && done < length) {
		ssize_t n = write(fd, text + done, length - done);

		if (n < 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Descriptors 0 to 2 may be closed in the test: ours must not be there, where dup2() goes. */
static int above_streams(int fd)
{
	int moved;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return moved;
}

static int make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	ends[0] = above_streams(ends[0]);
	ends[1] = above_streams(ends[1]);
	if (ends[0] < 0 || ends[1] < 0)
		return -EMFILE;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return 0;
}

/* What execute() wrote, once the program runs or has failed to; 0: it runs. */
static int wait_exec(int report)
{
	struct pollfd pfd = {.fd = report, .events = POLLIN};
	int cause = 0;

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	return read(report, &cause, sizeof(cause)) == (ssize_t)sizeof(cause) ? cause : 0;
}

static int start_program(struct supervisor *s)
{
	const struct ktstr_payload *payload = s->payload;
	int out[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1}, in, ret;

	in = above_streams(open_input(payload->input));
	ret = in < 0 ? -errno : make_pipe(out);
	if (!ret)
		ret = make_pipe(err);
	if (!ret)
		ret = make_pipe(report);
	if (ret)
		goto failed;
	s->start_ns = now_ns();
	s->pid = fork();
	if (!s->pid)
		execute(payload, in, out[1], payload->output == KTSTR_OUTPUT_RAW ? out[1] : err[1],
			report[1]);
	if (s->pid < 0) {
		ret = -errno;
		goto failed;
	}
	close(in);
	close(out[1]);
	close(err[1]);
	close(report[1]);
	s->out.fd = out[0];
	s->err.fd = err[0];
	ret = wait_exec(report[0]);
	close(report[0]);
	if (!ret)
		return 0;
	/* The end of this child says nothing about the program. */
	waitpid(s->pid, NULL, 0);
	return payload__problem(s->result, ret, "%s cannot be executed: %s", payload->argv[0],
				ret == ENOENT ? "not found; is it among the test's .files?"
					      : strerror(ret));
failed:
	/* The supervisor ends with it: what is open is closed then. */
	return payload__problem(s->result, -ret, "it cannot be started: %s", strerror(-ret));
}

static void note_end(struct supervisor *s, int status)
{
	s->ended = true;
	s->result->run_ns = now_ns() - s->start_ns;
	s->result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	s->result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/*
 * Everything below this process ends. The children of what is killed become our own (subreaper),
 * so it goes on until there is none. They may have been waiting for us to read.
 */
static void kill_all(struct supervisor *s)
{
	int status;
	pid_t pid;

	for (;;) {
		int killed = processes__kill_children(s->proc, s->pid);

		/* Its own group needs no list of processes. */
		if (!s->ended)
			kill(-s->pid, SIGKILL);
		s->result->nr_killed += killed > 0 ? (uint32_t)killed : 0;
		pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno != EINTR)
			return;
		if (pid == s->pid)
			note_end(s, status);
	}
}

static void reap(struct supervisor *s)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->pid)
			note_end(s, status);
}

/* ---- The run ---- */

static int left_ms(const struct supervisor *s)
{
	uint64_t now = now_ns(), ms;

	if (now >= s->deadline_ns)
		return 0;
	ms = (s->deadline_ns - now) / NS_PER_MS + 1;
	return ms > 1000000 ? 1000000 : (int)ms;
}

static void stop_program(struct supervisor *s)
{
	uint64_t deadline_ns = now_ns() + STOP_MS * NS_PER_MS;

	close(s->stop_fd);
	s->stop_fd = -1;
	s->result->stopped = true;
	kill(-s->pid, SIGTERM); /* setsid() made it the leader of a group */
	if (deadline_ns < s->deadline_ns)
		s->deadline_ns = deadline_ns;
}

/* Until the program has ended, its time is over, or the test is gone. False: the last. */
static bool watch(struct supervisor *s)
{
	enum { OUT, ERR, SIGNALS, TEST, STOP, NR };

	while (!s->ended) {
		struct pollfd pfd[NR] = {
			[OUT] = {s->out.fd, POLLIN, 0},	     [ERR] = {s->err.fd, POLLIN, 0},
			[SIGNALS] = {s->signals, POLLIN, 0}, [TEST] = {s->test_fd, POLLIN, 0},
			[STOP] = {s->stop_fd, POLLIN, 0},
		};
		int left = left_ms(s);

		if (!left) {
			s->result->timed_out = true;
			return true;
		}
		if (poll(pfd, NR, left) < 0)
			continue;
		if (pfd[TEST].revents)
			return false;
		if (pfd[STOP].revents)
			stop_program(s);
		if (pfd[OUT].revents)
			read_stream(s, &s->out);
		if (pfd[ERR].revents)
			read_stream(s, &s->err);
		if (pfd[SIGNALS].revents)
			reap(s);
	}
	return true;
}

static void judge_end(struct supervisor *s, uint32_t timeout_ms)
{
	struct ktstr_payload_result *result = s->result;

	if (result->timed_out && result->stopped)
		payload__problem(result, ETIMEDOUT, "it did not end within %u ms of SIGTERM",
				 STOP_MS);
	else if (result->timed_out)
		payload__problem(result, ETIMEDOUT, "it did not end within %u ms", timeout_ms);
	else if (result->stopped && result->signal == SIGTERM)
		return;
	else if (result->signal)
		payload__problem(result, ECHILD, "signal %d ended it (%s)", result->signal,
				 strsignal(result->signal));
	else if (result->exit_code != s->payload->exit_code)
		payload__problem(result, ECHILD, "it exited with code %d instead of %d",
				 result->exit_code, s->payload->exit_code);
}

static void read_metrics(struct supervisor *s)
{
	enum ktstr_payload_output output = s->payload->output;
	char why[sizeof(s->result->problem)];
	int ret = 0;

	if (output == KTSTR_OUTPUT_NONE)
		return;
	if (s->payload->output_file)
		read_file(s);
	payload_reader__end(s->reader, &s->out.lines);
	payload_reader__end(s->reader, &s->err.lines);
	if (s->result->output_cut)
		payload__problem(s->result, EFBIG,
				 "its output is more than the %u bytes that are kept",
				 KTSTR_PAYLOAD_MAX_OUTPUT);
	else if (output == KTSTR_OUTPUT_JSON)
		ret = payload_reader__json(s->reader, s->kept ? s->kept : "", s->nr_kept, why,
					   sizeof(why));
	if (ret)
		payload__problem(s->result, -ret, "%s", why);
	ret = payload_reader__finish(s->reader, s->result, why, sizeof(why));
	if (ret)
		payload__problem(s->result, -ret, "%s", why);
}

static void note_sent(struct ktstr_payload_result *result, int ret, const char *what)
{
	if (!ret)
		return;
	result->sent = false;
	/* Outside of a machine there is nobody to tell. */
	if (ret != -ENOTCONN || ktstr_guest__is_guest())
		payload__problem(result, -ret, "its %s cannot be sent: %s", what, strerror(-ret));
}

static int send_raw(const struct supervisor *s)
{
	const char *name = s->payload->name;
	struct ktstr_raw_output_payload head = {.name_length = (uint32_t)strlen(name)};
	char text[sizeof(head) + KTSTR_PAYLOAD_MAX_NAME];

	memcpy(text, &head, sizeof(head));
	memcpy(text + sizeof(head), name, head.name_length);
	return ktstr_guest__send(KTSTR_FRAME_RAW_OUTPUT, text, sizeof(head) + head.name_length,
				 s->kept, s->nr_kept);
}

static void report(struct supervisor *s)
{
	size_t length;
	void *frame = payload__encode(s->result, clock_ns(CLOCK_BOOTTIME), &length);

	s->result->sent = true;
	note_sent(s->result,
		  frame ? ktstr_guest__send(KTSTR_FRAME_PAYLOAD_METRICS, frame, length, NULL, 0)
			: -ENOMEM,
		  "metrics");
	free(frame);
	if (s->payload->output == KTSTR_OUTPUT_RAW)
		note_sent(s->result, send_raw(s), "output");
}

static void supervise(struct supervisor *s)
{
	uint32_t timeout_ms =
		s->payload->timeout_ms ? s->payload->timeout_ms : KTSTR_PAYLOAD_TIMEOUT_MS;

	/* What an earlier run has left is not this one's output. */
	if (s->payload->output_file && unlink(s->payload->output_file) && errno != ENOENT) {
		payload__problem(s->result, errno, "%s is in the way: %s", s->payload->output_file,
				 strerror(errno));
		return;
	}
	if (start_program(s))
		return;
	s->deadline_ns = s->start_ns + timeout_ms * NS_PER_MS;
	if (!watch(s)) {
		kill_all(s);
		_exit(1);
	}
	kill_all(s);
	/* All that could write is dead: what is in the pipes is the rest. */
	while (read_stream(s, &s->out))
		;
	while (read_stream(s, &s->err))
		;
	judge_end(s, timeout_ms);
	read_metrics(s);
	report(s);
}

void payload__supervise(struct payload_reader *reader, struct payload_shared *shared, int test_fd,
			int stop_fd)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	sigset_t set;

	setpgid(0, 0); /* signals to the test's group are the test's; its end ends us */
	prctl(PR_SET_NAME, "ktstr-payload");
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	if (!s) {
		payload__problem(&shared->result, ENOMEM, "there is no memory to supervise it");
		goto out;
	}
	s->payload = reader->payload;
	s->reader = reader;
	s->result = &shared->result;
	s->out = (struct stream){.fd = -1, .tail = &shared->tails[0]};
	s->err = (struct stream){.fd = -1, .tail = &shared->tails[1]};
	s->test_fd = test_fd;
	s->stop_fd = stop_fd;
	s->proc = processes__open();
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1))
		payload__problem(s->result, errno, "it cannot be supervised: %s", strerror(errno));
	else if (s->proc < 0)
		payload__problem(s->result, -s->proc, "it cannot be supervised: /proc: %s",
				 strerror(-s->proc));
	else
		supervise(s);
out:
	shared->done = true;
	_exit(0);
}
