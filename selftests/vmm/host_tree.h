/* SPDX-License-Identifier: GPL-2.0-only */
/* Trees as /sys and /proc of hosts have them, in a directory of their own. */
#ifndef KTSTR_SELFTESTS_HOST_TREE_H
#define KTSTR_SELFTESTS_HOST_TREE_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/files.h"

struct host_tree {
	char root[32], sys[40], proc[40];
};

static inline void host_tree__create(struct host_tree *tree)
{
	strcpy(tree->root, "/tmp/ktstr-host-XXXXXX");
	if (!mkdtemp(tree->root))
		abort();
	snprintf(tree->sys, sizeof(tree->sys), "%s/sys", tree->root);
	snprintf(tree->proc, sizeof(tree->proc), "%s/proc", tree->root);
}

static inline int host_tree__remove(const char *path, const struct stat *st, int flag,
				    struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void host_tree__destroy(struct host_tree *tree)
{
	nftw(tree->root, host_tree__remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file of the tree with one line, or with more. */
__attribute__((format(printf, 3, 4))) static inline void
host_tree__put(const struct host_tree *tree, const char *text, const char *name_fmt, ...)
{
	char name[128], path[PATH_MAX];
	va_list args;
	FILE *file;

	va_start(args, name_fmt);
	vsnprintf(name, sizeof(name), name_fmt, args);
	va_end(args);
	snprintf(path, sizeof(path), "%s/%s", tree->root, name);
	if (files__make_parents(path))
		abort();
	file = fopen(path, "we");
	if (!file || fprintf(file, "%s\n", text) < 0 || fclose(file))
		abort();
}

#define HOST_TREE_CPU "sys/devices/system/cpu/cpu%u/"
#define HOST_TREE_NODE "sys/devices/system/node/node%u/"

/* In package 0, with a data cache of its core and an LLC; both are lists of CPUs. */
static inline void host_tree__put_cpu(const struct host_tree *tree, unsigned int cpu,
				      const char *core, const char *llc)
{
	host_tree__put(tree, "0", HOST_TREE_CPU "topology/physical_package_id", cpu);
	host_tree__put(tree, core, HOST_TREE_CPU "topology/core_cpus_list", cpu);
	host_tree__put(tree, "Data", HOST_TREE_CPU "cache/index0/type", cpu);
	host_tree__put(tree, "1", HOST_TREE_CPU "cache/index0/level", cpu);
	host_tree__put(tree, core, HOST_TREE_CPU "cache/index0/shared_cpu_list", cpu);
	host_tree__put(tree, "Unified", HOST_TREE_CPU "cache/index1/type", cpu);
	host_tree__put(tree, "3", HOST_TREE_CPU "cache/index1/level", cpu);
	host_tree__put(tree, llc, HOST_TREE_CPU "cache/index1/shared_cpu_list", cpu);
}

static inline void host_tree__put_node(const struct host_tree *tree, unsigned int node,
				       const char *cpus, const char *hugepages,
				       const char *free_hugepages)
{
	const char *dir = "hugepages/hugepages-2048kB";

	host_tree__put(tree, cpus, HOST_TREE_NODE "cpulist", node);
	host_tree__put(tree, hugepages, HOST_TREE_NODE "%s/nr_hugepages", node, dir);
	host_tree__put(tree, free_hugepages, HOST_TREE_NODE "%s/free_hugepages", node, dir);
}

#endif /* KTSTR_SELFTESTS_HOST_TREE_H */
