// SPDX-License-Identifier: GPL-2.0-only
/* `ktstr locks`: who has this host's LLCs, who waits for them, and what the budget has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../budget.h"
#include "../cpu_locks.h"
#include "cli.h"

#define COMMAND "locks"

struct view {
	const struct host_topology *host;
	uint32_t llc;
	int fd;	      /* of its lock file; -1: nobody has ever locked it */
	bool waiters; /* are shown, or holders */
	uint32_t nr;
};

static void usage(FILE *to)
{
	fputs("Usage: ktstr locks\n"
	      "\n"
	      "Prints each last-level cache of this host: its CPUs, whether machines share it or "
	      "one "
	      "has\n"
	      "it alone, which, and who waits; then what all machines have of the budget.\n",
	      to);
}

/* The CPUs that the record names; false: it is all of them. */
static bool part_of(const struct view *view, const struct lock_record *r, struct host_set *set)
{
	uint32_t place = 0;
	bool part = false;

	*set = (struct host_set){0};
	for (uint32_t i = 0; i < view->host->nr_cpus; i++) {
		const struct host_cpu *cpu = &view->host->cpus[i];

		if (cpu_locks__of(view->host, cpu) != view->llc)
			continue;
		if (place < LOCK_RECORD_CPUS && (r->cpus[place / 64] >> place % 64 & 1))
			host_set__add(set, cpu->cpu);
		else
			part = true;
		place++;
	}
	return part && host_set__count(set);
}

static void count_user(void *opaque, const struct lock_user *user)
{
	struct view *view = opaque;

	view->nr += !user->record.waits;
}

static void print_user(void *opaque, const struct lock_user *user)
{
	const struct view *view = opaque;
	char text[400], list[256];
	struct host_set set;

	if (view->waiters != !!user->record.waits)
		return;
	cpu_locks__describe(user, text, sizeof(text));
	printf("    %s", text);
	if (!view->waiters && part_of(view, &user->record, &set)) {
		host_set__format(&set, list, sizeof(list));
		printf(", CPUs %s", list);
	}
	putchar('\n');
}

static void print_users(struct view *view)
{
	pid_t pid;
	short lock = lock_file__get(view->fd, LOCK_FILE_USE, F_WRLCK, &pid);

	lock_file__users(view->fd, count_user, view);
	if (lock == F_UNLCK)
		puts("free");
	else if (lock == F_WRLCK)
		puts("taken alone");
	else
		printf("shared by %u\n", view->nr ? view->nr : 1);
	if (lock != F_UNLCK && !view->nr)
		printf("    pid %d, which left no record\n", pid);
	lock_file__users(view->fd, print_user, view);
	view->waiters = true;
	lock_file__users(view->fd, print_user, view);
}

static void print_llc(const struct host_topology *host, int dir_fd, uint32_t llc)
{
	struct view view = {.host = host, .llc = llc, .fd = -ENOENT};
	struct host_set set = {0};
	char name[32], list[256];

	for (uint32_t i = 0; i < host->nr_cpus; i++)
		if (cpu_locks__of(host, &host->cpus[i]) == llc)
			host_set__add(&set, host->cpus[i].cpu);
	host_set__format(&set, list, sizeof(list));
	if (cpu_locks__knows_llcs(host))
		printf("LLC of CPUs %s: ", list);
	else
		printf("CPUs %s, whose LLCs are not known: ", list);
	lock_file__name(llc, name);
	if (dir_fd >= 0)
		view.fd = lock_file__open(dir_fd, name, false);
	if (view.fd == -ENOENT) {
		puts("free");
	} else if (view.fd < 0) {
		printf("not known: %s: %s\n", name,
		       view.fd == -EPERM ? "no plain file with one name" : strerror(-view.fd));
	} else {
		print_users(&view);
		close(view.fd);
	}
}

static void print_llcs(const struct host_topology *host, int dir_fd)
{
	for (uint32_t i = 0; i < host->nr_cpus; i++)
		/* An LLC has the number of its lowest CPU. */
		if (cpu_locks__of(host, &host->cpus[i]) == host->cpus[i].cpu)
			print_llc(host, dir_fd, host->cpus[i].cpu);
}

static int print_budget(void)
{
	struct budget_limits limits;
	struct ktstr_error error = {0};
	struct budget_use use;
	int err = budget__limits(&limits, &error);

	if (err)
		return cli_error(COMMAND, &error);
	err = budget__look(BUDGET_KEY, &use);
	if (err) {
		printf("budget: not known: %s\n", strerror(-err));
		return 0;
	}
	if (!limits.memory_mb)
		limits.memory_mb = use.available_mb;
	printf("budget: machines have %u of %u vCPUs and %u", use.vcpus, limits.vcpus,
	       use.memory_mb);
	if (limits.memory_mb)
		printf(" of %u", limits.memory_mb);
	printf(" MiB; %u wait%s\n", use.waiters, use.waiters == 1 ? "s" : "");
	return 0;
}

int cli_locks(int argc, char **argv)
{
	struct ktstr_error error = {0};
	struct host_topology host;
	char dir[PATH_MAX];
	int dir_fd, status = 0;

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return 0;
	}
	if (argc > 1)
		return cli_bad(COMMAND, argv[1], "takes no argument");
	lock_dir__path(dir);
	dir_fd = lock_dir__open(dir, false);
	if (dir_fd < 0 && dir_fd != -ENOENT) {
		ktstr_error__set(
			&error, -dir_fd, "open", dir, "%s",
			dir_fd == -EPERM
				? "it belongs to another user and is not for all (mode 1777)"
				: strerror(-dir_fd));
		ktstr_error__hint(&error, "machines run without locks until this is corrected");
		return cli_error(COMMAND, &error);
	}
	if (host_topology__read(&host, "/sys", NULL, &error))
		status = cli_error(COMMAND, &error);
	else
		print_llcs(&host, dir_fd);
	host_topology__free(&host);
	if (dir_fd >= 0)
		close(dir_fd);
	return status ? status : print_budget();
}
