/* SPDX-License-Identifier: GPL-2.0-only */
/* Data and rate of a throttled disk, under whatever scheduler the machine has. */
#ifndef THROTTLED_DISK_H
#define THROTTLED_DISK_H

#include <ktstr/test.h>

/* Operations a second: what any host has to spare, so that the throttle is what limits. */
#define THROTTLED_IOPS 100

/* A fresh disk with the file system @name at /mnt. */
#define THROTTLED_DISK(name)                                                                   \
	KTSTR_DISKS(DISK(.fs = (name), .size_mb = 512, .iops = THROTTLED_IOPS, .burst_ops = 1, \
			 .mount = "/mnt"))

/*
 * Writes and reads back on the disk at /mnt, which has @fs: data is right, and the disk did no more
 * than its rate allows, and a part of it at least. NULL, or what was not so, in @why.
 */
const char *throttled_disk__check(const char *fs, char *why, size_t size);

/* In a test: the same, and why not. */
#define EXPECT_THROTTLED(fs)                                                 \
	do {                                                                 \
		char why[512];                                               \
                                                                             \
		EXPECT_EQ(NULL, throttled_disk__check(fs, why, sizeof(why))) \
		{                                                            \
			TH_LOG("%s", why);                                   \
		}                                                            \
	} while (0)

#endif /* THROTTLED_DISK_H */
