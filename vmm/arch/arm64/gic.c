// SPDX-License-Identifier: GPL-2.0-only
/* KVM's interrupt controller: GICv3, or v2 where the host has no other (Documentation/virt/kvm/
 * devices/arm-vgic-v3.rst and arm-vgic.rst). */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "../../vm.h"
#include "arm64.h"

static int set_attr(const struct vm *vm, uint32_t group, uint64_t attr, const void *value,
		    const char *what, struct ktstr_error *error)
{
	const struct arm64_vm *arm64 = vm->arch_data;
	struct kvm_device_attr a = {.group = group, .attr = attr, .addr = (uintptr_t)value};

	return ioctl(arm64->gic_fd, KVM_SET_DEVICE_ATTR, &a) < 0
		       ? ktstr_error__set(error, errno, "KVM_SET_DEVICE_ATTR", what, NULL)
		       : 0;
}

static bool create(struct vm *vm, uint32_t type, uint32_t version)
{
	struct arm64_vm *arm64 = vm->arch_data;
	struct kvm_create_device device = {.type = type};

	if (ioctl(vm->vm_fd, KVM_CREATE_DEVICE, &device) < 0)
		return false;
	arm64->gic_fd = (int)device.fd;
	arm64->gic_version = version;
	return true;
}

static int place(struct vm *vm, struct ktstr_error *error)
{
	const struct arm64_vm *arm64 = vm->arch_data;
	uint64_t gicd = ARM64_GICD_GPA, gicc = ARM64_GICC_GPA, gicr = ARM64_GICR_GPA;
	int err;

	if (arm64->gic_version == 3) {
		err = set_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &gicd,
			       "GICv3 distributor", error);
		return err ? err
			   : set_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
				      &gicr, "GICv3 redistributors", error);
	}
	err = set_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, &gicd,
		       "GICv2 distributor", error);
	return err ? err
		   : set_attr(vm, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_CPU, &gicc,
			      "GICv2 CPU interface", error);
}

int arm64_gic__create(struct vm *vm, struct ktstr_error *error)
{
	int err;

	if (!create(vm, KVM_DEV_TYPE_ARM_VGIC_V3, 3) && !create(vm, KVM_DEV_TYPE_ARM_VGIC_V2, 2)) {
		err = ktstr_error__set(error, errno, "KVM_CREATE_DEVICE", "/dev/kvm",
				       "this host's KVM has neither GICv3 nor GICv2 for guests");
		ktstr_error__hint(error, "use a host whose interrupt controller KVM can share");
		return err;
	}
	return place(vm, error);
}

int arm64_gic__connect(struct vm *vm, uint32_t gsi, int eventfd, struct ktstr_error *error)
{
	struct arm64_vm *arm64 = vm->arch_data;

	if (arm64->nr_irqs == ARM64_MAX_IRQS)
		return ktstr_error__set(error, ENOSPC, "KVM_IRQFD", "/dev/kvm", NULL);
	arm64->irqs[arm64->nr_irqs++] = (struct arm64_irq){gsi, eventfd};
	return 0;
}

int arm64_gic__finish(struct vm *vm, struct ktstr_error *error)
{
	const struct arm64_vm *arm64 = vm->arch_data;
	const uint32_t nr = ARM64_NR_IRQS;
	int err = set_attr(vm, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &nr, "GIC interrupts", error);

	if (!err)
		err = set_attr(vm, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL,
			       "GIC", error);
	for (uint32_t i = 0; !err && i < arm64->nr_irqs; i++) {
		struct kvm_irqfd irqfd = {.fd = (uint32_t)arm64->irqs[i].eventfd,
					  .gsi = arm64->irqs[i].gsi};

		if (ioctl(vm->vm_fd, KVM_IRQFD, &irqfd) < 0)
			err = ktstr_error__set(error, errno, "KVM_IRQFD", "/dev/kvm", NULL);
	}
	return err;
}
