// SPDX-License-Identifier: GPL-2.0-only
/* From what was seen of a run to its verdict: sequences of events, malformed frames, bounded text.
 */
#include "vmm/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

FIXTURE(run)
{
	struct outcome o;
};

FIXTURE_SETUP(run)
{
	outcome__init(&self->o);
}

FIXTURE_TEARDOWN(run)
{
	outcome__free(&self->o);
}

static int life(struct outcome *o, uint32_t step, const char *detail)
{
	uint8_t buf[256];
	struct ktstr_life_payload p = {.step = step};

	memcpy(buf, &p, sizeof(p));
	memcpy(buf + sizeof(p), detail, strlen(detail));
	return outcome__frame(o, KTSTR_FRAME_LIFECYCLE, buf,
			      (uint32_t)(sizeof(p) + strlen(detail)));
}

static int test_result(struct outcome *o, uint32_t signal, uint32_t code, const char *reason)
{
	uint8_t buf[4096];
	struct ktstr_test_payload p = {.signal = signal, .exit_code = code};

	memcpy(buf, &p, sizeof(p));
	memcpy(buf + sizeof(p), reason, strlen(reason));
	return outcome__frame(o, KTSTR_FRAME_TEST_RESULT, buf,
			      (uint32_t)(sizeof(p) + strlen(reason)));
}

static int sched_exit(struct outcome *o, struct ktstr_sched_exit_payload p, const char *text)
{
	uint8_t buf[1024];

	p.text_length = (uint32_t)strlen(text);
	memcpy(buf, &p, sizeof(p));
	memcpy(buf + sizeof(p), text, strlen(text));
	return outcome__frame(o, KTSTR_FRAME_SCHED_EXIT, buf, (uint32_t)(sizeof(p) + strlen(text)));
}

static int end(struct outcome *o, uint32_t code)
{
	return outcome__frame(o, KTSTR_FRAME_EXIT, (const uint8_t *)&code, sizeof(code));
}

static void finish(struct outcome *o)
{
	outcome__finish(o, false, "how");
}

TEST(every_verdict_has_its_name)
{
	EXPECT_STREQ("NONE", ktstr_verdict__name(KTSTR_VERDICT_NONE));
	EXPECT_STREQ("INTERRUPTED", ktstr_verdict__name(KTSTR_VERDICT_INTERRUPTED));
	EXPECT_STREQ("UNKNOWN", ktstr_verdict__name(KTSTR_VERDICT_INTERRUPTED + 1));
	EXPECT_STREQ("UNKNOWN", ktstr_verdict__name((enum ktstr_verdict) - 1));
	for (int i = 0; i <= KTSTR_VERDICT_INTERRUPTED; i++)
		EXPECT_NE(NULL, ktstr_verdict__name((enum ktstr_verdict)i));
}

TEST(how_the_test_ended_is_the_verdict_of_a_whole_run)
{
	static const struct {
		uint32_t signal, code;
		enum ktstr_verdict verdict;
		const char *cause;
		int exit_code;
	} ends[] = {
		{0, 0, KTSTR_VERDICT_PASS, "", 0},
		{0, 2, KTSTR_VERDICT_XFAIL, "", 2},
		{0, 4, KTSTR_VERDICT_SKIP, "", 4},
		{0, 1, KTSTR_VERDICT_FAIL, "exit code 1", 1},
		{0, 255, KTSTR_VERDICT_FAIL, "exit code 255", 255},
		{11, 0, KTSTR_VERDICT_FAIL, "ended by signal 11", -1},
		{64, 4, KTSTR_VERDICT_FAIL, "ended by signal 64", -1},
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct outcome o;

		outcome__init(&o);
		EXPECT_EQ(0, life(&o, KTSTR_LIFE_INIT, ""));
		EXPECT_EQ(0, test_result(&o, ends[i].signal, ends[i].code, "why"));
		EXPECT_FALSE(o.complete);
		EXPECT_EQ(0, end(&o, ends[i].code));
		EXPECT_TRUE(o.complete);
		/* That the guest resets itself afterwards is the normal end. */
		outcome__finish(&o, true, "reset");
		EXPECT_EQ(ends[i].verdict, o.verdict);
		EXPECT_STREQ(ends[i].cause, o.cause);
		EXPECT_EQ(ends[i].exit_code, o.exit_code);
		EXPECT_STREQ("why", o.skip_reason);
		outcome__free(&o);
	}
}

TEST(skip_with_the_reason_of_measured_limits_is_inconclusive)
{
	static const struct {
		uint32_t code;
		const char *reason;
		enum ktstr_verdict verdict;
	} ends[] = {
		{KSFT_SKIP, KTSTR_SKIP_INCONCLUSIVE, KTSTR_VERDICT_INCONCLUSIVE},
		{KSFT_SKIP, KTSTR_SKIP_INCONCLUSIVE "!", KTSTR_VERDICT_SKIP},
		{KSFT_SKIP, "INCONCLUSIVE", KTSTR_VERDICT_SKIP},
		{KSFT_FAIL, KTSTR_SKIP_INCONCLUSIVE, KTSTR_VERDICT_FAIL},
		{KSFT_PASS, KTSTR_SKIP_INCONCLUSIVE, KTSTR_VERDICT_PASS},
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct outcome o;

		outcome__init(&o);
		EXPECT_EQ(0, life(&o, KTSTR_LIFE_INIT, ""));
		EXPECT_EQ(0, test_result(&o, 0, ends[i].code, ends[i].reason));
		EXPECT_EQ(0, end(&o, ends[i].code));
		finish(&o);
		EXPECT_EQ(ends[i].verdict, o.verdict);
		outcome__free(&o);
	}
}

TEST_F(run, without_a_sign_of_init_it_did_not_boot)
{
	outcome__finish(&self->o, true, "triple fault");
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->o.verdict);
	EXPECT_STREQ("the kernel never reached init (triple fault)", self->o.cause);
}

TEST_F(run, a_reset_in_the_middle_is_a_reboot_and_names_the_step)
{
	life(&self->o, KTSTR_LIFE_INIT, "");
	life(&self->o, KTSTR_LIFE_TEST_STARTED, "");
	outcome__finish(&self->o, true, "reset");
	EXPECT_EQ(KTSTR_VERDICT_GUEST_REBOOT, self->o.verdict);
	EXPECT_STREQ("the guest ended during the test (reset)", self->o.cause);
}

TEST_F(run, a_result_without_exit_is_not_complete)
{
	life(&self->o, KTSTR_LIFE_INIT, "");
	test_result(&self->o, 0, 0, "");
	finish(&self->o);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->o.verdict);
}

TEST_F(run, exit_without_a_result_is_no_pass)
{
	life(&self->o, KTSTR_LIFE_INIT, "");
	end(&self->o, 0);
	finish(&self->o);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->o.verdict);
	EXPECT_STREQ("EXIT came without a test result", self->o.cause);
}

TEST_F(run, the_first_cause_wins)
{
	outcome__fail(&self->o, KTSTR_VERDICT_KERNEL_OOPS, "first %d", 1);
	outcome__fail(&self->o, KTSTR_VERDICT_HOST_ERROR, "second");
	sched_exit(&self->o, (struct ktstr_sched_exit_payload){.kind = KTSTR_SCHED_EXITED}, "");
	test_result(&self->o, 0, 0, "");
	end(&self->o, 0);
	outcome__finish(&self->o, true, "third");
	EXPECT_EQ(KTSTR_VERDICT_KERNEL_OOPS, self->o.verdict);
	EXPECT_STREQ("first 1", self->o.cause);
	EXPECT_TRUE(self->o.have_status); /* evidence all the same */
}

TEST_F(run, a_cause_is_one_printable_line)
{
	char longer[2 * OUTCOME_CAUSE_MAX];

	outcome__fail(&self->o, KTSTR_VERDICT_FAIL, "a\nb\tc\x1b[1m\x7f\xc2\x9bm\xc2\xb5");
	EXPECT_STREQ("a b c [1m   m\xc2\xb5", self->o.cause);
	outcome__amend(&self->o, "x\r\ny");
	EXPECT_STREQ("x  y", self->o.cause);
	memset(longer, 'z', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	outcome__amend(&self->o, longer);
	EXPECT_EQ(OUTCOME_CAUSE_MAX - 1, strlen(self->o.cause));
}

TEST_F(run, schedulers_end_by_their_kind)
{
	static const struct {
		struct ktstr_sched_exit_payload p;
		enum ktstr_verdict verdict;
		const char *cause;
	} ends[] = {
		{{.kind = KTSTR_SCHED_STOPPED}, KTSTR_VERDICT_NONE, ""},
		{{.kind = KTSTR_SCHED_NOT_ATTACHED, .exit_code = 3},
		 KTSTR_VERDICT_SCHED_NOT_ATTACHED,
		 "the scheduler did not attach (exited with code 3): text"},
		{{.kind = KTSTR_SCHED_EXITED, .signal = 6},
		 KTSTR_VERDICT_SCHED_EXITED,
		 "the scheduler ended during the test (ended by signal 6): text"},
		{{.kind = KTSTR_SCHED_EXITED, .still_alive = 1, .signal = 6},
		 KTSTR_VERDICT_SCHED_EXITED,
		 "the scheduler ended during the test (its process lives): text"},
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct outcome o;

		outcome__init(&o);
		life(&o, KTSTR_LIFE_TEST_STARTED, "");
		EXPECT_EQ(0, sched_exit(&o, ends[i].p, "text"));
		EXPECT_EQ(ends[i].verdict, o.verdict);
		EXPECT_STREQ(ends[i].cause, o.cause);
		outcome__free(&o);
	}
}

static int timed_life(struct outcome *o, uint32_t step, uint64_t boot_ns)
{
	struct ktstr_life_payload p = {.step = step, .boot_ns = boot_ns};

	return outcome__frame(o, KTSTR_FRAME_LIFECYCLE, (const uint8_t *)&p, sizeof(p));
}

TEST_F(run, time_to_attach_is_from_the_start_of_the_scheduler)
{
	timed_life(&self->o, KTSTR_LIFE_SCHED_STARTED, 1000);
	timed_life(&self->o, KTSTR_LIFE_SCHED_ATTACHED, 3500);
	timed_life(&self->o, KTSTR_LIFE_TEST_STARTED, 9000);
	EXPECT_EQ(2500, self->o.attach_ns);
}

TEST_F(run, time_to_attach_is_none_where_the_guest_tells_nonsense)
{
	timed_life(&self->o, KTSTR_LIFE_SCHED_ATTACHED, 3500);
	EXPECT_EQ(0, self->o.attach_ns);
	timed_life(&self->o, KTSTR_LIFE_SCHED_STARTED, 4000);
	timed_life(&self->o, KTSTR_LIFE_SCHED_ATTACHED, 3500);
	EXPECT_EQ(0, self->o.attach_ns);
}

TEST_F(run, the_end_of_the_scheduler_is_kept_as_data)
{
	static const char texts[] = "lineruntime errorbad\nDSQEV 1\ndump of\nall";
	struct ktstr_sched_exit_payload p = {
		.kind = KTSTR_SCHED_EXITED,
		.scx_kind = KTSTR_SCX_EXIT_ERROR,
		.scx_cpu = 3,
		.text_length = 4,
		.reason_length = 13,
		.message_length = 7,
		.events_length = 5,
		.dump_length = 11,
		.enable_seq = 2,
		.hotplug_seq = -1,
		.nr_rejected = 7,
	};
	uint8_t buf[256];
	uint32_t length = sizeof(p) + sizeof(texts) - 1;

	EXPECT_EQ(-1, self->o.sched.cpu);
	EXPECT_EQ(-1, self->o.sched.enable_seq);
	memcpy(buf, &p, sizeof(p));
	memcpy(buf + sizeof(p), texts, sizeof(texts) - 1);
	life(&self->o, KTSTR_LIFE_TEST_STARTED, "");
	EXPECT_EQ(0, outcome__frame(&self->o, KTSTR_FRAME_SCHED_EXIT, buf, length));
	EXPECT_EQ(KTSTR_SCX_EXIT_ERROR, self->o.sched.kind);
	EXPECT_EQ(3, self->o.sched.cpu);
	EXPECT_STREQ("runtime error", self->o.sched.reason);
	EXPECT_STREQ("bad DSQ", self->o.sched.message);
	EXPECT_STREQ("EV 1\n", self->o.sched.events.data);
	EXPECT_STREQ("dump of\nall", self->o.sched.dump.data);
	EXPECT_EQ(2, self->o.sched.enable_seq);
	EXPECT_EQ(-1, self->o.sched.hotplug_seq);
	EXPECT_EQ(7, self->o.sched.nr_rejected);
	EXPECT_STREQ("the scheduler ended during the test (exited with code 0): line",
		     self->o.cause);

	/* A scheduler ends once. */
	EXPECT_EQ(-EPROTO, outcome__frame(&self->o, KTSTR_FRAME_SCHED_EXIT, buf, length));
	EXPECT_STREQ("dump of\nall", self->o.sched.dump.data);
}

TEST(every_way_to_end_has_its_name)
{
	EXPECT_STREQ("NONE", ktstr_scx_exit__name(KTSTR_SCX_EXIT_NONE));
	EXPECT_STREQ("UNREG", ktstr_scx_exit__name((enum ktstr_scx_exit)64));
	EXPECT_STREQ("SYSRQ", ktstr_scx_exit__name((enum ktstr_scx_exit)67));
	EXPECT_STREQ("ERROR_STALL", ktstr_scx_exit__name((enum ktstr_scx_exit)1026));
	EXPECT_STREQ("UNKNOWN", ktstr_scx_exit__name((enum ktstr_scx_exit)1));
}

TEST_F(run, ops_of_the_attached_scheduler_are_noted)
{
	char name[200];

	life(&self->o, KTSTR_LIFE_SCHED_ATTACHED, "sim\nple");
	EXPECT_STREQ("sim ple", self->o.scheduler_ops);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	life(&self->o, KTSTR_LIFE_SCHED_ATTACHED, name);
	EXPECT_EQ(sizeof(self->o.scheduler_ops) - 1, strlen(self->o.scheduler_ops));
}

TEST_F(run, output_of_the_scheduler_is_kept_and_that_of_the_test_is_not)
{
	EXPECT_EQ(0,
		  outcome__frame(&self->o, KTSTR_FRAME_OUTPUT, (const uint8_t *)"\3\0\0\0ab", 6));
	EXPECT_EQ(0,
		  outcome__frame(&self->o, KTSTR_FRAME_OUTPUT, (const uint8_t *)"\1\0\0\0xy", 6));
	EXPECT_EQ(0, outcome__frame(&self->o, KTSTR_FRAME_OUTPUT, (const uint8_t *)"\3\0\0\0c", 5));
	EXPECT_STREQ("abc", self->o.scheduler.data);
}

TEST(malformed_frames_break_the_channel)
{
	static const struct {
		uint32_t type, length;
		uint8_t payload[88];
	} frames[] = {
		{KTSTR_FRAME_LIFECYCLE, 15, {1}},
		{KTSTR_FRAME_LIFECYCLE, 0, {0}},
		{KTSTR_FRAME_TEST_RESULT, 7, {0}},
		{KTSTR_FRAME_TEST_RESULT, 8, {65}},		  /* no such signal */
		{KTSTR_FRAME_TEST_RESULT, 8, {0, 0, 0, 0, 0, 1}}, /* exit code 256 */
		{KTSTR_FRAME_SCHED_EXIT, 79, {1}},
		{KTSTR_FRAME_SCHED_EXIT, 80, {0}},
		{KTSTR_FRAME_SCHED_EXIT, 80, {4}},
		{KTSTR_FRAME_SCHED_EXIT, 80, {1, [32] = 1}}, /* a text that is not there */
		{KTSTR_FRAME_SCHED_EXIT, 81, {1}},	     /* one that is not told */
		{KTSTR_FRAME_SCHED_EXIT, 81, {1, [48] = 2}},
		/* lengths whose sum wraps to 0 in 32 bits */
		{KTSTR_FRAME_SCHED_EXIT, 80, {1, [35] = 0x80, [39] = 0x80}},
		{KTSTR_FRAME_EXIT, 3, {0}},
		{KTSTR_FRAME_EXIT, 5, {0}},
		{KTSTR_FRAME_OUTPUT, 3, {3}},
		{KTSTR_FRAME_SCENARIO_START, 15, {0}},
		{KTSTR_FRAME_SCENARIO_END, 16, {0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, /* exit code 256 */
		{KTSTR_FRAME_STIMULUS, 15, {0}},
		{KTSTR_FRAME_RAW_OUTPUT, 7, {0}},
		{KTSTR_FRAME_RAW_OUTPUT, 10, {3}}, /* a name of 3 bytes in 2 */
		{KTSTR_FRAME_PAYLOAD_METRICS, 31, {0}},
		{KTSTR_FRAME_PAYLOAD_METRICS, 33, {0}},		/* a byte too many */
		{KTSTR_FRAME_PAYLOAD_METRICS, 33, {[28] = 2}},	/* a name of 2 bytes in 1 */
		{KTSTR_FRAME_PAYLOAD_METRICS, 32, {[24] = 1}},	/* no metric there */
		{KTSTR_FRAME_PAYLOAD_METRICS, 32, {[16] = 65}}, /* no such signal */
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct outcome o;

		outcome__init(&o);
		EXPECT_EQ(-EPROTO,
			  outcome__frame(&o, frames[i].type, frames[i].payload, frames[i].length));
		EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, o.verdict);
		EXPECT_EQ(0, strncmp("frame '", o.cause, 7));
		EXPECT_FALSE(o.complete);
		EXPECT_FALSE(o.have_status);
		outcome__free(&o);
	}
}

TEST_F(run, metrics_fill_their_frame)
{
	struct {
		struct ktstr_metrics_payload head;
		char name[2];
		struct ktstr_metric_record metric;
		char metric_name[3], unit[1];
	} __attribute__((packed)) frame = {
		.head = {.nr_metrics = 1, .name_length = 2},
		.metric = {.name_length = 3, .unit_length = 1},
	};

	EXPECT_EQ(0, outcome__frame(&self->o, KTSTR_FRAME_PAYLOAD_METRICS, (uint8_t *)&frame,
				    sizeof(frame)));
	frame.metric.unit_length = UINT16_MAX;
	EXPECT_EQ(-EPROTO, outcome__frame(&self->o, KTSTR_FRAME_PAYLOAD_METRICS, (uint8_t *)&frame,
					  sizeof(frame)));
}

TEST_F(run, the_scenario_that_runs_is_known)
{
	struct {
		struct ktstr_scenario_payload head;
		char name[4];
	} __attribute__((packed)) frame = {.name = {'s', 'p', 'i', 'n'}};

	EXPECT_EQ(0, outcome__frame(&self->o, KTSTR_FRAME_SCENARIO_START, (uint8_t *)&frame,
				    sizeof(frame)));
	EXPECT_STREQ("spin", self->o.scenario);
	EXPECT_EQ(0, outcome__frame(&self->o, KTSTR_FRAME_SCENARIO_END, (uint8_t *)&frame,
				    sizeof(frame)));
	EXPECT_STREQ("", self->o.scenario);
}

TEST_F(run, a_second_result_breaks_the_channel_and_changes_nothing)
{
	EXPECT_EQ(0, test_result(&self->o, 0, 1, ""));
	EXPECT_EQ(-EPROTO, test_result(&self->o, 0, 0, ""));
	EXPECT_EQ(1, self->o.exit_code);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->o.verdict);
}

TEST_F(run, frames_of_later_versions_are_passed_over)
{
	EXPECT_EQ(0, outcome__frame(&self->o, KTSTR_FOURCC('N', 'E', 'W', '!'), NULL, 0));
	EXPECT_EQ(KTSTR_VERDICT_NONE, self->o.verdict);
	EXPECT_TRUE(self->o.init_seen);
}

TEST_F(run, long_reasons_are_cut)
{
	char reason[3000];

	memset(reason, 'r', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	EXPECT_EQ(0, test_result(&self->o, 0, 4, reason));
	EXPECT_EQ(sizeof(self->o.skip_reason) - 1, strlen(self->o.skip_reason));
}

TEST_F(run, com2_gives_the_result_while_port_1_is_silent)
{
	outcome__com2_exit(&self->o, 4, "no such thing");
	finish(&self->o);
	EXPECT_EQ(KTSTR_VERDICT_SKIP, self->o.verdict);
	EXPECT_TRUE(self->o.by_com2);
	EXPECT_STREQ("no such thing", self->o.skip_reason);
}

TEST_F(run, com2_tells_signals_by_the_code)
{
	outcome__com2_exit(&self->o, 128 + 9, "");
	finish(&self->o);
	EXPECT_EQ(9, self->o.signal);
	EXPECT_EQ(-1, self->o.exit_code);
	EXPECT_STREQ("ended by signal 9", self->o.cause);
}

TEST_F(run, com2_says_nothing_once_port_1_spoke)
{
	life(&self->o, KTSTR_LIFE_INIT, "");
	outcome__com2_exit(&self->o, 0, "");
	outcome__com2_sched_exit(&self->o, KTSTR_SCHED_EXITED, "text");
	EXPECT_FALSE(self->o.complete);
	EXPECT_EQ(KTSTR_VERDICT_NONE, self->o.verdict);
	finish(&self->o);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->o.verdict);
}

TEST_F(run, com2_tells_of_the_scheduler)
{
	outcome__com2_sched_exit(&self->o, KTSTR_SCHED_STOPPED, "text");
	EXPECT_EQ(KTSTR_VERDICT_NONE, self->o.verdict);
	outcome__com2_sched_exit(&self->o, KTSTR_SCHED_NOT_ATTACHED, "text");
	EXPECT_EQ(KTSTR_VERDICT_SCHED_NOT_ATTACHED, self->o.verdict);
	EXPECT_STREQ("the scheduler did not attach: text", self->o.cause);
}

TEST(text_keeps_the_newest_and_is_bounded)
{
	struct outcome_text text = {0};
	char *chunk = malloc(3 * OUTCOME_TEXT_MAX);
	uint64_t given = 0;

	ASSERT_NE(NULL, chunk);
	for (int i = 0; i < 1000; i++) {
		char line[4096];

		memset(line, 'a' + i % 26, sizeof(line));
		outcome_text__add(&text, line, sizeof(line));
		given += sizeof(line);
		ASSERT_LE(text.length, OUTCOME_TEXT_MAX);
		ASSERT_LE(text.capacity, 2 * OUTCOME_TEXT_MAX);
		ASSERT_EQ(given, text.length + text.dropped);
		ASSERT_EQ(line[0], text.data[text.length - 1]);
		ASSERT_EQ('\0', text.data[text.length]);
	}
	EXPECT_GE(text.length, OUTCOME_TEXT_MAX / 2);
	memset(chunk, 'c', 3 * OUTCOME_TEXT_MAX);
	chunk[3 * OUTCOME_TEXT_MAX - 1] = 'z';
	outcome_text__add(&text, chunk, 3 * OUTCOME_TEXT_MAX);
	EXPECT_EQ(OUTCOME_TEXT_MAX, text.length);
	EXPECT_EQ('z', text.data[text.length - 1]);
	EXPECT_EQ('c', text.data[0]);
	EXPECT_EQ(given + 3 * OUTCOME_TEXT_MAX, text.length + text.dropped);
	outcome_text__free(&text);
	free(chunk);
}

TEST(nul_bytes_do_not_hide_what_follows)
{
	struct outcome_text text = {0};

	outcome_text__add(&text, "a\0b", 3);
	EXPECT_STREQ("a b", text.data);
	outcome_text__free(&text);
}

TEST_HARNESS_MAIN
