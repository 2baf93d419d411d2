// SPDX-License-Identifier: GPL-2.0-only
/* Kernels unpacked on the host: the flat image, its relocations, and files that are damaged. */
#include "kselftest_harness.h"

#include <asm/bootparam.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/arch/x86/unpack.h"

/* A kernel of two segments: [text: 64-bit and 32-bit pointers][data], then lists of relocations. */
#define TEXT_PADDR UINT64_C(0x1000000)
#define DATA_PADDR UINT64_C(0x1003000)
#define VADDR(paddr) ((paddr) + UINT64_C(0xffffffff80000000))
#define TEXT_SIZE 0x1000u
#define DATA_SIZE 0x80u
#define DATA_MEMORY 0x2000u
#define SHIFT UINT64_C(0x2a00000)

struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	uint8_t text[TEXT_SIZE];
	uint8_t data[DATA_SIZE];
	Elf64_Shdr sh[2]; /* behind all else, as objcopy writes them */
	uint32_t relocs[16];
};

static void make_image(struct image *image)
{
	uint64_t wide = VADDR(TEXT_PADDR + 0x123);
	uint32_t narrow = (uint32_t)VADDR(TEXT_PADDR + 0x321), inverse = 0x1000;

	memset(image, 0, sizeof(*image));
	memcpy(image->eh.e_ident, ELFMAG, SELFMAG);
	image->eh.e_ident[EI_CLASS] = ELFCLASS64;
	image->eh.e_type = ET_EXEC;
	image->eh.e_machine = EM_X86_64;
	image->eh.e_entry = TEXT_PADDR + 0x40;
	image->eh.e_phoff = offsetof(struct image, ph);
	image->eh.e_phentsize = sizeof(Elf64_Phdr);
	image->eh.e_phnum = 2;
	image->eh.e_shoff = offsetof(struct image, sh);
	image->eh.e_shentsize = sizeof(Elf64_Shdr);
	image->eh.e_shnum = 2;
	image->ph[0] = (Elf64_Phdr){.p_type = PT_LOAD,
				    .p_offset = offsetof(struct image, text),
				    .p_vaddr = VADDR(TEXT_PADDR),
				    .p_paddr = TEXT_PADDR,
				    .p_filesz = TEXT_SIZE,
				    .p_memsz = TEXT_SIZE};
	image->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD,
				    .p_offset = offsetof(struct image, data),
				    .p_vaddr = VADDR(DATA_PADDR),
				    .p_paddr = DATA_PADDR,
				    .p_filesz = DATA_SIZE,
				    .p_memsz = DATA_MEMORY};
	memset(image->text, 0x90, sizeof(image->text));
	memset(image->data, 0xdd, sizeof(image->data));
	memcpy(image->text + 0x10, &wide, sizeof(wide));
	memcpy(image->text + 0x20, &narrow, sizeof(narrow));
	memcpy(image->data + 0x30, &inverse, sizeof(inverse));
}

/* The lists, forwards as they lie in the file; the number of words. */
static size_t two_lists(uint32_t *relocs)
{
	const uint32_t lists[] = {0, (uint32_t)VADDR(TEXT_PADDR + 0x10), 0,
				  (uint32_t)VADDR(TEXT_PADDR + 0x20)};

	memcpy(relocs, lists, sizeof(lists));
	return 4;
}

FIXTURE(kernel)
{
	struct image *image;
	uint8_t *flat;
	struct unpack_layout layout;
	size_t elf_end;
};

FIXTURE_SETUP(kernel)
{
	self->image = malloc(sizeof(*self->image));
	make_image(self->image);
}

FIXTURE_TEARDOWN(kernel)
{
	free(self->image);
	free(self->flat);
}

static int flatten(FIXTURE_DATA(kernel) * self)
{
	return unpack__flatten((const uint8_t *)self->image, sizeof(*self->image), &self->flat,
			       &self->layout, &self->elf_end);
}

TEST_F(kernel, segments_lie_where_they_belong)
{
	ASSERT_EQ(0, flatten(self));
	EXPECT_EQ(TEXT_PADDR, self->layout.gpa);
	EXPECT_EQ(DATA_PADDR + DATA_SIZE, self->layout.file_end);
	EXPECT_EQ(DATA_PADDR + DATA_MEMORY, self->layout.end);
	EXPECT_EQ(TEXT_PADDR + 0x40, self->layout.entry);
	EXPECT_EQ(0, self->layout.shift);
	EXPECT_EQ(offsetof(struct image, relocs), self->elf_end);
	EXPECT_EQ(0, memcmp(self->flat, self->image->text, TEXT_SIZE));
	EXPECT_EQ(0, self->flat[TEXT_SIZE]); /* between them */
	EXPECT_EQ(0, memcmp(self->flat + 0x3000, self->image->data, DATA_SIZE));
}

TEST_F(kernel, two_lists_move_pointers_of_both_widths_and_nothing_else)
{
	size_t n = two_lists(self->image->relocs), changed = 0;
	uint64_t wide;
	uint32_t narrow;

	ASSERT_EQ(0, flatten(self));
	ASSERT_EQ(0, unpack__relocate(self->flat, &self->layout,
				      (const uint8_t *)self->image->relocs, n * 4, SHIFT));
	EXPECT_EQ(SHIFT, self->layout.shift);
	memcpy(&wide, self->flat + 0x10, 8);
	memcpy(&narrow, self->flat + 0x20, 4);
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123) + SHIFT, wide);
	EXPECT_EQ((uint32_t)(VADDR(TEXT_PADDR + 0x321) + SHIFT), narrow);
	for (size_t i = 0; i < TEXT_SIZE; i++)
		changed += self->flat[i] != self->image->text[i] && (i < 0x10 || i >= 0x24);
	EXPECT_EQ(0, changed);
	EXPECT_EQ(0, memcmp(self->flat + 0x3000, self->image->data, DATA_SIZE));
}

TEST_F(kernel, the_middle_one_of_three_lists_moves_back)
{
	const uint32_t lists[] = {0,
				  (uint32_t)VADDR(TEXT_PADDR + 0x10),
				  0,
				  (uint32_t)VADDR(DATA_PADDR + 0x30),
				  (uint32_t)VADDR(DATA_PADDR + 0x50),
				  0,
				  (uint32_t)VADDR(TEXT_PADDR + 0x20)};
	uint32_t inverse, other, narrow, second = 0xfffff000;
	uint64_t wide;

	memcpy(self->image->data + 0x50, &second, 4);
	ASSERT_EQ(0, flatten(self));
	ASSERT_EQ(0, unpack__relocate(self->flat, &self->layout, (const uint8_t *)lists,
				      sizeof(lists), SHIFT));
	memcpy(&inverse, self->flat + 0x3030, 4);
	memcpy(&other, self->flat + 0x3050, 4);
	memcpy(&wide, self->flat + 0x10, 8);
	memcpy(&narrow, self->flat + 0x20, 4);
	EXPECT_EQ((uint32_t)(0x1000 - SHIFT), inverse);
	EXPECT_EQ((uint32_t)(second - SHIFT), other);
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123) + SHIFT, wide);
	EXPECT_EQ((uint32_t)(VADDR(TEXT_PADDR + 0x321) + SHIFT), narrow);
}

TEST_F(kernel, an_empty_middle_list_moves_nothing_back)
{
	const uint32_t lists[] = {0, (uint32_t)VADDR(TEXT_PADDR + 0x10), 0, 0,
				  (uint32_t)VADDR(TEXT_PADDR + 0x20)};

	ASSERT_EQ(0, flatten(self));
	ASSERT_EQ(0, unpack__relocate(self->flat, &self->layout, (const uint8_t *)lists,
				      sizeof(lists), SHIFT));
	EXPECT_EQ(0, memcmp(self->flat + 0x3000, self->image->data, DATA_SIZE));
}

TEST_F(kernel, without_lists_it_cannot_be_moved)
{
	ASSERT_EQ(0, flatten(self));
	EXPECT_EQ(-ENOENT, unpack__relocate(self->flat, &self->layout, NULL, 0, SHIFT));
	EXPECT_EQ(0, self->layout.shift);
}

TEST_F(kernel, a_relocation_outside_the_image_is_refused)
{
	const uint64_t places[] = {
		TEXT_PADDR - 4,
		TEXT_PADDR - 1,
		DATA_PADDR + DATA_SIZE - 7,
		DATA_PADDR + DATA_SIZE,
		0,
		DATA_PADDR + DATA_MEMORY,
		UINT64_C(0x7fffffff),
	};

	ASSERT_EQ(0, flatten(self));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const uint32_t lists[] = {0, (uint32_t)VADDR(places[i]), 0};

		EXPECT_EQ(-ENOEXEC, unpack__relocate(self->flat, &self->layout,
						     (const uint8_t *)lists, sizeof(lists), SHIFT))
		{
			TH_LOG("0x%llx", (unsigned long long)places[i]);
		}
	}
}

TEST_F(kernel, lists_of_another_form_are_refused)
{
	const uint32_t one[] = {0, (uint32_t)VADDR(TEXT_PADDR)}, four[] = {0, 0, 0, 0};
	const uint32_t headless[] = {(uint32_t)VADDR(TEXT_PADDR), 0, 0};
	const uint8_t *bytes = (const uint8_t *)four;

	ASSERT_EQ(0, flatten(self));
	EXPECT_EQ(-ENOEXEC, unpack__relocate(self->flat, &self->layout, (const uint8_t *)one,
					     sizeof(one), SHIFT));
	EXPECT_EQ(-ENOEXEC, unpack__relocate(self->flat, &self->layout, bytes, 16, SHIFT));
	EXPECT_EQ(-ENOEXEC, unpack__relocate(self->flat, &self->layout, bytes, 15, SHIFT));
	EXPECT_EQ(-ENOEXEC, unpack__relocate(self->flat, &self->layout, (const uint8_t *)headless,
					     sizeof(headless), SHIFT));
}

/* Whatever a byte of the headers is: refused, or within bounds (the sanitizers look). */
TEST_F(kernel, no_damage_leads_outside)
{
	uint8_t *bytes = (uint8_t *)self->image;
	size_t refused = 0;

	for (size_t i = 0; i < offsetof(struct image, text); i++) {
		static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

		for (size_t v = 0; v < sizeof(values); v++) {
			uint8_t saved = bytes[i];

			bytes[i] = values[v];
			self->flat = NULL;
			if (flatten(self))
				refused++;
			else
				unpack__relocate(self->flat, &self->layout, bytes + self->elf_end,
						 (sizeof(*self->image) - self->elf_end) & ~3ul,
						 SHIFT);
			free(self->flat);
			self->flat = NULL;
			bytes[i] = saved;
		}
	}
	EXPECT_GT(refused, 100);
	for (size_t length = 0; length < offsetof(struct image, relocs); length += 7)
		EXPECT_EQ(-ENOEXEC, unpack__flatten(bytes, length, &self->flat, &self->layout,
						    &self->elf_end));
}

/* ---- a whole bzImage, by way of the cache ---- */

static bool put_header(int fd, const struct setup_header *hdr)
{
	return pwrite(fd, hdr, sizeof(*hdr), 0x1f1) == (ssize_t)sizeof(*hdr);
}

/* gzip: the one packing whose library is linked in. Returns a descriptor. */
static int make_bzimage(const struct image *image, size_t length, struct setup_header *hdr)
{
	char command[] = "/tmp/ktstr-unpack-XXXXXX", shell[128];
	static uint8_t packed[65536];
	int fd = mkstemp(command), bz = memfd_create("bzImage", 0);
	size_t n;
	FILE *f;

	if (write(fd, image, length) != (ssize_t)length)
		return -1;
	close(fd);
	snprintf(shell, sizeof(shell), "gzip -9 -c <%s", command);
	f = popen(shell, "r");
	n = fread(packed, 1, sizeof(packed), f);
	pclose(f);
	unlink(command);
	*hdr = (struct setup_header){.setup_sects = 1,
				     .header = 0x53726448, /* "HdrS" */
				     .version = 0x020f,
				     .payload_offset = 16,
				     .payload_length = (uint32_t)n,
				     .init_size = 0x10000,
				     .kernel_alignment = 0x200000};
	return put_header(bz, hdr) && pwrite(bz, packed, n, 2 * 512 + 16) == (ssize_t)n ? bz : -1;
}

FIXTURE(cache)
{
	char dir[40];
	struct image *image;
	struct setup_header hdr;
	struct unpacked unpacked;
	int fd;
};

FIXTURE_SETUP(cache)
{
	strcpy(self->dir, "/tmp/ktstr-unpack-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	setenv("KTSTR_CACHE", self->dir, 1);
	unsetenv("KTSTR_SCRATCH");
	self->image = malloc(sizeof(*self->image));
	make_image(self->image);
	two_lists(self->image->relocs);
	self->fd = make_bzimage(self->image, offsetof(struct image, relocs) + 16, &self->hdr);
	ASSERT_GE(self->fd, 0);
	self->unpacked.fd = -1;
}

FIXTURE_TEARDOWN(cache)
{
	char command[80];

	unpack__close(&self->unpacked);
	close(self->fd);
	free(self->image);
	snprintf(command, sizeof(command), "rm -rf %s", self->dir);
	EXPECT_EQ(0, system(command));
}

static uint64_t pointer_in(const struct unpacked *u)
{
	uint64_t wide = 0;

	return pread(u->fd, &wide, sizeof(wide), 0x10) == sizeof(wide) ? wide : 0;
}

TEST_F(cache, all_of_an_hour_have_one_random_address)
{
	struct unpacked again;
	uint64_t shift;

	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, true, &self->unpacked));
	shift = self->unpacked.layout.shift;
	EXPECT_EQ(0, shift % self->hdr.kernel_alignment);
	EXPECT_GT(UINT64_C(1) << 30, shift + TEXT_PADDR + self->hdr.init_size);
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123) + shift, pointer_in(&self->unpacked));
	EXPECT_EQ(TEXT_PADDR + self->hdr.init_size, self->unpacked.layout.end);
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, true, &again));
	EXPECT_EQ(shift, again.layout.shift);
	EXPECT_EQ(pointer_in(&self->unpacked), pointer_in(&again));
	unpack__close(&again);
}

TEST_F(cache, addresses_differ_from_one_to_the_next)
{
	uint64_t first = 0;
	int others = 0;
	char command[80];

	snprintf(command, sizeof(command), "rm -r %s/*", self->dir);
	for (int i = 0; i < 6; i++) {
		ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, true, &self->unpacked));
		if (!i)
			first = self->unpacked.layout.shift;
		others += self->unpacked.layout.shift != first;
		unpack__close(&self->unpacked);
		ASSERT_EQ(0, system(command));
	}
	EXPECT_GT(others, 0); /* 500 places: five of five the same, once in 10^13 */
}

TEST_F(cache, without_random_it_lies_as_it_was_linked)
{
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	EXPECT_EQ(0, self->unpacked.layout.shift);
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&self->unpacked));
}

TEST_F(cache, a_damaged_entry_is_made_anew)
{
	char command[160];

	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	unpack__close(&self->unpacked);
	snprintf(command, sizeof(command),
		 "for f in %s/unpacked-kernels/*; do truncate -s -1 $f; done", self->dir);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&self->unpacked));
	EXPECT_NE('\0', self->unpacked.damaged[0]);
}

/* The path of the one kernel in the cache. */
static void find_entry(FIXTURE_DATA(cache) * self, char path[PATH_MAX])
{
	char dir[80];
	struct dirent *entry;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/unpacked-kernels", self->dir);
	d = opendir(dir);
	while (d && (entry = readdir(d)))
		if (entry->d_name[0] != '.' && !strstr(entry->d_name, ".checked"))
			snprintf(path, PATH_MAX, "%s/%s", dir, entry->d_name);
	closedir(d);
}

/* As a disk does it: @path's content changes at @offset. */
static bool flip_bit(const char *path, off_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;
	bool ok = pread(fd, &byte, 1, offset) == 1;

	byte ^= 4;
	ok = ok && pwrite(fd, &byte, 1, offset) == 1;
	close(fd);
	return ok;
}

/* Nobody writes to the pipe, and the link leads to what would do. */
TEST_F(cache, what_is_no_file_is_replaced_at_once)
{
	char path[PATH_MAX], command[2 * PATH_MAX + 200];
	struct stat st;

	for (int link = 0; link < 2; link++) {
		ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
		unpack__close(&self->unpacked);
		find_entry(self, path);
		snprintf(command, sizeof(command), "f=%s; mv $f %s/k; %s $f", path, self->dir,
			 link ? "ln -s ../k" : "mkfifo");
		ASSERT_EQ(0, system(command));
		ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
		EXPECT_NE('\0', self->unpacked.damaged[0]);
		EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&self->unpacked));
		unpack__close(&self->unpacked);
		ASSERT_EQ(0, lstat(path, &st));
		EXPECT_TRUE(S_ISREG(st.st_mode));
	}
}

TEST_F(cache, a_flipped_bit_anywhere_is_found_said_once_and_made_good)
{
	const off_t places[] = {0,
				0x10,
				TEXT_SIZE,
				0x3000 + DATA_SIZE - 1,
				0x3000 + DATA_SIZE,
				0x3000 + DATA_SIZE + 20,
				0x3000 + DATA_SIZE + 60};
	char path[PATH_MAX];

	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	EXPECT_EQ('\0', self->unpacked.damaged[0]);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct unpacked again;
		uint8_t byte = 0;

		find_entry(self, path);
		ASSERT_TRUE(flip_bit(path, places[i]));
		ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &again));
		EXPECT_STREQ(path, again.damaged) TH_LOG("%lld", (long long)places[i]);
		EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&again));
		EXPECT_EQ(1, pread(again.fd, &byte, 1, 0));
		EXPECT_EQ(0x90, byte);
		unpack__close(&again);
		ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &again));
		EXPECT_EQ('\0', again.damaged[0]);
		unpack__close(&again);
	}
}

TEST_F(cache, a_bit_that_flips_after_the_check_is_found)
{
	char path[PATH_MAX], note[PATH_MAX + 16];

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
		unpack__close(&self->unpacked);
		usleep(150000); /* longer than what was just written is not noted */
	}
	find_entry(self, path);
	snprintf(note, sizeof(note), "%s.checked", path);
	ASSERT_EQ(0, access(note, R_OK));
	ASSERT_TRUE(flip_bit(path, 0x10));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	EXPECT_STREQ(path, self->unpacked.damaged);
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&self->unpacked));
}

TEST_F(cache, notes_go_with_their_kernels_and_take_no_place_of_them)
{
	char command[200];

	/* six kernels are kept */
	snprintf(command, sizeof(command),
		 "mkdir %s/unpacked-kernels; cd %s/unpacked-kernels; "
		 "touch a b c d e a.checked b.checked; touch -d '-2 hours' old.checked",
		 self->dir, self->dir);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	snprintf(command, sizeof(command),
		 "cd %s/unpacked-kernels; [ $(ls | wc -l) = 8 ] && [ ! -e old.checked ]",
		 self->dir);
	EXPECT_EQ(0, system(command));
}

/* ---- where there is no cache to write to ---- */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

/* A file system of its own in @dir, for this process. */
static bool mount_tmpfs(const char *dir, const char *options)
{
	uid_t uid = geteuid();
	char map[32];

	if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	return (!uid || write_text("/proc/self/uid_map", map)) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("cache", dir, "tmpfs", 0, options);
}

static int nr_entries(const char *dir)
{
	DIR *d = opendir(dir);
	int nr = -2;

	while (d && readdir(d))
		nr++;
	closedir(d);
	return nr;
}

TEST_F(cache, a_full_disk_is_no_reason_to_let_the_guest_unpack)
{
	char dir[80];

	ASSERT_TRUE(mount_tmpfs(self->dir, "size=8k")); /* the kernel has 13 KiB */
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, true, &self->unpacked));
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123) + self->unpacked.layout.shift,
		  pointer_in(&self->unpacked));
	EXPECT_EQ('\0', self->unpacked.damaged[0]);
	snprintf(dir, sizeof(dir), "%s/unpacked-kernels", self->dir);
	EXPECT_EQ(0, nr_entries(dir));
	ASSERT_EQ(0, umount2(self->dir, MNT_DETACH));
}

TEST_F(cache, a_read_only_cache_is_used_as_far_as_it_is_right)
{
	char path[PATH_MAX];
	struct unpacked again;
	struct stat cached, used;

	ASSERT_TRUE(mount_tmpfs(self->dir, "size=1m"));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	unpack__close(&self->unpacked);
	find_entry(self, path);
	ASSERT_EQ(0, stat(path, &cached));
	ASSERT_EQ(0, mount(NULL, self->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &again));
	ASSERT_EQ(0, fstat(again.fd, &used));
	EXPECT_EQ(cached.st_ino, used.st_ino);
	unpack__close(&again);

	ASSERT_EQ(0, mount(NULL, self->dir, NULL, MS_REMOUNT, NULL));
	ASSERT_TRUE(flip_bit(path, 0x10));
	ASSERT_EQ(0, mount(NULL, self->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &again));
	EXPECT_STREQ(path, again.damaged);
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&again));
	unpack__close(&again);
	ASSERT_EQ(0, umount2(self->dir, MNT_DETACH));
}

TEST_F(cache, without_a_cache_each_has_a_kernel_of_its_own)
{
	struct unpacked again;

	setenv("KTSTR_CACHE", "/proc/version/cache", 1);
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &again));
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&self->unpacked));
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&again));
	unpack__close(&again);
}

TEST_F(cache, what_cannot_be_removed_holds_nobody_up)
{
	char command[160];

	/* more than are kept, and directories, which are not unlinked */
	snprintf(command, sizeof(command),
		 "for d in a b c d e f g h; do mkdir -p %s/unpacked-kernels/$d/x; done", self->dir);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	EXPECT_EQ(VADDR(TEXT_PADDR + 0x123), pointer_in(&self->unpacked));
}

TEST_F(cache, an_address_is_shared_for_an_hour_alone)
{
	struct stat before, after;
	struct unpacked again;
	char command[160];

	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, true, &self->unpacked));
	ASSERT_EQ(0, fstat(self->unpacked.fd, &before));
	snprintf(command, sizeof(command), "touch -d '-2 hours' %s/unpacked-kernels/*", self->dir);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, unpack__open(self->fd, &self->hdr, true, &again));
	ASSERT_EQ(0, fstat(again.fd, &after));
	EXPECT_NE(before.st_ino, after.st_ino);
	EXPECT_GT(60, time(NULL) - after.st_mtim.tv_sec);
	unpack__close(&again);
}

TEST_F(cache, what_it_cannot_unpack_is_left_to_the_guest)
{
	uint8_t byte = 'B';

	ASSERT_EQ(1, pwrite(self->fd, &byte, 1, 2 * 512 + 16)); /* no gzip any more */
	EXPECT_EQ(-ENOTSUP, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
	byte = 0x1f;
	ASSERT_EQ(1, pwrite(self->fd, &byte, 1, 2 * 512 + 16));
	self->hdr.version = 0x0207;
	ASSERT_TRUE(put_header(self->fd, &self->hdr));
	EXPECT_EQ(-ENOTSUP, unpack__open(self->fd, &self->hdr, false, &self->unpacked));
}

TEST_HARNESS_MAIN
