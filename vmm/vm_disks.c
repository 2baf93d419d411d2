// SPDX-License-Identifier: GPL-2.0-only
/* A machine's disks: those whose image is there, fresh ones, and what the guest is told of them. */
#include "vm_disks.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "disk.h"
#include "disk_image.h"
#include "vm.h"
#include "vm_io.h"

/* Number @index of the configuration: an image that is made for it, and goes with the machine. */
static int add_fresh_disk(struct vm *vm, size_t index, struct ktstr_error *error)
{
	const struct ktstr_disk *disk = &vm->config.disks[index];
	char dir[PATH_MAX];
	int cache_err = cache__dir(DISK_IMAGE_CACHE, dir, sizeof(dir)), err;
	struct disk_image_spec spec = {
		.fs = disk->fs,
		.size_mb = disk->size_mb,
		.dir = cache_err ? NULL : dir,
		.path = getenv("PATH"),
	};
	struct disk_image image;

	for (size_t i = 0; i < index; i++) {
		const struct ktstr_disk *other = &vm->config.disks[i];

		spec.number += other->fs && !strcmp(other->fs, disk->fs) &&
			       other->size_mb == disk->size_mb;
	}
	err = disk_image__create(&spec, &image, error);
	if (err)
		return err;
	if (cache_err)
		snprintf(image.note, sizeof(image.note), "no template of disks: %s",
			 strerror(-cache_err));
	if (image.note[0])
		snprintf(vm->cache_problem, sizeof(vm->cache_problem), "%s", image.note);
	return vm_io__add_disk(vm, disk, image.fd, error);
}

int vm_disks__create(struct vm *vm, struct ktstr_error *error)
{
	int err = 0;

	for (size_t i = 0; i < vm->config.nr_disks && !err; i++)
		err = vm->config.disks[i].fs ? add_fresh_disk(vm, i, error)
					     : vm_io__add_disk(vm, &vm->config.disks[i], -1, error);
	return err;
}

int vm_disks__check_kernel(const struct vm *vm, struct ktstr_error *error)
{
	for (size_t i = 0; i < vm->config.nr_disks; i++) {
		const struct ktstr_disk *disk = &vm->config.disks[i];
		const char *option = disk->mount ? disk_image__find_fs(disk->fs)->config : NULL;
		int err;

		/* Unknown is left for PID 1 to find out. */
		if (!option || kernel__config_has(&vm->kernel, option) != 0)
			continue;
		err = ktstr_error__set(error, EOPNOTSUPP, "disk", disk->fs,
				       "the kernel has no %s (%s is not set)", disk->fs, option);
		ktstr_error__hint(error, "take another file system, or another kernel");
		return err;
	}
	return 0;
}

size_t vm_disks__modules(const struct vm *vm, const char **names)
{
	size_t nr = 0;

	if (vm->nr_disks)
		names[nr++] = "virtio_blk";
	for (size_t i = 0; i < vm->config.nr_disks; i++) {
		const struct ktstr_disk *disk = &vm->config.disks[i];
		const char *module = disk->mount ? disk_image__find_fs(disk->fs)->module : NULL;
		bool known = !module;

		for (size_t j = 0; j < nr && !known; j++)
			known = !strcmp(names[j], module);
		if (!known)
			names[nr++] = module;
	}
	return nr;
}

void vm_disks__write_mounts(const struct ktstr_vm_config *config, FILE *to)
{
	for (uint32_t i = 0; i < config->nr_disks; i++) {
		const struct ktstr_disk *disk = &config->disks[i];
		char buf[DISK_SERIAL_SIZE];

		if (disk->mount)
			fprintf(to, "mount=%s,%s,%s,%s%c", disk__serial(disk, i, buf), disk->fs,
				disk->read_only ? "ro" : "rw", disk->mount, '\0');
	}
}
