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
	HOST(intel_host, CPUID_VENDOR_INTEL), HOST(zen1_host, CPUID_VENDOR_AMD),
	HOST(zen4_host, CPUID_VENDOR_AMD),    HOST(fam15_host, CPUID_VENDOR_AMD),
	HOST(hygon_host, CPUID_VENDOR_AMD),
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

static struct kvm_cpuid2 *offer(size_t host)
{
	struct kvm_cpuid2 *cpuid = new_cpuid();

	cpuid->nent = hosts[host].nr;
	memcpy(cpuid->entries, hosts[host].entries, hosts[host].nr * sizeof(cpuid->entries[0]));
	return cpuid;
}

static struct layout create(struct __test_metadata *_metadata, struct ktstr_topology t)
{
	struct gmem mem = shapes_ram(SHAPES_GIB);
	struct layout layout;

	ASSERT_EQ(layout__create(&t, &mem, &layout, NULL), 0);
	return layout;
}

/* Whether the sets of CPUs are those of the model, for each pair of CPUs. */
static void check_pairs(struct __test_metadata *_metadata, const struct layout *l,
			const struct x86_cpu *cpus)
{
	for (uint32_t i = 0; i < l->nr_cpus; i++) {
		for (uint32_t j = 0; j < l->nr_cpus; j++) {
			const struct layout_cpu *a = &l->cpus[i], *b = &l->cpus[j];

			ASSERT_EQ(cpus[i].pkg == cpus[j].pkg, a->package == b->package);
			ASSERT_EQ(cpus[i].die == cpus[j].die, a->package == b->package);
			ASSERT_EQ(cpus[i].llc == cpus[j].llc, a->llc == b->llc)
			TH_LOG("CPUs %u and %u: llc %#x and %#x", i, j, cpus[i].llc, cpus[j].llc);
			ASSERT_EQ(x86_smt_siblings(&cpus[i], &cpus[j]), a->core == b->core);
			for (uint32_t c = 0; c < 4; c++)
				ASSERT_EQ(x86_shares_cache(&cpus[i], c, cpus[j].apicid),
					  c == 3 ? a->llc == b->llc : a->core == b->core);
		}
	}
}

static void check_one(struct __test_metadata *_metadata, const struct layout *l, uint32_t i,
		      const struct kvm_cpuid2 *leaves, const struct x86_cpu *cpu)
{
	const uint32_t types[] = {1, 2, 3, 3}, levels[] = {1, 1, 2, 3};
	uint32_t hw_id = l->cpus[i].hw_id;
	uint32_t per_package = l->nr_cpus / l->topology.numa_nodes;

	ASSERT_EQ(cpu->apicid, hw_id);
	ASSERT_EQ(cpu->leaf1_id, hw_id & 0xff);
	ASSERT_EQ(cpu->htt, per_package > 1);
	ASSERT_GE(cpu->leaf1_count, per_package < 255 ? per_package : 255);
	ASSERT_FALSE(cpu->complaint);
	ASSERT_TRUE(cpu->xtopology);
	ASSERT_EQ(cpu->shift[X86_SMT], l->core_shift);
	ASSERT_EQ(cpu->shift[X86_PKG], l->package_shift);
	ASSERT_EQ(cpu->count[X86_SMT], l->topology.threads_per_core);
	ASSERT_EQ(cpu->count[X86_PKG], per_package);
	ASSERT_EQ(cpu->nr_caches, 4);
	for (uint32_t c = 0; c < 4; c++) {
		ASSERT_EQ(cpu->caches[c].type, types[c]);
		ASSERT_EQ(cpu->caches[c].level, levels[c]);
		ASSERT_GT(cpu->caches[c].size, 0);
	}
	ASSERT_EQ(cpu->caches[0].size, 32 << 10);
	ASSERT_EQ(cpu->caches[3].size, 32 << 20);
	/* x2APIC, TSC-deadline, hypervisor */
	ASSERT_EQ(x86_cpuid(leaves, 1, 0).c & 0x81200000, 0x81200000);
	if (cpu->amd) {
		ASSERT_TRUE(cpu->topoext);
		ASSERT_EQ(cpu->amd_nodes, 1);
		ASSERT_EQ(cpu->amd_node, l->cpus[i].node);
		ASSERT_EQ(cpu->shift[X86_CORE], l->llc_shift);
		ASSERT_EQ(x86_cpuid(leaves, 0x8000001e, 0).a, hw_id);
		ASSERT_EQ(x86_cpuid(leaves, 4, 0).a, 0);
		ASSERT_EQ(x86_cpuid(leaves, 0x1f, 0).b, 0);
	} else {
		ASSERT_EQ(x86_cpuid(leaves, 0x8000001d, 0).a, 0);
		ASSERT_EQ(x86_cpuid(leaves, 0x80000026, 0).b, 0);
	}
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
	struct layout l = create(_metadata, t);
	struct kvm_cpuid2 *out = new_cpuid();

	ASSERT_LE(l.nr_cpus, SHAPES_MAX_CPUS);
	for (uint32_t i = 0; i < l.nr_cpus; i++) {
		ASSERT_EQ(cpuid__build(offered, vendor, &l, i, out, NULL), 0);
		check_unique(_metadata, out);
		cpus[i] = x86_decode_cpu(out);
		ASSERT_EQ(cpus[i].amd, vendor == CPUID_VENDOR_AMD);
		check_one(_metadata, &l, i, out, &cpus[i]);
	}
	check_pairs(_metadata, &l, cpus);
	free(out);
	layout__destroy(&l);
}

TEST(linux_sees_the_declared_topology_on_every_host_and_shape)
{
	for (size_t h = 0; h < NR_HOSTS; h++) {
		struct kvm_cpuid2 *offered = offer(h);

		ASSERT_EQ(cpuid__vendor(offered), hosts[h].vendor);
		for (size_t s = 0; s < NR_SHAPES; s++) {
			char text[64];

			check_shape(_metadata, offered, hosts[h].vendor, shapes[s]);
			ktstr_topology__format(&shapes[s], text, sizeof(text));
			ASSERT_EQ(_metadata->exit_code, 0) TH_LOG("%s on %s", text, hosts[h].name);
		}
		free(offered);
	}
}

/* Kernels that know neither 0x80000026 nor 0x1F read 0xB: packages and siblings are the same there.
 */
TEST(leaf_b_alone_gives_the_same_packages_and_siblings)
{
	for (size_t h = 0; h < NR_HOSTS; h++) {
		struct kvm_cpuid2 *offered = offer(h), *out = new_cpuid();

		for (size_t s = 0; s < NR_SHAPES; s++) {
			struct layout l = create(_metadata, shapes[s]);

			for (uint32_t i = 0; i < l.nr_cpus; i++) {
				struct x86_cpu cpu = {0};

				ASSERT_EQ(cpuid__build(offered, hosts[h].vendor, &l, i, out, NULL),
					  0);
				ASSERT_TRUE(x86_levels(&cpu, out, 0xb));
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
	/* L1 data and L2 as 0x8000001D has them: 32 KiB 8 ways, 512 KiB 8 ways */
	EXPECT_EQ(x86_cpuid(out, 0x80000005, 0).c, 0x20080140);
	EXPECT_EQ(x86_cpuid(out, 0x80000006, 0).c, 0x02006140);
	free(offered);
	free(out);
	layout__destroy(&l);
}

TEST(what_is_not_topology_stays_as_kvm_offers_it)
{
	for (size_t h = 0; h < NR_HOSTS; h++) {
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
	struct kvm_cpuid2 *offered = new_cpuid();
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		SKIP(goto out, "/dev/kvm cannot be opened");
	offered->nent = ENTRIES;
	ASSERT_EQ(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, offered), 0);
	for (size_t s = 0; s < NR_SHAPES; s++)
		check_shape(_metadata, offered, cpuid__vendor(offered), shapes[s]);
	close(kvm);
out:
	free(offered);
}

TEST(kvm_takes_the_leaves_of_the_first_and_the_last_cpu)
{
	struct kvm_cpuid2 *offered = new_cpuid(), *out = new_cpuid();
	struct layout l = create(_metadata, TOPO(2, 14, 9, 2));
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu;
	const uint32_t which[] = {0, l.nr_cpus - 1};

	if (kvm < 0)
		SKIP(goto out, "/dev/kvm cannot be opened");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ASSERT_GE(vm, 0);
	offered->nent = ENTRIES;
	ASSERT_EQ(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, offered), 0);
	for (size_t i = 0; i < 2; i++) {
		ASSERT_EQ(cpuid__build(offered, cpuid__vendor(offered), &l, which[i], out, NULL),
			  0);
		vcpu = ioctl(vm, KVM_CREATE_VCPU, (unsigned long)l.cpus[which[i]].hw_id);
		ASSERT_GE(vcpu, 0);
		EXPECT_EQ(ioctl(vcpu, KVM_SET_CPUID2, out), 0);
		close(vcpu);
	}
	close(vm);
	close(kvm);
out:
	free(offered);
	free(out);
	layout__destroy(&l);
}

TEST_HARNESS_MAIN
