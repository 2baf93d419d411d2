// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real programs in the machine: they run, report what they measured, and are held to their limits.
 * The limits here are met on the slowest host; what a scheduler is worth, they do not say.
 */
#include <ktstr/harness.h>

#include "payloads.h"

static void run(struct __test_metadata *_metadata, const struct ktstr_payload *payload)
{
	struct ktstr_payload_result result;

	ktstr_payload_run(payload, &result);
	EXPECT_PAYLOAD_OK(&result);
	EXPECT_TRUE(result.sent);
	EXPECT_GT(result.run_ns, 0);
}

/* What a program printed, read on the host. */
#define READ_HACKBENCH                                                                        \
	KTSTR_EXTRACTOR("sed -n 's/^Time: \\(.*\\)$/{\"metrics\": [{\"name\": \"raw_time\", " \
			"\"unit\": \"s\", \"value\": \\1, \"minimum\": 0.001}]}/p'")

KTSTR_TEST(scheduling_benchmarks_report_their_metrics,
	   .files = KTSTR_FILES("stress-ng", "cyclictest", "hackbench", "rt-app", "./rt-app.json"),
	   .extractor = READ_HACKBENCH, .timeout_s = 300)
{
	struct ktstr_payload raw = payload_hackbench;

	raw.output = KTSTR_OUTPUT_RAW;
	raw.metrics = NULL;
	run(_metadata, &raw);
	run(_metadata, &payload_hackbench);
	run(_metadata, &payload_stress_ng);
	run(_metadata, &payload_cyclictest);
	run(_metadata, &payload_rt_app);
}

KTSTR_TEST(fio_reports_its_metrics, .files = KTSTR_FILES("fio"), .memory_mb = 1024,
	   .timeout_s = 300)
{
	run(_metadata, &payload_fio);
}

KTSTR_TEST(schbench_reports_its_metrics, .files = KTSTR_FILES("schbench"), .timeout_s = 300)
{
	run(_metadata, &payload_schbench);
}

/* A load goes on in the background while others run, and ends when it is told to. */
KTSTR_TEST(payloads_run_side_by_side_under_a_scheduler, .topology = TOPO(1, 1, 2, 1),
	   .files = KTSTR_FILES("stress-ng", "cyclictest", "hackbench"), .scheduler = "scx_ktstr",
	   .scheduler_ops = "ktstr", .timeout_s = 300)
{
	struct ktstr_payload_process *load;
	struct ktstr_payload_result result;

	ASSERT_EQ(0, ktstr_payload_start(&payload_stress_ng_load, &load));
	run(_metadata, &payload_hackbench);
	run(_metadata, &payload_cyclictest);
	ktstr_payload_stop(load, &result);
	EXPECT_PAYLOAD_OK(&result);
	EXPECT_TRUE(result.stopped);
}

/* One limit that cannot hold: the test fails, and says which and why. */
KTSTR_TEST(metric_beyond_its_limit_fails_the_test, .files = KTSTR_FILES("hackbench"),
	   .expect_verdict = KTSTR_VERDICT_FAIL,
	   .expect_cause = "Expected hackbench to end as declared, but time is ")
{
	struct ktstr_payload strict = payload_hackbench;
	struct ktstr_metric metrics[] = {payload_hackbench.metrics[0], {.name = NULL}};
	struct ktstr_payload_result result;

	metrics[0].maximum = (struct ktstr_limit)KTSTR_LIMIT(0);
	strict.metrics = metrics;
	/* Whatever else goes wrong must not look like it. */
	ASSERT_EQ(-ERANGE, ktstr_payload_run(&strict, &result));
	ASSERT_EQ(KTSTR_METRIC_TOO_HIGH, result.metrics[0].flags);
	ASSERT_PAYLOAD_OK(&result);
}

KTSTR_HARNESS_MAIN
