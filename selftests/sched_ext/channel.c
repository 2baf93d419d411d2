// SPDX-License-Identifier: GPL-2.0-only
/* The way out of the machine under a test that is after it. */
#include <ktstr/harness.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <ktstr/proto.h>

/* Of the frames' port: "/dev/vport0p1". */
static bool find_port(char *node, size_t size)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	bool found = false;

	while (!found && dir && (entry = readdir(dir))) {
		char path[300], name[64] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		f = fopen(path, "re");
		found = f && fgets(name, sizeof(name), f) &&
			!strcmp(name, KTSTR_PORT_TLV_NAME "\n");
		if (f)
			fclose(f);
		snprintf(node, size, "/dev/%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* PID 1 has it open, and Linux gives a port to one only. */
KTSTR_TEST(port_of_the_frames_is_taken)
{
	char node[300], by_fd[64];
	int fd;

	ASSERT_TRUE(find_port(node, sizeof(node)));
	ASSERT_EQ(-1, open(node, O_WRONLY | O_CLOEXEC));
	ASSERT_EQ(EBUSY, errno);
	/* nor by another way to the same node */
	for (fd = 0; fd < 32; fd++) {
		struct stat st;

		snprintf(by_fd, sizeof(by_fd), "/proc/1/fd/%d", fd);
		if (stat(by_fd, &st) || !S_ISCHR(st.st_mode))
			continue;
		if (open(by_fd, O_WRONLY | O_CLOEXEC | O_NONBLOCK) < 0)
			ASSERT_EQ(EBUSY, errno);
	}
}

/* A copy of PID 1's own descriptor; root may take one. */
static int take_descriptor(struct __test_metadata *_metadata)
{
	int init = (int)syscall(SYS_pidfd_open, 1, 0), fd;
	struct stat port, st;
	char node[300];

	ASSERT_LE(0, init);
	ASSERT_TRUE(find_port(node, sizeof(node)));
	ASSERT_EQ(0, stat(node, &port));
	for (int n = 0; n < 32; n++) {
		fd = (int)syscall(SYS_pidfd_getfd, init, n, 0);
		if (fd < 0)
			continue;
		if (!fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == port.st_rdev)
			return fd;
		close(fd);
	}
	ASSERT_TRUE(false)
	{
		TH_LOG("PID 1 has no port open");
	}
	return -1;
}

KTSTR_TEST(garbage_among_the_frames_breaks_the_channel,
	   .expect_verdict = KTSTR_VERDICT_CHANNEL_BROKEN,
	   .expect_cause = "27 bytes skipped, 0 frames missing")
{
	static const char garbage[] = "ok 1 this is no frame KTLV";
	int fd = take_descriptor(_metadata);

	ASSERT_EQ(sizeof(garbage), write(fd, garbage, sizeof(garbage)));
}

/* A forged result, whole and with its CRC, but not the next in sequence. */
KTSTR_TEST(forged_result_is_no_pass, .expect_verdict = KTSTR_VERDICT_CHANNEL_BROKEN,
	   .expect_cause = "to 1000 (type TEST)")
{
	/* exit code 0 */
	static const struct {
		struct ktstr_frame_header header;
		struct ktstr_test_payload result;
	} frame = {.header = {.magic = KTSTR_FRAME_MAGIC,
			      .type = KTSTR_FRAME_TEST_RESULT,
			      .sequence = 1000,
			      .length = sizeof(frame.result),
			      .crc = 0xa1edd392}};
	int fd = take_descriptor(_metadata);

	ASSERT_EQ(sizeof(frame), write(fd, &frame, sizeof(frame)));
	ASSERT_TRUE(false)
	{
		TH_LOG("a failure that the forged frame is to hide");
	}
}

/* What a test writes that is a frame stays its output. */
KTSTR_TEST(frames_in_the_output_are_output)
{
	static const struct ktstr_frame_header header = {
		.magic = KTSTR_FRAME_MAGIC, .type = KTSTR_FRAME_EXIT, .length = 1u << 24};

	for (int i = 0; i < 1000; i++)
		ASSERT_EQ(sizeof(header), write(STDOUT_FILENO, &header, sizeof(header)));
}

KTSTR_HARNESS_MAIN
