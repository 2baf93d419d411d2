// SPDX-License-Identifier: GPL-2.0-only
/* The planner: its parts in their order, and the plan in the numbers of the host. */
#include "placement_parts.h"

#include <errno.h>
#include <stdlib.h>

static bool is_pinned(const struct planner *p)
{
	return p->vcpu[0] != PLACEMENT_ANY;
}

static uint32_t host_llc(const struct planner *p, uint32_t llc)
{
	const uint32_t *vcpu = &p->vcpu[llc * p->llc_vcpus];

	if (!is_pinned(p))
		return PLACEMENT_ANY;
	for (uint32_t i = 1; i < p->llc_vcpus; i++)
		if (p->cpu[vcpu[i]].llc != p->cpu[vcpu[0]].llc)
			return PLACEMENT_ANY;
	return p->cpu[vcpu[0]].host.llc;
}

/* Real-time vCPUs on all CPUs that there are would let nothing else run. */
static bool may_be_realtime(const struct planner *p)
{
	return is_pinned(p) && p->service != PLACEMENT_ANY &&
	       (!(p->conditions->known & HOST_KNOWS_RIGHTS) ||
		p->conditions->rt_priority >= PLACEMENT_WATCHDOG_PRIORITY);
}

static int fill_plan(struct planner *p, struct placement *out)
{
	out->nr_vcpus = p->machine->nr_cpus;
	out->nr_llcs = p->nr_llcs;
	out->nr_nodes = p->machine->nr_nodes;
	out->vcpus = calloc(out->nr_vcpus, sizeof(*out->vcpus));
	out->llcs = calloc(out->nr_llcs, sizeof(*out->llcs));
	out->nodes = calloc(out->nr_nodes, sizeof(*out->nodes));
	if (!out->vcpus || !out->llcs || !out->nodes)
		return -ENOMEM;
	for (uint32_t i = 0; i < out->nr_vcpus; i++)
		out->vcpus[i] = is_pinned(p) ? p->cpu[p->vcpu[i]].host.cpu : PLACEMENT_ANY;
	for (uint32_t i = 0; i < out->nr_llcs; i++)
		out->llcs[i] = host_llc(p, i);
	out->service_cpu =
		p->service == PLACEMENT_ANY ? PLACEMENT_ANY : p->cpu[p->service].host.cpu;
	out->realtime = may_be_realtime(p);
	placement_memory__place(p, out);
	return 0;
}

static void drop_plan(struct placement *out)
{
	free(out->vcpus);
	free(out->llcs);
	free(out->nodes);
	out->vcpus = out->llcs = NULL;
	out->nodes = NULL;
	out->nr_vcpus = out->nr_llcs = out->nr_nodes = 0;
	out->service_cpu = PLACEMENT_ANY;
	out->realtime = false;
}

static int plan(struct planner *p, struct placement *out)
{
	int err = placement_cpus__create(p);

	if (err)
		return err;
	if (!placement_cpus__place(p))
		placement_cpus__scatter(p);
	placement_cpus__place_service(p);
	err = fill_plan(p, out);
	return err ? err : placement_findings__add(p, out);
}

int placement__plan(struct placement *placement, const struct host_topology *host,
		    const struct host_conditions *conditions, const struct layout *machine,
		    enum placement_mode mode, struct ktstr_error *error)
{
	struct planner p = {.host = host, .conditions = conditions, .machine = machine};
	int err;

	*placement = (struct placement){.mode = mode, .service_cpu = PLACEMENT_ANY};
	err = plan(&p, placement);
	placement_cpus__destroy(&p);
	if (err)
		return ktstr_error__set(error, -err, "place", "machine", NULL);
	if (mode != PLACEMENT_REQUIRED || !placement->nr_unmet)
		return 0;
	drop_plan(placement);
	/* errors are the first kinds */
	ktstr_error__set(error, ENOSPC, "performance mode", NULL, "%s",
			 placement->findings[0].what);
	ktstr_error__hint(error, "%s", placement->findings[0].remedy);
	return -ENOSPC;
}

void placement__free(struct placement *placement)
{
	drop_plan(placement);
	free(placement->findings);
	*placement = (struct placement){.service_cpu = PLACEMENT_ANY};
}

void placement__write_cpus(const uint32_t *cpus, uint32_t nr, FILE *to)
{
	for (uint32_t i = 0, last; i < nr; i = last + 1) {
		for (last = i; last + 1 < nr && cpus[last + 1] == cpus[last] + 1;)
			last++;
		fprintf(to, last > i ? "%s%u-%u" : "%s%u", i ? "," : "", cpus[i], cpus[last]);
	}
}
