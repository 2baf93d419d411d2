/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test can ask for, and how its machine is run on the host. Test files include harness.h,
 * which brings this and kselftest's harness together.
 */
#ifndef KTSTR_TEST_H
#define KTSTR_TEST_H

#include <ktstr/error.h>
#include <ktstr/gauntlet.h>
#include <ktstr/topology.h>
#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A NULL-terminated list of strings, for .scheduler_args. */
#define KTSTR_ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* The same for .files. */
#define KTSTR_FILES(...) KTSTR_ARGS(__VA_ARGS__)
/*
 * Network interfaces, for .nics: KTSTR_NICS(NIC(.network = "a"), NIC(.network = "a", .rate_bps =
 * 10000000)). What NIC() takes are the fields of struct ktstr_nic (ktstr/vm.h).
 */
struct ktstr_nics {
	const struct ktstr_nic *nics; /* [nr] */
	size_t nr;		      /* at most KTSTR_MAX_NICS */
};
#define NIC(...)            \
	{                   \
		__VA_ARGS__ \
	}
#define KTSTR_NICS(...)                                                               \
	(&(const struct ktstr_nics){(const struct ktstr_nic[]){__VA_ARGS__},          \
				    sizeof((const struct ktstr_nic[]){__VA_ARGS__}) / \
					    sizeof(struct ktstr_nic)})
/* Why a test is skipped whose .files name a program that the host does not have. */
#define KTSTR_SKIP_NO_PROGRAM "payload program not installed"

/* A list of disks, for .disks: KTSTR_DISKS(DISK(.fs = "btrfs", .mount = "/mnt"), ...). */
#define DISK(...)           \
	{                   \
		__VA_ARGS__ \
	}
#define KTSTR_DISKS(...) ((const struct ktstr_disk[]){__VA_ARGS__, {.path = NULL}})
/* Why a test is skipped whose .disks need a mkfs program that the host does not have. */
#define KTSTR_SKIP_NO_MKFS "mkfs program not installed"

/* Turns raw output of payloads into metrics: KTSTR_EXTRACTOR() of ktstr/payload.h makes one. */
struct extracted;
struct ktstr_extractor {
	const char *command;
	int (*run)(const char *command, const char *name, const void *raw, size_t length,
		   uint32_t timeout_ms, int cancel_fd, struct extracted *out,
		   struct ktstr_error *error);
};

/* What a test declares. A field that is 0 or NULL is not declared: the default holds. */
struct ktstr_test_attrs {
	/*
	 * TOPO(nodes, llcs, cores_per_llc, threads_per_core), or {.numa_nodes = ..., .nodes =
	 * KTSTR_NODES({.llcs = 2}, ...), .distances = KTSTR_DISTANCES(10, ...), ...}. A whole.
	 */
	struct ktstr_topology topology;
	uint32_t memory_mb; /* guest RAM, MiB; default: see ktstr_topology__memory_mb() */
	/* Whose CPU the guest sees: for tests of topology; default: the host's */
	enum ktstr_cpu_vendor cpu_vendor;
	enum ktstr_root root; /* where the guest has its files; default: by their size */
	/*
	 * Whether the machine has a part of the host for itself (struct ktstr_vm_config); default:
	 * KTSTR_PERFORMANCE, or not. Where it is had in part only (PERFORMANCE_BEST_EFFORT),
	 * measured limits are not judged.
	 */
	enum ktstr_performance_mode performance_mode;
	/*
	 * A test that would pass fails when a vCPU waited for a CPU of the host for more than so
	 * many percent of its time; default: no limit
	 */
	double max_steal_pct;
	const char *kernel; /* see struct ktstr_vm_config; default: KTSTR_KERNEL */
	/*
	 * Added to the kernel command line. "nokaslr" puts the kernel where it was linked; it lies
	 * at a random address otherwise, where its image can be moved.
	 */
	const char *kernel_args;
	/*
	 * Program that PID 1 starts before the test; the test starts when it is attached. A path
	 * that is not absolute is relative to the test binary's directory. Default: none, EEVDF.
	 */
	const char *scheduler;
	const char *const *scheduler_args; /* KTSTR_ARGS("-f", ...) */
	const char *scheduler_ops;	   /* /sys/kernel/sched_ext/root/ops must say this */
	uint32_t boot_timeout_s;	   /* first instruction to PID 1 */
	uint32_t attach_timeout_s;	   /* start of the scheduler to its attachment */
	uint32_t timeout_s;		   /* start of the test to the end */
	uint32_t stats_interval_ms;	   /* the host asks the scheduler so often, and shows it */
	/*
	 * The test passes when its run ends exactly so, with @expect_cause (when given) in the
	 * cause; for KTSTR_VERDICT_FAIL also in a line that the test printed. Any other end is a
	 * failure; but a test that skips itself is skipped.
	 */
	enum ktstr_verdict expect_verdict;
	const char *expect_cause;
	/* Passes when the scheduler ended during the test, and sched_ext ended it in this way. */
	enum ktstr_scx_exit expect_sched_exit;
	/*
	 * What the guest gets beside the test binary, with the libraries that it needs:
	 * KTSTR_FILES("fio", "./data", "/path"). A name without a slash is a program of the host's
	 * PATH and of the guest's; without it on the host the test is skipped. An absolute path is
	 * the same in the guest. Any other is relative to the test binary's directory on the host
	 * and to the test's working directory ("/") in the guest. A path that is not there is an
	 * error. Directories come with all that is in them.
	 */
	const char *const *files;
	const struct ktstr_nics *nics; /* KTSTR_NICS(NIC(.network = "a"), ...): eth0, eth1, ... */
	/*
	 * The guest's disks, /dev/vda being the first: KTSTR_DISKS(DISK(.fs = "ext4", .size_mb =
	 * 512, .iops = 2000, .mount = "/mnt")), with the fields of struct ktstr_disk. Fresh ones
	 * are this test's alone; without the program that makes the file system on the host, the
	 * test is skipped. A .path that is not absolute is relative to the test binary's directory.
	 */
	const struct ktstr_disk *disks;
	/* What becomes of the raw output of its payloads, after a pass */
	const struct ktstr_extractor *extractor;
	/* Of KTSTR_GAUNTLET() alone: which presets it is for, and how the scheduler is started. */
	const struct ktstr_gauntlet_limits *gauntlet; /* KTSTR_GAUNTLET_LIMITS(...); default: all */
	const struct ktstr_profile *profiles;	      /* KTSTR_PROFILES(...); default: one way */
};

/* One test of a binary. @variant is "" where the fixture has none. */
struct ktstr_test_id {
	const char *fixture, *variant, *test;
	bool debug;    /* -d was given */
	int termsig;   /* the signal that is to end the test; -1: none */
	bool parallel; /* one of several at once (--jobs): that it waits for others is not said */
};

/* How the process that stands for the test on the host is to end. */
struct ktstr_test_outcome {
	int exit_code;	   /* KSFT_PASS, KSFT_FAIL, ..., when @signal is 0 */
	int signal;	   /* 0, or end by this signal as the test in the guest did */
	char reason[1024]; /* SKIP()'s reason; may be empty */
};

/* Declared fields of @over replace those of @attrs. */
void ktstr_test_attrs__merge(struct ktstr_test_attrs *attrs, const struct ktstr_test_attrs *over);

/*
 * Seconds after which a run is certainly over, evidence and clean-up included. Waiting for other
 * machines does not count.
 */
uint32_t ktstr_test_attrs__limit_s(const struct ktstr_test_attrs *attrs);

/*
 * Runs one test in its machine, to be called in a process that stands for it: relays the test's
 * output to stdout as TAP diagnostics, says why a run failed, and fills *outcome. SIGINT, SIGTERM
 * and SIGHUP to the process, and its parent's death, end the machine. The machine waits until the
 * host has room for it (KTSTR_MAX_VCPUS, KTSTR_MAX_MEMORY_MB); ktstr_test_attrs__limit_s() after
 * that the process ends as one that failed, with its process group.
 */
void ktstr_harness__run_test(const struct ktstr_test_id *id, const struct ktstr_test_attrs *attrs,
			     struct ktstr_test_outcome *outcome);

/*
 * Takes ktstr's own options out of the command line, before kselftest reads it: --artifacts
 * DIR, --metrics FILE, --jobs N and --performance[=MODE], kept as KTSTR_ARTIFACTS, KTSTR_METRICS,
 * KTSTR_JOBS and KTSTR_PERFORMANCE in the environment, where an emulated KVM host finds them, too,
 * and the run's name, KTSTR_RUN_ID, which it gets here. -EINVAL: without a directory or file, N is
 * not 1 to 1024, or MODE neither required nor best-effort.
 */
int ktstr_harness__take_options(int *argc, char **argv, struct ktstr_error *error);

/* How many tests are to run at once: KTSTR_JOBS, or 1. -EINVAL: the variable says something else.
 */
int ktstr_harness__jobs(uint32_t *jobs, struct ktstr_error *error);

/* One of the tests that ktstr_jobs__start() runs. */
struct ktstr_job {
	struct ktstr_test_id id;
	struct ktstr_test_attrs attrs;
	uint32_t cost_ms; /* those that take longest start first; 0: not known, it starts last */
};
struct ktstr_jobs;

/*
 * Runs @tests (which stay the caller's), @at_once of them at a time, in processes of their own by
 * ktstr_harness__run_test(). Returns 0 with *jobs in a child, which reports them one after the
 * other and ends; never returns in the caller's process, which starts them, ends as that child
 * does, and leaves no process. The end of any of these by a signal ends all. -errno in the caller,
 * with @error: nothing was started.
 */
int ktstr_jobs__start(const struct ktstr_job *tests, uint32_t nr, uint32_t at_once,
		      struct ktstr_jobs **jobs, struct ktstr_error *error);

/*
 * Instead of ktstr_harness__run_test() in a process that stands for the test: waits for its end,
 * prints what it printed, and fills *outcome. A test whose process died has failed. SIGINT, SIGTERM
 * and SIGHUP to the process, and its parent's death, end the test.
 */
void ktstr_jobs__wait(const struct ktstr_jobs *jobs, const struct ktstr_test_id *id,
		      struct ktstr_test_outcome *outcome);

/*
 * Makes sure that machines can run here. When /dev/kvm cannot run a kernel, the process is replaced
 * by the same command inside an emulated KVM host, unless KTSTR_NO_EMULATED_HOST is 1; says so in
 * one line on stderr. Returns 0, or -errno with @error when no machine can run; -EINVAL: a bad
 * KTSTR_MAX_VCPUS or KTSTR_MAX_MEMORY_MB.
 */
int ktstr_harness__enter_host(int argc, char **argv, struct ktstr_error *error);

#endif /* KTSTR_TEST_H */
