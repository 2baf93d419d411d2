// SPDX-License-Identifier: GPL-2.0-only
/*
 * The search for CPUs. All virtual LLCs are of one size, so a host LLC either has room for one or
 * has not; then virtual nodes are packed into host nodes by how many such LLCs these have. Ways to
 * use a host LLC are tried from the best to the least, each with one kind of core before all kinds.
 */
#include "placement_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Host nodes tried for virtual ones, in all, before LLCs of a node are spread. */
#define MAX_STEPS 20000u

enum how {
	HOW_WHOLE,  /* a virtual core on threads of one host core */
	HOW_APART,  /* each of its threads on a host core */
	HOW_ANYHOW, /* vCPUs of different cores on siblings */
};

static uint32_t node_index(const struct host_topology *host, uint32_t number)
{
	uint32_t i = 0;

	while (i + 1 < host->nr_nodes && host->nodes[i].node != number)
		i++;
	return i;
}

/* ---- The host ---- */

/*
 * Cores are of one kind when their capacities are within 5%: some cores of a kind are a little
 * faster than others.
 */
static bool same_kind(const struct host_cpu *largest, const struct host_cpu *cpu)
{
	return cpu->efficient == largest->efficient &&
	       (uint64_t)largest->capacity * 1024 <= (uint64_t)cpu->capacity * 1078;
}

static bool is_larger(const struct host_cpu *a, const struct host_cpu *b)
{
	if (a->efficient != b->efficient)
		return b->efficient;
	return a->capacity > b->capacity;
}

static void find_kinds(struct planner *p)
{
	uint32_t known = 0;

	for (uint32_t i = 0; i < p->nr_cpus; i++)
		p->cpu[i].kind = PLACEMENT_ANY;
	for (p->nr_kinds = 0; known < p->nr_cpus; p->nr_kinds++) {
		const struct host_cpu *largest = NULL;

		for (uint32_t i = 0; i < p->nr_cpus; i++)
			if (p->cpu[i].kind == PLACEMENT_ANY &&
			    (!largest || is_larger(&p->cpu[i].host, largest)))
				largest = &p->cpu[i].host;
		for (uint32_t i = 0; i < p->nr_cpus; i++) {
			if (p->cpu[i].kind != PLACEMENT_ANY || !same_kind(largest, &p->cpu[i].host))
				continue;
			p->cpu[i].kind = p->nr_kinds;
			known++;
		}
	}
}

static int compare(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int by_place(const void *left, const void *right)
{
	const struct place_cpu *a = left, *b = right;
	int order = compare(a->host.llc, b->host.llc);

	if (!order)
		order = compare(a->host.node, b->host.node);
	if (!order)
		order = compare(a->kind, b->kind);
	if (!order) /* the core of CPU 0 last */
		order = compare(a->host.core == 0, b->host.core == 0);
	if (!order)
		order = compare(a->host.core, b->host.core);
	return order ? order : compare(a->host.cpu, b->host.cpu);
}

static void find_cores_and_llcs(struct planner *p)
{
	for (uint32_t i = 0; i < p->nr_cpus; i++) {
		struct place_cpu *cpu = &p->cpu[i], *last = i ? cpu - 1 : NULL;
		struct place_llc *llc;

		cpu->node = node_index(p->host, cpu->host.node);
		if (!last || last->host.llc != cpu->host.llc)
			p->llc[p->nr_host_llcs++] =
				(struct place_llc){.first = p->nr_cores, .node = cpu->node};
		cpu->llc = p->nr_host_llcs - 1;
		llc = &p->llc[cpu->llc];
		if (!last || last->llc != cpu->llc || last->host.core != cpu->host.core) {
			p->core[p->nr_cores++] = (struct place_core){.first = i, .kind = cpu->kind};
			llc->nr++;
		}
		cpu->core = p->nr_cores - 1;
		p->core[cpu->core].nr++;
		llc->nr_cpus++;
		llc->has_cpu_0 |= cpu->host.cpu == 0;
	}
}

static uint32_t node_llcs(const struct planner *p, uint32_t node)
{
	return p->machine->nodes[node].nr_cpus / p->llc_vcpus;
}

/* Few nodes: by insertion. */
static void order_nodes(struct planner *p)
{
	for (uint32_t v = 0; v < p->machine->nr_nodes; v++) {
		uint32_t at = p->nr_by_llcs;

		if (!p->machine->nodes[v].nr_cpus)
			continue;
		for (; at && node_llcs(p, p->by_llcs[at - 1]) < node_llcs(p, v); at--)
			p->by_llcs[at] = p->by_llcs[at - 1];
		p->by_llcs[at] = v;
		p->nr_by_llcs++;
	}
}

static void reset(struct planner *p)
{
	for (uint32_t i = 0; i < p->machine->nr_cpus; i++)
		p->vcpu[i] = PLACEMENT_ANY;
	for (uint32_t i = 0; i < p->machine->nr_nodes; i++)
		p->node_of[i] = PLACEMENT_ANY;
	for (uint32_t i = 0; i < p->nr_cores; i++)
		p->core[i].used = 0;
	for (uint32_t i = 0; i < p->nr_host_llcs; i++)
		p->llc[i].used = false;
	p->service = PLACEMENT_ANY;
	placement_memory__reset(p);
}

int placement_cpus__create(struct planner *p)
{
	const struct layout *m = p->machine;
	const struct host_topology *host = p->host;

	p->nr_llcs = m->topology.llcs;
	p->cores = m->topology.cores_per_llc;
	p->threads = m->topology.threads_per_core;
	p->llc_vcpus = p->cores * p->threads;
	/* none is empty, whatever the host has */
	p->cpu = calloc(host->nr_cpus + 1, sizeof(*p->cpu));
	p->core = calloc(host->nr_cpus + 1, sizeof(*p->core));
	p->llc = calloc(host->nr_cpus + 1, sizeof(*p->llc));
	p->fit = calloc(host->nr_cpus + 1, sizeof(*p->fit));
	p->node = calloc(host->nr_nodes, sizeof(*p->node));
	p->vcpu = calloc(m->nr_cpus, sizeof(*p->vcpu));
	p->node_of = calloc(m->nr_nodes, sizeof(*p->node_of));
	p->by_llcs = calloc(m->nr_nodes, sizeof(*p->by_llcs));
	if (!p->cpu || !p->core || !p->llc || !p->fit || !p->node || !p->vcpu || !p->node_of ||
	    !p->by_llcs)
		return -ENOMEM;
	for (uint32_t i = 0; i < host->nr_cpus; i++)
		if (host->cpus[i].allowed && !host->cpus[i].taken)
			p->cpu[p->nr_cpus++] =
				(struct place_cpu){.host = host->cpus[i], .index = i};
	find_kinds(p);
	qsort(p->cpu, p->nr_cpus, sizeof(*p->cpu), by_place);
	find_cores_and_llcs(p);
	order_nodes(p);
	reset(p);
	return 0;
}

void placement_cpus__destroy(struct planner *p)
{
	free(p->cpu);
	free(p->core);
	free(p->llc);
	free(p->fit);
	free(p->node);
	free(p->vcpu);
	free(p->node_of);
	free(p->by_llcs);
}

/* ---- A host LLC ---- */

static bool is_of(const struct place_core *core, uint32_t kind)
{
	return kind == PLACEMENT_ANY || core->kind == kind;
}

/* Virtual cores that the LLC has room for. */
static uint32_t room(const struct planner *p, const struct place_llc *llc, uint32_t kind,
		     enum how how)
{
	uint32_t whole = 0, unused = 0, cpus = 0;

	for (uint32_t c = llc->first; c < llc->first + llc->nr; c++) {
		const struct place_core *core = &p->core[c];

		if (!is_of(core, kind))
			continue;
		cpus += core->nr - core->used;
		if (core->used)
			continue;
		unused++;
		whole += core->nr >= p->threads;
	}
	if (how == HOW_WHOLE)
		return whole;
	return (how == HOW_APART ? unused : cpus) / p->threads;
}

/* Puts @nr vCPUs, from @vcpu on, on cores of the LLC, @width on each; 0: as many as it has. */
static void fill_cores(struct planner *p, uint32_t vcpu, uint32_t nr, const struct place_llc *llc,
		       uint32_t kind, uint32_t width)
{
	for (uint32_t c = llc->first; c < llc->first + llc->nr; c++) {
		struct place_core *core = &p->core[c];

		if (!is_of(core, kind) || (width && (core->used || core->nr < width)))
			continue;
		for (uint32_t i = 0; nr && core->used < core->nr && (!width || i < width); i++) {
			p->vcpu[vcpu++] = core->first + core->used++;
			nr--;
		}
	}
}

/* The same of virtual cores, for which there is room. */
static void fill(struct planner *p, uint32_t vcpu, uint32_t cores, const struct place_llc *llc,
		 uint32_t kind, enum how how)
{
	uint32_t whole = cores;

	if (how == HOW_APART) {
		fill_cores(p, vcpu, cores * p->threads, llc, kind, 1);
		return;
	}
	if (how == HOW_ANYHOW && room(p, llc, kind, HOW_WHOLE) < cores)
		whole = room(p, llc, kind, HOW_WHOLE);
	fill_cores(p, vcpu, whole * p->threads, llc, kind, p->threads);
	fill_cores(p, vcpu + whole * p->threads, (cores - whole) * p->threads, llc, kind, 0);
}

/* ---- LLCs for nodes ---- */

/* Whether LLC @a is rather to be used than @b: not that of CPU 0, then the first. */
static bool is_better(const struct planner *p, uint32_t a, uint32_t b)
{
	if (p->llc[a].nr_cpus != p->llc[b].nr_cpus)
		return p->llc[a].nr_cpus < p->llc[b].nr_cpus;
	if (p->llc[a].has_cpu_0 != p->llc[b].has_cpu_0)
		return p->llc[b].has_cpu_0;
	return a < b;
}

/* Returns how many there are. */
static uint32_t find_fits(struct planner *p, uint32_t kind, enum how how)
{
	uint32_t nr = 0;

	for (uint32_t n = 0; n < p->host->nr_nodes; n++) {
		struct place_node *node = &p->node[n];

		node->first_fit = nr;
		node->fits = node->taken = 0;
		for (uint32_t i = 0; i < p->nr_host_llcs; i++) {
			uint32_t at = nr;

			if (p->llc[i].node != n || room(p, &p->llc[i], kind, how) < p->cores)
				continue;
			for (; at > node->first_fit && is_better(p, i, p->fit[at - 1]); at--)
				p->fit[at] = p->fit[at - 1];
			p->fit[at] = i;
			node->fits++;
			nr++;
		}
	}
	return nr;
}

/* How well a host node is for a virtual one: the least is the best. The last is its number. */
enum { RANK_MEMORY, RANK_HUGEPAGES, RANK_USERS, RANK_WASTE, RANK_LEFT, RANK_NODE, NR_RANKS };
struct rank {
	uint32_t of[NR_RANKS];
};

static bool is_less(const struct rank *a, const struct rank *b)
{
	for (int i = 0; i < NR_RANKS; i++)
		if (a->of[i] != b->of[i])
			return a->of[i] < b->of[i];
	return false;
}

static struct rank rank_node(const struct planner *p, uint32_t v, uint32_t n)
{
	const struct place_node *node = &p->node[n];
	uint32_t need = node_llcs(p, v), waste = 0;

	for (uint32_t i = 0; i < need; i++)
		waste += p->llc[p->fit[node->first_fit + node->taken + i]].nr_cpus;
	return (struct rank){{
		[RANK_MEMORY] = !placement_memory__fits(p, v, n),
		[RANK_HUGEPAGES] = !placement_memory__has_hugepages(p, v, n),
		[RANK_USERS] = node->users,
		[RANK_WASTE] = waste,
		[RANK_LEFT] = node->fits - node->taken - need,
		[RANK_NODE] = n,
	}};
}

/* The best host node that has LLCs enough and ranks behind @last. False: there is none. */
static bool next_node(const struct planner *p, uint32_t v, const struct rank *last,
		      struct rank *best)
{
	bool found = false;

	for (uint32_t n = 0; n < p->host->nr_nodes; n++) {
		struct rank rank;

		if (p->node[n].fits - p->node[n].taken < node_llcs(p, v))
			continue;
		rank = rank_node(p, v, n);
		if ((last && !is_less(last, &rank)) || (found && !is_less(&rank, best)))
			continue;
		*best = rank;
		found = true;
	}
	return found;
}

static void take_node(struct planner *p, uint32_t v, uint32_t n)
{
	p->node_of[v] = n;
	p->node[n].taken += node_llcs(p, v);
	placement_memory__take(p, v, n);
}

/* Places the @item-th virtual node and those behind it, each within a host node. */
static bool pack(struct planner *p, uint32_t item)
{
	struct rank rank, last;
	uint32_t v;

	if (item == p->nr_by_llcs)
		return true;
	v = p->by_llcs[item];
	for (bool more = next_node(p, v, NULL, &rank); more; more = next_node(p, v, &last, &rank)) {
		uint32_t n = rank.of[RANK_NODE];
		struct place_node before = p->node[n];

		if (!p->steps)
			return false;
		p->steps--;
		take_node(p, v, n);
		if (pack(p, item + 1))
			return true;
		p->node[n] = before;
		p->node_of[v] = PLACEMENT_ANY;
		last = rank;
	}
	return false;
}

/* As many within a host node as come so, the largest first. */
static void pack_some(struct planner *p)
{
	struct rank rank;

	for (uint32_t i = 0; i < p->nr_by_llcs; i++)
		if (next_node(p, p->by_llcs[i], NULL, &rank))
			take_node(p, p->by_llcs[i], rank.of[RANK_NODE]);
}

/* The host node of which most LLCs are left. */
static uint32_t emptiest(const struct planner *p)
{
	uint32_t best = 0;

	for (uint32_t n = 1; n < p->host->nr_nodes; n++)
		if (p->node[n].fits - p->node[n].taken > p->node[best].fits - p->node[best].taken)
			best = n;
	return best;
}

static void fill_node(struct planner *p, uint32_t v, uint32_t kind, enum how how)
{
	uint32_t first = p->machine->nodes[v].first_cpu, spread = PLACEMENT_ANY;

	for (uint32_t i = 0; i < node_llcs(p, v); i++) {
		struct place_node *node;

		if (p->node_of[v] == PLACEMENT_ANY &&
		    (spread == PLACEMENT_ANY || p->node[spread].taken == p->node[spread].fits))
			spread = emptiest(p);
		node = &p->node[spread == PLACEMENT_ANY ? p->node_of[v] : spread];
		fill(p, first + i * p->llc_vcpus, p->cores,
		     &p->llc[p->fit[node->first_fit + node->taken++]], kind, how);
	}
}

static bool place(struct planner *p, uint32_t kind, enum how how)
{
	reset(p);
	if (find_fits(p, kind, how) < p->nr_llcs)
		return false;
	p->steps = MAX_STEPS;
	if (!pack(p, 0))
		pack_some(p);
	for (uint32_t n = 0; n < p->host->nr_nodes; n++)
		p->node[n].taken = 0;
	/* what is within one node first: what is spread takes what these leave */
	for (uint32_t v = 0; v < p->machine->nr_nodes; v++)
		if (p->node_of[v] != PLACEMENT_ANY)
			fill_node(p, v, kind, how);
	for (uint32_t v = 0; v < p->machine->nr_nodes; v++)
		if (p->node_of[v] == PLACEMENT_ANY)
			fill_node(p, v, kind, how);
	return true;
}

bool placement_cpus__place(struct planner *p)
{
	for (enum how how = HOW_WHOLE; how <= HOW_ANYHOW; how++) {
		if (how == HOW_APART && p->threads == 1)
			continue;
		for (uint32_t kind = 0; kind < p->nr_kinds; kind++)
			if (place(p, kind, how))
				return true;
		if (p->nr_kinds > 1 && place(p, PLACEMENT_ANY, how))
			return true;
	}
	reset(p);
	return false;
}

uint32_t placement_cpus__llcs_that_fit(const struct planner *p)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < p->nr_host_llcs; i++)
		nr += p->llc[i].nr_cpus >= p->llc_vcpus;
	return nr;
}

/* ---- Without an LLC for each ---- */

static uint32_t free_cpus(const struct planner *p, const struct place_llc *llc)
{
	uint32_t nr = 0;

	for (uint32_t c = llc->first; c < llc->first + llc->nr; c++)
		nr += p->core[c].nr - p->core[c].used;
	return nr;
}

/* The smallest one that no vCPU is on, or that which has most CPUs left. NULL: none has room. */
static struct place_llc *find_llc(struct planner *p, enum how how, bool own)
{
	uint32_t best = PLACEMENT_ANY;

	for (uint32_t i = 0; i < p->nr_host_llcs; i++) {
		if ((own && p->llc[i].used) || room(p, &p->llc[i], PLACEMENT_ANY, how) < p->cores)
			continue;
		if (best == PLACEMENT_ANY ||
		    (own ? is_better(p, i, best)
			 : free_cpus(p, &p->llc[i]) > free_cpus(p, &p->llc[best])))
			best = i;
	}
	return best == PLACEMENT_ANY ? NULL : &p->llc[best];
}

/* On several LLCs: those first that have most CPUs left. */
static void spread(struct planner *p, uint32_t vcpu)
{
	uint32_t end = vcpu + p->llc_vcpus;

	while (vcpu < end) {
		struct place_llc *llc = p->llc;
		uint32_t nr;

		for (uint32_t i = 1; i < p->nr_host_llcs; i++)
			if (free_cpus(p, &p->llc[i]) > free_cpus(p, llc))
				llc = &p->llc[i];
		nr = room(p, llc, PLACEMENT_ANY, HOW_ANYHOW);
		if (nr > (end - vcpu) / p->threads)
			nr = (end - vcpu) / p->threads;
		if (nr) {
			fill(p, vcpu, nr, llc, PLACEMENT_ANY, HOW_ANYHOW);
			vcpu += nr * p->threads;
		} else { /* fewer CPUs than threads of a core */
			nr = free_cpus(p, llc);
			if (nr > end - vcpu)
				nr = end - vcpu;
			fill_cores(p, vcpu, nr, llc, PLACEMENT_ANY, 0);
			vcpu += nr;
		}
		llc->used = true;
	}
}

bool placement_cpus__scatter(struct planner *p)
{
	reset(p);
	if (p->nr_cpus < p->machine->nr_cpus)
		return false;
	for (uint32_t i = 0; i < p->nr_llcs; i++) {
		struct place_llc *llc = NULL;
		enum how how = HOW_WHOLE;

		for (; !llc && how <= HOW_ANYHOW; how++)
			llc = find_llc(p, how, true);
		if (!llc)
			for (how = HOW_WHOLE; !llc && how <= HOW_ANYHOW; how++)
				llc = find_llc(p, how, false);
		if (!llc) {
			spread(p, i * p->llc_vcpus);
			continue;
		}
		fill(p, i * p->llc_vcpus, p->cores, llc, PLACEMENT_ANY, how - 1);
		llc->used = true;
	}
	return true;
}

/* ---- Service threads ---- */

void placement_cpus__place_service(struct planner *p)
{
	struct rank best = {{0}};

	p->service = PLACEMENT_ANY;
	if (p->vcpu[0] == PLACEMENT_ANY)
		return;
	for (uint32_t i = 0; i < p->nr_cpus; i++) {
		const struct place_cpu *cpu = &p->cpu[i];
		bool in_llc = false, in_node = false;
		struct rank rank;

		if (i - p->core[cpu->core].first < p->core[cpu->core].used)
			continue;
		for (uint32_t v = 0; v < p->machine->nr_cpus; v++) {
			in_llc |= p->cpu[p->vcpu[v]].llc == cpu->llc;
			in_node |= p->cpu[p->vcpu[v]].node == cpu->node;
		}
		rank = (struct rank){
			{p->core[cpu->core].used > 0, !in_node, in_llc, cpu->host.cpu}};
		if (p->service != PLACEMENT_ANY && !is_less(&rank, &best))
			continue;
		best = rank;
		p->service = i;
	}
}
