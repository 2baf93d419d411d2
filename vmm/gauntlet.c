// SPDX-License-Identifier: GPL-2.0-only
/* Which runs of a gauntlet are made: the limits of tests and host, and the choice for a budget. */
#include <ktstr/gauntlet.h>
#include <ktstr/test.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulated/emulated.h"

#define EMULATED_MAX_CPUS 16u /* that boot within a minute there */
#define DEFAULT_RUN_S 2u

/* ---- what a test declares ---- */

static int refuse(const char *name, const char *why, const char *what, struct ktstr_error *error)
{
	return ktstr_error__set(error, EINVAL, "gauntlet", name, "%s%s", why, what);
}

int ktstr_gauntlet__check(const char *name, const struct ktstr_test_attrs *attrs,
			  struct ktstr_error *error)
{
	const struct ktstr_profile *profile, *other;

	/* One of these is declared for every machine. */
	if (attrs->topology.numa_nodes || attrs->topology.llcs)
		return refuse(name, "presets say the topology, not the test", "", error);
	for (profile = attrs->profiles; profile && profile->name; profile++)
		for (other = attrs->profiles; other != profile; other++)
			if (!strcmp(profile->name, other->name))
				return refuse(name, "two profiles named ", profile->name, error);
	if (attrs->profiles && !attrs->profiles->name)
		return refuse(name, "a profile without a name", "", error);
	return 0;
}

static const struct ktstr_profile *find_profile(const struct ktstr_profile *profile,
						const char *name)
{
	for (; profile && profile->name; profile++)
		if (!strcmp(profile->name, name))
			return profile;
	return NULL;
}

/* Where all nodes say what they have, it is that. */
static bool has_room_for_more(const struct ktstr_topology *t)
{
	if (!t->nodes)
		return true;
	for (uint32_t i = 0; i < t->numa_nodes; i++)
		if (!t->nodes[i].memory_mb)
			return true;
	return false;
}

void ktstr_gauntlet__apply(struct ktstr_test_attrs *attrs, const char *preset_name,
			   const char *profile_name)
{
	const struct ktstr_profile *profile = find_profile(attrs->profiles, profile_name);
	const struct ktstr_preset *preset = ktstr_preset__find(preset_name);

	if (profile)
		ktstr_test_attrs__merge(attrs, &(const struct ktstr_test_attrs){
						       .scheduler = profile->scheduler,
						       .scheduler_args = profile->scheduler_args,
						       .scheduler_ops = profile->scheduler_ops,
						       .kernel_args = profile->kernel_args});
	if (!preset)
		return;
	attrs->topology = preset->topology;
	if (attrs->memory_mb < preset->memory_mb || !has_room_for_more(&preset->topology))
		attrs->memory_mb = preset->memory_mb;
}

/* ---- the host ---- */

static int read_variable(const char *name, uint32_t max, uint32_t *value, struct ktstr_error *error)
{
	const char *text = getenv(name);
	unsigned long n;
	char *end;

	if (!text || !*text)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || n < 1 || n > max)
		return ktstr_error__set(error, EINVAL, NULL, name,
					"'%s' is not a number from 1 to %u", text, max);
	*value = (uint32_t)n;
	return 0;
}

int ktstr_gauntlet__host(struct ktstr_gauntlet_host *host, struct ktstr_error *error)
{
	int err;

	*host = (struct ktstr_gauntlet_host){.emulated = getenv(EMULATED_INSIDE_ENV)};
	host->max_cpus = host->emulated ? EMULATED_MAX_CPUS : KTSTR_MAX_CPUS;
	err = read_variable("KTSTR_MAX_CPUS", KTSTR_MAX_CPUS, &host->max_cpus, error);
	if (!err)
		err = read_variable("KTSTR_BUDGET_S", 1000000, &host->budget_s, error);
	return err;
}

/* ---- limits ---- */

static void __attribute__((format(printf, 3, 4)))
skip(struct ktstr_gauntlet_run *run, const char *reason, const char *format, ...)
{
	va_list args;

	run->skip = reason;
	va_start(args, format);
	vsnprintf(run->why, sizeof(run->why), format, args);
	va_end(args);
}

/* True: @value is not from @min to @max (0: no limit). */
static bool is_outside(struct ktstr_gauntlet_run *run, uint32_t value, uint32_t min, uint32_t max,
		       const char *what, const char *too_few, const char *too_many)
{
	if (value < min)
		skip(run, too_few, "the machine has %u %s, the test needs %u", value, what, min);
	else if (max && value > max)
		skip(run, too_many, "the machine has %u %s, the test takes at most %u", value, what,
		     max);
	else
		return false;
	return true;
}

static void apply_limits(struct ktstr_gauntlet_run *run, const struct ktstr_gauntlet_host *host)
{
	static const struct ktstr_gauntlet_limits none = {.smt = KTSTR_SMT_ANY};
	const struct ktstr_gauntlet_limits *limits = run->limits ? run->limits : &none;
	const struct ktstr_topology *t = &run->preset->topology;
	uint32_t cpus = ktstr_topology__cpus(t);

	if (is_outside(run, cpus, limits->min_cpus, limits->max_cpus, "CPUs",
		       "machine of too few CPUs", "machine of too many CPUs") ||
	    is_outside(run, t->llcs, limits->min_llcs, limits->max_llcs, "LLCs",
		       "machine of too few LLCs", "machine of too many LLCs") ||
	    is_outside(run, t->numa_nodes, limits->min_nodes, limits->max_nodes, "NUMA nodes",
		       "machine of too few NUMA nodes", "machine of too many NUMA nodes"))
		return;
	if (limits->smt == KTSTR_SMT_REQUIRED && t->threads_per_core < 2)
		skip(run, "machine without SMT", "the machine has no SMT, the test needs it");
	else if (limits->smt == KTSTR_SMT_FORBIDDEN && t->threads_per_core > 1)
		skip(run, "machine with SMT", "the machine has SMT, the test does without");
	else if (cpus > host->max_cpus)
		skip(run, "machine of more CPUs than KTSTR_MAX_CPUS",
		     "the machine has %u CPUs, and at most %u run here (KTSTR_MAX_CPUS)", cpus,
		     host->max_cpus);
}

/* ---- time ---- */

/*
 * From the machine's start to its end, with a kernel of Debian's. Emulated: near what idle emulated
 * hosts of one CPU were seen to take, 6 to 10 s with 2 CPUs, 11 with 16, 30 with 32, 70 with 64;
 * busy ones take several times that. Natively nothing was measured: a second, and 10 ms a CPU.
 */
static uint32_t cost_ms(const struct ktstr_gauntlet_run *run, bool emulated)
{
	uint32_t run_s = run->limits && run->limits->run_s ? run->limits->run_s : DEFAULT_RUN_S;
	uint64_t cpus = ktstr_topology__cpus(&run->preset->topology), ms;

	ms = emulated ? 7000 + 150 * cpus + 13 * cpus * cpus : 1000 + 10 * cpus;
	ms += 1000ull * run_s;
	return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* ---- coverage ---- */

/* What runs differ in. */
enum dimension {
	D_CPUS,
	D_LLCS,
	D_ODD_LLCS,
	D_NODES,
	D_SMT,
	D_ASYMMETRIC,
	D_MEMORY_NODE,
	D_PACKAGES,
	D_DISTANCES,
	D_PROFILE,
	D_TEST,
	NR_DIMENSIONS
};

#define CLASSES 8u /* of dimensions that are of the machine */

/* Sizes as powers of 2: 1, 2, 3-4, 5-8, 9-16, ... */
static uint32_t size_class(uint32_t n)
{
	uint32_t class = n > 1 ? 32u - (uint32_t)__builtin_clz(n - 1) : 0;

	return class < CLASSES ? class : CLASSES - 1;
}

static uint32_t nodes_with_cpus(const struct ktstr_topology *t)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; t->nodes && i < t->numa_nodes; i++)
		nr += t->nodes[i].llcs > 0;
	return t->nodes ? nr : t->numa_nodes;
}

static bool is_asymmetric(const struct ktstr_topology *t)
{
	for (uint32_t i = 1; t->nodes && i < t->numa_nodes; i++)
		if (t->nodes[i].llcs && t->nodes[i].llcs != t->nodes[0].llcs)
			return true;
	return false;
}

static bool has_distances(const struct ktstr_topology *t)
{
	for (uint32_t i = 0; t->distances && i < t->numa_nodes * t->numa_nodes; i++)
		if (t->distances[i] != KTSTR_DISTANCE_LOCAL &&
		    t->distances[i] != KTSTR_DISTANCE_REMOTE)
			return true;
	return false;
}

/* One, one for each node, fewer, more */
static uint32_t packages_class(const struct ktstr_topology *t)
{
	uint32_t nodes = nodes_with_cpus(t), packages = t->packages ? t->packages : nodes;

	if (packages == nodes)
		return packages > 1;
	return packages < nodes ? 2 : 3;
}

/* How often each value of each dimension, and each two of different ones, is covered. */
struct coverage {
	size_t nr;			   /* values of all dimensions */
	bool *seen;			   /* [nr * nr]; a value alone with itself */
	uint32_t (*values)[NR_DIMENSIONS]; /* of each run */
};

/* Names are few: where they first were is their number. */
static uint32_t name_number(const struct ktstr_gauntlet_run *runs, size_t i, bool profile)
{
	size_t j = 0;

	while (j < i && (profile ? strcmp(runs[j].profile, runs[i].profile)
				 : strcmp(runs[j].test, runs[i].test)))
		j++;
	return (uint32_t)j;
}

static void find_values(const struct ktstr_gauntlet_run *runs, size_t i, size_t nr,
			uint32_t values[NR_DIMENSIONS])
{
	const struct ktstr_topology *t = &runs[i].preset->topology;

	values[D_CPUS] = size_class(ktstr_topology__cpus(t));
	values[D_LLCS] = size_class(t->llcs);
	values[D_ODD_LLCS] = t->llcs > 1 && t->llcs % 2;
	values[D_NODES] = size_class(nodes_with_cpus(t));
	values[D_SMT] = t->threads_per_core > 1;
	values[D_ASYMMETRIC] = is_asymmetric(t);
	values[D_MEMORY_NODE] = nodes_with_cpus(t) < t->numa_nodes;
	values[D_PACKAGES] = packages_class(t);
	values[D_DISTANCES] = has_distances(t);
	for (uint32_t d = 0; d < D_PROFILE; d++)
		values[d] += d * CLASSES;
	values[D_PROFILE] = D_PROFILE * CLASSES + name_number(runs, i, true);
	values[D_TEST] = D_PROFILE * CLASSES + (uint32_t)nr + name_number(runs, i, false);
}

/* What run @i adds; a value that is new counts as much as all its pairs. @take: it is added. */
static uint32_t gain(struct coverage *c, size_t i, bool take)
{
	uint32_t sum = 0;

	for (size_t a = 0; a < NR_DIMENSIONS; a++) {
		for (size_t b = 0; b <= a; b++) {
			bool *seen = &c->seen[c->values[i][a] * c->nr + c->values[i][b]];

			if (!*seen)
				sum += a == b ? NR_DIMENSIONS : 1;
			*seen |= take;
		}
	}
	return sum;
}

/* The run that adds most for its time and has not been chosen; @nr: none is left that fits. */
static size_t best(struct coverage *c, const struct ktstr_gauntlet_run *runs, const bool *chosen,
		   size_t nr, uint64_t left_ms)
{
	uint64_t best_gain = 0;
	size_t found = nr;

	for (size_t i = 0; i < nr; i++) {
		uint64_t more;

		if (chosen[i] || runs[i].skip || runs[i].cost_ms > left_ms)
			continue;
		/* What adds nothing is still a run more: the cheapest first. */
		more = gain(c, i, false) + 1;
		if (found < nr && more * runs[found].cost_ms <= best_gain * runs[i].cost_ms)
			continue;
		found = i;
		best_gain = more;
	}
	return found;
}

static void skip_rest(struct ktstr_gauntlet_run *runs, const bool *chosen, size_t nr,
		      const struct ktstr_gauntlet_host *host, uint64_t taken_ms)
{
	size_t nr_chosen = 0;

	for (size_t i = 0; i < nr; i++)
		nr_chosen += chosen[i];
	for (size_t i = 0; i < nr; i++)
		if (!chosen[i] && !runs[i].skip)
			skip(&runs[i], "not of those chosen for KTSTR_BUDGET_S",
			     "about %u s; %zu that cover more for their time take %" PRIu64
			     " of %u s",
			     (runs[i].cost_ms + 500) / 1000, nr_chosen, (taken_ms + 500) / 1000,
			     host->budget_s);
}

static int apply_budget(struct ktstr_gauntlet_run *runs, size_t nr,
			const struct ktstr_gauntlet_host *host, struct ktstr_error *error)
{
	struct coverage c = {.nr = D_PROFILE * CLASSES + 2 * nr};
	uint64_t budget_ms = 1000ull * host->budget_s, taken_ms = 0;
	bool *chosen = calloc(nr, sizeof(*chosen));
	int err = 0;

	c.seen = calloc(c.nr * c.nr, sizeof(*c.seen));
	c.values = calloc(nr, sizeof(*c.values));
	if (!chosen || !c.seen || !c.values) {
		err = ktstr_error__set(error, ENOMEM, "choose", "gauntlet", NULL);
		goto out;
	}
	for (size_t i = 0; i < nr; i++)
		find_values(runs, i, nr, c.values[i]);
	for (;;) {
		size_t i = best(&c, runs, chosen, nr, budget_ms - taken_ms);

		if (i == nr)
			break;
		chosen[i] = true;
		taken_ms += runs[i].cost_ms;
		gain(&c, i, true);
	}
	skip_rest(runs, chosen, nr, host, taken_ms);
out:
	free(chosen);
	free(c.seen);
	free(c.values);
	return err;
}

int ktstr_gauntlet__choose(struct ktstr_gauntlet_run *runs, size_t nr,
			   const struct ktstr_gauntlet_host *host, struct ktstr_error *error)
{
	for (size_t i = 0; i < nr; i++) {
		runs[i].cost_ms = cost_ms(&runs[i], host->emulated);
		runs[i].skip = NULL;
		runs[i].why[0] = '\0';
		apply_limits(&runs[i], host);
	}
	return nr && host->budget_s ? apply_budget(runs, nr, host, error) : 0;
}
