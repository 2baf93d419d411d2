// SPDX-License-Identifier: GPL-2.0-only
/* The x86-64 machine behind struct arch_ops: interrupt chip, tables, exits. */
#include "x86.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../../vcpu.h"
#include "../../vm.h"
#include "bzimage.h"
#include "tables.h"

/* KVM wants three pages for itself on Intel hosts without unrestricted guests; below the IOAPIC. */
#define TSS_GPA UINT64_C(0xfeb00000)

/* Documentation/arch/x86/x86_64/mm.rst, for a kernel with CONFIG_RANDOMIZE_BASE; others' begin
 * lower. */
#define X86_MODULES_START UINT64_C(0xffffffffc0000000)
#define X86_MODULES_END UINT64_C(0xffffffffff000000)

static int ioctl_failed(const char *operation, struct ktstr_error *error)
{
	return ktstr_error__set(error, errno, operation, "/dev/kvm", NULL);
}

static int enable_cap(struct vm *vm, uint32_t cap, uint64_t arg, const char *name,
		      struct ktstr_error *error)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return ioctl(vm->vm_fd, KVM_ENABLE_CAP, &enable) < 0 ? ioctl_failed(name, error) : 0;
}

/* Ids above 254: only the local APICs in KVM, the IOAPIC here, 32-bit destinations. */
static int create_split_irqchip(struct vm *vm, struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;
	int err =
		enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS, "KVM_CAP_SPLIT_IRQCHIP", error);

	if (!err)
		err = enable_cap(vm, KVM_CAP_X2APIC_API,
				 KVM_X2APIC_API_USE_32BIT_IDS |
					 KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
				 "KVM_CAP_X2APIC_API", error);
	if (err)
		return err;
	ioapic__init(&x86->ioapic, vm->vm_fd);
	return bus__add(&vm->bus, BUS_MMIO, X86_IOAPIC_GPA, IOAPIC_SIZE, "ioapic", &ioapic_bus_ops,
			&x86->ioapic, error);
}

static int read_cpuid(struct vm *vm, struct ktstr_error *error)
{
	struct x86_vm *x86 = vm->arch_data;

	x86->cpuid =
		calloc(1, sizeof(*x86->cpuid) + CPUID_MAX_ENTRIES * sizeof(x86->cpuid->entries[0]));
	if (!x86->cpuid)
		return ktstr_error__set(error, ENOMEM, "allocate", "CPUID", NULL);
	x86->cpuid->nent = CPUID_MAX_ENTRIES;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, x86->cpuid) < 0)
		return ioctl_failed("KVM_GET_SUPPORTED_CPUID", error);
	return cpuid__take_vendor(x86->cpuid, vm->config.cpu_vendor, &x86->vendor, error);
}

int x86__check_config(const struct ktstr_topology *topology, enum ktstr_cpu_vendor vendor,
		      enum ktstr_irqchip irqchip, struct ktstr_error *error)
{
	int err;

	(void)vendor;
	(void)irqchip;
	if (!topology->capacities)
		return 0;
	err = ktstr_error__set(error, EINVAL, "topology", NULL,
			       "x86-64 machines have no capacities of cores");
	ktstr_error__hint(error, "leave out --capacity (.capacities), or use arm64");
	return err;
}

static int x86__create(struct vm *vm, struct ktstr_error *error)
{
	struct x86_vm *x86 = calloc(1, sizeof(*x86));
	int err;

	if (!x86)
		return ktstr_error__set(error, ENOMEM, "allocate", "machine", NULL);
	vm->arch_data = x86;
	x86->split_irqchip = vm->config.irqchip == KTSTR_IRQCHIP_SPLIT ||
			     vm->layout.max_hw_id > X86_MAX_XAPIC_ID;
	err = read_cpuid(vm, error);
	if (err)
		return err;
	if (ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, TSS_GPA) < 0)
		return ioctl_failed("KVM_SET_TSS_ADDR", error);
	if (x86->split_irqchip)
		err = create_split_irqchip(vm, error);
	else if (ioctl(vm->vm_fd, KVM_CREATE_IRQCHIP) < 0)
		err = ioctl_failed("KVM_CREATE_IRQCHIP", error);
	return err ? err : x86_platform__create(vm, error);
}

static void x86__destroy(struct vm *vm)
{
	struct x86_vm *x86 = vm->arch_data;

	if (x86)
		free(x86->cpuid);
	free(x86);
	vm->arch_data = NULL;
}

static int x86__connect_irq(struct vm *vm, uint32_t gsi, int eventfd, struct ktstr_error *error)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)eventfd, .gsi = gsi};

	return ioctl(vm->vm_fd, KVM_IRQFD, &irqfd) < 0 ? ioctl_failed("KVM_IRQFD", error) : 0;
}

static bool x86__handle_exit(struct vm *vm, struct vcpu *vcpu)
{
	struct x86_vm *x86 = vm->arch_data;

	if (vcpu->run->exit_reason != KVM_EXIT_IOAPIC_EOI || !x86->split_irqchip)
		return false;
	ioapic__eoi(&x86->ioapic, vcpu->run->eoi.vector);
	return true;
}

bool x86__is_emulated(void)
{
	unsigned int eax, name[3];

	/* "A hypervisor is there", then its name (leaf 0x40000000). */
	if (!__get_cpuid(1, &eax, &name[0], &name[1], &name[2]) || !(name[1] >> 31))
		return false;
	__cpuid(0x40000000, eax, name[0], name[1], name[2]);
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

/*
 * On a CPU that QEMU's TCG emulates, guests boot so slowly that Linux 7.3 can hang in a race: its
 * watchdog of the TSC, on the CPU that counts the jiffies and with interrupts off, waits by a clock
 * that is the jiffies themselves for a CPU that stop_machine() holds in order to change that clock
 * (watchdog_wait_seq(), timekeeping_notify()). This TSC needs no watchdog.
 */
static const char *x86__host_cmdline(void)
{
	return x86__is_emulated() ? " tsc=nowatchdog" : "";
}

static const char *x86__host_disturbed(void)
{
	return x86__is_emulated() ? "the host emulates KVM" : NULL;
}

static uint64_t x86__program_counter(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	return ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ? 0 : regs.rip;
}

/*
 * Not console=ttyS0: in newer kernels (7.3) its driver prints from a kernel thread of its own, so
 * that a CPU which is stuck says nothing of it. A boot console that is kept makes every console
 * print in the context of the message's writer, whatever that is. tty0, where there is one, is
 * /dev/console, and keeps the kernel from adding ttyS0 by itself. Not earlyprintk=: what unpacks
 * the kernel prints there, too.
 */
#define CONSOLE_CMDLINE "console=tty0 earlycon=uart8250,io,0x3f8 keep_bootcon"

/* First those that no PC has, then those of PC devices that are not there. */
static const uint8_t virtio_gsi[VM_MAX_VIRTIO] = {
	X86_VIRTIO_GSI, 17, 18, 19, 20, 21, 22, 23, 5, 7, 10, 11, 15, 14, 12, 6};

static unsigned long x86__vm_type(int kvm_fd)
{
	(void)kvm_fd;
	return 0;
}

static int x86__unpack_kernel(int fd, void **kernel, size_t *length, uint64_t *linked)
{
	*linked = 0;
	return bzimage__unpack(fd, kernel, length);
}

static const struct arch_ops arch_x86_ops = {
	.elf_machine = EM_X86_64,
	.tree_image = "arch/x86/boot/bzImage",
	.kernel_forms = "a bzImage, a vmlinux",
	.console_cmdline = CONSOLE_CMDLINE,
	.host_cmdline = x86__host_cmdline,
	.host_disturbed = x86__host_disturbed,
	.serial_space = BUS_PIO,
	.serial_base = {X86_COM1_PORT, X86_COM2_PORT},
	.serial_gsi = {X86_COM1_GSI, X86_COM2_GSI},
	.virtio_base = X86_VIRTIO_GPA,
	.virtio_gsi = virtio_gsi,
	.probe_guest = &x86_probe_guest,
	.check_config = x86__check_config,
	.vm_type = x86__vm_type,
	.layout_memory = gmem__layout,
	.create = x86__create,
	.destroy = x86__destroy,
	.write_tables = x86_tables__write,
	.load_kernel = x86_boot__load_kernel,
	.load_initramfs = x86_boot__load_initramfs,
	.vcpu_init = x86_vcpu__init,
	.connect_irq = x86__connect_irq,
	.handle_exit = x86__handle_exit,
	.program_counter = x86__program_counter,
	.inspect = x86__inspect,
	.unpack_kernel = x86__unpack_kernel,
	.kernel_offset = x86__kernel_offset,
	.send_nmi = x86__send_nmi,
	.dedicate_cpus = x86__dedicate_cpus,
	.modules_start = X86_MODULES_START,
	.modules_end = X86_MODULES_END,
};

const struct arch_ops *const arch__this = &arch_x86_ops;
