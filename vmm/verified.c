// SPDX-License-Identifier: GPL-2.0-only
/* Checks a file's content once for as long as the file stays as it is. */
#include "verified.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../initramfs/copy.h"

#define NS_PER_S INT64_C(1000000000)
/* A file may be written to twice in one tick of the file system's clock without showing it. */
#define CLOCK_TICK_NS INT64_C(100000000)

/* A note is this text and nothing else: it holds when the same would be written now. */
#define NOTE_MAX 320

static int64_t to_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec;
}

/*
 * write(2) and truncate(2) change ctime, as does rename(2), and nobody can set it. What is written
 * through a mapping changes it when the first page is: nobody maps these files to write.
 */
static bool describe(const struct stat *st, uint64_t length, const struct digest *digest,
		     char note[NOTE_MAX])
{
	char boot[BOOT_ID_SIZE]; /* another kernel reads the pages from the disk again */
	int n;

	if (!boot_id__read(boot))
		return false;
	n = snprintf(note, NOTE_MAX,
		     "ktstr-checked 1 %s %" PRIx64 ":%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64
		     " %" PRIx64 " %016" PRIx64 "%016" PRIx64 "\n",
		     boot, (uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
		     (uint64_t)to_ns(&st->st_mtim), (uint64_t)to_ns(&st->st_ctim), length,
		     digest->high, digest->low);
	return n > 0 && n < NOTE_MAX;
}

static bool note_path(const char *file, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s" VERIFIED_SUFFIX, file);

	return n > 0 && n < PATH_MAX;
}

static bool is_noted(const char *file, const char *note)
{
	char path[PATH_MAX], was[NOTE_MAX];
	ssize_t n;
	int fd;

	if (!note_path(file, path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	n = fd >= 0 ? read(fd, was, sizeof(was)) : -1;
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(note) && !memcmp(was, note, strlen(note));
}

/*
 * By a new name that is then the note's: whoever reads it has a whole one, and two that write it at
 * once do no harm. Without fsync(): after a crash the boot is another, and so is the note.
 */
static void write_note(const char *file, const char *note)
{
	char path[PATH_MAX], temporary[PATH_MAX];
	int fd, n;
	bool ok;

	if (!note_path(file, path))
		return;
	n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = n > 0 && n < PATH_MAX ? mkostemp(temporary, O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	ok = !copy__write(fd, note, strlen(note));
	if (close(fd) || !ok || rename(temporary, path))
		unlink(temporary);
}

/* It was not written to so lately that a change after @st could look the same. */
static bool has_settled(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return to_ns(&now) - to_ns(&st->st_ctim) > CLOCK_TICK_NS;
}

int verified__check(int fd, const char *path, uint64_t length, const struct digest *digest)
{
	struct digest is;
	char note[NOTE_MAX];
	struct stat st;
	bool can_note;
	int err;

	/* What is noted is how the file was before it was read: a change meanwhile shows. */
	if (fstat(fd, &st))
		return -errno;
	can_note = describe(&st, length, digest, note);
	if (can_note && is_noted(path, note))
		return 0;
	can_note = can_note && has_settled(&st);
	err = digest__file(fd, length, &is);
	if (err)
		return err == -ENODATA ? -EBADMSG : err;
	if (!digest__equal(&is, digest))
		return -EBADMSG;
	if (can_note)
		write_note(path, note);
	return 0;
}
