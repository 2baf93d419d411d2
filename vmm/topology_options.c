// SPDX-License-Identifier: GPL-2.0-only
/* A topology as options of a command line, both ways: --topology, --node, --distance, --cache,
 * --capacity. */
#include "topology.h"

#include <ktstr/gauntlet.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A "key=number" of an option, with the least number that makes sense. */
struct field {
	const char *key;
	uint32_t *value;
	uint32_t least;
};

#define MAX_FIELDS 5u

static int refuse(const char *option, const char *value, const char *reason, const char *remedy,
		  struct ktstr_error *error)
{
	int err = ktstr_error__set(error, EINVAL, option, value, "%s", reason);

	ktstr_error__hint(error, "%s", remedy);
	return err;
}

static int zero(const char *option, const char *value, const char *key, struct ktstr_error *error)
{
	int err = ktstr_error__set(error, EINVAL, option, value, "%s cannot be 0", key);

	ktstr_error__hint(error, "leave it out for the default");
	return err;
}

/* Moves behind @word. False: something else is there. */
static bool skip(const char **text, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*text, word, length))
		return false;
	*text += length;
	return true;
}

static bool read_field(const char **text, const struct field *field, uint32_t *number)
{
	const char *p = *text;

	if (!skip(&p, field->key) || !skip(&p, "=") || !topology__read_number(&p, number) ||
	    (*p && *p != ','))
		return false;
	*text = p;
	return true;
}

/* Reads "key=number,..." into @fields, each at most once and one at least. */
static int read_fields(const char *option, const char *value, const struct field *fields,
		       unsigned int nr, const char *form, struct ktstr_error *error)
{
	bool seen[MAX_FIELDS] = {false};
	uint32_t read[MAX_FIELDS];
	const char *p = value;
	unsigned int i;

	do {
		for (i = 0; i < nr && !read_field(&p, &fields[i], &read[i]); i++)
			;
		if (i == nr)
			return refuse(option, value, "not of the option's form", form, error);
		if (seen[i])
			return refuse(option, value, "the same is given twice", form, error);
		if (read[i] < fields[i].least)
			return zero(option, value, fields[i].key, error);
		seen[i] = true;
	} while (skip(&p, ","));
	for (i = 0; i < nr; i++)
		if (seen[i])
			*fields[i].value = read[i];
	return 0;
}

static int add_node(struct ktstr_topology_options *o, const char *value, struct ktstr_error *error)
{
	struct ktstr_numa_node node = {.llcs = 1};
	const struct field fields[MAX_FIELDS] = {
		{"llcs", &node.llcs, 0},	  {"memory", &node.memory_mb, 1},
		{"latency", &node.latency_ns, 1}, {"bandwidth", &node.bandwidth_mbs, 1},
		{"cache", &node.cache_mb, 0},
	};
	int err;

	err = read_fields("node", value, fields, MAX_FIELDS,
			  "write llcs=N,memory=MIB,latency=NS,bandwidth=MBS,cache=MIB, or some of "
			  "these",
			  error);
	if (err)
		return err;
	if (o->nr_nodes == KTSTR_MAX_NUMA_NODES) {
		err = ktstr_error__set(error, EINVAL, "node", value, "too many NUMA nodes");
		ktstr_error__hint(error, "at most %u are possible", KTSTR_MAX_NUMA_NODES);
		return err;
	}
	o->nodes[o->nr_nodes++] = node;
	return 0;
}

static int add_distance(struct ktstr_topology_options *o, const char *value,
			struct ktstr_error *error)
{
	const char *p = value;
	uint32_t from, to, distance;

	if (!topology__read_number(&p, &from) || !skip(&p, ",") ||
	    !topology__read_number(&p, &to) || !skip(&p, "=") ||
	    !topology__read_number(&p, &distance) || *p || distance > UINT8_MAX)
		return refuse("distance", value, "not a distance",
			      "write NODE,NODE=DISTANCE, as in 0,1=17 (10 is a node's to itself)",
			      error);
	if (o->nr_distances == sizeof(o->given) / sizeof(o->given[0]))
		return refuse("distance", value, "too many distances", "give each once", error);
	o->given[o->nr_distances].from = from;
	o->given[o->nr_distances].to = to;
	o->given[o->nr_distances++].value = (uint8_t)distance;
	return 0;
}

static int add_cache(struct ktstr_topology_options *o, const char *value, struct ktstr_error *error)
{
	struct ktstr_caches *caches = &o->topology.caches;
	const struct field fields[] = {
		{"l1d", &caches->l1d_kb, 1},
		{"l1i", &caches->l1i_kb, 1},
		{"l2", &caches->l2_kb, 1},
		{"l3", &caches->l3_kb, 1},
	};

	return read_fields("cache", value, fields, 4,
			   "write l1d=KIB,l1i=KIB,l2=KIB,l3=KIB, or some of these", error);
}

static int add_capacity(struct ktstr_topology_options *o, const char *value,
			struct ktstr_error *error)
{
	const char *p = value;
	uint32_t first, last, capacity;
	int err;

	if (!topology__read_number(&p, &first))
		goto no_capacity;
	last = first;
	if ((skip(&p, "-") && !topology__read_number(&p, &last)) || !skip(&p, "=") ||
	    !topology__read_number(&p, &capacity) || *p || last < first)
		goto no_capacity;
	if (!capacity || capacity > KTSTR_MAX_CAPACITY)
		return refuse("capacity", value, "not from 1 to 1024",
			      "1024 is what the fastest cores have", error);
	if (last >= KTSTR_MAX_CPUS) {
		err = ktstr_error__set(error, EINVAL, "capacity", value, "there is no core %u",
				       last);
		ktstr_error__hint(error, "a machine has at most %u CPUs", KTSTR_MAX_CPUS);
		return err;
	}
	for (uint32_t i = first; i <= last; i++)
		if (o->capacities[i] && o->capacities[i] != capacity) {
			err = ktstr_error__set(error, EINVAL, "capacity", value,
					       "another option says that core %u has %u", i,
					       o->capacities[i]);
			ktstr_error__hint(error, "give each core once");
			return err;
		}
	for (uint32_t i = first; i <= last; i++)
		o->capacities[i] = capacity;
	o->nr_capacities = last >= o->nr_capacities ? last + 1 : o->nr_capacities;
	return 0;
no_capacity:
	return refuse("capacity", value, "not a capacity",
		      "write CORE=CAPACITY or FIRST-LAST=CAPACITY, as in 4-7=446", error);
}

int ktstr_topology_options__add(struct ktstr_topology_options *options, const char *name,
				const char *value, struct ktstr_error *error)
{
	struct ktstr_topology form;
	int err;

	if (!strcmp(name, "node"))
		return add_node(options, value, error);
	if (!strcmp(name, "distance"))
		return add_distance(options, value, error);
	if (!strcmp(name, "cache"))
		return add_cache(options, value, error);
	if (!strcmp(name, "capacity"))
		return add_capacity(options, value, error);
	if (strcmp(name, "topology") != 0) {
		err = ktstr_error__set(error, ENOENT, "topology", name, "no option of a topology");
		ktstr_error__hint(error, "give topology, node, distance, cache or capacity");
		return err;
	}
	err = ktstr_preset__find(value) ? 0 : topology__read(value, &form, NULL, error);
	if (!err)
		options->text = value;
	return err;
}

/* The machine of that name; its caches are those of the options. */
static int take_preset(struct ktstr_topology_options *o, const struct ktstr_preset *preset,
		       struct ktstr_error *error)
{
	const struct ktstr_caches caches = o->topology.caches;

	if (o->nr_nodes || o->nr_distances)
		return refuse("topology", preset->name, "its nodes and distances are its own",
			      "leave out --node and --distance", error);
	o->topology = preset->topology;
	o->topology.caches = caches;
	return 0;
}

/* The counts, from the compact form and the nodes. */
static int finish_counts(struct ktstr_topology_options *o, struct ktstr_error *error)
{
	struct ktstr_topology *t = &o->topology;
	struct ktstr_caches caches = t->caches;
	const struct ktstr_preset *preset = o->text ? ktstr_preset__find(o->text) : NULL;
	struct topology_has has = {false, false};
	uint64_t llcs = 0;
	uint32_t i;
	int err;

	if (preset)
		return take_preset(o, preset, error);
	*t = TOPO(1, 1, 1, 1);
	err = o->text ? topology__read(o->text, t, &has, error) : 0;
	t->caches = caches;
	if (err || !o->nr_nodes)
		return err;
	if (has.nodes && t->numa_nodes != o->nr_nodes) {
		err = ktstr_error__set(error, EINVAL, "topology", o->text,
				       "%u NUMA nodes, but --node is given %u times", t->numa_nodes,
				       o->nr_nodes);
		ktstr_error__hint(error, "give it once for each node, or leave out the n");
		return err;
	}
	for (i = 0; i < o->nr_nodes; i++)
		llcs += o->nodes[i].llcs;
	t->numa_nodes = o->nr_nodes;
	if (!has.llcs)
		t->llcs = llcs > UINT32_MAX ? UINT32_MAX : (uint32_t)llcs;
	t->nodes = o->nodes;
	return 0;
}

static int take_distance(struct ktstr_topology_options *o, uint32_t index, uint64_t *given,
			 struct ktstr_error *error)
{
	uint32_t n = o->topology.numa_nodes;
	uint32_t from = o->given[index].from, to = o->given[index].to;
	uint8_t value = o->given[index].value;
	char text[32];
	int err;

	snprintf(text, sizeof(text), "%u,%u=%u", from, to, value);
	if (from >= n || to >= n) {
		err = ktstr_error__set(error, EINVAL, "distance", text, "there is no node %u",
				       from >= n ? from : to);
		ktstr_error__hint(error, "the nodes are 0 to %u", n - 1);
		return err;
	}
	if (given[from] >> to & 1 && o->distances[from * n + to] != value) {
		err = ktstr_error__set(error, EINVAL, "distance", text,
				       "another option says that it is %u",
				       o->distances[from * n + to]);
		ktstr_error__hint(error, "a distance holds both ways: give it once");
		return err;
	}
	o->distances[from * n + to] = o->distances[to * n + from] = value;
	given[from] |= UINT64_C(1) << to;
	given[to] |= UINT64_C(1) << from;
	return 0;
}

/* The matrix, once the number of nodes is known. */
static int finish_distances(struct ktstr_topology_options *o, struct ktstr_error *error)
{
	uint64_t given[KTSTR_MAX_NUMA_NODES] = {0}; /* by row, a bit a column */
	uint32_t n = o->topology.numa_nodes, i;
	int err = 0;

	_Static_assert(KTSTR_MAX_NUMA_NODES <= 64, "a bit a node");
	if (!o->nr_distances || !n || n > KTSTR_MAX_NUMA_NODES)
		return 0;
	for (i = 0; i < n * n; i++)
		o->distances[i] = topology__distance(&o->topology, i / n, i % n);
	for (i = 0; i < o->nr_distances && !err; i++)
		err = take_distance(o, i, given, error);
	o->topology.distances = o->distances;
	return err;
}

/* Once the number of cores is known. */
static int finish_capacities(struct ktstr_topology_options *o, struct ktstr_error *error)
{
	uint64_t cores = (uint64_t)o->topology.llcs * o->topology.cores_per_llc;
	int err;

	/* Counts that are impossible are refused for that. */
	if (!o->nr_capacities || !cores || cores > KTSTR_MAX_CPUS)
		return 0;
	if (o->nr_capacities > cores) {
		err = ktstr_error__set(error, EINVAL, "capacity", NULL, "there is no core %u",
				       o->nr_capacities - 1);
		ktstr_error__hint(error, "the cores are 0 to %u", (uint32_t)cores - 1);
		return err;
	}
	for (uint32_t i = 0; i < cores; i++)
		if (!o->capacities[i])
			o->capacities[i] = KTSTR_MAX_CAPACITY;
	o->topology.capacities = o->capacities;
	return 0;
}

int ktstr_topology_options__finish(struct ktstr_topology_options *options,
				   struct ktstr_error *error)
{
	int err = finish_counts(options, error);

	if (!err)
		err = finish_distances(options, error);
	if (!err)
		err = finish_capacities(options, error);
	return err ? err : ktstr_topology__validate(&options->topology, error);
}

/* ---- Writing ---- */

struct out {
	char *buf;
	size_t size, length; /* @length: also of what did not fit */
};

static void __attribute__((format(printf, 2, 3))) put(struct out *out, const char *format, ...)
{
	size_t room = out->length < out->size ? out->size - out->length : 0;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(room ? out->buf + out->length : NULL, room, format, ap);
	va_end(ap);
	out->length += n > 0 ? (size_t)n : 0;
}

/* Nothing for a 0, which stands for the default. */
static void put_field(struct out *out, const char *before, const char *key, uint32_t value)
{
	if (value)
		put(out, "%s%s=%u", before, key, value);
}

static void put_caches(struct out *out, const struct ktstr_caches *caches)
{
	const struct field fields[] = {
		{"l1d", &(uint32_t){caches->l1d_kb}, 1},
		{"l1i", &(uint32_t){caches->l1i_kb}, 1},
		{"l2", &(uint32_t){caches->l2_kb}, 1},
		{"l3", &(uint32_t){caches->l3_kb}, 1},
	};
	const char *before = " --cache ";
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		put_field(out, before, fields[i].key, *fields[i].value);
		if (*fields[i].value)
			before = ",";
	}
}

/* Cores of one capacity in one option. */
static void put_capacities(struct out *out, const struct ktstr_topology *t)
{
	uint32_t cores = t->llcs * t->cores_per_llc, first, i;

	for (first = 0; t->capacities && first < cores; first = i) {
		for (i = first + 1; i < cores && t->capacities[i] == t->capacities[first];)
			i++;
		put(out, " --capacity %u", first);
		if (i > first + 1)
			put(out, "-%u", i - 1);
		put(out, "=%u", t->capacities[first]);
	}
}

int ktstr_topology__format_options(const struct ktstr_topology *topology, char *buf, size_t size)
{
	struct out out = {.buf = buf, .size = size};
	char text[80];
	uint32_t i, j;

	ktstr_topology__format(topology, text, sizeof(text));
	put(&out, "--topology %s", text);
	for (i = 0; topology->nodes && i < topology->numa_nodes; i++) {
		const struct ktstr_numa_node *node = &topology->nodes[i];

		put(&out, " --node llcs=%u", node->llcs);
		put_field(&out, ",", "memory", node->memory_mb);
		put_field(&out, ",", "latency", node->latency_ns);
		put_field(&out, ",", "bandwidth", node->bandwidth_mbs);
		put_field(&out, ",", "cache", node->cache_mb);
	}
	for (i = 0; topology->distances && i < topology->numa_nodes; i++)
		for (j = i + 1; j < topology->numa_nodes; j++)
			if (topology__distance(topology, i, j) != KTSTR_DISTANCE_REMOTE)
				put(&out, " --distance %u,%u=%u", i, j,
				    topology__distance(topology, i, j));
	put_caches(&out, &topology->caches);
	put_capacities(&out, topology);
	return (int)out.length;
}
