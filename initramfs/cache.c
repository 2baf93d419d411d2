// SPDX-License-Identifier: GPL-2.0-only
/*
 * Archives in a directory. A new one is written under a temporary name, locked while its writer
 * lives, and renamed. Its modification time is set to a value that the footer has, so that a later
 * write to the file shows; its access time is when it was last used.
 */
#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "erofs.h"
#include "inputs.h"

#define ENTRY_PREFIX "base-"
#define TEMPORARY_PREFIX ".new-base-"
#define FOOTER_MAGIC "ktstr1\n" /* change it with any change of format or content */
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LENGTH 36u /* a UUID as text */
#define BLOCK 512u
#define ARCHIVE_MAGIC "070701" /* cpio newc */

/* Behind archive, key and records, at the very end of the file. */
struct footer {
	char magic[8];
	uint64_t archive_size, unpacked;
	uint64_t key_length, records_length;
	uint64_t hash;	  /* of footer, key and records */
	uint64_t mtime_s; /* of the file; its fraction is 0 */
	/* The file is not synced: only the boot that wrote it can trust its blocks. */
	char boot_id[40];
};

static bool read_all(int fd, void *data, size_t length, uint64_t offset)
{
	char *p = data;

	while (length) {
		ssize_t n = pread(fd, p, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		length -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

static bool write_all(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		length -= (size_t)n;
	}
	return true;
}

static bool read_boot_id(char id[40])
{
	int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	bool ok;

	memset(id, 0, 40);
	if (fd < 0)
		return false;
	ok = read(fd, id, BOOT_ID_LENGTH) == (ssize_t)BOOT_ID_LENGTH;
	close(fd);
	return ok;
}

static int entry_path(const char *dir, const struct cache_key *key, char *path, size_t size)
{
	int n = snprintf(path, size, "%s/" ENTRY_PREFIX "%016llx", dir,
			 (unsigned long long)strmap__hash(key->data, key->length));

	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Of everything but the archive itself. */
static uint64_t hash_all(const struct footer *footer, const char *key, size_t key_length,
			 const char *records, size_t records_length)
{
	struct footer copy = *footer;
	uint64_t parts[3];

	copy.hash = 0;
	parts[0] = strmap__hash(&copy, sizeof(copy));
	parts[1] = strmap__hash(key, key_length);
	parts[2] = strmap__hash(records, records_length);
	return strmap__hash(parts, sizeof(parts));
}

/* The file is ours, whole, and of this boot. */
static bool footer_fits(const struct footer *footer, const struct stat *st)
{
	uint64_t size = sizeof(*footer);
	char boot_id[40];

	return !memcmp(footer->magic, FOOTER_MAGIC, sizeof(footer->magic)) &&
	       !__builtin_add_overflow(size, footer->archive_size, &size) &&
	       !__builtin_add_overflow(size, footer->key_length, &size) &&
	       !__builtin_add_overflow(size, footer->records_length, &size) &&
	       size == (uint64_t)st->st_size && footer->archive_size &&
	       footer->archive_size % BLOCK == 0 &&
	       (uint64_t)st->st_mtim.tv_sec == footer->mtime_s && !st->st_mtim.tv_nsec &&
	       read_boot_id(boot_id) && !memcmp(boot_id, footer->boot_id, sizeof(boot_id));
}

static bool entry_is_current(int fd, const struct cache_key *key, struct initramfs_image *image)
{
	struct footer footer;
	char magic[sizeof(ARCHIVE_MAGIC) - 1];
	struct stat st;
	char *text;
	size_t length;
	bool ok;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) ||
	    (uint64_t)st.st_size < sizeof(footer) ||
	    !read_all(fd, &footer, sizeof(footer), (uint64_t)st.st_size - sizeof(footer)) ||
	    !footer_fits(&footer, &st) || footer.key_length != key->length ||
	    !read_all(fd, magic, sizeof(magic), 0) ||
	    (memcmp(magic, ARCHIVE_MAGIC, sizeof(magic)) != 0 && !erofs__is_image(fd)))
		return false;
	length = (size_t)(footer.key_length + footer.records_length);
	text = malloc(length + 1);
	if (!text)
		return false;
	ok = read_all(fd, text, length, footer.archive_size) &&
	     !memcmp(text, key->data, key->length) &&
	     footer.hash ==
		     hash_all(&footer, text, key->length, text + key->length, length - key->length);
	if (ok) {
		/* Records hold aligned numbers; inputs__current() copies what it reads. */
		ok = inputs__current(text + key->length, length - key->length);
	}
	free(text);
	if (!ok)
		return false;
	*image = (struct initramfs_image){
		.fd = fd, .size = footer.archive_size, .unpacked = footer.unpacked};
	return true;
}

bool cache__lookup(const char *dir, const struct cache_key *key, struct initramfs_image *image)
{
	const struct timespec used[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	char path[PATH_MAX];
	int fd;

	if (entry_path(dir, key, path, sizeof(path)))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return false;
	if (!entry_is_current(fd, key, image)) {
		close(fd);
		return false;
	}
	futimens(fd, used);
	return true;
}

/* mkdir -p; errors show when a file is made there. */
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

int cache__begin(const char *dir, char *temporary, size_t size)
{
	int n = snprintf(temporary, size, "%s/" TEMPORARY_PREFIX "XXXXXX", dir), fd;

	if (n < 0 || (size_t)n >= size)
		return -1;
	make_dirs(dir);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd >= 0)
		flock(fd, LOCK_EX | LOCK_NB); /* "its writer lives" */
	return fd;
}

void cache__abort(const char *temporary)
{
	unlink(temporary);
}

struct entry {
	char name[NAME_MAX + 1];
	struct timespec used;
};

static int least_recent_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	if (x->used.tv_nsec != y->used.tv_nsec)
		return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* A temporary file that nobody has locked was left by a writer that was killed. */
static void remove_if_left(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0)
		return;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		unlinkat(dir_fd, name, 0);
	close(fd);
}

/* Who has an entry open keeps it, whatever happens to its name. */
static void prune(const char *dir)
{
	struct entry *entries = NULL;
	size_t nr = 0;
	struct dirent *item;
	DIR *stream = opendir(dir);

	if (!stream)
		return;
	while ((item = readdir(stream))) {
		struct entry *p;
		struct stat st;

		if (!strncmp(item->d_name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)))
			remove_if_left(dirfd(stream), item->d_name);
		if (strncmp(item->d_name, ENTRY_PREFIX, strlen(ENTRY_PREFIX)) ||
		    fstatat(dirfd(stream), item->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		p = reallocarray(entries, nr + 1, sizeof(*p));
		if (!p)
			break;
		entries = p;
		strcpy(entries[nr].name, item->d_name);
		entries[nr++].used = st.st_atim;
	}
	if (nr > CACHE_MAX_ENTRIES) {
		qsort(entries, nr, sizeof(*entries), least_recent_first);
		for (size_t i = 0; i < nr - CACHE_MAX_ENTRIES; i++)
			unlinkat(dirfd(stream), entries[i].name, 0);
	}
	free(entries);
	closedir(stream);
}

void cache__commit(const char *dir, const char *temporary, int fd, const struct cache_key *key,
		   const char *records, size_t records_length, const struct initramfs_image *image)
{
	struct footer footer = {
		.archive_size = image->size,
		.unpacked = image->unpacked,
		.key_length = key->length,
		.records_length = records_length,
	};
	struct timespec times[2];
	char path[PATH_MAX];

	memcpy(footer.magic, FOOTER_MAGIC, sizeof(footer.magic));
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[1] = (struct timespec){.tv_sec = times[0].tv_sec};
	footer.mtime_s = (uint64_t)times[1].tv_sec;
	if (!read_boot_id(footer.boot_id) || entry_path(dir, key, path, sizeof(path))) {
		unlink(temporary);
		return;
	}
	footer.hash = hash_all(&footer, key->data, key->length, records, records_length);
	if (lseek(fd, (off_t)image->size, SEEK_SET) < 0 || !write_all(fd, key->data, key->length) ||
	    !write_all(fd, records, records_length) || !write_all(fd, &footer, sizeof(footer)) ||
	    futimens(fd, times) || rename(temporary, path)) {
		unlink(temporary);
		return;
	}
	prune(dir);
}
