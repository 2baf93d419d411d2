// SPDX-License-Identifier: GPL-2.0-only
/* Templates of disks and their clones: whole or absent, made once, and alike. */
#include "vmm/disk_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define MIB (UINT64_C(1) << 20)

/* Directories of one test: of templates, of programs, and what TMPDIR is. */
FIXTURE(image)
{
	char base[128], dir[160], bin[160], tmp[160], count[160];
	struct disk_image_spec spec;
	struct disk_image image;
	struct ktstr_error error;
};

FIXTURE_SETUP(image)
{
	/* In an emulated host the file system of the cache, which can share blocks. */
	const char *scratch = getenv("KTSTR_SCRATCH");

	snprintf(self->base, sizeof(self->base), "%s/ktstr-image.XXXXXX",
		 scratch ? scratch : "/tmp");
	ASSERT_NE(NULL, mkdtemp(self->base));
	snprintf(self->dir, sizeof(self->dir), "%s/templates", self->base);
	snprintf(self->bin, sizeof(self->bin), "%s/bin", self->base);
	snprintf(self->tmp, sizeof(self->tmp), "%s/tmp", self->base);
	snprintf(self->count, sizeof(self->count), "%s/count", self->base);
	ASSERT_EQ(0, mkdir(self->dir, 0755));
	ASSERT_EQ(0, mkdir(self->bin, 0755));
	ASSERT_EQ(0, mkdir(self->tmp, 0755));
	setenv("TMPDIR", self->tmp, 1);
	setenv("COUNT", self->count, 1);
	self->spec = (struct disk_image_spec){
		.fs = "ext4", .size_mb = 16, .dir = self->dir, .path = self->bin};
	self->image.fd = -1;
}

static void remove_all(const char *path)
{
	char child[512];
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		if (unlink(child))
			remove_all(child);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

FIXTURE_TEARDOWN(image)
{
	if (self->image.fd >= 0)
		close(self->image.fd);
	chmod(self->dir, 0755);
	remove_all(self->base);
}

/* A program that stands for mkfs.ext4: the last of its arguments is $file. */
static void put_program(FIXTURE_DATA(image) * self, const char *script)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/mkfs.ext4", self->bin);
	f = fopen(path, "w");
	fprintf(f, "#!/bin/sh\necho made >>\"$COUNT\"\nfor file; do :; done\n%s\n", script);
	fclose(f);
	chmod(path, 0755);
}

/* Data at the start and at the third MiB; the size is as it was. */
#define WRITE_DATA                                                  \
	"printf start | dd of=\"$file\" conv=notrunc 2>/dev/null\n" \
	"printf third | dd of=\"$file\" bs=1M seek=2 conv=notrunc 2>/dev/null"

static int create(FIXTURE_DATA(image) * self)
{
	self->error = (struct ktstr_error){0};
	if (self->image.fd >= 0)
		close(self->image.fd);
	return disk_image__create(&self->spec, &self->image, &self->error);
}

static int times_made(FIXTURE_DATA(image) * self)
{
	struct stat st;

	return stat(self->count, &st) ? 0 : (int)st.st_size / 5;
}

static int count_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int nr = 0;

	while ((entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	closedir(dir);
	return nr;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (uint64_t)st.st_size;
}

static bool has_data(int fd)
{
	char text[5];

	return pread(fd, text, 5, 0) == 5 && !memcmp(text, "start", 5) &&
	       pread(fd, text, 5, 2 * MIB) == 5 && !memcmp(text, "third", 5);
}

/* ---- Clones ---- */

TEST_F(image, clone_is_what_mkfs_made_and_has_no_name)
{
	struct stat st;

	put_program(self, WRITE_DATA);
	ASSERT_EQ(0, create(self));
	EXPECT_EQ(16 * MIB, size_of(self->image.fd));
	EXPECT_TRUE(has_data(self->image.fd));
	EXPECT_EQ(0, fstat(self->image.fd, &st));
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_LT(st.st_blocks * 512, MIB);
	EXPECT_EQ(O_RDWR, fcntl(self->image.fd, F_GETFL) & O_ACCMODE);
	EXPECT_STREQ("", self->image.note);
	EXPECT_EQ(1, count_files(self->dir));
	EXPECT_EQ(0, count_files(self->tmp));
}

TEST_F(image, template_is_made_once_and_does_not_change_with_its_clones)
{
	put_program(self, WRITE_DATA);
	ASSERT_EQ(0, create(self));
	ASSERT_EQ(5, pwrite(self->image.fd, "other", 5, 0));
	ASSERT_EQ(0, create(self));
	EXPECT_TRUE(has_data(self->image.fd));
	EXPECT_EQ(1, times_made(self));
}

TEST_F(image, another_size_number_or_program_is_another_template)
{
	put_program(self, WRITE_DATA);
	ASSERT_EQ(0, create(self));
	self->spec.size_mb = 17;
	ASSERT_EQ(0, create(self));
	EXPECT_EQ(17 * MIB, size_of(self->image.fd));
	self->spec.number = 1;
	ASSERT_EQ(0, create(self));
	EXPECT_EQ(3, count_files(self->dir));
	/* That one takes the place of what the old one made. */
	put_program(self, WRITE_DATA "\n# newer");
	ASSERT_EQ(0, create(self));
	EXPECT_EQ(4, times_made(self));
	EXPECT_EQ(3, count_files(self->dir));
}

TEST_F(image, blocks_are_shared_where_the_file_system_can)
{
	char path[200];
	int from, to;
	bool can;

	snprintf(path, sizeof(path), "%s/probe", self->base);
	from = open(path, O_CREAT | O_RDWR, 0600);
	to = open(self->base, O_TMPFILE | O_RDWR, 0600);
	ASSERT_EQ(4, write(from, "data", 4));
	can = !ioctl(to, FICLONE, from);
	close(from);
	close(to);

	put_program(self, WRITE_DATA);
	ASSERT_EQ(0, create(self));
	TH_LOG("blocks can be shared here: %d", can);
	EXPECT_EQ(can, self->image.reflinked);
	EXPECT_TRUE(has_data(self->image.fd));
}

TEST_F(image, none_is_zeros_without_a_program)
{
	struct stat st;

	self->spec.fs = "none";
	self->spec.size_mb = 0;
	ASSERT_EQ(0, create(self));
	EXPECT_EQ(DISK_IMAGE_DEFAULT_MB * MIB, size_of(self->image.fd));
	EXPECT_EQ(0, fstat(self->image.fd, &st));
	EXPECT_EQ(0, st.st_blocks);
	EXPECT_EQ(0, st.st_nlink);
	EXPECT_EQ(0, count_files(self->dir));
}

/* Holes, data that ends within a block, data that is zeros, and a hole at the end. */
TEST(sparse_copy_equals_and_stays_sparse)
{
	char a[32] = "/tmp/ktstr-sparse.XXXXXX", b[32] = "/tmp/ktstr-sparse.XXXXXX";
	const uint64_t size = 8 * MIB + 4096;
	int from = mkstemp(a), to = mkstemp(b);
	char *data = calloc(1, MIB), *x, *y;
	struct stat st;

	unlink(a);
	unlink(b);
	ASSERT_EQ(0, ftruncate(from, (off_t)size));
	ASSERT_EQ(MIB, pwrite(from, data, MIB, 4 * MIB));
	memset(data, 'x', MIB);
	ASSERT_EQ(5000, pwrite(from, data, 5000, 1 * MIB + 123));
	ASSERT_EQ(70000, pwrite(from, data, 70000, 6 * MIB));
	ASSERT_EQ(1, pwrite(from, data, 1, (off_t)size - 1));
	ASSERT_EQ(0, disk_image__copy_sparse(to, from, size));
	/* Before it is mapped: some file systems fill holes that are looked at. */
	EXPECT_EQ(0, fstat(to, &st));
	EXPECT_GE(512 << 10, st.st_blocks * 512);
	x = mmap(NULL, size, PROT_READ, MAP_SHARED, from, 0);
	y = mmap(NULL, size, PROT_READ, MAP_SHARED, to, 0);
	EXPECT_EQ(size, size_of(to));
	EXPECT_EQ(0, memcmp(x, y, size));
	free(data);
}

/* ---- Several at once, crashes, damage ---- */

TEST_F(image, makers_at_once_make_it_once)
{
	int ready[2], status, failed = 0;
	char byte;

	put_program(self, "sleep 0.2\n" WRITE_DATA);
	ASSERT_EQ(0, pipe(ready));
	for (int i = 0; i < 8; i++) {
		if (fork())
			continue;
		close(ready[1]);
		if (read(ready[0], &byte, 1)) /* until all are there */
			_exit(2);
		_exit(create(self) || !has_data(self->image.fd));
	}
	close(ready[0]);
	close(ready[1]);
	while (wait(&status) > 0)
		failed += status != 0;
	EXPECT_EQ(0, failed);
	EXPECT_EQ(1, times_made(self));
	EXPECT_EQ(1, count_files(self->dir));
}

TEST_F(image, maker_that_dies_leaves_nothing_that_counts)
{
	char file[200];
	pid_t child;
	int status;

	/* The maker itself is killed in the middle of mkfs. */
	put_program(self, WRITE_DATA
		    "\n[ -e \"$COUNT.died\" ] || { : >\"$COUNT.died\"; kill -9 $PPID; }");
	child = fork();
	if (!child) {
		create(self);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	snprintf(file, sizeof(file), "%s/old.making.abcdef", self->dir);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	ASSERT_EQ(2, count_files(self->dir));
	ASSERT_EQ(0, create(self));
	EXPECT_TRUE(has_data(self->image.fd));
	EXPECT_EQ(2, times_made(self));
	EXPECT_EQ(1, count_files(self->dir));
}

TEST_F(image, template_that_was_cut_is_made_again)
{
	char path[700];
	struct dirent *entry;
	DIR *dir;

	put_program(self, WRITE_DATA);
	ASSERT_EQ(0, create(self));
	dir = opendir(self->dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(path, sizeof(path), "%s/%s", self->dir, entry->d_name);
	closedir(dir);
	ASSERT_EQ(0, truncate(path, 5));
	ASSERT_EQ(0, create(self));
	EXPECT_TRUE(has_data(self->image.fd));
	EXPECT_EQ(2, times_made(self));
}

/* ---- What is missing or fails ---- */

TEST_F(image, missing_program_is_named_with_its_package)
{
	char text[1400];

	self->spec.fs = "xfs";
	EXPECT_EQ(-ENOENT, create(self));
	ktstr_error__format(&self->error, text, sizeof(text));
	EXPECT_STREQ("xfs: make disk: mkfs.xfs is not in PATH; install the package xfsprogs", text);
	EXPECT_EQ(-1, self->image.fd);
	EXPECT_EQ(-ENOENT,
		  disk_image__check_program(disk_image__find_fs("btrfs"), self->bin, &self->error));
	EXPECT_EQ(0,
		  disk_image__check_program(disk_image__find_fs("none"), self->bin, &self->error));
}

TEST_F(image, program_is_found_in_the_sbin_beside_a_bin)
{
	char sbin[200], from[200], to[300], path[600];

	put_program(self, WRITE_DATA);
	snprintf(sbin, sizeof(sbin), "%s/sbin", self->base);
	snprintf(from, sizeof(from), "%s/mkfs.ext4", self->bin);
	snprintf(to, sizeof(to), "%s/mkfs.ext4", sbin);
	snprintf(path, sizeof(path), "relative:/nowhere:%s", self->bin);
	ASSERT_EQ(0, mkdir(sbin, 0755));
	ASSERT_EQ(0, rename(from, to));
	self->spec.path = path;
	EXPECT_EQ(0, create(self));
	EXPECT_EQ(1, times_made(self));
}

TEST_F(image, what_mkfs_says_is_said)
{
	put_program(self, "echo 'the disk is too small' >&2\nexit 3");
	EXPECT_EQ(-EINVAL, create(self));
	EXPECT_NE(NULL, strstr(self->error.reason, "exit code 3: the disk is too small"));
	EXPECT_EQ(-1, self->image.fd);
	EXPECT_EQ(0, count_files(self->dir));
	EXPECT_EQ(0, count_files(self->tmp));
}

TEST_F(image, cache_that_cannot_be_written_is_done_without)
{
	char nowhere[200];

	put_program(self, WRITE_DATA);
	snprintf(nowhere, sizeof(nowhere), "%s/nowhere", self->base);
	self->spec.dir = nowhere; /* for root, a mode is no bar */
	ASSERT_EQ(0, create(self));
	EXPECT_TRUE(has_data(self->image.fd));
	EXPECT_NE(NULL, strstr(self->image.note, "no template of disks: "));
	EXPECT_NE(NULL, strstr(self->image.note, "No such file or directory"));
	EXPECT_EQ(0, count_files(self->tmp));
	self->spec.fs = "none";
	ASSERT_EQ(0, create(self));
	EXPECT_EQ(16 * MIB, size_of(self->image.fd));
}

TEST_F(image, full_cache_is_done_without)
{
	/* mkfs finds no space, as long as it is there. */
	put_program(self, "case $file in */templates/*) echo 'No space left on device'; exit 1;; "
			  "esac\n" WRITE_DATA);
	ASSERT_EQ(0, create(self));
	EXPECT_TRUE(has_data(self->image.fd));
	EXPECT_NE(NULL, strstr(self->image.note, "No space left on device"));
	EXPECT_EQ(0, count_files(self->dir));
}

TEST_F(image, bad_descriptions_are_refused)
{
	self->spec.fs = "vfat";
	EXPECT_EQ(-EINVAL, create(self));
	self->spec.fs = "none";
	self->spec.size_mb = DISK_IMAGE_MAX_MB + 1;
	EXPECT_EQ(-EINVAL, create(self));
}

/* ---- The real programs ---- */

static uint32_t read_magic(int fd, off_t at)
{
	uint32_t magic = 0;

	return pread(fd, &magic, sizeof(magic), at) == sizeof(magic) ? magic : 0;
}

TEST_F(image, real_file_systems_are_there_and_take_little_room)
{
	static const struct {
		const char *fs;
		off_t at;
		uint32_t magic, mask;
	} known[] = {
		{"btrfs", 0x10040, 0x5248425f, 0xffffffff}, /* "_BHR" */
		{"ext4", 1024 + 0x38, 0xef53, 0xffff},
		{"xfs", 0, 0x42534658, 0xffffffff}, /* "XFSB" */
	};

	self->spec.path = "/usr/sbin:/usr/bin:/sbin:/bin";
	self->spec.size_mb = 512;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct stat st;

		self->spec.fs = known[i].fs;
		ASSERT_EQ(0, create(self))
		{
			TH_LOG("%s: %s", known[i].fs, self->error.reason);
		}
		EXPECT_EQ(known[i].magic, read_magic(self->image.fd, known[i].at) & known[i].mask);
		EXPECT_EQ(0, fstat(self->image.fd, &st));
		/* What is shared is of no account: xfs has a log of 64 MiB of zeros. */
		EXPECT_GT((self->image.reflinked ? 128 : 16) * MIB, (uint64_t)st.st_blocks * 512)
		{
			TH_LOG("%s: %lld KiB", known[i].fs, (long long)st.st_blocks / 2);
		}
	}
}

TEST_HARNESS_MAIN
