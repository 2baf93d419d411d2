// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that are kept on a CPU: by affinity, and by cgroups where this is root and the host's
 * cpuset controller is cgroup v2's. For these each test has a cgroup of its own.
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cpu_confine.h"

#define CGROUPS "/sys/fs/cgroup"
#define NO_CPUSET "needs root and a cgroup v2 with the cpuset controller"

static bool put(const char *dir, const char *name, const char *text)
{
	char path[256];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) > 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static const char *get(const char *dir, const char *name, char buf[256])
{
	char path[300];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, 255);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
	return buf;
}

/* Names that begin like ours */
static unsigned int count_children(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	unsigned int nr = 0;

	while (d && (entry = readdir(d)))
		nr += !strncmp(entry->d_name, "ktstr-", 6);
	if (d)
		closedir(d);
	return nr;
}

FIXTURE(confine)
{
	struct host_set all, one;
	char outer[48], cgroup[64]; /* "": none */
	bool enabled;		    /* by us, for all of the host */
	struct cpu_confine *c;
	struct ktstr_error error;
};

FIXTURE_VARIANT(confine)
{
	bool cgroup;
};

FIXTURE_VARIANT_ADD(confine, affinity){.cgroup = false};
FIXTURE_VARIANT_ADD(confine, cgroup){.cgroup = true};

FIXTURE_SETUP(confine)
{
	char text[256];

	memset(&self->error, 0, sizeof(self->error));
	self->c = NULL;
	self->cgroup[0] = '\0';
	self->enabled = false;
	ASSERT_EQ(0, host_set__allowed(&self->all));
	memset(&self->one, 0, sizeof(self->one));
	host_set__add(&self->one, host_set__lowest(&self->all, &self->all));
	if (variant->cgroup &&
	    (geteuid() || !strstr(get(CGROUPS, "cgroup.controllers", text), "cpuset")))
		SKIP(return, NO_CPUSET);
	if (geteuid() || access(CGROUPS "/cgroup.procs", W_OK))
		return;
	/* The inner one has the controller only when the outer one passes it on. */
	snprintf(self->outer, sizeof(self->outer), CGROUPS "/test-%d", getpid());
	snprintf(self->cgroup, sizeof(self->cgroup), "%s/inner", self->outer);
	ASSERT_EQ(0, mkdir(self->outer, 0755));
	ASSERT_EQ(0, mkdir(self->cgroup, 0755));
	if (variant->cgroup) {
		self->enabled = !strstr(get(CGROUPS, "cgroup.subtree_control", text), "cpuset");
		ASSERT_TRUE(put(CGROUPS, "cgroup.subtree_control", "+cpuset"));
		ASSERT_TRUE(put(self->outer, "cgroup.subtree_control", "+cpuset"));
	}
	ASSERT_TRUE(put(self->cgroup, "cgroup.procs", "0"));
}

FIXTURE_TEARDOWN(confine)
{
	cpu_confine__destroy(self->c);
	if (!self->cgroup[0])
		return;
	EXPECT_EQ(0, count_children(self->cgroup));
	put(CGROUPS, "cgroup.procs", "0");
	EXPECT_EQ(0, rmdir(self->cgroup));
	EXPECT_EQ(0, rmdir(self->outer));
	if (self->enabled)
		put(CGROUPS, "cgroup.subtree_control", "-cpuset");
}

static void *look(void *opaque)
{
	return (void *)(uintptr_t)host_set__allowed(opaque);
}

/* What a thread that is made now may use. */
static struct host_set of_a_new_thread(void)
{
	struct host_set set;
	pthread_t thread;

	if (pthread_create(&thread, NULL, look, &set) || pthread_join(thread, NULL))
		abort();
	return set;
}

static bool is(const struct host_set *a, const struct host_set *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool may_use(const struct host_set *set)
{
	struct host_set now;

	return !host_set__allowed(&now) && is(&now, set);
}

TEST_F(confine, thread_and_those_it_makes_while_it_has_entered)
{
	struct host_set set;

	ASSERT_EQ(0, cpu_confine__create(&self->one, &self->c, &self->error));
	TH_LOG("%s", cpu_confine__text(self->c));
	EXPECT_NE(NULL, strstr(cpu_confine__text(self->c),
			       variant->cgroup ? "/inner/ktstr-" : ", by affinity: "));
	EXPECT_TRUE(may_use(&self->all));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, cpu_confine__enter(self->c, &self->error));
		EXPECT_TRUE(may_use(&self->one));
		set = of_a_new_thread();
		EXPECT_TRUE(is(&set, &self->one));
		cpu_confine__leave(self->c);
		EXPECT_TRUE(may_use(&self->all));
		set = of_a_new_thread();
		EXPECT_TRUE(is(&set, &self->all));
	}
}

TEST_F(confine, two_in_one_process)
{
	struct cpu_confine *other;

	ASSERT_EQ(0, cpu_confine__create(&self->one, &self->c, &self->error));
	ASSERT_EQ(0, cpu_confine__create(&self->all, &other, &self->error));
	if (variant->cgroup)
		EXPECT_EQ(2, count_children(self->cgroup));
	EXPECT_EQ(0, cpu_confine__enter(other, NULL));
	cpu_confine__leave(other);
	cpu_confine__destroy(other);
	EXPECT_EQ(0, cpu_confine__enter(self->c, NULL));
	EXPECT_TRUE(may_use(&self->one));
	cpu_confine__leave(self->c);
}

TEST_F(confine, nothing_and_nobody)
{
	cpu_confine__destroy(NULL);
	cpu_confine__leave(NULL);
	EXPECT_EQ(0, cpu_confine__enter(NULL, NULL));
	/* No CPU that there is */
	memset(&self->one, 0, sizeof(self->one));
	host_set__add(&self->one, HOST_MAX_CPUS - 1);
	EXPECT_GT(0, cpu_confine__create(&self->one, &self->c, &self->error));
	EXPECT_NE(0, self->error.err);
	EXPECT_TRUE(may_use(&self->all));
}

/* The process is where it was; the thread, in a cgroup that has what was asked for. */
TEST_F(confine, cgroup_has_the_thread_and_not_the_process)
{
	char child[128], text[256];
	const char *name;

	if (!variant->cgroup)
		return;
	ASSERT_EQ(0, cpu_confine__create(&self->one, &self->c, &self->error));
	name = strrchr(cpu_confine__text(self->c), '/');
	ASSERT_NE(NULL, name);
	snprintf(child, sizeof(child), "%s%s", self->cgroup, name);
	ASSERT_EQ(0, cpu_confine__enter(self->c, &self->error));
	EXPECT_EQ(getpid(), (pid_t)strtol(get(child, "cgroup.threads", text), NULL, 10));
	EXPECT_EQ(getpid(), (pid_t)strtol(get(self->cgroup, "cgroup.procs", text), NULL, 10));
	EXPECT_STREQ("threaded", get(child, "cgroup.type", text));
	cpu_confine__leave(self->c);
	EXPECT_STREQ("", get(child, "cgroup.threads", text));
	EXPECT_EQ(host_set__lowest(&self->one, &self->one),
		  strtoul(get(child, "cpuset.cpus", text), NULL, 10));
	cpu_confine__destroy(self->c);
	self->c = NULL;
	EXPECT_EQ(-1, access(child, F_OK));
	EXPECT_STREQ("", get(self->cgroup, "cgroup.subtree_control", text));
}

/* That of a program that lives stays, though it has no thread. */
TEST_F(confine, cgroup_of_a_killed_program_is_removed_by_the_next)
{
	int fds[2];
	char byte;

	if (!variant->cgroup)
		return;
	ASSERT_EQ(0, pipe(fds));
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct cpu_confine *c;

			if (cpu_confine__create(&self->one, &c, NULL) ||
			    cpu_confine__enter(c, NULL) || write(fds[1], "", 1) != 1)
				_exit(1);
			pause();
		}
		ASSERT_EQ(1, read(fds[0], &byte, 1));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	EXPECT_EQ(1, count_children(self->cgroup));
	ASSERT_EQ(0, cpu_confine__create(&self->one, &self->c, &self->error));
	EXPECT_EQ(1, count_children(self->cgroup));
	if (!fork()) {
		struct cpu_confine *c;

		_exit(cpu_confine__create(&self->one, &c, NULL) != 0);
	}
	wait(NULL);
	EXPECT_EQ(2, count_children(self->cgroup));
	cpu_confine__destroy(self->c);
	self->c = NULL;
	ASSERT_EQ(0, cpu_confine__create(&self->one, &self->c, &self->error));
	EXPECT_EQ(1, count_children(self->cgroup));
}

TEST_HARNESS_MAIN
