/* SPDX-License-Identifier: GPL-2.0-only */
/* The file behind a disk: from its description to what the device works on. */
#ifndef KTSTR_VMM_DISK_H
#define KTSTR_VMM_DISK_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stddef.h>
#include <stdint.h>

#include "virtio/blk.h"

#define DISK_SERIAL_SIZE 32u

/* The serial number of @disk, which is number @index of its machine: its own, or "disk@index". */
const char *disk__serial(const struct ktstr_disk *disk, uint32_t index, char buf[DISK_SERIAL_SIZE]);

/*
 * Whether a machine can have these disks, as far as their descriptions say it. -EINVAL: one names
 * neither an image nor a file system, or both, or what its file system cannot have; or one that is
 * to be mounted could not be told from another by its serial number.
 */
int disk__check(const struct ktstr_disk *disks, size_t nr, struct ktstr_error *error);

/*
 * Opens and locks the file of @disk, which is number @index of its machine and has a path, and
 * describes the device: *options, with a descriptor that is the caller's then. -errno of open(2);
 * -EBUSY: another machine has it; -EINVAL: neither a regular file nor a block device, smaller than
 * a sector, or a description that cannot be.
 */
int disk__open(const struct ktstr_disk *disk, uint32_t index, struct virtio_blk_options *options,
	       struct ktstr_error *error);
/* The same of a file that is open to read and write, which is closed when that fails. */
int disk__of_file(const struct ktstr_disk *disk, uint32_t index, int fd,
		  struct virtio_blk_options *options, struct ktstr_error *error);

#endif /* KTSTR_VMM_DISK_H */
