/* SPDX-License-Identifier: GPL-2.0-only */
/* A machine's disks: those whose image is there, fresh ones, and what the guest is told of them. */
#ifndef KTSTR_VMM_VM_DISKS_H
#define KTSTR_VMM_VM_DISKS_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stddef.h>
#include <stdio.h>

struct vm;

/* All disks of the configuration, in its order; images of fresh ones are made here. */
int vm_disks__create(struct vm *vm, struct ktstr_error *error);

/* -EOPNOTSUPP: the kernel, which is resolved, cannot mount one of them. */
int vm_disks__check_kernel(const struct vm *vm, struct ktstr_error *error);

/* virtio_blk, and one for each file system. */
#define VM_DISKS_MODULES (1 + KTSTR_MAX_DISKS)
/* Writes the names of modules that the guest needs, at most VM_DISKS_MODULES; returns how many. */
size_t vm_disks__modules(const struct vm *vm, const char **names);

/* The records "mount" of KTSTR_GUEST_CONFIG. */
void vm_disks__write_mounts(const struct ktstr_vm_config *config, FILE *to);

#endif /* KTSTR_VMM_VM_DISKS_H */
