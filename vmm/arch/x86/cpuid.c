// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the CPUID of a vCPU: what KVM offers, but every leaf that says where the CPU sits or which
 * caches it shares comes from the layout, whatever the host's own leaves are.
 *
 * Intel (SDM vol. 2A, CPUID): 0xB and 0x1F have the levels SMT and core, the core level being the
 * whole package; the LLC is told by the L3 of leaf 4 alone, as on parts with several L3 domains.
 * AMD (APM vol. 3, appendix E): 0xB likewise; 0x80000026 has core, complex (what shares an L3), die
 * and socket, the die being the whole socket; 0x8000001D has the caches and 0x8000001E the ids.
 */
#include "cpuid.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define CPUID_7_ECX_LA57 (1u << 16)
#define LEAF_MAX_BASIC 0x0u
#define LEAF_FEATURES 0x1u
#define LEAF_INTEL_CACHE 0x4u
#define LEAF_EXT_TOPOLOGY 0xbu
#define LEAF_V2_EXT_TOPOLOGY 0x1fu
#define LEAF_KVM_FEATURES 0x40000001u
#define LEAF_MAX_EXTENDED 0x80000000u
#define LEAF_EXT_FEATURES 0x80000001u
#define LEAF_AMD_L1 0x80000005u
#define LEAF_L2_L3 0x80000006u
#define LEAF_ADDRESS_SIZES 0x80000008u
#define LEAF_AMD_CACHE 0x8000001du
#define LEAF_AMD_IDS 0x8000001eu
#define LEAF_AMD_TOPOLOGY 0x80000026u

#define FEATURE_ECX_X2APIC (1u << 21)
#define FEATURE_ECX_TSC_DEADLINE (1u << 24)
#define FEATURE_ECX_HYPERVISOR (1u << 31)
#define FEATURE_EDX_HTT (1u << 28)
#define EXT_FEATURE_ECX_CMP_LEGACY (1u << 1)
#define EXT_FEATURE_ECX_TOPOEXT (1u << 22)
/* Documentation/virt/kvm/x86/cpuid.rst: offered by the monitor, not by KVM. */
#define KVM_FEATURE_EAX_MSI_EXT_DEST_ID (1u << 15)

/* Level types of 0xB and 0x1F, and of 0x80000026. */
#define INTEL_LEVEL_SMT 1u
#define INTEL_LEVEL_CORE 2u
#define AMD_LEVEL_CORE 1u
#define AMD_LEVEL_COMPLEX 2u
#define AMD_LEVEL_DIE 3u
#define AMD_LEVEL_SOCKET 4u

/* Without an extended message destination, interrupts reach ids up to 254 (255 is broadcast). */
#define MAX_PLAIN_DESTINATION 254u

/* EAX[25:14] of leaf 4 and 0x8000001D: ids that share a cache, minus 1. */
#define MAX_SHARING_BITS 12u
#define CACHE_LINE 64u
#define KIB 1024u

enum cache_type { CACHE_DATA = 1, CACHE_INSTRUCTION = 2, CACHE_UNIFIED = 3 };

struct cache {
	enum cache_type type;
	uint32_t level, kb, ways;
};

#define NR_CACHES 4u
#define CACHE_L1D 0u
#define CACHE_L1I 1u
#define CACHE_L2 2u
#define CACHE_L3 3u

/* What server parts of the vendor have; L1 and L2 belong to a core, L3 to an LLC. */
static const struct cache typical_caches[][NR_CACHES] = {
	[CPUID_VENDOR_INTEL] =
		{
			{CACHE_DATA, 1, 48, 12},
			{CACHE_INSTRUCTION, 1, 32, 8},
			{CACHE_UNIFIED, 2, 2048, 16},
			{CACHE_UNIFIED, 3, 32768, 16},
		},
	[CPUID_VENDOR_AMD] =
		{
			{CACHE_DATA, 1, 32, 8},
			{CACHE_INSTRUCTION, 1, 32, 8},
			{CACHE_UNIFIED, 2, 1024, 8},
			{CACHE_UNIFIED, 3, 32768, 16},
		},
};
/* Ways into which any number of KiB can be divided, with lines of 64 bytes. */
#define ANY_SIZE_WAYS 8u
#define MAX_CACHE_KB (UINT32_MAX >> 10)

/* One vCPU's leaves being written. @full: an entry did not fit. */
struct writer {
	const struct kvm_cpuid2 *offered;
	const struct layout *layout;
	const struct layout_cpu *cpu;
	const struct layout_package *package;
	enum cpuid_vendor vendor;
	struct cache caches[NR_CACHES];
	struct kvm_cpuid2 *out;
	bool full;
};

struct level {
	uint32_t type, shift, cpus;
};

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *cpuid, uint32_t function)
{
	uint32_t i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	return NULL;
}

bool cpuid__has_la57(const struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *entry = find(cpuid, 7);

	return entry && entry->index == 0 && (entry->ecx & CPUID_7_ECX_LA57);
}

static void append(struct writer *w, const struct kvm_cpuid_entry2 *entry)
{
	if (w->out->nent >= CPUID_MAX_ENTRIES)
		w->full = true;
	else
		w->out->entries[w->out->nent++] = *entry;
}

static void append_subleaf(struct writer *w, uint32_t function, uint32_t index, uint32_t eax,
			   uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	append(w, &(struct kvm_cpuid_entry2){
			  .function = function,
			  .index = index,
			  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			  .eax = eax,
			  .ebx = ebx,
			  .ecx = ecx,
			  .edx = edx,
		  });
}

/* What KVM offers for a leaf without subleaves; zeros when it does not have it. */
static struct kvm_cpuid_entry2 offered_leaf(const struct writer *w, uint32_t function)
{
	const struct kvm_cpuid_entry2 *entry = find(w->offered, function);

	return entry ? *entry : (struct kvm_cpuid_entry2){.function = function};
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

/* The leaves that are written here, or that the other vendor alone has. */
static bool is_ours(uint32_t function)
{
	switch (function) {
	case LEAF_MAX_BASIC:
	case LEAF_FEATURES:
	case LEAF_INTEL_CACHE:
	case LEAF_EXT_TOPOLOGY:
	case LEAF_V2_EXT_TOPOLOGY:
	case LEAF_KVM_FEATURES:
	case LEAF_MAX_EXTENDED:
	case LEAF_EXT_FEATURES:
	case LEAF_AMD_L1:
	case LEAF_L2_L3:
	case LEAF_ADDRESS_SIZES:
	case LEAF_AMD_CACHE:
	case LEAF_AMD_IDS:
	case LEAF_AMD_TOPOLOGY:
		return true;
	default:
		return false;
	}
}

static void write_max_leaves(struct writer *w)
{
	bool amd = w->vendor == CPUID_VENDOR_AMD;
	uint32_t max_basic = amd ? LEAF_EXT_TOPOLOGY : LEAF_V2_EXT_TOPOLOGY;
	uint32_t max_extended = amd ? LEAF_AMD_TOPOLOGY : LEAF_ADDRESS_SIZES;
	struct kvm_cpuid_entry2 e = offered_leaf(w, LEAF_MAX_BASIC);

	if (e.eax < max_basic)
		e.eax = max_basic;
	append(w, &e);
	e = offered_leaf(w, LEAF_MAX_EXTENDED);
	if (e.eax < max_extended)
		e.eax = max_extended;
	append(w, &e);
}

static uint32_t family(uint32_t signature)
{
	uint32_t base = signature >> 8 & 0xf;

	return base == 0xf ? base + (signature >> 20 & 0xff) : base;
}

static uint32_t model(uint32_t signature)
{
	return (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
}

/*
 * On Granite Rapids and Clearwater Forest, Linux averages the distances between packages of three
 * or more nodes, and calls it a firmware bug when nodes without CPUs are in between
 * (arch_sched_node_distance()). Such a machine is another part.
 */
static uint32_t intel_signature(const struct writer *w, uint32_t signature)
{
	const struct layout *l = w->layout;

	if (family(signature) == 6 && (model(signature) == 0xad || model(signature) == 0xdd) &&
	    l->nr_packages > 1 && l->nr_nodes > 2 * l->nr_packages)
		return CPUID_SIGNATURE_INTEL;
	return signature;
}

/* HTT and its like are the same on all CPUs, also where only some packages have several. */
static void write_features(struct writer *w)
{
	struct kvm_cpuid_entry2 e = offered_leaf(w, LEAF_FEATURES);
	bool amd = w->vendor == CPUID_VENDOR_AMD, several = w->layout->package_shift > 0;
	/* EBX[23:16]: on Intel the ids that the package can have, on AMD the CPUs that it has. */
	uint32_t logical = amd ? w->package->nr_cpus : 1u << w->layout->package_shift;

	if (!amd)
		e.eax = intel_signature(w, e.eax);
	e.ebx = (e.ebx & 0xffff) | at_most(logical, 255) << 16 | (w->cpu->hw_id & 0xff) << 24;
	e.ecx |= FEATURE_ECX_X2APIC | FEATURE_ECX_TSC_DEADLINE | FEATURE_ECX_HYPERVISOR;
	e.edx = several ? e.edx | FEATURE_EDX_HTT : e.edx & ~FEATURE_EDX_HTT;
	append(w, &e);

	e = offered_leaf(w, LEAF_EXT_FEATURES);
	if (amd) {
		e.ecx |= EXT_FEATURE_ECX_TOPOEXT;
		e.ecx = several ? e.ecx | EXT_FEATURE_ECX_CMP_LEGACY
				: e.ecx & ~EXT_FEATURE_ECX_CMP_LEGACY;
	}
	append(w, &e);
}

static void write_kvm_features(struct writer *w)
{
	const struct kvm_cpuid_entry2 *offered = find(w->offered, LEAF_KVM_FEATURES);
	struct kvm_cpuid_entry2 e;

	if (!offered)
		return;
	e = *offered;
	if (w->layout->max_hw_id > MAX_PLAIN_DESTINATION)
		e.eax |= KVM_FEATURE_EAX_MSI_EXT_DEST_ID;
	append(w, &e);
}

/* 0xB, 0x1F, 0x80000026: each level tells how far to shift the x2APIC id to get past it. */
static void write_levels(struct writer *w, uint32_t function, const struct level *levels,
			 uint32_t nr_levels)
{
	uint32_t i;

	for (i = 0; i < nr_levels; i++)
		append_subleaf(w, function, i, levels[i].shift, levels[i].cpus,
			       levels[i].type << 8 | i, w->cpu->hw_id);
	append_subleaf(w, function, nr_levels, 0, 0, nr_levels, w->cpu->hw_id);
}

static void write_topology(struct writer *w)
{
	const struct layout *l = w->layout;
	uint32_t threads = l->topology.threads_per_core;
	uint32_t package = w->package->nr_cpus;
	const struct level levels[] = {
		{INTEL_LEVEL_SMT, l->core_shift, threads},
		{INTEL_LEVEL_CORE, l->package_shift, package},
	};
	const struct level amd_levels[] = {
		{AMD_LEVEL_CORE, l->core_shift, threads},
		{AMD_LEVEL_COMPLEX, l->llc_shift, l->topology.cores_per_llc * threads},
		{AMD_LEVEL_DIE, l->package_shift, package},
		{AMD_LEVEL_SOCKET, l->package_shift, package},
	};

	write_levels(w, LEAF_EXT_TOPOLOGY, levels, 2);
	if (w->vendor == CPUID_VENDOR_AMD)
		write_levels(w, LEAF_AMD_TOPOLOGY, amd_levels, 4);
	else
		write_levels(w, LEAF_V2_EXT_TOPOLOGY, levels, 2);
}

/*
 * Leaf 4 and 0x8000001D, which has the same form (but no core count in EAX[31:26]). Who shares a
 * cache is told as a number of ids, so a full bit field, gaps included.
 */
static void write_caches(struct writer *w)
{
	const struct layout *l = w->layout;
	bool amd = w->vendor == CPUID_VENDOR_AMD;
	uint32_t function = amd ? LEAF_AMD_CACHE : LEAF_INTEL_CACHE;
	uint32_t core_ids = 1u << (l->package_shift - l->core_shift);
	uint32_t i;

	for (i = 0; i < NR_CACHES; i++) {
		const struct cache *c = &w->caches[i];
		uint32_t shift = i == CACHE_L3 ? l->llc_shift : l->core_shift;
		uint32_t sharing = (1u << shift) - 1;
		uint32_t eax =
			c->type | c->level << 5 | 1u << 8 /* self-initializing */ | sharing << 14;

		if (!amd)
			eax |= at_most(core_ids - 1, 63) << 26;
		append_subleaf(w, function, i, eax, (c->ways - 1) << 22 | (CACHE_LINE - 1),
			       c->kb * KIB / c->ways / CACHE_LINE - 1, 0);
	}
	append_subleaf(w, function, NR_CACHES, 0, 0, 0, 0);
}

/* APM vol. 3, table E-4: L2 and L3 associativity in 0x80000006. */
static uint32_t l2_l3_ways_code(uint32_t ways)
{
	return ways == 16 ? 0x8 : 0x6 /* 8 ways */;
}

/*
 * Guests take the LLC id of these from somewhere else than 0x8000001D when 0x80000006 announces an
 * L3: family 0x17 up to model 0x1F and Hygon from APIC id bit 3 upwards, older families from the
 * node id (Linux: cacheinfo_amd_init_llc_id()). Without the announcement, the complex level counts.
 */
static bool amd_llc_is_fixed(const struct writer *w)
{
	const struct kvm_cpuid_entry2 name = offered_leaf(w, LEAF_MAX_BASIC);
	uint32_t signature = offered_leaf(w, LEAF_FEATURES).eax;
	bool hygon = !memcmp(&name.ebx, "Hygo", 4);

	if (hygon || (family(signature) == 0x17 && model(signature) <= 0x1f))
		return w->layout->llc_shift != 3;
	return family(signature) < 0x17;
}

/*
 * Sizes that do not fit are the largest that do: guests take them from 0x8000001D or leaf 4, but
 * "cache size" of /proc/cpuinfo from here.
 */
static void write_legacy_caches(struct writer *w)
{
	const struct cache *c = w->caches;
	uint32_t l2 = CACHE_LINE | l2_l3_ways_code(c[CACHE_L2].ways) << 12 |
		      at_most(c[CACHE_L2].kb, 0xffff) << 16;
	struct kvm_cpuid_entry2 e = {.function = LEAF_L2_L3};

	if (w->vendor == CPUID_VENDOR_INTEL) {
		e.ecx = l2;
		append(w, &e);
		return;
	}
	e = offered_leaf(w, LEAF_L2_L3); /* EAX, EBX: L2 TLBs */
	e.ecx = l2 | 1u << 8;
	e.edx = CACHE_LINE | 1u << 8 | l2_l3_ways_code(c[CACHE_L3].ways) << 12 |
		at_most(c[CACHE_L3].kb / 512, 0x3fff) << 18;
	if (amd_llc_is_fixed(w))
		e.edx = 0;
	append(w, &e);

	e = offered_leaf(w, LEAF_AMD_L1); /* EAX, EBX: L1 TLBs */
	e.ecx = CACHE_LINE | 1u << 8 | c[CACHE_L1D].ways << 16 |
		at_most(c[CACHE_L1D].kb, 255) << 24;
	e.edx = CACHE_LINE | 1u << 8 | c[CACHE_L1I].ways << 16 |
		at_most(c[CACHE_L1I].kb, 255) << 24;
	append(w, &e);
}

/*
 * Nodes of the package: EAX[10:8] of 0x8000001E holds their number - 1. Of families before 0x17
 * Linux divides the cores of an LLC by it (cpu_topology_fixup_amd()): there it is 1.
 */
static uint32_t amd_nodes(const struct writer *w)
{
	if (family(offered_leaf(w, LEAF_FEATURES).eax) < 0x17)
		return 1;
	return at_most(w->package->nr_nodes, 8);
}

static void write_sizes_and_ids(struct writer *w)
{
	const struct layout *l = w->layout;
	uint32_t id_in_package = w->cpu->hw_id & ((1u << l->package_shift) - 1);
	struct kvm_cpuid_entry2 e = offered_leaf(w, LEAF_ADDRESS_SIZES);

	if (w->vendor == CPUID_VENDOR_AMD) {
		e.ecx &= ~UINT32_C(0xf0ff);
		e.ecx |= at_most(w->package->nr_cpus - 1, 255) | at_most(l->package_shift, 15)
									 << 12;
	}
	append(w, &e);
	if (w->vendor != CPUID_VENDOR_AMD)
		return;
	append(w, &(struct kvm_cpuid_entry2){
			  .function = LEAF_AMD_IDS,
			  .eax = w->cpu->hw_id,
			  /* of family 0x15, Linux does not compare 0xFF */
			  .ebx = at_most(id_in_package >> l->core_shift, 255) |
				 at_most(l->topology.threads_per_core - 1, 255) << 8,
			  .ecx = (w->cpu->node & 0xff) | (amd_nodes(w) - 1) << 8,
		  });
}

/* The caches that were asked for, or typical ones. Bytes of a cache are counted in 32 bits. */
static int choose_caches(struct writer *w, struct ktstr_error *error)
{
	const struct ktstr_caches *said = &w->layout->topology.caches;
	const uint32_t kb[NR_CACHES] = {said->l1d_kb, said->l1i_kb, said->l2_kb, said->l3_kb};

	for (uint32_t i = 0; i < NR_CACHES; i++) {
		struct cache *c = &w->caches[i];

		*c = typical_caches[w->vendor][i];
		if (!kb[i])
			continue;
		if (kb[i] > MAX_CACHE_KB)
			return ktstr_error__set(error, EINVAL, "CPUID", NULL,
						"an L%u cache of %u KiB cannot be told, at most "
						"%u KiB",
						c->level, kb[i], MAX_CACHE_KB);
		c->kb = kb[i];
		if (c->kb * KIB % (c->ways * CACHE_LINE))
			c->ways = ANY_SIZE_WAYS;
	}
	return 0;
}

int cpuid__build(const struct kvm_cpuid2 *offered, enum cpuid_vendor vendor,
		 const struct layout *layout, uint32_t index, struct kvm_cpuid2 *out,
		 struct ktstr_error *error)
{
	struct writer w = {.offered = offered, .layout = layout, .vendor = vendor, .out = out};
	uint32_t i;
	int err;

	out->nent = 0;
	out->padding = 0;
	if (index >= layout->nr_cpus)
		return ktstr_error__set(error, EINVAL, "CPUID", NULL, "there is no CPU %u", index);
	if (layout->llc_shift > MAX_SHARING_BITS)
		return ktstr_error__set(error, EINVAL, "CPUID", NULL,
					"an LLC can have %u APIC ids, but these need %u",
					1u << MAX_SHARING_BITS, 1u << layout->llc_shift);
	w.cpu = &layout->cpus[index];
	w.package = &layout->packages[w.cpu->package];
	err = choose_caches(&w, error);
	if (err)
		return err;
	write_max_leaves(&w);
	write_features(&w);
	write_kvm_features(&w);
	write_topology(&w);
	write_caches(&w);
	write_legacy_caches(&w);
	write_sizes_and_ids(&w);
	for (i = 0; i < offered->nent; i++)
		if (!is_ours(offered->entries[i].function))
			append(&w, &offered->entries[i]);
	if (w.full)
		return ktstr_error__set(error, ENOSPC, "CPUID", NULL,
					"more than %u entries with the %u that KVM offers",
					CPUID_MAX_ENTRIES, offered->nent);
	return 0;
}
