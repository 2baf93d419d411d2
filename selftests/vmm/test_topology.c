// SPDX-License-Identifier: GPL-2.0-only
/* The text forms of a topology, both ways, and what is refused with which words. */
#include <ktstr/topology.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

static int parse(const char *text, struct ktstr_topology *t, struct ktstr_error *error)
{
	*error = (struct ktstr_error){0};
	return ktstr_topology__parse(text, t, error);
}

TEST(parse_reads_letters_in_any_order)
{
	const char *same[] = {"2n4l3c2t", "2t3c4l2n", "4l2n2t3c"};
	struct ktstr_error error;
	struct ktstr_topology t;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		ASSERT_EQ(parse(same[i], &t, &error), 0);
		EXPECT_EQ(t.numa_nodes, 2);
		EXPECT_EQ(t.llcs, 4);
		EXPECT_EQ(t.cores_per_llc, 3);
		EXPECT_EQ(t.threads_per_core, 2);
		EXPECT_EQ(ktstr_topology__cpus(&t), 24);
	}
}

TEST(parse_takes_one_for_what_is_missing_and_an_llc_for_each_node)
{
	struct ktstr_error error;
	struct ktstr_topology t;

	ASSERT_EQ(parse("4c", &t, &error), 0);
	EXPECT_EQ(t.numa_nodes, 1);
	EXPECT_EQ(t.llcs, 1);
	EXPECT_EQ(t.cores_per_llc, 4);
	EXPECT_EQ(t.threads_per_core, 1);
	ASSERT_EQ(parse("3n", &t, &error), 0);
	EXPECT_EQ(t.numa_nodes, 3);
	EXPECT_EQ(t.llcs, 3);
}

TEST(parse_reads_packages)
{
	struct ktstr_error error;
	struct ktstr_topology t;

	ASSERT_EQ(parse("2n1p4l2c1t", &t, &error), 0);
	EXPECT_EQ(t.packages, 1);
	ASSERT_EQ(parse("2n4l2c1t", &t, &error), 0);
	EXPECT_EQ(t.packages, 0);
}

TEST(parse_refuses_what_is_not_a_topology)
{
	const char *bad[] = {"",    "n",     "2p2p", "p",	    "2",
			     "2n2", "2n3n",  "2x",   "-1n",	    "2n 4l",
			     " 2n", "2n4l ", "1.5c", "4294967296c", "2N",
			     "+2n", "c4",    "0x2n", "2n,4l",	    "99999999999999999999c"};
	struct ktstr_topology t = TOPO(9, 9, 9, 9);
	struct ktstr_error error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(parse(bad[i], &t, &error), -EINVAL) TH_LOG("text '%s'", bad[i]);
		EXPECT_EQ(error.err, EINVAL);
		EXPECT_STREQ(error.object, bad[i]);
		EXPECT_NE(strstr(error.hint, "1n2l4c2t"), NULL);
	}
	EXPECT_EQ(t.llcs, 9);
}

/* ---- What is impossible ---- */

static const struct ktstr_numa_node two_and_one[] = {{.llcs = 2}, {.llcs = 1}};

/* The declared machine is refused with these words and this remedy; the error names it. */
#define REFUSES(said_reason, said_hint, ...)                                               \
	do {                                                                               \
		struct ktstr_topology declared = {__VA_ARGS__};                            \
		struct ktstr_error why = {0};                                              \
		char name[80];                                                             \
                                                                                           \
		ktstr_topology__format(&declared, name, sizeof(name));                     \
		EXPECT_EQ(-EINVAL, ktstr_topology__validate(&declared, &why))              \
		TH_LOG("not refused: %s", said_reason);                                    \
		EXPECT_EQ(EINVAL, why.err);                                                \
		EXPECT_STREQ(name, why.object);                                            \
		EXPECT_STREQ(said_reason, why.reason);                                     \
		EXPECT_NE(NULL, strstr(why.hint, said_hint)) TH_LOG("hint: %s", why.hint); \
	} while (0)

#define COUNTS(n, l, c, t) \
	.numa_nodes = (n), .llcs = (l), .cores_per_llc = (c), .threads_per_core = (t)

#define TAKES(...)                                                      \
	do {                                                            \
		struct ktstr_topology declared = {__VA_ARGS__};         \
		struct ktstr_error why = {0};                           \
                                                                        \
		EXPECT_EQ(0, ktstr_topology__validate(&declared, &why)) \
		TH_LOG("%s; %s", why.reason, why.hint);                 \
	} while (0)

TEST(a_count_of_zero_is_refused)
{
	REFUSES("there must be at least one NUMA node", "1 or more", COUNTS(0, 1, 1, 1));
	REFUSES("there must be at least one LLC", "1 or more", COUNTS(1, 0, 1, 1));
	REFUSES("an LLC must have at least one core", "1 or more", COUNTS(1, 1, 0, 1));
	REFUSES("a core must have at least one thread", "1 or more", COUNTS(1, 1, 1, 0));
}

TEST(more_nodes_or_cpus_than_possible_are_refused)
{
	REFUSES("too many NUMA nodes", "at most 64", COUNTS(65, 65, 1, 1));
	REFUSES("too many CPUs", "at most 4096", COUNTS(1, 1, 4097, 1));
	TAKES(COUNTS(64, 64, 1, 1));
	TAKES(COUNTS(1, 1, 4096, 1));
}

TEST(products_and_sums_that_overflow_are_refused)
{
	const struct ktstr_numa_node llcs[] = {{.llcs = UINT32_MAX}, {.llcs = 2}};
	const struct ktstr_numa_node memory[] = {{.llcs = 1, .memory_mb = UINT32_MAX},
						 {.llcs = 1, .memory_mb = 32}};

	REFUSES("too many CPUs", "at most 4096", COUNTS(1, 65536, 65536, 1));
	REFUSES("too many CPUs", "at most 4096", COUNTS(1, 65536, 32768, 2));
	REFUSES("the nodes have 4294967297 LLCs, but the machine 1", "the sum", COUNTS(2, 1, 1, 1),
		.nodes = llcs);
	REFUSES("the nodes have 4294967327 MiB of memory", "1 TiB", COUNTS(2, 2, 1, 1),
		.nodes = memory);
}

TEST(llcs_that_cannot_be_spread_evenly_are_refused)
{
	REFUSES("the LLCs cannot be spread evenly over the nodes", "a multiple of 2",
		COUNTS(2, 3, 1, 1));
	TAKES(COUNTS(2, 3, 1, 1), .nodes = two_and_one);
}

TEST(nodes_with_another_sum_of_llcs_are_refused)
{
	REFUSES("the nodes have 3 LLCs, but the machine 4", "the sum of the nodes'",
		COUNTS(2, 4, 1, 1), .nodes = two_and_one);
	REFUSES("the nodes have 3 LLCs, but the machine 0", "the sum of the nodes'",
		COUNTS(2, 0, 1, 1), .nodes = two_and_one);
}

TEST(a_machine_without_cpus_is_refused)
{
	const struct ktstr_numa_node none[2] = {{.llcs = 0}};

	REFUSES("no node has CPUs", "an LLC or more", COUNTS(2, 0, 1, 1), .nodes = none);
	REFUSES("no node has CPUs", "an LLC or more", COUNTS(2, 2, 1, 1), .nodes = none);
}

TEST(a_node_without_cpus_before_one_that_has_some_is_refused)
{
	const struct ktstr_numa_node first[] = {{.llcs = 0}, {.llcs = 1}};
	const struct ktstr_numa_node middle[] = {{.llcs = 1}, {.llcs = 0}, {.llcs = 1}};
	const struct ktstr_numa_node last[] = {{.llcs = 1}, {.llcs = 0}, {.llcs = 0}};

	REFUSES("node 0 has no CPUs, but node 1 behind it has", "without CPUs last",
		COUNTS(2, 1, 1, 1), .nodes = first);
	REFUSES("node 1 has no CPUs, but node 2 behind it has", "without CPUs last",
		COUNTS(3, 2, 1, 1), .nodes = middle);
	TAKES(COUNTS(3, 1, 1, 1), .nodes = last);
}

TEST(a_node_below_16_mib_is_refused)
{
	const struct ktstr_numa_node small[] = {{.llcs = 1}, {.llcs = 1, .memory_mb = 15}};
	const struct ktstr_numa_node enough[] = {{.llcs = 1}, {.llcs = 1, .memory_mb = 16}};

	REFUSES("15 MiB are too little for node 1", "16 MiB or more", COUNTS(2, 2, 1, 1),
		.nodes = small);
	TAKES(COUNTS(2, 2, 1, 1), .nodes = enough);
}

TEST(packages_that_do_not_divide_the_llcs_are_refused)
{
	REFUSES("4 LLCs cannot be spread evenly over 3 packages", "a divisor", COUNTS(1, 4, 1, 1),
		.packages = 3);
	REFUSES("4 LLCs cannot be spread evenly over 8 packages", "a divisor", COUNTS(1, 4, 1, 1),
		.packages = 8);
	TAKES(COUNTS(1, 4, 1, 1), .packages = 4);
}

TEST(packages_and_nodes_that_overlap_are_refused)
{
	const struct ktstr_numa_node two_four[] = {{.llcs = 2}, {.llcs = 4}};
	const struct ktstr_numa_node mixed[] = {{.llcs = 1}, {.llcs = 1}, {.llcs = 4}};
	const struct ktstr_numa_node inside[] = {
		{.llcs = 3}, {.llcs = 2}, {.llcs = 1}, {.llcs = 0}};

	/* packages of 2 LLCs: 01 23 45; nodes 012 345 */
	REFUSES("node 0 is not whole packages of 2 LLCs, and not inside one", "whole nodes",
		COUNTS(2, 6, 1, 1), .packages = 3);
	/* nodes 01 2345 hold them, or one package holds both */
	TAKES(COUNTS(2, 6, 1, 1), .packages = 6, .nodes = two_four);
	TAKES(COUNTS(2, 6, 1, 1), .packages = 3, .nodes = two_four);
	TAKES(COUNTS(2, 6, 1, 1), .packages = 1, .nodes = two_four);
	/* nodes 01 23 45, packages 012 345 */
	REFUSES("node 1 is not whole packages of 3 LLCs, and not inside one", "whole nodes",
		COUNTS(3, 6, 1, 1), .packages = 2,
		.nodes = (const struct ktstr_numa_node[]){{.llcs = 2}, {.llcs = 2}, {.llcs = 2}});
	/* nodes 0 1 2345, packages 012 345; then 012 34 5 */
	REFUSES("node 2 is not whole packages of 3 LLCs, and not inside one", "whole nodes",
		COUNTS(3, 6, 1, 1), .packages = 2, .nodes = mixed);
	TAKES(COUNTS(4, 6, 1, 1), .packages = 2, .nodes = inside);
	/* as many as nodes with CPUs: one for each, whatever their sizes */
	TAKES(COUNTS(2, 3, 1, 1), .packages = 2, .nodes = two_and_one);
}

TEST(packages_that_linux_cannot_see_are_refused)
{
	const struct ktstr_numa_node one_two[] = {{.llcs = 1}, {.llcs = 2}};
	const struct ktstr_numa_node two_one[] = {{.llcs = 2}, {.llcs = 1}};
	const struct ktstr_numa_node six_one_one[] = {{.llcs = 6}, {.llcs = 1}, {.llcs = 1}};

	REFUSES("the first package has one CPU, another has more", "a larger node first",
		COUNTS(2, 3, 1, 1), .nodes = one_two);
	TAKES(COUNTS(2, 3, 1, 1), .nodes = two_one);
	TAKES(COUNTS(2, 3, 1, 2), .nodes = one_two);
	TAKES(COUNTS(2, 3, 1, 1), .packages = 1, .nodes = one_two);
	TAKES(COUNTS(2, 3, 1, 1), .packages = 3, .nodes = one_two);

	REFUSES("a package holds several nodes, and a node several packages", "whole machine",
		COUNTS(3, 8, 1, 1), .packages = 4, .nodes = six_one_one);
	TAKES(COUNTS(3, 8, 1, 1), .packages = 8, .nodes = six_one_one);
	TAKES(COUNTS(3, 8, 1, 1), .packages = 1, .nodes = six_one_one);
}

TEST(distances_that_linux_would_not_take_are_refused)
{
	REFUSES("the distance of node 1 to itself is 11", "must be 10", COUNTS(2, 2, 1, 1),
		.distances = KTSTR_DISTANCES(10, 20, 20, 11));
	REFUSES("the distance of node 0 to itself is 0", "must be 10", COUNTS(1, 1, 1, 1),
		.distances = KTSTR_DISTANCES(0));
	REFUSES("the distance of node 0 to node 1 is 10", "above 10", COUNTS(2, 2, 1, 1),
		.distances = KTSTR_DISTANCES(10, 10, 10, 10));
	REFUSES("the distance of node 0 to node 1 is 20, but 21 back", "both ways",
		COUNTS(2, 2, 1, 1), .distances = KTSTR_DISTANCES(10, 20, 21, 10));
	REFUSES("node 0 cannot reach node 1 at distance 255", "254 or less", COUNTS(2, 2, 1, 1),
		.distances = KTSTR_DISTANCES(10, 255, 255, 10));
	TAKES(COUNTS(2, 2, 1, 1), .distances = KTSTR_DISTANCES(10, 11, 11, 10));
	TAKES(COUNTS(2, 2, 1, 1), .distances = KTSTR_DISTANCES(10, 254, 254, 10));
}

TEST(a_latency_that_the_hmat_cannot_say_is_refused)
{
	const struct ktstr_numa_node slow[] = {{.llcs = 1}, {.llcs = 1, .latency_ns = 32768}};
	const struct ktstr_numa_node below[] = {{.llcs = 1}, {.llcs = 1, .latency_ns = 32767}};
	const struct ktstr_numa_node local[] = {{.llcs = 1, .latency_ns = 65534}};
	/* Its nearest CPUs are at 20: what the node itself is at does not count. */
	const struct ktstr_numa_node cxl[] = {{.llcs = 1}, {.llcs = 0, .latency_ns = 65534}};

	REFUSES("memory of node 1 takes over 65534 ns from its farthest CPUs", "a lower latency",
		COUNTS(2, 2, 1, 1), .nodes = slow);
	TAKES(COUNTS(2, 2, 1, 1), .nodes = below);
	TAKES(COUNTS(1, 1, 1, 1), .nodes = local);
	TAKES(COUNTS(2, 1, 1, 1), .nodes = cxl);
}

TEST(caches_that_cpuid_cannot_tell_are_refused)
{
	REFUSES("the L1 data cache of 256 KiB is too large", "up to 255 KiB", COUNTS(1, 1, 1, 1),
		.caches.l1d_kb = 256);
	REFUSES("the L1 instruction cache of 256 KiB is too large", "up to 255 KiB",
		COUNTS(1, 1, 1, 1), .caches.l1i_kb = 256);
	REFUSES("the L2 cache of 65536 KiB is too large", "up to 65535 KiB", COUNTS(1, 1, 1, 1),
		.caches.l2_kb = 65536);
	REFUSES("the L3 cache of 4194304 KiB is too large", "up to 4194303 KiB", COUNTS(1, 1, 1, 1),
		.caches.l3_kb = 4194304);
	TAKES(COUNTS(1, 1, 1, 1), .caches = {255, 255, 65535, 4194303});
	TAKES(COUNTS(1, 1, 1, 1), .caches = {1, 1, 1, 1});
}

/* ---- Memory ---- */

/* RAM in MiB, or 0 with @error. */
static uint32_t memory_of(const struct ktstr_topology *t, uint32_t asked_mb,
			  struct ktstr_error *error)
{
	uint32_t total_mb = 0;

	*error = (struct ktstr_error){0};
	return ktstr_topology__memory_mb(t, asked_mb, &total_mb, error) ? 0 : total_mb;
}

TEST(memory_is_what_was_asked_or_the_nodes_sum_or_the_default)
{
	const struct ktstr_numa_node all[] = {{.llcs = 1, .memory_mb = 300},
					      {.llcs = 1, .memory_mb = 100}};
	const struct ktstr_numa_node one[] = {{.llcs = 1, .memory_mb = 300}, {.llcs = 1}};
	struct ktstr_topology t = TOPO(2, 2, 1, 1);
	struct ktstr_error error;

	EXPECT_EQ(512, memory_of(&t, 0, &error));
	EXPECT_EQ(1000, memory_of(&t, 1000, &error));
	t.nodes = one;
	EXPECT_EQ(512, memory_of(&t, 0, &error));
	EXPECT_EQ(316, memory_of(&t, 316, &error));
	t.nodes = all;
	EXPECT_EQ(400, memory_of(&t, 0, &error));
	EXPECT_EQ(400, memory_of(&t, 400, &error));
}

TEST(memory_that_contradicts_the_nodes_or_leaves_them_too_little_is_refused)
{
	const struct ktstr_numa_node all[] = {{.llcs = 1, .memory_mb = 300},
					      {.llcs = 1, .memory_mb = 100}};
	const struct ktstr_numa_node one[] = {{.llcs = 1, .memory_mb = 300}, {.llcs = 1}};
	const struct ktstr_numa_node much[] = {{.llcs = 1, .memory_mb = 600}, {.llcs = 1}};
	struct ktstr_topology t = TOPO(2, 2, 1, 1);
	struct ktstr_error error;

	EXPECT_EQ(0, memory_of(&t, 31, &error));
	EXPECT_STREQ("31 MiB of memory are too little for 2 NUMA nodes", error.reason);
	EXPECT_NE(NULL, strstr(error.hint, "32 MiB or more"));
	t.nodes = one;
	EXPECT_EQ(0, memory_of(&t, 315, &error));
	EXPECT_STREQ("15 MiB of memory are too little for 1 NUMA node", error.reason);
	EXPECT_NE(NULL, strstr(error.hint, "316 MiB or more"));
	EXPECT_EQ(0, memory_of(&t, 299, &error));
	EXPECT_STREQ("the nodes have 300 MiB of memory, but the machine 299", error.reason);
	t.nodes = much; /* the default is not enough */
	EXPECT_EQ(0, memory_of(&t, 0, &error));
	EXPECT_STREQ("the nodes have 600 MiB of memory, but the machine 512", error.reason);
	t.nodes = all;
	EXPECT_EQ(0, memory_of(&t, 401, &error));
	EXPECT_STREQ("the nodes have 400 MiB of memory, but the machine 401", error.reason);
	EXPECT_NE(NULL, strstr(error.hint, "the sum of the nodes'"));
}

/* ---- The compact form out ---- */

TEST(format_writes_what_parse_reads)
{
	const char *forms[] = {"1n1l1c1t", "2n4l4c2t", "1n2p4l1c1t", "1n14l18c1t", "64n64l1c64t"};
	struct ktstr_topology t;
	struct ktstr_error error;
	char buf[64], small[4];

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		ASSERT_EQ(parse(forms[i], &t, &error), 0);
		EXPECT_EQ(ktstr_topology__format(&t, buf, sizeof(buf)), (int)strlen(forms[i]));
		EXPECT_STREQ(buf, forms[i]);
	}
	EXPECT_EQ(ktstr_topology__format(&t, small, sizeof(small)), 11);
	EXPECT_STREQ(small, "64n");
}

/* ---- Options ---- */

/* Takes "--name value ..." as a command line is split; the text is cut into pieces. */
static int add_line(struct ktstr_topology_options *o, char *line, struct ktstr_error *error)
{
	char *save = NULL, *name, *value;
	int err = 0;

	*o = (struct ktstr_topology_options){.text = NULL};
	*error = (struct ktstr_error){0};
	for (name = strtok_r(line, " ", &save); name && !err; name = strtok_r(NULL, " ", &save)) {
		value = strtok_r(NULL, " ", &save);
		err = ktstr_topology_options__add(o, name + 2, value ? value : "", error);
	}
	return err ? err : ktstr_topology_options__finish(o, error);
}

static int read_line(struct ktstr_topology_options *o, const char *line, struct ktstr_error *error)
{
	static char copy[512];

	snprintf(copy, sizeof(copy), "%s", line);
	return add_line(o, copy, error);
}

TEST(options_describe_a_machine_in_any_order)
{
	const char *lines[] = {
		"--topology 3n3l2c1t --node llcs=2,memory=1024,latency=80,bandwidth=20000 "
		"--node llcs=1,cache=64 --node llcs=0,memory=2048 --distance 0,1=17 "
		"--distance 2,0=30 --cache l3=16384,l1d=48",
		"--cache l1d=48 --distance 1,0=17 --node "
		"bandwidth=20000,latency=80,memory=1024,llcs=2 "
		"--distance 0,2=30 --node cache=64 --node memory=2048,llcs=0 --topology 2c "
		"--distance 0,2=30 --cache l3=16384",
	};
	const uint8_t distances[] = {10, 17, 30, 17, 10, 20, 30, 20, 10};
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	struct ktstr_error error;

	for (size_t i = 0; i < 2; i++) {
		const struct ktstr_topology *t = &o->topology;

		ASSERT_EQ(0, read_line(o, lines[i], &error)) TH_LOG("%s", error.reason);
		EXPECT_EQ(3, t->numa_nodes);
		EXPECT_EQ(3, t->llcs);
		EXPECT_EQ(2, t->cores_per_llc);
		EXPECT_EQ(1, t->threads_per_core);
		EXPECT_EQ(0, t->packages);
		EXPECT_EQ(&o->nodes[0], t->nodes);
		EXPECT_EQ(2, t->nodes[0].llcs);
		EXPECT_EQ(1024, t->nodes[0].memory_mb);
		EXPECT_EQ(80, t->nodes[0].latency_ns);
		EXPECT_EQ(20000, t->nodes[0].bandwidth_mbs);
		EXPECT_EQ(0, t->nodes[0].cache_mb);
		EXPECT_EQ(1, t->nodes[1].llcs);
		EXPECT_EQ(0, t->nodes[1].memory_mb);
		EXPECT_EQ(64, t->nodes[1].cache_mb);
		EXPECT_EQ(0, t->nodes[2].llcs);
		EXPECT_EQ(2048, t->nodes[2].memory_mb);
		EXPECT_EQ(0, memcmp(distances, t->distances, sizeof(distances)));
		EXPECT_EQ(48, t->caches.l1d_kb);
		EXPECT_EQ(0, t->caches.l1i_kb);
		EXPECT_EQ(0, t->caches.l2_kb);
		EXPECT_EQ(16384, t->caches.l3_kb);
	}
	free(o);
}

TEST(a_preset_is_a_topology_with_nodes_of_its_own)
{
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	struct ktstr_error error = {.err = 0};

	ASSERT_NE(NULL, o);
	EXPECT_EQ(0, read_line(o, "--cache l3=4096 --topology cxl", &error));
	EXPECT_EQ(2, o->topology.numa_nodes);
	EXPECT_EQ(4, ktstr_topology__cpus(&o->topology));
	EXPECT_EQ(256, o->topology.nodes[1].memory_mb);
	EXPECT_EQ(17, o->topology.distances[1]);
	EXPECT_EQ(4096, o->topology.caches.l3_kb);
	/* The last one counts. */
	EXPECT_EQ(0, read_line(o, "--topology cxl --topology 3c", &error));
	EXPECT_EQ(1, o->topology.numa_nodes);
	EXPECT_EQ(NULL, o->topology.nodes);
	EXPECT_EQ(-EINVAL, read_line(o, "--topology cxl --node llcs=1", &error));
	EXPECT_STREQ("cxl", error.object);
	EXPECT_EQ(-EINVAL, read_line(o, "--topology cxl --distance 0,1=18", &error));
	EXPECT_EQ(-EINVAL, read_line(o, "--topology cx", &error));
	free(o);
}

TEST(options_that_are_not_given_leave_the_defaults)
{
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	struct ktstr_error error;
	char text[80];

	ASSERT_EQ(0, read_line(o, "", &error));
	ktstr_topology__format(&o->topology, text, sizeof(text));
	EXPECT_STREQ("1n1l1c1t", text);
	EXPECT_EQ(NULL, o->topology.nodes);
	EXPECT_EQ(NULL, o->topology.distances);
	ASSERT_EQ(0, read_line(o, "--topology 2n --topology 1n4l", &error));
	ktstr_topology__format(&o->topology, text, sizeof(text));
	EXPECT_STREQ("1n4l1c1t", text); /* the last one */
	ASSERT_EQ(0, read_line(o, "--node llcs=2 --node latency=9", &error));
	ktstr_topology__format(&o->topology, text, sizeof(text));
	EXPECT_STREQ("2n3l1c1t", text);
	free(o);
}

TEST(options_of_another_form_are_refused_with_the_form)
{
	const struct {
		const char *name, *value, *reason, *hint;
	} bad[] = {
		{"topology", "2n4", "not a topology", "1n2l4c2t"},
		{"node", "", "not of the option's form", "llcs=N"},
		{"node", "llcs", "not of the option's form", "llcs=N"},
		{"node", "llcs=", "not of the option's form", "llcs=N"},
		{"node", "llcs=-1", "not of the option's form", "llcs=N"},
		{"node", "llcs=1,", "not of the option's form", "llcs=N"},
		{"node", ",llcs=1", "not of the option's form", "llcs=N"},
		{"node", "llcs=1;memory=2", "not of the option's form", "llcs=N"},
		{"node", "llcs=4294967296", "not of the option's form", "llcs=N"},
		{"node", "llcs=1M", "not of the option's form", "llcs=N"},
		{"node", "cores=1", "not of the option's form", "llcs=N"},
		{"node", "llcs=1,llcs=1", "the same is given twice", "llcs=N"},
		{"node", "memory=0", "memory cannot be 0", "leave it out"},
		{"node", "latency=0", "latency cannot be 0", "leave it out"},
		{"node", "bandwidth=0", "bandwidth cannot be 0", "leave it out"},
		{"distance", "", "not a distance", "0,1=17"},
		{"distance", "0,1", "not a distance", "0,1=17"},
		{"distance", "0=17", "not a distance", "0,1=17"},
		{"distance", "0,1=", "not a distance", "0,1=17"},
		{"distance", "0,1=17,", "not a distance", "0,1=17"},
		{"distance", "0, 1=17", "not a distance", "0,1=17"},
		{"distance", "0,1=256", "not a distance", "0,1=17"},
		{"cache", "l4=1", "not of the option's form", "l1d=KIB"},
		{"cache", "l1=32", "not of the option's form", "l1d=KIB"},
		{"cache", "l3", "not of the option's form", "l1d=KIB"},
		{"cache", "l2=0", "l2 cannot be 0", "leave it out"},
		{"cache", "l2=1,l2=1", "the same is given twice", "l1d=KIB"},
		{"capacity", "", "not a capacity", "4-7=446"},
		{"capacity", "4", "not a capacity", "4-7=446"},
		{"capacity", "4=", "not a capacity", "4-7=446"},
		{"capacity", "4-=1", "not a capacity", "4-7=446"},
		{"capacity", "5-4=1", "not a capacity", "4-7=446"},
		{"capacity", "4=1,", "not a capacity", "4-7=446"},
		{"capacity", "4=0", "not from 1 to 1024", "fastest"},
		{"capacity", "4=1025", "not from 1 to 1024", "fastest"},
		{"capacity", "4096=1", "there is no core 4096", "at most 4096"},
		{"capacity", "0-4294967295=1", "there is no core 4294967295", "at most 4096"},
	};
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ktstr_error error = {0};

		EXPECT_EQ(-EINVAL,
			  ktstr_topology_options__add(o, bad[i].name, bad[i].value, &error))
		TH_LOG("--%s '%s'", bad[i].name, bad[i].value);
		EXPECT_STREQ(bad[i].name, error.operation);
		EXPECT_STREQ(bad[i].value, error.object);
		EXPECT_STREQ(bad[i].reason, error.reason);
		EXPECT_NE(NULL, strstr(error.hint, bad[i].hint)) TH_LOG("hint: %s", error.hint);
	}
	/* and left nothing behind */
	EXPECT_EQ(0, o->nr_nodes);
	EXPECT_EQ(0, o->nr_distances);
	EXPECT_EQ(0, o->topology.caches.l2_kb);
	EXPECT_EQ(0, o->nr_capacities);
	EXPECT_EQ(0, o->capacities[4]);
	EXPECT_EQ(NULL, o->text);
	EXPECT_EQ(-ENOENT, ktstr_topology_options__add(o, "memory", "1", NULL));
	free(o);
}

TEST(capacities_are_of_cores_and_the_others_have_the_most)
{
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	struct ktstr_error error;
	char text[200];

	ASSERT_EQ(0, read_line(o, "--capacity 4-6=446 --topology 2l4c2t --capacity 2=500", &error));
	for (uint32_t i = 0; i < 8; i++)
		EXPECT_EQ(i == 2 ? 500 : i >= 4 && i <= 6 ? 446 : 1024, o->topology.capacities[i]);
	ktstr_topology__format_options(&o->topology, text, sizeof(text));
	EXPECT_STREQ("--topology 1n2l4c2t --capacity 0-1=1024 --capacity 2=500 --capacity 3=1024 "
		     "--capacity 4-6=446 --capacity 7=1024",
		     text);
	/* Those of another line are not left. */
	ASSERT_EQ(0, read_line(o, "--topology 2l4c", &error));
	EXPECT_EQ(NULL, o->topology.capacities);
	/* A preset has cores, too. */
	ASSERT_EQ(0, read_line(o, "--capacity 0=77 --topology cxl", &error));
	EXPECT_EQ(77, o->topology.capacities[0]);
	EXPECT_EQ(1024, o->topology.capacities[1]);
	free(o);
}

TEST(capacities_of_a_test_are_checked)
{
	struct ktstr_topology t = TOPO(1, 2, 2, 1);
	struct ktstr_error error = {0};

	t.capacities = KTSTR_CAPACITIES(1024, 1024, 446, 1);
	EXPECT_EQ(0, ktstr_topology__validate(&t, NULL));
	t.capacities = KTSTR_CAPACITIES(1024, 1024, 446, 0);
	EXPECT_EQ(-EINVAL, ktstr_topology__validate(&t, &error));
	EXPECT_STREQ("the capacity of core 3 is 0", error.reason);
	t.capacities = KTSTR_CAPACITIES(1025, 1024, 446, 1);
	EXPECT_EQ(-EINVAL, ktstr_topology__validate(&t, NULL));
}

TEST(options_that_contradict_each_other_are_refused)
{
	const struct {
		const char *line, *object, *reason, *hint;
	} bad[] = {
		{"--topology 2n --distance 0,2=17", "0,2=17", "there is no node 2",
		 "the nodes are 0 to 1"},
		{"--topology 2n --distance 4294967295,0=17", "4294967295,0=17",
		 "there is no node 4294967295", "the nodes are 0 to 1"},
		{"--topology 2n --distance 0,1=17 --distance 1,0=18", "1,0=18",
		 "another option says that it is 17", "both ways"},
		{"--topology 2n --distance 1,1=11", "2n2l1c1t",
		 "the distance of node 1 to itself is 11", "must be 10"},
		{"--topology 2n --distance 0,1=0", "2n2l1c1t",
		 "the distance of node 0 to node 1 is 0", "above 10"},
		{"--topology 3n --node llcs=1 --node llcs=1", "3n",
		 "3 NUMA nodes, but --node is given 2 times", "leave out the n"},
		{"--topology 3l --node llcs=1 --node llcs=1", "2n3l1c1t",
		 "the nodes have 2 LLCs, but the machine 3", "the sum of the nodes'"},
		{"--node llcs=0", "1n0l1c1t", "no node has CPUs", "an LLC or more"},
		{"--node llcs=4294967295 --node llcs=2", "2n4294967295l1c1t", "too many CPUs",
		 "at most 4096"},
		{"--topology 0n --distance 0,1=17", "0n0l1c1t",
		 "there must be at least one NUMA node", "1 or more"},
		{"--topology 65n --distance 0,64=17", "65n65l1c1t", "too many NUMA nodes",
		 "at most 64"},
		{"--topology 4c --capacity 3=9 --capacity 2-3=8", "2-3=8",
		 "another option says that core 3 has 9", "each core once"},
		{"--topology 4c2t --capacity 4=9", "", "there is no core 4",
		 "the cores are 0 to 3"},
		{"--cache l1i=300", "1n1l1c1t", "the L1 instruction cache of 300 KiB is too large",
		 "255"},
	};
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	struct ktstr_error error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-EINVAL, read_line(o, bad[i].line, &error)) TH_LOG("%s", bad[i].line);
		EXPECT_STREQ(bad[i].object, error.object);
		EXPECT_STREQ(bad[i].reason, error.reason);
		EXPECT_NE(NULL, strstr(error.hint, bad[i].hint)) TH_LOG("hint: %s", error.hint);
	}
	free(o);
}

TEST(options_beyond_the_most_are_refused)
{
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	struct ktstr_error error = {0};
	int most = KTSTR_MAX_NUMA_NODES * KTSTR_MAX_NUMA_NODES;

	for (int i = 0; i < 64; i++)
		EXPECT_EQ(0, ktstr_topology_options__add(o, "node", "llcs=1", &error));
	EXPECT_EQ(-EINVAL, ktstr_topology_options__add(o, "node", "llcs=1", &error));
	EXPECT_STREQ("too many NUMA nodes", error.reason);
	error = (struct ktstr_error){0};
	for (int i = 0; i < most; i++)
		EXPECT_EQ(0, ktstr_topology_options__add(o, "distance", "63,62=17", &error));
	EXPECT_EQ(-EINVAL, ktstr_topology_options__add(o, "distance", "0,1=17", &error));
	EXPECT_STREQ("too many distances", error.reason);
	EXPECT_EQ(0, ktstr_topology_options__finish(o, NULL));
	EXPECT_EQ(64, o->topology.numa_nodes);
	EXPECT_EQ(17, o->topology.distances[62 * 64 + 63]);
	free(o);
}

TEST(format_options_writes_what_is_not_the_default)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 2, .memory_mb = 1024},
						{.llcs = 1, .latency_ns = 90}};
	const struct ktstr_topology t = {COUNTS(2, 3, 2, 1), .nodes = nodes,
					 .distances = KTSTR_DISTANCES(10, 17, 17, 10),
					 .caches.l3_kb = 16384};
	const struct ktstr_topology plain = TOPO(2, 4, 4, 2);
	const char *expected = "--topology 2n3l2c1t --node llcs=2,memory=1024 "
			       "--node llcs=1,latency=90 --distance 0,1=17 --cache l3=16384";
	char text[200], small[20];

	EXPECT_EQ((int)strlen(expected), ktstr_topology__format_options(&t, text, sizeof(text)));
	EXPECT_STREQ(expected, text);
	EXPECT_EQ((int)strlen(expected), ktstr_topology__format_options(&t, small, sizeof(small)));
	EXPECT_STREQ("--topology 2n3l2c1t", small);
	EXPECT_EQ((int)strlen(expected), ktstr_topology__format_options(&t, NULL, 0));
	ktstr_topology__format_options(&plain, text, sizeof(text));
	EXPECT_STREQ("--topology 2n4l4c2t", text);
}

/* ---- Any valid topology comes back from its options ---- */

static uint32_t pick(uint32_t most)
{
	static uint32_t state = 12345;

	state = state * 1664525 + 1013904223;
	return (state >> 8) % (most + 1);
}

static uint32_t pick_or_default(uint32_t least, uint32_t most)
{
	return pick(2) ? least + pick(most - least) : 0;
}

struct random_topology {
	struct ktstr_topology topology;
	struct ktstr_numa_node nodes[8];
	uint8_t distances[64];
	uint32_t capacities[8 * 4 * 9];
};

static void pick_topology(struct random_topology *r)
{
	struct ktstr_topology *t = &r->topology;
	uint32_t n = 1 + pick(7), with_cpus = 1 + pick(n - 1), i, j;

	*r = (struct random_topology){.topology =
					      TOPO(n, n * (1 + pick(3)), 1 + pick(8), 1 + pick(2))};
	if (pick(3)) {
		t->llcs = 0;
		for (i = 0; i < n; i++) {
			r->nodes[i] = (struct ktstr_numa_node){
				.llcs = i < with_cpus ? 1 + pick(3) : 0,
				.memory_mb = pick_or_default(16, 5000),
				.latency_ns = pick_or_default(1, 2000),
				.bandwidth_mbs = pick_or_default(1, 1000000),
				.cache_mb = pick_or_default(1, 1000),
			};
			t->llcs += r->nodes[i].llcs;
		}
		t->nodes = r->nodes;
	}
	if (pick(1)) {
		for (i = 0; i < n; i++)
			for (j = 0; j <= i; j++)
				r->distances[i * n + j] = r->distances[j * n + i] =
					(uint8_t)(i == j    ? 10
						  : pick(1) ? 20
							    : 11 + pick(243));
		t->distances = r->distances;
	}
	if (pick(1)) {
		for (i = 0; i < t->llcs * t->cores_per_llc; i++)
			r->capacities[i] = i && pick(3) ? r->capacities[i - 1] : 1 + pick(1023);
		t->capacities = r->capacities;
	}
	if (pick(1))
		t->packages = 1 + pick(t->llcs);
	t->caches = (struct ktstr_caches){pick_or_default(1, 255), pick_or_default(1, 255),
					  pick_or_default(1, 65535), pick_or_default(1, 4194303)};
}

static bool same(const struct ktstr_topology *a, const struct ktstr_topology *b)
{
	uint32_t n = a->numa_nodes, i;

	for (i = 0; i < n * n; i++) {
		uint8_t common = i / n == i % n ? 10 : 20;

		if ((a->distances ? a->distances[i] : common) !=
		    (b->distances ? b->distances[i] : common))
			return false;
	}
	return n == b->numa_nodes && a->llcs == b->llcs && a->cores_per_llc == b->cores_per_llc &&
	       a->threads_per_core == b->threads_per_core && a->packages == b->packages &&
	       !a->nodes == !b->nodes &&
	       (!a->nodes || !memcmp(a->nodes, b->nodes, n * sizeof(a->nodes[0]))) &&
	       !a->capacities == !b->capacities &&
	       (!a->capacities ||
		!memcmp(a->capacities, b->capacities,
			(size_t)a->llcs * a->cores_per_llc * sizeof(a->capacities[0]))) &&
	       !memcmp(&a->caches, &b->caches, sizeof(a->caches));
}

TEST(any_valid_topology_comes_back_from_its_options)
{
	struct ktstr_topology_options *o = calloc(1, sizeof(*o));
	unsigned int valid = 0, with_packages = 0, with_memory_nodes = 0;
	struct random_topology *r = calloc(1, sizeof(*r));
	char text[16384], line[16384], again[16384];
	struct ktstr_error error;

	for (int i = 0; i < 20000; i++) {
		const struct ktstr_topology *t = &r->topology;

		pick_topology(r);
		if (ktstr_topology__validate(t, NULL))
			continue;
		valid++;
		with_packages += t->packages != 0;
		with_memory_nodes += t->nodes && !t->nodes[t->numa_nodes - 1].llcs;
		ASSERT_LT(ktstr_topology__format_options(t, text, sizeof(text)), (int)sizeof(text));
		strcpy(line, text);
		ASSERT_EQ(0, add_line(o, line, &error)) TH_LOG("%s: %s", text, error.reason);
		ASSERT_TRUE(same(t, &o->topology)) TH_LOG("%s", text);
		ktstr_topology__format_options(&o->topology, again, sizeof(again));
		ASSERT_STREQ(text, again);
	}
	EXPECT_GT(valid, 8000);
	EXPECT_GT(with_packages, 500);
	EXPECT_GT(with_memory_nodes, 2000);
	free(r);
	free(o);
}

TEST_HARNESS_MAIN
