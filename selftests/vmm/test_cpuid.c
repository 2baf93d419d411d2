// SPDX-License-Identifier: GPL-2.0-only
/* CPUID of every vCPU of every shape, read back by the kernel's rules, for both vendors. */
#include "vmm/arch/x86/cpuid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "shapes.h"
#include "x86_decode.h"

#define ENTRIES 256
#define E(f, i, fl, a, b, c, d)                                                                   \
	{                                                                                         \
		.function = (f), .index = (i), .flags = (fl), .eax = (a), .ebx = (b), .ecx = (c), \
		.edx = (d)                                                                        \
	}

/* A host whose own topology and caches contradict every shape, so that nothing of it may remain. */
static const struct kvm_cpuid_entry2 intel_host[] = {
	E(0x0, 0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69), /* GenuineIntel */
	E(0x1, 0, 0, 0x000806f8, 0x77400800, 0xf6fa3203, 0x0f8bfbff),
	E(0x4, 0, 1, 0xfc1fc121, 0x02c0003f, 63, 0),
	E(0x4, 3, 1, 0xfc1fc163, 0x03c0003f, 0xffff, 0),
	E(0x7, 0, 1, 0, 0x219c07a9, 0, 0),
	E(0xb, 0, 1, 1, 2, 0x100, 0x77),
	E(0xb, 1, 1, 7, 128, 0x201, 0x77),
	E(0x1f, 0, 1, 1, 2, 0x100, 0x77),
	E(0x1f, 1, 1, 7, 128, 0x201, 0x77),
	E(0x1f, 2, 1, 9, 512, 0x502, 0x77),
	E(0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
	E(0x40000001, 0, 0, 0x01007afb, 0, 0, 0),
	E(0x80000000, 0, 0, 0x80000008, 0, 0, 0),
	E(0x80000001, 0, 0, 0, 0, 0x121, 0x2c100800),
	E(0x80000006, 0, 0, 0, 0, 0x08007040, 0),
	E(0x80000008, 0, 0, 0x302e, 0, 0, 0),
};

#define AMD_HOST(name_b, name_d, name_c, signature)                                               \
	{                                                                                         \
		E(0x0, 0, 0, 0x7, (name_b), (name_c), (name_d)),                                  \
			E(0x1, 0, 0, (signature), 0x33400800, 0x80b82201, 0x1fcbfbff),            \
			E(0x4, 0, 1, 0x121, 0x01c0003f, 63, 0), E(0xb, 0, 1, 5, 32, 0x100, 0x33), \
			E(0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),            \
			E(0x40000001, 0, 0, 0x01007afb, 0, 0, 0),                                 \
			E(0x80000000, 0, 0, 0x8000001f, (name_b), (name_c), (name_d)),            \
			E(0x80000001, 0, 0, (signature), 0, 0x00000375, 0x2fd3fbff),              \
			E(0x80000005, 0, 0, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140),      \
			E(0x80000006, 0, 0, 0x42004200, 0x42004200, 0x02006140, 0x00808140),      \
			E(0x80000008, 0, 0, 0x3028, 0x1000, 0xf07f, 0),                           \
			E(0x8000001d, 0, 1, 0x3c121, 0x01c0003f, 63, 0),                          \
			E(0x8000001d, 3, 1, 0x3c163, 0x03c0003f, 0x3fff, 0),                      \
			E(0x8000001e, 0, 0, 0x33, 0x7ff, 0x703, 0),                               \
			E(0x80000026, 0, 1, 9, 9, 0x100, 0x33),                                   \
	}

static const struct kvm_cpuid_entry2 zen1_host[] =
	AMD_HOST(0x68747541, 0x69746e65, 0x444d4163, 0x00800f12);
static const struct kvm_cpuid_entry2 zen4_host[] =
	AMD_HOST(0x68747541, 0x69746e65, 0x444d4163, 0x00a10f11);
static const struct kvm_cpuid_entry2 fam15_host[] =
	AMD_HOST(0x68747541, 0x69746e65, 0x444d4163, 0x00600f20);
static const struct kvm_cpuid_entry2 hygon_host[] =
	AMD_HOST(0x6f677948, 0x6e65476e, 0x656e6975, 0x00900f02);

/* Nothing at all; no vendor that Linux reads the topology leaves of; distances are averaged there.
 */
static const struct kvm_cpuid_entry2 empty_host[1] = {E(0x40000000, 0, 0, 0, 0, 0, 0)};
static const struct kvm_cpuid_entry2 zhaoxin_host[] = {
	E(0x0, 0, 0, 0x1d, 0x68532020, 0x20206961, 0x68676e61), /* "  Shanghai  " */
	E(0x1, 0, 0, 0x000307b0, 0x05080800, 0x77fafb3f, 0xbfcbfbff),
	E(0x4, 0, 1, 0x1c008121, 0x01c0003f, 63, 0),
	E(0xb, 0, 1, 0, 1, 0x100, 5),
	E(0x80000000, 0, 0, 0x80000008, 0, 0, 0),
	E(0x80000001, 0, 0, 0, 0, 0x121, 0x2c100800),
	E(0xc0000000, 0, 0, 0xc0000004, 0, 0, 0),
};
static const struct kvm_cpuid_entry2 granite_rapids_host[] = {
	E(0x0, 0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69),
	E(0x1, 0, 0, 0x000a06d1, 0x77400800, 0xf6fa3203, 0x0f8bfbff),
};

/* Topology leaves full of nonsense, in both forms, on either vendor. */
#define NONSENSE(name_b, name_c, name_d, signature)                                          \
	{                                                                                    \
		E(0x0, 0, 0, 0x21, (name_b), (name_c), (name_d)),                            \
			E(0x1, 0, 0, (signature), 0xffffffff, 0xffffffff, 0xffffffff),       \
			E(0x4, 0, 1, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff),        \
			E(0x4, 7, 1, 0xffffffff, 0, 0, 0),                                   \
			E(0x4, 0x77, 1, 0x1f, 0xffffffff, 0xffffffff, 0xffffffff),           \
			E(0xb, 0, 0, 31, 0xffff, 0xff00, 0xdeadbeef),                        \
			E(0x1f, 0, 0, 31, 0xffff, 0xff00, 0xdeadbeef),                       \
			E(0x1f, 1, 1, 31, 0xffff, 0x0301, 0xbadcafe),                        \
			E(0x80000000, 0, 0, 0x80000028, (name_b), (name_c), (name_d)),       \
			E(0x80000001, 0, 0, (signature), 0, 0xffffffff, 0xffffffff),         \
			E(0x80000005, 0, 0, 0xff40ff40, 0xff40ff40, 0xffffffff, 0xffffffff), \
			E(0x80000006, 0, 0, 0x42004200, 0x42004200, 0xffffffff, 0xffffffff), \
			E(0x80000008, 0, 0, 0x3028, 0xffffffff, 0xffffffff, 0xffffffff),     \
			E(0x8000001d, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), \
			E(0x8000001e, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), \
			E(0x80000026, 0, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), \
			E(0x80000026, 5, 1, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff), \
	}
static const struct kvm_cpuid_entry2 intel_nonsense[] =
	NONSENSE(0x756e6547, 0x6c65746e, 0x49656e69, 0x000806f8);
static const struct kvm_cpuid_entry2 amd_nonsense[] =
	NONSENSE(0x68747541, 0x444d4163, 0x69746e65, 0x00a20f10);

static const struct {
	const char *name;
	const struct kvm_cpuid_entry2 *entries;
	uint32_t nr;
	enum cpuid_vendor vendor;
} hosts[] = {
#define HOST(n, v)                                 \
	{                                          \
#n, n, sizeof(n) / sizeof(n[0]), v \
	}
	HOST(intel_host, CPUID_VENDOR_INTEL),	  HOST(zen1_host, CPUID_VENDOR_AMD),
	HOST(zen4_host, CPUID_VENDOR_AMD),	  HOST(fam15_host, CPUID_VENDOR_AMD),
	HOST(hygon_host, CPUID_VENDOR_AMD),	  HOST(empty_host, CPUID_VENDOR_INTEL),
	HOST(zhaoxin_host, CPUID_VENDOR_INTEL),	  HOST(granite_rapids_host, CPUID_VENDOR_INTEL),
	HOST(intel_nonsense, CPUID_VENDOR_INTEL), HOST(amd_nonsense, CPUID_VENDOR_AMD),
};

#define NR_HOSTS (sizeof(hosts) / sizeof(hosts[0]))

static struct kvm_cpuid2 *new_cpuid(void)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(struct kvm_cpuid_entry2));

	if (!cpuid)
		abort();
	return cpuid;
}

/* What the host's KVM offers. */
static struct kvm_cpuid2 *offer(size_t host)
{
	struct kvm_cpuid2 *cpuid = new_cpuid();

	cpuid->nent = hosts[host].nr;
	memcpy(cpuid->entries, hosts[host].entries, hosts[host].nr * sizeof(cpuid->entries[0]));
	return cpuid;
}

/* The same once it is a CPU of @wanted. */
static struct kvm_cpuid2 *offer_as(struct __test_metadata *_metadata, size_t host,
				   enum ktstr_cpu_vendor wanted, enum cpuid_vendor *vendor)
{
	struct kvm_cpuid2 *cpuid = offer(host);

	ASSERT_EQ(cpuid__take_vendor(cpuid, wanted, vendor, NULL), 0);
	return cpuid;
}

static struct layout create(struct __test_metadata *_metadata, struct ktstr_topology t)
{
	struct gmem mem = shapes_ram(SHAPES_GIB);
	struct layout layout;

	ASSERT_EQ(layout__create(&t, &mem, &layout, NULL), 0);
	return layout;
}

/* Of a CPU, KiB: asked for, or typical of the vendor. */
static uint32_t cache_kb(const struct ktstr_caches *c, bool amd, uint32_t index)
{
	const uint32_t said[] = {c->l1d_kb, c->l1i_kb, c->l2_kb, c->l3_kb};
	const uint32_t typical[2][4] = {{48, 32, 2048, 32768}, {32, 32, 1024, 32768}};

	return said[index] ? said[index] : typical[amd][index];
}

/* Whether the sets of CPUs are those of the model, for pairs of CPUs: all, or some of very many. */
static void check_pairs(struct __test_metadata *_metadata, const struct layout *l,
			struct x86_machine *m)
{
	const struct x86_cpu *cpus = m->cpus;
	uint32_t step = l->nr_cpus > 300 ? 7 : 1;

	for (uint32_t i = 0; i < l->nr_cpus; i++) {
		for (uint32_t j = i; j < l->nr_cpus; j += j < i + 16 ? 1 : step) {
			const struct layout_cpu *a = &l->cpus[i], *b = &l->cpus[j];
			bool core = a->core == b->core, llc = a->llc == b->llc;
			bool package = a->package == b->package;

			ASSERT_EQ(cpus[i].pkg == cpus[j].pkg, package);
			ASSERT_EQ(cpus[i].die == cpus[j].die, package);
			ASSERT_EQ(cpus[i].llc == cpus[j].llc, llc)
			TH_LOG("CPUs %u and %u: llc %#x and %#x", i, j, cpus[i].llc, cpus[j].llc);
			ASSERT_EQ(x86_in_map(m, X86_MAP_SMT, i, j), core);
			ASSERT_EQ(x86_in_map(m, X86_MAP_L2C, i, j), core);
			ASSERT_EQ(x86_in_map(m, X86_MAP_LLC, i, j), llc);
			ASSERT_EQ(x86_in_map(m, X86_MAP_PKG, i, j), package);
			ASSERT_EQ(x86_in_map(m, X86_MAP_DIE, i, j),
				  package && (a->node == b->node || cpus[0].amd_nodes < 2));
			for (uint32_t c = 0; c < 4; c++)
				ASSERT_EQ(x86_shares_cache(&cpus[i], c, cpus[j].apicid),
					  c == 3 ? llc : core);
		}
	}
	/* no line of topology_sane(), no FW_BUG, no WARN_ON_ONCE() */
	ASSERT_FALSE(m->complaint);
}

static void check_amd(struct __test_metadata *_metadata, const struct layout *l, uint32_t i,
		      const struct kvm_cpuid2 *leaves, const struct x86_cpu *cpu)
{
	uint32_t nodes = l->packages[l->cpus[i].package].nr_nodes;

	ASSERT_TRUE(cpu->topoext);
	/* the field ends at 8; before Zen Linux would misread another than 1 */
	ASSERT_EQ(cpu->amd_nodes, cpu->family < 0x17 ? 1 : nodes < 8 ? nodes : 8);
	ASSERT_EQ(cpu->amd_node, l->cpus[i].node);
	ASSERT_EQ(cpu->shift[X86_CORE], l->llc_shift);
	ASSERT_EQ(x86_cpuid(leaves, 0x8000001e, 0).a, l->cpus[i].hw_id);
	ASSERT_EQ(x86_cpuid(leaves, 4, 0).a, 0);
	ASSERT_EQ(x86_cpuid(leaves, 0x1f, 0).b, 0);
	ASSERT_EQ(cpu->cache_size_kb, cache_kb(&l->topology.caches, true, 2) < 0xffff
					      ? cache_kb(&l->topology.caches, true, 2)
					      : 0xffff);
}

static void check_one(struct __test_metadata *_metadata, const struct layout *l, uint32_t i,
		      const struct kvm_cpuid2 *leaves, const struct x86_cpu *cpu)
{
	const uint32_t types[] = {1, 2, 3, 3}, levels[] = {1, 1, 2, 3};
	uint32_t hw_id = l->cpus[i].hw_id;
	uint32_t per_package = l->packages[l->cpus[i].package].nr_cpus;

	ASSERT_EQ(cpu->apicid, hw_id);
	ASSERT_EQ(cpu->leaf1_id, hw_id & 0xff);
	ASSERT_EQ(cpu->htt, l->nr_cpus > l->nr_packages);
	ASSERT_GE(cpu->leaf1_count, per_package < 255 ? per_package : 255);
	ASSERT_FALSE(cpu->complaint);
	ASSERT_TRUE(cpu->xtopology);
	ASSERT_EQ(cpu->shift[X86_SMT], l->core_shift);
	ASSERT_EQ(cpu->shift[X86_PKG], l->package_shift);
	ASSERT_EQ(cpu->count[X86_SMT], l->topology.threads_per_core);
	ASSERT_EQ(cpu->count[X86_PKG], per_package);
	ASSERT_EQ(cpu->pkg, l->cpus[i].package);
	ASSERT_EQ(cpu->nr_caches, 4);
	for (uint32_t c = 0; c < 4; c++) {
		ASSERT_EQ(cpu->caches[c].type, types[c]);
		ASSERT_EQ(cpu->caches[c].level, levels[c]);
		ASSERT_EQ(cpu->caches[c].size, cache_kb(&l->topology.caches, cpu->amd, c) << 10);
	}
	/* x2APIC, TSC-deadline, hypervisor */
	ASSERT_EQ(x86_cpuid(leaves, 1, 0).c & 0x81200000, 0x81200000);
	if (cpu->amd) {
		check_amd(_metadata, l, i, leaves, cpu);
		return;
	}
	ASSERT_EQ(x86_cpuid(leaves, 0x8000001d, 0).a, 0);
	ASSERT_EQ(x86_cpuid(leaves, 0x80000026, 0).b, 0);
	ASSERT_EQ(cpu->cache_size_kb, cache_kb(&l->topology.caches, false, 3));
}

/* Each leaf and subleaf once, as KVM takes the first it finds. */
static void check_unique(struct __test_metadata *_metadata, const struct kvm_cpuid2 *leaves)
{
	for (uint32_t i = 0; i < leaves->nent; i++)
		for (uint32_t j = 0; j < i; j++)
			ASSERT_FALSE(leaves->entries[i].function == leaves->entries[j].function &&
				     leaves->entries[i].index == leaves->entries[j].index);
}

static void check_shape(struct __test_metadata *_metadata, const struct kvm_cpuid2 *offered,
			enum cpuid_vendor vendor, struct ktstr_topology t)
{
	static struct x86_cpu cpus[SHAPES_MAX_CPUS];
	static uint32_t nodes[SHAPES_MAX_CPUS];
	struct layout l = create(_metadata, t);
	struct kvm_cpuid2 *out = new_cpuid();
	struct x86_machine machine = {
		.cpus = cpus, .nodes = nodes, .nr_cpus = l.nr_cpus, .nr_nodes = l.nr_nodes};

	ASSERT_LE(l.nr_cpus, SHAPES_MAX_CPUS);
	for (uint32_t i = 0; i < l.nr_cpus; i++) {
		ASSERT_EQ(cpuid__build(offered, vendor, &l, i, out, NULL), 0);
		check_unique(_metadata, out);
		cpus[i] = x86_decode_cpu(out);
		nodes[i] = l.cpus[i].node;
		ASSERT_EQ(cpus[i].amd, vendor == CPUID_VENDOR_AMD);
		check_one(_metadata, &l, i, out, &cpus[i]);
	}
	x86_machine_init(&machine);
	ASSERT_EQ(machine.nr_packages, l.nr_packages);
	check_pairs(_metadata, &l, &machine);
	free(out);
	layout__destroy(&l);
}

static void check_host(struct __test_metadata *_metadata, size_t host, enum ktstr_cpu_vendor wanted)
{
	enum cpuid_vendor vendor;
	struct kvm_cpuid2 *offered = offer_as(_metadata, host, wanted, &vendor);

	ASSERT_EQ(vendor, wanted == KTSTR_VENDOR_INTEL ? CPUID_VENDOR_INTEL
			  : wanted == KTSTR_VENDOR_AMD ? CPUID_VENDOR_AMD
						       : hosts[host].vendor);
	for (size_t s = 0; s < NR_SHAPES; s++) {
		char text[64];

		check_shape(_metadata, offered, vendor, shapes[s]);
		ktstr_topology__format(&shapes[s], text, sizeof(text));
		ASSERT_EQ(_metadata->exit_code, 0)
		TH_LOG("%s on %s as %d", text, hosts[host].name, wanted);
	}
	free(offered);
}

FIXTURE(every_host){};
FIXTURE_SETUP(every_host)
{
	(void)self;
	(void)variant;
}
FIXTURE_TEARDOWN(every_host)
{
	(void)self;
	(void)variant;
}
FIXTURE_VARIANT(every_host)
{
	enum ktstr_cpu_vendor vendor;
};
FIXTURE_VARIANT_ADD(every_host, as_it_is){.vendor = KTSTR_VENDOR_HOST};
FIXTURE_VARIANT_ADD(every_host, as_intel){.vendor = KTSTR_VENDOR_INTEL};
FIXTURE_VARIANT_ADD(every_host, as_amd){.vendor = KTSTR_VENDOR_AMD};

TEST_F_TIMEOUT(every_host, shows_linux_the_declared_topology_in_every_shape, 120)
{
	(void)self;
	for (size_t h = 0; h < NR_HOSTS; h++)
		check_host(_metadata, h, variant->vendor);
}

/* Kernels that know neither 0x80000026 nor 0x1F read 0xB: packages and siblings are the same there.
 */
TEST(leaf_b_alone_gives_the_same_packages_and_siblings)
{
	for (size_t h = 0; h < NR_HOSTS; h++) {
		enum cpuid_vendor vendor;
		struct kvm_cpuid2 *offered = offer_as(_metadata, h, KTSTR_VENDOR_HOST, &vendor);
		struct kvm_cpuid2 *out = new_cpuid();

		for (size_t s = 0; s < NR_SHAPES; s++) {
			struct layout l = create(_metadata, shapes[s]);

			for (uint32_t i = 0; i < l.nr_cpus; i++) {
				struct x86_cpu cpu = {0};

				ASSERT_EQ(cpuid__build(offered, vendor, &l, i, out, NULL), 0);
				ASSERT_TRUE(x86_levels(&cpu, out, 0xb));
				ASSERT_FALSE(cpu.complaint);
				ASSERT_EQ(cpu.apicid, l.cpus[i].hw_id);
				ASSERT_EQ(cpu.apicid >> cpu.shift[X86_SMT],
					  l.cpus[i].hw_id >> l.core_shift);
				ASSERT_EQ(cpu.apicid >> cpu.shift[X86_PKG], l.cpus[i].package);
			}
			layout__destroy(&l);
		}
		free(offered);
		free(out);
	}
}

TEST(legacy_amd_core_count_and_id_size_are_the_packages)
{
	struct kvm_cpuid2 *offered = offer(1), *out = new_cpuid();
	struct layout l = create(_metadata, TOPO(2, 6, 3, 2));

	ASSERT_EQ(cpuid__build(offered, CPUID_VENDOR_AMD, &l, 0, out, NULL), 0);
	EXPECT_EQ(x86_cpuid(out, 0x80000008, 0).c & 0xff, 17);
	EXPECT_EQ(x86_cpuid(out, 0x80000008, 0).c >> 12 & 0xf, 5);
	EXPECT_EQ(x86_cpuid(out, 0x80000008, 0).a, 0x3028);
	EXPECT_EQ(x86_cpuid(out, 0x80000008, 0).b, 0x1000);
	EXPECT_EQ(x86_cpuid(out, 0x80000001, 0).c & 2, 2);
	/* L1 data and L2 as 0x8000001D has them: 32 KiB 8 ways, 1024 KiB 8 ways */
	EXPECT_EQ(x86_cpuid(out, 0x80000005, 0).c, 0x20080140);
	EXPECT_EQ(x86_cpuid(out, 0x80000006, 0).c, 0x04006140);
	free(offered);
	free(out);
	layout__destroy(&l);
}

TEST(amd_counts_are_those_of_each_package)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 1}, {.llcs = 3}, {.llcs = 2}};
	struct kvm_cpuid2 *offered = offer(2), *out = new_cpuid();
	struct layout l = create(_metadata, (struct ktstr_topology){.numa_nodes = 3,
								    .llcs = 6,
								    .cores_per_llc = 3,
								    .threads_per_core = 2,
								    .nodes = nodes});
	const uint32_t first[] = {0, 6, 24}, count[] = {6, 18, 12};

	for (size_t p = 0; p < 3; p++) {
		ASSERT_EQ(cpuid__build(offered, CPUID_VENDOR_AMD, &l, first[p], out, NULL), 0);
		EXPECT_EQ(x86_cpuid(out, 1, 0).b >> 16 & 0xff, count[p]);
		EXPECT_EQ(x86_cpuid(out, 0x80000008, 0).c & 0xff, count[p] - 1);
		EXPECT_EQ(x86_cpuid(out, 0xb, 1).b, count[p]);
		EXPECT_EQ(x86_cpuid(out, 0x80000026, 1).b, 6);
		EXPECT_EQ(x86_cpuid(out, 0x80000026, 3).b, count[p]);
		/* a thread bit, two for three cores, two for three LLCs: in every package */
		EXPECT_EQ(x86_cpuid(out, 0x80000026, 3).a, 5);
		EXPECT_EQ(x86_cpuid(out, 0x8000001e, 0).c, p);
	}
	free(offered);
	free(out);
	layout__destroy(&l);
}

TEST(amd_tells_the_nodes_of_a_processor)
{
	const struct {
		uint32_t nodes, packages, field;
	} cases[] = {{4, 4, 0}, {4, 2, 1}, {4, 1, 3}, {8, 1, 7}, {16, 1, 7}, {1, 4, 0}};
	struct kvm_cpuid2 *offered = offer(2), *out = new_cpuid();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layout l =
			create(_metadata, (struct ktstr_topology){.numa_nodes = cases[i].nodes,
								  .llcs = 16,
								  .cores_per_llc = 2,
								  .threads_per_core = 1,
								  .packages = cases[i].packages});

		ASSERT_EQ(cpuid__build(offered, CPUID_VENDOR_AMD, &l, 31, out, NULL), 0);
		EXPECT_EQ(x86_cpuid(out, 0x8000001e, 0).c,
			  cases[i].field << 8 | (cases[i].nodes - 1));
		layout__destroy(&l);
	}
	free(offered);
	free(out);
}

TEST(caches_of_the_topology_replace_the_typical_ones)
{
	struct ktstr_topology t = TOPO(1, 2, 2, 2);
	struct kvm_cpuid2 *offered = offer(0), *out = new_cpuid();
	struct ktstr_error error = {0};
	struct layout l;

	/* 49 KiB are no multiple of 12 ways of 64 bytes: 8 ways, 98 sets */
	t.caches = (struct ktstr_caches){.l1d_kb = 49, .l2_kb = 1280, .l3_kb = 4194303};
	l = create(_metadata, t);
	ASSERT_EQ(cpuid__build(offered, CPUID_VENDOR_INTEL, &l, 0, out, NULL), 0);
	EXPECT_EQ(x86_cpuid(out, 4, 0).b, 7u << 22 | 63);
	EXPECT_EQ(x86_cpuid(out, 4, 0).c, 97);
	EXPECT_EQ(x86_cpuid(out, 4, 1).c, 63);
	EXPECT_EQ(x86_cpuid(out, 4, 2).c, 1279);
	EXPECT_EQ(x86_cpuid(out, 4, 3).b, 15u << 22 | 63);
	EXPECT_EQ(x86_cpuid(out, 4, 3).c, 4194302);
	EXPECT_EQ(x86_cpuid(out, 0x80000006, 0).c >> 16, 1280);
	l.topology.caches.l3_kb = 4194304;
	EXPECT_EQ(cpuid__build(offered, CPUID_VENDOR_INTEL, &l, 0, out, &error), -EINVAL);
	EXPECT_NE(strstr(error.reason, "L3 cache of 4194304 KiB"), NULL);
	free(offered);
	free(out);
	layout__destroy(&l);
}

TEST(distances_stay_on_parts_where_linux_averages_them)
{
	const struct {
		uint32_t nodes, packages, signature;
	} cases[] = {{4, 4, 0x000a06d1},
		     {4, 2, 0x000a06d1},
		     {3, 1, 0x000a06d1},
		     {6, 2, 0x000806f8},
		     {8, 2, 0x000806f8}};
	enum cpuid_vendor vendor;
	struct kvm_cpuid2 *offered = offer(7), *out = new_cpuid();

	ASSERT_EQ(cpuid__take_vendor(offered, KTSTR_VENDOR_HOST, &vendor, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layout l =
			create(_metadata, (struct ktstr_topology){.numa_nodes = cases[i].nodes,
								  .llcs = cases[i].nodes,
								  .cores_per_llc = 2,
								  .threads_per_core = 1,
								  .packages = cases[i].packages});

		ASSERT_EQ(cpuid__build(offered, vendor, &l, 0, out, NULL), 0);
		EXPECT_EQ(x86_cpuid(out, 1, 0).a, cases[i].signature);
		layout__destroy(&l);
	}
	free(offered);
	free(out);
}

TEST(the_hosts_own_vendor_changes_nothing_of_the_offer)
{
	for (size_t h = 0; h < 5; h++) {
		struct kvm_cpuid2 *was = offer(h), *is = offer(h);
		enum cpuid_vendor vendor;

		ASSERT_EQ(cpuid__take_vendor(is,
					     hosts[h].vendor == CPUID_VENDOR_AMD
						     ? KTSTR_VENDOR_AMD
						     : KTSTR_VENDOR_INTEL,
					     &vendor, NULL),
			  0);
		EXPECT_EQ(vendor, hosts[h].vendor);
		ASSERT_EQ(is->nent, was->nent);
		EXPECT_EQ(memcmp(is->entries, was->entries, is->nent * sizeof(is->entries[0])), 0);
		free(was);
		free(is);
	}
}

/* A real offer has more than the topology: what of it is in the other vendor's. */
static void add(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index, uint32_t value)
{
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){.function = function,
								  .index = index,
								  .flags = 1,
								  .eax = value,
								  .ebx = value,
								  .ecx = value,
								  .edx = value};
}

static struct kvm_cpuid2 *offer_everything(size_t host)
{
	struct kvm_cpuid2 *cpuid = offer(host);

	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 1 || cpuid->entries[i].function == 0x80000001)
			cpuid->entries[i].ecx = cpuid->entries[i].edx = UINT32_MAX;
	for (uint32_t f = 2; f < 0x25; f++)
		if (f != 4 && f != 7 && f != 0xb && f != 0x1f)
			add(cpuid, f, 0, UINT32_MAX);
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == 7)
			cpuid->entries[i] = cpuid->entries[--cpuid->nent];
	for (uint32_t i = 0; i < 3; i++)
		add(cpuid, 7, i, UINT32_MAX);
	for (uint32_t f = 2; f < 0x28; f++)
		if (f != 5 && f != 6 && f != 8 && f != 0x1d && f != 0x1e && f != 0x26)
			add(cpuid, 0x80000000 + f, 0, UINT32_MAX);
	return cpuid;
}

TEST(an_intel_cpu_on_amd_has_intels_features_and_leaves)
{
	struct kvm_cpuid2 *offered = offer_everything(2);
	enum cpuid_vendor vendor;
	struct x86_regs r;

	ASSERT_EQ(cpuid__take_vendor(offered, KTSTR_VENDOR_INTEL, &vendor, NULL), 0);
	EXPECT_EQ(vendor, CPUID_VENDOR_INTEL);
	/* Sapphire Rapids */
	EXPECT_EQ(x86_cpuid(offered, 1, 0).a, 0x000806f8);
	r = x86_cpuid(offered, 0x80000000, 0);
	EXPECT_EQ(r.a, 0x80000008);
	EXPECT_EQ(r.b | r.c | r.d, 0);
	r = x86_cpuid(offered, 0x80000001, 0);
	EXPECT_EQ(r.a, 0);
	/* LAHF, LZCNT, PREFETCHW; SYSCALL, NX, 1 GiB pages, RDTSCP, LM: no SVM, no TOPOEXT */
	EXPECT_EQ(r.c, 0x121);
	EXPECT_EQ(r.d, 0x2c100800);
	EXPECT_EQ(x86_cpuid(offered, 0x80000008, 0).b & ~0x200u, 0);
	EXPECT_EQ(x86_cpuid(offered, 0x80000007, 0).d, 0x100);
	/* cache descriptors are no longer those of AMD's zeros */
	EXPECT_EQ(x86_cpuid(offered, 2, 0).a, 0xff01);
	for (uint32_t f = 0xa; f < 0x28; f++) {
		EXPECT_EQ(x86_cpuid(offered, 0x80000000 + f, 0).a, 0) TH_LOG("leaf %#x", f);
	}
	EXPECT_EQ(x86_cpuid(offered, 0x40000000, 0).b, 0x4b4d564b);
	EXPECT_EQ(x86_cpuid(offered, 0xd, 0).a, UINT32_MAX);
	free(offered);
}

TEST(an_amd_cpu_on_intel_has_amds_features_and_leaves)
{
	struct kvm_cpuid2 *offered = offer_everything(0);
	const uint32_t gone[] = {2, 5, 9, 0xa, 0x12, 0x14, 0x15, 0x16, 0x18, 0x1a, 0x1c, 0x23};
	enum cpuid_vendor vendor;
	struct x86_regs r;

	ASSERT_EQ(cpuid__take_vendor(offered, KTSTR_VENDOR_AMD, &vendor, NULL), 0);
	EXPECT_EQ(vendor, CPUID_VENDOR_AMD);
	/* Genoa */
	r = x86_cpuid(offered, 1, 0);
	EXPECT_EQ(r.a, 0x00a10f11);
	/* VMX, SMX, EST, TM2, PDCM; DS, ACPI, SS, TM, PBE */
	EXPECT_EQ(r.c & (1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 15), 0);
	EXPECT_EQ(r.d & (1u << 21 | 1u << 22 | 1u << 27 | 1u << 29 | 1u << 31), 0);
	/* SSE3, AES; FPU, SSE2 */
	EXPECT_EQ(r.c & (1u << 0 | 1u << 25), 1u << 0 | 1u << 25);
	EXPECT_EQ(r.d & (1u << 0 | 1u << 26), 1u << 0 | 1u << 26);
	r = x86_cpuid(offered, 7, 0);
	EXPECT_EQ(r.a, 0);
	/* SGX, HLE, RTM, PT; AVX2 stays */
	EXPECT_EQ(r.b & (1u << 2 | 1u << 4 | 1u << 11 | 1u << 25 | 1u << 5), 1u << 5);
	/* SPEC_CTRL, ARCH_CAPABILITIES, HYBRID */
	EXPECT_EQ(r.d & (1u << 26 | 1u << 29 | 1u << 15), 0);
	EXPECT_EQ(x86_cpuid(offered, 7, 1).a, 0);
	r = x86_cpuid(offered, 0x80000000, 0);
	EXPECT_EQ(r.b, 0x68747541);
	r = x86_cpuid(offered, 0x80000001, 0);
	EXPECT_EQ(r.a, 0x00a10f11);
	EXPECT_EQ(r.c & 1u << 2, 0); /* SVM */
	EXPECT_EQ(r.d & 1u, 1);	     /* FPU, as in leaf 1 */
	EXPECT_EQ(x86_cpuid(offered, 0x80000021, 0).a & 1u << 2, 1u << 2);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		EXPECT_EQ(x86_cpuid(offered, gone[i], 0).a, 0) TH_LOG("leaf %#x", gone[i]);
	}
	EXPECT_EQ(x86_cpuid(offered, 0x8000000a, 0).a, 0);
	EXPECT_EQ(x86_cpuid(offered, 0x8000001f, 0).a, 0);
	EXPECT_EQ(x86_cpuid(offered, 0x40000001, 0).a, 0x01007afb);
	free(offered);
	/* what AMD has twice, Intel has in leaf 1 alone */
	offered = offer(0);
	ASSERT_EQ(cpuid__take_vendor(offered, KTSTR_VENDOR_AMD, &vendor, NULL), 0);
	EXPECT_EQ(x86_cpuid(offered, 0x80000001, 0).d,
		  0x2c100800 | (x86_cpuid(offered, 1, 0).d & 0x0183f3ff));
	free(offered);
}

TEST(the_other_vendor_needs_room_for_its_leaves)
{
	struct kvm_cpuid2 *offered = offer(7);
	enum cpuid_vendor vendor;
	struct ktstr_error error = {0};

	for (; offered->nent < ENTRIES; offered->nent++)
		offered->entries[offered->nent] =
			(struct kvm_cpuid_entry2){.function = 0xd, .index = offered->nent};
	EXPECT_EQ(cpuid__take_vendor(offered, KTSTR_VENDOR_AMD, &vendor, &error), -ENOSPC);
	EXPECT_NE(strstr(error.reason, "256 entries"), NULL);
	free(offered);
}

TEST(what_is_not_topology_stays_as_kvm_offers_it)
{
	for (size_t h = 0; h < 5; h++) {
		struct kvm_cpuid2 *offered = offer(h), *out = new_cpuid();
		struct layout l = create(_metadata, TOPO(1, 2, 2, 1));
		struct x86_regs was, is;

		ASSERT_EQ(cpuid__build(offered, hosts[h].vendor, &l, 3, out, NULL), 0);
		is = x86_cpuid(out, 0x40000000, 0);
		EXPECT_EQ(is.b, 0x4b4d564b);
		EXPECT_EQ(x86_cpuid(out, 7, 0).b, x86_cpuid(offered, 7, 0).b);
		was = x86_cpuid(offered, 1, 0);
		is = x86_cpuid(out, 1, 0);
		EXPECT_EQ(is.a, was.a);
		EXPECT_EQ(is.b & 0xffff, was.b & 0xffff);
		EXPECT_EQ(is.c, was.c | 0x81200000);
		EXPECT_EQ(is.d | 1u << 28, was.d | 1u << 28);
		EXPECT_EQ(x86_cpuid(out, 0, 0).b, x86_cpuid(offered, 0, 0).b);
		EXPECT_EQ(x86_cpuid(out, 0x80000001, 0).d, x86_cpuid(offered, 0x80000001, 0).d);
		free(offered);
		free(out);
		layout__destroy(&l);
	}
}

TEST(extended_message_destinations_are_announced_above_id_254_only)
{
	const struct {
		struct ktstr_topology topology;
		uint32_t max_hw_id, bit;
	} cases[] = {
		{TOPO(1, 1, 255, 1), 254, 0},
		{TOPO(1, 1, 256, 1), 255, 1},
		{TOPO(1, 14, 18, 1), 433, 1},
	};
	struct kvm_cpuid2 *offered = offer(0), *out = new_cpuid();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layout l = create(_metadata, cases[i].topology);
		uint32_t features;

		EXPECT_EQ(l.max_hw_id, cases[i].max_hw_id);
		ASSERT_EQ(cpuid__build(offered, CPUID_VENDOR_INTEL, &l, 0, out, NULL), 0);
		features = x86_cpuid(out, 0x40000001, 0).a;
		EXPECT_EQ(features >> 15 & 1, cases[i].bit);
		EXPECT_EQ(features & ~(1u << 15), 0x01007afb & ~(1u << 15));
		layout__destroy(&l);
	}
	free(offered);
	free(out);
}

TEST(too_many_entries_and_impossible_requests_are_refused)
{
	struct kvm_cpuid2 *offered = offer(0), *out = new_cpuid();
	struct layout l = create(_metadata, TOPO(1, 1, 1, 1));
	struct layout wide = create(_metadata, TOPO(1, 1, 1365, 3));
	struct ktstr_error error = {0};

	EXPECT_EQ(cpuid__build(offered, CPUID_VENDOR_INTEL, &l, 1, out, &error), -EINVAL);
	error = (struct ktstr_error){0};
	EXPECT_EQ(cpuid__build(offered, CPUID_VENDOR_INTEL, &wide, 0, out, &error), -EINVAL);
	EXPECT_NE(strstr(error.reason, "4096 APIC ids"), NULL);
	for (; offered->nent < ENTRIES; offered->nent++)
		offered->entries[offered->nent] =
			(struct kvm_cpuid_entry2){.function = 0xd, .index = offered->nent};
	error = (struct ktstr_error){0};
	EXPECT_EQ(cpuid__build(offered, CPUID_VENDOR_INTEL, &l, 0, out, &error), -ENOSPC);
	EXPECT_LE(out->nent, CPUID_MAX_ENTRIES);
	EXPECT_NE(strstr(error.reason, "256 entries"), NULL);
	free(offered);
	free(out);
	layout__destroy(&l);
	layout__destroy(&wide);
}

TEST(this_hosts_kvm_offer_gives_the_declared_topology)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		SKIP(return, "/dev/kvm cannot be opened");
	for (enum ktstr_cpu_vendor v = KTSTR_VENDOR_HOST; v <= KTSTR_VENDOR_AMD; v++) {
		struct kvm_cpuid2 *offered = new_cpuid();
		enum cpuid_vendor vendor;

		offered->nent = ENTRIES;
		ASSERT_EQ(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, offered), 0);
		ASSERT_EQ(cpuid__take_vendor(offered, v, &vendor, NULL), 0);
		for (size_t s = 0; s < NR_SHAPES; s++)
			check_shape(_metadata, offered, vendor, shapes[s]);
		free(offered);
	}
	close(kvm);
}

TEST(kvm_takes_the_leaves_of_the_first_and_the_last_cpu_of_either_vendor)
{
	struct kvm_cpuid2 *out = new_cpuid();
	struct layout l = create(_metadata, TOPO(2, 14, 9, 2));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu;
	const uint32_t which[] = {0, l.nr_cpus - 1};

	if (kvm < 0)
		SKIP(goto out, "/dev/kvm cannot be opened");
	for (enum ktstr_cpu_vendor v = KTSTR_VENDOR_HOST; v <= KTSTR_VENDOR_AMD; v++) {
		struct kvm_cpuid2 *offered = new_cpuid();
		enum cpuid_vendor vendor;

		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		ASSERT_GE(vm, 0);
		offered->nent = ENTRIES;
		ASSERT_EQ(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, offered), 0);
		ASSERT_EQ(cpuid__take_vendor(offered, v, &vendor, NULL), 0);
		for (size_t i = 0; i < 2; i++) {
			ASSERT_EQ(cpuid__build(offered, vendor, &l, which[i], out, NULL), 0);
			vcpu = ioctl(vm, KVM_CREATE_VCPU, (unsigned long)l.cpus[which[i]].hw_id);
			ASSERT_GE(vcpu, 0);
			EXPECT_EQ(ioctl(vcpu, KVM_SET_CPUID2, out), 0);
			close(vcpu);
		}
		close(vm);
		free(offered);
	}
	close(kvm);
out:
	free(out);
	layout__destroy(&l);
}

TEST_HARNESS_MAIN
