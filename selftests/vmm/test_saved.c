// SPDX-License-Identifier: GPL-2.0-only
/* Machines as files: what is written comes back, and what was edited wrongly is refused. */
#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/saved.h"

static const char *const names[] = {"machine", "kernel", "initramfs", "guest.config"};

FIXTURE(saved)
{
	char dir[40];
	struct vm_inputs inputs;
	struct saved_machine machine;
	struct ktstr_vm_config config;
	struct ktstr_error error;
};

FIXTURE_SETUP(saved)
{
	strcpy(self->dir, "/tmp/ktstr-saved-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ktstr_vm_config__defaults(&self->config);
	vm_inputs__init(&self->inputs);
}

FIXTURE_TEARDOWN(saved)
{
	char path[96];

	vm_inputs__free(&self->inputs);
	saved_machine__free(&self->machine);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", self->dir, names[i]);
		unlink(path);
	}
	rmdir(self->dir);
}

/* An unnamed file of @size bytes that are not all the same. */
static int make_file(size_t size, unsigned int seed)
{
	FILE *f = tmpfile();
	int fd;

	for (size_t i = 0; i < size; i++)
		fputc((int)(i * 7 + seed) & 0xff, f);
	fflush(f);
	fd = dup(fileno(f));
	fclose(f);
	return fd;
}

static bool same_bytes(int a, int b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char x = 0, y = 1;

		if (pread(a, &x, 1, (off_t)i) != 1 || pread(b, &y, 1, (off_t)i) != 1 || x != y)
			return false;
	}
	return true;
}

static int write_machine(FIXTURE_DATA(saved) * self)
{
	if (vm_inputs__take_kernel(&self->inputs, make_file(3001, 1), &self->error))
		return -EIO;
	/* A cached archive has more behind it that is not part of it. */
	if (initramfs_image__of_file(&self->inputs.initramfs, make_file(4096 + 77, 2), 4096))
		return -ENOMEM;
	self->inputs.guest_config_length = 9;
	self->inputs.guest_config = malloc(9);
	memcpy(self->inputs.guest_config, "a=b\0c=d\n", 9);
	if (vm_inputs__describe(&self->inputs, &self->config, "/boot/vmlinuz", "7.3"))
		return -ENOMEM;
	return saved__write(&self->inputs, self->dir, &self->error);
}

TEST_F(saved, files_come_back_byte_for_byte)
{
	struct vm_inputs back;
	struct stat st;

	ASSERT_EQ(0, write_machine(self));
	vm_inputs__init(&back);
	ASSERT_EQ(0, saved__open(self->dir, &back, &self->error));
	ASSERT_EQ(0, fstat(back.kernel_fd, &st));
	EXPECT_EQ(3001, st.st_size);
	EXPECT_TRUE(same_bytes(self->inputs.kernel_fd, back.kernel_fd, 3001));
	EXPECT_EQ(4096, back.initramfs.size);
	EXPECT_TRUE(same_bytes(self->inputs.initramfs.fds[0], back.initramfs.fds[0], 4096));
	EXPECT_EQ(9, back.guest_config_length);
	EXPECT_EQ(0, memcmp("a=b\0c=d\n", back.guest_config, 9));
	vm_inputs__free(&back);
}

/* A record of what did not run would be worse than none. */
TEST_F(saved, a_kernel_that_was_built_anew_meanwhile_is_not_saved)
{
	char path[96], text[256];

	ASSERT_EQ(0, write_machine(self));
	usleep(20000); /* its time shows it */
	ASSERT_EQ(5, pwrite(self->inputs.kernel_fd, "anew!", 5, 100));
	EXPECT_EQ(-ESTALE, saved__write(&self->inputs, self->dir, &self->error));
	ktstr_error__format(&self->error, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "built anew while the machine ran"));
	snprintf(path, sizeof(path), "%s/kernel", self->dir);
	EXPECT_EQ(-1, access(path, F_OK));
}

/* Of a guest whose files are on a disk, and no other. */
TEST_F(saved, the_image_of_the_base_comes_back_where_there_is_one)
{
	struct vm_inputs back;

	ASSERT_EQ(0, write_machine(self));
	vm_inputs__init(&back);
	ASSERT_EQ(0, saved__open(self->dir, &back, &self->error));
	EXPECT_EQ(0, back.base.nr_segments);
	vm_inputs__free(&back);

	ASSERT_EQ(0, initramfs_image__of_file(&self->inputs.base, make_file(8192 + 77, 3), 8192));
	ASSERT_EQ(0, saved__write(&self->inputs, self->dir, &self->error));
	ASSERT_EQ(0, saved__open(self->dir, &back, &self->error));
	ASSERT_EQ(1, back.base.nr_segments);
	EXPECT_TRUE(back.base.disk);
	EXPECT_EQ(8192, back.base.size);
	EXPECT_EQ(8192, lseek(back.base.fds[0], 0, SEEK_END));
	EXPECT_TRUE(same_bytes(self->inputs.base.fds[0], back.base.fds[0], 8192));
	vm_inputs__free(&back);
}

TEST_F(saved, settings_come_back)
{
	const struct ktstr_vm_config *c = &self->machine.config;

	self->config.topology = (struct ktstr_topology){
		.numa_nodes = 2,
		.llcs = 3,
		.cores_per_llc = 2,
		.threads_per_core = 2,
		.nodes = KTSTR_NODES({.llcs = 2, .memory_mb = 300}, {.llcs = 1, .latency_ns = 90}),
		.distances = KTSTR_DISTANCES(10, 17, 17, 10),
		.caches = {.l3_kb = 8192},
	};
	self->config.memory_mb = 777;
	self->config.irqchip = KTSTR_IRQCHIP_SPLIT;
	self->config.performance_mode = PERFORMANCE_BEST_EFFORT;
	self->config.cpu_vendor = KTSTR_VENDOR_AMD;
	self->config.role = KTSTR_ROLE_COMMAND;
	self->config.append = "a=\"b c\" quiet=no";
	self->config.scheduler = "/opt/scx=x";
	self->config.disks = (const struct ktstr_disk[]){
		{.path = "/dev/../dev/zero"},
		{.path = "/no/such,image",
		 .read_only = true,
		 .iops = 5,
		 .burst_bytes = 7,
		 .bytes_per_s = 6,
		 .queues = 2,
		 .serial = "a=b"},
		{.fs = "xfs", .size_mb = 300, .mount = "/mnt/a b", .iops = 9},
	};
	self->config.nr_disks = 3;
	self->config.nics = (const struct ktstr_nic[]){
		{.network = NULL},
		{.network = "a",
		 .rate_bps = 8,
		 .delay_us = 9,
		 .queues = 3,
		 .mac = {2, 0, 0, 0, 0, 4}},
	};
	self->config.nr_nics = 2;
	self->config.timeout_s = 5;
	self->config.attach_timeout_s = 6;
	self->config.boot_timeout_s = 7;
	ASSERT_EQ(0, write_machine(self));
	ASSERT_EQ(0, saved_machine__read(self->dir, &self->machine, &self->error));
	EXPECT_EQ(2, c->topology.numa_nodes);
	EXPECT_EQ(12, ktstr_topology__cpus(&c->topology));
	ASSERT_NE(NULL, c->topology.nodes);
	EXPECT_EQ(300, c->topology.nodes[0].memory_mb);
	EXPECT_EQ(90, c->topology.nodes[1].latency_ns);
	ASSERT_NE(NULL, c->topology.distances);
	EXPECT_EQ(17, c->topology.distances[1]);
	EXPECT_EQ(8192, c->topology.caches.l3_kb);
	EXPECT_EQ(777, c->memory_mb);
	EXPECT_EQ(KTSTR_IRQCHIP_SPLIT, c->irqchip);
	EXPECT_EQ(PERFORMANCE_BEST_EFFORT, c->performance_mode);
	EXPECT_EQ(KTSTR_VENDOR_AMD, c->cpu_vendor);
	EXPECT_EQ(KTSTR_ROLE_COMMAND, c->role);
	EXPECT_STREQ("a=\"b c\" quiet=no", c->append);
	EXPECT_STREQ("/opt/scx=x", c->scheduler);
	ASSERT_EQ(3, c->nr_disks);
	EXPECT_STREQ("/dev/zero", c->disks[0].path);
	EXPECT_FALSE(c->disks[0].read_only);
	EXPECT_EQ(NULL, c->disks[0].serial);
	EXPECT_STREQ("/no/such,image", c->disks[1].path);
	EXPECT_TRUE(c->disks[1].read_only);
	EXPECT_EQ(5, c->disks[1].iops);
	EXPECT_EQ(6, c->disks[1].bytes_per_s);
	EXPECT_EQ(7, c->disks[1].burst_bytes);
	EXPECT_EQ(2, c->disks[1].queues);
	EXPECT_STREQ("a=b", c->disks[1].serial);
	ASSERT_EQ(2, c->nr_nics);
	EXPECT_EQ(NULL, c->nics[0].network);
	EXPECT_EQ(0, c->nics[0].mac[0]);
	EXPECT_STREQ("a", c->nics[1].network);
	EXPECT_EQ(8, c->nics[1].rate_bps);
	EXPECT_EQ(9, c->nics[1].delay_us);
	EXPECT_EQ(3, c->nics[1].queues);
	EXPECT_EQ(4, c->nics[1].mac[5]);
	EXPECT_EQ(NULL, c->disks[1].fs);
	EXPECT_EQ(NULL, c->disks[2].path);
	EXPECT_STREQ("xfs", c->disks[2].fs);
	EXPECT_EQ(300, c->disks[2].size_mb);
	EXPECT_STREQ("/mnt/a b", c->disks[2].mount);
	EXPECT_EQ(9, c->disks[2].iops);
	EXPECT_EQ(5, c->timeout_s);
	EXPECT_EQ(6, c->attach_timeout_s);
	EXPECT_EQ(7, c->boot_timeout_s);
	EXPECT_STREQ(self->dir, c->saved);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

TEST_F(saved, a_line_that_is_not_understood_is_named)
{
	static const char *const bad[] = {
		"format=2\n",
		"memory_mb=-1\n",
		"memory_mb=many\n",
		"timeout_s=99999999999\n",
		"role=god\n",
		"irqchip=\n",
		"performance=some\n",
		"topology=--topology 0n\n",
		"topology=--node\n",
		"no equals\n",
		"vendor=via\n",
		"disk_options=ro\n",
		"nic=rate=x\n",
		"nic=\nnic=\nnic=\nnic=\nnic=\nnic=\nnic=\n",
		"disk=/image\ndisk_options=rw\n",
		"disk=/image\ndisk_options=fs=ext4\n",
		"disk=1\ndisk=2\ndisk=3\ndisk=4\ndisk=5\ndisk=6\ndisk=7\ndisk=8\ndisk=9\n",
	};

	char text[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "%send=1\n", bad[i]);
		put(self->dir, "machine", text);
		memset(&self->error, 0, sizeof(self->error));
		EXPECT_EQ(-EINVAL, saved_machine__read(self->dir, &self->machine, &self->error))
		{
			TH_LOG("%s", bad[i]);
		}
		saved_machine__free(&self->machine);
	}
	put(self->dir, "machine", "format=1\nlater=thing\n");
	memset(&self->error, 0, sizeof(self->error));
	EXPECT_EQ(-EINVAL, saved_machine__read(self->dir, &self->machine, &self->error));
	EXPECT_STREQ("it is cut", self->error.reason);
	saved_machine__free(&self->machine);
	put(self->dir, "machine", "format=1\nlater=thing\nend=1\n");
	EXPECT_EQ(0, saved_machine__read(self->dir, &self->machine, &self->error));
}

/* Who reads a record of somebody else has a terminal that obeys. */
TEST_F(saved, nothing_of_a_bad_line_reaches_a_terminal_as_a_command)
{
	char text[256];

	put(self->dir, "machine",
	    "memory_mb=\x1b]0;mine\x07\xc2\x9b"
	    "1m\xc3\xa9\x7f\nend=1\n");
	ASSERT_EQ(-EINVAL, saved_machine__read(self->dir, &self->machine, &self->error));
	ktstr_error__format(&self->error, text, sizeof(text));
	EXPECT_STREQ("machine: read: \"memory_mb=?]0;mine???1m\xc3\xa9?\" is not understood",
		     text);
}

TEST_F(saved, what_is_missing_or_cut_is_named)
{
	struct vm_inputs back;
	char path[96];

	EXPECT_EQ(-ENOENT, saved_machine__read(self->dir, &self->machine, &self->error));
	EXPECT_NE(NULL, strstr(self->error.object, "/machine"));
	saved_machine__free(&self->machine);

	ASSERT_EQ(-EINVAL, saved__write(&self->inputs, self->dir, NULL));
	ASSERT_EQ(0, write_machine(self));
	snprintf(path, sizeof(path), "%s/initramfs", self->dir);
	ASSERT_EQ(0, truncate(path, 4095));
	vm_inputs__init(&back);
	memset(&self->error, 0, sizeof(self->error));
	EXPECT_EQ(-EINVAL, saved__open(self->dir, &back, &self->error));
	EXPECT_STREQ("initramfs", self->error.object);
	vm_inputs__free(&back);
	unlink(path);
	memset(&self->error, 0, sizeof(self->error));
	EXPECT_EQ(-ENOENT, saved__open(self->dir, &back, &self->error));
	vm_inputs__free(&back);
}

TEST_HARNESS_MAIN
