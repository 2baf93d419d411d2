// SPDX-License-Identifier: GPL-2.0-only
/* Descriptions of ready payloads; see payloads.h. */
#include "payloads.h"

#include <ktstr/test.h>

/* An emulated CPU is slow: none of these takes a second on a real one. */
#define TIMEOUT_MS 120000
#define AT_LEAST_ONE KTSTR_LIMIT(1)
#define ABOVE_ZERO KTSTR_LIMIT(0.001)

/* "stress-ng: metrc: [99] cpu  200  0.10  0.10  0.00  2000.00  1999.00" */
const struct ktstr_payload payload_stress_ng = {
	.name = "stress-ng",
	.argv = KTSTR_ARGS("stress-ng", "--cpu", "1", "--cpu-ops", "200", "--cpu-method", "int32",
			   "--metrics-brief"),
	.output = KTSTR_OUTPUT_PATTERN,
	.metrics =
		KTSTR_METRICS({.name = "bogo_ops",
			       .source = "\\] cpu +([0-9]+) +[0-9.]+ +[0-9.]+ +[0-9.]+ ",
			       .minimum = KTSTR_LIMIT(200)},
			      {.name = "bogo_ops_rate",
			       .better = KTSTR_HIGHER_IS_BETTER,
			       .unit = "1/s",
			       .source = "\\] cpu +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +([0-9.]+) ",
			       .minimum = ABOVE_ZERO}),
	.timeout_ms = TIMEOUT_MS,
};

const struct ktstr_payload payload_stress_ng_load = {
	.name = "stress-ng-load",
	.argv = KTSTR_ARGS("stress-ng", "--cpu", "1", "--cpu-method", "int32", "--timeout", "0"),
	.timeout_ms = TIMEOUT_MS,
};

const struct ktstr_payload payload_cyclictest = {
	.name = "cyclictest",
	.argv = KTSTR_ARGS("cyclictest", "--quiet", "--threads=1", "--interval=5000", "--loops=200",
			   "--policy=other", "--json=/tmp/cyclictest.json"),
	.output = KTSTR_OUTPUT_JSON,
	.output_file = "/tmp/cyclictest.json",
	.metrics = KTSTR_METRICS({.name = "cycles",
				  .source = "thread.*.cycles",
				  .pick = KTSTR_PICK_LEAST,
				  .minimum = KTSTR_LIMIT(200)},
				 {.name = "latency_average",
				  .better = KTSTR_LOWER_IS_BETTER,
				  .unit = "us",
				  .source = "thread.*.avg",
				  .pick = KTSTR_PICK_MEAN,
				  .minimum = ABOVE_ZERO},
				 {.name = "latency_greatest",
				  .better = KTSTR_LOWER_IS_BETTER,
				  .unit = "us",
				  .source = "thread.*.max",
				  .pick = KTSTR_PICK_GREATEST,
				  .minimum = AT_LEAST_ONE}),
	.timeout_ms = TIMEOUT_MS,
};

const struct ktstr_payload payload_hackbench = {
	.name = "hackbench",
	.argv = KTSTR_ARGS("hackbench", "--groups", "1", "--fds", "5", "--loops", "200"),
	.output = KTSTR_OUTPUT_PATTERN,
	.metrics = KTSTR_METRICS({.name = "time",
				  .better = KTSTR_LOWER_IS_BETTER,
				  .unit = "s",
				  .source = "^Time: ([0-9.]+)$",
				  .minimum = ABOVE_ZERO}),
	.timeout_ms = TIMEOUT_MS,
};

const struct ktstr_payload payload_fio = {
	.name = "fio",
	.argv = KTSTR_ARGS("fio", "--name=job", "--ioengine=null", "--rw=randread", "--size=4m",
			   "--number_ios=1000", "--thread", "--output-format=json",
			   "--output=/tmp/fio.json"),
	.output = KTSTR_OUTPUT_JSON,
	.output_file = "/tmp/fio.json",
	.metrics = KTSTR_METRICS(
		{.name = "error",
		 .source = "jobs.*.error",
		 .pick = KTSTR_PICK_GREATEST,
		 .maximum = KTSTR_LIMIT(0)},
		{.name = "reads", .source = "jobs.0.read.total_ios", .minimum = KTSTR_LIMIT(1000)},
		{.name = "read_iops",
		 .better = KTSTR_HIGHER_IS_BETTER,
		 .unit = "1/s",
		 .source = "jobs.0.read.iops",
		 .minimum = AT_LEAST_ONE},
		{.name = "read_latency_p99",
		 .better = KTSTR_LOWER_IS_BETTER,
		 .unit = "us",
		 .source = "jobs.0.read.clat_ns.percentile.99\\.000000",
		 .scale = 1e-3}),
	.timeout_ms = TIMEOUT_MS,
};

/* 256 blocks of 4 KiB in random order, and then the same once more to read and compare. */
const struct ktstr_payload payload_fio_verify = {
	.name = "fio-verify",
	.argv = KTSTR_ARGS("fio", "--name=job", "--filename=/mnt/fio.data", "--size=1m", "--bs=4k",
			   "--rw=randwrite", "--ioengine=libaio", "--iodepth=8", "--direct=1",
			   "--fallocate=none", "--end_fsync=1", "--verify=crc32c", "--do_verify=1",
			   "--verify_fatal=1", "--thread", "--output-format=json",
			   "--output=/tmp/fio-verify.json"),
	.output = KTSTR_OUTPUT_JSON,
	.output_file = "/tmp/fio-verify.json",
	.metrics = KTSTR_METRICS(
		{.name = "error",
		 .source = "jobs.*.error",
		 .pick = KTSTR_PICK_GREATEST,
		 .maximum = KTSTR_LIMIT(0)},
		{.name = "writes", .source = "jobs.0.write.total_ios", .minimum = KTSTR_LIMIT(256)},
		{.name = "reads", .source = "jobs.0.read.total_ios", .minimum = KTSTR_LIMIT(256)},
		{.name = "write_iops",
		 .better = KTSTR_HIGHER_IS_BETTER,
		 .unit = "1/s",
		 .source = "jobs.0.write.iops",
		 .minimum = AT_LEAST_ONE},
		{.name = "read_iops",
		 .better = KTSTR_HIGHER_IS_BETTER,
		 .unit = "1/s",
		 .source = "jobs.0.read.iops",
		 .minimum = AT_LEAST_ONE}),
	.timeout_ms = TIMEOUT_MS,
};

const struct ktstr_payload payload_fio_parallel = {
	.name = "fio-parallel",
	.argv = KTSTR_ARGS("fio", "--name=global", "--filename=/dev/vda", "--size=1m",
			   "--bsrange=512-64k", "--rw=randwrite", "--ioengine=libaio",
			   "--iodepth=8", "--direct=1", "--verify=crc32c", "--do_verify=1",
			   "--verify_fatal=1", "--thread", "--output-format=json",
			   "--output=/tmp/fio-parallel.json", "--name=0", "--offset=0m",
			   "--cpus_allowed=0", "--name=1", "--offset=16m", "--cpus_allowed=1",
			   "--name=2", "--offset=32m", "--cpus_allowed=2", "--name=3",
			   "--offset=48m", "--cpus_allowed=3"),
	.output = KTSTR_OUTPUT_JSON,
	.output_file = "/tmp/fio-parallel.json",
	.metrics = KTSTR_METRICS({.name = "error",
				  .source = "jobs.*.error",
				  .pick = KTSTR_PICK_GREATEST,
				  .maximum = KTSTR_LIMIT(0)},
				 {.name = "least_written",
				  .source = "jobs.*.write.io_bytes",
				  .pick = KTSTR_PICK_LEAST,
				  .minimum = KTSTR_LIMIT(1 << 20)},
				 {.name = "least_read",
				  .source = "jobs.*.read.io_bytes",
				  .pick = KTSTR_PICK_LEAST,
				  .minimum = KTSTR_LIMIT(1 << 20)}),
	.timeout_ms = TIMEOUT_MS,
};

/* What is received counts: the sender's own numbers have what is still in its buffers. */
const struct ktstr_payload payload_iperf3_tcp = {
	.name = "iperf3-tcp",
	.argv = KTSTR_ARGS("iperf3", "--client", PAYLOAD_IPERF3_SERVER, "--parallel=2",
			   "--bytes=4M", "--json"),
	.output = KTSTR_OUTPUT_JSON,
	.metrics = KTSTR_METRICS({.name = "received_rate",
				  .unit = "bit/s",
				  .source = "end.sum_received.bits_per_second",
				  .minimum = AT_LEAST_ONE},
				 {.name = "stream_least",
				  .unit = "byte",
				  .source = "end.streams.*.receiver.bytes",
				  .pick = KTSTR_PICK_LEAST,
				  .minimum = AT_LEAST_ONE}),
	.timeout_ms = TIMEOUT_MS,
};

const struct ktstr_payload payload_iperf3_udp = {
	.name = "iperf3-udp",
	.argv = KTSTR_ARGS("iperf3", "--client", PAYLOAD_IPERF3_SERVER, "--udp", "--bitrate=1M",
			   "--length=1448", "--time=2", "--json"),
	.output = KTSTR_OUTPUT_JSON,
	.metrics = KTSTR_METRICS(
		{.name = "received_rate",
		 .unit = "bit/s",
		 .source = "end.sum_received.bits_per_second",
		 .minimum = AT_LEAST_ONE},
		{.name = "received", .source = "end.sum_received.packets", .minimum = AT_LEAST_ONE},
		{.name = "lost",
		 .unit = "%",
		 .source = "end.sum_received.lost_percent",
		 .maximum = KTSTR_LIMIT(0)}),
	.timeout_ms = TIMEOUT_MS,
};

/*
 * Its log, a line a period: idx perf run period start end rel_st slack c_duration c_period wu_lat
 */
const struct ktstr_payload payload_rt_app = {
	.name = "rt-app",
	.argv = KTSTR_ARGS("rt-app", "rt-app.json"),
	.output = KTSTR_OUTPUT_PATTERN,
	.output_file = "/tmp/rt-app-worker-0.log",
	.metrics = KTSTR_METRICS(
		{.name = "run",
		 .unit = "us",
		 .source = "^ *[0-9]+ +[0-9]+ +([0-9]+) ",
		 .pick = KTSTR_PICK_SUM,
		 .minimum = AT_LEAST_ONE},
		{.name = "slack_least",
		 .better = KTSTR_HIGHER_IS_BETTER,
		 .unit = "us",
		 .source = "^ *[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +(-?[0-9]+) ",
		 .pick = KTSTR_PICK_LEAST},
		{.name = "wakeup_latency_greatest",
		 .better = KTSTR_LOWER_IS_BETTER,
		 .unit = "us",
		 .source = "^ *[0-9]+ .* ([0-9]+) *$",
		 .pick = KTSTR_PICK_GREATEST}),
	.timeout_ms = TIMEOUT_MS,
};

/* Printed once an interval and at the end: the last one counts. */
const struct ktstr_payload payload_schbench = {
	.name = "schbench",
	.argv = KTSTR_ARGS("schbench", "-m", "1", "-t", "2", "-r", "2", "-i", "10", "-z", "10"),
	.output = KTSTR_OUTPUT_PATTERN,
	.metrics = KTSTR_METRICS({.name = "latency_p99",
				  .better = KTSTR_LOWER_IS_BETTER,
				  .unit = "us",
				  .source = "^[*\t ]*99\\.0[0-9]*t?h?: +([0-9]+)",
				  .minimum = AT_LEAST_ONE}),
	.timeout_ms = TIMEOUT_MS,
};
