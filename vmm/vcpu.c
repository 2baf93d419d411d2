// SPDX-License-Identifier: GPL-2.0-only
/* vCPU threads: enter the guest, hand its exits to the bus or the architecture, leave when told. */
#include "vcpu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "arch/arch.h"
#include "performance.h"
#include "sandbox.h"
#include "vm.h"

#define KERNEL_SIGSET_BYTES 8u

int vcpu__create(struct vm *vm, uint32_t index, uint64_t run_size, struct vcpu *vcpu,
		 struct ktstr_error *error)
{
	uint64_t id = vm->layout.cpus[index].hw_id;
	char object[32];

	snprintf(object, sizeof(object), "vCPU %u", index);
	*vcpu = (struct vcpu){
		.vm = vm, .index = index, .fd = -1, .schedstat = -1, .run_size = run_size};
	/* In case /proc/PID/task/TID/schedstat is not there. */
	vcpu->run_ns = vcpu->steal_ns = KTSTR_UNKNOWN;
	vcpu->preempted = vcpu->minor_faults = vcpu->major_faults = KTSTR_UNKNOWN;
	vcpu->fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		return ktstr_error__set(error, errno, "KVM_CREATE_VCPU", object, NULL);
	vcpu->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return ktstr_error__set(error, errno, "mmap", object, NULL);
	}
	return 0;
}

void vcpu__destroy(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	if (vcpu->schedstat >= 0)
		close(vcpu->schedstat);
	vcpu->run = NULL;
	vcpu->fd = -1;
	atomic_store(&vcpu->schedstat, -1);
}

static void vcpu__fail(struct vcpu *vcpu, const char *what, uint64_t detail)
{
	char text[160];

	snprintf(text, sizeof(text), "KVM cannot go on: %s (0x%llx) on vCPU %u at 0x%llx", what,
		 (unsigned long long)detail, vcpu->index,
		 (unsigned long long)vcpu->vm->arch->program_counter(vcpu));
	vm__end(vcpu->vm, VM_END_HOST_ERROR, text);
}

/* Of all that the exit says, its data lies in the mapping. */
static bool is_io_possible(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;

	return (run->io.size == 1 || run->io.size == 2 || run->io.size == 4) &&
	       run->io.data_offset <= vcpu->run_size &&
	       bytes <= vcpu->run_size - run->io.data_offset;
}

/* False when it is impossible, here and below: then KVM itself is broken. */
static bool vcpu__io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (!is_io_possible(vcpu)) {
		vcpu__fail(vcpu, "impossible access to a port", run->io.port);
		return false;
	}
	bus__count_pio(&vcpu->vm->bus, run->io.port);
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus__write(&vcpu->vm->bus, BUS_PIO, run->io.port, data, run->io.size);
		else
			bus__read(&vcpu->vm->bus, BUS_PIO, run->io.port, data, run->io.size);
	}
	return true;
}

static bool vcpu__mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (!run->mmio.len || run->mmio.len > sizeof(run->mmio.data)) {
		vcpu__fail(vcpu, "impossible access to memory", run->mmio.phys_addr);
		return false;
	}
	if (run->mmio.is_write)
		bus__write(&vcpu->vm->bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data,
			   run->mmio.len);
	else
		bus__read(&vcpu->vm->bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data,
			  run->mmio.len);
	return true;
}

static void vcpu__system_event(struct vcpu *vcpu)
{
	uint32_t type = vcpu->run->system_event.type;

	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm__end(vcpu->vm, VM_END_POWEROFF, "guest powered off");
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm__end(vcpu->vm, VM_END_RESET, "guest reset the machine");
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		vm__end(vcpu->vm, VM_END_RESET, "guest told KVM that it crashed");
		break;
	default:
		vcpu__fail(vcpu, "unexpected system event", type);
	}
}

/* False when the guest can't go on. */
static bool vcpu__handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return vcpu__io(vcpu);
	case KVM_EXIT_MMIO:
		return vcpu__mmio(vcpu);
	case KVM_EXIT_INTR:
		return true;
	case KVM_EXIT_SHUTDOWN:
		vm__end(vcpu->vm, VM_END_TRIPLE_FAULT, "triple fault");
		return false;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu__system_event(vcpu);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu__fail(vcpu, "internal error", run->internal.suberror);
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu__fail(vcpu, "guest entry failed",
			   run->fail_entry.hardware_entry_failure_reason);
		return false;
	default:
		if (vcpu->vm->arch->handle_exit(vcpu->vm, vcpu))
			return true;
		vcpu__fail(vcpu, "unexpected exit reason", run->exit_reason);
		return false;
	}
}

static void vcpu__count(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;

	atomic_fetch_add_explicit(&vcpu->exits[reason < VCPU_EXIT_REASONS ? reason : 0], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&vcpu->total_exits, 1, memory_order_relaxed);
}

static void raise_to(_Atomic uint64_t *to, uint64_t value)
{
	uint64_t old = atomic_load(to);

	while ((old == KTSTR_UNKNOWN || old < value) &&
	       !atomic_compare_exchange_weak(to, &old, value))
		;
}

void vcpu__update_times(struct vcpu *vcpu)
{
	struct timespec ran;
	char text[96];
	const char *waited;
	int fd = atomic_load(&vcpu->schedstat);
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;

	/* schedstat has the time that the thread ran as of its last switch or tick, this as of now.
	 */
	if (atomic_load(&vcpu->clock_known) && !clock_gettime(atomic_load(&vcpu->clock), &ran))
		raise_to(&vcpu->run_ns, (uint64_t)ran.tv_sec * 1000000000u + (uint64_t)ran.tv_nsec);
	if (n <= 0)
		return;
	text[n] = '\0';
	/* "RUN_NS WAIT_NS SLICES" (Documentation/scheduler/sched-stats.rst) */
	waited = strchr(text, ' ');
	if (waited)
		raise_to(&vcpu->steal_ns, strtoull(waited, NULL, 10));
}

/* What others read the thread's times by. */
static void open_times(void *opaque)
{
	struct vcpu *vcpu = opaque;
	clockid_t clock;

	atomic_store(&vcpu->schedstat, open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
	if (pthread_getcpuclockid(pthread_self(), &clock))
		return;
	atomic_store(&vcpu->clock, clock);
	atomic_store(&vcpu->clock_known, true);
}

/*
 * A kick stays pending after KVM_RUN, and would end the next one. Those of a pause were all sent
 * before it ended; one of the machine's end that is taken here came after vm__ending() was set.
 */
static void forget_kicks(void)
{
	const struct timespec now = {0};
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, VCPU_KICK_SIGNAL);
	while (sigtimedwait(&kick, NULL, &now) >= 0)
		;
}

/*
 * Nobody kicked it: the process was stopped (SIGSTOP, a debugger). The guest's clock went on, and
 * its watchdogs are to know why. -EINVAL: it does not use that clock.
 */
static void excuse_stop(struct vcpu *vcpu)
{
#ifdef KVM_KVMCLOCK_CTRL
	if (errno == EINTR && !vm__ending(vcpu->vm) && !vm_pause__wanted(&vcpu->vm->pause))
		(void)ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
#else
	(void)vcpu;
#endif
}

/* For who asks when there is no thread any more. */
static void keep_usage(struct vcpu *vcpu)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage))
		return;
	vcpu->preempted = (uint64_t)usage.ru_nivcsw;
	vcpu->minor_faults = (uint64_t)usage.ru_minflt;
	vcpu->major_faults = (uint64_t)usage.ru_majflt;
	atomic_store(&vcpu->tid, 0);
}

static void *vcpu__thread(void *opaque)
{
	struct vcpu *vcpu = opaque;

	atomic_store(&vcpu->tid, gettid());
	vm__mark_first_run(vcpu->vm);
	while (!vm__ending(vcpu->vm)) {
		int ret;

		if (vm_pause__wanted(&vcpu->vm->pause)) {
			vm_pause__park(vcpu->vm);
			forget_kicks();
			continue;
		}
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
		if (ret < 0) {
			/* -EAGAIN: an AP that waits for its SIPI was kicked. */
			if (errno == EINTR || errno == EAGAIN) {
				excuse_stop(vcpu);
				continue;
			}
			vcpu__fail(vcpu, strerror(errno), (uint64_t)errno);
			break;
		}
		vcpu__count(vcpu);
		if (!vcpu__handle_exit(vcpu))
			break;
	}
	vcpu__update_times(vcpu);
	keep_usage(vcpu);
	return NULL;
}

int vcpu__start(struct vcpu *vcpu, struct ktstr_error *error)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t set[KERNEL_SIGSET_BYTES];
	} mask = {.head.len = KERNEL_SIGSET_BYTES};
	sigset_t in_guest;
	pthread_attr_t attr;
	char name[16];
	int err;

	sigfillset(&in_guest);
	sigdelset(&in_guest, VCPU_KICK_SIGNAL);
	memcpy(mask.set, &in_guest, KERNEL_SIGSET_BYTES);
	if (ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask) < 0)
		return ktstr_error__set(error, errno, "KVM_SET_SIGNAL_MASK", "vCPU", NULL);

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	err = performance__vcpu_attr(vcpu->vm->performance, vcpu->index, &attr);
	if (err)
		ktstr_error__set(error, -err, "prepare", "vCPU thread", NULL);
	else
		err = sandbox__thread(vcpu->vm->sandbox,
				      &(struct sandbox_thread){
					      .kind = SANDBOX_VCPU,
					      .name = name,
					      .attr = &attr,
					      .prepare = open_times,
					      .run = vcpu__thread,
					      .opaque = vcpu,
				      },
				      &vcpu->thread, error);
	pthread_attr_destroy(&attr);
	if (err)
		return err;
	vcpu->started = true;
	return 0;
}

void vcpu__kick(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL);
}

void vcpu__join(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}

const char *vcpu__exit_name(uint32_t reason)
{
	static const char *const names[VCPU_EXIT_REASONS] = {
		[KVM_EXIT_IO] = "io",
		[KVM_EXIT_MMIO] = "mmio",
		[KVM_EXIT_HLT] = "hlt",
		[KVM_EXIT_INTR] = "intr",
		[KVM_EXIT_SHUTDOWN] = "shutdown",
		[KVM_EXIT_SYSTEM_EVENT] = "system_event",
		[KVM_EXIT_IOAPIC_EOI] = "ioapic_eoi",
		[KVM_EXIT_INTERNAL_ERROR] = "internal_error",
		[KVM_EXIT_FAIL_ENTRY] = "fail_entry",
	};

	return reason < VCPU_EXIT_REASONS && names[reason] ? names[reason] : "other";
}
