/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual machine for one run: describe it, create it, run it to its end, read what came back,
 * destroy it. Two machines can live in one process; a machine is used from one thread.
 */
#ifndef KTSTR_VM_H
#define KTSTR_VM_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How a run ended. The earliest event wins; where two are simultaneous, the smaller value does.
 * Everything before KTSTR_VERDICT_FAIL is a failure of the run as a whole.
 */
enum ktstr_verdict {
	KTSTR_VERDICT_NONE = 0, /* not run yet */
	KTSTR_VERDICT_HOST_ERROR,
	KTSTR_VERDICT_NO_BOOT,
	KTSTR_VERDICT_INIT_DIED,
	KTSTR_VERDICT_KERNEL_PANIC,
	KTSTR_VERDICT_KERNEL_OOPS,
	KTSTR_VERDICT_GUEST_OOM,
	KTSTR_VERDICT_GUEST_STALL,
	KTSTR_VERDICT_GUEST_REBOOT,
	KTSTR_VERDICT_SCHED_NOT_ATTACHED,
	KTSTR_VERDICT_SCHED_EXITED,
	KTSTR_VERDICT_CHANNEL_BROKEN,
	KTSTR_VERDICT_TIMEOUT,
	KTSTR_VERDICT_FAIL,
	KTSTR_VERDICT_INCONCLUSIVE,
	KTSTR_VERDICT_XFAIL,
	KTSTR_VERDICT_SKIP,
	KTSTR_VERDICT_PASS,
	KTSTR_VERDICT_INTERRUPTED, /* the caller stopped the run: says nothing of the test */
};

/* "KERNEL_PANIC" and the like; never NULL. */
const char *ktstr_verdict__name(enum ktstr_verdict verdict);

/* How sched_ext ended a scheduler: the kernel's enum scx_exit_kind (kernel/sched/ext/internal.h).
 */
enum ktstr_scx_exit {
	KTSTR_SCX_EXIT_NONE = 0,     /* it did not, or nobody said how */
	KTSTR_SCX_EXIT_UNREG = 64,   /* user space took it off, or died */
	KTSTR_SCX_EXIT_UNREG_BPF,    /* scx_bpf_exit() */
	KTSTR_SCX_EXIT_UNREG_KERN,   /* the kernel, as at CPU hotplug */
	KTSTR_SCX_EXIT_SYSRQ,	     /* sysrq S */
	KTSTR_SCX_EXIT_PARENT,	     /* its parent ended */
	KTSTR_SCX_EXIT_PARENT_KILL,  /* its parent killed it */
	KTSTR_SCX_EXIT_ERROR = 1024, /* it broke a rule */
	KTSTR_SCX_EXIT_ERROR_BPF,    /* scx_bpf_error() */
	KTSTR_SCX_EXIT_ERROR_STALL,  /* a runnable task did not run in time */
	KTSTR_SCX_EXIT_ERROR_REENQ,  /* a task was enqueued again and again */
	KTSTR_SCX_EXIT_ERROR_RESCUE, /* too many tasks had to be rescued */
};

/* Whether the kernel lies at a random virtual address (KASLR), and why not. */
enum ktstr_kaslr {
	KTSTR_KASLR_UNKNOWN = 0,    /* no kernel was loaded */
	KTSTR_KASLR_ON,		    /* at one that was drawn on the host */
	KTSTR_KASLR_ASKED_OFF,	    /* "nokaslr" is on the command line */
	KTSTR_KASLR_NO_RELOCATIONS, /* nobody can move it: a vmlinux, or a bzImage without
				     * CONFIG_RANDOMIZE_BASE */
	KTSTR_KASLR_GUEST,	    /* its own start-up code unpacks it, and decides */
};

/* "NO_RELOCATIONS" and the like; "UNKNOWN"; never NULL. */
const char *ktstr_kaslr__name(enum ktstr_kaslr kaslr);
/* The same in words: "off: the image has no ..."; never NULL. */
const char *ktstr_kaslr__text(enum ktstr_kaslr kaslr);

/* "ERROR_STALL" and the like; "UNKNOWN"; never NULL. */
const char *ktstr_scx_exit__name(enum ktstr_scx_exit kind);

/* A host file that is to be in the guest. @guest_path NULL: the same path there. */
struct ktstr_file {
	const char *host_path;
	const char *guest_path;
};

/*
 * A disk of the machine: /dev/vda is the first of the list. A write that the guest saw acknowledged
 * is in the file, however the machine ends; once the guest flushed, it is on the storage. The guest
 * may discard: that gives space of the file back where its file system can.
 *
 * While the machine exists, the file is locked (flock(2)): for itself alone, or shared when it is
 * @read_only.
 */
struct ktstr_disk {
	/*
	 * Image file or block device, which is there and of at least one sector; its size is the
	 * disk's, in whole sectors of 512 bytes. NULL: a fresh disk, see @fs.
	 */
	const char *path;
	/*
	 * Instead of @path: a disk of the machine's own, which goes with it. "btrfs", "ext4" or
	 * "xfs", made by the host's mkfs program of that name and kept as a template in the cache,
	 * or "none": zeros.
	 */
	const char *fs;
	uint32_t size_mb; /* of a fresh disk, MiB; 0: 512 */
	/*
	 * Directory of the guest where init mounts a fresh disk, before the scheduler starts; it is
	 * made when it is missing. NULL: it is not mounted. A disk that cannot be mounted is
	 * KTSTR_VERDICT_NO_BOOT.
	 */
	const char *mount;
	bool read_only;
	/* /sys/block/vda/serial, at most 20 bytes; NULL: "disk" and its place in the list, from 0
	 */
	const char *serial;
	/* Reads, writes, discards and their like, and bytes of them, a second; 0: no limit */
	uint64_t iops, bytes_per_s;
	/* How many may come at once after a pause; 0: as many as come in 100 ms */
	uint64_t burst_ops, burst_bytes;
	uint32_t queues; /* request queues, 1 to 16; 0: 1 */
};

#define KTSTR_MAX_DISKS 8u

/*
 * A network interface of the machine (virtio-net): the first of the list is probed first, as eth0.
 * Interfaces with the same @network are on one switch, which learns addresses. One that is alone
 * there gets back all that it sends, unchanged. Nothing of it touches the host's network.
 *
 * A frame for one receiver that has no free buffer waits for up to 20 ms before it is dropped, so
 * that a sender is slowed rather than cut off; frames for all, and those that a link with a rate or
 * a delay carries, are dropped at once.
 */
struct ktstr_nic {
	/* Letters, digits, '_', '-' and '.', at most 32; NULL: a network of its own */
	const char *network;
	/*
	 * Of what it sends: bits a second, of Ethernet frames without preamble and check sequence;
	 * 0: no limit. Frames wait in the guest's transmit queue, so none is lost by this.
	 */
	uint64_t rate_bps;
	/*
	 * How long what it sends is under way, us, 60 s at most. More than 16 MiB under way are
	 * lost.
	 */
	uint64_t delay_us;
	uint32_t queues; /* pairs of them, 1 to 16; 0: 1 */
	/*
	 * Bytes behind the Ethernet header of a frame, 68 to 65535: the guest starts with it and
	 * can set no more. What is larger does not arrive. 0: the guest may set any.
	 */
	uint32_t mtu;
	/* All 0: 02:6b:74:73:74 and its place in the list, from 0 */
	uint8_t mac[6];
};

#define KTSTR_MAX_NICS 6u

/* What came of an interface. A TCP segment that is larger than the link's counts as one frame. */
struct ktstr_nic_counts {
	uint64_t tx_frames, tx_bytes; /* that it sent */
	uint64_t rx_frames, rx_bytes; /* that it got */
	uint64_t rx_dropped;	      /* for which it had no buffer */
	uint64_t rx_too_long;	      /* for it, and larger than its MTU */
	uint64_t link_dropped;	      /* sent by it, and too much under way */
	uint64_t tx_bad;	      /* from its driver, and no frames that could be */
};

enum ktstr_guest_role {
	KTSTR_ROLE_TEST = 0, /* PID 1's child returns to main() of @init */
	KTSTR_ROLE_COMMAND,  /* PID 1's child executes @argv */
	KTSTR_ROLE_SHELL,    /* the same, on /dev/hvc0 as its terminal */
};

/* Where the guest has its files. What a test sees of them is the same. */
enum ktstr_root {
	/* An archive when they are small, else a disk where the kernel can (CONFIG_EROFS_FS ...) */
	KTSTR_ROOT_AUTO = 0,
	KTSTR_ROOT_CPIO,  /* unpacked into its RAM at the start */
	KTSTR_ROOT_EROFS, /* read from one more disk, behind @disks; what is written is in RAM */
};

/* x86: who is the IOAPIC. */
enum ktstr_irqchip {
	KTSTR_IRQCHIP_AUTO = 0, /* KVM, or the monitor where the topology needs 32-bit CPU ids */
	KTSTR_IRQCHIP_SPLIT,	/* the monitor; KVM has the local APICs only */
};

/* x86: whose CPU the guest sees. The other vendor's is for tests of topology: it has the names and
 * leaves of a server part, and of this host's features those that such a part could have. */
enum ktstr_cpu_vendor { KTSTR_VENDOR_HOST = 0, KTSTR_VENDOR_INTEL, KTSTR_VENDOR_AMD };

/*
 * Whether the machine gets a part of the host for itself, so that the times that it measures mean
 * something: each vCPU a CPU, each virtual LLC an LLC, each node's memory on the node of its CPUs,
 * in hugepages and there from the start; vCPU threads above all others; a guest that keeps its
 * CPUs when it idles.
 */
enum ktstr_performance_mode {
	PERFORMANCE_OFF = 0,
	PERFORMANCE_REQUIRED,	 /* without enough CPUs or LLCs the machine is not made (-ENOSPC) */
	PERFORMANCE_BEST_EFFORT, /* as far as it can be had; measured limits are not judged then */
};

enum ktstr_condition_state {
	KTSTR_CONDITION_MET,
	KTSTR_CONDITION_DOWNGRADED, /* it is not met, and @instead was done */
	KTSTR_CONDITION_WARNING,    /* the machine has what it is to have, but may be disturbed */
};

/* "met", "downgraded", "warning"; never NULL. */
const char *ktstr_condition_state__name(enum ktstr_condition_state state);

/* Of performance mode: something that is to be so, and whether it is. Strings are never NULL. */
struct ktstr_condition {
	const char *name; /* "vcpus", "hugepages", "governor", ...: stable */
	enum ktstr_condition_state state;
	const char *text;    /* one line: what was applied, or what is wrong */
	const char *instead; /* what was done; or "" */
	const char *remedy;  /* what helps; "" where it is met */
};

struct ktstr_performance {
	enum ktstr_performance_mode mode;
	bool met; /* nothing was downgraded */
	uint32_t nr_conditions;
	const struct ktstr_condition *conditions;
};

/* What the host did with a vCPU's thread, in a time. What it does not tell is KTSTR_UNKNOWN. */
struct ktstr_vcpu_use {
	uint64_t run_ns;    /* it ran, in the guest or outside */
	uint64_t wait_ns;   /* it was ready to run and had no CPU: what a guest calls steal */
	uint64_t preempted; /* times that its CPU was taken away */
	uint64_t minor_faults, major_faults;
};

/* One of KVM's own counters of the whole run, of all vCPUs together; @name: "halt_exits". */
struct ktstr_kvm_count {
	const char *name;
	uint64_t count;
};

/*
 * What the host had for a run, from the start of its test to the end; of one whose test did not
 * start, or that had no channel, of all of it.
 */
struct ktstr_host_use {
	bool of_test;
	uint64_t host_ns; /* how long that was */
	/*
	 * The same by the guest's clock (CLOCK_BOOTTIME), the way of two frames included;
	 * KTSTR_UNKNOWN without @of_test, or when the test did not end
	 */
	uint64_t guest_ns;
	double steal_percent; /* wait_ns, of the vCPU with the most, of @host_ns; NaN: not known */
	uint32_t most_stolen; /* that vCPU */
	uint32_t nr_vcpus;
	const struct ktstr_vcpu_use *vcpus;
	size_t nr_kvm_counts;
	const struct ktstr_kvm_count *kvm_counts;
};

enum ktstr_stream { KTSTR_OUT = 1, KTSTR_ERR = 2, KTSTR_SCHED = 3 };

/* Text that comes while the machine runs; from the thread that called ktstr_vm__run(). */
typedef void (*ktstr_output_fn)(void *opaque, enum ktstr_stream stream, const char *data,
				size_t length);

/*
 * A whole frame of the guest (ktstr/proto.h) whose CRC, sequence and form are right; from the
 * thread that called ktstr_vm__run(). @payload lives until the callback returns.
 */
typedef void (*ktstr_frame_fn)(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
			       uint32_t length);

/* What one vCPU had done since its start. A number that the host does not give is KTSTR_UNKNOWN. */
#define KTSTR_UNKNOWN UINT64_MAX
struct ktstr_vcpu_sample {
	uint64_t user_exits; /* KVM_RUN returned to the monitor */
	uint64_t exits;	     /* left the guest, for KVM or for the monitor */
	uint64_t halts;	     /* of these, because the guest's CPU was idle */
	uint64_t run_ns;     /* its thread ran, in the guest or outside */
	uint64_t steal_ns;   /* its thread was ready to run and had no CPU */
};

/* One look at a running machine. */
struct ktstr_sample {
	uint64_t at_ns;	  /* host time since the first KVM_RUN */
	const char *step; /* what the guest was at: "boot", "the test", ...; static */
	uint32_t nr_vcpus;
	const struct ktstr_vcpu_sample *vcpus; /* [nr_vcpus]; until the callback returns */
};
typedef void (*ktstr_sample_fn)(void *opaque, const struct ktstr_sample *sample);

/*
 * One response of the scheduler's statistics (ktstr/stats.h), a JSON object in one line, not
 * terminated. @at_ms: host time since the host saw the test start. In the same thread.
 */
typedef void (*ktstr_stats_fn)(void *opaque, uint64_t at_ms, const char *json, size_t length);

struct ktstr_cpu_share;

/*
 * Set it up with KTSTR_VM_CONFIG_INIT or ktstr_vm_config__defaults(), then change fields. Strings
 * and arrays stay the caller's and must live until ktstr_vm__create() returns.
 */
struct ktstr_vm_config {
	size_t size; /* sizeof(struct ktstr_vm_config): lets the struct grow */
	struct ktstr_topology topology;
	uint32_t memory_mb; /* guest RAM, MiB; 0: see ktstr_topology__memory_mb() */
	enum ktstr_irqchip irqchip;
	enum ktstr_cpu_vendor cpu_vendor;
	const char *kernel; /* bzImage or arm64 Image, vmlinux, build tree or version; NULL:
			       KTSTR_KERNEL or default */
	/*
	 * Directory that ktstr_vm__save() filled: kernel, initramfs and the guest's side of this
	 * description come from there, whatever is said here; NULL: they are found and built.
	 */
	const char *saved;
	const char *append; /* added to the kernel command line; may be NULL */
	const char
		*init; /* program that becomes /init (an ELF with ktstr's guest side); NULL: self */
	enum ktstr_guest_role role;
	const char *const *argv; /* NULL-terminated: the guest's command */
	const char *const *env;	 /* NULL-terminated "K=V"; may be NULL */
	const char *cwd;	 /* in the guest; may be NULL */
	const char *scheduler;	 /* host path of a program to start first; NULL: none (EEVDF) */
	const char *const *scheduler_args; /* NULL-terminated; may be NULL */
	const char *scheduler_ops;	   /* name expected in root/ops; NULL: any */
	const struct ktstr_file *files;	   /* more files, with the libraries that they need */
	size_t nr_files;
	enum ktstr_root root;
	const struct ktstr_disk *disks; /* [nr_disks] */
	size_t nr_disks;		/* at most KTSTR_MAX_DISKS */
	const struct ktstr_nic *nics;	/* [nr_nics] */
	size_t nr_nics;			/* at most KTSTR_MAX_NICS */
	uint32_t boot_timeout_s;	/* from the first KVM_RUN until PID 1 speaks; 0: no limit */
	uint32_t attach_timeout_s;	/* guest time that the scheduler has to attach */
	uint32_t timeout_s;		/* from the start of the test to the end; 0: no limit */
	ktstr_output_fn output;		/* may be NULL */
	void *output_opaque;
	ktstr_output_fn console; /* COM1, byte for byte; may be NULL */
	void *console_opaque;
	ktstr_frame_fn frame; /* may be NULL */
	void *frame_opaque;
	ktstr_sample_fn
		sample; /* every @sample_interval_ms of host time, and at the end; may be NULL */
	void *sample_opaque;
	uint32_t sample_interval_ms; /* 0: only at the end */
	bool kernel_log; /* the guest sends its kernel's log whatever the end, not after a
			  * failure alone */
	int terminal_in, terminal_out;		  /* role shell: ends of /dev/hvc0; -1: none */
	uint32_t terminal_rows, terminal_columns; /* 0: unknown */
	int cancel_fd;				  /* readable: stop the run; -1: none */
	void (*progress)(void *opaque, const char *step); /* "booting", ...; may be NULL */
	void *progress_opaque;
	/* The scheduler is asked for its statistics so often while the test runs; 0: not at all */
	uint32_t stats_interval_ms;
	ktstr_stats_fn stats; /* may be NULL */
	void *stats_opaque;
	/*
	 * The machine's threads use so many CPUs of the host at most, chosen by LLC and node; 0:
	 * all that the process may use. ktstr_vm__create() waits for them while others have them
	 * alone (KTSTR_LOCK_TIMEOUT_S).
	 */
	uint32_t cpu_cap;
	/*
	 * The machine's threads keep all rights of the process. Else each has what its work needs:
	 * a seccomp filter, no capabilities, no file but those that are open (Landlock).
	 */
	bool no_sandbox;
	/* Of the harness and the command, which have waited already; until ktstr_vm__destroy() */
	const struct ktstr_cpu_share *cpu_share;
	enum ktstr_performance_mode performance_mode;
	/*
	 * A run that would pass is KTSTR_VERDICT_FAIL when a vCPU waited for a CPU of the host for
	 * more than so many percent of the test's time, or when that is not known; 0: no limit
	 */
	double max_steal_pct;
};

void ktstr_vm_config__defaults(struct ktstr_vm_config *config);

/*
 * A boot_timeout_s for a machine of this size, with room to spare where KVM itself is emulated: 120
 * s and 8 s a CPU.
 */
uint32_t ktstr_vm__boot_allowance_s(const struct ktstr_topology *topology);

struct ktstr_exit_count {
	const char *reason; /* "io", "mmio", "hlt", ...; static */
	uint16_t port;	    /* "io": port; otherwise 0 */
	uint64_t address;   /* "mmio": first address of the device; otherwise 0 */
	uint64_t count;
};

/* Host time, ns. First what each phase of ktstr_vm__create() took, then CLOCK_MONOTONIC points. */
struct ktstr_times {
	uint64_t memory_ns;    /* /dev/kvm, VM, guest RAM */
	uint64_t devices_ns;   /* interrupt chip, devices, tables */
	uint64_t kernel_ns;    /* finding and loading the kernel image */
	uint64_t initramfs_ns; /* building or finding and loading the initramfs */
	uint64_t vcpus_ns;     /* vCPUs */

	uint64_t create_at_ns;	  /* ktstr_vm__create() entered */
	uint64_t first_run_at_ns; /* first KVM_RUN entered; 0 in these: not reached */
	uint64_t init_at_ns;	  /* PID 1's first frame or line */
	uint64_t result_at_ns;	  /* result arrived */
	uint64_t exit_at_ns;	  /* last vCPU out of KVM_RUN */
};

/*
 * The end of the run's scheduler: what it printed (tools/sched_ext/include/scx/user_exit_info.h)
 * and what the kernel says of it. Strings are never NULL.
 */
struct ktstr_scheduler_end {
	enum ktstr_scx_exit kind;
	int cpu;	     /* that caused it; -1: not known */
	const char *reason;  /* the kernel's words for @kind, "runnable task stall" */
	const char *message; /* details, one line */
	const char *dump;    /* debug dump, its first 64 KiB */
	const char *events;  /* root/events at the end of the test, where it was attached then */
	/* /sys/kernel/sched_ext at the end; -1: not there */
	int64_t enable_seq, hotplug_seq, nr_rejected;
};

/* What came back. Strings and arrays belong to the VM and live until ktstr_vm__destroy(). */
struct ktstr_result {
	enum ktstr_verdict verdict;
	const char *cause;	    /* one line: the first cause; NULL when PASS */
	bool have_status;	    /* the child ended and said how */
	bool complete;		    /* the guest went to the end of its run, and said so (EXIT) */
	bool kernel_trouble;	    /* the kernel told of some at any time, whatever came first */
	int exit_code;		    /* of the child; -1 when a signal ended it */
	int signal;		    /* 0: it exited */
	const char *skip_reason;    /* "" when it gave none */
	bool by_com2;		    /* the result came by COM2: port 1 never opened */
	const char *kernel_release; /* of the guest, as PID 1 said it; "" when it did not */
	const char *scheduler_ops;  /* root/ops when the test started; "" for EEVDF */
	uint64_t attach_ns; /* guest time from the scheduler's start to its attachment; 0: none */
	struct ktstr_scheduler_end scheduler_end;
	const char *scheduler_output; /* both streams */
	const char *console;	      /* COM1 from the first byte (bounded, oldest dropped) */
	const char
		*console_trouble; /* in @console: the line in which the kernel first told of one */
	const char *com2;	  /* COM2, likewise */
	const char *backtrace;	  /* of PID 1, when it crashed: one line a frame; or "" */
	const char *vcpus;	  /* after a time-out: one line a vCPU, what it did; or "" */
	const struct ktstr_exit_count *exits;
	size_t nr_exits;
	uint64_t total_exits; /* exits to userspace, all vCPUs */
	struct ktstr_times times;
	uint64_t stats_responses;  /* that were passed on */
	const char *stats_problem; /* one line: what was missing or wrong of them; NULL: nothing */
	enum ktstr_kaslr kaslr;
	const char *cache_problem; /* one line: what was damaged in the cache, and made anew for
				    * this run, or why there is none; NULL: nothing */
	/* One line: which of the host's CPUs its threads had, and by what; "": all of the process
	 */
	const char *host_cpus;
	const char *sandbox; /* "seccomp, no capabilities, Landlock 4", what its threads were in */
	const struct ktstr_nic_counts *nics; /* [nr_nics], as in the configuration */
	size_t nr_nics;
	const struct ktstr_performance *performance; /* NULL: not asked for */
	struct ktstr_host_use host_use;
};

struct ktstr_vm;

/*
 * Prepares everything up to the first guest instruction. On failure *vm is NULL and @error says
 * why: -ENOENT no kernel or file, -EINVAL an impossible configuration, -ENOEXEC not a kernel,
 * -EACCES/-ENODEV /dev/kvm, -ENOMEM memory; of cpu_cap: -EINVAL more than the process may use,
 * -ETIMEDOUT others have them, -ECANCELED cancel_fd; of a disk: what open(2) says, -EBUSY another
 * machine has it, -EINVAL no image or an impossible description; of a fresh one: -ENOENT the host
 * has no program that makes its file system, -EOPNOTSUPP the kernel has no such file system; of a
 * NIC: -EINVAL an impossible one, or the address of another on its network; of performance mode:
 * -ENOSPC the host has not what is required, -ETIMEDOUT others have it.
 */
int ktstr_vm__create(const struct ktstr_vm_config *config, struct ktstr_vm **vm,
		     struct ktstr_error *error);

/*
 * Runs the machine to its end. 0: it ran and *result says how it ended, whatever the verdict
 * (KTSTR_VERDICT_HOST_ERROR included). A machine runs once: -EALREADY.
 */
int ktstr_vm__run(struct ktstr_vm *vm, struct ktstr_result *result, struct ktstr_error *error);

/* Of performance mode, what is known before the run; NULL: it was not asked for. Until
 * ktstr_vm__destroy(). */
const struct ktstr_performance *ktstr_vm__performance(const struct ktstr_vm *vm);

/*
 * Writes into the directory @dir, which exists, what is enough to run the machine again: what it
 * booted, byte for byte, and its settings. From ktstr_vm__create() on. -errno of a file.
 */
int ktstr_vm__save(struct ktstr_vm *vm, const char *dir, struct ktstr_error *error);

/* Frees everything; NULL is allowed. */
void ktstr_vm__destroy(struct ktstr_vm *vm);

enum ktstr_kvm_kind {
	KTSTR_KVM_NATIVE,   /* runs kernels */
	KTSTR_KVM_EMULATED, /* interprets kernels' code or fails in it: cannot run a kernel */
	KTSTR_KVM_ABSENT,   /* no /dev/kvm, or no rights on it */
};

struct ktstr_probe {
	enum ktstr_kvm_kind kind;
	double minsn_per_s; /* millions of a kernel's instructions a second; 0: none was run */
	char detail[160];   /* one line: why */
};

/* Decides by running a short loop as a kernel on /dev/kvm. Takes some ms. Never fails. */
void ktstr_probe__run(struct ktstr_probe *probe);

#endif /* KTSTR_VM_H */
