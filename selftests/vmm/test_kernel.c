// SPDX-License-Identifier: GPL-2.0-only
/* Which kernel a person means, with made-up images, trees and caches. */
#include "kselftest_harness.h"

#include <elf.h>

#include "initramfs_util.h"
#include "vmm/kernel.h"

#define RELEASE "7.3.4-test"

FIXTURE(kernel)
{
	char *dir;
	char path[PATH_MAX];
	struct kernel kernel;
	struct ktstr_error error;
};

FIXTURE_SETUP(kernel)
{
	char *made = scratch_dir();

	ASSERT_NE(NULL, made);
	self->dir = realpath(made, NULL);
	free(made);
	unsetenv("KTSTR_KERNEL");
	setenv("KTSTR_CACHE", self->dir, 1);
}

FIXTURE_TEARDOWN(kernel)
{
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

/* A boot header with a version string, as Documentation/arch/x86/boot.rst has it. */
static bool make_bzimage(const char *path, const char *release)
{
	char image[2048] = {0};

	image[0x1fe] = 0x55;
	image[0x1ff] = (char)0xaa;
	memcpy(image + 0x202, "HdrS", 4);
	image[0x20f] = 2; /* string at 0x200 + 0x200 */
	if (!release)
		image[0x20f] = 0x7f; /* far outside of the file */
	else
		snprintf(image + 0x400, 512, "%s (someone@somewhere) #1 SMP", release);
	return write_file(path, image, sizeof(image), 0644);
}

/* What a fetched kernel looks like in the cache. */
static bool make_cached(const char *dir, const char *release)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/kernels/%s/usr/lib/modules/%s", dir, release, release);
	if (sh("mkdir -p %s && echo CONFIG_SCHED_CLASS_EXT=y > %s/config && "
	       "touch %s/modules.dep && echo elsewhere > %s/System.map",
	       path, path, path, path))
		return false;
	strcat(path, "/vmlinuz");
	return make_bzimage(path, release);
}

/* A path in the scratch directory; valid until the next call. */
static const char *at(const char *dir, const char *tail)
{
	static char buf[PATH_MAX];

	snprintf(buf, sizeof(buf), "%s/%s", dir, tail);
	return buf;
}

TEST_F(kernel, a_bzimage_has_its_release_and_config_beside_it)
{
	ASSERT_TRUE(make_bzimage(at(self->dir, "vmlinuz"), RELEASE));
	ASSERT_TRUE(write_text(at(self->dir, "config"), "wrong\n"));
	ASSERT_TRUE(write_text(at(self->dir, "config-" RELEASE), "CONFIG_A=y\n"));
	ASSERT_EQ(0, sh("mkdir -p %s/lib/modules/" RELEASE, self->dir));
	strcpy(self->path, at(self->dir, "vmlinuz"));
	ASSERT_EQ(0, kernel__resolve(self->path, &self->kernel, &self->error));
	EXPECT_STREQ(self->path, self->kernel.image);
	EXPECT_STREQ(RELEASE, self->kernel.release);
	EXPECT_STREQ(at(self->dir, "config-" RELEASE), self->kernel.config);
	EXPECT_STREQ(at(self->dir, "lib/modules/" RELEASE), self->kernel.modules_dir);
	EXPECT_STREQ("", self->kernel.system_map);
}

TEST_F(kernel, a_version_string_outside_of_the_file_is_ignored)
{
	ASSERT_TRUE(make_bzimage(at(self->dir, "vmlinuz"), NULL));
	ASSERT_EQ(0, kernel__resolve(at(self->dir, "vmlinuz"), &self->kernel, &self->error));
	EXPECT_STREQ("", self->kernel.release);
}

TEST_F(kernel, a_release_that_is_a_path_is_ignored)
{
	ASSERT_TRUE(make_bzimage(at(self->dir, "vmlinuz"), "../../etc"));
	ASSERT_EQ(0, kernel__resolve(at(self->dir, "vmlinuz"), &self->kernel, &self->error));
	EXPECT_STREQ("", self->kernel.release);
}

TEST_F(kernel, a_vmlinux_is_known_by_its_banner){struct {Elf64_Ehdr header;
char text[128];
}
image = {.header = {.e_type = ET_EXEC,
#if defined(__x86_64__)
		    .e_machine = EM_X86_64},
#else
		    .e_machine = EM_AARCH64},
#endif
	 .text = "Linux version %s\0Linux version " RELEASE " (x@y)"};

memcpy(image.header.e_ident, ELFMAG, SELFMAG);
image.header.e_ident[EI_CLASS] = ELFCLASS64;
image.header.e_ident[EI_DATA] = ELFDATA2LSB;
strcpy(self->path, at(self->dir, "vmlinux"));
ASSERT_TRUE(write_file(self->path, &image, sizeof(image), 0644));
ASSERT_EQ(0, kernel__resolve(self->path, &self->kernel, &self->error));
EXPECT_STREQ(RELEASE, self->kernel.release);
memset(image.text, 'x', sizeof(image.text));
ASSERT_TRUE(write_file(self->path, &image, sizeof(image), 0644));
EXPECT_EQ(-ENOEXEC, kernel__resolve(self->path, &self->kernel, &self->error));
}

TEST_F(kernel, what_is_not_a_kernel_is_refused_with_a_hint)
{
	static const char *const others[] = {"", "x", "#!/bin/sh\n"};

	strcpy(self->path, at(self->dir, "file"));
	for (size_t i = 0; i < 3; i++) {
		self->error = (struct ktstr_error){0};
		ASSERT_TRUE(write_text(self->path, others[i]));
		EXPECT_EQ(-ENOEXEC, kernel__resolve(self->path, &self->kernel, &self->error));
		EXPECT_STREQ(self->path, self->error.object);
		EXPECT_NE(0, strlen(self->error.hint));
	}
	EXPECT_EQ(-ENOEXEC, kernel__resolve("/bin/sh", &self->kernel, NULL));
	EXPECT_EQ(-ENOEXEC, kernel__resolve("/dev/null", &self->kernel, NULL));
	EXPECT_EQ(-ENOENT, kernel__resolve("/no/such/kernel", &self->kernel, NULL));
	EXPECT_EQ(-ENOENT, kernel__resolve(self->dir, &self->kernel, NULL));
}

TEST_F(kernel, a_build_tree_and_an_image_in_it_are_the_same)
{
	struct kernel by_image;

	ASSERT_EQ(0,
		  sh("cd %s && mkdir -p arch/x86/boot include/config && echo CONFIG_B=m > .config "
		     "&& echo 7.9.0-tree > include/config/kernel.release && "
		     "yes 'ffff T x' | head -c 9000 > System.map",
		     self->dir));
	ASSERT_TRUE(make_bzimage(at(self->dir, "arch/x86/boot/bzImage"), "7.9.0-tree"));
	ASSERT_EQ(0, kernel__resolve(self->dir, &self->kernel, &self->error));
	EXPECT_STREQ(at(self->dir, "arch/x86/boot/bzImage"), self->kernel.image);
	EXPECT_STREQ(at(self->dir, ".config"), self->kernel.config);
	EXPECT_STREQ(at(self->dir, "System.map"), self->kernel.system_map);
	EXPECT_STREQ("7.9.0-tree", self->kernel.release);
	EXPECT_STREQ("", self->kernel.modules_dir);
	ASSERT_EQ(0, kernel__resolve(at(self->dir, "arch/x86/boot/bzImage"), &by_image, NULL));
	EXPECT_EQ(0, memcmp(&by_image, &self->kernel, sizeof(by_image)));
}

TEST_F(kernel, versions_match_whole_numbers_and_the_newest_wins)
{
	static const char *const all[] = {"7.3.4+deb13-amd64", "7.3.12-x", "7.30.1", "6.18.2"};

	for (size_t i = 0; i < 4; i++)
		ASSERT_TRUE(make_cached(self->dir, all[i]));
	ASSERT_EQ(0, kernel__resolve("7.3", &self->kernel, &self->error));
	EXPECT_STREQ("7.3.12-x", self->kernel.release);
	ASSERT_EQ(0, kernel__resolve("7", &self->kernel, &self->error));
	EXPECT_STREQ("7.30.1", self->kernel.release);
	ASSERT_EQ(0, kernel__resolve("7.3.4+deb13-amd64", &self->kernel, &self->error));
	EXPECT_STREQ("7.3.4+deb13-amd64", self->kernel.release);
	EXPECT_STREQ(
		at(self->dir, "kernels/7.3.4+deb13-amd64/usr/lib/modules/7.3.4+deb13-amd64/config"),
		self->kernel.config);
	EXPECT_STREQ(at(self->dir, "kernels/7.3.4+deb13-amd64/usr/lib/modules/7.3.4+deb13-amd64"),
		     self->kernel.modules_dir);
	EXPECT_STREQ("", self->kernel.system_map); /* Debian's says only where the real one is */
	EXPECT_EQ(-ENOENT, kernel__resolve("7.3.1", &self->kernel, &self->error));
	EXPECT_NE(NULL, strstr(self->error.hint, "scripts/kernel fetch"));
}

TEST_F(kernel, a_directory_of_another_name_has_the_newest_of_its_kernels)
{
	ASSERT_TRUE(make_cached(self->dir, "6.18.2"));
	ASSERT_EQ(0, sh("mv %s/kernels/6.18.2 %s/copy", self->dir, self->dir));
	ASSERT_EQ(0, kernel__resolve(at(self->dir, "copy"), &self->kernel, &self->error));
	EXPECT_STREQ("6.18.2", self->kernel.release);
	EXPECT_STREQ(at(self->dir, "copy/usr/lib/modules/6.18.2"), self->kernel.modules_dir);
}

TEST_F(kernel, the_default_is_the_environment_then_the_cache)
{
	ASSERT_TRUE(make_cached(self->dir, "6.18.2"));
	ASSERT_TRUE(make_cached(self->dir, "7.30.1"));
	ASSERT_EQ(0, sh("ln -s 6.18.2 %s/kernels/default", self->dir));
	ASSERT_EQ(0, kernel__resolve(NULL, &self->kernel, &self->error));
	EXPECT_STREQ("6.18.2", self->kernel.release);
	setenv("KTSTR_KERNEL", "7.30", 1);
	ASSERT_EQ(0, kernel__resolve(NULL, &self->kernel, &self->error));
	EXPECT_STREQ("7.30.1", self->kernel.release);
	ASSERT_EQ(0, kernel__resolve("6.18", &self->kernel, &self->error));
	EXPECT_STREQ("6.18.2", self->kernel.release);
}

TEST_F(kernel, config_options_are_matched_whole)
{
	ASSERT_TRUE(write_text(at(self->dir, "c"),
			       "CONFIG_AB=y\nCONFIG_M=m\n# CONFIG_OFF is not set\nCONFIG_N=n\n"
			       "CONFIG_HZ=250\nXCONFIG_Z=y"));
	EXPECT_EQ(-ENOENT, kernel__config_has(&self->kernel, "CONFIG_AB"));
	strcpy(self->kernel.config, at(self->dir, "c"));
	EXPECT_EQ(1, kernel__config_has(&self->kernel, "CONFIG_AB"));
	EXPECT_EQ(0, kernel__config_has(&self->kernel, "CONFIG_A"));
	EXPECT_EQ(2, kernel__config_has(&self->kernel, "CONFIG_M"));
	EXPECT_EQ(0, kernel__config_has(&self->kernel, "CONFIG_OFF"));
	EXPECT_EQ(0, kernel__config_has(&self->kernel, "CONFIG_N"));
	EXPECT_EQ(1, kernel__config_has(&self->kernel, "CONFIG_HZ"));
	EXPECT_EQ(0, kernel__config_has(&self->kernel, "CONFIG_Z"));
}

static bool copies_are(const char *dir, int nr)
{
	return !sh("test $(ls %s/scratch/kernel-images | wc -l) = %d", dir, nr);
}

/* What kernel__open() gives begins with the file's own bytes. */
static bool opens_as(const struct kernel *kernel, const char *text)
{
	char data[64] = {0};
	int fd = kernel__open(kernel, NULL);
	bool same = fd >= 0 && pread(fd, data, strlen(text), 0) == (ssize_t)strlen(text) &&
		    !strcmp(data, text);

	close(fd);
	return same;
}

TEST_F(kernel, an_image_is_copied_to_the_scratch_disk_and_a_changed_one_again)
{
	strcpy(self->kernel.image, at(self->dir, "vmlinuz"));
	setenv("KTSTR_SCRATCH", at(self->dir, "scratch"), 1);
	ASSERT_TRUE(write_text(self->kernel.image, "first"));
	usleep(200000);
	EXPECT_TRUE(opens_as(&self->kernel, "first"));
	EXPECT_TRUE(copies_are(self->dir, 1));
	/* It is the copy that is read. */
	ASSERT_EQ(0,
		  sh("for f in %s/scratch/kernel-images/*; do printf COPY1 > $f; done", self->dir));
	EXPECT_TRUE(opens_as(&self->kernel, "COPY1"));
	ASSERT_TRUE(write_text(self->kernel.image, "again"));
	EXPECT_TRUE(opens_as(&self->kernel, "again"));
	usleep(200000);
	EXPECT_TRUE(opens_as(&self->kernel, "again"));
	EXPECT_TRUE(copies_are(self->dir, 2));
}

TEST_F(kernel, without_a_scratch_disk_the_image_itself_is_read)
{
	strcpy(self->kernel.image, at(self->dir, "vmlinuz"));
	ASSERT_TRUE(write_text(self->kernel.image, "image"));
	usleep(200000);
	setenv("KTSTR_SCRATCH", "/proc/nowhere", 1);
	EXPECT_TRUE(opens_as(&self->kernel, "image"));
	unsetenv("KTSTR_SCRATCH");
	EXPECT_TRUE(opens_as(&self->kernel, "image"));
	strcat(self->kernel.image, ".gone");
	EXPECT_EQ(-ENOENT, kernel__open(&self->kernel, &self->error));
	EXPECT_STREQ(self->kernel.image, self->error.object);
}

TEST_HARNESS_MAIN
