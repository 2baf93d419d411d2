/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the profiles of a guest's coverage (PRAW frames of ktstr/proto.h) as files of a directory.
 * The guest has no say in their names, and each machine's number and size have a limit.
 */
#ifndef KTSTR_VMM_PROFRAW_H
#define KTSTR_VMM_PROFRAW_H

#include <ktstr/error.h>

#include <stdint.h>

/* Names the directory; unset or empty: profiles are dropped. */
#define PROFRAW_DIRECTORY_VARIABLE "KTSTR_PROFRAW_DIR"
/* Of one machine. */
#define PROFRAW_MAX_BYTES (64u << 20)
#define PROFRAW_MAX_FILES 256u

/* One a machine. */
struct profraw {
	const char *directory;	  /* the caller's; NULL: none */
	uint64_t bytes, files;	  /* that were written */
	uint64_t lost;		  /* profiles */
	struct ktstr_error error; /* why the first was lost */
};

/* @directory: NULL or "" for none. */
void profraw__init(struct profraw *profraw, const char *directory);

/*
 * As a ktstr_frame_fn, @opaque a struct profraw: writes a PRAW frame's payload, unchanged, to a new
 * file guest-XXXXXX.profraw, whose name no process on any host that shares the directory has;
 * other types are left alone. What cannot be written whole is removed, and counts as lost.
 */
void profraw__frame(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
		    uint32_t length);

/* "2 coverage profiles of the guest are lost: ..." ; "" when none is. As snprintf. */
int profraw__report(const struct profraw *profraw, char *buf, size_t size);

#endif /* KTSTR_VMM_PROFRAW_H */
