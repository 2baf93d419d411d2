// SPDX-License-Identifier: GPL-2.0-only
/*
 * main() of a test binary in host role: runs itself once more with tests that must not run here,
 * and reads the TAP that comes out. Running a machine is replaced by saying what was asked for.
 */
#include <ktstr/harness.h>

#define INNER "KTSTR_TEST_INNER"

/* ---- What the second instance runs. Bodies end it in a way that no expectation below has. ---- */

FIXTURE(fix)
{
	int unused;
};

FIXTURE_VARIANT(fix)
{
	int value;
};

KTSTR_FIXTURE_VARIANT_ADD(fix, wide, .topology = TOPO(1, 4, 1, 1)){.value = 1};
FIXTURE_VARIANT_ADD(fix, plain){.value = 2};

FIXTURE_SETUP(fix)
{
	printf("# setup ran\n");
	_exit(66);
}

FIXTURE_TEARDOWN(fix)
{
	printf("# teardown ran\n");
	_exit(66);
}

KTSTR_TEST_F(fix, both, .topology = TOPO(1, 2, 1, 1), .memory_mb = 300)
{
	_exit(66);
}

XFAIL_ADD(fix, plain, both);

TEST(plain_passes)
{
	_exit(66);
}

KTSTR_TEST(skips, .scheduler = "scx_s", .scheduler_args = KTSTR_ARGS("-f", "x"))
{
	_exit(66);
}

KTSTR_TEST(aborts, .timeout_s = 500)
{
	_exit(66);
}

KTSTR_TEST_SIGNAL(signals, SIGUSR1, .memory_mb = 1)
{
	_exit(66);
}

KTSTR_TEST(uneven, .topology = {.numa_nodes = 2,
				.llcs = 3,
				.cores_per_llc = 1,
				.threads_per_core = 1,
				.nodes = KTSTR_NODES({.llcs = 3}, {.llcs = 0, .memory_mb = 77}),
				.distances = KTSTR_DISTANCES(10, 17, 17, 10)})
{
	_exit(66);
}

void ktstr_harness__run_test(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			     struct ktstr_test_outcome *outcome)
{
	*outcome = (struct ktstr_test_outcome){.exit_code = KSFT_PASS};
	printf("# asked %s/%s/%s llcs=%u memory=%u scheduler=%s arg=%s debug=%d\n", id->fixture,
	       id->variant, id->test, attrs->topology.llcs, attrs->memory_mb,
	       attrs->scheduler ?: "-", attrs->scheduler_args ? attrs->scheduler_args[1] : "-",
	       id->debug);
	if (!strcmp(id->test, "skips")) {
		outcome->exit_code = KSFT_SKIP;
		strcpy(outcome->reason, "not here");
	} else if (!strcmp(id->test, "aborts")) {
		outcome->signal = SIGABRT;
	} else if (!strcmp(id->test, "signals")) {
		outcome->signal = SIGUSR1;
	} else if (!strcmp(id->variant, "plain")) {
		outcome->exit_code = KSFT_FAIL;
	}
}

int ktstr_harness__enter_host(int argc, char **argv, struct ktstr_error *error)
{
	(void)argc;
	(void)argv;
	if (!strcmp(getenv(INNER), "no-kvm"))
		return ktstr_error__set(error, ENODEV, "open", "/dev/kvm", NULL);
	return 0;
}

/* ---- The tests ---- */

FIXTURE(harness)
{
	char text[16384];
	int status;
};

FIXTURE_SETUP(harness)
{
}

FIXTURE_TEARDOWN(harness)
{
}

/* Runs this binary as a host with @arguments; @inner: "kvm" or "no-kvm". */
static void run(struct _test_data_harness *self, const char *inner, const char *arguments)
{
	char command[512], exe[256];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	size_t size;
	FILE *pipe;

	exe[length < 0 ? 0 : length] = '\0';
	snprintf(command, sizeof(command), INNER "=%s '%s' -F harness %s 2>/dev/null", inner, exe,
		 arguments);
	pipe = popen(command, "r");
	size = pipe ? fread(self->text, 1, sizeof(self->text) - 1, pipe) : 0;
	self->text[size] = '\0';
	self->status = pipe ? WEXITSTATUS(pclose(pipe)) : -1;
}

static bool has(const struct _test_data_harness *self, const char *text)
{
	return strstr(self->text, text);
}

TEST_F(harness, nothing_of_a_test_runs_on_the_host)
{
	run(self, "kvm", "");
	EXPECT_EQ(1, self->status);
	EXPECT_FALSE(has(self, "setup ran"));
	EXPECT_FALSE(has(self, "teardown ran"));
	EXPECT_TRUE(has(self, "1..7\n"));
	EXPECT_TRUE(has(self, " global.plain_passes\n"));
	EXPECT_TRUE(has(self, "# Totals: pass:4 fail:1 xfail:1 xpass:0 skip:1 error:0\n"));
}

TEST_F(harness, ends_are_replayed)
{
	run(self, "kvm", "-f global");
	EXPECT_TRUE(has(self, " global.skips # SKIP not here\n"));
	EXPECT_TRUE(has(self, "# aborts: Test terminated by assertion\n"));
	EXPECT_TRUE(has(self, "not ok 3 global.aborts\n"));
	EXPECT_TRUE(has(self, "ok 4 global.signals\n"));
}

TEST_F(harness, attributes_of_a_variant_go_before_those_of_the_test)
{
	run(self, "kvm", "-f fix");
	EXPECT_TRUE(has(self, "# asked fix/wide/both llcs=4 memory=300 "));
	EXPECT_TRUE(has(self, "# asked fix/plain/both llcs=2 memory=300 "));
	EXPECT_TRUE(has(self, "fix.plain.both # XFAIL"));
	EXPECT_EQ(0, self->status);
}

TEST_F(harness, selection_and_debug_option_reach_the_run)
{
	run(self, "kvm", "-d -t skips");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "1..1\n"));
	EXPECT_TRUE(has(self, "# asked global//skips llcs=0 memory=0 scheduler=scx_s arg=x "
			      "debug=1\n"));
	run(self, "kvm", "-r fix.wide.both");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "1..1\n"));
	EXPECT_TRUE(has(self, "ok 1 fix.wide.both\n"));
}

TEST_F(harness, selection_that_matches_nothing_is_an_error)
{
	run(self, "kvm", "-t nothing");
	EXPECT_EQ(1, self->status);
	EXPECT_TRUE(has(self, "Bail out! no test matches"));
	EXPECT_FALSE(has(self, "1..0"));
}

TEST_F(harness, host_without_kvm_bails_out_with_the_reason)
{
	run(self, "no-kvm", "");
	EXPECT_EQ(1, self->status);
	EXPECT_STREQ("TAP version 13\nBail out! /dev/kvm: open: No such device\n", self->text);
}

TEST_F(harness, list_and_help_run_nothing)
{
	run(self, "no-kvm", "-l");
	EXPECT_EQ(KSFT_SKIP, self->status);
	EXPECT_STREQ("", self->text);
}

TEST_F(harness, a_body_can_read_what_was_declared_for_it)
{
	struct __test_metadata metadata = {
		.name = "both", .fixture = &_fix_fixture_object, .variant = &_fix_wide_variant};

	EXPECT_EQ(4, __ktstr_attrs_of(&metadata).topology.llcs);
	EXPECT_EQ(300, __ktstr_attrs_of(&metadata).memory_mb);
	metadata.variant = &_fix_plain_variant;
	EXPECT_EQ(2, __ktstr_attrs_of(&metadata).topology.llcs);

	metadata = (struct __test_metadata){.name = "uneven", .fixture = &_fixture_global};
	EXPECT_EQ(3, __ktstr_attrs_of(&metadata).topology.llcs);
	EXPECT_EQ(77, __ktstr_attrs_of(&metadata).topology.nodes[1].memory_mb);
	EXPECT_EQ(17, __ktstr_attrs_of(&metadata).topology.distances[2]);
}

/* It would count the time that a test waits for other machines; see test_harness_admit.c. */
TEST_F(harness, kselftests_own_limit_is_off)
{
	struct __test_metadata *t;
	char *argv[] = {(char[]){"x"}, NULL};
	unsigned int nr = 0;

	__ktstr_host_prepare(1, argv);
	for (t = _fixture_global.tests; t; t = t->next, nr++)
		EXPECT_GT(0, t->timeout);
	EXPECT_LT(0, nr);
}

int main(int argc, char **argv)
{
	static char fixture[] = "-f", name[] = "harness";
	char *only[] = {argv[0], fixture, name, NULL};

	if (getenv(INNER))
		return ktstr_harness_main(argc, argv);
	return argc > 1 ? test_harness_run(argc, argv) : test_harness_run(3, only);
}
