/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When the driver of a queue is to be interrupted for requests that have ended: pure arithmetic on
 * a clock that the caller reads.
 *
 * An interrupt costs the guest two exits, so it is for half of what the driver has outstanding
 * ("depth"). How much that is shows where the driver stops: it has nothing more to send before it
 * hears of what has ended. So every now and then an interrupt is held until the driver stops, and
 * whenever one is held for a depth that is no longer there, the driver stops, too. A driver of one
 * request at a time is thus told at once, but for one time in COALESCE_PROBE_MAX.
 */
#ifndef KTSTR_VMM_VIRTIO_COALESCE_H
#define KTSTR_VMM_VIRTIO_COALESCE_H

#include <stdbool.h>
#include <stdint.h>

/* Interrupts from one probe to the next: the more, the longer the driver sends one at a time. */
#define COALESCE_PROBE_MIN 16u
#define COALESCE_PROBE_DEEP 64u
#define COALESCE_PROBE_MAX 512u

struct coalesce {
	uint32_t held;	     /* ended, and not told */
	uint32_t depth;	     /* that the driver has outstanding, as far as known */
	uint32_t arrivals;   /* since the timer was set */
	uint32_t interrupts; /* since the last probe */
	uint32_t probe_every;
	bool probing;
	uint64_t since_ns; /* something is held, or it was found that the driver still sends */
	uint64_t last_ns;  /* of the last arrival */
	uint64_t gap_ns;   /* usual time from one arrival to the next */
	uint64_t usual_ns; /* that a request takes */
};

/* @nr requests came in together. */
void coalesce__arrived(struct coalesce *c, uint32_t nr, uint64_t now_ns);
/* One has ended, after @took_ns; 0: it was none that says how long others take. */
void coalesce__ended(struct coalesce *c, uint64_t took_ns, uint64_t now_ns);
/* Whether to interrupt now, while @in_flight more are being done. */
bool coalesce__due(struct coalesce *c, uint32_t in_flight);
/* Otherwise, and something is held: when to look again. */
uint64_t coalesce__deadline_ns(const struct coalesce *c, uint32_t in_flight);
/* Whether to interrupt now because that time is over; else there is a new deadline, or the old. */
bool coalesce__expired(struct coalesce *c, uint32_t in_flight, uint64_t now_ns);
/* The driver was told of all for another reason, or is gone. */
void coalesce__told(struct coalesce *c);

#endif /* KTSTR_VMM_VIRTIO_COALESCE_H */
