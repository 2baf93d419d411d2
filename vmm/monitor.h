/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host sees of a running machine from outside: at each tick of a timer, how often its
 * vCPUs left the guest, how long they ran and how long they had to wait for a CPU.
 */
#ifndef KTSTR_VMM_MONITOR_H
#define KTSTR_VMM_MONITOR_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

struct vm;
struct monitor;

/*
 * Samples @vm every @interval_ms, and once at the end, in the thread that called ktstr_vm__run().
 * The vCPUs exist already.
 * -ENOMEM, or -errno of timerfd. A host without KVM_GET_STATS_FD or /proc/PID/task/TID/schedstat
 * has no such numbers; the samples say which are known.
 */
int monitor__create(struct vm *vm, uint32_t interval_ms, ktstr_sample_fn fn, void *opaque,
		    struct monitor **monitor, struct ktstr_error *error);
/* The last sample, when the vCPU threads have ended. NULL is allowed. */
void monitor__finish(struct monitor *monitor);
/* NULL is allowed. */
void monitor__destroy(struct monitor *monitor);

#endif /* KTSTR_VMM_MONITOR_H */
