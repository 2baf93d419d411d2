// SPDX-License-Identifier: GPL-2.0-only
/* The table: names and addresses, sorted by address. */
#include "symbols.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPPER_HALF (UINT64_C(1) << 63)
#define NAMES_MAX (UINT32_C(1) << 30) /* bytes */

struct symbol {
	uint64_t address;
	uint32_t name; /* offset in names; grows in the order of symbols__add() */
	uint8_t rank;
};

struct symbols {
	struct symbol *table;
	size_t count, capacity;
	char *names;
	size_t names_length, names_capacity;
};

int symbols__create(struct symbols **symbols)
{
	*symbols = calloc(1, sizeof(**symbols));
	return *symbols ? 0 : -ENOMEM;
}

void symbols__destroy(struct symbols *symbols)
{
	if (!symbols)
		return;
	free(symbols->table);
	free(symbols->names);
	free(symbols);
}

/* Room for one symbol and its name. */
static int grow(struct symbols *s, size_t length)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 4096;
		struct symbol *table = realloc(s->table, capacity * sizeof(*table));

		if (!table)
			return -ENOMEM;
		s->table = table;
		s->capacity = capacity;
	}
	if (s->names_capacity - s->names_length < length + 1) {
		size_t capacity = s->names_capacity ? 2 * s->names_capacity : 65536;
		char *names = realloc(s->names, capacity);

		if (!names)
			return -ENOMEM;
		s->names = names;
		s->names_capacity = capacity;
	}
	return 0;
}

static bool is_name(const char *name, size_t length)
{
	if (!length || length >= SYMBOLS_NAME_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return true;
}

int symbols__add(struct symbols *s, uint64_t address, const char *name, size_t length, uint8_t rank)
{
	int err;

	if (!is_name(name, length))
		return -EINVAL;
	if (address < UPPER_HALF)
		return 0;
	if (s->count == SYMBOLS_MAX || s->names_length > NAMES_MAX)
		return -E2BIG;
	err = grow(s, length);
	if (err)
		return err;
	s->table[s->count++] = (struct symbol){address, (uint32_t)s->names_length, rank};
	memcpy(s->names + s->names_length, name, length);
	s->names_length += length;
	s->names[s->names_length++] = '\0';
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->name < b->name ? -1 : a->name > b->name;
}

void symbols__sort(struct symbols *s)
{
	if (s->count)
		qsort(s->table, s->count, sizeof(s->table[0]), compare);
}

size_t symbols__count(const struct symbols *symbols)
{
	return symbols->count;
}

bool symbols__find(const struct symbols *s, const char *name, uint64_t *address)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->names + s->table[i].name, name) != 0)
			continue;
		*address = s->table[i].address;
		return true;
	}
	return false;
}

const char *symbols__at(const struct symbols *s, uint64_t address, uint64_t *offset)
{
	size_t low = 0, high = s->count;

	/* The first symbol above @address. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->table[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || low == s->count)
		return NULL;
	/* The best name of the address before it. */
	low--;
	while (low && s->table[low - 1].address == s->table[low].address)
		low--;
	*offset = address - s->table[low].address;
	return s->names + s->table[low].name;
}

void symbols__place(const struct symbols *symbols, uint64_t address, char *buf, size_t size)
{
	uint64_t offset;
	const char *name = symbols ? symbols__at(symbols, address, &offset) : NULL;

	if (name)
		snprintf(buf, size, "%s+0x%llx", name, (unsigned long long)offset);
	else
		snprintf(buf, size, "0x%llx", (unsigned long long)address);
}
