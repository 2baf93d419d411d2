// SPDX-License-Identifier: GPL-2.0-only
/*
 * File operations by io_uring. liburing is opened when it is needed: linked in, every guest would
 * carry it. Containers and hardened hosts forbid io_uring, which is found by trying it.
 */
#include "file_io_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIBRARY "liburing.so.2"
#define ENTRIES 256u /* and twice as many completions: none can overflow */

struct file_io_ring {
	void *library;
	__typeof__(io_uring_queue_exit) *queue_exit;
	__typeof__(io_uring_submit) *submit;
	int fd;
	bool open;
	struct io_uring ring;
	uint32_t in_kernel;
	struct file_io_list waiting; /* not in the ring */
	struct file_io_list queued;  /* in the ring, and not taken by the kernel; in its order */
};

/* What is used once */
struct functions {
	__typeof__(io_uring_queue_init) *init;
	__typeof__(io_uring_register_eventfd) *register_eventfd;
};

/* Of the library, which @io then holds open. */
static int find_functions(struct file_io_ring *io, struct functions *f)
{
	io->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!io->library)
		return -ENOENT;
	f->init = dlsym(io->library, "io_uring_queue_init");
	f->register_eventfd = dlsym(io->library, "io_uring_register_eventfd");
	io->queue_exit = dlsym(io->library, "io_uring_queue_exit");
	io->submit = dlsym(io->library, "io_uring_submit");
	return f->init && f->register_eventfd && io->queue_exit && io->submit ? 0 : -ENOSYS;
}

/*
 * A seccomp filter does not see what a ring does: it could open files. So it does these operations
 * for good, and nothing can be registered with it any more. Since Linux 5.10; liburing 2.3 has
 * functions for it in its headers, but not in every library.
 */
static int restrict_ring(const struct io_uring *ring)
{
	struct io_uring_restriction to[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE},
	};

	return syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, to,
		       sizeof(to) / sizeof(to[0])) ||
			       syscall(SYS_io_uring_register, ring->ring_fd,
				       IORING_REGISTER_ENABLE_RINGS, NULL, 0)
		       ? -errno
		       : 0;
}

int file_io_ring__create(int fd, int event_fd, struct file_io_ring **ring)
{
	struct file_io_ring *io = calloc(1, sizeof(*io));
	struct functions f;
	int err;

	*ring = NULL;
	if (!io)
		return -ENOMEM;
	io->fd = fd;
	err = find_functions(io, &f);
	if (!err)
		err = f.init(ENTRIES, &io->ring, IORING_SETUP_R_DISABLED);
	io->open = !err;
	if (!err)
		err = f.register_eventfd(&io->ring, event_fd);
	if (!err)
		err = restrict_ring(&io->ring);
	if (err) {
		file_io_ring__destroy(io);
		return err;
	}
	*ring = io;
	return 0;
}

void file_io_ring__destroy(struct file_io_ring *io)
{
	if (!io)
		return;
	if (io->open)
		io->queue_exit(&io->ring);
	if (io->library)
		dlclose(io->library);
	free(io);
}

static void prepare(const struct file_io_ring *io, struct io_uring_sqe *sqe, struct file_io_op *op)
{
	switch (op->kind) {
	case FILE_IO_READ:
		io_uring_prep_readv(sqe, io->fd, op->iov, op->nr, op->offset);
		break;
	case FILE_IO_WRITE:
	case FILE_IO_WRITE_SYNC:
		io_uring_prep_writev(sqe, io->fd, op->iov, op->nr, op->offset);
		if (op->kind == FILE_IO_WRITE_SYNC)
			sqe->rw_flags = RWF_DSYNC;
		break;
	case FILE_IO_FLUSH:
		io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
		break;
	case FILE_IO_PUNCH:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)op->offset, (off_t)op->length);
		break;
	case FILE_IO_ZERO:
		io_uring_prep_fallocate(sqe, io->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
					(off_t)op->offset, (off_t)op->length);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

void file_io_ring__submit(struct file_io_ring *io, struct file_io_op *op)
{
	file_io_list__put(&io->waiting, op);
}

/* Moves as many into the ring as can be in flight. */
static void fill(struct file_io_ring *io)
{
	uint32_t used = io->in_kernel;

	for (const struct file_io_op *op = io->queued.head; op; op = op->next)
		used++;
	for (; used < ENTRIES && io->waiting.head; used++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
		struct file_io_op *op;

		if (!sqe)
			return;
		op = file_io_list__take(&io->waiting);
		prepare(io, sqe, op);
		file_io_list__put(&io->queued, op);
	}
}

int file_io_ring__commit(struct file_io_ring *io)
{
	int ret;

	fill(io);
	while (io->queued.head) {
		ret = io->submit(&io->ring);
		if (ret == -EINTR)
			continue;
		/* Short of something: what the kernel has will end, and then it is tried again. */
		if (ret <= 0)
			return io->in_kernel ? 0 : ret ? ret : -EAGAIN;
		for (; ret; ret--) {
			file_io_list__take(&io->queued);
			io->in_kernel++;
		}
	}
	return 0;
}

struct file_io_list file_io_ring__give_up(struct file_io_ring *io)
{
	struct file_io_list all = io->queued;
	struct file_io_op *op;

	while ((op = file_io_list__take(&io->waiting)))
		file_io_list__put(&all, op);
	io->queued = (struct file_io_list){0};
	return all;
}

/* Reads the ring's memory alone: completions are never more than it holds. */
static struct file_io_op *next_completion(struct file_io_ring *io, int *outcome)
{
	struct io_uring_cqe *cqe;
	struct file_io_op *op;
	unsigned int head;

	io_uring_for_each_cqe(&io->ring, head, cqe)
	{
		op = io_uring_cqe_get_data(cqe);
		*outcome = cqe->res;
		io_uring_cq_advance(&io->ring, 1);
		io->in_kernel--;
		return op;
	}
	return NULL;
}

struct file_io_op *file_io_ring__reap(struct file_io_ring *io)
{
	struct file_io_op *op;
	int outcome;

	while ((op = next_completion(io, &outcome))) {
		if (file_io_op__stepped(op, outcome))
			return op;
		file_io_ring__submit(io, op); /* its rest, at the next commit */
	}
	return NULL;
}
