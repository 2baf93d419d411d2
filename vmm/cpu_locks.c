// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protocol of the lock files. Who comes tries first, without waiting, while it has the lock of
 * those who choose: so nobody takes another's try for a holder, and each sees what others have
 * chosen. What is not free then is waited for, with no lock but those of lower LLCs.
 */
#include "cpu_locks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cpu_choice.h"
#include "holder.h"

/* The file of those who choose; its name is no LLC's. */
#define CHOICE_NAME "choice"

/* Where in the taker's work something happened */
#define AT_DIRECTORY UINT32_MAX
#define AT_CHOICE (UINT32_MAX - 1)

/* What the holder tells its parent; in one write(). */
struct news {
	enum { NEWS_WAITS, NEWS_TAKEN, NEWS_FAILED } kind;
	int err;		    /* NEWS_FAILED */
	uint32_t at;		    /* NEWS_WAITS, NEWS_FAILED: index of the LLC, or AT_* */
	struct host_set cpus, llcs; /* NEWS_TAKEN */
};
_Static_assert(sizeof(struct news) <= PIPE_BUF, "it comes as a whole");

struct lock {
	int fd; /* -1: not open */
	bool wanted;
	bool taken;
	bool recorded;
	uint32_t slot;
};

struct cpu_locks {
	struct holder holder;
	struct host_set cpus, llcs;
	bool has_all;
	/* While it is taken */
	char dir[PATH_MAX];
	const struct cpu_locks_request *request;
	uint32_t nr_cpus, nr_llcs;
	struct cpu_choice_cpu *choice_cpus;
	struct cpu_choice_llc *choice_llcs;
	struct lock *locks; /* [nr_llcs] */
	struct lock_record record;
	/* In the holder */
	int dir_fd, choice_fd, news_fd;
};

/* ---- environment ---- */

static int read_variable(const char *name, uint32_t *value, struct ktstr_error *error)
{
	const char *text = getenv(name);
	unsigned long n;
	char *end;

	if (!text || !*text)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || !n || n > INT32_MAX / 1000) {
		ktstr_error__set(error, EINVAL, NULL, name, "'%s' is not a number from 1 to %d",
				 text, INT32_MAX / 1000);
		ktstr_error__hint(error, "correct it, or unset it");
		return -EINVAL;
	}
	*value = (uint32_t)n;
	return 0;
}

int cpu_locks__timeout(uint32_t *timeout_s, struct ktstr_error *error)
{
	*timeout_s = CPU_LOCKS_TIMEOUT_S;
	return read_variable(CPU_LOCKS_TIMEOUT_VARIABLE, timeout_s, error);
}

int cpu_locks__cap(uint32_t *cap, struct ktstr_error *error)
{
	*cap = 0;
	return read_variable(CPU_CAP_VARIABLE, cap, error);
}

/* ---- the host's LLCs ---- */

bool cpu_locks__knows_llcs(const struct host_topology *host)
{
	return !(host->unknown & HOST_UNKNOWN_LLCS);
}

uint32_t cpu_locks__of(const struct host_topology *host, const struct host_cpu *cpu)
{
	return cpu_locks__knows_llcs(host) ? cpu->llc : host->cpus[0].cpu;
}

static uint32_t find_llc(const struct cpu_locks *l, uint32_t id)
{
	uint32_t i = 0;

	while (i < l->nr_llcs && l->choice_llcs[i].id != id)
		i++;
	return i;
}

/* Ascending, as CPUs are: an LLC has the number of its lowest one. */
static void list_llcs(struct cpu_locks *l, const struct host_topology *host)
{
	for (uint32_t i = 0; i < host->nr_cpus; i++) {
		const struct host_cpu *cpu = &host->cpus[i];
		uint32_t id = cpu_locks__of(host, cpu), llc = find_llc(l, id), place = 0;

		if (llc == l->nr_llcs)
			l->choice_llcs[l->nr_llcs++] =
				(struct cpu_choice_llc){.id = id, .node = cpu->node};
		for (uint32_t j = 0; j < i; j++)
			place += l->choice_cpus[j].llc == llc;
		l->choice_cpus[l->nr_cpus++] = (struct cpu_choice_cpu){
			.cpu = cpu->cpu,
			.core = cpu->core,
			.llc = llc,
			.place = place,
			.allowed = cpu->allowed,
		};
		l->choice_llcs[llc].allowed += cpu->allowed;
	}
}

/* ---- the holder ---- */

/* It waits, or, with @err, has failed. */
static void tell(struct cpu_locks *l, int err, uint32_t at)
{
	struct news news = {.kind = err ? NEWS_FAILED : NEWS_WAITS, .err = -err, .at = at};

	/* Its parent may be gone: then it is killed. */
	if (write(l->news_fd, &news, sizeof(news)) < 0)
		return;
}

static void release(struct lock *lock)
{
	/* With the descriptor go all locks of this process in the file. */
	if (lock->fd >= 0)
		close(lock->fd);
	*lock = (struct lock){.fd = -1, .wanted = lock->wanted};
}

static void release_all(struct cpu_locks *l)
{
	for (uint32_t i = 0; i < l->nr_llcs; i++)
		release(&l->locks[i]);
}

static int open_lock(struct cpu_locks *l, uint32_t llc)
{
	struct lock *lock = &l->locks[llc];
	char name[32];

	if (lock->fd >= 0)
		return 0;
	lock_file__name(l->choice_llcs[llc].id, name);
	lock->fd = lock_file__open(l->dir_fd, name, true);
	return lock->fd < 0 ? lock->fd : 0;
}

static short lock_type(const struct cpu_locks *l)
{
	return l->request->exclusive ? F_WRLCK : F_RDLCK;
}

/* Shows who has it, or waits for it. */
static void record(struct cpu_locks *l, uint32_t llc, bool waits)
{
	struct lock *lock = &l->locks[llc];
	struct lock_record r = l->record;
	struct timespec now;

	/* Where all slots are taken, it is not shown. */
	if (!lock->recorded && lock_file__claim(lock->fd, &lock->slot))
		return;
	lock->recorded = true;
	clock_gettime(CLOCK_REALTIME, &now);
	r.since_s = now.tv_sec;
	r.waits = waits;
	for (uint32_t i = 0; i < l->nr_cpus && !waits; i++) {
		const struct cpu_choice_cpu *cpu = &l->choice_cpus[i];

		if (cpu->llc == llc && cpu->chosen && cpu->place < LOCK_RECORD_CPUS)
			r.cpus[cpu->place / 64] |= UINT64_C(1) << cpu->place % 64;
	}
	lock_file__write(lock->fd, lock->slot, &r);
}

/* Without waiting, and not before those who do. -EAGAIN. */
static int try_lock(struct cpu_locks *l, uint32_t llc)
{
	struct lock *lock = &l->locks[llc];
	int err = open_lock(l, llc);

	if (err)
		return err;
	err = lock_file__set(lock->fd, LOCK_FILE_GATE, F_WRLCK, false);
	if (!err) {
		err = lock_file__set(lock->fd, LOCK_FILE_USE, lock_type(l), false);
		lock_file__set(lock->fd, LOCK_FILE_GATE, F_UNLCK, false);
	}
	if (!err && lock_file__is_gone(lock->fd))
		err = -ESTALE;
	lock->taken = !err;
	return err;
}

/* First in line when it has the gate. -ESTALE: the file was removed meanwhile. */
static int wait_lock(struct cpu_locks *l, uint32_t llc)
{
	struct lock *lock = &l->locks[llc];
	int err = open_lock(l, llc);

	if (err)
		return err;
	err = lock_file__set(lock->fd, LOCK_FILE_GATE, F_WRLCK, false);
	if (!err)
		err = lock_file__set(lock->fd, LOCK_FILE_USE, lock_type(l), false);
	if (err == -EAGAIN) {
		record(l, llc, true);
		tell(l, 0, llc);
		err = lock_file__set(lock->fd, LOCK_FILE_GATE, F_WRLCK, true);
		if (!err)
			err = lock_file__set(lock->fd, LOCK_FILE_USE, lock_type(l), true);
	}
	lock_file__set(lock->fd, LOCK_FILE_GATE, F_UNLCK, false);
	if (!err && lock_file__is_gone(lock->fd))
		err = -ESTALE;
	lock->taken = !err;
	return err;
}

struct count {
	struct cpu_locks *l;
	uint32_t llc;
};

static void count_user(void *opaque, const struct lock_user *user)
{
	const struct count *count = opaque;
	struct cpu_locks *l = count->l;

	if (user->record.waits)
		return;
	l->choice_llcs[count->llc].holders++;
	for (uint32_t i = 0; i < l->nr_cpus; i++) {
		struct cpu_choice_cpu *cpu = &l->choice_cpus[i];

		if (cpu->llc == count->llc && cpu->place < LOCK_RECORD_CPUS)
			cpu->used +=
				(uint32_t)(user->record.cpus[cpu->place / 64] >> cpu->place % 64 &
					   1);
	}
}

/* Chooses CPUs of what is locked, and gives back the locks of other LLCs. */
static bool choose(struct cpu_locks *l)
{
	const struct cpu_locks_request *r = l->request;

	for (uint32_t i = 0; i < l->nr_cpus; i++)
		l->choice_cpus[i].used = 0;
	for (uint32_t i = 0; i < l->nr_llcs; i++) {
		struct count count = {l, i};

		l->choice_llcs[i].holders = 0;
		l->choice_llcs[i].available = l->locks[i].taken;
		if (l->locks[i].taken)
			lock_file__users(l->locks[i].fd, count_user, &count);
	}
	if (!cpu_choice__make(l->choice_cpus, l->nr_cpus, l->choice_llcs, l->nr_llcs,
			      r->exclusive ? 0 : r->cpus))
		return false;
	for (uint32_t i = 0; i < l->nr_llcs; i++) {
		if (l->choice_llcs[i].chosen)
			record(l, i, false);
		else
			release(&l->locks[i]);
	}
	return true;
}

/* Tries all that are wanted: 0, and *@enough; an error other than -EAGAIN is one, *@at its LLC. */
static int try_all(struct cpu_locks *l, bool *enough, uint32_t *at)
{
	*enough = true;
	for (*at = 0; *at < l->nr_llcs; ++*at) {
		struct lock *lock = &l->locks[*at];
		int err = lock->wanted && !lock->taken ? try_lock(l, *at) : 0;

		if (err == -EAGAIN)
			*enough &= !l->request->exclusive;
		else if (err)
			return err;
	}
	return 0;
}

static int open_choice(struct cpu_locks *l)
{
	int err = 0;

	if (l->choice_fd < 0)
		l->choice_fd = lock_file__open(l->dir_fd, CHOICE_NAME, true);
	if (l->choice_fd < 0)
		return l->choice_fd;
	err = lock_file__set(l->choice_fd, LOCK_FILE_USE, F_WRLCK, true);
	if (!err && lock_file__is_gone(l->choice_fd))
		err = -ESTALE;
	return err;
}

static void close_choice(struct cpu_locks *l)
{
	lock_file__set(l->choice_fd, LOCK_FILE_USE, F_UNLCK, false);
}

/* Without waiting but for those who choose. 1: something is not free, and nothing is held. */
static int take_at_once(struct cpu_locks *l, uint32_t *at)
{
	bool enough;
	int err;

	*at = AT_CHOICE;
	err = open_choice(l);
	if (err)
		return err;
	err = try_all(l, &enough, at);
	if (!err && !(enough && choose(l)))
		err = 1;
	if (err)
		release_all(l);
	close_choice(l);
	return err;
}

/* All that are wanted, or until there are enough CPUs, in ascending order. */
static int take_in_order(struct cpu_locks *l, uint32_t *at)
{
	const struct cpu_locks_request *r = l->request;
	uint32_t needed = r->exclusive ? UINT32_MAX : r->cpus ? r->cpus : 1, nr = 0;
	bool enough;
	int err;

	for (*at = 0; *at < l->nr_llcs && nr < needed; ++*at) {
		if (!l->locks[*at].wanted)
			continue;
		err = wait_lock(l, *at);
		if (err)
			return err;
		nr += l->choice_llcs[*at].allowed;
	}
	/* What is free beside them, where there is no bound. */
	err = r->exclusive || r->cpus ? 0 : try_all(l, &enough, at);
	/* They were enough when they were counted. */
	return err ? err : choose(l) ? 0 : -EIO;
}

static int take(struct cpu_locks *l, uint32_t *at)
{
	int err;

	/* The files are everybody's, whatever the user's mask. */
	umask(0);
	*at = AT_DIRECTORY;
	l->dir_fd = lock_dir__open(l->dir, true);
	if (l->dir_fd < 0)
		return l->dir_fd;
	/* Keeps systemd-tmpfiles(8) from taking away files that are old (tmpfiles.d(5)). */
	flock(l->dir_fd, LOCK_SH | LOCK_NB);
	do {
		err = take_at_once(l, at);
		if (err > 0)
			err = take_in_order(l, at);
		if (err) {
			release_all(l);
			if (l->choice_fd >= 0)
				close(l->choice_fd);
			l->choice_fd = -1;
		}
	} while (err == -ESTALE);
	return err;
}

/* Of what was chosen, by number. */
static void report_choice(const struct cpu_locks *l, struct host_set *cpus, struct host_set *llcs)
{
	for (uint32_t i = 0; i < l->nr_cpus; i++)
		if (l->choice_cpus[i].chosen)
			host_set__add(cpus, l->choice_cpus[i].cpu);
	for (uint32_t i = 0; i < l->nr_llcs; i++)
		if (l->choice_llcs[i].chosen)
			host_set__add(llcs, l->choice_llcs[i].id);
}

static void tell_taken(void *opaque)
{
	struct cpu_locks *l = opaque;
	struct news news = {.kind = NEWS_TAKEN};

	report_choice(l, &news.cpus, &news.llcs);
	if (write(l->news_fd, &news, sizeof(news)) < 0)
		return;
}

static void run_taker(void *opaque, pid_t parent, int news_fd)
{
	struct cpu_locks *l = opaque;
	uint32_t at;
	int err;

	l->news_fd = news_fd;
	l->choice_fd = -1;
	l->record.pid = parent;
	l->record.holder = getpid();
	err = take(l, &at);
	if (err)
		tell(l, err, at);
	else
		holder__keep(parent, tell_taken, l);
	/* The kernel gives back. */
}

/* ---- its parent ---- */

void cpu_locks__describe(const struct lock_user *user, char *buf, size_t size)
{
	const struct lock_record *r = &user->record;
	time_t since = (time_t)r->since_s, now = time(NULL);
	char when[64] = "?", what[sizeof(r->what)];
	struct tm tm;

	if (r->since_s > 0 && localtime_r(&since, &tm))
		strftime(when, sizeof(when), now - since < 86400 ? "%H:%M:%S" : "%F %H:%M:%S", &tm);
	snprintf(what, sizeof(what), "%s", r->what[0] ? r->what : "?");
	for (char *p = what; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	snprintf(buf, size, "pid %d%s (%s) %s since %s", r->pid,
		 user->elsewhere ? " of another PID namespace" : "", what,
		 r->waits	? r->exclusive ? "waits for it alone" : "waits for a share"
		 : r->exclusive ? "alone"
				: "shared",
		 when);
}

struct listing {
	char text[640];
	size_t length;
	uint32_t nr, left_out;
	pid_t self; /* the holder of ours */
	bool exclusive;
};

/* Those who hold up: for a sharer, sharers do not. */
static void list_user(void *opaque, const struct lock_user *user)
{
	struct listing *list = opaque;
	char one[320];
	int n;

	if (user->record.holder == list->self || (!list->exclusive && !user->record.exclusive))
		return;
	cpu_locks__describe(user, one, sizeof(one));
	n = snprintf(list->text + list->length, sizeof(list->text) - list->length, "%s%s",
		     list->nr ? ", " : "", one);
	if (n < 0 || list->length + (size_t)n >= sizeof(list->text)) {
		list->text[list->length] = '\0';
		list->left_out++;
		return;
	}
	list->length += (size_t)n;
	list->nr++;
}

static void name_cpus(const struct cpu_locks *l, uint32_t at, char *buf, size_t size)
{
	struct host_set set = {0};
	size_t length;

	for (uint32_t i = 0; i < l->nr_cpus; i++)
		if (at < l->nr_llcs && l->choice_cpus[i].llc == at)
			host_set__add(&set, l->choice_cpus[i].cpu);
	length = (size_t)snprintf(buf, size, "host CPUs ");
	host_set__format(&set, buf + length, size - length);
}

/* Who keeps the LLC @at from us. */
static void name_holders(const struct cpu_locks *l, uint32_t at, struct listing *list)
{
	int dir_fd = lock_dir__open(l->dir, false), fd = -1;
	char name[32];

	*list = (struct listing){.self = l->holder.pid, .exclusive = l->request->exclusive};
	if (dir_fd >= 0 && at < l->nr_llcs) {
		lock_file__name(l->choice_llcs[at].id, name);
		fd = lock_file__open(dir_fd, name, false);
	}
	if (fd >= 0) {
		lock_file__users(fd, list_user, list);
		close(fd);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	if (!list->nr)
		snprintf(list->text, sizeof(list->text), "somebody who has left no record");
	else if (list->left_out)
		snprintf(list->text + list->length, sizeof(list->text) - list->length, ", ...");
}

static void say(const struct cpu_locks_request *request, bool waits, const char *text)
{
	if (request->say)
		request->say(request->opaque, waits, text);
}

static void say_wait(const struct cpu_locks *l, uint32_t at)
{
	const struct cpu_locks_request *r = l->request;
	char cpus[128], text[1024];
	struct listing list;

	name_cpus(l, at, cpus, sizeof(cpus));
	name_holders(l, at, &list);
	snprintf(text, sizeof(text), "waiting for %s%s, for %u s at most: %s (see ktstr locks)",
		 cpus, r->exclusive ? " alone" : "", r->timeout_s, list.text);
	say(r, true, text);
}

static int time_out(const struct cpu_locks *l, uint32_t at, struct ktstr_error *error)
{
	char cpus[128];
	struct listing list;

	name_cpus(l, at, cpus, sizeof(cpus));
	name_holders(l, at, &list);
	ktstr_error__set(error, ETIMEDOUT, "lock", at < l->nr_llcs ? cpus : l->dir,
			 "not free within %u s: %s", l->request->timeout_s, list.text);
	ktstr_error__hint(error, "end it, or allow more time by " CPU_LOCKS_TIMEOUT_VARIABLE
				 "; ktstr locks shows all");
	return -ETIMEDOUT;
}

static void name_place(const struct cpu_locks *l, uint32_t at, char *buf, size_t size)
{
	char name[32] = CHOICE_NAME;

	if (at < l->nr_llcs)
		lock_file__name(l->choice_llcs[at].id, name);
	if (at == AT_DIRECTORY)
		snprintf(buf, size, "%s", l->dir);
	else
		snprintf(buf, size, "%s/%s", l->dir, name);
}

/* There are no locks. 0: it goes on without. */
static int do_without(struct cpu_locks *l, int err, uint32_t at, struct ktstr_error *error)
{
	const struct cpu_locks_request *r = l->request;
	const char *why = strerror(-err);
	char place[PATH_MAX + 40], text[PATH_MAX + 200];

	name_place(l, at, place, sizeof(place));
	if (err == -EPERM)
		why = at == AT_DIRECTORY
			      ? "it belongs to another user and is not for all (mode 1777)"
			      : "it is no plain file with one name";
	if (r->exclusive) {
		ktstr_error__set(error, -err, "lock", place, "%s", why);
		ktstr_error__hint(error,
				  "correct or remove it, or name another directory, the same "
				  "for all, by " LOCK_DIR_VARIABLE);
		return err;
	}
	snprintf(text, sizeof(text), "machines run without locks of the host's CPUs: %s: %s", place,
		 why);
	say(r, false, text);
	for (uint32_t i = 0; i < l->nr_llcs; i++)
		l->choice_llcs[i].available = true;
	if (!cpu_choice__make(l->choice_cpus, l->nr_cpus, l->choice_llcs, l->nr_llcs, r->cpus))
		return ktstr_error__set(error, EIO, "choose", "host CPUs", NULL);
	report_choice(l, &l->cpus, &(struct host_set){0});
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Reads until all is taken. 0; -ECANCELED; -ETIMEDOUT; another: there are no locks, since *@at. */
static int follow(struct cpu_locks *l, uint32_t *at, struct ktstr_error *error)
{
	const struct cpu_locks_request *r = l->request;
	int64_t end = now_ms() + (int64_t)r->timeout_s * 1000;
	struct pollfd pfd[] = {{.fd = l->holder.news_fd, .events = POLLIN},
			       {.fd = r->cancel_fd, .events = POLLIN}};
	struct news news;
	bool said = false;

	*at = AT_CHOICE;
	for (;;) {
		int64_t left = end - now_ms();
		int n = poll(pfd, 2, left > 0 ? (int)left : 0);
		ssize_t got;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (pfd[1].revents)
			return -ECANCELED;
		if (!n)
			return time_out(l, *at, error);
		got = read(l->holder.news_fd, &news, sizeof(news));
		if (got < 0 && errno == EINTR)
			continue;
		if (got != (ssize_t)sizeof(news))
			return -ECHILD;
		*at = news.at;
		switch (news.kind) {
		case NEWS_WAITS:
			if (!said)
				say_wait(l, news.at);
			said = true;
			break;
		case NEWS_TAKEN:
			l->cpus = news.cpus;
			l->llcs = news.llcs;
			return 0;
		default:
			return -news.err;
		}
	}
}

/* What is wanted, and whether it can be. */
static int check(struct cpu_locks *l, struct ktstr_error *error)
{
	const struct cpu_locks_request *r = l->request;
	uint32_t allowed = 0;

	for (uint32_t i = 0; i < l->nr_llcs; i++) {
		l->locks[i].fd = -1;
		l->locks[i].wanted = !r->exclusive && l->choice_llcs[i].allowed;
		allowed += l->choice_llcs[i].allowed;
	}
	for (uint32_t i = 0; i < r->nr_llcs && r->exclusive; i++) {
		uint32_t at = cpu_locks__knows_llcs(r->host) ? find_llc(l, r->llcs[i]) : 0;

		if (at == l->nr_llcs || !l->choice_llcs[at].allowed)
			return ktstr_error__set(error, EINVAL, "lock", "host CPUs",
						"there is no LLC of CPU %u that this process may "
						"use",
						r->llcs[i]);
		l->locks[at].wanted = true;
	}
	if (!r->exclusive && r->cpus > allowed) {
		ktstr_error__set(error, EINVAL, "cap", "host CPUs",
				 "%u are more than the %u that this process may use", r->cpus,
				 allowed);
		ktstr_error__hint(error, "give a smaller number to --cpu-cap or " CPU_CAP_VARIABLE);
		return -EINVAL;
	}
	return 0;
}

static int prepare(struct cpu_locks *l, struct ktstr_error *error)
{
	const struct cpu_locks_request *r = l->request;
	uint32_t nr = r->host->nr_cpus;

	l->choice_cpus = calloc(nr, sizeof(*l->choice_cpus));
	l->choice_llcs = calloc(nr, sizeof(*l->choice_llcs));
	l->locks = calloc(nr, sizeof(*l->locks));
	if (!l->choice_cpus || !l->choice_llcs || !l->locks)
		return ktstr_error__set(error, ENOMEM, "lock", "host CPUs", NULL);
	list_llcs(l, r->host);
	if (r->dir)
		snprintf(l->dir, sizeof(l->dir), "%s", r->dir);
	else
		lock_dir__path(l->dir);
	memcpy(l->record.magic, LOCK_RECORD_MAGIC, sizeof(l->record.magic));
	l->record.exclusive = r->exclusive;
	snprintf(l->record.what, sizeof(l->record.what), "%s", r->what ? r->what : "");
	return check(l, error);
}

static void forget_taking(struct cpu_locks *l)
{
	free(l->choice_cpus);
	free(l->choice_llcs);
	free(l->locks);
	l->choice_cpus = NULL;
	l->choice_llcs = NULL;
	l->locks = NULL;
	l->request = NULL;
}

static bool is_all(const struct cpu_locks *l)
{
	for (uint32_t i = 0; i < l->nr_cpus; i++)
		if (l->choice_cpus[i].allowed && !host_set__has(&l->cpus, l->choice_cpus[i].cpu))
			return false;
	return true;
}

int cpu_locks__take(const struct cpu_locks_request *request, struct cpu_locks **out,
		    struct ktstr_error *error)
{
	struct cpu_locks *l = calloc(1, sizeof(*l));
	uint32_t at = AT_DIRECTORY;
	int err;

	*out = NULL;
	if (!l)
		return ktstr_error__set(error, ENOMEM, "lock", "host CPUs", NULL);
	l->request = request;
	err = prepare(l, error);
	if (err)
		goto failed;
	err = holder__start(&l->holder, "ktstr-locks", run_taker, l);
	if (!err)
		err = follow(l, &at, error);
	if (err)
		holder__kill(&l->holder);
	if (err && err != -ECANCELED && err != -ETIMEDOUT)
		err = do_without(l, err, at, error);
	if (err)
		goto failed;
	l->has_all = is_all(l);
	forget_taking(l);
	*out = l;
	return 0;
failed:
	forget_taking(l);
	free(l);
	return err;
}

void cpu_locks__give_back(struct cpu_locks *l)
{
	if (!l)
		return;
	holder__end(&l->holder);
	free(l);
}

const struct host_set *cpu_locks__cpus(const struct cpu_locks *l)
{
	return &l->cpus;
}

const struct host_set *cpu_locks__llcs(const struct cpu_locks *l)
{
	return &l->llcs;
}

bool cpu_locks__has_all(const struct cpu_locks *l)
{
	return l->has_all;
}

bool cpu_locks__are_exclusive(const struct cpu_locks *l)
{
	return l->record.exclusive;
}

pid_t cpu_locks__holder(const struct cpu_locks *l)
{
	return l->holder.pid;
}

static bool is_in_use(int dir_fd, uint32_t llc)
{
	char name[32];
	pid_t pid;
	bool used;
	int fd;

	lock_file__name(llc, name);
	fd = lock_file__open(dir_fd, name, false);
	if (fd < 0)
		return false;
	used = lock_file__get(fd, LOCK_FILE_USE, F_WRLCK, &pid) != F_UNLCK ||
	       lock_file__get(fd, LOCK_FILE_GATE, F_WRLCK, &pid) != F_UNLCK;
	close(fd);
	return used;
}

void cpu_locks__in_use(const struct host_topology *host, struct host_set *llcs)
{
	char path[PATH_MAX];
	int dir_fd;

	*llcs = (struct host_set){{0}};
	lock_dir__path(path);
	dir_fd = lock_dir__open(path, false);
	if (dir_fd < 0)
		return;
	for (uint32_t i = 0; i < host->nr_cpus; i++) {
		uint32_t llc = cpu_locks__of(host, &host->cpus[i]);

		if (llc == host->cpus[i].cpu && is_in_use(dir_fd, llc))
			host_set__add(llcs, llc);
	}
	close(dir_fd);
}
