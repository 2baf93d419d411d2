// SPDX-License-Identifier: GPL-2.0-only
/* Applies a placement to a machine, and tells what of it came true. */
#include "performance.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "placement.h"
#include "vm.h"

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

#define NODE_WORD (sizeof(unsigned long) * 8)

struct condition {
	const char *name;
	enum ktstr_condition_state state;
	char text[256], instead[128], remedy[192];
};

struct performance {
	const struct placement *plan; /* the caller's */
	bool realtime;		      /* as planned, until it is refused */

	struct condition *conditions;
	uint32_t nr_conditions;
	struct ktstr_performance public; /* made of the above */
	struct ktstr_condition *public_conditions;

	/* Of the caller's thread, while it is a service thread */
	bool entered, raised;
	struct host_set *caller_cpus;
	int caller_policy;
	struct sched_param caller_param;
};

/* ---- What came true ---- */

/* Without memory for it a condition is lost, but that it is not met is not. */
__attribute__((format(printf, 6, 7))) static void note(struct performance *p, const char *name,
						       enum ktstr_condition_state state,
						       const char *instead, const char *remedy,
						       const char *fmt, ...)
{
	struct condition *grown = reallocarray(p->conditions, p->nr_conditions + 1,
					       sizeof(*p->conditions)),
			 *c;
	va_list args;

	p->public.met = p->public.met && state != KTSTR_CONDITION_DOWNGRADED;
	if (!grown)
		return;
	p->conditions = grown;
	c = &p->conditions[p->nr_conditions++];
	c->name = name;
	c->state = state;
	snprintf(c->instead, sizeof(c->instead), "%s", instead);
	snprintf(c->remedy, sizeof(c->remedy), "%s", remedy);
	va_start(args, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, args);
	va_end(args);
}

static void met(struct performance *p, const char *name, const char *text)
{
	note(p, name, KTSTR_CONDITION_MET, "", "", "%s", text);
}

/* What the plan had, and the host refused when it was asked: no better than what was not planned.
 */
static enum ktstr_condition_state refused(const struct performance *p)
{
	return p->public.mode == PERFORMANCE_REQUIRED ? KTSTR_CONDITION_WARNING
						      : KTSTR_CONDITION_DOWNGRADED;
}

static void note_findings(struct performance *p)
{
	for (uint32_t i = 0; i < p->plan->nr_findings; i++) {
		const struct placement_finding *f = &p->plan->findings[i];

		note(p, placement__kind_name(f->kind),
		     f->severity == PLACEMENT_WARNING ? KTSTR_CONDITION_WARNING
						      : KTSTR_CONDITION_DOWNGRADED,
		     f->instead, f->remedy, "%s", f->what);
	}
}

const struct ktstr_performance *performance__public(struct performance *p)
{
	if (!p)
		return NULL;
	free(p->public_conditions);
	p->public_conditions = calloc(p->nr_conditions, sizeof(*p->public_conditions));
	p->public.conditions = p->public_conditions;
	p->public.nr_conditions = p->public_conditions ? p->nr_conditions : 0;
	for (uint32_t i = 0; i < p->public.nr_conditions; i++)
		p->public_conditions[i] = (struct ktstr_condition){
			.name = p->conditions[i].name,
			.state = p->conditions[i].state,
			.text = p->conditions[i].text,
			.instead = p->conditions[i].instead,
			.remedy = p->conditions[i].remedy,
		};
	return &p->public;
}

const char *performance__disturbed(const struct performance *p)
{
	return !p || p->public.met ? NULL : "performance mode was had in part only";
}

static const char *const mode_names[] = {
	[PERFORMANCE_OFF] = "off",
	[PERFORMANCE_REQUIRED] = "required",
	[PERFORMANCE_BEST_EFFORT] = "best-effort",
};

const char *performance__mode_name(enum ktstr_performance_mode mode)
{
	return mode_names[mode];
}

bool performance__parse(const char *text, enum ktstr_performance_mode *mode)
{
	*mode = !strcmp(text, mode_names[PERFORMANCE_BEST_EFFORT]) ? PERFORMANCE_BEST_EFFORT
								   : PERFORMANCE_REQUIRED;
	return *mode == PERFORMANCE_BEST_EFFORT || !*text ||
	       !strcmp(text, mode_names[PERFORMANCE_REQUIRED]);
}

const char *ktstr_condition_state__name(enum ktstr_condition_state state)
{
	static const char *const names[] = {
		[KTSTR_CONDITION_MET] = "met",
		[KTSTR_CONDITION_DOWNGRADED] = "downgraded",
		[KTSTR_CONDITION_WARNING] = "warning",
	};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

void performance__describe(const struct ktstr_condition *c, char *buf, size_t size)
{
	bool instead = c->instead[0], remedy = c->remedy[0];

	snprintf(buf, size, "%s: %s%s%s%s%s%s", c->name, c->text, instead ? "; " : "", c->instead,
		 remedy ? " (" : "", c->remedy, remedy ? ")" : "");
}

/* ---- The plan ---- */

int performance__plan(const struct ktstr_vm_config *config, const struct host_topology *host,
		      struct placement *plan, struct ktstr_error *error)
{
	enum placement_mode mode = config->performance_mode == PERFORMANCE_REQUIRED
					   ? PLACEMENT_REQUIRED
					   : PLACEMENT_BEST_EFFORT;
	struct host_conditions conditions = {.known = 0};
	struct layout machine = {.nr_cpus = 0};
	struct gmem mem;
	uint32_t memory_mb;
	int err = ktstr_topology__validate(&config->topology, error);

	*plan = (struct placement){.service_cpu = PLACEMENT_ANY};
	if (!err)
		err = ktstr_topology__memory_mb(&config->topology, config->memory_mb, &memory_mb,
						error);
	if (!err)
		err = arch__this->layout_memory(&mem, (uint64_t)memory_mb << 20, error);
	if (!err)
		err = layout__create(&config->topology, &mem, &machine, error);
	if (!err)
		err = host_conditions__read(&conditions, "/sys", "/proc", host, error);
	if (!err)
		err = placement__plan(plan, host, &conditions, &machine, mode, error);
	host_conditions__free(&conditions);
	layout__destroy(&machine);
	return err;
}

int performance__create(enum ktstr_performance_mode mode, const struct placement *plan,
			struct performance **out, struct ktstr_error *error)
{
	struct performance *p = calloc(1, sizeof(*p));
	int err;

	*out = p;
	if (!p)
		return ktstr_error__set(error, ENOMEM, "allocate", "performance mode", NULL);
	p->plan = plan;
	p->realtime = plan->realtime;
	p->public.mode = mode;
	p->public.met = true;
	note_findings(p);
	p->caller_cpus = calloc(1, sizeof(*p->caller_cpus));
	if (!p->caller_cpus)
		return ktstr_error__set(error, ENOMEM, "allocate", "set of CPUs", NULL);
	/* What is refused is known before the guest is told whether its host is a quiet one. */
	err = performance__enter(p, error);
	if (!err)
		performance__raise(p);
	performance__leave(p);
	return err;
}

void performance__destroy(struct performance *p)
{
	if (!p)
		return;
	performance__leave(p);
	free(p->conditions);
	free(p->public_conditions);
	free(p->caller_cpus);
	free(p);
}

/* ---- Memory ---- */

/* How a node's RAM came to be. */
struct backing {
	uint64_t huge, small; /* bytes */
	int bind_error, huge_error;
};

static int bind_to(void *start, uint64_t size, uint32_t node)
{
	unsigned long mask[HOST_MAX_NODES / NODE_WORD] = {0};

	if (node == PLACEMENT_ANY || !size)
		return 0;
	if (node >= HOST_MAX_NODES)
		return -ERANGE;
	mask[node / NODE_WORD] = 1ul << node % NODE_WORD;
	/* The kernel does not count the last bit. */
	return syscall(SYS_mbind, start, size, MPOL_BIND, mask, HOST_MAX_NODES + 1, 0) ? -errno : 0;
}

/* Where it fails, the range is as it was. */
static int map_huge(uint8_t *start, uint64_t size, uint32_t node)
{
	const int prot = PROT_READ | PROT_WRITE,
		  flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
	int err = 0;

	if (!size)
		return 0;
	/* Not MAP_NORESERVE: what the pool cannot give is known here, and not by SIGBUS later. */
	if (mmap(start, size, prot, (flags & ~MAP_NORESERVE) | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0) ==
	    MAP_FAILED)
		err = -errno;
	if (!err)
		err = bind_to(start, size, node);
	/* The pool is counted for the whole host, so a node may have less: found by taking it. */
	if (!err && madvise(start, size, MADV_POPULATE_WRITE))
		err = -errno;
	if (err && mmap(start, size, prot, flags, -1, 0) == MAP_FAILED)
		return -ENOTRECOVERABLE;
	if (err)
		(void)madvise(start, size, MADV_HUGEPAGE);
	return err;
}

static int populate(uint8_t *start, uint64_t size)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (!size || !madvise(start, size, MADV_POPULATE_WRITE))
		return 0;
	if (errno != EINVAL)
		return -errno;
	for (uint64_t at = 0; at < size; at += page)
		*(volatile uint8_t *)(start + at) = 0;
	return 0;
}

/* A piece of RAM: whole hugepages in its middle, and small pages at its ends. */
static int back_piece(uint8_t *start, uint64_t size, const struct placement_node *node,
		      struct backing *b)
{
	uint64_t head = -(uintptr_t)start % PLACEMENT_HUGEPAGE, huge;
	int err;

	if (head > size)
		head = size;
	huge = node->hugepages ? (size - head) / PLACEMENT_HUGEPAGE * PLACEMENT_HUGEPAGE : 0;
	if (huge) {
		err = map_huge(start + head, huge, node->host_node);
		if (err == -ENOTRECOVERABLE)
			return -ENOMEM;
		if (err) {
			b->huge_error = err;
			huge = 0;
		}
	}
	if (!huge)
		head = size;
	err = bind_to(start, head, node->host_node);
	if (!err)
		err = bind_to(start + head + huge, size - head - huge, node->host_node);
	if (err)
		b->bind_error = err;
	b->huge += huge;
	b->small += size - huge;
	err = populate(start, head);
	return err ? err : populate(start + head + huge, size - head - huge);
}

static void note_memory(struct performance *p, uint32_t i, const struct backing *b)
{
	const struct placement_node *node = &p->plan->nodes[i];
	char where[48] = "", text[160];

	if (b->huge_error)
		note(p, "hugepages", refused(p), "it is in small pages",
		     "keep hugepages for it: /sys/devices/system/node/node*/hugepages",
		     "RAM of node %u in hugepages: %s", i, strerror(-b->huge_error));
	if (b->bind_error)
		note(p, "node-memory", refused(p), "it is where the host puts it",
		     "allow mbind(2), and the node's memory (cpuset.mems)",
		     "RAM of node %u on host node %u: %s", i, node->host_node,
		     strerror(-b->bind_error));
	else if (node->host_node != PLACEMENT_ANY)
		snprintf(where, sizeof(where), ", bound to host node %u", node->host_node);
	snprintf(text, sizeof(text),
		 "node %u: %" PRIu64 " MiB present%s, %" PRIu64 " hugepages and %" PRIu64
		 " KiB in small pages",
		 i, (b->huge + b->small) >> 20, where, b->huge / PLACEMENT_HUGEPAGE,
		 b->small >> 10);
	met(p, "memory", text);
}

int performance__back_memory(struct vm *vm, struct ktstr_error *error)
{
	struct performance *p = vm->performance;

	if (!p)
		return 0;
	for (uint32_t i = 0; i < p->plan->nr_nodes; i++) {
		struct backing b = {.huge = 0};

		for (uint32_t m = 0; m < vm->layout.nr_memory; m++) {
			const struct layout_memory *piece = &vm->layout.memory[m];
			int err;

			if (piece->node != i)
				continue;
			err = back_piece(gmem__ptr(&vm->mem, piece->gpa, piece->size), piece->size,
					 &p->plan->nodes[i], &b);
			if (err) {
				err = ktstr_error__set(error, -err, "pre-fault", "guest memory",
						       NULL);
				ktstr_error__hint(error, "ask for less memory, or free some on the "
							 "host");
				return err;
			}
		}
		note_memory(p, i, &b);
	}
	return 0;
}

/* ---- Threads ---- */

static bool is_pinned(const struct performance *p)
{
	return p->plan->vcpus[0] != PLACEMENT_ANY;
}

void performance__dedicate_cpus(struct vm *vm)
{
	struct performance *p = vm->performance;
	char done[160] = "";
	const char *why, *remedy;

	if (!p || !vm->arch->dedicate_cpus)
		return;
	/* A CPU that other threads need, too, must be left when the guest has nothing to do. */
	if (!is_pinned(p)) {
		why = "vCPUs share the host's CPUs";
		remedy = "give each vCPU a CPU of its own";
	} else if (p->plan->service_cpu == PLACEMENT_ANY) {
		why = "service threads share the CPUs of vCPUs";
		remedy = "give the process one CPU more";
	} else {
		vm->arch->dedicate_cpus(vm, done, sizeof(done));
		why = "KVM does not keep idle CPUs in the guest";
		remedy = "use a newer kernel";
	}
	if (done[0])
		met(p, "exits", done);
	else
		note(p, "exits", refused(p), "an idle guest CPU leaves the guest", remedy, "%s",
		     why);
}

static int set_affinity(pthread_attr_t *attr, const struct host_set *set)
{
	const cpu_set_t *cpus = (const cpu_set_t *)set->words;

	if (attr)
		return -pthread_attr_setaffinity_np(attr, sizeof(set->words), cpus);
	return sched_setaffinity(0, sizeof(set->words), cpus) ? -errno : 0;
}

static int set_cpu(pthread_attr_t *attr, uint32_t cpu)
{
	struct host_set set = {{0}};

	host_set__add(&set, cpu);
	return set_affinity(attr, &set);
}

int performance__enter(struct performance *p, struct ktstr_error *error)
{
	int err;

	if (!p || p->plan->service_cpu == PLACEMENT_ANY)
		return 0;
	err = host_set__allowed(p->caller_cpus);
	if (!err)
		err = set_cpu(NULL, p->plan->service_cpu);
	if (err && p->public.mode == PERFORMANCE_REQUIRED)
		return ktstr_error__set(error, -err, "sched_setaffinity", "service threads", NULL);
	if (err) {
		note(p, "service", KTSTR_CONDITION_DOWNGRADED, "they run where they may",
		     "allow sched_setaffinity(2)", "service threads on CPU %u: %s",
		     p->plan->service_cpu, strerror(-err));
		return 0;
	}
	p->entered = true;
	return 0;
}

void performance__raise(struct performance *p)
{
	const struct sched_param param = {.sched_priority = PLACEMENT_WATCHDOG_PRIORITY};
	int err;

	if (!p || !p->realtime)
		return;
	p->caller_policy = sched_getscheduler(0);
	err = p->caller_policy < 0 || sched_getparam(0, &p->caller_param) ||
			      sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param)
		      ? -errno
		      : 0;
	p->raised = !err;
	if (!err)
		return;
	p->realtime = false;
	note(p, "rt-rights", refused(p), "no thread is real-time",
	     "allow it: CAP_SYS_NICE, or ulimit -r 2, and a cgroup with cpu.rt_runtime_us",
	     "SCHED_FIFO %u: %s", PLACEMENT_WATCHDOG_PRIORITY, strerror(-err));
}

void performance__leave(struct performance *p)
{
	if (!p)
		return;
	if (p->raised)
		(void)sched_setscheduler(0, p->caller_policy, &p->caller_param);
	if (p->entered)
		(void)set_affinity(NULL, p->caller_cpus);
	p->raised = p->entered = false;
}

static int set_priority(const struct performance *p, int priority, pthread_attr_t *attr)
{
	const struct sched_param param = {.sched_priority = p->realtime ? priority : 0};
	int err = -pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);

	if (!err)
		err = -pthread_attr_setschedpolicy(attr, p->realtime ? SCHED_FIFO : SCHED_OTHER);
	if (!err)
		err = -pthread_attr_setschedparam(attr, &param);
	return err;
}

int performance__loop_attr(const struct performance *p, pthread_attr_t *attr)
{
	return p ? set_priority(p, PLACEMENT_WATCHDOG_PRIORITY, attr) : 0;
}

int performance__vcpu_attr(const struct performance *p, uint32_t index, pthread_attr_t *attr)
{
	int err = 0;

	if (!p)
		return 0;
	if (is_pinned(p))
		err = set_cpu(attr, p->plan->vcpus[index]);
	else if (p->entered) /* not where the caller is now */
		err = set_affinity(attr, p->caller_cpus);
	return err ? err : set_priority(p, PLACEMENT_VCPU_PRIORITY, attr);
}

void performance__vcpus_started(struct performance *p)
{
	size_t length;
	char *text;
	FILE *f;

	if (!p)
		return;
	if (p->entered) {
		char service[64];

		snprintf(service, sizeof(service), "service threads are on CPU %u",
			 p->plan->service_cpu);
		met(p, "service", service);
	}
	if (p->realtime) {
		char priorities[96];

		snprintf(priorities, sizeof(priorities),
			 "vCPU threads are SCHED_FIFO %u, the watchdog is SCHED_FIFO %u",
			 PLACEMENT_VCPU_PRIORITY, PLACEMENT_WATCHDOG_PRIORITY);
		met(p, "realtime", priorities);
	}
	if (!is_pinned(p))
		return;
	f = open_memstream(&text, &length);
	if (!f)
		return;
	fputs(p->plan->nr_vcpus == 1 ? "the vCPU thread is on CPU " : "vCPU threads are on CPUs ",
	      f);
	placement__write_cpus(p->plan->vcpus, p->plan->nr_vcpus, f);
	if (!fclose(f))
		met(p, "vcpus", text);
	free(text);
}
