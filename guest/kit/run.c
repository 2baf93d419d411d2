// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a scenario: makes its cgroups, starts its workers, goes through its steps and reads what
 * they came to. The process that does so has real-time priority meanwhile: a scheduler that starves
 * everybody is to be seen, not to keep it from seeing.
 */
#include <ktstr/guest.h>
#include <ktstr/scenario.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "check.h"
#include "crew.h"
#include "procfs.h"
#include "report.h"

#define NS_PER_MS UINT64_C(1000000)
#define RUNNER_PRIORITY 50
#define SYS_DEVICES "/sys/devices/system"

struct run {
	const struct ktstr_scenario *scenario;
	struct ktstr_scenario_result *result;
	struct machine machine;
	struct scenario_state state;
	struct crew crew;
	struct set_measures measures[KTSTR_SCENARIO_MAX_SETS];
	struct cpu_time before;
	int policy; /* of the caller, put back at the end */
	struct sched_param param;
};

static int __attribute__((format(printf, 3, 4))) fail(struct run *r, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(r->result->problem, sizeof(r->result->problem), fmt, args);
	va_end(args);
	return err;
}

/* ---- Operations ---- */

static int switch_cpu(int cpu, bool on)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), SYS_DEVICES "/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, on ? "1" : "0", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

static int set_up_cgroup(const struct cgroup_state *g)
{
	const struct ktstr_cgroup *spec = g->spec;
	int err = cgroup__add(spec->name);

	if (!err && g->has_cpus)
		err = cgroup__set_cpus(spec->name, &g->cpus);
	if (!err && spec->memory_nodes)
		err = cgroup__set_memory_nodes(spec->name, spec->memory_nodes);
	if (!err && spec->weight)
		err = cgroup__set_weight(spec->name, spec->weight);
	if (!err && spec->max_percent)
		err = cgroup__set_max(spec->name, spec->max_percent);
	return err;
}

static uint32_t active_sets(const struct scenario_state *s)
{
	uint32_t active = 0;

	for (uint32_t set = 0; set < s->nr_sets; set++)
		active |= (uint32_t)state__is_active(s, set) << set;
	return active;
}
_Static_assert(KTSTR_SCENARIO_MAX_SETS <= 32, "a bit of uint32_t each");

/* Does what the state already says. */
static int perform(struct run *r, const struct ktstr_op *op, char *why)
{
	struct scenario_state *s = &r->state;
	int32_t group = state__find_cgroup(s, op->name), set = state__find_set(s, op->name);
	const struct cgroup_state *g = &s->cgroups[group < 0 ? 0 : group];
	uint32_t index = set < 0 ? 0 : (uint32_t)set;
	int err;

	switch (op->kind) {
	case KTSTR_OP_ADD_CGROUP:
		return set_up_cgroup(g);
	case KTSTR_OP_REMOVE_CGROUP:
		return cgroup__remove(op->name);
	case KTSTR_OP_CGROUP_CPUS:
		return cgroup__set_cpus(op->name, g->has_cpus ? &g->cpus : NULL);
	case KTSTR_OP_CGROUP_WEIGHT:
		return cgroup__set_weight(op->name, (uint32_t)op->value);
	case KTSTR_OP_CGROUP_MAX:
		return cgroup__set_max(op->name, (uint32_t)op->value);
	case KTSTR_OP_FREEZE:
		return cgroup__freeze(op->name, true, CREW_TIMEOUT_MS);
	case KTSTR_OP_THAW:
		return cgroup__freeze(op->name, false, CREW_TIMEOUT_MS);
	case KTSTR_OP_START:
		err = crew__start(&r->crew, index, why);
		if (!err)
			crew__go(&r->crew, index);
		return err;
	case KTSTR_OP_STOP:
		crew__stop(&r->crew, index);
		return 0;
	case KTSTR_OP_MOVE:
		return crew__move(&r->crew, index);
	case KTSTR_OP_CPUS:
		return crew__set_cpus(&r->crew, index,
				      s->sets[index].has_cpus ? &s->sets[index].cpus
							      : &r->machine.online);
	case KTSTR_OP_POLICY:
		return crew__set_policy(&r->crew, index, op->value, 0);
	case KTSTR_OP_NICE:
		return crew__set_nice(&r->crew, index, op->value);
	case KTSTR_OP_CPU_OFF:
	case KTSTR_OP_CPU_ON:
		return switch_cpu(op->value, op->kind == KTSTR_OP_CPU_ON);
	case KTSTR_OP_CALL:
		return op->call(op->arg);
	default:
		return -EINVAL;
	}
}

static int do_step(struct run *r, const struct ktstr_step *step, uint32_t number)
{
	char why[256], text[256];
	int err;

	for (const struct ktstr_op *op = step->ops; op && op->kind != KTSTR_OP_NONE; op++) {
		uint32_t were_active = active_sets(&r->state), active;

		why[0] = '\0';
		state__describe(&r->state, op, text, sizeof(text));
		err = state__apply(&r->state, op, why, sizeof(why));
		/* Before they run again, workers can see that they could not until now. */
		active = active_sets(&r->state) & ~were_active;
		for (uint32_t set = 0; set < r->state.nr_sets; set++)
			if (active >> set & 1)
				crew__thaw(&r->crew, set);
		err = err ? err : perform(r, op, why);
		if (err)
			return fail(r, err, "step %u, %s: %s", number + 1, text,
				    why[0] ? why : strerror(-err));
		ktstr_stimulus__send(number, "%s", text);
	}
	return 0;
}

/* ---- The run ---- */

static void hold(struct run *r, uint64_t end_ns)
{
	uint64_t now_ns;

	while ((now_ns = kit__now_ns()) < end_ns) {
		uint64_t next_ns = now_ns + CREW_LOOK_MS * NS_PER_MS;

		kit__sleep_until(next_ns < end_ns ? next_ns : end_ns);
		crew__look(&r->crew);
	}
}

static int go_through_steps(struct run *r)
{
	const struct ktstr_step *steps = r->scenario->steps;
	uint32_t nr = state__nr_steps(r->scenario);
	uint32_t in_turn = nr / (r->scenario->repeat ? r->scenario->repeat : 1);
	int err = 0;

	for (uint32_t i = 0; !err && i < nr; i++) {
		const struct ktstr_step *step = &steps[i % in_turn];

		ktstr_stimulus__send(i, "step %u of %u%s%s, for %u ms", i + 1, nr,
				     step->name ? ": " : "", step->name ?: "", step->hold_ms);
		if (i) {
			crew__look(&r->crew);
			crew__begin_change(&r->crew);
		}
		err = do_step(r, step, i);
		crew__end_change(&r->crew, i);
		if (!err)
			hold(r, kit__now_ns() + step->hold_ms * NS_PER_MS);
	}
	return err;
}

/* Everything that is there from the beginning on; ended by the first step. */
static int set_up(struct run *r)
{
	char why[256];
	int err = cgroup__begin();

	if (err)
		return fail(r, err, CGROUP_ROOT ": %s", strerror(-err));
	for (uint32_t i = 0; i < r->state.nr_cgroups; i++) {
		if (!r->state.cgroups[i].exists)
			continue;
		err = set_up_cgroup(&r->state.cgroups[i]);
		if (err)
			return fail(r, err, "cgroup %s: %s", r->state.cgroups[i].spec->name,
				    strerror(-err));
	}
	err = crew__create(&r->crew, &r->state);
	if (err)
		return fail(r, err, "memory of the workers: %s", strerror(-err));
	crew__begin_change(&r->crew);
	for (uint32_t set = 0; set < r->state.nr_sets; set++) {
		if (!r->state.sets[set].is_running)
			continue;
		err = crew__start(&r->crew, set, why);
		if (err)
			return fail(r, err, "%s", why);
	}
	return 0;
}

/* All at once: who was started first would have the machine for itself until the last one is. */
static void begin_work(struct run *r)
{
	r->crew.kit->start_ns = r->result->start_ns;
	for (uint32_t set = 0; set < r->state.nr_sets; set++)
		if (r->state.sets[set].is_running)
			crew__go(&r->crew, set);
}

/* What the host did to the machine meanwhile, and whether it makes limits meaningless. */
static void judge_host(struct run *r)
{
	struct ktstr_scenario_result *result = r->result;
	const char *disturbed = getenv(KTSTR_DISTURBED_ENV);
	struct cpu_time after;

	if (!procfs__cpu_time(&after) && after.total > r->before.total)
		result->steal_percent = 100.0 * (double)(after.steal - r->before.steal) /
					(double)(after.total - r->before.total);
	if (disturbed)
		snprintf(result->disturbed, sizeof(result->disturbed), "%s", disturbed);
	else if (result->steal_percent > KTSTR_DISTURBED_STEAL_PERCENT)
		snprintf(result->disturbed, sizeof(result->disturbed),
			 "the host took away %.1f %% of the CPU time", result->steal_percent);
}

static int collect(struct run *r)
{
	struct ktstr_scenario_result *result = r->result;

	result->workers = calloc(r->state.nr_workers + 1, sizeof(*result->workers));
	if (!result->workers)
		return fail(r, -ENOMEM, "memory of the result: %s", strerror(ENOMEM));
	result->nr_workers = r->state.nr_workers;
	for (uint32_t set = 0; set < r->state.nr_sets; set++)
		for (uint32_t i = 0; i < r->state.sets[set].nr; i++)
			crew__report(&r->crew, set, r->state.sets[set].first + i,
				     &result->workers[r->state.sets[set].first + i]);
	for (uint32_t set = 0; set < r->state.nr_sets; set++)
		check__measure(&r->state, set, &r->crew.sets[set], result, &r->measures[set]);
	return 0;
}

static void put_cpus_back(struct run *r)
{
	for (uint32_t i = 0; i < r->machine.nr_cpus; i++)
		if (!cpu_bits__has(&r->state.online, r->machine.order[i]))
			switch_cpu(r->machine.order[i], true);
}

static int run_all(struct run *r, const char *name)
{
	struct ktstr_scenario_result *result = r->result;
	uint64_t begin_ns = kit__now_ns();
	int err, end_err;

	procfs__cpu_time(&r->before);
	err = set_up(r);
	result->start_ns = kit__now_ns();
	if (!err) {
		begin_work(r);
		err = go_through_steps(r);
	}
	result->end_ns = kit__now_ns();
	if (r->crew.state) {
		judge_host(r);
		crew__stop_all(&r->crew);
		err = err ? err : collect(r);
		if (!err)
			check__judge(&r->state, r->measures, result);
		crew__destroy(&r->crew);
	}
	put_cpus_back(r);
	end_err = cgroup__end();
	result->around_ns = result->start_ns - begin_ns + kit__now_ns() - result->end_ns;
	/* Of a worker that can't be killed, its cgroup stays; that has been judged. */
	if (!err && end_err && result->verdict != KTSTR_SCENARIO_FAILED)
		err = fail(r, end_err, "removing the scenario's cgroups: %s", strerror(-end_err));
	if (err)
		return err;
	kit_report__print(&r->state, r->measures, name, result);
	kit_report__send(&r->state, r->measures, name, result);
	return 0;
}

static int prepare(struct run *r)
{
	char why[400];
	int err = machine__read(SYS_DEVICES, &r->machine);

	if (err)
		return fail(r, err, SYS_DEVICES ": %s", strerror(-err));
	err = state__init(&r->state, r->scenario, &r->machine, why, sizeof(why));
	err = err ? err : state__rehearse(&r->state, why, sizeof(why));
	/* An environment that says nothing of it: a busy host. */
	r->state.strict = getenv(KTSTR_QUIET_ENV) != NULL;
	err = err ? err : check__validate(&r->state, why, sizeof(why));
	return err ? fail(r, err, "%s", why) : 0;
}

int ktstr_scenario__run(const struct ktstr_scenario *scenario, const char *name,
			struct ktstr_scenario_result *result)
{
	static const struct sched_param runner = {.sched_priority = RUNNER_PRIORITY};
	struct run *r = calloc(1, sizeof(*r));
	int err;

	*result = (struct ktstr_scenario_result){.verdict = KTSTR_SCENARIO_INVALID};
	name = scenario->name ? scenario->name : name ? name : "scenario";
	if (!r) {
		snprintf(result->problem, sizeof(result->problem), "%s", strerror(ENOMEM));
		return result->err = -ENOMEM;
	}
	r->scenario = scenario;
	r->result = result;
	ktstr_scenario__start(name);
	err = prepare(r);
	if (!err) {
		r->policy = sched_getscheduler(0);
		sched_getparam(0, &r->param);
		/* Without the right to it, as outside of a machine, it is as its workers are. */
		sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &runner);
		err = run_all(r, name);
		sched_setscheduler(0, r->policy, &r->param);
	}
	free(r);
	result->err = err;
	if (err)
		result->verdict = KTSTR_SCENARIO_INVALID;
	ktstr_scenario__end(name, result->verdict == KTSTR_SCENARIO_PASSED	   ? 0
				  : result->verdict == KTSTR_SCENARIO_INCONCLUSIVE ? 4
										   : 1);
	return err;
}

void ktstr_scenario_result__free(struct ktstr_scenario_result *result)
{
	free(result->workers);
	result->workers = NULL;
}
