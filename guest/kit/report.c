// SPDX-License-Identifier: GPL-2.0-only
/* The words and the metrics of a scenario's result; see report.h. */
#include "report.h"

#include <ktstr/guest.h>
#include <ktstr/proto.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kit_report__print(const struct scenario_state *s, const struct set_measures *measures,
		       const char *name, const struct ktstr_scenario_result *result)
{
	for (uint32_t set = 0; set < s->nr_sets; set++) {
		const struct set_measures *m = &measures[set];

		printf("# %s: %s: %u workers, %" PRIu64 " units, %.0f %% of a CPU", name,
		       s->sets[set].name, s->sets[set].nr, m->units,
		       isnan(m->cpu_percent) ? 0 : m->cpu_percent);
		if (m->wake.count)
			printf(", wake-up p99 %.0f us",
			       (double)ktstr_latencies__percentile(&m->wake, 99) / 1e3);
		printf(", longest gap %.1f ms\n", m->gap_ms);
	}
	for (uint32_t i = 0; i < result->nr_failures; i++)
		printf("# %s: %s%s\n", name, result->failures[i].text,
		       result->failures[i].inconclusive ? " (not judged)" : "");
	if (result->nr_more)
		printf("# %s: %u more checks did not hold\n", name, result->nr_more);
	if (result->verdict == KTSTR_SCENARIO_INCONCLUSIVE)
		printf("# %s: limits were not judged: %s\n", name, result->disturbed);
}

/* ---- Metrics ---- */

#define MAX_METRICS 10u
/* More CPU time or migrations are neither. */
#define LOWER KTSTR_METRIC_LOWER_IS_BETTER
#define HIGHER KTSTR_METRIC_HIGHER_IS_BETTER

struct frame {
	uint8_t *data;
	size_t length;
	uint32_t nr_metrics;
};

static void put(struct frame *f, const void *data, size_t length)
{
	memcpy(f->data + f->length, data, length);
	f->length += length;
}

/* What was not measured is left out. */
static void put_metric(struct frame *f, const char *name, const char *unit, uint32_t better,
		       double value)
{
	const struct ktstr_metric_record record = {
		.value = value,
		.minimum = NAN,
		.maximum = NAN,
		.flags = better,
		.name_length = (uint16_t)strlen(name),
		.unit_length = (uint16_t)strlen(unit),
	};

	if (isnan(value))
		return;
	put(f, &record, sizeof(record));
	put(f, name, record.name_length);
	put(f, unit, record.unit_length);
	f->nr_metrics++;
}

static double wake_us(const struct set_measures *m, double percent)
{
	return m->wake.count ? (double)ktstr_latencies__percentile(&m->wake, percent) / 1e3 : NAN;
}

static void put_set(struct frame *f, const struct set_measures *m)
{
	put_metric(f, "throughput", "1/s", HIGHER, m->units_per_s);
	put_metric(f, "cpu", "%", 0, m->cpu_percent);
	put_metric(f, "spread", "%", LOWER, m->spread_percent);
	put_metric(f, "variation", "%", LOWER, m->variation_percent);
	put_metric(f, "imbalance", "%", LOWER, m->imbalance_percent);
	put_metric(f, "migrations", "1/s", 0, m->migrations_per_s);
	put_metric(f, "gap", "ms", LOWER, m->gap_ms);
	put_metric(f, "wake_p50", "us", LOWER, wake_us(m, 50));
	put_metric(f, "wake_p99", "us", LOWER, wake_us(m, 99));
	put_metric(f, "local_pages", "%", HIGHER, m->local_percent);
}

/* Of a set, or with @m NULL of the scenario as a whole. */
static void send_measures(const struct set_measures *m, const char *name,
			  const struct ktstr_scenario_result *result)
{
	struct ktstr_metrics_payload head = {
		.boot_ns = result->end_ns,
		.run_ns = result->end_ns - result->start_ns,
		.name_length = (uint32_t)strlen(name),
	};
	struct frame f = {.data = malloc(strlen(name) + MAX_METRICS * 128)};
	int err;

	if (!f.data) {
		printf("# %s: no metrics: %s\n", name, strerror(ENOMEM));
		return;
	}
	put(&f, name, head.name_length);
	if (m) {
		put_set(&f, m);
	} else {
		put_metric(&f, "around", "ms", LOWER, (double)result->around_ns / 1e6);
		put_metric(&f, "steal", "%", 0, result->steal_percent);
	}
	head.nr_metrics = f.nr_metrics;
	err = ktstr_guest__send(KTSTR_FRAME_PAYLOAD_METRICS, &head, sizeof(head), f.data, f.length);
	if (err && err != -ENOTCONN) /* outside of a machine nobody wants them */
		printf("# %s: metrics not sent: %s\n", name, strerror(-err));
	free(f.data);
}

void kit_report__send(const struct scenario_state *s, const struct set_measures *measures,
		      const char *name, const struct ktstr_scenario_result *result)
{
	char full[192];

	for (uint32_t set = 0; set < s->nr_sets; set++) {
		snprintf(full, sizeof(full), "%s.%s", name, s->sets[set].name);
		send_measures(&measures[set], full, result);
	}
	send_measures(NULL, name, result);
}
