// SPDX-License-Identifier: GPL-2.0-only
/*
 * The schedulers of the kernel tree (tools/sched_ext of KSRC, unmodified): each is attached, runs
 * what spins and what sleeps, and is ended by a signal. PID 1 starts and ends it; a scheduler that
 * ends by itself before, or stays attached after its end, fails the test with what sched_ext says.
 */
#include "kernel_tree.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* It runs until every process has had so much; a scheduler that starves one fails. */
#define SPIN_NS 20000000u
#define WAKEUPS 20u
#define LOOK_MS 50u
#define LOOKS_MIN 40u
#define LOOKS_MAX 600u

#define SPINNERS_PER_CGROUP 4u
#define SLEEPERS 4u

/* Two LLCs of two CPUs: scx_pair needs an even number, scx_central one beside the central CPU. */
static const struct ktstr_test_attrs usual = {
	.topology = TOPO(1, 2, 2, 1),
	.timeout_s = 300,
};

/* What one asks for in addition. */
static const struct kernel_tree__need special[] = {
	/* It makes 4096 maps, and waits for a grace period of RCU after each. */
	{"scx_pair", {.kernel_args = "rcupdate.rcu_expedited=1", .attach_timeout_s = 600}},
};

static const char *const quick[] = {"scx_central", "scx_flatcg", "scx_qmap", "scx_simple", NULL};

static const char *const cgroups[2] = {"light", "heavy"};

/*
 * A runnable task that is moved to another cgroup is enqueued once more, and scx_userland then has
 * it twice in its list, which becomes a ring that it never leaves. Its load stays where it is.
 */
static const char *const unmoved = "scx_userland";

struct load {
	struct spinners spinners[2];
	uint64_t start_ns[2][SPINNERS_PER_CGROUP];
	pid_t sleepers[SLEEPERS];
	volatile uint32_t *wakeups; /* [SLEEPERS], shared with them */
};

static void __attribute__((noreturn)) sleep_and_wake(volatile uint32_t *wakeups)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		sleep_ms(1);
		++*wakeups;
	}
}

static void start_load(struct __test_metadata *_metadata, struct load *load)
{
	unsigned int i, j;

	load->wakeups = mmap(NULL, SLEEPERS * sizeof(*load->wakeups), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, load->wakeups);
	for (i = 0; i < 2; i++) {
		const char *cgroup = strcmp(_metadata->name, unmoved) ? cgroups[i] : NULL;

		if (cgroup)
			ASSERT_EQ(0, cgroup__create(cgroup, i ? 300 : 100));
		ASSERT_EQ(0, spinners__create(&load->spinners[i], cgroup, SPINNERS_PER_CGROUP));
		for (j = 0; j < SPINNERS_PER_CGROUP; j++) {
			ASSERT_EQ(0, process__cpu_ns(load->spinners[i].pids[j],
						     &load->start_ns[i][j]));
		}
	}
	for (i = 0; i < SLEEPERS; i++) {
		load->sleepers[i] = fork();
		ASSERT_GE(load->sleepers[i], 0);
		if (!load->sleepers[i])
			sleep_and_wake(&load->wakeups[i]);
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, spinners__start(&load->spinners[i]));
}

/* How many processes have not had their share yet; what they had goes to @text. */
static unsigned int count_hungry(const struct load *load, char *text, size_t size)
{
	unsigned int hungry = 0, i, j;
	size_t used = 0;

	text[0] = '\0';
	for (i = 0; i < 2; i++) {
		for (j = 0; j < SPINNERS_PER_CGROUP; j++) {
			uint64_t ns = 0;

			if (!process__cpu_ns(load->spinners[i].pids[j], &ns))
				ns -= load->start_ns[i][j];
			hungry += ns < SPIN_NS;
			used += (size_t)snprintf(text + used, size - used, "%ju ms, ",
						 (uintmax_t)ns / 1000000);
		}
	}
	for (i = 0; i < SLEEPERS; i++) {
		hungry += load->wakeups[i] < WAKEUPS;
		used += (size_t)snprintf(text + used, size - used, "%s%u wake-ups", i ? ", " : "",
					 load->wakeups[i]);
	}
	return hungry;
}

static void run_under_load(struct __test_metadata *_metadata,
			   struct __fixture_variant_metadata __attribute__((unused)) * variant)
{
	char state[64], ops[128], had[1024];
	struct load load = {.wakeups = NULL};
	unsigned int looks, hungry = 1, i;

	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/root/ops", ops, sizeof(ops)));
	/* All tasks are the scheduler's, not only those of policy SCHED_EXT. */
	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/switch_all", state, sizeof(state)));
	ASSERT_STREQ("1", state);
	printf("scheduler: %s\n", ops);
	start_load(_metadata, &load);
	for (looks = 0; looks < LOOKS_MAX && (looks < LOOKS_MIN || hungry); looks++) {
		sleep_ms(LOOK_MS);
		hungry = count_hungry(&load, had, sizeof(had));
	}
	printf("after %u looks: %s\n", looks, had);
	EXPECT_EQ(0, hungry);
	ASSERT_EQ(0, file__read("/sys/kernel/sched_ext/state", state, sizeof(state)));
	ASSERT_STREQ("enabled", state);
	for (i = 0; i < 2; i++)
		spinners__stop(&load.spinners[i]);
	for (i = 0; i < SLEEPERS; i++)
		kill(load.sleepers[i], SIGKILL);
}

static void add_one(const char *name)
{
	struct ktstr_test_attrs attrs = usual;

	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (!strcmp(name, special[i].name))
			ktstr_test_attrs__merge(&attrs, &special[i].attrs);
	attrs.scheduler = kernel_tree__text(KERNEL_TREE "/%s", name);
	kernel_tree__add(name, run_under_load, &attrs, NULL);
}

/* A scheduler, or the log of one that could not be built */
static int is_scheduler(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "scx_", 4);
}

static void add_all(void)
{
	char path[PATH_MAX], *dot;
	struct dirent **entries;
	int nr, i;

	nr = kernel_tree__path("", path) ? -1 : scandir(path, &entries, is_scheduler, alphasort);
	if (nr <= 0) {
		kernel_tree__add_failure("schedulers");
		return;
	}
	for (i = 0; i < nr; i++) {
		dot = strchr(entries[i]->d_name, '.');
		if (dot)
			*dot = '\0';
		if (!kernel_tree__wants(entries[i]->d_name, quick))
			continue;
		if (dot)
			kernel_tree__add_failure(entries[i]->d_name);
		else
			add_one(entries[i]->d_name);
	}
}

int main(int argc, char **argv)
{
	const char *asked = ktstr_harness__asked();
	char log[PATH_MAX];

	if (!asked) {
		add_all();
	} else {
		/* In the guest the scheduler is elsewhere. */
		snprintf(log, sizeof(log), "/" KERNEL_TREE "/%s.log", asked);
		if (!access(log, F_OK) || !strcmp(asked, "schedulers"))
			kernel_tree__add_failure(asked);
		else
			add_one(asked);
	}
	return ktstr_harness_main(argc, argv);
}
