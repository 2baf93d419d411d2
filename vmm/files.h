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

#endif /* KTSTR_VMM_FILES_H */
