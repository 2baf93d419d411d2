// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do what no kernel does: every port, every register of every device, queues that
 * change while they are in use, storms of notifications, floods, memory that is not there, CPUs
 * that never answer. Each ends with a verdict that fits, at its time limit at the latest; the host
 * keeps its memory, its descriptors and its threads, and the next machine works.
 *
 * KTSTR_LONG=1: with every width and value, for longer (selftests/long/hostile_guests.t).
 */
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/vm.h"

#define COM1 X86_COM1_PORT
#define COM2 X86_COM2_PORT
#define MEMORY_MB 128u
#define DEVICES 3u		  /* console, disk, NIC */
#define RSS_TOLERANCE (24u << 20) /* what the host keeps of texts and queues is below */

/* What the test tells the guest, at GUEST_DATA; behind it, rings. */
struct orders {
	uint64_t rounds;
	uint64_t whole; /* every width and value */
	uint64_t addresses[16];
};

#define ORDERS ((const volatile struct orders *)(uintptr_t)GUEST_DATA)
#define RINGS (GUEST_DATA + 0x10000u) /* 64 KiB a device */

static GUEST void finish(void)
{
	print(COM1, GS("alive\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

static GUEST void outl(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "d"(port));
}

/* ---- Ports ---- */

/* Those whose job is to end the machine are left out. */
static GUEST bool ends_it(uint32_t port)
{
	return (port >= X86_I8042_COMMAND_PORT - 3 && port <= X86_I8042_COMMAND_PORT) ||
	       (port >= X86_PM1A_EVENT_PORT - 3 && port <= X86_RESET_PORT + 3);
}

static GUEST void touch_port(uint32_t port, uint32_t how)
{
	uint32_t value = port * 0x01010101u ^ (how & 8 ? UINT32_MAX : 0);

	switch (how & 7) {
	case 0:
		outb((uint16_t)port, (uint8_t)value);
		break;
	case 1:
		outw((uint16_t)port, (uint16_t)value);
		break;
	case 2:
		outl((uint16_t)port, value);
		break;
	case 3:
		(void)inb((uint16_t)port);
		break;
	case 4:
		(void)inw((uint16_t)port);
		break;
	default:
		(void)inl((uint16_t)port);
		break;
	}
}

GUEST_PROGRAM(every_port)
{
	uint64_t whole = ORDERS->whole;

	for (uint32_t port = 0; port < 0x10000; port++) {
		if (ends_it(port))
			continue;
		if (whole)
			for (uint32_t how = 0; how < 16; how++)
				touch_port(port, how);
		else
			touch_port(port, port % 6);
	}
	/* Of the serial ports all that is to be had; their registers may be anything now. */
	for (uint32_t how = 0; how < 16; how++)
		for (uint16_t port = 0; port < 8; port++) {
			touch_port(COM1 + port, how);
			touch_port(COM2 + port, how);
		}
	outb(COM1 + 3, 3); /* LCR: no divisor latch */
	outb(COM1 + 4, 0); /* MCR: no loop */
	print(COM1, GS("\n"));
	finish();
}

/* ---- Registers ---- */

static GUEST void mmio_write_wide(uint64_t gpa, uint32_t width, uint64_t value)
{
	switch (width) {
	case 0:
		asm volatile("movb %b0, (%1)" : : "q"(value), "r"(gpa) : "memory");
		break;
	case 1:
		asm volatile("movw %w0, (%1)" : : "r"(value), "r"(gpa) : "memory");
		break;
	case 2:
		asm volatile("movl %k0, (%1)" : : "r"(value), "r"(gpa) : "memory");
		break;
	default:
		asm volatile("movq %0, (%1)" : : "r"(value), "r"(gpa) : "memory");
	}
}

static GUEST uint64_t boundary(uint32_t which)
{
	uint64_t top = UINT64_C(1) << 63 | UINT64_C(1) << 31;

	switch (which) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return ~top;
	case 3:
		return top;
	default:
		return UINT64_MAX;
	}
}

/* From before the first window to behind the last. */
GUEST_PROGRAM(every_register)
{
	uint64_t whole = ORDERS->whole, end = X86_VIRTIO_GPA + DEVICES * 0x1000 + 16;
	uint32_t n = 0;

	for (uint64_t gpa = X86_VIRTIO_GPA - 16; gpa < end; gpa += whole ? 1 : 4) {
		if ((gpa & 0xfff) > 0x220 && (gpa & 0xfff) < 0xff0)
			continue;
		for (uint32_t i = 0; i < (whole ? 20 : 2); i++, n++) {
			mmio_write_wide(gpa, whole ? i % 4 : 2, boundary(whole ? i / 4 : n % 5));
			(void)mmio_read(gpa);
		}
	}
	finish();
}

/* Each value of the status register after each other. */
GUEST_PROGRAM(every_status)
{
	uint64_t step = ORDERS->whole ? 1 : 13;

	for (uint64_t d = 0; d < DEVICES; d++) {
		uint64_t base = X86_VIRTIO_GPA + d * 0x1000;

		for (uint64_t from = 0; from < 256; from += step)
			for (uint64_t to = 0; to < 256; to += 37) {
				mmio_write(base + 0x70, (uint32_t)from);
				mmio_write(base + 0x24, 1);
				mmio_write(base + 0x20, 1);
				mmio_write(base + 0x70, (uint32_t)to);
			}
	}
	finish();
}

/* ---- Queues ---- */

static GUEST void set_up_queue(uint64_t base, uint32_t queue, uint64_t ring, uint32_t size)
{
	mmio_write(base + 0x30, queue);
	mmio_write(base + 0x38, size);
	mmio_write(base + 0x80, (uint32_t)ring);
	mmio_write(base + 0x90, (uint32_t)ring + 0x1000);
	mmio_write(base + 0xa0, (uint32_t)ring + 0x2000);
	mmio_write(base + 0x44, 1);
}

static GUEST void start_device(uint64_t base, uint32_t features)
{
	mmio_write(base + 0x70, 0);
	mmio_write(base + 0x70, 3);
	mmio_write(base + 0x24, 0);
	mmio_write(base + 0x20, features);
	mmio_write(base + 0x24, 1);
	mmio_write(base + 0x20, 1); /* VERSION_1 */
	mmio_write(base + 0x70, 11);
}

/* A chain of one buffer, again and again in all entries. */
static GUEST void fill_ring(uint64_t ring, uint64_t gpa, uint32_t length, uint16_t flags)
{
	volatile uint64_t *desc = (volatile uint64_t *)ring;
	volatile uint16_t *avail = (volatile uint16_t *)(ring + 0x1000);

	for (uint32_t i = 0; i < 8; i++) {
		desc[2 * i] = gpa;
		desc[2 * i + 1] = length | (uint64_t)flags << 32;
		avail[2 + i] = (uint16_t)i;
	}
}

/* While the disk reads for one queue, and the NIC sends, they change. */
GUEST_PROGRAM(queues_in_use)
{
	uint64_t rounds = ORDERS->rounds;

	for (uint64_t i = 0; i < rounds; i++)
		for (uint64_t d = 1; d < DEVICES; d++) {
			uint64_t base = X86_VIRTIO_GPA + d * 0x1000, ring = RINGS + d * 0x10000;
			volatile uint64_t *desc = (volatile uint64_t *)ring;
			volatile uint16_t *avail = (volatile uint16_t *)(ring + 0x1000);
			uint32_t queue = d == 1 ? 0 : 1;

			start_device(base, 0);
			avail[1] = 0;
			*(volatile uint16_t *)(ring + 0x2002) = 0;
			fill_ring(ring, RINGS, 64, 0);
			if (d == 1) { /* a read: header, data, status */
				*(volatile uint64_t *)RINGS = 0;
				*(volatile uint64_t *)(RINGS + 8) = i & 1023;
				desc[0] = RINGS;
				desc[1] = 16 | UINT64_C(1) << 32 | UINT64_C(1) << 48;
				desc[2] = RINGS + 0x1000;
				desc[3] = 0x4000 | UINT64_C(3) << 32 | UINT64_C(2) << 48;
				desc[4] = RINGS + 0x800;
				desc[5] = 1 | UINT64_C(2) << 32;
			}
			set_up_queue(base, queue, ring, 8);
			mmio_write(base + 0x70, 15);
			avail[1] = (uint16_t)(d == 1 ? 1 : 1 + i % 8);
			mmio_write(base + 0x50, queue);
			switch (i % 4) {
			case 0: /* another place, which a ready queue ignores */
				mmio_write(base + 0x80, 0xfffffff0);
				mmio_write(base + 0x38, 3);
				break;
			case 1: /* it stops, and starts elsewhere */
				mmio_write(base + 0x30, queue);
				mmio_write(base + 0x44, 0);
				set_up_queue(base, queue, ring + 0x4000, 4);
				break;
			case 2: /* its memory turns into something else */
				desc[1] = UINT64_MAX;
				avail[1] = (uint16_t)(i & 1 ? 9 : 0xffff);
				break;
			default: /* a reset */
				mmio_write(base + 0x70, 0);
			}
			mmio_write(base + 0x50, queue);
		}
	finish();
}

/* Of queues that are ready, and of numbers that are no queue's. */
GUEST_PROGRAM(notify_storm)
{
	uint64_t rounds = ORDERS->rounds;

	for (uint64_t d = 0; d < DEVICES; d++) {
		uint64_t base = X86_VIRTIO_GPA + d * 0x1000;

		start_device(base, d ? 0 : 2);
		for (uint32_t q = 0; q < 2; q++)
			set_up_queue(base, q, RINGS + d * 0x10000 + q * 0x4000, 8);
		mmio_write(base + 0x70, 15);
	}
	for (uint64_t i = 0; i < rounds; i++)
		for (uint64_t d = 0; d < DEVICES; d++)
			mmio_write(X86_VIRTIO_GPA + d * 0x1000 + 0x50,
				   (uint32_t)(i & 7 ? i & 3 : i * 0x9e3779b1));
	finish();
}

/* ---- Floods: until the time is over ---- */

GUEST_PROGRAM(flood_serial)
{
	print(COM2, GS("ktstr-init: up\n"));
	for (uint32_t i = 0;; i++) {
		outb(COM1, (uint8_t)(i & 63 ? 'a' + i % 26 : '\n'));
		outb(COM2, (uint8_t)(i % 251 ? i : '\n'));
	}
}

/* All three ports of the console at once; what it writes is no frame. */
GUEST_PROGRAM(flood_console)
{
	uint64_t base = X86_VIRTIO_GPA;
	uint16_t n = 0;

	print(COM2, GS("ktstr-init: up\n"));
	start_device(base, 2); /* MULTIPORT */
	for (uint32_t q = 1; q < 8; q += 2) {
		uint64_t ring = RINGS + q * 0x4000;

		fill_ring(ring, GUEST_LOAD, q == 3 ? 8 : 0x200000, 0);
		set_up_queue(base, q, ring, 8);
	}
	mmio_write(base + 0x70, 15);
	for (;; n++)
		for (uint32_t q = 1; q < 8; q += 2) {
			*(volatile uint16_t *)(uintptr_t)(RINGS + q * 0x4000 + 0x1002) = n;
			mmio_write(base + 0x50, q);
		}
}

/* ---- Memory ---- */

/* Around the end of RAM, in the hole, at devices of others, at the end of 4 GiB. */
GUEST_PROGRAM(outside_ram)
{
	for (uint32_t i = 0; i < 16; i++) {
		uint64_t gpa = ORDERS->addresses[i];

		if (!gpa)
			continue;
		for (uint32_t width = 0; width < 4; width++)
			mmio_write_wide(gpa, width, UINT64_C(0x5a5a5a5a5a5a5a5a));
		print_hex(COM1, mmio_read(gpa));
	}
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
	asm volatile("lidt (%0); ud2" : : "r"(GUEST_DATA + 0x8000) : "memory");
}

/* ---- Host ---- */

FIXTURE(hostile)
{
	char cache[32], kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_disk disk;
	struct ktstr_nic nic;
	struct orders orders;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	bool whole;
	uint32_t fds, tasks;
	uint64_t rss;
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

static uint64_t resident(void)
{
	uint64_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
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
	self->whole = getenv("KTSTR_LONG");
	self->orders.whole = self->whole;
	self->disk = (struct ktstr_disk){.fs = "none", .size_mb = 16};
	ktstr_vm_config__defaults(&self->config);
	self->config.memory_mb = MEMORY_MB;
	self->config.topology = TOPO(1, 1, 2, 1);
	self->config.boot_timeout_s = self->config.timeout_s = self->whole ? 600 : 100;
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
	if (!guest_write_kernel(self->kernel, sizeof(self->kernel), entry, &self->orders,
				sizeof(self->orders)))
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
	memset(&self->orders, 0, sizeof(self->orders));
	ASSERT_EQ(0, boot(self, guest_entry_outside_ram));
	EXPECT_STREQ("alive\n", self->result.console);
}

/* Runs a guest, of which TH_LOG tells what came out, beside a look at the host before. */
static void run(struct __test_metadata *_metadata, state *self, const uint8_t *entry)
{
	self->fds = count_entries("/proc/self/fd");
	self->tasks = count_entries("/proc/self/task");
	malloc_trim(0);
	self->rss = resident();
	ASSERT_EQ(0, boot(self, entry)) TH_LOG("%s", self->error.reason);
	TH_LOG("%s: %.150s; %" PRIu64 " exits", ktstr_verdict__name(self->result.verdict),
	       self->result.cause ? self->result.cause : "", self->result.total_exits);
}

#define RUN(name) run(_metadata, self, guest_entry_##name)

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);

	return length >= n && !strcmp(text + length - n, end);
}

/*
 * It got to its end, a reset before or after init spoke (which a byte on COM2 is taken for); that a
 * driver broke the rules may have been the verdict before.
 */
static void expect_alive(struct __test_metadata *_metadata, state *self)
{
	EXPECT_TRUE(ends_with(self->result.console, "alive\n"))
	TH_LOG("%s", self->result.console);
	EXPECT_TRUE(self->result.verdict == KTSTR_VERDICT_NO_BOOT ||
		    self->result.verdict == KTSTR_VERDICT_GUEST_REBOOT ||
		    self->result.verdict == KTSTR_VERDICT_CHANNEL_BROKEN);
	boot_another(_metadata, self);
}

TEST_F_TIMEOUT(hostile, every_port_in_every_width, 900)
{
	RUN(every_port);
	EXPECT_LT(60000, self->result.total_exits);
	expect_alive(_metadata, self);
}

TEST_F_TIMEOUT(hostile, every_register_with_every_boundary, 900)
{
	RUN(every_register);
	EXPECT_LT(1000, self->result.total_exits);
	expect_alive(_metadata, self);
}

TEST_F_TIMEOUT(hostile, every_status_after_every_other, 900)
{
	RUN(every_status);
	expect_alive(_metadata, self);
}

TEST_F_TIMEOUT(hostile, queues_change_while_they_are_in_use, 900)
{
	self->orders.rounds = self->whole ? 20000 : 300;
	RUN(queues_in_use);
	expect_alive(_metadata, self);
}

TEST_F_TIMEOUT(hostile, notifications_by_the_thousand, 900)
{
	self->orders.rounds = self->whole ? 300000 : 10000;
	RUN(notify_storm);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	expect_alive(_metadata, self);
}

/* The time limit is the guest's: it is what ends a flood, and memory does not grow with it. */
static void expect_bounded(struct __test_metadata *_metadata, state *self)
{
	uint64_t rss = resident(), guest = (uint64_t)MEMORY_MB << 20;

	TH_LOG("resident: %" PRIu64 " KiB, %" PRIu64 " KiB before", rss >> 10, self->rss >> 10);
	EXPECT_GT(self->rss + RSS_TOLERANCE + guest, rss);
	boot_another(_metadata, self);
	/* Without the guest's RAM: what is kept of what it wrote. */
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;
	malloc_trim(0);
	EXPECT_GT(self->rss + RSS_TOLERANCE, resident());
}

TEST_F_TIMEOUT(hostile, both_serial_ports_are_flooded, 900)
{
	self->config.timeout_s = self->whole ? 60 : 2;
	RUN(flood_serial);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_GT(2 << 20, strlen(self->result.console));
	EXPECT_GT(2 << 20, strlen(self->result.com2));
	expect_bounded(_metadata, self);
}

TEST_F_TIMEOUT(hostile, all_ports_of_the_console_are_flooded, 900)
{
	self->config.timeout_s = self->whole ? 60 : 2;
	RUN(flood_console);
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
	expect_bounded(_metadata, self);
}

/* No access reaches the host's memory: what is no RAM reads as all ones, and is counted. */
TEST_F_TIMEOUT(hostile, memory_that_is_not_there_is_nobodys, 900)
{
	static const uint64_t addresses[] = {
		(MEMORY_MB << 20) + 0,	      /* right behind RAM */
		(MEMORY_MB << 20) + 0x1ffff0, /* in what is a guard page on the host */
		0x20000000,		      /* 512 MiB */
		0xbffffff8,		      /* below the hole */
		0xc0000000,
		0xd000f000, /* behind the last device */
		0xe0000000,
		0xfffffff8,
	};
	uint64_t unclaimed = 0;

	memcpy(self->orders.addresses, addresses, sizeof(addresses));
	RUN(outside_ram);
	EXPECT_STREQ("ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff "
		     "alive\n",
		     self->result.console);
	for (size_t i = 0; i < self->result.nr_exits; i++)
		if (!strcmp(self->result.exits[i].reason, "mmio") && !self->result.exits[i].address)
			unclaimed = self->result.exits[i].count;
	EXPECT_LE(8 * 5, unclaimed);
	expect_alive(_metadata, self);
}

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
	ASSERT_EQ(0, guest_write_kernel(self->kernel, sizeof(self->kernel), guest_entry_outside_ram,
					&self->orders, sizeof(self->orders))
			     ? 0
			     : -1);
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
