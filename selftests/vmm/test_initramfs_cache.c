// SPDX-License-Identifier: GPL-2.0-only
/* The cache of base archives: used when nothing changed, never when something did or is damaged. */
#include "kselftest_harness.h"

#include <signal.h>

#include "initramfs/cache.h"
#include "initramfs_util.h"

#define TICK_US 250000 /* more than what the cache takes for one tick of a file's clock */

FIXTURE(cache)
{
	char *dir;
	char cache[PATH_MAX], a[PATH_MAX];
	struct ktstr_file file;
	struct initramfs_spec spec;
	struct initramfs_image image;
	struct ktstr_error error;
};

FIXTURE_SETUP(cache)
{
	self->image.fd = -1;
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	snprintf(self->cache, sizeof(self->cache), "%s/deep/cache", self->dir);
	snprintf(self->a, sizeof(self->a), "%s/a", self->dir);
	ASSERT_TRUE(write_text(self->a, "first"));
	usleep(TICK_US);
	self->file = (struct ktstr_file){.host_path = self->a, .guest_path = "/a"};
	self->spec = (struct initramfs_spec){
		.files = &self->file, .nr_files = 1, .cache_dir = self->cache};
}

FIXTURE_TEARDOWN(cache)
{
	initramfs_image__close(&self->image);
	sh("chmod -R u+w %s; rm -rf %s", self->dir, self->dir);
	free(self->dir);
}

static ino_t inode(const struct initramfs_image *image)
{
	struct stat st;

	return fstat(image->fd, &st) ? 0 : st.st_ino;
}

/* Builds or finds the archive; returns its inode, 0 when that failed or @content is not in it. */
static ino_t use(const struct initramfs_spec *spec, const char *content)
{
	static char data[1 << 20];
	struct initramfs_image image;
	ino_t result = 0;
	ssize_t n;

	if (initramfs__base(spec, &image, NULL))
		return 0;
	n = pread(image.fd, data, image.size < sizeof(data) ? image.size : sizeof(data), 0);
	if (n == (ssize_t)image.size && n % 512 == 0 && !memcmp(data, "070701", 6) &&
	    memmem(data, (size_t)n, content, strlen(content)) &&
	    memmem(data, (size_t)n, "TRAILER!!!", 10) && image.unpacked == strlen(content))
		result = inode(&image);
	initramfs_image__close(&image);
	return result;
}

static int entry(const char *cache, const char *pattern)
{
	return sh("exit $(ls -A %s | grep -c '%s')", cache, pattern);
}

TEST_F(cache, unchanged_inputs_give_the_same_file)
{
	ino_t first = use(&self->spec, "first");

	ASSERT_NE(0, first);
	EXPECT_EQ(first, use(&self->spec, "first"));
	EXPECT_EQ(1, entry(self->cache, "."));
}

TEST_F(cache, the_descriptor_cannot_write)
{
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
		EXPECT_EQ(-1, pwrite(self->image.fd, "x", 1, 0));
		initramfs_image__close(&self->image);
	}
}

TEST_F(cache, a_changed_input_is_seen)
{
	ino_t first = use(&self->spec, "first");

	/* same length, same time of modification */
	ASSERT_EQ(0, sh("cp -p %s %s/old && printf FIRST > %s && touch -r %s/old %s", self->a,
			self->dir, self->a, self->dir, self->a));
	usleep(TICK_US);
	EXPECT_NE(first, use(&self->spec, "FIRST"));
	EXPECT_NE(0, use(&self->spec, "FIRST"));
	ASSERT_EQ(0, sh("rm %s", self->a));
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, NULL));
}

TEST_F(cache, an_input_that_changed_just_now_is_not_trusted)
{
	ASSERT_TRUE(write_text(self->a, "fresh"));
	EXPECT_NE(0, use(&self->spec, "fresh"));
	EXPECT_EQ(0, entry(self->cache, "."));
}

TEST_F(cache, a_new_file_in_a_directory_is_seen)
{
	char path[PATH_MAX];
	ino_t first;

	snprintf(path, sizeof(path), "%s/d", self->dir);
	ASSERT_EQ(0, sh("mkdir %s && printf 12 > %s/x", path, path));
	usleep(TICK_US);
	self->file.host_path = path;
	first = use(&self->spec, "12");
	ASSERT_NE(0, first);
	EXPECT_EQ(first, use(&self->spec, "12"));
	ASSERT_EQ(0, sh("touch %s/y", path));
	usleep(TICK_US);
	EXPECT_NE(first, use(&self->spec, "12"));
}

TEST_F(cache, another_request_has_another_entry)
{
	ino_t first = use(&self->spec, "first");

	self->file.guest_path = "/b";
	EXPECT_NE(0, use(&self->spec, "first"));
	self->file.guest_path = "/a";
	EXPECT_EQ(first, use(&self->spec, "first"));
	EXPECT_EQ(2, entry(self->cache, "."));
}

TEST_F(cache, a_damaged_or_shortened_entry_is_made_anew)
{
	static const char *const damage[] = {
		"truncate -s 100",
		"truncate -s -1",
		"truncate -s 0",
		"truncate -s +512",
		"dd status=none if=/dev/zero bs=1 count=6 conv=notrunc of=",
		"dd status=none if=/dev/zero bs=1 count=5 seek=600 conv=notrunc of=",
		"sed -i s/first/wrong/",
	};

	ASSERT_NE(0, use(&self->spec, "first"));
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		const char *glue = strstr(damage[i], "of=") ? "" : " ";

		ASSERT_EQ(0, sh("f=$(echo %s/base-*) && %s%s$f", self->cache, damage[i], glue))
		TH_LOG("%zu", i);
		EXPECT_NE(0, use(&self->spec, "first")) TH_LOG("%s", damage[i]);
		EXPECT_EQ(1, entry(self->cache, "."));
	}
}

TEST_F(cache, flipped_bytes_behind_the_archive_are_noticed)
{
	char path[PATH_MAX], command[PATH_MAX + 16];
	struct timespec times[2];
	struct stat st;
	FILE *names;
	int fd;

	ASSERT_NE(0, use(&self->spec, "first"));
	snprintf(command, sizeof(command), "echo %s/base-*", self->cache);
	names = popen(command, "r");
	ASSERT_EQ(1, fscanf(names, "%4095s", path));
	pclose(names);
	ASSERT_EQ(0, stat(path, &st));
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	for (off_t back = 1; back < 600; back += 7) {
		unsigned char byte;

		fd = open(path, O_RDWR);
		ASSERT_EQ(1, pread(fd, &byte, 1, st.st_size - back));
		byte ^= 0x41;
		ASSERT_EQ(1, pwrite(fd, &byte, 1, st.st_size - back));
		futimens(fd, times);
		/* whatever it hits, the answer is right: the archive itself is whole */
		EXPECT_NE(0, use(&self->spec, "first")) TH_LOG("%ld", (long)back);
		byte ^= 0x41;
		close(fd);
		ASSERT_EQ(0, stat(path, &st));
		times[1] = st.st_mtim;
	}
}

TEST_F(cache, no_more_than_the_limit_is_kept)
{
	char guest[CACHE_MAX_ENTRIES + 4][16];
	ino_t kept;

	for (unsigned int i = 0; i < CACHE_MAX_ENTRIES + 4; i++) {
		snprintf(guest[i], sizeof(guest[i]), "/f%u", i);
		self->file.guest_path = guest[i];
		ASSERT_NE(0, use(&self->spec, "first"));
		usleep(15000); /* access times differ */
		/* the first stays the most recently used but one */
		self->file.guest_path = guest[0];
		kept = use(&self->spec, "first");
		usleep(15000);
	}
	EXPECT_EQ((int)CACHE_MAX_ENTRIES, entry(self->cache, "."));
	self->file.guest_path = guest[0];
	EXPECT_EQ(kept, use(&self->spec, "first"));
}

TEST_F(cache, an_open_image_outlives_its_entry)
{
	char data[6];

	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_EQ(0, sh("rm -r %s", self->cache));
	ASSERT_EQ(6, pread(self->image.fd, data, 6, 0));
	EXPECT_EQ(0, memcmp(data, "070701", 6));
}

TEST_F(cache, odd_directories_are_done_without)
{
	ASSERT_EQ(0, sh("echo > %s/file", self->dir));
	snprintf(self->cache, sizeof(self->cache), "%s/file/x", self->dir);
	EXPECT_NE(0, use(&self->spec, "first"));
	strcpy(self->cache, "/proc/self/x");
	EXPECT_NE(0, use(&self->spec, "first"));
	self->spec.cache_dir = NULL;
	EXPECT_NE(0, use(&self->spec, "first"));
}

TEST_F(cache, builders_at_the_same_time_all_get_it)
{
	pid_t pids[8];

	for (int i = 0; i < 8; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			bool ok = true;

			for (int k = 0; k < 20 && ok; k++) {
				ok = use(&self->spec, "first");
				if (k % 7 == 3)
					sh("rm -f %s/base-*", self->cache);
			}
			_exit(ok ? 0 : 1);
		}
	}
	for (int i = 0; i < 8; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_NE(0, use(&self->spec, "first"));
	EXPECT_EQ(0, entry(self->cache, "^\\.new"));
}

TEST_F(cache, a_killed_builder_leaves_nothing_bad)
{
	unsigned int seed = 3;
	char big[PATH_MAX], saved[PATH_MAX];

	snprintf(saved, sizeof(saved), "%s/image", self->dir);
	snprintf(big, sizeof(big), "%s/big", self->dir);
	ASSERT_EQ(0, sh("head -c 900000 /dev/zero | tr '\\0' z > %s", big));
	usleep(TICK_US);
	for (int i = 0; i < 50; i++) {
		struct ktstr_file files[2] = {self->file, {.host_path = big, .guest_path = "/big"}};
		struct initramfs_spec spec = self->spec;
		struct initramfs_image image;
		struct stat st;
		pid_t pid;

		spec.files = files;
		spec.nr_files = 2;
		sh("rm -f %s/base-*", self->cache);
		pid = fork();
		if (!pid) {
			initramfs__base(&spec, &image, NULL);
			_exit(0);
		}
		usleep((useconds_t)(rand_r(&seed) % 4000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		ASSERT_EQ(0, initramfs__base(&spec, &image, NULL));
		ASSERT_EQ(0, fstat(image.fd, &st));
		EXPECT_EQ(900005, image.unpacked);
		EXPECT_LT(image.size, (uint64_t)st.st_size);
		ASSERT_TRUE(save_image(&image, saved));
		EXPECT_EQ(0, sh("cd %s && cpio -i --quiet --to-stdout big < image | "
				"cmp - %s",
				self->dir, big));
		initramfs_image__close(&image);
	}
	EXPECT_EQ(0, entry(self->cache, "^\\.new"));
}

TEST_HARNESS_MAIN
