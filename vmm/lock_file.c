// SPDX-License-Identifier: GPL-2.0-only
/* Lock files in a directory of all users. Called in forked children too: no malloc, no stdio. */
#include "lock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_LOCK "/run/lock"

/* For all, and nobody takes away what is another's */
#define FOR_ALL (S_ISVTX | 0777)

static bool all_may_write(const char *dir)
{
	struct stat st;

	return !stat(dir, &st) && S_ISDIR(st.st_mode) && (st.st_mode & FOR_ALL) == FOR_ALL &&
	       !access(dir, W_OK); /* a read-only file system is so for all */
}

void lock_dir__path(char path[PATH_MAX])
{
	const char *given = getenv(LOCK_DIR_VARIABLE);

	if (!given || !*given)
		given = all_may_write(RUN_LOCK) ? RUN_LOCK "/ktstr" : "/tmp/ktstr-locks";
	strncpy(path, given, PATH_MAX - 1);
	path[PATH_MAX - 1] = '\0';
}

int lock_dir__open(const char *path, bool create)
{
	struct stat st;
	int fd;

	if (create && mkdir(path, FOR_ALL) && errno != EEXIST) {
		/* One that is there does on a read-only file system too. */
		int err = errno;

		if (access(path, F_OK))
			return -err;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) &&
	    ((st.st_mode & FOR_ALL) == FOR_ALL || (st.st_uid == geteuid() && !(st.st_mode & 022))))
		return fd;
	close(fd);
	return -EPERM;
}

void lock_file__name(uint32_t llc, char name[32])
{
	char digits[12];
	int n = 0;

	strcpy(name, "llc-");
	do {
		digits[n++] = (char)('0' + llc % 10);
		llc /= 10;
	} while (llc);
	name += 4;
	while (n)
		*name++ = digits[--n];
	*name = '\0';
}

int lock_file__open(int dir_fd, const char *name, bool create)
{
	int flags = (create ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat st;
	int fd;

	/*
	 * Never O_CREAT alone: with fs.protected_regular it refuses to open another user's in a
	 * sticky directory.
	 */
	do {
		fd = openat(dir_fd, name, flags);
		if (fd < 0 && errno == ENOENT && create)
			fd = openat(dir_fd, name, flags | O_CREAT | O_EXCL, 0666);
	} while (fd < 0 && errno == EEXIST);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink <= 1)
		return fd;
	close(fd);
	return -EPERM;
}

bool lock_file__is_gone(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !st.st_nlink;
}

int lock_file__set(int fd, off_t byte, short type, bool wait)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	int ret;

	do {
		ret = fcntl(fd, wait ? F_SETLKW : F_SETLK, &lock);
	} while (ret && errno == EINTR);
	return !ret ? 0 : errno == EACCES ? -EAGAIN : -errno;
}

short lock_file__get(int fd, off_t byte, short type, pid_t *pid)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	*pid = 0;
	if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK)
		return F_UNLCK;
	*pid = lock.l_pid;
	return lock.l_type;
}

int lock_file__claim(int fd, uint32_t *slot)
{
	for (*slot = 0; *slot < LOCK_FILE_NR_SLOTS; ++*slot) {
		int err = lock_file__set(fd, LOCK_FILE_SLOTS + (off_t)*slot, F_WRLCK, false);

		if (err != -EAGAIN)
			return err;
	}
	return -ENOSPC;
}

void lock_file__write(int fd, uint32_t slot, const struct lock_record *record)
{
	/* It is for people: the lock holds without. */
	if (pwrite(fd, record, sizeof(*record), (off_t)(slot * sizeof(*record))) < 0)
		return;
}

void lock_file__users(int fd, void (*fn)(void *opaque, const struct lock_user *user), void *opaque)
{
	off_t end = lseek(fd, 0, SEEK_END);

	for (uint32_t i = 0;
	     i < LOCK_FILE_NR_SLOTS && (off_t)(i * sizeof(struct lock_record)) < end; i++) {
		struct lock_user user = {.elsewhere = false};
		struct lock_record *r = &user.record;
		pid_t pid;

		if (lock_file__get(fd, LOCK_FILE_SLOTS + (off_t)i, F_WRLCK, &pid) == F_UNLCK)
			continue;
		user.elsewhere = pid <= 0;
		if (pread(fd, r, sizeof(*r), (off_t)(i * sizeof(*r))) != (ssize_t)sizeof(*r) ||
		    memcmp(r->magic, LOCK_RECORD_MAGIC, sizeof(r->magic)) != 0 ||
		    (!user.elsewhere && r->holder != pid))
			*r = (struct lock_record){.pid = pid, .holder = pid};
		r->what[sizeof(r->what) - 1] = '\0';
		fn(opaque, &user);
	}
}
