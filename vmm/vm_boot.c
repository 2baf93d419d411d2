// SPDX-License-Identifier: GPL-2.0-only
/* Gathers what the guest boots from the run's description and loads it. */
#include "vm_boot.h"

#include <ktstr/proto.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../initramfs/initramfs.h"
#include "cache.h"
#include "kernel.h"
#include "performance.h"
#include "root.h"
#include "vm.h"
#include "vm_disks.h"
#include "vm_io.h"

/*
 * A panic prints and ends the VM at once (panic=-1); nothing here changes what is tested. "quiet"
 * is before the console, which begins with what is in the log by then.
 */
#define DEFAULT_CMDLINE "quiet panic=-1"
#define CMDLINE_MAX 4096

static int append_cmdline(const struct vm *vm, char *cmdline, size_t size,
			  struct ktstr_error *error)
{
	int n = snprintf(cmdline, size, "%s %s%s%s%s", DEFAULT_CMDLINE, vm->arch->console_cmdline,
			 vm->arch->host_cmdline(), vm->config.append ? " " : "",
			 vm->config.append ? vm->config.append : "");

	if (n < 0 || (size_t)n >= size)
		return ktstr_error__set(error, E2BIG, "kernel command line", NULL,
					"more than %zu bytes", size - 1);
	return 0;
}

static int check_sched_ext(const struct vm *vm, const struct kernel *kernel,
			   struct ktstr_error *error)
{
	int err;

	/* Unknown (no configuration at hand) is left for PID 1 to find out. */
	if (!vm->config.scheduler || kernel__config_has(kernel, "CONFIG_SCHED_CLASS_EXT") != 0)
		return 0;
	err = ktstr_error__set(error, EOPNOTSUPP, "scheduler test", kernel->image,
			       "the kernel has no sched_ext (CONFIG_SCHED_CLASS_EXT is not set)");
	ktstr_error__hint(error, "give another kernel, or run scripts/kernel fetch");
	return err;
}

static void put(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s=%s%c", key, value, '\0');
}

static void put_all(FILE *f, const char *key, const char *const *values)
{
	for (; values && *values; values++)
		put(f, key, *values);
}

/* The records of KTSTR_GUEST_CONFIG (include/ktstr/proto.h). */
static int write_run_config(const struct ktstr_vm_config *c, const char *disturbed, bool quiet,
			    char **buf, size_t *length)
{
	static const char *const roles[] = {[KTSTR_ROLE_TEST] = "test",
					    [KTSTR_ROLE_COMMAND] = "command",
					    [KTSTR_ROLE_SHELL] = "shell"};
	FILE *f = open_memstream(buf, length);

	if (!f)
		return -errno;
	put(f, "role", roles[c->role]);
	put_all(f, "argv", c->argv);
	/* Before the caller's: it may know better. */
	if (disturbed)
		fprintf(f, "env=" KTSTR_DISTURBED_ENV "=%s%c", disturbed, '\0');
	if (quiet)
		put(f, "env", KTSTR_QUIET_ENV "=1");
	put_all(f, "env", c->env);
	if (c->cwd)
		put(f, "cwd", c->cwd);
	put(f, "hostname", "ktstr");
	vm_disks__write_mounts(c, f);
	if (c->kernel_log)
		put(f, "kernel_log", "1");
	if (c->role == KTSTR_ROLE_SHELL && c->terminal_rows && c->terminal_columns)
		fprintf(f, "tty=%ux%u%c", c->terminal_rows, c->terminal_columns, '\0');
	if (c->scheduler) {
		put(f, "scheduler", "/scheduler");
		put_all(f, "scheduler_arg", c->scheduler_args);
		if (c->scheduler_ops)
			put(f, "scheduler_ops", c->scheduler_ops);
		fprintf(f, "attach_timeout_ms=%llu%c", c->attach_timeout_s * 1000ull, '\0');
		if (c->stats_interval_ms)
			put(f, "stats", "1");
	}
	return fclose(f) ? -errno : 0;
}

/* Drivers of what the machine has, where the kernel has them as modules. */
#define MAX_MODULES (4 + VM_DISKS_MODULES) /* and the NULL behind the last one */

static void list_modules(const struct vm *vm, const char *modules[MAX_MODULES])
{
	*modules++ = "virtio_mmio";
	*modules++ = "virtio_console";
	modules += vm_disks__modules(vm, modules);
	if (vm->nr_nics)
		*modules++ = "virtio_net";
	*modules = NULL;
}

static bool can_be_disk(void *kernel)
{
	return !root__check_kernel(kernel, NULL);
}

/* The disk is the last: those of the test keep their names. */
static int add_base(struct vm *vm, struct ktstr_error *error)
{
	char path[64];
	const struct ktstr_disk disk = {
		.path = path, .read_only = true, .serial = KTSTR_BASE_SERIAL};

	if (!vm->inputs.base.nr_segments)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vm->inputs.base.segments[0].fd);
	return vm_io__add_disk(vm, &disk, -1, error);
}

/* The base in one of its forms, and what is before it when it is a disk. */
static int prepare_root(struct vm *vm, const struct initramfs_spec *spec, struct ktstr_error *error)
{
	/* The same for all bases that one kernel has. */
	const struct initramfs_spec before = {
		.modules_dir = spec->modules_dir,
		.kernel_release = spec->kernel_release,
		.cache_dir = spec->cache_dir,
		.stage1 = true,
	};
	struct vm_inputs *in = &vm->inputs;
	int err = initramfs__base(spec, &in->initramfs, error);

	if (!err && in->initramfs.disk) {
		in->base = in->initramfs;
		in->initramfs = (struct initramfs_image){0};
		err = initramfs__base(&before, &in->initramfs, error);
	}
	if (in->base.note[0] || in->initramfs.note[0])
		snprintf(vm->cache_problem, sizeof(vm->cache_problem), "%s",
			 in->base.note[0] ? in->base.note : in->initramfs.note);
	return err;
}

static int prepare_initramfs(struct vm *vm, const struct kernel *kernel, struct ktstr_error *error)
{
	char cache[PATH_MAX];
	int cache_err = cache__dir("initramfs", cache, sizeof(cache)), err;
	const char *modules[MAX_MODULES];
	struct initramfs_spec spec = {
		/* By this name it is itself also when another one has its place by now. */
		.init = vm->config.init ? vm->config.init : "/proc/self/exe",
		.scheduler = vm->config.scheduler,
		.files = vm->config.files,
		.nr_files = vm->config.nr_files,
		.modules_dir = kernel->modules_dir[0] ? kernel->modules_dir : NULL,
		.modules = modules,
		.kernel_config = kernel->config[0] ? kernel->config : NULL,
		.kernel_release = kernel->release[0] ? kernel->release : NULL,
		.cache_dir = cache_err ? NULL : cache,
		.disk_from = root__disk_from(vm->config.root),
		.can_be_disk = vm->config.root == KTSTR_ROOT_AUTO ? can_be_disk : NULL,
		.opaque = &vm->kernel,
	};

	err = vm->config.root == KTSTR_ROOT_EROFS ? root__check_kernel(kernel, error) : 0;
	if (err)
		return err;
	list_modules(vm, modules);
	vm->init_path = realpath(spec.init, NULL); /* what fails here does so below, with words */
	err = prepare_root(vm, &spec, error);
	if (cache_err)
		snprintf(vm->cache_problem, sizeof(vm->cache_problem), "no cache of initramfs: %s",
			 strerror(-cache_err));
	return err;
}

/* Finds the kernel, makes the initramfs and the guest's configuration. */
static int gather(struct vm *vm, struct ktstr_error *error)
{
	struct vm_inputs *in = &vm->inputs;
	struct kernel *kernel = &vm->kernel;
	uint64_t start = vm__now_ns();
	const char *disturbed;
	int err = kernel__resolve(vm->config.kernel, kernel, error), fd;

	if (!err)
		err = check_sched_ext(vm, kernel, error);
	if (!err)
		err = vm_disks__check_kernel(vm, error);
	if (err)
		return err;
	fd = kernel__open(kernel, error);
	err = fd < 0 ? fd : vm_inputs__take_kernel(in, fd, error);
	vm->times.kernel_ns = vm__now_ns() - start;
	if (err)
		return err;
	start = vm__now_ns();
	err = prepare_initramfs(vm, kernel, error);
	vm->times.initramfs_ns = vm__now_ns() - start;
	if (err)
		return err;
	disturbed = vm->arch->host_disturbed();
	if (!disturbed)
		disturbed = performance__disturbed(vm->performance);
	err = write_run_config(&vm->config, disturbed, vm->performance && !disturbed,
			       &in->guest_config, &in->guest_config_length);
	return err ? ktstr_error__set(error, -err, "write", "run configuration", NULL) : 0;
}

/* Its kernel has no modules directory and no configuration: what needs them was done before. */
static int open_saved(struct vm *vm, struct ktstr_error *error)
{
	int n = snprintf(vm->kernel.image, sizeof(vm->kernel.image), "%s/kernel", vm->config.saved);

	if (n < 0 || (size_t)n >= sizeof(vm->kernel.image))
		return ktstr_error__set(error, ENAMETOOLONG, "open", vm->config.saved, NULL);
	return saved__open(vm->config.saved, &vm->inputs, error);
}

static int load_kernel(struct vm *vm, struct arch_payload *payload, struct ktstr_error *error)
{
	uint64_t start = vm__now_ns();
	int err;

	payload->kernel_fd = vm->inputs.kernel_fd;
	err = vm->arch->load_kernel(vm, payload, error);
	vm->times.kernel_ns += vm__now_ns() - start;
	return err;
}

static int load_initramfs(struct vm *vm, struct arch_payload *payload, struct ktstr_error *error)
{
	const struct vm_inputs *in = &vm->inputs;
	uint64_t start = vm__now_ns();
	size_t archive_length = 0;
	void *archive = NULL;
	int err = initramfs__run_config(in->guest_config, in->guest_config_length, &archive,
					&archive_length, error);

	if (!err) {
		payload->run_config = archive;
		payload->run_config_size = archive_length;
		err = vm->arch->load_initramfs(vm, payload, error);
	}
	free(archive);
	vm->times.initramfs_ns += vm__now_ns() - start;
	return err;
}

int vm_boot__find(struct vm *vm, struct ktstr_error *error)
{
	int err = vm->config.saved ? open_saved(vm, error) : gather(vm, error);

	return err ? err : add_base(vm, error);
}

int vm_boot__load(struct vm *vm, struct ktstr_error *error)
{
	struct arch_payload payload = {.kernel_fd = -1};
	struct kernel *kernel = &vm->kernel;
	char cmdline[CMDLINE_MAX];
	int err = append_cmdline(vm, cmdline, sizeof(cmdline), error);

	if (!err && vm_inputs__describe(&vm->inputs, &vm->config, kernel->image, kernel->release))
		err = ktstr_error__set(error, ENOMEM, "allocate", "settings", NULL);
	payload.cmdline = cmdline;
	payload.kernel_path = kernel->image;
	payload.initramfs = &vm->inputs.initramfs;
	if (!err)
		err = load_kernel(vm, &payload, error);
	if (!err)
		err = load_initramfs(vm, &payload, error);
	return err;
}

int ktstr_vm__save(struct ktstr_vm *public_vm, const char *dir, struct ktstr_error *error)
{
	return saved__write(&((struct vm *)public_vm)->inputs, dir, error);
}
