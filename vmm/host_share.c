// SPDX-License-Identifier: GPL-2.0-only
/* A machine's share of the host: room in the budget, and CPUs. */
#include "host_share.h"

#include <errno.h>
#include <string.h>

int host_share__check(struct ktstr_error *error)
{
	struct budget_limits limits;
	uint32_t number;
	int err = budget__limits(&limits, error);

	if (!err)
		err = cpu_locks__timeout(&number, error);
	return err ? err : cpu_locks__cap(&number, error);
}

int host_share__take_cpus(const struct host_share_request *request, struct cpu_locks **cpus,
			  struct ktstr_error *error)
{
	struct host_topology host;
	struct host_set allowed;
	struct ktstr_error unread = {0};
	struct cpu_locks_request locks = {
		.host = &host,
		.exclusive = request->nr_llcs,
		.llcs = request->llcs,
		.nr_llcs = request->nr_llcs,
		.cpus = request->config->cpu_cap,
		.cancel_fd = request->config->cancel_fd,
		.what = request->what,
		.say = request->say,
		.opaque = request->opaque,
	};
	int err = cpu_locks__timeout(&locks.timeout_s, error);

	*cpus = NULL;
	if (!err && !locks.cpus)
		err = cpu_locks__cap(&locks.cpus, error);
	if (err)
		return err;
	err = host_set__allowed(&allowed);
	if (err)
		ktstr_error__set(&unread, -err, "sched_getaffinity", NULL, NULL);
	else
		err = host_topology__read(&host, "/sys", &allowed, &unread);
	if (!err) {
		err = cpu_locks__take(&locks, cpus, error);
		host_topology__free(&host);
		return err;
	}
	if (locks.exclusive || locks.cpus) {
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
		err = host_share__take_cpus(request, &share->cpus, error);
	if (err)
		host_share__give_back(share);
	return err;
}

void host_share__give_back(struct host_share *share)
{
	cpu_locks__give_back(share->cpus);
	share->cpus = NULL;
	budget__give_back(&share->budget);
}

const struct ktstr_cpu_share *host_share__cpus(const struct host_share *share)
{
	return (const struct ktstr_cpu_share *)share->cpus;
}
