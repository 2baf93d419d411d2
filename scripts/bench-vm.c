// SPDX-License-Identifier: GPL-2.0-only
/*
 * What scripts/bench measures with. As a program it boots one machine with itself as /init, like a
 * test binary, or times any other monitor; in the guest it is the test, which does nothing.
 *
 *   bench-vm run            one machine; prints KEY VALUE lines and what left the guest
 *   bench-vm image FILE     writes the initramfs of such a machine; prints kernel and command line
 *   bench-vm run SCRIPT PART SECONDS DISK[,OPTIONS]...
 *   bench-vm image FILE SCRIPT PART SECONDS DISK...
 *                           the same of a machine with disks (as for ktstr run) and two NICs on one
 *                           network, in which busybox's sh runs SCRIPT with two arguments; what
 *                           that prints is printed
 *   bench-vm start N        N machines at once, each in a process, up to where their vCPUs would
 *                           start; prints the times of the last one and the memory of all
 *   bench-vm cold PROGRAM   an initramfs with PROGRAM and its closure, from an empty cache
 *   bench-vm time CMD...    runs CMD, which prints something once its guest's /init speaks; prints
 *                           KEY VALUE lines, then "output" and what CMD printed
 *   bench-vm follow CMD...  prints what CMD prints; behind each line that has "mark NAME", by what
 *                           the host's KVM counted until then: "count NAME COUNTER N"
 *
 * Times are CLOCK_MONOTONIC, ns.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ktstr/guest.h>
#include <ktstr/vm.h>

#include "initramfs/initramfs.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/disk_options.h"
#include "vmm/kernel.h"
#include "vmm/vm.h"

#define MEMORY_MB 512u
#define TIME_LIMIT_S 600
#define MAX_DISKS 2
/* Mappings of that size are guest RAM, in every monitor that is compared. */
#define GUEST_RAM_KB (MEMORY_MB * 1024ul)
#define KVM_STATS "/sys/kernel/debug/kvm"

static const char *const kvm_counters[] = {"exits", "irq_exits", "io_exits", "mmio_exits"};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "bench-vm: %s: %s\n", what, why);
	return 2;
}

static int fail_error(const struct ktstr_error *error)
{
	char line[1200];

	ktstr_error__format(error, line, sizeof(line));
	return fail("VM", line);
}

static void print_ns(const char *key, uint64_t ns)
{
	printf("%s %llu\n", key, (unsigned long long)ns);
}

/* ---- Memory ---- */

struct rss {
	unsigned long guest_kb, other_kb;
};

/* Resident memory by mapping: guest RAM and all else. False: the process is gone. */
static bool read_rss(const char *smaps, struct rss *rss)
{
	unsigned long size = 0, kb;
	FILE *f = fopen(smaps, "re");
	char line[512];

	*rss = (struct rss){0};
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %lu kB", &kb) == 1)
			size = kb;
		else if (sscanf(line, "Rss: %lu kB", &kb) == 1)
			*(size >= GUEST_RAM_KB ? &rss->guest_kb : &rss->other_kb) += kb;
	}
	fclose(f);
	return true;
}

static unsigned long read_peak_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long kb = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %lu kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* ---- run, image ---- */

static void on_progress(void *opaque, const char *step)
{
	(void)opaque;
	if (!strcmp(step, "running")) {
		puts("init speaks");
		fflush(stdout);
	}
}

static void on_output(void *opaque, enum ktstr_stream stream, const char *data, size_t length)
{
	(void)opaque;
	fwrite(data, 1, length, stream == KTSTR_OUT ? stdout : stderr);
	fflush(stdout);
}

/* @args: SCRIPT PART SECONDS DISK..., and NULL */
static int describe_devices(struct ktstr_vm_config *config, char **args)
{
	static const char *argv[] = {"/bin/busybox", "sh", "/script", NULL, NULL, NULL};
	static struct ktstr_file files[] = {{.guest_path = "/script"},
					    {.host_path = "/bin/busybox"},
					    {.host_path = "/usr/bin/fio"},
					    {.host_path = "/usr/bin/iperf3"}};
	static const struct ktstr_nic nics[] = {{.network = "a"}, {.network = "a"}};
	static struct ktstr_disk disks[MAX_DISKS];

	files[0].host_path = *args++;
	argv[3] = *args++;
	argv[4] = *args++;
	for (; *args; args++) {
		char *options = strchr(*args, ',');
		const char *wrong;

		if (config->nr_disks == MAX_DISKS)
			return fail(*args, "a disk too many");
		if (options)
			*options++ = '\0';
		disks[config->nr_disks].path = *args;
		wrong = options ? disk_options__parse(options, &disks[config->nr_disks]) : NULL;
		if (wrong)
			return fail(*args, wrong);
		config->nr_disks++;
	}
	config->role = KTSTR_ROLE_COMMAND;
	config->argv = argv;
	config->files = files;
	/* The last ones may be missing: the script does what it can. */
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (i < 2 || !access(files[i].host_path, X_OK))
			files[config->nr_files++] = files[i];
	config->root = KTSTR_ROOT_CPIO; /* every monitor boots it */
	config->disks = disks;
	config->nics = nics;
	config->nr_nics = sizeof(nics) / sizeof(nics[0]);
	config->timeout_s = TIME_LIMIT_S;
	config->progress = NULL;
	config->output = on_output;
	return 0;
}

static void describe(struct ktstr_vm_config *config)
{
	static const char *const argv[] = {"bench-vm", NULL};

	ktstr_vm_config__defaults(config);
	config->topology = (struct ktstr_topology)TOPO(1, 1, 2, 1);
	config->memory_mb = MEMORY_MB;
	config->role = KTSTR_ROLE_TEST;
	config->argv = argv;
	config->progress = on_progress;
}

static void print_result(const struct ktstr_result *r)
{
	const struct ktstr_times *t = &r->times;

	print_ns("memory", t->memory_ns);
	print_ns("devices", t->devices_ns);
	print_ns("kernel", t->kernel_ns);
	print_ns("initramfs", t->initramfs_ns);
	print_ns("vcpus", t->vcpus_ns);
	print_ns("create_at", t->create_at_ns);
	print_ns("first_run_at", t->first_run_at_ns);
	print_ns("init_at", t->init_at_ns);
	print_ns("result_at", t->result_at_ns);
	print_ns("end_at", t->exit_at_ns);
	print_ns("total_exits", r->total_exits);
	for (size_t i = 0; i < r->nr_exits; i++)
		printf("exit_%s_%llx %llu\n", r->exits[i].reason,
		       (unsigned long long)(r->exits[i].port + r->exits[i].address),
		       (unsigned long long)r->exits[i].count);
	for (size_t i = 0; i < r->nr_nics; i++) {
		const struct ktstr_nic_counts *n = &r->nics[i];

		printf("nic%zu_tx_frames %llu\nnic%zu_tx_bytes %llu\n", i,
		       (unsigned long long)n->tx_frames, i, (unsigned long long)n->tx_bytes);
	}
}

/* @devices: of describe_devices(); empty: a machine without. */
static int cmd_run(char **devices)
{
	struct ktstr_error error = {0};
	struct ktstr_vm_config config;
	struct ktstr_result result;
	struct ktstr_vm *vm;
	unsigned long peak;
	struct rss rss;

	describe(&config);
	if (*devices && describe_devices(&config, devices))
		return 2;
	if (ktstr_vm__create(&config, &vm, &error) || ktstr_vm__run(vm, &result, &error))
		return fail_error(&error);
	if (result.verdict != KTSTR_VERDICT_PASS)
		return fail(ktstr_verdict__name(result.verdict), result.cause);
	print_result(&result);
	peak = read_peak_kb();
	/* Guest RAM only grows: what is resident at the end is its peak. */
	if (read_rss("/proc/self/smaps", &rss) && peak >= rss.guest_kb)
		printf("guest_rss_kb %lu\npeak_rss_kb %lu\n", rss.guest_kb, peak - rss.guest_kb);
	ktstr_vm__destroy(vm);
	return 0;
}

static int write_file(const char *path, const void *data, size_t length)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return fail(path, strerror(errno));
	if (fwrite(data, 1, length, f) != length || fclose(f))
		return fail(path, strerror(errno));
	return 0;
}

static int cmd_image(const char *path, char **devices)
{
	struct ktstr_error error = {0};
	struct ktstr_vm_config config;
	struct ktstr_vm *public_vm;
	struct boot_params params;
	struct kernel kernel;
	char cmdline[4096];
	const void *initramfs;
	struct vm *vm;
	int status;

	describe(&config);
	if (*devices && describe_devices(&config, devices))
		return 2;
	if (kernel__resolve(NULL, &kernel, &error) || ktstr_vm__create(&config, &public_vm, &error))
		return fail_error(&error);
	vm = (struct vm *)public_vm;
	if (gmem__read(&vm->mem, X86_BOOT_PARAMS_GPA, &params, sizeof(params)) ||
	    gmem__read(&vm->mem, params.hdr.cmd_line_ptr, cmdline, sizeof(cmdline)))
		return fail("guest memory", strerror(EFAULT));
	initramfs = gmem__ptr(&vm->mem, params.hdr.ramdisk_image, params.hdr.ramdisk_size);
	if (!initramfs)
		return fail("initramfs", strerror(EFAULT));
	status = write_file(path, initramfs, params.hdr.ramdisk_size);
	if (!status)
		printf("kernel %s\nrelease %s\ncmdline %s\n", kernel.image, kernel.release,
		       cmdline);
	ktstr_vm__destroy(public_vm);
	return status;
}

/* ---- start ---- */

/* What a machine that is ready to run tells. */
struct started {
	uint64_t exec_ns, ready_ns; /* CLOCK_MONOTONIC */
	struct ktstr_times times;
};

/* In a process of its own, like a test: tells @out, then holds the machine until it is killed. */
static int cmd_hold(const char *exec_ns, int out)
{
	struct started s = {.exec_ns = strtoull(exec_ns, NULL, 10)};
	struct ktstr_error error = {0};
	struct ktstr_vm_config config;
	struct ktstr_vm *vm;

	describe(&config);
	if (ktstr_vm__create(&config, &vm, &error))
		return fail_error(&error);
	s.ready_ns = vm__now_ns();
	s.times = ((struct vm *)vm)->times;
	if (write(out, &s, sizeof(s)) != (ssize_t)sizeof(s))
		return fail("write", strerror(errno));
	pause();
	return 0;
}

static pid_t start_holder(int out)
{
	char exec_ns[24], fd[12];
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(out, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "%d", out);
	snprintf(exec_ns, sizeof(exec_ns), "%llu", (unsigned long long)vm__now_ns());
	execl("/proc/self/exe", "bench-vm", "hold", exec_ns, fd, NULL);
	_exit(127);
}

/* "Pss:" of a process, in KiB; 0 when it cannot be read. */
static unsigned long read_pss_kb(pid_t pid)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %lu kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

#define MAX_STARTED 64

static int cmd_start(int n)
{
	unsigned long pss_kb = 0;
	pid_t pids[MAX_STARTED];
	struct started s;
	int fds[2], err = 0, nr = 0;

	if (n < 1 || n > MAX_STARTED)
		return fail("start", "not a number from 1 to 64");
	if (pipe2(fds, O_CLOEXEC))
		return fail("pipe", strerror(errno));
	/* One after the other: what is timed is not each other. */
	while (nr < n && !err) {
		pids[nr] = start_holder(fds[1]);
		if (pids[nr] < 0 || read(fds[0], &s, sizeof(s)) != (ssize_t)sizeof(s))
			err = fail("start", "a machine was not made");
		nr += pids[nr] >= 0;
	}
	for (int i = 0; i < nr; i++)
		pss_kb += read_pss_kb(pids[i]);
	for (int i = 0; i < nr; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	if (err)
		return err;
	printf("machines %d\npss_kb %lu\n", n, pss_kb);
	print_ns("exec_to_ready", s.ready_ns - s.exec_ns);
	print_ns("kernel", s.times.kernel_ns);
	print_ns("initramfs", s.times.initramfs_ns);
	return 0;
}

static int cmd_cold(const char *program)
{
	const struct ktstr_file file = {.host_path = program};
	char dir[] = "/var/tmp/ktstr-bench-XXXXXX", command[64];
	struct initramfs_spec spec = {.files = &file, .nr_files = 1, .cache_dir = dir};
	struct initramfs_image image = {0};
	struct ktstr_error error = {0};
	uint64_t start_ns, end_ns;
	int err;

	if (!mkdtemp(dir))
		return fail(dir, strerror(errno));
	start_ns = vm__now_ns();
	err = initramfs__base(&spec, &image, &error);
	end_ns = vm__now_ns();
	if (err) {
		fail_error(&error);
	} else {
		print_ns("cold", end_ns - start_ns);
		print_ns("bytes", image.size);
		start_ns = vm__now_ns();
		initramfs_image__close(&image);
		err = initramfs__base(&spec, &image, &error);
		print_ns("warm", vm__now_ns() - start_ns);
		printf("note %s\n", image.note[0] ? image.note : "none");
	}
	initramfs_image__close(&image);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || err ? 2 : 0;
}

/* ---- time ---- */

struct spoken {
	uint64_t at;
	struct rss rss;
	bool have_rss;
	long long counters[sizeof(kvm_counters) / sizeof(kvm_counters[0])]; /* -1: unknown */
};

/* Of all VMs of the host: nothing else may use KVM meanwhile. */
static void read_counters(struct spoken *s)
{
	for (size_t i = 0; i < sizeof(kvm_counters) / sizeof(kvm_counters[0]); i++) {
		char path[128];
		FILE *f;

		snprintf(path, sizeof(path), KVM_STATS "/%s", kvm_counters[i]);
		f = fopen(path, "re");
		if (!f || fscanf(f, "%lld", &s->counters[i]) != 1)
			s->counters[i] = -1;
		if (f)
			fclose(f);
	}
}

static void note_spoken(struct spoken *s, pid_t pid)
{
	char path[64];

	s->at = vm__now_ns();
	read_counters(s);
	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	s->have_rss = read_rss(path, &s->rss);
}

static pid_t start(char **argv, int out)
{
	pid_t pid = fork();
	int null;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A monitor that waits on its standard input must not find an end there. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

/* Reads until @pid ends; 0, or 2 when it has to be killed. */
static int follow(pid_t pid, int in, struct spoken *s, FILE *output)
{
	const uint64_t limit = vm__now_ns() + TIME_LIMIT_S * UINT64_C(1000000000);
	struct pollfd fds[2] = {{.fd = in, .events = POLLIN},
				{.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN}};
	char data[4096];

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		uint64_t now = vm__now_ns();
		ssize_t n;

		if (now >= limit || poll(fds, 2, (int)((limit - now) / 1000000) + 1) <= 0) {
			kill(pid, SIGKILL);
			return 2;
		}
		if (fds[1].fd >= 0 && fds[1].revents) {
			/* It has ended: what is in the pipe is all that comes. */
			close(fds[1].fd);
			fds[1].fd = -1;
			fcntl(in, F_SETFL, O_NONBLOCK);
			fds[0].revents = POLLIN;
		}
		if (fds[0].fd < 0 || !fds[0].revents)
			continue;
		n = read(in, data, sizeof(data));
		if (n <= 0) {
			fds[0].fd = -1;
			continue;
		}
		if (!s->at)
			note_spoken(s, pid);
		fwrite(data, 1, (size_t)n, output);
	}
	return 0;
}

static void print_spoken(const struct spoken *s)
{
	print_ns("spoke_at", s->at);
	if (s->have_rss)
		printf("rss_kb %lu\n", s->rss.other_kb);
	for (size_t i = 0; s->at && i < sizeof(kvm_counters) / sizeof(kvm_counters[0]); i++)
		if (s->counters[i] >= 0)
			printf("kvm_%s %lld\n", kvm_counters[i], s->counters[i]);
}

static int cmd_time(char **argv)
{
	struct spoken spoken = {0};
	char *output = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&output, &length);
	uint64_t start_ns;
	int pipe_fds[2], status, err;
	pid_t pid;

	if (!memory || pipe2(pipe_fds, O_CLOEXEC))
		return fail("pipe", strerror(errno));
	start_ns = vm__now_ns();
	pid = start(argv, pipe_fds[1]);
	if (pid < 0)
		return fail("fork", strerror(errno));
	close(pipe_fds[1]);
	err = follow(pid, pipe_fds[0], &spoken, memory);
	if (waitpid(pid, &status, 0) != pid || fclose(memory))
		return fail(argv[0], strerror(errno));
	print_ns("start_at", start_ns);
	print_ns("exit_at", vm__now_ns());
	printf("status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	print_spoken(&spoken);
	puts("output");
	fwrite(output, 1, length, stdout);
	free(output);
	return err;
}

/* ---- follow ---- */

static void print_counters(const char *line)
{
	const char *mark = strstr(line, "mark ");
	struct spoken now;
	char name[32];

	if (!mark || sscanf(mark, "mark %31s", name) != 1)
		return;
	read_counters(&now);
	for (size_t i = 0; i < sizeof(kvm_counters) / sizeof(kvm_counters[0]); i++)
		if (now.counters[i] >= 0)
			printf("count %s %s %lld\n", name, kvm_counters[i], now.counters[i]);
}

static int cmd_follow(char **argv)
{
	char *line = NULL;
	size_t size = 0;
	int fds[2], status;
	FILE *out;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return fail("pipe", strerror(errno));
	/* Ends this process, and so that one, which hangs. */
	alarm(TIME_LIMIT_S + 60);
	pid = start(argv, fds[1]);
	close(fds[1]);
	out = fdopen(fds[0], "re");
	if (pid < 0 || !out)
		return fail(argv[0], strerror(errno));
	while (getline(&line, &size, out) > 0) {
		fputs(line, stdout);
		print_counters(line);
		fflush(stdout);
	}
	free(line);
	fclose(out);
	if (waitpid(pid, &status, 0) != pid)
		return fail("wait", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

int main(int argc, char **argv)
{
	if (ktstr_guest__is_guest())
		return 0;
	if ((argc == 2 || argc >= 6) && !strcmp(argv[1], "run"))
		return cmd_run(argv + 2);
	if ((argc == 3 || argc >= 7) && !strcmp(argv[1], "image"))
		return cmd_image(argv[2], argv + 3);
	if (argc >= 3 && !strcmp(argv[1], "follow"))
		return cmd_follow(argv + 2);
	if (argc >= 3 && !strcmp(argv[1], "time"))
		return cmd_time(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "start"))
		return cmd_start(atoi(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return cmd_hold(argv[2], atoi(argv[3]));
	if (argc == 3 && !strcmp(argv[1], "cold"))
		return cmd_cold(argv[2]);
	return fail("usage", "bench-vm run [SCRIPT PART SECONDS DISK...] | "
			     "image FILE [SCRIPT PART SECONDS DISK...] | start N | cold PROGRAM | "
			     "time CMD... | follow CMD...");
}
