// SPDX-License-Identifier: GPL-2.0-only
/* Which of the host's CPUs a machine gets: runs in a forked child too, so nothing is allocated. */
#include "cpu_choice.h"

#define ANY UINT32_MAX

struct choice {
	struct cpu_choice_cpu *cpus;
	struct cpu_choice_llc *llcs;
	uint32_t nr_cpus, nr_llcs, wanted;
};

static void forget(const struct choice *c)
{
	for (uint32_t i = 0; i < c->nr_llcs; i++)
		c->llcs[i].chosen = false;
}

/* Better to take before the other? Those of @near come first. */
static bool is_before(const struct cpu_choice_llc *a, const struct cpu_choice_llc *b, uint32_t near)
{
	if ((a->node == near) != (b->node == near))
		return a->node == near;
	return a->holders != b->holders ? a->holders < b->holders : a->id < b->id;
}

/* The next LLC to fill, of @node or of any; NULL: there is none. */
static struct cpu_choice_llc *next_llc(const struct choice *c, uint32_t node, uint32_t near)
{
	struct cpu_choice_llc *best = NULL;

	for (uint32_t i = 0; i < c->nr_llcs; i++) {
		struct cpu_choice_llc *llc = &c->llcs[i];

		if (!llc->available || llc->chosen || !llc->allowed ||
		    (node != ANY && llc->node != node))
			continue;
		if (!best || is_before(llc, best, near))
			best = llc;
	}
	return best;
}

/*
 * Chooses LLCs of @node, or of any, until they have enough CPUs. The last of them; NULL: they have
 * not. *@cost: the machines that are met there.
 */
static struct cpu_choice_llc *fill(const struct choice *c, uint32_t node, uint64_t *cost)
{
	struct cpu_choice_llc *llc = NULL;
	uint32_t nr = 0;

	forget(c);
	*cost = 0;
	while (nr < c->wanted) {
		llc = next_llc(c, node, llc ? llc->node : ANY);
		if (!llc)
			return NULL;
		llc->chosen = true;
		nr += llc->allowed;
		*cost += llc->holders;
	}
	return llc;
}

static struct cpu_choice_llc *choose_llcs(const struct choice *c)
{
	uint32_t best_node = ANY;
	uint64_t cost, best = UINT64_MAX;

	for (uint32_t i = 0; i < c->nr_llcs; i++)
		if (fill(c, c->llcs[i].node, &cost) && cost < best) {
			best = cost;
			best_node = c->llcs[i].node;
		}
	return fill(c, best_node, &cost);
}

/* Machines on the core of @cpu, and whether a CPU of it was chosen. */
static uint32_t core_use(const struct choice *c, const struct cpu_choice_cpu *cpu, bool *begun)
{
	uint32_t used = 0;

	*begun = false;
	for (uint32_t i = 0; i < c->nr_cpus; i++) {
		if (c->cpus[i].core != cpu->core)
			continue;
		used += c->cpus[i].used;
		*begun |= c->cpus[i].chosen;
	}
	return used;
}

static void choose_cpu_of(const struct choice *c, uint32_t llc)
{
	struct cpu_choice_cpu *best = NULL;
	uint32_t best_use = 0;
	bool best_begun = false;

	for (uint32_t i = 0; i < c->nr_cpus; i++) {
		struct cpu_choice_cpu *cpu = &c->cpus[i];
		uint32_t use;
		bool begun;

		if (cpu->llc != llc || !cpu->allowed || cpu->chosen)
			continue;
		use = core_use(c, cpu, &begun);
		if (best && (begun != best_begun ? best_begun : use >= best_use))
			continue;
		best = cpu;
		best_use = use;
		best_begun = begun;
	}
	if (best)
		best->chosen = true;
}

bool cpu_choice__make(struct cpu_choice_cpu *cpus, uint32_t nr_cpus, struct cpu_choice_llc *llcs,
		      uint32_t nr_llcs, uint32_t wanted)
{
	const struct choice c = {cpus, llcs, nr_cpus, nr_llcs, wanted};
	struct cpu_choice_llc *last = NULL;
	uint32_t left = wanted;
	bool any = false;

	if (wanted) {
		last = choose_llcs(&c);
		if (!last)
			return false;
	} else {
		for (uint32_t i = 0; i < nr_llcs; i++)
			any |= llcs[i].chosen = llcs[i].available && llcs[i].allowed;
		if (!any)
			return false;
	}
	for (uint32_t i = 0; i < nr_cpus; i++) {
		struct cpu_choice_cpu *cpu = &cpus[i];

		cpu->chosen = cpu->allowed && llcs[cpu->llc].chosen && &llcs[cpu->llc] != last;
		left -= cpu->chosen;
	}
	for (; last && left; left--)
		choose_cpu_of(&c, (uint32_t)(last - llcs));
	return true;
}
