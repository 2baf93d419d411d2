// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns what KVM offers into the offer of a CPU of the other vendor, for tests of topology: the
 * names, family, model and stepping of a server part that has all topology leaves, the features
 * that only the first vendor has taken out, and none of its leaves left.
 *
 * Features: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E.
 */
#include "cpuid.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define LEAF_NAME 0x0u
#define LEAF_FEATURES 0x1u
#define LEAF_INTEL_DESCRIPTORS 0x2u
#define LEAF_THERMAL 0x6u
#define LEAF_STRUCTURED_FEATURES 0x7u
#define LEAF_XSAVE 0xdu
#define LEAF_HYPERVISOR_FIRST 0x40000000u
#define LEAF_HYPERVISOR_LAST 0x4fffffffu
#define LEAF_EXT_NAME 0x80000000u
#define LEAF_EXT_FEATURES 0x80000001u
#define LEAF_BRAND 0x80000002u /* and the next two */
#define LEAF_POWER 0x80000007u
#define LEAF_ADDRESS_SIZES 0x80000008u
#define LEAF_AMD_FEATURES_2 0x80000021u

/* Leaf 1: what Intel alone has. Monitor and debug: DTES64, DS-CPL; power: EST, TM2, ACPI, TM, PBE.
 */
#define INTEL_ONLY_1_ECX                                                                       \
	(1u << 2 /* DTES64 */ | 1u << 4 /* DS-CPL */ | 1u << 5 /* VMX */ | 1u << 6 /* SMX */ | \
	 1u << 7 /* EST */ | 1u << 8 /* TM2 */ | 1u << 11 /* SDBG */ | 1u << 14 /* xTPR */ |   \
	 1u << 15 /* PDCM */ | 1u << 18 /* DCA */)
#define INTEL_ONLY_1_EDX                                                                    \
	(1u << 18 /* PSN */ | 1u << 21 /* DS */ | 1u << 22 /* ACPI */ | 1u << 27 /* SS */ | \
	 1u << 29 /* TM */ | 1u << 31 /* PBE */)
/* Leaf 7 */
#define INTEL_ONLY_7_EBX                                                                   \
	(1u << 2 /* SGX */ | 1u << 4 /* HLE */ | 1u << 11 /* RTM */ | 1u << 14 /* MPX */ | \
	 1u << 25 /* PT */ | 1u << 26 /* AVX512PF */ | 1u << 27 /* AVX512ER */)
#define INTEL_ONLY_7_ECX                                                           \
	(1u << 5 /* WAITPKG */ | 1u << 13 /* TME */ | 1u << 23 /* KL */ |          \
	 1u << 25 /* CLDEMOTE */ | 1u << 29 /* ENQCMD */ | 1u << 30 /* SGX_LC */ | \
	 1u << 31 /* PKS */)
#define AMD_7_EDX (1u << 4 /* FSRM */ | 1u << 8 /* VP2INTERSECT */ | 1u << 28 /* FLUSH_L1D */)
/* 0x80000001: all that Intel has. */
#define INTEL_EXT_ECX (1u << 0 /* LAHF */ | 1u << 5 /* LZCNT */ | 1u << 8 /* PREFETCHW */)
#define INTEL_EXT_EDX                                                              \
	(1u << 11 /* SYSCALL */ | 1u << 20 /* NX */ | 1u << 26 /* 1 GiB pages */ | \
	 1u << 27 /* RDTSCP */ | 1u << 29 /* LM */)
#define AMD_EXT_ECX_SVM (1u << 2)
/* AMD repeats these bits of leaf 1's EDX in 0x80000001. */
#define AMD_REPEATED_EDX 0x0183f3ffu
#define POWER_EDX_INVARIANT_TSC (1u << 8)
#define SIZES_EBX_WBNOINVD (1u << 9)
/* 0x80000021, true of Intel's parts as well: LFENCE serializes, null selectors clear the base, ...
 */
#define AMD2_EAX (1u << 2 | 1u << 6 | 1u << 29 /* not affected by SRSO */)
#define AMD2_ECX (1u << 1 | 1u << 2 /* not affected by TSA in store queue and L1 */)
/* One iteration, and the descriptor that says: caches are in leaf 4. */
#define DESCRIPTORS_EAX 0x0000ff01u

static const struct {
	char name[13], brand[48];
	uint32_t signature;
} parts[] = {
	[CPUID_VENDOR_INTEL] = {"GenuineIntel", "Intel Xeon (as Sapphire Rapids)",
				CPUID_SIGNATURE_INTEL},
	[CPUID_VENDOR_AMD] = {"AuthenticAMD", "AMD EPYC (as Genoa)", CPUID_SIGNATURE_AMD},
};

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	return NULL;
}

/* The leaf, added with zeros when it is not there; NULL: no room. */
static struct kvm_cpuid_entry2 *get(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, function);

	if (e || cpuid->nent >= CPUID_MAX_ENTRIES)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){.function = function};
	return e;
}

static bool has_name(const struct kvm_cpuid_entry2 *e, const char *name)
{
	return !memcmp(&e->ebx, name, 4) && !memcmp(&e->edx, name + 4, 4) &&
	       !memcmp(&e->ecx, name + 8, 4);
}

static void set_name(struct kvm_cpuid_entry2 *e, const char *name)
{
	memcpy(&e->ebx, name, 4);
	memcpy(&e->edx, name + 4, 4);
	memcpy(&e->ecx, name + 8, 4);
}

/* Leaves that mean the same on both; of 7 the first subleaf, the others have Intel's extensions. */
static bool is_common(const struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case LEAF_NAME:
	case LEAF_FEATURES:
	case LEAF_THERMAL:
	case LEAF_XSAVE:
	case LEAF_EXT_NAME:
	case LEAF_EXT_FEATURES:
	case LEAF_POWER:
	case LEAF_ADDRESS_SIZES:
		return true;
	case LEAF_STRUCTURED_FEATURES:
		return e->index == 0;
	default:
		return e->function >= LEAF_HYPERVISOR_FIRST && e->function <= LEAF_HYPERVISOR_LAST;
	}
}

static void keep_common(struct kvm_cpuid2 *cpuid)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (is_common(&cpuid->entries[i]))
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->nent = kept;
}

static void make_intel(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e;

	e = get(cpuid, LEAF_INTEL_DESCRIPTORS);
	if (e)
		e->eax = DESCRIPTORS_EAX;
	e = get(cpuid, LEAF_EXT_NAME);
	if (e)
		*e = (struct kvm_cpuid_entry2){.function = LEAF_EXT_NAME,
					       .eax = LEAF_ADDRESS_SIZES};
	e = get(cpuid, LEAF_EXT_FEATURES);
	if (e)
		*e = (struct kvm_cpuid_entry2){.function = LEAF_EXT_FEATURES,
					       .ecx = e->ecx & INTEL_EXT_ECX,
					       .edx = e->edx & INTEL_EXT_EDX};
	e = find(cpuid, LEAF_ADDRESS_SIZES);
	if (e) {
		e->ebx &= SIZES_EBX_WBNOINVD;
		e->ecx = 0;
		e->edx = 0;
	}
}

static void make_amd(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, LEAF_FEATURES);
	uint32_t repeated = 0;

	if (e) {
		e->ecx &= ~INTEL_ONLY_1_ECX;
		e->edx &= ~INTEL_ONLY_1_EDX;
		repeated = e->edx & AMD_REPEATED_EDX;
	}
	e = find(cpuid, LEAF_STRUCTURED_FEATURES);
	if (e) {
		e->eax = 0;
		e->ebx &= ~INTEL_ONLY_7_EBX;
		e->ecx &= ~INTEL_ONLY_7_ECX;
		e->edx &= AMD_7_EDX;
	}
	e = get(cpuid, LEAF_EXT_NAME);
	if (e)
		set_name(e, parts[CPUID_VENDOR_AMD].name);
	e = get(cpuid, LEAF_EXT_FEATURES);
	if (e) {
		e->eax = CPUID_SIGNATURE_AMD;
		e->ebx = 0;
		e->ecx &= ~AMD_EXT_ECX_SVM;
		e->edx |= repeated;
	}
	e = get(cpuid, LEAF_AMD_FEATURES_2);
	if (e) {
		e->eax = AMD2_EAX;
		e->ecx = AMD2_ECX;
	}
}

static void change_to(struct kvm_cpuid2 *cpuid, enum cpuid_vendor vendor)
{
	struct kvm_cpuid_entry2 *e;

	keep_common(cpuid);
	e = get(cpuid, LEAF_NAME);
	if (e)
		set_name(e, parts[vendor].name);
	e = get(cpuid, LEAF_FEATURES);
	if (e)
		e->eax = parts[vendor].signature;
	e = find(cpuid, LEAF_POWER);
	if (e)
		*e = (struct kvm_cpuid_entry2){.function = LEAF_POWER,
					       .edx = e->edx & POWER_EDX_INVARIANT_TSC};
	if (vendor == CPUID_VENDOR_AMD)
		make_amd(cpuid);
	else
		make_intel(cpuid);
	for (uint32_t i = 0; i < 3; i++) {
		e = get(cpuid, LEAF_BRAND + i);
		if (e)
			memcpy(&e->eax, parts[vendor].brand + (size_t)16 * i, 16);
	}
}

int cpuid__take_vendor(struct kvm_cpuid2 *offered, enum ktstr_cpu_vendor wanted,
		       enum cpuid_vendor *vendor, struct ktstr_error *error)
{
	const struct kvm_cpuid_entry2 *name = find(offered, LEAF_NAME);
	bool intel = name && has_name(name, "GenuineIntel");
	bool amd = name && (has_name(name, "AuthenticAMD") || has_name(name, "HygonGenuine"));

	*vendor = wanted == KTSTR_VENDOR_AMD	 ? CPUID_VENDOR_AMD
		  : wanted == KTSTR_VENDOR_INTEL ? CPUID_VENDOR_INTEL
		  : amd				 ? CPUID_VENDOR_AMD
						 : CPUID_VENDOR_INTEL;
	if (*vendor == CPUID_VENDOR_AMD ? amd : intel)
		return 0;
	change_to(offered, *vendor);
	/* at most eight leaves were added; the last of them is the third of the brand */
	if (!find(offered, LEAF_BRAND + 2))
		return ktstr_error__set(error, ENOSPC, "CPUID", NULL,
					"more than %u entries with those of the other vendor",
					CPUID_MAX_ENTRIES);
	return 0;
}
