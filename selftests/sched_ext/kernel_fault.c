// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel module written byte by byte. What depends on the kernel is taken from a module that was
 * built for it: size of struct module, the places of its name and its init function, vermagic, and
 * the checksum of struct module where the kernel has such (CONFIG_MODVERSIONS).
 */
#include "kernel_fault.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ktstr/proto.h>

#define MODULE_NAME "ktstr_fault"
#define THIS_MODULE ".gnu.linkonce.this_module" /* struct module, scripts/mod/modpost.c */
#define VERSIONS "__versions"
#define MODULE_NAME_SIZE (64 - sizeof(unsigned long)) /* include/linux/moduleparam.h */
#define LOCK_SIZE 64u /* a spinlock_t with all that debugging adds to the part we use */

/* ---- The module that shows the form ---- */

struct pattern {
	size_t module_size, name_offset, init_offset; /* of struct module */
	char *vermagic;				      /* "vermagic=..." */
	void *versions;				      /* NULL: the kernel has none */
	size_t versions_size;
};

static void pattern__free(struct pattern *pattern)
{
	free(pattern->vermagic);
	free(pattern->versions);
}

static Elf_Data *section(Elf *elf, const char *wanted, GElf_Shdr *shdr)
{
	size_t names;
	Elf_Scn *scn = NULL;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name;

		if (!gelf_getshdr(scn, shdr))
			continue;
		name = elf_strptr(elf, names, shdr->sh_name);
		if (name && !strcmp(name, wanted))
			return elf_getdata(scn, NULL);
	}
	return NULL;
}

/* The entry "KEY=VALUE" of .modinfo; @key with its '='. */
static const char *modinfo(const Elf_Data *data, const char *key)
{
	const char *at = data->d_buf, *end = at + data->d_size;

	for (; at < end; at += strnlen(at, (size_t)(end - at)) + 1)
		if (strnlen(at, (size_t)(end - at)) < (size_t)(end - at) &&
		    !strncmp(at, key, strlen(key)))
			return at;
	return NULL;
}

/* Where struct module points to init_module(): the relocation says so. */
static bool find_init(Elf *elf, struct pattern *pattern)
{
	GElf_Shdr relocs_shdr, symbols_shdr;
	Elf_Data *relocs = section(elf, ".rela" THIS_MODULE, &relocs_shdr);
	Elf_Data *symbols = section(elf, ".symtab", &symbols_shdr);

	if (!relocs || !symbols || !relocs_shdr.sh_entsize)
		return false;
	for (size_t i = 0; i < relocs_shdr.sh_size / relocs_shdr.sh_entsize; i++) {
		GElf_Rela rela;
		GElf_Sym sym;
		const char *name;

		if (!gelf_getrela(relocs, (int)i, &rela) ||
		    !gelf_getsym(symbols, (int)GELF_R_SYM(rela.r_info), &sym))
			continue;
		name = elf_strptr(elf, symbols_shdr.sh_link, sym.st_name);
		if (name && !strcmp(name, "init_module")) {
			pattern->init_offset = rela.r_offset;
			return true;
		}
	}
	return false;
}

static bool read_elf(Elf *elf, struct pattern *pattern)
{
	GElf_Shdr shdr;
	Elf_Data *info = section(elf, ".modinfo", &shdr);
	Elf_Data *module = section(elf, THIS_MODULE, &shdr);
	Elf_Data *versions = section(elf, VERSIONS, &shdr);
	const char *vermagic, *name;
	void *at;

	if (!info || !module || !find_init(elf, pattern))
		return false;
	vermagic = modinfo(info, "vermagic=");
	name = modinfo(info, "name=");
	if (!vermagic || !name)
		return false;
	name += strlen("name=");
	at = memmem(module->d_buf, module->d_size, name, strlen(name) + 1);
	if (!at)
		return false;
	pattern->module_size = module->d_size;
	pattern->name_offset = (size_t)((char *)at - (char *)module->d_buf);
	pattern->vermagic = strdup(vermagic);
	if (versions) {
		pattern->versions_size = versions->d_size;
		pattern->versions = malloc(versions->d_size);
		if (pattern->versions)
			memcpy(pattern->versions, versions->d_buf, versions->d_size);
	}
	return pattern->name_offset + MODULE_NAME_SIZE <= pattern->module_size &&
	       pattern->init_offset + sizeof(uint64_t) <= pattern->module_size &&
	       pattern->vermagic && (!versions || pattern->versions);
}

static bool read_pattern(const char *path, struct pattern *pattern)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool found = false;
	Elf *elf;

	if (fd < 0)
		return false;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf)
		found = read_elf(elf, pattern);
	elf_end(elf);
	close(fd);
	return found;
}

/* The first module of the guest that is not packed. */
static int find_pattern(struct pattern *pattern)
{
	FILE *list = fopen(KTSTR_GUEST_MODULES, "re");
	char path[4096];
	bool found = false;

	if (!list)
		return -ENOENT;
	elf_version(EV_CURRENT);
	while (!found && fgets(path, sizeof(path), list)) {
		path[strcspn(path, "\n")] = '\0';
		*pattern = (struct pattern){0};
		found = read_pattern(path, pattern);
		if (!found)
			pattern__free(pattern);
	}
	fclose(list);
	return found ? 0 : -ENOENT;
}

/* ---- The instructions ---- */

/* x86-64; a function begins with endbr64, which an indirect call of it may ask for. */
static const uint8_t code_null[] = {
	0xf3, 0x0f, 0x1e, 0xfa, /* endbr64 */
	0x31, 0xc0,		/* xor %eax,%eax */
	0x48, 0x8b, 0x00,	/* mov (%rax),%rax */
	0x31, 0xc0,		/* xor %eax,%eax */
	0xc3,			/* ret */
};
/* A lock that is held forbids preemption on every kernel. */
static const uint8_t code_spin[] = {
	0xf3, 0x0f, 0x1e, 0xfa,		 /* endbr64 */
	0x48, 0x8d, 0x3d, 0,	0, 0, 0, /* lea lock(%rip),%rdi */
	0xe8, 0,    0,	  0,	0,	 /* call _raw_spin_lock */
	0xf3, 0x90,			 /* 1: pause */
	0xeb, 0xfc,			 /* jmp 1b */
};
static const uint8_t code_spin_no_irqs[] = {
	0xf3, 0x0f, 0x1e, 0xfa, /* endbr64 */
	0xfa,			/* cli */
	0xf3, 0x90,		/* 1: pause */
	0xeb, 0xfc,		/* jmp 1b */
};
static const uint8_t code_sleep[] = {
	0xf3, 0x0f, 0x1e, 0xfa,	      /* endbr64 */
	0xbf, 0x00, 0xca, 0x9a, 0x3b, /* mov $1000000000,%edi: milliseconds */
	0xe8, 0,    0,	  0,	0,    /* call msleep, which is not interruptible */
	0x31, 0xc0,		      /* xor %eax,%eax */
	0xc3,			      /* ret */
};

struct fault_code {
	const char *symbol; /* of the init function, for backtraces */
	const uint8_t *code;
	size_t size;
	size_t lock_at;	  /* where the lock's address goes; 0: nowhere */
	size_t call_at;	  /* likewise the function's */
	const char *call; /* an exported function of the kernel */
};

static const struct fault_code faults[] = {
	[KERNEL_FAULT_NULL] = {"ktstr_fault_null", code_null, sizeof(code_null), 0, 0, NULL},
	[KERNEL_FAULT_SPIN] = {"ktstr_fault_spin", code_spin, sizeof(code_spin), 7, 12,
			       "_raw_spin_lock"},
	[KERNEL_FAULT_SPIN_NO_IRQS] = {"ktstr_fault_spin_no_irqs", code_spin_no_irqs,
				       sizeof(code_spin_no_irqs), 0, 0, NULL},
	[KERNEL_FAULT_SLEEP] = {"ktstr_fault_sleep", code_sleep, sizeof(code_sleep), 0, 10,
				"msleep"},
};

/* ---- The module file ---- */

enum {
	SEC_NULL,
	SEC_TEXT,
	SEC_TEXT_RELA,
	SEC_DATA,
	SEC_MODULE,
	SEC_MODULE_RELA,
	SEC_INFO,
	SEC_SYMBOLS,
	SEC_STRINGS,
	SEC_NAMES,
	SEC_VERSIONS, /* the last one: not every kernel has it */
	NR_SECTIONS,
};

enum { SYM_NULL, SYM_INIT, SYM_LOCK, SYM_CALL, NR_SYMBOLS };

struct module_file {
	uint8_t *data;
	size_t size;
	Elf64_Shdr sections[NR_SECTIONS];
	bool failed; /* out of memory */
};

static void append(struct module_file *file, const void *data, size_t size)
{
	uint8_t *grown = file->failed ? NULL : realloc(file->data, file->size + size + 1);

	if (!grown) {
		file->failed = true;
		return;
	}
	file->data = grown;
	memcpy(file->data + file->size, data, size);
	file->size += size;
}

static void add_section(struct module_file *file, int number, const Elf64_Shdr *shdr,
			const void *data)
{
	static const uint8_t zeros[64];
	size_t past = file->size % shdr->sh_addralign;

	if (past)
		append(file, zeros, shdr->sh_addralign - past);
	file->sections[number] = *shdr;
	file->sections[number].sh_offset = file->size;
	append(file, data, shdr->sh_size);
}

/* Adds @text to the string table @table at *used; returns where it begins. */
static Elf64_Word add_string(char *table, size_t *used, const char *text)
{
	size_t at = *used;

	strcpy(table + at, text);
	*used += strlen(text) + 1;
	return (Elf64_Word)at;
}

static void add_code(struct module_file *file, const struct fault_code *fault)
{
	Elf64_Rela relocs[2];
	size_t nr = 0;

	/* the processor adds to the address behind the field: - 4 */
	if (fault->lock_at)
		relocs[nr++] =
			(Elf64_Rela){fault->lock_at, ELF64_R_INFO(SYM_LOCK, R_X86_64_PC32), -4};
	if (fault->call_at)
		relocs[nr++] =
			(Elf64_Rela){fault->call_at, ELF64_R_INFO(SYM_CALL, R_X86_64_PLT32), -4};
	add_section(file, SEC_TEXT,
		    &(Elf64_Shdr){.sh_type = SHT_PROGBITS,
				  .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
				  .sh_size = fault->size,
				  .sh_addralign = 16},
		    fault->code);
	add_section(file, SEC_TEXT_RELA,
		    &(Elf64_Shdr){.sh_type = SHT_RELA,
				  .sh_flags = SHF_INFO_LINK,
				  .sh_size = nr * sizeof(relocs[0]),
				  .sh_link = SEC_SYMBOLS,
				  .sh_info = SEC_TEXT,
				  .sh_addralign = 8,
				  .sh_entsize = sizeof(relocs[0])},
		    relocs);
}

static void add_module(struct module_file *file, const struct pattern *pattern)
{
	static const uint8_t lock[LOCK_SIZE];
	Elf64_Rela init = {pattern->init_offset, ELF64_R_INFO(SYM_INIT, R_X86_64_64), 0};
	char *module = calloc(1, pattern->module_size), info[1024];
	int length = snprintf(info, sizeof(info), "license=GPL%cname=" MODULE_NAME "%cdepends=%c%s",
			      0, 0, 0, pattern->vermagic);

	if (!module || (size_t)length >= sizeof(info)) {
		free(module);
		file->failed = true;
		return;
	}
	strcpy(module + pattern->name_offset, MODULE_NAME);
	add_section(file, SEC_DATA,
		    &(Elf64_Shdr){.sh_type = SHT_PROGBITS,
				  .sh_flags = SHF_ALLOC | SHF_WRITE,
				  .sh_size = sizeof(lock),
				  .sh_addralign = 64},
		    lock);
	add_section(file, SEC_MODULE,
		    &(Elf64_Shdr){.sh_type = SHT_PROGBITS,
				  .sh_flags = SHF_ALLOC | SHF_WRITE,
				  .sh_size = pattern->module_size,
				  .sh_addralign = 64},
		    module);
	add_section(file, SEC_MODULE_RELA,
		    &(Elf64_Shdr){.sh_type = SHT_RELA,
				  .sh_flags = SHF_INFO_LINK,
				  .sh_size = sizeof(init),
				  .sh_link = SEC_SYMBOLS,
				  .sh_info = SEC_MODULE,
				  .sh_addralign = 8,
				  .sh_entsize = sizeof(init)},
		    &init);
	add_section(file, SEC_INFO,
		    &(Elf64_Shdr){.sh_type = SHT_PROGBITS,
				  .sh_flags = SHF_ALLOC,
				  .sh_size = (size_t)length + 1,
				  .sh_addralign = 1},
		    info);
	free(module);
}

static void add_symbols(struct module_file *file, const struct fault_code *fault)
{
	char strings[256] = "";
	size_t used = 1;
	Elf64_Sym symbols[NR_SYMBOLS] = {
		[SYM_INIT] = {.st_name = add_string(strings, &used, fault->symbol),
			      .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
			      .st_shndx = SEC_TEXT,
			      .st_size = fault->size},
		[SYM_LOCK] = {.st_name = add_string(strings, &used, "ktstr_fault_lock"),
			      .st_info = ELF64_ST_INFO(STB_LOCAL, STT_OBJECT),
			      .st_shndx = SEC_DATA,
			      .st_size = LOCK_SIZE},
	};
	size_t nr = NR_SYMBOLS - 1;

	if (fault->call) {
		symbols[nr++] = (Elf64_Sym){.st_name = add_string(strings, &used, fault->call),
					    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE),
					    .st_shndx = SHN_UNDEF};
	}
	add_section(file, SEC_SYMBOLS,
		    &(Elf64_Shdr){.sh_type = SHT_SYMTAB,
				  .sh_size = nr * sizeof(symbols[0]),
				  .sh_link = SEC_STRINGS,
				  .sh_info = SYM_CALL, /* the first that is not local */
				  .sh_addralign = 8,
				  .sh_entsize = sizeof(symbols[0])},
		    symbols);
	add_section(file, SEC_STRINGS,
		    &(Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_size = used, .sh_addralign = 1},
		    strings);
}

static void add_names_and_headers(struct module_file *file)
{
	static const char *const names[NR_SECTIONS] = {
		"",	    ".text",   ".rela.text", ".data",	  THIS_MODULE, ".rela" THIS_MODULE,
		".modinfo", ".symtab", ".strtab",    ".shstrtab", VERSIONS};
	int nr = file->sections[SEC_VERSIONS].sh_type ? NR_SECTIONS : NR_SECTIONS - 1, i;
	char table[256] = "";
	size_t used = 1;
	Elf64_Word at[NR_SECTIONS] = {0};
	Elf64_Ehdr *ehdr;

	for (i = 1; i < nr; i++)
		at[i] = add_string(table, &used, names[i]);
	add_section(file, SEC_NAMES,
		    &(Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_size = used, .sh_addralign = 1},
		    table);
	for (i = 1; i < nr; i++)
		file->sections[i].sh_name = at[i];
	while (!file->failed && file->size % 8)
		append(file, "", 1);
	if (file->failed)
		return;
	ehdr = (Elf64_Ehdr *)file->data;
	*ehdr = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_shoff = file->size,
		.e_ehsize = sizeof(*ehdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)nr,
		.e_shstrndx = SEC_NAMES,
	};
	append(file, file->sections, (size_t)nr * sizeof(file->sections[0]));
}

static void build(struct module_file *file, const struct pattern *pattern,
		  const struct fault_code *fault)
{
	append(file, &(Elf64_Ehdr){.e_type = ET_NONE}, sizeof(Elf64_Ehdr));
	add_code(file, fault);
	add_module(file, pattern);
	add_symbols(file, fault);
	if (pattern->versions)
		add_section(file, SEC_VERSIONS,
			    &(Elf64_Shdr){.sh_type = SHT_PROGBITS,
					  .sh_flags = SHF_ALLOC,
					  .sh_size = pattern->versions_size,
					  .sh_addralign = 64},
			    pattern->versions);
	add_names_and_headers(file);
}

int kernel_fault__trigger(enum kernel_fault fault)
{
	struct module_file file = {.data = NULL};
	struct pattern pattern;
	int ret;

#ifndef __x86_64__
	return -EOPNOTSUPP;
#endif
	ret = find_pattern(&pattern);
	if (ret)
		return ret;
	build(&file, &pattern, &faults[fault]);
	if (file.failed)
		ret = -ENOMEM;
	else if (syscall(SYS_init_module, file.data, file.size, ""))
		ret = -errno;
	free(file.data);
	pattern__free(&pattern);
	return ret;
}
