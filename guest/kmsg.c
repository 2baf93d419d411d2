// SPDX-License-Identifier: GPL-2.0-only
/* Records of /dev/kmsg: "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT\n KEY=VALUE\n...". */
#include "kmsg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What printk never makes longer (PRINTKRB_RECORD_MAX and its prefix). */
#define RECORD_MAX 4096u

/* A decimal number and the comma behind it, where there is one. */
static bool take_number(char **at, unsigned long long *value)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*value = strtoull(*at, &end, 10);
	*at = *end == ',' ? end + 1 : end;
	return *end == ',' || !*end;
}

size_t kmsg__format(const char *record, size_t length, char *out)
{
	const char *text = memchr(record, ';', length), *end;
	unsigned long long priority, us;
	char head[128], *at = head;
	size_t n;
	int used;

	if (!text || (size_t)(text - record) >= sizeof(head))
		return 0;
	memcpy(head, record, (size_t)(text - record));
	head[text - record] = '\0';
	if (!take_number(&at, &priority) || !take_number(&at, &us) /* the sequence */ ||
	    !take_number(&at, &us))
		return 0;
	text++;
	end = memchr(text, '\n', length - (size_t)(text - record));
	n = end ? (size_t)(end - text) : length - (size_t)(text - record);
	used = snprintf(out, KMSG_LINE_MAX, "<%llu>[%5llu.%06llu] ", priority & 7, us / 1000000,
			us % 1000000);
	if (used < 0)
		return 0;
	if (n > KMSG_LINE_MAX - 1 - (size_t)used)
		n = KMSG_LINE_MAX - 1 - (size_t)used;
	memcpy(out + used, text, n);
	out[(size_t)used + n] = '\n';
	return (size_t)used + n + 1;
}

size_t kmsg__read(int fd, char *buf, size_t size)
{
	static const char lost[] = "(older lines were overwritten)\n";
	char record[RECORD_MAX];
	size_t used = 0;

	while (size - used >= KMSG_LINE_MAX) {
		ssize_t n = read(fd, record, sizeof(record));

		if (n > 0) {
			used += kmsg__format(record, (size_t)n, buf + used);
		} else if (n < 0 && errno == EPIPE) {
			memcpy(buf + used, lost, sizeof(lost) - 1);
			used += sizeof(lost) - 1;
		} else if (n == 0 || (errno != EINTR && errno != EINVAL)) {
			break; /* EINVAL: a record longer than ours; the next one follows */
		}
	}
	return used;
}
