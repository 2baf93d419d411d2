// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: a kernel image that is hostile or damaged, as vmlinux with lists of relocations
 * behind it, as what a bzImage has packed, and as a place of symbols (all of their sources). The
 * first byte chooses the shift of KASLR. Nothing is read or written outside of what the file and
 * its image have.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/arch/x86/bzimage.h"
#include "vmm/arch/x86/unpack.h"
#include "vmm/symbols.h"

/* Of a flat image: what an ELF file of some KiB may ask for, by addresses alone. */
#define MAX_FLAT (UINT64_C(1) << 30)

static void relocate(const uint8_t *data, size_t length, uint8_t shift)
{
	struct unpack_layout layout = {.gpa = 0};
	uint8_t *flat = NULL;
	size_t elf_end = 0;

	if (unpack__flatten(data, length, &flat, &layout, &elf_end))
		return;
	FUZZ_CHECK(elf_end <= length);
	FUZZ_CHECK(layout.gpa <= layout.file_end && layout.file_end <= layout.end);
	FUZZ_CHECK(layout.file_end - layout.gpa <= MAX_FLAT);
	FUZZ_CHECK(layout.entry >= layout.gpa && layout.entry < layout.file_end);
	(void)unpack__relocate(flat, &layout, data + elf_end, length - elf_end,
			       (uint64_t)shift << 21);
	free(flat);
}

static void look_up(struct symbols *symbols)
{
	uint64_t offset;

	FUZZ_CHECK(symbols__count(symbols) <= SYMBOLS_MAX);
	(void)symbols__at(symbols, UINT64_C(0xffffffff81000123), &offset);
	symbols__destroy(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct symbols *symbols;
	size_t length;
	void *image;
	int fd;

	if (!size)
		return 0;
	relocate(data + 1, size - 1, data[0]);
	fd = memfd_create("kernel", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	if (!bzimage__unpack(fd, &image, &length)) {
		relocate(image, length, data[0]);
		free(image);
	}
	if (!symbols__from_elf(fd, &symbols))
		look_up(symbols);
	if (!symbols__from_image(fd, &symbols))
		look_up(symbols);
	/* A stream, which goes on from where the last one left off. */
	lseek(fd, 0, SEEK_SET);
	if (!symbols__from_system_map(fd, &symbols))
		look_up(symbols);
	if (!symbols__from_kallsyms(data + 1, size - 1, UINT64_C(0xffffffff81000000), &symbols))
		look_up(symbols);
	close(fd);
	return 0;
}
