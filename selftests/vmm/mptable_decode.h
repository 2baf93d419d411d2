/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds and reads the MP table by the rules of Linux (arch/x86/kernel/mpparse.c and
 * apic/io_apic.c). Shares no code and no constants with the writer. Only for selftests; everything
 * is static inline.
 */
#ifndef KTSTR_SELFTESTS_MPTABLE_DECODE_H
#define KTSTR_SELFTESTS_MPTABLE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MP_MAX_CPUS 256
#define MP_MAX_PINS 256

struct mp_cpu {
	uint8_t apicid, version;
	bool boot;
	uint32_t signature, features;
};

/* What Linux makes of an I/O APIC input. */
struct mp_pin {
	bool connected, level, active_low;
	uint8_t irq;
};

struct mp_table {
	uint64_t lapic_base, ioapic_base;
	uint8_t ioapic_id, ioapic_version;
	uint32_t nr_cpus, nr_ioapics, nr_entries;
	struct mp_cpu cpus[MP_MAX_CPUS];
	struct mp_pin pins[MP_MAX_PINS];
	bool isa[256]; /* by bus id */
	/* of local interrupts that go to all local APICs: the type at each LINT, or -1 */
	int lint[2];
	uint64_t end; /* guest address behind it */
};

/* The first 1 MiB of a guest. */
#define MP_LOW_MEMORY 0x100000u

static inline uint32_t mp_read(const uint8_t *p, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | p[bytes];
	return value;
}

static inline uint8_t mp_sum(const uint8_t *p, size_t bytes)
{
	uint8_t sum = 0;

	while (bytes--)
		sum = (uint8_t)(sum + *p++);
	return sum;
}

/*
 * mpparse_find_mptable() without an EBDA. Returns the guest address of the floating pointer or 0.
 * *steps: how many places were looked at, each a mapping of its own.
 */
static inline uint32_t mp_find(const uint8_t *low_memory, uint32_t *steps)
{
	static const uint32_t areas[][2] = {{0, 0x400}, {639 * 0x400, 0x400}, {0xf0000, 0x10000}};

	*steps = 0;
	for (int a = 0; a < 3; a++) {
		for (uint32_t at = areas[a][0]; at < areas[a][0] + areas[a][1]; at += 16) {
			const uint8_t *p = low_memory + at;

			++*steps;
			if (!memcmp(p, "_MP_", 4) && p[8] == 1 && !mp_sum(p, 16) &&
			    (p[9] == 1 || p[9] == 4))
				return at;
		}
	}
	return 0;
}

static inline bool mp_read_interrupt(struct mp_table *t, const uint8_t *e)
{
	uint32_t flags = mp_read(e + 2, 2), polarity = flags & 3, trigger = flags >> 2 & 3;
	struct mp_pin *pin = &t->pins[e[7]];

	/* A reserved value makes Linux warn; the default is the bus's, which is edge and high. */
	if (e[1] != 0 || !t->isa[e[4]] || e[6] != t->ioapic_id || polarity == 2 || trigger == 2 ||
	    pin->connected)
		return false;
	*pin = (struct mp_pin){
		.connected = true, .level = trigger == 3, .active_low = polarity == 3, .irq = e[5]};
	return true;
}

static inline bool mp_read_entry(struct mp_table *t, const uint8_t *e)
{
	switch (e[0]) {
	case 0:
		if (!(e[3] & 1) || t->nr_cpus == MP_MAX_CPUS || e[1] == 0xff)
			return false;
		t->cpus[t->nr_cpus++] = (struct mp_cpu){
			.apicid = e[1],
			.version = e[2],
			.boot = e[3] & 2,
			.signature = mp_read(e + 4, 4),
			.features = mp_read(e + 8, 4),
		};
		return true;
	case 1:
		t->isa[e[1]] = !memcmp(e + 2, "ISA   ", 6);
		return t->isa[e[1]];
	case 2:
		if (!(e[3] & 1))
			return false;
		t->nr_ioapics++;
		t->ioapic_id = e[1];
		t->ioapic_version = e[2];
		t->ioapic_base = mp_read(e + 4, 4);
		return true;
	case 3:
		return mp_read_interrupt(t, e);
	case 4:
		if (e[6] != 0xff || e[7] > 1 || t->lint[e[7]] != -1)
			return false;
		t->lint[e[7]] = e[1];
		return true;
	default:
		return false; /* "Your mptable is wrong, contact your HW vendor!" */
	}
}

/* The table behind the floating pointer at @at. False where Linux would complain of it. */
static inline bool mp_decode(const uint8_t *low_memory, uint32_t at, struct mp_table *t)
{
	static const uint8_t sizes[] = {20, 8, 8, 8, 8};
	uint32_t table = mp_read(low_memory + at + 4, 4), count = 44, length;
	const uint8_t *mpc;
	int last = 0;

	*t = (struct mp_table){.lint = {-1, -1}};
	if (low_memory[at + 11] || !table || table > MP_LOW_MEMORY - 44)
		return false; /* a default configuration, or none */
	mpc = low_memory + table;
	length = mp_read(mpc + 4, 2);
	t->lapic_base = mp_read(mpc + 36, 4);
	t->end = table + length;
	if (memcmp(mpc, "PCMP", 4) || t->end > MP_LOW_MEMORY || mp_sum(mpc, length) ||
	    (mpc[6] != 1 && mpc[6] != 4) || !t->lapic_base)
		return false;
	while (count < length) {
		const uint8_t *e = mpc + count;

		/* The specification wants the types in order; Linux needs buses before interrupts.
		 */
		if (e[0] >= sizeof(sizes) || e[0] < last || length - count < sizes[e[0]] ||
		    !mp_read_entry(t, e))
			return false;
		last = e[0];
		count += sizes[e[0]];
		t->nr_entries++;
	}
	return t->nr_cpus && t->nr_entries == mp_read(mpc + 34, 2);
}

#endif /* KTSTR_SELFTESTS_MPTABLE_DECODE_H */
