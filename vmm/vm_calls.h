/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the event loop has done in the thread that called ktstr_vm__run() (vmm/caller.h): the
 * functions of struct ktstr_vm_config, where they are set, and looks at /proc. Each waits until it
 * is done.
 */
#ifndef KTSTR_VMM_VM_CALLS_H
#define KTSTR_VMM_VM_CALLS_H

#include <ktstr/vm.h>

struct vm;

void vm_calls__output(struct vm *vm, enum ktstr_stream stream, const char *data, size_t length);
void vm_calls__console(struct vm *vm, const char *data, size_t length);
void vm_calls__frame(struct vm *vm, uint32_t type, uint32_t sequence, const uint8_t *payload,
		     uint32_t length);
/* A ktstr_stats_fn; @opaque: the machine. */
void vm_calls__response(void *opaque, uint64_t at_ms, const char *json, size_t length);
void vm_calls__running(struct vm *vm);
void vm_calls__test_starts(struct vm *vm);
void vm_calls__test_ends(struct vm *vm);

#endif /* KTSTR_VMM_VM_CALLS_H */
