// SPDX-License-Identifier: GPL-2.0-only
/* 64-bit code in ring 0, and instructions that interpreting KVMs do not know. */
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../probe_guest.h"
#include "x86.h"

/*
 * Measured, millions of these instructions a second: bare metal and hardware-assisted nesting above
 * 1000; nested SVM of QEMU's TCG 40 to 300, and not below 20 with its CPU shared by three; KVMs
 * that interpret ring 0 1.5 to 2.
 */
#define NATIVE_MINSN_PER_S 8.0
#define LIMIT_MS 200
#define LOOP_ITERATIONS 4000u
#define LOOP_INSTRUCTIONS 6u

#define GUEST_PML4 0x1000u
#define GUEST_PDPT 0x2000u
#define GUEST_PD 0x3000u
#define GUEST_CODE 0x4000u
#define GUEST_STAGE 0x5000u /* byte: what is being tried, enum stage */
#define GUEST_STACK 0x8000u

enum stage {
	STAGE_LOOP = PROBE_STAGE_LOOP,
	STAGE_CMPXCHG16B,
	STAGE_BMI,
	STAGE_SSE,
	STAGE_XSAVE,
	STAGE_DONE,
	NR_STAGES
};

static const char *const stages[NR_STAGES] = {
	[0] = "its first instruction",
	[STAGE_LOOP] = "a loop",
	[STAGE_CMPXCHG16B] = "cmpxchg16b",
	[STAGE_BMI] = "BMI instructions",
	[STAGE_SSE] = "SSE instructions",
	[STAGE_XSAVE] = "xsave/xrstor",
	[STAGE_DONE] = "hlt",
};

/* In %rsi: what KVM's CPUID announces. */
enum { HAVE_CX16 = 1, HAVE_BMI = 2, HAVE_XSAVE = 4, HAVE_SSE = 8 };

/*
 * %rdi: iterations, %rsi: HAVE_*. Flat 64-bit code at GUEST_CODE; absolute addresses are those of
 * GUEST_*: 0x5000 the stage, 0x6000 scratch data, 0x7000 the xsave area.
 */
asm(".pushsection .rodata\n"
    "ktstr_probe_code:\n"
    "	movb $1, 0x5000\n"
    "	mov %rdi, %rcx\n"
    "1:	mov %rcx, 0x6000\n"
    "	add 0x6000, %rax\n"
    "	call 9f\n"
    "	dec %rcx\n"
    "	jnz 1b\n"
    "	test $1, %rsi\n"
    "	jz 2f\n"
    "	movb $2, 0x5000\n"
    "	lock cmpxchg16b 0x6010\n"
    "2:	test $2, %rsi\n"
    "	jz 3f\n"
    "	movb $3, 0x5000\n"
    "	shlx %rax, %rdi, %rbx\n"
    "	rorx $7, %rax, %rbx\n"
    "	andn %rax, %rdi, %rbx\n"
    "3:	test $8, %rsi\n"
    "	jz 4f\n"
    "	movb $4, 0x5000\n"
    "	movups %xmm0, 0x6020\n"
    "	movups 0x6020, %xmm1\n"
    "	fxsave64 0x7000\n"
    "	fxrstor64 0x7000\n"
    "	test $4, %rsi\n"
    "	jz 4f\n"
    "	movb $5, 0x5000\n"
    "	xor %ecx, %ecx\n"
    "	mov $3, %eax\n"
    "	xor %edx, %edx\n"
    "	xsetbv\n"
    "	xsave64 0x7000\n"
    "	mov $3, %eax\n"
    "	xor %edx, %edx\n"
    "	xrstor64 0x7000\n"
    "4:	movb $6, 0x5000\n"
    "	hlt\n"
    "9:	ret\n"
    "ktstr_probe_code_end:\n"
    ".balign 4\n"
    "ktstr_probe_code_bytes: .long ktstr_probe_code_end - ktstr_probe_code\n"
    ".popsection\n");
extern const uint8_t ktstr_probe_code[];
extern const uint32_t ktstr_probe_code_bytes;

/* Intel VMX without unrestricted guest keeps its real-mode TSS there. */
static const char *prepare_vm(struct probe_vm *p)
{
	return ioctl(p->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul) ? "KVM_SET_TSS_ADDR" : NULL;
}

/* Passes KVM's CPUID through and notes what it has. */
static int set_cpuid(struct probe_vm *p)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	int err = -1;

	if (!cpuid)
		return -1;
	cpuid->nent = ENTRIES;
	if (!ioctl(p->kvm, KVM_GET_SUPPORTED_CPUID, cpuid))
		err = ioctl(p->vcpu, KVM_SET_CPUID2, cpuid);
	/* AMD APM 3, appendix E: leaf 1 ECX, leaf 7 EBX. */
	for (uint32_t i = 0; !err && i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 1) {
			p->have |= e->ecx & (1u << 13) ? HAVE_CX16 : 0;
			p->have |= e->ecx & (1u << 26) ? HAVE_XSAVE : 0;
			p->have |= HAVE_SSE; /* of every 64-bit CPU */
		} else if (e->function == 7 && !e->index) {
			p->have |= (e->ebx & (1u << 3)) && (e->ebx & (1u << 8)) ? HAVE_BMI : 0;
		}
	}
	free(cpuid);
	return err;
}

static void write_u64(struct probe_vm *p, uint32_t gpa, uint64_t value)
{
	memcpy(p->memory + gpa, &value, sizeof(value));
}

static const char *prepare_vcpu(struct probe_vm *p)
{
	if (set_cpuid(p))
		return "KVM_SET_CPUID2";
	/* Present, writable; in the last level a page of 2 MiB. */
	write_u64(p, GUEST_PML4, GUEST_PDPT | 3);
	write_u64(p, GUEST_PDPT, GUEST_PD | 3);
	write_u64(p, GUEST_PD, 0x83);
	memcpy(p->memory + GUEST_CODE, ktstr_probe_code, ktstr_probe_code_bytes);
	return NULL;
}

/* Long mode, ring 0, at the first instruction. */
static int reset(struct probe_vm *p, uint64_t features)
{
	struct kvm_segment code = {
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
	struct kvm_regs regs = {.rip = GUEST_CODE,
				.rsp = GUEST_STACK,
				.rflags = 2,
				.rdi = LOOP_ITERATIONS,
				.rsi = features};
	struct kvm_sregs sregs;

	if (ioctl(p->vcpu, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.idt.limit = 0; /* any exception ends in a triple fault */
	sregs.cr3 = GUEST_PML4;
	sregs.cr0 = 0x80000033; /* PG, NE, ET, MP, PE */
	sregs.cr4 =
		0x620 | (p->have & HAVE_XSAVE ? 0x40000 : 0); /* PAE, OSFXSR, OSXMMEXCPT, OSXSAVE */
	sregs.efer = 0x500;				      /* LMA, LME */
	p->memory[GUEST_STAGE] = 0;
	return ioctl(p->vcpu, KVM_SET_SREGS, &sregs) || ioctl(p->vcpu, KVM_SET_REGS, &regs) ? -1
											    : 0;
}

static enum probe_exit exited(const struct probe_vm *p)
{
	return p->run->exit_reason == KVM_EXIT_HLT && p->memory[GUEST_STAGE] == STAGE_DONE
		       ? PROBE_ENDED
		       : PROBE_FAILED;
}

static uint32_t progress(const struct probe_vm *p, uint64_t *left)
{
	struct kvm_regs regs = {.rcx = LOOP_ITERATIONS};

	(void)ioctl(p->vcpu, KVM_GET_REGS, &regs);
	*left = regs.rcx;
	return p->memory[GUEST_STAGE];
}

const struct probe_guest x86_probe_guest = {
	.mode = "ring 0",
	.ram_gpa = 0,
	.iterations = LOOP_ITERATIONS,
	.instructions = LOOP_INSTRUCTIONS,
	.native_minsn_per_s = NATIVE_MINSN_PER_S,
	.limit_ms = LIMIT_MS,
	.stages = stages,
	.nr_stages = NR_STAGES,
	.prepare_vm = prepare_vm,
	.prepare_vcpu = prepare_vcpu,
	.reset = reset,
	.exited = exited,
	.progress = progress,
};
