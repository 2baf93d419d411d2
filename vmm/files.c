// SPDX-License-Identifier: GPL-2.0-only
/* Directories, new files, whole reads and writes. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int files__make_parents(char *path)
{
	for (char *p = *path ? strchr(path + 1, '/') : NULL; p; p = strchr(p + 1, '/')) {
		int err;

		*p = '\0';
		err = mkdir(path, 0755) && errno != EEXIST && errno != EROFS ? -errno : 0;
		*p = '/';
		if (err)
			return err;
	}
	return 0;
}

int files__make_directory(char *path)
{
	int err = files__make_parents(path);

	if (err)
		return err;
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

int files__create(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name), fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}
