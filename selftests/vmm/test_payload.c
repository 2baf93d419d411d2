// SPDX-License-Identifier: GPL-2.0-only
/*
 * Payloads outside of a machine: shell scripts that end well, badly, late or never, and the metrics
 * that are read of what they print. What is sent in a machine is looked at as bytes.
 */
#include "kselftest_harness.h"

#include <ktstr/payload.h>
#include <ktstr/test.h>

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/payload.h"
#include "vmm/outcome.h"

static const struct ktstr_metric a_metric[] = {{.name = "a", .source = "^a=(.*)"}, {.name = NULL}};

/* What ktstr_payload_run() prints is in @self->printed. */
FIXTURE(payload)
{
	struct ktstr_payload payload;
	struct ktstr_payload_result result;
	const char *argv[5], *env[2];
	char printed[65536];
	char dir[64];
};

FIXTURE_SETUP(payload)
{
	self->payload = (struct ktstr_payload){.name = "test", .timeout_ms = 60000};
	strcpy(self->dir, "/tmp/ktstr-payload.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, setenv("DIR", self->dir, 1));
}

FIXTURE_TEARDOWN(payload)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", self->dir);
	EXPECT_EQ(0, system(command));
}

static void program(FIXTURE_DATA(payload) * self, const char *name, const char *argument)
{
	self->argv[0] = name;
	self->argv[1] = argument;
	self->argv[2] = NULL;
	self->payload.argv = self->argv;
}

static void script(FIXTURE_DATA(payload) * self, const char *text)
{
	program(self, "sh", "-c");
	self->argv[2] = text;
	self->argv[3] = NULL;
}

static int run(FIXTURE_DATA(payload) * self)
{
	int saved = dup(STDOUT_FILENO), fd = memfd_create("printed", 0), ret;
	ssize_t n;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	ret = ktstr_payload_run(&self->payload, &self->result);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	n = pread(fd, self->printed, sizeof(self->printed) - 1, 0);
	self->printed[n > 0 ? n : 0] = '\0';
	close(saved);
	close(fd);
	return ret;
}

static bool printed(const FIXTURE_DATA(payload) * self, const char *text)
{
	return strstr(self->printed, text);
}

/* ---- how a program ends ---- */

TEST_F(payload, success_is_0_and_nothing_of_its_output_is_printed)
{
	script(self, "echo hello; echo there >&2");
	EXPECT_EQ(0, run(self));
	EXPECT_STREQ("", self->result.problem);
	EXPECT_EQ(0, self->result.exit_code);
	EXPECT_EQ(0, self->result.signal);
	EXPECT_EQ(12, self->result.nr_bytes);
	EXPECT_EQ(0, self->result.nr_killed);
	EXPECT_FALSE(self->result.sent);
	EXPECT_STREQ("", self->printed);
}

TEST_F(payload, program_that_is_not_there_is_named)
{
	program(self, "no-such-program", "-x");
	EXPECT_EQ(-ENOENT, run(self));
	EXPECT_STREQ("no-such-program cannot be executed: not found; is it among the test's "
		     ".files?",
		     self->result.problem);
	EXPECT_EQ(-1, self->result.exit_code);
	EXPECT_STREQ("# test: no-such-program cannot be executed: not found; is it among the "
		     "test's .files?\n",
		     self->printed);
}

TEST_F(payload, file_that_is_no_program_is_told_apart)
{
	program(self, "/etc", NULL);
	EXPECT_EQ(-EACCES, run(self));
	EXPECT_STREQ("/etc cannot be executed: Permission denied", self->result.problem);
}

TEST_F(payload, another_exit_code_is_told_with_the_end_of_the_output)
{
	script(self, "seq 100; printf 'b\\033[1mad' >&2; exit 3");
	EXPECT_EQ(-ECHILD, run(self));
	EXPECT_STREQ("it exited with code 3 instead of 0", self->result.problem);
	EXPECT_EQ(3, self->result.exit_code);
	EXPECT_TRUE(printed(self, "# test: it exited with code 3 instead of 0\n# test: | ...\n"
				  "# test: | 81\n# test: | 82\n"));
	EXPECT_TRUE(printed(self, "# test: | 100\n# test: | b?[1mad\n"));
	EXPECT_FALSE(printed(self, "| 80\n"));
}

TEST_F(payload, declared_exit_code_is_the_right_one)
{
	self->payload.exit_code = 3;
	script(self, "exit 3");
	EXPECT_EQ(0, run(self));
	script(self, "exit 0");
	EXPECT_EQ(-ECHILD, run(self));
	EXPECT_STREQ("it exited with code 0 instead of 3", self->result.problem);
}

TEST_F(payload, signal_is_told)
{
	script(self, "kill -s SEGV $$");
	EXPECT_EQ(-ECHILD, run(self));
	EXPECT_EQ(SIGSEGV, self->result.signal);
	EXPECT_EQ(-1, self->result.exit_code);
	EXPECT_STREQ("signal 11 ended it (Segmentation fault)", self->result.problem);
}

TEST_F(payload, input_and_environment_arrive_and_defaults_are_empty)
{
	script(self, "[ \"$(cat)\" = 'two words' ] && [ \"$X\" = 1 ]");
	self->payload.input = "two words";
	self->env[0] = "X=1";
	self->payload.env = self->env;
	EXPECT_EQ(0, run(self));
	script(self, "[ -z \"$(cat)\" ] && [ -z \"$X\" ]");
	self->payload.input = NULL;
	self->payload.env = NULL;
	EXPECT_EQ(0, run(self));
}

TEST_F(payload, signals_are_as_a_program_expects_them)
{
	static const struct ktstr_metric metrics[] = {
		{.name = "blocked", .source = "^SigBlk:\t(.*)"},
		{.name = "ignored", .source = "^SigIgn:\t(.*)"},
		{.name = NULL},
	};
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	/* No shell: it would set some of this right. */
	program(self, "grep", "-E");
	self->argv[2] = "^Sig(Blk|Ign):";
	self->argv[3] = "/proc/self/status";
	self->argv[4] = NULL;
	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = metrics;
	EXPECT_EQ(0, run(self));
	signal(SIGCHLD, SIG_DFL);
	EXPECT_EQ(0, ktstr_payload_result__value(&self->result, "blocked"));
	/*
	 * But for glibc's own two, 32 and 33, which no program can set: posix_spawn(), as make
	 * starts this, leaves them ignored. The digits are hexadecimal, and read as decimal.
	 */
	if (ktstr_payload_result__value(&self->result, "ignored") != 180000000)
		EXPECT_EQ(0, ktstr_payload_result__value(&self->result, "ignored"));
}

TEST_F(payload, descriptors_of_the_test_stay_with_it)
{
	int fd = open("/dev/null", O_RDONLY);

	ASSERT_GT(fd, 2);
	script(self, "[ \"$(ls /proc/self/fd | tr '\\n' ' ')\" = '0 1 2 3 ' ]"); /* 3: ls's own */
	EXPECT_EQ(0, run(self));
	close(fd);
}

/* ---- time and processes ---- */

static bool is_alive(const char *pid_file)
{
	char text[32] = "";
	FILE *f = fopen(pid_file, "r");
	long pid = 0;

	if (f && fgets(text, sizeof(text), f))
		pid = strtol(text, NULL, 10);
	if (f)
		fclose(f);
	return pid <= 0 || !kill((pid_t)pid, 0);
}

static char *in_dir(FIXTURE_DATA(payload) * self, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", self->dir, name);
	return path;
}

#define DEAD_LEADER "KTSTR_TEST_DEAD_LEADER"

static void *sleep_for_ever(void *opaque)
{
	for (;;)
		pause();
	return opaque;
}

/* This program as a payload: a process whose first thread has ended looks like a zombie. */
static void __attribute__((constructor)) end_first_thread_when_told(void)
{
	pthread_t thread;

	if (!getenv(DEAD_LEADER) || pthread_create(&thread, NULL, sleep_for_ever, NULL))
		return;
	syscall(SYS_exit, 0); /* of this thread alone; pthread_exit() wants main() */
}

TEST_F(payload, time_limit_ends_a_process_whose_first_thread_has_ended)
{
	char self_path[4096];
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);

	ASSERT_GT(n, 0);
	self_path[n] = '\0';
	setenv(DEAD_LEADER, "1", 1);
	program(self, self_path, NULL);
	self->payload.timeout_ms = 1000;
	EXPECT_EQ(-ETIMEDOUT, run(self))
	{
		TH_LOG("%s", self->result.problem);
	}
	unsetenv(DEAD_LEADER);
	EXPECT_TRUE(self->result.timed_out);
}

TEST_F(payload, time_limit_kills_all_that_was_started)
{
	script(self, "setsid sh -c 'echo $$ >$DIR/pid; exec sleep 1000' & "
		     "while [ ! -s $DIR/pid ]; do :; done; echo here; "
		     "trap '' TERM; while :; do sleep 1000; done");
	self->payload.timeout_ms = 1500;
	EXPECT_EQ(-ETIMEDOUT, run(self));
	EXPECT_TRUE(self->result.timed_out);
	EXPECT_EQ(SIGKILL, self->result.signal);
	EXPECT_STREQ("it did not end within 1500 ms", self->result.problem);
	EXPECT_GE(self->result.run_ns, UINT64_C(1500000000));
	EXPECT_TRUE(printed(self, "# test: | here\n"));
	EXPECT_FALSE(is_alive(in_dir(self, "pid")));
}

/* A daemon: another session, an orphan, the streams still open. */
TEST_F(payload, daemon_ends_with_the_program_and_is_counted)
{
	script(self, "(setsid sh -c 'echo $$ >$DIR/pid; echo from daemon; exec sleep 1000' &); "
		     "while [ ! -s $DIR/pid ]; do :; done");
	EXPECT_EQ(0, run(self));
	EXPECT_EQ(1, self->result.nr_killed);
	EXPECT_FALSE(is_alive(in_dir(self, "pid")));
	EXPECT_STREQ("# test: 1 process of it had to be killed\n", self->printed);
}

TEST_F(payload, children_of_the_test_are_left_alone)
{
	pid_t pid = fork();
	int status;

	ASSERT_GE(pid, 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	script(self, "sleep 1000 &");
	EXPECT_EQ(0, run(self));
	EXPECT_EQ(1, self->result.nr_killed);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
}

TEST_F(payload, background_payload_goes_on_until_it_is_stopped)
{
	struct ktstr_payload_process *process;

	script(self, "trap 'echo a=7; exit 0' TERM; : >$DIR/ready; "
		     "while :; do sleep 0.05; done");
	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = a_metric;
	ASSERT_EQ(0, ktstr_payload_start(&self->payload, &process));
	while (access(in_dir(self, "ready"), F_OK))
		poll(NULL, 0, 10);
	EXPECT_EQ(0, ktstr_payload_stop(process, &self->result));
	EXPECT_TRUE(self->result.stopped);
	EXPECT_EQ(7, ktstr_payload_result__value(&self->result, "a"));
	/* The signal itself is a right end, too. */
	self->payload.output = KTSTR_OUTPUT_NONE;
	self->payload.metrics = NULL;
	program(self, "sleep", "1000");
	ASSERT_EQ(0, ktstr_payload_start(&self->payload, &process));
	EXPECT_EQ(0, ktstr_payload_stop(process, &self->result));
	EXPECT_EQ(SIGTERM, self->result.signal);
}

TEST_F(payload, payload_ends_with_the_test)
{
	struct ktstr_payload_process *process;
	siginfo_t info;
	pid_t test = fork();
	int payload_fd;
	FILE *f;
	int pid;

	ASSERT_GE(test, 0);
	if (!test) {
		script(self, "trap '' TERM HUP; echo $$ >$DIR/pid.new; "
			     "mv $DIR/pid.new $DIR/pid; "
			     "while :; do sleep 1000; done");
		if (ktstr_payload_start(&self->payload, &process))
			_exit(1);
		while (access(in_dir(self, "pid"), F_OK))
			poll(NULL, 0, 10);
		_exit(0);
	}
	ASSERT_EQ(0, waitid(P_PID, (id_t)test, &info, WEXITED));
	ASSERT_EQ(0, info.si_status);
	f = fopen(in_dir(self, "pid"), "r");
	ASSERT_NE(NULL, f);
	ASSERT_EQ(1, fscanf(f, "%d", &pid));
	fclose(f);
	/* It is gone already, or about to go: the end of a process can be waited for. */
	payload_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (payload_fd >= 0) {
		struct pollfd pfd = {.fd = payload_fd, .events = POLLIN};

		EXPECT_EQ(1, poll(&pfd, 1, 20000));
		close(payload_fd);
	}
}

TEST_F(payload, supervisor_that_is_killed_is_no_pass)
{
	script(self, "kill -s KILL $PPID; exec sleep 1000");
	EXPECT_EQ(-EIO, run(self));
	EXPECT_STREQ("its supervisor was ended by signal 9, and the result is lost",
		     self->result.problem);
}

/* ---- patterns ---- */

TEST_F(payload, patterns_read_lines_of_both_streams)
{
	static const struct {
		enum ktstr_metric_pick pick;
		double value;
	} picks[] = {
		{KTSTR_PICK_LAST, 4},	  {KTSTR_PICK_FIRST, 3}, {KTSTR_PICK_LEAST, -1.5},
		{KTSTR_PICK_GREATEST, 4}, {KTSTR_PICK_SUM, 5.5}, {KTSTR_PICK_MEAN, 5.5 / 3},
	};
	struct ktstr_metric metrics[] = {
		{.name = "v", .unit = "ms", .source = "^v +([-0-9.]+) ms$"},
		{.name = "e", .source = "err=([0-9.e+]+)", .scale = 1e-3},
		{.name = NULL},
	};

	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = metrics;
	script(self, "printf 'v 3 ms\\r\\nno v 9 ms\\nv  -1.5 ms\\nv 4 ms'; "
		     "printf 'x\\0err=2.5e+3\\n' >&2");
	for (size_t i = 0; i < ARRAY_SIZE(picks); i++) {
		metrics[0].pick = picks[i].pick;
		EXPECT_EQ(0, run(self));
		EXPECT_EQ(picks[i].value, ktstr_payload_result__value(&self->result, "v"));
		EXPECT_EQ(2.5, ktstr_payload_result__value(&self->result, "e"));
	}
	EXPECT_TRUE(printed(self, "# test: v 1.833333333 ms\n# test: e 2.5\n"));
	EXPECT_TRUE(isnan(ktstr_payload_result__value(&self->result, "other")));
}

TEST_F(payload, limits_are_checked_both_ways_and_named)
{
	struct ktstr_metric metrics[] = {
		{.name = "a",
		 .unit = "1/s",
		 .source = "^a=(.*)",
		 .minimum = KTSTR_LIMIT(10),
		 .maximum = KTSTR_LIMIT(20)},
		{.name = NULL},
	};

	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = metrics;
	script(self, "echo a=10");
	EXPECT_EQ(0, run(self));
	EXPECT_STREQ("# test: a 10 1/s (at least 10, at most 20)\n", self->printed);
	script(self, "echo a=20");
	EXPECT_EQ(0, run(self));
	script(self, "echo a=9.5");
	EXPECT_EQ(-ERANGE, run(self));
	EXPECT_EQ(KTSTR_METRIC_TOO_LOW, self->result.metrics[0].flags);
	EXPECT_STREQ("a is 9.5 1/s (at least 10, at most 20): too low", self->result.problem);
	script(self, "echo a=20.25");
	EXPECT_EQ(-ERANGE, run(self));
	EXPECT_EQ(KTSTR_METRIC_TOO_HIGH, self->result.metrics[0].flags);
	EXPECT_TRUE(printed(self, "# test: a 20.25 1/s (at least 10, at most 20): too high\n"));
	/* A limit of 0 is one. */
	metrics[0].minimum.is_set = false;
	metrics[0].maximum.value = 0;
	EXPECT_EQ(-ERANGE, run(self));
}

TEST_F(payload, what_is_no_finite_number_is_missing_and_never_within_limits)
{
	static const char *const bad[] = {"echo a=nan", "echo a=inf",	  "echo a=1e999",
					  "echo a=",	"echo a=12three", "echo a=1; echo a=x"};

	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = a_metric;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		script(self, bad[i]);
		EXPECT_EQ(-ENODATA, run(self))
		{
			TH_LOG("for %s", bad[i]);
		}
		EXPECT_STREQ("metric a (^a=(.*)) is not a finite number", self->result.problem);
		EXPECT_EQ(KTSTR_METRIC_MISSING, self->result.metrics[0].flags);
		EXPECT_TRUE(isnan(self->result.metrics[0].value));
	}
	script(self, "echo b=1");
	EXPECT_EQ(-ENODATA, run(self));
	EXPECT_STREQ("metric a (^a=(.*)) is not in the output", self->result.problem);
	EXPECT_TRUE(printed(self, "# test: a missing\n"));
}

TEST_F(payload, endless_output_has_a_bound_and_its_lines_are_all_read)
{
	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = a_metric;
	script(self, "head -c 100M /dev/zero; echo; echo a=5");
	EXPECT_EQ(0, run(self));
	EXPECT_EQ(5, ktstr_payload_result__value(&self->result, "a"));
	EXPECT_EQ((100u << 20) + 5, self->result.nr_bytes);
	EXPECT_FALSE(self->result.output_cut);
}

/* What is in a pipe when the program ends is more than one read of it. */
TEST_F(payload, last_of_the_output_is_read_after_the_end)
{
	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = a_metric;
	/* The supervisor stands still until all is written. 1031 is F_SETPIPE_SZ. */
	script(self, "kill -s STOP $PPID; (sleep 0.5; kill -s CONT $PPID) & "
		     "exec perl -e 'fcntl(STDOUT, 1031, 1 << 20); "
		     "print \"x\" x 900000, \"\\na=5\\n\"'");
	EXPECT_EQ(0, run(self));
	EXPECT_EQ(5, ktstr_payload_result__value(&self->result, "a"));
	EXPECT_EQ(900005, self->result.nr_bytes);
}

TEST_F(payload, output_that_is_to_be_kept_and_too_much_is_an_error)
{
	static const enum ktstr_payload_output outputs[] = {KTSTR_OUTPUT_JSON, KTSTR_OUTPUT_RAW};

	/* It would be right JSON, were it all kept. */
	script(self, "echo '{\"a\": 1'; head -c 100M /dev/zero | tr '\\0' ' '; "
		     "echo '}'");
	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		self->payload.output = outputs[i];
		EXPECT_EQ(-EFBIG, run(self));
		EXPECT_TRUE(self->result.output_cut);
		EXPECT_EQ((100u << 20) + 10, self->result.nr_bytes);
		EXPECT_STREQ("its output is more than the 16773120 bytes that are kept",
			     self->result.problem);
	}
}

TEST_F(payload, file_takes_the_place_of_the_streams)
{
	static const struct ktstr_metric sum[] = {
		{.name = "a", .source = "^a=(.*)", .pick = KTSTR_PICK_SUM}, {.name = NULL}};
	char *path = in_dir(self, "out");
	FILE *f = fopen(path, "w");

	self->payload.output = KTSTR_OUTPUT_PATTERN;
	self->payload.metrics = sum;
	self->payload.output_file = path;
	ASSERT_NE(NULL, f);
	fputs("a=1\n", f);
	fclose(f);
	script(self, "echo a=2; echo a=3 >&2; echo a=4 >$DIR/out");
	EXPECT_EQ(0, run(self));
	EXPECT_EQ(4, ktstr_payload_result__value(&self->result, "a"));
	/* What an earlier run left does not count. */
	script(self, "echo a=2");
	EXPECT_EQ(-ENODATA, run(self));
	EXPECT_NE(NULL, strstr(self->result.problem, "it did not leave its output in /tmp/"));
	script(self, "mkfifo $DIR/out");
	EXPECT_EQ(-ENODATA, run(self));
}

/* ---- JSON ---- */

#define DOCUMENT                                                                        \
	"{\"jobs\": [{\"x.y\": {\"iops\": 5}, \"lat\": 1.5}, {\"lat\": 2.5}], "         \
	"\"thread\": {\"0\": {\"max\": 7}, \"1\": {\"max\": 9}, \"2\": {\"max\": 8}}, " \
	"\"back\\\\slash\": 3, \"text\": \"4\", \"*\": 6}"

TEST_F(payload, json_paths_lead_through_objects_and_arrays)
{
	static const struct {
		const char *path;
		enum ktstr_metric_pick pick;
		double value;
	} paths[] = {
		{"jobs.0.lat", KTSTR_PICK_LAST, 1.5},	   {"jobs.1.lat", KTSTR_PICK_LAST, 2.5},
		{"jobs.0.x\\.y.iops", KTSTR_PICK_LAST, 5}, {"jobs.*.lat", KTSTR_PICK_SUM, 4},
		{"thread.*.max", KTSTR_PICK_GREATEST, 9},  {"thread.*.max", KTSTR_PICK_MEAN, 8},
		{"back\\\\slash", KTSTR_PICK_LAST, 3},	   {"\\*", KTSTR_PICK_LAST, 6},
	};
	struct ktstr_metric metrics[] = {{.name = "m"}, {.name = NULL}};

	self->payload.output = KTSTR_OUTPUT_JSON;
	self->payload.metrics = metrics;
	script(self, "cat; echo noise >&2");
	self->payload.input = DOCUMENT;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		metrics[0].source = paths[i].path;
		metrics[0].pick = paths[i].pick;
		EXPECT_EQ(0, run(self))
		{
			TH_LOG("for %s", paths[i].path);
		}
		EXPECT_EQ(paths[i].value, self->result.metrics[0].value);
	}
}

TEST_F(payload, json_paths_that_lead_nowhere_are_missing)
{
	static const char *const paths[] = {"jobs.2.lat",
					    "jobs.00.lat",
					    "jobs.-1.lat",
					    "jobs.x.lat",
					    "jobs.0.lat.more",
					    "Jobs.0.lat",
					    "jobs.18446744073709551616.lat",
					    "nothing.*"};
	static const char *const no_numbers[] = {"jobs", "jobs.0", "text", "jobs.*"};
	struct ktstr_metric metrics[] = {{.name = "m"}, {.name = NULL}};

	self->payload.output = KTSTR_OUTPUT_JSON;
	self->payload.metrics = metrics;
	script(self, "cat");
	self->payload.input = DOCUMENT;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		metrics[0].source = paths[i];
		EXPECT_EQ(-ENODATA, run(self));
		EXPECT_NE(NULL, strstr(self->result.problem, "is not in the output"))
		{
			TH_LOG("for %s: %s", paths[i], self->result.problem);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++) {
		metrics[0].source = no_numbers[i];
		EXPECT_EQ(-ENODATA, run(self));
		EXPECT_NE(NULL, strstr(self->result.problem, "is not a finite number"));
	}
}

TEST_F(payload, what_is_not_json_is_told_with_its_place)
{
	static const char *const bad[] = {"",
					  "{\"a\": 1",
					  "{\"a\": 1} more",
					  "{\"a\": nan}",
					  "warning\n{\"a\": 1}",
					  "{\"a\": 1e999}"};
	struct ktstr_metric metrics[] = {{.name = "a", .source = "a"}, {.name = NULL}};

	self->payload.output = KTSTR_OUTPUT_JSON;
	self->payload.metrics = metrics;
	script(self, "cat");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		self->payload.input = bad[i];
		EXPECT_EQ(-EBADMSG, run(self))
		{
			TH_LOG("for '%s'", bad[i]);
		}
		EXPECT_EQ(0, strncmp(self->result.problem, "the output is not JSON: line ", 29));
		EXPECT_EQ(KTSTR_METRIC_MISSING, self->result.metrics[0].flags);
	}
	/* Deep nesting is refused, not followed until the stack ends. */
	self->payload.input = NULL;
	script(self, "head -c 1000000 /dev/zero | tr '\\0' '['");
	EXPECT_EQ(-EBADMSG, run(self));
}

TEST_F(payload, first_cause_wins)
{
	struct ktstr_metric metrics[] = {{.name = "a", .source = "a"}, {.name = NULL}};

	self->payload.output = KTSTR_OUTPUT_JSON;
	self->payload.metrics = metrics;
	script(self, "echo '{}' | head -c 1; exit 2");
	EXPECT_EQ(-ECHILD, run(self));
	EXPECT_STREQ("it exited with code 2 instead of 0", self->result.problem);
}

/* ---- descriptions ---- */

TEST_F(payload, wrong_descriptions_run_nothing_and_say_why)
{
	const struct {
		struct ktstr_payload payload;
		const char *why;
	} wrong[] = {
		{{.argv = KTSTR_ARGS("true")}, "its name is missing"},
		{{.name = "a b", .argv = KTSTR_ARGS("true")}, "its name is missing"},
		{{.name = "a"}, "it has no argv"},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .metrics = KTSTR_METRICS({.name = "m", .source = "x"})},
		 "its metrics need .output"},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .output = KTSTR_OUTPUT_PATTERN,
		  .metrics = KTSTR_METRICS({.name = "m", .source = "x"})},
		 "has 0 groups instead of one"},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .output = KTSTR_OUTPUT_PATTERN,
		  .metrics = KTSTR_METRICS({.name = "m", .source = "(x"})},
		 "the pattern of m, '(x', is wrong: "},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .output = KTSTR_OUTPUT_PATTERN,
		  .metrics = KTSTR_METRICS({.name = "m"})},
		 "metric m has no source"},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .output = KTSTR_OUTPUT_JSON,
		  .metrics = KTSTR_METRICS({.name = "m", .source = "a..b"})},
		 "metric m has a path with a key that is empty"},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .output = KTSTR_OUTPUT_JSON,
		  .metrics = KTSTR_METRICS({.name = "m", .source = "a\\"})},
		 "metric m has a path with a key that is empty"},
		{{.name = "a",
		  .argv = KTSTR_ARGS("true"),
		  .output = KTSTR_OUTPUT_JSON,
		  .metrics = KTSTR_METRICS(
			  {.name = "m", .source = "a", .maximum = KTSTR_LIMIT((double)NAN)})},
		 "metric m has a scale or a limit that is not finite"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		self->payload = wrong[i].payload;
		EXPECT_EQ(-EINVAL, run(self));
		EXPECT_NE(NULL, strstr(self->result.problem, wrong[i].why))
		{
			TH_LOG("'%s' instead of '%s'", self->result.problem, wrong[i].why);
		}
	}
}

/* ---- what is sent ---- */

TEST(encoded_metrics_are_what_the_host_accepts)
{
	const struct ktstr_payload payload = {
		.name = "prog",
		.argv = KTSTR_ARGS("prog"),
		.metrics = KTSTR_METRICS({.name = "rate", .unit = "1/s", .minimum = KTSTR_LIMIT(3)},
					 {.name = "gone", .maximum = KTSTR_LIMIT(0)}),
	};
	const struct ktstr_payload_result result = {
		.payload = &payload,
		.exit_code = -1,
		.signal = 9,
		.run_ns = 5,
		.nr_metrics = 2,
		.metrics = {{2, KTSTR_METRIC_TOO_LOW}, {(double)NAN, KTSTR_METRIC_MISSING}},
	};
	struct ktstr_metrics_payload head;
	struct ktstr_metric_record record;
	struct outcome outcome;
	size_t length;
	char *frame = payload__encode(&result, 7, &length);
	const char *at = frame;

	ASSERT_NE(NULL, frame);
	outcome__init(&outcome);
	EXPECT_EQ(0, outcome__frame(&outcome, KTSTR_FRAME_PAYLOAD_METRICS, (uint8_t *)frame,
				    (uint32_t)length));
	outcome__free(&outcome);
	ASSERT_EQ(sizeof(head) + 4 + 2 * sizeof(record) + 4 + 3 + 4, length);
	memcpy(&head, at, sizeof(head));
	EXPECT_EQ(7, head.boot_ns);
	EXPECT_EQ(5, head.run_ns);
	EXPECT_EQ(9, head.signal);
	EXPECT_EQ(0, head.exit_code);
	EXPECT_EQ(2, head.nr_metrics);
	at += sizeof(head);
	EXPECT_EQ(0, memcmp("prog", at, 4));
	memcpy(&record, at + 4, sizeof(record));
	EXPECT_EQ(2, record.value);
	EXPECT_EQ(3, record.minimum);
	EXPECT_TRUE(isnan(record.maximum));
	EXPECT_EQ(KTSTR_METRIC_TOO_LOW, record.flags);
	EXPECT_EQ(0, memcmp("rate1/s", at + 4 + sizeof(record), 7));
	memcpy(&record, at + 4 + sizeof(record) + 7, sizeof(record));
	EXPECT_EQ(KTSTR_METRIC_MISSING, record.flags);
	EXPECT_EQ(0, record.maximum);
	free(frame);
}

TEST_HARNESS_MAIN
