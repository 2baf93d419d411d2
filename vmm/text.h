/* SPDX-License-Identifier: GPL-2.0-only */
/* Text of others on its way to a person. */
#ifndef KTSTR_VMM_TEXT_H
#define KTSTR_VMM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Bytes of the character at @at that a terminal obeys: C0 and DEL 1, C1 in UTF-8 (U+0080 to U+009F)
 * 2; 0: it is none. */
static inline size_t text__control(const char *at, const char *end)
{
	unsigned char first = (unsigned char)at[0];
	unsigned char second = end - at > 1 ? (unsigned char)at[1] : 0;

	if (first < ' ' || first == 0x7f)
		return 1;
	return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

/* Puts @instead in the place of all of them; tabs may stay. */
static inline void text__show(char *text, size_t length, char instead, bool tabs)
{
	for (char *at = text, *end = text + length; at < end;) {
		size_t n = *at == '\t' && tabs ? 0 : text__control(at, end);

		memset(at, instead, n);
		at += n ? n : 1;
	}
}

#endif /* KTSTR_VMM_TEXT_H */
