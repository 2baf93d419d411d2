/* SPDX-License-Identifier: GPL-2.0-only */
/* Which of the host's files a command needs in its machine. */
#ifndef KTSTR_VMM_CLI_FILES_H
#define KTSTR_VMM_CLI_FILES_H

#include <ktstr/vm.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * The program @argv[0], arguments that are regular files, @includes, and common tools beside a
 * shell or a shell script. @config->files becomes *files, which the caller frees (their paths live
 * as long as the process). 0, or an exit status after telling what is missing.
 */
int cli_files__gather(const char *command, char **argv, const char *const *includes,
		      size_t nr_includes, struct ktstr_vm_config *config,
		      struct ktstr_file **files);

/* Where a name without a slash is in PATH. False: nowhere. */
bool cli_files__find(const char *name, char *buf, size_t size);
bool cli_files__is_regular(const char *path);
/* The part of @path behind its last slash. */
const char *cli_files__base_name(const char *path);

#endif /* KTSTR_VMM_CLI_FILES_H */
