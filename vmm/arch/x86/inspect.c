// SPDX-License-Identifier: GPL-2.0-only
/* What a stopped vCPU is doing, where its kernel was loaded, and how it is made to say more. */
#include <errno.h>
#include <sys/ioctl.h>

#include "../../symbols.h"
#include "../../vcpu.h"
#include "../../vm.h"
#include "x86.h"

#define MSR_LSTAR 0xc0000082 /* target of SYSCALL in 64-bit mode */
#define CR0_PE UINT64_C(0x1)
#define EFER_LMA UINT64_C(0x400)
#define USER_CPL 3

#define PAGE_FAULT_VECTOR 14u
#define GATE_BYTES 16u /* Intel SDM vol. 3 §6.14.1, 64-bit mode IDT gates */
#define PAGE UINT64_C(4096)

/* arch/x86/Kconfig, PHYSICAL_ALIGN (at least) and arch/x86/include/asm/page_64_types.h,
 * KERNEL_IMAGE_SIZE: what KASLR adds. */
#define KASLR_ALIGN UINT64_C(0x200000)
#define KASLR_MAX UINT64_C(0x40000000)

/* Copies @size bytes at the kernel's address @address, which do not cross a page. False: there is
 * nothing that could be read. */
static bool read_virtual(const struct vm *vm, const struct vcpu *vcpu, uint64_t address, void *buf,
			 size_t size)
{
	struct kvm_translation at = {.linear_address = address};

	return ioctl(vcpu->fd, KVM_TRANSLATE, &at) == 0 && at.valid &&
	       !gmem__read(&vm->mem, at.physical_address, buf, size);
}

static uint64_t read_lstar(const struct vcpu *vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {.head.nmsrs = 1, .entry.index = MSR_LSTAR};

	return ioctl(vcpu->fd, KVM_GET_MSRS, &msrs) == 1 ? msrs.entry.data : 0;
}

/* The handler of @vector in the guest's IDT; 0: there is none that could be read. */
static uint64_t read_gate(const struct vm *vm, const struct vcpu *vcpu,
			  const struct kvm_sregs *sregs, uint32_t vector)
{
	uint64_t address = sregs->idt.base + (uint64_t)vector * GATE_BYTES;
	struct {
		uint16_t offset_low, selector, type, offset_middle;
		uint32_t offset_high, reserved;
	} gate;

	/* Not in 32-bit mode, not outside the table, and not across two pages. */
	if (!(sregs->efer & EFER_LMA) || (vector + 1) * GATE_BYTES - 1 > sregs->idt.limit ||
	    address % PAGE > PAGE - GATE_BYTES ||
	    !read_virtual(vm, vcpu, address, &gate, sizeof(gate)))
		return 0;
	return gate.offset_low | (uint64_t)gate.offset_middle << 16 |
	       (uint64_t)gate.offset_high << 32;
}

/* From the stack pointer up to the end of what is mapped, in pieces that do not cross a page. */
static void read_stack(const struct vm *vm, const struct vcpu *vcpu, uint64_t sp,
		       struct vcpu_place *place)
{
	if (sp % sizeof(place->stack[0]))
		return;
	while (place->nr_stack < VCPU_STACK_WORDS) {
		uint64_t address = sp + place->nr_stack * sizeof(place->stack[0]);
		size_t words = (PAGE - address % PAGE) / sizeof(place->stack[0]);

		if (words > VCPU_STACK_WORDS - place->nr_stack)
			words = VCPU_STACK_WORDS - place->nr_stack;
		if (!read_virtual(vm, vcpu, address, place->stack + place->nr_stack,
				  words * sizeof(place->stack[0])))
			return;
		place->nr_stack += (uint32_t)words;
	}
}

static enum vcpu_state read_state(const struct vcpu *vcpu)
{
	struct kvm_mp_state mp = {0};

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return VCPU_UNKNOWN;
	switch (mp.mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		return VCPU_RUNNING;
	case KVM_MP_STATE_HALTED:
		return VCPU_HALTED;
	default: /* waits for INIT or for its start-up IPI */
		return VCPU_NOT_STARTED;
	}
}

void x86__inspect(struct vm *vm, struct vcpu *vcpu, struct vcpu_place *place)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	*place = (struct vcpu_place){.state = VCPU_UNKNOWN};
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return;
	place->state = read_state(vcpu);
	place->pc = regs.rip;
	/* 64-bit mode has no base of the code segment. */
	if (!(sregs.efer & EFER_LMA) || !sregs.cs.l)
		place->pc += sregs.cs.base;
	/* The CPL is SS.DPL (Intel SDM vol. 3 §24.4.1 on guest-state access rights; AMD APM vol. 2
	 * §15.5.1 has it apart, and KVM puts it there); real mode has none. */
	place->user = (sregs.cr0 & CR0_PE) && sregs.ss.dpl == USER_CPL;
	if (!place->user && sregs.efer & EFER_LMA)
		read_stack(vm, vcpu, regs.rsp, place);
	place->entries[0] = read_lstar(vcpu);
	place->entries[1] = read_gate(vm, vcpu, &sregs, PAGE_FAULT_VECTOR);
}

bool x86__kernel_offset(const struct vcpu_place *place, const struct symbols *symbols,
			uint64_t *offset)
{
	/* The first is not set where FRED is used, or before the CPU was set up. */
	static const char *const names[VCPU_ENTRIES] = {"entry_SYSCALL_64", "asm_exc_page_fault"};

	for (size_t i = 0; i < VCPU_ENTRIES; i++) {
		uint64_t address, distance;

		if (!place->entries[i] || !symbols__find(symbols, names[i], &address))
			continue;
		distance = place->entries[i] - address;
		/* Anything else is a table of another build. */
		if (distance % KASLR_ALIGN || distance >= KASLR_MAX)
			return false;
		*offset = distance;
		return true;
	}
	return false;
}

int x86__send_nmi(struct vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_NMI) < 0 ? -errno : 0;
}
