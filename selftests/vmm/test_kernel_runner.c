// SPDX-License-Identifier: GPL-2.0-only
/*
 * What selftests/sched_ext/kernel_suite takes for the verdict of the kernel's own runner, with
 * shell scripts as runners: anything but a line of exactly the name that is asked for, by a runner
 * that ends well, is a failure.
 */
#include "kselftest_harness.h"

#include <sys/stat.h>

#include "../sched_ext/kernel_runner.c"

FIXTURE(runner)
{
	char dir[32], path[64];
	char text[4096]; /* what was relayed */
	struct kernel_runner_result result;
};

FIXTURE_SETUP(runner)
{
	strcpy(self->dir, "/tmp/ktstr-runner.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/runner", self->dir);
}

FIXTURE_TEARDOWN(runner)
{
	unlink(self->path);
	rmdir(self->dir);
}

static void write_script(struct __test_metadata *_metadata, const char *path, const char *body)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	ASSERT_GE(fd, 0);
	ASSERT_LT(0, dprintf(fd, "#!/bin/sh\n%s\n", body));
	close(fd);
}

/* Asks a runner that does @body for the verdict of "numa". */
static void ask(struct __test_metadata *_metadata, FIXTURE_DATA(runner) * self, const char *body)
{
	FILE *out = tmpfile();
	size_t length;

	ASSERT_NE(NULL, out);
	write_script(_metadata, self->path, body);
	ASSERT_EQ(0, kernel_runner__run(self->path, "numa", fileno(out), &self->result));
	rewind(out);
	length = fread(self->text, 1, sizeof(self->text) - 1, out);
	self->text[length] = '\0';
	fclose(out);
}

#define EXPECT_PASS()                                             \
	EXPECT_EQ(KERNEL_RUNNER_PASS, self->result.verdict)       \
	{                                                         \
		TH_LOG("%s\n%s", self->result.cause, self->text); \
	}
#define EXPECT_FAILURE(text)                                         \
	do {                                                         \
		EXPECT_EQ(KERNEL_RUNNER_FAIL, self->result.verdict); \
		EXPECT_NE(NULL, strstr(self->result.cause, text))    \
		{                                                    \
			TH_LOG("%s", self->result.cause);            \
		}                                                    \
	} while (0)

TEST_F(runner, line_of_the_name_is_a_pass)
{
	ask(_metadata, self,
	    "[ \"$1 $2 $#\" = '-t numa 2' ] || exit 9; echo 'TEST: numa'\n"
	    "echo 'ok 1 numa # '; echo '=====  END  ====='");
	EXPECT_PASS();
	EXPECT_STREQ("TEST: numa\nok 1 numa # \n=====  END  =====\n", self->text);
}

TEST_F(runner, line_of_the_name_among_others_is_a_pass)
{
	ask(_metadata, self,
	    "echo 'ok 1 numa_far # '; echo 'not ok 2 a_numa # '\n"
	    "echo 'ok 3 numa # '; exit 1");
	EXPECT_PASS();
}

TEST_F(runner, line_in_pieces_is_a_line)
{
	ask(_metadata, self, "for part in ok ' 12' ' nu' 'ma' ' #'; do printf %s \"$part\"; done");
	EXPECT_PASS();
}

TEST_F(runner, skip_is_a_skip)
{
	ask(_metadata, self, "echo 'ok 1 numa # SKIP '");
	EXPECT_EQ(KERNEL_RUNNER_SKIP, self->result.verdict);
}

TEST_F(runner, not_ok_is_a_failure_though_it_exits_with_0)
{
	ask(_metadata, self, "echo 'not ok 1 numa # '");
	EXPECT_FAILURE("not ok numa");
	ask(_metadata, self, "echo 'not ok 1 numa # SKIP '");
	EXPECT_FAILURE("not ok numa");
}

TEST_F(runner, unknown_status_is_a_failure)
{
	ask(_metadata, self, "echo '<UNKNOWN> 1 numa # '");
	EXPECT_FAILURE("not ok numa");
	ask(_metadata, self, "echo 'ok 1 numa # XPASS'");
	EXPECT_FAILURE("not ok numa");
}

TEST_F(runner, silence_is_a_failure)
{
	ask(_metadata, self, "exit 0");
	EXPECT_FAILURE("no result of numa: the runner exited with code 0");
}

TEST_F(runner, longer_and_shorter_names_are_not_the_name)
{
	ask(_metadata, self,
	    "for name in numa_far far_numa num nuMa; do echo \"ok 1 $name # \"; done");
	EXPECT_FAILURE("no result of numa");
}

TEST_F(runner, what_only_looks_like_a_line_is_none)
{
	ask(_metadata, self,
	    "echo ' ok 1 numa # '; echo 'ok numa'; echo 'ok 1numa'; echo '# ok 1 numa'\n"
	    "echo 'ok 1  numa # '; echo 'okay 1 numa # '; echo 'ok'; echo 'ok 1'");
	EXPECT_FAILURE("no result of numa");
}

TEST_F(runner, crash_is_a_failure)
{
	ask(_metadata, self, "echo 'TEST: numa'; kill -s SEGV $$");
	EXPECT_FAILURE("no result of numa: the runner was killed by signal 11");
}

TEST_F(runner, crash_after_the_result_is_a_failure)
{
	ask(_metadata, self, "echo 'ok 1 numa # '; kill -s SEGV $$");
	EXPECT_FAILURE("after its result the runner was killed by signal 11");
	ask(_metadata, self, "echo 'ok 1 numa # SKIP '; exit 1");
	EXPECT_FAILURE("after its result the runner exited with code 1");
}

TEST_F(runner, runner_that_cannot_be_executed_is_a_failure)
{
	write_script(_metadata, self->path, "");
	ASSERT_EQ(0, chmod(self->path, 0644));
	ASSERT_EQ(0, kernel_runner__run(self->path, "numa", STDOUT_FILENO, &self->result));
	EXPECT_FAILURE("exited with code 127");
}

TEST_F(runner, results_that_contradict_each_other_are_a_failure)
{
	ask(_metadata, self, "echo 'ok 1 numa # '; echo 'not ok 2 numa # '");
	EXPECT_FAILURE("not ok numa");
	ask(_metadata, self, "echo 'ok 1 numa # '; echo 'ok 1 numa # SKIP '");
	EXPECT_FAILURE("two things");
	ask(_metadata, self, "echo 'ok 1 numa # '; echo 'ok 1 numa # '");
	EXPECT_PASS();
}

/* It would wait for longer than this test may. */
TEST_F(runner, test_behind_the_one_is_not_run)
{
	ask(_metadata, self,
	    "echo 'ok 1 numa # '; echo 'TEST: numa_far'; sleep 1000; echo 'not ok 2 numa # '");
	EXPECT_PASS();
	ask(_metadata, self,
	    "echo 'TEST: a_numa'; echo 'not ok 1 numa # '; echo 'TEST: numa_far'; sleep 1000");
	EXPECT_FAILURE("not ok numa");
}

TEST_F(runner, process_that_it_leaves_is_not_waited_for)
{
	ask(_metadata, self, "sleep 1000 & echo 'ok 1 numa # '");
	EXPECT_PASS();
}

/* ---- Names ---- */

#define EXPECT_NAMES(body)                                                    \
	do {                                                                  \
		char **_names;                                                \
		size_t _nr;                                                   \
		write_script(_metadata, self->path, body);                    \
		ASSERT_EQ(0, kernel_runner__list(self->path, &_names, &_nr)); \
		ASSERT_EQ(2, _nr);                                            \
		EXPECT_STREQ("minimal", _names[0]);                           \
		EXPECT_STREQ("select_cpu_dfl", _names[1]);                    \
		kernel_runner__free(_names, _nr);                             \
	} while (0)

#define EXPECT_NO_NAMES(body)                                                       \
	do {                                                                        \
		char **_names;                                                      \
		size_t _nr;                                                         \
		write_script(_metadata, self->path, body);                          \
		EXPECT_EQ(-EPROTO, kernel_runner__list(self->path, &_names, &_nr)); \
		EXPECT_EQ(NULL, _names);                                            \
	} while (0)

TEST_F(runner, its_names_are_listed)
{
	EXPECT_NAMES("[ \"$*\" = -l ] && echo minimal && echo select_cpu_dfl");
}

/* As that of Linux 6.12 */
TEST_F(runner, names_of_one_without_a_list_are_those_that_it_skips)
{
	EXPECT_NAMES("case $* in -l) echo 'invalid option' >&2; exit 1;;\n"
		     "'-q -s -t /') for n in minimal select_cpu_dfl; do\n"
		     "echo '===== START ====='; echo \"TEST: $n\"; echo \"ok 1 $n # SKIP \"; "
		     "done;; esac");
}

TEST_F(runner, no_list_is_an_error)
{
	EXPECT_NO_NAMES("exit 0");
	EXPECT_NO_NAMES("echo minimal; exit 1");
	EXPECT_NO_NAMES("echo minimal; kill -s SEGV $$");
	EXPECT_NO_NAMES("echo 'two words'; echo 'TEST: ../minimal'");
}

TEST_F(runner, no_runner_is_an_error)
{
	char **names;
	size_t nr;

	EXPECT_EQ(-EPROTO, kernel_runner__list(self->path, &names, &nr));
	EXPECT_EQ(0, nr);
}

TEST_HARNESS_MAIN
