// SPDX-License-Identifier: GPL-2.0-only
/* A test's .disks: paths beside the test binary, and the programs that fresh ones need. */
#include "harness_disks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "disk_image.h"

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "allocate", "the test's disks", NULL);
}

static char *make_path(const char *dir, const char *path)
{
	char *made;

	if (*path == '/')
		return strdup(path);
	return asprintf(&made, "%s/%s", dir, path) < 0 ? NULL : made;
}

int harness_disks__resolve(struct harness_disks *disks, const struct ktstr_disk *list,
			   const char *dir, const char *path, struct ktstr_error *error)
{
	size_t nr = 0;
	int err;

	*disks = (struct harness_disks){.nr = 0};
	while (list && (list[nr].path || list[nr].fs))
		nr++;
	if (!nr)
		return 0;
	err = disk__check(list, nr, error);
	if (err)
		return err;
	disks->disks = calloc(nr, sizeof(*disks->disks));
	if (!disks->disks)
		return no_memory(error);
	for (; disks->nr < nr; disks->nr++) {
		struct ktstr_disk *disk = &disks->disks[disks->nr];

		*disk = list[disks->nr];
		if (disk->fs) /* the first one that is missing is said */
			(void)disk_image__check_program(disk_image__find_fs(disk->fs), path,
							&disks->missing);
		else if (!(disk->path = make_path(dir, disk->path)))
			return no_memory(error);
	}
	return 0;
}

void harness_disks__free(struct harness_disks *disks)
{
	for (size_t i = 0; i < disks->nr; i++)
		free((void *)(uintptr_t)disks->disks[i].path);
	free(disks->disks);
	*disks = (struct harness_disks){.nr = 0};
}
