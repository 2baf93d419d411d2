/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames of port 1 as lines of JSON, for events.jsonl. */
#ifndef KTSTR_VMM_RECORD_EVENT_H
#define KTSTR_VMM_RECORD_EVENT_H

#include <stdint.h>
#include <stdio.h>

#include "metrics.h"

/* One line. The form of the payload has been checked (vmm/outcome.c). */
void record_event__write(FILE *f, uint32_t type, uint32_t sequence, const void *payload,
			 uint32_t length);

/* One metric as a JSON object; @payload NULL: without its name. */
void record_event__metric(FILE *f, const char *payload, const struct metric *metric);

#endif /* KTSTR_VMM_RECORD_EVENT_H */
