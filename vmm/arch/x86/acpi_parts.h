/* SPDX-License-Identifier: GPL-2.0-only */
/* What the writers of the ACPI tables share; acpi.h is the way in. */
#ifndef KTSTR_VMM_X86_ACPI_PARTS_H
#define KTSTR_VMM_X86_ACPI_PARTS_H

#include "acpi.h"
#include "table_out.h"

/* §5.2.12.12: ids below 255 have Local APIC entries, others x2APIC entries; 255 is broadcast. */
#define ACPI_FIRST_X2APIC_ID 255u
#define ACPI_ISA_IRQS 16u
/* A device's name in the DSDT has a letter for its kind and three hexadecimal digits. */
#define ACPI_MAX_DEVICES 0x1000u

/*
 * System description table header (§5.2.6) at the next aligned address; its offset. Length and
 * checksum come with acpi_table__end().
 */
size_t acpi_table__begin(struct table_out *o, const char *signature, uint8_t revision);
void acpi_table__end(struct table_out *o, size_t start);

/* Each writes one table and returns its offset. */
size_t acpi_dsdt__write(struct table_out *o, const struct acpi_spec *spec);
size_t acpi_numa__write_srat(struct table_out *o, const struct layout *layout);
size_t acpi_numa__write_slit(struct table_out *o, const struct layout *layout);
size_t acpi_numa__write_hmat(struct table_out *o, const struct layout *layout);

#endif /* KTSTR_VMM_X86_ACPI_PARTS_H */
