// SPDX-License-Identifier: GPL-2.0-only
/* The declared CPU topology: its compact text form, both ways, and what makes it impossible. */
#include <ktstr/topology.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

uint32_t ktstr_topology__cpus(const struct ktstr_topology *topology)
{
	return topology->llcs * topology->cores_per_llc * topology->threads_per_core;
}

int ktstr_topology__format(const struct ktstr_topology *topology, char *buf, size_t size)
{
	return snprintf(buf, size, "%un%ul%uc%ut", topology->numa_nodes, topology->llcs,
			topology->cores_per_llc, topology->threads_per_core);
}

/* Records that @topology is impossible; the object of the error is its text form. */
static int refuse(const struct ktstr_topology *topology, struct ktstr_error *error,
		  const char *reason)
{
	char text[64];

	ktstr_topology__format(topology, text, sizeof(text));
	return ktstr_error__set(error, EINVAL, "topology", text, "%s", reason);
}

int ktstr_topology__validate(const struct ktstr_topology *topology, struct ktstr_error *error)
{
	uint32_t cpus;
	int err;

	if (!topology->numa_nodes)
		return refuse(topology, error, "there must be at least one NUMA node");
	if (!topology->llcs)
		return refuse(topology, error, "there must be at least one LLC");
	if (!topology->cores_per_llc)
		return refuse(topology, error, "an LLC must have at least one core");
	if (!topology->threads_per_core)
		return refuse(topology, error, "a core must have at least one thread");
	if (topology->numa_nodes > KTSTR_MAX_NUMA_NODES) {
		err = refuse(topology, error, "too many NUMA nodes");
		ktstr_error__hint(error, "at most %u are possible", KTSTR_MAX_NUMA_NODES);
		return err;
	}
	if (topology->llcs % topology->numa_nodes) {
		err = refuse(topology, error, "the LLCs cannot be spread evenly over the nodes");
		ktstr_error__hint(error, "llcs counts the whole machine: use a multiple of %u",
				  topology->numa_nodes);
		return err;
	}
	if (__builtin_mul_overflow(topology->llcs, topology->cores_per_llc, &cpus) ||
	    __builtin_mul_overflow(cpus, topology->threads_per_core, &cpus) ||
	    cpus > KTSTR_MAX_CPUS) {
		err = refuse(topology, error, "too many CPUs");
		ktstr_error__hint(error, "llcs * cores_per_llc * threads_per_core is at most %u",
				  KTSTR_MAX_CPUS);
		return err;
	}
	return 0;
}

/* Reads the decimal number at *text and moves behind it. False: there is none, or it is too big. */
static bool read_count(const char **text, uint32_t *count)
{
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return false;
	for (*count = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*count, 10u, count) ||
		    __builtin_add_overflow(*count, (uint32_t)(*p - '0'), count))
			return false;
	*text = p;
	return true;
}

static int not_a_topology(const char *text, struct ktstr_error *error)
{
	int err = ktstr_error__set(error, EINVAL, "topology", text, "not a topology");

	ktstr_error__hint(error,
			  "write NODESn LLCSl CORESc THREADSt without spaces, as in "
			  "1n2l4c2t (LLCs of the machine, cores of an LLC, threads of a core)");
	return err;
}

int ktstr_topology__parse(const char *text, struct ktstr_topology *topology,
			  struct ktstr_error *error)
{
	struct ktstr_topology read = TOPO(1, 1, 1, 1);
	const struct {
		char letter;
		uint32_t *count;
	} fields[] = {
		{'n', &read.numa_nodes},
		{'l', &read.llcs},
		{'c', &read.cores_per_llc},
		{'t', &read.threads_per_core},
	};
	const unsigned int nr_fields = sizeof(fields) / sizeof(fields[0]);
	bool seen[sizeof(fields) / sizeof(fields[0])] = {false};
	const char *p = text;
	int err;

	if (!*p)
		return not_a_topology(text, error);
	while (*p) {
		uint32_t count;
		unsigned int i;

		if (!read_count(&p, &count))
			return not_a_topology(text, error);
		for (i = 0; i < nr_fields && fields[i].letter != *p; i++)
			;
		if (i == nr_fields || seen[i])
			return not_a_topology(text, error);
		seen[i] = true;
		*fields[i].count = count;
		p++;
	}
	if (!seen[1])
		read.llcs = read.numa_nodes;
	err = ktstr_topology__validate(&read, error);
	if (!err)
		*topology = read;
	return err;
}
