/* SPDX-License-Identifier: GPL-2.0-only */
/* What a machine boots: kernel, command line, initramfs with the run's configuration. */
#ifndef KTSTR_VMM_VM_BOOT_H
#define KTSTR_VMM_VM_BOOT_H

#include <ktstr/error.h>

struct vm;

/* Finds and loads all of it into guest RAM; fills the phases' times. */
int vm_boot__load(struct vm *vm, struct ktstr_error *error);

#endif /* KTSTR_VMM_VM_BOOT_H */
