// SPDX-License-Identifier: GPL-2.0-only
/*
 * A host that refuses: whatever takes memory, a descriptor, a mapping, a thread or a file fails,
 * each call in turn, in all that a machine does from its creation to its record. What comes of it
 * is an error that says what was tried, or a run that did without; nothing leaks, nothing hangs,
 * and the next machine works.
 *
 * KTSTR_FAULTS=each tries each call, else every seventh, from a place that changes each day.
 */
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"
#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/record.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#define COM1 X86_COM1_PORT
#define COM2 X86_COM2_PORT
#define STEP 7u
/*
 * Bytes that the allocator counts as in use, but holds for the next time. What is lost in one run
 * alone, the leak check of the build with AddressSanitizer sees.
 */
#define HEAP_TOLERANCE (128u << 10)

GUEST_PROGRAM(short_life)
{
	print(COM2, GS("ktstr-init: up\nsome output\n"));
	print(COM1, GS("hello\n"));
	mmio_read(X86_VIRTIO_GPA);
	print(COM2, GS("KTSTR_EXIT=0\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* ---- Calls that fail ---- */

static struct {
	_Atomic bool armed;
	_Atomic uint32_t calls;
	uint32_t fail_at, err; /* the call that fails, from 1; its errno */
	const char *_Atomic failed;
} plan;

static bool fails(const char *name)
{
	if (!atomic_load_explicit(&plan.armed, memory_order_relaxed) ||
	    atomic_fetch_add(&plan.calls, 1) + 1 != plan.fail_at)
		return false;
	atomic_store(&plan.failed, name);
	errno = (int)plan.err;
	return true;
}

/* A call of the C library that may fail, by the linker's --wrap. */
#define WRAP(type, name, failure, parameters, arguments)                   \
	type __wrap_##name parameters;                                     \
	type __real_##name parameters;                                     \
	type __wrap_##name parameters                                      \
	{                                                                  \
		return fails(#name) ? (failure) : __real_##name arguments; \
	}

WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, NULL, (void *p, size_t size), (p, size))
WRAP(void *, reallocarray, NULL, (void *p, size_t n, size_t size), (p, n, size))
WRAP(char *, strdup, NULL, (const char *text), (text))
WRAP(char *, strndup, NULL, (const char *text, size_t n), (text, n))
WRAP(FILE *, open_memstream, NULL, (char **text, size_t *size), (text, size))
WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(FILE *, fdopen, NULL, (int fd, const char *mode), (fd, mode))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(void *, mmap, MAP_FAILED, (void *p, size_t n, int prot, int flags, int fd, off_t at),
     (p, n, prot, flags, fd, at))
WRAP(int, mprotect, -1, (void *p, size_t n, int prot), (p, n, prot))
WRAP(int, memfd_create, -1, (const char *name, unsigned int flags), (name, flags))
WRAP(int, eventfd, -1, (unsigned int value, int flags), (value, flags))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int fd, int op, int what, struct epoll_event *event),
     (fd, op, what, event))
WRAP(int, timerfd_create, -1, (int clock, int flags), (clock, flags))
WRAP(int, fstat, -1, (int fd, struct stat *st), (fd, st))
WRAP(int, ftruncate, -1, (int fd, off_t size), (fd, size))
WRAP(int, fsync, -1, (int fd), (fd))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(ssize_t, pwrite, -1, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pread, -1, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
/* It returns what others set. */
WRAP(int, pthread_create, (int)plan.err,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *opaque),
     (thread, attr, run, opaque))

int __wrap_open(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return fails("open") ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return fails("openat") ? -1 : __real_openat(dir, path, flags, mode);
}

/* ---- A machine, from its creation to its record ---- */

FIXTURE(host)
{
	char dir[40], cache[64], record[64], kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_disk disk;
	struct ktstr_nic nic;
	struct ktstr_file file;
	/* What came of the last life */
	enum ktstr_verdict verdict;
	char cause[400];
	struct ktstr_error error;
	bool fresh_cache; /* each life begins with an empty one */
};

typedef FIXTURE_DATA(host) state;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

FIXTURE_SETUP(host)
{
	memset(self, 0, sizeof(*self));
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "no access to /dev/kvm");
	strcpy(self->dir, "/tmp/ktstr-fault-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->cache, sizeof(self->cache), "%s/cache", self->dir);
	snprintf(self->record, sizeof(self->record), "%s/record", self->dir);
	unsetenv("KTSTR_SCRATCH");
	setenv("KTSTR_CACHE", self->cache, 1);
	ASSERT_TRUE(guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_short_life,
				       NULL, 0));
	self->disk = (struct ktstr_disk){.fs = "none", .size_mb = 16};
	self->file = (struct ktstr_file){.host_path = "/etc/passwd"};
	ktstr_vm_config__defaults(&self->config);
	self->config.topology = TOPO(1, 1, 2, 1);
	self->config.memory_mb = 128;
	self->config.kernel = self->config.init = self->kernel;
	self->config.disks = &self->disk;
	self->config.nr_disks = 1;
	self->config.nics = &self->nic;
	self->config.nr_nics = 1;
	self->config.files = &self->file;
	self->config.nr_files = 1;
}

FIXTURE_TEARDOWN(host)
{
	if (self->kernel[0])
		unlink(self->kernel);
	if (self->dir[0])
		remove_tree(self->dir);
}

static uint32_t count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	uint32_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static int no_save(struct ktstr_vm *vm, const char *dir, struct ktstr_error *error)
{
	(void)vm;
	(void)dir;
	(void)error;
	return 0;
}

/* 0 and the verdict, or -errno of what failed. */
static int live(state *self)
{
	const struct record_about about = {.name = "host.fault", .judged = "pass"};
	struct ktstr_vm_config config = self->config;
	struct ktstr_result result;
	struct ktstr_vm *vm = NULL;
	struct record *record;
	int err;

	self->verdict = KTSTR_VERDICT_NONE;
	self->cause[0] = '\0';
	err = record__create(self->record, true, &record, &self->error);
	if (!err) {
		record__attach(record, &config);
		err = ktstr_vm__create(&config, &vm, &self->error);
	}
	if (!err)
		err = ktstr_vm__run(vm, &result, &self->error);
	if (!err) {
		self->verdict = result.verdict;
		snprintf(self->cause, sizeof(self->cause), "%s", result.cause ? result.cause : "");
		err = record__write(record, vm, no_save, &result, &about, &self->error);
	}
	ktstr_vm__destroy(vm);
	record__destroy(record);
	return err;
}

static int live_and_fail(state *self, uint32_t at, uint32_t err)
{
	int ret;

	if (self->fresh_cache)
		remove_tree(self->cache);
	self->error = (struct ktstr_error){.err = 0};
	plan.fail_at = at;
	plan.err = err;
	atomic_store(&plan.calls, 0);
	atomic_store(&plan.failed, "nothing");
	atomic_store(&plan.armed, true);
	ret = live(self);
	atomic_store(&plan.armed, false);
	return ret;
}

/* Bytes of heap in use. */
static uint64_t heap(void)
{
	malloc_trim(0);
	return mallinfo2().uordblks;
}

static void check_leaks(struct __test_metadata *_metadata)
{
#ifdef __SANITIZE_ADDRESS__
	EXPECT_EQ(0, __lsan_do_recoverable_leak_check());
#else
	(void)_metadata;
#endif
}

static void walk(struct __test_metadata *_metadata, state *self, uint32_t err)
{
	const char *how = getenv("KTSTR_FAULTS");
	uint32_t step = how && !strcmp(how, "each") ? 1 : STEP;
	uint32_t at = step == 1 ? 1 : 1 + (uint32_t)(time(NULL) / 86400) % STEP;
	uint32_t refused = 0, passed = 0, other = 0, fds, tasks;
	uint64_t before;

	mallopt(M_ARENA_MAX, 1);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, live_and_fail(self, 0, 0)) TH_LOG("%s", self->error.reason);
		ASSERT_EQ(KTSTR_VERDICT_PASS, self->verdict) TH_LOG("%s", self->cause);
	}
	fds = count_entries("/proc/self/fd");
	tasks = count_entries("/proc/self/task");
	before = heap();
	for (;; at += step) {
		int ret = live_and_fail(self, at, err);
		const char *failed = atomic_load(&plan.failed);

		if (ret) {
			refused++;
			EXPECT_GT(0, ret);
			EXPECT_NE(0, self->error.operation[0]) TH_LOG("call %u, %s", at, failed);
		} else if (self->verdict == KTSTR_VERDICT_PASS) {
			passed++; /* it did without, or had ended */
		} else {
			other++;
			EXPECT_TRUE(self->verdict == KTSTR_VERDICT_HOST_ERROR ||
				    self->verdict == KTSTR_VERDICT_CHANNEL_BROKEN ||
				    self->verdict == KTSTR_VERDICT_GUEST_REBOOT)
			TH_LOG("call %u, %s: %s: %s", at, failed,
			       ktstr_verdict__name(self->verdict), self->cause);
		}
		ASSERT_EQ(fds, count_entries("/proc/self/fd")) TH_LOG("call %u, %s", at, failed);
		ASSERT_EQ(tasks, count_entries("/proc/self/task"))
		TH_LOG("call %u, %s", at, failed);
		if (atomic_load(&plan.calls) < at)
			break;
	}
	TH_LOG("%u calls: %u end it, %u do not, of %u it is the verdict", at - 1, refused, passed,
	       other);
	EXPECT_LT(20 / step, refused);
	EXPECT_GE(before + HEAP_TOLERANCE, heap());
	check_leaks(_metadata);
	ASSERT_EQ(0, live_and_fail(self, 0, 0));
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->verdict) TH_LOG("%s", self->cause);
}

TEST_F_TIMEOUT(host, each_call_may_fail, 600)
{
	walk(_metadata, self, ENOMEM);
}

TEST_F_TIMEOUT(host, each_call_may_fail_while_the_cache_is_filled, 600)
{
	self->fresh_cache = true;
	walk(_metadata, self, EMFILE);
}

/* ---- Limits ---- */

/* So many descriptors and no more: in a process of its own, as a limit cannot be taken back. */
TEST_F_TIMEOUT(host, any_number_of_descriptors_may_be_all, 600)
{
	bool passed = false;

	ASSERT_EQ(0, live_and_fail(self, 0, 0));
	for (rlim_t limit = 3; limit < 200 && !passed; limit++) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			struct rlimit most = {limit, limit};
			uint32_t fds = count_entries("/proc/self/fd");
			int ret;

			setrlimit(RLIMIT_NOFILE, &most);
			ret = live_and_fail(self, 0, 0);
			most.rlim_cur = 1024;
			if (ret)
				_exit(ret > 0 || !self->error.operation[0] ? 3 : 1);
			if (limit > fds && count_entries("/proc/self/fd") != fds)
				_exit(4);
			_exit(self->verdict == KTSTR_VERDICT_PASS ? 0 : 2);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status))
		TH_LOG("%u descriptors: %x", (uint32_t)limit, status);
		ASSERT_GE(2, WEXITSTATUS(status))
		TH_LOG("%u descriptors: %d", (uint32_t)limit, WEXITSTATUS(status));
		passed = !WEXITSTATUS(status);
	}
	EXPECT_TRUE(passed);
}

/* Address space, from nothing to enough. */
TEST_F_TIMEOUT(host, any_amount_of_memory_may_be_all, 600)
{
	bool passed = false;

#ifdef __SANITIZE_ADDRESS__
	SKIP(return, "AddressSanitizer needs terabytes of address space");
#endif
	ASSERT_EQ(0, live_and_fail(self, 0, 0));
	for (uint64_t mb = 4; mb < 2048 && !passed; mb += mb < 64 ? 2 : 16) {
		int status;
		pid_t pid = fork();

		if (!pid) {
			struct rlimit most = {mb << 20, mb << 20};
			int ret;

			setrlimit(RLIMIT_AS, &most);
			ret = live_and_fail(self, 0, 0);
			if (ret)
				_exit(ret > 0 || !self->error.operation[0] ? 3 : 1);
			_exit(self->verdict == KTSTR_VERDICT_PASS ? 0 : 2);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFEXITED(status)) TH_LOG("%u MiB: %x", (uint32_t)mb, status);
		ASSERT_GE(2, WEXITSTATUS(status))
		TH_LOG("%u MiB: %d", (uint32_t)mb, WEXITSTATUS(status));
		passed = !WEXITSTATUS(status);
	}
	EXPECT_TRUE(passed);
}

TEST_HARNESS_MAIN
