// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of one binary several at once (--jobs). Two processes: the starter, which was the binary's,
 * runs the tests as children of its own, the longest first and not too many at once, with their
 * output in memory. The reporter goes through kselftest's list one by one as always; its process
 * for a test waits for the one that really ran, and repeats what that printed and how it ended.
 */
#include <ktstr/test.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness_signals.h"

/* Tests that are over wait for their turn to be reported: so many, as each has a descriptor. */
#define MAX_AHEAD 256u

/* What a test's process leaves; shared. */
struct left {
	atomic_bool done;
	struct ktstr_test_outcome outcome;
};

struct ktstr_jobs {
	const struct ktstr_job *tests;
	uint32_t nr;
	struct left *left; /* [nr] */
	int socket;	   /* to the other of the two processes */
};

/* From the reporter; the answer to WANT is the same, with the output's descriptor. */
struct request {
	enum request_kind { REQUEST_WANT, REQUEST_CANCEL } kind;
	uint32_t test;
	uint32_t has_output; /* of an answer: a descriptor is to come with it */
};

struct running {
	bool started; /* or not to be started any more */
	pid_t pid;    /* 0: not started, or over */
	int output;   /* memfd; -1: not started, or reported */
};

struct starter {
	const struct ktstr_jobs *jobs;
	struct running *tests; /* [jobs->nr] */
	uint32_t *order;       /* [jobs->nr], in which they start; those before @next have */
	uint32_t at_once, next, nr_running;
	uint32_t nr_kept;   /* outputs of tests that are not reported */
	uint32_t forgotten; /* those before are reported */
	uint32_t wanted;    /* the reporter's last question */
	bool asked;	    /* and it has no answer */
	pid_t reporter;	    /* 0: ended */
	int reporter_status;
	int signal; /* that ends all; 0: none */
	sigset_t mask;
};

/* ---- a test's process ---- */

static void run_test(const struct starter *s, uint32_t i, pid_t starter)
{
	const struct ktstr_job *test = &s->jobs->tests[i];
	struct left *left = &s->jobs->left[i];
	struct ktstr_test_id id = test->id;
	struct ktstr_test_outcome outcome;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != starter)
		return;
	dup2(s->tests[i].output, STDOUT_FILENO);
	for (uint32_t j = 0; j < s->jobs->nr; j++)
		if (s->tests[j].output >= 0)
			close(s->tests[j].output);
	close(s->jobs->socket);
	id.parallel = true;
	ktstr_harness__run_test(&id, &test->attrs, &outcome);
	fflush(NULL);
	left->outcome = outcome;
	atomic_store(&left->done, true);
}

/* ---- the starter ---- */

static void say(int fd, const char *text)
{
	char last = '\n';
	off_t end = lseek(fd, 0, SEEK_END);

	if (end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n')
		dprintf(fd, "\n");
	dprintf(fd, "# HOST_ERROR: %s\n", text);
}

static void fail(struct starter *s, uint32_t i, const char *text)
{
	struct left *left = &s->jobs->left[i];

	if (s->tests[i].output >= 0)
		say(s->tests[i].output, text);
	left->outcome = (struct ktstr_test_outcome){.exit_code = 1};
	atomic_store(&left->done, true);
}

static void start_test(struct starter *s, uint32_t i)
{
	struct running *test = &s->tests[i];
	pid_t self = getpid(), pid;
	char text[128];

	test->started = true;
	test->output = memfd_create("ktstr-test", MFD_CLOEXEC);
	s->nr_kept += test->output >= 0;
	pid = test->output < 0 ? -1 : fork();
	if (!pid) {
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_SETMASK, &s->mask, NULL);
		run_test(s, i, self);
		_exit(0);
	}
	if (pid > 0) {
		setpgid(pid, pid);
		test->pid = pid;
		s->nr_running++;
		return;
	}
	snprintf(text, sizeof(text), "the test could not be started: %s", strerror(errno));
	fail(s, i, text);
}

/* The next in order; without room for more that wait, the one that is waited for. */
static bool choose_test(struct starter *s, uint32_t *i)
{
	while (s->next < s->jobs->nr && s->tests[s->order[s->next]].started)
		s->next++;
	if (s->next == s->jobs->nr)
		return false;
	*i = s->nr_kept < MAX_AHEAD ? s->order[s->next] : s->wanted;
	return !s->tests[*i].started;
}

static void start_tests(struct starter *s)
{
	uint32_t i;

	while (s->reporter && !s->signal && s->nr_running < s->at_once && choose_test(s, &i))
		start_test(s, i);
}

static void stop_tests(struct starter *s)
{
	for (uint32_t i = 0; i < s->jobs->nr; i++)
		if (s->tests[i].pid)
			kill(s->tests[i].pid, SIGTERM);
}

static void test_ended(struct starter *s, uint32_t i, int status)
{
	char text[128];

	s->tests[i].pid = 0;
	s->nr_running--;
	if (atomic_load(&s->jobs->left[i].done))
		return;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "the test's process was killed by signal %d",
			 WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "the test's process ended without its outcome (%d)",
			 WEXITSTATUS(status));
	fail(s, i, text);
}

static void reap(struct starter *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->reporter) {
			s->reporter = 0;
			s->reporter_status = status;
			stop_tests(s);
			continue;
		}
		for (uint32_t i = 0; i < s->jobs->nr; i++)
			if (s->tests[i].pid == pid)
				test_ended(s, i, status);
	}
}

static void take_signals(struct starter *s, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		/* Its end is that of the tests. */
		s->signal = (int)info.ssi_signo;
		if (s->reporter)
			kill(s->reporter, s->signal);
	}
	reap(s);
}

/*
 * The tests before the one that is wanted: what they printed, and any that still runs or is not
 * started, because what stood for it was killed.
 */
static void forget(struct starter *s)
{
	for (; s->forgotten < s->wanted; s->forgotten++) {
		struct running *test = &s->tests[s->forgotten];

		if (test->output >= 0) {
			close(test->output);
			s->nr_kept--;
		}
		if (test->pid)
			kill(test->pid, SIGTERM);
		test->output = -1;
		test->started = true;
	}
}

/* False: nobody will ask any more. */
static bool take_request(struct starter *s)
{
	struct request request;
	ssize_t n = recv(s->jobs->socket, &request, sizeof(request), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != (ssize_t)sizeof(request) || request.test >= s->jobs->nr)
		return false;
	if (request.kind == REQUEST_CANCEL) {
		if (s->tests[request.test].pid)
			kill(s->tests[request.test].pid, SIGTERM);
		return true;
	}
	s->wanted = request.test;
	s->asked = true;
	return true;
}

/* To the reporter, when it waits and the test is over. */
static void report(struct starter *s)
{
	struct request answer = {.kind = REQUEST_WANT, .test = s->wanted};
	struct iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.space = {0}};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int output;

	if (!s->asked || !s->tests[s->wanted].started || s->tests[s->wanted].pid)
		return;
	output = s->tests[s->wanted].output;
	if (output >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.space);
		control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
						  .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.header), &output, sizeof(output));
		answer.has_output = 1;
	}
	s->asked = false;
	if (sendmsg(s->jobs->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return;
	/* Without its output, which the reporter then misses; or it learns that nothing comes. */
	message.msg_control = NULL;
	message.msg_controllen = 0;
	if (sendmsg(s->jobs->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		shutdown(s->jobs->socket, SHUT_RDWR);
}

static void end_by(int sig)
{
	harness_signals__close(-1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Until the reporter and all tests are over; then ends as the reporter did. */
static void run_starter(struct starter *s, int signal_fd)
{
	struct pollfd pfd[] = {{.fd = signal_fd, .events = POLLIN},
			       {.fd = s->jobs->socket, .events = POLLIN}};

	start_tests(s);
	while (s->reporter || s->nr_running) {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			break;
		if (pfd[0].revents)
			take_signals(s, signal_fd);
		if (pfd[1].revents && !take_request(s))
			pfd[1].fd = -1;
		forget(s);
		start_tests(s);
		report(s);
	}
	if (s->signal)
		end_by(s->signal);
	if (WIFSIGNALED(s->reporter_status))
		end_by(WTERMSIG(s->reporter_status));
	exit(WIFEXITED(s->reporter_status) ? WEXITSTATUS(s->reporter_status) : 1);
}

/* ---- the reporter ---- */

static bool is_same(const struct ktstr_test_id *a, const struct ktstr_test_id *b)
{
	return !strcmp(a->fixture, b->fixture) && !strcmp(a->variant, b->variant) &&
	       !strcmp(a->test, b->test);
}

static bool copy_output(int fd)
{
	char buf[16384];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		fwrite(buf, 1, (size_t)n, stdout);
		at += n;
	}
	return !fflush(stdout) && !n;
}

/* The answer about test @i: 0, with its output or -1 in *output; -EAGAIN: about another one, which
 * somebody asked for who is no longer there; -EPIPE. */
static int take_answer(int socket, uint32_t i, int *output)
{
	struct request answer;
	struct iovec iov = {.iov_base = &answer, .iov_len = sizeof(answer)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control.space)};
	struct cmsghdr *header;
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

	*output = -1;
	if (n < 0 && errno == EINTR)
		return -EAGAIN;
	if (n != (ssize_t)sizeof(answer))
		return -EPIPE;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(output, CMSG_DATA(header), sizeof(*output));
	/* A test without what it said is no result: descriptors ran out, here or there. */
	if (answer.test == i)
		return answer.has_output && *output < 0 ? -EMFILE : 0;
	if (*output >= 0)
		close(*output);
	return -EAGAIN;
}

static int send_request(int socket, enum request_kind kind, uint32_t test)
{
	const struct request request = {.kind = kind, .test = test};

	return send(socket, &request, sizeof(request), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Waits for the end of test @i; a signal is passed on to it. */
static int wait_for(const struct ktstr_jobs *jobs, uint32_t i, int cancel_fd, int *output)
{
	struct pollfd pfd[] = {{.fd = jobs->socket, .events = POLLIN},
			       {.fd = cancel_fd, .events = POLLIN}};
	int err = send_request(jobs->socket, REQUEST_WANT, i);

	if (err)
		return err;
	for (;;) {
		if (poll(pfd, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (pfd[0].revents) {
			err = take_answer(jobs->socket, i, output);
			if (err != -EAGAIN)
				return err;
		}
		if (pfd[1].revents) {
			send_request(jobs->socket, REQUEST_CANCEL, i);
			pfd[1].fd = -1;
		}
	}
}

void ktstr_jobs__wait(const struct ktstr_jobs *jobs, const struct ktstr_test_id *id,
		      struct ktstr_test_outcome *outcome)
{
	int cancel_fd = harness_signals__open(), output = -1, err;
	uint32_t i = 0;

	while (i < jobs->nr && !is_same(&jobs->tests[i].id, id))
		i++;
	err = i < jobs->nr ? wait_for(jobs, i, cancel_fd, &output) : -ENOENT;
	*outcome = (struct ktstr_test_outcome){.exit_code = 1};
	if (err) {
		printf("# HOST_ERROR: the process that starts the tests does not answer: %s\n",
		       strerror(-err));
	} else if (output < 0 || !copy_output(output) || !atomic_load(&jobs->left[i].done)) {
		/* As the test said nothing about it, not even that it could not be started. */
		printf("# HOST_ERROR: there is no file for the test's output, or no outcome\n");
	} else {
		*outcome = jobs->left[i].outcome;
	}
	if (output >= 0)
		close(output);
	fflush(stdout);
	harness_signals__close(cancel_fd);
}

/* ---- start ---- */

static int by_cost(const void *a, const void *b, void *tests)
{
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct ktstr_job *jobs = tests;

	if (jobs[i].cost_ms != jobs[j].cost_ms)
		return jobs[i].cost_ms > jobs[j].cost_ms ? -1 : 1;
	return (i > j) - (i < j);
}

static void start_starter(struct ktstr_jobs *jobs, uint32_t at_once, struct running *tests,
			  uint32_t *order, pid_t reporter, const sigset_t *mask, int signal_fd)
{
	struct starter s = {.jobs = jobs,
			    .tests = tests,
			    .order = order,
			    .at_once = at_once,
			    .reporter = reporter,
			    .reporter_status = 1 << 8, /* exit(1), should it not be heard of */
			    .mask = *mask};

	for (uint32_t i = 0; i < jobs->nr; i++) {
		tests[i] = (struct running){.output = -1};
		order[i] = i;
	}
	qsort_r(order, jobs->nr, sizeof(*order), by_cost, (void *)(uintptr_t)jobs->tests);
	run_starter(&s, signal_fd);
}

/* What the starter hears of: its children, and what ends it, unless that is ignored (nohup). */
static void choose_signals(sigset_t *set)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;

	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!sigaction(ends[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(set, ends[i]);
}

int ktstr_jobs__start(const struct ktstr_job *tests, uint32_t nr, uint32_t at_once,
		      struct ktstr_jobs **out, struct ktstr_error *error)
{
	struct ktstr_jobs *jobs = calloc(1, sizeof(*jobs));
	struct running *running = calloc(nr, sizeof(*running));
	uint32_t *order = calloc(nr, sizeof(*order));
	struct left *left = mmap(NULL, nr * sizeof(*left), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int sockets[2] = {-1, -1}, signal_fd = -1, err = ENOMEM;
	sigset_t set, old;
	pid_t pid, self = getpid();

	choose_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	if (!jobs || !running || !order || left == MAP_FAILED)
		goto failed;
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
		err = errno;
		goto failed;
	}
	*jobs = (struct ktstr_jobs){.tests = tests, .nr = nr, .left = left, .socket = sockets[1]};
	signal(SIGCHLD, SIG_DFL);
	fflush(NULL);
	pid = fork();
	if (pid > 0) {
		jobs->socket = sockets[0];
		close(sockets[1]);
		start_starter(jobs, at_once, running, order, pid, &old, signal_fd);
	}
	if (pid < 0) {
		err = errno;
		goto failed;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != self)
		_exit(1);
	close(sockets[0]);
	close(signal_fd);
	free(running);
	free(order);
	sigprocmask(SIG_SETMASK, &old, NULL);
	*out = jobs;
	return 0;
failed:
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (left != MAP_FAILED)
		munmap(left, nr * sizeof(*left));
	if (signal_fd >= 0)
		close(signal_fd);
	if (sockets[0] >= 0) {
		close(sockets[0]);
		close(sockets[1]);
	}
	free(running);
	free(order);
	free(jobs);
	return ktstr_error__set(error, err, "start", "--jobs", NULL);
}
