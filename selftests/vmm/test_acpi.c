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
#include <unistd.h>

#include "kselftest_harness.h"
#include "shapes.h"
#include "x86_decode.h"

#define GPA 0xe0000u
#define ROOM (128u << 10)

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

static void destroy(struct machine *m)
{
	layout__destroy(&m->layout);
	free(m->buf);
}

TEST(linux_numbers_cpus_by_the_madt_as_the_layout_does)
{
	static struct acpi_cpu cpus[SHAPES_MAX_CPUS];

	for (size_t s = 0; s < NR_SHAPES; s++) {
		struct machine m = create(_metadata, shapes[s], SHAPES_GIB);
		const uint8_t *madt = acpi_find(&m.image, "APIC");

		ASSERT_NE(madt, NULL);
		ASSERT_EQ(acpi_madt_cpus(madt, cpus, SHAPES_MAX_CPUS), m.layout.nr_cpus);
		for (uint32_t i = 0; i < m.layout.nr_cpus; i++) {
			ASSERT_EQ(cpus[i].apicid, m.layout.cpus[i].hw_id);
			ASSERT_EQ(cpus[i].uid, i);
		}
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

		ASSERT_EQ(srat != NULL, nodes > 1);
		ASSERT_EQ(slit != NULL, nodes > 1);
		if (nodes > 1) {
			for (uint32_t i = 0; i < m.layout.nr_cpus; i++)
				ASSERT_EQ(acpi_srat_node(srat, m.layout.cpus[i].hw_id),
					  m.layout.cpus[i].node);
			ASSERT_EQ(acpi_read(slit + 4, 4), 44 + nodes * nodes);
			ASSERT_EQ(acpi_read(slit + 36, 8), nodes);
			for (uint32_t i = 0; i < nodes * nodes; i++)
				ASSERT_EQ(slit[44 + i], m.layout.distances[i]);
		}
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
	const char *names[] = {"FACP", "APIC", "SRAT", "SLIT"};
	const uint8_t *fadt = acpi_find(&m->image, "FACP"), *table;

	for (size_t i = 0; i < 4; i++) {
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

TEST(iasl_disassembles_every_table_without_error_or_warning)
{
	const struct ktstr_topology some[] = {TOPO(1, 2, 2, 2), TOPO(2, 14, 18, 1),
					      TOPO(4, 8, 3, 2)};

	const char *const always[] = {"XSDT", "FACP", "FACS", "DSDT", "APIC", NULL};
	const char *const numa[] = {"SRAT", "SLIT", NULL};

	if (!have_iasl())
		SKIP(return, "iasl is not in PATH");
	for (size_t i = 0; i < 3; i++) {
		struct machine m = create(_metadata, some[i], 5 * SHAPES_GIB);
		char dir[] = "/tmp/ktstr-acpi-XXXXXX";

		ASSERT_NE(mkdtemp(dir), NULL);
		write_tables(_metadata, &m, dir);
		EXPECT_EQ(run_in(dir,
				 "for t in ????; do iasl -d $t || echo error: $t; done >log 2>&1; "
				 "! grep -wiE 'errors?|warnings?|invalid|unknown' log *.dsl |"
				 " grep -vE 'Error Source|Compilation .* 0 Errors' >&2"),
			  0);
		for (const char *const *name = always; *name; name++)
			expect_disassembled(_metadata, dir, *name);
		for (const char *const *name = numa; some[i].numa_nodes > 1 && *name; name++)
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
