// SPDX-License-Identifier: GPL-2.0-only
/*
 * Equal tasks share the CPUs fairly under BPF schedulers, and so do the cgroups that hold equal
 * numbers of them. None of these schedulers looks at cgroups' weights; two look at nice values.
 */
#include <ktstr/harness.h>

#include <sys/resource.h>

#include "workload.h"

#define SETTLE_MS 300u
#define LOAD_MS 1500u
#define PER_GROUP 4u

FIXTURE(scx)
{
	struct spinners spinners[2];
	uint64_t group_us[2];
	uint64_t task_ns[2][PER_GROUP];
};

FIXTURE_VARIANT(scx)
{
	const char *ops;
};

KTSTR_FIXTURE_VARIANT_ADD(scx, ktstr, .scheduler = "scx_ktstr", .scheduler_ops = "ktstr",
			  .topology = TOPO(1, 1, 2, 1)){
	.ops = "ktstr",
};

KTSTR_FIXTURE_VARIANT_ADD(scx, ktstr_two_llcs, .scheduler = "scx_ktstr", .scheduler_ops = "ktstr",
			  .topology = TOPO(1, 2, 1, 1)){
	.ops = "ktstr",
};

KTSTR_FIXTURE_VARIANT_ADD(scx, simple, .scheduler = "scx_simple", .scheduler_ops = "simple",
			  .topology = TOPO(1, 1, 2, 1)){
	.ops = "simple",
};

KTSTR_FIXTURE_VARIANT_ADD(scx, qmap, .scheduler = "scx_qmap", .scheduler_ops = "qmap",
			  .topology = TOPO(1, 1, 2, 1)){
	.ops = "qmap",
};

static const char *const groups[2] = {"first", "second"};

FIXTURE_SETUP(scx)
{
	char text[64];
	int i;

	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/state", text, sizeof(text)));
	ASSERT_STREQ("enabled", text);
	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/root/ops", text, sizeof(text)));
	ASSERT_EQ(0, strncmp(variant->ops, text, strlen(variant->ops)));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, cgroup__create(groups[i], 100));
		ASSERT_EQ(0, spinners__create(&self->spinners[i], groups[i], PER_GROUP));
	}
}

FIXTURE_TEARDOWN(scx)
{
	spinners__stop(&self->spinners[0]);
	spinners__stop(&self->spinners[1]);
}

/* Adds @sign times what groups and tasks have used so far. */
static int add_usage(struct _test_data_scx *self, int64_t sign)
{
	uint64_t value;
	unsigned int i, j;

	for (i = 0; i < 2; i++) {
		if (cgroup__usage_us(groups[i], &value))
			return -1;
		self->group_us[i] += (uint64_t)sign * value;
		for (j = 0; j < PER_GROUP; j++) {
			if (process__cpu_ns(self->spinners[i].pids[j], &value))
				return -1;
			self->task_ns[i][j] += (uint64_t)sign * value;
		}
	}
	return 0;
}

TEST_F(scx, equal_tasks_in_two_cgroups_share_the_cpus)
{
	uint64_t total_ns = 0, total_us;
	unsigned int i, j;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, spinners__start(&self->spinners[i]));
	sleep_ms(SETTLE_MS);
	ASSERT_EQ(0, add_usage(self, -1));
	sleep_ms(LOAD_MS);
	ASSERT_EQ(0, add_usage(self, 1));

	total_us = self->group_us[0] + self->group_us[1];
	printf("# CPU time: %ju us and %ju us\n", (uintmax_t)self->group_us[0],
	       (uintmax_t)self->group_us[1]);
	EXPECT_GE(100 * self->group_us[0], 35 * total_us);
	EXPECT_LE(100 * self->group_us[0], 65 * total_us);

	for (i = 0; i < 2; i++)
		for (j = 0; j < PER_GROUP; j++)
			total_ns += self->task_ns[i][j];
	ASSERT_GT(total_ns, 0);
	for (i = 0; i < 2; i++) {
		for (j = 0; j < PER_GROUP; j++) {
			/* At least 40 % of its eighth. */
			EXPECT_GE(100 * self->task_ns[i][j], 40 * total_ns / (2 * PER_GROUP))
			{
				TH_LOG("task %u of group %u got %ju of %ju ns", j, i,
				       (uintmax_t)self->task_ns[i][j], (uintmax_t)total_ns);
			}
		}
	}
}

/*
 * Nice 5 weighs 335 against 1024 (kernel/sched/core.c): tasks of it use a quarter of what they and
 * as many of nice 0 use.
 */
static void check_nice(struct __test_metadata *_metadata, unsigned int nr)
{
	uint64_t used[2] = {0, 0}, before[2 * PER_GROUP], after;
	struct spinners spinners;
	unsigned int i;

	ASSERT_LE(nr, PER_GROUP);
	ASSERT_EQ(0, spinners__create(&spinners, NULL, 2 * nr));
	for (i = nr; i < 2 * nr; i++)
		ASSERT_EQ(0, setpriority(PRIO_PROCESS, (id_t)spinners.pids[i], 5));
	ASSERT_EQ(0, spinners__start(&spinners));
	sleep_ms(SETTLE_MS);
	for (i = 0; i < 2 * nr; i++)
		ASSERT_EQ(0, process__cpu_ns(spinners.pids[i], &before[i]));
	sleep_ms(LOAD_MS);
	for (i = 0; i < 2 * nr; i++) {
		ASSERT_EQ(0, process__cpu_ns(spinners.pids[i], &after));
		used[i / nr] += after - before[i];
	}
	spinners__stop(&spinners);
	printf("# CPU time: %ju ns at nice 0, %ju ns at nice 5\n", (uintmax_t)used[0],
	       (uintmax_t)used[1]);
	EXPECT_GE(100 * used[0], 65 * (used[0] + used[1]));
	EXPECT_LE(100 * used[0], 85 * (used[0] + used[1]));
}

KTSTR_TEST(scx_ktstr_weighs_nice_values_of_two_tasks, .topology = TOPO(1, 1, 1, 1),
	   .scheduler = "scx_ktstr", .scheduler_ops = "ktstr")
{
	check_nice(_metadata, 1);
}

/* It lets two tasks take turns: the one that runs is not compared with the one that waits. */
KTSTR_TEST(scx_simple_weighs_nice_values_of_many_tasks, .topology = TOPO(1, 1, 1, 1),
	   .scheduler = "scx_simple", .scheduler_ops = "simple")
{
	check_nice(_metadata, PER_GROUP);
}

KTSTR_HARNESS_MAIN
