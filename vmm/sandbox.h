/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a machine's threads may do on the host. They read what the guest writes, so each gets what
 * its work needs and nothing else, before the guest's first instruction:
 *
 *  - a seccomp filter of its kind (vmm/seccomp/): no file is opened, no program started, no memory
 *    made executable. What is not allowed raises SIGSYS; see sandbox__explain();
 *  - no_new_privs (prctl(2)) and no capability (capabilities(7));
 *  - Landlock, where the kernel has it: nothing of the file system, no TCP, no abstract socket.
 *
 * The thread that called ktstr_vm__run() keeps all that it had: it does what needs files, and the
 * caller's functions run in it (vmm/caller.h).
 */
#ifndef KTSTR_VMM_SANDBOX_H
#define KTSTR_VMM_SANDBOX_H

#include <ktstr/error.h>

#include <pthread.h>
#include <stdbool.h>

/* 1: no sandbox, where nothing else is said. --no-sandbox sets it. */
#define NO_SANDBOX_VARIABLE "KTSTR_NO_SANDBOX"

enum sandbox_kind {
	SANDBOX_LOOP, /* the event loop: serial ports, console, time-outs */
	SANDBOX_VCPU,
	SANDBOX_DISK, /* a disk's events, and the threads that read and write for it */
	SANDBOX_NETWORK,
	SANDBOX_KINDS
};

/* The threads of a machine, that start together. */
struct sandbox;

/* @off: threads are not restricted, but start together. -ENOMEM, -EMFILE; *sandbox is to be
 * destroyed. */
int sandbox__create(bool off, struct sandbox **sandbox, struct ktstr_error *error);
/* After all threads were joined. NULL is allowed. */
void sandbox__destroy(struct sandbox *sandbox);

struct sandbox_thread {
	enum sandbox_kind kind;
	const char *name;	       /* at most 15 characters of it */
	const pthread_attr_t *attr;    /* NULL: defaults */
	void (*prepare)(void *opaque); /* what needs more rights; NULL: nothing */
	void *(*run)(void *opaque);
	void *opaque;
};

/*
 * Starts a thread that prepares, enters the sandbox, waits for sandbox__open(), and runs; all
 * signals but SIGSYS are blocked in it. It is to be joined, whatever comes. @sandbox NULL: neither
 * sandbox nor wait. -ENOMEM, -errno of pthread_create(3).
 */
int sandbox__thread(struct sandbox *sandbox, const struct sandbox_thread *spec, pthread_t *thread,
		    struct ktstr_error *error);

/*
 * Waits until every thread is restricted, and lets them all run. If one could not be (-ENOSYS
 * without seccomp, ...), none runs: they end.
 */
int sandbox__open(struct sandbox *sandbox, struct ktstr_error *error);
/* The same end, if sandbox__open() was not reached. NULL is allowed. */
void sandbox__cancel(struct sandbox *sandbox);

/* "seccomp, no capabilities, Landlock 4"; "off" */
const char *sandbox__text(const struct sandbox *sandbox);

/* The calling thread, for good. @ruleset: of Landlock; -1: none. -errno. */
int sandbox__enter(enum sandbox_kind kind, int ruleset);
/* A ruleset that allows nothing, to be closed. @version: its ABI. -1: the kernel has none, and
 * @version is 0; or -1 and errno. */
int sandbox__ruleset(int *version);

/* NO_SANDBOX_VARIABLE asks for none. */
bool sandbox__is_unwanted(void);

/*
 * For a program's main: a thread that is caught ends the process with exit status 1, and with one
 * line on stderr that says which thread and which system call. Else SIGSYS kills it without a word.
 */
void sandbox__explain(void);

#endif /* KTSTR_VMM_SANDBOX_H */
