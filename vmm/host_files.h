/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of /sys and /proc, read below a directory so that tests and copies of another host's can
 * stand in for them; and sets of CPUs as large as Linux can have.
 */
#ifndef KTSTR_VMM_HOST_FILES_H
#define KTSTR_VMM_HOST_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as CONFIG_MAXSMP has (x86). */
#define HOST_MAX_CPUS 8192u

/* CPUs, or nodes, by number; @words are as the kernel's masks of affinity. */
#define HOST_SET_WORD (sizeof(unsigned long) * CHAR_BIT)
struct host_set {
	unsigned long words[HOST_MAX_CPUS / HOST_SET_WORD];
};

/* Numbers of HOST_MAX_CPUS and above are in no set. */
void host_set__add(struct host_set *set, uint32_t number);
bool host_set__has(const struct host_set *set, uint32_t number);
uint32_t host_set__count(const struct host_set *set);
/* The lowest number that is in both, or HOST_MAX_CPUS. */
uint32_t host_set__lowest(const struct host_set *a, const struct host_set *b);
/* What this process may run on. -errno of sched_getaffinity(2). */
int host_set__allowed(struct host_set *set);
/*
 * Makes @set the numbers of a list as in /sys ("0-3,8", an empty one too), with or without a
 * newline. -EINVAL: it is none; -ERANGE: a number is HOST_MAX_CPUS or more.
 */
int host_set__parse(const char *text, struct host_set *set);
/* The other way, without a newline; what does not fit ends in "...". @size: 4 at least. */
void host_set__format(const struct host_set *set, char *buf, size_t size);

/*
 * The whole of the file DIR/NAME, with a NUL. -E2BIG: it does not fit; -ENAMETOOLONG; else as
 * open() and read(). @buf is a string in any case.
 */
int host_files__text(const char *dir, char *buf, size_t size, const char *name_fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A file of one decimal number. -EINVAL: something else is in it. */
int host_files__u64(const char *dir, uint64_t *value, const char *name_fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A file of one list, as host_set__parse(). */
int host_files__set(const char *dir, struct host_set *set, const char *name_fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* KTSTR_VMM_HOST_FILES_H */
