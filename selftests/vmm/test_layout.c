// SPDX-License-Identifier: GPL-2.0-only
/* The machine computed from a topology: CPU numbers, APIC ids, memory of the nodes. */
#include "vmm/layout.h"
#include "vmm/vm.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "kselftest_harness.h"
#include "shapes.h"

#define MIB (UINT64_C(1) << 20)

static struct layout create(struct __test_metadata *_metadata, struct ktstr_topology t,
			    uint64_t bytes)
{
	struct gmem mem = shapes_ram(bytes);
	struct ktstr_error error = {0};
	struct layout layout;

	ASSERT_EQ(layout__create(&t, &mem, &layout, &error), 0) TH_LOG("%s", error.reason);
	return layout;
}

TEST(cpus_run_package_by_package_with_siblings_adjacent)
{
	struct layout l = create(_metadata, TOPO(2, 4, 2, 2), SHAPES_GIB);
	/* node, llc, core, thread */
	const uint32_t expected[16][4] = {
		{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 1, 0}, {0, 0, 1, 1}, {0, 1, 2, 0}, {0, 1, 2, 1},
		{0, 1, 3, 0}, {0, 1, 3, 1}, {1, 2, 4, 0}, {1, 2, 4, 1}, {1, 2, 5, 0}, {1, 2, 5, 1},
		{1, 3, 6, 0}, {1, 3, 6, 1}, {1, 3, 7, 0}, {1, 3, 7, 1},
	};

	ASSERT_EQ(l.nr_cpus, 16);
	for (uint32_t i = 0; i < 16; i++) {
		EXPECT_EQ(l.cpus[i].node, expected[i][0]);
		EXPECT_EQ(l.cpus[i].package, expected[i][0]);
		EXPECT_EQ(l.cpus[i].llc, expected[i][1]);
		EXPECT_EQ(l.cpus[i].core, expected[i][2]);
		EXPECT_EQ(l.cpus[i].thread, expected[i][3]);
		EXPECT_EQ(l.cpus[i].hw_id, i);
	}
	layout__destroy(&l);
}

TEST(odd_counts_leave_gaps_between_apic_ids)
{
	struct layout l = create(_metadata, TOPO(1, 3, 3, 1), SHAPES_GIB);
	const uint32_t ids[] = {0, 1, 2, 4, 5, 6, 8, 9, 10};

	EXPECT_EQ(l.core_shift, 0);
	EXPECT_EQ(l.llc_shift, 2);
	EXPECT_EQ(l.package_shift, 4);
	ASSERT_EQ(l.nr_cpus, 9);
	for (uint32_t i = 0; i < 9; i++)
		EXPECT_EQ(l.cpus[i].hw_id, ids[i]);
	layout__destroy(&l);
}

TEST(fourteen_llcs_of_eighteen_cores_end_at_id_433)
{
	struct layout l = create(_metadata, TOPO(1, 14, 18, 1), SHAPES_GIB);

	EXPECT_EQ(l.nr_cpus, 252);
	EXPECT_EQ(l.max_hw_id, 433);
	EXPECT_EQ(l.cpus[251].hw_id, 433);
	layout__destroy(&l);
}

TEST(ids_rise_and_split_into_the_levels_in_every_shape)
{
	for (size_t s = 0; s < NR_SHAPES; s++) {
		struct layout l = create(_metadata, shapes[s], SHAPES_GIB);

		EXPECT_EQ(l.cpus[0].hw_id, 0);
		for (uint32_t i = 0; i < l.nr_cpus; i++) {
			for (uint32_t j = 0; j < i; j++) {
				const struct layout_cpu *a = &l.cpus[i], *b = &l.cpus[j];

				ASSERT_GT(a->hw_id, b->hw_id);
				ASSERT_EQ(a->core == b->core,
					  a->hw_id >> l.core_shift == b->hw_id >> l.core_shift);
				ASSERT_EQ(a->llc == b->llc,
					  a->hw_id >> l.llc_shift == b->hw_id >> l.llc_shift);
				ASSERT_EQ(a->package == b->package,
					  a->hw_id >> l.package_shift ==
						  b->hw_id >> l.package_shift);
			}
		}
		EXPECT_EQ(l.max_hw_id, l.cpus[l.nr_cpus - 1].hw_id);
		layout__destroy(&l);
	}
}

static void check_memory(struct __test_metadata *_metadata, uint32_t nodes, uint64_t bytes)
{
	struct gmem mem = shapes_ram(bytes);
	struct layout l = create(_metadata, TOPO(nodes, nodes, 1, 1), bytes);
	uint64_t of_node[KTSTR_MAX_NUMA_NODES] = {0};
	uint64_t total = 0, next = 0;
	uint32_t last_node = 0;

	ASSERT_EQ(l.nr_nodes, nodes);
	EXPECT_EQ(l.memory[0].gpa, 0);
	EXPECT_EQ(l.memory[0].node, 0);
	for (uint32_t i = 0; i < l.nr_memory; i++) {
		const struct layout_memory *m = &l.memory[i];
		bool inside = false;

		for (uint32_t r = 0; r < mem.nr_regions; r++)
			inside |= m->gpa >= mem.regions[r].gpa &&
				  m->gpa + m->size <= mem.regions[r].gpa + mem.regions[r].size;
		EXPECT_TRUE(inside);
		EXPECT_GT(m->size, 0);
		EXPECT_EQ(m->gpa % (2 * MIB), 0);
		if (bytes / nodes % (128 * MIB) == 0 && bytes % nodes == 0)
			EXPECT_EQ(m->gpa % (128 * MIB), 0);
		EXPECT_GE(m->gpa, next);
		EXPECT_GE(m->node, last_node);
		EXPECT_LT(m->node, nodes);
		next = m->gpa + m->size;
		last_node = m->node;
		of_node[m->node] += m->size;
		total += m->size;
	}
	EXPECT_EQ(total, bytes);
	for (uint32_t n = 0; n < nodes; n++) {
		EXPECT_LE(of_node[n], bytes / nodes + 2 * MIB);
		EXPECT_GE(of_node[n] + 2 * MIB, bytes / nodes);
	}
	layout__destroy(&l);
}

TEST(memory_covers_all_ram_evenly_without_crossing_the_hole)
{
	const uint64_t sizes[] = {512 * MIB,  2048 * MIB, 3072 * MIB,  3584 * MIB, 4096 * MIB,
				  5120 * MIB, 8192 * MIB, 16384 * MIB, 777 * MIB,  3073 * MIB};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (uint32_t nodes = 1;
		     nodes <= 64 && sizes[i] / nodes >= KTSTR_MIN_NODE_MEMORY_MB * MIB; nodes++)
			check_memory(_metadata, nodes, sizes[i]);
}

TEST(a_node_that_lies_on_both_sides_of_the_hole_has_two_pieces)
{
	struct layout l = create(_metadata, TOPO(2, 2, 1, 1), 4096 * MIB);

	ASSERT_EQ(l.nr_memory, 3);
	EXPECT_EQ(l.memory[0].size, 2048 * MIB);
	EXPECT_EQ(l.memory[1].gpa, 2048 * MIB);
	EXPECT_EQ(l.memory[1].size, 1024 * MIB);
	EXPECT_EQ(l.memory[1].node, 1);
	EXPECT_EQ(l.memory[2].gpa, 4096 * MIB);
	EXPECT_EQ(l.memory[2].size, 1024 * MIB);
	EXPECT_EQ(l.memory[2].node, 1);
	layout__destroy(&l);
}

TEST(distances_are_10_local_and_20_remote)
{
	struct layout l = create(_metadata, TOPO(3, 3, 1, 1), SHAPES_GIB);

	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t j = 0; j < 3; j++)
			EXPECT_EQ(l.distances[i * 3 + j], i == j ? 10 : 20);
	layout__destroy(&l);
}

TEST(uneven_nodes_have_their_own_cpus_and_the_largest_package_sets_the_ids)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 1}, {.llcs = 3}, {.llcs = 2}, {.llcs = 0}};
	struct ktstr_topology t = TOPO(4, 6, 1, 2);
	/* node and package, llc, hw_id */
	const uint32_t expected[12][3] = {
		{0, 0, 0},  {0, 0, 1},	{1, 1, 8},  {1, 1, 9},	{1, 2, 10}, {1, 2, 11},
		{1, 3, 12}, {1, 3, 13}, {2, 4, 16}, {2, 4, 17}, {2, 5, 18}, {2, 5, 19},
	};
	const uint32_t first[] = {0, 2, 8, 12}, count[] = {2, 6, 4, 0};
	struct layout l;

	t.nodes = nodes;
	l = create(_metadata, t, SHAPES_GIB);
	ASSERT_EQ(l.nr_cpus, 12);
	EXPECT_EQ(l.core_shift, 1);
	EXPECT_EQ(l.llc_shift, 1);
	EXPECT_EQ(l.package_shift, 3);
	EXPECT_EQ(l.max_hw_id, 19);
	for (uint32_t i = 0; i < 12; i++) {
		EXPECT_EQ(l.cpus[i].node, expected[i][0]);
		EXPECT_EQ(l.cpus[i].package, expected[i][0]);
		EXPECT_EQ(l.cpus[i].llc, expected[i][1]);
		EXPECT_EQ(l.cpus[i].hw_id, expected[i][2]);
	}
	ASSERT_EQ(l.nr_nodes, 4);
	ASSERT_EQ(l.nr_packages, 3);
	for (uint32_t i = 0; i < 4; i++) {
		EXPECT_EQ(l.nodes[i].first_cpu, first[i]);
		EXPECT_EQ(l.nodes[i].nr_cpus, count[i]);
		if (i == 3)
			break;
		EXPECT_EQ(l.packages[i].first_cpu, first[i]);
		EXPECT_EQ(l.packages[i].nr_cpus, count[i]);
		EXPECT_EQ(l.packages[i].nr_nodes, 1);
	}
	EXPECT_EQ(l.topology.nodes, NULL);
	layout__destroy(&l);
}

TEST(a_package_holds_several_nodes)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 2}, {.llcs = 1}, {.llcs = 3}, {.llcs = 0}};
	struct ktstr_topology t = TOPO(4, 6, 2, 1);
	struct layout l;

	t.nodes = nodes;
	t.packages = 2;
	l = create(_metadata, t, SHAPES_GIB);
	ASSERT_EQ(l.nr_packages, 2);
	EXPECT_EQ(l.packages[0].nr_nodes, 2);
	EXPECT_EQ(l.packages[0].nr_cpus, 6);
	EXPECT_EQ(l.packages[1].nr_nodes, 1);
	EXPECT_EQ(l.packages[1].first_cpu, 6);
	EXPECT_EQ(l.package_shift, 3);
	EXPECT_EQ(l.cpus[4].node, 1);
	EXPECT_EQ(l.cpus[4].package, 0);
	EXPECT_EQ(l.cpus[4].hw_id, 4);
	EXPECT_EQ(l.cpus[6].package, 1);
	EXPECT_EQ(l.cpus[6].hw_id, 8);
	layout__destroy(&l);
}

TEST(a_node_spans_several_packages)
{
	struct ktstr_topology t = TOPO(2, 6, 2, 1);
	struct layout l;

	t.packages = 6;
	l = create(_metadata, t, SHAPES_GIB);
	ASSERT_EQ(l.nr_packages, 6);
	EXPECT_EQ(l.package_shift, 1);
	for (uint32_t i = 0; i < 6; i++) {
		EXPECT_EQ(l.packages[i].first_cpu, 2 * i);
		EXPECT_EQ(l.packages[i].nr_cpus, 2);
		EXPECT_EQ(l.packages[i].nr_nodes, 1);
		EXPECT_EQ(l.cpus[2 * i].package, i);
		EXPECT_EQ(l.cpus[2 * i].node, i / 3);
		EXPECT_EQ(l.cpus[2 * i + 1].hw_id, 2 * i + 1);
	}
	layout__destroy(&l);
}

/* One package of each node, although equal shares are possible too. */
TEST(as_many_packages_as_nodes_with_cpus_are_one_for_each)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 2}, {.llcs = 1}, {.llcs = 1}, {.llcs = 4}};
	const uint32_t cpus[] = {2, 1, 1, 4};
	struct ktstr_topology t = TOPO(4, 8, 1, 1);

	t.nodes = nodes;
	for (uint32_t packages = 0; packages <= 4; packages += 4) {
		struct layout l;

		t.packages = packages;
		l = create(_metadata, t, SHAPES_GIB);
		ASSERT_EQ(l.nr_packages, 4);
		for (uint32_t i = 0; i < 4; i++)
			EXPECT_EQ(l.packages[i].nr_cpus, cpus[i]);
		layout__destroy(&l);
	}
}

/* Bytes of each node, and that its pieces are behind those of the node before it. */
static void sum_memory(struct __test_metadata *_metadata, const struct layout *l, uint64_t *bytes)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < l->nr_memory; i++) {
		EXPECT_GE(l->memory[i].gpa, next);
		next = l->memory[i].gpa + l->memory[i].size;
		bytes[l->memory[i].node] += l->memory[i].size;
	}
	for (uint32_t i = 0; i < l->nr_nodes; i++)
		EXPECT_EQ(l->nodes[i].memory, bytes[i]);
}

TEST(nodes_have_the_memory_that_they_say_and_the_others_equal_shares)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 1},
						{.llcs = 1, .memory_mb = 333},
						{.llcs = 1},
						{.llcs = 0, .memory_mb = 777},
						{.llcs = 0}};
	const uint64_t sizes[] = {1200, 2048, 3000, 4096, 5120, 16384};
	struct ktstr_topology t = TOPO(5, 3, 1, 1);

	t.nodes = nodes;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct layout l = create(_metadata, t, sizes[i] * MIB);
		uint64_t bytes[5] = {0}, share = (sizes[i] - 333 - 777) * MIB / 3;

		sum_memory(_metadata, &l, bytes);
		EXPECT_EQ(bytes[1], 333 * MIB);
		EXPECT_EQ(bytes[3], 777 * MIB);
		for (uint32_t n = 0; n < 5; n += 2) {
			EXPECT_LE(bytes[n], share + 2 * MIB);
			EXPECT_GE(bytes[n] + 2 * MIB, share);
		}
		EXPECT_EQ(bytes[0] + bytes[2] + bytes[4], (sizes[i] - 333 - 777) * MIB);
		layout__destroy(&l);
	}
}

TEST(a_memory_only_node_lies_on_both_sides_of_the_hole)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 1, .memory_mb = 2047},
						{.llcs = 0, .memory_mb = 2049}};
	struct ktstr_topology t = TOPO(2, 1, 1, 1);
	struct layout l;

	t.nodes = nodes;
	l = create(_metadata, t, 4096 * MIB);
	ASSERT_EQ(l.nr_memory, 3);
	EXPECT_EQ(l.memory[0].size, 2047 * MIB);
	EXPECT_EQ(l.memory[1].gpa, 2047 * MIB);
	EXPECT_EQ(l.memory[1].size, 1025 * MIB);
	EXPECT_EQ(l.memory[1].node, 1);
	EXPECT_EQ(l.memory[2].gpa, 4096 * MIB);
	EXPECT_EQ(l.memory[2].size, 1024 * MIB);
	EXPECT_EQ(l.memory[2].node, 1);
	EXPECT_EQ(l.nodes[1].memory, 2049 * MIB);
	layout__destroy(&l);
}

TEST(declared_distances_are_kept)
{
	struct ktstr_topology t = TOPO(3, 3, 1, 1);
	const uint8_t distances[] = {10, 11, 254, 11, 10, 30, 254, 30, 10};
	struct layout l;

	t.distances = distances;
	l = create(_metadata, t, SHAPES_GIB);
	EXPECT_EQ(0, memcmp(l.distances, distances, sizeof(distances)));
	EXPECT_EQ(l.topology.distances, NULL);
	layout__destroy(&l);
}

TEST(latency_and_bandwidth_are_declared_or_the_kinds_default)
{
	const struct ktstr_numa_node nodes[] = {
		{.llcs = 1, .latency_ns = 70, .bandwidth_mbs = 30000, .cache_mb = 64},
		{.llcs = 1},
		{.llcs = 0, .latency_ns = 300, .bandwidth_mbs = 9000},
		{.llcs = 0}};
	const struct layout_node expected[] = {{.latency_ns = 70, .bandwidth_mbs = 30000},
					       {.latency_ns = 100, .bandwidth_mbs = 25600},
					       {.latency_ns = 300, .bandwidth_mbs = 9000},
					       {.latency_ns = 250, .bandwidth_mbs = 12800}};
	struct ktstr_topology t = TOPO(4, 2, 1, 1);
	struct layout l;

	t.nodes = nodes;
	l = create(_metadata, t, SHAPES_GIB);
	for (uint32_t i = 0; i < 4; i++) {
		EXPECT_EQ(l.nodes[i].latency_ns, expected[i].latency_ns);
		EXPECT_EQ(l.nodes[i].bandwidth_mbs, expected[i].bandwidth_mbs);
		EXPECT_EQ(l.nodes[i].cache, i ? 0 : 64 * MIB);
	}
	layout__destroy(&l);
	l = create(_metadata, TOPO(2, 2, 1, 1), SHAPES_GIB);
	EXPECT_EQ(l.nodes[1].latency_ns, 100);
	EXPECT_EQ(l.nodes[1].bandwidth_mbs, 25600);
	layout__destroy(&l);
}

TEST(access_from_afar_is_scaled_from_the_nearest_cpus)
{
	const struct ktstr_numa_node nodes[] = {
		{.llcs = 1, .latency_ns = 80},
		{.llcs = 1, .bandwidth_mbs = 1},
		{.llcs = 0, .latency_ns = 240, .bandwidth_mbs = 9000}};
	struct ktstr_topology t = TOPO(3, 2, 1, 1);
	struct layout l;

	t.nodes = nodes;
	t.distances = KTSTR_DISTANCES(10, 17, 24, 17, 10, 36, 24, 36, 10);
	l = create(_metadata, t, SHAPES_GIB);
	EXPECT_EQ(layout__latency_ns(&l, 0, 0), 80);
	EXPECT_EQ(layout__latency_ns(&l, 1, 0), 136); /* 80 * 17 / 10 */
	EXPECT_EQ(layout__latency_ns(&l, 0, 1), 170);
	/* A node without CPUs is at 24 from its nearest, whatever its own distance. */
	EXPECT_EQ(layout__latency_ns(&l, 0, 2), 240);
	EXPECT_EQ(layout__latency_ns(&l, 1, 2), 360);
	EXPECT_EQ(layout__bandwidth_mbs(&l, 0, 0), 25600);
	EXPECT_EQ(layout__bandwidth_mbs(&l, 1, 0), 15058); /* 25600 * 10 / 17 */
	EXPECT_EQ(layout__bandwidth_mbs(&l, 0, 2), 9000);
	EXPECT_EQ(layout__bandwidth_mbs(&l, 1, 2), 6000);
	EXPECT_EQ(layout__bandwidth_mbs(&l, 0, 1), 1); /* never 0, which means unknown */
	layout__destroy(&l);
}

TEST(more_cpus_or_ids_than_kvm_takes_are_refused)
{
	/* 252 CPUs, ids up to 433 */
	struct layout l = create(_metadata, TOPO(1, 14, 18, 1), SHAPES_GIB);
	struct ktstr_error error = {0};

	EXPECT_EQ(vm__check_cpu_limits(&l, 252, 434, &error), 0);
	EXPECT_EQ(vm__check_cpu_limits(&l, 0, -1, &error), 0);
	EXPECT_EQ(error.err, 0);
	EXPECT_EQ(vm__check_cpu_limits(&l, 251, 434, &error), -EINVAL);
	EXPECT_STREQ(error.reason, "252 CPUs, but KVM on this host takes 251");
	EXPECT_STREQ(error.hint, "declare fewer CPUs");
	error = (struct ktstr_error){0};
	EXPECT_EQ(vm__check_cpu_limits(&l, 252, 433, &error), -EINVAL);
	EXPECT_STREQ(error.reason, "needs CPU id 433, but KVM on this host ends at 432");
	EXPECT_NE(NULL, strstr(error.hint, "powers of two"));
	layout__destroy(&l);
}

TEST(impossible_topology_and_too_little_memory_are_refused)
{
	struct gmem mem = shapes_ram(48 * MIB);
	struct ktstr_error error = {0};
	struct layout l;

	EXPECT_EQ(layout__create(&TOPO(2, 3, 1, 1), &mem, &l, &error), -EINVAL);
	EXPECT_NE(strstr(error.reason, "spread evenly"), NULL);
	EXPECT_EQ(l.cpus, NULL);
	error = (struct ktstr_error){0};
	EXPECT_EQ(layout__create(&TOPO(4, 4, 1, 1), &mem, &l, &error), -EINVAL);
	EXPECT_NE(strstr(error.reason, "too little for 4 NUMA nodes"), NULL);
	EXPECT_EQ(l.memory, NULL);
	EXPECT_NE(strstr(error.hint, "64 MiB or more"), NULL);
	EXPECT_EQ(layout__create(&TOPO(3, 3, 1, 1), &mem, &l, NULL), 0);
	layout__destroy(&l);
}

TEST_HARNESS_MAIN
