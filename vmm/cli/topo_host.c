// SPDX-License-Identifier: GPL-2.0-only
/* The picture of a running kernel's topology. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../host_topology.h"
#include "topo_view.h"

static int fill(struct topo_view *view, const struct host_topology *host)
{
	size_t nr_distances = (size_t)host->nr_nodes * host->nr_nodes;

	view->cpus = calloc(host->nr_cpus, sizeof(*view->cpus));
	view->nodes = calloc(host->nr_nodes, sizeof(*view->nodes));
	view->distances = calloc(nr_distances, sizeof(*view->distances));
	if (!view->cpus || !view->nodes || !view->distances)
		return -ENOMEM;
	view->nr_cpus = host->nr_cpus;
	view->nr_nodes = host->nr_nodes;
	view->caches = host->caches;
	for (uint32_t i = 0; i < host->nr_cpus; i++) {
		const struct host_cpu *cpu = &host->cpus[i];

		view->cpus[i] = (struct topo_cpu){
			.cpu = cpu->cpu,
			.package = cpu->package,
			.node = cpu->node,
			.llc = cpu->llc,
			.core = cpu->core,
			.capacity = cpu->capacity,
		};
	}
	for (uint32_t i = 0; i < host->nr_nodes; i++) {
		const struct host_node *node = &host->nodes[i];

		view->nodes[i] = (struct topo_node){
			.id = node->node,
			.memory_kb = node->memory_kb & ~UINT64_C(1023),
			.cache_kb = node->cache_kb,
			.latency_ns = node->latency_ns,
			.bandwidth_mbs = node->bandwidth_mbs,
		};
	}
	memcpy(view->distances, host->distances, nr_distances * sizeof(*view->distances));
	return 0;
}

int topo_view__of_host(const char *sys, struct topo_view *view, struct ktstr_error *error)
{
	struct host_topology host;
	int err;

	*view = (struct topo_view){0};
	err = host_topology__read(&host, sys, NULL, error);
	if (!err) {
		err = fill(view, &host);
		if (err) {
			topo_view__destroy(view);
			ktstr_error__set(error, -err, "allocate", "picture", NULL);
		}
	}
	host_topology__free(&host);
	return err;
}
