// SPDX-License-Identifier: GPL-2.0-only
/* The machines of QEMU that have a /dev/kvm for kernels inside, by architecture. */
#include "emulated.h"

#include <elf.h>

/*
 * One CPU: with two, kernels inside panic sooner or later. With xsave, kernels since 6.18 die in
 * fpu__init_system_xstate(). The last ones are what TCG lacks and would warn of.
 */
static const char x86_cpu[] =
	"EPYC,+svm,+npt,-xsave,-avx,-avx2,-f16c,-fma,-xsavec,-rdseed,-sha-ni,-fxsr-opt,"
	"-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save";

static const char *const x86_arguments[] = {"-machine", "pc", "-cpu", x86_cpu, NULL};

static const char *const x86_modules[] = {"9pnet_virtio", "9p",	     "virtio_blk", "btrfs",
					  "overlay",	  "kvm-amd", NULL};

/*
 * EL2 for KVM. Of the CPUs that QEMU 7.2 has, "max" is too slow: it computes pointer authentication
 * in software, which this one lacks.
 */
static const char *const arm64_arguments[] = {"-machine", "virt,virtualization=on,gic-version=3",
					      "-cpu", "neoverse-n1", NULL};

static const char *const arm64_modules[] = {"9pnet_virtio", "9p",      "virtio_pci", "virtio_blk",
					    "btrfs",	    "overlay", NULL};

static const struct emulated_machine machines[] = {
	{
		.elf_machine = EM_X86_64,
		.qemu = "qemu-system-x86_64",
		.arguments = x86_arguments,
		.memory_mb = 6144,
		.console = "ttyS0",
		.cmdline = "nokaslr random.trust_cpu=on",
		.modules = x86_modules,
		.one_cpu = true,
		.hold = true,
	},
	{
		.elf_machine = EM_AARCH64,
		.qemu = "qemu-system-aarch64",
		.arguments = arm64_arguments,
		.memory_mb = 4096,
		.console = "ttyAMA0",
		.cmdline = "nokaslr",
		.modules = arm64_modules,
	},
};

const struct emulated_machine *emulated_machine__of(uint16_t elf_machine)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (machines[i].elf_machine == elf_machine)
			return &machines[i];
	return NULL;
}
