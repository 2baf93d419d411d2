// SPDX-License-Identifier: GPL-2.0-only
/* The ports by which a PC ends: keyboard controller reset, ACPI reset register, PM1a control (S5).
 */
#include <string.h>

#include "../../vm.h"
#include "acpi.h"
#include "x86.h"

#define I8042_PULSE_RESET 0xfe

/* ACPI 6.5 §4.8.3.2.1, PM1 control. */
#define PM1_CNT_SCI_EN 0x0001
#define PM1_CNT_SLP_TYP_SHIFT 10
#define PM1_CNT_SLP_TYP_MASK 7
#define PM1_CNT_SLP_EN 0x2000

/* No keyboard: nothing to read, nothing pending, always ready for a command. */
static void i8042__read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	(void)opaque;
	(void)offset;
	memset(data, 0, length);
}

static void i8042__write_command(void *opaque, uint64_t offset, const uint8_t *data,
				 uint32_t length)
{
	(void)offset;
	(void)length;
	if (data[0] == I8042_PULSE_RESET)
		vm__end(opaque, VM_END_RESET, "reset by the keyboard controller");
}

static void i8042__write_data(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	(void)opaque;
	(void)offset;
	(void)data;
	(void)length;
}

static const struct bus_ops i8042_command_ops = {i8042__read, i8042__write_command};
static const struct bus_ops i8042_data_ops = {i8042__read, i8042__write_data};

/*
 * NMI status and control: no memory parity or bus error is the source of an NMI (bits 7 and 6 are
 * 0), so that the kernel takes the ones that the monitor sends for what they are; the rest reads as
 * if nobody were there.
 */
static void nmi_status__read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	(void)opaque;
	(void)offset;
	(void)length;
	data[0] = 0x3f;
}

static const struct bus_ops nmi_status_ops = {nmi_status__read, i8042__write_data};

/* PM1_STS never has a bit set; PM1_EN (at 2) keeps what was written. */
static void pm1_event__read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	struct vm *vm = opaque;
	struct x86_vm *x86 = vm->arch_data;
	uint16_t enable = x86->pm1_enable; /* any vCPU may write it meanwhile */
	uint8_t image[4] = {0, 0, (uint8_t)enable, (uint8_t)(enable >> 8)};

	memcpy(data, image + offset, length);
}

static void pm1_event__write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	struct vm *vm = opaque;
	struct x86_vm *x86 = vm->arch_data;

	if (offset == 2 && length == 2)
		x86->pm1_enable = (uint16_t)(data[0] | data[1] << 8);
}

static const struct bus_ops pm1_event_ops = {pm1_event__read, pm1_event__write};

static void pm1_control__read(void *opaque, uint64_t offset, uint8_t *data, uint32_t length)
{
	const uint8_t image[2] = {PM1_CNT_SCI_EN, 0};

	(void)opaque;
	memcpy(data, image + offset, length);
}

static void pm1_control__write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	uint32_t value = 0;

	memcpy((uint8_t *)&value + offset, data, length);
	if ((value & PM1_CNT_SLP_EN) &&
	    (value >> PM1_CNT_SLP_TYP_SHIFT & PM1_CNT_SLP_TYP_MASK) == ACPI_S5_SLEEP_TYPE)
		vm__end(opaque, VM_END_POWEROFF, "guest powered off");
}

static const struct bus_ops pm1_control_ops = {pm1_control__read, pm1_control__write};

static void reset__write(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length)
{
	(void)offset;
	(void)length;
	if (data[0] == X86_RESET_VALUE)
		vm__end(opaque, VM_END_RESET, "reset by the ACPI reset register");
}

static const struct bus_ops reset_ops = {i8042__read, reset__write};

int x86_platform__create(struct vm *vm, struct ktstr_error *error)
{
	static const struct {
		uint16_t port, size;
		const char *name;
		const struct bus_ops *ops;
	} ports[] = {
		{X86_I8042_DATA_PORT, 1, "i8042-data", &i8042_data_ops},
		{X86_NMI_STATUS_PORT, 1, "nmi-status", &nmi_status_ops},
		{X86_I8042_COMMAND_PORT, 1, "i8042-command", &i8042_command_ops},
		{X86_PM1A_EVENT_PORT, 4, "pm1a-event", &pm1_event_ops},
		{X86_PM1A_CONTROL_PORT, 2, "pm1a-control", &pm1_control_ops},
		{X86_RESET_PORT, 1, "reset", &reset_ops},
	};

	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		int err = bus__add(&vm->bus, BUS_PIO, ports[i].port, ports[i].size, ports[i].name,
				   ports[i].ops, vm, error);

		if (err)
			return err;
	}
	return 0;
}
