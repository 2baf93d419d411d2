/* SPDX-License-Identifier: GPL-2.0-only */
/* /ktstr/config and /ktstr/modules (ktstr/proto.h), read and checked. */
#ifndef KTSTR_GUEST_CONFIG_H
#define KTSTR_GUEST_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum guest_role { GUEST_ROLE_TEST, GUEST_ROLE_COMMAND, GUEST_ROLE_SHELL };

struct guest_mount {
	const char *serial, *fs, *path;
	bool read_only;
};

/* Strings point into @text; arrays are NULL-terminated. */
struct guest_config {
	char *text;
	enum guest_role role;
	char **argv;
	size_t argc;
	char **env;
	size_t nr_env;
	const char *cwd;  /* NULL: none */
	char **scheduler; /* argv of the scheduler; [0] NULL: none */
	size_t nr_scheduler;
	struct guest_mount *mounts;
	size_t nr_mounts;
	const char *scheduler_ops; /* NULL: any */
	const char *hostname;	   /* NULL: "ktstr" */
	uint32_t attach_timeout_ms;
	uint16_t rows, columns; /* 0: unknown */
	bool kernel_log;	/* wanted after a test that passed, too */
	bool stats;		/* port 2 is relayed to the scheduler's statistics */
};

#define GUEST_ATTACH_TIMEOUT_MS 60000u

/*
 * Takes @text (malloc'ed, @length bytes, then owned by @config even on failure). Unknown keys are
 * ignored: a newer host may say more. -EINVAL with the offending record in @why: a record is not
 * terminated, has no "=", has a bad value, or role or argv is missing. -ENOMEM.
 */
int guest_config__parse(char *text, size_t length, struct guest_config *config, char *why,
			size_t why_size);
void guest_config__free(struct guest_config *config);

/*
 * Next path of a module list (one a line, blank lines and "#" lines skipped). *cursor walks through
 * @text, which is changed. NULL at its end.
 */
char *guest_modules__next(char **cursor);

/* The whole file, malloc'ed, with a NUL after its *length bytes. -errno. */
int guest__read_file(const char *path, char **text, size_t *length);

/* First line of a small file into @buf, without its newline. -errno, and then @buf is "". */
int guest__read_line(const char *path, char *buf, size_t size);

#endif /* KTSTR_GUEST_CONFIG_H */
