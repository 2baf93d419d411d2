// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test binary with gauntlets, in host role: runs itself once more with tests that must not run
 * here, and reads the TAP that comes out. Running a machine is replaced by saying what was asked
 * for.
 */
#include <ktstr/harness.h>

#include <fcntl.h>

#define INNER "KTSTR_TEST_INNER"
/* With these descriptors, run HELD ends after "ordinary" does, and the names of others are told. */
#define GATE_READ_FD 200
#define GATE_WRITE_FD 201
#define LOG_FD 202
#define HELD "medium-8llc"

/* ---- What the second instance runs ---- */

KTSTR_TEST(ordinary, .topology = TOPO(1, 1, 1, 1))
{
	_exit(66);
}

KTSTR_GAUNTLET(pair, .scheduler = "scx_s", .memory_mb = 600,
	       .gauntlet = KTSTR_GAUNTLET_LIMITS(.max_cpus = 8, .max_nodes = 1),
	       .profiles = KTSTR_PROFILES({.name = "plain"},
					  {.name = "short", .scheduler_args = KTSTR_ARGS("-s")},
					  {.name = "long", .scheduler_args = KTSTR_ARGS("-l")}))
{
	_exit(66);
}

KTSTR_GAUNTLET(all)
{
	_exit(66);
}

/* More runs than there may be outputs that wait to be told (MAX_AHEAD of vmm/harness_jobs.c) */
KTSTR_GAUNTLET(many, .profiles = KTSTR_PROFILES({.name = "a"}, {.name = "b"}, {.name = "c"},
						{.name = "d"}, {.name = "e"}, {.name = "f"},
						{.name = "g"}, {.name = "h"}, {.name = "i"}))
{
	_exit(66);
}

void ktstr_harness__run_test(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			     struct ktstr_test_outcome *outcome)
{
	char topology[64], byte = 0;

	if (fcntl(LOG_FD, F_GETFD) >= 0) {
		if (!strcmp(id->variant, HELD)) {
			if (read(GATE_READ_FD, &byte, 1) != 1)
				_exit(67);
		} else {
			dprintf(LOG_FD, "%s ", id->variant[0] ? id->variant : id->test);
		}
		if (!strcmp(id->test, "ordinary") && write(GATE_WRITE_FD, "", 1) != 1)
			_exit(67);
	}
	ktstr_topology__format(&attrs->topology, topology, sizeof(topology));
	*outcome = (struct ktstr_test_outcome){.exit_code = KSFT_PASS};
	printf("# asked %s/%s/%s %s memory=%u scheduler=%s arg=%s\n", id->fixture, id->variant,
	       id->test, topology, attrs->memory_mb, attrs->scheduler ?: "-",
	       attrs->scheduler_args ? attrs->scheduler_args[0] : "-");
}

int ktstr_harness__enter_host(int argc, char **argv, struct ktstr_error *error)
{
	(void)argc;
	(void)argv;
	return getenv(INNER) ? 0 : ktstr_error__set(error, ENODEV, "open", "/dev/kvm", NULL);
}

/* ---- The tests ---- */

FIXTURE(harness)
{
	char text[1 << 17];
	int status;
};

FIXTURE_SETUP(harness)
{
	unsetenv("KTSTR_BUDGET_S");
	unsetenv("KTSTR_MAX_CPUS");
	unsetenv("KTSTR_JOBS");
	unsetenv("KTSTR_INSIDE_EMULATED_HOST");
}

FIXTURE_TEARDOWN(harness)
{
}

/* Runs this binary as a host with @arguments, after @environment. */
static void run(struct _test_data_harness *self, const char *environment, const char *arguments)
{
	char command[512], exe[256];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	size_t size;
	FILE *pipe;

	exe[length < 0 ? 0 : length] = '\0';
	snprintf(command, sizeof(command), INNER "=1 %s '%s' -F harness %s 2>&1", environment, exe,
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

static unsigned int count(const char *text, const char *what)
{
	unsigned int nr = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		nr++;
	return nr;
}

TEST_F(harness, each_preset_is_a_variant_and_each_profile_a_test)
{
	size_t nr;
	const struct ktstr_preset *presets = ktstr_presets(&nr);
	char line[128];

	run(self, "", "-l");
	for (size_t i = 0; i < nr; i++) {
		snprintf(line, sizeof(line), " %s ", presets[i].name);
		EXPECT_EQ(3, count(self->text, line));
	}
	EXPECT_TRUE(has(self, " short\n"));
	EXPECT_TRUE(has(self, " long\n"));

	run(self, "", "-f all");
	EXPECT_EQ(0, self->status);
	snprintf(line, sizeof(line), "1..%zu\n", nr);
	EXPECT_TRUE(has(self, line));
	EXPECT_EQ(nr, count(self->text, "# asked all/"));
	EXPECT_TRUE(has(self, "# asked all/tiny-1llc/default 1n1l4c1t memory=512 scheduler=- "));
	EXPECT_TRUE(has(self, "# asked all/max-cpu/default 1n14l9c2t memory=6048 scheduler=- "));
	EXPECT_TRUE(has(self, "ok 1 all.tiny-1llc.default\n"));
}

TEST_F(harness, a_run_is_a_preset_with_a_profile)
{
	run(self, "", "-r pair.smt-2llc.short -r pair.smt-2llc.plain");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "1..2\n"));
	EXPECT_TRUE(has(self, "# asked pair/smt-2llc/plain 1n2l2c2t memory=600 scheduler=scx_s "
			      "arg=-\n"));
	EXPECT_TRUE(has(self, "# asked pair/smt-2llc/short 1n2l2c2t memory=600 scheduler=scx_s "
			      "arg=-s\n"));
	EXPECT_TRUE(has(self, "ok 2 pair.smt-2llc.short\n"));

	run(self, "", "-F all -F many -v tiny-2llc");
	EXPECT_TRUE(has(self, "1..3\n"));
	EXPECT_TRUE(has(self, "ok 3 pair.tiny-2llc.long\n"));
	run(self, "", "-F all -F many -t long");
	EXPECT_EQ(0, count(self->text, ".short"));
	EXPECT_TRUE(has(self, "ok 1 pair.tiny-1llc.long\n"));
}

TEST_F(harness, what_is_left_out_is_skipped_for_a_constant_reason)
{
	run(self, "", "-T short -T long -f pair");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "# 1n3l3c1t: the machine has 9 CPUs, the test takes at most 8\n"));
	EXPECT_TRUE(has(self, " pair.odd-3llc.plain # SKIP machine of too many CPUs\n"));
	EXPECT_TRUE(has(self, " pair.cxl.plain # SKIP machine of too many NUMA nodes\n"));
	EXPECT_EQ(3, count(self->text, "# asked "));
	EXPECT_FALSE(has(self, "# asked pair/odd-3llc"));

	run(self, "KTSTR_MAX_CPUS=100", "-f all");
	EXPECT_TRUE(has(self, " all.large-4llc.default # SKIP machine of more CPUs than "
			      "KTSTR_MAX_CPUS\n"));
	EXPECT_TRUE(has(self, "# asked all/medium-8llc/"));
}

TEST_F(harness, budget_chooses_among_gauntlets_alone)
{
	unsigned int ran;

	run(self, "KTSTR_BUDGET_S=10", "-F many");
	EXPECT_EQ(0, self->status);
	EXPECT_TRUE(has(self, "# asked global//ordinary "));
	ran = count(self->text, "# asked all/") + count(self->text, "# asked pair/");
	EXPECT_EQ(3, ran);
	EXPECT_TRUE(has(self, " # SKIP not of those chosen for KTSTR_BUDGET_S\n"));
	/* Of what is selected, not of all */
	run(self, "KTSTR_BUDGET_S=4", "-r all.max-cpu.default");
	EXPECT_FALSE(has(self, "# asked all/max-cpu/"));
	run(self, "KTSTR_BUDGET_S=6", "-r all.max-cpu.default");
	EXPECT_TRUE(has(self, "# asked all/max-cpu/"));
}

TEST_F(harness, bad_limits_of_the_host_end_all)
{
	run(self, "KTSTR_BUDGET_S=soon", "");
	EXPECT_EQ(1, self->status);
	EXPECT_TRUE(has(self, "Bail out! KTSTR_BUDGET_S: 'soon' is not a number from 1 to "));
}

static struct ktstr_test_attrs attrs_in_body(struct __test_metadata *_metadata)
{
	return KTSTR_ATTRS();
}

static const char *preset_in_body(struct __test_metadata *_metadata)
{
	return KTSTR_PRESET()->name;
}

TEST_F(harness, body_can_read_its_preset_and_what_is_declared)
{
	struct __test_metadata metadata = {.name = "short", .fixture = &_pair_fixture_object};
	struct ktstr_error error = {.err = 0};

	ASSERT_EQ(0, __ktstr_add_gauntlets(&error));
	metadata.variant = ktstr_preset__find("smt-2llc");
	EXPECT_STREQ("smt-2llc", preset_in_body(&metadata));
	EXPECT_EQ(2, attrs_in_body(&metadata).topology.threads_per_core);
	EXPECT_STREQ("-s", attrs_in_body(&metadata).scheduler_args[0]);
}

TEST_F(harness, limits_and_profiles_of_a_test_that_is_no_gauntlet_are_refused)
{
	struct ktstr_test_record record = {.fixture = "global", .test = "plain"};
	struct ktstr_error error = {.err = 0};

	EXPECT_EQ(0, __ktstr_add_record(&record, &error));
	record.attrs.gauntlet = KTSTR_GAUNTLET_LIMITS(.min_cpus = 2);
	EXPECT_EQ(-EINVAL, __ktstr_add_record(&record, &error));
	EXPECT_STREQ("plain", error.object);
	record.attrs.gauntlet = NULL;
	record.attrs.profiles = KTSTR_PROFILES({.name = "a"});
	EXPECT_EQ(-EINVAL, __ktstr_add_record(&record, NULL));
	/* And a gauntlet that is declared wrongly. */
	record = (struct ktstr_test_record){.fixture = "pair", .attrs.topology = TOPO(1, 1, 1, 1)};
	EXPECT_EQ(-EINVAL, __ktstr_add_record(&record, NULL));
}

TEST_F(harness, several_at_once_print_what_one_after_the_other_does)
{
	char serial[sizeof(self->text)];

	run(self, "KTSTR_BUDGET_S=50", "-F many");
	strcpy(serial, self->text);
	run(self, "KTSTR_BUDGET_S=50", "-F many --jobs 3");
	EXPECT_STREQ(serial, self->text);
	run(self, "", "-f many");
	EXPECT_LT(256, count(self->text, "# asked many/"));
	EXPECT_TRUE(has(self, "# Totals: pass:"));
	strcpy(serial, self->text);
	run(self, "", "-f many --jobs 300");
	EXPECT_STREQ(serial, self->text);
}

/* One of the longest runs, started first of two at once, ends after all others. */
TEST_F(harness, the_longest_start_first)
{
	char log[4096] = "", expected[4096] = "";
	int fds[2], gate[2];
	size_t nr;
	const struct ktstr_preset *presets = ktstr_presets(&nr);

	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, pipe(gate));
	ASSERT_EQ(LOG_FD, dup2(fds[1], LOG_FD));
	ASSERT_EQ(GATE_READ_FD, dup2(gate[0], GATE_READ_FD));
	ASSERT_EQ(GATE_WRITE_FD, dup2(gate[1], GATE_WRITE_FD));
	run(self, "KTSTR_MAX_CPUS=64", "-F pair -F many --jobs 2");
	EXPECT_EQ(0, self->status);
	ASSERT_LT(0, read(fds[0], log, sizeof(log) - 1));

	for (uint32_t cpus = 64; cpus; cpus--)
		for (size_t i = 0; i < nr; i++)
			if (ktstr_topology__cpus(&presets[i].topology) == cpus &&
			    strcmp(presets[i].name, HELD))
				strcat(strcat(expected, presets[i].name), " ");
	EXPECT_STREQ(strcat(expected, "ordinary "), log);
}

/* Nothing is left to start: what is selected is skipped all the same. */
TEST_F(harness, nothing_to_run_is_no_error)
{
	run(self, "KTSTR_MAX_CPUS=2", "--jobs 2 -f pair");
	EXPECT_EQ(0, self->status);
	EXPECT_EQ(0, count(self->text, "# asked "));
	EXPECT_TRUE(has(self, "# SKIP machine of more CPUs than KTSTR_MAX_CPUS\n"));
}

int main(int argc, char **argv)
{
	static char fixture[] = "-f", name[] = "harness";
	char *only[] = {argv[0], fixture, name, NULL};

	if (getenv(INNER))
		return ktstr_harness_main(argc, argv);
	return argc > 1 ? test_harness_run(argc, argv) : test_harness_run(3, only);
}
