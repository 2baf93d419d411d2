// SPDX-License-Identifier: GPL-2.0-only
/* I/O under EEVDF: data is what was written, at the rate that the disk has. */
#include <ktstr/harness.h>

#include "throttled_disk.h"

KTSTR_TEST(btrfs_keeps_data_at_the_rate_of_its_disk, .files = KTSTR_FILES("fio"),
	   .disks = THROTTLED_DISK("btrfs"), .memory_mb = 1024, .timeout_s = 300)
{
	EXPECT_THROTTLED("btrfs");
}

KTSTR_TEST(ext4_keeps_data_at_the_rate_of_its_disk, .files = KTSTR_FILES("fio"),
	   .disks = THROTTLED_DISK("ext4"), .memory_mb = 1024, .timeout_s = 300)
{
	EXPECT_THROTTLED("ext4");
}

KTSTR_HARNESS_MAIN
