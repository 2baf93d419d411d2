// SPDX-License-Identifier: GPL-2.0-only
/*
 * `ktstr run --extract`: a thread passes on what comes out on standard output, and keeps it. That
 * is the same wherever the machine runs, here or in an emulated host, and the extractor always runs
 * where the person is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../extract.h"
#include "cli.h"

#define READ_SIZE (64u << 10)

static int failed(const char *what, int err)
{
	fprintf(stderr, "ktstr: run: --extract: %s: %s\n", what, strerror(err));
	return CLI_EXIT_LOST;
}

static void keep(struct cli_extract *e, const char *data, size_t length)
{
	if (e->length + length > KTSTR_FRAME_MAX_PAYLOAD) {
		e->cut = true;
		return;
	}
	memcpy(e->kept + e->length, data, length);
	e->length += length;
}

static void pass_on(struct cli_extract *e, const char *data, size_t length)
{
	while (length && !e->reader_gone) {
		ssize_t n = write(e->saved_out, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			e->reader_gone = true; /* what is extracted still counts */
			return;
		}
		data += n;
		length -= (size_t)n;
	}
}

/* False: nothing more for now. */
static bool take(struct cli_extract *e, char *buf)
{
	ssize_t n = read(e->pipe_out, buf, READ_SIZE);

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	keep(e, buf, (size_t)n);
	pass_on(e, buf, (size_t)n);
	return true;
}

/* Until cli_extract__end(): the write end may stay open in a process that was started meanwhile. */
static void *pass_all_on(void *opaque)
{
	struct cli_extract *e = opaque;
	bool ended = false;
	char buf[READ_SIZE];

	while (!ended) {
		struct pollfd pfd[] = {{e->pipe_out, POLLIN, 0}, {e->end_fd, POLLIN, 0}};

		if (poll(pfd, 2, -1) < 0)
			continue;
		/* What was written before the end is in the pipe. */
		ended = pfd[1].revents;
		while (take(e, buf))
			;
	}
	return NULL;
}

static int start_thread(struct cli_extract *e)
{
	sigset_t all, old;
	int err;

	/* Signals are for those who wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&e->thread, NULL, pass_all_on, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int cli_extract__begin(struct cli_extract *e)
{
	int ends[2], err;

	e->kept = malloc(KTSTR_FRAME_MAX_PAYLOAD);
	if (!e->kept)
		return failed("memory", ENOMEM);
	e->end_fd = eventfd(0, EFD_CLOEXEC);
	e->saved_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (e->end_fd < 0 || e->saved_out < 0 || pipe2(ends, O_CLOEXEC))
		return failed("standard output", errno);
	e->pipe_out = ends[0];
	fcntl(e->pipe_out, F_SETFL, O_NONBLOCK);
	fflush(stdout);
	if (dup2(ends[1], STDOUT_FILENO) < 0)
		return failed("standard output", errno);
	close(ends[1]);
	signal(SIGPIPE, SIG_IGN);
	err = start_thread(e);
	if (!err)
		return 0;
	dup2(e->saved_out, STDOUT_FILENO);
	return failed("thread", err);
}

static int extract(const struct cli_extract *e, const char *name)
{
	struct ktstr_error error = {.err = 0};
	struct extracted extracted;
	char text[256];
	int status;

	if (e->cut) {
		fprintf(stderr,
			"ktstr: run: --extract: %s printed more than the %u bytes that are kept\n",
			name, KTSTR_FRAME_MAX_PAYLOAD);
		return CLI_EXIT_LOST;
	}
	if (extract__run(e->command, name, e->kept, e->length, EXTRACT_TIMEOUT_MS, -1, &extracted,
			 &error)) {
		cli_error("run", &error);
		return CLI_EXIT_LOST;
	}
	for (size_t i = 0; i < extracted.nr; i++) {
		metric__describe(&extracted.metrics[i], text, sizeof(text));
		fprintf(stderr, "ktstr: %s: %s %s\n", name, extracted.metrics[i].name, text);
	}
	status = extracted.nr_bad ? CLI_EXIT_LIMIT : 0;
	extracted__free(&extracted);
	return status;
}

int cli_extract__end(struct cli_extract *e, const char *name, int status)
{
	fflush(stdout);
	/* The pipe's write end that is ours; then all that is in it is read. */
	dup2(e->saved_out, STDOUT_FILENO);
	if (eventfd_write(e->end_fd, 1))
		status = failed("eventfd", errno);
	pthread_join(e->thread, NULL);
	if (!status)
		status = extract(e, name);
	else if (status != CLI_EXIT_LOST && status != CLI_EXIT_USAGE)
		fprintf(stderr, "ktstr: run: --extract: nothing is extracted: %s ended with %d\n",
			name, status);
	close(e->pipe_out);
	close(e->end_fd);
	close(e->saved_out);
	free(e->kept);
	return status;
}
