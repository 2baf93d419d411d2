// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that touch every port, every register in every state of a device, and what is outside of
 * their RAM, and look at what comes back: the machine goes on, and leaves nothing behind.
 */
#include "hostile_guest.h"

#include <errno.h>
#include <linux/virtio_mmio.h>

#include "vmm/virtio/mmio.h"

#define ALL_ONES(bytes) (~UINT64_C(0) >> (64 - 8 * (bytes)))

/* ---- Ports ---- */

/* An exit costs 100 us where ring 0 is interpreted: of the ports of nobody, every so many-th. */
#define SPARSE 31u

static GUEST uint32_t port_in(uint16_t port, uint32_t bytes)
{
	return bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
}

static GUEST void port_out(uint16_t port, uint32_t bytes, uint32_t value)
{
	if (bytes == 1 && port == X86_RESET_PORT && value == X86_RESET_VALUE)
		return; /* the one boundary that is to end the machine */
	if (bytes == 1)
		outb(port, (uint8_t)value);
	else if (bytes == 2)
		outw(port, (uint16_t)value);
	else
		asm volatile("outl %0, %1" : : "a"(value), "d"(port));
}

/* Of the whole range, or of a device; what is in them cannot be told from a write to no one. */
static GUEST void every_value(uint32_t port)
{
	for (uint32_t bytes = 1; bytes <= 4; bytes *= 2) {
		port_in((uint16_t)port, bytes);
		for (uint32_t n = 0; n < NR_BOUNDARIES; n++)
			port_out((uint16_t)port, bytes, (uint32_t)boundary(n, bytes));
		port_in((uint16_t)port, bytes);
	}
}

static GUEST void every_value_at(uint32_t first, uint32_t last)
{
	for (uint32_t port = first; port <= last; port++)
		every_value(port);
}

GUEST_CPUS(ports)
{
	uint32_t bytes = 1;

	if (cpu)
		return;
	if (ORDERS->everything) {
		every_value_at(0, 0xffff);
		finish();
	}
	/* Devices, here or in KVM, and where 2 or 4 bytes reach over an end. */
	every_value_at(0x20, 0x21);
	every_value_at(0x40, 0x43);
	every_value_at(0x5f, 0x65);
	every_value_at(0xa0, 0xa1);
	every_value_at(0x4d0, 0x4d1);
	every_value_at(COM2 - 4, COM2 + 8);
	every_value_at(COM1 - 4, COM1 + 8);
	every_value_at(X86_PM1A_EVENT_PORT - 4, X86_RESET_PORT + 1);
	every_value_at(0xfffc, 0xffff);
	for (uint32_t port = 0x1000; port < 0x10000; port += SPARSE) {
		expect(port_in((uint16_t)port, bytes) == ALL_ONES(bytes), port);
		port_out((uint16_t)port, bytes, (uint32_t)boundary(bytes, bytes));
		bytes = bytes == 4 ? 1 : 2 * bytes;
	}
	finish();
}

/*
 * String instructions: one exit for many accesses, up to what the shared page holds, and bytes that
 * go to or come from where no RAM is.
 */
GUEST_CPUS(strings)
{
	const uint64_t ram = GUEST_DATA + 0x10000;

	if (cpu)
		return;
	for (uint32_t i = 0; i < 9; i++) {
		const uint16_t port = i < 3 ? COM1 : i < 6 ? 0xffff : X86_PM1A_EVENT_PORT;
		uint64_t from = ram, to = ram, count = i % 3 ? i % 3 * 2000 : 0;

		asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
		expect(from == ram + i % 3 * 2000, i);
		count = i % 3 * 2000;
		asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
		expect(to == ram + i % 3 * 2000, i);
		/* Nobody is at the last port. */
		if (port == 0xffff && to > ram)
			expect(*(volatile uint8_t *)(to - 1) == 0xff, i);
		count = i % 3 * 500;
		asm volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
		count = i % 3 * 500;
		asm volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
	}
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t at = i & 1 ? X86_VIRTIO_GPA : ORDERS->ram_end - 2, count = 8;

		if (i & 2)
			asm volatile("rep outsb" : "+S"(at), "+c"(count) : "d"(0x5000) : "memory");
		else
			asm volatile("rep insb" : "+D"(at), "+c"(count) : "d"(0x5000) : "memory");
	}
	finish();
}

/* ---- Registers ---- */

#define ACKNOWLEDGE 1u
#define DRIVER 2u
#define DRIVER_OK 4u
#define FEATURES_OK 8u
#define NEEDS_RESET 64u
#define FAILED 128u

static GUEST uint32_t get(uint32_t dev, uint32_t reg)
{
	return mmio_read(device(dev) + reg);
}

static GUEST void set(uint32_t dev, uint32_t reg, uint32_t value)
{
	mmio_write(device(dev) + reg, value);
}

/* Reset, and VERSION_1 alone accepted; the status is to be written next. */
static GUEST void offer_features(uint32_t dev)
{
	set(dev, VIRTIO_MMIO_STATUS, 0);
	set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(dev, VIRTIO_MMIO_DRIVER_FEATURES, 1);
}

static GUEST void fresh(uint32_t dev, uint32_t status)
{
	offer_features(dev);
	set(dev, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER);
	set(dev, VIRTIO_MMIO_STATUS, status);
	set(dev, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(dev, VIRTIO_MMIO_QUEUE_NUM, 8);
	set(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, GUEST_DATA + 0x10000);
	set(dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW, GUEST_DATA + 0x11000);
	set(dev, VIRTIO_MMIO_QUEUE_USED_LOW, GUEST_DATA + 0x12000);
}

static GUEST bool is_device(uint32_t dev)
{
	return get(dev, VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976 &&
	       get(dev, VIRTIO_MMIO_VERSION) == 2;
}

static GUEST void touch(uint64_t gpa, uint32_t bytes)
{
	uint32_t step = ORDERS->everything ? 1 : NR_BOUNDARIES - 1;

	mmio_in(gpa, bytes);
	for (uint32_t n = 0; n < NR_BOUNDARIES; n += step)
		mmio_out(gpa, bytes, boundary(n, bytes));
}

/* Every offset of a window, and what reaches over its ends; after that it is a device as before. */
GUEST_CPUS(registers)
{
	const uint64_t few = ORDERS->everything ? 1 : 3;

	if (cpu)
		return;
	for (uint32_t dev = 0; dev < NR_DEVICES; dev++) {
		for (uint64_t at = device(dev) - 8; at < device(dev) + VIRTIO_MMIO_SIZE + 8;
		     at += few)
			for (uint32_t bytes = 1; bytes <= 8; bytes *= 2)
				touch(at, bytes);
		set(dev, VIRTIO_MMIO_STATUS, 0);
		expect(!get(dev, VIRTIO_MMIO_STATUS) && is_device(dev), device(dev));
		/* Nobody has all of it. */
		mmio_out(device(dev) + VIRTIO_MMIO_SIZE - 4, 8, 0);
		expect(mmio_in(device(dev) + VIRTIO_MMIO_SIZE - 4, 8) == ALL_ONES(8), device(dev));
	}
	/* Holes between windows, and where there could be more devices. */
	for (uint64_t at = X86_VIRTIO_GPA + VIRTIO_MMIO_SIZE;
	     at < X86_VIRTIO_GPA + VIRTIO_STEP * (VM_MAX_VIRTIO + 1); at += 0x100 * few) {
		uint64_t in_page = at & (VIRTIO_STEP - 1);

		if (at < device(NR_DEVICES) && in_page < VIRTIO_MMIO_SIZE)
			continue;
		mmio_out(at, 4, 1);
		expect(mmio_in(at, 8) == ALL_ONES(8), at);
	}
	finish();
}

/* The aligned registers again, of a device that is set up, and of one that runs. */
GUEST_CPUS(registers_in_use)
{
	const uint32_t devices = ORDERS->everything ? NR_DEVICES : 1;

	if (cpu)
		return;
	for (uint32_t dev = 0; dev < devices; dev++) {
		for (uint32_t reg = 0; reg < VIRTIO_MMIO_SIZE; reg += 4) {
			if (reg > VIRTIO_MMIO_CONFIG + 16 && !ORDERS->everything)
				break;
			for (uint32_t n = 0; n < NR_BOUNDARIES; n++) {
				fresh(dev, FEATURES_OK);
				if (n & 1)
					set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
				if (reg & 4)
					set(dev, VIRTIO_MMIO_STATUS, DRIVER_OK);
				set(dev, reg, (uint32_t)boundary(n, 4));
				get(dev, reg);
			}
		}
		set(dev, VIRTIO_MMIO_STATUS, 0);
		expect(!get(dev, VIRTIO_MMIO_STATUS) && is_device(dev), device(dev));
	}
	finish();
}

/* virtio 1.2 §3.1.1, written down once more. */
static GUEST uint32_t next_status(uint32_t status, uint32_t written, bool features)
{
	uint32_t next = status | (written & (ACKNOWLEDGE | DRIVER | FAILED));

	if (!written)
		return 0;
	if ((written & FEATURES_OK) && features && (next & 3) == 3)
		next |= FEATURES_OK;
	if ((written & DRIVER_OK) && (next & FEATURES_OK))
		next |= DRIVER_OK;
	return next;
}

static GUEST void write_status(uint32_t dev, uint32_t *status, uint32_t value, bool features)
{
	uint32_t seen;

	set(dev, VIRTIO_MMIO_STATUS, value);
	*status = next_status(*status, value, features);
	seen = get(dev, VIRTIO_MMIO_STATUS);
	expect(seen == *status, (uint64_t)value << 32 | *status << 8 | seen);
}

#define STATUS_BITS 6u
#define ORDERS_OF_BITS 720u

/* Every value from the start, and the bits one by one in every order. */
GUEST_CPUS(status)
{
	const uint32_t devices = ORDERS->everything ? NR_DEVICES : 1;
	const uint32_t step = ORDERS->everything ? 1 : 7;

	if (cpu)
		return;
	for (uint32_t dev = 0; dev < devices; dev++) {
		for (uint32_t value = 0; value < 0x200; value++) {
			uint32_t status = 0;

			set(dev, VIRTIO_MMIO_STATUS, 0);
			write_status(dev, &status, value & 0xff, false);
			if (ORDERS->everything)
				write_status(dev, &status, ~value & 0xff, false);
		}
		for (uint32_t order = 0; order < ORDERS_OF_BITS; order += step) {
			uint32_t left = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK |
					NEEDS_RESET | FAILED;
			uint32_t status = 0, n = order;

			offer_features(dev);
			for (uint32_t bits = STATUS_BITS; bits; n /= bits, bits--) {
				uint32_t bit = left;

				for (uint32_t skip = n % bits; skip; skip--)
					bit &= bit - 1;
				bit &= -bit;
				left &= ~bit;
				write_status(dev, &status, bit, true);
			}
		}
		set(dev, VIRTIO_MMIO_STATUS, 0);
	}
	finish();
}

/* The IOAPIC that is ours: each register by each way to it. */
GUEST_CPUS(ioapic)
{
	const uint32_t step = ORDERS->everything ? 1 : 5;

	if (cpu)
		return;
	for (uint64_t at = X86_IOAPIC_GPA - 8; at < X86_IOAPIC_GPA + IOAPIC_SIZE + 8; at += step)
		for (uint32_t bytes = 1; bytes <= 8; bytes *= 2)
			touch(at, bytes);
	for (uint32_t reg = 0; reg < 0x100; reg++) {
		for (uint32_t n = 0; n < NR_BOUNDARIES; n += ORDERS->everything ? 1 : 2) {
			mmio_write(X86_IOAPIC_GPA, reg);
			mmio_write(X86_IOAPIC_GPA + 0x10, (uint32_t)boundary(n, 4));
			mmio_read(X86_IOAPIC_GPA + 0x10);
		}
	}
	mmio_write(X86_IOAPIC_GPA, 1);
	expect(mmio_read(X86_IOAPIC_GPA + 0x10) == ((IOAPIC_PINS - 1) << 16 | 0x20), 1);
	finish();
}

/* ---- Outside of RAM ---- */

#define LARGE_MB 3584u /* two slots: below 3 GiB, and from 4 GiB on */

/* Maps the fifth GiB, where the second slot begins and ends, one to one. */
static GUEST void map_fifth_gib(void)
{
	volatile uint64_t *pdpt = (volatile uint64_t *)(uintptr_t)(X86_PAGE_TABLES_GPA + 4096);
	volatile uint64_t *pd = (volatile uint64_t *)(uintptr_t)(GUEST_DATA + 0x20000);

	for (uint64_t i = 0; i < 512; i++)
		pd[i] = (UINT64_C(4) << 30) + (i << 21) + 0x83;
	pdpt[4] = (uint64_t)(uintptr_t)pd | 3;
}

/* Around @edge, where RAM ends (or begins): what is in it stays, what is out is not there. */
static GUEST void poke_edge(uint64_t edge, bool ends)
{
	const uint64_t in = ends ? edge - 8 : edge, out = ends ? edge : edge - 8;

	mmio_out(in, 8, UINT64_C(0x0123456789abcdef));
	for (uint32_t bytes = 1; bytes <= 8; bytes *= 2) {
		mmio_out(out, bytes, 0);
		mmio_out(out + 8 - bytes, bytes, 0);
		expect(mmio_in(out, bytes) == ALL_ONES(bytes), out);
		expect(mmio_in(out + 8 - bytes, bytes) == ALL_ONES(bytes), out);
	}
	expect(mmio_in(in, 8) == UINT64_C(0x0123456789abcdef), in);
	/* Half of it each. */
	mmio_in(edge - 4, 8);
	mmio_out(edge - 4, 8, 0);
	mmio_in(edge - 1, 2);
	mmio_out(edge - 1, 2, 0);
}

GUEST_CPUS(outside)
{
	if (cpu)
		return;
	map_fifth_gib();
	poke_edge(GMEM_HOLE_START, true);
	poke_edge(GMEM_HOLE_END, false);
	poke_edge(ORDERS->ram_end, true);
	/* The hole, but for the page of the local APIC, which is KVM's. */
	for (uint64_t at = GMEM_HOLE_START; at < GMEM_HOLE_END; at += 0x1fff8) {
		if (at >> 20 == X86_LAPIC_GPA >> 20)
			continue;
		mmio_out(at, 8, 0);
		if (!ORDERS->everything)
			at += 0x300000;
	}
	mmio_out(GMEM_HOLE_END - 1, 1, 0);
	/* To the end of what is mapped. */
	for (uint64_t at = ORDERS->ram_end; at < UINT64_C(5) << 30; at += 0x1000001)
		mmio_out(at, 8, ~UINT64_C(0));
	finish();
}

/* What no page has, a stack that is not there, a jump into a device. */
GUEST_CPUS(run_device)
{
	if (!cpu)
		asm volatile("mov %0, %%rsp; jmp *%1"
			     :
			     : "r"(UINT64_C(0xe0000000)), "r"(X86_VIRTIO_GPA));
}

/* ---- Tests ---- */

static uint64_t exits_of(const struct ktstr_result *r, const char *reason, uint32_t *places)
{
	uint64_t count = 0;

	*places = 0;
	for (size_t i = 0; i < r->nr_exits; i++) {
		if (strcmp(r->exits[i].reason, reason) != 0)
			continue;
		count += r->exits[i].count;
		++*places;
	}
	return count;
}

/* KVM answers for some of a PC's itself. */
#define KVM_PORTS 64u

TEST_F_TIMEOUT(hostile, every_port_with_every_width, 3600)
{
	uint32_t ports, all = everything() ? BUS_PIO_PORTS : (BUS_PIO_PORTS - 0x1000) / SPARSE;
	uint64_t exits;

	BOOT(ports);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	exits = exits_of(&self->result, "io", &ports);
	TH_LOG("%" PRIu64 " exits of %u ports", exits, ports);
	EXPECT_LE(all - KVM_PORTS, ports);
	EXPECT_LE(2 * (uint64_t)(all - KVM_PORTS), exits);
}

TEST_F_TIMEOUT(hostile, string_instructions_at_ports, 120)
{
	BOOT(strings);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
}

TEST_F_TIMEOUT(hostile, every_register_with_every_width, 3600)
{
	uint32_t ranges;

	BOOT(registers);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	TH_LOG("%" PRIu64 " exits", exits_of(&self->result, "mmio", &ranges));
	EXPECT_EQ(NR_DEVICES + 1, ranges); /* and what is nobody's */
}

TEST_F_TIMEOUT(hostile, every_register_of_a_device_in_use, 3600)
{
	BOOT(registers_in_use);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
}

TEST_F_TIMEOUT(hostile, every_sequence_of_status_bits, 3600)
{
	BOOT(status);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
}

TEST_F_TIMEOUT(hostile, every_register_of_the_ioapic, 600)
{
	self->config.irqchip = KTSTR_IRQCHIP_SPLIT;
	BOOT(ioapic);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
}

/* PROT_NONE before and behind each slot of RAM, whatever the machine did. */
static void expect_guards(struct __test_metadata *_metadata, const struct gmem *mem)
{
	for (uint32_t i = 0; i < mem->nr_regions; i++) {
		const uintptr_t begin = (uintptr_t)mem->regions[i].hva,
				end = begin + mem->regions[i].size;
		FILE *maps = fopen("/proc/self/maps", "re");
		bool before = false, after = false;
		char line[512], *next;

		ASSERT_NE(NULL, maps);
		while (fgets(line, sizeof(line), maps)) {
			uintptr_t from = strtoull(line, &next, 16);
			uintptr_t to = strtoull(next + 1, &next, 16);
			bool none = !strncmp(next, " ---p", 5);

			before |= none && to == begin;
			after |= none && from == end;
		}
		fclose(maps);
		EXPECT_TRUE(before);
		EXPECT_TRUE(after);
	}
}

TEST_F_TIMEOUT(hostile, what_is_outside_of_ram_is_not_there, 600)
{
	const struct gmem *mem;
	uint64_t word = 0;

	self->config.memory_mb = LARGE_MB;
	self->orders.ram_end = LARGE_MB * MIB + (GMEM_HOLE_END - GMEM_HOLE_START);
	ASSERT_EQ(0, create_hostile(_metadata, self, guest_entry_outside));
	mem = &((struct vm *)self->vm)->mem;
	ASSERT_EQ(2, mem->nr_regions);
	expect_guards(_metadata, mem);
	ASSERT_EQ(0, run_hostile(_metadata, self));
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	expect_guards(_metadata, mem);
	/* The half of a write over the end that was in RAM. */
	EXPECT_EQ(0, gmem__read(mem, GMEM_HOLE_START - 8, &word, sizeof(word)));
	EXPECT_EQ(UINT64_C(0x89abcdef), word);
}

/* KVM cannot emulate that: it says so, or the guest faults. */
TEST_F(hostile, code_that_is_a_device_ends_the_machine)
{
	self->config.boot_timeout_s = 1;
	BOOT(run_device);
	if (self->result.verdict == KTSTR_VERDICT_HOST_ERROR) {
		EXPECT_IN("KVM cannot go on", self->result.cause);
	} else {
		EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
		EXPECT_IN("triple fault", self->result.cause);
	}
}

TEST_HARNESS_MAIN
