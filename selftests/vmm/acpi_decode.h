/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the ACPI tables back by the rules of Linux (drivers/acpi, arch/x86/kernel/acpi/boot.c,
 * arch/x86/mm/srat.c, drivers/acpi/numa). Shares no code and no constants with the writers. Only
 * for selftests; everything is static inline.
 */
#ifndef KTSTR_SELFTESTS_ACPI_DECODE_H
#define KTSTR_SELFTESTS_ACPI_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ACPI_NO_NODE UINT32_MAX
#define ACPI_MAX_NODES 64

static inline uint64_t acpi_read(const uint8_t *p, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | p[bytes];
	return value;
}

static inline bool acpi_sums_to_zero(const uint8_t *p, size_t bytes)
{
	uint8_t sum = 0;

	while (bytes--)
		sum = (uint8_t)(sum + *p++);
	return sum == 0;
}

/* The tables as they lie at @gpa. */
struct acpi_image {
	const uint8_t *bytes;
	size_t size;
	uint64_t gpa;
};

/* Bytes of [gpa, gpa + size), or NULL when they are not all in the image. */
static inline const uint8_t *acpi_at(const struct acpi_image *image, uint64_t gpa, size_t size)
{
	if (gpa < image->gpa || gpa - image->gpa > image->size ||
	    size > image->size - (gpa - image->gpa))
		return NULL;
	return image->bytes + (gpa - image->gpa);
}

/* A table at @gpa whose length and checksum are right and whose signature is @signature. */
static inline const uint8_t *acpi_table(const struct acpi_image *image, uint64_t gpa,
					const char *signature)
{
	const uint8_t *table = acpi_at(image, gpa, 36);

	if (!table || memcmp(table, signature, 4))
		return NULL;
	if (!acpi_at(image, gpa, acpi_read(table + 4, 4)) || acpi_read(table + 4, 4) < 36)
		return NULL;
	return acpi_sums_to_zero(table, acpi_read(table + 4, 4)) ? table : NULL;
}

/* Finds a table from the RSDP at the image's start, by way of the XSDT. */
static inline const uint8_t *acpi_find(const struct acpi_image *image, const char *signature)
{
	const uint8_t *rsdp = acpi_at(image, image->gpa, 36), *xsdt;
	uint64_t i, entries;

	if (!rsdp || memcmp(rsdp, "RSD PTR ", 8) || rsdp[15] < 2 || !acpi_sums_to_zero(rsdp, 20) ||
	    !acpi_sums_to_zero(rsdp, acpi_read(rsdp + 20, 4)))
		return NULL;
	xsdt = acpi_table(image, acpi_read(rsdp + 24, 8), "XSDT");
	if (!xsdt)
		return NULL;
	entries = (acpi_read(xsdt + 4, 4) - 36) / 8;
	for (i = 0; i < entries; i++) {
		const uint8_t *table =
			acpi_table(image, acpi_read(xsdt + 36 + 8 * i, 8), signature);

		if (table)
			return table;
	}
	return NULL;
}

struct acpi_walk {
	const uint8_t *p, *end;
};

/* Subtables (type, length, ...) behind the first @header bytes of a table. */
static inline struct acpi_walk acpi_walk(const uint8_t *table, size_t header)
{
	return (struct acpi_walk){table + header, table + acpi_read(table + 4, 4)};
}

/* The next subtable; NULL at the end, and when its length is impossible. */
static inline const uint8_t *acpi_next(struct acpi_walk *walk)
{
	const uint8_t *entry = walk->p;

	if (walk->end - entry < 2 || entry[1] < 2 || walk->end - entry < entry[1])
		return NULL;
	walk->p += entry[1];
	return entry;
}

struct acpi_cpu {
	uint32_t apicid, uid;
};

/*
 * Linux's CPUs from the MADT, in its numbering: in order of the entries. Returns how many, or 0
 * when an entry has a wrong size or Linux would ignore or reject it.
 */
static inline uint32_t acpi_madt_cpus(const uint8_t *madt, struct acpi_cpu *cpus, uint32_t max)
{
	struct acpi_walk walk = acpi_walk(madt, 44);
	bool has_lapic = false;
	const uint8_t *e;
	uint32_t n = 0;

	while ((e = acpi_next(&walk))) {
		struct acpi_cpu cpu;

		if (e[0] == 0) {
			if (e[1] != 8 || e[3] == 0xff || !(acpi_read(e + 4, 4) & 1))
				return 0;
			cpu = (struct acpi_cpu){e[3], e[2]};
			has_lapic = true;
		} else if (e[0] == 9) {
			cpu = (struct acpi_cpu){(uint32_t)acpi_read(e + 4, 4),
						(uint32_t)acpi_read(e + 12, 4)};
			if (e[1] != 16 || !(acpi_read(e + 8, 4) & 1) ||
			    (has_lapic && cpu.apicid < 0xff))
				return 0;
		} else {
			continue;
		}
		if (n == max)
			return 0;
		cpus[n++] = cpu;
	}
	return walk.p == walk.end ? n : 0;
}

/* Proximity domain of an APIC id from the SRAT, or ACPI_NO_NODE. */
static inline uint32_t acpi_srat_node(const uint8_t *srat, uint32_t apicid)
{
	struct acpi_walk walk = acpi_walk(srat, 48);
	const uint8_t *e;

	while ((e = acpi_next(&walk))) {
		if (e[0] == 0 && e[1] == 16 && (acpi_read(e + 4, 4) & 1) && e[3] == apicid)
			return (uint32_t)(e[2] | acpi_read(e + 9, 3) << 8);
		if (e[0] == 2 && e[1] == 24 && (acpi_read(e + 12, 4) & 1) &&
		    acpi_read(e + 8, 4) == apicid)
			return (uint32_t)acpi_read(e + 4, 4);
	}
	return ACPI_NO_NODE;
}

struct acpi_memory {
	uint64_t base, size;
	uint32_t node;
};

static inline uint32_t acpi_srat_memory(const uint8_t *srat, struct acpi_memory *memory,
					uint32_t max)
{
	struct acpi_walk walk = acpi_walk(srat, 48);
	const uint8_t *e;
	uint32_t n = 0;

	while ((e = acpi_next(&walk))) {
		if (e[0] != 1 || e[1] != 40 || !(acpi_read(e + 28, 4) & 1) || n == max)
			continue;
		memory[n++] = (struct acpi_memory){acpi_read(e + 8, 8), acpi_read(e + 16, 8),
						   (uint32_t)acpi_read(e + 2, 4)};
	}
	return n;
}

/*
 * Linux's node numbers (acpi_map_pxm_to_node()): domains are numbered as they are met, first in the
 * enabled processor entries, then in the enabled memory entries. Returns how many nodes there are,
 * or 0 when there are more domains or nodes than fit.
 */
static inline uint32_t acpi_srat_nodes(const uint8_t *srat, uint32_t node_of_pxm[ACPI_MAX_NODES])
{
	uint32_t nodes = 0;

	for (uint32_t i = 0; i < ACPI_MAX_NODES; i++)
		node_of_pxm[i] = ACPI_NO_NODE;
	for (int memory = 0; memory < 2; memory++) {
		struct acpi_walk walk = acpi_walk(srat, 48);
		const uint8_t *e;

		while ((e = acpi_next(&walk))) {
			uint64_t pxm;

			if (!memory && e[0] == 0 && (acpi_read(e + 4, 4) & 1))
				pxm = e[2] | acpi_read(e + 9, 3) << 8;
			else if (!memory && e[0] == 2 && (acpi_read(e + 12, 4) & 1))
				pxm = acpi_read(e + 4, 4);
			else if (memory && e[0] == 1 && (acpi_read(e + 28, 4) & 1))
				pxm = acpi_read(e + 2, 4);
			else
				continue;
			if (pxm >= ACPI_MAX_NODES)
				return 0;
			if (node_of_pxm[pxm] == ACPI_NO_NODE)
				node_of_pxm[pxm] = nodes++;
		}
		if (walk.p != walk.end)
			return 0;
	}
	return nodes;
}

/* What Linux shows of a node's memory in /sys/devices/system/node (drivers/base/node.c). */
struct acpi_access {
	uint32_t read_latency, write_latency;	  /* ns */
	uint32_t read_bandwidth, write_bandwidth; /* MB/s */
	uint64_t initiators;			  /* bit n: node n */
};

struct acpi_side_cache {
	uint64_t size;
	uint32_t level, line_size;
	uint32_t indexing;     /* 0 direct mapped, 1 indexed, 2 other */
	uint32_t write_policy; /* 0 write back, 1 write through, 2 other */
};

struct acpi_memory_node {
	struct acpi_access access[2];
	uint32_t nr_caches;
	struct acpi_side_cache caches[4];
};

struct acpi_hmat {
	const uint8_t *table;
	uint32_t node_of_pxm[ACPI_MAX_NODES];
	uint64_t targets;		   /* domains with memory */
	uint64_t with_cpus;		   /* domains */
	uint64_t initiators;		   /* domains that a locality structure names */
	uint32_t attached[ACPI_MAX_NODES]; /* initiator of a target domain */
	/* The last structure for each: write latency, read latency, write and read bandwidth */
	const uint8_t *locality[4];
	struct acpi_memory_node *nodes; /* by domain while it is read */
};

/* hmat_normalize() of revision 2 */
static inline uint32_t acpi_hmat_value(const uint8_t *locality, uint32_t init, uint32_t targ)
{
	uint64_t inits = acpi_read(locality + 12, 4), targs = acpi_read(locality + 16, 4);
	uint64_t base = acpi_read(locality + 24, 8);
	uint64_t at = 32 + 4 * (inits + targs) + 2 * (init * targs + targ);
	uint32_t entry = (uint32_t)acpi_read(locality + at, 2), value;

	if (!entry || entry == 0xffff || base > UINT32_MAX / entry)
		return 0;
	value = entry * (uint32_t)base;
	return locality[9] <= 2 ? (value + 999) / 1000 : value; /* in 32 bits, as Linux has it */
}

/* @slots: a mask of the four of struct acpi_hmat.locality. */
static inline void acpi_hmat_set(struct acpi_access *access, uint32_t slots, uint32_t value)
{
	uint32_t *const fields[] = {&access->write_latency, &access->read_latency,
				    &access->write_bandwidth, &access->read_bandwidth};

	for (int i = 0; i < 4; i++)
		if (slots & 1u << i)
			*fields[i] = value;
}

static inline uint32_t acpi_hmat_slots(uint8_t data_type)
{
	static const uint8_t slots[] = {3, 2, 1, 12, 8, 4};

	return data_type < sizeof(slots) ? slots[data_type] : 0;
}

/* hmat_parse_proximity_domain() */
static inline bool acpi_hmat_read_proximity(struct acpi_hmat *h, const uint8_t *e, uint64_t length)
{
	uint64_t init = acpi_read(e + 12, 4), targ = acpi_read(e + 16, 4);

	if (length != 40 || targ >= ACPI_MAX_NODES || !(h->targets >> targ & 1))
		return false;
	if (!(acpi_read(e + 8, 2) & 1))
		return true;
	if (init >= ACPI_MAX_NODES || h->node_of_pxm[init] == ACPI_NO_NODE)
		return false;
	h->attached[targ] = (uint32_t)init;
	return true;
}

/* hmat_parse_locality() */
static inline bool acpi_hmat_read_locality(struct acpi_hmat *h, const uint8_t *e, uint64_t length)
{
	uint64_t inits, targs;
	uint32_t slots = acpi_hmat_slots(e[9]);

	if (length < 32)
		return false;
	inits = acpi_read(e + 12, 4);
	targs = acpi_read(e + 16, 4);
	if (inits > ACPI_MAX_NODES || targs > ACPI_MAX_NODES || !slots ||
	    length < 32 + 4 * (inits + targs) + 2 * inits * targs)
		return false;
	if (e[8] & 0xf) /* of a cache, not of memory */
		return true;
	for (uint32_t i = 0; i < inits; i++) {
		uint64_t init = acpi_read(e + 32 + 4 * i, 4);

		if (init >= ACPI_MAX_NODES)
			return false;
		if (h->node_of_pxm[init] != ACPI_NO_NODE)
			h->initiators |= UINT64_C(1) << init;
		for (uint32_t t = 0; t < targs; t++) {
			uint64_t targ = acpi_read(e + 32 + 4 * (inits + t), 4);

			if (targ >= ACPI_MAX_NODES || !(h->targets >> targ & 1) ||
			    h->attached[targ] != init)
				continue;
			acpi_hmat_set(&h->nodes[targ].access[0], slots, acpi_hmat_value(e, i, t));
			if (h->with_cpus >> init & 1)
				acpi_hmat_set(&h->nodes[targ].access[1], slots,
					      acpi_hmat_value(e, i, t));
		}
	}
	for (int i = 0; i < 4; i++)
		if (slots & 1u << i)
			h->locality[i] = e;
	return true;
}

/* hmat_parse_cache() */
static inline bool acpi_hmat_read_cache(struct acpi_hmat *h, const uint8_t *e, uint64_t length)
{
	static const uint8_t kinds[16] = {2, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
	static const uint8_t policies[16] = {2, 0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
	uint64_t targ = acpi_read(e + 8, 4);
	uint32_t attrs = (uint32_t)acpi_read(e + 24, 4);
	struct acpi_memory_node *node;

	if (length < 32)
		return false;
	if (targ >= ACPI_MAX_NODES || !(h->targets >> targ & 1))
		return true;
	node = &h->nodes[targ];
	for (uint32_t i = 0; i < node->nr_caches; i++)
		if (node->caches[i].level == (attrs >> 4 & 0xf))
			return false; /* Linux warns: duplicate level */
	if (node->nr_caches == 4)
		return false;
	node->caches[node->nr_caches++] = (struct acpi_side_cache){
		.size = acpi_read(e + 16, 8),
		.level = attrs >> 4 & 0xf,
		.line_size = attrs >> 16,
		.indexing = kinds[attrs >> 8 & 0xf],
		.write_policy = policies[attrs >> 12 & 0xf],
	};
	return true;
}

/* All structures of one type, as Linux goes over the table once a type. */
static inline bool acpi_hmat_read_type(struct acpi_hmat *h, uint32_t type)
{
	const uint8_t *e = h->table + 40, *end = h->table + acpi_read(h->table + 4, 4);

	while (end - e > 8) {
		uint64_t length = acpi_read(e + 4, 4);
		bool ok = true;

		if (length < 8 || length > (uint64_t)(end - e))
			return false;
		if (acpi_read(e, 2) == type)
			ok = type == 0	 ? acpi_hmat_read_proximity(h, e, length)
			     : type == 1 ? acpi_hmat_read_locality(h, e, length)
					 : acpi_hmat_read_cache(h, e, length);
		if (!ok)
			return false;
		e += length;
	}
	return e == end;
}

/* hmat_initiator_perf() */
static inline uint32_t acpi_hmat_perf(const uint8_t *locality, uint32_t init, uint32_t targ)
{
	uint32_t inits = (uint32_t)acpi_read(locality + 12, 4);
	uint32_t targs = (uint32_t)acpi_read(locality + 16, 4), i, t;

	for (i = 0; i < inits && acpi_read(locality + 32 + 4 * i, 4) != init; i++)
		;
	for (t = 0; t < targs && acpi_read(locality + 32 + 4 * (inits + t), 4) != targ; t++)
		;
	return i < inits && t < targs ? acpi_hmat_value(locality, i, t) : 0;
}

/* hmat_update_target_attrs(): the attached initiator, or those of the best figures. */
static inline void acpi_hmat_pick(struct acpi_hmat *h, uint32_t targ, int class)
{
	struct acpi_access *access = &h->nodes[targ].access[class];
	uint32_t attached = h->attached[targ];
	uint64_t left = h->initiators;

	access->initiators = 0;
	if (attached != ACPI_NO_NODE && (class == 0 || (h->with_cpus >> attached & 1))) {
		access->initiators = UINT64_C(1) << h->node_of_pxm[attached];
		return;
	}
	for (int slot = 0; slot < 4; slot++) {
		uint32_t best = 0;

		for (uint32_t init = 0; h->locality[slot] && init < ACPI_MAX_NODES; init++) {
			uint32_t value;

			if (class == 1 && !(h->with_cpus >> init & 1))
				left &= ~(UINT64_C(1) << init);
			if (!(left >> init & 1))
				continue;
			value = acpi_hmat_perf(h->locality[slot], init, targ);
			if (value && (!best || (slot < 2 ? value < best : value > best))) {
				best = value;
				left = left >> init << init;
			}
			if (value != best)
				left &= ~(UINT64_C(1) << init);
		}
		if (best)
			acpi_hmat_set(access, acpi_hmat_slots(h->locality[slot][9]), best);
	}
	for (uint32_t init = 0; init < ACPI_MAX_NODES; init++)
		if (left >> init & 1)
			access->initiators |= UINT64_C(1) << h->node_of_pxm[init];
}

/*
 * hmat_init(): the memory of all nodes, by Linux's node number. False where Linux would say that
 * the table is not valid, or would not find what it asks for.
 */
static inline bool acpi_hmat_decode(const uint8_t *srat, const uint8_t *madt, const uint8_t *hmat,
				    struct acpi_memory_node nodes[ACPI_MAX_NODES])
{
	static struct acpi_cpu cpus[4096];
	struct acpi_memory_node by_pxm[ACPI_MAX_NODES] = {0};
	struct acpi_hmat h = {.table = hmat, .nodes = by_pxm};
	struct acpi_memory memory[2 * ACPI_MAX_NODES];
	uint32_t n = acpi_madt_cpus(madt, cpus, 4096);

	if (!acpi_srat_nodes(srat, h.node_of_pxm) || hmat[8] != 2 || !n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		h.with_cpus |= UINT64_C(1) << acpi_srat_node(srat, cpus[i].apicid) % 64;
	n = acpi_srat_memory(srat, memory, 2 * ACPI_MAX_NODES);
	for (uint32_t i = 0; i < n; i++)
		h.targets |= UINT64_C(1) << memory[i].node;
	for (uint32_t i = 0; i < ACPI_MAX_NODES; i++)
		h.attached[i] = ACPI_NO_NODE;
	for (uint32_t type = 0; type < 3; type++)
		if (!acpi_hmat_read_type(&h, type))
			return false;
	memset(nodes, 0, ACPI_MAX_NODES * sizeof(nodes[0]));
	for (uint32_t pxm = 0; pxm < ACPI_MAX_NODES; pxm++) {
		if (!(h.targets >> pxm & 1))
			continue;
		acpi_hmat_pick(&h, pxm, 0);
		acpi_hmat_pick(&h, pxm, 1);
		nodes[h.node_of_pxm[pxm]] = by_pxm[pxm];
	}
	return true;
}

#endif /* KTSTR_SELFTESTS_ACPI_DECODE_H */
