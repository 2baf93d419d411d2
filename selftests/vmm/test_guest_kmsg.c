// SPDX-License-Identifier: GPL-2.0-only
/* Lines of the kernel's log from records of /dev/kmsg. */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "guest/kmsg.h"

static const char *format(const char *record, size_t length)
{
	static char out[KMSG_LINE_MAX + 1];

	out[kmsg__format(record, length, out)] = '\0';
	return out;
}

TEST(a_record_becomes_a_line_with_its_time)
{
	static const char plain[] = "6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n DEVICE=x\n";
	static const char caller[] = "12,1,1000001,c,caller=T1;user \\x0a said";

	EXPECT_STREQ("<6>[    5.140900] NET: Registered\n", format(plain, sizeof(plain) - 1));
	EXPECT_STREQ("<4>[    1.000001] user \\x0a said\n", format(caller, sizeof(caller) - 1));
}

TEST(what_is_no_record_gives_nothing)
{
	static const char *const bad[] = {"", "6,1,2", "6;x", "a,b,c,-;x", ";"};
	char huge[5000];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_STREQ("", format(bad[i], strlen(bad[i])));
	memset(huge, '1', sizeof(huge));
	huge[4000] = ';';
	EXPECT_STREQ("", format(huge, sizeof(huge)));
	memcpy(huge, "1,2,3,-;", 8);
	EXPECT_EQ(KMSG_LINE_MAX > 5000, strlen(format(huge, sizeof(huge))) > 4990);
}

TEST(the_running_kernels_log_is_read_in_whole_lines)
{
	char buf[3 * KMSG_LINE_MAX];
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), calls = 0;
	size_t n;

	if (fd < 0)
		SKIP(return, "no right to read /dev/kmsg");
	while (calls < 10000 && (n = kmsg__read(fd, buf, sizeof(buf)))) {
		calls++;
		EXPECT_EQ('\n', buf[n - 1]);
		EXPECT_TRUE(buf[0] == '<' || buf[0] == '(');
	}
	close(fd);
}

TEST_HARNESS_MAIN
