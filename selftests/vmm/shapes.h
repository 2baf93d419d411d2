/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine shapes that the layout, CPUID and ACPI tests go through, and RAM as gmem lays it. */
#ifndef KTSTR_SELFTESTS_SHAPES_H
#define KTSTR_SELFTESTS_SHAPES_H

#include <ktstr/topology.h>

#include "vmm/memory.h"

#define SHAPES_GIB (UINT64_C(1) << 30)

static const struct ktstr_topology shapes[] = {
	TOPO(1, 1, 1, 1),  TOPO(1, 1, 2, 1),   TOPO(1, 1, 1, 2),  TOPO(1, 1, 4, 2),
	TOPO(1, 2, 2, 2),  TOPO(1, 2, 4, 1),   TOPO(1, 2, 4, 2),  TOPO(1, 3, 3, 1),
	TOPO(1, 3, 5, 2),  TOPO(1, 1, 3, 3),   TOPO(1, 5, 1, 1),  TOPO(1, 7, 1, 2),
	TOPO(1, 8, 8, 2),  TOPO(1, 14, 18, 1), TOPO(1, 14, 9, 2), TOPO(1, 1, 252, 1),
	TOPO(2, 2, 1, 1),  TOPO(2, 2, 2, 2),   TOPO(2, 4, 4, 2),  TOPO(2, 6, 3, 1),
	TOPO(2, 14, 9, 2), TOPO(3, 3, 3, 1),   TOPO(3, 9, 2, 2),  TOPO(4, 4, 4, 2),
	TOPO(4, 8, 3, 2),  TOPO(4, 12, 5, 1),  TOPO(4, 64, 8, 2), TOPO(8, 8, 1, 1),
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))
#define SHAPES_MAX_CPUS 1024

/* @bytes of RAM with the hole that the header of guest memory states. */
static inline struct gmem shapes_ram(uint64_t bytes)
{
	struct gmem mem = {.nr_regions = 1};

	mem.regions[0].size = bytes;
	if (bytes > GMEM_HOLE_START) {
		mem.regions[0].size = GMEM_HOLE_START;
		mem.regions[1].gpa = GMEM_HOLE_END;
		mem.regions[1].size = bytes - GMEM_HOLE_START;
		mem.nr_regions = 2;
	}
	return mem;
}

#endif /* KTSTR_SELFTESTS_SHAPES_H */
