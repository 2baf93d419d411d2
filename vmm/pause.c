// SPDX-License-Identifier: GPL-2.0-only
/* Where vCPU threads wait while a machine is paused. */
#include "pause.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mutex.h"
#include "vm.h"

int vm_pause__create(struct vm_pause *pause)
{
	mutex__init(&pause->lock, PTHREAD_MUTEX_NORMAL);
	pthread_cond_init(&pause->go, NULL);
	pause->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return pause->fd < 0 ? -errno : 0;
}

void vm_pause__destroy(struct vm_pause *pause)
{
	if (pause->fd < 0)
		return;
	close(pause->fd);
	pause->fd = -1;
	pthread_cond_destroy(&pause->go);
	pthread_mutex_destroy(&pause->lock);
}

bool vm_pause__wanted(const struct vm_pause *pause)
{
	return atomic_load_explicit(&pause->wanted, memory_order_acquire);
}

void vm_pause__begin(struct vm *vm)
{
	pthread_mutex_lock(&vm->pause.lock);
	atomic_store(&vm->pause.wanted, true);
	pthread_mutex_unlock(&vm->pause.lock);
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		vcpu__kick(&vm->vcpus[i]);
}

void vm_pause__end(struct vm *vm)
{
	struct vm_pause *pause = &vm->pause;

	pthread_mutex_lock(&pause->lock);
	atomic_store(&pause->wanted, false);
	pause->parked = 0;
	pause->generation++;
	pthread_cond_broadcast(&pause->go);
	pthread_mutex_unlock(&pause->lock);
}

void vm_pause__park(struct vm *vm)
{
	struct vm_pause *pause = &vm->pause;
	const uint64_t one = 1;

	pthread_mutex_lock(&pause->lock);
	if (atomic_load(&pause->wanted)) {
		uint32_t generation = pause->generation;

		if (++pause->parked == vm->nr_vcpus)
			(void)!write(pause->fd, &one, sizeof(one)); /* full: it is readable */
		while (generation == pause->generation)
			pthread_cond_wait(&pause->go, &pause->lock);
	}
	pthread_mutex_unlock(&pause->lock);
}
