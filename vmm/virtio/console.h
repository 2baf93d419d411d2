/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio-console (virtio 1.2 §5.3) with the three ports of ktstr/proto.h: hvc0, the TLV stream and
 * a byte pipe.
 *
 * Callbacks come from the thread that runs the transport's queues (or that called one of the
 * functions below), never two at once, with the device's lock held; they may call the functions
 * below.
 */
#ifndef KTSTR_VMM_VIRTIO_CONSOLE_H
#define KTSTR_VMM_VIRTIO_CONSOLE_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "device.h"

/* Bytes that wait on the host's side of each port until the guest reads. */
#define VIRTIO_CONSOLE_INPUT_SIZE 16384u

/* Every function may be NULL: output is then thrown away. */
struct virtio_console_callbacks {
	void *opaque;
	/*
	 * The guest wrote. Returns how many bytes were taken; the rest comes again after
	 * virtio_console__resume(). The memory is the guest's and may change meanwhile: copy before
	 * a check whose outcome matters. KTSTR_PORT_CONSOLE should take all: until then a vCPU of
	 * the guest spins (Linux's hvc waits with a lock held).
	 */
	size_t (*port_output)(void *opaque, uint32_t port, const struct iovec *iov, uint32_t nr);
	/* The guest opened or closed the port; what it wrote before has been output already. */
	void (*port_open)(void *opaque, uint32_t port, bool guest_open);
	/* There is room again after virtio_console__input() took less than it was given. */
	void (*port_writable)(void *opaque, uint32_t port);
};

struct virtio_console;

/* *callbacks is copied. -ENOMEM. */
int virtio_console__create(const struct virtio_console_callbacks *callbacks,
			   struct virtio_console **console, struct ktstr_error *error);
/* After the transport. NULL is allowed. */
void virtio_console__destroy(struct virtio_console *c);

/* For virtio_mmio__create(), which comes before any of the functions below. */
struct virtio_device *virtio_console__device(struct virtio_console *c);

/* Gives the guest bytes; they wait while it has the port closed. Returns how many were taken. */
size_t virtio_console__input(struct virtio_console *c, uint32_t port, const void *buf,
			     size_t length);

/* The host can take output of @port again. */
void virtio_console__resume(struct virtio_console *c, uint32_t port);

/*
 * Whether the host has its end of @port open; all are at first. The guest sees a close when it has
 * read all input before it, and then cannot write; what it had written meanwhile is thrown away.
 */
void virtio_console__set_open(struct virtio_console *c, uint32_t port, bool open);

/* Size of the terminal on KTSTR_PORT_CONSOLE. */
void virtio_console__set_size(struct virtio_console *c, uint16_t cols, uint16_t rows);

#endif /* KTSTR_VMM_VIRTIO_CONSOLE_H */
