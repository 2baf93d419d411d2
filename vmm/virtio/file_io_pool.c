// SPDX-License-Identifier: GPL-2.0-only
/*
 * File operations by threads that block for the storage. A thread is started when there is work and
 * none is idle, up to a limit.
 */
#include "file_io_parts.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_THREADS 16u
#define STACK_BYTES (128u << 10)

struct file_io_pool {
	int fd, event_fd;
	/* What the submitter did itself: the host had it in memory */
	struct file_io_list done_at_once;
	bool no_read_at_once, no_write_at_once; /* the file system knows no RWF_NOWAIT */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct file_io_list waiting, done;
	uint32_t nr_waiting, nr_idle, nr_threads;
	bool stop;
	pthread_t threads[MAX_THREADS];
};

int file_io_pool__create(int fd, int event_fd, struct file_io_pool **out)
{
	struct file_io_pool *pool = calloc(1, sizeof(*pool));

	*out = pool;
	if (!pool)
		return -ENOMEM;
	pool->fd = fd;
	pool->event_fd = event_fd;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	return 0;
}

void file_io_pool__destroy(struct file_io_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (uint32_t i = 0; i < pool->nr_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void do_all(int fd, struct file_io_op *op)
{
	while (!file_io_op__stepped(op, file_io_op__step(fd, op, 0)))
		;
}

/* Lock held, before and after. */
static void do_next(struct file_io_pool *pool)
{
	struct file_io_op *op = file_io_list__take(&pool->waiting);
	uint64_t one = 1;

	pool->nr_waiting--;
	pthread_mutex_unlock(&pool->lock);
	do_all(pool->fd, op);
	pthread_mutex_lock(&pool->lock);
	if (!pool->done.head && write(pool->event_fd, &one, sizeof(one)) < 0)
		op->result = -errno; /* cannot be: the counter is as good as empty */
	file_io_list__put(&pool->done, op);
}

static void *pool_thread(void *opaque)
{
	struct file_io_pool *pool = opaque;

	pthread_setname_np(pthread_self(), "disk-io");
	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		if (pool->waiting.head) {
			do_next(pool);
			continue;
		}
		pool->nr_idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->nr_idle--;
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Lock held. Without a thread more, those that there are do it, or the submitter. */
static void start_thread(struct file_io_pool *pool)
{
	sigset_t all, old;
	pthread_attr_t attr;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&pool->threads[pool->nr_threads], &attr, pool_thread, pool))
		pool->nr_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

/* True: @op has ended without waiting for the storage. */
static bool do_at_once(struct file_io_pool *pool, struct file_io_op *op)
{
	bool *unknown;
	int64_t n;

	if (op->kind == FILE_IO_READ)
		unknown = &pool->no_read_at_once;
	else if (op->kind == FILE_IO_WRITE)
		unknown = &pool->no_write_at_once;
	else
		return false;
	if (*unknown)
		return false;
	n = file_io_op__step(pool->fd, op, RWF_NOWAIT);
	if (n == -EOPNOTSUPP)
		*unknown = true;
	/* The rest, and every failure, is found again by a thread. */
	return n > 0 && file_io_op__stepped(op, n);
}

void file_io_pool__submit(struct file_io_pool *pool, struct file_io_op *op)
{
	if (do_at_once(pool, op)) {
		file_io_list__put(&pool->done_at_once, op);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	file_io_list__put(&pool->waiting, op);
	pool->nr_waiting++;
	if (pool->nr_waiting > pool->nr_idle && pool->nr_threads < MAX_THREADS)
		start_thread(pool);
	if (!pool->nr_threads)
		do_next(pool);
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

struct file_io_op *file_io_pool__reap(struct file_io_pool *pool)
{
	struct file_io_op *op = file_io_list__take(&pool->done_at_once);

	if (op)
		return op;
	pthread_mutex_lock(&pool->lock);
	op = file_io_list__take(&pool->done);
	pthread_mutex_unlock(&pool->lock);
	return op;
}
