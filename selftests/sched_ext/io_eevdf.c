// SPDX-License-Identifier: GPL-2.0-only
/* I/O under EEVDF: data is what was written, at the rate that the disk has. */
#include <ktstr/harness.h>
#include <ktstr/payload.h>

#include <stdio.h>
#include <unistd.h>

#include "payloads.h"
#include "throttled_disk.h"
#include "workload.h"

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

/* Each of four CPUs has a queue of its own, and all are used at the same time. */
KTSTR_TEST(disk_has_a_queue_for_each_cpu, .topology = TOPO(1, 1, 4, 1), .files = KTSTR_FILES("fio"),
	   .memory_mb = 1024, .timeout_s = 300,
	   .disks = KTSTR_DISKS(DISK(.fs = "none", .size_mb = 64, .queues = 4)))
{
	struct ktstr_payload_result result;
	uint64_t all = 0;

	for (int i = 0; i < 4; i++) {
		char path[64], cpus[64];
		uint64_t own = 0;

		snprintf(path, sizeof(path), "/sys/block/vda/mq/%d/cpu_list", i);
		ASSERT_EQ(0, file__read(path, cpus, sizeof(cpus)));
		ASSERT_TRUE(cpu_list__parse(cpus, &own));
		EXPECT_EQ(1, __builtin_popcountll(own));
		all |= own;
	}
	EXPECT_EQ(0xf, all);
	EXPECT_NE(0, access("/sys/block/vda/mq/4", F_OK));
	EXPECT_EQ(0, ktstr_payload_run(&payload_fio_parallel, &result))
	{
		TH_LOG("%s", result.problem);
	}
}

KTSTR_HARNESS_MAIN
