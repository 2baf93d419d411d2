// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kinds of work, as the workers of a scenario do them, without a machine and its cgroups: that they
 * do their units, and that each notices when what it guards is broken from outside.
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "guest/kit/crew.h"
#include "guest/kit/sched_attr.h"
#include "guest/kit/state.h"
#include "guest/kit/works.h"

#define MAX_WORKERS 64u
#define DEADLINE_NS UINT64_C(20000000000)
#define LOOPS_PER_US 200.0

/* A set of workers, and what the runner would share with it. */
struct team {
	struct {
		struct kit_shared kit;
		struct set_shared set;
		struct worker_shared workers[MAX_WORKERS];
	} * shared;
	struct ktstr_workers spec;
	uint32_t nr;
	pid_t pids[MAX_WORKERS]; /* 0: none */
	int fds[MAX_WORKERS * 4];
	uint32_t nr_fds;
	void *(*saboteur)(void *team); /* a thread of the workers' process */
};

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = 200000};

	nanosleep(&ts, NULL);
}

static void team__create(struct team *t, enum ktstr_work_kind work, uint32_t nr, bool threads)
{
	*t = (struct team){.spec = {.work = work, .threads = threads, .run_us = 20, .path = "/tmp"},
			   .nr = nr};
	t->shared = mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->shared == MAP_FAILED)
		abort();
	t->shared->kit.start_ns = kit__now_ns();
	t->shared->kit.loops_per_us = LOOPS_PER_US;
	sched_getaffinity(0, sizeof(struct cpu_bits), (void *)&t->shared->set.allowed);
}

static struct ktstr_worker team__worker(struct team *t, uint32_t index)
{
	return (struct ktstr_worker){.spec = &t->spec,
				     .kit = &t->shared->kit,
				     .set = &t->shared->set,
				     .me = &t->shared->workers[index],
				     .all = t->shared->workers,
				     .fds = t->fds,
				     .index = index,
				     .nr = t->nr};
}

static void *thread_main(void *worker)
{
	worker__main(worker);
}

static void __attribute__((noreturn)) lead(struct team *t)
{
	static struct ktstr_worker workers[MAX_WORKERS];
	pthread_t thread;

	for (uint32_t i = 0; i < t->nr; i++) {
		workers[i] = team__worker(t, i);
		if (pthread_create(&thread, NULL, thread_main, &workers[i]))
			_exit(2);
	}
	if (t->saboteur)
		t->saboteur(t);
	for (;;)
		pause();
}

static void team__start(struct team *t)
{
	const struct work_ops *ops = works__ops(t->spec.work);

	t->nr_fds = ops->nr_fds ? ops->nr_fds(t->nr) : 0;
	if (t->nr_fds && ops->open(t->fds, t->nr))
		abort();
	for (uint32_t i = 0; i < (t->spec.threads ? 1 : t->nr); i++) {
		struct ktstr_worker w = team__worker(t, i);

		t->pids[i] = fork();
		if (t->pids[i] < 0)
			abort();
		if (t->pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (t->spec.threads)
			lead(t);
		worker__main(&w);
	}
	for (uint32_t i = 0; i < t->nr; i++)
		while (t->shared->workers[i].state == KIT_WORKER_NONE)
			kit__futex_wait(&t->shared->workers[i].state, KIT_WORKER_NONE);
	t->shared->set.go = 1;
	kit__futex_wake(&t->shared->set.go, INT32_MAX);
}

static void team__stop(struct team *t)
{
	for (uint32_t i = 0; i < t->nr; i++)
		if (t->pids[i])
			kill(t->pids[i], SIGKILL);
	for (uint32_t i = 0; i < t->nr; i++)
		if (t->pids[i])
			waitpid(t->pids[i], NULL, 0);
	for (uint32_t i = 0; i < t->nr_fds; i++)
		close(t->fds[i]);
	memset(t->pids, 0, sizeof(t->pids));
	t->nr_fds = 0;
}

static uint64_t team__lost(const struct team *t)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < t->nr; i++)
		lost += t->shared->workers[i].lost;
	return lost;
}

static uint64_t team__wakes(const struct team *t)
{
	uint64_t wakes = 0;

	for (uint32_t i = 0; i < t->nr; i++)
		wakes += t->shared->workers[i].wake.count;
	return wakes;
}

static const char *team__why(const struct team *t)
{
	for (uint32_t i = 0; i < t->nr; i++)
		if (t->shared->workers[i].why[0])
			return t->shared->workers[i].why;
	return "";
}

static uint64_t least_units(const struct team *t)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < t->nr; i++)
		if (t->shared->workers[i].units < least)
			least = t->shared->workers[i].units;
	return least;
}

/* Until each has done @units more than it has now. */
static bool team__work(struct team *t, uint64_t units)
{
	uint64_t end_ns = kit__now_ns() + DEADLINE_NS, to[MAX_WORKERS];

	for (uint32_t i = 0; i < t->nr; i++)
		to[i] = t->shared->workers[i].units + units;
	for (uint32_t i = 0; i < t->nr; i++)
		while (t->shared->workers[i].units < to[i]) {
			if (kit__now_ns() > end_ns)
				return false;
			nap();
		}
	return true;
}

/* Does @harm again and again until one of them notices. */
static bool team__notices(struct team *t, void (*harm)(struct team *t))
{
	uint64_t end_ns = kit__now_ns() + DEADLINE_NS;

	while (!team__lost(t)) {
		if (kit__now_ns() > end_ns)
			return false;
		harm(t);
	}
	return true;
}

/* ---- Every kind ---- */

FIXTURE(kind)
{
	struct team team;
};

FIXTURE_VARIANT(kind)
{
	enum ktstr_work_kind work;
	uint32_t nr;
	bool threads;
	bool wakes; /* each other */
};

#define KIND(name, kind_work, kind_nr, kind_wakes)                                              \
	FIXTURE_VARIANT_ADD(kind,                                                               \
			    name){.work = (kind_work), .nr = (kind_nr), .wakes = (kind_wakes)}; \
	FIXTURE_VARIANT_ADD(kind, name##_threads)                                               \
	{                                                                                       \
		.work = (kind_work), .nr = (kind_nr), .threads = true, .wakes = (kind_wakes)    \
	}
KIND(spin, KTSTR_WORK_SPIN, 2, false);
KIND(pipe, KTSTR_WORK_PIPE, 4, true);
KIND(futex, KTSTR_WORK_FUTEX, 4, true);
KIND(fanout, KTSTR_WORK_FANOUT, 5, true);
KIND(mutex, KTSTR_WORK_MUTEX, 5, true);
KIND(io, KTSTR_WORK_IO, 2, false);
KIND(fork, KTSTR_WORK_FORK, 2, false);
KIND(fault, KTSTR_WORK_FAULT, 2, false);
KIND(nice, KTSTR_WORK_NICE, 2, false);
KIND(affinity, KTSTR_WORK_AFFINITY, 2, false);
KIND(policy, KTSTR_WORK_POLICY, 2, false);

FIXTURE_SETUP(kind)
{
	team__create(&self->team, variant->work, variant->nr, variant->threads);
}

FIXTURE_TEARDOWN(kind)
{
	team__stop(&self->team);
}

TEST_F(kind, does_its_units_and_loses_none)
{
	struct team *t = &self->team;

	team__start(t);
	ASSERT_TRUE(team__work(t, 100));
	team__stop(t);
	EXPECT_EQ(team__lost(t), 0)
	TH_LOG("%s", team__why(t));
	EXPECT_EQ(team__wakes(t) > 0, variant->wakes);
	for (uint32_t i = 0; i < t->nr; i++) {
		const struct worker_shared *w = &t->shared->workers[i];

		EXPECT_EQ((int64_t)w->outside, 0);
		EXPECT_EQ((int64_t)w->state, KIT_WORKER_READY);
		EXPECT_LE(w->wake.count, w->units + 1);
		EXPECT_LT(w->wake.max_ns, DEADLINE_NS);
	}
}

/* Killed at any instant: what the next ones are given is as it was for the first. */
TEST_F(kind, starts_clean_after_it_was_killed)
{
	struct team *t = &self->team;

	for (int life = 0; life < 10; life++) {
		team__start(t);
		ASSERT_TRUE(team__work(t, 3));
		team__stop(t);
		EXPECT_EQ(team__lost(t), 0)
		TH_LOG("life %d: %s", life, team__why(t));
		for (uint32_t i = 0; i < t->nr; i++) {
			struct worker_shared *w = &t->shared->workers[i];

			w->state = w->turn = 0;
			w->stamp_ns = w->passed = 0;
		}
		memset((char *)&t->shared->set + offsetof(struct set_shared, next), 0,
		       offsetof(struct set_shared, computed) - offsetof(struct set_shared, next));
		t->shared->set.go = 0;
	}
}

/* ---- What each guards ---- */

FIXTURE(broken)
{
	struct team team;
};

FIXTURE_SETUP(broken)
{
	self->team.nr = 0;
}

FIXTURE_TEARDOWN(broken)
{
	team__stop(&self->team);
}

static bool reports(const struct team *t, const char *text)
{
	for (uint32_t i = 0; i < t->nr; i++)
		if (strstr(t->shared->workers[i].why, text))
			return true;
	return false;
}

#define EXPECT_WHY(team, text)               \
	EXPECT_TRUE(reports((team), (text))) \
	TH_LOG("reported: \"%s\"", team__why(team))

/* A token of a pipe is taken out, and given back as another. */
TEST_F(broken, pipe_notices_another_token)
{
	struct team *t = &self->team;
	uint64_t token[2];

	team__create(t, KTSTR_WORK_PIPE, 2, false);
	team__start(t);
	ASSERT_TRUE(team__work(t, 10));
	ASSERT_EQ(read(t->fds[2], token, sizeof(token)), sizeof(token));
	token[0] += 5;
	ASSERT_EQ(write(t->fds[3], token, sizeof(token)), sizeof(token));
	ASSERT_TRUE(team__work(t, 10));
	/* The second gives back what it got; from then on both count from there. */
	EXPECT_EQ((int64_t)t->shared->workers[0].lost, 1);
	EXPECT_EQ((int64_t)t->shared->workers[1].lost, 1);
	EXPECT_WHY(t, "came instead of");
}

static void flip_token(struct team *t)
{
	atomic_fetch_add(&t->shared->workers[1].turn, 7);
	kit__futex_wake(&t->shared->workers[1].turn, 1);
}

TEST_F(broken, futex_notices_another_token)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FUTEX, 2, true);
	team__start(t);
	ASSERT_TRUE(team__work(t, 10));
	ASSERT_TRUE(team__notices(t, flip_token));
	EXPECT_WHY(t, "came instead of");
}

static void begin_round(struct team *t)
{
	atomic_fetch_add(&t->shared->set.round, 2);
	kit__futex_wake(&t->shared->set.round, INT32_MAX);
}

TEST_F(broken, fanout_notices_a_round_that_nobody_began)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FANOUT, 4, false);
	team__start(t);
	ASSERT_TRUE(team__notices(t, begin_round));
	EXPECT_WHY(t, "round");
}

static void count_one_more(struct team *t)
{
	atomic_fetch_add(&t->shared->set.done, 1);
	kit__futex_wake(&t->shared->set.done, 1);
	nap();
}

TEST_F(broken, fanout_waits_for_each)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FANOUT, 8, false);
	team__start(t);
	ASSERT_TRUE(team__notices(t, count_one_more))
	TH_LOG("round %u, %u done, least units %ju", t->shared->set.round, t->shared->set.done,
	       (uintmax_t)least_units(t));
	EXPECT_WHY(t, "round");
}

static void let_in(struct team *t)
{
	atomic_fetch_add(&t->shared->set.serving, 1);
	for (uint32_t i = 0; i < t->nr; i++) {
		atomic_fetch_add(&t->shared->workers[i].turn, 1);
		kit__futex_wake(&t->shared->workers[i].turn, 1);
	}
	nap();
}

TEST_F(broken, mutex_notices_two_holders_and_goes_on)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_MUTEX, 4, false);
	team__start(t);
	ASSERT_TRUE(team__work(t, 10));
	ASSERT_TRUE(team__notices(t, let_in));
	EXPECT_TRUE(team__work(t, 10));
	EXPECT_WHY(t, "mutex");
}

/* Where nobody has it just then, it adds up. */
static void count_under_it(struct team *t)
{
	atomic_fetch_add(&t->shared->set.protected, 1);
	atomic_fetch_add(&t->shared->workers[0].passed, 1);
	nap();
}

TEST_F(broken, mutex_notices_a_count_by_another)
{
	struct team *t = &self->team;

	/* So many that the sum is rarely looked at. */
	team__create(t, KTSTR_WORK_MUTEX, 60, true);
	t->spec.run_us = 1000;
	team__start(t);
	ASSERT_TRUE(team__notices(t, count_under_it));
	EXPECT_WHY(t, "another counted while it had the mutex");
}

/* Each count has to be somebody's. */
TEST_F(broken, mutex_adds_up)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_MUTEX, 3, false);
	team__start(t);
	ASSERT_TRUE(team__work(t, 10));
	team__stop(t);
	EXPECT_EQ(team__lost(t), 0);
	for (uint32_t i = 0; i < t->nr; i++) {
		EXPECT_GE((int64_t)t->shared->workers[i].passed,
			  (int64_t)t->shared->workers[i].units);
		EXPECT_LE((int64_t)t->shared->workers[i].passed,
			  (int64_t)t->shared->workers[i].units + 1);
		t->shared->workers[i].turn = t->shared->workers[i].state = 0;
	}
	t->shared->workers[1].passed--;
	t->shared->set.serving = t->shared->set.next = 0;
	team__start(t);
	ASSERT_TRUE(team__work(t, 10));
	EXPECT_WHY(t, "under the mutex, but all had it");
}

/* Its file, which has no name. */
static void overwrite_file(struct team *t)
{
	char path[64], target[256], garbage[4096];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", t->pids[0]);
	dir = opendir(path);
	memset(garbage, 0xa5, sizeof(garbage));
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		int fd;

		if (n < 0)
			continue;
		target[n] = '\0';
		if (strncmp(target, t->spec.path, strlen(t->spec.path)) ||
		    !strstr(target, "(deleted)"))
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDWR);
		for (int i = 0; i < 1000 && fd >= 0 && !team__lost(t); i++)
			if (pwrite(fd, garbage, sizeof(garbage), 4096) < 0)
				break;
		close(fd);
	}
	if (dir)
		closedir(dir);
}

TEST_F(broken, io_notices_other_data)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_IO, 1, false);
	team__start(t);
	ASSERT_TRUE(team__notices(t, overwrite_file));
	EXPECT_WHY(t, "were read otherwise");
}

/* A ramfs can't write past the page cache, and has nothing else. */
TEST_F(broken, io_works_where_there_is_no_direct_io)
{
	struct team *t = &self->team;
	char directory[] = "/tmp/ktstr-io-XXXXXX";

	ASSERT_NE(NULL, mkdtemp(directory));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", directory, "ramfs", 0, NULL)) {
		rmdir(directory);
		SKIP(return, "needs the right to mount");
	}
	team__create(t, KTSTR_WORK_IO, 2, true);
	t->spec.path = directory;
	t->spec.size_kb = 1;
	team__start(t);
	EXPECT_TRUE(team__work(t, 20));
	EXPECT_EQ(team__lost(t), 0);
	team__stop(t);
	EXPECT_EQ(umount(directory), 0);
	EXPECT_EQ(rmdir(directory), 0);
}

/* A child of process @parent, or 0. */
static pid_t child_of(pid_t parent)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		char path[300], text[512], *at;
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10), ppid;
		ssize_t n;
		int fd;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n < 0 ? 0 : n] = '\0';
		at = strrchr(text, ')');
		if (at && sscanf(at, ") %*c %d", &ppid) == 1 && ppid == parent)
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

static void kill_child(struct team *t)
{
	pid_t child = child_of(t->pids[0]);

	if (child)
		kill(child, SIGKILL);
}

TEST_F(broken, fork_notices_a_killed_child)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FORK, 1, false);
	t->spec.run_us = 20000;
	team__start(t);
	ASSERT_TRUE(team__notices(t, kill_child));
	EXPECT_WHY(t, "its child was ended by signal 9");
}

static void *steal_children(void *team)
{
	(void)team;
	for (;;)
		waitpid(-1, NULL, 0);
	return NULL;
}

TEST_F(broken, fork_notices_a_stolen_child)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FORK, 2, true);
	t->saboteur = steal_children;
	team__start(t);
	ASSERT_TRUE(team__work(t, 100));
	ASSERT_GT(team__lost(t), 0);
	EXPECT_WHY(t, "was lost");
}

/* Whoever kills a worker need not know of its children. */
static void expect_no_orphan(struct __test_metadata *_metadata, struct team *t, bool threads)
{
	struct pollfd pfd = {.events = POLLIN};
	pid_t child;

	team__create(t, KTSTR_WORK_FORK, 1, threads);
	t->spec.run_us = UINT32_MAX;
	team__start(t);
	while (!(child = child_of(t->pids[0])))
		nap();
	pfd.fd = (int)syscall(SYS_pidfd_open, child, 0);
	ASSERT_GE(pfd.fd, 0);
	/* It computes: it has said by now that it goes with its parent, or sees that it has gone.
	 */
	team__stop(t);
	EXPECT_EQ(poll(&pfd, 1, 5000), 1);
	syscall(SYS_pidfd_send_signal, pfd.fd, SIGKILL, NULL, 0);
	close(pfd.fd);
}

TEST_F(broken, fork_leaves_no_child)
{
	expect_no_orphan(_metadata, &self->team, false);
}

TEST_F(broken, fork_of_a_thread_leaves_no_child)
{
	expect_no_orphan(_metadata, &self->team, true);
}

/* Its mapping, which has a size that no other one has. */
static void overwrite_memory(struct team *t)
{
	static char garbage[4 << 20];
	char path[64], line[512];
	uint64_t from, to;
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", t->pids[0]);
	maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%d/mem", t->pids[0]);
	mem = open(path, O_RDWR);
	memset(garbage, 0xa5, sizeof(garbage));
	while (maps && mem >= 0 && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%jx-%jx", &from, &to) == 2 &&
		    to - from == t->spec.size_kb * UINT64_C(1024) &&
		    pwrite(mem, garbage, sizeof(garbage), (off_t)from) < 0)
			continue;
	if (maps)
		fclose(maps);
	close(mem);
}

TEST_F(broken, fault_notices_other_memory)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FAULT, 1, false);
	t->spec.size_kb = 12348;
	team__start(t);
	ASSERT_TRUE(team__notices(t, overwrite_memory));
	EXPECT_WHY(t, "pages");
}

static void renice(struct team *t)
{
	for (int i = 0; i < 1000 && !team__lost(t); i++)
		setpriority(PRIO_PROCESS, (id_t)t->pids[0], i % 2);
}

static void change_policy(struct team *t)
{
	struct kernel_sched_attr attr = {.policy = SCHED_BATCH};

	for (int i = 0; i < 1000 && !team__lost(t); i++) {
		attr.policy = i % 2 ? SCHED_BATCH : SCHED_OTHER;
		sched_attr__set(t->pids[0], &attr);
	}
}

static void change_cpus(struct team *t)
{
	uint64_t cpus[KTSTR_MAX_CPUS / 64] = {0};

	for (int i = 0; i < 1000 && !team__lost(t); i++) {
		cpus[0] = 1 + (uint64_t)i % 2;
		syscall(SYS_sched_setaffinity, t->pids[0], sizeof(cpus), cpus);
	}
}

static bool has_cpus(const struct team *t, uint64_t cpus)
{
	return (t->shared->set.allowed.words[0] & cpus) == cpus;
}

/*
 * Each sees its own attribute changed behind its back; but not while the runner says that it
 * changes something.
 */
static void expect_attribute(struct __test_metadata *_metadata, struct team *t,
			     enum ktstr_work_kind work, void (*change)(struct team *t),
			     const char *why)
{
	team__create(t, work, 1, false);
	t->spec.run_us = 1;
	t->shared->kit.epoch = 1;
	team__start(t);
	for (int i = 0; i < 20; i++)
		change(t);
	ASSERT_TRUE(team__work(t, 100));
	EXPECT_EQ(team__lost(t), 0)
	TH_LOG("%s", team__why(t));
	t->shared->kit.epoch = 2;
	ASSERT_TRUE(team__notices(t, change));
	EXPECT_WHY(t, why);
}

TEST_F(broken, nice_notices_another_value)
{
	expect_attribute(_metadata, &self->team, KTSTR_WORK_NICE, renice, "its nice value is");
}

TEST_F(broken, policy_notices_another_policy)
{
	expect_attribute(_metadata, &self->team, KTSTR_WORK_POLICY, change_policy, "its policy is");
}

TEST_F(broken, affinity_notices_another_cpu)
{
	team__create(&self->team, KTSTR_WORK_AFFINITY, 1, false);
	if (!has_cpus(&self->team, 3))
		SKIP(return, "needs CPUs 0 and 1");
	expect_attribute(_metadata, &self->team, KTSTR_WORK_AFFINITY, change_cpus, "bound to CPU");
}

/* ---- Affinity ---- */

/* Allowed are CPUs that are there, and one that is not, as when it has just been taken off. */
TEST_F(broken, affinity_goes_round_the_cpus_that_are_there)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_AFFINITY, 1, false);
	cpu_bits__add(&t->shared->set.allowed, KTSTR_MAX_CPUS - 1);
	team__start(t);
	ASSERT_TRUE(team__work(t, 1000));
	EXPECT_EQ(team__lost(t), 0);
	for (uint32_t cpu = 0; cpu < KTSTR_MAX_CPUS - 1; cpu++)
		EXPECT_EQ(cpu_bits__has(&t->shared->set.allowed, cpu),
			  t->shared->set.computed[cpu] > 0);
}

/* What it may use is changed all the time: it is never seen elsewhere, and does not stay behind. */
TEST_F(broken, affinity_follows_what_it_may_use)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_AFFINITY, 2, false);
	if (!has_cpus(t, 3))
		SKIP(return, "needs CPUs 0 and 1");
	t->spec.run_us = 1;
	team__start(t);
	for (uint32_t i = 0; i < 4000; i++) {
		struct cpu_bits cpus = {.words = {i % 3 + 1}};

		atomic_fetch_add(&t->shared->kit.epoch, 1);
		for (uint32_t j = 0; j < t->nr; j++)
			syscall(SYS_sched_setaffinity, t->pids[j], sizeof(cpus), &cpus);
		t->shared->set.allowed = cpus;
		atomic_fetch_add(&t->shared->kit.epoch, 1);
		if (i % 50 == 0)
			ASSERT_TRUE(team__work(t, 2));
	}
	EXPECT_EQ(team__lost(t), 0)
	TH_LOG("%s", team__why(t));
	for (uint32_t i = 0; i < t->nr; i++)
		EXPECT_EQ((int64_t)t->shared->workers[i].outside, 0);
	t->shared->kit.epoch++;
	t->shared->set.allowed = (struct cpu_bits){.words = {2}};
	t->shared->kit.epoch++;
	ASSERT_TRUE(team__work(t, 2));
	memset(t->shared->set.computed, 0, sizeof(t->shared->set.computed));
	ASSERT_TRUE(team__work(t, 100));
	EXPECT_EQ((int64_t)t->shared->set.computed[0], 0);
	EXPECT_GT((int64_t)t->shared->set.computed[1], 0);
}

/* As when a worker is moved: its child in flight stays behind, and nobody blames it. */
TEST_F(broken, fork_does_not_blame_a_child_that_stays_behind)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FORK, 1, false);
	if (!has_cpus(t, 3))
		SKIP(return, "needs CPUs 0 and 1");
	t->spec.run_us = 2000;
	team__start(t);
	for (uint32_t i = 0; i < 100; i++) {
		struct cpu_bits cpus = {.words = {i % 2 + 1}};

		atomic_fetch_add(&t->shared->kit.epoch, 1);
		syscall(SYS_sched_setaffinity, t->pids[0], sizeof(cpus), &cpus);
		t->shared->set.allowed = cpus;
		atomic_fetch_add(&t->shared->kit.epoch, 1);
		ASSERT_TRUE(team__work(t, 1));
		nap();
	}
	EXPECT_EQ((int64_t)t->shared->workers[0].outside, 0);
	EXPECT_EQ(team__lost(t), 0);
}

/* But where it may not be at all, it is seen. */
TEST_F(broken, fork_sees_where_its_children_are)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_FORK, 1, false);
	t->shared->set.allowed = (struct cpu_bits){.words = {0}};
	t->spec.run_us = 2000;
	team__start(t);
	ASSERT_TRUE(team__work(t, 3));
	/* A worker's own ticks are two a unit; 100 of each child are its chunks. */
	EXPECT_GT((int64_t)t->shared->workers[0].outside, 200);
}

/* ---- Many ---- */

TEST(many_workers_may_have_their_descriptors)
{
	struct scenario_state *state = calloc(1, sizeof(*state));
	struct crew *crew = calloc(1, sizeof(*crew));
	struct rlimit few, now;

	ASSERT_NE(NULL, state);
	ASSERT_NE(NULL, crew);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &few));
	few.rlim_cur = 64;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	state->nr_workers = 1000;
	ASSERT_EQ(0, crew__create(crew, state));
	getrlimit(RLIMIT_NOFILE, &now);
	EXPECT_GE(now.rlim_cur, few.rlim_max < 3064 ? few.rlim_max : 3064);
	crew__destroy(crew);
	getrlimit(RLIMIT_NOFILE, &now);
	EXPECT_EQ(now.rlim_cur, 64);
	EXPECT_EQ(now.rlim_max, few.rlim_max);
	free(crew);
	free(state);
}

/* ---- The end of one ---- */

static int fail_first(struct ktstr_worker *w, void *arg)
{
	(void)arg;
	ktstr_worker__compute(w, 20);
	return ktstr_worker__index(w) ? 0 : -EIO;
}

TEST_F(broken, lost_work_of_a_thread_ends_that_one_alone)
{
	struct team *t = &self->team;

	team__create(t, KTSTR_WORK_CUSTOM, 3, true);
	t->spec.unit = fail_first;
	team__start(t);
	while (t->shared->workers[0].state != KIT_WORKER_FAILED)
		nap();
	for (uint64_t units = t->shared->workers[2].units;
	     t->shared->workers[2].units < units + 100;)
		nap();
	EXPECT_EQ((int64_t)t->shared->workers[0].lost, 1);
	EXPECT_EQ((int64_t)t->shared->workers[0].err, -EIO);
	EXPECT_EQ((int64_t)t->shared->workers[1].lost, 0);
	EXPECT_WHY(t, "its work: Input/output error");
}

TEST_HARNESS_MAIN
