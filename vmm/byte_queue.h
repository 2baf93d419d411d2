/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text from vCPU threads to the event loop, bounded: a full queue holds the vCPU back. The loop is
 * woken for whole lines, or when much has come: for each byte it would cost more than the exit.
 */
#ifndef KTSTR_VMM_BYTE_QUEUE_H
#define KTSTR_VMM_BYTE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BYTE_QUEUE_SIZE 65536u
#define BYTE_QUEUE_WAKE 1024u /* bytes without a newline that wake the loop */

struct byte_queue {
	pthread_mutex_t lock;
	pthread_cond_t room;
	int fd;	     /* eventfd: readable while there is a line, or BYTE_QUEUE_WAKE bytes */
	bool woken;  /* it is, until all was taken */
	bool closed; /* nobody takes any more: bytes are dropped */
	uint32_t head, length;
	uint8_t bytes[BYTE_QUEUE_SIZE];
};

int byte_queue__init(struct byte_queue *q); /* -EMFILE and the like */
void byte_queue__fini(struct byte_queue *q);
/* Waits while the queue is full and not closed. */
void byte_queue__put(struct byte_queue *q, uint8_t byte);
/* Takes what is there, at most @size bytes; never waits. */
size_t byte_queue__take(struct byte_queue *q, uint8_t *buf, size_t size);
/* No put waits from here on. */
void byte_queue__close(struct byte_queue *q);

#endif /* KTSTR_VMM_BYTE_QUEUE_H */
