// SPDX-License-Identifier: GPL-2.0-only
/* vCPU registers at power-on; number 0 starts in 64-bit mode at the kernel's entry. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../../vcpu.h"
#include "../../vm.h"
#include "x86.h"

#define CR0_PE UINT64_C(0x1)
#define CR0_ET UINT64_C(0x10)
#define CR0_PG UINT64_C(0x80000000)
#define CR4_PAE UINT64_C(0x20)
#define EFER_LME UINT64_C(0x100)
#define EFER_LMA UINT64_C(0x400)

/* Segments of the boot protocol: __BOOT_CS and __BOOT_DS (boot.rst, §64-bit boot protocol). */
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define GDT_CODE64 UINT64_C(0x00af9b000000ffff)
#define GDT_DATA UINT64_C(0x00cf93000000ffff)

#define PTE_PRESENT_WRITE UINT64_C(0x3)
#define PDE_2M UINT64_C(0x80)

#define MSR_IA32_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1
/* AMD: the TSC counts at the nominal frequency. Linux calls it a firmware bug when this is off. */
#define MSR_K7_HWCR 0xc0010015
#define HWCR_TSC_FREQ_SEL (UINT64_C(1) << 24)

#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_MODE_EXTINT 7u
#define APIC_MODE_NMI 4u
#define APIC_BASE_X2APIC UINT64_C(0x400) /* with the global enable bit, which is set after reset \
					  */

static int set_failed(const struct vcpu *vcpu, const char *operation, struct ktstr_error *error)
{
	char object[32];
	int err = errno;

	snprintf(object, sizeof(object), "vCPU %u", vcpu->index);
	return ktstr_error__set(error, err, operation, object, NULL);
}

static int set_cpuid(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;
	struct kvm_cpuid2 *cpuid;
	int err;

	cpuid = calloc(1, sizeof(*cpuid) + CPUID_MAX_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return ktstr_error__set(error, ENOMEM, "allocate", "CPUID", NULL);
	err = cpuid__build(x86->cpuid, x86->vendor, &vm->layout, vcpu->index, cpuid, error);
	if (!err && ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0)
		err = set_failed(vcpu, "KVM_SET_CPUID2", error);
	free(cpuid);
	return err;
}

static int set_msrs(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error)
{
	const struct x86_vm *x86 = vm->arch_data;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} msrs = {.head.nmsrs = x86->vendor == CPUID_VENDOR_AMD ? 2 : 1,
		  .entries = {{.index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING},
			      {.index = MSR_K7_HWCR, .data = HWCR_TSC_FREQ_SEL}}};

	/* A KVM before 6.7 leaves out the second: less than 2, but no failure. */
	return ioctl(vcpu->fd, KVM_SET_MSRS, &msrs) < 0 ? set_failed(vcpu, "KVM_SET_MSRS", error)
							: 0;
}

/* The local APIC's pins as a PC's firmware leaves them: LINT0 the PIC, LINT1 NMI. */
static int set_lapic(struct vcpu *vcpu, struct ktstr_error *error)
{
	struct kvm_lapic_state lapic;
	uint32_t lint0 = APIC_MODE_EXTINT << 8, lint1 = APIC_MODE_NMI << 8;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return set_failed(vcpu, "KVM_GET_LAPIC", error);
	memcpy(lapic.regs + APIC_LVT_LINT0, &lint0, sizeof(lint0));
	memcpy(lapic.regs + APIC_LVT_LINT1, &lint1, sizeof(lint1));
	return ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0 ? set_failed(vcpu, "KVM_SET_LAPIC", error)
							  : 0;
}

/*
 * Ids above 254 exist in x2APIC mode only, and Linux drops their MADT entries ("x2apic entry
 * ignored") unless the firmware has already switched to it (Intel SDM vol. 3 §11.12.1).
 */
static int start_in_x2apic_mode(struct vcpu *vcpu, struct ktstr_error *error)
{
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return set_failed(vcpu, "KVM_GET_SREGS", error);
	sregs.apic_base |= APIC_BASE_X2APIC;
	return ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0 ? set_failed(vcpu, "KVM_SET_SREGS", error)
							  : 0;
}

/* The first 4 GiB mapped one to one with 2 MiB pages. */
static int write_page_tables(struct vm *vm)
{
	uint64_t *table = gmem__ptr(&vm->mem, X86_PAGE_TABLES_GPA, UINT64_C(6) * 4096);

	if (!table)
		return -EFAULT;
	memset(table, 0, 2 * 4096);
	table[0] = (X86_PAGE_TABLES_GPA + 4096) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 4; i++)
		table[512 + i] = (X86_PAGE_TABLES_GPA + 4096 * (2 + i)) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < UINT64_C(4) * 512; i++)
		table[1024 + i] = i << 21 | PTE_PRESENT_WRITE | PDE_2M;
	return 0;
}

static void set_segments(struct kvm_sregs *sregs)
{
	struct kvm_segment code = {.base = 0,
				   .limit = 0xffffffff,
				   .selector = BOOT_CS,
				   .type = 0xb,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = code;

	data.selector = BOOT_DS;
	data.type = 3;
	data.l = 0;
	data.db = 1;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
}

static int set_boot_registers(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;
	uint64_t gdt[4] = {0, 0, GDT_CODE64, GDT_DATA};
	struct kvm_regs regs = {.rip = x86->entry, .rsi = X86_BOOT_PARAMS_GPA, .rflags = 2};
	struct kvm_sregs sregs;

	if (write_page_tables(vm) || gmem__write(&vm->mem, X86_GDT_GPA, gdt, sizeof(gdt)))
		return ktstr_error__set(error, EFAULT, "write", "boot page tables", "not in RAM");
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return set_failed(vcpu, "KVM_GET_SREGS", error);
	set_segments(&sregs);
	sregs.gdt.base = X86_GDT_GPA;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr3 = X86_PAGE_TABLES_GPA;
	sregs.cr4 = CR4_PAE;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0)
		return set_failed(vcpu, "KVM_SET_SREGS", error);
	return ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0 ? set_failed(vcpu, "KVM_SET_REGS", error)
							: 0;
}

int x86_vcpu__init(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error)
{
	int err = set_cpuid(vm, vcpu, error);

	if (!err)
		err = set_msrs(vm, vcpu, error);
	if (!err)
		err = set_lapic(vcpu, error);
	if (!err && vm->layout.max_hw_id > X86_MAX_XAPIC_ID)
		err = start_in_x2apic_mode(vcpu, error);
	if (!err && vcpu->index == 0)
		err = set_boot_registers(vm, vcpu, error);
	return err;
}
