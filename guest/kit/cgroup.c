// SPDX-License-Identifier: GPL-2.0-only
/* Control groups of version 2; see cgroup.h. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CGROUP_SCENARIO CGROUP_ROOT "/ktstr-scenario"
#define CGROUP_CONTROLLERS "+cpu +cpuset"
#define CGROUP_MAX_PERIOD_US 100000u
#define CGROUP_EMPTY_MS 5000u

struct cgroup_path {
	char text[192];
};

static struct cgroup_path path_of(const char *name, const char *file)
{
	struct cgroup_path path;

	snprintf(path.text, sizeof(path.text), CGROUP_SCENARIO "/%s/%s", name, file);
	return path;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int set(const char *name, const char *file, const char *text)
{
	return write_file(path_of(name, file).text, text);
}

/* Lets the children of the cgroup in which "a/b" lies have controllers. */
static int enable_above(const char *name)
{
	const char *slash = strrchr(name, '/');
	char parent[128];

	if (!slash)
		return write_file(CGROUP_SCENARIO "/cgroup.subtree_control", CGROUP_CONTROLLERS);
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
	return set(parent, "cgroup.subtree_control", CGROUP_CONTROLLERS);
}

/* ---- Waiting for what cgroup.events says ---- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Until a line of a cgroup.events is @line; the kernel says when it changes (POLLPRI). */
static int wait_for(const char *path, const char *line, uint32_t timeout_ms)
{
	uint64_t end_ms = now_ms() + timeout_ms, now;
	struct pollfd pfd = {.fd = open(path, O_RDONLY | O_CLOEXEC), .events = POLLPRI};
	char text[256];
	int err = 0;

	if (pfd.fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = pread(pfd.fd, text, sizeof(text) - 1, 0);

		if (n < 0) {
			err = -errno;
			break;
		}
		text[n] = '\0';
		if (strstr(text, line))
			break;
		now = now_ms();
		if (now >= end_ms) {
			err = -ETIMEDOUT;
			break;
		}
		if (poll(&pfd, 1, (int)(end_ms - now)) < 0 && errno != EINTR) {
			err = -errno;
			break;
		}
	}
	close(pfd.fd);
	return err;
}

/* ---- The scenario's own ---- */

/* A process that has been waited for may be in its cgroup for an instant yet. */
static int remove_empty(const char *path)
{
	char events[256];

	if (!rmdir(path))
		return 0;
	if (errno != EBUSY)
		return -errno;
	snprintf(events, sizeof(events), "%s/cgroup.events", path);
	if (wait_for(events, "populated 0", CGROUP_EMPTY_MS))
		return -EBUSY;
	return rmdir(path) ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)at;
	return kind == FTW_DP ? remove_empty(path) : 0;
}

int cgroup__begin(void)
{
	int err = cgroup__end();

	if (err)
		return err;
	err = write_file(CGROUP_ROOT "/cgroup.subtree_control", CGROUP_CONTROLLERS);
	if (!err && mkdir(CGROUP_SCENARIO, 0755))
		err = -errno;
	return err ? err : cgroup__add(CGROUP_DEFAULT);
}

int cgroup__end(void)
{
	int ret;

	if (access(CGROUP_SCENARIO, F_OK))
		return errno == ENOENT ? 0 : -errno;
	ret = nftw(CGROUP_SCENARIO, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return ret < -1 || !ret ? ret : -errno;
}

/* ---- Those of a scenario ---- */

int cgroup__add(const char *name)
{
	int err = enable_above(name);

	if (!err && mkdir(path_of(name, "").text, 0755))
		err = -errno;
	return err;
}

int cgroup__remove(const char *name)
{
	return remove_empty(path_of(name, "").text);
}

int cgroup__set_cpus(const char *name, const struct cpu_bits *cpus)
{
	char *text;
	size_t length;
	int err;

	if (!cpus)
		return set(name, "cpuset.cpus", "\n");
	length = cpu_bits__format(cpus, NULL, 0);
	text = malloc(length + 1);
	if (!text)
		return -ENOMEM;
	cpu_bits__format(cpus, text, length + 1);
	err = set(name, "cpuset.cpus", text);
	free(text);
	return err;
}

int cgroup__set_memory_nodes(const char *name, uint64_t nodes)
{
	struct cpu_bits bits = {.words = {nodes}};
	char text[256];

	cpu_bits__format(&bits, text, sizeof(text));
	return set(name, "cpuset.mems", text);
}

int cgroup__set_weight(const char *name, uint32_t weight)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", weight);
	return set(name, "cpu.weight", text);
}

int cgroup__set_max(const char *name, uint32_t percent)
{
	char text[48];

	if (percent)
		snprintf(text, sizeof(text), "%ju %u",
			 (uintmax_t)percent * (CGROUP_MAX_PERIOD_US / 100), CGROUP_MAX_PERIOD_US);
	else
		snprintf(text, sizeof(text), "max %u", CGROUP_MAX_PERIOD_US);
	return set(name, "cpu.max", text);
}

int cgroup__freeze(const char *name, bool freeze, uint32_t timeout_ms)
{
	int err = set(name, "cgroup.freeze", freeze ? "1" : "0");

	return err ? err
		   : wait_for(path_of(name, "cgroup.events").text, freeze ? "frozen 1" : "frozen 0",
			      timeout_ms);
}

int cgroup__enter(const char *name, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	return set(name, "cgroup.procs", text);
}
