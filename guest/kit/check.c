// SPDX-License-Identifier: GPL-2.0-only
/* Measures and checks; see check.h. */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1e6
#define NS_PER_S 1e9
/*
 * A thread of SCHED_IDLE has a hundredth of another's weight or less, so that it pays for its own
 * start, a few ms of CPU time, with a second of waiting, and no scheduler is wrong that makes it.
 */
#define IDLE_POLICY_PATIENCE 10

/* Limits where none is given: on any host, and on one that is quiet. NaN: there is none. */
static const struct check_kind {
	const char *name, *unit;
	double limit, strict;
	bool is_measured, at_least, by_default;
} kinds[KTSTR_NR_CHECKS] = {
	[KTSTR_CHECK_STARVATION] = {"starvation", "ms", 1000, 1000, .by_default = true},
	[KTSTR_CHECK_ISOLATION] = {"isolation", "times", 0, 0, .by_default = true},
	[KTSTR_CHECK_STALL] = {"stall", "ms", CREW_TIMEOUT_MS, CREW_TIMEOUT_MS, .by_default = true},
	[KTSTR_CHECK_LOST_WORK] = {"lost work", "times", 0, 0, .by_default = true},
	[KTSTR_CHECK_GAP] = {"gap", "ms", 5000, 200, .is_measured = true, .by_default = true},
	[KTSTR_CHECK_FAIRNESS] = {"fairness", "%", 50, 15, .is_measured = true},
	[KTSTR_CHECK_WAKE_P99] = {"wake-up latency", "us", 100000, 10000, .is_measured = true},
	[KTSTR_CHECK_THROUGHPUT] = {"throughput", "/s", NAN, NAN, .is_measured = true,
				    .at_least = true},
	[KTSTR_CHECK_VARIATION] = {"variation", "%", 50, 15, .is_measured = true},
	[KTSTR_CHECK_MIGRATIONS] = {"migrations", "/s", NAN, NAN, .is_measured = true},
	[KTSTR_CHECK_IMBALANCE] = {"imbalance", "%", 60, 30, .is_measured = true},
	[KTSTR_CHECK_LOCALITY] = {"locality", "%", 50, 80, .is_measured = true, .at_least = true},
	[KTSTR_CHECK_DEADLINES] = {"deadlines", "%", 10, 1, .is_measured = true},
};

static bool is_kind(enum ktstr_check_kind kind)
{
	return (uint32_t)kind < KTSTR_NR_CHECKS;
}

const char *ktstr_check__name(enum ktstr_check_kind kind)
{
	return is_kind(kind) ? kinds[kind].name : "none";
}

bool ktstr_check__is_measured(enum ktstr_check_kind kind)
{
	return is_kind(kind) && kinds[kind].is_measured;
}

double ktstr_check__default(enum ktstr_check_kind kind, bool strict)
{
	if (!is_kind(kind))
		return NAN;
	return strict ? kinds[kind].strict : kinds[kind].limit;
}

const struct ktstr_checks *check__of(const struct scenario_state *s, uint32_t set)
{
	return s->sets[set].spec->checks ?: &s->scenario->checks;
}

bool check__is_made(const struct ktstr_checks *checks, enum ktstr_check_kind kind)
{
	if (checks->off >> kind & 1)
		return false;
	return kinds[kind].by_default || checks->on >> kind & 1 || checks->limit[kind] != 0;
}

double check__limit(const struct scenario_state *s, const struct ktstr_checks *checks,
		    enum ktstr_check_kind kind)
{
	return checks->limit[kind] != 0 ? checks->limit[kind]
					: ktstr_check__default(kind, s->strict || checks->strict);
}

int check__validate(const struct scenario_state *s, char *why, size_t size)
{
	for (uint32_t set = 0; set < s->nr_sets; set++) {
		const struct ktstr_checks *checks = check__of(s, set);

		for (uint32_t kind = 0; kind < KTSTR_NR_CHECKS; kind++) {
			double limit = check__limit(s, checks, kind);

			if (!check__is_made(checks, kind))
				continue;
			if (isnan(limit))
				snprintf(why, size, "%s: check %s needs a limit", s->sets[set].name,
					 kinds[kind].name);
			else if (limit < 0)
				snprintf(why, size, "%s: check %s: %g is no limit",
					 s->sets[set].name, kinds[kind].name, limit);
			else
				continue;
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- Measures ---- */

static double ratio(double part, double whole)
{
	return whole > 0 ? part / whole : NAN;
}

static void measure_spread(const struct ktstr_worker_report *w, uint32_t nr, struct set_measures *m)
{
	double cpu = 0, units = 0, squares = 0, least = INFINITY, most = 0;

	for (uint32_t i = 0; i < nr; i++) {
		double share = (double)w[i].cpu_ns;

		cpu += share;
		units += (double)w[i].units;
		least = share < least ? share : least;
		most = share > most ? share : most;
	}
	for (uint32_t i = 0; i < nr; i++) {
		double off = (double)w[i].units - units / nr;

		squares += off * off;
	}
	m->spread_percent = 100 * ratio(most - least, cpu / nr);
	m->variation_percent = 100 * ratio(sqrt(squares / nr), units / nr);
}

/* Chunks on each CPU that the set could use at its end. */
static double imbalance(const struct scenario_state *s, uint32_t set,
			const struct set_shared *shared)
{
	struct cpu_bits allowed;
	double sum = 0, most = 0;

	state__allowed(s, set, &allowed);
	for (uint32_t cpu = 0; cpu < KTSTR_MAX_CPUS; cpu++) {
		double chunks = shared->computed[cpu];

		if (!cpu_bits__has(&allowed, cpu))
			continue;
		sum += chunks;
		most = chunks > most ? chunks : most;
	}
	sum /= cpu_bits__count(&allowed);
	return 100 * ratio(most - sum, sum);
}

void check__measure(const struct scenario_state *s, uint32_t set, const struct set_shared *shared,
		    const struct ktstr_scenario_result *result, struct set_measures *m)
{
	const struct ktstr_worker_report *w = &result->workers[s->sets[set].first];
	uint32_t nr = s->sets[set].nr;
	double active = 0, cpu = 0, migrations = 0, pages = 0, local = 0, missed = 0, due = 0;

	*m = (struct set_measures){.units = 0};
	for (uint32_t i = 0; i < nr; i++) {
		double gap_ms = (double)w[i].longest_gap_ns / NS_PER_MS;

		m->units += w[i].units;
		active += (double)w[i].active_ns;
		cpu += (double)w[i].cpu_ns;
		migrations += (double)w[i].migrations;
		pages += (double)w[i].pages;
		local += (double)w[i].local_pages;
		due += (double)w[i].deadlines;
		missed += (double)w[i].missed;
		m->gap_ms = gap_ms > m->gap_ms ? gap_ms : m->gap_ms;
		ktstr_latencies__merge(&m->wake, &w[i].wake);
	}
	m->units_per_s = ratio((double)m->units * nr, active / NS_PER_S);
	m->cpu_percent = 100 * ratio(cpu * nr, active);
	m->migrations_per_s = ratio(migrations, cpu / NS_PER_S);
	m->local_percent = 100 * ratio(local, pages);
	m->missed_percent = 100 * ratio(missed, due);
	m->imbalance_percent = imbalance(s, set, shared);
	measure_spread(w, nr, m);
}

/* ---- Judging ---- */

struct judge {
	const struct scenario_state *state;
	const struct ktstr_workers *spec;
	const struct ktstr_checks *checks;
	const char *workers;
	uint32_t measured; /* kinds of which there was something to measure */
	struct ktstr_scenario_result *result;
};

static const struct ktstr_worker_event no_event = {.cpu = -1};

/* Where and when, as far as it is known. */
static void describe_event(const struct ktstr_worker_event *e, char *text, size_t size)
{
	*text = '\0';
	if (e->cpu >= 0)
		snprintf(text, size, ", on CPU %d at %.3f s, in step %u", e->cpu,
			 (double)e->at_ns / NS_PER_S, e->step + 1);
}

static void __attribute__((format(printf, 6, 7)))
add_failure(struct judge *j, enum ktstr_check_kind kind, int32_t worker, double seen,
	    const struct ktstr_worker_event *event, const char *fmt, ...)
{
	struct ktstr_scenario_result *r = j->result;
	bool inconclusive = kinds[kind].is_measured && r->disturbed[0];
	struct ktstr_check_failure *f = &r->failures[r->nr_failures];
	char what[160], where[80], who[96];
	va_list args;

	if (!inconclusive)
		r->verdict = KTSTR_SCENARIO_FAILED;
	else if (r->verdict == KTSTR_SCENARIO_PASSED)
		r->verdict = KTSTR_SCENARIO_INCONCLUSIVE;
	if (r->nr_failures == KTSTR_SCENARIO_MAX_FAILURES) {
		r->nr_more++;
		return;
	}
	r->nr_failures++;
	*f = (struct ktstr_check_failure){
		.kind = kind,
		.inconclusive = inconclusive,
		.expected = check__limit(j->state, j->checks, kind),
		.seen = seen,
		.workers = j->workers,
		.worker = worker,
		.event = *event,
	};
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	describe_event(event, where, sizeof(where));
	if (worker < 0)
		snprintf(who, sizeof(who), "workers %s", j->workers);
	else
		snprintf(who, sizeof(who), "worker %d of %s", worker, j->workers);
	snprintf(f->text, sizeof(f->text), "%s: %s %s%s", kinds[kind].name, who, what, where);
}

static double starvation_limit_ms(const struct judge *j)
{
	double limit = check__limit(j->state, j->checks, KTSTR_CHECK_STARVATION);
	bool is_given = j->checks->limit[KTSTR_CHECK_STARVATION] != 0;

	return j->spec->policy == SCHED_IDLE && !is_given ? limit * IDLE_POLICY_PATIENCE : limit;
}

/* Functional checks, of one worker */
static void judge_worker(struct judge *j, const struct ktstr_worker_report *w)
{
	int32_t index = (int32_t)w->index;
	double idle_ms = (double)w->longest_idle_ns / NS_PER_MS;

	if (check__is_made(j->checks, KTSTR_CHECK_STARVATION) && idle_ms >= starvation_limit_ms(j))
		add_failure(j, KTSTR_CHECK_STARVATION, index, idle_ms, &w->idle,
			    "did nothing for %.0f ms of its time (limit %.0f)", idle_ms,
			    starvation_limit_ms(j));
	if (check__is_made(j->checks, KTSTR_CHECK_ISOLATION) && w->outside)
		add_failure(j, KTSTR_CHECK_ISOLATION, index, (double)w->outside, &w->first_outside,
			    "was %" PRIu64 " times on CPUs that it may not use", w->outside);
	if (check__is_made(j->checks, KTSTR_CHECK_STALL) && (w->was_late || w->is_stuck))
		add_failure(j, KTSTR_CHECK_STALL, index, CREW_TIMEOUT_MS, &no_event,
			    "did not %s within %u ms", w->was_late ? "start" : "end when killed",
			    CREW_TIMEOUT_MS);
	if (!check__is_made(j->checks, KTSTR_CHECK_LOST_WORK))
		return;
	if (w->lost)
		add_failure(j, KTSTR_CHECK_LOST_WORK, index, (double)w->lost, &no_event,
			    "lost work %" PRIu64 " times, first: %s", w->lost, w->why);
	else if (w->exit_signal)
		add_failure(j, KTSTR_CHECK_LOST_WORK, index, 1, &no_event, "was ended by signal %d",
			    w->exit_signal);
	else if (w->exit_code)
		add_failure(j, KTSTR_CHECK_LOST_WORK, index, 1, &no_event, "ended with %d",
			    w->exit_code);
}

static void judge_value(struct judge *j, enum ktstr_check_kind kind, int32_t worker, double seen,
			const struct ktstr_worker_event *event)
{
	double limit = check__limit(j->state, j->checks, kind);

	if (isnan(seen))
		return;
	j->measured |= 1u << kind;
	if (!check__is_made(j->checks, kind) ||
	    (kinds[kind].at_least ? seen >= limit : seen <= limit))
		return;
	add_failure(j, kind, worker, seen, event, "had %.4g %s, expected at %s %.4g", seen,
		    kinds[kind].unit, kinds[kind].at_least ? "least" : "most", limit);
}

/* Measured checks, of one worker, then of its set */
static void judge_measures(struct judge *j, const struct set_measures *m,
			   const struct ktstr_worker_report *w, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		int32_t index = (int32_t)i;

		judge_value(j, KTSTR_CHECK_GAP, index, (double)w[i].longest_gap_ns / NS_PER_MS,
			    &w[i].gap);
		judge_value(j, KTSTR_CHECK_THROUGHPUT, index,
			    ratio((double)w[i].units, (double)w[i].active_ns / NS_PER_S),
			    &no_event);
		judge_value(j, KTSTR_CHECK_MIGRATIONS, index,
			    ratio((double)w[i].migrations, (double)w[i].cpu_ns / NS_PER_S),
			    &no_event);
		judge_value(j, KTSTR_CHECK_LOCALITY, index,
			    100 * ratio((double)w[i].local_pages, (double)w[i].pages), &no_event);
	}
	judge_value(j, KTSTR_CHECK_FAIRNESS, -1, m->spread_percent, &no_event);
	judge_value(j, KTSTR_CHECK_VARIATION, -1, m->variation_percent, &no_event);
	judge_value(j, KTSTR_CHECK_IMBALANCE, -1, m->imbalance_percent, &no_event);
	judge_value(j, KTSTR_CHECK_DEADLINES, -1, m->missed_percent, &no_event);
	judge_value(j, KTSTR_CHECK_WAKE_P99, -1,
		    m->wake.count ? (double)ktstr_latencies__percentile(&m->wake, 99) / 1e3 : NAN,
		    &no_event);
}

/* A check that was asked for and had nothing to go by proves nothing, and is not to look as if. */
static void judge_unmeasured(struct judge *j)
{
	for (uint32_t kind = 0; kind < KTSTR_NR_CHECKS; kind++)
		if (kinds[kind].is_measured && !kinds[kind].by_default &&
		    check__is_made(j->checks, kind) && !(j->measured >> kind & 1))
			add_failure(j, kind, -1, NAN, &no_event,
				    "had nothing to be measured, expected at %s %.4g %s",
				    kinds[kind].at_least ? "least" : "most",
				    check__limit(j->state, j->checks, kind), kinds[kind].unit);
}

static struct judge judge_of(const struct scenario_state *s, uint32_t set,
			     struct ktstr_scenario_result *result)
{
	return (struct judge){.state = s,
			      .spec = s->sets[set].spec,
			      .checks = check__of(s, set),
			      .workers = s->sets[set].name,
			      .result = result};
}

void check__judge(const struct scenario_state *s, const struct set_measures *measures,
		  struct ktstr_scenario_result *result)
{
	/* The scenario's checks are for whichever sets have something to measure. */
	struct judge all = {.state = s,
			    .checks = &s->scenario->checks,
			    .workers = "of all sets",
			    .result = result};
	bool any = false;

	result->verdict = KTSTR_SCENARIO_PASSED;
	/* Functional ones first: they say more, and the first one is what the test says. */
	for (uint32_t set = 0; set < s->nr_sets; set++) {
		struct judge j = judge_of(s, set, result);

		for (uint32_t i = 0; i < s->sets[set].nr; i++)
			judge_worker(&j, &result->workers[s->sets[set].first + i]);
	}
	for (uint32_t set = 0; set < s->nr_sets; set++) {
		struct judge j = judge_of(s, set, result);

		judge_measures(&j, &measures[set], &result->workers[s->sets[set].first],
			       s->sets[set].nr);
		if (j.checks != all.checks) {
			judge_unmeasured(&j);
			continue;
		}
		all.measured |= j.measured;
		any = true;
	}
	if (any)
		judge_unmeasured(&all);
}
