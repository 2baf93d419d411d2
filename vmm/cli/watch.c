// SPDX-License-Identifier: GPL-2.0-only
/* Sums and rates of a machine's vCPUs. */
#include "watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct sums {
	uint64_t user_exits, exits, run_ns, steal_ns; /* KTSTR_UNKNOWN where a vCPU's is */
};

static void add(uint64_t *sum, uint64_t value)
{
	*sum = *sum == KTSTR_UNKNOWN || value == KTSTR_UNKNOWN ? KTSTR_UNKNOWN : *sum + value;
}

static struct sums sum_up(const struct ktstr_sample *sample)
{
	struct sums s = {0};

	for (uint32_t i = 0; i < sample->nr_vcpus; i++) {
		add(&s.user_exits, sample->vcpus[i].user_exits);
		add(&s.exits, sample->vcpus[i].exits);
		add(&s.run_ns, sample->vcpus[i].run_ns);
		add(&s.steal_ns, sample->vcpus[i].steal_ns);
	}
	return s;
}

/* Per second of host time; 0 at first. */
static double rate(uint64_t now, uint64_t last, uint64_t ns)
{
	return ns && now > last ? (double)(now - last) * 1e9 / (double)ns : 0;
}

int watch__format(struct watch *w, const struct ktstr_sample *sample, char *buf, size_t size)
{
	struct sums s = sum_up(sample);
	uint64_t ns = sample->at_ns > w->last_ns ? sample->at_ns - w->last_ns : 0;
	char kvm[64] = "", cpu[96] = "";
	int n;

	if (s.exits != KTSTR_UNKNOWN)
		snprintf(kvm, sizeof(kvm), "; KVM exits %.0f/s", rate(s.exits, w->last_exits, ns));
	if (s.run_ns != KTSTR_UNKNOWN)
		snprintf(cpu, sizeof(cpu), "; %u vCPUs ran %.2f CPUs, waited %.2f",
			 sample->nr_vcpus, rate(s.run_ns, w->last_run_ns, ns) / 1e9,
			 rate(s.steal_ns, w->last_steal_ns, ns) / 1e9);
	n = snprintf(buf, size, "%.1f s, %s: exits %" PRIu64 " (%.0f/s)%s%s",
		     (double)sample->at_ns / 1e9, sample->step, s.user_exits,
		     rate(s.user_exits, w->last_user_exits, ns), kvm, cpu);
	w->last_ns = sample->at_ns;
	w->last_user_exits = s.user_exits;
	w->last_exits = s.exits;
	w->last_run_ns = s.run_ns;
	w->last_steal_ns = s.steal_ns;
	return n;
}

void watch__clear(struct watch *w)
{
	if (w->shown)
		fputs("\r\033[K", stderr);
	fflush(stderr);
	w->shown = false;
}

void watch__sample(void *opaque, const struct ktstr_sample *sample)
{
	struct watch *w = opaque;
	char line[256];

	watch__format(w, sample, line, sizeof(line));
	watch__clear(w);
	fprintf(stderr, "ktstr: %s%s", line, w->rewrite ? "" : "\n");
	fflush(stderr);
	w->shown = w->rewrite;
}
