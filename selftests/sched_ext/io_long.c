// SPDX-License-Identifier: GPL-2.0-only
/* Disks and networks at full size, for `make check-long`: data is what it was, rates are exact. */
#include <ktstr/harness.h>

#include <ktstr/payload.h>

#include <inttypes.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "byte_stream.h"
#include "netns.h"
#include "workload.h"

/* ---- A stream ---- */

#define FAR "10.0.0.2"
#define STREAM_BYTES (100u << 20)

KTSTR_TEST(a_hundred_mib_pass_as_they_are, .timeout_s = 600,
	   .nics = KTSTR_NICS(NIC(.network = "a"), NIC(.network = "a")))
{
	struct netns_pair pair;
	struct byte_stream stream;

	ASSERT_EQ(0, netns_pair__create(&pair));
	ASSERT_EQ(0, netns_pair__connect(&pair, "eth0", "10.0.0.1", "eth1", FAR));
	ASSERT_EQ(0, byte_stream__pass(&pair, FAR, STREAM_BYTES, &stream));
	EXPECT_EQ(STREAM_BYTES, stream.bytes);
	EXPECT_TRUE(stream.is_right);
}

/* ---- A large file ---- */

#define FILL_TIMEOUT_MS 1200000
#define FILL_DISK(name) \
	KTSTR_DISKS(DISK(.fs = (name), .size_mb = 1024, .mount = "/mnt", .queues = 2))
/* 256 MiB of blocks of 32 KiB, in random order. */
#define FILL_BLOCKS 8192
#define FILL_ARGS                                                                           \
	"fio", "--name=job", "--filename=/mnt/fio.data", "--size=256m", "--bs=32k",         \
		"--rw=randwrite", "--ioengine=libaio", "--iodepth=16", "--direct=1",        \
		"--fallocate=none", "--end_fsync=1", "--verify=crc32c", "--verify_fatal=1", \
		"--thread", "--output-format=json", "--output=/tmp/fio.json"

static const struct ktstr_payload fill = {
	.name = "fio-fill",
	.argv = KTSTR_ARGS(FILL_ARGS, "--do_verify=0"),
	.output = KTSTR_OUTPUT_JSON,
	.output_file = "/tmp/fio.json",
	.metrics = KTSTR_METRICS({.name = "error",
				  .source = "jobs.*.error",
				  .pick = KTSTR_PICK_GREATEST,
				  .maximum = KTSTR_LIMIT(0)},
				 {.name = "writes",
				  .source = "jobs.0.write.total_ios",
				  .minimum = KTSTR_LIMIT(FILL_BLOCKS)}),
	.timeout_ms = FILL_TIMEOUT_MS,
};

static const struct ktstr_payload verify = {
	.name = "fio-verify",
	.argv = KTSTR_ARGS(FILL_ARGS, "--verify_only"),
	.output = KTSTR_OUTPUT_JSON,
	.output_file = "/tmp/fio.json",
	.metrics = KTSTR_METRICS({.name = "error",
				  .source = "jobs.*.error",
				  .pick = KTSTR_PICK_GREATEST,
				  .maximum = KTSTR_LIMIT(0)},
				 {.name = "reads",
				  .source = "jobs.0.read.total_ios",
				  .minimum = KTSTR_LIMIT(FILL_BLOCKS)}),
	.timeout_ms = FILL_TIMEOUT_MS,
};

/* What was written is read back and compared by another process, after another mount. */
static void fill_and_verify(struct __test_metadata *_metadata, const char *fs)
{
	struct ktstr_payload_result result;

	ktstr_payload_run(&fill, &result);
	ASSERT_PAYLOAD_OK(&result);
	ASSERT_EQ(0, umount("/mnt"));
	ASSERT_EQ(0, file__write("/proc/sys/vm/drop_caches", "3"));
	ASSERT_EQ(0, mount("/dev/vda", "/mnt", fs, 0, NULL));
	ktstr_payload_run(&verify, &result);
	EXPECT_PAYLOAD_OK(&result);
}

KTSTR_TEST(btrfs_keeps_256_mib_over_a_remount, .files = KTSTR_FILES("fio"), .memory_mb = 1024,
	   .disks = FILL_DISK("btrfs"), .timeout_s = 2400)
{
	fill_and_verify(_metadata, "btrfs");
}

KTSTR_TEST(ext4_keeps_256_mib_over_a_remount, .files = KTSTR_FILES("fio"), .memory_mb = 1024,
	   .disks = FILL_DISK("ext4"), .timeout_s = 2400)
{
	fill_and_verify(_metadata, "ext4");
}

KTSTR_TEST(xfs_keeps_256_mib_over_a_remount_under_a_scheduler, .files = KTSTR_FILES("fio"),
	   .memory_mb = 1024, .disks = FILL_DISK("xfs"), .timeout_s = 2400,
	   .topology = TOPO(1, 1, 2, 1), .scheduler = "scx_ktstr", .scheduler_ops = "ktstr")
{
	fill_and_verify(_metadata, "xfs");
}

/* ---- Rates ---- */

/* So few that any host has them to spare. */
#define IOPS 20
#define BLOCK 16384u
#define RATE_SECONDS 10u
#define RATE_ERROR 0.02
/* Between reading the clock before and after: 0.05 % of RATE_SECONDS. */
#define LONGEST_LOOK_S 0.005

/* As much as there is, 16 at once: a guest that is slow now and then has the next ones waiting. vda
 * and vdb are limited by operations, vdc and vdd by bytes. */
static const struct ktstr_payload saturate = {
	.name = "fio-saturate",
	.argv = KTSTR_ARGS("fio", "--ioengine=libaio", "--iodepth=16", "--direct=1", "--bs=16k",
			   "--time_based", "--runtime=1200", "--thread", "--size=64m", "--name=a",
			   "--filename=/dev/vda", "--rw=randread", "--name=b",
			   "--filename=/dev/vdb", "--rw=randwrite", "--name=c",
			   "--filename=/dev/vdc", "--rw=randread", "--name=d",
			   "--filename=/dev/vdd", "--rw=randwrite"),
	.exit_code = 128, /* by a signal */
	.timeout_ms = FILL_TIMEOUT_MS,
};

struct disk_counts {
	uint64_t reads, read_bytes, writes, write_bytes;
	double at_s;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What /dev/vd@letter has done by a moment that is known well; false: the kernel does not say. */
static bool look_at(char letter, struct disk_counts *c)
{
	char path[64], text[256];
	double before_s, after_s;

	snprintf(path, sizeof(path), "/sys/block/vd%c/stat", letter);
	do {
		before_s = now_s();
		if (file__read(path, text, sizeof(text)))
			return false;
		after_s = now_s();
	} while (after_s - before_s > LONGEST_LOOK_S);
	c->at_s = after_s;
	if (sscanf(text, "%" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64, &c->reads,
		   &c->read_bytes, &c->writes, &c->write_bytes) != 4)
		return false;
	c->read_bytes *= 512;
	c->write_bytes *= 512;
	return true;
}

KTSTR_TEST(throttles_are_exact_to_2_percent, .files = KTSTR_FILES("fio"), .memory_mb = 1024,
	   .disks = KTSTR_DISKS(DISK(.fs = "none", .size_mb = 64, .iops = IOPS),
				DISK(.fs = "none", .size_mb = 64, .iops = IOPS),
				DISK(.fs = "none", .size_mb = 64, .bytes_per_s = IOPS * BLOCK),
				DISK(.fs = "none", .size_mb = 64, .bytes_per_s = IOPS * BLOCK)),
	   .timeout_s = 600)
{
	struct disk_counts from[4], to[4];
	struct ktstr_payload_process *fio;
	struct ktstr_payload_result result;

	ASSERT_EQ(0, ktstr_payload_start(&saturate, &fio));
	/* All of them are under way, and what may come at once has come. */
	for (int d = 0; d < 4; d++) {
		do {
			sleep_ms(100);
			ASSERT_TRUE(look_at((char)('a' + d), &from[d]));
		} while (from[d].reads + from[d].writes < 2 * IOPS);
	}
	for (int d = 0; d < 4; d++)
		ASSERT_TRUE(look_at((char)('a' + d), &from[d]));
	sleep_ms(RATE_SECONDS * 1000);
	for (int d = 0; d < 4; d++)
		ASSERT_TRUE(look_at((char)('a' + d), &to[d]));
	ktstr_payload_stop(fio, &result);
	EXPECT_PAYLOAD_OK(&result);

	for (int d = 0; d < 4; d++) {
		double took_s = to[d].at_s - from[d].at_s;
		double reads = (double)(to[d].reads - from[d].reads) / took_s;
		double writes = (double)(to[d].writes - from[d].writes) / took_s;
		double read_bps = (double)(to[d].read_bytes - from[d].read_bytes) / took_s;
		double write_bps = (double)(to[d].write_bytes - from[d].write_bytes) / took_s;
		double rate = d & 1 ? (d < 2 ? writes : write_bps) : (d < 2 ? reads : read_bps);
		double wanted = d < 2 ? IOPS : IOPS * BLOCK;

		TH_LOG("vd%c, %s: %.2f %s in %.3f s", 'a' + d, d & 1 ? "written" : "read", rate,
		       d < 2 ? "operations/s" : "bytes/s", took_s);
		EXPECT_LE(wanted * (1 - RATE_ERROR), rate);
		EXPECT_GE(wanted * (1 + RATE_ERROR), rate);
	}
}

KTSTR_HARNESS_MAIN
