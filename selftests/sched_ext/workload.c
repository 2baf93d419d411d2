// SPDX-License-Identifier: GPL-2.0-only
/* Load and measurement for scheduler tests; see workload.h. */
#include "workload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int file__read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -errno;
	length = read(fd, buf, size - 1);
	if (length < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	close(fd);
	if (length && buf[length - 1] == '\n')
		length--;
	buf[length] = '\0';
	return 0;
}

int file__write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

bool cpu_list__parse(const char *text, uint64_t *cpus)
{
	*cpus = 0;
	while (*text) {
		unsigned int first, last;
		int used = 0;

		if (sscanf(text, "%u%n", &first, &used) != 1)
			return false;
		text += used;
		last = first;
		if (*text == '-') {
			if (sscanf(text, "-%u%n", &last, &used) != 1)
				return false;
			text += used;
		}
		if (last < first || last >= 64)
			return false;
		for (; first <= last; first++)
			*cpus |= UINT64_C(1) << first;
		if (*text == ',')
			text++;
		else if (*text)
			return false;
	}
	return true;
}

static void cgroup_path(char *path, size_t size, const char *name, const char *file)
{
	snprintf(path, size, CGROUP_ROOT "/%s/%s", name, file);
}

int cgroup__create(const char *name, unsigned int weight)
{
	char path[256], text[16];
	int err;

	err = file__write(CGROUP_ROOT "/cgroup.subtree_control", "+cpu");
	if (err)
		return err;
	cgroup_path(path, sizeof(path), name, "");
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	cgroup_path(path, sizeof(path), name, "cpu.weight");
	snprintf(text, sizeof(text), "%u", weight);
	return file__write(path, text);
}

int cgroup__usage_us(const char *name, uint64_t *usage_us)
{
	char path[256], stat[2048], *at;
	int err;

	cgroup_path(path, sizeof(path), name, "cpu.stat");
	err = file__read(path, stat, sizeof(stat));
	if (err)
		return err;
	at = strstr(stat, "usage_usec ");
	if (!at)
		return -ENOENT;
	*usage_us = strtoull(at + strlen("usage_usec "), NULL, 10);
	return 0;
}

static void __attribute__((noreturn)) spin(int start)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(start, &byte, 1) != 1)
		_exit(1);
	for (;;)
		__asm__ volatile("" ::: "memory");
}

int spinners__create(struct spinners *spinners, const char *cgroup, unsigned int nr)
{
	int ends[2], err = 0;
	char path[256], text[16];

	*spinners = (struct spinners){.start = -1};
	if (nr > MAX_SPINNERS)
		return -EINVAL;
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	while (spinners->nr < nr && !err) {
		pid_t pid = fork();

		if (pid < 0) {
			err = -errno;
			break;
		}
		if (!pid) {
			close(ends[1]);
			spin(ends[0]);
		}
		spinners->pids[spinners->nr++] = pid;
		if (cgroup) {
			cgroup_path(path, sizeof(path), cgroup, "cgroup.procs");
			snprintf(text, sizeof(text), "%d", pid);
			err = file__write(path, text);
		}
	}
	close(ends[0]);
	spinners->start = ends[1];
	if (err)
		spinners__stop(spinners);
	return err;
}

int spinners__start(struct spinners *spinners)
{
	static const char bytes[MAX_SPINNERS];
	ssize_t written = write(spinners->start, bytes, spinners->nr);

	return written < 0 ? -errno : 0;
}

void spinners__stop(struct spinners *spinners)
{
	unsigned int i;

	for (i = 0; i < spinners->nr; i++)
		kill(spinners->pids[i], SIGKILL);
	for (i = 0; i < spinners->nr; i++)
		waitpid(spinners->pids[i], NULL, 0);
	if (spinners->start >= 0)
		close(spinners->start);
	*spinners = (struct spinners){.start = -1};
}

int process__cpu_ns(pid_t pid, uint64_t *ns)
{
	char path[64], text[128];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	err = file__read(path, text, sizeof(text));
	if (err)
		return err;
	*ns = strtoull(text, NULL, 10);
	return 0;
}

pid_t process__find(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t pid = 0;

	while (proc && !pid && (entry = readdir(proc))) {
		char path[300], comm[32];

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    !file__read(path, comm, sizeof(comm)) && !strcmp(comm, name))
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	if (proc)
		closedir(proc);
	return pid;
}

void sleep_ms(unsigned int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}
