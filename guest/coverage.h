/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The profile of clang's source-based coverage, in a guest. PID 1 moves the counters into memory
 * that it shares with all that it forks, so that those of the test and its processes are there
 * however these end (_exit, abort, a signal), and takes one profile of them all at the end.
 */
#ifndef KTSTR_GUEST_COVERAGE_H
#define KTSTR_GUEST_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is used of LLVM's profile runtime (compiler-rt's InstrProfiling.h). */
struct coverage_runtime {
	char *(*begin)(void), *(*end)(void); /* the counters, uint64_t */
	intptr_t *bias; /* added to the address of each counter; NULL: the program does not */
	uint64_t (*size)(void);	     /* of a profile, bytes */
	int (*write)(char *profile); /* 0, or not */
	void (*set_dumped)(void);    /* exit() writes no file then */
};

struct coverage {
	struct coverage_runtime runtime;
	uint64_t *shared; /* what was counted since coverage__start(); NULL: nothing is shared */
	size_t counters;
};

/* That of this program. False: it was built without coverage. */
bool coverage__runtime(struct coverage_runtime *runtime);

/*
 * Before the first fork. From here on no process writes a file of its own, and what the processes
 * count adds up. -ENOTSUP: the program was built without -runtime-counter-relocation, so only what
 * this process counts will be there; -ENOMEM.
 */
int coverage__start(struct coverage *coverage, const struct coverage_runtime *runtime);

/* What was counted up to now as a .profraw, malloc'ed; the counters start anew. -ENOMEM, -EIO. */
int coverage__take(struct coverage *coverage, void **profile, size_t *length);

#endif /* KTSTR_GUEST_COVERAGE_H */
