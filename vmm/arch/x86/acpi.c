// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes the ACPI tables of a guest (ACPI 6.5), with the AML of the DSDT from a small encoder.
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
#include "acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
#define MAX_TABLES 4u /* in the XSDT: FADT, MADT, SRAT, SLIT */

/* Bytes behind one another; what does not fit is counted and not stored. */
struct out {
	uint8_t *buf;
	size_t size, len;
	uint64_t gpa; /* of buf[0] */
};

static void put(struct out *o, uint64_t value, unsigned int bytes)
{
	for (; bytes; bytes--, value >>= 8, o->len++)
		if (o->len < o->size)
			o->buf[o->len] = (uint8_t)value;
}

static void put_text(struct out *o, const char *text, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		put(o, (uint8_t)text[i], 1);
}

static void put_zeros(struct out *o, size_t bytes)
{
	while (bytes--)
		put(o, 0, 1);
}

static void patch(struct out *o, size_t at, uint64_t value, unsigned int bytes)
{
	struct out there = {.buf = o->buf, .size = o->size, .len = at};

	put(&there, value, bytes);
}

/* Makes [start, start + bytes) sum to 0 by the byte at @at, which is 0 yet. */
static void patch_checksum(struct out *o, size_t start, size_t bytes, size_t at)
{
	uint8_t sum = 0;
	size_t i;

	for (i = start; i < start + bytes && i < o->size; i++)
		sum = (uint8_t)(sum + o->buf[i]);
	patch(o, at, (uint8_t)-sum, 1);
}

/* Moves on to the next guest address that is a multiple of @align; returns its offset. */
static size_t align_to(struct out *o, unsigned int align)
{
	put_zeros(o, (align - (o->gpa + o->len) % align) % align);
	return o->len;
}

/* System description table header (§5.2.6); length and checksum come with end_table(). */
static size_t begin_table(struct out *o, const char *signature, uint8_t revision)
{
	size_t start = align_to(o, TABLE_ALIGN);

	put_text(o, signature, 4);
	put(o, 0, 4);
	put(o, revision, 1);
	put(o, 0, 1);
	put_text(o, OEM_ID, 6);
	put_text(o, OEM_TABLE_ID, 8);
	put(o, 1, 4);
	put_text(o, CREATOR_ID, 4);
	put(o, 1, 4);
	return start;
}

static void end_table(struct out *o, size_t start)
{
	patch(o, start + HEADER_LENGTH, o->len - start, 4);
	patch_checksum(o, start, o->len - start, start + HEADER_CHECKSUM);
}

/*
 * AML (§20.2). An object with a package length is opened with its start kept, filled, and closed,
 * which inserts the length.
 */
#define AML_ZERO 0x00
#define AML_ONE 0x01
#define AML_NAME 0x08
#define AML_BYTE 0x0a
#define AML_WORD 0x0b
#define AML_DWORD 0x0c
#define AML_STRING 0x0d
#define AML_SCOPE 0x10
#define AML_BUFFER 0x11
#define AML_PACKAGE 0x12
#define AML_DEVICE 0x825b /* ExtOpPrefix, DeviceOp */

/* §20.2.4: one byte holds 6 bits; else 4 bits and up to three more bytes. Counts its own bytes. */
static void aml_close(struct out *o, size_t start)
{
	size_t content = o->len - start;
	unsigned int bytes = content + 1 < 1u << 6    ? 1
			     : content + 2 < 1u << 12 ? 2
			     : content + 3 < 1u << 20 ? 3
						      : 4;
	size_t length = content + bytes;
	unsigned int i;

	if (o->len + bytes <= o->size)
		memmove(o->buf + start + bytes, o->buf + start, content);
	o->len += bytes;
	if (bytes == 1) {
		patch(o, start, length, 1);
		return;
	}
	patch(o, start, (bytes - 1) << 6 | (length & 0xf), 1);
	for (i = 1; i < bytes; i++)
		patch(o, start + i, length >> (4 + 8 * (i - 1)), 1);
}

static void aml_integer(struct out *o, uint32_t value)
{
	if (value == 0) {
		put(o, AML_ZERO, 1);
	} else if (value == 1) {
		put(o, AML_ONE, 1);
	} else if (value <= UINT8_MAX) {
		put(o, AML_BYTE, 1);
		put(o, value, 1);
	} else if (value <= UINT16_MAX) {
		put(o, AML_WORD, 1);
		put(o, value, 2);
	} else {
		put(o, AML_DWORD, 1);
		put(o, value, 4);
	}
}

static void aml_name(struct out *o, const char *name)
{
	put(o, AML_NAME, 1);
	put_text(o, name, 4);
}

static void aml_named_string(struct out *o, const char *name, const char *text)
{
	aml_name(o, name);
	put(o, AML_STRING, 1);
	put_text(o, text, strlen(text) + 1);
}

/* A device's name has a letter for its kind and three hexadecimal digits. */
#define MAX_DEVICES 0x1000u

/* Opens device @number, which is below MAX_DEVICES, of the kind @letter. */
static size_t aml_open_device(struct out *o, char letter, size_t number)
{
	char name[8];
	size_t start;

	snprintf(name, sizeof(name), "%c%03X", letter, (unsigned int)number & 0xfff);
	put(o, AML_DEVICE, 2);
	start = o->len;
	put_text(o, name, 4);
	return start;
}

/* Resource descriptors (§6.4). */
#define RESOURCE_IRQ_NO_FLAGS 0x22 /* edge, active high, exclusive */
#define RESOURCE_IO 0x47
#define RESOURCE_END 0x79
#define RESOURCE_MEMORY32_FIXED 0x86
#define RESOURCE_EXTENDED_IRQ 0x89
#define IO_DECODE16 1
#define MEMORY_READ_WRITE 1
#define EXTENDED_IRQ_CONSUMER_EDGE 3 /* bits 0 and 1; active high, exclusive */
#define ISA_IRQS 16u

static void resource_io(struct out *o, uint16_t port, uint8_t ports)
{
	put(o, RESOURCE_IO, 1);
	put(o, IO_DECODE16, 1);
	put(o, port, 2);
	put(o, port, 2);
	put(o, 1, 1);
	put(o, ports, 1);
}

static void resource_irq(struct out *o, uint32_t gsi)
{
	put(o, RESOURCE_IRQ_NO_FLAGS, 1);
	put(o, 1u << gsi, 2);
}

static void resource_extended_irq(struct out *o, uint32_t gsi)
{
	put(o, RESOURCE_EXTENDED_IRQ, 1);
	put(o, 6, 2);
	put(o, EXTENDED_IRQ_CONSUMER_EDGE, 1);
	put(o, 1, 1);
	put(o, gsi, 4);
}

static void resource_memory(struct out *o, uint64_t base, uint64_t size)
{
	put(o, RESOURCE_MEMORY32_FIXED, 1);
	put(o, 9, 2);
	put(o, MEMORY_READ_WRITE, 1);
	put(o, base, 4);
	put(o, size, 4);
}

/*
 * Name (_CRS, Buffer): the descriptors are written between open and close. The buffer's size is one
 * byte, as no device here comes near 256.
 */
static size_t aml_open_resources(struct out *o)
{
	size_t start;

	aml_name(o, "_CRS");
	put(o, AML_BUFFER, 1);
	start = o->len;
	put(o, AML_BYTE, 1);
	put(o, 0, 1);
	return start;
}

static void aml_close_resources(struct out *o, size_t start)
{
	put(o, RESOURCE_END, 1);
	put(o, 0, 1); /* no checksum */
	patch(o, start + 1, o->len - start - 2, 1);
	aml_close(o, start);
}

static void write_serial(struct out *o, const struct acpi_serial *serial, size_t number)
{
	static const char pnp0501[] = {0x41, (char)0xd0, 0x05, 0x01}; /* §19.3.4, EISAID */
	size_t device = aml_open_device(o, 'U', number);
	size_t resources;

	aml_name(o, "_HID");
	put(o, AML_DWORD, 1);
	put_text(o, pnp0501, sizeof(pnp0501));
	aml_name(o, "_UID");
	aml_integer(o, (uint32_t)number + 1); /* as in COM1 */
	resources = aml_open_resources(o);
	resource_io(o, serial->port, 8);
	if (serial->gsi < ISA_IRQS)
		resource_irq(o, serial->gsi);
	else
		resource_extended_irq(o, serial->gsi);
	aml_close_resources(o, resources);
	aml_close(o, device);
}

static void write_virtio(struct out *o, const struct acpi_virtio_mmio *virtio, size_t number)
{
	size_t device = aml_open_device(o, 'V', number);
	size_t resources;

	aml_named_string(o, "_HID", "LNRO0005");
	aml_name(o, "_UID");
	aml_integer(o, (uint32_t)number);
	resources = aml_open_resources(o);
	resource_memory(o, virtio->base, virtio->size);
	resource_extended_irq(o, virtio->gsi);
	aml_close_resources(o, resources);
	aml_close(o, device);
}

/* Differentiated System Description Table (§5.2.11.1): \_S5 (§7.4.2) and the devices. */
static size_t write_dsdt(struct out *o, const struct acpi_spec *spec)
{
	size_t table = begin_table(o, "DSDT", 2);
	size_t open;
	size_t i;

	aml_name(o, "_S5_");
	put(o, AML_PACKAGE, 1);
	open = o->len;
	put(o, 4, 1);
	aml_integer(o, ACPI_S5_SLEEP_TYPE);
	put_zeros(o, 3);
	aml_close(o, open);

	put(o, AML_SCOPE, 1);
	open = o->len;
	put_text(o, "_SB_", 4);
	for (i = 0; i < spec->nr_serials; i++)
		write_serial(o, &spec->serials[i], i);
	for (i = 0; i < spec->nr_virtio; i++)
		write_virtio(o, &spec->virtio[i], i);
	aml_close(o, open);
	end_table(o, table);
	return table;
}

/* Firmware ACPI Control Structure (§5.2.10): 64 bytes without checksum. */
static size_t write_facs(struct out *o)
{
	size_t start = align_to(o, FACS_ALIGN);

	put_text(o, "FACS", 4);
	put(o, 64, 4);
	put_zeros(o, 24);
	put(o, 2, 1); /* version */
	put_zeros(o, 31);
	return start;
}

/* Generic Address Structure (§5.2.3.2) of a port; access size 0 for what is not there. */
static void put_port(struct out *o, uint16_t port, uint8_t bits, uint8_t access_size)
{
	put(o, port ? 1 : 0, 1); /* system I/O */
	put(o, port ? bits : 0, 1);
	put(o, 0, 1);
	put(o, port ? access_size : 0, 1);
	put(o, port, 8);
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
static size_t write_fadt(struct out *o, const struct acpi_spec *spec)
{
	size_t start = begin_table(o, "FACP", FADT_REVISION);
	uint32_t flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_PWR_BUTTON | FADT_NO_SLP_BUTTON |
			 FADT_NO_FIX_RTC | FADT_RESET_REG_SUP | FADT_HEADLESS;

	if (spec->pm_timer)
		flags |= FADT_TMR_VAL_EXT;
	put(o, 0, 4);	 /* FIRMWARE_CTRL */
	put(o, 0, 4);	 /* DSDT */
	put_zeros(o, 2); /* reserved, Preferred_PM_Profile: unspecified */
	put(o, spec->sci_gsi, 2);
	put_zeros(o, 8); /* SMI_CMD, ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
	put(o, spec->pm1a_event, 4);
	put(o, 0, 4);
	put(o, spec->pm1a_control, 4);
	put(o, 0, 4);
	put(o, 0, 4);
	put(o, spec->pm_timer, 4);
	put_zeros(o, 8); /* GPE0_BLK, GPE1_BLK */
	put(o, 4, 1);
	put(o, 2, 1);
	put(o, 0, 1);
	put(o, spec->pm_timer ? 4 : 0, 1);
	put_zeros(o, 4); /* GPE0_BLK_LEN, GPE1_BLK_LEN, GPE1_BASE, CST_CNT */
	put(o, NO_C2_LATENCY, 2);
	put(o, NO_C3_LATENCY, 2);
	put_zeros(o, 4); /* FLUSH_SIZE, FLUSH_STRIDE */
	put_zeros(o, 5); /* DUTY_OFFSET, DUTY_WIDTH, DAY_ALRM, MON_ALRM, CENTURY */
	put(o, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_CMOS_RTC, 2);
	put(o, 0, 1);
	put(o, flags, 4);
	put_port(o, spec->reset_port, 8, ACCESS_BYTE);
	put(o, spec->reset_value, 1);
	put(o, 0, 2); /* ARM_BOOT_ARCH */
	put(o, FADT_MINOR, 1);
	put(o, 0, 8); /* X_FIRMWARE_CTRL: the 32-bit one is used */
	put(o, 0, 8); /* X_DSDT */
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
	put(o, 0, 8); /* Hypervisor Vendor Identity */
	return start;
}

/* MADT (§5.2.12) and SRAT (§5.2.16) structure types. */
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
#define SRAT_LOCAL_APIC 0
#define SRAT_MEMORY 1
#define SRAT_LOCAL_X2APIC 2
#define SRAT_ENABLED 1u
/* §5.2.12.12: ids below 255 have Local APIC entries, others x2APIC entries; 255 is broadcast. */
#define FIRST_X2APIC_ID 255u

/* Guests number the CPUs in the order of these, the boot CPU first, as it stands first. */
static size_t write_madt(struct out *o, const struct acpi_spec *spec)
{
	const struct layout *l = spec->layout;
	size_t start = begin_table(o, "APIC", 6);
	uint32_t i;

	put(o, spec->lapic_base, 4);
	put(o, spec->pic ? MADT_PCAT_COMPAT : 0, 4);
	for (i = 0; i < l->nr_cpus; i++) {
		if (l->cpus[i].hw_id < FIRST_X2APIC_ID) {
			put(o, MADT_LOCAL_APIC, 1);
			put(o, 8, 1);
			put(o, i, 1); /* below 255 as well: ids are never below the index */
			put(o, l->cpus[i].hw_id, 1);
			put(o, MADT_ENABLED, 4);
		} else {
			put(o, MADT_LOCAL_X2APIC, 1);
			put(o, 16, 1);
			put(o, 0, 2);
			put(o, l->cpus[i].hw_id, 4);
			put(o, MADT_ENABLED, 4);
			put(o, i, 4);
		}
	}
	put(o, MADT_IO_APIC, 1);
	put(o, 12, 1);
	put(o, spec->ioapic_id, 1);
	put(o, 0, 1);
	put(o, spec->ioapic_base, 4);
	put(o, 0, 4);
	if (spec->sci_gsi < ISA_IRQS) {
		put(o, MADT_SOURCE_OVERRIDE, 1);
		put(o, 10, 1);
		put(o, 0, 1); /* ISA */
		put(o, spec->sci_gsi, 1);
		put(o, spec->sci_gsi, 4);
		put(o, MPS_ACTIVE_HIGH_LEVEL, 2);
	}
	put(o, MADT_LOCAL_APIC_NMI, 1);
	put(o, 6, 1);
	put(o, 0xff, 1); /* all processors */
	put(o, 0, 2);
	put(o, NMI_LINT, 1);
	if (l->max_hw_id >= FIRST_X2APIC_ID) {
		put(o, MADT_LOCAL_X2APIC_NMI, 1);
		put(o, 12, 1);
		put(o, 0, 2);
		put(o, UINT32_MAX, 4);
		put(o, NMI_LINT, 1);
		put_zeros(o, 3);
	}
	end_table(o, start);
	return start;
}

/* System Resource Affinity Table (§5.2.16). */
static size_t write_srat(struct out *o, const struct layout *l)
{
	size_t start = begin_table(o, "SRAT", 3);
	uint32_t i;

	put(o, 1, 4);
	put(o, 0, 8);
	for (i = 0; i < l->nr_cpus; i++) {
		const struct layout_cpu *cpu = &l->cpus[i];

		if (cpu->hw_id < FIRST_X2APIC_ID) {
			put(o, SRAT_LOCAL_APIC, 1);
			put(o, 16, 1);
			put(o, cpu->node, 1);
			put(o, cpu->hw_id, 1);
			put(o, SRAT_ENABLED, 4);
			put(o, 0, 1);
			put(o, cpu->node >> 8, 3);
			put(o, 0, 4);
		} else {
			put(o, SRAT_LOCAL_X2APIC, 1);
			put(o, 24, 1);
			put(o, 0, 2);
			put(o, cpu->node, 4);
			put(o, cpu->hw_id, 4);
			put(o, SRAT_ENABLED, 4);
			put(o, 0, 8);
		}
	}
	for (i = 0; i < l->nr_memory; i++) {
		put(o, SRAT_MEMORY, 1);
		put(o, 40, 1);
		put(o, l->memory[i].node, 4);
		put(o, 0, 2);
		put(o, l->memory[i].gpa, 8);
		put(o, l->memory[i].size, 8);
		put(o, 0, 4);
		put(o, SRAT_ENABLED, 4);
		put(o, 0, 8);
	}
	end_table(o, start);
	return start;
}

/* System Locality Information Table (§5.2.17). */
static size_t write_slit(struct out *o, const struct layout *l)
{
	size_t start = begin_table(o, "SLIT", 1);
	uint32_t i;

	put(o, l->nr_nodes, 8);
	for (i = 0; i < l->nr_nodes * l->nr_nodes; i++)
		put(o, l->distances[i], 1);
	end_table(o, start);
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
	if (spec->nr_serials > MAX_DEVICES || spec->nr_virtio > MAX_DEVICES)
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
static void patch_rsdp(struct out *o, uint64_t xsdt)
{
	struct out there = {.buf = o->buf, .size = o->size};

	put_text(&there, "RSD PTR ", 8);
	put(&there, 0, 1);
	put_text(&there, OEM_ID, 6);
	put(&there, 2, 1);
	put(&there, 0, 4); /* no RSDT */
	put(&there, RSDP_SIZE, 4);
	put(&there, xsdt, 8);
	put(&there, 0, 4);
	patch_checksum(o, 0, RSDP_V1_SIZE, 8);
	patch_checksum(o, 0, RSDP_SIZE, 32);
}

int acpi__build(const struct acpi_spec *spec, uint64_t gpa, uint8_t *buf, size_t size, size_t *used,
		struct ktstr_error *error)
{
	struct out o = {.buf = buf, .size = size, .gpa = gpa};
	bool numa = spec->layout->nr_nodes > 1;
	uint32_t nr_tables = numa ? 4 : 2;
	size_t tables[MAX_TABLES];
	size_t xsdt, dsdt, i;
	int err;

	err = check_spec(spec, gpa, size, error);
	if (err)
		return err;

	put_zeros(&o, RSDP_SIZE);
	xsdt = begin_table(&o, "XSDT", 1);
	put_zeros(&o, nr_tables * sizeof(uint64_t));

	tables[0] = write_fadt(&o, spec);
	patch(&o, tables[0] + HEADER_LENGTH, FADT_SIZE, 4);
	patch(&o, tables[0] + FADT_FACS, gpa + write_facs(&o), 4);
	dsdt = write_dsdt(&o, spec);
	patch(&o, tables[0] + FADT_DSDT, gpa + dsdt, 4);
	patch(&o, tables[0] + FADT_X_DSDT, gpa + dsdt, 8);
	patch_checksum(&o, tables[0], FADT_SIZE, tables[0] + HEADER_CHECKSUM);

	tables[1] = write_madt(&o, spec);
	if (numa) {
		tables[2] = write_srat(&o, spec->layout);
		tables[3] = write_slit(&o, spec->layout);
	}
	for (i = 0; i < nr_tables; i++)
		patch(&o, xsdt + HEADER_SIZE + i * sizeof(uint64_t), gpa + tables[i], 8);
	patch(&o, xsdt + HEADER_LENGTH, HEADER_SIZE + nr_tables * sizeof(uint64_t), 4);
	patch_checksum(&o, xsdt, HEADER_SIZE + nr_tables * sizeof(uint64_t),
		       xsdt + HEADER_CHECKSUM);
	patch_rsdp(&o, gpa + xsdt);

	*used = o.len;
	if (o.len > size)
		return ktstr_error__set(error, ENOSPC, "ACPI tables", NULL,
					"%zu bytes are needed, there are %zu", o.len, size);
	return 0;
}
