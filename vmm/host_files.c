// SPDX-License-Identifier: GPL-2.0-only
/* Texts, numbers and lists of /sys and /proc. */
#include "host_files.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every second number of HOST_MAX_CPUS, the longest list. */
#define LIST_SIZE (HOST_MAX_CPUS / 2 * 5 + 2)

void host_set__add(struct host_set *set, uint32_t number)
{
	if (number < HOST_MAX_CPUS)
		set->words[number / HOST_SET_WORD] |= 1ul << number % HOST_SET_WORD;
}

bool host_set__has(const struct host_set *set, uint32_t number)
{
	return number < HOST_MAX_CPUS &&
	       (set->words[number / HOST_SET_WORD] >> number % HOST_SET_WORD & 1);
}

uint32_t host_set__count(const struct host_set *set)
{
	uint32_t nr = 0;

	for (size_t i = 0; i < HOST_MAX_CPUS / HOST_SET_WORD; i++)
		nr += (uint32_t)__builtin_popcountl(set->words[i]);
	return nr;
}

uint32_t host_set__lowest(const struct host_set *a, const struct host_set *b)
{
	for (uint32_t i = 0; i < HOST_MAX_CPUS / HOST_SET_WORD; i++) {
		unsigned long both = a->words[i] & b->words[i];

		if (both)
			return i * (uint32_t)HOST_SET_WORD + (uint32_t)__builtin_ctzl(both);
	}
	return HOST_MAX_CPUS;
}

int host_set__allowed(struct host_set *set)
{
	*set = (struct host_set){0};
	return sched_getaffinity(0, sizeof(set->words), (cpu_set_t *)set->words) ? -errno : 0;
}

static int read_number(const char **p, uint32_t *n)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	errno = 0;
	value = strtoul(*p, &end, 10);
	if (errno || value >= HOST_MAX_CPUS)
		return -ERANGE;
	*p = end;
	*n = (uint32_t)value;
	return 0;
}

int host_set__parse(const char *text, struct host_set *set)
{
	const char *p = text;

	*set = (struct host_set){0};
	if (!*p || !strcmp(p, "\n"))
		return 0;
	for (;;) {
		uint32_t first = 0, last;
		int ret = read_number(&p, &first);

		last = first;
		if (!ret && *p == '-') {
			p++;
			ret = read_number(&p, &last);
		}
		if (ret)
			return ret;
		if (last < first)
			return -EINVAL;
		for (uint32_t i = first; i <= last; i++)
			host_set__add(set, i);
		if (*p != ',')
			break;
		p++;
	}
	return !*p || !strcmp(p, "\n") ? 0 : -EINVAL;
}

void host_set__format(const struct host_set *set, char *buf, size_t size)
{
	size_t length = 0;

	*buf = '\0';
	for (uint32_t first = 0; first < HOST_MAX_CPUS; first++) {
		uint32_t last = first;
		char range[24];
		int n;

		if (!host_set__has(set, first))
			continue;
		while (host_set__has(set, last + 1))
			last++;
		n = last == first ? snprintf(range, sizeof(range), "%s%u", length ? "," : "", first)
				  : snprintf(range, sizeof(range), "%s%u-%u", length ? "," : "",
					     first, last);
		/* Room for the mark, should the next one not fit */
		if (length + (size_t)n + 4 > size) {
			strcpy(buf + length, "...");
			return;
		}
		memcpy(buf + length, range, (size_t)n + 1);
		length += (size_t)n;
		first = last;
	}
}

static int read_file(const char *path, char *buf, size_t size)
{
	size_t length = 0;
	ssize_t n;
	int err = 0, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + length, size - 1 - length);
		if (n < 0)
			err = -errno;
		else
			length += (size_t)n;
	} while (n > 0 && length < size - 1);
	close(fd);
	if (!err && length == size - 1)
		err = -E2BIG;
	buf[length] = '\0';
	return err;
}

static int read_named(const char *dir, char *buf, size_t size, const char *name_fmt, va_list args)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/", dir), m;

	*buf = '\0';
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	m = vsnprintf(path + n, sizeof(path) - (size_t)n, name_fmt, args);
	if (m < 0 || (size_t)m >= sizeof(path) - (size_t)n)
		return -ENAMETOOLONG;
	return read_file(path, buf, size);
}

int host_files__text(const char *dir, char *buf, size_t size, const char *name_fmt, ...)
{
	va_list args;
	int ret;

	va_start(args, name_fmt);
	ret = read_named(dir, buf, size, name_fmt, args);
	va_end(args);
	return ret;
}

int host_files__u64(const char *dir, uint64_t *value, const char *name_fmt, ...)
{
	char text[32];
	char *end;
	va_list args;
	int ret;

	va_start(args, name_fmt);
	ret = read_named(dir, text, sizeof(text), name_fmt, args);
	va_end(args);
	if (ret)
		return ret;
	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || !isdigit((unsigned char)*text) || (*end && strcmp(end, "\n")))
		return -EINVAL;
	return 0;
}

int host_files__set(const char *dir, struct host_set *set, const char *name_fmt, ...)
{
	char text[LIST_SIZE];
	va_list args;
	int ret;

	va_start(args, name_fmt);
	ret = read_named(dir, text, sizeof(text), name_fmt, args);
	va_end(args);
	return ret ? ret : host_set__parse(text, set);
}
