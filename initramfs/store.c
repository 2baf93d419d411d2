// SPDX-License-Identifier: GPL-2.0-only
/* Files named by the digest of their content. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"

#define TEMPORARY_PREFIX ".new-"
#define CREATE_TRIES 16

/* mkdir -p; errors show when it is opened. */
static void make_dirs(const char *dir)
{
	char path[PATH_MAX];
	size_t length = strlen(dir);

	if (length >= sizeof(path))
		return;
	memcpy(path, dir, length + 1);
	for (size_t i = 1; i < length; i++) {
		if (path[i] != '/')
			continue;
		path[i] = '\0';
		mkdir(path, 0777);
		path[i] = '/';
	}
	mkdir(path, 0777);
}

void store__share(const struct store *store)
{
	while (flock(store->dir, LOCK_SH) && errno == EINTR)
		;
}

int store__be_alone(const struct store *store)
{
	int err;

	if (!flock(store->dir, LOCK_EX | LOCK_NB))
		return 0;
	err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	/* flock(2): the lock that was held is given up first, and gone also where this fails. */
	store__share(store);
	return err;
}

int store__open(const char *dir, struct store *store)
{
	make_dirs(dir);
	store->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir < 0)
		return -errno;
	/* Where there are no locks nothing is ever removed, either: see store__be_alone(). */
	store__share(store);
	return 0;
}

void store__close(struct store *store)
{
	if (store->dir >= 0)
		close(store->dir);
	store->dir = -1;
}

int store__create(const struct store *store, char name[STORE_NAME])
{
	for (int i = 0; i < CREATE_TRIES; i++) {
		uint64_t random;
		int fd;

		if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
			return -EIO;
		snprintf(name, STORE_NAME, TEMPORARY_PREFIX "%016llx", (unsigned long long)random);
		fd = openat(store->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			    0600);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

void store__abandon(const struct store *store, const char *name)
{
	unlinkat(store->dir, name, 0);
}

/* To read @name as it lies there: a regular file, of us or of root. -errno. */
static int open_part(const struct store *store, const char *name, struct stat *st)
{
	int fd = openat(store->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	if (!fstat(fd, st) && S_ISREG(st->st_mode) && (st->st_uid == geteuid() || !st->st_uid))
		return fd;
	close(fd);
	return -EBADMSG;
}

bool store__is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

/* Of the first @size bytes of the open file, which has @digest. -EBADMSG: it has another one. */
static int check_content(int fd, uint64_t size, const struct digest *digest)
{
	struct digest is;
	int err = digest__file(fd, size, &is);

	if (store__is_shortage(err))
		return err;
	return err || !digest__equal(&is, digest) ? -EBADMSG : 0;
}

int store__get(const struct store *store, struct part *part, bool trusted, bool *rechecked)
{
	char name[DIGEST_TEXT];
	struct file_identity now;
	struct stat st;
	int fd, err = 0;

	part->fd = -1;
	digest__text(&part->digest, name);
	fd = open_part(store, name, &st);
	if (fd == -ENOENT || store__is_shortage(fd))
		return fd;
	if (fd < 0) {
		store__abandon(store, name);
		return -EBADMSG;
	}
	file_identity__take(&st, &now);
	if (!trusted || !file_identity__equal(&now, &part->identity)) {
		*rechecked = true;
		err = now.size == part->identity.size ? check_content(fd, now.size, &part->digest)
						      : -EBADMSG;
		part->identity = now;
	}
	if (err) {
		if (err == -EBADMSG)
			store__abandon(store, name);
		close(fd);
		return err;
	}
	part->fd = fd;
	return 0;
}

int store__adopt(const struct store *store, const char *name, int fd, struct part *part)
{
	char final[DIGEST_TEXT];
	struct stat st;
	bool rechecked;
	int err = fstat(fd, &st) ? -errno : 0;

	part->fd = -1;
	if (!err)
		err = digest__file(fd, (uint64_t)st.st_size, &part->digest);
	if (err) {
		store__abandon(store, name);
		return err;
	}
	part->identity.size = (uint64_t)st.st_size;
	if (!store__get(store, part, false, &rechecked)) {
		store__abandon(store, name);
		return 0;
	}
	digest__text(&part->digest, final);
	if (fsync(fd) || renameat(store->dir, name, store->dir, final)) {
		err = -errno;
		store__abandon(store, name);
		return err;
	}
	/* The identity is taken after the rename, which changes it. */
	part->fd = open_part(store, final, &st);
	if (part->fd < 0)
		return part->fd;
	file_identity__take(&st, &part->identity);
	return 0;
}

int store__put(const struct store *store, int source, uint64_t size, const char *host,
	       struct part *part, struct ktstr_error *error)
{
	char name[STORE_NAME];
	int fd = store__create(store, name), err;

	part->fd = -1;
	if (fd < 0)
		return ktstr_error__set(error, -fd, "create", "a file in the cache", NULL);
	err = copy__bytes(fd, source, 0, size, host, error);
	if (err) {
		store__abandon(store, name);
	} else {
		err = store__adopt(store, name, fd, part);
		if (err)
			ktstr_error__set(error, -err, "write", "a file in the cache", NULL);
	}
	close(fd);
	return err;
}

void store__collect(const struct store *store, bool (*wanted)(void *opaque, const char *digest),
		    void *opaque)
{
	struct dirent *item;
	DIR *stream;
	int fd = openat(store->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream && fd >= 0)
		close(fd);
	while (stream && (item = readdir(stream))) {
		if (!strcmp(item->d_name, ".") || !strcmp(item->d_name, ".."))
			continue;
		if (!wanted(opaque, item->d_name))
			unlinkat(store->dir, item->d_name, 0);
	}
	if (stream)
		closedir(stream);
}
