// SPDX-License-Identifier: GPL-2.0-only
/*
 * On each machine of the gauntlet, with and without a scheduler: Linux has the CPUs, LLCs and NUMA
 * nodes of the preset, and every CPU runs a task that is bound to it, all of them at once.
 */
#include <ktstr/harness.h>

#include <sched.h>
#include <sys/syscall.h>

#include "workload.h"

#define MAX_CPUS 512u

/* What a worker saw of where it ran. */
struct seen {
	unsigned int cpu, node;
	bool ran;
};

/* What all workers share. */
struct floor {
	unsigned int nr_up; /* atomic */
	struct seen seen[MAX_CPUS];
};

/* Does not sleep until all others run, too, so that no two can have been on one CPU. */
static void work(struct floor *floor, unsigned int cpu, unsigned int cpus)
{
	struct seen *seen = &floor->seen[cpu];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		_exit(1);
	__atomic_add_fetch(&floor->nr_up, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&floor->nr_up, __ATOMIC_SEQ_CST) < cpus)
		;
	if (syscall(SYS_getcpu, &seen->cpu, &seen->node, NULL))
		_exit(1);
	seen->ran = true;
	_exit(0);
}

/* A worker a CPU: how many ended well. */
static unsigned int run_workers(struct floor *floor, unsigned int cpus)
{
	unsigned int cpu, good = 0;
	int status;
	pid_t pid;

	for (cpu = 0; cpu < cpus; cpu++) {
		pid = fork();
		if (!pid)
			work(floor, cpu, cpus);
		if (pid < 0)
			return 0;
	}
	while (wait(&status) > 0)
		good += WIFEXITED(status) && !WEXITSTATUS(status);
	return good;
}

/* Of a list like "0-3,8", the first number and how many there are; 0: nothing is in it. */
static unsigned int read_list(const char *path, unsigned int *first)
{
	unsigned int from, to, nr = 0;
	char text[4096], *at = text;

	if (file__read(path, text, sizeof(text)))
		return 0;
	while (sscanf(at, "%u", &from) == 1) {
		at += strcspn(at, "-,");
		to = from;
		if (*at == '-' && sscanf(at + 1, "%u", &to) != 1)
			return 0;
		at += strcspn(at, ",");
		at += *at == ',';
		*first = nr ? *first : from;
		nr += to - from + 1;
	}
	return nr;
}

/* How many CPUs are the first of the list that their file names. */
static unsigned int count_firsts(unsigned int cpus, const char *file)
{
	unsigned int cpu, first, nr = 0;
	char path[128];

	for (cpu = 0; cpu < cpus; cpu++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/%s", cpu, file);
		nr += read_list(path, &first) && first == cpu;
	}
	return nr;
}

static unsigned int llcs_of(const struct ktstr_topology *t, unsigned int node)
{
	return t->nodes ? t->nodes[node].llcs : t->llcs / t->numa_nodes;
}

KTSTR_GAUNTLET(every_cpu_works, .gauntlet = KTSTR_GAUNTLET_LIMITS(.max_cpus = MAX_CPUS),
	       .profiles = KTSTR_PROFILES({.name = "eevdf"},
					  {.name = "scx_short_slice",
					   .scheduler = "scx_ktstr",
					   .scheduler_args = KTSTR_ARGS("--slice-us", "500")}))
{
	const struct ktstr_topology *t = &KTSTR_PRESET()->topology;
	const unsigned int cpus = ktstr_topology__cpus(t);
	unsigned int node, cpu = 0, first;
	struct floor *floor;
	char path[128];

	ASSERT_LE(cpus, MAX_CPUS);
	ASSERT_EQ(cpus, (unsigned int)sysconf(_SC_NPROCESSORS_ONLN));
	EXPECT_EQ(t->llcs, count_firsts(cpus, "cache/index3/shared_cpu_list"));
	EXPECT_EQ(t->llcs * t->cores_per_llc, count_firsts(cpus, "topology/thread_siblings_list"));
	EXPECT_EQ(t->numa_nodes, read_list("/sys/devices/system/node/online", &first));

	floor = mmap(NULL, sizeof(*floor), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ASSERT_NE(MAP_FAILED, floor);
	ASSERT_EQ(cpus, run_workers(floor, cpus));
	/* CPUs are numbered node by node. */
	for (node = 0; node < t->numa_nodes; node++) {
		unsigned int left = llcs_of(t, node) * t->cores_per_llc * t->threads_per_core;

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
		EXPECT_EQ(left, read_list(path, &first));
		for (; left; left--, cpu++) {
			EXPECT_TRUE(floor->seen[cpu].ran);
			EXPECT_EQ(cpu, floor->seen[cpu].cpu);
			EXPECT_EQ(node, floor->seen[cpu].node);
		}
	}
	EXPECT_EQ(cpus, cpu);
}

KTSTR_HARNESS_MAIN
