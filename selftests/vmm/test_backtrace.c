// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashes of this program under the name /init, with the handlers of a guest's PID 1, and what the
 * host makes of their reports; and reports that a guest made up.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/crash.h"
#include "vmm/backtrace.h"

#define HOW "KTSTR_TEST_CRASH"
#ifdef __clang__
#define FRAME __attribute__((noinline, optnone, no_sanitize("address", "undefined")))
#else
#define FRAME __attribute__((noinline, noclone, no_sanitize("address", "undefined")))
#endif

/* ---- The program that crashes ---- */

enum { WRITE_LINE = __LINE__ + 4, CALL_LINE = WRITE_LINE + 6 };

static FRAME int write_to_null(volatile int *where)
{
	*where = 1;
	return 1;
}

static FRAME int calls_what_crashes(void)
{
	return write_to_null(NULL) + 1; /* no tail call */
}

static FRAME int calls_abort(void)
{
	abort();
}

static FRAME int calls_nothing(int (*volatile function)(void))
{
	return function() + 1;
}

static void __attribute__((constructor)) crash_when_told(void)
{
	const char *how = getenv(HOW);

	if (!how)
		return;
	if (crash__install())
		_exit(99);
	if (!strcmp(how, "null"))
		_exit(calls_what_crashes());
	if (!strcmp(how, "abort"))
		_exit(calls_abort());
	if (!strcmp(how, "call"))
		_exit(calls_nothing(NULL));
	_exit(98);
}

/* ---- The host ---- */

/* What a crash in this way writes. Its exit status is that of crash.c. */
static int crash(const char *how, char *report, size_t size)
{
	int fds[2], status = 0;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (!pid) {
		char *argv[] = {"/init", NULL};
		char variable[64];
		char *env[] = {variable, NULL};

		snprintf(variable, sizeof(variable), HOW "=%s", how);
		dup2(fds[1], STDERR_FILENO);
		execve("/proc/self/exe", argv, env);
		_exit(97);
	}
	close(fds[1]);
	while ((n = read(fds[0], report + length, size - 1 - length)) > 0)
		length += (size_t)n;
	report[length] = '\0';
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	return WEXITSTATUS(status);
}

static char *resolve_own(const char *report)
{
	char *self = realpath("/proc/self/exe", NULL);
	char *text = backtrace__resolve(report, self);

	free(self);
	return text;
}

#define EXPECT_IN(needle, text)                                          \
	do {                                                             \
		EXPECT_NE(NULL, strstr(text, needle))                    \
		{                                                        \
			TH_LOG("\"%s\" is not in \"%s\"", needle, text); \
		}                                                        \
	} while (0)

TEST(crash_has_function_file_and_line_of_each_frame)
{
	char report[8192], want[128];
	char *text;

	ASSERT_EQ(128 + SIGSEGV, crash("null", report, sizeof(report)));
	EXPECT_IN("PANIC: PID 1 (/init) got SIGSEGV, address 0x0, at 0x", report);
	EXPECT_IN("\n#0 /init+0x", report);
	text = resolve_own(report);
	ASSERT_NE(NULL, text);
	TH_LOG("%s", text);
	snprintf(want, sizeof(want), "#0 write_to_null (test_backtrace.c:%d)\n", WRITE_LINE);
	EXPECT_EQ(0, strncmp(text, want, strlen(want)));
	snprintf(want, sizeof(want), "\n#1 calls_what_crashes (test_backtrace.c:%d)\n", CALL_LINE);
	EXPECT_IN(want, text);
	EXPECT_IN("\n#2 crash_when_told (test_backtrace.c:", text);
	/* It has symbols but no line tables. */
	EXPECT_IN(" (libc.so.6)\n", text);
	free(text);
}

TEST(abort_leads_through_libc_to_its_caller)
{
	char report[8192];
	char *text, *inside, *caller;

	ASSERT_EQ(128 + SIGABRT, crash("abort", report, sizeof(report)));
	EXPECT_IN("got SIGABRT", report);
	text = resolve_own(report);
	ASSERT_NE(NULL, text);
	TH_LOG("%s", text);
	inside = strstr(text, " abort+0x");
	caller = strstr(text, " calls_abort (test_backtrace.c:");
	ASSERT_NE(NULL, inside);
	ASSERT_NE(NULL, caller);
	EXPECT_LT(inside, caller);
	EXPECT_IN("(libc.so.6)\n", inside);
	free(text);
}

TEST(call_of_a_null_pointer_names_the_caller)
{
	char report[8192];
	char *text;

	ASSERT_EQ(128 + SIGSEGV, crash("call", report, sizeof(report)));
	text = resolve_own(report);
	ASSERT_NE(NULL, text);
	TH_LOG("%s", text);
	EXPECT_EQ(0, strncmp(text, "#0 0x0\n#1 calls_nothing (test_backtrace.c:", 42));
	free(text);
}

static void expect_same(struct __test_metadata *_metadata, const char *report, const char *init)
{
	char *text = backtrace__resolve(report, init);

	EXPECT_NE(NULL, text);
	EXPECT_STREQ(report, text ? text : "");
	free(text);
}

TEST(frames_that_cannot_be_found_stay_as_they_came)
{
	expect_same(_metadata, "#0 0x0\n", "/proc/self/exe");
	expect_same(_metadata, "#0 /init+0x1\n", NULL);
	expect_same(_metadata, "#0 /init+0x1\n", "/nonexistent");
	expect_same(_metadata, "#0 /init+0x1\n", "/etc/passwd");
	expect_same(_metadata, "#0 /init+0xffffffffffffffff\n", "/proc/self/exe");
	expect_same(_metadata, "#0 /nonexistent/libx.so+0x1\n", NULL);
}

TEST(guests_cannot_make_the_host_open_what_is_no_library)
{
	char dir[] = "/tmp/ktstr-test-XXXXXX", fifo[64], line[128];

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/a.so", dir);
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	snprintf(line, sizeof(line), "#0 %s+0x1\n", fifo);
	expect_same(_metadata, line, NULL); /* and does not wait for a writer */
	snprintf(line, sizeof(line), "#0 %s/../../usr/lib/x.so+0x1\n", dir);
	expect_same(_metadata, line, NULL);
	unlink(fifo);
	rmdir(dir);
	expect_same(_metadata, "#0 ../lib.so+0x1\n", NULL);
}

/* One file by two names: what it is taken for is in the name. */
TEST(a_program_that_is_not_init_stays_as_it_came_and_a_library_has_names)
{
	char report[8192], line[PATH_MAX + 64], dir[] = "/tmp/ktstr-test-XXXXXX", link[64];
	char *self = realpath("/proc/self/exe", NULL), *text;
	unsigned long address;

	ASSERT_EQ(128 + SIGSEGV, crash("null", report, sizeof(report)));
	ASSERT_NE(NULL, strstr(report, "\n#0 /init+0x"));
	address = strtoul(strstr(report, "\n#0 /init+0x") + 10, NULL, 16);
	ASSERT_NE(NULL, self);
	snprintf(line, sizeof(line), "#0 %s+0x%lx\n", self, address);
	expect_same(_metadata, line, self);

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(link, sizeof(link), "%s/a.so.1", dir);
	ASSERT_EQ(0, symlink(self, link));
	snprintf(line, sizeof(line), "#0 %s+0x%lx\n", link, address);
	text = backtrace__resolve(line, NULL);
	EXPECT_NE(NULL, text);
	EXPECT_IN("#0 write_to_null (test_backtrace.c:", text ? text : "");
	unlink(link);
	rmdir(dir);
	free(text);
	free(self);
}

TEST(reports_that_are_none_do_no_harm)
{
	static const char *const lines[] = {
		"#\n",
		"#0\n",
		"#0 \n",
		"#0 +0x1\n",
		"#0 /init\n",
		"#0 /init+\n",
		"#0 /init+0x\n",
		"#0 /init+0xg\n",
		"#0 /init+1\n",
		"#x /init+0x1\n",
		"#99999999999999999999 /init+0x1\n",
		"#0 /init+0x00000000000000001\n",
	};
	char many[64 * 1024], *text;
	size_t length = 0, shown = 0;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect_same(_metadata, lines[i], "/proc/self/exe");
	EXPECT_EQ(NULL, backtrace__resolve("", NULL));
	EXPECT_EQ(NULL, backtrace__resolve("PANIC: /ktstr/config: not there\n", NULL));

	text = backtrace__resolve("PANIC: x\n#0 \033[2J\n", NULL);
	ASSERT_NE(NULL, text);
	EXPECT_STREQ("#0 ?[2J\n", text);
	free(text);

	for (int i = 0; i < 1000; i++)
		length += (size_t)sprintf(many + length, "#%d %0*d\n", i, i == 1 ? 8000 : 1, 0);
	text = backtrace__resolve(many, NULL);
	ASSERT_NE(NULL, text);
	for (const char *c = text; *c; c++)
		shown += *c == '\n';
	EXPECT_EQ(BACKTRACE_FRAMES, shown);
	EXPECT_LT(strlen(text), 2000);
	free(text);
}

TEST_HARNESS_MAIN
