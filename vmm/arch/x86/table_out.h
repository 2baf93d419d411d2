/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bytes of firmware tables (ACPI, MP), one after the other, as they lie in guest memory. What
 * does not fit is counted and not stored, so that a caller learns the size that is needed.
 */
#ifndef KTSTR_VMM_X86_TABLE_OUT_H
#define KTSTR_VMM_X86_TABLE_OUT_H

#include <stddef.h>
#include <stdint.h>

struct table_out {
	uint8_t *buf;
	size_t size, len;
	uint64_t gpa; /* of buf[0] */
};

/* The low @bytes (up to 8) of @value, little-endian. */
void table__put(struct table_out *o, uint64_t value, unsigned int bytes);
void table__put_text(struct table_out *o, const char *text, size_t bytes);
void table__put_zeros(struct table_out *o, size_t bytes);
/* Over what was written before, at offset @at. */
void table__patch(struct table_out *o, size_t at, uint64_t value, unsigned int bytes);
/* Makes [start, start + bytes) sum to 0 by the byte at @at, which is 0 yet. */
void table__patch_checksum(struct table_out *o, size_t start, size_t bytes, size_t at);
/* Moves on to the next guest address that is a multiple of @align; returns its offset. */
size_t table__align(struct table_out *o, unsigned int align);

#endif /* KTSTR_VMM_X86_TABLE_OUT_H */
