// SPDX-License-Identifier: GPL-2.0-only
/* Finds disks by their serial numbers and mounts them. */
#include "disks.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "setup.h"

bool disks__find(const char *block_dir, const char *serial, char *name, size_t size)
{
	DIR *dir = opendir(block_dir);
	bool found = false;
	struct dirent *entry;

	while (!found && dir && (entry = readdir(dir))) {
		char path[PATH_MAX], line[64];
		int n = snprintf(path, sizeof(path), "%s/%s/serial", block_dir, entry->d_name);

		if (entry->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof(path) ||
		    guest__read_line(path, line, sizeof(line)) || strcmp(line, serial) != 0)
			continue;
		n = snprintf(name, size, "%s", entry->d_name);
		found = n > 0 && (size_t)n < size;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* All directories of an absolute path. */
static int make_directories(const char *whole)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/", whole);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static int mount_one(const struct guest_mount *m, int uevents, uint32_t timeout_ms, char *why,
		     size_t why_size)
{
	uint64_t deadline = guest__boot_ns() + (uint64_t)timeout_ms * 1000000u;
	char name[64], device[80];
	int err;

	while (!disks__find("/sys/block", m->serial, name, sizeof(name))) {
		if (setup__wait_uevent(uevents, deadline))
			continue;
		snprintf(why, why_size, "%s: no disk with the serial number %s came", m->path,
			 m->serial);
		return -ENODEV;
	}
	err = make_directories(m->path);
	if (err) {
		snprintf(why, why_size, "%s: mkdir: %s", m->path, strerror(-err));
		return err;
	}
	snprintf(device, sizeof(device), "/dev/%s", name);
	if (!mount(device, m->path, m->fs, m->read_only ? MS_RDONLY : 0, NULL))
		return 0;
	err = -errno;
	snprintf(why, why_size, "%s: mount of %s (%s), %s: %s", m->path, device, m->serial, m->fs,
		 err == -ENODEV ? "the kernel has no such file system" : strerror(-err));
	return err;
}

int disks__mount(const struct guest_config *config, int uevents, uint32_t timeout_ms, char *why,
		 size_t why_size)
{
	int err = 0;

	for (size_t i = 0; i < config->nr_mounts && !err; i++)
		err = mount_one(&config->mounts[i], uevents, timeout_ms, why, why_size);
	return err;
}
