// SPDX-License-Identifier: GPL-2.0-only
/*
 * The side of the person: gives the command to an emulated KVM host, is its terminal, passes
 * signals and returns its exit status.
 */
#include "emulated.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH "/run/ktstr-scratch" /* as the agent mounts it */
#define WRITE_CHUNK 4096	     /* poll() promises PIPE_BUF bytes of room */

struct client {
	int fd;
	int signals;
	struct wire_buf in, out;
	uint32_t tty;
	bool raw; /* the terminal was changed and *saved is to be restored */
	struct termios saved;
	size_t credit; /* bytes of stdin that may be sent */
	bool stdin_open;
	bool accepted; /* the host is ours: the command is under way */
	/* output that is being written: the payload of a frame, from @written on */
	bool writing;
	size_t written;
};

/* A terminal that is ours to use: a job in the background would be stopped. */
static bool is_our_terminal(int fd)
{
	return isatty(fd) && tcgetpgrp(fd) == getpgrp();
}

static struct wire_winsize window_size(void)
{
	struct winsize ws = {0};

	for (int fd = 0; fd < 3; fd++)
		if (!ioctl(fd, TIOCGWINSZ, &ws))
			break;
	return (struct wire_winsize){.rows = ws.ws_row, .cols = ws.ws_col};
}

static int put_string(struct wire_buf *buf, const char *text)
{
	return wire__append(buf, text, strlen(text) + 1);
}

/* What is different inside. NULL-terminated. */
static const char *const inside_env[] = {
	EMULATED_INSIDE_ENV "=1",
	"XDG_RUNTIME_DIR=" SCRATCH "/runtime",
	"KTSTR_SCRATCH=" SCRATCH "/cache",
	NULL,
};

static bool is_hidden(const char *variable)
{
	static const char *const hidden[] = {EMULATED_DIR_ENV "=",
					     EMULATED_INSIDE_ENV "=",
					     "XDG_RUNTIME_DIR=",
					     "KTSTR_SCRATCH=",
					     "TMPDIR=",
					     NULL};

	for (size_t i = 0; hidden[i]; i++)
		if (!strncmp(variable, hidden[i], strlen(hidden[i])))
			return true;
	return false;
}

static int put_exec(struct client *client, char **argv)
{
	struct wire_exec exec = {
		.uid = getuid(), .gid = getgid(), .tty = client->tty, .winsize = window_size()};
	struct wire_buf strings = {0}, payload = {0};
	char *cwd = getcwd(NULL, 0);
	struct timespec now;
	mode_t mask = umask(022);
	int err;

	umask(mask);
	exec.umask = mask;
	clock_gettime(CLOCK_REALTIME, &now);
	exec.realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	err = put_string(&strings, cwd ? cwd : "/");
	for (; *argv && !err; argv++, exec.argc++)
		err = put_string(&strings, *argv);
	for (char **env = environ; *env && !err; env++) {
		if (is_hidden(*env))
			continue;
		err = put_string(&strings, *env);
		exec.envc++;
	}
	for (size_t i = 0; inside_env[i] && !err; i++, exec.envc++)
		err = put_string(&strings, inside_env[i]);
	if (!err)
		err = wire__append(&payload, &exec, sizeof(exec));
	if (!err)
		err = wire__append(&payload, strings.data, wire_buf__used(&strings));
	if (!err)
		err = wire__put(&client->out, WIRE_EXEC, payload.data, wire_buf__used(&payload));
	wire_buf__free(&strings);
	wire_buf__free(&payload);
	free(cwd);
	return err;
}

static void terminal_raw(struct client *client)
{
	struct termios raw;

	if (!(client->tty & WIRE_TTY_STDIN) || tcgetattr(0, &client->saved))
		return;
	raw = client->saved;
	cfmakeraw(&raw);
	client->raw = !tcsetattr(0, TCSADRAIN, &raw);
}

static void terminal_restore(struct client *client)
{
	if (client->raw)
		tcsetattr(0, TCSADRAIN, &client->saved);
	client->raw = false;
}

static int open_signals(void)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Passes signals on. Returns the exit status when there is no command to pass them to, or -1. */
static int take_signals(struct client *client)
{
	struct signalfd_siginfo info;

	while (read(client->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH) {
			struct wire_winsize size = window_size();

			if (client->accepted)
				wire__put(&client->out, WIRE_WINSIZE, &size, sizeof(size));
		} else if (!client->accepted) {
			return 128 + (int)info.ssi_signo;
		} else {
			wire__put(&client->out, WIRE_SIGNAL, &info.ssi_signo, sizeof(uint32_t));
		}
	}
	return -1;
}

static void take_stdin(struct client *client)
{
	uint8_t data[WIRE_CHUNK];
	size_t want = client->credit < sizeof(data) ? client->credit : sizeof(data);
	ssize_t n = read(0, data, want);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		wire__put(&client->out, WIRE_STDIN_EOF, NULL, 0);
		client->stdin_open = false;
		return;
	}
	wire__put(&client->out, WIRE_STDIN, data, (size_t)n);
	client->credit -= (size_t)n;
}

/* Where a frame's bytes go, or -1: not an output frame. */
static int output_fd(const struct client *client, uint32_t type)
{
	switch (type) {
	case WIRE_STDOUT:
		return 1;
	case WIRE_STDERR:
		return 2;
	case WIRE_TTY:
		if (client->tty & WIRE_TTY_STDOUT)
			return 1;
		return client->tty & WIRE_TTY_STDERR ? 2 : 0;
	default:
		return -1;
	}
}

/* Writes some of the first frame's payload. 1: all is written; 0: more to come; -errno. */
static int write_some(struct client *client, const struct wire_frame *frame, int fd)
{
	size_t left = frame->length - client->written;
	ssize_t n = write(fd, frame->payload + client->written,
			  left < WRITE_CHUNK ? left : WRITE_CHUNK);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	client->written += (size_t)n;
	return client->written == frame->length;
}

static void say_lost(struct client *client, const struct wire_frame *frame)
{
	terminal_restore(client);
	fprintf(stderr, "ktstr: %.*s\n", (int)frame->length, (const char *)frame->payload);
}

/* Handles a frame that is no output. Returns the exit status, or -1: go on. */
static int take_frame(struct client *client, const struct wire_frame *frame, char **argv)
{
	uint32_t value = 0;

	if (frame->length == sizeof(value))
		memcpy(&value, frame->payload, sizeof(value));
	switch (frame->type) {
	case WIRE_ACCEPTED:
		if (put_exec(client, argv)) {
			fprintf(stderr, "ktstr: %s: arguments and environment are too long\n",
				argv[0]);
			return 126;
		}
		client->accepted = true;
		terminal_raw(client);
		client->credit = WIRE_STDIN_WINDOW;
		if (!client->stdin_open)
			wire__put(&client->out, WIRE_STDIN_EOF, NULL, 0);
		return -1;
	case WIRE_CREDIT:
		client->credit += value;
		return -1;
	case WIRE_EXIT:
		return (int)(value & 0xff);
	case WIRE_LOST:
		say_lost(client, frame);
		return EMULATED_EXIT_LOST;
	case WIRE_FAILED:
		say_lost(client, frame);
		return -1; /* LOST follows, with the console */
	default:
		return -1;
	}
}

/* All frames that are here. Returns the exit status, or -1: go on. */
static int take_frames(struct client *client, char **argv, bool writable)
{
	struct wire_frame frame;
	int have, fd, done, status;

	client->writing = false;
	while ((have = wire__peek(&client->in, &frame)) > 0) {
		fd = output_fd(client, frame.type);
		if (fd >= 0) {
			/* poll() answered for one write only. */
			done = writable ? write_some(client, &frame, fd) : 0;
			writable = false;
			if (done < 0) {
				terminal_restore(client);
				if (done == -EPIPE)
					return 128 + SIGPIPE;
				fprintf(stderr, "ktstr: output: %s\n", strerror(-done));
				return EMULATED_EXIT_LOST;
			}
			if (!done) {
				client->writing = true;
				return -1;
			}
			client->written = 0;
		} else {
			status = take_frame(client, &frame, argv);
			if (status >= 0)
				return status;
		}
		wire__drop(&client->in, &frame);
	}
	if (!have)
		return -1;
	fprintf(stderr, "ktstr: emulated KVM host: its supervisor sent bytes that are no frame\n");
	return EMULATED_EXIT_LOST;
}

static int client__loop(struct client *client, char **argv)
{
	enum { HOST, SIGNALS, STDIN, OUTPUT, NR };
	int status = -1;

	while (status < 0) {
		struct wire_frame frame = {0};
		bool reading = client->stdin_open && client->credit;
		struct pollfd pfd[NR] = {
			[HOST] = {client->fd,
				  (short)((client->writing ? 0 : POLLIN) |
					  (wire_buf__used(&client->out) ? POLLOUT : 0)),
				  0},
			[SIGNALS] = {client->signals, POLLIN, 0},
			[STDIN] = {reading ? 0 : -1, POLLIN, 0},
			[OUTPUT] = {-1, POLLOUT, 0},
		};

		if (client->writing && wire__peek(&client->in, &frame) > 0)
			pfd[OUTPUT].fd = output_fd(client, frame.type);
		if (poll(pfd, NR, -1) < 0)
			continue;
		if (pfd[SIGNALS].revents)
			status = take_signals(client);
		if (status >= 0)
			return status;
		if (pfd[STDIN].revents)
			take_stdin(client);
		if (!client->writing && (pfd[HOST].revents & (POLLIN | POLLHUP))) {
			ssize_t n = wire__fill(&client->in, client->fd);

			if (n <= 0 && n != -EAGAIN) {
				terminal_restore(client);
				fprintf(stderr,
					"ktstr: emulated KVM host: its supervisor is gone\n");
				return EMULATED_EXIT_LOST;
			}
			status = take_frames(client, argv, false);
		} else if (pfd[OUTPUT].revents) {
			status = take_frames(client, argv, true);
		}
		/* A broken pipe shows as end of file when what came before has been read. */
		if (status < 0 && wire__flush(&client->out, client->fd))
			client->out.start = client->out.end;
	}
	return status;
}

int emulated_client__run(int fd, char **argv)
{
	struct client client = {.fd = fd};
	sigset_t old;
	int status;

	sigprocmask(SIG_BLOCK, NULL, &old);
	signal(SIGPIPE, SIG_IGN);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 3; i++)
		if (is_our_terminal(i))
			client.tty |= 1u << i;
	/* Reading a terminal from the background would stop us: the command gets no input then. */
	client.stdin_open = fcntl(0, F_GETFD) >= 0 && (!isatty(0) || is_our_terminal(0));
	client.signals = open_signals();
	if (client.signals < 0) {
		fprintf(stderr, "ktstr: signalfd: %s\n", strerror(errno));
		return EMULATED_EXIT_LOST;
	}
	status = client__loop(&client, argv);
	terminal_restore(&client);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(client.signals);
	wire_buf__free(&client.in);
	wire_buf__free(&client.out);
	return status;
}
