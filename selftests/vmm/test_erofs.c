// SPDX-License-Identifier: GPL-2.0-only
/* The erofs images that initramfs/ writes, read by fsck.erofs(1) and dump.erofs(1). */
#include "kselftest_harness.h"

#include "initramfs/erofs.h"
#include "initramfs_util.h"

FIXTURE(image)
{
	char *dir;
	char path[PATH_MAX];
	int fd;
	uint64_t size;
	struct tree tree;
	struct ktstr_error error;
};

FIXTURE_SETUP(image)
{
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	snprintf(self->path, sizeof(self->path), "%s/image", self->dir);
	self->fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, sh("mkdir %s/in", self->dir));
}

FIXTURE_TEARDOWN(image)
{
	tree__free(&self->tree);
	close(self->fd);
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

/* Whole and without complaint, and unpacked into DIR/out. */
static int check_and_extract(const char *dir)
{
	return sh("cd %s && rm -rf out && PATH=$PATH:/sbin:/usr/sbin && "
		  "fsck.erofs --extract=out image >fsck.log 2>&1 && "
		  "! grep -E '<[EW]>|error|warn' fsck.log || { cat %s/fsck.log >&2; false; }",
		  dir, dir);
}

/* dump.erofs(1) has a line for @path in which the pattern @text is. */
static int dump_has(const char *dir, const char *path, const char *text)
{
	return sh("cd %s && PATH=$PATH:/sbin:/usr/sbin dump.erofs --path='%s' image >dump.log 2>&1 "
		  "&& grep -qE '%s' dump.log || { cat %s/dump.log >&2; false; }",
		  dir, path, text, dir);
}

/* The inode of @path as it lies on the disk: dump.erofs(1) shows nine bits of a mode. */
static bool read_inode(const char *dir, int fd, const char *path, uint8_t inode[32])
{
	char log[PATH_MAX], line[256], *at = NULL;
	FILE *f;

	if (dump_has(dir, path, "NID: [0-9]+"))
		return false;
	snprintf(log, sizeof(log), "%s/dump.log", dir);
	f = fopen(log, "r");
	while (f && !at && fgets(line, sizeof(line), f))
		at = strstr(line, "NID: ");
	if (f)
		fclose(f);
	return at && pread(fd, inode, 32, strtol(at + 5, NULL, 10) * 32) == 32;
}

static void fill_pattern(char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 251);
}

TEST_F(image, an_empty_tree_is_a_file_system)
{
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(2 * EROFS_BLOCK, self->size);
	EXPECT_EQ(self->size, (uint64_t)lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
}

TEST_F(image, the_superblock_has_its_checksum_and_the_number_of_inodes)
{
	ASSERT_EQ(0, tree__put_data(&self->tree, "/a/b", 0644, "x", 1, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(0, sh("cd %s && PATH=$PATH:/sbin:/usr/sbin dump.erofs -s image >dump.log && "
			"grep -q 'inode count: *3$' dump.log && grep -q 'sb_csum' dump.log",
			self->dir));
	/* dump.erofs does not look at it, fsck.erofs does */
	EXPECT_EQ(0, check_and_extract(self->dir));
	ASSERT_EQ(1, pwrite(self->fd, "\1", 1, 1024 + 128));
	EXPECT_EQ(0,
		  sh("PATH=$PATH:/sbin:/usr/sbin fsck.erofs %s 2>&1 | grep -q \"chksum doesn't\"",
		     self->path));
}

TEST_F(image, files_of_every_size_about_a_block_survive)
{
	static const size_t sizes[] = {0, 1, 31, 4095, 4096, 4097, 8191, 8192, 100000};
	static char data[100000];
	char host[PATH_MAX], guest[64];

	fill_pattern(data, sizeof(data));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(host, sizeof(host), "%s/in/file%zu", self->dir, sizes[i]);
		ASSERT_TRUE(write_file(host, data, sizes[i], 0644));
		snprintf(guest, sizeof(guest), "/file%zu", sizes[i]);
		ASSERT_EQ(0, tree__put_file(&self->tree, guest, 0644, host, &self->error));
		snprintf(host, sizeof(host), "%s/in/data%zu", self->dir, sizes[i]);
		ASSERT_TRUE(write_file(host, data, sizes[i], 0644));
		snprintf(guest, sizeof(guest), "/data%zu", sizes[i]);
		ASSERT_EQ(0,
			  tree__put_data(&self->tree, guest, 0644, data, sizes[i], &self->error));
	}
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(0, self->size % EROFS_BLOCK);
	ASSERT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
}

TEST_F(image, contents_of_files_begin_with_a_block)
{
	static char data[5000];
	static uint8_t block[EROFS_BLOCK];
	unsigned int found = 0;

	fill_pattern(data, sizeof(data));
	ASSERT_EQ(0, tree__put_data(&self->tree, "/f", 0644, data, sizeof(data), &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	for (uint64_t at = 0; at < self->size; at += EROFS_BLOCK) {
		ASSERT_EQ(EROFS_BLOCK, pread(self->fd, block, EROFS_BLOCK, (off_t)at));
		found += !memcmp(block, data, EROFS_BLOCK);
	}
	EXPECT_EQ(1, found);
}

TEST_F(image, a_directory_of_ten_thousand_names_is_complete)
{
	char host[PATH_MAX], guest[64];

	ASSERT_EQ(0, sh("mkdir %s/in/many", self->dir));
	for (int i = 0; i < 10000; i++) {
		snprintf(host, sizeof(host), "%s/in/many/%x", self->dir, i * 7919);
		ASSERT_TRUE(write_text(host, ""));
		snprintf(guest, sizeof(guest), "/many/%x", i * 7919);
		ASSERT_EQ(0, tree__put_data(&self->tree, guest, 0644, "", 0, &self->error));
	}
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	ASSERT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
	/* by the way that a lookup goes, from the first name to the last */
	EXPECT_EQ(0, dump_has(self->dir, "/many/0", "File : /many/0$"));
	EXPECT_EQ(0, dump_has(self->dir, "/many/4b83901", "File : /many/4b83901$"));
	EXPECT_NE(0,
		  sh("cd %s && PATH=$PATH:/sbin:/usr/sbin dump.erofs --path=/many/1 image 2>&1 | "
		     "grep -q 'File :'",
		     self->dir));
}

TEST_F(image, names_sort_by_their_bytes)
{
	/* around "." and "..", and with a sign bit; "a-b" sorts before "a/x", and after "a" */
	static const char *const names[] = {"!", "-", "...", ".a", "0", "\xc3\xa4", "\xff", "a-b"};
	char host[PATH_MAX], guest[64];

	ASSERT_EQ(0, sh("mkdir %s/in/a && echo -n > %s/in/a/x", self->dir, self->dir));
	ASSERT_EQ(0, tree__put_data(&self->tree, "/a/x", 0644, "", 0, &self->error));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(host, sizeof(host), "%s/in/%s", self->dir, names[i]);
		ASSERT_TRUE(write_text(host, names[i]));
		snprintf(guest, sizeof(guest), "/%s", names[i]);
		ASSERT_EQ(0, tree__put_data(&self->tree, guest, 0644, names[i], strlen(names[i]),
					    &self->error));
	}
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	ASSERT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
	EXPECT_EQ(0, sh("cd %s && PATH=$PATH:/sbin:/usr/sbin dump.erofs --ls --path=/ image | "
			"awk 'on {print $NF} /TYPE/ {on = 1}' > list; printf "
			"'%%s\\n' '!' - . .. ... .a 0 a a-b '\xc3\xa4' '\xff' | diff - list >&2",
			self->dir));
}

TEST_F(image, long_and_strange_names_survive)
{
	char name[256], host[PATH_MAX], guest[PATH_MAX];

	/* 40 of 255 bytes: 15 of them fill a block of the directory */
	for (int i = 0; i < 40; i++) {
		memset(name, 'n', 255);
		name[255] = '\0';
		memcpy(name, &"0123456789abcdefghijklmnopqrstuvwxyzABCD"[i], 1);
		snprintf(host, sizeof(host), "%s/in/%s", self->dir, name);
		ASSERT_TRUE(write_text(host, name));
		snprintf(guest, sizeof(guest), "/%s", name);
		ASSERT_EQ(0, tree__put_data(&self->tree, guest, 0644, name, 255, &self->error));
	}
	snprintf(host, sizeof(host), "%s/in/a b\nc", self->dir);
	ASSERT_TRUE(write_text(host, "hello"));
	ASSERT_EQ(0, tree__put_file(&self->tree, "/a b\nc", 0644, host, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	ASSERT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
}

/* The kernel takes the last name of a block up to a NUL or the block's end. */
TEST_F(image, directories_survive_whose_names_fill_a_block_to_the_last_byte)
{
	char name[256], guest[300], host[PATH_MAX];

	ASSERT_EQ(0, sh("mkdir %s/in/d", self->dir));
	/* 27 bytes for "." and ".."; 15 names of 12 + 255 are 4005; 64 are left: 12 + 52 */
	for (int i = 0; i < 16; i++) {
		size_t length = i < 15 ? 255 : 52;

		memset(name, 'a' + i, length);
		name[length] = '\0';
		snprintf(host, sizeof(host), "%s/in/d/%s", self->dir, name);
		ASSERT_TRUE(write_text(host, ""));
		snprintf(guest, sizeof(guest), "/d/%s", name);
		ASSERT_EQ(0, tree__put_data(&self->tree, guest, 0644, "", 0, &self->error));
	}
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	ASSERT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, dump_has(self->dir, "/d", "Size: 4096 "));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
}

TEST_F(image, deep_trees_survive)
{
	char guest[1024] = "", host[PATH_MAX];

	for (int i = 0; i < 100; i++)
		sprintf(guest + strlen(guest), "/d%d", i);
	ASSERT_EQ(0, sh("mkdir -p %s/in%s && echo -n x > %s/in%s/leaf", self->dir, guest, self->dir,
			guest));
	snprintf(host, sizeof(host), "%s/in%s/leaf", self->dir, guest);
	strcat(guest, "/leaf");
	ASSERT_EQ(0, tree__put_file(&self->tree, guest, 0644, host, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	ASSERT_EQ(0, check_and_extract(self->dir));
	EXPECT_EQ(0, sh("cd %s && diff -r in out", self->dir));
}

TEST_F(image, links_of_every_length_survive)
{
	/* 4064 is the longest that lies beside its inode */
	static const size_t lengths[] = {1, 2, 59, 60, 4063, 4064, 4065, PATH_MAX - 1};
	char target[PATH_MAX], out[PATH_MAX], path[PATH_MAX];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		for (size_t k = 0; k < lengths[i]; k++)
			target[k] = k % 200 == 199 ? '/' : 'x';
		target[lengths[i]] = '\0';
		snprintf(path, sizeof(path), "/link%zu", lengths[i]);
		ASSERT_EQ(0, tree__put_symlink(&self->tree, path, target, &self->error));
	}
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	ASSERT_EQ(0, check_and_extract(self->dir));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		snprintf(path, sizeof(path), "%s/out/link%zu", self->dir, lengths[i]);
		ASSERT_EQ((ssize_t)lengths[i], readlink(path, out, sizeof(out)));
		for (size_t k = 0; k < lengths[i]; k++)
			ASSERT_EQ(k % 200 == 199 ? '/' : 'x', out[k]);
	}
}

TEST_F(image, modes_owners_and_links_are_those_of_the_tree)
{
	uint8_t inode[32];

	ASSERT_EQ(0, tree__put_dir(&self->tree, "/tmp", 01777, &self->error));
	ASSERT_EQ(0, tree__put_dir(&self->tree, "/tmp/one", 0700, &self->error));
	ASSERT_EQ(0, tree__put_dir(&self->tree, "/tmp/two", 0755, &self->error));
	ASSERT_EQ(0, tree__put_data(&self->tree, "/su", 04755, "x", 1, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(0, dump_has(self->dir, "/tmp", "Links: 4"));
	ASSERT_TRUE(read_inode(self->dir, self->fd, "/tmp", inode));
	EXPECT_EQ(041777, inode[4] | inode[5] << 8);
	EXPECT_EQ(0, dump_has(self->dir, "/tmp/one", "Links: 2"));
	ASSERT_TRUE(read_inode(self->dir, self->fd, "/su", inode));
	EXPECT_EQ(0104755, inode[4] | inode[5] << 8);
	EXPECT_EQ(0, dump_has(self->dir, "/su", "Uid: 0 +Gid: 0"));
	EXPECT_EQ(0, dump_has(self->dir, "/su", "Links: 1"));
	EXPECT_EQ(0, dump_has(self->dir, "/", "Links: 3"));
	EXPECT_EQ(0, dump_has(self->dir, "/", "Access: 0755/rwxr-xr-x"));
}

/* readdir(3) tells them; a program that believes it takes no second look. */
TEST_F(image, a_directory_tells_what_its_names_are)
{
	ASSERT_EQ(0, tree__put_dir(&self->tree, "/a", 0755, &self->error));
	ASSERT_EQ(0, tree__put_data(&self->tree, "/b", 0644, "", 0, &self->error));
	ASSERT_EQ(0, tree__put_symlink(&self->tree, "/c", "a", &self->error));
	ASSERT_EQ(0, tree__put_char(&self->tree, "/d", 0600, 5, 1, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(0, sh("cd %s && PATH=$PATH:/sbin:/usr/sbin dump.erofs --ls --path=/ image | "
			"awk 'on {print $2, $3} /TYPE/ {on = 1}' | diff -u - /dev/fd/3 >&2 3<<'E'\n"
			"2 .\n2 ..\n2 a\n1 b\n7 c\n3 d\nE",
			self->dir));
}

/* By what lies on the disk: fsck.erofs makes no nodes. */
TEST_F(image, a_device_has_the_kernels_number)
{
	uint8_t inode[32];

	ASSERT_EQ(0, tree__put_char(&self->tree, "/dev/console", 0600, 5, 1, &self->error));
	ASSERT_EQ(0, tree__put_char(&self->tree, "/dev/large", 0600, 0x123, 0x45678, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(0, sh("PATH=$PATH:/sbin:/usr/sbin fsck.erofs %s >/dev/null", self->path));
	for (int i = 0; i < 2; i++) {
		static const char *const names[] = {"/dev/console", "/dev/large"};
		static const uint32_t numbers[] = {0x501, 0x45612378};
		uint32_t rdev;

		ASSERT_TRUE(read_inode(self->dir, self->fd, names[i], inode));
		EXPECT_EQ(020600, inode[4] | inode[5] << 8);
		memcpy(&rdev, inode + 16, 4);
		EXPECT_EQ(numbers[i], rdev);
	}
}

/* 65,534 directories in one: its link count needs the large inode. */
TEST_F(image, a_directory_of_very_many_directories_counts_them)
{
	char guest[32];

	for (int i = 0; i < 65534; i++) {
		snprintf(guest, sizeof(guest), "/d/%d", i);
		ASSERT_EQ(0, tree__put_dir(&self->tree, guest, 0755, &self->error));
	}
	ASSERT_EQ(0, tree__put_dir(&self->tree, "/e", 0755, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_EQ(0, dump_has(self->dir, "/d", "Links: 65536"));
	EXPECT_EQ(0, dump_has(self->dir, "/e", "Links: 2"));
	EXPECT_EQ(0, sh("PATH=$PATH:/sbin:/usr/sbin fsck.erofs %s >/dev/null", self->path));
}

TEST_F(image, the_same_tree_gives_the_same_bytes_whatever_was_in_the_file)
{
	char host[PATH_MAX];
	uint64_t size;
	int fd;

	snprintf(host, sizeof(host), "%s/in/x", self->dir);
	ASSERT_TRUE(write_text(host, "content"));
	ASSERT_EQ(0, tree__put_file(&self->tree, "/z/x", 0644, host, &self->error));
	ASSERT_EQ(0, tree__put_symlink(&self->tree, "/b", "z", &self->error));
	ASSERT_EQ(0, tree__put_data(&self->tree, "/a", 0644, "data", 4, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));

	/* put in another order, at another time, over another file that was longer */
	tree__free(&self->tree);
	ASSERT_EQ(0, tree__put_data(&self->tree, "/a", 0644, "data", 4, &self->error));
	ASSERT_EQ(0, tree__put_file(&self->tree, "/z/x", 0644, host, &self->error));
	ASSERT_EQ(0, tree__put_symlink(&self->tree, "/b", "z", &self->error));
	ASSERT_EQ(0, sh("touch -d 2001-01-01 %s && head -c 100000 /dev/urandom > %s/second", host,
			self->dir));
	snprintf(host, sizeof(host), "%s/second", self->dir);
	fd = open(host, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, erofs__write(&self->tree, fd, &size, &self->error));
	close(fd);
	EXPECT_EQ(size, self->size);
	EXPECT_EQ(0, sh("cmp %s/image %s/second", self->dir, self->dir));
}

TEST_F(image, a_file_over_4_gib_is_refused)
{
	char path[PATH_MAX];
	int source;

	snprintf(path, sizeof(path), "%s/big", self->dir);
	source = open(path, O_RDWR | O_CREAT, 0644);
	ASSERT_EQ(0, ftruncate(source, (off_t)EROFS_MAX_FILE + 1));
	close(source);
	ASSERT_EQ(0, tree__put_file(&self->tree, "/big", 0644, path, &self->error));
	EXPECT_EQ(-EFBIG, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_STREQ("/big", self->error.object);
}

TEST_F(image, a_missing_file_is_named)
{
	ASSERT_EQ(0, tree__put_file(&self->tree, "/x", 0644, "/no/such", &self->error));
	EXPECT_EQ(-ENOENT, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_STREQ("/no/such", self->error.object);
}

TEST_F(image, a_name_longer_than_a_file_system_takes_is_refused)
{
	char path[300] = "/";

	memset(path + 1, 'n', 256);
	ASSERT_EQ(0, tree__put_data(&self->tree, path, 0644, "", 0, &self->error));
	EXPECT_EQ(-ENAMETOOLONG, erofs__write(&self->tree, self->fd, &self->size, &self->error));
}

TEST_F(image, what_was_read_is_recorded_as_an_input)
{
	char host[PATH_MAX];

	snprintf(host, sizeof(host), "%s/in/x", self->dir);
	ASSERT_TRUE(write_text(host, "content"));
	ASSERT_EQ(0, tree__put_file(&self->tree, "/x", 0644, host, &self->error));
	ASSERT_EQ(0, erofs__write(&self->tree, self->fd, &self->size, &self->error));
	EXPECT_TRUE(inputs__current(self->tree.inputs.records, self->tree.inputs.length));
	ASSERT_TRUE(write_text(host, "other content"));
	EXPECT_FALSE(inputs__current(self->tree.inputs.records, self->tree.inputs.length));
}

TEST_HARNESS_MAIN
