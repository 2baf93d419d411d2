// SPDX-License-Identifier: GPL-2.0-only
/* Which kernel a person means, with made-up images, trees and caches. */
#include "kselftest_harness.h"

#include <elf.h>
#include <zlib.h>

#include "initramfs_util.h"
#include "vmm/arch/arch.h"
#include "vmm/kernel.h"
#include "vmm/kernel_format.h"

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

/* ---- Images, as far as they are looked at; release NULL: they do not say it ---- */

#define IMAGE_BYTES 2048u

struct made {
	unsigned char bytes[IMAGE_BYTES];
	size_t length;
};

/* A boot header with a version string, as boot.rst of the kernel has it for x86. */
static void make_bzimage(struct made *m, const char *release)
{
	*m = (struct made){.length = IMAGE_BYTES};
	m->bytes[0x1fe] = 0x55;
	m->bytes[0x1ff] = 0xaa;
	memcpy(m->bytes + 0x202, "HdrS", 4);
	m->bytes[0x20f] = 2; /* string at 0x200 + 0x200 */
	if (!release)
		m->bytes[0x20f] = 0x7f; /* far outside of the file */
	else
		snprintf((char *)m->bytes + 0x400, 512, "%s (someone@somewhere) #1 SMP", release);
}

/* Documentation/arch/arm64/booting.rst */
static void make_image(struct made *m, const char *release)
{
	*m = (struct made){.length = IMAGE_BYTES};
	memcpy(m->bytes + 56, "ARM\x64", 4);
	strcpy((char *)m->bytes + 1024, "Linux version %s");
	if (release)
		snprintf((char *)m->bytes + 1100, 512, "Linux version %s (x@y)", release);
}

static void make_elf(struct made *m, uint16_t machine, const char *release)
{
	Elf64_Ehdr header = {.e_type = ET_EXEC, .e_machine = machine};

	make_image(m, release);
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(m->bytes, &header, sizeof(header));
}

/* Behind @before bytes. */
static void pack(struct made *m, size_t before)
{
	struct made plain = *m;
	z_stream z = {.next_in = plain.bytes, .avail_in = (unsigned int)plain.length};

	*m = (struct made){.length = before};
	z.next_out = m->bytes + before;
	z.avail_out = (unsigned int)(IMAGE_BYTES - before);
	if (deflateInit2(&z, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) == Z_OK &&
	    deflate(&z, Z_FINISH) == Z_STREAM_END)
		m->length = before + z.total_out;
	deflateEnd(&z);
}

/* Linux's zboot-header.S, for the machine of that number in PE's list */
static void make_zboot(struct made *m, uint16_t pe_machine, const char *release)
{
	uint32_t length;

	make_image(m, release);
	pack(m, 128);
	length = (uint32_t)m->length - 128;
	memcpy(m->bytes, "MZ\0\0zimg", 8);
	m->bytes[8] = 128;
	memcpy(m->bytes + 12, &length, 4);
	m->bytes[0x3c] = 64;
	memcpy(m->bytes + 64, "PE\0\0", 4);
	memcpy(m->bytes + 68, &pe_machine, 2);
}

/* A kernel of the machine that this build is for. */
static bool make_kernel(const char *path, const char *release)
{
	struct made m;

	if (arch__this->elf_machine == EM_X86_64)
		make_bzimage(&m, release);
	else
		make_image(&m, release);
	return write_file(path, m.bytes, m.length, 0644);
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
	return make_kernel(path, release);
}

/* A path in the scratch directory; valid until the next call. */
static const char *at(const char *dir, const char *tail)
{
	static char buf[PATH_MAX];

	snprintf(buf, sizeof(buf), "%s/%s", dir, tail);
	return buf;
}

TEST_F(kernel, an_image_has_its_release_and_config_beside_it)
{
	ASSERT_TRUE(make_kernel(at(self->dir, "vmlinuz"), RELEASE));
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
	ASSERT_TRUE(make_kernel(at(self->dir, "vmlinuz"), NULL));
	ASSERT_EQ(0, kernel__resolve(at(self->dir, "vmlinuz"), &self->kernel, &self->error));
	EXPECT_STREQ("", self->kernel.release);
}

TEST_F(kernel, a_release_that_is_a_path_is_ignored)
{
	ASSERT_TRUE(make_kernel(at(self->dir, "vmlinuz"), "../../etc"));
	ASSERT_EQ(0, kernel__resolve(at(self->dir, "vmlinuz"), &self->kernel, &self->error));
	EXPECT_STREQ("", self->kernel.release);
}

TEST_F(kernel, a_vmlinux_is_known_by_its_banner)
{
	struct made m;

	make_elf(&m, arch__this->elf_machine, RELEASE);
	strcpy(self->path, at(self->dir, "vmlinux"));
	ASSERT_TRUE(write_file(self->path, m.bytes, m.length, 0644));
	ASSERT_EQ(0, kernel__resolve(self->path, &self->kernel, &self->error));
	EXPECT_STREQ(RELEASE, self->kernel.release);
	make_elf(&m, arch__this->elf_machine, NULL);
	ASSERT_TRUE(write_file(self->path, m.bytes, m.length, 0644));
	EXPECT_EQ(-ENOEXEC, kernel__resolve(self->path, &self->kernel, &self->error));
	EXPECT_STREQ("not a kernel image", self->error.reason);
}

/* One kernel a form and machine. */
static const struct {
	const char *name;
	enum kernel_form form;
	uint16_t machine;
	const char *of; /* the machine's name */
} forms[] = {
	{"bzImage", KERNEL_BZIMAGE, EM_X86_64, "x86-64"},
	{"vmlinux", KERNEL_VMLINUX, EM_X86_64, "x86-64"},
	{"vmlinux of arm64", KERNEL_VMLINUX, EM_AARCH64, "arm64"},
	{"vmlinux of RISC-V", KERNEL_VMLINUX, EM_RISCV, "RISC-V"},
	{"Image", KERNEL_IMAGE, EM_AARCH64, "arm64"},
	{"Image.gz", KERNEL_GZIP, EM_AARCH64, "arm64"},
	{"vmlinuz.efi", KERNEL_ZBOOT, EM_AARCH64, "arm64"},
	{"vmlinuz.efi of RISC-V", KERNEL_ZBOOT, EM_RISCV, "RISC-V"},
	{"vmlinuz.efi of nobody", KERNEL_ZBOOT, EM_NONE, "another machine"},
};
#define NR_FORMS (sizeof(forms) / sizeof(forms[0]))

static void make_form(struct made *m, size_t form)
{
	switch (forms[form].form) {
	case KERNEL_BZIMAGE:
		make_bzimage(m, RELEASE);
		break;
	case KERNEL_VMLINUX:
		make_elf(m, forms[form].machine, RELEASE);
		break;
	case KERNEL_ZBOOT:
		make_zboot(m,
			   forms[form].machine == EM_AARCH64 ? 0xaa64
			   : forms[form].machine == EM_RISCV ? 0x5064
							     : 0x1234,
			   RELEASE);
		break;
	default:
		make_image(m, RELEASE);
		if (forms[form].form == KERNEL_GZIP)
			pack(m, 0);
	}
}

TEST_F(kernel, one_for_another_machine_is_refused_by_its_name)
{
	const char *ours = kernel_format__machine_name(arch__this->elf_machine);
	struct made m;
	char why[128];
	int taken = 0;

	strcpy(self->path, at(self->dir, "kernel"));
	for (size_t i = 0; i < NR_FORMS; i++) {
		self->error = (struct ktstr_error){0};
		make_form(&m, i);
		ASSERT_TRUE(write_file(self->path, m.bytes, m.length, 0644));
		if (forms[i].machine == arch__this->elf_machine) {
			taken++;
			EXPECT_EQ(0, kernel__resolve(self->path, &self->kernel, &self->error));
			EXPECT_STREQ(RELEASE, self->kernel.release) TH_LOG("%s", forms[i].name);
			continue;
		}
		EXPECT_EQ(-ENOEXEC, kernel__resolve(self->path, &self->kernel, &self->error));
		snprintf(why, sizeof(why), "a kernel for %s, and this ktstr is for %s", forms[i].of,
			 ours);
		EXPECT_STREQ(why, self->error.reason) TH_LOG("%s", forms[i].name);
		EXPECT_NE(NULL, strstr(self->error.hint, arch__this->kernel_forms));
	}
	EXPECT_LE(2, taken);
}

/* Each in memory that ends with it. */
TEST_F(kernel, a_form_is_known_by_its_header_and_nothing_is_read_behind_the_end)
{
	for (size_t i = 0; i < NR_FORMS; i++) {
		struct kernel_format format;
		size_t known = 0;
		struct made m;

		make_form(&m, i);
		for (size_t length = 0; length <= m.length; length++) {
			unsigned char *copy = malloc(length ? length : 1);

			ASSERT_NE(NULL, copy);
			memcpy(copy, m.bytes, length);
			format = kernel_format__of(copy, length);
			free(copy);
			if (format.form == KERNEL_NONE)
				continue;
			known += !known ? length : 0;
			EXPECT_EQ(forms[i].form, format.form) TH_LOG("%s", forms[i].name);
		}
		EXPECT_EQ(forms[i].machine, format.machine) TH_LOG("%s", forms[i].name);
		EXPECT_LE(18, known) TH_LOG("%s", forms[i].name);
		EXPECT_GT(0x211, known) TH_LOG("%s", forms[i].name);
	}
}

TEST_F(kernel, a_packed_one_that_is_damaged_has_no_release)
{
	struct made m;

	if (arch__this->elf_machine != EM_AARCH64)
		SKIP(return, "kernels are not packed so on this machine");
	strcpy(self->path, at(self->dir, "kernel"));
	make_form(&m, 5);
	ASSERT_TRUE(write_file(self->path, m.bytes, m.length - 9, 0644));
	ASSERT_EQ(0, kernel__resolve(self->path, &self->kernel, &self->error));
	EXPECT_STREQ("", self->kernel.release);
	make_form(&m, 6);
	memset(m.bytes + 12, 0xff, 4); /* more than there is */
	ASSERT_TRUE(write_file(self->path, m.bytes, m.length, 0644));
	ASSERT_EQ(0, kernel__resolve(self->path, &self->kernel, &self->error));
	EXPECT_STREQ("", self->kernel.release);
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

	strcpy(self->path, at(self->dir, arch__this->tree_image));
	ASSERT_EQ(0,
		  sh("cd %s && mkdir -p `dirname %s` include/config && echo CONFIG_B=m > .config "
		     "&& echo 7.9.0-tree > include/config/kernel.release && "
		     "yes 'ffff T x' | head -c 9000 > System.map",
		     self->dir, self->path));
	ASSERT_TRUE(make_kernel(self->path, "7.9.0-tree"));
	ASSERT_EQ(0, kernel__resolve(self->dir, &self->kernel, &self->error));
	EXPECT_STREQ(self->path, self->kernel.image);
	EXPECT_STREQ(at(self->dir, ".config"), self->kernel.config);
	EXPECT_STREQ(at(self->dir, "System.map"), self->kernel.system_map);
	EXPECT_STREQ("7.9.0-tree", self->kernel.release);
	EXPECT_STREQ("", self->kernel.modules_dir);
	ASSERT_EQ(0, kernel__resolve(self->path, &by_image, NULL));
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
