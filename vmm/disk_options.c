// SPDX-License-Identifier: GPL-2.0-only
/* A disk's settings as text. */
#include "disk_options.h"
#include "disk_image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_FORM "size=S takes a number with M, G or T behind it: 512M"

static bool read_number(const char *text, uint64_t *to)
{
	unsigned long long n;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || !n)
		return false;
	*to = n;
	return true;
}

/* A number of MiB, GiB or TiB. */
static const char *read_size(char *value, uint32_t *mb)
{
	size_t length = strlen(value);
	uint64_t n;
	char unit;

	if (!length)
		return SIZE_FORM;
	unit = value[length - 1];
	value[length - 1] = '\0';
	if (!read_number(value, &n) || (unit != 'M' && unit != 'G' && unit != 'T'))
		return SIZE_FORM;
	if (n > DISK_IMAGE_MAX_MB)
		return "size=S is at most 16T";
	n <<= unit == 'T' ? 20 : unit == 'G' ? 10 : 0;
	if (n > DISK_IMAGE_MAX_MB)
		return "size=S is at most 16T";
	*mb = (uint32_t)n;
	return NULL;
}

/* What only a fresh disk has. @found: it was one of these. */
static const char *read_fresh(const char *name, char *value, struct ktstr_disk *disk, bool *found)
{
	*found = true;
	if (!strcmp(name, "fs")) {
		disk->fs = value;
		return disk_image__find_fs(value) ? NULL : "fs=F takes " DISK_FS_NAMES;
	}
	if (!strcmp(name, "size"))
		return read_size(value, &disk->size_mb);
	*found = !strcmp(name, "mount");
	if (*found)
		disk->mount = value;
	return NULL;
}

static const char *read_option(char *name, struct ktstr_disk *disk)
{
	char *value = strchr(name, '=');
	uint64_t *number = NULL, queues = 0;
	const char *wrong;
	bool found;

	if (!strcmp(name, "ro")) {
		disk->read_only = true;
		return NULL;
	}
	if (!value)
		return "takes PATH and then " DISK_OPTIONS;
	*value++ = '\0';
	wrong = read_fresh(name, value, disk, &found);
	if (found)
		return wrong;
	if (!strcmp(name, "serial")) {
		disk->serial = value;
		return strlen(value) <= 20 ? NULL : "serial=S takes at most 20 bytes";
	}
	if (!strcmp(name, "iops"))
		number = &disk->iops;
	else if (!strcmp(name, "bps"))
		number = &disk->bytes_per_s;
	else if (!strcmp(name, "burst-ops"))
		number = &disk->burst_ops;
	else if (!strcmp(name, "burst-bytes"))
		number = &disk->burst_bytes;
	else if (!strcmp(name, "queues"))
		number = &queues;
	else
		return "takes PATH and then " DISK_OPTIONS;
	if (!read_number(value, number))
		return "takes numbers from 1 on";
	if (queues > 16)
		return "queues=N takes 1 to 16";
	if (queues)
		disk->queues = (uint32_t)queues;
	return NULL;
}

const char *disk_options__parse(char *text, struct ktstr_disk *disk)
{
	char *save = NULL, *option = strtok_r(text, ",", &save);
	const char *wrong;

	for (; option; option = strtok_r(NULL, ",", &save)) {
		wrong = read_option(option, disk);
		if (wrong)
			return wrong;
	}
	if (disk->burst_ops && !disk->iops)
		return "burst-ops=N needs iops=N";
	if (disk->burst_bytes && !disk->bytes_per_s)
		return "burst-bytes=N needs bps=N";
	if (disk->path && disk->fs)
		return "fs=F makes a fresh disk, and takes no path";
	if ((disk->size_mb || disk->mount) && !disk->fs)
		return "size=S and mount=DIR need fs=F";
	return NULL;
}

static void write_number(const char *name, uint64_t value, const char **comma, FILE *to)
{
	if (!value)
		return;
	fprintf(to, "%s%s=%llu", *comma, name, (unsigned long long)value);
	*comma = ",";
}

void disk_options__write(const struct ktstr_disk *disk, FILE *to)
{
	const char *comma = "";

	if (disk->fs) {
		fprintf(to, "fs=%s", disk->fs);
		comma = ",";
	}
	if (disk->size_mb)
		fprintf(to, "%ssize=%uM", comma, disk->size_mb);
	if (disk->mount)
		fprintf(to, "%smount=%s", comma, disk->mount);
	if (disk->read_only) {
		fprintf(to, "%sro", comma);
		comma = ",";
	}
	write_number("iops", disk->iops, &comma, to);
	write_number("bps", disk->bytes_per_s, &comma, to);
	write_number("burst-ops", disk->burst_ops, &comma, to);
	write_number("burst-bytes", disk->burst_bytes, &comma, to);
	write_number("queues", disk->queues, &comma, to);
	if (disk->serial)
		fprintf(to, "%sserial=%s", comma, disk->serial);
}
