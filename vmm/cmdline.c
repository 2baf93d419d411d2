// SPDX-License-Identifier: GPL-2.0-only
/* Words of a kernel's command line; see cmdline.h. */
#include "cmdline.h"

#include <string.h>

bool cmdline__has(const char *cmdline, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = cmdline; (at = strstr(at, word)); at += n)
		if ((at == cmdline || at[-1] == ' ') && (!at[n] || at[n] == ' '))
			return true;
	return false;
}
