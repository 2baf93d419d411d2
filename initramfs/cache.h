/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finished archives: in one directory an entry for each request, which says what was asked for,
 * what the archive was made from, and which parts of the store (DIR/parts) it is made of. An entry
 * is there completely or not at all. A cache that does not work is not used: for the caller it is
 * no error, but worth a note.
 */
#ifndef KTSTR_INITRAMFS_CACHE_H
#define KTSTR_INITRAMFS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "initramfs.h"
#include "pieces.h"

/* What is kept of itself: the least recently used go. `ktstr cache clean` goes further. */
#define CACHE_MAX_ENTRIES 128u
#define CACHE_MAX_BYTES (UINT64_C(4) << 30)

/* What was asked for, as bytes that are equal exactly when the request is. */
struct cache_key {
	char *data;
	size_t length;
	char about[160]; /* the same in a line for a person */
};

/* The directory, and its store while it is in use. */
struct cache {
	const char *dir;
	struct store store;
};

/* -errno: there is none. */
int cache__open(const char *dir, struct cache *cache);
void cache__close(struct cache *cache);

/*
 * True: @image is an archive for @key, and nothing that it was made from has changed. False: there
 * is none; image->note says so when that is because of damage.
 */
bool cache__lookup(struct cache *cache, const struct cache_key *key, struct initramfs_image *image);

/*
 * An archive is complete: @rest has what is not in @pieces, adopted by the store. Keeps it for
 * @key, together with the records of struct inputs. -errno: it is not kept.
 */
int cache__keep(struct cache *cache, const struct cache_key *key, const char *records,
		size_t records_length, const struct pieces *pieces, const struct part *rest,
		uint64_t size, uint64_t unpacked);
/* The image of such an archive; it has descriptors of its own. 0 or -errno. */
int cache__image(const struct pieces *pieces, const struct part *rest, uint64_t size,
		 uint64_t unpacked, struct initramfs_image *image);

/* One entry, for `ktstr cache`. */
struct cache_entry {
	char name[128];	 /* of its file in the directory */
	char about[160]; /* of its key */
	uint64_t size;	 /* bytes of its archive */
	uint64_t own;	 /* bytes of the store that no entry used more recently has */
	int64_t used_ns; /* when last; ns since the epoch */
};

/* The most recently used first; malloc'ed. -errno. */
int cache__list(struct cache *cache, struct cache_entry **entries, size_t *nr);
/*
 * Keeps the @keep most recently used entries, of them those that take @bytes together, and what
 * they need of the store. What cannot be removed stays: -errno of the first such entry; -EBUSY:
 * somebody uses the store, and it keeps what it has.
 */
int cache__clean(struct cache *cache, size_t keep, uint64_t bytes);

#endif /* KTSTR_INITRAMFS_CACHE_H */
