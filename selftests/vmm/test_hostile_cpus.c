// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUs that never answer, and what lies around a guest's RAM. Each machine ends with a verdict that
 * fits, at its time limit at the latest, nothing of it is left, and the next one works.
 */
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/vm.h"

#define COM1 X86_COM1_PORT
#define COM2 X86_COM2_PORT
#define MEMORY_MB 128u

static GUEST void finish(void)
{
	print(COM1, GS("alive\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(nothing_bad)
{
	finish();
}

/* ---- CPUs ---- */

/* The other CPU, in real mode at 0x8000: "cli; 1: hlt; jmp 1b", or "cli; 1: jmp 1b". */
static GUEST void start_other_cpu(bool halts)
{
	volatile uint64_t *code = (volatile uint64_t *)(uintptr_t)0x8000;

	asm volatile("" : "+r"(code));
	*code = halts ? UINT64_C(0xfdebf4fa) : UINT64_C(0xfeebfa);
	mmio_write(X86_LAPIC_GPA + 0x310, 1 << 24);
	mmio_write(X86_LAPIC_GPA + 0x300, 0x4500); /* INIT */
	mmio_write(X86_LAPIC_GPA + 0x310, 1 << 24);
	mmio_write(X86_LAPIC_GPA + 0x300, 0x4608); /* start-up, page 8 */
}

GUEST_PROGRAM(all_halt)
{
	print(COM2, GS("ktstr-init: up\n"));
	start_other_cpu(true);
	asm volatile("cli; 1: hlt; jmp 1b");
}

GUEST_PROGRAM(all_spin)
{
	print(COM2, GS("ktstr-init: up\n"));
	start_other_cpu(false);
	asm volatile("cli; 1: jmp 1b");
}

GUEST_PROGRAM(fault_on_other_cpu)
{
	volatile uint64_t *code = (volatile uint64_t *)(uintptr_t)0x8000;

	print(COM2, GS("ktstr-init: up\n"));
	start_other_cpu(false);
	asm volatile("" : "+r"(code));
	asm volatile("lidt (%0); ud2" : : "r"(GUEST_DATA) : "memory");
}

/* ---- Host ---- */

FIXTURE(hostile)
{
	char cache[32], kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_disk disk;
	struct ktstr_nic nic;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	uint32_t fds, tasks;
};

typedef FIXTURE_DATA(hostile) state;

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

FIXTURE_SETUP(hostile)
{
	memset(self, 0, sizeof(*self));
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "no access to /dev/kvm");
	strcpy(self->cache, "/tmp/ktstr-test-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->cache));
	unsetenv("KTSTR_SCRATCH");
	setenv("KTSTR_CACHE", self->cache, 1);
	self->disk = (struct ktstr_disk){.fs = "none", .size_mb = 16};
	ktstr_vm_config__defaults(&self->config);
	self->config.memory_mb = MEMORY_MB;
	self->config.topology = TOPO(1, 1, 2, 1);
	self->config.disks = &self->disk;
	self->config.nr_disks = 1;
	self->config.nics = &self->nic;
	self->config.nr_nics = 1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

FIXTURE_TEARDOWN(hostile)
{
	ktstr_vm__destroy(self->vm);
	if (self->kernel[0])
		unlink(self->kernel);
	if (self->cache[0])
		nftw(self->cache, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int boot(state *self, const uint8_t *entry)
{
	int err;

	if (self->kernel[0])
		unlink(self->kernel);
	if (!guest_write_kernel(self->kernel, sizeof(self->kernel), entry, NULL, 0))
		return -EIO;
	self->config.kernel = self->config.init = self->kernel;
	err = ktstr_vm__create(&self->config, &self->vm, &self->error);
	return err ? err : ktstr_vm__run(self->vm, &self->result, &self->error);
}

/* The machine is over; nothing of it is left, and another one, which does nothing bad, works. */
static void boot_another(struct __test_metadata *_metadata, state *self)
{
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
	EXPECT_EQ(self->fds, count_entries("/proc/self/fd"));
	EXPECT_EQ(self->tasks, count_entries("/proc/self/task"));
	ASSERT_EQ(0, boot(self, guest_entry_nothing_bad));
	EXPECT_STREQ("alive\n", self->result.console);
}

/* Runs a guest, of which TH_LOG tells what came out, beside a look at the host before. */
static void run(struct __test_metadata *_metadata, state *self, const uint8_t *entry)
{
	self->fds = count_entries("/proc/self/fd");
	self->tasks = count_entries("/proc/self/task");
	ASSERT_EQ(0, boot(self, entry)) TH_LOG("%s", self->error.reason);
	TH_LOG("%s: %.150s; %" PRIu64 " exits", ktstr_verdict__name(self->result.verdict),
	       self->result.cause ? self->result.cause : "", self->result.total_exits);
}

#define RUN(name) run(_metadata, self, guest_entry_##name)

/* What /proc/self/maps says of the page at @address: "rw-p"; "": nothing is there. */
static void protection(const void *address, char text[5])
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	text[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		char *end, *mode;
		uintptr_t from = strtoull(line, &end, 16), to = strtoull(end + 1, &mode, 16);

		if ((uintptr_t)address >= from && (uintptr_t)address < to)
			snprintf(text, 5, "%.4s", mode + 1);
	}
	if (f)
		fclose(f);
}

TEST_F_TIMEOUT(hostile, ram_lies_between_pages_that_nobody_may_touch, 900)
{
	const struct gmem *mem;

	self->config.memory_mb = 4096; /* two regions; not all is used */
	ASSERT_TRUE(guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_nothing_bad,
				       NULL, 0));
	self->config.kernel = self->config.init = self->kernel;
	ASSERT_EQ(0, ktstr_vm__create(&self->config, &self->vm, &self->error))
	TH_LOG("%s", self->error.reason);
	mem = &((struct vm *)self->vm)->mem;
	EXPECT_EQ(2, mem->nr_regions);
	for (uint32_t i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *r = &mem->regions[i];
		char text[5];

		protection(r->hva, text);
		EXPECT_STREQ("rw-p", text);
		protection(r->hva + r->size - 1, text);
		EXPECT_STREQ("rw-p", text);
		protection(r->hva - 1, text);
		EXPECT_STREQ("---p", text);
		protection(r->hva - 65536, text);
		EXPECT_STREQ("---p", text);
		protection(r->hva + r->size, text);
		EXPECT_STREQ("---p", text);
		protection(r->hva + r->size + 65536, text);
		EXPECT_STREQ("---p", text);
	}
}

TEST_F_TIMEOUT(hostile, all_cpus_halt_with_interrupts_off, 900)
{
	self->config.timeout_s = 1;
	RUN(all_halt);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_NE(NULL, strstr(self->result.cause, "vCPU 0 halted"));
	EXPECT_NE(NULL, strstr(self->result.cause, "vCPU 1 halted"));
	boot_another(_metadata, self);
}

TEST_F_TIMEOUT(hostile, all_cpus_spin_with_interrupts_off, 900)
{
	self->config.timeout_s = 1;
	RUN(all_spin);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_NE(NULL, strstr(self->result.cause, "vCPU 0 at"));
	EXPECT_NE(NULL, strstr(self->result.cause, "vCPU 1 at"));
	boot_another(_metadata, self);
}

TEST_F_TIMEOUT(hostile, one_cpu_faults_while_another_spins, 900)
{
	RUN(fault_on_other_cpu);
	EXPECT_EQ(KTSTR_VERDICT_GUEST_REBOOT, self->result.verdict);
	EXPECT_NE(NULL, strstr(self->result.cause, "triple fault"));
	boot_another(_metadata, self);
}

TEST_HARNESS_MAIN
