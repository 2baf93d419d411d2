// SPDX-License-Identifier: GPL-2.0-only
/* Whether a kernel can mount its root from a disk, by its configuration and its modules. */
#include "root.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What guest/stage1/ does; @module: of this name in modules.dep, NULL: there is none. */
static const struct option {
	const char *name, *module;
} options[] = {
	{"CONFIG_BLK_DEV_INITRD", NULL},	{"CONFIG_VIRTIO_MMIO", "virtio_mmio.ko"},
	{"CONFIG_VIRTIO_BLK", "virtio_blk.ko"}, {"CONFIG_EROFS_FS", "erofs.ko"},
	{"CONFIG_OVERLAY_FS", "overlay.ko"},	{"CONFIG_TMPFS", NULL},
	{"CONFIG_TMPFS_XATTR", NULL},		{"CONFIG_SYSFS", NULL},
};
#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

/*
 * Drivers and mounts of a disk cost as much as unpacking about 20 MB; that much RAM is no matter,
 * yet.
 */
#define AUTO_DISK_FROM (UINT64_C(32) << 20)

/* The options that are y or m, as bits. */
struct found {
	uint32_t built_in, modules;
};

static void look_at_option(const char *line, struct found *found)
{
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		size_t length = strlen(options[i].name);

		if (strncmp(line, options[i].name, length) != 0 || line[length] != '=')
			continue;
		if (line[length + 1] == 'y')
			found->built_in |= 1u << i;
		else if (line[length + 1] == 'm')
			found->modules |= 1u << i;
	}
}

/* "kernel/fs/erofs/erofs.ko.xz: DEPENDENCIES" */
static void look_at_module(const char *line, struct found *found)
{
	const char *end = line + strcspn(line, ":\n"), *name = end;

	while (name > line && name[-1] != '/')
		name--;
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		size_t length = options[i].module ? strlen(options[i].module) : 0;

		if (length && !strncmp(name, options[i].module, length) &&
		    (name[length] == ':' || name[length] == '.'))
			found->modules |= 1u << i;
	}
}

/* 0 or -errno. */
static int look_at_lines(const char *path, void (*look)(const char *line, struct found *found),
			 struct found *found)
{
	FILE *file = fopen(path, "re");
	size_t capacity = 0;
	char *line = NULL;
	int err;

	if (!file)
		return -errno;
	while (getline(&line, &capacity, file) > 0)
		look(line, found);
	err = ferror(file) ? -EIO : 0;
	free(line);
	fclose(file);
	return err;
}

static int refuse(const struct kernel *kernel, const char *what, const char *why,
		  struct ktstr_error *error)
{
	int err = ktstr_error__set(error, EOPNOTSUPP, "root on a disk", kernel->image, "%s%s", what,
				   why);

	ktstr_error__hint(error, "take --root cpio, or another kernel");
	return err;
}

bool root__parse(const char *text, enum ktstr_root *root)
{
	static const char *const names[] = {
		[KTSTR_ROOT_AUTO] = "auto",
		[KTSTR_ROOT_CPIO] = "cpio",
		[KTSTR_ROOT_EROFS] = "erofs",
	};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*root = (enum ktstr_root)i;
		return true;
	}
	return false;
}

uint64_t root__disk_from(enum ktstr_root root)
{
	switch (root) {
	case KTSTR_ROOT_CPIO:
		return 0;
	case KTSTR_ROOT_EROFS:
		return 1;
	case KTSTR_ROOT_AUTO:
		break;
	}
	return AUTO_DISK_FROM;
}

int root__check_kernel(const struct kernel *kernel, struct ktstr_error *error)
{
	struct found config = {0}, at_hand = {0};
	char path[PATH_MAX + sizeof("/modules.dep")];
	int err;

	if (!*kernel->config)
		return refuse(kernel, "the kernel", " has no configuration at hand", error);
	err = look_at_lines(kernel->config, look_at_option, &config);
	if (err)
		return ktstr_error__set(error, -err, "read", kernel->config, NULL);
	snprintf(path, sizeof(path), "%s/modules.dep", kernel->modules_dir);
	/* Without this file there are no modules, and that is what is said. */
	if (config.modules && *kernel->modules_dir)
		(void)look_at_lines(path, look_at_module, &at_hand);
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		uint32_t bit = 1u << i;

		if (!((config.built_in | config.modules) & bit))
			return refuse(kernel, options[i].name, " is not set", error);
		if (!(config.built_in & bit) && !(at_hand.modules & bit))
			return refuse(kernel, options[i].name, " is a module that is not there",
				      error);
	}
	return 0;
}
