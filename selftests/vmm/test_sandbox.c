// SPDX-License-Identifier: GPL-2.0-only
/* What a machine's threads may not do: each kind tries it. */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

static const char *const kind_names[SANDBOX_KINDS] = {"loop", "vcpu", "disk", "network"};

/* Of the handler, in the thread that was caught. */
static _Thread_local volatile sig_atomic_t caught;

static void on_sigsys(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	caught = info->si_syscall;
}

/* A call that no kind may make, with arguments that do no harm if it does. */
struct forbidden {
	const char *name;
	long call, args[4];
};

/* The same number for all. */
static const struct forbidden nobody[] = {
	{"openat", SYS_openat, {AT_FDCWD, (long)"/dev/null", O_RDWR}},
	{"openat2", SYS_openat2, {AT_FDCWD, 0, 0, 0}},
	{"execve", SYS_execve, {0, 0, 0}},
	{"execveat", SYS_execveat, {-1, 0, 0, 0}},
	{"unshare", SYS_unshare, {0}},
	{"setns", SYS_setns, {-1, 0}},
	{"mount", SYS_mount, {0, 0, 0, 0}},
	{"umount2", SYS_umount2, {0, 0}},
	{"socket", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	{"connect", SYS_connect, {-1, 0, 0}},
	{"ptrace", SYS_ptrace, {-1, 0, 0, 0}},
	{"process_vm_writev", SYS_process_vm_writev, {0, 0, 0, 0}},
	{"kill", SYS_kill, {0, 0}},
	{"bpf", SYS_bpf, {-1, 0, 0}},
	{"perf_event_open", SYS_perf_event_open, {0, 0, 0, 0}},
	{"userfaultfd", SYS_userfaultfd, {0}},
	{"io_uring_setup", SYS_io_uring_setup, {0, 0}},
	{"io_uring_register", SYS_io_uring_register, {-1, 0, 0, 0}},
	{"init_module", SYS_init_module, {0, 0, 0}},
	{"keyctl", SYS_keyctl, {-1, 0, 0, 0}},
	{"unlinkat", SYS_unlinkat, {-1, 0, 0}},
	{"renameat2", SYS_renameat2, {-1, 0, -1, 0}},
	{"mkdirat", SYS_mkdirat, {-1, 0, 0}},
	{"ftruncate", SYS_ftruncate, {-1, 0}},
	{"fchmod", SYS_fchmod, {-1, 0}},
	{"dup3", SYS_dup3, {-1, -1, 0}},
	{"memfd_create", SYS_memfd_create, {0, 0}},
	{"setuid", SYS_setuid, {0}},
	{"capset", SYS_capset, {0, 0}},
	{"seccomp", SYS_seccomp, {-1, 0, 0}},
	{"sched_setscheduler", SYS_sched_setscheduler, {0, 0, 0}},
	{"clock_settime", SYS_clock_settime, {0, 0}},
	{"reboot", SYS_reboot, {0, 0, 0}},
	{"prctl(PR_SET_DUMPABLE)", SYS_prctl, {PR_SET_DUMPABLE, 1}},
	{"mmap(PROT_EXEC)", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE}},
	{"mprotect(PROT_EXEC)", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
	{"ioctl(TIOCSTI)", SYS_ioctl, {-1, 0x5412, 0}},
	{"ioctl(KVM_SET_USER_MEMORY_REGION)", SYS_ioctl, {-1, KVM_SET_USER_MEMORY_REGION, 0}},
	{"ioctl(KVM_CREATE_VM)", SYS_ioctl, {-1, KVM_CREATE_VM, 0}},
#ifndef __SANITIZE_ADDRESS__ /* which needs it to report */
	{"tgkill(SIGKILL)", SYS_tgkill, {0, 0, SIGKILL}},
	{"openat(O_RDONLY)", SYS_openat, {AT_FDCWD, (long)"/dev/null", O_RDONLY}},
#endif
	{"clone without threads", SYS_clone, {CLONE_PARENT_SETTID}},
};

/* Those that some may make, and who. */
static const struct some {
	struct forbidden call;
	unsigned int kinds; /* 1 << kind, of those that may */
} some[] = {
	{{"ioctl(KVM_RUN)", SYS_ioctl, {-1, KVM_RUN, 0}}, 1u << SANDBOX_VCPU},
	{{"ioctl(KVM_NMI)", SYS_ioctl, {-1, KVM_NMI, 0}}, 1u << SANDBOX_LOOP},
	{{"ioctl(KVM_IRQFD)", SYS_ioctl, {-1, KVM_IRQFD, 0}},
	 1u << SANDBOX_LOOP | 1u << SANDBOX_VCPU},
	{{"epoll_pwait", SYS_epoll_pwait, {-1, 0, 0, 0}},
	 1u << SANDBOX_LOOP | 1u << SANDBOX_DISK | 1u << SANDBOX_NETWORK},
	{{"pwritev2", SYS_pwritev2, {-1, 0, 0, 0}}, 1u << SANDBOX_DISK},
	{{"fallocate", SYS_fallocate, {-1, 0, 0, 0}}, 1u << SANDBOX_DISK},
	{{"io_uring_enter", SYS_io_uring_enter, {-1, 0, 0, 0}}, 1u << SANDBOX_DISK},
	{{"timerfd_create", SYS_timerfd_create, {-1, 0}}, 1u << SANDBOX_LOOP},
	/* A write to nowhere: everybody may. */
	{{"write", SYS_write, {-1, 0, 0}},
	 1u << SANDBOX_LOOP | 1u << SANDBOX_VCPU | 1u << SANDBOX_DISK | 1u << SANDBOX_NETWORK},
};

struct attempt {
	enum sandbox_kind kind;
	unsigned int wrong;
	char what[1024];
};

static bool is_caught(const struct forbidden *f)
{
	caught = 0;
	syscall(f->call, f->args[0], f->args[1], f->args[2], f->args[3], 0, 0);
	return caught == f->call;
}

static void note(struct attempt *a, const char *name, const char *how)
{
	size_t used = strlen(a->what);

	a->wrong++;
	snprintf(a->what + used, sizeof(a->what) - used, " %s %s", name, how);
}

static void *try_all(void *opaque)
{
	struct attempt *a = opaque;

	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++)
		if (!is_caught(&nobody[i]))
			note(a, nobody[i].name, "may be called;");
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		if (is_caught(&some[i].call) == !!(some[i].kinds & 1u << a->kind))
			note(a, some[i].call.name, "is wrong;");
	return NULL;
}

static void catch_sigsys(void)
{
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &action, NULL);
}

static int run_thread(struct sandbox *s, enum sandbox_kind kind, void *(*run)(void *), void *opaque)
{
	struct sandbox_thread spec = {
		.kind = kind, .name = kind_names[kind], .run = run, .opaque = opaque};
	pthread_t thread;
	int err = sandbox__thread(s, &spec, &thread, NULL);

	if (err)
		return err;
	err = sandbox__open(s, NULL);
	pthread_join(thread, NULL);
	return err;
}

FIXTURE(kind)
{
	struct sandbox *s;
};

FIXTURE_VARIANT(kind)
{
	enum sandbox_kind kind;
};

FIXTURE_VARIANT_ADD(kind, loop){
	.kind = SANDBOX_LOOP,
};

FIXTURE_VARIANT_ADD(kind, vcpu){
	.kind = SANDBOX_VCPU,
};

FIXTURE_VARIANT_ADD(kind, disk){
	.kind = SANDBOX_DISK,
};

FIXTURE_VARIANT_ADD(kind, network){
	.kind = SANDBOX_NETWORK,
};

FIXTURE_SETUP(kind)
{
	ASSERT_EQ(0, sandbox__create(false, &self->s, NULL));
}

FIXTURE_TEARDOWN(kind)
{
	sandbox__destroy(self->s);
}

TEST_F(kind, calls_that_it_does_not_need_are_caught)
{
	struct attempt a = {.kind = variant->kind};

	catch_sigsys();
	ASSERT_EQ(0, run_thread(self->s, variant->kind, try_all, &a));
	EXPECT_EQ(0, a.wrong)
	TH_LOG("%s:%s", kind_names[variant->kind], a.what);
}

struct status {
	int fd; /* opened before: the thread may not */
	char text[4096];
};

static void open_status(void *opaque)
{
	struct status *status = opaque;

	status->fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
}

static void *read_status(void *opaque)
{
	struct status *status = opaque;
	ssize_t n = read(status->fd, status->text, sizeof(status->text) - 1);

	status->text[n > 0 ? n : 0] = '\0';
	return NULL;
}

/* Its value, from behind the name to the end of the line. */
static void get(const struct status *status, const char *name, char value[64])
{
	const char *at = strstr(status->text, name);

	snprintf(value, 64, "%.*s", at ? (int)strcspn(at + strlen(name), "\n") : 0,
		 at ? at + strlen(name) : "");
}

TEST_F(kind, it_has_no_capability_and_gets_none_and_this_thread_keeps_its_own)
{
	static const char *const names[] = {"\nCapInh:\t", "\nCapPrm:\t", "\nCapEff:\t",
					    "\nNoNewPrivs:\t", "\nSeccomp:\t"};
	static const char *const values[] = {"0000000000000000", "0000000000000000",
					     "0000000000000000", "1", "2"};
	struct status before, of_thread, after;
	struct sandbox_thread spec = {
		.kind = variant->kind,
		.name = "test",
		.prepare = open_status,
		.run = read_status,
		.opaque = &of_thread,
	};
	pthread_t thread;

	open_status(&before);
	read_status(&before);
	ASSERT_EQ(0, sandbox__thread(self->s, &spec, &thread, NULL));
	ASSERT_EQ(0, sandbox__open(self->s, NULL));
	pthread_join(thread, NULL);
	open_status(&after);
	read_status(&after);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char then[64], now[64], in_thread[64];

		get(&of_thread, names[i], in_thread);
		EXPECT_STREQ(values[i], in_thread)
		TH_LOG("of%s", names[i]);
		get(&before, names[i], then);
		get(&after, names[i], now);
		EXPECT_STRNE("", now);
		EXPECT_STREQ(then, now);
	}
	close(before.fd);
	close(of_thread.fd);
	close(after.fd);
}

/* ---- Landlock, without the filters before it ---- */

static void *open_files(void *opaque)
{
	static const char *const paths[] = {"/proc/self/status", "/etc/passwd", "/dev/null", "/"};
	int ruleset = *(int *)opaque;
	long opened = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0))
		return (void *)-1;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		opened += fd >= 0 || errno != EACCES;
		if (fd >= 0)
			close(fd);
	}
	return (void *)opened;
}

TEST(landlock_alone_opens_no_file)
{
	int version, ruleset = sandbox__ruleset(&version);
	pthread_t thread;
	void *opened;

	if (ruleset < 0)
		SKIP(return, "no Landlock here");
	EXPECT_LE(1, version);
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_files, &ruleset));
	pthread_join(thread, &opened);
	EXPECT_EQ(NULL, opened);
	close(ruleset);
}

/* ---- Start and failure ---- */

static _Atomic int ran;

static void *count_run(void *opaque)
{
	(void)opaque;
	atomic_fetch_add(&ran, 1);
	return NULL;
}

TEST(no_thread_runs_before_all_are_restricted)
{
	struct sandbox_thread spec = {.kind = SANDBOX_VCPU, .name = "test", .run = count_run};
	pthread_t threads[3];
	struct sandbox *s;

	ASSERT_EQ(0, sandbox__create(false, &s, NULL));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, sandbox__thread(s, &spec, &threads[i], NULL));
	usleep(20000);
	EXPECT_EQ(0, atomic_load(&ran));
	ASSERT_EQ(0, sandbox__open(s, NULL));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(3, atomic_load(&ran));
	sandbox__destroy(s);
}

TEST(cancelled_threads_end_without_running)
{
	struct sandbox_thread spec = {.kind = SANDBOX_DISK, .name = "test", .run = count_run};
	pthread_t threads[2];
	struct sandbox *s;

	ASSERT_EQ(0, sandbox__create(false, &s, NULL));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, sandbox__thread(s, &spec, &threads[i], NULL));
	sandbox__cancel(s);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&ran));
	sandbox__destroy(s);
}

/* Of this process from now on: @call fails with @err. */
static int refuse(int call, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}

TEST(a_host_that_refuses_filters_starts_nothing_and_says_what_to_do)
{
	struct sandbox_thread spec = {.kind = SANDBOX_VCPU, .name = "test", .run = count_run};
	struct ktstr_error error = {.err = 0};
	pthread_t thread;
	struct sandbox *s;

	ASSERT_EQ(0, refuse(SYS_seccomp, ENOSYS));
	ASSERT_EQ(0, sandbox__create(false, &s, NULL));
	ASSERT_EQ(0, sandbox__thread(s, &spec, &thread, NULL));
	EXPECT_EQ(-ENOSYS, sandbox__open(s, &error));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, atomic_load(&ran));
	EXPECT_NE(NULL, strstr(error.hint, "--no-sandbox"));
	sandbox__destroy(s);
	/* Who asks for none has none. */
	ASSERT_EQ(0, sandbox__create(true, &s, NULL));
	EXPECT_STREQ("off", sandbox__text(s));
	ASSERT_EQ(0, run_thread(s, SANDBOX_VCPU, count_run, NULL));
	EXPECT_EQ(1, atomic_load(&ran));
	sandbox__destroy(s);
}

TEST(a_host_without_landlock_has_the_rest)
{
	struct sandbox *s;

	ASSERT_EQ(0, refuse(SYS_landlock_create_ruleset, ENOSYS));
	ASSERT_EQ(0, sandbox__create(false, &s, NULL));
	EXPECT_STREQ("seccomp, no capabilities", sandbox__text(s));
	ASSERT_EQ(0, run_thread(s, SANDBOX_LOOP, count_run, NULL));
	EXPECT_EQ(1, atomic_load(&ran));
	sandbox__destroy(s);
}

static void *open_socket(void *opaque)
{
	(void)opaque;
	syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	return NULL;
}

TEST(who_is_caught_ends_the_process_with_a_line)
{
	char text[512], number[64];
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		struct sandbox *s;

		dup2(fds[1], STDERR_FILENO);
		sandbox__explain();
		if (!sandbox__create(false, &s, NULL))
			run_thread(s, SANDBOX_NETWORK, open_socket, NULL);
		_exit(0);
	}
	close(fds[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(1, WEXITSTATUS(status));
	n = read(fds[0], text, sizeof(text) - 1);
	ASSERT_LT(0, n);
	text[n] = '\0';
	snprintf(number, sizeof(number), "thread network made system call %d,", (int)SYS_socket);
	EXPECT_NE(NULL, strstr(text, number))
	TH_LOG("%s", text);
	EXPECT_EQ(text + n - 1, strchr(text, '\n'));
	close(fds[0]);
}

/* Without a handler, it is a death of which the parent knows. */
TEST(who_is_caught_kills_a_process_that_has_no_handler)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct sandbox *s;

		signal(SIGSYS, SIG_DFL);
		prctl(PR_SET_DUMPABLE, 0);
		if (!sandbox__create(false, &s, NULL))
			run_thread(s, SANDBOX_NETWORK, open_socket, NULL);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGSYS, WTERMSIG(status));
}

TEST_HARNESS_MAIN
