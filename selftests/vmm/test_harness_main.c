// SPDX-License-Identifier: GPL-2.0-only
/*
 * main() of a test binary in host role: runs itself once more with tests that must not run here,
 * and reads the TAP that comes out. Running a machine is replaced by saying what was asked for.
 */
#include <ktstr/harness.h>

#include <fcntl.h>
#include <sys/prctl.h>

#define INNER "KTSTR_TEST_INNER"
/*
 * "meet": the first test ends after the second has ended. "die": the third is killed. "hang":
 * no test ends by itself.
 */
#define INNER_HOW "KTSTR_TEST_HOW"
/* Descriptors of the second instance */
#define MEET_READ_FD 200
#define MEET_WRITE_FD 201
#define LOG_FD 202 /* a line a start and an end of a test, with the process */

/* ---- What the second instance runs. Bodies end it in a way that no expectation below has. ---- */

FIXTURE(fix)
{
	int unused;
};

FIXTURE_VARIANT(fix)
{
	int value;
};

KTSTR_FIXTURE_VARIANT_ADD(fix, wide, .topology = TOPO(1, 4, 1, 1)){.value = 1};
FIXTURE_VARIANT_ADD(fix, plain){.value = 2};

FIXTURE_SETUP(fix)
{
	printf("# setup ran\n");
	_exit(66);
}

FIXTURE_TEARDOWN(fix)
{
	printf("# teardown ran\n");
	_exit(66);
}

KTSTR_TEST_F(fix, both, .topology = TOPO(1, 2, 1, 1), .memory_mb = 300)
{
	_exit(66);
}

XFAIL_ADD(fix, plain, both);

TEST(plain_passes)
{
	_exit(66);
}

KTSTR_TEST(skips, .scheduler = "scx_s", .scheduler_args = KTSTR_ARGS("-f", "x"))
{
	_exit(66);
}

KTSTR_TEST(aborts, .timeout_s = 500)
{
	_exit(66);
}

KTSTR_TEST_SIGNAL(signals, SIGUSR1, .memory_mb = 1)
{
	_exit(66);
}

KTSTR_TEST(uneven, .topology = {.numa_nodes = 2,
				.llcs = 3,
				.cores_per_llc = 1,
				.threads_per_core = 1,
				.nodes = KTSTR_NODES({.llcs = 3}, {.llcs = 0, .memory_mb = 77}),
				.distances = KTSTR_DISTANCES(10, 17, 17, 10)})
{
	_exit(66);
}

static bool how_is(const char *how)
{
	const char *asked = getenv(INNER_HOW);

	return asked && !strcmp(asked, how);
}

static void misbehave(const struct ktstr_test_id *id)
{
	char byte = 0;

	if (how_is("meet") && !strcmp(id->test, "plain_passes"))
		if (read(MEET_READ_FD, &byte, 1) != 1)
			_exit(67);
	if (how_is("die") && !strcmp(id->test, "aborts")) {
		printf("no end");
		fflush(stdout);
		raise(SIGKILL);
	}
	while (how_is("hang"))
		pause();
}

void ktstr_harness__run_test(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			     struct ktstr_test_outcome *outcome)
{
	if (fcntl(LOG_FD, F_GETFD) >= 0)
		dprintf(LOG_FD, "start %s %d\n", id->test, getpid());
	misbehave(id);
	*outcome = (struct ktstr_test_outcome){.exit_code = KSFT_PASS};
	printf("# asked %s/%s/%s llcs=%u memory=%u scheduler=%s arg=%s debug=%d\n", id->fixture,
	       id->variant, id->test, attrs->topology.llcs, attrs->memory_mb,
	       attrs->scheduler ?: "-", attrs->scheduler_args ? attrs->scheduler_args[1] : "-",
	       id->debug);
	if (!strcmp(id->test, "skips")) {
		outcome->exit_code = KSFT_SKIP;
		strcpy(outcome->reason, "not here");
	} else if (!strcmp(id->test, "aborts")) {
		outcome->signal = SIGABRT;
	} else if (!strcmp(id->test, "signals")) {
		outcome->signal = SIGUSR1;
	} else if (!strcmp(id->variant, "plain")) {
		outcome->exit_code = KSFT_FAIL;
	}
	if (fcntl(LOG_FD, F_GETFD) >= 0)
		dprintf(LOG_FD, "end %s %d\n", id->test, getpid());
	if (how_is("meet") && !strcmp(id->test, "skips") && write(MEET_WRITE_FD, "", 1) != 1)
		_exit(67);
}

int ktstr_harness__enter_host(int argc, char **argv, struct ktstr_error *error)
{
	(void)argc;
	(void)argv;
	if (!strcmp(getenv(INNER), "no-kvm"))
		return ktstr_error__set(error, ENODEV, "open", "/dev/kvm", NULL);
	return 0;
}

/* ---- The tests ---- */

FIXTURE(harness)
{
	char text[16384];
	int status;
};

FIXTURE_SETUP(harness)
{
	/* Not those of who runs this, as under nohup. */
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
}

FIXTURE_TEARDOWN(harness)
{
}

/* Runs this binary as a host with @arguments; @inner: "kvm" or "no-kvm". */
static void run(struct _test_data_harness *self, const char *inner, const char *arguments)
{
	char command[512], exe[256];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	size_t size;
	FILE *pipe;

	exe[length < 0 ? 0 : length] = '\0';
	snprintf(command, sizeof(command), INNER "=%s '%s' -F harness %s 2>/dev/null", inner, exe,
		 arguments);
	pipe = popen(command, "r");
	size = pipe ? fread(self->text, 1, sizeof(self->text) - 1, pipe) : 0;
	self->text[size] = '\0';
	self->status = pipe ? WEXITSTATUS(pclose(pipe)) : -1;
}

static bool has(const struct _test_data_harness *self, const char *text)
{
	return strstr(self->text, text);
}

TEST_F(harness, nothing_of_a_test_runs_on_the_host)
{
	run(self, "kvm", "");
	EXPECT_EQ(1, self->status);
	EXPECT_FALSE(has(self, "setup ran"));
	EXPECT_FALSE(has(self, "teardown ran"));
	EXPECT_TRUE(has(self, "1..7\n"));
	EXPECT_TRUE(has(self, " global.plain_passes\n"));
	EXPECT_TRUE(has(self, "# Totals: pass:4 fail:1 xfail:1 xpass:0 skip:1 error:0\n"));
}

TEST_F(harness, ends_are_replayed)
{
	run(self, "kvm", "-f global");
	EXPECT_TRUE(has(self, " global.skips # SKIP not here\n"));
	EXPECT_TRUE(has(self, "# aborts: Test terminated by assertion\n"));
	EXPECT_TRUE(has(self, "not ok 3 global.aborts\n"));
	EXPECT_TRUE(has(self, "ok 4 global.signals\n"));
}

TEST_F(harness, attributes_of_a_variant_go_before_those_of_the_test)
{
	run(self, "kvm", "-f fix");
	EXPECT_TRUE(has(self, "# asked fix/wide/both llcs=4 memory=300 "));
	EXPECT_TRUE(has(self, "# asked fix/plain/both llcs=2 memory=300 "));
	EXPECT_TRUE(has(self, "fix.plain.both # XFAIL"));
	EXPECT_EQ(0, self->status);
}

TEST_F(harness, selection_and_debug_option_reach_the_run)
{
	run(self, "kvm", "-d -t skips");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "1..1\n"));
	EXPECT_TRUE(has(self, "# asked global//skips llcs=0 memory=0 scheduler=scx_s arg=x "
			      "debug=1\n"));
	run(self, "kvm", "-r fix.wide.both");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "1..1\n"));
	EXPECT_TRUE(has(self, "ok 1 fix.wide.both\n"));
}

TEST_F(harness, selection_that_matches_nothing_is_an_error)
{
	run(self, "kvm", "-t nothing");
	EXPECT_EQ(1, self->status);
	EXPECT_TRUE(has(self, "Bail out! no test matches"));
	EXPECT_FALSE(has(self, "1..0"));
}

TEST_F(harness, host_without_kvm_bails_out_with_the_reason)
{
	run(self, "no-kvm", "");
	EXPECT_EQ(1, self->status);
	EXPECT_STREQ("TAP version 13\nBail out! /dev/kvm: open: No such device\n", self->text);
}

TEST_F(harness, list_and_help_run_nothing)
{
	run(self, "no-kvm", "-l");
	EXPECT_EQ(KSFT_SKIP, self->status);
	EXPECT_STREQ("", self->text);
}

TEST_F(harness, a_body_can_read_what_was_declared_for_it)
{
	struct __test_metadata metadata = {
		.name = "both", .fixture = &_fix_fixture_object, .variant = &_fix_wide_variant};

	EXPECT_EQ(4, __ktstr_attrs_of(&metadata).topology.llcs);
	EXPECT_EQ(300, __ktstr_attrs_of(&metadata).memory_mb);
	metadata.variant = &_fix_plain_variant;
	EXPECT_EQ(2, __ktstr_attrs_of(&metadata).topology.llcs);

	metadata = (struct __test_metadata){.name = "uneven", .fixture = &_fixture_global};
	EXPECT_EQ(3, __ktstr_attrs_of(&metadata).topology.llcs);
	EXPECT_EQ(77, __ktstr_attrs_of(&metadata).topology.nodes[1].memory_mb);
	EXPECT_EQ(17, __ktstr_attrs_of(&metadata).topology.distances[2]);
}

/* ---- several at once ---- */

/* The same bytes, whatever was asked for with --jobs. */
TEST_F(harness, several_tests_at_once_print_what_one_after_the_other_does)
{
	static const char *const options[] = {"--jobs 2", "--jobs=3", "--jobs 1024", "--jobs 1"};
	char serial[sizeof(self->text)];

	run(self, "kvm", "");
	strcpy(serial, self->text);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		run(self, "kvm", options[i]);
		EXPECT_EQ(1, self->status);
		EXPECT_STREQ(serial, self->text);
	}
	run(self, "kvm", "-d -r fix.wide.both -t skips");
	strcpy(serial, self->text);
	setenv("KTSTR_JOBS", "2", 1);
	run(self, "kvm", "-d -r fix.wide.both -t skips");
	unsetenv("KTSTR_JOBS");
	EXPECT_EQ(0, self->status);
	EXPECT_STREQ(serial, self->text);
}

/* The log of a run; its end when no process has it any more. */
static int open_log(void)
{
	int fds[2];

	if (pipe(fds) || dup2(fds[1], LOG_FD) != LOG_FD)
		abort();
	close(fds[1]);
	return fds[0];
}

static void read_log(int fd, char *log, size_t size)
{
	size_t length = 0;
	ssize_t n;

	close(LOG_FD);
	while ((n = read(fd, log + length, size - 1 - length)) > 0)
		length += (size_t)n;
	log[length] = '\0';
}

TEST_F(harness, no_more_tests_run_at_once_than_asked_for_and_they_are_told_in_order)
{
	char serial[sizeof(self->text)], log[4096], *line;
	int fds[2], fd, running = 0, most = 0;

	run(self, "kvm", "");
	strcpy(serial, self->text);
	ASSERT_EQ(0, pipe(fds));
	dup2(fds[0], MEET_READ_FD);
	dup2(fds[1], MEET_WRITE_FD);
	fd = open_log();
	/* One after the other, the first would wait for ever. */
	setenv(INNER_HOW, "meet", 1);
	run(self, "kvm", "--jobs 2");
	EXPECT_STREQ(serial, self->text);
	read_log(fd, log, sizeof(log));
	for (line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		running += line[0] == 's' ? 1 : -1;
		most = running > most ? running : most;
	}
	EXPECT_GE(2, most);
}

TEST_F(harness, test_whose_process_dies_has_failed_and_the_others_go_on)
{
	setenv(INNER_HOW, "die", 1);
	run(self, "kvm", "-f global --jobs 2");
	EXPECT_EQ(1, self->status);
	EXPECT_TRUE(has(self, "no end\n# HOST_ERROR: the test's process was killed by signal 9\n"
			      "# aborts: Test failed\n"));
	EXPECT_TRUE(has(self, "not ok 3 global.aborts\n"));
	EXPECT_TRUE(has(self, "\nok 4 global.signals\n"));
	EXPECT_TRUE(has(self, "# Totals: pass:3 fail:1 xfail:0 xpass:0 skip:1 error:0\n"));
}

TEST_F(harness, numbers_of_jobs_that_are_none_are_errors)
{
	static const char *const bad[] = {"--jobs 0",  "--jobs -1", "--jobs=x",
					  "--jobs=2x", "--jobs",    "--jobs 1025"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		run(self, "kvm", bad[i]);
		EXPECT_EQ(1, self->status);
		EXPECT_STREQ("TAP version 13\nBail out! --jobs: takes a number from 1 to 1024\n",
			     self->text);
	}
	setenv("KTSTR_JOBS", "many", 1);
	run(self, "kvm", "");
	EXPECT_EQ(1, self->status);
	EXPECT_STREQ("TAP version 13\nBail out! KTSTR_JOBS: 'many' is not a number from 1 to "
		     "1024\n",
		     self->text);
	run(self, "kvm", "-l");
	EXPECT_EQ(KSFT_SKIP, self->status);
	unsetenv("KTSTR_JOBS");
	run(self, "no-kvm", "-l --jobs 2");
	EXPECT_EQ(KSFT_SKIP, self->status);
	EXPECT_STREQ("", self->text);
}

TEST_F(harness, caps_that_are_none_are_errors)
{
	static const char *const bad[] = {"--cpu-cap 0", "--cpu-cap=1x", "--cpu-cap",
					  "--cpu-cap 8193"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		run(self, "kvm", bad[i]);
		EXPECT_EQ(1, self->status);
		EXPECT_STREQ(
			"TAP version 13\nBail out! --cpu-cap: takes a number of CPUs from 1 to "
			"8192\n",
			self->text);
	}
}

/* ---- several at once that hang, and what ends them ---- */

struct hanging {
	pid_t starter;
	int log;      /* ends with the last of their processes */
	int out;      /* what they print */
	pid_t job[2]; /* the first two tests, plain_passes and skips */
};

/* The next line of the log. */
static bool read_line(int fd, char *line, size_t size)
{
	size_t length = 0;

	while (length < size - 1 && read(fd, line + length, 1) == 1 && line[length] != '\n')
		length++;
	line[length] = '\0';
	return length;
}

static void start_hanging(struct hanging *hanging)
{
	char line[128];
	int out[2];

	hanging->log = open_log();
	if (pipe(out))
		abort();
	hanging->starter = fork();
	if (!hanging->starter) {
		setenv(INNER, "kvm", 1);
		setenv(INNER_HOW, "hang", 1);
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		setpgid(0, 0);
		execl("/proc/self/exe", "inner", "-f", "global", "--jobs", "2", NULL);
		_exit(1);
	}
	close(out[1]);
	close(LOG_FD);
	hanging->out = out[0];
	for (int i = 0; i < 2; i++) {
		char name[32];
		pid_t pid;

		if (!read_line(hanging->log, line, sizeof(line)) ||
		    sscanf(line, "start %31s %d", name, &pid) != 2)
			abort();
		hanging->job[!strcmp(name, "skips")] = pid;
	}
}

/* Waits until all processes are gone: the status of the first. */
static int end_of(struct hanging *hanging, char *text, size_t size)
{
	size_t length = 0;
	char line[128];
	ssize_t n;
	int status;

	while (read_line(hanging->log, line, sizeof(line)))
		;
	while ((n = read(hanging->out, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	waitpid(hanging->starter, &status, 0);
	return status;
}

/* The child of @pid that is not a test. */
static pid_t reporter_of(const struct hanging *hanging, pid_t pid)
{
	char path[64];
	pid_t child = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &child) == 1 &&
	       (child == hanging->job[0] || child == hanging->job[1]))
		;
	if (f)
		fclose(f);
	return child;
}

TEST_F(harness, signals_to_the_binary_end_all_tests)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGKILL};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct hanging hanging;
		int status;

		start_hanging(&hanging);
		kill(hanging.starter, signals[i]);
		status = end_of(&hanging, self->text, sizeof(self->text));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signals[i])
		TH_LOG("%d: %x", signals[i], status);
		EXPECT_FALSE(has(self, "\nok "));
	}
}

/* As under nohup. */
TEST_F(harness, ignored_signal_ends_nothing)
{
	struct hanging hanging;
	int status;

	signal(SIGHUP, SIG_IGN);
	start_hanging(&hanging);
	kill(hanging.starter, SIGHUP);
	kill(hanging.starter, SIGTERM);
	status = end_of(&hanging, self->text, sizeof(self->text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) TH_LOG("%x", status);
}

TEST_F(harness, interrupt_from_the_terminal_ends_all_tests)
{
	struct hanging hanging;
	int status;

	start_hanging(&hanging);
	kill(-hanging.starter, SIGINT); /* to its process group */
	status = end_of(&hanging, self->text, sizeof(self->text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST_F(harness, killed_reporter_ends_all_tests)
{
	struct hanging hanging;
	int status;

	start_hanging(&hanging);
	kill(reporter_of(&hanging, hanging.starter), SIGKILL);
	status = end_of(&hanging, self->text, sizeof(self->text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_F(harness, termination_of_what_stands_for_a_test_ends_that_test_alone)
{
	struct hanging hanging;
	pid_t reporter, child, next, third = -1;
	char line[128] = "";
	int status;

	start_hanging(&hanging);
	reporter = reporter_of(&hanging, hanging.starter);
	do /* It may not have been forked yet. */
		child = reporter_of(&hanging, reporter);
	while (child <= 0);
	kill(child, SIGTERM);
	/* Its place is for the next; the second is untouched. */
	while (third < 0 && read_line(hanging.log, line, sizeof(line)))
		sscanf(line, "start %*s %d", &third);
	EXPECT_LT(0, third);
	EXPECT_EQ(0, kill(hanging.job[1], 0));
	EXPECT_EQ(-1, kill(hanging.job[0], 0));
	do
		next = reporter_of(&hanging, reporter);
	while (next <= 0 || next == child);
	kill(hanging.starter, SIGTERM);
	status = end_of(&hanging, self->text, sizeof(self->text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	EXPECT_TRUE(has(self, "not ok 1 global.plain_passes\n"));
}

/*
 * It would count the time that a test waits for other machines; see test_harness_admit.c. The last
 * test: what it sets is set for all.
 */
TEST_F(harness, kselftests_own_limit_is_off)
{
	struct __test_metadata *t;
	char *argv[] = {(char[]){"x"}, NULL};
	unsigned int nr = 0;

	__ktstr_host_prepare(1, argv);
	for (t = _fixture_global.tests; t; t = t->next, nr++)
		EXPECT_GT(0, t->timeout);
	EXPECT_LT(0, nr);
}

int main(int argc, char **argv)
{
	static char fixture[] = "-f", name[] = "harness";
	char *only[] = {argv[0], fixture, name, NULL};

	if (getenv(INNER))
		return ktstr_harness_main(argc, argv);
	return argc > 1 ? test_harness_run(argc, argv) : test_harness_run(3, only);
}
