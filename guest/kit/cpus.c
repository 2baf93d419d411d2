// SPDX-License-Identifier: GPL-2.0-only
/* CPU sets and the machine's topology as the guest's kernel sees it; see cpus.h. */
#include "cpus.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../config.h"

#define MAX_CACHES 8u /* index0 to index7 of a CPU */

uint32_t cpu_bits__count(const struct cpu_bits *bits)
{
	uint32_t nr = 0;

	for (size_t i = 0; i < KTSTR_MAX_CPUS / 64; i++)
		nr += (uint32_t)__builtin_popcountll(bits->words[i]);
	return nr;
}

void cpu_bits__intersect(struct cpu_bits *bits, const struct cpu_bits *with)
{
	for (size_t i = 0; i < KTSTR_MAX_CPUS / 64; i++)
		bits->words[i] &= with->words[i];
}

size_t cpu_bits__format(const struct cpu_bits *bits, char *text, size_t size)
{
	size_t length = 0;

	if (size)
		*text = '\0';
	for (uint32_t first = 0, last; first < KTSTR_MAX_CPUS; first = last + 1) {
		size_t left = length < size ? size - length : 0;
		const char *comma = length ? "," : "";

		last = first;
		if (!cpu_bits__has(bits, first))
			continue;
		while (cpu_bits__has(bits, last + 1))
			last++;
		length +=
			(size_t)(first == last ? snprintf(text + length, left, "%s%u", comma, first)
					       : snprintf(text + length, left, "%s%u-%u", comma,
							  first, last));
	}
	return length;
}

/* A number of at most five digits, or -1. */
static int32_t take_number(const char **at)
{
	int32_t value = 0;
	const char *p = *at;

	while (isdigit((unsigned char)*p) && p - *at < 5)
		value = value * 10 + (*p++ - '0');
	if (p == *at || isdigit((unsigned char)*p))
		return -1;
	*at = p;
	return value;
}

int cpu_bits__parse(const char *text, struct cpu_bits *bits)
{
	*bits = (struct cpu_bits){.words = {0}};
	if (!*text)
		return 0;
	for (;;) {
		int32_t first = take_number(&text), last = first;

		if (*text == '-') {
			text++;
			last = take_number(&text);
		}
		if (first < 0 || last < first || last >= (int32_t)KTSTR_MAX_CPUS)
			return -EINVAL;
		for (; first <= last; first++)
			cpu_bits__add(bits, (uint32_t)first);
		if (!*text)
			return 0;
		if (*text++ != ',')
			return -EINVAL;
	}
}

/* ---- The machine ---- */

static int read_cpus(const char *path, struct cpu_bits *bits)
{
	char text[16384];
	int err = guest__read_line(path, text, sizeof(text));

	return err ? err : cpu_bits__parse(text, bits);
}

/* The CPUs that share the last of @cpu's caches with it. -ENOENT: it has none. */
static int read_llc(const char *sys, uint32_t cpu, struct cpu_bits *shared)
{
	char path[256], text[32];
	long highest = 0;
	int ret = -ENOENT;

	for (uint32_t i = 0; i < MAX_CACHES; i++) {
		long level;

		snprintf(path, sizeof(path), "%s/cpu/cpu%u/cache/index%u/level", sys, cpu, i);
		if (guest__read_line(path, text, sizeof(text)))
			continue;
		level = strtol(text, NULL, 10);
		if (level <= highest)
			continue;
		snprintf(path, sizeof(path), "%s/cpu/cpu%u/cache/index%u/shared_cpu_list", sys, cpu,
			 i);
		ret = read_cpus(path, shared);
		if (ret)
			return ret;
		highest = level;
	}
	return ret;
}

/* Nodes of sysfs; without any (no CONFIG_NUMA) all CPUs are in node 0. */
static int read_nodes(const char *sys, struct machine *m, struct cpu_bits *of_node)
{
	char path[256];
	struct cpu_bits nodes;
	int err;

	snprintf(path, sizeof(path), "%s/node/online", sys);
	err = read_cpus(path, &nodes);
	if (err == -ENOENT) {
		m->nr_nodes = 1;
		of_node[0] = m->online;
		return 0;
	}
	for (uint32_t node = 0; !err && node < KTSTR_MAX_NUMA_NODES; node++) {
		if (!cpu_bits__has(&nodes, node))
			continue;
		snprintf(path, sizeof(path), "%s/node/node%u/cpulist", sys, node);
		err = read_cpus(path, &of_node[node]);
		m->nr_nodes = node + 1;
	}
	return err;
}

int machine__read(const char *sys, struct machine *m)
{
	struct cpu_bits *of_node = calloc(KTSTR_MAX_NUMA_NODES, sizeof(*of_node)), shared;
	struct cpu_bits done = {.words = {0}};
	char path[256];
	int err;

	*m = (struct machine){.nr_cpus = 0};
	if (!of_node)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/cpu/online", sys);
	err = read_cpus(path, &m->online);
	err = err ? err : read_nodes(sys, m, of_node);
	for (uint32_t node = 0; !err && node < m->nr_nodes; node++) {
		for (uint32_t cpu = 0; cpu < KTSTR_MAX_CPUS; cpu++) {
			if (!cpu_bits__has(&of_node[node], cpu) || cpu_bits__has(&done, cpu) ||
			    !cpu_bits__has(&m->online, cpu))
				continue;
			err = read_llc(sys, cpu, &shared);
			if (err == -ENOENT) {
				shared = of_node[node];
				err = 0;
			}
			if (err)
				break;
			/* An LLC does not go beyond its node here: Linux would say otherwise of
			 * some clustered ones, which are several then. */
			cpu_bits__intersect(&shared, &of_node[node]);
			cpu_bits__intersect(&shared, &m->online);
			cpu_bits__add(&shared, cpu);
			for (uint32_t c = cpu; c < KTSTR_MAX_CPUS; c++) {
				if (!cpu_bits__has(&shared, c) || cpu_bits__has(&done, c))
					continue;
				cpu_bits__add(&done, c);
				m->order[m->nr_cpus++] = (uint16_t)c;
				m->llc_of[c] = (uint16_t)m->nr_llcs;
				m->node_of[c] = (uint16_t)node;
			}
			m->nr_llcs++;
		}
	}
	free(of_node);
	return err ? err : m->nr_cpus ? 0 : -ENODATA;
}

/* ---- What a scenario means by its CPUs ---- */

/* Those at places [from, to) of the machine's order. */
static void add_range(const struct machine *m, uint32_t from, uint32_t to, struct cpu_bits *bits)
{
	for (; from < to; from++)
		cpu_bits__add(bits, m->order[from]);
}

static int resolve_part(const struct machine *m, const struct ktstr_cpus *c, struct cpu_bits *bits,
			char *why, size_t why_size)
{
	uint32_t next = c->of ? (c->index + 1) % c->of : 0, first;

	if (c->index >= c->of || c->of > m->nr_cpus) {
		snprintf(why, why_size, "there is no part %u of %u: the machine has %u CPUs",
			 c->index, c->of, m->nr_cpus);
		return c->index < c->of ? -ERANGE : -EINVAL;
	}
	if (c->percent > 100) {
		snprintf(why, why_size, "an overlap of %u percent is more than all", c->percent);
		return -EINVAL;
	}
	add_range(m, c->index * m->nr_cpus / c->of, (c->index + 1) * m->nr_cpus / c->of, bits);
	if (c->kind == KTSTR_CPUS_OVERLAP) {
		uint32_t nr = (next + 1) * m->nr_cpus / c->of - next * m->nr_cpus / c->of;

		first = next * m->nr_cpus / c->of;
		add_range(m, first, first + (nr * c->percent + 99) / 100, bits);
	}
	return 0;
}

static int resolve_list(const struct machine *m, const char *list, struct cpu_bits *bits, char *why,
			size_t why_size)
{
	if (!list || cpu_bits__parse(list, bits)) {
		snprintf(why, why_size, "\"%s\" is not a list of CPUs", list ? list : "");
		return -EINVAL;
	}
	for (uint32_t cpu = 0; cpu < KTSTR_MAX_CPUS; cpu++) {
		if (cpu_bits__has(bits, cpu) && !cpu_bits__has(&m->online, cpu)) {
			snprintf(why, why_size, "the machine has no CPU %u", cpu);
			return -ERANGE;
		}
	}
	return 0;
}

int machine__resolve(const struct machine *m, const struct ktstr_cpus *c, struct cpu_bits *bits,
		     char *why, size_t why_size)
{
	int err = 0;

	*bits = (struct cpu_bits){.words = {0}};
	switch (c->kind) {
	case KTSTR_CPUS_ALL:
		*bits = m->online;
		break;
	case KTSTR_CPUS_LLC:
	case KTSTR_CPUS_NODE:
		for (uint32_t i = 0; i < m->nr_cpus; i++)
			if ((c->kind == KTSTR_CPUS_LLC ? m->llc_of : m->node_of)[m->order[i]] ==
			    c->index)
				cpu_bits__add(bits, m->order[i]);
		break;
	case KTSTR_CPUS_PART:
	case KTSTR_CPUS_OVERLAP:
		err = resolve_part(m, c, bits, why, why_size);
		break;
	case KTSTR_CPUS_RANGE:
		if (c->index < c->of && c->of <= 100)
			add_range(m, m->nr_cpus * c->index / 100, (m->nr_cpus * c->of + 99) / 100,
				  bits);
		break;
	case KTSTR_CPUS_LIST:
		err = resolve_list(m, c->list, bits, why, why_size);
		break;
	}
	if (err)
		return err;
	if (cpu_bits__count(bits))
		return 0;
	if (c->kind == KTSTR_CPUS_LLC)
		snprintf(why, why_size, "there is no LLC %u: the machine has %u", c->index,
			 m->nr_llcs);
	else if (c->kind == KTSTR_CPUS_NODE)
		snprintf(why, why_size, "there is no NUMA node %u with CPUs: the machine has %u",
			 c->index, m->nr_nodes);
	else
		snprintf(why, why_size, "a set of CPUs without any");
	return c->kind == KTSTR_CPUS_LLC || c->kind == KTSTR_CPUS_NODE ? -ERANGE : -EINVAL;
}
