/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ports and device memory: which device answers at an address. Ranges are added before the first
 * vCPU runs and never change after; accesses come from every vCPU thread at once, so a device locks
 * its own state.
 */
#ifndef KTSTR_VMM_BUS_H
#define KTSTR_VMM_BUS_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

enum bus_space { BUS_PIO, BUS_MMIO };

/* @offset is from the range's base; @length is 1, 2, 4 or 8 and stays inside the range. */
struct bus_ops {
	void (*read)(void *opaque, uint64_t offset, uint8_t *data, uint32_t length);
	void (*write)(void *opaque, uint64_t offset, const uint8_t *data, uint32_t length);
};

struct bus_range {
	uint64_t base, size;
	const struct bus_ops *ops;
	void *opaque;
	const char *name;      /* static */
	_Atomic uint64_t hits; /* accesses; of device memory each is an exit to userspace */
};

#define BUS_MAX_RANGES 64u
#define BUS_PIO_PORTS 65536u

struct bus {
	struct bus_range ranges[2][BUS_MAX_RANGES]; /* sorted by base; [enum bus_space] */
	uint32_t nr_ranges[2];
	_Atomic uint64_t unclaimed_mmio; /* accesses to device memory that no range claims */
	_Atomic uint32_t *pio_count;	 /* [BUS_PIO_PORTS]: bus__count_pio() */
};

int bus__init(struct bus *bus);
void bus__fini(struct bus *bus);

/* -EEXIST: overlaps another range; -ENOSPC: too many; -EINVAL: empty or wraps. */
int bus__add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size, const char *name,
	     const struct bus_ops *ops, void *opaque, struct ktstr_error *error);

/* An address that no device claims reads as all ones and ignores writes; returns false then. */
bool bus__read(struct bus *bus, enum bus_space space, uint64_t addr, uint8_t *data,
	       uint32_t length);
bool bus__write(struct bus *bus, enum bus_space space, uint64_t addr, const uint8_t *data,
		uint32_t length);

/* One exit to userspace for @port: one for all accesses of a string instruction. */
void bus__count_pio(struct bus *bus, uint16_t port);

#endif /* KTSTR_VMM_BUS_H */
