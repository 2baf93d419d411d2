// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's CPUs, cores, last-level caches, nodes and hugepages, from /sys
 * (Documentation/ABI/stable/sysfs-devices-system-cpu and sysfs-devices-node).
 */
#include "host_topology.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU "devices/system/cpu/cpu%u/"
#define NODE "devices/system/node/node%u/"
#define HUGEPAGES NODE "hugepages/hugepages-2048kB/"

/* Levels and kinds: a CPU has some four caches. */
#define MAX_CACHES 16u

_Static_assert(HOST_MAX_NODES <= HOST_MAX_CPUS, "a host_set has the nodes too");

struct reader {
	const char *sys;
	struct host_set online, efficient;
};

/* The lowest online CPU of the list @set, which has to have @cpu. */
static int lowest_online(const struct reader *reader, const struct host_set *set, uint32_t cpu,
			 uint32_t *group)
{
	if (!host_set__has(set, cpu))
		return -EINVAL;
	*group = host_set__lowest(set, &reader->online);
	return 0;
}

/* By the list @name of @cpu's topology, or @older, its name before Linux 5.3. */
static int read_group(const struct reader *reader, const char *name, const char *older,
		      uint32_t cpu, uint32_t *group)
{
	struct host_set set;
	int ret = host_files__set(reader->sys, &set, CPU "topology/%s", cpu, name);

	if (ret == -ENOENT)
		ret = host_files__set(reader->sys, &set, CPU "topology/%s", cpu, older);
	return ret ? ret : lowest_online(reader, &set, cpu, group);
}

static uint32_t size_kb(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return (uint32_t)(*end == 'M' ? n << 10 : n);
}

static void note_cache(struct ktstr_caches *caches, uint64_t level, const char *type, uint32_t kb)
{
	if (level == 1 && !strcmp(type, "Data\n"))
		caches->l1d_kb = kb;
	else if (level == 1 && !strcmp(type, "Instruction\n"))
		caches->l1i_kb = kb;
	else if (level == 2)
		caches->l2_kb = kb;
	else if (level == 3)
		caches->l3_kb = kb;
}

/* The LLC is the highest level that has data; a cache that makes no sense is none. */
static int read_caches(const struct reader *reader, uint32_t cpu, uint32_t *llc,
		       struct ktstr_caches *caches)
{
	const char *sys = reader->sys;
	uint64_t best = 0;

	for (unsigned int i = 0; i < MAX_CACHES; i++) {
		char type[32], size[32];
		struct host_set set;
		uint64_t level;

		if (host_files__text(sys, type, sizeof(type), CPU "cache/index%u/type", cpu, i) ||
		    host_files__u64(sys, &level, CPU "cache/index%u/level", cpu, i))
			continue;
		if (!host_files__text(sys, size, sizeof(size), CPU "cache/index%u/size", cpu, i))
			note_cache(caches, level, type, size_kb(size));
		if (level <= best || !strcmp(type, "Instruction\n") ||
		    host_files__set(sys, &set, CPU "cache/index%u/shared_cpu_list", cpu, i) ||
		    lowest_online(reader, &set, cpu, llc))
			continue;
		best = level;
	}
	return best ? 0 : -ENOENT;
}

static void read_package(const struct reader *reader, struct host_cpu *cpu, unsigned int *unknown)
{
	char text[32];
	uint64_t package;

	if (!host_files__u64(reader->sys, &package, CPU "topology/physical_package_id", cpu->cpu) &&
	    package <= UINT32_MAX)
		cpu->package = (uint32_t)package;
	else if (host_files__text(reader->sys, text, sizeof(text),
				  CPU "topology/physical_package_id", cpu->cpu) ||
		 strcmp(text, "-1\n")) /* -1: firmware says nothing of packages */
		*unknown |= HOST_UNKNOWN_PACKAGES;
}

static void read_cpu(const struct reader *reader, struct host_topology *topology,
		     struct host_cpu *cpu)
{
	struct ktstr_caches caches = {0};
	uint64_t capacity;

	if (read_group(reader, "core_cpus_list", "thread_siblings_list", cpu->cpu, &cpu->core)) {
		cpu->core = cpu->cpu;
		topology->unknown |= HOST_UNKNOWN_CORES;
	}
	if (read_caches(reader, cpu->cpu, &cpu->llc, &caches)) {
		topology->unknown |= HOST_UNKNOWN_LLCS;
		if (read_group(reader, "package_cpus_list", "core_siblings_list", cpu->cpu,
			       &cpu->llc))
			cpu->llc = topology->cpus[0].cpu;
	}
	if (cpu == topology->cpus)
		topology->caches = caches;
	read_package(reader, cpu, &topology->unknown);
	if (!host_files__u64(reader->sys, &capacity, CPU "cpu_capacity", cpu->cpu) &&
	    capacity <= UINT32_MAX)
		cpu->capacity = (uint32_t)capacity;
	cpu->efficient = host_set__has(&reader->efficient, cpu->cpu);
}

static int read_cpus(const struct reader *reader, struct host_topology *topology,
		     const struct host_set *allowed)
{
	topology->cpus = calloc(host_set__count(&reader->online), sizeof(*topology->cpus));
	if (!topology->cpus)
		return -ENOMEM;
	for (uint32_t i = 0; i < HOST_MAX_CPUS; i++) {
		struct host_cpu *cpu;

		if (!host_set__has(&reader->online, i))
			continue;
		cpu = &topology->cpus[topology->nr_cpus++];
		cpu->cpu = i;
		cpu->allowed = !allowed || host_set__has(allowed, i);
		read_cpu(reader, topology, cpu);
	}
	return 0;
}

static void read_hugepages(const struct reader *reader, struct host_node *node,
			   unsigned int *unknown)
{
	uint64_t all, unused;

	if (host_files__u64(reader->sys, &all, HUGEPAGES "nr_hugepages", node->node) ||
	    host_files__u64(reader->sys, &unused, HUGEPAGES "free_hugepages", node->node) ||
	    unused > all) {
		*unknown |= HOST_UNKNOWN_HUGEPAGES;
		return;
	}
	node->hugepages = all;
	node->free_hugepages = unused;
}

/* Of the node's memory as its nearest initiators see it: class 0 has all, class 1 CPUs alone. */
static uint32_t read_access(const struct reader *reader, uint32_t node, const char *name)
{
	uint64_t value;

	for (unsigned int kind = 0; kind < 2; kind++)
		if (!host_files__u64(reader->sys, &value, NODE "access%u/initiators/%s", node, kind,
				     name))
			return value <= UINT32_MAX ? (uint32_t)value : 0;
	return 0;
}

static void read_memory(const struct reader *reader, struct host_node *node)
{
	char text[4096];
	const char *total;
	uint64_t bytes;

	/* "Node 0 MemTotal:   507904 kB" */
	if (!host_files__text(reader->sys, text, sizeof(text), NODE "meminfo", node->node)) {
		total = strstr(text, "MemTotal:");
		if (total)
			node->memory_kb = strtoull(total + strlen("MemTotal:"), NULL, 10);
	}
	if (!host_files__u64(reader->sys, &bytes, NODE "memory_side_cache/index1/size", node->node))
		node->cache_kb = bytes >> 10;
	node->latency_ns = read_access(reader, node->node, "read_latency");
	node->bandwidth_mbs = read_access(reader, node->node, "read_bandwidth");
}

/* A row has the distances to all nodes online, in their order. */
static void read_distances(const struct reader *reader, struct host_topology *topology,
			   uint32_t index)
{
	char text[HOST_MAX_NODES * 4 + 2];
	char *p = text;

	if (host_files__text(reader->sys, text, sizeof(text), NODE "distance",
			     topology->nodes[index].node))
		return;
	for (uint32_t i = 0; i < topology->nr_nodes; i++)
		topology->distances[index * topology->nr_nodes + i] = (uint32_t)strtoul(p, &p, 10);
}

static void read_node(const struct reader *reader, struct host_topology *topology, uint32_t index,
		      struct host_set *placed)
{
	struct host_node *node = &topology->nodes[index];
	struct host_set set;

	read_hugepages(reader, node, &topology->unknown);
	read_memory(reader, node);
	read_distances(reader, topology, index);
	if (host_files__set(reader->sys, &set, NODE "cpulist", node->node))
		return;
	for (uint32_t c = 0; c < topology->nr_cpus; c++) {
		if (!host_set__has(&set, topology->cpus[c].cpu))
			continue;
		topology->cpus[c].node = node->node;
		host_set__add(placed, topology->cpus[c].cpu);
	}
}

static int read_nodes(const struct reader *reader, struct host_topology *topology)
{
	struct host_set nodes, placed = {0};
	uint32_t nr;

	if (host_files__set(reader->sys, &nodes, "devices/system/node/online") ||
	    !host_set__count(&nodes)) {
		topology->unknown |= HOST_UNKNOWN_NODES;
		nodes = (struct host_set){0};
		host_set__add(&nodes, 0);
	}
	nr = host_set__count(&nodes);
	topology->nodes = calloc(nr, sizeof(*topology->nodes));
	topology->distances = calloc((size_t)nr * nr, sizeof(*topology->distances));
	if (!topology->nodes || !topology->distances)
		return -ENOMEM;
	for (uint32_t i = 0; i < HOST_MAX_NODES; i++)
		if (host_set__has(&nodes, i))
			topology->nodes[topology->nr_nodes++].node = i;
	for (uint32_t i = 0; i < topology->nr_nodes; i++)
		read_node(reader, topology, i, &placed);
	for (uint32_t c = 0; c < topology->nr_cpus; c++) {
		if (host_set__has(&placed, topology->cpus[c].cpu))
			continue;
		topology->cpus[c].node = topology->nodes[0].node;
		topology->unknown |= HOST_UNKNOWN_NODES;
	}
	return 0;
}

int host_topology__read(struct host_topology *topology, const char *sys,
			const struct host_set *allowed, struct ktstr_error *error)
{
	struct reader reader = {.sys = sys};
	char path[256]; /* as much as an error shows */
	int ret;

	*topology = (struct host_topology){0};
	ret = host_files__set(sys, &reader.online, "devices/system/cpu/online");
	if (!ret && !host_set__count(&reader.online))
		ret = -EINVAL;
	if (ret) {
		snprintf(path, sizeof(path), "%.160s/devices/system/cpu/online", sys);
		ktstr_error__set(error, -ret, "read", path,
				 ret == -EINVAL ? "not a list of numbers" : NULL);
		ktstr_error__hint(error,
				  "give the folder that is, or was, the /sys of a running kernel");
		return ret;
	}
	/* hybrid x86 has a PMU for each kind of core */
	if (host_files__set(sys, &reader.efficient, "devices/cpu_atom/cpus"))
		reader.efficient = (struct host_set){0};
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
	free(topology->distances);
	*topology = (struct host_topology){0};
}
