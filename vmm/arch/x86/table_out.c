// SPDX-License-Identifier: GPL-2.0-only
/* Writes the bytes of firmware tables (ACPI, MP) one after the other. */
#include "table_out.h"

void table__put(struct table_out *o, uint64_t value, unsigned int bytes)
{
	for (; bytes; bytes--, value >>= 8, o->len++)
		if (o->len < o->size)
			o->buf[o->len] = (uint8_t)value;
}

void table__put_text(struct table_out *o, const char *text, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		table__put(o, (uint8_t)text[i], 1);
}

void table__put_zeros(struct table_out *o, size_t bytes)
{
	while (bytes--)
		table__put(o, 0, 1);
}

void table__patch(struct table_out *o, size_t at, uint64_t value, unsigned int bytes)
{
	struct table_out there = {.buf = o->buf, .size = o->size, .len = at};

	table__put(&there, value, bytes);
}

void table__patch_checksum(struct table_out *o, size_t start, size_t bytes, size_t at)
{
	uint8_t sum = 0;
	size_t i;

	for (i = start; i < start + bytes && i < o->size; i++)
		sum = (uint8_t)(sum + o->buf[i]);
	table__patch(o, at, (uint8_t)-sum, 1);
}

size_t table__align(struct table_out *o, unsigned int align)
{
	table__put_zeros(o, (align - (o->gpa + o->len) % align) % align);
	return o->len;
}
