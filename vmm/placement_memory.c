// SPDX-License-Identifier: GPL-2.0-only
/*
 * Host nodes for the memory of virtual nodes, and hugepages for it: all of a node's RAM is in
 * hugepages, or none.
 */
#include "placement_parts.h"

uint64_t placement_memory__hugepages(const struct planner *p, uint32_t node)
{
	return (p->machine->nodes[node].memory + PLACEMENT_HUGEPAGE - 1) / PLACEMENT_HUGEPAGE;
}

static uint64_t node_kb(const struct planner *p, uint32_t node)
{
	return p->machine->nodes[node].memory >> 10;
}

bool placement_memory__is_allowed(const struct planner *p, uint32_t host_node)
{
	return !(p->conditions->known & HOST_KNOWS_NODES) ||
	       host_set__has(&p->conditions->nodes_allowed, p->host->nodes[host_node].node);
}

void placement_memory__reset(struct planner *p)
{
	for (uint32_t i = 0; i < p->host->nr_nodes; i++) {
		const struct host_node *node = &p->host->nodes[i];

		p->node[i] = (struct place_node){.kb = 0};
		if (!placement_memory__is_allowed(p, i))
			continue;
		p->node[i].kb = node->memory_kb ? node->memory_kb : UINT64_MAX;
		p->node[i].hugepages = node->free_hugepages;
	}
}

bool placement_memory__fits(const struct planner *p, uint32_t node, uint32_t host_node)
{
	return p->node[host_node].kb >= node_kb(p, node);
}

bool placement_memory__has_hugepages(const struct planner *p, uint32_t node, uint32_t host_node)
{
	return p->node[host_node].hugepages >= placement_memory__hugepages(p, node);
}

void placement_memory__take(struct planner *p, uint32_t node, uint32_t host_node)
{
	struct place_node *from = &p->node[host_node];

	from->users++;
	if (placement_memory__fits(p, node, host_node) && from->kb != UINT64_MAX)
		from->kb -= node_kb(p, node);
	if (placement_memory__has_hugepages(p, node, host_node))
		from->hugepages -= placement_memory__hugepages(p, node);
}

/* The host node of most of the virtual node's vCPUs, the first of equals. */
static uint32_t node_of_vcpus(const struct planner *p, uint32_t node)
{
	const struct layout_node *of = &p->machine->nodes[node];
	uint32_t best = 0, most = 0;

	for (uint32_t n = 0; n < p->host->nr_nodes; n++) {
		uint32_t nr = 0;

		for (uint32_t v = of->first_cpu; v < of->first_cpu + of->nr_cpus; v++)
			nr += p->cpu[p->vcpu[v]].node == n;
		if (nr > most) {
			most = nr;
			best = n;
		}
	}
	return best;
}

static bool has_cpus(const struct host_topology *host, uint32_t node)
{
	for (uint32_t i = 0; i < host->nr_cpus; i++)
		if (host->cpus[i].node == host->nodes[node].node)
			return true;
	return false;
}

/*
 * For memory without CPUs: a host node with room, itself without CPUs if there is one, with
 * hugepages, and that fewest virtual nodes have.
 */
static uint32_t node_for_memory(const struct planner *p, uint32_t node)
{
	uint32_t best = 0;
	uint64_t best_rank = UINT64_MAX;

	for (uint32_t n = 0; n < p->host->nr_nodes; n++) {
		uint64_t rank = p->node[n].users;

		if (!placement_memory__fits(p, node, n))
			rank |= UINT64_C(1) << 34;
		if (has_cpus(p->host, n))
			rank |= UINT64_C(1) << 33;
		if (!placement_memory__has_hugepages(p, node, n))
			rank |= UINT64_C(1) << 32;
		if (rank < best_rank) {
			best_rank = rank;
			best = n;
		}
	}
	return best;
}

/* Where memory is not bound, hugepages are of any node. */
static bool take_hugepages_anywhere(struct planner *p, uint32_t node)
{
	uint64_t need = placement_memory__hugepages(p, node), have = 0;

	for (uint32_t n = 0; n < p->host->nr_nodes; n++)
		have += p->node[n].hugepages;
	if (have < need)
		return false;
	for (uint32_t n = 0; n < p->host->nr_nodes && need; n++) {
		uint64_t taken = p->node[n].hugepages < need ? p->node[n].hugepages : need;

		p->node[n].hugepages -= taken;
		need -= taken;
	}
	return true;
}

static void place_node(struct planner *p, uint32_t node, struct placement_node *out)
{
	uint32_t n = p->node_of[node];
	bool bound = n != PLACEMENT_ANY && placement_memory__fits(p, node, n) &&
		     !(p->host->unknown & HOST_UNKNOWN_NODES);
	bool huge = bound ? placement_memory__has_hugepages(p, node, n)
			  : take_hugepages_anywhere(p, node);

	*out = (struct placement_node){
		.host_node = bound ? p->host->nodes[n].node : PLACEMENT_ANY,
		.hugepages = huge ? placement_memory__hugepages(p, node) : 0,
	};
	if (bound)
		placement_memory__take(p, node, n);
}

void placement_memory__place(struct planner *p, struct placement *out)
{
	bool pinned = p->vcpu[0] != PLACEMENT_ANY;

	placement_memory__reset(p);
	for (uint32_t i = 0; i < p->machine->nr_nodes; i++) {
		p->node_of[i] = PLACEMENT_ANY;
		if (pinned)
			p->node_of[i] = p->machine->nodes[i].nr_cpus ? node_of_vcpus(p, i)
								     : node_for_memory(p, i);
		place_node(p, i, &out->nodes[i]);
	}
}
