/* SPDX-License-Identifier: GPL-2.0-only */
/* The MP table (Intel MultiProcessor Specification 1.4), for guests without ACPI. */
#ifndef KTSTR_VMM_X86_MPTABLE_H
#define KTSTR_VMM_X86_MPTABLE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../layout.h"

struct mptable_spec {
	const struct layout *layout;
	uint64_t lapic_base, ioapic_base; /* below 4 GiB */
	uint32_t ioapic_id, ioapic_pins;  /* GSI n is pin n */
	uint8_t ioapic_version;
	uint32_t sci_gsi;		      /* level, active high; all others edge, active high */
	uint32_t cpu_signature, cpu_features; /* CPUID leaf 1: EAX, EDX */
	bool pic;			      /* there are two 8259s */
};

/* It says APIC ids in 8 bits, and 255 stands for all. */
#define MPTABLE_MAX_APIC_ID 254u

/*
 * Writes the floating pointer structure, and behind it the configuration table, into @buf as they
 * lie at guest address @gpa (16-byte aligned). *used: bytes. Entry counts and lengths stay far
 * below their 16 bits, so ids alone are the limit: -ERANGE: an APIC id above MPTABLE_MAX_APIC_ID.
 * -ENOSPC: @size is too small for the *used bytes that are needed; -EINVAL: an address above 4 GiB,
 * or more pins than 8 bits can say.
 */
int mptable__build(const struct mptable_spec *spec, uint64_t gpa, uint8_t *buf, size_t size,
		   size_t *used, struct ktstr_error *error);

#endif /* KTSTR_VMM_X86_MPTABLE_H */
