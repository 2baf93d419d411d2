// SPDX-License-Identifier: GPL-2.0-only
/* Profiles of a guest's coverage become files. */
#include "profraw.h"
#include "../initramfs/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ktstr/proto.h>

#define SUFFIX ".profraw"

void profraw__init(struct profraw *profraw, const char *directory)
{
	*profraw = (struct profraw){.directory = directory && *directory ? directory : NULL};
}

static int write_file(const char *directory, const void *data, size_t length,
		      struct ktstr_error *error)
{
	char path[PATH_MAX];
	int fd, ret, n;

	n = snprintf(path, sizeof(path), "%s/guest-XXXXXX" SUFFIX, directory);
	if (n < 0 || (size_t)n >= sizeof(path))
		return ktstr_error__set(error, ENAMETOOLONG, "create profile in", directory, NULL);
	/* O_EXCL: also where several emulated hosts have the directory by 9p */
	fd = mkostemps(path, (int)strlen(SUFFIX), O_CLOEXEC);
	if (fd < 0)
		return ktstr_error__set(error, errno, "create profile in", directory, NULL);
	ret = copy__write(fd, data, length);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret)
		return 0;
	unlink(path);
	return ktstr_error__set(error, -ret, "write", path, NULL);
}

void profraw__frame(void *opaque, uint32_t type, uint32_t sequence, const void *payload,
		    uint32_t length)
{
	struct profraw *profraw = opaque;
	int ret;

	(void)sequence;
	if (type != KTSTR_FRAME_PROFRAW || !profraw->directory)
		return;
	if (length > PROFRAW_MAX_BYTES - profraw->bytes || profraw->files == PROFRAW_MAX_FILES)
		ret = ktstr_error__set(&profraw->error, EFBIG, "write profile in",
				       profraw->directory,
				       "more than %u MiB or %u files from one machine",
				       PROFRAW_MAX_BYTES >> 20, PROFRAW_MAX_FILES);
	else
		ret = write_file(profraw->directory, payload, length, &profraw->error);
	if (ret) {
		profraw->lost++;
		return;
	}
	profraw->bytes += length;
	profraw->files++;
}

int profraw__report(const struct profraw *profraw, char *buf, size_t size)
{
	char why[1400];

	if (!profraw->lost) {
		if (size)
			buf[0] = '\0';
		return 0;
	}
	ktstr_error__format(&profraw->error, why, sizeof(why));
	return snprintf(buf, size, "%llu coverage profile%s of the guest %s lost: %s",
			(unsigned long long)profraw->lost, profraw->lost == 1 ? "" : "s",
			profraw->lost == 1 ? "is" : "are", why);
}
