// SPDX-License-Identifier: GPL-2.0-only
/* The host's CPUs, cores, last-level caches, nodes and hugepages, from /sys. */
#include "host_topology.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Levels and kinds: a CPU has some four caches. */
#define MAX_CACHES 16u

/* A list of HOST_MAX_CPUS numbers fits, whatever its holes are. */
#define LIST_SIZE 8192

_Static_assert(HOST_MAX_NODES <= HOST_MAX_CPUS, "a cpu_set_t has the nodes too");

struct reader {
	const char *root;
	cpu_set_t online;
};

static int read_number(const char **p, unsigned long *n)
{
	char *end;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	errno = 0;
	*n = strtoul(*p, &end, 10);
	if (errno || *n >= HOST_MAX_CPUS)
		return -ERANGE;
	*p = end;
	return 0;
}

int host_topology__parse_list(const char *text, cpu_set_t *set)
{
	const char *p = text;

	CPU_ZERO(set);
	if (!*p || !strcmp(p, "\n"))
		return 0;
	for (;;) {
		unsigned long first = 0, last;
		int ret = read_number(&p, &first);

		last = first;
		if (!ret && *p == '-') {
			p++;
			ret = read_number(&p, &last);
		}
		if (ret)
			return ret;
		if (last < first)
			return -EINVAL;
		for (unsigned long i = first; i <= last; i++)
			CPU_SET(i, set);
		if (*p != ',')
			break;
		p++;
	}
	return !*p || !strcmp(p, "\n") ? 0 : -EINVAL;
}

/* Below sys/devices/system; the whole of it, with a NUL. */
static int read_text(const struct reader *reader, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];
	size_t length = 0;
	ssize_t n;
	int fd, err = 0;

	*buf = '\0';
	if (snprintf(path, sizeof(path), "%s/sys/devices/system/%s", reader->root, name) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + length, size - 1 - length);
		if (n < 0)
			err = -errno;
		else
			length += (size_t)n;
	} while (n > 0 && length < size - 1);
	close(fd);
	if (!err && length == size - 1)
		err = -E2BIG;
	buf[length] = '\0';
	return err;
}

static int read_list(const struct reader *reader, const char *name, cpu_set_t *set)
{
	char text[LIST_SIZE];
	int ret = read_text(reader, name, text, sizeof(text));

	return ret ? ret : host_topology__parse_list(text, set);
}

static int read_u64(const struct reader *reader, const char *name, uint64_t *value)
{
	char text[32];
	char *end;
	int ret = read_text(reader, name, text, sizeof(text));

	if (ret)
		return ret;
	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || !isdigit((unsigned char)*text) || (*end && strcmp(end, "\n")))
		return -EINVAL;
	return 0;
}

static uint32_t lowest(const cpu_set_t *set)
{
	uint32_t i = 0;

	while (i < HOST_MAX_CPUS && !CPU_ISSET(i, set))
		i++;
	return i;
}

/* The lowest online CPU of the list, which has to have @cpu. */
static int read_group(const struct reader *reader, const char *name, uint32_t cpu, uint32_t *group)
{
	cpu_set_t set;
	int ret = read_list(reader, name, &set);

	if (ret)
		return ret;
	if (!CPU_ISSET(cpu, &set))
		return -EINVAL;
	CPU_AND(&set, &set, &reader->online);
	*group = lowest(&set);
	return 0;
}

/* The highest level that has data; a cache that makes no sense is none. */
static int read_llc(const struct reader *reader, uint32_t cpu, uint32_t *llc)
{
	uint64_t best = 0;

	for (unsigned int i = 0; i < MAX_CACHES; i++) {
		char name[96], type[32];
		uint64_t level;
		uint32_t group;

		snprintf(name, sizeof(name), "cpu/cpu%u/cache/index%u/type", cpu, i);
		if (read_text(reader, name, type, sizeof(type)) || !strcmp(type, "Instruction\n"))
			continue;
		snprintf(name, sizeof(name), "cpu/cpu%u/cache/index%u/level", cpu, i);
		if (read_u64(reader, name, &level) || level <= best)
			continue;
		snprintf(name, sizeof(name), "cpu/cpu%u/cache/index%u/shared_cpu_list", cpu, i);
		if (read_group(reader, name, cpu, &group))
			continue;
		best = level;
		*llc = group;
	}
	return best ? 0 : -ENOENT;
}

static void read_cpu(const struct reader *reader, struct host_cpu *cpu, unsigned int *unknown)
{
	char name[96];
	uint64_t capacity;

	snprintf(name, sizeof(name), "cpu/cpu%u/topology/thread_siblings_list", cpu->cpu);
	if (read_group(reader, name, cpu->cpu, &cpu->core)) {
		cpu->core = cpu->cpu;
		*unknown |= HOST_UNKNOWN_CORES;
	}
	if (read_llc(reader, cpu->cpu, &cpu->llc)) {
		*unknown |= HOST_UNKNOWN_LLCS;
		snprintf(name, sizeof(name), "cpu/cpu%u/topology/core_siblings_list", cpu->cpu);
		if (read_group(reader, name, cpu->cpu, &cpu->llc))
			cpu->llc = lowest(&reader->online);
	}
	snprintf(name, sizeof(name), "cpu/cpu%u/cpu_capacity", cpu->cpu);
	if (!read_u64(reader, name, &capacity) && capacity <= UINT32_MAX)
		cpu->capacity = (uint32_t)capacity;
}

static int read_cpus(const struct reader *reader, struct host_topology *topology,
		     const cpu_set_t *allowed)
{
	topology->cpus = calloc((size_t)CPU_COUNT(&reader->online), sizeof(*topology->cpus));
	if (!topology->cpus)
		return -ENOMEM;
	for (uint32_t i = 0; i < HOST_MAX_CPUS; i++) {
		struct host_cpu *cpu;

		if (!CPU_ISSET(i, &reader->online))
			continue;
		cpu = &topology->cpus[topology->nr_cpus++];
		cpu->cpu = i;
		cpu->allowed = CPU_ISSET(i, allowed);
		read_cpu(reader, cpu, &topology->unknown);
	}
	return 0;
}

static void read_hugepages(const struct reader *reader, struct host_node *node,
			   unsigned int *unknown)
{
	char name[96];
	uint64_t all, unused;

	snprintf(name, sizeof(name), "node/node%u/hugepages/hugepages-2048kB/nr_hugepages",
		 node->node);
	if (read_u64(reader, name, &all))
		goto unknown;
	snprintf(name, sizeof(name), "node/node%u/hugepages/hugepages-2048kB/free_hugepages",
		 node->node);
	if (read_u64(reader, name, &unused) || unused > all)
		goto unknown;
	node->hugepages = all;
	node->free_hugepages = unused;
	return;
unknown:
	*unknown |= HOST_UNKNOWN_HUGEPAGES;
}

static int read_nodes(const struct reader *reader, struct host_topology *topology)
{
	cpu_set_t nodes, placed;

	CPU_ZERO(&placed);
	if (read_list(reader, "node/online", &nodes) || !CPU_COUNT(&nodes)) {
		topology->unknown |= HOST_UNKNOWN_NODES;
		CPU_ZERO(&nodes);
		CPU_SET(0, &nodes);
	}
	topology->nodes = calloc((size_t)CPU_COUNT(&nodes), sizeof(*topology->nodes));
	if (!topology->nodes)
		return -ENOMEM;
	for (uint32_t i = 0; i < HOST_MAX_NODES; i++) {
		char name[96];
		cpu_set_t set;

		if (!CPU_ISSET(i, &nodes))
			continue;
		topology->nodes[topology->nr_nodes] = (struct host_node){.node = i};
		read_hugepages(reader, &topology->nodes[topology->nr_nodes++], &topology->unknown);
		snprintf(name, sizeof(name), "node/node%u/cpulist", i);
		if (read_list(reader, name, &set))
			continue;
		for (uint32_t c = 0; c < topology->nr_cpus; c++) {
			if (!CPU_ISSET(topology->cpus[c].cpu, &set))
				continue;
			topology->cpus[c].node = i;
			CPU_SET(topology->cpus[c].cpu, &placed);
		}
	}
	for (uint32_t c = 0; c < topology->nr_cpus; c++) {
		if (CPU_ISSET(topology->cpus[c].cpu, &placed))
			continue;
		topology->cpus[c].node = topology->nodes[0].node;
		topology->unknown |= HOST_UNKNOWN_NODES;
	}
	return 0;
}

int host_topology__read(struct host_topology *topology, const char *root, const cpu_set_t *allowed,
			struct ktstr_error *error)
{
	struct reader reader = {.root = root};
	int ret;

	*topology = (struct host_topology){0};
	ret = read_list(&reader, "cpu/online", &reader.online);
	if (!ret && !CPU_COUNT(&reader.online))
		ret = -EINVAL;
	if (ret) {
		ktstr_error__set(error, -ret, "read the host's CPUs",
				 "/sys/devices/system/cpu/online", NULL);
		ktstr_error__hint(error, "mount sysfs on /sys");
		return ret;
	}
	ret = read_cpus(&reader, topology, allowed);
	if (!ret)
		ret = read_nodes(&reader, topology);
	if (ret)
		ktstr_error__set(error, -ret, "read the host's topology", NULL, NULL);
	return ret;
}

void host_topology__free(struct host_topology *topology)
{
	free(topology->cpus);
	free(topology->nodes);
	*topology = (struct host_topology){0};
}
