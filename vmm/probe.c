// SPDX-License-Identifier: GPL-2.0-only
/*
 * Says what /dev/kvm is worth by running ring-0 code on it: a timed loop, then instructions that
 * every stock kernel executes and that interpreting KVMs do not know.
 */
#include <ktstr/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#if defined(__x86_64__)

/*
 * Measured, millions of these instructions a second: bare metal and hardware-assisted nesting above
 * 1000; nested SVM of QEMU's TCG 40 to 300, and not below 20 with its CPU shared by three; KVMs
 * that interpret ring 0 1.5 to 2. The best of some attempts counts, so that a busy host is not
 * taken for an interpreter.
 */
#define NATIVE_MINSN_PER_S 8.0
#define ATTEMPTS 4
#define LOOP_ITERATIONS 4000u
#define LOOP_INSTRUCTIONS 6u
#define LIMIT_MS 200 /* for all of it */

#define GUEST_BYTES 0x10000u
#define GUEST_PML4 0x1000u
#define GUEST_PDPT 0x2000u
#define GUEST_PD 0x3000u
#define GUEST_CODE 0x4000u
#define GUEST_STAGE 0x5000u /* byte: what is being tried, enum stage */
#define GUEST_STACK 0x8000u

enum stage { STAGE_LOOP = 1, STAGE_CMPXCHG16B, STAGE_BMI, STAGE_SSE, STAGE_XSAVE, STAGE_DONE };

static const char *const stage_names[] = {
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

struct probe_vm {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *memory;
	uint64_t have; /* HAVE_* */
};

/* "OPERATION: ERROR" into the detail. */
static void say_failed(struct ktstr_probe *probe, const char *operation)
{
	snprintf(probe->detail, sizeof(probe->detail), "/dev/kvm: %s: %s", operation,
		 strerror(errno));
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

static int create_vm(struct probe_vm *p, struct ktstr_probe *probe)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_BYTES};
	int size;

	p->vm = ioctl(p->kvm, KVM_CREATE_VM, 0);
	if (p->vm < 0) {
		say_failed(probe, "KVM_CREATE_VM");
		return -1;
	}
	p->memory =
		mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->memory == MAP_FAILED) {
		p->memory = NULL;
		say_failed(probe, "mmap");
		return -1;
	}
	region.userspace_addr = (uintptr_t)p->memory;
	/* Intel VMX without unrestricted guest keeps its real-mode TSS there. */
	if (ioctl(p->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul) ||
	    ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region)) {
		say_failed(probe, "KVM_SET_USER_MEMORY_REGION");
		return -1;
	}
	p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	size = ioctl(p->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (p->vcpu < 0 || size <= 0) {
		say_failed(probe, "KVM_CREATE_VCPU");
		return -1;
	}
	p->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	if (p->run == MAP_FAILED) {
		p->run = NULL;
		say_failed(probe, "mmap of the vCPU");
		return -1;
	}
	p->run_size = (size_t)size;
	if (set_cpuid(p)) {
		say_failed(probe, "KVM_SET_CPUID2");
		return -1;
	}
	/* Present, writable; in the last level a page of 2 MiB. */
	write_u64(p, GUEST_PML4, GUEST_PDPT | 3);
	write_u64(p, GUEST_PDPT, GUEST_PD | 3);
	write_u64(p, GUEST_PD, 0x83);
	memcpy(p->memory + GUEST_CODE, ktstr_probe_code, ktstr_probe_code_bytes);
	return 0;
}

static void destroy_vm(struct probe_vm *p)
{
	if (p->run)
		munmap(p->run, p->run_size);
	if (p->vcpu >= 0)
		close(p->vcpu);
	if (p->vm >= 0)
		close(p->vm);
	if (p->memory)
		munmap(p->memory, GUEST_BYTES);
	if (p->kvm >= 0)
		close(p->kvm);
}

/* Long mode, ring 0, at the first instruction. */
static int reset_vcpu(struct probe_vm *p, uint64_t have)
{
	struct kvm_segment code = {
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
	struct kvm_regs regs = {.rip = GUEST_CODE,
				.rsp = GUEST_STACK,
				.rflags = 2,
				.rdi = LOOP_ITERATIONS,
				.rsi = have};
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

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The rate of a loop that got to @left of its iterations within @seconds. */
static void note_rate(struct ktstr_probe *probe, uint64_t left, double seconds)
{
	double done = (double)(LOOP_ITERATIONS - (left < LOOP_ITERATIONS ? left : 0));
	double rate = done * LOOP_INSTRUCTIONS / (seconds > 1e-7 ? seconds : 1e-7) * 1e-6;

	if (rate > probe->minsn_per_s)
		probe->minsn_per_s = rate;
}

/*
 * Runs the loop once, then what @have names. False: it is decided (probe->detail says why, when it
 * is not for the rate).
 */
static bool attempt(struct probe_vm *p, uint64_t have, struct ktstr_probe *probe)
{
	struct kvm_regs regs;
	double start, seconds;
	unsigned int stage;
	int err;

	if (reset_vcpu(p, have)) {
		say_failed(probe, "KVM_SET_SREGS");
		return false;
	}
	start = now_s();
	err = ioctl(p->vcpu, KVM_RUN, 0) ? errno : 0;
	seconds = now_s() - start;
	stage = p->memory[GUEST_STAGE];
	if (!err && p->run->exit_reason == KVM_EXIT_HLT && stage == STAGE_DONE) {
		note_rate(probe, 0, seconds);
		return true;
	}
	if (err == EINTR) { /* the timer */
		if (stage == STAGE_LOOP && !ioctl(p->vcpu, KVM_GET_REGS, &regs))
			note_rate(probe, regs.rcx, seconds);
		return false;
	}
	snprintf(probe->detail, sizeof(probe->detail),
		 "cannot run a kernel here (ring 0 fails on %s, %s %u)",
		 stage_names[stage <= STAGE_DONE ? stage : 0], err ? "errno" : "KVM exit",
		 err ? (unsigned int)err : p->run->exit_reason);
	return false;
}

/*
 * A signal that stays blocked in this thread, but not while the guest runs, ends KVM_RUN when the
 * timer fires: no handler, nothing global.
 */
static int arm_timer(struct probe_vm *p, timer_t *timer, int sig)
{
	struct {
		struct kvm_signal_mask header;
		uint8_t set[8]; /* the kernel's sigset_t */
	} __attribute__((packed)) mask = {.header = {.len = 8}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig};
	const struct itimerspec limit = {.it_value = {.tv_nsec = LIMIT_MS * 1000000l}};
	uint64_t blocked = ~(UINT64_C(1) << (sig - 1));

	memcpy(mask.set, &blocked, sizeof(blocked));
	if (ioctl(p->vcpu, KVM_SET_SIGNAL_MASK, &mask))
		return -1;
	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, timer))
		return -1;
	if (timer_settime(*timer, 0, &limit, NULL)) {
		timer_delete(*timer);
		return -1;
	}
	return 0;
}

/* Decides between native and emulated for a VM that is ready. */
static void measure(struct probe_vm *p, struct ktstr_probe *probe)
{
	const struct timespec none = {0};
	const int sig = SIGRTMAX - 1;
	sigset_t set, old;
	timer_t timer;
	bool ran = true;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	if (arm_timer(p, &timer, sig)) {
		say_failed(probe, "set a timer for KVM_RUN");
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		return;
	}
	probe->kind = KTSTR_KVM_EMULATED;
	for (int i = 0; ran && i < ATTEMPTS && probe->minsn_per_s < NATIVE_MINSN_PER_S; i++)
		ran = attempt(p, 0, probe);
	if (ran && probe->minsn_per_s >= NATIVE_MINSN_PER_S)
		ran = attempt(p, p->have, probe);
	timer_delete(timer);
	while (sigtimedwait(&set, NULL, &none) > 0)
		; /* it may have fired at the last moment */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ran && probe->minsn_per_s >= NATIVE_MINSN_PER_S) {
		probe->kind = KTSTR_KVM_NATIVE;
		snprintf(probe->detail, sizeof(probe->detail),
			 "runs kernels (ring 0: %.0f Minsn/s)", probe->minsn_per_s);
	} else if (!probe->detail[0]) {
		snprintf(probe->detail, sizeof(probe->detail),
			 "cannot run a kernel here (ring 0 is interpreted, %.1f Minsn/s)",
			 probe->minsn_per_s);
	}
}

void ktstr_probe__run(struct ktstr_probe *probe)
{
	struct probe_vm p = {.vm = -1, .vcpu = -1};

	*probe = (struct ktstr_probe){.kind = KTSTR_KVM_ABSENT};
	p.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (p.kvm < 0)
		snprintf(probe->detail, sizeof(probe->detail), "%s%s", strerror(errno),
			 errno == EACCES ? "; become a member of its group (kvm)" : "");
	else if (ioctl(p.kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		snprintf(probe->detail, sizeof(probe->detail), "not KVM's stable interface");
	else if (!create_vm(&p, probe))
		measure(&p, probe);
	destroy_vm(&p);
}

#else

/* An instruction at the start of RAM stores to where nothing is: an exit is a KVM that runs guests.
 */
#define GUEST_RAM UINT64_C(0x40000000)
#define GUEST_BYTES 0x10000u
#define STORE_TO_X1 0xf9000020u /* str x0, [x1] */
#define CORE_REG(name) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

static bool set_reg(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu, KVM_SET_ONE_REG, &reg) == 0;
}

/* Returns what failed, errno says why; NULL: nothing did. */
static const char *run_store(int vm, int vcpu, uint32_t *memory, const struct kvm_run *run)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = GUEST_RAM,
						   .memory_size = GUEST_BYTES,
						   .userspace_addr = (uintptr_t)memory};
	struct kvm_vcpu_init init;

	memory[0] = STORE_TO_X1;
	__builtin___clear_cache((char *)memory, (char *)(memory + 1));
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return "KVM_SET_USER_MEMORY_REGION";
	if (ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) < 0)
		return "KVM_ARM_PREFERRED_TARGET";
	if (ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) < 0)
		return "KVM_ARM_VCPU_INIT";
	if (!set_reg(vcpu, CORE_REG(regs.pc), GUEST_RAM) ||
	    !set_reg(vcpu, CORE_REG(regs.regs[1]), GUEST_RAM / 2))
		return "KVM_SET_ONE_REG";
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return "KVM_RUN";
	errno = EPROTO;
	return run->exit_reason == KVM_EXIT_MMIO ? NULL : "a store by the guest";
}

static void try_kvm(int kvm, struct ktstr_probe *probe)
{
	int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	int vm = ioctl(kvm, KVM_CREATE_VM,
		       bits > 0 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long)bits) : 0ul);
	int vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0ul);
	size_t size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	uint32_t *memory =
		mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_run *run =
		vcpu < 0 ? MAP_FAILED
			 : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	const char *what = "KVM_CREATE_VM";

	if (memory != MAP_FAILED && run != MAP_FAILED)
		what = run_store(vm, vcpu, memory, run);
	if (!what)
		probe->kind = KTSTR_KVM_NATIVE;
	snprintf(probe->detail, sizeof(probe->detail), "%s%s%s", what ? what : "runs guests",
		 what ? ": " : "", what ? strerror(errno) : "");
	if (run != MAP_FAILED)
		munmap(run, size);
	if (memory != MAP_FAILED)
		munmap(memory, GUEST_BYTES);
	if (vcpu >= 0)
		close(vcpu);
	if (vm >= 0)
		close(vm);
}

void ktstr_probe__run(struct ktstr_probe *probe)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*probe = (struct ktstr_probe){.kind = KTSTR_KVM_ABSENT};
	if (kvm < 0) {
		snprintf(probe->detail, sizeof(probe->detail), "%s%s", strerror(errno),
			 errno == EACCES ? "; become a member of its group (kvm)" : "");
		return;
	}
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		snprintf(probe->detail, sizeof(probe->detail), "not KVM's stable interface");
	else
		try_kvm(kvm, probe);
	close(kvm);
}

#endif
