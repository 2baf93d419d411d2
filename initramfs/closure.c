// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program needs to start. Libraries are searched in ld.so(8)'s order, breadth first, and
 * keep their host paths. What the guest's ld.so could not find there by itself (it has no
 * ld.so.cache, no LD_LIBRARY_PATH, and PID 1 no $ORIGIN) gets a link beside the C library.
 */
#include "closure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "elf.h"
#include "machine.h"

#define LDCACHE_PATH "/etc/ld.so.cache"
#define LDCACHE_MAX (64u << 20)
#define LIBC_PREFIX "libc.so."
#define LIBGCC "libgcc_s.so.1"
#define SCRIPT_LINE 256u   /* BINPRM_BUF_SIZE: what the kernel reads of a script's first line */
#define SCRIPT_MAX_DEPTH 4 /* interpreters that are scripts: what the kernel follows */
#define MAX_OBJECTS 4096u  /* of one process */

/* One loaded file of a process; [0] is the program. */
struct object {
	char *name;	/* as it was asked for */
	char *path;	/* as it was found */
	char *origin;	/* $ORIGIN */
	size_t loader;	/* index of the object that needs it */
	bool reachable; /* the guest's ld.so finds it by itself, when its directory is a default */
	struct elf_info elf;
};

struct process {
	struct closure *closure;
	struct object *objects;
	size_t nr_objects;
	char *libc_dir; /* without links; NULL until there is one */
	bool is_init;
};

void closure__init(struct closure *closure, struct tree *tree, const char *library_path,
		   const char *search_path)
{
	struct stat st;
	ssize_t n;
	int fd;

	*closure = (struct closure){
		.tree = tree, .library_path = library_path, .search_path = search_path};
	/* Without a cache the search goes on in the default directories, as ld.so's does. */
	if (inputs__stat(&tree->inputs, LDCACHE_PATH, &st) || !S_ISREG(st.st_mode) ||
	    st.st_size > LDCACHE_MAX)
		return;
	fd = open(LDCACHE_PATH, O_RDONLY | O_CLOEXEC);
	closure->ldcache = fd < 0 ? NULL : malloc((size_t)st.st_size + 1);
	while (closure->ldcache && closure->ldcache_length < (size_t)st.st_size) {
		n = read(fd, closure->ldcache + closure->ldcache_length,
			 (size_t)st.st_size - closure->ldcache_length);
		if (n <= 0)
			break;
		closure->ldcache_length += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
}

void closure__free(struct closure *closure)
{
	free(closure->ldcache);
	closure->ldcache = NULL;
}

static int no_memory(struct ktstr_error *error)
{
	ktstr_error__set(error, ENOMEM, "build", "initramfs", NULL);
	return -ENOMEM;
}

static char *dirname_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return strdup("/");
	return strndup(path, (size_t)(slash - path));
}

static int read_head(const char *path, char *head, size_t size, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, head, size);
	close(fd);
	if (n < 0)
		return -errno;
	*length = (size_t)n;
	return 0;
}

/* ---- Search for one library ---- */

struct search {
	struct process *process;
	size_t loader; /* who needs it */
	const char *name;
	char *found;
	bool origin_used; /* in the directory where it was found */
	bool foreign;	  /* something of that name is there for another machine */
	int err;	  /* of something of that name that cannot be read */
};

static bool try_path(struct search *search, const char *path)
{
	struct inputs *inputs = &search->process->closure->tree->inputs;
	struct stat st;
	char head[64];
	size_t length = 0;
	int err;

	if (inputs__stat(inputs, path, &st) || !S_ISREG(st.st_mode))
		return false;
	err = read_head(path, head, sizeof(head), &length);
	if (err) {
		search->err = err;
		return false;
	}
	if (elf__kind(head, length) != ELF_IS_OURS) {
		search->foreign = true;
		return false;
	}
	search->found = strdup(path);
	if (!search->found)
		search->err = -ENOMEM;
	return search->found;
}

static bool try_dir(struct search *search, const char *dir)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, search->name);

	return n > 0 && (size_t)n < sizeof(path) && try_path(search, path);
}

/* Length of the token ("$ORIGIN", "${ORIGIN}") at @text when it is @name, else 0. */
static size_t token(const char *text, const char *name)
{
	size_t length = strlen(name);

	if (text[0] != '$')
		return 0;
	if (text[1] == '{')
		return !strncmp(text + 2, name, length) && text[2 + length] == '}' ? length + 3 : 0;
	return strncmp(text + 1, name, length) ? 0 : length + 1;
}

/* ld.so(8), "Dynamic string tokens". False: too long. */
static bool expand(char *out, size_t size, const char *dir, size_t length, const char *origin,
		   const char *lib, bool *origin_used)
{
	const char *platform = (const char *)getauxval(AT_PLATFORM);
	size_t used = 0;

	for (size_t i = 0; i < length;) {
		const char *value = NULL;
		size_t skip = token(dir + i, "ORIGIN"), n;

		if (skip) {
			value = origin;
			*origin_used = true;
		} else if ((skip = token(dir + i, "LIB"))) {
			value = lib;
		} else if ((skip = token(dir + i, "PLATFORM"))) {
			value = platform ? platform : "";
		}
		n = value ? strlen(value) : 1;
		if (used + n >= size)
			return false;
		memcpy(out + used, value ? value : dir + i, n);
		used += n;
		i += value ? skip : 1;
	}
	out[used] = '\0';
	return true;
}

/* A list of directories with colons between them; what is not absolute is left out. */
static bool try_list(struct search *search, const char *list, const char *origin)
{
	const char *const *libs = machine__this.lib_tokens;

	for (const char *dir = list; dir; dir = strchr(dir, ':') ? strchr(dir, ':') + 1 : NULL) {
		size_t length = strcspn(dir, ":");
		bool has_lib = memmem(dir, length, "$LIB", 4) || memmem(dir, length, "${LIB}", 6);

		for (size_t i = 0; libs[i] && (!i || has_lib); i++) {
			char path[PATH_MAX];

			search->origin_used = false;
			if (expand(path, sizeof(path), dir, length, origin, libs[i],
				   &search->origin_used) &&
			    *path == '/' && try_dir(search, path))
				return true;
		}
	}
	search->origin_used = false;
	return false;
}

static bool try_cache(struct search *search)
{
	const struct closure *closure = search->process->closure;

	for (size_t i = 0; closure->ldcache; i++) {
		const char *path =
			ldcache__find(closure->ldcache, closure->ldcache_length, search->name, i);

		if (!path)
			return false;
		if (try_path(search, path))
			return true;
	}
	return false;
}

/* $ORIGIN is in the guest what it is here: not for PID 1, nor for what is loaded through a link. */
static bool origin_is_kept(const struct process *process, size_t object)
{
	return object ? process->objects[object].reachable : !process->is_init;
}

/*
 * ld.so(8): DT_RPATH of who needs it and of who loaded that, LD_LIBRARY_PATH, DT_RUNPATH, the
 * cache, the default directories. @reachable: the guest finds it the same way.
 */
static bool find_library(struct search *search, bool *reachable)
{
	const struct process *process = search->process;
	const struct object *needer = &process->objects[search->loader];

	*reachable = true;
	if (strchr(search->name, '/'))
		return *search->name == '/' && try_path(search, search->name);
	for (size_t i = search->loader; !needer->elf.runpath; i = process->objects[i].loader) {
		const struct object *object = &process->objects[i];

		if (object->elf.rpath && try_list(search, object->elf.rpath, object->origin)) {
			*reachable = !search->origin_used || origin_is_kept(process, i);
			return true;
		}
		if (!i)
			break;
	}
	if (process->closure->library_path &&
	    try_list(search, process->closure->library_path, process->objects[0].origin)) {
		*reachable = false;
		return true;
	}
	if (needer->elf.runpath && try_list(search, needer->elf.runpath, needer->origin)) {
		*reachable = !search->origin_used || origin_is_kept(process, search->loader);
		return true;
	}
	*reachable = false;
	if (needer->elf.no_default_dirs)
		return false;
	if (try_cache(search))
		return true;
	for (const char *const *dir = machine__this.library_dirs; *dir; dir++) {
		if (try_dir(search, *dir))
			return true;
	}
	return false;
}

static int not_found(const struct search *search, struct ktstr_error *error)
{
	const char *needer = search->process->objects[search->loader].path;

	if (search->err == -ENOMEM)
		return no_memory(error);
	if (search->err)
		return ktstr_error__set(error, -search->err, "open library", search->name,
					"%s (needed by %s)", strerror(-search->err), needer);
	ktstr_error__set(error, ENOENT, "find library", search->name, "needed by %s, and %s",
			 needer,
			 search->foreign ? "what is there is for another machine"
					 : "in none of the directories that ld.so(8) searches");
	ktstr_error__hint(error, "install it, or name its directory in LD_LIBRARY_PATH");
	return -ENOENT;
}

/* ---- One process: a program and its libraries ---- */

static void free_process(struct process *process)
{
	for (size_t i = 0; i < process->nr_objects; i++) {
		free(process->objects[i].name);
		free(process->objects[i].path);
		free(process->objects[i].origin);
		elf__free(&process->objects[i].elf);
	}
	free(process->objects);
	free(process->libc_dir);
}

static int add_object(struct process *process, const char *name, const char *path, size_t loader,
		      bool reachable, struct ktstr_error *error)
{
	struct object *object, *p;
	int err;

	if (process->nr_objects == MAX_OBJECTS)
		return ktstr_error__set(error, ELOOP, "find libraries", process->objects[0].path,
					"more than %u of them", MAX_OBJECTS);
	p = reallocarray(process->objects, process->nr_objects + 1, sizeof(*p));
	if (!p)
		return no_memory(error);
	process->objects = p;
	object = &p[process->nr_objects];
	*object = (struct object){.loader = loader, .reachable = reachable};
	err = elf__read(path, &object->elf, error);
	if (err)
		return err;
	process->nr_objects++;
	object->name = strdup(name);
	object->path = strdup(path);
	object->origin = dirname_of(path);
	return object->name && object->path && object->origin ? 0 : no_memory(error);
}

static bool is_loaded(const struct process *process, const char *name)
{
	for (size_t i = 1; i < process->nr_objects; i++) {
		const struct object *object = &process->objects[i];

		if (!strcmp(object->name, name) ||
		    (object->elf.soname && !strcmp(object->elf.soname, name)))
			return true;
	}
	return false;
}

static int note_libc(struct process *process, const char *name, const char *real,
		     struct ktstr_error *error)
{
	if (process->libc_dir || strncmp(name, LIBC_PREFIX, strlen(LIBC_PREFIX)))
		return 0;
	process->libc_dir = dirname_of(real);
	return process->libc_dir ? 0 : no_memory(error);
}

static int add_library(struct process *process, const char *name, size_t loader, bool optional,
		       struct ktstr_error *error)
{
	struct search search = {.process = process, .loader = loader, .name = name};
	char real[PATH_MAX];
	bool reachable;
	int err;

	if (is_loaded(process, name))
		return 0;
	if (!find_library(&search, &reachable)) {
		free(search.found);
		return optional ? 0 : not_found(&search, error);
	}
	err = tree__add_host(process->closure->tree, search.found, real, error);
	if (!err)
		err = note_libc(process, name, real, error);
	if (!err)
		err = add_object(process, name, search.found, loader, reachable, error);
	free(search.found);
	return err;
}

static int add_interpreter(struct process *process, struct ktstr_error *error)
{
	const char *path = process->objects[0].elf.interpreter;
	struct ktstr_error why = {0};
	char head[64];
	size_t length = 0;
	int err;

	err = tree__add_host(process->closure->tree, path, NULL, &why);
	if (!err)
		err = read_head(path, head, sizeof(head), &length);
	if (err)
		return ktstr_error__set(error, -err, "find dynamic linker", path,
					"%s (needed by %s)", strerror(-err),
					process->objects[0].path);
	/* ld.so itself counts as loaded: libraries need it by its DT_SONAME */
	return elf__kind(head, length) == ELF_IS_OURS
		       ? add_object(process, path, path, 0, true, error)
		       : ktstr_error__set(error, ENOEXEC, "find dynamic linker", path,
					  "not for this machine (needed by %s)",
					  process->objects[0].path);
}

/* A link to @object beside the C library, unless it lies there. */
static int link_library(struct process *process, const struct object *object,
			struct ktstr_error *error)
{
	const char *dir = process->libc_dir ? process->libc_dir : "/lib";
	const struct tree_entry *library, *there;
	char path[PATH_MAX], *library_dir = dirname_of(object->path);
	char real_dir[PATH_MAX];
	int n;

	if (!library_dir)
		return no_memory(error);
	n = realpath(library_dir, real_dir) ? 0 : -1;
	free(library_dir);
	if (!n && !strcmp(real_dir, dir))
		return 0;
	n = snprintf(path, sizeof(path), "%s/%s", dir, object->name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return ktstr_error__set(error, ENAMETOOLONG, "link library", object->path, NULL);
	library = tree__lookup(process->closure->tree, object->path);
	there = tree__lookup(process->closure->tree, path);
	if (there && there == library)
		return 0;
	if (there)
		return ktstr_error__set(error, EEXIST, "link library", object->path,
					"%s needs it as %s in the guest, where another one is",
					process->objects[0].path, path);
	return tree__put_symlink(process->closure->tree, path, object->path, error);
}

/* objects[0] may also be a static program, which needs nothing, or a library by itself. */
static int add_process(struct process *process, bool optional, struct ktstr_error *error)
{
	bool dynamic = process->objects[0].elf.interpreter;
	int err = dynamic ? add_interpreter(process, error) : 0;

	for (size_t i = 0; !err && i < process->nr_objects; i++) {
		for (size_t k = 0; !err && k < process->objects[i].elf.nr_needed; k++)
			err = add_library(process, process->objects[i].elf.needed[k], i, optional,
					  error);
		if (!err && dynamic && process->is_init && i + 1 == process->nr_objects)
			err = add_library(process, LIBGCC, 0, true, error);
	}
	for (size_t i = 1; !err && i < process->nr_objects; i++) {
		if (!process->objects[i].reachable)
			err = link_library(process, &process->objects[i], error);
	}
	return err;
}

static bool uses_origin(const struct elf_info *elf)
{
	const char *path = elf->rpath ? elf->rpath : elf->runpath;

	return path && (strstr(path, "$ORIGIN") || strstr(path, "${ORIGIN}"));
}

static bool on_kernel_mount(const char *path)
{
	return !strncmp(path, "/proc/", 6) || !strncmp(path, "/sys/", 5) ||
	       !strncmp(path, "/dev/", 5);
}

static int place(struct closure *closure, const char *host, const char *guest,
		 enum closure_role role, bool at_home, struct ktstr_error *error)
{
	struct stat st;
	uint32_t mode;
	char real[PATH_MAX];
	int err;

	if (!guest)
		return tree__add_host(closure->tree, host, NULL, error);
	if (at_home && realpath(host, real) && !on_kernel_mount(real)) {
		err = tree__add_host(closure->tree, real, NULL, error);
		return err ? err : tree__put_symlink(closure->tree, guest, real, error);
	}
	err = inputs__stat(&closure->tree->inputs, host, &st);
	if (err)
		return ktstr_error__set(error, -err, "open", host, NULL);
	mode = role == CLOSURE_INIT ? 0755 : st.st_mode & 07777;
	return tree__put_file(closure->tree, guest, mode, host, error);
}

static int add_elf(struct closure *closure, const char *host, const char *guest,
		   enum closure_role role, struct ktstr_error *error)
{
	struct process process = {.closure = closure, .is_init = role == CLOSURE_INIT};
	char real[PATH_MAX];
	int err;

	/* The program's own $ORIGIN is that of its real path. */
	err = add_object(&process, host, realpath(host, real) ? real : host, 0, true,
			 role == CLOSURE_FOUND ? NULL : error);
	if (err == -ENOEXEC && role == CLOSURE_FOUND)
		return place(closure, host, guest, role, false, error);
	if (!err)
		err = place(closure, host, guest, role,
			    role != CLOSURE_INIT && uses_origin(&process.objects[0].elf), error);
	if (!err)
		err = add_process(&process, role == CLOSURE_FOUND, error);
	free_process(&process);
	return err;
}

/* ---- Scripts ---- */

/* The program that "#!/usr/bin/env [-S] NAME" runs, by PATH. */
static int add_env_program(struct closure *closure, const char *script, char *arguments,
			   enum closure_role role, int depth, struct ktstr_error *error);

static int add_any(struct closure *closure, const char *host, const char *guest,
		   enum closure_role role, int depth, struct ktstr_error *error);

static int missing_interpreter(const char *script, const char *interpreter, int err,
			       enum closure_role role, struct ktstr_error *error)
{
	if (role == CLOSURE_FOUND)
		return 0;
	return ktstr_error__set(error, -err, "find interpreter", interpreter, "%s (needed by %s)",
				strerror(-err), script);
}

static int add_script(struct closure *closure, const char *script, const char *head, size_t length,
		      enum closure_role role, int depth, struct ktstr_error *error)
{
	enum closure_role next = role == CLOSURE_FOUND ? CLOSURE_FOUND : CLOSURE_FILE;
	char line[SCRIPT_LINE + 1], *interpreter, *arguments;
	const char *base;
	struct stat st;
	int err;

	length = length < SCRIPT_LINE ? length : SCRIPT_LINE;
	memcpy(line, head, length);
	line[length] = '\0';
	line[strcspn(line, "\n")] = '\0';
	interpreter = line + 2 + strspn(line + 2, " \t");
	arguments = interpreter + strcspn(interpreter, " \t\r");
	if (*arguments)
		*arguments++ = '\0';
	if (!*interpreter)
		return 0;
	if (depth >= SCRIPT_MAX_DEPTH)
		return missing_interpreter(script, interpreter, -ELOOP, role, error);
	err = *interpreter == '/' ? inputs__stat(&closure->tree->inputs, interpreter, &st)
				  : -ENOENT;
	if (err)
		return missing_interpreter(script, interpreter, err, role, error);
	err = add_any(closure, interpreter, NULL, next, depth + 1, error);
	base = strrchr(interpreter, '/') + 1;
	if (!err && !strcmp(base, "env"))
		err = add_env_program(closure, script, arguments, role, depth, error);
	return err;
}

static int add_env_program(struct closure *closure, const char *script, char *arguments,
			   enum closure_role role, int depth, struct ktstr_error *error)
{
	enum closure_role next = role == CLOSURE_FOUND ? CLOSURE_FOUND : CLOSURE_FILE;
	char *save = NULL, *name = strtok_r(arguments, " \t\r", &save);
	const char *dir = closure->search_path;

	while (name && (*name == '-' || strchr(name, '=')))
		name = strtok_r(NULL, " \t\r", &save);
	if (!name || strchr(name, '/'))
		return 0;
	while (dir) {
		size_t length = strcspn(dir, ":");
		char path[PATH_MAX];
		struct stat st;
		int n = snprintf(path, sizeof(path), "%.*s/%s", (int)length, dir, name);

		if (*dir == '/' && n > 0 && (size_t)n < sizeof(path) &&
		    !inputs__stat(&closure->tree->inputs, path, &st) && S_ISREG(st.st_mode) &&
		    st.st_mode & 0111)
			return add_any(closure, path, NULL, next, depth + 1, error);
		dir = dir[length] ? dir + length + 1 : NULL;
	}
	return missing_interpreter(script, name, -ENOENT, role, error);
}

static int add_any(struct closure *closure, const char *host, const char *guest,
		   enum closure_role role, int depth, struct ktstr_error *error)
{
	char head[SCRIPT_LINE];
	struct stat st;
	size_t length = 0;
	int err = inputs__stat(&closure->tree->inputs, host, &st);

	if (!err && !S_ISREG(st.st_mode))
		return ktstr_error__set(error, EINVAL, "add to initramfs", host,
					"not a regular file");
	if (!err)
		err = read_head(host, head, sizeof(head), &length);
	if (err)
		return ktstr_error__set(error, -err, "open", host, NULL);
	switch (elf__kind(head, length)) {
	case ELF_IS_OURS:
		return add_elf(closure, host, guest, role, error);
	case ELF_IS_FOREIGN:
		if (role != CLOSURE_FOUND)
			return ktstr_error__set(error, ENOEXEC, "add to initramfs", host,
						"an ELF program or library of another machine");
		break;
	default:
		break;
	}
	err = place(closure, host, guest, role, false, error);
	if (!err && length > 2 && head[0] == '#' && head[1] == '!')
		err = add_script(closure, host, head, length, role, depth, error);
	else if (!err && role == CLOSURE_INIT)
		err = ktstr_error__set(error, ENOEXEC, "add /init", host, "not a program");
	return err;
}

int closure__add(struct closure *closure, const char *host, const char *guest,
		 enum closure_role role, struct ktstr_error *error)
{
	return add_any(closure, host, guest, role, 0, error);
}
