/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Builds the two archives of a guest's initramfs: a base (PID 1, scheduler, their libraries,
 * kernel modules, further files; the same for many runs and cached) and a tiny one with the
 * configuration of one run, unpacked after it.
 */
#ifndef KTSTR_INITRAMFS_H
#define KTSTR_INITRAMFS_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct initramfs_spec {
	const char *init;      /* host path of the ELF that becomes /init; NULL: none */
	bool init_is_static;   /* it is taken as it is, also when it is of another machine */
	const char *scheduler; /* host path of what becomes /scheduler; NULL: none */
	const struct ktstr_file *files;
	size_t nr_files;
	const char *modules_dir;    /* .../lib/modules/RELEASE; NULL: no modules */
	const char *const *modules; /* NULL-terminated names; built-in ones are fine */
	const char *kernel_config;  /* host path; goes to /boot/config-RELEASE; NULL: none */
	const char *kernel_release; /* "7.3.4+deb13-amd64"; may be NULL when unknown */
	const char *cache_dir;	    /* where a finished base is kept; NULL: not kept */
	/*
	 * A base of so many bytes of file content and more becomes an image for a disk
	 * (KTSTR_BASE_SERIAL), not an archive, unless @can_be_disk says no; 0: never.
	 */
	uint64_t disk_from;
	bool (*can_be_disk)(void *opaque); /* NULL: it can */
	void *opaque;
	/*
	 * Not a base, but the archive that comes before one on a disk. Of the fields above, those
	 * of the kernel and @cache_dir count.
	 */
	bool stage1;
};

/* [offset, offset + length) of a file, which nobody writes to. */
struct initramfs_segment {
	int fd;
	uint64_t offset, length; /* bytes; multiples of 4096, but for the length of the last one */
};

/* An archive: what its segments hold, one after the other. */
struct initramfs_image {
	struct initramfs_segment *segments;
	size_t nr_segments;
	int *fds; /* what the segments lie in: page-cache files, or a memfd */
	size_t nr_fds;
	bool disk;	   /* not an archive, but an image for a disk; one segment */
	uint64_t size;	   /* bytes; a multiple of 512 */
	uint64_t unpacked; /* bytes that its files take in the guest's RAM, in whole pages */
	char note[256];	   /* what was wrong with the cache, in a line; "": nothing */
};

/*
 * @image is all zero or closed. -ENOENT: a file or library is missing (the error names it and who
 * needs it), -EACCES: unreadable, -ENOEXEC: an ELF of another machine, -EFBIG: a file over
 * 4 GiB - 1. A cache that cannot be used is no error: see @note.
 */
int initramfs__base(const struct initramfs_spec *spec, struct initramfs_image *image,
		    struct ktstr_error *error);
/* Of an archive that is a file: its first @size bytes. Takes @fd over, -ENOMEM or not. */
int initramfs_image__of_file(struct initramfs_image *image, int fd, uint64_t size);
/* Appends the archive to @fd; its segments' files keep their positions. */
int initramfs_image__copy(const struct initramfs_image *image, int fd, struct ktstr_error *error);
void initramfs_image__close(struct initramfs_image *image);

/*
 * The second archive: /ktstr/config with @config_length bytes. *archive is malloc'ed, the caller
 * frees it; its length is a multiple of 4.
 */
int initramfs__run_config(const void *config, size_t config_length, void **archive, size_t *length,
			  struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_H */
