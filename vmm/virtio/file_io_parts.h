/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of file_io share: queues of operations and the two engines. */
#ifndef KTSTR_VMM_VIRTIO_FILE_IO_PARTS_H
#define KTSTR_VMM_VIRTIO_FILE_IO_PARTS_H

#include "file_io.h"

#include <stddef.h>

struct file_io_list {
	struct file_io_op *head, *tail;
};

static inline void file_io_list__put(struct file_io_list *list, struct file_io_op *op)
{
	op->next = NULL;
	if (list->tail)
		list->tail->next = op;
	else
		list->head = op;
	list->tail = op;
}

static inline struct file_io_op *file_io_list__take(struct file_io_list *list)
{
	struct file_io_op *op = list->head;

	if (!op)
		return NULL;
	list->head = op->next;
	if (!list->head)
		list->tail = NULL;
	return op;
}

/* Takes @done bytes off the front of what is left of @op. True: nothing is left. */
bool file_io_op__advance(struct file_io_op *op, uint64_t done);
/* Does one step of @op with the further @flags of preadv2(2). Bytes, or -errno. */
int64_t file_io_op__step(int fd, const struct file_io_op *op, int flags);
/* Takes the outcome of a step. True: @op has ended, and @result is set. */
bool file_io_op__stepped(struct file_io_op *op, int64_t outcome);

/* ---- io_uring ---- */

struct file_io_ring;

/* -ENOSYS, -EPERM: not on this host; -ENOENT: no liburing. What ends signals @event_fd. */
int file_io_ring__create(int fd, int event_fd, struct file_io_ring **ring);
void file_io_ring__destroy(struct file_io_ring *ring); /* nothing may be in the kernel */
void file_io_ring__submit(struct file_io_ring *ring, struct file_io_op *op);
/* -errno: the kernel takes nothing, and has nothing any more that could end; see give_up. */
int file_io_ring__commit(struct file_io_ring *ring);
struct file_io_op *file_io_ring__reap(struct file_io_ring *ring);
/* After a failed commit: everything that was submitted and has not started. */
struct file_io_list file_io_ring__give_up(struct file_io_ring *ring);

/* ---- Threads ---- */

struct file_io_pool;

int file_io_pool__create(int fd, int event_fd, struct file_io_pool **pool);
void file_io_pool__destroy(struct file_io_pool *pool); /* nothing may be in flight */
void file_io_pool__submit(struct file_io_pool *pool, struct file_io_op *op);
struct file_io_op *file_io_pool__reap(struct file_io_pool *pool);

#endif /* KTSTR_VMM_VIRTIO_FILE_IO_PARTS_H */
