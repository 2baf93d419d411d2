/* SPDX-License-Identifier: GPL-2.0-only */
/* A stream of bytes over TCP, followed by its checksum: what arrives is what was sent. */
#ifndef BYTE_STREAM_H
#define BYTE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "netns.h"

/* What came of one. */
struct byte_stream {
	uint64_t bytes; /* without the checksum */
	bool is_right;	/* the checksum is that of these bytes, and the sender ended well */
};

/*
 * Passes @bytes, no two KiB of them alike, from a process in the far namespace, which has @address,
 * to this one. 0 or -errno.
 */
int byte_stream__pass(const struct netns_pair *pair, const char *address, uint64_t bytes,
		      struct byte_stream *stream);

#endif /* BYTE_STREAM_H */
