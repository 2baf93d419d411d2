// SPDX-License-Identifier: GPL-2.0-only
/* Samples of exits (KVM's binary statistics), run time and steal (schedstat) of each vCPU. */
#include "monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kvm_stats.h"
#include "vm.h"

enum { STAT_EXITS, STAT_HALTS, NR_STATS };
static const char *const stat_names[NR_STATS] = {"exits", "halt_exits"};

struct monitor {
	struct vm *vm;
	int timer;
	struct loop_source *timer_source;
	ktstr_sample_fn fn;
	void *opaque;
	struct kvm_stats *sources;	   /* [vm->nr_vcpus] */
	struct ktstr_vcpu_sample *samples; /* likewise */
};

static void take_sample(void *opaque)
{
	struct monitor *m = opaque;
	struct vm *vm = m->vm;
	uint64_t started = atomic_load(&vm->first_run_ns);
	struct ktstr_sample sample = {
		.at_ns = started ? vm__now_ns() - started : 0,
		.step = outcome__step_name(vm->outcome.last_step),
		.nr_vcpus = vm->nr_vcpus,
		.vcpus = m->samples,
	};

	for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *vcpu = &vm->vcpus[i];

		vcpu__update_times(vcpu);
		m->samples[i] = (struct ktstr_vcpu_sample){
			.user_exits =
				atomic_load_explicit(&vcpu->total_exits, memory_order_relaxed),
			.exits = kvm_stats__read(&m->sources[i], STAT_EXITS),
			.halts = kvm_stats__read(&m->sources[i], STAT_HALTS),
			.run_ns = atomic_load(&vcpu->run_ns),
			.steal_ns = atomic_load(&vcpu->steal_ns),
		};
	}
	m->fn(m->opaque, &sample);
}

static void on_timer(void *opaque, uint32_t events)
{
	struct monitor *m = opaque;
	uint64_t count;

	(void)events;
	if (read(m->timer, &count, sizeof(count)) == (ssize_t)sizeof(count))
		caller__call(&m->vm->caller, take_sample, m);
}

static int start_timer(struct monitor *m, uint32_t interval_ms, struct ktstr_error *error)
{
	struct timespec interval = {.tv_sec = interval_ms / 1000,
				    .tv_nsec = (long)(interval_ms % 1000) * 1000000};
	struct itimerspec spec = {.it_value = interval, .it_interval = interval};
	int err;

	m->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->timer < 0 || timerfd_settime(m->timer, 0, &spec, NULL))
		return ktstr_error__set(error, errno, "timerfd", "host monitor", NULL);
	err = loop__add(m->vm->loop, m->timer, EPOLLIN, on_timer, m, &m->timer_source);
	return err ? ktstr_error__set(error, -err, "epoll_ctl", "host monitor", NULL) : 0;
}

int monitor__create(struct vm *vm, uint32_t interval_ms, ktstr_sample_fn fn, void *opaque,
		    struct monitor **monitor, struct ktstr_error *error)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int err;

	*monitor = m;
	if (m) {
		*m = (struct monitor){.vm = vm, .timer = -1, .fn = fn, .opaque = opaque};
		m->sources = calloc(vm->nr_vcpus, sizeof(*m->sources));
		m->samples = calloc(vm->nr_vcpus, sizeof(*m->samples));
	}
	for (uint32_t i = 0; m && m->sources && i < vm->nr_vcpus; i++)
		m->sources[i].fd = -1;
	if (!m || !m->sources || !m->samples) {
		err = ktstr_error__set(error, ENOMEM, "allocate", "host monitor", NULL);
		goto fail;
	}
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		kvm_stats__open(vm->vcpus[i].fd, stat_names, NR_STATS, &m->sources[i]);
	err = interval_ms ? start_timer(m, interval_ms, error) : 0;
	if (!err)
		return 0;
fail:
	monitor__destroy(m);
	*monitor = NULL;
	return err;
}

void monitor__finish(struct monitor *m)
{
	if (m)
		take_sample(m);
}

void monitor__destroy(struct monitor *m)
{
	if (!m)
		return;
	loop__remove(m->timer_source);
	if (m->timer >= 0)
		close(m->timer);
	for (uint32_t i = 0; m->sources && i < m->vm->nr_vcpus; i++)
		kvm_stats__close(&m->sources[i]);
	free(m->sources);
	free(m->samples);
	free(m);
}
