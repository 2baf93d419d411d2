// SPDX-License-Identifier: GPL-2.0-only
/*
 * The harness's host side: output becomes TAP diagnostics, and the end of a run the end of its
 * test. The machine behind it is one of ours that does what each test wants.
 */
#include "kselftest_harness.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "vmm/harness.h"
#include "vmm/harness_signals.h"
#include "vmm/record.h"

FIXTURE(harness)
{
	char *text; /* what was printed; complete after printed() */
	size_t size;
	FILE *out;
	struct ktstr_test_attrs attrs;
	struct ktstr_result result;
	struct ktstr_test_outcome outcome;
	struct harness_record *where; /* of the test's record; NULL: none */
};

FIXTURE_SETUP(harness)
{
	self->out = open_memstream(&self->text, &self->size);
	unsetenv("KTSTR_PROFRAW_DIR");
	ASSERT_NE(NULL, self->out);
}

FIXTURE_TEARDOWN(harness)
{
	fclose(self->out);
	free(self->text);
}

static const char *printed(struct _test_data_harness *self)
{
	fflush(self->out);
	return self->text;
}

static void judge(struct _test_data_harness *self, bool cause_printed)
{
	const struct ktstr_test_id id = {
		.fixture = "fix", .variant = "", .test = "name", .termsig = SIGUSR1};

	harness__judge(&id, &self->attrs, &self->result, cause_printed, self->out, &self->outcome);
}

/* ---- relay ---- */

TEST_F(harness, relay_makes_every_line_a_diagnostic)
{
	static const char text[] = "one\n# a diagnostic\n#x\n\n#\ntwo\r\n";
	struct harness_relay relay;
	size_t i;

	/* Byte by byte: lines are found whatever the pieces. */
	harness_relay__init(&relay, self->out, NULL);
	for (i = 0; i < sizeof(text) - 1; i++)
		harness_relay__feed(&relay, text + i, 1);
	harness_relay__finish(&relay);
	EXPECT_STREQ("# one\n# a diagnostic\n# #x\n# \n#\n# two\n", printed(self));
}

/* With its "# " taken off once or more, no line is TAP; see selftests/consumers. */
TEST_F(harness, relay_keeps_what_looks_like_tap_from_being_read_as_such)
{
	static const char text[] = "ok 1 a\n  not ok 2 b\n# ok 3 c\n# # not ok 4 d\n1..5\n"
				   "TAP version 13\n#KTAP version 1\n# Subtest: e\n"
				   "Bail out! f\nokay\nSKIP g\n# h\nbook 1\n";
	struct harness_relay relay;

	harness_relay__init(&relay, self->out, NULL);
	harness_relay__feed(&relay, text, sizeof(text) - 1);
	EXPECT_STREQ("# | ok 1 a\n# |   not ok 2 b\n# | # ok 3 c\n# | # # not ok 4 d\n# | 1..5\n"
		     "# | TAP version 13\n# | #KTAP version 1\n# | # Subtest: e\n"
		     "# | Bail out! f\n# | okay\n# | SKIP g\n# h\n# book 1\n",
		     printed(self));
}

TEST_F(harness, relay_shows_nothing_that_a_terminal_obeys)
{
	static const char text[] = "a\x1b[1m\x7f\xc2\x9b\x32m\xc2\xb5\tb\n";
	struct harness_relay relay;

	harness_relay__init(&relay, self->out, NULL);
	harness_relay__feed(&relay, text, sizeof(text) - 1);
	EXPECT_STREQ("# a?[1m???2m\xc2\xb5\tb\n", printed(self));
}

/* It is not known yet how the test ends. */
TEST_F(harness, relay_hides_what_consumers_search_for)
{
	static const char text[] = "[FAIL] FAIL: [SKIP] x # SKIP\n[   1.0] RIP: 0010:f\n"
				   "Kernel panic - not syncing: VFS: x\nreboot: System halted\n";
	struct harness_relay relay;

	harness_relay__init(&relay, self->out, "[FAIL] FAIL:");
	harness_relay__feed(&relay, text, sizeof(text) - 1);
	EXPECT_STREQ("# [FAIL ] FAIL : [SKIP ] x #  SKIP\n# [   1.0] RIP : 0010:f\n"
		     "# Kernel  panic - not syncing:  VFS:"
		     " x\n# reboot:  System halted\n",
		     printed(self));
	EXPECT_TRUE(relay.seen); /* as the test wrote it */
}

TEST_F(harness, relay_ends_an_unfinished_line_and_shows_bytes_that_are_no_text)
{
	struct harness_relay relay;

	harness_relay__init(&relay, self->out, NULL);
	harness_relay__feed(&relay, "a\0b\033[1mc\td", 10);
	harness_relay__finish(&relay);
	harness_relay__finish(&relay);
	EXPECT_STREQ("# a?b?[1mc\td\n", printed(self));
}

TEST_F(harness, relay_cuts_a_line_that_never_ends_and_each_piece_is_a_diagnostic)
{
	struct harness_relay relay;
	size_t i, lines = 0, chars = 0;
	const char *text;

	harness_relay__init(&relay, self->out, NULL);
	for (i = 0; i < 3 * HARNESS_LINE_MAX; i++)
		harness_relay__feed(&relay, &"# "[i % 2], 1);
	harness_relay__finish(&relay);
	text = printed(self);
	for (i = 0; text[i]; i++) {
		if (i == 0 || text[i - 1] == '\n') {
			lines++;
			EXPECT_EQ(0, strncmp(text + i, "# ", 2));
		}
		chars += text[i] != '\n';
	}
	EXPECT_EQ(4, lines);
	/* All bytes, and a "# " before each piece but the first, which begins so itself. */
	EXPECT_EQ(3 * HARNESS_LINE_MAX + 3 * 2, chars);
}

TEST_F(harness, relay_sees_the_text_it_watches_for_within_a_line)
{
	struct harness_relay relay;

	harness_relay__init(&relay, self->out, "needle");
	harness_relay__feed(&relay, "nee\ndle\n", 8);
	EXPECT_FALSE(relay.seen);
	harness_relay__feed(&relay, "a nee", 5);
	harness_relay__feed(&relay, "dle b\n", 6);
	EXPECT_TRUE(relay.seen);
}

/* ---- attributes ---- */

TEST(declared_attributes_replace_and_others_stay)
{
	struct ktstr_test_attrs attrs = {.memory_mb = 512,
					 .scheduler = "a",
					 .timeout_s = 3,
					 .stats_interval_ms = 7,
					 .topology = TOPO(1, 1, 2, 1)};
	const struct ktstr_test_attrs over = {.memory_mb = 1024,
					      .topology = TOPO(2, 2, 1, 1),
					      .cpu_vendor = KTSTR_VENDOR_AMD,
					      .expect_verdict = KTSTR_VERDICT_FAIL,
					      .stats_interval_ms = 9,
					      .expect_sched_exit = KTSTR_SCX_EXIT_SYSRQ};

	ktstr_test_attrs__merge(&attrs, &over);
	EXPECT_EQ(KTSTR_VENDOR_AMD, attrs.cpu_vendor);
	EXPECT_EQ(1024, attrs.memory_mb);
	EXPECT_STREQ("a", attrs.scheduler);
	EXPECT_EQ(3, attrs.timeout_s);
	EXPECT_EQ(9, attrs.stats_interval_ms);
	EXPECT_EQ(2, attrs.topology.numa_nodes);
	EXPECT_EQ(1, attrs.topology.cores_per_llc);
	EXPECT_EQ(KTSTR_VERDICT_FAIL, attrs.expect_verdict);
	EXPECT_EQ(KTSTR_SCX_EXIT_SYSRQ, attrs.expect_sched_exit);
}

TEST(a_topology_is_declared_by_any_of_its_fields_and_replaces_the_whole)
{
	const struct ktstr_topology some[] = {
		{.numa_nodes = 1},
		{.llcs = 1},
		{.cores_per_llc = 1},
		{.threads_per_core = 1},
		{.packages = 1},
		{.nodes = KTSTR_NODES({.llcs = 1})},
		{.distances = KTSTR_DISTANCES(10)},
		{.caches.l1d_kb = 1},
		{.caches.l1i_kb = 1},
		{.caches.l2_kb = 1},
		{.caches.l3_kb = 1},
	};
	const struct ktstr_topology first = {.numa_nodes = 2,
					     .packages = 3,
					     .nodes = KTSTR_NODES({.llcs = 1}, {.llcs = 0}),
					     .caches.l3_kb = 7};
	struct ktstr_test_attrs attrs;

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		const struct ktstr_test_attrs over = {.topology = some[i]};

		attrs = (struct ktstr_test_attrs){.topology = first};
		ktstr_test_attrs__merge(&attrs, &over);
		EXPECT_EQ(0, memcmp(&some[i], &attrs.topology, sizeof(some[i]))) TH_LOG("%zu", i);
	}
	attrs = (struct ktstr_test_attrs){.topology = first};
	ktstr_test_attrs__merge(&attrs, &(struct ktstr_test_attrs){.memory_mb = 1});
	EXPECT_EQ(3, attrs.topology.packages);
	EXPECT_EQ(first.nodes, attrs.topology.nodes);
}

TEST(limit_is_above_boot_and_test_and_fits_kselftests_milliseconds)
{
	struct ktstr_test_attrs attrs = {.boot_timeout_s = 100, .timeout_s = 200};

	EXPECT_GT(ktstr_test_attrs__limit_s(&attrs), 300);
	attrs.attach_timeout_s = 1000;
	EXPECT_GT(ktstr_test_attrs__limit_s(&attrs), 1300);
	attrs.boot_timeout_s = 0; /* more CPUs boot longer */
	attrs.topology = (struct ktstr_topology)TOPO(1, 8, 8, 4);
	EXPECT_GT(ktstr_test_attrs__limit_s(&attrs), 1200 + 8 * 256);
	attrs.timeout_s = 3000000;
	EXPECT_EQ(INT32_MAX / 1000, ktstr_test_attrs__limit_s(&attrs));
	attrs.timeout_s = UINT32_MAX;
	EXPECT_EQ(INT32_MAX / 1000, ktstr_test_attrs__limit_s(&attrs));
}

/* ---- verdicts ---- */

TEST_F(harness, pass_needs_the_status_of_the_guests_child)
{
	self->result.verdict = KTSTR_VERDICT_PASS;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_EQ(0, strncmp(printed(self), "# PASS: the run ended without", 29));

	self->result.have_status = true;
	judge(self, false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_EQ(0, self->outcome.signal);
}

TEST_F(harness, verdict_of_a_broken_run_outweighs_a_passing_status)
{
	self->result.verdict = KTSTR_VERDICT_SCHED_EXITED;
	self->result.have_status = true;
	self->result.cause = "scheduler exited: code 1";
	self->result.scheduler_output = "first\nlast words\n";
	self->result.console = "[    1.0] boom\r\n";
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# SCHED_EXITED: scheduler exited: code 1\n"
		     "# scheduler output:\n# | first\n# | last words\n"
		     "# kernel console:\n# | [    1.0] boom\n",
		     printed(self));
}

TEST_F(harness, verdict_fail_with_a_passing_status_is_no_pass)
{
	self->result.verdict = KTSTR_VERDICT_FAIL;
	self->result.have_status = true;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
}

TEST_F(harness, status_is_replayed_as_it_was)
{
	static const struct {
		enum ktstr_verdict verdict;
		int exit_code, signal;
	} ends[] = {{KTSTR_VERDICT_FAIL, 1, 0},
		    {KTSTR_VERDICT_XFAIL, KSFT_XFAIL, 0},
		    {KTSTR_VERDICT_FAIL, KSFT_XPASS, 0},
		    {KTSTR_VERDICT_SKIP, KSFT_SKIP, 0},
		    {KTSTR_VERDICT_INCONCLUSIVE, KSFT_SKIP, 0},
		    {KTSTR_VERDICT_FAIL, -1, SIGABRT},
		    {KTSTR_VERDICT_FAIL, 77, 0}};
	size_t i;

	self->result.have_status = true;
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		self->result.verdict = ends[i].verdict;
		self->result.exit_code = ends[i].exit_code;
		self->result.signal = ends[i].signal;
		self->result.skip_reason = "no\nhardware";
		judge(self, false);
		EXPECT_EQ(ends[i].exit_code, self->outcome.exit_code);
		EXPECT_EQ(ends[i].signal, self->outcome.signal);
		EXPECT_STREQ("no hardware", self->outcome.reason);
	}
}

TEST_F(harness, evidence_comes_with_a_failure_and_not_with_the_signal_that_is_expected)
{
	self->result = (struct ktstr_result){.verdict = KTSTR_VERDICT_FAIL,
					     .have_status = true,
					     .signal = SIGUSR1,
					     .console = "text"};
	judge(self, false);
	EXPECT_STREQ("", printed(self));
	EXPECT_EQ(SIGUSR1, self->outcome.signal);
	self->result.signal = SIGSEGV;
	judge(self, false);
	EXPECT_STREQ("# kernel console:\n# | text\n", printed(self));
}

TEST_F(harness, expected_verdict_passes_and_any_other_fails)
{
	self->attrs.expect_verdict = KTSTR_VERDICT_SCHED_EXITED;
	self->result.verdict = KTSTR_VERDICT_SCHED_EXITED;
	self->result.cause = "stall of 2.1 s";
	self->result.complete = true;
	judge(self, false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);

	self->attrs.expect_cause = "stall";
	judge(self, false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);

	self->attrs.expect_cause = "told to exit";
	judge(self, true); /* what the test printed counts for FAIL only */
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);

	self->attrs.expect_cause = NULL;
	self->result.verdict = KTSTR_VERDICT_PASS;
	self->result.have_status = true;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
}

TEST_F(harness, expected_end_of_the_scheduler_passes_and_any_other_end_fails)
{
	self->attrs.expect_sched_exit = KTSTR_SCX_EXIT_ERROR_STALL;
	self->result.verdict = KTSTR_VERDICT_SCHED_EXITED;
	self->result.cause = "a stall";
	self->result.scheduler_end.kind = KTSTR_SCX_EXIT_ERROR_STALL;
	self->result.complete = true;
	judge(self, false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_STREQ("# as expected, SCHED_EXITED by ERROR_STALL (a stall)\n", printed(self));

	/* What went wrong after it was not expected. */
	self->result.kernel_trouble = true;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	self->result.kernel_trouble = false;
	self->result.complete = false;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	self->result.complete = true;

	self->attrs.expect_cause = "of a task";
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	self->attrs.expect_cause = NULL;

	self->result.scheduler_end.kind = KTSTR_SCX_EXIT_ERROR;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "# SCHED_EXITED by ERROR_STALL was expected, but the "
					      "run ended with SCHED_EXITED by ERROR (a stall)\n"));
	self->result.scheduler_end.kind = KTSTR_SCX_EXIT_NONE; /* nobody said how */
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);

	/* The end that is expected came, but after the test, or not first. */
	self->result.scheduler_end.kind = KTSTR_SCX_EXIT_ERROR_STALL;
	self->result.verdict = KTSTR_VERDICT_PASS;
	self->result.have_status = true;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	self->result.verdict = KTSTR_VERDICT_KERNEL_OOPS;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);

	/* Two expectations that no run can meet. */
	self->result.verdict = self->attrs.expect_verdict = KTSTR_VERDICT_TIMEOUT;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
}

TEST_F(harness, a_test_that_cannot_fail_as_expected_is_skipped)
{
	self->attrs.expect_verdict = KTSTR_VERDICT_KERNEL_OOPS;
	self->attrs.expect_cause = "x";
	self->result.verdict = KTSTR_VERDICT_SKIP;
	self->result.have_status = true;
	self->result.exit_code = KSFT_SKIP;
	self->result.skip_reason = "no module";
	judge(self, false);
	EXPECT_EQ(KSFT_SKIP, self->outcome.exit_code);
	EXPECT_STREQ("no module", self->outcome.reason);

	self->result.verdict = KTSTR_VERDICT_INCONCLUSIVE;
	judge(self, false);
	EXPECT_EQ(KSFT_SKIP, self->outcome.exit_code);

	/* Where SKIP is what is expected, its cause is looked at. */
	self->result.verdict = KTSTR_VERDICT_SKIP;
	self->attrs.expect_verdict = KTSTR_VERDICT_SKIP;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
}

TEST_F(harness, end_of_the_scheduler_that_is_not_expected_fails)
{
	self->result.verdict = KTSTR_VERDICT_SCHED_EXITED;
	self->result.cause = "x";
	self->result.scheduler_end.kind = KTSTR_SCX_EXIT_UNREG;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# SCHED_EXITED: x\n", printed(self));
}

TEST_F(harness, expected_failure_is_found_in_the_tests_own_output)
{
	self->attrs.expect_verdict = KTSTR_VERDICT_FAIL;
	self->attrs.expect_cause = "Expected 1";
	self->result.verdict = KTSTR_VERDICT_FAIL;
	self->result.have_status = true;
	self->result.signal = SIGABRT;
	judge(self, false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	judge(self, true);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_EQ(0, self->outcome.signal);
}

TEST_F(harness, interruption_is_never_a_pass)
{
	self->attrs.expect_verdict = KTSTR_VERDICT_INTERRUPTED;
	self->result.verdict = KTSTR_VERDICT_INTERRUPTED;
	judge(self, false);
	EXPECT_EQ(SIGTERM, self->outcome.signal);
}

TEST_F(harness, interruption_is_no_pass_of_a_test_that_is_to_end_by_sigterm)
{
	const struct ktstr_test_id id = {
		.fixture = "fix", .variant = "", .test = "name", .termsig = SIGTERM};

	self->result.verdict = KTSTR_VERDICT_INTERRUPTED;
	harness__judge(&id, &self->attrs, &self->result, false, self->out, &self->outcome);
	EXPECT_EQ(SIGKILL, self->outcome.signal);
}

TEST_F(harness, evidence_is_the_last_lines_and_hides_what_consumers_search_for)
{
	static const char *const searched[] = {
		"[FAIL]",	" FAIL:",	"[SKIP]",
		"SKIP:",	"] RIP: ",	"] Call Trace:",
		"Kernel panic", "[ cut here ]", "List of all partitions:"};
	char console[8192], *at = console;
	unsigned int i;

	for (i = 0; i < 100; i++)
		at += sprintf(at, "line %u\n", i);
	strcpy(at, "[    2.0] RIP: 0010:x [FAIL] a FAIL: [SKIP] SKIP: [ 1.0] Call Trace:\n"
		   "---[ cut here ]--- Kernel panic - not syncing: List of all partitions:\n");
	self->result.verdict = KTSTR_VERDICT_TIMEOUT;
	self->result.cause = "no end after 10 s: FAIL: [FAIL]";
	self->result.console = console;
	judge(self, false);
	for (i = 0; i < ARRAY_SIZE(searched); i++) {
		EXPECT_EQ(NULL, strstr(printed(self), searched[i]))
		{
			TH_LOG("%s in: %s", searched[i], printed(self));
		}
	}
	EXPECT_EQ(NULL, strstr(printed(self), "line 61\n"));
	EXPECT_NE(NULL, strstr(printed(self), "# end of kernel console:\n# | line 62\n"));

	/* Where the kernel's trouble is the verdict, its text stays. */
	self->result.verdict = KTSTR_VERDICT_KERNEL_OOPS;
	judge(self, false);
	EXPECT_NE(NULL, strstr(printed(self), "] RIP: 0010:x"));
	EXPECT_NE(NULL, strstr(printed(self), "Kernel panic - not syncing: "));
	/* But for what makes kunit.py read no further: the tests after this one would be lost. */
	EXPECT_NE(NULL, strstr(printed(self), "List of all partitions :\n"));
}

TEST_F(harness, an_expected_panic_hides_what_consumers_search_for)
{
	self->attrs.expect_verdict = KTSTR_VERDICT_KERNEL_PANIC;
	self->result.verdict = KTSTR_VERDICT_KERNEL_PANIC;
	self->result.cause = "Kernel panic - not syncing: sysrq";
	judge(self, false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_STREQ("# as expected, KERNEL_PANIC (Kernel  panic - not syncing: sysrq)\n",
		     printed(self));
}

/* "not ok 1 name #  TODO" is a pass to TAP's parsers, and "#  skip" a skip to NIPA. */
TEST_F(harness, a_reason_does_not_become_a_directive_of_a_failure)
{
	static const struct {
		const char *reason, *printed;
		int exit_code;
	} reasons[] = {{"TODO: write it", "reason: TODO: write it", KSFT_FAIL},
		       {" # skipped", "reason: skipped", KSFT_FAIL},
		       {"xfail", "reason: xfail", 77},
		       {"TODO: write it", "TODO: write it", KSFT_SKIP},
		       {"a # SKIP: [FAIL]", "a #  SKIP : [FAIL ]", KSFT_SKIP},
		       {"see issue 4", "see issue 4", KSFT_FAIL}};

	self->result.have_status = true;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		self->result.verdict =
			reasons[i].exit_code == KSFT_SKIP ? KTSTR_VERDICT_SKIP : KTSTR_VERDICT_FAIL;
		self->result.exit_code = reasons[i].exit_code;
		self->result.skip_reason = reasons[i].reason;
		judge(self, false);
		EXPECT_STREQ(reasons[i].printed, self->outcome.reason);
	}
	/* As long as it can be. */
	char longest[1100];

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	self->result.skip_reason = longest;
	judge(self, false);
	EXPECT_EQ(sizeof(self->outcome.reason) - 1, strlen(self->outcome.reason));
}

TEST_F(harness, where_it_was_comes_right_after_the_cause_and_whole)
{
	char vcpus[64 * 32], *at = vcpus;

	for (unsigned int i = 0; i < 64; i++)
		at += sprintf(at, "vCPU %u halted at idle+0x1\n", i);
	self->result.verdict = KTSTR_VERDICT_TIMEOUT;
	self->result.cause = "no end after 10 s";
	self->result.console = "console\n";
	self->result.vcpus = vcpus;
	judge(self, false);
	EXPECT_NE(NULL, strstr(printed(self), "# TIMEOUT: no end after 10 s\n"
					      "# | vCPU 0 halted at idle+0x1\n"
					      "# | vCPU 1 halted at idle+0x1\n"));
	EXPECT_NE(NULL, strstr(printed(self), "# | vCPU 63 halted at idle+0x1\n"
					      "# kernel console:\n"));

	self->result.verdict = KTSTR_VERDICT_INIT_DIED;
	self->result.cause = "init crashed";
	self->result.backtrace = "#0 f (a.c:1)\n#1 main (a.c:2)\n";
	self->result.vcpus = "";
	judge(self, false);
	EXPECT_NE(NULL, strstr(printed(self), "# INIT_DIED: init crashed\n"
					      "# | #0 f (a.c:1)\n"
					      "# | #1 main (a.c:2)\n"
					      "# kernel console:\n"));
}

/* ---- signals ---- */

/* It is an outcome: pending, it would be the pass of a test that is to end so. */
TEST(signal_that_interrupted_a_test_does_not_end_its_process_by_itself)
{
	int fd, status;
	pid_t pid = fork();

	if (!pid) {
		fd = harness_signals__open();
		kill(getpid(), SIGTERM);
		kill(getpid(), SIGINT);
		harness_signals__close(fd);
		signal(SIGHUP, SIG_DFL);
		kill(getpid(), SIGHUP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) TH_LOG("%x", status);
}

/* ---- a whole run ---- */

struct ktstr_vm {
	struct ktstr_vm_config config;
};

static int fake_create(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
		       struct ktstr_error *error)
{
	if (config->kernel)
		return ktstr_error__set(error, ENOENT, "open", config->kernel, NULL);
	*vm = malloc(sizeof(**vm));
	(*vm)->config = *config;
	return 0;
}

static struct ktstr_topology fake_ran; /* what the last run had */
static enum ktstr_kaslr fake_kaslr;
static const char *fake_cache_problem;
static const struct ktstr_performance *fake_performance;
static double fake_steal;
static uint32_t fake_frame;		      /* one that is sent; 0: none */
static enum ktstr_performance_mode fake_mode; /* what the last run had */

static int fake_run(struct ktstr_vm *vm, struct ktstr_result *result, struct ktstr_error *error)
{
	const struct ktstr_vm_config *config = &vm->config;
	char text[1024];
	int length = snprintf(text, sizeof(text), "%s %s %s scheduler=%s cpus=%u cancel=%d",
			      config->argv[1], config->argv[2], config->argv[3] ?: "-",
			      config->scheduler ?: "-", config->topology.llcs, config->cancel_fd);

	fake_ran = config->topology;
	if (config->append)
		return ktstr_error__set(error, EIO, "KVM_RUN", "vCPU 0", NULL);
	config->output(config->output_opaque, KTSTR_ERR, "unfinished", 10);
	config->output(config->output_opaque, KTSTR_OUT, text, (size_t)length);
	config->output(config->output_opaque, KTSTR_SCHED, "hidden\n", 7);
	config->output(config->output_opaque, KTSTR_OUT, "\n", 1);
	config->frame(config->frame_opaque, KTSTR_FRAME_PROFRAW, 0, "profile", 7);
	*result = (struct ktstr_result){.verdict = KTSTR_VERDICT_PASS,
					.have_status = true,
					.skip_reason = "",
					.console = "",
					.com2 = "",
					.kernel_release = "7",
					.scheduler_ops = ""};
	if (config->memory_mb) {
		result->verdict = KTSTR_VERDICT_KERNEL_PANIC;
		result->cause = "it \"panicked\"";
		result->console = "last words\n";
	}
	result->kaslr = fake_kaslr;
	result->cache_problem = fake_cache_problem;
	result->performance = fake_performance;
	result->host_use.steal_percent = fake_steal;
	result->host_use.host_ns = 2000000000;
	fake_mode = config->performance_mode;
	if (fake_frame)
		config->frame(config->frame_opaque, fake_frame, 1, "", 0);
	if (config->stats_interval_ms) {
		static const char json[] = "{\"errno\":0,\"why\":\"[FAIL]\"} and what is not of it";

		snprintf(text, sizeof(text), "{\"every\":%u}", config->stats_interval_ms);
		config->stats(config->stats_opaque, 5, text, strlen(text));
		config->stats(config->stats_opaque, 1234, json, 26);
		result->stats_problem = "3 were lost";
	}
	return 0;
}

static int fake_save(struct ktstr_vm *vm, const char *dir, struct ktstr_error *error)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/machine", dir);
	f = fopen(path, "w");
	if (!f)
		return ktstr_error__set(error, errno, "create", path, NULL);
	fprintf(f, "of %s\n", vm->config.argv[2]);
	return fclose(f);
}

static void fake_destroy(struct ktstr_vm *vm)
{
	free(vm);
}

static const struct harness_vm_ops fake = {
	.create = fake_create, .run = fake_run, .save = fake_save, .destroy = fake_destroy};

static void run(struct _test_data_harness *self, const char *variant, bool debug)
{
	const struct ktstr_test_id id = {.fixture = "fix",
					 .variant = variant,
					 .test = "name",
					 .debug = debug,
					 .termsig = -1};

	harness__run_test(&fake, &id, &self->attrs, "/bin/dir", self->where, 7, self->out,
			  &self->outcome);
}

/* Evidence, where nobody asked for it: of a failure alone, and once. */
TEST_F(harness, a_failure_without_relocations_says_so)
{
	static const struct {
		enum ktstr_kaslr kaslr;
		uint32_t memory_mb; /* it fails with it */
		bool said;
	} cases[] = {
		{KTSTR_KASLR_NO_RELOCATIONS, 64, true}, {KTSTR_KASLR_NO_RELOCATIONS, 0, false},
		{KTSTR_KASLR_ASKED_OFF, 64, false},	{KTSTR_KASLR_ON, 64, false},
		{KTSTR_KASLR_GUEST, 64, false},
	};
	static const char line[] = "\n# KASLR: ";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t before = strlen(printed(self));
		const char *said;

		fake_kaslr = cases[i].kaslr;
		self->attrs.memory_mb = cases[i].memory_mb;
		run(self, "", false);
		said = strstr(printed(self) + before, line);
		EXPECT_EQ(cases[i].said, !!said) TH_LOG("case %zu", i);
		EXPECT_EQ(NULL, said ? strstr(said + 1, line) : NULL);
	}
}

TEST_F(harness, what_was_damaged_in_the_cache_is_said_of_a_pass_too)
{
	fake_cache_problem = "x was damaged";
	run(self, "", false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "\n# cache: x was damaged\n"));
}

TEST_F(harness, what_performance_mode_lacks_is_said)
{
	static const struct ktstr_condition conditions[] = {
		{"vcpus", KTSTR_CONDITION_MET, "they are pinned", "", ""},
		{"hugepages", KTSTR_CONDITION_DOWNGRADED, "there are none", "small ones",
		 "make some"},
		{"busy", KTSTR_CONDITION_WARNING, "it is", "", "wait"},
	};
	static const struct ktstr_performance some = {
		.mode = PERFORMANCE_BEST_EFFORT, .nr_conditions = 3, .conditions = conditions};

	fake_performance = &some;
	self->attrs.performance_mode = PERFORMANCE_BEST_EFFORT;
	run(self, "", false);
	EXPECT_EQ(PERFORMANCE_BEST_EFFORT, fake_mode);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "\n# performance mode: downgraded: hugepages: there "
					      "are none; small ones (make some)\n"
					      "# performance mode: warning: busy: it is (wait)\n"));
	EXPECT_EQ(NULL, strstr(printed(self), "pinned"));
}

TEST_F(harness, mode_of_tests_that_declare_none_is_the_environments)
{
	setenv("KTSTR_PERFORMANCE", "best-effort", 1);
	run(self, "", false);
	EXPECT_EQ(PERFORMANCE_BEST_EFFORT, fake_mode);
	self->attrs.performance_mode = PERFORMANCE_REQUIRED;
	run(self, "", false);
	EXPECT_EQ(PERFORMANCE_REQUIRED, fake_mode);
	self->attrs.performance_mode = PERFORMANCE_OFF;
	setenv("KTSTR_PERFORMANCE", "much", 1);
	run(self, "", false);
	unsetenv("KTSTR_PERFORMANCE");
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "'much' is neither required nor best-effort"));
}

/* Of one that measured nothing it does not matter. */
TEST_F(harness, a_busy_host_is_said_of_what_was_measured)
{
	static const char line[] = "\n# the host was busy: vCPU 0 waited for a CPU of the host for "
				   "14.9 % of 2.00 s\n";

	fake_steal = 14.9;
	run(self, "", false);
	EXPECT_EQ(NULL, strstr(printed(self), "busy"));
	fake_frame = KTSTR_FRAME_SCENARIO_START;
	run(self, "", false);
	EXPECT_NE(NULL, strstr(printed(self), line));
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	fake_steal = 4.9;
	run(self, "", false);
	EXPECT_EQ(NULL, strstr(strstr(printed(self), line) + strlen(line), "busy"));
}

TEST_F(harness, run_names_the_test_to_the_guest_and_relays_both_streams)
{
	self->attrs.scheduler = "scx_x";
	self->attrs.topology = TOPO(1, 3, 1, 1);
	run(self, "var", true);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_STREQ("# -r fix.var.name -d scheduler=/bin/dir/scx_x cpus=3 cancel=7\n"
		     "# unfinished\n",
		     printed(self));
}

TEST_F(harness, run_shows_statistics_and_what_was_wrong_with_them)
{
	self->attrs.stats_interval_ms = 250;
	run(self, "", false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "\n# statistics at 5 ms: {\"every\":250}\n"
					      "# statistics at 1234 ms: "
					      "{\"errno\":0,\"why\":\"[FAIL ]\"}\n"));
	EXPECT_NE(NULL, strstr(printed(self), "\n# statistics: 3 were lost\n"));
}

TEST_F(harness, run_gives_the_machine_all_that_a_topology_declares)
{
	self->attrs.topology =
		(struct ktstr_topology){.packages = 5,
					.nodes = KTSTR_NODES({.llcs = 2}, {.memory_mb = 33}),
					.distances = KTSTR_DISTANCES(10, 17, 17, 10),
					.caches.l2_kb = 4};
	run(self, "", false);
	EXPECT_EQ(0, memcmp(&self->attrs.topology, &fake_ran, sizeof(fake_ran)));
	EXPECT_EQ(33, fake_ran.nodes[1].memory_mb);
}

TEST_F(harness, run_keeps_a_profile_of_the_guest_where_it_is_told)
{
	char dir[] = "/tmp/ktstr-harness-XXXXXX", command[128];

	ASSERT_NE(NULL, mkdtemp(dir));
	setenv("KTSTR_PROFRAW_DIR", dir, 1);
	run(self, "", false);
	EXPECT_EQ(NULL, strstr(printed(self), "lost"));
	snprintf(command, sizeof(command), "[ \"$(cat %s/guest-*.profraw)\" = profile ]", dir);
	EXPECT_EQ(0, system(command));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	EXPECT_EQ(0, system(command));
	/* Gone: that is said, and does not decide. */
	run(self, "", false);
	EXPECT_NE(NULL, strstr(printed(self), "# 1 coverage profile of the guest is lost: "));
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
}

TEST_F(harness, a_topology_that_is_not_declared_is_one_cpu)
{
	run(self, "", false);
	EXPECT_EQ(1, fake_ran.numa_nodes);
	EXPECT_EQ(1, ktstr_topology__cpus(&fake_ran));
	EXPECT_EQ(NULL, fake_ran.nodes);
}

TEST_F(harness, run_without_a_variant_and_with_an_absolute_scheduler)
{
	self->attrs.scheduler = "/opt/scx_y";
	run(self, "", false);
	EXPECT_EQ(0, strncmp("# -r fix.name - scheduler=/opt/scx_y ", printed(self), 37));
}

/* The first line of DIR/NAME, "" without such a file. */
static const char *line_of(const char *dir, const char *name)
{
	static char line[512];
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	line[0] = '\0';
	f = fopen(path, "r");
	if (!f)
		return line;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return line;
}

TEST_F(harness, a_failure_leaves_its_record_and_a_pass_takes_it_away)
{
	char base[] = "/tmp/ktstr-record-XXXXXX", dir[64], text[128];
	struct harness_record where = {.dir = dir, .program = "/bin/dir/t"};

	ASSERT_NE(NULL, mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/t/fix.name", base);
	self->where = &where;
	run(self, "", false);
	EXPECT_NE(0, access(dir, F_OK));

	self->attrs.memory_mb = 1;
	run(self, "", false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	snprintf(text, sizeof(text), "# record: %s (run it again: ktstr rerun)\n", dir);
	EXPECT_NE(NULL, strstr(printed(self), text));
	EXPECT_STREQ("of fix.name\n", line_of(dir, "machine"));
	EXPECT_STREQ("last words\n", line_of(dir, "console.txt"));
	EXPECT_STREQ("unfinished", line_of(dir, "stderr.txt"));
	EXPECT_STREQ("hidden\n", line_of(dir, "scheduler.txt"));
	EXPECT_NE(NULL, strstr(line_of(dir, "result.json"),
			       "\"verdict\": \"KERNEL_PANIC\", \"cause\": "
			       "\"it \\\"panicked\\\"\", \"name\": \"fix.name\", "
			       "\"program\": \"/bin/dir/t\", \"expected\": null, "
			       "\"judged\": \"fail\""));

	/* Without a machine there is nothing to record, and the old one is of another failure. */
	self->attrs.kernel = "/no/kernel";
	run(self, "", false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_NE(0, access(dir, F_OK));
	self->attrs.kernel = NULL;
	run(self, "", false);
	EXPECT_EQ(0, access(dir, F_OK));

	/* What was expected is no failure. */
	self->attrs.expect_verdict = KTSTR_VERDICT_KERNEL_PANIC;
	run(self, "", false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_NE(0, access(dir, F_OK));

	where.keep = true;
	run(self, "", false);
	EXPECT_NE(NULL, strstr(line_of(dir, "result.json"),
			       "\"expected\": \"KERNEL_PANIC\", \"judged\": \"pass\""));
	record__remove(dir);
	snprintf(dir, sizeof(dir), "%s/t", base);
	EXPECT_EQ(0, rmdir(dir));
	EXPECT_EQ(0, rmdir(base));
}

TEST_F(harness, a_record_that_cannot_be_written_is_said_and_changes_nothing)
{
	struct harness_record where = {.dir = "/proc/no/record"};

	self->where = &where;
	self->attrs.memory_mb = 1;
	run(self, "", false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "# KERNEL_PANIC: it"));
	EXPECT_NE(NULL, strstr(printed(self), "# no record: /proc/no/record: "));
}

/* Runs of the file of all runs with @text in them. */
static int lines_with(const char *path, const char *text)
{
	FILE *f = fopen(path, "r");
	char line[8192];
	int nr = 0;

	while (f && fgets(line, sizeof(line), f))
		nr += strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return nr;
}

TEST_F(harness, every_test_has_its_line_whatever_became_of_it)
{
	char path[] = "/tmp/ktstr-metrics-XXXXXX";
	struct harness_record where = {.program = "/bin/dir/t", .metrics = path};
	int fd = mkstemp(path);

	ASSERT_LE(0, fd);
	close(fd);
	self->where = &where;
	run(self, "", false);
	EXPECT_EQ(1, lines_with(path, "\"program\": \"t\", \"test\": \"fix.name\""));
	EXPECT_EQ(1, lines_with(path, "\"verdict\": \"PASS\", \"cause\": null, "
				      "\"judged\": \"pass\""));
	self->attrs.memory_mb = 1;
	run(self, "", false);
	EXPECT_EQ(1, lines_with(path, "\"verdict\": \"KERNEL_PANIC\""));
	self->attrs.kernel = "/no/kernel";
	run(self, "", false);
	EXPECT_EQ(1, lines_with(path, "\"verdict\": \"HOST_ERROR\", \"cause\": \"/no/kernel: "));
	self->attrs.files = KTSTR_FILES("no-such-program-of-ktstr");
	run(self, "", false);
	EXPECT_EQ(1, lines_with(path, "\"verdict\": \"SKIP\", \"cause\": "
				      "\"payload program not installed\", \"judged\": \"skip\""));
	EXPECT_EQ(4, lines_with(path, "\"version\": 1"));
	unlink(path);
}

TEST_F(harness, metrics_that_cannot_be_written_are_said_and_change_nothing)
{
	struct harness_record where = {.metrics = "/dev/full"};

	self->where = &where;
	run(self, "", false);
	EXPECT_EQ(KSFT_PASS, self->outcome.exit_code);
	EXPECT_NE(NULL, strstr(printed(self), "\n# no metrics: /dev/full: write: No space left"));
}

TEST_F(harness, run_that_cannot_start_fails_with_the_reason)
{
	self->attrs.kernel = "/no/kernel";
	run(self, "", false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# HOST_ERROR: /no/kernel: open: No such file or directory\n", printed(self));
}

TEST_F(harness, run_that_breaks_in_the_monitor_fails_with_the_reason)
{
	self->attrs.kernel_args = "x";
	run(self, "", false);
	EXPECT_EQ(KSFT_FAIL, self->outcome.exit_code);
	EXPECT_STREQ("# HOST_ERROR: vCPU 0: KVM_RUN: Input/output error\n", printed(self));
}

/* ---- signals ---- */

TEST(limit_of_files_is_an_error_and_no_end_while_a_machine_runs)
{
	const struct rlimit limit = {1, RLIM_INFINITY};
	int file = memfd_create("grows", MFD_CLOEXEC), fd = harness_signals__open();
	struct sigaction now;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	EXPECT_EQ(-1, ftruncate(file, 2));
	EXPECT_EQ(EFBIG, errno);
	harness_signals__close(fd);
	ASSERT_EQ(0, sigaction(SIGXFSZ, NULL, &now));
	EXPECT_EQ(SIG_DFL, now.sa_handler); /* a test that ends by it ends so */
	close(file);
}

TEST_HARNESS_MAIN
