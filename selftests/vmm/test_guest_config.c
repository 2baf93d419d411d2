// SPDX-License-Identifier: GPL-2.0-only
/* The pure parts of PID 1: configuration, module list, sched_ext state, uevents and exit lines. */
#include "kselftest_harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ktstr/vm.h>

#include "guest/config.h"
#include "guest/disks.h"
#include "guest/scx.h"

static int parse(const char *records, size_t length, struct guest_config *config, char why[256])
{
	char *text = malloc(length + 1);

	memcpy(text, records, length);
	return guest_config__parse(text, length, config, why, 256);
}

#define PARSE(records) parse(records, sizeof(records) - 1, &config, why)

TEST(config_with_every_key)
{
	struct guest_config config;
	char why[256];

	ASSERT_EQ(0, PARSE("scheduler_arg=-v\0role=shell\0argv=sh\0argv=\0argv=a=b\0env=A=1\0"
			   "env=B=x=y\0cwd=/tmp\0scheduler=/scheduler\0scheduler_arg=-n 3\0"
			   "scheduler_ops=simple\0hostname=h\0attach_timeout_ms=1500\0tty=24x80\0"
			   "stats=1\0key_of_tomorrow=1\0"));
	EXPECT_EQ(GUEST_ROLE_SHELL, config.role);
	EXPECT_EQ(3, config.argc);
	EXPECT_STREQ("sh", config.argv[0]);
	EXPECT_STREQ("", config.argv[1]);
	EXPECT_STREQ("a=b", config.argv[2]);
	EXPECT_EQ(NULL, config.argv[3]);
	EXPECT_EQ(2, config.nr_env);
	EXPECT_STREQ("B=x=y", config.env[1]);
	EXPECT_STREQ("/tmp", config.cwd);
	EXPECT_STREQ("/scheduler", config.scheduler[0]);
	EXPECT_STREQ("-v", config.scheduler[1]);
	EXPECT_STREQ("-n 3", config.scheduler[2]);
	EXPECT_EQ(NULL, config.scheduler[3]);
	EXPECT_STREQ("simple", config.scheduler_ops);
	EXPECT_STREQ("h", config.hostname);
	EXPECT_EQ(1500, config.attach_timeout_ms);
	EXPECT_EQ(24, config.rows);
	EXPECT_EQ(80, config.columns);
	EXPECT_TRUE(config.stats);
	guest_config__free(&config);
}

TEST(config_has_mounts_in_their_order)
{
	struct guest_config config;
	char why[256];

	ASSERT_EQ(0, PARSE("role=test\0argv=t\0mount=disk0,btrfs,rw,/mnt\0"
			   "mount=my disk/=,xfs,ro,/a,b\0"));
	ASSERT_EQ(2, config.nr_mounts);
	EXPECT_STREQ("disk0", config.mounts[0].serial);
	EXPECT_STREQ("btrfs", config.mounts[0].fs);
	EXPECT_STREQ("/mnt", config.mounts[0].path);
	EXPECT_FALSE(config.mounts[0].read_only);
	EXPECT_STREQ("my disk/=", config.mounts[1].serial);
	EXPECT_STREQ("xfs", config.mounts[1].fs);
	EXPECT_STREQ("/a,b", config.mounts[1].path);
	EXPECT_TRUE(config.mounts[1].read_only);
	guest_config__free(&config);
}

TEST(config_without_scheduler_has_none)
{
	struct guest_config config;
	char why[256];

	ASSERT_EQ(0, PARSE("role=test\0argv=t\0"));
	EXPECT_EQ(NULL, config.scheduler[0]);
	EXPECT_FALSE(config.stats);
	EXPECT_EQ(GUEST_ATTACH_TIMEOUT_MS, config.attach_timeout_ms);
	guest_config__free(&config);
}

#define EXPECT_BAD(records, reason)                 \
	do {                                        \
		EXPECT_EQ(-EINVAL, PARSE(records)); \
		EXPECT_STREQ(reason, why);          \
		guest_config__free(&config);        \
	} while (0)

TEST(bad_config_names_the_record)
{
	struct guest_config config;
	char why[256];

	EXPECT_BAD("", "no role");
	EXPECT_BAD("role=test\0", "no argv");
	EXPECT_BAD("role=king\0", "bad record: role=king");
	EXPECT_BAD("role\0", "bad record: role");
	EXPECT_BAD("role=test\0argv=t", "a record of 6 bytes is not terminated");
	EXPECT_BAD("env=A\0", "bad record: env=A");
	EXPECT_BAD("tty=24\0", "bad record: tty=24");
	EXPECT_BAD("tty=24x80x\0", "bad record: tty=24x80x");
	EXPECT_BAD("tty=70000x80\0", "bad record: tty=70000x80");
	EXPECT_BAD("tty=24x+80\0", "bad record: tty=24x+80");
	EXPECT_BAD("attach_timeout_ms=-1\0", "bad record: attach_timeout_ms=-1");
	EXPECT_BAD("attach_timeout_ms=4294967296\0", "bad record: attach_timeout_ms=4294967296");
	EXPECT_BAD("scheduler=\0", "bad record: scheduler=");
	EXPECT_BAD("mount=a,b,rw\0", "bad record: mount=a,b,rw");
	EXPECT_BAD("mount=a,b,rx,/c\0", "bad record: mount=a,b,rx,/c");
	EXPECT_BAD("mount=a,b,rw,c\0", "bad record: mount=a,b,rw,c");
	EXPECT_BAD("mount=,b,rw,/c\0", "bad record: mount=,b,rw,/c");
	EXPECT_BAD("mount=a,,rw,/c\0", "bad record: mount=a,,rw,/c");
}

TEST(module_list_is_walked_in_order)
{
	char text[] = "# load order\n/lib/a.ko\n\n  \n/lib/b.ko.xz \r\n/lib/c.ko";
	char *cursor = text;

	EXPECT_STREQ("/lib/a.ko", guest_modules__next(&cursor));
	EXPECT_STREQ("/lib/b.ko.xz", guest_modules__next(&cursor));
	EXPECT_STREQ("/lib/c.ko", guest_modules__next(&cursor));
	EXPECT_EQ(NULL, guest_modules__next(&cursor));
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
}

static void put_away(const char *dir)
{
	static const char *const names[] = {"root/ops", "root", "state", "enable_seq", ""};
	char path[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
}

TEST(disk_is_found_by_its_serial_number)
{
	char dir[] = "/tmp/ktstr-block.XXXXXX", device[64], name[16];
	static const char *const names[] = {"loop0", "vda", "vdb"};

	ASSERT_NE(NULL, mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		snprintf(device, sizeof(device), "%s/%s", dir, names[i]);
		ASSERT_EQ(0, mkdir(device, 0755));
	}
	snprintf(device, sizeof(device), "%s/vda", dir);
	put(device, "serial", "disk10\n");
	snprintf(device, sizeof(device), "%s/vdb", dir);
	put(device, "serial", "disk1");
	EXPECT_TRUE(disks__find(dir, "disk1", name, sizeof(name)));
	EXPECT_STREQ("vdb", name);
	EXPECT_TRUE(disks__find(dir, "disk10", name, sizeof(name)));
	EXPECT_STREQ("vda", name);
	EXPECT_FALSE(disks__find(dir, "disk", name, sizeof(name)));
	EXPECT_FALSE(disks__find(dir, "disk1", name, 3));
	EXPECT_FALSE(disks__find("/nowhere", "disk1", name, sizeof(name)));
	for (size_t i = 0; i < 3; i++) {
		snprintf(device, sizeof(device), "%s/%s/serial", dir, names[i]);
		unlink(device);
		*strrchr(device, '/') = '\0';
		rmdir(device);
	}
	rmdir(dir);
}

TEST(attached_means_enabled_with_ops_and_a_new_enable_seq)
{
	char dir[] = "/tmp/ktstr-scx-XXXXXX", root[64];
	struct scx_state before, now;

	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(root, sizeof(root), "%s/root", dir);
	scx_state__read(dir, &before);
	EXPECT_FALSE(before.present);
	put(dir, "state", "disabled\n");
	put(dir, "enable_seq", "7\n");
	scx_state__read(dir, &before);
	EXPECT_TRUE(before.present);
	EXPECT_EQ(7, before.enable_seq);
	EXPECT_FALSE(scx_state__attached(&before, &before));
	mkdir(root, 0755);
	put(root, "ops", "simple\n");
	put(dir, "state", "enabled\n");
	scx_state__read(dir, &now);
	EXPECT_STREQ("simple", now.ops);
	EXPECT_FALSE(scx_state__attached(&now, &before)); /* an older one */
	put(dir, "enable_seq", "8\n");
	scx_state__read(dir, &now);
	EXPECT_TRUE(scx_state__attached(&now, &before));
	put(dir, "state", "enabling\n");
	scx_state__read(dir, &now);
	EXPECT_FALSE(scx_state__attached(&now, &before));
	put(dir, "state", "enabled\n");
	put(root, "ops", "");
	scx_state__read(dir, &now);
	EXPECT_FALSE(scx_state__attached(&now, &before));
	put_away(dir);
}

TEST(uevents_of_sched_ext_are_told_from_others)
{
	static const char add[] = "add@/kernel/sched_ext/root\0ACTION=add\0SCXOPS=simple";
	static const char other[] = "add@/devices/virtual/x\0DEVPATH=/kernel/sched_ext/root";

	EXPECT_TRUE(scx__is_uevent(add, sizeof(add)));
	EXPECT_FALSE(scx__is_uevent(other, sizeof(other)));
	EXPECT_FALSE(scx__is_uevent(add, 10));
	EXPECT_FALSE(scx__is_uevent("", 0));
}

TEST(exit_line_is_found_in_any_chunking)
{
	static const char out[] =
		"local=1 global=2\nEXIT: first\nnot EXIT: this\n\n"
		"EXIT: runnable task stall (stress[99] failed to run for 5.1s)\nbye";

	for (size_t piece = 1; piece < sizeof(out); piece++) {
		struct scx_exit_line parser = {0};

		for (size_t at = 0; at < sizeof(out) - 1; at += piece)
			scx_exit_line__feed(&parser, out + at,
					    sizeof(out) - 1 - at < piece ? sizeof(out) - 1 - at
									 : piece);
		scx_exit_line__end(&parser);
		ASSERT_STREQ("runnable task stall (stress[99] failed to run for 5.1s)",
			     parser.exit);
		ASSERT_STREQ("bye", parser.last);
	}
}

#define RULE "================================================================================\n"

TEST(debug_dump_is_found_in_any_chunking)
{
	static const char out[] =
		"before\n\nDEBUG DUMP\n" RULE "\nold\n\n" RULE
		"\nEXIT: unregistered from user space\n"
		"\nDEBUG DUMP\n" RULE "\nCPU states\n----------\n\n  R a[1]\n\n\n" RULE
		"\nEXIT: runnable task stall (x)\nafter\n";
	static const char dump[] = "CPU states\n----------\n\n  R a[1]";

	for (size_t piece = 1; piece < sizeof(out); piece++) {
		struct scx_exit_line parser = {0};

		for (size_t at = 0; at < sizeof(out) - 1; at += piece)
			scx_exit_line__feed(&parser, out + at,
					    sizeof(out) - 1 - at < piece ? sizeof(out) - 1 - at
									 : piece);
		scx_exit_line__end(&parser);
		ASSERT_EQ(sizeof(dump) - 1, parser.dump_used);
		ASSERT_EQ(0, memcmp(dump, parser.dump, sizeof(dump) - 1));
		ASSERT_STREQ("runnable task stall (x)", parser.exit);
	}
}

TEST(a_dump_without_end_stops_at_the_exit_line_and_one_without_bounds_is_cut)
{
	static const char head[] = "DEBUG DUMP\n" RULE "first\n";
	struct scx_exit_line parser = {0};
	char line[500];

	scx_exit_line__feed(&parser, head, sizeof(head) - 1);
	scx_exit_line__feed(&parser, "EXIT: x\nno dump\n", 16);
	EXPECT_EQ(6, parser.dump_used);

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	scx_exit_line__feed(&parser, head, sizeof(head) - 1);
	for (int i = 0; i < 1000; i++)
		scx_exit_line__feed(&parser, line, sizeof(line));
	scx_exit_line__feed(&parser, "\nshort\n", 7);
	EXPECT_EQ(KTSTR_SCX_DUMP_MAX, parser.dump_used);
	EXPECT_EQ(0, memcmp(parser.dump, "first\nxxx", 9));
	EXPECT_EQ('x', parser.dump[KTSTR_SCX_DUMP_MAX - 1]);
	scx_exit_line__feed(&parser, "EXIT: y\n", 8);
	EXPECT_STREQ("y", parser.exit);
}

TEST(exit_lines_are_taken_apart)
{
	static const struct {
		const char *line, *reason, *message;
		uint32_t kind;
		int cpu;
	} lines[] = {
		{"unregistered from user space", "unregistered from user space", "",
		 KTSTR_SCX_EXIT_UNREG, -1},
		{"unregistered from BPF (told (by x)) on CPU 12", "unregistered from BPF",
		 "told (by x)", KTSTR_SCX_EXIT_UNREG_BPF, 12},
		{"unregistered from the main kernel (cpu 1 going offline)",
		 "unregistered from the main kernel", "cpu 1 going offline",
		 KTSTR_SCX_EXIT_UNREG_KERN, -1},
		{"disabled by sysrq-S on CPU 0", "disabled by sysrq-S", "", KTSTR_SCX_EXIT_SYSRQ,
		 0},
		{"parent exiting", "parent exiting", "", KTSTR_SCX_EXIT_PARENT, -1},
		{"killed by parent scheduler", "killed by parent scheduler", "",
		 KTSTR_SCX_EXIT_PARENT_KILL, -1},
		{"runtime error (invalid DSQ)", "runtime error", "invalid DSQ",
		 KTSTR_SCX_EXIT_ERROR, -1},
		{"scx_bpf_error (on CPU 3)", "scx_bpf_error", "on CPU 3", KTSTR_SCX_EXIT_ERROR_BPF,
		 -1},
		{"runnable task stall (a[1] failed)", "runnable task stall", "a[1] failed",
		 KTSTR_SCX_EXIT_ERROR_STALL, -1},
		{"reenqueue limit", "reenqueue limit", "", KTSTR_SCX_EXIT_ERROR_REENQ, -1},
		{"rescue bandwidth overload", "rescue bandwidth overload", "",
		 KTSTR_SCX_EXIT_ERROR_RESCUE, -1},
		{"something new (x) on CPU 99999999", "something new (x) on CPU 99999999", "",
		 KTSTR_SCX_EXIT_NONE, -1},
		{"", "", "", KTSTR_SCX_EXIT_NONE, -1},
		{" on CPU 1", "", "", KTSTR_SCX_EXIT_NONE, 1},
	};
	struct scx_exit exit;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		scx_exit__parse(&exit, lines[i].line);
		EXPECT_EQ(lines[i].kind, exit.kind);
		EXPECT_STREQ(lines[i].reason, exit.reason);
		EXPECT_STREQ(lines[i].message, exit.message);
		EXPECT_EQ(lines[i].cpu, exit.cpu);
	}
}

static bool read_log(struct scx_exit *exit, const char *text, const char *ops)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	bool seen;

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET))
		abort();
	seen = scx_exit__read_log(exit, fd, ops);
	close(fd);
	return seen;
}

TEST(the_kernels_log_tells_how_a_scheduler_ended)
{
	static const char log[] =
		"6,1,10,-;sched_ext: BPF scheduler \"sim\" enabled\n"
		"3,2,20,-;sched_ext: BPF scheduler \"sim\" disabled (runnable task stall)\n"
		"3,3,21,-;sched_ext: sim: a[1] failed to run for 2.1s\n"
		" KEY=x;sched_ext: BPF scheduler \"sim\" disabled (a value)\n"
		"6,4,30,-;sched_ext: BPF scheduler \"other\" disabled (disabled by sysrq-S)\n";
	struct scx_exit exit = {.kind = 7};

	EXPECT_TRUE(read_log(&exit, log, "sim"));
	EXPECT_EQ(KTSTR_SCX_EXIT_ERROR_STALL, exit.kind);
	EXPECT_STREQ("runnable task stall", exit.reason);
	EXPECT_STREQ("a[1] failed to run for 2.1s", exit.message);
	EXPECT_EQ(-1, exit.cpu);
	EXPECT_TRUE(read_log(&exit, log, ""));
	EXPECT_EQ(KTSTR_SCX_EXIT_SYSRQ, exit.kind);
	EXPECT_STREQ("", exit.message);

	exit.kind = 7;
	EXPECT_FALSE(read_log(&exit, log, "si"));
	EXPECT_FALSE(read_log(&exit, "x;sched_ext: BPF scheduler \"sim\" disabled (\n", "sim"));
	EXPECT_FALSE(read_log(&exit, "", "sim"));
	EXPECT_EQ(7, exit.kind);
}

TEST(an_endless_exit_line_is_cut)
{
	struct scx_exit_line parser = {0};
	char x[1000];

	memset(x, 'x', sizeof(x));
	scx_exit_line__feed(&parser, "EXIT: ", 6);
	for (int i = 0; i < 10; i++)
		scx_exit_line__feed(&parser, x, sizeof(x));
	scx_exit_line__feed(&parser, "\n", 1);
	EXPECT_EQ(sizeof(parser.line) - 1 - 6, strlen(parser.exit));
}

TEST_HARNESS_MAIN
