/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames of port 1 as lines of JSON, for events.jsonl. */
#ifndef KTSTR_VMM_RECORD_EVENT_H
#define KTSTR_VMM_RECORD_EVENT_H

#include <stdint.h>
#include <stdio.h>

/* One line. The form of the payload has been checked (vmm/outcome.c). */
void record_event__write(FILE *f, uint32_t type, uint32_t sequence, const void *payload,
			 uint32_t length);

#endif /* KTSTR_VMM_RECORD_EVENT_H */
