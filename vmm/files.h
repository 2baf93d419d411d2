/* SPDX-License-Identifier: GPL-2.0-only */
/* Files that the monitor makes: directories, new files, whole reads and writes. */
#ifndef KTSTR_VMM_FILES_H
#define KTSTR_VMM_FILES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Makes the directories above @path, which is changed meanwhile. One that is there already is no
 * error, in a file system that is read-only either; -errno.
 */
int files__make_parents(char *path);
/* The same, and @path itself. */
int files__make_directory(char *path);

/*
 * Creates DIR/NAME to read and write. A new file in any case: what is there already is removed, as
 * it may be a link to what others use. A descriptor, or -errno.
 */
int files__create(const char *dir, const char *name);

/* All of @length bytes at @fd's position. -errno; -EIO: nothing more can be written. */
int files__write(int fd, const void *data, size_t length);
/* All of @length bytes from @offset on. -errno; -ENODATA: the file ends before. */
int files__read(int fd, void *data, size_t length, uint64_t offset);

#endif /* KTSTR_VMM_FILES_H */
