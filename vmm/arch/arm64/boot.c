// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts a kernel, its initramfs and the device tree into guest RAM as
 * Documentation/arch/arm64/booting.rst says: the kernel at the start, the tree in the last 2 MiB,
 * the initramfs below it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../../initramfs/copy.h"
#include "../../../initramfs/initramfs.h"
#include "../../cmdline.h"
#include "../../virtio/mmio.h"
#include "../../vm.h"
#include "arm64.h"
#include "fdt.h"
#include "image.h"

#define PAGE UINT64_C(4096)
#define RNG_SEED_BYTES 32u
/* The kernel's linear map reaches that far from itself with any of its address sizes. */
#define INITRD_SPAN (UINT64_C(16) << 30)

static int too_little_memory(const struct vm *vm, uint64_t need, struct ktstr_error *error)
{
	int err = ktstr_error__set(error, ENOMEM, "guest memory", NULL,
				   "%llu MiB are too little: kernel and initramfs need %llu MiB",
				   (unsigned long long)(vm->mem.regions[0].size >> 20),
				   (unsigned long long)((need + (1 << 20) - 1) >> 20));

	ktstr_error__hint(error, "give the VM more memory (--memory, .memory_mb)");
	return err;
}

/* The tree's place: aligned to its largest size, it crosses no such boundary. */
static uint64_t fdt_place(const struct vm *vm)
{
	const struct gmem_region *r = &vm->mem.regions[0];

	return r->size < 2 * FDT_MAX_SIZE
		       ? 0
		       : (r->gpa + r->size - FDT_MAX_SIZE) & ~(uint64_t)(FDT_MAX_SIZE - 1);
}

int arm64_boot__load_kernel(struct vm *vm, const struct arch_payload *payload,
			    struct ktstr_error *error)
{
	struct arm64_vm *arm64 = vm->arch_data;
	struct arm64_image image;
	int err = arm64_image__open(payload->kernel_fd, payload->kernel_path, &image, error);
	uint64_t gpa;

	if (err)
		return err;
	gpa = vm->mem.regions[0].gpa + image.text_offset;
	arm64->fdt_gpa = fdt_place(vm);
	vm->kernel_start = gpa;
	vm->kernel_end = gpa + image.memory;
	if (vm->kernel_end > arm64->fdt_gpa)
		err = too_little_memory(vm, image.text_offset + image.memory + 2 * FDT_MAX_SIZE,
					error);
	else if (gmem__write(&vm->mem, gpa, image.data, image.length))
		err = ktstr_error__set(error, EFAULT, "load", payload->kernel_path, "not in RAM");
	arm64->entry = gpa;
	arm64->page_kib = image.page_kib;
	arm64_image__close(&image);
	vm->kaslr = cmdline__has(payload->cmdline, "nokaslr") ? KTSTR_KASLR_ASKED_OFF
							      : KTSTR_KASLR_GUEST;
	free(arm64->cmdline);
	arm64->cmdline = strdup(payload->cmdline);
	if (!err && !arm64->cmdline)
		err = ktstr_error__set(error, ENOMEM, "allocate", "command line", NULL);
	return err;
}

static int place_archive(struct vm *vm, const struct initramfs_image *image, uint64_t gpa,
			 struct ktstr_error *error)
{
	for (size_t i = 0; image && i < image->nr_segments; i++) {
		const struct initramfs_segment *s = &image->segments[i];
		void *to = gmem__ptr(&vm->mem, gpa, s->length);
		int err = to ? copy__read(s->fd, to, s->length, s->offset) : -EFAULT;

		if (err)
			return ktstr_error__set(error, -err, "load", "initramfs", NULL);
		gpa += s->length;
	}
	return 0;
}

int arm64_boot__load_initramfs(struct vm *vm, const struct arch_payload *payload,
			       struct ktstr_error *error)
{
	struct arm64_vm *arm64 = vm->arch_data;
	const struct initramfs_image *image = payload->initramfs;
	uint64_t archive = image ? image->size : 0, unpacked = image ? image->unpacked : 0;
	uint64_t base = vm->mem.regions[0].gpa, top = arm64->fdt_gpa, size, need, gpa;
	int err;

	if (__builtin_add_overflow(archive, payload->run_config_size, &size) ||
	    __builtin_add_overflow(size, unpacked, &need) || need > INITRD_SPAN)
		return ktstr_error__set(error, EFBIG, "initramfs", NULL, "too large");
	if (!size)
		return 0;
	need += vm->kernel_end - base + FDT_MAX_SIZE;
	if (need > vm->mem.regions[0].size)
		return too_little_memory(vm, need, error);
	if (top > base + INITRD_SPAN)
		top = base + INITRD_SPAN;
	gpa = (top - size) & ~(PAGE - 1);
	if (gpa < vm->kernel_end)
		return too_little_memory(vm, need, error);
	err = place_archive(vm, image, gpa, error);
	if (err)
		return err;
	if (gmem__write(&vm->mem, gpa + archive, payload->run_config, payload->run_config_size))
		return ktstr_error__set(error, EFAULT, "initramfs", NULL, "not in RAM");
	arm64->initrd_gpa = gpa;
	arm64->initrd_size = size;
	return 0;
}

int arm64_boot__write_fdt(struct vm *vm, struct ktstr_error *error)
{
	static const struct fdt_device serials[] = {{ARM64_COM1_GPA, SERIAL_PORTS, ARM64_COM1_SPI},
						    {ARM64_COM2_GPA, SERIAL_PORTS, ARM64_COM2_SPI}};
	const struct arm64_vm *arm64 = vm->arch_data;
	void *to = gmem__ptr(&vm->mem, arm64->fdt_gpa, FDT_MAX_SIZE);
	struct fdt_device virtio[VM_MAX_VIRTIO];
	uint8_t seed[RNG_SEED_BYTES];
	struct fdt_spec spec = {
		.layout = &vm->layout,
		.serials = serials,
		.nr_serials = 2,
		.virtio = virtio,
		.nr_virtio = vm->nr_virtio,
		.gic_version = arm64->gic_version,
		.gicd_gpa = ARM64_GICD_GPA,
		.gicd_size = ARM64_GICD_SIZE,
		.gicc_gpa = ARM64_GICC_GPA,
		.gicc_size = ARM64_GICC_SIZE,
		.cmdline = arm64->cmdline,
		.initrd_gpa = arm64->initrd_gpa,
		.initrd_size = arm64->initrd_size,
		.rng_seed = seed,
		.rng_seed_size = sizeof(seed),
	};
	size_t used;

	if (!to)
		return ktstr_error__set(error, EFAULT, "device tree", NULL, "not in RAM");
	if (arm64->gic_version == 3) {
		spec.gicc_gpa = ARM64_GICR_GPA;
		spec.gicc_size = vm->layout.nr_cpus * ARM64_GICR_PER_CPU;
	}
	for (uint32_t i = 0; i < vm->nr_virtio; i++)
		virtio[i] = (struct fdt_device){vm->virtio[i].gpa, vm->virtio[i].size,
						vm->virtio[i].gsi};
	if (getentropy(seed, sizeof(seed)) || getentropy(&spec.kaslr_seed, sizeof(spec.kaslr_seed)))
		return ktstr_error__set(error, errno, "getentropy", "seeds", NULL);
	return fdt__build(&spec, to, FDT_MAX_SIZE, &used, error);
}
