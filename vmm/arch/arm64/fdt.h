/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device tree of this monitor's arm64 machine (Devicetree Specification v0.4, and the bindings
 * of Linux): it announces the devices and carries the topology.
 */
#ifndef KTSTR_VMM_ARM64_FDT_H
#define KTSTR_VMM_ARM64_FDT_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

#include "../../layout.h"

/* Documentation/arch/arm64/booting.rst, §2: at most 2 MiB. */
#define FDT_MAX_SIZE ((size_t)2 << 20)

/* A device in one piece of memory, with one shared peripheral interrupt. */
struct fdt_device {
	uint64_t gpa, size;
	uint32_t spi; /* number among the SPIs */
};

struct fdt_spec {
	const struct layout *layout;
	const struct fdt_device *serials; /* the first is the console */
	size_t nr_serials;
	const struct fdt_device *virtio;
	size_t nr_virtio;
	/* Interrupt controller: 2 or 3; its distributor, and redistributors or CPU interface. */
	uint32_t gic_version;
	uint64_t gicd_gpa, gicd_size;
	uint64_t gicc_gpa, gicc_size;
	/* /chosen */
	const char *cmdline;
	uint64_t initrd_gpa, initrd_size; /* size 0: none */
	uint64_t kaslr_seed;		  /* 0: none */
	const void *rng_seed;
	size_t rng_seed_size; /* 0: none */
};

/* MPIDR_EL1 of the vCPU @id without the bits that are always set: reset_mpidr() of Linux's
 * arch/arm64/kvm/sys_regs.c, and what PSCI CPU_ON is given. */
uint32_t arm64__mpidr(uint32_t id);

/* Caches with what the topology leaves open filled in. */
struct ktstr_caches arm64__caches(const struct ktstr_topology *topology);

/*
 * Writes the tree into [buf, buf + size). *used: its length. -ENOSPC: it does not fit; -EINVAL: the
 * interrupt controller has no room for so many CPUs.
 */
int fdt__build(const struct fdt_spec *spec, void *buf, size_t size, size_t *used,
	       struct ktstr_error *error);

#endif /* KTSTR_VMM_ARM64_FDT_H */
