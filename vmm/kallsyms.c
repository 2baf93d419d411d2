// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the symbol table that a kernel carries in itself: CONFIG_KALLSYMS, written by the kernel's
 * scripts/kallsyms.c, read by its kernel/kallsyms.c. Nothing in the image says where its parts are,
 * but the tokens of the names' compression are told by their form, and the rest lies around them:
 *
 *	num_syms, names, markers, token_table, token_index
 *
 * each aligned to 4 bytes (7.3) or 8 (before), with the addresses behind them (since 6.4) or before
 *them. Addresses are 32-bit offsets, from the place of the offset itself (7.3), or from a 64-bit
 *relative_base that follows them; on x86 before 6.15 the latter with a special meaning of the sign,
 *for per-CPU symbols that begin at 0. All of them are tried; symbols are sorted by address, and
 *only the right reading gives such an order.
 */
#include "symbols.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS 256u
#define INDEX_BYTES (TOKENS * sizeof(uint16_t))
#define MARKER_STEP 256u /* names from one marker to the next */
#define PAGE_BYTES 4096u /* _text, which relative_base is too, begins one */
/* A length takes one byte, or two with bit 7 of the first one set. */
#define NAME_BYTES_MAX (2u + SYMBOLS_NAME_MAX)
#define TRIES_MAX 16u /* places that look like tokens; a kernel has one */
/* Tokens and names that are looked at in all, per byte: a kernel needs a tenth of one. */
#define STEPS_PER_BYTE 4u

/* A piece of the image that is loaded as a whole, and the parts of the table that lie in it. */
struct view {
	const uint8_t *data;
	size_t size;
	uint64_t address;
	size_t align;	/* of each part, bytes */
	uint32_t count; /* symbols */
	size_t num_syms, names, token_table, token_index;
	uint64_t steps; /* that are left: what is made to mislead could be tried for hours */
};

static bool take_step(struct view *v)
{
	if (!v->steps)
		return false;
	v->steps--;
	return true;
}

static uint16_t get16(const struct view *v, size_t at)
{
	return (uint16_t)(v->data[at] | v->data[at + 1] << 8);
}

static uint32_t get32(const struct view *v, size_t at)
{
	return get16(v, at) | (uint32_t)get16(v, at + 2) << 16;
}

static uint64_t get64(const struct view *v, size_t at)
{
	return get32(v, at) | (uint64_t)get32(v, at + 4) << 32;
}

static size_t align_up(const struct view *v, size_t at)
{
	return (at + v->align - 1) & ~(v->align - 1);
}

/* ---- Tokens ---- */

/* 256 offsets that begin at 0 and grow. */
static bool is_index(const struct view *v, size_t at)
{
	if (get16(v, at))
		return false;
	for (size_t i = 1; i < TOKENS; i++)
		if (get16(v, at + 2 * i) <= get16(v, at + 2 * i - 2))
			return false;
	return true;
}

/* @table holds the 256 strings that the index at @index says, and nothing but padding after them.
 */
static bool is_table(struct view *v, size_t table, size_t index)
{
	size_t end;

	for (size_t i = 0; i < TOKENS; i++) {
		const uint8_t *token = v->data + table + get16(v, index + 2 * i);
		size_t room = (size_t)(v->data + index - token),
		       length = strnlen((const char *)token, room);

		if (length == room || !take_step(v))
			return false;
		if (i + 1 < TOKENS &&
		    get16(v, index + 2 * i) + length + 1 != get16(v, index + 2 * (i + 1)))
			return false;
	}
	end = table + get16(v, index + INDEX_BYTES - 2);
	end += strlen((const char *)v->data + end) + 1;
	return align_up(v, end) == index;
}

/* The next index at or behind *at whose table lies before it. */
static bool find_tokens(struct view *v, size_t *at)
{
	for (; *at <= v->size && v->size - *at >= INDEX_BYTES; *at += v->align) {
		size_t last;

		if (!is_index(v, *at))
			continue;
		last = get16(v, *at + INDEX_BYTES - 2);
		/* The last token has some bytes, but no more than a name. */
		for (size_t length = align_up(v, last + 1);
		     length <= align_up(v, last + SYMBOLS_NAME_MAX) && length <= *at;
		     length += v->align) {
			if (!is_table(v, *at - length, *at))
				continue;
			v->token_table = *at - length;
			v->token_index = *at;
			*at += v->align;
			return true;
		}
	}
	return false;
}

/* ---- Names ---- */

/* Length of the name at @at, which is then moved to its first byte; 0: it does not end by @end. */
static size_t name_length(const struct view *v, size_t *at, size_t end)
{
	size_t length;

	if (end - *at < 2)
		return 0;
	length = v->data[(*at)++];
	if (length & 0x80)
		length = (length & 0x7f) | (size_t)v->data[(*at)++] << 7;
	return length <= end - *at ? length : 0;
}

/* All names from v->names up to the markers, which say where each 256th begins. */
static bool names_fit(struct view *v, size_t markers)
{
	size_t at = v->names;

	for (uint32_t i = 0; i < v->count; i++) {
		size_t length;

		if (i % MARKER_STEP == 0 &&
		    get32(v, markers + i / MARKER_STEP * sizeof(uint32_t)) != at - v->names)
			return false;
		length = name_length(v, &at, markers);
		if (!length || !take_step(v))
			return false;
		at += length;
	}
	return align_up(v, at) == markers;
}

/* Where @nr markers at @markers can belong to: num_syms lies before the names that they divide. */
static bool find_num_syms(struct view *v, size_t markers, uint32_t nr)
{
	size_t last = get32(v, markers + (nr - 1) * sizeof(uint32_t));

	/* At most 256 names lie behind the last marker. */
	for (size_t rest = 0; rest <= MARKER_STEP * NAME_BYTES_MAX; rest += v->align) {
		size_t back = align_up(v, last) + rest + v->align;

		if (back > markers)
			return false;
		v->num_syms = markers - back;
		v->names = v->num_syms + v->align;
		v->count = get32(v, v->num_syms);
		if (v->count && v->count <= SYMBOLS_MAX &&
		    (v->count + MARKER_STEP - 1) / MARKER_STEP == nr && names_fit(v, markers))
			return true;
	}
	return false;
}

/* The markers end at the tokens: back over numbers that shrink, to the 0 that they begin with. */
static bool find_names(struct view *v)
{
	size_t end = v->token_table;

	for (int pad = 0; pad < 2 && end >= sizeof(uint32_t); pad++, end -= sizeof(uint32_t)) {
		uint32_t nr = 1, value = get32(v, end - sizeof(uint32_t));
		size_t at = end - sizeof(uint32_t);

		while (value && at >= sizeof(uint32_t)) {
			uint32_t before = get32(v, at - sizeof(uint32_t));

			if (before >= value)
				break;
			at -= sizeof(uint32_t);
			value = before;
			nr++;
		}
		if (!value && at % v->align == 0 && find_num_syms(v, at, nr))
			return true;
	}
	return false;
}

/* ---- Addresses ---- */

enum encoding { FROM_PLACE, FROM_BASE, FROM_BASE_PERCPU };

struct offsets {
	size_t at;
	uint64_t base;
	enum encoding encoding;
};

static uint64_t address_of(const struct view *v, const struct offsets *o, uint32_t i)
{
	size_t at = o->at + i * sizeof(uint32_t);
	uint32_t raw = get32(v, at);
	int64_t offset = (int32_t)raw;

	switch (o->encoding) {
	case FROM_PLACE:
		return v->address + at + (uint64_t)offset;
	case FROM_BASE:
		return o->base + raw;
	default: /* an absolute value, or below the base: 0 is -1 */
		return offset >= 0 ? (uint64_t)offset : o->base - 1 - (uint64_t)offset;
	}
}

/* Sorted, as the kernel needs them to be, and not all the same. */
static bool in_order(const struct view *v, const struct offsets *o)
{
	uint64_t last = 0, first = address_of(v, o, 0);

	for (uint32_t i = 0; i < v->count; i++) {
		uint64_t address = address_of(v, o, i);

		if (address < last)
			return false;
		last = address;
	}
	return last >> 63 && (v->count == 1 || last > first);
}

/*
 * The offsets at @at, with relative_base behind them where there is one. This comes first: offsets
 * from a base are in order as offsets from their own places too, but not the other way round, as
 * symbols that share an address have a falling distance to it.
 */
static bool try_offsets(const struct view *v, size_t at, struct offsets *o)
{
	uint64_t length = (uint64_t)v->count * sizeof(uint32_t);
	size_t base;

	if (at > v->size || length > v->size - at)
		return false;
	*o = (struct offsets){.at = at};
	base = align_up(v, at + length);
	if (base <= v->size && v->size - base >= sizeof(uint64_t))
		o->base = get64(v, base);
	if (o->base >> 63 && o->base % PAGE_BYTES == 0) {
		o->encoding = FROM_BASE;
		if (in_order(v, o))
			return true;
		o->encoding = FROM_BASE_PERCPU;
		if (in_order(v, o))
			return true;
	}
	o->encoding = FROM_PLACE;
	return in_order(v, o);
}

static bool find_offsets(const struct view *v, struct offsets *o)
{
	uint64_t before = align_up(v, (size_t)v->count * sizeof(uint32_t)) + sizeof(uint64_t);

	return try_offsets(v, v->token_index + INDEX_BYTES, o) ||
	       (before <= v->num_syms && try_offsets(v, v->num_syms - before, o));
}

/* ---- All of it ---- */

/* False: no name that a person could read. The first byte of what it expands to is its type. */
static bool expand(const struct view *v, const uint8_t *name, size_t length, char *out,
		   size_t *used)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		const char *token = (const char *)v->data + v->token_table +
				    get16(v, v->token_index + sizeof(uint16_t) * name[i]);

		/* is_table(): it ends before the index */
		for (; *token; token++) {
			if (n == SYMBOLS_NAME_MAX)
				return false;
			out[n++] = *token;
		}
	}
	*used = n;
	return n > 1;
}

static int read_all(const struct view *v, const struct offsets *o, struct symbols *symbols)
{
	size_t at = v->names, used;
	char name[SYMBOLS_NAME_MAX];

	for (uint32_t i = 0; i < v->count; i++) {
		size_t length = name_length(v, &at, v->token_table);
		int err;

		/* A name that cannot be one is left out, and costs nothing but itself. */
		if (expand(v, v->data + at, length, name, &used)) {
			err = symbols__add(symbols, address_of(v, o, i), name + 1, used - 1, 0);
			if (err && err != -EINVAL)
				return err;
		}
		at += length;
	}
	return 0;
}

/*
 * Whatever else it is, a kernel has this symbol, at the beginning of a page. That also tells a
 * wrong reading of the offsets that is in order by chance.
 */
static bool is_kernels(const struct symbols *symbols)
{
	uint64_t address;

	return (symbols__find(symbols, "_text", &address) ||
		symbols__find(symbols, "_stext", &address)) &&
	       address % PAGE_BYTES == 0;
}

static int read_view(struct view *v, struct symbols **out)
{
	struct symbols *symbols = NULL;
	struct offsets offsets;
	size_t at = 0;

	for (uint32_t tries = 0; tries < TRIES_MAX && find_tokens(v, &at); tries++) {
		int err;

		if (!find_names(v) || !find_offsets(v, &offsets))
			continue;
		err = symbols__create(&symbols);
		if (!err)
			err = read_all(v, &offsets, symbols);
		if (!err && is_kernels(symbols)) {
			symbols__sort(symbols);
			*out = symbols;
			return 0;
		}
		symbols__destroy(symbols);
		if (err)
			return err;
	}
	return -ENOENT;
}

int symbols__from_kallsyms(const void *data, size_t size, uint64_t address,
			   struct symbols **symbols)
{
	struct view view = {.data = data, .size = size, .address = address, .align = 4};
	int err;

	view.steps = (uint64_t)size * STEPS_PER_BYTE;
	*symbols = NULL;
	err = read_view(&view, symbols);
	if (err == -ENOENT) {
		view.align = 8;
		view.steps = (uint64_t)size * STEPS_PER_BYTE;
		err = read_view(&view, symbols);
	}
	return err;
}
