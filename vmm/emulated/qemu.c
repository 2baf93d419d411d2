// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starts the QEMU of an emulated KVM host. Everything it needs is passed by file descriptors
 * without names (memfds, a socket pair, an unlinked disk image), so whatever way it ends, nothing
 * is left behind; and it dies with the process that started it.
 */
#include "../cache.h"
#include "../files.h"
#include "emulated.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRATCH_TEMPLATE "scratch-v1.btrfs"
#define SCRATCH_SIZE ((off_t)32 << 30)
#define EVIDENCE_BYTES 3000
#define MAX_ARGS 128
#define MAX_HOSTS_OF_CPU 64 /* that are told apart, for their even spread */

/* ---- scratch disk ---- */

static int run_mkfs(const char *path, struct ktstr_error *error)
{
	char *argv[] = {"mkfs.btrfs", "-q", "-f", "-m", "single", (char *)(uintptr_t)path, NULL};
	const char *old_path = getenv("PATH");
	char search[PATH_MAX];
	pid_t pid;
	int status, err;

	/* mkfs is in sbin, which a user's PATH need not have. */
	snprintf(search, sizeof(search), "PATH=%s:/usr/sbin:/sbin",
		 old_path ? old_path : "/usr/bin");
	char *env[] = {search, NULL};

	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		environ = env;
		execvp(argv[0], argv);
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		return ktstr_error__set(error, errno, "fork", argv[0], NULL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	err = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ENOENT : EIO;
	ktstr_error__set(error, err, "run", argv[0],
			 err == ENOENT ? "not installed" : "cannot make a file system in %s", path);
	if (err == ENOENT)
		ktstr_error__hint(error, "run scripts/setup");
	return -err;
}

/* An empty file system, made once: each emulated host gets a copy of the few MB in it. */
static int open_template(const char *path, struct ktstr_error *error)
{
	char temporary[PATH_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd >= 0)
		return fd;
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return ktstr_error__set(error, ENAMETOOLONG, "open", path, NULL);
	fd = files__make_parents(temporary) ? -1 : mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		err = ktstr_error__set(error, errno, "create", temporary, NULL);
		ktstr_error__hint(error, "set KTSTR_CACHE to a directory that you can write");
		return err;
	}
	if (ftruncate(fd, SCRATCH_SIZE))
		err = ktstr_error__set(error, errno, "ftruncate", temporary, NULL);
	if (!err)
		err = run_mkfs(temporary, error);
	if (!err && rename(temporary, path))
		err = ktstr_error__set(error, errno, "rename", path, NULL);
	if (err) {
		unlink(temporary);
		close(fd);
		return err;
	}
	return fd;
}

/* Copies what is not a hole. */
static int copy_sparse(int from, int to)
{
	off_t data = 0;

	if (ftruncate(to, SCRATCH_SIZE))
		return -errno;
	while ((data = lseek(from, data, SEEK_DATA)) >= 0) {
		off_t end = lseek(from, data, SEEK_HOLE), at = data;

		if (end < 0)
			return -errno;
		while (at < end) {
			char buf[65536];
			size_t want =
				(size_t)(end - at) < sizeof(buf) ? (size_t)(end - at) : sizeof(buf);
			ssize_t n = pread(from, buf, want, at);

			if (n <= 0)
				return n ? -errno : -EIO;
			if (pwrite(to, buf, (size_t)n, at) != n)
				return -errno;
			at += n;
		}
		data = end;
	}
	return errno == ENXIO ? 0 : -errno;
}

static int open_scratch(struct ktstr_error *error)
{
	char directory[PATH_MAX / 2], path[PATH_MAX];
	int template, fd, err = cache__dir(NULL, directory, sizeof(directory));

	if (err)
		return ktstr_error__set(error, -err, "create", "the cache directory", NULL);
	snprintf(path, sizeof(path), "%s/%s", directory, SCRATCH_TEMPLATE);
	template = open_template(path, error);
	if (template <0)
		return template;
	fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		err = ktstr_error__set(error, errno, "create a scratch disk", directory, NULL);
	else
		err = copy_sparse(template, fd);
	if (err)
		ktstr_error__set(error, -err, "fill the scratch disk", directory, NULL);
	close(template);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

/* ---- arguments ---- */

struct args {
	char *arg[MAX_ARGS + 1];
	size_t count;
	bool failed;
};

static void __attribute__((format(printf, 2, 3))) args__add(struct args *args, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (args->count == MAX_ARGS || vasprintf(&text, fmt, ap) < 0)
		args->failed = true;
	else
		args->arg[args->count++] = text;
	va_end(ap);
}

static void args__free(struct args *args)
{
	for (size_t i = 0; i < args->count; i++)
		free(args->arg[i]);
}

/* In a QEMU option's value a comma is doubled. */
static void double_commas(const char *from, char *to, size_t size)
{
	size_t at = 0;

	for (; *from && at + 2 < size; from++) {
		to[at++] = *from;
		if (*from == ',')
			to[at++] = ',';
	}
	to[at] = '\0';
}

struct passed_fds {
	int ctl, console, scratch, initrd;
	int cpu_claim; /* -1: none */
};

/* The same in each node: its packages, and its part of the memory. */
static void add_cpus(struct args *args, const struct ktstr_topology *topology, uint32_t memory_mb)
{
	uint32_t nodes = topology->numa_nodes;

	args__add(args, "-m");
	args__add(args, "%uM", nodes ? memory_mb / nodes * nodes : memory_mb);
	args__add(args, "-smp");
	if (!nodes) {
		args__add(args, "1");
		return;
	}
	args__add(args, "%u,sockets=%u,cores=%u,threads=%u", ktstr_topology__cpus(topology),
		  topology->llcs, topology->cores_per_llc, topology->threads_per_core);
	for (uint32_t i = 0; i < nodes; i++) {
		args__add(args, "-object");
		args__add(args, "memory-backend-ram,id=node%u,size=%uM", i, memory_mb / nodes);
		args__add(args, "-numa");
		args__add(args, "node,nodeid=%u,memdev=node%u", i, i);
	}
	for (uint32_t i = 0; i < topology->llcs; i++) {
		args__add(args, "-numa");
		args__add(args, "cpu,node-id=%u,socket-id=%u", i * nodes / topology->llcs, i);
	}
}

static void build_args(struct args *args, const struct emulated_image *image,
		       const struct emulated_options *options, const struct passed_fds *fds)
{
	char root[2 * PATH_MAX];
	const struct emulated_machine *machine = image->machine;

	args__add(args, "%s", machine->qemu);
	args__add(args, "-name");
	args__add(args, "ktstr-emulated-host");
	args__add(args, "-nodefaults");
	args__add(args, "-no-user-config");
	args__add(args, "-display");
	args__add(args, "none");
	args__add(args, "-no-reboot");
	for (size_t i = 0; machine->arguments[i]; i++)
		args__add(args, "%s", machine->arguments[i]);
	args__add(args, "-accel");
	args__add(args, "tcg,thread=multi");
	add_cpus(args, &options->topology, machine->memory_mb);
	args__add(args, "-kernel");
	args__add(args, "%s", image->kernel);
	args__add(args, "-initrd");
	args__add(args, "/proc/self/fd/%d", fds->initrd);
	args__add(args, "-append");
	/* This kernel is the tool, not what is tested: what only costs time is off. */
	args__add(args,
		  "console=%s quiet panic=-1 oops=panic mitigations=off audit=0 rdinit=/init "
		  "%s " EMULATED_INIT_ENV "=1",
		  machine->console, machine->cmdline);
	args__add(args, "-chardev");
	args__add(args, "file,id=console,path=/proc/self/fd/%d,append=on", fds->console);
	args__add(args, "-serial");
	args__add(args, "chardev:console");
	args__add(args, "-device");
	args__add(args, "virtio-serial-pci");
	args__add(args, "-chardev");
	args__add(args, "socket,id=ctl,fd=%d", fds->ctl);
	args__add(args, "-device");
	args__add(args, "virtserialport,chardev=ctl,name=" WIRE_PORT_NAME);
	args__add(args, "-blockdev");
	args__add(args,
		  "driver=file,node-name=scratch,filename=/proc/self/fd/%d,locking=off,"
		  "discard=unmap,cache.no-flush=on",
		  fds->scratch);
	args__add(args, "-device");
	args__add(args, "virtio-blk-pci,drive=scratch,serial=scratch");
	args__add(args, "-fsdev");
	double_commas(options->root ? options->root : "/", root, sizeof(root));
	args__add(args, "local,id=root,path=%s,security_model=none,readonly=on,multidevs=remap",
		  root);
	args__add(args, "-device");
	args__add(args, "virtio-9p-pci,fsdev=root,mount_tag=root");
	for (size_t i = 0; i < options->nr_writable; i++) {
		char path[2 * PATH_MAX];

		double_commas(options->writable[i], path, sizeof(path));
		args__add(args, "-fsdev");
		args__add(args, "local,id=w%zu,path=%s,security_model=none,multidevs=remap", i,
			  path);
		args__add(args, "-device");
		args__add(args, "virtio-9p-pci,fsdev=w%zu,mount_tag=w%zu", i, i);
	}
}

/* ---- the CPU ---- */

/*
 * Every thread of a QEMU stays on one CPU. Its TCG (7.2 here) enters a nested guest
 * that waits for an interrupt window by setting a bit in the CPU's word of pending interrupts with
 * one instruction, neither locked nor under QEMU's lock (helper_vmrun()); an interrupt that the
 * main loop raises from another CPU in that instant is lost. Seen: the timer's bit set in the local
 * APIC and none in that word, so the emulated host never ran again. Within one CPU the instruction
 * is atomic.
 *
 * Which one: of those that have the fewest emulated hosts on this machine the first. Each of them
 * holds an abstract socket's name (unix(7)) as its claim, which ends with the process. Returns
 * that, to be inherited by QEMU, or -1.
 */
static int claim_cpu(int *cpu)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cpu_set_t allowed;

	*cpu = sched_getcpu();
	if (fd < 0 || sched_getaffinity(0, sizeof(allowed), &allowed))
		goto fail;
	for (int turn = 0; turn < MAX_HOSTS_OF_CPU; turn++) {
		for (int i = 0; i < CPU_SETSIZE; i++) {
			struct sockaddr_un address = {.sun_family = AF_UNIX};
			int n;

			if (!CPU_ISSET((size_t)i, &allowed))
				continue;
			n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
				     "ktstr-emulated-host-cpu%d-%d", i, turn);
			if (bind(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					     (size_t)n)) == 0) {
				*cpu = i;
				return fd;
			}
			if (errno != EADDRINUSE)
				goto fail;
		}
	}
fail:
	if (fd >= 0)
		close(fd);
	return -1;
}

static void stay_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		dprintf(2, "cannot stay on one CPU: %s\n", strerror(errno));
}

/* ---- life ---- */

/*
 * A thread of QEMU that wakes does not take the CPU from the one that runs. That is the virtual
 * CPU, and a request that comes between its looks at interrupts and at requests is taken for one
 * without an interrupt, for which it delivers an interrupt twice (see hold.c). What remains are the
 * ends of its slices.
 */
static void let_it_finish(void)
{
	const struct sched_param param = {.sched_priority = 0};

	(void)sched_setscheduler(0, SCHED_BATCH, &param);
}

static void __attribute__((noreturn))
exec_qemu(struct args *args, const struct passed_fds *fds, int cpu, int log, pid_t owner)
{
	const int keep[] = {fds->ctl, fds->console, fds->scratch, fds->initrd, fds->cpu_claim};
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != owner)
		_exit(1);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		fcntl(keep[i], F_SETFD, 0);
	if (cpu >= 0) {
		stay_on_cpu(cpu);
		let_it_finish();
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(args->arg[0], args->arg);
	dprintf(2, "%s: %s\n", args->arg[0],
		errno == ENOENT ? "not installed; run scripts/setup" : strerror(errno));
	_exit(127);
}

int emulated_qemu__start(const struct emulated_image *image, const struct emulated_options *options,
			 struct emulated_qemu *qemu, struct ktstr_error *error)
{
	struct passed_fds fds = {
		.ctl = -1, .scratch = -1, .initrd = image->initrd, .cpu_claim = -1};
	int pair[2] = {-1, -1}, cpu = -1, err = 0;
	struct args args = {0};
	pid_t owner = getpid();

	*qemu = (struct emulated_qemu){.pid = -1, .pidfd = -1, .ctl = -1};
	qemu->console = memfd_create("ktstr-emulated-console", MFD_CLOEXEC);
	qemu->log = memfd_create("ktstr-emulated-log", MFD_CLOEXEC);
	if (qemu->console < 0 || qemu->log < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		err = ktstr_error__set(error, errno, "start", "emulated KVM host", NULL);
		goto fail;
	}
	qemu->ctl = pair[0];
	fcntl(qemu->ctl, F_SETFL, O_NONBLOCK);
	fds.ctl = pair[1];
	fds.console = qemu->console;
	fds.scratch = open_scratch(error);
	if (fds.scratch < 0) {
		err = fds.scratch;
		goto fail;
	}
	build_args(&args, image, options, &fds);
	if (args.failed) {
		err = ktstr_error__set(error, ENOMEM, "start", image->machine->qemu, NULL);
		goto fail;
	}
	if (image->machine->one_cpu)
		fds.cpu_claim = claim_cpu(&cpu);
	qemu->pid = fork();
	if (!qemu->pid)
		exec_qemu(&args, &fds, cpu, qemu->log, owner);
	if (qemu->pid > 0)
		qemu->pidfd = (int)syscall(SYS_pidfd_open, qemu->pid, 0);
	if (qemu->pid < 0 || qemu->pidfd < 0)
		err = ktstr_error__set(error, errno, "fork", image->machine->qemu, NULL);
fail:
	args__free(&args);
	if (fds.ctl >= 0)
		close(fds.ctl);
	if (fds.scratch >= 0)
		close(fds.scratch);
	if (fds.cpu_claim >= 0)
		close(fds.cpu_claim);
	if (err)
		emulated_qemu__stop(qemu);
	return err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void emulated_qemu__stop(struct emulated_qemu *qemu)
{
	if (qemu->pid > 0) {
		kill(qemu->pid, SIGKILL);
		while (waitpid(qemu->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	qemu->pid = -1;
	close_fd(&qemu->pidfd);
	close_fd(&qemu->ctl);
	close_fd(&qemu->console);
	close_fd(&qemu->log);
}

/* Appends the last whole lines of @fd, each behind "  | ". */
static void put_tail(FILE *out, const char *title, int fd)
{
	char buf[EVIDENCE_BYTES + 1], *line = buf, *save = NULL;
	off_t size = lseek(fd, 0, SEEK_END);
	off_t start = size > EVIDENCE_BYTES ? size - EVIDENCE_BYTES : 0;
	ssize_t n = size > 0 ? pread(fd, buf, EVIDENCE_BYTES, start) : 0;

	if (n <= 0)
		return;
	buf[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if ((unsigned char)buf[i] < ' ' && buf[i] != '\n')
			buf[i] = buf[i] == '\r' ? '\n' : '?';
	if (start)
		line = strchr(buf, '\n') ? strchr(buf, '\n') : buf;
	fprintf(out, "\n%s:", title);
	for (char *p = strtok_r(line, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
		fprintf(out, "\n  | %s", p);
}

char *emulated_qemu__evidence(const struct emulated_qemu *qemu, const char *cause)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	fprintf(out, "%s", cause);
	put_tail(out, "QEMU", qemu->log);
	put_tail(out, "console of the outer kernel", qemu->console);
	fclose(out);
	return text;
}
