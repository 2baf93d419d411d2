// SPDX-License-Identifier: GPL-2.0-only
/* I/O under a sched_ext scheduler: data is what was written, at the rate that the disk has. */
#include <ktstr/harness.h>

#include "throttled_disk.h"

KTSTR_TEST(xfs_keeps_data_at_the_rate_of_its_disk_under_a_scheduler, .files = KTSTR_FILES("fio"),
	   .disks = THROTTLED_DISK("xfs"), .memory_mb = 1024, .timeout_s = 300,
	   .topology = TOPO(1, 1, 2, 1), .scheduler = "scx_ktstr", .scheduler_ops = "ktstr")
{
	EXPECT_THROTTLED("xfs");
}

KTSTR_TEST(btrfs_keeps_data_at_the_rate_of_its_disk_under_a_scheduler, .files = KTSTR_FILES("fio"),
	   .disks = THROTTLED_DISK("btrfs"), .memory_mb = 1024, .timeout_s = 300,
	   .topology = TOPO(1, 1, 2, 1), .scheduler = "scx_ktstr", .scheduler_ops = "ktstr")
{
	EXPECT_THROTTLED("btrfs");
}

KTSTR_HARNESS_MAIN
