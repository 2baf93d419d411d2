/* SPDX-License-Identifier: GPL-2.0-only */
/* The ACPI tables of an x86-64 guest (ACPI 6.5), written from the layout. */
#ifndef KTSTR_VMM_X86_ACPI_H
#define KTSTR_VMM_X86_ACPI_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../layout.h"

struct acpi_serial {
	uint16_t port; /* first of 8 */
	uint32_t gsi;  /* ISA: edge, active high */
};

struct acpi_virtio_mmio {
	uint64_t base, size; /* below 4 GiB */
	uint32_t gsi;	     /* edge, active high */
};

struct acpi_spec {
	const struct layout *layout;
	const struct acpi_serial *serials;
	size_t nr_serials;
	const struct acpi_virtio_mmio *virtio;
	size_t nr_virtio;
	/* Hardware-description registers (ports) that the monitor answers */
	uint16_t pm1a_event; /* 4 bytes: PM1_STS, PM1_EN */
	/* 2 bytes; SCI_EN reads 1 always (no SMI_CMD); SLP_TYP for S5 is 5, SLP_EN powers off */
	uint16_t pm1a_control;
	uint16_t pm_timer;   /* 4 bytes, 3.579545 MHz, 32 bit; 0: none */
	uint16_t reset_port; /* RESET_REG, 1 byte */
	uint8_t reset_value;
	uint32_t sci_gsi;
	uint64_t lapic_base, ioapic_base;
	uint32_t ioapic_id, ioapic_pins; /* GSI n is pin n */
	bool pic; /* there are two 8259s (KVM's in-kernel chip has them, a split chip does not) */
};

#define ACPI_S5_SLEEP_TYPE 5u

/*
 * Writes all tables into @buf as they lie at guest address @gpa (16-byte aligned): RSDP first, then
 * XSDT, FADT, FACS, DSDT, MADT, SRAT, and with more than one node SLIT and HMAT. *used: bytes.
 * -ENOSPC: @size is too small for the *used bytes that are needed (@buf may be NULL when @size is
 * 0); -EINVAL: an address above 4 GiB or a GSI without a pin.
 */
int acpi__build(const struct acpi_spec *spec, uint64_t gpa, uint8_t *buf, size_t size, size_t *used,
		struct ktstr_error *error);

#endif /* KTSTR_VMM_X86_ACPI_H */
