// SPDX-License-Identifier: GPL-2.0-only
/* Which device answers at an address, and what happens where none does. */
#include "vmm/bus.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "kselftest_harness.h"

struct device {
	uint64_t offset;
	uint32_t length, reads, writes;
	uint8_t data[8];
};

static void device_read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	struct device *d = opaque;

	d->offset = offset;
	d->length = length;
	d->reads++;
	memcpy(data, d->data, length > sizeof(d->data) ? sizeof(d->data) : length);
}

static void device_write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct device *d = opaque;

	d->offset = offset;
	d->length = length;
	d->writes++;
	memcpy(d->data, data, length > sizeof(d->data) ? sizeof(d->data) : length);
}

static void read_nothing(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	(void)opaque;
	(void)offset;
	(void)data;
	(void)length;
}

static const struct bus_ops lazy = {.read = read_nothing};
static const struct bus_ops ops = {device_read, device_write};

FIXTURE(bus)
{
	struct bus bus;
	struct device a, b, c;
};

/* Added out of order. */
FIXTURE_SETUP(bus)
{
	memset(&self->a, 0, sizeof(self->a));
	memset(&self->b, 0, sizeof(self->b));
	memset(&self->c, 0, sizeof(self->c));
	ASSERT_EQ(0, bus__init(&self->bus));
	ASSERT_EQ(0, bus__add(&self->bus, BUS_MMIO, 0x3000, 0x200, "c", &ops, &self->c, NULL));
	ASSERT_EQ(0, bus__add(&self->bus, BUS_MMIO, 0x1000, 0x1000, "a", &ops, &self->a, NULL));
	ASSERT_EQ(0, bus__add(&self->bus, BUS_MMIO, 0x2000, 0x10, "b", &ops, &self->b, NULL));
}

FIXTURE_TEARDOWN(bus)
{
	bus__fini(&self->bus);
}

TEST_F(bus, each_address_reaches_its_device)
{
	uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8}, got[8];

	EXPECT_TRUE(bus__write(&self->bus, BUS_MMIO, 0x1ffc, data, 4));
	EXPECT_EQ(0xffc, self->a.offset);
	EXPECT_EQ(4, self->a.length);
	EXPECT_TRUE(bus__write(&self->bus, BUS_MMIO, 0x2008, data, 8));
	EXPECT_EQ(8, self->b.offset);
	EXPECT_EQ(8, self->b.length);
	EXPECT_TRUE(bus__read(&self->bus, BUS_MMIO, 0x2000, got, 8));
	EXPECT_EQ(0, memcmp(data, got, 8));
	EXPECT_TRUE(bus__read(&self->bus, BUS_MMIO, 0x31ff, got, 1));
	EXPECT_EQ(0x1ff, self->c.offset);
	EXPECT_EQ(1, self->a.writes + self->a.reads);
	EXPECT_EQ(2, self->b.writes + self->b.reads);
	EXPECT_EQ(1, self->c.writes + self->c.reads);
}

TEST_F(bus, nobody_reads_as_all_ones)
{
	static const struct {
		uint64_t addr;
		uint32_t length;
	} nobody[] = {{0, 4},	  {0xfff, 1},  {0x2010, 1},	{0x200c, 8},	    {0x1ffe, 4},
		      {0xffe, 4}, {0x3200, 8}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 8}};
	uint8_t ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};

	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		uint8_t data[8] = {0};

		EXPECT_FALSE(
			bus__read(&self->bus, BUS_MMIO, nobody[i].addr, data, nobody[i].length));
		EXPECT_EQ(0, memcmp(ones, data, nobody[i].length));
		EXPECT_EQ(0, data[7] & (nobody[i].length < 8 ? 0xff : 0));
		EXPECT_FALSE(
			bus__write(&self->bus, BUS_MMIO, nobody[i].addr, data, nobody[i].length));
	}
	EXPECT_EQ(18, atomic_load(&self->bus.unclaimed_mmio));
	EXPECT_EQ(0, self->a.reads + self->a.writes + self->b.reads + self->b.writes +
			     self->c.reads + self->c.writes);
}

TEST_F(bus, ports_and_memory_are_two_spaces)
{
	uint8_t data[4] = {0};

	EXPECT_FALSE(bus__read(&self->bus, BUS_PIO, 0x1000, data, 4));
	EXPECT_EQ(0, bus__add(&self->bus, BUS_PIO, 0x1000, 8, "port", &ops, &self->b, NULL));
	EXPECT_TRUE(bus__read(&self->bus, BUS_PIO, 0x1000, data, 4));
	EXPECT_EQ(1, self->b.reads);
	EXPECT_EQ(0, self->a.reads);
	EXPECT_EQ(0, atomic_load(&self->bus.unclaimed_mmio));
}

TEST_F(bus, bytes_that_a_device_leaves_are_zero)
{
	uint8_t data[8] = {9, 9, 9, 9, 9, 9, 9, 9};

	ASSERT_EQ(0, bus__add(&self->bus, BUS_MMIO, 0x8000, 8, "lazy", &lazy, NULL, NULL));
	EXPECT_TRUE(bus__read(&self->bus, BUS_MMIO, 0x8000, data, 8));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, data[i]);
}

TEST_F(bus, overlaps_and_impossible_ranges_are_refused)
{
	static const struct {
		enum bus_space space;
		uint64_t base, size;
		int err;
	} ranges[] = {
		{BUS_MMIO, 0x1000, 0x1000, -EEXIST}, {BUS_MMIO, 0x1fff, 2, -EEXIST},
		{BUS_MMIO, 0xfff, 2, -EEXIST},	     {BUS_MMIO, 0, UINT64_MAX, -EEXIST},
		{BUS_MMIO, 0x2fff, 2, -EEXIST},	     {BUS_MMIO, 0x5000, 0, -EINVAL},
		{BUS_MMIO, UINT64_MAX, 2, -EINVAL},  {BUS_PIO, 0xffff, 2, -EINVAL},
		{BUS_PIO, 0x10000, 1, -EINVAL},	     {BUS_PIO, 0xffff, 1, 0},
		{BUS_MMIO, UINT64_MAX, 1, 0},	     {BUS_MMIO, 0x2010, 0xff0, 0},
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		EXPECT_EQ(ranges[i].err, bus__add(&self->bus, ranges[i].space, ranges[i].base,
						  ranges[i].size, "new", &ops, &self->a, NULL));
}

TEST_F(bus, too_many_devices_are_refused)
{
	for (uint32_t i = 3; i < BUS_MAX_RANGES; i++)
		ASSERT_EQ(0, bus__add(&self->bus, BUS_MMIO, 0x10000 + 16 * i, 16, "n", &ops,
				      &self->a, NULL));
	EXPECT_EQ(-ENOSPC, bus__add(&self->bus, BUS_MMIO, 0x90000, 16, "n", &ops, &self->a, NULL));
}

TEST_F(bus, accesses_and_exits_are_counted)
{
	uint8_t data[4] = {0};

	for (int i = 0; i < 5; i++)
		bus__read(&self->bus, BUS_MMIO, 0x1000, data, 4);
	EXPECT_EQ(5, atomic_load(&self->bus.ranges[BUS_MMIO][0].hits));
	EXPECT_EQ(0, atomic_load(&self->bus.ranges[BUS_MMIO][1].hits));
	bus__count_pio(&self->bus, 0xffff);
	EXPECT_EQ(1, atomic_load(&self->bus.pio_count[0xffff]));
	bus__write(&self->bus, BUS_PIO, 0xffff, data, 1);
	EXPECT_EQ(1, atomic_load(&self->bus.pio_count[0xffff]));
}

TEST_HARNESS_MAIN
