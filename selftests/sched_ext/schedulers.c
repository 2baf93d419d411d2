// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same tests under several schedulers: the kernel's own, scx_ktstr and three of the kernel
 * tree. What differs is a variant's attributes, nothing of the bodies. Only functional checks: they
 * hold whatever a scheduler is made for.
 */
#include <ktstr/canned.h>
#include <ktstr/harness.h>

#include "workload.h"

FIXTURE(under){};

FIXTURE_VARIANT(under)
{
	const char *ops; /* NULL: the kernel's own */
};

#define UNDER(scheduler_name, ops_name)                                                \
	KTSTR_FIXTURE_VARIANT_ADD(under, scheduler_name, .scheduler = #scheduler_name) \
	{                                                                              \
		.ops = ops_name,                                                       \
	}

FIXTURE_VARIANT_ADD(under, eevdf){};
UNDER(scx_ktstr, "ktstr");
UNDER(scx_simple, "simple");
UNDER(scx_qmap, "qmap");
UNDER(scx_flatcg, "flatcg");

FIXTURE_SETUP(under)
{
	char text[64] = "";

	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/state", text, sizeof(text)));
	ASSERT_STREQ(variant->ops ? "enabled" : "disabled", text);
	if (!variant->ops)
		return;
	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/root/ops", text, sizeof(text)));
	ASSERT_EQ(0, strncmp(variant->ops, text, strlen(variant->ops)));
}

FIXTURE_TEARDOWN(under)
{
}

/*
 * A scenario each: scx_flatcg of Linux 7.3 ends when a cgroup is made after another was removed
 * ("unexpected !NULL cgv_node stash").
 */
KTSTR_TEST_F(under, tasks_of_all_kinds_get_on, .topology = TOPO(1, 2, 2, 1), .timeout_s = 180)
{
	EXPECT_SCENARIO_OK(&ktstr_canned_everything_at_once.scenario);
}

KTSTR_TEST_F(under, tasks_stay_where_they_may_be, .topology = TOPO(1, 2, 2, 1), .timeout_s = 180)
{
	EXPECT_SCENARIO_OK(&ktstr_canned_cpusets_change_places.scenario);
}

KTSTR_HARNESS_MAIN
