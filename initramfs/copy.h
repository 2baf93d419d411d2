/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes into an archive or image that is being written, in the kernel where that is possible. */
#ifndef KTSTR_INITRAMFS_COPY_H
#define KTSTR_INITRAMFS_COPY_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

/* All @length bytes, at the position of @fd. What write(2) failed with. */
int copy__write(int fd, const void *data, size_t length, struct ktstr_error *error);

/*
 * Exactly @size bytes of @from from its start, at the position of @to. -ESTALE: it has fewer. @host
 * names it in errors.
 */
int copy__file(int to, int from, uint64_t size, const char *host, struct ktstr_error *error);

#endif /* KTSTR_INITRAMFS_COPY_H */
