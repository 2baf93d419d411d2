// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own tests of sched_ext (tools/testing/selftests/sched_ext of KSRC, unmodified), each
 * in a machine of its own. Which there are, their runner says.
 */
#include "kernel_runner.h"
#include "kernel_tree.h"

#define RUNNER "runner"

/*
 * What any of them asks for: two NUMA nodes for numa, a CPU 1 that can go offline for hotplug, four
 * CPUs for cyclic_kick_wait. Those that do not depend on it run with that, too.
 */
static const struct ktstr_test_attrs usual = {
	.topology = TOPO(2, 2, 2, 1),
	.timeout_s = 600, /* one takes a minute on an idle emulated host */
};

/* What one asks for in addition. */
static const struct kernel_tree__need special[] = {
	{"nohz_tick", {.kernel_args = "nohz_full=1-3"}}, /* a CPU whose tick may stop */
};

static const char *const quick[] = {"enq_select_cpu", "exit", "hotplug", "minimal", "numa", NULL};

static void run_one(struct __test_metadata *_metadata,
		    struct __fixture_variant_metadata __attribute__((unused)) * variant)
{
	struct kernel_runner_result result;

	dup2(STDOUT_FILENO, STDERR_FILENO); /* one order of lines */
	ASSERT_EQ(0, kernel_runner__run("/" KERNEL_TREE "/" RUNNER, _metadata->name, STDOUT_FILENO,
					&result));
	if (result.verdict == KERNEL_RUNNER_SKIP)
		SKIP(return, "the kernel's test skips itself");
	ASSERT_EQ(KERNEL_RUNNER_PASS, result.verdict)
	{
		TH_LOG("%s", result.cause);
	}
}

static void add_one(const char *name)
{
	struct ktstr_test_attrs attrs = usual;

	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (!strcmp(name, special[i].name))
			ktstr_test_attrs__merge(&attrs, &special[i].attrs);
	kernel_tree__add(name, run_one, &attrs, "./" KERNEL_TREE "/" RUNNER);
}

static void add_all(void)
{
	char path[PATH_MAX], **names;
	size_t nr, i;

	if (kernel_tree__path(RUNNER, path) || kernel_runner__list(path, &names, &nr)) {
		kernel_tree__add_failure(RUNNER);
		return;
	}
	for (i = 0; i < nr; i++)
		if (kernel_tree__wants(names[i], quick))
			add_one(names[i]);
	kernel_runner__free(names, nr);
}

int main(int argc, char **argv)
{
	const char *asked = ktstr_harness__asked();

	if (!asked)
		add_all();
	else if (!strcmp(asked, RUNNER))
		kernel_tree__add_failure(RUNNER);
	else
		add_one(asked);
	return ktstr_harness_main(argc, argv);
}
