// SPDX-License-Identifier: GPL-2.0-only
/* The cache of base archives: used when nothing changed, never when something did or is damaged. */
#include "kselftest_harness.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "initramfs/cache.h"
#include "initramfs_util.h"

#define TICK_US 250000 /* more than what the cache takes for one tick of a file's clock */
#define BIG 900003u    /* bytes of a file that lies in the store by itself */

FIXTURE(cache)
{
	char *dir;
	char cache[PATH_MAX], a[PATH_MAX], big[PATH_MAX];
	struct ktstr_file files[2]; /* small, big */
	struct initramfs_spec spec; /* of the small one */
	struct initramfs_image image;
	struct ktstr_error error;
};

FIXTURE_SETUP(cache)
{
	memset(&self->image, 0, sizeof(self->image));
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	snprintf(self->cache, sizeof(self->cache), "%s/deep/cache", self->dir);
	snprintf(self->a, sizeof(self->a), "%s/a", self->dir);
	snprintf(self->big, sizeof(self->big), "%s/big", self->dir);
	ASSERT_TRUE(write_text(self->a, "first"));
	ASSERT_EQ(0, sh("seq 1 200000 | head -c %u > %s", BIG, self->big));
	usleep(TICK_US);
	self->files[0] = (struct ktstr_file){.host_path = self->a, .guest_path = "/a"};
	self->files[1] = (struct ktstr_file){.host_path = self->big, .guest_path = "/big"};
	self->spec = (struct initramfs_spec){
		.files = self->files, .nr_files = 1, .cache_dir = self->cache};
}

FIXTURE_TEARDOWN(cache)
{
	initramfs_image__close(&self->image);
	sh("chmod -R u+w %s; rm -rf %s", self->dir, self->dir);
	free(self->dir);
}

/* Builds or finds the archive; true when all of it is there with @content in it. */
static bool use_noted(const struct initramfs_spec *spec, const char *content, char *note)
{
	struct initramfs_image image;
	char *data;
	bool ok;
	int fd;

	if (initramfs__base(spec, &image, NULL))
		return false;
	fd = memfd_create("image", MFD_CLOEXEC);
	data = malloc(image.size);
	ok = !initramfs_image__copy(&image, fd, NULL) &&
	     pread(fd, data, image.size, 0) == (ssize_t)image.size && image.size % 512 == 0 &&
	     !memcmp(data, "070701", 6) && memmem(data, image.size, content, strlen(content)) &&
	     memmem(data, image.size, "TRAILER!!!", 10);
	if (note)
		strcpy(note, image.note);
	initramfs_image__close(&image);
	free(data);
	close(fd);
	return ok;
}

static bool use(const struct initramfs_spec *spec, const char *content)
{
	return use_noted(spec, content, NULL);
}

static int count(const char *cache, const char *pattern)
{
	return sh("exit $(ls -A %s | grep -c '%s')", cache, pattern);
}

/* Path of the first file of the cache that begins with @prefix. */
static bool find(const char *cache, const char *prefix, char path[PATH_MAX])
{
	DIR *dir = opendir(cache);
	struct dirent *item;
	bool found = false;

	while (dir && !found && (item = readdir(dir))) {
		found = item->d_name[0] != '.' && !strncmp(item->d_name, prefix, strlen(prefix));
		if (found)
			snprintf(path, PATH_MAX, "%.3000s/%.255s", cache, item->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Of the one entry: a new one is a new file. 0: there is none. */
static ino_t entry_inode(const char *cache)
{
	char path[PATH_MAX];
	struct stat st;

	return find(cache, "base-", path) && !stat(path, &st) ? st.st_ino : 0;
}

TEST_F(cache, unchanged_inputs_give_the_same_entry)
{
	ino_t first;

	ASSERT_TRUE(use(&self->spec, "first"));
	first = entry_inode(self->cache);
	ASSERT_NE(0, first);
	EXPECT_TRUE(use(&self->spec, "first"));
	EXPECT_EQ(first, entry_inode(self->cache));
	EXPECT_EQ(1, count(self->cache, "base-"));
}

TEST_F(cache, the_descriptors_cannot_write)
{
	self->spec.nr_files = 2;
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
		ASSERT_EQ(2, self->image.nr_fds);
		for (size_t k = 0; k < self->image.nr_fds; k++)
			EXPECT_EQ(-1, pwrite(self->image.fds[k], "x", 1, 0));
		initramfs_image__close(&self->image);
	}
}

TEST_F(cache, a_changed_input_is_seen)
{
	ASSERT_TRUE(use(&self->spec, "first"));
	/* same length, same time of modification */
	ASSERT_EQ(0, sh("cp -p %s %s/old && printf FIRST > %s && touch -r %s/old %s", self->a,
			self->dir, self->a, self->dir, self->a));
	usleep(TICK_US);
	EXPECT_TRUE(use(&self->spec, "FIRST"));
	EXPECT_TRUE(use(&self->spec, "FIRST"));
	ASSERT_EQ(0, sh("rm %s", self->a));
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, NULL));
}

TEST_F(cache, an_input_that_changed_just_now_is_not_trusted)
{
	ASSERT_TRUE(write_text(self->a, "fresh"));
	EXPECT_TRUE(use(&self->spec, "fresh"));
	EXPECT_EQ(0, count(self->cache, "base-"));
}

TEST_F(cache, a_new_file_in_a_directory_is_seen)
{
	char path[PATH_MAX];
	ino_t first;

	snprintf(path, sizeof(path), "%s/d", self->dir);
	ASSERT_EQ(0, sh("mkdir %s && printf 12 > %s/x", path, path));
	usleep(TICK_US);
	self->files[0].host_path = path;
	ASSERT_TRUE(use(&self->spec, "12"));
	first = entry_inode(self->cache);
	EXPECT_TRUE(use(&self->spec, "12"));
	EXPECT_EQ(first, entry_inode(self->cache));
	ASSERT_EQ(0, sh("touch %s/newcomer", path));
	usleep(TICK_US);
	EXPECT_TRUE(use(&self->spec, "newcomer"));
}

TEST_F(cache, large_files_are_kept_once_and_whole)
{
	char unpacked[PATH_MAX];

	self->spec.nr_files = 2;
	ASSERT_TRUE(use(&self->spec, "199\n200\n"));
	EXPECT_EQ(2, sh("exit $(ls %s/parts | wc -l)", self->cache));
	/* another request, with the same content in another file and at another path */
	ASSERT_EQ(0, sh("cp %s %s2", self->big, self->big));
	usleep(TICK_US);
	strcat(self->big, "2");
	self->files[1].guest_path = "/elsewhere/with a rather long name, to shift what follows";
	ASSERT_TRUE(use(&self->spec, "199\n200\n"));
	EXPECT_EQ(2, count(self->cache, "base-"));
	EXPECT_EQ(3, sh("exit $(ls %s/parts | wc -l)", self->cache));
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, NULL));
	/* in whole pages */
	EXPECT_EQ((BIG / 4096 + 2) * 4096, self->image.unpacked);
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	snprintf(unpacked, sizeof(unpacked), "%s/root%s", self->dir, self->files[1].guest_path);
	EXPECT_EQ(0, sh("cmp '%s' '%s'", unpacked, self->big));
}

/* The kernel needs pages to be shared at a page of the guest's. */
TEST_F_TIMEOUT(cache, segments_are_whole_pages, 120)
{
	char path[200];
	uint64_t at;

	self->spec.nr_files = 2;
	for (size_t length = 2; length < sizeof(path); length += 11) {
		memset(path, 'n', sizeof(path));
		path[0] = '/';
		path[length] = '\0';
		self->files[1].guest_path = path;
		ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, NULL));
		at = 0;
		for (size_t i = 0; i < self->image.nr_segments; i++) {
			EXPECT_EQ(0, at % 4096);
			EXPECT_EQ(0, self->image.segments[i].offset % 4096);
			at += self->image.segments[i].length;
		}
		EXPECT_EQ(self->image.size, at);
		ASSERT_TRUE(unpack_image(&self->image, self->dir));
		EXPECT_EQ(0, sh("cmp %s/root%s %s", self->dir, path, self->big));
		initramfs_image__close(&self->image);
	}
}

TEST_F(cache, a_damaged_entry_is_said_and_made_anew)
{
	static const char *const damage[] = {
		"truncate -s 100",
		"truncate -s -1",
		"truncate -s 0",
		"truncate -s +512",
		"dd status=none if=/dev/zero bs=1 count=6 conv=notrunc of=",
		"dd status=none if=/dev/zero bs=1 count=5 seek=274 conv=notrunc of=",
		"sed -i s/1/2/",
	};
	char path[PATH_MAX], note[256];

	self->spec.nr_files = 2;
	ASSERT_TRUE(use_noted(&self->spec, "first", note));
	EXPECT_STREQ("", note);
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		const char *glue = strstr(damage[i], "of=") ? "" : " ";

		ASSERT_TRUE(find(self->cache, "base-", path));
		ASSERT_EQ(0, sh("%s%s%s", damage[i], glue, path));
		EXPECT_TRUE(use_noted(&self->spec, "first", note)) TH_LOG("%s", damage[i]);
		EXPECT_NE(NULL, strstr(note, "damaged")) TH_LOG("%s", damage[i]);
		EXPECT_TRUE(use_noted(&self->spec, "first", note));
		EXPECT_STREQ("", note);
		EXPECT_EQ(1, count(self->cache, "base-"));
	}
}

/* One byte of a file, with the file's times as they were. */
static bool flip(const char *path, off_t at)
{
	struct stat st;
	unsigned char byte;
	int fd = open(path, O_RDWR);
	bool ok = fd >= 0 && !fstat(fd, &st) && pread(fd, &byte, 1, at) == 1;

	byte ^= 0x10;
	if (ok) {
		const struct timespec times[2] = {st.st_atim, st.st_mtim};

		ok = pwrite(fd, &byte, 1, at) == 1 && !futimens(fd, times);
	}
	close(fd);
	return ok;
}

TEST_F_TIMEOUT(cache, every_flipped_byte_of_an_entry_is_noticed, 120)
{
	char path[PATH_MAX], note[256];
	struct stat st;

	ASSERT_TRUE(use(&self->spec, "first"));
	ASSERT_TRUE(find(self->cache, "base-", path));
	ASSERT_EQ(0, stat(path, &st));
	for (off_t at = 0; at < st.st_size; at += 7) {
		ASSERT_TRUE(flip(path, at));
		/* of the magic, it is an entry of another version */
		EXPECT_TRUE(use_noted(&self->spec, "first", note)) TH_LOG("%ld", (long)at);
		EXPECT_TRUE(at < 8 || strstr(note, "damaged")) TH_LOG("%ld", (long)at);
		ASSERT_TRUE(find(self->cache, "base-", path));
	}
}

TEST_F(cache, a_damaged_part_is_said_and_made_anew)
{
	char path[PATH_MAX], note[256];

	self->spec.nr_files = 2;
	ASSERT_TRUE(use(&self->spec, "first"));
	for (int i = 0; i < 12; i++) {
		char parts[PATH_MAX + 8];
		struct stat st;

		snprintf(parts, sizeof(parts), "%s/parts", self->cache);
		ASSERT_TRUE(find(parts, "", path));
		ASSERT_EQ(0, stat(path, &st));
		ASSERT_TRUE(i % 3 ? !truncate(path, st.st_size / 4 * (i % 3))
				  : flip(path, st.st_size * i / 12));
		EXPECT_TRUE(use_noted(&self->spec, "first", note));
		EXPECT_NE(NULL, strstr(note, "damaged")) TH_LOG("%d", i);
		EXPECT_TRUE(use_noted(&self->spec, "199\n200\n", note));
		EXPECT_STREQ("", note);
		EXPECT_EQ(2, sh("exit $(ls %s | wc -l)", parts));
	}
}

/* A part that is gone is no damage: somebody has cleaned up. */
TEST_F(cache, a_missing_part_is_made_anew)
{
	char note[256];

	self->spec.nr_files = 2;
	ASSERT_TRUE(use(&self->spec, "first"));
	ASSERT_EQ(0, sh("rm %s/parts/*", self->cache));
	EXPECT_TRUE(use_noted(&self->spec, "199\n200\n", note));
	EXPECT_STREQ("", note);
}

/* In the head of an entry: magic, sum of what follows, length, size of the archive. */
TEST_F(cache, an_entry_whose_numbers_do_not_fit_is_damaged)
{
	const uint64_t sizes[] = {0, 512, UINT64_C(1) << 40, BIG + (UINT64_C(1) << 20)};
	const size_t sum_at = 8, summed_from = 16, size_at = 24;
	char path[PATH_MAX], note[256], data[8192];
	uint64_t sum;
	ssize_t n;
	int fd;

	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		self->spec.nr_files = 1 + i % 2;
		ASSERT_TRUE(use(&self->spec, "first"));
		ASSERT_TRUE(find(self->cache, "base-", path));
		fd = open(path, O_RDWR);
		n = pread(fd, data, sizeof(data), 0);
		memcpy(data + size_at, &sizes[i / 2], sizeof(sizes[0]));
		sum = digest__sum(data + summed_from, (size_t)n - summed_from);
		memcpy(data + sum_at, &sum, sizeof(sum));
		ASSERT_EQ(n, pwrite(fd, data, (size_t)n, 0));
		close(fd);
		EXPECT_TRUE(use_noted(&self->spec, "first", note)) TH_LOG("%zu", i);
		EXPECT_NE(NULL, strstr(note, "damaged")) TH_LOG("%zu", i);
		ASSERT_EQ(0, sh("rm %s", path));
	}
}

/* What cannot be opened for want of a descriptor is there all the same. */
TEST_F(cache, a_lack_of_descriptors_is_no_damage)
{
	char parts[PATH_MAX + 8];
	ino_t first;

	self->spec.nr_files = 2;
	ASSERT_TRUE(use(&self->spec, "199\n200\n"));
	first = entry_inode(self->cache);
	snprintf(parts, sizeof(parts), "%s/parts", self->cache);
	for (rlim_t limit = 4; limit < 16; limit++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			const struct rlimit few = {limit, limit};

			setrlimit(RLIMIT_NOFILE, &few);
			initramfs__base(&self->spec, &self->image, NULL);
			_exit(strstr(self->image.note, "damaged") ? 1 : 0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status) TH_LOG("%d", (int)limit);
		EXPECT_EQ(2, sh("exit $(ls %s | wc -l)", parts)) TH_LOG("%d", (int)limit);
		EXPECT_EQ(first, entry_inode(self->cache)) TH_LOG("%d", (int)limit);
	}
}

TEST_F_TIMEOUT(cache, many_large_files_do_not_take_all_descriptors, 120)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/d", self->dir);
	ASSERT_EQ(0,
		  sh("mkdir %s && for i in $(seq 300); do seq $i 13000 > %s/$i; done", path, path));
	usleep(TICK_US);
	self->files[0] = (struct ktstr_file){.host_path = path, .guest_path = "/d"};
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, NULL));
		EXPECT_STREQ("", self->image.note);
		EXPECT_EQ(PIECES_MAX_PARTS + 1, self->image.nr_fds);
		ASSERT_TRUE(unpack_image(&self->image, self->dir));
		EXPECT_EQ(0, sh("diff -r %s %s/root/d", path, self->dir));
		initramfs_image__close(&self->image);
	}
}

/* Names of files have what a terminal would obey. */
TEST_F(cache, an_entry_is_described_in_one_line_of_text)
{
	char odd[PATH_MAX];
	struct cache_entry *entries;
	struct cache cache;
	size_t nr;

	snprintf(odd, sizeof(odd), "%s/a\n\033[31mb\177", self->dir);
	ASSERT_TRUE(write_file(odd, "#!/bin/sh\n", 10, 0755));
	usleep(TICK_US);
	self->spec.scheduler = odd;
	ASSERT_TRUE(use(&self->spec, "first"));
	ASSERT_EQ(0, cache__open(self->cache, &cache));
	ASSERT_EQ(0, cache__list(&cache, &entries, &nr));
	ASSERT_EQ(1, nr);
	EXPECT_STREQ("no init, a??[31mb?, 1 file", entries[0].about);
	free(entries);
	cache__close(&cache);
}

/* A program that runs may have been rebuilt since: it is itself that is wanted. */
TEST_F(cache, a_running_program_that_is_gone_can_be_init)
{
	char path[PATH_MAX], proc[64];
	struct cache_entry *entries;
	struct cache cache;
	size_t nr;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/program", self->dir);
	ASSERT_EQ(0, sh("cp $(command -v sleep) %s", path));
	pid = fork();
	if (!pid) {
		execl(path, path, "1000", NULL);
		_exit(1);
	}
	snprintf(proc, sizeof(proc), "/proc/%d/exe", pid);
	while (sh("readlink %s | grep -q '/program$'", proc))
		;
	usleep(TICK_US);
	self->spec.init = proc;
	EXPECT_TRUE(use(&self->spec, "first"));
	ASSERT_EQ(0, cache__open(self->cache, &cache));
	ASSERT_EQ(0, cache__list(&cache, &entries, &nr));
	ASSERT_EQ(1, nr);
	EXPECT_STREQ("program, 1 file", entries[0].about);
	free(entries);
	cache__close(&cache);
	ASSERT_EQ(0, sh("rm %s && echo no program > %s", path, path));
	EXPECT_TRUE(use(&self->spec, "first"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* What a disk does to a file that nobody writes to is found when its content is read again. */
TEST_F(cache, parts_are_read_again_after_a_boot)
{
	/* as in cache.c: magic, sum, length */
	const size_t sum_at = 8, summed_from = 16;
	char path[PATH_MAX], parts[PATH_MAX + 8], part[PATH_MAX], note[256];
	const char *boot;
	char id[BOOT_ID_SIZE], data[8192];
	uint64_t sum;
	ino_t first;
	ssize_t n;
	int fd;

	ASSERT_TRUE(use(&self->spec, "first"));
	ASSERT_TRUE(boot_id__read(id));
	for (int damaged = 0; damaged < 2; damaged++) {
		ASSERT_TRUE(find(self->cache, "base-", path));
		fd = open(path, O_RDWR);
		n = pread(fd, data, sizeof(data), 0);
		boot = memmem(data, (size_t)n, id, 36);
		ASSERT_NE(NULL, boot);
		data[boot - data] ^= 1;
		sum = digest__sum(data + summed_from, (size_t)n - summed_from);
		memcpy(data + sum_at, &sum, sizeof(sum));
		ASSERT_EQ(n, pwrite(fd, data, (size_t)n, 0));
		close(fd);
		snprintf(parts, sizeof(parts), "%s/parts", self->cache);
		ASSERT_TRUE(find(parts, "", part));
		if (damaged)
			ASSERT_TRUE(flip(part, 200));
		first = entry_inode(self->cache);
		EXPECT_TRUE(use_noted(&self->spec, "first", note));
		EXPECT_EQ(damaged, strstr(note, "damaged") != NULL);
		/* with the boot that has read it */
		EXPECT_NE(first, entry_inode(self->cache));
		first = entry_inode(self->cache);
		EXPECT_TRUE(use(&self->spec, "first"));
		EXPECT_EQ(first, entry_inode(self->cache));
	}
}

TEST_F(cache, the_least_recently_used_go)
{
	char guest[8][16];
	struct cache_entry *entries;
	struct cache cache;
	size_t nr;

	self->spec.nr_files = 2;
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(guest[i], sizeof(guest[i]), "/f%u", i);
		self->files[0].guest_path = guest[i];
		if (i == 5)
			self->spec.nr_files = 1;
		ASSERT_TRUE(use(&self->spec, "first"));
		usleep(15000); /* access times differ */
	}
	ASSERT_EQ(0, cache__open(self->cache, &cache));
	ASSERT_EQ(0, cache__list(&cache, &entries, &nr));
	ASSERT_EQ(8, nr);
	EXPECT_GT(65536, entries[0].own);
	/* the first one that has the large file has it alone in the count */
	EXPECT_LT(BIG, entries[3].own);
	EXPECT_GT(65536, entries[4].own);
	EXPECT_STREQ("no init, 1 file", entries[0].about);
	free(entries);
	cache__clean(&cache, 5, UINT64_MAX);
	ASSERT_EQ(0, cache__list(&cache, &entries, &nr));
	EXPECT_EQ(5, nr);
	free(entries);
	EXPECT_EQ(6, sh("exit $(ls %s/parts | wc -l)", self->cache));
	/* by size: the two with the large file do not fit */
	cache__clean(&cache, 100, BIG);
	ASSERT_EQ(0, cache__list(&cache, &entries, &nr));
	EXPECT_EQ(3, nr);
	free(entries);
	EXPECT_EQ(3, sh("exit $(ls %s/parts | wc -l)", self->cache));
	cache__clean(&cache, 0, 0);
	EXPECT_EQ(0, sh("exit $(ls -A %s/parts | wc -l)", self->cache));
	EXPECT_EQ(0, count(self->cache, "base-"));
	cache__close(&cache);
}

TEST_F(cache, nothing_is_removed_while_somebody_builds)
{
	struct cache builder, cleaner;
	struct part part;
	int fd;

	ASSERT_EQ(0, cache__open(self->cache, &builder));
	fd = open(self->big, O_RDONLY);
	ASSERT_EQ(0, store__put(&builder.store, fd, BIG, self->big, &part, &self->error));
	ASSERT_EQ(0, cache__open(self->cache, &cleaner));
	EXPECT_EQ(-EBUSY, cache__clean(&cleaner, 0, 0));
	EXPECT_EQ(1, sh("exit $(ls %s/parts | wc -l)", self->cache));
	cache__close(&builder);
	EXPECT_EQ(0, cache__clean(&cleaner, 0, 0));
	EXPECT_EQ(0, sh("exit $(ls %s/parts | wc -l)", self->cache));
	cache__close(&cleaner);
	close(part.fd);
	close(fd);
}

/* A cleaner that comes too early is a user of the store like any other, before and after. */
TEST_F(cache, who_cannot_clean_still_keeps_others_from_it)
{
	struct cache builder, early, late;

	ASSERT_EQ(0, cache__open(self->cache, &builder));
	ASSERT_EQ(0, cache__open(self->cache, &early));
	ASSERT_EQ(0, cache__open(self->cache, &late));
	EXPECT_EQ(-EBUSY, cache__clean(&early, 0, 0));
	cache__close(&builder);
	EXPECT_EQ(-EBUSY, store__be_alone(&late.store));
	cache__close(&early);
	EXPECT_EQ(0, store__be_alone(&late.store));
	cache__close(&late);
}

TEST_F(cache, an_open_image_outlives_its_entry)
{
	self->spec.nr_files = 2;
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_EQ(0, sh("rm -r %s", self->cache));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(0, sh("cmp %s/root/big %s", self->dir, self->big));
}

TEST_F(cache, odd_directories_are_done_without_and_said)
{
	char note[256];

	ASSERT_EQ(0, sh("echo > %s/file", self->dir));
	snprintf(self->cache, sizeof(self->cache), "%s/file/x", self->dir);
	EXPECT_TRUE(use_noted(&self->spec, "first", note));
	EXPECT_NE(NULL, strstr(note, "no cache of initramfs: Not a directory"));
	strcpy(self->cache, "/proc/self/x");
	EXPECT_TRUE(use_noted(&self->spec, "first", note));
	EXPECT_NE(NULL, strstr(note, "no cache of initramfs: No such file"));
	self->spec.cache_dir = NULL;
	EXPECT_TRUE(use_noted(&self->spec, "first", note));
	EXPECT_STREQ("", note);
}

/* A file system of its own, in a name space of the test's: false where that is forbidden. */
static bool mount_here(const char *path, const char *options, unsigned long flags)
{
	return (!unshare(CLONE_NEWNS) || !unshare(CLONE_NEWUSER | CLONE_NEWNS)) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("none", path, "tmpfs", flags, options);
}

TEST_F(cache, a_full_disk_is_done_without_and_said)
{
	char note[256];

	self->spec.nr_files = 2;
	ASSERT_EQ(0, sh("mkdir -p %s", self->cache));
	if (!mount_here(self->cache, "size=300k", 0))
		SKIP(return, "no mounts here");
	EXPECT_TRUE(use_noted(&self->spec, "199\n200\n", note));
	EXPECT_NE(NULL, strstr(note, "No space left on device")) TH_LOG("%s", note);
	EXPECT_EQ(0, sh("exit $(ls -A %s/parts | wc -l)", self->cache));
	umount2(self->cache, MNT_DETACH);
}

TEST_F(cache, a_read_only_cache_is_done_without_and_said)
{
	char note[256];

	ASSERT_EQ(0, sh("mkdir -p %s", self->cache));
	if (!mount_here(self->cache, "", MS_RDONLY))
		SKIP(return, "no mounts here");
	EXPECT_TRUE(use_noted(&self->spec, "first", note));
	EXPECT_NE(NULL, strstr(note, "no cache of initramfs"));
	umount2(self->cache, MNT_DETACH);
}

/* One that was filled before it became read-only still serves. */
TEST_F(cache, a_filled_read_only_cache_is_used)
{
	char note[256];

	ASSERT_EQ(0, sh("mkdir -p %s", self->cache));
	if (!mount_here(self->cache, "", 0))
		SKIP(return, "no mounts here");
	ASSERT_TRUE(use(&self->spec, "first"));
	ASSERT_EQ(0, mount(NULL, self->cache, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	EXPECT_TRUE(use_noted(&self->spec, "first", note));
	EXPECT_STREQ("", note);
	umount2(self->cache, MNT_DETACH);
}

TEST_F(cache, builders_at_the_same_time_all_get_it)
{
	pid_t pids[8];

	self->spec.nr_files = 2;
	for (int i = 0; i < 8; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			struct cache cache;
			bool ok = true;

			for (int k = 0; k < 20 && ok; k++) {
				ok = use(&self->spec, "199\n200\n");
				if (k % 7 == 3)
					sh("rm -f %s/base-*", self->cache);
				if (k % 7 == 5 && !cache__open(self->cache, &cache)) {
					cache__clean(&cache, 0, 0);
					cache__close(&cache);
				}
			}
			_exit(ok ? 0 : 1);
		}
	}
	for (int i = 0; i < 8; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_TRUE(use(&self->spec, "first"));
}

/* What a digest names has to be what is in the file. */
static bool parts_are_whole(const char *cache)
{
	char path[PATH_MAX], name[DIGEST_TEXT];
	struct dirent *item;
	bool ok = true;
	DIR *dir;

	snprintf(path, sizeof(path), "%.4000s/parts", cache);
	dir = opendir(path);
	while (dir && (item = readdir(dir))) {
		struct digest digest;
		struct stat st;
		int fd;

		if (item->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), item->d_name, O_RDONLY);
		ok = ok && !fstat(fd, &st) && !digest__file(fd, (uint64_t)st.st_size, &digest);
		digest__text(&digest, name);
		ok = ok && !strcmp(name, item->d_name);
		close(fd);
	}
	if (dir)
		closedir(dir);
	return ok;
}

/* 200 times two builds, each of them synced to a disk that others may use */
TEST_F_TIMEOUT(cache, two_hundred_killed_builders_leave_nothing_bad, 600)
{
	unsigned int seed = 3;
	struct cache cache;

	self->spec.nr_files = 2;
	for (int i = 0; i < 200; i++) {
		char note[256];
		pid_t pid;

		if (i % 2)
			sh("rm -rf %s/base-* %s/parts", self->cache, self->cache);
		pid = fork();
		if (!pid) {
			initramfs__base(&self->spec, &self->image, NULL);
			_exit(0);
		}
		usleep((useconds_t)(rand_r(&seed) % 4000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ASSERT_TRUE(parts_are_whole(self->cache));
		ASSERT_TRUE(use_noted(&self->spec, "199\n200\n", note));
		EXPECT_STREQ("", note);
	}
	ASSERT_EQ(0, cache__open(self->cache, &cache));
	cache__clean(&cache, 1, UINT64_MAX);
	cache__close(&cache);
	EXPECT_EQ(2, sh("exit $(ls -A %s/parts | wc -l)", self->cache));
}

TEST_HARNESS_MAIN
