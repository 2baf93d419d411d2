/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an archive was made from: the identity of every file that was read, every symbolic link that
 * was followed, and every path that was looked for and not there. While all of them are unchanged,
 * building again would give the same archive.
 */
#ifndef KTSTR_INITRAMFS_INPUTS_H
#define KTSTR_INITRAMFS_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "strmap.h"

/* All zero is an empty list. */
struct inputs {
	char *records; /* struct inputs_record, path, NUL, padding to 8; again and again */
	size_t length, capacity;
	struct strmap seen;
	uint64_t newest_ns; /* latest ctime of all inputs */
	bool failed;	    /* out of memory: the list is not complete */
};

/* stat(2) or lstat(2) of @path, with what came back recorded. 0, or -errno of the call. */
int inputs__stat(struct inputs *inputs, const char *path, struct stat *st);
int inputs__lstat(struct inputs *inputs, const char *path, struct stat *st);

/*
 * lstat(2) of a path on the way to something else: of a directory only that it is one is recorded,
 * so that other files may come and go in it.
 */
int inputs__walk(struct inputs *inputs, const char *path, struct stat *st);

/* True when every path of @records is as it was. Damaged records are not current. */
bool inputs__current(const char *records, size_t length);

void inputs__free(struct inputs *inputs);

#endif /* KTSTR_INITRAMFS_INPUTS_H */
