/* SPDX-License-Identifier: GPL-2.0-only */
/* What a machine boots: kernel, command line, initramfs with the run's configuration. */
#ifndef KTSTR_VMM_VM_BOOT_H
#define KTSTR_VMM_VM_BOOT_H

#include <ktstr/error.h>

struct vm;

/*
 * Finds all of it, and adds the disk that has the guest's files where there is one; before the
 * tables are written. Both fill the phases' times.
 */
int vm_boot__find(struct vm *vm, struct ktstr_error *error);
/* Loads it into guest RAM. */
int vm_boot__load(struct vm *vm, struct ktstr_error *error);

#endif /* KTSTR_VMM_VM_BOOT_H */
