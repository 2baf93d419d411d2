/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The emulated KVM host: QEMU (TCG) with a distribution kernel, nested SVM and the file system of
 * this host, for machines whose own KVM is absent or cannot run a kernel.
 */
#ifndef KTSTR_EMULATED_H
#define KTSTR_EMULATED_H

#include <ktstr/error.h>
#include <ktstr/topology.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* `ktstr emulated-host ARGS...`: argv[0] is "emulated-host". Returns the exit status. */
int emulated_host__main(int argc, char **argv);

/*
 * Makes sure that machines can run. 0: here, in this process. 1: this program was run with @args
 * (NULL-terminated, without its own name) inside an emulated host, announced on stderr; *status is
 * its exit status. -ENODEV: /dev/kvm cannot run a kernel and an emulated host is not @allowed;
 * -EACCES: no rights on /dev/kvm.
 */
int emulated_host__enter(char **args, bool allowed, int *status, struct ktstr_error *error);

/* Set in the environment of every command inside; a test binary need not go deeper. */
#define EMULATED_INSIDE_ENV "KTSTR_INSIDE_EMULATED_HOST"
/* Directory of the running hosts that `run` uses (set by `pool`). */
#define EMULATED_DIR_ENV "KTSTR_EMULATED_HOST"
/* In the environment of PID 1 of the emulated host (given on the kernel command line). */
#define EMULATED_INIT_ENV "KTSTR_EMULATED_INIT"

#define EMULATED_MAX_WRITABLE 15u

struct emulated_options {
	const char *writable[EMULATED_MAX_WRITABLE]; /* absolute, existing directories */
	size_t nr_writable;
	/*
	 * A system of its own instead of this host's files, with a kernel in usr/lib/modules; what
	 * is writable has a directory there. Of the architecture of @agent. NULL: this host's.
	 */
	const char *root;
	const char *agent; /* with @root: a static program that runs the agent; NULL: this one */
	/*
	 * Each LLC is a package of its own, as QEMU's CPUs say no more of caches. For tests of what
	 * is done on a host; kernels in machines are not stable where it has more than one CPU.
	 */
	struct ktstr_topology topology; /* of whole nodes and LLCs; all 0: one CPU */
};

/* ---- machine.c: what is different from one architecture to the other ---- */

struct emulated_machine {
	uint16_t elf_machine; /* EM_* of its programs */
	const char *qemu;
	const char *const *arguments; /* machine and CPU; NULL-terminated */
	unsigned int memory_mb;
	const char *console;	    /* of the outer kernel */
	const char *cmdline;	    /* more of it */
	const char *const *modules; /* NULL-terminated */
	bool one_cpu;		    /* all threads of QEMU have to stay on one CPU */
	bool hold;		    /* it needs emulated_qemu__hold() */
};

/* NULL: there is none. */
const struct emulated_machine *emulated_machine__of(uint16_t elf_machine);

/* ---- image.c ---- */

struct emulated_image {
	const struct emulated_machine *machine;
	char kernel[4096]; /* vmlinux or vmlinuz */
	int initrd;	   /* memfd */
};

/* Finds the kernel and packs PID 1, its libraries, the modules and the options. */
int emulated_image__create(const struct emulated_options *options, struct emulated_image *image,
			   struct ktstr_error *error);
void emulated_image__close(struct emulated_image *image);

/* ---- agent.c ---- */

/* What PID 1 of the emulated host does. */
void emulated_agent__run(void) __attribute__((noreturn));

/* ---- qemu.c ---- */

struct emulated_qemu {
	pid_t pid;
	int pidfd;
	int ctl;     /* socket to the agent */
	int console; /* memfd: what the outer kernel printed */
	int log;     /* memfd: what QEMU printed */
};

int emulated_qemu__start(const struct emulated_image *image, const struct emulated_options *options,
			 struct emulated_qemu *qemu, struct ktstr_error *error);
/* Ends it at once and reaps it. Nothing is left: it has no named files. */
void emulated_qemu__stop(struct emulated_qemu *qemu);
/* "CAUSE" and the last lines of QEMU's output and the console; malloc'ed, or NULL. */
char *emulated_qemu__evidence(const struct emulated_qemu *qemu, const char *cause);

/* ---- hold.c ---- */

/* Stops a thread of a QEMU that has booted, for which machines inside could hang. */
void emulated_qemu__hold(const struct emulated_qemu *qemu);

/* ---- supervisor.c: the process that owns one QEMU ---- */

/*
 * Serves the one client on @client until it is gone; returns. The caller is a process of its own.
 */
void emulated_supervisor__serve_one(int client, const struct emulated_image *image,
				    const struct emulated_options *options);
/*
 * Serves clients of @listener, one after the other, for ever. @status: file that tells what it
 * does, -1: none. @ready: gets one byte (0) or the text of a failed first start, then is closed.
 */
void emulated_supervisor__serve(int listener, int status, int ready,
				const struct emulated_image *image,
				const struct emulated_options *options);

/* ---- client.c ---- */

#define EMULATED_EXIT_LOST 125 /* the emulated host could not be started, or died */

/* Runs a command over @fd (to a supervisor); returns its exit status, or EMULATED_EXIT_LOST. */
int emulated_client__run(int fd, char **argv);

#endif /* KTSTR_EMULATED_H */
