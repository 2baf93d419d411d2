// SPDX-License-Identifier: GPL-2.0-only
/* The archives that initramfs/ writes, read by cpio(1). */
#include "kselftest_harness.h"

#include "initramfs/cpio.h"
#include "initramfs/tree.h"
#include "initramfs_util.h"

FIXTURE(archive)
{
	char *dir;
	char path[PATH_MAX];
	int fd;
	struct cpio cpio;
	struct tree tree;
	struct ktstr_error error;
};

FIXTURE_SETUP(archive)
{
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	snprintf(self->path, sizeof(self->path), "%s/a.cpio", self->dir);
	self->fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_GE(self->fd, 0);
	cpio__init(&self->cpio, self->fd);
}

FIXTURE_TEARDOWN(archive)
{
	cpio__free(&self->cpio);
	tree__free(&self->tree);
	close(self->fd);
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

TEST_F(archive, contents_of_every_length_survive_cpio)
{
	char path[PATH_MAX], name[64], data[32];

	for (size_t i = 0; i < 20; i++) {
		int source;

		memset(data, 'a' + (int)i, sizeof(data));
		snprintf(path, sizeof(path), "%s/src%zu", self->dir, i);
		ASSERT_TRUE(write_file(path, data, i, 0644));
		source = open(path, O_RDONLY);
		snprintf(name, sizeof(name), "/%.*s-%zu", (int)i + 1, "abcdefghijklmnopqrstuvwxyz",
			 i);
		ASSERT_EQ(0, cpio__file(&self->cpio, name, 0644, source, i, path, &self->error));
		close(source);
	}
	ASSERT_EQ(0, cpio__end(&self->cpio, &self->error));
	ASSERT_EQ(0, self->cpio.offset % CPIO_BLOCK);
	ASSERT_EQ(self->cpio.offset, (uint64_t)lseek(self->fd, 0, SEEK_END));
	ASSERT_EQ(19 * CPIO_PAGE, self->cpio.content); /* one is empty */
	ASSERT_EQ(0, sh("mkdir %s/out && cd %s/out && cpio -id --quiet < ../a.cpio", self->dir,
			self->dir));
	for (size_t i = 0; i < 20; i++)
		EXPECT_EQ(0, sh("cmp %s/src%zu %s/out/*-%zu", self->dir, i, self->dir, i));
}

TEST_F(archive, names_with_spaces_and_newlines_survive_cpio)
{
	char path[PATH_MAX];

	ASSERT_EQ(0, cpio__data(&self->cpio, "/a b\nc", 0640, "hello", 5, &self->error));
	ASSERT_EQ(0, cpio__end(&self->cpio, &self->error));
	ASSERT_EQ(0, sh("cd %s && cpio -id --quiet < a.cpio", self->dir));
	snprintf(path, sizeof(path), "%s/a b\nc", self->dir);
	EXPECT_EQ(0, access(path, R_OK));
}

TEST_F(archive, modes_links_and_the_console_are_listed)
{
	ASSERT_EQ(0, tree__put_data(&self->tree, "/deep/er/file", 0750, "x", 1, &self->error));
	ASSERT_EQ(0, tree__put_symlink(&self->tree, "/link", "deep/er", &self->error));
	ASSERT_EQ(0, tree__put_char(&self->tree, "/dev/console", 0600, 5, 1, &self->error));
	ASSERT_EQ(0, tree__put_data(&self->tree, "/link/second", 0644, "y", 1, &self->error));
	ASSERT_EQ(0, tree__write(&self->tree, &self->cpio, NULL, &self->error));
	ASSERT_EQ(0,
		  sh("cd %s && cpio -tvn --quiet < a.cpio | awk '{print $1,$2,$3,$4,$NF}' > list",
		     self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -u - list >&2 <<'E'\n"
			"drwxr-xr-x 2 0 0 deep\n"
			"drwxr-xr-x 2 0 0 deep/er\n"
			"-rwxr-x--- 1 0 0 deep/er/file\n"
			"-rw-r--r-- 1 0 0 deep/er/second\n"
			"drwxr-xr-x 2 0 0 dev\n"
			"crw------- 1 0 0 dev/console\n"
			"lrwxrwxrwx 1 0 0 deep/er\nE",
			self->dir));
	EXPECT_EQ(0, sh("cd %s && cpio -tv --quiet < a.cpio | grep -q '5,  *1 .* dev/console'",
			self->dir));
}

TEST_F(archive, a_file_over_4_gib_is_refused)
{
	char path[PATH_MAX];
	int source;

	snprintf(path, sizeof(path), "%s/big", self->dir);
	source = open(path, O_RDWR | O_CREAT, 0644);
	ASSERT_EQ(0, ftruncate(source, (off_t)CPIO_MAX_FILE + 1));
	EXPECT_EQ(-EFBIG, cpio__file(&self->cpio, "/big", 0644, source, CPIO_MAX_FILE + 1, path,
				     &self->error));
	EXPECT_STREQ("/big", self->error.object);
	close(source);
}

TEST_F(archive, a_file_that_became_shorter_is_an_error)
{
	char path[PATH_MAX];
	int source;

	snprintf(path, sizeof(path), "%s/short", self->dir);
	ASSERT_TRUE(write_text(path, "12345"));
	source = open(path, O_RDONLY);
	EXPECT_EQ(-ESTALE, cpio__file(&self->cpio, "/s", 0644, source, 6, path, &self->error));
	EXPECT_STREQ(path, self->error.object);
	close(source);
}

TEST_F(archive, a_name_longer_than_the_kernel_takes_is_refused)
{
	char name[PATH_MAX + 2];

	memset(name, 'a', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	EXPECT_EQ(-ENAMETOOLONG, cpio__dir(&self->cpio, name, 0755, &self->error));
	name[PATH_MAX] = '\0';
	self->error = (struct ktstr_error){0};
	EXPECT_EQ(0, cpio__dir(&self->cpio, name, 0755, &self->error));
}

TEST_F(archive, two_things_at_one_path_are_refused)
{
	ASSERT_EQ(0, tree__put_data(&self->tree, "/x", 0644, "1", 1, &self->error));
	EXPECT_EQ(0, tree__put_data(&self->tree, "/x", 0644, "1", 1, &self->error));
	EXPECT_EQ(-EEXIST, tree__put_data(&self->tree, "/x", 0644, "2", 1, &self->error));
	EXPECT_STREQ("/x", self->error.object);
	EXPECT_EQ(-EEXIST, tree__put_data(&self->tree, "/x/y", 0644, "2", 1, NULL));
}

TEST_F(archive, guest_paths_have_to_be_absolute_without_dotdot)
{
	EXPECT_EQ(-EINVAL, tree__put_dir(&self->tree, "x", 0755, NULL));
	EXPECT_EQ(-EINVAL, tree__put_dir(&self->tree, "/a/../b", 0755, NULL));
	EXPECT_EQ(-EINVAL, tree__put_dir(&self->tree, "/a/..", 0755, NULL));
	EXPECT_EQ(0, tree__put_dir(&self->tree, "/a/..b/./c//d/", 0755, NULL));
	EXPECT_NE(NULL, tree__lookup(&self->tree, "/a/..b/c/d"));
}

TEST_F(archive, links_of_host_paths_are_reproduced)
{
	const struct tree_entry *entry;
	char path[PATH_MAX], real[PATH_MAX];

	ASSERT_EQ(
		0,
		sh("cd %s && mkdir -p r/d && echo hi > r/d/f && ln -s r l && ln -s ../d/./f r/d/g "
		   "&& ln -s %s/l/d/g abs && ln -s loop loop",
		   self->dir, self->dir));
	snprintf(path, sizeof(path), "%s/abs", self->dir);
	ASSERT_EQ(0, tree__add_host(&self->tree, path, real, &self->error));
	snprintf(path, sizeof(path), "%s/r/d/f", self->dir);
	EXPECT_STREQ(path, real);
	snprintf(path, sizeof(path), "%s/abs", self->dir);
	entry = tree__lookup(&self->tree, path);
	ASSERT_NE(NULL, entry);
	EXPECT_EQ(TREE_FILE, entry->kind);
	snprintf(path, sizeof(path), "%s/l/d/g", self->dir);
	EXPECT_EQ(entry, tree__lookup(&self->tree, path));
	snprintf(path, sizeof(path), "%s/loop", self->dir);
	EXPECT_EQ(-ELOOP, tree__add_host(&self->tree, path, real, &self->error));
	snprintf(path, sizeof(path), "%s/none", self->dir);
	EXPECT_EQ(-ENOENT, tree__add_host(&self->tree, path, real, NULL));
}

TEST_F(archive, run_config_is_an_archive_of_its_own)
{
	static const char config[] = "role=test\0argv=x";
	void *archive = NULL;
	size_t length = 0;
	char path[PATH_MAX];

	ASSERT_EQ(0,
		  initramfs__run_config(config, sizeof(config), &archive, &length, &self->error));
	EXPECT_EQ(0, length % 4);
	snprintf(path, sizeof(path), "%s/c.cpio", self->dir);
	ASSERT_TRUE(write_file(path, archive, length, 0644));
	free(archive);
	snprintf(path, sizeof(path), "%s/want", self->dir);
	ASSERT_TRUE(write_file(path, config, sizeof(config), 0644));
	EXPECT_EQ(0, sh("cd %s && cpio -id --quiet < c.cpio && cmp want ktstr/config", self->dir));
}

TEST_HARNESS_MAIN
