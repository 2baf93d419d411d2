/* SPDX-License-Identifier: GPL-2.0-only */
/* The firmware tables of this monitor's x86 machine: for a VM, or to be looked at without one. */
#ifndef KTSTR_VMM_X86_TABLES_H
#define KTSTR_VMM_X86_TABLES_H

#include "acpi.h"
#include "mptable.h"

struct vm;

/* What differs between machines. */
struct x86_tables {
	const struct layout *layout;
	const struct acpi_virtio_mmio *virtio;
	size_t nr_virtio;
	bool split_irqchip;
	uint32_t cpu_signature, cpu_features; /* CPUID leaf 1: EAX, EDX */
};

/* As acpi__build() and mptable__build(), with their errors. */
int x86_tables__acpi(const struct x86_tables *tables, uint64_t gpa, uint8_t *buf, size_t size,
		     size_t *used, struct ktstr_error *error);
int x86_tables__mptable(const struct x86_tables *tables, uint64_t gpa, uint8_t *buf, size_t size,
			size_t *used, struct ktstr_error *error);

/* The last acpi= that turns ACPI off or on turns it off; what stands behind "--" is not looked at.
 */
bool x86_tables__acpi_is_off(const char *cmdline);

/*
 * Writes both into guest RAM. ACPI tables that are too many for X86_TABLES_GPA go to the top of RAM
 * below the 32-bit hole, and x86_vm.high_tables says where. An MP table
 * that cannot be (-ERANGE of mptable__build()) is left out; where the command line turns ACPI off
 * it is an error.
 */
int x86_tables__write(struct vm *vm, struct ktstr_error *error);

#endif /* KTSTR_VMM_X86_TABLES_H */
