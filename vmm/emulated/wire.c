// SPDX-License-Identifier: GPL-2.0-only
/* Frames of the emulated KVM host and the buffers that they go through. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void wire_buf__free(struct wire_buf *buf)
{
	free(buf->data);
	*buf = (struct wire_buf){0};
}

static int wire_buf__reserve(struct wire_buf *buf, size_t length)
{
	size_t size = buf->size ? buf->size : 4096;
	uint8_t *data;

	if (buf->start && buf->start == buf->end)
		buf->start = buf->end = 0;
	if (buf->size - buf->end >= length)
		return 0;
	if (buf->start) {
		memmove(buf->data, buf->data + buf->start, wire_buf__used(buf));
		buf->end -= buf->start;
		buf->start = 0;
	}
	while (size - buf->end < length) {
		if (__builtin_mul_overflow(size, (size_t)2, &size))
			return -ENOMEM;
	}
	if (size == buf->size)
		return 0;
	data = realloc(buf->data, size);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->size = size;
	return 0;
}

int wire__append(struct wire_buf *buf, const void *data, size_t length)
{
	int err = wire_buf__reserve(buf, length);

	if (err)
		return err;
	if (length)
		memcpy(buf->data + buf->end, data, length);
	buf->end += length;
	return 0;
}

int wire__put(struct wire_buf *buf, uint32_t type, const void *payload, size_t length)
{
	struct wire_header header = {.magic = WIRE_MAGIC, .type = type};
	int err;

	if (length > WIRE_MAX_PAYLOAD)
		return -E2BIG;
	header.length = (uint32_t)length;
	err = wire_buf__reserve(buf, sizeof(header) + length);
	if (err)
		return err;
	wire__append(buf, &header, sizeof(header));
	return wire__append(buf, payload, length);
}

int wire__peek(const struct wire_buf *buf, struct wire_frame *frame)
{
	struct wire_header header;

	if (wire_buf__used(buf) < sizeof(header))
		return 0;
	memcpy(&header, buf->data + buf->start, sizeof(header));
	if (header.magic != WIRE_MAGIC || header.length > WIRE_MAX_PAYLOAD)
		return -EPROTO;
	if (wire_buf__used(buf) - sizeof(header) < header.length)
		return 0;
	frame->type = header.type;
	frame->length = header.length;
	frame->payload = buf->data + buf->start + sizeof(header);
	return 1;
}

void wire__drop(struct wire_buf *buf, const struct wire_frame *frame)
{
	buf->start += sizeof(struct wire_header) + frame->length;
}

ssize_t wire__fill(struct wire_buf *buf, int fd)
{
	ssize_t n;
	int err = wire_buf__reserve(buf, 2 * WIRE_CHUNK);

	if (err)
		return err;
	do {
		n = read(fd, buf->data + buf->end, buf->size - buf->end);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	buf->end += (size_t)n;
	return n;
}

int wire__flush(struct wire_buf *buf, int fd)
{
	while (wire_buf__used(buf)) {
		ssize_t n = write(fd, buf->data + buf->start, wire_buf__used(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		buf->start += (size_t)n;
	}
	return 0;
}
