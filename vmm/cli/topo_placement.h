/* SPDX-License-Identifier: GPL-2.0-only */
/* `ktstr topo --placement`: where performance mode puts a machine on a host, and what it lacks. */
#ifndef KTSTR_VMM_CLI_TOPO_PLACEMENT_H
#define KTSTR_VMM_CLI_TOPO_PLACEMENT_H

#include <ktstr/error.h>

#include <stdbool.h>
#include <stdio.h>

#include "../placement.h"

/*
 * Plans for this host, or for that whose /sys is at @sys when that is not NULL: then all its CPUs
 * count as allowed, and nothing is said of its load and of rights. *met: the mode would run where
 * it is required. As host_topology__read() and placement__plan(), but that -ENOSPC is no error.
 */
int topo_placement__print(const struct layout *machine, const char *sys, enum placement_mode mode,
			  FILE *to, bool *met, struct ktstr_error *error);

#endif /* KTSTR_VMM_CLI_TOPO_PLACEMENT_H */
