// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kernel modules with what they depend on, by libkmod. The library is opened when it is needed: the
 * test binary is /init in every guest, and linked to libkmod it would bring libcrypto there.
 */
#include "modules.h"

#include <ktstr/proto.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KMOD_LIBRARY "libkmod.so.2"
#define MAX_DEPTH 64 /* of dependencies; deeper is a loop */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define KMOD_FUNCTIONS(X)               \
	X(kmod_new)                     \
	X(kmod_unref)                   \
	X(kmod_set_log_fn)              \
	X(kmod_load_resources)          \
	X(kmod_list_next)               \
	X(kmod_module_new_from_lookup)  \
	X(kmod_module_get_module)       \
	X(kmod_module_get_name)         \
	X(kmod_module_get_path)         \
	X(kmod_module_get_dependencies) \
	X(kmod_module_get_softdeps)     \
	X(kmod_module_unref)            \
	X(kmod_module_unref_list)

struct kmod_api {
#define X(name) __typeof__(name) *name;
	KMOD_FUNCTIONS(X)
#undef X
};

struct loader {
	struct kmod_api kmod;
	void *library;
	struct kmod_ctx *ctx;
	struct tree *tree;
	const char *dir, *release;
	struct strmap done; /* by module name */
	char *list;	    /* of KTSTR_GUEST_MODULES */
	size_t list_length;
};

static int load_library(struct loader *loader, struct ktstr_error *error)
{
	loader->library = dlopen(KMOD_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!loader->library) {
		ktstr_error__set(error, ENOSYS, "find kernel modules", KMOD_LIBRARY, "%s",
				 dlerror());
		ktstr_error__hint(error, "install libkmod (scripts/setup does)");
		return -ENOSYS;
	}
#define X(name)                                                                      \
	loader->kmod.name = (__typeof__(name) *)dlsym(loader->library, #name);       \
	if (!loader->kmod.name) {                                                    \
		ktstr_error__set(error, ENOSYS, "find kernel modules", KMOD_LIBRARY, \
				 "it has no " #name "()");                           \
		return -ENOSYS;                                                      \
	}
	KMOD_FUNCTIONS(X)
#undef X
	return 0;
}

/* libkmod writes to stderr by default. */
static void no_log(void *data, int priority, const char *file, int line, const char *fn,
		   const char *format, va_list args)
{
	(void)data;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

static int no_memory(struct ktstr_error *error)
{
	return ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
}

static int read_file(struct tree *tree, const char *path, char **data, size_t *length,
		     struct ktstr_error *error)
{
	struct stat st;
	int err = inputs__stat(&tree->inputs, path, &st), fd;

	if (err)
		return ktstr_error__set(error, -err, "open module", path, NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ktstr_error__set(error, errno, "open module", path, NULL);
	*length = 0;
	*data = malloc((size_t)st.st_size + 1);
	while (*data && *length < (size_t)st.st_size) {
		ssize_t n = read(fd, *data + *length, (size_t)st.st_size - *length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = ktstr_error__set(error, n ? errno : ESTALE, "read module", path,
					       NULL);
			break;
		}
		*length += (size_t)n;
	}
	close(fd);
	if (!*data)
		return no_memory(error);
	if (err)
		free(*data);
	return err;
}

static int append_line(struct loader *loader, const char *line, struct ktstr_error *error)
{
	size_t length = strlen(line);
	char *p = realloc(loader->list, loader->list_length + length + 1);

	if (!p)
		return no_memory(error);
	memcpy(p + loader->list_length, line, length + 1);
	p[loader->list_length + length] = '\n';
	loader->list = p;
	loader->list_length += length + 1;
	return 0;
}

/* Where a module of @loader->dir goes in the guest: the same, without .xz and the like. */
static int guest_path(const struct loader *loader, const char *path, char *out, size_t size)
{
	static const char *const endings[] = {".xz", ".gz", ".zst"};
	const char *below = strstr(path, "/kernel/");
	size_t length, dir_length = strlen(loader->dir);
	int n;

	if (!strncmp(path, loader->dir, dir_length) && path[dir_length] == '/')
		below = path + dir_length;
	if (!below)
		below = strrchr(path, '/');
	length = strlen(below);
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		size_t ending = strlen(endings[i]);

		if (length > ending && !strcmp(below + length - ending, endings[i])) {
			length -= ending;
			break;
		}
	}
	n = snprintf(out, size, "/lib/modules/%s%.*s", loader->release, (int)length, below);
	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int add_file(struct loader *loader, const char *path, struct ktstr_error *error)
{
	char guest[PATH_MAX];
	char *data = NULL;
	void *module = NULL;
	size_t length = 0, module_length = 0;
	int err = guest_path(loader, path, guest, sizeof(guest));

	if (err)
		return ktstr_error__set(error, -err, "add module", path, NULL);
	err = read_file(loader->tree, path, &data, &length, error);
	if (err)
		return err;
	err = modules__decompress(data, length, path, &module, &module_length, error);
	free(data);
	if (err)
		return err;
	err = tree__put_data(loader->tree, guest, 0644, module, module_length, error);
	free(module);
	return err ? err : append_line(loader, guest, error);
}

static int add_module(struct loader *loader, struct kmod_module *module, int depth,
		      struct ktstr_error *error);

static int add_list(struct loader *loader, const struct kmod_list *list, int depth,
		    struct ktstr_error *error)
{
	const struct kmod_list *item = list;
	int err = 0;

	while (item && !err) {
		struct kmod_module *module = loader->kmod.kmod_module_get_module(item);

		err = add_module(loader, module, depth, error);
		loader->kmod.kmod_module_unref(module);
		item = loader->kmod.kmod_list_next(list, item);
	}
	return err;
}

/* What has no file is built in, or a soft dependency that this kernel does not have. */
static int add_module(struct loader *loader, struct kmod_module *module, int depth,
		      struct ktstr_error *error)
{
	const struct kmod_api *kmod = &loader->kmod;
	const char *name = kmod->kmod_module_get_name(module);
	const char *path = kmod->kmod_module_get_path(module);
	struct kmod_list *pre = NULL, *post = NULL, *dependencies;
	int err;

	if (!path || strmap__get(&loader->done, name))
		return 0;
	if (depth > MAX_DEPTH)
		return ktstr_error__set(error, ELOOP, "add module", name,
					"its dependencies have a loop");
	if (strmap__set(&loader->done, name, loader))
		return no_memory(error);
	kmod->kmod_module_get_softdeps(module, &pre, &post);
	err = add_list(loader, pre, depth + 1, error);
	kmod->kmod_module_unref_list(pre);
	kmod->kmod_module_unref_list(post);
	if (err)
		return err;
	dependencies = kmod->kmod_module_get_dependencies(module);
	err = add_list(loader, dependencies, depth + 1, error);
	kmod->kmod_module_unref_list(dependencies);
	return err ? err : add_file(loader, path, error);
}

static int add_name(struct loader *loader, const char *name, struct ktstr_error *error)
{
	struct kmod_list *list = NULL;
	int err = loader->kmod.kmod_module_new_from_lookup(loader->ctx, name, &list);

	if (err < 0 || !list) {
		ktstr_error__set(error, ENOENT, "find kernel module", name,
				 "neither a module in %s nor built in", loader->dir);
		return -ENOENT;
	}
	err = add_list(loader, list, 0, error);
	loader->kmod.kmod_module_unref_list(list);
	return err;
}

/* What libkmod's answers depend on. *any: there is something to ask it about. */
static int check_indexes(struct tree *tree, const char *dir, bool *any, struct ktstr_error *error)
{
	static const char *const names[] = {
		"modules.dep.bin",     "modules.builtin.bin", "modules.builtin",
		"modules.softdep",     "modules.alias.bin",   "modules.builtin.alias.bin",
		"modules.symbols.bin", "modules.order",	      "kernel",
	};
	bool have[ARRAY_SIZE(names)];
	struct stat st;

	if (inputs__stat(&tree->inputs, dir, &st) || !S_ISDIR(st.st_mode))
		return ktstr_error__set(error, ENOENT, "find kernel modules", dir,
					"there is no such directory");
	*any = false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		have[i] = !inputs__stat(&tree->inputs, path, &st);
		*any |= have[i];
	}
	if (!*any || have[0])
		return 0;
	ktstr_error__set(error, ENOENT, "find kernel modules", dir, "it has no modules.dep.bin");
	ktstr_error__hint(error, "run depmod -b on the tree that it is in");
	return -ENOENT;
}

static int add_names(struct loader *loader, const char *const *names, struct ktstr_error *error)
{
	char softdep[PATH_MAX];
	/* No modprobe.d of the host: only what the modules themselves say. */
	const char *const config[] = {softdep, NULL};
	int err = 0;

	snprintf(softdep, sizeof(softdep), "%s/modules.softdep", loader->dir);
	loader->ctx = loader->kmod.kmod_new(loader->dir, config);
	if (!loader->ctx)
		return ktstr_error__set(error, ENOMEM, "find kernel modules", loader->dir,
					"libkmod failed");
	loader->kmod.kmod_set_log_fn(loader->ctx, no_log, NULL);
	loader->kmod.kmod_load_resources(loader->ctx);
	for (; !err && *names; names++)
		err = add_name(loader, *names, error);
	loader->kmod.kmod_unref(loader->ctx);
	return err;
}

int modules__add(struct tree *tree, const char *dir, const char *release, const char *const *names,
		 struct ktstr_error *error)
{
	struct loader loader = {.tree = tree, .dir = dir, .release = release};
	bool any = false;
	int err;

	if (!names || !*names)
		return 0;
	err = check_indexes(tree, dir, &any, error);
	if (err || !any)
		return err;
	err = load_library(&loader, error);
	if (!err)
		err = add_names(&loader, names, error);
	if (!err)
		err = tree__put_data(tree, KTSTR_GUEST_MODULES, 0644,
				     loader.list ? loader.list : "", loader.list_length, error);
	if (loader.library)
		dlclose(loader.library);
	strmap__free(&loader.done);
	free(loader.list);
	return err;
}
