// SPDX-License-Identifier: GPL-2.0-only
/* Starts, watches and ends the workers of a scenario; see crew.h. */
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "procfs.h"
#include "sched_attr.h"

#define NS_PER_MS UINT64_C(1000000)
#define CALIBRATION_LOOPS 200000u
#define STACK_SIZE (256u << 10) /* of a worker that is a thread */

/* ---- Memory ---- */

/* Loops in a microsecond, at the best of several times: the others were interrupted. */
static double calibrate(void)
{
	uint64_t least_ns = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t start_ns = kit__now_ns(), ns;

		works__loop(CALIBRATION_LOOPS);
		ns = kit__now_ns() - start_ns;
		least_ns = ns && ns < least_ns ? ns : least_ns;
	}
	return CALIBRATION_LOOPS * 1e3 / (double)least_ns;
}

/* A worker may take a descriptor for itself and two for its work, as long as the crew is there. */
static void allow_files(struct crew *c)
{
	struct rlimit enough;

	getrlimit(RLIMIT_NOFILE, &c->files);
	enough = c->files;
	enough.rlim_cur += c->state->nr_workers * 3;
	if (enough.rlim_max < enough.rlim_cur)
		enough.rlim_max = enough.rlim_cur;
	if (!setrlimit(RLIMIT_NOFILE, &enough))
		return;
	enough.rlim_cur = enough.rlim_max = c->files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &enough);
}

int crew__create(struct crew *c, struct scenario_state *state)
{
	size_t sets_at = (sizeof(struct kit_shared) + 63) / 64 * 64;
	size_t workers_at = sets_at + state->nr_sets * sizeof(struct set_shared);
	uint8_t *memory;

	*c = (struct crew){.state = state,
			   .mapped = workers_at + state->nr_workers * sizeof(struct worker_shared)};
	c->workers = calloc(state->nr_workers + 1, sizeof(*c->workers));
	memory = mmap(NULL, c->mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!c->workers || memory == MAP_FAILED) {
		free(c->workers);
		if (memory != MAP_FAILED)
			munmap(memory, c->mapped);
		*c = (struct crew){.state = NULL};
		return -ENOMEM;
	}
	c->kit = (struct kit_shared *)(void *)memory;
	c->sets = (struct set_shared *)(void *)(memory + sets_at);
	c->shared = (struct worker_shared *)(void *)(memory + workers_at);
	for (uint32_t i = 0; i < state->nr_workers; i++) {
		c->workers[i].pidfd = -1;
		c->workers[i].idle.cpu = -1;
		c->shared[i].gap.cpu = c->shared[i].first_outside.cpu = -1;
	}
	allow_files(c);
	c->kit->loops_per_us = calibrate();
	c->kit->start_ns = c->looked_ns = kit__now_ns();
	return 0;
}

void crew__destroy(struct crew *c)
{
	if (!c->state)
		return;
	crew__stop_all(c);
	setrlimit(RLIMIT_NOFILE, &c->files);
	munmap(c->kit, c->mapped);
	free(c->workers);
	*c = (struct crew){.state = NULL};
}

/* ---- Starting ---- */

static const char *home_of(const struct crew *c, uint32_t set)
{
	int32_t cgroup = c->state->sets[set].cgroup;

	return cgroup < 0 ? CGROUP_DEFAULT : c->state->cgroups[cgroup].spec->name;
}

static struct ktstr_worker worker_of(const struct crew *c, uint32_t set, uint32_t index)
{
	const struct set_state *s = &c->state->sets[set];

	return (struct ktstr_worker){
		.spec = s->spec,
		.kit = c->kit,
		.set = &c->sets[set],
		.me = &c->shared[s->first + index],
		.all = &c->shared[s->first],
		.fds = c->own[set].fds,
		.index = index,
		.nr = s->nr,
	};
}

static void *thread_main(void *worker)
{
	worker__main(worker);
}

/* All workers of the set as threads of this process, which itself does nothing. */
static void __attribute__((noreturn)) lead(const struct crew *c, uint32_t set)
{
	uint32_t nr = c->state->sets[set].nr;
	struct ktstr_worker *workers = calloc(nr, sizeof(*workers));
	pthread_attr_t attr;
	pthread_t thread;
	int err = workers ? 0 : ENOMEM;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (uint32_t i = 0; !err && i < nr; i++) {
		workers[i] = worker_of(c, set, i);
		err = pthread_create(&thread, &attr, thread_main, &workers[i]);
	}
	if (err) {
		for (uint32_t i = 0; i < nr; i++)
			c->shared[c->state->sets[set].first + i].err = -err;
		_exit(1);
	}
	for (;;)
		pause();
}

/* In the new process */
static void __attribute__((noreturn))
be_worker(const struct crew *c, uint32_t set, uint32_t index, pid_t runner)
{
	struct ktstr_worker w = worker_of(c, set, index);
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runner)
		_exit(1);
	err = cgroup__enter(home_of(c, set), 0);
	if (err) {
		w.me->err = err;
		_exit(1);
	}
	if (w.spec->threads)
		lead(c, set);
	worker__main(&w);
}

/* How many processes a set is. */
static uint32_t nr_processes(const struct crew *c, uint32_t set)
{
	return c->state->sets[set].spec->threads ? 1 : c->state->sets[set].nr;
}

static int fork_workers(struct crew *c, uint32_t set)
{
	struct crew_worker *w = &c->workers[c->state->sets[set].first];
	pid_t runner = getpid();

	for (uint32_t i = 0; i < nr_processes(c, set); i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid)
			be_worker(c, set, i, runner);
		w[i].pid = pid;
		w[i].pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (w[i].pidfd < 0)
			return -errno;
	}
	return 0;
}

/* Of a worker's process: has it ended? Then how. */
static bool has_ended(struct crew_worker *w)
{
	siginfo_t info = {.si_pid = 0};

	if (!w->pid || w->has_ended)
		return w->has_ended;
	if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) || !info.si_pid)
		return false;
	w->has_ended = w->ended_by_itself = true;
	if (info.si_code == CLD_EXITED)
		w->exit_code = info.si_status;
	else
		w->exit_signal = info.si_status;
	return true;
}

/* Of worker @index in the set: the one that waitid() knows. */
static struct crew_worker *process_of(struct crew *c, uint32_t set, uint32_t index)
{
	return &c->workers[c->state->sets[set].first +
			   (c->state->sets[set].spec->threads ? 0 : index)];
}

/* Until worker @index is ready; a process that dies before wakes nobody, so it is looked for. */
static int wait_ready(struct crew *c, uint32_t set, uint32_t index, uint64_t end_ns, char *why)
{
	struct worker_shared *shared = &c->shared[c->state->sets[set].first + index];
	struct crew_worker *process = process_of(c, set, index);
	const char *name = c->state->sets[set].name;

	for (;;) {
		const struct timespec slice = {.tv_nsec = 50 * (long)NS_PER_MS};
		uint32_t state = atomic_load(&shared->state);
		bool ended = has_ended(process);

		if (state == KIT_WORKER_READY)
			return 0;
		if (state == KIT_WORKER_FAILED || ended) {
			int err = atomic_load(&shared->err);

			snprintf(why, 256, "worker %u of %s could not start: %s", index, name,
				 shared->why[0] ? shared->why : strerror(err ? -err : ECHILD));
			return err ? err : -ECHILD;
		}
		if (kit__now_ns() >= end_ns) {
			c->workers[c->state->sets[set].first + index].was_late = true;
			return 0;
		}
		syscall(SYS_futex, &shared->state, FUTEX_WAIT, state, &slice, NULL, 0);
	}
}

static int set_attributes(struct crew *c, uint32_t set)
{
	const struct ktstr_workers *spec = c->state->sets[set].spec;
	int err = 0;

	if (c->state->sets[set].has_cpus)
		err = crew__set_cpus(c, set, &c->state->sets[set].cpus);
	if (!err && spec->nice)
		err = crew__set_nice(c, set, spec->nice);
	if (!err && spec->policy)
		err = crew__set_policy(c, set, spec->policy, spec->priority);
	return err;
}

/* It may have been there before: what its work shared then is gone, and is no progress now. */
static void reset(struct crew *c, uint32_t set)
{
	const struct set_state *s = &c->state->sets[set];
	struct set_shared *shared = &c->sets[set];

	for (uint32_t i = 0; i < s->nr; i++) {
		struct crew_worker *w = &c->workers[s->first + i];
		struct worker_shared *me = &c->shared[s->first + i];

		w->has_ended = false;
		w->idle_ns = 0;
		w->seen_units = me->units;
		me->children_ns = me->stamp_ns = me->passed = 0;
		me->turn = 0;
		me->state = KIT_WORKER_NONE;
		me->tid = me->err = 0;
	}
	shared->go = shared->round = shared->done = 0;
	shared->next = shared->serving = shared->protected = shared->stamp_ns = 0;
}

int crew__start(struct crew *c, uint32_t set, char *why)
{
	const struct set_state *s = &c->state->sets[set];
	const struct work_ops *ops = works__ops(s->spec->work);
	struct crew_set *own = &c->own[set];
	uint64_t end_ns = kit__now_ns() + CREW_TIMEOUT_MS * NS_PER_MS;
	int err = 0;

	reset(c, set);
	own->nr_fds = ops->nr_fds ? ops->nr_fds(s->nr) : 0;
	if (own->nr_fds) {
		own->fds = calloc(own->nr_fds, sizeof(*own->fds));
		err = own->fds ? ops->open(own->fds, s->nr) : -ENOMEM;
		if (err) {
			free(own->fds);
			*own = (struct crew_set){.fds = NULL};
		}
	}
	err = err ? err : fork_workers(c, set);
	snprintf(why, 256, "workers %s could not start: %s", s->name, strerror(-err));
	for (uint32_t i = 0; !err && i < s->nr; i++)
		err = wait_ready(c, set, i, end_ns, why);
	if (!err) {
		err = set_attributes(c, set);
		snprintf(why, 256, "%s: CPUs, policy or nice value: %s", s->name, strerror(-err));
	}
	return err;
}

void crew__go(struct crew *c, uint32_t set)
{
	const struct set_state *s = &c->state->sets[set];

	for (uint32_t i = 0; i < s->nr; i++) {
		struct crew_worker *w = &c->workers[s->first + i];

		w->set_up_cpu_ns = w->set_up_delay_ns = 0;
		procfs__schedstat(c->shared[s->first + i].tid, &w->set_up_cpu_ns,
				  &w->set_up_delay_ns);
	}
	c->own[set].since_ns = kit__now_ns();
	atomic_store(&c->sets[set].go, 1);
	kit__futex_wake(&c->sets[set].go, INT32_MAX);
}

/* ---- Changing ---- */

int crew__move(struct crew *c, uint32_t set)
{
	const struct set_state *s = &c->state->sets[set];
	int err = 0;

	for (uint32_t i = 0; !err && i < nr_processes(c, set); i++)
		if (!has_ended(&c->workers[s->first + i]))
			err = cgroup__enter(home_of(c, set), c->workers[s->first + i].pid);
	return err;
}

/* Calls @change for each worker that is there. One that has just ended is no error. */
static int for_each(struct crew *c, uint32_t set, int (*change)(pid_t tid, const void *to),
		    const void *to)
{
	const struct set_state *s = &c->state->sets[set];

	for (uint32_t i = 0; i < s->nr; i++) {
		pid_t tid = atomic_load(&c->shared[s->first + i].tid);

		if (!tid || has_ended(process_of(c, set, i)) || !change(tid, to))
			continue;
		if (errno != ESRCH)
			return -errno;
	}
	return 0;
}

static int change_cpus(pid_t tid, const void *cpus)
{
	return (int)syscall(SYS_sched_setaffinity, tid, sizeof(struct cpu_bits), cpus);
}

int crew__set_cpus(struct crew *c, uint32_t set, const struct cpu_bits *cpus)
{
	return for_each(c, set, change_cpus, cpus);
}

/* Its nice value stays what it is. */
static int change_policy(pid_t tid, const void *to)
{
	struct kernel_sched_attr attr = *(const struct kernel_sched_attr *)to;

	errno = 0;
	attr.nice = getpriority(PRIO_PROCESS, (id_t)tid);
	return errno || sched_attr__set(tid, &attr) ? -1 : 0;
}

int crew__set_policy(struct crew *c, uint32_t set, int policy, int priority)
{
	const struct ktstr_workers *spec = c->state->sets[set].spec;
	struct kernel_sched_attr attr = {.policy = (uint32_t)policy};

	if (policy == SCHED_FIFO || policy == SCHED_RR)
		attr.priority = (uint32_t)(priority ? priority : 1);
	if (policy == SCHED_DEADLINE) {
		uint32_t period_us = worker__or(spec->deadline.period_us, 20000);

		attr.runtime = worker__or(spec->deadline.runtime_us, 1000) * UINT64_C(1000);
		attr.period = period_us * UINT64_C(1000);
		attr.deadline = worker__or(spec->deadline.deadline_us, period_us) * UINT64_C(1000);
	}
	return for_each(c, set, change_policy, &attr);
}

static int change_nice(pid_t tid, const void *nice)
{
	return setpriority(PRIO_PROCESS, (id_t)tid, *(const int *)nice);
}

int crew__set_nice(struct crew *c, uint32_t set, int nice)
{
	return for_each(c, set, change_nice, &nice);
}

void crew__begin_change(struct crew *c)
{
	atomic_fetch_add(&c->kit->epoch, 1);
}

void crew__end_change(struct crew *c, uint32_t step)
{
	for (uint32_t set = 0; set < c->state->nr_sets; set++)
		state__allowed(c->state, set, &c->sets[set].allowed);
	atomic_store(&c->kit->step, step);
	atomic_fetch_add(&c->kit->epoch, 1);
}

/* ---- Watching ---- */

static void look_at(struct crew *c, uint32_t index, uint64_t since_ns, uint64_t counts_ns)
{
	struct crew_worker *w = &c->workers[index];
	uint64_t units = c->shared[index].units;

	w->active_ns += since_ns;
	if (units != w->seen_units) {
		w->seen_units = units;
		w->idle_ns = 0;
	} else {
		w->idle_ns += counts_ns;
	}
	if (w->idle_ns <= w->longest_idle_ns)
		return;
	w->longest_idle_ns = w->idle_ns;
	w->idle = (struct ktstr_worker_event){.cpu = procfs__last_cpu(c->shared[index].tid),
					      .step = c->kit->step,
					      .at_ns = kit__now_ns() - c->kit->start_ns};
}

void crew__look(struct crew *c)
{
	const uint64_t most_ns = CREW_LOOK_MS * NS_PER_MS * 3 / 2;
	uint64_t now_ns = kit__now_ns();

	for (uint32_t set = 0; set < c->state->nr_sets; set++) {
		const struct set_state *s = &c->state->sets[set];
		uint64_t since_ns = now_ns - c->looked_ns, counts_ns;

		if (!state__is_active(c->state, set))
			continue;
		if (c->own[set].since_ns > c->looked_ns)
			since_ns = now_ns - c->own[set].since_ns;
		counts_ns = since_ns < most_ns ? since_ns : most_ns;
		for (uint32_t i = 0; i < s->nr; i++)
			if (c->shared[s->first + i].state != KIT_WORKER_FAILED &&
			    !has_ended(process_of(c, set, i)))
				look_at(c, s->first + i, since_ns, counts_ns);
	}
	c->looked_ns = now_ns;
}

/* ---- Ending ---- */

/* What procfs says of a worker that still lives. */
static void read_last(struct crew *c, uint32_t index)
{
	struct crew_worker *w = &c->workers[index];
	struct worker_shared *shared = &c->shared[index];
	uint64_t cpu_ns, delay_ns;
	int32_t cpu = procfs__last_cpu(shared->tid);

	if (!procfs__schedstat(shared->tid, &cpu_ns, &delay_ns)) {
		w->cpu_ns += cpu_ns - w->set_up_cpu_ns + shared->children_ns;
		w->delay_ns += delay_ns - w->set_up_delay_ns;
	}
	if (cpu >= 0 && cpu < (int32_t)KTSTR_MAX_CPUS)
		procfs__pages(shared->tid, c->state->machine->node_of[cpu], &w->pages,
			      &w->local_pages);
}

static void reap(struct crew_worker *w, uint64_t end_ns)
{
	struct pollfd pfd = {.fd = w->pidfd, .events = POLLIN};
	uint64_t now_ns = kit__now_ns();

	if (!w->pid)
		return;
	if (w->pidfd >= 0 &&
	    poll(&pfd, 1, now_ns < end_ns ? (int)((end_ns - now_ns) / NS_PER_MS) + 1 : 0) < 1)
		w->is_stuck = true;
	else
		waitpid(w->pid, NULL, 0);
	if (w->pidfd >= 0)
		close(w->pidfd);
	w->pid = 0;
	w->pidfd = -1;
}

static void read_set(struct crew *c, uint32_t set)
{
	const struct set_state *s = &c->state->sets[set];

	for (uint32_t i = 0; i < s->nr; i++)
		if (process_of(c, set, i)->pid && !has_ended(process_of(c, set, i)) &&
		    c->shared[s->first + i].tid)
			read_last(c, s->first + i);
}

static void kill_set(struct crew *c, uint32_t set)
{
	const struct set_state *s = &c->state->sets[set];

	for (uint32_t i = 0; i < s->nr; i++)
		if (c->workers[s->first + i].pid)
			kill(c->workers[s->first + i].pid, SIGKILL);
}

static void reap_set(struct crew *c, uint32_t set, uint64_t end_ns)
{
	const struct set_state *s = &c->state->sets[set];
	struct crew_set *own = &c->own[set];

	for (uint32_t i = 0; i < s->nr; i++)
		reap(&c->workers[s->first + i], end_ns);
	for (uint32_t i = 0; i < own->nr_fds; i++)
		close(own->fds[i]);
	free(own->fds);
	*own = (struct crew_set){.fds = NULL};
}

void crew__stop(struct crew *c, uint32_t set)
{
	read_set(c, set);
	kill_set(c, set);
	reap_set(c, set, kit__now_ns() + CREW_TIMEOUT_MS * NS_PER_MS);
}

void crew__stop_all(struct crew *c)
{
	uint64_t end_ns;

	for (uint32_t set = 0; set < c->state->nr_sets; set++)
		read_set(c, set);
	for (uint32_t set = 0; set < c->state->nr_sets; set++)
		kill_set(c, set);
	end_ns = kit__now_ns() + CREW_TIMEOUT_MS * NS_PER_MS;
	for (uint32_t set = 0; set < c->state->nr_sets; set++)
		reap_set(c, set, end_ns);
}

void crew__thaw(struct crew *c, uint32_t set)
{
	c->own[set].since_ns = kit__now_ns();
	atomic_store(&c->sets[set].thawed_ns, c->own[set].since_ns);
}

void crew__report(const struct crew *c, uint32_t set, uint32_t index, struct ktstr_worker_report *r)
{
	const struct set_state *s = &c->state->sets[set];
	const struct crew_worker *w = &c->workers[index];
	const struct crew_worker *process = &c->workers[s->spec->threads ? s->first : index];
	const struct worker_shared *shared = &c->shared[index];

	*r = (struct ktstr_worker_report){
		.workers = s->name,
		.index = index - s->first,
		.tid = shared->tid,
		.units = shared->units,
		.active_ns = w->active_ns,
		.cpu_ns = w->cpu_ns,
		.delay_ns = w->delay_ns,
		.migrations = shared->migrations,
		.wake = shared->wake,
		.longest_gap_ns = shared->longest_gap_ns,
		.gap = shared->gap,
		.outside = shared->outside,
		.first_outside = shared->first_outside,
		.longest_idle_ns = w->longest_idle_ns,
		.idle = w->idle,
		.deadlines = shared->deadlines,
		.missed = shared->missed,
		.lost = shared->lost,
		.pages = w->pages,
		.local_pages = w->local_pages,
		.exit_signal = process->exit_signal,
		.exit_code = process->exit_code,
		.is_stuck = process->is_stuck,
		.was_late = w->was_late,
	};
	memcpy(r->why, shared->why, sizeof(r->why));
	r->why[sizeof(r->why) - 1] = '\0';
	if (process->ended_by_itself && !r->lost && !r->exit_code && !r->exit_signal) {
		r->lost = 1;
		snprintf(r->why, sizeof(r->why), "it ended by itself");
	}
}
