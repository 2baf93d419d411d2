/* SPDX-License-Identifier: GPL-2.0-only */
/* What flows between guest and host while a machine runs: serial ports, virtio console, clock. */
#ifndef KTSTR_VMM_VM_IO_H
#define KTSTR_VMM_VM_IO_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>

struct ktstr_disk;
struct ktstr_result;
struct loop;
struct virtio_device;
struct vm;

/*
 * Serial ports, virtio console, disks and NICs as devices of the machine; before the tables are
 * written.
 */
int vm_io__create(struct vm *vm, struct ktstr_error *error);
void vm_io__destroy(struct vm *vm);
/*
 * One disk more, behind those of the configuration; after vm_io__create() and before the tables are
 * written. @fd: its file, taken over in any case; -1: it is opened by its path. Errors of
 * ktstr_vm__create().
 */
int vm_io__add_disk(struct vm *vm, const struct ktstr_disk *disk, int fd,
		    struct ktstr_error *error);
/*
 * Gives @dev the next place among the machine's virtio devices; @loop runs its queues. -ENOSPC:
 * VM_MAX_VIRTIO are there; errors of virtio_mmio__create().
 */
int vm_io__add_virtio(struct vm *vm, struct virtio_device *dev, const char *name, struct loop *loop,
		      struct ktstr_error *error);
/* Event sources and the boot timer; right before the vCPUs start. */
int vm_io__start(struct vm *vm, struct ktstr_error *error);
/* The timer, which ends the machine: in @ms, 0 never. In the event loop. */
void vm_io__set_timer(struct vm *vm, uint64_t ms);
/* After the last vCPU: takes in what is still on its way, and ends the streams. */
void vm_io__drain(struct vm *vm);
/* After that, in a thread that may read files: names and lines of what init says of its crash. */
void vm_io__resolve(struct vm *vm);
/* The kernel told of trouble on the console, be its line still kept or not. */
bool vm_io__kernel_trouble(const struct vm *vm);
/* The line in the kept part of the console in which the kernel first told of trouble; NULL: none.
 */
const char *vm_io__console_trouble(const struct vm *vm);
/* What came of the statistics; lives as long as the machine. */
void vm_io__stats_result(const struct vm *vm, struct ktstr_result *result);

#endif /* KTSTR_VMM_VM_IO_H */
