// SPDX-License-Identifier: GPL-2.0-only
/* Puts large files into the store and remembers where an archive has them. */
#include "pieces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void pieces__free(struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->nr_parts; i++)
		if (pieces->parts[i].fd >= 0)
			close(pieces->parts[i].fd);
	free(pieces->parts);
	free(pieces->pieces);
	*pieces = (struct pieces){.store = pieces->store};
}

/* Takes @part over: its descriptor is closed when the same content is there already. */
static int add_part(struct pieces *pieces, const struct part *part, uint64_t *index)
{
	struct part *p;

	for (size_t i = 0; i < pieces->nr_parts; i++) {
		if (!digest__equal(&pieces->parts[i].digest, &part->digest))
			continue;
		close(part->fd);
		*index = i;
		return 0;
	}
	p = reallocarray(pieces->parts, pieces->nr_parts + 1, sizeof(*p));
	if (!p) {
		close(part->fd);
		return -ENOMEM;
	}
	pieces->parts = p;
	p[pieces->nr_parts] = *part;
	*index = pieces->nr_parts++;
	return 0;
}

int pieces__add(struct pieces *pieces, struct cpio *cpio, const char *path, uint32_t mode,
		int source, uint64_t size, const char *host, struct ktstr_error *error)
{
	struct piece *p = reallocarray(pieces->pieces, pieces->nr_pieces + 1, sizeof(*p));
	struct piece piece = {.length = size - size % CPIO_PAGE};
	struct part part;
	int err;

	if (!p)
		return ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
	pieces->pieces = p;
	if (size > CPIO_MAX_FILE || !cpio__can_be_outside(path) ||
	    pieces->nr_parts == PIECES_MAX_PARTS)
		return -ENOTSUP;
	err = store__put(pieces->store, source, size, host, &part, error);
	if (err)
		return err;
	err = add_part(pieces, &part, &piece.part);
	if (err)
		return ktstr_error__set(error, -err, "build", "initramfs", NULL);
	/* From the store: the source may have changed since it was copied. */
	err = cpio__file_outside(cpio, path, mode, pieces->parts[piece.part].fd, size, host,
				 &piece.at, error);
	if (!err)
		p[pieces->nr_pieces++] = piece;
	return err;
}
