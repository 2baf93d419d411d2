// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the MP table of a guest (Intel MultiProcessor Specification 1.4, chapter 4).
 *
 * It says what the ACPI tables say: pin n of the I/O APIC is GSI n, edge triggered and active high
 * but for the SCI. All are sources on one ISA bus: pins past 15 have no bus here, and guests take
 * the source's number for the pin's. Input 2 has no source, as the 8259s use it for themselves.
 */
#include "mptable.h"

#include <errno.h>

#include "table_out.h"

#define SPEC_REVISION 4 /* 1.4 */
#define FLOATING_SIZE 16u
#define FLOATING_CHECKSUM 10u
#define CONFIG_LENGTH 4u
#define CONFIG_CHECKSUM 7u
#define CONFIG_ENTRIES 34u

/* Entry types (§4.3). */
#define ENTRY_PROCESSOR 0
#define ENTRY_BUS 1
#define ENTRY_IO_APIC 2
#define ENTRY_IO_INTERRUPT 3
#define ENTRY_LOCAL_INTERRUPT 4

#define CPU_ENABLED 1u
#define CPU_BOOT 2u
#define LAPIC_VERSION 0x14 /* of KVM's */
#define ISA_BUS 0
#define IO_APIC_ENABLED 1

#define INTERRUPT_INT 0
#define INTERRUPT_NMI 1
#define INTERRUPT_EXTINT 3
#define FLAGS_BUS_DEFAULT 0x0
#define FLAGS_HIGH_EDGE 0x5  /* polarity 01, trigger mode 01 */
#define FLAGS_HIGH_LEVEL 0xd /* polarity 01, trigger mode 11 */
#define ALL_LOCAL_APICS 0xff
#define CASCADE_IRQ 2u

static void put_processor(struct table_out *o, const struct mptable_spec *spec, uint32_t cpu)
{
	table__put(o, ENTRY_PROCESSOR, 1);
	table__put(o, spec->layout->cpus[cpu].hw_id, 1);
	table__put(o, LAPIC_VERSION, 1);
	table__put(o, CPU_ENABLED | (cpu == 0 ? CPU_BOOT : 0), 1);
	table__put(o, spec->cpu_signature, 4);
	table__put(o, spec->cpu_features, 4);
	table__put_zeros(o, 8);
}

/* I/O and local interrupt assignment entries (§4.3.4, §4.3.5) have one form. */
static void put_interrupt(struct table_out *o, unsigned int entry, unsigned int type,
			  unsigned int flags, uint32_t source, uint32_t apic, uint32_t input)
{
	table__put(o, entry, 1);
	table__put(o, type, 1);
	table__put(o, flags, 2);
	table__put(o, ISA_BUS, 1);
	table__put(o, source, 1);
	table__put(o, apic, 1);
	table__put(o, input, 1);
}

/* In order of their types, as §4.3 asks. Returns how many. */
static uint32_t put_entries(struct table_out *o, const struct mptable_spec *spec)
{
	uint32_t n = spec->layout->nr_cpus + 2, i;

	for (i = 0; i < spec->layout->nr_cpus; i++)
		put_processor(o, spec, i);

	table__put(o, ENTRY_BUS, 1);
	table__put(o, ISA_BUS, 1);
	table__put_text(o, "ISA   ", 6);

	table__put(o, ENTRY_IO_APIC, 1);
	table__put(o, spec->ioapic_id, 1);
	table__put(o, spec->ioapic_version, 1);
	table__put(o, IO_APIC_ENABLED, 1);
	table__put(o, spec->ioapic_base, 4);

	for (i = 0; i < spec->ioapic_pins; i++) {
		if (i == CASCADE_IRQ)
			continue;
		put_interrupt(o, ENTRY_IO_INTERRUPT, INTERRUPT_INT,
			      i == spec->sci_gsi ? FLAGS_HIGH_LEVEL : FLAGS_HIGH_EDGE, i,
			      spec->ioapic_id, i);
		n++;
	}
	if (spec->pic) {
		put_interrupt(o, ENTRY_LOCAL_INTERRUPT, INTERRUPT_EXTINT, FLAGS_BUS_DEFAULT, 0,
			      ALL_LOCAL_APICS, 0);
		n++;
	}
	put_interrupt(o, ENTRY_LOCAL_INTERRUPT, INTERRUPT_NMI, FLAGS_BUS_DEFAULT, 0,
		      ALL_LOCAL_APICS, 1);
	return n + 1;
}

/* MP Configuration Table (§4.2). */
static void put_config(struct table_out *o, const struct mptable_spec *spec)
{
	size_t start = o->len;

	table__put_text(o, "PCMP", 4);
	table__put(o, 0, 2); /* length */
	table__put(o, SPEC_REVISION, 1);
	table__put(o, 0, 1); /* checksum */
	table__put_text(o, "KTSTR   ", 8);
	table__put_text(o, "VM          ", 12);
	table__put_zeros(o, 6); /* no OEM table */
	table__put(o, 0, 2);	/* entries */
	table__put(o, spec->lapic_base, 4);
	table__put_zeros(o, 4); /* no extended table */
	table__patch(o, start + CONFIG_ENTRIES, put_entries(o, spec), 2);
	table__patch(o, start + CONFIG_LENGTH, o->len - start, 2);
	table__patch_checksum(o, start, o->len - start, start + CONFIG_CHECKSUM);
}

/* MP Floating Pointer Structure (§4.1): no default configuration, no IMCR. */
static void put_floating_pointer(struct table_out *o)
{
	size_t start = o->len;

	table__put_text(o, "_MP_", 4);
	table__put(o, o->gpa + start + FLOATING_SIZE, 4);
	table__put(o, FLOATING_SIZE / 16, 1);
	table__put(o, SPEC_REVISION, 1);
	table__put_zeros(o, 6);
	table__patch_checksum(o, start, FLOATING_SIZE, start + FLOATING_CHECKSUM);
}

static bool below_4g(uint64_t base, uint64_t size)
{
	uint64_t end;

	return !__builtin_add_overflow(base, size, &end) && end <= UINT64_C(1) << 32;
}

static int check_spec(const struct mptable_spec *spec, uint64_t gpa, size_t size,
		      struct ktstr_error *error)
{
	if (gpa % FLOATING_SIZE || !below_4g(gpa, size) || !below_4g(spec->lapic_base, 4096) ||
	    !below_4g(spec->ioapic_base, 4096))
		return ktstr_error__set(error, EINVAL, "write", "MP table",
					"an address is above 4 GiB or not 16-byte aligned");
	if (spec->ioapic_id > UINT8_MAX || spec->ioapic_pins > UINT8_MAX + 1u)
		return ktstr_error__set(error, EINVAL, "write", "MP table",
					"I/O APIC %u with %u pins is more than 8 bits can say",
					spec->ioapic_id, spec->ioapic_pins);
	if (spec->layout->max_hw_id > MPTABLE_MAX_APIC_ID)
		return ktstr_error__set(error, ERANGE, "write", "MP table",
					"its APIC ids end at %u, the topology needs %u",
					MPTABLE_MAX_APIC_ID, spec->layout->max_hw_id);
	return 0;
}

int mptable__build(const struct mptable_spec *spec, uint64_t gpa, uint8_t *buf, size_t size,
		   size_t *used, struct ktstr_error *error)
{
	struct table_out o = {.buf = buf, .size = size, .gpa = gpa};
	int err = check_spec(spec, gpa, size, error);

	if (err)
		return err;
	put_floating_pointer(&o);
	put_config(&o, spec);
	*used = o.len;
	if (o.len > size)
		return ktstr_error__set(error, ENOSPC, "write", "MP table",
					"%zu bytes are needed, there are %zu", o.len, size);
	return 0;
}
