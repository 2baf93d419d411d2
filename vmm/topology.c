// SPDX-License-Identifier: GPL-2.0-only
/* The declared CPU topology: its compact form, its defaults, and what makes it impossible. */
#include "topology.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

uint32_t ktstr_topology__cpus(const struct ktstr_topology *topology)
{
	return topology->llcs * topology->cores_per_llc * topology->threads_per_core;
}

int ktstr_topology__format(const struct ktstr_topology *topology, char *buf, size_t size)
{
	char packages[16] = "";

	if (topology->packages)
		snprintf(packages, sizeof(packages), "%up", topology->packages);
	return snprintf(buf, size, "%un%s%ul%uc%ut", topology->numa_nodes, packages, topology->llcs,
			topology->cores_per_llc, topology->threads_per_core);
}

/* Records that @topology is impossible, by @reason; the object of the error is its text form. */
static int __attribute__((format(printf, 3, 4)))
refuse(const struct ktstr_topology *topology, struct ktstr_error *error, const char *reason, ...)
{
	char text[80], why[200];
	va_list ap;

	va_start(ap, reason);
	vsnprintf(why, sizeof(why), reason, ap);
	va_end(ap);
	ktstr_topology__format(topology, text, sizeof(text));
	return ktstr_error__set(error, EINVAL, "topology", text, "%s", why);
}

uint32_t topology__node_llcs(const struct ktstr_topology *t, uint32_t node)
{
	return t->nodes ? t->nodes[node].llcs : t->llcs / t->numa_nodes;
}

uint32_t topology__nodes_with_cpus(const struct ktstr_topology *t)
{
	uint32_t count = 0, i;

	for (i = 0; i < t->numa_nodes; i++)
		count += topology__node_llcs(t, i) != 0;
	return count;
}

uint32_t topology__packages(const struct ktstr_topology *t)
{
	return t->packages ? t->packages : topology__nodes_with_cpus(t);
}

uint32_t topology__latency_ns(const struct ktstr_topology *t, uint32_t node)
{
	if (t->nodes && t->nodes[node].latency_ns)
		return t->nodes[node].latency_ns;
	return topology__node_llcs(t, node) ? KTSTR_LATENCY_NS : KTSTR_CXL_LATENCY_NS;
}

uint32_t topology__bandwidth_mbs(const struct ktstr_topology *t, uint32_t node)
{
	if (t->nodes && t->nodes[node].bandwidth_mbs)
		return t->nodes[node].bandwidth_mbs;
	return topology__node_llcs(t, node) ? KTSTR_BANDWIDTH_MBS : KTSTR_CXL_BANDWIDTH_MBS;
}

uint8_t topology__distance(const struct ktstr_topology *t, uint32_t from, uint32_t to)
{
	if (t->distances)
		return t->distances[from * t->numa_nodes + to];
	return from == to ? KTSTR_DISTANCE_LOCAL : KTSTR_DISTANCE_REMOTE;
}

static int check_counts(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t cpus;
	int err = 0;

	if (!t->numa_nodes)
		err = refuse(t, error, "there must be at least one NUMA node");
	else if (!t->llcs && !t->nodes)
		err = refuse(t, error, "there must be at least one LLC");
	else if (!t->cores_per_llc)
		err = refuse(t, error, "an LLC must have at least one core");
	else if (!t->threads_per_core)
		err = refuse(t, error, "a core must have at least one thread");
	ktstr_error__hint(error, "give 1 or more, or leave the letter out for 1");
	if (err)
		return err;
	if (t->numa_nodes > KTSTR_MAX_NUMA_NODES) {
		err = refuse(t, error, "too many NUMA nodes");
		ktstr_error__hint(error, "at most %u are possible", KTSTR_MAX_NUMA_NODES);
		return err;
	}
	if (__builtin_mul_overflow(t->llcs, t->cores_per_llc, &cpus) ||
	    __builtin_mul_overflow(cpus, t->threads_per_core, &cpus) || cpus > KTSTR_MAX_CPUS) {
		err = refuse(t, error, "too many CPUs");
		ktstr_error__hint(error, "llcs * cores_per_llc * threads_per_core is at most %u",
				  KTSTR_MAX_CPUS);
	}
	return err;
}

/*
 * Linux numbers nodes as it meets them in the SRAT, first all that have CPUs, then those of memory
 * alone (acpi_numa_init()): another order here would not be the guest's.
 */
static int check_order(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t i;
	int err;

	for (i = 0; i + 1 < t->numa_nodes; i++) {
		if (t->nodes[i].llcs || !t->nodes[i + 1].llcs)
			continue;
		err = refuse(t, error, "node %u has no CPUs, but node %u behind it has", i, i + 1);
		ktstr_error__hint(error,
				  "declare nodes without CPUs last: Linux numbers nodes with "
				  "CPUs first");
		return err;
	}
	return 0;
}

static int check_nodes(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint64_t llcs = 0, memory_mb = 0;
	uint32_t i;
	int err;

	if (!t->nodes) {
		if (t->llcs % t->numa_nodes == 0)
			return 0;
		err = refuse(t, error, "the LLCs cannot be spread evenly over the nodes");
		ktstr_error__hint(error,
				  "llcs counts the whole machine: use a multiple of %u, or say how "
				  "many each node has",
				  t->numa_nodes);
		return err;
	}
	for (i = 0; i < t->numa_nodes; i++) {
		const struct ktstr_numa_node *node = &t->nodes[i];

		llcs += node->llcs;
		memory_mb += node->memory_mb;
		if (!node->memory_mb || node->memory_mb >= KTSTR_MIN_NODE_MEMORY_MB)
			continue;
		err = refuse(t, error, "%u MiB are too little for node %u", node->memory_mb, i);
		ktstr_error__hint(error, "a node needs %u MiB or more", KTSTR_MIN_NODE_MEMORY_MB);
		return err;
	}
	if (llcs == 0) {
		err = refuse(t, error, "no node has CPUs");
		ktstr_error__hint(error, "give a node an LLC or more");
	} else if (llcs != t->llcs) {
		err = refuse(t, error, "the nodes have %llu LLCs, but the machine %u",
			     (unsigned long long)llcs, t->llcs);
		ktstr_error__hint(error,
				  "llcs counts the whole machine: it is the sum of the nodes'");
	} else if (memory_mb > UINT32_MAX) {
		err = refuse(t, error, "the nodes have %llu MiB of memory",
			     (unsigned long long)memory_mb);
		ktstr_error__hint(error, "a machine has at most 1 TiB");
	} else {
		err = check_order(t, error);
	}
	return err;
}

/*
 * What no table can tell Linux: it takes packages for parts of nodes or nodes for parts of packages
 * in the whole machine (x86_has_numa_in_package), and from CPU 0 whether a package has more than
 * one CPU at all (has_mp in set_cpu_sibling_map()).
 */
static int check_linux_packages(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t packages = topology__packages(t), size, i;
	bool many_in_node = false, many_in_package = false;
	int err = 0;

	if (t->cores_per_llc * t->threads_per_core == 1 && t->nodes &&
	    packages == topology__nodes_with_cpus(t) && t->nodes[0].llcs == 1 &&
	    t->llcs > packages) {
		err = refuse(t, error, "the first package has one CPU, another has more");
		ktstr_error__hint(error, "declare a larger node first: Linux takes the first "
					 "package's CPU for a sign that none are shared");
		return err;
	}
	if (!packages || packages == topology__nodes_with_cpus(t))
		return 0;
	size = t->llcs / packages;
	for (i = 0; i < t->numa_nodes; i++) {
		uint32_t llcs = topology__node_llcs(t, i);

		many_in_node |= llcs > size;
		many_in_package |= llcs && llcs < size;
	}
	if (many_in_node && many_in_package) {
		err = refuse(t, error,
			     "a package holds several nodes, and a node several packages");
		ktstr_error__hint(error, "use one of the two in the whole machine: Linux cannot "
					 "see both");
	}
	return err;
}

/* Each package that has LLCs of a node lies in the node, or the node in it. */
static int check_packages(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t first = 0, size, i;
	int err;

	if (!t->packages || t->packages == topology__nodes_with_cpus(t))
		return 0;
	if (t->llcs % t->packages) {
		err = refuse(t, error, "%u LLCs cannot be spread evenly over %u packages", t->llcs,
			     t->packages);
		ktstr_error__hint(error,
				  "use a divisor of the LLCs, or leave the packages out for one a "
				  "node with CPUs");
		return err;
	}
	size = t->llcs / t->packages;
	for (i = 0; i < t->numa_nodes; i++) {
		uint32_t llcs = topology__node_llcs(t, i), end = first + llcs;

		/* Apart from whole packages, the node must lie inside one. */
		if (llcs && (first % size || end % size) && first / size != (end - 1) / size) {
			err = refuse(t, error,
				     "node %u is not whole packages of %u LLCs, and not "
				     "inside one",
				     i, size);
			ktstr_error__hint(error, "let a package hold whole nodes, or a node whole "
						 "packages");
			return err;
		}
		first = end;
	}
	return 0;
}

static int check_distance(const struct ktstr_topology *t, uint32_t from, uint32_t to,
			  struct ktstr_error *error)
{
	uint8_t there = topology__distance(t, from, to), back = topology__distance(t, to, from);
	int err = 0;

	if (from == to && there != KTSTR_DISTANCE_LOCAL) {
		err = refuse(t, error, "the distance of node %u to itself is %u", from, there);
		ktstr_error__hint(error, "it must be %u", KTSTR_DISTANCE_LOCAL);
	} else if (from != to && there <= KTSTR_DISTANCE_LOCAL) {
		err = refuse(t, error, "the distance of node %u to node %u is %u", from, to, there);
		ktstr_error__hint(error, "it must be above %u, which is a node's to itself",
				  KTSTR_DISTANCE_LOCAL);
	} else if (there == KTSTR_DISTANCE_UNREACHABLE) {
		err = refuse(t, error, "node %u cannot reach node %u at distance %u", from, to,
			     there);
		ktstr_error__hint(error, "every CPU reaches all memory: use %u or less",
				  KTSTR_DISTANCE_UNREACHABLE - 1);
	} else if (there != back) {
		err = refuse(t, error, "the distance of node %u to node %u is %u, but %u back",
			     from, to, there, back);
		ktstr_error__hint(error, "give the same both ways");
	}
	return err;
}

static int check_distances(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t i, j;
	int err = 0;

	for (i = 0; i < t->numa_nodes && !err; i++)
		for (j = 0; j < t->numa_nodes && !err; j++)
			err = check_distance(t, i, j, error);
	return err;
}

/* No latency, of the farthest CPUs either, may be more than an entry of the HMAT can say. */
static int check_latencies(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t node, i;
	int err;

	for (node = 0; node < t->numa_nodes; node++) {
		uint64_t nearest = UINT8_MAX, farthest = 0, ns = topology__latency_ns(t, node);

		for (i = 0; i < t->numa_nodes; i++) {
			uint8_t distance = topology__distance(t, i, node);

			if (!topology__node_llcs(t, i))
				continue;
			nearest = distance < nearest ? distance : nearest;
			farthest = distance > farthest ? distance : farthest;
		}
		if (ns * farthest < (KTSTR_MAX_LATENCY_NS + 1) * nearest)
			continue;
		err = refuse(t, error, "memory of node %u takes over %u ns from its farthest CPUs",
			     node, KTSTR_MAX_LATENCY_NS);
		ktstr_error__hint(error, "ACPI tables cannot say that: give a lower latency");
		return err;
	}
	return 0;
}

static int check_caches(const struct ktstr_topology *t, struct ktstr_error *error)
{
	const struct {
		const char *name;
		uint32_t kb, max_kb;
	} caches[] = {
		{"L1 data", t->caches.l1d_kb, KTSTR_MAX_L1_KB},
		{"L1 instruction", t->caches.l1i_kb, KTSTR_MAX_L1_KB},
		{"L2", t->caches.l2_kb, KTSTR_MAX_L2_KB},
		{"L3", t->caches.l3_kb, KTSTR_MAX_L3_KB},
	};
	size_t i;
	int err;

	for (i = 0; i < sizeof(caches) / sizeof(caches[0]); i++) {
		if (caches[i].kb <= caches[i].max_kb)
			continue;
		err = refuse(t, error, "the %s cache of %u KiB is too large", caches[i].name,
			     caches[i].kb);
		ktstr_error__hint(error, "CPUID and Linux can tell up to %u KiB", caches[i].max_kb);
		return err;
	}
	return 0;
}

static int check_capacities(const struct ktstr_topology *t, struct ktstr_error *error)
{
	uint32_t i;
	int err;

	for (i = 0; t->capacities && i < t->llcs * t->cores_per_llc; i++) {
		if (t->capacities[i] && t->capacities[i] <= KTSTR_MAX_CAPACITY)
			continue;
		err = refuse(t, error, "the capacity of core %u is %u", i, t->capacities[i]);
		ktstr_error__hint(error, "a capacity is 1 to %u, which the fastest cores have",
				  KTSTR_MAX_CAPACITY);
		return err;
	}
	return 0;
}

int ktstr_topology__validate(const struct ktstr_topology *topology, struct ktstr_error *error)
{
	static int (*const checks[])(const struct ktstr_topology *, struct ktstr_error *) = {
		check_counts,	 check_nodes,	  check_packages, check_linux_packages,
		check_distances, check_latencies, check_caches,	  check_capacities,
	};
	size_t i;
	int err = 0;

	for (i = 0; i < sizeof(checks) / sizeof(checks[0]) && !err; i++)
		err = checks[i](topology, error);
	return err;
}

int ktstr_topology__memory_mb(const struct ktstr_topology *topology, uint32_t memory_mb,
			      uint32_t *total_mb, struct ktstr_error *error)
{
	uint64_t said = 0, least;
	uint32_t shares = 0, i;
	int err;

	for (i = 0; i < topology->numa_nodes; i++) {
		uint32_t of_node = topology->nodes ? topology->nodes[i].memory_mb : 0;

		said += of_node;
		shares += !of_node;
	}
	if (!memory_mb)
		memory_mb = shares ? KTSTR_DEFAULT_MEMORY_MB : (uint32_t)said;
	*total_mb = memory_mb;
	least = said + (uint64_t)shares * KTSTR_MIN_NODE_MEMORY_MB;
	if (said > memory_mb || (!shares && said != memory_mb)) {
		err = refuse(topology, error,
			     "the nodes have %llu MiB of memory, but the machine %u",
			     (unsigned long long)said, memory_mb);
		ktstr_error__hint(error, "give the machine the sum of the nodes', or nothing where "
					 "each node says its own");
		return err;
	}
	if (memory_mb < least) {
		err = refuse(
			topology, error, "%llu MiB of memory are too little for %u NUMA node%s",
			(unsigned long long)(memory_mb - said), shares, shares == 1 ? "" : "s");
		ktstr_error__hint(error, "give the machine %llu MiB or more (%u a node)",
				  (unsigned long long)least, KTSTR_MIN_NODE_MEMORY_MB);
		return err;
	}
	return 0;
}

bool topology__read_number(const char **text, uint32_t *number)
{
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return false;
	for (*number = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*number, 10u, number) ||
		    __builtin_add_overflow(*number, (uint32_t)(*p - '0'), number))
			return false;
	*text = p;
	return true;
}

static int not_a_topology(const char *text, struct ktstr_error *error)
{
	int err = ktstr_error__set(error, EINVAL, "topology", text, "not a topology");

	ktstr_error__hint(error,
			  "write NODESn LLCSl CORESc THREADSt, and PACKAGESp if you like, without "
			  "spaces, as in 1n2l4c2t (LLCs and packages of the machine, cores of an "
			  "LLC, threads of a core)");
	return err;
}

int topology__read(const char *text, struct ktstr_topology *topology, struct topology_has *has,
		   struct ktstr_error *error)
{
	struct ktstr_topology read = TOPO(1, 1, 1, 1);
	const struct {
		char letter;
		uint32_t *count;
	} fields[] = {
		{'n', &read.numa_nodes},       {'l', &read.llcs},     {'c', &read.cores_per_llc},
		{'t', &read.threads_per_core}, {'p', &read.packages},
	};
	const unsigned int nr_fields = sizeof(fields) / sizeof(fields[0]);
	bool seen[sizeof(fields) / sizeof(fields[0])] = {false};
	const char *p = text;

	if (!*p)
		return not_a_topology(text, error);
	while (*p) {
		uint32_t count;
		unsigned int i;

		if (!topology__read_number(&p, &count))
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
	if (has)
		*has = (struct topology_has){.nodes = seen[0], .llcs = seen[1]};
	*topology = read;
	return 0;
}

int ktstr_topology__parse(const char *text, struct ktstr_topology *topology,
			  struct ktstr_error *error)
{
	struct ktstr_topology read = TOPO(1, 1, 1, 1);
	int err = topology__read(text, &read, NULL, error);

	if (!err)
		err = ktstr_topology__validate(&read, error);
	if (!err)
		*topology = read;
	return err;
}
