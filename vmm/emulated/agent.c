// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of an emulated KVM host: loads modules, makes the caller's file system the root, and runs
 * the commands that come over the virtio-serial port, one at a time. The program is the same that
 * runs on the host; the kernel command line tells it its role.
 */
#include <ktstr/proto.h>

#include "emulated.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <linux/module.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH "/run/ktstr-scratch"
#define HOSTNAME "ktstr-emulated"
#define PORT_WAIT_MS 20000

struct agent {
	int port;    /* virtio-serial, non-blocking */
	int sigchld; /* signalfd */
	struct wire_buf in, out;
	/* the command; pid 0: none */
	pid_t pid;
	bool aborted;
	uint32_t status;
	int to_stdin;	/* pipe or terminal, -1: closed */
	bool stdin_eof; /* close to_stdin when stdin_buf is empty */
	bool stdin_tty;
	struct wire_buf stdin_buf;
	int from_stdout, from_stderr; /* pipes, -1: closed or the terminal */
	int tty;		      /* master, -1: none */
};

/* A failure of the set-up: to the console, and as the answer to the one who waits for READY. */
static void __attribute__((noreturn, format(printf, 2, 3)))
agent__fail(struct agent *agent, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "ktstr agent: %s\n", text);
	if (agent->port >= 0) {
		wire__put(&agent->out, WIRE_FAILED, text, strlen(text));
		fcntl(agent->port, F_SETFL, 0);
		wire__flush(&agent->out, agent->port);
	}
	/* The supervisor ends QEMU; the console's last lines stay readable until then. */
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static int mount_at(const char *source, const char *target, const char *type, unsigned long flags,
		    const char *options)
{
	if (mkdir(target, 0755) && errno != EEXIST && errno != EROFS)
		return -errno;
	return mount(source, target, type, flags, options) ? -errno : 0;
}

static void make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	mkdir(path, 0755);
}

/* ---- set-up ---- */

static void load_module(struct agent *agent, const char *path)
{
	size_t length = strlen(path);
	int flags =
		length > 3 && strcmp(path + length - 3, ".ko") ? MODULE_INIT_COMPRESSED_FILE : 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		agent__fail(agent, "%s: %s", path, strerror(errno));
	if (syscall(SYS_finit_module, fd, "", flags) && errno != EEXIST)
		agent__fail(agent, "%s: cannot be loaded: %s", path, strerror(errno));
	close(fd);
}

/* Path of our port in @path; false: not there yet. */
static bool find_port(char *path, size_t size)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		char name[64] = "";
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, size, "/sys/class/virtio-ports/%s/name", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file)) {
			name[strcspn(name, "\n")] = '\0';
			found = !strcmp(name, WIRE_PORT_NAME);
		}
		fclose(file);
		snprintf(path, size, "/dev/%s", entry->d_name);
		found = found && !access(path, R_OK | W_OK);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The port is announced by the device after probing: uevents tell when. */
static void open_port(struct agent *agent)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	char path[300], event[4096];

	if (events < 0 || bind(events, (struct sockaddr *)&address, sizeof(address)))
		agent__fail(agent, "uevents: %s", strerror(errno));
	while (!find_port(path, sizeof(path))) {
		struct pollfd pfd = {.fd = events, .events = POLLIN};

		if (poll(&pfd, 1, PORT_WAIT_MS) == 0)
			agent__fail(agent, "no virtio-serial port " WIRE_PORT_NAME);
		if (recv(events, event, sizeof(event), 0) < 0 && errno != ENOBUFS)
			agent__fail(agent, "uevents: %s", strerror(errno));
	}
	close(events);
	agent->port = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (agent->port < 0)
		agent__fail(agent, "%s: %s", path, strerror(errno));
}

static void mount_9p(struct agent *agent, const char *tag, const char *target, unsigned long flags)
{
	/*
	 * cache=readahead keeps names and pages only while somebody has a file open, or an overlay
	 * has looked it up (see forget_overlays()): a file that is rebuilt on the host is not stale
	 * here. Writes go through.
	 */
	int err = mount_at(tag, target, "9p", flags,
			   "trans=virtio,version=9p2000.L,msize=512000,access=any,cache=readahead");

	if (err)
		agent__fail(agent, "%s: mount 9p %s: %s", target, tag, strerror(-err));
}

/* The host's directory stays readable, writes go to memory. */
static void mount_overlay(const char *directory)
{
	char upper[64], work[64], options[256];
	const char *name = strrchr(directory, '/') + 1;

	snprintf(upper, sizeof(upper), "/ktstr/overlay/%s", name);
	snprintf(work, sizeof(work), "/ktstr/overlay/%s-work", name);
	mkdir(upper, 01777);
	chmod(upper, !strcmp(name, "tmp") ? 01777 : 0755);
	mkdir(work, 0700);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", directory, upper,
		 work);
	if (mount("overlay", directory, "overlay", 0, options))
		mount("tmpfs", directory, "tmpfs", 0,
		      !strcmp(name, "tmp") ? "mode=1777" : "mode=755");
}

/*
 * An overlay keeps what it has looked up, and with it what 9p has read of the host's file, also
 * when that is another one by now. mount(2) with MS_REMOUNT lets go of all that is not in use.
 */
static void forget_overlays(void)
{
	static const char *const overlays[] = {"/tmp", "/run"};

	for (size_t i = 0; i < sizeof(overlays) / sizeof(overlays[0]); i++)
		if (mount(NULL, overlays[i], NULL, MS_REMOUNT, NULL))
			dprintf(STDERR_FILENO, "ktstr agent: %s: remount: %s\n", overlays[i],
				strerror(errno));
}

static void loopback_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
}

/* What is mounted over the host's own in the new root at /host. */
static void mount_system(struct agent *agent)
{
	static const struct {
		const char *type, *target, *options;
		bool must;
	} mounts[] = {
		{"proc", "/host/proc", NULL, true},
		{"sysfs", "/host/sys", NULL, true},
		{"devtmpfs", "/host/dev", NULL, true},
		{"devpts", "/host/dev/pts", "gid=5,mode=620,ptmxmode=666", true},
		{"tmpfs", "/host/dev/shm", "mode=1777", true},
		{"mqueue", "/host/dev/mqueue", NULL, false},
		{"cgroup2", "/host/sys/fs/cgroup", NULL, false},
		{"bpf", "/host/sys/fs/bpf", "mode=700", false},
		{"debugfs", "/host/sys/kernel/debug", "mode=700", false},
		{"tracefs", "/host/sys/kernel/tracing", "mode=700", false},
	};

	static const struct {
		const char *to, *path;
	} links[] = {
		{"/proc/self/fd", "/host/dev/fd"},
		{"/proc/self/fd/0", "/host/dev/stdin"},
		{"/proc/self/fd/1", "/host/dev/stdout"},
		{"/proc/self/fd/2", "/host/dev/stderr"},
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		int err = mount_at(mounts[i].type, mounts[i].target, mounts[i].type, 0,
				   mounts[i].options);

		if (err && mounts[i].must)
			agent__fail(agent, "%s: mount: %s", mounts[i].target, strerror(-err));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i].to, links[i].path))
			agent__fail(agent, "%s: symlink: %s", links[i].path, strerror(errno));
}

/* Mounts one writable directory of the host on its own path. */
static void mount_writable(struct agent *agent, unsigned int index, const char *path)
{
	char tag[16], target[4096 + 8];

	snprintf(tag, sizeof(tag), "w%u", index);
	snprintf(target, sizeof(target), "/host%.4095s", path);
	make_parents(target); /* only of use below /tmp and /run, which are ours */
	mount_9p(agent, tag, target, 0);
}

static FILE *open_list(struct agent *agent, const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file)
		agent__fail(agent, "%s: %s", path, strerror(errno));
	return file;
}

static bool read_line(FILE *file, char *line, int size)
{
	if (!fgets(line, size, file))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

static void set_up(struct agent *agent)
{
	char line[4200];
	unsigned int index = 0;
	FILE *conf;

	if (mount_at("proc", "/proc", "proc", 0, NULL) ||
	    mount_at("sysfs", "/sys", "sysfs", 0, NULL))
		agent__fail(agent, "/proc, /sys: mount: %s", strerror(errno));
	if (mount_at("devtmpfs", "/dev", "devtmpfs", 0, NULL) < 0 && errno != EBUSY)
		agent__fail(agent, "/dev: mount: %s", strerror(errno));
	open_port(agent);

	conf = open_list(agent, KTSTR_GUEST_MODULES);
	while (read_line(conf, line, sizeof(line)))
		load_module(agent, line);
	fclose(conf);
	mount_9p(agent, "root", "/host", MS_RDONLY);
	if (mount_at("tmpfs", "/ktstr/overlay", "tmpfs", 0, "mode=755"))
		agent__fail(agent, "/ktstr/overlay: mount: %s", strerror(errno));
	mount_overlay("/host/tmp");
	mount_overlay("/host/run");
	conf = open_list(agent, KTSTR_GUEST_CONFIG);
	while (read_line(conf, line, sizeof(line)))
		if (!strncmp(line, "writable ", 9))
			mount_writable(agent, index++, line + 9);
	fclose(conf);
	mount_system(agent);
	chmod("/host/dev/kvm", 0666);
	if (mount_at("/dev/vda", "/host" SCRATCH, "btrfs", MS_NOATIME, "nobarrier"))
		agent__fail(agent, SCRATCH ": mount: %s", strerror(errno));
	mkdir("/host" SCRATCH "/runtime", 0700);
	mkdir("/host" SCRATCH "/cache", 0700);
	/* As switch_root(8) does: the initramfs cannot be pivoted away. */
	if (chdir("/host") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		agent__fail(agent, "/host: cannot become the root: %s", strerror(errno));
	loopback_up();
	if (sethostname(HOSTNAME, strlen(HOSTNAME)))
		agent__fail(agent, "sethostname: %s", strerror(errno));
}

/*
 * One CPU for all vCPUs of a guest, and a switch between two of them is expensive in emulation: 64
 * CPUs boot in 70 s with slices of 3 ms, in 93 s with the kernel's own 0.7 ms.
 */
static void lengthen_slices(void)
{
	int fd = open("/sys/kernel/debug/sched/base_slice_ns", O_WRONLY | O_CLOEXEC);
	static const char slice[] = "3000000";

	/* Without it all is right, but slower. */
	if (fd >= 0 && write(fd, slice, sizeof(slice) - 1) < 0)
		dprintf(STDERR_FILENO, "ktstr agent: base_slice_ns: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void raise_limits(void)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	const struct rlimit files = {1048576, 1048576};

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, RLIM_INFINITY});
}

/* ---- one command ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Next NUL-terminated string of a payload, or NULL. */
static char *next_string(char **p, char *end)
{
	char *start = *p, *nul = start < end ? memchr(start, '\0', (size_t)(end - start)) : NULL;

	if (!nul)
		return NULL;
	*p = nul + 1;
	return start;
}

struct command {
	struct wire_exec exec;
	char *strings; /* copy of the payload's strings */
	char *cwd;
	char **argv, **env;
};

static void command__free(struct command *command)
{
	free(command->strings);
	free(command->argv);
	free(command->env);
}

static int command__parse(struct command *command, const struct wire_frame *frame)
{
	struct wire_exec *exec = &command->exec;
	size_t length;
	char *p, *end;

	if (frame->length <= sizeof(*exec))
		return -EPROTO;
	memcpy(exec, frame->payload, sizeof(*exec));
	length = frame->length - sizeof(*exec);
	if (!exec->argc || exec->argc > length || exec->envc > length)
		return -EPROTO;
	command->strings = malloc(length);
	command->argv = calloc((size_t)exec->argc + 1, sizeof(char *));
	command->env = calloc((size_t)exec->envc + 1, sizeof(char *));
	if (!command->strings || !command->argv || !command->env)
		return -ENOMEM;
	memcpy(command->strings, frame->payload + sizeof(*exec), length);
	p = command->strings;
	end = p + length;
	command->cwd = next_string(&p, end);
	for (uint32_t i = 0; i < exec->argc; i++)
		if (!(command->argv[i] = next_string(&p, end)))
			return -EPROTO;
	for (uint32_t i = 0; i < exec->envc; i++)
		if (!(command->env[i] = next_string(&p, end)))
			return -EPROTO;
	return command->cwd ? 0 : -EPROTO;
}

/* In the child: standard streams, identity, directory, then the program. */
static void __attribute__((noreturn))
command__exec(struct command *command, const int fds[3], int terminal)
{
	sigset_t none;

	setsid();
	if (terminal >= 0)
		ioctl(terminal, TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	/* Everything else is close-on-exec. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	if (command->exec.uid &&
	    (setgroups(0, NULL) || setgid(command->exec.gid) || setuid(command->exec.uid))) {
		dprintf(2, "ktstr: cannot become user %u: %s\n", command->exec.uid,
			strerror(errno));
		_exit(126);
	}
	if (chdir(command->cwd)) {
		dprintf(2, "ktstr: %s: cannot be the working directory in the emulated host: %s\n",
			command->cwd, strerror(errno));
		_exit(126);
	}
	umask((mode_t)command->exec.umask);
	environ = command->env;
	execvp(command->argv[0], command->argv);
	dprintf(2, "ktstr: %s: %s in the emulated host\n", command->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int open_terminal(struct agent *agent, const struct wire_exec *exec)
{
	const struct winsize size = {.ws_row = exec->winsize.rows, .ws_col = exec->winsize.cols};
	struct termios termios;
	int terminal, unlock = 0;

	agent->tty = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (agent->tty < 0 || ioctl(agent->tty, TIOCSPTLCK, &unlock))
		return -errno;
	terminal = ioctl(agent->tty, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		return -errno;
	ioctl(terminal, TIOCSWINSZ, &size);
	if (!(exec->tty & WIRE_TTY_STDIN) && !tcgetattr(terminal, &termios)) {
		/* The client's terminal stays cooked: it translates line ends itself. */
		termios.c_oflag &= ~(tcflag_t)OPOST;
		termios.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(terminal, TCSANOW, &termios);
	}
	if (exec->uid && fchown(terminal, exec->uid, exec->gid))
		return -errno;
	return terminal;
}

/* Both ends of one standard stream: ours in *@ours, the child's in *@theirs. */
static int open_stream(int index, int *ours, int *theirs)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	*ours = fds[index == 0 ? 1 : 0];
	*theirs = fds[index == 0 ? 0 : 1];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
	return 0;
}

static int command__start(struct agent *agent, struct command *command)
{
	int *ours[3] = {&agent->to_stdin, &agent->from_stdout, &agent->from_stderr};
	int theirs[3] = {-1, -1, -1}, terminal = -1, err = 0;
	bool opened[3] = {false};

	if (command->exec.tty) {
		terminal = open_terminal(agent, &command->exec);
		if (terminal < 0)
			return terminal;
	}
	for (int i = 0; i < 3 && !err; i++) {
		if (command->exec.tty & (1u << i)) {
			theirs[i] = terminal;
		} else {
			err = open_stream(i, ours[i], &theirs[i]);
			opened[i] = !err;
		}
	}
	agent->stdin_tty = command->exec.tty & WIRE_TTY_STDIN;
	agent->stdin_eof = false;
	agent->aborted = false;
	forget_overlays();
	if (!err) {
		agent->pid = fork();
		if (!agent->pid)
			command__exec(command, theirs, terminal);
		if (agent->pid < 0) {
			err = -errno;
			agent->pid = 0;
		}
	}
	for (int i = 0; i < 3; i++)
		if (opened[i])
			close(theirs[i]);
	close_fd(&terminal);
	return err;
}

static void set_clock(uint64_t realtime_ns)
{
	const struct timespec now = {.tv_sec = (time_t)(realtime_ns / 1000000000u),
				     .tv_nsec = (long)(realtime_ns % 1000000000u)};

	clock_settime(CLOCK_REALTIME, &now);
}

static void finish(struct agent *agent);

static void exec_frame(struct agent *agent, const struct wire_frame *frame)
{
	struct command command = {0};
	int err = agent->pid ? -EBUSY : command__parse(&command, frame);

	if (!err) {
		set_clock(command.exec.realtime_ns);
		if (chown(SCRATCH "/runtime", command.exec.uid, command.exec.gid) ||
		    chown(SCRATCH "/cache", command.exec.uid, command.exec.gid))
			err = -errno;
		if (!err)
			err = command__start(agent, &command);
	}
	if (err) {
		char text[128];

		snprintf(text, sizeof(text), "ktstr: emulated host: cannot start the command: %s\n",
			 strerror(-err));
		wire__put(&agent->out, WIRE_STDERR, text, strlen(text));
		agent->status = 126;
		finish(agent);
	}
	command__free(&command);
}

/* Takes a stream's chunk; false: it is at its end. */
static bool take_output(struct agent *agent, int fd, uint32_t type)
{
	static const size_t chunk = WIRE_CHUNK;
	uint8_t *data = malloc(chunk);
	ssize_t n = data ? read(fd, data, chunk) : 0;
	bool open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));

	if (n > 0)
		wire__put(&agent->out, type, data, (size_t)n);
	free(data);
	return open;
}

static void flush_stdin(struct agent *agent)
{
	int fd = agent->stdin_tty ? agent->tty : agent->to_stdin;
	size_t before = wire_buf__used(&agent->stdin_buf);
	uint32_t taken;

	if (fd < 0 || wire__flush(&agent->stdin_buf, fd))
		agent->stdin_buf.start = agent->stdin_buf.end; /* nobody reads it any more */
	taken = (uint32_t)(before - wire_buf__used(&agent->stdin_buf));
	if (taken)
		wire__put(&agent->out, WIRE_CREDIT, &taken, sizeof(taken));
	if (agent->stdin_eof && !wire_buf__used(&agent->stdin_buf)) {
		/* A terminal's end of file is ^D; one that takes no byte now has not been read. */
		if (agent->stdin_tty && agent->tty >= 0 && write(agent->tty, "\4", 1) < 0)
			return;
		agent->stdin_eof = false;
		close_fd(&agent->to_stdin);
	}
}

/* Output that is left in a stream whose writers are all gone. */
static void drain(struct agent *agent, int *fd, uint32_t type)
{
	while (*fd >= 0) {
		size_t before = wire_buf__used(&agent->out);

		if (!take_output(agent, *fd, type) || wire_buf__used(&agent->out) == before)
			close_fd(fd);
	}
}

/*
 * The command is over: nothing that it started outlives it (kill(-1) as PID 1 reaches every
 * process), all output goes out, then EXIT.
 */
static void finish(struct agent *agent)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	agent->pid = 0;
	if (agent->aborted) {
		close_fd(&agent->from_stdout);
		close_fd(&agent->from_stderr);
		close_fd(&agent->tty);
	}
	drain(agent, &agent->tty, WIRE_TTY);
	drain(agent, &agent->from_stdout, WIRE_STDOUT);
	drain(agent, &agent->from_stderr, WIRE_STDERR);
	close_fd(&agent->to_stdin);
	wire_buf__free(&agent->stdin_buf);
	wire__put(&agent->out, WIRE_EXIT, &agent->status, sizeof(agent->status));
}

static void reap(struct agent *agent)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(agent->sigchld, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != agent->pid)
			continue;
		agent->status = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status)
						  : 128u + (uint32_t)WTERMSIG(status);
		finish(agent);
		return;
	}
}

static void handle(struct agent *agent, const struct wire_frame *frame)
{
	uint32_t sig;

	if (frame->type == WIRE_EXEC) {
		exec_frame(agent, frame);
		return;
	}
	if (!agent->pid)
		return; /* came too late: the command is over and its EXIT is under way */
	switch (frame->type) {
	case WIRE_STDIN:
		wire__append(&agent->stdin_buf, frame->payload, frame->length);
		flush_stdin(agent);
		break;
	case WIRE_STDIN_EOF:
		agent->stdin_eof = true;
		flush_stdin(agent);
		break;
	case WIRE_SIGNAL:
		if (frame->length != sizeof(sig))
			break;
		memcpy(&sig, frame->payload, sizeof(sig));
		kill(-agent->pid, (int)sig);
		break;
	case WIRE_WINSIZE:
		if (frame->length == sizeof(struct wire_winsize) && agent->tty >= 0) {
			struct wire_winsize size;
			struct winsize ws = {0};

			memcpy(&size, frame->payload, sizeof(size));
			ws.ws_row = size.rows;
			ws.ws_col = size.cols;
			ioctl(agent->tty, TIOCSWINSZ, &ws);
		}
		break;
	case WIRE_ABORT:
		agent->aborted = true;
		agent->status = 128 + SIGKILL;
		finish(agent);
		break;
	default:
		break;
	}
}

static void read_port(struct agent *agent)
{
	struct wire_frame frame;
	ssize_t n = wire__fill(&agent->in, agent->port);
	int have;

	if (n <= 0 && n != -EAGAIN)
		agent__fail(agent, "virtio-serial port: %s", n ? strerror((int)-n) : "closed");
	while ((have = wire__peek(&agent->in, &frame)) > 0) {
		handle(agent, &frame);
		wire__drop(&agent->in, &frame);
	}
	if (have < 0)
		agent__fail(agent, "virtio-serial port: bytes that are no frame");
}

static void __attribute__((noreturn)) serve(struct agent *agent)
{
	enum { PORT, CHILD, STDOUT, STDERR, TTY, STDIN, NR };

	for (;;) {
		/* Output is taken only when the last of it went out: that is the back-pressure. */
		bool idle = !wire_buf__used(&agent->out);
		bool input = wire_buf__used(&agent->stdin_buf);
		struct pollfd pfd[NR] = {
			[PORT] = {agent->port, (short)(POLLIN | (idle ? 0 : POLLOUT)), 0},
			[CHILD] = {idle ? agent->sigchld : -1, POLLIN, 0},
			[STDOUT] = {idle ? agent->from_stdout : -1, POLLIN, 0},
			[STDERR] = {idle ? agent->from_stderr : -1, POLLIN, 0},
			[TTY] = {idle || (input && agent->stdin_tty) ? agent->tty : -1,
				 (short)((idle ? POLLIN : 0) |
					 (input && agent->stdin_tty ? POLLOUT : 0)),
				 0},
			[STDIN] = {input && !agent->stdin_tty ? agent->to_stdin : -1, POLLOUT, 0},
		};

		if (poll(pfd, NR, -1) < 0 && errno != EINTR)
			agent__fail(agent, "poll: %s", strerror(errno));
		if (pfd[STDIN].revents || (pfd[TTY].revents & POLLOUT))
			flush_stdin(agent);
		if (pfd[STDOUT].revents && !take_output(agent, agent->from_stdout, WIRE_STDOUT))
			close_fd(&agent->from_stdout);
		if (pfd[STDERR].revents && !take_output(agent, agent->from_stderr, WIRE_STDERR))
			close_fd(&agent->from_stderr);
		/* The master reports EIO while nobody has the terminal open: the end is the
		 * child's. */
		if ((pfd[TTY].revents & (POLLIN | POLLHUP)) &&
		    !take_output(agent, agent->tty, WIRE_TTY))
			close_fd(&agent->tty);
		if (pfd[PORT].revents & (POLLIN | POLLHUP))
			read_port(agent);
		if (pfd[CHILD].revents)
			reap(agent);
		if (wire__flush(&agent->out, agent->port))
			agent__fail(agent, "virtio-serial port: %s", strerror(errno));
	}
}

void emulated_agent__run(void)
{
	struct agent agent = {
		.port = -1, .to_stdin = -1, .from_stdout = -1, .from_stderr = -1, .tty = -1};
	sigset_t set;

	umask(0);
	set_up(&agent);
	umask(022);
	raise_limits();
	lengthen_slices();
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	agent.sigchld = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (agent.sigchld < 0)
		agent__fail(&agent, "signalfd: %s", strerror(errno));
	wire__put(&agent.out, WIRE_READY, NULL, 0);
	serve(&agent);
}
