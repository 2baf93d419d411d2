// SPDX-License-Identifier: GPL-2.0-only
/* PRAW frames become files: unchanged, in their directory alone, and not without limit. */
#include "kselftest_harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "vmm/profraw.h"

FIXTURE(profraw)
{
	char dir[32];
	struct profraw profraw;
	char report[2048];
};

FIXTURE_SETUP(profraw)
{
	strcpy(self->dir, "/tmp/ktstr-profraw-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	profraw__init(&self->profraw, self->dir);
}

FIXTURE_TEARDOWN(profraw)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", self->dir);
	EXPECT_EQ(0, system(command));
}

static void send(struct profraw *profraw, uint32_t type, const void *data, uint32_t length)
{
	profraw__frame(profraw, type, 0, data, length);
}

/* How many files there are; their bytes in *total; @data gets the last one's, at most @size. */
static unsigned int files(const char *path, uint64_t *total, void *data, size_t size)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	*total = 0;
	while ((entry = readdir(dir))) {
		struct stat st;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (strncmp(entry->d_name, "guest-", 6) || !strstr(entry->d_name, ".profraw"))
			return UINT32_MAX;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
		if (fd < 0 || fstat(fd, &st) || (data && read(fd, data, size) < 0))
			return UINT32_MAX;
		close(fd);
		*total += (uint64_t)st.st_size;
	}
	closedir(dir);
	return n;
}

TEST_F(profraw, a_profile_is_written_unchanged)
{
	static uint8_t sent[100000], got[sizeof(sent) + 1];
	uint64_t total;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 31 >> 3);
	send(&self->profraw, KTSTR_FRAME_PROFRAW, sent, sizeof(sent));
	EXPECT_EQ(1, files(self->dir, &total, got, sizeof(got)));
	EXPECT_EQ(sizeof(sent), total);
	EXPECT_EQ(0, memcmp(sent, got, sizeof(sent)));
	EXPECT_EQ(0, profraw__report(&self->profraw, self->report, sizeof(self->report)));
	EXPECT_STREQ("", self->report);
}

TEST_F(profraw, frames_of_other_types_are_left_alone)
{
	uint64_t total;

	send(&self->profraw, KTSTR_FRAME_RAW_OUTPUT, "x", 1);
	send(&self->profraw, KTSTR_FRAME_OUTPUT, "x", 1);
	EXPECT_EQ(0, files(self->dir, &total, NULL, 0));
}

TEST_F(profraw, no_directory_is_no_file_and_no_complaint)
{
	char old[4096];
	uint64_t total;

	ASSERT_NE(NULL, getcwd(old, sizeof(old)));
	ASSERT_EQ(0, chdir(self->dir));
	profraw__init(&self->profraw, NULL);
	send(&self->profraw, KTSTR_FRAME_PROFRAW, "x", 1);
	EXPECT_EQ(0, self->profraw.files);
	profraw__init(&self->profraw, ""); /* not the root directory */
	send(&self->profraw, KTSTR_FRAME_PROFRAW, "x", 1);
	EXPECT_EQ(0, self->profraw.files);
	EXPECT_EQ(0, profraw__report(&self->profraw, self->report, sizeof(self->report)));
	ASSERT_EQ(0, chdir(old));
	EXPECT_EQ(0, files(self->dir, &total, NULL, 0));
}

TEST_F(profraw, names_are_new_in_every_process_whatever_the_guest_sends)
{
	uint64_t total;

	for (int i = 0; i < 8; i++) {
		if (fork())
			continue;
		send(&self->profraw, KTSTR_FRAME_PROFRAW, "../../x", 8);
		send(&self->profraw, KTSTR_FRAME_PROFRAW, NULL, 0);
		_exit(0);
	}
	for (int i = 0; i < 8; i++)
		wait(NULL);
	EXPECT_EQ(16, files(self->dir, &total, NULL, 0));
	EXPECT_EQ(8 * 8, total);
}

TEST_F(profraw, a_machine_cannot_fill_the_disk)
{
	static uint8_t large[KTSTR_FRAME_MAX_PAYLOAD];
	uint64_t total;

	for (unsigned int i = 0; i < PROFRAW_MAX_BYTES / sizeof(large) + 3; i++)
		send(&self->profraw, KTSTR_FRAME_PROFRAW, large, sizeof(large));
	EXPECT_EQ(PROFRAW_MAX_BYTES / sizeof(large), files(self->dir, &total, NULL, 0));
	EXPECT_EQ(PROFRAW_MAX_BYTES, total);
	profraw__report(&self->profraw, self->report, sizeof(self->report));
	EXPECT_EQ(0, strncmp("3 coverage profiles of the guest are lost: ", self->report, 43));
	EXPECT_NE(NULL, strstr(self->report, "more than 64 MiB or 256 files from one machine"));
}

TEST_F(profraw, a_machine_cannot_fill_the_directory_with_empty_files)
{
	uint64_t total;

	for (unsigned int i = 0; i < PROFRAW_MAX_FILES + 2; i++)
		send(&self->profraw, KTSTR_FRAME_PROFRAW, NULL, 0);
	EXPECT_EQ(PROFRAW_MAX_FILES, files(self->dir, &total, NULL, 0));
	profraw__report(&self->profraw, self->report, sizeof(self->report));
	EXPECT_EQ(0, strncmp("2 coverage profiles", self->report, 19));
}

TEST_F(profraw, what_cannot_be_written_whole_is_not_left_behind)
{
	const struct rlimit limit = {1000, 1000};
	static uint8_t data[5000];
	uint64_t total;

	signal(SIGXFSZ, SIG_IGN);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	send(&self->profraw, KTSTR_FRAME_PROFRAW, data, sizeof(data));
	EXPECT_EQ(0, files(self->dir, &total, NULL, 0));
	profraw__report(&self->profraw, self->report, sizeof(self->report));
	EXPECT_NE(NULL, strstr(self->report, "1 coverage profile of the guest is lost: "));
	EXPECT_NE(NULL, strstr(self->report, strerror(EFBIG)));
}

TEST_F(profraw, a_directory_that_is_not_there_is_named)
{
	profraw__init(&self->profraw, "/no/such/directory");
	send(&self->profraw, KTSTR_FRAME_PROFRAW, "x", 1);
	profraw__report(&self->profraw, self->report, sizeof(self->report));
	EXPECT_STREQ("1 coverage profile of the guest is lost: /no/such/directory: create profile "
		     "in: No such file or directory",
		     self->report);
}

TEST_HARNESS_MAIN
