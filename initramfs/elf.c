// SPDX-License-Identifier: GPL-2.0-only
/* Reads dynamic sections (System V ABI, chapter 5) with libelf. */
#include "elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"

enum elf_kind elf__kind(const void *head, size_t length)
{
	const unsigned char *ident = head;
	Elf64_Ehdr header;

	if (length < EI_NIDENT || memcmp(ident, ELFMAG, SELFMAG))
		return ELF_IS_NOT;
	/* e_type and e_machine are at the same place in both classes, in the file's byte order */
	if (length < offsetof(Elf64_Ehdr, e_version))
		return ELF_IS_DATA;
	memcpy(&header, head, offsetof(Elf64_Ehdr, e_version));
	if (ident[EI_DATA] != ELFDATA2LSB) {
		header.e_type = __builtin_bswap16(header.e_type);
		header.e_machine = __builtin_bswap16(header.e_machine);
	}
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return ELF_IS_DATA;
	return ident[EI_CLASS] == ELFCLASS64 && ident[EI_DATA] == ELFDATA2LSB &&
			       header.e_machine == machine__this.elf_machine
		       ? ELF_IS_OURS
		       : ELF_IS_FOREIGN;
}

/* An open file: its bytes and program headers. */
struct image {
	const char *path;
	Elf *elf;
	const char *raw;
	size_t size;
	size_t nr_phdrs;
};

static int damaged(const struct image *image, const char *what, struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOEXEC, "read ELF", image->path, "damaged: %s", what);
}

/* A copy of the string at @offset, which has to end before @end. NULL: it does not, or no memory.
 */
static char *string_at(const struct image *image, uint64_t offset, uint64_t end)
{
	if (end > image->size || offset >= end || !memchr(image->raw + offset, 0, end - offset))
		return NULL;
	return strdup(image->raw + offset);
}

static bool find_segment(const struct image *image, uint32_t type, GElf_Phdr *phdr)
{
	for (size_t i = 0; i < image->nr_phdrs; i++) {
		if (gelf_getphdr(image->elf, (int)i, phdr) && phdr->p_type == type)
			return true;
	}
	return false;
}

/* The file range [*offset, *end) behind a virtual address, to the end of its segment. */
static bool address_to_file(const struct image *image, uint64_t address, uint64_t *offset,
			    uint64_t *end)
{
	for (size_t i = 0; i < image->nr_phdrs; i++) {
		GElf_Phdr phdr;

		if (!gelf_getphdr(image->elf, (int)i, &phdr) || phdr.p_type != PT_LOAD ||
		    address < phdr.p_vaddr || address - phdr.p_vaddr >= phdr.p_filesz)
			continue;
		*offset = phdr.p_offset + (address - phdr.p_vaddr);
		if (__builtin_add_overflow(phdr.p_offset, phdr.p_filesz, end))
			return false;
		return true;
	}
	return false;
}

struct dynamic {
	Elf_Data *data;
	size_t nr;
	uint64_t strings, strings_end; /* file range of the string table */
};

static int find_dynamic(const struct image *image, const GElf_Phdr *phdr, struct dynamic *dynamic,
			struct ktstr_error *error)
{
	uint64_t end;
	bool found = false;

	if (__builtin_add_overflow(phdr->p_offset, phdr->p_filesz, &end) || end > image->size)
		return damaged(image, "its dynamic section is not in the file", error);
	dynamic->data = elf_getdata_rawchunk(image->elf, (int64_t)phdr->p_offset, phdr->p_filesz,
					     ELF_T_DYN);
	if (!dynamic->data)
		return damaged(image, elf_errmsg(-1), error);
	dynamic->nr = phdr->p_filesz / gelf_fsize(image->elf, ELF_T_DYN, 1, EV_CURRENT);
	for (size_t i = 0; i < dynamic->nr && !found; i++) {
		GElf_Dyn entry;

		if (!gelf_getdyn(dynamic->data, (int)i, &entry) || entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_STRTAB)
			found = address_to_file(image, entry.d_un.d_ptr, &dynamic->strings,
						&dynamic->strings_end);
	}
	return found ? 0 : damaged(image, "no dynamic string table", error);
}

static int add_needed(struct elf_info *info, char *name)
{
	char **p = reallocarray(info->needed, info->nr_needed + 1, sizeof(*p));

	if (!p) {
		free(name);
		return -ENOMEM;
	}
	info->needed = p;
	info->needed[info->nr_needed++] = name;
	return 0;
}

static int read_string(const struct image *image, const struct dynamic *dynamic,
		       const GElf_Dyn *entry, struct elf_info *info, struct ktstr_error *error)
{
	uint64_t offset;
	char **slot = NULL;
	char *text;

	if (__builtin_add_overflow(dynamic->strings, entry->d_un.d_val, &offset))
		return damaged(image, "a string lies outside of its table", error);
	text = string_at(image, offset, dynamic->strings_end);
	if (!text)
		return damaged(image, "a string lies outside of its table", error);
	if (entry->d_tag == DT_SONAME)
		slot = &info->soname;
	else if (entry->d_tag == DT_RPATH)
		slot = &info->rpath;
	else if (entry->d_tag == DT_RUNPATH)
		slot = &info->runpath;
	else if (add_needed(info, text))
		return ktstr_error__set(error, ENOMEM, "read ELF", image->path, NULL);
	if (slot) {
		free(*slot);
		*slot = text;
	}
	return 0;
}

static int read_dynamic(const struct image *image, const GElf_Phdr *phdr, struct elf_info *info,
			struct ktstr_error *error)
{
	struct dynamic dynamic = {0};
	int err = find_dynamic(image, phdr, &dynamic, error);

	for (size_t i = 0; !err && i < dynamic.nr; i++) {
		GElf_Dyn entry;

		if (!gelf_getdyn(dynamic.data, (int)i, &entry) || entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_NEEDED || entry.d_tag == DT_SONAME ||
		    entry.d_tag == DT_RPATH || entry.d_tag == DT_RUNPATH)
			err = read_string(image, &dynamic, &entry, info, error);
		else if (entry.d_tag == DT_FLAGS_1)
			info->no_default_dirs = entry.d_un.d_val & DF_1_NODEFLIB;
	}
	if (info->runpath) {
		free(info->rpath);
		info->rpath = NULL;
	}
	return err;
}

static int read_image(struct image *image, struct elf_info *info, struct ktstr_error *error)
{
	GElf_Phdr phdr;
	uint64_t end;

	image->raw = elf_rawfile(image->elf, &image->size);
	if (!image->raw || elf_kind(image->elf) != ELF_K_ELF ||
	    elf__kind(image->raw, image->size) != ELF_IS_OURS ||
	    elf_getphdrnum(image->elf, &image->nr_phdrs))
		return damaged(image, elf_errmsg(-1), error);
	if (find_segment(image, PT_INTERP, &phdr)) {
		if (__builtin_add_overflow(phdr.p_offset, phdr.p_filesz, &end))
			return damaged(image, "no string in PT_INTERP", error);
		info->interpreter = string_at(image, phdr.p_offset, end);
		if (!info->interpreter)
			return damaged(image, "no string in PT_INTERP", error);
	}
	if (find_segment(image, PT_DYNAMIC, &phdr))
		return read_dynamic(image, &phdr, info, error);
	return 0;
}

int elf__read(const char *path, struct elf_info *info, struct ktstr_error *error)
{
	struct image image = {.path = path};
	int fd, err;

	*info = (struct elf_info){0};
	elf_version(EV_CURRENT);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ktstr_error__set(error, errno, "open", path, NULL);
	image.elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (image.elf)
		err = read_image(&image, info, error);
	else
		err = damaged(&image, elf_errmsg(-1), error);
	elf_end(image.elf);
	close(fd);
	if (err)
		elf__free(info);
	return err;
}

void elf__free(struct elf_info *info)
{
	for (size_t i = 0; i < info->nr_needed; i++)
		free(info->needed[i]);
	free(info->needed);
	free(info->interpreter);
	free(info->soname);
	free(info->rpath);
	free(info->runpath);
	*info = (struct elf_info){0};
}
