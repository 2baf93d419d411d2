/* SPDX-License-Identifier: GPL-2.0-only */
/* What an architecture does for a VM: one implementation a folder, behind one table. */
#ifndef KTSTR_VMM_ARCH_H
#define KTSTR_VMM_ARCH_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stdint.h>

#include "../bus.h"

struct gmem;
struct initramfs_image;
struct layout;
struct probe_guest;
struct symbols;
struct vm;
struct vcpu;

/* What is to be in guest RAM at the start. The files stay the caller's. */
struct arch_payload {
	int kernel_fd;
	const char *kernel_path; /* for errors */
	const char *cmdline;
	const struct initramfs_image *initramfs; /* NULL: none */
	const void *run_config;			 /* archive unpacked after it; NULL: none */
	uint64_t run_config_size;
};

enum vcpu_state {
	VCPU_UNKNOWN = 0, /* KVM did not tell */
	VCPU_NOT_STARTED,
	VCPU_HALTED,
	VCPU_RUNNING,
};

#define VCPU_ENTRIES 2u
#define VCPU_STACK_WORDS 256u

/* What a vCPU was doing when it was stopped. */
struct vcpu_place {
	enum vcpu_state state;
	bool user;			/* it ran a program, not the kernel */
	uint64_t pc;			/* the next instruction */
	uint64_t entries[VCPU_ENTRIES]; /* where it enters the kernel, by way; 0: not known */
	/* The top of the kernel's stack, where it could be read. */
	uint64_t stack[VCPU_STACK_WORDS];
	uint32_t nr_stack;
};

/* All return 0 or -errno with @error filled, unless said otherwise. */
struct arch_ops {
	/* Its kernels: e_machine, the image's place in a build tree, and what can be booted, in the
	 * words of a hint: "a bzImage, a vmlinux". */
	uint16_t elf_machine;
	const char *tree_image;
	const char *kernel_forms;
	/* Kernel options that make COM1 its console; in use from its first line on. */
	const char *console_cmdline;
	/* Kernel options that this host needs, behind a space; "": none. */
	const char *(*host_cmdline)(void);
	/* Why measured limits mean nothing on this host; NULL: nothing is known against them. */
	const char *(*host_disturbed)(void);
	/* Where the machine's devices are */
	enum bus_space serial_space;
	uint64_t serial_base[2];
	uint32_t serial_gsi[2];
	uint64_t virtio_base;	   /* room for VM_MAX_VIRTIO pages */
	const uint8_t *virtio_gsi; /* [VM_MAX_VIRTIO] */
	/* By which a KVM is tried (probe_guest.h) */
	const struct probe_guest *probe_guest;
	/* Refuses, before there is a machine, what those of another architecture alone have. */
	int (*check_config)(const struct ktstr_topology *topology, enum ktstr_cpu_vendor vendor,
			    enum ktstr_irqchip irqchip, struct ktstr_error *error);
	/* For KVM_CREATE_VM */
	unsigned long (*vm_type)(int kvm_fd);
	/* Where RAM of @bytes lies, as gmem__layout(). */
	int (*layout_memory)(struct gmem *mem, uint64_t bytes, struct ktstr_error *error);
	/* Gives the CPUs other ids than layout__create() did. NULL: they are right. */
	void (*number_cpus)(struct layout *layout);
	/* Interrupt chip and platform devices; vm->layout and vm->bus are ready. */
	int (*create)(struct vm *vm, struct ktstr_error *error);
	void (*destroy)(struct vm *vm);
	/* Tables that announce the devices; after the last one was added. */
	int (*write_tables)(struct vm *vm, struct ktstr_error *error);
	int (*load_kernel)(struct vm *vm, const struct arch_payload *payload,
			   struct ktstr_error *error);
	int (*load_initramfs)(struct vm *vm, const struct arch_payload *payload,
			      struct ktstr_error *error);
	/* A vCPU that exists gets its registers; number 0 starts at the kernel's entry. */
	int (*vcpu_init)(struct vm *vm, struct vcpu *vcpu, struct ktstr_error *error);
	/* Everything is there, vCPUs included. NULL: nothing is left to do. */
	int (*finish)(struct vm *vm, struct ktstr_error *error);
	/* The guest sees an edge on @gsi whenever @eventfd is written. */
	int (*connect_irq)(struct vm *vm, uint32_t gsi, int eventfd, struct ktstr_error *error);
	/* An exit that is the architecture's; false: not known. */
	bool (*handle_exit)(struct vm *vm, struct vcpu *vcpu);
	/* Where the vCPU is; not while it runs. */
	uint64_t (*program_counter)(struct vcpu *vcpu);
	/* All that is seen of it; likewise. */
	void (*inspect)(struct vm *vm, struct vcpu *vcpu, struct vcpu_place *place);
	/*
	 * What the kernel image @fd, which is no ELF file, has packed, malloc'ed: an ELF file, or
	 * the kernel as it lies in memory from the address *linked on that it is linked to (0:
	 * ELF). -ENOEXEC: it is none of this machine; -errno.
	 */
	int (*unpack_kernel)(int fd, void **kernel, size_t *length, uint64_t *linked);
	/* How far from its link addresses the kernel runs (KASLR), by @place's entries. False: not
	 * known, or the symbols are of another kernel. */
	bool (*kernel_offset)(const struct vcpu_place *place, const struct symbols *symbols,
			      uint64_t *offset);
	/* An interrupt that cannot be masked, taken when the vCPU runs next; not while it runs.
	 * Returns 0 or -errno. */
	int (*send_nmi)(struct vcpu *vcpu);
	/*
	 * Each vCPU has a CPU for itself: one that is idle or waits stays in the guest, and the
	 * guest may know. Before vCPUs are made. Writes what was done; "": nothing. NULL: this
	 * architecture has nothing of the kind.
	 */
	void (*dedicate_cpus)(struct vm *vm, char *done, size_t size);
	/* Where kernels have modules and BPF programs. */
	uint64_t modules_start, modules_end;
};

/* The one that this build is for. */
extern const struct arch_ops *const arch__this;

#endif /* KTSTR_VMM_ARCH_H */
