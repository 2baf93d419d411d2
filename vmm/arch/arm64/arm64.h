/* SPDX-License-Identifier: GPL-2.0-only */
/* The arm64 machine: its address map, and what its files share. */
#ifndef KTSTR_VMM_ARM64_H
#define KTSTR_VMM_ARM64_H

#include <stdbool.h>
#include <stdint.h>

#include <ktstr/vm.h>

#include "../arch.h"

struct gmem;
struct vcpu;
struct vm;

/* ---- Guest-physical addresses: devices below 1 GiB, RAM from there ---- */
#define ARM64_GICD_GPA UINT64_C(0x08000000)
#define ARM64_GICD_SIZE UINT64_C(0x10000)
#define ARM64_GICC_GPA UINT64_C(0x08010000) /* GICv2 */
#define ARM64_GICC_SIZE UINT64_C(0x2000)
#define ARM64_COM1_GPA UINT64_C(0x09000000)
#define ARM64_COM2_GPA UINT64_C(0x09001000)
#define ARM64_VIRTIO_GPA UINT64_C(0x09010000) /* one page a device */
#define ARM64_GICR_GPA UINT64_C(0x10000000)   /* GICv3: two 64 KiB frames a CPU */
#define ARM64_GICR_PER_CPU UINT64_C(0x20000)
#define ARM64_RAM_GPA UINT64_C(0x40000000)

/* ---- Interrupts: numbers among the SPIs, which are irqfd's GSIs, too ---- */
#define ARM64_COM1_SPI 1u
#define ARM64_COM2_SPI 2u
#define ARM64_VIRTIO_SPI 16u /* of the first device */
#define ARM64_NR_IRQS 64u    /* with the 32 that are a CPU's own */

struct arm64_irq {
	uint32_t gsi;
	int eventfd;
};

#define ARM64_MAX_IRQS 32u

struct arm64_vm {
	uint32_t gic_version; /* 2 or 3 */
	int gic_fd;
	/* KVM takes them once the GIC is complete, which is after the last vCPU. */
	struct arm64_irq irqs[ARM64_MAX_IRQS];
	uint32_t nr_irqs;
	char *cmdline;
	uint32_t page_kib; /* that the kernel is built for; 0: it does not say */
	uint64_t entry;
	uint64_t initrd_gpa, initrd_size;
	uint64_t fdt_gpa;
};

/* -EINVAL: a vendor of CPUs, or an interrupt chip, that are x86's alone. */
int arm64__check_config(const struct ktstr_topology *topology, enum ktstr_cpu_vendor vendor,
			enum ktstr_irqchip irqchip, struct ktstr_error *error);

/* Registers by KVM_GET_ONE_REG; false: errno. */
bool arm64__get_reg(const struct vcpu *vcpu, uint64_t id, uint64_t *value);

/* probe_guest.c */
extern const struct probe_guest arm64_probe_guest;

/* gic.c */
int arm64_gic__create(struct vm *vm, struct ktstr_error *error);
int arm64_gic__connect(struct vm *vm, uint32_t gsi, int eventfd, struct ktstr_error *error);
/* All vCPUs exist. */
int arm64_gic__finish(struct vm *vm, struct ktstr_error *error);

/* boot.c: Documentation/arch/arm64/booting.rst */
int arm64_boot__load_kernel(struct vm *vm, const struct arch_payload *payload,
			    struct ktstr_error *error);
int arm64_boot__load_initramfs(struct vm *vm, const struct arch_payload *payload,
			       struct ktstr_error *error);
int arm64_boot__write_fdt(struct vm *vm, struct ktstr_error *error);

#endif /* KTSTR_VMM_ARM64_H */
