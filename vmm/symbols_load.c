// SPDX-License-Identifier: GPL-2.0-only
/* Where a kernel's symbols come from: .symtab of its vmlinux, its System.map, the image itself. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "kernel.h"
#include "symbols.h"

/* Of a symbol table; of its names; of all the data that is searched. */
#define SECTION_MAX (UINT64_C(512) << 20)

/* "nm" has its own line length; a name is below SYMBOLS_NAME_MAX. */
#define MAP_ADDRESS_DIGITS 16
#define MAP_LINE_MAX (SYMBOLS_NAME_MAX + 32u)

/* A table of a build that is not the image's would mislead; an installed copy is a bit newer. */
#define NEWER_MAX_S 60

/* ---- .symtab ---- */

/* Functions before data before labels of no type, global ones first. */
static uint8_t symbol_rank(const GElf_Sym *sym)
{
	bool local = GELF_ST_BIND(sym->st_info) == STB_LOCAL;

	switch (GELF_ST_TYPE(sym->st_info)) {
	case STT_FUNC:
		return local ? 1 : 0;
	case STT_OBJECT:
		return local ? 3 : 2;
	default:
		return local ? 5 : 4;
	}
}

static bool is_symbol(const GElf_Sym *sym, const char *name)
{
	int type = GELF_ST_TYPE(sym->st_info);

	return name && (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE) &&
	       sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS && name[0] != '.' &&
	       name[0] != '$';
}

static int add_symtab(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, struct symbols *symbols)
{
	GElf_Shdr names;
	Elf_Data *data;
	size_t nr;

	/* Both are read whole. */
	if (!gelf_getshdr(elf_getscn(elf, header->sh_link), &names) ||
	    header->sh_size > SECTION_MAX || names.sh_size > SECTION_MAX)
		return -ENOEXEC;
	data = elf_getdata(section, NULL);
	nr = data ? data->d_size / sizeof(Elf64_Sym) : 0;
	if (nr > INT32_MAX)
		return -ENOEXEC;
	for (size_t i = 0; i < nr; i++) {
		const char *name;
		GElf_Sym sym;
		int err;

		if (!gelf_getsym(data, (int)i, &sym))
			return -ENOEXEC;
		name = elf_strptr(elf, header->sh_link, sym.st_name);
		if (!is_symbol(&sym, name))
			continue;
		err = symbols__add(symbols, sym.st_value, name, strnlen(name, SYMBOLS_NAME_MAX),
				   symbol_rank(&sym));
		if (err && err != -EINVAL)
			return err;
	}
	return 0;
}

static bool is_elf64(Elf *elf)
{
	return elf && elf_kind(elf) == ELF_K_ELF && gelf_getclass(elf) == ELFCLASS64;
}

/* Ends what the three readers share: a table with nothing in it is none. */
static int finish(int err, struct symbols *symbols, struct symbols **out)
{
	if (!err && !symbols__count(symbols))
		err = -ENOENT;
	if (err) {
		symbols__destroy(symbols);
		return err;
	}
	symbols__sort(symbols);
	*out = symbols;
	return 0;
}

int symbols__from_elf(int fd, struct symbols **out)
{
	struct symbols *symbols = NULL;
	Elf_Scn *section = NULL;
	int err = -ENOEXEC;
	Elf *elf;

	*out = NULL;
	elf_version(EV_CURRENT);
	/* Without mmap: a build may write the file anew meanwhile. */
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (is_elf64(elf))
		err = symbols__create(&symbols);
	while (!err && (section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB)
			continue;
		/* A file has one (gABI, "Section Types"). */
		err = add_symtab(elf, section, &header, symbols);
		break;
	}
	elf_end(elf);
	return finish(err, symbols, out);
}

/* ---- System.map ---- */

/* "ffffffff81000000 T _text" */
static int add_map_line(const char *line, struct symbols *symbols)
{
	char *end;
	uint64_t address = strtoull(line, &end, 16);
	uint8_t rank;

	if (end - line != MAP_ADDRESS_DIGITS || end[0] != ' ' || !end[1] || end[2] != ' ')
		return -ENOEXEC;
	switch (end[1]) {
	case 'A': /* absolute: no address */
	case 'a':
		return 0;
	case 'T':
		rank = 0;
		break;
	case 't':
		rank = 1;
		break;
	case 'W':
	case 'w':
		rank = 2;
		break;
	default:
		rank = 3;
	}
	return symbols__add(symbols, address, end + 3, strcspn(end + 3, "\n"), rank);
}

int symbols__from_system_map(int fd, struct symbols **out)
{
	struct symbols *symbols = NULL;
	char line[MAP_LINE_MAX];
	int copy = dup(fd), err;
	FILE *f;

	*out = NULL;
	f = copy >= 0 ? fdopen(copy, "r") : NULL;
	if (!f) {
		err = -errno;
		if (copy >= 0)
			close(copy);
		return err;
	}
	err = symbols__create(&symbols);
	while (!err && fgets(line, sizeof(line), f))
		err = add_map_line(line, symbols);
	if (!err && ferror(f))
		err = -EIO;
	fclose(f);
	return finish(err == -EINVAL ? -ENOEXEC : err, symbols, out);
}

/* ---- The image itself ---- */

static int search(Elf_Data *data, uint64_t address, struct symbols **symbols)
{
	if (!data || !data->d_buf)
		return -ENOENT;
	return symbols__from_kallsyms(data->d_buf, data->d_size, address, symbols);
}

/* Data that is loaded; the table is in .rodata, whatever that is called. */
static int search_sections(Elf *elf, struct symbols **symbols)
{
	uint64_t left = SECTION_MAX;
	Elf_Scn *section = NULL;
	int err = -ENOENT;

	while (err == -ENOENT && (section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_PROGBITS ||
		    !(header.sh_flags & SHF_ALLOC) || (header.sh_flags & SHF_EXECINSTR) ||
		    header.sh_size > left)
			continue;
		left -= header.sh_size;
		err = search(elf_rawdata(section, NULL), header.sh_addr, symbols);
	}
	return err;
}

static int search_segments(Elf *elf, struct symbols **symbols)
{
	uint64_t left = SECTION_MAX;
	size_t nr = 0;
	int err = -ENOENT;

	if (elf_getphdrnum(elf, &nr))
		return -ENOEXEC;
	for (size_t i = 0; err == -ENOENT && i < nr; i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD ||
		    header.p_filesz > left || header.p_offset > INT64_MAX)
			continue;
		left -= header.p_filesz;
		err = search(elf_getdata_rawchunk(elf, (int64_t)header.p_offset, header.p_filesz,
						  ELF_T_BYTE),
			     header.p_vaddr, symbols);
	}
	return err;
}

static int search_elf(Elf *elf, struct symbols **symbols)
{
	int err = -ENOEXEC;

	if (is_elf64(elf)) {
		err = search_sections(elf, symbols);
		if (err == -ENOENT)
			err = search_segments(elf, symbols);
	}
	elf_end(elf);
	return err;
}

int symbols__from_image(int fd, struct symbols **symbols)
{
	char magic[SELFMAG];
	uint64_t linked;
	size_t length;
	void *image;
	int err;

	*symbols = NULL;
	elf_version(EV_CURRENT);
	if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic))
		return -ENOEXEC;
	if (!memcmp(magic, ELFMAG, SELFMAG))
		return search_elf(elf_begin(fd, ELF_C_READ, NULL), symbols);
	err = arch__this->unpack_kernel(fd, &image, &length, &linked);
	if (err)
		return err;
	err = linked ? symbols__from_kallsyms(image, length, linked, symbols)
		     : search_elf(elf_memory(image, length), symbols);
	free(image);
	return err;
}

/* ---- All of a kernel's ---- */

static int open_beside(const struct kernel *kernel, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct stat image, st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !stat(kernel->image, &image) &&
	    st.st_mtime <= image.st_mtime + NEWER_MAX_S)
		return fd;
	err = -ESTALE;
	close(fd);
	return err;
}

/* vmlinux in @up directories above the image: in a build tree it is arch/x86/boot/bzImage. */
static int from_vmlinux(const struct kernel *kernel, unsigned int up, struct symbols **symbols)
{
	char path[PATH_MAX + sizeof("/vmlinux")];
	int fd, err;

	strcpy(path, kernel->image);
	for (unsigned int i = 0; i <= up; i++) {
		char *slash = strrchr(path, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	strcat(path, "/vmlinux");
	fd = open_beside(kernel, path);
	if (fd < 0)
		return fd;
	err = symbols__from_elf(fd, symbols);
	close(fd);
	return err;
}

static int from_map(const struct kernel *kernel, struct symbols **symbols)
{
	int fd, err;

	if (!*kernel->system_map)
		return -ENOENT;
	fd = open_beside(kernel, kernel->system_map);
	if (fd < 0)
		return fd;
	err = symbols__from_system_map(fd, symbols);
	close(fd);
	return err;
}

static int from_image(const struct kernel *kernel, int (*load)(int, struct symbols **),
		      struct symbols **symbols)
{
	int fd = kernel__open(kernel, NULL), err;

	if (fd < 0)
		return fd;
	err = load(fd, symbols);
	close(fd);
	return err;
}

int symbols__of_kernel(const struct kernel *kernel, unsigned int source, struct symbols **symbols)
{
	*symbols = NULL;
	switch (source) {
	case 0:
		return from_image(kernel, symbols__from_elf, symbols);
	case 1:
		return from_vmlinux(kernel, 0, symbols);
	case 2:
		return from_vmlinux(kernel, 3, symbols);
	case 3:
		return from_map(kernel, symbols);
	case 4:
		return from_image(kernel, symbols__from_image, symbols);
	default:
		return -ENODATA;
	}
}
