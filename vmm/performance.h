/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Performance mode of one machine: plans where its threads and its memory go (placement.h), applies
 * the plan, and keeps what of it came true. NULL stands for a machine without it.
 */
#ifndef KTSTR_VMM_PERFORMANCE_H
#define KTSTR_VMM_PERFORMANCE_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "placement.h"

/* Of the environment: the mode of tests that declare none. */
#define PERFORMANCE_VARIABLE "KTSTR_PERFORMANCE"
#define PERFORMANCE_LINE_MAX 640u /* of performance__describe() */

struct performance;
struct vm;

/*
 * Plans a machine on the CPUs of @host that are allowed and not taken, under the host's conditions.
 * placement__free() is for the caller, after a failure too. -ENOSPC: it is required, and cannot be
 * had; -EINVAL: it is no machine; -errno of reading the host.
 */
int performance__plan(const struct ktstr_vm_config *config, const struct host_topology *host,
		      struct placement *plan, struct ktstr_error *error);

/* @plan stays the caller's, and lives longer. */
int performance__create(enum ktstr_performance_mode mode, const struct placement *plan,
			struct performance **p, struct ktstr_error *error);
void performance__destroy(struct performance *p);

/*
 * Binds the mapped guest RAM to its host nodes, puts it in hugepages, and makes all of it present,
 * before anything is written to it. What cannot be had is left out and noted; -ENOMEM: there are
 * not even small pages.
 */
int performance__back_memory(struct vm *vm, struct ktstr_error *error);

/* Lets idle and waiting CPUs stay in the guest where each has a CPU. Before vCPUs are made. */
void performance__dedicate_cpus(struct vm *vm);

/*
 * The calling thread becomes a service thread, and so do those that it starts, until leave();
 * raise() makes it, but not them, more urgent than vCPUs. -errno where the mode is required and the
 * host refuses what it had offered.
 */
int performance__enter(struct performance *p, struct ktstr_error *error);
void performance__raise(struct performance *p);
void performance__leave(struct performance *p);

/* How the event loop's thread is to be started, as urgent as the caller; after raise(). */
int performance__loop_attr(const struct performance *p, pthread_attr_t *attr);
/* How the thread of vCPU @index is to be started; after raise(). */
int performance__vcpu_attr(const struct performance *p, uint32_t index, pthread_attr_t *attr);
/* All vCPU threads were started so. */
void performance__vcpus_started(struct performance *p);

/* Why measured limits are not to be judged; NULL: nothing is known against them. */
const char *performance__disturbed(const struct performance *p);

/* "required" or "best-effort"; "" as the former. */
bool performance__parse(const char *text, enum ktstr_performance_mode *mode);
/* "off", "required" or "best-effort". */
const char *performance__mode_name(enum ktstr_performance_mode mode);

/* "TEXT; INSTEAD (REMEDY)", for people. */
void performance__describe(const struct ktstr_condition *condition, char *buf, size_t size);

/* For results; until the next call of any function here. */
const struct ktstr_performance *performance__public(struct performance *p);

#endif /* KTSTR_VMM_PERFORMANCE_H */
