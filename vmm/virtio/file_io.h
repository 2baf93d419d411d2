/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and writes of one file that several callers' buffers wait for at a time: by io_uring where
 * the host lets us, else by a few threads. Which one it is cannot be told from what comes back.
 *
 * One thread uses an object. What is submitted at the same time has no order; what was reaped
 * before is in the file when a FILE_IO_FLUSH that is submitted later ends.
 */
#ifndef KTSTR_VMM_VIRTIO_FILE_IO_H
#define KTSTR_VMM_VIRTIO_FILE_IO_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum file_io_kind {
	FILE_IO_READ,	    /* to @iov; what lies behind the end of the file is -EIO */
	FILE_IO_WRITE,	    /* from @iov */
	FILE_IO_WRITE_SYNC, /* the same, and on the storage when it ends */
	FILE_IO_FLUSH,	    /* fdatasync(2) */
	FILE_IO_PUNCH,	    /* gives the range back to the file system; it reads as zeros */
	FILE_IO_ZERO,	    /* the range reads as zeros and keeps its storage */
};

/* The submitter's; it stays until it was reaped. */
struct file_io_op {
	enum file_io_kind kind;
	struct iovec *iov; /* is moved on as parts are done */
	uint32_t nr;
	uint64_t offset, length; /* bytes; @length is that of @iov */
	int result;		 /* 0: all of it; -errno */
	/* Not the submitter's */
	struct file_io_op *next;
};

enum file_io_engine {
	FILE_IO_ANY = 0,
	FILE_IO_URING, /* for tests: or fail */
	FILE_IO_THREADS,
};

struct file_io;

/* @fd stays the caller's. -ENOMEM, -EMFILE; -errno of io_uring when it has to be that. */
int file_io__create(int fd, enum file_io_engine engine, struct file_io **io,
		    struct ktstr_error *error);
/* Waits for what is in flight, which is then not reaped. NULL is allowed. */
void file_io__destroy(struct file_io *io);

/* An eventfd that is readable when something may have ended: reap until there is nothing. */
int file_io__fd(const struct file_io *io);

/* Never blocks for the storage. Started at the latest by file_io__commit(). */
void file_io__submit(struct file_io *io, struct file_io_op *op);
void file_io__commit(struct file_io *io);
/* One that has ended, or NULL. */
struct file_io_op *file_io__reap(struct file_io *io);
/* What was submitted and not reaped. */
uint32_t file_io__in_flight(const struct file_io *io);

#endif /* KTSTR_VMM_VIRTIO_FILE_IO_H */
