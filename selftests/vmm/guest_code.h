/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests of some hundred instructions, written here in C: functions of the section guest_text run
 * in ring 0 of a machine, entered as Linux is. They use integer registers only, refer to nothing
 * outside of their section, and avoid what KVMs that interpret ring 0 do not know.
 */
#ifndef KTSTR_SELFTESTS_GUEST_CODE_H
#define KTSTR_SELFTESTS_GUEST_CODE_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUEST_LOAD 0x200000u  /* guest_text */
#define GUEST_STACK 0x500000u /* its end */
#define GUEST_DATA 0x600000u  /* what the test gives along */
#define GUEST_END 0x800000u

extern const uint8_t __start_guest_text[], __stop_guest_text[];

#ifdef __clang__
#define GUEST_COMPILER no_builtin, no_profile_instrument_function
#else
#define GUEST_COMPILER optimize("O1", "no-jump-tables", "no-tree-loop-distribute-patterns")
#endif

#define GUEST                                                                                      \
	__attribute__((section("guest_text"), used, noinline, no_stack_protector,                  \
		       no_sanitize("address", "undefined", "thread"), target("general-regs-only"), \
		       GUEST_COMPILER))

/* GUEST_PROGRAM(name) { body }: an entry point guest_entry_NAME; the CPU halts when the body ends.
 */
#define GUEST_PROGRAM(name)                                \
	asm(".pushsection guest_text, \"ax\", @progbits\n" \
	    ".globl guest_entry_" #name "\n"               \
	    "guest_entry_" #name ":\n"                     \
	    "	mov $0x500000, %esp\n"                       \
	    "	call guest_body_" #name "\n"               \
	    "1:	hlt\n"                                     \
	    "	jmp 1b\n"                                    \
	    ".popsection\n");                              \
	extern const uint8_t guest_entry_##name[];         \
	static GUEST void guest_body_##name(void)

/* A string that lies in the code. */
#define GS(text)                            \
	({                                  \
		const char *text_;          \
		asm("jmp 2f\n"              \
		    "1: .asciz " #text "\n" \
		    "2: lea 1b(%%rip), %0"  \
		    : "=r"(text_));         \
		text_;                      \
	})

static GUEST void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static GUEST void outw(uint16_t port, uint16_t value)
{
	asm volatile("outw %0, %1" : : "a"(value), "d"(port));
}

static GUEST uint8_t inb(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static GUEST uint16_t inw(uint16_t port)
{
	uint16_t value;

	asm volatile("inw %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static GUEST uint32_t inl(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "d"(port));
	return value;
}

static GUEST void mmio_write(uint64_t gpa, uint32_t value)
{
	asm volatile("movl %0, (%1)" : : "r"(value), "r"(gpa) : "memory");
}

static GUEST uint32_t mmio_read(uint64_t gpa)
{
	uint32_t value;

	asm volatile("movl (%1), %0" : "=r"(value) : "r"(gpa) : "memory");
	return value;
}

static GUEST void print(uint16_t port, const char *text)
{
	while (*text)
		outb(port, (uint8_t)*text++);
}

static GUEST void print_hex(uint16_t port, uint64_t value)
{
	for (int shift = 60; shift >= 0; shift -= 4) {
		uint8_t digit = (uint8_t)(value >> shift & 15);

		if (value >> shift || !shift)
			outb(port, (uint8_t)(digit < 10 ? '0' + digit : 'a' + digit - 10));
	}
	outb(port, ' ');
}

/*
 * Writes an ELF kernel to a new file, whose name goes to @path: guest_text entered at @entry, and
 * @data at GUEST_DATA. False when it can't.
 */
static inline bool guest_write_kernel(char *path, size_t size, const uint8_t *entry,
				      const void *data, size_t length)
{
	/* What tells a kernel from a program. */
	static const char banner[] = "Linux version 0.0.0-ktstr-guest (nobody) #1";
	size_t text = (size_t)(__stop_guest_text - __start_guest_text);
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph[2];
	} elf = {
		.eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				   EV_CURRENT},
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_entry = GUEST_LOAD + (uint64_t)(entry - __start_guest_text),
		       .e_phoff = sizeof(Elf64_Ehdr),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 2},
		.ph = {{.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_offset = sizeof(elf),
			.p_vaddr = GUEST_LOAD,
			.p_paddr = GUEST_LOAD,
			.p_filesz = text,
			.p_memsz = GUEST_DATA - GUEST_LOAD},
		       {.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W,
			.p_offset = sizeof(elf) + text,
			.p_vaddr = GUEST_DATA,
			.p_paddr = GUEST_DATA,
			.p_filesz = length,
			.p_memsz = GUEST_END - GUEST_DATA}},
	};
	FILE *f;
	int fd;

	snprintf(path, size, "/tmp/ktstr-guest-XXXXXX");
	fd = mkstemp(path);
	f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f)
		return false;
	fwrite(&elf, sizeof(elf), 1, f);
	fwrite(__start_guest_text, text, 1, f);
	if (length)
		fwrite(data, length, 1, f);
	fwrite(banner, sizeof(banner), 1, f);
	return !fclose(f);
}

#endif /* KTSTR_SELFTESTS_GUEST_CODE_H */
