/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names for addresses of a kernel. Where they come from is an untrusted file: it can be damaged, of
 * another kernel, or made to mislead. Loaded only when a run has failed; a kernel without symbols
 * is no error, its addresses are shown as numbers then.
 */
#ifndef KTSTR_VMM_SYMBOLS_H
#define KTSTR_VMM_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernel;

#define SYMBOLS_MAX (1u << 22) /* more are a damaged file: kernels have some 200,000 */
#define SYMBOLS_NAME_MAX 512u  /* KSYM_NAME_LEN, its end included */
#define SYMBOLS_PLACE_MAX 560u /* "name+0x12", its end included */

struct symbols;

/*
 * A table that is filled by symbols__add() and read after symbols__sort(). Of several names for one
 * address the one of the lowest @rank is shown, of these the first that was added. An address below
 * the upper half is none of a kernel's and is left out. -ENOMEM; -E2BIG: more than SYMBOLS_MAX;
 * -EINVAL: the name is empty, too long or has bytes that are not printable.
 */
int symbols__create(struct symbols **symbols);
int symbols__add(struct symbols *symbols, uint64_t address, const char *name, size_t length,
		 uint8_t rank);
void symbols__sort(struct symbols *symbols);
void symbols__destroy(struct symbols *symbols); /* NULL is allowed */

size_t symbols__count(const struct symbols *symbols);
/* The address of @name; false: there is no such symbol. */
bool symbols__find(const struct symbols *symbols, const char *name, uint64_t *address);
/* The symbol that @address lies in or behind. NULL: none; what lies behind the last one is no
 * kernel's. The name lives as long as the table. */
const char *symbols__at(const struct symbols *symbols, uint64_t address, uint64_t *offset);
/* Writes "name+0x12", or the number where there is no name; @symbols may be NULL. */
void symbols__place(const struct symbols *symbols, uint64_t address, char *buf, size_t size);

/*
 * A table from one source; the descriptor stays the caller's. -ENOENT: the file has none; -ENOEXEC:
 * what it has cannot be one; -EFBIG; -ENOMEM; -errno of reading it.
 */
int symbols__from_elf(int fd, struct symbols **symbols);	/* .symtab of a vmlinux */
int symbols__from_system_map(int fd, struct symbols **symbols); /* in the form of nm -n */
/* The kernel's own table in a vmlinux or another kernel image. Also what its unpacking returns. */
int symbols__from_image(int fd, struct symbols **symbols);
/* kallsyms.c: the same in a piece of a kernel's memory that begins at @address. */
int symbols__from_kallsyms(const void *data, size_t size, uint64_t address,
			   struct symbols **symbols);

/*
 * All sources of a kernel, the richest first: @source counts from 0. -ENODATA: there are no more;
 * any other -errno: this one gives nothing.
 */
int symbols__of_kernel(const struct kernel *kernel, unsigned int source, struct symbols **symbols);

#endif /* KTSTR_VMM_SYMBOLS_H */
