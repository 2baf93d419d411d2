// SPDX-License-Identifier: GPL-2.0-only
/* Threads that give up what they do not need: seccomp(2), landlock(7), capabilities(7). */
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mutex.h"

/* Of newer headers: landlock(7), by the ABI that has them first. */
#define LANDLOCK_FS_V1 ((UINT64_C(1) << 13) - 1)
#define LANDLOCK_FS_V2 (UINT64_C(1) << 13) /* REFER */
#define LANDLOCK_FS_V3 (UINT64_C(1) << 14) /* TRUNCATE */
#define LANDLOCK_NET_V4 UINT64_C(3)	   /* BIND_TCP, CONNECT_TCP */
#define LANDLOCK_FS_V5 (UINT64_C(1) << 15) /* IOCTL_DEV, of files opened later */
#define LANDLOCK_SCOPED_V6 UINT64_C(1)	   /* ABSTRACT_UNIX_SOCKET */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

extern const struct sock_filter sandbox_filter_loop[], sandbox_filter_loop_end[];
extern const struct sock_filter sandbox_filter_vcpu[], sandbox_filter_vcpu_end[];
extern const struct sock_filter sandbox_filter_disk[], sandbox_filter_disk_end[];
extern const struct sock_filter sandbox_filter_network[], sandbox_filter_network_end[];

struct sandbox {
	bool off;
	int ruleset; /* of Landlock, until it is open; -1: none */
	char text[64];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t entering; /* threads that are not restricted yet */
	int err;	   /* of the first that could not be */
	enum { SANDBOX_CLOSED, SANDBOX_OPEN, SANDBOX_CANCELLED } gate;
};

struct start {
	struct sandbox *sandbox;
	struct sandbox_thread spec;
	char name[16];
};

/* ---- One thread ---- */

static struct sock_fprog get_filter(enum sandbox_kind kind)
{
	static const struct sock_filter *const filters[SANDBOX_KINDS][2] = {
		[SANDBOX_LOOP] = {sandbox_filter_loop, sandbox_filter_loop_end},
		[SANDBOX_VCPU] = {sandbox_filter_vcpu, sandbox_filter_vcpu_end},
		[SANDBOX_DISK] = {sandbox_filter_disk, sandbox_filter_disk_end},
		[SANDBOX_NETWORK] = {sandbox_filter_network, sandbox_filter_network_end},
	};

	return (struct sock_fprog){
		.len = (unsigned short)(filters[kind][1] - filters[kind][0]),
		.filter = (struct sock_filter *)filters[kind][0], /* which only reads it */
	};
}

int sandbox__ruleset(int *version)
{
	struct ruleset_attr attr = {.fs = LANDLOCK_FS_V1};
	/* What it does not know a kernel refuses by the size. */
	size_t size = sizeof(attr.fs);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*version = abi > 0 ? (int)abi : 0;
	if (abi <= 0)
		return -1;
	if (abi >= 2)
		attr.fs |= LANDLOCK_FS_V2;
	if (abi >= 3)
		attr.fs |= LANDLOCK_FS_V3;
	if (abi >= 4) {
		attr.net = LANDLOCK_NET_V4;
		size = offsetof(struct ruleset_attr, scoped);
	}
	if (abi >= 5)
		attr.fs |= LANDLOCK_FS_V5;
	if (abi >= 6) {
		attr.scoped = LANDLOCK_SCOPED_V6;
		size = sizeof(attr);
	}
	return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

int sandbox__enter(enum sandbox_kind kind, int ruleset)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	struct sock_fprog filter = get_filter(kind);

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    (ruleset >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0)) ||
	    syscall(SYS_capset, &head, none))
		return -errno;
	/*
	 * Without the flag, kernels before 5.16 slow the thread down: they take a filter as a sign
	 * that it runs code of others in its own address space (Speculative Store Bypass).
	 */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &filter)
		       ? -errno
		       : 0;
}

/* ---- Those of a machine ---- */

int sandbox__create(bool off, struct sandbox **out, struct ktstr_error *error)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	int version;

	*out = s;
	if (!s)
		return ktstr_error__set(error, ENOMEM, "allocate", "sandbox", NULL);
	s->off = off;
	s->ruleset = -1;
	mutex__init(&s->lock, PTHREAD_MUTEX_NORMAL);
	pthread_cond_init(&s->changed, NULL);
	if (off) {
		snprintf(s->text, sizeof(s->text), "off");
		return 0;
	}
	s->ruleset = sandbox__ruleset(&version);
	if (s->ruleset < 0 && version) /* it is there, but out of reach: EMFILE */
		return ktstr_error__set(error, errno, "landlock_create_ruleset", "sandbox", NULL);
	if (s->ruleset >= 0)
		snprintf(s->text, sizeof(s->text), "seccomp, no capabilities, Landlock %d",
			 version);
	else
		snprintf(s->text, sizeof(s->text), "seccomp, no capabilities");
	return 0;
}

void sandbox__destroy(struct sandbox *s)
{
	if (!s)
		return;
	if (s->ruleset >= 0)
		close(s->ruleset);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const char *sandbox__text(const struct sandbox *s)
{
	return s->text;
}

/* True: the thread may go on. */
static bool enter_and_wait(struct sandbox *s, enum sandbox_kind kind)
{
	int err = s->off ? 0 : sandbox__enter(kind, s->ruleset);
	bool open;

	pthread_mutex_lock(&s->lock);
	s->entering--;
	if (err && !s->err)
		s->err = err;
	pthread_cond_broadcast(&s->changed);
	while (s->gate == SANDBOX_CLOSED)
		pthread_cond_wait(&s->changed, &s->lock);
	open = s->gate == SANDBOX_OPEN;
	pthread_mutex_unlock(&s->lock);
	return open;
}

static void *thread_main(void *opaque)
{
	struct start start = *(struct start *)opaque;
	const struct sandbox_thread *spec = &start.spec;

	free(opaque);
	pthread_setname_np(pthread_self(), start.name);
	if (spec->prepare)
		spec->prepare(spec->opaque);
	if (start.sandbox && !enter_and_wait(start.sandbox, spec->kind))
		return NULL;
	return spec->run(spec->opaque);
}

static void count_entering(struct sandbox *s, int change)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->entering += (uint32_t)change;
	pthread_mutex_unlock(&s->lock);
}

int sandbox__thread(struct sandbox *s, const struct sandbox_thread *spec, pthread_t *thread,
		    struct ktstr_error *error)
{
	struct start *start = malloc(sizeof(*start));
	sigset_t blocked, old;
	int err;

	if (!start)
		return ktstr_error__set(error, ENOMEM, "start thread", spec->name, NULL);
	*start = (struct start){.sandbox = s, .spec = *spec};
	snprintf(start->name, sizeof(start->name), "%s", spec->name);
	/* A SIGSYS that is blocked kills without the handler that tells what it was. */
	sigfillset(&blocked);
	sigdelset(&blocked, SIGSYS);
	count_entering(s, 1);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	err = pthread_create(thread, spec->attr, thread_main, start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		return 0;
	count_entering(s, -1);
	free(start);
	return ktstr_error__set(error, err, "pthread_create", spec->name, NULL);
}

int sandbox__open(struct sandbox *s, struct ktstr_error *error)
{
	int err;

	pthread_mutex_lock(&s->lock);
	while (s->entering)
		pthread_cond_wait(&s->changed, &s->lock);
	err = s->err;
	if (s->gate == SANDBOX_CLOSED)
		s->gate = err ? SANDBOX_CANCELLED : SANDBOX_OPEN;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (!err)
		return 0;
	ktstr_error__set(error, -err, "restrict", "threads of the machine", NULL);
	ktstr_error__hint(error, "allow seccomp(2) and landlock_restrict_self(2), or run without "
				 "the sandbox (--no-sandbox)");
	return err;
}

void sandbox__cancel(struct sandbox *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->gate == SANDBOX_CLOSED)
		s->gate = SANDBOX_CANCELLED;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

bool sandbox__is_unwanted(void)
{
	const char *value = getenv(NO_SANDBOX_VARIABLE);

	return value && !strcmp(value, "1");
}

/* ---- One that was caught ---- */

static size_t append(char *text, size_t used, size_t size, const char *more)
{
	while (*more && used < size)
		text[used++] = *more++;
	return used;
}

/* Async-signal-safe, and within every filter. */
static void on_caught(int signal, siginfo_t *info, void *context)
{
	char name[17] = "", number[12], text[320];
	char *digit = number + sizeof(number) - 1;
	int call = info->si_syscall;
	size_t used;

	(void)signal;
	(void)context;
	*digit = '\0';
	do {
		*--digit = (char)('0' + call % 10);
		call /= 10;
	} while (call > 0);
	prctl(PR_GET_NAME, name);
	used = append(text, 0, sizeof(text), "ktstr: host error: thread ");
	used = append(text, used, sizeof(text), name);
	used = append(text, used, sizeof(text), " made system call ");
	used = append(text, used, sizeof(text), digit);
	used = append(
		text, used, sizeof(text),
		", which its seccomp filter forbids: a defect of ktstr, or a guest that broke "
		"out of its machine; --no-sandbox runs without filters\n");
	if (write(STDERR_FILENO, text, used) < 0)
		_exit(1);
	_exit(1);
}

void sandbox__explain(void)
{
	struct sigaction action = {.sa_sigaction = on_caught, .sa_flags = SA_SIGINFO};

	sigfillset(&action.sa_mask);
	(void)sigaction(SIGSYS, &action, NULL);
}
