// SPDX-License-Identifier: GPL-2.0-only
/* The plan of an archive: entries by guest path, with host paths and their links reproduced. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TREE_MAX_LINKS 40 /* as path_resolution(7) */

static void free_entry(struct tree_entry *entry)
{
	if (!entry)
		return;
	free(entry->path);
	free(entry->host);
	free(entry->data);
	free(entry);
}

void tree__free(struct tree *tree)
{
	for (size_t i = 0; i < tree->nr_entries; i++)
		free_entry(tree->entries[i]);
	free(tree->entries);
	strmap__free(&tree->by_path);
	inputs__free(&tree->inputs);
	*tree = (struct tree){0};
}

/*
 * A path that is walked component by component: @done has no links and does not end in a slash,
 * @rest is still to do.
 */
struct walk {
	char done[PATH_MAX];
	size_t done_length;
	char rest[PATH_MAX];
	int links;
};

static int walk_start(struct walk *walk, const char *path)
{
	size_t length = strlen(path);

	if (length >= sizeof(walk->rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, path, length + 1);
	walk->done[0] = '\0';
	walk->done_length = 0;
	walk->links = 0;
	return 0;
}

static void walk_up(struct walk *walk)
{
	char *slash = strrchr(walk->done, '/');

	if (slash)
		*slash = '\0';
	walk->done_length = strlen(walk->done);
}

/* Moves the next component from @rest to @done. 1: there was one, 0: the end. */
static int walk_next(struct walk *walk)
{
	for (;;) {
		size_t skip = strspn(walk->rest, "/");
		const char *component = walk->rest + skip;
		size_t length = strcspn(component, "/");

		if (!length)
			return 0;
		if (length == 2 && !memcmp(component, "..", 2)) {
			walk_up(walk);
		} else if (length != 1 || *component != '.') {
			if (walk->done_length + 1 + length >= sizeof(walk->done))
				return -ENAMETOOLONG;
			walk->done[walk->done_length] = '/';
			memcpy(walk->done + walk->done_length + 1, component, length);
			walk->done_length += 1 + length;
			walk->done[walk->done_length] = '\0';
			memmove(walk->rest, component + length, strlen(component + length) + 1);
			return 1;
		}
		memmove(walk->rest, component + length, strlen(component + length) + 1);
	}
}

/* @done turned out to be a link to @target: go on there. */
static int walk_follow(struct walk *walk, const char *target)
{
	char rest[PATH_MAX];
	int n;

	if (++walk->links > TREE_MAX_LINKS)
		return -ELOOP;
	n = snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest);
	if (n < 0 || (size_t)n >= sizeof(rest))
		return -ENAMETOOLONG;
	memcpy(walk->rest, rest, (size_t)n + 1);
	walk_up(walk);
	if (*target == '/') {
		walk->done[0] = '\0';
		walk->done_length = 0;
	}
	return 0;
}

/* Brings @walk to the end through the links of the tree alone. */
static int walk_in_tree(const struct tree *tree, struct walk *walk)
{
	int err;

	while ((err = walk_next(walk)) > 0) {
		const struct tree_entry *entry = strmap__get(&tree->by_path, walk->done);

		if (entry && entry->kind == TREE_SYMLINK) {
			err = walk_follow(walk, entry->data);
			if (err)
				return err;
		}
	}
	return err;
}

const struct tree_entry *tree__lookup(const struct tree *tree, const char *path)
{
	struct walk walk;

	if (walk_start(&walk, path) || walk_in_tree(tree, &walk))
		return NULL;
	return strmap__get(&tree->by_path, walk.done);
}

uint64_t tree__content(const struct tree *tree)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < tree->nr_entries; i++) {
		const struct tree_entry *entry = tree->entries[i];
		struct stat st;

		if (entry->kind == TREE_DATA)
			sum += entry->size;
		else if (entry->kind == TREE_FILE && !stat(entry->host, &st))
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

static bool same(const struct tree_entry *a, const struct tree_entry *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case TREE_DIR:
		return true;
	case TREE_FILE:
		return !strcmp(a->host, b->host);
	case TREE_DATA:
	case TREE_SYMLINK:
		return a->size == b->size && !memcmp(a->data, b->data, a->size);
	case TREE_CHAR:
		return a->major == b->major && a->minor == b->minor;
	}
	return false;
}

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
}

/* Copies what @source points to; @source->path has no links in its parents, which exist. */
static int insert(struct tree *tree, const struct tree_entry *source, struct ktstr_error *error)
{
	const struct tree_entry *old = strmap__get(&tree->by_path, source->path);
	struct tree_entry *entry;

	if (old && same(old, source))
		return 0;
	if (old)
		return ktstr_error__set(error, EEXIST, "add to initramfs", source->path,
					"something else is already there%s%s%s%s",
					old->host ? ": " : "", old->host ? old->host : "",
					source->host ? ", and now " : "",
					source->host ? source->host : "");
	if (tree->nr_entries == tree->capacity) {
		size_t capacity = tree->capacity ? tree->capacity * 2 : 64;
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
		struct tree_entry **p = reallocarray(tree->entries, capacity, sizeof(*p));

		if (!p)
			return no_memory(error);
		tree->entries = p;
		tree->capacity = capacity;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return no_memory(error);
	*entry = *source;
	entry->path = strdup(source->path);
	entry->host = source->host ? strdup(source->host) : NULL;
	entry->data = source->data ? malloc(source->size + 1) : NULL;
	if (!entry->path || (source->host && !entry->host) || (source->data && !entry->data) ||
	    strmap__set(&tree->by_path, source->path, entry)) {
		free_entry(entry);
		return no_memory(error);
	}
	if (source->data)
		memcpy(entry->data, source->data, source->size);
	tree->entries[tree->nr_entries++] = entry;
	return 0;
}

/* Directories above @path that are not there yet. @path has no links. */
static int make_parents(struct tree *tree, const char *path, struct ktstr_error *error)
{
	char parent[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct tree_entry dir = {.path = parent, .kind = TREE_DIR, .mode = 0755};
		size_t length = (size_t)(slash - path);
		int err;

		memcpy(parent, path, length);
		parent[length] = '\0';
		err = insert(tree, &dir, error);
		if (err)
			return err;
	}
	return 0;
}

/* @entry->path is a guest path as somebody gave it. */
static int put(struct tree *tree, const struct tree_entry *entry, struct ktstr_error *error)
{
	const char *path = entry->path, *base = strrchr(path, '/');
	struct tree_entry resolved = *entry;
	struct walk walk;
	int err;

	if (*path != '/' || strstr(path, "/../") || (base && !strcmp(base, "/..")))
		return ktstr_error__set(error, EINVAL, "add to initramfs", path,
					"a path in the guest is absolute and has no \"..\"");
	err = walk_start(&walk, path);
	if (!err)
		err = walk_in_tree(tree, &walk);
	if (err)
		return ktstr_error__set(error, -err, "add to initramfs", path, NULL);
	if (!walk.done_length) {
		if (entry->kind == TREE_DIR)
			return 0;
		return ktstr_error__set(error, EISDIR, "add to initramfs", path, NULL);
	}
	resolved.path = walk.done;
	err = make_parents(tree, walk.done, error);
	return err ? err : insert(tree, &resolved, error);
}

int tree__put_dir(struct tree *tree, const char *path, uint32_t mode, struct ktstr_error *error)
{
	struct tree_entry entry = {.path = (char *)path, .kind = TREE_DIR, .mode = mode};

	return put(tree, &entry, error);
}

int tree__put_file(struct tree *tree, const char *path, uint32_t mode, const char *host,
		   struct ktstr_error *error)
{
	struct tree_entry entry = {
		.path = (char *)path, .kind = TREE_FILE, .mode = mode, .host = (char *)host};

	return put(tree, &entry, error);
}

int tree__put_data(struct tree *tree, const char *path, uint32_t mode, const void *data,
		   size_t size, struct ktstr_error *error)
{
	struct tree_entry entry = {.path = (char *)path,
				   .kind = TREE_DATA,
				   .mode = mode,
				   .data = (char *)(uintptr_t)data,
				   .size = size};

	return put(tree, &entry, error);
}

int tree__put_symlink(struct tree *tree, const char *path, const char *target,
		      struct ktstr_error *error)
{
	struct tree_entry entry = {.path = (char *)path,
				   .kind = TREE_SYMLINK,
				   .mode = 0777,
				   .data = (char *)target,
				   .size = strlen(target) + 1};

	return put(tree, &entry, error);
}

int tree__put_char(struct tree *tree, const char *path, uint32_t mode, uint32_t major,
		   uint32_t minor, struct ktstr_error *error)
{
	struct tree_entry entry = {.path = (char *)path,
				   .kind = TREE_CHAR,
				   .mode = mode,
				   .major = major,
				   .minor = minor};

	return put(tree, &entry, error);
}

static int add_link(struct tree *tree, struct walk *walk, struct ktstr_error *error)
{
	char target[PATH_MAX];
	ssize_t n = readlink(walk->done, target, sizeof(target) - 1);
	struct tree_entry link = {.path = walk->done, .kind = TREE_SYMLINK, .mode = 0777};
	int err;

	if (n < 0)
		return ktstr_error__set(error, errno, "readlink", walk->done, NULL);
	target[n] = '\0';
	link.data = target;
	link.size = (size_t)n + 1;
	err = make_parents(tree, walk->done, error);
	if (!err)
		err = insert(tree, &link, error);
	if (err)
		return err;
	err = walk_follow(walk, target);
	return err ? ktstr_error__set(error, -err, "follow link", walk->done, NULL) : 0;
}

static int add_host_end(struct tree *tree, const char *path, const struct stat *st,
			struct ktstr_error *error)
{
	struct tree_entry entry = {.path = (char *)path, .mode = st->st_mode & 07777};
	int err;

	if (S_ISREG(st->st_mode)) {
		entry.kind = TREE_FILE;
		entry.host = (char *)path;
	} else if (S_ISDIR(st->st_mode)) {
		entry.kind = TREE_DIR;
	} else {
		return ktstr_error__set(error, EINVAL, "add to initramfs", path,
					"neither a file nor a directory");
	}
	err = make_parents(tree, path, error);
	return err ? err : insert(tree, &entry, error);
}

/* The next component is "..". */
static bool is_left_again(const struct walk *walk)
{
	const char *next = walk->rest;

	do {
		next += strspn(next, "/");
	} while (next[0] == '.' && (!next[1] || next[1] == '/') && *++next);
	return !strncmp(next, "..", 2) && (!next[2] || next[2] == '/');
}

int tree__add_host(struct tree *tree, const char *path, char *real, struct ktstr_error *error)
{
	struct stat st = {.st_mode = S_IFDIR | 0755};
	struct walk walk;
	int err = walk_start(&walk, path);

	while (!err) {
		err = walk_next(&walk);
		if (err <= 0)
			break;
		err = inputs__walk(&tree->inputs, walk.done, &st);
		if (!err && S_ISLNK(st.st_mode)) {
			err = add_link(tree, &walk, error);
			if (err)
				return err;
		} else if (!err && S_ISDIR(st.st_mode) && is_left_again(&walk)) {
			/* "dir/../file" needs dir in the guest, too */
			err = add_host_end(tree, walk.done, &st, error);
			if (err)
				return err;
		}
	}
	if (err)
		return ktstr_error__set(error, -err, "open", path, NULL);
	if (walk.done_length) {
		err = inputs__walk(&tree->inputs, walk.done, &st);
		if (err)
			return ktstr_error__set(error, -err, "open", path, NULL);
		err = add_host_end(tree, walk.done, &st, error);
	}
	if (!err && real)
		strcpy(real, walk.done_length ? walk.done : "/");
	return err;
}

/* Parents sort before what lies in them: a path is longer than its prefix. */
static int by_path(const void *a, const void *b)
{
	const struct tree_entry *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

static int write_content(const struct tree_entry *entry, int fd, uint64_t size, struct cpio *cpio,
			 struct pieces *pieces, struct ktstr_error *error)
{
	int err = -ENOTSUP;

	if (pieces && size >= PIECE_MIN)
		err = pieces__add(pieces, cpio, entry->path, entry->mode, fd, size, entry->host,
				  error);
	return err == -ENOTSUP
		       ? cpio__file(cpio, entry->path, entry->mode, fd, size, entry->host, error)
		       : err;
}

static int write_file(struct tree *tree, const struct tree_entry *entry, struct cpio *cpio,
		      struct pieces *pieces, struct ktstr_error *error)
{
	struct stat st;
	int fd, err;

	/* Recorded before the content is read: a change from here on is seen by the next user. */
	err = inputs__stat(&tree->inputs, entry->host, &st);
	if (err)
		return ktstr_error__set(error, -err, "open", entry->host, NULL);
	fd = open(entry->host, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ktstr_error__set(error, errno, "open", entry->host, NULL);
	if (fstat(fd, &st))
		err = ktstr_error__set(error, errno, "stat", entry->host, NULL);
	else if (!S_ISREG(st.st_mode))
		err = ktstr_error__set(error, EINVAL, "add to initramfs", entry->host,
				       "not a regular file");
	else
		err = write_content(entry, fd, (uint64_t)st.st_size, cpio, pieces, error);
	close(fd);
	return err;
}

static int write_entry(struct tree *tree, const struct tree_entry *entry, struct cpio *cpio,
		       struct pieces *pieces, struct ktstr_error *error)
{
	switch (entry->kind) {
	case TREE_DIR:
		return cpio__dir(cpio, entry->path, entry->mode, error);
	case TREE_FILE:
		return write_file(tree, entry, cpio, pieces, error);
	case TREE_DATA:
		return cpio__data(cpio, entry->path, entry->mode, entry->data, entry->size, error);
	case TREE_SYMLINK:
		return cpio__symlink(cpio, entry->path, entry->data, error);
	case TREE_CHAR:
		return cpio__char(cpio, entry->path, entry->mode, entry->major, entry->minor,
				  error);
	}
	return -EINVAL;
}

int tree__write(struct tree *tree, struct cpio *cpio, struct pieces *pieces,
		struct ktstr_error *error)
{
	if (tree->nr_entries)
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
		qsort(tree->entries, tree->nr_entries, sizeof(*tree->entries), by_path);
	for (size_t i = 0; i < tree->nr_entries; i++) {
		int err = write_entry(tree, tree->entries[i], cpio, pieces, error);

		if (err)
			return err;
	}
	return cpio__end(cpio, error);
}
