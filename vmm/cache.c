// SPDX-License-Identifier: GPL-2.0-only
/* Finds the user's cache directory. */
#include "cache.h"
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static int join(char *buf, size_t size, const char *base, const char *middle, const char *name)
{
	int n = snprintf(buf, size, "%s%s%s%s", base, middle, name ? "/" : "", name ? name : "");

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int cache__path(const char *name, char *buf, size_t size)
{
	const char *base;

	base = variable("KTSTR_CACHE");
	if (base)
		return join(buf, size, base, "", name);
	base = variable("XDG_CACHE_HOME");
	if (base)
		return join(buf, size, base, "/ktstr", name);
	base = variable("HOME");
	return base ? join(buf, size, base, "/.cache/ktstr", name) : -ENOENT;
}

int cache__dir(const char *name, char *buf, size_t size)
{
	const char *scratch = variable("KTSTR_SCRATCH");
	int err = scratch ? join(buf, size, scratch, "", name) : cache__path(name, buf, size);

	return err ? err : files__make_directory(buf);
}
