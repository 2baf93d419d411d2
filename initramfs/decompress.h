/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What modules and kernel images are packed with: gzip, xz, zstd, lz4. All libraries but zlib are
 * opened when they are needed: linked in, every guest would carry them.
 */
#ifndef KTSTR_INITRAMFS_DECOMPRESS_H
#define KTSTR_INITRAMFS_DECOMPRESS_H

#include <stddef.h>

struct decompressed {
	void *data; /* malloc'ed */
	size_t length;
	const char *library; /* with -ENOSYS: the one that is not installed */
};

/*
 * Unpacks what is packed in one of four ways, told apart by its first bytes; lz4 in its legacy
 * frame, as kernels have it. -ENOTSUP: in none of these; -EBADMSG: it is damaged, cut off, or there
 * is something behind its end; -EFBIG: more than @limit bytes come out, or lz4's last block is so
 * damaged that they might; -ENOSYS, -ENOMEM.
 */
int decompress(const void *data, size_t length, size_t limit, struct decompressed *out);

#endif /* KTSTR_INITRAMFS_DECOMPRESS_H */
