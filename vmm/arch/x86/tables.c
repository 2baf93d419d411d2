// SPDX-License-Identifier: GPL-2.0-only
/* Puts the machine's devices and addresses into the firmware tables, and these into guest RAM. */
#include "tables.h"

#include <errno.h>
#include <string.h>

#include "../../vm.h"
#include "x86.h"

#define PAGE UINT64_C(4096)
/* What the I/O APICs say of themselves: KVM's and ours (ioapic.c). */
#define IOAPIC_VERSION_KVM 0x11
#define IOAPIC_VERSION_SPLIT 0x20

int x86_tables__acpi(const struct x86_tables *tables, uint64_t gpa, uint8_t *buf, size_t size,
		     size_t *used, struct ktstr_error *error)
{
	static const struct acpi_serial serials[] = {{X86_COM1_PORT, X86_COM1_GSI},
						     {X86_COM2_PORT, X86_COM2_GSI}};
	struct acpi_spec spec = {
		.layout = tables->layout,
		.serials = serials,
		.nr_serials = sizeof(serials) / sizeof(serials[0]),
		.virtio = tables->virtio,
		.nr_virtio = tables->nr_virtio,
		.pm1a_event = X86_PM1A_EVENT_PORT,
		.pm1a_control = X86_PM1A_CONTROL_PORT,
		.reset_port = X86_RESET_PORT,
		.reset_value = X86_RESET_VALUE,
		.sci_gsi = X86_SCI_GSI,
		.lapic_base = X86_LAPIC_GPA,
		.ioapic_base = X86_IOAPIC_GPA,
		.ioapic_pins = IOAPIC_PINS,
		.pic = !tables->split_irqchip,
	};

	return acpi__build(&spec, gpa, buf, size, used, error);
}

int x86_tables__mptable(const struct x86_tables *tables, uint64_t gpa, uint8_t *buf, size_t size,
			size_t *used, struct ktstr_error *error)
{
	struct mptable_spec spec = {
		.layout = tables->layout,
		.lapic_base = X86_LAPIC_GPA,
		.ioapic_base = X86_IOAPIC_GPA,
		.ioapic_pins = IOAPIC_PINS,
		.ioapic_version = tables->split_irqchip ? IOAPIC_VERSION_SPLIT : IOAPIC_VERSION_KVM,
		.sci_gsi = X86_SCI_GSI,
		.cpu_signature = tables->cpu_signature,
		.cpu_features = tables->cpu_features,
		.pic = !tables->split_irqchip,
	};

	return mptable__build(&spec, gpa, buf, size, used, error);
}

bool x86_tables__acpi_is_off(const char *cmdline)
{
	const char *p = cmdline ? cmdline : "";
	bool off = false;

	while (*(p += strspn(p, " \t\n"))) {
		size_t length = strcspn(p, " \t\n");

		if (length == 2 && !strncmp(p, "--", 2))
			break;
		if (length == 8 && !strncmp(p, "acpi=off", 8))
			off = true;
		else if (length == 10 && !strncmp(p, "acpi=force", 10))
			off = false;
		p += length;
	}
	return off;
}

/* Where the ACPI tables, which are @size bytes, have room. 0: nowhere. */
static uint64_t place_acpi(struct vm *vm, size_t size)
{
	uint64_t top = vm->mem.regions[0].size;
	struct x86_vm *x86 = vm->arch_data;

	x86->high_tables = 0;
	if (size <= X86_TABLES_END - X86_TABLES_GPA)
		return X86_TABLES_GPA;
	if (size <= top && ((top - size) & ~(PAGE - 1)) > X86_HIGH_RAM_GPA)
		x86->high_tables = (top - size) & ~(PAGE - 1);
	return x86->high_tables;
}

static int write_acpi(struct vm *vm, const struct x86_tables *tables, struct ktstr_error *error)
{
	size_t size = 0;
	uint64_t gpa;
	uint8_t *to;

	/* The length is the same at every page; what is wrong with them is said below. */
	x86_tables__acpi(tables, X86_TABLES_GPA, NULL, 0, &size, NULL);
	gpa = place_acpi(vm, size);
	to = gpa ? gmem__ptr(&vm->mem, gpa, size) : NULL;
	if (!to) {
		int err = ktstr_error__set(error, ENOMEM, "write", "ACPI tables",
					   "%zu KiB do not fit into guest RAM", size >> 10);

		ktstr_error__hint(error, "give the VM more memory");
		return err;
	}
	return x86_tables__acpi(tables, gpa, to, size, &size, error);
}

static int write_mptable(struct vm *vm, const struct x86_tables *tables, struct ktstr_error *error)
{
	size_t room = X86_MPTABLE_END - X86_MPTABLE_GPA, used;
	uint8_t *to = gmem__ptr(&vm->mem, X86_MPTABLE_GPA, room);
	int err;

	if (vm->layout.max_hw_id > MPTABLE_MAX_APIC_ID &&
	    !x86_tables__acpi_is_off(vm->config.append))
		return 0;
	if (!to)
		return ktstr_error__set(error, EFAULT, "write", "MP table", "not in RAM");
	err = x86_tables__mptable(tables, X86_MPTABLE_GPA, to, room, &used, error);
	if (err == -ERANGE)
		ktstr_error__hint(error, "with acpi=off the guest needs it: leave that out, or "
					 "declare fewer CPUs");
	return err;
}

int x86_tables__write(struct vm *vm, struct ktstr_error *error)
{
	const struct x86_vm *x86 = vm->arch_data;
	struct acpi_virtio_mmio virtio[VM_MAX_VIRTIO];
	struct x86_tables tables = {
		.layout = &vm->layout,
		.virtio = virtio,
		.nr_virtio = vm->nr_virtio,
		.split_irqchip = x86->split_irqchip,
	};
	int err;

	for (uint32_t i = 0; i < vm->nr_virtio; i++)
		virtio[i] = (struct acpi_virtio_mmio){vm->virtio[i].gpa, vm->virtio[i].size,
						      vm->virtio[i].gsi};
	for (uint32_t i = 0; x86->cpuid && i < x86->cpuid->nent; i++) {
		if (x86->cpuid->entries[i].function != 1)
			continue;
		tables.cpu_signature = x86->cpuid->entries[i].eax;
		tables.cpu_features = x86->cpuid->entries[i].edx;
	}
	err = write_acpi(vm, &tables, error);
	return err ? err : write_mptable(vm, &tables, error);
}
