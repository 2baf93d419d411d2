// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test's payloads. Each runs under a supervisor, a child of the test's process: being a process
 * by itself, it can adopt the payload's orphans without touching the test's own children, and it
 * reads on while the test does something else.
 */
#include "payload.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAIL_LINES 20

struct ktstr_payload_process {
	const struct ktstr_payload *payload;
	struct payload_shared *shared;
	pid_t supervisor;
	int end_fd;  /* pidfd of the supervisor */
	int stop_fd; /* eventfd: stop the payload */
};
static int pidfd_of(pid_t pid)
{
	/* close-on-exec by itself: pidfd_open(2) */
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void free_process(struct ktstr_payload_process *process)
{
	if (process->shared != MAP_FAILED)
		munmap(process->shared, sizeof(*process->shared));
	if (process->end_fd >= 0)
		close(process->end_fd);
	if (process->stop_fd >= 0)
		close(process->stop_fd);
	free(process);
}

/* Also for a description that is wrong: @why says so, and there is no process. */
static int start(const struct ktstr_payload *payload, struct ktstr_payload_process **out, char *why,
		 size_t why_size)
{
	struct ktstr_payload_process *process = malloc(sizeof(*process));
	struct payload_reader *reader = malloc(sizeof(*reader));
	int ret = -ENOMEM, test_fd = -1;

	if (!process || !reader) {
		free(process);
		free(reader);
		snprintf(why, why_size, "there is no memory");
		return ret;
	}
	*process = (struct ktstr_payload_process){
		.payload = payload, .shared = MAP_FAILED, .end_fd = -1, .stop_fd = -1};
	ret = payload_reader__init(reader, payload, why, why_size);
	if (ret)
		goto out;
	process->shared = mmap(NULL, sizeof(*process->shared), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	process->stop_fd = eventfd(0, EFD_CLOEXEC);
	test_fd = pidfd_of(getpid());
	if (process->shared == MAP_FAILED || process->stop_fd < 0 || test_fd < 0)
		goto failed;
	process->shared->result =
		(struct ktstr_payload_result){.payload = payload, .exit_code = -1};
	fflush(NULL);
	process->supervisor = fork();
	if (!process->supervisor)
		payload__supervise(reader, process->shared, test_fd, process->stop_fd);
	if (process->supervisor < 0)
		goto failed;
	process->end_fd = pidfd_of(process->supervisor);
	*out = process;
	process = NULL;
	goto out;
failed:
	ret = -errno;
	snprintf(why, why_size, "it cannot be started: %s", strerror(-ret));
out:
	payload_reader__free(reader);
	free(reader);
	if (test_fd >= 0)
		close(test_fd);
	if (process)
		free_process(process);
	return ret;
}

/* The supervisor's end, also where the test reaps or ignores its children. */
static int wait_supervisor(const struct ktstr_payload_process *process)
{
	struct pollfd pfd = {.fd = process->end_fd, .events = POLLIN};
	int status = 0;

	while (process->end_fd >= 0 && poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	while (waitpid(process->supervisor, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static void print_tail(const char *name, const struct payload_tail *tail)
{
	size_t start = tail->length, end, i;
	int lines = 0;

	while (start && tail->text[start - 1] == '\n')
		start--;
	end = start;
	while (start && !(tail->text[start - 1] == '\n' && ++lines == TAIL_LINES))
		start--;
	if (end > start && (start || tail->cut))
		printf("# %s: | ...\n", name);
	for (i = start; i < end; i++) {
		char c = tail->text[i];

		if (i == start || tail->text[i - 1] == '\n')
			printf("# %s: | ", name);
		putchar(c == '\n' || c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f) ? c : '?');
	}
	if (end > start)
		putchar('\n');
}

static void print_result(const struct ktstr_payload_result *result,
			 const struct payload_shared *shared)
{
	const char *name = result->payload->name ? result->payload->name : "payload";
	char text[256];

	for (size_t i = 0; i < result->nr_metrics; i++) {
		payload__describe(result, i, text, sizeof(text));
		printf("# %s: %s %s\n", name, result->payload->metrics[i].name, text);
	}
	if (result->nr_killed)
		printf("# %s: %u process%s of it had to be killed\n", name, result->nr_killed,
		       result->nr_killed == 1 ? "" : "es");
	if (result->err)
		printf("# %s: %s\n", name, result->problem);
	if (result->err && shared) {
		print_tail(name, &shared->tails[0]);
		print_tail(name, &shared->tails[1]);
	}
	fflush(stdout);
}

int ktstr_payload_start(const struct ktstr_payload *payload, struct ktstr_payload_process **process)
{
	char why[512];
	int ret = start(payload, process, why, sizeof(why));

	if (ret)
		printf("# %s: %s\n", payload->name ? payload->name : "payload", why);
	return ret;
}

int ktstr_payload_wait(struct ktstr_payload_process *process, struct ktstr_payload_result *result)
{
	int status = wait_supervisor(process);

	*result = process->shared->result;
	if (!process->shared->done)
		payload__problem(result, EIO,
				 "its supervisor was ended by signal %d, and the result is lost",
				 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	print_result(result, process->shared);
	free_process(process);
	return result->err;
}

int ktstr_payload_stop(struct ktstr_payload_process *process, struct ktstr_payload_result *result)
{
	/* A test that has closed the descriptor ends the supervisor, and has no result. */
	if (eventfd_write(process->stop_fd, 1))
		kill(process->supervisor, SIGKILL);
	return ktstr_payload_wait(process, result);
}

int ktstr_payload_run(const struct ktstr_payload *payload, struct ktstr_payload_result *result)
{
	struct ktstr_payload_process *process = NULL;
	char why[sizeof(result->problem)];
	int ret = start(payload, &process, why, sizeof(why));

	if (process)
		return ktstr_payload_wait(process, result);
	*result = (struct ktstr_payload_result){.payload = payload, .exit_code = -1};
	payload__problem(result, -ret, "%s", why);
	print_result(result, NULL);
	return ret;
}

double ktstr_payload_result__value(const struct ktstr_payload_result *result, const char *name)
{
	for (size_t i = 0; i < result->nr_metrics; i++)
		if (!strcmp(result->payload->metrics[i].name, name))
			return result->metrics[i].value;
	return (double)NAN;
}
