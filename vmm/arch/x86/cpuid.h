/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID of each vCPU: what KVM offers, with the topology and cache leaves written from the layout.
 */
#ifndef KTSTR_VMM_X86_CPUID_H
#define KTSTR_VMM_X86_CPUID_H

#include <ktstr/error.h>
#include <linux/kvm.h>

#include <stdint.h>

#include "../../layout.h"

#define CPUID_MAX_ENTRIES 256u

enum cpuid_vendor { CPUID_VENDOR_INTEL, CPUID_VENDOR_AMD };

/* From leaf 0 of what KVM offers; Hygon counts as AMD, everything else as Intel. */
enum cpuid_vendor cpuid__vendor(const struct kvm_cpuid2 *offered);

/*
 * Fills @out (room for CPUID_MAX_ENTRIES) for CPU @index from @offered (KVM_GET_SUPPORTED_CPUID,
 * the same for all vCPUs). Leaves: 1, 4, 0xB, 0x1F, 0x40000001 as KVM has it, 0x80000005/6/8,
 * 0x8000001D/1E/26. Sets TSC-deadline, x2APIC and hypervisor bits; with APIC ids
 * above 254 also KVM_FEATURE_MSI_EXT_DEST_ID. -ENOSPC: too many entries; -EINVAL: no such CPU, or
 * an LLC wider than 4096 APIC ids.
 */
int cpuid__build(const struct kvm_cpuid2 *offered, enum cpuid_vendor vendor,
		 const struct layout *layout, uint32_t index, struct kvm_cpuid2 *out,
		 struct ktstr_error *error);

#endif /* KTSTR_VMM_X86_CPUID_H */
