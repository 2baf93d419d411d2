// SPDX-License-Identifier: GPL-2.0-only
/* Plans of performance mode, on hosts as they are sold and on random ones. */
#include "kselftest_harness.h"

#include "host_tree.h"
#include "shapes.h"
#include "vmm/placement.h"

#define MIB (UINT64_C(1) << 20)
#define MAX_TEST_CPUS 256u
#define ANY PLACEMENT_ANY

/* Nodes, LLCs of each, cores of each of these, threads of each of those. */
struct shape {
	uint32_t nodes, llcs, cores, threads;
};

struct host {
	struct host_cpu cpus[MAX_TEST_CPUS];
	struct host_node nodes[8];
	uint32_t distances[64];
	struct host_cpu_condition cpu_conditions[MAX_TEST_CPUS];
	struct host_topology topology;
	struct host_conditions conditions;
};

/* CPUs numbered as firmware of servers does it: the second threads of all cores after the first. */
static void make_host(struct host *h, struct shape s)
{
	uint32_t llc_cores = s.cores, node_cores = s.llcs * s.cores, cores = s.nodes * node_cores;

	*h = (struct host){0};
	for (uint32_t i = 0; i < cores * s.threads; i++) {
		uint32_t core = i % cores;

		h->cpus[i] = (struct host_cpu){
			.cpu = i,
			.allowed = true,
			.core = core,
			.llc = core / llc_cores * llc_cores,
			.package = core / node_cores,
			.node = core / node_cores,
		};
	}
	for (uint32_t i = 0; i < s.nodes; i++)
		h->nodes[i] = (struct host_node){
			.node = i,
			.memory_kb = 64 << 20,
			.hugepages = 4096,
			.free_hugepages = 4096,
		};
	h->topology = (struct host_topology){
		.nr_cpus = cores * s.threads,
		.nr_nodes = s.nodes,
		.cpus = h->cpus,
		.nodes = h->nodes,
		.distances = h->distances,
	};
	h->conditions = (struct host_conditions){
		.known = HOST_KNOWS_CPUINFO | HOST_KNOWS_LOAD | HOST_KNOWS_PRESSURE |
			 HOST_KNOWS_RIGHTS,
		.nr_cpus = cores * s.threads,
		.cpus = h->cpu_conditions,
		.clocksource = "tsc",
		.tsc_offered = true,
		.tsc_steady = true,
		.rt_priority = 99,
	};
}

static struct host_cpu *cpu_of(struct host *h, uint32_t number)
{
	for (uint32_t i = 0; i < h->topology.nr_cpus; i++)
		if (h->cpus[i].cpu == number)
			return &h->cpus[i];
	return NULL;
}

/* Takes CPUs off line: their siblings and LLCs are named by the lowest that is left. */
static void offline(struct host *h, uint32_t number)
{
	uint32_t nr = 0, lowest_core = ANY, lowest_llc = ANY;
	struct host_cpu gone = *cpu_of(h, number);

	for (uint32_t i = 0; i < h->topology.nr_cpus; i++)
		if (h->cpus[i].cpu != number)
			h->cpus[nr++] = h->cpus[i];
	h->topology.nr_cpus = h->conditions.nr_cpus = nr;
	for (uint32_t i = 0; i < nr; i++) {
		if (h->cpus[i].core == gone.core && lowest_core == ANY)
			lowest_core = h->cpus[i].cpu;
		if (h->cpus[i].llc == gone.llc && lowest_llc == ANY)
			lowest_llc = h->cpus[i].cpu;
	}
	for (uint32_t i = 0; i < nr; i++) {
		if (h->cpus[i].core == gone.core)
			h->cpus[i].core = lowest_core;
		if (h->cpus[i].llc == gone.llc)
			h->cpus[i].llc = lowest_llc;
	}
}

static void allow(struct host *h, const char *list)
{
	struct host_set set;

	if (host_set__parse(list, &set))
		abort();
	for (uint32_t i = 0; i < h->topology.nr_cpus; i++)
		h->cpus[i].allowed = host_set__has(&set, h->cpus[i].cpu);
}

static const struct placement_finding *find(const struct placement *p, enum placement_kind kind)
{
	for (uint32_t i = 0; i < p->nr_findings; i++)
		if (p->findings[i].kind == kind)
			return &p->findings[i];
	return NULL;
}

/* ---- What holds of any plan ---- */

static bool is_pinned(const struct placement *p)
{
	return p->nr_vcpus && p->vcpus[0] != ANY;
}

static void check_cpus(struct __test_metadata *_metadata, struct host *h, const struct placement *p)
{
	bool used[MAX_TEST_CPUS] = {false};

	for (uint32_t v = 0; v < p->nr_vcpus; v++) {
		const struct host_cpu *cpu = cpu_of(h, p->vcpus[v]);

		ASSERT_EQ(is_pinned(p), p->vcpus[v] != ANY);
		if (!is_pinned(p))
			continue;
		ASSERT_NE(NULL, cpu);
		ASSERT_TRUE(cpu->allowed);
		ASSERT_FALSE(used[cpu->cpu]);
		used[cpu->cpu] = true;
	}
	if (p->service_cpu == ANY) {
		ASSERT_FALSE(p->realtime);
		return;
	}
	ASSERT_TRUE(is_pinned(p));
	ASSERT_NE(NULL, cpu_of(h, p->service_cpu));
	ASSERT_TRUE(cpu_of(h, p->service_cpu)->allowed);
	ASSERT_FALSE(used[p->service_cpu]);
}

static void check_llcs(struct __test_metadata *_metadata, struct host *h, const struct placement *p)
{
	uint32_t vcpus = p->nr_llcs ? p->nr_vcpus / p->nr_llcs : 0;
	bool own = true;

	for (uint32_t i = 0; i < p->nr_llcs && is_pinned(p); i++) {
		bool one = true;

		for (uint32_t v = i * vcpus; v < (i + 1) * vcpus; v++)
			one &= cpu_of(h, p->vcpus[v])->llc == cpu_of(h, p->vcpus[i * vcpus])->llc;
		ASSERT_EQ(one ? cpu_of(h, p->vcpus[i * vcpus])->llc : ANY, p->llcs[i]);
		own &= one;
		for (uint32_t j = 0; j < i; j++)
			own &= p->llcs[j] != p->llcs[i];
	}
	if (is_pinned(p))
		ASSERT_EQ(own, !find(p, PLACEMENT_TOO_FEW_LLCS));
}

/* What is said of cores is so, and nothing that is so is not said. */
static void check_cores(struct __test_metadata *_metadata, struct host *h,
			const struct placement *p, const struct layout *m)
{
	bool shared = false, apart = false, mixed = false;

	if (!is_pinned(p))
		return;
	for (uint32_t v = 0; v < p->nr_vcpus; v++) {
		const struct host_cpu *a = cpu_of(h, p->vcpus[v]);

		for (uint32_t w = 0; w < v; w++) {
			const struct host_cpu *b = cpu_of(h, p->vcpus[w]);
			bool same = m->cpus[v].core == m->cpus[w].core;

			shared |= a->core == b->core && !same;
			apart |= a->core != b->core && same;
			mixed |= a->capacity != b->capacity || a->efficient != b->efficient;
		}
		shared |= p->service_cpu != ANY && a->core == cpu_of(h, p->service_cpu)->core;
	}
	ASSERT_EQ(shared, !!find(p, PLACEMENT_SIBLINGS_SHARED));
	ASSERT_EQ(apart, !!find(p, PLACEMENT_THREADS_APART));
	ASSERT_EQ(mixed, !!find(p, PLACEMENT_KINDS_MIXED));
}

static void check_nodes(struct __test_metadata *_metadata, struct host *h,
			const struct placement *p, const struct layout *m)
{
	uint64_t pages = 0, all = 0;
	bool small = false, split = false;

	for (uint32_t i = 0; i < h->topology.nr_nodes; i++) {
		uint64_t here = 0, kb = 0;

		for (uint32_t v = 0; v < p->nr_nodes; v++) {
			if (p->nodes[v].host_node != h->nodes[i].node)
				continue;
			here += p->nodes[v].hugepages;
			kb += m->nodes[v].memory >> 10;
		}
		ASSERT_LE(here, h->nodes[i].free_hugepages);
		ASSERT_LE(kb, h->nodes[i].memory_kb);
		all += h->nodes[i].free_hugepages;
	}
	for (uint32_t v = 0; v < p->nr_nodes; v++) {
		const struct layout_node *node = &m->nodes[v];

		pages += p->nodes[v].hugepages;
		small |= !p->nodes[v].hugepages;
		if (p->nodes[v].hugepages)
			ASSERT_EQ((node->memory + 2 * MIB - 1) / (2 * MIB), p->nodes[v].hugepages);
		for (uint32_t c = node->first_cpu; c < node->first_cpu + node->nr_cpus; c++) {
			uint32_t on = is_pinned(p) ? cpu_of(h, p->vcpus[c])->node : ANY;

			if (!is_pinned(p)) {
				ASSERT_EQ(ANY, p->nodes[v].host_node);
				continue;
			}
			split |= on != cpu_of(h, p->vcpus[node->first_cpu])->node;
			if (p->nodes[v].host_node != ANY && !find(p, PLACEMENT_NODE_SPLIT))
				ASSERT_EQ(on, p->nodes[v].host_node);
		}
	}
	ASSERT_LE(pages, all);
	ASSERT_EQ(small && p->nr_nodes, p->nr_nodes && find(p, PLACEMENT_HUGEPAGES));
	ASSERT_EQ(split, !!find(p, PLACEMENT_NODE_SPLIT));
}

static void check_findings(struct __test_metadata *_metadata, const struct placement *p)
{
	uint32_t unmet = 0;

	for (uint32_t i = 0; i < p->nr_findings; i++) {
		const struct placement_finding *f = &p->findings[i];
		bool error = f->kind <= PLACEMENT_TOO_FEW_LLCS;

		unmet += error;
		ASSERT_EQ(error && p->mode == PLACEMENT_REQUIRED, f->severity == PLACEMENT_ERROR);
		if (error && p->mode == PLACEMENT_BEST_EFFORT)
			ASSERT_EQ(PLACEMENT_DOWNGRADE, f->severity);
		if (f->severity == PLACEMENT_DOWNGRADE)
			ASSERT_NE('\0', f->instead[0]);
		ASSERT_NE('\0', f->what[0]);
		ASSERT_NE('\0', f->remedy[0]);
		/* not cut off */
		ASSERT_LT(strlen(f->what), sizeof(f->what) - 1);
		ASSERT_LT(strlen(f->remedy), sizeof(f->remedy) - 1);
		ASSERT_LT(strlen(f->instead), sizeof(f->instead) - 1);
		ASSERT_LT(f->kind, PLACEMENT_NR_KINDS);
		ASSERT_NE('\0', placement__kind_name(f->kind)[0]);
		if (i)
			ASSERT_TRUE(error <= (f[-1].kind <= PLACEMENT_TOO_FEW_LLCS));
	}
	ASSERT_EQ(unmet, p->nr_unmet);
}

/* Errors, by counting: CPUs, and LLCs with as many of them as a virtual one has. */
static uint32_t count_unmet(const struct host *h, const struct layout *m)
{
	uint32_t allowed = 0, llcs = 0;

	for (uint32_t i = 0; i < h->topology.nr_cpus; i++) {
		uint32_t nr = 0;

		allowed += h->cpus[i].allowed;
		if (h->cpus[i].llc != h->cpus[i].cpu)
			continue;
		for (uint32_t j = 0; j < h->topology.nr_cpus; j++)
			nr += h->cpus[j].allowed && h->cpus[j].llc == h->cpus[i].llc;
		llcs += nr >= m->nr_cpus / m->topology.llcs;
	}
	return (allowed <= m->nr_cpus ? 1u : 0) + (llcs < m->topology.llcs ? 1u : 0);
}

static bool same_plan(const struct placement *a, const struct placement *b)
{
	return a->service_cpu == b->service_cpu && a->realtime == b->realtime &&
	       !memcmp(a->vcpus, b->vcpus, a->nr_vcpus * sizeof(*a->vcpus)) &&
	       !memcmp(a->llcs, b->llcs, a->nr_llcs * sizeof(*a->llcs)) &&
	       !memcmp(a->nodes, b->nodes, a->nr_nodes * sizeof(*a->nodes));
}

static void make_machine(struct __test_metadata *_metadata, struct layout *m,
			 struct ktstr_topology t, uint32_t mib)
{
	struct gmem mem = shapes_ram(mib * MIB);
	struct ktstr_error error = {0};

	ASSERT_EQ(0, layout__create(&t, &mem, m, &error)) TH_LOG("%s", error.reason);
}

/* Plans in both modes; what holds of any is checked. The plan is that of best effort. */
static void plan_layout(struct __test_metadata *_metadata, struct host *h, const struct layout *m,
			struct placement *p)
{
	struct ktstr_error error = {0};
	struct placement required;
	int ret;

	ASSERT_EQ(0, placement__plan(p, &h->topology, &h->conditions, m, PLACEMENT_BEST_EFFORT,
				     &error));
	ASSERT_EQ(m->nr_cpus, p->nr_vcpus);
	ASSERT_EQ(m->topology.llcs, p->nr_llcs);
	ASSERT_EQ(m->nr_nodes, p->nr_nodes);
	ASSERT_EQ(count_unmet(h, m), p->nr_unmet);
	check_cpus(_metadata, h, p);
	check_llcs(_metadata, h, p);
	check_cores(_metadata, h, p, m);
	check_nodes(_metadata, h, p, m);
	check_findings(_metadata, p);
	ret = placement__plan(&required, &h->topology, &h->conditions, m, PLACEMENT_REQUIRED,
			      &error);
	check_findings(_metadata, &required);
	if (p->nr_unmet) {
		ASSERT_EQ(-ENOSPC, ret);
		ASSERT_EQ(0, required.nr_vcpus);
		ASSERT_STREQ(required.findings[0].what, error.reason);
		ASSERT_STREQ(required.findings[0].remedy, error.hint);
	} else {
		ASSERT_EQ(0, ret);
		ASSERT_TRUE(same_plan(p, &required));
		ASSERT_NE(ANY, p->service_cpu);
	}
	placement__free(&required);
}

static void plan(struct __test_metadata *_metadata, struct host *h, struct ktstr_topology t,
		 uint32_t mib, struct placement *p)
{
	struct layout m;

	make_machine(_metadata, &m, t, mib);
	plan_layout(_metadata, h, &m, p);
	layout__destroy(&m);
}

/* As "1 2 3 . 0": the CPUs of vCPUs, and that of service threads. */
static const char *as_text(const struct placement *p)
{
	static char text[2048];
	size_t n = 0;

	for (uint32_t i = 0; i < p->nr_vcpus; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%d ", (int)p->vcpus[i]);
	snprintf(text + n, sizeof(text) - n, ". %d", (int)p->service_cpu);
	return text;
}

FIXTURE(placement)
{
	struct host host;
	struct placement plan;
};

FIXTURE_SETUP(placement)
{
	memset(self, 0, sizeof(*self));
}

FIXTURE_TEARDOWN(placement)
{
	placement__free(&self->plan);
}

/* ---- Hosts ---- */

#define PLAN(t, mib) plan(_metadata, &self->host, t, mib, &self->plan)
#define EXPECT_PLAN(text) EXPECT_STREQ(text, as_text(&self->plan))

TEST_F(placement, one_llc_keeps_the_core_of_cpu_0_for_service)
{
	make_host(&self->host, (struct shape){1, 1, 4, 2});
	PLAN(TOPO(1, 1, 3, 1), 512);
	EXPECT_PLAN("1 2 3 . 0");
	EXPECT_EQ(0, self->plan.nr_findings);
	EXPECT_TRUE(self->plan.realtime);
	EXPECT_EQ(256, self->plan.nodes[0].hugepages);
	EXPECT_EQ(0, self->plan.nodes[0].host_node);
}

TEST_F(placement, threads_of_a_core_are_on_threads_of_a_core)
{
	make_host(&self->host, (struct shape){1, 1, 4, 2});
	PLAN(TOPO(1, 1, 3, 2), 512);
	EXPECT_PLAN("1 5 2 6 3 7 . 0");
	EXPECT_EQ(0, self->plan.nr_findings);
}

TEST_F(placement, smt_off_gives_each_thread_a_core_and_says_so)
{
	make_host(&self->host, (struct shape){1, 1, 8, 1});
	PLAN(TOPO(1, 1, 3, 2), 512);
	EXPECT_PLAN("1 2 3 4 5 6 . 0");
	EXPECT_EQ(1, self->plan.nr_findings);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_THREADS_APART));
}

/* All cores have a vCPU: service threads cannot but share one. */
TEST_F(placement, service_on_a_sibling_is_said)
{
	make_host(&self->host, (struct shape){1, 1, 4, 2});
	PLAN(TOPO(1, 1, 4, 1), 512);
	EXPECT_PLAN("1 2 3 0 . 4");
	EXPECT_EQ(1, self->plan.nr_findings);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_SIBLINGS_SHARED));
	EXPECT_EQ(PLACEMENT_WARNING, find(&self->plan, PLACEMENT_SIBLINGS_SHARED)->severity);
}

TEST_F(placement, more_vcpus_than_cores_share_the_fewest)
{
	make_host(&self->host, (struct shape){1, 1, 4, 2});
	PLAN(TOPO(1, 1, 5, 1), 512);
	EXPECT_PLAN("1 2 3 0 5 . 4");
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_SIBLINGS_SHARED));
}

TEST_F(placement, chiplets_each_have_a_virtual_llc)
{
	make_host(&self->host, (struct shape){1, 8, 8, 2});
	PLAN(TOPO(1, 7, 8, 2), 4096);
	EXPECT_EQ(0, self->plan.nr_findings);
	EXPECT_EQ(8, self->plan.llcs[0]);
	EXPECT_EQ(56, self->plan.llcs[6]);
	EXPECT_EQ(0, self->plan.service_cpu);
	EXPECT_EQ(8, self->plan.vcpus[0]);
	EXPECT_EQ(72, self->plan.vcpus[1]);
	placement__free(&self->plan);
	PLAN(TOPO(1, 8, 8, 1), 4096);
	EXPECT_NE(NULL, find(&self->plan, PLACEMENT_SIBLINGS_SHARED));
	placement__free(&self->plan);
	PLAN(TOPO(1, 8, 7, 2), 4096);
	EXPECT_EQ(0, self->plan.nr_findings);
	EXPECT_EQ(0, self->plan.service_cpu);
}

TEST_F(placement, nodes_are_on_sockets_of_their_own)
{
	make_host(&self->host, (struct shape){2, 2, 4, 1});
	PLAN(TOPO(2, 4, 2, 1), 1024);
	EXPECT_PLAN("4 5 1 2 8 9 12 13 . 0");
	EXPECT_EQ(0, self->plan.nodes[0].host_node);
	EXPECT_EQ(1, self->plan.nodes[1].host_node);
	EXPECT_EQ(0, self->plan.nr_findings);
}

/* One node of two LLCs fits into either socket, and not half in each. */
TEST_F(placement, llcs_of_a_node_are_in_one_socket)
{
	make_host(&self->host, (struct shape){2, 2, 2, 1});
	allow(&self->host, "0-1,4-7");
	PLAN(TOPO(1, 2, 2, 1), 512);
	EXPECT_PLAN("4 5 6 7 . 0");
	EXPECT_EQ(1, self->plan.nodes[0].host_node);
	EXPECT_EQ(1, self->plan.nr_findings);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_CPUSET));
}

TEST_F(placement, nodes_are_on_sockets_that_others_are_not_on)
{
	make_host(&self->host, (struct shape){2, 2, 4, 1});
	PLAN(TOPO(2, 2, 2, 1), 512);
	EXPECT_PLAN("4 5 8 9 . 0");
}

/* Two of 3 and three of 2 into two of 6: one of 3 in each would leave no room for the last. */
TEST_F(placement, nodes_are_packed_by_search)
{
	static const struct ktstr_numa_node nodes[] = {
		{.llcs = 2}, {.llcs = 2}, {.llcs = 2}, {.llcs = 3}, {.llcs = 3}};
	struct ktstr_topology t = TOPO(5, 12, 2, 1);

	t.nodes = nodes;
	make_host(&self->host, (struct shape){2, 6, 3, 1});
	PLAN(t, 512);
	EXPECT_EQ(self->plan.nodes[0].host_node, self->plan.nodes[1].host_node);
	EXPECT_EQ(self->plan.nodes[0].host_node, self->plan.nodes[2].host_node);
	EXPECT_EQ(self->plan.nodes[3].host_node, self->plan.nodes[4].host_node);
	EXPECT_EQ(NULL, find(&self->plan, PLACEMENT_NODE_SPLIT));
}

/* A socket of small LLCs, and then one of few, leave the other to larger machines. */
TEST_F(placement, sockets_are_not_wasted)
{
	make_host(&self->host, (struct shape){2, 1, 4, 1});
	allow(&self->host, "0-6");
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("4 5 . 6");
	placement__free(&self->plan);
	make_host(&self->host, (struct shape){2, 2, 2, 1});
	allow(&self->host, "0-5");
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("4 5 . 0");
}

/* Clusters of a chip may lie across its LLC. */
TEST_F(placement, an_llc_of_two_nodes_gives_cpus_of_one)
{
	make_host(&self->host, (struct shape){2, 1, 2, 1});
	for (uint32_t i = 0; i < 4; i++) {
		self->host.cpus[i].llc = 0;
		self->host.cpus[i].node = i % 2;
	}
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("2 0 . 1");
	EXPECT_EQ(0, self->plan.nr_findings);
}

/* CPU 7 has lost its sibling to the cpuset; 5 and 6 are siblings of vCPUs'. */
TEST_F(placement, service_on_a_core_of_its_own_goes_first)
{
	make_host(&self->host, (struct shape){1, 1, 4, 2});
	allow(&self->host, "1-2,5-7");
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("1 2 . 7");
}

TEST_F(placement, a_node_of_too_many_llcs_is_split_and_said)
{
	make_host(&self->host, (struct shape){2, 2, 2, 1});
	PLAN(TOPO(1, 3, 2, 1), 512);
	EXPECT_NE(ANY, self->plan.service_cpu);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_NODE_SPLIT));
	EXPECT_EQ(0, self->plan.nodes[0].host_node);
}

TEST_F(placement, the_node_with_hugepages_is_preferred)
{
	make_host(&self->host, (struct shape){2, 1, 4, 1});
	self->host.nodes[0].free_hugepages = 255;
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(1, self->plan.nodes[0].host_node);
	EXPECT_EQ(0, self->plan.nr_findings);
}

TEST_F(placement, a_small_llc_is_on_the_smallest_that_fits)
{
	make_host(&self->host, (struct shape){1, 3, 4, 1});
	allow(&self->host, "0-8,10");
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("8 10 . 0");
	placement__free(&self->plan);
	PLAN(TOPO(1, 1, 3, 1), 512);
	EXPECT_PLAN("4 5 6 . 0");
}

TEST_F(placement, offline_cpus_are_not_used)
{
	make_host(&self->host, (struct shape){1, 1, 4, 2});
	offline(&self->host, 0);
	offline(&self->host, 5);
	offline(&self->host, 6);
	PLAN(TOPO(1, 1, 2, 2), 512);
	EXPECT_PLAN("1 2 3 4 . 7");
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_THREADS_APART));
	placement__free(&self->plan);
	PLAN(TOPO(1, 1, 1, 2), 512);
	EXPECT_PLAN("3 7 . 1");
	EXPECT_EQ(0, self->plan.nr_findings);
}

TEST_F(placement, a_narrow_cpuset_is_kept_and_said)
{
	make_host(&self->host, (struct shape){1, 2, 4, 2});
	allow(&self->host, "2-3,10-12");
	PLAN(TOPO(1, 1, 2, 2), 512);
	EXPECT_PLAN("2 10 3 11 . 12");
	EXPECT_EQ(1, self->plan.nr_findings);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_CPUSET));
}

static void make_hybrid(struct host *h)
{
	make_host(h, (struct shape){1, 1, 4, 2});
	/* CPUs 0-3 and 4-7 are the threads of four large cores; eight small ones follow */
	for (uint32_t i = 8; i < 16; i++)
		h->cpus[i] = (struct host_cpu){
			.cpu = i, .allowed = true, .core = i, .llc = 0, .efficient = true};
	h->topology.nr_cpus = h->conditions.nr_cpus = 16;
}

TEST_F(placement, hybrid_cores_are_of_one_kind)
{
	make_hybrid(&self->host);
	PLAN(TOPO(1, 1, 3, 1), 512);
	EXPECT_PLAN("1 2 3 . 0");
	placement__free(&self->plan);
	PLAN(TOPO(1, 1, 3, 2), 512);
	EXPECT_PLAN("1 5 2 6 3 7 . 0");
	placement__free(&self->plan);
	PLAN(TOPO(1, 1, 6, 1), 512);
	EXPECT_PLAN("8 9 10 11 12 13 . 0");
	EXPECT_EQ(0, self->plan.nr_findings);
}

TEST_F(placement, hybrid_cores_that_are_mixed_are_said)
{
	make_hybrid(&self->host);
	PLAN(TOPO(1, 1, 10, 1), 512);
	EXPECT_PLAN("1 2 3 0 8 9 10 11 12 13 . 14");
	EXPECT_EQ(1, self->plan.nr_findings);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_KINDS_MIXED));
}

/* Where capacities say it (arm64). */
TEST_F(placement, kinds_by_capacity)
{
	make_host(&self->host, (struct shape){1, 1, 8, 1});
	for (uint32_t i = 0; i < 8; i++)
		self->host.cpus[i].capacity = i < 4 ? 446 : 1024;
	PLAN(TOPO(1, 1, 4, 1), 512);
	EXPECT_PLAN("4 5 6 7 . 0");
	EXPECT_EQ(0, self->plan.nr_findings);
}

/* A little faster or slower, by 4%. */
TEST_F(placement, favoured_cores_are_of_the_same_kind)
{
	struct layout m;

	make_host(&self->host, (struct shape){1, 1, 4, 1});
	for (uint32_t i = 0; i < 4; i++)
		self->host.cpus[i].capacity = i == 1 ? 1024 : 980;
	make_machine(_metadata, &m, TOPO(1, 1, 3, 1), 512);
	ASSERT_EQ(0, placement__plan(&self->plan, &self->host.topology, &self->host.conditions, &m,
				     PLACEMENT_REQUIRED, NULL));
	EXPECT_PLAN("1 2 3 . 0");
	EXPECT_EQ(NULL, find(&self->plan, PLACEMENT_KINDS_MIXED));
	layout__destroy(&m);
}

TEST_F(placement, one_cpu)
{
	make_host(&self->host, (struct shape){1, 1, 1, 1});
	PLAN(TOPO(1, 1, 1, 1), 512);
	EXPECT_PLAN("0 . -1");
	EXPECT_FALSE(self->plan.realtime);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_NO_SERVICE_CPU));
	placement__free(&self->plan);
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("-1 -1 . -1");
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_TOO_FEW_CPUS));
	EXPECT_EQ(256, self->plan.nodes[0].hugepages);
}

TEST_F(placement, llcs_share_one_with_a_core_each)
{
	make_host(&self->host, (struct shape){1, 1, 8, 2});
	PLAN(TOPO(1, 2, 3, 1), 512);
	EXPECT_PLAN("1 2 3 4 5 6 . 0");
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_TOO_FEW_LLCS));
	EXPECT_EQ(1, self->plan.nr_findings);
	EXPECT_TRUE(self->plan.realtime);
}

/* Three on two: the first two have one each, the third shares the one with most CPUs left. */
TEST_F(placement, llcs_share_only_what_they_must)
{
	make_host(&self->host, (struct shape){1, 2, 4, 1});
	PLAN(TOPO(1, 3, 2, 1), 512);
	EXPECT_PLAN("4 5 1 2 3 0 . 6");
	placement__free(&self->plan);
	make_host(&self->host, (struct shape){1, 3, 4, 1});
	allow(&self->host, "0-2,4-11");
	PLAN(TOPO(1, 4, 1, 1), 512);
	EXPECT_PLAN("1 4 8 5 . 0");
}

TEST_F(placement, an_llc_that_fits_on_none_is_on_several)
{
	make_host(&self->host, (struct shape){1, 4, 2, 2});
	PLAN(TOPO(1, 1, 3, 2), 512);
	EXPECT_PLAN("1 9 0 8 2 10 . 4");
	EXPECT_EQ(ANY, self->plan.llcs[0]);
	EXPECT_EQ(1, self->plan.nr_findings);
}

TEST_F(placement, memory_without_cpus_is_where_none_are)
{
	static const struct ktstr_numa_node nodes[] = {{.llcs = 1}, {.llcs = 0}};
	struct ktstr_topology t = TOPO(2, 1, 2, 1);

	t.nodes = nodes;
	make_host(&self->host, (struct shape){2, 1, 4, 1});
	PLAN(t, 512);
	EXPECT_EQ(0, self->plan.nodes[0].host_node);
	EXPECT_EQ(1, self->plan.nodes[1].host_node);
	placement__free(&self->plan);
	self->host.nodes[1].free_hugepages = 0;
	PLAN(t, 512);
	EXPECT_EQ(0, self->plan.nodes[1].host_node);
	placement__free(&self->plan);
	self->host.nodes[2] = self->host.nodes[1];
	self->host.nodes[2].node = 5;
	self->host.nodes[2].free_hugepages = 0;
	self->host.topology.nr_nodes = 3;
	PLAN(t, 512);
	EXPECT_EQ(5, self->plan.nodes[1].host_node);
	EXPECT_EQ(0, self->plan.nodes[1].hugepages);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_HUGEPAGES));
}

TEST_F(placement, memory_that_a_node_has_not_is_not_bound)
{
	make_host(&self->host, (struct shape){2, 1, 4, 1});
	self->host.nodes[0].memory_kb = self->host.nodes[1].memory_kb = 500 << 10;
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(ANY, self->plan.nodes[0].host_node);
	EXPECT_EQ(256, self->plan.nodes[0].hugepages);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_NODE_MEMORY));
	placement__free(&self->plan);
	self->host.nodes[1].memory_kb = 512 << 10;
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(1, self->plan.nodes[0].host_node);
	EXPECT_EQ(0, self->plan.nr_findings);
	placement__free(&self->plan);
	make_host(&self->host, (struct shape){1, 2, 4, 1});
	self->host.nodes[0].memory_kb = 500 << 10;
	PLAN(TOPO(2, 2, 2, 1), 512);
	EXPECT_EQ(0, self->plan.nodes[0].host_node);
	EXPECT_EQ(ANY, self->plan.nodes[1].host_node);
}

/* A cpuset narrows memory, too; that CPUs are there does not help. */
TEST_F(placement, memory_that_is_not_for_the_process_is_not_used)
{
	struct host_conditions *c = &self->host.conditions;

	make_host(&self->host, (struct shape){2, 1, 4, 1});
	c->known |= HOST_KNOWS_NODES;
	ASSERT_EQ(0, host_set__parse("1", &c->nodes_allowed));
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(1, self->plan.nodes[0].host_node);
	EXPECT_EQ(0, self->plan.nr_findings);
	placement__free(&self->plan);
	allow(&self->host, "0-3");
	self->host.nodes[1].free_hugepages = 255;
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(ANY, self->plan.nodes[0].host_node);
	EXPECT_EQ(0, self->plan.nodes[0].hugepages);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_NODE_MEMORY));
	EXPECT_NE(NULL, strstr(find(&self->plan, PLACEMENT_NODE_MEMORY)->remedy, "cpuset.mems"));
	EXPECT_NE(NULL, strstr(find(&self->plan, PLACEMENT_HUGEPAGES)->what, "255 are free"));
}

/* The remedy is what has to be written, other users' pages included. */
TEST_F(placement, hugepages_that_are_missing_are_counted)
{
	const struct placement_finding *f;

	make_host(&self->host, (struct shape){1, 1, 4, 1});
	self->host.nodes[0].hugepages = 100;
	self->host.nodes[0].free_hugepages = 90;
	PLAN(TOPO(2, 2, 1, 1), 256);
	f = find(&self->plan, PLACEMENT_HUGEPAGES);
	ASSERT_NE(NULL, f);
	EXPECT_EQ(64, self->plan.nodes[0].hugepages);
	EXPECT_EQ(0, self->plan.nodes[1].hugepages);
	EXPECT_STREQ("echo 138 >/sys/devices/system/node/node0/hugepages/hugepages-2048kB/"
		     "nr_hugepages",
		     f->remedy);
	EXPECT_STREQ("RAM of 1 node is in small pages", f->instead);
}

TEST_F(placement, host_whose_files_are_missing)
{
	struct host_tree tree;
	struct host_topology topology;
	struct host_conditions conditions;
	struct layout m;

	host_tree__create(&tree);
	host_tree__put(&tree, "0-3", "sys/devices/system/cpu/online");
	ASSERT_EQ(0, host_topology__read(&topology, tree.sys, NULL, NULL));
	ASSERT_EQ(0, host_conditions__read(&conditions, tree.sys, tree.proc, &topology, NULL));
	make_machine(_metadata, &m, TOPO(1, 1, 2, 1), 512);
	ASSERT_EQ(0, placement__plan(&self->plan, &topology, &conditions, &m, PLACEMENT_REQUIRED,
				     NULL));
	EXPECT_PLAN("1 2 . 0");
	EXPECT_EQ(ANY, self->plan.nodes[0].host_node);
	/* cores, LLCs, nodes and hugepages, and that these are too few */
	EXPECT_EQ(5, self->plan.nr_findings);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_UNKNOWN_TOPOLOGY));
	EXPECT_EQ(PLACEMENT_HUGEPAGES, self->plan.findings[0].kind);
	EXPECT_NE(NULL, strstr(self->plan.findings[0].remedy, "CONFIG_HUGETLBFS"));
	layout__destroy(&m);
	host_conditions__free(&conditions);
	host_topology__free(&topology);
	host_tree__destroy(&tree);
}

/* ---- Conditions ---- */

static void make_quiet(struct host *h)
{
	make_host(h, (struct shape){1, 1, 4, 1});
}

/* Each is set on a quiet host, found once, and is the only finding. */
#define CONDITION_TEST(name, kind, setting, ...)                    \
	TEST_F(placement, name)                                     \
	{                                                           \
		struct host_conditions *c = &self->host.conditions; \
		const struct placement_finding *f;                  \
                                                                    \
		make_quiet(&self->host);                            \
		PLAN(TOPO(1, 1, 2, 1), 512);                        \
		ASSERT_EQ(0, self->plan.nr_findings);               \
		placement__free(&self->plan);                       \
		setting;                                            \
		PLAN(TOPO(1, 1, 2, 1), 512);                        \
		f = find(&self->plan, kind);                        \
		ASSERT_NE(NULL, f);                                 \
		EXPECT_EQ(1, self->plan.nr_findings);               \
		EXPECT_NE(NULL, strstr(f->what, __VA_ARGS__))       \
		{                                                   \
			TH_LOG("%s", f->what);                      \
		}                                                   \
		EXPECT_EQ(0, self->plan.nr_unmet);                  \
	}

CONDITION_TEST(a_tsc_that_stops, PLACEMENT_TSC, c->tsc_steady = false, "TSC")
CONDITION_TEST(a_clock_that_is_not_the_tsc, PLACEMENT_CLOCKSOURCE, strcpy(c->clocksource, "hpet"),
	       "clock is hpet")
CONDITION_TEST(a_governor_that_scales, PLACEMENT_GOVERNOR, strcpy(c->cpus[2].governor, "schedutil"),
	       "of 1 CPU of the plan is scaled, as by schedutil on CPU 2")
CONDITION_TEST(tasks_that_wait, PLACEMENT_BUSY, c->pressure_hundredths = 512, "5.12%")
CONDITION_TEST(load_that_has_no_room, PLACEMENT_BUSY, c->load_hundredths = 101,
	       "load of the last minute is 1.01, and 1 of 4")
CONDITION_TEST(heat_before, PLACEMENT_HEAT, c->cpus[1].throttled = 3, "CPU 1 down 3 times")
CONDITION_TEST(heat_now, PLACEMENT_HEAT, c->cooling = 2, "by 2 of")
CONDITION_TEST(a_host_that_is_a_machine, PLACEMENT_IN_MACHINE, c->in_machine = true,
	       "virtual machine")

TEST_F(placement, priority_takes_rights)
{
	make_quiet(&self->host);
	self->host.conditions.rt_priority = 1;
	PLAN(TOPO(1, 1, 2, 1), 512);
	ASSERT_NE(NULL, find(&self->plan, PLACEMENT_RT_RIGHTS));
	EXPECT_FALSE(self->plan.realtime);
	placement__free(&self->plan);
	self->host.conditions.rt_priority = 2;
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(0, self->plan.nr_findings);
	EXPECT_TRUE(self->plan.realtime);
}

/* What is not the plan's, not known, or as it should be, is no finding. */
TEST_F(placement, conditions_that_do_not_matter)
{
	struct host_conditions *c = &self->host.conditions;

	make_quiet(&self->host);
	strcpy(c->cpus[0].governor, "powersave");
	strcpy(c->cpus[1].governor, "performance");
	c->cpus[3].throttled = 5;
	c->load_hundredths = 100;
	c->pressure_hundredths = 499;
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_PLAN("1 2 . 0");
	EXPECT_EQ(0, self->plan.nr_findings);
	placement__free(&self->plan);
	*c = (struct host_conditions){.nr_cpus = c->nr_cpus,
				      .cpus = c->cpus,
				      .load_hundredths = 9900,
				      .pressure_hundredths = 9900};
	PLAN(TOPO(1, 1, 2, 1), 512);
	EXPECT_EQ(0, self->plan.nr_findings);
	EXPECT_TRUE(self->plan.realtime);
}

/* ---- Random hosts and machines ---- */

static uint32_t pick(uint64_t *state, uint32_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)((*state >> 20) % below);
}

static void random_host(struct host *h, uint64_t *state, bool smt)
{
	struct shape s = {1 + pick(state, 3), 1 + pick(state, 4), 1 + pick(state, 5),
			  smt ? 1 + pick(state, 3) : 1};

	make_host(h, s);
	for (uint32_t i = pick(state, 4); i && h->topology.nr_cpus > 1; i--)
		offline(h, h->cpus[pick(state, h->topology.nr_cpus)].cpu);
	for (uint32_t i = pick(state, 4); i; i--)
		h->cpus[pick(state, h->topology.nr_cpus)].allowed = false;
	for (uint32_t i = 0; i < h->topology.nr_nodes; i++)
		h->nodes[i].free_hugepages = pick(state, 2) ? 4096 : pick(state, 300);
}

/* Cores of two or three kinds; threads of a core are of one. */
static void random_kinds(struct host *h, uint64_t *state)
{
	uint32_t first = pick(state, 20), second = first + pick(state, 20);

	for (uint32_t i = 0; i < h->topology.nr_cpus; i++) {
		struct host_cpu *cpu = &h->cpus[i];

		cpu->capacity = cpu->core < first ? 1024 : cpu->core < second ? 512 : 256;
		cpu->efficient = cpu->capacity == 256;
	}
}

TEST_F(placement, random_hosts_and_machines)
{
	uint32_t whole = 0, partly = 0, loose = 0, none = 0;
	uint64_t state = 88172645463325252u;

	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t nodes = 1 + pick(&state, 3);
		struct ktstr_topology t = TOPO(nodes, nodes * (1 + pick(&state, 3)),
					       1 + pick(&state, 4), 1 + pick(&state, 3));
		struct placement p;

		random_host(&self->host, &state, true);
		if (!pick(&state, 3))
			random_kinds(&self->host, &state);
		if (!pick(&state, 20))
			allow(&self->host, "");
		plan(_metadata, &self->host, t, 64 * nodes * (1 + pick(&state, 9)), &p);
		whole += !p.nr_unmet;
		partly += p.nr_unmet && p.vcpus[0] != ANY;
		loose += p.vcpus[0] == ANY;
		none += find(&p, PLACEMENT_NODE_SPLIT) != NULL;
		placement__free(&p);
	}
	/* all ways to end were tried */
	EXPECT_LT(100, whole);
	EXPECT_LT(100, partly);
	EXPECT_LT(100, loose);
	EXPECT_LT(10, none);
}

/* Whether nodes of so many LLCs fit into host nodes of so many, by trying all. */
static bool can_pack(const uint32_t *need, uint32_t nr, uint32_t *left, uint32_t nr_left)
{
	if (!nr)
		return true;
	for (uint32_t i = 0; i < nr_left; i++) {
		bool can;

		if (left[i] < need[0])
			continue;
		left[i] -= need[0];
		can = can_pack(need + 1, nr - 1, left, nr_left);
		left[i] += need[0];
		if (can)
			return true;
	}
	return false;
}

/* LLCs of the host, by node, that have as many CPUs. */
static void count_fits(const struct host *h, uint32_t cpus, uint32_t *fits)
{
	for (uint32_t i = 0; i < h->topology.nr_cpus; i++) {
		uint32_t nr = 0;

		if (h->cpus[i].llc != h->cpus[i].cpu)
			continue;
		for (uint32_t j = 0; j < h->topology.nr_cpus; j++)
			nr += h->cpus[j].allowed && h->cpus[j].llc == h->cpus[i].llc;
		fits[h->cpus[i].node] += nr >= cpus;
	}
}

TEST_F(placement, nodes_are_split_only_where_nothing_else_fits)
{
	uint64_t state = 2463534242u;
	uint32_t split = 0, several = 0;

	for (uint32_t i = 0; i < 3000; i++) {
		struct ktstr_numa_node nodes[4] = {{.llcs = 1 + pick(&state, 3)}};
		uint32_t need[4], fits[8] = {0}, nr = 1 + pick(&state, 4), llcs = 0;
		struct ktstr_topology t;
		struct placement p;

		for (uint32_t n = 0; n < nr; n++) {
			nodes[n].llcs = need[n] = 1 + pick(&state, 3);
			llcs += need[n];
		}
		t = TOPO(nr, llcs, 2 + pick(&state, 2), 1);
		t.nodes = nodes;
		random_host(&self->host, &state, false);
		plan(_metadata, &self->host, t, 64 * nr, &p);
		if (!find(&p, PLACEMENT_TOO_FEW_LLCS) && is_pinned(&p)) {
			bool can;

			count_fits(&self->host, t.cores_per_llc, fits);
			can = can_pack(need, nr, fits, self->host.topology.nr_nodes);
			ASSERT_EQ(can, !find(&p, PLACEMENT_NODE_SPLIT));
			split += !can;
			several += can && nr > 1;
		}
		placement__free(&p);
	}
	EXPECT_LT(50, split);
	EXPECT_LT(50, several);
}

/* The largest of both: a plan in time, and one that is right. */
TEST_F(placement, largest_machines)
{
	make_host(&self->host, (struct shape){8, 4, 8, 1});
	PLAN(TOPO(8, 32, 7, 1), 4096);
	EXPECT_EQ(0, self->plan.nr_findings);
	placement__free(&self->plan);
	PLAN(TOPO(64, 64, 63, 1), 4096);
	EXPECT_EQ(2, self->plan.nr_unmet);
}

TEST_HARNESS_MAIN
