// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test waits for room on the host, can be called off meanwhile, and has a limit from when it has
 * room. The semaphores are real, with a key of each test's own; the machines are not.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host_tree.h"
#include "vmm/harness.h"

FIXTURE(admit)
{
	char *text;
	size_t size;
	FILE *out;
	struct ktstr_vm_config config;
	struct ktstr_test_id id;
	struct harness_admit admit;
	struct harness_admission admission;
	struct ktstr_error error;
	struct host_tree tree; /* of locks */
};

FIXTURE_SETUP(admit)
{
	setenv(BUDGET_VCPUS_VARIABLE, "4", 1);
	setenv(BUDGET_MEMORY_VARIABLE, "1024", 1);
	host_tree__create(&self->tree);
	setenv(LOCK_DIR_VARIABLE, self->tree.sys, 1);
	unsetenv(CPU_CAP_VARIABLE);
	self->out = open_memstream(&self->text, &self->size);
	ktstr_vm_config__defaults(&self->config);
	self->config.topology = TOPO(1, 1, 4, 1);
	self->config.cancel_fd = eventfd(0, EFD_CLOEXEC);
	self->id = (struct ktstr_test_id){.test = "name", .termsig = -1};
	self->admit = (struct harness_admit){.key = 0x6b000000 | getpid(),
					     .config = &self->config,
					     .id = &self->id,
					     .limit_ms = 1000000};
}

FIXTURE_TEARDOWN(admit)
{
	int id = semget(self->admit.key, 0, 0);

	if (id >= 0)
		semctl(id, 0, IPC_RMID);
	host_tree__destroy(&self->tree);
}

/* Another machine has all vCPUs until the share is given back. */
static struct budget_share take_all(struct _test_data_admit *self)
{
	const struct budget_request request = {.key = self->admit.key,
					       .vcpus = 4,
					       .memory_mb = 512,
					       .limits = {.vcpus = 4, .memory_mb = 1024},
					       .cancel_fd = -1};
	struct budget_share share;

	if (budget__take(&request, &share) || !share.holder.pid)
		abort();
	return share;
}

TEST_F(admit, room_is_taken_without_a_word_and_given_back)
{
	ASSERT_EQ(0, harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	fflush(self->out);
	EXPECT_STREQ("", self->text);
	EXPECT_LT(0, self->admission.share.budget.holder.pid);
	harness_admit__end(&self->admission);
	EXPECT_EQ(-1, semget(self->admit.key, 0, 0));
}

TEST_F(admit, it_shares_what_no_other_has_alone_and_the_limit_does_not_run_meanwhile)
{
	struct host_topology host;
	struct cpu_locks_request alone = {
		.host = &host, .exclusive = true, .timeout_s = 1, .cancel_fd = -1, .what = "other"};
	struct cpu_locks *locks;
	struct host_set allowed;
	uint32_t llcs[64];

	ASSERT_EQ(0, host_set__allowed(&allowed));
	ASSERT_EQ(0, host_topology__read(&host, "/sys", &allowed, NULL));
	for (uint32_t i = 0; i < host.nr_cpus && alone.nr_llcs < 64; i++)
		if (host.cpus[i].llc == host.cpus[i].cpu)
			llcs[alone.nr_llcs++] = host.cpus[i].llc;
	alone.llcs = llcs;
	self->admit.what = "bin name";
	ASSERT_EQ(0, harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	EXPECT_TRUE(cpu_locks__has_all(self->admission.share.cpus));
	EXPECT_EQ(-ETIMEDOUT, cpu_locks__take(&alone, &locks, &self->error));
	EXPECT_NE(NULL, strstr(self->error.reason, "(bin name) shared since "));
	harness_admit__end(&self->admission);
	self->error.err = 0;
	ASSERT_EQ(0, cpu_locks__take(&alone, &locks, &self->error));
	/* A second of waiting is longer than the limit, which would end this process. */
	self->admit.limit_ms = 500;
	setenv(CPU_LOCKS_TIMEOUT_VARIABLE, "1", 1);
	EXPECT_EQ(-ETIMEDOUT,
		  harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	EXPECT_NE(NULL, strstr(self->error.reason, "(other) alone since "));
	/* With the locks goes the share of the budget. */
	EXPECT_EQ(-1, semget(self->admit.key, 0, 0));
	fflush(self->out);
	EXPECT_NE(NULL, strstr(self->text, "# waiting for host CPUs "));
	cpu_locks__give_back(locks);
	host_topology__free(&host);
}

TEST_F(admit, interrupted_wait_is_over_at_once)
{
	struct budget_share share = take_all(self);

	ASSERT_EQ(0, eventfd_write(self->config.cancel_fd, 1));
	EXPECT_EQ(-ECANCELED,
		  harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	budget__give_back(&share);
	EXPECT_EQ(-1, semget(self->admit.key, 0, 0));
}

/* Waits in another process; "TEXT" is all that it printed when it has its room. */
static void wait_beside(struct _test_data_admit *self, char *text, size_t size)
{
	struct budget_share share = take_all(self);
	int fds[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds))
		abort();
	pid = fork();
	if (!pid) {
		FILE *out = fdopen(fds[1], "w");

		close(fds[0]);
		_exit(harness_admit__wait(&self->admit, out, &self->admission, &self->error) != 0);
	}
	close(fds[1]);
	/* It waits when it says so, or when it is in the queue of the turnstile or behind. */
	while (semctl(semget(self->admit.key, 0, 0), 1, GETNCNT) < 1)
		sched_yield();
	budget__give_back(&share);
	while ((n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	waitpid(pid, &status, 0);
	if (status)
		abort();
}

TEST_F(admit, waiting_is_told_in_one_diagnostic)
{
	char text[1024];

	wait_beside(self, text, sizeof(text));
	EXPECT_STREQ("# waiting for 4 vCPUs and 512 MiB: machines have 4 of 4 vCPUs and 512 of "
		     "1024 MiB (KTSTR_MAX_VCPUS, KTSTR_MAX_MEMORY_MB)\n",
		     text);
}

TEST_F(admit, one_of_several_tests_waits_without_a_word)
{
	char text[1024];

	self->id.parallel = true;
	wait_beside(self, text, sizeof(text));
	EXPECT_STREQ("", text);
}

TEST_F(admit, bad_variable_is_an_error)
{
	setenv(BUDGET_VCPUS_VARIABLE, "many", 1);
	EXPECT_EQ(-EINVAL,
		  harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	EXPECT_STREQ(BUDGET_VCPUS_VARIABLE, self->error.object);
}

/* That is said by who creates the machine. */
TEST_F(admit, impossible_machine_needs_no_room)
{
	struct budget_share share = take_all(self);

	self->config.topology.llcs = 0;
	EXPECT_EQ(0, harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	EXPECT_EQ(0, self->admission.share.budget.holder.pid);
	harness_admit__end(&self->admission);
	budget__give_back(&share);
}

/* ---- the limit ---- */

/* A test that hangs, with a child that does, in a group of their own; what is said, and its end. */
static int hang(struct _test_data_admit *self, char *text, size_t size)
{
	int fds[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds))
		abort();
	fflush(NULL);
	pid = fork();
	if (!pid) {
		FILE *out = fdopen(fds[1], "w");

		setpgid(0, 0);
		close(fds[0]);
		self->admit.limit_ms = 50;
		if (harness_admit__wait(&self->admit, out, &self->admission, &self->error))
			_exit(9);
		if (self->id.termsig != SIGKILL)
			fork();
		flockfile(out); /* as if it hung while it prints */
		for (;;)
			pause();
	}
	close(fds[1]);
	/* To the end of the last of them. */
	while ((n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	waitpid(pid, &status, 0);
	return status;
}

TEST_F(admit, what_hangs_is_killed_with_all_that_it_started_and_says_so)
{
	char text[1024];
	int status = hang(self, text, sizeof(text));

	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) TH_LOG("%x", status);
	EXPECT_STREQ("# name: Test terminated by timeout: no end within 0 s\n", text);
}

/* For it, an end by SIGKILL would be a pass. */
TEST_F(admit, what_hangs_and_is_to_end_by_sigkill_fails)
{
	char text[1024];
	int status;

	self->id.termsig = SIGKILL;
	status = hang(self, text, sizeof(text));
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == KSFT_FAIL) TH_LOG("%x", status);
	EXPECT_STREQ("# name: Test terminated by timeout: no end within 0 s\n", text);
}

/* The limit is far shorter than the wait, which only the test ends. */
TEST_F(admit, limit_does_not_count_the_wait)
{
	char text[1024];

	self->admit.limit_ms = 1000000;
	wait_beside(self, text, sizeof(text));
	self->admit.limit_ms = 1;
	self->config.cancel_fd = -1;
	struct budget_share share = take_all(self);
	pid_t pid = fork();
	int status;

	if (!pid) {
		/* A signal that came before would end this. */
		if (harness_admit__wait(&self->admit, self->out, &self->admission, &self->error))
			_exit(9);
		_exit(0);
	}
	while (semctl(semget(self->admit.key, 0, 0), 1, GETNCNT) < 1)
		sched_yield();
	usleep(20000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	budget__give_back(&share);
	waitpid(pid, &status, 0);
}

TEST_F(admit, limit_is_off_when_the_test_is_over)
{
	self->admit.limit_ms = 20;
	ASSERT_EQ(0, harness_admit__wait(&self->admit, self->out, &self->admission, &self->error));
	harness_admit__end(&self->admission);
	usleep(100000);
	harness_admit__end(&self->admission);
}

/* ---- in a run ---- */

static int never_create(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
			struct ktstr_error *error)
{
	(void)config;
	(void)vm;
	return ktstr_error__set(error, EIO, "create", "too early", NULL);
}

static void destroy_none(struct ktstr_vm *vm)
{
	(void)vm;
}

static int canceled(const struct harness_admit *admit, FILE *out,
		    struct harness_admission *admission, struct ktstr_error *error)
{
	(void)out;
	(void)admission;
	(void)error;
	return admit->limit_ms == 1000ull * ktstr_test_attrs__limit_s(
						    &(struct ktstr_test_attrs){.timeout_s = 7})
		       ? -ECANCELED
		       : -EIO;
}

TEST_F(admit, run_that_is_interrupted_in_the_queue_ends_as_an_interrupted_one)
{
	const struct harness_vm_ops ops = {
		.create = never_create, .destroy = destroy_none, .admit = canceled};
	const struct ktstr_test_attrs attrs = {.timeout_s = 7};
	struct ktstr_test_outcome outcome;

	self->id.fixture = self->id.variant = "";
	harness__run_test(&ops, &self->id, &attrs, "/", NULL, -1, self->out, &outcome);
	fflush(self->out);
	EXPECT_EQ(SIGTERM, outcome.signal);
	EXPECT_STREQ("# INTERRUPTED: stopped by the caller while it waited for other machines\n",
		     self->text);
}

TEST_HARNESS_MAIN
