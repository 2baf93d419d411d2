// SPDX-License-Identifier: GPL-2.0-only
/*
 * Code at EL1 with its MMU off: FP and SIMD, what the CPU says of itself, the timer's counter, a
 * store to a device that has to arrive whole, and PSCI, which ends it. No KVM interprets here: the
 * loop's rate is only told. What the guest stored to RAM past the host's caches the host might not
 * see, so where it is, is in a register.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../probe_guest.h"
#include "arm64.h"

#define LIMIT_MS 2000 /* for a guest that hangs, also where the host has little of its CPUs */
#define LOOP_ITERATIONS 4000u
#define LOOP_INSTRUCTIONS 6u

/* Where nothing is; what fails stores 8 bytes behind it. */
#define DEVICE_GPA ARM64_VIRTIO_GPA
#define DEVICE_VALUE UINT64_C(0x6b74737470726f62)

#define REG(n) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.regs[n]))
#define REG_PC (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))

/* In the code below, too. */
enum stage {
	STAGE_LOOP = PROBE_STAGE_LOOP,
	STAGE_FP,
	STAGE_ID,
	STAGE_COUNTER,
	STAGE_STORE,
	STAGE_PSCI,
	STAGE_OFF,
	NR_STAGES
};

static const char *const stages[NR_STAGES] = {
	[0] = "its first instruction",
	[STAGE_LOOP] = "a loop",
	[STAGE_FP] = "FP and SIMD instructions",
	[STAGE_ID] = "ID registers",
	[STAGE_COUNTER] = "the timer's counter",
	[STAGE_STORE] = "a store to a device",
	[STAGE_PSCI] = "PSCI 0.2",
	[STAGE_OFF] = "PSCI SYSTEM_OFF",
};

enum { HAVE_ALL = 1 };

/*
 * x0: iterations, x1: features, x20: DEVICE_GPA, x21: DEVICE_VALUE; x19: the stage. Position
 * independent, the vectors at a multiple of 2 KiB. PSCI (DEN0022): 0x84000000 is PSCI_VERSION,
 * with the major number from bit 16 on, 0x84000008 SYSTEM_OFF.
 */
asm(".pushsection .rodata\n"
    "	.balign 0x800\n"
    "ktstr_probe_code:\n"
    "	adr x9, 8f\n"
    "	msr vbar_el1, x9\n"
    "	isb\n"
    "	mov x19, #1\n"
    "1:	add x2, x2, x0\n"
    "	eor x3, x2, x0, lsl #1\n"
    "	bl 9f\n"
    "	subs x0, x0, #1\n"
    "	b.ne 1b\n"
    "	cbz x1, 2f\n"
    "	mov x19, #2\n"
    "	mov x9, #0x300000\n" /* CPACR_EL1.FPEN: nothing traps */
    "	msr cpacr_el1, x9\n"
    "	isb\n"
    "	fmov d0, x2\n"
    "	dup v1.2d, x3\n"
    "	add v0.2d, v0.2d, v1.2d\n"
    "	mov x19, #3\n"
    "	mrs x9, midr_el1\n"
    "	mrs x9, id_aa64mmfr0_el1\n"
    "	mov x19, #4\n"
    "	mrs x9, cntvct_el0\n"
    "	mov x19, #5\n"
    "	str x21, [x20]\n"
    "	mov x19, #6\n"
    "	mov w0, #0x84000000\n"
    "	hvc #0\n"
    "	tbnz w0, #31, 3f\n"
    "	cmp w0, #2\n"
    "	b.lo 3f\n"
    "2:	mov x19, #7\n"
    "	movz w0, #0x8400, lsl #16\n"
    "	movk w0, #0x0008\n"
    "	hvc #0\n"
    "3:	str xzr, [x20, #8]\n"
    "	b .\n"
    "9:	ret\n"
    "	.balign 0x800\n"
    "8:	.rept 16\n"
    "	str xzr, [x20, #8]\n"
    "	b .\n"
    "	.balign 0x80\n"
    "	.endr\n"
    "ktstr_probe_code_end:\n"
    "ktstr_probe_code_bytes: .long ktstr_probe_code_end - ktstr_probe_code\n"
    ".popsection\n");
/* Hidden: addressed without the GOT, where GNU ld keeps no addends of local symbols. */
#define HIDDEN __attribute__((visibility("hidden")))
extern const uint8_t ktstr_probe_code[] HIDDEN;
extern const uint32_t ktstr_probe_code_bytes HIDDEN;

static bool set_reg(const struct probe_vm *p, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(p->vcpu, KVM_SET_ONE_REG, &reg) == 0;
}

static uint64_t get_reg(const struct probe_vm *p, uint64_t id, uint64_t otherwise)
{
	uint64_t value = 0;
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(p->vcpu, KVM_GET_ONE_REG, &reg) == 0 ? value : otherwise;
}

static bool can_create(const struct probe_vm *p, uint32_t type)
{
	struct kvm_create_device device = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};

	return ioctl(p->vm, KVM_CREATE_DEVICE, &device) == 0;
}

static const char *missing(const struct probe_vm *p)
{
	static const struct {
		unsigned long cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_ARM_PSCI_0_2, "PSCI 0.2"},
		{KVM_CAP_IRQFD, "irqfd"},
		{KVM_CAP_IOEVENTFD, "ioeventfd"},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (ioctl(p->vm, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return needed[i].name;
	return can_create(p, KVM_DEV_TYPE_ARM_VGIC_V3) || can_create(p, KVM_DEV_TYPE_ARM_VGIC_V2)
		       ? NULL
		       : "GICv3 and GICv2";
}

static const char *prepare_vm(struct probe_vm *p)
{
	memcpy(p->memory, ktstr_probe_code, ktstr_probe_code_bytes);
	__builtin___clear_cache((char *)p->memory, (char *)p->memory + ktstr_probe_code_bytes);
	p->have = HAVE_ALL;
	return NULL;
}

static const char *prepare_vcpu(struct probe_vm *p)
{
	(void)p;
	return NULL;
}

/* Also a vCPU that PSCI stopped starts by KVM_ARM_VCPU_INIT. */
static int reset(struct probe_vm *p, uint64_t features)
{
	struct kvm_vcpu_init init;

	if (ioctl(p->vm, KVM_ARM_PREFERRED_TARGET, &init))
		return -1;
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (ioctl(p->vcpu, KVM_ARM_VCPU_INIT, &init))
		return -1;
	return set_reg(p, REG_PC, ARM64_RAM_GPA) && set_reg(p, REG(0), LOOP_ITERATIONS) &&
			       set_reg(p, REG(1), features) && set_reg(p, REG(19), 0) &&
			       set_reg(p, REG(20), DEVICE_GPA) && set_reg(p, REG(21), DEVICE_VALUE)
		       ? 0
		       : -1;
}

static enum probe_exit exited(const struct probe_vm *p)
{
	const struct kvm_run *run = p->run;
	uint64_t value = DEVICE_VALUE;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return run->mmio.phys_addr == DEVICE_GPA && run->mmio.is_write &&
				       run->mmio.len == sizeof(value) &&
				       !memcmp(run->mmio.data, &value, sizeof(value))
			       ? PROBE_GOES_ON
			       : PROBE_FAILED;
	case KVM_EXIT_SYSTEM_EVENT:
		return run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? PROBE_ENDED
									   : PROBE_FAILED;
	default:
		return PROBE_FAILED;
	}
}

static uint32_t progress(const struct probe_vm *p, uint64_t *left)
{
	*left = get_reg(p, REG(0), LOOP_ITERATIONS);
	return (uint32_t)get_reg(p, REG(19), 0);
}

const struct probe_guest arm64_probe_guest = {
	.mode = "EL1",
	.ram_gpa = ARM64_RAM_GPA,
	.iterations = LOOP_ITERATIONS,
	.instructions = LOOP_INSTRUCTIONS,
	.native_minsn_per_s = 0,
	.limit_ms = LIMIT_MS,
	.stages = stages,
	.nr_stages = NR_STAGES,
	.missing = missing,
	.prepare_vm = prepare_vm,
	.prepare_vcpu = prepare_vcpu,
	.reset = reset,
	.exited = exited,
	.progress = progress,
};
