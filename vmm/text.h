/* SPDX-License-Identifier: GPL-2.0-only */
/* Text of others on its way to a person. */
#ifndef KTSTR_VMM_TEXT_H
#define KTSTR_VMM_TEXT_H

#include <stdbool.h>

/*
 * Whether a terminal obeys @c, which has @before in front of it (0: nothing): C0, DEL, and the
 * second byte of C1 in UTF-8 (U+0080 to U+009F).
 */
static inline bool text__is_control(char before, char c)
{
	unsigned char u = (unsigned char)c;

	return u < ' ' || u == 0x7f || ((unsigned char)before == 0xc2 && u >= 0x80 && u < 0xa0);
}

#endif /* KTSTR_VMM_TEXT_H */
