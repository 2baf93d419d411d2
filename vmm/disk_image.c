// SPDX-License-Identifier: GPL-2.0-only
/* Makes file systems by their own mkfs programs, keeps them as templates, and clones these. */
#include "disk_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../initramfs/copy.h"
#include "../initramfs/digest.h"

#define OPERATION "make disk"
/* Part of the name of what is not finished; random letters follow. */
#define UNFINISHED ".making."
#define COPY_BLOCK 65536u

/*
 * Nothing is left for the kernel to do after the mount, which would be I/O of no test: the file is
 * all zeros, and so are tables and journal that mkfs does not write.
 */
static const struct disk_fs file_systems[] = {
	{"btrfs", "mkfs.btrfs", "btrfs-progs", "btrfs", "CONFIG_BTRFS_FS", {"-q", "-f"}},
	{"ext4",
	 "mkfs.ext4",
	 "e2fsprogs",
	 "ext4",
	 "CONFIG_EXT4_FS",
	 {"-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=1"}},
	{"xfs", "mkfs.xfs", "xfsprogs", "xfs", "CONFIG_XFS_FS", {"-q", "-f"}},
	{.name = "none"},
};

/* An image that is being made. */
struct job {
	const struct disk_image_spec *spec;
	const struct disk_fs *fs;
	uint64_t size; /* bytes */
	char program[PATH_MAX];
	char prefix[64]; /* of the names of its templates, whatever made them */
	char name[128];
};

const struct disk_fs *disk_image__find_fs(const char *name)
{
	for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++)
		if (!strcmp(file_systems[i].name, name))
			return &file_systems[i];
	return NULL;
}

/* ---- The program ---- */

static bool is_program(const char *dir, size_t length, const char *name, char program[PATH_MAX])
{
	struct stat st;
	int n = snprintf(program, PATH_MAX, "%.*s/%s", (int)length, dir, name);

	return n > 0 && n < PATH_MAX && !stat(program, &st) && S_ISREG(st.st_mode) &&
	       !access(program, X_OK);
}

static bool find_program(const char *name, const char *path, char program[PATH_MAX])
{
	for (const char *dir = path; dir; dir = strchr(dir, ':') ? strchr(dir, ':') + 1 : NULL) {
		size_t length = strcspn(dir, ":");
		char sbin[PATH_MAX];

		if (*dir != '/' || length >= sizeof(sbin) - 1)
			continue;
		if (is_program(dir, length, name, program))
			return true;
		if (length < 4 || strncmp(dir + length - 4, "/bin", 4) != 0)
			continue;
		snprintf(sbin, sizeof(sbin), "%.*ssbin", (int)length - 3, dir);
		if (is_program(sbin, strlen(sbin), name, program))
			return true;
	}
	return false;
}

static int program_is_missing(const struct disk_fs *fs, struct ktstr_error *error)
{
	int err = ktstr_error__set(error, ENOENT, OPERATION, fs->name, "%s is not in PATH",
				   fs->program);

	ktstr_error__hint(error, "install the package %s", fs->package);
	return err;
}

int disk_image__check_program(const struct disk_fs *fs, const char *path, struct ktstr_error *error)
{
	char program[PATH_MAX];

	if (!fs->program || find_program(fs->program, path, program))
		return 0;
	return program_is_missing(fs, error);
}

/* What it printed, in one line. */
static void read_output(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	while (n > 0 && (unsigned char)text[n - 1] <= ' ')
		n--;
	text[n > 0 ? n : 0] = '\0';
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

/* -errno of starting it; otherwise *status is its end. */
static int spawn(const char *program, char *const argv[], int output, int *status)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid;
	int err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	err = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	if (!err)
		err = posix_spawn(&pid, program, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (err)
		return -err;
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int run_mkfs(const struct job *job, const char *file, struct ktstr_error *error)
{
	char *argv[8] = {(char *)(uintptr_t)job->program};
	char printed[300] = "";
	int output = memfd_create("ktstr-mkfs", MFD_CLOEXEC), status = 0, err, n = 1;

	for (size_t i = 0; i < 5 && job->fs->options[i]; i++)
		argv[n++] = (char *)(uintptr_t)job->fs->options[i];
	argv[n] = (char *)(uintptr_t)file;
	err = output < 0 ? -errno : spawn(job->program, argv, output, &status);
	if (!err)
		read_output(output, printed, sizeof(printed));
	if (output >= 0)
		close(output);
	if (err)
		return ktstr_error__set(error, -err, OPERATION, job->program, NULL);
	if (WIFSIGNALED(status))
		return ktstr_error__set(error, EIO, OPERATION, job->program,
					"it was ended by signal %d", WTERMSIG(status));
	if (status)
		return ktstr_error__set(
			error, EINVAL, OPERATION, job->program, "%llu MiB, exit code %d: %s",
			(unsigned long long)(job->size >> 20), WEXITSTATUS(status), printed);
	return 0;
}

/* ---- Files ---- */

/* A new file in @dir, to read and write. -errno. */
static int open_unnamed(const char *dir)
{
	char path[PATH_MAX];
	struct stat st;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), n;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd < 0 ? -errno : fd;
	n = snprintf(path, sizeof(path), "%s/clone" UNFINISHED "XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Some network file systems lose a file with its name. */
	if (unlink(path) || fstat(fd, &st)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* A file system in a new file of @dir, whose name the caller removes or changes. A descriptor. */
static int make_file(const struct job *job, const char *dir, char path[PATH_MAX],
		     struct ktstr_error *error)
{
	int n = snprintf(path, PATH_MAX, "%s/%s" UNFINISHED "XXXXXX", dir, job->name), fd, err;

	if (n < 0 || n >= PATH_MAX)
		return ktstr_error__set(error, ENAMETOOLONG, OPERATION, dir, NULL);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return ktstr_error__set(error, errno, OPERATION, dir, NULL);
	if (ftruncate(fd, (off_t)job->size))
		err = ktstr_error__set(error, errno, OPERATION, path, NULL);
	else
		err = run_mkfs(job, path, error);
	if (!err)
		return fd;
	unlink(path);
	close(fd);
	return err;
}

static bool is_zero(const char *data, size_t length)
{
	return !length || (!data[0] && !memcmp(data, data + 1, length - 1));
}

static int copy_extent(int to, int from, uint64_t at, uint64_t end)
{
	char data[COPY_BLOCK];

	while (at < end) {
		size_t length = end - at < sizeof(data) ? (size_t)(end - at) : sizeof(data);
		int err = copy__read(from, data, length, at);

		if (err)
			return err;
		if (!is_zero(data, length)) {
			if (lseek(to, (off_t)at, SEEK_SET) < 0)
				return -errno;
			err = copy__write(to, data, length);
		}
		if (err)
			return err;
		at += length;
	}
	return 0;
}

int disk_image__copy_sparse(int to, int from, uint64_t size)
{
	uint64_t at = 0;

	if (ftruncate(to, (off_t)size))
		return -errno;
	while (at < size) {
		off_t data = lseek(from, (off_t)at, SEEK_DATA), hole;
		int err;

		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
		/* A file system that does not know: all of it is looked at. */
		if (data < 0 || hole <= data)
			return errno == EINVAL ? copy_extent(to, from, at, size) : -errno;
		err = copy_extent(to, from, (uint64_t)data,
				  (uint64_t)hole < size ? (uint64_t)hole : size);
		if (err)
			return err;
		at = (uint64_t)hole;
	}
	return 0;
}

#define NR_TEMPORARY_DIRS 3u

/* Where temporary files may go, beside the templates. NULL: not set. */
static const char *temporary_dir(size_t i)
{
	const char *const dirs[NR_TEMPORARY_DIRS] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};

	return dirs[i] && dirs[i][0] == '/' ? dirs[i] : NULL;
}

/* ---- Templates ---- */

bool disk_image__is_unfinished(const char *name)
{
	return strstr(name, UNFINISHED) != NULL;
}

/* One that is not whole is none: its name is there with all of its content, or it was changed. */
static int open_template(const struct job *job, const char *dir)
{
	char path[PATH_MAX];
	/* `ktstr cache` tells by that when it was used last. */
	const struct timespec used[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/%s", dir, job->name), fd;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == job->size) {
		(void)futimens(fd, used);
		return fd;
	}
	close(fd);
	return -ENOENT;
}

/*
 * With the lock held nobody else is making one: what is not finished was left by a crash. And what
 * another version of the program made will not be asked for again.
 */
static void remove_old(const struct job *job, int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd >= 0 && !dir)
		close(fd);
	while (dir && (entry = readdir(dir)))
		if (disk_image__is_unfinished(entry->d_name) ||
		    (!strncmp(entry->d_name, job->prefix, strlen(job->prefix)) &&
		     strcmp(entry->d_name, job->name) != 0))
			unlinkat(dir_fd, entry->d_name, 0);
	if (dir)
		closedir(dir);
}

/* Complete or absent, after a crash of this host, too. Returns a descriptor or -errno. */
static int make_template(const struct job *job, const char *dir, struct ktstr_error *error)
{
	char making[PATH_MAX], path[PATH_MAX];
	int fd = make_file(job, dir, making, error), err;

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "%s/%s", dir, job->name);
	if (!fsync(fd) && !fchmod(fd, 0444) && !rename(making, path))
		return fd;
	err = ktstr_error__set(error, errno, OPERATION, path, NULL);
	unlink(making);
	close(fd);
	return err;
}

/* The template: as it is there, or made now. A descriptor, or -errno. */
static int get_template(const struct job *job, const char *dir, struct ktstr_error *error)
{
	int fd = open_template(job, dir), dir_fd, locked;

	if (fd >= 0)
		return fd;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return ktstr_error__set(error, errno, OPERATION, dir, NULL);
	do
		locked = flock(dir_fd, LOCK_EX);
	while (locked && errno == EINTR);
	/* Without locks two may make one at once, and the last name counts. */
	if (!locked) {
		fd = open_template(job, dir);
		if (fd < 0)
			remove_old(job, dir_fd);
	}
	if (fd < 0)
		fd = make_template(job, dir, error);
	close(dir_fd);
	return fd;
}

/* A copy of the template in @dir. */
static int clone_into(const struct job *job, const char *dir, int source, struct disk_image *image)
{
	int err = 0;

	image->fd = open_unnamed(dir);
	if (image->fd < 0)
		return image->fd;
	image->reflinked = !ioctl(image->fd, FICLONE, source);
	if (!image->reflinked)
		err = disk_image__copy_sparse(image->fd, source, job->size);
	if (err)
		close(image->fd);
	return err;
}

/* Beside the template, or, where there is no room or right for that, elsewhere. */
static int clone_template(const struct job *job, int source, struct disk_image *image)
{
	int first = clone_into(job, job->spec->dir, source, image), err = first;

	for (size_t i = 0; err && i < NR_TEMPORARY_DIRS; i++)
		if (temporary_dir(i))
			err = clone_into(job, temporary_dir(i), source, image);
	return err ? first : 0;
}

/* ---- Images ---- */

/* A file system of its own, without a template. */
static int make_unnamed(const struct job *job, struct disk_image *image, struct ktstr_error *error)
{
	struct ktstr_error last = {0};
	char path[PATH_MAX];
	const char *dir;

	for (size_t i = 0; image->fd < 0 && i < NR_TEMPORARY_DIRS; i++) {
		dir = temporary_dir(i);
		last = (struct ktstr_error){0};
		if (dir)
			image->fd = make_file(job, dir, path, &last);
	}
	if (image->fd >= 0) {
		unlink(path);
		return 0;
	}
	if (error && !error->err)
		*error = last;
	return image->fd;
}

static int make_zeros_in(const struct job *job, const char *dir, struct disk_image *image)
{
	int err = 0;

	image->fd = open_unnamed(dir);
	if (image->fd < 0)
		return image->fd;
	if (ftruncate(image->fd, (off_t)job->size)) {
		err = -errno;
		close(image->fd);
	}
	return err;
}

static int make_zeros(const struct job *job, struct disk_image *image, struct ktstr_error *error)
{
	int err = job->spec->dir ? make_zeros_in(job, job->spec->dir, image) : -ENOENT;

	for (size_t i = 0; err && i < NR_TEMPORARY_DIRS; i++)
		if (temporary_dir(i))
			err = make_zeros_in(job, temporary_dir(i), image);
	return err ? ktstr_error__set(error, -err, OPERATION, job->fs->name, NULL) : 0;
}

/* Another program, or other options, make another template. */
static int name_template(struct job *job, struct ktstr_error *error)
{
	char identity[PATH_MAX + 256], text[DIGEST_TEXT];
	struct digest digest;
	struct stat st;
	int n;

	if (!find_program(job->fs->program, job->spec->path, job->program))
		return program_is_missing(job->fs, error);
	if (stat(job->program, &st))
		return ktstr_error__set(error, errno, OPERATION, job->program, NULL);
	n = snprintf(identity, sizeof(identity), "1 %s %lld %lld.%09ld", job->program,
		     (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	for (size_t i = 0; i < 5 && job->fs->options[i]; i++)
		n += snprintf(identity + n, sizeof(identity) - (size_t)n, " %s",
			      job->fs->options[i]);
	digest__data(identity, (size_t)n, &digest);
	digest__text(&digest, text);
	snprintf(job->prefix, sizeof(job->prefix), "%s-%lluM-%u-", job->fs->name,
		 (unsigned long long)(job->size >> 20), job->spec->number);
	snprintf(job->name, sizeof(job->name), "%s%s", job->prefix, text);
	return 0;
}

static int create_by_template(const struct job *job, struct disk_image *image,
			      struct ktstr_error *error)
{
	struct ktstr_error why = {0};
	int source = job->spec->dir ? get_template(job, job->spec->dir, &why) : -ENOENT, err;

	if (source < 0) {
		err = make_unnamed(job, image, error);
		/* What it cannot do anywhere has nothing to do with the cache. */
		if (!err && why.err)
			snprintf(image->note, sizeof(image->note),
				 "no template of disks: %.100s: %.120s", why.object,
				 why.reason[0] ? why.reason : strerror(why.err));
		return err;
	}
	err = clone_template(job, source, image);
	close(source);
	if (!err)
		return 0;
	err = ktstr_error__set(error, -err, OPERATION, job->spec->dir, NULL);
	ktstr_error__hint(error, "make room there, or give another TMPDIR");
	return err;
}

int disk_image__create(const struct disk_image_spec *spec, struct disk_image *image,
		       struct ktstr_error *error)
{
	struct job job = {.spec = spec, .fs = disk_image__find_fs(spec->fs)};
	uint32_t size_mb = spec->size_mb ? spec->size_mb : DISK_IMAGE_DEFAULT_MB;
	int err;

	*image = (struct disk_image){.fd = -1};
	if (!job.fs)
		return ktstr_error__set(error, EINVAL, OPERATION, spec->fs,
					"no such file system: it can be " DISK_FS_NAMES);
	if (size_mb > DISK_IMAGE_MAX_MB)
		return ktstr_error__set(error, EINVAL, OPERATION, spec->fs,
					"%u MiB are more than 16 TiB", size_mb);
	job.size = (uint64_t)size_mb << 20;
	if (!job.fs->program)
		err = make_zeros(&job, image, error);
	else
		err = name_template(&job, error);
	if (!err && job.fs->program)
		err = create_by_template(&job, image, error);
	if (err)
		image->fd = -1;
	return err;
}
