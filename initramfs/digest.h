/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What names the content of a file: XXH3, 128 bits (libxxhash, its header alone). Not against
 * somebody who makes two contents with one digest: a user's cache holds what the user runs anyway.
 */
#ifndef KTSTR_INITRAMFS_DIGEST_H
#define KTSTR_INITRAMFS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define DIGEST_TEXT 33u /* 32 hexadecimal digits and a NUL */

struct digest {
	uint64_t high, low;
};

void digest__data(const void *data, size_t length, struct digest *digest);
bool digest__equal(const struct digest *a, const struct digest *b);
/* Of a file's first @size bytes. -errno; -ENODATA: the file has fewer. */
int digest__file(int fd, uint64_t size, struct digest *digest);
void digest__text(const struct digest *digest, char text[DIGEST_TEXT]);
/* A 64-bit sum of bytes in memory. */
uint64_t digest__sum(const void *data, size_t length);

/*
 * A file as it was when its content was checked: no write(2), truncate(2) or rename(2) leaves all
 * of it as it is, for as long as the kernel that saw it runs.
 */
struct file_identity {
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
};

void file_identity__take(const struct stat *st, struct file_identity *identity);
bool file_identity__equal(const struct file_identity *a, const struct file_identity *b);

#define BOOT_ID_SIZE 40u /* a UUID as text, and NULs */
/* Of the running kernel. False: it does not say. */
bool boot_id__read(char id[BOOT_ID_SIZE]);

#endif /* KTSTR_INITRAMFS_DIGEST_H */
