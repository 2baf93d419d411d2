// SPDX-License-Identifier: GPL-2.0-only
/* The userspace IOAPIC: registers, routes with 15-bit destinations, and what a real KVM is told. */
#include "vmm/arch/x86/ioapic.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define MASKED (UINT64_C(1) << 16)
#define LEVEL (UINT64_C(1) << 15)
#define REMOTE_IRR (UINT64_C(1) << 14)

FIXTURE(chip)
{
	struct ioapic ioapic;
};

/* KVM_SET_GSI_ROUTING fails on this descriptor; the registers do not depend on it. */
FIXTURE_SETUP(chip)
{
	ioapic__init(&self->ioapic, -1);
}

FIXTURE_TEARDOWN(chip)
{
}

static void write_at(struct ioapic *ioapic, uint64_t offset, uint32_t value)
{
	ioapic_bus_ops.write(ioapic, offset, (const uint8_t *)&value, 4);
}

static uint32_t read_at(struct ioapic *ioapic, uint64_t offset)
{
	uint32_t value = 0;

	ioapic_bus_ops.read(ioapic, offset, (uint8_t *)&value, 4);
	return value;
}

static void set(struct ioapic *ioapic, uint32_t reg, uint32_t value)
{
	write_at(ioapic, 0, reg);
	write_at(ioapic, 0x10, value);
}

static uint32_t get(struct ioapic *ioapic, uint32_t reg)
{
	write_at(ioapic, 0, reg);
	return read_at(ioapic, 0x10);
}

TEST_F(chip, says_what_it_is)
{
	EXPECT_EQ(0x20 | 23 << 16, get(&self->ioapic, 1));
	set(&self->ioapic, 1, 0);
	EXPECT_EQ(0x20 | 23 << 16, get(&self->ioapic, 1));
	set(&self->ioapic, 0, 0xffffffff);
	EXPECT_EQ(0x0f000000, get(&self->ioapic, 0));
	EXPECT_EQ(0x0f000000, get(&self->ioapic, 2));
	EXPECT_EQ(2, read_at(&self->ioapic, 0));
}

TEST_F(chip, all_pins_are_masked_at_first)
{
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
		EXPECT_EQ(MASKED, get(&self->ioapic, 0x10 + 2 * pin));
		EXPECT_EQ(0, get(&self->ioapic, 0x11 + 2 * pin));
	}
}

TEST_F(chip, halves_of_an_entry_are_written_apart)
{
	set(&self->ioapic, 0x10 + 2 * 23, 0x00010931);
	set(&self->ioapic, 0x11 + 2 * 23, 0xab540000);
	EXPECT_EQ(0x00010931, get(&self->ioapic, 0x10 + 2 * 23));
	EXPECT_EQ(0xab540000, get(&self->ioapic, 0x11 + 2 * 23));
	EXPECT_EQ(MASKED, get(&self->ioapic, 0x10 + 2 * 22));
}

TEST_F(chip, registers_past_the_last_pin_are_nothing)
{
	static const uint32_t regs[] = {3, 0x0f, 0x40, 0xff};

	for (uint32_t i = 0; i < 4; i++) {
		set(&self->ioapic, regs[i], 0x31);
		EXPECT_EQ(0, get(&self->ioapic, regs[i]));
	}
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++)
		EXPECT_EQ(MASKED, self->ioapic.state.redirection[pin]);
	write_at(&self->ioapic, 0, 0x100 + 0x10); /* the register number has 8 bits */
	EXPECT_EQ(MASKED, read_at(&self->ioapic, 0x10));
}

TEST_F(chip, status_bits_are_read_only)
{
	set(&self->ioapic, 0x10, (uint32_t)(LEVEL | REMOTE_IRR | 1 << 12 | 0x31));
	EXPECT_EQ(LEVEL | 0x31, get(&self->ioapic, 0x10));
	self->ioapic.state.redirection[0] |= REMOTE_IRR;
	set(&self->ioapic, 0x10, (uint32_t)(LEVEL | 0x32));
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x32, get(&self->ioapic, 0x10));
	set(&self->ioapic, 0x10, 0x32); /* an edge has nothing to remember */
	EXPECT_EQ(0x32, get(&self->ioapic, 0x10));
}

TEST_F(chip, eoi_ends_level_interrupts_of_its_vector)
{
	self->ioapic.state.redirection[3] = LEVEL | REMOTE_IRR | 0x41;
	self->ioapic.state.redirection[4] = LEVEL | REMOTE_IRR | 0x42;
	self->ioapic.state.redirection[5] = LEVEL | REMOTE_IRR | 0x41;
	ioapic__eoi(&self->ioapic, 0x41);
	EXPECT_EQ(LEVEL | 0x41, self->ioapic.state.redirection[3]);
	EXPECT_EQ(LEVEL | REMOTE_IRR | 0x42, self->ioapic.state.redirection[4]);
	EXPECT_EQ(LEVEL | 0x41, self->ioapic.state.redirection[5]);
	write_at(&self->ioapic, 0x40, 0x42); /* the EOI register */
	EXPECT_EQ(LEVEL | 0x42, self->ioapic.state.redirection[4]);
}

TEST_F(chip, odd_accesses_harm_nothing)
{
	uint8_t data[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	for (uint64_t offset = 0; offset < 0x60; offset++)
		for (uint32_t length = 1; length <= 8; length++) {
			ioapic_bus_ops.write(&self->ioapic, offset, data, length);
			ioapic_bus_ops.read(&self->ioapic, offset, data, length);
		}
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++)
		EXPECT_EQ(MASKED, self->ioapic.state.redirection[pin]);
}

TEST(routes_say_what_the_entry_says)
{
	static const struct {
		uint64_t entry;
		uint32_t address_lo, address_hi, data;
	} routes[] = {
		{0x31, 0xfee00000, 0, 0x31},
		{UINT64_C(5) << 56 | 0x31, 0xfee05000, 0, 0x31},
		{UINT64_C(0xff) << 56 | 0x31, 0xfeeff000, 0, 0x31},
		/* bits 8-14 of the destination: id 433 = 0x1b1 */
		{UINT64_C(0xb1) << 56 | UINT64_C(1) << 49 | 0x31, 0xfeeb1000, 0x100, 0x31},
		{UINT64_C(0xff) << 56 | UINT64_C(0x7f) << 49 | 0xef, 0xfeeff000, 0x7f00, 0xef},
		/* logical destination, lowest priority, level */
		{UINT64_C(1) << 56 | LEVEL | 1 << 11 | 1 << 8 | 0x40, 0xfee01004, 0, 0xc140},
		/* NMI; bits that are not the route's */
		{MASKED | REMOTE_IRR | 1 << 13 | 1 << 12 | 4 << 8, 0xfee00000, 0, 0x400},
		{UINT64_C(1) << 48 | UINT64_C(0xffff) << 32 | 0x31, 0xfee00000, 0, 0x31},
	};

	for (uint32_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		struct kvm_irq_routing_entry e;

		ioapic__route(routes[i].entry, i, &e);
		EXPECT_EQ(i, e.gsi);
		EXPECT_EQ(KVM_IRQ_ROUTING_MSI, e.type);
		EXPECT_EQ(0, e.flags);
		EXPECT_EQ(routes[i].address_lo, e.u.msi.address_lo);
		EXPECT_EQ(routes[i].address_hi, e.u.msi.address_hi);
		EXPECT_EQ(routes[i].data, e.u.msi.data);
	}
}

TEST_F(chip, state_is_saved_and_loaded)
{
	struct ioapic_state state;
	struct ioapic other;

	set(&self->ioapic, 0, 3u << 24);
	set(&self->ioapic, 0x20, 0x10051);
	ioapic__save(&self->ioapic, &state);
	ioapic__init(&other, -1);
	EXPECT_GT(0, ioapic__load(&other, &state)); /* it tells KVM, and there is none */
	EXPECT_EQ(3u << 24, get(&other, 0));
	EXPECT_EQ(0x10051, get(&other, 0x20));
}

/* ---- With KVM ---- */

static int split_vm(int *kvm)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {IOAPIC_PINS}};
	struct kvm_enable_cap x2apic = {.cap = KVM_CAP_X2APIC_API,
					.args = {KVM_X2APIC_API_USE_32BIT_IDS}};
	int vm;

	*kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (*kvm < 0)
		return -1;
	vm = ioctl(*kvm, KVM_CREATE_VM, 0);
	if (vm >= 0 && (ioctl(vm, KVM_ENABLE_CAP, &split) || ioctl(vm, KVM_ENABLE_CAP, &x2apic))) {
		close(vm);
		vm = -1;
	}
	return vm;
}

TEST(kvm_takes_every_route_that_a_guest_can_write)
{
	struct ioapic_state state = {.select = 0};
	struct ioapic ioapic;
	uint64_t seed = 1;
	int kvm, vm = split_vm(&kvm);

	if (vm < 0)
		SKIP(return, "no KVM with a split interrupt chip here");
	ioapic__init(&ioapic, vm);
	EXPECT_EQ(0, ioapic__load(&ioapic, &state)); /* no pin masked */
	for (int i = 0; i < 20; i++) {
		for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			state.redirection[pin] = seed ^ seed >> 31;
		}
		EXPECT_EQ(0, ioapic__load(&ioapic, &state));
	}
	close(vm);
	close(kvm);
}

TEST_HARNESS_MAIN
