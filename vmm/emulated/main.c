// SPDX-License-Identifier: GPL-2.0-only
/*
 * `ktstr emulated-host`: temporary emulated KVM hosts, ones for a day's work, and pools over which
 * a test suite is sharded. Clients find running hosts by a Unix socket in a directory of the user;
 * the kernel's queue of that socket is the queue of the pool.
 */
#include "../files.h"
#include "emulated.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_HOSTS 64u
#define EXIT_USAGE 2

struct options {
	struct emulated_options emulated;
	unsigned int hosts; /* 0: not given */
	char **command;
	char paths[EMULATED_MAX_WRITABLE][PATH_MAX];
	char root[PATH_MAX], agent[PATH_MAX];
};

static void usage(FILE *out)
{
	fputs("usage: ktstr emulated-host [-t T] [-w DIR]... [-r DIR -a FILE] [--] CMD ARGS...\n"
	      "       ktstr emulated-host start [-n N] [-t T] [-w DIR]... [-r DIR -a FILE]\n"
	      "       ktstr emulated-host run [-w DIR]... [-r DIR -a FILE] [--] CMD ARGS...\n"
	      "       ktstr emulated-host pool [-n N] [-w DIR]... [-r DIR -a FILE] -- CMD ARGS...\n"
	      "       ktstr emulated-host status | stop\n"
	      "\n"
	      "An emulated KVM host is QEMU without KVM, with a /dev/kvm that runs kernels "
	      "(slowly),\n"
	      "the file system of this host (read-only) and your directory, environment and user.\n"
	      "\n"
	      "  CMD     runs CMD in a host of its own\n"
	      "  start   starts N hosts (1) that stay until `stop`\n"
	      "  run     runs CMD in one that is free; waits for one; without any, starts its own\n"
	      "  pool    starts N hosts (one a CPU), runs CMD here, where `run` uses them; ends "
	      "them\n"
	      "\n"
	      "  -w DIR  DIR is writable inside (more than once). Always: the top of the git tree "
	      "that\n"
	      "          holds the working directory, or the working directory itself\n"
	      "  -n N    number of hosts\n"
	      "  -r DIR  the system inside is the one in DIR, of arm64 or x86-64, with its kernel "
	      "in\n"
	      "          DIR/usr/lib/modules; DIR gets empty directories for what is writable\n"
	      "  -a FILE with -r: FILE, static and of that architecture, runs commands inside\n"
	      "  -t T    has CPUs, LLCs and nodes as in 2n4l2c1t [one CPU], for tests of what is "
	      "done on\n"
	      "          a host: kernels in machines are not stable where it has several CPUs\n"
	      "\n"
	      "/tmp and /run show this host's files; what is written there stays inside. The exit\n"
	      "status is that of CMD, or 125 when the emulated host failed.\n",
	      out);
}

static int fail(const char *object, const char *reason)
{
	fprintf(stderr, "ktstr: %s: %s\n", object, reason);
	return EMULATED_EXIT_LOST;
}

static int fail_error(const struct ktstr_error *error)
{
	char text[1500];

	ktstr_error__format(error, text, sizeof(text));
	fprintf(stderr, "ktstr: %s\n", text);
	return EMULATED_EXIT_LOST;
}

/* ---- options ---- */

static int add_writable(struct options *options, const char *path)
{
	struct emulated_options *emulated = &options->emulated;
	char *real = emulated->nr_writable < EMULATED_MAX_WRITABLE
			     ? options->paths[emulated->nr_writable]
			     : NULL;
	struct stat st;

	if (!real) {
		fprintf(stderr, "ktstr: %s: too many writable directories\n", path);
		return -E2BIG;
	}
	if (!realpath(path, real) || stat(real, &st) ||
	    (!S_ISDIR(st.st_mode) && (errno = ENOTDIR))) {
		fprintf(stderr, "ktstr: %s: cannot be writable in the emulated host: %s\n", path,
			strerror(errno));
		return -errno;
	}
	if (!strcmp(real, "/") || strchr(real, '\n')) {
		fprintf(stderr, "ktstr: %s: cannot be writable in the emulated host\n", path);
		return -EINVAL;
	}
	for (size_t i = 0; i < emulated->nr_writable; i++) {
		size_t length = strlen(emulated->writable[i]);

		if (!strncmp(real, emulated->writable[i], length) &&
		    (real[length] == '/' || !real[length]))
			return 0;
	}
	emulated->writable[emulated->nr_writable++] = real;
	return 0;
}

/* The top of the git tree around the working directory, or that directory. */
static int add_work_tree(struct options *options)
{
	char cwd[PATH_MAX], top[PATH_MAX], probe[PATH_MAX + 8];

	if (!getcwd(cwd, sizeof(cwd)))
		return 0;
	snprintf(top, sizeof(top), "%s", cwd);
	for (;;) {
		char *slash = strrchr(top, '/');

		snprintf(probe, sizeof(probe), "%s/.git", top);
		if (!access(probe, F_OK))
			return add_writable(options, top);
		if (!slash || slash == top)
			break;
		*slash = '\0';
	}
	return strcmp(cwd, "/") ? add_writable(options, cwd) : 0;
}

/* A directory or file for -r and -a. 0 or an exit status. */
static int set_path(const char *option, const char *path, mode_t type, char out[PATH_MAX])
{
	struct stat st;

	if (!realpath(path, out) || stat(out, &st) ||
	    ((st.st_mode & S_IFMT) != type && (errno = type == S_IFDIR ? ENOTDIR : EINVAL))) {
		fprintf(stderr, "ktstr: emulated-host: %s %s: %s\n", option, path, strerror(errno));
		return EXIT_USAGE;
	}
	return 0;
}

/* 0 or an exit status. */
static int set_topology(struct ktstr_topology *topology, const char *text)
{
	struct ktstr_error error = {.err = 0};

	if (ktstr_topology__parse(text, topology, &error)) {
		fail_error(&error);
		return EXIT_USAGE;
	}
	if (topology->packages || topology->llcs % topology->numa_nodes) {
		fprintf(stderr,
			"ktstr: emulated-host: -t %s: each LLC is a package here, and nodes have "
			"as many of them\n",
			text);
		return EXIT_USAGE;
	}
	return 0;
}

/* In a system of its own there has to be a place for each of the writable directories. */
static int make_places(const struct emulated_options *emulated)
{
	for (size_t i = 0; i < emulated->nr_writable; i++) {
		char place[2 * PATH_MAX];

		snprintf(place, sizeof(place), "%s%s", emulated->root, emulated->writable[i]);
		if (files__make_parents(place) || (mkdir(place, 0755) && errno != EEXIST)) {
			fprintf(stderr, "ktstr: emulated-host: %s: %s\n", place, strerror(errno));
			return EXIT_USAGE;
		}
	}
	return 0;
}

/* What belongs together. 0 or an exit status. */
static int finish_options(struct options *options)
{
	struct emulated_options *emulated = &options->emulated;

	if (add_work_tree(options))
		return EXIT_USAGE;
	if (!*options->root != !*options->agent) {
		fprintf(stderr, "ktstr: emulated-host: -r DIR and -a FILE need each other\n");
		return EXIT_USAGE;
	}
	if (!*options->root)
		return 0;
	if (emulated->topology.numa_nodes) {
		fprintf(stderr, "ktstr: emulated-host: -t is not for another system (-r)\n");
		return EXIT_USAGE;
	}
	emulated->root = options->root;
	emulated->agent = options->agent;
	return make_places(emulated);
}

/* Reads "-w DIR -n N -r DIR -a FILE -t TOPOLOGY --"; the rest is the command. 0 or an exit status.
 */
static int parse_options(struct options *options, int argc, char **argv, bool with_count)
{
	int i = 0;

	for (; i < argc && argv[i][0] == '-'; i++) {
		char *end;
		long n;

		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (strlen(argv[i]) != 2 || !strchr(with_count ? "wnrat" : "wrat", argv[i][1]) ||
		    i + 1 == argc) {
			fprintf(stderr,
				"ktstr: emulated-host: %s: unknown option, or its value is "
				"missing; see ktstr emulated-host --help\n",
				argv[i]);
			return EXIT_USAGE;
		}
		i++;
		if (argv[i - 1][1] == 'w') {
			if (add_writable(options, argv[i]))
				return EXIT_USAGE;
			continue;
		}
		if (argv[i - 1][1] == 'r' || argv[i - 1][1] == 'a') {
			bool root = argv[i - 1][1] == 'r';
			int status = set_path(argv[i - 1], argv[i], root ? S_IFDIR : S_IFREG,
					      root ? options->root : options->agent);

			if (status)
				return status;
			continue;
		}
		if (argv[i - 1][1] == 't') {
			int status = set_topology(&options->emulated.topology, argv[i]);

			if (status)
				return status;
			continue;
		}
		n = strtol(argv[i], &end, 10);
		if (*end || n < 1 || n > (long)MAX_HOSTS) {
			fprintf(stderr, "ktstr: emulated-host: -n %s: not a number from 1 to %u\n",
				argv[i], MAX_HOSTS);
			return EXIT_USAGE;
		}
		options->hosts = (unsigned int)n;
	}
	options->command = argv + i;
	return finish_options(options);
}

/* ---- directories ---- */

/* Path of the user's directory of sockets, which is made when it is missing. -EPERM: somebody else
 * may write there; -errno. */
static int user_dir(char *buf, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int n;

	if (runtime && *runtime && !access(runtime, W_OK))
		n = snprintf(buf, size, "%s/ktstr", runtime);
	else
		n = snprintf(buf, size, "/tmp/ktstr-%u", getuid());
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	if (mkdir(buf, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(buf, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != getuid() || (st.st_mode & 077))
		return -EPERM;
	return 0;
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* Directories of pools whose owner was killed: their lock is free. */
static void remove_stale_pools(const char *base)
{
	DIR *dir = opendir(base);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[PATH_MAX + 300];
		int lock;

		if (strncmp(entry->d_name, "pool.", 5))
			continue;
		snprintf(path, sizeof(path), "%s/%s/lock", base, entry->d_name);
		lock = open(path, O_RDWR | O_CLOEXEC);
		if (lock >= 0 && !flock(lock, LOCK_EX | LOCK_NB)) {
			*strrchr(path, '/') = '\0';
			remove_dir(path);
		}
		if (lock >= 0)
			close(lock);
	}
	if (dir)
		closedir(dir);
}

static int socket_address(const char *directory, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (size_t)snprintf(address->sun_path, sizeof(address->sun_path), "%s/socket",
				directory) < sizeof(address->sun_path)
		       ? 0
		       : -ENAMETOOLONG;
}

/* ---- the manager: N supervisors behind one listening socket ---- */

struct manager {
	char directory[PATH_MAX];
	int lock, listener;
	unsigned int hosts;
	pid_t supervisor[MAX_HOSTS];
	int ready[MAX_HOSTS];
	struct emulated_image image;
};

/* Takes the lock of the directory and opens its socket. */
static int manager__open(struct manager *manager)
{
	struct sockaddr_un address;
	char path[PATH_MAX + 8];

	manager->lock = manager->listener = -1;
	snprintf(path, sizeof(path), "%s/lock", manager->directory);
	manager->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (manager->lock < 0)
		return -errno;
	if (flock(manager->lock, LOCK_EX | LOCK_NB))
		return -errno;
	if (socket_address(manager->directory, &address))
		return -ENAMETOOLONG;
	unlink(address.sun_path);
	manager->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (manager->listener < 0 ||
	    bind(manager->listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(manager->listener, SOMAXCONN))
		return -errno;
	return 0;
}

static int start_supervisor(struct manager *manager, unsigned int index,
			    const struct emulated_options *options)
{
	char path[PATH_MAX + 32];
	pid_t owner = getpid();
	int ready[2], status;

	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	snprintf(path, sizeof(path), "%s/host.%u", manager->directory, index);
	status = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	manager->supervisor[index] = fork();
	if (!manager->supervisor[index]) {
		sigset_t none;

		setsid(); /* the terminal's signals are for the client */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != owner)
			_exit(1);
		close(manager->lock); /* held by the manager alone */
		signal(SIGTERM, SIG_DFL);
		signal(SIGPIPE, SIG_IGN);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		emulated_supervisor__serve(manager->listener, status, ready[1], &manager->image,
					   options);
		_exit(1);
	}
	close(ready[1]);
	if (status >= 0)
		close(status);
	manager->ready[index] = ready[0];
	return manager->supervisor[index] < 0 ? -errno : 0;
}

static int manager__start(struct manager *manager, const struct options *options,
			  struct ktstr_error *error)
{
	int err = emulated_image__create(&options->emulated, &manager->image, error);

	if (err)
		return err;
	for (unsigned int i = 0; i < options->hosts; i++) {
		err = start_supervisor(manager, i, &options->emulated);
		if (err)
			return ktstr_error__set(error, -err, "fork", "emulated KVM host", NULL);
		manager->hosts++;
	}
	return 0;
}

/* Ends every host, then removes the directory. */
static void manager__stop(struct manager *manager)
{
	for (unsigned int i = 0; i < manager->hosts; i++)
		kill(manager->supervisor[i], SIGTERM);
	for (unsigned int i = 0; i < manager->hosts; i++)
		while (waitpid(manager->supervisor[i], NULL, 0) < 0 && errno == EINTR)
			;
	remove_dir(manager->directory);
	emulated_image__close(&manager->image);
	if (manager->listener >= 0)
		close(manager->listener);
	if (manager->lock >= 0)
		close(manager->lock);
}

/* Text of the first host that did not start, or "" in @text. */
static void manager__wait_ready(struct manager *manager, char *text, size_t size)
{
	text[0] = '\0';
	for (unsigned int i = 0; i < manager->hosts; i++) {
		size_t at = 0;
		ssize_t n;

		if (text[0])
			break;
		while (at < size - 1 && (n = read(manager->ready[i], text + at, size - 1 - at)) > 0)
			at += (size_t)n;
		text[at] = '\0';
		if (!at)
			snprintf(text, size, "emulated KVM host: its supervisor died");
		close(manager->ready[i]);
	}
}

/* ---- start, stop, status ---- */

static int persistent_dir(char *buf, size_t size)
{
	char base[PATH_MAX - 64];
	int err = user_dir(base, sizeof(base));

	if (!err && (size_t)snprintf(buf, size, "%s/emulated-host", base) >= size)
		err = -ENAMETOOLONG;
	if (err)
		fprintf(stderr, "ktstr: %s: must be a directory of yours with mode 0700: %s\n",
			base, strerror(-err));
	return err;
}

/* By this file "stop" and "status" find the daemon. */
static int write_pid(const char *directory, struct ktstr_error *error)
{
	char path[PATH_MAX + 8], number[16];
	int length = snprintf(number, sizeof(number), "%d\n", getpid()), err = 0, fd;

	snprintf(path, sizeof(path), "%s/pid", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, number, (size_t)length) != length) {
		err = errno ? -errno : -EIO;
		ktstr_error__set(error, -err, "write", path, NULL);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* The daemon: ready or not is said to @report, then it waits for SIGTERM or a child's death. */
static void __attribute__((noreturn))
run_daemon(const struct options *options, const char *directory, int report)
{
	struct manager manager = {0};
	struct ktstr_error error = {0};
	char text[8192];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), err, sig;
	sigset_t set;

	setsid();
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	/* What the caller's shell has open must not stay open for a day. */
	report = dup2(report, 3);
	if (report != 3 || close_range(4, ~0u, 0) || chdir("/"))
		_exit(1);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	snprintf(manager.directory, sizeof(manager.directory), "%s", directory);
	err = manager__open(&manager);
	if (err == -EWOULDBLOCK) {
		dprintf(report, "emulated-host: already started; see ktstr emulated-host status");
		_exit(1);
	}
	if (err)
		ktstr_error__set(&error, -err, "open", directory, NULL);
	else
		err = manager__start(&manager, options, &error);
	if (!err)
		err = write_pid(directory, &error);
	if (err)
		ktstr_error__format(&error, text, sizeof(text));
	else
		manager__wait_ready(&manager, text, sizeof(text));
	if (text[0]) {
		manager__stop(&manager);
		dprintf(report, "%s", text);
		_exit(1);
	}
	if (write(report, "", 1) != 1) { /* nobody waits for us any more */
		manager__stop(&manager);
		_exit(1);
	}
	close(report);
	/* A supervisor ends only by a fault of its own: then all of them go. */
	sigwait(&set, &sig);
	manager__stop(&manager);
	_exit(0);
}

static int cmd_start(int argc, char **argv)
{
	struct options *options = calloc(1, sizeof(*options));
	char directory[PATH_MAX - 32], text[8192];
	int report[2], status;
	size_t at = 0;
	ssize_t n;

	if (!options)
		return fail("start", strerror(ENOMEM));
	status = parse_options(options, argc, argv, true);
	if (!status && options->command[0]) {
		fprintf(stderr, "ktstr: emulated-host start: %s: takes no command\n",
			options->command[0]);
		status = EXIT_USAGE;
	}
	if (status) {
		free(options);
		return status;
	}
	if (!options->hosts)
		options->hosts = 1;
	if (persistent_dir(directory, sizeof(directory)) || pipe2(report, O_CLOEXEC)) {
		free(options);
		return EMULATED_EXIT_LOST;
	}
	mkdir(directory, 0700);
	if (!fork())
		run_daemon(options, directory, report[1]);
	close(report[1]);
	/* Up to the NUL or the end: the hosts hold the other end as long as they live. */
	while (at < sizeof(text) - 1 && !memchr(text, '\0', at) &&
	       (n = read(report[0], text + at, sizeof(text) - 1 - at)) > 0)
		at += (size_t)n;
	text[at] = '\0';
	close(report[0]);
	free(options);
	if (!at)
		return fail("emulated-host start", "the process that keeps the hosts died");
	if (!text[0])
		return 0;
	fprintf(stderr, "ktstr: %s\n", text);
	return EMULATED_EXIT_LOST;
}

/* Process that keeps the persistent hosts, or 0. Its lock is held as long as it lives. */
static pid_t running_manager(const char *directory)
{
	char path[PATH_MAX + 8], text[16] = "";
	int lock, fd;
	bool held;

	snprintf(path, sizeof(path), "%s/lock", directory);
	lock = open(path, O_RDWR | O_CLOEXEC);
	if (lock < 0)
		return 0;
	held = flock(lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
	close(lock);
	if (!held)
		return 0;
	snprintf(path, sizeof(path), "%s/pid", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return (pid_t)strtol(text, NULL, 10);
}

static int cmd_stop(void)
{
	char directory[PATH_MAX - 32];
	struct pollfd pfd = {.events = POLLIN};
	pid_t pid;

	if (persistent_dir(directory, sizeof(directory)))
		return EMULATED_EXIT_LOST;
	pid = running_manager(directory);
	if (pid <= 0) {
		remove_dir(directory);
		fprintf(stderr, "ktstr: emulated-host: none was running\n");
		return 0;
	}
	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pfd.fd < 0 || kill(pid, SIGTERM))
		return fail("emulated-host stop", strerror(errno));
	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	close(pfd.fd);
	return 0;
}

static int cmd_status(void)
{
	char directory[PATH_MAX - 32];
	pid_t pid;

	if (persistent_dir(directory, sizeof(directory)))
		return EMULATED_EXIT_LOST;
	pid = running_manager(directory);
	if (pid <= 0) {
		printf("no emulated KVM host is running\n");
		return 1;
	}
	printf("kept by process %d in %s\n", pid, directory);
	for (unsigned int i = 0; i < MAX_HOSTS; i++) {
		char path[PATH_MAX], line[128] = "";
		FILE *file;

		snprintf(path, sizeof(path), "%s/host.%u", directory, i);
		file = fopen(path, "re");
		if (!file)
			break;
		if (fgets(line, sizeof(line), file))
			printf("host %u: %s", i, line);
		fclose(file);
	}
	return 0;
}

/* ---- commands ---- */

/* A host of its own: the supervisor is a child that dies with this process. */
static int run_own(const struct options *options)
{
	struct ktstr_error error = {0};
	struct emulated_image image;
	pid_t owner = getpid(), pid;
	int pair[2], status;

	if (emulated_image__create(&options->emulated, &image, &error))
		return fail_error(&error);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		emulated_image__close(&image);
		return fail("emulated-host", strerror(errno));
	}
	fflush(NULL);
	pid = fork();
	if (!pid) {
		setsid();
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != owner)
			_exit(1);
		close(pair[0]);
		signal(SIGPIPE, SIG_IGN);
		emulated_supervisor__serve_one(pair[1], &image, &options->emulated);
		_exit(0);
	}
	close(pair[1]);
	emulated_image__close(&image);
	if (pid < 0) {
		close(pair[0]);
		return fail("emulated-host: fork", strerror(errno));
	}
	status = emulated_client__run(pair[0], options->command);
	close(pair[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* A connection to running hosts, -ENOENT: there are none. */
static int connect_running(const char *directory)
{
	struct sockaddr_un address;
	int fd, err = socket_address(directory, &address);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = errno == ECONNREFUSED ? -ENOENT : -errno;
	close(fd);
	return err;
}

static int run_somewhere(const struct options *options)
{
	const char *pool = getenv(EMULATED_DIR_ENV);
	char directory[PATH_MAX - 32];
	int fd, status;

	if (!pool || !*pool) {
		if (persistent_dir(directory, sizeof(directory)))
			return EMULATED_EXIT_LOST;
		pool = NULL;
	}
	fd = connect_running(pool ? pool : directory);
	if (fd == -ENOENT && !pool)
		return run_own(options);
	if (fd < 0)
		return fail(pool ? pool : directory, strerror(-fd));
	status = emulated_client__run(fd, options->command);
	close(fd);
	return status;
}

static int cmd_run(int argc, char **argv, bool own)
{
	struct options *options = calloc(1, sizeof(*options));
	int status = options ? parse_options(options, argc, argv, false) : EMULATED_EXIT_LOST;

	if (!status && !options->command[0]) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (!status)
		status = own ? run_own(options) : run_somewhere(options);
	free(options);
	return status;
}

/* Runs CMD on this host; signals that a person sends to us are for it. */
static int run_here(char **command, const char *directory, const sigset_t *set)
{
	pid_t owner = getpid(), pid;
	int status, sig;

	pid = fork();
	if (!pid) {
		sigset_t none;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != owner)
			_exit(1);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setenv(EMULATED_DIR_ENV, directory, 1);
		execvp(command[0], command);
		fprintf(stderr, "ktstr: %s: %s\n", command[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		return fail(command[0], strerror(errno));
	for (;;) {
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid)
			break;
		sigwait(set, &sig);
		if (sig != SIGCHLD)
			kill(pid, sig);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_pool(const struct options *options)
{
	struct manager manager = {0};
	struct ktstr_error error = {0};
	char base[PATH_MAX - 64];
	sigset_t set, old;
	int err = user_dir(base, sizeof(base)), status;

	if (err)
		return fail(base, strerror(-err));
	remove_stale_pools(base);
	snprintf(manager.directory, sizeof(manager.directory), "%s/pool.XXXXXX", base);
	if (!mkdtemp(manager.directory))
		return fail(manager.directory, strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	fflush(NULL);
	err = manager__open(&manager);
	if (err)
		ktstr_error__set(&error, -err, "open", manager.directory, NULL);
	else
		err = manager__start(&manager, options, &error);
	status = err ? fail_error(&error) : run_here(options->command, manager.directory, &set);
	manager__stop(&manager);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}

static int cmd_pool(int argc, char **argv)
{
	struct options *options = calloc(1, sizeof(*options));
	int status = options ? parse_options(options, argc, argv, true) : EMULATED_EXIT_LOST;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!status && !options->command[0]) {
		usage(stderr);
		status = EXIT_USAGE;
	}
	if (!status) {
		if (!options->hosts)
			options->hosts = cpus < 1		  ? 1
					 : cpus > (long)MAX_HOSTS ? MAX_HOSTS
								  : (unsigned int)cpus;
		status = run_pool(options);
	}
	free(options);
	return status;
}

int emulated_host__main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		usage(stdout);
		return 0;
	}
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(verb, "start"))
		return cmd_start(argc - 2, argv + 2);
	if (!strcmp(verb, "run"))
		return cmd_run(argc - 2, argv + 2, false);
	if (!strcmp(verb, "pool"))
		return cmd_pool(argc - 2, argv + 2);
	if ((!strcmp(verb, "stop") || !strcmp(verb, "status")) && argc > 2) {
		fprintf(stderr, "ktstr: emulated-host %s: %s: takes no arguments\n", verb, argv[2]);
		return EXIT_USAGE;
	}
	if (!strcmp(verb, "stop"))
		return cmd_stop();
	if (!strcmp(verb, "status"))
		return cmd_status();
	return cmd_run(argc - 1, argv + 1, true);
}
