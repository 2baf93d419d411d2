/* SPDX-License-Identifier: GPL-2.0-only */
/* The x86-64 machine: its address map, and what its files share. */
#ifndef KTSTR_VMM_X86_H
#define KTSTR_VMM_X86_H

#include <linux/kvm.h>

#include <stdbool.h>
#include <stdint.h>

#include "../arch.h"
#include "cpuid.h"
#include "ioapic.h"

struct vm;
struct vcpu;

/* ---- Guest-physical addresses below 1 MiB; the kernel keeps off what e820 does not call RAM ----
 */
#define X86_GDT_GPA UINT64_C(0x500)
#define X86_BOOT_PARAMS_GPA UINT64_C(0x7000) /* "zero page" */
#define X86_PAGE_TABLES_GPA UINT64_C(0x9000) /* PML4, PDPT, four page directories */
#define X86_CMDLINE_GPA UINT64_C(0x20000)
#define X86_LOW_RAM_END UINT64_C(0x9fc00)
#define X86_TABLES_GPA UINT64_C(0xe0000) /* ACPI: where a PC's BIOS has it */
#define X86_TABLES_END UINT64_C(0xf0000)
#define X86_MPTABLE_GPA UINT64_C(0xf0000) /* where guests look first in a BIOS */
#define X86_MPTABLE_END UINT64_C(0x100000)
#define X86_HIGH_RAM_GPA UINT64_C(0x100000)
#define X86_MAPPED_END UINT64_C(0x100000000) /* of what the page tables at the entry map */

/* ---- Device memory in the 32-bit hole ---- */
#define X86_VIRTIO_GPA UINT64_C(0xd0000000) /* one page a device */
#define X86_IOAPIC_GPA UINT64_C(0xfec00000)
#define X86_LAPIC_GPA UINT64_C(0xfee00000)

/* ---- Ports ---- */
#define X86_COM1_PORT 0x3f8
#define X86_COM2_PORT 0x2f8
#define X86_I8042_DATA_PORT 0x60
#define X86_NMI_STATUS_PORT 0x61
#define X86_I8042_COMMAND_PORT 0x64
#define X86_PM1A_EVENT_PORT 0x600 /* 4 bytes, then PM1a control */
#define X86_PM1A_CONTROL_PORT 0x604
#define X86_RESET_PORT 0x608
#define X86_RESET_VALUE 0x01

/* ---- Interrupts ---- */
#define X86_COM1_GSI 4u
#define X86_COM2_GSI 3u
#define X86_SCI_GSI 9u
#define X86_VIRTIO_GSI 16u /* of the first device; see x86.c */

/* Ids up to this one work with the in-kernel interrupt chip's 8-bit destinations (255: broadcast).
 */
#define X86_MAX_XAPIC_ID 254u

struct x86_vm {
	bool split_irqchip;
	struct ioapic ioapic;	  /* split chip only */
	struct kvm_cpuid2 *cpuid; /* what KVM offers */
	enum cpuid_vendor vendor;
	/* ACPI tables from here to the end of RAM below the hole; 0: they are at X86_TABLES_GPA */
	uint64_t high_tables;
	uint64_t entry; /* 64-bit entry point of the kernel */
	_Atomic uint16_t pm1_enable;
};

/* -EINVAL: there is something that a PC has no way to say. */
int x86__check_config(const struct ktstr_topology *topology, enum ktstr_cpu_vendor vendor,
		      enum ktstr_irqchip irqchip, struct ktstr_error *error);

/* This host's own CPU is one that QEMU's TCG emulates. */
bool x86__is_emulated(void);

/* boot.c: the boot protocol (Documentation/arch/x86/boot.rst, §64-bit boot protocol). */
int x86_boot__load_kernel(struct vm *vm, const struct arch_payload *payload,
			  struct ktstr_error *error);
int x86_boot__load_initramfs(struct vm *vm, const struct arch_payload *payload,
			     struct ktstr_error *error);

/* probe_guest.c */
extern const struct probe_guest x86_probe_guest;

/* platform.c: i8042 reset, ACPI registers. */
int x86_platform__create(struct vm *vm, struct ktstr_error *error);

/* vcpu.c: registers at power-on, for number 0 at the kernel's 64-bit entry. */
int x86_vcpu__init(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error);

/* inspect.c: a stopped vCPU. */
void x86__inspect(struct vm *vm, struct vcpu *vcpu, struct vcpu_place *place);
bool x86__kernel_offset(const struct vcpu_place *place, const struct symbols *symbols,
			uint64_t *offset);
int x86__send_nmi(struct vcpu *vcpu);
void x86__dedicate_cpus(struct vm *vm, char *done, size_t size);

#endif /* KTSTR_VMM_X86_H */
