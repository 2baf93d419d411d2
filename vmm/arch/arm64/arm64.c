// SPDX-License-Identifier: GPL-2.0-only
/* The arm64 machine behind struct arch_ops: vCPUs, what a stopped one is doing, address map. */
#include "arm64.h"

#include <elf.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../symbols.h"
#include "../../vcpu.h"
#include "../../vm.h"
#include "fdt.h"
#include "image.h"

#define CORE_REG(name) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)
#define ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)
#define VBAR_EL1 ARM64_SYS_REG(3, 0, 12, 0, 0)
/* Types of levels 1 to 7, and the level of coherence (Arm ARM, CLIDR_EL1): separate 3, unified 4.
 */
#define CLIDR_EL1 ARM64_SYS_REG(3, 1, 0, 0, 1)
#define CLIDR_CTYPES UINT64_C(0x1fffff)
#define CLIDR_CTYPES_OURS (UINT64_C(3) | UINT64_C(4) << 3 | UINT64_C(4) << 6)
#define CLIDR_LOC (UINT64_C(7) << 24)
#define CLIDR_LOC_OURS (UINT64_C(3) << 24)
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

#define PSTATE_MODE 0xfu /* EL0t: 0 */

/* Documentation/arch/arm64/memory.rst, 48-bit addresses: 2 GiB below the kernel's own, which is
 * linked to where they end. */
#define ARM64_MODULES_START UINT64_C(0xffff800000000000)
#define ARM64_MODULES_END UINT64_C(0xffff800080000000)
/* Linux's arch/arm64/kernel/pi/kaslr_early.c: what KASLR adds. */
#define KASLR_ALIGN UINT64_C(0x10000)
#define KASLR_MAX (UINT64_C(1) << 47)

static int failed(const struct vcpu *vcpu, int err, const char *operation,
		  struct ktstr_error *error)
{
	char object[32];

	snprintf(object, sizeof(object), "vCPU %u", vcpu->index);
	return ktstr_error__set(error, err, operation, object, NULL);
}

bool arm64__get_reg(const struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) == 0;
}

static bool set_reg(const struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) == 0;
}

/* Of guest-physical addresses as many bits as the host has; KVM's default, 40, may be too many. */
static unsigned long arm64__vm_type(int kvm_fd)
{
	int bits = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits > 0 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)bits) : 0;
}

static int arm64__layout_memory(struct gmem *mem, uint64_t bytes, struct ktstr_error *error)
{
	return gmem__layout_at(mem, ARM64_RAM_GPA, bytes, error);
}

/* KVM makes the affinity from a vCPU's id; where a CPU sits is in the device tree alone. */
static void arm64__number_cpus(struct layout *layout)
{
	for (uint32_t i = 0; i < layout->nr_cpus; i++)
		layout->cpus[i].hw_id = i;
	layout->max_hw_id = layout->nr_cpus - 1;
}

int arm64__check_config(const struct ktstr_topology *topology, enum ktstr_cpu_vendor vendor,
			enum ktstr_irqchip irqchip, struct ktstr_error *error)
{
	const char *what = vendor != KTSTR_VENDOR_HOST	   ? "vendor"
			   : irqchip != KTSTR_IRQCHIP_AUTO ? "irqchip"
							   : NULL;
	int err;

	(void)topology;
	if (!what)
		return 0;
	err = ktstr_error__set(error, EINVAL, what, NULL, "is a choice for x86-64 machines alone");
	ktstr_error__hint(error, "leave it out: this ktstr is for arm64");
	return err;
}

static int arm64__create(struct vm *vm, struct ktstr_error *error)
{
	struct arm64_vm *arm64 = calloc(1, sizeof(*arm64));

	if (!arm64)
		return ktstr_error__set(error, ENOMEM, "allocate", "machine", NULL);
	arm64->gic_fd = -1;
	vm->arch_data = arm64;
	return arm64_gic__create(vm, error);
}

static void arm64__destroy(struct vm *vm)
{
	struct arm64_vm *arm64 = vm->arch_data;

	if (!arm64)
		return;
	if (arm64->gic_fd >= 0)
		close(arm64->gic_fd);
	free(arm64->cmdline);
	free(arm64);
	vm->arch_data = NULL;
}

/* The device tree is written last: it says where everything is. */
static int arm64__write_tables(struct vm *vm, struct ktstr_error *error)
{
	(void)vm;
	(void)error;
	return 0;
}

static int arm64__finish(struct vm *vm, struct ktstr_error *error)
{
	int err = arm64_gic__finish(vm, error);

	return err ? err : arm64_boot__write_fdt(vm, error);
}

static int check_page_size(const struct vm *vm, const struct vcpu *vcpu, struct ktstr_error *error)
{
	static const uint32_t sizes[] = {4, 16, 64};
	const struct arm64_vm *arm64 = vm->arch_data;
	char have[32] = "";
	uint64_t mmfr0;
	int err, n = 0;

	if (!arm64__get_reg(vcpu, ID_AA64MMFR0_EL1, &mmfr0))
		return failed(vcpu, errno, "KVM_GET_ONE_REG", error);
	if (arm64_image__has_pages(mmfr0, arm64->page_kib))
		return 0;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (arm64_image__has_pages(mmfr0, sizes[i]))
			n += snprintf(have + n, sizeof(have) - (size_t)n, "%s%u", n ? " or " : "",
				      sizes[i]);
	err = ktstr_error__set(error, ENOEXEC, "load kernel", vm->kernel.image,
			       "has pages of %u KiB, which this host's CPUs do not have",
			       arm64->page_kib);
	ktstr_error__hint(error, "give a kernel with pages of %s KiB", have);
	return err;
}

/*
 * L1 apart for data and instructions, L2 and L3 unified, as the device tree has them. Linux takes
 * none of its caches where CLIDR_EL1 has another number. A KVM that does not let it be written
 * (before 6.3) shows the host's own.
 */
static void set_cache_levels(const struct vcpu *vcpu)
{
	uint64_t clidr;

	if (!arm64__get_reg(vcpu, CLIDR_EL1, &clidr))
		return;
	clidr &= ~(CLIDR_CTYPES | CLIDR_LOC);
	(void)set_reg(vcpu, CLIDR_EL1, clidr | CLIDR_CTYPES_OURS | CLIDR_LOC_OURS);
}

static int arm64__vcpu_init(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error)
{
	const struct arm64_vm *arm64 = vm->arch_data;
	struct kvm_vcpu_init init;
	uint64_t mpidr;

	if (ioctl(vm->vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return failed(vcpu, errno, "KVM_ARM_PREFERRED_TARGET", error);
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (vcpu->index)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	if (ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return failed(vcpu, errno, "KVM_ARM_VCPU_INIT", error);
	if (!arm64__get_reg(vcpu, MPIDR_EL1, &mpidr))
		return failed(vcpu, errno, "KVM_GET_ONE_REG", error);
	/* The device tree names the CPUs by it. */
	if ((mpidr & MPIDR_AFFINITY) != arm64__mpidr(vcpu->index))
		return failed(vcpu, ENOTSUP, "MPIDR_EL1 is not KVM's formula", error);
	set_cache_levels(vcpu);
	if (vcpu->index)
		return 0;
	if (!set_reg(vcpu, CORE_REG(regs.pc), arm64->entry) ||
	    !set_reg(vcpu, CORE_REG(regs.regs[0]), arm64->fdt_gpa))
		return failed(vcpu, errno, "KVM_SET_ONE_REG", error);
	return check_page_size(vm, vcpu, error);
}

static bool arm64__handle_exit(struct vm *vm, struct vcpu *vcpu)
{
	(void)vm;
	(void)vcpu;
	return false;
}

static uint64_t arm64__program_counter(struct vcpu *vcpu)
{
	uint64_t pc;

	return arm64__get_reg(vcpu, CORE_REG(regs.pc), &pc) ? pc : 0;
}

static void arm64__inspect(struct vm *vm, struct vcpu *vcpu, struct vcpu_place *place)
{
	struct kvm_mp_state mp = {0};
	uint64_t pstate;

	(void)vm;
	*place = (struct vcpu_place){.state = VCPU_UNKNOWN};
	if (!arm64__get_reg(vcpu, CORE_REG(regs.pc), &place->pc) ||
	    !arm64__get_reg(vcpu, CORE_REG(regs.pstate), &pstate) ||
	    ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return;
	/* WFI waits inside KVM and is not told. */
	place->state = mp.mp_state == KVM_MP_STATE_STOPPED ? VCPU_NOT_STARTED : VCPU_RUNNING;
	place->user = !(pstate & PSTATE_MODE);
	if (!arm64__get_reg(vcpu, VBAR_EL1, &place->entries[0]))
		place->entries[0] = 0;
}

/* While a program runs, the vectors may be those of the trampoline of KPTI. */
static bool arm64__kernel_offset(const struct vcpu_place *place, const struct symbols *symbols,
				 uint64_t *offset)
{
	uint64_t address, distance;

	if (place->user || !place->entries[0] || !symbols__find(symbols, "vectors", &address))
		return false;
	distance = place->entries[0] - address;
	if (distance % KASLR_ALIGN || distance >= KASLR_MAX)
		return false;
	*offset = distance;
	return true;
}

/* There is none that KVM could inject. */
static int arm64__send_nmi(struct vcpu *vcpu)
{
	(void)vcpu;
	return -EOPNOTSUPP;
}

static const char *arm64__host_cmdline(void)
{
	return "";
}

/* Only an emulated KVM host has this variable (vmm/emulated/client.c). */
static const char *arm64__host_disturbed(void)
{
	const char *scratch = getenv("KTSTR_SCRATCH");

	return scratch && *scratch ? "the host emulates KVM" : NULL;
}

/* As on x86: a boot console that is kept prints in the context of who prints. */
#define CONSOLE_CMDLINE "console=tty0 earlycon=uart8250,mmio,0x9000000 keep_bootcon"
_Static_assert(ARM64_COM1_GPA == 0x9000000, "in CONSOLE_CMDLINE, too");

static const uint8_t virtio_spi[VM_MAX_VIRTIO] = {
	ARM64_VIRTIO_SPI, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
_Static_assert(2 + VM_MAX_VIRTIO <= ARM64_MAX_IRQS, "room for all");

static int arm64__unpack_kernel(int fd, void **kernel, size_t *length, uint64_t *linked)
{
	struct arm64_image image;
	int err = arm64_image__open(fd, "", &image, NULL);

	*kernel = NULL;
	if (err)
		return err;
	*kernel = image.data;
	*length = image.length;
	*linked = ARM64_MODULES_END;
	return 0;
}

static const struct arch_ops arch_arm64_ops = {
	.elf_machine = EM_AARCH64,
	.tree_image = "arch/arm64/boot/Image",
	.kernel_forms = "an Image, plain, gzipped or as EFI zboot, a vmlinux",
	.console_cmdline = CONSOLE_CMDLINE,
	.host_cmdline = arm64__host_cmdline,
	.host_disturbed = arm64__host_disturbed,
	.serial_space = BUS_MMIO,
	.serial_base = {ARM64_COM1_GPA, ARM64_COM2_GPA},
	.serial_gsi = {ARM64_COM1_SPI, ARM64_COM2_SPI},
	.virtio_base = ARM64_VIRTIO_GPA,
	.virtio_gsi = virtio_spi,
	.probe_guest = &arm64_probe_guest,
	.check_config = arm64__check_config,
	.vm_type = arm64__vm_type,
	.layout_memory = arm64__layout_memory,
	.number_cpus = arm64__number_cpus,
	.create = arm64__create,
	.destroy = arm64__destroy,
	.write_tables = arm64__write_tables,
	.load_kernel = arm64_boot__load_kernel,
	.load_initramfs = arm64_boot__load_initramfs,
	.vcpu_init = arm64__vcpu_init,
	.finish = arm64__finish,
	.connect_irq = arm64_gic__connect,
	.handle_exit = arm64__handle_exit,
	.program_counter = arm64__program_counter,
	.inspect = arm64__inspect,
	.unpack_kernel = arm64__unpack_kernel,
	.kernel_offset = arm64__kernel_offset,
	.send_nmi = arm64__send_nmi,
	.modules_start = ARM64_MODULES_START,
	.modules_end = ARM64_MODULES_END,
};

const struct arch_ops *const arch__this = &arch_arm64_ops;
