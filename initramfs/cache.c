// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries are small files; what they are made of lies in the store. Whether a part is still what it
 * was is known from its identity, within the boot that checked it; after that, its content is read
 * once more. An entry's access time is when it was last used.
 */
#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"
#include "inputs.h"

#define ENTRY_PREFIX "base-"
#define STORE "parts"
#define MAGIC "ktstr2\n" /* change it with any change of format or content */
#define MAGIC_STEM 5u	 /* bytes of it that every version has */
#define ENTRY_MAX (64u << 20)
#define MAX_TABLE 65536u
#define NS_PER_S INT64_C(1000000000)

/* Written to files: no padding. Behind it: parts, pieces, key, records. */
struct head {
	char magic[8];
	uint64_t sum; /* of the file from @length on */
	uint64_t length;
	uint64_t archive_size, unpacked;
	uint64_t nr_parts, nr_pieces; /* the first part is what is in no piece */
	uint64_t key_length, records_length;
	char about[160];
	char boot_id[BOOT_ID_SIZE]; /* of the kernel that saw the identities */
};

struct stored_part {
	struct digest digest;
	struct file_identity identity;
};

/* An entry in memory; the pointers lie in @data. */
struct loaded {
	char *data;
	struct head *head;
	struct stored_part *parts;
	struct piece *pieces;
	char *key, *records;
};

int cache__open(const char *dir, struct cache *cache)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/" STORE, dir);

	*cache = (struct cache){.dir = dir, .store.dir = -1};
	return n < 0 || (size_t)n >= sizeof(path) ? -ENAMETOOLONG
						  : store__open(path, &cache->store);
}

void cache__close(struct cache *cache)
{
	store__close(&cache->store);
}

/* ---- Images ---- */

static int add_segment(struct initramfs_image *image, int fd, uint64_t offset, uint64_t length)
{
	struct initramfs_segment *p;

	if (!length)
		return 0;
	p = reallocarray(image->segments, image->nr_segments + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	image->segments = p;
	p[image->nr_segments++] =
		(struct initramfs_segment){.fd = fd, .offset = offset, .length = length};
	return 0;
}

/* @image->fds: the rest, then one for each part. */
static int add_segments(struct initramfs_image *image, const struct piece *pieces, size_t nr,
			uint64_t size)
{
	uint64_t at = 0, rest = 0;
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++) {
		uint64_t before = pieces[i].at - at;

		err = add_segment(image, image->fds[0], rest, before);
		if (!err)
			err = add_segment(image, image->fds[1 + pieces[i].part], 0,
					  pieces[i].length);
		rest += before;
		at = pieces[i].at + pieces[i].length;
	}
	return err ? err : add_segment(image, image->fds[0], rest, size - at);
}

int cache__image(const struct pieces *pieces, const struct part *rest, uint64_t size,
		 uint64_t unpacked, struct initramfs_image *image)
{
	size_t nr = pieces->nr_parts + 1;
	int err = 0;

	image->fds = calloc(nr, sizeof(*image->fds));
	if (!image->fds)
		return -ENOMEM;
	image->size = size;
	image->unpacked = unpacked;
	for (size_t i = 0; i < nr && !err; i++) {
		int fd = fcntl(i ? pieces->parts[i - 1].fd : rest->fd, F_DUPFD_CLOEXEC, 0);

		err = fd < 0 ? -errno : 0;
		if (!err)
			image->fds[image->nr_fds++] = fd;
	}
	if (!err)
		err = add_segments(image, pieces->pieces, pieces->nr_pieces, size);
	if (err)
		initramfs_image__close(image);
	return err;
}

/* ---- Entries ---- */

static void unload(struct loaded *entry)
{
	free(entry->data);
	entry->data = NULL;
}

/* Pieces in order, in the archive and in their parts, and between them all of the rest. */
static bool pieces_fit(const struct loaded *entry)
{
	const struct head *h = entry->head;
	uint64_t end = 0, rest = h->archive_size;

	for (uint64_t i = 0; i < h->nr_pieces; i++) {
		const struct piece *p = &entry->pieces[i];

		if (p->at < end || p->at % CPIO_PAGE || p->length % CPIO_PAGE ||
		    __builtin_add_overflow(p->at, p->length, &end) || end > h->archive_size ||
		    p->part >= h->nr_parts - 1 ||
		    p->length > entry->parts[p->part + 1].identity.size)
			return false;
		rest -= p->length;
	}
	return rest && rest == entry->parts[0].identity.size;
}

/* Points into the data, when all that it says fits into its length. */
static bool find_tables(struct loaded *entry, uint64_t length)
{
	struct head *h = (struct head *)entry->data;
	uint64_t at = sizeof(*h);

	if (length < sizeof(*h) || memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 ||
	    h->length != length || !h->nr_parts || h->nr_parts > MAX_TABLE ||
	    h->nr_pieces > MAX_TABLE || h->key_length > length || h->records_length > length ||
	    h->about[sizeof(h->about) - 1] ||
	    h->sum != digest__sum(&h->length, length - offsetof(struct head, length)))
		return false;
	entry->head = h;
	entry->parts = (struct stored_part *)(entry->data + at);
	at += h->nr_parts * sizeof(struct stored_part);
	entry->pieces = (struct piece *)(entry->data + at);
	at += h->nr_pieces * sizeof(struct piece);
	entry->key = entry->data + at;
	entry->records = entry->key + h->key_length;
	return at + h->key_length + h->records_length == length && pieces_fit(entry);
}

static int load(int dir, const char *name, struct loaded *entry)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW), err = 0;
	struct stat st;

	*entry = (struct loaded){0};
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return store__is_shortage(-errno) ? -EMFILE : -EBADMSG;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid) ||
	    st.st_size < (off_t)sizeof(struct head) || st.st_size > (off_t)ENTRY_MAX)
		err = -EBADMSG;
	if (!err) {
		entry->data = malloc((size_t)st.st_size);
		err = entry->data ? copy__read(fd, entry->data, (size_t)st.st_size, 0) : -ENOMEM;
	}
	/* One of another version is none at all; the bytes of the first one were an archive's. */
	if (!err && !find_tables(entry, (uint64_t)st.st_size))
		err = (!memcmp(entry->data, MAGIC, MAGIC_STEM) &&
		       memcmp(entry->data, MAGIC, sizeof(MAGIC)) != 0) ||
				      !memcmp(entry->data, "070701", 6)
			      ? -ENOENT
			      : -EBADMSG;
	close(fd);
	if (err)
		unload(entry);
	return err;
}

/* Relative to the store's directory. */
static void entry_name(const struct cache_key *key, char *name, size_t size)
{
	snprintf(name, size, "../" ENTRY_PREFIX "%016llx",
		 (unsigned long long)digest__sum(key->data, key->length));
}

/* Under a name that the store takes away when its writer was killed, then under its own. */
static int write_entry(const struct store *store, const char *path, struct head *head,
		       const void *const *tables, const size_t *lengths)
{
	char name[STORE_NAME];
	size_t length = sizeof(*head), at = sizeof(*head);
	char *data;
	int fd, err;

	for (int i = 0; i < 4; i++)
		length += lengths[i];
	data = malloc(length);
	if (!data)
		return -ENOMEM;
	memcpy(head->magic, MAGIC, sizeof(head->magic));
	head->length = length;
	memcpy(data, head, sizeof(*head));
	for (int i = 0; i < 4; i++) {
		if (lengths[i])
			memcpy(data + at, tables[i], lengths[i]);
		at += lengths[i];
	}
	((struct head *)data)->sum = digest__sum(data + offsetof(struct head, length),
						 length - offsetof(struct head, length));
	fd = store__create(store, name);
	err = fd < 0 ? fd : copy__write(fd, data, length);
	free(data);
	if (!err && (fsync(fd) || renameat(store->dir, name, store->dir, path)))
		err = -errno;
	if (fd >= 0)
		close(fd);
	if (err && fd >= 0)
		store__abandon(store, name);
	return err;
}

/* ---- Lookup ---- */

static void note_damage(struct initramfs_image *image, const struct cache *cache)
{
	snprintf(image->note, sizeof(image->note),
		 "%s: an entry of the cache was damaged, and is made anew", cache->dir);
}

/* Opens every part; what was checked by reading is noted in the entry for the next one. */
static int open_parts(struct cache *cache, const char *path, struct loaded *entry, int *fds,
		      size_t *nr_fds)
{
	struct head *h = entry->head;
	bool rechecked = false, trusted;
	char boot_id[BOOT_ID_SIZE];

	trusted = boot_id__read(boot_id) && !memcmp(boot_id, h->boot_id, sizeof(boot_id));
	for (size_t i = 0; i < h->nr_parts; i++) {
		struct part part = {.digest = entry->parts[i].digest,
				    .identity = entry->parts[i].identity};
		int err = store__get(&cache->store, &part, trusted, &rechecked);

		if (err)
			return err;
		fds[(*nr_fds)++] = part.fd;
		entry->parts[i].identity = part.identity;
	}
	if (rechecked) {
		const void *const tables[] = {entry->parts, entry->pieces, entry->key,
					      entry->records};
		const size_t lengths[] = {h->nr_parts * sizeof(*entry->parts),
					  h->nr_pieces * sizeof(*entry->pieces), h->key_length,
					  h->records_length};

		memcpy(h->boot_id, boot_id, sizeof(boot_id));
		(void)write_entry(&cache->store, path, h, tables, lengths);
	}
	return 0;
}

bool cache__lookup(struct cache *cache, const struct cache_key *key, struct initramfs_image *image)
{
	const struct timespec used[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct loaded entry;
	char path[64];
	int err;

	entry_name(key, path, sizeof(path));
	err = load(cache->store.dir, path, &entry);
	if (err) {
		if (err == -EBADMSG)
			note_damage(image, cache);
		return false;
	}
	if (entry.head->key_length != key->length ||
	    memcmp(entry.key, key->data, key->length) != 0 ||
	    !inputs__current(entry.records, entry.head->records_length)) {
		unload(&entry);
		return false;
	}
	image->fds = calloc(entry.head->nr_parts, sizeof(*image->fds));
	err = image->fds ? open_parts(cache, path, &entry, image->fds, &image->nr_fds) : -ENOMEM;
	if (!err)
		err = add_segments(image, entry.pieces, entry.head->nr_pieces,
				   entry.head->archive_size);
	image->size = entry.head->archive_size;
	image->unpacked = entry.head->unpacked;
	unload(&entry);
	if (err) {
		initramfs_image__close(image);
		if (err == -EBADMSG)
			note_damage(image, cache);
		return false;
	}
	utimensat(cache->store.dir, path, used, AT_SYMLINK_NOFOLLOW);
	return true;
}

/* ---- Keeping ---- */

int cache__keep(struct cache *cache, const struct cache_key *key, const char *records,
		size_t records_length, const struct pieces *pieces, const struct part *rest,
		uint64_t size, uint64_t unpacked)
{
	struct head head = {
		.archive_size = size,
		.unpacked = unpacked,
		.nr_parts = pieces->nr_parts + 1,
		.nr_pieces = pieces->nr_pieces,
		.key_length = key->length,
		.records_length = records_length,
	};
	struct stored_part *parts = calloc(pieces->nr_parts + 1, sizeof(*parts));
	const void *const tables[] = {parts, pieces->pieces, key->data, records};
	const size_t lengths[] = {(pieces->nr_parts + 1) * sizeof(*parts),
				  pieces->nr_pieces * sizeof(*pieces->pieces), key->length,
				  records_length};
	char path[64];
	int err = 0;

	if (!parts)
		return -ENOMEM;
	for (size_t i = 0; i <= pieces->nr_parts; i++) {
		const struct part *part = i ? &pieces->parts[i - 1] : rest;

		parts[i] = (struct stored_part){.digest = part->digest, .identity = part->identity};
	}
	snprintf(head.about, sizeof(head.about), "%s", key->about);
	/* Without it nothing is trusted, which costs time alone. */
	(void)boot_id__read(head.boot_id);
	if (head.nr_parts > MAX_TABLE || head.nr_pieces > MAX_TABLE)
		err = -E2BIG;
	entry_name(key, path, sizeof(path));
	if (!err)
		err = write_entry(&cache->store, path, &head, tables, lengths);
	free(parts);
	if (!err)
		(void)cache__clean(cache, CACHE_MAX_ENTRIES, CACHE_MAX_BYTES);
	return err;
}

/* ---- All entries ---- */

static int most_recent_first(const void *a, const void *b)
{
	const struct cache_entry *x = a, *y = b;

	if (x->used_ns != y->used_ns)
		return x->used_ns > y->used_ns ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* What is no entry of this version has the size 0 and is not in use. */
static int list_names(int dir, struct cache_entry **entries, size_t *nr)
{
	int fd = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *item;

	if (!stream) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (item = readdir(stream))) {
		struct cache_entry *p;
		struct stat st;

		if (strncmp(item->d_name, ENTRY_PREFIX, strlen(ENTRY_PREFIX)) ||
		    strlen(item->d_name) >= sizeof(p->name) ||
		    fstatat(dirfd(stream), item->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		p = reallocarray(*entries, *nr + 1, sizeof(*p));
		if (!p) {
			err = -ENOMEM;
			break;
		}
		*entries = p;
		p[*nr] = (struct cache_entry){.used_ns = st.st_atim.tv_sec * NS_PER_S +
							 st.st_atim.tv_nsec};
		strcpy(p[(*nr)++].name, item->d_name);
	}
	closedir(stream);
	return err;
}

static int load_named(const struct cache *cache, const char *name, struct loaded *entry)
{
	char path[160];

	snprintf(path, sizeof(path), "../%s", name);
	return load(cache->store.dir, path, entry);
}

/* Counts what is new to @seen of an entry's parts, and remembers it there. */
static int count_parts(const struct loaded *entry, struct strmap *seen, uint64_t *bytes)
{
	int err = 0;

	for (size_t i = 0; i < entry->head->nr_parts && !err; i++) {
		char name[DIGEST_TEXT];

		digest__text(&entry->parts[i].digest, name);
		if (strmap__get(seen, name))
			continue;
		err = strmap__set(seen, name, seen);
		*bytes += entry->parts[i].identity.size;
	}
	return err;
}

int cache__list(struct cache *cache, struct cache_entry **entries, size_t *nr)
{
	struct strmap seen = {0};
	int err;

	*entries = NULL;
	*nr = 0;
	err = list_names(cache->store.dir, entries, nr);
	if (*nr)
		qsort(*entries, *nr, sizeof(**entries), most_recent_first);
	for (size_t i = 0; i < *nr && !err; i++) {
		struct cache_entry *e = &(*entries)[i];
		struct loaded entry;

		if (load_named(cache, e->name, &entry))
			continue;
		e->size = entry.head->archive_size;
		memcpy(e->about, entry.head->about, sizeof(e->about));
		err = count_parts(&entry, &seen, &e->own);
		unload(&entry);
	}
	strmap__free(&seen);
	if (err) {
		free(*entries);
		*entries = NULL;
		*nr = 0;
	}
	return err;
}

static bool is_wanted(void *opaque, const char *digest)
{
	return strmap__get(opaque, digest);
}

int cache__clean(struct cache *cache, size_t keep, uint64_t bytes)
{
	struct cache_entry *entries;
	struct strmap wanted = {0};
	uint64_t total = 0, own = 0;
	size_t nr, kept = 0;
	int failed = 0;
	/* First: what others add after the list was made would not be in it. */
	int not_alone = store__be_alone(&cache->store);
	int err = cache__list(cache, &entries, &nr);

	for (size_t i = 0; i < nr && !err; i++) {
		struct loaded entry;
		char path[160];

		/* By size, not by luck: a smaller one behind one that does not fit goes, too. */
		total += entries[i].own;
		if (kept < keep && total <= bytes) {
			err = load_named(cache, entries[i].name, &entry);
			if (!err) {
				err = count_parts(&entry, &wanted, &own);
				unload(&entry);
				kept++;
				continue;
			}
			if (store__is_shortage(err))
				break;
			err = 0;
		}
		snprintf(path, sizeof(path), "../%s", entries[i].name);
		if (unlinkat(cache->store.dir, path, 0) && errno != ENOENT && !failed)
			failed = -errno;
	}
	/* Entries first, then what only they needed: never the other way round. */
	if (!err && !not_alone)
		store__collect(&cache->store, is_wanted, &wanted);
	if (!not_alone)
		store__share(&cache->store);
	strmap__free(&wanted);
	free(entries);
	if (err || failed)
		return err ? err : failed;
	return not_alone;
}
