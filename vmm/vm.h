/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine as its parts see it. The public face is include/ktstr/vm.h. */
#ifndef KTSTR_VMM_VM_H
#define KTSTR_VMM_VM_H

#include <ktstr/vm.h>

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdint.h>

#include "arch/arch.h"
#include "bus.h"
#include "byte_queue.h"
#include "caller.h"
#include "hang.h"
#include "host_share.h"
#include "kernel.h"
#include "layout.h"
#include "loop.h"
#include "memory.h"
#include "outcome.h"
#include "pause.h"
#include "saved.h"
#include "serial.h"
#include "vcpu.h"

struct cpu_confine;
struct host_use;
struct monitor;
struct net_switch;
struct performance;
struct sandbox;
struct virtio_attachment;
struct virtio_blk;
struct virtio_mmio;
struct virtio_net;
struct vm_io;

#define VM_MAX_VIRTIO 16u
/* The caller's, and one of our own behind them. */
#define VM_MAX_DISKS (KTSTR_MAX_DISKS + 1)

_Static_assert(1 + VM_MAX_DISKS + KTSTR_MAX_NICS <= VM_MAX_VIRTIO, "room for all");

/* Why a machine stopped. The first one counts. */
enum vm_end {
	VM_END_NONE = 0,
	VM_END_HOST_ERROR,
	VM_END_TRIPLE_FAULT,
	VM_END_RESET,
	VM_END_POWEROFF,
	VM_END_VERDICT, /* the outcome is decided and its grace is over */
	VM_END_BOOT_TIMEOUT,
	VM_END_TIMEOUT,
	VM_END_CANCELLED,
};

struct vm_virtio {
	uint64_t gpa, size;
	uint32_t gsi;
	struct virtio_mmio *transport;
	struct virtio_attachment *attachment;
};

struct vm {
	/* Description; strings and arrays of the caller are not kept */
	struct ktstr_vm_config config;
	struct vm_inputs inputs;

	/* Machine */
	int kvm_fd, vm_fd;
	const struct arch_ops *arch;
	void *arch_data;
	struct gmem mem;
	struct kernel kernel;
	char *init_path; /* host file that became /init; NULL: not known */
	/* Guest addresses of what the kernel's start-up uses: image, bss, its heap */
	uint64_t kernel_start, kernel_end;
	enum ktstr_kaslr kaslr;
	char cache_problem[PATH_MAX + 100]; /* see struct ktstr_result; "": none */
	struct layout layout;
	struct bus bus;
	struct vcpu *vcpus; /* [layout.nr_cpus] */
	uint32_t nr_vcpus;  /* that exist */
	struct serial com[2];
	int com_irq[2];
	struct byte_queue com_bytes[2]; /* from vCPU threads to the loop */
	struct vm_io *io;		/* streams and their readers */
	struct vm_virtio virtio[VM_MAX_VIRTIO];
	uint32_t nr_virtio;
	struct virtio_blk *disks[VM_MAX_DISKS];
	uint32_t nr_disks;
	struct virtio_net *nics[KTSTR_MAX_NICS];
	uint32_t nr_nics;
	struct net_switch *networks[KTSTR_MAX_NICS]; /* no gap */
	struct ktstr_nic_counts nic_counts[KTSTR_MAX_NICS];

	/* Run */
	struct performance *performance; /* NULL: it was not asked for */
	struct host_share own_share;	 /* that nobody took for it */
	struct cpu_confine *confine; /* of its threads; NULL: they use all that the process may */
	struct sandbox *sandbox;     /* its threads start in it */
	struct caller caller; /* what the loop's thread leaves to the one that runs the machine */
	struct loop *loop;
	pthread_t loop_thread;
	bool loop_started;	 /* it exists and was not joined */
	struct monitor *monitor; /* NULL: nobody asks */
	struct host_use *host_use;
	int timer_fd;
	bool ran;
	_Atomic int end_claimed; /* enum vm_end: who may write @end_text */
	_Atomic int end;	 /* the same, once the text is there */
	char end_text[200];
	struct vm_pause pause;
	struct vm_hang hang;
	struct outcome outcome;
	char *backtrace; /* of PID 1, with names and lines; NULL: it did not crash */
	struct ktstr_times times;
	_Atomic uint64_t first_run_ns;
	struct ktstr_exit_count *exits;
	size_t nr_exits;
};

/* The machine is to stop. From any thread; the first call decides. @text: one line. */
void vm__end(struct vm *vm, enum vm_end end, const char *text);
/* True once vm__end() was called. */
bool vm__ending(const struct vm *vm);
/* A vCPU is about to enter the guest. */
void vm__mark_first_run(struct vm *vm);
/* CLOCK_MONOTONIC in ns. */
uint64_t vm__now_ns(void);
/*
 * -EINVAL: more CPUs than KVM takes (KVM_CAP_MAX_VCPUS), or an id that is not below
 * KVM_CAP_MAX_VCPU_ID; 0 or less stands for a limit that is not known.
 */
int vm__check_cpu_limits(const struct layout *layout, int max_vcpus, int max_vcpu_id,
			 struct ktstr_error *error);

#endif /* KTSTR_VMM_VM_H */
