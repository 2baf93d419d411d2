// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks of the host's LLCs, on files in a directory of each test's own, for a host of 4 LLCs with 2
 * CPUs each in 2 nodes. Workers are processes that take what they want and tell what happens to
 * them: "Aw" A waits, "At" it has its CPUs, "Ac" it was called off, "Ae" it failed, "An" there are
 * no locks.
 */
#include "kselftest_harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_tree.h"
#include "vmm/cpu_choice.h"
#include "vmm/cpu_locks.h"

#define MAX_WORKERS 5
#define NOBODY 65534

struct event {
	char tag[4];
	char text[1200]; /* CPUs, or what was said */
	pid_t holder;
};
_Static_assert(sizeof(struct event) <= PIPE_BUF, "it comes as a whole");

struct worker {
	pid_t pid;
	int end_fd;    /* a byte: give back and end */
	int cancel_fd; /* eventfd */
};

FIXTURE(locks)
{
	struct host_tree tree;
	struct host_cpu cpus[8];
	struct host_topology host;
	struct cpu_locks_request request;
	uid_t uid;	/* of the next worker */
	bool read_only; /* file system of the next worker */
	int events[2];
	struct event event; /* the last one */
	struct worker workers[MAX_WORKERS];
	unsigned int nr;
};

FIXTURE_SETUP(locks)
{
	host_tree__create(&self->tree);
	ASSERT_EQ(0, chmod(self->tree.root, 01777));
	for (uint32_t i = 0; i < 8; i++)
		self->cpus[i] = (struct host_cpu){
			.cpu = i, .core = i, .llc = i & ~1u, .node = i / 4, .allowed = true};
	self->host = (struct host_topology){.nr_cpus = 8, .cpus = self->cpus};
	self->request = (struct cpu_locks_request){.dir = self->tree.root,
						   .host = &self->host,
						   .timeout_s = 100,
						   .cancel_fd = -1,
						   .what = "a test"};
	self->uid = geteuid();
	self->read_only = false;
	self->nr = 0;
	ASSERT_EQ(0, pipe2(self->events, O_CLOEXEC));
	/* Holders whose parents were killed are ours. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

FIXTURE_TEARDOWN(locks)
{
	for (unsigned int i = 0; i < self->nr; i++)
		kill(self->workers[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	host_tree__destroy(&self->tree);
}

struct teller {
	int fd;
	char name;
};

static void tell(const struct teller *teller, char what, const char *text, pid_t holder)
{
	struct event event = {.tag = {teller->name, what}, .holder = holder};

	snprintf(event.text, sizeof(event.text), "%s", text);
	if (write(teller->fd, &event, sizeof(event)) != sizeof(event))
		_exit(3);
}

static void on_say(void *opaque, bool waits, const char *text)
{
	tell(opaque, waits ? 'w' : 'n', text, 0);
}

static void work(struct _test_data_locks *self, struct teller *teller, int cancel_fd, int end_fd)
{
	struct cpu_locks_request request = self->request;
	struct ktstr_error error = {0};
	struct cpu_locks *locks;
	char text[1200], byte;
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(077);
	request.cancel_fd = cancel_fd;
	request.say = on_say;
	request.opaque = teller;
	err = cpu_locks__take(&request, &locks, &error);
	if (err) {
		ktstr_error__format(&error, text, sizeof(text));
		tell(teller, err == -ECANCELED ? 'c' : 'e', text, -err);
		_exit(0);
	}
	host_set__format(cpu_locks__cpus(locks), text, sizeof(text));
	tell(teller, 't', text, cpu_locks__holder(locks));
	if (read(end_fd, &byte, 1) < 0)
		_exit(3);
	cpu_locks__give_back(locks);
	_exit(0);
}

/* Wants what self->request says. */
static void start(struct _test_data_locks *self)
{
	unsigned int i = self->nr++;
	struct worker *w = &self->workers[i];
	int fds[2];

	w->cancel_fd = eventfd(0, EFD_CLOEXEC);
	if (w->cancel_fd < 0 || pipe2(fds, O_CLOEXEC))
		abort();
	w->pid = fork();
	if (!w->pid) {
		struct teller teller = {self->events[1], (char)('A' + i)};

		if (self->read_only &&
		    (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		     mount(self->tree.root, self->tree.root, NULL, MS_BIND, NULL) ||
		     mount(NULL, self->tree.root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL)))
			_exit(3);
		if (self->uid != geteuid() && setresuid(self->uid, self->uid, self->uid))
			_exit(3);
		work(self, &teller, w->cancel_fd, fds[0]);
	}
	close(fds[0]);
	w->end_fd = fds[1];
}

static void start_alone(struct _test_data_locks *self, const uint32_t *llcs, uint32_t nr)
{
	self->request.exclusive = true;
	self->request.llcs = llcs;
	self->request.nr_llcs = nr;
	start(self);
	self->request.exclusive = false;
}

#define ALONE(self, ...)                                   \
	start_alone(self, (const uint32_t[]){__VA_ARGS__}, \
		    sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void start_capped(struct _test_data_locks *self, uint32_t cpus)
{
	self->request.cpus = cpus;
	start(self);
	self->request.cpus = 0;
}

/* The next event of all workers. */
static const char *event(struct _test_data_locks *self)
{
	if (read(self->events[0], &self->event, sizeof(self->event)) != sizeof(self->event))
		return "none";
	return self->event.tag;
}

#define EXPECT_EVENT(expected)                  \
	ASSERT_STREQ(expected, event(self))     \
	{                                       \
		TH_LOG("%s", self->event.text); \
	}                                       \
	do {                                    \
	} while (0)
#define EXPECT_CPUS(expected, cpus)                   \
	do {                                          \
		EXPECT_EVENT(expected);               \
		ASSERT_STREQ(cpus, self->event.text); \
	} while (0)

/* Gives back, and is over when this returns. */
static void end(struct _test_data_locks *self, char name)
{
	struct worker *w = &self->workers[name - 'A'];

	if (write(w->end_fd, "", 1) != 1)
		abort();
	waitpid(w->pid, NULL, 0);
}

static void kill_worker(struct _test_data_locks *self, char name)
{
	struct worker *w = &self->workers[name - 'A'];

	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
}

struct users {
	unsigned int nr;
	struct lock_user first;
};

static void on_user(void *opaque, const struct lock_user *user)
{
	struct users *users = opaque;

	if (!users->nr++)
		users->first = *user;
}

static struct users users_of(struct _test_data_locks *self, const char *name)
{
	int dir_fd = lock_dir__open(self->tree.root, false);
	int fd = lock_file__open(dir_fd, name, false);
	struct users users = {.nr = 0};

	if (dir_fd < 0 || fd < 0)
		abort();
	lock_file__users(fd, on_user, &users);
	close(fd);
	close(dir_fd);
	return users;
}

/* ---- order ---- */

TEST_F(locks, sharers_have_all_together)
{
	start(self);
	EXPECT_CPUS("At", "0-7");
	start(self);
	EXPECT_CPUS("Bt", "0-7");
}

TEST_F(locks, one_that_is_alone_waits_for_sharers_and_is_not_overtaken_by_others)
{
	start(self);
	EXPECT_EVENT("At");
	ALONE(self, 0, 2, 4, 6);
	EXPECT_EVENT("Bw");
	/* Of LLC 0 it waits as the next; the others, nobody waits for yet. */
	start_capped(self, 7);
	EXPECT_EVENT("Cw");
	end(self, 'A');
	EXPECT_CPUS("Bt", "0-7");
	end(self, 'B');
	EXPECT_EVENT("Ct");
}

TEST_F(locks, sharers_that_waited_go_on_together)
{
	char tags[2][4];

	ALONE(self, 0, 2, 4, 6);
	EXPECT_EVENT("At");
	start(self);
	EXPECT_EVENT("Bw");
	start(self);
	EXPECT_EVENT("Cw");
	end(self, 'A');
	for (int i = 0; i < 2; i++)
		strcpy(tags[i], event(self));
	EXPECT_TRUE(!strcmp(tags[0], "Bt") ? !strcmp(tags[1], "Ct")
					   : !strcmp(tags[0], "Ct") && !strcmp(tags[1], "Bt"));
	/* And who comes now does not wait. */
	start_capped(self, 8);
	EXPECT_EVENT("Dt");
}

TEST_F(locks, sharers_get_what_nobody_has_alone)
{
	ALONE(self, 2);
	EXPECT_CPUS("At", "2-3");
	start(self);
	EXPECT_CPUS("Bt", "0-1,4-7");
	end(self, 'A');
	start(self);
	EXPECT_CPUS("Ct", "0-7");
}

TEST_F(locks, a_sharer_waits_where_others_have_all)
{
	ALONE(self, 0);
	EXPECT_EVENT("At");
	ALONE(self, 2, 4, 6);
	EXPECT_CPUS("Bt", "2-7");
	start(self);
	EXPECT_EVENT("Cw");
	EXPECT_NE(NULL, strstr(self->event.text, "host CPUs 0-1"));
	end(self, 'A');
	EXPECT_CPUS("Ct", "0-1");
}

TEST_F(locks, those_that_want_different_llcs_do_not_wait)
{
	ALONE(self, 0, 4);
	EXPECT_CPUS("At", "0-1,4-5");
	ALONE(self, 6, 2);
	EXPECT_CPUS("Bt", "2-3,6-7");
	ALONE(self, 4);
	EXPECT_EVENT("Cw");
	end(self, 'B');
	end(self, 'A');
	EXPECT_CPUS("Ct", "4-5");
}

/* While it waits for LLC 4 it has 0, and nothing of what is behind. */
TEST_F(locks, who_waits_holds_lower_llcs_alone)
{
	ALONE(self, 4);
	EXPECT_EVENT("At");
	ALONE(self, 0, 4, 6);
	EXPECT_EVENT("Bw");
	ALONE(self, 6);
	EXPECT_EVENT("Ct");
	ALONE(self, 0);
	EXPECT_EVENT("Dw");
	end(self, 'A');
	end(self, 'C');
	EXPECT_EVENT("Bt");
	end(self, 'B');
	EXPECT_EVENT("Dt");
}

TEST_F(locks, where_llcs_are_not_known_there_is_one)
{
	self->host.unknown = HOST_UNKNOWN_LLCS;
	ALONE(self, 6);
	EXPECT_CPUS("At", "0-7");
	start(self);
	EXPECT_EVENT("Bw");
	end(self, 'A');
	EXPECT_CPUS("Bt", "0-7");
}

/* ---- a part of the CPUs ---- */

TEST_F(locks, capped_machines_are_spread_and_stay_in_a_node)
{
	start_capped(self, 2);
	EXPECT_CPUS("At", "0-1");
	start_capped(self, 1);
	EXPECT_CPUS("Bt", "2");
	start_capped(self, 3);
	EXPECT_CPUS("Ct", "4-6");
	/* Each LLC has one machine, so the first does; but of CPUs those with fewest. */
	end(self, 'A');
	start_capped(self, 2);
	EXPECT_CPUS("Dt", "0-1");
	start_capped(self, 5);
	EXPECT_CPUS("Et", "0-4");
}

TEST_F(locks, capped_machines_in_one_llc_get_cpus_of_their_own)
{
	for (uint32_t i = 0; i < 8; i++)
		self->cpus[i].llc = 0;
	start_capped(self, 3);
	EXPECT_CPUS("At", "0-2");
	start_capped(self, 3);
	EXPECT_CPUS("Bt", "3-5");
	end(self, 'A');
	start_capped(self, 2);
	EXPECT_CPUS("Ct", "0-1");
}

TEST_F(locks, cap_takes_allowed_cpus_alone)
{
	self->cpus[0].allowed = self->cpus[2].allowed = self->cpus[3].allowed = false;
	start_capped(self, 3);
	EXPECT_CPUS("At", "4-6");
	start_capped(self, 5);
	EXPECT_CPUS("Bt", "1,4-7");
	start_capped(self, 6);
	EXPECT_EVENT("Ce");
	EXPECT_NE(NULL,
		  strstr(self->event.text, "6 are more than the 5 that this process may use"));
	ALONE(self, 2);
	EXPECT_EVENT("De");
	EXPECT_NE(NULL, strstr(self->event.text, "no LLC of CPU 2"));
}

TEST_F(locks, capped_machine_waits_for_as_many_as_it_wants)
{
	ALONE(self, 2);
	EXPECT_EVENT("At");
	start_capped(self, 6);
	EXPECT_CPUS("Bt", "0-1,4-7");
	start_capped(self, 7);
	EXPECT_EVENT("Cw");
	end(self, 'A');
	EXPECT_CPUS("Ct", "0-6");
}

TEST_F(locks, whole_cores_first)
{
	struct cpu_choice_cpu cpus[8];
	struct cpu_choice_llc llc = {.allowed = 8, .available = true};

	/* Threads of a core are 4 apart. */
	for (uint32_t i = 0; i < 8; i++)
		cpus[i] = (struct cpu_choice_cpu){
			.cpu = i, .core = i % 4, .place = i, .allowed = true, .used = i == 4};
	ASSERT_TRUE(cpu_choice__make(cpus, 8, &llc, 1, 3));
	for (uint32_t i = 0; i < 8; i++)
		EXPECT_EQ(i == 1 || i == 5 || i == 2, cpus[i].chosen);
	EXPECT_FALSE(cpu_choice__make(cpus, 8, &llc, 1, 9));
	llc.available = false;
	EXPECT_FALSE(cpu_choice__make(cpus, 8, &llc, 1, 0));
}

/* ---- the end of a wait ---- */

TEST_F(locks, timeout_is_an_error_that_says_who_has_it)
{
	char pid[64];

	self->request.what = "make check";
	ALONE(self, 4);
	EXPECT_EVENT("At");
	self->request.timeout_s = 1;
	ALONE(self, 0, 4);
	EXPECT_EVENT("Bw");
	EXPECT_EVENT("Be");
	EXPECT_EQ(ETIMEDOUT, self->event.holder);
	snprintf(pid, sizeof(pid), "host CPUs 4-5: lock: not free within 1 s: pid %d (make check) ",
		 self->workers[0].pid);
	EXPECT_EQ(0, strncmp(self->event.text, pid, strlen(pid)))
	{
		TH_LOG("%s", self->event.text);
	}
	EXPECT_NE(NULL, strstr(self->event.text, ") alone since "));
	EXPECT_NE(NULL, strstr(self->event.text, CPU_LOCKS_TIMEOUT_VARIABLE));
	/* Nothing of it is left. */
	ALONE(self, 0);
	EXPECT_EVENT("Ct");
}

TEST_F(locks, a_wait_can_be_called_off)
{
	start(self);
	EXPECT_EVENT("At");
	ALONE(self, 0);
	EXPECT_EVENT("Bw");
	start_capped(self, 8);
	EXPECT_EVENT("Cw");
	ASSERT_EQ(0, eventfd_write(self->workers[1].cancel_fd, 1));
	/* Who waited behind it goes on, perhaps before it has said so. */
	for (int i = 0; i < 2; i++) {
		const char *tag = event(self);

		EXPECT_TRUE(!strcmp(tag, "Bc") || !strcmp(tag, "Ct"));
	}
	EXPECT_EQ(2, users_of(self, "llc-0").nr);
}

TEST_F(locks, what_a_killed_program_had_is_free)
{
	ALONE(self, 0);
	EXPECT_EVENT("At");
	ALONE(self, 0);
	EXPECT_EVENT("Bw");
	kill_worker(self, 'A');
	EXPECT_EVENT("Bt");
}

TEST_F(locks, what_a_killed_holder_had_is_free)
{
	ALONE(self, 0);
	EXPECT_EVENT("At");
	kill(self->event.holder, SIGKILL);
	ALONE(self, 0);
	event(self);
	if (!strcmp("Bw", self->event.tag))
		event(self);
	EXPECT_STREQ("Bt", self->event.tag);
}

TEST_F(locks, a_killed_waiter_does_not_hold_up_those_behind_it)
{
	start(self);
	EXPECT_EVENT("At");
	ALONE(self, 0);
	EXPECT_EVENT("Bw");
	start_capped(self, 8);
	EXPECT_EVENT("Cw");
	kill_worker(self, 'B');
	EXPECT_EVENT("Ct");
}

TEST_F(locks, signals_to_the_group_leave_locks_alone)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	ALONE(self, 0);
	EXPECT_EVENT("At");
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		kill(self->event.holder, signals[i]);
	ALONE(self, 0);
	EXPECT_EVENT("Bw");
	end(self, 'A');
	EXPECT_EVENT("Bt");
}

/* ---- what is shown ---- */

TEST_F(locks, those_that_live_are_shown_and_nobody_else)
{
	struct users users;

	ALONE(self, 0);
	EXPECT_EVENT("At");
	ALONE(self, 0);
	EXPECT_EVENT("Bw");
	users = users_of(self, "llc-0");
	ASSERT_EQ(2, users.nr);
	EXPECT_EQ(self->workers[0].pid, users.first.record.pid);
	EXPECT_STREQ("a test", users.first.record.what);
	EXPECT_TRUE(users.first.record.exclusive);
	EXPECT_FALSE(users.first.record.waits);
	EXPECT_EQ(3, users.first.record.cpus[0]);
	kill_worker(self, 'A');
	EXPECT_EVENT("Bt");
	users = users_of(self, "llc-0");
	ASSERT_EQ(1, users.nr);
	EXPECT_EQ(self->workers[1].pid, users.first.record.pid);
	EXPECT_FALSE(users.first.record.waits);
	end(self, 'B');
	EXPECT_EQ(0, users_of(self, "llc-0").nr);
}

TEST_F(locks, what_others_wrote_does_not_reach_the_terminal)
{
	struct lock_user user = {.record = {.pid = 7, .exclusive = 1, .what = "a\033[2Jb\x9b!"}};
	char text[256];

	cpu_locks__describe(&user, text, sizeof(text));
	EXPECT_STREQ("pid 7 (a?[2Jb?!) alone since ?", text);
	user.record.since_s = INT64_MAX;
	user.record.what[0] = '\0';
	user.record.exclusive = 0;
	user.record.waits = user.elsewhere = 1;
	cpu_locks__describe(&user, text, sizeof(text));
	EXPECT_STREQ("pid 7 of another PID namespace (?) waits for a share since ?", text);
}

/* A record of another than the one that has the slot is not believed. */
TEST_F(locks, record_of_somebody_else_in_a_slot_is_not_shown)
{
	struct lock_record record = {.magic = LOCK_RECORD_MAGIC, .holder = 1, .what = "forged"};
	struct users users;
	char path[64];
	int fd;

	ALONE(self, 0);
	EXPECT_EVENT("At");
	snprintf(path, sizeof(path), "%s/llc-0", self->tree.root);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)sizeof(record), pwrite(fd, &record, sizeof(record), 0));
	close(fd);
	users = users_of(self, "llc-0");
	EXPECT_EQ(1, users.nr);
	EXPECT_EQ(self->event.holder, users.first.record.pid);
	EXPECT_STREQ("", users.first.record.what);
}

/* ---- files and directories ---- */

TEST_F(locks, file_that_was_removed_is_made_anew_and_does_not_part_those_who_lock)
{
	char path[64];

	ALONE(self, 0);
	EXPECT_EVENT("At");
	ALONE(self, 0);
	EXPECT_EVENT("Bw");
	snprintf(path, sizeof(path), "%s/llc-0", self->tree.root);
	ASSERT_EQ(0, unlink(path));
	end(self, 'A');
	EXPECT_EVENT("Bt");
	ALONE(self, 0);
	EXPECT_EVENT("Cw");
	end(self, 'B');
	EXPECT_EVENT("Ct");
}

static void put(struct _test_data_locks *self, const char *name, const char *text)
{
	host_tree__put(&self->tree, text, "%s", name);
}

/* With what would be written to, or waited for, in place of a lock file */
TEST_F(locks, files_that_are_traps_are_refused_and_left_as_they_are)
{
	static const char *const why[] = {"Too many levels of symbolic links",
					  "no plain file with one name",
					  "no plain file with one name"};
	char path[64], target[64], text[64] = "";
	FILE *f;

	put(self, "target", "precious");
	snprintf(path, sizeof(path), "%s/llc-0", self->tree.root);
	snprintf(target, sizeof(target), "%s/target", self->tree.root);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, i == 0   ? symlink(target, path)
			     : i == 1 ? link(target, path)
				      : mkfifo(path, 0666));
		ALONE(self, 0);
		event(self);
		EXPECT_EQ('e', self->event.tag[1]);
		EXPECT_NE(NULL, strstr(self->event.text, why[i]))
		{
			TH_LOG("%s", self->event.text);
		}
		EXPECT_NE(NULL, strstr(self->event.text, path));
		ASSERT_EQ(0, unlink(path));
	}
	/* Who needs no lock goes on, and says so once. */
	ASSERT_EQ(0, symlink(target, path));
	start_capped(self, 3);
	EXPECT_EVENT("Dn");
	EXPECT_NE(NULL, strstr(self->event.text, "without locks"));
	EXPECT_CPUS("Dt", "0-2");
	f = fopen(target, "re");
	ASSERT_NE(NULL, f);
	ASSERT_NE(NULL, fgets(text, sizeof(text), f));
	fclose(f);
	EXPECT_STREQ("precious\n", text);
}

TEST_F(locks, directory_in_which_others_exchange_files_is_refused)
{
	ASSERT_EQ(0, chmod(self->tree.root, 0777));
	ALONE(self, 0);
	EXPECT_EVENT("Ae");
	EXPECT_EQ(EPERM, self->event.holder);
	EXPECT_NE(NULL, strstr(self->event.text, "mode 1777"));
	ASSERT_EQ(0, chmod(self->tree.root, 0700));
	ALONE(self, 0);
	EXPECT_EVENT("Bt");
}

TEST_F(locks, directory_is_made_for_all)
{
	char path[64], file[80];
	struct stat st;

	snprintf(path, sizeof(path), "%s/new", self->tree.root);
	snprintf(file, sizeof(file), "%s/llc-4", path);
	self->request.dir = path;
	ALONE(self, 4);
	EXPECT_EVENT("At");
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(S_IFDIR | 01777, st.st_mode);
	ASSERT_EQ(0, stat(file, &st));
	EXPECT_EQ(S_IFREG | 0666, st.st_mode);
}

TEST_F(locks, other_users_lock_the_same_files)
{
	if (geteuid())
		SKIP(return, "needs root");
	ALONE(self, 0);
	EXPECT_EVENT("At");
	self->uid = NOBODY;
	ALONE(self, 0, 2);
	EXPECT_EVENT("Bw");
	end(self, 'A');
	EXPECT_EVENT("Bt");
	self->uid = 0;
	ALONE(self, 2);
	EXPECT_EVENT("Cw");
	end(self, 'B');
	EXPECT_EVENT("Ct");
}

TEST_F(locks, file_of_another_user_alone_is_an_error_for_who_needs_it)
{
	char path[64];

	if (geteuid())
		SKIP(return, "needs root");
	put(self, "llc-0", "");
	snprintf(path, sizeof(path), "%s/llc-0", self->tree.root);
	ASSERT_EQ(0, chmod(path, 0600));
	self->uid = NOBODY;
	ALONE(self, 0);
	EXPECT_EVENT("Ae");
	EXPECT_EQ(EACCES, self->event.holder);
	start(self);
	EXPECT_EVENT("Bn");
	EXPECT_CPUS("Bt", "0-7");
}

TEST_F(locks, read_only_file_system_is_an_error_for_who_needs_locks)
{
	if (geteuid())
		SKIP(return, "needs root");
	self->read_only = true;
	ALONE(self, 0);
	EXPECT_EVENT("Ae");
	EXPECT_EQ(EROFS, self->event.holder);
	start(self);
	EXPECT_EVENT("Bn");
	EXPECT_CPUS("Bt", "0-7");
	EXPECT_EQ(0, self->event.holder);
}

TEST_F(locks, directory_by_the_environment_and_by_the_host)
{
	char path[PATH_MAX];
	struct stat st;

	setenv(LOCK_DIR_VARIABLE, "/somewhere", 1);
	lock_dir__path(path);
	EXPECT_STREQ("/somewhere", path);
	unsetenv(LOCK_DIR_VARIABLE);
	lock_dir__path(path);
	EXPECT_STREQ(stat("/run/lock", &st) || (st.st_mode & 01777) != 01777 ? "/tmp/ktstr-locks"
									     : "/run/lock/ktstr",
		     path);
}

TEST_F(locks, bad_variables_are_errors)
{
	static const char *const bad[] = {"x", "0", "-1", "1x", " 1", "99999999999"};
	struct ktstr_error error;
	uint32_t n;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		error = (struct ktstr_error){0};
		setenv(CPU_LOCKS_TIMEOUT_VARIABLE, bad[i], 1);
		setenv(CPU_CAP_VARIABLE, bad[i], 1);
		EXPECT_EQ(-EINVAL, cpu_locks__timeout(&n, &error))
		{
			TH_LOG("%s", bad[i]);
		}
		EXPECT_STREQ(CPU_LOCKS_TIMEOUT_VARIABLE, error.object);
		EXPECT_EQ(-EINVAL, cpu_locks__cap(&n, NULL))
		{
			TH_LOG("%s", bad[i]);
		}
	}
	setenv(CPU_LOCKS_TIMEOUT_VARIABLE, "7", 1);
	unsetenv(CPU_CAP_VARIABLE);
	EXPECT_EQ(0, cpu_locks__timeout(&n, NULL));
	EXPECT_EQ(7, n);
	EXPECT_EQ(0, cpu_locks__cap(&n, NULL));
	EXPECT_EQ(0, n);
}

/* ---- many ---- */

#define MANY 12
#define ROUNDS 15

struct table {
	_Atomic int alone[4], shared[4];
	_Atomic int broken;
};

static void enter(struct table *table, const struct host_set *llcs, bool exclusive, int step)
{
	for (uint32_t i = 0; i < 4; i++) {
		if (!host_set__has(llcs, i * 2))
			continue;
		atomic_fetch_add(exclusive ? &table->alone[i] : &table->shared[i], step);
		if (step > 0 && (atomic_load(&table->alone[i]) > 1 ||
				 (atomic_load(&table->alone[i]) && atomic_load(&table->shared[i]))))
			atomic_store(&table->broken, 1);
	}
}

static void play(struct _test_data_locks *self, struct table *table, unsigned int seed)
{
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t llcs[4], nr = 0, wanted = (uint32_t)rand_r(&seed);
		struct cpu_locks_request request = self->request;
		struct cpu_locks *locks;

		request.exclusive = wanted & 16;
		for (uint32_t llc = 0; llc < 4; llc++)
			if (wanted >> llc & 1)
				llcs[nr++] = llc * 2;
		if (!nr)
			llcs[nr++] = 0;
		request.llcs = llcs;
		request.nr_llcs = nr;
		request.cpus = request.exclusive ? 0 : wanted >> 8 & 7;
		if (cpu_locks__take(&request, &locks, NULL) || !cpu_locks__holder(locks))
			_exit(1);
		enter(table, cpu_locks__llcs(locks), request.exclusive, 1);
		sched_yield();
		enter(table, cpu_locks__llcs(locks), request.exclusive, -1);
		cpu_locks__give_back(locks);
	}
	_exit(0);
}

TEST_F(locks, many_never_break_the_rules_and_all_get_through)
{
	struct table *table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	ASSERT_NE(MAP_FAILED, table);
	for (unsigned int i = 0; i < MANY; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			play(self, table, i + 1);
	}
	for (unsigned int i = 0; i < MANY; i++) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(0, atomic_load(&table->broken));
}

TEST_HARNESS_MAIN
