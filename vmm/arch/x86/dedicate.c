// SPDX-License-Identifier: GPL-2.0-only
/* A guest that has its CPUs for itself: idle ones stay in it, and it is told so. */
#include <cpuid.h>
#include <linux/kvm_para.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "../../vm.h"
#include "x86.h"

#define LEAF_MWAIT 5u
#define FEATURE_ECX_MONITOR (1u << 3)
#define LEAF_KVM_FEATURES 0x40000001u

static struct kvm_cpuid_entry2 *find_leaf(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return &cpuid->entries[i];
	return NULL;
}

/* KVM does not offer MWAIT, as it would leave the guest; here the host's own is the guest's. */
static void offer_mwait(struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid_entry2 *features = find_leaf(cpuid, 1),
				*leaf = find_leaf(cpuid, LEAF_MWAIT);
	uint32_t eax, ebx, ecx, edx;

	if (!features || !__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & FEATURE_ECX_MONITOR) ||
	    !__get_cpuid(LEAF_MWAIT, &eax, &ebx, &ecx, &edx))
		return;
	if (!leaf) {
		if (cpuid->nent == CPUID_MAX_ENTRIES)
			return;
		leaf = &cpuid->entries[cpuid->nent++];
	}
	*leaf = (struct kvm_cpuid_entry2){
		.function = LEAF_MWAIT, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx};
	features->ecx |= FEATURE_ECX_MONITOR;
}

void x86__dedicate_cpus(struct vm *vm, char *done, size_t size)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} kinds[] = {
		{KVM_X86_DISABLE_EXITS_HLT, "HLT"},
		{KVM_X86_DISABLE_EXITS_PAUSE, "PAUSE"},
		{KVM_X86_DISABLE_EXITS_MWAIT, "MWAIT"},
		{KVM_X86_DISABLE_EXITS_CSTATE, "C-states"},
	};
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_DISABLE_EXITS};
	struct x86_vm *x86 = vm->arch_data;
	struct kvm_cpuid_entry2 *kvm = find_leaf(x86->cpuid, LEAF_KVM_FEATURES);
	int offered = ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_DISABLE_EXITS);
	size_t used = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (offered > 0 && (uint64_t)offered & kinds[i].flag)
			cap.args[0] |= kinds[i].flag;
	if (cap.args[0] && ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		cap.args[0] = 0;
	if (cap.args[0] & KVM_X86_DISABLE_EXITS_MWAIT)
		offer_mwait(x86->cpuid);
	done[0] = '\0';
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (cap.args[0] & kinds[i].flag && used < size)
			used += (size_t)snprintf(
				done + used, size - used, "%s%s",
				used ? ", " : "kept in the guest: ", kinds[i].name);
	if (!kvm)
		return;
	kvm->edx |= 1u << KVM_HINTS_REALTIME;
	if (used < size)
		snprintf(done + used, size - used, "%sKVM_HINTS_REALTIME", used ? "; " : "");
}
