/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of initramfs/ share: scratch directories, files, commands, unpacked archives. */
#ifndef KTSTR_TEST_INITRAMFS_UTIL_H
#define KTSTR_TEST_INITRAMFS_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "initramfs/initramfs.h"

/* Exit status of a shell command, -1 when it did not exit. */
__attribute__((format(printf, 1, 2))) static inline int sh(const char *fmt, ...)
{
	char command[8192];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline char *scratch_dir(void)
{
	char *dir = strdup("/tmp/ktstr-test-XXXXXX");

	return mkdtemp(dir);
}

static inline bool write_file(const char *path, const void *data, size_t length, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool ok = fd >= 0 && write(fd, data, length) == (ssize_t)length && !fchmod(fd, mode);

	if (fd >= 0)
		close(fd);
	return ok;
}

static inline bool write_text(const char *path, const char *text)
{
	return write_file(path, text, strlen(text), 0644);
}

/* An image as a file that cpio(1) can read. */
static inline bool save_image(const struct initramfs_image *image, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && !initramfs_image__copy(image, fd, NULL) &&
		  (uint64_t)lseek(fd, 0, SEEK_CUR) == image->size;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Unpacks into @dir/root without device nodes. */
static inline bool unpack_image(const struct initramfs_image *image, const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/image.cpio", dir);
	return save_image(image, path) && !sh("rm -rf %s/root && mkdir %s/root && cd %s/root && "
					      "cpio -idm --quiet -f dev/console < ../image.cpio",
					      dir, dir, dir);
}

#endif /* KTSTR_TEST_INITRAMFS_UTIL_H */
