// SPDX-License-Identifier: GPL-2.0-only
/* A thread that does another one's calls. */
#include "caller.h"

#include <stddef.h>

#include "mutex.h"

void caller__init(struct caller *c)
{
	*c = (struct caller){.fn = NULL};
	mutex__init(&c->lock, PTHREAD_MUTEX_NORMAL);
	pthread_cond_init(&c->changed, NULL);
}

void caller__fini(struct caller *c)
{
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
}

void caller__serve(struct caller *c)
{
	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (!c->fn && !c->finished)
			pthread_cond_wait(&c->changed, &c->lock);
		if (!c->fn)
			break;
		pthread_mutex_unlock(&c->lock);
		c->fn(c->opaque);
		pthread_mutex_lock(&c->lock);
		c->fn = NULL;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

void caller__call(struct caller *c, void (*fn)(void *opaque), void *opaque)
{
	pthread_mutex_lock(&c->lock);
	c->fn = fn;
	c->opaque = opaque;
	pthread_cond_broadcast(&c->changed);
	while (c->fn)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void caller__finish(struct caller *c)
{
	pthread_mutex_lock(&c->lock);
	c->finished = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}
