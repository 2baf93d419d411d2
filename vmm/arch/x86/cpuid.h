/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID of each vCPU: what KVM offers, with the topology and cache leaves written from the layout.
 */
#ifndef KTSTR_VMM_X86_CPUID_H
#define KTSTR_VMM_X86_CPUID_H

#include <ktstr/error.h>
#include <ktstr/vm.h>
#include <linux/kvm.h>

#include <stdbool.h>
#include <stdint.h>

#include "../../layout.h"

#define CPUID_MAX_ENTRIES 256u

enum cpuid_vendor { CPUID_VENDOR_INTEL, CPUID_VENDOR_AMD };

/* Leaf 1, EAX, of parts that have all topology leaves: Sapphire Rapids, Genoa. */
#define CPUID_SIGNATURE_INTEL 0x000806f8u
#define CPUID_SIGNATURE_AMD 0x00a10f11u

/*
 * Makes @offered (KVM_GET_SUPPORTED_CPUID; room for CPUID_MAX_ENTRIES) that of a CPU of @wanted and
 * says whose topology leaves are to be written. Hygon counts as AMD. A host that is neither of
 * Intel nor of AMD becomes Intel: guests read few topology leaves of others. -ENOSPC.
 */
int cpuid__take_vendor(struct kvm_cpuid2 *offered, enum ktstr_cpu_vendor wanted,
		       enum cpuid_vendor *vendor, struct ktstr_error *error);

/*
 * Fills @out (room for CPUID_MAX_ENTRIES) for CPU @index from @offered as cpuid__take_vendor() left
 * it (the same for all vCPUs). Leaves: 1, 4, 0xB, 0x1F, 0x40000001 as KVM has it, 0x80000005/6/8,
 * 0x8000001D/1E/26. Sets TSC-deadline, x2APIC and hypervisor bits; with APIC ids
 * above 254 also KVM_FEATURE_MSI_EXT_DEST_ID. -ENOSPC: too many entries; -EINVAL: no such CPU, an
 * LLC wider than 4096 APIC ids, or a cache of 4 GiB or more.
 */
int cpuid__build(const struct kvm_cpuid2 *offered, enum cpuid_vendor vendor,
		 const struct layout *layout, uint32_t index, struct kvm_cpuid2 *out,
		 struct ktstr_error *error);

/* Five levels of page tables (leaf 7). */
bool cpuid__has_la57(const struct kvm_cpuid2 *cpuid);

#endif /* KTSTR_VMM_X86_CPUID_H */
