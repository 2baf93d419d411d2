// SPDX-License-Identifier: GPL-2.0-only
/* Operations on a file, step by step, and the choice of who does them. */
#include "file_io_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct file_io {
	int event_fd;
	uint32_t in_flight;
	struct file_io_ring *ring; /* NULL: the host has none, or it failed */
	struct file_io_pool *pool;
};

bool file_io_op__advance(struct file_io_op *op, uint64_t done)
{
	op->offset += done;
	op->length -= done;
	while (op->nr && done >= op->iov->iov_len) {
		done -= op->iov->iov_len;
		op->iov++;
		op->nr--;
	}
	if (op->nr) {
		op->iov->iov_base = (uint8_t *)op->iov->iov_base + done;
		op->iov->iov_len -= done;
	}
	return !op->length;
}

int64_t file_io_op__step(int fd, const struct file_io_op *op, int flags)
{
	int64_t n = 0;

	switch (op->kind) {
	case FILE_IO_READ:
		n = preadv2(fd, op->iov, (int)op->nr, (off_t)op->offset, flags);
		break;
	case FILE_IO_WRITE:
		n = pwritev2(fd, op->iov, (int)op->nr, (off_t)op->offset, flags);
		break;
	case FILE_IO_WRITE_SYNC:
		n = pwritev2(fd, op->iov, (int)op->nr, (off_t)op->offset, RWF_DSYNC);
		break;
	case FILE_IO_FLUSH:
		n = fdatasync(fd);
		break;
	case FILE_IO_PUNCH:
		n = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)op->offset,
			      (off_t)op->length);
		break;
	case FILE_IO_ZERO:
		n = fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)op->offset,
			      (off_t)op->length);
		break;
	}
	return n < 0 ? -errno : n;
}

bool file_io_op__stepped(struct file_io_op *op, int64_t outcome)
{
	bool moves = op->kind <= FILE_IO_WRITE_SYNC;

	if (outcome == -EINTR)
		return false;
	if (outcome < 0)
		op->result = (int)outcome;
	else if (!moves)
		op->result = 0;
	else if (!outcome)
		op->result = -EIO; /* the file has become shorter */
	else if (!file_io_op__advance(op, (uint64_t)outcome))
		return false;
	else
		op->result = 0;
	return true;
}

int file_io__create(int fd, enum file_io_engine engine, struct file_io **out,
		    struct ktstr_error *error)
{
	struct file_io *io = calloc(1, sizeof(*io));
	int err;

	*out = NULL;
	if (!io)
		return ktstr_error__set(error, ENOMEM, "allocate", "file I/O", NULL);
	io->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = io->event_fd < 0 ? -errno : file_io_pool__create(fd, io->event_fd, &io->pool);
	if (!err && engine != FILE_IO_THREADS) {
		err = file_io_ring__create(fd, io->event_fd, &io->ring);
		if (engine == FILE_IO_ANY)
			err = 0;
	}
	if (err) {
		file_io__destroy(io);
		return ktstr_error__set(error, -err, "create", "file I/O", NULL);
	}
	*out = io;
	return 0;
}

void file_io__destroy(struct file_io *io)
{
	struct pollfd wait;

	if (!io)
		return;
	wait = (struct pollfd){.fd = io->event_fd, .events = POLLIN};
	while (io->in_flight) {
		file_io__commit(io);
		if (!file_io__reap(io) && poll(&wait, 1, -1) < 0 && errno != EINTR)
			break;
	}
	file_io_ring__destroy(io->ring);
	file_io_pool__destroy(io->pool);
	if (io->event_fd >= 0)
		close(io->event_fd);
	free(io);
}

int file_io__fd(const struct file_io *io)
{
	return io->event_fd;
}

uint32_t file_io__in_flight(const struct file_io *io)
{
	return io->in_flight;
}

void file_io__submit(struct file_io *io, struct file_io_op *op)
{
	io->in_flight++;
	if (io->ring)
		file_io_ring__submit(io->ring, op);
	else
		file_io_pool__submit(io->pool, op);
}

void file_io__commit(struct file_io *io)
{
	struct file_io_list left;
	struct file_io_op *op;

	if (!io->ring || !file_io_ring__commit(io->ring))
		return;
	/* What was asked of the kernel does not depend on how: from now on by threads. */
	left = file_io_ring__give_up(io->ring);
	file_io_ring__destroy(io->ring);
	io->ring = NULL;
	while ((op = file_io_list__take(&left)))
		file_io_pool__submit(io->pool, op);
}

static struct file_io_op *take_ended(struct file_io *io)
{
	struct file_io_op *op = io->ring ? file_io_ring__reap(io->ring) : NULL;

	if (!op)
		op = file_io_pool__reap(io->pool);
	if (op)
		io->in_flight--;
	return op;
}

struct file_io_op *file_io__reap(struct file_io *io)
{
	struct file_io_op *op = take_ended(io);
	uint64_t count;

	/* What ends between the two looks is either seen by the second or signalled anew. */
	if (!op && read(io->event_fd, &count, sizeof(count)) > 0)
		op = take_ended(io);
	if (!op)
		file_io__commit(io); /* of some only a part was done */
	return op;
}
