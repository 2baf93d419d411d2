// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that owns one QEMU: waits until the agent is up, then passes frames between one
 * client at a time and the agent. It sees whole frames only, so that a client that dies in the
 * middle of one leaves the next client a clean channel.
 */
#include "emulated.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOOT_TIMEOUT_MS 120000 /* 5 s when nothing else runs */
#define ABORT_TIMEOUT_MS 60000
#define END_TIMEOUT_MS 3000
#define PROXY_HIGH_WATER \
	(256u << 10) /* stop reading one side while that much waits for the other */

struct supervisor {
	const struct emulated_image *image;
	const struct emulated_options *options;
	struct emulated_qemu qemu;
	struct wire_buf from_agent, to_agent;
	int status; /* file, -1: none */
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void say_status(const struct supervisor *s, const char *text)
{
	if (s->status < 0)
		return;
	/* For a person who asks; what cannot be written is not worth ending for. */
	if (!ftruncate(s->status, 0) && pwrite(s->status, text, strlen(text), 0) < 0)
		return;
}

static void host_stop(struct supervisor *s)
{
	emulated_qemu__stop(&s->qemu);
	wire_buf__free(&s->from_agent);
	wire_buf__free(&s->to_agent);
}

/* How QEMU ended, as one line; it is reaped. */
static void describe_end(struct supervisor *s, char *text, size_t size)
{
	struct pollfd pfd = {s->qemu.pidfd, POLLIN, 0};
	int status;

	/* Its socket closes a moment before it is dead. */
	if (poll(&pfd, 1, END_TIMEOUT_MS) <= 0) {
		snprintf(text, size, "emulated KVM host: the channel to it broke");
		return;
	}
	while (waitpid(s->qemu.pid, &status, 0) < 0 && errno == EINTR)
		;
	s->qemu.pid = -1;
	if (WIFSIGNALED(status))
		snprintf(text, size, "emulated KVM host: QEMU died of signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		snprintf(text, size, "emulated KVM host: QEMU failed with status %d",
			 WEXITSTATUS(status));
	else
		snprintf(text, size, "emulated KVM host: its kernel panicked or rebooted");
}

/*
 * Waits for a frame of the agent until @deadline. 1: it is at *frame; -ECANCELED: @client (-1:
 * none) hung up; -EIO: the host is lost and *lost (malloc'ed) says why.
 */
static int agent_frame(struct supervisor *s, int64_t deadline, int client, struct wire_frame *frame,
		       char **lost)
{
	char cause[256];

	for (;;) {
		struct pollfd pfd[3] = {{s->qemu.ctl, POLLIN, 0},
					{s->qemu.pidfd, POLLIN, 0},
					{client, POLLRDHUP, 0}};
		int have = wire__peek(&s->from_agent, frame);
		int64_t left = deadline - now_ms();
		ssize_t n = 0;

		if (have > 0)
			return 1;
		if (have < 0) {
			snprintf(cause, sizeof(cause),
				 "emulated KVM host: bytes that are no frame");
			break;
		}
		if (left <= 0) {
			snprintf(cause, sizeof(cause), "emulated KVM host: no answer in time");
			break;
		}
		if (poll(pfd, 3, (int)left) <= 0)
			continue;
		if (pfd[2].revents)
			return -ECANCELED;
		if (pfd[0].revents)
			n = wire__fill(&s->from_agent, s->qemu.ctl);
		if (n <= 0 && (pfd[1].revents || (pfd[0].revents && n != -EAGAIN))) {
			describe_end(s, cause, sizeof(cause));
			break;
		}
	}
	*lost = emulated_qemu__evidence(&s->qemu, cause);
	return -EIO;
}

/* Starts a host and waits until its agent is up or @client hangs up. On failure *lost says why. */
static int host_start(struct supervisor *s, int client, char **lost)
{
	struct ktstr_error error = {0};
	struct wire_frame frame;
	int err;

	say_status(s, "starting\n");
	err = emulated_qemu__start(s->image, s->options, &s->qemu, &error);
	if (err) {
		char text[1500];

		ktstr_error__format(&error, text, sizeof(text));
		*lost = strdup(text);
		return err;
	}
	err = agent_frame(s, now_ms() + BOOT_TIMEOUT_MS, client, &frame, lost);
	if (err > 0 && frame.type != WIRE_READY) {
		char cause[700];

		snprintf(cause, sizeof(cause), "emulated KVM host: set-up failed: %.*s",
			 (int)(frame.length < 600 ? frame.length : 600),
			 (const char *)frame.payload);
		*lost = emulated_qemu__evidence(&s->qemu, cause);
		err = -EIO;
	}
	if (err < 0) {
		host_stop(s);
		return err;
	}
	wire__drop(&s->from_agent, &frame);
	if (s->image->machine->hold)
		emulated_qemu__hold(&s->qemu);
	return 0;
}

/* Says in full to a blocking client; it may be gone. */
static void tell_client(int client, uint32_t type, const char *text)
{
	struct wire_buf buf = {0};

	fcntl(client, F_SETFL, 0);
	if (!wire__put(&buf, type, text, text ? strlen(text) : 0))
		wire__flush(&buf, client);
	wire_buf__free(&buf);
}

/* Moves whole frames. 1: a WIRE_EXIT was among them; -EPROTO. */
static int move_frames(struct wire_buf *from, struct wire_buf *to, bool *started)
{
	struct wire_frame frame;
	int have;

	while ((have = wire__peek(from, &frame)) > 0) {
		bool last = frame.type == WIRE_EXIT;

		if (started && frame.type == WIRE_EXEC)
			*started = true;
		if (to && wire__put(to, frame.type, frame.payload, frame.length))
			return -ENOMEM;
		wire__drop(from, &frame);
		if (last)
			return 1;
	}
	return have;
}

/* The client is gone in the middle: end its command; what it still prints is for nobody. */
static int abort_command(struct supervisor *s, char **lost)
{
	int64_t deadline = now_ms() + ABORT_TIMEOUT_MS;
	struct wire_frame frame;
	int err;

	err = wire__put(&s->to_agent, WIRE_ABORT, NULL, 0);
	if (err)
		return err;
	for (;;) {
		/* While the agent reads nothing it writes, and the other way round. */
		struct pollfd pfd[3] = {{s->qemu.ctl, POLLIN, 0}, {s->qemu.pidfd, POLLIN, 0}};

		if (wire__flush(&s->to_agent, s->qemu.ctl))
			return -EIO;
		if (wire_buf__used(&s->to_agent)) {
			pfd[0].events |= POLLOUT;
			if (poll(pfd, 2, ABORT_TIMEOUT_MS) <= 0)
				return -ETIMEDOUT;
			if (!(pfd[0].revents & POLLIN) && !pfd[1].revents)
				continue;
		}
		err = agent_frame(s, deadline, -1, &frame, lost);
		if (err < 0)
			return err;
		err = frame.type == WIRE_EXIT;
		wire__drop(&s->from_agent, &frame);
		if (err)
			return 0;
	}
}

/* One client, from ACCEPTED to its end. Negative: the host is lost (the client was told). */
static int session(struct supervisor *s, int client)
{
	struct wire_buf from_client = {0}, to_client = {0};
	bool started = false, ended = false, gone = false;
	char *lost = NULL;
	int err = 0;

	fcntl(client, F_SETFL, O_NONBLOCK);
	wire__put(&to_client, WIRE_ACCEPTED, NULL, 0);
	while (!err && !gone && !(ended && !wire_buf__used(&to_client))) {
		bool agent_full = wire_buf__used(&s->to_agent) > PROXY_HIGH_WATER;
		bool client_full = wire_buf__used(&to_client) > PROXY_HIGH_WATER;
		struct pollfd pfd[3] = {
			{client,
			 (short)((agent_full || ended ? 0 : POLLIN) |
				 (wire_buf__used(&to_client) ? POLLOUT : 0)),
			 0},
			{s->qemu.ctl,
			 (short)((client_full ? 0 : POLLIN) |
				 (wire_buf__used(&s->to_agent) ? POLLOUT : 0)),
			 0},
			{s->qemu.pidfd, POLLIN, 0},
		};
		ssize_t n;

		if (poll(pfd, 3, -1) < 0)
			continue;
		if (pfd[1].revents & (POLLIN | POLLHUP | POLLERR)) {
			n = wire__fill(&s->from_agent, s->qemu.ctl);
			if (n <= 0 && n != -EAGAIN)
				err = -EIO;
			switch (move_frames(&s->from_agent, &to_client, NULL)) {
			case 0:
				break;
			case 1:
				ended = true;
				break;
			default:
				err = -EIO;
			}
		} else if (pfd[2].revents) {
			err = -EIO;
		}
		if (!err && (pfd[0].revents & (POLLIN | POLLHUP | POLLERR)) && !ended) {
			n = wire__fill(&from_client, client);
			gone = n <= 0 && n != -EAGAIN;
			if (move_frames(&from_client, &s->to_agent, &started) < 0)
				gone = true;
		}
		if (!gone && wire__flush(&to_client, client))
			gone = true;
		if (!err && wire__flush(&s->to_agent, s->qemu.ctl))
			err = -EIO;
	}
	if (err) {
		char cause[256];

		describe_end(s, cause, sizeof(cause));
		lost = emulated_qemu__evidence(&s->qemu, cause);
	} else if (started && !ended) {
		err = abort_command(s, &lost);
	}
	if (err && !gone) {
		wire__flush(&to_client, client);
		tell_client(client, WIRE_LOST, lost ? lost : "emulated KVM host: lost");
	}
	free(lost);
	wire_buf__free(&from_client);
	wire_buf__free(&to_client);
	return err;
}

void emulated_supervisor__serve_one(int client, const struct emulated_image *image,
				    const struct emulated_options *options)
{
	struct supervisor s = {.image = image, .options = options, .status = -1};
	char *lost = NULL;

	if (host_start(&s, client, &lost)) {
		tell_client(client, WIRE_LOST, lost ? lost : "emulated KVM host: out of memory");
		free(lost);
		return;
	}
	session(&s, client);
	host_stop(&s);
}

/* The next client of this user (or of root). */
static int next_client(struct supervisor *s, int listener)
{
	for (;;) {
		struct pollfd pfd[2] = {{listener, POLLIN, 0}, {s ? s->qemu.pidfd : -1, POLLIN, 0}};
		struct ucred peer = {0};
		socklen_t length = sizeof(peer);
		int client;

		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (pfd[1].revents)
			return -EIO;
		client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (client < 0)
			continue;
		if (!getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
		    (peer.uid == getuid() || !peer.uid)) {
			char text[64];

			snprintf(text, sizeof(text), "busy with process %d\n", peer.pid);
			if (s)
				say_status(s, text);
			return client;
		}
		close(client);
	}
}

void emulated_supervisor__serve(int listener, int status, int ready,
				const struct emulated_image *image,
				const struct emulated_options *options)
{
	struct supervisor s = {.image = image, .options = options, .status = status};

	for (;;) {
		char *lost = NULL;
		int client, err = host_start(&s, -1, &lost);

		if (ready >= 0) {
			const char *text = err ? (lost ? lost : "out of memory") : "";

			ssize_t n = write(ready, text, strlen(text) + 1);

			close(ready);
			ready = -1;
			if (n < 0)
				return; /* the manager is gone */
		}
		if (err) {
			say_status(&s, "cannot start\n");
			client = next_client(NULL, listener);
			if (client >= 0) {
				tell_client(client, WIRE_LOST, lost ? lost : "out of memory");
				close(client);
			}
			free(lost);
			continue;
		}
		do {
			say_status(&s, "free\n");
			client = next_client(&s, listener);
			err = client < 0 ? client : session(&s, client);
			if (client >= 0)
				close(client);
		} while (!err);
		host_stop(&s);
	}
}
