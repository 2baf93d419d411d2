// SPDX-License-Identifier: GPL-2.0-only
/* Runs the kernel's own sched_ext suite, one test at a time; see kernel_runner.h. */
#include "kernel_runner.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define DRAIN_MS 1000 /* a process of the test that lives on can keep the terminal open */

struct run {
	const char *name;
	pid_t pid;
	int terminal; /* its standard output, our side */
	int out;
	unsigned int passed, skipped, failed; /* lines of @name */
	bool others_failed;
	bool stopped; /* by us, at the test behind it */
	char line[1024];
	size_t length;
};

/*
 * "ok 3 NAME # ", "ok 3 NAME # SKIP ", "not ok 3 NAME # ", or another word for a status that the
 * runner does not know. True when it is such a line, of whatever test.
 */
static bool read_result(struct run *run, const char *line)
{
	bool ok = !strncmp(line, "ok ", 3), skip;
	const char *at = ok				    ? line + 3
			 : !strncmp(line, "not ok ", 7)	    ? line + 7
			 : !strncmp(line, "<UNKNOWN> ", 10) ? line + 10
							    : NULL;
	size_t length;

	if (!at || !isdigit((unsigned char)*at))
		return false;
	at += strspn(at, "0123456789");
	if (*at++ != ' ')
		return false;
	length = strcspn(at, " ");
	if (length != strlen(run->name) || strncmp(at, run->name, length)) {
		run->others_failed |= !ok;
		return true;
	}
	at += length;
	at += strspn(at, " #");
	skip = !strncmp(at, "SKIP", 4);
	/* What else could stand there is no pass. */
	if (!ok || (*at && !skip))
		run->failed++;
	else if (skip)
		run->skipped++;
	else
		run->passed++;
	return true;
}

static bool has_result(const struct run *run)
{
	return run->passed || run->skipped || run->failed;
}

static void put(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody reads it: the verdict stands all the same */
		data += n;
		length -= (size_t)n;
	}
}

static void end_line(struct run *run)
{
	static const char start[] = "TEST: ";

	run->line[run->length] = '\0';
	if (!read_result(run, run->line) && has_result(run) && !run->stopped &&
	    !strncmp(run->line, start, sizeof(start) - 1) &&
	    strcmp(run->line + sizeof(start) - 1, run->name)) {
		run->stopped = true;
		kill(-run->pid, SIGKILL);
	}
	run->line[run->length] = '\n';
	put(run->out, run->line, run->length + 1);
	run->length = 0;
}

/* A line that is longer than any of the runner's own is told in parts. */
static void feed(struct run *run, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] == '\n') {
			end_line(run);
			continue;
		}
		if (run->length == sizeof(run->line) - 1)
			end_line(run);
		run->line[run->length++] = data[i];
	}
}

/* A terminal makes the runner write each line at once, and not again from what it forks. */
static int open_terminal(int *ours, int *its)
{
	struct termios modes;
	char name[64];
	int err;

	*its = -1;
	*ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*ours < 0)
		return -errno;
	if (grantpt(*ours) || unlockpt(*ours) || ptsname_r(*ours, name, sizeof(name)))
		goto failed;
	*its = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*its < 0 || tcgetattr(*its, &modes))
		goto failed;
	cfmakeraw(&modes);
	if (!tcsetattr(*its, TCSANOW, &modes))
		return 0;
failed:
	err = errno;
	close(*ours);
	if (*its >= 0)
		close(*its);
	return -err;
}

static void __attribute__((noreturn)) execute(char *const argv[], int out)
{
	dup2(out, STDOUT_FILENO);
	execv(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Until the last writer is gone (EIO), or the runner, and then a while. Returns its wait status. */
static int read_all(struct run *run)
{
	struct pollfd poll_terminal = {.fd = run->terminal, .events = POLLIN};
	bool ended = false;
	int status = 0;
	char data[4096];
	ssize_t n;

	for (;;) {
		n = read(run->terminal, data, sizeof(data));
		if (n > 0) {
			feed(run, data, (size_t)n);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN)
			break;
		if (!ended && waitpid(run->pid, &status, WNOHANG) == run->pid) {
			ended = true; /* look once more: it may have written before */
		} else if (!poll(&poll_terminal, 1, DRAIN_MS) && ended) {
			kill(-run->pid, SIGKILL);
			break;
		}
	}
	if (run->length)
		end_line(run);
	if (!ended)
		waitpid(run->pid, &status, 0);
	return status;
}

static void judge(const struct run *run, int status, struct kernel_runner_result *result)
{
	char end[64];

	if (WIFSIGNALED(status))
		snprintf(end, sizeof(end), "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(end, sizeof(end), "exited with code %d", WEXITSTATUS(status));

	result->verdict = KERNEL_RUNNER_FAIL;
	if (!has_result(run))
		snprintf(result->cause, sizeof(result->cause), "no result of %s: the runner %s",
			 run->name, end);
	else if (run->failed)
		snprintf(result->cause, sizeof(result->cause), "the runner says: not ok %s",
			 run->name);
	else if (run->passed && run->skipped)
		snprintf(result->cause, sizeof(result->cause), "the runner says two things of %s",
			 run->name);
	else if (!run->stopped &&
		 (WIFSIGNALED(status) || (WEXITSTATUS(status) && !run->others_failed)))
		snprintf(result->cause, sizeof(result->cause), "after its result the runner %s",
			 end);
	else
		result->verdict = run->passed ? KERNEL_RUNNER_PASS : KERNEL_RUNNER_SKIP;
}

int kernel_runner__run(const char *path, const char *name, int out,
		       struct kernel_runner_result *result)
{
	char *const argv[] = {(char *)path, "-t", (char *)name, NULL};
	struct run run = {.name = name, .out = out};
	int its, err;

	*result = (struct kernel_runner_result){.verdict = KERNEL_RUNNER_FAIL};
	err = open_terminal(&run.terminal, &its);
	if (err)
		return err;
	fcntl(run.terminal, F_SETFL, O_NONBLOCK);
	run.pid = fork();
	if (run.pid == 0) {
		setpgid(0, 0);
		execute(argv, its);
	}
	if (run.pid < 0) {
		err = -errno;
		close(its);
		goto out;
	}
	setpgid(run.pid, run.pid); /* whoever comes first */
	close(its);
	judge(&run, read_all(&run), result);
out:
	close(run.terminal);
	return err;
}

/* ---- Names ---- */

static bool is_name(const char *text)
{
	size_t length =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return length && !text[length] && length < KERNEL_RUNNER_NAME_MAX;
}

static int add_name(char ***names, size_t *nr, const char *name)
{
	char **grown = reallocarray(*names, *nr + 1, sizeof(**names));

	if (!grown)
		return -ENOMEM;
	*names = grown;
	grown[*nr] = strdup(name);
	if (!grown[*nr])
		return -ENOMEM;
	++*nr;
	return 0;
}

/* Lines of @in that begin with @prefix; every other is an error without one. */
static int read_names(FILE *in, const char *prefix, char ***names, size_t *nr)
{
	char *line = NULL;
	size_t size = 0;
	int err = 0;

	while (!err && getline(&line, &size, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, prefix, strlen(prefix)))
			continue;
		err = is_name(line + strlen(prefix)) ? add_name(names, nr, line + strlen(prefix))
						     : -EPROTO;
	}
	free(line);
	return err;
}

static int list_by(char *const argv[], const char *prefix, char ***names, size_t *nr)
{
	int ends[2], status = 0, err;
	pid_t pid;
	FILE *in;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		execute(argv, ends[1]);
	}
	err = pid < 0 ? -errno : 0;
	close(ends[1]);
	in = err ? NULL : fdopen(ends[0], "r");
	if (in) {
		err = read_names(in, prefix, names, nr);
		fclose(in);
	} else {
		err = err ? err : -errno;
		close(ends[0]);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (!err && (!WIFEXITED(status) || WEXITSTATUS(status) || !*nr))
		err = -EPROTO;
	return err;
}

void kernel_runner__free(char **names, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		free(names[i]);
	free(names);
}

int kernel_runner__list(const char *path, char ***names, size_t *nr)
{
	char *const list[] = {(char *)path, "-l", NULL};
	/* No name has a slash. */
	char *const skip_all[] = {(char *)path, "-q", "-s", "-t", "/", NULL};
	int err;

	*names = NULL;
	*nr = 0;
	err = list_by(list, "", names, nr);
	if (err != -EPROTO)
		goto out;
	kernel_runner__free(*names, *nr);
	*names = NULL;
	*nr = 0;
	err = list_by(skip_all, "TEST: ", names, nr);
out:
	if (err) {
		kernel_runner__free(*names, *nr);
		*names = NULL;
		*nr = 0;
	}
	return err;
}
