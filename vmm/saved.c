// SPDX-License-Identifier: GPL-2.0-only
/* Writes and reads the directory of a saved machine. */
#include "saved.h"
#include "disk_options.h"
#include "nic.h"
#include "performance.h"
#include "files.h"
#include "../initramfs/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KERNEL_FILE "kernel"
#define INITRAMFS_FILE "initramfs"
#define BASE_FILE "base.erofs"
#define CONFIG_FILE "guest.config"
#define MACHINE_FILE "machine"
#define FORMAT_VERSION "1"
#define END_LINE "end=" FORMAT_VERSION /* the last: without it the file is cut */

/* What a person may have edited: more is a mistake. */
#define MAX_TEXT (1u << 20)
#define MAX_TOPOLOGY 65536u

static const char *const roles[] = {
	[KTSTR_ROLE_TEST] = "test",
	[KTSTR_ROLE_COMMAND] = "command",
	[KTSTR_ROLE_SHELL] = "shell",
};
static const char *const irqchips[] = {
	[KTSTR_IRQCHIP_AUTO] = "auto",
	[KTSTR_IRQCHIP_SPLIT] = "split",
};
static const char *const vendors[] = {
	[KTSTR_VENDOR_HOST] = "host",
	[KTSTR_VENDOR_INTEL] = "intel",
	[KTSTR_VENDOR_AMD] = "amd",
};

void vm_inputs__init(struct vm_inputs *inputs)
{
	*inputs = (struct vm_inputs){.kernel_fd = -1};
}

void vm_inputs__free(struct vm_inputs *inputs)
{
	if (inputs->kernel_fd >= 0)
		close(inputs->kernel_fd);
	initramfs_image__close(&inputs->initramfs);
	initramfs_image__close(&inputs->base);
	free(inputs->guest_config);
	free(inputs->machine);
	vm_inputs__init(inputs);
}

int vm_inputs__take_kernel(struct vm_inputs *inputs, int fd, struct ktstr_error *error)
{
	inputs->kernel_fd = fd;
	return fstat(fd, &inputs->kernel) ? ktstr_error__set(error, errno, "read", "kernel", NULL)
					  : 0;
}

static int join(const char *dir, const char *name, char path[PATH_MAX], struct ktstr_error *error)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? ktstr_error__set(error, ENAMETOOLONG, "open", dir, NULL)
				      : 0;
}

/* ---- writing ---- */

/* Half a file is none. */
static int write_failed(int err, const char *dir, const char *name, struct ktstr_error *error)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	return ktstr_error__set(error, -err, "write", path, NULL);
}

static int copy_image(const struct initramfs_image *image, const char *dir, const char *name,
		      struct ktstr_error *error)
{
	int to = files__create(dir, name);
	int err = to < 0 ? to : initramfs_image__copy(image, to, NULL);

	if (to >= 0 && close(to) && !err)
		err = -errno;
	return err ? write_failed(err, dir, name, error) : 0;
}

/* Nobody has written to it since: what has lost its name, and so another ctime, is still the same.
 */
static bool is_as_loaded(const struct vm_inputs *inputs)
{
	const struct stat *old = &inputs->kernel;
	struct stat now;

	return !fstat(inputs->kernel_fd, &now) && now.st_size == old->st_size &&
	       now.st_mtim.tv_sec == old->st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == old->st_mtim.tv_nsec;
}

static int copy_kernel(const struct vm_inputs *inputs, const char *dir, struct ktstr_error *error)
{
	int to = files__create(dir, KERNEL_FILE);
	int err = to < 0 ? to
			 : copy__bytes(to, inputs->kernel_fd, 0, (uint64_t)inputs->kernel.st_size,
				       "kernel", NULL);

	if (to >= 0 && close(to) && !err)
		err = -errno;
	if (to >= 0 && !is_as_loaded(inputs)) {
		write_failed(-ESTALE, dir, KERNEL_FILE, NULL);
		return ktstr_error__set(error, ESTALE, "save", "kernel",
					"it was built anew while the machine ran");
	}
	return err ? write_failed(err, dir, KERNEL_FILE, error) : 0;
}

static int write_text(const char *dir, const char *name, const char *text, size_t length,
		      struct ktstr_error *error)
{
	int to = files__create(dir, name), err = to < 0 ? to : copy__write(to, text, length);

	if (to >= 0 && close(to) && !err)
		err = -errno;
	return err ? write_failed(err, dir, name, error) : 0;
}

/*
 * What a disk held is not saved: it is the file as it is then, so its place must be known. A fresh
 * one has none and is made again, by its options.
 */
static void describe_disk(const struct ktstr_disk *disk, FILE *f)
{
	char path[PATH_MAX];

	if (!disk->path)
		path[0] = '\0';
	else if (!realpath(disk->path, path))
		snprintf(path, sizeof(path), "%s", disk->path);
	fprintf(f, "disk=%s\ndisk_options=", path);
	disk_options__write(disk, f);
	fputc('\n', f);
}

int vm_inputs__describe(struct vm_inputs *inputs, const struct ktstr_vm_config *c,
			const char *kernel_path, const char *release)
{
	char *topology = malloc(MAX_TOPOLOGY), *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);
	int err = f && topology ? 0 : -ENOMEM;

	if (!err) {
		int n = ktstr_topology__format_options(&c->topology, topology, MAX_TOPOLOGY);

		if (n < 0 || n >= (int)MAX_TOPOLOGY)
			err = -E2BIG;
		fprintf(f, "format=%s\nktstr=%s\n", FORMAT_VERSION, KTSTR_VERSION);
		fprintf(f, "topology=%s\nmemory_mb=%u\n", topology, c->memory_mb);
		fprintf(f, "irqchip=%s\nvendor=%s\nrole=%s\n", irqchips[c->irqchip],
			vendors[c->cpu_vendor], roles[c->role]);
		if (c->performance_mode)
			fprintf(f, "performance=%s\n", performance__mode_name(c->performance_mode));
		if (c->append)
			fprintf(f, "append=%s\n", c->append);
		if (c->scheduler)
			fprintf(f, "scheduler=%s\n", c->scheduler);
		for (size_t i = 0; i < c->nr_disks; i++)
			describe_disk(&c->disks[i], f);
		for (size_t i = 0; i < c->nr_nics; i++) {
			fputs("nic=", f);
			nic_options__write(&c->nics[i], f);
			fputc('\n', f);
		}
		fprintf(f, "boot_timeout_s=%u\nattach_timeout_s=%u\ntimeout_s=%u\n",
			c->boot_timeout_s, c->attach_timeout_s, c->timeout_s);
		fprintf(f, "kernel=%s\nrelease=%s\n" END_LINE "\n", kernel_path, release);
	}
	if (f && fclose(f) && !err)
		err = -ENOMEM;
	free(topology);
	if (err) {
		free(text);
		return err;
	}
	free(inputs->machine);
	inputs->machine = text;
	return 0;
}

int saved__write(const struct vm_inputs *inputs, const char *dir, struct ktstr_error *error)
{
	int err;

	if (!inputs->machine || inputs->kernel_fd < 0 || !inputs->initramfs.nr_segments)
		return ktstr_error__set(error, EINVAL, "save", dir, "the machine was not loaded");
	err = copy_kernel(inputs, dir, error);
	if (!err)
		err = copy_image(&inputs->initramfs, dir, INITRAMFS_FILE, error);
	if (!err && inputs->base.nr_segments)
		err = copy_image(&inputs->base, dir, BASE_FILE, error);
	if (!err)
		err = write_text(dir, CONFIG_FILE, inputs->guest_config,
				 inputs->guest_config_length, error);
	/* Last: it is what says that there is a machine. */
	return err ? err
		   : write_text(dir, MACHINE_FILE, inputs->machine, strlen(inputs->machine), error);
}

/* ---- reading ---- */

static int open_file(const char *dir, const char *name, struct ktstr_error *error)
{
	char path[PATH_MAX];
	int err = join(dir, name, path, error), fd;

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	err = ktstr_error__set(error, errno, "open", path, NULL);
	ktstr_error__hint(error, "give the directory of a record, as --artifacts leaves it");
	return err;
}

/* All of a small file, with a NUL behind it. */
static int read_text(const char *dir, const char *name, char **text, size_t *length,
		     struct ktstr_error *error)
{
	int fd = open_file(dir, name, error);
	struct stat st;
	ssize_t n;

	*text = NULL;
	*length = 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || st.st_size > MAX_TEXT) {
		close(fd);
		return ktstr_error__set(error, EINVAL, "read", name, "more than %u bytes",
					MAX_TEXT);
	}
	*text = calloc(1, (size_t)st.st_size + 1);
	n = *text ? pread(fd, *text, (size_t)st.st_size, 0) : -1;
	close(fd);
	if (n != st.st_size)
		return ktstr_error__set(error, *text ? EIO : ENOMEM, "read", name, NULL);
	*length = (size_t)n;
	return 0;
}

/* The whole file @name, as an image. */
static int open_image(const char *dir, const char *name, struct initramfs_image *image,
		      struct ktstr_error *error)
{
	int fd = open_file(dir, name, error), err;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		err = ktstr_error__set(error, errno, "read", name, NULL);
	else if (!st.st_size || st.st_size % 4) /* an archive's padding is part of it */
		err = ktstr_error__set(error, EINVAL, "read", name,
				       "%llu bytes are no whole archive",
				       (unsigned long long)st.st_size);
	else
		err = 0;
	if (err) {
		close(fd);
		return err;
	}
	if (initramfs_image__of_file(image, fd, (uint64_t)st.st_size))
		return ktstr_error__set(error, ENOMEM, "read", name, NULL);
	/* Unpacked, it had room in this machine when it was recorded. */
	image->unpacked = 0;
	return 0;
}

/* Only a guest whose files are on a disk has one. */
static int open_base(const char *dir, struct initramfs_image *image, struct ktstr_error *error)
{
	char path[PATH_MAX];
	int err = join(dir, BASE_FILE, path, error);

	if (err || (access(path, F_OK) && errno == ENOENT))
		return err;
	err = open_image(dir, BASE_FILE, image, error);
	image->disk = !err;
	return err;
}

int saved__open(const char *dir, struct vm_inputs *inputs, struct ktstr_error *error)
{
	int fd = open_file(dir, KERNEL_FILE, error), err;

	if (fd < 0)
		return fd;
	err = vm_inputs__take_kernel(inputs, fd, error);
	if (!err)
		err = open_image(dir, INITRAMFS_FILE, &inputs->initramfs, error);
	if (!err)
		err = open_base(dir, &inputs->base, error);
	if (err)
		return err;
	return read_text(dir, CONFIG_FILE, &inputs->guest_config, &inputs->guest_config_length,
			 error);
}

static bool read_number(const char *value, uint32_t *to)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || n > UINT32_MAX)
		return false;
	*to = (uint32_t)n;
	return true;
}

static bool read_name(const char *value, const char *const *names, size_t count, uint32_t *to)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		*to = (uint32_t)i;
		return true;
	}
	return false;
}

/* "--topology 2n2l1c1t --node llcs=1": words as on a command line. */
static bool read_topology(struct saved_machine *machine, char *words, struct ktstr_error *error)
{
	char *save = NULL, *word = strtok_r(words, " ", &save);

	for (; word; word = strtok_r(NULL, " ", &save)) {
		char *value = strtok_r(NULL, " ", &save);

		if (strncmp(word, "--", 2) != 0 || !value ||
		    ktstr_topology_options__add(&machine->topology, word + 2, value, error))
			return false;
	}
	if (ktstr_topology_options__finish(&machine->topology, error))
		return false;
	machine->config.topology = machine->topology.topology;
	return true;
}

static bool read_disk(struct saved_machine *machine, const char *path)
{
	struct ktstr_vm_config *c = &machine->config;

	if (c->nr_disks == KTSTR_MAX_DISKS)
		return false;
	machine->disks[c->nr_disks++] = (struct ktstr_disk){.path = *path ? path : NULL};
	c->disks = machine->disks;
	return true;
}

static bool read_nic(struct saved_machine *machine, char *value)
{
	struct ktstr_vm_config *c = &machine->config;

	if (c->nr_nics == KTSTR_MAX_NICS)
		return false;
	c->nics = machine->nics;
	return !nic_options__parse(value, &machine->nics[c->nr_nics++]);
}

#define NAMES(array) (array), sizeof(array) / sizeof((array)[0])

/* Keys that are not known are a later version's, or for people. */
static bool read_setting(struct saved_machine *machine, const char *key, char *value,
			 struct ktstr_error *error)
{
	struct ktstr_vm_config *c = &machine->config;
	uint32_t name;

	if (!strcmp(key, "format"))
		return !strcmp(value, FORMAT_VERSION);
	if (!strcmp(key, "topology"))
		return read_topology(machine, value, error);
	if (!strcmp(key, "memory_mb"))
		return read_number(value, &c->memory_mb);
	if (!strcmp(key, "boot_timeout_s"))
		return read_number(value, &c->boot_timeout_s);
	if (!strcmp(key, "attach_timeout_s"))
		return read_number(value, &c->attach_timeout_s);
	if (!strcmp(key, "timeout_s"))
		return read_number(value, &c->timeout_s);
	if (!strcmp(key, "disk"))
		return read_disk(machine, value);
	if (!strcmp(key, "disk_options"))
		return c->nr_disks && !disk_options__parse(value, &machine->disks[c->nr_disks - 1]);
	if (!strcmp(key, "nic"))
		return read_nic(machine, value);
	if (!strcmp(key, "performance"))
		return performance__parse(value, &c->performance_mode);
	if (!strcmp(key, "append"))
		c->append = value;
	else if (!strcmp(key, "scheduler"))
		c->scheduler = value;
	else if (!strcmp(key, "irqchip") && read_name(value, NAMES(irqchips), &name))
		c->irqchip = (enum ktstr_irqchip)name;
	else if (!strcmp(key, "vendor") && read_name(value, NAMES(vendors), &name))
		c->cpu_vendor = (enum ktstr_cpu_vendor)name;
	else if (!strcmp(key, "role") && read_name(value, NAMES(roles), &name))
		c->role = (enum ktstr_guest_role)name;
	else
		return strcmp(key, "irqchip") && strcmp(key, "vendor") && strcmp(key, "role");
	return true;
}

int saved_machine__read(const char *dir, struct saved_machine *machine, struct ktstr_error *error)
{
	char *line, *save = NULL;
	size_t length;
	int err;

	memset(machine, 0, sizeof(*machine));
	ktstr_vm_config__defaults(&machine->config);
	machine->dir = strdup(dir);
	if (!machine->dir)
		return ktstr_error__set(error, ENOMEM, "read", dir, NULL);
	err = read_text(dir, MACHINE_FILE, &machine->text, &length, error);
	if (err || !machine->text)
		return err;
	if (length < strlen(END_LINE) + 1 ||
	    strcmp(machine->text + length - strlen(END_LINE) - 1, END_LINE "\n") != 0)
		return ktstr_error__set(error, EINVAL, "read", MACHINE_FILE, "it is cut");
	if (strlen(machine->text) != length)
		return ktstr_error__set(error, EINVAL, "read", MACHINE_FILE, "it has a NUL byte");
	for (line = strtok_r(machine->text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *equals = strchr(line, '=');

		if (equals)
			*equals = '\0';
		if (equals && read_setting(machine, line, equals + 1, error))
			continue;
		return ktstr_error__set(error, EINVAL, "read", MACHINE_FILE,
					"\"%.100s%s%.100s\" is not understood", line,
					equals ? "=" : "", equals ? equals + 1 : "");
	}
	machine->config.saved = machine->dir;
	return 0;
}

void saved_machine__free(struct saved_machine *machine)
{
	free(machine->text);
	free(machine->dir);
	memset(machine, 0, sizeof(*machine));
}
