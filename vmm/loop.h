/* SPDX-License-Identifier: GPL-2.0-only */
/* The event loop: one thread that waits (epoll) for everything but KVM_RUN. Nothing polls. */
#ifndef KTSTR_VMM_LOOP_H
#define KTSTR_VMM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_source;

/* @events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR. */
typedef void (*loop_fn)(void *opaque, uint32_t events);

int loop__create(struct loop **loop);
void loop__destroy(struct loop *loop);

/* Watches @fd, which stays the caller's. Level-triggered. Before run, or from the loop's thread. */
int loop__add(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *opaque,
	      struct loop_source **source);
int loop__modify(struct loop_source *source, uint32_t events);
/* No callback of @source runs after this. NULL is allowed. */
void loop__remove(struct loop_source *source);

/*
 * Waits once, @timeout_ms at most (-1: for ever, 0: not at all), and calls what is ready. Returns
 * how many sources were, or -errno. For draining after the end; otherwise use loop__run().
 */
int loop__dispatch(struct loop *loop, int timeout_ms);
/* CLOCK_MONOTONIC. In a callback: when the wait began of which it is called, and when that ended.
 * What became ready between waited for the host, and not for us. */
void loop__last_wait(const struct loop *loop, uint64_t *since_ns, uint64_t *until_ns);
/* Runs until loop__stop(); may then run again. 0, or -errno of epoll_wait(). */
int loop__run(struct loop *loop);
/* From any thread. */
void loop__stop(struct loop *loop);

#endif /* KTSTR_VMM_LOOP_H */
