// SPDX-License-Identifier: GPL-2.0-only
/* The machine computed from a topology: CPU numbers, APIC ids, memory of the nodes. */
#include "vmm/layout.h"

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
	EXPECT_EQ(layout__create(&TOPO(3, 3, 1, 1), &mem, &l, NULL), 0);
	layout__destroy(&l);
}

TEST_HARNESS_MAIN
