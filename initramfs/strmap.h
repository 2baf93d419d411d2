/* SPDX-License-Identifier: GPL-2.0-only */
/* A growing hash map from strings to pointers: which path was already seen. */
#ifndef KTSTR_INITRAMFS_STRMAP_H
#define KTSTR_INITRAMFS_STRMAP_H

#include <stddef.h>
#include <stdint.h>

struct strmap_slot {
	char *key; /* owned; NULL: free slot */
	void *value;
};

/* All zero is an empty map. @capacity is 0 or a power of two, more than 4/3 of @count. */
struct strmap {
	struct strmap_slot *slots;
	size_t capacity, count;
};

/* FNV-1a, 64 bit. */
uint64_t strmap__hash(const void *data, size_t length);

/* The value stored for @key, or NULL. */
void *strmap__get(const struct strmap *map, const char *key);
/* Stores a copy of @key with @value (not NULL), in place of an earlier one. 0 or -ENOMEM. */
int strmap__set(struct strmap *map, const char *key, void *value);
void strmap__free(struct strmap *map);

#endif /* KTSTR_INITRAMFS_STRMAP_H */
