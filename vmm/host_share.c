// SPDX-License-Identifier: GPL-2.0-only
/* A machine's share of the host: room in the budget, and CPUs. */
#include "host_share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "performance.h"

int host_share__check(struct ktstr_error *error)
{
	struct budget_limits limits;
	uint32_t number;
	int err = budget__limits(&limits, error);

	if (!err)
		err = cpu_locks__timeout(&number, error);
	return err ? err : cpu_locks__cap(&number, error);
}

static int plan_on(struct host_topology *host, const struct host_set *used,
		   const struct host_share_request *request, struct placement *plan,
		   struct ktstr_error *error)
{
	for (uint32_t i = 0; i < host->nr_cpus; i++)
		host->cpus[i].taken =
			used && host_set__has(used, cpu_locks__of(host, &host->cpus[i]));
	return performance__plan(request->config, host, plan, error);
}

/* Round what others use; on it, which is to wait, where nothing else will do. */
static int plan(struct host_topology *host, const struct host_share_request *request,
		struct placement *plan, struct ktstr_error *error)
{
	struct host_set used;
	int err;

	cpu_locks__in_use(host, &used);
	err = plan_on(host, &used, request, plan, NULL);
	if (!err && !plan->nr_unmet)
		return 0;
	placement__free(plan);
	return plan_on(host, NULL, request, plan, error);
}

/* The LLCs of a plan that pins; of any other, vCPUs run as an ordinary machine's. */
static void want_llcs(const struct placement *plan, const struct host_topology *host,
		      struct cpu_locks_request *locks, uint32_t *llcs)
{
	for (uint32_t v = 0; v < plan->nr_vcpus && plan->vcpus[v] != PLACEMENT_ANY; v++)
		for (uint32_t i = 0; i < host->nr_cpus; i++)
			if (host->cpus[i].cpu == plan->vcpus[v])
				llcs[locks->nr_llcs++] = host->cpus[i].llc;
	locks->exclusive = locks->nr_llcs;
	locks->llcs = llcs;
}

static int take_on(struct host_topology *host, const struct host_share_request *request,
		   struct cpu_locks_request *locks, struct host_share *share,
		   struct ktstr_error *error)
{
	uint32_t *llcs = NULL;
	int err;

	if (request->config->performance_mode) {
		err = plan(host, request, &share->plan, error);
		llcs = err ? NULL : calloc(share->plan.nr_vcpus, sizeof(*llcs));
		if (err || !llcs)
			return err ? err
				   : ktstr_error__set(error, ENOMEM, "lock", "host CPUs", NULL);
		want_llcs(&share->plan, host, locks, llcs);
	}
	err = cpu_locks__take(locks, &share->cpus, error);
	free(llcs);
	return err;
}

int host_share__take_cpus(const struct host_share_request *request, struct host_share *share,
			  struct ktstr_error *error)
{
	const struct ktstr_vm_config *config = request->config;
	struct host_topology host = {.nr_cpus = 0};
	struct host_set allowed;
	struct ktstr_error unread = {0};
	struct cpu_locks_request locks = {
		.host = &host,
		.cpus = config->cpu_cap,
		.cancel_fd = config->cancel_fd,
		.what = request->what,
		.say = request->say,
		.opaque = request->opaque,
	};
	int err = cpu_locks__timeout(&locks.timeout_s, error);

	if (!err && !locks.cpus)
		err = cpu_locks__cap(&locks.cpus, error);
	if (!err && locks.cpus && config->performance_mode) {
		err = ktstr_error__set(error, EINVAL, "cap", "host CPUs",
				       "performance mode has CPUs of its own");
		ktstr_error__hint(error, "leave out --cpu-cap (" CPU_CAP_VARIABLE ")");
	}
	if (err)
		return err;
	err = host_set__allowed(&allowed);
	if (err)
		ktstr_error__set(&unread, -err, "sched_getaffinity", NULL, NULL);
	else
		err = host_topology__read(&host, "/sys", &allowed, &unread);
	if (!err) {
		err = take_on(&host, request, &locks, share, error);
		host_topology__free(&host);
		return err;
	}
	host_topology__free(&host);
	if (config->performance_mode || locks.cpus) {
		if (error)
			*error = unread;
		return err;
	}
	if (request->say) {
		char why[600], text[700];

		ktstr_error__format(&unread, why, sizeof(why));
		snprintf(text, sizeof(text), "machines run without locks of the host's CPUs: %s",
			 why);
		request->say(request->opaque, false, text);
	}
	return 0;
}

int host_share__take(const struct host_share_request *request, struct host_share *share,
		     struct ktstr_error *error)
{
	const struct ktstr_vm_config *config = request->config;
	struct budget_request budget = {
		.key = request->key,
		.cancel_fd = config->cancel_fd,
		.say = request->say,
		.opaque = request->opaque,
	};
	int err = budget__limits(&budget.limits, error);

	*share = (struct host_share){.cpus = NULL};
	/* What is no machine, ktstr_vm__create() will say. */
	if (err || !budget_request__size(&budget, &config->topology, config->memory_mb))
		return err;
	err = budget__take(&budget, &share->budget);
	if (!err)
		err = host_share__take_cpus(request, share, error);
	if (err)
		host_share__give_back(share);
	return err;
}

void host_share__give_back(struct host_share *share)
{
	cpu_locks__give_back(share->cpus);
	share->cpus = NULL;
	placement__free(&share->plan);
	budget__give_back(&share->budget);
}

const struct ktstr_cpu_share *host_share__cpus(const struct host_share *share)
{
	return (const struct ktstr_cpu_share *)share;
}
