/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A place in a list of buffers. The buffers are the guest's: they may overlap each other, and
 * change at any time.
 */
#ifndef KTSTR_VMM_VIRTIO_IOV_H
#define KTSTR_VMM_VIRTIO_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct iov_cursor {
	const struct iovec *iov;
	uint32_t nr; /* left, from @iov on */
	size_t at;   /* bytes of iov[0] that are behind */
};

static inline struct iov_cursor iov_cursor__at(const struct iovec *iov, uint32_t nr)
{
	return (struct iov_cursor){.iov = iov, .nr = nr};
}

/* The rest of the buffer that @c is in; 0 at the end. */
static inline size_t iov_cursor__piece(struct iov_cursor *c, uint8_t **piece)
{
	while (c->nr && c->at == c->iov->iov_len) {
		c->iov++;
		c->nr--;
		c->at = 0;
	}
	if (!c->nr)
		return 0;
	*piece = (uint8_t *)c->iov->iov_base + c->at;
	return c->iov->iov_len - c->at;
}

/* @to NULL: they are skipped. Returns how many bytes there were, @length at most. */
static inline size_t iov_cursor__read(struct iov_cursor *c, void *to, size_t length)
{
	size_t done = 0, n;
	uint8_t *piece;

	while (done < length && (n = iov_cursor__piece(c, &piece))) {
		if (n > length - done)
			n = length - done;
		if (to)
			memmove((uint8_t *)to + done, piece, n);
		c->at += n;
		done += n;
	}
	return done;
}

static inline size_t iov_cursor__skip(struct iov_cursor *c, size_t length)
{
	return iov_cursor__read(c, NULL, length);
}

static inline size_t iov_cursor__write(struct iov_cursor *c, const void *from, size_t length)
{
	size_t done = 0, n;
	uint8_t *piece;

	while (done < length && (n = iov_cursor__piece(c, &piece))) {
		if (n > length - done)
			n = length - done;
		memmove(piece, (const uint8_t *)from + done, n);
		c->at += n;
		done += n;
	}
	return done;
}

/* The same from other buffers: as much as both have, @length at most. */
static inline size_t iov_cursor__copy(struct iov_cursor *to, struct iov_cursor *from, size_t length)
{
	size_t done = 0, n;
	uint8_t *piece;

	while (done < length && (n = iov_cursor__piece(from, &piece))) {
		if (n > length - done)
			n = length - done;
		n = iov_cursor__write(to, piece, n);
		if (!n)
			break;
		from->at += n;
		done += n;
	}
	return done;
}

#endif /* KTSTR_VMM_VIRTIO_IOV_H */
