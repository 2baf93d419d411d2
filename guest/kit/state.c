// SPDX-License-Identifier: GPL-2.0-only
/* The model of a scenario; see state.h. */
#include "state.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "works.h"

#define MAX_NAME 64u
#define SCHED_EXT_POLICY 7 /* include/uapi/linux/sched.h */

static int __attribute__((format(printf, 3, 4)))
refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return -EINVAL;
}

int32_t state__find_cgroup(const struct scenario_state *s, const char *name)
{
	for (uint32_t i = 0; name && i < s->nr_cgroups; i++)
		if (!strcmp(s->cgroups[i].spec->name, name))
			return (int32_t)i;
	return -1;
}

int32_t state__find_set(const struct scenario_state *s, const char *name)
{
	for (uint32_t i = 0; name && i < s->nr_sets; i++)
		if (!strcmp(s->sets[i].name, name))
			return (int32_t)i;
	return -1;
}

/* ---- Declarations ---- */

/* Names become paths: letters, digits, '_', '-', '.', and '/' between the levels of a cgroup. */
static bool is_name(const char *name, bool levels)
{
	size_t length = strlen(name);
	char before = '/';

	if (!length || length > MAX_NAME)
		return false;
	for (const char *p = name; *p; before = *p++) {
		bool ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			  (*p >= '0' && *p <= '9') || *p == '_' || *p == '-';

		if (!ok && !(*p == '.' && before != '/') && !(levels && *p == '/' && before != '/'))
			return false;
	}
	return before != '/';
}

/* The cgroup in which "a/b" lies: of "a"; -1: of none, or of one that was not declared. */
static int32_t parent_of(const struct scenario_state *s, const char *name)
{
	const char *slash = strrchr(name, '/');
	char parent[MAX_NAME + 1];

	if (!slash)
		return -1;
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
	return state__find_cgroup(s, parent);
}

static int check_nodes(const struct scenario_state *s, uint64_t nodes, const char *of, char *why,
		       size_t size)
{
	/* Nodes of memory alone come after those with CPUs. */
	uint32_t nr = s->machine->nr_nodes;

	if (nr >= 64 || !(nodes >> nr))
		return 0;
	refuse(why, size, "%s: memory of node %u, but the machine has %u", of,
	       63 - (uint32_t)__builtin_clzll(nodes), nr);
	return -ERANGE;
}

static int resolve(const struct scenario_state *s, const struct ktstr_cpus *cpus, bool *own,
		   struct cpu_bits *bits, const char *of, char *why, size_t size)
{
	char reason[160];
	int err = machine__resolve(s->machine, cpus, bits, reason, sizeof(reason));

	*own = cpus->kind != KTSTR_CPUS_ALL;
	if (err)
		refuse(why, size, "%s: %s", of, reason);
	return err;
}

static int add_cgroup(struct scenario_state *s, const struct ktstr_cgroup *spec, char *why,
		      size_t size)
{
	struct cgroup_state *g = &s->cgroups[s->nr_cgroups];
	int err;

	if (s->nr_cgroups == KTSTR_SCENARIO_MAX_CGROUPS)
		return refuse(why, size, "more than %u cgroups", KTSTR_SCENARIO_MAX_CGROUPS);
	if (!is_name(spec->name, true) || !strcmp(spec->name, CGROUP_DEFAULT))
		return refuse(why, size, "\"%.80s\" is no name for a cgroup", spec->name);
	if (state__find_cgroup(s, spec->name) >= 0)
		return refuse(why, size, "there are two cgroups %s", spec->name);
	*g = (struct cgroup_state){.spec = spec, .exists = !spec->later};
	g->parent = parent_of(s, spec->name);
	if (g->parent < 0 && strchr(spec->name, '/'))
		return refuse(why, size, "cgroup %s: its parent does not come before it",
			      spec->name);
	if (g->exists && g->parent >= 0 && !s->cgroups[g->parent].exists)
		return refuse(why, size, "cgroup %s: its parent comes later", spec->name);
	if (spec->weight > 10000)
		return refuse(why, size, "cgroup %s: weight %u is above 10000", spec->name,
			      spec->weight);
	err = resolve(s, &spec->cpus, &g->has_cpus, &g->cpus, spec->name, why, size);
	err = err ? err : check_nodes(s, spec->memory_nodes, spec->name, why, size);
	if (err)
		return err;
	s->nr_cgroups++;
	return 0;
}

static int check_scheduling(const char *name, int policy, int priority, int nice, char *why,
			    size_t size)
{
	switch (policy) {
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
	case SCHED_DEADLINE:
	case SCHED_EXT_POLICY:
		if (priority)
			return refuse(why, size, "%s: priority %d of a policy that has none", name,
				      priority);
		break;
	case SCHED_FIFO:
	case SCHED_RR:
		if (priority < 0 || priority > 99)
			return refuse(why, size, "%s: priority %d is not 1 to 99", name, priority);
		break;
	default:
		return refuse(why, size, "%s: there is no scheduling policy %d", name, policy);
	}
	if (nice < -20 || nice > 19)
		return refuse(why, size, "%s: nice %d is not -20 to 19", name, nice);
	return 0;
}

/* Takes the number of workers from what was declared, or from their CPUs. */
static int count_workers(struct scenario_state *s, struct set_state *set, uint32_t index, char *why,
			 size_t size)
{
	const struct ktstr_workers *spec = set->spec;
	uint32_t multiple = works__multiple(spec->work), least = works__least(spec->work);
	struct cpu_bits allowed;

	set->nr = spec->nr;
	if (!set->nr) {
		state__allowed(s, index, &allowed);
		set->nr = (cpu_bits__count(&allowed) * (spec->percent ? spec->percent : 100) + 99) /
			  100;
		set->nr = set->nr < least ? least : set->nr;
		set->nr = (set->nr + multiple - 1) / multiple * multiple;
	}
	if (set->nr < least || set->nr % multiple)
		return refuse(why, size, "%s: %u workers, but this work takes %s%u", set->name,
			      set->nr, multiple > 1 ? "a multiple of " : "at least ",
			      multiple > 1 ? multiple : least);
	if (set->nr > KTSTR_SCENARIO_MAX_WORKERS - s->nr_workers)
		return refuse(why, size, "more than %u workers", KTSTR_SCENARIO_MAX_WORKERS);
	set->first = s->nr_workers;
	s->nr_workers += set->nr;
	return 0;
}

static bool has_children(const struct scenario_state *s, int32_t cgroup)
{
	for (uint32_t i = 0; i < s->nr_cgroups; i++)
		if (s->cgroups[i].parent == cgroup)
			return true;
	return false;
}

/* That workers may be in it (cgroup v2: no internal processes). */
static int find_home(const struct scenario_state *s, const char *set, const char *name,
		     int32_t *cgroup, char *why, size_t size)
{
	*cgroup = state__find_cgroup(s, name);
	if (!name)
		return 0;
	if (*cgroup < 0)
		return refuse(why, size, "%s: there is no cgroup %s", set, name);
	if (has_children(s, *cgroup))
		return refuse(why, size, "%s: cgroup %s has others in it, and no workers", set,
			      name);
	return 0;
}

static int add_set(struct scenario_state *s, const struct ktstr_workers *spec, char *why,
		   size_t size)
{
	struct set_state *set = &s->sets[s->nr_sets];
	const char *name;
	int err;

	if (s->nr_sets == KTSTR_SCENARIO_MAX_SETS)
		return refuse(why, size, "more than %u sets of workers", KTSTR_SCENARIO_MAX_SETS);
	if ((uint32_t)spec->work > KTSTR_NR_WORKS)
		return refuse(why, size, "there is no work %d", spec->work);
	name = spec->name ? spec->name : ktstr_work__name(spec->work);
	if (!is_name(name, false))
		return refuse(why, size, "\"%.80s\" is no name for workers", name);
	if (state__find_set(s, name) >= 0)
		return refuse(why, size, "there are two sets of workers %s: name one", name);
	*set = (struct set_state){.spec = spec, .name = name, .is_running = !spec->later};
	if ((spec->work == KTSTR_WORK_CUSTOM) != !!spec->unit)
		return refuse(why, size, "%s: .unit belongs to KTSTR_WORK_CUSTOM", name);
	err = find_home(s, name, spec->cgroup, &set->cgroup, why, size);
	if (!err && set->is_running && set->cgroup >= 0 && !s->cgroups[set->cgroup].exists)
		err = refuse(why, size, "%s: cgroup %s comes later", name, spec->cgroup);
	err = err ? err : resolve(s, &spec->cpus, &set->has_cpus, &set->cpus, name, why, size);
	err = err ? err : check_nodes(s, spec->memory_nodes, name, why, size);
	if (!err && spec->memory != KTSTR_MEMORY_DEFAULT && !spec->memory_nodes)
		err = refuse(why, size, "%s: a memory policy without nodes", name);
	err = err ? err
		  : check_scheduling(name, spec->policy, spec->priority, spec->nice, why, size);
	err = err ? err : count_workers(s, set, s->nr_sets, why, size);
	if (err)
		return err;
	s->nr_sets++;
	return 0;
}

int state__init(struct scenario_state *s, const struct ktstr_scenario *scenario,
		const struct machine *machine, char *why, size_t size)
{
	int err = 0;

	*s = (struct scenario_state){
		.scenario = scenario, .machine = machine, .online = machine->online};
	for (const struct ktstr_cgroup *g = scenario->cgroups; !err && g && g->name; g++)
		err = add_cgroup(s, g, why, size);
	for (const struct ktstr_workers *w = scenario->workers;
	     !err && w && w->work != KTSTR_NR_WORKS; w++)
		err = add_set(s, w, why, size);
	if (err)
		return err;
	if (!state__nr_steps(scenario))
		return refuse(why, size, "it has no steps");
	if (state__nr_steps(scenario) > KTSTR_SCENARIO_MAX_STEPS)
		return refuse(why, size, "it has more than %u steps", KTSTR_SCENARIO_MAX_STEPS);
	return 0;
}

uint32_t state__nr_steps(const struct ktstr_scenario *scenario)
{
	uint64_t nr = 0;

	for (const struct ktstr_step *s = scenario->steps; s && s->hold_ms != UINT32_MAX; s++)
		nr++;
	nr *= scenario->repeat ? scenario->repeat : 1;
	return nr > UINT32_MAX ? UINT32_MAX : (uint32_t)nr;
}

/* ---- What holds ---- */

static bool is_empty(const struct cpu_bits *bits)
{
	return !cpu_bits__count(bits);
}

static void narrow(struct cpu_bits *allowed, const struct cpu_bits *to)
{
	struct cpu_bits narrowed = *allowed;

	cpu_bits__intersect(&narrowed, to);
	if (!is_empty(&narrowed))
		*allowed = narrowed;
}

static void cgroup_cpus(const struct scenario_state *s, int32_t cgroup, struct cpu_bits *allowed)
{
	if (cgroup < 0) {
		*allowed = s->online;
		return;
	}
	cgroup_cpus(s, s->cgroups[cgroup].parent, allowed);
	if (s->cgroups[cgroup].has_cpus)
		narrow(allowed, &s->cgroups[cgroup].cpus);
}

void state__allowed(const struct scenario_state *s, uint32_t index, struct cpu_bits *allowed)
{
	const struct set_state *set = &s->sets[index];

	cgroup_cpus(s, set->cgroup, allowed);
	if (set->has_cpus)
		narrow(allowed, &set->cpus);
}

bool state__is_active(const struct scenario_state *s, uint32_t index)
{
	if (!s->sets[index].is_running)
		return false;
	for (int32_t g = s->sets[index].cgroup; g >= 0; g = s->cgroups[g].parent)
		if (s->cgroups[g].is_frozen)
			return false;
	return true;
}

/* ---- Operations ---- */

static bool is_of_cgroup(enum ktstr_op_kind kind)
{
	return kind >= KTSTR_OP_ADD_CGROUP && kind <= KTSTR_OP_THAW;
}

static bool is_of_set(enum ktstr_op_kind kind)
{
	return kind >= KTSTR_OP_START && kind <= KTSTR_OP_NICE;
}

static bool is_populated(const struct scenario_state *s, int32_t cgroup)
{
	for (uint32_t i = 0; i < s->nr_sets; i++)
		if (s->sets[i].is_running && s->sets[i].cgroup == cgroup)
			return true;
	for (uint32_t i = 0; i < s->nr_cgroups; i++)
		if (s->cgroups[i].exists && s->cgroups[i].parent == cgroup)
			return true;
	return false;
}

static int apply_to_cgroup(struct scenario_state *s, const struct ktstr_op *op, char *why,
			   size_t size)
{
	int32_t index = state__find_cgroup(s, op->name);
	struct cgroup_state *g = &s->cgroups[index < 0 ? 0 : index];

	if (index < 0)
		return refuse(why, size, "there is no cgroup %s", op->name ? op->name : "(NULL)");
	if (g->exists == (op->kind == KTSTR_OP_ADD_CGROUP))
		return refuse(why, size, "cgroup %s is %s there", op->name,
			      g->exists ? "already" : "not");
	switch (op->kind) {
	case KTSTR_OP_ADD_CGROUP:
		if (g->parent >= 0 && !s->cgroups[g->parent].exists)
			return refuse(why, size, "cgroup %s: its parent is not there", op->name);
		g->exists = true;
		return resolve(s, &g->spec->cpus, &g->has_cpus, &g->cpus, op->name, why, size);
	case KTSTR_OP_REMOVE_CGROUP:
		if (is_populated(s, index))
			return refuse(why, size, "cgroup %s is not empty", op->name);
		g->exists = g->is_frozen = false;
		return 0;
	case KTSTR_OP_CGROUP_CPUS:
		return resolve(s, &op->cpus, &g->has_cpus, &g->cpus, op->name, why, size);
	case KTSTR_OP_CGROUP_WEIGHT:
		if (op->value < 1 || op->value > 10000)
			return refuse(why, size, "cgroup %s: weight %d is not 1 to 10000", op->name,
				      op->value);
		return 0;
	case KTSTR_OP_CGROUP_MAX:
		if (op->value < 0)
			return refuse(why, size, "cgroup %s: a limit of %d percent", op->name,
				      op->value);
		return 0;
	default:
		if (g->is_frozen == (op->kind == KTSTR_OP_FREEZE))
			return refuse(why, size, "cgroup %s is %s frozen", op->name,
				      g->is_frozen ? "already" : "not");
		g->is_frozen = !g->is_frozen;
		return 0;
	}
}

static int apply_to_set(struct scenario_state *s, const struct ktstr_op *op, char *why, size_t size)
{
	int32_t index = state__find_set(s, op->name), home;
	struct set_state *set = &s->sets[index < 0 ? 0 : index];
	int err;

	if (index < 0)
		return refuse(why, size, "there are no workers %s", op->name ? op->name : "(NULL)");
	if (set->is_running == (op->kind == KTSTR_OP_START))
		return refuse(why, size, "workers %s are %s there", op->name,
			      set->is_running ? "already" : "not");
	switch (op->kind) {
	case KTSTR_OP_START:
		home = set->cgroup;
		if (home >= 0 && !s->cgroups[home].exists)
			return refuse(why, size, "workers %s: cgroup %s is not there", op->name,
				      s->cgroups[home].spec->name);
		set->is_running = true;
		for (; home >= 0; home = s->cgroups[home].parent)
			if (s->cgroups[home].is_frozen)
				return refuse(why, size, "workers %s would start frozen", op->name);
		return 0;
	case KTSTR_OP_STOP:
		set->is_running = false;
		return 0;
	case KTSTR_OP_MOVE:
		err = find_home(s, op->name, op->cgroup, &home, why, size);
		if (!err && home >= 0 && !s->cgroups[home].exists)
			err = refuse(why, size, "workers %s: cgroup %s is not there", op->name,
				     op->cgroup);
		if (!err)
			set->cgroup = home;
		return err;
	case KTSTR_OP_CPUS:
		return resolve(s, &op->cpus, &set->has_cpus, &set->cpus, op->name, why, size);
	case KTSTR_OP_POLICY:
		return check_scheduling(op->name, op->value, 0, 0, why, size);
	default:
		return check_scheduling(op->name, SCHED_OTHER, 0, op->value, why, size);
	}
}

static int apply_to_cpu(struct scenario_state *s, const struct ktstr_op *op, char *why, size_t size)
{
	bool off = op->kind == KTSTR_OP_CPU_OFF;
	uint32_t cpu = (uint32_t)op->value;

	if (op->value < 0 || !cpu_bits__has(&s->machine->online, cpu)) {
		refuse(why, size, "the machine has no CPU %d", op->value);
		return op->value < 0 ? -EINVAL : -ERANGE;
	}
	if (off && !cpu)
		return refuse(why, size, "CPU 0 can't be taken off");
	if (cpu_bits__has(&s->online, cpu) != off)
		return refuse(why, size, "CPU %u is already %s", cpu, off ? "off" : "on");
	if (!off) {
		cpu_bits__add(&s->online, cpu);
		return 0;
	}
	cpu_bits__remove(&s->online, cpu);
	/* The kernel gives up an affinity that has no CPU left (select_fallback_rq()). */
	for (uint32_t i = 0; i < s->nr_sets; i++) {
		struct cpu_bits left = s->sets[i].cpus;

		cpu_bits__intersect(&left, &s->online);
		if (is_empty(&left))
			s->sets[i].has_cpus = false;
	}
	return 0;
}

int state__apply(struct scenario_state *s, const struct ktstr_op *op, char *why, size_t size)
{
	if (is_of_cgroup(op->kind))
		return apply_to_cgroup(s, op, why, size);
	if (is_of_set(op->kind))
		return apply_to_set(s, op, why, size);
	if (op->kind == KTSTR_OP_CPU_OFF || op->kind == KTSTR_OP_CPU_ON)
		return apply_to_cpu(s, op, why, size);
	if (op->kind == KTSTR_OP_CALL && op->call)
		return 0;
	return refuse(why, size, "there is no operation %d", op->kind);
}

int state__rehearse(const struct scenario_state *state, char *why, size_t size)
{
	struct scenario_state s = *state;
	const struct ktstr_step *steps = s.scenario->steps;
	uint32_t nr = state__nr_steps(s.scenario);
	uint32_t in_turn = nr / (s.scenario->repeat ? s.scenario->repeat : 1);
	char reason[256];

	for (uint32_t i = 0; i < nr; i++) {
		const struct ktstr_op *op = steps[i % in_turn].ops;

		for (; op && op->kind != KTSTR_OP_NONE; op++) {
			int err = state__apply(&s, op, reason, sizeof(reason));
			const char *name = steps[i % in_turn].name;

			if (!err)
				continue;
			refuse(why, size, "step %u%s%s%s: %s", i + 1, name ? " (" : "", name ?: "",
			       name ? ")" : "", reason);
			return err;
		}
	}
	return 0;
}

void state__describe(const struct scenario_state *s, const struct ktstr_op *op, char *text,
		     size_t size)
{
	const char *name = op->name ? op->name : "";
	struct cpu_bits bits = {.words = {0}};
	char cpus[96] = "", unused[160];

	if (op->kind == KTSTR_OP_CGROUP_CPUS || op->kind == KTSTR_OP_CPUS) {
		machine__resolve(s->machine, &op->cpus, &bits, unused, sizeof(unused));
		cpu_bits__format(&bits, cpus, sizeof(cpus));
	}
	switch (op->kind) {
	case KTSTR_OP_ADD_CGROUP:
		snprintf(text, size, "make cgroup %s", name);
		break;
	case KTSTR_OP_REMOVE_CGROUP:
		snprintf(text, size, "remove cgroup %s", name);
		break;
	case KTSTR_OP_CGROUP_CPUS:
		snprintf(text, size, "cgroup %s: CPUs %s", name, cpus);
		break;
	case KTSTR_OP_CGROUP_WEIGHT:
		snprintf(text, size, "cgroup %s: weight %d", name, op->value);
		break;
	case KTSTR_OP_CGROUP_MAX:
		snprintf(text, size, "cgroup %s: at most %d percent of a CPU", name, op->value);
		break;
	case KTSTR_OP_FREEZE:
		snprintf(text, size, "freeze cgroup %s", name);
		break;
	case KTSTR_OP_THAW:
		snprintf(text, size, "thaw cgroup %s", name);
		break;
	case KTSTR_OP_START:
		snprintf(text, size, "start %s", name);
		break;
	case KTSTR_OP_STOP:
		snprintf(text, size, "stop %s", name);
		break;
	case KTSTR_OP_MOVE:
		snprintf(text, size, "move %s to %s", name, op->cgroup ?: CGROUP_DEFAULT);
		break;
	case KTSTR_OP_CPUS:
		snprintf(text, size, "%s: affinity %s", name, cpus);
		break;
	case KTSTR_OP_POLICY:
		snprintf(text, size, "%s: policy %d", name, op->value);
		break;
	case KTSTR_OP_NICE:
		snprintf(text, size, "%s: nice %d", name, op->value);
		break;
	case KTSTR_OP_CPU_OFF:
	case KTSTR_OP_CPU_ON:
		snprintf(text, size, "CPU %d %s", op->value,
			 op->kind == KTSTR_OP_CPU_OFF ? "off" : "on");
		break;
	default:
		snprintf(text, size, "call a function of the test");
	}
}
