// SPDX-License-Identifier: GPL-2.0-only
/* The machines of the gauntlet, and which runs of one are made: limits, and the choice for a
 * budget. */
#include <ktstr/gauntlet.h>
#include <ktstr/test.h>

#include <errno.h>
#include <glob.h>
#include <stdlib.h>

#include "kselftest_harness.h"

#define MAX_RUNS 256u
#define GOLDEN "selftests/topology/golden"

static const struct ktstr_gauntlet_host anywhere = {.max_cpus = KTSTR_MAX_CPUS};

/* ---- presets ---- */

TEST(presets_are_valid_machines_with_names_of_their_own)
{
	struct ktstr_error error = {.err = 0};
	uint32_t total_mb;
	size_t nr;
	const struct ktstr_preset *presets = ktstr_presets(&nr);

	for (size_t i = 0; i < nr; i++) {
		const struct ktstr_preset *p = &presets[i];

		EXPECT_EQ(0, ktstr_topology__validate(&p->topology, &error))
		{
			TH_LOG("%s: %s", p->name, error.reason);
		}
		EXPECT_EQ(0,
			  ktstr_topology__memory_mb(&p->topology, p->memory_mb, &total_mb, &error));
		EXPECT_EQ(p->memory_mb, total_mb);
		EXPECT_EQ(p, ktstr_preset__find(p->name));
		/* They are parts of TAP descriptions, of file names and of words of a shell. */
		EXPECT_EQ(strlen(p->name),
			  strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789-"));
	}
	EXPECT_EQ(NULL, ktstr_preset__find("no-such-preset"));
	EXPECT_EQ(NULL, ktstr_preset__find(""));
}

/* Names, shapes and CPU counts as the guide of the original ktstr lists them. */
TEST(first_presets_are_those_of_the_original)
{
	static const struct {
		const char *name, *topology;
		uint32_t cpus;
	} original[] = {
		{"tiny-1llc", "1n1l4c1t", 4},
		{"tiny-2llc", "1n2l2c1t", 4},
		{"odd-3llc", "1n3l3c1t", 9},
		{"odd-5llc", "1n5l3c1t", 15},
		{"odd-7llc", "1n7l2c1t", 14},
		{"smt-2llc", "1n2l2c2t", 8},
		{"smt-3llc", "1n3l2c2t", 12},
		{"medium-4llc", "1n4l4c2t", 32},
		{"medium-8llc", "1n8l4c2t", 64},
		{"large-4llc", "1n4l16c2t", 128},
		{"large-8llc", "1n8l8c2t", 128},
		{"near-max-llc", "1n15l8c2t", 240},
		{"max-cpu", "1n14l9c2t", 252},
		{"medium-4llc-nosmt", "1n4l8c1t", 32},
		{"medium-8llc-nosmt", "1n8l8c1t", 64},
		{"large-4llc-nosmt", "1n4l32c1t", 128},
		{"large-8llc-nosmt", "1n8l16c1t", 128},
		{"near-max-llc-nosmt", "1n15l16c1t", 240},
		{"max-cpu-nosmt", "1n14l18c1t", 252},
		{"numa2-4llc", "2n4l4c1t", 16},
		{"numa2-8llc", "2n8l8c2t", 128},
		{"numa2-8llc-nosmt", "2n8l16c1t", 128},
		{"numa4-8llc", "4n8l4c1t", 32},
		{"numa4-12llc", "4n12l8c2t", 192},
	};
	size_t nr;
	const struct ktstr_preset *presets = ktstr_presets(&nr);
	char text[64];

	ASSERT_LT(ARRAY_SIZE(original), nr);
	for (size_t i = 0; i < ARRAY_SIZE(original); i++) {
		EXPECT_STREQ(original[i].name, presets[i].name);
		ktstr_topology__format(&presets[i].topology, text, sizeof(text));
		EXPECT_STREQ(original[i].topology, text);
		EXPECT_EQ(original[i].cpus, ktstr_topology__cpus(&presets[i].topology));
	}
}

/* One word of options at a time; of memory, nodes with CPUs may have what the machine leaves. */
static bool reads_shape(const char *path, char *line, size_t size,
			struct ktstr_topology_options *options)
{
	FILE *file = fopen(path, "re");
	struct ktstr_error error = {.err = 0};
	char *word, *value, *rest = line;
	bool good = false;

	while (file && fgets(line, (int)size, file))
		if (line[0] != '#')
			good = true;
	if (file)
		fclose(file);
	while (good && (word = strtok_r(rest, " \n", &rest)) != NULL) {
		value = strtok_r(rest, " \n", &rest);
		good = value && (!strcmp(word, "--memory") ||
				 !ktstr_topology_options__add(options, word + 2, value, &error));
	}
	return good && !ktstr_topology_options__finish(options, &error);
}

static bool is_same_machine(const struct ktstr_topology *a, const struct ktstr_topology *b)
{
	char text[2][1024];
	struct ktstr_numa_node nodes[2][KTSTR_MAX_NUMA_NODES];
	const struct ktstr_topology *both[] = {a, b};

	for (int i = 0; i < 2; i++) {
		struct ktstr_topology t = *both[i];

		for (uint32_t n = 0; t.nodes && n < t.numa_nodes; n++) {
			nodes[i][n] = t.nodes[n];
			if (t.nodes[n].llcs)
				nodes[i][n].memory_mb = 0;
		}
		t.nodes = t.nodes ? nodes[i] : NULL;
		ktstr_topology__format_options(&t, text[i], sizeof(text[i]));
	}
	return !strcmp(text[0], text[1]);
}

TEST(presets_that_are_not_uniform_are_golden_shapes)
{
	size_t nr, i, j;
	const struct ktstr_preset *presets = ktstr_presets(&nr);
	glob_t files;

	ASSERT_EQ(0, glob(GOLDEN "/*.shape", 0, NULL, &files))
	{
		TH_LOG("to be run at the top of the tree");
	}
	for (i = 0; i < nr; i++) {
		const struct ktstr_topology *t = &presets[i].topology;
		bool found = false;

		if (!t->nodes && !t->distances && !t->packages)
			continue;
		for (j = 0; j < files.gl_pathc && !found; j++) {
			struct ktstr_topology_options options = {.nr_nodes = 0};
			char line[2048];

			ASSERT_TRUE(reads_shape(files.gl_pathv[j], line, sizeof(line), &options));
			found = is_same_machine(t, &options.topology);
		}
		EXPECT_TRUE(found)
		{
			TH_LOG("%s is no shape of " GOLDEN, presets[i].name);
		}
	}
	globfree(&files);
}

/* ---- what a test declares ---- */

TEST(preset_and_profile_go_before_the_test)
{
	struct ktstr_test_attrs attrs = {
		.memory_mb = 100,
		.scheduler = "s",
		.scheduler_args = KTSTR_ARGS("-a"),
		.kernel_args = "k",
		.profiles = KTSTR_PROFILES({.name = "default"},
					   {.name = "b", .scheduler_args = KTSTR_ARGS("-b")}),
	};
	struct ktstr_test_attrs given = attrs;

	ktstr_gauntlet__apply(&attrs, "smt-3llc", "b");
	EXPECT_EQ(3, attrs.topology.llcs);
	EXPECT_EQ(512, attrs.memory_mb);
	EXPECT_STREQ("-b", attrs.scheduler_args[0]);
	EXPECT_STREQ("s", attrs.scheduler);
	EXPECT_STREQ("k", attrs.kernel_args);

	attrs = given;
	attrs.memory_mb = 3000;
	ktstr_gauntlet__apply(&attrs, "cxl", "default");
	EXPECT_EQ(2, attrs.topology.numa_nodes);
	EXPECT_EQ(3000, attrs.memory_mb);
	EXPECT_STREQ("-a", attrs.scheduler_args[0]);

	attrs = given;
	ktstr_gauntlet__apply(&attrs, "none", "none");
	EXPECT_EQ(0, attrs.topology.llcs);
	EXPECT_EQ(100, attrs.memory_mb);
	EXPECT_EQ(given.scheduler_args, attrs.scheduler_args);
}

TEST(declarations_that_contradict_are_refused)
{
	const struct ktstr_test_attrs topology = {.topology = TOPO(1, 1, 1, 1)},
				      twice = {.profiles = KTSTR_PROFILES({.name = "a"},
									  {.name = "a"})},
				      unnamed = {.profiles = KTSTR_PROFILES({.scheduler = "s"})},
				      good = {.profiles =
						      KTSTR_PROFILES({.name = "a"}, {.name = "b"})};
	struct ktstr_error error = {.err = 0};

	EXPECT_EQ(0, ktstr_gauntlet__check("g", &good, &error));
	EXPECT_EQ(-EINVAL, ktstr_gauntlet__check("g", &topology, &error));
	EXPECT_STREQ("g", error.object);
	EXPECT_EQ(-EINVAL, ktstr_gauntlet__check("g", &twice, NULL));
	EXPECT_EQ(-EINVAL, ktstr_gauntlet__check("g", &unnamed, NULL));
}

TEST(host_is_as_the_environment_says)
{
	static const char *const bad[] = {"0", "x", "-1", "4097", " 3", "3 "};
	struct ktstr_gauntlet_host host;
	struct ktstr_error error;

	unsetenv("KTSTR_MAX_CPUS");
	unsetenv("KTSTR_BUDGET_S");
	unsetenv("KTSTR_INSIDE_EMULATED_HOST");
	ASSERT_EQ(0, ktstr_gauntlet__host(&host, NULL));
	EXPECT_EQ(KTSTR_MAX_CPUS, host.max_cpus);
	EXPECT_EQ(0, host.budget_s);
	EXPECT_FALSE(host.emulated);
	setenv("KTSTR_INSIDE_EMULATED_HOST", "1", 1);
	ASSERT_EQ(0, ktstr_gauntlet__host(&host, NULL));
	EXPECT_EQ(16, host.max_cpus);
	EXPECT_TRUE(host.emulated);
	setenv("KTSTR_MAX_CPUS", "64", 1);
	setenv("KTSTR_BUDGET_S", "40", 1);
	ASSERT_EQ(0, ktstr_gauntlet__host(&host, NULL));
	EXPECT_EQ(64, host.max_cpus);
	EXPECT_EQ(40, host.budget_s);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		error = (struct ktstr_error){.err = 0};
		setenv("KTSTR_MAX_CPUS", bad[i], 1);
		EXPECT_EQ(-EINVAL, ktstr_gauntlet__host(&host, &error));
		EXPECT_STREQ("KTSTR_MAX_CPUS", error.object);
	}
	setenv("KTSTR_MAX_CPUS", "", 1);
	setenv("KTSTR_BUDGET_S", "1h", 1);
	EXPECT_EQ(-EINVAL, ktstr_gauntlet__host(&host, NULL));
}

/* ---- limits ---- */

/* A run on each preset. */
static size_t all_runs(struct ktstr_gauntlet_run *runs, const char *test, const char *profile,
		       const struct ktstr_gauntlet_limits *limits)
{
	size_t nr;
	const struct ktstr_preset *presets = ktstr_presets(&nr);

	for (size_t i = 0; i < nr; i++)
		runs[i] = (struct ktstr_gauntlet_run){
			.test = test, .profile = profile, .preset = &presets[i], .limits = limits};
	return nr;
}

TEST(limits_leave_the_presets_within_them)
{
	static const struct {
		struct ktstr_gauntlet_limits limits;
		const char *in, *out, *reason, *why;
	} cases[] = {
		{{.min_cpus = 9},
		 "odd-3llc",
		 "smt-2llc",
		 "machine of too few CPUs",
		 "the machine has 8 CPUs, the test needs 9"},
		{{.max_cpus = 8},
		 "smt-2llc",
		 "odd-3llc",
		 "machine of too many CPUs",
		 "the machine has 9 CPUs, the test takes at most 8"},
		{{.min_llcs = 15},
		 "near-max-llc",
		 "max-cpu",
		 "machine of too few LLCs",
		 "the machine has 14 LLCs, the test needs 15"},
		{{.max_llcs = 2},
		 "tiny-2llc",
		 "odd-3llc",
		 "machine of too many LLCs",
		 "the machine has 3 LLCs, the test takes at most 2"},
		{{.min_nodes = 2},
		 "cxl",
		 "large-4llc",
		 "machine of too few NUMA nodes",
		 "the machine has 1 NUMA nodes, the test needs 2"},
		{{.max_nodes = 4},
		 "numa4-8llc",
		 "cxl-6llc",
		 "machine of too many NUMA nodes",
		 "the machine has 5 NUMA nodes, the test takes at most 4"},
		{{.smt = KTSTR_SMT_REQUIRED},
		 "smt-2llc",
		 "tiny-1llc",
		 "machine without SMT",
		 "the machine has no SMT, the test needs it"},
		{{.smt = KTSTR_SMT_FORBIDDEN},
		 "tiny-1llc",
		 "smt-2llc",
		 "machine with SMT",
		 "the machine has SMT, the test does without"},
	};
	struct ktstr_gauntlet_run runs[MAX_RUNS];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t nr = all_runs(runs, "t", "default", &cases[i].limits), seen = 0;

		ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &anywhere, NULL));
		for (size_t j = 0; j < nr; j++) {
			if (!strcmp(runs[j].preset->name, cases[i].in)) {
				EXPECT_EQ(NULL, runs[j].skip);
				seen++;
			} else if (!strcmp(runs[j].preset->name, cases[i].out)) {
				EXPECT_STREQ(cases[i].reason, runs[j].skip);
				EXPECT_STREQ(cases[i].why, runs[j].why);
				seen++;
			}
		}
		EXPECT_EQ(2, seen);
	}
}

TEST(hosts_take_machines_of_so_many_cpus)
{
	const struct ktstr_gauntlet_host host = {.max_cpus = 16, .emulated = true};
	struct ktstr_gauntlet_run runs[MAX_RUNS];
	size_t nr = all_runs(runs, "t", "default", NULL);

	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
	for (size_t i = 0; i < nr; i++) {
		if (ktstr_topology__cpus(&runs[i].preset->topology) <= 16) {
			EXPECT_EQ(NULL, runs[i].skip);
		} else {
			EXPECT_STREQ("machine of more CPUs than KTSTR_MAX_CPUS", runs[i].skip);
		}
	}
	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &anywhere, NULL));
	for (size_t i = 0; i < nr; i++)
		EXPECT_EQ(NULL, runs[i].skip);
	EXPECT_EQ(0, ktstr_gauntlet__choose(runs, 0, &anywhere, NULL));
}

/* ---- budget ---- */

struct chosen {
	size_t nr;
	uint64_t ms;
	bool smt, odd, two_nodes, asymmetric, memory_alone, many_packages_a_node, profile[2],
		test[2];
};

static struct chosen count(const struct ktstr_gauntlet_run *runs, size_t nr)
{
	struct chosen chosen = {.nr = 0};

	for (size_t i = 0; i < nr; i++) {
		const struct ktstr_topology *t = &runs[i].preset->topology;

		if (runs[i].skip)
			continue;
		chosen.nr++;
		chosen.ms += runs[i].cost_ms;
		chosen.smt |= t->threads_per_core > 1;
		chosen.odd |= t->llcs > 1 && t->llcs % 2;
		chosen.two_nodes |= t->numa_nodes > 1;
		chosen.asymmetric |= !strncmp(runs[i].preset->name, "asym", 4) ||
				     !strcmp(runs[i].preset->name, "snc-asym");
		chosen.memory_alone |= t->nodes && !t->nodes[t->numa_nodes - 1].llcs;
		chosen.many_packages_a_node |= t->packages > t->numa_nodes;
		chosen.profile[!strcmp(runs[i].profile, "other")] = true;
		chosen.test[!strcmp(runs[i].test, "u")] = true;
	}
	return chosen;
}

/* Each preset with two tests of two profiles. */
static size_t many_runs(struct ktstr_gauntlet_run *runs)
{
	size_t nr = all_runs(runs, "t", "default", NULL);

	nr += all_runs(runs + nr, "t", "other", NULL);
	nr += all_runs(runs + nr, "u", "default", NULL);
	return nr + all_runs(runs + nr, "u", "other", NULL);
}

TEST(budget_is_kept_and_used)
{
	struct ktstr_gauntlet_host host = {.max_cpus = 16, .emulated = true};
	struct ktstr_gauntlet_run runs[MAX_RUNS];
	size_t nr = many_runs(runs);
	uint64_t cheapest = UINT64_MAX, all;

	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
	all = count(runs, nr).ms;
	for (size_t i = 0; i < nr; i++)
		if (runs[i].cost_ms < cheapest)
			cheapest = runs[i].cost_ms;
	for (host.budget_s = 1; 1000ull * host.budget_s < all; host.budget_s += 7) {
		struct chosen chosen;

		ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
		chosen = count(runs, nr);
		EXPECT_LE(chosen.ms, 1000ull * host.budget_s);
		EXPECT_GT(chosen.ms + 2 * cheapest, 1000ull * host.budget_s);
	}
	host.budget_s = (uint32_t)(all / 1000 + 1);
	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
	EXPECT_EQ(all, count(runs, nr).ms);
	host.budget_s = 1;
	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
	EXPECT_EQ(0, count(runs, nr).nr);
}

/* A tenth of the time shows one of each kind. */
TEST(budget_covers_each_kind_of_machine_profile_and_test)
{
	struct ktstr_gauntlet_host host = {.max_cpus = 16, .emulated = true};
	struct ktstr_gauntlet_run runs[MAX_RUNS];
	size_t nr = many_runs(runs);
	struct chosen chosen;

	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
	host.budget_s = (uint32_t)(count(runs, nr).ms / 10000);
	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, nr, &host, NULL));
	chosen = count(runs, nr);
	EXPECT_TRUE(chosen.smt);
	EXPECT_TRUE(chosen.odd);
	EXPECT_TRUE(chosen.two_nodes);
	EXPECT_TRUE(chosen.asymmetric);
	EXPECT_TRUE(chosen.memory_alone);
	EXPECT_TRUE(chosen.many_packages_a_node);
	EXPECT_TRUE(chosen.profile[0] && chosen.profile[1]);
	EXPECT_TRUE(chosen.test[0] && chosen.test[1]);
}

/* By hand: of four cheap machines that are alike but one, it is that one beside the first. */
TEST(what_differs_goes_before_more_of_the_same)
{
	static const struct ktstr_preset machines[] = {
		{.name = "a", .topology = TOPO(1, 2, 2, 1)},
		{.name = "b", .topology = TOPO(1, 2, 2, 1)},
		{.name = "c", .topology = TOPO(1, 2, 2, 1)},
		{.name = "d", .topology = TOPO(2, 2, 1, 2)},
	};
	/* 1 s, 40 ms and 2 s each; room for two */
	const struct ktstr_gauntlet_host host = {.max_cpus = 16, .budget_s = 7};
	struct ktstr_gauntlet_run runs[4];

	for (size_t i = 0; i < 4; i++)
		runs[i] = (struct ktstr_gauntlet_run){
			.test = "t", .profile = "default", .preset = &machines[i]};
	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, 4, &host, NULL));
	EXPECT_EQ(3040, runs[0].cost_ms);
	EXPECT_EQ(NULL, runs[0].skip);
	EXPECT_EQ(NULL, runs[3].skip);
	EXPECT_STREQ("not of those chosen for KTSTR_BUDGET_S", runs[1].skip);
	EXPECT_STREQ("about 3 s; 2 that cover more for their time take 6 of 7 s", runs[1].why);
	EXPECT_STREQ(runs[1].skip, runs[2].skip);
}

/* What covers no more than another, and costs more, comes later. */
TEST(time_counts)
{
	static const struct ktstr_preset machine = {.name = "a", .topology = TOPO(1, 2, 2, 1)};
	static const struct ktstr_gauntlet_limits slow = {.run_s = 5}, fast = {.run_s = 1};
	const struct ktstr_gauntlet_host host = {.max_cpus = 16, .budget_s = 7};
	struct ktstr_gauntlet_run runs[] = {
		{.test = "t", .profile = "p", .preset = &machine, .limits = &slow},
		{.test = "u", .profile = "p", .preset = &machine, .limits = &fast},
	};

	ASSERT_EQ(0, ktstr_gauntlet__choose(runs, 2, &host, NULL));
	EXPECT_NE(NULL, runs[0].skip);
	EXPECT_EQ(NULL, runs[1].skip);
}

TEST(choice_is_the_same_each_time_and_limits_come_first)
{
	static const struct ktstr_gauntlet_limits limits = {.min_nodes = 2};
	const struct ktstr_gauntlet_host host = {.max_cpus = 64, .budget_s = 60, .emulated = true};
	struct ktstr_gauntlet_run a[MAX_RUNS], b[MAX_RUNS];
	size_t nr = all_runs(a, "t", "default", &limits);

	all_runs(b, "t", "default", &limits);
	ASSERT_EQ(0, ktstr_gauntlet__choose(a, nr, &host, NULL));
	ASSERT_EQ(0, ktstr_gauntlet__choose(b, nr, &host, NULL));
	EXPECT_LT(1, count(a, nr).nr);
	for (size_t i = 0; i < nr; i++) {
		EXPECT_EQ(a[i].skip, b[i].skip);
		EXPECT_STREQ(a[i].why, b[i].why);
		if (a[i].preset->topology.numa_nodes < 2)
			EXPECT_STREQ("machine of too few NUMA nodes", a[i].skip);
	}
}

TEST_HARNESS_MAIN
