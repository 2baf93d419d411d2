// SPDX-License-Identifier: GPL-2.0-only
/* The life of a machine: create, run, destroy. */
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cpu_confine.h"
#include "disk.h"
#include "host_files.h"
#include "host_share.h"
#include "host_use.h"
#include "monitor.h"
#include "performance.h"
#include "sandbox.h"
#include "vm_boot.h"
#include "vm_io.h"

#define DEFAULT_BOOT_TIMEOUT_S 120u
#define BOOT_TIMEOUT_CPU_S 8u
/* BPF programs of a large scheduler are verified for seconds; in emulation on a busy host, for 20.
 */
#define DEFAULT_ATTACH_TIMEOUT_S 60u
#define DEFAULT_TIMEOUT_S 60u
#define HALT_POLL_NS 200000u

uint32_t ktstr_vm__boot_allowance_s(const struct ktstr_topology *topology)
{
	return DEFAULT_BOOT_TIMEOUT_S + BOOT_TIMEOUT_CPU_S * ktstr_topology__cpus(topology);
}

void ktstr_vm_config__defaults(struct ktstr_vm_config *config)
{
	*config = (struct ktstr_vm_config){
		.size = sizeof(*config),
		.topology = TOPO(1, 1, 1, 1),
		.boot_timeout_s = DEFAULT_BOOT_TIMEOUT_S + BOOT_TIMEOUT_CPU_S,
		.attach_timeout_s = DEFAULT_ATTACH_TIMEOUT_S,
		.timeout_s = DEFAULT_TIMEOUT_S,
		.terminal_in = -1,
		.terminal_out = -1,
		.cancel_fd = -1,
	};
}

uint64_t vm__now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void vm__end(struct vm *vm, enum vm_end end, const char *text)
{
	int expected = VM_END_NONE;

	if (!atomic_compare_exchange_strong(&vm->end_claimed, &expected, (int)end))
		return;
	snprintf(vm->end_text, sizeof(vm->end_text), "%s", text);
	atomic_store(&vm->end, (int)end);
	loop__stop(vm->loop);
}

bool vm__ending(const struct vm *vm)
{
	/*
	 * Not @end: while the first caller still writes its text, a vCPU that was kicked already
	 * would enter the guest again, and nobody would kick it a second time.
	 */
	return atomic_load_explicit(&vm->end_claimed, memory_order_acquire) != VM_END_NONE;
}

void vm__mark_first_run(struct vm *vm)
{
	uint64_t expected = 0;

	if (!atomic_load_explicit(&vm->first_run_ns, memory_order_relaxed))
		atomic_compare_exchange_strong(&vm->first_run_ns, &expected, vm__now_ns());
}

static int open_kvm(struct vm *vm, struct ktstr_error *error)
{
	int version, err;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0) {
		err = ktstr_error__set(error, errno, "open", "/dev/kvm", NULL);
		ktstr_error__hint(
			error, "%s",
			err == -EACCES ? "join the group that owns it (often kvm), or run as root"
				       : "load kvm_intel or kvm_amd, or use the emulated host");
		return err;
	}
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return ktstr_error__set(error, ENODEV, "KVM_GET_API_VERSION", "/dev/kvm",
					"version %d, need %d", version, KVM_API_VERSION);
	do {
		vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, vm->arch->vm_type(vm->kvm_fd));
	} while (vm->vm_fd < 0 && errno == EINTR);
	if (vm->vm_fd < 0)
		return ktstr_error__set(error, errno, "KVM_CREATE_VM", "/dev/kvm", NULL);
	return 0;
}

int vm__check_cpu_limits(const struct layout *layout, int max_vcpus, int max_vcpu_id,
			 struct ktstr_error *error)
{
	int err = 0;

	if (max_vcpus > 0 && layout->nr_cpus > (uint32_t)max_vcpus) {
		err = ktstr_error__set(error, EINVAL, "topology", NULL,
				       "%u CPUs, but KVM on this host takes %d", layout->nr_cpus,
				       max_vcpus);
		ktstr_error__hint(error, "declare fewer CPUs");
	} else if (max_vcpu_id > 0 && layout->max_hw_id >= (uint32_t)max_vcpu_id) {
		err = ktstr_error__set(error, EINVAL, "topology", NULL,
				       "needs CPU id %u, but KVM on this host ends at %d",
				       layout->max_hw_id, max_vcpu_id - 1);
		ktstr_error__hint(error, "declare fewer CPUs, or counts that are powers of two: "
					 "others leave gaps between the ids");
	}
	return err;
}

static int check_cpu_limits(struct vm *vm, struct ktstr_error *error)
{
	int max_vcpus = ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	int max_vcpu_id = ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);

	return vm__check_cpu_limits(&vm->layout, max_vcpus, max_vcpu_id, error);
}

static int add_memslots(struct vm *vm, struct ktstr_error *error)
{
	for (uint32_t i = 0; i < vm->mem.nr_regions; i++) {
		const struct gmem_region *r = &vm->mem.regions[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = r->gpa,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)r->hva,
		};

		if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return ktstr_error__set(error, errno, "KVM_SET_USER_MEMORY_REGION",
						"guest memory", NULL);
	}
	return 0;
}

static int create_memory(struct vm *vm, struct ktstr_error *error)
{
	uint32_t memory_mb;
	int err = open_kvm(vm, error);

	if (!err)
		err = ktstr_topology__validate(&vm->config.topology, error);
	if (!err)
		err = ktstr_topology__memory_mb(&vm->config.topology, vm->config.memory_mb,
						&memory_mb, error);
	if (!err)
		err = vm->arch->layout_memory(&vm->mem, (uint64_t)memory_mb << 20, error);
	if (!err)
		err = layout__create(&vm->config.topology, &vm->mem, &vm->layout, error);
	if (!err && vm->arch->number_cpus)
		vm->arch->number_cpus(&vm->layout);
	if (!err)
		err = check_cpu_limits(vm, error);
	if (!err)
		err = gmem__map(&vm->mem, error);
	if (!err)
		err = performance__back_memory(vm, error);
	return err ? err : add_memslots(vm, error);
}

/*
 * How long KVM waits for the end of a guest's halt before it gives its CPU away: not at all where
 * another vCPU needs it. In performance mode the guest knows better. A kernel that cannot be told
 * has its own default.
 */
static void limit_polling(struct vm *vm)
{
	struct kvm_enable_cap poll = {.cap = KVM_CAP_HALT_POLL, .args = {HALT_POLL_NS}};
	struct host_set allowed;

	if (vm->performance)
		return;
	if (!host_set__allowed(&allowed) && vm->layout.nr_cpus > host_set__count(&allowed))
		poll.args[0] = 0;
	(void)ioctl(vm->vm_fd, KVM_ENABLE_CAP, &poll);
}

static int create_devices(struct vm *vm, struct ktstr_error *error)
{
	int err = bus__init(&vm->bus);

	if (!err)
		err = loop__create(&vm->loop);
	if (err)
		return ktstr_error__set(error, -err, "create", "event loop", NULL);
	err = vm->arch->create(vm, error);
	if (!err) {
		limit_polling(vm);
		performance__dedicate_cpus(vm);
		err = vm_hang__create(vm, error);
	}
	return err ? err : vm_io__create(vm, error);
}

static int create_vcpus(struct vm *vm, struct ktstr_error *error)
{
	int run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (run_size < (int)sizeof(struct kvm_run))
		return ktstr_error__set(error, run_size < 0 ? errno : EINVAL,
					"KVM_GET_VCPU_MMAP_SIZE", "/dev/kvm", NULL);
	vm->vcpus = calloc(vm->layout.nr_cpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return ktstr_error__set(error, ENOMEM, "allocate", "vCPUs", NULL);
	while (vm->nr_vcpus < vm->layout.nr_cpus) {
		struct vcpu *vcpu = &vm->vcpus[vm->nr_vcpus];
		int err = vcpu__create(vm, vm->nr_vcpus, (uint64_t)run_size, vcpu, error);

		vm->nr_vcpus++;
		if (!err)
			err = vm->arch->vcpu_init(vm, vcpu, error);
		if (err)
			return err;
	}
	return 0;
}

static int create_all(struct vm *vm, struct ktstr_error *error)
{
	uint64_t t0 = vm->times.create_at_ns, t1;
	int err = create_memory(vm, error);

	t1 = vm__now_ns();
	vm->times.memory_ns = t1 - t0;
	if (err)
		return err;
	err = create_devices(vm, error);
	t0 = vm__now_ns();
	vm->times.devices_ns = t0 - t1;
	if (!err)
		err = vm_boot__find(vm, error);
	if (!err)
		err = vm->arch->write_tables(vm, error);
	if (!err)
		err = vm_boot__load(vm, error);
	t1 = vm__now_ns();
	if (err)
		return err;
	err = create_vcpus(vm, error);
	if (!err)
		err = host_use__create(vm, &vm->host_use, error);
	if (!err && vm->arch->finish)
		err = vm->arch->finish(vm, error);
	vm->times.vcpus_ns = vm__now_ns() - t1;
	return err;
}

/* The CPUs of the host that were taken for it, or are now, and what keeps its threads on them. */
static int take_cpus(struct vm *vm, struct ktstr_error *error)
{
	const struct host_share_request request = {.config = &vm->config, .what = "a machine"};
	const struct host_share *share = (const struct host_share *)vm->config.cpu_share;
	const struct cpu_locks *cpus;
	int err = 0;

	if (!share && (vm->config.cpu_cap || vm->config.performance_mode)) {
		err = host_share__take_cpus(&request, &vm->own_share, error);
		share = &vm->own_share;
	}
	if (err || !share)
		return err;
	if (vm->config.performance_mode)
		return performance__create(vm->config.performance_mode, &share->plan,
					   &vm->performance, error);
	cpus = share->cpus;
	if (!cpus || cpu_locks__has_all(cpus))
		return 0;
	return cpu_confine__create(cpu_locks__cpus(cpus), &vm->confine, error);
}

/* What is not looked at by whoever uses it. */
static int check_config(const struct ktstr_vm_config *config, struct ktstr_error *error)
{
	if (config->size != sizeof(*config))
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", NULL,
					"size is %zu, not %zu: set it with "
					"ktstr_vm_config__defaults()",
					config->size, sizeof(*config));
	if ((uint32_t)config->role > KTSTR_ROLE_SHELL)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "role",
					"%u is not an enum ktstr_guest_role",
					(uint32_t)config->role);
	if ((uint32_t)config->irqchip > KTSTR_IRQCHIP_SPLIT)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "irqchip",
					"%u is not an enum ktstr_irqchip",
					(uint32_t)config->irqchip);
	if ((uint32_t)config->root > KTSTR_ROOT_EROFS)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "root",
					"%u is not an enum ktstr_root", (uint32_t)config->root);
	if ((uint32_t)config->cpu_vendor > KTSTR_VENDOR_AMD)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "cpu_vendor",
					"%u is not an enum ktstr_cpu_vendor",
					(uint32_t)config->cpu_vendor);
	if ((uint32_t)config->performance_mode > PERFORMANCE_BEST_EFFORT)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "performance_mode",
					"%u is not an enum ktstr_performance_mode",
					(uint32_t)config->performance_mode);
	if (!(config->max_steal_pct >= 0 && config->max_steal_pct <= 100))
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "max_steal_pct",
					"%g is no percentage", config->max_steal_pct);
	if (config->nr_disks > KTSTR_MAX_DISKS)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config", "nr_disks",
					"%zu, and at most %u can be", config->nr_disks,
					KTSTR_MAX_DISKS);
	if (disk__check(config->disks, config->nr_disks, error))
		return -EINVAL;
	if (config->stats_interval_ms && !config->scheduler)
		return ktstr_error__set(error, EINVAL, "struct ktstr_vm_config",
					"stats_interval_ms",
					"there is no scheduler to ask for statistics");
	return arch__this->check_config(&config->topology, config->cpu_vendor, config->irqchip,
					error);
}

int ktstr_vm__create(const struct ktstr_vm_config *config, struct ktstr_vm **out,
		     struct ktstr_error *error)
{
	struct vm *vm;
	int err;

	*out = NULL;
	err = check_config(config, error);
	if (err)
		return err;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return ktstr_error__set(error, ENOMEM, "allocate", "VM", NULL);
	vm->times.create_at_ns = vm__now_ns();
	vm->config = *config;
	vm_inputs__init(&vm->inputs);
	vm->kvm_fd = vm->vm_fd = vm->timer_fd = -1;
	vm->com_irq[0] = vm->com_irq[1] = -1;
	vm->com_bytes[0].fd = vm->com_bytes[1].fd = vm->pause.fd = -1;
	vm->arch = arch__this;
	outcome__init(&vm->outcome);
	caller__init(&vm->caller);
	err = sandbox__create(config->no_sandbox, &vm->sandbox, error);
	if (!err)
		err = take_cpus(vm, error);
	if (!err)
		err = cpu_confine__enter(vm->confine, error);
	if (!err) {
		err = create_all(vm, error);
		cpu_confine__leave(vm->confine);
	}
	if (err) {
		ktstr_vm__destroy((struct ktstr_vm *)vm);
		return err;
	}
	*out = (struct ktstr_vm *)vm;
	return 0;
}

/* What was measured on CPUs that were not there is worth nothing, whatever it was. */
static void limit_steal(struct vm *vm)
{
	struct ktstr_host_use use = host_use__public(vm->host_use);
	char why[160];

	if (!host_use__exceeds(&use, vm->config.max_steal_pct, why, sizeof(why)))
		return;
	vm->outcome.verdict = KTSTR_VERDICT_NONE;
	outcome__fail(&vm->outcome, KTSTR_VERDICT_FAIL, "%s; max_steal_pct is %g", why,
		      vm->config.max_steal_pct);
}

static void decide(struct vm *vm)
{
	enum vm_end end = (enum vm_end)atomic_load(&vm->end);
	struct outcome *o = &vm->outcome;

	switch (end) {
	case VM_END_HOST_ERROR:
		/* EXIT was sent before: what fails after it is not the test's. */
		if (!o->complete)
			outcome__fail(o, KTSTR_VERDICT_HOST_ERROR, "%s", vm->end_text);
		break;
	case VM_END_CANCELLED:
		outcome__fail(o, KTSTR_VERDICT_INTERRUPTED, "%s", vm->end_text);
		break;
	default:
		break;
	}
	vm_hang__finish(vm);
	outcome__finish(o,
			end == VM_END_RESET || end == VM_END_POWEROFF || end == VM_END_TRIPLE_FAULT,
			vm->end_text);
	if (o->verdict == KTSTR_VERDICT_PASS && vm->config.max_steal_pct > 0)
		limit_steal(vm);
}

static void add_exit(struct vm *vm, size_t capacity, const char *reason, uint16_t port,
		     uint64_t address, uint64_t count)
{
	if (count && vm->nr_exits < capacity)
		vm->exits[vm->nr_exits++] = (struct ktstr_exit_count){reason, port, address, count};
}

/* One row a port, a device and every other exit reason. */
static uint64_t count_exits(struct vm *vm)
{
	size_t capacity = BUS_MAX_RANGES + 1 + VCPU_EXIT_REASONS;
	uint64_t by_reason[VCPU_EXIT_REASONS] = {0}, total = 0;

	/* A guest may have touched every port: the rows of the others must not be lost by that. */
	for (uint32_t port = 0; port < BUS_PIO_PORTS; port++)
		capacity += vm->bus.pio_count[port] != 0;
	vm->exits = calloc(capacity, sizeof(*vm->exits));
	for (uint32_t i = 0; i < vm->nr_vcpus; i++) {
		total += vm->vcpus[i].total_exits;
		for (uint32_t r = 0; r < VCPU_EXIT_REASONS; r++)
			by_reason[r] += vm->vcpus[i].exits[r];
	}
	if (!vm->exits)
		return total;
	for (uint32_t port = 0; port < BUS_PIO_PORTS; port++)
		add_exit(vm, capacity, "io", (uint16_t)port, 0, vm->bus.pio_count[port]);
	for (uint32_t i = 0; i < vm->bus.nr_ranges[BUS_MMIO]; i++)
		add_exit(vm, capacity, "mmio", 0, vm->bus.ranges[BUS_MMIO][i].base,
			 vm->bus.ranges[BUS_MMIO][i].hits);
	add_exit(vm, capacity, "mmio", 0, 0, vm->bus.unclaimed_mmio);
	for (uint32_t r = 0; r < VCPU_EXIT_REASONS; r++)
		if (r != KVM_EXIT_IO && r != KVM_EXIT_MMIO)
			add_exit(vm, capacity, vcpu__exit_name(r), 0, 0, by_reason[r]);
	return total;
}

static struct ktstr_scheduler_end scheduler_end(const struct outcome_sched *s)
{
	return (struct ktstr_scheduler_end){
		.kind = (enum ktstr_scx_exit)s->kind,
		.cpu = s->cpu,
		.reason = s->reason,
		.message = s->message,
		.dump = s->dump.data ? s->dump.data : "",
		.events = s->events.data ? s->events.data : "",
		.enable_seq = s->enable_seq,
		.hotplug_seq = s->hotplug_seq,
		.nr_rejected = s->nr_rejected,
	};
}

static void fill_result(struct vm *vm, struct ktstr_result *result)
{
	const struct outcome *o = &vm->outcome;
	uint64_t total = count_exits(vm);

	*result = (struct ktstr_result){
		.verdict = o->verdict,
		.cause = o->cause[0] ? o->cause : NULL,
		.have_status = o->have_status,
		.complete = o->complete,
		.kernel_trouble = vm_io__kernel_trouble(vm),
		.exit_code = o->exit_code,
		.signal = o->signal,
		.skip_reason = o->skip_reason,
		.by_com2 = o->by_com2,
		.scheduler_ops = o->scheduler_ops,
		.kernel_release = o->kernel_release,
		.attach_ns = o->attach_ns,
		.scheduler_end = scheduler_end(&o->sched),
		.scheduler_output = o->scheduler.data ? o->scheduler.data : "",
		.console = o->console.data ? o->console.data : "",
		.console_trouble = vm_io__console_trouble(vm),
		.com2 = o->com2.data ? o->com2.data : "",
		.backtrace = vm->backtrace ? vm->backtrace : "",
		.vcpus = vm->hang.text ? vm->hang.text : "",
		.total_exits = total,
		.exits = vm->exits,
		.nr_exits = vm->nr_exits,
		.kaslr = vm->kaslr,
		.cache_problem = vm->cache_problem[0] ? vm->cache_problem : NULL,
		.sandbox = sandbox__text(vm->sandbox),
		.host_cpus = vm->confine ? cpu_confine__text(vm->confine) : "",
		.nics = vm->nic_counts,
		.nr_nics = vm->nr_nics,
		.performance = performance__public(vm->performance),
		.host_use = host_use__public(vm->host_use),
	};
	vm->times.first_run_at_ns = vm->first_run_ns;
	result->times = vm->times;
	vm_io__stats_result(vm, result);
}

static void stop_vcpus(struct vm *vm)
{
	vm_pause__end(vm);
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		vcpu__kick(&vm->vcpus[i]);
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		vcpu__join(&vm->vcpus[i]);
}

/* ---- Run ---- */

static void *loop_thread(void *opaque)
{
	struct vm *vm = opaque;
	int err = loop__run(vm->loop);

	if (err)
		vm__end(vm, VM_END_HOST_ERROR, strerror(-err));
	byte_queue__close(&vm->com_bytes[0]);
	byte_queue__close(&vm->com_bytes[1]);
	stop_vcpus(vm);
	vm->times.exit_at_ns = vm__now_ns();
	vm_io__drain(vm);
	caller__finish(&vm->caller);
	return NULL;
}

static int start_loop(struct vm *vm, struct ktstr_error *error)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	err = performance__loop_attr(vm->performance, &attr);
	if (err)
		ktstr_error__set(error, -err, "prepare", "event loop's thread", NULL);
	else
		err = sandbox__thread(vm->sandbox,
				      &(struct sandbox_thread){
					      .kind = SANDBOX_LOOP,
					      .name = "loop",
					      .attr = &attr,
					      .run = loop_thread,
					      .opaque = vm,
				      },
				      &vm->loop_thread, error);
	pthread_attr_destroy(&attr);
	vm->loop_started = !err;
	return err;
}

static int start_threads(struct vm *vm, struct ktstr_error *error)
{
	int err = vm_io__start(vm, error);

	if (!err && vm->config.sample)
		err = monitor__create(vm, vm->config.sample_interval_ms, vm->config.sample,
				      vm->config.sample_opaque, &vm->monitor, error);
	if (!err)
		err = vm_hang__start(vm, error);
	if (err)
		return err;
	performance__raise(vm->performance);
	if (vm->config.progress)
		vm->config.progress(vm->config.progress_opaque, "booting");
	host_use__run_starts(vm->host_use);
	err = start_loop(vm, error);
	for (uint32_t i = 0; i < vm->nr_vcpus && !err; i++)
		err = vcpu__start(&vm->vcpus[i], error);
	return err;
}

/* Threads that were started and did not get to run. */
static void join_threads(struct vm *vm)
{
	sandbox__cancel(vm->sandbox);
	if (vm->loop_started)
		pthread_join(vm->loop_thread, NULL);
	vm->loop_started = false;
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		vcpu__join(&vm->vcpus[i]);
}

static int run(struct vm *vm, struct ktstr_result *result, struct ktstr_error *error)
{
	int err = performance__enter(vm->performance, error);

	if (!err)
		err = start_threads(vm, error);
	if (!err)
		err = sandbox__open(vm->sandbox, error);
	if (err) {
		join_threads(vm);
		performance__leave(vm->performance);
		return err;
	}
	performance__vcpus_started(vm->performance);
	caller__serve(&vm->caller);
	pthread_join(vm->loop_thread, NULL);
	vm->loop_started = false;
	performance__leave(vm->performance);
	monitor__finish(vm->monitor);
	host_use__finish(vm->host_use);
	vm_io__resolve(vm);
	decide(vm);
	fill_result(vm, result);
	return 0;
}

int ktstr_vm__run(struct ktstr_vm *public_vm, struct ktstr_result *result,
		  struct ktstr_error *error)
{
	struct vm *vm = (struct vm *)public_vm;
	int err;

	if (vm->ran)
		return ktstr_error__set(error, EALREADY, "run", "VM", "a machine runs once");
	vm->ran = true;
	err = cpu_confine__enter(vm->confine, error);
	if (err)
		return err;
	err = run(vm, result, error);
	cpu_confine__leave(vm->confine);
	return err;
}

const struct ktstr_performance *ktstr_vm__performance(const struct ktstr_vm *public_vm)
{
	return performance__public(((const struct vm *)public_vm)->performance);
}

void ktstr_vm__destroy(struct ktstr_vm *public_vm)
{
	struct vm *vm = (struct vm *)public_vm;

	if (!vm)
		return;
	join_threads(vm);
	monitor__destroy(vm->monitor);
	host_use__destroy(vm->host_use);
	for (uint32_t i = 0; i < vm->nr_vcpus; i++)
		vcpu__destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	vm_io__destroy(vm);
	vm_hang__destroy(vm);
	free(vm->backtrace);
	free(vm->init_path);
	vm->arch->destroy(vm);
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	if (vm->timer_fd >= 0)
		close(vm->timer_fd);
	gmem__unmap(&vm->mem);
	performance__destroy(vm->performance);
	layout__destroy(&vm->layout);
	bus__fini(&vm->bus);
	loop__destroy(vm->loop);
	outcome__free(&vm->outcome);
	vm_inputs__free(&vm->inputs);
	free(vm->exits);
	/* No thread of it is left. */
	sandbox__destroy(vm->sandbox);
	caller__fini(&vm->caller);
	cpu_confine__destroy(vm->confine);
	host_share__give_back(&vm->own_share);
	free(vm);
}
