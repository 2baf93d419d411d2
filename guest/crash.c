// SPDX-License-Identifier: GPL-2.0-only
/* Handlers that report a crash of PID 1. Only async-signal-safe calls; no state of their own. */
#include "crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>
#include <unwind.h>

#include <ktstr/proto.h>

#include "context.h"

#define CRASH_STACK (64u << 10)
#define CRASH_FRAMES 64

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

/* The innermost first. Of a caller it is the call itself, not what follows it. */
struct frames {
	uintptr_t pc[CRASH_FRAMES];
	int count;
};

/* backtrace() of glibc would dlopen libgcc_s, which no DT_NEEDED brings into the initramfs */
static _Unwind_Reason_Code unwind_one(struct _Unwind_Context *context, void *opaque)
{
	struct frames *frames = opaque;
	int exact = 0;
	uintptr_t pc = _Unwind_GetIPInfo(context, &exact);

	if (frames->count == CRASH_FRAMES || !pc)
		return _URC_END_OF_STACK;
	frames->pc[frames->count++] = exact ? pc : pc - 1;
	return _URC_NO_REASON;
}

static size_t put_text(char *buf, size_t size, size_t at, const char *text)
{
	while (*text && at < size)
		buf[at++] = *text++;
	return at;
}

static size_t put_hex(char *buf, size_t size, size_t at, unsigned long value)
{
	char digits[2 * sizeof(value) + 1], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	at = put_text(buf, size, at, "0x");
	return put_text(buf, size, at, p);
}

/*
 * "#0 /lib/libc.so.6+0x12345\n": a file of the guest, and an address as its ELF headers have it.
 * Names and lines are the host's to find, which has the same file.
 */
static void put_frame(int number, uintptr_t pc)
{
	struct link_map *map = NULL;
	Dl_info info;
	char line[512];
	size_t n;

	n = put_text(line, sizeof(line), 0, "#");
	if (number >= 10)
		line[n++] = (char)('0' + number / 10 % 10);
	line[n++] = (char)('0' + number % 10);
	n = put_text(line, sizeof(line), n, " ");
	if (dladdr1((void *)pc, &info, (void **)&map, RTLD_DL_LINKMAP) && map && info.dli_fname) {
		n = put_text(line, sizeof(line) - 32, n, info.dli_fname);
		pc -= map->l_addr;
		n = put_text(line, sizeof(line), n, "+");
	}
	n = put_hex(line, sizeof(line), n, pc);
	n = put_text(line, sizeof(line), n, "\n");
	(void)!write(STDERR_FILENO, line, n); /* nobody is left to hear of a failure */
}

/*
 * From the crash on: what lies before it are this file's own frames. A call of nothing: the
 * unwinder knows no way on from there, but the caller is known. A stack that cannot be read is a
 * second fault, after which nothing was to come.
 */
static void put_backtrace(const ucontext_t *context)
{
	uintptr_t pc = context__pc(context);
	struct frames frames = {.count = 0};
	int first = 0;

	_Unwind_Backtrace(unwind_one, &frames);
	while (first < frames.count && frames.pc[first] != pc)
		first++;
	if (first == frames.count) {
		put_frame(0, pc);
		put_frame(1, context__return_address(context) - 1);
	}
	for (int i = first; i < frames.count; i++)
		put_frame(i - first, frames.pc[i]);
}

static void on_crash(int signo, siginfo_t *info, void *opaque)
{
	const char *name = sigabbrev_np(signo);
	uintptr_t pc = context__pc(opaque);
	char line[256];
	size_t n;

	n = put_text(line, sizeof(line), 0, "\n" KTSTR_COM2_PANIC "PID 1 (/init) got SIG");
	n = put_text(line, sizeof(line), n, name ? name : "?");
	if (info->si_code > 0) {
		n = put_text(line, sizeof(line), n, ", address ");
		n = put_hex(line, sizeof(line), n, (unsigned long)(uintptr_t)info->si_addr);
	}
	n = put_text(line, sizeof(line), n, ", at ");
	n = put_hex(line, sizeof(line), n, pc);
	n = put_text(line, sizeof(line), n, "\n");
	(void)!write(STDERR_FILENO, line, n);
	put_backtrace(opaque);
	tcdrain(STDERR_FILENO);
	if (getpid() == 1)
		reboot(RB_AUTOBOOT);
	_exit(128 + signo);
}

int crash__install(void)
{
	struct sigaction action = {
		.sa_sigaction = on_crash,
		/* a second fault has its default action: it kills init, and the kernel panics */
		.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND | SA_NODEFER,
	};
	struct frames frames = {.count = 0};
	stack_t stack = {.ss_size = CRASH_STACK};

	stack.ss_sp =
		mmap(NULL, CRASH_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED)
		return -errno;
	if (sigaltstack(&stack, NULL))
		return -errno;
	_Unwind_Backtrace(unwind_one, &frames); /* lazy binding and tables: now, not in the crash */
	for (size_t i = 0; i < sizeof(crash_signals) / sizeof(*crash_signals); i++)
		if (sigaction(crash_signals[i], &action, NULL))
			return -errno;
	return 0;
}

void crash__reset(void)
{
	stack_t stack = {.ss_flags = SS_DISABLE};

	for (size_t i = 0; i < sizeof(crash_signals) / sizeof(*crash_signals); i++)
		signal(crash_signals[i], SIG_DFL);
	sigaltstack(&stack, NULL);
}
