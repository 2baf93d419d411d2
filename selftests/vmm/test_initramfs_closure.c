// SPDX-License-Identifier: GPL-2.0-only
/* What comes along with programs: compared with ldd(1), and tried by running them in a chroot. */
#include "kselftest_harness.h"

#include <elf.h>
#include <link.h>

#include "initramfs/closure.h"
#include "initramfs/elf.h"
#include "initramfs_util.h"

FIXTURE(closure)
{
	char *dir;
	struct initramfs_spec spec;
	struct ktstr_file file;
	struct initramfs_image image;
	struct ktstr_error error;
	char path[PATH_MAX];
};

FIXTURE_SETUP(closure)
{
	unsetenv("LD_LIBRARY_PATH");
	memset(&self->image, 0, sizeof(self->image));
	self->dir = scratch_dir();
	ASSERT_NE(NULL, self->dir);
	self->spec.files = &self->file;
	self->spec.nr_files = 1;
	self->file.host_path = self->path;
}

FIXTURE_TEARDOWN(closure)
{
	initramfs_image__close(&self->image);
	sh("rm -rf %s", self->dir);
	free(self->dir);
}

/* A program main() { return f(); } with its library, the libraries in @dir/lib. */
static int make_program(const char *dir, const char *flags)
{
	return sh("cd %s && mkdir -p lib bin && echo 'int g(void) { return 3; }' > g.c && "
		  "echo 'int g(void); int f(void) { return g() + 4; }' > f.c && "
		  "echo 'int f(void); int main(void) { return f(); }' > m.c && "
		  "gcc -shared -fPIC -o lib/libkg.so g.c && "
		  "gcc -shared -fPIC -o lib/libkf.so f.c -Llib -lkg -Wl,-rpath,'$ORIGIN' && "
		  "gcc -o bin/prog m.c -Llib -lkf -Wl,-rpath-link,lib %s",
		  dir, flags);
}

/* PT_INTERP of this program, the first that is told. */
static int take_interpreter(struct dl_phdr_info *info, size_t size, void *path)
{
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			*(const char **)path =
				(const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	return 1;
}

static const char *dynamic_linker(void)
{
	const char *path = "(none)";

	dl_iterate_phdr(take_interpreter, &path);
	return path;
}

/* The dynamic linker in the unpacked archive has to find the same files as the host's does. */
static int same_as_ldd(const char *dir, const char *program)
{
	return sh("cd %s && ldd %s | sed 's/ (0x.*//' | grep -v vdso | sort > host && "
		  "chroot root %s --list %s | sed 's/ (0x.*//' | grep -v vdso | sort > guest && "
		  "test -s host && diff -u host guest >&2",
		  dir, program, dynamic_linker(), program);
}

TEST_F(closure, real_programs_get_what_ldd_says)
{
	static const char *const programs[] = {"/bin/bash", "/usr/bin/gcc", "/usr/bin/perl",
					       "/usr/bin/cpio", "/usr/bin/clang-19"};

	if (geteuid())
		SKIP(return, "chroot needs root");
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (access(programs[i], X_OK))
			continue;
		strcpy(self->path, programs[i]);
		ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error))
		TH_LOG("%s: %s", self->error.object, self->error.reason);
		ASSERT_TRUE(unpack_image(&self->image, self->dir));
		EXPECT_EQ(0, same_as_ldd(self->dir, programs[i])) TH_LOG("%s", programs[i]);
		initramfs_image__close(&self->image);
	}
}

TEST_F(closure, a_program_runs_with_nothing_but_its_closure)
{
	if (geteuid())
		SKIP(return, "chroot needs root");
	strcpy(self->path, "/bin/bash");
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(7, sh("chroot %s/root /bin/bash -c 'exit 7'", self->dir));
}

TEST_F(closure, runpath_with_origin_is_followed)
{
	ASSERT_EQ(0, make_program(self->dir, "-Wl,--enable-new-dtags,-rpath,'$ORIGIN/../lib'"));
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	/* ld.so knows no $ORIGIN in a chroot without /proc: looked at, not run */
	EXPECT_EQ(0, sh("test -f %s/root%s/lib/libkf.so && test -f %s/root%s/lib/libkg.so",
			self->dir, self->dir, self->dir, self->dir));
}

TEST_F(closure, init_finds_its_origin_libraries_without_proc)
{
	if (geteuid())
		SKIP(return, "chroot needs root");
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, make_program(self->dir,
					  i ? "-Wl,--disable-new-dtags,-rpath,'$ORIGIN/../lib'"
					    : "-Wl,--enable-new-dtags,-rpath,'${ORIGIN}/../lib'"));
		snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
		self->spec.init = self->path;
		self->spec.nr_files = 0;
		ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error))
		TH_LOG("%s: %s", self->error.object, self->error.reason);
		ASSERT_TRUE(unpack_image(&self->image, self->dir));
		EXPECT_EQ(7, sh("chroot %s/root /init", self->dir));
		/* backtrace(3) opens it */
		EXPECT_EQ(0, sh("ls %s/root/lib/*/libgcc_s.so.1 %s/root/lib*/libgcc_s.so.1 "
				"2>/dev/null | grep -q .",
				self->dir, self->dir));
		initramfs_image__close(&self->image);
	}
}

TEST_F(closure, a_moved_program_keeps_its_origin)
{
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	ASSERT_EQ(0, make_program(self->dir, "-Wl,-rpath,'$ORIGIN/../lib'"));
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	self->spec.scheduler = self->path;
	self->spec.nr_files = 0;
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	snprintf(link, sizeof(link), "%s/root/scheduler", self->dir);
	n = readlink(link, target, sizeof(target) - 1);
	ASSERT_GT(n, 0);
	target[n] = '\0';
	EXPECT_STREQ(self->path, target);
}

TEST_F(closure, libraries_of_ld_library_path_are_found_in_the_guest)
{
	char lib[PATH_MAX];

	if (geteuid())
		SKIP(return, "chroot needs root");
	ASSERT_EQ(0, make_program(self->dir, ""));
	snprintf(lib, sizeof(lib), "%s/lib", self->dir);
	setenv("LD_LIBRARY_PATH", lib, 1);
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	unsetenv("LD_LIBRARY_PATH");
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(7, sh("chroot %s/root %s", self->dir, self->path));
}

TEST_F(closure, a_missing_library_is_named_with_who_needs_it)
{
	ASSERT_EQ(0, make_program(self->dir, "-Wl,-rpath,'$ORIGIN/../lib'"));
	ASSERT_EQ(0, sh("rm %s/lib/libkg.so", self->dir));
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, &self->error));
	EXPECT_STREQ("libkg.so", self->error.object);
	EXPECT_NE(NULL, strstr(self->error.reason, "libkf.so"));
	EXPECT_EQ(0, self->image.nr_fds);
}

TEST_F(closure, runpath_is_not_inherited_but_rpath_is)
{
	ASSERT_EQ(0, make_program(self->dir, "-Wl,--enable-new-dtags,-rpath,'$ORIGIN/../lib'"));
	ASSERT_EQ(0, sh("cd %s && gcc -shared -fPIC -o lib/libkf.so f.c -Llib -lkg", self->dir));
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, &self->error));
	EXPECT_STREQ("libkg.so", self->error.object);
	ASSERT_EQ(0, sh("cd %s && gcc -o bin/prog m.c -Llib -lkf -Wl,-rpath-link,lib "
			"-Wl,--disable-new-dtags,-rpath,'$ORIGIN/../lib'",
			self->dir));
	EXPECT_EQ(0, initramfs__base(&self->spec, &self->image, NULL));
}

TEST_F(closure, rpath_of_the_loader_is_ignored_for_what_has_a_runpath)
{
	ASSERT_EQ(0, make_program(self->dir, "-Wl,--disable-new-dtags,-rpath,'$ORIGIN/../lib'"));
	ASSERT_EQ(0, sh("cd %s && gcc -shared -fPIC -o lib/libkf.so f.c -Llib -lkg "
			"-Wl,--enable-new-dtags,-rpath,/no/such/dir",
			self->dir));
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, &self->error));
	EXPECT_STREQ("libkg.so", self->error.object);
}

TEST_F(closure, a_missing_file_is_named)
{
	snprintf(self->path, sizeof(self->path), "%s/none", self->dir);
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, &self->error));
	EXPECT_STREQ(self->path, self->error.object);
}

TEST_F(closure, an_elf_of_another_machine_is_refused)
{
	Elf64_Ehdr header = {.e_type = ET_DYN, .e_machine = EM_RISCV};

	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	snprintf(self->path, sizeof(self->path), "%s/foreign", self->dir);
	ASSERT_TRUE(write_file(self->path, &header, sizeof(header), 0755));
	EXPECT_EQ(-ENOEXEC, initramfs__base(&self->spec, &self->image, &self->error));
	EXPECT_STREQ(self->path, self->error.object);
	/* in a directory it is data */
	strcpy(self->path, self->dir);
	EXPECT_EQ(0, initramfs__base(&self->spec, &self->image, NULL));
}

TEST_F(closure, a_static_program_needs_nothing_else)
{
	char program[PATH_MAX];

	snprintf(program, sizeof(program), "%s/static", self->dir);
	ASSERT_EQ(0, sh("echo 'int main(void) { return 7; }' | gcc -static -xc - -o %s", program));
	self->file = (struct ktstr_file){.host_path = program, .guest_path = "/static"};
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(7, sh("%s/root/static", self->dir));
	EXPECT_EQ(1, sh("cd %s/root && exit $(find . -type f | wc -l)", self->dir));
}

/* Each name is a file of its own: a guest may write to one of them. */
TEST_F(closure, hard_links_become_files)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/links", self->dir);
	ASSERT_EQ(0, sh("mkdir %s && seq 99999 > %s/a && ln %s/a %s/b", path, path, path, path));
	self->file = (struct ktstr_file){.host_path = path, .guest_path = "/links"};
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(0, sh("cd %s/root/links && cmp a %s/a && cmp b %s/a && "
			"[ $(stat -c %%h a) = 1 ]",
			self->dir, path, path));
}

TEST_F(closure, damaged_elf_files_never_crash_the_reader)
{
	static unsigned char whole[1 << 20], data[1 << 20];
	unsigned int seed = 1;
	struct elf_info info;
	int fd, refused = 0;
	ssize_t n;

	ASSERT_EQ(0, make_program(self->dir, "-Wl,-rpath,'$ORIGIN/../lib'"));
	snprintf(self->path, sizeof(self->path), "%s/bin/prog", self->dir);
	fd = open(self->path, O_RDONLY);
	n = read(fd, whole, sizeof(whole));
	close(fd);
	ASSERT_GT(n, 1000);
	for (int i = 0; i < 3000; i++) {
		size_t length = (size_t)n;

		memcpy(data, whole, length);
		if (i % 3)
			length = (size_t)rand_r(&seed) % length;
		for (int k = 0; k < 8; k++) /* headers and program headers */
			data[16 + rand_r(&seed) % 800] = (unsigned char)rand_r(&seed);
		ASSERT_TRUE(write_file(self->path, data, length, 0755));
		if (elf__read(self->path, &info, NULL))
			refused++;
		else
			elf__free(&info);
	}
	EXPECT_GT(refused, 1000);
}

TEST_F(closure, scripts_bring_their_interpreter)
{
	snprintf(self->path, sizeof(self->path), "%s/script", self->dir);
	ASSERT_TRUE(write_file(self->path, "#! /usr/bin/env bash\nexit 5\n", 28, 0755));
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(0, sh("cd %s/root && test -x usr/bin/env && test -x usr/bin/bash", self->dir));
	if (!geteuid())
		EXPECT_EQ(5, sh("chroot %s/root %s", self->dir, self->path));
}

TEST_F(closure, a_missing_interpreter_is_named_with_its_script)
{
	snprintf(self->path, sizeof(self->path), "%s/script", self->dir);
	ASSERT_TRUE(write_file(self->path, "#!/no/such/thing -x\n", 20, 0755));
	EXPECT_EQ(-ENOENT, initramfs__base(&self->spec, &self->image, &self->error));
	EXPECT_STREQ("/no/such/thing", self->error.object);
	EXPECT_NE(NULL, strstr(self->error.reason, self->path));
}

TEST_F(closure, scripts_that_interpret_each_other_end)
{
	char text[PATH_MAX + 8];

	snprintf(self->path, sizeof(self->path), "%s/script", self->dir);
	snprintf(text, sizeof(text), "#!%s\n", self->path);
	ASSERT_TRUE(write_file(self->path, text, strlen(text), 0755));
	EXPECT_EQ(-ELOOP, initramfs__base(&self->spec, &self->image, NULL));
}

TEST_F(closure, directories_come_with_all_that_is_in_them)
{
	ASSERT_EQ(0, sh("cd %s && mkdir -p t/sub/empty && echo 1 > t/a && chmod 600 t/a && "
			"ln -s a t/l && ln -s nowhere t/dangling && mkfifo t/pipe && "
			"echo 2 > 't/sub/b c'",
			self->dir));
	snprintf(self->path, sizeof(self->path), "%s/t", self->dir);
	self->file.guest_path = "/data";
	ASSERT_EQ(0, initramfs__base(&self->spec, &self->image, &self->error));
	ASSERT_TRUE(unpack_image(&self->image, self->dir));
	EXPECT_EQ(0, sh("cd %s && rm t/pipe && diff -r --no-dereference t root/data >&2 && "
			"test $(stat -c %%a root/data/a) = 600",
			self->dir));
}

TEST_F(closure, a_damaged_library_cache_finds_nothing)
{
	static char cache[1 << 20];
	int fd = open("/etc/ld.so.cache", O_RDONLY);
	unsigned int seed = 7;
	ssize_t n;

	if (fd < 0)
		SKIP(return, "no /etc/ld.so.cache");
	n = read(fd, cache, sizeof(cache));
	close(fd);
	ASSERT_GT(n, 100);
	ASSERT_NE(NULL, ldcache__find(cache, (size_t)n, "libc.so.6", 0));
	EXPECT_EQ(NULL, ldcache__find(cache, (size_t)n, "libno-such-thing.so", 0));
	EXPECT_EQ(NULL, ldcache__find(cache, 47, "libc.so.6", 0));
	for (int i = 0; i < 2000; i++) {
		char *copy =
			malloc((size_t)n); /* exact, so that ASan sees what is read behind it */
		size_t length = i % 2 ? (size_t)n : (size_t)rand_r(&seed) % (size_t)n;
		char *part = malloc(length + !length);

		memcpy(copy, cache, (size_t)n);
		for (int k = 0; k < 20; k++)
			copy[rand_r(&seed) % (k < 4 ? 64 : n)] = (char)rand_r(&seed);
		memcpy(part, copy, length);
		ldcache__find(part, length, "libc.so.6", 0);
		ldcache__find(part, length, "libno-such-thing.so", 0);
		free(part);
		free(copy);
	}
}

TEST_HARNESS_MAIN
