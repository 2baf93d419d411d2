// SPDX-License-Identifier: GPL-2.0-only
/* Archives that are made of segments of files. */
#include "initramfs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy.h"

int initramfs_image__of_file(struct initramfs_image *image, int fd, uint64_t size)
{
	image->fds = malloc(sizeof(*image->fds));
	image->segments = malloc(sizeof(*image->segments));
	if (!image->fds || !image->segments) {
		close(fd);
		initramfs_image__close(image);
		return -ENOMEM;
	}
	image->fds[0] = fd;
	image->segments[0] = (struct initramfs_segment){.fd = fd, .length = size};
	image->nr_fds = image->nr_segments = 1;
	image->size = size;
	return 0;
}

int initramfs_image__copy(const struct initramfs_image *image, int fd, struct ktstr_error *error)
{
	int err = 0;

	for (size_t i = 0; i < image->nr_segments && !err; i++) {
		const struct initramfs_segment *s = &image->segments[i];

		err = copy__bytes(fd, s->fd, s->offset, s->length, "initramfs", error);
	}
	return err;
}

/* What was to be said of it stays. */
void initramfs_image__close(struct initramfs_image *image)
{
	for (size_t i = 0; i < image->nr_fds; i++)
		close(image->fds[i]);
	free(image->fds);
	free(image->segments);
	image->fds = NULL;
	image->segments = NULL;
	image->nr_fds = image->nr_segments = 0;
	image->size = image->unpacked = 0;
}
