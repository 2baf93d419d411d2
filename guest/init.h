/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The run as PID 1 conducts it: scheduler, test, output, result. Works on descriptors and paths
 * that are given to it, so that it also runs in a PID namespace on the host.
 */
#ifndef KTSTR_GUEST_INIT_H
#define KTSTR_GUEST_INIT_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "coverage.h"

#define INIT_DRAIN_MS 10000u
#define INIT_SCX_DIR "/sys/kernel/sched_ext"
#define INIT_KERNEL_LOG "/dev/kmsg"

/* Shared by PID 1 and everything that it forks. */
struct guest_shared {
	_Atomic uint32_t skip_length;
	char skip[1024];
};

struct init_params {
	const struct guest_config *config;
	const struct guest_shared *shared;
	int port;     /* TLV port, blocking; -1: results go to COM2, which is on 1 and 2 */
	int uevents;  /* NETLINK_KOBJECT_UEVENT; -1: none */
	int terminal; /* role shell: the child's terminal; otherwise -1 */
	const char *scx_dir;
	const char *kmsg;	   /* /dev/kmsg; NULL: none */
	uint32_t drain_ms;	   /* for the end of all that the test started; 0: INIT_DRAIN_MS */
	struct coverage *coverage; /* its profile is sent at the end; NULL: none */
	int *report_fd; /* gets, in the child of role test, its descriptor for report__send() */
	int stats_port; /* with config->stats: non-blocking, then init's; -1: none */
	const char *stats_path;
};

enum init_end {
	INIT_DONE,    /* the run is over and all is sent */
	INIT_IN_TEST, /* this is the forked child of role test: go on to main() */
};

/* The caller must be PID 1 (of its namespace), with /proc mounted. */
enum init_end init__run(const struct init_params *params);

#endif /* KTSTR_GUEST_INIT_H */
