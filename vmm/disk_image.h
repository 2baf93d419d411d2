/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Images of fresh disks: made once as a template for each file system and size, and cloned for each
 * machine. A clone has no name: it goes when the last descriptor of it does, however that comes.
 */
#ifndef KTSTR_VMM_DISK_IMAGE_H
#define KTSTR_VMM_DISK_IMAGE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

/* Of the user's cache: where templates are. */
#define DISK_IMAGE_CACHE "disk-templates"
#define DISK_IMAGE_DEFAULT_MB 512u
#define DISK_IMAGE_MAX_MB (16u << 20)

struct disk_image_spec {
	const char *fs;	  /* of disk_image__find_fs() */
	uint32_t size_mb; /* MiB; 0: DISK_IMAGE_DEFAULT_MB */
	/*
	 * Disks of one machine with the same file system and size have 0, 1, ...: two with the same
	 * UUID cannot be mounted side by side.
	 */
	uint32_t number;
	const char *dir;  /* of the templates, which is there; NULL: none is kept */
	const char *path; /* as PATH: where mkfs programs are */
};

struct disk_image {
	int fd;		/* to read and write, without a name */
	bool reflinked; /* it shares its blocks with the template */
	char note[256]; /* why the template is not kept, in a line; "": it is */
};

/* What is known of a file system. */
struct disk_fs {
	const char *name;	     /* "btrfs", "ext4", "xfs", or "none": zeros */
	const char *program;	     /* that makes it; NULL: none is needed */
	const char *package;	     /* which has that program */
	const char *module, *config; /* the kernel's; NULL: none */
	const char *options[5];
};

#define DISK_FS_NAMES "btrfs, ext4, xfs or none"

/* NULL: there is none of this name. */
const struct disk_fs *disk_image__find_fs(const char *name);

/*
 * Whether its program is in @path, a list of directories as PATH is; beside a DIR/bin of it
 * DIR/sbin is searched as well, which the PATH of users is often without. -ENOENT: @error names
 * program and package.
 */
int disk_image__check_program(const struct disk_fs *fs, const char *path,
			      struct ktstr_error *error);

/*
 * Makes an image, from its template where that can be kept. The caller closes image->fd. -EINVAL:
 * no such file system, or a size that is none for it; -ENOENT: its program is missing; -ENOSPC and
 * others: no directory for temporary files takes it.
 */
int disk_image__create(const struct disk_image_spec *spec, struct disk_image *image,
		       struct ktstr_error *error);

/* A file of this name in the directory of templates is none yet. */
bool disk_image__is_unfinished(const char *name);

/* Copies what is not zero of the @size bytes of @from into @to, which is all zeros. -errno. */
int disk_image__copy_sparse(int to, int from, uint64_t size);

#endif /* KTSTR_VMM_DISK_IMAGE_H */
