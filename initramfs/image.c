// SPDX-License-Identifier: GPL-2.0-only
/* Archives that are made of segments of files. */
#include "initramfs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "copy.h"

int initramfs_image__of_file(struct initramfs_image *image, int fd, uint64_t size)
{
	int *fds = malloc(sizeof(*fds));
	struct initramfs_segment *segments = malloc(sizeof(*segments));

	if (!fds || !segments) {
		free(fds);
		free(segments);
		close(fd);
		return -ENOMEM;
	}
	fds[0] = fd;
	segments[0] = (struct initramfs_segment){.fd = fd, .length = size};
	image->fds = fds;
	image->segments = segments;
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
	for (size_t i = 0; image->fds && i < image->nr_fds; i++)
		close(image->fds[i]);
	free(image->fds);
	free(image->segments);
	image->fds = NULL;
	image->segments = NULL;
	image->nr_fds = image->nr_segments = 0;
	image->size = image->unpacked = 0;
}
