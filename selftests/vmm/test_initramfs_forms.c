// SPDX-License-Identifier: GPL-2.0-only
/* In which form a base comes: an archive, an image for a disk, and the archive before that. */
#include "kselftest_harness.h"

#include "initramfs/erofs.h"
#include "initramfs_util.h"

#define TICK_US 250000 /* more than what the cache takes for one tick of a file's clock */

FIXTURE(base)
{
	char *dir;
	char cache[PATH_MAX], a[PATH_MAX], saved[PATH_MAX];
	struct ktstr_file file;
	struct initramfs_spec spec;
	struct initramfs_image image;
	struct ktstr_error error;
};

FIXTURE_SETUP(base)
{
	static char content[100000];

	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	snprintf(self->cache, sizeof(self->cache), "%s/cache", self->dir);
	snprintf(self->saved, sizeof(self->saved), "%s/image", self->dir);
	snprintf(self->a, sizeof(self->a), "%s/a", self->dir);
	ASSERT_TRUE(write_file(self->a, content, sizeof(content), 0644));
	usleep(TICK_US);
	self->file = (struct ktstr_file){.host_path = self->a, .guest_path = "/a"};
	self->spec = (struct initramfs_spec){
		.files = &self->file, .nr_files = 1, .cache_dir = self->cache};
}

FIXTURE_TEARDOWN(base)
{
	initramfs_image__close(&self->image);
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

static bool make(FIXTURE_DATA(base) * self)
{
	initramfs_image__close(&self->image);
	return !initramfs__base(&self->spec, &self->image, &self->error);
}

TEST_F(base, by_default_it_is_an_archive)
{
	ASSERT_TRUE(make(self));
	EXPECT_FALSE(self->image.disk);
	EXPECT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(0, sh("cmp %s %s/root/a", self->a, self->dir));
}

TEST_F(base, from_the_given_size_on_it_is_an_image_for_a_disk)
{
	self->spec.disk_from = 100001;
	ASSERT_TRUE(make(self));
	EXPECT_FALSE(self->image.disk);
	self->spec.disk_from = 100000;
	ASSERT_TRUE(make(self));
	EXPECT_TRUE(self->image.disk);
	EXPECT_EQ(0, self->image.unpacked);
	ASSERT_TRUE(save_image(&self->image, self->saved));
	EXPECT_EQ(0, sh("cd %s && PATH=$PATH:/sbin:/usr/sbin fsck.erofs --extract=out image "
			">/dev/null && cmp a out/a && test -d out/proc",
			self->dir));
}

TEST_F(base, the_cache_knows_which_it_is)
{
	self->spec.disk_from = 1;
	ASSERT_TRUE(make(self));
	ASSERT_TRUE(save_image(&self->image, self->saved));
	ASSERT_TRUE(make(self));
	EXPECT_TRUE(self->image.disk);
	EXPECT_EQ(0, sh("test $(ls %s/base-* | wc -l) = 1", self->cache));
	ASSERT_EQ(0, sh("mv %s %s.1", self->saved, self->saved));
	ASSERT_TRUE(save_image(&self->image, self->saved));
	EXPECT_EQ(0, sh("cmp %s %s.1", self->saved, self->saved));
	self->spec.disk_from = 0;
	ASSERT_TRUE(make(self));
	EXPECT_FALSE(self->image.disk);
}

static bool cannot(void *asked)
{
	++*(int *)asked;
	return false;
}

TEST_F(base, a_kernel_is_looked_at_only_where_the_size_asks_for_a_disk)
{
	int asked = 0;

	self->spec.can_be_disk = cannot;
	self->spec.opaque = &asked;
	self->spec.disk_from = 1u << 30;
	ASSERT_TRUE(make(self));
	EXPECT_EQ(0, asked);
	self->spec.disk_from = 1;
	ASSERT_TRUE(make(self));
	EXPECT_EQ(1, asked);
	EXPECT_FALSE(self->image.disk);
}

TEST_F(base, what_is_before_a_disk_has_the_program_and_none_of_the_files)
{
	self->spec.stage1 = true;
	self->spec.disk_from = 1;
	ASSERT_TRUE(make(self));
	EXPECT_FALSE(self->image.disk);
	ASSERT_TRUE(save_image(&self->image, self->saved));
	EXPECT_EQ(0, sh("cd %s && cpio -t --quiet <image | sort | tr '\\n' ' ' >list && "
			"echo 'dev dev/console dev/kmsg init ' | tr -d '\\n' | diff - list >&2",
			self->dir));
}

TEST_HARNESS_MAIN
