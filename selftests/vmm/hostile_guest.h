/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Machines for guests that mean harm: all their CPUs run the same function, and what the monitor
 * has of the host is looked at before and after.
 *
 * KTSTR_LONG=1: the guests do all that they can, else a part of it that has each kind.
 */
#ifndef KTSTR_SELFTESTS_HOSTILE_GUEST_H
#define KTSTR_SELFTESTS_HOSTILE_GUEST_H

#include <ktstr/vm.h>

#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"

#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/vm.h"

#define COM1 X86_COM1_PORT
#define COM2 X86_COM2_PORT
#define MIB (UINT64_C(1) << 20)

#define MEMORY_MB 64u
#define VIRTIO_STEP UINT64_C(0x1000) /* from one device to the next */

/* In the order in which the machine has them. */
enum { CONSOLE, DISK, NIC, NR_DEVICES };

/* ---- Guest ---- */

/* GUEST_CPUS(name) { body }: like GUEST_PROGRAM(); @cpu: its number. */
#define GUEST_CPUS(name)                                   \
	asm(".pushsection guest_text, \"ax\", @progbits\n" \
	    ".globl guest_entry_" #name "\n"               \
	    "guest_entry_" #name ":\n"                     \
	    "	mov %edi, %eax\n"                            \
	    "	shl $14, %eax\n"                             \
	    "	mov $0x500000, %esp\n"                       \
	    "	sub %eax, %esp\n"                            \
	    "	call guest_body_" #name "\n"               \
	    "1:	hlt\n"                                     \
	    "	jmp 1b\n"                                    \
	    ".popsection\n");                              \
	extern const uint8_t guest_entry_##name[];         \
	static GUEST void guest_body_##name(uint32_t cpu)

/* What the host tells all guests; at GUEST_DATA. */
struct orders {
	uint32_t everything; /* KTSTR_LONG */
	uint32_t rounds;
	uint64_t ram_end; /* of the last slot of RAM */
};

#define ORDERS ((const volatile struct orders *)(uintptr_t)GUEST_DATA)

/* What a guest's CPUs share. */
struct shared {
	uint32_t go, stop, done, mistakes;
	uint64_t first_mistake;
};

#define SHARED ((volatile struct shared *)(uintptr_t)(GUEST_DATA + 0x1000))

static GUEST __attribute__((unused)) uint64_t device(uint32_t n)
{
	return X86_VIRTIO_GPA + VIRTIO_STEP * n;
}

/* Something is not as it has to be; @where tells the host what. */
static GUEST __attribute__((unused)) void expect(bool holds, uint64_t where)
{
	if (holds)
		return;
	if (!SHARED->mistakes++)
		SHARED->first_mistake = where;
}

/* The machine has survived, and its serial ports still work: PASS, or FAIL with a mistake. */
static GUEST __attribute__((unused)) void finish(void)
{
	outb(COM2 + 3, 0); /* LCR: data, not the divisor */
	outb(COM2 + 4, 0); /* MCR: no loopback */
	print(COM2, GS("\nktstr-init: up\n"));
	if (SHARED->mistakes) {
		print(COM2, GS("first of "));
		print_hex(COM2, SHARED->mistakes);
		print(COM2, GS("mistakes at "));
		print_hex(COM2, SHARED->first_mistake);
		print(COM2, GS("\nKTSTR_EXIT=1\n"));
	} else {
		print(COM2, GS("KTSTR_EXIT=0\n"));
	}
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

#define NR_BOUNDARIES 5u

/* The @n-th of 0, 1, the largest and the smallest signed number, and all ones. */
static GUEST __attribute__((unused)) uint64_t boundary(uint32_t n, uint32_t bytes)
{
	uint64_t ones = ~UINT64_C(0) >> (64 - 8 * bytes);

	if (n < 2)
		return n;
	if (n == 2)
		return ones >> 1;
	return n == 3 ? (ones >> 1) + 1 : ones;
}

static GUEST __attribute__((unused)) uint64_t mmio_in(uint64_t gpa, uint32_t bytes)
{
	uint64_t value = 0;

	if (bytes == 1)
		asm volatile("movb (%1), %b0" : "+q"(value) : "r"(gpa) : "memory");
	else if (bytes == 2)
		asm volatile("movw (%1), %w0" : "+r"(value) : "r"(gpa) : "memory");
	else if (bytes == 4)
		asm volatile("movl (%1), %k0" : "+r"(value) : "r"(gpa) : "memory");
	else
		asm volatile("movq (%1), %0" : "+r"(value) : "r"(gpa) : "memory");
	return value;
}

static GUEST __attribute__((unused)) void mmio_out(uint64_t gpa, uint32_t bytes, uint64_t value)
{
	if (bytes == 1)
		asm volatile("movb %b0, (%1)" : : "q"(value), "r"(gpa) : "memory");
	else if (bytes == 2)
		asm volatile("movw %w0, (%1)" : : "r"(value), "r"(gpa) : "memory");
	else if (bytes == 4)
		asm volatile("movl %k0, (%1)" : : "r"(value), "r"(gpa) : "memory");
	else
		asm volatile("movq %0, (%1)" : : "r"(value), "r"(gpa) : "memory");
}

/* ---- Host ---- */

struct host_state {
	uint32_t fds, tasks;
	uint64_t rss;
};

FIXTURE(hostile)
{
	char cache[40], kernel[64];
	struct ktstr_disk disk;
	struct ktstr_nic nic;
	struct ktstr_vm_config config;
	struct orders orders;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct host_state before;
};

typedef FIXTURE_DATA(hostile) hostile;

/* As a machine of `ktstr run` that has something of everything. */
GUEST_CPUS(harmless)
{
	if (!cpu)
		finish();
}

static uint32_t count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	uint32_t n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Bytes of a line of /proc/self/status: "VmRSS", "VmHWM" (the most of it). */
static uint64_t memory_of_status(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	size_t length = strlen(name);
	char line[256];
	uint64_t kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, length) && line[length] == ':')
			kb = strtoull(line + length + 1, NULL, 10);
	if (f)
		fclose(f);
	return kb << 10;
}

/* The most from now on. Where the kernel can't, the most of all is compared, which hides some. */
static void forget_most(void)
{
	FILE *f = fopen("/proc/self/clear_refs", "we");

	if (!f)
		return;
	fputs("5", f); /* Documentation/filesystems/proc.rst */
	fclose(f);
}

static struct host_state look_at_host(void)
{
	struct host_state state = {.fds = count_entries("/proc/self/fd"),
				   .tasks = count_entries("/proc/self/task")};

	malloc_trim(0);
	state.rss = memory_of_status("VmRSS");
	return state;
}

static bool everything(void)
{
	return getenv("KTSTR_LONG");
}

/* CPU 0 starts as Linux does; the others as if it had started them there. */
static int start_cpus(struct vm *vm)
{
	struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
	struct kvm_sregs first, sregs;
	struct kvm_regs regs;

	if (ioctl(vm->vcpus[0].fd, KVM_GET_SREGS, &first) ||
	    ioctl(vm->vcpus[0].fd, KVM_GET_REGS, &regs))
		return -errno;
	for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
		int fd = vm->vcpus[i].fd;

		if (ioctl(fd, KVM_GET_SREGS, &sregs))
			return -errno;
		first.apic_base = sregs.apic_base;
		regs.rdi = i;
		if (ioctl(fd, KVM_SET_SREGS, &first) || ioctl(fd, KVM_SET_REGS, &regs) ||
		    ioctl(fd, KVM_SET_MP_STATE, &runnable))
			return -errno;
	}
	return 0;
}

static int create_hostile(struct __test_metadata *_metadata, hostile *self, const uint8_t *entry)
{
	struct ktstr_error error = {0};
	char line[1200];
	int err;

	self->orders.everything = everything();
	if (!guest_write_kernel(self->kernel, sizeof(self->kernel), entry, &self->orders,
				sizeof(self->orders)))
		return -EIO;
	self->config.kernel = self->config.init = self->kernel;
	err = ktstr_vm__create(&self->config, &self->vm, &error);
	unlink(self->kernel);
	self->kernel[0] = '\0';
	if (err) {
		ktstr_error__format(&error, line, sizeof(line));
		TH_LOG("%s", line);
		return err;
	}
	return start_cpus((struct vm *)self->vm);
}

static int run_hostile(struct __test_metadata *_metadata, hostile *self)
{
	int err = ktstr_vm__run(self->vm, &self->result, NULL);
	const char *mistakes;

	if (!err)
		TH_LOG("%s: %s", ktstr_verdict__name(self->result.verdict),
		       self->result.cause ? self->result.cause : "");
	/* What finish() says, behind all that the guest wrote there. */
	mistakes = err ? NULL : strstr(self->result.com2, "first of ");
	if (mistakes)
		TH_LOG("%.*s", (int)strcspn(mistakes, "\n"), mistakes);
	return err;
}

static void destroy_hostile(hostile *self)
{
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
}

#define BOOT(name)                                                                 \
	do {                                                                       \
		ASSERT_EQ(0, create_hostile(_metadata, self, guest_entry_##name)); \
		forget_most();                                                     \
		ASSERT_EQ(0, run_hostile(_metadata, self));                        \
	} while (0)

#define EXPECT_IN(needle, text)                                                          \
	do {                                                                             \
		const char *in_ = (text);                                                \
		EXPECT_NE(NULL, in_ ? strstr(in_, needle) : NULL)                        \
		{                                                                        \
			TH_LOG("\"%s\" is not in \"%s\"", needle, in_ ? in_ : "(null)"); \
		}                                                                        \
	} while (0)

/* What a machine did, it did to itself: the next one is as the first. */
static void boot_harmless(struct __test_metadata *_metadata, hostile *self)
{
	BOOT(harmless);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	destroy_hostile(self);
}

FIXTURE_SETUP(hostile)
{
	memset(self, 0, sizeof(*self));
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "no /dev/kvm here");
	strcpy(self->cache, "/tmp/ktstr-test-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->cache));
	unsetenv("KTSTR_SCRATCH");
	setenv("KTSTR_CACHE", self->cache, 1);
	/* Each thread of a machine would get an arena of its own, and the next another one. */
	mallopt(M_ARENA_MAX, 2);
	self->disk = (struct ktstr_disk){.fs = "none", .size_mb = 16};
	self->nic = (struct ktstr_nic){.network = "lan"};
	ktstr_vm_config__defaults(&self->config);
	self->config.topology = TOPO(1, 1, 4, 1);
	self->config.memory_mb = MEMORY_MB;
	self->config.boot_timeout_s = 3000; /* interpreted, and on a busy host */
	self->config.disks = &self->disk;
	self->config.nr_disks = 1;
	self->config.nics = &self->nic;
	self->config.nr_nics = 1;
	self->orders.ram_end = MEMORY_MB * MIB;
	/* What the C library and the product do once only. */
	boot_harmless(_metadata, self);
	self->before = look_at_host();
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

/* What is freed under ASan stays in its quarantine, which finds leaks by itself. */
#ifdef __SANITIZE_ADDRESS__
#define RSS_TOLERANCE (320 * MIB)
#else
#define RSS_TOLERANCE (4 * MIB)
#endif

FIXTURE_TEARDOWN(hostile)
{
	struct host_state after;

	if (!self->before.rss)
		goto out; /* nothing was run */
	destroy_hostile(self);
	after = look_at_host();
	EXPECT_EQ(self->before.fds, after.fds);
	EXPECT_EQ(self->before.tasks, after.tasks);
	EXPECT_GE(self->before.rss + RSS_TOLERANCE, after.rss);
	boot_harmless(_metadata, self);
out:
	ktstr_vm__destroy(self->vm);
	if (self->kernel[0])
		unlink(self->kernel);
	if (self->cache[0])
		nftw(self->cache, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

#endif /* KTSTR_SELFTESTS_HOSTILE_GUEST_H */
