// SPDX-License-Identifier: GPL-2.0-only
/* Identities of the files that an archive was made from, as a list of records to compare with. */
#include "inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_ALIGN 8u
#define NS_PER_S UINT64_C(1000000000)

/* Written to files: fixed layout, no padding. A path that is not there has @mode 0. */
struct inputs_record {
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
	uint32_t mode;
	uint32_t how;	    /* enum how */
	uint32_t path_size; /* with its NUL */
	uint32_t reserved;
};

enum how { HOW_LSTAT, HOW_STAT, HOW_WALK };

static uint64_t to_ns(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec;
}

static void describe(struct inputs_record *record, const struct stat *st)
{
	record->mode = st->st_mode;
	if (record->how == HOW_WALK && S_ISDIR(st->st_mode)) {
		record->mode = S_IFDIR;
		return;
	}
	record->dev = st->st_dev;
	record->ino = st->st_ino;
	record->size = (uint64_t)st->st_size;
	record->mtime_ns = to_ns(&st->st_mtim);
	record->ctime_ns = to_ns(&st->st_ctim);
}

static size_t padded(size_t path_size)
{
	return (path_size + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

static int put(struct inputs *inputs, const struct inputs_record *record, const char *path)
{
	size_t path_room = padded(record->path_size);
	size_t need = inputs->length + sizeof(*record) + path_room;

	if (need > inputs->capacity) {
		size_t capacity = need * 2;
		char *p = realloc(inputs->records, capacity);

		if (!p)
			return -ENOMEM;
		inputs->records = p;
		inputs->capacity = capacity;
	}
	memcpy(inputs->records + inputs->length, record, sizeof(*record));
	memset(inputs->records + inputs->length + sizeof(*record), 0, path_room);
	memcpy(inputs->records + inputs->length + sizeof(*record), path, record->path_size);
	inputs->length = need;
	return 0;
}

static int record_stat(struct inputs *inputs, const char *path, enum how how, struct stat *st)
{
	struct inputs_record record = {.how = how, .path_size = (uint32_t)strlen(path) + 1};
	struct strmap *seen = &inputs->seen;
	void *marks = strmap__get(seen, path);
	uintptr_t mark = (uintptr_t)1 << how;
	int err = (how == HOW_STAT ? stat(path, st) : lstat(path, st)) ? -errno : 0;

	if ((uintptr_t)marks & mark)
		return err;
	if (!err) {
		describe(&record, st);
		if (record.ctime_ns > inputs->newest_ns)
			inputs->newest_ns = record.ctime_ns;
	}
	if (put(inputs, &record, path) ||
	    strmap__set(seen, path, (void *)((uintptr_t)marks | mark)))
		inputs->failed = true;
	return err;
}

int inputs__stat(struct inputs *inputs, const char *path, struct stat *st)
{
	return record_stat(inputs, path, HOW_STAT, st);
}

int inputs__lstat(struct inputs *inputs, const char *path, struct stat *st)
{
	return record_stat(inputs, path, HOW_LSTAT, st);
}

int inputs__walk(struct inputs *inputs, const char *path, struct stat *st)
{
	return record_stat(inputs, path, HOW_WALK, st);
}

static bool unchanged(const struct inputs_record *old, const char *path)
{
	struct inputs_record now = {.how = old->how, .path_size = old->path_size};
	struct stat st;

	if (!(old->how == HOW_STAT ? stat(path, &st) : lstat(path, &st)))
		describe(&now, &st);
	return !memcmp(&now, old, sizeof(now));
}

bool inputs__current(const char *records, size_t length)
{
	while (length) {
		struct inputs_record record;
		const char *path = records + sizeof(record);

		if (length < sizeof(record))
			return false;
		memcpy(&record, records, sizeof(record));
		length -= sizeof(record);
		if (!record.path_size || padded(record.path_size) > length ||
		    path[record.path_size - 1])
			return false;
		if (!unchanged(&record, path))
			return false;
		records = path + padded(record.path_size);
		length -= padded(record.path_size);
	}
	return true;
}

void inputs__free(struct inputs *inputs)
{
	free(inputs->records);
	strmap__free(&inputs->seen);
	*inputs = (struct inputs){0};
}
