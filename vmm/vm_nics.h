/* SPDX-License-Identifier: GPL-2.0-only */
/* The network interfaces of a machine, and the switches that they are on. */
#ifndef KTSTR_VMM_VM_NICS_H
#define KTSTR_VMM_VM_NICS_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

struct vm;

/* As vm->config says; in vm_io__create(). Errors of ktstr_vm__create(). */
int vm_nics__create(struct vm *vm, struct ktstr_error *error);
/* The switches' threads. */
int vm_nics__start(struct vm *vm, struct ktstr_error *error);
/* Ends them; no vCPU runs. What was counted is in vm->nic_counts then. */
void vm_nics__stop(struct vm *vm);
/* After the transports. */
void vm_nics__destroy(struct vm *vm);

#endif /* KTSTR_VMM_VM_NICS_H */
