/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads back what a guest is told by CPUID, by the rules of Linux: as
 * arch/x86/kernel/cpu/topology_*.c and cacheinfo.c do (6.12 to 7.3). The tables: acpi_decode.h and
 * mptable_decode.h. Shares no code and no constants with the writers. Only for selftests;
 * everything is static inline.
 */
#ifndef KTSTR_SELFTESTS_X86_DECODE_H
#define KTSTR_SELFTESTS_X86_DECODE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct x86_regs {
	uint32_t a, b, c, d;
};

enum x86_domain { X86_SMT, X86_CORE, X86_MODULE, X86_TILE, X86_DIE, X86_DIEGRP, X86_PKG, X86_DOMS };

#define X86_NO_ID UINT32_MAX
#define X86_CACHES 8

struct x86_cache {
	uint32_t type, level, size, id;
	/* the CPUs with first <= APIC id <= last */
	uint32_t first, last;
};

struct x86_cpu {
	bool intel, amd, hygon, topoext, xtopology, htt;
	bool complaint; /* Linux would warn, or not read the leaves of this vendor */
	uint32_t family, model;
	uint32_t apicid; /* as the topology leaves give it */
	uint32_t leaf1_id, leaf1_count;
	uint32_t shift[X86_DOMS], count[X86_DOMS];
	uint32_t pkg, die, core, llc, l2c, amd_node, amd_nodes;
	uint32_t cu_id;		/* family 0x15: what shares a module; 0xff: unknown */
	uint32_t cache_size_kb; /* "cache size" of /proc/cpuinfo */
	uint32_t nr_caches;
	struct x86_cache caches[X86_CACHES];
};

/* As the CPUID instruction under KVM: absent leaves are zeros. */
static inline struct x86_regs x86_cpuid(const struct kvm_cpuid2 *cpuid, uint32_t leaf,
					uint32_t subleaf)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function != leaf)
			continue;
		if ((e->flags & 1 /* index significant */) && e->index != subleaf)
			continue;
		return (struct x86_regs){e->eax, e->ebx, e->ecx, e->edx};
	}
	return (struct x86_regs){0};
}

static inline uint32_t x86_order(uint32_t n) /* get_count_order() */
{
	uint32_t order = 0;

	while (order < 32 && (UINT64_C(1) << order) < n)
		order++;
	return order;
}

static inline void x86_set_domain(struct x86_cpu *cpu, unsigned int dom, uint32_t shift,
				  uint32_t count)
{
	for (; dom < X86_DOMS; dom++) {
		cpu->shift[dom] = shift;
		cpu->count[dom] = count;
	}
}

static inline bool x86_levels(struct x86_cpu *cpu, const struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
	static const uint8_t intel[] = {0,	  X86_SMT, X86_CORE,  X86_MODULE,
					X86_TILE, X86_DIE, X86_DIEGRP};
	static const uint8_t amd[] = {0, X86_SMT, X86_CORE, X86_TILE, X86_DIE};
	uint32_t known = leaf == 0x1f ? 7 : leaf == 0x0b ? 3 : 5;
	uint32_t sub;

	for (sub = 0; sub < 16; sub++) {
		struct x86_regs r = x86_cpuid(cpuid, leaf, sub);
		uint32_t type = r.c >> 8 & 0xff;
		uint32_t dom;

		if (!(r.b & 0xffff) || !type)
			break;
		if (type >= known) {
			cpu->complaint = true;
			break;
		}
		dom = leaf == 0x80000026 ? amd[type] : intel[type];
		if (dom == X86_SMT)
			cpu->apicid = r.d;
		else if (cpu->apicid != r.d)
			cpu->complaint = true;
		x86_set_domain(cpu, dom, r.a & 0x1f, r.b & 0xffff);
	}
	if (!sub)
		return false;
	if (!cpu->shift[X86_SMT] && cpu->count[X86_SMT] > 1)
		cpu->complaint = true;
	cpu->xtopology = true;
	return true;
}

static inline uint32_t x86_cache_order(uint32_t eax)
{
	return x86_order((eax >> 14 & 0xfff) + 1);
}

static inline void x86_read_caches(struct x86_cpu *cpu, const struct kvm_cpuid2 *cpuid)
{
	uint32_t leaf = cpu->amd ? 0x8000001d : 4;

	for (uint32_t i = 0; i < X86_CACHES; i++) {
		struct x86_regs r = x86_cpuid(cpuid, leaf, i);
		uint32_t sharing = (r.a >> 14 & 0xfff) + 1;
		struct x86_cache *c = &cpu->caches[cpu->nr_caches];

		if (!(r.a & 0x1f))
			return;
		c->type = r.a & 0x1f;
		c->level = r.a >> 5 & 7;
		c->size = (r.c + 1) * ((r.b & 0xfff) + 1) * ((r.b >> 12 & 0x3ff) + 1) *
			  ((r.b >> 22) + 1);
		c->id = cpu->apicid >> x86_cache_order(r.a);
		if (cpu->amd && cpu->topoext && i != 3) {
			/* __cache_amd_cpumap_setup(): a division, not a shift */
			c->first = cpu->apicid - cpu->apicid % sharing;
			c->last = c->first + sharing - 1;
		} else {
			c->first = c->id << x86_cache_order(r.a);
			c->last = c->first + (1u << x86_cache_order(r.a)) - 1;
		}
		cpu->nr_caches++;
	}
}

static inline void x86_decode_amd(struct x86_cpu *cpu, const struct kvm_cpuid2 *cpuid,
				  uint32_t max_basic, uint32_t max_ext)
{
	struct x86_regs ids = x86_cpuid(cpuid, 0x8000001e, 0);
	bool l3 = x86_cpuid(cpuid, 0x80000006, 0).d != 0;

	cpu->amd_nodes = 1;
	if (!(max_basic >= 0x1f && x86_levels(cpu, cpuid, 0x1f)) &&
	    !(max_ext >= 0x80000026 && x86_levels(cpu, cpuid, 0x80000026)) &&
	    !(max_basic >= 0xb && x86_levels(cpu, cpuid, 0xb))) {
		uint32_t c = x86_cpuid(cpuid, 0x80000008, 0).c;
		uint32_t shift = c >> 12 & 0xf ? c >> 12 & 0xf : x86_order((c & 0xff) + 1);

		if (max_ext < 0x80000008)
			return;
		x86_set_domain(cpu, X86_CORE, shift, (c & 0xff) + 1);
	}
	if (cpu->topoext) {
		uint32_t threads = (ids.b >> 8 & 0xff) + 1;

		if (!cpu->xtopology) {
			cpu->apicid = ids.a;
			if (cpu->family >= 0x17) {
				cpu->shift[X86_SMT] = x86_order(threads);
				cpu->count[X86_SMT] = threads;
			}
		}
		cpu->amd_nodes = (ids.c >> 8 & 7) + 1;
		cpu->amd_node = ids.c & 0xff;
		if (!cpu->hygon && cpu->family == 0x15)
			cpu->cu_id = ids.b & 0xff;
		x86_read_caches(cpu, cpuid);
		if (l3) {
			if (cpu->hygon || (cpu->family == 0x17 && cpu->model <= 0x1f))
				cpu->llc = cpu->apicid >> 3;
			else if (cpu->family < 0x17)
				cpu->llc = cpu->amd_node;
			else if (cpu->nr_caches)
				cpu->llc = cpu->caches[cpu->nr_caches - 1].id;
		}
	}
	if (cpu->llc == X86_NO_ID)
		cpu->llc = cpu->apicid >> cpu->shift[X86_CORE];
	/* cpu_detect_cache_sizes() */
	cpu->cache_size_kb = x86_cpuid(cpuid, 0x80000006, 0).c >> 16;
}

static inline void x86_decode_intel(struct x86_cpu *cpu, const struct kvm_cpuid2 *cpuid,
				    uint32_t max_basic)
{
	if (!(max_basic >= 0x1f && x86_levels(cpu, cpuid, 0x1f)) &&
	    !(max_basic >= 0xb && x86_levels(cpu, cpuid, 0xb))) {
		struct x86_regs r = x86_cpuid(cpuid, 4, 0);
		uint32_t cores = max_basic >= 4 && (r.a & 0x1f) ? (r.a >> 26) + 1 : 1;
		uint32_t shift = x86_order(cores), nproc = x86_order(cpu->leaf1_count);
		uint32_t smt = cpu->htt && nproc > shift ? nproc - shift : 0;

		x86_set_domain(cpu, X86_SMT, smt, 1u << smt);
		x86_set_domain(cpu, X86_CORE, shift + smt, cores << smt);
	}
	if (max_basic < 4)
		return;
	x86_read_caches(cpu, cpuid);
	/* intel_cacheinfo_0x4() */
	for (uint32_t i = 0; i < cpu->nr_caches; i++) {
		if (cpu->caches[i].level == 2)
			cpu->l2c = cpu->caches[i].first;
		if (cpu->caches[i].level == 3)
			cpu->llc = cpu->caches[i].first;
		cpu->cache_size_kb = cpu->caches[i].size >> 10;
	}
	if (cpu->llc == X86_NO_ID)
		cpu->llc = cpu->l2c;
}

/* The topology of one CPU from its leaves. */
static inline struct x86_cpu x86_decode_cpu(const struct kvm_cpuid2 *cpuid)
{
	struct x86_regs name = x86_cpuid(cpuid, 0, 0), features = x86_cpuid(cpuid, 1, 0);
	uint32_t max_ext = x86_cpuid(cpuid, 0x80000000, 0).a;
	struct x86_cpu cpu = {.llc = X86_NO_ID, .l2c = X86_NO_ID, .cu_id = 0xff};

	/* GenuineIntel, AuthenticAMD, HygonGenuine */
	cpu.intel = name.b == 0x756e6547 && name.d == 0x49656e69 && name.c == 0x6c65746e;
	cpu.hygon = name.b == 0x6f677948 && name.d == 0x6e65476e && name.c == 0x656e6975;
	cpu.amd =
		cpu.hygon || (name.b == 0x68747541 && name.d == 0x69746e65 && name.c == 0x444d4163);
	cpu.complaint = !cpu.intel && !cpu.amd;
	cpu.family = features.a >> 8 & 0xf;
	cpu.model = (features.a >> 4 & 0xf) + (features.a >> 16 & 0xf) * 16;
	if (cpu.family == 0xf)
		cpu.family += features.a >> 20 & 0xff;
	cpu.leaf1_id = features.b >> 24;
	cpu.leaf1_count = features.b >> 16 & 0xff;
	cpu.htt = features.d >> 28 & 1;
	cpu.topoext = x86_cpuid(cpuid, 0x80000001, 0).c >> 22 & 1;
	cpu.apicid = cpu.leaf1_id;
	x86_set_domain(&cpu, X86_SMT, 0, 1);
	if (cpu.amd)
		x86_decode_amd(&cpu, cpuid, name.a, max_ext);
	else
		x86_decode_intel(&cpu, cpuid, name.a);
	cpu.pkg = cpu.apicid >> cpu.shift[X86_DIEGRP];
	cpu.die = cpu.apicid >> cpu.shift[X86_TILE];
	cpu.core = (uint32_t)(cpu.apicid & ((UINT64_C(1) << cpu.shift[X86_PKG]) - 1)) >>
		   cpu.shift[X86_SMT];
	/* cpu_topology_fixup_amd() */
	if (cpu.amd && !cpu.hygon && cpu.family < 0x17 && cpu.amd_nodes > 1) {
		uint32_t per_node = cpu.count[X86_CORE] / cpu.amd_nodes;

		if (per_node)
			cpu.core %= per_node;
		else
			cpu.complaint = true; /* it divides by zero */
	}
	return cpu;
}

/*
 * All CPUs of a machine, in Linux's order. @nodes: the node of each, as the SRAT gives it;
 * @nr_nodes: those of the SRAT, with and without CPUs.
 */
struct x86_machine {
	const struct x86_cpu *cpus;
	const uint32_t *nodes;
	uint32_t nr_cpus, nr_nodes;
	/* what x86_machine_init() counts */
	uint32_t nr_packages, nodes_per_package;
	bool has_smt, has_mp;
	bool complaint; /* Linux would warn of the machine as a whole */
};

/* topology_init_possible_cpus(): counts over the ids. CPUs of a package, and of a core, adjoin. */
static inline void x86_machine_init(struct x86_machine *m)
{
	uint32_t cores = 0, first_package_cores = 0, i;

	m->nr_packages = 0;
	for (i = 0; i < m->nr_cpus; i++) {
		const struct x86_cpu *c = &m->cpus[i], *before = i ? c - 1 : NULL;
		bool new_core = !before || before->apicid >> before->shift[X86_SMT] !=
						   c->apicid >> c->shift[X86_SMT];

		m->nr_packages += !before || before->pkg != c->pkg;
		cores += new_core;
		first_package_cores += new_core && c->pkg == m->cpus[0].pkg;
		/* cpu_parse_topology(): "Topology domain %u shift %u != %u" */
		m->complaint |= memcmp(c->shift, m->cpus[0].shift, sizeof(c->shift)) != 0;
		m->complaint |= c->topoext != m->cpus[0].topoext;
	}
	m->nodes_per_package = (m->nr_nodes + m->nr_packages - 1) / m->nr_packages;
	m->has_smt = (m->nr_cpus + cores - 1) / cores > 1;
	m->has_mp = m->has_smt || first_package_cores > 1;
	/* arch_sched_node_distance(): would change the distances of these parts */
	m->complaint |= m->cpus[0].intel && m->cpus[0].family == 6 &&
			(m->cpus[0].model == 0xad || m->cpus[0].model == 0xdd) &&
			m->nr_packages > 1 && m->nodes_per_package > 2;
}

enum x86_map { X86_MAP_SMT, X86_MAP_LLC, X86_MAP_L2C, X86_MAP_DIE, X86_MAP_PKG };

/* topology_sane(): CPUs that share less than a package are on one node. */
static inline bool x86_sane(struct x86_machine *m, uint32_t i, uint32_t j)
{
	m->complaint |= m->nodes[i] != m->nodes[j];
	return m->nodes[i] == m->nodes[j];
}

static inline bool x86_match_smt(struct x86_machine *m, uint32_t i, uint32_t j)
{
	const struct x86_cpu *a = &m->cpus[i], *b = &m->cpus[j];

	if (a->pkg != b->pkg || a->die != b->die)
		return false;
	if (!m->cpus[0].topoext)
		return a->core == b->core && x86_sane(m, i, j);
	if (a->amd_node != b->amd_node || a->llc != b->llc)
		return false;
	return (a->core == b->core || (a->cu_id != 0xff && a->cu_id == b->cu_id)) &&
	       x86_sane(m, i, j);
}

/* Whether set_cpu_sibling_map() of arch/x86/kernel/smpboot.c puts both into one map. */
static inline bool x86_in_map(struct x86_machine *m, enum x86_map map, uint32_t i, uint32_t j)
{
	const struct x86_cpu *a = &m->cpus[i], *b = &m->cpus[j];
	bool package = a->pkg == b->pkg;

	if (i == j)
		return true;
	if (!m->has_mp)
		return false;
	if (package && m->nodes[i] != m->nodes[j] && m->nodes_per_package == 1)
		m->complaint = true; /* WARN_ON_ONCE() */
	switch (map) {
	case X86_MAP_SMT:
		return m->has_smt && x86_match_smt(m, i, j);
	case X86_MAP_LLC:
		if (a->llc != b->llc)
			return false;
		if (package && m->nodes[i] != m->nodes[j] && a->intel)
			return false; /* Sub-NUMA clusters */
		return x86_sane(m, i, j);
	case X86_MAP_L2C:
		if (a->l2c == X86_NO_ID)
			return x86_match_smt(m, i, j);
		return a->l2c == b->l2c && x86_sane(m, i, j);
	case X86_MAP_DIE:
		if (!package || a->die != b->die)
			return false;
		return !m->cpus[0].topoext || m->cpus[0].amd_nodes < 2 ||
		       a->amd_node == b->amd_node;
	case X86_MAP_PKG:
		return package;
	}
	return false;
}

/* shared_cpu_map of a cache. That of AMD's L3 is the LLC map: x86_in_map(). */
static inline bool x86_shares_cache(const struct x86_cpu *a, uint32_t cache, uint32_t apicid)
{
	return a->caches[cache].first <= apicid && apicid <= a->caches[cache].last;
}

#endif /* KTSTR_SELFTESTS_X86_DECODE_H */
