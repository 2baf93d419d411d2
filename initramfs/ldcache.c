// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks names up in /etc/ld.so.cache. Layout as glibc writes it since 2.2 (cache_file_new in its
 * dl-cache.h), native byte order; glibc before 2.32 puts the older table in front.
 */
#include "elf.h"

#include <string.h>

#define OLD_MAGIC "ld.so-1.7.0"
#define NEW_MAGIC "glibc-ld.so.cache1.1"
#define NEW_ALIGN 8u /* of the new table behind an old one */

struct old_header {
	char magic[sizeof(OLD_MAGIC) - 1];
	char padding;
	uint32_t nr_entries;
};
#define OLD_ENTRY 12u

struct new_header {
	char magic[sizeof(NEW_MAGIC) - 1];
	uint32_t nr_entries;
	uint32_t strings_length;
	uint8_t flags, padding[3];
	uint32_t extension_offset;
	uint32_t unused[3];
};

struct new_entry {
	int32_t flags;
	uint32_t key; /* offsets of strings, from the new header */
	uint32_t value;
	uint32_t os_version;
	uint64_t hwcap;
};

static const char *string_at(const char *table, size_t length, uint32_t offset)
{
	if (offset >= length || !memchr(table + offset, 0, length - offset))
		return NULL;
	return table + offset;
}

/* Start of the new table; *length becomes its length. */
static const char *new_table(const char *cache, size_t *length)
{
	struct old_header old;
	uint64_t skip;

	if (*length < sizeof(old))
		return NULL;
	memcpy(&old, cache, sizeof(old));
	if (memcmp(old.magic, OLD_MAGIC, sizeof(old.magic)))
		return cache;
	skip = sizeof(old) + (uint64_t)old.nr_entries * OLD_ENTRY;
	skip = (skip + NEW_ALIGN - 1) / NEW_ALIGN * NEW_ALIGN;
	if (skip > *length)
		return NULL;
	*length -= skip;
	return cache + skip;
}

const char *ldcache__find(const void *cache, size_t length, const char *name, size_t index)
{
	const char *table = new_table(cache, &length);
	struct new_header header;

	if (!table || length < sizeof(header))
		return NULL;
	memcpy(&header, table, sizeof(header));
	if (memcmp(header.magic, NEW_MAGIC, sizeof(header.magic)) ||
	    header.nr_entries > (length - sizeof(header)) / sizeof(struct new_entry))
		return NULL;
	for (size_t i = 0; i < header.nr_entries; i++) {
		struct new_entry entry;
		const char *key;

		memcpy(&entry, table + sizeof(header) + i * sizeof(entry), sizeof(entry));
		key = string_at(table, length, entry.key);
		if (!key)
			return NULL;
		if (!entry.hwcap && !strcmp(key, name) && !index--)
			return string_at(table, length, entry.value);
	}
	return NULL;
}
