// SPDX-License-Identifier: GPL-2.0-only
/* A test's .files: programs of PATH, absolute paths, and paths beside the test binary. */
#include "harness_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories that the guest's PATH has (guest/init.c). */
static const char *const guest_dirs[] = {
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
};

/* Where another program goes, so that the guest finds it by its name. */
#define PROGRAM_DIR "/usr/local/bin"

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "allocate", "the test's files", NULL);
}

/* Takes both strings, whatever comes of it. @guest NULL: the same path as @host. */
static int add(struct harness_files *files, char *host, char *guest, struct ktstr_error *error)
{
	struct ktstr_file *grown = reallocarray(files->files, files->nr + 1, sizeof(*files->files));

	if (!grown) {
		free(host);
		free(guest);
		return no_memory(error);
	}
	files->files = grown;
	files->files[files->nr++] = (struct ktstr_file){.host_path = host, .guest_path = guest};
	return 0;
}

static bool guest_finds_in(const char *dir, size_t length)
{
	for (size_t i = 0; i < sizeof(guest_dirs) / sizeof(guest_dirs[0]); i++)
		if (strlen(guest_dirs[i]) == length && !strncmp(guest_dirs[i], dir, length))
			return true;
	return false;
}

static int add_program(struct harness_files *files, const char *name, const char *path,
		       struct ktstr_error *error)
{
	for (const char *dir = path; dir; dir = strchr(dir, ':') ? strchr(dir, ':') + 1 : NULL) {
		size_t length = strcspn(dir, ":");
		char *host, *guest = NULL;
		struct stat st;

		if (*dir != '/')
			continue;
		if (asprintf(&host, "%.*s/%s", (int)length, dir, name) < 0)
			return no_memory(error);
		if (stat(host, &st) || !S_ISREG(st.st_mode) || access(host, X_OK)) {
			free(host);
			continue;
		}
		if (!guest_finds_in(dir, length) &&
		    asprintf(&guest, "%s/%s", PROGRAM_DIR, name) < 0) {
			free(host);
			return no_memory(error);
		}
		return add(files, host, guest, error);
	}
	if (!files->missing)
		files->missing = name;
	return 0;
}

static bool leads_up(const char *path)
{
	for (; path; path = strchr(path, '/') ? strchr(path, '/') + 1 : NULL)
		if (!strncmp(path, "..", 2) && (!path[2] || path[2] == '/'))
			return true;
	return false;
}

/* An absolute path is the same in the guest; "./a/b" is "/a/b", as the test's directory is "/". */
static int add_path(struct harness_files *files, const char *name, const char *dir,
		    struct ktstr_error *error)
{
	char *host = NULL, *guest = NULL;

	if (*name == '/') {
		host = strdup(name);
	} else {
		while (!strncmp(name, "./", 2))
			for (name += 2; *name == '/';)
				name++;
		if (!*name || leads_up(name))
			return ktstr_error__set(error, EINVAL, "add to the guest", name,
						"a path of .files has to lie below the test "
						"binary's directory, or be absolute");
		if (asprintf(&host, "%s/%s", dir, name) < 0)
			host = NULL;
		if (host && asprintf(&guest, "/%s", name) < 0)
			guest = NULL;
	}
	if (!host || (*name != '/' && !guest)) {
		free(host);
		return no_memory(error);
	}
	if (access(host, F_OK)) {
		int err = ktstr_error__set(error, errno, "add to the guest", host, NULL);

		ktstr_error__hint(error, "a program of PATH is named without a slash");
		free(host);
		free(guest);
		return err;
	}
	return add(files, host, guest, error);
}

int harness_files__resolve(struct harness_files *files, const char *const *names, const char *dir,
			   const char *path, struct ktstr_error *error)
{
	int err = 0;

	*files = (struct harness_files){.nr = 0};
	for (; names && *names && !err; names++) {
		if (!**names)
			return ktstr_error__set(error, EINVAL, "add to the guest", ".files",
						"a name is empty");
		err = strchr(*names, '/') ? add_path(files, *names, dir, error)
					  : add_program(files, *names, path, error);
	}
	return err;
}

void harness_files__free(struct harness_files *files)
{
	for (size_t i = 0; i < files->nr; i++) {
		free((void *)(uintptr_t)files->files[i].host_path);
		free((void *)(uintptr_t)files->files[i].guest_path);
	}
	free(files->files);
	*files = (struct harness_files){.nr = 0};
}
