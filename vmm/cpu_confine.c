// SPDX-License-Identifier: GPL-2.0-only
/* Threads on some CPUs: a threaded cpuset cgroup of cgroup v2
 * (Documentation/admin-guide/cgroup-v2), or sched_setaffinity(2). */
#include "cpu_confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "ktstr-"

/* Of a thread that has ended, the kernel lets go a moment after it was joined. */
#define EMPTY_TIMEOUT_MS 1000

struct cpu_confine {
	struct host_set cpus;
	struct host_set before; /* of the thread that has entered */
	/* Of the cgroup; -1: by affinity */
	int parent_fd, fd;
	bool enabled; /* the controller, by us */
	char path[PATH_MAX], name[64];
	char why[256]; /* there is none */
	char text[PATH_MAX + 400];
};

__attribute__((format(printf, 3, 4))) static int fail(struct cpu_confine *c, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->why, sizeof(c->why), format, args);
	va_end(args);
	return err;
}

/* ---- files of a cgroup ---- */

static int put(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int get(int dir_fd, const char *name, char *buf, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*buf = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* Among words with spaces between them */
static bool has_cpuset(const char *list)
{
	static const char word[] = "cpuset";
	const char *at = list;

	while ((at = strstr(at, word))) {
		char after = at[sizeof(word) - 1];

		if ((at == list || at[-1] == ' ') && (!after || after == ' ' || after == '\n'))
			return true;
		at++;
	}
	return false;
}

/* ---- where it is ---- */

/* The line "0::PATH" is that of cgroup v2. */
static int find_own(char path[PATH_MAX])
{
	FILE *f = fopen("/proc/thread-self/cgroup", "re");
	char line[PATH_MAX];
	int err = -ENOENT;

	if (!f)
		return -errno;
	while (err && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		/* "/..": it is above what this cgroup namespace shows */
		if (strncmp(line, "0::/", 4) != 0 || strstr(line, "/.."))
			continue;
		snprintf(path, PATH_MAX, "%s", line + 3);
		err = 0;
	}
	fclose(f);
	return err;
}

/*
 * "36 35 98:0 /root /mount/point options [fields] - type source options" (proc_pid_mountinfo(5)).
 * NULL: it is no cgroup v2; otherwise its root is in @root.
 */
static const char *mount_point(char *line, const char **root)
{
	const char *point = NULL;
	char *save = NULL, *word = strtok_r(line, " ", &save);

	*root = NULL;
	for (int i = 0; word && strcmp(word, "-") != 0; i++) {
		if (i == 3)
			*root = word;
		if (i == 4)
			point = word;
		word = strtok_r(NULL, " ", &save);
	}
	word = strtok_r(NULL, " ", &save);
	return word && !strcmp(word, "cgroup2") ? point : NULL;
}

/* The directory of the cgroup @own, where a mount shows it. */
static int open_own(const char *own)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, dir[2 * PATH_MAX];
	size_t size = 0;
	int fd = -ENOENT;

	if (!f)
		return -errno;
	while (fd < 0 && getline(&line, &size, f) > 0) {
		const char *root, *point = mount_point(line, &root);
		size_t length = point && strcmp(root, "/") != 0 ? strlen(root) : 0;

		if (!point || strncmp(own, root, length) != 0 ||
		    (length && own[length] && own[length] != '/'))
			continue;
		snprintf(dir, sizeof(dir), "%s/%s", point, own + length);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	free(line);
	fclose(f);
	return fd;
}

/* ---- the cgroup ---- */

/* Calls @fn for each of ours, until it is true. */
static bool any_child(int parent_fd, bool (*fn)(int parent_fd, const char *name))
{
	int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool ret = false;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!ret && (entry = readdir(dir)))
		ret = !strncmp(entry->d_name, PREFIX, strlen(PREFIX)) &&
		      fn(parent_fd, entry->d_name);
	closedir(dir);
	return ret;
}

/* Whoever uses one has it locked. */
static bool remove_stale(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		unlinkat(parent_fd, name, AT_REMOVEDIR);
	if (fd >= 0)
		close(fd);
	return false;
}

static bool is_there(int parent_fd, const char *name)
{
	(void)parent_fd;
	(void)name;
	return true;
}

static int enable(struct cpu_confine *c)
{
	char text[512];
	int err = get(c->parent_fd, "cgroup.controllers", text, sizeof(text));

	if (err)
		return fail(c, err, "%s: cgroup.controllers: %s", c->path, strerror(-err));
	if (!has_cpuset(text))
		return fail(c, -ENOTSUP, "the cgroup %s has no cpuset controller", c->path);
	get(c->parent_fd, "cgroup.subtree_control", text, sizeof(text));
	if (has_cpuset(text))
		return 0;
	err = put(c->parent_fd, "cgroup.subtree_control", "+cpuset");
	if (err)
		return fail(c, err, "%s: cgroup.subtree_control: %s", c->path, strerror(-err));
	c->enabled = true;
	return 0;
}

/* With the parent locked: who tidies up there does not see it half made. */
static int make(struct cpu_confine *c)
{
	struct host_set effective;
	unsigned int nr = 0; /* one process may have several */
	char list[4096];
	int err;

	any_child(c->parent_fd, remove_stale);
	err = enable(c);
	if (err)
		return err;
	do {
		snprintf(c->name, sizeof(c->name), PREFIX "%d-%u", getpid(), nr++);
		err = mkdirat(c->parent_fd, c->name, 0755) ? -errno : 0;
	} while (err == -EEXIST && nr < 1000);
	if (err) {
		c->name[0] = '\0';
		return fail(c, err, "%s: mkdir: %s", c->path, strerror(-err));
	}
	c->fd = openat(c->parent_fd, c->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0 || flock(c->fd, LOCK_EX | LOCK_NB))
		return fail(c, -errno, "%s/%s: %s", c->path, c->name, strerror(errno));
	err = put(c->fd, "cgroup.type", "threaded");
	if (err)
		return fail(c, err, "%s/%s: cgroup.type: %s", c->path, c->name, strerror(-err));
	host_set__format(&c->cpus, list, sizeof(list));
	err = put(c->fd, "cpuset.cpus", list);
	if (!err)
		err = get(c->fd, "cpuset.cpus.effective", list, sizeof(list));
	if (err)
		return fail(c, err, "%s/%s: cpuset.cpus: %s", c->path, c->name, strerror(-err));
	if (host_set__parse(list, &effective) || memcmp(&effective, &c->cpus, sizeof(effective)))
		return fail(c, -EINVAL, "%s/%s: its CPUs are not those that were set", c->path,
			    c->name);
	return 0;
}

/* Waits for the end of threads that were joined. */
static void remove_cgroup(const struct cpu_confine *c)
{
	int fd = openat(c->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256];

	for (;;) {
		struct pollfd pfd = {.fd = fd, .events = POLLPRI};

		/* What comes after it was read wakes the poll. */
		if (fd < 0 || pread(fd, text, sizeof(text), 0) < 0)
			break;
		if (!unlinkat(c->parent_fd, c->name, AT_REMOVEDIR) || errno != EBUSY)
			break;
		if (poll(&pfd, 1, EMPTY_TIMEOUT_MS) <= 0)
			break;
	}
	if (fd >= 0)
		close(fd);
}

static void drop(struct cpu_confine *c)
{
	if (c->parent_fd >= 0) {
		flock(c->parent_fd, LOCK_EX);
		if (c->fd >= 0)
			remove_cgroup(c);
		else if (c->name[0])
			unlinkat(c->parent_fd, c->name, AT_REMOVEDIR);
		if (c->enabled && !any_child(c->parent_fd, is_there))
			put(c->parent_fd, "cgroup.subtree_control", "-cpuset");
		close(c->parent_fd);
	}
	if (c->fd >= 0)
		close(c->fd);
	c->fd = c->parent_fd = -1;
	c->enabled = false;
}

static int set_affinity(const struct host_set *set)
{
	return sched_setaffinity(0, sizeof(set->words), (const cpu_set_t *)set->words) ? -errno : 0;
}

static void leave_cgroup(struct cpu_confine *c)
{
	put(c->parent_fd, "cgroup.threads", "0");
	set_affinity(&c->before);
}

/*
 * With the affinity too: who takes the controller off the cgroup takes nothing off the threads.
 */
static int enter_cgroup(struct cpu_confine *c)
{
	int err = put(c->fd, "cgroup.threads", "0");

	return err ? err : set_affinity(&c->cpus);
}

/* 0, and threads can be put there; otherwise c->why. */
static int make_cgroup(struct cpu_confine *c)
{
	int err = find_own(c->path);

	if (err)
		return fail(c, err, "this process is in no cgroup of cgroup v2");
	c->parent_fd = open_own(c->path);
	if (c->parent_fd < 0) {
		err = c->parent_fd;
		c->parent_fd = -1;
		return fail(c, err, "the cgroup %s: %s", c->path,
			    err == -ENOENT ? "it is not mounted here" : strerror(-err));
	}
	flock(c->parent_fd, LOCK_EX);
	err = make(c);
	flock(c->parent_fd, LOCK_UN);
	if (!err) {
		err = enter_cgroup(c);
		if (err)
			fail(c, err, "%s/%s: cgroup.threads: %s", c->path, c->name, strerror(-err));
		leave_cgroup(c);
	}
	if (err)
		drop(c);
	return err;
}

int cpu_confine__create(const struct host_set *cpus, struct cpu_confine **out,
			struct ktstr_error *error)
{
	struct cpu_confine *c = calloc(1, sizeof(*c));
	char list[256];
	int err;

	*out = NULL;
	if (!c)
		return ktstr_error__set(error, ENOMEM, "confine", "threads", NULL);
	c->cpus = *cpus;
	c->parent_fd = c->fd = -1;
	host_set__format(cpus, list, sizeof(list));
	if (!host_set__allowed(&c->before) && !make_cgroup(c)) {
		snprintf(c->text, sizeof(c->text), "CPUs %s, by the cgroup %s/%s", list,
			 c->path[1] ? c->path : "", c->name);
		*out = c;
		return 0;
	}
	snprintf(c->text, sizeof(c->text), "CPUs %s, by affinity: %s", list, c->why);
	err = cpu_confine__enter(c, error);
	if (err) {
		cpu_confine__destroy(c);
		return err;
	}
	cpu_confine__leave(c);
	*out = c;
	return 0;
}

void cpu_confine__destroy(struct cpu_confine *c)
{
	if (!c)
		return;
	drop(c);
	free(c);
}

int cpu_confine__enter(struct cpu_confine *c, struct ktstr_error *error)
{
	int err = c ? host_set__allowed(&c->before) : 0;

	if (!c)
		return 0;
	if (!err)
		err = c->fd >= 0 ? enter_cgroup(c) : set_affinity(&c->cpus);
	return err ? ktstr_error__set(error, -err, "confine to", c->text, NULL) : 0;
}

void cpu_confine__leave(struct cpu_confine *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		leave_cgroup(c);
	else
		set_affinity(&c->before);
}

const char *cpu_confine__text(const struct cpu_confine *c)
{
	return c->text;
}
