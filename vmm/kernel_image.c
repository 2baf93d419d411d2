// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens a kernel image. In an emulated KVM host every read of the host's files is a slow round
 * trip, and nothing of it stays in memory: there, images are copied to the scratch disk when they
 * are first read.
 */
#include "kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"

#define COPIES "kernel-images"
#define MAX_COPIES 8
/* A vmlinux with debug information is not worth it: little of it is read. */
#define MAX_COPY_BYTES (INT64_C(64) << 20)
/* A file may change twice in one tick of the file system's clock without showing it. */
#define CLOCK_TICK_NS INT64_C(100000000)
#define NS_PER_S INT64_C(1000000000)

static int64_t to_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       to_ns(&a->st_mtim) == to_ns(&b->st_mtim) && to_ns(&a->st_ctim) == to_ns(&b->st_ctim);
}

static int identity(const struct stat *st, char *buf, size_t size)
{
	int n = snprintf(buf, size, "%llx-%llx-%llx-%llx-%llx", (unsigned long long)st->st_dev,
			 (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
			 (unsigned long long)to_ns(&st->st_mtim),
			 (unsigned long long)to_ns(&st->st_ctim));

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int kernel__identity(int fd, char *buf, size_t size)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : identity(&st, buf, size);
}

/* The file's identity is its copy's name. */
static bool copy_path(const struct stat *st, char path[PATH_MAX], size_t *dir_length)
{
	if (cache__dir(COPIES, path, PATH_MAX))
		return false;
	*dir_length = strlen(path);
	if (*dir_length + 1 >= PATH_MAX)
		return false;
	path[*dir_length] = '/';
	return !identity(st, path + *dir_length + 1, PATH_MAX - *dir_length - 1);
}

/* Makes room for one more. Who has a copy open keeps it. */
static void prune(const char *dir)
{
	char oldest[NAME_MAX + 1] = "";
	int64_t oldest_ns = 0;
	struct dirent *item;
	DIR *stream = opendir(dir);
	int nr = 0;

	while (stream && (item = readdir(stream))) {
		struct stat st;

		if (item->d_name[0] == '.' ||
		    fstatat(dirfd(stream), item->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		nr++;
		if (*oldest && to_ns(&st.st_mtim) >= oldest_ns)
			continue;
		strcpy(oldest, item->d_name);
		oldest_ns = to_ns(&st.st_mtim);
	}
	if (nr >= MAX_COPIES)
		unlinkat(dirfd(stream), oldest, 0);
	if (stream)
		closedir(stream);
}

static bool copy_bytes(int from, int to, int64_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		size -= n;
	}
	return true;
}

/* The copy has a name only once it is whole; two that make it at once do no harm. */
static bool make_copy(const char *image, const struct stat *st, const char *path, size_t dir_length)
{
	int from = open(image, O_RDONLY | O_CLOEXEC), to;
	char dir[PATH_MAX], self[32];
	bool ok = false;
	struct stat now;

	memcpy(dir, path, dir_length);
	dir[dir_length] = '\0';
	prune(dir);
	to = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", to);
	if (from >= 0 && to >= 0 && copy_bytes(from, to, st->st_size) && !fstat(from, &now) &&
	    same_file(st, &now) && !fdatasync(to))
		ok = !linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) || errno == EEXIST;
	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return ok;
}

/* The copy's descriptor; -1: there is none and none can be made. */
static int open_copy(const char *image)
{
	char path[PATH_MAX];
	struct timespec now;
	size_t dir_length;
	struct stat st;
	int fd;

	if (stat(image, &st) || !S_ISREG(st.st_mode) || st.st_size > MAX_COPY_BYTES ||
	    !copy_path(&st, path, &dir_length))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	clock_gettime(CLOCK_REALTIME, &now);
	if (to_ns(&now) - to_ns(&st.st_ctim) < CLOCK_TICK_NS ||
	    !make_copy(image, &st, path, dir_length))
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int kernel__open(const struct kernel *kernel, struct ktstr_error *error)
{
	const char *scratch = getenv("KTSTR_SCRATCH");
	int fd = scratch && *scratch ? open_copy(kernel->image) : -1;

	if (fd < 0)
		fd = open(kernel->image, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? ktstr_error__set(error, errno, "open", kernel->image, NULL) : fd;
}
