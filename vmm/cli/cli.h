/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands of `ktstr`: each takes its own name as argv[0] and returns the exit status. */
#ifndef KTSTR_VMM_CLI_H
#define KTSTR_VMM_CLI_H

/* Exit status for bad input, and for a machine that gave no status of the command. */
#define CLI_EXIT_USAGE 2
#define CLI_EXIT_LOST 125

int cli_run(int argc, char **argv);
int cli_shell(int argc, char **argv);

/* Path of the program itself, for its own next start; "" when unknown. */
const char *cli_self(void);

#endif /* KTSTR_VMM_CLI_H */
