// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decides what this process is: PID 1 of a ktstr guest, its test child, or an ordinary program. The
 * constructor runs in every program that references ktstr/guest.h; only here is state that outlives
 * a call, because main() of the child must find it.
 */
#include <ktstr/guest.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include <ktstr/proto.h>
#include <ktstr/stats.h>

#include "config.h"
#include "coverage.h"
#include "crash.h"
#include "disks.h"
#include "init.h"
#include "report.h"
#include "setup.h"

#define PORT_TIMEOUT_MS 10000u
#define DISK_TIMEOUT_MS 10000u

/* Set once by PID 1 before it forks; the child only reads. */
static struct {
	bool is_test;
	struct guest_config config;
	struct guest_shared *shared;
	int report_fd;
} guest = {.report_fd = -1};

static void __attribute__((noreturn)) end_machine(void)
{
	tcdrain(STDOUT_FILENO);
	reboot(RB_AUTOBOOT);
	_exit(1); /* the kernel refused: a dead init is a panic, and ends it too */
}

static void __attribute__((noreturn)) fail(const char *object, const char *why)
{
	dprintf(STDERR_FILENO, KTSTR_COM2_PANIC "%s: %s\n", object, why);
	end_machine();
}

static void read_config(void)
{
	char *text, why[256];
	size_t length;
	int ret = guest__read_file(KTSTR_GUEST_CONFIG, &text, &length);

	if (ret)
		fail(KTSTR_GUEST_CONFIG, strerror(-ret));
	if (guest_config__parse(text, length, &guest.config, why, sizeof(why)))
		fail(KTSTR_GUEST_CONFIG, why);
}

static int open_port(int uevents)
{
	int port = setup__open_port(KTSTR_PORT_TLV_NAME, uevents, PORT_TIMEOUT_MS);

	if (port < 0)
		guest__log("port %s: %s: results go to COM2", KTSTR_PORT_TLV_NAME,
			   port == -ENODEV ? "no virtio device" : strerror(-port));
	return port < 0 ? -1 : port;
}

/* Before anything is forked. NULL: this program does not count. */
static struct coverage *start_coverage(struct coverage *coverage)
{
	struct coverage_runtime runtime;
	int ret;

	if (!coverage__runtime(&runtime))
		return NULL;
	ret = coverage__start(coverage, &runtime);
	if (ret == -ENOTSUP)
		guest__log("coverage: of PID 1 alone: built without "
			   "-mllvm -runtime-counter-relocation");
	else if (ret)
		guest__log("coverage: of PID 1 alone: %s", strerror(-ret));
	return coverage;
}

/* Statistics are no result: without a port they are missing, and the host says so. */
static int open_stats_port(int uevents)
{
	int port = -1;

	if (guest.config.stats)
		port = setup__open_port(KTSTR_PORT_PIPE_NAME, uevents, PORT_TIMEOUT_MS);
	if (port < 0 && guest.config.stats)
		guest__log("port %s: %s: no statistics", KTSTR_PORT_PIPE_NAME, strerror(-port));
	if (port < 0)
		return -1;
	fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_NONBLOCK);
	return port;
}

/* A test that finds its disk is not there would say nothing of the scheduler: there is no run. */
static void mount_disks(int uevents)
{
	char why[320];

	if (!disks__mount(&guest.config, uevents, DISK_TIMEOUT_MS, why, sizeof(why)))
		return;
	for (char *p = why; *p; p++)
		if (*p == '\n')
			*p = ' ';
	dprintf(STDERR_FILENO, KTSTR_COM2_MOUNT "%s\n", why);
	end_machine();
}

/* Returns in the test's child alone. */
static void be_pid1(void)
{
	struct coverage coverage;
	struct init_params params = {
		.config = &guest.config,
		.port = -1,
		.terminal = -1,
		.scx_dir = INIT_SCX_DIR,
		.kmsg = INIT_KERNEL_LOG,
		.report_fd = &guest.report_fd,
		.stats_path = KTSTR_STATS_SOCKET,
	};
	int ret;

	setup__console();
	params.coverage = start_coverage(&coverage);
	ret = crash__install();
	if (ret)
		guest__log("crash handlers: %s", strerror(-ret));
	if (setup__mounts())
		fail("/proc or /sys", "not mounted");
	read_config();
	guest.shared = mmap(NULL, sizeof(*guest.shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guest.shared == MAP_FAILED)
		fail("shared memory", strerror(errno));
	params.shared = guest.shared;
	setup__limits_and_network(guest.config.hostname ? guest.config.hostname : "ktstr");
	setup__console_level();
	setup__priority();
	params.uevents = setup__uevent_socket();
	if (params.uevents < 0)
		guest__log("uevents: %s", strerror(-params.uevents));
	setup__modules(KTSTR_GUEST_MODULES);
	mount_disks(params.uevents);
	params.port = open_port(params.uevents);
	params.stats_port = open_stats_port(params.uevents);
	if (guest.config.role == GUEST_ROLE_SHELL) {
		params.terminal = setup__open_terminal(params.uevents, PORT_TIMEOUT_MS);
		if (params.terminal < 0)
			fail("/dev/hvc0", strerror(-params.terminal));
	}
	if (init__run(&params) == INIT_IN_TEST) {
		guest.is_test = true;
		return;
	}
	/* closing sends a control message, which the driver waits for: the host has read the stream
	 */
	if (params.port >= 0)
		close(params.port);
	end_machine();
}

static void __attribute__((constructor)) dispatch(void)
{
	if (getpid() == 1 && !access(KTSTR_GUEST_CONFIG, F_OK))
		be_pid1();
}

bool ktstr_guest__is_guest(void)
{
	return guest.is_test;
}

char **ktstr_guest__argv(int *argc)
{
	*argc = guest.is_test ? (int)guest.config.argc : 0;
	return guest.is_test ? guest.config.argv : NULL;
}

void ktstr_guest__set_skip_reason(const char *reason)
{
	size_t n = strnlen(reason, KTSTR_GUEST_SKIP_MAX);

	if (!guest.is_test)
		return;
	memcpy(guest.shared->skip, reason, n);
	guest.shared->skip_length = (uint32_t)n;
}

int ktstr_guest__send(uint32_t type, const void *head, size_t head_length, const void *body,
		      size_t body_length)
{
	if (!guest.is_test || guest.report_fd < 0)
		return -ENOTCONN;
	return report__send(guest.report_fd, type, head, head_length, body, body_length);
}

int ktstr_scenario__start(const char *name)
{
	struct ktstr_scenario_payload head = {.boot_ns = guest__boot_ns()};

	return ktstr_guest__send(KTSTR_FRAME_SCENARIO_START, &head, sizeof(head), name,
				 strlen(name));
}

int ktstr_scenario__end(const char *name, int exit_code)
{
	struct ktstr_scenario_payload head = {.boot_ns = guest__boot_ns(),
					      .exit_code = (uint32_t)exit_code};

	return ktstr_guest__send(KTSTR_FRAME_SCENARIO_END, &head, sizeof(head), name, strlen(name));
}

int ktstr_stimulus__send(uint32_t step, const char *fmt, ...)
{
	struct ktstr_stimulus_payload head = {.boot_ns = guest__boot_ns(), .step = step};
	char text[1024];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0)
		return -EINVAL;
	return ktstr_guest__send(KTSTR_FRAME_STIMULUS, &head, sizeof(head), text, strlen(text));
}
