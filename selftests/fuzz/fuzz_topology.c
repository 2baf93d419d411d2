// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: the text of a topology, and of what is said of its nodes by a few numbers
 * behind a newline. What is accepted has a layout, ACPI tables that fit and an MP table or a reason
 * why not; and its text, written and read again, is the same.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include <ktstr/topology.h>

#include "vmm/arch/x86/acpi.h"
#include "vmm/layout.h"

#define MAX_TEXT 64u
#define TABLES (512u << 10)
/* More CPUs take long, and are no other machine. */
#define MAX_CPUS 4096u

static void describe(const struct ktstr_topology *t, uint32_t memory_mb)
{
	static const struct acpi_serial serials[] = {{0x3f8, 4}, {0x2f8, 3}};
	struct layout layout;
	struct gmem mem;
	uint8_t *buf;
	size_t used = 0;
	int err;

	if (gmem__layout(&mem, (uint64_t)memory_mb << 20, NULL))
		return;
	err = layout__create(t, &mem, &layout, NULL);
	/* A node without memory is refused. */
	FUZZ_CHECK(!err || err == -EINVAL);
	if (err) {
		layout__destroy(&layout);
		return;
	}
	FUZZ_CHECK(layout.nr_cpus == ktstr_topology__cpus(t));
	for (uint32_t i = 1; i < layout.nr_cpus; i++)
		FUZZ_CHECK(layout.cpus[i].hw_id > layout.cpus[i - 1].hw_id);
	buf = malloc(TABLES);
	if (!buf)
		abort();
	err = acpi__build(&(struct acpi_spec){.layout = &layout,
					      .serials = serials,
					      .nr_serials = 2,
					      .pm1a_event = 0x600,
					      .pm1a_control = 0x604,
					      .reset_port = 0x608,
					      .sci_gsi = 9,
					      .lapic_base = 0xfee00000,
					      .ioapic_base = 0xfec00000,
					      .ioapic_pins = 24},
			  0xe0000, buf, TABLES, &used, NULL);
	FUZZ_CHECK(!err ? used <= TABLES : err == -ENOSPC && used > TABLES);
	free(buf);
	layout__destroy(&layout);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	size_t length = end ? (size_t)(end - data) : size;
	struct ktstr_topology t, again;
	char text[MAX_TEXT + 1], written[256];
	struct ktstr_numa_node nodes[4] = {{.llcs = 0}};

	if (length > MAX_TEXT)
		return 0;
	memcpy(text, data, length);
	text[length] = '\0';
	if (ktstr_topology__parse(text, &t, NULL))
		return 0;
	FUZZ_CHECK(ktstr_topology__format(&t, written, sizeof(written)) < (int)sizeof(written));
	FUZZ_CHECK(!ktstr_topology__parse(written, &again, NULL));
	FUZZ_CHECK(ktstr_topology__cpus(&again) == ktstr_topology__cpus(&t));
	if (ktstr_topology__cpus(&t) > MAX_CPUS)
		return 0;
	describe(&t, 64 + 16 * t.numa_nodes);
	if (!end || t.numa_nodes > 4 || (size_t)(data + size - end) < 1 + 4 * t.numa_nodes)
		return 0;
	for (uint32_t i = 0; i < t.numa_nodes; i++) {
		const uint8_t *at = end + 1 + 4 * i;

		nodes[i] = (struct ktstr_numa_node){.llcs = at[0],
						    .memory_mb = at[1],
						    .latency_ns = at[2] * 100u,
						    .bandwidth_mbs = at[3] * 1000u};
	}
	t.nodes = nodes;
	if (!ktstr_topology__validate(&t, NULL))
		describe(&t, 64 + 256 * t.numa_nodes);
	return 0;
}
