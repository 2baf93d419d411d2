// SPDX-License-Identifier: GPL-2.0-only
/* Mounts, modules, network, limits, and the way to the host's ports. */
#include "setup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <ktstr/proto.h>

#include "config.h"
#include "tlv.h"

void guest__log(const char *fmt, ...)
{
	char line[1024] = KTSTR_COM2_LOG;
	size_t n = strlen(line);
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line + n, sizeof(line) - n - 1, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	n += (size_t)len;
	if (n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (size_t i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[n] = '\n';
	(void)tlv__write_all(STDERR_FILENO, line, n + 1);
}

uint64_t guest__boot_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int open_com2(void)
{
	/* O_NONBLOCK: do not wait for a carrier */
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios tio;

	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &tio)) { /* the node of a port that has no hardware: EIO */
		int err = errno;

		close(fd);
		return -err;
	}
	cfmakeraw(&tio);
	tio.c_cflag |= CLOCAL;
	cfsetspeed(&tio, B115200);
	tcsetattr(fd, TCSANOW, &tio);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

void setup__console(void)
{
	int fd;

	mkdir("/dev", 0755);
	/* EBUSY: the kernel mounted it (CONFIG_DEVTMPFS_MOUNT) */
	mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	fd = open_com2();
	if (fd < 0)
		fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

struct mount_point {
	const char *path, *type, *options;
	unsigned long flags;
	bool essential;
};

static void enable_controllers(void)
{
	char line[512], word[80], *save = NULL;
	int fd;

	if (guest__read_line("/sys/fs/cgroup/cgroup.controllers", line, sizeof(line)))
		return;
	fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		guest__log("cgroup.subtree_control: %s", strerror(errno));
		return;
	}
	for (char *name = strtok_r(line, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		int n = snprintf(word, sizeof(word), "+%s", name);

		if (n > 0 && write(fd, word, (size_t)n) != n)
			guest__log("cgroup controller %s: %s", name, strerror(errno));
	}
	close(fd);
}

/* Where the archive has none. */
static void write_new(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0) {
		if (errno != EEXIST)
			guest__log("%s: %s", path, strerror(errno));
		return;
	}
	(void)tlv__write_all(fd, text, strlen(text));
	close(fd);
}

/* What programs take for granted: names of user and group 0, and the links that udev would make. */
static void add_names_and_links(void)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
		{"/run", "/var/run"},
		{"/proc/self/mounts", "/etc/mtab"},
	};

	if (chmod("/", 0755)) /* a tmpfs begins with mode 1777 */
		guest__log("/: %s", strerror(errno));
	mkdir("/etc", 0755);
	mkdir("/var", 0755);
	mkdir("/root", 0700);
	write_new("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
				 "nobody:x:65534:65534:nobody:/:/bin/false\n");
	write_new("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (symlink(links[i][0], links[i][1]) && errno != EEXIST)
			guest__log("%s: %s", links[i][1], strerror(errno));
}

/*
 * A run's own files may lie below /tmp or /run (a tree built there): a mount would hide them. What
 * is there already is in RAM as well.
 */
static bool has_files(const char *path)
{
	DIR *dir = opendir(path);
	int entries = 0;

	while (dir && entries <= 2 && readdir(dir)) /* "." and ".." */
		entries++;
	if (dir)
		closedir(dir);
	return entries > 2;
}

/*
 * The monitor sends an NMI to a guest that hangs, which knows no source of it: the panic prints
 * what that CPU was doing. Kernels without the file have nothing to set.
 */
static void panic_on_unknown_nmi(void)
{
	int fd = open("/proc/sys/kernel/unknown_nmi_panic", O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOENT)
			guest__log("unknown_nmi_panic: %s", strerror(errno));
		return;
	}
	if (write(fd, "1", 1) != 1)
		guest__log("unknown_nmi_panic: %s", strerror(errno));
	close(fd);
}

int setup__mounts(void)
{
	static const struct mount_point points[] = {
		{"/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true},
		{"/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true},
		{"/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC, false},
		{"/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, false},
		{"/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, false},
		{"/run", "tmpfs", "mode=0755", MS_NOSUID | MS_NODEV, false},
		{"/sys/fs/cgroup", "cgroup2", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
		{"/sys/kernel/debug", "debugfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
		{"/sys/kernel/tracing", "tracefs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
		{"/sys/fs/bpf", "bpf", "mode=700", MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		const struct mount_point *p = &points[i];

		mkdir(p->path, 0755); /* in sysfs: there or not */
		if (!strcmp(p->type, "tmpfs") && has_files(p->path)) {
			if (chmod(p->path, !strcmp(p->path, "/run") ? 0755 : 01777))
				guest__log("%s: %s", p->path, strerror(errno));
			continue;
		}
		if (!mount(p->type, p->path, p->type, p->flags, p->options))
			continue;
		if (p->essential)
			ret = -errno;
		guest__log("mount %s (%s): %s", p->path, p->type, strerror(errno));
	}
	add_names_and_links();
	enable_controllers();
	panic_on_unknown_nmi();
	return ret;
}

static void loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo"};

	if (fd < 0)
		goto fail;
	if (ioctl(fd, SIOCGIFFLAGS, &ifr))
		goto fail;
	ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		goto fail;
	close(fd);
	return;
fail:
	guest__log("loopback: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

void setup__limits_and_network(const char *hostname)
{
	struct rlimit memlock = {RLIM_INFINITY, RLIM_INFINITY}, core = {0, 0};

	if (setrlimit(RLIMIT_MEMLOCK, &memlock) || setrlimit(RLIMIT_CORE, &core))
		guest__log("setrlimit: %s", strerror(errno));
	if (sethostname(hostname, strlen(hostname)))
		guest__log("hostname %s: %s", hostname, strerror(errno));
	loopback_up();
}

/*
 * What a test has written is to be on its way before the test goes on: the last line before a crash
 * of the kernel is the one that matters. And PID 1 is no task of the scheduler under test: that one
 * neither sees it nor keeps it from reporting.
 */
void setup__priority(void)
{
	const struct sched_param param = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param))
		guest__log("SCHED_FIFO: %s", strerror(errno));
}

/*
 * "quiet" (level 4) is for the boot. Reports of lockups and stalls are errors, which it lets
 * through, but their registers and backtraces, and all of WARN(), are warnings or have no level of
 * their own, which is 4 as well. No kernel that is well prints such lines: level 5 costs no exit.
 * Level 7 would add 100 exits for each scheduler that attaches, and 16,000 to the report of an OOM
 * kill, before the line that matters.
 */
#define CONSOLE_LEVEL 5

void setup__console_level(void)
{
	static const char path[] = "/proc/sys/kernel/printk";
	char line[64], level[16];
	int fd, n;

	if (guest__read_line(path, line, sizeof(line)) || strtol(line, NULL, 10) >= CONSOLE_LEVEL)
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = snprintf(level, sizeof(level), "%d", CONSOLE_LEVEL);
	if (fd < 0 || write(fd, level, (size_t)n) != n)
		guest__log("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

int setup__uevent_socket(void)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = 1 /* the kernel's */};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static void load_module(const char *path)
{
	bool packed = ends_with(path, ".xz") || ends_with(path, ".zst") || ends_with(path, ".gz");
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		guest__log("module %s: %s", path, strerror(errno));
		return;
	}
	if (syscall(SYS_finit_module, fd, "", packed ? MODULE_INIT_COMPRESSED_FILE : 0) &&
	    errno != EEXIST)
		guest__log("module %s: %s", path, strerror(errno));
	close(fd);
}

void setup__modules(const char *path)
{
	char *text, *cursor, *module;
	size_t length;
	int ret = guest__read_file(path, &text, &length);

	if (ret) {
		if (ret != -ENOENT)
			guest__log("%s: %s", path, strerror(-ret));
		return;
	}
	cursor = text;
	while ((module = guest_modules__next(&cursor)))
		load_module(module);
	free(text);
}

/* The port's node in /dev, from the name that the device gave it. */
static bool find_port(const char *name, char *node, size_t size)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	bool found = false;
	struct dirent *entry;

	while (!found && dir && (entry = readdir(dir))) {
		char path[512], line[64];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
		if (guest__read_line(path, line, sizeof(line)) || strcmp(line, name))
			continue;
		snprintf(node, size, "/dev/%s", entry->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool any_virtio_device(void)
{
	DIR *dir = opendir("/sys/bus/virtio/devices");
	bool found = false;
	struct dirent *entry;

	while (!found && dir && (entry = readdir(dir)))
		found = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

static int left_ms(uint64_t deadline_ns)
{
	uint64_t now = guest__boot_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / 1000000u) + 1;
}

bool setup__wait_uevent(int uevents, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = uevents, .events = POLLIN};
	int ms = left_ms(deadline_ns);
	char message[2048];

	if (!ms)
		return false;
	if (uevents < 0 && ms > 50) /* a kernel without netlink says nothing: look again */
		ms = 50;
	if (poll(&pfd, 1, ms) > 0)
		while (recv(uevents, message, sizeof(message), MSG_DONTWAIT) > 0)
			;
	return true;
}

static int open_node(const char *node, uint64_t deadline_ns)
{
	int fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	int ret;

	if (fd < 0)
		return -errno;
	/* writable once the host's end is open: a blocking write would wait for that for ever */
	do
		ret = poll(&pfd, 1, left_ms(deadline_ns));
	while (ret < 0 && errno == EINTR);
	if (ret <= 0 || !(pfd.revents & POLLOUT)) {
		close(fd);
		return -ETIMEDOUT;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

int setup__open_port(const char *name, int uevents, uint32_t timeout_ms)
{
	uint64_t deadline = guest__boot_ns() + (uint64_t)timeout_ms * 1000000u;
	char node[300];

	for (;;) {
		if (find_port(name, node, sizeof(node)))
			return open_node(node, deadline);
		if (!any_virtio_device())
			return -ENODEV;
		if (!setup__wait_uevent(uevents, deadline))
			return -ETIMEDOUT;
	}
}

int setup__open_terminal(int uevents, uint32_t timeout_ms)
{
	uint64_t deadline = guest__boot_ns() + (uint64_t)timeout_ms * 1000000u;

	for (;;) {
		int fd = open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (!setup__wait_uevent(uevents, deadline))
			return -errno;
	}
}
