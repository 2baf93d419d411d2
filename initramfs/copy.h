/* SPDX-License-Identifier: GPL-2.0-only */
/* Bytes from one file to another, by the kernel where it can: shared, on file systems that do. */
#ifndef KTSTR_INITRAMFS_COPY_H
#define KTSTR_INITRAMFS_COPY_H

#include <ktstr/error.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Appends exactly @size bytes of @from, from @offset on, at the position of @to. -ESTALE: @from has
 * fewer; else what a call failed with. @host names @from in errors.
 */
int copy__bytes(int to, int from, uint64_t offset, uint64_t size, const char *host,
		struct ktstr_error *error);

/* All @length bytes at the position of @fd. -errno; nothing is said. */
int copy__write(int fd, const void *data, size_t length);
/* All @length bytes of @fd from @offset on. -errno; -ENODATA: the file ends before. */
int copy__read(int fd, void *data, size_t length, uint64_t offset);

#endif /* KTSTR_INITRAMFS_COPY_H */
