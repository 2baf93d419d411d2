// SPDX-License-Identifier: GPL-2.0-only
/*
 * Says what /dev/kvm is worth by running a kernel's kind of code on it: a timed loop, then what
 * every stock kernel executes. The guest is the architecture's.
 */
#include <ktstr/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/probe_guest.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The best of them counts, so that a busy host is not taken for an interpreter. */
#define ATTEMPTS 4

/* "OPERATION: ERROR" into the detail. */
static void say_failed(struct ktstr_probe *probe, const char *operation)
{
	snprintf(probe->detail, sizeof(probe->detail), "/dev/kvm: %s: %s", operation,
		 strerror(errno));
}

/* Returns what failed, errno says why; NULL: nothing did. */
static const char *create_vm(struct probe_vm *p)
{
	struct kvm_userspace_memory_region region = {.guest_phys_addr =
							     arch__this->probe_guest->ram_gpa,
						     .memory_size = PROBE_GUEST_BYTES};

	p->vm = ioctl(p->kvm, KVM_CREATE_VM, arch__this->vm_type(p->kvm));
	if (p->vm < 0)
		return "KVM_CREATE_VM";
	p->memory = mmap(NULL, PROBE_GUEST_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->memory == MAP_FAILED) {
		p->memory = NULL;
		return "mmap";
	}
	region.userspace_addr = (uintptr_t)p->memory;
	if (ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region))
		return "KVM_SET_USER_MEMORY_REGION";
	return arch__this->probe_guest->prepare_vm(p);
}

static const char *create_vcpu(struct probe_vm *p)
{
	int size = ioctl(p->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0ul);
	if (p->vcpu < 0 || size <= 0)
		return "KVM_CREATE_VCPU";
	p->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	if (p->run == MAP_FAILED) {
		p->run = NULL;
		return "mmap of the vCPU";
	}
	p->run_size = (size_t)size;
	return arch__this->probe_guest->prepare_vcpu(p);
}

static void destroy_vm(struct probe_vm *p)
{
	if (p->run)
		munmap(p->run, p->run_size);
	if (p->vcpu >= 0)
		close(p->vcpu);
	if (p->vm >= 0)
		close(p->vm);
	if (p->memory)
		munmap(p->memory, PROBE_GUEST_BYTES);
	if (p->kvm >= 0)
		close(p->kvm);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The rate of a loop that got to @left of its iterations within @seconds. */
static void note_rate(struct ktstr_probe *probe, uint64_t left, double seconds)
{
	const struct probe_guest *guest = arch__this->probe_guest;
	double done = (double)(guest->iterations - (left < guest->iterations ? left : 0));
	double rate = done * guest->instructions / (seconds > 1e-7 ? seconds : 1e-7) * 1e-6;

	if (rate > probe->minsn_per_s)
		probe->minsn_per_s = rate;
}

/* The guest to its end or its first mistake. */
static enum probe_exit run_guest(struct probe_vm *p, int *err)
{
	enum probe_exit result = PROBE_GOES_ON;

	*err = 0;
	while (result == PROBE_GOES_ON) {
		if (ioctl(p->vcpu, KVM_RUN, 0)) {
			*err = errno;
			return PROBE_FAILED;
		}
		result = arch__this->probe_guest->exited(p);
	}
	return result;
}

/*
 * Runs the loop once, then what @features name. False: it is decided (probe->detail says why, when
 * it is not for the rate).
 */
static bool attempt(struct probe_vm *p, uint64_t features, struct ktstr_probe *probe)
{
	const struct probe_guest *guest = arch__this->probe_guest;
	enum probe_exit result;
	double start, seconds;
	uint64_t left = 0;
	uint32_t stage;
	int err;

	if (guest->reset(p, features)) {
		say_failed(probe, "reset of the vCPU");
		return false;
	}
	start = now_s();
	result = run_guest(p, &err);
	seconds = now_s() - start;
	if (result == PROBE_ENDED) {
		note_rate(probe, 0, seconds);
		return true;
	}
	stage = guest->progress(p, &left);
	if (err == EINTR && stage == PROBE_STAGE_LOOP) { /* the timer */
		note_rate(probe, left, seconds);
		if (probe->minsn_per_s < guest->native_minsn_per_s)
			return false;
	}
	snprintf(probe->detail, sizeof(probe->detail),
		 "cannot run a kernel here (%s fails on %s, %s %u)", guest->mode,
		 guest->stages[stage < guest->nr_stages ? stage : 0], err ? "errno" : "KVM exit",
		 err ? (unsigned int)err : p->run->exit_reason);
	return false;
}

/*
 * A signal that stays blocked in this thread, but not while the guest runs, ends KVM_RUN when the
 * timer fires: no handler, nothing global.
 */
static int arm_timer(struct probe_vm *p, timer_t *timer, int sig)
{
	struct {
		struct kvm_signal_mask header;
		uint8_t set[8]; /* the kernel's sigset_t */
	} __attribute__((packed)) mask = {.header = {.len = 8}};
	const uint32_t ms = arch__this->probe_guest->limit_ms;
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig};
	const struct itimerspec limit = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l}};
	uint64_t blocked = ~(UINT64_C(1) << (sig - 1));

	memcpy(mask.set, &blocked, sizeof(blocked));
	if (ioctl(p->vcpu, KVM_SET_SIGNAL_MASK, &mask))
		return -1;
	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, timer))
		return -1;
	if (timer_settime(*timer, 0, &limit, NULL)) {
		timer_delete(*timer);
		return -1;
	}
	return 0;
}

/* Decides between native and emulated for a VM that is ready. */
static void measure(struct probe_vm *p, struct ktstr_probe *probe)
{
	const double native = arch__this->probe_guest->native_minsn_per_s;
	const char *mode = arch__this->probe_guest->mode;
	const struct timespec none = {0};
	const int sig = SIGRTMAX - 1;
	sigset_t set, old;
	timer_t timer;
	bool ran;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	if (arm_timer(p, &timer, sig)) {
		say_failed(probe, "set a timer for KVM_RUN");
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		return;
	}
	probe->kind = KTSTR_KVM_EMULATED;
	ran = attempt(p, 0, probe);
	for (int i = 1; ran && i < ATTEMPTS && probe->minsn_per_s < native; i++)
		ran = attempt(p, 0, probe);
	if (ran && probe->minsn_per_s >= native)
		ran = attempt(p, p->have, probe);
	timer_delete(timer);
	while (sigtimedwait(&set, NULL, &none) > 0)
		; /* it may have fired at the last moment */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ran && probe->minsn_per_s >= native) {
		probe->kind = KTSTR_KVM_NATIVE;
		snprintf(probe->detail, sizeof(probe->detail), "runs kernels (%s: %.0f Minsn/s)",
			 mode, probe->minsn_per_s);
	} else if (!probe->detail[0]) {
		snprintf(probe->detail, sizeof(probe->detail),
			 "cannot run a kernel here (%s is interpreted, %.1f Minsn/s)", mode,
			 probe->minsn_per_s);
	}
}

static void try_kvm(struct probe_vm *p, struct ktstr_probe *probe)
{
	const struct probe_guest *guest = arch__this->probe_guest;
	const char *failed = create_vm(p), *missing;

	missing = !failed && guest->missing ? guest->missing(p) : NULL;
	if (missing) {
		probe->kind = KTSTR_KVM_EMULATED;
		snprintf(probe->detail, sizeof(probe->detail),
			 "cannot run a kernel here (this KVM has no %s)", missing);
		return;
	}
	if (!failed)
		failed = create_vcpu(p);
	if (failed)
		say_failed(probe, failed);
	else
		measure(p, probe);
}

void ktstr_probe__run(struct ktstr_probe *probe)
{
	struct probe_vm p = {.vm = -1, .vcpu = -1};

	*probe = (struct ktstr_probe){.kind = KTSTR_KVM_ABSENT};
	p.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (p.kvm < 0)
		snprintf(probe->detail, sizeof(probe->detail), "%s%s", strerror(errno),
			 errno == EACCES ? "; become a member of its group (kvm)" : "");
	else if (ioctl(p.kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		snprintf(probe->detail, sizeof(probe->detail), "not KVM's stable interface");
	else
		try_kvm(&p, probe);
	destroy_vm(&p);
}
