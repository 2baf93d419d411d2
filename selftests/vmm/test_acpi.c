// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ACPI tables, read back by the kernel's rules, and by iasl when it is there: every table
 * disassembles, and the DSDT is byte for byte what iasl compiles from ASL.
 */
#include "vmm/arch/x86/acpi.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "acpi_decode.h"
#include "numa_shapes.h"
#include "shapes.h"

#define GPA 0xe0000u
#define ROOM (256u << 10)

static const struct acpi_serial serials[] = {{0x3f8, 4}, {0x2f8, 3}};
static const struct acpi_virtio_mmio virtio[] = {
	{0xd0000000, 0x1000, 5},
	{0xd0001000, 0x1000, 16},
	{0xd0002000, 0x1000, 23},
};

struct machine {
	struct layout layout;
	struct acpi_spec spec;
	uint8_t *buf;
	struct acpi_image image;
};

static struct machine create(struct __test_metadata *_metadata, struct ktstr_topology t,
			     uint64_t ram)
{
	struct gmem mem = shapes_ram(ram);
	struct machine m = {.buf = malloc(ROOM)};
	struct ktstr_error error = {0};
	size_t used;

	ASSERT_NE(m.buf, NULL);
	memset(m.buf, 0xa5, ROOM);
	ASSERT_EQ(layout__create(&t, &mem, &m.layout, &error), 0);
	m.spec = (struct acpi_spec){
		.serials = serials,
		.nr_serials = 2,
		.virtio = virtio,
		.nr_virtio = 3,
		.pm1a_event = 0x600,
		.pm1a_control = 0x604,
		.pm_timer = 0x608,
		.reset_port = 0xcf9,
		.reset_value = 6,
		.sci_gsi = 9,
		.lapic_base = 0xfee00000,
		.ioapic_base = 0xfec00000,
		.ioapic_id = 1,
		.ioapic_pins = 24,
		.pic = true,
	};
	m.spec.layout = &m.layout;
	ASSERT_EQ(acpi__build(&m.spec, GPA, m.buf, ROOM, &used, &error), 0)
	TH_LOG("%s %s", error.object, error.reason);
	m.image = (struct acpi_image){m.buf, used, GPA};
	return m;
}

static struct machine create_numa(struct __test_metadata *_metadata, size_t shape)
{
	return create(_metadata, numa_shapes[shape].topology,
		      (uint64_t)numa_shapes[shape].memory_mb << 20);
}

static void destroy(struct machine *m)
{
	layout__destroy(&m->layout);
	free(m->buf);
}

static void expect_cpus(struct __test_metadata *_metadata, const struct machine *m)
{
	static struct acpi_cpu cpus[SHAPES_MAX_CPUS];
	const uint8_t *madt = acpi_find(&m->image, "APIC");

	ASSERT_NE(madt, NULL);
	ASSERT_EQ(acpi_madt_cpus(madt, cpus, SHAPES_MAX_CPUS), m->layout.nr_cpus);
	for (uint32_t i = 0; i < m->layout.nr_cpus; i++) {
		ASSERT_EQ(cpus[i].apicid, m->layout.cpus[i].hw_id);
		ASSERT_EQ(cpus[i].uid, i);
	}
}

TEST(linux_numbers_cpus_by_the_madt_as_the_layout_does)
{
	for (size_t s = 0; s < NR_SHAPES + NR_NUMA_SHAPES; s++) {
		struct machine m = s < NR_SHAPES ? create(_metadata, shapes[s], SHAPES_GIB)
						 : create_numa(_metadata, s - NR_SHAPES);

		expect_cpus(_metadata, &m);
		destroy(&m);
	}
}

/* ACPI 6.5 §5.2.12.12: local APIC entries below 255, x2APIC entries from there on. */
TEST(apic_id_255_is_the_first_with_x2apic_entries)
{
	for (uint32_t cpus = 254; cpus <= 257; cpus++) {
		struct machine m = create(_metadata, TOPO(1, 1, cpus, 1), SHAPES_GIB);
		struct acpi_walk walk = acpi_walk(acpi_find(&m.image, "APIC"), 44);
		uint32_t x2apics = 0, nmis = 0;
		const uint8_t *e;

		while ((e = acpi_next(&walk))) {
			x2apics += e[0] == 9;
			nmis += e[0] == 10;
		}
		EXPECT_EQ(x2apics, cpus < 255 ? 0 : cpus - 255);
		EXPECT_EQ(nmis, cpus > 255);
		expect_cpus(_metadata, &m);
		destroy(&m);
	}
}

TEST(madt_has_the_io_apic_the_sci_override_and_the_nmi_line)
{
	struct machine m = create(_metadata, TOPO(1, 14, 18, 1), SHAPES_GIB);
	const uint8_t *madt = acpi_find(&m.image, "APIC"), *e;
	struct acpi_walk walk;
	int ioapics = 0, overrides = 0, nmis = 0, x2apic_nmis = 0;

	ASSERT_NE(madt, NULL);
	EXPECT_EQ(acpi_read(madt + 36, 4), 0xfee00000);
	EXPECT_EQ(acpi_read(madt + 40, 4), 1);
	walk = acpi_walk(madt, 44);
	while ((e = acpi_next(&walk))) {
		switch (e[0]) {
		case 1:
			ioapics++;
			EXPECT_EQ(e[1], 12);
			EXPECT_EQ(e[2], 1);
			EXPECT_EQ(acpi_read(e + 4, 4), 0xfec00000);
			EXPECT_EQ(acpi_read(e + 8, 4), 0);
			break;
		case 2:
			overrides++;
			EXPECT_EQ(e[1], 10);
			EXPECT_EQ(e[2], 0);
			EXPECT_EQ(e[3], 9);
			EXPECT_EQ(acpi_read(e + 4, 4), 9);
			EXPECT_EQ(acpi_read(e + 8, 2) & 3, 1);
			EXPECT_EQ(acpi_read(e + 8, 2) >> 2, 3);
			break;
		case 4:
			nmis++;
			EXPECT_EQ(e[1], 6);
			EXPECT_EQ(e[2], 0xff);
			EXPECT_EQ(e[5], 1);
			break;
		case 10:
			x2apic_nmis++;
			EXPECT_EQ(e[1], 12);
			EXPECT_EQ(acpi_read(e + 4, 4), 0xffffffff);
			EXPECT_EQ(e[8], 1);
			break;
		}
	}
	EXPECT_EQ(walk.p, walk.end);
	EXPECT_EQ(ioapics, 1);
	EXPECT_EQ(overrides, 1);
	EXPECT_EQ(nmis, 1);
	EXPECT_EQ(x2apic_nmis, 1);
	destroy(&m);
}

TEST(without_8259s_the_madt_does_not_claim_them)
{
	struct machine m = create(_metadata, TOPO(1, 1, 1, 1), SHAPES_GIB);
	size_t used;

	m.spec.layout = &m.layout;
	m.spec.pic = false;
	ASSERT_EQ(acpi__build(&m.spec, GPA, m.buf, ROOM, &used, NULL), 0);
	EXPECT_EQ(acpi_read(acpi_find(&m.image, "APIC") + 40, 4), 0);
	destroy(&m);
}

TEST(fadt_says_what_the_machine_has_and_where)
{
	struct machine m = create(_metadata, TOPO(1, 1, 2, 1), SHAPES_GIB);
	const uint8_t *fadt = acpi_find(&m.image, "FACP"), *facs;
	uint64_t flags, dsdt;

	ASSERT_NE(fadt, NULL);
	ASSERT_EQ(acpi_read(fadt + 4, 4), 276);
	EXPECT_EQ(fadt[8], 6);
	EXPECT_EQ(fadt[131], 5);
	EXPECT_EQ(acpi_read(fadt + 46, 2), 9);	   /* SCI_INT */
	EXPECT_EQ(acpi_read(fadt + 48, 4), 0);	   /* SMI_CMD */
	EXPECT_EQ(acpi_read(fadt + 56, 4), 0x600); /* PM1a_EVT_BLK */
	EXPECT_EQ(acpi_read(fadt + 64, 4), 0x604);
	EXPECT_EQ(acpi_read(fadt + 76, 4), 0x608);
	EXPECT_EQ(fadt[88], 4);
	EXPECT_EQ(fadt[89], 2);
	EXPECT_EQ(fadt[91], 4);
	EXPECT_EQ(acpi_read(fadt + 109, 2),
		  0x25); /* legacy devices, no VGA, no CMOS RTC; no 8042 */
	flags = acpi_read(fadt + 112, 4);
	EXPECT_EQ(flags & 1u << 10, 1u << 10); /* RESET_REG_SUP */
	EXPECT_EQ(flags & 1u << 8, 1u << 8);   /* 32-bit timer */
	EXPECT_EQ(flags & 1u << 20, 0);	       /* HW_REDUCED_ACPI */
	EXPECT_EQ(fadt[116], 1);
	EXPECT_EQ(fadt[117], 8);
	EXPECT_EQ(fadt[119], 1);
	EXPECT_EQ(acpi_read(fadt + 120, 8), 0xcf9);
	EXPECT_EQ(fadt[128], 6);
	/* the extended blocks agree with the others in address and width, or Linux warns */
	EXPECT_EQ(acpi_read(fadt + 152, 8), 0x600);
	EXPECT_EQ(fadt[149], 32);
	EXPECT_EQ(acpi_read(fadt + 176, 8), 0x604);
	EXPECT_EQ(fadt[173], 16);
	EXPECT_EQ(acpi_read(fadt + 212, 8), 0x608);
	EXPECT_EQ(fadt[209], 32);
	for (size_t i = 220; i < 276; i++)
		EXPECT_EQ(fadt[i], 0);

	dsdt = acpi_read(fadt + 40, 4);
	EXPECT_EQ(acpi_read(fadt + 140, 8), dsdt);
	EXPECT_NE(acpi_table(&m.image, dsdt, "DSDT"), NULL);
	EXPECT_EQ(acpi_read(fadt + 132, 8), 0);
	EXPECT_EQ(acpi_read(fadt + 36, 4) % 64, 0);
	facs = acpi_at(&m.image, acpi_read(fadt + 36, 4), 64);
	ASSERT_NE(facs, NULL);
	EXPECT_EQ(memcmp(facs, "FACS", 4), 0);
	EXPECT_EQ(acpi_read(facs + 4, 4), 64);
	destroy(&m);
}

TEST(fadt_without_a_pm_timer_has_neither_address_nor_length)
{
	struct machine m = create(_metadata, TOPO(1, 1, 1, 1), SHAPES_GIB);
	const uint8_t *fadt;
	size_t used;

	m.spec.layout = &m.layout;
	m.spec.pm_timer = 0;
	ASSERT_EQ(acpi__build(&m.spec, GPA, m.buf, ROOM, &used, NULL), 0);
	fadt = acpi_find(&m.image, "FACP");
	ASSERT_NE(fadt, NULL);
	EXPECT_EQ(acpi_read(fadt + 76, 4), 0);
	EXPECT_EQ(fadt[91], 0);
	EXPECT_EQ(acpi_read(fadt + 208, 4), 0);
	EXPECT_EQ(acpi_read(fadt + 212, 8), 0);
	EXPECT_EQ(acpi_read(fadt + 112, 4) & 1u << 8, 0);
	destroy(&m);
}

TEST(srat_and_slit_give_the_layouts_nodes_in_every_shape)
{
	for (size_t s = 0; s < NR_SHAPES; s++) {
		struct machine m = create(_metadata, shapes[s], SHAPES_GIB);
		const uint8_t *srat = acpi_find(&m.image, "SRAT");
		const uint8_t *slit = acpi_find(&m.image, "SLIT");
		uint32_t nodes = m.layout.nr_nodes;

		ASSERT_NE(srat, NULL);
		ASSERT_EQ(slit != NULL, nodes > 1);
		for (uint32_t i = 0; i < m.layout.nr_cpus; i++)
			ASSERT_EQ(acpi_srat_node(srat, m.layout.cpus[i].hw_id),
				  m.layout.cpus[i].node);
		if (nodes > 1) {
			ASSERT_EQ(acpi_read(slit + 4, 4), 44 + nodes * nodes);
			ASSERT_EQ(acpi_read(slit + 36, 8), nodes);
			for (uint32_t i = 0; i < nodes * nodes; i++)
				ASSERT_EQ(slit[44 + i], m.layout.distances[i]);
		}
		destroy(&m);
	}
}

TEST(linux_numbers_unequal_nodes_as_they_were_declared)
{
	for (size_t s = 0; s < NR_NUMA_SHAPES; s++) {
		struct machine m = create_numa(_metadata, s);
		const struct ktstr_topology *t = &numa_shapes[s].topology;
		const uint8_t *srat = acpi_find(&m.image, "SRAT");
		const uint8_t *slit = acpi_find(&m.image, "SLIT");
		uint32_t n = t->numa_nodes, node_of_pxm[ACPI_MAX_NODES], ranges;
		uint64_t memory[ACPI_MAX_NODES] = {0};
		struct acpi_memory mem[2 * ACPI_MAX_NODES];

		ASSERT_NE(srat, NULL);
		ASSERT_NE(slit, NULL);
		ASSERT_EQ(acpi_srat_nodes(srat, node_of_pxm), n);
		for (uint32_t i = 0; i < n; i++)
			EXPECT_EQ(node_of_pxm[i], i) TH_LOG("%s", numa_shapes[s].name);
		for (uint32_t i = 0; i < m.layout.nr_cpus; i++)
			ASSERT_EQ(acpi_srat_node(srat, m.layout.cpus[i].hw_id),
				  m.layout.cpus[i].node);
		ranges = acpi_srat_memory(srat, mem, 2 * ACPI_MAX_NODES);
		for (uint32_t i = 0; i < ranges; i++)
			memory[mem[i].node] += mem[i].size;
		for (uint32_t i = 0; i < n; i++) {
			EXPECT_NE(memory[i], 0);
			if (t->nodes && t->nodes[i].memory_mb)
				EXPECT_EQ(memory[i], (uint64_t)t->nodes[i].memory_mb << 20);
		}
		ASSERT_EQ(acpi_read(slit + 36, 8), n);
		for (uint32_t i = 0; i < n * n; i++)
			EXPECT_EQ(slit[44 + i], t->distances	 ? t->distances[i]
						: i / n == i % n ? 10
								 : 20);
		destroy(&m);
	}
}

/* What a node says of its memory, or what stands for it (include/ktstr/topology.h). */
struct declared {
	bool cpus;
	uint32_t latency_ns, bandwidth_mbs;
	uint64_t cache;
};

static struct declared declared(const struct ktstr_topology *t, uint32_t node)
{
	struct ktstr_numa_node n = t->nodes ? t->nodes[node] : (struct ktstr_numa_node){.llcs = 1};

	return (struct declared){
		.cpus = n.llcs != 0,
		.latency_ns = n.latency_ns ? n.latency_ns
			      : n.llcs	   ? 100
					   : 250,
		.bandwidth_mbs = n.bandwidth_mbs ? n.bandwidth_mbs
				 : n.llcs	 ? 25600
						 : 12800,
		.cache = (uint64_t)n.cache_mb << 20,
	};
}

static uint32_t distance(const struct ktstr_topology *t, uint32_t from, uint32_t to)
{
	return t->distances ? t->distances[from * t->numa_nodes + to] : from == to ? 10 : 20;
}

static uint32_t nearest_distance(const struct ktstr_topology *t, uint32_t target)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < t->numa_nodes; i++)
		if (declared(t, i).cpus && distance(t, i, target) < least)
			least = distance(t, i, target);
	return least;
}

/* The nodes with the nearest CPUs: a node's own, or all that are equally near. */
static uint64_t nearest_nodes(const struct ktstr_topology *t, uint32_t target)
{
	uint64_t nodes = 0;

	for (uint32_t i = 0; i < t->numa_nodes; i++)
		if (declared(t, i).cpus && distance(t, i, target) == nearest_distance(t, target))
			nodes |= UINT64_C(1) << i;
	return nodes;
}

TEST(hmat_shows_linux_the_declared_figures_and_initiators_of_each_node)
{
	static struct acpi_memory_node nodes[ACPI_MAX_NODES];

	for (size_t s = 0; s < NR_NUMA_SHAPES; s++) {
		struct machine m = create_numa(_metadata, s);
		const struct ktstr_topology *t = &numa_shapes[s].topology;
		const uint8_t *hmat = acpi_find(&m.image, "HMAT");

		ASSERT_NE(hmat, NULL);
		ASSERT_TRUE(acpi_hmat_decode(acpi_find(&m.image, "SRAT"),
					     acpi_find(&m.image, "APIC"), hmat, nodes))
		TH_LOG("%s", numa_shapes[s].name);
		for (uint32_t i = 0; i < 2 * t->numa_nodes; i++) {
			const struct acpi_access *access = &nodes[i / 2].access[i % 2];
			struct declared want = declared(t, i / 2);

			EXPECT_EQ(access->read_latency, want.latency_ns)
			TH_LOG("%s: node %u, access%u", numa_shapes[s].name, i / 2, i % 2);
			EXPECT_EQ(access->write_latency, want.latency_ns);
			EXPECT_EQ(access->read_bandwidth, want.bandwidth_mbs);
			EXPECT_EQ(access->write_bandwidth, want.bandwidth_mbs);
			EXPECT_EQ(access->initiators, nearest_nodes(t, i / 2));
		}
		destroy(&m);
	}
}

TEST(hmat_has_the_memory_side_caches)
{
	static struct acpi_memory_node nodes[ACPI_MAX_NODES];

	for (size_t s = 0; s < NR_NUMA_SHAPES; s++) {
		struct machine m = create_numa(_metadata, s);
		const struct ktstr_topology *t = &numa_shapes[s].topology;

		ASSERT_TRUE(acpi_hmat_decode(acpi_find(&m.image, "SRAT"),
					     acpi_find(&m.image, "APIC"),
					     acpi_find(&m.image, "HMAT"), nodes));
		for (uint32_t i = 0; i < t->numa_nodes; i++) {
			const struct acpi_side_cache *cache = &nodes[i].caches[0];

			ASSERT_EQ(nodes[i].nr_caches, declared(t, i).cache != 0);
			if (!nodes[i].nr_caches)
				continue;
			EXPECT_EQ(cache->size, declared(t, i).cache);
			EXPECT_EQ(cache->level, 1);
			EXPECT_EQ(cache->line_size, 64);
			EXPECT_EQ(cache->indexing, 0);
			EXPECT_EQ(cache->write_policy, 0);
		}
		destroy(&m);
	}
}

/* The structure of a data type (ACPI 6.5, table 5.146). */
static const uint8_t *hmat_locality(const uint8_t *hmat, uint8_t data_type)
{
	const uint8_t *e = hmat + 40, *end = hmat + acpi_read(hmat + 4, 4);

	for (; e < end; e += acpi_read(e + 4, 4))
		if (e[0] == 1 && e[9] == data_type)
			return e;
	return NULL;
}

TEST(hmat_has_every_pair_of_cpus_and_memory_by_its_distance)
{
	for (size_t s = 0; s < NR_NUMA_SHAPES; s++) {
		struct machine m = create_numa(_metadata, s);
		const struct ktstr_topology *t = &numa_shapes[s].topology;
		const uint8_t *hmat = acpi_find(&m.image, "HMAT");
		const uint8_t *latency = hmat_locality(hmat, 0);
		const uint8_t *bandwidth = hmat_locality(hmat, 3);
		uint32_t row = 0;

		ASSERT_NE(latency, NULL);
		ASSERT_NE(bandwidth, NULL);
		for (uint32_t i = 0; i < t->numa_nodes; i++) {
			if (!declared(t, i).cpus)
				continue;
			for (uint32_t j = 0; j < t->numa_nodes; j++) {
				struct declared target = declared(t, j);
				uint64_t near = nearest_distance(t, j), far = distance(t, i, j);
				uint64_t ns = target.latency_ns * far / near;
				uint64_t mbs = target.bandwidth_mbs * near / far;
				uint64_t unit_ns = acpi_read(latency + 24, 8) / 1000;
				uint64_t unit_mbs = acpi_read(bandwidth + 24, 8);
				uint32_t got_ns = acpi_hmat_perf(latency, i, j);
				uint32_t got_mbs = acpi_hmat_perf(bandwidth, i, j);

				EXPECT_LE(ns, got_ns) TH_LOG("%s", numa_shapes[s].name);
				EXPECT_LT(got_ns, ns + unit_ns);
				if (mbs < 1)
					mbs = 1;
				EXPECT_LE(got_mbs, mbs);
				EXPECT_LT(mbs, got_mbs + unit_mbs);
			}
			row++;
		}
		EXPECT_EQ(acpi_read(latency + 12, 4), row);
		EXPECT_EQ(acpi_read(latency + 16, 4), t->numa_nodes);
		destroy(&m);
	}
}

/* Primes past 16 bits have no common unit: nothing is exact then, but little is lost. */
TEST(hmat_bandwidths_without_a_common_unit_keep_four_digits)
{
	static struct acpi_memory_node nodes[ACPI_MAX_NODES];
	const struct ktstr_numa_node said[] = {{.llcs = 1, .bandwidth_mbs = 1299709},
					       {.llcs = 1, .bandwidth_mbs = 215521},
					       {.bandwidth_mbs = 2}};
	struct machine m =
		create(_metadata, (struct ktstr_topology)WITH_NODES(2, 1, 1, said), SHAPES_GIB);

	ASSERT_TRUE(acpi_hmat_decode(acpi_find(&m.image, "SRAT"), acpi_find(&m.image, "APIC"),
				     acpi_find(&m.image, "HMAT"), nodes));
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t mbs = nodes[i].access[1].read_bandwidth;

		EXPECT_LE(mbs, said[i].bandwidth_mbs);
		EXPECT_LT(said[i].bandwidth_mbs, mbs + 20);
		EXPECT_EQ(nodes[i].access[1].initiators, UINT64_C(1) << i);
	}
	EXPECT_NE(nodes[2].access[1].read_bandwidth, 0);
	destroy(&m);
}

/* 0xffff stands for unreachable: the last figure that needs no unit is one less. */
TEST(hmat_figures_at_the_end_of_16_bits_are_not_unreachable)
{
	static struct acpi_memory_node nodes[ACPI_MAX_NODES];

	for (uint32_t figure = 65534; figure <= 65536; figure++) {
		const struct ktstr_numa_node said[] = {
			{.llcs = 1, .latency_ns = 65534, .bandwidth_mbs = figure},
			{.latency_ns = 1, .bandwidth_mbs = 1}};
		struct machine m = create(
			_metadata, (struct ktstr_topology)WITH_NODES(1, 1, 1, said), SHAPES_GIB);

		ASSERT_TRUE(acpi_hmat_decode(acpi_find(&m.image, "SRAT"),
					     acpi_find(&m.image, "APIC"),
					     acpi_find(&m.image, "HMAT"), nodes));
		EXPECT_EQ(nodes[0].access[1].read_latency, 65534);
		EXPECT_EQ(nodes[0].access[1].read_bandwidth, figure - figure % 2);
		destroy(&m);
	}
}

TEST(one_node_has_an_srat_alone)
{
	struct machine m = create(_metadata, TOPO(1, 2, 2, 2), SHAPES_GIB);

	EXPECT_NE(acpi_find(&m.image, "SRAT"), NULL);
	EXPECT_EQ(acpi_find(&m.image, "SLIT"), NULL);
	EXPECT_EQ(acpi_find(&m.image, "HMAT"), NULL);
	EXPECT_NE(acpi_find(&m.image, "APIC"), NULL);
	destroy(&m);
}

/* CPU time, the best of some: what else the machine does is no matter. Sanitizers take their part.
 */
#ifdef __SANITIZE_ADDRESS__
#define MOST_CPU_NS 40000000u
#else
#define MOST_CPU_NS 4000000u
#endif

TEST(tables_of_the_largest_machines_take_at_most_4_ms)
{
	for (size_t s = 0; s < NR_NUMA_SHAPES; s++) {
		struct machine m = create_numa(_metadata, s);
		uint64_t best = UINT64_MAX;
		size_t used;

		m.spec.layout = &m.layout;
		for (int i = 0; i < 20; i++) {
			struct timespec a, b;
			uint64_t ns;

			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
			ASSERT_EQ(acpi__build(&m.spec, GPA, m.buf, ROOM, &used, NULL), 0);
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
			ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000u + (uint64_t)b.tv_nsec -
			     (uint64_t)a.tv_nsec;
			if (ns < best)
				best = ns;
		}
		EXPECT_LE(best, MOST_CPU_NS) TH_LOG("%s", numa_shapes[s].name);
		destroy(&m);
	}
}

TEST(srat_memory_is_all_ram_once_and_evenly_on_the_nodes)
{
	const uint64_t half = SHAPES_GIB / 2;
	const uint64_t sizes[] = {1, 4, 6, 7, 8, 10, 16}; /* 512 MiB to 8 GiB, in halves */

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (uint32_t nodes = 2; nodes <= 4; nodes++) {
			struct machine m =
				create(_metadata, TOPO(nodes, nodes, 1, 1), sizes[i] * half);
			struct acpi_memory mem[16];
			uint64_t of_node[4] = {0}, low = 0, high = 0, next = 0;
			uint32_t n = acpi_srat_memory(acpi_find(&m.image, "SRAT"), mem, 16);

			for (uint32_t k = 0; k < n; k++) {
				ASSERT_GE(mem[k].base, next);
				next = mem[k].base + mem[k].size;
				if (mem[k].base < 0xc0000000) {
					ASSERT_LE(next, 0xc0000000);
					low += mem[k].size;
				} else {
					ASSERT_GE(mem[k].base, UINT64_C(1) << 32);
					high += mem[k].size;
				}
				ASSERT_LT(mem[k].node, nodes);
				of_node[mem[k].node] += mem[k].size;
			}
			EXPECT_EQ(low + high, sizes[i] * half);
			EXPECT_EQ(low, sizes[i] < 6 ? sizes[i] * half : 6 * half);
			for (uint32_t k = 0; k < nodes; k++)
				EXPECT_LE(of_node[k], sizes[i] * half / nodes + (2 << 20));
			destroy(&m);
		}
	}
}

TEST(a_buffer_of_exactly_the_size_is_enough_and_none_smaller_is_written_past)
{
	struct machine m = create(_metadata, TOPO(2, 14, 18, 1), SHAPES_GIB);
	size_t needed = m.image.size, used;
	struct ktstr_error error;
	uint8_t *copy = malloc(needed);

	ASSERT_NE(copy, NULL);
	m.spec.layout = &m.layout;
	ASSERT_EQ(acpi__build(&m.spec, GPA, copy, needed, &used, NULL), 0);
	EXPECT_EQ(used, needed);
	EXPECT_EQ(memcmp(copy, m.buf, needed), 0);
	for (size_t size = 0; size < needed; size += size < 2048 ? 1 : 97) {
		error = (struct ktstr_error){0};
		memset(m.buf, 0xa5, ROOM);
		ASSERT_EQ(acpi__build(&m.spec, GPA, m.buf, size, &used, &error), -ENOSPC);
		for (size_t i = size; i < needed; i++)
			ASSERT_EQ(m.buf[i], 0xa5);
	}
	free(copy);
	destroy(&m);
}

TEST(what_the_tables_cannot_say_is_refused)
{
	struct machine m = create(_metadata, TOPO(1, 1, 1, 1), SHAPES_GIB);
	const struct acpi_serial bad_serial = {0x3f8, 24};
	const struct acpi_virtio_mmio bad_gsi = {0xd0000000, 0x1000, 24};
	const struct acpi_virtio_mmio bad_base = {0xfffff001, 0x1000, 5};
	struct acpi_spec specs[7];
	size_t used;

	m.spec.layout = &m.layout;
	for (size_t i = 0; i < 7; i++)
		specs[i] = m.spec;
	specs[0].sci_gsi = 24;
	specs[1].serials = &bad_serial;
	specs[1].nr_serials = 1;
	specs[2].virtio = &bad_gsi;
	specs[2].nr_virtio = 1;
	specs[3].virtio = &bad_base;
	specs[3].nr_virtio = 1;
	specs[4].lapic_base = UINT64_C(1) << 32;
	specs[5].ioapic_base = UINT64_MAX;
	specs[6].nr_virtio = 0x1001;
	for (size_t i = 0; i < 7; i++) {
		struct ktstr_error error = {0};

		EXPECT_EQ(acpi__build(&specs[i], GPA, m.buf, ROOM, &used, &error), -EINVAL)
		TH_LOG("case %zu", i);
		EXPECT_EQ(error.err, EINVAL);
	}
	EXPECT_EQ(acpi__build(&m.spec, GPA + 8, m.buf, ROOM, &used, NULL), -EINVAL);
	EXPECT_EQ(acpi__build(&m.spec, UINT64_C(1) << 32, m.buf, ROOM, &used, NULL), -EINVAL);
	destroy(&m);
}

static bool have_iasl(void)
{
	return system("command -v iasl >/dev/null 2>&1") == 0;
}

static void write_file(struct __test_metadata *_metadata, const char *dir, const char *name,
		       const void *bytes, size_t size)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ASSERT_NE(f, NULL);
	ASSERT_EQ(fwrite(bytes, 1, size, f), size);
	ASSERT_EQ(fclose(f), 0);
}

static int run_in(const char *dir, const char *script)
{
	char command[PATH_MAX + 1024];

	snprintf(command, sizeof(command), "cd %s && %s", dir, script);
	return system(command);
}

static void remove_dir(struct __test_metadata *_metadata, const char *dir)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	EXPECT_EQ(system(command), 0);
}

/* Writes every table as a file named for its signature; iasl takes no RSDP by itself. */
static void write_tables(struct __test_metadata *_metadata, const struct machine *m,
			 const char *dir)
{
	const char *names[] = {"FACP", "APIC", "SRAT", "SLIT", "HMAT"};
	const uint8_t *fadt = acpi_find(&m->image, "FACP"), *table;

	for (size_t i = 0; i < 5; i++) {
		table = acpi_find(&m->image, names[i]);
		if (table)
			write_file(_metadata, dir, names[i], table, acpi_read(table + 4, 4));
	}
	table = acpi_table(&m->image, acpi_read(fadt + 40, 4), "DSDT");
	write_file(_metadata, dir, "DSDT", table, acpi_read(table + 4, 4));
	table = acpi_at(&m->image, acpi_read(fadt + 36, 4), 64);
	write_file(_metadata, dir, "FACS", table, 64);
	table = acpi_at(&m->image, acpi_read(m->buf + 24, 8), 36);
	write_file(_metadata, dir, "XSDT", table, acpi_read(table + 4, 4));
}

static void expect_disassembled(struct __test_metadata *_metadata, const char *dir,
				const char *name)
{
	char script[64];

	snprintf(script, sizeof(script), "grep -q 'ACPI Table.*%s\\|\"%s\"' %s.dsl", name, name,
		 name);
	EXPECT_EQ(run_in(dir, script), 0) TH_LOG("%s", name);
}

TEST(iasl_disassembles_every_table_of_every_shape_without_error_or_warning)
{
	const char *const always[] = {"XSDT", "FACP", "FACS", "DSDT", "APIC", "SRAT", NULL};
	const char *const numa[] = {"SLIT", "HMAT", NULL};

	if (!have_iasl())
		SKIP(return, "iasl is not in PATH");
	for (size_t s = 0; s < NR_SHAPES + NR_NUMA_SHAPES; s++) {
		struct machine m = s < NR_SHAPES ? create(_metadata, shapes[s], 5 * SHAPES_GIB)
						 : create_numa(_metadata, s - NR_SHAPES);
		char dir[] = "/tmp/ktstr-acpi-XXXXXX";

		ASSERT_NE(mkdtemp(dir), NULL);
		write_tables(_metadata, &m, dir);
		EXPECT_EQ(run_in(dir, "iasl -d ???? >log 2>&1 || echo error: $? >>log; "
				      "! grep -wiE 'errors?|warnings?|invalid|unknown' log *.dsl |"
				      " grep -vE 'Error Source|Compilation .* 0 Errors' >&2"),
			  0);
		for (const char *const *name = always; *name; name++)
			expect_disassembled(_metadata, dir, *name);
		for (const char *const *name = numa; m.layout.nr_nodes > 1 && *name; name++)
			expect_disassembled(_metadata, dir, *name);
		remove_dir(_metadata, dir);
		destroy(&m);
	}
}

static const char dsdt_asl[] =
	"DefinitionBlock (\"\", \"DSDT\", 2, \"KTSTR \", \"KTSTRVMM\", 1) {\n"
	"Name (_S5, Package (4) { 5, 0, 0, 0 })\n"
	"Scope (\\_SB) {\n"
	"Device (U000) { Name (_HID, EisaId (\"PNP0501\")) Name (_UID, 1)\n"
	" Name (_CRS, ResourceTemplate () { IO (Decode16, 0x3f8, 0x3f8, 1, 8) IRQNoFlags () {4} }) "
	"}\n"
	"Device (U001) { Name (_HID, EisaId (\"PNP0501\")) Name (_UID, 2)\n"
	" Name (_CRS, ResourceTemplate () { IO (Decode16, 0x2f8, 0x2f8, 1, 8) IRQNoFlags () {3} }) "
	"}\n"
	"Device (V000) { Name (_HID, \"LNRO0005\") Name (_UID, 0)\n"
	" Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xd0000000, 0x1000)\n"
	"  Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {5} }) }\n"
	"Device (V001) { Name (_HID, \"LNRO0005\") Name (_UID, 1)\n"
	" Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xd0001000, 0x1000)\n"
	"  Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {16} }) }\n"
	"Device (V002) { Name (_HID, \"LNRO0005\") Name (_UID, 2)\n"
	" Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite, 0xd0002000, 0x1000)\n"
	"  Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {23} }) }\n"
	"} }\n";

TEST(dsdt_is_what_iasl_compiles_from_asl)
{
	struct machine m = create(_metadata, TOPO(1, 1, 1, 1), SHAPES_GIB);
	char dir[] = "/tmp/ktstr-acpi-XXXXXX", path[PATH_MAX];
	const uint8_t *dsdt;
	uint8_t compiled[4096];
	size_t size;
	FILE *f;

	if (!have_iasl())
		SKIP(goto out, "iasl is not in PATH");
	ASSERT_NE(mkdtemp(dir), NULL);
	write_file(_metadata, dir, "dsdt.asl", dsdt_asl, strlen(dsdt_asl));
	ASSERT_EQ(run_in(dir, "iasl -p compiled dsdt.asl >log 2>&1 || { cat log >&2; false; }"), 0);
	snprintf(path, sizeof(path), "%s/compiled.aml", dir);
	f = fopen(path, "r");
	ASSERT_NE(f, NULL);
	size = fread(compiled, 1, sizeof(compiled), f);
	fclose(f);
	dsdt = acpi_table(&m.image, acpi_read(acpi_find(&m.image, "FACP") + 40, 4), "DSDT");
	ASSERT_NE(dsdt, NULL);
	ASSERT_EQ(acpi_read(dsdt + 4, 4), size);
	EXPECT_EQ(memcmp(dsdt + 36, compiled + 36, size - 36), 0);
	remove_dir(_metadata, dir);
out:
	destroy(&m);
}

TEST_HARNESS_MAIN
