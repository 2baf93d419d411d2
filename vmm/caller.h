/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions that run in the thread that called ktstr_vm__run(), which waits meanwhile. The event
 * loop's thread may not do what they do (vmm/sandbox.h), and users of the library are promised
 * that theirs run there.
 */
#ifndef KTSTR_VMM_CALLER_H
#define KTSTR_VMM_CALLER_H

#include <pthread.h>
#include <stdbool.h>

struct caller {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*fn)(void *opaque); /* to be called; NULL: nothing */
	void *opaque;
	bool finished;
};

void caller__init(struct caller *caller);
void caller__fini(struct caller *caller);

/* In the caller's thread: calls what is asked for, until caller__finish(). */
void caller__serve(struct caller *caller);
/* From one other thread at a time: has @fn called, and waits until it has returned. */
void caller__call(struct caller *caller, void (*fn)(void *opaque), void *opaque);
/* No call comes any more. */
void caller__finish(struct caller *caller);

#endif /* KTSTR_VMM_CALLER_H */
