// SPDX-License-Identifier: GPL-2.0-only
/*
 * Computes the machine from the declared topology: the CPUs with their ids, the RAM of each NUMA
 * node, the distances.
 *
 * CPUs are numbered node by node and package by package, LLC by LLC, core by core, thread by
 * thread: CPU 0 and CPU 1 are siblings when a core has two threads, as firmware of virtual machines
 * does it, and the CPUs of an LLC are a contiguous range. An x86 APIC id has a bit field per level,
 * as wide as the largest package's count needs, because guests split the ids by shifting (Intel SDM
 * vol. 3 §9.9): a count that is no power of two leaves gaps between the ids, never between CPU
 * numbers. CPU 0 has id 0.
 *
 * RAM is dealt to the nodes from low to high addresses, so the first node has low memory: what a
 * node says, to the byte, and equal shares of the rest to those that say nothing. A share ends at a
 * multiple of 2 MiB so that no huge page belongs to two nodes, but the last one, which ends the
 * rest; where the share is a multiple of Linux's 128 MiB memory block, no block does either.
 */
#include "layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "topology.h"

#define SHARE_ALIGN (UINT64_C(2) << 20)

/* Bits that number @count things. */
static uint32_t bits_for(uint32_t count)
{
	return count > 1 ? 32 - (uint32_t)__builtin_clz(count - 1) : 0;
}

static void fill_nodes(struct layout *layout, const struct ktstr_topology *t)
{
	uint32_t cpus_per_llc = t->cores_per_llc * t->threads_per_core;
	uint32_t first_cpu = 0, i;

	for (i = 0; i < layout->nr_nodes; i++) {
		struct layout_node *node = &layout->nodes[i];

		node->first_cpu = first_cpu;
		node->nr_cpus = topology__node_llcs(t, i) * cpus_per_llc;
		node->latency_ns = topology__latency_ns(t, i);
		node->bandwidth_mbs = topology__bandwidth_mbs(t, i);
		node->cache = t->nodes ? (uint64_t)t->nodes[i].cache_mb << 20 : 0;
		first_cpu += node->nr_cpus;
	}
}

/* One package a node that has CPUs, or equal shares. Returns the LLCs of the largest. */
static uint32_t fill_packages(struct layout *layout, const struct ktstr_topology *t)
{
	uint32_t cpus_per_llc = t->cores_per_llc * t->threads_per_core;
	uint32_t first_cpu = 0, largest = 0, node = 0, i;
	bool shares = layout->nr_packages != topology__nodes_with_cpus(t);

	for (i = 0; i < layout->nr_packages; i++) {
		struct layout_package *package = &layout->packages[i];

		if (shares) {
			package->nr_cpus = layout->nr_cpus / layout->nr_packages;
		} else {
			while (!layout->nodes[node].nr_cpus)
				node++;
			package->nr_cpus = layout->nodes[node++].nr_cpus;
		}
		package->first_cpu = first_cpu;
		first_cpu += package->nr_cpus;
		if (package->nr_cpus > largest)
			largest = package->nr_cpus;
	}
	return largest / cpus_per_llc;
}

/* Where each CPU sits; nodes and packages are known. */
static void fill_cpus(struct layout *layout, uint32_t llcs_per_package)
{
	const struct ktstr_topology *t = &layout->topology;
	uint32_t node = 0, package = 0, i;

	layout->core_shift = bits_for(t->threads_per_core);
	layout->llc_shift = layout->core_shift + bits_for(t->cores_per_llc);
	layout->package_shift = layout->llc_shift + bits_for(llcs_per_package);

	for (i = 0; i < layout->nr_cpus; i++) {
		struct layout_cpu *cpu = &layout->cpus[i];
		struct layout_package *p = &layout->packages[package];
		uint32_t first_llc;

		while (i - layout->nodes[node].first_cpu >= layout->nodes[node].nr_cpus)
			node++;
		if (i - p->first_cpu >= p->nr_cpus)
			p = &layout->packages[++package];
		if (i == p->first_cpu || i == layout->nodes[node].first_cpu)
			p->nr_nodes++;
		cpu->thread = i % t->threads_per_core;
		cpu->core = i / t->threads_per_core;
		cpu->llc = cpu->core / t->cores_per_llc;
		cpu->package = package;
		cpu->node = node;
		first_llc = layout->cpus[p->first_cpu].llc;
		cpu->hw_id = package << layout->package_shift |
			     (cpu->llc - first_llc) << layout->llc_shift |
			     cpu->core % t->cores_per_llc << layout->core_shift | cpu->thread;
	}
	layout->max_hw_id = layout->cpus[layout->nr_cpus - 1].hw_id;
}

/* Gives RAM bytes [start, end), counted over all regions, to @node. */
static void give_memory(struct layout *layout, const struct gmem *mem, uint32_t node,
			uint64_t start, uint64_t end)
{
	uint64_t before = 0;
	uint32_t i;

	layout->nodes[node].memory = end - start;
	for (i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *region = &mem->regions[i];
		uint64_t from = start > before ? start - before : 0;
		uint64_t to = end > before ? end - before : 0;

		if (to > region->size)
			to = region->size;
		if (from < to)
			layout->memory[layout->nr_memory++] = (struct layout_memory){
				.gpa = region->gpa + from,
				.size = to - from,
				.node = node,
			};
		before += region->size;
	}
}

static int fill_memory(struct layout *layout, const struct ktstr_topology *t,
		       const struct gmem *mem, struct ktstr_error *error)
{
	uint64_t total = 0, said = 0, start = 0, exact = 0;
	uint32_t shares = 0, share = 0, i, total_mb;
	int err;

	for (i = 0; i < mem->nr_regions; i++)
		total += mem->regions[i].size;
	err = ktstr_topology__memory_mb(t, (uint32_t)(total >> 20), &total_mb, error);
	if (err)
		return err;
	for (i = 0; i < layout->nr_nodes; i++) {
		uint32_t memory_mb = t->nodes ? t->nodes[i].memory_mb : 0;

		said += (uint64_t)memory_mb << 20;
		shares += !memory_mb;
	}
	for (i = 0; i < layout->nr_nodes; i++) {
		uint32_t memory_mb = t->nodes ? t->nodes[i].memory_mb : 0;
		uint64_t end;

		if (memory_mb) {
			exact += (uint64_t)memory_mb << 20;
			end = start + ((uint64_t)memory_mb << 20);
		} else {
			end = exact + (total - said) * ++share / shares;
			if (share < shares)
				end -= end % SHARE_ALIGN;
		}
		give_memory(layout, mem, i, start, end);
		start = end;
	}
	return 0;
}

static void fill_distances(struct layout *layout, const struct ktstr_topology *t)
{
	uint32_t i, n = layout->nr_nodes;

	for (i = 0; i < n * n; i++)
		layout->distances[i] = topology__distance(t, i / n, i % n);
}

static int allocate(struct layout *layout, const struct ktstr_topology *t,
		    struct ktstr_error *error)
{
	layout->nr_cpus = ktstr_topology__cpus(t);
	layout->nr_nodes = t->numa_nodes;
	layout->nr_packages = topology__packages(t);
	layout->nodes = calloc(layout->nr_nodes, sizeof(*layout->nodes));
	layout->packages = calloc(layout->nr_packages, sizeof(*layout->packages));
	layout->cpus = calloc(layout->nr_cpus, sizeof(*layout->cpus));
	/* each region that starts inside a share cuts it once more */
	layout->memory = calloc(layout->nr_nodes + GMEM_MAX_REGIONS, sizeof(*layout->memory));
	layout->distances = calloc(layout->nr_nodes, layout->nr_nodes);
	if (t->capacities)
		layout->capacities = calloc(layout->nr_cpus, sizeof(*layout->capacities));
	if (layout->nodes && layout->packages && layout->cpus && layout->memory &&
	    layout->distances && (layout->capacities || !t->capacities))
		return 0;
	return ktstr_error__set(error, ENOMEM, "allocate", "machine layout", NULL);
}

int layout__create(const struct ktstr_topology *topology, const struct gmem *mem,
		   struct layout *layout, struct ktstr_error *error)
{
	int err;

	*layout = (struct layout){.topology = *topology};
	layout->topology.nodes = NULL;
	layout->topology.distances = NULL;
	layout->topology.capacities = NULL;
	err = ktstr_topology__validate(topology, error);
	if (!err)
		err = allocate(layout, topology, error);
	if (!err) {
		fill_nodes(layout, topology);
		fill_cpus(layout, fill_packages(layout, topology));
		fill_distances(layout, topology);
		for (uint32_t i = 0; topology->capacities && i < layout->nr_cpus; i++)
			layout->capacities[i] = topology->capacities[layout->cpus[i].core];
		err = fill_memory(layout, topology, mem, error);
	}
	if (err)
		layout__destroy(layout);
	return err;
}

void layout__destroy(struct layout *layout)
{
	free(layout->cpus);
	free(layout->packages);
	free(layout->nodes);
	free(layout->memory);
	free(layout->distances);
	free(layout->capacities);
	*layout = (struct layout){0};
}

/* Distance of @target's memory from the nearest CPUs. */
static uint32_t nearest(const struct layout *layout, uint32_t target)
{
	uint32_t least = UINT8_MAX, i;

	for (i = 0; i < layout->nr_nodes; i++)
		if (layout->nodes[i].nr_cpus &&
		    layout->distances[i * layout->nr_nodes + target] < least)
			least = layout->distances[i * layout->nr_nodes + target];
	return least;
}

uint32_t layout__latency_ns(const struct layout *layout, uint32_t initiator, uint32_t target)
{
	uint64_t ns = layout->nodes[target].latency_ns;

	return (uint32_t)(ns * layout->distances[initiator * layout->nr_nodes + target] /
			  nearest(layout, target));
}

uint32_t layout__bandwidth_mbs(const struct layout *layout, uint32_t initiator, uint32_t target)
{
	uint64_t mbs = layout->nodes[target].bandwidth_mbs;

	mbs = mbs * nearest(layout, target) /
	      layout->distances[initiator * layout->nr_nodes + target];
	return mbs ? (uint32_t)mbs : 1;
}
