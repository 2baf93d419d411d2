// SPDX-License-Identifier: GPL-2.0-only
/*
 * The topology of a running kernel, from /sys (Documentation/ABI/stable/sysfs-devices-system-cpu
 * and sysfs-devices-node).
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "topo_view.h"

#define MAX_HOST_CPUS 65536u
#define MAX_HOST_NODES 1024u
#define MAX_CACHE_INDEX 16u
#define NO_ID UINT32_MAX

/* Reads the first line of @sys/devices/system/... False: it is not there. */
static bool __attribute__((format(printf, 4, 5)))
read_line(const char *sys, char *buf, size_t size, const char *name, ...)
{
	char path[PATH_MAX];
	va_list ap;
	FILE *f;
	bool ok;
	int n = snprintf(path, sizeof(path), "%s/devices/system/", sys);

	if (n < 0 || (size_t)n >= sizeof(path))
		return false;
	va_start(ap, name);
	vsnprintf(path + n, sizeof(path) - (size_t)n, name, ap);
	va_end(ap);
	f = fopen(path, "re");
	if (!f)
		return false;
	ok = fgets(buf, (int)size, f) != NULL;
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

/* Takes the next range of "0-3,8". False: the end, or something else is there. */
static bool next_range(const char **list, uint32_t *first, uint32_t *last)
{
	unsigned long a, b;
	char *end;

	if (**list < '0' || **list > '9')
		return false;
	a = b = strtoul(*list, &end, 10);
	if (*end == '-')
		b = strtoul(end + 1, &end, 10);
	if (*end == ',')
		end++;
	if (b < a || b >= MAX_HOST_CPUS)
		return false;
	*list = end;
	*first = (uint32_t)a;
	*last = (uint32_t)b;
	return true;
}

static uint32_t first_of(const char *list, uint32_t otherwise)
{
	uint32_t first, last;

	return next_range(&list, &first, &last) ? first : otherwise;
}

static int not_read(const char *sys, const char *name, struct ktstr_error *error)
{
	char path[256]; /* as much as an error shows */
	int err;

	snprintf(path, sizeof(path), "%.160s/devices/system/%.64s", sys, name);
	err = ktstr_error__set(error, EIO, "read", path, "not there, or not a list of numbers");
	ktstr_error__hint(error, "give the folder that is, or was, the /sys of a running kernel");
	return err;
}

static uint32_t size_kb(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return (uint32_t)(*end == 'M' ? n << 10 : n);
}

/* Fills what CPU 0 has; the last level is the LLC. Returns the first CPU that shares it. */
static uint32_t read_caches(const char *sys, uint32_t cpu, struct ktstr_caches *caches)
{
	char level[16], type[32], text[4096];
	uint32_t llc = NO_ID, highest = 0;

	for (uint32_t i = 0; i < MAX_CACHE_INDEX; i++) {
		uint32_t n, kb = 0;

		if (!read_line(sys, level, sizeof(level), "cpu/cpu%u/cache/index%u/level", cpu, i))
			break;
		if (!read_line(sys, type, sizeof(type), "cpu/cpu%u/cache/index%u/type", cpu, i))
			type[0] = '\0';
		if (read_line(sys, text, sizeof(text), "cpu/cpu%u/cache/index%u/size", cpu, i))
			kb = size_kb(text);
		n = (uint32_t)strtoul(level, NULL, 10);
		if (n == 1 && !strcmp(type, "Data"))
			caches->l1d_kb = kb;
		else if (n == 1 && !strcmp(type, "Instruction"))
			caches->l1i_kb = kb;
		else if (n == 2)
			caches->l2_kb = kb;
		else if (n == 3)
			caches->l3_kb = kb;
		if (n <= highest || !strcmp(type, "Instruction"))
			continue;
		if (!read_line(sys, text, sizeof(text), "cpu/cpu%u/cache/index%u/shared_cpu_list",
			       cpu, i))
			continue;
		highest = n;
		llc = first_of(text, cpu);
	}
	return llc;
}

static int read_cpu(const char *sys, uint32_t cpu, struct topo_view *v, struct ktstr_error *error)
{
	struct ktstr_caches caches = {0};
	struct topo_cpu *c = &v->cpus[v->nr_cpus];
	char text[4096];

	*c = (struct topo_cpu){.cpu = cpu, .core = cpu};
	if (!read_line(sys, text, sizeof(text), "cpu/cpu%u/topology/physical_package_id", cpu)) {
		snprintf(text, sizeof(text), "cpu/cpu%u/topology/physical_package_id", cpu);
		return not_read(sys, text, error);
	}
	/* -1 where the kernel does not know it */
	c->package = text[0] == '-' ? 0 : (uint32_t)strtoul(text, NULL, 10);
	if (read_line(sys, text, sizeof(text), "cpu/cpu%u/topology/core_cpus_list", cpu) ||
	    read_line(sys, text, sizeof(text), "cpu/cpu%u/topology/thread_siblings_list", cpu))
		c->core = first_of(text, cpu);
	if (read_line(sys, text, sizeof(text), "cpu/cpu%u/cpu_capacity", cpu))
		c->capacity = (uint32_t)strtoul(text, NULL, 10);
	c->llc = read_caches(sys, cpu, &caches);
	if (c->llc == NO_ID &&
	    (read_line(sys, text, sizeof(text), "cpu/cpu%u/topology/package_cpus_list", cpu) ||
	     read_line(sys, text, sizeof(text), "cpu/cpu%u/topology/core_siblings_list", cpu)))
		c->llc = first_of(text, cpu);
	if (!v->nr_cpus++)
		v->caches = caches;
	return 0;
}

static int read_cpus(const char *sys, struct topo_view *v, struct ktstr_error *error)
{
	char online[4096];
	const char *list = online;
	uint32_t first, last;
	int err = 0;

	v->cpus = calloc(MAX_HOST_CPUS, sizeof(*v->cpus));
	if (!v->cpus)
		return ktstr_error__set(error, ENOMEM, "allocate", "picture", NULL);
	if (!read_line(sys, online, sizeof(online), "cpu/online"))
		return not_read(sys, "cpu/online", error);
	while (!err && v->nr_cpus < MAX_HOST_CPUS && next_range(&list, &first, &last))
		for (uint32_t cpu = first; !err && cpu <= last && v->nr_cpus < MAX_HOST_CPUS; cpu++)
			err = read_cpu(sys, cpu, v, error);
	if (!err && !v->nr_cpus)
		err = not_read(sys, "cpu/online", error);
	return err;
}

/* A figure of the node's memory as its nearest initiators see it. */
static uint32_t read_access(const char *sys, uint32_t node, const char *name)
{
	char text[64];

	if (!read_line(sys, text, sizeof(text), "node/node%u/access0/initiators/%s", node, name) &&
	    !read_line(sys, text, sizeof(text), "node/node%u/access1/initiators/%s", node, name))
		return 0;
	return (uint32_t)strtoul(text, NULL, 10);
}

static void read_node(const char *sys, struct topo_view *v, uint32_t index)
{
	struct topo_node *n = &v->nodes[index];
	char text[8192];
	const char *list = text;
	uint32_t first, last;

	if (read_line(sys, text, sizeof(text), "node/node%u/cpulist", n->id))
		while (next_range(&list, &first, &last))
			for (uint32_t i = 0; i < v->nr_cpus; i++)
				if (v->cpus[i].cpu >= first && v->cpus[i].cpu <= last)
					v->cpus[i].node = n->id;
	/* "Node 0 MemTotal:   507904 kB" */
	if (read_line(sys, text, sizeof(text), "node/node%u/meminfo", n->id) && strchr(text, ':'))
		n->memory_kb = strtoull(strchr(text, ':') + 1, NULL, 10) & ~UINT64_C(1023);
	if (read_line(sys, text, sizeof(text), "node/node%u/memory_side_cache/index1/size", n->id))
		n->cache_kb = strtoull(text, NULL, 10) >> 10; /* bytes */
	n->latency_ns = read_access(sys, n->id, "read_latency");
	n->bandwidth_mbs = read_access(sys, n->id, "read_bandwidth");
	if (read_line(sys, text, sizeof(text), "node/node%u/distance", n->id)) {
		char *p = text;

		for (uint32_t j = 0; j < v->nr_nodes; j++)
			v->distances[index * v->nr_nodes + j] = (uint32_t)strtoul(p, &p, 10);
	}
}

/* A kernel without NUMA has no nodes: all is one, whose memory is not known from /sys. */
static int read_nodes(const char *sys, struct topo_view *v, struct ktstr_error *error)
{
	char online[4096] = "0";
	const char *list = online;
	uint32_t first, last;

	v->nodes = calloc(MAX_HOST_NODES, sizeof(*v->nodes));
	if (!v->nodes)
		return ktstr_error__set(error, ENOMEM, "allocate", "picture", NULL);
	read_line(sys, online, sizeof(online), "node/online");
	while (next_range(&list, &first, &last))
		for (uint32_t id = first; id <= last && v->nr_nodes < MAX_HOST_NODES; id++)
			v->nodes[v->nr_nodes++].id = id;
	if (!v->nr_nodes)
		return not_read(sys, "node/online", error);
	v->distances = calloc((size_t)v->nr_nodes * v->nr_nodes, sizeof(*v->distances));
	if (!v->distances)
		return ktstr_error__set(error, ENOMEM, "allocate", "picture", NULL);
	for (uint32_t i = 0; i < v->nr_nodes; i++)
		read_node(sys, v, i);
	return 0;
}

int topo_view__of_host(const char *sys, struct topo_view *view, struct ktstr_error *error)
{
	int err;

	*view = (struct topo_view){0};
	err = read_cpus(sys, view, error);
	if (!err)
		err = read_nodes(sys, view, error);
	if (err)
		topo_view__destroy(view);
	return err;
}
