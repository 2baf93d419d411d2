// SPDX-License-Identifier: GPL-2.0-only
/* Kernel modules: a made-up tree of modules, indexed by depmod(8). */
#include "kselftest_harness.h"

#include "initramfs/modules.h"
#include "initramfs_util.h"

#include <ktstr/proto.h>

#define RELEASE "9.9.9-test"

FIXTURE(modules)
{
	char *dir;
	char modules[PATH_MAX];
	struct tree tree;
	struct ktstr_error error;
};

/* Modules as objects with a .modinfo section; depmod needs no more. */
static int make_module(const char *dir, const char *name, const char *info, const char *pack)
{
	return sh("cd %s/lib/modules/" RELEASE "/kernel && "
		  "printf '.section .modinfo,\"a\"\\n.asciz \"name=%s\"\\n%s' | "
		  "gcc -c -x assembler -o %s.ko - && %s",
		  dir, name, info, name, pack);
}

FIXTURE_SETUP(modules)
{
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	snprintf(self->modules, sizeof(self->modules), "%s/lib/modules/" RELEASE, self->dir);
	ASSERT_EQ(0, sh("mkdir -p %s/kernel", self->modules));
	ASSERT_EQ(0, make_module(self->dir, "base", "", "cp base.ko /dev/null && xz base.ko"));
	ASSERT_EQ(0, make_module(self->dir, "mid",
				 ".asciz \"depends=base\"\\n.asciz \"alias=other-name\"\\n",
				 "xz --check=crc32 mid.ko"));
	ASSERT_EQ(0, make_module(self->dir, "soft", "", "true"));
	ASSERT_EQ(
		0,
		make_module(self->dir, "top",
			    ".asciz \"depends=mid\"\\n.asciz \"softdep=pre: soft nothing-here\"\\n",
			    "true"));
	ASSERT_EQ(0, sh("echo kernel/inside.ko > %s/modules.builtin && "
			"touch %s/modules.order %s/modules.builtin.modinfo && "
			"PATH=$PATH:/sbin:/usr/sbin depmod -b %s " RELEASE,
			self->modules, self->modules, self->modules, self->dir));
	/* depmod finds dependencies by symbols; these objects have none */
	ASSERT_EQ(0, sh("cd %s && PATH=$PATH:/sbin:/usr/sbin && "
			"grep -q '^kernel/top.ko:' modules.dep",
			self->modules));
}

FIXTURE_TEARDOWN(modules)
{
	tree__free(&self->tree);
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

static const char *list_of(const struct tree *tree, char *buf, size_t size)
{
	const struct tree_entry *entry = tree__lookup(tree, KTSTR_GUEST_MODULES);

	snprintf(buf, size, "%.*s", entry ? (int)entry->size : 4, entry ? entry->data : "none");
	return buf;
}

TEST_F(modules, soft_dependencies_come_first)
{
	static const char *const names[] = {"top", "soft", "top", NULL};
	char list[1024];

	ASSERT_EQ(0, modules__add(&self->tree, self->modules, RELEASE, names, &self->error))
	TH_LOG("%s: %s", self->error.object, self->error.reason);
	EXPECT_STREQ("/lib/modules/" RELEASE "/kernel/soft.ko\n"
		     "/lib/modules/" RELEASE "/kernel/top.ko\n",
		     list_of(&self->tree, list, sizeof(list)));
}

TEST_F(modules, compressed_ones_are_stored_as_they_were)
{
	static const char *const names[] = {"base", "other-name", NULL};
	const struct tree_entry *entry;
	char list[1024];

	ASSERT_EQ(0, modules__add(&self->tree, self->modules, RELEASE, names, &self->error));
	EXPECT_STREQ("/lib/modules/" RELEASE "/kernel/base.ko\n"
		     "/lib/modules/" RELEASE "/kernel/mid.ko\n",
		     list_of(&self->tree, list, sizeof(list)));
	entry = tree__lookup(&self->tree, "/lib/modules/" RELEASE "/kernel/base.ko");
	ASSERT_NE(NULL, entry);
	EXPECT_EQ(0, memcmp(entry->data, "\177ELF", 4));
	entry = tree__lookup(&self->tree, "/lib/modules/" RELEASE "/kernel/mid.ko");
	ASSERT_NE(NULL, entry);
	EXPECT_EQ(0, memcmp(entry->data, "\177ELF", 4));
	EXPECT_NE(NULL, memmem(entry->data, entry->size, "name=mid", 9));
}

TEST_F(modules, built_in_ones_give_nothing)
{
	static const char *const names[] = {"inside", NULL};
	char list[1024];

	ASSERT_EQ(0, modules__add(&self->tree, self->modules, RELEASE, names, &self->error));
	EXPECT_STREQ("", list_of(&self->tree, list, sizeof(list)));
}

TEST_F(modules, an_unknown_one_is_named_with_the_directory)
{
	static const char *const names[] = {"top", "no_such", NULL};

	EXPECT_EQ(-ENOENT, modules__add(&self->tree, self->modules, RELEASE, names, &self->error));
	EXPECT_STREQ("no_such", self->error.object);
	EXPECT_NE(NULL, strstr(self->error.reason, self->modules));
}

TEST_F(modules, without_an_index_depmod_is_the_hint)
{
	static const char *const names[] = {"top", NULL};

	ASSERT_EQ(0, sh("rm %s/modules.dep*", self->modules));
	EXPECT_EQ(-ENOENT, modules__add(&self->tree, self->modules, RELEASE, names, &self->error));
	EXPECT_NE(NULL, strstr(self->error.hint, "depmod -b"));
}

TEST_F(modules, a_directory_without_modules_gives_nothing)
{
	static const char *const names[] = {"top", NULL};

	EXPECT_EQ(0, modules__add(&self->tree, self->dir, RELEASE, names, &self->error));
	EXPECT_EQ(NULL, tree__lookup(&self->tree, KTSTR_GUEST_MODULES));
}

TEST_F(modules, every_compression_gives_the_same_bytes)
{
	static const char *const tools[] = {"cat", "gzip -c", "xz -c --check=crc32", "zstd -cq"};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/packed", self->dir);
	ASSERT_EQ(0, sh("seq 200000 > %s/plain", self->dir));
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
		void *packed = malloc(1 << 22), *out = NULL;
		size_t length, out_length = 0;
		FILE *file;

		if (i == 3 && sh("command -v zstd > /dev/null"))
			SKIP(free(packed); return, "no zstd");
		ASSERT_EQ(0, sh("%s < %s/plain > %s", tools[i], self->dir, path));
		file = fopen(path, "r");
		length = fread(packed, 1, 1 << 22, file);
		fclose(file);
		ASSERT_EQ(0, modules__decompress(packed, length, "x", &out, &out_length,
						 &self->error));
		ASSERT_TRUE(write_file(path, out, out_length, 0644));
		EXPECT_EQ(0, sh("cmp %s %s/plain", path, self->dir)) TH_LOG("%s", tools[i]);
		free(out);
		if (i) {
			EXPECT_EQ(-EBADMSG, modules__decompress(packed, length / 2, "x", &out,
								&out_length, NULL));
			memset((char *)packed + length / 2, 0x5a, 64);
			EXPECT_EQ(-EBADMSG, modules__decompress(packed, length, "x", &out,
								&out_length, NULL));
		}
		free(packed);
	}
}

TEST_HARNESS_MAIN
