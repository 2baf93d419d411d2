// SPDX-License-Identifier: GPL-2.0-only
/* Digests of files, and whether a file is still the one that was digested. */
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy.h"

#define XXH_INLINE_ALL /* no library is needed, here or in a guest */
#include <xxhash.h>

#define BUFFER (256u << 10)
#define NS_PER_S UINT64_C(1000000000)
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_LENGTH 36u

static struct digest to_digest(XXH128_hash_t hash)
{
	return (struct digest){.high = hash.high64, .low = hash.low64};
}

void digest__data(const void *data, size_t length, struct digest *digest)
{
	*digest = to_digest(XXH3_128bits(data, length));
}

bool digest__equal(const struct digest *a, const struct digest *b)
{
	return a->high == b->high && a->low == b->low;
}

/* By read(2), not by mapping: a file that gets shorter meanwhile is an error, not a signal. */
int digest__file(int fd, uint64_t size, struct digest *digest)
{
	XXH3_state_t *state = XXH3_createState();
	uint8_t *buffer = malloc(BUFFER);
	int err = state && buffer ? 0 : -ENOMEM;

	if (!err)
		XXH3_128bits_reset(state);
	for (uint64_t at = 0; !err && at < size;) {
		size_t n = size - at < BUFFER ? (size_t)(size - at) : BUFFER;

		err = copy__read(fd, buffer, n, at);
		if (!err)
			XXH3_128bits_update(state, buffer, n);
		at += n;
	}
	if (!err)
		*digest = to_digest(XXH3_128bits_digest(state));
	XXH3_freeState(state);
	free(buffer);
	return err;
}

void digest__text(const struct digest *digest, char text[DIGEST_TEXT])
{
	snprintf(text, DIGEST_TEXT, "%016llx%016llx", (unsigned long long)digest->high,
		 (unsigned long long)digest->low);
}

uint64_t digest__sum(const void *data, size_t length)
{
	return XXH3_64bits(data, length);
}

static uint64_t to_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
}

void file_identity__take(const struct stat *st, struct file_identity *identity)
{
	*identity = (struct file_identity){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = to_ns(&st->st_mtim),
		.ctime_ns = to_ns(&st->st_ctim),
	};
}

bool file_identity__equal(const struct file_identity *a, const struct file_identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool boot_id__read(char id[BOOT_ID_SIZE])
{
	int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	bool ok;

	memset(id, 0, BOOT_ID_SIZE);
	if (fd < 0)
		return false;
	ok = read(fd, id, BOOT_ID_LENGTH) == (ssize_t)BOOT_ID_LENGTH;
	close(fd);
	return ok;
}
