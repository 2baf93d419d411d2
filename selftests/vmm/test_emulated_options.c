// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr emulated-host` before anything is started: what a person types wrong, what is not there.
 */
#include "vmm/emulated/emulated.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"

/* Runs the command line in this process with stderr in @text. */
static int run(char *text, size_t size, char **argv)
{
	int argc = 0, status, saved = dup(2), fds[2];
	ssize_t n;

	while (argv[argc])
		argc++;
	if (saved < 0 || pipe(fds))
		return -1;
	dup2(fds[1], 2);
	close(fds[1]);
	status = emulated_host__main(argc, argv);
	fflush(stderr);
	dup2(saved, 2);
	close(saved);
	n = read(fds[0], text, size - 1);
	text[n < 0 ? 0 : n] = '\0';
	close(fds[0]);
	return status;
}

#define RUN(...) run(self->text, sizeof(self->text), (char *[]){"emulated-host", __VA_ARGS__, NULL})

FIXTURE(options)
{
	char text[4096];
	char directory[64];
};

FIXTURE_SETUP(options)
{
	strcpy(self->directory, "/tmp/ktstr-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->directory));
	setenv("XDG_RUNTIME_DIR", self->directory, 1);
	unsetenv(EMULATED_DIR_ENV);
}

FIXTURE_TEARDOWN(options)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ktstr/emulated-host", self->directory);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/ktstr", self->directory);
	rmdir(path);
	EXPECT_EQ(0, rmdir(self->directory));
}

TEST_F(options, unknown_option_is_a_usage_error_that_names_it)
{
	EXPECT_EQ(2, RUN("run", "--frob", "true"));
	EXPECT_NE(NULL, strstr(self->text, "--frob"));
}

TEST_F(options, number_of_hosts_is_checked)
{
	EXPECT_EQ(2, RUN("start", "-n", "0"));
	EXPECT_EQ(2, RUN("start", "-n", "3x"));
	EXPECT_EQ(2, RUN("pool", "-n", "65", "--", "true"));
	EXPECT_NE(NULL, strstr(self->text, "-n 65"));
}

TEST_F(options, shape_of_the_host_is_checked)
{
	EXPECT_EQ(2, RUN("run", "-t", "much", "true"));
	EXPECT_NE(NULL, strstr(self->text, "much"));
	EXPECT_EQ(2, RUN("run", "-t", "2n4l1c1t2p", "true"));
	EXPECT_NE(NULL, strstr(self->text, "-t 2n4l1c1t2p: each LLC is a package"));
}

TEST_F(options, writable_directory_must_be_a_directory_and_not_the_root)
{
	EXPECT_EQ(2, RUN("run", "-w", "/nonexistent", "true"));
	EXPECT_NE(NULL, strstr(self->text, "/nonexistent"));
	EXPECT_EQ(2, RUN("run", "-w", "/proc/self/exe", "true"));
	EXPECT_NE(NULL, strstr(self->text, "Not a directory"));
	EXPECT_EQ(2, RUN("run", "-w", "/", "true"));
}

TEST_F(options, command_is_needed)
{
	EXPECT_EQ(2, RUN("run"));
	EXPECT_EQ(2, RUN("pool", "--"));
}

TEST_F(options, status_without_hosts_is_1_and_stop_is_harmless)
{
	EXPECT_EQ(1, RUN("status"));
	EXPECT_EQ(0, RUN("stop"));
}

TEST_F(options, directory_that_others_can_write_is_refused)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ktstr", self->directory);
	ASSERT_EQ(0, mkdir(path, 0777));
	ASSERT_EQ(0, chmod(path, 0777));
	EXPECT_EQ(EMULATED_EXIT_LOST, RUN("run", "true"));
	EXPECT_NE(NULL, strstr(self->text, "0700"));
}

TEST_F(options, pool_that_is_gone_is_an_error_not_a_silent_start)
{
	setenv(EMULATED_DIR_ENV, "/nonexistent", 1);
	EXPECT_EQ(EMULATED_EXIT_LOST, RUN("run", "true"));
	EXPECT_NE(NULL, strstr(self->text, "/nonexistent"));
}

TEST_F(options, missing_kernel_says_what_to_do)
{
	setenv("KTSTR_CACHE", self->directory, 1);
	if (!access("/lib/modules", F_OK) &&
	    system("test -e /lib/modules/$(uname -r)/vmlinuz") == 0)
		SKIP(return, "this system's own kernel would do");
	EXPECT_EQ(EMULATED_EXIT_LOST, RUN("true"));
	EXPECT_NE(NULL, strstr(self->text, "scripts/kernel fetch"));
}

TEST_HARNESS_MAIN
