// SPDX-License-Identifier: GPL-2.0-only
/* Copies from descriptor to descriptor, by the best call that these two know. */
#include "copy.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <unistd.h>

int copy__write(int fd, const void *data, size_t length, struct ktstr_error *error)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ktstr_error__set(error, errno, "write", "initramfs", NULL);
		p += n;
		length -= (size_t)n;
	}
	return 0;
}

/* Errors of the calls that copy in the kernel after which read() and write() may still work. */
static bool can_fall_back(int err)
{
	return err == EXDEV || err == EINVAL || err == ENOSYS || err == EOPNOTSUPP ||
	       err == EPERM || err == EBADF || err == ETXTBSY;
}

enum copy_method { COPY_FILE_RANGE, COPY_SENDFILE, COPY_READ };

static ssize_t copy_some(enum copy_method method, int to, int from, loff_t *from_offset,
			 size_t length, struct ktstr_error *error)
{
	char buf[65536];
	ssize_t n;

	if (method == COPY_FILE_RANGE)
		return copy_file_range(from, from_offset, to, NULL, length, 0);
	if (method == COPY_SENDFILE)
		return sendfile(to, from, from_offset, length);
	n = pread(from, buf, length < sizeof(buf) ? length : sizeof(buf), *from_offset);
	if (n > 0) {
		if (copy__write(to, buf, (size_t)n, error)) {
			errno = error ? error->err : EIO;
			return -1;
		}
		*from_offset += n;
	}
	return n;
}

int copy__file(int to, int from, uint64_t size, const char *host, struct ktstr_error *error)
{
	enum copy_method method = COPY_FILE_RANGE;
	loff_t offset = 0;

	while ((uint64_t)offset < size) {
		uint64_t left = size - (uint64_t)offset;
		size_t chunk = left < (1u << 30) ? (size_t)left : 1u << 30;
		ssize_t n = copy_some(method, to, from, &offset, chunk, error);

		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (method != COPY_READ && (n == 0 || can_fall_back(errno)))
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
