// SPDX-License-Identifier: GPL-2.0-only
/* Tells kernel images apart by their first bytes. */
#include "kernel_format.h"

#include <elf.h>
#include <string.h>
#include <zlib.h>

/* Documentation/arch/x86/boot.rst: the real-mode kernel header */
#define BZ_BOOT_FLAG 0x1fe
#define BZ_BOOT_FLAG_VALUE 0xaa55
#define BZ_MAGIC 0x202
#define BZ_MAGIC_VALUE "HdrS"
#define BZ_HEADER_END 0x210u

/* Documentation/arch/arm64/booting.rst, and arch/riscv/boot-image-header.rst */
#define IMAGE_MAGIC 56
#define IMAGE_MAGIC_ARM64 "ARM\x64"
#define IMAGE_MAGIC_RISCV "RSC\x05"
#define IMAGE_HEADER_END 64u

/* Linux's drivers/firmware/efi/libstub/zboot-header.S */
#define ZBOOT_MAGIC 4 /* behind "MZ" */
#define ZBOOT_MAGIC_VALUE "zimg"
#define ZBOOT_START 8
#define ZBOOT_LENGTH 12
#define ZBOOT_HEADER_END 64u
/* Microsoft's PE format: where its header is, which begins with a magic and the machine */
#define PE_OFFSET 0x3c
#define PE_MAGIC_VALUE "PE\0\0"
#define PE_MACHINE 4

static uint64_t get_le(const uint8_t *from, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | from[bytes];
	return value;
}

static bool is_bzimage(const uint8_t *p, size_t size)
{
	return size >= BZ_HEADER_END && !memcmp(p + BZ_MAGIC, BZ_MAGIC_VALUE, 4) &&
	       get_le(p + BZ_BOOT_FLAG, 2) == BZ_BOOT_FLAG_VALUE;
}

/* EM_NONE: it is none. */
static uint16_t machine_of_image(const uint8_t *p, size_t size)
{
	if (size < IMAGE_HEADER_END)
		return EM_NONE;
	if (!memcmp(p + IMAGE_MAGIC, IMAGE_MAGIC_ARM64, 4))
		return EM_AARCH64;
	return memcmp(p + IMAGE_MAGIC, IMAGE_MAGIC_RISCV, 4) ? EM_NONE : EM_RISCV;
}

static bool is_vmlinux(const uint8_t *p, size_t size, uint16_t *machine)
{
	Elf64_Ehdr header;

	if (size < sizeof(header))
		return false;
	memcpy(&header, p, sizeof(header));
	*machine = header.e_machine;
	return !memcmp(header.e_ident, ELFMAG, SELFMAG) && header.e_ident[EI_CLASS] == ELFCLASS64 &&
	       header.e_ident[EI_DATA] == ELFDATA2LSB &&
	       (header.e_type == ET_EXEC || header.e_type == ET_DYN);
}

static uint16_t machine_of_pe(const uint8_t *p, size_t size)
{
	static const struct {
		uint16_t pe, elf;
	} machines[] = {{0x8664, EM_X86_64}, {0xaa64, EM_AARCH64}, {0x5064, EM_RISCV}};
	uint64_t at = get_le(p + PE_OFFSET, 4);

	if (size < PE_MACHINE + 2 || at > size - PE_MACHINE - 2 ||
	    memcmp(p + at, PE_MAGIC_VALUE, 4) != 0)
		return EM_NONE;
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (get_le(p + at + PE_MACHINE, 2) == machines[i].pe)
			return machines[i].elf;
	return EM_NONE;
}

static bool is_zboot(const uint8_t *p, size_t size, struct kernel_format *format)
{
	if (size < ZBOOT_HEADER_END || memcmp(p, "MZ", 2) != 0 ||
	    memcmp(p + ZBOOT_MAGIC, ZBOOT_MAGIC_VALUE, 4) != 0)
		return false;
	format->machine = machine_of_pe(p, size);
	format->packed_start = get_le(p + ZBOOT_START, 4);
	format->packed_length = get_le(p + ZBOOT_LENGTH, 4);
	return true;
}

/* The header alone is unpacked. */
static bool is_gzip(const uint8_t *p, size_t size, struct kernel_format *format)
{
	uint8_t header[IMAGE_HEADER_END];
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)p,
		      .avail_in = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
		      .next_out = header,
		      .avail_out = sizeof(header)};
	int ret;

	if (size < 2 || p[0] != 0x1f || p[1] != 0x8b || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return false;
	ret = inflate(&z, Z_SYNC_FLUSH);
	inflateEnd(&z);
	if ((ret != Z_OK && ret != Z_STREAM_END) || z.avail_out)
		return false;
	format->machine = machine_of_image(header, sizeof(header));
	format->packed_length = size;
	return format->machine != EM_NONE;
}

struct kernel_format kernel_format__of(const void *data, size_t size)
{
	struct kernel_format format = {.form = KERNEL_NONE};
	uint16_t machine;

	/* An Image may have anything where x86's header is. */
	machine = machine_of_image(data, size);
	if (machine != EM_NONE)
		return (struct kernel_format){.form = KERNEL_IMAGE, .machine = machine};
	if (is_bzimage(data, size))
		return (struct kernel_format){.form = KERNEL_BZIMAGE, .machine = EM_X86_64};
	if (is_vmlinux(data, size, &machine))
		return (struct kernel_format){.form = KERNEL_VMLINUX, .machine = machine};
	if (is_zboot(data, size, &format))
		format.form = KERNEL_ZBOOT;
	else if (is_gzip(data, size, &format))
		format.form = KERNEL_GZIP;
	return format;
}

const char *kernel_format__machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return "RISC-V";
	case EM_S390:
		return "s390";
	case EM_PPC64:
		return "powerpc";
	default:
		return "another machine";
	}
}
