// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the seccomp filters of vmm/sandbox.h when ktstr is built: compile ARCH DIRECTORY writes a
 * BPF program for each kind of thread, DIRECTORY/loop.bpf and so on. So neither the host nor a
 * guest needs libseccomp, and no time of a start goes into it.
 *
 * A call that is not listed raises SIGSYS; one of another architecture kills the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm/vcpu.h"

/* A list ends with NONE; no system call has this number in any architecture. */
#define NONE (-12345)

/* What the C library does for any thread: memory, locks, clocks, its end. */
static const int every[] = {
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom), /* malloc() of new glibc */
	SCMP_SYS(gettid),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(read),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sched_yield),
	SCMP_SYS(write),
#ifdef SANITIZED
	/* of ASan's and UBSan's runtime, which has threads' stacks to look after and reports */
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(prlimit64),
	SCMP_SYS(readlink),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(tgkill),
#endif
	NONE,
};

/* Events of files that are open already, and timers. */
static const int events[] = {
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(timerfd_settime),
	NONE,
};

static const int loop[] = {
	SCMP_SYS(close),	  /* of a terminal, of devices that are taken down */
	SCMP_SYS(timerfd_create), /* of statistics */
	NONE,
};

/* Registers of devices are written here: queues come and go, requests are waited for. */
static const int vcpu[] = {
	SCMP_SYS(epoll_ctl),	   SCMP_SYS(getrusage),	      SCMP_SYS(pread64),
	SCMP_SYS(rt_sigtimedwait), SCMP_SYS(timerfd_settime), NONE,
};

static const int disk[] = {
	SCMP_SYS(close), /* of a ring that failed */
	SCMP_SYS(fallocate),
	SCMP_SYS(fdatasync),
	SCMP_SYS(io_uring_enter), /* its ring takes such operations only, too */
	SCMP_SYS(preadv2),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev2),
	SCMP_SYS(pwritev),
	/* A thread more, where there is no io_uring */
	SCMP_SYS(rseq),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(set_robust_list),
	NONE,
};

static const int network[] = {
	NONE,
};

static const struct kind {
	const char *name;
	const int *calls, *more;
	const uint64_t *ioctls; /* ends with 0 */
	bool kicks;		/* sends the signal that makes vCPUs leave the guest */
	bool makes_threads;
} kinds[] = {
	{
		.name = "loop",
		.calls = loop,
		.more = events,
		.ioctls =
			(const uint64_t[]){
				KVM_IRQFD,
				KVM_IOEVENTFD,
				KVM_GET_MP_STATE,
				KVM_GET_ONE_REG,
				KVM_SIGNAL_MSI,
#ifdef TARGET_X86
				KVM_GET_REGS,
				KVM_GET_SREGS,
				KVM_GET_MSRS,
				KVM_TRANSLATE,
#endif
				KVM_NMI,
				0,
			},
		.kicks = true,
	},
	{
		.name = "vcpu",
		.calls = vcpu,
		.more = vcpu,
		.ioctls =
			(const uint64_t[]){
				KVM_RUN,
				KVM_IRQFD,
				KVM_IOEVENTFD,
				KVM_SET_GSI_ROUTING,
				/* where it was when KVM failed */
				KVM_GET_ONE_REG,
				KVM_KVMCLOCK_CTRL,
#ifdef TARGET_X86
				KVM_GET_REGS,
#endif
				0,
			},
	},
	{
		.name = "disk",
		.calls = disk,
		.more = events,
		.ioctls = (const uint64_t[]){0},
		.makes_threads = true,
	},
	{
		.name = "network",
		.calls = network,
		.more = events,
		.ioctls = (const uint64_t[]){0},
	},
};

/* ---- Rules ---- */

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "seccomp/compile: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* Some of the list exist in some architectures only. */
static void allow_call(scmp_filter_ctx filter, int call)
{
	int err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);

	if (err != -EDOM && err != -EEXIST)
		must(err, "seccomp_rule_add");
}

static void allow_calls(scmp_filter_ctx filter, const int *calls)
{
	for (; *calls != NONE; calls++)
		allow_call(filter, *calls);
}

/* @call, if the argument has none of @bits. */
static void allow_without(scmp_filter_ctx filter, int call, unsigned int argument, uint64_t bits)
{
	struct scmp_arg_cmp none = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, bits, 0);

	must(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &none), "seccomp_rule_add");
}

/* @call, if the 32-bit argument is @value. */
static void allow_equal(scmp_filter_ctx filter, int call, unsigned int argument, uint64_t value)
{
	struct scmp_arg_cmp is = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffff, value);

	must(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &is), "seccomp_rule_add");
}

static void allow_threads(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp thread =
		SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_THREAD);

	must(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread), "clone");
	/* Its flags are in memory, where a filter does not see them; glibc goes on with clone(). */
	must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
}

static void write_filter(scmp_filter_ctx filter, const char *directory, const char *name)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.bpf", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd < 0 ? -errno : 0, path);
	must(seccomp_export_bpf(filter, fd), path);
	must(close(fd) ? -errno : 0, path);
}

static void make_filter(const struct kind *kind, uint32_t arch, const char *directory)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);

	must(filter ? 0 : -ENOMEM, "seccomp_init");
	if (arch != seccomp_arch_native()) {
		must(seccomp_arch_add(filter, arch), "seccomp_arch_add");
		must(seccomp_arch_remove(filter, seccomp_arch_native()), "seccomp_arch_remove");
	}
	must(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad arch");
	/* A tree instead of a chain: vCPU threads make thousands of calls a second. */
	must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
	allow_calls(filter, every);
	allow_calls(filter, kind->calls);
	allow_calls(filter, kind->more);
	for (const uint64_t *request = kind->ioctls; *request; request++)
		allow_equal(filter, SCMP_SYS(ioctl), 1, *request);
	/* Memory, but no code. */
	allow_without(filter, SCMP_SYS(mmap), 2, PROT_EXEC);
	allow_without(filter, SCMP_SYS(mprotect), 2, PROT_EXEC);
	allow_equal(filter, SCMP_SYS(prctl), 0, PR_SET_NAME);
	allow_equal(filter, SCMP_SYS(prctl), 0, PR_GET_NAME); /* of sandbox__explain() */
#ifdef PR_SET_VMA
	allow_equal(filter, SCMP_SYS(prctl), 0, PR_SET_VMA); /* names of malloc()'s mappings */
#endif
	if (kind->kicks)
		allow_equal(filter, SCMP_SYS(tgkill), 2, (uint64_t)VCPU_KICK_SIGNAL);
	if (kind->makes_threads)
		allow_threads(filter);
#ifdef SANITIZED
	allow_without(filter, SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC);
#endif
	write_filter(filter, directory, kind->name);
	seccomp_release(filter);
}

int main(int argc, char **argv)
{
	uint32_t arch = argc == 3 ? seccomp_arch_resolve_name(argv[1]) : 0;

	if (!arch) {
		fprintf(stderr, "usage: compile x86_64|aarch64 DIRECTORY\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		make_filter(&kinds[i], arch, argv[2]);
	return 0;
}
