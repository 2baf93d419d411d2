/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands of `ktstr`: each takes its own name as argv[0] and returns the exit status. */
#ifndef KTSTR_VMM_CLI_H
#define KTSTR_VMM_CLI_H

#include <ktstr/error.h>
#include <ktstr/vm.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit status for bad input, and for a machine that gave no status of the command. */
#define CLI_EXIT_USAGE 2
#define CLI_EXIT_LOST 125
/* A metric of an extractor is beyond its limit. */
#define CLI_EXIT_LIMIT 1
/* Performance mode cannot be had. */
#define CLI_EXIT_UNMET 1

int cli_run(int argc, char **argv);
int cli_shell(int argc, char **argv);
int cli_rerun(int argc, char **argv);
int cli_topo(int argc, char **argv);
int cli_cache(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_locks(int argc, char **argv);

/* Each tells bad input in one line and returns CLI_EXIT_USAGE. */
int cli_bad(const char *command, const char *option, const char *why);
int cli_error(const char *command, const struct ktstr_error *error);
/* What getopt_long() stopped at: it returned @c at @arg. */
int cli_bad_option(const char *command, int c, const char *arg);

/* A number from @min on. False: not of this form. */
bool cli_parse_u32(const char *text, uint32_t min, uint32_t *value);

/* What describes a machine: options that `run`, `shell` and `topo` take alike. */
struct cli_machine {
	struct ktstr_topology_options options;
	uint32_t memory_mb; /* as given, then in all; 0: not given */
	enum ktstr_cpu_vendor vendor;
};

/* Their place in a command's table of options; as short ones, "t:m:". */
#define CLI_MACHINE_OPTIONS                                                                 \
	{"topology", required_argument, NULL, 't'}, {"node", required_argument, NULL, 'N'}, \
		{"distance", required_argument, NULL, 'D'},                                 \
		{"cache", required_argument, NULL, 'C'},                                    \
		{"capacity", required_argument, NULL, 'Y'},                                 \
		{"memory", required_argument, NULL, 'm'},                                   \
	{                                                                                   \
		"vendor", required_argument, NULL, 'V'                                      \
	}

/* Takes option @c with its value. 0, an exit status, or -1: not one of them. */
int cli_machine__option(struct cli_machine *machine, const char *command, int c, const char *value);
/* When all were taken: 0, and the topology and the RAM are whole, or an exit status. */
int cli_machine__finish(struct cli_machine *machine, const char *command);

/* `run --extract COMMAND`: what comes out on standard output is passed on and kept. */
struct cli_extract {
	const char *command;
	pthread_t thread;
	int pipe_out, end_fd, saved_out;
	char *kept;
	size_t length;
	bool cut, reader_gone;
};

/* From here on standard output is ours. 0, or the exit status. */
int cli_extract__begin(struct cli_extract *e);
/*
 * Gives standard output back. When @status, that of the command @name, is 0, extracts and prints
 * metrics on standard error. Returns the exit status: CLI_EXIT_LOST when nothing could be
 * extracted, CLI_EXIT_LIMIT.
 */
int cli_extract__end(struct cli_extract *e, const char *name, int status);

/* Path of the program itself, for its own next start; "" when unknown. */
const char *cli_self(void);

#endif /* KTSTR_VMM_CLI_H */
