// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the ACPI tables of a guest (ACPI 6.5): RSDP, XSDT, FADT, FACS and MADT here, the others by
 * acpi_dsdt.c and acpi_numa.c.
 *
 * What is said, and what is left out on purpose:
 * - No interrupt source override for IRQ 0: KVM's default routing joins the PIT to pin 0 and 8259
 *   input 0, not to pin 2 as PC boards do, so identity is the truth. Guests with a known TSC
 * frequency and TSC-deadline timers never ask.
 * - The SCI is level triggered, active high: without an override a guest assumes active low.
 * - No 8042, VGA or CMOS clock in the boot flags: guests then do not wait for a keyboard that never
 *   answers; the 8042's reset command works all the same.
 * - No SMI_CMD: the machine is in ACPI mode from the start (§4.8.2.5).
 * - No processor devices: guests number CPUs by the MADT and need them only for hot-plug and
 *   power states.
 */
#include <errno.h>
#include <stdbool.h>

#include "acpi_parts.h"

#define OEM_ID "KTSTR "
#define OEM_TABLE_ID "KTSTRVMM"
#define CREATOR_ID "KTST"

#define TABLE_ALIGN 16u
#define FACS_ALIGN 64u /* §5.2.10 */
#define RSDP_SIZE 36u  /* §5.2.5.3 */
#define RSDP_V1_SIZE 20u
#define HEADER_SIZE 36u /* §5.2.6 */
#define HEADER_LENGTH 4u
#define HEADER_CHECKSUM 9u
#define MAX_TABLES 5u /* in the XSDT: FADT, MADT, SRAT, SLIT, HMAT */

size_t acpi_table__begin(struct table_out *o, const char *signature, uint8_t revision)
{
	size_t start = table__align(o, TABLE_ALIGN);

	table__put_text(o, signature, 4);
	table__put(o, 0, 4);
	table__put(o, revision, 1);
	table__put(o, 0, 1);
	table__put_text(o, OEM_ID, 6);
	table__put_text(o, OEM_TABLE_ID, 8);
	table__put(o, 1, 4);
	table__put_text(o, CREATOR_ID, 4);
	table__put(o, 1, 4);
	return start;
}

void acpi_table__end(struct table_out *o, size_t start)
{
	table__patch(o, start + HEADER_LENGTH, o->len - start, 4);
	table__patch_checksum(o, start, o->len - start, start + HEADER_CHECKSUM);
}

/* Firmware ACPI Control Structure (§5.2.10): 64 bytes without checksum. */
static size_t write_facs(struct table_out *o)
{
	size_t start = table__align(o, FACS_ALIGN);

	table__put_text(o, "FACS", 4);
	table__put(o, 64, 4);
	table__put_zeros(o, 24);
	table__put(o, 2, 1); /* version */
	table__put_zeros(o, 31);
	return start;
}

/* Generic Address Structure (§5.2.3.2) of a port; access size 0 for what is not there. */
static void put_port(struct table_out *o, uint16_t port, uint8_t bits, uint8_t access_size)
{
	table__put(o, port ? 1 : 0, 1); /* system I/O */
	table__put(o, port ? bits : 0, 1);
	table__put(o, 0, 1);
	table__put(o, port ? access_size : 0, 1);
	table__put(o, port, 8);
}

/* FADT flags (§5.2.9, table 5.10) and boot flags (table 5.11). */
#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_NO_PWR_BUTTON (1u << 4)
#define FADT_NO_SLP_BUTTON (1u << 5)
#define FADT_NO_FIX_RTC (1u << 6)
#define FADT_TMR_VAL_EXT (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HEADLESS (1u << 12)
#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_NO_VGA (1u << 2)
#define BOOT_NO_CMOS_RTC (1u << 5)
#define NO_C2_LATENCY 0xfff
#define NO_C3_LATENCY 0xfff
#define ACCESS_BYTE 1
#define ACCESS_WORD 2
#define ACCESS_DWORD 3
#define FADT_REVISION 6
#define FADT_MINOR 5
#define FADT_SIZE 276u
#define FADT_FACS 36u
#define FADT_DSDT 40u
#define FADT_X_DSDT 140u

/* Fixed ACPI Description Table (§5.2.9). FACS and DSDT are patched in when they are placed. */
static size_t write_fadt(struct table_out *o, const struct acpi_spec *spec)
{
	size_t start = acpi_table__begin(o, "FACP", FADT_REVISION);
	uint32_t flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_PWR_BUTTON | FADT_NO_SLP_BUTTON |
			 FADT_NO_FIX_RTC | FADT_RESET_REG_SUP | FADT_HEADLESS;

	if (spec->pm_timer)
		flags |= FADT_TMR_VAL_EXT;
	table__put(o, 0, 4);	/* FIRMWARE_CTRL */
	table__put(o, 0, 4);	/* DSDT */
	table__put_zeros(o, 2); /* reserved, Preferred_PM_Profile: unspecified */
	table__put(o, spec->sci_gsi, 2);
	table__put_zeros(o, 8); /* SMI_CMD, ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
	table__put(o, spec->pm1a_event, 4);
	table__put(o, 0, 4);
	table__put(o, spec->pm1a_control, 4);
	table__put(o, 0, 4);
	table__put(o, 0, 4);
	table__put(o, spec->pm_timer, 4);
	table__put_zeros(o, 8); /* GPE0_BLK, GPE1_BLK */
	table__put(o, 4, 1);
	table__put(o, 2, 1);
	table__put(o, 0, 1);
	table__put(o, spec->pm_timer ? 4 : 0, 1);
	table__put_zeros(o, 4); /* GPE0_BLK_LEN, GPE1_BLK_LEN, GPE1_BASE, CST_CNT */
	table__put(o, NO_C2_LATENCY, 2);
	table__put(o, NO_C3_LATENCY, 2);
	table__put_zeros(o, 4); /* FLUSH_SIZE, FLUSH_STRIDE */
	table__put_zeros(o, 5); /* DUTY_OFFSET, DUTY_WIDTH, DAY_ALRM, MON_ALRM, CENTURY */
	table__put(o, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_CMOS_RTC, 2);
	table__put(o, 0, 1);
	table__put(o, flags, 4);
	put_port(o, spec->reset_port, 8, ACCESS_BYTE);
	table__put(o, spec->reset_value, 1);
	table__put(o, 0, 2); /* ARM_BOOT_ARCH */
	table__put(o, FADT_MINOR, 1);
	table__put(o, 0, 8); /* X_FIRMWARE_CTRL: the 32-bit one is used */
	table__put(o, 0, 8); /* X_DSDT */
	put_port(o, spec->pm1a_event, 32, ACCESS_WORD);
	put_port(o, 0, 0, 0);
	put_port(o, spec->pm1a_control, 16, ACCESS_WORD);
	put_port(o, 0, 0, 0);
	put_port(o, 0, 0, 0);
	put_port(o, spec->pm_timer, 32, ACCESS_DWORD);
	put_port(o, 0, 0, 0);
	put_port(o, 0, 0, 0);
	put_port(o, 0, 0, 0); /* SLEEP_CONTROL_REG: for hardware-reduced ACPI */
	put_port(o, 0, 0, 0);
	table__put(o, 0, 8); /* Hypervisor Vendor Identity */
	return start;
}

/* MADT structure types (§5.2.12). */
#define MADT_LOCAL_APIC 0
#define MADT_IO_APIC 1
#define MADT_SOURCE_OVERRIDE 2
#define MADT_LOCAL_APIC_NMI 4
#define MADT_LOCAL_X2APIC 9
#define MADT_LOCAL_X2APIC_NMI 10
#define MADT_PCAT_COMPAT 1u
#define MADT_ENABLED 1u
#define MPS_ACTIVE_HIGH_LEVEL 0xd /* table 5.26: polarity 01, trigger mode 11 */
#define NMI_LINT 1

/* Guests number the CPUs in the order of these, the boot CPU first, as it stands first. */
static size_t write_madt(struct table_out *o, const struct acpi_spec *spec)
{
	const struct layout *l = spec->layout;
	size_t start = acpi_table__begin(o, "APIC", 6);
	uint32_t i;

	table__put(o, spec->lapic_base, 4);
	table__put(o, spec->pic ? MADT_PCAT_COMPAT : 0, 4);
	for (i = 0; i < l->nr_cpus; i++) {
		if (l->cpus[i].hw_id < ACPI_FIRST_X2APIC_ID) {
			table__put(o, MADT_LOCAL_APIC, 1);
			table__put(o, 8, 1);
			table__put(o, i, 1); /* below 255 as well: ids are never below the index */
			table__put(o, l->cpus[i].hw_id, 1);
			table__put(o, MADT_ENABLED, 4);
		} else {
			table__put(o, MADT_LOCAL_X2APIC, 1);
			table__put(o, 16, 1);
			table__put(o, 0, 2);
			table__put(o, l->cpus[i].hw_id, 4);
			table__put(o, MADT_ENABLED, 4);
			table__put(o, i, 4);
		}
	}
	table__put(o, MADT_IO_APIC, 1);
	table__put(o, 12, 1);
	table__put(o, spec->ioapic_id, 1);
	table__put(o, 0, 1);
	table__put(o, spec->ioapic_base, 4);
	table__put(o, 0, 4);
	if (spec->sci_gsi < ACPI_ISA_IRQS) {
		table__put(o, MADT_SOURCE_OVERRIDE, 1);
		table__put(o, 10, 1);
		table__put(o, 0, 1); /* ISA */
		table__put(o, spec->sci_gsi, 1);
		table__put(o, spec->sci_gsi, 4);
		table__put(o, MPS_ACTIVE_HIGH_LEVEL, 2);
	}
	table__put(o, MADT_LOCAL_APIC_NMI, 1);
	table__put(o, 6, 1);
	table__put(o, 0xff, 1); /* all processors */
	table__put(o, 0, 2);
	table__put(o, NMI_LINT, 1);
	if (l->max_hw_id >= ACPI_FIRST_X2APIC_ID) {
		table__put(o, MADT_LOCAL_X2APIC_NMI, 1);
		table__put(o, 12, 1);
		table__put(o, 0, 2);
		table__put(o, UINT32_MAX, 4);
		table__put(o, NMI_LINT, 1);
		table__put_zeros(o, 3);
	}
	acpi_table__end(o, start);
	return start;
}

static int refuse(struct ktstr_error *error, const char *what, uint64_t value, const char *reason)
{
	return ktstr_error__set(error, EINVAL, "ACPI tables", what, "%#llx %s",
				(unsigned long long)value, reason);
}

static bool below_4g(uint64_t base, uint64_t size)
{
	uint64_t end;

	return !__builtin_add_overflow(base, size, &end) && end <= UINT64_C(1) << 32;
}

/* What the tables could not say: addresses that need more than 32 bits, GSIs that have no pin. */
static int check_spec(const struct acpi_spec *spec, uint64_t gpa, size_t size,
		      struct ktstr_error *error)
{
	size_t i;

	if (gpa % TABLE_ALIGN || !below_4g(gpa, size))
		return refuse(error, "address", gpa, "is not 16-byte aligned below 4 GiB");
	if (!below_4g(spec->lapic_base, 4096))
		return refuse(error, "local APIC", spec->lapic_base, "is above 4 GiB");
	if (!below_4g(spec->ioapic_base, 4096))
		return refuse(error, "I/O APIC", spec->ioapic_base, "is above 4 GiB");
	if (spec->nr_serials > ACPI_MAX_DEVICES || spec->nr_virtio > ACPI_MAX_DEVICES)
		return refuse(error, "devices", spec->nr_serials + spec->nr_virtio, "are too many");
	if (spec->sci_gsi >= spec->ioapic_pins)
		return refuse(error, "SCI", spec->sci_gsi, "is not a pin of the I/O APIC");
	for (i = 0; i < spec->nr_serials; i++)
		if (spec->serials[i].gsi >= spec->ioapic_pins)
			return refuse(error, "serial port", spec->serials[i].gsi,
				      "is not a pin of the I/O APIC");
	for (i = 0; i < spec->nr_virtio; i++) {
		if (spec->virtio[i].gsi >= spec->ioapic_pins)
			return refuse(error, "virtio device", spec->virtio[i].gsi,
				      "is not a pin of the I/O APIC");
		if (!below_4g(spec->virtio[i].base, spec->virtio[i].size))
			return refuse(error, "virtio device", spec->virtio[i].base,
				      "is above 4 GiB");
	}
	return 0;
}

/* Root System Description Pointer (§5.2.5.3), at the start; it has two checksums. */
static void patch_rsdp(struct table_out *o, uint64_t xsdt)
{
	struct table_out there = {.buf = o->buf, .size = o->size};

	table__put_text(&there, "RSD PTR ", 8);
	table__put(&there, 0, 1);
	table__put_text(&there, OEM_ID, 6);
	table__put(&there, 2, 1);
	table__put(&there, 0, 4); /* no RSDT */
	table__put(&there, RSDP_SIZE, 4);
	table__put(&there, xsdt, 8);
	table__put(&there, 0, 4);
	table__patch_checksum(o, 0, RSDP_V1_SIZE, 8);
	table__patch_checksum(o, 0, RSDP_SIZE, 32);
}

int acpi__build(const struct acpi_spec *spec, uint64_t gpa, uint8_t *buf, size_t size, size_t *used,
		struct ktstr_error *error)
{
	struct table_out o = {.buf = buf, .size = size, .gpa = gpa};
	bool numa = spec->layout->nr_nodes > 1;
	uint32_t nr_tables = numa ? 5 : 3;
	size_t tables[MAX_TABLES];
	size_t xsdt, dsdt, i;
	int err = check_spec(spec, gpa, size, error);

	if (err)
		return err;

	table__put_zeros(&o, RSDP_SIZE);
	xsdt = acpi_table__begin(&o, "XSDT", 1);
	table__put_zeros(&o, nr_tables * sizeof(uint64_t));

	tables[0] = write_fadt(&o, spec);
	table__patch(&o, tables[0] + HEADER_LENGTH, FADT_SIZE, 4);
	table__patch(&o, tables[0] + FADT_FACS, gpa + write_facs(&o), 4);
	dsdt = acpi_dsdt__write(&o, spec);
	table__patch(&o, tables[0] + FADT_DSDT, gpa + dsdt, 4);
	table__patch(&o, tables[0] + FADT_X_DSDT, gpa + dsdt, 8);
	table__patch_checksum(&o, tables[0], FADT_SIZE, tables[0] + HEADER_CHECKSUM);

	tables[1] = write_madt(&o, spec);
	/* One node has it too: without, Linux on AMD takes the LLC's id for the node of a CPU. */
	tables[2] = acpi_numa__write_srat(&o, spec->layout);
	if (numa) {
		tables[3] = acpi_numa__write_slit(&o, spec->layout);
		tables[4] = acpi_numa__write_hmat(&o, spec->layout);
	}
	for (i = 0; i < nr_tables; i++)
		table__patch(&o, xsdt + HEADER_SIZE + i * sizeof(uint64_t), gpa + tables[i], 8);
	table__patch(&o, xsdt + HEADER_LENGTH, HEADER_SIZE + nr_tables * sizeof(uint64_t), 4);
	table__patch_checksum(&o, xsdt, HEADER_SIZE + nr_tables * sizeof(uint64_t),
			      xsdt + HEADER_CHECKSUM);
	patch_rsdp(&o, gpa + xsdt);

	*used = o.len;
	if (o.len > size)
		return ktstr_error__set(error, ENOSPC, "ACPI tables", NULL,
					"%zu bytes are needed, there are %zu", o.len, size);
	return 0;
}
