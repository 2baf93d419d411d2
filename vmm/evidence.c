// SPDX-License-Identifier: GPL-2.0-only
/* Where evidence begins. */
#include "evidence.h"

#include <string.h>

const char *evidence__start(const char *text, const char *trouble)
{
	const char *end = text + strlen(text), *tail = text, *at;
	unsigned int lines = 0;

	while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
		end--;
	for (at = end; at > text; at--) {
		if (at[-1] != '\n')
			continue;
		if (++lines == EVIDENCE_LINES)
			tail = at;
		if (lines >= EVIDENCE_LINES && (!trouble || at <= trouble))
			break;
		if (lines == EVIDENCE_TROUBLE_LINES)
			return tail;
	}
	return trouble && trouble < tail ? trouble : tail;
}
