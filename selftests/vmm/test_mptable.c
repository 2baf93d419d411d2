// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MP table, found and read back by the kernel's rules, and where it and the ACPI tables lie in
 * a machine.
 */
#include "vmm/arch/x86/mptable.h"
#include "vmm/arch/x86/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "acpi_decode.h"
#include "mptable_decode.h"
#include "numa_shapes.h"
#include "shapes.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/vm.h"

#define GPA 0xf0000u
#define ROOM 0x10000u

/* A guest's first 1 MiB with a table in it. */
struct machine {
	struct layout layout;
	struct mptable_spec spec;
	uint8_t *low;
	size_t used;
	int err;
	struct ktstr_error error;
};

static struct machine create(struct __test_metadata *_metadata, struct ktstr_topology t,
			     uint64_t ram)
{
	struct gmem mem = shapes_ram(ram);
	struct machine m = {.low = calloc(1, MP_LOW_MEMORY)};

	ASSERT_NE(m.low, NULL);
	ASSERT_EQ(layout__create(&t, &mem, &m.layout, NULL), 0);
	m.spec = (struct mptable_spec){
		.lapic_base = 0xfee00000,
		.ioapic_base = 0xfec00000,
		.ioapic_id = 3,
		.ioapic_pins = 24,
		.ioapic_version = 0x11,
		.sci_gsi = 9,
		.cpu_signature = 0x000a20f0,
		.cpu_features = 0x178bfbff,
		.pic = true,
	};
	return m;
}

static void build(struct machine *m, size_t room)
{
	m->error = (struct ktstr_error){0};
	m->spec.layout = &m->layout;
	m->err = mptable__build(&m->spec, GPA, m->low + GPA, room, &m->used, &m->error);
}

static void destroy(struct machine *m)
{
	layout__destroy(&m->layout);
	free(m->low);
}

static void expect_table(struct __test_metadata *_metadata, struct machine *m)
{
	static struct mp_table t;
	uint32_t at, steps;

	at = mp_find(m->low, &steps);
	ASSERT_EQ(at, GPA);
	ASSERT_TRUE(mp_decode(m->low, at, &t));
	EXPECT_EQ(t.end, GPA + m->used);
	EXPECT_EQ(t.lapic_base, 0xfee00000);
	ASSERT_EQ(t.nr_cpus, m->layout.nr_cpus);
	for (uint32_t i = 0; i < t.nr_cpus; i++) {
		ASSERT_EQ(t.cpus[i].apicid, m->layout.cpus[i].hw_id);
		ASSERT_EQ(t.cpus[i].boot, i == 0);
		ASSERT_EQ(t.cpus[i].version, 0x14);
		ASSERT_EQ(t.cpus[i].signature, 0x000a20f0);
		ASSERT_EQ(t.cpus[i].features, 0x178bfbff);
	}
	EXPECT_EQ(t.nr_ioapics, 1);
	EXPECT_EQ(t.ioapic_id, 3);
	EXPECT_EQ(t.ioapic_version, 0x11);
	EXPECT_EQ(t.ioapic_base, 0xfec00000);
	for (uint32_t pin = 0; pin < MP_MAX_PINS; pin++) {
		ASSERT_EQ(t.pins[pin].connected, pin < 24 && pin != 2);
		if (!t.pins[pin].connected)
			continue;
		EXPECT_EQ(t.pins[pin].irq, pin);
		EXPECT_EQ(t.pins[pin].level, pin == 9);
		EXPECT_FALSE(t.pins[pin].active_low);
	}
	EXPECT_EQ(t.lint[0], 3); /* ExtINT */
	EXPECT_EQ(t.lint[1], 1); /* NMI */
}

TEST(every_shape_with_8_bit_ids_has_its_table_and_others_are_refused_by_range)
{
	uint32_t with = 0, without = 0;

	for (size_t s = 0; s < NR_SHAPES + NR_NUMA_SHAPES; s++) {
		const struct numa_shape *numa = s < NR_SHAPES ? NULL : &numa_shapes[s - NR_SHAPES];
		struct machine m =
			numa ? create(_metadata, numa->topology, (uint64_t)numa->memory_mb << 20)
			     : create(_metadata, shapes[s], SHAPES_GIB);

		build(&m, ROOM);
		if (m.layout.cpus[m.layout.nr_cpus - 1].hw_id < 255) {
			with++;
			ASSERT_EQ(m.err, 0) TH_LOG("shape %zu: %s", s, m.error.reason);
			expect_table(_metadata, &m);
		} else {
			without++;
			EXPECT_EQ(m.err, -ERANGE);
			EXPECT_EQ(m.error.err, ERANGE);
			EXPECT_NE(strstr(m.error.reason, "254"), NULL);
		}
		destroy(&m);
	}
	EXPECT_GT(with, 30);
	EXPECT_GT(without, 2);
}

TEST(id_254_is_the_last_that_fits)
{
	for (uint32_t cpus = 255; cpus <= 256; cpus++) {
		struct machine m = create(_metadata, TOPO(1, 1, cpus, 1), SHAPES_GIB);

		build(&m, ROOM);
		ASSERT_EQ(m.err, cpus == 255 ? 0 : -ERANGE);
		if (!m.err)
			expect_table(_metadata, &m);
		destroy(&m);
	}
}

TEST(without_8259s_lint0_has_no_source)
{
	struct machine m = create(_metadata, TOPO(1, 1, 2, 1), SHAPES_GIB);
	static struct mp_table t;
	uint32_t steps;

	m.spec.pic = false;
	build(&m, ROOM);
	ASSERT_EQ(m.err, 0);
	ASSERT_TRUE(mp_decode(m.low, mp_find(m.low, &steps), &t));
	EXPECT_EQ(t.lint[0], -1);
	EXPECT_EQ(t.lint[1], 1);
	destroy(&m);
}

TEST(a_buffer_of_exactly_the_size_is_enough_and_none_smaller_is_written_past)
{
	struct machine m = create(_metadata, TOPO(1, 3, 5, 2), SHAPES_GIB);
	size_t needed;

	build(&m, ROOM);
	needed = m.used;
	memset(m.low, 0, MP_LOW_MEMORY);
	build(&m, needed);
	ASSERT_EQ(m.err, 0);
	expect_table(_metadata, &m);
	for (size_t size = 0; size < needed; size++) {
		memset(m.low, 0xa5, MP_LOW_MEMORY);
		build(&m, size);
		ASSERT_EQ(m.err, -ENOSPC);
		ASSERT_EQ(m.used, needed);
		for (size_t i = GPA + size; i < GPA + needed; i++)
			ASSERT_EQ(m.low[i], 0xa5);
	}
	destroy(&m);
}

TEST(what_the_table_cannot_say_is_refused)
{
	struct machine m = create(_metadata, TOPO(1, 1, 1, 1), SHAPES_GIB);
	struct mptable_spec good;

	build(&m, ROOM);
	ASSERT_EQ(m.err, 0);
	good = m.spec;
	m.spec.lapic_base = UINT64_C(1) << 32;
	build(&m, ROOM);
	EXPECT_EQ(m.err, -EINVAL);
	m.spec = good;
	m.spec.ioapic_base = UINT64_MAX;
	build(&m, ROOM);
	EXPECT_EQ(m.err, -EINVAL);
	m.spec = good;
	m.spec.ioapic_pins = 257;
	build(&m, ROOM);
	EXPECT_EQ(m.err, -EINVAL);
	m.spec = good;
	m.spec.ioapic_id = 256;
	build(&m, ROOM);
	EXPECT_EQ(m.err, -EINVAL);
	EXPECT_EQ(mptable__build(&good, GPA + 8, m.low, ROOM, &m.used, NULL), -EINVAL);
	EXPECT_EQ(mptable__build(&good, UINT64_C(1) << 32, m.low, ROOM, &m.used, NULL), -EINVAL);
	destroy(&m);
}

/* ---- in a machine ---- */

FIXTURE(tables)
{
	struct vm *vm;
	struct x86_vm x86;
	struct ktstr_error error;
};

FIXTURE_SETUP(tables)
{
	self->vm = calloc(1, sizeof(*self->vm));
	ASSERT_NE(self->vm, NULL);
	memset(&self->x86, 0, sizeof(self->x86));
	memset(&self->error, 0, sizeof(self->error));
	self->vm->arch_data = &self->x86;
}

FIXTURE_TEARDOWN(tables)
{
	layout__destroy(&self->vm->layout);
	gmem__unmap(&self->vm->mem);
	free(self->vm);
}

static int write_tables(FIXTURE_DATA(tables) * self, struct ktstr_topology t, uint64_t ram,
			const char *append)
{
	layout__destroy(&self->vm->layout);
	gmem__unmap(&self->vm->mem);
	self->error = (struct ktstr_error){0};
	self->vm->config.append = append;
	if (gmem__layout(&self->vm->mem, ram, NULL) || gmem__map(&self->vm->mem, NULL) ||
	    layout__create(&t, &self->vm->mem, &self->vm->layout, NULL))
		abort();
	return x86_tables__write(self->vm, &self->error);
}

/* MADT and MP table of the machine have its CPUs; returns the address of the RSDP. */
static uint64_t expect_written(struct __test_metadata *_metadata, FIXTURE_DATA(tables) * self,
			       uint64_t rsdp, uint64_t end, bool mptable)
{
	static struct acpi_cpu cpus[4096];
	static struct mp_table t;
	const struct layout *l = &self->vm->layout;
	struct acpi_image image = {gmem__ptr(&self->vm->mem, rsdp, end - rsdp), end - rsdp, rsdp};
	const uint8_t *low = gmem__ptr(&self->vm->mem, 0, MP_LOW_MEMORY), *madt;
	uint32_t at, steps;

	ASSERT_NE(image.bytes, NULL);
	madt = acpi_find(&image, "APIC");
	ASSERT_NE(madt, NULL);
	ASSERT_EQ(acpi_madt_cpus(madt, cpus, 4096), l->nr_cpus);
	EXPECT_EQ(cpus[l->nr_cpus - 1].apicid, l->max_hw_id);
	at = mp_find(low, &steps);
	ASSERT_EQ(at != 0, mptable);
	if (!mptable)
		return 0;
	/* Each step is a mapping of its own in Linux: the last of them would be number 4224. */
	EXPECT_LE(steps, 129);
	ASSERT_TRUE(mp_decode(low, at, &t));
	EXPECT_EQ(t.nr_cpus, l->nr_cpus);
	EXPECT_EQ(t.lapic_base, acpi_read(madt + 36, 4));
	return at;
}

TEST_F(tables, lie_below_1_mib_where_e820_reserves)
{
	ASSERT_EQ(write_tables(self, TOPO(2, 4, 4, 2), SHAPES_GIB, NULL), 0)
	TH_LOG("%s", self->error.reason);
	EXPECT_EQ(self->x86.high_tables, 0);
	/* reserved is what is not RAM in the map that test_boot checks */
	EXPECT_GE(expect_written(_metadata, self, 0xe0000, 0xf0000, true), 0x9fc00);
}

TEST_F(tables, of_4096_cpus_lie_at_the_top_of_low_ram)
{
	const uint64_t sizes[] = {SHAPES_GIB, 5 * SHAPES_GIB};

	for (size_t i = 0; i < 2; i++) {
		uint64_t top = i ? UINT64_C(0xc0000000) : sizes[i];

		ASSERT_EQ(write_tables(self, TOPO(64, 64, 32, 2), sizes[i], NULL), 0);
		ASSERT_NE(self->x86.high_tables, 0);
		EXPECT_EQ(self->x86.high_tables % 4096, 0);
		EXPECT_GT(self->x86.high_tables, top - (512 << 10));
		expect_written(_metadata, self, self->x86.high_tables, top, false);
	}
}

TEST_F(tables, that_do_not_fit_anywhere_are_refused)
{
	ASSERT_EQ(write_tables(self, TOPO(2, 64, 32, 2), 64 << 20, NULL), 0);
	EXPECT_NE(self->x86.high_tables, 0);
	self->vm->mem.regions[0].size = 1 << 20;
	EXPECT_EQ(x86_tables__write(self->vm, &self->error), -ENOMEM);
	EXPECT_NE(self->error.hint[0], '\0');
	EXPECT_EQ(self->x86.high_tables, 0);
	self->vm->mem.regions[0].size = 64 << 20;
}

TEST_F(tables, without_acpi_need_the_mp_table)
{
	const struct ktstr_topology fits = TOPO(1, 1, 255, 1), not = TOPO(1, 1, 256, 1);

	EXPECT_EQ(write_tables(self, fits, SHAPES_GIB, "acpi=off"), 0);
	expect_written(_metadata, self, 0xe0000, 0xf0000, true);
	EXPECT_EQ(write_tables(self, not, SHAPES_GIB, "nokaslr"), 0);
	expect_written(_metadata, self, 0xe0000, 0xf0000, false);
	EXPECT_EQ(write_tables(self, not, SHAPES_GIB, "nokaslr acpi=off"), -ERANGE);
	EXPECT_STREQ(self->error.object, "MP table");
	EXPECT_NE(strstr(self->error.reason, "254"), NULL);
	EXPECT_NE(strstr(self->error.hint, "acpi=off"), NULL);
}

TEST_F(tables, of_a_split_chip_name_no_8259)
{
	static struct mp_table t;
	const uint8_t *low;
	uint32_t steps;

	self->x86.split_irqchip = true;
	ASSERT_EQ(write_tables(self, TOPO(1, 1, 2, 1), SHAPES_GIB, NULL), 0);
	low = gmem__ptr(&self->vm->mem, 0, MP_LOW_MEMORY);
	ASSERT_TRUE(mp_decode(low, mp_find(low, &steps), &t));
	EXPECT_EQ(t.lint[0], -1);
	EXPECT_EQ(t.ioapic_version, 0x20);
	EXPECT_EQ(
		acpi_read(acpi_find(&(struct acpi_image){low + 0xe0000, 0x10000, 0xe0000}, "APIC") +
				  40,
			  4),
		0);
}

TEST(the_last_acpi_option_that_linux_reads_decides)
{
	static const struct {
		const char *cmdline;
		bool off;
	} cases[] = {
		{NULL, false},
		{"", false},
		{"acpi=off", true},
		{"  quiet\tacpi=off ", true},
		{"acpi=offf", false},
		{"xacpi=off", false},
		{"acpi=noirq", false},
		{"acpi=off acpi=force", false},
		{"acpi=force acpi=off", true},
		{"acpi=off acpi=strict", true},
		{"-- acpi=off", false},
		{"--- acpi=off", true},
		{"acpi=off -- acpi=force", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT_EQ(x86_tables__acpi_is_off(cases[i].cmdline), cases[i].off)
		{
			TH_LOG("case %zu", i);
		}
	}
}

TEST_HARNESS_MAIN
