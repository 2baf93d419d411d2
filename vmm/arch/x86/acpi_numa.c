// SPDX-License-Identifier: GPL-2.0-only
/* What guests know of NUMA nodes: SRAT, SLIT and HMAT (ACPI 6.5 §5.2.16, §5.2.17, §5.2.28). */
#include <stdbool.h>

#include "acpi_parts.h"

/* SRAT structure types (§5.2.16). */
#define SRAT_LOCAL_APIC 0
#define SRAT_MEMORY 1
#define SRAT_LOCAL_X2APIC 2
#define SRAT_ENABLED 1u

static void put_apic_affinity(struct table_out *o, uint32_t apic_id, uint32_t node)
{
	table__put(o, SRAT_LOCAL_APIC, 1);
	table__put(o, 16, 1);
	table__put(o, node, 1);
	table__put(o, apic_id, 1);
	table__put(o, SRAT_ENABLED, 4);
	table__put(o, 0, 1);
	table__put(o, node >> 8, 3);
	table__put(o, 0, 4);
}

static void put_x2apic_affinity(struct table_out *o, uint32_t apic_id, uint32_t node)
{
	table__put(o, SRAT_LOCAL_X2APIC, 1);
	table__put(o, 24, 1);
	table__put(o, 0, 2);
	table__put(o, node, 4);
	table__put(o, apic_id, 4);
	table__put(o, SRAT_ENABLED, 4);
	table__put(o, 0, 8);
}

/*
 * System Resource Affinity Table. Linux numbers nodes as it meets their domains, first in all
 * processor entries, then in all memory entries: as nodes without CPUs are the last ones and both
 * kinds of entries are in the order of their nodes, its numbers are the domains.
 */
size_t acpi_numa__write_srat(struct table_out *o, const struct layout *l)
{
	size_t start = acpi_table__begin(o, "SRAT", 3);
	uint32_t i;

	table__put(o, 1, 4);
	table__put(o, 0, 8);
	for (i = 0; i < l->nr_cpus; i++) {
		const struct layout_cpu *cpu = &l->cpus[i];

		if (cpu->hw_id < ACPI_FIRST_X2APIC_ID)
			put_apic_affinity(o, cpu->hw_id, cpu->node);
		else
			put_x2apic_affinity(o, cpu->hw_id, cpu->node);
	}
	for (i = 0; i < l->nr_memory; i++) {
		table__put(o, SRAT_MEMORY, 1);
		table__put(o, 40, 1);
		table__put(o, l->memory[i].node, 4);
		table__put(o, 0, 2);
		table__put(o, l->memory[i].gpa, 8);
		table__put(o, l->memory[i].size, 8);
		table__put(o, 0, 4);
		table__put(o, SRAT_ENABLED, 4);
		table__put(o, 0, 8);
	}
	acpi_table__end(o, start);
	return start;
}

/* System Locality Information Table. */
size_t acpi_numa__write_slit(struct table_out *o, const struct layout *l)
{
	size_t start = acpi_table__begin(o, "SLIT", 1);
	uint32_t i;

	table__put(o, l->nr_nodes, 8);
	for (i = 0; i < l->nr_nodes * l->nr_nodes; i++)
		table__put(o, l->distances[i], 1);
	acpi_table__end(o, start);
	return start;
}

/* HMAT structure types and fields (§5.2.28.2 to 5.2.28.4). */
#define HMAT_REVISION 2
#define HMAT_PROXIMITY 0
#define HMAT_LOCALITY 1
#define HMAT_CACHE 2
#define PROXIMITY_INITIATOR_VALID 1u
#define LOCALITY_MEMORY 0 /* of memory itself, not of a cache before it */
#define LOCALITY_ACCESS_LATENCY 0
#define LOCALITY_ACCESS_BANDWIDTH 3
#define LOCALITY_HEADER 32u
#define ENTRY_MAX 0xfffeu /* 0: not provided; 0xffff: not reachable */
#define CACHE_LEVELS 1u
#define CACHE_LEVEL (1u << 4)
#define CACHE_DIRECT_MAPPED (1u << 8)
#define CACHE_WRITE_BACK (1u << 12)
#define CACHE_LINE (64u << 16)

/* Of latencies, in picoseconds: entries are nanoseconds, which a valid topology's fit. */
#define LATENCY_UNIT 1000u

/* One structure of latencies or bandwidths: all initiators (nodes with CPUs) by all targets. */
struct figures {
	uint32_t nr_initiators, nr_values;
	uint32_t initiators[KTSTR_MAX_NUMA_NODES];
	uint32_t values[KTSTR_MAX_NUMA_NODES * KTSTR_MAX_NUMA_NODES];
};

static void fill_figures(const struct layout *l, bool latency, struct figures *f)
{
	uint32_t i, t, n = 0;

	f->nr_initiators = 0;
	for (i = 0; i < l->nr_nodes; i++) {
		if (!l->nodes[i].nr_cpus)
			continue;
		f->initiators[f->nr_initiators++] = i;
		for (t = 0; t < l->nr_nodes; t++)
			f->values[n++] = latency ? layout__latency_ns(l, i, t)
						 : layout__bandwidth_mbs(l, i, t);
	}
	f->nr_values = n;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static bool fits(uint32_t value, uint32_t unit)
{
	return unit && value / unit <= ENTRY_MAX;
}

/*
 * Of bandwidths, in MB/s, with the largest exactness that 16 bits allow: a unit of 1; one that all
 * figures are multiples of; one that the nodes' own figures are multiples of, which are those that
 * Linux shows; else the smallest.
 */
static uint32_t bandwidth_unit(const struct layout *l, const struct figures *f)
{
	uint32_t of_all = 0, of_own = 0, max = 0, i;

	for (i = 0; i < f->nr_values; i++) {
		of_all = common_divisor(of_all, f->values[i]);
		if (f->values[i] > max)
			max = f->values[i];
	}
	for (i = 0; i < l->nr_nodes; i++)
		of_own = common_divisor(of_own, l->nodes[i].bandwidth_mbs);
	if (fits(max, 1))
		return 1;
	if (fits(max, of_all))
		return of_all;
	return fits(max, of_own) ? of_own : max / (ENTRY_MAX + 1) + 1;
}

/* System Locality Latency and Bandwidth Information Structure; reading and writing alike. */
static void put_locality(struct table_out *o, const struct layout *l, bool latency)
{
	struct figures f;
	uint32_t unit, i;

	fill_figures(l, latency, &f);
	unit = latency ? 1 : bandwidth_unit(l, &f);
	table__put(o, HMAT_LOCALITY, 2);
	table__put(o, 0, 2);
	table__put(o, LOCALITY_HEADER + 4 * (f.nr_initiators + l->nr_nodes) + 2 * f.nr_values, 4);
	table__put(o, LOCALITY_MEMORY, 1);
	table__put(o, latency ? LOCALITY_ACCESS_LATENCY : LOCALITY_ACCESS_BANDWIDTH, 1);
	table__put(o, 0, 2); /* MinTransferSize: none; reserved */
	table__put(o, f.nr_initiators, 4);
	table__put(o, l->nr_nodes, 4);
	table__put(o, 0, 4);
	table__put(o, latency ? LATENCY_UNIT : unit, 8);
	for (i = 0; i < f.nr_initiators; i++)
		table__put(o, f.initiators[i], 4);
	for (i = 0; i < l->nr_nodes; i++)
		table__put(o, i, 4);
	for (i = 0; i < f.nr_values; i++)
		table__put(o, f.values[i] < unit ? 1 : f.values[i] / unit, 2);
}

/* Memory Proximity Domain Attributes: a node's own CPUs are its initiator; others have none. */
static void put_proximity(struct table_out *o, const struct layout *l, uint32_t node)
{
	bool cpus = l->nodes[node].nr_cpus != 0;

	table__put(o, HMAT_PROXIMITY, 2);
	table__put(o, 0, 2);
	table__put(o, 40, 4);
	table__put(o, cpus ? PROXIMITY_INITIATOR_VALID : 0, 2);
	table__put(o, 0, 2);
	table__put(o, cpus ? node : 0, 4);
	table__put(o, node, 4);
	table__put_zeros(o, 4 + 8 + 8);
}

/* Memory Side Cache Information Structure: direct mapped, as such caches are. */
static void put_cache(struct table_out *o, const struct layout *l, uint32_t node)
{
	table__put(o, HMAT_CACHE, 2);
	table__put(o, 0, 2);
	table__put(o, 32, 4);
	table__put(o, node, 4);
	table__put(o, 0, 4);
	table__put(o, l->nodes[node].cache, 8);
	table__put(o,
		   CACHE_LEVELS | CACHE_LEVEL | CACHE_DIRECT_MAPPED | CACHE_WRITE_BACK | CACHE_LINE,
		   4);
	table__put(o, 0, 2); /* address mode: not said */
	table__put(o, 0, 2); /* SMBIOS handles */
}

/* Heterogeneous Memory Attribute Table. */
size_t acpi_numa__write_hmat(struct table_out *o, const struct layout *l)
{
	size_t start = acpi_table__begin(o, "HMAT", HMAT_REVISION);
	uint32_t i;

	table__put(o, 0, 4);
	for (i = 0; i < l->nr_nodes; i++)
		put_proximity(o, l, i);
	put_locality(o, l, true);
	put_locality(o, l, false);
	for (i = 0; i < l->nr_nodes; i++)
		if (l->nodes[i].cache)
			put_cache(o, l, i);
	acpi_table__end(o, start);
	return start;
}
