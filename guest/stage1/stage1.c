// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first program of a guest whose files are on a disk: loads the drivers, mounts the disk with a
 * writable layer over it as the root, takes the run's configuration there, and becomes /init.
 * Freestanding: it lies in an archive that every such guest unpacks. What fails is one line on the
 * console, which the monitor knows, and the end of the machine.
 */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/reboot.h>
#include <linux/stat.h>
#include <linux/types.h>

#include <ktstr/proto.h>

#include "errno_name.h"
#include "stage1_syscall.h"

#define DISK_NODE "/disk"    /* of the block device, in the archive's file system */
#define LOWER "/lower"	     /* the image */
#define WRITABLE "/writable" /* a tmpfs: what is written in the guest */
#define UPPER WRITABLE "/upper"
#define WORK WRITABLE "/work"
#define NEW_ROOT "/newroot"

/*
 * xino: a file has the device number of the file system that it is in, as on any other; and a
 * directory of the image can be renamed (redirect_dir), as in a root of the archive.
 */
#define OVERLAY_OPTIONS \
	"lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" WORK ",redirect_dir=on,xino=on"

/* linux/dirent.h of the kernel, which is not for programs */
struct dirent64 {
	__u64 ino;
	__s64 offset;
	__u16 length;
	__u8 type;
	char name[];
};

/* ---- A little of a C library ---- */

static int starts_with(const char *text, const char *start)
{
	while (*start)
		if (*text++ != *start++)
			return 0;
	return 1;
}

/* Puts @text at @buf + @used as far as there is room; always terminated. Returns the new length. */
static unsigned long append(char *buf, unsigned long size, unsigned long used, const char *text)
{
	while (*text && used + 1 < size)
		buf[used++] = *text++;
	buf[used] = '\0';
	return used;
}

static unsigned long append_number(char *buf, unsigned long size, unsigned long used,
				   unsigned long number)
{
	char digits[24];
	int i = sizeof(digits) - 1;

	digits[i] = '\0';
	do
		digits[--i] = (char)('0' + number % 10);
	while (number /= 10);
	return append(buf, size, used, digits + i);
}

static long sys_open(const char *path, int flags, int mode)
{
	return syscall5(__NR_openat, AT_FDCWD, (long)path, flags, mode, 0);
}

static long sys_read(long fd, void *buf, unsigned long size)
{
	return syscall5(__NR_read, fd, (long)buf, (long)size, 0, 0);
}

static long sys_write(long fd, const void *buf, unsigned long size)
{
	return syscall5(__NR_write, fd, (long)buf, (long)size, 0, 0);
}

static void sys_close(long fd)
{
	syscall5(__NR_close, fd, 0, 0, 0, 0);
}

static void sys_unlink(const char *path)
{
	syscall5(__NR_unlinkat, AT_FDCWD, (long)path, 0, 0, 0);
}

/* ---- The end, when something fails ---- */

/*
 * By way of the kernel's log, so that no line of the kernel's stands in the middle of it, and at a
 * level that "quiet" lets through. @line begins with LOG_LEVEL.
 */
#define LOG_LEVEL "<1>"

static void print(const char *line, unsigned long length)
{
	long fd = sys_open("/dev/kmsg", O_WRONLY, 0);

	if (fd >= 0 && sys_write(fd, line, length) > 0)
		return;
	fd = sys_open("/dev/console", O_WRONLY | O_NOCTTY, 0); /* no CONFIG_PRINTK */
	sys_write(fd < 0 ? 2 : fd, line + sizeof(LOG_LEVEL) - 1, length - sizeof(LOG_LEVEL) + 1);
}

/* "ktstr-stage1: WHAT OBJECT: NAME (errno NUMBER)". @error: -errno. */
static void __attribute__((noreturn)) fail(const char *what, const char *object, long error)
{
	static char line[512];
	const char *name = errno_name(-error);
	unsigned long used;

	used = append(line, sizeof(line) - 1, 0, LOG_LEVEL KTSTR_STAGE1_LOG);
	used = append(line, sizeof(line) - 1, used, what);
	used = append(line, sizeof(line) - 1, used, " ");
	used = append(line, sizeof(line) - 1, used, object);
	used = append(line, sizeof(line) - 1, used, ": ");
	used = append(line, sizeof(line) - 1, used, name ? name : "error");
	used = append(line, sizeof(line) - 1, used, " (errno ");
	used = append_number(line, sizeof(line) - 1, used, (unsigned long)-error);
	used = append(line, sizeof(line) - 1, used, ")");
	line[used++] = '\n';
	print(line, used);
	syscall5(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0,
		 0);
	for (;;) /* refused: a dead init is a panic, and ends it too */
		syscall5(__NR_exit, 1, 0, 0, 0, 0);
}

static void check(long result, const char *what, const char *object)
{
	if (result < 0)
		fail(what, object, result);
}

/* ---- Files ---- */

static void make_dir(const char *path)
{
	long ret = syscall5(__NR_mkdirat, AT_FDCWD, (long)path, 0755, 0, 0);

	if (ret != -EEXIST)
		check(ret, "mkdir", path);
}

/* @what names the mount in a message. */
static void mount_on(const char *source, const char *path, const char *type, unsigned long flags,
		     const char *options, const char *what)
{
	check(syscall5(__NR_mount, (long)source, (long)path, (long)type, (long)flags,
		       (long)options),
	      "mount", what);
}

/* The whole file, terminated. Its length, or -errno; -ENOSPC: it is longer than @size - 1. */
static long read_file(const char *path, char *buf, unsigned long size)
{
	long fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0), n = 0;
	unsigned long used = 0;

	if (fd < 0)
		return fd;
	while (used < size && (n = sys_read(fd, buf + used, size - used)) > 0)
		used += (unsigned long)n;
	sys_close(fd);
	if (n < 0)
		return n;
	if (used == size)
		return -ENOSPC;
	buf[used] = '\0';
	return (long)used;
}

/* ---- Modules ---- */

/* The next path of KTSTR_GUEST_MODULES, which is changed; NULL at the end. */
static char *next_line(char **cursor)
{
	while (**cursor) {
		char *line = *cursor, *end = line;

		while (*end && *end != '\n')
			end++;
		*cursor = *end ? end + 1 : end;
		*end = '\0';
		if (*line && *line != '#')
			return line;
	}
	return 0;
}

static void load_module(const char *path)
{
	long fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0), ret;

	check(fd, "open module", path);
	ret = syscall5(__NR_finit_module, fd, (long)"", 0, 0, 0);
	if (ret != -EEXIST)
		check(ret, "load module", path);
	sys_close(fd);
	sys_unlink(path); /* its RAM is free for the test */
}

static void load_modules(void)
{
	static char list[65536];
	long ret = read_file(KTSTR_GUEST_MODULES, list, sizeof(list));
	char *cursor = list, *path;

	if (ret == -ENOENT) /* everything is built in */
		return;
	check(ret, "read", KTSTR_GUEST_MODULES);
	while ((path = next_line(&cursor)))
		load_module(path);
}

/* ---- The disk ---- */

/* An attribute of the block device @name. What read_file() returns. */
static long read_attribute(const char *name, const char *attribute, char *buf, unsigned long size)
{
	char path[512];
	unsigned long used = append(path, sizeof(path), 0, "/sys/block/");

	used = append(path, sizeof(path), used, name);
	used = append(path, sizeof(path), used, "/");
	append(path, sizeof(path), used, attribute);
	return read_file(path, buf, size);
}

static unsigned int read_number(const char **text)
{
	unsigned int number = 0;

	while (**text >= '0' && **text <= '9')
		number = number * 10 + (unsigned int)(*(*text)++ - '0');
	return number;
}

/* A node of the device @name where the archive's file system is: no devtmpfs is needed. */
static void make_node(const char *name)
{
	char buf[64];
	const char *p = buf;
	unsigned int major, minor;

	check(read_attribute(name, "dev", buf, sizeof(buf)), "read number of", name);
	major = read_number(&p);
	p += *p == ':';
	minor = read_number(&p);
	check(syscall5(__NR_mknodat, AT_FDCWD, (long)DISK_NODE, S_IFBLK | 0600,
		       (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12, 0),
	      "mknod", DISK_NODE);
}

static int is_base(const char *name)
{
	char serial[64];

	return read_attribute(name, "serial", serial, sizeof(serial)) >= 0 &&
	       starts_with(serial, KTSTR_BASE_SERIAL) &&
	       (!serial[sizeof(KTSTR_BASE_SERIAL) - 1] ||
		serial[sizeof(KTSTR_BASE_SERIAL) - 1] == '\n');
}

/* Drivers have probed their devices when loading them returns: what is not there does not come. */
static void find_disk(void)
{
	static char buf[4096] __attribute__((aligned(8)));
	long fd = sys_open("/sys/block", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;

	check(fd, "open", "/sys/block");
	while ((n = syscall5(__NR_getdents64, fd, (long)buf, sizeof(buf), 0, 0)) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

			if (entry->name[0] != '.' && is_base(entry->name)) {
				make_node(entry->name);
				sys_close(fd);
				return;
			}
			at += entry->length;
		}
	}
	check(n, "read", "/sys/block");
	fail("find the disk with serial", KTSTR_BASE_SERIAL, -ENODEV);
}

/* ---- The root ---- */

static void mount_root(void)
{
	make_dir(LOWER);
	make_dir(WRITABLE);
	make_dir(NEW_ROOT);
	mount_on(DISK_NODE, LOWER, "erofs", MS_RDONLY, 0, "erofs of the disk");
	mount_on("tmpfs", WRITABLE, "tmpfs", 0, "mode=0755", "tmpfs");
	make_dir(UPPER);
	make_dir(WORK);
	mount_on("overlay", NEW_ROOT, "overlay", 0, OVERLAY_OPTIONS, "overlay of disk and tmpfs");
	/* The overlay holds both by itself. */
	check(syscall5(__NR_umount2, (long)LOWER, 0, 0, 0, 0), "umount", LOWER);
	check(syscall5(__NR_umount2, (long)WRITABLE, 0, 0, 0, 0), "umount", WRITABLE);
}

static void take_config(void)
{
	static char buf[16384];
	static const char to[] = NEW_ROOT KTSTR_GUEST_CONFIG;
	long in = sys_open(KTSTR_GUEST_CONFIG, O_RDONLY | O_CLOEXEC, 0), out, n;

	check(in, "open", KTSTR_GUEST_CONFIG);
	make_dir(NEW_ROOT "/ktstr");
	out = sys_open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	check(out, "open", to);
	while ((n = sys_read(in, buf, sizeof(buf))) > 0) {
		for (long done = 0; done < n;) {
			long written = sys_write(out, buf + done, (unsigned long)(n - done));

			check(written, "write", to);
			done += written;
		}
	}
	check(n, "read", KTSTR_GUEST_CONFIG);
	sys_close(in);
	sys_close(out);
}

/* What is left of the archive: this program's own pages go when another takes its place. */
static void free_old_root(void)
{
	sys_unlink(KTSTR_GUEST_CONFIG);
	sys_unlink(KTSTR_GUEST_MODULES);
	sys_unlink(DISK_NODE);
	sys_unlink("/init");
}

/* The file system of the archive cannot be left by pivot_root(2): the new one is moved over it. */
static void switch_root(void)
{
	check(syscall5(__NR_umount2, (long)"/sys", 0, 0, 0, 0), "umount", "/sys");
	check(syscall5(__NR_chdir, (long)NEW_ROOT, 0, 0, 0, 0), "chdir", NEW_ROOT);
	check(syscall5(__NR_mount, (long)".", (long)"/", 0, MS_MOVE, 0), "move mount", NEW_ROOT);
	check(syscall5(__NR_chroot, (long)".", 0, 0, 0, 0), "chroot", NEW_ROOT);
	check(syscall5(__NR_chdir, (long)"/", 0, 0, 0, 0), "chdir", "/");
}

void __attribute__((noreturn, used)) start(long *stack);

void start(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	long ret;

	load_modules();
	make_dir("/sys");
	mount_on("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0, "sysfs");
	find_disk();
	mount_root();
	take_config();
	free_old_root();
	switch_root();
	ret = syscall5(__NR_execve, (long)"/init", (long)argv, (long)envp, 0, 0);
	fail("execute", "/init of the disk", ret);
}
