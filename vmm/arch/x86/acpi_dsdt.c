// SPDX-License-Identifier: GPL-2.0-only
/* The DSDT (ACPI 6.5 §5.2.11.1) with its AML, from a small encoder (§20.2). */
#include <stdio.h>
#include <string.h>

#include "acpi_parts.h"

/*
 * AML (§20.2). An object with a package length is opened with its start kept, filled, and closed,
 * which inserts the length.
 */
#define AML_ZERO 0x00
#define AML_ONE 0x01
#define AML_NAME 0x08
#define AML_BYTE 0x0a
#define AML_WORD 0x0b
#define AML_DWORD 0x0c
#define AML_STRING 0x0d
#define AML_SCOPE 0x10
#define AML_BUFFER 0x11
#define AML_PACKAGE 0x12
#define AML_DEVICE 0x825b /* ExtOpPrefix, DeviceOp */

/* §20.2.4: one byte holds 6 bits; else 4 bits and up to three more bytes. Counts its own bytes. */
static void aml_close(struct table_out *o, size_t start)
{
	size_t content = o->len - start;
	unsigned int bytes = content + 1 < 1u << 6    ? 1
			     : content + 2 < 1u << 12 ? 2
			     : content + 3 < 1u << 20 ? 3
						      : 4;
	size_t length = content + bytes;
	unsigned int i;

	if (o->len + bytes <= o->size)
		memmove(o->buf + start + bytes, o->buf + start, content);
	o->len += bytes;
	if (bytes == 1) {
		table__patch(o, start, length, 1);
		return;
	}
	table__patch(o, start, (bytes - 1) << 6 | (length & 0xf), 1);
	for (i = 1; i < bytes; i++)
		table__patch(o, start + i, length >> (4 + 8 * (i - 1)), 1);
}

static void aml_integer(struct table_out *o, uint32_t value)
{
	if (value == 0) {
		table__put(o, AML_ZERO, 1);
	} else if (value == 1) {
		table__put(o, AML_ONE, 1);
	} else if (value <= UINT8_MAX) {
		table__put(o, AML_BYTE, 1);
		table__put(o, value, 1);
	} else if (value <= UINT16_MAX) {
		table__put(o, AML_WORD, 1);
		table__put(o, value, 2);
	} else {
		table__put(o, AML_DWORD, 1);
		table__put(o, value, 4);
	}
}

static void aml_name(struct table_out *o, const char *name)
{
	table__put(o, AML_NAME, 1);
	table__put_text(o, name, 4);
}

static void aml_named_string(struct table_out *o, const char *name, const char *text)
{
	aml_name(o, name);
	table__put(o, AML_STRING, 1);
	table__put_text(o, text, strlen(text) + 1);
}

/* Opens device @number, which is below ACPI_MAX_DEVICES, of the kind @letter. */
static size_t aml_open_device(struct table_out *o, char letter, size_t number)
{
	char name[8];
	size_t start;

	snprintf(name, sizeof(name), "%c%03X", letter, (unsigned int)number & 0xfff);
	table__put(o, AML_DEVICE, 2);
	start = o->len;
	table__put_text(o, name, 4);
	return start;
}

/* Resource descriptors (§6.4). */
#define RESOURCE_IRQ_NO_FLAGS 0x22 /* edge, active high, exclusive */
#define RESOURCE_IO 0x47
#define RESOURCE_END 0x79
#define RESOURCE_MEMORY32_FIXED 0x86
#define RESOURCE_EXTENDED_IRQ 0x89
#define IO_DECODE16 1
#define MEMORY_READ_WRITE 1
#define EXTENDED_IRQ_CONSUMER_EDGE 3 /* bits 0 and 1; active high, exclusive */

static void resource_io(struct table_out *o, uint16_t port, uint8_t ports)
{
	table__put(o, RESOURCE_IO, 1);
	table__put(o, IO_DECODE16, 1);
	table__put(o, port, 2);
	table__put(o, port, 2);
	table__put(o, 1, 1);
	table__put(o, ports, 1);
}

static void resource_irq(struct table_out *o, uint32_t gsi)
{
	table__put(o, RESOURCE_IRQ_NO_FLAGS, 1);
	table__put(o, 1u << gsi, 2);
}

static void resource_extended_irq(struct table_out *o, uint32_t gsi)
{
	table__put(o, RESOURCE_EXTENDED_IRQ, 1);
	table__put(o, 6, 2);
	table__put(o, EXTENDED_IRQ_CONSUMER_EDGE, 1);
	table__put(o, 1, 1);
	table__put(o, gsi, 4);
}

static void resource_memory(struct table_out *o, uint64_t base, uint64_t size)
{
	table__put(o, RESOURCE_MEMORY32_FIXED, 1);
	table__put(o, 9, 2);
	table__put(o, MEMORY_READ_WRITE, 1);
	table__put(o, base, 4);
	table__put(o, size, 4);
}

/*
 * Name (_CRS, Buffer): the descriptors are written between open and close. The buffer's size is one
 * byte, as no device here comes near 256.
 */
static size_t aml_open_resources(struct table_out *o)
{
	size_t start;

	aml_name(o, "_CRS");
	table__put(o, AML_BUFFER, 1);
	start = o->len;
	table__put(o, AML_BYTE, 1);
	table__put(o, 0, 1);
	return start;
}

static void aml_close_resources(struct table_out *o, size_t start)
{
	table__put(o, RESOURCE_END, 1);
	table__put(o, 0, 1); /* no checksum */
	table__patch(o, start + 1, o->len - start - 2, 1);
	aml_close(o, start);
}

static void write_serial(struct table_out *o, const struct acpi_serial *serial, size_t number)
{
	static const char pnp0501[] = {0x41, (char)0xd0, 0x05, 0x01}; /* §19.3.4, EISAID */
	size_t device = aml_open_device(o, 'U', number);
	size_t resources;

	aml_name(o, "_HID");
	table__put(o, AML_DWORD, 1);
	table__put_text(o, pnp0501, sizeof(pnp0501));
	aml_name(o, "_UID");
	aml_integer(o, (uint32_t)number + 1); /* as in COM1 */
	resources = aml_open_resources(o);
	resource_io(o, serial->port, 8);
	if (serial->gsi < ACPI_ISA_IRQS)
		resource_irq(o, serial->gsi);
	else
		resource_extended_irq(o, serial->gsi);
	aml_close_resources(o, resources);
	aml_close(o, device);
}

static void write_virtio(struct table_out *o, const struct acpi_virtio_mmio *virtio, size_t number)
{
	size_t device = aml_open_device(o, 'V', number);
	size_t resources;

	aml_named_string(o, "_HID", "LNRO0005");
	aml_name(o, "_UID");
	aml_integer(o, (uint32_t)number);
	resources = aml_open_resources(o);
	resource_memory(o, virtio->base, virtio->size);
	resource_extended_irq(o, virtio->gsi);
	aml_close_resources(o, resources);
	aml_close(o, device);
}

/* \_S5 (§7.4.2) and the devices. */
size_t acpi_dsdt__write(struct table_out *o, const struct acpi_spec *spec)
{
	size_t table = acpi_table__begin(o, "DSDT", 2);
	size_t open;
	size_t i;

	aml_name(o, "_S5_");
	table__put(o, AML_PACKAGE, 1);
	open = o->len;
	table__put(o, 4, 1);
	aml_integer(o, ACPI_S5_SLEEP_TYPE);
	table__put_zeros(o, 3);
	aml_close(o, open);

	table__put(o, AML_SCOPE, 1);
	open = o->len;
	table__put_text(o, "_SB_", 4);
	for (i = 0; i < spec->nr_serials; i++)
		write_serial(o, &spec->serials[i], i);
	for (i = 0; i < spec->nr_virtio; i++)
		write_virtio(o, &spec->virtio[i], i);
	aml_close(o, open);
	acpi_table__end(o, table);
	return table;
}
