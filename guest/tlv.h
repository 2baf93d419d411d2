/* SPDX-License-Identifier: GPL-2.0-only */
/* Writer of the frames of ktstr/proto.h: the guest's end of virtio-console port 1. */
#ifndef KTSTR_GUEST_TLV_H
#define KTSTR_GUEST_TLV_H

#include <stddef.h>
#include <stdint.h>

/* virtio_console sends at most 32 KiB a write(): one buffer of that size costs one kick. */
#define TLV_CHUNK (32u << 10)

struct tlv {
	int fd; /* blocking, the caller's; -1: not open */
	uint32_t sequence;
	size_t used;
	uint8_t buf[TLV_CHUNK]; /* empty between frames */
};

/*
 * Sends one frame whose payload is @head followed by @body, and returns when the last byte is
 * written. -EINVAL: no such length, -EBADF: not open, otherwise write()'s error: the stream is then
 * broken in the middle of a frame.
 */
int tlv__send(struct tlv *tlv, uint32_t type, const void *head, size_t head_length,
	      const void *body, size_t body_length);

/* All of @length bytes to a blocking @fd; -errno. */
int tlv__write_all(int fd, const void *data, size_t length);

#endif /* KTSTR_GUEST_TLV_H */
