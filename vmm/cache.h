/* SPDX-License-Identifier: GPL-2.0-only */
/* Where ktstr keeps what it can make again. */
#ifndef KTSTR_VMM_CACHE_H
#define KTSTR_VMM_CACHE_H

#include <stddef.h>

/*
 * Writes the path of @name in the user's cache: KTSTR_CACHE, else XDG_CACHE_HOME/ktstr, else
 * HOME/.cache/ktstr. @name NULL: the cache itself. Makes no directory. -ENOENT: none of these
 * variables is set; -ENAMETOOLONG.
 */
int cache__path(const char *name, char *buf, size_t size);

/*
 * The same for what this process may write: where KTSTR_SCRATCH is set (in an emulated host, whose
 * view of the cache is read-only), there. Makes the directories. -errno when it can't.
 */
int cache__dir(const char *name, char *buf, size_t size);

#endif /* KTSTR_VMM_CACHE_H */
