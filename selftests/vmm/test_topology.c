// SPDX-License-Identifier: GPL-2.0-only
/* The text form of a topology, both ways, and what is refused with which words. */
#include <ktstr/topology.h>

#include <errno.h>
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

TEST(parse_refuses_what_is_not_a_topology)
{
	const char *bad[] = {"",    "n",     "2",   "2n2",   "2n3n",  "2x",
			     "-1n", "2n 4l", " 2n", "2n4l ", "1.5c",  "4294967296c",
			     "2N",  "+2n",   "c4",  "0x2n",  "2n,4l", "99999999999999999999c"};
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

TEST(impossible_topologies_are_refused_with_their_reason)
{
	const struct {
		const char *text, *reason;
	} bad[] = {
		{"0n1l", "at least one NUMA node"},  {"0l", "at least one LLC"},
		{"0c", "at least one core"},	     {"0t", "at least one thread"},
		{"2n3l", "spread evenly"},	     {"65n", "too many NUMA nodes"},
		{"4097c", "too many CPUs"},	     {"65536l65536c", "too many CPUs"},
		{"65536l32768c2t", "too many CPUs"},
	};
	struct ktstr_error error;
	struct ktstr_topology t;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(parse(bad[i].text, &t, &error), -EINVAL) TH_LOG("%s", bad[i].text);
		EXPECT_NE(strstr(error.reason, bad[i].reason), NULL)
		TH_LOG("%s: %s", bad[i].text, error.reason);
	}
	EXPECT_EQ(parse("4096c", &t, &error), 0);
	EXPECT_EQ(parse("64n", &t, &error), 0);
}

TEST(format_writes_what_parse_reads)
{
	const char *forms[] = {"1n1l1c1t", "2n4l4c2t", "1n14l18c1t", "64n64l1c64t"};
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

TEST_HARNESS_MAIN
