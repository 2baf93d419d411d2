// SPDX-License-Identifier: GPL-2.0-only
/* A crash of PID 1 is reported on descriptor 2, and ends it. */
#include "kselftest_harness.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/crash.h"

FIXTURE(crash)
{
	int status;
	char text[16384]; /* what was written to descriptor 2 */
};

FIXTURE_SETUP(crash)
{
}

FIXTURE_TEARDOWN(crash)
{
}

/* Runs @fn in a process with the handlers. */
static void run(struct _test_data_crash *self, void (*fn)(void))
{
	size_t used = 0;
	ssize_t n;
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return;
	pid = fork();
	if (!pid) {
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		if (!crash__install())
			fn();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], self->text + used, sizeof(self->text) - 1 - used)) > 0)
		used += (size_t)n;
	self->text[used] = '\0';
	close(fds[0]);
	waitpid(pid, &self->status, 0);
}

static void write_to_nowhere(void)
{
	uintptr_t nowhere = 16;

	asm("" : "+r"(nowhere)); /* not for the compiler to know */
	*(volatile int *)nowhere = 1;
}

TEST_F(crash, a_fault_is_reported_with_its_address)
{
	run(self, write_to_nowhere);
	ASSERT_TRUE(WIFEXITED(self->status));
	EXPECT_EQ(128 + SIGSEGV, WEXITSTATUS(self->status));
	EXPECT_NE(NULL,
		  strstr(self->text, "\nPANIC: PID 1 (/init) got SIGSEGV, address 0x10, at "));
}

TEST_F(crash, an_abort_is_reported)
{
	run(self, abort);
	ASSERT_TRUE(WIFEXITED(self->status));
	EXPECT_EQ(128 + SIGABRT, WEXITSTATUS(self->status));
	EXPECT_NE(NULL, strstr(self->text, "\nPANIC: PID 1 (/init) got SIGABRT"));
}

/* Not UBSan's to check; what follows the call makes it no jump. */
static void __attribute__((noinline, no_sanitize("undefined"))) call_nowhere(void)
{
	uintptr_t nowhere = 0;

	asm("" : "+r"(nowhere));
	((void (*)(void))nowhere)();
	asm volatile("");
}

TEST_F(crash, a_call_of_nothing_is_reported_with_its_caller)
{
	struct link_map *map = NULL;
	uintptr_t start;
	const char *line;
	Dl_info info;

	ASSERT_NE(0, dladdr1((void *)call_nowhere, &info, (void **)&map, RTLD_DL_LINKMAP));
	start = (uintptr_t)call_nowhere - map->l_addr;
	run(self, call_nowhere);
	EXPECT_EQ(128 + SIGSEGV, WEXITSTATUS(self->status));
	line = strstr(self->text, "\n#0 0x0\n#1 ");
	ASSERT_NE(NULL, line) TH_LOG("%s", self->text);
	line = strchr(line, '+');
	ASSERT_NE(NULL, line) TH_LOG("%s", self->text);
	EXPECT_LT(start, strtoull(line + 1, NULL, 16)) TH_LOG("%s", self->text);
	EXPECT_GT(start + 128, strtoull(line + 1, NULL, 16)) TH_LOG("%s", self->text);
}

TEST_HARNESS_MAIN
