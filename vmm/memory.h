/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest RAM. The only way for the rest of the monitor to reach it: every access is checked against
 * the regions, so that no address or length from the guest can leave them.
 */
#ifndef KTSTR_VMM_MEMORY_H
#define KTSTR_VMM_MEMORY_H

#include <ktstr/error.h>

#include <stdint.h>

/* The 32-bit hole: [GMEM_HOLE_START, 4 GiB) is for devices; RAM that meets it goes on at 4 GiB. */
#define GMEM_HOLE_START UINT64_C(0xc0000000)
#define GMEM_HOLE_END UINT64_C(0x100000000)
#define GMEM_MAX_REGIONS 2u

/* Regions do not overlap, are sorted by @gpa and page aligned. */
struct gmem_region {
	uint64_t gpa;
	uint64_t size; /* bytes */
	uint8_t *hva;
	void *map; /* the mapping, guard pages included */
	uint64_t map_size;
};

struct gmem {
	struct gmem_region regions[GMEM_MAX_REGIONS];
	uint32_t nr_regions;
};

/* The layout alone, as data: regions without memory (hva NULL) for @bytes of RAM. */
int gmem__layout(struct gmem *mem, uint64_t bytes, struct ktstr_error *error);
/* Likewise, all of it in one piece from @gpa on. */
int gmem__layout_at(struct gmem *mem, uint64_t gpa, uint64_t bytes, struct ktstr_error *error);
/* Maps memory behind a layout: reserved, not touched. -ENOMEM. */
int gmem__map(struct gmem *mem, struct ktstr_error *error);
void gmem__unmap(struct gmem *mem);

/* Host address of [gpa, gpa + length), or NULL unless all of it lies in one region. */
void *gmem__ptr(const struct gmem *mem, uint64_t gpa, uint64_t length);
/*
 * Puts pages of a file in place of RAM, copied where they are written to: machines that hold the
 * same file share its pages. All are multiples of 4096. -EFAULT: not RAM; -ENODATA: the file ends
 * before; else what mmap(2) failed with. On an error RAM is as it was.
 */
int gmem__share_file(const struct gmem *mem, uint64_t gpa, uint64_t length, int fd,
		     uint64_t offset);
/* 0, or -EFAULT when some of the range is not RAM. */
int gmem__read(const struct gmem *mem, uint64_t gpa, void *buf, uint64_t length);
int gmem__write(const struct gmem *mem, uint64_t gpa, const void *buf, uint64_t length);

#endif /* KTSTR_VMM_MEMORY_H */
