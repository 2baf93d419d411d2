// SPDX-License-Identifier: GPL-2.0-only
/* Samples of exits (KVM's binary statistics), run time and steal (schedstat) of each vCPU. */
#include "monitor.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vm.h"

/* Statistics that a descriptor of KVM's may hold, and the length of a name: bounds of what is read.
 */
#define STATS_MAX 1024u
#define STATS_NAME_MAX 256u

enum { STAT_EXITS, STAT_HALTS, NR_STATS };
static const char *const stat_names[NR_STATS] = {"exits", "halt_exits"};

struct vcpu_source {
	int stats;		    /* KVM_GET_STATS_FD; -1: none */
	uint64_t offsets[NR_STATS]; /* in @stats; 0: not there */
};

struct monitor {
	struct vm *vm;
	int timer;
	struct loop_source *timer_source;
	ktstr_sample_fn fn;
	void *opaque;
	struct vcpu_source *sources;	   /* [vm->nr_vcpus] */
	struct ktstr_vcpu_sample *samples; /* likewise */
};

static bool pread_all(int fd, void *buf, size_t length, uint64_t offset)
{
	return pread(fd, buf, length, (off_t)offset) == (ssize_t)length;
}

/* Where the numbers that we want are (Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD). */
static void find_stats(struct vcpu_source *source)
{
	struct kvm_stats_header header;
	uint8_t buf[sizeof(struct kvm_stats_desc) + STATS_NAME_MAX];
	size_t size;

	if (!pread_all(source->stats, &header, sizeof(header), 0) ||
	    header.name_size > STATS_NAME_MAX || header.num_desc > STATS_MAX)
		return;
	size = sizeof(struct kvm_stats_desc) + header.name_size;
	for (uint32_t i = 0; i < header.num_desc; i++) {
		struct kvm_stats_desc desc;
		const char *name = (const char *)buf + sizeof(desc);

		if (!pread_all(source->stats, buf, size, header.desc_offset + i * size))
			return;
		memcpy(&desc, buf, sizeof(desc));
		buf[size - 1] = '\0';
		for (uint32_t s = 0; s < NR_STATS; s++)
			if (!strcmp(name, stat_names[s]))
				source->offsets[s] = (uint64_t)header.data_offset + desc.offset;
	}
}

static uint64_t read_stat(const struct vcpu_source *source, uint32_t stat)
{
	uint64_t value;

	if (!source->offsets[stat] ||
	    !pread_all(source->stats, &value, sizeof(value), source->offsets[stat]))
		return KTSTR_UNKNOWN;
	return value;
}

static void take_sample(struct monitor *m)
{
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
			.exits = read_stat(&m->sources[i], STAT_EXITS),
			.halts = read_stat(&m->sources[i], STAT_HALTS),
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
		take_sample(m);
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
		m->sources[i].stats = -1;
	if (!m || !m->sources || !m->samples) {
		err = ktstr_error__set(error, ENOMEM, "allocate", "host monitor", NULL);
		goto fail;
	}
	for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu_source *source = &m->sources[i];

		source->stats = ioctl(vm->vcpus[i].fd, KVM_GET_STATS_FD, NULL);
		if (source->stats >= 0)
			find_stats(source);
	}
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
		if (m->sources[i].stats >= 0)
			close(m->sources[i].stats);
	free(m->sources);
	free(m->samples);
	free(m);
}
