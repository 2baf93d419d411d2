// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names for addresses: the table, its three sources on files made here, damaged ones, and the real
 * kernel's own table against its exported symbols, which the kernel keeps in another form.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/arch/arch.h"
#include "vmm/kernel.h"
#include "vmm/symbols.h"

#define BASE UINT64_C(0xffffffff81000000)

static int file_of(const void *data, size_t length)
{
	int fd = memfd_create("symbols", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, length) != (ssize_t)length) {
		close(fd);
		return -1;
	}
	return fd;
}

static void add(struct symbols *s, uint64_t address, const char *name, uint8_t rank)
{
	if (symbols__add(s, address, name, strlen(name), rank))
		abort();
}

static const char *place(const struct symbols *s, uint64_t address, char buf[SYMBOLS_PLACE_MAX])
{
	symbols__place(s, address, buf, SYMBOLS_PLACE_MAX);
	return buf;
}

/* ---- The table ---- */

TEST(place_is_name_and_offset_or_the_number)
{
	char buf[SYMBOLS_PLACE_MAX];
	struct symbols *s;

	ASSERT_EQ(0, symbols__create(&s));
	add(s, BASE + 0x300, "_end", 0);
	add(s, BASE, "first", 0);
	add(s, BASE + 0x100, "second", 0);
	symbols__sort(s);
	EXPECT_STREQ("first+0x0", place(s, BASE, buf));
	EXPECT_STREQ("first+0xff", place(s, BASE + 0xff, buf));
	EXPECT_STREQ("second+0x0", place(s, BASE + 0x100, buf));
	EXPECT_STREQ("second+0x1ff", place(s, BASE + 0x2ff, buf));
	EXPECT_STREQ("0xffffffff81000300", place(s, BASE + 0x300, buf));
	EXPECT_STREQ("0xffffffffc0000000", place(s, UINT64_C(0xffffffffc0000000), buf));
	EXPECT_STREQ("0xffffffff80ffffff", place(s, BASE - 1, buf));
	EXPECT_STREQ("0x10", place(NULL, 0x10, buf));
	symbols__destroy(s);
}

TEST(of_aliases_the_lowest_rank_is_shown_then_the_first)
{
	char buf[SYMBOLS_PLACE_MAX];
	uint64_t address;
	struct symbols *s;

	ASSERT_EQ(0, symbols__create(&s));
	add(s, BASE, "label", 4);
	add(s, BASE, "function", 0);
	add(s, BASE, "alias", 0);
	add(s, BASE + 8, "_end", 0);
	add(s, 0x1000, "per_cpu", 0);
	symbols__sort(s);
	EXPECT_STREQ("function+0x4", place(s, BASE + 4, buf));
	EXPECT_TRUE(symbols__find(s, "alias", &address));
	EXPECT_EQ(BASE, address);
	EXPECT_FALSE(symbols__find(s, "per_cpu", &address));
	EXPECT_EQ(4, symbols__count(s));
	symbols__destroy(s);
}

TEST(names_that_a_terminal_would_act_on_are_refused)
{
	char name[SYMBOLS_NAME_MAX + 1];
	struct symbols *s;

	memset(name, 'x', sizeof(name));
	ASSERT_EQ(0, symbols__create(&s));
	EXPECT_EQ(-EINVAL, symbols__add(s, BASE, "a\033[2J", 5, 0));
	EXPECT_EQ(-EINVAL, symbols__add(s, BASE, "a b", 3, 0));
	EXPECT_EQ(-EINVAL, symbols__add(s, BASE, "", 0, 0));
	EXPECT_EQ(-EINVAL, symbols__add(s, BASE, name, SYMBOLS_NAME_MAX, 0));
	EXPECT_EQ(0, symbols__add(s, BASE, name, SYMBOLS_NAME_MAX - 1, 0));
	symbols__destroy(s);
}

/* ---- .symtab ---- */

struct elf_symbol {
	const char *name;
	uint64_t address;
	unsigned char info;
	uint16_t section;
};

static const struct elf_symbol elf_symbols[] = {
	{"marker", BASE + 0x40, GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE), 1},
	{"function", BASE + 0x40, GELF_ST_INFO(STB_LOCAL, STT_FUNC), 1},
	{"entry", BASE + 0x80, GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE), 1},
	{".Llabel", BASE + 0x90, GELF_ST_INFO(STB_LOCAL, STT_NOTYPE), 1},
	{"file.c", BASE + 0x90, GELF_ST_INFO(STB_LOCAL, STT_FILE), 1},
	{"constant", BASE + 0x98, GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE), SHN_ABS},
	{"undefined", BASE + 0x98, GELF_ST_INFO(STB_GLOBAL, STT_FUNC), SHN_UNDEF},
	{"_end", BASE + 0x100, GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE), 1},
};

#define NR_ELF_SYMBOLS (sizeof(elf_symbols) / sizeof(elf_symbols[0]))

static Elf_Scn *add_section(Elf *elf, GElf_Word type, void *data, size_t size, Elf_Type of)
{
	Elf_Scn *scn = elf_newscn(elf);
	Elf_Data *d = elf_newdata(scn);
	GElf_Shdr header;

	*d = (Elf_Data){
		.d_buf = data, .d_type = of, .d_size = size, .d_align = 8, .d_version = EV_CURRENT};
	gelf_getshdr(scn, &header);
	header.sh_type = type;
	gelf_update_shdr(scn, &header);
	return scn;
}

/* An ELF file of elf_symbols[], written by libelf. */
static int write_elf(void)
{
	static char strings[512], text[256];
	static Elf64_Sym symtab[NR_ELF_SYMBOLS + 1];
	int fd = memfd_create("elf", MFD_CLOEXEC);
	size_t used = 1;
	GElf_Ehdr eh;
	GElf_Shdr header;
	Elf_Scn *scn;
	Elf *elf;

	for (size_t i = 0; i < NR_ELF_SYMBOLS; i++) {
		const struct elf_symbol *s = &elf_symbols[i];

		symtab[i + 1] = (Elf64_Sym){.st_name = (uint32_t)used,
					    .st_info = s->info,
					    .st_shndx = s->section,
					    .st_value = s->address};
		strcpy(strings + used, s->name);
		used += strlen(s->name) + 1;
	}
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_WRITE, NULL);
	gelf_newehdr(elf, ELFCLASS64);
	gelf_getehdr(elf, &eh);
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_type = ET_EXEC;
	eh.e_machine = EM_X86_64;
	eh.e_version = EV_CURRENT;
	gelf_update_ehdr(elf, &eh);
	add_section(elf, SHT_PROGBITS, text, sizeof(text), ELF_T_BYTE);
	add_section(elf, SHT_STRTAB, strings, used, ELF_T_BYTE);
	scn = add_section(elf, SHT_SYMTAB, symtab, sizeof(symtab), ELF_T_SYM);
	gelf_getshdr(scn, &header);
	header.sh_link = 2;
	header.sh_entsize = sizeof(symtab[0]);
	gelf_update_shdr(scn, &header);
	if (elf_update(elf, ELF_C_WRITE) < 0)
		abort();
	elf_end(elf);
	return fd;
}

TEST(symtab_of_an_elf_file)
{
	char buf[SYMBOLS_PLACE_MAX];
	struct symbols *s;
	int fd = write_elf();

	ASSERT_EQ(0, symbols__from_elf(fd, &s));
	EXPECT_EQ(4, symbols__count(s));
	EXPECT_STREQ("function+0x1", place(s, BASE + 0x41, buf));
	EXPECT_STREQ("entry+0x1f", place(s, BASE + 0x9f, buf));
	symbols__destroy(s);
	close(fd);
}

TEST(elf_file_without_symtab_has_none)
{
	struct symbols *s;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	/* A user program's symbols are in the lower half. */
	EXPECT_EQ(-ENOENT, symbols__from_elf(fd, &s));
	EXPECT_EQ(NULL, s);
	close(fd);
	fd = file_of("no ELF", 6);
	EXPECT_EQ(-ENOEXEC, symbols__from_elf(fd, &s));
	close(fd);
}

/* Of one table after the other, all of the same 24 MiB, the first is read. */
TEST(of_many_tables_of_an_elf_file_one_is_read)
{
	enum { NR = 64, BYTES = 24 << 20 };
	Elf64_Shdr headers[NR] = {{.sh_type = SHT_NULL}};
	Elf64_Ehdr eh = {.e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_shoff = sizeof(eh),
			 .e_ehsize = sizeof(eh),
			 .e_shentsize = sizeof(headers[0]),
			 .e_shnum = NR};
	struct rusage before, after;
	struct symbols *s;
	int fd = memfd_create("elf", MFD_CLOEXEC);

	memcpy(eh.e_ident, ELFMAG "\2\1\1", SELFMAG + 3);
	for (uint32_t i = 1; i < NR; i++)
		headers[i] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
					  .sh_offset = 8192,
					  .sh_size = BYTES,
					  .sh_link = 1,
					  .sh_entsize = sizeof(Elf64_Sym)};
	ASSERT_EQ(0, ftruncate(fd, 8192 + BYTES));
	ASSERT_EQ(sizeof(eh), pwrite(fd, &eh, sizeof(eh), 0));
	ASSERT_EQ(sizeof(headers), pwrite(fd, headers, sizeof(headers), sizeof(eh)));
	getrusage(RUSAGE_SELF, &before);
	EXPECT_EQ(-ENOENT, symbols__from_elf(fd, &s));
	getrusage(RUSAGE_SELF, &after);
	EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 256 << 10); /* KiB */
	close(fd);
}

/* ---- System.map ---- */

static int load_map(const char *text, struct symbols **s)
{
	int fd = file_of(text, strlen(text)), err;

	lseek(fd, 0, SEEK_SET);
	err = symbols__from_system_map(fd, s);
	close(fd);
	return err;
}

TEST(system_map_is_read_by_line)
{
	char buf[SYMBOLS_PLACE_MAX];
	struct symbols *s;

	ASSERT_EQ(0, load_map("0000000000000000 D per_cpu\n"
			      "ffffffff81000000 t startup_64\n"
			      "ffffffff81000000 T _text\n"
			      "ffffffff81000040 T next\n"
			      "ffffffff81000050 A absolute\n"
			      "ffffffff81000080 B _end",
			      &s));
	EXPECT_EQ(4, symbols__count(s));
	EXPECT_STREQ("_text+0x3f", place(s, BASE + 0x3f, buf));
	EXPECT_STREQ("next+0x10", place(s, BASE + 0x50, buf));
	symbols__destroy(s);
}

TEST(system_map_that_is_not_one_is_refused)
{
	char line[2000];
	struct symbols *s;

	EXPECT_EQ(-ENOEXEC, load_map("ffffffffffffffff B The real System.map is elsewhere\n", &s));
	EXPECT_EQ(-ENOEXEC, load_map("text\n", &s));
	EXPECT_EQ(-ENOENT, load_map("", &s));
	memset(line, 'f', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	EXPECT_EQ(-ENOEXEC, load_map(line, &s));
	memcpy(line, "ffffffff81000000 T ", 19);
	EXPECT_EQ(-ENOEXEC, load_map(line, &s));
}

/* ---- kallsyms ---- */

enum encoding { FROM_PLACE, FROM_BASE, FROM_BASE_PERCPU };

/* As scripts/kallsyms.c would write it. Tokens: each byte itself, and some that are longer. */
struct blob {
	uint8_t data[256 << 10];
	size_t length, align;
	uint64_t address;
};

static void put(struct blob *b, const void *data, size_t length)
{
	memcpy(b->data + b->length, data, length);
	b->length += length;
}

static void put32(struct blob *b, uint32_t value)
{
	put(b, &value, sizeof(value));
}

static void pad(struct blob *b)
{
	while (b->length % b->align)
		b->data[b->length++] = 0;
}

static uint64_t symbol_address(enum encoding encoding, uint32_t i)
{
	if (encoding == FROM_BASE_PERCPU && i < 3)
		return UINT64_C(0x1000) * i;
	/* Two names each; _text is at the base, where the kernel has it. */
	return BASE + UINT64_C(0x10) * (i < 4 ? 0 : (i - 4) / 2);
}

static void symbol_name(uint32_t i, char *name, size_t size)
{
	/* Every 10th is long enough for a length of two bytes. */
	snprintf(
		name, size, "%s_%u%.*s", i == 4 ? "_text" : "symbol", i, i % 10 ? 0 : 150,
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	if (i == 4)
		strcpy(name, "_text");
}

static void put_offsets(struct blob *b, enum encoding encoding, uint32_t count)
{
	pad(b);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t address = symbol_address(encoding, i);

		if (encoding == FROM_PLACE)
			put32(b, (uint32_t)(address - (b->address + b->length)));
		else if (encoding == FROM_BASE)
			put32(b, (uint32_t)(address - BASE));
		else
			put32(b,
			      address >> 63 ? (uint32_t)(BASE - 1 - address) : (uint32_t)address);
	}
	if (encoding != FROM_PLACE) {
		uint64_t base = BASE;

		pad(b);
		put(b, &base, sizeof(base));
	}
}

static void put_names(struct blob *b, uint32_t count, uint32_t *markers)
{
	size_t start;

	pad(b);
	put32(b, count);
	pad(b);
	start = b->length;
	for (uint32_t i = 0; i < count; i++) {
		char name[300];
		size_t length;

		if (i % 256 == 0)
			markers[i / 256] = (uint32_t)(b->length - start);
		symbol_name(i, name, sizeof(name));
		/* "symbol" is token 1; the type comes first */
		length = strlen(name) + 1 - (i == 4 ? 0 : 5);
		if (length > 0x7f)
			put(b, (uint8_t[]){(uint8_t)(length & 0x7f) | 0x80, (uint8_t)(length >> 7)},
			    2);
		else
			put(b, (uint8_t[]){(uint8_t)length}, 1);
		put(b, "T", 1);
		if (i != 4)
			put(b, "\1", 1);
		put(b, i == 4 ? name : name + 6, strlen(name) - (i == 4 ? 0 : 6));
	}
}

static void put_tokens(struct blob *b)
{
	uint16_t index[256];
	size_t start;

	pad(b);
	start = b->length;
	for (uint32_t i = 0; i < 256; i++) {
		char token[16] = {(char)i};

		if (i < ' ' || i > '~')
			snprintf(token, sizeof(token), i == 1 ? "symbol" : "unused%u", i);
		index[i] = (uint16_t)(b->length - start);
		put(b, token, strlen(token) + 1);
	}
	pad(b);
	put(b, index, sizeof(index));
}

static void build(struct blob *b, enum encoding encoding, bool offsets_first, uint32_t count,
		  size_t junk)
{
	uint32_t markers[64];

	*b = (struct blob){.address = BASE + 0x100000, .align = encoding == FROM_PLACE ? 4 : 8};
	for (size_t i = 0; i < junk; i++)
		b->data[b->length++] = (uint8_t)(i * 7);
	if (offsets_first)
		put_offsets(b, encoding, count);
	put_names(b, count, markers);
	pad(b);
	put(b, markers, (count + 255) / 256 * sizeof(markers[0]));
	put_tokens(b);
	if (!offsets_first)
		put_offsets(b, encoding, count);
}

FIXTURE(kallsyms)
{
	struct blob *blob;
};

FIXTURE_VARIANT(kallsyms)
{
	enum encoding encoding;
	bool offsets_first;
};

FIXTURE_VARIANT_ADD(kallsyms, from_place){.encoding = FROM_PLACE};
FIXTURE_VARIANT_ADD(kallsyms, from_base){.encoding = FROM_BASE};
FIXTURE_VARIANT_ADD(kallsyms, from_base_percpu){.encoding = FROM_BASE_PERCPU};
FIXTURE_VARIANT_ADD(kallsyms, from_base_before_names){.encoding = FROM_BASE, .offsets_first = true};
FIXTURE_VARIANT_ADD(kallsyms, from_base_percpu_before_names){.encoding = FROM_BASE_PERCPU,
							     .offsets_first = true};

FIXTURE_SETUP(kallsyms)
{
	self->blob = malloc(sizeof(*self->blob));
	ASSERT_NE(NULL, self->blob);
}

FIXTURE_TEARDOWN(kallsyms)
{
	free(self->blob);
}

TEST_F(kallsyms, every_name_has_its_address)
{
	/* One marker, an even and an odd number of them, a full last one. */
	static const uint32_t counts[] = {8, 256, 300, 512, 700};
	struct blob *b = self->blob;

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
		struct symbols *s;

		build(b, variant->encoding, variant->offsets_first, counts[c], 8 * 123);
		ASSERT_EQ(0, symbols__from_kallsyms(b->data, b->length, b->address, &s))
		{
			TH_LOG("%u symbols", counts[c]);
		}
		for (uint32_t i = 0; i < counts[c]; i++) {
			uint64_t address = symbol_address(variant->encoding, i), found = 0;
			char name[300];

			symbol_name(i, name, sizeof(name));
			EXPECT_EQ(!!(address >> 63), symbols__find(s, name, &found));
			EXPECT_EQ(address >> 63 ? address : 0, found);
		}
		symbols__destroy(s);
	}
}

/*
 * Names of which each beginning is good, and the end is not: everywhere before them is a number of
 * symbols that fits the markers. Tried without a bound, that takes minutes.
 */
TEST(kallsyms_that_are_made_to_mislead_are_given_up)
{
	enum { COUNT = 0x30003, MARKERS = (COUNT + 255) / 256, NAMES = 1 << 20, TABLES = 8 };
	struct blob *b = malloc(sizeof(*b));
	size_t size = TABLES * (NAMES + MARKERS * 4 + 8192), used = 0;
	uint8_t *image = calloc(1, size);
	struct symbols *s;

	ASSERT_NE(NULL, b);
	ASSERT_NE(NULL, image);
	*b = (struct blob){.align = 8};
	put_tokens(b);
	for (uint32_t table = 0; table < TABLES; table++) {
		/* As a number COUNT, as names two of length 3. */
		for (uint32_t i = 0; i < NAMES; i += 4)
			memcpy(image + used + i, "\3\0\3\0", 4);
		used += NAMES;
		memset(image + used - 8, 0, 8);
		for (uint32_t i = 0; i < MARKERS; i++, used += 4) {
			uint32_t marker = i * 256 * 4;

			memcpy(image + used, &marker, sizeof(marker));
		}
		used += used % 8;
		memcpy(image + used, b->data, b->length);
		used += (b->length + 7) & ~(size_t)7;
		ASSERT_LE(used, size);
	}
	EXPECT_EQ(-ENOENT, symbols__from_kallsyms(image, used, BASE, &s));
	free(image);
	free(b);
}

TEST_F(kallsyms, truncated_tables_are_no_tables)
{
	struct blob *b = self->blob;
	size_t end;

	build(b, variant->encoding, variant->offsets_first, 300, 0);
	/* All that counts is needed to its last byte; a copy lets ASan see a read behind it. */
	end = b->length;
	for (size_t length = 0; length < end; length += length + 97 < end ? 97 : 1) {
		uint8_t *copy = malloc(length);
		struct symbols *s;

		memcpy(copy, b->data, length);
		EXPECT_EQ(-ENOENT, symbols__from_kallsyms(copy, length, b->address, &s));
		free(copy);
	}
}

/* Whatever comes out of a damaged table has names that can be shown, and nothing is read outside.
 */
TEST_F_TIMEOUT(kallsyms, damaged_tables_do_no_harm, 120)
{
	struct blob *b = self->blob;
	uint32_t random = 12345, found = 0;
	uint8_t *copy;

	build(b, variant->encoding, variant->offsets_first, 300, 0);
	copy = malloc(b->length);
	for (int round = 0; round < 3000; round++) {
		char buf[SYMBOLS_PLACE_MAX];
		struct symbols *s;
		int err;

		memcpy(copy, b->data, b->length);
		for (int flips = round % 4; flips >= 0; flips--) {
			random = random * 1664525 + 1013904223;
			copy[(random >> 8) % b->length] ^= (uint8_t)(1u << (random >> 29));
		}
		err = symbols__from_kallsyms(copy, b->length, b->address, &s);
		EXPECT_TRUE(!err || err == -ENOENT);
		if (err)
			continue;
		found++;
		EXPECT_LE(symbols__count(s), 300);
		for (uint64_t address = BASE; address < BASE + 300 * 8; address += 4)
			for (const char *c = place(s, address, buf); *c; c++)
				EXPECT_TRUE(*c > ' ' && *c <= '~');
		symbols__destroy(s);
	}
	/* A flip in a name or a spare token leaves a table; one in what holds it together does not.
	 */
	EXPECT_GT(found, 100);
	EXPECT_LT(found, 3000);
	free(copy);
}

/* ---- Images ---- */

TEST(files_that_are_no_images_have_no_symbols)
{
	uint8_t header[0x440] = {0};
	struct symbols *s;
	int fd = file_of("x", 1);

	EXPECT_EQ(-ENOEXEC, symbols__from_image(fd, &s));
	close(fd);
	fd = file_of(header, sizeof(header));
	EXPECT_EQ(-ENOEXEC, symbols__from_image(fd, &s));
	close(fd);
	fd = write_elf();
	EXPECT_EQ(-ENOENT, symbols__from_image(fd, &s));
	EXPECT_EQ(NULL, s);
	close(fd);
}

TEST(bzimages_that_cannot_be_unpacked_have_no_symbols)
{
	uint8_t header[0x440] = {0};
	struct symbols *s;
	int fd;

	if (arch__this->elf_machine != EM_X86_64)
		SKIP(return, "kernels of this machine are no bzImages");
	/* The payload lies outside; then it is not compressed by anything known. */
	memcpy(header + 0x202, "HdrS\x0c\x02", 6);
	memset(header + 0x248, 0xff, 8);
	fd = file_of(header, sizeof(header));
	EXPECT_EQ(-EBADMSG, symbols__from_image(fd, &s));
	close(fd);
	header[0x1f1] = 1;
	memset(header + 0x248, 0, 8);
	header[0x24c] = 64;
	header[0x43c] = 1; /* the unpacked size */
	fd = file_of(header, sizeof(header));
	EXPECT_EQ(-ENOTSUP, symbols__from_image(fd, &s));
	EXPECT_EQ(NULL, s);
	close(fd);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f)
		abort();
	fputs(text, f);
	fclose(f);
}

static void copy_to(const char *path, int from)
{
	int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (to < 0 || sendfile(to, from, &(off_t){0}, 1 << 20) <= 0)
		abort();
	close(to);
}

/* What each source of @kernel gives: the count of its symbols, or -errno. */
static int source(const struct kernel *kernel, unsigned int number)
{
	struct symbols *s;
	int err = symbols__of_kernel(kernel, number, &s), count = err ? 0 : (int)symbols__count(s);

	symbols__destroy(s);
	return err ? err : count;
}

TEST(sources_of_a_build_tree_are_its_vmlinux_then_its_map_unless_they_are_newer)
{
	char dir[] = "/tmp/ktstr-test-XXXXXX", path[64], command[128];
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	struct timespec later[2] = {{.tv_sec = time(NULL) + 3600}, {.tv_sec = time(NULL) + 3600}};
	int elf = write_elf();

	ASSERT_NE(NULL, kernel);
	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(kernel->image, sizeof(kernel->image), "%s/%s", dir, arch__this->tree_image);
	snprintf(command, sizeof(command), "mkdir -p %.*s",
		 (int)(strrchr(kernel->image, '/') - kernel->image), kernel->image);
	ASSERT_EQ(0, system(command));
	snprintf(kernel->system_map, sizeof(kernel->system_map), "%s/System.map", dir);
	write_file(kernel->image, "nothing that could be unpacked");
	write_file(kernel->system_map, "ffffffff81000000 T _text\nffffffff81000010 T _end\n");
	snprintf(path, sizeof(path), "%s/vmlinux", dir);
	copy_to(path, elf);

	EXPECT_EQ(-ENOEXEC, source(kernel, 0));
	EXPECT_EQ(-ENOENT, source(kernel, 1));
	EXPECT_EQ(4, source(kernel, 2));
	EXPECT_EQ(2, source(kernel, 3));
	EXPECT_EQ(-ENOEXEC, source(kernel, 4));
	EXPECT_EQ(-ENODATA, source(kernel, 5));
	/* Built again, and the image was not. */
	ASSERT_EQ(0, utimensat(AT_FDCWD, path, later, 0));
	ASSERT_EQ(0, utimensat(AT_FDCWD, kernel->system_map, later, 0));
	EXPECT_EQ(-ESTALE, source(kernel, 2));
	EXPECT_EQ(-ESTALE, source(kernel, 3));
	/* The image is a vmlinux itself. */
	strcpy(kernel->image, path);
	EXPECT_EQ(4, source(kernel, 0));

	snprintf(command, sizeof(command), "rm -r %s", dir);
	EXPECT_EQ(0, system(command));
	close(elf);
	free(kernel);
}

/* include/linux/export-internal.h: offsets, each from its own place */
struct kernel_symbol {
	int32_t value, name, namespace;
};

struct section {
	const uint8_t *data;
	uint64_t address, size;
};

static bool find_section(Elf *elf, const char *name, struct section *out)
{
	Elf_Scn *scn = NULL;
	size_t names;

	elf_getshdrstrndx(elf, &names);
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr header;
		const char *is;

		gelf_getshdr(scn, &header);
		is = elf_strptr(elf, names, header.sh_name);
		if (!is || strcmp(is, name) != 0)
			continue;
		*out = (struct section){elf_rawdata(scn, NULL)->d_buf, header.sh_addr,
					header.sh_size};
		return true;
	}
	return false;
}

/* Slow, so with a time limit of its own, which a fixture alone can have. */
FIXTURE(real_kernel){};

FIXTURE_SETUP(real_kernel)
{
}

FIXTURE_TEARDOWN(real_kernel)
{
}

/* The one source that every kernel has. */
TEST_F_TIMEOUT(real_kernel, has_its_symbols_in_the_image, 120)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	uint64_t text = 0, entry = 0, end = 0;
	struct symbols *s = NULL;

	ASSERT_NE(NULL, kernel);
	if (kernel__resolve(NULL, kernel, NULL))
		SKIP(return, "no kernel here");
	ASSERT_EQ(0, symbols__of_kernel(kernel, 4, &s));
	EXPECT_LT(20000, symbols__count(s));
	EXPECT_TRUE(symbols__find(s, "_text", &text));
	EXPECT_TRUE(symbols__find(s, "start_kernel", &entry));
	EXPECT_TRUE(symbols__find(s, "_end", &end));
	EXPECT_EQ(0, text % 4096);
	EXPECT_EQ(1, text >> 63);
	EXPECT_LT(text, entry);
	EXPECT_LT(entry, end);
	EXPECT_LT(end - text, UINT64_C(1) << 30);
	symbols__destroy(s);
	free(kernel);
}

/*
 * Exported symbols stand in __ksymtab by name and address, for the module loader: written by the
 * linker, not by scripts/kallsyms.c. Both tables must say the same of each.
 */
TEST_F_TIMEOUT(real_kernel, agrees_with_its_exported_symbols, 120)
{
	struct section table, strings;
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	struct kernel_symbol entry;
	struct symbols *s = NULL, *unpacked;
	uint32_t wrong = 0, nr = 0;
	char path[PATH_MAX + 16];
	Elf *elf;
	int fd;

	ASSERT_NE(NULL, kernel);
	if (kernel__resolve(NULL, kernel, NULL))
		SKIP(return, "no kernel here");
	strcpy(path, kernel->image);
	strcpy(strrchr(path, '/'), "/vmlinux");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no vmlinux beside the kernel's image");
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	ASSERT_TRUE(find_section(elf, "__ksymtab", &table));
	ASSERT_TRUE(find_section(elf, "__ksymtab_strings", &strings));
	ASSERT_EQ(0, table.size % sizeof(entry));

	for (unsigned int source = 0; !s; source++) {
		int err = symbols__of_kernel(kernel, source, &s);

		TH_LOG("source %u: %d", source, err);
		ASSERT_NE(-ENODATA, err);
	}
	EXPECT_GT(symbols__count(s), 20000);
	/* The file itself gives what the image has packed. */
	EXPECT_EQ(0, symbols__from_image(fd, &unpacked));
	ASSERT_NE(NULL, unpacked);
	EXPECT_EQ(symbols__count(s), symbols__count(unpacked));
	symbols__destroy(unpacked);
	for (uint64_t at = 0; at < table.size; at += sizeof(entry), nr++) {
		uint64_t here = table.address + at, address, offset;
		const char *name, *found;

		memcpy(&entry, table.data + at, sizeof(entry));
		address = here + (uint64_t)(int64_t)entry.value;
		here += offsetof(struct kernel_symbol, name);
		name = (const char *)strings.data +
		       (here + (uint64_t)(int64_t)entry.name - strings.address);
		/* By address it may be shown by another name of its. */
		found = symbols__at(s, address, &offset);
		if (!found || offset) {
			TH_LOG("%s is at 0x%llx, where %s+0x%llx is", name,
			       (unsigned long long)address, found ? found : "nothing",
			       (unsigned long long)offset);
			wrong++;
		}
		if (nr % 64 == 0) { /* slow: it looks at all */
			uint64_t by_name = 0;

			EXPECT_TRUE(symbols__find(s, name, &by_name));
			EXPECT_EQ(address, by_name)
			{
				TH_LOG("%s", name);
			}
		}
	}
	EXPECT_GT(nr, 1000);
	EXPECT_EQ(0, wrong);
	symbols__destroy(s);
	elf_end(elf);
	close(fd);
	free(kernel);
}

TEST_HARNESS_MAIN
