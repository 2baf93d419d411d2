// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 that crashes says so on COM2 and ends the machine, whatever the signal. It runs in a PID
 * namespace of its own, where reboot() ends the namespace. Needs the right to make one.
 */
#include "kselftest_harness.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/crash.h"
#include "vmm/com2.h"

/* The faults are real ones in a build with sanitizers, too. */
#define UNCHECKED __attribute__((no_sanitize("undefined", "address")))

static void UNCHECKED by_null_pointer(void)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
}

/* A page of a file that has none. */
static void UNCHECKED by_lost_page(void)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)*page;
}

/* 0xff everywhere is no instruction, of any machine. */
static void UNCHECKED by_invalid_opcode(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(page, 0xff, 4096);
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	__builtin___clear_cache(page, (char *)page + 4096);
	((void (*)(void))page)();
}

/* Not a fault on every machine. */
static void UNCHECKED by_division(void)
{
	volatile int zero = 0, one = 1;

	one = one / zero;
	raise(SIGFPE);
}

static void by_breakpoint(void)
{
	raise(SIGTRAP);
}

static void by_bad_call(void)
{
	raise(SIGSYS);
}

FIXTURE(crash)
{
	struct com2 com2;
};

FIXTURE_VARIANT(crash)
{
	const char *line; /* begins so */
	void (*crash)(void);
};

#define CRASH(name, function, text)                          \
	FIXTURE_VARIANT_ADD(crash, name)                     \
	{                                                    \
		.line = "PANIC: " text, .crash = (function), \
	}

CRASH(segv, by_null_pointer, "PID 1 (/init) got SIGSEGV, address 0x0, at 0x");
CRASH(bus, by_lost_page, "PID 1 (/init) got SIGBUS, address 0x");
CRASH(ill, by_invalid_opcode, "PID 1 (/init) got SIGILL, address 0x");
CRASH(fpe, by_division, "PID 1 (/init) got SIGFPE");
CRASH(abort, abort, "PID 1 (/init) got SIGABRT");
CRASH(trap, by_breakpoint, "PID 1 (/init) got SIGTRAP");
CRASH(sys, by_bad_call, "PID 1 (/init) got SIGSYS");

FIXTURE_SETUP(crash)
{
	if (getuid() || unshare(CLONE_NEWPID))
		SKIP(return, "needs the right to make PID namespaces");
	ASSERT_EQ(0, com2__init(&self->com2, NULL, NULL));
}

FIXTURE_TEARDOWN(crash)
{
	com2__destroy(&self->com2);
}

static void __attribute__((noreturn)) be_pid1(void (*crash)(void), int com2)
{
	if (getpid() != 1)
		_exit(99);
	dup2(com2, STDERR_FILENO);
	if (crash__install())
		_exit(98);
	if (write(STDERR_FILENO, "in a line", 9) != 9)
		_exit(97);
	crash();
	_exit(96);
}

TEST_F(crash, is_told_on_com2_and_ends_the_machine)
{
	char buf[4096];
	int com2[2], status;
	ssize_t n;
	pid_t pid;

	ASSERT_EQ(0, pipe(com2));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		be_pid1(variant->crash, com2[1]);
	close(com2[1]);
	while ((n = read(com2[0], buf, sizeof(buf))) > 0)
		com2__feed(&self->com2, buf, (size_t)n);
	com2__end(&self->com2);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));

	EXPECT_TRUE(self->com2.panicked);
	EXPECT_EQ(0, strncmp(self->com2.panic, variant->line, strlen(variant->line)))
	{
		TH_LOG("%s", self->com2.panic);
	}
	/* RB_AUTOBOOT in a PID namespace: its init ends as by SIGHUP (reboot(2)). */
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
}

/* The handlers are PID 1's: a child that crashes just dies. */
TEST_F(crash, of_a_child_is_its_own)
{
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		const struct rlimit none = {0, 0};
		pid_t child;

		setrlimit(RLIMIT_CORE, &none);
		if (crash__install())
			_exit(98);
		child = fork();
		if (!child) {
			crash__reset();
			variant->crash();
			_exit(96);
		}
		if (waitpid(child, &status, 0) != child)
			_exit(97);
		_exit(WIFSIGNALED(status) ? 0 : 95);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
