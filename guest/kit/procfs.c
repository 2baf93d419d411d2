// SPDX-License-Identifier: GPL-2.0-only
/* Reads /proc; see procfs.h. */
#include "procfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../config.h"

/* Up to @nr numbers with spaces between them, from *@at on; how many there were. */
static int take_numbers(const char *at, uint64_t *values, int nr)
{
	char *end;
	int i;

	for (i = 0; i < nr; i++) {
		values[i] = strtoull(at, &end, 10);
		if (end == at)
			break;
		at = end;
	}
	return i;
}

int procfs__schedstat(pid_t tid, uint64_t *cpu_ns, uint64_t *delay_ns)
{
	char path[64], text[128];
	uint64_t v[2];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", tid);
	err = guest__read_line(path, text, sizeof(text));
	if (err)
		return err;
	if (take_numbers(text, v, 2) != 2)
		return -EPROTO;
	*cpu_ns = v[0];
	*delay_ns = v[1];
	return 0;
}

/* proc_pid_stat(5): the second field may have spaces and parentheses in it; processor is 39. */
int32_t procfs__last_cpu(pid_t tid)
{
	char path[64], text[1024], *at;
	int field = 2;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (guest__read_line(path, text, sizeof(text)))
		return -1;
	at = strrchr(text, ')');
	while (at && field < 39) {
		at = strchr(at + 1, ' ');
		field++;
	}
	return at ? (int32_t)strtol(at + 1, NULL, 10) : -1;
}

/* proc_pid_numa_maps(5): one mapping a line; only those with anonymous pages are its own. */
int procfs__pages(pid_t tid, uint32_t node, uint64_t *pages, uint64_t *local)
{
	char path[64], *line = NULL, *field, *save;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/numa_maps", tid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0) {
		if (!strstr(line, " anon="))
			continue;
		for (field = strtok_r(line, " \n", &save); field;
		     field = strtok_r(NULL, " \n", &save)) {
			char *equals;
			unsigned long n = *field == 'N' ? strtoul(field + 1, &equals, 10) : 0;
			uint64_t count;

			if (*field != 'N' || *equals != '=' ||
			    take_numbers(equals + 1, &count, 1) != 1)
				continue;
			*pages += count;
			*local += n == node ? count : 0;
		}
	}
	free(line);
	fclose(f);
	return 0;
}

int procfs__cpu_time(struct cpu_time *time)
{
	uint64_t v[8] = {0};
	char text[512];
	int err = guest__read_line("/proc/stat", text, sizeof(text));

	*time = (struct cpu_time){.total = 0};
	if (err)
		return err;
	/* user nice system idle iowait irq softirq steal (proc_stat(5)) */
	if (strncmp(text, "cpu ", 4) != 0 || take_numbers(text + 4, v, 8) != 8)
		return -EPROTO;
	for (int i = 0; i < 8; i++)
		time->total += v[i];
	time->steal = v[7];
	return 0;
}
