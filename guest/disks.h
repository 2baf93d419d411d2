/* SPDX-License-Identifier: GPL-2.0-only */
/* Mounts the disks that the host made for this run. */
#ifndef KTSTR_GUEST_DISKS_H
#define KTSTR_GUEST_DISKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

/*
 * The name of the block device with this serial number, as it is in @block_dir (/sys/block) and in
 * /dev. False: there is none, or its name does not fit.
 */
bool disks__find(const char *block_dir, const char *serial, char *name, size_t size);

/*
 * Mounts all of @config, in its order; waits on @uevents for their devices, @timeout_ms for each.
 * -errno of the first one that cannot be, and @why says which and why.
 */
int disks__mount(const struct guest_config *config, int uevents, uint32_t timeout_ms, char *why,
		 size_t why_size);

#endif /* KTSTR_GUEST_DISKS_H */
