/* SPDX-License-Identifier: GPL-2.0-only */
/* The file behind a disk: from its description to what the device works on. */
#ifndef KTSTR_VMM_DISK_H
#define KTSTR_VMM_DISK_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdint.h>

#include "virtio/blk.h"

/*
 * Opens and locks the file of @disk, which is number @index of its machine, and describes the
 * device: *options, with a descriptor that is the caller's then. -errno of open(2); -EBUSY: another
 * machine has it; -EINVAL: neither a regular file nor a block device, smaller than a sector, or a
 * description that cannot be.
 */
int disk__open(const struct ktstr_disk *disk, uint32_t index, struct virtio_blk_options *options,
	       struct ktstr_error *error);

#endif /* KTSTR_VMM_DISK_H */
