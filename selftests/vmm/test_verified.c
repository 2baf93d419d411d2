// SPDX-License-Identifier: GPL-2.0-only
/* Files that are read once in full, and again when they have changed. */
#include "kselftest_harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/verified.h"

#define SIZE (3u << 20)
/* What is written to lately is not noted: longer than that */
#define SETTLE_US 150000

FIXTURE(file)
{
	char dir[32], path[64], note[80];
	uint8_t *data;
	struct digest digest;
	int fd;
};

static void make_file(FIXTURE_DATA(file) * self)
{
	unlink(self->path);
	self->fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (self->fd < 0 || write(self->fd, self->data, SIZE) != SIZE)
		abort();
}

FIXTURE_SETUP(file)
{
	strcpy(self->dir, "/tmp/ktstr-verified-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/file", self->dir);
	snprintf(self->note, sizeof(self->note), "%s" VERIFIED_SUFFIX, self->path);
	self->data = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		self->data[i] = (uint8_t)(i * 7 + (i >> 8));
	digest__data(self->data, SIZE, &self->digest);
	make_file(self);
	usleep(SETTLE_US);
}

FIXTURE_TEARDOWN(file)
{
	char command[64];

	close(self->fd);
	free(self->data);
	snprintf(command, sizeof(command), "rm -rf %s", self->dir);
	EXPECT_EQ(0, system(command));
}

static int check(FIXTURE_DATA(file) * self)
{
	return verified__check(self->fd, self->path, SIZE, &self->digest);
}

/* Bytes that this process has read by system calls. */
static uint64_t bytes_read(void)
{
	unsigned long long bytes = 0;
	FILE *f = fopen("/proc/self/io", "re");

	if (!f || fscanf(f, "rchar: %llu", &bytes) != 1)
		abort();
	fclose(f);
	return bytes;
}

/* 1: it was read in full; 0: it was not; -1: it is not what it should be. */
static int reads(FIXTURE_DATA(file) * self)
{
	uint64_t before = bytes_read();

	if (check(self))
		return -1;
	return bytes_read() - before >= SIZE;
}

static int nr_files(const char *path)
{
	DIR *dir = opendir(path);
	int nr = -2; /* "." and ".." */

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

TEST_F(file, what_was_checked_is_not_read_again)
{
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(0, reads(self));
	EXPECT_EQ(0, reads(self));
	EXPECT_EQ(2, nr_files(self->dir)); /* it and its note */
}

TEST_F(file, a_flipped_bit_is_found)
{
	const size_t places[] = {0, 1, SIZE / 2, SIZE - 1};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t byte = self->data[places[i]] ^ 0x10;

		ASSERT_EQ(1, pwrite(self->fd, &byte, 1, (off_t)places[i]));
		EXPECT_EQ(-EBADMSG, check(self));
		ASSERT_EQ(1, pwrite(self->fd, &self->data[places[i]], 1, (off_t)places[i]));
		EXPECT_EQ(0, check(self));
	}
}

TEST_F(file, a_write_after_the_check_is_found_with_its_old_time)
{
	uint8_t byte = self->data[1000] ^ 1;
	struct timespec times[2];
	struct stat st;

	ASSERT_EQ(1, reads(self));
	ASSERT_EQ(0, fstat(self->fd, &st));
	ASSERT_EQ(1, pwrite(self->fd, &byte, 1, 1000));
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	ASSERT_EQ(0, futimens(self->fd, times));
	EXPECT_EQ(-EBADMSG, check(self));
}

TEST_F(file, another_file_of_its_name_is_read)
{
	ASSERT_EQ(1, reads(self));
	close(self->fd);
	make_file(self);
	EXPECT_EQ(1, reads(self));
}

TEST_F(file, another_digest_is_compared)
{
	ASSERT_EQ(1, reads(self));
	self->digest.high ^= 1;
	EXPECT_EQ(-EBADMSG, check(self));
	self->digest.high ^= 1;
	self->digest.low ^= UINT64_C(1) << 63;
	EXPECT_EQ(-EBADMSG, check(self));
}

/* The clock of the file system ticks: a change in the same tick would not show. */
TEST_F(file, what_was_just_written_is_not_noted)
{
	ASSERT_EQ(1, pwrite(self->fd, self->data, 1, 0));
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(-1, access(self->note, F_OK));
	usleep(SETTLE_US);
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(0, reads(self));
}

TEST_F(file, a_note_of_another_boot_counts_for_nothing)
{
	char text[512] = "", *boot;
	FILE *f;

	ASSERT_EQ(1, reads(self));
	f = fopen(self->note, "r+e");
	ASSERT_NE(NULL, f);
	ASSERT_NE(NULL, fgets(text, sizeof(text), f));
	boot = strchr(strchr(text, ' ') + 1, ' ') + 1;
	*boot = *boot == '0' ? '1' : '0';
	rewind(f);
	fputs(text, f);
	fclose(f);
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(0, reads(self));
}

TEST_F(file, a_note_that_is_damaged_counts_for_nothing)
{
	struct stat st;

	ASSERT_EQ(1, reads(self));
	ASSERT_EQ(0, stat(self->note, &st));
	for (off_t length = 0; length <= st.st_size + 1; length++) {
		if (length == st.st_size)
			continue;
		ASSERT_EQ(0, truncate(self->note, length));
		ASSERT_EQ(1, reads(self)) TH_LOG("%lld bytes", (long long)length);
	}
	ASSERT_EQ(0, unlink(self->note));
	ASSERT_EQ(0, symlink("/dev/zero", self->note));
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(0, reads(self));
}

TEST_F(file, without_a_place_for_the_note_it_is_read_each_time)
{
	ASSERT_EQ(0, mkdir(self->note, 0700));
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(1, reads(self));
	EXPECT_EQ(2, nr_files(self->dir)); /* no temporary file is left */
	ASSERT_EQ(0, rmdir(self->note));
}

TEST_F(file, a_file_that_is_too_short_is_damaged)
{
	ASSERT_EQ(1, reads(self));
	ASSERT_EQ(0, ftruncate(self->fd, SIZE - 1));
	EXPECT_EQ(-EBADMSG, check(self));
	ASSERT_EQ(0, ftruncate(self->fd, 0));
	EXPECT_EQ(-EBADMSG, check(self));
}

TEST_F(file, what_cannot_be_read_is_an_error)
{
	int fd = open(self->path, O_WRONLY | O_CLOEXEC);

	EXPECT_EQ(-EBADF, verified__check(fd, self->path, SIZE, &self->digest));
	close(fd);
	EXPECT_EQ(-EBADF, verified__check(-1, self->path, SIZE, &self->digest));
}

/* xxhsum -H2 of an empty file */
TEST(digest_is_xxh3_of_128_bits)
{
	struct digest none;

	digest__data("", 0, &none);
	EXPECT_EQ(UINT64_C(0x99aa06d3014798d8), none.high);
	EXPECT_EQ(UINT64_C(0x6001c324468d497f), none.low);
}

TEST_HARNESS_MAIN
