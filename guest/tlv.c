// SPDX-License-Identifier: GPL-2.0-only
/* The frame encoder: header, CRC and payload gathered into few large writes. */
#include "tlv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <ktstr/proto.h>

int tlv__write_all(int fd, const void *data, size_t length)
{
	const uint8_t *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n > 0) {
			p += n;
			length -= (size_t)n;
		} else if (n == 0) {
			return -EIO;
		} else if (errno == EAGAIN) {
			struct pollfd pfd = {.fd = fd, .events = POLLOUT};

			if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int flush(struct tlv *tlv)
{
	int ret = tlv__write_all(tlv->fd, tlv->buf, tlv->used);

	tlv->used = 0;
	return ret;
}

static int put(struct tlv *tlv, const void *data, size_t length)
{
	const uint8_t *p = data;

	while (length) {
		size_t n = sizeof(tlv->buf) - tlv->used;

		if (n > length)
			n = length;
		memcpy(tlv->buf + tlv->used, p, n);
		tlv->used += n;
		p += n;
		length -= n;
		if (tlv->used == sizeof(tlv->buf)) {
			int ret = flush(tlv);

			if (ret)
				return ret;
		}
	}
	return 0;
}

int tlv__send(struct tlv *tlv, uint32_t type, const void *head, size_t head_length,
	      const void *body, size_t body_length)
{
	struct ktstr_frame_header header = {
		.magic = KTSTR_FRAME_MAGIC,
		.type = type,
		.sequence = tlv->sequence,
	};
	size_t total;
	uLong crc;
	int ret;

	if (tlv->fd < 0)
		return -EBADF;
	if (__builtin_add_overflow(head_length, body_length, &total) ||
	    total > KTSTR_FRAME_MAX_PAYLOAD)
		return -EINVAL;
	header.length = (uint32_t)total;
	/* type, sequence and length lie side by side */
	crc = crc32(0, (const Bytef *)&header.type, 3 * sizeof(uint32_t));
	if (head_length)
		crc = crc32(crc, head, (uInt)head_length);
	if (body_length)
		crc = crc32(crc, body, (uInt)body_length);
	header.crc = (uint32_t)crc;
	tlv->sequence++;
	ret = put(tlv, &header, sizeof(header));
	if (!ret)
		ret = put(tlv, head, head_length);
	if (!ret)
		ret = put(tlv, body, body_length);
	if (!ret)
		ret = flush(tlv);
	tlv->used = 0;
	return ret;
}
