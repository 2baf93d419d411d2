// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer target: hostile programs on their way into an initramfs. The input is a program (ELF or
 * a script), a library that it may ask for, each with its length before it (two bytes), and a cache
 * of ld.so. What comes of them is an error, or an archive that has each path once.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "initramfs/closure.h"
#include "initramfs/elf.h"

#define PROGRAM "/program"
#define LIBRARY "/libx.so"
#define MAX_ENTRIES 4000u

static char directory[64];

static void remove_directory(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s" PROGRAM, directory);
	unlink(path);
	snprintf(path, sizeof(path), "%s" LIBRARY, directory);
	unlink(path);
	rmdir(directory);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

/* The next part of the input, with its length before it. */
static const uint8_t *take_part(const uint8_t **data, size_t *left, size_t *size)
{
	const uint8_t *part = *data + 2;

	if (*left < 2) {
		*size = 0;
		return *data;
	}
	*size = (size_t)((*data)[0] | (*data)[1] << 8);
	*left -= 2;
	if (*size > *left)
		*size = *left;
	*left -= *size;
	*data = part + *size;
	return part;
}

/* Absolute, without "." or "..", and not twice. */
static void check_tree(const struct tree *tree)
{
	FUZZ_CHECK(tree->nr_entries < MAX_ENTRIES);
	for (size_t i = 0; i < tree->nr_entries; i++) {
		const char *path = tree->entries[i]->path;

		FUZZ_CHECK(path[0] == '/' && !strstr(path, "/../") && !strstr(path, "/./") &&
			   !strstr(path, "//"));
		FUZZ_CHECK(tree__lookup(tree, path) || tree->entries[i]->kind == TREE_SYMLINK);
	}
}

/* By the names that the program needs, and by some that are no names. */
static void ask_cache(const char *program, const void *cache, size_t length)
{
	struct elf_info info;
	const char *path;

	for (size_t i = 0; i < 3; i++) {
		path = ldcache__find(cache, length, "libx.so", i);
		FUZZ_CHECK(!path || ((const char *)cache <= path &&
				     path + strlen(path) < (const char *)cache + length));
		(void)ldcache__find(cache, length, "", i);
	}
	if (elf__read(program, &info, NULL))
		return;
	for (size_t i = 0; i < info.nr_needed; i++)
		(void)ldcache__find(cache, length, info.needed[i], 0);
	elf__free(&info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ktstr_error error = {.err = 0};
	struct tree tree = {0};
	struct closure closure;
	const uint8_t *part;
	char program[128];
	size_t length;
	int err;

	if (!directory[0]) {
		/* In memory, where that is to be had: files come and go by the thousand. */
		strcpy(directory, "/dev/shm/ktstr-fuzz.XXXXXX");
		if (!mkdtemp(directory)) {
			strcpy(directory, "/tmp/ktstr-fuzz.XXXXXX");
			FUZZ_CHECK(mkdtemp(directory));
		}
		atexit(remove_directory);
	}
	snprintf(program, sizeof(program), "%s" PROGRAM, directory);
	part = take_part(&data, &size, &length);
	write_file(PROGRAM, part, length);
	part = take_part(&data, &size, &length);
	write_file(LIBRARY, part, length);
	ask_cache(program, data, size);

	closure__init(&closure, &tree, directory, directory);
	free(closure.ldcache);
	closure.ldcache = malloc(size ? size : 1);
	FUZZ_CHECK(closure.ldcache);
	memcpy(closure.ldcache, data, size);
	closure.ldcache_length = size;
	err = closure__add(&closure, program, "/init", CLOSURE_FILE, &error);
	FUZZ_CHECK(!err || error.reason[0] || error.operation[0]);
	if (!err) {
		struct cpio cpio;
		int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);

		check_tree(&tree);
		cpio__init(&cpio, sink);
		FUZZ_CHECK(!tree__write(&tree, &cpio, NULL, &error));
		cpio__free(&cpio);
		close(sink);
	}
	closure__free(&closure);
	tree__free(&tree);
	return 0;
}
