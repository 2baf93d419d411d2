// SPDX-License-Identifier: GPL-2.0-only
/* Whole machines with guests of some hundred instructions, on any KVM: see guest_code.h. */
#include <ktstr/proto.h>
#include <ktstr/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <zlib.h>

#include "kselftest_harness.h"

#include "guest_code.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/symbols.h"
#include "vmm/vm.h"

#define COM1 X86_COM1_PORT
#define COM2 X86_COM2_PORT
#define NO_KVM "no /dev/kvm here"

/* ---- Guests ---- */

GUEST_PROGRAM(hello)
{
	print(COM1, GS("hello from ring 0\n"));
	print(COM2, GS("ktstr-init: up\n"));
	print(COM2, GS("===KTSTR_TEST_RESULT_START===\n"));
	print(COM2, GS("one\ntwo\n"));
	print(COM2, GS("===KTSTR_TEST_RESULT_END===\nKTSTR_EXIT=3\n"));
}

/* The last bytes are still on their way when the machine is gone. */
GUEST_PROGRAM(pass_and_reset)
{
	print(COM2, GS("ktstr-init: up\n"));
	print(COM1, GS("the last line"));
	print(COM2, GS("KTSTR_EXIT=0"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(i8042_reset)
{
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(init_then_reset)
{
	print(COM2, GS("ktstr-init: up\n"));
	outb(X86_RESET_PORT, X86_RESET_VALUE);
}

GUEST_PROGRAM(disk_not_mounted)
{
	print(COM2, GS("ktstr-init: up\nKTSTR_MOUNT=/mnt: mount of /dev/vda: Invalid argument\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(not_quite_a_reset)
{
	outb(X86_I8042_COMMAND_PORT, 0xd1); /* another command */
	outb(X86_I8042_DATA_PORT, 0xfe);
	outb(X86_RESET_PORT, X86_RESET_VALUE + 1);
	outw(X86_PM1A_CONTROL_PORT, 3 << 10 | 1 << 13); /* S3 */
	outw(X86_PM1A_CONTROL_PORT, 5 << 10);		/* S5 without SLP_EN */
	print(COM1, GS("alive"));
	outw(X86_PM1A_CONTROL_PORT, 5 << 10 | 1 << 13);
}

/* No stack and no IDT that could take a fault. */
GUEST_PROGRAM(triple_fault)
{
	asm volatile("ud2");
}

GUEST_PROGRAM(spin)
{
	asm volatile("1: jmp 1b");
}

GUEST_PROGRAM(kill_init)
{
	print(COM2, GS("ktstr-init: up\n"));
	print(COM1,
	      GS("[    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x9\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(oops_then_init)
{
	print(COM1, GS("[    1.5] BUG: \x1b[1mtest\n[    1.6] RIP: 0010:here+0x1/0x2\n"));
	print(COM2, GS("ktstr-init: up\n"));
}

GUEST_PROGRAM(flood)
{
	for (uint32_t i = 0; i < 70000; i++)
		outb(COM1, 'x');
	print(COM1, GS("end"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(nobody)
{
	uint64_t nowhere = 0xe0000000;

	print_hex(COM1, inb(0x5000));
	print_hex(COM1, inw(0x5000));
	print_hex(COM1, inl(0x5000));
	print_hex(COM1, inl(0x606)); /* the last two bytes belong to nobody */
	print_hex(COM1, mmio_read(nowhere));
	asm volatile("movq (%0), %0" : "+r"(nowhere));
	print_hex(COM1, nowhere);
	mmio_write(0xe0000000, 1);
	outb(0x5000, 1);
	print_hex(COM1, inb(X86_I8042_COMMAND_PORT));
	print_hex(COM1, inw(X86_PM1A_CONTROL_PORT));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(count)
{
	for (int i = 0; i < 123; i++)
		outb(0x5001, 1);
	for (int i = 0; i < 7; i++)
		inb(0x5002);
	for (int i = 0; i < 11; i++)
		mmio_read(X86_VIRTIO_GPA);
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* GUEST_DATA: address of the last byte of RAM. Maps it and the page after by the PDPT in use. */
GUEST_PROGRAM(high_ram)
{
	uint64_t last = *(volatile uint64_t *)(uintptr_t)GUEST_DATA;
	volatile uint64_t *pdpt = (volatile uint64_t *)(uintptr_t)(X86_PAGE_TABLES_GPA + 4096);
	volatile uint64_t *pd = (volatile uint64_t *)(uintptr_t)(GUEST_DATA + 0x10000);
	volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)last;

	pdpt[last >> 30] = (uint64_t)(uintptr_t)pd | 3;
	pd[last >> 21 & 511] = (last & ~UINT64_C(0x1fffff)) | 0x83;
	if (((last + 1) >> 30) != last >> 30) {
		pdpt[(last + 1) >> 30] = (uint64_t)(uintptr_t)(pd + 512) | 3;
		pd += 512;
	}
	pd[(last + 1) >> 21 & 511] = (last + 1) | 0x83;
	*byte = 0xa5;
	print_hex(COM1, *byte);
	print_hex(COM1, byte[1]); /* past the end of RAM */
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(virtio_registers)
{
	for (int i = 0; i < 3; i++)
		print_hex(COM1, mmio_read(X86_VIRTIO_GPA + 4 * (uint64_t)i));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* ---- A driver of the console's port 1 ---- */

#define TX_QUEUE 5u
#define RING_SIZE 8u

/* At GUEST_DATA; frames after it. */
struct port_data {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[RING_SIZE];
	uint16_t avail[2 + RING_SIZE + 1];
	uint16_t used_pad[3];
	uint32_t used[1 + 2 * RING_SIZE + 1];
	volatile uint32_t interrupts, status_seen;
	uint64_t idt[2 * 0x50];
	uint32_t frames_length;
	uint8_t frames[4096];
};

#define PORT_DATA ((volatile struct port_data *)(uintptr_t)GUEST_DATA)
#define DATA_GPA(field) (GUEST_DATA + offsetof(struct port_data, field))

#define VIRTIO_STATUS 0x70

static GUEST void virtio_write64(uint64_t reg, uint64_t value)
{
	mmio_write(X86_VIRTIO_GPA + reg, (uint32_t)value);
	mmio_write(X86_VIRTIO_GPA + reg + 4, (uint32_t)(value >> 32));
}

/* virtio 1.2 §3.1.1; one queue is enough for a driver that only sends. */
static GUEST void virtio_start(void)
{
	mmio_write(X86_VIRTIO_GPA + VIRTIO_STATUS, 0);
	mmio_write(X86_VIRTIO_GPA + VIRTIO_STATUS, 3);
	mmio_write(X86_VIRTIO_GPA + 0x24, 0);
	mmio_write(X86_VIRTIO_GPA + 0x20, 2); /* MULTIPORT */
	mmio_write(X86_VIRTIO_GPA + 0x24, 1);
	mmio_write(X86_VIRTIO_GPA + 0x20, 1); /* VERSION_1 */
	mmio_write(X86_VIRTIO_GPA + VIRTIO_STATUS, 11);
	mmio_write(X86_VIRTIO_GPA + 0x30, TX_QUEUE);
	mmio_write(X86_VIRTIO_GPA + 0x38, RING_SIZE);
	virtio_write64(0x80, DATA_GPA(desc));
	virtio_write64(0x90, DATA_GPA(avail));
	virtio_write64(0xa0, DATA_GPA(used));
	mmio_write(X86_VIRTIO_GPA + 0x44, 1);
	mmio_write(X86_VIRTIO_GPA + VIRTIO_STATUS, 15);
}

static GUEST void virtio_send(uint64_t gpa, uint32_t length)
{
	PORT_DATA->desc[0].addr = gpa;
	PORT_DATA->desc[0].len = length;
	PORT_DATA->avail[2] = 0;
	asm volatile("" : : : "memory");
	PORT_DATA->avail[1] = 1;
	mmio_write(X86_VIRTIO_GPA + 0x50, TX_QUEUE);
}

/* Resets right after the notification: nothing that was sent may be lost by that. */
GUEST_PROGRAM(port_and_reset)
{
	virtio_start();
	virtio_send(DATA_GPA(frames), PORT_DATA->frames_length);
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/*
 * The same, but COM2 contradicts before the host has looked at the queue: the line on COM1 holds
 * the host (wait_for_end()), and COM2 has something to read before the queue does.
 */
GUEST_PROGRAM(port_and_com2)
{
	print(COM1, GS("wait\n"));
	print(COM2, GS("ktstr-init: up\n"));
	virtio_start();
	virtio_send(DATA_GPA(frames), PORT_DATA->frames_length);
	print(COM2, GS("KTSTR_EXIT=0\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(port_and_mount)
{
	print(COM1, GS("wait\n"));
	virtio_start();
	virtio_send(DATA_GPA(frames), PORT_DATA->frames_length);
	print(COM2, GS("KTSTR_MOUNT=nothing\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

GUEST_PROGRAM(bad_ring)
{
	virtio_start();
	virtio_send(UINT64_C(0xd0000000), 64);
}

/*
 * GUEST_DATA: the header of a frame of sequence 0 in @frames, behind it what each bit of a sequence
 * turns in the CRC. Sends that frame for ever with the next sequence, a payload of zeros of the
 * length that the header has, and a dot on COM1 for each 16.
 */
GUEST_PROGRAM(endless_frames)
{
	volatile uint32_t *header = (volatile uint32_t *)(uintptr_t)PORT_DATA->frames;
	volatile uint32_t *turns = header + sizeof(struct ktstr_frame_header) / sizeof(*header);
	const uint32_t crc = header[4];
	uint32_t sent = 0;

	virtio_start();
	PORT_DATA->desc[0].addr = DATA_GPA(frames);
	PORT_DATA->desc[0].len = sizeof(struct ktstr_frame_header);
	PORT_DATA->desc[0].flags = 1; /* NEXT, virtio 1.2 §2.7.5 */
	PORT_DATA->desc[0].next = 1;
	PORT_DATA->desc[1].addr = GUEST_END;
	PORT_DATA->desc[1].len = header[3];
	for (;; sent++) {
		uint32_t turned = crc;

		for (uint32_t bits = sent, bit = 0; bits; bits >>= 1, bit++)
			if (bits & 1)
				turned ^= turns[bit];
		header[2] = sent;
		header[4] = turned;
		asm volatile("" : : : "memory");
		PORT_DATA->avail[1] = (uint16_t)(sent + 1);
		mmio_write(X86_VIRTIO_GPA + 0x50, TX_QUEUE);
		/* used->idx: the buffers are ours again */
		while ((uint16_t)(PORT_DATA->used[0] >> 16) != (uint16_t)(sent + 1))
			asm volatile("pause" : : : "memory");
		if (!(sent & 15))
			outb(COM1, '.');
	}
}

/* Vector 0x40: counts, acknowledges the device, ends the interrupt. */
asm(".pushsection guest_text, \"ax\", @progbits\n"
    "guest_interrupt:\n"
    "	push %rax\n"
    "	push %rcx\n"
    "	push %rdx\n"
    "	push %rsi\n"
    "	push %rdi\n"
    "	push %r8\n"
    "	push %r9\n"
    "	push %r10\n"
    "	push %r11\n"
    "	call guest_on_interrupt\n"
    "	pop %r11\n"
    "	pop %r10\n"
    "	pop %r9\n"
    "	pop %r8\n"
    "	pop %rdi\n"
    "	pop %rsi\n"
    "	pop %rdx\n"
    "	pop %rcx\n"
    "	pop %rax\n"
    "	iretq\n"
    ".popsection\n");

static GUEST void guest_on_interrupt(void)
{
	uint32_t status = mmio_read(X86_VIRTIO_GPA + 0x60);

	PORT_DATA->interrupts++;
	PORT_DATA->status_seen |= status;
	if (status)
		mmio_write(X86_VIRTIO_GPA + 0x64, status);
	inb(COM1 + 2);			     /* THR-empty is acknowledged by reading IIR */
	mmio_write(X86_LAPIC_GPA + 0xb0, 0); /* EOI */
}

/* Routes the IOAPIC's @pin to vector 0x40 of CPU 0 and lets the CPU take it. */
static GUEST void take_interrupts_of(uint32_t pin)
{
	uint64_t handler;
	struct {
		uint16_t pad[3], limit;
		uint64_t base;
	} idtr = {.limit = sizeof(PORT_DATA->idt) - 1, .base = DATA_GPA(idt)};

	asm("lea guest_interrupt(%%rip), %0" : "=r"(handler));
	/* An interrupt gate of 64-bit mode for the boot protocol's code segment. */
	PORT_DATA->idt[2 * 0x40] = (handler & 0xffff) | 0x10 << 16 | UINT64_C(0x8e00) << 32 |
				   (handler >> 16 & 0xffff) << 48;
	PORT_DATA->idt[2 * 0x40 + 1] = handler >> 32;
	asm volatile("lidt (%0)" : : "r"(&idtr.limit) : "memory");
	/* The 8259s of the kernel's chip would deliver the same lines by LINT0. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	mmio_write(X86_LAPIC_GPA + 0xf0, 0x1ff); /* APIC software enable, spurious vector */
	mmio_write(X86_IOAPIC_GPA, 0x11 + 2 * pin);
	mmio_write(X86_IOAPIC_GPA + 0x10, 0);
	mmio_write(X86_IOAPIC_GPA, 0x10 + 2 * pin);
	mmio_write(X86_IOAPIC_GPA + 0x10, 0x40);
}

GUEST_PROGRAM(port_interrupt)
{
	take_interrupts_of(X86_VIRTIO_GSI);
	virtio_start();
	virtio_send(DATA_GPA(frames), 16); /* not all yet */
	while (!PORT_DATA->interrupts)
		asm volatile("sti; hlt; cli" : : : "memory");
	print_hex(COM1, PORT_DATA->status_seen);
	PORT_DATA->desc[0].addr = DATA_GPA(frames) + 16;
	PORT_DATA->desc[0].len = PORT_DATA->frames_length - 16;
	PORT_DATA->avail[1] = 2;
	mmio_write(X86_VIRTIO_GPA + 0x50, TX_QUEUE);
}

GUEST_PROGRAM(serial_interrupt)
{
	take_interrupts_of(X86_COM1_GSI);
	outb(COM1 + 1, 2); /* THR is empty */
	while (!PORT_DATA->interrupts)
		asm volatile("sti; hlt; cli" : : : "memory");
	outb(COM1 + 1, 0);
	print(COM1, GS("interrupted"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* ---- Guests that hang ---- */

asm(".pushsection guest_text, \"ax\", @progbits\n"
    "guest_nmi_tells:\n"
    "	call guest_on_nmi\n"
    "guest_nmi_is_ignored:\n"
    "	iretq\n"
    "guest_user_spins:\n"
    "	jmp guest_user_spins\n"
    ".popsection\n");

static GUEST void guest_on_nmi(void)
{
	print(COM1, GS("nmi\n"));
	outb(X86_I8042_COMMAND_PORT, 0xfe);
}

/* An interrupt gate of 64-bit mode for the boot protocol's code segment. */
static GUEST void set_gate(uint32_t vector, uint64_t handler)
{
	PORT_DATA->idt[2 * vector] = (handler & 0xffff) | 0x10 << 16 | UINT64_C(0x8e00) << 32 |
				     (handler >> 16 & 0xffff) << 48;
	PORT_DATA->idt[2 * vector + 1] = handler >> 32;
}

static GUEST void take_nmis(bool tell)
{
	uint64_t handler;
	struct {
		uint16_t pad[3], limit;
		uint64_t base;
	} idtr = {.limit = sizeof(PORT_DATA->idt) - 1, .base = DATA_GPA(idt)};

	asm("lea guest_nmi_is_ignored(%%rip), %0" : "=r"(handler));
	if (tell)
		asm("lea guest_nmi_tells(%%rip), %0" : "=r"(handler));
	set_gate(2, handler);
	asm volatile("lidt (%0)" : : "r"(&idtr.limit) : "memory");
}

GUEST_PROGRAM(spin_and_tell)
{
	print(COM2, GS("ktstr-init: up\n"));
	take_nmis(true);
	asm volatile("1: jmp 1b");
}

GUEST_PROGRAM(spin_in_boot)
{
	take_nmis(true);
	asm volatile("1: jmp 1b");
}

GUEST_PROGRAM(spin_and_ignore)
{
	print(COM2, GS("ktstr-init: up\n"));
	take_nmis(false);
	asm volatile("1: jmp 1b");
}

GUEST_PROGRAM(halt_and_tell)
{
	print(COM2, GS("ktstr-init: up\n"));
	take_nmis(true);
}

GUEST_PROGRAM(write_without_end)
{
	print(COM2, GS("ktstr-init: up\n"));
	for (;;)
		outb(COM1, 'x');
}

/* Where the kernel's entry points would be, for inspect(). */
GUEST_PROGRAM(spin_with_entries)
{
	print(COM2, GS("ktstr-init: up\n"));
	take_nmis(true);
	set_gate(14, UINT64_C(0xffffffff81234567));
	asm volatile("wrmsr" : : "c"(0xc0000082), "a"(0x9abcdef0), "d"(0xffffffff));
	asm volatile("1: jmp 1b");
}

/* In ring 3, without a TSS: the NMI is a triple fault. */
GUEST_PROGRAM(user_spin)
{
	volatile uint64_t *tables = (volatile uint64_t *)(uintptr_t)X86_PAGE_TABLES_GPA;
	volatile uint64_t *gdt = PORT_DATA->idt;
	uint64_t handler;
	struct {
		uint16_t pad[3], limit;
		uint64_t base;
	} gdtr = {.limit = 6 * 8 - 1, .base = DATA_GPA(idt)};

	print(COM2, GS("ktstr-init: up\n"));
	/* The user bit on the way to guest_text, which lies in the second 2 MiB. */
	tables[0] |= 4;
	tables[512] |= 4;
	tables[1024 + 1] |= 4;
	asm volatile("mov %0, %%cr3" : : "r"(X86_PAGE_TABLES_GPA) : "memory");
	gdt[2] = UINT64_C(0x00af9b000000ffff);
	gdt[3] = UINT64_C(0x00cf93000000ffff);
	gdt[4] = UINT64_C(0x00cff3000000ffff);
	gdt[5] = UINT64_C(0x00affb000000ffff);
	asm volatile("lgdt (%0)" : : "r"(&gdtr.limit) : "memory");
	asm("lea guest_user_spins(%%rip), %0" : "=r"(handler));
	asm volatile("push $0x23; push $0x480000; push $2; push $0x2b; push %0; iretq"
		     :
		     : "r"(handler)
		     : "memory");
}

/* Vector 8 of a start-up IPI: real mode at 0x8000. CPU 0 ignores NMIs, CPU 1 tells of one. */
GUEST_PROGRAM(second_cpu_tells)
{
	volatile uint32_t *nmi_vector = (volatile uint32_t *)(uintptr_t)(2 * 4);
	volatile uint64_t *code = (volatile uint64_t *)(uintptr_t)0x8000;

	asm volatile("" : "+r"(nmi_vector));
	*nmi_vector = 0x8008;
	code[0] = UINT64_C(0xfdebf4fa);	      /* cli; 1: hlt; jmp 1b */
	code[1] = UINT64_C(0xb0ee61b003f8ba); /* mov $0x3f8, %dx; mov $'a', %al; out %al, (%dx); */
	code[1] |= UINT64_C(0xfe) << 56;      /* mov $0xfe, %al */
	code[2] = UINT64_C(0xf464e6);	      /* out %al, $0x64; hlt */
	print(COM2, GS("ktstr-init: up\n"));
	take_nmis(false);
	mmio_write(X86_LAPIC_GPA + 0x310, 1 << 24);
	mmio_write(X86_LAPIC_GPA + 0x300, 0x4500); /* INIT */
	mmio_write(X86_LAPIC_GPA + 0x310, 1 << 24);
	mmio_write(X86_LAPIC_GPA + 0x300, 0x4608); /* start-up, page 8 */
	asm volatile("1: jmp 1b");
}

/* ---- Host ---- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

struct text {
	char data[8192];
	size_t length;
};

static void take_text(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	struct text *t = opaque;

	(void)stream;
	if (length > sizeof(t->data) - 1 - t->length)
		length = sizeof(t->data) - 1 - t->length;
	memcpy(t->data + t->length, data, length);
	t->length += length;
}

FIXTURE(machine)
{
	char cache[32], kernel[64];
	struct ktstr_vm_config config;
	struct ktstr_vm *vm;
	struct ktstr_result result;
	struct ktstr_error error;
	struct text output;
};

FIXTURE_VARIANT(machine)
{
	enum ktstr_irqchip irqchip;
};

FIXTURE_VARIANT_ADD(machine, kernel_irqchip){
	.irqchip = KTSTR_IRQCHIP_AUTO,
};

FIXTURE_VARIANT_ADD(machine, split_irqchip){
	.irqchip = KTSTR_IRQCHIP_SPLIT,
};

FIXTURE_SETUP(machine)
{
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, NO_KVM);
	strcpy(self->cache, "/tmp/ktstr-test-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->cache));
	unsetenv("KTSTR_SCRATCH");
	setenv("KTSTR_CACHE", self->cache, 1);
	memset(&self->error, 0, sizeof(self->error));
	memset(&self->output, 0, sizeof(self->output));
	self->vm = NULL;
	ktstr_vm_config__defaults(&self->config);
	self->config.irqchip = variant->irqchip;
	self->config.memory_mb = 128;
	self->config.boot_timeout_s = 60;
	self->config.timeout_s = 60;
	self->config.output = take_text;
	self->config.output_opaque = &self->output;
}

FIXTURE_TEARDOWN(machine)
{
	ktstr_vm__destroy(self->vm);
	if (self->kernel[0])
		unlink(self->kernel);
	nftw(self->cache, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* The guest itself serves as /init too: nothing looks at it. */
static int create(struct __test_metadata *_metadata, FIXTURE_DATA(machine) * self,
		  const uint8_t *entry, const void *data, size_t length)
{
	char line[1200];
	int err;

	if (!self->kernel[0] &&
	    !guest_write_kernel(self->kernel, sizeof(self->kernel), entry, data, length))
		return -EIO;
	self->config.kernel = self->config.init = self->kernel;
	err = ktstr_vm__create(&self->config, &self->vm, &self->error);
	if (err) {
		ktstr_error__format(&self->error, line, sizeof(line));
		TH_LOG("%s", line);
	}
	return err;
}

static int boot_with(struct __test_metadata *_metadata, FIXTURE_DATA(machine) * self,
		     const uint8_t *entry, const void *data, size_t length)
{
	int err = create(_metadata, self, entry, data, length);

	if (!err)
		err = ktstr_vm__run(self->vm, &self->result, &self->error);
	if (!err)
		TH_LOG("%s: %s", ktstr_verdict__name(self->result.verdict),
		       self->result.cause ? self->result.cause : "");
	return err;
}

#define BOOT(name) ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_##name, NULL, 0))

#define EXPECT_IN(needle, text)                                                          \
	do {                                                                             \
		const char *in_ = (text);                                                \
		EXPECT_NE(NULL, in_ ? strstr(in_, needle) : NULL)                        \
		{                                                                        \
			TH_LOG("\"%s\" is not in \"%s\"", needle, in_ ? in_ : "(null)"); \
		}                                                                        \
	} while (0)

TEST_F(machine, com1_is_the_console_and_com2_gives_the_result)
{
	BOOT(hello);
	EXPECT_EQ(KTSTR_VERDICT_FAIL, self->result.verdict);
	EXPECT_STREQ("exit code 3", self->result.cause);
	EXPECT_TRUE(self->result.have_status);
	EXPECT_TRUE(self->result.by_com2);
	EXPECT_EQ(3, self->result.exit_code);
	EXPECT_EQ(0, self->result.signal);
	EXPECT_STREQ("hello from ring 0\n", self->result.console);
	EXPECT_STREQ("one\ntwo\n", self->output.data);
	EXPECT_IN("KTSTR_EXIT=3", self->result.com2);
	EXPECT_GE(self->result.times.result_at_ns, self->result.times.init_at_ns);
	EXPECT_GE(self->result.times.init_at_ns, self->result.times.first_run_at_ns);
	EXPECT_GE(self->result.times.first_run_at_ns, self->result.times.create_at_ns);
	EXPECT_GE(self->result.times.exit_at_ns, self->result.times.result_at_ns);
}

TEST_F(machine, nothing_written_before_a_reset_is_lost)
{
	BOOT(pass_and_reset);
	EXPECT_EQ(KTSTR_VERDICT_PASS, self->result.verdict);
	EXPECT_EQ(NULL, self->result.cause);
	EXPECT_STREQ("the last line", self->result.console);
}

TEST_F(machine, i8042_reset_before_init_is_no_boot)
{
	BOOT(i8042_reset);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_IN("keyboard controller", self->result.cause);
}

TEST_F(machine, acpi_reset_after_init_is_a_guest_reboot)
{
	BOOT(init_then_reset);
	EXPECT_EQ(KTSTR_VERDICT_GUEST_REBOOT, self->result.verdict);
	EXPECT_IN("ACPI reset register", self->result.cause);
}

TEST_F(machine, disk_that_init_cannot_mount_is_no_boot)
{
	BOOT(disk_not_mounted);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_STREQ("a disk could not be mounted: /mnt: mount of /dev/vda: Invalid argument",
		     self->result.cause);
}

TEST_F(machine, s5_ends_the_machine_and_other_values_do_not)
{
	BOOT(not_quite_a_reset);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_IN("powered off", self->result.cause);
	EXPECT_STREQ("alive", self->result.console);
}

TEST_F(machine, triple_fault_ends_the_machine)
{
	BOOT(triple_fault);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_IN("triple fault", self->result.cause);
}

TEST_F(machine, boot_timeout_says_where_the_cpu_spun)
{
	char where[64];
	uint64_t rip;

	self->config.boot_timeout_s = 1;
	BOOT(spin);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	ASSERT_NE(NULL, self->result.cause);
	ASSERT_EQ(1, sscanf(self->result.cause, "no init after 1 s; vCPU 0 at %63s", where));
	rip = strtoull(where, NULL, 16);
	EXPECT_LE(GUEST_LOAD, rip);
	EXPECT_GT(GUEST_LOAD + (uint64_t)(__stop_guest_text - __start_guest_text), rip);
}

TEST_F(machine, a_cancel_that_waits_already_interrupts)
{
	self->config.cancel_fd = eventfd(1, EFD_CLOEXEC);
	BOOT(spin);
	EXPECT_EQ(KTSTR_VERDICT_INTERRUPTED, self->result.verdict);
	EXPECT_FALSE(self->result.have_status);
	close(self->config.cancel_fd);
}

static void *write_one(void *opaque)
{
	uint64_t one = 1;

	usleep(50000);
	return write(*(int *)opaque, &one, sizeof(one)) < 0 ? opaque : NULL;
}

TEST_F(machine, a_cancel_while_it_runs_interrupts)
{
	pthread_t thread;

	self->config.boot_timeout_s = 0; /* no limit */
	self->config.cancel_fd = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_one, &self->config.cancel_fd));
	BOOT(spin);
	EXPECT_EQ(KTSTR_VERDICT_INTERRUPTED, self->result.verdict);
	pthread_join(thread, NULL);
	close(self->config.cancel_fd);
}

static void cancel_on_output(void *opaque, enum ktstr_stream stream, const char *data,
			     size_t length)
{
	(void)stream;
	(void)data;
	(void)length;
	(void)!write(*(int *)opaque, &(uint64_t){1}, sizeof(uint64_t));
}

/* "vcpu0 2,vcpu1 2,": the threads beside the caller's, by name, and their seccomp mode. */
struct threads {
	pid_t caller;
	char seen[256];
};

static int is_number(const struct dirent *task)
{
	return task->d_name[0] != '.';
}

static void look_at_threads(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	struct threads *t = opaque;
	struct dirent **tasks;
	int n = t->seen[0] ? 0 : scandir("/proc/self/task", &tasks, is_number, alphasort);

	(void)stream;
	(void)data;
	(void)length;
	for (int i = 0; i < n; i++) {
		char path[300], text[4096] = "", name[32] = "", *mode;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", tasks[i]->d_name);
		f = fopen(path, "re");
		if (f && fread(text, 1, sizeof(text) - 1, f))
			mode = strstr(text, "\nSeccomp:\t");
		else
			mode = NULL;
		if (f)
			fclose(f);
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(text + 6, "\n"), text + 6);
		/* KVM has a thread in the process, too. */
		if (mode && strtol(tasks[i]->d_name, NULL, 10) != t->caller &&
		    strncmp(name, "kvm-", 4) != 0) {
			size_t used = strlen(t->seen);

			snprintf(t->seen + used, sizeof(t->seen) - used, "%s %c,", name, mode[10]);
		}
		free(tasks[i]);
	}
	if (n > 0)
		free(tasks);
}

static void look(struct __test_metadata *_metadata, FIXTURE_DATA(machine) * self, struct threads *t)
{
	struct ktstr_disk disk = {.fs = "none", .size_mb = 16};
	struct ktstr_nic nic = {.network = "lan"};

	*t = (struct threads){.caller = gettid()};
	self->config.topology = TOPO(1, 1, 2, 1);
	self->config.console = look_at_threads;
	self->config.console_opaque = t;
	self->config.disks = &disk;
	self->config.nr_disks = 1;
	self->config.nics = &nic;
	self->config.nr_nics = 1;
	BOOT(hello);
}

static void *stop_process(void *opaque)
{
	const pid_t *process = opaque;

	usleep(300000);
	kill(*process, SIGSTOP);
	usleep(3500000);
	kill(*process, SIGCONT);
	return NULL;
}

/* A process that was stopped for longer than the limit: the guest has it anew. */
TEST_F(machine, the_time_that_the_process_is_stopped_is_not_the_guests)
{
	pid_t pid = fork();
	pthread_t thread;
	int status;

	if (!pid) {
		const struct ktstr_times *t = &self->result.times;

		self->config.boot_timeout_s = 1;
		BOOT(spin);
		/* 3.8 s, and a second more. */
		_exit(self->result.verdict == KTSTR_VERDICT_NO_BOOT &&
				      t->exit_at_ns - t->first_run_at_ns > UINT64_C(4700000000)
			      ? 0
			      : 2);
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, stop_process, &pid));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, status);
}

/* When the guest writes its first byte. */
TEST_F(machine, every_thread_of_it_is_restricted_but_the_one_that_runs_it)
{
	struct threads t;

	look(_metadata, self, &t);
	EXPECT_STREQ("disk 2,network 2,loop 2,vcpu0 2,vcpu1 2,", t.seen);
	EXPECT_IN("seccomp, no capabilities", self->result.sandbox);
}

TEST_F(machine, without_the_sandbox_no_thread_is)
{
	struct threads t;

	self->config.no_sandbox = true;
	look(_metadata, self, &t);
	EXPECT_STREQ("disk 0,network 0,loop 0,vcpu0 0,vcpu1 0,", t.seen);
	EXPECT_STREQ("off", self->result.sandbox);
}

TEST_F(machine, a_panic_before_the_reset_is_the_cause)
{
	BOOT(kill_init);
	EXPECT_EQ(KTSTR_VERDICT_INIT_DIED, self->result.verdict);
	EXPECT_IN("Attempted to kill init! exitcode=0x9", self->result.cause);
	ASSERT_NE(NULL, self->result.console_trouble);
	EXPECT_IN("Kernel panic", self->result.console_trouble);
	EXPECT_TRUE(self->result.console_trouble == self->result.console ||
		    self->result.console_trouble[-1] == '\n');
}

/* The grace of a second ends the run, not the time limit; the cause is one printable line. */
TEST_F(machine, an_oops_before_init_ends_the_run_soon)
{
	self->config.timeout_s = 0;
	BOOT(oops_then_init);
	EXPECT_EQ(KTSTR_VERDICT_KERNEL_OOPS, self->result.verdict);
	EXPECT_IN("BUG:  [1mtest; in here+0x1/0x2", self->result.cause);
}

TEST_F_TIMEOUT(machine, more_than_the_queue_holds_arrives_whole, 120)
{
	BOOT(flood);
	EXPECT_EQ(70003, strlen(self->result.console));
	EXPECT_IN("xend", self->result.console);
}

TEST_F(machine, addresses_of_nobody_read_all_ones)
{
	BOOT(nobody);
	EXPECT_STREQ("ff ffff ffffffff ffffffff ffffffff ffffffffffffffff 0 1 ",
		     self->result.console);
}

/* ---- Time-outs ---- */

#define AN_ADDRESS "0x2"

TEST_F(machine, a_timeout_sends_an_nmi_and_the_guest_may_answer)
{
	self->config.timeout_s = 1;
	BOOT(spin_and_tell);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("no end after 1 s, during boot; vCPU 0 at " AN_ADDRESS, self->result.cause);
	EXPECT_EQ(0, strncmp("vCPU 0 at " AN_ADDRESS, self->result.vcpus, 13));
	EXPECT_STREQ("nmi\n", self->result.console);
}

TEST_F(machine, a_timeout_of_a_guest_that_answers_nothing_ends_too)
{
	self->config.timeout_s = 1;
	self->config.topology = TOPO(1, 1, 2, 1);
	BOOT(spin_and_ignore);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("vCPU 0 at " AN_ADDRESS, self->result.vcpus);
	EXPECT_IN("\nvCPU 1 not started\n", self->result.vcpus);
	EXPECT_STREQ("", self->result.console);
}

TEST_F(machine, a_timeout_in_boot_sends_no_nmi)
{
	self->config.boot_timeout_s = 1;
	BOOT(spin_in_boot);
	EXPECT_EQ(KTSTR_VERDICT_NO_BOOT, self->result.verdict);
	EXPECT_IN("vCPU 0 at " AN_ADDRESS, self->result.vcpus);
	EXPECT_STREQ("", self->result.console);
}

TEST_F(machine, a_halted_cpu_takes_the_nmi_too)
{
	self->config.timeout_s = 1;
	BOOT(halt_and_tell);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("; vCPU 0 halted at " AN_ADDRESS, self->result.cause);
	EXPECT_STREQ("nmi\n", self->result.console);
}

TEST_F(machine, cpus_get_their_nmi_when_the_first_says_nothing)
{
	self->config.timeout_s = 1;
	self->config.topology = TOPO(1, 1, 2, 1);
	BOOT(second_cpu_tells);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("vCPU 0 at " AN_ADDRESS, self->result.vcpus);
	EXPECT_IN("\nvCPU 1 halted at 0x8002\n", self->result.vcpus);
	EXPECT_STREQ("a", self->result.console);
}

TEST_F(machine, of_many_cpus_the_cause_has_the_first_few_and_the_text_all)
{
	unsigned int shown = 0, more = 0, lines = 0;

	self->config.timeout_s = 1;
	self->config.topology = TOPO(1, 2, 16, 1);
	BOOT(spin_and_tell);
	ASSERT_NE(NULL, self->result.cause);
	for (const char *at = self->result.cause; (at = strstr(at, "vCPU ")); at++)
		shown++;
	ASSERT_NE(NULL, strstr(self->result.cause, ", and "));
	ASSERT_EQ(1, sscanf(strstr(self->result.cause, ", and "), ", and %u more", &more));
	EXPECT_GT(shown, 3);
	EXPECT_EQ(32, shown + more);
	for (const char *at = self->result.vcpus; *at; at++)
		lines += *at == '\n';
	EXPECT_EQ(32, lines);
	EXPECT_IN("\nvCPU 31 not started\n", self->result.vcpus);
}

/* vCPUs are held back by a full queue when they are to stop. */
TEST_F(machine, a_timeout_stops_a_guest_that_writes_without_end)
{
	self->config.timeout_s = 1;
	BOOT(write_without_end);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("vCPU 0 at " AN_ADDRESS, self->result.vcpus);
	EXPECT_IN("xxxx", self->result.console);
}

TEST_F(machine, a_timeout_tells_user_space_and_a_triple_fault_after_it_changes_nothing)
{
	self->config.timeout_s = 1;
	BOOT(user_spin);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("; vCPU 0 in user space at " AN_ADDRESS, self->result.cause);
}

TEST_F(machine, a_cancel_after_the_timeout_leaves_it_the_cause)
{
	self->config.timeout_s = 1;
	self->config.cancel_fd = eventfd(0, EFD_CLOEXEC);
	self->config.console = cancel_on_output;
	self->config.console_opaque = &self->config.cancel_fd;
	BOOT(spin_and_tell);
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	close(self->config.cancel_fd);
}

TEST_F(machine, entry_points_of_the_kernel_are_seen)
{
	const struct vcpu_place *place;

	self->config.timeout_s = 1;
	BOOT(spin_with_entries);
	place = &((struct vm *)self->vm)->hang.places[0];
	EXPECT_EQ(VCPU_RUNNING, place->state);
	EXPECT_FALSE(place->user);
	EXPECT_EQ(UINT64_C(0xffffffff9abcdef0), place->entries[0]);
	EXPECT_EQ(UINT64_C(0xffffffff81234567), place->entries[1]);
}

TEST(kernel_offset_is_what_kaslr_can_add_or_the_symbols_are_not_of_it)
{
	const uint64_t text = UINT64_C(0xffffffff81000000), syscall = text + 0x130,
		       fault = text + 0x1230;
	const struct {
		uint64_t entries[VCPU_ENTRIES];
		bool ok;
		uint64_t offset;
	} cases[] = {
		{{syscall, fault}, true, 0},
		{{syscall + 0x19600000, 0}, true, 0x19600000},
		{{0, fault + 0x200000}, true, 0x200000},
		{{0, 0}, false, 0},
		{{syscall + 0x1000, fault}, false, 0},
		{{syscall - 0x200000, fault}, false, 0},
		{{syscall + 0x40000000, fault}, false, 0},
		{{0, text}, false, 0},
	};
	struct symbols *symbols;

	ASSERT_EQ(0, symbols__create(&symbols));
	ASSERT_EQ(0, symbols__add(symbols, syscall, "entry_SYSCALL_64", 16, 0));
	ASSERT_EQ(0, symbols__add(symbols, fault, "asm_exc_page_fault", 18, 0));
	symbols__sort(symbols);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu_place place = {.entries = {cases[i].entries[0], cases[i].entries[1]}};
		uint64_t offset = 0;

		EXPECT_EQ(cases[i].ok, arch__this->kernel_offset(&place, symbols, &offset));
		EXPECT_EQ(cases[i].offset, offset);
	}
	symbols__destroy(symbols);
}

static uint64_t exits_of(const struct ktstr_result *r, const char *reason, uint16_t port,
			 uint64_t address)
{
	uint64_t count = 0;

	for (size_t i = 0; i < r->nr_exits; i++)
		if (!strcmp(r->exits[i].reason, reason) && r->exits[i].port == port &&
		    r->exits[i].address == address)
			count += r->exits[i].count;
	return count;
}

TEST_F(machine, exits_are_counted_one_by_one)
{
	uint64_t sum = 0;

	BOOT(count);
	EXPECT_EQ(123, exits_of(&self->result, "io", 0x5001, 0));
	EXPECT_EQ(7, exits_of(&self->result, "io", 0x5002, 0));
	EXPECT_EQ(1, exits_of(&self->result, "io", X86_I8042_COMMAND_PORT, 0));
	EXPECT_EQ(11, exits_of(&self->result, "mmio", 0, X86_VIRTIO_GPA));
	for (size_t i = 0; i < self->result.nr_exits; i++)
		sum += self->result.exits[i].count;
	EXPECT_EQ(sum, self->result.total_exits);
	EXPECT_EQ(142, sum);
}

/* What the samples said; ends the machine after some. */
struct samples {
	unsigned int count, enough; /* 0: never */
	int cancel;		    /* eventfd */
	bool fell;
	struct ktstr_vcpu_sample last;
};

static void take_sample(void *opaque, const struct ktstr_sample *sample)
{
	struct samples *s = opaque;
	const struct ktstr_vcpu_sample *now = &sample->vcpus[0];

	s->fell |= sample->nr_vcpus != 1 || now->user_exits < s->last.user_exits ||
		   now->run_ns < s->last.run_ns || now->steal_ns < s->last.steal_ns;
	s->last = *now;
	if (++s->count == s->enough)
		eventfd_write(s->cancel, 1);
}

TEST_F(machine, the_last_sample_has_all_that_happened)
{
	struct samples samples = {.count = 0};

	self->config.sample = take_sample;
	self->config.sample_opaque = &samples;
	BOOT(count);
	EXPECT_EQ(1, samples.count);
	EXPECT_EQ(142, samples.last.user_exits);
	EXPECT_FALSE(samples.fell);
	/* KVM says the same, where it says anything: an exit to the monitor is one of the guest. */
	EXPECT_LE(142, samples.last.exits);
	EXPECT_GT(samples.last.run_ns, 0);
	EXPECT_NE(KTSTR_UNKNOWN, samples.last.run_ns);
	EXPECT_NE(KTSTR_UNKNOWN, samples.last.steal_ns);
}

TEST_F(machine, samples_come_while_the_guest_runs_on)
{
	struct samples samples = {.enough = 5, .cancel = eventfd(0, EFD_CLOEXEC)};

	ASSERT_GE(samples.cancel, 0);
	self->config.sample = take_sample;
	self->config.sample_opaque = &samples;
	self->config.sample_interval_ms = 10;
	self->config.cancel_fd = samples.cancel;
	BOOT(spin);
	EXPECT_EQ(KTSTR_VERDICT_INTERRUPTED, self->result.verdict);
	EXPECT_LE(6, samples.count); /* and the last one */
	EXPECT_FALSE(samples.fell);
	EXPECT_GT(samples.last.run_ns, 0);
	close(samples.cancel);
}

TEST_F(machine, ram_is_what_the_nodes_say_or_512_mib_where_nothing_is_said)
{
	const struct ktstr_numa_node nodes[] = {{.llcs = 1, .memory_mb = 40},
						{.llcs = 1, .memory_mb = 24}};

	self->config.memory_mb = 0;
	ASSERT_EQ(0, create(_metadata, self, guest_entry_hello, NULL, 0));
	EXPECT_EQ(UINT64_C(512) << 20, ((struct vm *)self->vm)->mem.regions[0].size);
	ktstr_vm__destroy(self->vm);

	self->config.topology = TOPO(2, 2, 1, 1);
	self->config.topology.nodes = nodes;
	ASSERT_EQ(0, create(_metadata, self, guest_entry_hello, NULL, 0));
	EXPECT_EQ(UINT64_C(64) << 20, ((struct vm *)self->vm)->mem.regions[0].size);
	EXPECT_EQ(UINT64_C(24) << 20, ((struct vm *)self->vm)->layout.nodes[1].memory);
}

TEST_F(machine, ram_above_4_gib_is_there_to_its_last_byte)
{
	static const uint32_t sizes[] = {3584, 4096, 5120, 8192};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t last = ((uint64_t)sizes[i] << 20) + UINT64_C(0x40000000) - 1;
		uint8_t byte = 0;

		self->config.memory_mb = sizes[i];
		ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_high_ram, &last, sizeof(last)));
		EXPECT_STREQ("a5 ff ", self->result.console);
		EXPECT_EQ(0, gmem__read(&((struct vm *)self->vm)->mem, last, &byte, 1));
		EXPECT_EQ(0xa5, byte);
		ktstr_vm__destroy(self->vm);
		self->vm = NULL;
		unlink(self->kernel);
		self->kernel[0] = '\0';
	}
}

TEST_F(machine, virtio_console_answers_where_it_is_announced)
{
	BOOT(virtio_registers);
	EXPECT_STREQ("74726976 2 3 ", self->result.console);
}

static void put_frame(struct port_data *d, uint32_t sequence, uint32_t type, const void *payload,
		      uint32_t length)
{
	struct ktstr_frame_header h = {KTSTR_FRAME_MAGIC, type, sequence, length, 0};

	h.crc = (uint32_t)crc32(crc32(0, (const uint8_t *)&h.type, 12), payload, length);
	memcpy(d->frames + d->frames_length, &h, sizeof(h));
	memcpy(d->frames + d->frames_length + sizeof(h), payload, length);
	d->frames_length += (uint32_t)sizeof(h) + length;
}

static void put_run(struct port_data *d)
{
	struct ktstr_life_payload life = {.step = KTSTR_LIFE_INIT};
	struct ktstr_test_payload test = {.exit_code = 7};
	struct ktstr_exit_payload end = {.code = 7};

	memset(d, 0, sizeof(*d));
	put_frame(d, 0, KTSTR_FRAME_LIFECYCLE, &life, sizeof(life));
	put_frame(d, 1, KTSTR_FRAME_OUTPUT, "\1\0\0\0text", 8);
	put_frame(d, 2, KTSTR_FRAME_TEST_RESULT, &test, sizeof(test));
	put_frame(d, 3, KTSTR_FRAME_EXIT, &end, sizeof(end));
}

TEST_F(machine, frames_notified_right_before_a_reset_arrive)
{
	struct port_data data;

	put_run(&data);
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_and_reset, &data, sizeof(data)));
	EXPECT_STREQ("exit code 7", self->result.cause);
	EXPECT_EQ(7, self->result.exit_code);
	EXPECT_FALSE(self->result.by_com2);
	EXPECT_STREQ("text", self->output.data);
}

/* As the console: holds the host's loop until the guest has done all that it does. */
static void wait_for_end(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	FIXTURE_DATA(machine) *self = opaque;

	(void)stream;
	(void)data;
	(void)length;
	while (!vm__ending((struct vm *)self->vm))
		usleep(1000);
}

TEST_F(machine, com2_does_not_overtake_port_1)
{
	struct port_data data;

	self->config.console = wait_for_end;
	self->config.console_opaque = self;
	put_run(&data);
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_and_com2, &data, sizeof(data)));
	EXPECT_STREQ("exit code 7", self->result.cause);
	EXPECT_FALSE(self->result.by_com2);
}

/* It is not init that says so then. */
TEST_F(machine, disk_that_is_not_mounted_after_port_1_was_open_is_of_no_account)
{
	struct port_data data;

	self->config.console = wait_for_end;
	self->config.console_opaque = self;
	put_run(&data);
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_and_mount, &data, sizeof(data)));
	EXPECT_STREQ("exit code 7", self->result.cause);
}

/* The frame @n of those in @d. */
static struct ktstr_frame_header *frame_at(struct port_data *d, int n)
{
	struct ktstr_frame_header *h = (void *)d->frames;

	while (n--)
		h = (void *)((uint8_t *)(h + 1) + h->length);
	return h;
}

static void seal(struct ktstr_frame_header *h)
{
	h->crc = (uint32_t)crc32(crc32(0, (const uint8_t *)&h->type, 12), (const uint8_t *)(h + 1),
				 h->length);
}

/* Each is a whole run that would pass for "exit code 7" but for one thing. */
TEST_F_TIMEOUT(machine, a_hostile_stream_breaks_the_channel_and_says_by_what, 120)
{
	static const struct {
		const char *says;
		int how;
	} streams[] = {
		{"bad CRC at byte 36 (type OUTP, sequence 1, 8 bytes); in all 2 damages, 28 bytes "
		 "skipped, 1 frames missing (first 1 to 1), 0 repeated",
		 0},
		{"sequence 0 (type OUTP) came again or late, 1 was next; in all 2 damages, 0 bytes "
		 "skipped, 1 frames missing (first 1 to 1), 1 repeated",
		 1},
		{"frame of 4294967295 bytes at byte 36: at most 16777216 are allowed; in all 2 "
		 "damages, 28 bytes skipped, 1 frames missing (first 1 to 1), 0 repeated",
		 2},
		{"sequence jumps from 1 to 3 (type OUTP)", 3},
		{"frame 'TEST' of 4 bytes is not of its type's form", 4},
		{"frame 'LIFE' of 8 bytes is not of its type's form", 5},
		{"EXIT came without a test result", 6},
	};

	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		struct ktstr_frame_header *h;
		struct port_data data;

		put_run(&data);
		h = frame_at(&data, 1);
		switch (streams[i].how) {
		case 0:
			h->crc ^= 1;
			break;
		case 1:
			h->sequence = 0;
			seal(h);
			break;
		case 2:
			h->length = UINT32_MAX;
			break;
		case 3:
			h->sequence = 3;
			seal(h);
			break;
		case 4: /* a TEST of half a payload */
			h->type = KTSTR_FRAME_TEST_RESULT;
			h->length = 4;
			memmove((uint8_t *)(h + 1) + 4, (uint8_t *)(h + 1) + 8,
				sizeof(data.frames) - 256);
			data.frames_length -= 4;
			seal(h);
			break;
		case 5:
			h->type = KTSTR_FRAME_LIFECYCLE;
			seal(h);
			break;
		default:
			h = frame_at(&data, 2);
			h->type = KTSTR_FOURCC('N', 'E', 'W', '!');
			seal(h);
			break;
		}
		ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_and_reset, &data,
				       sizeof(data)));
		EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
		EXPECT_IN(streams[i].says, self->result.cause);
		ktstr_vm__destroy(self->vm);
		self->vm = NULL;
		unlink(self->kernel);
		self->kernel[0] = '\0';
	}
}

/* The first 16 bytes break it, and are not all that is lost. */
TEST_F(machine, the_report_is_of_the_whole_stream)
{
	struct port_data data;

	put_run(&data);
	data.frames[0] ^= 1;
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_interrupt, &data, sizeof(data)));
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
	EXPECT_STREQ("no frame at byte 0; in all 2 damages, 36 bytes skipped, 1 frames missing "
		     "(first 0 to 0), 0 repeated",
		     self->result.cause);
}

static long peak_rss_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %ld kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* Frames that are whole, in order and of no type that is known: only time ends them. */
TEST_F_TIMEOUT(machine, endless_frames_take_bounded_memory_and_end_at_the_time_limit, 120)
{
	const struct ktstr_frame_header first = {.magic = KTSTR_FRAME_MAGIC,
						 .type = KTSTR_FOURCC('W', 'H', 'A', 'T'),
						 .length = 1u << 20};
	uint8_t *zeros = calloc(1, first.length);
	struct ktstr_frame_header h = first;
	struct port_data data;
	long before_kb;

	memset(&data, 0, sizeof(data));
	h.crc = (uint32_t)crc32(crc32(0, (const uint8_t *)&h.type, 12), zeros, h.length);
	memcpy(data.frames, &h, sizeof(h));
	for (uint32_t bit = 0; bit < 32; bit++) {
		struct ktstr_frame_header other = first;
		uint32_t turns;

		/* a CRC is affine: one bit turns the same of it whatever the others are */
		other.sequence = 1u << bit;
		turns = h.crc ^ (uint32_t)crc32(crc32(0, (const uint8_t *)&other.type, 12), zeros,
						other.length);
		memcpy(data.frames + sizeof(h) + bit * sizeof(turns), &turns, sizeof(turns));
	}
	free(zeros);
	self->config.timeout_s = 5;
	ASSERT_EQ(0, create(_metadata, self, guest_entry_endless_frames, &data, sizeof(data)));
	before_kb = peak_rss_kb();
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	EXPECT_EQ(KTSTR_VERDICT_TIMEOUT, self->result.verdict);
	EXPECT_IN("no end after 5 s", self->result.cause);
	/* At least 64 MiB came. A frame, and what came behind it, are held: not more. */
	EXPECT_LE(4, strlen(self->result.console));
	EXPECT_LT(0, before_kb);
	EXPECT_GT(before_kb + (16 << 10), peak_rss_kb());
	TH_LOG("%zu MiB and more came, memory grew by %ld KiB", 16 * strlen(self->result.console),
	       peak_rss_kb() - before_kb);
}

TEST_F(machine, half_a_frame_before_a_reset_is_no_result)
{
	struct port_data data;

	put_run(&data);
	data.frames_length -= 2;
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_and_reset, &data, sizeof(data)));
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
}

TEST_F(machine, a_ring_outside_ram_breaks_the_channel)
{
	struct port_data data;

	put_run(&data);
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_bad_ring, &data, sizeof(data)));
	EXPECT_EQ(KTSTR_VERDICT_CHANNEL_BROKEN, self->result.verdict);
	EXPECT_IN("virtio-console", self->result.cause);
}

TEST_F(machine, virtio_interrupts_reach_the_cpu)
{
	struct port_data data;

	put_run(&data);
	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_port_interrupt, &data, sizeof(data)));
	EXPECT_STREQ("exit code 7", self->result.cause);
	EXPECT_STREQ("1 ", self->result.console);
}

TEST_F(machine, serial_interrupts_reach_the_cpu)
{
	struct port_data data = {.interrupts = 0};

	ASSERT_EQ(0, boot_with(_metadata, self, guest_entry_serial_interrupt, &data, sizeof(data)));
	EXPECT_STREQ("interrupted", self->result.console);
}

TEST_F(machine, runs_once)
{
	struct ktstr_error error = {0};

	BOOT(i8042_reset);
	EXPECT_EQ(-EALREADY, ktstr_vm__run(self->vm, &self->result, &error));
}

TEST_F(machine, two_in_one_process_do_not_meet)
{
	struct ktstr_vm_config config;
	struct ktstr_result result;
	struct ktstr_vm *vm;
	char kernel[64];

	ASSERT_EQ(0, create(_metadata, self, guest_entry_hello, NULL, 0));
	config = self->config;
	config.output = NULL;
	ASSERT_TRUE(
		guest_write_kernel(kernel, sizeof(kernel), guest_entry_pass_and_reset, NULL, 0));
	config.kernel = kernel;
	ASSERT_EQ(0, ktstr_vm__create(&config, &vm, &self->error));
	unlink(kernel);
	ASSERT_EQ(0, ktstr_vm__run(vm, &result, &self->error));
	ASSERT_EQ(0, ktstr_vm__run(self->vm, &self->result, &self->error));
	EXPECT_EQ(KTSTR_VERDICT_PASS, result.verdict);
	EXPECT_STREQ("the last line", result.console);
	EXPECT_EQ(KTSTR_VERDICT_FAIL, self->result.verdict);
	EXPECT_STREQ("hello from ring 0\n", self->result.console);
	ktstr_vm__destroy(vm);
}

/* ---- What cannot be created ---- */

static void expect_refusal(struct __test_metadata *_metadata, FIXTURE_DATA(machine) * self, int err,
			   const char *says)
{
	struct ktstr_error error = {0};
	struct ktstr_vm *vm = (struct ktstr_vm *)self;
	int files = open_files();
	char line[1200];

	EXPECT_EQ(err, ktstr_vm__create(&self->config, &vm, &error));
	EXPECT_EQ(NULL, vm);
	ktstr_error__format(&error, line, sizeof(line));
	EXPECT_IN(says, line);
	EXPECT_EQ(NULL, strchr(line, '\n'));
	EXPECT_EQ(files, open_files());
}

static uint32_t kvm_max_cpus(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int max = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	close(kvm);
	return max > 0 ? (uint32_t)max : 0;
}

TEST_F_TIMEOUT(machine, refusals_say_why_and_leave_no_file_open, 120)
{
	static const char *const no_file[] = {"/nonexistent/kernel", NULL};

	ASSERT_EQ(0, create(_metadata, self, guest_entry_hello, NULL, 0));
	ktstr_vm__destroy(self->vm);
	self->vm = NULL;

	self->config.size--;
	expect_refusal(_metadata, self, -EINVAL, "ktstr_vm_config__defaults()");
	self->config.size++;

	self->config.role = (enum ktstr_guest_role)3;
	expect_refusal(_metadata, self, -EINVAL, "role");
	self->config.role = (enum ktstr_guest_role) - 1;
	expect_refusal(_metadata, self, -EINVAL, "role");
	self->config.role = KTSTR_ROLE_TEST;

	self->config.irqchip = (enum ktstr_irqchip)2;
	expect_refusal(_metadata, self, -EINVAL, "irqchip");
	self->config.irqchip = variant->irqchip;

	self->config.cpu_vendor = (enum ktstr_cpu_vendor)3;
	expect_refusal(_metadata, self, -EINVAL, "cpu_vendor");
	self->config.cpu_vendor = KTSTR_VENDOR_HOST;

	self->config.topology.llcs = 0;
	expect_refusal(_metadata, self, -EINVAL, "topology");
	/* Some KVMs take as many as a topology can have. */
	if (kvm_max_cpus() < KTSTR_MAX_CPUS) {
		self->config.topology = TOPO(1, 1, KTSTR_MAX_CPUS, 1);
		expect_refusal(_metadata, self, -EINVAL, "declare fewer CPUs");
	}
	self->config.topology = TOPO(1, 1, 1, 1);

	self->config.kernel = no_file[0];
	expect_refusal(_metadata, self, -ENOENT, "/nonexistent/kernel");
	self->config.kernel = "/etc/passwd";
	expect_refusal(_metadata, self, -ENOEXEC, "/etc/passwd");
	self->config.kernel = self->kernel;

	self->config.init = "/nonexistent/init";
	expect_refusal(_metadata, self, -ENOENT, "/nonexistent/init");
	self->config.init = self->kernel;

	self->config.memory_mb = 7;
	expect_refusal(_metadata, self, -EINVAL, "too little for 1 NUMA node;");
	self->config.memory_mb = 16;
	expect_refusal(_metadata, self, -ENOMEM, "16 MiB are too little");
	self->config.memory_mb = 2u << 20;
	expect_refusal(_metadata, self, -EINVAL, "1 TiB");
}

TEST_HARNESS_MAIN
