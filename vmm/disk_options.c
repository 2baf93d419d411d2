// SPDX-License-Identifier: GPL-2.0-only
/* A disk's settings as text. */
#include "disk_options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

static const char *read_option(char *name, struct ktstr_disk *disk)
{
	char *value = strchr(name, '=');
	uint64_t *number = NULL, queues = 0;

	if (!strcmp(name, "ro")) {
		disk->read_only = true;
		return NULL;
	}
	if (!value)
		return "takes PATH and then " DISK_OPTIONS;
	*value++ = '\0';
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

	if (disk->read_only) {
		fputs("ro", to);
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
