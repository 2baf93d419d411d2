// SPDX-License-Identifier: GPL-2.0-only
/* Which kernels can have their root on a disk, and what lies in the archive before it. */
#include "kselftest_harness.h"

#include <elf.h>

#include "initramfs/stage1.h"
#include "initramfs_util.h"
#include "vmm/root.h"

#include <ktstr/proto.h>

static const char built_in[] =
	"CONFIG_BLK_DEV_INITRD=y\nCONFIG_VIRTIO_MMIO=y\nCONFIG_VIRTIO_BLK=y\n"
	"CONFIG_EROFS_FS=y\nCONFIG_OVERLAY_FS=y\nCONFIG_TMPFS=y\nCONFIG_TMPFS_XATTR=y\n"
	"CONFIG_SYSFS=y\n";
static const char modular[] =
	"CONFIG_BLK_DEV_INITRD=y\nCONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=m\n"
	"CONFIG_EROFS_FS=m\nCONFIG_OVERLAY_FS=m\nCONFIG_TMPFS=y\nCONFIG_TMPFS_XATTR=y\n"
	"CONFIG_SYSFS=y\nCONFIG_EROFS_FS_ZIP=y\n";
static const char modules_dep[] =
	"kernel/drivers/virtio/virtio_mmio.ko: kernel/drivers/virtio/virtio.ko\n"
	"kernel/drivers/block/virtio_blk.ko.xz:\nkernel/fs/erofs/erofs.ko.zst:\n"
	"kernel/fs/overlayfs/overlay.ko.gz:\n";

FIXTURE(kernel)
{
	char *dir;
	struct kernel kernel;
	struct ktstr_error error;
};

FIXTURE_SETUP(kernel)
{
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	strcpy(self->kernel.image, "/boot/vmlinuz-x");
	snprintf(self->kernel.config, PATH_MAX, "%s/config", self->dir);
	snprintf(self->kernel.modules_dir, PATH_MAX, "%s", self->dir);
}

FIXTURE_TEARDOWN(kernel)
{
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

static bool write_in(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return write_text(path, text);
}

TEST_F(kernel, one_with_everything_built_in_needs_no_modules)
{
	ASSERT_TRUE(write_in(self->dir, "config", built_in));
	self->kernel.modules_dir[0] = '\0';
	EXPECT_EQ(0, root__check_kernel(&self->kernel, &self->error));
}

TEST_F(kernel, modules_count_when_they_are_there)
{
	ASSERT_TRUE(write_in(self->dir, "config", modular));
	EXPECT_EQ(-EOPNOTSUPP, root__check_kernel(&self->kernel, &self->error));
	EXPECT_STREQ("CONFIG_VIRTIO_MMIO is a module that is not there", self->error.reason);
	ASSERT_TRUE(write_in(self->dir, "modules.dep", modules_dep));
	EXPECT_EQ(0, root__check_kernel(&self->kernel, NULL));
	self->kernel.modules_dir[0] = '\0';
	EXPECT_EQ(-EOPNOTSUPP, root__check_kernel(&self->kernel, NULL));
}

/* What another module needs, or is like it by name, is not it. */
TEST_F(kernel, a_module_that_is_only_named_is_not_there)
{
	ASSERT_TRUE(write_in(self->dir, "config", modular));
	ASSERT_TRUE(write_in(self->dir, "modules.dep",
			     "kernel/a/virtio_mmio.ko:\nkernel/a/virtio_blk.ko:\n"
			     "kernel/a/xerofs.ko: kernel/a/erofs.ko\nkernel/a/overlay.ko:\n"));
	EXPECT_EQ(-EOPNOTSUPP, root__check_kernel(&self->kernel, &self->error));
	EXPECT_STREQ("CONFIG_EROFS_FS is a module that is not there", self->error.reason);
}

TEST_F(kernel, every_option_is_needed)
{
	static const char *const names[] = {"BLK_DEV_INITRD", "VIRTIO_MMIO", "VIRTIO_BLK",
					    "EROFS_FS",	      "OVERLAY_FS",  "TMPFS",
					    "TMPFS_XATTR",    "SYSFS"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct ktstr_error error = {0};
		char text[sizeof(built_in)], reason[64], *at;

		strcpy(text, built_in);
		snprintf(reason, sizeof(reason), "CONFIG_%s=y", names[i]);
		at = strstr(text, reason);
		at[strlen(reason) - 1] = 'n';
		ASSERT_TRUE(write_in(self->dir, "config", text));
		EXPECT_EQ(-EOPNOTSUPP, root__check_kernel(&self->kernel, &error));
		snprintf(reason, sizeof(reason), "CONFIG_%s is not set", names[i]);
		EXPECT_STREQ(reason, error.reason);
	}
}

TEST_F(kernel, one_without_a_configuration_is_not_trusted)
{
	EXPECT_EQ(-ENOENT, root__check_kernel(&self->kernel, &self->error));
	self->kernel.config[0] = '\0';
	self->error = (struct ktstr_error){0};
	EXPECT_EQ(-EOPNOTSUPP, root__check_kernel(&self->kernel, &self->error));
	EXPECT_STREQ("the kernel has no configuration at hand", self->error.reason);
	EXPECT_STREQ("/boot/vmlinuz-x", self->error.object);
}

TEST(the_ways_have_names)
{
	enum ktstr_root root = KTSTR_ROOT_AUTO;

	EXPECT_TRUE(root__parse("erofs", &root));
	EXPECT_EQ(KTSTR_ROOT_EROFS, root);
	EXPECT_TRUE(root__parse("cpio", &root));
	EXPECT_EQ(KTSTR_ROOT_CPIO, root);
	EXPECT_TRUE(root__parse("auto", &root));
	EXPECT_EQ(KTSTR_ROOT_AUTO, root);
	EXPECT_FALSE(root__parse("ext4", &root));
	EXPECT_FALSE(root__parse("", &root));
}

TEST(only_auto_looks_at_sizes)
{
	EXPECT_EQ(0, root__disk_from(KTSTR_ROOT_CPIO));
	EXPECT_EQ(1, root__disk_from(KTSTR_ROOT_EROFS));
	EXPECT_LT(1, root__disk_from(KTSTR_ROOT_AUTO));
}

/* ---- The archive ---- */

FIXTURE(stage1)
{
	char *dir;
	struct tree tree;
	struct ktstr_error error;
};

FIXTURE_SETUP(stage1)
{
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
}

FIXTURE_TEARDOWN(stage1)
{
	tree__free(&self->tree);
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

/* e_machine of this program. */
static int own_machine(void)
{
	Elf64_Ehdr header = {.e_machine = EM_NONE};
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, &header, sizeof(header), 0);

	close(fd);
	return n == sizeof(header) ? header.e_machine : EM_NONE;
}

TEST_F(stage1, the_program_is_a_small_static_elf_without_writable_code)
{
	const unsigned char *file = stage1_start;
	const Elf64_Ehdr *header = (const void *)file;
	uint64_t size = stage1_size;
	const Elf64_Phdr *ph = (const void *)(file + header->e_phoff);

	ASSERT_LT(sizeof(*header), size);
	EXPECT_LT(size, 32u << 10);
	EXPECT_EQ(0, memcmp(file, ELFMAG, SELFMAG));
	EXPECT_EQ(ET_EXEC, header->e_type);
	EXPECT_EQ(own_machine(), header->e_machine);
	ASSERT_LE(header->e_phoff + header->e_phnum * sizeof(*ph), size);
	for (int i = 0; i < header->e_phnum; i++) {
		EXPECT_NE(PT_INTERP, ph[i].p_type);
		EXPECT_NE(PT_DYNAMIC, ph[i].p_type);
		EXPECT_NE(PF_W | PF_X, ph[i].p_flags & (PF_W | PF_X));
	}
}

TEST_F(stage1, an_archive_without_modules_has_the_program_and_where_it_prints)
{
	const struct stage1_spec spec = {0};
	const struct tree_entry *init;

	ASSERT_EQ(0, stage1__fill(&self->tree, &spec, &self->error));
	init = tree__lookup(&self->tree, "/init");
	ASSERT_NE(NULL, init);
	EXPECT_EQ(0755, init->mode);
	ASSERT_EQ(stage1_size, init->size);
	EXPECT_EQ(0, memcmp(init->data, stage1_start, init->size));
	EXPECT_EQ(5, tree__lookup(&self->tree, "/dev/console")->major);
	EXPECT_EQ(11, tree__lookup(&self->tree, "/dev/kmsg")->minor);
	EXPECT_EQ(NULL, tree__lookup(&self->tree, KTSTR_GUEST_MODULES));
}

TEST_F(stage1, modules_are_listed_so_that_each_finds_what_it_needs)
{
	static const char *const names[] = {"virtio_mmio", "virtio_blk", "erofs", "overlay"};
	struct stage1_spec spec = {0};
	const struct tree_entry *list;
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/lib/modules/9.9.9", self->dir);
	spec.modules_dir = dir;
	ASSERT_EQ(0, sh("mkdir -p %s/kernel", dir));
	for (size_t i = 0; i < 4; i++)
		ASSERT_EQ(0, sh("cd %s/kernel && printf '.section .modinfo,\"a\"\\n.asciz "
				"\"name=%s\"\\n' | gcc -c -x assembler -o %s.ko -",
				dir, names[i], names[i]));
	ASSERT_EQ(0, sh("touch %s/modules.order %s/modules.builtin %s/modules.builtin.modinfo && "
			"PATH=$PATH:/sbin:/usr/sbin depmod -b %s 9.9.9",
			dir, dir, dir, self->dir));
	ASSERT_EQ(0, stage1__fill(&self->tree, &spec, &self->error));
	list = tree__lookup(&self->tree, KTSTR_GUEST_MODULES);
	ASSERT_NE(NULL, list);
	EXPECT_EQ(0, strncmp(list->data,
			     "/lib/modules/9.9.9/kernel/virtio_mmio.ko\n"
			     "/lib/modules/9.9.9/kernel/virtio_blk.ko\n"
			     "/lib/modules/9.9.9/kernel/erofs.ko\n"
			     "/lib/modules/9.9.9/kernel/overlay.ko\n",
			     list->size));
	EXPECT_NE(NULL, tree__lookup(&self->tree, "/lib/modules/9.9.9/kernel/overlay.ko"));
}

TEST_HARNESS_MAIN
