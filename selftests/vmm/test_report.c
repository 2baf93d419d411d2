// SPDX-License-Identifier: GPL-2.0-only
/* The test's end of the report socket is hostile: what it may put into PID 1's, and what not. */
#include "kselftest_harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "guest/report.h"

FIXTURE(report)
{
	int fds[2];
	struct report report;
};

FIXTURE_SETUP(report)
{
	ASSERT_EQ(0, report__open(self->fds));
}

FIXTURE_TEARDOWN(report)
{
	close(self->fds[0]);
	close(self->fds[1]);
}

static unsigned int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* A header that promises @length bytes, and @nr times @fd. */
static int send_fds(int socket, uint32_t length, int fd, size_t nr)
{
	struct report_header header = {.type = KTSTR_FRAME_PROFRAW, .length = length};
	struct iovec iov = {&header, sizeof(header)};
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = CMSG_SPACE(nr * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	for (size_t i = 0; i < nr; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) < 0 ? -errno : 0;
}

TEST_F(report, descriptors_beyond_one_are_refused_and_not_kept)
{
	int fd = memfd_create("frame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned int before = open_files();

	/* One that could be taken. */
	ASSERT_EQ(4, write(fd, "text", 4));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	ASSERT_EQ(0, send_fds(self->fds[1], 4, fd, 1));
	EXPECT_EQ(1, report__receive(self->fds[0], &self->report));
	report__release(&self->report);
	for (size_t nr = 2; nr <= 8; nr++) {
		ASSERT_EQ(0, send_fds(self->fds[1], 4, fd, nr));
		EXPECT_EQ(-EPROTO, report__receive(self->fds[0], &self->report));
		ASSERT_EQ(0, send_fds(self->fds[1], 0, fd, nr));
		EXPECT_EQ(-EPROTO, report__receive(self->fds[0], &self->report));
	}
	EXPECT_EQ(before, open_files());
	close(fd);
}

TEST_F(report, an_empty_message_is_not_the_end)
{
	ASSERT_EQ(0, send(self->fds[1], "", 0, 0));
	EXPECT_EQ(-EPROTO, report__receive(self->fds[0], &self->report));
	EXPECT_EQ(-EAGAIN, report__receive(self->fds[0], &self->report));
	ASSERT_EQ(0, report__send(self->fds[1], KTSTR_FRAME_PROFRAW, "p", 1, NULL, 0));
	EXPECT_EQ(1, report__receive(self->fds[0], &self->report));
}

TEST_F(report, what_waits_behind_an_empty_message_of_a_writer_that_has_gone_is_taken)
{
	ASSERT_EQ(0, send(self->fds[1], "", 0, 0));
	ASSERT_EQ(0, report__send(self->fds[1], KTSTR_FRAME_PROFRAW, "p", 1, NULL, 0));
	close(self->fds[1]);
	EXPECT_EQ(-EPROTO, report__receive(self->fds[0], &self->report));
	EXPECT_EQ(1, report__receive(self->fds[0], &self->report));
	EXPECT_EQ(0, report__receive(self->fds[0], &self->report));
	self->fds[1] = -1;
}

TEST_F(report, a_whole_message_and_a_large_one_come_as_they_were)
{
	static char large[REPORT_INLINE_MAX + 1];
	unsigned int before = open_files();

	large[REPORT_INLINE_MAX] = 'z';
	ASSERT_EQ(0, report__send(self->fds[1], KTSTR_FRAME_RAW_OUTPUT, "ab", 2, "c", 1));
	ASSERT_EQ(1, report__receive(self->fds[0], &self->report));
	EXPECT_EQ(3, self->report.length);
	EXPECT_EQ(0, memcmp("abc", self->report.data, 3));
	ASSERT_EQ(0, report__send(self->fds[1], KTSTR_FRAME_RAW_OUTPUT, large, sizeof(large), NULL,
				  0));
	ASSERT_EQ(1, report__receive(self->fds[0], &self->report));
	EXPECT_EQ(sizeof(large), self->report.length);
	EXPECT_EQ('z', self->report.data[REPORT_INLINE_MAX]);
	report__release(&self->report);
	EXPECT_EQ(before, open_files());
}

TEST_HARNESS_MAIN
