// SPDX-License-Identifier: GPL-2.0-only
/* The file behind a disk, and its settings as text. */
#include "vmm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vmm/disk_options.h"

FIXTURE(disk)
{
	char dir[32];
	char path[64];
	struct ktstr_disk disk;
	struct virtio_blk_options options;
	struct ktstr_error error;
};

FIXTURE_SETUP(disk)
{
	int fd;

	strcpy(self->dir, "/tmp/ktstr-disk.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/image", self->dir);
	fd = open(self->path, O_CREAT | O_WRONLY, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 1000 * 512 + 17));
	close(fd);
	self->disk.path = self->path;
}

FIXTURE_TEARDOWN(disk)
{
	unlink(self->path);
	rmdir(self->dir);
}

static int open_disk(FIXTURE_DATA(disk) * self)
{
	self->error = (struct ktstr_error){0};
	return disk__open(&self->disk, 3, &self->options, &self->error);
}

TEST_F(disk, description_becomes_a_device)
{
	self->disk.iops = 100;
	self->disk.burst_bytes = 7;
	self->disk.bytes_per_s = 5000;
	self->disk.queues = 16;
	ASSERT_EQ(0, open_disk(self));
	EXPECT_EQ(1000, self->options.sectors); /* whole ones */
	EXPECT_EQ(0, memcmp("disk3\0\0\0\0\0\0\0\0\0\0\0\0\0\0", self->options.serial, 20));
	EXPECT_EQ(16, self->options.queues);
	EXPECT_EQ(100, self->options.operations.rate);
	EXPECT_EQ(5000, self->options.bytes.rate);
	EXPECT_EQ(7, self->options.bytes.burst);
	EXPECT_EQ(0, fcntl(self->options.fd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(O_RDWR, fcntl(self->options.fd, F_GETFL) & O_ACCMODE);
	close(self->options.fd);
}

TEST_F(disk, file_of_a_read_only_disk_cannot_be_written)
{
	chmod(self->path, 0400);
	self->disk.read_only = true;
	self->disk.serial = "12345678901234567890";
	ASSERT_EQ(0, open_disk(self));
	EXPECT_EQ(O_RDONLY, fcntl(self->options.fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, memcmp("12345678901234567890", self->options.serial, 20));
	close(self->options.fd);
}

TEST_F(disk, two_machines_do_not_write_one_file)
{
	struct virtio_blk_options first;

	ASSERT_EQ(0, open_disk(self));
	first = self->options;
	EXPECT_EQ(-EBUSY, open_disk(self));
	EXPECT_NE(0, self->error.hint[0]);
	self->disk.read_only = true;
	EXPECT_EQ(-EBUSY, open_disk(self));
	close(first.fd);
	ASSERT_EQ(0, open_disk(self));
	first = self->options;
	EXPECT_EQ(0, open_disk(self)); /* readers share it */
	close(self->options.fd);
	self->disk.read_only = false;
	EXPECT_EQ(-EBUSY, open_disk(self));
	close(first.fd);
}

TEST_F(disk, what_is_no_disk_is_refused)
{
	struct ktstr_disk good = self->disk;

	self->disk.path = self->dir;
	EXPECT_EQ(-EISDIR, open_disk(self));
	self->disk.read_only = true;
	EXPECT_EQ(-EINVAL, open_disk(self));
	self->disk.path = "/dev/null";
	EXPECT_EQ(-EINVAL, open_disk(self));
	self->disk.path = "/nowhere/image";
	EXPECT_EQ(-ENOENT, open_disk(self));
	self->disk.path = NULL;
	EXPECT_EQ(-EINVAL, open_disk(self));
	self->disk = good;
	self->disk.serial = "123456789012345678901";
	EXPECT_EQ(-EINVAL, open_disk(self));
	self->disk = good;
	self->disk.queues = 17;
	EXPECT_EQ(-EINVAL, open_disk(self));
	self->disk = good;
	self->disk.burst_ops = 5;
	EXPECT_EQ(-EINVAL, open_disk(self));
	self->disk = good;
	ASSERT_EQ(0, truncate(self->path, 511));
	EXPECT_EQ(-EINVAL, open_disk(self));
	EXPECT_EQ(-1, self->options.fd);
}

static int check(const struct ktstr_disk *disks, size_t nr)
{
	struct ktstr_error error = {0};
	int err = disk__check(disks, nr, &error);

	/* Each refusal is explained. */
	return err && !error.reason[0] ? -1 : err;
}

TEST(disks_that_can_be_together_are_taken)
{
	static const struct ktstr_disk disks[] = {
		{.fs = "btrfs", .mount = "/mnt"},
		{.path = "/image"},
		{.fs = "btrfs", .mount = "/a/b,c", .serial = "mine", .read_only = true},
		{.fs = "none", .serial = "a,b"},
		{.fs = "xfs", .size_mb = 16 << 20},
	};

	EXPECT_EQ(0, check(disks, 5));
	EXPECT_EQ(0, check(NULL, 0));
}

TEST(fresh_disks_that_cannot_be_are_refused)
{
	static const struct ktstr_disk bad[] = {
		{.iops = 5},
		{.path = "/image", .fs = "ext4"},
		{.path = "/image", .size_mb = 5},
		{.path = "/image", .mount = "/mnt"},
		{.fs = "vfat"},
		{.fs = "ext4", .size_mb = (16 << 20) + 1},
		{.fs = "none", .mount = "/mnt"},
		{.fs = "ext4", .mount = "mnt"},
		{.fs = "ext4", .mount = ""},
		{.fs = "ext4", .mount = "//"},
		{.fs = "ext4", .mount = "/mnt", .serial = ""},
		{.fs = "ext4", .mount = "/mnt", .serial = "a,b"},
		{.fs = "ext4", .mount = "/mnt", .serial = "ktstr-base"},
	};
	/* The second one's default is the first one's own. */
	static const struct ktstr_disk same[] = {{.fs = "none", .serial = "disk1"},
						 {.fs = "ext4", .mount = "/mnt"}};

	for (size_t nr = 0; nr < sizeof(bad) / sizeof(bad[0]); nr++) {
		EXPECT_EQ(-EINVAL, check(&bad[nr], 1))
		{
			TH_LOG("number %zu", nr);
		}
	}
	EXPECT_EQ(-EINVAL, check(same, 2));
}

/* ---- Text ---- */

static const char *parse(const char *text, char *buf, struct ktstr_disk *disk)
{
	*disk = (struct ktstr_disk){0};
	strcpy(buf, text);
	return disk_options__parse(buf, disk);
}

TEST(options_are_read_and_written_alike)
{
	static const char *const texts[] = {
		"",
		"ro",
		"iops=5",
		"ro,iops=1,bps=2,burst-ops=3,burst-bytes=4,queues=5,serial=a b",
		"bps=18446744073709551615,queues=16",
		"fs=none",
		"fs=btrfs,size=512M,mount=/mnt,ro,iops=2000",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ktstr_disk disk;
		char buf[128], *written;
		size_t length;
		FILE *f = open_memstream(&written, &length);

		EXPECT_EQ(NULL, parse(texts[i], buf, &disk));
		disk_options__write(&disk, f);
		fclose(f);
		EXPECT_STREQ(texts[i], written);
		free(written);
	}
}

TEST(sizes_have_units)
{
	struct ktstr_disk disk;
	char buf[128];

	EXPECT_EQ(NULL, parse("fs=none,size=3G", buf, &disk));
	EXPECT_EQ(3 << 10, disk.size_mb);
	EXPECT_EQ(NULL, parse("fs=none,size=16T", buf, &disk));
	EXPECT_EQ(16 << 20, disk.size_mb);
}

TEST(disk_with_a_path_is_no_fresh_one)
{
	struct ktstr_disk disk = {.path = "/image"};
	char text[] = "fs=ext4", size[] = "size=5M", good[] = "iops=5";

	EXPECT_NE(NULL, disk_options__parse(text, &disk));
	disk = (struct ktstr_disk){.path = "/image"};
	EXPECT_NE(NULL, disk_options__parse(size, &disk));
	disk = (struct ktstr_disk){.path = "/image"};
	EXPECT_EQ(NULL, disk_options__parse(good, &disk));
}

TEST(options_that_cannot_be_are_refused)
{
	static const char *const texts[] = {"rw",
					    "ro=1",
					    "iops",
					    "iops=",
					    "iops=0",
					    "iops=-1",
					    "iops=5k",
					    "bps=18446744073709551616",
					    "size=5",
					    "queues=17",
					    "burst-ops=5",
					    "burst-bytes=5,iops=1",
					    "serial=123456789012345678901",
					    "fs=vfat",
					    "fs=",
					    "size=512M",
					    "mount=/mnt",
					    "fs=ext4,size=512",
					    "fs=ext4,size=",
					    "fs=ext4,size=M",
					    "fs=ext4,size=0M",
					    "fs=ext4,size=17T",
					    "fs=ext4,size=18446744073709551615T"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ktstr_disk disk;
		char buf[128];

		EXPECT_NE(NULL, parse(texts[i], buf, &disk))
		{
			TH_LOG("%s", texts[i]);
		}
	}
}

TEST_HARNESS_MAIN
