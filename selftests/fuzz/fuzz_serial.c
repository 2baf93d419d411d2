// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: a hostile driver of a serial port. Records of three bytes: what is done (a
 * read, a write, bytes that arrive, state saved and loaded), where, and a value. What the driver
 * sees after its state went through save and load is what it sees without.
 */
#include "fuzz.h"

#include <linux/serial_reg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/serial.h"

static void transmit(void *opaque, uint8_t byte)
{
	uint64_t *sent = opaque;

	(void)byte;
	++*sent;
}

struct port {
	struct serial serial;
	uint64_t sent;
};

static void step(struct port *p, const uint8_t *record, uint8_t seen[8])
{
	uint32_t offset = record[1] % SERIAL_PORTS, length = 1u << (record[1] >> 3 & 3);
	uint8_t data[8];

	if (length > SERIAL_PORTS - offset)
		length = 1;
	memset(seen, 0, 8);
	memset(data, record[2], sizeof(data));
	switch (record[0] % 4) {
	case 0:
		serial_bus_ops.read(&p->serial, offset, seen, length);
		break;
	case 1:
		serial_bus_ops.write(&p->serial, offset, data, length);
		break;
	case 2:
		seen[0] = (uint8_t)serial__input(&p->serial, data, record[2] % 9u);
		FUZZ_CHECK(seen[0] <= record[2] % 9u);
		break;
	default:
		serial_bus_ops.read(&p->serial, UART_LSR, seen, 1);
		break;
	}
	FUZZ_CHECK(p->serial.state.fifo_len <= SERIAL_FIFO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int irq = -1;
	struct port kept = {.sent = 0}, moved = {.sent = 0};
	uint8_t a[8], b[8];

	if (irq < 0)
		irq = eventfd(0, EFD_NONBLOCK);
	serial__init(&kept.serial, &(struct serial_ops){transmit, &kept.sent}, irq);
	serial__init(&moved.serial, &(struct serial_ops){transmit, &moved.sent}, irq);
	for (size_t at = 0; at + 3 <= size && at < 3 * 4096; at += 3) {
		struct serial_state state;

		serial__save(&moved.serial, &state);
		serial__load(&moved.serial, &state);
		step(&kept, data + at, a);
		step(&moved, data + at, b);
		FUZZ_CHECK(!memcmp(a, b, sizeof(a)));
		FUZZ_CHECK(kept.sent == moved.sent);
	}
	pthread_mutex_destroy(&kept.serial.lock);
	pthread_mutex_destroy(&moved.serial.lock);
	return 0;
}
