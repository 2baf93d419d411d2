// SPDX-License-Identifier: GPL-2.0-only
/* The file behind a disk. */
#include "disk.h"
#include "disk_image.h"

#include <ktstr/proto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name_of(const struct ktstr_disk *disk)
{
	return disk->path ? disk->path : disk->fs;
}

static int refuse(const struct ktstr_disk *disk, const char *why, struct ktstr_error *error)
{
	return ktstr_error__set(error, EINVAL, "disk", name_of(disk), "%s", why);
}

const char *disk__serial(const struct ktstr_disk *disk, uint32_t index, char buf[DISK_SERIAL_SIZE])
{
	if (disk->serial)
		return disk->serial;
	snprintf(buf, DISK_SERIAL_SIZE, "disk%u", index);
	return buf;
}

/* The guest finds it by its serial number alone. */
static int check_mount(const struct ktstr_disk *disks, size_t nr, uint32_t index,
		       struct ktstr_error *error)
{
	const struct ktstr_disk *disk = &disks[index];
	char buf[DISK_SERIAL_SIZE], other[DISK_SERIAL_SIZE];
	const char *serial = disk__serial(disk, index, buf);

	if (!disk_image__find_fs(disk->fs)->module)
		return refuse(disk, "a disk without a file system cannot be mounted", error);
	if (disk->mount[0] != '/' || !disk->mount[strspn(disk->mount, "/")])
		return refuse(disk, "mount takes an absolute path other than /", error);
	if (!serial[0] || strchr(serial, ',') || !strcmp(serial, KTSTR_BASE_SERIAL))
		return refuse(disk,
			      "a disk to be mounted needs a serial without a comma, and other "
			      "than " KTSTR_BASE_SERIAL,
			      error);
	for (uint32_t i = 0; i < nr; i++)
		if (i != index && !strcmp(serial, disk__serial(&disks[i], i, other)))
			return refuse(disk,
				      "a disk to be mounted has the serial of another disk, too",
				      error);
	return 0;
}

int disk__check(const struct ktstr_disk *disks, size_t nr, struct ktstr_error *error)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct ktstr_disk *disk = &disks[i];
		int err = 0;

		if (!disk->path && !disk->fs)
			err = ktstr_error__set(error, EINVAL, "disk", NULL,
					       "number %u has neither a path nor a file system", i);
		else if (disk->path && (disk->fs || disk->size_mb || disk->mount))
			err = refuse(disk, "fs, size and mount are of a fresh disk, without a path",
				     error);
		else if (disk->fs && !disk_image__find_fs(disk->fs))
			err = refuse(disk, "no such file system: it can be " DISK_FS_NAMES, error);
		else if (disk->size_mb > DISK_IMAGE_MAX_MB)
			err = refuse(disk, "more than 16 TiB", error);
		else if (disk->mount)
			err = check_mount(disks, nr, i, error);
		if (err)
			return err;
	}
	return 0;
}

static int describe(const struct ktstr_disk *disk, uint32_t index,
		    struct virtio_blk_options *options, struct ktstr_error *error)
{
	char buf[DISK_SERIAL_SIZE];
	const char *serial = disk__serial(disk, index, buf);
	size_t length = strlen(serial);

	*options = (struct virtio_blk_options){
		.fd = -1,
		.read_only = disk->read_only,
		.queues = disk->queues ? disk->queues : 1,
		.operations = {.rate = disk->iops, .burst = disk->burst_ops},
		.bytes = {.rate = disk->bytes_per_s, .burst = disk->burst_bytes},
	};
	if (options->queues > VIRTIO_BLK_MAX_QUEUES)
		return refuse(disk, "more than 16 queues", error);
	if ((disk->burst_ops && !disk->iops) || (disk->burst_bytes && !disk->bytes_per_s))
		return refuse(disk, "a burst without a rate", error);
	if (length > sizeof(options->serial))
		return refuse(disk, "the serial has more than 20 bytes", error);
	memcpy(options->serial, serial, length);
	return 0;
}

/* File systems without locks are no reason not to run. */
static int lock(const struct ktstr_disk *disk, int fd, struct ktstr_error *error)
{
	int err;

	if (!flock(fd, (disk->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) || errno != EWOULDBLOCK)
		return 0;
	err = ktstr_error__set(error, EBUSY, "lock", name_of(disk), "another machine uses it");
	ktstr_error__hint(error, "give each machine its own copy, or take it read-only everywhere");
	return err;
}

static int open_file(const struct ktstr_disk *disk, struct ktstr_error *error)
{
	int flags = (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	int fd = open(disk->path, flags), err;

	if (fd >= 0)
		return fd;
	err = ktstr_error__set(error, errno, "open disk", disk->path, NULL);
	if (err == -ENOENT)
		ktstr_error__hint(error, "make it: truncate -s 1G FILE");
	else if (!disk->read_only)
		ktstr_error__hint(error, "make it writable for this user, or take it read-only");
	return err;
}

/* Size and kind. */
static int measure(const struct ktstr_disk *disk, struct virtio_blk_options *options,
		   struct ktstr_error *error)
{
	struct stat st;
	off_t bytes;

	if (fstat(options->fd, &st))
		return ktstr_error__set(error, errno, "stat", name_of(disk), NULL);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return refuse(disk, "neither a file nor a block device", error);
	bytes = lseek(options->fd, 0, SEEK_END);
	if (bytes < 0)
		return ktstr_error__set(error, errno, "seek", name_of(disk), NULL);
	/* It was for what is no file and would have blocked: io_uring takes it for its own. */
	if (fcntl(options->fd, F_SETFL, 0))
		return ktstr_error__set(error, errno, "open disk", name_of(disk), NULL);
	options->sectors = (uint64_t)bytes / VIRTIO_BLK_SECTOR;
	return options->sectors ? 0 : refuse(disk, "smaller than a sector of 512 bytes", error);
}

int disk__of_file(const struct ktstr_disk *disk, uint32_t index, int fd,
		  struct virtio_blk_options *options, struct ktstr_error *error)
{
	int err = describe(disk, index, options, error);

	options->fd = fd;
	if (!err)
		err = measure(disk, options, error);
	if (!err)
		err = lock(disk, fd, error);
	if (err) {
		close(fd);
		options->fd = -1;
	}
	return err;
}

int disk__open(const struct ktstr_disk *disk, uint32_t index, struct virtio_blk_options *options,
	       struct ktstr_error *error)
{
	int err, fd;

	if (!disk->path)
		return ktstr_error__set(error, EINVAL, "disk", NULL, "number %u has no path",
					index);
	err = describe(disk, index, options, error);
	if (err)
		return err;
	fd = open_file(disk, error);
	return fd < 0 ? fd : disk__of_file(disk, index, fd, options, error);
}
