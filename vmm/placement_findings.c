// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a plan and the host's conditions lack, each with what a person can do about it. Findings are
 * made of the plan as it is, however it came to be.
 */
#include "placement_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* % of 10 s, in hundredths: with less, a task now and then has waited for a CPU. */
#define BUSY_PRESSURE 500u
/* Tasks, in hundredths: what an idle host has. */
#define IDLE_LOAD 50u

const char *placement__kind_name(enum placement_kind kind)
{
	static const char *const names[PLACEMENT_NR_KINDS] = {
		[PLACEMENT_TOO_FEW_CPUS] = "cpus",
		[PLACEMENT_NO_SERVICE_CPU] = "service-cpu",
		[PLACEMENT_TOO_FEW_LLCS] = "llcs",
		[PLACEMENT_HUGEPAGES] = "hugepages",
		[PLACEMENT_NODE_MEMORY] = "node-memory",
		[PLACEMENT_NODE_SPLIT] = "node-split",
		[PLACEMENT_THREADS_APART] = "threads-apart",
		[PLACEMENT_RT_RIGHTS] = "rt-rights",
		[PLACEMENT_UNKNOWN_TOPOLOGY] = "unknown-topology",
		[PLACEMENT_SIBLINGS_SHARED] = "siblings-shared",
		[PLACEMENT_KINDS_MIXED] = "kinds-mixed",
		[PLACEMENT_CPUSET] = "cpuset",
		[PLACEMENT_TSC] = "tsc",
		[PLACEMENT_CLOCKSOURCE] = "clocksource",
		[PLACEMENT_GOVERNOR] = "governor",
		[PLACEMENT_BUSY] = "busy",
		[PLACEMENT_HEAT] = "heat",
		[PLACEMENT_IN_MACHINE] = "in-machine",
	};

	return (unsigned int)kind < PLACEMENT_NR_KINDS ? names[kind] : "?";
}

struct adder {
	const struct planner *p;
	const struct host_conditions *conditions;
	struct placement *out;
	uint32_t *owner; /* of a core: the virtual core of its first CPU */
};

static enum placement_severity severity(enum placement_kind kind, enum placement_mode mode)
{
	if (kind <= PLACEMENT_TOO_FEW_LLCS)
		return mode == PLACEMENT_REQUIRED ? PLACEMENT_ERROR : PLACEMENT_DOWNGRADE;
	if (kind <= PLACEMENT_UNKNOWN_TOPOLOGY && mode == PLACEMENT_BEST_EFFORT)
		return PLACEMENT_DOWNGRADE;
	return PLACEMENT_WARNING;
}

/* There is room for all that can be. What is given as NULL, the caller writes. */
static struct placement_finding *add(struct adder *a, enum placement_kind kind, const char *what,
				     const char *remedy, const char *instead)
{
	struct placement_finding *f = &a->out->findings[a->out->nr_findings++];

	f->kind = kind;
	f->severity = severity(kind, a->out->mode);
	a->out->nr_unmet += kind <= PLACEMENT_TOO_FEW_LLCS;
	snprintf(f->what, sizeof(f->what), "%s", what ? what : "");
	snprintf(f->remedy, sizeof(f->remedy), "%s", remedy ? remedy : "");
	/* where there is no plan, nothing is done instead; errors come first */
	if (a->out->mode == PLACEMENT_BEST_EFFORT || !a->out->nr_unmet)
		snprintf(f->instead, sizeof(f->instead), "%s", instead ? instead : "");
	return f;
}

static bool is_pinned(const struct planner *p)
{
	return p->vcpu[0] != PLACEMENT_ANY;
}

static const struct place_cpu *cpu_of(const struct planner *p, uint32_t vcpu)
{
	return &p->cpu[p->vcpu[vcpu]];
}

/* "4 CPUs", "1 CPU" */
static const char *counted(char *buf, size_t size, uint64_t nr, const char *what)
{
	snprintf(buf, size, "%" PRIu64 " %s%s", nr, what, nr == 1 ? "" : "s");
	return buf;
}

/* ---- CPUs and LLCs ---- */

static void add_cpus(struct adder *a)
{
	const struct planner *p = a->p;
	uint32_t vcpus = p->machine->nr_cpus;
	struct placement_finding *f;
	char need[32], have[32];

	if (p->nr_cpus > vcpus)
		return;
	if (p->nr_cpus < vcpus) {
		f = add(a, PLACEMENT_TOO_FEW_CPUS, NULL,
			"declare a smaller machine, or give the process more CPUs",
			"vCPU threads are not pinned, and not real-time");
		snprintf(f->what, sizeof(f->what),
			 "%s and service threads need %u CPUs, and this process may use %s",
			 counted(need, sizeof(need), vcpus, "vCPU"), vcpus + 1,
			 counted(have, sizeof(have), p->nr_cpus, "CPU"));
		return;
	}
	f = add(a, PLACEMENT_NO_SERVICE_CPU, NULL,
		"declare a machine with fewer CPUs, or give the process one CPU more",
		"service threads share the CPUs of vCPU threads, which are not real-time");
	snprintf(f->what, sizeof(f->what),
		 "vCPUs have all CPUs that this process may use (%u), and none is left for service "
		 "threads",
		 p->nr_cpus);
}

static void add_llcs(struct adder *a)
{
	const struct planner *p = a->p;
	uint32_t fit = placement_cpus__llcs_that_fit(p);
	struct placement_finding *f;
	char cpus[32];

	if (fit >= p->nr_llcs)
		return;
	f = add(a, PLACEMENT_TOO_FEW_LLCS, NULL,
		"declare fewer or smaller LLCs, or give the process CPUs of more host LLCs",
		is_pinned(p) ? "LLCs share host LLCs or lie on several, as the plan shows"
			     : "LLCs are on no host LLC of their own");
	snprintf(
		f->what, sizeof(f->what),
		"each LLC (%u) needs a host LLC with %s that this process may use, and there %s %u",
		p->nr_llcs, counted(cpus, sizeof(cpus), p->llc_vcpus, "CPU"),
		fit == 1 ? "is" : "are", fit);
}

/* ---- Memory ---- */

/* Of virtual nodes on a host node, or on none (PLACEMENT_ANY). */
struct hugepages {
	uint64_t wanted, all, unused;
	uint32_t nodes_without;
};

static struct hugepages count_hugepages(const struct adder *a, uint32_t host_node)
{
	const struct planner *p = a->p;
	struct hugepages pages = {0};

	for (uint32_t i = 0; i < p->machine->nr_nodes; i++) {
		uint32_t on =
			a->out->nodes[i].host_node == PLACEMENT_ANY ? PLACEMENT_ANY : p->node_of[i];

		if (on != host_node)
			continue;
		pages.wanted += placement_memory__hugepages(p, i);
		pages.nodes_without += !a->out->nodes[i].hugepages;
	}
	for (uint32_t i = 0; i < p->host->nr_nodes; i++) {
		if ((host_node != PLACEMENT_ANY && host_node != i) ||
		    !placement_memory__is_allowed(p, i))
			continue;
		pages.all += p->host->nodes[i].hugepages;
		pages.unused += p->host->nodes[i].free_hugepages;
	}
	return pages;
}

static void add_hugepages(struct adder *a, uint32_t host_node)
{
	const struct planner *p = a->p;
	struct hugepages pages = count_hugepages(a, host_node);
	uint64_t enough = pages.all - pages.unused + pages.wanted;
	struct placement_finding *f;
	char where[32] = "the host", instead[64], nodes[32];

	if (!pages.nodes_without)
		return;
	if (host_node != PLACEMENT_ANY)
		snprintf(where, sizeof(where), "host node %u", p->host->nodes[host_node].node);
	snprintf(instead, sizeof(instead), "RAM of %s is in small pages",
		 counted(nodes, sizeof(nodes), pages.nodes_without, "node"));
	f = add(a, PLACEMENT_HUGEPAGES, NULL, NULL, instead);
	snprintf(f->what, sizeof(f->what),
		 "RAM on %s needs %" PRIu64 " hugepages of 2 MiB, and %" PRIu64 " are free", where,
		 pages.wanted, pages.unused);
	if (!pages.all && p->host->unknown & HOST_UNKNOWN_HUGEPAGES)
		snprintf(f->remedy, sizeof(f->remedy),
			 "run a host kernel with CONFIG_HUGETLBFS, with its /sys");
	else if (host_node == PLACEMENT_ANY)
		snprintf(f->remedy, sizeof(f->remedy), "sysctl vm.nr_hugepages=%" PRIu64, enough);
	else
		snprintf(f->remedy, sizeof(f->remedy),
			 "echo %" PRIu64 " >/sys/devices/system/node/node%u/hugepages/"
			 "hugepages-2048kB/nr_hugepages",
			 enough, p->host->nodes[host_node].node);
}

static void add_node_memory(struct adder *a, uint32_t node)
{
	const struct planner *p = a->p;
	uint32_t n = p->node_of[node];
	struct placement_finding *f;

	if (n == PLACEMENT_ANY || a->out->nodes[node].host_node != PLACEMENT_ANY ||
	    p->host->unknown & HOST_UNKNOWN_NODES)
		return;
	if (!placement_memory__is_allowed(p, n)) {
		f = add(a, PLACEMENT_NODE_MEMORY, NULL, "widen its cpuset (cpuset.mems)",
			"its memory is not bound");
		snprintf(
			f->what, sizeof(f->what),
			"CPUs of node %u are in host node %u, whose memory is not for this process",
			node, p->host->nodes[n].node);
		return;
	}
	f = add(a, PLACEMENT_NODE_MEMORY, NULL, "declare a machine with less memory",
		"its memory is not bound");
	snprintf(f->what, sizeof(f->what),
		 "node %u has %" PRIu64 " MiB, and host node %u has %" PRIu64
		 " MiB for all nodes that are there",
		 node, p->machine->nodes[node].memory >> 20, p->host->nodes[n].node,
		 p->host->nodes[n].memory_kb >> 10);
}

static void add_node_split(struct adder *a, uint32_t node)
{
	const struct planner *p = a->p;
	const struct layout_node *of = &p->machine->nodes[node];
	struct placement_finding *f;

	for (uint32_t v = of->first_cpu + 1; v < of->first_cpu + of->nr_cpus; v++) {
		const struct place_cpu *cpu = cpu_of(p, v);
		uint32_t first = cpu_of(p, of->first_cpu)->host.node;

		if (cpu->host.node == first)
			continue;
		f = add(a, PLACEMENT_NODE_SPLIT, NULL, "declare nodes with fewer LLCs", NULL);
		snprintf(f->what, sizeof(f->what), "vCPUs of node %u are on host nodes %u and %u",
			 node, first, cpu->host.node);
		snprintf(f->instead, sizeof(f->instead), "its memory is near most of them");
		return;
	}
}

/* ---- Cores ---- */

static void add_threads_apart(struct adder *a)
{
	const struct planner *p = a->p;
	struct placement_finding *f;
	uint32_t nr = 0, at = 0;

	for (uint32_t first = 0; first < p->machine->nr_cpus; first += p->threads) {
		bool apart = false;

		for (uint32_t i = 1; i < p->threads; i++)
			apart |= cpu_of(p, first)->core != cpu_of(p, first + i)->core;
		if (apart && !nr++)
			at = first;
	}
	if (!nr)
		return;
	f = add(a, PLACEMENT_THREADS_APART, NULL,
		"declare one thread a core, or use a host with SMT on and enough cores",
		"threads of a core do not share one");
	snprintf(f->what, sizeof(f->what),
		 "%u of %u virtual cores are not on a host core each, the first with vCPUs %u-%u",
		 nr, p->nr_llcs * p->cores, at, at + p->threads - 1);
}

static void add_siblings_shared(struct adder *a)
{
	const struct planner *p = a->p;
	struct placement_finding *f;
	uint32_t nr = 0, at = 0;

	for (uint32_t i = 0; i < p->nr_cores; i++)
		a->owner[i] = PLACEMENT_ANY;
	for (uint32_t v = 0; v < p->machine->nr_cpus; v++) {
		uint32_t *owner = &a->owner[cpu_of(p, v)->core];

		if (*owner == PLACEMENT_ANY)
			*owner = p->machine->cpus[v].core;
		else if (*owner != p->machine->cpus[v].core && !nr++)
			at = v;
	}
	if (nr) {
		f = add(a, PLACEMENT_SIBLINGS_SHARED, NULL,
			"declare fewer cores, or threads of cores as the host has them", NULL);
		snprintf(f->what, sizeof(f->what),
			 "vCPUs share a host core with those of other virtual cores: %u of them, "
			 "the first is vCPU %u on CPU %u",
			 nr, at, cpu_of(p, at)->host.cpu);
	}
	if (p->service == PLACEMENT_ANY || !p->core[p->cpu[p->service].core].used)
		return;
	f = add(a, PLACEMENT_SIBLINGS_SHARED, NULL,
		"declare a machine with fewer cores, or give the process one core more", NULL);
	snprintf(f->what, sizeof(f->what),
		 "service threads are on CPU %u, a sibling of a CPU that a vCPU has",
		 p->cpu[p->service].host.cpu);
}

static void add_kinds_mixed(struct adder *a)
{
	const struct planner *p = a->p;
	struct placement_finding *f;

	for (uint32_t v = 1; v < p->machine->nr_cpus; v++) {
		if (cpu_of(p, v)->kind == cpu_of(p, 0)->kind)
			continue;
		f = add(a, PLACEMENT_KINDS_MIXED, NULL,
			"declare a machine that fits on the cores of one kind", NULL);
		snprintf(f->what, sizeof(f->what),
			 "vCPUs are on cores of unlike speed, as vCPU 0 on CPU %u and vCPU %u on "
			 "CPU %u",
			 cpu_of(p, 0)->host.cpu, v, cpu_of(p, v)->host.cpu);
		return;
	}
}

/* ---- Rights, and what is known ---- */

static void add_rights(struct adder *a)
{
	struct placement_finding *f;

	if (!(a->conditions->known & HOST_KNOWS_RIGHTS) ||
	    a->conditions->rt_priority >= PLACEMENT_WATCHDOG_PRIORITY)
		return;
	f = add(a, PLACEMENT_RT_RIGHTS, NULL, NULL, "vCPU threads are not real-time");
	snprintf(f->what, sizeof(f->what),
		 "this process may give no real-time priority above %u, and needs %u",
		 a->conditions->rt_priority, PLACEMENT_WATCHDOG_PRIORITY);
	snprintf(f->remedy, sizeof(f->remedy),
		 "raise its limit (rtprio in limits.conf, ulimit -r %u), or give it CAP_SYS_NICE",
		 PLACEMENT_WATCHDOG_PRIORITY);
}

static void add_unknown(struct adder *a)
{
	static const struct {
		unsigned int bit;
		const char *what, *remedy, *instead;
	} unknown[] = {
		{HOST_UNKNOWN_CORES, "/sys does not say which CPUs are threads of a core",
		 "give the process the host's /sys: cpu*/topology/core_cpus_list",
		 "such CPUs count as cores of their own"},
		{HOST_UNKNOWN_LLCS, "/sys does not say which CPUs share a last-level cache",
		 "give the process the host's /sys: cpu*/cache", "packages count as LLCs"},
		{HOST_UNKNOWN_NODES, "/sys does not say which node each CPU is in",
		 "run a host kernel with CONFIG_NUMA, with its /sys", "memory is not bound"},
		{HOST_UNKNOWN_HUGEPAGES, "/sys does not say how many hugepages a node has",
		 "run a host kernel with CONFIG_HUGETLBFS, with its /sys",
		 "such nodes count as without"},
	};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		if (a->p->host->unknown & unknown[i].bit)
			add(a, PLACEMENT_UNKNOWN_TOPOLOGY, unknown[i].what, unknown[i].remedy,
			    unknown[i].instead);
}

static void add_cpuset(struct adder *a)
{
	const struct planner *p = a->p;
	struct placement_finding *f;

	if (p->nr_cpus == p->host->nr_cpus)
		return;
	f = add(a, PLACEMENT_CPUSET, NULL,
		"widen its cpuset (cgroup, container) or its affinity (taskset)", NULL);
	snprintf(
		f->what, sizeof(f->what),
		"this process may use %u of %u CPUs; what runs on the others shares caches with it",
		p->nr_cpus, p->host->nr_cpus);
}

/* ---- The host's state ---- */

static void add_clocks(struct adder *a)
{
	const struct host_conditions *c = a->conditions;
	struct placement_finding *f;

	if (c->known & HOST_KNOWS_CPUINFO && !c->tsc_steady)
		add(a, PLACEMENT_TSC,
		    "the TSC changes its pace, or stops (no constant, nonstop TSC)",
		    "run on a CPU with an invariant TSC", NULL);
	if (!c->clocksource[0] || !strcmp(c->clocksource, "tsc") ||
	    !strcmp(c->clocksource, "arch_sys_counter"))
		return;
	f = add(a, PLACEMENT_CLOCKSOURCE, NULL,
		c->tsc_offered ? "echo tsc "
				 ">/sys/devices/system/clocksource/clocksource0/current_clocksource"
			       : "see what the host's kernel says of it: dmesg | grep -i tsc",
		NULL);
	snprintf(f->what, sizeof(f->what), "the host's clock is %s%s", c->clocksource,
		 c->tsc_offered ? "" : ": its kernel takes the TSC for unstable");
}

/* Whether the plan has it for a vCPU, or may. */
static bool in_plan(const struct planner *p, uint32_t cpu)
{
	const struct place_core *core = &p->core[p->cpu[cpu].core];

	return !is_pinned(p) || cpu - core->first < core->used;
}

static void add_governor(struct adder *a)
{
	const struct planner *p = a->p;
	const char *governor = NULL;
	struct placement_finding *f;
	uint32_t nr = 0, at = 0;
	char cpus[32];

	for (uint32_t i = 0; i < p->nr_cpus; i++) {
		const char *one = a->conditions->cpus[p->cpu[i].index].governor;

		if (!in_plan(p, i) || !*one || !strcmp(one, "performance"))
			continue;
		if (!nr++ || p->cpu[i].host.cpu < at) {
			at = p->cpu[i].host.cpu;
			governor = one;
		}
	}
	if (!nr)
		return;
	f = add(a, PLACEMENT_GOVERNOR, NULL, "cpupower frequency-set -g performance", NULL);
	snprintf(f->what, sizeof(f->what),
		 "the frequency of %s of the plan is scaled, as by %s on CPU %u",
		 counted(cpus, sizeof(cpus), nr, "CPU"), governor, at);
}

static void add_busy(struct adder *a)
{
	const struct host_conditions *c = a->conditions;
	uint32_t online = a->p->host->nr_cpus, vcpus = a->p->machine->nr_cpus;
	uint64_t room = online > vcpus + 1 ? (uint64_t)(online - vcpus - 1) * 100 : 0;
	struct placement_finding *f;

	if (c->known & HOST_KNOWS_PRESSURE && c->pressure_hundredths >= BUSY_PRESSURE) {
		f = add(a, PLACEMENT_BUSY, NULL, "end other work on the host, or run later", NULL);
		snprintf(f->what, sizeof(f->what),
			 "tasks waited for CPUs in %u.%02u%% of the last 10 s",
			 c->pressure_hundredths / 100, c->pressure_hundredths % 100);
		return;
	}
	if (room < IDLE_LOAD)
		room = IDLE_LOAD;
	if (!(c->known & HOST_KNOWS_LOAD) || c->load_hundredths <= room)
		return;
	f = add(a, PLACEMENT_BUSY, NULL, "end other work on the host, or run later", NULL);
	snprintf(f->what, sizeof(f->what),
		 "the load of the last minute is %u.%02u, and %" PRIu64
		 " of %u CPUs are left for it",
		 c->load_hundredths / 100, c->load_hundredths % 100,
		 online > vcpus + 1 ? (uint64_t)(online - vcpus - 1) : 0, online);
}

static void add_heat(struct adder *a)
{
	const struct host_conditions *c = a->conditions;
	static const char remedy[] = "let the host cool down; see its fans and its power limits";
	const struct planner *p = a->p;
	struct placement_finding *f;
	uint64_t most = 0;
	uint32_t at = 0;
	char times[32];

	if (c->cooling) {
		f = add(a, PLACEMENT_HEAT, NULL, remedy, NULL);
		snprintf(f->what, sizeof(f->what),
			 "cooling slows CPUs down now, by %u of its devices", c->cooling);
	}
	for (uint32_t i = 0; i < p->nr_cpus; i++) {
		uint64_t nr = c->cpus[p->cpu[i].index].throttled;

		if (!in_plan(p, i) || nr <= most)
			continue;
		most = nr;
		at = p->cpu[i].host.cpu;
	}
	if (!most)
		return;
	f = add(a, PLACEMENT_HEAT, NULL, remedy, NULL);
	snprintf(f->what, sizeof(f->what), "heat slowed CPU %u down %s since the host's start", at,
		 counted(times, sizeof(times), most, "time"));
}

int placement_findings__add(const struct planner *p, struct placement *out)
{
	const struct layout *machine = p->machine;
	/* two of a kind at most, and those of nodes and of what is unknown */
	size_t most = 2 * (size_t)PLACEMENT_NR_KINDS + (size_t)p->host->nr_nodes +
		      2 * (size_t)machine->nr_nodes + 4;
	struct adder a = {.p = p, .conditions = p->conditions, .out = out};

	out->findings = calloc(most, sizeof(*out->findings));
	a.owner = calloc(p->nr_cores + 1, sizeof(*a.owner));
	if (!out->findings || !a.owner) {
		free(a.owner);
		return -ENOMEM;
	}
	add_cpus(&a);
	add_llcs(&a);
	for (uint32_t i = 0; i < p->host->nr_nodes; i++)
		add_hugepages(&a, i);
	add_hugepages(&a, PLACEMENT_ANY);
	for (uint32_t i = 0; i < machine->nr_nodes; i++)
		add_node_memory(&a, i);
	/* of a plan that is not to be, nothing more is said */
	if (is_pinned(p) && (out->mode == PLACEMENT_BEST_EFFORT || !out->nr_unmet)) {
		for (uint32_t i = 0; i < machine->nr_nodes; i++)
			add_node_split(&a, i);
		add_threads_apart(&a);
		add_siblings_shared(&a);
		add_kinds_mixed(&a);
	}
	add_rights(&a);
	add_unknown(&a);
	add_cpuset(&a);
	add_clocks(&a);
	add_governor(&a);
	add_busy(&a);
	add_heat(&a);
	if (p->conditions->in_machine)
		add(&a, PLACEMENT_IN_MACHINE,
		    "the host is a virtual machine: its CPUs are threads on another host",
		    "run on the hardware itself", NULL);
	free(a.owner);
	return 0;
}
