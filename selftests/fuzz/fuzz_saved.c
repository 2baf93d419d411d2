// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: the file "machine" of a record that somebody sent: topology, disks, NICs and
 * the rest of its settings. What is refused is refused in one line that a terminal can show; what
 * is taken can be written and read again, and is the same then.
 *
 * The first byte chooses: bit 0 puts the last line behind the input, without which all is refused.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/disk.h"
#include "vmm/nic.h"
#include "vmm/saved.h"

#define ADD_END 1u
#define END_LINE "\nend=1\n"

static char directory[64];

static void machine_path(char path[96])
{
	snprintf(path, 96, "%s/machine", directory);
}

static void remove_directory(void)
{
	char path[96];

	machine_path(path);
	unlink(path);
	rmdir(directory);
}

static void write_machine(const char *text, size_t length, const char *end)
{
	char path[96];
	int fd;

	machine_path(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && write(fd, text, length) == (ssize_t)length);
	FUZZ_CHECK(write(fd, end, strlen(end)) == (ssize_t)strlen(end));
	close(fd);
}

static bool is_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f ||
		    (!strncmp(text, "\xc2", 1) && (unsigned char)text[1] >= 0x80 &&
		     (unsigned char)text[1] < 0xa0))
			return false;
	return true;
}

static void check_error(const struct ktstr_error *error)
{
	char line[1500];

	FUZZ_CHECK(error->err && (error->object[0] || error->reason[0]));
	FUZZ_CHECK(ktstr_error__format(error, line, sizeof(line)) > 0);
	FUZZ_CHECK(is_line(line));
}

/* What a machine looks at before it makes anything of them. */
static void check_devices(const struct ktstr_vm_config *c)
{
	struct virtio_net_options options[KTSTR_MAX_NICS];
	uint32_t networks[KTSTR_MAX_NICS];
	struct ktstr_error error = {.err = 0};

	FUZZ_CHECK(c->nr_disks <= KTSTR_MAX_DISKS && c->nr_nics <= KTSTR_MAX_NICS);
	if (disk__check(c->disks, c->nr_disks, &error))
		check_error(&error);
	error = (struct ktstr_error){.err = 0};
	if (nic__describe(c->nics, c->nr_nics, options, networks, &error)) {
		check_error(&error);
		return;
	}
	for (size_t i = 0; i < c->nr_nics; i++)
		FUZZ_CHECK(networks[i] <= i && options[i].pairs && !(options[i].mac[0] & 1));
}

/* Its text from what was read, or NULL: the topology is too long to be described. */
static char *describe(const struct ktstr_vm_config *c)
{
	struct vm_inputs inputs;
	char *text = NULL;

	vm_inputs__init(&inputs);
	if (!vm_inputs__describe(&inputs, c, "/kernel", "release"))
		text = strdup(inputs.machine);
	vm_inputs__free(&inputs);
	return text;
}

static void check_again(const struct ktstr_vm_config *first)
{
	struct ktstr_error error = {.err = 0};
	struct saved_machine machine;
	char *text = describe(first), *again;

	if (!text)
		return;
	write_machine(text, strlen(text), "");
	FUZZ_CHECK(!saved_machine__read(directory, &machine, &error));
	FUZZ_CHECK(machine.config.nr_disks == first->nr_disks);
	FUZZ_CHECK(machine.config.nr_nics == first->nr_nics);
	again = describe(&machine.config);
	FUZZ_CHECK(again && !strcmp(text, again));
	free(again);
	free(text);
	saved_machine__free(&machine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ktstr_error error = {.err = 0};
	struct saved_machine machine;

	if (!size)
		return 0;
	if (!directory[0]) {
		/* In memory, where that is to be had. */
		strcpy(directory, "/dev/shm/ktstr-fuzz.XXXXXX");
		if (!mkdtemp(directory)) {
			strcpy(directory, "/tmp/ktstr-fuzz.XXXXXX");
			FUZZ_CHECK(mkdtemp(directory));
		}
		atexit(remove_directory);
	}
	write_machine((const char *)data + 1, size - 1, data[0] & ADD_END ? END_LINE : "");
	if (saved_machine__read(directory, &machine, &error)) {
		check_error(&error);
	} else {
		check_devices(&machine.config);
		check_again(&machine.config);
	}
	saved_machine__free(&machine);
	return 0;
}
