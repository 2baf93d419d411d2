// SPDX-License-Identifier: GPL-2.0-only
/* What lies in the archive of a guest whose base is on a disk. */
#include "stage1.h"

#include <string.h>

#include "modules.h"

/* Documentation/admin-guide/devices.txt */
#define CONSOLE_MAJOR 5
#define CONSOLE_MINOR 1
#define KMSG_MAJOR 1
#define KMSG_MINOR 11

int stage1__fill(struct tree *tree, const struct stage1_spec *spec, struct ktstr_error *error)
{
	static const char *const names[] = {"virtio_mmio", "virtio_blk", "erofs", "overlay", NULL};
	const char *release = spec->release;
	int err = tree__put_data(tree, "/init", 0755, stage1_start, stage1_size, error);

	if (!err)
		err = tree__put_char(tree, "/dev/console", 0600, CONSOLE_MAJOR, CONSOLE_MINOR,
				     error);
	if (!err)
		err = tree__put_char(tree, "/dev/kmsg", 0600, KMSG_MAJOR, KMSG_MINOR, error);
	if (err || !spec->modules_dir)
		return err;
	if (!release) {
		const char *slash = strrchr(spec->modules_dir, '/');

		release = slash ? slash + 1 : spec->modules_dir;
	}
	return modules__add(tree, spec->modules_dir, release, names, error);
}
