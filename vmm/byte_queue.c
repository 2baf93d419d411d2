// SPDX-License-Identifier: GPL-2.0-only
/* A ring of bytes with an eventfd, which is written once until all was taken. */
#include "byte_queue.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mutex.h"

int byte_queue__init(struct byte_queue *q)
{
	q->head = q->length = 0;
	q->closed = q->woken = false;
	mutex__init(&q->lock, PTHREAD_MUTEX_NORMAL);
	pthread_cond_init(&q->room, NULL);
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->fd < 0 ? -errno : 0;
}

void byte_queue__fini(struct byte_queue *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	pthread_cond_destroy(&q->room);
	pthread_mutex_destroy(&q->lock);
}

void byte_queue__put(struct byte_queue *q, uint8_t byte)
{
	uint64_t one = 1;
	bool wake;

	pthread_mutex_lock(&q->lock);
	while (q->length == BYTE_QUEUE_SIZE && !q->closed)
		pthread_cond_wait(&q->room, &q->lock);
	if (q->length < BYTE_QUEUE_SIZE)
		q->bytes[(q->head + q->length++) % BYTE_QUEUE_SIZE] = byte;
	wake = !q->woken && !q->closed && (byte == '\n' || q->length >= BYTE_QUEUE_WAKE);
	if (wake)
		q->woken = true;
	pthread_mutex_unlock(&q->lock);
	if (wake && write(q->fd, &one, sizeof(one)) < 0)
		return; /* only a full counter refuses, and that is readable too */
}

size_t byte_queue__take(struct byte_queue *q, uint8_t *buf, size_t size)
{
	size_t n = 0;
	uint64_t count;

	pthread_mutex_lock(&q->lock);
	while (n < size && q->length) {
		buf[n++] = q->bytes[q->head];
		q->head = (q->head + 1) % BYTE_QUEUE_SIZE;
		q->length--;
	}
	if (!q->length) {
		/* A put that wakes at this moment makes it readable once more, with nothing to
		 * take. */
		if (read(q->fd, &count, sizeof(count)) < 0)
			count = 0; /* it was not signalled */
		q->woken = false;
	}
	pthread_cond_broadcast(&q->room);
	pthread_mutex_unlock(&q->lock);
	return n;
}

void byte_queue__close(struct byte_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->room);
	pthread_mutex_unlock(&q->lock);
}
