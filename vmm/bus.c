// SPDX-License-Identifier: GPL-2.0-only
/* Finds the device behind a port or an address of device memory. */
#include "bus.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int bus__init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	bus->pio_count = calloc(BUS_PIO_PORTS, sizeof(*bus->pio_count));
	return bus->pio_count ? 0 : -ENOMEM;
}

void bus__fini(struct bus *bus)
{
	free((void *)bus->pio_count);
	bus->pio_count = NULL;
}

int bus__add(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size, const char *name,
	     const struct bus_ops *ops, void *opaque, struct ktstr_error *error)
{
	struct bus_range *ranges = bus->ranges[space];
	uint32_t n = bus->nr_ranges[space], at = 0;
	uint64_t last;

	if (!size || __builtin_add_overflow(base, size - 1, &last) ||
	    (space == BUS_PIO && last >= BUS_PIO_PORTS))
		return ktstr_error__set(error, EINVAL, "add to bus", name,
					"range is empty or wraps");
	if (n == BUS_MAX_RANGES)
		return ktstr_error__set(error, ENOSPC, "add to bus", name, "too many devices");
	while (at < n && ranges[at].base < base)
		at++;
	if ((at < n && ranges[at].base <= last) ||
	    (at > 0 && ranges[at - 1].base + (ranges[at - 1].size - 1) >= base))
		return ktstr_error__set(error, EEXIST, "add to bus", name,
					"address is another device's");
	memmove((void *)&ranges[at + 1], (void *)&ranges[at], (n - at) * sizeof(*ranges));
	memset((void *)&ranges[at], 0, sizeof(*ranges));
	ranges[at].base = base;
	ranges[at].size = size;
	ranges[at].ops = ops;
	ranges[at].opaque = opaque;
	ranges[at].name = name;
	bus->nr_ranges[space] = n + 1;
	return 0;
}

/* The range that holds all of [addr, addr + length), counted; NULL when there is none. */
static struct bus_range *bus__find(struct bus *bus, enum bus_space space, uint64_t addr,
				   uint32_t length)
{
	struct bus_range *ranges = bus->ranges[space];
	uint32_t lo = 0, hi = bus->nr_ranges[space];

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (ranges[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0) {
		struct bus_range *r = &ranges[lo - 1];
		uint64_t offset = addr - r->base;

		if (offset < r->size && length <= r->size - offset) {
			atomic_fetch_add_explicit(&r->hits, 1, memory_order_relaxed);
			return r;
		}
	}
	if (space == BUS_MMIO)
		atomic_fetch_add_explicit(&bus->unclaimed_mmio, 1, memory_order_relaxed);
	return NULL;
}

bool bus__read(struct bus *bus, enum bus_space space, uint64_t addr, uint8_t *data, uint32_t length)
{
	struct bus_range *r = bus__find(bus, space, addr, length);

	memset(data, r ? 0 : 0xff, length);
	if (r)
		r->ops->read(r->opaque, addr - r->base, data, length);
	return r;
}

bool bus__write(struct bus *bus, enum bus_space space, uint64_t addr, const uint8_t *data,
		uint32_t length)
{
	struct bus_range *r = bus__find(bus, space, addr, length);

	if (r)
		r->ops->write(r->opaque, addr - r->base, data, length);
	return r;
}

void bus__count_pio(struct bus *bus, uint16_t port)
{
	atomic_fetch_add_explicit(&bus->pio_count[port], 1, memory_order_relaxed);
}
