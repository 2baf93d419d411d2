// SPDX-License-Identifier: GPL-2.0-only
/* Work that the kernel has a part in: files, processes, memory, and how it is scheduled itself. */
#include "works.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched_attr.h"

#define SPIN_RUN_US 100u
#define FORK_RUN_US 200u
#define REALTIME_RUN_US 1000u /* at most, as nobody else runs on that CPU then */
#define IO_ALIGNMENT 4096u
#define NR_NICE 40u
#define LEAST_NICE (-20)

static void spin(struct ktstr_worker *w)
{
	ktstr_worker__compute(w, worker__or(w->spec->run_us, SPIN_RUN_US));
}

/* ---- Files ---- */

struct io {
	int fd;	     /* of a file without a name */
	bool direct; /* written to the disk at once; otherwise fdatasync() waits for it */
	size_t size;
	uint64_t *written, *read; /* [size / 8] */
};

static int open_unnamed(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[256];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : -errno;
	if (snprintf(path, sizeof(path), "%s/ktstr-io-XXXXXX", directory) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int io_init(struct ktstr_worker *w)
{
	struct io *io = calloc(1, sizeof(*io));
	size_t aligned;

	w->data = io;
	if (!io)
		return -ENOMEM;
	io->size = worker__or(w->spec->size_kb, 16) * (size_t)1024;
	aligned = (io->size + IO_ALIGNMENT - 1) / IO_ALIGNMENT * IO_ALIGNMENT;
	io->written = aligned_alloc(IO_ALIGNMENT, aligned);
	io->read = aligned_alloc(IO_ALIGNMENT, aligned);
	if (!io->written || !io->read)
		return -ENOMEM;
	io->fd = open_unnamed(w->spec->path ? w->spec->path : "/tmp");
	if (io->fd < 0)
		return io->fd;
	io->direct = !fcntl(io->fd, F_SETFL, O_DIRECT);
	return 0;
}

static int write_all(const struct io *io)
{
	const uint8_t *data = (const uint8_t *)io->written;

	for (size_t at = 0; at < io->size;) {
		ssize_t n = pwrite(io->fd, data + at, io->size - at, (off_t)at);

		if (n > 0)
			at += (size_t)n;
		else if (!n || errno != EINTR)
			return n ? -errno : -EIO;
	}
	return 0;
}

/* Also where the disk's blocks are larger than this can be told: then not past the page cache. */
static int write_out(struct io *io)
{
	int err = write_all(io);

	if (err == -EINVAL && io->direct) {
		io->direct = false;
		err = fcntl(io->fd, F_SETFL, 0) ? -errno : write_all(io);
	}
	if (err || io->direct)
		return err;
	if (fdatasync(io->fd))
		return -errno;
	/* What is read is the disk's, if it can be. */
	posix_fadvise(io->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* Less than was written is what it is: it differs. */
static int read_back(const struct io *io)
{
	uint8_t *data = (uint8_t *)io->read;

	for (size_t at = 0; at < io->size;) {
		ssize_t n = pread(io->fd, data + at, io->size - at, (off_t)at);

		if (n > 0)
			at += (size_t)n;
		else if (!n)
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int io_unit(struct ktstr_worker *w)
{
	struct io *io = w->data;
	uint64_t word = worker__random(w), differ = 0;
	int err;

	for (size_t i = 0; i < io->size / sizeof(word); i++) {
		io->written[i] = word + i;
		io->read[i] = 0;
	}
	worker__before_wait(w);
	err = write_out(io);
	err = err ? err : read_back(io);
	worker__after_wait(w);
	for (size_t i = 0; !err && i < io->size / sizeof(word); i++)
		differ += io->read[i] != io->written[i];
	if (differ)
		worker__lost(w, "of %zu words that were written %ju were read otherwise",
			     io->size / sizeof(word), (uintmax_t)differ);
	return err;
}
const struct work_ops work_io = {.name = "io", .init = io_init, .unit = io_unit};

/* ---- Processes ---- */

/* It has to go with its parent, which may have been killed before it could say so. */
static void __attribute__((noreturn))
be_child(struct ktstr_worker *w, pid_t parent, uint32_t epoch, int code)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	w->last_cpu = -1;
	/* Whoever changes later what its parent may use does not know of it. */
	w->in_one_epoch = true;
	w->epoch = epoch;
	ktstr_worker__compute(w, worker__or(w->spec->run_us, FORK_RUN_US));
	_exit(code);
}

/* From fork() until it has been waited for, the child is who notes where it runs. */
static int fork_unit(struct ktstr_worker *w)
{
	int code = (int)(++w->number % 100), status;
	pid_t parent = getpid(), child, waited;
	uint32_t epoch = worker__epoch(w);
	struct rusage used;
	uint64_t us;

	worker__before_wait(w);
	child = fork();
	if (child < 0)
		return -errno;
	if (!child)
		be_child(w, parent, epoch, code);
	do
		waited = wait4(child, &status, 0, &used);
	while (waited < 0 && errno == EINTR);
	worker__after_wait(w);
	if (waited != child) {
		worker__lost(w, "its child %d was lost: errno %d", child, errno);
		return 0;
	}
	us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
	     (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
	atomic_fetch_add_explicit(&w->me->children_ns, us * 1000, memory_order_relaxed);
	if (WIFSIGNALED(status))
		worker__lost(w, "its child was ended by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != code)
		worker__lost(w, "its child ended with %d instead of %d", WEXITSTATUS(status), code);
	return 0;
}
const struct work_ops work_fork = {.name = "fork", .unit = fork_unit};

/* ---- Memory ---- */

/* One word of each page, each in another place. */
static volatile uint64_t *word_of(uint8_t *memory, size_t page, size_t page_size)
{
	return (volatile uint64_t *)(void *)(memory + page * page_size +
					     page * sizeof(uint64_t) % page_size);
}

static void touch(struct ktstr_worker *w, uint8_t *memory, size_t nr_pages, size_t page_size)
{
	uint64_t first = worker__random(w);
	size_t not_empty = 0, differ = 0;

	for (size_t i = 0; i < nr_pages; i++) {
		volatile uint64_t *word = word_of(memory, i, page_size);

		not_empty += *word != 0;
		*word = first + i;
		if (i % 64 == 63)
			worker__computed(w);
	}
	for (size_t i = 0; i < nr_pages; i++)
		differ += *word_of(memory, i, page_size) != first + i;
	if (not_empty)
		worker__lost(w, "%zu of %zu new pages were not empty", not_empty, nr_pages);
	else if (differ)
		worker__lost(w, "%zu of %zu pages lost what was written", differ, nr_pages);
}

static int fault_unit(struct ktstr_worker *w)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = worker__or(w->spec->size_kb, 256) * (size_t)1024;
	size_t nr_pages = (size + page_size - 1) / page_size;
	uint8_t *memory = mmap(NULL, nr_pages * page_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	/* Each page is to be a fault of its own. A kernel without huge pages refuses. */
	madvise(memory, nr_pages * page_size, MADV_NOHUGEPAGE);
	touch(w, memory, nr_pages, page_size);
	munmap(memory, nr_pages * page_size);
	worker__computed(w);
	return 0;
}
const struct work_ops work_fault = {.name = "fault", .unit = fault_unit};

/* ---- How it is scheduled ---- */

static bool is_realtime(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

/* sched_getattr(2) has no nice value for a task whose policy knows none. */
static int nice_unit(struct ktstr_worker *w)
{
	int wanted = (int)(w->number++ % NR_NICE) + LEAST_NICE, err;
	uint32_t epoch = worker__epoch(w);
	struct kernel_sched_attr attr;

	if (setpriority(PRIO_PROCESS, 0, wanted))
		return -errno;
	err = sched_attr__get(0, &attr);
	if (err)
		return err;
	if (attr.nice != wanted && !is_realtime(attr.policy) && attr.policy != SCHED_DEADLINE &&
	    worker__is_unchanged(w, epoch))
		worker__lost(w, "its nice value is %d, not %d as it was set", attr.nice, wanted);
	spin(w);
	return 0;
}
const struct work_ops work_nice = {.name = "nice", .unit = nice_unit};

/* The next of the CPUs that it may use after the one before; -1: none. */
static int32_t next_cpu(struct ktstr_worker *w, const struct cpu_bits *allowed)
{
	for (uint32_t i = 1; i <= KTSTR_MAX_CPUS; i++) {
		uint32_t cpu = (uint32_t)(w->number + i) % KTSTR_MAX_CPUS;

		if (cpu_bits__has(allowed, cpu))
			return (int32_t)cpu;
	}
	return -1;
}

static int bind_to(int32_t cpu)
{
	struct cpu_bits one = {.words = {0}};

	cpu_bits__add(&one, (uint32_t)cpu);
	return syscall(SYS_sched_setaffinity, 0, sizeof(one), &one) < 0 ? -errno : 0;
}

/*
 * If what it may use was changed while it bound itself, it does so again; while that is being
 * changed it stays as it is. A CPU that the kernel refuses (EINVAL) has just gone, or just come.
 */
static int bind_to_next(struct ktstr_worker *w)
{
	for (;;) {
		uint32_t epoch = worker__epoch(w);
		struct cpu_bits allowed = w->set->allowed;
		int32_t cpu = next_cpu(w, &allowed), seen;
		int err;

		if (epoch % 2 || cpu < 0)
			return 0;
		if (!worker__is_unchanged(w, epoch))
			continue;
		err = bind_to(cpu);
		seen = sched_getcpu();
		if (!worker__is_unchanged(w, epoch))
			continue;
		w->number = (uint32_t)cpu;
		if (err)
			return err == -EINVAL ? 0 : err;
		w->epoch = epoch;
		if (seen != cpu)
			worker__lost(w, "bound to CPU %d, it runs on CPU %d", cpu, seen);
		return 0;
	}
}

static int affinity_init(struct ktstr_worker *w)
{
	w->number = KTSTR_MAX_CPUS - 1;
	w->in_one_epoch = true;
	return 0;
}

static int affinity_unit(struct ktstr_worker *w)
{
	int err = bind_to_next(w);

	spin(w);
	return err;
}
const struct work_ops work_affinity = {
	.name = "affinity", .init = affinity_init, .unit = affinity_unit};

/*
 * 0, -errno, or 1: there is none here. SCHED_EXT is unknown to a kernel without sched_ext (EINVAL),
 * and a scheduler may refuse a task (EACCES).
 */
static int take_policy(struct ktstr_worker *w, uint32_t policy)
{
	struct kernel_sched_attr attr = {.policy = policy, .priority = is_realtime(policy)};
	uint32_t epoch = worker__epoch(w);
	int err;

	errno = 0;
	attr.nice = getpriority(PRIO_PROCESS, 0);
	if (errno)
		return -errno;
	err = sched_attr__set(0, &attr);
	if (policy == KIT_SCHED_EXT && (err == -EINVAL || err == -EACCES))
		return 1;
	err = err ? err : sched_attr__get(0, &attr);
	if (err)
		return err;
	if ((attr.policy != policy || attr.priority != is_realtime(policy)) &&
	    worker__is_unchanged(w, epoch))
		worker__lost(w, "its policy is %u, priority %u, not %u as it was set", attr.policy,
			     attr.priority, policy);
	return 0;
}

static int policy_unit(struct ktstr_worker *w)
{
	static const uint32_t policies[] = {SCHED_OTHER,   SCHED_BATCH, SCHED_IDLE,
					    KIT_SCHED_EXT, SCHED_FIFO,	SCHED_RR};
	uint32_t run_us = worker__or(w->spec->run_us, SPIN_RUN_US), policy;
	int ret;

	do {
		policy = policies[w->number++ % (sizeof(policies) / sizeof(policies[0]))];
		ret = take_policy(w, policy);
	} while (ret > 0);
	if (ret)
		return ret;
	if (is_realtime(policy) && run_us > REALTIME_RUN_US)
		run_us = REALTIME_RUN_US;
	ktstr_worker__compute(w, run_us);
	return 0;
}
const struct work_ops work_policy = {.name = "policy", .unit = policy_unit};
