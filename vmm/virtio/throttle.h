/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two token buckets, of operations and of bytes, as pure arithmetic on a clock that the caller
 * reads. A bucket is kept as the time at which it would be full again, in picoseconds, so that no
 * rate is rounded by more than its last digits.
 *
 * An operation may start when each bucket holds one unit, and then takes all that it costs: a
 * bucket can owe. So a large operation never waits for a bucket larger than there is, and the rate
 * is kept in the mean.
 */
#ifndef KTSTR_VMM_VIRTIO_THROTTLE_H
#define KTSTR_VMM_VIRTIO_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* What a bucket holds that has no size of its own: what comes in this time, and one. */
#define THROTTLE_DEFAULT_BURST_MS 100u

struct throttle_limit {
	uint64_t rate;	/* a second; 0: no limit */
	uint64_t burst; /* that a full bucket holds; 0: what comes in THROTTLE_DEFAULT_BURST_MS */
};

struct throttle_bucket {
	uint64_t rate;
	uint64_t burst_ps; /* from one unit to full */
	uint64_t full_ps;  /* when it is full */
};

struct throttle {
	struct throttle_bucket operations, bytes;
};

void throttle__init(struct throttle *t, const struct throttle_limit *operations,
		    const struct throttle_limit *bytes);
/* Whether there is any limit. */
bool throttle__limits(const struct throttle *t);
/*
 * How long the next operation has to wait at time @now_ns, of a clock that began at 0 with the
 * machine: ns, 0: it may start.
 */
uint64_t throttle__wait_ns(const struct throttle *t, uint64_t now_ns);
/* An operation of @bytes starts. @idle: none waited; what is above full then runs over. */
void throttle__take(struct throttle *t, uint64_t bytes, uint64_t now_ns, bool idle);

#endif /* KTSTR_VMM_VIRTIO_THROTTLE_H */
