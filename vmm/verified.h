/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of a cache that are too large to be checked each time they are used. One is read in full
 * and compared with its digest once; that this was done is noted beside it, and holds until the
 * file is written to or the host starts anew.
 *
 * Against damage, not against malice: who can write the file can write the note.
 */
#ifndef KTSTR_VMM_VERIFIED_H
#define KTSTR_VMM_VERIFIED_H

#include <stddef.h>
#include <stdint.h>

#include "../initramfs/digest.h"

/* Of the note's name, behind that of its file. */
#define VERIFIED_SUFFIX ".checked"

/*
 * Whether the first @length bytes of the file @fd, whose name is @path, are what @digest was made
 * of. 0; -EBADMSG: they are not; -errno of reading them. Where no note can be written the file is
 * read each time.
 */
int verified__check(int fd, const char *path, uint64_t length, const struct digest *digest);

#endif /* KTSTR_VMM_VERIFIED_H */
