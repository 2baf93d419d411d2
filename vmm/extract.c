// SPDX-License-Identifier: GPL-2.0-only
/* Runs an extractor, and reads the metrics that it prints. */
#include "extract.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ktstr/payload.h>

#define READ_SIZE (64u << 10)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define OPERATION "extract"

/* ---- What it printed ---- */

static int bad_form(struct ktstr_error *error, const char *command, size_t index, const char *what)
{
	return ktstr_error__set(error, EBADMSG, OPERATION, command, "metric %zu that it printed %s",
				index, what);
}

/* A number, or NaN when it is missing or null. False: something else. */
static bool get_number(const json_t *object, const char *key, double *value)
{
	const json_t *at = json_object_get(object, key);

	*value = (double)NAN;
	if (!at || json_is_null(at))
		return true;
	*value = json_number_value(at);
	return json_is_number(at);
}

static int parse_metric(const char *command, const json_t *object, size_t index,
			struct metric *metric, struct ktstr_error *error)
{
	const json_t *name = json_object_get(object, "name"),
		     *unit = json_object_get(object, "unit");

	if (!json_is_string(name) || !json_string_length(name) ||
	    json_string_length(name) >= sizeof(metric->name))
		return bad_form(error, command, index, "has no name of up to 255 bytes");
	if (unit && !json_is_null(unit) &&
	    (!json_is_string(unit) || json_string_length(unit) >= sizeof(metric->unit)))
		return bad_form(error, command, index,
				"has a unit that is no text of up to 63 bytes");
	if (!json_is_number(json_object_get(object, "value")) ||
	    !get_number(object, "value", &metric->value))
		return bad_form(error, command, index, "has a value that is no number");
	if (!get_number(object, "minimum", &metric->minimum) ||
	    !get_number(object, "maximum", &metric->maximum))
		return bad_form(error, command, index, "has a limit that is no number");
	metrics__clean(metric->name, sizeof(metric->name), json_string_value(name),
		       json_string_length(name));
	metrics__clean(metric->unit, sizeof(metric->unit), json_string_value(unit),
		       json_string_length(unit));
	metric->better = metric__better(json_string_value(json_object_get(object, "better")));
	metric__check(metric);
	return 0;
}

static int parse_list(const char *command, const json_t *list, struct extracted *out,
		      struct ktstr_error *error)
{
	size_t nr = json_array_size(list);

	if (!json_is_array(list))
		return ktstr_error__set(error, EBADMSG, OPERATION, command,
					"what it printed has no list \"metrics\"");
	if (!nr)
		return ktstr_error__set(error, ENODATA, OPERATION, command, "it found no metric");
	if (nr > EXTRACT_MAX_METRICS)
		return ktstr_error__set(error, EFBIG, OPERATION, command,
					"it printed more than %u metrics", EXTRACT_MAX_METRICS);
	out->metrics = calloc(nr, sizeof(*out->metrics));
	if (!out->metrics)
		return ktstr_error__set(error, ENOMEM, OPERATION, command, NULL);
	for (; out->nr < nr; out->nr++) {
		struct metric *metric = &out->metrics[out->nr];
		int err = parse_metric(command, json_array_get(list, out->nr), out->nr, metric,
				       error);

		if (err)
			return err;
		out->nr_bad += metric->flags != 0;
	}
	return 0;
}

int extract__parse(const char *command, const char *text, size_t length, struct extracted *out,
		   struct ktstr_error *error)
{
	json_error_t why;
	json_t *root = json_loadb(text, length, 0, &why);
	int err;

	*out = (struct extracted){.nr = 0};
	if (!root)
		return ktstr_error__set(error, EBADMSG, OPERATION, command,
					"what it printed is not JSON: line %d, column %d: %s",
					why.line, why.column, why.text);
	err = parse_list(command, json_object_get(root, "metrics"), out, error);
	json_decref(root);
	if (err)
		extracted__free(out);
	return err;
}

void extracted__free(struct extracted *extracted)
{
	free(extracted->metrics);
	*extracted = (struct extracted){.nr = 0};
}

/* ---- The process ---- */

struct extractor {
	const char *command;
	uint64_t deadline_ns;
	pid_t pid;
	int cancel_fd;
	int end_fd; /* pidfd */
	int fd;	    /* what it prints */
	char *text;
	size_t length;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Standard input: a file in memory, which nobody has to write on while it reads. */
static int open_input(const char *raw, size_t length)
{
	int fd = memfd_create("ktstr-raw", MFD_CLOEXEC);

	while (fd >= 0 && length) {
		ssize_t n = write(fd, raw, length);

		if (n < 0) {
			int err = errno;

			close(fd);
			return -err;
		}
		raw += n;
		length -= (size_t)n;
	}
	if (fd < 0)
		return -errno;
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* The environment with @name in it; strings stay the callers'. NULL: no memory. */
static char **make_environment(char *name)
{
	static const char key[] = EXTRACT_NAME_ENV "=";
	size_t n = 0, to = 0;
	char **all;

	while (environ[n])
		n++;
	all = calloc(n + 2, sizeof(*all));
	if (!all)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], key, sizeof(key) - 1) != 0)
			all[to++] = environ[i];
	all[to] = name;
	return all;
}

static void __attribute__((noreturn)) execute(const char *command, char **env, int in, int out)
{
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)command, NULL};
	sigset_t none;

	/* Nothing but system calls: other threads may have held any lock. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execve("/bin/sh", argv, env);
	_exit(127);
}

static int start(struct extractor *e, char **env, const void *raw, size_t length,
		 struct ktstr_error *error)
{
	int in = open_input(raw, length), out[2], err;

	if (in < 0)
		return ktstr_error__set(error, -in, OPERATION, e->command, NULL);
	if (pipe2(out, O_CLOEXEC)) {
		err = ktstr_error__set(error, errno, OPERATION, e->command, NULL);
		close(in);
		return err;
	}
	e->pid = fork();
	if (!e->pid)
		execute(e->command, env, in, out[1]);
	err = e->pid < 0 ? ktstr_error__set(error, errno, OPERATION, e->command, NULL) : 0;
	close(in);
	close(out[1]);
	e->fd = out[0];
	fcntl(e->fd, F_SETFL, O_NONBLOCK);
	if (err)
		return err;
	setpgid(e->pid, e->pid); /* whoever comes first */
	e->end_fd = (int)syscall(SYS_pidfd_open, e->pid, 0);
	return e->end_fd < 0 ? ktstr_error__set(error, errno, OPERATION, e->command, NULL) : 0;
}

/* Reads what is there. 0, 1: end of file, -EFBIG. */
static int take_output(struct extractor *e)
{
	for (;;) {
		ssize_t n = read(e->fd, e->text + e->length, EXTRACT_MAX_OUTPUT + 1 - e->length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		e->length += (size_t)n;
		if (e->length > EXTRACT_MAX_OUTPUT)
			return -EFBIG;
	}
}

/* Until the command has ended. -ETIMEDOUT, -EFBIG, -EINTR. */
static int watch(struct extractor *e)
{
	bool open = true;

	for (;;) {
		struct pollfd pfd[] = {{e->end_fd, POLLIN, 0},
				       {open ? e->fd : -1, POLLIN, 0},
				       {e->cancel_fd, POLLIN, 0}};
		uint64_t now = now_ns();
		int ret;

		if (now >= e->deadline_ns)
			return -ETIMEDOUT;
		ret = poll(pfd, 3, (int)((e->deadline_ns - now) / NS_PER_MS) + 1);
		if (ret <= 0)
			continue;
		if (pfd[2].revents)
			return -EINTR;
		ret = take_output(e);
		if (ret < 0)
			return ret;
		open = open && !ret;
		/* What it printed was in the pipe before it ended. */
		if (pfd[0].revents)
			return 0;
	}
}

static int judge(const struct extractor *e, int err, int status, uint32_t timeout_ms,
		 struct ktstr_error *error)
{
	if (err == -ETIMEDOUT)
		return ktstr_error__set(error, ETIMEDOUT, OPERATION, e->command,
					"it did not end within %u ms", timeout_ms);
	if (err == -EINTR)
		return ktstr_error__set(error, EINTR, OPERATION, e->command, "stopped");
	if (err == -EFBIG)
		return ktstr_error__set(error, EFBIG, OPERATION, e->command,
					"it printed more than %u bytes", EXTRACT_MAX_OUTPUT);
	if (err < 0) /* said already */
		return ktstr_error__set(error, -err, OPERATION, e->command, NULL);
	if (WIFSIGNALED(status))
		return ktstr_error__set(error, ECHILD, OPERATION, e->command, "signal %d ended it",
					WTERMSIG(status));
	if (WEXITSTATUS(status))
		return ktstr_error__set(error, ECHILD, OPERATION, e->command,
					"it exited with code %d", WEXITSTATUS(status));
	return 0;
}

int extract__run(const char *command, const char *name, const void *raw, size_t length,
		 uint32_t timeout_ms, int cancel_fd, struct extracted *out,
		 struct ktstr_error *error)
{
	struct extractor e = {.command = command, .cancel_fd = cancel_fd, .fd = -1, .end_fd = -1};
	char *variable = NULL, **env = NULL;
	int err = 0, status = 0;

	*out = (struct extracted){.nr = 0};
	e.text = malloc(EXTRACT_MAX_OUTPUT + 1);
	if (asprintf(&variable, EXTRACT_NAME_ENV "=%s", name) < 0)
		variable = NULL;
	env = variable ? make_environment(variable) : NULL;
	if (!e.text || !env) {
		err = ktstr_error__set(error, ENOMEM, OPERATION, command, NULL);
		goto out;
	}
	e.deadline_ns = now_ns() + timeout_ms * NS_PER_MS;
	err = start(&e, env, raw, length, error);
	if (!err)
		err = watch(&e);
	if (e.pid > 0) {
		/* It, when it is late, and what it has left behind. */
		pid_t ended;

		kill(-e.pid, SIGKILL);
		while ((ended = waitpid(e.pid, &status, 0)) < 0 && errno == EINTR)
			;
		/* Where SIGCHLD is ignored nobody knows how it ended. */
		if (ended < 0 && !err)
			err = ktstr_error__set(error, errno, OPERATION, command,
					       "its end is not known");
		err = judge(&e, err, status, timeout_ms, error);
	}
	if (!err)
		err = extract__parse(command, e.text, e.length, out, error);
out:
	if (e.fd >= 0)
		close(e.fd);
	if (e.end_fd >= 0)
		close(e.end_fd);
	free(e.text);
	free(variable);
	free(env);
	return err;
}

int ktstr_extractor__run(const char *command, const char *name, const void *raw, size_t length,
			 uint32_t timeout_ms, int cancel_fd, struct extracted *out,
			 struct ktstr_error *error)
{
	return extract__run(command, name, raw, length, timeout_ms, cancel_fd, out, error);
}
