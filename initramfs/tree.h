/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plan of an archive: what lies at which path of the guest. Host files keep their path there,
 * with every symbolic link that leads to them, so that a path that works on the host does in the
 * guest.
 */
#ifndef KTSTR_INITRAMFS_TREE_H
#define KTSTR_INITRAMFS_TREE_H

#include <ktstr/error.h>

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "cpio.h"
#include "inputs.h"
#include "pieces.h"
#include "strmap.h"

enum tree_kind { TREE_DIR, TREE_FILE, TREE_DATA, TREE_SYMLINK, TREE_CHAR };

/* @path is absolute, and no parent of it is a symbolic link in the tree. */
struct tree_entry {
	char *path;
	enum tree_kind kind;
	uint32_t mode; /* permission bits */
	char *host;    /* TREE_FILE: where the content is */
	char *data;    /* TREE_DATA: the content; TREE_SYMLINK: the target, with a NUL */
	size_t size;   /* of @data */
	uint32_t major, minor;
};

struct tree {
	struct tree_entry **entries;
	size_t nr_entries, capacity;
	struct strmap by_path;
	struct inputs inputs;
};

/* All zero is an empty tree. */
void tree__free(struct tree *tree);

/*
 * Adds what is at the absolute host path @path: a regular file, or a directory (itself alone), and
 * the links and directories on the way. @real (PATH_MAX bytes, may be NULL) receives the path
 * without links. -ENOENT, -EACCES, -ELOOP; -EINVAL: a socket or the like; -EEXIST: see tree__put_*.
 */
int tree__add_host(struct tree *tree, const char *path, char *real, struct ktstr_error *error);

/*
 * Put something at a guest path, which is taken through the links that are in the tree; parents
 * are made. What is already there is accepted when it is the same, else -EEXIST. -EINVAL: the path
 * is not absolute or has "..".
 */
int tree__put_dir(struct tree *tree, const char *path, uint32_t mode, struct ktstr_error *error);
int tree__put_file(struct tree *tree, const char *path, uint32_t mode, const char *host,
		   struct ktstr_error *error);
int tree__put_data(struct tree *tree, const char *path, uint32_t mode, const void *data,
		   size_t size, struct ktstr_error *error);
int tree__put_symlink(struct tree *tree, const char *path, const char *target,
		      struct ktstr_error *error);
int tree__put_char(struct tree *tree, const char *path, uint32_t mode, uint32_t major,
		   uint32_t minor, struct ktstr_error *error);

/* The entry that @path leads to in the guest, links followed; NULL when there is none. */
const struct tree_entry *tree__lookup(const struct tree *tree, const char *path);

/* Bytes of content of all files, as they are now; what is not there has none. */
uint64_t tree__content(const struct tree *tree);

/*
 * Writes the archive, sorted by path; ends it. @pieces: where the content of large files goes;
 * NULL: into the archive.
 */
int tree__write(struct tree *tree, struct cpio *cpio, struct pieces *pieces,
		struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_TREE_H */
