/* SPDX-License-Identifier: GPL-2.0-only */
/* A topology as a person sees it, declared or read from a running kernel, and its picture in text.
 */
#ifndef KTSTR_VMM_CLI_TOPO_VIEW_H
#define KTSTR_VMM_CLI_TOPO_VIEW_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdint.h>
#include <stdio.h>

#include "../layout.h"

/* @llc and @core: any number that CPUs share which share that; unique in the machine. */
struct topo_cpu {
	uint32_t cpu, package, node, llc, core;
	uint32_t capacity; /* beside the others; 0: not known */
};

/* 0 where a figure is not known. */
struct topo_node {
	uint32_t id;
	uint64_t memory_kb, cache_kb;
	uint32_t latency_ns, bandwidth_mbs;
};

struct topo_view {
	uint32_t nr_cpus, nr_nodes;
	struct topo_cpu *cpus;
	struct topo_node *nodes; /* by id */
	uint32_t *distances;	 /* nr_nodes * nr_nodes; 0: not known */
	struct ktstr_caches caches;
};

/* Of the machine; caches are not in it. -ENOMEM. */
int topo_view__of_layout(const struct layout *layout, struct topo_view *view,
			 struct ktstr_error *error);
/* Of the running kernel whose /sys is at @sys. As host_topology__read(). */
int topo_view__of_host(const char *sys, struct topo_view *view, struct ktstr_error *error);
void topo_view__destroy(struct topo_view *view);

/* Sorts its CPUs and prints it, in at most some 100 columns. */
void topo_view__print(struct topo_view *view, FILE *to);

#endif /* KTSTR_VMM_CLI_TOPO_VIEW_H */
