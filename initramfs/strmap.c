// SPDX-License-Identifier: GPL-2.0-only
/* A growing hash map from strings to pointers: open addressing with linear probing. */
#include "strmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STRMAP_FIRST_CAPACITY 64u

uint64_t strmap__hash(const void *data, size_t length)
{
	const unsigned char *p = data;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* The slot that holds @key or the free one where it belongs; @capacity is not 0. */
static struct strmap_slot *find(struct strmap_slot *slots, size_t capacity, const char *key)
{
	size_t i = (size_t)strmap__hash(key, strlen(key)) & (capacity - 1);

	while (slots[i].key && strcmp(slots[i].key, key))
		i = (i + 1) & (capacity - 1);
	return &slots[i];
}

void *strmap__get(const struct strmap *map, const char *key)
{
	return map->capacity ? find(map->slots, map->capacity, key)->value : NULL;
}

static int grow(struct strmap *map)
{
	size_t capacity = map->capacity ? map->capacity * 2 : STRMAP_FIRST_CAPACITY;
	struct strmap_slot *slots = calloc(capacity, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->capacity; i++) {
		if (map->slots[i].key)
			*find(slots, capacity, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	map->slots = slots;
	map->capacity = capacity;
	return 0;
}

int strmap__set(struct strmap *map, const char *key, void *value)
{
	struct strmap_slot *slot;

	if (map->count >= map->capacity / 4 * 3 && grow(map))
		return -ENOMEM;
	slot = find(map->slots, map->capacity, key);
	if (!slot->key) {
		slot->key = strdup(key);
		if (!slot->key)
			return -ENOMEM;
		map->count++;
	}
	slot->value = value;
	return 0;
}

void strmap__free(struct strmap *map)
{
	for (size_t i = 0; i < map->capacity; i++)
		free(map->slots[i].key);
	free(map->slots);
	*map = (struct strmap){0};
}
