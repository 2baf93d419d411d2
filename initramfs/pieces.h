/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The large files of an archive: their whole pages are not in the archive's own file but in the
 * store, where all archives that hold the same content share them.
 */
#ifndef KTSTR_INITRAMFS_PIECES_H
#define KTSTR_INITRAMFS_PIECES_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

#include "cpio.h"
#include "store.h"

/* Smaller files are not worth a mapping of their own. */
#define PIECE_MIN (UINT64_C(64) << 10)
/* A part is a descriptor for as long as the machine is there: what is more stays in the archive. */
#define PIECES_MAX_PARTS 256u

/* [at, at + length) of the archive is the beginning of a part. Written to files: no padding. */
struct piece {
	uint64_t at, length; /* bytes; multiples of CPIO_PAGE */
	uint64_t part;
};

/* Pieces are sorted by @at and do not overlap. */
struct pieces {
	const struct store *store;
	struct part *parts; /* each digest once */
	size_t nr_parts;
	struct piece *pieces;
	size_t nr_pieces;
};

/* Closes what is open; the store stays the caller's. */
void pieces__free(struct pieces *pieces);

/*
 * Adds a file of PIECE_MIN bytes or more to archive and store. As cpio__file(), besides: -ENOTSUP:
 * its name is too long for this, or there are enough parts, and nothing was written or said.
 */
int pieces__add(struct pieces *pieces, struct cpio *cpio, const char *path, uint32_t mode,
		int source, uint64_t size, const char *host, struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_PIECES_H */
