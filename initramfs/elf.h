/* SPDX-License-Identifier: GPL-2.0-only */
/* What the dynamic linker would want to know of an ELF file, and the host's library cache. */
#ifndef KTSTR_INITRAMFS_ELF_H
#define KTSTR_INITRAMFS_ELF_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum elf_kind {
	ELF_IS_NOT,	/* not ELF at all */
	ELF_IS_DATA,	/* an object file, a core: nothing that is executed or loaded */
	ELF_IS_FOREIGN, /* a program or library of another machine */
	ELF_IS_OURS,	/* a program or library of this machine */
};

/* From the first bytes of a file (64 are enough). */
enum elf_kind elf__kind(const void *head, size_t length);

/* Strings are owned; a string that the file does not have is NULL. */
struct elf_info {
	char *interpreter; /* PT_INTERP */
	char **needed;	   /* DT_NEEDED, in order */
	size_t nr_needed;
	char *soname;  /* DT_SONAME */
	char *rpath;   /* DT_RPATH; NULL when there is a DT_RUNPATH, as ld.so ignores it then */
	char *runpath; /* DT_RUNPATH */
	bool no_default_dirs; /* DF_1_NODEFLIB */
};

/* Reads a file of kind ELF_IS_OURS. -ENOEXEC: damaged; -EACCES and the like: cannot be read. */
int elf__read(const char *path, struct elf_info *info, struct ktstr_error *error);
void elf__free(struct elf_info *info);

/*
 * The @index-th path that a cache of ld.so (format glibc-ld.so.cache1.1, alone or after the old
 * one) has for @name, of those that need no hardware capability; NULL: no more, or the cache is
 * damaged or of another format. The string lies in @cache.
 */
const char *ldcache__find(const void *cache, size_t length, const char *name, size_t index);

#endif /* KTSTR_INITRAMFS_ELF_H */
