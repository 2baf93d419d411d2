/* SPDX-License-Identifier: GPL-2.0-only */
/* Puts a transport on a machine's bus, and its queues into an event loop. */
#ifndef KTSTR_VMM_VIRTIO_ATTACH_H
#define KTSTR_VMM_VIRTIO_ATTACH_H

#include <ktstr/error.h>

#include "../bus.h"
#include "../loop.h"
#include "mmio.h"

struct virtio_attachment;

/*
 * Before the loop runs, and before the first vCPU does. The transport answers at [base, base +
 * VIRTIO_MMIO_SIZE) of @bus, which must not be used after virtio_mmio__destroy(). Errors of
 * bus__add() and loop__add(); -ENOMEM.
 */
int virtio_attachment__create(struct virtio_mmio *t, uint64_t base, struct bus *bus,
			      struct loop *loop, struct virtio_attachment **attachment,
			      struct ktstr_error *error);
/* Takes the queues out of the loop. Before virtio_mmio__destroy(). NULL is allowed. */
void virtio_attachment__destroy(struct virtio_attachment *a);

#endif /* KTSTR_VMM_VIRTIO_ATTACH_H */
