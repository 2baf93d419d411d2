// SPDX-License-Identifier: GPL-2.0-only
/*
 * The picture of a topology: packages, nodes and LLCs as a tree with a line for each LLC, then a
 * table of the nodes. CPUs are ranges, and what would be wider or longer than a screen is shortened
 * where nothing is lost: the cores of an LLC to the first and the last, the LLCs of a node to the
 * first, the ones that are alike, and the last.
 */
#include "topo_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 100u
#define LABEL_WIDTH 22
#define MAX_LIST 41u	/* columns of a list of CPUs */
#define COUNT_WIDTH 15u /* " ... 128 cores" */
#define MAX_LLC_LINES 16u
#define FIRST_LLC_LINES 3u
/* Nodes whose distances fit beside what else is said of them. */
#define MAX_MATRIX 9u

int topo_view__of_layout(const struct layout *l, struct topo_view *view, struct ktstr_error *error)
{
	*view = (struct topo_view){.nr_cpus = l->nr_cpus, .nr_nodes = l->nr_nodes};
	view->cpus = calloc(l->nr_cpus, sizeof(*view->cpus));
	view->nodes = calloc(l->nr_nodes, sizeof(*view->nodes));
	view->distances = calloc((size_t)l->nr_nodes * l->nr_nodes, sizeof(*view->distances));
	if (!view->cpus || !view->nodes || !view->distances) {
		topo_view__destroy(view);
		return ktstr_error__set(error, ENOMEM, "allocate", "picture", NULL);
	}
	for (uint32_t i = 0; i < l->nr_cpus; i++)
		view->cpus[i] = (struct topo_cpu){i,
						  l->cpus[i].package,
						  l->cpus[i].node,
						  l->cpus[i].llc,
						  l->cpus[i].core,
						  l->capacities ? l->capacities[i] : 0};
	for (uint32_t i = 0; i < l->nr_nodes; i++)
		view->nodes[i] = (struct topo_node){
			.id = i,
			.memory_kb = l->nodes[i].memory >> 10,
			.cache_kb = l->nodes[i].cache >> 10,
			.latency_ns = l->nodes[i].latency_ns,
			.bandwidth_mbs = l->nodes[i].bandwidth_mbs,
		};
	for (uint32_t i = 0; i < l->nr_nodes * l->nr_nodes; i++)
		view->distances[i] = l->distances[i];
	return 0;
}

void topo_view__destroy(struct topo_view *view)
{
	free(view->cpus);
	free(view->nodes);
	free(view->distances);
	*view = (struct topo_view){0};
}

/* ---- CPUs by place ---- */

enum level { PACKAGE, NODE, LLC, CORE };

/* CPUs of a package, node, LLC or core: @nr from @cpus[@first] on. */
struct group {
	uint32_t first, nr;
};

static uint32_t id_at(const struct topo_cpu *cpu, enum level level)
{
	switch (level) {
	case PACKAGE:
		return cpu->package;
	case NODE:
		return cpu->node;
	case LLC:
		return cpu->llc;
	default:
		return cpu->core;
	}
}

static int by_place(const void *left, const void *right)
{
	const struct topo_cpu *a = left, *b = right;

	for (enum level level = PACKAGE; level <= CORE; level++)
		if (id_at(a, level) != id_at(b, level))
			return id_at(a, level) < id_at(b, level) ? -1 : 1;
	return a->cpu < b->cpu ? -1 : a->cpu > b->cpu;
}

static bool same(const struct topo_cpu *a, const struct topo_cpu *b, enum level level)
{
	for (enum level l = PACKAGE; l <= level; l++)
		if (id_at(a, l) != id_at(b, l))
			return false;
	return true;
}

/* The next group of @level inside @in, which is moved behind it. False: there is none. */
static bool next_group(const struct topo_view *v, enum level level, struct group *in,
		       struct group *out)
{
	*out = (struct group){in->first, 0};
	while (out->nr < in->nr &&
	       same(&v->cpus[out->first], &v->cpus[out->first + out->nr], level))
		out->nr++;
	in->first += out->nr;
	in->nr -= out->nr;
	return out->nr > 0;
}

static uint32_t count_groups(const struct topo_view *v, enum level level, struct group in)
{
	struct group g;
	uint32_t nr = 0;

	while (next_group(v, level, &in, &g))
		nr++;
	return nr;
}

/* ---- Lists of CPUs ---- */

static int by_number(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

/* Writes "0-3,8,10-11" into @buf; from @limit columns on "..." stands for the rest. */
static void format_list(uint32_t *cpus, uint32_t nr, size_t limit, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	qsort(cpus, nr, sizeof(*cpus), by_number);
	for (uint32_t i = 0, last; i < nr; i = last + 1) {
		char range[32];

		for (last = i; last + 1 < nr && cpus[last + 1] == cpus[last] + 1;)
			last++;
		if (last > i)
			snprintf(range, sizeof(range), "%u-%u", cpus[i], cpus[last]);
		else
			snprintf(range, sizeof(range), "%u", cpus[i]);
		if (used + strlen(range) + 5 > limit) {
			snprintf(buf + used, size - used, ",...");
			return;
		}
		snprintf(buf + used, size - used, "%s%s", used ? "," : "", range);
		used = strlen(buf);
	}
}

static void format_group(const struct topo_view *v, struct group g, char *buf, size_t size)
{
	uint32_t *cpus = calloc(g.nr ? g.nr : 1, sizeof(*cpus));

	snprintf(buf, size, "%s", "-");
	if (!cpus || !g.nr) {
		free(cpus);
		return;
	}
	for (uint32_t i = 0; i < g.nr; i++)
		cpus[i] = v->cpus[g.first + i].cpu;
	format_list(cpus, g.nr, MAX_LIST, buf, size);
	free(cpus);
}

static void format_node(const struct topo_view *v, uint32_t node, char *buf, size_t size)
{
	uint32_t *cpus = calloc(v->nr_cpus ? v->nr_cpus : 1, sizeof(*cpus)), nr = 0;

	for (uint32_t i = 0; cpus && i < v->nr_cpus; i++)
		if (v->cpus[i].node == node)
			cpus[nr++] = v->cpus[i].cpu;
	snprintf(buf, size, "%s", "-");
	if (nr)
		format_list(cpus, nr, MAX_LIST, buf, size);
	free(cpus);
}

/* ---- The tree ---- */

static void print_count(FILE *to, const char *before, uint32_t nr, const char *what)
{
	fprintf(to, "%s%u %s%s", before, nr, what, nr == 1 ? "" : "s");
}

static const char *format_size(uint64_t kb, char *buf, size_t size)
{
	if (!kb)
		snprintf(buf, size, "-");
	else if (kb % 1024)
		snprintf(buf, size, "%" PRIu64 " KiB", kb);
	else
		snprintf(buf, size, "%" PRIu64 " MiB", kb >> 10);
	return buf;
}

static void print_summary(const struct topo_view *v, FILE *to)
{
	const struct ktstr_caches *c = &v->caches;
	struct group all = {0, v->nr_cpus};
	uint32_t cores = count_groups(v, CORE, all);
	uint64_t memory_kb = 0;
	char a[32], b[32];

	print_count(to, "", v->nr_cpus, "CPU");
	print_count(to, ": ", count_groups(v, PACKAGE, all), "package");
	print_count(to, ", ", v->nr_nodes, "NUMA node");
	print_count(to, ", ", count_groups(v, LLC, all), "LLC");
	print_count(to, ", ", cores, "core");
	for (uint32_t i = 0; i < v->nr_nodes; i++)
		memory_kb += v->nodes[i].memory_kb;
	if (memory_kb)
		fprintf(to, ", %" PRIu64 " MiB", memory_kb >> 10);
	putc('\n', to);
	if (!c->l1d_kb && !c->l1i_kb && !c->l2_kb && !c->l3_kb)
		return;
	fprintf(to, "a core: L1d %s, L1i %s", format_size(c->l1d_kb, a, sizeof(a)),
		format_size(c->l1i_kb, b, sizeof(b)));
	fprintf(to, ", L2 %s; an LLC: L3 %s\n", format_size(c->l2_kb, a, sizeof(a)),
		format_size(c->l3_kb, b, sizeof(b)));
}

/* "  node 0               CPUs 0-7"; returns the columns. */
static int print_place(FILE *to, int depth, const char *label, const char *cpus)
{
	return fprintf(to, "%*s%-*s CPUs %s", depth * 2, "", LABEL_WIDTH - depth * 2, label, cpus);
}

/* " [0-1] [2-3] ... [30-31] 16 cores" in the columns that are left. */
static void print_cores(const struct topo_view *v, struct group in, int column, FILE *to)
{
	uint32_t cores = count_groups(v, CORE, in), fit, shown = 0, width = 3;
	char text[MAX_LIST + 16];
	struct group rest = in, core;

	while (next_group(v, CORE, &rest, &core)) {
		format_group(v, core, text, sizeof(text));
		if (strlen(text) + 3 > width)
			width = (uint32_t)strlen(text) + 3;
	}
	fit = (uint32_t)column < WIDTH ? (WIDTH - (uint32_t)column) / width : 0;
	if (cores > fit) /* room for the dots and the count; the first and the last stay */
		fit = fit > 2 + COUNT_WIDTH / width ? fit - COUNT_WIDTH / width - 1 : 2;
	while (next_group(v, CORE, &in, &core)) {
		bool last = ++shown == cores;

		if (!last && shown >= fit) {
			if (shown == fit)
				fputs(" ...", to);
			continue;
		}
		format_group(v, core, text, sizeof(text));
		fprintf(to, " [%s]", text);
	}
	if (cores > fit)
		fprintf(to, " %u cores", cores);
	putc('\n', to);
}

/* @number: of the first LLC, counted over the machine; @nr of them are in @g. */
static void print_llcs(const struct topo_view *v, struct group g, uint32_t number, uint32_t nr,
		       int depth, FILE *to)
{
	char label[48], cpus[MAX_LIST + 16];
	int column;

	if (nr > 1)
		snprintf(label, sizeof(label), "LLCs %u-%u", number, number + nr - 1);
	else
		snprintf(label, sizeof(label), "LLC %u", number);
	format_group(v, g, cpus, sizeof(cpus));
	column = print_place(to, depth, label, cpus);
	if (nr > 1) {
		print_count(to, ", each ", g.nr / nr, "CPU");
		print_count(to, " of ", count_groups(v, CORE, g) / nr, "core");
		putc('\n', to);
		return;
	}
	column += fprintf(to, "%*s", column < 42 ? 42 - column : 1, "");
	print_cores(v, g, column, to);
}

/* Whether the LLCs of @in have as many CPUs and cores each. */
static bool are_alike(const struct topo_view *v, struct group in)
{
	struct group first, g, rest = in;

	if (!next_group(v, LLC, &rest, &first))
		return false;
	while (next_group(v, LLC, &rest, &g))
		if (g.nr != first.nr || count_groups(v, CORE, g) != count_groups(v, CORE, first))
			return false;
	return true;
}

static void print_node_llcs(const struct topo_view *v, struct group in, uint32_t *number, int depth,
			    FILE *to)
{
	uint32_t llcs = count_groups(v, LLC, in), done = 0;
	bool shorten = llcs > MAX_LLC_LINES && are_alike(v, in);
	struct group g, middle = {0, 0};

	while (next_group(v, LLC, &in, &g)) {
		done++;
		if (shorten && done > FIRST_LLC_LINES && done < llcs) {
			if (!middle.nr)
				middle.first = g.first;
			middle.nr += g.nr;
			if (done + 1 < llcs)
				continue;
			print_llcs(v, middle, *number, llcs - FIRST_LLC_LINES - 1, depth, to);
			*number += llcs - FIRST_LLC_LINES - 1;
			continue;
		}
		print_llcs(v, g, (*number)++, 1, depth, to);
	}
}

static void print_tree(const struct topo_view *v, FILE *to)
{
	struct group all = {0, v->nr_cpus}, package, node;
	uint32_t llc = 0;

	while (next_group(v, PACKAGE, &all, &package)) {
		bool several = count_groups(v, NODE, package) > 1;
		char label[48], cpus[MAX_LIST + 16];

		putc('\n', to);
		if (several) {
			snprintf(label, sizeof(label), "package %u",
				 v->cpus[package.first].package);
			format_group(v, package, cpus, sizeof(cpus));
			print_place(to, 0, label, cpus);
			putc('\n', to);
		}
		while (next_group(v, NODE, &package, &node)) {
			if (several)
				snprintf(label, sizeof(label), "node %u", v->cpus[node.first].node);
			else
				snprintf(label, sizeof(label), "package %u, node %u",
					 v->cpus[node.first].package, v->cpus[node.first].node);
			format_group(v, node, cpus, sizeof(cpus));
			print_place(to, several, label, cpus);
			putc('\n', to);
			print_node_llcs(v, node, &llc, several + 1, to);
		}
	}
}

/* ---- The nodes ---- */

static void format_figure(uint32_t value, const char *unit, char *buf, size_t size)
{
	if (value)
		snprintf(buf, size, "%u %s", value, unit);
	else
		snprintf(buf, size, "-");
}

static void print_nodes(const struct topo_view *v, FILE *to)
{
	bool matrix = v->nr_nodes > 1 && v->nr_nodes <= MAX_MATRIX && v->distances[0];
	int cpus_width = 4;
	char text[MAX_LIST + 16], size[32];

	for (uint32_t i = 0; i < v->nr_nodes; i++) {
		format_node(v, v->nodes[i].id, text, sizeof(text));
		if ((int)strlen(text) > cpus_width)
			cpus_width = (int)strlen(text);
	}
	fprintf(to, "\nnode %12s %10s %13s %10s  %-*s", "memory", "latency", "bandwidth", "cache",
		matrix ? cpus_width : 0, "CPUs");
	for (uint32_t i = 0; matrix && i < v->nr_nodes; i++)
		fprintf(to, "%s%4u", i ? "" : "  distance to", v->nodes[i].id);
	putc('\n', to);
	for (uint32_t i = 0; i < v->nr_nodes; i++) {
		const struct topo_node *n = &v->nodes[i];

		fprintf(to, "%4u %12s", n->id, format_size(n->memory_kb, size, sizeof(size)));
		format_figure(n->latency_ns, "ns", text, sizeof(text));
		fprintf(to, " %10s", text);
		format_figure(n->bandwidth_mbs, "MB/s", text, sizeof(text));
		fprintf(to, " %13s", text);
		format_node(v, n->id, text, sizeof(text));
		fprintf(to, " %10s  %-*s", format_size(n->cache_kb, size, sizeof(size)),
			matrix ? cpus_width : 0, text);
		for (uint32_t j = 0; matrix && j < v->nr_nodes; j++)
			fprintf(to, "%*u", j ? 4 : 17, v->distances[i * v->nr_nodes + j]);
		putc('\n', to);
	}
}

/* "   0  10 to 0; 20 to 1-63", for more nodes than a matrix can show. */
static void print_distances(const struct topo_view *v, FILE *to)
{
	uint32_t *ids = calloc(v->nr_nodes, sizeof(*ids));

	if (!ids)
		return;
	fputs("\ndistances\n", to);
	for (uint32_t i = 0; i < v->nr_nodes; i++) {
		const uint32_t *row = &v->distances[i * v->nr_nodes];
		uint32_t after = 0, next, nr;
		bool first = true;
		char text[MAX_LIST + 16];

		fprintf(to, "%4u ", v->nodes[i].id);
		do {
			next = UINT32_MAX;
			for (uint32_t j = 0; j < v->nr_nodes; j++)
				if (row[j] > after && row[j] < next)
					next = row[j];
			nr = 0;
			for (uint32_t j = 0; j < v->nr_nodes; j++)
				if (row[j] == next)
					ids[nr++] = v->nodes[j].id;
			if (nr) {
				format_list(ids, nr, MAX_LIST, text, sizeof(text));
				fprintf(to, "%s %u to %s", first ? "" : ";", next, text);
			}
			first = false;
			after = next;
		} while (nr);
		putc('\n', to);
	}
	free(ids);
}

/* The largest first; nothing where all CPUs are alike. */
static void print_capacities(const struct topo_view *v, FILE *to)
{
	uint32_t *ids = calloc(v->nr_cpus, sizeof(*ids)), below = UINT32_MAX, next, nr;
	char text[MAX_LIST + 16];

	while (ids) {
		next = 0;
		nr = 0;
		for (uint32_t i = 0; i < v->nr_cpus; i++)
			if (v->cpus[i].capacity < below && v->cpus[i].capacity > next)
				next = v->cpus[i].capacity;
		for (uint32_t i = 0; i < v->nr_cpus; i++)
			if (v->cpus[i].capacity == next)
				ids[nr++] = v->cpus[i].cpu;
		if (!next || (below == UINT32_MAX && nr == v->nr_cpus))
			break;
		format_list(ids, nr, MAX_LIST, text, sizeof(text));
		fprintf(to, "%s%8u  %s\n", below == UINT32_MAX ? "\ncapacity  CPUs\n" : "", next,
			text);
		below = next;
	}
	free(ids);
}

void topo_view__print(struct topo_view *view, FILE *to)
{
	qsort(view->cpus, view->nr_cpus, sizeof(*view->cpus), by_place);
	print_summary(view, to);
	print_tree(view, to);
	print_nodes(view, to);
	if (view->nr_nodes > MAX_MATRIX && view->distances[0])
		print_distances(view, to);
	print_capacities(view, to);
}
