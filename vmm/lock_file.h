/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lock files that all users and all versions share, one for each LLC of the host: where they are,
 * how they are opened, what their bytes mean. The format must not change.
 *
 * Locks are those of fcntl(F_SETLK), which the kernel takes off when their process ends, and which
 * it names: byte LOCK_FILE_USE for the LLC itself, shared or exclusive; LOCK_FILE_GATE, through
 * which who has to wait goes first, so that no stream of sharers starves one that wants it alone;
 * LOCK_FILE_SLOTS + i for record i, by whoever wrote it. A record that nobody locks is nobody's.
 */
#ifndef KTSTR_VMM_LOCK_FILE_H
#define KTSTR_VMM_LOCK_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOCK_DIR_VARIABLE "KTSTR_LOCK_DIR"

#define LOCK_FILE_USE 0
#define LOCK_FILE_GATE 1
#define LOCK_FILE_SLOTS (1 << 20)
#define LOCK_FILE_NR_SLOTS 1024u
/* CPUs of one LLC that a record can name */
#define LOCK_RECORD_CPUS 512u

struct lock_record {
	char magic[8];	/* LOCK_RECORD_MAGIC, without a NUL */
	int32_t pid;	/* of the program that runs the machine, in its PID namespace */
	int32_t holder; /* of the process that has the locks, likewise */
	uint32_t exclusive, waits;
	int64_t since_s; /* CLOCK_REALTIME */
	/* The n-th CPU of those online of the LLC, ascending, is used */
	uint64_t cpus[LOCK_RECORD_CPUS / 64];
	char what[192]; /* a command or a test, with a NUL; from anybody: not to be trusted */
	uint8_t reserved[32];
};
#define LOCK_RECORD_MAGIC "ktstrlk1"

_Static_assert(sizeof(struct lock_record) == 320, "the same for all programs");

/*
 * The directory of this machine: LOCK_DIR_VARIABLE; /run/lock/ktstr where all may write to
 * /run/lock; or /tmp/ktstr-locks. By what is the same for all users, not by what this one may.
 */
void lock_dir__path(char path[PATH_MAX]);
/*
 * Opens it; with @create, makes it, for all (the umask is the caller's). -EPERM: it is neither for
 * all (mode 1777) nor this user's alone, so others could exchange the files; -ENOTDIR, -ELOOP: it
 * is something else, or a symbolic link; -errno.
 */
int lock_dir__open(const char *path, bool create);

/*
 * Opens the file @name there; with @create for locks, and makes it, otherwise to look. -EPERM: it
 * is no plain file, or has another name: what we write would be another's; -ELOOP, -errno.
 */
int lock_file__open(int dir_fd, const char *name, bool create);
/* The name of an LLC's: its lowest CPU online (struct host_cpu). */
void lock_file__name(uint32_t llc, char name[32]);
/* It was removed, so that others lock another. */
bool lock_file__is_gone(int fd);

/* F_RDLCK, F_WRLCK or F_UNLCK of one byte; -EAGAIN: it is taken, and not to be waited for. */
int lock_file__set(int fd, off_t byte, short type, bool wait);
/* The lock that keeps others from @type: F_UNLCK: none. @pid: 0: of another PID namespace. */
short lock_file__get(int fd, off_t byte, short type, pid_t *pid);

/* Takes a free slot. -ENOSPC: there is none. */
int lock_file__claim(int fd, uint32_t *slot);
void lock_file__write(int fd, uint32_t slot, const struct lock_record *record);

/* One that is alive. */
struct lock_user {
	struct lock_record record;
	bool elsewhere; /* its pids are of another PID namespace */
};
/*
 * Calls @fn for each user of the file. One that has not written its record yet has the pid of its
 * holder and what "".
 */
void lock_file__users(int fd, void (*fn)(void *opaque, const struct lock_user *user), void *opaque);

#endif /* KTSTR_VMM_LOCK_FILE_H */
