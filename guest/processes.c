// SPDX-License-Identifier: GPL-2.0-only
/* Finds processes in a procfs of our own and kills them. */
#include "processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "setup.h"

#define PF_KTHREAD 0x00200000ul /* include/linux/sched.h */

/* Numbers of /proc/PID/stat (proc(5)), from the fourth field on; the third is the state. */
enum { PARENT = 0, PGRP = 1, SESSION = 2, FLAGS = 5, THREADS = 16, NR_FIELDS };

struct stat_fields {
	char state;
	long fields[NR_FIELDS];
};

int processes__open(void)
{
	int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC), mount = -1, fd;

	if (fs >= 0) {
		if (!syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
			mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
		close(fs);
	}
	if (mount < 0)
		mount = AT_FDCWD;
	fd = openat(mount, mount == AT_FDCWD ? "/proc" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	if (mount != AT_FDCWD)
		close(mount);
	return fd;
}

/* False when the process is gone. */
static bool read_stat(int proc, const char *pid, struct stat_fields *stat)
{
	char path[300], line[1024], *at, *end;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "%s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[length < 0 ? 0 : length] = '\0';
	at = strrchr(line, ')'); /* the name before may hold anything */
	if (!at || at[1] != ' ' || !at[2])
		return false;
	stat->state = at[2];
	at += 3;
	for (size_t i = 0; i < NR_FIELDS; i++, at = end) {
		stat->fields[i] = strtol(at, &end, 10);
		if (end == at)
			return false;
	}
	return true;
}

/* A zombie that has threads is a process whose first thread alone has ended. */
static bool lives(const struct stat_fields *stat)
{
	return stat->state != 'X' && (stat->state != 'Z' || stat->fields[THREADS] > 1);
}

static DIR *open_list(int proc)
{
	int copy = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (dir || copy < 0)
		return dir;
	err = errno;
	close(copy);
	errno = err;
	return NULL;
}

/* A group is killed at once: of processes that fork and end, one would escape. */
static void kill_with_group(pid_t pid, const struct stat_fields *stat)
{
	if (stat->fields[PGRP] > 1 && stat->fields[PGRP] != getpgrp())
		kill((pid_t)-stat->fields[PGRP], SIGKILL);
	kill(pid, SIGKILL);
}

int processes__kill(int proc, pid_t spared, uint64_t deadline_ns)
{
	DIR *dir = open_list(proc);
	struct stat_fields stat;
	struct dirent *entry;
	int alive = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (guest__boot_ns() >= deadline_ns) { /* those that were not looked at may live */
			alive += !alive;
			break;
		}
		if (pid <= 1 || !read_stat(proc, entry->d_name, &stat) || !lives(&stat) ||
		    ((unsigned long)stat.fields[FLAGS] & PF_KTHREAD))
			continue;
		if (spared && (pid == spared || stat.fields[SESSION] == spared))
			continue;
		kill_with_group(pid, &stat);
		alive++;
	}
	closedir(dir);
	return alive;
}

int processes__kill_children(int proc, pid_t counted_not)
{
	DIR *dir = open_list(proc);
	struct stat_fields stat;
	struct dirent *entry;
	int killed = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 1 || !read_stat(proc, entry->d_name, &stat) || !lives(&stat) ||
		    stat.fields[PARENT] != getpid())
			continue;
		kill_with_group(pid, &stat);
		killed += pid != counted_not;
	}
	closedir(dir);
	return killed;
}
