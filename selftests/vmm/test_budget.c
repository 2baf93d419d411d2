// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's budget, on real semaphores with a key of each test's own. Workers are processes that
 * take a share and tell what happens to them, in one order for all: "Aw" A waits, "At" it has its
 * share, "Ac" it was called off, "An" there is no budget.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <time.h>
#include <unistd.h>

#include "vmm/budget.h"

#define MAX_WORKERS 4

struct worker {
	pid_t pid;
	int end_fd;    /* a byte: give back and end */
	int cancel_fd; /* eventfd */
	pid_t *holder; /* shared */
};

FIXTURE(budget)
{
	struct budget_request request;
	int events[2];
	struct worker workers[MAX_WORKERS];
	unsigned int nr;
};

FIXTURE_SETUP(budget)
{
	/* A forked process at a time has this number. */
	self->request = (struct budget_request){.key = 0x6b000000 | getpid(),
						.vcpus = 1,
						.memory_mb = 64,
						.limits = {.vcpus = 4, .memory_mb = 1024},
						.cancel_fd = -1};
	self->nr = 0;
	ASSERT_EQ(0, pipe2(self->events, O_CLOEXEC));
	/* Holders whose parents were killed are ours. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(budget)
{
	int id = semget(self->request.key, 0, 0);

	for (unsigned int i = 0; i < self->nr; i++)
		kill(self->workers[i].pid, SIGKILL);
	if (id >= 0)
		semctl(id, 0, IPC_RMID);
}

static void tell(int fd, unsigned int i, char what)
{
	const char text[2] = {(char)('A' + i), what};

	if (write(fd, text, 2) != 2)
		_exit(3);
}

struct teller {
	int fd;
	unsigned int i;
};

static void on_say(void *opaque, bool waits, const char *text)
{
	const struct teller *teller = opaque;

	(void)text;
	tell(teller->fd, teller->i, waits ? 'w' : 'n');
}

/* Wants what self->request says. */
static void start(struct _test_data_budget *self)
{
	unsigned int i = self->nr++;
	struct worker *w = &self->workers[i];
	int fds[2];

	w->cancel_fd = eventfd(0, EFD_CLOEXEC);
	w->holder = mmap(NULL, sizeof(*w->holder), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pipe2(fds, O_CLOEXEC))
		_exit(3);
	w->end_fd = fds[1];
	w->pid = fork();
	if (!w->pid) {
		struct teller teller = {self->events[1], i};
		struct budget_request request = self->request;
		struct budget_share share;
		char byte;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		request.cancel_fd = w->cancel_fd;
		request.say = on_say;
		request.opaque = &teller;
		if (budget__take(&request, &share)) {
			tell(teller.fd, i, 'c');
			_exit(0);
		}
		*w->holder = share.holder.pid;
		tell(teller.fd, i, 't');
		if (read(fds[0], &byte, 1) < 0)
			_exit(3);
		budget__give_back(&share);
		_exit(0);
	}
	close(fds[0]);
}

/* The next event of all workers. */
static const char *event(struct _test_data_budget *self, char buf[3])
{
	buf[0] = buf[2] = '\0';
	if (read(self->events[0], buf, 2) != 2)
		return "none";
	return buf;
}

#define EXPECT_EVENT(text)                              \
	do {                                            \
		char __buf[3];                          \
		ASSERT_STREQ(text, event(self, __buf)); \
	} while (0)

/* Gives back, and is over when this returns. */
static void end(struct _test_data_budget *self, char name)
{
	struct worker *w = &self->workers[name - 'A'];

	/* Others have inherited it: closing it would not be enough. */
	if (write(w->end_fd, "", 1) != 1)
		_exit(3);
	waitpid(w->pid, NULL, 0);
}

static void kill_worker(struct _test_data_budget *self, char name)
{
	struct worker *w = &self->workers[name - 'A'];

	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
}

static bool is_left(struct _test_data_budget *self)
{
	return semget(self->request.key, 0, 0) >= 0;
}

/* ---- order ---- */

TEST_F(budget, what_fits_starts_at_once_and_what_does_not_waits)
{
	self->request.vcpus = 3;
	start(self);
	EXPECT_EVENT("At");
	self->request.vcpus = 1;
	start(self);
	EXPECT_EVENT("Bt");
	start(self);
	EXPECT_EVENT("Cw");
	end(self, 'B');
	EXPECT_EVENT("Ct");
}

TEST_F(budget, memory_counts_likewise_and_a_part_of_a_unit_is_one)
{
	self->request.memory_mb = 1024 - 2 * BUDGET_UNIT_MB + 1;
	start(self);
	EXPECT_EVENT("At");
	self->request.memory_mb = 1;
	start(self);
	EXPECT_EVENT("Bt");
	start(self);
	EXPECT_EVENT("Cw");
	end(self, 'A');
	EXPECT_EVENT("Ct");
}

TEST_F(budget, a_large_one_is_not_overtaken_by_small_ones)
{
	start(self);
	EXPECT_EVENT("At");
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("Bw");
	self->request.vcpus = 1;
	start(self);
	EXPECT_EVENT("Cw");
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("Dw");
	end(self, 'A');
	EXPECT_EVENT("Bt");
	end(self, 'B');
	EXPECT_EVENT("Ct");
	end(self, 'C');
	EXPECT_EVENT("Dt");
}

TEST_F(budget, one_larger_than_the_budget_runs_alone)
{
	start(self);
	EXPECT_EVENT("At");
	self->request.vcpus = 1000000;
	start(self);
	EXPECT_EVENT("Bw");
	end(self, 'A');
	EXPECT_EVENT("Bt");
	self->request.vcpus = 1;
	start(self);
	EXPECT_EVENT("Cw");
	end(self, 'B');
	EXPECT_EVENT("Ct");
	self->request.memory_mb = UINT32_MAX;
	start(self);
	EXPECT_EVENT("Dw");
	end(self, 'C');
	EXPECT_EVENT("Dt");
}

/* ---- limits ---- */

TEST_F(budget, who_allows_more_starts_at_once_and_who_allows_less_waits_longer)
{
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("At");
	self->request.limits.vcpus = 6;
	self->request.vcpus = 2;
	start(self);
	EXPECT_EVENT("Bt");
	self->request.limits.vcpus = 1;
	self->request.vcpus = 1;
	start(self);
	EXPECT_EVENT("Cw");
	end(self, 'A');
	self->request.limits.vcpus = 6;
	self->request.vcpus = 6;
	start(self);
	EXPECT_EVENT("Dw"); /* behind C */
	end(self, 'B');
	EXPECT_EVENT("Ct");
	end(self, 'C');
	EXPECT_EVENT("Dt");
}

/* All at once would be more than any host has, and one alone is always let in. */
TEST_F(budget, without_a_limit_of_memory_the_hosts_counts)
{
	self->request.limits = (struct budget_limits){.vcpus = 1000};
	self->request.memory_mb = 64;
	start(self);
	EXPECT_EVENT("At");
	self->request.memory_mb = 2000000;
	start(self);
	EXPECT_EVENT("Bw");
	end(self, 'A');
	EXPECT_EVENT("Bt");
}

TEST_F(budget, variables_are_the_limits)
{
	struct budget_limits limits;

	setenv(BUDGET_VCPUS_VARIABLE, "3", 1);
	setenv(BUDGET_MEMORY_VARIABLE, "4096", 1);
	ASSERT_EQ(0, budget__limits(&limits, NULL));
	EXPECT_EQ(3, limits.vcpus);
	EXPECT_EQ(4096, limits.memory_mb);
}

TEST_F(budget, by_default_vcpus_are_the_machines_cpus_whatever_the_affinity)
{
	struct budget_limits limits;
	cpu_set_t one;
	FILE *f = popen("getconf _NPROCESSORS_ONLN", "r");
	unsigned int online = 0;

	ASSERT_EQ(1, fscanf(f, "%u", &online));
	pclose(f);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	unsetenv(BUDGET_VCPUS_VARIABLE);
	unsetenv(BUDGET_MEMORY_VARIABLE);
	ASSERT_EQ(0, budget__limits(&limits, NULL));
	EXPECT_EQ(online, limits.vcpus);
	EXPECT_EQ(0, limits.memory_mb);
}

TEST_F(budget, bad_variables_are_errors_that_name_them)
{
	static const char *const bad[] = {"", "0", "-1", "x", "4x", " 4", "+4", "99999999999"};
	static const char *const names[] = {BUDGET_VCPUS_VARIABLE, BUDGET_MEMORY_VARIABLE};
	struct budget_limits limits;

	unsetenv(BUDGET_VCPUS_VARIABLE);
	unsetenv(BUDGET_MEMORY_VARIABLE);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		const char *name = names[i / ARRAY_SIZE(bad)];
		struct ktstr_error error = {.err = 0};
		char text[1200];

		setenv(name, bad[i % ARRAY_SIZE(bad)], 1);
		EXPECT_EQ(-EINVAL, budget__limits(&limits, &error));
		ktstr_error__format(&error, text, sizeof(text));
		EXPECT_EQ(0, strncmp(text, name, strlen(name))) TH_LOG("%s", text);
		unsetenv(name);
	}
}

TEST(a_request_is_what_the_machine_will_have)
{
	const struct ktstr_topology uneven = {
		.numa_nodes = 2,
		.llcs = 3,
		.cores_per_llc = 2,
		.threads_per_core = 1,
		.nodes = KTSTR_NODES({.llcs = 3, .memory_mb = 100}, {.memory_mb = 77})};
	struct budget_request request;

	ASSERT_TRUE(budget_request__size(&request, &uneven, 0));
	EXPECT_EQ(6, request.vcpus);
	EXPECT_EQ(177, request.memory_mb);
	EXPECT_FALSE(budget_request__size(&request, &uneven, 100));
	EXPECT_FALSE(budget_request__size(&request, &(struct ktstr_topology){.llcs = 1}, 0));
}

/* ---- ends ---- */

TEST_F(budget, killed_machine_gives_back)
{
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bw");
	kill_worker(self, 'A');
	EXPECT_EVENT("Bt");
}

TEST_F(budget, killed_holder_gives_back)
{
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bw");
	kill(*self->workers[0].holder, SIGKILL);
	EXPECT_EVENT("Bt");
	end(self, 'A'); /* it finds nothing to give back, and that is no trouble */
}

TEST_F(budget, who_is_killed_while_it_waits_holds_up_nobody)
{
	self->request.vcpus = 3;
	start(self);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bw"); /* for its share */
	start(self);
	EXPECT_EVENT("Cw"); /* for its turn */
	self->request.vcpus = 1;
	start(self);
	EXPECT_EVENT("Dw");
	kill_worker(self, 'C');
	kill_worker(self, 'B');
	EXPECT_EVENT("Dt"); /* beside A */
}

TEST_F(budget, a_wait_can_be_called_off)
{
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bw");
	start(self);
	EXPECT_EVENT("Cw");
	ASSERT_EQ(0, eventfd_write(self->workers[2].cancel_fd, 1)); /* in the queue */
	EXPECT_EVENT("Cc");
	ASSERT_EQ(0, eventfd_write(self->workers[1].cancel_fd, 1)); /* at its head */
	EXPECT_EVENT("Bc");
	end(self, 'A');
	EXPECT_FALSE(is_left(self));
}

TEST_F(budget, a_signal_to_the_group_leaves_the_share_alone)
{
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("At");
	kill(*self->workers[0].holder, SIGINT);
	kill(*self->workers[0].holder, SIGTERM);
	kill(*self->workers[0].holder, SIGHUP);
	start(self);
	EXPECT_EVENT("Bw");
	end(self, 'A');
	EXPECT_EVENT("Bt");
}

TEST_F(budget, nothing_is_left_when_all_is_over)
{
	start(self);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bt");
	EXPECT_TRUE(is_left(self));
	end(self, 'A');
	EXPECT_TRUE(is_left(self));
	end(self, 'B');
	EXPECT_FALSE(is_left(self));
	/* Nor by one that was killed: its holder sees to it. */
	start(self);
	EXPECT_EVENT("Ct");
	kill_worker(self, 'C');
	ASSERT_EQ(*self->workers[2].holder, waitpid(*self->workers[2].holder, NULL, 0));
	EXPECT_FALSE(is_left(self));
}

TEST_F(budget, set_that_is_taken_away_is_made_anew)
{
	self->request.vcpus = 4;
	start(self);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bw");
	ASSERT_EQ(0, semctl(semget(self->request.key, 0, 0), 0, IPC_RMID));
	EXPECT_EVENT("Bt");
}

TEST_F(budget, where_there_is_none_the_machine_runs)
{
	/* Somebody else's, too small for ours */
	ASSERT_LE(0, semget(self->request.key, 1, IPC_CREAT | IPC_EXCL | 0600));
	start(self);
	EXPECT_EVENT("An");
	EXPECT_EVENT("At");
	EXPECT_EQ(0, *self->workers[0].holder);
}

/* ---- many ---- */

#define MANY 50
#define ROUNDS 12
#define CAPACITY_VCPUS 8
#define CAPACITY_UNITS 16

/*
 * Who has what. A worker's row counts while it has locked byte INDEX of a file; its death unlocks
 * that before the holder hears of it.
 */
struct table {
	pthread_mutex_t mutex; /* robust */
	struct {
		int vcpus, units;
	} rows[MANY];
	atomic_int exceeded, taken;
};

static void lock_row(int fd, int i, short type)
{
	struct flock lock = {.l_type = type, .l_start = i, .l_len = 1};

	if (fcntl(fd, F_SETLK, &lock))
		_exit(4);
}

static bool row_is_locked(int fd, int i)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = i, .l_len = 1};

	return !fcntl(fd, F_GETLK, &lock) && lock.l_type != F_UNLCK;
}

static void lock_table(struct table *table)
{
	if (pthread_mutex_lock(&table->mutex) == EOWNERDEAD)
		pthread_mutex_consistent(&table->mutex);
}

static void enter_row(struct table *table, int fd, int i, int vcpus, int units)
{
	lock_table(table);
	table->rows[i].vcpus = vcpus;
	table->rows[i].units = units;
	lock_row(fd, i, F_WRLCK);
	table->taken++;
	for (int j = 0; j < MANY; j++) {
		if (j == i || !row_is_locked(fd, j))
			continue;
		vcpus += table->rows[j].vcpus;
		units += table->rows[j].units;
	}
	if (vcpus > CAPACITY_VCPUS || units > CAPACITY_UNITS)
		table->exceeded++;
	pthread_mutex_unlock(&table->mutex);
}

static void leave_row(struct table *table, int fd, int i)
{
	lock_table(table);
	lock_row(fd, i, F_UNLCK);
	pthread_mutex_unlock(&table->mutex);
}

/* SIGKILL after a time of up to @most_us, at whatever it is then. */
static void kill_me_within(unsigned int *seed, long most_us)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec when = {.it_value.tv_nsec = 1000 * (1 + rand_r(seed) % most_us)};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
		_exit(4);
}

static void work(struct table *table, int fd, int i, struct budget_request request)
{
	unsigned int seed = (unsigned int)i;

	if (i % 2)
		kill_me_within(&seed, 100000);
	for (int round = 0; round < ROUNDS; round++) {
		int vcpus = 1 + rand_r(&seed) % CAPACITY_VCPUS;
		int units = 1 + rand_r(&seed) % CAPACITY_UNITS;
		struct budget_share share;

		request.vcpus = (uint32_t)vcpus;
		request.memory_mb = (uint32_t)units * BUDGET_UNIT_MB;
		if (budget__take(&request, &share) || !share.holder.pid)
			_exit(4);
		enter_row(table, fd, i, vcpus, units);
		for (int n = rand_r(&seed) % 3; n > 0; n--)
			sched_yield();
		leave_row(table, fd, i);
		if (rand_r(&seed) % 8 == 0)
			kill(share.holder.pid, SIGKILL);
		budget__give_back(&share);
	}
	_exit(0);
}

TEST_F(budget, many_that_die_at_any_time_never_exceed_it_and_all_come_to_their_end)
{
	struct table *table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FILE *locks = tmpfile();
	pthread_mutexattr_t attr;
	pid_t pids[MANY];
	int status, ended = 0;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	ASSERT_EQ(0, pthread_mutex_init(&table->mutex, &attr));
	self->request.limits = (struct budget_limits){.vcpus = CAPACITY_VCPUS,
						      .memory_mb = CAPACITY_UNITS * BUDGET_UNIT_MB};
	for (int i = 0; i < MANY; i++) {
		pids[i] = fork();
		if (!pids[i] && !prctl(PR_SET_PDEATHSIG, SIGKILL))
			work(table, fileno(locks), i, self->request);
	}
	for (int i = 0; i < MANY; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ended += WIFEXITED(status) && !WEXITSTATUS(status);
		/* Nobody ended in another way than these two. */
		EXPECT_TRUE(status == 0 || (i % 2 && status == SIGKILL)) TH_LOG("%x", status);
	}
	/* And the holders of those that were killed. */
	while (wait(NULL) > 0)
		;
	EXPECT_EQ(0, atomic_load(&table->exceeded));
	EXPECT_GE(ended, MANY / 2);
	EXPECT_GE(atomic_load(&table->taken), MANY / 2 * ROUNDS);

	/* All is there again. */
	self->request.vcpus = CAPACITY_VCPUS;
	self->request.memory_mb = CAPACITY_UNITS * BUDGET_UNIT_MB;
	start(self);
	EXPECT_EVENT("At");
	end(self, 'A');
	EXPECT_FALSE(is_left(self));
}

TEST_HARNESS_MAIN
