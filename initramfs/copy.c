// SPDX-License-Identifier: GPL-2.0-only
/* Copies by copy_file_range(2), sendfile(2), or through a buffer, whichever works first. */
#include "copy.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define CHUNK (1u << 30) /* at once: what a caller can be interrupted after */

int copy__write(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		length -= (size_t)n;
	}
	return 0;
}

int copy__read(int fd, void *data, size_t length, uint64_t offset)
{
	char *p = data;

	while (length) {
		ssize_t n = pread(fd, p, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		p += n;
		length -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* Errors of the calls that copy in the kernel after which read() and write() may still work. */
static bool can_fall_back(int err)
{
	return err == EXDEV || err == EINVAL || err == ENOSYS || err == EOPNOTSUPP ||
	       err == EPERM || err == EBADF || err == ETXTBSY;
}

enum method { BY_COPY_FILE_RANGE, BY_SENDFILE, BY_READ };

static ssize_t copy_some(enum method method, int to, int from, loff_t *offset, size_t length)
{
	char buf[65536];
	ssize_t n;
	int err;

	if (method == BY_COPY_FILE_RANGE)
		return copy_file_range(from, offset, to, NULL, length, 0);
	if (method == BY_SENDFILE)
		return sendfile(to, from, offset, length);
	n = pread(from, buf, length < sizeof(buf) ? length : sizeof(buf), *offset);
	if (n > 0) {
		err = copy__write(to, buf, (size_t)n);
		if (err) {
			errno = -err;
			return -1;
		}
		*offset += n;
	}
	return n;
}

int copy__bytes(int to, int from, uint64_t offset, uint64_t size, const char *host,
		struct ktstr_error *error)
{
	enum method method = BY_COPY_FILE_RANGE;
	loff_t at = (loff_t)offset;

	while ((uint64_t)at - offset < size) {
		uint64_t left = size - ((uint64_t)at - offset);
		ssize_t n = copy_some(method, to, from, &at, left < CHUNK ? (size_t)left : CHUNK);

		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (method != BY_READ && (n == 0 || can_fall_back(errno)))
			method++;
		else if (n == 0)
			return ktstr_error__set(error, ESTALE, "read", host,
						"it became shorter while it was read");
		else
			return ktstr_error__set(error, errno, "copy into the initramfs", host,
						NULL);
	}
	return 0;
}
