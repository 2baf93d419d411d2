// SPDX-License-Identifier: GPL-2.0-only
/* The loader: crafted and hostile bzImages and ELF kernels, e820 for each size of RAM, initramfs.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "kselftest_harness.h"

#include "initramfs/initramfs.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/vm.h"

#define MIB UINT64_C(0x100000)
#define GIB (1024 * MIB)
#define HEADER 0x1f1
#define LOAD (16 * MIB)

FIXTURE(loader)
{
	struct vm *vm;
	struct x86_vm x86;
	struct kvm_cpuid2 cpuid; /* of a CPU that has nothing */
	struct ktstr_error error;
	struct arch_payload payload;
	struct initramfs_image initramfs;
	char dir[40]; /* its cache */
};

static void give_ram(FIXTURE_DATA(loader) * self, uint64_t bytes)
{
	gmem__unmap(&self->vm->mem);
	if (gmem__layout(&self->vm->mem, bytes, NULL) || gmem__map(&self->vm->mem, NULL))
		abort();
	self->vm->kernel_end = 0;
}

FIXTURE_SETUP(loader)
{
	self->vm = calloc(1, sizeof(*self->vm));
	ASSERT_NE(NULL, self->vm);
	memset(&self->x86, 0, sizeof(self->x86));
	memset(&self->error, 0, sizeof(self->error));
	self->x86.cpuid = &self->cpuid;
	self->vm->arch_data = &self->x86;
	self->payload = (struct arch_payload){
		.kernel_fd = memfd_create("kernel", MFD_CLOEXEC),
		.kernel_path = "KERNEL",
		.cmdline = "console=ttyS0",
		.initramfs = &self->initramfs,
	};
	memset(&self->initramfs, 0, sizeof(self->initramfs));
	strcpy(self->dir, "/tmp/ktstr-boot-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	setenv("KTSTR_CACHE", self->dir, 1);
	unsetenv("KTSTR_SCRATCH");
	give_ram(self, 512 * MIB);
}

FIXTURE_TEARDOWN(loader)
{
	char command[80];

	snprintf(command, sizeof(command), "rm -rf %s", self->dir);
	EXPECT_EQ(0, system(command));
	gmem__unmap(&self->vm->mem);
	free(self->vm);
	close(self->payload.kernel_fd);
	initramfs_image__close(&self->initramfs);
}

static int load(FIXTURE_DATA(loader) * self)
{
	memset(&self->error, 0, sizeof(self->error));
	self->vm->kernel_end = 0;
	return x86_boot__load_kernel(self->vm, &self->payload, &self->error);
}

static int load_initramfs(FIXTURE_DATA(loader) * self)
{
	memset(&self->error, 0, sizeof(self->error));
	return x86_boot__load_initramfs(self->vm, &self->payload, &self->error);
}

static const struct boot_params *params(FIXTURE_DATA(loader) * self)
{
	return gmem__ptr(&self->vm->mem, X86_BOOT_PARAMS_GPA, sizeof(struct boot_params));
}

static struct setup_header good_header(void)
{
	return (struct setup_header){
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = 1,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = LOAD,
		.init_size = 8 * MIB,
	};
}

/* Two setup sectors, then @size bytes of kernel: 'K' and its place. */
static void put_bzimage(FIXTURE_DATA(loader) * self, const struct setup_header *hdr, uint64_t size)
{
	int fd = self->payload.kernel_fd;

	if (ftruncate(fd, 0) || ftruncate(fd, (off_t)(1024 + size)) ||
	    pwrite(fd, hdr, sizeof(*hdr), HEADER) != sizeof(*hdr) ||
	    (size && pwrite(fd, "K", 1, 1024) != 1) ||
	    (size > 1 && pwrite(fd, "E", 1, (off_t)(1024 + size - 1)) != 1))
		abort();
}

TEST_F(loader, bzimage_is_entered_at_its_64_bit_entry)
{
	struct setup_header hdr = good_header();
	const struct boot_params *bp = params(self);
	uint8_t byte;
	char cmdline[32];

	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(LOAD + 0x200, self->x86.entry);
	EXPECT_EQ(LOAD + 8 * MIB, self->vm->kernel_end);
	EXPECT_EQ(0, gmem__read(&self->vm->mem, LOAD, &byte, 1));
	EXPECT_EQ('K', byte);
	EXPECT_EQ(0, gmem__read(&self->vm->mem, LOAD + 4999, &byte, 1));
	EXPECT_EQ('E', byte);
	EXPECT_EQ(0x53726448, bp->hdr.header);
	EXPECT_EQ(0xff, bp->hdr.type_of_loader);
	EXPECT_EQ(LOAD, bp->hdr.code32_start);
	EXPECT_EQ(X86_TABLES_GPA, bp->acpi_rsdp_addr);
	EXPECT_EQ(0, gmem__read(&self->vm->mem, bp->hdr.cmd_line_ptr, cmdline, sizeof(cmdline)));
	EXPECT_STREQ("console=ttyS0", cmdline);
}

TEST_F(loader, zero_setup_sectors_are_four)
{
	struct setup_header hdr = good_header();

	hdr.setup_sects = 0;
	put_bzimage(self, &hdr, 5 * 512 - 1024 + 1);
	ASSERT_EQ(0, load(self));
	put_bzimage(self, &hdr, 5 * 512 - 1024);
	EXPECT_EQ(-ENOEXEC, load(self));
}

TEST_F(loader, hostile_bzimages_are_refused)
{
	static const struct {
		uint64_t pref_address;
		uint32_t init_size;
		uint16_t version, xloadflags;
		uint8_t setup_sects;
		int err;
	} cases[] = {
		{LOAD, 8 << 20, 0x020b, XLF_KERNEL_64, 1, -ENOEXEC},
		{LOAD, 8 << 20, 0x020f, 0, 1, -ENOEXEC},
		{LOAD, 8 << 20, 0x020f, XLF_KERNEL_64, 255, -ENOEXEC},
		{0, 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{0xfffff, 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{UINT64_MAX, 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{UINT64_MAX - (8 << 20), 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{4 * GIB, 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{4 * GIB - 1, 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{LOAD, UINT32_MAX, 0x020f, XLF_KERNEL_64, 1, -ENOEXEC},
		{505 * MIB, 8 << 20, 0x020f, XLF_KERNEL_64, 1, -ENOMEM},
		{LOAD, UINT32_C(497) << 20, 0x020f, XLF_KERNEL_64, 1, -ENOMEM},
		{504 * MIB, 8 << 20, 0x020f, XLF_KERNEL_64, 1, 0},
		{LOAD, 0, 0x020f, XLF_KERNEL_64, 1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setup_header hdr = good_header();

		hdr.pref_address = cases[i].pref_address;
		hdr.init_size = cases[i].init_size;
		hdr.version = cases[i].version;
		hdr.xloadflags = cases[i].xloadflags;
		hdr.setup_sects = cases[i].setup_sects;
		put_bzimage(self, &hdr, 5000);
		EXPECT_EQ(cases[i].err, load(self))
		{
			TH_LOG("case %zu", i);
		}
		EXPECT_EQ(-cases[i].err, self->error.err);
	}
}

TEST_F(loader, too_little_memory_is_named_in_mib)
{
	struct setup_header hdr = good_header();

	give_ram(self, 20 * MIB);
	put_bzimage(self, &hdr, 5000);
	EXPECT_EQ(-ENOMEM, load(self));
	EXPECT_STREQ("20 MiB are too little: kernel and initramfs need 34 MiB", self->error.reason);
	EXPECT_NE('\0', self->error.hint[0]);
}

TEST_F(loader, what_is_no_kernel_is_refused)
{
	static const char *const texts[] = {"", "M", "MZ", "\177ELF", "no kernel at all"};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fd = self->payload.kernel_fd;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ASSERT_EQ(0, ftruncate(fd, 0));
		ASSERT_EQ((ssize_t)strlen(texts[i]), pwrite(fd, texts[i], strlen(texts[i]), 0));
		EXPECT_EQ(-ENOEXEC, load(self));
		EXPECT_STREQ("KERNEL", self->error.object);
	}
	self->payload.kernel_fd = null;
	EXPECT_EQ(-ENOEXEC, load(self));
	self->payload.kernel_fd = fd;
	close(null);
}

TEST_F(loader, long_command_lines_are_refused_by_the_kernels_limit)
{
	struct setup_header hdr = good_header();

	hdr.cmdline_size = 12;
	put_bzimage(self, &hdr, 5000);
	EXPECT_EQ(-E2BIG, load(self));
	hdr.cmdline_size = 13;
	put_bzimage(self, &hdr, 5000);
	EXPECT_EQ(0, load(self));
}

/* ---- ELF ---- */

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	uint8_t text[64];
};

static struct elf good_elf(void)
{
	struct elf elf = {
		.eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_entry = LOAD + 0x10,
		       .e_phoff = offsetof(struct elf, ph),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 2},
		.ph = {{.p_type = PT_LOAD,
			.p_offset = offsetof(struct elf, text),
			.p_paddr = LOAD,
			.p_filesz = 64,
			.p_memsz = 4096},
		       {.p_type = PT_NOTE,
			.p_offset = UINT64_MAX,
			.p_paddr = UINT64_MAX,
			.p_filesz = UINT64_MAX}},
		.text = "code",
	};

	return elf;
}

static void put_elf(FIXTURE_DATA(loader) * self, const struct elf *elf)
{
	if (ftruncate(self->payload.kernel_fd, 0) ||
	    pwrite(self->payload.kernel_fd, elf, sizeof(*elf), 0) != sizeof(*elf))
		abort();
}

TEST_F(loader, elf_is_entered_where_it_says)
{
	struct elf elf = good_elf();
	char text[5] = "";

	put_elf(self, &elf);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(LOAD + 0x10, self->x86.entry);
	EXPECT_EQ(LOAD + 4096, self->vm->kernel_end);
	EXPECT_EQ(0, gmem__read(&self->vm->mem, LOAD, text, 5));
	EXPECT_STREQ("code", text);
	EXPECT_EQ(0x53726448, params(self)->hdr.header);
	EXPECT_LE(0x020c, params(self)->hdr.version);
}

#define HOSTILE(change, expected)               \
	do {                                    \
		struct elf elf = good_elf();    \
		change;                         \
		put_elf(self, &elf);            \
		EXPECT_EQ(expected, load(self)) \
		{                               \
			TH_LOG("%s", #change);  \
		}                               \
	} while (0)

TEST_F(loader, hostile_elf_files_are_refused)
{
	HOSTILE(elf.eh.e_ident[EI_CLASS] = ELFCLASS32, -ENOEXEC);
	HOSTILE(elf.eh.e_machine = EM_AARCH64, -ENOEXEC);
	HOSTILE(elf.eh.e_type = ET_REL, -ENOEXEC);
	HOSTILE(elf.eh.e_phnum = 0, -ENOEXEC);
	HOSTILE(elf.eh.e_phnum = 65, -ENOEXEC);
	HOSTILE(elf.eh.e_phnum = 64, -ENOEXEC); /* more than the file holds */
	HOSTILE(elf.eh.e_phentsize = 32, -ENOEXEC);
	HOSTILE(elf.eh.e_phoff = UINT64_MAX, -ENOEXEC);
	HOSTILE(elf.eh.e_phoff = sizeof(elf), -ENOEXEC);
	HOSTILE(elf.ph[0].p_type = PT_NOTE, -ENOEXEC); /* nothing to load */
	HOSTILE(elf.ph[0].p_filesz = 5000, -ENOEXEC);
	HOSTILE(elf.ph[0].p_paddr = 0, -ENOEXEC);
	HOSTILE(elf.ph[0].p_paddr = 0xfffff, -ENOEXEC);
	HOSTILE(elf.ph[0].p_paddr = UINT64_MAX, -ENOEXEC);
	HOSTILE(elf.ph[0].p_memsz = UINT64_MAX, -ENOEXEC);
	HOSTILE(elf.ph[0].p_memsz = UINT64_MAX - LOAD + 1, -ENOEXEC);
	HOSTILE(elf.ph[0].p_offset = UINT64_MAX, -ENOEXEC);
	HOSTILE(elf.ph[0].p_offset = INT64_MAX, -ENOEXEC);
	HOSTILE(elf.ph[0].p_offset = sizeof(elf) - 63, -ENOEXEC); /* ends past the file */
	HOSTILE(elf.ph[0].p_paddr = 512 * MIB - 4095, -ENOMEM);
	HOSTILE(elf.ph[0].p_memsz = 496 * MIB + 1, -ENOMEM);
	HOSTILE(elf.eh.e_entry = UINT64_MAX, -ENOEXEC);
	HOSTILE(elf.eh.e_entry = 512 * MIB, -ENOEXEC);
	HOSTILE(elf.ph[0].p_memsz = 496 * MIB, 0);
	/* A segment without memory is nowhere. */
	HOSTILE((elf.ph[1].p_type = PT_LOAD, elf.ph[1].p_memsz = elf.ph[1].p_filesz = 0), 0);
}

/* With RAM above 4 GiB a kernel there would be in RAM, but not where it can be entered. */
TEST_F(loader, kernels_above_4_gib_are_refused)
{
	struct setup_header hdr = good_header();
	struct elf elf = good_elf();

	give_ram(self, 5 * GIB);
	hdr.pref_address = 4 * GIB;
	put_bzimage(self, &hdr, 5000);
	EXPECT_EQ(-ENOEXEC, load(self));

	elf.ph[0].p_paddr = 4 * GIB;
	put_elf(self, &elf);
	EXPECT_EQ(-ENOEXEC, load(self));
	elf = good_elf();
	elf.eh.e_entry = 4 * GIB;
	put_elf(self, &elf);
	EXPECT_EQ(-ENOEXEC, load(self));
}

/* ---- random addresses ---- */

/* A bzImage of which the payload is good_elf(), with @relocs bytes of 0 as its relocations. */
static void put_packed(FIXTURE_DATA(loader) * self, size_t relocs)
{
	struct setup_header hdr = good_header();
	struct elf elf = good_elf();
	uint8_t plain[sizeof(elf) + 16] = {0}, packed[4096];
	z_stream stream = {.next_in = plain,
			   .avail_in = (uInt)(sizeof(elf) + relocs),
			   .next_out = packed,
			   .avail_out = sizeof(packed)};

	memcpy(plain, &elf, sizeof(elf));
	if (deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&stream, Z_FINISH) != Z_STREAM_END)
		abort();
	deflateEnd(&stream);
	hdr.payload_offset = 100;
	hdr.payload_length = (uint32_t)stream.total_out;
	/* Of another size: in one tick of the clock the cache would take it for the same file. */
	put_bzimage(self, &hdr, 5000 + relocs);
	if (pwrite(self->payload.kernel_fd, packed, stream.total_out, 1024 + 100) !=
	    (ssize_t)stream.total_out)
		abort();
}

/* What the kernel is told, and what the run's result says. */
static bool kernel_knows(FIXTURE_DATA(loader) * self)
{
	return params(self)->hdr.loadflags & KASLR_FLAG;
}

TEST_F(loader, images_that_can_be_moved_are_and_others_are_told_apart)
{
	struct setup_header plain = good_header();
	struct elf elf = good_elf();

	put_packed(self, 8); /* two lists, with nothing in them */
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_ON, self->vm->kaslr);
	EXPECT_TRUE(kernel_knows(self));
	put_packed(self, 0);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_NO_RELOCATIONS, self->vm->kaslr);
	EXPECT_FALSE(kernel_knows(self));
	put_elf(self, &elf);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_NO_RELOCATIONS, self->vm->kaslr);
	EXPECT_FALSE(kernel_knows(self));
	put_bzimage(self, &plain, 5000); /* no payload to be found */
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_GUEST, self->vm->kaslr);
	EXPECT_FALSE(kernel_knows(self));
}

TEST_F(loader, nokaslr_is_why_whatever_the_image_is)
{
	struct setup_header plain = good_header();
	struct elf elf = good_elf();

	self->payload.cmdline = "quiet nokaslr";
	put_packed(self, 8);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_ASKED_OFF, self->vm->kaslr);
	EXPECT_FALSE(kernel_knows(self));
	put_elf(self, &elf);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_ASKED_OFF, self->vm->kaslr);
	put_bzimage(self, &plain, 5000);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_ASKED_OFF, self->vm->kaslr);
	self->payload.cmdline = "quiet nokaslr2";
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(KTSTR_KASLR_GUEST, self->vm->kaslr);
}

TEST_F(loader, a_damaged_kernel_of_the_cache_is_told_and_not_used)
{
	char command[200], text[5] = "";

	put_packed(self, 0);
	ASSERT_EQ(0, load(self));
	EXPECT_STREQ("", self->vm->cache_problem);
	snprintf(command, sizeof(command),
		 "printf X | dd of=\"$(echo %s/unpacked-kernels/*)\" conv=notrunc status=none",
		 self->dir);
	ASSERT_EQ(0, system(command));
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(0, gmem__read(&self->vm->mem, LOAD, text, 5));
	EXPECT_STREQ("code", text);
	EXPECT_NE(NULL, strstr(self->vm->cache_problem, self->dir));
	EXPECT_NE(NULL, strstr(self->vm->cache_problem, "was damaged"));
}

/* ---- RAM ---- */

TEST_F(loader, e820_names_all_ram_and_nothing_else)
{
	static const uint64_t sizes[] = {512 * MIB, 2 * GIB, 3 * GIB, 3584 * MIB,
					 4 * GIB,   5 * GIB, 8 * GIB};
	struct setup_header hdr = good_header();

	put_bzimage(self, &hdr, 5000);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct boot_params *bp;
		uint64_t ram = 0, last = 0;

		give_ram(self, sizes[i]);
		ASSERT_EQ(0, load(self));
		bp = params(self);
		for (uint32_t n = 0; n < bp->e820_entries; n++) {
			const struct boot_e820_entry *e = &bp->e820_table[n];

			EXPECT_LE(last, e->addr); /* sorted, without overlap */
			last = e->addr + e->size;
			if (e->type != 1)
				continue;
			ram += e->size;
			EXPECT_NE(NULL, gmem__ptr(&self->vm->mem, e->addr, e->size));
			/* Not what the tables and the BIOS area need. */
			EXPECT_TRUE(last <= X86_LOW_RAM_END || e->addr >= X86_HIGH_RAM_GPA);
		}
		/* All but the end of the first MiB. */
		EXPECT_EQ(sizes[i] - (X86_HIGH_RAM_GPA - X86_LOW_RAM_END), ram);
		EXPECT_EQ(sizes[i] > 3 * GIB ? sizes[i] + GIB : sizes[i], last);
	}
}

/* ---- initramfs ---- */

static void put_initramfs(FIXTURE_DATA(loader) * self, uint64_t size, uint64_t unpacked)
{
	int fd = memfd_create("initramfs", MFD_CLOEXEC);

	initramfs_image__close(&self->initramfs);
	if (ftruncate(fd, (off_t)(size < MIB * 1024 ? size : 0)) ||
	    (size && pwrite(fd, "I", 1, 0) != 1) ||
	    initramfs_image__of_file(&self->initramfs, fd, size))
		abort();
	self->initramfs.unpacked = unpacked;
	self->payload.run_config = "CONFIG12";
	self->payload.run_config_size = 8;
}

TEST_F(loader, initramfs_lies_high_and_ends_with_the_configuration)
{
	struct setup_header hdr = good_header();
	const struct boot_params *bp = params(self);
	uint8_t byte = 0;
	char config[9] = "";

	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	put_initramfs(self, 3 * MIB, 4 * MIB);
	ASSERT_EQ(0, load_initramfs(self));
	EXPECT_EQ(3 * MIB + 8, bp->hdr.ramdisk_size);
	EXPECT_EQ(0, bp->hdr.ramdisk_image % 4096);
	EXPECT_LT(508 * MIB, bp->hdr.ramdisk_image);
	EXPECT_GE(512 * MIB, (uint64_t)bp->hdr.ramdisk_image + bp->hdr.ramdisk_size);
	EXPECT_EQ(0, gmem__read(&self->vm->mem, bp->hdr.ramdisk_image, &byte, 1));
	EXPECT_EQ('I', byte);
	EXPECT_EQ(0, gmem__read(&self->vm->mem, bp->hdr.ramdisk_image + 3 * MIB, config, 8));
	EXPECT_STREQ("CONFIG12", config);
}

TEST_F(loader, keeps_off_tables_at_the_top_of_low_ram)
{
	struct setup_header hdr = good_header();
	const struct boot_params *bp;
	uint64_t tables = 0, ram = 0;

	for (int i = 0; i < 2; i++) {
		uint64_t end = i ? 3 * GIB : 512 * MIB;

		give_ram(self, i ? 5 * GIB : end);
		self->x86.high_tables = end - 188 * 1024;
		hdr.initrd_addr_max = UINT32_MAX;
		put_bzimage(self, &hdr, 5000);
		ASSERT_EQ(0, load(self));
		bp = params(self);
		EXPECT_EQ(self->x86.high_tables, bp->acpi_rsdp_addr);
		tables = ram = 0;
		for (uint32_t n = 0; n < bp->e820_entries; n++) {
			const struct boot_e820_entry *e = &bp->e820_table[n];

			if (e->type == 1)
				ram += e->size;
			if (e->type != 3)
				continue;
			tables++;
			EXPECT_EQ(self->x86.high_tables, e->addr);
			EXPECT_EQ(188 * 1024, e->size);
		}
		EXPECT_EQ(1, tables);
		EXPECT_EQ((i ? 5 * GIB : end) - (X86_HIGH_RAM_GPA - X86_LOW_RAM_END) - 188 * 1024,
			  ram);
		put_initramfs(self, 3 * MIB, 4 * MIB);
		ASSERT_EQ(0, load_initramfs(self));
		EXPECT_GE(self->x86.high_tables,
			  (uint64_t)bp->hdr.ramdisk_image + bp->hdr.ramdisk_size);
	}
	self->x86.high_tables = LOAD + 8 * MIB;
	EXPECT_EQ(0, load(self));
	self->x86.high_tables -= 4096;
	EXPECT_EQ(-ENOMEM, load(self));
}

TEST_F(loader, initramfs_stays_below_the_kernels_limit)
{
	struct setup_header hdr = good_header();
	const struct boot_params *bp;

	give_ram(self, 5 * GIB);
	hdr.initrd_addr_max = 0x7fffffff;
	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	put_initramfs(self, 3 * MIB, 4 * MIB);
	ASSERT_EQ(0, load_initramfs(self));
	bp = params(self);
	EXPECT_GE(2 * GIB, (uint64_t)bp->hdr.ramdisk_image + bp->hdr.ramdisk_size);
	EXPECT_LT(2 * GIB - 4 * MIB, bp->hdr.ramdisk_image);
}

TEST_F(loader, initramfs_never_meets_the_kernel)
{
	struct setup_header hdr = good_header();

	hdr.initrd_addr_max = (uint32_t)(LOAD + 8 * MIB + 4095);
	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	put_initramfs(self, 4096, 4096);
	EXPECT_EQ(-ENOMEM, load_initramfs(self));
	put_initramfs(self, 4088, 4096);
	EXPECT_EQ(0, load_initramfs(self));
	hdr.initrd_addr_max = 0;
	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(-ENOMEM, load_initramfs(self));
	hdr.initrd_addr_max = UINT32_MAX;
	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	EXPECT_EQ(0, load_initramfs(self));
}

TEST_F(loader, memory_that_the_initramfs_needs_is_named)
{
	struct setup_header hdr = good_header();
	const struct {
		uint32_t cpus;
		uint64_t archive_mib, unpacked_mib, need_mib;
	} cases[] = {
		/* kernel 8, first 1, archive, content and as much beside it, 1/64 for struct page
		 */
		{1, 20, 60, 152},
		/* little content: 24 and 1/2 a CPU for the kernel itself */
		{2, 1, 10, 46},
		{64, 1, 10, 78},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char reason[80];

		give_ram(self, (cases[i].need_mib - 1) * MIB);
		self->vm->layout.nr_cpus = cases[i].cpus;
		put_bzimage(self, &hdr, 5000);
		ASSERT_EQ(0, load(self));
		put_initramfs(self, cases[i].archive_mib * MIB, cases[i].unpacked_mib * MIB);
		EXPECT_EQ(-ENOMEM, load_initramfs(self));
		snprintf(reason, sizeof(reason),
			 "%llu MiB are too little: kernel and initramfs need %llu MiB",
			 (unsigned long long)cases[i].need_mib - 1,
			 (unsigned long long)cases[i].need_mib);
		EXPECT_STREQ(reason, self->error.reason);
		give_ram(self, cases[i].need_mib * MIB);
		ASSERT_EQ(0, load(self));
		EXPECT_EQ(0, load_initramfs(self));
	}
}

TEST_F(loader, hostile_initramfs_sizes_are_refused)
{
	struct setup_header hdr = good_header();

	put_bzimage(self, &hdr, 5000);
	ASSERT_EQ(0, load(self));
	put_initramfs(self, 4096, 4096);
	self->initramfs.size = UINT64_MAX;
	EXPECT_EQ(-EFBIG, load_initramfs(self));
	self->initramfs.size = UINT64_MAX - 8;
	EXPECT_EQ(-EFBIG, load_initramfs(self));
	self->initramfs.size = self->initramfs.segments[0].length = 8192; /* longer than the file */
	EXPECT_EQ(-ENOEXEC, load_initramfs(self));
	self->initramfs.size = 4096;
	self->initramfs.unpacked = UINT64_MAX;
	EXPECT_EQ(-EFBIG, load_initramfs(self));
	self->initramfs.unpacked = UINT64_C(1) << 40;
	EXPECT_EQ(-ENOMEM, load_initramfs(self));
}

TEST_HARNESS_MAIN
