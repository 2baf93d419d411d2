/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A child process that holds something of the kernel's for the process that runs a machine: a share
 * of the budget, or locks. It may block without bounds, as it is killed where the wait is called
 * off; it ends with its parent; and whichever way it ends, the kernel gives back what it held.
 */
#ifndef KTSTR_VMM_HOLDER_H
#define KTSTR_VMM_HOLDER_H

#include <stdbool.h>
#include <sys/types.h>

struct holder {
	pid_t pid;   /* 0: none */
	int news_fd; /* what the child writes to its own; end of file: it has died */
};

/* In the child: takes and holds. @parent, @news_fd are for holder__keep() and for news. */
typedef void (*holder_fn)(void *opaque, pid_t parent, int news_fd);

/*
 * Forks a child named @name that runs @fn, with all signals blocked and no descriptor open but
 * @news_fd: as the parent may have threads, no malloc and no stdio there. The calling thread must
 * live as long as the holder. -errno.
 */
int holder__start(struct holder *holder, const char *name, holder_fn fn, void *opaque);
/*
 * In the child, which has what it wanted: calls @tell, then waits for holder__end(). True once it
 * is to give back in order; false: its parent had died before.
 */
bool holder__keep(pid_t parent, void (*tell)(void *opaque), void *opaque);
/* Has the child give back, and waits for its end. A holder of zeros is allowed. */
void holder__end(struct holder *holder);
/* Kills a child that waits; what it had got is free when this returns. */
void holder__kill(struct holder *holder);

#endif /* KTSTR_VMM_HOLDER_H */
