// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run: start the scheduler and wait until it is attached, run the test, forward every byte of
 * output, say how it ended. One epoll set, nothing polled but what the kernel gives no event for.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ktstr/proto.h>
#include <ktstr/vm.h>

#include "com2_out.h"
#include "crash.h"
#include "kmsg.h"
#include "processes.h"
#include "relay.h"
#include "report.h"
#include "scx.h"
#include "setup.h"
#include "tlv.h"

#define SEQ_TICK_MS 10	      /* enable_seq rises right after the uevent, without one of its own */
#define NO_UEVENT_TICK_MS 100 /* a kernel without netlink */
#define SCHED_STOP_MS 5000
#define SCHED_KILL_MS 2000
#define SCHED_DETACH_MS 10000
#define SCHED_REPORT_MS 5000 /* a detached scheduler prints why and exits */
#define KILL_MS 2000	     /* one look at all processes */
#define REPORTS_MAX 1024     /* more than a socket holds */
#define KERNEL_LOG_MAX (4u << 20)
/* Where a test does not look for a free one; RLIMIT_NOFILE is 1024 at least. */
#define REPORT_FD 1000
#define SCHED_LINE_MAX 2048u /* what PID 1 saw of the scheduler's end */
#define SCX_TEXTS_MAX                                                                           \
	(SCHED_LINE_MAX + KTSTR_SCX_REASON_MAX + KTSTR_SCX_MESSAGE_MAX + KTSTR_SCX_EVENTS_MAX + \
	 KTSTR_SCX_DUMP_MAX)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* One frame of output is two full writes of the port. */
#define READ_SIZE \
	(2 * TLV_CHUNK - sizeof(struct ktstr_frame_header) - sizeof(struct ktstr_output_payload))

struct child {
	pid_t pid; /* 0: not started */
	bool ended;
	int status; /* wait status, when ended */
};

struct stream {
	int fd; /* read end; -1: closed */
	uint32_t id;
	struct com2_out com2;
};

struct init {
	const struct init_params *params;
	struct tlv tlv;
	int epoll, signals;
	sigset_t old_mask;
	bool sched_line_start; /* of its output on COM2 */
	bool scx_event;	       /* a uevent of sched_ext came, or some were lost */
	struct child sched, test;
	struct stream out, err, sched_out;
	int reports[2]; /* frames of the test's processes: our end, theirs; -1: closed */
	bool report_lost;
	struct report report;
	struct scx_state scx_before, scx_attached;
	struct scx_exit_line exit_line;
	struct relay relay;
	int kernel_log; /* read from the scheduler's start on; -1: none */
	bool log_tells; /* exit is what it says */
	struct scx_exit exit;
	char events[KTSTR_SCX_EVENTS_MAX + 1];
	char texts[SCX_TEXTS_MAX]; /* of one SCDX frame */
	char buf[READ_SIZE];
};

/* ---- What is sent ---- */

static void send_frame(struct init *init, uint32_t type, const void *head, size_t head_length,
		       const void *body, size_t body_length)
{
	int ret;

	if (init->tlv.fd < 0)
		return;
	ret = tlv__send(&init->tlv, type, head, head_length, body, body_length);
	if (ret) {
		guest__log("channel: write: %s", strerror(-ret));
		init->tlv.fd = -1;
	}
}

static bool by_com2(const struct init *init)
{
	return init->params->port < 0;
}

static void to_com2(void *opaque, const char *data, size_t length)
{
	(void)opaque;
	(void)tlv__write_all(STDOUT_FILENO, data, length);
}

/* The scheduler's output there: lines of PID 1's own. @opaque: true at the start of a line. */
static void to_com2_log(void *opaque, const char *data, size_t length)
{
	static const char prefix[] = KTSTR_COM2_LOG "scheduler: ";
	bool *line_start = opaque;

	if (*line_start)
		to_com2(NULL, prefix, sizeof(prefix) - 1);
	to_com2(NULL, data, length);
	if (length)
		*line_start = data[length - 1] == '\n';
}

static void com2_line(const char *key, const char *value)
{
	char line[1200];
	int n = snprintf(line, sizeof(line) - 1, "%s%s", key, value);

	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (int i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[n] = '\n';
	to_com2(NULL, line, (size_t)n + 1);
}

static void send_life(struct init *init, enum ktstr_life_step step, const char *detail)
{
	struct ktstr_life_payload life = {.step = step, .boot_ns = guest__boot_ns()};

	if (by_com2(init))
		guest__log("step %d %s", step, detail);
	send_frame(init, KTSTR_FRAME_LIFECYCLE, &life, sizeof(life), detail, strlen(detail));
}

static void send_output(struct init *init, struct stream *stream, const char *data, size_t length)
{
	struct ktstr_output_payload head = {.stream = stream->id};

	if (stream == &init->sched_out)
		scx_exit_line__feed(&init->exit_line, data, length);
	if (by_com2(init) && stream == &init->sched_out)
		com2_out__write(&stream->com2, data, length, to_com2_log, &init->sched_line_start);
	else if (by_com2(init))
		com2_out__write(&stream->com2, data, length, to_com2, NULL);
	send_frame(init, KTSTR_FRAME_OUTPUT, &head, sizeof(head), data, length);
}

static void split_status(const struct child *child, uint32_t *signo, uint32_t *code)
{
	*signo = WIFSIGNALED(child->status) ? (uint32_t)WTERMSIG(child->status) : 0;
	*code = WIFEXITED(child->status) ? (uint32_t)WEXITSTATUS(child->status) : 0;
}

/*
 * How sched_ext ended the scheduler. The kernel's own word is the better one, but a scheduler's has
 * the CPU, and the message that the kernel keeps out of its log when it is no error.
 */
static void learn_exit(struct init *init)
{
	struct scx_exit printed;

	if (init->kernel_log >= 0 &&
	    scx_exit__read_log(&init->exit, init->kernel_log, init->scx_attached.ops))
		init->log_tells = true;
	if (!init->exit_line.exit[0])
		return;
	scx_exit__parse(&printed, init->exit_line.exit);
	if (!init->log_tells || printed.kind == init->exit.kind)
		init->exit = printed;
}

static uint32_t add_text(struct init *init, size_t *used, const char *text, size_t length,
			 size_t most)
{
	if (length > most)
		length = most;
	memcpy(init->texts + *used, text, length);
	*used += length;
	return (uint32_t)length;
}

static void send_sched_exit(struct init *init, enum ktstr_sched_exit_kind kind, const char *text)
{
	struct ktstr_sched_exit_payload head = {.kind = kind, .boot_ns = guest__boot_ns()};
	const struct scx_exit *exit = &init->exit;
	const struct scx_exit_line *output = &init->exit_line;
	struct scx_state now;
	char line[1100];
	size_t used = 0;

	learn_exit(init);
	if (init->sched.ended)
		split_status(&init->sched, &head.signal, &head.exit_code);
	else
		head.still_alive = init->sched.pid != 0;
	scx_state__read(init->params->scx_dir, &now);
	head.enable_seq = now.have_seq ? now.enable_seq : -1;
	head.hotplug_seq = now.present ? now.hotplug_seq : -1;
	head.nr_rejected = now.present ? now.nr_rejected : -1;
	head.scx_kind = exit->kind;
	head.scx_cpu = exit->cpu;
	head.text_length = add_text(init, &used, text, strlen(text), SCHED_LINE_MAX);
	head.reason_length =
		add_text(init, &used, exit->reason, strlen(exit->reason), KTSTR_SCX_REASON_MAX);
	head.message_length =
		add_text(init, &used, exit->message, strlen(exit->message), KTSTR_SCX_MESSAGE_MAX);
	head.events_length =
		add_text(init, &used, init->events, strlen(init->events), KTSTR_SCX_EVENTS_MAX);
	head.dump_length =
		add_text(init, &used, output->dump, output->dump_used, KTSTR_SCX_DUMP_MAX);
	snprintf(line, sizeof(line), "%d %s", kind, text);
	if (by_com2(init))
		com2_line(KTSTR_COM2_SCHED, line);
	send_frame(init, KTSTR_FRAME_SCHED_EXIT, &head, sizeof(head), init->texts, used);
}

static uint32_t send_result(struct init *init)
{
	const struct guest_shared *shared = init->params->shared;
	struct ktstr_test_payload head = {0};
	char skip[sizeof(shared->skip)];
	size_t n = shared->skip_length;

	if (n > sizeof(skip) - 1)
		n = sizeof(skip) - 1;
	memcpy(skip, shared->skip, n);
	skip[n] = '\0';
	split_status(&init->test, &head.signal, &head.exit_code);
	if (by_com2(init) && n)
		com2_line(KTSTR_COM2_SKIP, skip);
	send_frame(init, KTSTR_FRAME_TEST_RESULT, &head, sizeof(head), skip, n);
	return head.signal ? 128 + head.signal : head.exit_code;
}

/* The counts of all that ran, up to here. */
static void send_profile(struct init *init)
{
	void *profile = NULL;
	size_t length = 0;
	int ret;

	if (!init->params->coverage)
		return;
	ret = coverage__take(init->params->coverage, &profile, &length);
	if (!ret && length > KTSTR_FRAME_MAX_PAYLOAD)
		ret = -EFBIG;
	if (!ret && init->tlv.fd < 0)
		ret = -ENOTCONN;
	if (!ret)
		send_frame(init, KTSTR_FRAME_PROFRAW, profile, length, NULL, 0);
	else
		guest__log("coverage: the profile is lost: %s", strerror(-ret));
	free(profile);
}

/*
 * The kernel's log, all of it. At the end alone: a reader that follows it would wake at each line,
 * and be one more task beside those that are tested.
 */
static void send_kernel_log(struct init *init)
{
	struct ktstr_output_payload head = {.stream = KTSTR_STREAM_KERNEL};
	size_t n, total = 0;
	int fd;

	if (by_com2(init) || !init->params->kmsg)
		return;
	fd = open(init->params->kmsg, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		guest__log("%s: %s", init->params->kmsg, strerror(errno));
		return;
	}
	/* Bounded: a kernel that prints faster than this reads has more to say than anybody wants.
	 */
	while (total < KERNEL_LOG_MAX && (n = kmsg__read(fd, init->buf, sizeof(init->buf)))) {
		send_frame(init, KTSTR_FRAME_OUTPUT, &head, sizeof(head), init->buf, n);
		total += n;
	}
	close(fd);
}

static void send_exit(struct init *init, uint32_t code)
{
	struct ktstr_exit_payload head = {.code = code};
	char text[16];

	send_life(init, KTSTR_LIFE_REBOOT, "");
	snprintf(text, sizeof(text), "%u", code);
	if (by_com2(init))
		com2_line(KTSTR_COM2_EXIT, text);
	send_frame(init, KTSTR_FRAME_EXIT, &head, sizeof(head), NULL, 0);
}

/* ---- Events ---- */

static void watch(struct init *init, int fd, void *tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

	if (fd >= 0 && epoll_ctl(init->epoll, EPOLL_CTL_ADD, fd, &event))
		guest__log("epoll_ctl: %s", strerror(errno));
}

static void close_stream(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

static void on_stream(struct init *init, struct stream *stream)
{
	ssize_t n = read(stream->fd, init->buf, sizeof(init->buf));

	if (n > 0)
		send_output(init, stream, init->buf, (size_t)n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		close_stream(stream);
}

static void close_reports(struct init *init)
{
	if (init->reports[0] >= 0)
		close(init->reports[0]);
	init->reports[0] = -1;
}

/* Only what is there now: who prints without end must not hold this up. */
static void take_waiting(struct init *init, struct stream *stream)
{
	int waiting = 0;

	if (stream->fd < 0 || ioctl(stream->fd, FIONREAD, &waiting))
		return;
	for (; waiting > 0 && stream->fd >= 0; waiting -= (int)sizeof(init->buf))
		on_stream(init, stream);
}

/* False when there was none. */
static bool on_report(struct init *init)
{
	struct report *report = &init->report;
	int ret = report__receive(init->reports[0], report);

	if (!ret) {
		close_reports(init);
	} else if (ret == 1) {
		/* what the test printed before it sent a frame comes before the frame */
		take_waiting(init, &init->out);
		take_waiting(init, &init->err);
		if (by_com2(init) && !init->report_lost)
			guest__log("frames of the test are lost: there is no port for them");
		init->report_lost = by_com2(init);
		send_frame(init, report->type, report->data, report->length, NULL, 0);
		report__release(report);
	} else if (ret != -EAGAIN) {
		guest__log("a frame of the test is lost: %s", strerror(-ret));
	}
	return ret > 0 || (ret < 0 && ret != -EAGAIN);
}

static void on_sigchld(struct init *init)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(init->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *child = pid == init->sched.pid  ? &init->sched
				      : pid == init->test.pid ? &init->test
							      : NULL;

		if (child && !child->ended) {
			child->ended = true;
			child->status = status;
		}
	}
}

static void on_uevent(struct init *init)
{
	char message[4096];
	ssize_t n;

	while ((n = recv(init->params->uevents, message, sizeof(message), MSG_DONTWAIT)) != 0) {
		if (n > 0 && scx__is_uevent(message, (size_t)n))
			init->scx_event = true;
		if (n < 0) {
			if (errno == ENOBUFS) /* some were lost */
				init->scx_event = true;
			else if (errno != EINTR)
				break;
		}
	}
}

/* Waits for events, at most @timeout_ms (-1: for ever), and handles them. */
static void wait_events(struct init *init, int timeout_ms)
{
	struct epoll_event events[8];
	int n = epoll_wait(init->epoll, events, 8, timeout_ms);

	for (int i = 0; i < n; i++) {
		void *tag = events[i].data.ptr;

		if (tag == &init->signals)
			on_sigchld(init);
		else if (tag == &init->scx_event)
			on_uevent(init);
		else if (tag == &init->reports)
			(void)on_report(init);
		else if (!relay__event(&init->relay, tag, events[i].events))
			on_stream(init, tag);
	}
}

static int left_ms(uint64_t deadline_ns, int most)
{
	uint64_t now = guest__boot_ns(), ms;

	if (now >= deadline_ns)
		return 0;
	ms = (deadline_ns - now) / 1000000u + 1;
	return most >= 0 && ms > (uint64_t)most ? most : ms > 1000000 ? 1000000 : (int)ms;
}

static uint64_t in_ms(uint32_t ms)
{
	return guest__boot_ns() + (uint64_t)ms * 1000000u;
}

/* ---- Children ---- */

/* Between fork and exec (or main): as a new process expects to start, but for @keep (-1: none). */
static void become_child(struct init *init, int in, int out, int err, int keep)
{
	crash__reset();
	setsid();
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (keep > 3)
		close_range(3, (unsigned int)keep - 1, 0);
	close_range(keep < 0 ? 3 : (unsigned int)keep + 1, ~0u, 0);
	sigprocmask(SIG_SETMASK, &init->old_mask, NULL);
}

/* The host's working directory, where no file of it is in the guest. */
static void make_dirs(const char *cwd)
{
	char *path = strdup(cwd);

	if (!path)
		return;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
	free(path);
}

static void set_environment(const struct guest_config *config)
{
	setenv("PATH", DEFAULT_PATH, 1);
	setenv("HOME", "/root", 1);
	for (size_t i = 0; i < config->nr_env; i++) {
		char *equals = strchr(config->env[i], '=');

		*equals = '\0';
		setenv(config->env[i], equals + 1, 1);
		*equals = '=';
	}
	if (config->cwd && chdir(config->cwd)) {
		make_dirs(config->cwd);
		if (chdir(config->cwd) && chdir("/"))
			return;
	}
}

static void __attribute__((noreturn)) execute(char **argv)
{
	int err;

	execvp(argv[0], argv);
	err = errno;
	dprintf(STDERR_FILENO, "ktstr: %s: %s\n", argv[0], strerror(err));
	_exit(err == ENOENT ? 127 : 126);
}

static int open_pipe(struct init *init, struct stream *stream, uint32_t id, int *write_end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	stream->fd = fds[0];
	stream->id = id;
	*write_end = fds[1];
	watch(init, fds[0], stream);
	return 0;
}

static int start_scheduler(struct init *init)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), out = -1, ret;

	ret = open_pipe(init, &init->sched_out, KTSTR_STREAM_SCHEDULER, &out);
	if (ret)
		goto close_null;
	init->sched.pid = fork();
	if (init->sched.pid == 0) {
		become_child(init, null, out, out, -1);
		set_environment(init->params->config);
		execute(init->params->config->scheduler);
	}
	if (init->sched.pid < 0) {
		ret = -errno;
		init->sched.pid = 0;
	}
	close(out);
close_null:
	close(null);
	return ret;
}

static void take_terminal(const struct guest_config *config)
{
	struct winsize size = {.ws_row = config->rows, .ws_col = config->columns};

	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	if (size.ws_row && size.ws_col)
		ioctl(STDIN_FILENO, TIOCSWINSZ, &size);
}

/* Returns 1 in the child of role test, 0 in PID 1, -errno. */
static int start_test(struct init *init)
{
	const struct guest_config *config = init->params->config;
	int in = init->params->terminal, out = in, err = in, ret = 0;

	if (in < 0) {
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		ret = open_pipe(init, &init->out, KTSTR_STREAM_STDOUT, &out);
		if (!ret)
			ret = open_pipe(init, &init->err, KTSTR_STREAM_STDERR, &err);
		if (ret)
			return ret;
	}
	ret = report__open(init->reports);
	if (ret)
		return ret;
	watch(init, init->reports[0], &init->reports);
	init->test.pid = fork();
	if (init->test.pid == 0) {
		int report_fd = fcntl(init->reports[1], F_DUPFD_CLOEXEC, REPORT_FD);

		become_child(init, in, out, err, report_fd);
		if (config->role == GUEST_ROLE_SHELL)
			take_terminal(config);
		set_environment(config);
		if (config->role == GUEST_ROLE_TEST) {
			/* Without a port a frame has no way: the sender is to know. */
			*init->params->report_fd = by_com2(init) ? -1 : report_fd;
			return 1;
		}
		execute(config->argv);
	}
	if (init->test.pid < 0) {
		ret = -errno;
		init->test.pid = 0;
	}
	close(init->reports[1]);
	if (in != init->params->terminal) {
		close(in);
		close(out);
		close(err);
	}
	return ret;
}

/* What is there now, and the end behind it. */
static void take_rest(struct init *init, struct stream *stream)
{
	take_waiting(init, stream);
	if (stream->fd >= 0)
		on_stream(init, stream);
}

static void take_rest_of_test(struct init *init)
{
	on_sigchld(init);
	for (int i = 0; i < REPORTS_MAX && init->reports[0] >= 0 && on_report(init); i++)
		;
	take_rest(init, &init->out);
	take_rest(init, &init->err);
}

/* After the test: nothing of it lives on, and all that it wrote is sent. */
static void drain_test(struct init *init)
{
	uint32_t drain_ms = init->params->drain_ms ? init->params->drain_ms : INIT_DRAIN_MS;
	uint64_t deadline = in_ms(drain_ms);
	int proc = processes__open();

	for (;;) {
		int alive = processes__kill(proc, init->sched.pid, in_ms(KILL_MS));
		int ms = left_ms(deadline, alive ? SEQ_TICK_MS : -1);

		/* The time may have gone into writing, to a host that reads slowly. */
		if (!ms)
			take_rest_of_test(init);
		if (!alive && init->out.fd < 0 && init->err.fd < 0 && init->reports[0] < 0 &&
		    init->test.ended)
			break;
		if (!ms) {
			if (alive < 0)
				guest__log("processes of the test may live on: /proc: %s",
					   strerror(-alive));
			else
				guest__log("output: still open %u ms after the test's end: "
					   "a process cannot be killed",
					   drain_ms);
			break;
		}
		wait_events(init, ms);
	}
	if (proc >= 0)
		close(proc);
	close_reports(init); /* the result comes next, and nothing of the test behind it */
	close_stream(&init->out);
	close_stream(&init->err);
	com2_out__end(&init->out.com2, to_com2, NULL);
	com2_out__end(&init->err.com2, to_com2, NULL);
}

/* ---- Scheduler ---- */

static void drain_scheduler(struct init *init, uint64_t deadline)
{
	int ms;

	while (init->sched_out.fd >= 0 && (ms = left_ms(deadline, -1)))
		wait_events(init, ms);
	take_rest(init, &init->sched_out); /* as in drain_test() */
	scx_exit_line__end(&init->exit_line);
	com2_out__end(&init->sched_out.com2, to_com2_log, &init->sched_line_start);
}

/* "exited with code 1; EXIT: unregistered from BPF (...)" */
static void describe_sched(struct init *init, const char *what, char *text, size_t size)
{
	const struct scx_exit_line *line = &init->exit_line;
	const struct child *sched = &init->sched;
	char end[64] = "still running";

	if (sched->ended && WIFSIGNALED(sched->status))
		snprintf(end, sizeof(end), "killed by signal %d (%s)", WTERMSIG(sched->status),
			 strsignal(WTERMSIG(sched->status)));
	else if (sched->ended)
		snprintf(end, sizeof(end), "exited with code %d", WEXITSTATUS(sched->status));
	learn_exit(init);
	if (line->exit[0])
		snprintf(text, size, "%s%s; EXIT: %s", what, end, line->exit);
	else if (init->log_tells)
		snprintf(text, size, "%s%s; the kernel says: %s%s%s%s", what, end,
			 init->exit.reason, init->exit.message[0] ? " (" : "", init->exit.message,
			 init->exit.message[0] ? ")" : "");
	else if (line->last[0])
		snprintf(text, size, "%s%s; its last line: %s", what, end, line->last);
	else
		snprintf(text, size, "%s%s", what, end);
}

static bool wait_sched_end(struct init *init, uint32_t ms)
{
	uint64_t deadline = in_ms(ms);
	int left;

	while (!init->sched.ended && (left = left_ms(deadline, -1)))
		wait_events(init, left);
	return init->sched.ended;
}

/* False when sched_ext keeps it, or another one, attached. */
static bool stop_scheduler(struct init *init)
{
	bool detached = true;
	uint64_t deadline;
	struct scx_state now;
	int ms;

	if (!init->sched.pid)
		return true;
	if (!init->sched.ended) {
		kill(init->sched.pid, SIGTERM);
		kill(init->sched.pid, SIGCONT); /* the test may have stopped it */
		if (!wait_sched_end(init, SCHED_STOP_MS)) {
			guest__log("scheduler: did not end within %d ms of SIGTERM: SIGKILL",
				   SCHED_STOP_MS);
			kill(init->sched.pid, SIGKILL);
			wait_sched_end(init, SCHED_KILL_MS);
		}
	}
	kill(-init->sched.pid, SIGKILL); /* what it started and left behind */
	deadline = in_ms(SCHED_DETACH_MS);
	for (;;) {
		scx_state__read(init->params->scx_dir, &now);
		if (!now.present || !strcmp(now.state, "disabled"))
			break;
		/* "disabled" follows the uevent of root's removal, without one of its own */
		ms = left_ms(deadline, SEQ_TICK_MS);
		if (!ms) {
			guest__log("sched_ext: state is still %s", now.state);
			detached = false;
			break;
		}
		wait_events(init, ms);
	}
	drain_scheduler(init, in_ms(SCHED_KILL_MS));
	return detached;
}

static bool same_scheduler(const struct init *init)
{
	struct scx_state now;

	scx_state__read(init->params->scx_dir, &now);
	return !strcmp(now.state, "enabled") && now.enable_seq == init->scx_attached.enable_seq;
}

/* Waits until the scheduler is attached. False with the reason in @text. */
static bool wait_attached(struct init *init, char *text, size_t size)
{
	const struct guest_config *config = init->params->config;
	uint64_t deadline = in_ms(config->attach_timeout_ms);
	struct scx_state *now = &init->scx_attached;

	for (;;) {
		int tick = init->params->uevents < 0 ? NO_UEVENT_TICK_MS : -1, ms;

		scx_state__read(init->params->scx_dir, now);
		if (init->sched.ended) {
			drain_scheduler(init, in_ms(SCHED_KILL_MS));
			describe_sched(init, "before it was attached: ", text, size);
			return false;
		}
		if (scx_state__attached(now, &init->scx_before))
			break;
		if (!strcmp(now->state, "enabled"))
			tick = SEQ_TICK_MS;
		ms = left_ms(deadline, tick);
		if (!ms) {
			snprintf(text, size,
				 "not attached within %u ms: state %s, enable_seq %lld (%lld "
				 "before), ops %s",
				 config->attach_timeout_ms, now->state, now->enable_seq,
				 init->scx_before.enable_seq, now->ops[0] ? now->ops : "(none)");
			return false;
		}
		wait_events(init, ms);
	}
	if (config->scheduler_ops && strcmp(now->ops, config->scheduler_ops)) {
		snprintf(text, size, "attached as \"%s\", but the test asks for \"%s\"", now->ops,
			 config->scheduler_ops);
		return false;
	}
	return true;
}

static bool bring_up_scheduler(struct init *init)
{
	const char *path = init->params->config->scheduler[0];
	char text[SCHED_LINE_MAX];
	int ret;

	scx_state__read(init->params->scx_dir, &init->scx_before);
	if (!init->scx_before.present) {
		send_sched_exit(init, KTSTR_SCHED_NOT_ATTACHED,
				"the kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT)");
		return false;
	}
	if (init->params->kmsg) {
		init->kernel_log = open(init->params->kmsg, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (init->kernel_log < 0 || lseek(init->kernel_log, 0, SEEK_END) < 0)
			guest__log("%s: %s", init->params->kmsg, strerror(errno));
	}
	ret = start_scheduler(init);
	if (ret) {
		snprintf(text, sizeof(text), "%s: cannot start: %s", path, strerror(-ret));
		send_sched_exit(init, KTSTR_SCHED_NOT_ATTACHED, text);
		return false;
	}
	send_life(init, KTSTR_LIFE_SCHED_STARTED, path);
	if (!wait_attached(init, text, sizeof(text))) {
		send_sched_exit(init, KTSTR_SCHED_NOT_ATTACHED, text);
		stop_scheduler(init);
		return false;
	}
	init->scx_event = false;
	relay__set_scheduler(&init->relay, true);
	send_life(init, KTSTR_LIFE_SCHED_ATTACHED, init->scx_attached.ops);
	return true;
}

/* Until the test ends; false when the scheduler did before. */
static bool wait_test(struct init *init)
{
	bool sched = init->sched.pid != 0;

	while (!init->test.ended) {
		wait_events(init, sched && init->params->uevents < 0 ? NO_UEVENT_TICK_MS : -1);
		if (sched && init->sched.ended)
			return false;
		if (sched && (init->scx_event || init->params->uevents < 0)) {
			init->scx_event = false;
			if (!same_scheduler(init))
				return false;
		}
	}
	return !sched || (!init->sched.ended && same_scheduler(init));
}

static void report_sched_loss(struct init *init)
{
	bool detached = !init->sched.ended;
	char text[SCHED_LINE_MAX];

	/* a detached scheduler notices it and says why */
	wait_sched_end(init, SCHED_REPORT_MS);
	drain_scheduler(init, in_ms(init->sched.ended ? SCHED_KILL_MS : 0));
	/* a killed scheduler is detached by its death, which the uevent can announce before SIGCHLD
	 */
	if (init->sched.ended && WIFSIGNALED(init->sched.status))
		detached = false;
	describe_sched(init, detached ? "detached, then " : "", text, sizeof(text));
	send_sched_exit(init, KTSTR_SCHED_EXITED, text);
}

/* ---- The run ---- */

static int set_up(struct init *init)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, &init->old_mask);
	init->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	init->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (init->signals < 0 || init->epoll < 0) {
		guest__log("signalfd, epoll: %s", strerror(errno));
		return -errno;
	}
	watch(init, init->signals, &init->signals);
	watch(init, init->params->uevents, &init->scx_event);
	if (init->params->config->stats)
		relay__init(&init->relay, init->epoll, init->params->stats_port,
			    init->params->stats_path);
	return 0;
}

/* Ended by a signal that is not PID 1's own way to end it. */
static bool crashed(const struct child *child)
{
	return child->ended && WIFSIGNALED(child->status) && WTERMSIG(child->status) != SIGTERM &&
	       WTERMSIG(child->status) != SIGKILL;
}

/* Runs the test and reports it. Returns the exit code of the run, or -1 in the child. */
static int run_test(struct init *init)
{
	bool sched_lived, detached, died = false;
	uint32_t code = 1;
	int ret;

	send_life(init, KTSTR_LIFE_TEST_STARTED, init->params->config->argv[0]);
	if (by_com2(init))
		com2_line(KTSTR_COM2_RESULT_START, "");
	ret = start_test(init);
	if (ret > 0)
		return -1;
	if (ret < 0) {
		guest__log("fork: %s", strerror(-ret));
		stop_scheduler(init);
		return 1;
	}
	sched_lived = wait_test(init);
	if (!sched_lived) {
		kill(init->test.pid, SIGKILL);
		relay__set_scheduler(&init->relay, false);
		report_sched_loss(init);
	} else if (init->sched.pid) {
		scx__read_events(init->params->scx_dir, init->events);
	}
	drain_test(init);
	if (by_com2(init))
		com2_line(KTSTR_COM2_RESULT_END, "");
	send_life(init, KTSTR_LIFE_TEST_ENDED, "");
	if (sched_lived)
		code = send_result(init);
	if (sched_lived && init->sched.pid)
		died = init->sched.ended || !same_scheduler(init);
	detached = stop_scheduler(init);
	if (sched_lived && init->sched.pid) {
		char text[SCHED_LINE_MAX];

		describe_sched(init, detached ? "" : "still attached after its end: ", text,
			       sizeof(text));
		/* Not by our doing: the test's pass is none of the scheduler under test. */
		died |= !detached || init->exit.kind >= KTSTR_SCX_EXIT_ERROR ||
			crashed(&init->sched);
		code = died && !code ? 1 : code;
		send_sched_exit(init, died ? KTSTR_SCHED_EXITED : KTSTR_SCHED_STOPPED, text);
	}
	return (int)code;
}

static enum init_end run(struct init *init)
{
	struct utsname kernel;
	int code = 1;

	if (set_up(init))
		return INIT_DONE;
	if (uname(&kernel))
		kernel.release[0] = '\0';
	send_life(init, KTSTR_LIFE_INIT, kernel.release);
	if (!init->params->config->scheduler[0] || bring_up_scheduler(init))
		code = run_test(init);
	if (code < 0)
		return INIT_IN_TEST;
	relay__close(&init->relay);
	if (code || init->params->config->kernel_log)
		send_kernel_log(init);
	send_profile(init);
	send_exit(init, (uint32_t)code);
	close(init->epoll);
	close(init->signals);
	close_stream(&init->sched_out);
	return INIT_DONE;
}

enum init_end init__run(const struct init_params *params)
{
	struct init *init = calloc(1, sizeof(*init));
	enum init_end end = INIT_DONE;

	if (!init) {
		guest__log("out of memory");
		return end;
	}
	init->params = params;
	init->sched_line_start = true;
	init->tlv.fd = params->port;
	init->out.fd = init->err.fd = init->sched_out.fd = -1;
	init->reports[0] = init->reports[1] = -1;
	relay__init(&init->relay, -1, -1, NULL);
	init->kernel_log = -1;
	init->exit.cpu = -1;
	end = run(init);
	if (end == INIT_DONE && init->kernel_log >= 0) /* a child has closed it */
		close(init->kernel_log);
	free(init);
	return end;
}
