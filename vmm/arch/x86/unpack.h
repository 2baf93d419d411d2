/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel inside a bzImage, unpacked and relocated once on the host instead of by every guest,
 * as arch/x86/boot/compressed/ of the kernel does it: as a flat image in the user's cache, with a
 * random virtual address of its own (KASLR) that the machines of an hour share.
 */
#ifndef KTSTR_VMM_X86_UNPACK_H
#define KTSTR_VMM_X86_UNPACK_H

#include <asm/bootparam.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A kernel as it lies in RAM, and where. */
struct unpack_layout {
	uint64_t gpa;	    /* of its first byte, a multiple of the page size */
	uint64_t file_end;  /* first address that has no content */
	uint64_t end;	    /* first address that it does not use */
	uint64_t entry;	    /* startup_64() */
	uint64_t shift;	    /* its virtual addresses are so much higher than it was linked for */
	uint64_t relocated; /* 1: @shift was drawn and applied, 0 included */
};

struct unpacked {
	int fd; /* from offset 0: the bytes of [gpa, file_end) */
	struct unpack_layout layout;
	char damaged[PATH_MAX]; /* a file of the cache that was, and is not used; "": none */
};

/*
 * The kernel of the bzImage @fd, whose header is @hdr. @random: with a shift, as far as the kernel
 * can be relocated (layout.relocated says so). Where there is no cache to write to, it is unpacked
 * into memory, for this machine alone. -ENOTSUP, -ENOSYS: it is packed in a way that is not known
 * here; -EBADMSG, -ENOEXEC: it is damaged; -errno. The guest can unpack it itself then.
 */
int unpack__open(int fd, const struct setup_header *hdr, bool random, struct unpacked *unpacked);
void unpack__close(struct unpacked *unpacked);

/*
 * Puts the loadable segments of the vmlinux in [data, data + length) to their places in *flat
 * (malloc'ed), and reads where it is to be. -ENOEXEC. *elf_end: first byte behind the ELF file.
 */
int unpack__flatten(const uint8_t *data, size_t length, uint8_t **flat,
		    struct unpack_layout *layout, size_t *elf_end);

/*
 * Applies the lists of relocations that follow the ELF file in a bzImage's payload
 * (handle_relocations() in arch/x86/boot/compressed/misc.c): two, or three with those of the
 * per-CPU area in kernels before 6.15. 0; -ENOENT: there are none, the kernel cannot be moved;
 * -ENOEXEC: a place outside the image.
 */
int unpack__relocate(uint8_t *flat, struct unpack_layout *layout, const uint8_t *relocs,
		     size_t length, uint64_t shift);

#endif /* KTSTR_VMM_X86_UNPACK_H */
