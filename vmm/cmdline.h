/* SPDX-License-Identifier: GPL-2.0-only */
/* What stands in a kernel's command line. */
#ifndef KTSTR_VMM_CMDLINE_H
#define KTSTR_VMM_CMDLINE_H

#include <stdbool.h>

/* Whether @word is one of @cmdline's, as the kernel's own parser finds it
 * (cmdline_find_option_bool()). */
bool cmdline__has(const char *cmdline, const char *word);

#endif /* KTSTR_VMM_CMDLINE_H */
