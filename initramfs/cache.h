/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finished archives, kept in a directory: one file each, which holds the archive, what was asked
 * for, what it was made from, and a footer. A file is there completely or not at all. Nothing here
 * is an error for the caller: a cache that does not work is not used.
 */
#ifndef KTSTR_INITRAMFS_CACHE_H
#define KTSTR_INITRAMFS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "initramfs.h"

#define CACHE_MAX_ENTRIES 16u /* the least recently used ones go */

/* What was asked for, as bytes that are equal exactly when the request is. */
struct cache_key {
	char *data;
	size_t length;
};

/* True: @image is an archive for @key, and nothing that it was made from has changed. */
bool cache__lookup(const char *dir, const struct cache_key *key, struct initramfs_image *image);

/* A new file in @dir to write an archive into, from offset 0; @dir is made. -1: no cache. */
int cache__begin(const char *dir, char *temporary, size_t size);

/*
 * The archive in @fd (of cache__begin()) is complete: keeps it, together with the records of
 * struct inputs. @fd stays the caller's and readable whatever happens.
 */
void cache__commit(const char *dir, const char *temporary, int fd, const struct cache_key *key,
		   const char *records, size_t records_length, const struct initramfs_image *image);
void cache__abort(const char *temporary);

#endif /* KTSTR_INITRAMFS_CACHE_H */
