// SPDX-License-Identifier: GPL-2.0-only
/* Parser of the configuration that the host put into the initramfs. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int append(char ***list, size_t *count, char *value)
{
	char **grown = realloc(*list, (*count + 2) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	grown[(*count)++] = value;
	grown[*count] = NULL;
	return 0;
}

/* A decimal number up to @max that ends with @last. */
static int parse_number(const char **value, char last, uint32_t max, uint32_t *out)
{
	unsigned long long n;
	char *end;

	if (**value < '0' || **value > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(*value, &end, 10);
	if (errno || *end != last || n > max)
		return -EINVAL;
	*value = end + 1;
	*out = (uint32_t)n;
	return 0;
}

static int parse_u32(const char *value, uint32_t *out)
{
	return parse_number(&value, '\0', UINT32_MAX, out);
}

static int parse_tty(const char *value, struct guest_config *config)
{
	uint32_t rows, columns;

	if (parse_number(&value, 'x', UINT16_MAX, &rows) ||
	    parse_number(&value, '\0', UINT16_MAX, &columns))
		return -EINVAL;
	config->rows = (uint16_t)rows;
	config->columns = (uint16_t)columns;
	return 0;
}

static int parse_role(const char *value, struct guest_config *config, int *have_role)
{
	*have_role = 1;
	if (!strcmp(value, "test"))
		config->role = GUEST_ROLE_TEST;
	else if (!strcmp(value, "command"))
		config->role = GUEST_ROLE_COMMAND;
	else if (!strcmp(value, "shell"))
		config->role = GUEST_ROLE_SHELL;
	else
		return -EINVAL;
	return 0;
}

/* SERIAL,FS,MODE,PATH; a comma in the path is its own. */
static int parse_mount(char *value, struct guest_config *config)
{
	char *fs = strchr(value, ','), *mode = fs ? strchr(fs + 1, ',') : NULL,
	     *path = mode ? strchr(mode + 1, ',') : NULL;
	struct guest_mount *grown;

	if (!path || fs == value || mode == fs + 1 || path[1] != '/')
		return -EINVAL;
	if (strncmp(mode, ",ro,", 4) != 0 && strncmp(mode, ",rw,", 4) != 0)
		return -EINVAL;
	grown = reallocarray(config->mounts, config->nr_mounts + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->mounts = grown;
	*fs = *mode = *path = '\0';
	grown[config->nr_mounts++] = (struct guest_mount){
		.serial = value, .fs = fs + 1, .path = path + 1, .read_only = mode[2] == 'o'};
	return 0;
}

static int parse_record(const char *key, char *value, struct guest_config *config, int *have_role)
{
	if (!strcmp(key, "role"))
		return parse_role(value, config, have_role);
	if (!strcmp(key, "argv"))
		return append(&config->argv, &config->argc, value);
	if (!strcmp(key, "env"))
		return strchr(value, '=') ? append(&config->env, &config->nr_env, value) : -EINVAL;
	if (!strcmp(key, "cwd"))
		config->cwd = value;
	else if (!strcmp(key, "scheduler")) {
		if (!*value)
			return -EINVAL;
		config->scheduler[0] = value;
	} else if (!strcmp(key, "scheduler_arg"))
		return append(&config->scheduler, &config->nr_scheduler, value);
	else if (!strcmp(key, "scheduler_ops"))
		config->scheduler_ops = value;
	else if (!strcmp(key, "hostname"))
		config->hostname = value;
	else if (!strcmp(key, "kernel_log"))
		config->kernel_log = !strcmp(value, "1");
	else if (!strcmp(key, "attach_timeout_ms"))
		return parse_u32(value, &config->attach_timeout_ms);
	else if (!strcmp(key, "tty"))
		return parse_tty(value, config);
	else if (!strcmp(key, "mount"))
		return parse_mount(value, config);
	else if (!strcmp(key, "stats"))
		config->stats = !strcmp(value, "1");
	return 0;
}

int guest_config__parse(char *text, size_t length, struct guest_config *config, char *why,
			size_t why_size)
{
	int have_role = 0, ret;
	size_t at = 0;

	memset(config, 0, sizeof(*config));
	config->text = text;
	config->attach_timeout_ms = GUEST_ATTACH_TIMEOUT_MS;
	snprintf(why, why_size, "out of memory");
	/* [0] is the scheduler itself, whichever record comes first */
	ret = append(&config->scheduler, &config->nr_scheduler, NULL);
	if (ret)
		return ret;
	while (at < length) {
		char *record = text + at, *equals;
		size_t n = strnlen(record, length - at);

		if (n == length - at) {
			snprintf(why, why_size, "a record of %zu bytes is not terminated", n);
			return -EINVAL;
		}
		at += n + 1;
		if (!n)
			continue;
		snprintf(why, why_size, "bad record: %s", record);
		equals = strchr(record, '=');
		if (!equals)
			return -EINVAL;
		*equals = '\0';
		ret = parse_record(record, equals + 1, config, &have_role);
		if (ret)
			return ret;
	}
	if (!have_role) {
		snprintf(why, why_size, "no role");
		return -EINVAL;
	}
	if (!config->argc) {
		snprintf(why, why_size, "no argv");
		return -EINVAL;
	}
	if (why_size)
		why[0] = '\0';
	return 0;
}

void guest_config__free(struct guest_config *config)
{
	free(config->text);
	free(config->argv);
	free(config->env);
	free(config->scheduler);
	free(config->mounts);
	memset(config, 0, sizeof(*config));
}

char *guest_modules__next(char **cursor)
{
	while (**cursor) {
		char *line = *cursor, *end = strchrnul(line, '\n');

		*cursor = *end ? end + 1 : end;
		while (end > line && (end[-1] == '\r' || end[-1] == ' ' || end[-1] == '\t'))
			end--;
		*end = '\0';
		if (*line && *line != '#')
			return line;
	}
	return NULL;
}

int guest__read_file(const char *path, char **text, size_t *length)
{
	size_t used = 0, size = 4096;
	char *buf = NULL;
	int fd, ret;

	*text = NULL;
	*length = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		char *grown = realloc(buf, size + 1);
		ssize_t n;

		ret = -ENOMEM;
		if (!grown)
			break;
		buf = grown;
		n = read(fd, buf + used, size - used);
		if (n < 0) {
			ret = -errno;
			if (errno == EINTR)
				continue;
			break;
		}
		if (!n) {
			close(fd);
			buf[used] = '\0';
			*text = buf;
			*length = used;
			return 0;
		}
		used += (size_t)n;
		if (used == size)
			size *= 2;
	}
	free(buf);
	close(fd);
	return ret;
}

int guest__read_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	err = errno;
	close(fd);
	if (n < 0)
		return -err;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}
