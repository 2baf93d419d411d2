/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a machine had of its host while its test ran: of each vCPU's thread the time that it ran and
 * waited, what was taken from it, faults; KVM's own counters; how long that was by either clock.
 */
#ifndef KTSTR_VMM_HOST_USE_H
#define KTSTR_VMM_HOST_USE_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;
struct host_use;

/* The vCPUs exist already. -ENOMEM. */
int host_use__create(struct vm *vm, struct host_use **use, struct ktstr_error *error);
void host_use__destroy(struct host_use *use); /* NULL is allowed */

/* The first vCPU is about to run: the time begins, until it is the test's. */
void host_use__run_starts(struct host_use *use);
/* Likewise of the test. Only the first call of each counts; in the event loop. */
void host_use__test_starts(struct host_use *use);
void host_use__test_ends(struct host_use *use);
/* The vCPU threads have ended, and their descriptors are still there. */
void host_use__finish(struct host_use *use);

/* Until the machine is destroyed. */
struct ktstr_host_use host_use__public(const struct host_use *use);
/* Whether a vCPU waited for more than @percent, or may have: *why says it then. */
bool host_use__exceeds(const struct ktstr_host_use *use, double percent, char *why, size_t size);

#endif /* KTSTR_VMM_HOST_USE_H */
