/* SPDX-License-Identifier: GPL-2.0-only */
/* What a declared topology says where it leaves something out; for the monitor alone. */
#ifndef KTSTR_VMM_TOPOLOGY_H
#define KTSTR_VMM_TOPOLOGY_H

#include <ktstr/topology.h>

#include <stdbool.h>

uint32_t topology__node_llcs(const struct ktstr_topology *topology, uint32_t node);
uint32_t topology__nodes_with_cpus(const struct ktstr_topology *topology);
uint32_t topology__packages(const struct ktstr_topology *topology);
uint32_t topology__latency_ns(const struct ktstr_topology *topology, uint32_t node);
uint32_t topology__bandwidth_mbs(const struct ktstr_topology *topology, uint32_t node);
uint8_t topology__distance(const struct ktstr_topology *topology, uint32_t from, uint32_t to);

/* Reads a decimal number at *text and moves behind it. False: there is none, or it is too big. */
bool topology__read_number(const char **text, uint32_t *number);

/*
 * The form alone, as ktstr_topology__parse() reads it: counts that are missing become 1, LLCs one a
 * node, packages 0. @has (may be NULL): the counts that were there. -EINVAL.
 */
struct topology_has {
	bool nodes, llcs;
};
int topology__read(const char *text, struct ktstr_topology *topology, struct topology_has *has,
		   struct ktstr_error *error);

#endif /* KTSTR_VMM_TOPOLOGY_H */
