// SPDX-License-Identifier: GPL-2.0-only
/* What an arm64 machine says of its topology: no CPUID and no firmware tables of x86. */
#include "../../cli/topo_dump.h"

#include <errno.h>

#include "arm64.h"
#include "fdt.h"

static int not_here(const char *what, struct ktstr_error *error)
{
	return ktstr_error__set(error, EOPNOTSUPP, "write", what,
				"an arm64 machine is described by a device tree");
}

int topo_machine__create(const struct ktstr_topology *topology, uint32_t memory_mb,
			 enum ktstr_cpu_vendor vendor, bool kvm, struct topo_machine *m,
			 int *without_kvm, struct ktstr_error *error)
{
	struct gmem mem = {0};
	int err = arch__this->layout_memory(&mem, (uint64_t)memory_mb << 20, error);

	(void)kvm;
	*m = (struct topo_machine){0};
	*without_kvm = 0;
	if (!err)
		err = arm64__check_config(topology, vendor, KTSTR_IRQCHIP_AUTO, error);
	if (!err)
		err = layout__create(topology, &mem, &m->layout, error);
	if (!err)
		arch__this->number_cpus(&m->layout);
	return err;
}

void topo_machine__destroy(struct topo_machine *m)
{
	layout__destroy(&m->layout);
}

int topo_dump__caches(const struct topo_machine *m, struct ktstr_caches *caches,
		      struct ktstr_error *error)
{
	(void)error;
	*caches = arm64__caches(&m->layout.topology);
	return 0;
}

int topo_dump__cpuid(const struct topo_machine *m, FILE *to, struct ktstr_error *error)
{
	(void)m;
	(void)to;
	return not_here("CPUID", error);
}

int topo_dump__acpi(const struct topo_machine *m, const char *dir, struct ktstr_error *error)
{
	(void)m;
	(void)dir;
	return not_here("ACPI tables", error);
}

int topo_dump__mptable(const struct topo_machine *m, const char *path, struct ktstr_error *error)
{
	(void)m;
	(void)path;
	return not_here("MP table", error);
}
