// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device tree of the arm64 machine, on any host: dtc decompiles it without a word, and what dtc
 * makes of the text again is read and compared with the layout.
 */
#include "vmm/arch/arm64/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "numa_shapes.h"
#include "shapes.h"

#define RAM_GPA UINT64_C(0x40000000)
#define GICR_PER_CPU UINT64_C(0x20000)
#define MAX_PHANDLE 0x40000u

static const struct fdt_device serials[] = {{0x9000000, 8, 1}, {0x9001000, 8, 2}};
static const struct fdt_device virtio[] = {{0x9010000, 0x200, 16}, {0x9011000, 0x200, 17}};
static const uint8_t seed[32] = {1, 2, 3};

static bool have_dtc(void)
{
	return system("command -v dtc >/dev/null 2>&1") == 0;
}

FIXTURE(tree)
{
	struct layout layout;
	struct fdt_spec spec;
	struct ktstr_error error;
	char dir[64];
	void *built, *fdt; /* as written; as it came back from dtc */
	size_t used;
	int *by_phandle; /* [MAX_PHANDLE], offsets in @fdt */
};

FIXTURE_SETUP(tree)
{
	strcpy(self->dir, "/tmp/test_arm64_fdt.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	self->built = malloc(FDT_MAX_SIZE);
	self->fdt = malloc(2 * FDT_MAX_SIZE);
	self->by_phandle = calloc(MAX_PHANDLE, sizeof(int));
	ASSERT_TRUE(self->built && self->fdt && self->by_phandle);
	self->spec = (struct fdt_spec){
		.layout = &self->layout,
		.serials = serials,
		.nr_serials = 2,
		.virtio = virtio,
		.nr_virtio = 2,
		.gic_version = 3,
		.gicd_gpa = 0x8000000,
		.gicd_size = 0x10000,
		.gicc_gpa = 0x10000000,
		.gicc_size = KTSTR_MAX_CPUS * GICR_PER_CPU,
		.cmdline = "quiet \"x\" y=1",
		.initrd_gpa = 0x48000000,
		.initrd_size = 0x123456,
		.kaslr_seed = UINT64_C(0x123456789abcdef0),
		.rng_seed = seed,
		.rng_seed_size = sizeof(seed),
	};
}

FIXTURE_TEARDOWN(tree)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf %s", self->dir);
	EXPECT_EQ(0, system(command));
	layout__destroy(&self->layout);
	free(self->built);
	free(self->fdt);
	free(self->by_phandle);
}

static int lay_out(struct _test_data_tree *self, const struct ktstr_topology *t, uint64_t ram)
{
	struct gmem mem = {.nr_regions = 1, .regions = {{.gpa = RAM_GPA, .size = ram}}};

	layout__destroy(&self->layout);
	return layout__create(t, &mem, &self->layout, &self->error);
}

static int build(struct _test_data_tree *self)
{
	return fdt__build(&self->spec, self->built, FDT_MAX_SIZE, &self->used, &self->error);
}

/* Through dtc to text and back. False: dtc had something to say, or failed. */
static bool round_trip(struct _test_data_tree *self)
{
	char command[512], path[96];
	int node = 0, depth = 0;
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/in", self->dir);
	f = fopen(path, "w");
	ok = f && fwrite(self->built, 1, self->used, f) == self->used;
	if (f)
		fclose(f);
	snprintf(
		command, sizeof(command),
		"cd %s && dtc -I dtb -O dts -o dts in >log 2>&1 && dtc -q -I dts -O dtb -o out dts "
		"&& [ ! -s log ] || { sed 's/^/# /' log; false; }",
		self->dir);
	fflush(stdout);
	if (!ok || system(command))
		return false;
	snprintf(path, sizeof(path), "%s/out", self->dir);
	f = fopen(path, "r");
	ok = f && fread(self->fdt, 1, 2 * FDT_MAX_SIZE, f) > 0;
	if (f)
		fclose(f);
	if (!ok || fdt_check_header(self->fdt))
		return false;
	memset(self->by_phandle, 0, MAX_PHANDLE * sizeof(int));
	for (; node >= 0; node = fdt_next_node(self->fdt, node, &depth)) {
		uint32_t phandle = fdt_get_phandle(self->fdt, node);

		if (phandle < MAX_PHANDLE)
			self->by_phandle[phandle] = node;
	}
	return true;
}

/* Cell @i of a property; UINT32_MAX: there is none. */
static uint32_t cell(const void *fdt, int node, const char *name, int i)
{
	int length;
	const fdt32_t *p = fdt_getprop(fdt, node, name, &length);

	return p && length >= (i + 1) * 4 ? fdt32_to_cpu(p[i]) : UINT32_MAX;
}

static uint64_t cells(const void *fdt, int node, const char *name, int i)
{
	return (uint64_t)cell(fdt, node, name, i) << 32 | cell(fdt, node, name, i + 1);
}

/* Where @phandle in property @name leads to; 0: nowhere. */
static int follow(struct _test_data_tree *self, int node, const char *name)
{
	uint32_t phandle = cell(self->fdt, node, name, 0);

	return phandle < MAX_PHANDLE ? self->by_phandle[phandle] : 0;
}

static uint32_t or_default(uint32_t kb, uint32_t otherwise)
{
	return (kb ? kb : otherwise) << 10;
}

/* Size and geometry agree: whole sets of a power of two of ways. */
static bool cache_is(const void *fdt, int node, const char *prefix, uint32_t bytes)
{
	uint32_t line, sets;
	char name[32];

	snprintf(name, sizeof(name), "%scache-line-size", prefix);
	line = cell(fdt, node, name, 0);
	snprintf(name, sizeof(name), "%scache-sets", prefix);
	sets = cell(fdt, node, name, 0);
	snprintf(name, sizeof(name), "%scache-size", prefix);
	return cell(fdt, node, name, 0) == bytes && line == 64 && sets &&
	       bytes % (line * sets) == 0;
}

/* The node in cpu-map that the binding gives the CPU: the names count from 0 in each parent. */
static int in_cpu_map(struct _test_data_tree *self, const struct ktstr_topology *t, uint32_t i)
{
	const struct layout_cpu *cpu = &self->layout.cpus[i];
	uint32_t first = self->layout.packages[cpu->package].first_cpu;
	uint32_t in_package = i - first, llc = t->cores_per_llc * t->threads_per_core;
	char path[128];
	int n = snprintf(path, sizeof(path), "/cpus/cpu-map/socket%u/cluster%u/core%u",
			 cpu->package, in_package / llc, in_package % llc / t->threads_per_core);

	if (t->threads_per_core > 1)
		snprintf(path + n, sizeof(path) - (size_t)n, "/thread%u", i % t->threads_per_core);
	return fdt_path_offset(self->fdt, path);
}

static void check_cpus(struct __test_metadata *_metadata, struct _test_data_tree *self,
		       const struct ktstr_topology *t)
{
	int l3_of[SHAPES_MAX_CPUS] = {0}, l2_before = 0;
	const void *fdt = self->fdt;

	for (uint32_t i = 0; i < self->layout.nr_cpus; i++) {
		const struct layout_cpu *cpu = &self->layout.cpus[i];
		/* Aff0 has 16 values, Aff1 256. */
		uint32_t reg = i % 16 + (i / 16 % 256) * 0x100 + i / 4096 * 0x10000;
		int leaf = in_cpu_map(self, t, i), node, l2, l3;

		ASSERT_GE(leaf, 0) TH_LOG("CPU %u of %u", i, self->layout.nr_cpus);
		node = follow(self, leaf, "cpu");
		ASSERT_GT(node, 0);
		EXPECT_EQ(reg, cell(fdt, node, "reg", 0));
		EXPECT_EQ(cpu->node, cell(fdt, node, "numa-node-id", 0));
		EXPECT_STREQ("psci", fdt_getprop(fdt, node, "enable-method", NULL));
		EXPECT_TRUE(cache_is(fdt, node, "d-", or_default(t->caches.l1d_kb, 64)));
		EXPECT_TRUE(cache_is(fdt, node, "i-", or_default(t->caches.l1i_kb, 64)));
		l2 = follow(self, node, "next-level-cache");
		ASSERT_GT(l2, 0);
		EXPECT_EQ(2, cell(fdt, l2, "cache-level", 0));
		EXPECT_TRUE(cache_is(fdt, l2, "", or_default(t->caches.l2_kb, 1024)));
		/* Shared by the threads of a core, and by nobody else. */
		EXPECT_EQ(i % t->threads_per_core != 0, l2 == l2_before);
		l2_before = l2;
		l3 = follow(self, l2, "next-level-cache");
		ASSERT_GT(l3, 0);
		EXPECT_EQ(3, cell(fdt, l3, "cache-level", 0));
		EXPECT_TRUE(cache_is(fdt, l3, "", or_default(t->caches.l3_kb, 32768)));
		EXPECT_LT(fdt_getprop(fdt, l3, "next-level-cache", NULL) != NULL, 1);
		if (l3_of[cpu->llc])
			EXPECT_EQ(l3_of[cpu->llc], l3);
		for (uint32_t other = 0; !l3_of[cpu->llc] && other < cpu->llc; other++)
			EXPECT_NE(l3_of[other], l3);
		l3_of[cpu->llc] = l3;
	}
}

/* No CPU is twice in it, and none that is not there. */
static uint32_t count_in_cpu_map(const void *fdt)
{
	int map = fdt_path_offset(fdt, "/cpus/cpu-map"), depth = 0;
	uint32_t count = 0;

	for (int node = map; node >= 0 && depth >= 0; node = fdt_next_node(fdt, node, &depth))
		count += fdt_getprop(fdt, node, "cpu", NULL) != NULL;
	return count;
}

static void check_memory(struct __test_metadata *_metadata, struct _test_data_tree *self)
{
	const void *fdt = self->fdt;
	uint32_t n = self->layout.nr_nodes;
	int node, length;

	for (uint32_t i = 0; i < self->layout.nr_memory; i++) {
		const struct layout_memory *m = &self->layout.memory[i];
		char path[64];

		snprintf(path, sizeof(path), "/memory@%llx", (unsigned long long)m->gpa);
		node = fdt_path_offset(fdt, path);
		ASSERT_GT(node, 0) TH_LOG("%s", path);
		EXPECT_STREQ("memory", fdt_getprop(fdt, node, "device_type", NULL));
		EXPECT_EQ(m->gpa, cells(fdt, node, "reg", 0));
		EXPECT_EQ(m->size, cells(fdt, node, "reg", 2));
		EXPECT_EQ(m->node, cell(fdt, node, "numa-node-id", 0));
	}
	node = fdt_path_offset(fdt, "/distance-map");
	EXPECT_EQ(n > 1, node > 0);
	if (n == 1)
		return;
	EXPECT_STREQ("numa-distance-map-v1", fdt_getprop(fdt, node, "compatible", NULL));
	ASSERT_NE(NULL, fdt_getprop(fdt, node, "distance-matrix", &length));
	ASSERT_EQ((int)(n * n * 12), length);
	for (uint32_t i = 0; i < n * n; i++) {
		EXPECT_EQ(i / n, cell(fdt, node, "distance-matrix", (int)i * 3));
		EXPECT_EQ(i % n, cell(fdt, node, "distance-matrix", (int)i * 3 + 1));
		EXPECT_EQ(self->layout.distances[i],
			  cell(fdt, node, "distance-matrix", (int)i * 3 + 2));
	}
}

static void check(struct __test_metadata *_metadata, struct _test_data_tree *self,
		  const struct ktstr_topology *t, uint64_t ram)
{
	ASSERT_EQ(0, lay_out(self, t, ram)) TH_LOG("%s", self->error.reason);
	ASSERT_EQ(0, build(self)) TH_LOG("%s", self->error.reason);
	ASSERT_TRUE(round_trip(self)) TH_LOG("%u CPUs", self->layout.nr_cpus);
	check_cpus(_metadata, self, t);
	EXPECT_EQ(self->layout.nr_cpus, count_in_cpu_map(self->fdt));
	check_memory(_metadata, self);
}

TEST_F_TIMEOUT(tree, every_shape_decompiles_and_agrees_with_the_layout, 120)
{
	if (!have_dtc())
		SKIP(return, "dtc is not in PATH");
	for (size_t i = 0; i < NR_SHAPES; i++)
		check(_metadata, self, &shapes[i], 8 * SHAPES_GIB);
}

TEST_F_TIMEOUT(tree, every_numa_shape_decompiles_and_agrees_with_the_layout, 120)
{
	if (!have_dtc())
		SKIP(return, "dtc is not in PATH");
	for (size_t i = 0; i < NR_NUMA_SHAPES; i++)
		check(_metadata, self, &numa_shapes[i].topology,
		      (uint64_t)numa_shapes[i].memory_mb << 20);
}

TEST_F(tree, devices_and_chosen_are_what_the_machine_has)
{
	const struct ktstr_topology t = TOPO(1, 1, 2, 2);
	int node;

	if (!have_dtc())
		SKIP(return, "dtc is not in PATH");
	ASSERT_EQ(0, lay_out(self, &t, SHAPES_GIB));
	ASSERT_EQ(0, build(self));
	ASSERT_TRUE(round_trip(self));
	node = fdt_path_offset(self->fdt, "/chosen");
	EXPECT_STREQ(self->spec.cmdline, fdt_getprop(self->fdt, node, "bootargs", NULL));
	EXPECT_STREQ("/serial@9000000", fdt_getprop(self->fdt, node, "stdout-path", NULL));
	EXPECT_EQ(0x48000000, cells(self->fdt, node, "linux,initrd-start", 0));
	EXPECT_EQ(0x48123456, cells(self->fdt, node, "linux,initrd-end", 0));
	EXPECT_EQ(self->spec.kaslr_seed, cells(self->fdt, node, "kaslr-seed", 0));
	ASSERT_NE(NULL, fdt_getprop(self->fdt, node, "rng-seed", NULL));
	EXPECT_EQ(0, memcmp(fdt_getprop(self->fdt, node, "rng-seed", NULL), seed, sizeof(seed)));
	node = fdt_path_offset(self->fdt, "serial1");
	EXPECT_STREQ("ns16550a", fdt_getprop(self->fdt, node, "compatible", NULL));
	EXPECT_EQ(serials[1].gpa, cells(self->fdt, node, "reg", 0));
	node = fdt_path_offset(self->fdt, "/virtio_mmio@9011000");
	EXPECT_EQ(0x200, cells(self->fdt, node, "reg", 2));
	EXPECT_EQ(0, cell(self->fdt, node, "interrupts", 0));
	EXPECT_EQ(17, cell(self->fdt, node, "interrupts", 1));
	EXPECT_EQ(1, cell(self->fdt, node, "interrupts", 2)); /* rising edge */
	node = follow(self, 0, "interrupt-parent");
	EXPECT_STREQ("arm,gic-v3", fdt_getprop(self->fdt, node, "compatible", NULL));
	EXPECT_EQ(self->spec.gicc_size, cells(self->fdt, node, "reg", 6));
	node = fdt_path_offset(self->fdt, "/psci");
	EXPECT_EQ(0, fdt_node_check_compatible(self->fdt, node, "arm,psci-0.2"));
	EXPECT_STREQ("hvc", fdt_getprop(self->fdt, node, "method", NULL));
	node = fdt_path_offset(self->fdt, "/cpus/cpu@0");
	EXPECT_EQ(NULL, fdt_getprop(self->fdt, node, "capacity-dmips-mhz", NULL));
}

TEST_F(tree, capacities_are_of_their_cpus)
{
	const uint32_t capacities[] = {1024, 1024, 446, 445};
	struct ktstr_topology t = TOPO(1, 2, 2, 2);

	if (!have_dtc())
		SKIP(return, "dtc is not in PATH");
	t.capacities = capacities;
	ASSERT_EQ(0, lay_out(self, &t, SHAPES_GIB));
	ASSERT_EQ(0, build(self));
	ASSERT_TRUE(round_trip(self));
	for (uint32_t i = 0; i < 8; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/cpus/cpu@%x", i);
		EXPECT_EQ(capacities[i / 2], cell(self->fdt, fdt_path_offset(self->fdt, path),
						  "capacity-dmips-mhz", 0));
	}
}

TEST_F(tree, gicv2_takes_eight_cpus_and_masks_its_private_interrupts)
{
	const struct ktstr_topology eight = TOPO(1, 1, 4, 2), nine = TOPO(1, 1, 9, 1);
	int node;

	self->spec.gic_version = 2;
	self->spec.gicc_size = 0x2000;
	ASSERT_EQ(0, lay_out(self, &eight, SHAPES_GIB));
	ASSERT_EQ(0, build(self));
	node = fdt_path_offset(self->built, "/timer");
	EXPECT_EQ(0xff04, cell(self->built, node, "interrupts", 2));
	ASSERT_EQ(0, lay_out(self, &nine, SHAPES_GIB));
	EXPECT_EQ(-EINVAL, build(self));
	EXPECT_NE(NULL, strstr(self->error.reason, "9 CPUs, but the GICv2 has room for 8"));
}

TEST_F(tree, more_cpus_than_redistributors_are_refused)
{
	const struct ktstr_topology t = TOPO(1, 1, 5, 1);

	ASSERT_EQ(0, lay_out(self, &t, SHAPES_GIB));
	self->spec.gicc_size = 5 * GICR_PER_CPU;
	EXPECT_EQ(0, build(self));
	self->spec.gicc_size = 5 * GICR_PER_CPU - 1;
	EXPECT_EQ(-EINVAL, build(self));
}

TEST_F(tree, what_does_not_fit_is_an_error)
{
	const struct ktstr_topology t = TOPO(1, 1, 2, 1);
	size_t whole;

	ASSERT_EQ(0, lay_out(self, &t, SHAPES_GIB));
	ASSERT_EQ(0, build(self));
	whole = self->used;
	for (size_t size = 0; size < whole; size += 61)
		EXPECT_GT(0, fdt__build(&self->spec, self->built, size, &self->used, NULL));
}

TEST_HARNESS_MAIN
