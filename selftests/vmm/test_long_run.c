// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many machines in one process, one after the other and at once: nothing grows and nothing is left.
 *
 * KTSTR_BOOTS=N boots so many in a row, KTSTR_SECONDS=N keeps starting machines, 16 at once, for so
 * long (selftests/long/long_run.t); else it is a short look.
 */
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "kselftest_harness.h"
#include "guest_code.h"
#include "vmm/arch/x86/x86.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#define COM1 X86_COM1_PORT
#define COM2 X86_COM2_PORT

#define BOOTS 60u
#define WARM_UP 20u
#define AT_ONCE 16u
#define SHORT_BOOTS_EACH 3u
/*
 * Bytes of heap in use, exactly known by mallinfo2(), but for what the C library keeps of a thread
 * or a stream; of the process, with what the allocator holds for the next time.
 */
#define HEAP_TOLERANCE (64u << 10)
#define RSS_TOLERANCE (4u << 20)

/* A word on each serial port, a device looked at, and the end. */
GUEST_PROGRAM(short_life)
{
	print(COM2, GS("ktstr-init: up\n"));
	print(COM1, GS("hello\n"));
	mmio_read(X86_VIRTIO_GPA);
	print(COM2, GS("KTSTR_EXIT=0\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

FIXTURE(machines)
{
	char dir[40], cache[64], tmp[64], kernel[64];
};

typedef FIXTURE_DATA(machines) state;

FIXTURE_SETUP(machines)
{
	memset(self, 0, sizeof(*self));
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "no access to /dev/kvm");
	strcpy(self->dir, "/tmp/ktstr-long-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->cache, sizeof(self->cache), "%s/cache", self->dir);
	snprintf(self->tmp, sizeof(self->tmp), "%s/tmp", self->dir);
	ASSERT_EQ(0, mkdir(self->tmp, 0700));
	unsetenv("KTSTR_SCRATCH");
	setenv("KTSTR_CACHE", self->cache, 1);
	setenv("TMPDIR", self->tmp, 1);
	ASSERT_TRUE(guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_short_life,
				       NULL, 0));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

FIXTURE_TEARDOWN(machines)
{
	if (self->kernel[0])
		unlink(self->kernel);
	if (self->dir[0])
		nftw(self->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* 0: it lived and ended as it should. */
static int boot(const state *self)
{
	const struct ktstr_disk disk = {.fs = "none", .size_mb = 16};
	const struct ktstr_nic nic = {.network = "lan"};
	struct ktstr_vm_config config;
	struct ktstr_result result;
	struct ktstr_vm *vm;
	int err;

	ktstr_vm_config__defaults(&config);
	config.memory_mb = 64;
	config.kernel = config.init = self->kernel;
	config.disks = &disk;
	config.nr_disks = 1;
	config.nics = &nic;
	config.nr_nics = 1;
	err = ktstr_vm__create(&config, &vm, NULL);
	if (err)
		return err;
	err = ktstr_vm__run(vm, &result, NULL);
	if (!err &&
	    (result.verdict != KTSTR_VERDICT_PASS || strcmp(result.console, "hello\n") != 0))
		err = -EPROTO;
	ktstr_vm__destroy(vm);
	return err;
}

/* ---- What could grow ---- */

struct use {
	uint32_t fds, tasks, files, maps;
	uint64_t heap, rss;
};

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

static uint32_t counted;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)type;
	(void)ftw;
	counted++;
	return 0;
}

static uint32_t count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	uint32_t n = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static uint64_t resident(void)
{
	uint64_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct use look(const state *self)
{
	struct use use = {
		.fds = count_entries("/proc/self/fd"),
		.tasks = count_entries("/proc/self/task"),
		.maps = count_lines("/proc/self/maps"),
	};

	counted = 0;
	nftw(self->dir, count_file, 8, FTW_PHYS);
	use.files = counted;
	malloc_trim(0);
	use.heap = mallinfo2().uordblks;
	use.rss = resident();
	return use;
}

static void compare(struct __test_metadata *_metadata, const struct use *before,
		    const struct use *after, uint64_t boots)
{
	TH_LOG("%" PRIu64 " boots: %u files open, %u threads, %u mappings (%u before), %u files, "
	       "heap %" PRIu64 " KiB (%" PRIu64 "), resident %" PRIu64 " KiB (%" PRIu64 ")",
	       boots, after->fds - 3, after->tasks - 2, after->maps, before->maps, after->files,
	       after->heap >> 10, before->heap >> 10, after->rss >> 10, before->rss >> 10);
	EXPECT_EQ(before->fds, after->fds);
	EXPECT_EQ(before->tasks, after->tasks);
	EXPECT_EQ(before->files, after->files);
#ifdef __SANITIZE_ADDRESS__
	/* It holds what was freed, to see who uses it; what is lost it knows exactly. */
	EXPECT_EQ(0, __lsan_do_recoverable_leak_check());
#else
	EXPECT_GE(before->heap + HEAP_TOLERANCE, after->heap);
	EXPECT_GE(before->rss + RSS_TOLERANCE, after->rss);
	/* Arenas and stacks that the C library keeps for the next threads. */
	EXPECT_GE(before->maps + 16, after->maps);
#endif
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- Tests ---- */

TEST_F_TIMEOUT(machines, one_after_the_other, 3600)
{
	uint64_t boots = from_environment("KTSTR_BOOTS", BOOTS);
	struct use before, after;

	for (uint32_t i = 0; i < WARM_UP; i++) {
		ASSERT_EQ(0, boot(self));
	}
	before = look(self);
	for (uint64_t i = 0; i < boots; i++) {
		ASSERT_EQ(0, boot(self)) TH_LOG("boot %" PRIu64, i);
	}
	after = look(self);
	compare(_metadata, &before, &after, boots);
}

struct work {
	const state *self;
	uint64_t boots; /* each does so many */
	time_t until;	/* CLOCK_MONOTONIC; 0: they count */
	_Atomic uint64_t done, failed;
};

static void *boot_again_and_again(void *opaque)
{
	struct work *w = opaque;
	struct timespec now;

	for (uint64_t i = 0; w->until || i < w->boots; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (w->until && now.tv_sec >= w->until)
			break;
		if (boot(w->self))
			atomic_fetch_add(&w->failed, 1);
		atomic_fetch_add(&w->done, 1);
	}
	return NULL;
}

static uint64_t boot_at_once(struct __test_metadata *_metadata, struct work *w)
{
	pthread_t threads[AT_ONCE];
	uint64_t done = atomic_load(&w->done);

	for (uint32_t i = 0; i < AT_ONCE; i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, boot_again_and_again, w));
	}
	for (uint32_t i = 0; i < AT_ONCE; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, atomic_load(&w->failed));
	return atomic_load(&w->done) - done;
}

TEST_F_TIMEOUT(machines, sixteen_at_once, 3600)
{
	uint64_t seconds = from_environment("KTSTR_SECONDS", 0), boots;
	struct work w = {.self = self, .boots = SHORT_BOOTS_EACH};
	struct use before, after;
	struct timespec now;

	/* The allocator makes an arena a thread, up to eight a CPU; they stay. */
	mallopt(M_ARENA_MAX, 2);
	boot_at_once(_metadata, &w);
	before = look(self);
	clock_gettime(CLOCK_MONOTONIC, &now);
	w.until = seconds ? now.tv_sec + (time_t)seconds : 0;
	boots = boot_at_once(_metadata, &w);
	after = look(self);
	compare(_metadata, &before, &after, boots);
}

TEST_HARNESS_MAIN
