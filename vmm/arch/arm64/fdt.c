// SPDX-License-Identifier: GPL-2.0-only
/* Writes the device tree front to back by libfdt's sequential functions. */
#include "fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Interrupt specifiers: Documentation/devicetree/bindings/interrupt-controller/arm,gic-v3.yaml */
#define GIC_SPI 0u
#define GIC_PPI 1u
#define IRQ_EDGE_RISING 1u
#define IRQ_LEVEL_HIGH 4u
#define GICV2_MAX_CPUS 8u
#define GICV2_PPI_CPUS_SHIFT 8
#define GICR_BYTES_PER_CPU UINT64_C(0x20000)

/* What a UART divides its baud rate from; any will do here. */
#define UART_CLOCK_HZ 1843200u

#define CACHE_LINE 64u
#define L1_WAYS 4u
#define L2_WAYS 8u
#define L3_WAYS 16u
/* As of a Neoverse N1 server. */
#define DEFAULT_L1_KB 64u
#define DEFAULT_L2_KB 1024u
#define DEFAULT_L3_KB 32768u

/* Of phandles; each kind has room for KTSTR_MAX_CPUS. */
enum { PHANDLE_GIC = 1, PHANDLE_CPU = 0x10000, PHANDLE_L2 = 0x20000, PHANDLE_L3 = 0x30000 };

/* The first error stays; what comes after it does nothing. */
struct out {
	void *fdt;
	int err;
	const struct fdt_spec *spec;
};

static void begin(struct out *o, const char *format, ...)
{
	char name[48];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	if (!o->err)
		o->err = fdt_begin_node(o->fdt, name);
}

static void end(struct out *o)
{
	if (!o->err)
		o->err = fdt_end_node(o->fdt);
}

static void put_bytes(struct out *o, const char *name, const void *data, size_t length)
{
	if (!o->err)
		o->err = fdt_property(o->fdt, name, data, (int)length);
}

static void put_flag(struct out *o, const char *name)
{
	put_bytes(o, name, NULL, 0);
}

static void put_text(struct out *o, const char *name, const char *text)
{
	put_bytes(o, name, text, strlen(text) + 1);
}

static void put_u32(struct out *o, const char *name, uint32_t value)
{
	if (!o->err)
		o->err = fdt_property_u32(o->fdt, name, value);
}

static void put_u64(struct out *o, const char *name, uint64_t value)
{
	if (!o->err)
		o->err = fdt_property_u64(o->fdt, name, value);
}

#define put_cells(o, name, ...)                                  \
	put_cell_array(o, name, (const uint32_t[]){__VA_ARGS__}, \
		       sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void put_cell_array(struct out *o, const char *name, const uint32_t *cells, size_t count)
{
	fdt32_t *to;
	void *at = NULL;

	if (!o->err)
		o->err = fdt_property_placeholder(o->fdt, name, (int)(count * sizeof(*to)), &at);
	to = at;
	for (size_t i = 0; !o->err && i < count; i++)
		to[i] = cpu_to_fdt32(cells[i]);
}

/* Pairs of address and size; all cells are two. */
#define HI(x) ((uint32_t)((x) >> 32))
#define LO(x) ((uint32_t)(x))
#define RANGE(gpa, size) HI(gpa), LO(gpa), HI(size), LO(size)

uint32_t arm64__mpidr(uint32_t id)
{
	return (id & 0xf) | (id >> 4 & 0xff) << 8 | (id >> 12 & 0xff) << 16;
}

struct ktstr_caches arm64__caches(const struct ktstr_topology *topology)
{
	struct ktstr_caches c = topology->caches;

	if (!c.l1d_kb)
		c.l1d_kb = DEFAULT_L1_KB;
	if (!c.l1i_kb)
		c.l1i_kb = DEFAULT_L1_KB;
	if (!c.l2_kb)
		c.l2_kb = DEFAULT_L2_KB;
	if (!c.l3_kb)
		c.l3_kb = DEFAULT_L3_KB;
	return c;
}

static void put_chosen(struct out *o)
{
	const struct fdt_spec *s = o->spec;
	char path[48];

	begin(o, "chosen");
	if (s->cmdline)
		put_text(o, "bootargs", s->cmdline);
	if (s->nr_serials) {
		snprintf(path, sizeof(path), "/serial@%llx", (unsigned long long)s->serials[0].gpa);
		put_text(o, "stdout-path", path);
	}
	if (s->initrd_size) {
		put_u64(o, "linux,initrd-start", s->initrd_gpa);
		put_u64(o, "linux,initrd-end", s->initrd_gpa + s->initrd_size);
	}
	if (s->kaslr_seed)
		put_u64(o, "kaslr-seed", s->kaslr_seed);
	if (s->rng_seed_size)
		put_bytes(o, "rng-seed", s->rng_seed, s->rng_seed_size);
	end(o);
}

/* Documentation/devicetree/bindings/numa.txt */
static void put_memory(struct out *o)
{
	const struct layout *l = o->spec->layout;

	for (uint32_t i = 0; i < l->nr_memory; i++) {
		const struct layout_memory *m = &l->memory[i];

		begin(o, "memory@%llx", (unsigned long long)m->gpa);
		put_text(o, "device_type", "memory");
		put_cells(o, "reg", RANGE(m->gpa, m->size));
		put_u32(o, "numa-node-id", m->node);
		end(o);
	}
}

static void put_distances(struct out *o)
{
	const struct layout *l = o->spec->layout;
	uint32_t cells[KTSTR_MAX_NUMA_NODES * KTSTR_MAX_NUMA_NODES * 3] = {0}, n = l->nr_nodes;

	if (n == 1)
		return;
	for (uint32_t i = 0; i < n * n; i++) {
		cells[i * 3] = i / n;
		cells[i * 3 + 1] = i % n;
		cells[i * 3 + 2] = l->distances[i];
	}
	begin(o, "distance-map");
	put_text(o, "compatible", "numa-distance-map-v1");
	put_cell_array(o, "distance-matrix", cells, (size_t)n * n * 3);
	end(o);
}

/* @prefix: "d-", "i-", or "" of a unified cache. The ways are what sizes in KiB divide by. */
static void put_cache(struct out *o, const char *prefix, uint32_t kb, uint32_t ways)
{
	uint32_t bytes = kb << 10;
	char name[32];

	snprintf(name, sizeof(name), "%scache-size", prefix);
	put_u32(o, name, bytes);
	snprintf(name, sizeof(name), "%scache-line-size", prefix);
	put_u32(o, name, CACHE_LINE);
	snprintf(name, sizeof(name), "%scache-sets", prefix);
	put_u32(o, name, bytes / CACHE_LINE / ways);
}

static void put_cpu(struct out *o, uint32_t index, const struct ktstr_caches *caches)
{
	const struct layout_cpu *cpu = &o->spec->layout->cpus[index];
	uint32_t mpidr = arm64__mpidr(index);

	begin(o, "cpu@%x", mpidr);
	put_text(o, "device_type", "cpu");
	put_text(o, "compatible", "arm,armv8");
	put_u32(o, "reg", mpidr);
	put_text(o, "enable-method", "psci");
	put_u32(o, "numa-node-id", cpu->node);
	/* Documentation/devicetree/bindings/cpu/cpu-capacity.txt: all have it, or none */
	if (o->spec->layout->capacities)
		put_u32(o, "capacity-dmips-mhz", o->spec->layout->capacities[index]);
	put_cache(o, "d-", caches->l1d_kb, L1_WAYS);
	put_cache(o, "i-", caches->l1i_kb, L1_WAYS);
	put_u32(o, "next-level-cache", PHANDLE_L2 + cpu->core);
	put_u32(o, "phandle", PHANDLE_CPU + index);
	end(o);
}

static void put_shared_cache(struct out *o, uint32_t level, uint32_t index, uint32_t kb,
			     uint32_t ways, uint32_t phandle, uint32_t next)
{
	begin(o, "l%u-cache%u", level, index);
	put_text(o, "compatible", "cache");
	put_u32(o, "cache-level", level);
	put_flag(o, "cache-unified");
	put_cache(o, "", kb, ways);
	if (next)
		put_u32(o, "next-level-cache", next);
	put_u32(o, "phandle", phandle);
	end(o);
}

/* One L2 a core, one L3 an LLC (Devicetree Specification v0.4 §3.9). */
static void put_shared_caches(struct out *o, const struct ktstr_caches *caches)
{
	const struct layout *l = o->spec->layout;

	for (uint32_t i = 0; i < l->nr_cpus; i += l->topology.threads_per_core) {
		const struct layout_cpu *cpu = &l->cpus[i];

		put_shared_cache(o, 2, cpu->core, caches->l2_kb, L2_WAYS, PHANDLE_L2 + cpu->core,
				 PHANDLE_L3 + cpu->llc);
		if (!i || l->cpus[i - 1].llc != cpu->llc)
			put_shared_cache(o, 3, cpu->llc, caches->l3_kb, L3_WAYS,
					 PHANDLE_L3 + cpu->llc, 0);
	}
}

/*
 * Documentation/devicetree/bindings/cpu/cpu-topology.txt: the names count from 0 in each parent. A
 * cluster is an LLC.
 */
static void put_cpu_map(struct out *o)
{
	const struct layout *l = o->spec->layout;
	uint32_t threads = l->topology.threads_per_core;

	begin(o, "cpu-map");
	for (uint32_t i = 0; i < l->nr_cpus; i++) {
		const struct layout_cpu *cpu = &l->cpus[i], *before = i ? cpu - 1 : NULL;
		const struct layout_cpu *next = i + 1 < l->nr_cpus ? cpu + 1 : NULL;
		const struct layout_cpu *first = &l->cpus[l->packages[cpu->package].first_cpu];

		if (!before || before->package != cpu->package)
			begin(o, "socket%u", cpu->package);
		if (!before || before->llc != cpu->llc)
			begin(o, "cluster%u", cpu->llc - first->llc);
		if (!cpu->thread)
			begin(o, "core%u", cpu->core % l->topology.cores_per_llc);
		if (threads > 1)
			begin(o, "thread%u", cpu->thread);
		put_u32(o, "cpu", PHANDLE_CPU + i);
		if (threads > 1)
			end(o);
		if (!next || next->core != cpu->core)
			end(o);
		if (!next || next->llc != cpu->llc)
			end(o);
		if (!next || next->package != cpu->package)
			end(o);
	}
	end(o);
}

static void put_cpus(struct out *o)
{
	const struct layout *l = o->spec->layout;
	struct ktstr_caches caches = arm64__caches(&l->topology);

	begin(o, "cpus");
	put_u32(o, "#address-cells", 1);
	put_u32(o, "#size-cells", 0);
	for (uint32_t i = 0; i < l->nr_cpus; i++)
		put_cpu(o, i, &caches);
	put_shared_caches(o, &caches);
	put_cpu_map(o);
	end(o);
}

static void put_gic(struct out *o)
{
	const struct fdt_spec *s = o->spec;

	begin(o, "interrupt-controller@%llx", (unsigned long long)s->gicd_gpa);
	put_text(o, "compatible", s->gic_version == 3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	put_cells(o, "reg", RANGE(s->gicd_gpa, s->gicd_size), RANGE(s->gicc_gpa, s->gicc_size));
	put_flag(o, "interrupt-controller");
	put_u32(o, "#interrupt-cells", 3);
	put_u32(o, "#address-cells", 2);
	put_u32(o, "#size-cells", 2);
	put_flag(o, "ranges");
	put_u32(o, "phandle", PHANDLE_GIC);
	end(o);
}

/* Documentation/devicetree/bindings/timer/arm,arch_timer.yaml: secure, non-secure, virtual,
 * hypervisor; the PPIs are those of Arm's BSA. */
static void put_timer(struct out *o)
{
	uint32_t flags = IRQ_LEVEL_HIGH;

	if (o->spec->gic_version == 2)
		flags |= ((1u << o->spec->layout->nr_cpus) - 1) << GICV2_PPI_CPUS_SHIFT;
	begin(o, "timer");
	put_text(o, "compatible", "arm,armv8-timer");
	put_cells(o, "interrupts", GIC_PPI, 13, flags, GIC_PPI, 14, flags, GIC_PPI, 11, flags,
		  GIC_PPI, 10, flags);
	put_flag(o, "always-on");
	end(o);
}

static void put_psci(struct out *o)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(o, "psci");
	put_bytes(o, "compatible", compatible, sizeof(compatible));
	put_text(o, "method", "hvc");
	end(o);
}

static void put_device(struct out *o, const char *name, const char *compatible,
		       const struct fdt_device *d)
{
	begin(o, "%s@%llx", name, (unsigned long long)d->gpa);
	put_text(o, "compatible", compatible);
	put_cells(o, "reg", RANGE(d->gpa, d->size));
	/* An eventfd is an edge. */
	put_cells(o, "interrupts", GIC_SPI, d->spi, IRQ_EDGE_RISING);
}

static void put_devices(struct out *o)
{
	const struct fdt_spec *s = o->spec;

	for (size_t i = 0; i < s->nr_serials; i++) {
		put_device(o, "serial", "ns16550a", &s->serials[i]);
		put_u32(o, "clock-frequency", UART_CLOCK_HZ);
		end(o);
	}
	for (size_t i = 0; i < s->nr_virtio; i++) {
		put_device(o, "virtio_mmio", "virtio,mmio", &s->virtio[i]);
		put_flag(o, "dma-coherent");
		end(o);
	}
}

/* ttyS0 is the first of these. */
static void put_aliases(struct out *o)
{
	char name[32], path[48];

	begin(o, "aliases");
	for (size_t i = 0; i < o->spec->nr_serials; i++) {
		snprintf(name, sizeof(name), "serial%zu", i);
		snprintf(path, sizeof(path), "/serial@%llx",
			 (unsigned long long)o->spec->serials[i].gpa);
		put_text(o, name, path);
	}
	end(o);
}

static int check_gic(const struct fdt_spec *s, struct ktstr_error *error)
{
	uint32_t most = s->gic_version == 3 ? (uint32_t)(s->gicc_size / GICR_BYTES_PER_CPU)
					    : GICV2_MAX_CPUS;
	int err;

	if (s->layout->nr_cpus <= most)
		return 0;
	err = ktstr_error__set(error, EINVAL, "topology", NULL,
			       "%u CPUs, but the GICv%u has room for %u", s->layout->nr_cpus,
			       s->gic_version, most);
	ktstr_error__hint(error, "declare fewer CPUs");
	return err;
}

int fdt__build(const struct fdt_spec *spec, void *buf, size_t size, size_t *used,
	       struct ktstr_error *error)
{
	struct out o = {.fdt = buf, .spec = spec};
	int err = check_gic(spec, error);

	*used = 0;
	if (err)
		return err;
	if (size > FDT_MAX_SIZE)
		size = FDT_MAX_SIZE;
	o.err = fdt_create(buf, (int)size);
	if (!o.err)
		o.err = fdt_finish_reservemap(buf);
	begin(&o, "%s", "");
	put_text(&o, "compatible", "linux,dummy-virt");
	put_text(&o, "model", "ktstr");
	put_u32(&o, "#address-cells", 2);
	put_u32(&o, "#size-cells", 2);
	put_u32(&o, "interrupt-parent", PHANDLE_GIC);
	put_aliases(&o);
	put_chosen(&o);
	put_memory(&o);
	put_distances(&o);
	put_cpus(&o);
	put_psci(&o);
	put_timer(&o);
	put_gic(&o);
	put_devices(&o);
	end(&o);
	if (!o.err)
		o.err = fdt_finish(buf);
	if (o.err) {
		err = ktstr_error__set(error, o.err == -FDT_ERR_NOSPACE ? ENOSPC : EINVAL, "write",
				       "device tree", "%s (%zu KiB)", fdt_strerror(o.err),
				       size >> 10);
		return err;
	}
	*used = fdt_totalsize(buf);
	return 0;
}
