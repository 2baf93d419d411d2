// SPDX-License-Identifier: GPL-2.0-only
/*
 * A placement as text: threads, LLCs and nodes, a line each, then what was found. CPUs are in the
 * order of their vCPUs, all of them: a plan that is shortened is none.
 */
#include "topo_placement.h"

#include <errno.h>
#include <inttypes.h>

#define LABEL_WIDTH 22

struct host {
	struct host_topology topology;
	struct host_conditions conditions;
};

static int read_host(const char *sys, struct host *host, struct ktstr_error *error)
{
	struct host_set allowed;
	int err = sys ? 0 : host_set__allowed(&allowed);

	*host = (struct host){.topology = {0}};
	if (err)
		return ktstr_error__set(error, -err, "sched_getaffinity", "this process", NULL);
	err = host_topology__read(&host->topology, sys ? sys : "/sys", sys ? NULL : &allowed,
				  error);
	if (err)
		return err;
	return host_conditions__read(&host->conditions, sys ? sys : "/sys", sys ? NULL : "/proc",
				     &host->topology, error);
}

static void free_host(struct host *host)
{
	host_topology__free(&host->topology);
	host_conditions__free(&host->conditions);
}

/* The index, from @i on, of a CPU of a host LLC, or that the process may use (PLACEMENT_ANY). */
static uint32_t next_cpu(const struct host_topology *host, uint32_t llc, uint32_t i)
{
	while (i < host->nr_cpus &&
	       !(llc == PLACEMENT_ANY ? host->cpus[i].allowed : host->cpus[i].llc == llc))
		i++;
	return i;
}

/* "CPUs 0-3,8", all of them */
static void print_host_cpus(const struct host_topology *host, uint32_t llc, FILE *to)
{
	uint32_t first = next_cpu(host, llc, 0), next;
	bool one = next_cpu(host, llc, first + 1) >= host->nr_cpus;

	for (uint32_t i = first; i < host->nr_cpus; i = next) {
		uint32_t from = host->cpus[i].cpu, last = from;

		next = next_cpu(host, llc, i + 1);
		while (next < host->nr_cpus && host->cpus[next].cpu == last + 1) {
			last++;
			next = next_cpu(host, llc, next + 1);
		}
		fprintf(to, "%s%u", i != first ? "," : one ? "CPU " : "CPUs ", from);
		if (last > from)
			fprintf(to, "-%u", last);
	}
}

static void print_range(const char *what, uint32_t first, uint32_t nr, FILE *to)
{
	if (nr == 1)
		fprintf(to, "%s %u", what, first);
	else
		fprintf(to, "%ss %u-%u", what, first, first + nr - 1);
}

static void print_threads(const struct placement *p, const struct host_topology *host, FILE *to)
{
	bool pinned = p->vcpus[0] != PLACEMENT_ANY;

	fprintf(to, "%-*s ", LABEL_WIDTH, "vCPU threads");
	if (pinned)
		fputs("pinned", to);
	else
		fputs("not pinned", to);
	if (p->realtime)
		fprintf(to, ", SCHED_FIFO %u\n", PLACEMENT_VCPU_PRIORITY);
	else
		fputs(", not real-time\n", to);
	fprintf(to, "%-*s ", LABEL_WIDTH, "service threads");
	if (p->service_cpu != PLACEMENT_ANY) {
		fprintf(to, "CPU %u\n", p->service_cpu);
		return;
	}
	fputs("any of ", to);
	print_host_cpus(host, PLACEMENT_ANY, to);
	putc('\n', to);
}

static void print_llcs(const struct placement *p, const struct host_topology *host, FILE *to)
{
	uint32_t vcpus = p->nr_vcpus / p->nr_llcs;

	for (uint32_t i = 0; i < p->nr_llcs && p->vcpus[0] != PLACEMENT_ANY; i++) {
		char label[32];

		snprintf(label, sizeof(label), "LLC %u", i);
		fprintf(to, "%-*s ", LABEL_WIDTH, label);
		print_range("vCPU", i * vcpus, vcpus, to);
		fputs(vcpus == 1 ? " on CPU " : " on CPUs ", to);
		placement__write_cpus(&p->vcpus[i * vcpus], vcpus, to);
		if (p->llcs[i] != PLACEMENT_ANY) {
			fputs(", of the LLC of ", to);
			print_host_cpus(host, p->llcs[i], to);
		} else {
			fputs(", of several LLCs", to);
		}
		putc('\n', to);
	}
}

static void print_nodes(const struct placement *p, const struct layout *machine, FILE *to)
{
	for (uint32_t i = 0; i < p->nr_nodes; i++) {
		const struct placement_node *node = &p->nodes[i];
		char label[32];

		snprintf(label, sizeof(label), "node %u", i);
		fprintf(to, "%-*s %" PRIu64 " MiB", LABEL_WIDTH, label,
			machine->nodes[i].memory >> 20);
		if (node->host_node != PLACEMENT_ANY)
			fprintf(to, " of host node %u", node->host_node);
		if (node->hugepages)
			fprintf(to, ", %" PRIu64 " hugepage%s\n", node->hugepages,
				node->hugepages == 1 ? "" : "s");
		else
			fputs(", small pages\n", to);
	}
}

static void print_finding(const struct placement_finding *f, FILE *to)
{
	static const char *const names[] = {
		[PLACEMENT_ERROR] = "error",
		[PLACEMENT_DOWNGRADE] = "downgrade",
		[PLACEMENT_WARNING] = "warning",
	};

	fprintf(to, "\n%s: %s: %s\n", names[f->severity], placement__kind_name(f->kind), f->what);
	if (f->instead[0])
		fprintf(to, "  instead: %s\n", f->instead);
	fprintf(to, "  remedy: %s\n", f->remedy);
}

static void print(const struct placement *p, const struct host_topology *host,
		  const struct layout *machine, FILE *to)
{
	uint32_t allowed = 0;

	for (uint32_t i = 0; i < host->nr_cpus; i++)
		allowed += host->cpus[i].allowed;
	fprintf(to, "%u vCPU%s on a host of %u CPU%s, %u allowed: performance mode %s\n",
		machine->nr_cpus, machine->nr_cpus == 1 ? "" : "s", host->nr_cpus,
		host->nr_cpus == 1 ? "" : "s", allowed,
		!p->nr_unmet			? "can be had"
		: p->mode == PLACEMENT_REQUIRED ? "cannot be had"
						: "can be had in part");
	if (p->nr_vcpus) {
		putc('\n', to);
		print_threads(p, host, to);
		print_llcs(p, host, to);
		print_nodes(p, machine, to);
	}
	for (uint32_t i = 0; i < p->nr_findings; i++)
		print_finding(&p->findings[i], to);
}

int topo_placement__print(const struct layout *machine, const char *sys, enum placement_mode mode,
			  FILE *to, bool *met, struct ktstr_error *error)
{
	struct placement placement = {.nr_vcpus = 0};
	struct ktstr_error unmet = {0};
	struct host host;
	int err = read_host(sys, &host, error);

	if (!err) {
		err = placement__plan(&placement, &host.topology, &host.conditions, machine, mode,
				      &unmet);
		if (!err || err == -ENOSPC) {
			*met = !placement.nr_unmet;
			print(&placement, &host.topology, machine, to);
			err = 0;
		} else if (error) {
			*error = unmet;
		}
	}
	placement__free(&placement);
	free_host(&host);
	return err;
}
