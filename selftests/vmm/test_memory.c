// SPDX-License-Identifier: GPL-2.0-only
/* Guest RAM: where it lies for each size, and that no access leaves it. */
#include "vmm/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kselftest_harness.h"

#define MIB UINT64_C(0x100000)
#define GIB (1024 * MIB)

TEST(ram_goes_on_above_the_hole)
{
	static const struct {
		uint64_t bytes, low, high;
	} sizes[] = {
		{4096, 4096, 0},
		{512 * MIB, 512 * MIB, 0},
		{2 * GIB, 2 * GIB, 0},
		{3 * GIB, 3 * GIB, 0},
		{3 * GIB + 4096, 3 * GIB, 4096},
		{3584 * MIB, 3 * GIB, 512 * MIB},
		{4 * GIB, 3 * GIB, GIB},
		{5 * GIB, 3 * GIB, 2 * GIB},
		{8 * GIB, 3 * GIB, 5 * GIB},
		{1024 * GIB, 3 * GIB, 1021 * GIB},
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct gmem mem;

		ASSERT_EQ(0, gmem__layout(&mem, sizes[i].bytes, NULL));
		EXPECT_EQ(sizes[i].high ? 2 : 1, mem.nr_regions);
		EXPECT_EQ(0, mem.regions[0].gpa);
		EXPECT_EQ(sizes[i].low, mem.regions[0].size);
		EXPECT_EQ(sizes[i].high, mem.regions[1].size);
		EXPECT_EQ(sizes[i].high ? 4 * GIB : 0, mem.regions[1].gpa);
	}
}

TEST(impossible_sizes_are_refused)
{
	static const uint64_t sizes[] = {
		0, 1, 4095, 4097, 1024 * GIB + 4096, UINT64_MAX, UINT64_MAX - 4095};
	struct gmem mem;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ktstr_error error = {0};

		EXPECT_EQ(-EINVAL, gmem__layout(&mem, sizes[i], &error));
		EXPECT_EQ(EINVAL, error.err);
		EXPECT_EQ(0, mem.nr_regions);
	}
}

FIXTURE(ram)
{
	struct gmem mem;
};

/* Reserved, not touched: 5 GiB cost nothing. */
FIXTURE_SETUP(ram)
{
	ASSERT_EQ(0, gmem__layout(&self->mem, 5 * GIB, NULL));
	ASSERT_EQ(0, gmem__map(&self->mem, NULL));
}

FIXTURE_TEARDOWN(ram)
{
	gmem__unmap(&self->mem);
}

TEST_F(ram, accesses_stay_inside_one_region)
{
	static const struct {
		uint64_t gpa, length;
		bool ok;
	} accesses[] = {
		{0, 1, true},
		{0, 3 * GIB, true},
		{0, 3 * GIB + 1, false},
		{3 * GIB - 1, 1, true},
		{3 * GIB - 1, 2, false},
		{3 * GIB, 1, false},
		{4 * GIB - 1, 1, false},
		{4 * GIB - 1, 2, false},
		{4 * GIB, 2 * GIB, true},
		{6 * GIB - 1, 1, true},
		{6 * GIB - 1, 2, false},
		{6 * GIB, 1, false},
		{UINT64_MAX, 1, false},
		{4096, UINT64_MAX, false},
		{4 * GIB + 8, UINT64_MAX - 7, false},
		{UINT64_MAX - 4095, 8192, false},
	};

	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		EXPECT_EQ(accesses[i].ok,
			  gmem__ptr(&self->mem, accesses[i].gpa, accesses[i].length) != NULL)
		{
			TH_LOG("0x%llx, 0x%llx", (unsigned long long)accesses[i].gpa,
			       (unsigned long long)accesses[i].length);
		}
	}
}

TEST_F(ram, what_is_written_is_read_and_new_ram_is_zero)
{
	uint64_t value = 1;

	EXPECT_EQ(0, gmem__read(&self->mem, 6 * GIB - 8, &value, 8));
	EXPECT_EQ(0, value);
	value = UINT64_C(0x1122334455667788);
	EXPECT_EQ(0, gmem__write(&self->mem, 6 * GIB - 8, &value, 8));
	value = 0;
	EXPECT_EQ(0, gmem__read(&self->mem, 6 * GIB - 8, &value, 8));
	EXPECT_EQ(UINT64_C(0x1122334455667788), value);
	EXPECT_EQ(0x88, *(uint8_t *)gmem__ptr(&self->mem, 6 * GIB - 8, 1));
}

TEST_F(ram, a_refused_access_changes_nothing)
{
	uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8}, last = 9;

	EXPECT_EQ(-EFAULT, gmem__write(&self->mem, 3 * GIB - 4, bytes, 8));
	EXPECT_EQ(0, gmem__read(&self->mem, 3 * GIB - 1, &last, 1));
	EXPECT_EQ(0, last);
	EXPECT_EQ(-EFAULT, gmem__read(&self->mem, 3 * GIB - 4, bytes, 8));
	EXPECT_EQ(8, bytes[7]);
}

/* Readable and writable is the region alone; the address space beside it is reserved by us. */
TEST_F(ram, each_region_has_guards_on_both_sides)
{
	for (uint32_t i = 0; i < self->mem.nr_regions; i++) {
		const struct gmem_region *r = &self->mem.regions[i];
		uintptr_t begin = (uintptr_t)r->hva, end = begin + r->size, from, to;
		bool before = false, inside = false, after = false;
		FILE *maps = fopen("/proc/self/maps", "re");
		char line[512], rights[8];

		ASSERT_NE(NULL, maps);
		EXPECT_EQ(0, begin % (2 * MIB));
		while (fgets(line, sizeof(line), maps)) {
			if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3)
				continue;
			before |= from < begin && to == begin && !strncmp(rights, "---", 3);
			inside |= from == begin && to == end && !strncmp(rights, "rw-", 3);
			after |= from == end && !strncmp(rights, "---", 3);
		}
		fclose(maps);
		EXPECT_TRUE(before);
		EXPECT_TRUE(inside);
		EXPECT_TRUE(after);
	}
}

TEST(what_cannot_be_mapped_is_said)
{
	struct ktstr_error error = {0};
	struct gmem mem = {.nr_regions = 2,
			   .regions = {{.size = 4096}, {.size = UINT64_C(1) << 60}}};

	EXPECT_EQ(-ENOMEM, gmem__map(&mem, &error));
	EXPECT_EQ(ENOMEM, error.err);
	EXPECT_NE('\0', error.hint[0]);
	EXPECT_EQ(NULL, mem.regions[0].map);
	gmem__unmap(&mem);
}

TEST_HARNESS_MAIN
