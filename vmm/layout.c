// SPDX-License-Identifier: GPL-2.0-only
/*
 * Computes the machine from the declared topology: the CPUs with their ids, the RAM of each NUMA
 * node, the distances.
 *
 * CPUs are numbered package by package, LLC by LLC, core by core, thread by thread: CPU 0 and CPU 1
 * are siblings when a core has two threads, as firmware of virtual machines does it, and the CPUs
 * of an LLC are a contiguous range. An x86 APIC id has a bit field per level, as wide as the
 * level's count needs, because guests split the ids by shifting (Intel SDM vol. 3 §9.9): a count
 * that is no power of two leaves gaps between the ids, never between CPU numbers. CPU 0 has id 0.
 *
 * RAM is dealt to the nodes in equal shares from low to high addresses, so the first node has low
 * memory. Shares end at multiples of 2 MiB so that no huge page belongs to two nodes; where the
 * share is a multiple of Linux's 128 MiB memory block, no block does either.
 */
#include "layout.h"

#include <errno.h>
#include <stdlib.h>

#define SHARE_ALIGN (UINT64_C(2) << 20)
/* ACPI 6.5 §5.2.17: 10 is a node's distance to itself; 20 means twice as far. */
#define DISTANCE_LOCAL 10
#define DISTANCE_REMOTE 20

/* Bits that number @count things. */
static uint32_t bits_for(uint32_t count)
{
	return count > 1 ? 32 - (uint32_t)__builtin_clz(count - 1) : 0;
}

static void fill_cpus(struct layout *layout)
{
	const struct ktstr_topology *t = &layout->topology;
	uint32_t llcs_per_package = t->llcs / t->numa_nodes;
	uint32_t i;

	layout->core_shift = bits_for(t->threads_per_core);
	layout->llc_shift = layout->core_shift + bits_for(t->cores_per_llc);
	layout->package_shift = layout->llc_shift + bits_for(llcs_per_package);

	for (i = 0; i < layout->nr_cpus; i++) {
		struct layout_cpu *cpu = &layout->cpus[i];

		cpu->thread = i % t->threads_per_core;
		cpu->core = i / t->threads_per_core;
		cpu->llc = cpu->core / t->cores_per_llc;
		cpu->package = cpu->llc / llcs_per_package;
		cpu->node = cpu->package;
		cpu->hw_id = cpu->package << layout->package_shift |
			     cpu->llc % llcs_per_package << layout->llc_shift |
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

static int fill_memory(struct layout *layout, const struct gmem *mem, struct ktstr_error *error)
{
	uint64_t total = 0, start = 0, share;
	uint32_t i;

	for (i = 0; i < mem->nr_regions; i++)
		total += mem->regions[i].size;
	share = total / layout->nr_nodes;
	if (share < SHARE_ALIGN) {
		int err = ktstr_error__set(error, EINVAL, "memory", NULL,
					   "%llu KiB of RAM are too little for %u NUMA nodes",
					   (unsigned long long)total >> 10, layout->nr_nodes);

		ktstr_error__hint(error, "give the VM more memory");
		return err;
	}
	for (i = 0; i < layout->nr_nodes; i++) {
		uint64_t end =
			share * (i + 1) + total % layout->nr_nodes * (i + 1) / layout->nr_nodes;

		if (i + 1 < layout->nr_nodes)
			end -= end % SHARE_ALIGN;
		give_memory(layout, mem, i, start, end);
		start = end;
	}
	return 0;
}

static void fill_distances(struct layout *layout)
{
	uint32_t i, j;

	for (i = 0; i < layout->nr_nodes; i++)
		for (j = 0; j < layout->nr_nodes; j++)
			layout->distances[i * layout->nr_nodes + j] =
				i == j ? DISTANCE_LOCAL : DISTANCE_REMOTE;
}

int layout__create(const struct ktstr_topology *topology, const struct gmem *mem,
		   struct layout *layout, struct ktstr_error *error)
{
	int err;

	*layout = (struct layout){.topology = *topology};
	err = ktstr_topology__validate(topology, error);
	if (err)
		return err;
	layout->nr_cpus = ktstr_topology__cpus(topology);
	layout->nr_nodes = topology->numa_nodes;
	layout->cpus = calloc(layout->nr_cpus, sizeof(*layout->cpus));
	/* each region that starts inside a share cuts it once more */
	layout->memory = calloc(layout->nr_nodes + GMEM_MAX_REGIONS, sizeof(*layout->memory));
	layout->distances = calloc(layout->nr_nodes, layout->nr_nodes);
	if (!layout->cpus || !layout->memory || !layout->distances) {
		err = ktstr_error__set(error, ENOMEM, "allocate", "machine layout", NULL);
		goto out;
	}
	fill_cpus(layout);
	fill_distances(layout);
	err = fill_memory(layout, mem, error);
out:
	if (err)
		layout__destroy(layout);
	return err;
}

void layout__destroy(struct layout *layout)
{
	free(layout->cpus);
	free(layout->memory);
	free(layout->distances);
	*layout = (struct layout){0};
}
