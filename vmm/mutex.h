/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locks that vCPU threads share with others. In performance mode vCPU threads are real-time: who
 * has a lock that one of them waits for is as urgent as it, so that none waits behind all other
 * work.
 */
#ifndef KTSTR_VMM_MUTEX_H
#define KTSTR_VMM_MUTEX_H

#include <pthread.h>

/* @type: PTHREAD_MUTEX_NORMAL or PTHREAD_MUTEX_RECURSIVE. A kernel without priority inheritance
 * has locks without it. */
static inline void mutex__init(pthread_mutex_t *mutex, int type)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (pthread_mutex_init(mutex, &attr)) {
		pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_NONE);
		pthread_mutex_init(mutex, &attr);
	}
	pthread_mutexattr_destroy(&attr);
}

#endif /* KTSTR_VMM_MUTEX_H */
