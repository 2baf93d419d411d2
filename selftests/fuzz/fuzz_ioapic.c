// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: a hostile guest and its IOAPIC. Records of six bytes: what is done, where, and
 * a value. What a guest reads afterwards are registers of an 82093AA, each route that KVM gets is a
 * message to some CPU, and state that was saved and loaded is the same.
 */
#include "fuzz.h"

#include <string.h>

#include "vmm/arch/x86/ioapic.h"

#define RECORD 6u
#define SELECT 0x00u
#define WINDOW 0x10u
#define READ_ONLY (UINT64_C(1) << 12 | UINT64_C(1) << 14) /* delivery status, remote IRR */
#define VERSION (0x20u | (IOAPIC_PINS - 1) << 16)

static uint32_t read_register(struct ioapic *ioapic, uint32_t number)
{
	uint32_t value = 0;

	ioapic_bus_ops.write(ioapic, SELECT, (const uint8_t *)&number, sizeof(number));
	ioapic_bus_ops.read(ioapic, WINDOW, (uint8_t *)&value, sizeof(value));
	return value;
}

static void step(struct ioapic *ioapic, const uint8_t *record, uint8_t seen[8])
{
	/* Most accesses at the registers that there are. */
	static const uint16_t offsets[] = {SELECT, WINDOW, 0x40, 0x04, 0x11, 0xff8};
	uint64_t offset = offsets[record[1] % (sizeof(offsets) / sizeof(offsets[0]))];
	uint32_t length = 1u << (record[0] >> 4 & 3);
	uint8_t value[8] = {0};

	memcpy(value, record + 2, 4);
	memset(seen, 0, 8);
	switch (record[0] % 3) {
	case 0:
		ioapic_bus_ops.write(ioapic, offset, value, length);
		break;
	case 1:
		ioapic_bus_ops.read(ioapic, offset, seen, length);
		break;
	default:
		ioapic__eoi(ioapic, value[0]);
	}
}

static void check_routes(struct ioapic *ioapic)
{
	struct ioapic_state state;

	ioapic__save(ioapic, &state);
	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
		struct kvm_irq_routing_entry entry;

		FUZZ_CHECK(!(state.redirection[pin] & READ_ONLY));
		ioapic__route(state.redirection[pin], pin, &entry);
		FUZZ_CHECK(entry.gsi == pin && entry.type == KVM_IRQ_ROUTING_MSI);
		/* Intel SDM vol. 3A, 12.11; bits 8 to 14 of the destination in the upper half */
		FUZZ_CHECK(entry.u.msi.address_lo >> 20 == 0xfee &&
			   !(entry.u.msi.address_hi & ~0x7f00u));
		FUZZ_CHECK(!(entry.u.msi.data & ~0xc7ffu));
		FUZZ_CHECK(read_register(ioapic, 0x10 + 2 * pin) ==
			   (uint32_t)state.redirection[pin]);
		FUZZ_CHECK(read_register(ioapic, 0x11 + 2 * pin) ==
			   (uint32_t)(state.redirection[pin] >> 32));
	}
	FUZZ_CHECK(read_register(ioapic, 1) == VERSION);
	FUZZ_CHECK(!(read_register(ioapic, 0) & ~0x0f000000u));
	FUZZ_CHECK(!read_register(ioapic, 0x10 + 2 * IOAPIC_PINS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ioapic kept, moved;
	uint8_t a[8], b[8];

	/* Without a KVM that takes the routes. */
	ioapic__init(&kept, -1);
	ioapic__init(&moved, -1);
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		struct ioapic_state state;

		ioapic__save(&moved, &state);
		(void)ioapic__load(&moved, &state);
		step(&kept, data, a);
		step(&moved, data, b);
		FUZZ_CHECK(!memcmp(a, b, sizeof(a)));
	}
	check_routes(&kept);
	pthread_mutex_destroy(&kept.lock);
	pthread_mutex_destroy(&moved.lock);
	return 0;
}
