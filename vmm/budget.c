// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's budget of vCPUs and memory: how a share of it is taken, held and given back.
 *
 * A new set of semaphores is all zeros, and that is a valid state: nobody is at the turnstile, and
 * nothing is set up yet. Each step from one state to the next is one semop(), so that a process can
 * be killed between any two of them. Who wants a share goes through the turnstile first, and keeps
 * it while it waits for its share: the kernel serves the turnstile in the order of arrival, so
 * nobody is overtaken.
 */
#include "budget.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

enum {
	TURNSTILE, /* 1: somebody is in it */
	VCPUS,	   /* WHOLE - those that are taken */
	MEMORY,	   /* likewise, units */
	AVAILABLE, /* 80% of the memory available without machines, units; 0: not set up yet */
	NR_SEMAPHORES
};

/* The largest value of a semaphore (SEMVMX of linux/sem.h) */
#define WHOLE 32767

/* What the holder tells its parent. */
struct news {
	enum { NEWS_WAITS, NEWS_TAKEN, NEWS_NO_BUDGET } kind;
	int err;	  /* NEWS_NO_BUDGET */
	int vcpus, units; /* NEWS_WAITS: that are taken */
	int available;	  /* units, of the semaphore */
};

struct taker {
	int id;		  /* of the set */
	int vcpus, units; /* wanted, then held */
	int limit_vcpus, limit_units;
	int news_fd;
	bool waits; /* which was told */
};

/* ---- limits ---- */

static int read_variable(const char *name, uint32_t *value, struct ktstr_error *error)
{
	const char *text = getenv(name);
	unsigned long n;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text < '0' || *text > '9' || !n || n > INT32_MAX) {
		ktstr_error__set(error, EINVAL, NULL, name, "'%s' is not a number above 0", text);
		ktstr_error__hint(error, "correct it, or unset it for the host's own");
		return -EINVAL;
	}
	*value = (uint32_t)n;
	return 0;
}

int budget__limits(struct budget_limits *limits, struct ktstr_error *error)
{
	/* All of the machine's: sched_setaffinity() does not change it. */
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	int err;

	*limits = (struct budget_limits){.vcpus = online > 0 ? (uint32_t)online : 1};
	err = read_variable(BUDGET_VCPUS_VARIABLE, &limits->vcpus, error);
	return err ? err : read_variable(BUDGET_MEMORY_VARIABLE, &limits->memory_mb, error);
}

bool budget_request__size(struct budget_request *request, const struct ktstr_topology *topology,
			  uint32_t memory_mb)
{
	if (ktstr_topology__validate(topology, NULL) ||
	    ktstr_topology__memory_mb(topology, memory_mb, &request->memory_mb, NULL))
		return false;
	request->vcpus = ktstr_topology__cpus(topology);
	return true;
}

/* 1 to WHOLE */
static int clamp(uint64_t n)
{
	return n < 1 ? 1 : n > WHOLE ? WHOLE : (int)n;
}

/* Now, in units; without /proc, memory is no limit. In a forked child: no stdio, no malloc. */
static int available_units(void)
{
	static const char key[] = "MemAvailable:";
	char text[512];
	const char *at;
	ssize_t length;
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return WHOLE;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length < 0 ? 0 : length] = '\0';
	at = strstr(text, key);
	return at ? clamp(strtoull(at + sizeof(key) - 1, NULL, 10) / 1024 * 8 / 10 / BUDGET_UNIT_MB)
		  : WHOLE;
}

/* ---- the holder ---- */

static struct sembuf op(unsigned short semaphore, int n, int flags)
{
	return (struct sembuf){semaphore, (short)n, (short)flags};
}

static int open_set(key_t key)
{
	for (;;) {
		int id = semget(key, NR_SEMAPHORES, 0666);

		if (id >= 0 || errno != ENOENT)
			return id;
		id = semget(key, NR_SEMAPHORES, IPC_CREAT | IPC_EXCL | 0666);
		if (id >= 0 || errno != EEXIST)
			return id;
	}
}

static void tell(const struct taker *h, struct news news)
{
	unsigned short values[NR_SEMAPHORES];

	/* Before it is set up, nothing is taken. */
	if (news.kind == NEWS_WAITS && semctl(h->id, 0, GETALL, values) >= 0 && values[AVAILABLE]) {
		news.vcpus = WHOLE - values[VCPUS];
		news.units = WHOLE - values[MEMORY];
		news.available = values[AVAILABLE];
	}
	/* Its parent may be gone: then it is killed. */
	if (write(h->news_fd, &news, sizeof(news)) < 0)
		return;
}

/* semop(), which tells when it has to wait. 0 or -errno. */
static int operate(struct taker *h, struct sembuf *ops, size_t n)
{
	int flags = ops[0].sem_flg, err;

	for (size_t i = 0; i < n; i++)
		ops[i].sem_flg |= (short)IPC_NOWAIT;
	do {
		err = semop(h->id, ops, n) ? -errno : 0;
		if (err == -EAGAIN && !(flags & IPC_NOWAIT)) {
			if (!h->waits)
				tell(h, (struct news){.kind = NEWS_WAITS});
			h->waits = true;
			for (size_t i = 0; i < n; i++)
				ops[i].sem_flg &= (short)~IPC_NOWAIT;
			err = semop(h->id, ops, n) ? -errno : 0;
		}
	} while (err == -EINTR);
	return err;
}

/* Waits behind those that came before. @flags: IPC_NOWAIT for -EAGAIN instead. */
static int enter_turnstile(struct taker *h, int flags)
{
	struct sembuf ops[] = {op(TURNSTILE, 0, flags), op(TURNSTILE, 1, flags | SEM_UNDO)};

	return operate(h, ops, 2);
}

static int leave_turnstile(struct taker *h)
{
	struct sembuf ops[] = {op(TURNSTILE, -1, SEM_UNDO)};

	return operate(h, ops, 1);
}

/* What there is, by who is in the turnstile: from there on nobody takes more. */
static int set_up(struct taker *h)
{
	unsigned short values[NR_SEMAPHORES];
	int available;

	if (semctl(h->id, 0, GETALL, values) < 0)
		return -errno;
	if (!values[AVAILABLE]) {
		struct sembuf ops[] = {op(VCPUS, WHOLE, 0), op(MEMORY, WHOLE, 0),
				       op(AVAILABLE, available_units(), 0)};

		return operate(h, ops, 3);
	}
	/* While machines run, it cannot be told what would be there without them. */
	available = available_units();
	if (values[VCPUS] == WHOLE && values[MEMORY] == WHOLE && available != values[AVAILABLE]) {
		struct sembuf ops[] = {op(AVAILABLE, available - values[AVAILABLE], 0)};

		return operate(h, ops, 1);
	}
	return 0;
}

/*
 * Of semaphore @semaphore, takes @n when then no more than @limit are taken, or, where @n is more
 * than that, when none is. The first two look at the value and leave it as it is.
 */
static void plan(struct sembuf ops[3], unsigned short semaphore, int n, int limit)
{
	int must_be_free = WHOLE - (limit > n ? limit - n : 0);

	ops[0] = op(semaphore, -must_be_free, 0);
	ops[1] = op(semaphore, must_be_free, 0);
	ops[2] = op(semaphore, -n, SEM_UNDO);
}

/* Waits for the share and leaves the turnstile with it. */
static int take_share(struct taker *h)
{
	int limit_units = h->limit_units;
	struct sembuf ops[7];

	if (!limit_units)
		limit_units = semctl(h->id, AVAILABLE, GETVAL);
	if (limit_units < 0)
		return -errno;
	plan(ops, VCPUS, h->vcpus, h->limit_vcpus);
	plan(ops + 3, MEMORY, h->units, limit_units);
	ops[6] = op(TURNSTILE, -1, SEM_UNDO);
	return operate(h, ops, 7);
}

static int take(struct taker *h, key_t key)
{
	int err;

	do {
		h->id = open_set(key);
		if (h->id < 0)
			return -errno;
		err = enter_turnstile(h, 0);
		if (!err)
			err = set_up(h);
		if (!err)
			err = take_share(h);
		/* Removed in between, by the last one before us: there is a new one, or none. */
	} while (err == -EIDRM || err == -EINVAL);
	return err;
}

/* Takes the set away when nobody has or wants anything. */
static void tidy(struct taker *h)
{
	unsigned short values[NR_SEMAPHORES];

	if (enter_turnstile(h, IPC_NOWAIT))
		return;
	/* Who has found the set, but has not come in yet, starts again. */
	if (!semctl(h->id, 0, GETALL, values) && values[VCPUS] == WHOLE &&
	    values[MEMORY] == WHOLE && !semctl(h->id, 0, IPC_RMID))
		return;
	leave_turnstile(h);
}

static void give_back(struct taker *h)
{
	struct sembuf ops[] = {op(VCPUS, h->vcpus, SEM_UNDO), op(MEMORY, h->units, SEM_UNDO)};

	if (!operate(h, ops, 2))
		tidy(h);
}

static void tell_taken(void *opaque)
{
	tell(opaque, (struct news){.kind = NEWS_TAKEN});
}

static void run_taker(void *opaque, pid_t parent, int news_fd)
{
	const struct budget_request *request = opaque;
	struct taker h = {
		.vcpus = clamp(request->vcpus),
		.units =
			clamp(((uint64_t)request->memory_mb + BUDGET_UNIT_MB - 1) / BUDGET_UNIT_MB),
		.limit_vcpus = clamp(request->limits.vcpus),
		.limit_units = request->limits.memory_mb
				       ? clamp(request->limits.memory_mb / BUDGET_UNIT_MB)
				       : 0,
		.news_fd = news_fd,
	};
	int err = take(&h, request->key);

	if (err) {
		tell(&h, (struct news){.kind = NEWS_NO_BUDGET, .err = -err});
		return;
	}
	holder__keep(parent, tell_taken, &h);
	give_back(&h);
}

/* ---- its parent ---- */

static void say(const struct budget_request *request, bool waits, const char *text)
{
	if (request->say)
		request->say(request->opaque, waits, text);
}

static void say_wait(const struct budget_request *request, const struct news *news)
{
	unsigned int limit_mb = request->limits.memory_mb;
	char of[32] = "", text[320];

	if (!limit_mb)
		limit_mb = (unsigned int)news->available * BUDGET_UNIT_MB;
	if (limit_mb)
		snprintf(of, sizeof(of), " of %u", limit_mb);
	snprintf(text, sizeof(text),
		 "waiting for %u vCPU%s and %u MiB: machines have %d of %u vCPUs and %u%s MiB "
		 "(" BUDGET_VCPUS_VARIABLE ", " BUDGET_MEMORY_VARIABLE ")",
		 request->vcpus, request->vcpus == 1 ? "" : "s", request->memory_mb, news->vcpus,
		 request->limits.vcpus, (unsigned int)news->units * BUDGET_UNIT_MB, of);
	say(request, true, text);
}

static void say_no_budget(const struct budget_request *request, const char *why)
{
	char text[320];

	snprintf(text, sizeof(text), "machines run without a budget of the host: %s", why);
	say(request, false, text);
}

/* Ends a holder that waits, or has just got its share: then the kernel gives it back. */
static void call_off(const struct budget_request *request, struct holder *holder)
{
	struct taker h = {.waits = true};

	holder__kill(holder);
	h.id = semget(request->key, NR_SEMAPHORES, 0);
	if (h.id >= 0)
		tidy(&h);
}

/* Reads until the share is taken. 0; -ECANCELED; 1: there is no budget, which was said. */
static int follow(const struct budget_request *request, int news_fd)
{
	struct pollfd pfd[] = {{.fd = news_fd, .events = POLLIN},
			       {.fd = request->cancel_fd, .events = POLLIN}};
	struct news news;
	ssize_t n;

	for (;;) {
		if (poll(pfd, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			say_no_budget(request, strerror(errno));
			return 1;
		}
		if (pfd[1].revents)
			return -ECANCELED;
		n = read(news_fd, &news, sizeof(news));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(news)) {
			say_no_budget(request, "the process that is to hold the share has died");
			return 1;
		}
		switch (news.kind) {
		case NEWS_WAITS:
			say_wait(request, &news);
			break;
		case NEWS_TAKEN:
			return 0;
		default:
			say_no_budget(request, strerror(news.err));
			return 1;
		}
	}
}

int budget__take(const struct budget_request *request, struct budget_share *share)
{
	int ret = holder__start(&share->holder, "ktstr-budget", run_taker,
				(void *)(uintptr_t)request);

	if (ret) {
		say_no_budget(request, strerror(-ret));
		return 0;
	}
	ret = follow(request, share->holder.news_fd);
	if (ret)
		call_off(request, &share->holder);
	return ret < 0 ? ret : 0;
}

int budget__look(key_t key, struct budget_use *use)
{
	unsigned short values[NR_SEMAPHORES];
	int id = semget(key, NR_SEMAPHORES, 0), behind;

	*use = (struct budget_use){0};
	if (id < 0)
		return errno == ENOENT ? 0 : -errno;
	behind = semctl(id, TURNSTILE, GETZCNT);
	if (behind < 0 || semctl(id, 0, GETALL, values) < 0)
		return errno == EIDRM || errno == EINVAL ? 0 : -errno;
	/* Who is in the turnstile waits for its share, but for a moment. */
	use->waiters = (uint32_t)behind + values[TURNSTILE];
	if (!values[AVAILABLE])
		return 0;
	use->vcpus = (uint32_t)(WHOLE - values[VCPUS]);
	use->memory_mb = (uint32_t)(WHOLE - values[MEMORY]) * BUDGET_UNIT_MB;
	use->available_mb = values[AVAILABLE] * BUDGET_UNIT_MB;
	return 0;
}

void budget__give_back(struct budget_share *share)
{
	holder__end(&share->holder);
}
