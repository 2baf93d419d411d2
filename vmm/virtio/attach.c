// SPDX-License-Identifier: GPL-2.0-only
/* Puts a transport on a machine's bus, and its queues into an event loop. */
#include "attach.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct queue_source {
	struct virtio_mmio *transport;
	uint32_t queue;
	struct loop_source *source;
};

struct virtio_attachment {
	uint32_t nr_queues;
	struct queue_source queues[];
};

static void queue_notified(void *opaque, uint32_t events)
{
	struct queue_source *qs = opaque;

	(void)events;
	virtio_mmio__run_queue(qs->transport, qs->queue);
}

int virtio_attachment__create(struct virtio_mmio *t, uint64_t base, struct bus *bus,
			      struct loop *loop, struct virtio_attachment **attachment,
			      struct ktstr_error *error)
{
	const char *name = virtio_mmio__name(t);
	uint32_t nr = virtio_mmio__nr_queues(t);
	struct virtio_attachment *a;
	int ret;

	*attachment = NULL;
	a = calloc(1, sizeof(*a) + nr * sizeof(a->queues[0]));
	if (!a)
		return ktstr_error__set(error, ENOMEM, "attach", name, NULL);
	a->nr_queues = nr;
	for (uint32_t i = 0; i < nr; i++) {
		struct queue_source *qs = &a->queues[i];

		qs->transport = t;
		qs->queue = i;
		ret = loop__add(loop, virtio_mmio__queue_fd(t, i), EPOLLIN, queue_notified, qs,
				&qs->source);
		if (ret) {
			ktstr_error__set(error, -ret, "event loop", name, "queue %u", i);
			goto out;
		}
	}
	ret = bus__add(bus, BUS_MMIO, base, VIRTIO_MMIO_SIZE, name, &virtio_mmio_bus_ops, t, error);
	if (ret)
		goto out;
	*attachment = a;
	return 0;
out:
	virtio_attachment__destroy(a);
	return ret;
}

void virtio_attachment__destroy(struct virtio_attachment *a)
{
	if (!a)
		return;
	for (uint32_t i = 0; i < a->nr_queues; i++)
		loop__remove(a->queues[i].source);
	free(a);
}
