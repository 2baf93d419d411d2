// SPDX-License-Identifier: GPL-2.0-only
/* Two cgroups share the CPUs by their weights under the kernel's own scheduler, EEVDF. */
#include <ktstr/harness.h>

#include "workload.h"

#define SETTLE_MS 300u
#define LOAD_MS 1500u

/*
 * Runs @first and @second spinners in two cgroups of the given weights and returns what the first
 * group got of the CPU time that both used, in per cent; negative: it could not be measured.
 */
static int first_share(unsigned int first_weight, unsigned int first, unsigned int second_weight,
		       unsigned int second)
{
	uint64_t before[2], after[2], used[2];
	struct spinners spinners[2];
	int share = -1;

	if (cgroup__create("first", first_weight) || cgroup__create("second", second_weight) ||
	    spinners__create(&spinners[0], "first", first))
		return -1;
	if (!spinners__create(&spinners[1], "second", second)) {
		if (!spinners__start(&spinners[0]) && !spinners__start(&spinners[1])) {
			sleep_ms(SETTLE_MS);
			if (!cgroup__usage_us("first", &before[0]) &&
			    !cgroup__usage_us("second", &before[1])) {
				sleep_ms(LOAD_MS);
				if (!cgroup__usage_us("first", &after[0]) &&
				    !cgroup__usage_us("second", &after[1])) {
					used[0] = after[0] - before[0];
					used[1] = after[1] - before[1];
					printf("# CPU time: %ju us and %ju us\n",
					       (uintmax_t)used[0], (uintmax_t)used[1]);
					if (used[0] + used[1])
						share = (int)(100 * used[0] / (used[0] + used[1]));
				}
			}
		}
		spinners__stop(&spinners[1]);
	}
	spinners__stop(&spinners[0]);
	return share;
}

KTSTR_TEST(equal_cgroups_share_one_cpu_whatever_their_number_of_tasks, .topology = TOPO(1, 1, 1, 1))
{
	char state[32];
	int share;

	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/state", state, sizeof(state)));
	ASSERT_STREQ("disabled", state);
	/* A scheduler that is fair to tasks alone would give the first group 25 %. */
	share = first_share(100, 1, 100, 3);
	EXPECT_GE(share, 40);
	EXPECT_LE(share, 60);
}

KTSTR_TEST(cgroup_of_three_times_the_weight_gets_three_quarters, .topology = TOPO(1, 1, 1, 1))
{
	int share = first_share(300, 2, 100, 2);

	EXPECT_GE(share, 65);
	EXPECT_LE(share, 85);
}

KTSTR_TEST(equal_cgroups_share_two_cpus, .topology = TOPO(1, 1, 2, 1))
{
	int share = first_share(100, 4, 100, 4);

	EXPECT_GE(share, 40);
	EXPECT_LE(share, 60);
}

KTSTR_HARNESS_MAIN
