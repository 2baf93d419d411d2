/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contents of files, each kept once, in a file that is named by its digest. A file is there
 * completely or not at all. Who builds or reads holds the directory's lock shared; who removes what
 * nobody refers to needs it alone.
 */
#ifndef KTSTR_INITRAMFS_STORE_H
#define KTSTR_INITRAMFS_STORE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"

struct store {
	int dir; /* -1: closed */
};

struct part {
	struct digest digest;
	struct file_identity identity; /* when the content was checked */
	int fd;			       /* to read; the holder closes it */
};

/* Makes @dir and its parents. -errno: what cannot be made, or cannot be written. */
int store__open(const char *dir, struct store *store);
void store__close(struct store *store);

/* A new file in the store, to read and write, under a name that nobody looks for; -errno. */
#define STORE_NAME 64u
int store__create(const struct store *store, char name[STORE_NAME]);
void store__abandon(const struct store *store, const char *name);
/*
 * The file @fd (of store__create()) is complete: it gets its name, unless its content is there
 * already. @fd stays the caller's. -errno: it is gone, then.
 */
int store__adopt(const struct store *store, const char *name, int fd, struct part *part);
/* A copy of the first @size bytes of @source, whose name is @host. Says what failed. */
int store__put(const struct store *store, int source, uint64_t size, const char *host,
	       struct part *part, struct ktstr_error *error);

/* -errno that says nothing about a file: the process or the host has no room for another one. */
bool store__is_shortage(int err);
/*
 * Opens what @part->digest names, of @part->identity.size bytes. @trusted: what still has the
 * identity needs no other check. *rechecked becomes true when the content was read, and the
 * identity is a new one. -ENOENT; -EBADMSG: it was damaged, and is removed; a shortage.
 */
int store__get(const struct store *store, struct part *part, bool trusted, bool *rechecked);

/*
 * From here on nobody builds or reads, until store__share(). -EBUSY: somebody does; -errno: there
 * are no locks here. The lock is shared as before, then. What is wanted is to be found out in
 * between: it is not more, then, when store__collect() removes the rest.
 */
int store__be_alone(const struct store *store);
void store__share(const struct store *store);
/* Removes what @wanted does not have, and what killed writers left. For who is alone. */
void store__collect(const struct store *store, bool (*wanted)(void *opaque, const char *digest),
		    void *opaque);

#endif /* KTSTR_INITRAMFS_STORE_H */
